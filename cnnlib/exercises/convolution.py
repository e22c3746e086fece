"""Exercises of chapter 7.2: output size, padding, and the convolution in loops."""

import math

import numpy as np

from cnnlib.exercises.engine import Exercise, counting, dice
from cnnlib.layers import Convolution
from cnnlib.windows import conv_output_size, pad_images, sliding_windows


def check_output_size(my_output_size):
    """Check formula (7.1).

    Write ``my_output_size(H, FH, stride=1, pad=0)``: return the whole number of places a filter
    takes along one axis; where the stride does not divide, the last step is not taken.
    """
    return OUTPUT_SIZE.check(my_output_size)


def check_padding(my_pad):
    """Check zero padding.

    Write ``my_pad(x, pad)``: x (N, C, H, W); return (N, C, H + 2*pad, W + 2*pad) in the dtype of
    x, with zeros around every channel.
    """
    return PADDING.check(my_pad)


def check_convolution(my_convolution):
    """Check a convolution, in loops or otherwise.

    Write ``my_convolution(x, W, b, stride=1, pad=0)``: x (N, C, H, W), W (FN, C, FH, FW), b (FN,);
    return (N, FN, OH, OW) in the dtype of x. As everywhere in the field, the filter is not turned.
    """
    return CONVOLUTION.check(my_convolution)


OUTPUT_SIZE = Exercise("output size", "7.2", "my_output_size(H, FH, stride=1, pad=0)",
    cases=[
        tuple(map(int, case.split()))
        for case in "1 1,4 3,4 2 1 1,5 3 2,7 3 2 1,6 3 2 2,7 3 3,8 3 3,8 3 3 1,7 3 3 2,"
        "28 5,28 5 1 2,227 11 4,224 7 2 3".split(",")
    ],
    reference=conv_output_size,
    mistakes={
        "the + 1 is forgotten: the first place takes no step":
            lambda H, FH, S=1, P=0: (H + 2 * P - FH) // S,
        "the stride is forgotten": lambda H, FH, S=1, P=0: H + 2 * P - FH + 1,
        "the padding is forgotten": lambda H, FH, S=1, P=0: (H - FH) // S + 1,
        "the padding is counted once: it lies on both sides":
            lambda H, FH, S=1, P=0: (H + P - FH) // S + 1,
        "rounded up: the last window would leave the input":
            lambda H, FH, S=1, P=0: math.ceil((H + 2 * P - FH) / S) + 1,
        "rounded to the nearest whole number, which is up at times; // rounds down":
            lambda H, FH, S=1, P=0: round((H + 2 * P - FH) / S + 1),
        "the 1 is added before the division: (... + 1) // S":
            lambda H, FH, S=1, P=0: (H + 2 * P - FH + 1) // S,
        "the filter is added; it takes places away":
            lambda H, FH, S=1, P=0: (H + 2 * P + FH) // S + 1,
        "// comes before the sums: brackets around H + 2*P - FH are missing":
            lambda H, FH, S=1, P=0: H + 2 * P - FH // S + 1,
    },
)  # fmt: skip


def _zeros(x, before, after):
    """Pad rows and columns by different numbers on the two sides."""
    return np.pad(x, ((0, 0), (0, 0), (before[0], after[0]), (before[1], after[1])))


def _up_to_minus_pad(x, pad):
    out = _zeros(x, (pad, pad), (pad, pad))
    out[:, :, pad:-pad, pad:-pad] = x
    return out


PADDING = Exercise("padding", "7.2", "my_pad(x, pad)",
    cases=[
        (counting(1, 1, 1, 1), 1), (counting(1, 1, 2, 2), 0), (counting(1, 1, 2, 3), 1),
        (counting(1, 2, 2, 1), 2), (dice(0, 3, 2, 4, 3), 1),
        (dice(1, 2, 3, 5, 4, dtype=np.float32), 3),
    ],
    reference=pad_images,
    mistakes={
        "images and channels are padded too: only the last two axes are":
            lambda x, pad: np.pad(x, pad),
        "pad:-pad holds nothing where pad is 0; pad : pad + H always holds H rows":
            _up_to_minus_pad,
        "zeros on one side only (below and right)": lambda x, pad: _zeros(x, (0, 0), (pad, pad)),
        "zeros on one side only (above and left)": lambda x, pad: _zeros(x, (pad, pad), (0, 0)),
        "only the rows are padded: the columns need zeros left and right":
            lambda x, pad: _zeros(x, (pad, 0), (pad, 0)),
        "only the columns are padded: the rows need zeros above and below":
            lambda x, pad: _zeros(x, (0, pad), (0, pad)),
        "the border is repeated; the padding is to be zeros":
            lambda x, pad: np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), mode="edge"),
        "the padding is ones": lambda x, pad: pad_images(x, pad, 1),
        "the padding is one row and column whatever pad says": lambda x, pad: pad_images(x, 1),
        "the images lie in the corner of the zeros, not in the middle":
            lambda x, pad: _zeros(x, (0, 0), (2 * pad, 2 * pad)),
        "twice as much padding as asked for": lambda x, pad: pad_images(x, 2 * pad),
        "the wrong axes are padded: rows and columns are the last two":
            lambda x, pad: np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0))),
    },
)  # fmt: skip


