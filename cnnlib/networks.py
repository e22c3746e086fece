"""Networks: a list of layers, and a loss at the end.

`SimpleConvNet` is the network of section 7.5, written out as the book lists it. What it shares with
all others (predict, loss, accuracy, gradient, saving) stands above it in `Network`, and fits on a
page because every layer answers to the same two words, forward and backward. `DeepConvNet` (for
section 7.6.2), `LeNet` and `AlexNet` (section 7.7) follow on the same base, stacked layer by layer.
"""

import copy
import math
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cnnlib.gradients import numerical_gradient, repeatable_loss
from cnnlib.layers import (
    Affine,
    Convolution,
    Dropout,
    LocalResponseNormalization,
    Pooling,
    Relu,
    Sigmoid,
    SoftmaxWithLoss,
    class_indices,
)
from cnnlib.partial import GroupedConvolution
from cnnlib.windows import whole_number


class LayerRow(NamedTuple):
    """One layer in the table of a network.

    Attributes
    ----------
    name, kind : str
        Name in ``network.layers``, and class of the layer.
    shape : tuple of int
        Shape of what it puts out for one image.
    parameters : int
        Number of weights and biases.
    multiplications : int
        How often a weight is multiplied for one image: each weight once at every place of the
        output, OH*OW times in a feature map and once in an affine layer. What multiplies by no
        weight (pooling, normalisation, activation) counts as 0.
    """

    name: str
    kind: str
    shape: tuple
    parameters: int
    multiplications: int


