"""Exercises of chapter 7.3: max pooling there and back, and average pooling."""

import numpy as np

from cnnlib.exercises.convolution import stride_forgotten
from cnnlib.exercises.engine import Exercise, counting, dice
from cnnlib.layers import Pooling
from cnnlib.windows import add_windows, pad_images, sliding_windows


def check_max_pooling(my_max_pooling):
    """Check max pooling.

    Write ``my_max_pooling(x, pool_h, pool_w, stride=2, pad=0)``: x (N, C, H, W); return
    (N, C, OH, OW) in the dtype of x. The padding never wins: it is -inf.
    """
    return MAX_POOLING.check(my_max_pooling)


def check_average_pooling(my_average_pooling):
    """Check average pooling.

    Write ``my_average_pooling(x, pool_h, pool_w, stride=2, pad=0)``: x (N, C, H, W); return
    (N, C, OH, OW) in the dtype of x. Zeros of the padding count: divide by pool_h*pool_w.
    """
    return AVERAGE_POOLING.check(my_average_pooling)


def check_max_pooling_backward(my_max_pooling_backward):
    """Check the way back through max pooling.

    Write ``my_max_pooling_backward(dout, x, pool_h, pool_w, stride=2, pad=0)``: dout
    (N, C, OH, OW), x (N, C, H, W); return dx in the shape and dtype of x. Where several numbers of
    a window are the largest, the first of them, line by line, receives the gradient.
    """
    return MAX_POOLING_BACKWARD.check(my_max_pooling_backward)


def _pooled(mode):
    def pool(x, pool_h, pool_w, stride=2, pad=0):
        return Pooling(pool_h, pool_w, stride, pad, mode).forward(x, train_flg=False)

    return pool


_max, _average = _pooled("max"), _pooled("average")


def _windows(x, pool_h, pool_w, stride, pad, value=0.0):
    """Show the windows of the padded images, (N, C, pool_h, pool_w, OH, OW)."""
    return sliding_windows(pad_images(x, pad, value), pool_h, pool_w, stride)


def _whole_map(pool):
    """Look at the whole map instead of each window."""

    def mistaken(x, *sizes):
        whole = pool(x, *x.shape[2:], 1, 0)  # (N, C, 1, 1)
        return np.broadcast_to(whole, pool(x, *sizes).shape)

    return mistaken


def _sliced(reduce, value=0.0, to_the_end=False):
    """Cut windows that go on to the last row and column, or are pool_w high and pool_h wide."""

    def mistaken(x, pool_h, pool_w, stride=2, pad=0):
        out = _max(x, pool_h, pool_w, stride, pad).copy()
        x = pad_images(x, pad, value)
        for p, q in np.ndindex(out.shape[2:]):
            window = x[:, :, p * stride :, q * stride :]
            window = window if to_the_end else window[:, :, :pool_w, :pool_h]
            out[:, :, p, q] = reduce(window, (2, 3))
        return out

    return mistaken


def _first_tie(x, pool_h, pool_w, stride=2, pad=0):
    """Return where in its window the maximum stands, instead of how large it is."""
    windows = _windows(x, pool_h, pool_w, stride, pad, -np.inf)
    N, C, _, _, OH, OW = windows.shape
    return windows.reshape(N, C, -1, OH, OW).argmax(2)


def _shared_mistakes(pool, reduce):
    """List the mistakes that both kinds of pooling know."""

    def over_channels(x, *sizes):
        pooled = pool(x, *sizes)
        return np.broadcast_to(reduce(pooled, 1, keepdims=True), pooled.shape)

    return {
        "the channels are mixed: pooling treats every channel on its own": over_channels,
        "the stride is forgotten inside: window (p, q) begins at row p*S and column q*S":
            stride_forgotten(pool),
        "the stride is forgotten: the windows move by S, not by 1":
            lambda x, h, w, S=2, P=0: pool(x, h, w, 1, P),
        "the windows step by their own size: the stride is a setting of its own":
            lambda x, h, w, S=2, P=0: pool(x, h, w, h, P),
        "the padding is forgotten": lambda x, h, w, S=2, P=0: pool(x, h, w, S, 0),
        "height and width of the window are exchanged":
            lambda x, h, w, S=2, P=0: pool(x, w, h, S, P),
    }  # fmt: skip


CASES = [
    (counting(1, 1, 2, 4), 2, 2), (-counting(1, 1, 2, 2), 2, 2, 2, 1),
    (dice(0, 1, 1, 2, 3), 1, 2, 1, 0), (dice(1, 1, 2, 2, 2), 2, 2, 2, 0),
    (dice(2, 1, 1, 4, 4), 2, 2, 2, 0), (dice(3, 1, 1, 4, 3), 3, 2, 1, 0),
    (dice(8, 1, 1, 3, 2) - 5, 2, 2, 1, 1), (dice(4, 2, 1, 3, 5), 2, 2, 2, 0),
    (1e300 * (dice(5, 2, 3, 5, 6) - 5), 3, 2, 2, 1),  # no number pads but -inf
    (dice(6, 2, 3, 7, 5), 2, 3, 3, 1), (dice(7, 3, 2, 6, 4, dtype=np.float32), 2, 2, 2, 1),
]  # fmt: skip

