"""What the pictures of a convolution compute: one image through one filter."""

import numpy as np

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
