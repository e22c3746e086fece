"""Windows that slide over images: how many fit, and how to lay them out as a matrix.

A convolution and a pooling look at their input through a small window that moves in steps.
Three questions follow, and this module answers them in order:

1. How many windows fit?                        ``conv_output_size``, formula (7.1)
2. How does one list all windows as a matrix?   ``im2col``
3. How does a gradient find its way back?       ``col2im``, the adjoint of ``im2col``

Letters as everywhere in ``cnnlib``: N images, C channels, H x W input, FH x FW filter,
OH x OW output, stride S, padding P.
"""

import operator

import numpy as np


def conv_output_size(size, filter_size, stride=1, pad=0, *, strict=False):
    """Count the positions a filter takes along one axis: formula (7.1).

    ::

        OH = (H + 2*P - FH) // S + 1

    Integer arithmetic throughout. Where S does not divide H + 2*P - FH, the last step would
    leave the input; it is not taken, and the rows behind the last window are never read:
    `uncovered_size` counts them and `explain_output_size` says so in a sentence.

    Parameters
    ----------
    size : int
        Input height H (or width W), at least 1.
    filter_size : int
        Filter height FH (or width FW), at least 1.
    stride : int, default 1
        Step S between neighbouring windows, at least 1.
    pad : int, default 0
        Rows P added on each of the two sides, at least 0.
    strict : bool, default False
        Raise where the stride does not divide, as the book asks of the settings.

    Returns
    -------
    int
        Output height OH (or width OW), at least 1.

    Raises
    ------
    ValueError
        If a setting is not a whole number or out of range, if the filter is larger than the
        padded input, or, with `strict`, if the stride does not divide.

    Notes
    -----
    Book section 7.2.4, formula (7.1).

    Examples
    --------
    >>> conv_output_size(7, 3, stride=2)
    3
    >>> conv_output_size(28, 5, pad=2)
    28
    """
    size, filter_size, stride, pad = _check_window(size, filter_size, stride, pad)
    if strict and (size + 2 * pad - filter_size) % stride:
        raise ValueError(explain_output_size(size, filter_size, stride, pad))
    return (size + 2 * pad - filter_size) // stride + 1


def uncovered_size(size, filter_size, stride=1, pad=0):
    """Count the rows at the far end of the padded input that no window reads.

    It is the remainder of the division in formula (7.1): (H + 2*P - FH) % S.

    Parameters
    ----------
    size, filter_size, stride, pad : int
        As for `conv_output_size`, and checked alike.

    Returns
    -------
    int
        0 where the stride divides; never more than S - 1.

    Examples
    --------
    >>> uncovered_size(7, 3, stride=3)
    1
    """
    size, filter_size, stride, pad = _check_window(size, filter_size, stride, pad)
    return (size + 2 * pad - filter_size) % stride


def explain_output_size(size, filter_size, stride=1, pad=0, *, lines="rows"):
    """Write formula (7.1) with its numbers, and say what a stride that does not divide leaves.

    Parameters
    ----------
    size, filter_size, stride, pad : int
        As for `conv_output_size`, and checked alike.
    lines : str, default "rows"
        What is counted along this axis: "columns" for a width.

    Returns
    -------
    str
        One line where the stride divides. Otherwise it also names the uncovered rows and the
        nearest pad, stride, filter and size that divide, each with the others unchanged.

    Examples
    --------
    >>> print(explain_output_size(7, 3, stride=2))
    (7 + 2*0 - 3) / 2 + 1 = 3
    >>> print(explain_output_size(7, 3, stride=3))  # doctest: +NORMALIZE_WHITESPACE
    (7 + 2*0 - 3) / 3 + 1 = 2.33: stride 3 does not divide 4; rounding down gives 2, and the end
    (1 of 7 rows, padding included) is never read. Nearest settings that divide: pad 1, stride 2,
    filter 4, size 6.
    """
    size, filter_size, stride, pad = _check_window(size, filter_size, stride, pad)
    span = size + 2 * pad - filter_size
    formula = f"({size} + 2*{pad} - {filter_size}) / {stride} + 1"
    if span % stride == 0:
        return f"{formula} = {span // stride + 1}"
    return (
        f"{formula} = {span / stride + 1:.2f}: stride {stride} does not divide {span}; rounding "
        f"down gives {span // stride + 1}, and the end ({span % stride} of {size + 2 * pad} "
        f"{lines}, padding included) is never read. Nearest settings that divide: "
        + ", ".join(_dividing_neighbours(size, filter_size, stride, pad))
        + "."
    )


