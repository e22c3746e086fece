"""Networks: a list of layers, and a loss at the end.

`SimpleConvNet` is the network of section 7.5, written out as the book lists it. What it shares with
all others (predict, loss, accuracy, gradient, saving) stands above it in `Network`. `DeepConvNet`
and `PhotoConvNet` (section 7.6.2) are stacked layer by layer, as are those of `cnnlib.classics`.
`load_trained` gives each with weights that have learned MNIST or CIFAR-10.
"""

import contextlib
import contextvars
import copy
import functools
import math
import os
import secrets
import shutil
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor, wait
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cnnlib.fast import Convolution, Pooling, one_blas_thread
from cnnlib.gradients import numerical_gradient, repeatable_loss
from cnnlib.layers import Affine, Dropout, Relu, Sigmoid, SoftmaxWithLoss, class_indices, softmax
from cnnlib.windows import check_float, whole_number

PARTS = 2  # of a batch, for `Network.gradient`: fixed, so that all machines get the same numbers
LARGE = 64  # images in a batch, from which on its parts gain more than they cost
CORES = 1 if sys.platform == "emscripten" else os.cpu_count() or 1  # in a browser: no threads


class LayerRow(NamedTuple):
    """One layer in the table of a network."""

    name: str  # in network.layers
    kind: str  # class of the layer
    shape: tuple  # of the output for one image
    parameters: int  # weights and biases
    multiplications: int  # for one image: each weight is used at every position of the output