def convolution(x, W, b, stride=1, pad=0):
    """Compute the right answer, for this exercise and that of chapter 7.4."""
    return Convolution(W, b, stride, pad).forward(x, train_flg=False)


def _columns(b):
    return b.reshape(1, -1, 1, 1)


def _plain(x, W, stride, pad):
    return np.einsum("ncijpq,fcij->nfpq", sliding_windows(x, *W.shape[2:], stride, pad), W)


def stride_forgotten(layer):
    """Make a map of the right size, but let neighbouring windows lie one pixel apart."""

    def mistaken(x, one, other, *settings):
        OH, OW = layer(x, one, other, *settings).shape[2:]
        return layer(x, one, other, 1, *settings[1:])[:, :, :OH, :OW]

    return mistaken


CONVOLUTION_MISTAKES = {
    "the bias is not added": lambda x, W, b, S=1, P=0: _plain(x, W, S, P),
    "the filter is turned by 180 degrees; here it is laid on as it is":
        lambda x, W, b, S=1, P=0: convolution(x, W[:, :, ::-1, ::-1], b, S, P),
    "the stride is forgotten inside: window (p, q) begins at row p*S and column q*S":
        stride_forgotten(convolution),
    "the stride is forgotten": lambda x, W, b, S=1, P=0: convolution(x, W, b, 1, P),
    "the padding is forgotten": lambda x, W, b, S=1, P=0: convolution(x, W, b, S, 0),
    "the slices have no end: a window ends at p*S + FH and q*S + FW":
        lambda x, W, b, S=1, P=0: x[0, :, 0:, 0:] * W[0],
    "only one channel counts: the sum overwrites what the channels before it gave":
        lambda x, W, b, S=1, P=0: _plain(x[:, -1:], W[:, -1:], S, P) + _columns(b),
    "the mean over the window instead of the sum":
        lambda x, W, b, S=1, P=0: _plain(x, W, S, P) / W[0].size + _columns(b),
    "the bias is added with every product, inside the innermost loop: once per place is enough":
        lambda x, W, b, S=1, P=0: _plain(x, W, S, P) + _columns(b) * W[0].size,
    "the bias is added once for each channel: it belongs to the filter, once per place":
        lambda x, W, b, S=1, P=0: _plain(x, W, S, P) + _columns(b) * W.shape[1],
    "a bias per column: out + b lays b along the last axis; one per filter is "
    "b.reshape(1, FN, 1, 1)": lambda x, W, b, S=1, P=0: _plain(x, W, S, P) + b,
    "rows and columns of the output are exchanged: axes transposed the wrong way, or OH for OW":
        lambda x, W, b, S=1, P=0: convolution(x, W, b, S, P).swapaxes(2, 3),
    "rows and columns of the filter are exchanged":
        lambda x, W, b, S=1, P=0: convolution(x, W.swapaxes(2, 3), b, S, P),
    "the channels are not added up: every filter gives one map, not one per channel": (
        lambda x, W, b, S=1, P=0: (
            np.einsum("ncijpq,fcij->nfcpq", sliding_windows(x, *W.shape[2:], S, P), W)
            + b.reshape(1, -1, 1, 1, 1)
        )
    ),
    "every filter gets the bias of the first": lambda x, W, b, S=1, P=0: _plain(x, W, S, P) + b[0],
}  # fmt: skip


def _convolution_case(seed, x, W, *settings, dtype=float):
    arrays = dice(seed, *x, dtype=dtype), dice(seed + 1, *W, dtype=dtype)
    return *arrays, 10 * counting(W[0], dtype=dtype), *settings


CONVOLUTION_CASES = [
    (counting(1, 1, 2, 2), counting(1, 1, 2, 2), counting(1)),
    (counting(1, 1, 3, 3), counting(1, 1, 2, 2), counting(1)),
    _convolution_case(0, (1, 1, 2, 4), (1, 1, 1, 2), 1, 0),
    _convolution_case(2, (1, 1, 2, 2), (1, 1, 2, 2), 1, 1),
    _convolution_case(4, (1, 1, 3, 5), (1, 1, 1, 1), 2, 0),
    _convolution_case(6, (1, 2, 2, 3), (1, 2, 2, 2), 1, 0),
    _convolution_case(8, (1, 1, 3, 3), (2, 1, 2, 2), 1, 0),
    _convolution_case(10, (2, 1, 2, 3), (1, 1, 2, 1), 1, 0),
    _convolution_case(12, (2, 3, 5, 4), (3, 3, 2, 3), 2, 1),
    _convolution_case(14, (2, 3, 7, 5), (4, 3, 3, 2), 3, 2),
    _convolution_case(16, (2, 2, 4, 6), (3, 2, 3, 3), 1, 1, dtype=np.float32),
]  # fmt: skip

CONVOLUTION = Exercise("convolution", "7.2", "my_convolution(x, W, b, stride=1, pad=0)",
    cases=CONVOLUTION_CASES,
    reference=convolution,
    mistakes=CONVOLUTION_MISTAKES,
)  # fmt: skip