def pad_images(x, pad, value=0):
    """Surround every channel with `pad` rows and columns of `value`.

    Parameters
    ----------
    x : ndarray, shape (N, C, H, W)
        Images.
    pad : int
        Padding P; with 0, `x` itself is returned.
    value : float, default 0
        What to fill with.

    Returns
    -------
    ndarray, shape (N, C, H + 2*P, W + 2*P)
    """
    if pad == 0:
        return x
    N, C, H, W = x.shape
    padded = np.full((N, C, H + 2 * pad, W + 2 * pad), value, dtype=x.dtype)
    padded[:, :, pad : pad + H, pad : pad + W] = x
    return padded


def window_place(x, i, j, OH, OW, stride):
    """Show element (i, j) of every window at once, as a view of `x`, which is padded already.

    Parameters
    ----------
    x : ndarray, shape (N, C, H + 2*P, W + 2*P)
        Padded images.
    i, j : int
        Row and column inside the window.
    OH, OW : int
        How many windows there are.
    stride : int
        Step S.

    Returns
    -------
    ndarray, shape (N, C, OH, OW)
        No two elements of it are the same element of `x`, so it may be added to.
    """
    return x[:, :, i : i + stride * OH : stride, j : j + stride * OW : stride]


def sliding_windows(x, filter_h, filter_w, stride=1, pad=0):
    """Show every window of a batch of images, without copying a single number.

    A view is a new way to count through the same memory: besides (N, C) there are two axes for
    the place inside the window and two for the place of the window. Only padding needs a copy.

    Parameters
    ----------
    x : ndarray, shape (N, C, H, W)
        Images.
    filter_h, filter_w : int
        Window height FH and width FW.
    stride, pad : int
        Step S and zero padding P, the same along both axes.

    Returns
    -------
    ndarray, shape (N, C, FH, FW, OH, OW)
        Read-only view; element [n, c, i, j, p, q] is ``x_padded[n, c, p*S + i, q*S + j]``.

    Raises
    ------
    ValueError
        If `x` is not 4-D or holds no image, or as `conv_output_size`.
    """
    N, C, H, W = check_images(x)
    OH = conv_output_size(H, filter_h, stride, pad)
    OW = conv_output_size(W, filter_w, stride, pad)
    # A stride may come as a small NumPy integer, which would overflow in the products below.
    filter_h, filter_w, stride, pad = map(operator.index, (filter_h, filter_w, stride, pad))
    x = pad_images(x, pad)
    n, c, row, column = x.strides  # bytes from one element to the next along each axis
    return np.lib.stride_tricks.as_strided(
        x,
        shape=(N, C, filter_h, filter_w, OH, OW),
        strides=(n, c, row, column, row * stride, column * stride),
        writeable=False,  # overlapping windows share memory: writing into one would change others
    )


def add_windows(windows, input_shape, stride=1, pad=0):
    """Add every window back into the place it was read from: the adjoint of `sliding_windows`.

    An input element that several windows read receives the sum of what they send back.

    Parameters
    ----------
    windows : ndarray, shape (N, C, FH, FW, OH, OW)
        One number for each place in each window, usually a gradient. More axes may follow.
    input_shape : tuple of int
        Shape (N, C, H, W) of the images the windows belong to, and the same axes behind it.
    stride, pad : int
        As the windows were read.

    Returns
    -------
    ndarray of shape `input_shape`
        Sums, in the dtype of `windows`; what falls into the padding is dropped.
    """
    N, C, H, W, *more = input_shape
    _, _, FH, FW, OH, OW, *_ = windows.shape
    x = np.zeros((N, C, H + 2 * pad, W + 2 * pad, *more), dtype=windows.dtype)
    for i in range(FH):  # FH*FW additions of whole images instead of N*C*OH*OW small ones
        for j in range(FW):
            place = window_place(x, i, j, OH, OW, stride)
            place += windows[:, :, i, j]
    return x[:, :, pad : pad + H, pad : pad + W]


def im2col(input_data, filter_h, filter_w, stride=1, pad=0):
    """Lay out every window of every image as one row of a matrix.

    A convolution then is one matrix product: ``im2col(x) @ W.reshape(FN, -1).T``.

    Parameters
    ----------
    input_data : ndarray, shape (N, C, H, W)
        Images.
    filter_h, filter_w : int
        Filter height FH and width FW.
    stride, pad : int
        Step S and zero padding P, the same along both axes.

    Returns
    -------
    ndarray, shape (N*OH*OW, C*FH*FW)
        Row (n, p, q) holds the window of image n at output place (p, q), channel by channel and
        line by line. The dtype of `input_data` is kept. C*FH*FW is the number of elements of
        one filter.

    Raises
    ------
    ValueError
        As `sliding_windows`.

    Notes
    -----
    Book section 7.4.2. Where windows overlap, the matrix holds an input element several times,
    up to FH*FW: that is the price in memory for one fast product. In memory column stands after
    column (Fortran order), which is filled faster; to the product it makes no difference.

    Examples
    --------
    >>> im2col(np.zeros((1, 3, 7, 7)), 5, 5).shape
    (9, 75)
    >>> im2col(np.zeros((10, 3, 7, 7)), 5, 5).shape
    (90, 75)
    """
    windows = sliding_windows(input_data, filter_h, filter_w, stride, pad)
    _, C, FH, FW, _, _ = windows.shape
    # Column by column, NumPy copies lines of OW numbers (neighbours, with stride 1); else of FW.
    columns = np.array(windows.transpose(1, 2, 3, 0, 4, 5), order="C")  # (C, FH, FW, N, OH, OW)
    return columns.reshape(C * FH * FW, -1).T


