"""Optimizers: the formulas written out by hand, step by step, and the arrays changed in place."""

import re

import numpy as np
import pytest

from cnnlib import SGD, AdaGrad, Adam, Momentum, Nesterov, RMSprop

KINDS = [SGD, Momentum, Nesterov, AdaGrad, RMSprop, Adam]


def by_hand(name, p, gradients, lr=0.1):
    """Follow one number through the formulas, in plain Python floats."""
    v = m = h = 0.0
    for t, g in enumerate(gradients, start=1):
        if name == "SGD":
            p -= lr * g
        elif name == "Momentum":
            v = 0.9 * v - lr * g
            p += v
        elif name == "Nesterov":
            before = v
            v = 0.9 * v - lr * g
            p += -0.9 * before + 1.9 * v  # Sutskever's form, shifted to where the gradient is
        elif name == "AdaGrad":
            h += g * g
            p -= lr * g / (h**0.5 + 1e-7)
        elif name == "RMSprop":
            h = 0.99 * h + 0.01 * g * g
            p -= lr * g / (h**0.5 + 1e-7)
        elif name == "Adam":
            m, h = 0.9 * m + 0.1 * g, 0.999 * h + 0.001 * g * g
            corrected = (1 - 0.999**t) ** 0.5 / (1 - 0.9**t)
            p -= lr * corrected * m / (h**0.5 + 1e-7)
    return p


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_update_equals_the_formula(kind, dtype, rng):
    p = rng.standard_normal((3, 2)).astype(dtype)
    start, params = p.copy(), {"W1": p, "b1": np.zeros(2, dtype)}
    steps = [
        {"W1": rng.standard_normal((3, 2)).astype(dtype), "b1": np.ones(2, dtype)} for _ in range(5)
    ]
    copies = [grads["W1"].copy() for grads in steps]
    optimizer = kind(lr=0.1)
    for grads in steps:
        optimizer.update(params, grads)
    assert params["W1"] is p and p.dtype == dtype
    expected = [
        [
            by_hand(kind.__name__, float(start[i, j]), [float(g[i, j]) for g in copies])
            for j in range(2)
        ]
        for i in range(3)
    ]
    np.testing.assert_allclose(p, expected, rtol=1e-4 if dtype == np.float32 else 1e-12)
    for grads, copied in zip(steps, copies, strict=True):
        np.testing.assert_array_equal(grads["W1"], copied)


@pytest.mark.parametrize("kind", KINDS)
def test_finds_the_bottom_of_a_valley(kind):
    params = {"x": np.array([-7.0, 2.0])}
    optimizer = kind(lr={SGD: 0.9, AdaGrad: 1.5, Adam: 0.3}.get(kind, 0.1))
    for _ in range(300):
        optimizer.update(params, {"x": params["x"] * [0.1, 2.0]})
    assert np.abs(params["x"]).max() < 0.1


def test_learning_rate_may_change_between_steps():
    params, optimizer = {"x": np.array([1.0])}, SGD(lr=0.5)
    optimizer.update(params, {"x": np.array([1.0])})
    optimizer.lr = 0.0
    optimizer.update(params, {"x": np.array([1.0])})
    assert params["x"] == 0.5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(2**16 + 3,), (7, 9999), (1, 40000), (), (3, 1, 2**15), (0, 3)])
