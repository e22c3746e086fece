"""Two classic networks, LeNet and AlexNet (section 7.7), and the layers that only they need.

1. ``LeNet``    as the book simplifies it, of the usual layers
2. ``AlexNet``  adds `LocalResponseNormalization` and `GroupedConvolution`
3. ``LeNet5``   as published, with the parts that later networks left out: `Subsampling` that is
   trained, `ScaledTanh`, a table-connected layer (`TableConvolution`), and an output that compares
   with stored pictures (`RBF`, `RBFLoss`)

Sources: LeCun, Bottou, Bengio and Haffner, "Gradient-Based Learning Applied to Document
Recognition", Proceedings of the IEEE 86 (1998), section II and appendix A; Krizhevsky, Sutskever
and Hinton, "ImageNet Classification with Deep Convolutional Neural Networks" (2012), section 3.
"""

import numpy as np

from cnnlib.fast import Convolution, Pooling
from cnnlib.layers import Affine, Dropout, Layer, Relu, SoftmaxWithLoss, class_indices
from cnnlib.networks import Stack, activation_layer
from cnnlib.windows import (
    check_float,
    check_image_shape,
    check_parameters,
    pad_images,
    whole_number,
)


class LeNet(Stack):
    """LeNet as in the book: conv - pool - conv - pool - conv - affine - affine, sigmoids between.

    A 28 x 28 image reaches the published shapes with pad 2: C1 6 x 28 x 28, S2 6 x 14 x 14,
    C3 16 x 10 x 10, S4 16 x 5 x 5, C5 120 x 1 x 1, F6 84, output 10.

    Parameters
    ----------
    input_dim, output_size, dtype, rng
        As for `cnnlib.networks.DeepConvNet`.
    pad : int, default 2
        Zero padding of the first convolution.
    activation : {"sigmoid", "relu"}, default "sigmoid"
    pooling : {"average", "max"}, default "average"
    """

    def __init__(
        self,
        input_dim=(1, 28, 28),
        output_size=10,
        pad=2,
        activation="sigmoid",
        pooling="average",
        *,
        dtype=np.float32,
        rng=None,
    ):
        super().__init__(input_dim, dtype, rng)
        squash, self.gain = activation_layer(activation)
        self.add_convolution("C1", 6, 5, pad=pad)
        self.add("Act1", squash())
        self.add("S2", Pooling(2, 2, stride=2, mode=pooling))
        self.add_convolution("C3", 16, 5)
        self.add("Act3", squash())
        self.add("S4", Pooling(2, 2, stride=2, mode=pooling))
        self.add_convolution("C5", 120, 5)
        self.add("Act5", squash())
        self.add_affine("F6", 84)
        self.add("Act6", squash())
        self.add_affine("Output", output_size)


