"""Figures of section 7.3: the numbers drawn are those of the loops, over every setting."""

import numpy as np
import pytest

from cnnlib import naive
from cnnlib.figures import pooling

from .test_figures import check, check_case, matrix, numbers, texts

TABLE = np.array(
    [
        [10, 12, 11, 4, 15, 14],
        [9, 6, 8, 1, 17, 12],
        [7, 5, 3, 1, 20, 5],
        [2, 3, 1, 1, 4, 0],
        [5, 4, 2, 2, 5, 6],
        [6, 8, 3, 2, 3, 3],
    ]
)
X4 = np.array([[3, 1, 0, 2], [5, 2, 4, 7], [1, 0, 6, 3], [8, 2, 1, 1]])
ONE = np.array([[0, 255, 252, 0], [0, 255, 253, 0], [0, 255, 255, 0], [0, 0, 253, 0]])
ONE_RIGHT = np.pad(ONE, ((0, 0), (1, 0)))[:, :4]
ONE_DOWN = np.pad(ONE, ((1, 0), (0, 0)))[:4]
RNG = np.random.default_rng(0)
PLAIN = {"max": naive.max_pool, "average": naive.average_pool}
PLAIN_BACKWARD = {"max": naive.max_pool_backward, "average": naive.average_pool_backward}


def batch(x):
    return np.asarray(x, float)[np.newaxis, np.newaxis]


def title(figure):
    return figure.axes[0].texts[0].get_text()


def by_gid(figure, gid):
    (text,) = [t.get_text() for t in texts(figure) if t.get_gid() == gid]
    return text


CASES = {
    "gradient": (pooling.gradient_step, (X4, [[10, 20], [30, 40]], 2, 2)),
    "gradient, shared": (pooling.gradient_step, (X4, X4[:2, :2], 2, 2, 2, 0, "average", 3)),
    "gradient, overlap": (pooling.gradient_step, (X4, X4[:2, :2], 3, 3, 1, 0, "max", 3)),
    "gradient, padded": (pooling.gradient_step, (TABLE, X4[:3, :3], 3, 3, 2, 1, "average", 4)),
    "gradient, tiny": (pooling.gradient_step, ([[5]], [[-0.25]], 1, 1)),
    "shift of numbers": (pooling.shift_effect, (ONE, ONE_RIGHT, 2)),
    "shift, unnoticed": (pooling.shift_effect, (ONE, ONE_RIGHT, 3, 1)),
    "no shift": (pooling.shift_effect, (ONE, ONE, 2)),
    "shift of a picture": (pooling.shift_effect, (RNG.random((28, 28)), RNG.random((28, 28)), 4)),
    "shift, averaged": (pooling.shift_effect, (TABLE, TABLE[::-1], 2, 2, "average")),
    "shift, wide": (pooling.shift_effect, (TABLE[:2], TABLE[1:3], 2)),
    "modes": (pooling.max_against_average, ({"sparse": np.eye(12), "smooth": TABLE}, 3)),
    "modes, 1": (pooling.max_against_average, ({"zero": np.zeros((4, 6))}, 1)),
}


@pytest.mark.parametrize("case", CASES)
def test_every_figure_fits_its_card(case):
    check_case(*CASES[case])


@pytest.mark.parametrize("mode", ["max", "average"])
@pytest.mark.parametrize(("window", "stride", "pad"), [(2, 2, 0), (3, 1, 0), (3, 2, 1), (2, 4, 1)])
def test_gradient_step_writes_what_the_plain_loops_send_back(mode, window, stride, pad):
    x = batch(TABLE)
    out = PLAIN[mode](x, window, window, stride, pad)[0, 0]
    dout = np.arange(1, out.size + 1).reshape(out.shape) * 36
    for step in range(out.size):
        figure = pooling.gradient_step(TABLE, dout, window, window, stride, pad, mode, step)
        sent = np.where(dout <= 36 * (step + 1), dout, 0)
        expected = PLAIN_BACKWARD[mode](batch(sent), x, window, window, stride, pad)[0, 0]
        assert np.array_equal(matrix(numbers(figure, "gradient dx")), expected)
        assert np.array_equal(matrix(numbers(figure, "gradient dout")), dout)
        check(figure)


def test_shift_effect_says_how_much_has_changed():
    figure = pooling.shift_effect(ONE, ONE_RIGHT, 2)
    assert by_gid(figure, "change of input") == "115 %"
    assert by_gid(figure, "change of output") == "50 %"
    assert np.array_equal(matrix(numbers(figure, "pooled, moved")), [[0, 255], [0, 255]])
    assert title(figure) == "The input changes by 115 %, the pooled map by 50 %"
    assert by_gid(pooling.shift_effect(ONE, ONE_DOWN, 2), "change of output") == "0.1 %"
    assert title(pooling.shift_effect(ONE, ONE_RIGHT, 3, 1)).endswith("the pooled map not at all")
    assert title(pooling.shift_effect(ONE, ONE, 2)).startswith("Nothing has moved")


def test_max_keeps_a_lone_peak_and_the_mean_divides_it():
    peak = np.zeros((6, 6))
    peak[2, 3] = 1
    shown = [t.get_text() for t in texts(pooling.max_against_average({"a": peak}, 2))]
    assert "largest 1.00, mean 0.11" in shown
    assert "largest 0.25, mean 0.03" in shown


@pytest.mark.parametrize(
    ("function", "arguments", "sentence"),
    [
        (pooling.gradient_step, (X4, [[1]], 2, 2), "dout of shape"),
        (pooling.gradient_step, (X4, X4[:2, :2], 2, 2, 2, 0, "max", -1), "steps 0 to 3"),
        (pooling.shift_effect, (X4, TABLE, 2), "one shape"),
        (pooling.shift_effect, (np.zeros((4, 4)), X4, 2), "zero everywhere"),
        (pooling.max_against_average, ({"a": -X4}, 2), "a has negative numbers, the least is -8"),
    ],
)
def test_what_cannot_be_drawn_is_said(function, arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        function(*arguments)


def test_arguments_are_not_changed():
    x, dout = X4.astype(float), X4[:2, :2].astype(float)
    pooling.gradient_step(x, dout, 3, 3, 1)
    pooling.shift_effect(x, x[::-1], 2)
    assert np.array_equal(x, X4)
    assert np.array_equal(dout, X4[:2, :2])
