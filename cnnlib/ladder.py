"""One convolution computed in five ways, each faster than the one before, each for one reason.

Read this at the end of section 7.4.2, where the five are timed. They are the rungs of a ladder:
the same arguments, the same numbers out, and from one to the next a single thing changes.

1. ``loops``          says what a convolution is
2. ``book_im2col``    one matrix product does all the arithmetic
3. ``strided_view``   the windows are copied once, not twice
4. ``no_transpose``   the product comes out in the order in which it is wanted
5. ``reused_buffer``  the copy never leaves the processor's cache

All take images x (N, C, H, W) and filters W (FN, C, FH, FW), and return feature maps
(N, FN, OH, OW), in the dtype of x from the second rung on, and in memory in this order: a
transposed view would only leave the copying to the next layer.
"""

import numpy as np

from cnnlib import naive
from cnnlib.layers import Convolution, check_float_images
from cnnlib.windows import pad_images, sliding_windows, window_place


def loops(x, W, stride=1, pad=0):
    """Compute one product at a time, in seven nested loops.

    Reason: none but clarity. Python asks anew, before each product, what ``*`` means for the two
    things at hand; the question takes far longer than the product.
    """
    return naive.convolve(x, W, None, stride, pad)


def book_im2col(x, W, stride=1, pad=0):
    """Lay the windows out as rows of a matrix, the book's way, and multiply once.

    Reason: the loops now run over the FH*FW places inside a window, not over the images, and BLAS,
    which uses every unit of the processor, does the arithmetic. (The book's own array for the
    windows is one of float64; here it has the dtype of x, so that nothing else differs.)
    """
    N, C, FN, FH, FW, OH, OW = _sizes(x, W, stride, pad)
    x = pad_images(x, pad)
    six = np.empty((N, C, FH, FW, OH, OW), x.dtype)
    for i in range(FH):
        for j in range(FW):
            six[:, :, i, j] = window_place(x, i, j, OH, OW, stride)
    col = six.transpose(0, 4, 5, 1, 2, 3).reshape(N * OH * OW, C * FH * FW)  # a second copy
    out = col @ _filters(W, x).T  # (N*OH*OW, FN)
    return np.ascontiguousarray(out.reshape(N, OH, OW, FN).transpose(0, 3, 1, 2))


def strided_view(x, W, stride=1, pad=0):
    """Look at the windows through a view, and copy them only once, into the matrix.

    Reason: moving numbers costs more here than multiplying them. A view with six axes moves none,
    so that the reshape, which has to copy, is the only one that does.
    """
    N, C, FN, FH, FW, OH, OW = _sizes(x, W, stride, pad)
    six = sliding_windows(x, FH, FW, stride, pad)  # (N, C, FH, FW, OH, OW)
    col = six.transpose(0, 4, 5, 1, 2, 3).reshape(N * OH * OW, C * FH * FW)  # the only copy
    out = col @ _filters(W, x).T  # (N*OH*OW, FN)
    return np.ascontiguousarray(out.reshape(N, OH, OW, FN).transpose(0, 3, 1, 2))


def no_transpose(x, W, stride=1, pad=0):
    """Let the windows be columns, one matrix for each image: the product lands channels first.

    Reason: in (C*FH*FW, OH*OW) a line of the output lies in one piece, so the copy moves runs of OW
    numbers and not of FW; and filters times columns is (FN, OH*OW), which is the order wanted:
    nothing is moved afterwards.
    """
    N, C, FN, FH, FW, OH, OW = _sizes(x, W, stride, pad)
    six = sliding_windows(x, FH, FW, stride, pad)  # (N, C, FH, FW, OH, OW)
    col = six.reshape(N, C * FH * FW, OH * OW)  # the only copy
    out = _filters(W, x) @ col  # (N, FN, OH*OW)
    return out.reshape(N, FN, OH, OW)


def reused_buffer(x, W, stride=1, pad=0):
    """Lay out a few images at a time, over the last few: the package's own layer.

    Reason: the matrix is FH*FW times as large as the images, and memory is slow. A buffer for a
    few images stays in the processor's cache, where the product finds it, and no fresh memory has
    to be asked for.
    """
    b = np.zeros(len(W), W.dtype)
    return Convolution(W, b, stride, pad).forward(x, train_flg=False)


RUNGS = (loops, book_im2col, strided_view, no_transpose, reused_buffer)


def _sizes(x, W, stride, pad):
    """Return N, C, FN, FH, FW, OH and OW, or raise the ValueError of the layer."""
    N, *image_shape = check_float_images(x)
    FN, OH, OW = Convolution(W, np.zeros(len(W)), stride, pad).output_shape(image_shape)
    _, C, FH, FW = W.shape
    return N, C, FN, FH, FW, OH, OW


def _filters(W, x):
    """Lay out the filters as rows, (FN, C*FH*FW), in the dtype of x."""
    return W.reshape(len(W), -1).astype(x.dtype, copy=False)
