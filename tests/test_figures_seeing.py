"""Figures of section 7.6: they say what the filters and the network say, and fit their cards."""

import numpy as np
import pytest

from cnnlib import load_digits28
from cnnlib.figures import seeing, style
from cnnlib.naive import convolve
from cnnlib.networks import filter_history, load_trained
from cnnlib.visualize import Field, feature_maps, occlusion_map, patch_of, receptive_fields

from .test_figures import check, check_layout, texts

RNG = np.random.default_rng(0)
STEPS, HISTORY = filter_history()
W = HISTORY[-1]
_, (X, T) = load_digits28()
NAMES = ["vertical edge", "horizontal edge", "blob"]


@pytest.fixture(scope="module")
def deep():
    return load_trained("deep")


def title(figure):
    return texts(figure)[0].get_text()


def drawn(figure):
    """All pictures on the canvas, in order; not the color bars."""
    return [one for one in figure.axes[0].images if one.get_gid() != "bar"]


def images(figure):
    return [np.asarray(one.get_array()) for one in drawn(figure)]


def limits(figure):
    return [one.get_clim() for one in drawn(figure)]


def test_scales_show_the_same_weights_three_times_and_reverse_the_grey():
    figure = seeing.scales(W[0, 0])
    check(figure)
    check_layout(figure)
    assert len(images(figure)) == 3
    for one in images(figure):
        np.testing.assert_allclose(one, W[0, 0], rtol=1e-6)
    low, high, zero = (one.get_cmap() for one in drawn(figure))
    assert low(0.0)[:3] == high(1.0)[:3] == (1, 1, 1)
    assert np.allclose(zero(0.5)[:3], 0.97, atol=0.02)
    assert limits(figure)[2][0] == -limits(figure)[2][1]
    lowest = next(text for text in figure.axes[0].texts if text.get_gid() == "bar")
    assert lowest.get_text() == f"−{-W[0, 0].min():.2f}"


def test_before_and_after_has_one_scale_a_side_centred_at_zero():
    figure = seeing.before_and_after(HISTORY[0], W)
    check(figure)
    check_layout(figure)
    assert len(images(figure)) == 60 and len(set(limits(figure))) == 2
    assert all(low == -high for low, high in limits(figure))
    assert limits(figure)[-1][1] == pytest.approx(np.quantile(abs(W), 0.98))  # few are beyond it
    assert f"{W.std() / HISTORY[0].std():.3g} times" in title(figure)


def test_filters_of_color_are_gray_where_their_weights_are_0():
    before, after = RNG.standard_normal((2, 32, 3, 7, 7))
    after[0, :, 3, 3] = 0
    figure = seeing.before_and_after(before, after, ("a", "b"), "Colors")
    check(figure)
    check_layout(figure)
    shown = images(figure)
    assert len(shown) == 64 and np.allclose(shown[32][3, 3], 0.5)
    one, image = after[5], shown[37]
    assert image.shape == (7, 7, 3) and image.min() >= 0 and image.max() <= 1
    assert np.allclose((image - 0.5) * 2 * abs(one).max(), one.transpose(1, 2, 0))
    assert title(figure) == "Colors" and len(figure.axes) == 1


def test_alikeness_against_loops():
    some = RNG.standard_normal((4, 3, 5))
    for w, found in zip(some, seeing.alikeness(some), strict=True):
        pairs = [w[i, j] * w[i, j + 1] for i in range(3) for j in range(4)]
        pairs += [w[i, j] * w[i + 1, j] for i in range(2) for j in range(5)]
        assert found == pytest.approx(np.mean(pairs) / np.mean(w**2))
    assert seeing.alikeness(np.full((1, 5, 5), -3.0)) == pytest.approx(1)
    assert abs(seeing.alikeness(RNG.standard_normal((4000, 5, 5))).mean()) < 0.01


@pytest.mark.parametrize("moment", range(len(STEPS)))
def test_growing_at_every_moment(moment):
    figure = seeing.growing(STEPS, HISTORY, moment)
    check(figure)
    check_layout(figure)
    assert title(figure).startswith(f"After {STEPS[moment]:,} steps")
    np.testing.assert_allclose(images(figure), HISTORY[moment][:, 0], rtol=1e-6)
    assert set(limits(figure)) == set(limits(seeing.growing(STEPS, HISTORY, 3)))
    (dots,) = [[line.get_ydata() for line in ax.lines if line.get_marker() == "o"]
               for ax in figure.axes if len(ax.lines) == 2][:1]  # fmt: skip
    assert np.allclose(dots, HISTORY[moment].std())


def test_kinds_puts_each_filter_into_its_line_with_its_answers_as_bars():
    answers = RNG.uniform(0, 1.6, (30, 3))
    figure = seeing.kinds(W, answers, NAMES, "Kinds")
    check(figure)
    check_layout(figure)
    for k, name in enumerate(NAMES):
        count = sum(a.argmax() == k and a.max() > 1 for a in answers)
        assert f"{name}: {count}" in figure.alt
    bars = {p.get_gid(): -p.get_height() for p in figure.axes[0].patches if p.get_gid()}
    assert len(bars) == 90
    unit = bars["answer[0,0]"] / answers[0, 0]
    for n, j in np.ndindex(answers.shape):
        assert bars[f"answer[{n},{j}]"] == pytest.approx(unit * answers[n, j])


@pytest.mark.parametrize("scale", [0.0, 0.5, 9.0])
def test_kinds_where_none_or_all_answer_to_one(scale):
    figure = seeing.kinds(W, np.full((30, 3), scale), NAMES, "Kinds")
    check(figure)
    check_layout(figure)