class Network:
    """Layers in order, a softmax with loss at the end, and what one does with them.

    Parameters
    ----------
    input_dim : tuple of int
        Shape (C, H, W) of one image.
    dtype : dtype, default numpy.float32
        Dtype of the parameters; float64 for gradient checks.
    rng : numpy.random.Generator or int, optional
        Source of the initial weights and of Dropout, or a seed for one.

    Attributes
    ----------
    params : dict of ndarray
        W1, b1, W2, b2, ... in the order of the layers, which hold the same arrays: whoever changes
        one in place changes the network.
    layers, last_layer : dict of Layer, and SoftmaxWithLoss
        From the input to the scores, and from there to the loss.
    """

    def __init__(self, input_dim, dtype=np.float32, rng=None):
        if np.shape(input_dim) != (3,):
            raise ValueError(f"input_dim must be (C, H, W), got {input_dim!r}")
        self.input_dim = tuple(
            whole_number(letter, size) for letter, size in zip("CHW", input_dim, strict=True)
        )
        self.dtype = _float_dtype(dtype)
        self.rng = np.random.default_rng(rng)
        self.params, self.layers = {}, {}
        self.last_layer = SoftmaxWithLoss()

    def predict(self, x, train_flg=False):
        """Compute the scores of the classes, layer after layer.

        Parameters
        ----------
        x : ndarray, shape (N, C, H, W)
            Images of the shape this network was built for (else ValueError), floating point.
        train_flg : bool, default False
            Save what the backward pass needs, and let Dropout drop.

        Returns
        -------
        ndarray, shape (N, K)
            The largest score is the answer.
        """
        self.check_images(x)
        with one_blas_thread():
            for layer in self.layers.values():
                x = layer.forward(x, train_flg)
        return x

    def probabilities(self, x):
        """Compute the probability of each class, (N, K): softmax of the scores."""
        return softmax(self.predict(x))

    def check_images(self, x):
        """Raise ValueError unless x is a batch of the images this network was built for."""
        if np.shape(x)[1:] != self.input_dim:
            raise ValueError(
                f"{type(self).__name__} was built for images (C, H, W) = {self.input_dim}, a "
                f"batch (N, {', '.join(map(str, self.input_dim))}); got x of shape {np.shape(x)}"
            )
        check_float(x)

    def loss(self, x, t, train_flg=True):
        """Compute the mean loss of a batch: predict, then softmax with cross entropy.

        The labels t are class numbers of shape (N,), or one-hot (N, K).
        """
        return self.last_layer.forward(self.predict(x, train_flg), t, train_flg)

    def accuracy(self, x, t, batch_size=100):
        """Compute the share of right answers over all images x with labels t, 0 to 1.

        `batch_size` images go through the network at a time. Scores that are NaN are no answer.
        """
        batch_size, t = whole_number("batch_size", batch_size), np.atleast_1d(t)
        if len(x) == 0 or len(x) != len(t):
            raise ValueError(f"accuracy needs samples and a label for each: {len(x)} and {len(t)}")
        right = 0
        for start in range(0, len(x), batch_size):
            scores = self.predict(x[start : start + batch_size])  # (batch_size, K)
            labels = class_indices(t[start : start + batch_size], *scores.shape)
            answered = ~np.isnan(scores).any(axis=1)
            right += int((answered & (scores.argmax(axis=1) == labels)).sum())
        return right / len(x)

    def gradient(self, x, t):
        """Compute the gradient of the loss with respect to every parameter, by backpropagation.

        It is ``loss(x, t)`` and then ``backward()``, on copies of the layers. Of a large batch two
        halves do that in two threads; their gradients, each with its share of the loss, are added
        up. Names and shapes are those of `params`; ``network.last_layer.loss`` is the loss.
        """
        self.check_images(x)
        t = np.atleast_1d(t)
        if len(x) != len(t):
            raise ValueError(f"gradient needs a label for each image: {len(x)} and {len(t)}")
        n = PARTS if len(x) >= LARGE else 1
        parts = map(self._part, self.rng.integers(2**63, size=n))  # one by one: they take memory

        def forward_and_back(context, part, x_part, t_part):
            share = len(x_part) / len(x)
            loss = share * context.run(part.loss, x_part, t_part)
            return loss, context.run(part.backward, share)

        each = map if n == 1 or CORES == 1 else _map_in_threads
        with one_blas_thread():
            contexts = [contextvars.copy_context() for _ in range(n)]  # np.errstate counts there
            halves = np.array_split(x, n), np.array_split(t, n)
            (total, grads), *others = each(forward_and_back, contexts, parts, *halves)
        for loss, more in others:
            total += loss
            for name in grads:
                grads[name] += more[name]
        self.last_layer.loss = total
        return grads

    def _part(self, seed):
        """Copy the layers, with what they save, but not their parameters: those are shared."""
        part = copy.copy(self)
        part.layers = {name: copy.copy(layer) for name, layer in self.layers.items()}
        part.last_layer = copy.copy(self.last_layer)
        part.rng = np.random.default_rng(seed)
        for layer in part.layers.values():
            if hasattr(layer, "rng"):
                layer.rng = part.rng
        return part

    def backward(self, dout=1):
        """Go back through the last forward pass, and collect the gradients of the parameters."""
        dout = self.last_layer.backward(dout)
        first, *others = self.layers.values()
        with one_blas_thread():
            for layer in reversed(others):
                dout = layer.backward(dout)
            if type(first) is Convolution:
                first.backward(dout, need_dx=False)  # nobody reads the gradient by the images
            else:
                first.backward(dout)

        grads = {}
        for number, layer in enumerate(self._parameter_layers(), start=1):
            grads[f"W{number}"] = layer.dW
            grads[f"b{number}"] = layer.db
        return grads

    def numerical_gradient(self, x, t):
        """Compute the same gradient by central differences: slow, and independent of `backward`.

        It takes two forward passes of a float64 copy for every parameter: take few, small images.
        """
        twin = self.astype(np.float64)
        loss = repeatable_loss(twin, np.asarray(x, dtype=np.float64), t)
        return {name: numerical_gradient(loss, p) for name, p in twin.params.items()}

    def astype(self, dtype):
        """Return an independent copy of the network whose parameters have another float dtype."""
        twin = copy.deepcopy(self)
        twin.dtype = _float_dtype(dtype)
        for number, layer in enumerate(twin._parameter_layers(), start=1):
            layer.W = twin.params[f"W{number}"] = layer.W.astype(dtype)
            layer.b = twin.params[f"b{number}"] = layer.b.astype(dtype)
        return twin

    def summary(self):
        """List (name, shape for one image, number of parameters) of the input and each layer."""
        return [(row.name, row.shape, row.parameters) for row in self.table()]

    def table(self):
        """List a `LayerRow` for the input and for each layer."""
        rows, shape = [LayerRow("input", "input", self.input_dim, 0, 0)], self.input_dim
        for name, layer in self.layers.items():
            shape = layer.output_shape(shape)
            parameters = multiplications = 0
            if hasattr(layer, "W"):
                parameters = layer.W.size + layer.b.size
                multiplications = layer.W.size * math.prod(shape[1:])  # by the number of positions
            rows.append(LayerRow(name, type(layer).__name__, shape, parameters, multiplications))
        return rows

    def save_params(self, file_name="params.npz"):
        """Write all parameters to a .npz file, whole or not at all: to a new file, then renamed."""
        file_name = Path(file_name).resolve()
        temporary = file_name.with_name(f"{file_name.name}.{secrets.token_hex(8)}.part")
        try:
            with open(temporary, "xb") as file:
                np.savez_compressed(file, **self.params)
            if file_name.is_file():
                shutil.copymode(file_name, temporary)
            os.replace(temporary, file_name)
        finally:
            temporary.unlink(missing_ok=True)

    def load_params(self, file_name="params.npz"):
        """Read parameters written by `save_params` into this network.

        Names and shapes are compared before the numbers are read, and all is checked before the
        first one is overwritten. Any floating-point dtype becomes the network's own. ValueError
        if it is not a .npz file of plain arrays, if names or shapes are not this network's, or if a
        number is NaN or infinite in the dtype of the network.
        """
        with open(file_name, "rb") as stream:
            with _archive_errors(file_name), zipfile.ZipFile(stream) as archive:
                headers = dict(_npy_header(archive, member) for member in archive.namelist())
            if headers.keys() != self.params.keys():
                has = f"{type(self).__name__} has {sorted(self.params)}"
                raise ValueError(f"{file_name} holds {sorted(headers)}, but {has}")
            for name, p in self.params.items():
                shape, dtype = headers[name]
                if shape != p.shape:
                    has = f"{p.shape} in this {type(self).__name__}"
                    raise ValueError(f"{name} has shape {shape} in {file_name}, but {has}")
                if not np.issubdtype(dtype, np.floating):
                    raise ValueError(f"{name} in {file_name} has dtype {dtype}, not float")
            stream.seek(0)
            with _archive_errors(file_name), np.load(stream) as file, np.errstate(over="ignore"):
                loaded = {name: file[name].astype(self.dtype) for name in self.params}
        for name, values in loaded.items():
            if not np.isfinite(values).all():
                raise ValueError(f"{name} in {file_name} holds NaN or infinity as {self.dtype}")
        for name, p in self.params.items():
            p[...] = loaded[name]

    def _parameter_layers(self):
        """List the layers that have weights, in order: the i-th one holds W<i> and b<i>."""
        return [layer for layer in self.layers.values() if hasattr(layer, "W")]

    def _gaussian(self, shape, std):
        """Draw initial weights, normally distributed with mean 0 and standard deviation std."""
        if not 0 <= std < np.inf:
            raise ValueError(f"the standard deviation of the weights must be >= 0, got {std}")
        weights = std * self.rng.standard_normal(shape, dtype=np.float32)
        return weights.astype(self.dtype, copy=False)