MAX_POOLING = Exercise("max pooling", "7.3", "my_max_pooling(x, pool_h, pool_w, stride=2, pad=0)",
    cases=CASES,
    reference=_max,
    mistakes={
        "padded with 0, which wins over negative numbers: pad with -np.inf":
            lambda x, h, w, S=2, P=0: _windows(x, h, w, S, P).max(axis=(2, 3)),
        "the mean instead of the maximum": _average,
        "the minimum instead of the maximum": lambda x, *sizes: -_max(-x, *sizes),
        "height and width of the window are exchanged in the slices":
            _sliced(np.max, -np.inf),
        "the place of the maximum (argmax) instead of the maximum itself": _first_tie,
        "the maximum of all the map: each window has its own": _whole_map(_max),
        "the running maximum starts at 0, so that a window of negative numbers gives 0: start "
        "with -np.inf": lambda x, *sizes: np.maximum(_max(x, *sizes), 0),
        "the slices have no end: a window ends at p*S + pool_h and q*S + pool_w":
            _sliced(np.max, -np.inf, to_the_end=True),
        "the maximum over the wrong axis: over the columns of the window only":
            lambda x, h, w, S=2, P=0: _windows(x, h, w, S, P, -np.inf)[:, :, 0].max(2),
        **_shared_mistakes(_max, np.max),
    },
)  # fmt: skip

AVERAGE_POOLING = Exercise(
    "average pooling", "7.3", "my_average_pooling(x, pool_h, pool_w, stride=2, pad=0)",
    cases=CASES,
    reference=_average,
    mistakes={
        "the sum instead of the mean":
            lambda x, h, w, S=2, P=0: _windows(x, h, w, S, P).sum(axis=(2, 3)),
        "the maximum instead of the mean": _max,
        "// against /: the mean is rounded down to a whole number":
            lambda x, h, w, S=2, P=0: _windows(x, h, w, S, P).sum(axis=(2, 3)) // (h * w),
        "divided by the pixels inside the image; here zeros of the padding count: pool_h*pool_w":
            lambda x, *sizes: _average(x, *sizes) / _average(np.ones_like(x), *sizes),
        "divided by stride*stride: a window has pool_h*pool_w places, whatever the stride":
            lambda x, h, w, S=2, P=0: _average(x, h, w, S, P) * h * w / S**2,
        "divided by pool_h + pool_w or by one of them: a window has pool_h*pool_w places":
            lambda x, h, w, S=2, P=0: _average(x, h, w, S, P) * w,
        "padded with -np.inf, as for the maximum: for a mean the padding is 0":
            lambda x, h, w, S=2, P=0: _windows(x, h, w, S, P, -np.inf).mean(axis=(2, 3)),
        "the mean of all the map: each window has its own": _whole_map(_average),
        "height and width of the window are exchanged in the slices": _sliced(np.mean),
        "the slices have no end: a window ends at p*S + pool_h and q*S + pool_w":
            _sliced(np.mean, to_the_end=True),
        "the mean over the wrong axis: over the places of the output, not those of the window":
            lambda x, h, w, S=2, P=0: _windows(x, h, w, S, P).mean(axis=(4, 5)),
        **_shared_mistakes(_average, np.mean),
    },
)  # fmt: skip


def _max_backward(dout, x, pool_h, pool_w, stride=2, pad=0, mode="max"):
    layer = Pooling(pool_h, pool_w, stride, pad, mode)
    layer.forward(x)
    return layer.backward(dout)


def _average_backward(*arguments):
    return _max_backward(*arguments, mode="average")


def _winners(x, pool_h, pool_w, stride, pad, last=False):
    """Mark with 1 the place of the first (or last) maximum of every window."""
    windows = _windows(x, pool_h, pool_w, stride, pad, -np.inf)
    N, C, _, _, OH, OW = windows.shape
    flat = windows.reshape(N, C, -1, OH, OW)
    place = flat[:, :, ::-1].argmax(2) if last else flat.argmax(2)
    place = flat.shape[2] - 1 - place if last else place
    marks = np.arange(flat.shape[2]).reshape(-1, 1, 1) == place[:, :, np.newaxis]
    return marks.reshape(windows.shape).astype(x.dtype)


def _sent_to(marks, dout, x, stride, pad):
    """Add the gradient of each window to its marked places."""
    return add_windows(marks * dout[:, :, np.newaxis, np.newaxis], x.shape, stride, pad)


