"""Exercises of chapter 7.4: im2col, a convolution by it, its adjoint, and the way back."""

import numpy as np

from cnnlib.exercises.convolution import CONVOLUTION_CASES, CONVOLUTION_MISTAKES, convolution
from cnnlib.exercises.engine import Exercise, counting, dice
from cnnlib.layers import Convolution
from cnnlib.windows import add_windows, col2im, im2col, pad_images, sliding_windows


def check_convolution_by_im2col(my_convolution):
    """Check a convolution as one matrix product.

    Write ``my_convolution_by_im2col(x, W, b, stride=1, pad=0)``, with ``cnnlib.im2col``:
    x (N, C, H, W), W (FN, C, FH, FW), b (FN,); return (N, FN, OH, OW) in the dtype of x.
    """
    return CONVOLUTION_BY_IM2COL.check(my_convolution)


def check_im2col(my_im2col):
    """Check im2col.

    Write ``my_im2col(x, FH, FW, stride=1, pad=0)``: x (N, C, H, W); return (N*OH*OW, C*FH*FW)
    in the dtype of x: row (n, p, q) is the window at (p, q) of image n, channel by channel, line by
    line.
    """
    return IM2COL.check(my_im2col)


def check_col2im(my_col2im):
    """Check col2im, the adjoint of im2col.

    Write ``my_col2im(col, shape, FH, FW, stride=1, pad=0)``: col (N*OH*OW, C*FH*FW), shape
    (N, C, H, W); return an array of this shape in the dtype of col.
    """
    return COL2IM.check(my_col2im)


def check_convolution_backward(my_backward):
    """Check the way back through a convolution.

    Write ``my_convolution_backward(dout, x, W, stride=1, pad=0)``: dout (N, FN, OH, OW),
    x (N, C, H, W), W (FN, C, FH, FW); return dx, dW, db in the shapes of x, W and b, (FN,).
    """
    return CONVOLUTION_BACKWARD.check(my_backward)


def _product(x, W, b, stride=1, pad=0):
    """Return the matrix product with the bias, (N*OH*OW, FN), and (N, FN, OH, OW)."""
    shape = convolution(x, W, b, stride, pad).shape
    return im2col(x, *W.shape[2:], stride, pad) @ W.reshape(len(W), -1).T + b, shape


def _reshaped(*arguments):
    out, shape = _product(*arguments)
    return out.reshape(shape)


def _filters_reshaped(x, W, b, stride=1, pad=0):
    shape = convolution(x, W, b, stride, pad).shape
    out = im2col(x, *W.shape[2:], stride, pad) @ W.reshape(-1, len(W)) + b
    return out.reshape(shape[0], *shape[2:], -1).transpose(0, 3, 1, 2)


def _places_exchanged(*arguments):
    out, (N, _, OH, OW) = _product(*arguments)
    return out.reshape(N, OW, OH, -1).transpose(0, 3, 2, 1)


CONVOLUTION_BY_IM2COL = Exercise(
    "convolution by im2col", "7.4", "my_convolution_by_im2col(x, W, b, stride=1, pad=0)",
    cases=CONVOLUTION_CASES,
    reference=convolution,
    mistakes={
        "the product is reshaped to (N, FN, OH, OW) at once: its rows are places, so it is "
        "(N, OH, OW, FN) first, and then the axes are transposed": _reshaped,
        "the filters are reshaped to (C*FH*FW, FN) at once: reshape(FN, -1) and then .T keeps each "
        "filter together": _filters_reshaped,
        "the filters still are the last axis: a transpose brings them to the second place":
            lambda *arguments: convolution(*arguments).transpose(0, 2, 3, 1),
        "the matrix product is returned as it is: its rows are to become places again":
            lambda *arguments: _product(*arguments)[0],
        "OH and OW are exchanged in the reshape": _places_exchanged,
        **CONVOLUTION_MISTAKES,
    },
)  # fmt: skip