def test_blocks_make_no_difference(kind, shape, rng):
    start = np.array(rng.standard_normal(shape))
    steps = [np.array(rng.standard_normal(shape)) for _ in range(3)]
    params, optimizer = {"x": start.copy()}, kind()
    for g in steps:
        optimizer.update(params, {"x": g})
    one, optimizer = start.ravel().copy(), kind()
    for g in steps:
        for k in range(0, one.size, 30000):
            optimizer.iter -= k > 0  # pieces of one step
            optimizer.update({k: one[k : k + 30000]}, {k: g.ravel()[k : k + 30000]})
    np.testing.assert_array_equal(params["x"].ravel(), one)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("grads", "message"),
    [
        ({"W1": np.ones((3, 2))}, r"no gradients for \['b1'\]; there are \['W1'\]"),
        ({"W1": np.ones((3, 2)), "b1": np.ones(1)}, r"b1 .* float64 \(2,\), float64 \(1,\)"),
        ({"W1": np.ones((3, 2)), "b1": np.float64(1)}, r"b1 .* float64 \(2,\), float64 \(\)"),
        ({"W1": np.ones((3, 2)), "b1": np.ones((1, 2))}, r"b1 .* float64 \(1, 2\)"),
        ({"W1": np.ones((3, 2)), "b1": [1.0, 1.0]}, r"b1 .* list \(2,\)"),
        ({"W1": np.ones((3, 2)), "b1": None}, r"b1 .* NoneType \(\)"),
    ],
)
@pytest.mark.parametrize("steps_before", [0, 2])
def test_gradients_that_do_not_fit_change_nothing(kind, grads, message, steps_before):
    params, optimizer = {"W1": np.ones((3, 2)), "b1": np.ones(2)}, kind()
    fitting = {"W1": np.full((3, 2), 0.5), "b1": np.ones(2)}
    for _ in range(steps_before):
        optimizer.update(params, fitting)
    before = {name: p.copy() for name, p in params.items()}
    with pytest.raises(ValueError, match=message):
        optimizer.update(params, grads)
    for name, p in params.items():
        np.testing.assert_array_equal(p, before[name])
    other, fresh = {"W1": np.ones((3, 2)), "b1": np.ones(2)}, kind()
    for _ in range(steps_before + 1):
        fresh.update(other, fitting)
    optimizer.update(params, fitting)  # what is remembered is unchanged, too
    for name, p in params.items():
        np.testing.assert_array_equal(p, other[name])


@pytest.mark.parametrize("wrong", [np.ones(2, int), np.float64(1), [1.0, 1.0]])
def test_parameters_are_arrays_of_floats(wrong):
    with pytest.raises(ValueError, match="x must be an array of floats"):
        SGD().update({"x": wrong}, {"x": np.ones(np.shape(wrong))})


def test_another_network_needs_another_optimizer():
    optimizer = Momentum()
    optimizer.update({"W1": np.ones((3, 2))}, {"W1": np.ones((3, 2))})
    with pytest.raises(ValueError, match=r"W1 .*\(4, 2\), float64 \(4, 2\), float64 \(3, 2\)"):
        optimizer.update({"W1": np.ones((4, 2))}, {"W1": np.ones((4, 2))})


WRONG = [
    *((kind, "lr", value) for kind in KINDS for value in (-1, np.nan, np.inf, 1e300, "0.1", None)),
    *((kind, "momentum", value) for kind in (Momentum, Nesterov) for value in (-0.1, 1, np.nan)),
    *((Adam, name, value) for name in ("beta1", "beta2") for value in (-0.1, 1, 1.5, np.nan, "0")),
    *((RMSprop, "decay_rate", value) for value in (-0.1, 1, 1.5, np.nan)),
]


@pytest.mark.parametrize(("kind", "name", "value"), WRONG)
def test_settings_out_of_range(kind, name, value):
    message = rf"{name} must be a number in \[0, .*\), got {re.escape(repr(value))}$"
    with pytest.raises(ValueError, match=message):
        kind(**{name: value})
    params, optimizer = {"x": np.ones(2)}, kind()
    setattr(optimizer, name, value)  # between two steps
    with pytest.raises(ValueError, match=message):
        optimizer.update(params, {"x": np.ones(2)})
    np.testing.assert_array_equal(params["x"], 1)


@pytest.mark.parametrize("kind", [Momentum, Adam, RMSprop])
def test_settings_at_the_end_of_their_range(kind):
    settings = {Momentum: ["momentum"], Adam: ["beta1", "beta2"], RMSprop: ["decay_rate"]}[kind]
    params = {"x": np.ones(2)}
    kind(lr=np.float32(0.5), **dict.fromkeys(settings, 0)).update(params, {"x": np.ones(2)})
    np.testing.assert_allclose(params["x"], 0.5, rtol=1e-6)  # the sign of the gradient, or itself
