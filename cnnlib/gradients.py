"""Gradients by differences, and a check that says what differed and by how much.

Backpropagation is easy to get almost right. The slope of a function can also be found by trying:
move one number a little up and a little down, and see how far the result goes. That is slow, but it
knows nothing of the layers, so the two can hold each other to account.
"""

from dataclasses import dataclass

import numpy as np


def numerical_gradient(f, x, h=1e-4):
    """Compute the gradient of f at x by central differences.

    ::

        grad[i] = (f(x + h*e_i) - f(x - h*e_i)) / (2*h)        error of the order h**2

    Parameters
    ----------
    f : callable
        Takes x and returns a number. It may look at `x` through another name: x is changed in
        place for each evaluation, and restored, also when f raises.
    x : ndarray of float64
        Where; any shape.
    h : float, default 1e-4
        How far to move.

    Returns
    -------
    ndarray
        Shape as x.

    Raises
    ------
    ValueError
        If x is not float64 (in float32 the difference is mostly rounding) or not finite, or if f
        gives NaN or infinity, with the element that did it.

    Notes
    -----
    Book section 4.3.
    """
    _check_point(x)
    grad = np.empty_like(x)
    for index in np.ndindex(x.shape):
        grad[index] = _slope(f, x, index, h)
    return grad


def relative_error(a, b):
    """Compare two gradients, element by element: ``|a - b| / max(|a|, |b|, scale)``.

    Parameters
    ----------
    a, b : ndarray
        Of equal shape.

    Returns
    -------
    ndarray
        0 where equal, 1 or more where they have nothing to do with each other. ``scale`` is a
        thousandth of the largest entry of all: entries that are next to nothing beside it are
        compared with it, since rounding alone may be as large as they are.

    Raises
    ------
    ValueError
        If the shapes differ, or if an entry is NaN or infinite.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.shape != b.shape:
        raise ValueError(f"gradients of different shapes: {a.shape} and {b.shape}")
    for name, values in (("first", a), ("second", b)):
        if not np.isfinite(values).all():
            index = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
            raise ValueError(f"the {name} gradient is {values[index]} at {index}")
    size = np.maximum(np.abs(a), np.abs(b))
    scale = max(size.max(initial=0.0) * 1e-3, np.finfo(np.float64).tiny)
    return np.abs(a - b) / np.maximum(size, scale)


@dataclass(frozen=True)
class GradientReport:
    """What a gradient check found for one array.

    Attributes
    ----------
    name : str
        Which array.
    error : float
        Largest relative error.
    index : tuple of int
        Where it is.
    analytic, numerical : float
        The two values there.
    checked : int
        How many elements were compared.
    tolerance : float
        Up to which error the check passes.
    """

    name: str
    error: float
    index: tuple
    analytic: float
    numerical: float
    checked: int
    tolerance: float

    @property
    def ok(self):
        """Whether the largest error is within the tolerance."""
        return self.error <= self.tolerance

    def __str__(self):
        if self.ok:
            return f"{self.name}: ok, largest relative error below {self.tolerance:.0e}"
        return (
            f"{self.name}: WRONG at {list(self.index)}: backward says {self.analytic:.6g}, "
            f"differences say {self.numerical:.6g}, relative error {self.error:.1e} "
            f"(largest of {self.checked} elements)"
        )


def check_gradient(f, x, analytic, name="x", *, h=1e-4, tolerance=1e-6, samples=None, rng=0):
    """Compare a gradient with central differences.

    Parameters
    ----------
    f, x, h
        As for `numerical_gradient`.
    analytic : ndarray
        The gradient to be checked, of the shape of x.
    name : str, default "x"
        What to call it in the report.
    tolerance : float, default 1e-6
        Largest relative error that passes.
    samples : int, optional
        Check only so many elements, drawn at random; all by default.
    rng : numpy.random.Generator or int, default 0
        For the drawing.

    Returns
    -------
    GradientReport
        Printed, it says in a line what differed and by how much.

    Raises
    ------
    ValueError
        If the shapes differ, or if x, f or the gradient are not finite.

    Notes
    -----
    A ReLU or a maximum has kinks. Where a step of h crosses one, the difference mixes two slopes
    and disagrees with a gradient that is right; so an element that disagrees is tried again with
    a tenth and a hundredth of h before it is called wrong.
    """
    _check_point(x)
    if np.shape(analytic) != x.shape:
        raise ValueError(
            f"{name} has shape {x.shape}, but the gradient given for it {np.shape(analytic)}"
        )
    places = np.arange(x.size)
    if samples is not None and samples < x.size:
        places = np.sort(np.random.default_rng(rng).choice(x.size, samples, replace=False))
    indices = [tuple(int(i) for i in np.unravel_index(place, x.shape)) for place in places]
    numerical = np.array([_slope(f, x, index, h) for index in indices])
    values = np.array([analytic[index] for index in indices], dtype=np.float64)
    errors = relative_error(values, numerical)
    for smaller in (h / 10, h / 100):  # a kink nearby is left behind, a mistake stays
        for place in np.flatnonzero(errors > tolerance):
            numerical[place] = _slope(f, x, indices[place], smaller)
        errors = relative_error(values, numerical)
    worst = int(errors.argmax())
    return GradientReport(
        name,
        float(errors[worst]),
        indices[worst],
        float(values[worst]),
        float(numerical[worst]),
        len(indices),
        tolerance,
    )


def gradient_check(network, x, t, *, h=1e-4, tolerance=1e-6, samples=None, rng=0):
    """Check ``network.gradient`` against central differences, parameter by parameter.

    Parameters
    ----------
    network : Network
        Works on a float64 copy: the network itself stays as it is.
    x, t : ndarray
        A few images and their labels.
    h, tolerance, samples, rng
        As for `check_gradient`; `samples` counts per parameter.

    Returns
    -------
    dict of GradientReport
        One for each of ``network.params``.

    Raises
    ------
    ValueError
        If images or parameters hold NaN or infinity.
    """
    twin = network.astype(np.float64)
    x = np.asarray(x, dtype=np.float64)
    if not np.isfinite(x).all():
        raise ValueError(
            f"the images hold {np.count_nonzero(~np.isfinite(x))} NaN or infinite values"
        )
    grads = twin.gradient(x, t)
    return {
        name: check_gradient(
            lambda _: twin.loss(x, t),
            p,
            grads[name],
            name,
            h=h,
            tolerance=tolerance,
            samples=samples,
            rng=rng,
        )
        for name, p in twin.params.items()
    }


def _check_point(x):
    """Raise ValueError unless differences can be taken at x."""
    if getattr(x, "dtype", None) != np.float64:
        raise ValueError(
            f"x must be a float64 array, got {getattr(x, 'dtype', type(x).__name__)}: "
            "differences of 1e-4 are lost in the rounding of anything smaller"
        )
    if not np.isfinite(x).all():
        index = tuple(int(i) for i in np.argwhere(~np.isfinite(x))[0])
        raise ValueError(f"x is {x[index]} at {index}: there is no gradient at such a point")


def _slope(f, x, index, h):
    """Return (f(x + h) - f(x - h)) / (2*h) for a step of one element of x, which is restored."""
    here = x[index]
    try:
        x[index] = here + h
        above = float(f(x))
        x[index] = here - h
        below = float(f(x))
    finally:
        x[index] = here
    if not np.isfinite(above - below):
        raise ValueError(f"f gives {above} and {below} around element {index} of x")
    return (above - below) / (2 * h)
