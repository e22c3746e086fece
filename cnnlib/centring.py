"""From a drawing to a digit as MNIST has it: cut out, scaled, and moved to the middle.

A network has seen digits of one size in one place, and knows no others. So a drawing is treated as
the makers of MNIST treated their scans:

1. ``ink_box``        the smallest box with all the ink in it
2. scale              the box becomes 20 pixels high or wide, whichever is longer; the ratio stays
3. ``centre_digit``   all three: the centre of mass of the ink comes to the middle of 28 x 28
"""

import numpy as np

from cnnlib.windows import whole_number


def ink_box(image):
    """Find the smallest box that holds all pixels with ink.

    Parameters
    ----------
    image : array_like, shape (H, W) or (1, H, W)
        Ink on paper: bytes 0..255, or numbers 0..1. Paper is exactly 0.

    Returns
    -------
    (int, int, int, int) or None
        First row, first column, height and width; None where nothing is drawn.

    Raises
    ------
    ValueError
        If it is not one picture, or if a number lies outside of 0..1.

    Examples
    --------
    >>> ink_box([[0, 0, 0], [0, 1, 0], [0, 1, 0]])
    (1, 1, 2, 1)
    """
    ink = as_ink(image) > 0
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    if rows.size == 0:
        return None
    top, left = int(rows[0]), int(columns[0])
    return top, left, int(rows[-1]) - top + 1, int(columns[-1]) - left + 1


def centre_digit(image, shape=(28, 28), box=None):
    """Scale and centre a drawing as MNIST's digits are.

    Every new pixel is the mean of the ink that lies beneath it: that is what makes edges grey
    (anti-aliasing). The digit is then moved, by whole pixels, until its centre of mass falls on
    pixel (H // 2, W // 2); it stops at the edge of the picture rather than losing ink.

    Parameters
    ----------
    image : array_like, shape (H', W') or (1, H', W')
        Ink on paper, of any size: bytes 0..255, or numbers 0..1. Paper is exactly 0.
    shape : tuple of int, default (28, 28)
        (H, W) of the picture that is made.
    box : int, optional
        Length of the digit's longer side in it; 20/28 of the shorter of H and W by default, so
        that 28 x 28 gives MNIST's 20.

    Returns
    -------
    ndarray of float32, shape (H, W)
        From 0 to 1; all zeros where nothing is drawn.

    Raises
    ------
    ValueError
        If it is not one picture, if a number lies outside of 0..1, or if the box does not fit.

    Notes
    -----
    MNIST's own digits come back unchanged. Method: LeCun, Cortes and Burges, "The MNIST database
    of handwritten digits"; that the centre of mass falls on pixel 14 and not between 13 and 14 was
    found by measuring the digits themselves.

    Examples
    --------
    >>> import numpy as np
    >>> drawing = np.zeros((100, 200))
    >>> drawing[10:90, 30:40] = 1  # a stroke, 80 high and 10 wide
    >>> ink_box(centre_digit(drawing))
    (4, 13, 20, 2)
    """
    ink = as_ink(image)
    if np.shape(shape) != (2,):
        raise ValueError(f"shape must be (H, W), got {shape!r}")
    H, W = (whole_number(letter, size) for letter, size in zip("HW", shape, strict=True))
    box = max(1, round(min(H, W) * 20 / 28)) if box is None else whole_number("box", box)
    if box > min(H, W):
        raise ValueError(f"a box of {box} pixels does not fit into {H} x {W}")
    out = np.zeros((H, W), np.float32)
    found = ink_box(ink)
    if found is None:
        return out
    top, left, height, width = found
    rows, columns = (max(1, round(side * box / max(height, width))) for side in (height, width))
    digit = ink[top : top + height, left : left + width]
    digit = _means(height, rows) @ digit @ _means(width, columns).T
    top = _start(digit.sum(axis=1), H)
    left = _start(digit.sum(axis=0), W)
    out[top : top + rows, left : left + columns] = digit
    return out


def as_ink(image):
    """Return a picture as float64 of shape (H, W), 0 for paper and 1 for full ink.

    Raises ValueError where it is not one picture, or where a number lies outside.
    """
    image = np.asarray(image)
    if image.ndim == 3 and len(image) == 1:
        image = image[0]
    if image.ndim != 2 or image.size == 0 or image.dtype.kind not in "buif":
        raise ValueError(
            f"a picture is an array of numbers (H, W) or (1, H, W), got shape {image.shape} of "
            f"{image.dtype}"
        )
    ink = image / 255 if image.dtype == np.uint8 else image.astype(float)
    wrong = ~((ink >= 0) & (ink <= 1))  # NaN included
    if wrong.any():
        raise ValueError(f"ink must be from 0 to 1, or uint8 from 0 to 255; got {ink[wrong][0]}")
    return ink


def _means(old, new):
    """Give the matrix (new, old) that makes `new` pixels of `old` ones along one axis.

    New pixel i covers the old axis from i * old/new to (i + 1) * old/new. Its row holds how much
    of each old pixel lies in there, as shares that add up to 1.
    """
    edges = np.arange(new + 1) * (old / new)
    first = np.maximum(edges[:-1, np.newaxis], np.arange(old))
    last = np.minimum(edges[1:, np.newaxis], np.arange(old) + 1)
    return np.maximum(last - first, 0) * (new / old)


def _start(ink, size):
    """Place a line of ink into `size` pixels so that its centre of mass falls on the middle one."""
    centre = ink @ np.arange(ink.size) / ink.sum()
    start = size // 2 - int(np.floor(centre + 0.5))
    return min(max(start, 0), size - ink.size)
