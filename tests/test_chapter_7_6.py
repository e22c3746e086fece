"""Chapter 7.6: what its prose says is so, and a reader may change its numbers."""

import numpy as np
import pytest

from cnnlib.figures import seeing
from cnnlib.naive import convolve
from cnnlib.networks import PhotoConvNet, filter_history, load_trained
from cnnlib.visualize import feature_maps, gradient_of, occlusion_map, patch_of, receptive_fields
from cnnlib.widgets import Explorer, ask

from .chapters import run
from .explorers import (  # noqa: F401
    test_every_cell_can_be_run_again,
    test_every_explorer_over_its_values,
)
from .test_photographs import test_images, train_weights  # noqa: F401

CHAPTER = "7.6"


def test_filters_become_smooth_early_then_sharp_and_always_stronger():
    steps, history = filter_history()
    alike = np.array([seeing.alikeness(one).mean() for one in history])
    peak = alike.argmax()
    assert steps[peak] <= 100 and alike[0] < 0.1 and alike[peak] > alike[-1] + 0.2
    assert (history[peak].sum(axis=(1, 2, 3)) > 0).sum() > 20  # red: there is ink
    strength = history.reshape(len(history), -1).std(axis=1)
    assert (np.diff(strength) > 0).all() and strength[-1] > 10 * strength[0]
    assert np.array_equal(history[-1], load_trained("simple").params["W1"])


@pytest.mark.parametrize("seed", [0, 1])
def test_shuffled_pixels_give_no_pattern_and_are_read_as_well(space, seed):
    order = np.random.default_rng(seed).permutation(784)
    (plain, read), (shuffled, read_shuffled) = (
        space["train_on"](pixels, seed) for pixels in (np.arange(784), order)
    )
    assert seeing.alikeness(plain).mean() > 0.6 and seeing.alikeness(shuffled).mean() < 0.2
    assert read > 0.88 and read_shuffled > 0.9
    assert ask("7.6", "shuffled pixels").answer == "reads as well, with filters like noise"


def test_edges_and_blobs_are_found_and_hardly_in_noise(space):
    patterns, measure = space["patterns"], space["in_units_of_chance"]
    kind = [measure(filters, patterns) for filters in (space["before"], space["W"])]
    noise, found = ((one.max(axis=1) > 1).sum() for one in kind)
    assert noise <= 2 and found >= 10
    best = kind[1].argmax(axis=1)[kind[1].max(axis=1) > 1]
    assert (np.bincount(best, minlength=3) >= 3).all()


def test_likeness_is_a_correlation(space):
    rng = np.random.default_rng(0)
    W, windows = rng.normal(size=(4, 5, 5)), rng.normal(size=(3, 5, 5))
    every = np.corrcoef(W.reshape(4, -1), windows.reshape(3, -1))[:4, 4:]
    assert np.allclose(space["largest"](W, {"some": windows})[:, 0], abs(every).max(axis=1))


def test_both_counts_depend_on_the_definition(space):
    edges, spots = np.array(space["by_edge"]), np.array(space["by_spot"])
    assert edges.shape == (5, 2) and spots.shape == (6, 2)
    assert edges[:4].min() >= 5 and edges[4, 1] == 0  # only the small edge is like no filter
    named = dict(zip(space["spots"], spots, strict=True))
    assert not named["1 pixel"].any() and not named["disc"].any() and named["soft"][0] > 5
    assert spots[:, 1].max() <= 1


def test_a_flat_area_gives_its_brightness_times_the_sum_of_the_weights(space):
    W = space["W"].astype(float)
    sums = W.sum(axis=(1, 2, 3))
    out = convolve(np.full((1, 1, 9, 9), 0.6), W)
    assert np.allclose(out, 0.6 * sums[:, np.newaxis, np.newaxis])
    assert (abs(sums) > 0.1).sum() > len(W) / 2


