"""Exercises of chapter 7.5: parameters of a network, its gradient, and three planted bugs."""

from functools import partial

import numpy as np

from cnnlib.exercises.broken import broken_gradient
from cnnlib.exercises.engine import Exercise, counting, dice
from cnnlib.layers import Affine, Convolution, Pooling, Relu, Sigmoid, SoftmaxWithLoss
from cnnlib.networks import Network, SimpleConvNet
from cnnlib.windows import conv_output_size, im2col


def check_parameter_count(my_parameter_count):
    """Check the number of weights and biases of a network.

    Write ``my_parameter_count(input_dim, layers)``: input_dim is (C, H, W), layers is a list of
    ``("conv", FN, F, stride, pad)`` with F x F filters, ``("pool", size, stride)``, ``("relu",)``
    and ``("affine", M)`` with M outputs; return a whole number.
    """
    return PARAMETER_COUNT.check(my_parameter_count)


def check_network_gradient(my_gradient):
    """Check the gradient of a SimpleConvNet in which layers may have been swapped.

    Write ``my_gradient(network, x, t)``: return a dictionary of dW1, db1, ... under the names
    "W1", "b1", "W2", "b2", "W3", "b3". Use ``network.loss``, ``network.last_layer`` and
    ``network.layers`` (a dict, in order), whose layers Conv1, Affine1 and Affine2 have parameters;
    ``network.gradient``, ``network.backward`` and ``network.numerical_gradient`` are switched off.
    """
    return NETWORK_GRADIENT.check(my_gradient)


def check_three_bugs(my_gradient):
    """Check that the three bugs of `cnnlib.exercises.broken.broken_gradient` are mended.

    Write ``my_mended_gradient(x, t, W1, b1, W2, b2)``: the broken function is the stub; return
    dW1, db1, dW2, db2. The verdict tells how many bugs are left, where nothing else was changed.
    """
    return THREE_BUGS.check(my_gradient)


def check_learning_rate(my_choice):
    """Check which learning rate is chosen, and which accuracy is reported for it.

    Write ``my_choice(rates, held, test)``: choose by the means of the rows of `held`, (rates,
    seeds), accuracies on held-out digits; return the rate and the mean of its row of `test`.
    """
    return LEARNING_RATE.check(my_choice)


def _count(input_dim, layers, **slip):
    """Count the parameters, or slip in one of the ways named below."""
    (C, H, W), count = input_dim, 0
    for kind, *settings in layers:
        count = 0 if "last" in slip and kind in ("conv", "affine") else count
        if kind == "conv":
            FN, F, stride, pad = settings
            stride = 1 if "stride" in slip else stride
            pad = 0 if "pad" in slip else pad
            H, W = (conv_output_size(size, F, stride, pad) for size in (H, W))
            weights = FN * F * F * (1 if "channels" in slip else C)
            count += weights + {"pixel": FN * H * W, "one": 1}.get(slip.get("bias"), FN)
            C = FN
        elif kind == "pool":
            size, stride = settings
            if "pooling" not in slip:
                H, W = (conv_output_size(length, size, stride) for length in (H, W))
            count += size * size if "window" in slip else 0
        elif kind == "affine":
            (M,) = settings
            D = C if "flat" in slip else C * H * W
            count += D * M + {"one": 1}.get(slip.get("bias"), M)
            C, H, W = M, 1, 1
        if slip.get("bias") == "none" and kind in ("conv", "affine"):
            count -= settings[0]
    return count


def _layers(text):
    """Read "conv 2 3 1 0, relu" as the list of layers."""
    layers = [layer.split() for layer in text.split(", ")]
    return [(kind, *map(int, settings)) for kind, *settings in layers]


PARAMETER_COUNT = Exercise("parameter count", "7.5", "my_parameter_count(input_dim, layers)",
    cases=[
        (input_dim, _layers(text))
        for input_dim, text in (
            ((1, 1, 2), "affine 3"), ((1, 1, 1), "affine 2, relu, affine 3"),
            ((1, 4, 3), "conv 2 3 1 0"), ((3, 5, 5), "conv 2 2 1 0, relu"),
            ((1, 4, 6), "conv 2 3 1 0, affine 2"), ((1, 4, 4), "conv 2 3 1 1, affine 2"),
            ((1, 5, 7), "conv 2 3 2 0, affine 2"), ((1, 5, 5), "pool 3 2, affine 2"),
            ((2, 5, 8), "conv 3 2 1 0, pool 2 2, affine 2"),
            ((1, 28, 28), "conv 30 5 1 0, relu, pool 2 2, affine 100, relu, affine 10"),
            ((3, 33, 21), "conv 6 5 2 1, relu, pool 3 2, conv 8 3 1 1, pool 3 1, affine 7"),
        )
    ],
    reference=_count,
    mistakes={
        "the biases are forgotten: one per filter, and one per output of an affine layer":
            partial(_count, bias="none"),
        "a bias per pixel: a filter has one bias, wherever it lies": partial(_count, bias="pixel"),
        "one bias per layer: each filter and each output has its own": partial(_count, bias="one"),
        "the channels are forgotten: a filter is C x F x F": partial(_count, channels=1),
        "pooling is counted as if it had weights: it has nothing to learn":
            partial(_count, window=1),
        "pooling is passed over: it shrinks the map that the affine layer reads":
            partial(_count, pooling=1),
        "the stride of the convolution is forgotten in the sizes": partial(_count, stride=1),
        "the padding of the convolution is forgotten in the sizes": partial(_count, pad=1),
        "an affine layer reads every number, C*H*W of them, not one per channel":
            partial(_count, flat=1),
        "only the last layer is counted: add up with +=": partial(_count, last=1),
    },
)  # fmt: skip


