"""What 7.3 says: its numbers by independent arithmetic, and that a reader may change any of them.

The arrays and functions are those of the notebook's own cells.
"""

import itertools

import numpy as np
import pytest

from cnnlib import Pooling, SimpleConvNet, check_gradient, naive
from cnnlib.widgets import Explorer, WindowExplorer

from .chapters import once, run
from .explorers import (  # noqa: F401
    test_every_cell_can_be_run_again,
    test_every_explorer_over_its_values,
)

CHAPTER = "7.3"

WAYS = ((1, 0), (-1, 0), (0, 1), (0, -1))


def names(*wanted):
    return [once("7.3")[0][name] for name in wanted]


def batch(x):
    return np.asarray(x, float).reshape(1, -1, *np.shape(x)[-2:])


def windows(x, size, stride):
    """List all windows of a map, cut out one by one."""
    places = itertools.product(*(range(0, n - size + 1, stride) for n in x.shape))
    return [x[i : i + size, j : j + size] for i, j in places]


# ---- the tables, overlapping windows, padding


def test_the_table_gives_what_its_quarters_give():
    (table,) = names("table")
    x, quarters = batch(table), windows(table, 3, 3)
    by_hand = [q.max() for q in quarters], [q.sum() / 9 for q in quarters]
    plain = naive.max_pool(x, 3, 3, 3), naive.average_pool(x, 3, 3, 3)
    for mode, expected, loops in zip(("max", "average"), by_hand, plain, strict=True):
        assert np.allclose(Pooling(3, 3, 3, mode=mode).forward(x).ravel(), expected)
        assert np.allclose(loops.ravel(), expected)
        assert np.argmax(expected) == 1  # the upper right quarter leads in both


def test_three_square_windows_keep_the_size_of_the_table():
    pools = once("7.3")[1]["table-explorer"]
    sliders = [(c.min, c.max) for name, c in pools.controls.items() if name != "mode"]
    assert sliders == [(1, 5), (1, 5), (1, 4), (0, 3)]
    kept = set()
    for window, stride, pad in itertools.product(range(1, 6), range(1, 5), range(4)):
        try:
            shape = Pooling(window, window, stride, pad).output_shape((1, 6, 6))
        except ValueError:  # a pad as large as the window
            continue
        if shape == (1, 6, 6):
            kept.add((window, stride, pad))
    assert kept == {(1, 1, 0), (3, 1, 1), (5, 1, 2)}


def test_how_often_the_largest_number_wins_where_windows_overlap():
    (x7,) = names("x7")
    assert x7.max() == 28 and (x7 == 28).sum() == 1
    for stride, wins in ((2, 4), (1, 9), (3, 1)):
        pooled = Pooling(3, 3, stride).forward(batch(x7))
        assert (pooled == 28).sum() == wins
    assert pooled.shape == (1, 1, 2, 2)  # of 7 rows at stride 3, the last is left over


def test_no_example_has_a_tie_before_ties_are_discussed():
    x4, table, x7, rgb = names("x4", "table", "x7", "rgb")
    shown = [(x4, 2, 2), (table, 3, 3), *((x7, 3, s) for s in (1, 2, 3, 4))]
    for x, size, stride in shown + [(channel, 2, 2) for channel in rgb]:
        assert all((w == w.max()).sum() == 1 for w in windows(x, size, stride))


def test_minus_infinity_never_wins_and_zero_does():
    (negative,) = names("negative")
    pool = Pooling(2, 2, 2, pad=1)
    right, with_zeros = pool.forward(negative), naive.max_pool(np.pad(negative, _ring()), 2, 2, 2)
    assert negative.max() < 0
    assert np.array_equal(right, pool.forward(negative + 21) - 21)  # at the border as inside
    assert (with_zeros == 0).sum() == 12 and (right != with_zeros).sum() == 12
    assert np.array_equal(with_zeros[..., 1:3, 1:3], right[..., 1:3, 1:3])
    ones = Pooling(2, 2, 2, pad=1, mode="average").forward(np.ones((1, 1, 6, 6)))[0, 0]
    assert np.array_equal(ones, np.outer([0.5, 1, 1, 0.5], [0.5, 1, 1, 0.5]))


def _ring():
    return (0, 0), (0, 0), (1, 1), (1, 1)


# ---- the three properties


def test_only_the_layers_named_have_parameters():
    layers = SimpleConvNet().layers
    learnt = [name for name, layer in layers.items() if hasattr(layer, "W")]
    assert learnt == ["Conv1", "Affine1", "Affine2"]
    assert not [v for v in vars(layers["Pool1"]).values() if isinstance(v, np.ndarray)]


