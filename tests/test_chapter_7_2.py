"""Chapter 7.2: what its prose says is so, and a reader may change its numbers."""

import numpy as np
import pytest

from cnnlib import Convolution, naive
from cnnlib.widgets import Explorer, Lens, WindowExplorer

from .chapters import run
from .explorers import (  # noqa: F401
    test_every_cell_can_be_run_again,
    test_every_explorer_over_its_values,
)

CHAPTER = "7.2"


def loops(x, W, **settings):
    """Convolve one image (C, H, W) by filters (FN, C, FH, FW) in plain loops."""
    return naive.convolve(np.array(x, float)[np.newaxis], np.array(W, float), **settings)[0]


def test_the_first_window_is_a_digit_whose_edges_are_signed(space, values):
    ink, output = space["ink"], values["first-window"].output
    assert np.array_equal(output, loops([ink], [[space["left_right"]]])[0])
    assert ink.min() == 0 and ink.max() == 9 and output.max() > 10 and output.min() < -10
    assert {float(v) for v in output[ink[1:-1, 1:-1] == 0]} != {0.0}  # at the border of the ink


def test_six_lines_are_the_operation(space, values):
    signal = pytest.importorskip("scipy.signal")
    rng = np.random.default_rng(0)
    for size in ((4, 4), (7, 5), (3, 9)):
        x, W = rng.standard_normal(size), rng.standard_normal((3, 2))
        assert np.allclose(space["slide"](x, W), signal.correlate2d(x, W, mode="valid"))
    assert values["steps"].output.tolist() == [[15, 16], [6, 15]]
    assert values["bias-explorer"].output.tolist() == [[18, 19], [9, 18]]


def test_a_shuffle_of_pixels_and_weights_changes_no_sum(space):
    assert np.allclose(space["on_digit"], space["on_shuffled"])
    assert not np.array_equal(space["digit"], space["shuffled"])
    assert sorted(space["digit"].ravel()) == sorted(space["shuffled"].ravel())


def test_the_four_inner_outputs_are_always_there(values):
    padded = values["pad-explorer"]
    start = padded.pad
    padded.pad = 0
    inner = padded.output
    for pad in (1, 2):
        padded.pad = pad
        assert np.array_equal(padded.output[pad : pad + 2, pad : pad + 2], inner)
    padded.pad = start


def test_strides_3_and_4_give_the_same_size_and_hatch_differently(space, values):
    strided, shapes, unread = values["stride"], [], []
    for stride in (3, 4):
        strided.stride = stride
        shapes.append(strided.output.shape)
        unread.append((7 - 3) % stride)
    strided.stride = 2
    assert shapes == [(2, 2), (2, 2)] and unread == [1, 0]


def test_channels_add_up_and_each_filter_gives_a_map(space, values):
    colour, kernel, two = space["colour"], space["kernel"], space["two"]
    alone = sum(loops(colour[[c]], kernel[None, [c]])[0] for c in range(3))
    assert np.array_equal(values["channels"].output, alone + 1)
    maps = loops(colour, two, b=np.array([1.0, 0.0]), stride=2, pad=1)
    assert np.array_equal(values["two-filters"].output, maps) and maps.shape == (2, 3, 3)


def test_the_learnt_filter_is_the_lost_one_and_its_rows_come_last(space):
    found, lost, losses = space["found"], space["left_right"], space["losses"]
    assert losses[-1] < losses[0] / 1000 and np.abs(found[-1] - lost).max() < 0.05
    first, later = found[1], found[250]
    assert (first[:, 0] < 0).all() and (first[:, 2] > 0).all()
    assert np.abs(first[:, 1]).max() < first[:, 2].min() / 2
    assert later[1, 2] > 1.02 and max(later[0, 2], later[2, 2]) < 0.98


@pytest.mark.parametrize(("right", "down"), [(1, 0), (-2, 1), (2, -2)])
def test_the_map_shifts_with_the_image(space, right, down):
    digit, answer = space["digit"], space["response"].forward
    moved = answer(np.roll(digit, (down, right), axis=(2, 3)))
    assert np.allclose(moved, np.roll(answer(digit), (down, right), axis=(2, 3)), atol=1e-6)


def test_two_filters_of_three_see_five_pixels(space):
    ways = np.zeros((7, 7))
    ways[1:6, 1:6] = np.outer([1, 2, 3, 2, 1], [1, 2, 3, 2, 1])
    assert np.array_equal(space["ways"].reshape(7, 7), ways)


def test_the_layers_of_the_comparison_differ_only_at_the_beginning(space):
    full, convolutional = (list(space["network"](kind).layers) for kind in (False, True))
    assert convolutional == ["Conv1", "Relu1", "Pool1", *full]


def test_what_the_shape_is_worth(space):
    orders, accuracy = space["orders"].values(), space["accuracy_after_training"]
    full, conv = ([accuracy(kind, 4, order) for order in orders] for kind in (False, True))
    assert abs(full[0] - full[1]) < 0.06 and conv[0] > max(full) + 0.08 and conv[1] < min(full)


def test_a_fully_connected_layer_is_a_convolution_with_no_room_to_slide():
    rng = np.random.default_rng(0)
    x, W = rng.standard_normal((2, 3, 8, 8)), rng.standard_normal((10, 3, 8, 8))
    maps = Convolution(W, np.zeros(10)).forward(x)
    assert maps.shape == (2, 10, 1, 1)
    assert np.allclose(maps.reshape(2, 10), x.reshape(2, -1) @ W.reshape(10, -1).T)


QUICK = [("train-one", "native=6", "native=1"), ("learn-loop", "range(501)", "range(51)")]
QUICK += [("learn-explorer", "step=(0, 500, 10)", "step=(0, 50, 10)")]
EDITS = {
    "filter 1 to 9, another digit": [
        ("numbers-given", "[[2, 0, 1], [0, 1, 2], [1, 0, 2]]", "[[1, 2, 3], [4, 5, 6], [7, 8, 9]]"),
        ("shuffle-picture", "x_train[3:4]", "x_train[8:9]"),
        ("channels", "default_rng(7)", "default_rng(1)"),
        ("parameters", "30 * (1", "20 * (1"),
    ],
    "9 x 9 input, filter 2 x 4": [
        ("numbers-given", "[[1, 2, 3, 0], [0, 1, 2, 3], [3, 0, 1, 2], [2, 3, 0, 1]]",
         "np.arange(81).reshape(9, 9)"),
        ("numbers-given", "[[2, 0, 1], [0, 1, 2], [1, 0, 2]]", "[[1, 2, 0, -1], [0, 3, 1, 1]]"),
        ("tied-picture", "x.shape", "(5, 4)"),
        ("stride", "(7, 7)", "(9, 8)"),
    ],
    "other filters": [
        ("two-filters", "(2, 3, 3, 3)", "(3, 3, 2, 2)"),
        ("two-filters", "[1, 0]", "[1, 0, 2]"),
        ("block-proof", "(6, 3, 5, 5)", "(8, 3, 3, 3)"),
        ("block-proof", "standard_normal(6)", "standard_normal(8)"),
        ("first-window", "[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]", "[1, 1, 1], [0, 0, 0], [2, 2, 2]"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("edits", EDITS.values(), ids=EDITS)
def test_a_reader_may_change_the_numbers(edits):
    _, values = run("7.2", *QUICK, *edits)
    moving = [v for v in values.values() if isinstance(v, Explorer | WindowExplorer | Lens)]
    assert len(moving) == 15
    assert not [view.message for view in moving if getattr(view, "message", "")]
