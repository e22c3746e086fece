"""Figures of section 7.1: they say what the networks' layers say, and fit their cards."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from cnnlib import AlexNet, LeNet, SimpleConvNet, load_digits28
from cnnlib.figures import structure, style

from .test_figures import check, check_layout, texts

SOFTMAX = ("Softmax", (10,), 0)
FULL = [("input", (1, 28, 28), 0), ("Affine1", (100,), 78500), ("Relu1", (100,), 0)]
FULL += [("Affine2", (10,), 1010), SOFTMAX]
NETWORKS = {
    "simple": [*SimpleConvNet(rng=0).summary(), SOFTMAX],
    "lenet": LeNet(rng=0).summary(),
    "alexnet": AlexNet.small(rng=0).summary(),
    "affine": FULL,
    "one layer": [("input", (4,), None), ("Affine1", np.int64(2), 10)],
    "nothing to learn": [("input", (1, 4, 4), 0), ("Pool1", (1, 2, 2), 0)],
    "large": [
        ("input", (3, 224, 224), 0),
        *[("Conv1", (512, 224, 224), 2_359_808), ("Relu1", (512, 224, 224), 0)] * 9,
        ("Affine1", (4096,), 105_218_957_312),
    ],
}


def trace(net, x):
    """List what the input is and what each layer puts out, for one image."""
    steps = [("input", x[0])]
    for name, layer in net.layers.items():
        x = layer.forward(x, train_flg=False)
        steps.append((name, x[0]))
    return steps


def patches(figure, gid):
    return [patch for patch in figure.axes[0].patches if patch.get_gid() == gid]


def shown(figure):
    return [text.get_text() for text in texts(figure)]


@pytest.mark.parametrize("name", NETWORKS)
def test_a_chain_fits_its_card(name):
    figure = structure.chain(NETWORKS[name])
    check(figure)
    check_layout(figure)


def test_two_networks_fit_one_card():
    networks = {"fully connected": FULL, "SimpleConvNet": NETWORKS["simple"]}
    figure = structure.compare(networks, "Two networks")
    check(figure)
    check_layout(figure)
    assert {"fully connected", "79,510 parameters", "433,890 parameters"} < set(shown(figure))
    assert figure.alt.startswith("Two networks. fully connected: input (1, 28, 28), Affine1 (100,)")
    assert "Conv1 (30, 24, 24) with 780 parameters, Relu1 (30, 24, 24)" in figure.alt


def test_a_stage_begins_with_each_layer_that_has_weights():
    stages = [[name for name, *_ in stage] for stage in structure.stages(NETWORKS["simple"])]
    assert stages == [["Conv1", "Relu1", "Pool1"], ["Affine1", "Relu2"], ["Affine2", "Softmax"]]
    assert [len(stage) for stage in structure.stages(NETWORKS["lenet"])] == [3, 3, 2, 2, 1]
    assert len(structure.stages(NETWORKS["nothing to learn"])) == 1


@pytest.mark.parametrize("name", ["simple", "lenet", "alexnet", "affine"])
def test_a_chain_says_shapes_counts_and_shares(name):
    layers = NETWORKS[name]
    figure, total = structure.chain(layers), sum(count for *_, count in layers)
    written = shown(figure)
    for stage in structure.stages(layers):
        assert f"{stage[0][2]:,} parameters" in written
        assert style.shape_text(stage[-1][1]) in written
    assert any(text.startswith(f"{total:,} parameters in all") for text in written)
    shares, tracks = patches(figure, "share"), patches(figure, "track")
    expected = [stage[0][2] / total for stage in structure.stages(layers)]
    drawn = [s.get_width() / t.get_width() for s, t in zip(shares, tracks, strict=True)]
    assert drawn == pytest.approx(expected)


def test_the_layers_that_a_cnn_adds_stand_on_grey():
    figure = structure.chain(NETWORKS["simple"])
    grey = to_rgb(structure.NEW)
    for name, *_ in NETWORKS["simple"]:
        (box,) = patches(figure, name)
        assert (to_rgb(box.get_facecolor()) == grey) == name.startswith(("Conv", "Pool")), name
    assert "On grey" in " ".join(shown(figure))
    assert "On grey" not in " ".join(shown(structure.chain(FULL)))


def test_the_title_names_the_layer_with_most_parameters():
    assert shown(structure.chain(FULL))[0] == "Affine1 holds 99 % of the 79,510 parameters"
    assert shown(structure.chain(FULL, "Figure 7-1"))[0] == "Figure 7-1"
    written = shown(structure.chain(NETWORKS["alexnet"]))
    assert written[0] == "96,074 parameters, at most 22 % of them in one layer"
    figure = structure.chain(NETWORKS["nothing to learn"])
    assert shown(figure)[0] == "Nothing to learn in this network"


def test_names_are_shown_without_their_numbers():
    written = shown(structure.chain(NETWORKS["simple"]))
    assert {"Conv", "ReLU", "Pool", "Affine", "Softmax"} < set(written)
    assert {"C1", "S2", "F6"} < set(shown(structure.chain(NETWORKS["lenet"])))


@pytest.mark.parametrize("make", [SimpleConvNet, AlexNet.small])
def test_the_flow_is_what_the_layers_put_out(make):
    (x, _), _ = load_digits28()
    net = make(rng=0)
    figure = structure.flow({"one": trace(net, x[:1]), "the same": trace(net, x[:1])})
    check(figure)
    check_layout(figure)
    written = shown(figure)
    for stage in structure.stages(net.summary()):
        assert written.count(style.shape_text(stage[-1][1])) >= 2
    # Flattened once in each network, where the first affine layer takes maps.
    assert written.count("flattened") == 2
    images = [image.get_array() for image in figure.axes[0].images]
    assert np.array_equal(images[0], x[0, 0])
    assert np.array_equal(np.ravel(images[-1]), net.predict(x[:1])[0].astype(float))


def test_the_flow_of_odd_data_fits():
    data = {"all zero": [("input", np.zeros((3, 5, 9))), ("Affine1", np.zeros(1))]}
    figure = structure.flow(data)
    check(figure)
    check_layout(figure)


@pytest.mark.parametrize(
    ("function", "arguments", "sentence"),
    [
        (structure.chain, ([("input", (1, 28, 28), 0)],), "at least one layer"),
        (structure.chain, ([],), "at least one layer"),
        (structure.compare, ({"none": []}, "Title"), "at least one layer"),
        (structure.compare, ({}, "Title"), "no network"),
        (structure.flow, ({},), "no network"),
        (structure.flow, ({"a": [("input", np.zeros((2, 2)))] * 2},), "got shape \\(2, 2\\)"),
        (structure.flow, ({"a": []},), "at least one layer"),
    ],
)
def test_what_cannot_be_drawn_is_said(function, arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        function(*arguments)
