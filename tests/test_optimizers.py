"""Optimisers: the formulas written out by hand, step by step, and the arrays changed in place."""

import numpy as np
import pytest

from cnnlib import SGD, AdaGrad, Adam, Momentum, Nesterov, RMSprop


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


@pytest.mark.parametrize("kind", [SGD, Momentum, Nesterov, AdaGrad, RMSprop, Adam])
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


@pytest.mark.parametrize("kind", [SGD, Momentum, Nesterov, AdaGrad, RMSprop, Adam])
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
