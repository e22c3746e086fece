"""Chapter 7.4: what its prose says is so, and a reader may change its numbers."""

import numpy as np
import pytest

from cnnlib import naive
from cnnlib.widgets import Explorer, WindowExplorer
from cnnlib.windows import col2im, im2col

from .chapters import run
from .explorers import (  # noqa: F401
    test_every_cell_can_be_run_again,
    test_every_explorer_over_its_values,
)

CHAPTER = "7.4"


@pytest.mark.parametrize(("stride", "pad"), [(1, 0), (2, 0), (2, 1), (3, 2)])
@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (1, 1, 6, 6)])
def test_the_books_two_loops_fill_the_same_matrix(space, shape, stride, pad):
    x = np.random.default_rng(0).standard_normal(shape)
    book = space["im2col_of_the_book"](x, 3, 2, stride, pad)
    assert np.array_equal(book, im2col(x, 3, 2, stride, pad))
    padded = np.pad(x, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
    (_, _, H, W), rows = padded.shape, []
    for image in padded:
        for top in range(0, H - 2, stride):
            rows += [image[:, top : top + 3, left : left + 2] for left in range(0, W - 1, stride)]
    assert np.array_equal(book, np.reshape(rows, (len(rows), -1)))


def test_three_lines_give_what_the_loops_give(space):
    assert np.allclose(space["out"], space["by_loops"], atol=1e-4)
    assert space["col"].shape == (576, 25) and space["col_W"].shape == (25, 30)


def test_side_by_side_as_many_numbers_and_overlapping_more_than_twice(space):
    x = space["numbered"][np.newaxis].astype(float)
    assert im2col(x, 2, 2, 2).size == x.size and 2 < im2col(x, 2, 2, 1).size / x.size < 2.5


def test_the_product_holds_the_convolution(space, values):
    x, W = space["small_image"].astype(float), space["pair"].astype(float)
    explorer = values["product-explorer"]
    assert np.array_equal(explorer.output, naive.convolve(x[np.newaxis], W)[0])


def test_the_last_slice_ends_beyond_the_image(space):
    (H, W), stride, OH, OW = space["wide"].shape, 2, 2, 3
    assert (H - 3) // stride + 1 == OH and (W - 3) // stride + 1 == OW
    assert 2 + stride * OW == 8 > W == 7 and 2 + stride * OH > H
    assert space["wide"][2 : 2 + stride * OH : stride, 2 : 2 + stride * OW : stride].shape == (2, 3)


@pytest.mark.parametrize(("moves", "rows"), [(0, 4), (1, 2), (2, 1)])
def test_each_move_of_an_axis_brings_a_window_together(space, moves, rows):
    places = np.arange(space["six"].size).reshape(space["six"].shape)
    window = places[1, :, :, :, 0, 1]  # window 7
    for old, new in ((4, 1), (5, 2))[:moves]:
        places = np.moveaxis(places, old, new)
    table = places.reshape(np.prod(places.shape[:3]), -1)
    assert np.isin(table, window).any(axis=1).sum() == rows


def test_without_the_moves_the_shape_is_right_and_the_numbers_are_not(space):
    right = im2col(space["labelled"], 2, 2)
    assert space["hasty"].shape == right.shape and not np.array_equal(space["hasty"][7], right[7])


@pytest.mark.parametrize(("stride", "pad"), [(1, 0), (1, 2), (2, 1), (3, 0)])
def test_col2im_is_the_adjoint_of_im2col_and_not_its_inverse(space, stride, pad):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 3, 7, 6))
    col = im2col(x, 3, 2, stride, pad)
    c = rng.standard_normal(col.shape)
    assert np.isclose((col * c).sum(), (x * col2im(c, x.shape, 3, 2, stride, pad)).sum())
    ones = space["ones"]
    counts = col2im(im2col(ones, 3, 3), ones.shape, 3, 3)[0, 0]
    one_axis = [1, 2, 3, 3, 2, 1]
    assert np.array_equal(counts, np.outer(one_axis, one_axis))


def test_the_middle_of_dx_collects_four_and_at_stride_3_each_cell_one_at_most():
    for stride, most in ((1, 4), (3, 1)):
        size = 4 if stride == 1 else 7
        ones = np.ones((1, 1, size, size))
        reads = col2im(im2col(ones, 3, 3, stride), ones.shape, 3, 3, stride)
        assert reads.max() == most and (stride == 3 or reads[0, 0, 1, 1] == 4)


def test_the_check_passes_what_is_right_and_finds_the_mean(capsys):
    run("7.4", *QUICK)
    lines = [line for line in capsys.readouterr().out.splitlines() if ": " in line]
    said = {name: line for line in lines for name in ("dx", "dW", "db", "dW, the mean", "max")
            if line.startswith(name + ":")}  # fmt: skip
    assert all("ok" in said[name] for name in ("dx", "dW", "db", "max"))
    assert "ok" not in said["dW, the mean"]


def test_gradients_go_to_the_first_of_equal_maxima(space):
    dx = space["largest_2"].backward(np.array([[[[10.0, 20], [30, 40]]]]))[0, 0]
    expected = np.zeros((4, 4))
    expected[0, 1], expected[1, 2], expected[2, 0], expected[2, 2] = 10, 20, 30, 40
    assert np.array_equal(dx, expected)


QUICK = [("ladder-stopwatch", "200, 10)", "2, 1)")]
EDITS = {
    "20 filters": [
        ("loops-time", "(30, 1, 5, 5)", "(20, 1, 5, 5)"),
        ("product-proof", "filters_30.reshape(30, -1)", "filters_30.reshape(20, -1)"),
        ("product-proof", "24, 24, 30", "24, 24, 20"),
        ("ladder-many", "(30, 30, 3, 3)", "(8, 20, 3, 3)"),
        ("listing-transpose-run", "(8, 3, 5, 5)", "(8, 3, 4, 4)"),
        ("listing-transpose-run", "ten_images, 5, 5", "ten_images, 4, 4"),
        ("listing-transpose-run", "10, 3, 3, 8", "10, 4, 4, 8"),
    ],
    "other sizes": [
        ("layout-channels", "np.arange(48).reshape(3, 4, 4)", "np.arange(32).reshape(2, 4, 4)"),
        ("layout-channels", "(3, 2, 2)", "(2, 2, 2)"),
        ("product-explorer", "(1, 4, 4)", "(1, 5, 3)"),
        ("product-explorer", "(2, 1, 3, 3)", "(3, 1, 2, 2)"),
        ("element-explorer", "np.arange(35).reshape(5, 7)", "np.arange(24).reshape(4, 6)"),
        ("col2im-counts", "(1, 1, 6, 6)", "(1, 1, 5, 8)"),
        ("gradient-check-run", "(2, 2, 7, 6)", "(2, 2, 5, 6)"),
        ("pool-explorer", "(2, 4, 4)", "(3, 4, 6)"),
        ("pool-backward", "[1, 5, 2, 0]", "[9, 5, 2, 0]"),
        ("pool-check", "Pooling(3, 2,", "Pooling(2, 2,"),
    ],
}


@pytest.mark.parametrize("edits", EDITS.values(), ids=EDITS)
def test_a_reader_may_change_the_numbers(edits):
    _, values = run("7.4", *QUICK, *edits)
    moving = [v for v in values.values() if isinstance(v, Explorer | WindowExplorer)]
    assert len(moving) == 8
    assert not [view.message for view in moving if getattr(view, "message", "")]
