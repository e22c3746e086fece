"""Windows that slide over images: how many fit, and how to list them all in a matrix.

Convolution and pooling look at their input through a window that moves in steps. Hence:

1. How many windows fit?                      ``conv_output_size``, formula (7.1)
2. How are all windows listed in a matrix?    ``im2col``
3. How does a gradient find its way back?     ``col2im``, the adjoint of ``im2col``

At the end stand the checks that all of ``cnnlib`` shares. Letters as everywhere: N images,
C channels, H x W input, FH x FW filter, OH x OW output, stride S, padding P.
"""

import operator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


def conv_output_size(input_size, filter_size, stride=1, pad=0, *, strict=False):
    """Count the positions a filter takes along one axis: formula (7.1), book section 7.2.4.

        OH = (H + 2*P - FH) // S + 1

    Where S does not divide H + 2*P - FH, the last step would leave the input and is not taken:
    the rows behind the last window are never read.

    Parameters
    ----------
    input_size, filter_size : int
        Heights H and FH (or widths W and FW), at least 1.
    stride : int, default 1
        Step S between neighbouring windows, at least 1.
    pad : int, default 0
        Rows P added on each of the two sides, at least 0.
    strict : bool, default False
        Raise where the stride does not divide, as the book asks of the settings.

    Raises
    ------
    ValueError
        If a setting is impossible, or, with `strict`, if the stride does not divide.

    Examples
    --------
    >>> conv_output_size(7, 3, stride=2)
    3
    >>> conv_output_size(28, 5, pad=2)
    28
    """
    H, FH, S, P = _settings(input_size, filter_size, stride, pad)
    if strict and (H + 2 * P - FH) % S:
        raise ValueError(explain_output_size(H, FH, S, P))
    return (H + 2 * P - FH) // S + 1


def uncovered_size(input_size, filter_size, stride=1, pad=0):
    """Count the rows at the far end of the padded input that no window reads.

    It is the remainder of the division in formula (7.1), (H + 2*P - FH) % S: 0 where the stride
    divides. Arguments and errors are those of `conv_output_size`.

    Examples
    --------
    >>> uncovered_size(7, 3, stride=3)
    1
    """
    H, FH, S, P = _settings(input_size, filter_size, stride, pad)
    return (H + 2 * P - FH) % S


def explain_output_size(input_size, filter_size, stride=1, pad=0, *, lines="rows"):
    """Write formula (7.1) with its numbers, and say what a stride that does not divide leaves.

    Arguments and errors are those of `conv_output_size`; `lines` says what is counted along this
    axis, "columns" for a width. Where the stride does not divide, the sentence names the uncovered
    rows and, for pad, stride, filter and size, the nearest value that does, if one is within 100.

    Examples
    --------
    >>> print(explain_output_size(7, 3, stride=2))
    (7 + 2*0 - 3) / 2 + 1 = 3
    >>> print(explain_output_size(7, 3, stride=3))  # doctest: +NORMALIZE_WHITESPACE
    (7 + 2*0 - 3) / 3 + 1 = 2.33: stride 3 does not divide 4; rounding down gives 2, and the end
    (1 of 7 rows, padding included) is never read. Nearest settings that divide: pad 1, stride 2,
    filter 4, size 6.
    """
    H, FH, S, P = _settings(input_size, filter_size, stride, pad)
    span = H + 2 * P - FH
    formula = f"({H} + 2*{P} - {FH}) / {S} + 1"
    if span % S == 0:
        return f"{formula} = {span // S + 1}"
    return (
        f"{formula} = {span / S + 1:.2f}: stride {S} does not divide {span}; rounding "
        f"down gives {span // S + 1}, and the end ({span % S} of {H + 2 * P} "
        f"{lines}, padding included) is never read. Nearest settings that divide: "
        f"{', '.join(settings_that_divide(H, FH, S, P)) or 'none within 100'}."
    )


def pad_images(x, pad, value=0):
    """Surround every channel of x, shape (N, C, H, W), with `pad` rows and columns of `value`.

    The result has shape (N, C, H + 2*P, W + 2*P); with pad 0 it is `x` itself.
    """
    pad = whole_number("pad", pad, least=0)
    if pad == 0:
        return x
    N, C, H, W = x.shape
    padded = np.full((N, C, H + 2 * pad, W + 2 * pad), value, dtype=x.dtype)
    padded[:, :, pad : pad + H, pad : pad + W] = x
    return padded