def _laid_out(*axes):
    """Make an im2col that transposes the axes (N, C, FH, FW, OH, OW) as given."""

    def mistaken(x, FH, FW, stride=1, pad=0):
        windows = sliding_windows(x, FH, FW, stride, pad)
        N, C, _, _, OH, OW = windows.shape
        return windows.transpose(axes).reshape(N * OH * OW, C * FH * FW)

    return mistaken


def _step_one(x, FH, FW, stride=1, pad=0):
    """Lay out as many windows as the stride allows, but one pixel apart."""
    OH, OW = sliding_windows(x, FH, FW, stride, pad).shape[4:]
    windows = sliding_windows(x, FH, FW, 1, pad)[..., :OH, :OW]
    return windows.transpose(0, 4, 5, 1, 2, 3).reshape(-1, x.shape[1] * FH * FW)


def _spread(x, FH, FW, stride=1, pad=0):
    """Step inside the window instead of from window to window."""
    OH, OW = sliding_windows(x, FH, FW, stride, pad).shape[4:]
    x = pad_images(x, pad)
    rows = [
        x[n, :, p : p + stride * FH : stride, q : q + stride * FW : stride].ravel()
        for n, p, q in np.ndindex(len(x), OH, OW)
    ]
    return np.array(rows)


def _no_end(x, FH, FW, stride=1, pad=0):
    """Let the slices run on to the last row and column."""
    windows = sliding_windows(x, FH, FW, stride, pad).copy()
    x = pad_images(x, pad)
    for i, j in np.ndindex(FH, FW):
        windows[:, :, i, j] = x[:, :, i::stride, j::stride]
    return windows


IM2COL = Exercise("im2col", "7.4", "my_im2col(x, FH, FW, stride=1, pad=0)",
    cases=[
        (counting(1, 1, 2, 2), 2, 2), (counting(1, 1, 2, 3), 1, 2),
        (counting(1, 1, 3, 3), 2, 2, 1, 0), (counting(1, 1, 1, 2), 1, 1, 1, 1),
        (counting(1, 1, 3, 5), 1, 1, 2, 0), (counting(1, 2, 2, 3), 2, 2, 1, 0),
        (counting(2, 1, 2, 3), 2, 1, 1, 0), (dice(0, 2, 3, 5, 4), 2, 3, 2, 1),
        (dice(1, 3, 2, 7, 6), 3, 2, 3, 2), (dice(2, 2, 3, 6, 5, dtype=np.float32), 3, 3, 1, 1),
    ],
    reference=im2col,
    mistakes={
        "the axes are not transposed: reshape alone cuts (N, C, FH, FW, OH, OW) anew, "
        "and a row is no window": _laid_out(0, 1, 2, 3, 4, 5),
        "rows and columns of the output are exchanged: OH comes before OW in the transpose":
            _laid_out(0, 5, 4, 1, 2, 3),
        "rows and columns of the window are exchanged: FH comes before FW in the transpose":
            _laid_out(0, 4, 5, 1, 3, 2),
        "the channels come last in a row: (N, OH, OW, C, FH, FW) has them before FH and FW":
            _laid_out(0, 4, 5, 2, 3, 1),
        "the images come after the places: N stays the first axis": _laid_out(4, 5, 0, 1, 2, 3),
        "the channels come before the places: a row is to hold all channels of one window":
            _laid_out(0, 1, 4, 5, 2, 3),
        "the windows stand in columns: here each one is a row, (N*OH*OW, C*FH*FW)":
            lambda x, *settings: im2col(x, *settings).T,
        "height and width of the filter are exchanged":
            lambda x, FH, FW, S=1, P=0: im2col(x, FW, FH, S, P),
        "the stride is forgotten in the slices: start : start + S*OH : S": _step_one,
        "the stride is taken inside the window: it lies between the windows": _spread,
        "the stride is forgotten": lambda x, FH, FW, S=1, P=0: im2col(x, FH, FW, 1, P),
        "the padding is forgotten": lambda x, FH, FW, S=1, P=0: im2col(x, FH, FW, S),
        "the slices have no end: start : start + S*OH : S": _no_end,
        "only the first image is laid out": lambda x, *settings: im2col(x[:1], *settings),
        "only the first channel is laid out": lambda x, *settings: im2col(x[:, :1], *settings),
    },
)  # fmt: skip


