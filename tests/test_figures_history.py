"""Figures of section 7.7: they say what the networks and layers say, and fit their cards."""

import itertools

import numpy as np
import pytest

from cnnlib import AlexNet, LeNet, LocalResponseNormalization, Relu, Sigmoid
from cnnlib.classics import LeNet5, ScaledTanh, Subsampling
from cnnlib.figures import (
    charts,
    convolution,
    curves,
    pooling,
    structure,
)
from cnnlib.networks import LayerRow
from cnnlib.windows import conv_output_size, uncovered_size

from .test_figures import check, check_case, check_layout, texts

RNG = np.random.default_rng(0)
MAPS = np.abs(RNG.standard_normal((30, 24, 24)))
WINDOWS = {"Conv1": (11, 4, 0), "Pool1": (3, 2, 0), "Conv2": (5, 1, 2), "Pool2": (3, 2, 0)}
WINDOWS |= {"Conv3": (3, 1, 1), "Conv4": (3, 1, 1), "Conv5": (3, 1, 1), "Pool5": (3, 2, 0)}
# The published AlexNet (Krizhevsky et al. 2012) without its 240 MB of weights.
ALEXNET = [
    LayerRow("input", "input", (3, 227, 227), 0, 0),
    LayerRow("Conv1", "Convolution", (96, 55, 55), 34_944, 105_415_200),
    LayerRow("Relu1", "Relu", (96, 55, 55), 0, 0),
    LayerRow("Pool1", "Pooling", (96, 27, 27), 0, 0),
    LayerRow("Conv2", "GroupedConvolution", (256, 27, 27), 307_456, 223_948_800),
    LayerRow("Pool2", "Pooling", (256, 13, 13), 0, 0),
    LayerRow("Conv3", "Convolution", (384, 13, 13), 885_120, 149_520_384),
    LayerRow("Conv4", "GroupedConvolution", (384, 13, 13), 663_936, 112_140_288),
    LayerRow("Conv5", "GroupedConvolution", (256, 13, 13), 442_624, 74_760_192),
    LayerRow("Pool5", "Pooling", (256, 6, 6), 0, 0),
    LayerRow("Affine6", "Affine", (4096,), 37_752_832, 37_748_736),
    LayerRow("Affine7", "Affine", (4096,), 16_781_312, 16_777_216),
    LayerRow("Affine8", "Affine", (1000,), 4_097_000, 4_096_000),
]


def short(table):
    return [(row.name, row.shape, row.parameters) for row in table]


def shown(figure):
    return [text.get_text() for text in texts(figure)]


def by_gid(figure, gid):
    return [text.get_text() for text in texts(figure) if text.get_gid() == gid]


def patches(figure, gid):
    return [patch for patch in figure.axes[0].patches if patch.get_gid() == gid]


def normalised(maps, **constants):
    return LocalResponseNormalization(**constants).forward(maps[np.newaxis])[0]


CASES = {
    "volumes, LeNet-5": (structure.volumes, (LeNet5(rng=0).summary(),)),
    "volumes, LeNet": (structure.volumes, (LeNet(rng=0).summary(), "LeNet")),
    "volumes, AlexNet": (structure.volumes, (short(ALEXNET),)),
    "volumes, small AlexNet": (structure.volumes, (AlexNet.small(rng=0).summary(),)),
    "volumes, two": (structure.volumes, ([("input", (4,), 0), ("Affine1", (2,), 10)],)),
    "costs, LeNet-5": (charts.costs, (LeNet5(rng=0).table(),)),
    "costs, AlexNet": (charts.costs, (ALEXNET,)),
    "costs, one": (charts.costs, (ALEXNET[1:2], "One layer")),
    "curve": (curves.comparison, ({"a": [0.5]}, "epoch", "loss", "One point")),
    "curves, percent": (
        curves.comparison,
        ({k: RNG.random((3, 6)) for k in "abcd"}, "epoch", "accuracy", "Four"),
        {"scale": "percent", "dashed": ["b"]},
    ),
    "curves, close": (
        curves.comparison,
        ({k: [0.1, 0.99] for k in ("sigmoid", "scaled tanh", "ReLU")}, "epoch", "a", "Level"),
        {"scale": "percent"},
    ),
    "curves, low": (
        curves.comparison,
        ({k: [0.5, 0.0] for k in "abcd"}, "epoch", "accuracy", "At the ground"),
        {"scale": "percent"},
    ),
    "curves, log": (
        curves.comparison,
        ({"sigmoid": 10.0 ** -np.arange(21), "ReLU": np.ones(21)}, "layers", "gradient", "Fades"),
        {"scale": "log", "first": 0},
    ),
    "curve, long": (curves.comparison, ({"a": RNG.random(40)}, "step", "score", "Without marks")),
    "normalised": (charts.neighbours, (MAPS, normalised(MAPS, alpha=1.0), 12, 2)),
    "normalised, few": (charts.neighbours, (MAPS[:3], MAPS[:3] / 2, 0, 5)),
    "normalised, dark": (charts.neighbours, (0 * MAPS[:6], 0 * MAPS[:6], 5, 0)),
}