def _locked(name):
    def refuse(self, *arguments):
        raise RuntimeError(f"network.{name} is switched off here: writing it is the exercise")

    return refuse


class LockedNet(SimpleConvNet):
    """A SimpleConvNet whose gradient is yours to write."""

    gradient, backward = _locked("gradient"), _locked("backward")
    numerical_gradient = _locked("numerical_gradient")


_OWNERS = {"1": "Conv1", "2": "Affine1", "3": "Affine2"}


def _collect(network, numbers="123", W="dW", b="db"):
    grads = {}
    for key, number in zip("123", numbers, strict=True):
        layer = network.layers[_OWNERS[number]]
        grads[f"W{key}"], grads[f"b{key}"] = getattr(layer, W), getattr(layer, b)
    return grads


def _gradient(network, x, t):
    network.loss(x, t)
    return Network.backward(network)


def _back(network, x, t, start=lambda last: last.backward(1), order=reversed, handed_on=True):
    """Go back through the layers; one of the last three makes a mistake of it."""
    network.loss(x, t)
    dout = start(network.last_layer)
    for layer in order(list(network.layers.values())):
        dx = layer.backward(dout)
        dout = dx if handed_on else dout
    return _collect(network)


def _assumed(**layers):
    def mistaken(network, x, t):
        network.layers |= layers
        return _gradient(network, x, t)

    return mistaken


def _renamed(change):
    def mistaken(network, x, t):
        _gradient(network, x, t)
        return change(network)

    return mistaken


def _network_case(seed, N, input_dim=(1, 6, 6), **swapped):
    """Build a tiny network, with layers swapped by name, and a batch for it."""
    rng, conv_param = np.random.default_rng(seed), {"filter_num": 2, "filter_size": 3}
    network = LockedNet(input_dim, conv_param, 4, 3, 0.5, dtype=np.float64, rng=seed)
    network.layers |= swapped
    return network, rng.standard_normal((N, *input_dim)), rng.integers(0, 3, N)


NETWORK_GRADIENT = Exercise("network gradient", "7.5", "my_gradient(network, x, t)",
    cases=[
        _network_case(0, 1, (1, 4, 4)), _network_case(1, 3), _network_case(2, 2, Relu1=Sigmoid()),
        _network_case(3, 2, Pool1=Pooling(2, 2, mode="average")),
        _network_case(4, 3, (2, 6, 8), Relu2=Sigmoid()),
    ],
    reference=_gradient,
    mistakes={
        "the layers are not reversed: the way back begins at the last one":
            partial(_back, order=list),
        "there is no forward pass before: network.loss(x, t) fills the layers' memories":
            lambda network, x, t: network.last_layer.backward(1),
        "what a layer returns is not handed on: dout = layer.backward(dout)":
            partial(_back, handed_on=False),
        "the way back begins with ones: last_layer.backward(1) gives the gradient by the scores":
            partial(_back, start=lambda last: np.ones_like(last.y)),
        "the probabilities are sent back instead of their difference from the labels":
            partial(_back, start=lambda last: last.y),
        "mean and sum are confused: the loss is the mean over the images, so 1/N belongs in":
            lambda network, x, t: {k: len(x) * v for k, v in _gradient(network, x, t).items()},
        "ReLU is taken for granted: ask the layers that are in the network":
            _assumed(Relu1=Relu(), Relu2=Relu()),
        "max pooling is taken for granted: ask the layers that are in the network":
            _assumed(Pool1=Pooling(2, 2)),
        "the parameters are returned instead of their gradients":
            lambda network, x, t: dict(network.params),
        "the gradients of the affine layers are exchanged: W2 is Affine1's, W3 is Affine2's":
            _renamed(lambda network: _collect(network, "132")),
        "dW and db are exchanged": _renamed(lambda network: _collect(network, W="db", b="dW")),
        "the names are those of the layers; the parameters are called W1, b1, W2, ...":
            _renamed(lambda network: {name: network.layers[name].dW for name in _OWNERS.values()}),
        "the names are dW1, db1, ...; they are to be those of the parameters":
            _renamed(lambda network: {f"d{k}": v for k, v in _collect(network).items()}),
        "the biases are left out":
            _renamed(lambda net: {k: v for k, v in _collect(net).items() if k[0] == "W"}),
    },
)  # fmt: skip


