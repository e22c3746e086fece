"""The digit pad without a browser."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import cnnlib
from cnnlib import AlexNet, LeNet, SimpleConvNet, load_digits28
from cnnlib.datasets import centre_digit, ink_box
from cnnlib.figures import style
from cnnlib.figures.answers import digit_answer
from cnnlib.layers import SoftmaxWithLoss
from cnnlib.widgets import DigitPad
from cnnlib.widgets.digit_pad import SIDE

FOLDER = Path(cnnlib.__file__).parent / "widgets"


@pytest.fixture(scope="module")
def network():
    (x, t), test = load_digits28()
    network = SimpleConvNet(conv_param={"filter_num": 8}, hidden_size=30, rng=0)
    trainer = cnnlib.Trainer(
        network, x, t, *test, 6, 50, "Adam", {"lr": 0.003}, verbose=False, seed=0
    )
    assert trainer.train().test_acc_list[-1] > 0.9
    return network


def check(pad):
    """Compare all that the pad says with the network asked directly."""
    assert pad.box == ink_box(pad.image)
    assert np.array_equal(pad.centred[0], centre_digit(pad.image, pad.centred.shape[1:]))
    result = pad.result
    sent = np.frombuffer(result["input"]["pixels"], np.uint8).reshape(pad.centred.shape[1:])
    assert np.abs(sent / 255 - pad.centred[0]).max() <= 0.5 / 255 + 1e-6
    x = pad.centred[np.newaxis].astype(pad.network.dtype)
    scores = pad.network.predict(x)
    softmax = SoftmaxWithLoss()
    softmax.forward(scores, np.zeros(1, int))
    np.testing.assert_allclose(pad.probabilities, softmax.y[0], rtol=1e-4, atol=1e-6)
    assert result["shares"] == pad.probabilities.tolist()
    assert pad.answer == pad.labels[scores.argmax()] == pad.labels[result["answer"]]
    for name, layer in pad.network.layers.items():
        x = layer.forward(x, False)
        if name == pad.layer:
            assert np.array_equal(pad.maps, x[0])
    maps = result["maps"]
    shown = pad.maps[: maps["shown"]]
    sent = np.frombuffer(maps["pixels"], np.int8).reshape(shown.shape)
    peak = np.abs(pad.maps).max()
    assert np.abs(sent * (peak / 127) - shown).max() <= 0.51 * peak / 127
    assert maps["signed"] == (pad.maps.min() < 0)


def test_every_sample_and_every_layer(network):
    pad = DigitPad(network)
    _, (x, t) = load_digits28()
    right = 0
    for digit in range(10):
        pad.show_sample(digit)
        first = x[np.argmax(t == digit)]
        assert np.array_equal(pad.image[::4, ::4], first[0])
        right += pad.answer == digit
        for layer in pad.layers:
            pad.layer = layer
            check(pad)
            assert pad.figure.alt.endswith(".") and style.size(pad.figure)[0] <= style.MAX_WIDTH
    assert right >= 7  # centred otherwise than the digits it was trained on
    assert pad.layers == ["Conv1", "Relu1", "Pool1"]


@pytest.mark.parametrize(
    "other",
    [
        SimpleConvNet((1, 20, 24), {"filter_num": 2}, hidden_size=5, output_size=3, rng=0),
        SimpleConvNet((1, 9, 9), {"filter_num": 130}, hidden_size=5, dtype=np.float64, rng=0),
        LeNet(rng=0),
        LeNet((1, 32, 32), pad=0, rng=0),
        AlexNet.small(rng=0),
    ],
    ids=lambda network: f"{type(network).__name__} {network.input_dim}",
)
def test_other_networks(other):
    pad = DigitPad(other)
    pad.show_sample(4)
    for layer in pad.layers:
        pad.layer = layer
        check(pad)
        figure = pad.figure
        assert figure.alt and style.size(figure)[0] <= style.MAX_WIDTH
    assert pad.result["labels"] == [str(k) for k in range(other.summary()[-1][1][0])]


def test_nothing_drawn_is_said_plainly(network):
    pad = DigitPad(network)
    assert pad.answer is pad.probabilities is pad.maps is pad.box is None
    assert not pad.centred.any() and pad.centred.shape == (1, 28, 28)
    assert pad.result["answer"] is None and pad.result["shares"] == []
    assert repr(pad) == "DigitPad for images (1, 28, 28): nothing is drawn"
    assert "no answer" in pad.figure.alt
    pad.show_sample(2)
    assert pad.answer is not None
    pad.clear()
    assert pad.answer is None and not pad.image.any()


def test_any_picture_can_be_set(network):
    pad = DigitPad(network)
    _, (x, _) = load_digits28(normalize=False)
    for picture in (x[5], x[5, 0], x[5, 0] / 255, x[5, 0, 3:25, 4:24]):
        pad.image = picture
        check(pad)
        assert np.allclose(pad.centred[0], centre_digit(x[5]), atol=0.01)
    pad.image = np.pad(x[5, 0].repeat(9, 0).repeat(9, 1), ((0, 50), (120, 0)))  # larger than 112
    assert np.abs(pad.centred[0] - centre_digit(x[5])).mean() < 0.01
    before = pad.image
    for wrong in (np.ones((3, 5, 5)), [[2.0]], "picture", np.full((5, 5), np.nan)):
        with pytest.raises(ValueError, match=r"picture is an array|ink must be"):
            pad.image = wrong
    assert np.array_equal(pad.image, before)


def test_pictures_that_look_wrong_bring_a_hint(network):
    pad = DigitPad(network)
    _, (x, _) = load_digits28(normalize=False)
    with pytest.warns(UserWarning, match="multiply it by 255"):
        pad.image = (x[5, 0] > 127).astype(np.uint8)
    with pytest.warns(UserWarning, match="invert it") as caught:
        pad.image = 255 - x[5, 0, 3:25, 4:24]  # the pad adds paper around it
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="invert it"):
        DigitPad(network, samples=[255 - x[5]])


def test_what_the_browser_sends(network):
    pad = DigitPad(network)
    drawing = np.zeros((SIDE, SIDE), np.uint8)
    drawing[20:90, 50:60] = 255
    pad.set_state({"drawing": memoryview(drawing.tobytes())})  # as it comes over the wire
    check(pad)
    assert pad.box == (20, 50, 70, 10) and pad.result["box"] == pad.box
    assert pad.result["scaled"] == "70 × 10 became 20 × 3"
    pad.set_state({"layer": "Conv1"})
    assert pad.maps.min() < 0 and pad.result["maps"]["signed"]
    pad._handle_custom_msg({"sample": 6}, [])
    sample = DigitPad(network)
    sample.show_sample(6)
    assert np.array_equal(pad.image, sample.image)
    with pytest.raises(ValueError, match="112 x 112 bytes, got 3"):
        pad.drawing = b"abc"


def test_samples_and_labels_of_ones_own(network):
    (x, _), _ = load_digits28()
    names = [f"class {k}" for k in range(10)]
    pad = DigitPad(network, samples={"mine": x[0], "yours": x[1]}, labels=names, layer="Pool1")
    assert [sample["label"] for sample in pad.samples] == ["mine", "yours"]
    pad.show_sample("yours")
    check(pad)
    assert pad.answer in names and pad.answer in repr(pad)
    assert [s["label"] for s in DigitPad(network, samples=x[:3]).samples] == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"labels": "abc"}, "3 labels for 10 classes"),
        ({"layer": "Affine1"}, "no maps of 'Affine1'"),
        ({"box": 29}, "a box of 29"),
        ({"samples": [np.ones((2, 3, 3))]}, "picture is an array"),
    ],
)
def test_impossible_arguments(network, arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        DigitPad(network, **arguments)


def test_impossible_settings(network):
    with pytest.raises(ValueError, match=r"\(3, 28, 28\)"):
        DigitPad(SimpleConvNet((3, 28, 28), rng=0))
    pad = DigitPad(network)
    with pytest.raises(ValueError, match="no sample 11"):
        pad.show_sample(11)
    with pytest.raises(ValueError, match="no maps of"):
        pad.layer = "Affine2"
    assert pad.layer == "Relu1"


def test_it_leaves_a_training_step_in_progress_alone(network):
    """In JupyterLab messages come in another thread, in the middle of a step perhaps."""
    (x, t), _ = load_digits28()
    pad = DigitPad(network)
    network.loss(x[:5], t[:5])
    expected = {name: grad.copy() for name, grad in network.backward().items()}
    network.loss(x[:5], t[:5])
    pad.show_sample(1)
    for name, grad in network.backward().items():
        assert np.array_equal(grad, expected[name])


def test_it_sees_what_was_learned_since():
    network = SimpleConvNet(conv_param={"filter_num": 2}, hidden_size=5, rng=0)
    pad = DigitPad(network)
    pad.show_sample(0)
    network.params["b3"][7] = 100
    pad.refresh()
    assert pad.answer == 7
    check(pad)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["W1", "W3", "b3"])
def test_scores_that_are_not_finite_are_no_answer(name, value):
    network = SimpleConvNet(conv_param={"filter_num": 2}, hidden_size=5, rng=0)
    pad = DigitPad(network)
    pad.show_sample(0)
    answer = pad.answer
    kept = network.params[name].copy()
    network.params[name][...] = value
    pad.refresh()
    assert pad.answer is pad.probabilities is pad.maps is None and pad.box is not None
    result = pad.result
    assert result["answer"] is None and result["shares"] == result["texts"] == []
    assert result["said"] == "No answer: the scores are not finite"
    assert "pixels" not in result["maps"] and "range" not in result["maps"]
    assert repr(pad) == ("DigitPad for images (1, 28, 28): No answer: the scores are not finite")
    texts = [text.get_text() for text in pad.figure.axes[0].texts]
    assert texts[0] == "No answer: the scores are not finite"
    assert "none, for the scores are not finite" in pad.figure.alt
    assert not any("%" in text or "nan" in text for text in [*texts, pad.figure.alt])
    for layer in pad.layers:
        pad.layer = layer
    pad.clear()
    assert pad.result["said"] == "Draw a digit"
    network.params[name][...] = kept
    pad.show_sample(0)
    assert pad.answer == answer and pad.result["said"].startswith(f"{answer}, with ")


def test_saved_notebooks_show_text_and_picture(network):
    pad = DigitPad(network)
    pad.show_sample(4)
    data, metadata = pad._repr_mimebundle_()
    assert data["image/png"].startswith("iVBOR")
    alt = metadata["image/png"]["alt"]
    assert alt == pad.figure.alt and f"answer of the network: {pad.answer}, with" in alt
    assert "application/vnd.jupyter.widget-view+json" in data
    lines = data["text/plain"].splitlines()
    assert lines[0].startswith("DigitPad for images (1, 28, 28): the network answers")
    assert lines[1] == "feature maps after Relu1: (8, 24, 24)" and "0x" not in data["text/plain"]


def test_a_result_is_plain_data(network):
    pad = DigitPad(network)
    pad.show_sample(4)
    result = {**pad.result, "input": None, "maps": {**pad.result["maps"], "pixels": None}}
    json.dumps(result)


def test_the_figure_says_what_comes_next():
    shares = np.array([0.25, 0.6, 0.15])
    card = digit_answer(np.eye(4), (0, 0, 4, 4), np.eye(5), "abc", shares)
    assert "b, with 60.0 %; then a 25.0 %, c 15.0 %." in card.alt
    assert "(1, 5, 5)" in card.alt


@pytest.mark.parametrize("found", [None, (0, 0, 4, 4)])
def test_the_figure_has_no_answer_of_nan(found):
    card = digit_answer(np.eye(4), found, np.eye(5), "abc", np.full(3, np.nan), np.ones((2, 3, 3)))
    texts = [text.get_text() for text in card.axes[0].texts]
    assert texts[0] == "No answer: the scores are not finite" and "nan" not in card.alt
    assert style.to_png(card)


def test_script_and_style_ask_for_nothing():
    script = (FOLDER / "digit_pad.js").read_text(encoding="utf-8")
    css = (FOLDER / "digit_pad.css").read_text(encoding="utf-8")
    assert not re.search(r"\bimport\b|\bfetch\(|eval\(", re.sub(r"//.*", "", script))
    assert set(re.findall(r"https?://[^\"'\s]+", script + css)) <= {"http://www.w3.org/2000/svg"}
    assert 'data-lm-suppress-shortcuts="true"' in script
