"""Gradients by differences, and a check that says what differed and by how much.

Backpropagation is easy to get almost right. A slope can also be measured: move one number a little
up and a little down, and see how far the result goes. Slow, but it knows nothing of the layers.
"""

from typing import NamedTuple

import numpy as np

from cnnlib.windows import check_float, whole_number


def numerical_gradient(f, x, h=1e-4):
    """Compute the gradient of f at x: ``(f(x + h*e_i) - f(x - h*e_i)) / (2*h)`` for every i.

    f takes x and returns a number; x is changed in place for each evaluation, and restored.
    ValueError if x is not a float64 array, or if x or f is not finite. Book section 4.3.
    """
    _check_point(x, h)
    at, grad = float(f(x)), np.empty_like(x)
    for index in np.ndindex(x.shape):
        _, grad[index], _, noise = _slopes(f, x, index, h, at)
        if noise == np.inf:
            raise ValueError(f"h = {h} is lost in the rounding of x = {x[index]} at {index}")
    return grad


def relative_error(a, b, noise=0.0):
    """Compare two gradients, element by element: ``|a - b| / max(|a|, |b|, scale)``.

    ``scale`` is a thousandth of the largest entry; of ``|a - b|``, `noise` does not count.
    ValueError if the shapes differ or an entry is not finite.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.shape != b.shape:
        raise ValueError(f"gradients of different shapes: {a.shape} and {b.shape}")
    _check_finite("the first gradient", a)
    _check_finite("the second gradient", b)
    size = np.maximum(np.abs(a), np.abs(b))
    scale = max(1e-3 * size.max(initial=0), np.finfo(np.float64).tiny)
    return np.maximum(np.abs(a - b) - noise, 0) / np.maximum(size, scale)


class GradientReport(NamedTuple):
    """What a gradient check found for one array; printed, it is one line.

    `outcome` is "ok", "WRONG" or "cannot tell"; `error` is the largest relative error, at `index`.
    Rounding may move a difference by `noise`: relative errors up to `limit` may go unseen.
    """

    name: str
    outcome: str
    error: float
    index: tuple
    analytic: float
    numerical: float
    checked: int
    kinks: int
    noise: float
    limit: float

    @property
    def ok(self):
        """Whether the gradients agree, and rounding is small enough to say so."""
        return self.outcome == "ok"

    def __str__(self):
        text = f"{self.name}: {self.outcome}"
        if self.outcome == "WRONG":
            text += f" at {list(self.index)}: backward says {self.analytic:.6g}, differences say "
            text += f"{self.numerical:.6g}, relative error {self.error:.1e} "
            return text + f"(largest of {self.checked} elements)"
        if self.outcome == "cannot tell":
            text += f": rounding may move a difference by {self.noise:.1e}, which is too much for "
            return text + "so small a gradient; use a larger h, or drop constants from f"
        text += f", largest relative error below {self.limit:.0e}"
        return text + (f" ({self.kinks} of {self.checked} on a kink)" if self.kinks else "")


def check_gradient(f, x, analytic, name="x", *, h=1e-4, tolerance=1e-6, samples=None, rng=0):
    """Compare `analytic` with the central differences of f at x, and return a GradientReport.

    Relative errors up to `tolerance` pass; with `samples`, so many elements are drawn and compared.
    ValueError if the shapes differ, a setting is impossible, or x, f or the gradient not finite.

    Two things are no mistakes. *Rounding*: f is known to about 32 units of its last place, hence a
    difference to ``32 * eps * |f| / h``. *Kinks*: where a ReLU or a maximum has one within h, the
    central difference mixes two slopes; what disagrees is looked at again with smaller steps.
    """
    _check_point(x, h)
    a = np.asarray(analytic, dtype=np.float64)
    if a.shape != x.shape:
        raise ValueError(f"{name} has shape {x.shape}, but the gradient given for it {a.shape}")
    indices = list(np.ndindex(x.shape))
    if samples is not None and whole_number("samples", samples) < x.size:
        indices = [indices[k] for k in np.random.default_rng(rng).choice(x.size, samples, False)]
    at = float(f(x))
    _, d, _, noise = np.array([_slopes(f, x, index, h, at) for index in indices]).T
    a = np.array([a[index] for index in indices])
    errors = relative_error(a, d, noise)
    largest = float(max(np.abs(a).max(), np.abs(d).max()))

    def on_kink(k):
        for step in h / 10.0 ** np.arange(1, 7):
            left, central, right, rounding = _slopes(f, x, indices[k], step, at)
            if rounding > max(20 * noise[k], 0.1 * abs(a[k] - d[k])):
                break  # it would excuse anything
            size = max(abs(left), abs(right), 1e-3 * largest)
            slope, slack = central, rounding + tolerance * size
            if abs(right - left) > rounding + 1e-3 * size:  # still on a kink, or on several
                slope, slack = np.clip(a[k], *sorted((left, right))), 0.01 * size
            if abs(a[k] - slope) <= slack:
                return True
        return False

    kinks = [k for k in np.flatnonzero(errors > tolerance) if on_kink(k)]
    errors[kinks] = 0
    k = int(errors.argmax())
    limit = max(tolerance, 10 * float(noise.max()) / (largest or 0.01))  # noise at h / 10
    outcome = "WRONG" if errors[k] > tolerance else "ok" if limit <= 1 else "cannot tell"
    found = float(errors[k]), indices[k], float(a[k]), float(d[k]), len(indices), len(kinks)
    return GradientReport(name, outcome, *found, float(noise.max()), limit)


def gradient_check(network, x, t, **settings):
    """Check ``network.gradient(x, t)`` by differences, on a float64 copy of the network.

    Takes the settings of `check_gradient`; returns a report for each of ``network.params``.
    """
    twin, x = network.astype(np.float64), np.asarray(x, dtype=np.float64)
    _check_finite("x", x)
    loss = repeatable_loss(twin, x, t)
    loss(None)  # backward goes through the same random numbers as all other evaluations
    grads = twin.backward()
    return {n: check_gradient(loss, p, grads[n], n, **settings) for n, p in twin.params.items()}


def repeatable_loss(network, x, t):
    """Return the loss as a function that resets the random numbers: Dropout keeps its mask."""
    state = network.rng.bit_generator.state

    def loss(_):
        network.rng.bit_generator.state = state
        return network.loss(x, t)

    return loss


def _check_point(x, h):
    check_float(x)
    if x.dtype != np.float64:
        raise ValueError(f"x must be a float64 array, got {x.dtype}: float32 rounds 1e-4 away")
    _check_finite("x", x)
    if not h > 0:
        raise ValueError(f"h must be positive, got {h}")


def _check_finite(name, values):
    for index in np.argwhere(~np.isfinite(values)).tolist():
        raise ValueError(f"{name} is {values[tuple(index)]} at {tuple(index)}: it must be finite")


def _slopes(f, x, index, h, at):
    """Return the left, central and right slope of f along one element of x, and their noise."""
    low, here, high = x[index] - h, x[index], x[index] + h
    if not low < here < high:  # h is lost in the rounding of x
        return 0, 0, 0, np.inf
    try:
        x[index] = low
        below = float(f(x))
        x[index] = high
        above = float(f(x))
    finally:
        x[index] = here
    if not np.isfinite([below, at, above]).all():
        raise ValueError(f"f gives {below}, {at} and {above} around element {index} of x")
    h = (high - low) / 2  # as it was rounded
    noise = 32 * np.finfo(np.float64).eps * max(abs(below), abs(above)) / h
    return (at - below) / h, (above - below) / (2 * h), (above - at) / h, noise
