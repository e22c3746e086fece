"""LeNet-5 as it was published in 1998, with the parts that later networks left out.

`cnnlib.networks.LeNet` is the simplified network of the book's section 7.7. Here stand the parts it
leaves out, and the network made of them:

1. ``Subsampling``   shrinks by adding, with a trainable coefficient and bias for each map
2. ``ScaledTanh``    squashes into (-1.7159, 1.7159), symmetric about zero
3. ``C3_TABLE``      which filter of the third layer sees which maps (with `TableConvolution`)
4. ``RBF``           compares with stored pictures of the digits, and ``RBFLoss`` goes with it
5. ``LeNet5``        all together; ``lenet5_input`` prepares the images

Source of all: LeCun, Bottou, Bengio and Haffner, "Gradient-Based Learning Applied to Document
Recognition", Proceedings of the IEEE 86 (1998), section II.B and appendix A.
"""

import numpy as np

from cnnlib.layers import (
    Affine,
    Convolution,
    Layer,
    SoftmaxWithLoss,
    check_float,
    check_float_images,
    class_indices,
)
from cnnlib.networks import Stack
from cnnlib.partial import TableConvolution
from cnnlib.windows import conv_output_size


class Subsampling(Layer):
    """Add up windows of 2 x 2, then multiply and shift each map by numbers of its own.

    ::

        out[n, c, p, q] = W[c] * (sum of x[n, c] over window p, q) + b[c]

    The windows do not overlap; where H or W is odd, the last row or column is left out.

    Parameters
    ----------
    W, b : ndarray, shape (C,)
        Coefficient and bias of each map. W = 1/4 and b = 0 is a mean.

    Attributes
    ----------
    dW, db : ndarray, shape (C,)
        Gradients of the loss, set by `backward`.

    Raises
    ------
    ValueError
        If W and b are not of one shape (C,).

    Notes
    -----
    LeCun et al. (1998), section II.B: layers S2 and S4. Two parameters per map: 12 and 32.
    """

    pool_h = pool_w = stride = 2  # its window, under the names of Pooling
    pad = 0

    def __init__(self, W, b):
        if np.ndim(W) != 1 or np.shape(W) != np.shape(b):
            raise ValueError(f"W and b must have shape (C,), got {np.shape(W)} and {np.shape(b)}")
        self.W, self.b = W, b
        self.dW = self.db = None

    def output_shape(self, input_shape):
        """Give (C, H // 2, W // 2) for one image (C, H, W)."""
        C, H, W = input_shape
        if C != len(self.W):
            raise ValueError(f"the images have C = {C} channels, the subsampling {len(self.W)}")
        return C, conv_output_size(H, 2, stride=2), conv_output_size(W, 2, stride=2)

    def forward(self, x, train_flg=True):
        """Subsample x, shape (N, C, H, W), to (N, C, H // 2, W // 2)."""
        N, *image_shape = check_float_images(x)
        C, OH, OW = self.output_shape(image_shape)
        windows = x[:, :, : 2 * OH, : 2 * OW].reshape(N, C, OH, 2, OW, 2)
        sums = windows.sum(axis=(3, 5))  # (N, C, OH, OW)
        W, b = (a.astype(x.dtype, copy=False).reshape(C, 1, 1) for a in (self.W, self.b))
        return self._keep(train_flg, W * sums + b, x.shape, sums)

    def backward(self, dout):
        """Set dW and db, and return dx: every pixel of a window gets W[c] times its gradient."""
        x_shape, sums = self._recall(dout)
        _, C, OH, OW = dout.shape
        self.dW = (dout * sums).sum(axis=(0, 2, 3))
        self.db = dout.sum(axis=(0, 2, 3))
        dsums = dout * self.W.astype(dout.dtype, copy=False).reshape(C, 1, 1)
        dx = np.zeros(x_shape, dout.dtype)
        dx[:, :, : 2 * OH, : 2 * OW] = dsums.repeat(2, axis=2).repeat(2, axis=3)
        return dx