def _as_windows(col, shape, FH, FW, stride, pad):
    N, C, H, W = shape
    OH, OW = (H + 2 * pad - FH) // stride + 1, (W + 2 * pad - FW) // stride + 1
    return col.reshape(N, OH, OW, C, FH, FW).transpose(0, 3, 4, 5, 1, 2)


def _overwritten(by_window):
    """Set into the image instead of adding: window after window, or element after element."""

    def mistaken(col, shape, FH, FW, stride=1, pad=0):
        windows, (N, C, H, W), S = _as_windows(col, shape, FH, FW, stride, pad), shape, stride
        OH, OW = windows.shape[4:]
        x = np.zeros((N, C, H + 2 * pad, W + 2 * pad), col.dtype)
        for p, q in np.ndindex(*((OH, OW) if by_window else (FH, FW))):
            if by_window:  # of those that overlap the last place wins
                x[:, :, p * S : p * S + FH, q * S : q * S + FW] = windows[..., p, q]
            else:
                x[:, :, p : p + S * OH : S, q : q + S * OW : S] = windows[:, :, p, q]
        return x[:, :, pad : pad + H, pad : pad + W]

    return mistaken


def _inverse(col, shape, FH, FW, stride=1, pad=0):
    """Take the mean where windows overlap: that undoes im2col, and is not the adjoint."""
    reads = col2im(np.ones_like(col), shape, FH, FW, stride, pad)
    return col2im(col, shape, FH, FW, stride, pad) / np.maximum(reads, 1)


def _misread(*order):
    """Cut col into these axes, given as places in (N, C, FH, FW, OH, OW), and put them right."""

    def mistaken(col, shape, FH, FW, stride=1, pad=0):
        sizes = _as_windows(col, shape, FH, FW, stride, pad).shape
        windows = col.reshape([sizes[axis] for axis in order]).transpose(np.argsort(order))
        return add_windows(windows, shape, stride, pad)

    return mistaken


def _padding_kept(col, shape, FH, FW, stride=1, pad=0):
    N, C, H, W = shape
    return col2im(col, (N, C, H + 2 * pad, W + 2 * pad), FH, FW, stride)


def _back_step_one(col, shape, FH, FW, stride=1, pad=0):
    """Add windows back one pixel apart."""
    return add_windows(_as_windows(col, shape, FH, FW, stride, pad), shape, 1, pad)


def _to_minus_pad(col, shape, FH, FW, stride=1, pad=0):
    return _padding_kept(col, shape, FH, FW, stride, pad)[:, :, pad:-pad, pad:-pad]


def _adjoint_without_end(col, shape, FH, FW, stride=1, pad=0):
    """Let the slices run on to the last row and column."""
    windows = _as_windows(col, shape, FH, FW, stride, pad)
    x = pad_images(np.zeros(shape, col.dtype), pad)
    for i, j in np.ndindex(FH, FW):
        x[:, :, i::stride, j::stride] += windows[:, :, i, j]
    return x[:, :, pad : pad + shape[2], pad : pad + shape[3]]


def _adjoint_case(seed, shape, *settings, dtype=float):
    rows = im2col(np.zeros(shape), *settings).shape
    col = dice(seed, *rows, dtype=dtype) if seed else counting(*rows)
    return col, shape, *settings


