"""Exercises of chapter 7.7: Dropout, local response normalisation, LeNet's subsampling."""

from types import SimpleNamespace

import numpy as np

from cnnlib.classics import LocalResponseNormalization, Subsampling
from cnnlib.exercises.engine import Exercise, Problem, counting, dice, is_empty
from cnnlib.windows import sliding_windows


def check_dropout(my_dropout):
    """Check a Dropout layer.

    Write a class ``MyDropout(dropout_ratio)`` with ``forward(x, train_flg=True)`` and
    ``backward(dout)``, as in chapter 6 of the book: while training, each number is dropped (set to
    0) with probability dropout_ratio and otherwise left as it is; for inference all are multiplied
    by 1 - dropout_ratio. The way back goes where the way there went.
    """
    return DROPOUT.check(my_dropout)


def check_lrn(my_lrn):
    """Check local response normalisation, forward.

    Write ``my_lrn(x, n=5, k=2.0, alpha=1e-4, beta=0.75)``: x (N, C, H, W); return x divided by
    ``(k + alpha * sum of squares)**beta``, the sum over the n channels around each one, fewer at
    the two ends, in the shape and dtype of x.
    """
    return LRN.check(my_lrn)


def check_subsampling(my_subsampling):
    """Check LeNet's subsampling, before its squashing function.

    Write ``my_subsampling(x, W, b)``: x (N, C, H, W), W and b (C,); return
    ``W[c] * (sum over a window of 2 x 2) + b[c]``, shape (N, C, H // 2, W // 2), in the dtype of x.
    """
    return SUBSAMPLING.check(my_subsampling)


def _use(my_dropout):
    """Make a function that takes a layer through all it can do."""

    def use(x, *dropout_ratio):
        layer, used = my_dropout(*dropout_ratio), SimpleNamespace()
        used.first = first = layer.forward(x.copy())  # one that changes x spoils one pass only
        if first is ... or (first is None and is_empty(getattr(my_dropout, "forward", None))):
            return ...  # not started yet
        used.train = layer.forward(x.copy(), True)
        used.dout = counting(*x.shape, dtype=x.dtype)
        try:
            used.back = layer.backward(used.dout)
        except NotImplementedError:
            used.back = ...
        used.unharmed = np.array_equal(used.dout, counting(*x.shape, dtype=x.dtype))
        used.inference = layer.forward(x.copy(), False)
        layer.forward(x)  # here the engine would see a change
        layer.forward(np.zeros_like(x), True)
        used.zeros = ... if used.back is ... else layer.backward(np.ones_like(x))
        return used

    return use


def _judge_dropout(used, x, ratio=0.5):
    """Go through what Dropout promises, the simplest thing first."""
    named = {
        "forward(x)": used.first,
        "forward(x, True)": used.train,
        "backward(dout)": used.back,
        "forward(x, False)": used.inference,
    }
    for name, answer in named.items():
        if answer is ...:
            return Problem(f"{name} is not written yet.")
        if answer is None:
            return Problem(f"{name} returned None.", cause="the return is missing")
        if type(answer) is not np.ndarray:
            return Problem(f"{name}: expected a plain NumPy array, got {type(answer).__name__}.")
        if answer.shape != x.shape:
            return Problem(f"{name}: wrong shape: got {answer.shape}, expected {x.shape}.")
    found = _judge_training(used, x, ratio) or _judge_inference(used.inference, x, ratio)
    found = found or _judge_back(used)
    for name, answer in named.items():
        if not found and answer.dtype != x.dtype:
            what = f"{name}: the numbers are right, but the dtype is not: got {answer.dtype}"
            cause = "the mask is of float64 or int64: keep it as True and False"
            found = Problem(f"{what}, expected {x.dtype}.", cause=cause)
    return found