def _all_ties(dout, x, pool_h, pool_w, stride=2, pad=0):
    windows = _windows(x, pool_h, pool_w, stride, pad, -np.inf)
    return _sent_to(windows == windows.max(axis=(2, 3), keepdims=True), dout, x, stride, pad)


def _overwritten(dout, x, pool_h, pool_w, stride=2, pad=0):
    """Set each winner's gradient instead of adding to it."""
    marks = _winners(x, pool_h, pool_w, stride, pad)
    N, C, _, _, OH, OW = marks.shape
    dx = pad_images(np.zeros_like(x), pad)
    for n, c, p, q in np.ndindex(N, C, OH, OW):
        i, j = np.argwhere(marks[n, c, :, :, p, q])[0]
        dx[n, c, p * stride + i, q * stride + j] = dout[n, c, p, q]
    return _cut(dx, pad)


def _cut(dx, pad):
    return dx[:, :, pad : dx.shape[2] - pad, pad : dx.shape[3] - pad]


def _step_one(dout, x, pool_h, pool_w, stride=2, pad=0):
    OH, OW = dout.shape[2:]
    return _sent_to(_winners(x, pool_h, pool_w, 1, pad)[..., :OH, :OW], dout, x, 1, pad)


def _padding_kept(dout, x, pool_h, pool_w, stride=2, pad=0, value=-np.inf):
    return _max_backward(dout, pad_images(x, pad, value), pool_h, pool_w, stride)


def _backward_case(seed, x, *settings):
    out = _max(x, *settings)
    rng = np.random.default_rng(seed)
    dout = (rng.integers(1, 10, out.shape) * rng.choice([-1, 1], out.shape)).astype(x.dtype)
    dout = dout / 4 if x.dtype == np.float32 else dout  # as `dice` does
    return dout, x, *settings


MAX_POOLING_BACKWARD = Exercise(
    "max pooling backward", "7.3",
    "my_max_pooling_backward(dout, x, pool_h, pool_w, stride=2, pad=0)",
    cases=[
        _backward_case(0, counting(1, 1, 2, 4)[..., ::-1].copy(), 2, 2),
        _backward_case(1, np.array([[[[1.0, 2.0, 1.0]]]]), 1, 2, 1, 0),
        _backward_case(2, np.array([[[[3.0, 1.0], [2.0, 3.0]]]]), 2, 2, 2, 0),
        _backward_case(3, -counting(1, 1, 2, 2), 2, 2, 2, 1),
        _backward_case(4, dice(0, 1, 2, 2, 3), 2, 2, 1, 0),
        _backward_case(5, dice(1, 1, 1, 4, 3), 2, 1, 2, 0),
        _backward_case(6, dice(2, 2, 1, 4, 4), 3, 3, 1, 0),
        _backward_case(7, 1e300 * (dice(3, 2, 3, 5, 6) - 5), 3, 2, 2, 1),
        _backward_case(8, dice(4, 2, 2, 7, 5), 2, 3, 3, 1),
        _backward_case(9, dice(5, 2, 3, 6, 4, dtype=np.float32), 2, 2, 2, 1),
    ],
    reference=_max_backward,
    mistakes={
        "the gradient is overwritten instead of added where windows overlap: += in place of =":
            _overwritten,
        "every place of the window gets the gradient: only the winner does":
            lambda dout, x, h, w, S=2, P=0: _average_backward(dout, x, h, w, S, P) * (h * w),
        "the gradient is shared among the places, as for the mean: the winner gets all of it":
            _average_backward,
        "all that are equally large get the gradient: one of them does, the first": _all_ties,
        "the last of equally large numbers gets the gradient: here the first does (> for >=)":
            lambda dout, x, h, w, S=2, P=0: _sent_to(_winners(x, h, w, S, P, True), dout, x, S, P),
        "the padding is 0 and wins over negative numbers: pad with -np.inf":
            lambda dout, x, h, w, S=2, P=0: _cut(_padding_kept(dout, x, h, w, S, P, 0), P),
        "the padding is not cut off again": _padding_kept,
        "pad:-pad holds nothing where pad is 0; pad : pad + H always holds H rows":
            lambda dout, x, h, w, S=2, P=0: _padding_kept(dout, x, h, w, S, P)[:, :, P:-P, P:-P],
        "the stride is forgotten: window (p, q) begins at row p*S and column q*S": _step_one,
        "the maxima are sent back instead of their gradients":
            lambda dout, x, *sizes: _max_backward(_max(x, *sizes), x, *sizes),
        "the gradient is multiplied by x: the slope of a maximum is 1":
            lambda dout, x, *sizes: x * _max_backward(dout, x, *sizes),
        "dout is forgotten: 1 for each winner":
            lambda dout, x, *sizes: _max_backward(np.ones_like(dout), x, *sizes),
        "the gradient of the whole map goes to one place: each window has its own winner":
            lambda d, x, *_: (x == x.max((2, 3), keepdims=True)) * d.sum((2, 3), keepdims=True),
    },
)  # fmt: skip