class ScaledTanh(Layer):
    """Squash every number symmetrically about zero: ``out = A * tanh(S * x)``.

    A = 1.7159 and S = 2/3 are chosen so that f(1) = 1 and f(-1) = -1, where the curve also bends
    most: targets of +1 and -1 are reached without driving a neuron into saturation.

    Notes
    -----
    LeCun et al. (1998), section II.B and appendix A. The largest slope is A * S = 1.144, where the
    sigmoid's is 1/4.
    """

    A, S = 1.7159, 2 / 3

    def forward(self, x, train_flg=True):
        """Compute A * tanh(S * x), element by element, for x of any shape."""
        check_float(x)
        tanh = np.tanh(self.S * x)
        return self._keep(train_flg, self.A * tanh, tanh)

    def backward(self, dout):
        """Return ``dout * A * S * (1 - tanh(S * x)**2)``."""
        (tanh,) = self._recall(dout)
        return dout * (self.A * self.S) * (1 - tanh**2)


class RBF(Layer):
    """Compare with a stored code for each class: the nearer, the higher the score.

    ::

        score[n, k] = - sum over d of (x[n, d] - codes[k, d])**2

    The paper puts out the distance itself and takes the smallest; with the minus sign the largest
    score is the answer, as everywhere here. The codes are fixed and not trained.

    Parameters
    ----------
    codes : ndarray, shape (K, D)
        One code per class; in LeNet-5 of +1 and -1, a picture of the character.

    Raises
    ------
    ValueError
        If the codes are not two-dimensional.

    Notes
    -----
    LeCun et al. (1998), section II.B, equation (7): Euclidean radial basis functions.
    """

    def __init__(self, codes):
        if np.ndim(codes) != 2:
            raise ValueError(f"codes must have shape (K, D), got {np.shape(codes)}")
        self.codes = np.asarray(codes)

    def output_shape(self, input_shape):
        """Give (K,) for one sample of shape (D,)."""
        K, D = self.codes.shape
        if tuple(input_shape) != (D,):
            raise ValueError(f"the codes have D = {D} numbers, a sample has shape {input_shape}")
        return (K,)

    def forward(self, x, train_flg=True):
        """Compute the scores, shape (N, K), of x, shape (N, D)."""
        check_float(x)
        self.output_shape(x.shape[1:])
        codes = self.codes.astype(x.dtype)
        out = -((x[:, np.newaxis] - codes) ** 2).sum(axis=2)  # (N, K, D) before the sum
        return self._keep(train_flg, out, x, codes)

    def backward(self, dout):
        """Return dx: each code draws x towards itself with strength ``2 * dout``."""
        x, codes = self._recall(dout)
        return 2 * (dout @ codes - x * dout.sum(axis=1, keepdims=True))


class RBFLoss(SoftmaxWithLoss):
    """The loss of the paper's equation (9): softmax with one more class, for rubbish.

    ::

        loss = mean over n of  d[n, t[n]] + log(exp(-j) + sum over k of exp(-d[n, k]))

    with the distances d[n, k] = -score[n, k].

    A wrong code that is further away than j is pushed no more. Without exp(-j) the loss would ask
    only which code is nearest, and be that of an affine layer with fixed weights: the length of x
    cancels. With it, the right code must be near as well.

    Parameters
    ----------
    j : float, default 10
        The score of rubbish is -j. The paper gives no number.

    Raises
    ------
    ValueError
        If j is not positive.

    Notes
    -----
    LeCun et al. (1998), section II.C, "competitive" or discriminative criterion.
    """

    def __init__(self, j=10.0):
        super().__init__()
        if not j > 0:
            raise ValueError(f"j must be positive, got {j}")
        self.j = float(j)

    def forward(self, x, t, train_flg=True):
        """Compute the mean loss of scores (N, K) for labels t, as `SoftmaxWithLoss.forward`."""
        t = class_indices(t, *x.shape)
        rubbish = np.full((len(x), 1), -self.j, x.dtype)
        return super().forward(np.hstack([x, rubbish]), t, train_flg)  # (N, K + 1)

    def backward(self, dout=1):
        """Return the gradient by the K scores; rubbish has no neuron that could receive its own."""
        return super().backward(dout)[:, :-1]