class Network:
    """Layers in order, a softmax with loss at the end, and what one does with them.

    Parameters
    ----------
    input_dim : tuple of int
        Shape (C, H, W) of one image.
    dtype : dtype, default numpy.float32
        Dtype of the parameters; float64 for gradient checks.
    rng : numpy.random.Generator or int, optional
        Source of the initial weights, or a seed for one.

    Attributes
    ----------
    params : dict of ndarray
        W1, b1, W2, b2, ... in the order of the layers. The layers hold the same arrays: whoever
        changes one in place changes the network.
    layers : dict of Layer
        From the input to the scores.
    last_layer : SoftmaxWithLoss
        From the scores to the loss.
    """

    def __init__(self, input_dim, dtype=np.float32, rng=None):
        if np.shape(input_dim) != (3,):
            raise ValueError(f"input_dim must be (C, H, W), got {input_dim!r}")
        self.input_dim = tuple(
            whole_number(letter, size) for letter, size in zip("CHW", input_dim, strict=True)
        )
        self.dtype = np.dtype(dtype)
        if not np.issubdtype(self.dtype, np.floating):
            raise ValueError(f"dtype must be a floating-point one, got {self.dtype}")
        self.rng = np.random.default_rng(rng)
        self.params = {}
        self.layers = {}
        self.last_layer = SoftmaxWithLoss()

    def predict(self, x, train_flg=False):
        """Compute the scores of the classes, layer after layer.

        Parameters
        ----------
        x : ndarray, shape (N, C, H, W)
            Images, floating point.
        train_flg : bool, default False
            Keep what the backward pass needs, and let Dropout drop.

        Returns
        -------
        ndarray, shape (N, K)
            Scores before the softmax; the largest is the answer.

        Raises
        ------
        ValueError
            If the images are not of the shape this network was built for.
        """
        self.check_images(x)
        for layer in self.layers.values():
            x = layer.forward(x, train_flg)
        return x

    def probabilities(self, x):
        """Compute the probability of each class: softmax of the scores.

        Parameters
        ----------
        x : ndarray, shape (N, C, H, W)
            Images, floating point.

        Returns
        -------
        ndarray, shape (N, K)
            Every row adds up to 1.
        """
        scores = self.predict(x)
        exp = np.exp(scores - scores.max(axis=1, keepdims=True))  # the largest becomes 1
        return exp / exp.sum(axis=1, keepdims=True)

    def check_images(self, x):
        """Raise ValueError unless x is a batch of the images this network was built for."""
        if np.shape(x)[1:] != self.input_dim:
            raise ValueError(
                f"{type(self).__name__} was built for images (C, H, W) = {self.input_dim}, a "
                f"batch (N, {', '.join(map(str, self.input_dim))}); got x of shape {np.shape(x)}"
            )

    def loss(self, x, t, train_flg=True):
        """Compute the mean loss of a batch: predict, then softmax with cross entropy.

        Parameters
        ----------
        x : ndarray, shape (N, C, H, W)
            Images.
        t : ndarray, shape (N,) or (N, K)
            Labels, as class numbers or one-hot.
        train_flg : bool, default True
            As for `predict`.

        Returns
        -------
        float
        """
        return self.last_layer.forward(self.predict(x, train_flg), t, train_flg)

    def accuracy(self, x, t, batch_size=100):
        """Compute the share of right answers over all samples, the last partial batch included.

        Parameters
        ----------
        x : ndarray, shape (N, C, H, W)
            Images.
        t : ndarray, shape (N,) or (N, K)
            Labels, as class numbers or one-hot.
        batch_size : int, default 100
            How many samples go through the network at a time; it changes memory, not the result.

        Returns
        -------
        float
            Between 0 and 1.

        Raises
        ------
        ValueError
            If there are no samples, if there is not one label for each, or if `batch_size` is not
            a whole number, at least 1.
        """
        batch_size = whole_number("batch_size", batch_size)
        if len(x) == 0 or len(x) != len(t):
            raise ValueError(f"accuracy needs samples and a label for each: {len(x)} and {len(t)}")
        right = 0
        for start in range(0, len(x), batch_size):
            scores = self.predict(x[start : start + batch_size])
            labels = class_indices(t[start : start + batch_size], *scores.shape)
            right += int((scores.argmax(axis=1) == labels).sum())
        return right / len(x)

    def gradient(self, x, t):
        """Compute the gradient of the loss by every parameter, by backpropagation.

        The loss itself comes along for free: ``network.last_layer.loss``.

        Parameters
        ----------
        x : ndarray, shape (N, C, H, W)
            Images.
        t : ndarray, shape (N,) or (N, K)
            Labels.

        Returns
        -------
        dict of ndarray
            Names and shapes as `params`.
        """
        self.loss(x, t)
        return self.backward()

    def backward(self):
        """Go back through the last forward pass, and collect the gradients of the parameters.

        Returns
        -------
        dict of ndarray
            Names and shapes as `params`.
        """
        dout = self.last_layer.backward(1)
        first, *others = self.layers.values()
        for layer in reversed(others):
            dout = layer.backward(dout)
        first.backward(dout, need_dx=False)  # nobody asks for the gradient of the images here

        grads = {}
        for number, layer in enumerate(self._parameter_layers(), start=1):
            grads[f"W{number}"] = layer.dW
            grads[f"b{number}"] = layer.db
        return grads

    def numerical_gradient(self, x, t):
        """Compute the same gradient by central differences: slow, and independent of `backward`.

        It runs on a float64 copy of the network: in float32 the differences would drown in
        rounding.

        Parameters
        ----------
        x, t : ndarray
            As for `gradient`. Two forward passes for every single parameter: take few and small
            images.

        Returns
        -------
        dict of ndarray
            Names and shapes as `params`, in float64.
        """
        twin = self.astype(np.float64)
        loss = repeatable_loss(twin, np.asarray(x, dtype=np.float64), t)
        return {name: numerical_gradient(loss, p) for name, p in twin.params.items()}

    def astype(self, dtype):
        """Return an independent copy of the network whose parameters have another dtype."""
        twin = copy.deepcopy(self)
        twin.dtype = np.dtype(dtype)
        for number, layer in enumerate(twin._parameter_layers(), start=1):
            layer.W = twin.params[f"W{number}"] = layer.W.astype(dtype)
            layer.b = twin.params[f"b{number}"] = layer.b.astype(dtype)
        return twin

    def summary(self):
        """List the layers with the shape of what they put out and their number of parameters.

        Returns
        -------
        list of (str, tuple of int, int)
            Name, shape for one image, number of weights and biases; the input stands first.
        """
        return [(row.name, row.shape, row.parameters) for row in self.table()]

    def table(self):
        """List the layers as `summary` does, with their kind and number of multiplications.

        Returns
        -------
        list of LayerRow
            (name, kind, shape, parameters, multiplications); the input stands first.
        """
        rows, shape = [LayerRow("input", "input", self.input_dim, 0, 0)], self.input_dim
        for name, layer in self.layers.items():
            shape = layer.output_shape(shape)
            parameters = multiplications = 0
            if hasattr(layer, "W"):
                parameters = layer.W.size + layer.b.size
                multiplications = layer.W.size * math.prod(shape[1:])  # by the number of places
            rows.append(LayerRow(name, type(layer).__name__, shape, parameters, multiplications))
        return rows

    def save_params(self, file_name="params.npz"):
        """Write all parameters to a .npz file: whole or not at all.

        Parameters
        ----------
        file_name : path-like, default "params.npz"
            Written beside it first and then renamed, so that no half-written file is ever seen.
        """
        file_name = Path(file_name)
        temporary = file_name.with_name(f"{file_name.name}.part")
        try:
            with open(temporary, "wb") as file:
                np.savez_compressed(file, **self.params)
            os.replace(temporary, file_name)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def load_params(self, file_name="params.npz"):
        """Read parameters written by `save_params` into this network.

        Everything is checked before the first number is overwritten. Any floating-point dtype is
        taken (files may be stored as float16) and becomes the network's own.

        Parameters
        ----------
        file_name : path-like, default "params.npz"

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is not a .npz file of plain arrays, if names or shapes are not this network's, or
            if a number is NaN or infinite.
        """
        with open(file_name, "rb") as stream:
            try:
                with np.load(stream, allow_pickle=False) as file:
                    loaded = {name: file[name] for name in file.files}
            except Exception as error:  # a damaged archive may fail anywhere in NumPy, zip or zlib
                raise ValueError(
                    f"{file_name} is not a .npz file of plain arrays, or is damaged "
                    "(pickles, as the book writes them, are not opened)"
                ) from error
        if loaded.keys() != self.params.keys():
            raise ValueError(
                f"{file_name} holds {sorted(loaded)}, but {type(self).__name__} has "
                f"{sorted(self.params)}"
            )
        for name, p in self.params.items():
            if loaded[name].shape != p.shape:
                raise ValueError(
                    f"{name} has shape {loaded[name].shape} in {file_name}, but {p.shape} in this "
                    f"{type(self).__name__}"
                )
            if not np.issubdtype(loaded[name].dtype, np.floating):
                raise ValueError(f"{name} in {file_name} has dtype {loaded[name].dtype}, not float")
            if not np.isfinite(loaded[name]).all():
                raise ValueError(f"{name} in {file_name} holds NaN or infinity")
        for name, p in self.params.items():
            p[...] = loaded[name]

    def _parameter_layers(self):
        """List the layers that have weights, in order: the i-th one holds W<i> and b<i>."""
        return [layer for layer in self.layers.values() if hasattr(layer, "W")]

    def _gaussian(self, shape, std):
        """Draw initial weights, normally distributed with mean 0 and standard deviation std."""
        if not 0 <= std < np.inf:
            raise ValueError(f"the standard deviation of the weights must be >= 0, got {std}")
        return (std * self.rng.standard_normal(shape, dtype=np.float32)).astype(self.dtype)