def test_fields_of_both_networks_and_of_alexnet(space):
    sizes = [one.size for one in space["by_layer"]]
    assert sizes == [3, 5, 6, 10, 14, 16, 24, 32, 36]
    assert [space["sizes"][k] for k in (0, 4, 6)] == [11, 99, 163]
    fields = {one.name: one.size for one in receptive_fields(space["photo_net"])}
    assert [fields[f"Conv{k}"] for k in (1, 2, 3, 4)] == [7, 12, 22, 30]


def test_nothing_outside_of_a_field_reaches_the_unit(space):
    deep, digit, rng = space["deep"], space["x_test"][:1], np.random.default_rng(0)
    before = feature_maps(deep, digit)
    for field in space["by_layer"]:
        unit = (0, *(n // 2 for n in before[field.name].shape[2:]))
        rows, columns = patch_of(deep, field.name, unit)
        other = rng.random(digit.shape).astype(np.float32)
        other[:, :, rows, columns] = digit[:, :, rows, columns]
        same = feature_maps(deep, other)[field.name][0][unit]
        assert np.isclose(same, before[field.name][0][unit], rtol=1e-4, atol=1e-5), field.name


def test_the_middle_of_a_field_counts_most(space):
    for field in space["by_layer"][3:8]:  # Conv3 to Conv6
        n = feature_maps(space["deep"], space["x_test"][:1])[field.name].shape[-1]
        unit = (0, n // 2, n // 2)
        seen = patch_of(space["deep"], field.name, unit)
        effect = np.sort(space["effect_of"](field.name, unit)[seen].ravel())[::-1].cumsum()
        assert (effect < effect[-1] / 2).mean() < 0.27, field.name


def test_each_drawing_is_seen_as_its_class(space):
    drawings = np.array(space["drawn"]("Affine1", True))
    found = space["photo_net"].probabilities(drawings)
    assert (found.argmax(axis=1) == np.arange(10)).all() and found.max(axis=1).min() > 0.95
    patches = space["drawn"]("Conv2", True)
    assert {one.shape for one in patches} == {(3, 12, 12)}


def test_a_person_is_called_a_truck_and_the_face_something_else(space):
    def said(size, down):
        scores = space["photo_net"].probabilities(space["reduced"](size, down, 2))[0]
        return space["classes"][scores.argmax()], scores.max()

    name, share = said(512, 0)
    assert name == "truck" and share > 0.9
    assert ask("7.6", "a person").answer == "one class has nearly all"
    assert [said(*one)[0] for one in ((352, 1), (256, 0), (256, 1))] == [
        "dog",
        "deer",
        "automobile",
    ]


def test_patches_are_faded_where_the_gradient_is_nothing(space):
    deep, pool = space["deep"], space["pool"]
    first = space["shaded"](deep, "Conv4")[0]
    found = space["visualize"].top_patches(deep, "Conv4", 0, pool, k=1)
    unit, number = (0, *found.positions[0]), found.images[:1]
    seen = patch_of(deep, "Conv4", unit)
    slope = abs(gradient_of(deep, pool[number], "Conv4", unit))[0, 0][seen]
    weight = np.sqrt(slope / slope.max())
    assert np.allclose(first, (1 - weight) * 0.2 + weight * pool[number[0], 0][seen], atol=1e-5)


def test_training_and_not_depth_tells_the_classes_apart(space):
    for measured, rise in ((space["by_class"], 0.5), (space["measured"], 0.5)):
        trained, untrained = np.array(measured["trained"]), np.array(measured["untrained"])
        assert trained[-1] > trained[0] + rise and untrained.shape[0] == 5
        assert trained[-1] > untrained[:, -1].max() + 0.3
    digits, photos = (np.array(space[name]["untrained"]) for name in ("by_class", "measured"))
    assert (np.diff(space["by_class"]["trained"]) > 0).all()
    assert (digits[:, -1] > digits[:, 0] + 0.03).all() and (photos[:, -1] < photos[:, 0]).all()
    assert ask("7.6", "rise with depth").answer == "it rises, but less"


def test_the_share_explained_is_that_of_an_analysis_of_variance(space):
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    t = np.arange(200) % 10
    values = rng.normal(size=(200, 1)) + 0.3 * t[:, np.newaxis]
    F = stats.f_oneway(*(values[t == k, 0] for k in range(10))).statistic
    assert space["explained"](values, t) == pytest.approx(F * 9 / (F * 9 + 190))


def test_place_by_place_the_maps_tell_less(space):
    maps = feature_maps(space["deep"], space["x_test"])
    share = [
        space["explained"](maps[name].reshape(360, -1), space["t_test"])
        for name in space["after_layers"]
    ]
    assert all(0.2 < one < 0.4 for one in share[:6]) and min(share[6:]) > 0.7


def test_stored_shares_are_those_of_cifar10(space, test_images):  # noqa: F811
    x, t = (some[::5] for some in test_images)
    names = [f"Relu{k}" for k in range(1, 5)] + ["Affine1"]
    for net, stored in (
        (space["photo_net"], space["measured"]["trained"]),
        (PhotoConvNet(rng=0), space["measured"]["untrained"][0]),
    ):
        assert np.allclose(space["by_depth"](net, x, t, names), stored, atol=0.02)


def test_what_a_cover_does(space):
    deep, example, sure = space["deep"], space["example"], space["sure"]
    for label, number in enumerate(example):
        one = space["x_test"][number]
        assert occlusion_map(deep, one, label, 14, 2).max() > 0.5  # no size is fatal everywhere
        assert one[0, :3, :3].max() == 0 and np.isclose(
            occlusion_map(deep, one, label, 3, 2)[0, 0], sure[label], atol=1e-4
        )
    for stride in (1, 2, 3):
        falls = {
            label: occlusion_map(deep, space["x_test"][example[label]], label, 5, stride) < 0.5
            for label in (4, 7, 9)
        }
        share = {label: fall.mean() for label, fall in falls.items()}
        assert max(share[4], share[7]) < 0.08 and share[9] > 0.18
        middle = np.argwhere(falls[7])[:, 0] * stride + 2
        assert set(middle) & {5, 6} and not set(middle) & set(range(7, 15))  # upper stroke, foot
        middle = np.argwhere(falls[9])[:, 0] * stride + 2
        assert (middle < 17).mean() > 0.9  # the loop; not the tail


def test_both_networks_rely_on_the_place_the_simple_one_more(space):
    def read(net, k):
        turns = [(k, k), (k, -k), (-k, k), (-k, -k)]
        x, t = space["x_test"], space["t_test"]
        return np.mean([net.accuracy(np.roll(x, turn, (2, 3)), t) for turn in turns])

    simple, deep = (
        [read(net, k) for k in (0, 1, 4)] for net in (load_trained("simple"), space["deep"])
    )
    for one, lost in ((simple, 0.25), (deep, 0.1)):
        assert abs(one[1] - one[0]) < 0.03 and one[2] < one[0] - lost
    assert deep[2] > simple[2] + 0.15


QUICK = [("here-train", "native=(3,", "native=(1,"), ("prefer-made", "native=60", "native=2")]
QUICK += [("class-digits", "range(5)", "range(2)"), ("shift", "range(5)", "range(2)")]
EDITS = {
    "slanted edges and a stroke": [
        ("patterns-made", '"blob": spot}',
         '"blob": spot, "slanted edge": np.tri(5)[np.newaxis], "stroke": np.eye(5)[np.newaxis]}'),
    ],
    "no blur, no jitter": [("prefer-made", "STEPS)", "STEPS, blur=0, jitter=0)")],
    "a photograph of another size": [
        ("person-made", "photo = portrait", "photo = portrait[:300, :451]"),
    ],
    "another digit, a soft spot, another seed": [
        ("patterns-made", "np.ones((1, 3, 3))", "np.arange(9.0).reshape(1, 3, 3)"),
        ("here-train", "seed=0", "seed=3"),
        ("field-made", "x_test[:20]", "x_test[30:35]"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("edits", EDITS.values(), ids=EDITS)
def test_a_reader_may_change_the_numbers(edits):
    _, values = run("7.6", *QUICK, *edits)
    moving = [value for value in values.values() if isinstance(value, Explorer)]
    assert len(moving) == 7 and not [one.message for one in moving if one.message]