@functools.cache
def _pool(process):
    """Start the threads of a process, for a fork has none. They stay: new ones need new memory."""
    return ThreadPoolExecutor(PARTS)


def _map_in_threads(function, *columns):
    """Do as ``map`` does, in threads, and end when all of them have, also where one raises."""
    futures = [_pool(os.getpid()).submit(function, *row) for row in zip(*columns, strict=True)]
    wait(futures)
    return [future.result() for future in futures]


def _float_dtype(dtype):
    """Return a floating-point dtype, or raise ValueError."""
    dtype = np.dtype(dtype)
    if not np.issubdtype(dtype, np.floating):
        raise ValueError(f"dtype must be a floating-point one, got {dtype}")
    return dtype


def _npy_header(archive, member):
    """Return the name of an array in an open .npz archive, and (shape, dtype) from its header."""
    packed = archive.getinfo(member).compress_type  # others unpack far more than is asked for
    if not member.endswith(".npy") or packed not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{member} is not as NumPy writes it")
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    if version != (1, 0) or dtype.hasobject:
        raise ValueError(f"{member} is not as NumPy writes plain arrays")
    return member.removesuffix(".npy"), (shape, dtype)


@contextlib.contextmanager
def _archive_errors(file_name):
    """Turn whatever a damaged archive raises, in NumPy, zipfile or zlib, into one ValueError."""
    try:
        yield
    except Exception as error:
        what = "a .npz file of plain arrays, or is damaged (pickles, as the book's, are not opened)"
        raise ValueError(f"{file_name} is not {what}") from error