def col2im(col, input_shape, filter_h, filter_w, stride=1, pad=0):
    """Add the rows of a matrix back into images: the adjoint of `im2col`, not its inverse.

    For all x and col, ``(im2col(x) * col).sum() == (x * col2im(col)).sum()``. That is what
    backpropagation needs: an element read by k windows receives k gradients, added.

    Parameters
    ----------
    col : ndarray, shape (N*OH*OW, C*FH*FW)
        Matrix laid out as by `im2col`.
    input_shape : tuple of int
        Shape (N, C, H, W) of the images.
    filter_h, filter_w, stride, pad : int
        As given to `im2col`.

    Returns
    -------
    ndarray, shape (N, C, H, W)
        Sums in the dtype of `col`.

    Raises
    ------
    ValueError
        If `col` does not have the shape that `im2col` gives for these settings.

    Notes
    -----
    Book section 7.4.3 (backward of the convolution).
    """
    N, C, H, W = input_shape
    OH = conv_output_size(H, filter_h, stride, pad)
    OW = conv_output_size(W, filter_w, stride, pad)
    filter_h, filter_w, stride, pad = map(operator.index, (filter_h, filter_w, stride, pad))
    expected = (N * OH * OW, C * filter_h * filter_w)
    if col.shape != expected:
        raise ValueError(
            f"col has shape {col.shape}, but images of shape {tuple(input_shape)} with a "
            f"{filter_h} x {filter_w} filter, stride {stride} and pad {pad} give "
            f"(N*OH*OW, C*FH*FW) = {expected}"
        )
    windows = col.reshape(N, OH, OW, C, filter_h, filter_w).transpose(0, 3, 4, 5, 1, 2)
    return add_windows(windows, input_shape, stride, pad)  # (N, C, H, W)


def whole_number(name, value, least=1):
    """Return a setting as a plain int, or raise ValueError with its name and value."""
    try:
        number = operator.index(value)
    except TypeError:
        raise ValueError(f"{name} must be a whole number, got {value!r}") from None
    if number < least:
        raise ValueError(f"{name} must be at least {least}, got {number}")
    return number


def _check_window(size, filter_size, stride, pad):
    """Return the four settings as plain ints, or raise ValueError naming the one that is wrong."""
    size = whole_number("size", size)
    filter_size = whole_number("filter_size", filter_size)
    stride = whole_number("stride", stride)
    pad = whole_number("pad", pad, least=0)
    if filter_size > size + 2 * pad:
        raise ValueError(
            f"a filter of size {filter_size} does not fit into the padded input of size "
            f"{size} + 2*{pad} = {size + 2 * pad}; use a filter of at most {size + 2 * pad} or a "
            f"pad of at least {-(-(filter_size - size) // 2)}"
        )
    return size, filter_size, stride, pad


def check_images(x):
    """Return the shape (N, C, H, W), or raise ValueError saying what is wrong with it."""
    shape = np.shape(x)
    if len(shape) != 4:
        raise ValueError(
            f"images must be 4-D, (N, C, H, W), got shape {shape}"
            + (f"; for one image use x[np.newaxis], shape {(1, *shape)}" if len(shape) == 3 else "")
        )
    if 0 in shape:
        raise ValueError(f"the batch is empty, or its images are: (N, C, H, W) = {shape}")
    return shape


def _dividing_neighbours(size, filter_size, stride, pad):
    """List, as text, the nearest pad, stride, filter and size for which (7.1) divides."""
    found = []
    for name, position in (("pad", 3), ("stride", 2), ("filter", 1), ("size", 0)):
        for change in sorted(range(-stride, stride + 1), key=abs):  # 0, -1, 1, -2, 2, ...
            settings = [size, filter_size, stride, pad]
            settings[position] += change
            try:
                divides = uncovered_size(*settings) == 0
            except ValueError:  # this neighbour is out of range: no offer
                continue
            if divides:
                found.append(f"{name} {settings[position]}")
                break
    return found
