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
from cnnlib.figures.galleries import digit_answer
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
    sent = np.frombuffer(result["input"]["pixels"], np.int8).reshape(pad.centred.shape[1:])
    assert np.abs(sent / 127 - pad.centred[0]).max() <= 0.5 / 127 + 1e-6
    x = pad.centred[np.newaxis].astype(pad.network.dtype)
    scores = pad.network.predict(x)
    softmax = SoftmaxWithLoss()
    softmax.forward(scores, np.zeros(1, int))
    np.testing.assert_allclose(pad.probabilities, softmax.y[0], rtol=1e-4, atol=1e-6)
    assert [share for _, share in result["bars"]] == pad.probabilities.tolist()
    assert pad.answer == scores.argmax() == result["answer"]
    for name, layer in pad.network.layers.items():
        x = layer.forward(x, False)
        if name == pad.layer:
            assert np.array_equal(pad.maps, x[0])
    maps = result["maps"]
    shown = pad.maps[: maps["shape"][0]]
    sent = np.frombuffer(maps["pixels"], np.int8).reshape(shown.shape)
    peak = np.abs(pad.maps).max()
    assert np.abs(sent * (peak / 127) - shown).max() <= 0.51 * peak / 127
    assert (maps["colors"][0] != maps["colors"][1]) == (pad.maps.min() < 0)


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
    assert list(pad.layers) == ["Conv1", "Relu1", "Pool1"]


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
    assert len(pad.result["bars"]) == other.summary()[-1][1][0]


def test_nothing_drawn_is_said_plainly(network):
    pad = DigitPad(network)
    assert pad.answer is pad.probabilities is pad.maps is pad.box is None
    assert not pad.centred.any() and pad.centred.shape == (1, 28, 28)
    assert pad.result["answer"] is None and pad.result["bars"] == [["", 0]] * 10
    assert repr(pad) == "DigitPad for images (1, 28, 28): nothing is drawn"
    assert "no answer" in pad.figure.alt
    pad.show_sample(2)
    assert pad.answer is not None
    pad.drawing = bytes(SIDE**2)
    assert pad.answer is None and not pad.image.any()


def test_chapter_7_5_reads_the_pad_whatever_is_on_it(network, capsys):
    """Its cell must go on, with a sentence, where the pad was cleared before it ran again."""
    (path,) = (FOLDER.parents[1] / "notebooks").glob("7.5-*.ipynb")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    (cell,) = ("".join(cell["source"]) for cell in cells if cell["id"] == "pad-read")
    pad = DigitPad(network)
    exec(cell, {"pad": pad})
    assert capsys.readouterr().out.startswith("Nothing is drawn: ")
    pad.show_sample(2)
    exec(cell, {"pad": pad})
    assert f"the network says {pad.answer}\n" in capsys.readouterr().out


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


def test_what_the_browser_sends(network):
    pad = DigitPad(network)
    drawing = np.zeros((SIDE, SIDE), np.uint8)
    drawing[20:90, 50:60] = 255
    pad.set_state({"drawing": memoryview(drawing.tobytes())})  # as it comes over the wire
    check(pad)
    assert pad.box == (20, 50, 70, 10)
    assert (
        pad.result["places"]["found"] == "top: 17.86%; left: 44.64%; height: 62.50%; width: 8.93%"
    )
    assert pad.result["texts"]["scaled"].startswith("70 × 10 became 20 × 3, ")
    pad.set_state({"layer": "Conv1"})
    assert pad.maps.min() < 0
    check(pad)
    with pytest.raises(ValueError, match="112 x 112 bytes, got 3"):
        pad.drawing = b"abc"
    check(pad)