def _judge_training(used, x, ratio):
    out, kept, expected = used.train, used.train != 0, 1 - ratio
    share = float(kept.mean())
    got, about = f"{share:.0%} of the numbers were kept", f"about {expected:.0%}"
    if ratio == 0:
        if np.array_equal(out, x):
            return None
        return Problem("With ratio 0 nothing is to be dropped, but the output is not x.")
    if kept.all():
        return Problem("While training nothing is dropped.", got, about)
    if used.first.all():
        return Problem(
            "forward(x), without train_flg, drops nothing.", cause="it is True if left out"
        )
    scaled = np.allclose(out[kept], x[kept] / (1 - ratio))
    if scaled and not np.allclose(out[kept], x[kept]):
        return Problem(
            "While training, what is kept is not left as it is.",
            f"numbers divided by 1 - ratio = {1 - ratio:g}",
            "the numbers of x",
            "this is inverted dropout, as newer libraries have it; here inference is scaled",
        )
    if not np.allclose(out[kept], x[kept]):
        softened = np.allclose(out[kept], x[kept] * (1 - ratio))
        return Problem(
            "While training, what is kept is not left as it is.",
            cause="inference and training are exchanged, or both are scaled: only inference is"
            if softened
            else "a mask is True or False (1 or 0), not the random number itself",
        )
    alike = [axis for axis in range(x.ndim) if (kept == kept.take([0], axis)).all()]
    if alike:
        same = "all images" if alike[0] == 0 else f"all numbers along axis {alike[0]}"
        return Problem(
            f"The same choice is made for {same}.",
            cause="one random number per number of x: draw them in the shape of x",
        )
    if abs(share - expected) > 5 * np.sqrt(ratio * (1 - ratio) / x.size):
        turned = abs(share - ratio) < 5 * np.sqrt(ratio * (1 - ratio) / x.size)
        return Problem(
            f"With dropout_ratio = {ratio:g} the wrong share is kept.",
            got,
            about,
            "the ratio is the share that is DROPPED: keep where the random number is > the ratio"
            if turned
            else "draw evenly from 0 to 1 (rng.random), and compare with the ratio",
        )
    if np.array_equal(used.first, out):
        return Problem(
            "Two training passes drop the same numbers.",
            cause="the mask is made once (in __init__, or from a seed): draw it in every forward",
        )
    return None


def _judge_inference(out, x, ratio):
    if np.allclose(out, x * (1 - ratio)):
        return None
    causes = {
        "nothing is multiplied: the next layer would get larger sums than in training": x,
        "multiplied by the ratio: 1 - ratio is the share that is kept": x * ratio,
        "divided by 1 - ratio: the sums are to become smaller, as in training": x / (1 - ratio),
    }
    cause = next((text for text, wrong in causes.items() if np.allclose(out, wrong)), "")
    if not cause and (out == 0).any():
        cause = "inference drops at random as well: train_flg is not looked at"
    return Problem(
        "Inference, forward(x, False), is not x * (1 - dropout_ratio).",
        f"{out.flat[0]:g} for the first number",
        f"{x.flat[0] * (1 - ratio):g}",
        cause,
    )


def _judge_back(used):
    kept, dout = used.train != 0, used.dout
    if not used.unharmed:
        return Problem("backward changed its argument dout.", cause="compute dout * mask anew")
    if np.allclose(used.back, dout * kept):
        if np.any(used.zeros):
            return None
        return Problem(
            "Where x is 0 and kept, backward sends nothing.",
            cause="the mask is what was drawn, not where the output differs from 0",
        )
    causes = {
        "everything is passed on: what was dropped had no share in the loss": dout,
        "the mask is used the wrong way round: gradients go where x was kept": dout * ~kept,
        "multiplied by the output: the gradient is dout where x was kept": dout * used.train,
        "the mask of another forward pass is used: the last one counts": dout * (used.first != 0),
    }
    cause = next((text for text, wrong in causes.items() if np.allclose(used.back, wrong)), "")
    if not cause and np.isin(used.back, [0, *dout.flat]).all():
        cause = "a new mask is drawn on the way back: keep that of forward (self.mask)"
    return Problem("backward does not send dout to where x was kept.", cause=cause)