class SimpleConvNet(Network):
    """The network of section 7.5: conv - relu - pool - affine - relu - affine - softmax.

    Parameters
    ----------
    input_dim : tuple of int, default (1, 28, 28)
        Shape (C, H, W) of one image.
    conv_param : dict, optional
        Hyperparameters of the convolution; what is left out is taken from
        ``{"filter_num": 30, "filter_size": 5, "pad": 0, "stride": 1}``.
    hidden_size : int, default 100
        Neurons of the hidden fully connected layer.
    output_size : int, default 10
        Number of classes K.
    weight_init_std : float, default 0.01
        Standard deviation of the initial weights. Biases start at zero.
    dtype, rng
        As for `Network`.

    Raises
    ------
    ValueError
        If `conv_param` has an unknown key, or if filter or pooling do not fit.

    Notes
    -----
    Book section 7.5. The pooling is 2 x 2 with stride 2; where its input has an odd size, the last
    row and column are left out, as everywhere in the field.
    """

    def __init__(
        self,
        input_dim=(1, 28, 28),
        conv_param=None,
        hidden_size=100,
        output_size=10,
        weight_init_std=0.01,
        *,
        dtype=np.float32,
        rng=None,
    ):
        super().__init__(input_dim, dtype, rng)
        defaults = {"filter_num": 30, "filter_size": 5, "pad": 0, "stride": 1}
        conv_param = {} if conv_param is None else conv_param
        if unknown := conv_param.keys() - defaults.keys():
            raise ValueError(
                f"unknown keys {sorted(unknown)} in conv_param; known are {list(defaults)}"
            )
        conv_param = defaults | conv_param
        FN = whole_number("filter_num", conv_param["filter_num"])
        FH = whole_number("filter_size", conv_param["filter_size"])
        hidden_size = whole_number("hidden_size", hidden_size)
        output_size = whole_number("output_size", output_size)
        C, _, _ = self.input_dim

        # Weights of the convolution, and the two layers they go through
        self.params["W1"] = self._gaussian((FN, C, FH, FH), weight_init_std)
        self.params["b1"] = np.zeros(FN, dtype)
        conv = Convolution(
            self.params["W1"], self.params["b1"], conv_param["stride"], conv_param["pad"]
        )
        pool = Pooling(pool_h=2, pool_w=2, stride=2)
        pool_output = pool.output_shape(conv.output_shape(self.input_dim))  # (FN, OH, OW)

        # Weights of the two fully connected layers
        pool_output_size = int(np.prod(pool_output))  # FN*OH*OW
        self.params["W2"] = self._gaussian((pool_output_size, hidden_size), weight_init_std)
        self.params["b2"] = np.zeros(hidden_size, dtype)
        self.params["W3"] = self._gaussian((hidden_size, output_size), weight_init_std)
        self.params["b3"] = np.zeros(output_size, dtype)

        self.layers["Conv1"] = conv
        self.layers["Relu1"] = Relu()
        self.layers["Pool1"] = pool
        self.layers["Affine1"] = Affine(self.params["W2"], self.params["b2"])
        self.layers["Relu2"] = Relu()
        self.layers["Affine2"] = Affine(self.params["W3"], self.params["b3"])