def _mended(x, t, W1, b1, W2, b2, bugs=()):
    """Compute the gradients with the library's layers; plant those of the three bugs named."""
    convolution, relu, affine, last = Convolution(W1, b1), Relu(), Affine(W2, b2), SoftmaxWithLoss()
    a = convolution.forward(x)  # (N, FN, OH, OW)
    z = relu.forward(a.transpose(0, 2, 3, 1))  # the broken network has its channels last
    last.forward(affine.forward(z), t)
    dz = affine.backward(last.backward(len(x) if "mean" in bugs else 1))
    da = (dz if "relu" in bugs else relu.backward(dz)).transpose(0, 3, 1, 2)
    convolution.backward(np.ascontiguousarray(da))
    dW1 = convolution.dW
    if "transpose" in bugs:
        dW1 = im2col(x, *W1.shape[2:]).T @ da.transpose(0, 2, 3, 1).reshape(-1, len(W1))
        dW1 = dW1.reshape(W1.shape)
    return dW1, convolution.db / (len(x) if "bias" in bugs else 1), affine.dW, affine.db


def _network_of(seed, N, C, size, FN, K):
    rng = np.random.default_rng(seed)
    OH, OW = size[0] - 2, size[1] - 1  # filters of 3 x 2
    x, t = rng.integers(-3, 4, (N, C, *size)).astype(float), rng.integers(0, K, N)
    W1, W2 = rng.integers(-2, 3, (FN, C, 3, 2)) / 4, dice(seed, OH * OW * FN, K) / 16
    return x, t, W1, counting(FN) / 8, W2, counting(K) / 8


_ONE_LEFT = "two of the three bugs are mended, and one is left: "
_TWO_LEFT = "one of the three bugs is mended, and two are left: begin with "
_SCORES = "the gradient by the scores (is the loss a sum or a mean over the images?)"
_RELU = "what passes the ReLU (where does it let a gradient through?)"
_TRANSPOSE = "the shape of dW1 before its reshape (does each row belong to one filter?)"

THREE_BUGS = Exercise(
    "three bugs", "7.5", "my_mended_gradient(x, t, W1, b1, W2, b2): mend the three bugs",
    parts=("dW1", "db1", "dW2", "db2"),
    cases=[
        _network_of(1, 3, 1, (3, 3), 2, 2), _network_of(2, 2, 1, (3, 4), 2, 2),
        _network_of(3, 3, 2, (4, 4), 3, 3), _network_of(4, 4, 2, (5, 4), 2, 4),
    ],
    reference=_mended,
    untouched=broken_gradient,
    certain=True,  # a number of bugs left is said where nothing else differs
    mistakes={
        _ONE_LEFT + _SCORES: partial(_mended, bugs=("mean",)),
        _ONE_LEFT + _RELU: partial(_mended, bugs=("relu",)),
        _ONE_LEFT + _TRANSPOSE: partial(_mended, bugs=("transpose",)),
        _TWO_LEFT + _SCORES: partial(_mended, bugs=("mean", "relu")),
        _TWO_LEFT + _SCORES + ".": partial(_mended, bugs=("mean", "transpose")),
        _TWO_LEFT + _RELU: partial(_mended, bugs=("relu", "transpose")),
        "the bias is averaged over the places: db is a sum, and was right before":
            partial(_mended, bugs=("bias",)),
        "divided by N twice":
            lambda x, *others: tuple(part / len(x) for part in _mended(x, *others)),
    },
)  # fmt: skip


def _choice(rates, held, test, judge=np.mean, report=np.mean):
    best = judge(held, axis=1).argmax()
    return rates[best], report(test[best])


def _runs(seed, *shape):
    accuracies = np.random.default_rng(seed).integers(17, size=(2, *shape)) / 16
    return 10 ** -counting(shape[0]), *accuracies


LEARNING_RATE = Exercise("learning rate", "7.5", "my_choice(rates, held, test)",
    parts=("the rate", "the accuracy"),
    cases=[_runs(4, 2, 1), _runs(53, 3, 2), _runs(11, 4, 4)],
    reference=_choice,
    mistakes={
        "chosen by the test digits: they are no judge any more": lambda r, h, t: _choice(r, t, t),
        "reported is what had a part in the choice, and flatters": lambda r, h, t: _choice(r, h, h),
        "one lucky seed decides: take the mean of each row": lambda *a: _choice(*a, judge=np.max),
        "the best seed is reported, not the mean": lambda *a: _choice(*a, report=np.max),
        "the position is returned, not the rate": lambda r, *a: _choice(np.arange(len(r)), *a),
    },
)  # fmt: skip