DROPOUT = Exercise(
    "dropout", "7.7",
    "class MyDropout, with __init__(self, dropout_ratio=0.5), forward(self, x, train_flg=True), "
    "backward(self, dout)",
    cases=[
        {"x": counting(40, 50) - 1000.5},  # of both signs: Dropout is no ReLU
        {"x": counting(20, 4, 5, 6) - 1000.5, "dropout_ratio": 0.2},
        {"x": counting(40, 60), "dropout_ratio": 0.8},
        {"x": counting(10, 10), "dropout_ratio": 0.0},
        {"x": counting(40, 50, dtype=np.float32), "dropout_ratio": 0.25},
    ],
    reference=lambda *arguments: None,
    perform=_use,
    judge=_judge_dropout,
    tried="Right with a dropout_ratio of 0.5, 0.2, 0.8, 0 and 0.25: training, inference, backward.",
)  # fmt: skip


def _lrn(x, n=5, k=2.0, alpha=1e-4, beta=0.75):
    return LocalResponseNormalization(n, k, alpha, beta).forward(x, train_flg=False)


def _scaled(scale):
    """Make a normalisation of its own scale, which gets x**2 and the constants."""

    def mistaken(x, n=5, k=2.0, alpha=1e-4, beta=0.75):
        return x / scale(x, n, k, alpha) ** beta

    return mistaken


def _around(squares, offsets, wrap=False):
    """Add up the channels at some distances from each one."""
    total, C = np.zeros_like(squares), squares.shape[1]
    for c in range(C):
        for d in offsets:
            if wrap or 0 <= c + d < C:
                total[:, c] += squares[:, (c + d) % C]
    return total


def _negative_index(squares, half):
    parts = [squares[:, c - half : c + half + 1].sum(axis=1) for c in range(squares.shape[1])]
    return np.stack(parts, axis=1)