@pytest.mark.parametrize("number", range(30))
def test_on_photograph_draws_what_the_loops_compute(number):
    photo = RNG.random((24, 20))
    figure = seeing.on_photograph(photo, W[number, 0], number)
    check(figure)
    out = convolve(photo[np.newaxis, np.newaxis], W[number : number + 1].astype(float))[0, 0]
    np.testing.assert_allclose(images(figure)[2], out, atol=1e-9)
    low, high = limits(figure)[2]
    assert low == -high == pytest.approx(-abs(out).max())


def test_on_photograph_of_the_real_size_fits():
    figure = seeing.on_photograph(RNG.random((150, 128)), W[1, 0], 1)
    check(figure)
    check_layout(figure)


def layers_of(network):
    return [f for f in receptive_fields(network) if not f.name.startswith(("Relu", "Dropout"))]


def test_receptive_field_frames_the_pixels_that_the_unit_sees(deep):
    maps, sizes, effect = feature_maps(deep, X[:1]), set(), RNG.random((28, 28))
    for field in layers_of(deep):
        values = maps[field.name][0]
        values = values[0] if values.ndim == 3 else values[:1, np.newaxis]
        rows, columns = values.shape
        for place in {(0, 0), (rows // 2, columns // 2), (rows - 1, columns - 1)}:
            unit = 0 if values.size == 1 else (0, *place)
            seen = patch_of(deep, field.name, unit)
            figure = seeing.receptive_field(X[0, 0], values, field, place, seen, effect, "r")
            check(figure)
            check_layout(figure)
            sizes.add(style.size(figure))
            np.testing.assert_array_equal(images(figure)[1], effect[seen])
            few = int(figure.alt.split("comes from ")[1].split()[0])
            most = np.sort(effect[seen].ravel())[::-1]
            assert most[: few - 1].sum() < most.sum() / 2 <= most[:few].sum()
            cell = seeing.SIDE / 28
            heights = [p.get_height() / cell for p in figure.axes[0].patches]
            assert any(np.isclose(h, seen[0].stop - seen[0].start) for h in heights)
    assert len(sizes) == 1  # the page never moves


@pytest.mark.parametrize(("r", "k", "n"), [(3, 3, 10), (14, 1, 4), (28, 2, 1), (32, 1, 8)])
def test_preferences_show_all_images(r, k, n):
    rows = {f"line {i}": list(RNG.random((n, r, r))) for i in range(k)}
    figure = seeing.preferences(rows, [f"unit {j}" for j in range(n)], "Preferred")
    check(figure)
    check_layout(figure)
    assert len(images(figure)) == n * k
    np.testing.assert_array_equal(images(figure)[n * k - 1], rows[f"line {k - 1}"][-1])


def test_preferences_in_color_and_of_different_sizes():
    rows = {"trained": list(RNG.random((2, 3, 9, 9))), "found": list(RNG.random((2, 4, 6)))}
    figure = seeing.preferences(rows, ["airplane", "automobile"], "Preferred")
    check(figure)
    check_layout(figure)
    np.testing.assert_array_equal(images(figure)[1], rows["trained"][1].transpose(1, 2, 0))
    sides = [(e[1] - e[0], e[2] - e[3]) for e in (i.get_extent() for i in drawn(figure))]
    assert sides[2][0] == pytest.approx(1.5 * sides[2][1]) and sides[0][0] == sides[2][0]


@pytest.mark.parametrize("size", [2, 5, 9, 14])
def test_occlusion_marks_the_worst_place(deep, size):
    found = occlusion_map(deep, X[0], int(T[0]), size, stride=2)
    figure = seeing.occlusion(X[0, 0], found, int(T[0]), size, 2, 0.99)
    check(figure)
    check_layout(figure)
    np.testing.assert_allclose(images(figure)[-1], found)
    lost = (found < 0.5).sum()
    assert (f"at {lost} of {found.size} places" in title(figure)) == bool(lost)
    row, column = np.unravel_index(found.argmin(), found.shape)
    (cover,) = [p for p in figure.axes[0].patches if p.get_facecolor() == (1, 1, 1, 1)]
    second = drawn(figure)[1].get_extent()
    cell = (second[1] - second[0]) / 28
    corner = (cover.get_x() - second[0]) / cell, (cover.get_y() - second[3]) / cell
    assert corner == pytest.approx((2 * column, 2 * row))
    assert cover.get_width() / cell == pytest.approx(size)


FIELD = Field("Conv1", 3, 1, 0)


@pytest.mark.parametrize(
    ("function", "arguments", "sentence"),
    [
        (seeing.scales, (W,), "2-D"),
        (seeing.before_and_after, (W, W[:3]), "differ in shape"),
        (seeing.before_and_after, (W[0, 0], W[0, 0]), "expected"),
        (seeing.growing, (STEPS, HISTORY, 30), "0..29, got 30"),
        (seeing.growing, (STEPS, HISTORY, -1), "0..29, got -1"),
        (seeing.growing, (STEPS[:4], HISTORY, 0), "4 steps"),
        (seeing.kinds, (W, np.zeros((30, 2)), NAMES, "t"), r"\(30, 3\), got \(30, 2\)"),
        (seeing.receptive_field, (X, X, FIELD, (0, 0), None, X, ""), "2-D"),
        (seeing.preferences, ({}, ["unit 0"], "t"), "an image for each of 1 names"),
        (seeing.preferences, ({"a": X[0], "b": []}, ["unit 0"], "t"), r"got \[1, 0\]"),
        (seeing.occlusion, (X, X, 1, 3, 1, 1.0), "2-D"),
    ],
)
def test_what_cannot_be_drawn_is_said(function, arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        function(*arguments)