def sliding_windows(x, filter_h, filter_w, stride=1, pad=0):
    """Show every window of a batch of images, without copying a single number.

    A view is a new way to index the same memory: besides (N, C) there are two axes for the row and
    column inside the window, and two for the position of the window. Only padding needs a copy.

    Arguments and errors are those of `im2col`. The result, (N, C, FH, FW, OH, OW), is read-only;
    element [n, c, i, j, p, q] is ``x_padded[n, c, p*S + i, q*S + j]``.
    """
    _, _, H, W = check_image_shape(np.shape(x))
    _, FH, S, P = _settings(H, filter_h, stride, pad)
    _, FW, _, _ = _settings(W, filter_w, stride, pad)
    windows = sliding_window_view(pad_images(x, P), (FH, FW), axis=(2, 3))
    return windows[:, :, ::S, ::S].transpose(0, 1, 4, 5, 2, 3)


def add_windows(windows, input_shape, stride=1, pad=0):
    """Add every window back to where it was read: the adjoint of `sliding_windows`.

    From windows (N, C, FH, FW, OH, OW), usually of a gradient, it makes images of `input_shape`,
    (N, C, H, W); more axes may follow in both. An element that several windows read receives the
    sum of what they send back; what falls into the padding is dropped.
    """
    N, C, H, W, *more = input_shape
    _, _, FH, FW, OH, OW, *_ = windows.shape
    S, P = stride, pad
    x = np.zeros((N, C, H + 2 * P, W + 2 * P, *more), dtype=windows.dtype)
    for i in range(FH):  # element (i, j) of all windows at once: no input element occurs twice
        for j in range(FW):
            x[:, :, i : i + S * OH : S, j : j + S * OW : S] += windows[:, :, i, j]
    return x[:, :, P : P + H, P : P + W]


