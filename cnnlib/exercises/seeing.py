"""Exercises of chapter 7.6: how far a neuron sees, what it wants to see, and what decides."""

from functools import partial

import numpy as np

from cnnlib.exercises.engine import Exercise, counting
from cnnlib.visualize import receptive_fields


def check_receptive_field(my_receptive_field):
    """Check the receptive field of a stack of layers.

    Write ``my_receptive_field(layers)``: layers is a list of (window size, stride), from the image
    on; return how many pixels along one axis a neuron of the last layer sees.
    """
    return RECEPTIVE_FIELD.check(my_receptive_field)


def check_uphill(my_uphill):
    """Check activation maximisation in its simplest form.

    Write ``my_uphill(gradient, image, steps, lr)``: ``gradient(image)`` is the gradient of a unit
    by the pixels; return the image after so many steps of lr * gradient / its largest abs, cut to
    0..1 each, in its dtype. Where the gradient is 0, the image stays as it is.
    """
    return UPHILL.check(my_uphill)


def check_occlusion_map(my_occlusion_map):
    """Check an occlusion map.

    Write ``my_occlusion_map(probability, image, size, stride)``: ``probability(image)`` is that of
    the right class; return it for image (C, H, W) with a square of size x size pixels set to 0, for
    each place of the square, shape (OH, OW) by formula (7.1).
    """
    return OCCLUSION_MAP.check(my_occlusion_map)


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


def _products_of_neighbors(image):
    return 25 * np.roll(image, -1, axis=1) - 100 * np.roll(image, 1, axis=2) * image


def _largest(slope):
    return max(abs(slope).max(), 1e-12)  # a silent unit has no slope: nothing is divided by 0


def _uphill(gradient, image, steps, lr, size=_largest, sign=1, low=0, high=1, once=False):
    for step in range(steps):
        if not (once and step):
            slope = gradient(image)
        image = np.clip(image + sign * lr * slope / size(slope), low, high)
    return image


UPHILL = Exercise("uphill", "7.6", "my_uphill(gradient, image, steps, lr)",
    cases=[
        (np.ones_like, counting(1, 1, 2) / 4, 1, 0.25),
        (_products_of_neighbors, counting(1, 2, 2) / 5, 1, 0.5),
        (np.zeros_like, counting(1, 2, 2) / 4, 2, 0.5),
        (np.negative, counting(1, 1, 2) / 4, 1, 0.5),
        (_products_of_neighbors, counting(2, 2, 3) / 16, 5, 0.25),
        (_products_of_neighbors, counting(3, 4, 5, dtype=np.float32) / 64, 9, 0.5),
    ],
    reference=_uphill,
    mistakes={
        "downhill: to excite the unit more, the gradient is added": partial(_uphill, sign=-1),
        "the gradient is computed once: it changes with the image, so ask at each step":
            partial(_uphill, once=True),
        "the gradient is not divided by abs(...).max()": partial(_uphill, size=lambda slope: 1),
        "divided by the largest number: a negative one may be larger in size, abs(...)":
            partial(_uphill, size=lambda slope: slope.max()),
        "divided by the length of the gradient, not by the size of its largest number":
            partial(_uphill, size=np.linalg.norm),
        "each pixel changes by lr: only the one that matters most is to, the others by less":
            partial(_uphill, size=lambda slope: np.maximum(abs(slope), 1e-12)),
        "where the gradient is 0, 0 / 0 is NaN: such an image is to stay as it is":
            partial(_uphill, size=lambda slope: abs(slope).max()),
        "the pixels leave 0..1: np.clip after each step":
            partial(_uphill, low=-np.inf, high=np.inf),
        "clipped only once, at the end: the next gradient is that of the clipped image":
            lambda *given: np.clip(_uphill(*given, low=-np.inf, high=np.inf), 0, 1),
        "one step only": lambda gradient, image, steps, lr: _uphill(gradient, image, 1, lr),
    },
)  # fmt: skip


def _occlusion(probability, image, size, stride, step=0, fill=0, fewer=0, channels=..., piled=0):
    OH, OW = ((n - size) // stride + 1 - fewer for n in image.shape[1:])
    found, step = np.empty((OH, OW)), step or stride
    for p, q in np.ndindex(OH, OW):
        covered = image if piled else image.copy()
        covered[channels, p * step : p * step + size, q * step : q * step + size] = fill
        found[p, q] = probability(covered)
    return found


OCCLUSION_MAP = Exercise(
    "occlusion map", "7.6", "my_occlusion_map(probability, image, size, stride)",
    cases=[
        (np.max, counting(1, 1, 2) / 8, 1, 1), (np.std, counting(1, 3, 2) / 8, 2, 1),
        (np.mean, counting(1, 4, 6) / 32, 2, 2), (np.mean, counting(2, 4, 3) / 32, 1, 3),
        (np.std, counting(3, 7, 5) / 128, 2, 3), (np.std, counting(2, 6, 8) / 128, 3, 2),
    ],
    reference=_occlusion,
    mistakes={
        "the covers pile up: begin with a new copy, image.copy(), at each place":
            partial(_occlusion, piled=1),
        "the cover moves by one pixel: place p begins in row p * stride":
            partial(_occlusion, step=1),
        "the cover moves by its size": lambda *given: _occlusion(*given, step=given[2]),
        "the cover is 1: it is to be 0": partial(_occlusion, fill=1),
        "one place too few along each axis: there are (H - size) // stride + 1":
            partial(_occlusion, fewer=1),
        "only the first channel is covered": partial(_occlusion, channels=0),
        "rows and columns are exchanged": lambda *given: _occlusion(*given).T,
        "how far the probability falls, not what is left of it":
            lambda *given: given[0](given[1]) - _occlusion(*given),
        "how far the probability rises, not what it is":
            lambda *given: _occlusion(*given) - given[0](given[1]),
    },
)  # fmt: skip
