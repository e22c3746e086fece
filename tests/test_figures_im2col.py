"""Figures of section 7.4: the walk of the axes, the price and the timings against arithmetic."""

import itertools
import re

import numpy as np
import pytest

from cnnlib.figures import im2col, style
from cnnlib.windows import conv_output_size
from cnnlib.windows import im2col as col_of

from .test_figures import check_case, matrix, numbers, texts

X = np.arange(48).reshape(2, 2, 3, 4)
STAGES = range(5)


def said(figure):
    return " ".join(t.get_text() for t in texts(figure))


CASES = {f"walk {stage}": (im2col.axis_walk, (X, 2, 2, 1, 0, stage, 7)) for stage in STAGES} | {
    "walk, padded": (im2col.axis_walk, (X[:1, :, :2, :2], 2, 2, 1, 1, 0, 8)),
    "walk, tall": (im2col.axis_walk, (np.arange(24).reshape(6, 1, 2, 2), 1, 1, 1, 0, 3, 20)),
    "walk, wide": (im2col.axis_walk, (np.arange(16).reshape(1, 1, 4, 4), 4, 4, 1, 0, 3)),
    "walk of one": (im2col.axis_walk, (np.array([[[[-3.25]]]]), 1, 1, 1, 0, 1)),
    "walk, one joined": (im2col.axis_walk, (np.array([[[[-3.25]]]]), 1, 1, 1, 0, 4)),
    "cost": (im2col.cost, (28, 5)),
    "cost of a batch": (im2col.cost, (227, 11, 4, 0, 3, 128)),
    "cost, wide stride": (im2col.cost, (28, 5, 9, 2)),
    "cost of 1": (im2col.cost, (1, 1)),
    "ladder": (im2col.timings, (["seven loops", *"abcd"], [0.2, 8e-5, 7e-5, 2e-5, 1e-5])),
    "decades": (im2col.timings, (["a", "b"], [1e-9, 1e3])),
}


@pytest.mark.parametrize("case", CASES)
def test_every_figure_fits_its_card(case):
    check_case(*CASES[case])


@pytest.mark.parametrize("stage", [1, 2, 3, 4])
def test_the_table_is_the_array_in_the_order_of_memory(stage):
    orders = {
        1: lambda n, c, i, j, p, q: (n, c, i, j, p, q),
        2: lambda n, c, i, j, p, q: (n, p, c, i, j, q),
        3: lambda n, c, i, j, p, q: (n, p, q, c, i, j),
    }
    order = orders[min(stage, 3)]
    shape = order(2, 2, 2, 2, 2, 3)
    expected = np.zeros(shape)
    for n, c, i, j, p, q in itertools.product(*map(range, (2, 2, 2, 2, 2, 3))):
        expected[order(n, c, i, j, p, q)] = X[n, c, p + i, q + j]
    drawn = matrix(numbers(im2col.axis_walk(X, 2, 2, stage=stage), ""))
    assert np.array_equal(drawn, expected.reshape(drawn.shape))
    assert len(drawn) == np.prod(shape[:3])
    if stage >= 3:
        assert np.array_equal(drawn, col_of(X, 2, 2))


@pytest.mark.parametrize("stage", [1, 2, 3, 4])
def test_the_outlines_hold_the_window_and_its_rows_are_counted(stage):
    for window in range(12):
        figure = im2col.axis_walk(X, 2, 2, stage=stage, window=window)
        drawn = {
            (round(t.get_position()[0], 1), round(t.get_position()[1], 1)): t
            for t in texts(figure)
            if t.get_gid()
        }
        inside = set()
        for patch in figure.axes[0].patches:
            if patch.get_facecolor()[3]:
                continue
            box = patch.get_bbox()
            inside |= {
                float(t.get_text())
                for (x, y), t in drawn.items()
                if box.x0 < x < box.x1 and box.y0 < y < box.y1
            }
        assert inside == set(col_of(X, 2, 2)[window])
        rows = {1: 4, 2: 2, 3: 1, 4: 1}[stage]
        assert f"Its 8 numbers stand in {rows} row" in said(figure)


def test_the_walk_says_the_permutation_of_numpy():
    six = np.lib.stride_tricks.sliding_window_view(X, (2, 2), (2, 3)).transpose(0, 1, 4, 5, 2, 3)
    for stage in (2, 3):
        order = re.search(r"transpose\(([\d, ]+)\)", said(im2col.axis_walk(X, 2, 2, stage=stage)))
        drawn = matrix(numbers(im2col.axis_walk(X, 2, 2, stage=stage), ""))
        moved = six.transpose([int(k) for k in order[1].split(",")])
        assert np.array_equal(drawn.ravel(), moved.ravel())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((X[0], 2, 2), "4-D"),
        ((X, 5, 2), "does not fit"),
        ((X, 2, 2, 1, 0, 5), "stage 5"),
        ((X, 2, 2, 1, 0, 1, 12), "0 to 11"),
        ((np.zeros((1, 1, 9, 9)), 3, 3, 1, 0, 1), "49 rows|147 columns"),
    ],
)
def test_a_walk_that_cannot_be_drawn_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        im2col.axis_walk(*arguments)


@pytest.mark.parametrize(("filter_size", "stride", "pad"), [(1, 1, 0), (3, 2, 1), (5, 1, 2)])
def test_the_cost_is_that_of_the_real_matrix(filter_size, stride, pad):
    x = np.zeros((4, 3, 9, 9), np.float32)
    col = col_of(x, filter_size, filter_size, stride, pad)
    shown = said(im2col.cost(9, filter_size, stride, pad, 3, 4))
    assert f"= {im2col._held(col.size)}" in shown
    assert f"= {im2col._held(x.size)}" in shown
    assert im2col._held(300) == "300 numbers, 1.2 kB"  # float32
    assert f"{len(col):,} × {col.shape[1]:,}" in shown
    times = col.size / x.size
    said_so = "holds as many" if times == 1 else f"holds {style.ratio_text(times)} times as many"
    assert said_so in shown


def test_the_curves_of_the_cost_and_their_limits():
    ax = im2col.cost(28, 5, 2, 1).axes[1]
    curves = [
        line for line in ax.lines if line.get_linestyle() == "-" and len(line.get_xdata()) > 1
    ]
    limits = [line for line in ax.lines if line.get_linestyle() == "--"]
    assert len(curves) == len(limits) == 4
    for stride, curve, limit in zip((4, 3, 2, 1), curves, limits, strict=True):
        for filter_size, drawn in zip(*curve.get_data(), strict=True):
            out = conv_output_size(28, int(filter_size), stride, 1)
            assert drawn == pytest.approx(out**2 * filter_size**2 / 28**2)
        # The limit is one: it is met within 1 % by images of 10,000 x 10,000.
        for filter_size, drawn in zip(*limit.get_data(), strict=True):
            out = conv_output_size(10_000, int(filter_size), stride)
            assert drawn == pytest.approx(out**2 * filter_size**2 / 1e8, rel=0.01)


def test_equal_lengths_of_bars_are_equal_factors():
    figure = im2col.timings(["a", "b", "c"], [1.0, 0.01, 0.0001])
    a, b, c = [p.get_width() for p in figure.axes[0].patches if p.get_gid() == "bar"]
    assert a - b == pytest.approx(b - c) and c > 0
    assert {"100 µs", "1 ms", "1 s"} <= {t.get_text() for t in texts(figure)}