# Table I of the paper: a line for each of the 16 maps of C3, a column for each of the 6 of S2.
# First six: three neighbours; next six: four neighbours; next three: two pairs; the last: all.
C3_TABLE = np.array(
    [
        [letter == "X" for letter in line]
        for line in """
            XXX... .XXX.. ..XXX. ...XXX X...XX XX...X
            XXXX.. .XXXX. ..XXXX X..XXX XX..XX XXX..X
            XX.XX. .XX.XX X.XX.X
            XXXXXX
        """.split()
    ]
)

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
_lines = [line.split() for line in _PICTURES.split("\n") if line]
DIGIT_CODES = np.array(
    [[1 if dot == "#" else -1 for line in _lines for dot in line[digit]] for digit in range(10)]
)  # (10, 84) of +1 (ink) and -1 (paper)


class LeNet5(Stack):
    """LeNet-5 as published: 60,000 trained parameters.

    ::

        C1   6 filters 5 x 5     6 x 28 x 28      156 parameters
        S2   subsampling         6 x 14 x 14       12
        C3   16 filters 5 x 5   16 x 10 x 10    1,516    each sees some of the maps: C3_TABLE
        S4   subsampling        16 x  5 x  5       32
        C5   120 filters 5 x 5 120 x  1 x  1   48,120
        F6   affine             84             10,164
        Output  RBF             10                  0    trained; 840 fixed

    with a `ScaledTanh` behind every layer up to F6.

    Parameters
    ----------
    input_dim : tuple of int, default (1, 32, 32)
        Shape of one image. `lenet5_input` makes it from 28 x 28.
    output : {"rbf", "linear"}, default "rbf"
        The published output with its loss (`RBF`, `RBFLoss`), or an affine layer with softmax
        (850 parameters more).
    dtype, rng
        As for `cnnlib.networks.Network`.

    Raises
    ------
    ValueError
        If the images are too small, have more than one channel, or `output` is another word.

    Notes
    -----
    Weights are drawn evenly from -2.4/F..2.4/F, F being the inputs of a neuron, as in appendix A.
    Three things are not the paper's: the stored pictures are drawn here in its manner
    (`DIGIT_CODES`), the constant of the loss is ours, and it is trained with whatever optimiser one
    gives it instead of the paper's own second-order method.
    """

    def __init__(self, input_dim=(1, 32, 32), output="rbf", *, dtype=np.float32, rng=None):
        super().__init__(input_dim, dtype, rng)
        if output not in ("rbf", "linear"):
            raise ValueError(f"output must be 'rbf' or 'linear', got {output!r}")

        def even(shape, fan_in):
            return self.rng.uniform(-2.4 / fan_in, 2.4 / fan_in, shape).astype(dtype)

        def zeros(size):
            return np.zeros(size, dtype)

        maps = C3_TABLE.sum(axis=1)  # how many maps each filter of C3 sees
        fan_in = 25 * maps.repeat(maps).reshape(-1, 1, 1)  # for each of its windows
        layers = {
            "C1": Convolution(even((6, 1, 5, 5), 25), zeros(6)),
            "S2": Subsampling(even(6, 4), zeros(6)),
            "C3": TableConvolution(even((len(fan_in), 5, 5), fan_in), zeros(16), C3_TABLE),
            "S4": Subsampling(even(16, 4), zeros(16)),
            "C5": Convolution(even((120, 16, 5, 5), 400), zeros(120)),
            "F6": Affine(even((120, 84), 120), zeros(84)),
        }
        for name, layer in layers.items():
            self._add(name, layer)
            self._add(f"Tanh{name[1]}", ScaledTanh())
        if output == "rbf":
            self._add("Output", RBF(DIGIT_CODES))
            self.last_layer = RBFLoss()
        else:
            self._add("Output", Affine(even((84, 10), 84), zeros(10)))


def lenet5_input(x):
    """Set 28 x 28 images into 32 x 32, and scale them as LeNet-5 wants them.

    ::

        paper 0 -> -0.1,  ink 1 -> 1.175

    so that the mean is about 0 and the variance about 1; the frame is paper, too.

    Parameters
    ----------
    x : ndarray, shape (N, C, H, W)
        Images of values 0..1, floating point.

    Returns
    -------
    ndarray, shape (N, C, H + 4, W + 4)

    Raises
    ------
    ValueError
        If x is not a batch of floating-point images, or has values outside 0..1.
    """
    check_float_images(x)
    if x.min() < 0 or x.max() > 1:
        raise ValueError(f"the images must have values 0..1, got {x.min()}..{x.max()}")
    frame = np.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2)))
    return (1.275 * frame - 0.1).astype(x.dtype, copy=False)
