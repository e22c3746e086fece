"""Convolutional neural networks from scratch, in NumPy, to be read.

Read the modules in this order; each needs only those before it::

    windows      how many windows fit; im2col and col2im
    naive        convolution and pooling as plain loops
    layers       Convolution, Pooling, Affine, Relu, ...: forward and backward
    ladder       one convolution in five ways, each faster
    partial      convolutions whose filters see some of the channels
    gradients    gradients by differences, to check backward
    networks     SimpleConvNet, DeepConvNet, LeNet, AlexNet
    lenet        LeNet-5 as it was published
    optimizers   SGD, Momentum, ..., Adam
    trainer      the training loop
    trained      weights that come with the package
    introspection  what neurons answer to, and where they look (not loaded by itself)
    datasets     handwritten digits
    centring     from a drawing to a digit as MNIST has it
    sizes        how much a notebook trains

``figures`` draws and ``widgets`` moves; neither is loaded by ``import cnnlib``.

Notation, in code, notebooks and error messages alike::

    x     (N, C, H, W)       N images of C channels, H rows and W columns
    W     (FN, C, FH, FW)    FN filters; as many channels as the images
    b     (FN,)              one bias per filter
    out   (N, FN, OH, OW)    FN feature maps per image
    S, P  stride and padding, called ``stride`` and ``pad``
    OH  = (H + 2*P - FH) // S + 1,  OW alike    formula (7.1)
    dx, dW, db               gradients of the loss by x, W, b; dout by the output
"""

from cnnlib.centring import centre_digit
from cnnlib.datasets import load_digits28, load_fashion_mnist, load_mnist
from cnnlib.gradients import check_gradient, gradient_check, numerical_gradient
from cnnlib.layers import (
    Affine,
    Convolution,
    Dropout,
    LocalResponseNormalization,
    Pooling,
    Relu,
    Sigmoid,
    SoftmaxWithLoss,
)
from cnnlib.lenet import LeNet5, ScaledTanh, Subsampling
from cnnlib.networks import AlexNet, DeepConvNet, LeNet, SimpleConvNet
from cnnlib.optimizers import SGD, AdaGrad, Adam, Momentum, Nesterov, RMSprop
from cnnlib.partial import GroupedConvolution, TableConvolution
from cnnlib.trained import filter_history, load_trained
from cnnlib.trainer import Trainer
from cnnlib.windows import col2im, conv_output_size, im2col

__all__ = [
    "SGD",
    "AdaGrad",
    "Adam",
    "Affine",
    "AlexNet",
    "Convolution",
    "DeepConvNet",
    "Dropout",
    "GroupedConvolution",
    "LeNet",
    "LeNet5",
    "LocalResponseNormalization",
    "Momentum",
    "Nesterov",
    "Pooling",
    "RMSprop",
    "Relu",
    "ScaledTanh",
    "Sigmoid",
    "SimpleConvNet",
    "SoftmaxWithLoss",
    "Subsampling",
    "TableConvolution",
    "Trainer",
    "centre_digit",
    "check_gradient",
    "col2im",
    "conv_output_size",
    "filter_history",
    "gradient_check",
    "im2col",
    "load_digits28",
    "load_fashion_mnist",
    "load_mnist",
    "load_trained",
    "numerical_gradient",
]