class Stack(Network):
    """A network that is built by stacking layers, each sized by the output of the one before.

    `weight_init_std` and `gain`, which its heirs set, decide the initial weights.
    """

    @property
    def _shape(self):
        """Shape of one image after the layers stacked so far."""
        return self.summary()[-1][1]

    def _add(self, name, layer):
        """Append a layer; its weights become the next W and b of `params`."""
        layer.output_shape(self._shape)  # raises where the layer does not fit
        self.layers[name] = layer
        if hasattr(layer, "W"):
            number = len(self._parameter_layers())
            self.params[f"W{number}"], self.params[f"b{number}"] = layer.W, layer.b

    def _add_convolution(self, name, filter_num, filter_size, stride=1, pad=0, groups=1):
        C = self._shape[0] // whole_number("groups", groups)  # channels that a filter sees
        W = self._weights((filter_num, C, filter_size, filter_size), C * filter_size**2)
        b = np.zeros(filter_num, self.dtype)
        if groups == 1:
            self._add(name, Convolution(W, b, stride, pad))
        else:
            self._add(name, GroupedConvolution(W, b, stride, pad, groups))

    def _add_affine(self, name, size):
        D, size = int(np.prod(self._shape)), whole_number("size", size)
        self._add(name, Affine(self._weights((D, size), D), np.zeros(size, self.dtype)))

    def _weights(self, shape, fan_in):
        """Draw weights with the deviation asked for, or one that keeps the size of signals."""
        std = self.weight_init_std
        return self._gaussian(shape, np.sqrt(self.gain / fan_in) if std is None else std)


def _activation(name):
    """Return the layer of that name, and the gain with which weights keep the size of signals."""
    kinds = {"sigmoid": (Sigmoid, 1.0), "relu": (Relu, 2.0)}
    if name not in kinds:
        raise ValueError(f"activation must be 'sigmoid' or 'relu', got {name!r}")
    return kinds[name]


