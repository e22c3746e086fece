"""Looking into a network: each answer against brute force, differences or a plain loop."""

import numpy as np
import pytest

from cnnlib import (
    AlexNet,
    GroupedConvolution,
    LeNet,
    LeNet5,
    Pooling,
    Relu,
    SimpleConvNet,
    check_gradient,
)
from cnnlib.networks import DeepConvNet, Stack
from cnnlib.visualize import (
    activation_maximisation,
    feature_maps,
    gradient_of,
    occlusion_map,
    patch_of,
    receptive_fields,
    top_patches,
)


class Odd(Stack):
    """Strides, padding, overlapping and padded pooling: what makes receptive fields hard."""

    def __init__(self, input_dim=(2, 21, 17), rng=0):
        super().__init__(input_dim, np.float64, rng)
        self.weight_init_std, self.gain = None, 2.0
        self.add_convolution("Conv1", 4, 3, stride=2, pad=2)
        self.add("Relu1", Relu())
        self.add("Pool1", Pooling(3, 3, stride=1, pad=1))
        self.add("Conv2", GroupedConvolution(self._weights((4, 2, 2, 2), 8), 0, pad=1, groups=2))
        self.add("Pool2", Pooling(2, 3, stride=2, mode="average"))
        self.add_affine("Affine1", 5)


def deep(**keywords):
    keywords = {"filter_nums": (2, 2, 3, 3, 4, 4), "hidden_size": 6, "rng": 0} | keywords
    return DeepConvNet((1, 24, 24), 5, **keywords)


@pytest.fixture
def x(rng):
    return rng.random((4, 1, 24, 24))