def test_each_channel_is_pooled_on_its_own():
    maps, differs = names("maps", "differs")
    pool = Pooling(2, 2, 2)
    alone = [pool.forward(maps[:, c : c + 1]) for c in range(maps.shape[1])]
    assert np.array_equal(np.concatenate(alone, axis=1), pool.forward(maps))
    assert np.flatnonzero(differs).tolist() == [0]


def test_the_piece_of_a_one_changes_as_told():
    one, shift, change = names("one", "shift", "change")
    x, small, large = batch(one), Pooling(2, 2, 2).forward, Pooling(3, 3, 1).forward
    moved = [shift(x, *way) for way in WAYS]  # right, left, down, up
    told = ["115%", "115%", "43%", "29%"], ["50%", "50%", "0%", "25%"]
    for told_of_one, pooling in zip(told, (lambda x: x, small), strict=True):
        assert [f"{change(pooling(x), pooling(m))[0]:.0%}" for m in moved] == told_of_one
    assert 0 < change(small(x), small(moved[2]))[0] < 0.0015
    assert small(x)[0, 0].tolist() == [[255, 253], [255, 255]]
    assert small(moved[0])[0, 0].tolist() == [[0, 255], [0, 255]]
    assert (small(moved[3]) == 0).sum() == 1
    assert all((large(m) == 255).all() for m in (x, *moved))


@pytest.mark.parametrize("window", [2, 4])
def test_the_share_of_shifts_that_go_unnoticed(window):
    shift, change = names("shift", "change")
    pool = Pooling(window, window, window).forward
    pixels = np.eye(64).reshape(8, 8, 1, 8, 8)[:, :4].reshape(-1, 1, 8, 8)  # room for 4 steps
    for s in range(window + 1):
        unnoticed = (change(pool(pixels), pool(shift(pixels, s))) == 0).mean()
        assert unnoticed == 1 - s / window


@pytest.mark.parametrize("right, down", [(1, 0), (-2, 1), (0, -3)])
def test_a_shift_by_the_stride_only_shifts_the_map(right, down):
    shift, digits = names("shift", "digits")
    pool = Pooling(2, 2, 2).forward
    assert np.array_equal(
        pool(shift(digits, 2 * right, 2 * down)), shift(pool(digits), right, down)
    )


def test_shift_moves_every_pixel():
    (shift,) = names("shift")
    x = np.arange(1, 13).reshape(3, 4)
    assert shift(x, right=1).tolist() == [[0, 1, 2, 3], [0, 5, 6, 7], [0, 9, 10, 11]]
    assert shift(x, -1, -1).tolist() == [[6, 7, 8, 0], [10, 11, 12, 0], [0, 0, 0, 0]]
    assert not shift(x, down=7).any() and shift(x).tolist() == x.tolist()


def test_what_is_said_of_all_digits():
    measured, digits, average_2 = names("measured", "digits", "average_2")
    changes, change, shift = names("changes", "change", "shift")
    assert len(digits) == 360
    without, skipped = measured["no pooling"], measured["every second pixel"]
    small, large, mean = measured["max 2 x 2"], measured["max 4 x 4"], changes(average_2)
    once = [change(digits, shift(digits, *way)) for way in WAYS]
    assert np.allclose(without[:, 0], np.mean(once, axis=0))
    for each in (small, large):  # for each digit
        assert (each < without).all()
    share = {name: np.median(m, 0) / np.median(without, 0) for name, m in measured.items()}
    assert 0.75 < share["max 2 x 2"][0] < 0.85 and share["max 4 x 4"][0] < 0.65
    assert (np.diff(share["max 2 x 2"]) > 0).all()
    assert np.allclose(share["every second pixel"], 1, atol=0.03)
    assert (skipped < without).all(axis=1).mean() < 0.5
    assert (np.median(small, 0) < np.median(mean, 0)).all()
    assert all((np.diff(np.median(each, 0)) > 0).all() for each in measured.values())
    once, twice = Pooling(4, 4, 4).forward, Pooling(2, 2, 2).forward
    assert np.array_equal(twice(twice(digits)), once(digits))


# ---- max against average, what is used today, the way back