class DeepConvNet(Stack):
    """Six convolutions of 3 x 3 in three pairs, each pair with a max pooling after it; two affine.

    ::

        (conv - relu - conv - relu - pool) x 3 - affine - relu - dropout - affine

    Two windows of 3 x 3 see as much as one of 5 x 5, with fewer weights and one more ReLU between.
    A 28 x 28 image becomes 24 x 24, 12 x 12, 8 x 8, 4 x 4 and, since the last two convolutions pad
    by 1 (nothing would be left otherwise), 4 x 4 once more and 2 x 2.

    Parameters
    ----------
    input_dim : tuple of int, default (1, 28, 28)
        Shape (C, H, W) of one image.
    output_size : int, default 10
        Number of classes K.
    filter_nums : tuple of six int, default (16, 16, 32, 32, 64, 64)
        Filters of the six convolutions.
    hidden_size : int, default 100
        Neurons of the hidden affine layer.
    dropout_ratio : float, default 0.5
        For the hidden affine layer; 0 to do without.
    activation : {"relu", "sigmoid"}, default "relu"
        What stands between the layers; the sigmoid for comparison.
    weight_init_std : float, optional
        Standard deviation of the initial weights; by default sqrt(2 / fan-in) for ReLU (He et al.
        2015) and sqrt(1 / fan-in) for the sigmoid (book section 6.2).
    dtype, rng
        As for `Network`.

    Raises
    ------
    ValueError
        If a filter or a pooling does not fit, or a setting is not possible.

    Notes
    -----
    After the idea of book section 8.1 (and of VGG, Simonyan and Zisserman 2014), in a size that
    trains here: `cnnlib.trained.load_trained` has its weights.
    """

    def __init__(
        self,
        input_dim=(1, 28, 28),
        output_size=10,
        filter_nums=(16, 16, 32, 32, 64, 64),
        hidden_size=100,
        dropout_ratio=0.5,
        activation="relu",
        weight_init_std=None,
        *,
        dtype=np.float32,
        rng=None,
    ):
        super().__init__(input_dim, dtype, rng)
        self.weight_init_std = weight_init_std
        squash, self.gain = _activation(activation)
        if len(filter_nums) != 6:
            raise ValueError(f"filter_nums must be six numbers, got {filter_nums}")
        for i, filter_num in enumerate(filter_nums, start=1):
            self._add_convolution(f"Conv{i}", filter_num, 3, pad=0 if i < 5 else 1)
            self._add(f"{squash.__name__}{i}", squash())
            if i % 2 == 0:
                self._add(f"Pool{i // 2}", Pooling(2, 2, stride=2))
        self._add_affine("Affine1", hidden_size)
        self._add(f"{squash.__name__}7", squash())
        self._add("Dropout1", Dropout(dropout_ratio, self.rng))
        self._add_affine("Affine2", output_size)


class LeNet(Stack):
    """LeNet-5: conv - pool - conv - pool - conv - affine - affine, with sigmoids between.

    With 32 x 32 images and pad 0 it has the published shapes: C1 6 x 28 x 28, S2 6 x 14 x 14,
    C3 16 x 10 x 10, S4 16 x 5 x 5, C5 120 x 1 x 1, F6 84, output 10. A 28 x 28 image gets there
    with pad 2, which is the default: the paper, too, set its digits into a larger frame.

    Parameters
    ----------
    input_dim : tuple of int, default (1, 28, 28)
        Shape (C, H, W) of one image.
    output_size : int, default 10
        Number of classes K.
    pad : int, default 2
        Zero padding of the first convolution.
    weight_init_std : float, optional
        Standard deviation of the initial weights; by default sqrt(1 / fan-in) for the sigmoid and
        sqrt(2 / fan-in) for ReLU (book section 6.2).
    activation : {"sigmoid", "relu"}, default "sigmoid"
        What stands between the layers; ReLU for comparison.
    pooling : {"average", "max"}, default "average"
        What shrinks the maps, in windows of 2 x 2; the maximum for comparison.
    dtype, rng
        As for `Network`.

    Notes
    -----
    Book section 7.7; LeCun, Bottou, Bengio and Haffner, "Gradient-Based Learning Applied to
    Document Recognition" (1998), section II.B. As in the book, subsampling is a plain mean, C3
    sees all six maps of S2, and the output is a softmax; in the paper subsampling has a trainable
    coefficient and bias per map, C3 connects only some of the maps, and the output compares with
    stored patterns: `cnnlib.lenet.LeNet5` is that network.
    """

    def __init__(
        self,
        input_dim=(1, 28, 28),
        output_size=10,
        pad=2,
        weight_init_std=None,
        activation="sigmoid",
        pooling="average",
        *,
        dtype=np.float32,
        rng=None,
    ):
        super().__init__(input_dim, dtype, rng)
        self.weight_init_std = weight_init_std
        squash, self.gain = _activation(activation)
        self._add_convolution("C1", 6, 5, pad=pad)
        self._add("Act1", squash())
        self._add("S2", Pooling(2, 2, stride=2, mode=pooling))
        self._add_convolution("C3", 16, 5)
        self._add("Act3", squash())
        self._add("S4", Pooling(2, 2, stride=2, mode=pooling))
        self._add_convolution("C5", 120, 5)
        self._add("Act5", squash())
        self._add_affine("F6", 84)
        self._add("Act6", squash())
        self._add_affine("Output", output_size)