@pytest.mark.parametrize("case", CASES)
def test_every_figure_fits_its_card(case):
    check_case(*CASES[case])


@pytest.mark.parametrize("table", [LeNet5(rng=0).table(), ALEXNET], ids=["LeNet-5", "AlexNet"])
def test_volumes_say_shapes_and_counts_of_the_network(table):
    figure = structure.volumes(short(table))
    total = sum(row.parameters for row in table)
    assert shown(figure)[0] == f"{total:,} numbers to learn"
    for row in table:
        if row.parameters:
            assert f"{row.parameters:,}" in by_gid(figure, row.name)
            assert f"{row.name} {row.shape} with {row.parameters:,} parameters" in figure.alt
    assert "Relu" not in figure.alt
    assert "Tanh" not in figure.alt


def test_a_volume_is_as_long_as_the_root_of_its_sizes():
    figure = structure.volumes(short(ALEXNET))
    fronts = [c.get_paths()[0].vertices for c in figure.axes[0].collections[1::2]]
    high = [np.ptp(front[:, 1]) for front in fronts]
    assert high[0] / high[1] == pytest.approx(np.sqrt(227 / 55))
    assert high[-3] / high[-1] == pytest.approx(np.sqrt(4096 / 1000))


def test_costs_are_drawn_as_shares_of_all():
    figure = charts.costs(ALEXNET)
    drawn = np.array([p.get_width() for p in patches(figure, "share")]).reshape(-1, 2) / 180
    counts = np.array([r[3:] for r in ALEXNET if r.parameters], float)
    assert np.allclose(drawn, counts / counts.sum(axis=0))
    assert np.allclose(drawn.sum(axis=0), 1)
    title = "The affine layers hold 96 % of the parameters and do 8 % of the multiplications"
    assert shown(figure)[0] == title


@pytest.mark.parametrize(("size", "pad"), list(itertools.product(range(211, 244), range(4))))
def test_the_end_of_the_row_over_its_whole_grid(size, pad):
    windows = WINDOWS | {"Conv1": (11, 4, pad)}
    figure = convolution.end_of_row(size, windows, 256)
    expected = size
    for name, window in windows.items():
        unread = uncovered_size(expected, *window)
        expected = conv_output_size(expected, *window)
        assert by_gid(figure, name) == [str(expected)]
        if name == "Conv1":
            assert len(patches(figure, "unread")) == unread
    assert by_gid(figure, "end")[0].endswith(f"= {256 * expected**2:,} numbers")
    last = conv_output_size(size, 11, 4, pad)
    assert by_gid(figure, "window")[-1] == f"window {last}"
    check(figure)
    if size % 8 == 3:
        check_layout(figure)


@pytest.mark.parametrize("x", range(-6, 7))
def test_activations_say_value_and_slope(x):
    layers = {"sigmoid": Sigmoid(), "scaled tanh": ScaledTanh(), "ReLU": Relu()}
    figure = curves.activations(layers, x)
    check(figure)
    check_layout(figure)
    sigmoid, tanh = 1 / (1 + np.exp(-x)), np.tanh(2 * x / 3)
    expected = {
        "sigmoid": (sigmoid, sigmoid * (1 - sigmoid)),
        "scaled tanh": (1.7159 * tanh, 1.7159 * 2 / 3 * (1 - tanh**2)),
        "ReLU": (max(x, 0), float(x > 0)),
    }
    for name, (value, slope) in expected.items():
        (text,) = by_gid(figure, name)
        written = [float(part.split()[1].replace("−", "-")) for part in text.split(", ")]
        assert written == pytest.approx([value, slope], abs=0.006)


