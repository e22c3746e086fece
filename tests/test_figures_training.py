"""The sliders of 7.5 over their grid: what they allow can be trained, and is drawn as it is."""

import itertools
import re

import numpy as np
import pytest

from cnnlib import SimpleConvNet
from cnnlib.figures import curves, structure, style
from cnnlib.layers import Relu, Sigmoid

SIZES, STRIDES, PADS = range(1, 29), range(1, 7), range(5)  # as in the notebook
FILTER_NUMS, HIDDEN_SIZES = range(1, 65), range(10, 201, 10)


def pooled_size(filter_size, stride, pad):
    """Count windows one by one; 0 where no 2 x 2 window of the pooling fits."""
    places = len(range(0, 28 + 2 * pad - filter_size + 1, stride))
    return places, len(range(0, places - 1, 2))


def build(filter_num, filter_size, stride, pad, hidden_size):
    conv_param = {"filter_num": filter_num, "filter_size": filter_size}
    conv_param |= {"stride": stride, "pad": pad}
    return SimpleConvNet(conv_param=conv_param, hidden_size=hidden_size, weight_init_std=0.1, rng=0)


def check_summary(net, filter_num, filter_size, stride, pad, hidden_size):
    """Compare shapes and counts with arithmetic of its own."""
    out, pooled = pooled_size(filter_size, stride, pad)
    counts = [
        0,
        filter_num * (filter_size**2 + 1),
        0,
        0,
        (filter_num * pooled**2 + 1) * hidden_size,
        0,
        (hidden_size + 1) * 10,
    ]
    maps = (filter_num, out, out)
    shapes = [(1, 28, 28), maps, maps, (filter_num, pooled, pooled)]
    shapes += [(hidden_size,), (hidden_size,), (10,)]
    summary = net.summary()
    assert [row[1] for row in summary] == shapes
    assert [row[2] for row in summary] == counts
    assert sum(p.size for p in net.params.values()) == sum(counts)
    return sum(counts)


def step_down(net, x, t):
    """Take one small step of gradient descent; it must lower the loss of the same batch."""
    before, grads = net.loss(x, t), net.gradient(x, t)
    for name, p in net.params.items():
        assert np.isfinite(grads[name]).all() and grads[name].shape == p.shape
        p -= 0.001 * grads[name]
    assert net.loss(x, t) < before


@pytest.mark.parametrize("pad", PADS)
def test_every_window_of_the_sliders_is_trained_or_refused(pad):
    rng = np.random.default_rng(0)
    x, t = rng.random((4, 1, 28, 28), dtype=np.float32), np.arange(4)
    refused = 0
    for filter_size, stride in itertools.product(SIZES, STRIDES):
        setting = (2, filter_size, stride, pad, 10)
        if not pooled_size(filter_size, stride, pad)[1]:
            with pytest.raises(ValueError, match="does not fit"):
                build(*setting)
            refused += 1
            continue
        net = build(*setting)
        check_summary(net, *setting)
        step_down(net, x, t)
    assert (refused > 0) == (pad < 3)  # from pad 3 on, even 28 x 28 has room to move by 6


def test_every_number_of_filters_and_of_hidden_neurons_is_trained():
    rng = np.random.default_rng(0)
    x, t = rng.random((4, 1, 28, 28), dtype=np.float32), np.arange(4)
    for filter_num, hidden_size in itertools.product(FILTER_NUMS, HIDDEN_SIZES):
        setting = (filter_num, 13, 5, 0, hidden_size)
        net = build(*setting)
        check_summary(net, *setting)
        step_down(net, x, t)


@pytest.mark.parametrize("setting", [(1, 1, 1, 4, 10), (64, 1, 1, 4, 200), (30, 5, 1, 0, 100)])
def test_the_drawing_tells_shapes_and_parameters(setting):
    net = build(*setting)
    total = check_summary(net, *setting)
    figure = structure.network(net.summary())
    assert f"{total:,} parameters" in figure.alt
    assert all(f"{name} {shape}" in figure.alt for name, shape, _ in net.summary())
    assert style.size(figure)[0] <= style.MAX_WIDTH
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert any(f"{total:,} parameters in all" in text for text in texts)
    for name, shape, count in net.summary():
        assert name in texts and style.shape_text(shape) in texts
        assert not count or f"{count:,} parameters" in texts


def title(card):
    return card.axes[0].texts[0].get_text()


NOISE = 0.2 * np.random.default_rng(0).standard_normal(400)