BYTES = (bytes(40) + bytes(range(32)) + bytes(40)) * 112  # as long as a drawing
STATES = [
    *[{"layer": value} for value in ("Affine2", "", 7, None, [])],
    *[{"choice": value} for value in ("mine", "", 7, None, {})],
    *[{"why": value} for value in ("yes", 2, None, [True])],
    *[
        {"drawing": value}
        for value in (None, "ink", 12544, 10**15, [0] * 12544, {"a": 1}, BYTES.decode("latin-1"))
    ],
    *[{"drawing": memoryview(value)} for value in (b"abc", bytes(10**7))],
    {"choice": "untrained", "layer": "Affine9", "why": True},
    {"layer": "Pool1", "drawing": "ink"},
    {"result": {}, "look": 3, "_esm": "", "networks": {}, "box": 1},
]


def test_what_makes_no_sense_changes_nothing(network):
    pad = DigitPad({"trained": network, "untrained": SimpleConvNet(rng=0)})
    pad.show_sample(3)
    result, drawing = pad.result, pad.drawing
    for sent in STATES:
        pad.set_state(sent)
        state = pad.result, pad.drawing, pad.choice, pad.layer, pad.why
        assert state == (result, drawing, "trained", "Relu1", False), sent
    pad.set_state({"choice": "untrained", "layer": "Conv1", "why": True, "drawing": BYTES})
    check(pad)
    assert pad.drawing == BYTES and pad.network is not network and pad.why


def test_a_menu_of_networks(network):
    deep = cnnlib.load_trained("deep")
    small = SimpleConvNet((1, 20, 24), {"filter_num": 2}, hidden_size=5, output_size=3, rng=0)
    networks = {"yours": network, "MNIST's": deep, "small": small}
    pad = DigitPad(networks)
    pad.show_sample(2)
    drawing = pad.drawing
    seen = set()
    for name in (*networks, "yours"):
        pad.choice = name
        check(pad)
        assert pad.network is networks[name] and pad.drawing == drawing
        assert pad.result["menus"]["choice"] == [name, list(networks)]
        assert len(pad.result["bars"]) == (3 if name == "small" else 10)
        seen.add(pad.result["maps"]["pixels"])
    assert len(seen) == 3
    pad.choice, pad.layer = "MNIST's", "Conv6"
    pad.choice = "yours"  # it has no Conv6
    assert pad.layer == "Relu1"
    check(pad)
    with pytest.raises(ValueError, match=r"choice must be one of \['yours', .*got 'mine'"):
        pad.choice = "mine"
    assert pad.choice == "yours"
    assert DigitPad(network).result["menus"]["choice"][1] == ["the network"]


def covered(pad, p, q):
    """What the answer loses with 5 x 5 pixels of the network's picture covered."""
    x = pad.centred.astype(pad.network.dtype)
    x[:, 2 * p : 2 * p + 5, 2 * q : 2 * q + 5] = 0
    return pad.probabilities.max() - pad.network.probabilities(x[np.newaxis])[0, pad.answer]


@pytest.mark.parametrize("digit", [0, 3, 5])
def test_why_covers_the_network_s_picture(network, digit):
    pad = DigitPad(network)
    pad.why = True
    assert pad.lost is None and "lost" not in pad.result
    pad.show_sample(digit)
    assert pad.lost.shape == (12, 12)
    worst = np.unravel_index(pad.lost.argmax(), pad.lost.shape)
    for p, q in (worst, (0, 0), (5, 5), (11, 6)):
        assert pad.lost[p, q] == pytest.approx(max(covered(pad, p, q), 0), abs=1e-5)
    most = pad.lost.max()
    assert most > 0.02
    sent = np.frombuffer(pad.result["lost"]["pixels"], np.int8).reshape(12, 12)
    assert np.abs(sent / 127 * most - pad.lost).max() <= 0.51 / 127
    texts = pad.result["texts"]
    assert texts["reason"] == f"Why {pad.answer}? Cover 5 × 5 pixels there, and"
    sure = 100 * pad.probabilities.max()
    assert texts["most"] == f"{100 * most:.1f} % of its {sure:.1f} %"
    pad.why = False
    assert pad.lost is None and "lost" not in pad.result and pad.result["texts"]["reason"] == ""
    assert pad.result["places"]["legend"] == "visibility: hidden"


