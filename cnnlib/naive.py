"""The same operations as plain loops: slow, and easy to believe.

Read this beside chapter 7.2. Each function says in loops what ``windows`` and ``layers`` say in
matrix products, and the tests hold the two together. Nothing here is clever, on purpose.

A forward pass is one sentence: *for every image, every output channel and every output position,
look through the window.* A backward pass walks the same loops and sends the gradient the other way.
"""

import numpy as np

from cnnlib.windows import (
    check_float,
    check_image_shape,
    check_parameters,
    check_pooling,
    feature_maps_shape,
    pad_images,
    pooled_shape,
    whole_number,
)


def convolve(x, W, b=0, stride=1, pad=0):
    """Slide every filter over every image: multiply, add up, add the bias of the filter.

        out[n, f, p, q] = b[f] + sum over c, i, j of  x[n, c, p*S + i, q*S + j] * W[f, c, i, j]

    Parameters
    ----------
    x : ndarray, shape (N, C, H, W)
        Images, floating point.
    W : ndarray, shape (FN, C, FH, FW)
        Filters; as many channels as the images.
    b : float or ndarray, shape (FN,), default 0
        One bias per filter; a single number is the bias of all.
    stride, pad : int
        Step S and zero padding P.

    Returns
    -------
    ndarray, shape (N, FN, OH, OW)
        Feature maps, in the dtype of x.

    Raises
    ------
    ValueError
        As `cnnlib.layers.Convolution`.

    Notes
    -----
    Book sections 7.2.2 to 7.2.7. Mathematics calls this cross-correlation: a convolution in its
    sense would turn the filter by 180 degrees first.
    """
    N, FN, OH, OW, stride, pad = _check_convolution(x, W, b, stride, pad)
    _, C, FH, FW = W.shape
    x_padded, b = pad_images(x, pad), np.broadcast_to(b, FN)
    out = np.zeros((N, FN, OH, OW))
    for n in range(N):
        for f in range(FN):
            for p in range(OH):
                for q in range(OW):
                    out[n, f, p, q] = b[f]
                    for c in range(C):
                        for i in range(FH):
                            for j in range(FW):
                                seen = x_padded[n, c, p * stride + i, q * stride + j]
                                out[n, f, p, q] += seen * W[f, c, i, j]
    return out.astype(x.dtype)


def convolve_backward(dout, x, W, stride=1, pad=0):
    """Send the gradient of a convolution's output back to its input, filters and bias.

    Each product ``x * W`` of the forward pass went into one output; so its output's gradient,
    times the other factor, goes to each of the two. The bias went into every position. Takes dout
    (N, FN, OH, OW) and the arguments of `convolve`; returns dx, dW and db, shaped as x, W and b.
    """
    N, FN, OH, OW, stride, pad = _check_convolution(x, W, 0, stride, pad)
    _check_dout(dout, (N, FN, OH, OW))
    _, C, FH, FW = W.shape
    x_padded = pad_images(x, pad)
    dx, dW, db = np.zeros(x_padded.shape), np.zeros(W.shape), np.zeros(FN)
    for n in range(N):
        for f in range(FN):
            for p in range(OH):
                for q in range(OW):
                    db[f] += dout[n, f, p, q]
                    for c in range(C):
                        for i in range(FH):
                            for j in range(FW):
                                row, column = p * stride + i, q * stride + j
                                dx[n, c, row, column] += dout[n, f, p, q] * W[f, c, i, j]
                                dW[f, c, i, j] += dout[n, f, p, q] * x_padded[n, c, row, column]
    dx = dx[:, :, pad : pad + x.shape[2], pad : pad + x.shape[3]]
    return dx.astype(dout.dtype), dW.astype(dout.dtype), db.astype(dout.dtype)


def max_pool(x, pool_h, pool_w, stride=2, pad=0):
    """Keep the largest number of every window, channel by channel; the padding is -inf.

    Takes x (N, C, H, W) and returns (N, C, OH, OW). Book section 7.3. ValueError as
    `cnnlib.layers.Pooling`.
    """
    N, C, OH, OW, pool_h, pool_w, stride, pad = _check_pooling(x, pool_h, pool_w, stride, pad)
    x_padded = pad_images(x, pad, -np.inf)
    out = np.zeros((N, C, OH, OW))
    for n, c, p, q in np.ndindex(N, C, OH, OW):
        top, left = p * stride, q * stride
        window = x_padded[n, c, top : top + pool_h, left : left + pool_w]
        out[n, c, p, q] = window[_largest(window)]
    return out.astype(x.dtype)


