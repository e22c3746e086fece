"""The same operations as plain loops: slow, and easy to believe.

Read this beside chapter 7.2. Each function says in loops what the fast one in ``windows`` and
``layers`` says in matrix products, and the tests hold the two together. Nothing here is clever, on
purpose.

A forward pass is one sentence: *for every image, every output channel and every output place, look
through the window.* A backward pass walks the same loops and sends the gradient the other way.
"""

import numpy as np

from cnnlib.windows import conv_output_size


def convolve(x, W, b=None, stride=1, pad=0):
    """Slide every filter over every image: multiply, add up, add the filter's bias.

    ::

        out[n, f, p, q] = b[f] + sum over c, i, j of  x[n, c, p*S + i, q*S + j] * W[f, c, i, j]

    Parameters
    ----------
    x : ndarray, shape (N, C, H, W)
        Images.
    W : ndarray, shape (FN, C, FH, FW)
        Filters; as many channels as the images.
    b : ndarray, shape (FN,), optional
        One bias per filter; none where left out.
    stride, pad : int
        Step S and zero padding P.

    Returns
    -------
    ndarray, shape (N, FN, OH, OW)
        Feature maps.

    Raises
    ------
    ValueError
        If the channels differ, or as `cnnlib.windows.conv_output_size`.

    Notes
    -----
    Book sections 7.2.2 to 7.2.7. Mathematics calls this cross-correlation: a convolution in its
    sense would turn the filter by 180 degrees first.
    """
    if x.shape[1] != W.shape[1]:
        raise ValueError(f"x has {x.shape[1]} channels and the filters have {W.shape[1]}")
    N, FN = len(x), len(W)
    _, C, FH, FW = W.shape
    OH = conv_output_size(x.shape[2], FH, stride, pad)
    OW = conv_output_size(x.shape[3], FW, stride, pad)
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    out = np.zeros((N, FN, OH, OW), dtype=np.result_type(x, W, np.int64))  # bytes would overflow
    for n in range(N):
        for f in range(FN):
            for p in range(OH):
                for q in range(OW):
                    for c in range(C):
                        for i in range(FH):
                            for j in range(FW):
                                seen = x[n, c, p * stride + i, q * stride + j]
                                out[n, f, p, q] += seen * W[f, c, i, j]
    return out if b is None else out + np.reshape(b, (1, FN, 1, 1))


def convolve_backward(dout, x, W, stride=1, pad=0):
    """Send the gradient of a convolution's output back to its input, filters and bias.

    Each product ``x * W`` of the forward pass went into one output; so its output's gradient,
    times the other factor, goes to each of the two. The bias went into every place.

    Parameters
    ----------
    dout : ndarray, shape (N, FN, OH, OW)
        Gradient of the loss by the output.
    x, W, stride, pad
        As given to `convolve`.

    Returns
    -------
    dx : ndarray, shape (N, C, H, W)
    dW : ndarray, shape (FN, C, FH, FW)
    db : ndarray, shape (FN,)
    """
    N, FN, OH, OW = dout.shape
    _, C, FH, FW = W.shape
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    dx, dW, db = np.zeros(x.shape), np.zeros(W.shape), np.zeros(FN)
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
                                dW[f, c, i, j] += dout[n, f, p, q] * x[n, c, row, column]
    return dx[:, :, pad : x.shape[2] - pad, pad : x.shape[3] - pad], dW, db


def max_pool(x, pool_h, pool_w, stride=2, pad=0):
    """Keep the largest number of every window, channel by channel.

    Parameters
    ----------
    x : ndarray, shape (N, C, H, W)
        Feature maps.
    pool_h, pool_w : int
        Window height and width.
    stride, pad : int
        Step S, and padding P with -inf, which no maximum picks.

    Returns
    -------
    ndarray, shape (N, C, OH, OW)

    Notes
    -----
    Book section 7.3.
    """
    out, _ = _max_pool_places(x, pool_h, pool_w, stride, pad)
    return out


def max_pool_backward(dout, x, pool_h, pool_w, stride=2, pad=0):
    """Send each gradient back to the one place its maximum came from, the first where several tie.

    Parameters
    ----------
    dout : ndarray, shape (N, C, OH, OW)
        Gradient of the loss by the output.
    x, pool_h, pool_w, stride, pad
        As given to `max_pool`.

    Returns
    -------
    ndarray, shape (N, C, H, W)
    """
    _, places = _max_pool_places(x, pool_h, pool_w, stride, pad)
    dx = np.zeros(x.shape)
    for (n, c, p, q), (row, column) in places.items():
        dx[n, c, row, column] += dout[n, c, p, q]
    return dx


def average_pool(x, pool_h, pool_w, stride=2, pad=0):
    """Take the mean of every window, channel by channel; zeros of the padding count in it.

    Parameters
    ----------
    x : ndarray, shape (N, C, H, W)
        Feature maps.
    pool_h, pool_w : int
        Window height and width.
    stride, pad : int
        Step S and zero padding P.

    Returns
    -------
    ndarray, shape (N, C, OH, OW)

    Notes
    -----
    Book section 7.3. The divisor is pool_h*pool_w in every window.
    """
    N, C, H, W = x.shape
    OH, OW = conv_output_size(H, pool_h, stride, pad), conv_output_size(W, pool_w, stride, pad)
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    out = np.zeros((N, C, OH, OW))
    for n in range(N):
        for c in range(C):
            for p in range(OH):
                for q in range(OW):
                    for i in range(pool_h):
                        for j in range(pool_w):
                            out[n, c, p, q] += x[n, c, p * stride + i, q * stride + j]
    return out / (pool_h * pool_w)


def average_pool_backward(dout, x, pool_h, pool_w, stride=2, pad=0):
    """Share each gradient equally among the places of its window.

    Parameters
    ----------
    dout : ndarray, shape (N, C, OH, OW)
        Gradient of the loss by the output.
    x, pool_h, pool_w, stride, pad
        As given to `average_pool`.

    Returns
    -------
    ndarray, shape (N, C, H, W)
    """
    N, C, H, W = x.shape
    dx = np.zeros((N, C, H + 2 * pad, W + 2 * pad))
    for n in range(N):
        for c in range(C):
            for p in range(dout.shape[2]):
                for q in range(dout.shape[3]):
                    share = dout[n, c, p, q] / (pool_h * pool_w)
                    for i in range(pool_h):
                        for j in range(pool_w):
                            dx[n, c, p * stride + i, q * stride + j] += share
    return dx[:, :, pad : pad + H, pad : pad + W]


def _max_pool_places(x, pool_h, pool_w, stride, pad):
    """Return the maxima and, for each output place, the input (row, column) it came from."""
    N, C, H, W = x.shape
    OH, OW = conv_output_size(H, pool_h, stride, pad), conv_output_size(W, pool_w, stride, pad)
    out, places = np.full((N, C, OH, OW), -np.inf), {}
    for n in range(N):
        for c in range(C):
            for p in range(OH):
                for q in range(OW):
                    for i in range(pool_h):
                        for j in range(pool_w):
                            row, column = p * stride + i - pad, q * stride + j - pad
                            inside = 0 <= row < H and 0 <= column < W  # else padding: -inf
                            if inside and x[n, c, row, column] > out[n, c, p, q]:
                                out[n, c, p, q] = x[n, c, row, column]
                                places[n, c, p, q] = (row, column)
    return out, places