COL2IM = Exercise("col2im", "7.4", "my_col2im(col, shape, FH, FW, stride=1, pad=0)",
    cases=[
        _adjoint_case(0, (1, 1, 1, 2), 1, 1), _adjoint_case(0, (1, 1, 1, 3), 1, 2),
        _adjoint_case(0, (1, 1, 2, 3), 2, 2, 1, 0), _adjoint_case(0, (1, 1, 1, 2), 1, 1, 1, 1),
        _adjoint_case(0, (1, 1, 2, 4), 1, 2, 2, 0), _adjoint_case(0, (1, 1, 3, 2), 1, 1, 2, 0),
        _adjoint_case(0, (1, 2, 2, 2), 2, 1, 1, 0), _adjoint_case(0, (2, 1, 2, 2), 1, 2, 1, 0),
        _adjoint_case(1, (2, 3, 5, 4), 2, 3, 2, 1), _adjoint_case(2, (3, 2, 7, 6), 3, 2, 3, 2),
        _adjoint_case(3, (2, 3, 6, 5), 3, 3, 1, 1, dtype=np.float32),
    ],
    reference=col2im,
    mistakes={
        "the gradient is overwritten instead of added where windows overlap: += in place of =":
            _overwritten(by_window=False),
        "each window overwrites the one before where they overlap: += in place of =":
            _overwritten(by_window=True),
        "the mean instead of the sum where windows overlap: this undoes im2col, but the gradient "
        "needs the adjoint, which adds": _inverse,
        "the axes are not transposed back: after reshape(N, OH, OW, C, FH, FW) they still stand in "
        "the order of the rows": _misread(0, 1, 2, 3, 4, 5),
        "OH and OW are exchanged in the reshape": _misread(0, 5, 4, 1, 2, 3),
        "FH and FW are exchanged in the reshape": _misread(0, 4, 5, 1, 3, 2),
        "the padding is not cut off again": _padding_kept,
        "the padding is cut off at one end only: pad : pad + H, and the columns alike":
            lambda col, shape, *sizes:
                _padding_kept(col, shape, *sizes)[:, :, : shape[2], : shape[3]],
        "the stride is forgotten in the slices: start : start + S*OH : S": _back_step_one,
        "pad:-pad holds nothing where pad is 0; pad : pad + H always holds H rows": _to_minus_pad,
        "the slices have no end: start : start + S*OH : S": _adjoint_without_end,
    },
)  # fmt: skip


def _backward(dout, x, W, stride=1, pad=0):
    layer = Convolution(W, np.zeros(len(W), W.dtype), stride, pad)
    layer.forward(x)
    dx = layer.backward(dout)
    return dx, layer.dW, layer.db


def _changed(**changes):
    """Make a backward that gets one or more of dx, dW, db wrong, by functions of everything."""

    def mistaken(dout, x, W, stride=1, pad=0):
        right = dict(zip(("dx", "dW", "db"), _backward(dout, x, W, stride, pad), strict=True))
        wrong = {name: f(dout, x, W, stride, pad) for name, f in changes.items()}
        return tuple((right | wrong).values())

    return mistaken


def _rows(dout):
    """Lay out dout as the product's rows, (N*OH*OW, FN)."""
    return dout.transpose(0, 2, 3, 1).reshape(-1, dout.shape[1])


def _dx(put):
    """Make a dx that puts the windows back in its own way."""

    def dx(dout, x, W, stride, pad):
        dcol = _rows(dout) @ W.reshape(len(W), -1)
        return put(dcol, x.shape, *W.shape[2:], stride, pad)

    return dx


def _dW_reshaped(dout, x, W, stride, pad):
    return (im2col(x, *W.shape[2:], stride, pad).T @ _rows(dout)).reshape(W.shape)


def _dout_reshaped(dout, x, W, stride=1, pad=0):
    """Go back with dout reshaped to rows without a transpose."""
    rows = dout.reshape(-1, len(W))
    dW = (rows.T @ im2col(x, *W.shape[2:], stride, pad)).reshape(W.shape)
    return col2im(rows @ W.reshape(len(W), -1), x.shape, *W.shape[2:], stride, pad), dW, rows.sum(0)


def _order(*places):
    return lambda *arguments: tuple(_backward(*arguments)[i] for i in places)


def _backward_case(seed, x, W, *settings, dtype=float):
    OH, OW = sliding_windows(np.zeros(x), *W[2:], *settings).shape[4:]
    shapes = enumerate([(x[0], W[0], OH, OW), x, W], start=seed)
    return *(dice(number, *shape, dtype=dtype) for number, shape in shapes), *settings