class SimpleConvNet(Network):
    """The network of book section 7.5: conv - relu - pool - affine - relu - affine - softmax.

    Pooling is 2 x 2 with stride 2: where its input has an odd size, the last row and column are
    left out, as everywhere in the field.

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
        conv_param = conv_param or {}
        if unknown := sorted(conv_param.keys() - defaults.keys()):
            raise ValueError(f"unknown keys {unknown} in conv_param; known are {list(defaults)}")
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
        pool_output_size = math.prod(pool_output)  # FN*OH*OW
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

    Weights are drawn with the standard deviation `weight_init_std` or, where that is None, with
    sqrt(gain / fan-in), which keeps the size of signals: gain 2 for ReLU (He et al. 2015), 1 for
    the sigmoid (book section 6.2).
    """

    weight_init_std, gain = None, 2.0

    @property
    def _shape(self):
        """Shape of one image after the layers stacked so far."""
        return self.summary()[-1][1]

    def add(self, name, layer):
        """Append a layer; its weights become the next W and b of `params`."""
        try:
            layer.output_shape(self._shape)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        self.layers[name] = layer
        if hasattr(layer, "W"):
            number = len(self._parameter_layers())
            self.params[f"W{number}"], self.params[f"b{number}"] = layer.W, layer.b

    def add_convolution(self, name, filter_num, filter_size, stride=1, pad=0):
        """Append a convolution by FN square filters, each as deep as what reaches it."""
        FN, FH = whole_number("filter_num", filter_num), whole_number("filter_size", filter_size)
        C = self._shape[0]
        W = self._weights((FN, C, FH, FH), C * FH * FH)
        self.add(name, Convolution(W, np.zeros(FN, self.dtype), stride, pad))

    def add_affine(self, name, size):
        """Append a fully connected layer with `size` neurons."""
        D, size = math.prod(self._shape), whole_number("size", size)
        self.add(name, Affine(self._weights((D, size), D), np.zeros(size, self.dtype)))

    def _weights(self, shape, fan_in):
        """Draw weights with the deviation asked for, or one that keeps the size of signals."""
        std = self.weight_init_std
        return self._gaussian(shape, np.sqrt(self.gain / fan_in) if std is None else std)


def activation_layer(name):
    """Return the layer of that name, and the gain with which weights keep the size of signals."""
    kinds = {"sigmoid": (Sigmoid, 1.0), "relu": (Relu, 2.0)}
    if name not in kinds:
        raise ValueError(f"activation must be 'sigmoid' or 'relu', got {name!r}")
    return kinds[name]