@pytest.mark.parametrize("corner", [(0, 0), (50, 20)])
def test_why_lies_over_the_ink_that_it_covers(network, corner):
    """A cover without any ink takes nothing: what is lost lies where the small digit was drawn."""
    _, (x, t) = load_digits28()
    drawing = np.zeros((112, 112))
    row, column = corner
    drawing[row : row + 56, column : column + 56] = np.kron(x[t == 3][0, 0], np.ones((2, 2)))
    pad = DigitPad(network)
    pad.why, pad.image = True, drawing
    top, left, height, width = (
        float(side) * 1.12 for side in re.findall(r"([-\d.]+)%", pad.result["places"]["lost"])
    )
    rows = top + height / 12 * (np.arange(12) + 0.5)
    columns = left + width / 12 * (np.arange(12) + 0.5)
    reach = 2.5 * pad.box[2] / ink_box(pad.centred)[2] + 1  # half a cover, in the drawing
    assert pad.lost.max() > 0.02
    for p, q in zip(*np.nonzero(pad.lost > 1e-6), strict=True):
        near = drawing[
            max(0, round(rows[p] - reach)) : round(rows[p] + reach),
            max(0, round(columns[q] - reach)) : round(columns[q] + reach),
        ]
        assert near.any(), (p, q)


def test_why_of_a_network_that_does_not_care_stays_pale():
    """An untrained network loses next to nothing anywhere: no cover may look decisive."""
    pad = DigitPad(SimpleConvNet(rng=0))
    pad.why = True
    pad.show_sample(3)
    assert 0 < pad.lost.max() < 0.001
    assert np.frombuffer(pad.result["lost"]["pixels"], np.int8).max() < 13
    assert pad.result["texts"]["most"].startswith("1.0 % of its ")


def test_impossible_settings(network):
    with pytest.raises(ValueError, match=r"the pad needs images \(1, H, W\).*\(3, 28, 28\)"):
        DigitPad({"gray": network, "colour": SimpleConvNet((3, 28, 28), rng=0)})
    with pytest.raises(ValueError, match=r"5 x 5 and more.*tiny has .*\(1, 4, 4\)"):
        DigitPad({"tiny": SimpleConvNet((1, 4, 4), {"filter_size": 1}, rng=0)})
    pad = DigitPad(network)
    with pytest.raises(ValueError, match="no sample 11"):
        pad.show_sample(11)
    with pytest.raises(ValueError, match=r"layer must be one of \['Conv1', .*got 'Affine2'"):
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
    assert result["answer"] is None and result["bars"] == [["", 0]] * 10
    assert result["texts"]["said"] == "No answer: the scores are not finite"
    assert not any(result["maps"]["pixels"]) and "from" not in result["texts"]["maps-title"]
    assert repr(pad) == ("DigitPad for images (1, 28, 28): No answer: the scores are not finite")
    texts = [text.get_text() for text in pad.figure.axes[0].texts]
    assert texts[0] == "No answer: the scores are not finite"
    assert "none, for the scores are not finite" in pad.figure.alt
    assert not any("%" in text or "nan" in text for text in [*texts, pad.figure.alt])
    for layer in pad.layers:
        pad.layer = layer
    pad.why = True
    assert pad.lost is None
    pad.drawing = bytes(SIDE**2)
    assert pad.result["texts"]["said"] == "Draw a digit"
    network.params[name][...] = kept
    pad.show_sample(0)
    assert pad.answer == answer and pad.result["texts"]["said"].startswith(f"{answer}, with ")


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
    pad.why = True
    pad.show_sample(4)
    planes = {name: {**pad.result[name], "pixels": None} for name in ("input", "maps", "lost")}
    json.dumps({**pad.result, **planes})


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