def im2col(input_data, filter_h, filter_w, stride=1, pad=0):
    """List every window of every image as one row of a matrix.

    A convolution then is one matrix product: ``im2col(x, FH, FW) @ W.reshape(FN, -1).T``.

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
        Row (n, p, q) holds the window of image n at output position (p, q), channel by channel and
        row by row. The dtype of `input_data` is kept.

    Raises
    ------
    ValueError
        If there is no image or not four axes, or as `conv_output_size`.

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
    columns = np.array(windows.transpose(1, 2, 3, 0, 4, 5), order="C")  # (C, FH, FW, N, OH, OW)
    return columns.reshape(C * FH * FW, -1).T  # (N*OH*OW, C*FH*FW)


def col2im(col, input_shape, filter_h, filter_w, stride=1, pad=0):
    """Add the rows of a matrix back into images: the adjoint of `im2col`, not its inverse.

    For all x and col, ``(im2col(x) * col).sum() == (x * col2im(col)).sum()``. That is what
    backpropagation (book section 7.4.3) needs: an element read by k windows receives k gradients.

    Parameters
    ----------
    col : ndarray, shape (N*OH*OW, C*FH*FW)
        Matrix as `im2col` gives it for these settings (else ValueError).
    input_shape : tuple of int
        Shape (N, C, H, W) of the images that are returned.
    """
    N, C, H, W = check_image_shape(input_shape)
    _, FH, S, P = _settings(H, filter_h, stride, pad)
    _, FW, _, _ = _settings(W, filter_w, stride, pad)
    OH, OW = (H + 2 * P - FH) // S + 1, (W + 2 * P - FW) // S + 1
    if np.shape(col) != (N * OH * OW, C * FH * FW):
        raise ValueError(
            f"col has shape {np.shape(col)}, but images of shape {(N, C, H, W)} with a "
            f"{FH} x {FW} filter, stride {S} and pad {P} give "
            f"(N*OH*OW, C*FH*FW) = {(N * OH * OW, C * FH * FW)}"
        )
    windows = col.reshape(N, OH, OW, C, FH, FW).transpose(0, 3, 4, 5, 1, 2)
    return add_windows(windows, (N, C, H, W), S, P)  # (N, C, H, W)


def whole_number(name, value, least=1):
    """Return a setting as a plain int, or raise ValueError with its name and value."""
    try:
        number = operator.index(value)
    except TypeError:
        raise ValueError(f"{name} must be a whole number, got {value!r}") from None
    if number < least:
        raise ValueError(f"{name} must be at least {least}, got {number}")
    return number


def check_float(x, name="x"):
    """Raise ValueError unless `x` is a floating-point array that holds a sample."""
    if not isinstance(x, np.ndarray) or x.dtype.kind != "f":
        kind = getattr(x, "dtype", type(x).__name__)
        hint = "; for pixels use x.astype(np.float32) / 255" if name.startswith("x") else ""
        raise ValueError(f"{name} must be a floating-point array, got {kind}{hint}")
    if x.size == 0 or x.ndim == 0:
        what = "the batch is empty" if x.ndim else "a batch has at least one axis"
        raise ValueError(f"{what}: {name} has shape {x.shape}")


def check_image_shape(shape):
    """Return the shape (N, C, H, W) of a batch of images as a tuple, or raise ValueError."""
    shape = tuple(shape)
    if len(shape) != 4:
        hint = f"; for one image use x[np.newaxis], shape {(1, *shape)}" if len(shape) == 3 else ""
        raise ValueError(f"images must be 4-D, (N, C, H, W), got shape {shape}{hint}")
    if 0 in shape:
        raise ValueError(f"the batch is empty, or its images are: (N, C, H, W) = {shape}")
    return shape


def check_parameters(W, b, axes, bias_axis):
    """Return W and b, one bias for each output; raise ValueError where they do not fit.

    `axes` names the axes of W, such as "(FN, C, FH, FW)"; b has axis number `bias_axis` of them. A
    b that is a single number is the same bias for every output.
    """
    letters = axes.strip("()").split(", ")
    array = isinstance(W, np.ndarray)
    numbers = array and {W.dtype.kind, np.asarray(b).dtype.kind} <= set("fiu")
    fits = numbers and W.ndim == len(letters) and W.size
    if not fits or np.shape(b) not in ((W.shape[bias_axis],), ()):
        raise ValueError(
            f"weights W must be an array of shape {axes} and the bias b of shape "
            f"({letters[bias_axis]},), got W {np.shape(W)}"
            f"{'' if numbers else f' of {type(W).__name__}'} and b {np.shape(b)}"
        )
    if np.ndim(b) == 0:
        b = np.full(W.shape[bias_axis], b, np.result_type(W, np.float16))
    return W, np.asarray(b)


def check_pooling(pool_h, pool_w, stride, pad):
    """Return the settings of a pooling as plain ints, or raise ValueError."""
    pool_h, pool_w = whole_number("pool_h", pool_h), whole_number("pool_w", pool_w)
    stride, pad = whole_number("stride", stride), whole_number("pad", pad, least=0)
    if pad >= min(pool_h, pool_w):
        raise ValueError(
            f"pad {pad} must be smaller than the pooling window {pool_h} x {pool_w}: "
            "a window in the corner would see nothing but padding"
        )
    return pool_h, pool_w, stride, pad


def feature_maps_shape(image_shape, W_shape, stride, pad):
    """Return (FN, OH, OW), what filters (FN, C, FH, FW) make of an image (C, H, W)."""
    _, channels, H, W = check_image_shape((1, *image_shape))
    FN, C, FH, FW = W_shape
    if channels != C:
        raise ValueError(
            f"the images have C = {channels} channels, the filters W {W_shape} have {C}: "
            "an image and a filter must have the same number of channels"
        )
    return FN, conv_output_size(H, FH, stride, pad), conv_output_size(W, FW, stride, pad)


def pooled_shape(image_shape, pool_h, pool_w, stride, pad):
    """Return (C, OH, OW), what a pooling makes of an image (C, H, W)."""
    _, C, H, W = check_image_shape((1, *image_shape))
    for size, pool_size in (H, pool_h), (W, pool_w):
        _settings(size, pool_size, stride, pad, called="window")
    return C, conv_output_size(H, pool_h, stride, pad), conv_output_size(W, pool_w, stride, pad)


def _settings(input_size, filter_size, stride, pad, called="filter"):
    """Return H, FH, S and P as plain ints, or raise ValueError naming the one that is wrong."""
    H, FH = whole_number("input_size", input_size), whole_number("filter_size", filter_size)
    S, P = whole_number("stride", stride), whole_number("pad", pad, least=0)
    if FH > H + 2 * P:
        raise ValueError(
            f"a {called} of size {FH} does not fit into the padded input of size "
            f"{H} + 2*{P} = {H + 2 * P}; use a {called} of at most {H + 2 * P} or a "
            f"pad of at least {-(-(FH - H) // 2)}"
        )
    return H, FH, S, P


def settings_that_divide(*settings):
    """List, as text, the nearest pad, stride, filter and size for which (7.1) divides."""
    found = []
    for name, position, least in ("pad", 3, 0), ("stride", 2, 1), ("filter", 1, 1), ("size", 0, 1):
        for change in sorted(range(-100, 101), key=abs):  # 0, -1, 1, -2, 2, ...
            changed = list(settings)
            changed[position] += change
            H, FH, S, P = changed
            if changed[position] >= least and H + 2 * P >= FH and (H + 2 * P - FH) % S == 0:
                found.append(f"{name} {changed[position]}")
                break
    return found
