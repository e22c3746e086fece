"""Chapter 7.1: what its prose says is so, and a reader may change its numbers."""

import itertools

import numpy as np
import pytest

from cnnlib.widgets import ShapeCalculator

from .chapters import run
from .explorers import (  # noqa: F401
    test_every_cell_can_be_run_again,
    test_every_explorer_over_its_values,
)

CHAPTER = "7.1"


def costs(net):
    return {row.name: (row.parameters, row.multiplications) for row in net.table()}


def test_the_figures_count_as_the_formulas_do(space):
    sizes = [28 * 28, 100, 100, 100, 100, 10]
    for i, (D, M) in enumerate(itertools.pairwise(sizes), start=1):
        assert costs(space["fully_connected"])[f"Affine{i}"] == (D * M + M, D * M)
    found = costs(space["convolutional"])
    for name, C, side in [("Conv1", 1, 28), ("Conv2", 16, 14), ("Conv3", 16, 7)]:
        assert found[name] == (16 * (C * 3 * 3 + 1), 16 * C * 3 * 3 * side**2)
    assert found["Affine1"] == costs(space["fully_connected"])["Affine1"]


def test_weights_sit_in_affine_and_work_in_convolution(space):
    first, *_ = (row[0] for row in costs(space["fully_connected"]).values() if row[0])
    assert first > sum(row[0] for row in costs(space["fully_connected"]).values()) / 2
    found = costs(space["convolutional"])
    learnt, done = (sum(row[k] for row in found.values()) for k in (0, 1))
    affine = found["Affine1"][0] + found["Affine2"][0], found["Affine1"][1] + found["Affine2"][1]
    assert affine[0] > 0.9 * learnt and affine[1] < 0.2 * done
    assert max(found, key=lambda name: found[name][1]) == "Conv2"


def test_the_last_two_stages_are_the_same(space):
    def kinds(net):
        return [row.kind for row in net.table()[1:]]

    assert kinds(space["fully_connected"]) == ["Affine", "Relu"] * 4 + ["Affine"]
    stages = ["Convolution", "Relu", "Pooling"] * 2 + ["Convolution", "Relu"]
    assert kinds(space["convolutional"]) == [*stages, "Affine", "Relu", "Affine"]


@pytest.mark.parametrize(("row", "column", "places"), [(14, 14, 25), (0, 0, 9), (0, 14, 15)])
def test_a_pixel_is_felt_by_the_windows_that_hold_it(space, row, column, places):
    assert space["changed"].all()  # in the fully connected layer: everywhere
    assert f"{places} of 784 " in space["felt"](row, column).alt


def test_flattening_goes_map_by_map_and_row_by_row(space):
    net, x = space["convolutional"], space["digit"]
    maps = space["feature_maps"](net, x)["Relu3"]
    line = [maps[0, c, h, w] for c in range(16) for h in range(7) for w in range(7)]
    affine = net.layers["Affine1"]
    assert np.allclose(affine.forward(maps), np.array([line]) @ affine.W + affine.b, atol=1e-5)


def test_only_the_first_affine_layer_learns_more_of_a_larger_image(space):
    for build in (space["figure_71"], space["figure_72"]):
        before, after = costs(build(28)), costs(build(56))
        for name, (learnt, done) in before.items():
            assert (after[name][0] > learnt) == (name == "Affine1")
            assert after[name][1] == done * (4 if name == "Affine1" or "Conv" in name else 1)
    assert space["larger"].shape == (1, 16, 14, 14)  # the last that fits


def test_the_things_to_try_with_the_calculator_come_out_as_told(space):
    first = space["FIGURE_72"]
    convolutions = [layer for layer in first if "FN" in layer]
    rows = {row.name: row for row in ShapeCalculator((1, 28, 28), first).rows}
    without = {row.name: row for row in ShapeCalculator((1, 28, 28), convolutions).rows}
    more = {n for n, row in without.items() if row.parameters > rows[n].parameters}
    work = {n for n, row in without.items() if row.multiplications > rows[n].multiplications}
    assert more == {"Affine1"} and work == {"Conv2", "Conv3", "Affine1"}
    strided = [layer | {"S": 2} for layer in convolutions[:2]] + convolutions[2:]
    strides = {row.name: row for row in ShapeCalculator((1, 28, 28), strided).rows}
    assert strides["Conv3"] == rows["Conv3"]
    assert strides["Conv1"].multiplications * 4 == rows["Conv1"].multiplications
    few = [layer | {"FN": 3} if "FN" in layer else layer for layer in first]
    assert sum(row.parameters for row in ShapeCalculator((1, 28, 28), few).rows) < 2000


EDITS = {
    "eight filters": [("figure-72-build", "filters=16", "filters=8")],
    "another size": [("figure-72-build", "filters, 3, pad=1", "filters, 5, pad=2")],
    "no padding": [("figure-72-build", "3, pad=1", "3, pad=0")],
    "30 neurons": [("figure-71-build", "neurons=100", "neurons=30")],
    "20 filters of 3 x 3": [("conv-count", "filter_num=30, filter_size=5, pad=2",
                             "filter_num=20, filter_size=3")],
    "four filters": [("conv-count", "filter_num=30", "filter_num=4")],
    "another digit": [("full-pixel", "x_train[18:19]", "x_train[8:9]")],
    "50 neurons": [("full-count", '"Affine1", 100', '"Affine1", 50')],
    "a wider pooling": [("conv-count", "Pooling(2, 2, stride=2)", "Pooling(4, 4, stride=4)")],
    "a larger image": [("larger-run", "repeat(2", "repeat(3")],
    "the same image": [("larger-run", "repeat(2", "repeat(1")],
    "a plan of one's own": [("calculator", "(1, 28, 28)", "(3, 40, 40)")],
}  # fmt: skip


@pytest.mark.parametrize("edits", EDITS.values(), ids=EDITS)
def test_a_reader_may_change_the_numbers(edits):
    run("7.1", *edits)