@pytest.mark.parametrize(
    "net",
    [Odd(), deep(dtype=np.float64), LeNet5(dtype=np.float64, rng=0)],
    ids=["odd", "deep", "lenet5"],
)
def test_patch_is_exactly_the_pixels_that_change_the_unit(net):
    """With positive weights nothing cancels: a pixel that is seen and brightens is noticed."""
    rng = np.random.default_rng(1)
    fan_in = {1: lambda W: 4, 2: len, 3: lambda W: 100, 4: lambda W: W[0].size}
    for name, p in net.params.items():
        p[...] = 0
        if name.startswith("W"):  # a unit is about the mean of what it sees: no tanh saturates
            p[...] = (rng.random(p.shape) + 0.1) / fan_in[p.ndim](p)
    C, H, W = net.input_dim
    dark = np.full((1, C, H, W), 0.01)
    base = feature_maps(net, dark)
    lit = np.repeat(dark, H * W, axis=0)
    for k, (row, column) in enumerate(np.ndindex(H, W)):
        lit[k, :, row, column] += 1
    changed = {
        name: np.abs(out - base[name]) > 1e-10 * np.abs(base[name])  # less is rounding
        for name, out in feature_maps(net, lit).items()
    }
    for name, out in base.items():
        shape = out.shape[1:]
        middle = tuple(n // 2 for n in shape)
        corners = [(0,) * len(shape), tuple(n - 1 for n in shape), middle]
        for index, unit in [*zip(corners, corners, strict=True), ((0, *middle[1:]), 0)]:
            seen = changed[name][:, *index].reshape(H, W)
            expected = np.zeros((H, W), bool)
            expected[patch_of(net, name, unit)] = True
            np.testing.assert_array_equal(seen, expected, err_msg=f"{name} {unit}")


def test_receptive_fields_by_the_closed_formula():
    windows = [(3, 1), (3, 1), (2, 2), (3, 1), (3, 1), (2, 2), (3, 1, 1), (3, 1, 1), (2, 2)]
    fields = receptive_fields(windows)
    for n, field in enumerate(fields, start=1):
        strides = np.cumprod([1] + [window[1] for window in windows])
        assert field.size == 1 + sum((windows[i][0] - 1) * strides[i] for i in range(n))
        assert field.jump == strides[n]
    found = {field.name: field for field in receptive_fields(DeepConvNet(rng=0))}
    named = ("Conv1", "Conv2", "Pool1", "Conv3", "Conv4", "Pool2", "Conv5", "Conv6", "Pool3")
    assert [found[name][1:] for name in named] == [field[1:] for field in fields]
    assert [found[name].size for name in named] == [3, 5, 6, 10, 14, 16, 24, 32, 36]
    assert found["Conv6"].start == -8 and found["Relu6"] == ("Relu6", *found["Conv6"][1:])
    alexnet = {field.name: field.size for field in receptive_fields(AlexNet.small(rng=0))}
    assert alexnet["Conv1"] == 5 and alexnet["Pool1"] == 7


def test_feature_maps_are_what_predict_goes_through(x):
    net = deep()
    maps = feature_maps(net, x)
    assert list(maps) == list(net.layers)
    shape = {row.name: row.shape for row in net.table()}
    assert all(out.shape == (4, *shape[name]) for name, out in maps.items())
    np.testing.assert_array_equal(maps["Affine2"], net.predict(x))
    np.testing.assert_array_equal(maps["Relu1"], np.maximum(maps["Conv1"], 0))
    np.testing.assert_array_equal(maps["Dropout1"], maps["Relu7"] * 0.5)  # scaled, not dropped
    assert all(layer._saved is None for layer in net.layers.values())


@pytest.mark.parametrize(
    ("layer", "unit"),
    [("Conv1", 1), ("Conv4", (2, 0, 3)), ("Pool3", 3), ("Dropout1", 5), ("Affine2", 4)],
)
def test_gradient_of_a_unit_equals_differences(layer, unit, x):
    net, x = deep(activation="sigmoid", dtype=np.float64), x[:1]
    gradient = gradient_of(net, x, layer, unit)

    def activation(_):
        out = feature_maps(net, x)[layer][0]
        index = unit if isinstance(unit, tuple) else (unit, *(n // 2 for n in out.shape[1:]))
        return out[index]

    report = check_gradient(activation, x, gradient, samples=150)
    assert report.ok, report
    rows, columns = patch_of(net, layer, unit)
    outside = np.ones((24, 24), bool)
    outside[rows, columns] = False
    assert gradient.any() and not gradient[0, 0, outside].any()


def test_each_image_can_have_its_own_unit(x):
    net, units = deep(), [0, 2, (1, 2, 2), 2]
    together = gradient_of(net, x, "Conv3", units)
    for k, unit in enumerate(units):
        alone = gradient_of(net, x[k : k + 1], "Conv3", unit)
        np.testing.assert_allclose(together[k], alone[0], rtol=1e-5, atol=1e-7)


def test_activation_maximisation_excites_every_unit_and_repeats(rng):
    net = deep()
    before = {name: p.copy() for name, p in net.params.items()}
    found = activation_maximisation(net, "Conv4", [0, 1, 2], steps=40, rng=3)
    assert found.images.shape == (3, 1, 24, 24) and found.activations.shape == (41, 3)
    assert found.images.min() >= 0 and found.images.max() <= 1 and found.images.dtype == np.float32
    assert (found.activations[-1] > found.activations[0]).all()
    free = activation_maximisation(net, "Conv4", [0, 1, 2], 40, jitter=0, decay=0, blur=0)
    noise = feature_maps(net, rng.random((300, 1, 24, 24), dtype=np.float32))["Conv4"]
    assert (free.activations[-1] > 1.5 * noise[:, :, 3, 3].max(axis=0)).all()
    np.testing.assert_allclose(
        found.activations[-1],
        feature_maps(net, found.images)["Conv4"][range(3), range(3), 3, 3],
        rtol=1e-5,
    )
    again = activation_maximisation(net, "Conv4", [0, 1, 2], steps=40, rng=3)
    np.testing.assert_array_equal(again.images, found.images)
    assert all((p == before[name]).all() for name, p in net.params.items())
    one = activation_maximisation(net, "Affine2", 4, steps=0)
    assert one.images.shape == (1, 1, 24, 24) and one.activations.shape == (1, 1)


def roughness(images):
    """Mean square difference of neighbouring pixels, in parts of the variance."""
    return np.square(np.diff(images, axis=3)).mean() / images.var()


def test_blur_makes_the_preferred_image_smoother():
    net = deep()
    smooth, rough = (
        activation_maximisation(net, "Conv6", 0, 30, blur=blur, jitter=0).images
        for blur in (0.5, 0)
    )
    assert roughness(smooth) < 0.5 * roughness(rough)


@pytest.mark.parametrize("layer", ["Conv1", "Conv5", "Relu7"])
def test_top_patches_equal_a_search_by_hand(layer, rng):
    net, images = deep(), rng.random((23, 1, 24, 24), dtype=np.float32)
    out = feature_maps(net, images)[layer][:, 1].reshape(23, -1)
    found = top_patches(net, layer, 1, images, k=5, batch_size=7)
    order = np.argsort(-out.max(axis=1), kind="stable")[:5]
    np.testing.assert_array_equal(found.images, order)
    np.testing.assert_allclose(found.activations, out.max(axis=1)[order], rtol=1e-5)
    for patch, image, (p, q) in zip(found.patches, found.images, found.positions, strict=True):
        unit = 1 if layer == "Relu7" else (1, int(p), int(q))
        rows, columns = patch_of(net, layer, unit)
        seen = images[image, :, rows, columns]
        assert patch.sum() == pytest.approx(seen.sum(), rel=1e-5)
        if seen.shape == patch.shape:
            np.testing.assert_array_equal(patch, seen)


@pytest.mark.parametrize("layer", ["Conv2", "Relu7"])
def test_patches_of_several_maps_are_those_of_each_in_one_pass(layer, rng, monkeypatch):
    net, images = deep(), rng.random((23, 1, 24, 24), dtype=np.float32)
    each = [top_patches(net, layer, c, images, k=5) for c in (1, 0, 1)]
    passes, forward = [], net.layers["Conv1"].forward
    monkeypatch.setattr(
        net.layers["Conv1"], "forward", lambda x, **how: passes.append(len(x)) or forward(x, **how)
    )
    together = top_patches(net, layer, [1, 0, 1], images, k=5, batch_size=20)
    assert passes == [20, 3]
    for one, other in zip(together, each, strict=True):
        np.testing.assert_allclose(one.activations, other.activations, rtol=1e-5)
        for name in ("patches", "images", "positions"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_a_patch_over_the_border_stands_where_the_unit_sees_it():
    net = SimpleConvNet((1, 6, 6), {"filter_num": 1, "filter_size": 3, "pad": 1}, 4, 2, rng=0)
    net.params["W1"][...] = 0
    net.params["W1"][0, 0, 2, 2] = 1  # looks at the pixel below and to the right of its place
    images = np.full((1, 1, 6, 6), 0.5, np.float32)
    images[0, 0, 1, 1] = 1
    found = top_patches(net, "Conv1", 0, images, k=1)
    assert found.positions.tolist() == [[0, 0]] and found.activations.tolist() == [1]
    np.testing.assert_array_equal(found.patches[0, 0], [[0, 0, 0], [0, 0.5, 0.5], [0, 0.5, 1]])


def test_a_unit_that_sees_only_padding_has_an_empty_patch():
    net = LeNet((1, 12, 12), pad=10, rng=0)
    assert patch_of(net, "C1", (0, 0, 0)) == (slice(0, 0), slice(0, 0))
    assert patch_of(net, "C1", (0, 27, 27)) == (slice(12, 12), slice(12, 12))
    assert patch_of(net, "C1", (0, 0, 8)) == (slice(0, 0), slice(0, 3))
    net.params["W1"][...] = 0
    net.params["b1"][...] = 1  # all units alike: the first position is found
    found = top_patches(net, "C1", 0, np.ones((2, 1, 12, 12), np.float32), k=2)
    assert found.patches.shape == (2, 1, 5, 5) and not found.patches.any()


def test_patches_where_the_field_is_larger_than_the_image_along_one_axis_only(rng):
    net = SimpleConvNet((2, 30, 5), {"filter_num": 1, "filter_size": 5, "pad": 1}, 4, 2, rng=0)
    images = rng.random((3, 2, 30, 5), dtype=np.float32)
    found = top_patches(net, "Pool1", 0, images, k=3)  # sees 6 x 6
    assert found.patches.shape == (3, 2, 6, 5)
    for patch, image, (p, q) in zip(found.patches, found.images, found.positions, strict=True):
        rows, _ = patch_of(net, "Pool1", (0, int(p), int(q)))
        seen = images[image, :, rows]
        top = max(0, 1 - 2 * p)  # rows of padding above
        np.testing.assert_array_equal(patch[:, top : top + seen.shape[1]], seen)
        assert patch.sum() == pytest.approx(seen.sum(), rel=1e-5)


def test_occlusion_map_takes_lists_and_small_numbers_of_numpy(x):
    net, image = deep(dtype=np.float64), x[0]
    expected = occlusion_map(net, image, 3, 20, 3)
    found = occlusion_map(net, image.tolist(), np.uint8(3), np.uint8(20), np.uint8(3))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("size", "stride"), [(5, 1), (4, 3), (24, 1), (7, 5)])
def test_occlusion_map_equals_a_loop(size, stride, x):
    net, image = deep(dtype=np.float64), x[0]
    before = image.copy()
    found = occlusion_map(net, image, 3, size, stride, fill=0.2, batch_size=6)
    places = range(0, 24 - size + 1, stride)
    assert found.shape == (len(places), len(places))
    for i, row in enumerate(places):
        for j, column in enumerate(places):
            covered = image.copy()
            covered[:, row : row + size, column : column + size] = 0.2
            scores = np.exp(net.predict(covered[np.newaxis])[0])
            assert found[i, j] == pytest.approx(scores[3] / scores.sum(), rel=1e-6)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda net, x: feature_maps(net, x[:, :, 1:]), r"got x of shape \(4, 1, 23, 24\)"),
        (lambda net, x: feature_maps(net, np.array(1.0)), r"got x of shape \(\)"),
        (lambda net, x: feature_maps(net, x.tolist()), "got list"),
        (lambda net, x: feature_maps(net, x[:0]), "empty"),
        (lambda net, x: gradient_of(net, np.array(1.0), "Conv1", 0), r"got x of shape \(\)"),
        (lambda net, x: gradient_of(net, x.tolist(), "Conv1", 0), "got list"),
        (lambda net, x: gradient_of(net, x[:0], "Conv1", 0), "empty"),
        (lambda net, x: top_patches(net, "Conv1", 0, np.array(1.0)), r"got x of shape \(\)"),
        (lambda net, x: top_patches(net, "Conv1", 0, x.tolist(), 1), "got list"),
        (lambda net, x: occlusion_map(net, 1.0, 0), r"got x of shape \(1,\)"),
        (lambda net, x: receptive_fields([(0, 1)]), "size must be at least 1, got 0"),
        (lambda net, x: receptive_fields([(3, 0)]), "stride must be at least 1, got 0"),
        (lambda net, x: receptive_fields([(3, 1, -1)]), "pad must be at least 0, got -1"),
        (
            lambda net, x: receptive_fields([(3, 1, 1, 2)]),
            r"or \(size, stride, pad\), got \(3, 1, 1, 2",
        ),
        (lambda net, x: receptive_fields([(3,)]), r"or \(size, stride, pad\), got \(3,\)"),
        (lambda net, x: receptive_fields([3, 1]), r"or \(size, stride, pad\), got 3"),
        (lambda net, x: receptive_fields(net, axis=2), r"axis must be 0 .* got 2"),
        (lambda net, x: patch_of(net, "conv1", 0), "no layer 'conv1'; there are .*'Conv1'"),
        (lambda net, x: patch_of(net, "Conv1", 2), r"\(2, 22, 22\); there is no unit 2"),
        (lambda net, x: patch_of(net, "Conv1", (0, 22, 0)), r"no unit \(0, 22, 0\)"),
        (lambda net, x: patch_of(net, "Conv1", (0, 1)), r"no unit \(0, 1\)"),
        (lambda net, x: patch_of(net, "Conv1", -1), "unit must be at least 0, got -1"),
        (lambda net, x: patch_of(net, "Affine2", 5), r"\(5,\); there is no unit 5"),
        (lambda net, x: gradient_of(net, x, "Conv1", [0, 1]), "one for each image: 2 and 4"),
        (lambda net, x: activation_maximisation(net, "Conv1", []), "one for each image: 0"),
        (lambda net, x: activation_maximisation(net, "Conv1", 0, -1), "steps .* got -1"),
        (lambda net, x: activation_maximisation(net, "Conv1", 0, lr=0), "lr 0,"),
        (lambda net, x: activation_maximisation(net, "Conv1", 0, lr=np.nan), "lr nan,"),
        (lambda net, x: activation_maximisation(net, "Conv1", 0, lr=np.inf), "lr inf,"),
        (lambda net, x: activation_maximisation(net, "Conv1", 0, blur=np.nan), "blur nan,"),
        (lambda net, x: activation_maximisation(net, "Conv1", 0, high=np.inf), "high inf"),
        (lambda net, x: activation_maximisation(net, "Conv1", 0, decay=2), "decay 2,"),
        (lambda net, x: activation_maximisation(net, "Conv1", 0, low=1), "low 1, high 1"),
        (lambda net, x: top_patches(net, "Conv1", 0, x), r"1\.\.4 \(the images\), got 9"),
        (lambda net, x: top_patches(net, "Conv1", 7, x, 1), "no unit 7"),
        (lambda net, x: top_patches(net, "Conv1", [0, 7], x, 1), "no unit 7"),
        (lambda net, x: top_patches(net, "Conv1", [], x, 1), "at least one map"),
        (lambda net, x: occlusion_map(net, x[0], 5), r"0\.\.4, got 5"),
        (lambda net, x: occlusion_map(net, x, 0), r"\(1, 4, 1, 24, 24\)"),
        (lambda net, x: occlusion_map(net, x[0], 0, size=25), "size 25 does not fit"),
        (lambda net, x: occlusion_map(net, x[0], 0, stride=0), "stride .* got 0"),
    ],
)
def test_bad_input_is_refused_with_its_values(action, message, x):
    with pytest.raises(ValueError, match=message):
        action(deep(), x)
