"""Gradients by differences, and a check that says what differed and by how much.

Backpropagation is easy to get almost right. The slope of a function can also be found by trying:
move one number a little up and a little down, and see how far the result goes. That is slow, but it
knows nothing of the layers, so the two can hold each other to account.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cnnlib.windows import whole_number


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
    at, grad = float(f(x)), np.empty_like(x)
    for index in np.ndindex(x.shape):
        grad[index] = _slopes(f, x, index, h, at).central
    return grad


def relative_error(a, b, noise=0.0):
    """Compare two gradients, element by element: ``|a - b| / max(|a|, |b|, scale)``.

    Parameters
    ----------
    a, b : ndarray
        Of equal shape.
    noise : float or ndarray, default 0
        How much of ``|a - b|`` is rounding, and does not count.

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
    return np.maximum(np.abs(a - b) - noise, 0) / np.maximum(size, scale)


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
    kinks : int
        How many of them sit on a kink, or so near that h steps over it.
    tolerance : float
        Up to which error the check passes.
    """

    name: str
    error: float
    index: tuple
    analytic: float
    numerical: float
    checked: int
    kinks: int
    tolerance: float

    @property
    def ok(self):
        """Whether the largest error is within the tolerance."""
        return self.error <= self.tolerance

    def __str__(self):
        if self.ok:
            kinks = f" ({self.kinks} of {self.checked} on a kink)" if self.kinks else ""
            return f"{self.name}: ok, largest relative error below {self.tolerance:.0e}{kinks}"
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
    analytic : array_like
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
        If the shapes differ, if a setting is not possible, or if x, f or the gradient are not
        finite.

    Notes
    -----
    Two things must not be taken for mistakes. *Rounding*: f is known to about 32 units of its last
    place, so a difference is known to ``32 * eps * |f| / h``; less than that is no disagreement.
    *Kinks*: where a ReLU or a maximum has one within h, the central difference mixes two slopes.
    An element that disagrees is therefore looked at again with smaller steps, down to h/1000. If it
    agrees now, or if it has a slope of its own on either side and the gradient lies between the
    two, a kink was the reason; such elements are counted in the report.
    """
    _check_point(x)
    analytic = np.asarray(analytic, dtype=np.float64)
    if analytic.shape != x.shape:
        raise ValueError(
            f"{name} has shape {x.shape}, but the gradient given for it {analytic.shape}"
        )
    places = np.arange(x.size)
    if samples is not None and whole_number("samples", samples) < x.size:
        places = np.sort(np.random.default_rng(rng).choice(x.size, samples, replace=False))
    indices = [tuple(int(i) for i in np.unravel_index(place, x.shape)) for place in places]
    values = np.array([analytic[index] for index in indices])
    at = float(f(x))
    slopes = [_slopes(f, x, index, h, at) for index in indices]
    numerical = np.array([slope.central for slope in slopes])
    noise = np.array([slope.noise for slope in slopes])
    errors = relative_error(values, numerical, noise)

    kinks = 0
    scale = max(np.abs(values).max(), np.abs(numerical).max()) * 1e-3
    for k in np.flatnonzero(errors > tolerance):
        nearer = [_slopes(f, x, indices[k], step, at) for step in (h / 10, h / 100, h / 1000)]
        if any(slope.allows(values[k], tolerance, scale) for slope in nearer):
            errors[k], kinks = 0.0, kinks + 1
    worst = int(errors.argmax())
    return GradientReport(
        name,
        float(errors[worst]),
        indices[worst],
        float(values[worst]),
        float(numerical[worst]),
        len(indices),
        kinks,
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
    loss = repeatable_loss(twin, x, t)
    loss(None)  # its forward pass, with the random numbers of all the others,
    grads = twin.backward()  # is the one to go back through
    return {
        name: check_gradient(
            loss, p, grads[name], name, h=h, tolerance=tolerance, samples=samples, rng=rng
        )
        for name, p in twin.params.items()
    }


def repeatable_loss(network, x, t):
    """Make the loss of a network a function that gives the same value at every call.

    A Dropout draws a new mask in every forward pass; differences between two such losses would say
    nothing. So the network's random numbers are set back before each.

    Parameters
    ----------
    network : Network
    x, t : ndarray
        Images and labels.

    Returns
    -------
    callable
        Takes one argument, which it ignores: the parameters are changed in place.
    """
    state = network.rng.bit_generator.state

    def loss(_):
        network.rng.bit_generator.state = state
        return network.loss(x, t)

    return loss


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


class _Slopes(NamedTuple):
    """Slopes of f along one element of x, and how far rounding may have moved them."""

    left: float
    central: float
    right: float
    noise: float

    def allows(self, slope, tolerance, scale):
        """Whether `slope` is the central slope or, at a kink, lies between left and right.

        Where there is one kink there are others nearby, which the two sides may have met: the ends
        are known to a hundredth only.
        """
        low, high = sorted((self.left, self.right))
        size = max(abs(low), abs(high), scale)
        if high - low > self.noise + 1e-3 * size:  # a kink
            return low - 0.01 * size <= slope <= high + 0.01 * size
        return abs(slope - self.central) <= self.noise + tolerance * size


def _slopes(f, x, index, h, at):
    """Evaluate f a step of h below and above one element of x, which is restored; `at` is f(x)."""
    if not h > 0:
        raise ValueError(f"h must be positive, got {h}")
    here = x[index]
    try:
        x[index] = here - h
        below = float(f(x))
        x[index] = here + h
        above = float(f(x))
    finally:
        x[index] = here
    if not np.isfinite([below, at, above]).all():
        raise ValueError(f"f gives {below}, {at} and {above} around element {index} of x")
    noise = 32 * np.finfo(np.float64).eps * max(abs(below), abs(above)) / h
    return _Slopes((at - below) / h, (above - below) / (2 * h), (above - at) / h, noise)