def max_pool_backward(dout, x, pool_h, pool_w, stride=2, pad=0):
    """Send each gradient back to where its maximum came from, the first where several tie.

    Takes dout (N, C, OH, OW) and the arguments of `max_pool`; returns dx (N, C, H, W).
    """
    N, C, OH, OW, pool_h, pool_w, stride, pad = _check_pooling(x, pool_h, pool_w, stride, pad)
    _check_dout(dout, (N, C, OH, OW))
    x_padded = pad_images(x, pad, -np.inf)
    dx = np.zeros(x_padded.shape)
    for n, c, p, q in np.ndindex(N, C, OH, OW):
        top, left = p * stride, q * stride
        i, j = _largest(x_padded[n, c, top : top + pool_h, left : left + pool_w])
        dx[n, c, top + i, left + j] += dout[n, c, p, q]
    return dx[:, :, pad : pad + x.shape[2], pad : pad + x.shape[3]].astype(dout.dtype)


def average_pool(x, pool_h, pool_w, stride=2, pad=0):
    """Take the mean of the pool_h*pool_w numbers of every window, zeros of the padding included.

    Takes x (N, C, H, W) and returns (N, C, OH, OW). Book section 7.3. ValueError as
    `cnnlib.layers.Pooling`.
    """
    N, C, OH, OW, pool_h, pool_w, stride, pad = _check_pooling(x, pool_h, pool_w, stride, pad)
    x_padded = pad_images(x, pad)
    out = np.zeros((N, C, OH, OW))
    for n, c, p, q in np.ndindex(N, C, OH, OW):
        for i in range(pool_h):
            for j in range(pool_w):
                out[n, c, p, q] += x_padded[n, c, p * stride + i, q * stride + j]
    return (out / (pool_h * pool_w)).astype(x.dtype)


def average_pool_backward(dout, x, pool_h, pool_w, stride=2, pad=0):
    """Share each gradient equally among the elements of its window.

    Takes dout (N, C, OH, OW) and the arguments of `average_pool`; returns dx (N, C, H, W).
    """
    N, C, OH, OW, pool_h, pool_w, stride, pad = _check_pooling(x, pool_h, pool_w, stride, pad)
    _check_dout(dout, (N, C, OH, OW))
    dx = np.zeros(pad_images(x, pad).shape)
    for n, c, p, q in np.ndindex(N, C, OH, OW):
        share = dout[n, c, p, q] / (pool_h * pool_w)
        for i in range(pool_h):
            for j in range(pool_w):
                dx[n, c, p * stride + i, q * stride + j] += share
    return dx[:, :, pad : pad + x.shape[2], pad : pad + x.shape[3]].astype(dout.dtype)


def _largest(window):
    """Return (i, j) of the largest number of a window: of equal ones the first; NaN beats all."""
    best = 0, 0
    for i in range(window.shape[0]):
        for j in range(window.shape[1]):
            first_nan = np.isnan(window[i, j]) and not np.isnan(window[best])
            if window[i, j] > window[best] or first_nan:
                best = i, j
    return best


def _check_convolution(x, W, b, stride, pad):
    """Return N, FN, OH, OW and plain settings; raise ValueError where something does not fit."""
    check_parameters(W, b, "(FN, C, FH, FW)", bias_axis=0)
    stride, pad = whole_number("stride", stride), whole_number("pad", pad, least=0)
    check_float(x)
    N, *image_shape = check_image_shape(x.shape)
    return N, *feature_maps_shape(image_shape, W.shape, stride, pad), stride, pad


def _check_pooling(x, pool_h, pool_w, stride, pad):
    """Return N, C, OH, OW and plain settings; raise ValueError where something does not fit."""
    settings = check_pooling(pool_h, pool_w, stride, pad)
    check_float(x)
    N, *image_shape = check_image_shape(x.shape)
    return N, *pooled_shape(image_shape, *settings), *settings


def _check_dout(dout, out_shape):
    """Raise ValueError unless `dout` is a floating-point array of the shape of the output."""
    check_float(dout, "dout")
    if dout.shape != out_shape:
        raise ValueError(f"dout has shape {dout.shape}, but the output has {out_shape}")
