"""Convolutional neural networks from scratch, in NumPy, to be read.

Read the modules in this order; each needs only those before it::

    windows      how many windows fit; im2col and col2im; the checks
    naive        convolution and pooling as plain loops
    layers       Convolution, Pooling, Affine, Relu, ...: forward and backward
    fast         the first two once more, for training; not needed to understand anything
    gradients    gradients by differences, to check backward
    networks     SimpleConvNet, DeepConvNet, PhotoConvNet; weights that come with the package
    classics     LeNet and AlexNet, and the layers that only they need
    optimizers   SGD, Momentum, ..., Adam
    trainer      the training loop
    datasets     digits that come with the package, MNIST, CIFAR-10, a drawn digit centred
    visualize    what neurons answer to, and where they look (not loaded by itself)

``figures`` draws and ``widgets`` moves; neither is loaded by ``import cnnlib``.

Notation, in code, notebooks and error messages alike::

    x     (N, C, H, W)       N images of C channels, H rows and W columns
    W     (FN, C, FH, FW)    FN filters; as many channels as the images
    b     (FN,)              one bias per filter
    out   (N, FN, OH, OW)    FN feature maps per image
    S, P  stride and padding, called ``stride`` and ``pad``
    OH  = (H + 2*P - FH) // S + 1,  OW alike    formula (7.1)
    dx, dW, db               gradients of the loss with respect to x, W, b; dout: to the output
"""

from cnnlib.classics import (
    AlexNet,
    GroupedConvolution,
    LeNet,
    LeNet5,
    LocalResponseNormalization,
    ScaledTanh,
    Subsampling,
    TableConvolution,
)
from cnnlib.datasets import (
    centre_digit,
    load_cifar10,
    load_digits28,
    load_fashion_mnist,
    load_mnist,
)
from cnnlib.fast import Convolution, Pooling
from cnnlib.gradients import check_gradient, gradient_check, numerical_gradient
from cnnlib.layers import Affine, Dropout, Relu, Sigmoid, SoftmaxWithLoss
from cnnlib.networks import DeepConvNet, PhotoConvNet, SimpleConvNet, filter_history, load_trained
from cnnlib.optimizers import SGD, AdaGrad, Adam, Momentum, Nesterov, RMSprop
from cnnlib.trainer import Trainer
from cnnlib.windows import col2im, conv_output_size, im2col

__all__ = [
    "SGD", "AdaGrad", "Adam", "Affine", "AlexNet", "Convolution", "DeepConvNet", "Dropout",
    "GroupedConvolution", "LeNet", "LeNet5", "LocalResponseNormalization", "Momentum", "Nesterov",
    "PhotoConvNet", "Pooling", "RMSprop", "Relu", "ScaledTanh", "Sigmoid", "SimpleConvNet",
    "SoftmaxWithLoss", "Subsampling", "TableConvolution", "Trainer", "centre_digit",
    "check_gradient", "col2im", "conv_output_size", "filter_history", "gradient_check", "im2col",
    "load_cifar10", "load_digits28", "load_fashion_mnist", "load_mnist", "load_trained",
    "numerical_gradient",
]  # fmt: skip
