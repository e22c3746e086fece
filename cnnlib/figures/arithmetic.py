"""What the pictures of sliding windows compute: places, one image through one filter, words."""

import numpy as np

from cnnlib.figures import style
from cnnlib.windows import sliding_windows


def plane(values, name):
    """Return a 2-D float array, or raise ValueError."""
    values = np.asarray(values, dtype=float)
    if values.ndim != 2:
        raise ValueError(f"{name} must be 2-D, (height, width), got shape {values.shape}")
    return values


def convolve(x, W, b, stride, pad):
    """Return the windows (C, FH, FW, OH, OW) of one image, and the output map (OH, OW)."""
    windows = sliding_windows(x[np.newaxis], *W.shape[1:], stride, pad)[0]
    return windows, np.einsum("cijpq,cij->pq", windows, W) + b


def by(shape):
    """Write a shape as "4 x 4"."""
    return " x ".join(map(str, shape))


def place(step, shape):
    """Return row and column of an output place, or raise ValueError."""
    count = shape[0] * shape[1]
    if not 0 <= step < count:
        raise ValueError(f"step {step}: there are {count} windows, steps 0 to {count - 1}")
    return divmod(step, shape[1])


def counted(number, noun):
    """Write "1 number", "2 numbers"."""
    return f"{number} {noun}{'s' * (number != 1)}"


def times_as(ratio, what):
    """Write "2.5 times as many", and "as many" for 1."""
    text = style.ratio_text(ratio)
    return f"as {what}" if text == "1" else f"{text} times as {what}"