class DeepConvNet(Stack):
    """(conv - relu - conv - relu - pool) three times, then affine - relu - dropout - affine.

    Two windows of 3 x 3 see as much as one of 5 x 5, with fewer weights and one more ReLU between.
    A 28 x 28 image becomes 24 x 24, 12 x 12, 8 x 8, 4 x 4 and, since the last two convolutions pad
    by 1 (nothing would be left otherwise), 4 x 4 once more and 2 x 2. After the idea of book
    section 8.1 and of VGG (Simonyan and Zisserman 2014); `load_trained` has weights.

    Parameters
    ----------
    input_dim, output_size, dtype, rng
        As for `SimpleConvNet`.
    filter_nums : tuple of six int, default (16, 16, 32, 32, 64, 64)
        Filters of the six convolutions, 3 x 3 each.
    hidden_size, dropout_ratio : int and float, default 100 and 0.5
        Neurons of the hidden affine layer, and how many of them are dropped; 0 for none.
    activation : {"relu", "sigmoid"}, default "relu"
        What stands between the layers; the sigmoid for comparison.
    """

    def __init__(
        self,
        input_dim=(1, 28, 28),
        output_size=10,
        filter_nums=(16, 16, 32, 32, 64, 64),
        hidden_size=100,
        dropout_ratio=0.5,
        activation="relu",
        *,
        dtype=np.float32,
        rng=None,
    ):
        super().__init__(input_dim, dtype, rng)
        squash, self.gain = activation_layer(activation)
        if np.shape(filter_nums) != (6,):
            raise ValueError(f"filter_nums must be six numbers, got {filter_nums}")
        for i, filter_num in enumerate(filter_nums, start=1):
            self.add_convolution(f"Conv{i}", filter_num, 3, pad=0 if i < 5 else 1)
            self.add(f"{squash.__name__}{i}", squash())
            if i % 2 == 0:
                self.add(f"Pool{i // 2}", Pooling(2, 2, stride=2))
        self.add_affine("Affine1", hidden_size)
        self.add(f"{squash.__name__}7", squash())
        self.add("Dropout1", Dropout(dropout_ratio, self.rng))
        self.add_affine("Affine2", output_size)


class PhotoConvNet(Stack):
    """Four convolutions with ReLU, pooling after all but the third, then dropout - affine.

    For color photographs of 32 x 32, which become 26 x 26, 13 x 13, 6 x 6 and 3 x 3. The 32 filters
    of the first layer are 7 x 7, large enough to see edges and spots in; the others are 3 x 3.
    """

    def __init__(self, dropout_ratio=0.3, *, dtype=np.float32, rng=None):
        super().__init__((3, 32, 32), dtype, rng)
        for i, filter_num in enumerate((32, 64, 96, 96), start=1):
            self.add_convolution(f"Conv{i}", filter_num, *((7, 1, 0) if i == 1 else (3, 1, 1)))
            self.add(f"Relu{i}", Relu())
            if i != 3:
                self.add(f"Pool{min(i, 3)}", Pooling(2, 2, stride=2))
        self.add("Dropout1", Dropout(dropout_ratio, self.rng))
        self.add_affine("Affine1", 10)


TRAINED = {"simple": SimpleConvNet, "deep": DeepConvNet, "photographs": PhotoConvNet}


def load_trained(name):
    """Load a network that has learned: "simple" or "deep" MNIST's digits, "photographs" CIFAR-10.

    They are the `SimpleConvNet` of book section 7.5, a `DeepConvNet` and a `PhotoConvNet`; images
    are in [0, 1]. How the weights were made, how good they are: ``cnnlib/data/README.md``.
    """
    if name not in TRAINED:
        raise ValueError(f"name must be one of {list(TRAINED)}, got {name!r}")
    network = TRAINED[name]()
    with resources.as_file(resources.files("cnnlib") / "data" / f"{name}.npz") as path:
        network.load_params(path)
    return network


def filter_history():
    """Load the first-layer filters of the simple network while it learned (section 7.6.1).

    Returns the numbers of steps, shape (T,), from 0 to the end of training, and the filters then,
    (T, 30, 1, 5, 5) in float32; the last are those of ``load_trained("simple")``.
    """
    file = resources.files("cnnlib") / "data" / "simple-filters.npz"
    with file.open("rb") as stream, np.load(stream) as stored:
        return stored["steps"].astype(int), stored["W1"].astype(np.float32)