def _half(n):
    return range(-(n // 2), n // 2 + 1)


def _in_space(x, n, k, alpha):
    """Add up the squares of neighbouring places in the same channel."""
    pad = n // 2
    padded = np.pad(x**2, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    return k + alpha * sliding_windows(padded, n, n).sum(axis=(2, 3))


def _one_after_the_other(x, n=5, k=2.0, alpha=1e-4, beta=0.75):
    out = x.copy()
    for c in range(x.shape[1]):
        squares = (out[:, max(0, c - n // 2) : c + n // 2 + 1] ** 2).sum(axis=1)
        out[:, c] /= (k + alpha * squares) ** beta
    return out


LRN = Exercise(
    "local response normalisation", "7.7", "my_lrn(x, n=5, k=2.0, alpha=1e-4, beta=0.75)",
    cases=[
        (100 * counting(1, 1, 1, 1),), (counting(1, 3, 1, 1), 3, 1.0, 1.0, 1.0),
        (counting(1, 2, 1, 2), 1, 2.0, 0.5, 0.5), (counting(1, 4, 1, 1), 3, 1.0, 1.0, 0.75),
        (dice(0, 1, 7, 1, 2), 5, 3.0, 0.5, 0.75), (100 * dice(1, 1, 6, 2, 3),),
        (dice(2, 2, 8, 3, 2), 7, 1.5, 0.25, 0.6), (dice(3, 3, 2, 2, 4), 5, 2.0, 0.1, 0.75),
        (dice(4, 2, 6, 3, 3, dtype=np.float32), 5, 2.0, 0.1, 0.75),
    ],
    reference=_lrn,
    mistakes={
        "the sum is over neighbouring places: LRN looks at neighbouring CHANNELS at one place":
            _scaled(_in_space),
        "the neighbours are normalised already: take the squares from x, write into a new array":
            _one_after_the_other,
        "the squares are forgotten":
            _scaled(lambda x, n, k, alpha: k + alpha * _around(x, _half(n))),
        "mean and sum are confused: alpha is not divided by n here (PyTorch does so)":
            _scaled(lambda x, n, k, alpha: k + alpha / n * _around(x**2, _half(n))),
        "n channels on each side: n is all of them, n // 2 on each side":
            _scaled(lambda x, n, k, alpha: k + alpha * _around(x**2, range(-n, n + 1))),
        "the channel itself is left out of the sum":
            _scaled(lambda x, n, k, alpha: k + alpha * (_around(x**2, _half(n)) - x**2)),
        "the last channel of the neighbourhood is missing: range stops before its end":
            _scaled(lambda x, n, k, alpha: k + alpha * _around(x**2, range(-(n // 2), n // 2))),
        "the channels are taken round the ends (np.roll): at the ends there are fewer":
            _scaled(lambda x, n, k, alpha: k + alpha * _around(x**2, _half(n), wrap=True)),
        "a negative index takes channels from the other end: begin at max(0, c - n // 2)":
            _scaled(lambda x, n, k, alpha: k + alpha * _negative_index(x**2, n // 2)),
        "the sum is over all channels: only n of them are neighbours":
            _scaled(lambda x, n, k, alpha: k + alpha * (x**2).sum(axis=1, keepdims=True)),
        "k is forgotten": _scaled(lambda x, n, k, alpha: alpha * _around(x**2, _half(n))),
        "the power beta is forgotten":
            lambda x, n=5, k=2.0, alpha=1e-4, beta=0.75: _lrn(x, n, k, alpha, 1.0),
        "multiplied instead of divided":
            lambda x, n=5, k=2.0, alpha=1e-4, beta=0.75: _lrn(x, n, k, alpha, -beta),
        "alpha is forgotten": _scaled(lambda x, n, k, alpha: k + _around(x**2, _half(n))),
    },
)  # fmt: skip


def _subsampling(x, W, b):
    return Subsampling(W, b).forward(x, train_flg=False)


def _sums(x, stride=2):
    return sliding_windows(x, 2, 2, stride).sum(axis=(2, 3))


def _weighed(W, sums, b):
    return W.reshape(-1, 1, 1) * sums + b.reshape(-1, 1, 1)


def _odd_kept(x, W, b):
    """Pad odd sizes with zeros, so that the last row and column count."""
    H, width = x.shape[2:]
    return _subsampling(np.pad(x, ((0, 0), (0, 0), (0, H % 2), (0, width % 2))), W, b)


def _subsampling_case(seed, *shape, dtype=float):
    numbers = counting(shape[1], dtype=dtype)
    return dice(seed, *shape, dtype=dtype), 1 + numbers, 10 * numbers


SUBSAMPLING = Exercise("subsampling", "7.7", "my_subsampling(x, W, b)",
    cases=[
        (counting(1, 1, 2, 2), counting(1) + 1, counting(1)), _subsampling_case(1, 1, 1, 2, 4),
        _subsampling_case(2, 1, 2, 4, 2), _subsampling_case(3, 2, 1, 2, 2),
        _subsampling_case(4, 1, 2, 3, 5), _subsampling_case(5, 2, 2, 4, 4),
        _subsampling_case(6, 3, 4, 6, 5), _subsampling_case(7, 2, 3, 5, 8, dtype=np.float32),
    ],
    reference=_subsampling,
    mistakes={
        "mean and sum are confused: the coefficient W takes the place of 1/4":
            lambda x, W, b: _weighed(W / 4, _sums(x), b),
        "the maximum instead of the sum":
            lambda x, W, b: _weighed(W, sliding_windows(x, 2, 2, 2).max(axis=(2, 3)), b),
        "the bias is added to every pixel, before the sum":
            lambda x, W, b: _weighed(W, _sums(x), 4 * b),
        "the bias is added before multiplying by W":
            lambda x, W, b: _weighed(W, _sums(x), W * b),
        "the bias is not added": lambda x, W, b: _weighed(W, _sums(x), 0 * b),
        "the coefficient is forgotten": lambda x, W, b: _weighed(W / W, _sums(x), b),
        "the windows overlap: they step by 2":
            lambda x, W, b: _weighed(W, _sums(x, 1), b),
        "all maps share the first coefficient and bias: each map has its own":
            lambda x, W, b: W[0] * _sums(x) + b[0],
        "a coefficient per column: W * ... lays W along the last axis; per map it is "
        "W.reshape(C, 1, 1)": lambda x, W, b: W * _sums(x) + b,
        "where H or W is odd, the last row or column is left out": _odd_kept,
        "squashed already: the squashing function is not asked for here":
            lambda x, W, b: 1 / (1 + np.exp(-_subsampling(x, W, b))),
    },
)  # fmt: skip