class LocalResponseNormalization(Layer):
    """Divide each response by the strength of its neighbors in the channel direction.

        out[c] = x[c] / scale[c]**beta,    scale[c] = k + alpha * sum of x[d]**2, |d - c| <= n // 2

    at every image and position separately (Krizhevsky et al. 2012, section 3.3, whose constants
    are the defaults). PyTorch divides alpha by n.

    Parameters
    ----------
    n : int, odd, default 5
        Number of neighboring channels in the sum; fewer at the two ends.
    k, alpha, beta : float, default 2, 1e-4, 0.75
        Finite; k positive and alpha not negative, so that nothing is divided by zero.
    """

    takes_images = True

    def __init__(self, n=5, k=2.0, alpha=1e-4, beta=0.75):
        self.n = whole_number("n", n)
        if self.n % 2 == 0:
            raise ValueError(f"n must be odd, so that the channel itself is the middle; got {n}")
        if not (0 < k < np.inf and 0 <= alpha < np.inf and -np.inf < beta < np.inf):
            raise ValueError(
                "k must be positive and alpha not negative, so that nothing is divided by zero, "
                f"and all must be finite; got k {k}, alpha {alpha}, beta {beta}"
            )
        self.k, self.alpha, self.beta = float(k), float(alpha), float(beta)

    def forward(self, x, train_flg=True):
        """Normalize x, shape (N, C, H, W), across its channels."""
        self._check(x)
        scale = self.k + self.alpha * self._sum_neighbors(x**2)  # (N, C, H, W)
        return self._save(train_flg, x * scale**-self.beta, x, scale)

    def backward(self, dout):
        """Return dx: what x[c] does by itself, and through every scale it is part of.

        dx = dout * scale**-beta - 2*alpha*beta * x * sum of  dout*x * scale**(-beta - 1)
        """
        x, scale = self._saved_for(dout)
        own = dout * scale**-self.beta
        shared = self._sum_neighbors(own * x / scale)
        return own - (2 * self.alpha * self.beta) * x * shared

    def _sum_neighbors(self, a):
        """Add up, for each channel, the n channels around it; a has shape (N, C, H, W)."""
        total = a.copy()
        for distance in range(1, min(self.n // 2, a.shape[1] - 1) + 1):
            total[:, distance:] += a[:, :-distance]
            total[:, :-distance] += a[:, distance:]
        return total


class GroupedConvolution(Layer):
    """Split the channels into groups, and convolve each group with filters of its own.

        out = concatenate(convolve(x[group 1], W[group 1]), convolve(x[group 2], W[group 2]), ...)

    Weights and multiplications are 1 / groups of those of a `Convolution`. In AlexNet each of two
    GPUs had one group (Krizhevsky et al. 2012, section 3.5).

    Parameters
    ----------
    W : ndarray, shape (FN, C / groups, FH, FW)
        The first FN / groups filters see the first C / groups channels, and so on.
    groups : int, default 2
        Divides FN and C. The other parameters are those of `Convolution`.
    """

    takes_images = True

    def __init__(self, W, b, stride=1, pad=0, groups=2):
        whole = Convolution(W, b, stride, pad)  # checks what both have in common
        self.W, self.b, self.stride, self.pad = whole.W, whole.b, whole.stride, whole.pad
        self.groups = whole_number("groups", groups)
        _per_group(self.groups, "filters FN", len(W))
        self.dW = self.db = None

    def output_shape(self, input_shape):
        """Return (FN, OH, OW) for one image (C, H, W), by formula (7.1)."""
        _, C, H, W = check_image_shape((1, *input_shape))
        C = _per_group(self.groups, "channels C", C)
        _, OH, OW = self._convolutions()[0].output_shape((C, H, W))
        return len(self.W), OH, OW

    def forward(self, x, train_flg=True):
        """Compute the feature maps, shape (N, FN, OH, OW), of x, shape (N, C, H, W)."""
        self._check(x)
        convolutions = self._convolutions()
        xs = np.split(x, self.groups, axis=1)  # each (N, C / groups, H, W)
        outs = [part.forward(x, train_flg) for part, x in zip(convolutions, xs, strict=True)]
        return self._save(train_flg, np.concatenate(outs, axis=1), *convolutions)

    def backward(self, dout):
        """Send the gradient, of shape (N, FN, OH, OW), back through each group."""
        convolutions = self._saved_for(dout)
        douts = np.split(dout, self.groups, axis=1)
        dxs = [part.backward(dout) for part, dout in zip(convolutions, douts, strict=True)]
        self.dW = np.concatenate([part.dW for part in convolutions])
        self.db = np.concatenate([part.db for part in convolutions])
        return np.concatenate(dxs, axis=1)

    def _convolutions(self):
        """Make the `Convolution` of each group, on its share of W and b."""
        shares = zip(np.split(self.W, self.groups), np.split(self.b, self.groups), strict=True)
        return [Convolution(W, b, self.stride, self.pad) for W, b in shares]


def _per_group(groups, what, number):
    """Return how many of the filters or channels are in each group, or raise ValueError."""
    if number % groups:
        raise ValueError(f"groups = {groups} must divide the number of {what} = {number}")
    return number // groups


class AlexNet(Stack):
    """AlexNet: five convolutions, three overlapping poolings, three affine layers, all with ReLU.

    The defaults are the published shapes: 96 x 55 x 55 after the first convolution, 256 x 27 x 27,
    384 x 13 x 13 twice, 256 x 13 x 13, then 4096, 4096 and 1000 neurons: 60,965,224 parameters.
    ``torchvision.models.alexnet`` is another network, of 61,100,840, after Krizhevsky's "One weird
    trick for parallelizing convolutional neural networks" (2014)::

        AlexNet((3, 224, 224), filter_nums=(64, 192, 384, 256, 256), first_filter=(11, 4, 2),
                groups=1, normalize=False)

    Parameters
    ----------
    input_dim, output_size, hidden_size, dropout_ratio, dtype, rng
        As for `cnnlib.networks.DeepConvNet`. The paper says 224 for H and W, but 227 gives its
        55 x 55; and it draws all weights with 0.01.
    filter_nums : tuple of five int
        Filters of the five convolutions.
    first_filter, second_filter : tuple (size, stride, pad), default (11, 4, 0), (5, 1, 2)
        Windows of the first two convolutions; the other three are 3 x 3 with pad 1.
    groups : int, default 2
        Groups of channels in the second, fourth and fifth convolution; 1 to see all.
    normalize : bool, default True
        With the two local response normalizations, or without.
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
        groups=2,
        normalize=True,
        *,
        dtype=np.float32,
        rng=None,
    ):
        super().__init__(input_dim, dtype, rng)
        if np.shape(filter_nums) != (5,):
            raise ValueError(f"filter_nums must be five numbers, got {filter_nums}")
        for name, window in (("first_filter", first_filter), ("second_filter", second_filter)):
            if np.shape(window) != (3,):
                raise ValueError(f"{name} must be numbers (size, stride, pad), got {window}")
        windows = (first_filter, second_filter, (3, 1, 1), (3, 1, 1), (3, 1, 1))
        for i, (filter_num, window) in enumerate(zip(filter_nums, windows, strict=True), start=1):
            self.add_convolution(f"Conv{i}", filter_num, *window, groups if i in (2, 4, 5) else 1)
            self.add(f"Relu{i}", Relu())
            if normalize and i in (1, 2):
                self.add(f"Norm{i}", LocalResponseNormalization())
            if i in (1, 2, 5):
                self.add(f"Pool{i}", Pooling(3, 3, stride=2))
        for i in (6, 7):
            self.add_affine(f"Affine{i}", hidden_size)
            self.add(f"Relu{i}", Relu())
            self.add(f"Dropout{i}", Dropout(dropout_ratio, self.rng))
        self.add_affine("Affine8", output_size)

    @classmethod
    def small(cls, input_dim=(1, 28, 28), output_size=10, **keywords):
        """Build the same layers for small images, quick enough to train here, and in one group."""
        sizes = {"filter_nums": (16, 32, 48, 48, 32), "hidden_size": 128}
        sizes |= {"first_filter": (5, 1, 2), "groups": 1}
        return cls(input_dim, output_size, **(sizes | keywords))

    def add_convolution(self, name, filter_num, filter_size, stride=1, pad=0, groups=1):
        """Append a convolution; with several groups of channels, each is filtered by itself."""
        if groups == 1:
            return super().add_convolution(name, filter_num, filter_size, stride, pad)
        FN, FH = whole_number("filter_num", filter_num), whole_number("filter_size", filter_size)
        C = _per_group(whole_number("groups", groups), "channels C", self._shape[0])
        W = self._weights((FN, C, FH, FH), C * FH * FH)
        self.add(name, GroupedConvolution(W, 0, stride, pad, groups))


class Subsampling(Layer):
    """Add up windows of 2 x 2, then multiply and shift each map by numbers of its own.

        out[n, c, p, q] = W[c] * (sum of x[n, c] over window p, q) + b[c]

    Where H or W is odd, the last row or column is left out (LeCun et al. 1998, section II.B). W and
    b have shape (C,); W = 1/4 and b = 0 is a mean.
    """

    takes_images = True
    pool_h = pool_w = stride = 2  # its window, under the names of Pooling
    pad = 0

    def __init__(self, W, b):
        self.W, self.b = check_parameters(W, b, "(C)", bias_axis=0)
        self.dW = self.db = None

    def output_shape(self, input_shape):
        """Return (C, H // 2, W // 2) for one image (C, H, W)."""
        C, OH, OW = Pooling(2, 2).output_shape(input_shape)
        if C != len(self.W):
            raise ValueError(f"the images have C = {C} channels, the subsampling {len(self.W)}")
        return C, OH, OW

    def forward(self, x, train_flg=True):
        """Subsample x, shape (N, C, H, W), to (N, C, H // 2, W // 2)."""
        N, C, OH, OW = self._check(x)
        W, b = (a.reshape(C, 1, 1) for a in self._parameters(x.dtype))
        windows = x[:, :, : 2 * OH, : 2 * OW].reshape(N, C, OH, 2, OW, 2)
        sums = windows.sum(axis=(3, 5))  # (N, C, OH, OW)
        return self._save(train_flg, W * sums + b, x.shape, sums, W)

    def backward(self, dout):
        """Set dW and db, and return dx: every pixel of a window gets W[c] times its gradient."""
        x_shape, sums, W = self._saved_for(dout)
        self.dW = (dout * sums).sum(axis=(0, 2, 3))
        self.db = dout.sum(axis=(0, 2, 3))
        _, _, OH, OW = dout.shape
        dx = np.zeros(x_shape, dout.dtype)
        dx[:, :, : 2 * OH, : 2 * OW] = (W * dout).repeat(2, axis=2).repeat(2, axis=3)
        return dx


class ScaledTanh(Layer):
    """Squash every number symmetrically about zero: ``out = A * tanh(S * x)``.

    A = 1.7159 and S = 2/3 are chosen so that f(1) = 1 and f(-1) = -1, where the curve also bends
    most: targets of +1 and -1 are reached without saturation (LeCun et al. 1998, appendix A).
    """

    A, S = 1.7159, 2 / 3

    def forward(self, x, train_flg=True):
        """Compute A * tanh(S * x), element by element, for x of any shape."""
        self._check(x)
        tanh = np.tanh(self.S * x)
        return self._save(train_flg, self.A * tanh, tanh)

    def backward(self, dout):
        """Return ``dout * A * S * (1 - tanh(S * x)**2)``."""
        (tanh,) = self._saved_for(dout)
        return dout * (self.A * self.S) * (1 - tanh**2)


class TableConvolution(Layer):
    """Connect each filter with the channels that a table names (LeCun et al. 1998, table I).

        out[n, f] = b[f] + sum over the channels c with table[f, c] of  convolve(x[n, c], W[f, c])

    It is computed as a `Convolution` with zeros elsewhere: that saves weights, but no time.

    Parameters
    ----------
    W : ndarray, shape (connections, FH, FW)
        One window for every True of the table, read row by row.
    b, table : ndarray, shapes (FN,) and (FN, C)
        Biases, and (bool) which filter sees which channel.
    """

    def __init__(self, W, b, table, stride=1, pad=0):
        table = np.asarray(table)
        if table.ndim != 2 or table.dtype != bool:
            raise ValueError(f"table must be (FN, C) of bool, got {table.shape} of {table.dtype}")
        fits = isinstance(W, np.ndarray) and W.ndim == 3 and len(W) == table.sum()
        if not fits or np.shape(b) not in ((len(table),), ()):
            raise ValueError(
                f"this table needs an array W ({table.sum()}, FH, FW) and b ({len(table)},), "
                f"got W {np.shape(W)} of {type(W).__name__} and b {np.shape(b)}"
            )
        self.W, self.b, self.table, self.stride, self.pad = W, b, table, stride, pad
        whole = self._convolution()  # raises where stride or pad are not possible
        self.b, self.stride, self.pad = whole.b, whole.stride, whole.pad
        self.dW = self.db = None

    def output_shape(self, input_shape):
        """Return (FN, OH, OW) for one image (C, H, W), by formula (7.1)."""
        return self._convolution().output_shape(input_shape)

    def forward(self, x, train_flg=True):
        """Compute the feature maps, shape (N, FN, OH, OW), of x, shape (N, C, H, W)."""
        convolution = self._convolution()
        return self._save(train_flg, convolution.forward(x, train_flg), convolution)

    def backward(self, dout):
        """Send the gradient, of shape (N, FN, OH, OW), back to the connected windows and x."""
        (convolution,) = self._saved_for(dout)
        dx = convolution.backward(dout)
        self.dW, self.db = convolution.dW[self.table], convolution.db
        return dx

    def _convolution(self):
        """Make the whole convolution, with zeros where nothing is connected."""
        filters = np.zeros((*self.table.shape, *self.W.shape[1:]), self.W.dtype)  # (FN, C, FH, FW)
        filters[self.table] = self.W
        return Convolution(filters, self.b, self.stride, self.pad)


class RBF(Layer):
    """Compare with a stored code for each class: the nearer, the higher the score.

        score[n, k] = - sum over d of (x[n, d] - codes[k, d])**2

    The paper's equation (7) has no minus sign, and the smallest wins; here, as everywhere, it is
    the largest. The codes, shape (K, D), are not trained.
    """

    def __init__(self, codes):
        if np.ndim(codes) != 2:
            raise ValueError(f"codes must have shape (K, D), got {np.shape(codes)}")
        self.codes = np.asarray(codes)

    def output_shape(self, input_shape):
        """Return (K,) for one sample of shape (D,)."""
        K, D = self.codes.shape
        if tuple(input_shape) != (D,):
            raise ValueError(f"the codes have D = {D} numbers, a sample has shape {input_shape}")
        return (K,)

    def forward(self, x, train_flg=True):
        """Compute the scores, shape (N, K), of x, shape (N, D)."""
        self._check(x)
        codes = self.codes.astype(x.dtype)
        out = -((x[:, np.newaxis] - codes) ** 2).sum(axis=2)  # (N, K, D) before the sum
        return self._save(train_flg, out, x, codes)

    def backward(self, dout):
        """Return dx: each code draws x towards itself with strength ``2 * dout``."""
        x, codes = self._saved_for(dout)
        return 2 * (dout @ codes - x * dout.sum(axis=1, keepdims=True))


class RBFLoss(SoftmaxWithLoss):
    """The loss of the paper's equation (9): softmax with one more class, for rubbish.

        loss = mean over n of  d[n, t[n]] + log(exp(-j) + sum over k of exp(-d[n, k]))

    with the distances d[n, k] = -score[n, k]. A wrong code that is further away than j is pushed
    no more. Without exp(-j) the loss would only ask which code is nearest; with it, the right code
    must be near as well. The paper gives no number for j.
    """

    def __init__(self, j=10.0):
        super().__init__()
        if not j > 0:
            raise ValueError(f"j must be positive, got {j}")
        self.j = float(j)

    def forward(self, x, t, train_flg=True):
        """Compute the mean loss of scores (N, K) for labels t, as `SoftmaxWithLoss.forward`."""
        self.check_scores(x)
        t = class_indices(t, *x.shape)  # rubbish is nobody's label
        x = np.pad(x, [(0, 0), (0, 1)], constant_values=-self.j)  # (N, K + 1)
        return super().forward(x, t, train_flg)

    def backward(self, dout=1):
        """Return the gradient by the K scores; the one of rubbish is a constant."""
        return super().backward(dout)[:, :-1]


# Table I of the paper: a word for each of the 16 maps of C3, a letter for each of the 6 of S2.
# First six: three neighbors; next six: four neighbors; next three: two pairs; the last: all.
_TABLE = """
XXX... .XXX.. ..XXX. ...XXX X...XX XX...X
XXXX.. .XXXX. ..XXXX X..XXX XX..XX XXX..X
XX.XX. .XX.XX X.XX.X XXXXXX
"""
C3_TABLE = np.array([[letter == "X" for letter in word] for word in _TABLE.split()])  # (16, 6)

# Digits of 7 x 12, in the manner of the paper's Figure 3 but drawn here: 84 is the size of F6.
_PICTURES = """
..###.. ...##.. .#####. .#####. ....##. ####### ..####. ####### .#####. .#####.
.##.##. ..###.. ##...## ##...## ...###. ##..... .##.... ##...## ##...## ##...##
##...## .####.. .....## .....## ..####. ##..... ##..... .....## ##...## ##...##
##...## ...##.. .....## .....## ..#.##. ##..... ##..... ....##. ##...## ##...##
##...## ...##.. .....## .....## .##.##. ##..... ##..... ....##. ##...## ##...##
##...## ...##.. ....##. ..####. .#..##. ######. ######. ...##.. .#####. .######
##...## ...##.. ...##.. .....## ##..##. .....## ##...## ...##.. ##...## .....##
##...## ...##.. ..##... .....## ####### .....## ##...## ..##... ##...## .....##
##...## ...##.. .##.... .....## ....##. .....## ##...## ..##... ##...## .....##
##...## ...##.. ##..... .....## ....##. .....## ##...## ..##... ##...## .....##
.##.##. ...##.. ##..... ##...## ....##. ##...## ##...## ..##... ##...## ....##.
..###.. .###### ####### .#####. ....##. .#####. .#####. ..##... .#####. .####..
"""
_dots = np.array([list(line) for line in _PICTURES.split()])  # (12 * 10, 7)
_dots = _dots.reshape(12, 10, 7).swapaxes(0, 1).reshape(10, 84)
DIGIT_CODES = np.where(_dots == "#", 1, -1)  # (10, 84): ink and paper


class LeNet5(Stack):
    """LeNet-5 as published (LeCun et al. 1998): 60,000 trained parameters.

        C1   6 filters 5 x 5     6 x 28 x 28      156 parameters
        S2   subsampling         6 x 14 x 14       12
        C3   16 filters 5 x 5   16 x 10 x 10    1,516    each sees some of the maps: C3_TABLE
        S4   subsampling        16 x  5 x  5       32
        C5   120 filters 5 x 5 120 x  1 x  1   48,120
        F6   affine             84             10,164
        Output  RBF             10                  0    trained; 840 fixed

    with a `ScaledTanh` behind every layer up to F6. Initial weights are drawn evenly from
    -2.4/F..2.4/F, F being the inputs of a neuron. The stored pictures (`DIGIT_CODES`) and the
    constant of the loss are not from the paper.

    Parameters
    ----------
    input_dim, dtype, rng
        As for `cnnlib.networks.Network`. `lenet5_input` makes 32 x 32 images from 28 x 28.
    output : {"rbf", "linear"}, default "rbf"
        The published output with its loss, or an affine layer with softmax (850 parameters more).
    """

    def __init__(self, input_dim=(1, 32, 32), output="rbf", *, dtype=np.float32, rng=None):
        super().__init__(input_dim, dtype, rng)
        if output not in ("rbf", "linear"):
            raise ValueError(f"output must be 'rbf' or 'linear', got {output!r}")

        def even(shape, fan_in):
            return self.rng.uniform(-2.4 / fan_in, 2.4 / fan_in, shape).astype(dtype)

        maps = C3_TABLE.sum(axis=1)  # how many maps each filter of C3 sees
        fan_in = 25 * maps.repeat(maps).reshape(-1, 1, 1)  # for each of its windows
        layers = {  # the biases begin at 0
            "C1": Convolution(even((6, 1, 5, 5), 25), 0),
            "S2": Subsampling(even(6, 4), 0),
            "C3": TableConvolution(even((len(fan_in), 5, 5), fan_in), 0, C3_TABLE),
            "S4": Subsampling(even(16, 4), 0),
            "C5": Convolution(even((120, 16, 5, 5), 400), 0),
            "F6": Affine(even((120, 84), 120), 0),
        }
        for name, layer in layers.items():
            self.add(name, layer)
            self.add(f"Tanh{name[1]}", ScaledTanh())
        if output == "rbf":
            self.add("Output", RBF(DIGIT_CODES))
            self.last_layer = RBFLoss()
        else:
            self.add("Output", Affine(even((84, 10), 84), 0))


def lenet5_input(x):
    """Set images (N, C, 28, 28) of values 0..1 into a frame of 32 x 32, scaled for LeNet-5.

    paper 0 -> -0.1,  ink 1 -> 1.175        mean about 0, variance about 1
    """
    check_float(x)
    check_image_shape(x.shape)
    if not 0 <= x.min() <= x.max() <= 1:
        raise ValueError(f"the images must have values 0..1, got {x.min()}..{x.max()}")
    return 1.275 * pad_images(x, 2) - 0.1