class AlexNet(Stack):
    """AlexNet: five convolutions, three overlapping poolings, three affine layers, all with ReLU.

    The defaults are the published shapes: 96 x 55 x 55 after the first convolution, 256 x 27 x 27,
    384 x 13 x 13 twice, 256 x 13 x 13, then 4096, 4096 and 1000 neurons. `AlexNet.small` has the
    same layers in a size that learns digits here.

    Parameters
    ----------
    input_dim : tuple of int, default (3, 227, 227)
        Shape (C, H, W) of one image. The paper says 224; without padding 227 gives its 55 x 55.
    output_size : int, default 1000
        Number of classes K.
    filter_nums : tuple of five int
        Filters of the five convolutions.
    hidden_size : int, default 4096
        Neurons of the two hidden affine layers.
    first_filter : tuple (size, stride, pad), default (11, 4, 0)
        Window of the first convolution.
    second_filter : tuple (size, stride, pad), default (5, 1, 2)
        Window of the second one. The other three are 3 x 3 with pad 1.
    dropout_ratio : float, default 0.5
        For the two hidden affine layers.
    weight_init_std : float, optional
        Standard deviation of the initial weights; by default sqrt(2 / fan-in), chosen for ReLU
        (He et al. 2015). The paper used 0.01.
    groups : int, default 2
        Groups of channels in the second, fourth and fifth convolution: the paper split them
        between two GPUs, so that a filter there sees half of the channels. 1 to see all.
    normalize : bool, default True
        With the two local response normalisations, or without.
    dtype, rng
        As for `Network`.

    Notes
    -----
    Book section 7.7; Krizhevsky, Sutskever and Hinton (2012), section 3. It has 60,965,224
    parameters, the paper's "60 million"; without groups it would have 62,378,344. PyTorch's
    ``torchvision.models.alexnet`` is another network, after Krizhevsky's "One weird trick for
    parallelizing convolutional neural networks" (2014): 64, 192, 384, 256 and 256 filters, no
    groups, no normalisation, 224 x 224 images with padding 2, and 61,100,840 parameters::

        AlexNet((3, 224, 224), filter_nums=(64, 192, 384, 256, 256), first_filter=(11, 4, 2),
                groups=1, normalize=False)
    """

    def __init__(
        self,
        input_dim=(3, 227, 227),
        output_size=1000,
        filter_nums=(96, 256, 384, 384, 256),
        hidden_size=4096,
        first_filter=(11, 4, 0),
        second_filter=(5, 1, 2),
        dropout_ratio=0.5,
        weight_init_std=None,
        groups=2,
        normalize=True,
        *,
        dtype=np.float32,
        rng=None,
    ):
        super().__init__(input_dim, dtype, rng)
        self.weight_init_std, self.gain = weight_init_std, 2.0
        if len(filter_nums) != 5:
            raise ValueError(f"filter_nums must be five numbers, got {filter_nums}")
        windows = (first_filter, second_filter, (3, 1, 1), (3, 1, 1), (3, 1, 1))
        for i, (filter_num, window) in enumerate(zip(filter_nums, windows, strict=True), start=1):
            self._add_convolution(f"Conv{i}", filter_num, *window, groups if i in (2, 4, 5) else 1)
            self._add(f"Relu{i}", Relu())
            if normalize and i in (1, 2):
                self._add(f"Norm{i}", LocalResponseNormalization())
            if i in (1, 2, 5):
                self._add(f"Pool{i}", Pooling(3, 3, stride=2))
        for i in (6, 7):
            self._add_affine(f"Affine{i}", hidden_size)
            self._add(f"Relu{i}", Relu())
            self._add(f"Dropout{i}", Dropout(dropout_ratio, self.rng))
        self._add_affine("Affine8", output_size)

    @classmethod
    def small(cls, input_dim=(1, 28, 28), output_size=10, **keywords):
        """Build the same layers for small images, quick enough to train here.

        Parameters
        ----------
        input_dim : tuple of int, default (1, 28, 28)
            Shape (C, H, W) of one image.
        output_size : int, default 10
            Number of classes K.
        **keywords
            Passed on to `AlexNet`.

        Returns
        -------
        AlexNet
            Filters 16, 32, 48, 48, 32, all in one group; 5 x 5 windows first; 128 hidden neurons.
        """
        sizes = {
            "filter_nums": (16, 32, 48, 48, 32),
            "hidden_size": 128,
            "first_filter": (5, 1, 2),
            "groups": 1,
        }
        return cls(input_dim, output_size, **(sizes | keywords))
