"""The sliders of 7.5 over their grid: what they allow can be trained, and is drawn as it is."""

import itertools

import numpy as np
import pytest

from cnnlib import SimpleConvNet
from cnnlib.figures import style, training

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
    figure = training.network(net.summary())
    assert f"{total} parameters" in figure.alt
    assert all(f"{name} {shape}" in figure.alt for name, shape, _ in net.summary())
    assert style.size(figure)[0] <= style.MAX_WIDTH
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert any(f"{total:,} parameters in all" in text for text in texts)
    for name, shape, count in net.summary():
        assert name in texts and style.shape_text(shape) in texts
        assert not count or f"{count:,} parameters" in texts