CONVOLUTION_BACKWARD = Exercise(
    "convolution backward", "7.4", "my_convolution_backward(dout, x, W, stride=1, pad=0)",
    parts=("dx", "dW", "db"),
    cases=[
        _backward_case(0, (1, 1, 1, 2), (1, 1, 1, 2)),
        _backward_case(3, (1, 1, 1, 3), (1, 1, 1, 2)),
        _backward_case(6, (1, 1, 2, 2), (1, 1, 2, 2), 1, 1),
        _backward_case(9, (1, 1, 2, 4), (1, 1, 1, 2), 2, 0),
        _backward_case(12, (1, 2, 2, 2), (1, 2, 2, 2), 1, 0),
        _backward_case(15, (1, 1, 2, 3), (2, 1, 1, 2), 1, 0),
        _backward_case(18, (2, 1, 2, 2), (1, 1, 1, 2), 1, 0),
        _backward_case(21, (2, 3, 5, 4), (4, 3, 2, 3), 2, 1),
        _backward_case(24, (3, 2, 7, 6), (2, 2, 3, 2), 3, 2),
        _backward_case(27, (2, 3, 4, 5), (3, 3, 3, 3), 1, 1, dtype=np.float32),
    ],
    reference=_backward,
    mistakes={
        "db is the mean: the bias went into every place, and so its gradients are added":
            _changed(db=lambda dout, *_: dout.mean(axis=(0, 2, 3))),
        "db is divided by the number of images: the loss has seen to that already, in dout":
            _changed(db=lambda dout, *_: dout.sum(axis=(0, 2, 3)) / len(dout)),
        "the stride is forgotten for dx: the windows are put back S pixels apart":
            _changed(dx=_dx(_back_step_one)),
        "the stride is forgotten for dW: the windows of x lie S pixels apart":
            _changed(dW=lambda dout, x, W, stride, pad: (
                (_rows(dout).T @ _step_one(x, *W.shape[2:], stride, pad)).reshape(W.shape)
            )),
        "the stride is forgotten in im2col: hand it on, so that there is a row for each of dout":
            _changed(dW=lambda dout, x, W, S, pad: im2col(x, *W.shape[2:], 1, pad).T @ _rows(dout)),
        "the stride is forgotten in col2im: hand it on":
            _changed(dx=lambda dout, x, W, stride, pad: _dx(col2im)(dout, x, W, 1, pad)),
        "for dx, pad:-pad holds nothing where pad is 0; pad : pad + H always holds H rows":
            _changed(dx=_dx(_to_minus_pad)),
        "the slices for dx have no end: start : start + S*OH : S":
            _changed(dx=_dx(_adjoint_without_end)),
        "db is a bias per pixel: sum over the places as well as over the images":
            _changed(db=lambda dout, *_: dout.sum(axis=0)),
        "db is summed over the wrong axis: the filters are the axis that stays":
            _changed(db=lambda dout, *_: dout.sum(axis=(1, 2, 3))),
        "db is one number for all filters: each has its own":
            _changed(db=lambda dout, *_: dout.sum()),
        "dW is transposed the wrong way: col.T @ dout is (C*FH*FW, FN), and needs .T before the "
        "reshape": _changed(dW=_dW_reshaped),
        "dW is divided by the number of images: the loss has seen to that already, in dout":
            _changed(dW=lambda *arguments: _backward(*arguments)[1] / len(arguments[0])),
        "dout is reshaped to rows at once: transpose(0, 2, 3, 1) brings the filters to the end "
        "first": _dout_reshaped,
        "dx is overwritten instead of added where windows overlap: += in place of =":
            _changed(dx=_dx(_overwritten(by_window=False))),
        "each window of dx overwrites the one before where they overlap: += in place of =":
            _changed(dx=_dx(_overwritten(by_window=True))),
        "the filter is turned for dx: each window gets dout times the filter as it is":
            _changed(dx=lambda dout, x, W, *s: _backward(dout, x, W[..., ::-1, ::-1], *s)[0]),
        "dx still has its padding: cut it off": _changed(dx=_dx(_padding_kept)),
        "the order of the results is another: dx, dW, db": _order(1, 2, 0),
        "dx and dW are exchanged: dx, dW, db": _order(1, 0, 2),
    },
)  # fmt: skip