@pytest.mark.parametrize("window", [2, 3, 4])
def test_max_keeps_a_find_and_the_average_divides_it(window):
    found, flat = (batch(m) for m in names("two_maps")[0].values())
    most, mean = (Pooling(window, window, window, mode=m).forward for m in ("max", "average"))
    assert most(found).max() == 1 and np.isclose(mean(found).max(), 1 / window**2)
    assert most(found).sum() == found.sum() == 6  # each find is still there, once
    assert 0 < most(flat).max() - mean(flat).max() < 0.1


def test_the_table_of_ways_to_shrink(capsys):
    run("7.3")
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    ends = {line[0]: line[-2:] for line in printed if line[-2:-1] and line[-1][-1:].isdigit()}
    assert ends["conv"] == [f"{30 * (9 * 30 + 1):,}", f"{30 * 12 * 12 * 10:,}"]
    assert ends["global"] == ["0", f"{30 * 10}"]


@pytest.mark.parametrize("mode, filled", [("max", (4, 3)), ("average", (16, 16))])
def test_the_gradient_is_neither_lost_nor_invented(mode, filled):
    x4, gradients, sizes = names("x4", "gradients", "sizes")
    for (window, stride), count in zip(sizes.values(), filled, strict=True):
        pool = Pooling(window, window, stride, mode=mode)
        pool.forward(batch(x4))
        dx = pool.backward(batch(gradients))
        assert np.isclose(dx.sum(), 100) and np.count_nonzero(dx) == count
    if mode == "max":
        assert x4[1, 3] == 7 and dx[0, 0, 1, 3] == 60


@pytest.mark.parametrize("mode", ["max", "average"])
def test_the_rules_of_the_way_back_are_the_derivative(mode):
    rng = np.random.default_rng(0)
    x = rng.permutation(2 * 3 * 7 * 7).reshape(2, 3, 7, 7) / 10  # no ties
    pool = Pooling(3, 3, stride=2, pad=1, mode=mode)  # windows overlap
    dout = rng.standard_normal(pool.forward(x).shape)
    dx = pool.backward(dout)
    assert check_gradient(lambda _: (pool.forward(x) * dout).sum(), x, dx, mode).ok


# ---- the reader's changes

CHANGES = {
    "another first example": {"idea_explorer": ("[3, 1, 0, 2]", "[-9, 1, 9.5, 2]")},
    "one number of the table": {"table": ("10, 12, 11", "10, -40, 11")},
    "a table of nine rows": {"table": ("[10, 12", "*[[1, 2, 3, 4, 5, 6]] * 3,\n        [10, 12")},
    "other strides": {
        "idea_explorer": ("stride=2", "stride=1"),
        "table_explorer": ("stride=3", "stride=2"),
        "overlap_explorer": ("stride=2", "stride=4"),
    },
    "a larger map": {"overlap_explorer": ("(7, 7)", "(10, 9)")},
    "a larger first example": {
        "idea_explorer": ("x4 = np.array(", "x4 = np.arange(36).reshape(6, 6)  # ")
    },
    "other padding": {"padding_check": ("Pooling(2, 2", "Pooling(3, 3")},
    "two channels": {
        "channels_explorer": ("(3, ", "(2, "),
        "channels_check": ("(10, 30, 24, 24)", "(4, 2, 9, 8)"),
    },
    "another stroke": {"one_explorer": ("[0, 255, 252, 0]", "[9, 0, 0, 255]")},
    "further": {"stride_check": ("right=2", "right=3"), "digit_explorer": ("(-3, 3", "(-9, 9")},
    "fewer digits": {"setup": ("= load_digits28()", "= 0, [a[:90] for a in load_digits28()[1]]")},
    "other windows": {
        "many_picture": ("(2, 4)", "(3, 7)"),
        "compare_explorer": ("4, 1, 2", "9, 1, 5"),
    },
    "further moves": {"many_measure": ("furthest = 4", "furthest = 9")},
    "other maps": {"today_code": ("(30, 24, 24)", "(16, 32, 20)")},
    "other gradients": {"backward_explorer": ("[10, 20]", "[-1, 0.5]")},
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_reader_may_change_any_number(change):
    edits = [(cell.replace("_", "-"), *edit) for cell, edit in CHANGES[change].items()]
    _, values = run("7.3", *edits)
    shown = {name for name, v in values.items() if isinstance(v, Explorer | WindowExplorer)}
    assert len(shown) == 8
    told = {name: values[name].message for name in shown if values[name].message}
    if change != "a larger first example":  # whose four gradients no longer fit
        assert not told
    else:
        assert list(told) == ["backward-explorer"] and "dout of shape" in told["backward-explorer"]
