"""Exercises of chapter 7.6: a filter that finds diagonals, and how far a neuron sees."""

import numpy as np

from cnnlib.exercises.engine import Exercise, Problem
from cnnlib.visualize import receptive_fields


def check_diagonal_filter(my_filter):
    """Check a filter that finds diagonals.

    Write ``my_filter``, an array (3, 3): laid on a falling diagonal (from the upper left to the
    lower right) it answers more than to any other line, and at least twice as much as to a patch
    that is bright all over.
    """
    return DIAGONAL_FILTER.check(my_filter)


def check_receptive_field(my_receptive_field):
    """Check the receptive field of a stack of layers.

    Write ``my_receptive_field(layers)``: layers is a list of (window size, stride), from the image
    on; return how many pixels along one axis a neuron of the last layer sees.
    """
    return RECEPTIVE_FIELD.check(my_receptive_field)


def _patches():
    """Draw the lines the filter is tried on, each 3 x 3, of ones on zeros."""
    eye = np.eye(3)
    patches = {"a falling diagonal": eye, "a rising diagonal": eye[:, ::-1]}
    for i, name in enumerate(("upper", "middle", "lower")):
        patches[f"a horizontal line, {name}"] = np.eye(3)[i][:, np.newaxis] * np.ones(3)
    for j, name in enumerate(("left", "middle", "right")):
        patches[f"a vertical line, {name}"] = np.ones((3, 1)) * np.eye(3)[j]
    return patches | {"a patch that is bright all over": np.ones((3, 3))}


PATCHES = _patches()
BRIGHT = "a patch that is bright all over"
_FILTER_CAUSES = {
    "a rising diagonal": "it finds the other diagonal: mirror it",
    "horizontal": "it finds horizontal lines: the weights are to be large along the diagonal",
    "vertical": "it finds vertical lines: the weights are to be large along the diagonal",
    "bright": "it has nothing against brightness beside the diagonal: weights there are to be "
    "negative, so that what lies beside the line counts against it",
}


def _judge_filter(value):
    if type(value) is not np.ndarray:
        what = f"Expected a plain NumPy array, got {type(value).__name__}."
        return Problem(what, cause="np.array([...]) makes one")
    if value.shape != (3, 3):
        return Problem(f"Wrong shape: got {value.shape}, expected (3, 3).")
    if value.dtype.kind not in "iuf":
        return Problem(f"The filter is to hold real numbers, its dtype is {value.dtype}.")
    if not np.isfinite(value).all():
        return Problem("The filter is to hold finite numbers; nan or inf is among them.")
    if np.abs(value).max() > 1e100:
        return Problem("Weights beyond 1e100 are of no use: what they add up to overflows.")
    value = np.asarray(value, float)
    answers = {name: float((value * patch).sum()) for name, patch in PATCHES.items()}
    own = answers.pop("a falling diagonal")
    if not value.any():
        return Problem("All weights are 0: the filter answers to nothing.")
    if (other := max(answers, key=answers.get)) and own <= 0:
        what = f"To a falling diagonal it answers {own:g}: that is not positive."
        negative = own < 0 and -own > max(-answer for answer in answers.values())
        return Problem(
            what,
            f"{answers[other]:g} for {other}, the largest",
            cause="the signs are exchanged: positive on the diagonal, negative beside it"
            if negative
            else _filter_cause(other),
        )
    bright = answers.pop(BRIGHT)
    other = max(answers, key=answers.get)
    if answers[other] >= own:
        what = f"It answers {answers[other]:g} to {other}, and {own:g} to a falling diagonal."
        cause = _filter_cause("bright" if bright > answers[other] else other)
        if answers[other] == own and other == "a rising diagonal":
            cause = "it answers both alike: the corners that the falling one leaves out, negative"
        if np.ptp(value) == 0:
            cause = "all weights are equal: such a filter measures brightness, and no direction"
        return Problem(what, cause=cause)
    if 2 * bright > own:
        what = f"It answers {bright:g} to {BRIGHT}, and {own:g} to a falling diagonal: too near."
        return Problem(what, cause=_FILTER_CAUSES["bright"])
    return None


def _filter_cause(name):
    return next((cause for key, cause in _FILTER_CAUSES.items() if key in name), "")


DIAGONAL_FILTER = Exercise("diagonal filter", "7.6", "my_filter = np.array([...]), of shape (3, 3)",
    cases=[{}],
    reference=lambda: None,
    perform=lambda my_filter: lambda: my_filter,
    judge=_judge_filter,
    callable_=False,
    tried=f"Of {len(PATCHES)} patches it answers most to the falling diagonal.",
)  # fmt: skip


def _field(layers):
    return receptive_fields(layers)[-1].size


def _walk(layers, step=lambda size, jump, k, S: size + (k - 1) * jump, jumps=lambda j, S: j * S):
    """Go through the layers with a step of one's own."""
    size = jump = 1
    for k, S in layers:
        size = step(size, jump, k, S)
        jump = jumps(jump, S)
    return size


RECEPTIVE_FIELD = Exercise("receptive field", "7.6", "my_receptive_field(layers)",
    cases=[
        ([(int(k), int(S)) for k, S in (layer.split("/") for layer in stack.split())],)
        for stack in "1/1,3/1,2/2,3/1 3/1,2/2 2/1,2/1 3/2,3/2 2/2 2/1,3/1 2/2 3/1 2/2,"
        "5/1 2/2 5/1 2/2,11/4 3/2 5/1 3/2 3/1".split(",")
    ],
    reference=_field,
    mistakes={
        "the window sizes are added: a window of k adds k - 1 to what one neuron sees":
            lambda layers: sum(k for k, _ in layers),
        "the window sizes are multiplied": lambda layers: int(np.prod([k for k, _ in layers])),
        "the strides are forgotten: behind a stride of 2, neighbours lie two pixels apart":
            lambda layers: _walk(layers, jumps=lambda jump, S: 1),
        "the layer's own stride is used too early: it moves the layers behind it":
            lambda layers: _walk(layers, lambda size, jump, k, S: size + (k - 1) * jump * S),
        "only the stride just before counts; those before it are to be multiplied":
            lambda layers: _walk(layers, jumps=lambda jump, S: S),
        "the strides are added: they are to be multiplied":
            lambda layers: _walk(layers, jumps=lambda jump, S: jump + S),
        "k instead of k - 1: one place of the window is the neuron itself":
            lambda layers: _walk(layers, lambda size, jump, k, S: size + k * jump),
        "the 1 that one begins with is forgotten: a neuron of no layer is one pixel":
            lambda layers: _field(layers) - 1,
        "only the last layer counts": lambda layers: layers[-1][0],
        "only the last layer counts, with the steps before it":
            lambda layers: _field([(1, S) for _, S in layers[:-1]] + layers[-1:]),
        "the layers are walked from the last to the first with the rule for the other direction":
            lambda layers: _field(layers[::-1]),
    },
)  # fmt: skip