@pytest.mark.parametrize(
    ("loss", "how"),
    [
        ([2.3, 1.2], "falls"),
        (1 / np.arange(1, 400), "falls"),
        (np.linspace(2.3, 0.6, 400) + NOISE, "falls"),
        ([2.3, 2.3], "hardly changes"),
        ([2.3, 2.2999], "hardly changes"),
        (2.3 + NOISE, "hardly changes"),
        ([2.3, 1e5, 1e20, 1e37], "rises"),
        ([2.3, 1e308], "rises"),
        (np.linspace(0.6, 2.3, 400) + NOISE, "rises"),
        ([1e308] * 400, "hardly changes"),
    ],
)
def test_the_title_says_that_the_loss_falls_only_where_it_does(loss, how):
    card = curves.training(loss, [0.07], [0.08])
    assert title(card) == f"The loss {how}, and test accuracy ends at 8.0 %"
    assert style.to_png(card)
    assert np.isfinite(card.axes[1].get_ylim()).all()


def test_one_loss_neither_falls_nor_rises():
    assert title(curves.training([2.3], [0.1], [0.1])) == "Test accuracy ends at 10.0 %"
    assert title(curves.training([], [], [0.1])) == "Test accuracy ends at 10.0 %"
    assert title(curves.training([5, 2.3], [], [])) == "Loss during training"


@pytest.mark.parametrize(
    ("loss", "told"),
    [
        ([np.nan] * 3, "iteration 1: the loss is nan"),
        ([2.3, 1, np.inf, 0.5], "iteration 3: the loss is inf"),
        ([2.3, -np.inf], "iteration 2: the loss is -inf"),
        ([*(2.3 + NOISE), np.nan], "iteration 401: the loss is nan"),
    ],
)
@pytest.mark.parametrize("acc", [[], [0.08]])
def test_a_loss_that_is_not_finite_is_no_success(loss, told, acc):
    card = curves.training(loss, acc, acc)
    assert title(card) == f"Training failed at {told}"
    assert f"Training failed at {told}." in card.alt
    drawn = [line.get_ydata() for line in card.axes[1].lines]
    n = int(told.split()[1].rstrip(":")) - 1  # what came before is drawn
    assert all(len(values) == n and np.isfinite(values).all() for values in drawn)
    assert len(drawn) == (0 if n == 0 else 1 if n < 60 else 2)
    assert np.isfinite(card.axes[1].get_ylim()).all() and style.to_png(card)


def test_the_title_says_why_training_stopped():
    stopped = "Training stopped at step 3: the loss is nan. What was learned before is kept."
    for card in (
        curves.training([2.3, 1.2], [0.5], [0.6], stopped=stopped),
        curves.training([2.3, 1.2], [0.5], [0.6], [(1, "learning rate", 10.0)], stopped),
    ):
        assert title(card) == "Training stopped at step 3: the loss is nan"
        assert "over 2 iterations" in card.alt and f"{title(card)}." in card.alt
    assert "Changed on the way: learning rate 10 from step 1" in card.alt


def test_huge_losses_keep_their_power_of_ten_at_the_ticks():
    card = curves.training([2.3, 1e21], [], [])
    card.canvas.draw()
    axes = card.axes[1]
    assert axes.yaxis.get_offset_text().get_text() == ""
    assert any(label.get_text().endswith("e+20") for label in axes.get_yticklabels())


@pytest.mark.parametrize(
    "names",
    [
        *itertools.permutations(["test", "ReLU", "dense"]),
        ["sigmoid", "sigmoid, 4x weights", "scaled tanh", "ReLU"],
        ["train", "test with Dropout", "without"],
    ],
    ids=", ".join,
)
def test_a_curve_has_the_colour_of_its_name_in_any_company(names):
    card = curves.comparison({name: [0.5, 0.6] for name in names}, "epoch", "accuracy", "Told")
    check_colours(card, names)


def test_training_and_activations_have_these_colours():
    check_colours(curves.training([2.3, 1.2], [0.5], [0.6]), ["train", "test"])
    layers = {"ReLU": Relu(), "sigmoid": Sigmoid()}
    check_colours(curves.activations(layers, 1), layers)


def check_colours(card, names):
    """What is written beside a curve, and a line, have the colour of its name's role."""
    written = [t for ax in card.axes for t in ax.texts]
    drawn = {line.get_color() for ax in card.axes for line in ax.lines}
    for name in names:
        role = next((role for key, role in style.SERIES.items() if name.startswith(key)), None)
        found = [
            t.get_color() for t in written if re.match(rf"{re.escape(name)}( \d|$)", t.get_text())
        ]
        assert found
        if role:
            assert set(found) == {style.TEXT_COLORS[role]} and {*found} <= drawn