@pytest.mark.parametrize(("strength", "bias"), list(itertools.product((1, 7, 20), (-10, 0, 10))))
def test_subsampling_steps(strength, bias):
    x = RNG.uniform(-0.1, 1.175, (32, 32))
    layer = Subsampling(np.array([strength / 4]), np.array([float(bias)]))
    sums = layer.forward(x[np.newaxis, np.newaxis])
    out = ScaledTanh().forward(sums)
    figure = pooling.steps(x, sums[0, 0], out[0, 0])
    check(figure)
    check_layout(figure)
    share = round(100 * (np.abs(out) > 0.9 * 1.7159).mean())
    assert shown(figure)[0].startswith(f"{share} % of the units")


@pytest.mark.parametrize(("channel", "reach"), list(itertools.product((0, 14, 29), (0, 2, 6))))
def test_neighbours_draw_what_the_layer_gives(channel, reach):
    after = normalised(MAPS, n=2 * reach + 1, k=1.0, alpha=0.1)
    figure = charts.neighbours(MAPS, after, channel, reach)
    check(figure)
    row, column = np.unravel_index(MAPS[channel].argmax(), (24, 24))
    before, left = MAPS[:, row, column], after[:, row, column]
    chart = figure.axes[-1]
    assert chart.get_ylim()[1] > max(before.max(), left.max())
    for name, values in (("before", before), ("after", left)):
        tall = [p.get_height() for p in chart.patches if p.get_gid() == name]
        assert np.allclose(tall, values)
    kept = 100 * left[channel] / before[channel]
    assert f"channel {channel} keeps {kept:.0f} %" in shown(figure)[0]
    (ground,) = (p for p in chart.patches if p.get_gid() == "ground")
    first, last = max(0, channel - reach), min(29, channel + reach)
    assert ground.get_x() == first - 0.5 and ground.get_width() == last - first + 1


def test_curves_of_several_runs_are_medians_in_a_band():
    runs = np.array([[0.1, 0.2], [0.3, 0.9], [0.2, 0.4]])
    figure = curves.comparison({"a": runs, "b": [0.5, 0.5]}, "epoch", "y", "Two")
    ax = figure.axes[1]
    assert np.allclose(ax.lines[0].get_ydata(), [0.2, 0.4])
    assert np.allclose(ax.lines[1].get_ydata(), 0.5)
    (band,) = ax.collections
    corners = band.get_paths()[0].vertices
    assert {0.1, 0.3, 0.2, 0.9} <= set(np.round(corners[:, 1], 6))
    assert "a 40 %" in shown(figure)


@pytest.mark.parametrize(
    ("values", "low"), [([0.1, 0.99], 0.1), ([0.873, 0.98], 0.8), ([0.95, 1], 0.9), ([1, 1], 0.9)]
)
def test_a_zoomed_axis_of_percents_begins_at_tens_below_its_values(values, low):
    for zoom, bottom in ((True, low), (False, 0)):
        ax = curves.comparison({"a": values}, "epoch", "y", "One", zoom=zoom).axes[1]
        assert np.allclose(ax.get_ylim(), (bottom, 1))
        assert np.allclose(100 * ax.get_yticks(), np.round(100 * ax.get_yticks()))


@pytest.mark.parametrize(
    ("function", "arguments", "sentence"),
    [
        (structure.volumes, ([("input", (1, 2, 2), 0)],), "got 1 rows"),
        (structure.volumes, (short(ALEXNET) * 3,), "do not fit beside each other"),
        (charts.costs, (ALEXNET[2:4],), "no layer of this network"),
        (curves.comparison, ({}, "x", "y", "t"), "1 to 4 names"),
        (curves.comparison, ({"a": [np.nan]}, "x", "y", "t"), "a: expected numbers"),
        (curves.comparison, ({"a": []}, "x", "y", "t"), "a: expected numbers"),
        (convolution.end_of_row, (9, WINDOWS), "does not fit"),
        (curves.activations, ({"a": Relu()}, 7), "from -6 to 6, got 7"),
        (curves.activations, ({}, 0), "1 to 4 names"),
        (pooling.steps, (MAPS[0], MAPS[0], MAPS[0, :3]), "one shape"),
        (charts.neighbours, (-MAPS, MAPS, 0, 1), "never negative"),
        (charts.neighbours, (MAPS, MAPS[:3], 0, 1), "expected maps"),
        (charts.neighbours, (MAPS, MAPS, 30, 1), "got 30, 1"),
    ],
)
def test_what_cannot_be_drawn_is_said(function, arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        function(*arguments)


def test_a_scale_of_another_name_is_refused():
    with pytest.raises(ValueError, match="scale must be"):
        curves.comparison({"a": [1]}, "x", "y", "t", scale="linear")
    with pytest.raises(ValueError, match="no place for 0"):
        curves.comparison({"a": [0, 1]}, "x", "y", "t", scale="log")
