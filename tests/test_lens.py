"""The lens: its output is SciPy's, what is wrong is told and changes nothing."""

import numpy as np
import pytest
from scipy.signal import correlate2d
from traitlets import TraitError

from cnnlib.widgets import Lens
from cnnlib.widgets.lens import CLASSIC, OWN


@pytest.fixture
def lens():
    rng = np.random.default_rng(0)
    return Lens({"wide": rng.random((9, 14)), "small": rng.random((5, 6))})


def told(lens, content):
    lens._handle_custom_msg(content, [])
    return lens.message


@pytest.mark.parametrize("name", CLASSIC)
@pytest.mark.parametrize("image", ["wide", "small"])
def test_the_output_is_the_correlation_of_image_and_filter(lens, image, name):
    lens.choose(image, name)
    expected = correlate2d(lens.image, np.array(CLASSIC[name], float), "valid")
    assert np.allclose(lens.output, expected)
    plane = lens.shown["planes"][1]
    assert plane["shape"] == expected.shape
    assert np.allclose(np.frombuffer(plane["values"]).reshape(expected.shape), expected)
    assert len(plane["pixels"]) == 4 * expected.size


@pytest.mark.parametrize("size", [3, 5])
def test_any_filter_of_ones_own(lens, size):
    rng = np.random.default_rng(size)
    W = rng.normal(size=(size, size))
    lens.choose(filter=W)
    assert lens.shown["chosen"] == ["wide", OWN]
    assert np.allclose(lens.output, correlate2d(lens.image, W, "valid"))


def test_signed_answers_are_centred_at_zero_and_brightness_is_not(lens):
    lens.choose(filter="vertical edges")
    flat = Lens({"grey": np.full((4, 4), 0.5)}, {"edges": CLASSIC["vertical edges"]})
    pixels = np.frombuffer(flat.shown["planes"][1]["pixels"], np.uint8).reshape(2, 2, 4)
    assert (pixels[..., :3] > 240).all()  # 0 is white where answers are signed
    assert "blue" in lens.shown["notes"][1]
    lens.choose(filter="identity")
    assert "black" in lens.shown["notes"][1]


def test_an_edited_weight_makes_a_filter_of_ones_own(lens):
    lens.choose("wide", "Laplacian")
    assert told(lens, {"weight": 4, "value": "1,5"}) == ""
    W = np.array(CLASSIC["Laplacian"], float)
    W[1, 1] = 1.5
    assert np.array_equal(lens.filter, W) and lens.shown["chosen"] == ["wide", OWN]
    lens.choose(filter="Laplacian")
    assert lens.filter[1, 1] == -4  # the classic one is as it was


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"weight": 4, "value": "much"}, "'much' is not a number"),
        ({"weight": 4, "value": "nan"}, "'nan' is not a number"),
        ({"weight": 4, "value": "2000"}, "between -1000 and 1000"),
        ({"weight": 9, "value": "1"}, "9 is out of bounds"),
        ({"weight": 1}, "value"),
        ({"filter": "unheard of"}, "unheard of"),
        ({"image": "wide", "filter": None, "more": 1}, "more"),
        (None, "NoneType"),
    ],
)
def test_a_wrong_message_is_told_and_changes_nothing(lens, content, sentence):
    before = lens.shown
    assert sentence in told(lens, content)
    assert lens.shown is before
    assert told(lens, {"filter": "identity"}) == ""  # and the next one is heard
    assert np.array_equal(lens.output, lens.image[1:-1, 1:-1])


def test_the_window_stays_inside(lens):
    lens.place = [100, -3]
    assert lens.place == [6, 0]
    lens.choose("small")
    assert lens.place == [2, 0]


@pytest.mark.parametrize("place", [[None, 1], [1], [1, float("nan")]], ids=str)
def test_a_place_that_is_none_changes_nothing(lens, place):
    lens.place = [3, 4]
    with pytest.raises(TraitError):
        lens.set_state({"place": place})
    assert lens.place == [3, 4]
    lens.choose("small")
    assert lens.place == [2, 3]


@pytest.mark.parametrize(
    ("images", "filters", "sentence"),
    [
        ({}, None, "must be a dict of arrays, and not empty"),
        (np.zeros((4, 4)), None, "must be a dict of arrays"),
        ({"a": np.zeros(4)}, None, r"shape \(4,\)"),
        ({"a": np.full((4, 4), np.nan)}, None, "from 0 to 1"),
        ({"a": np.zeros((4, 4))}, {"b": np.ones((2, 2))}, r"3 x 3 or 5 x 5, got shape \(2, 2\)"),
        ({"a": np.zeros((4, 4))}, {"b": np.full((3, 3), np.inf)}, "between -1000 and 1000"),
        ({"a": np.zeros((2, 4))}, None, "a filter of size 3 does not fit"),
    ],
)
def test_what_is_refused(images, filters, sentence):
    with pytest.raises(ValueError, match=sentence):
        Lens(images, filters)


def test_what_a_saved_notebook_shows(lens):
    data, metadata = lens._repr_mimebundle_()
    assert "'wide' through 'vertical edges'" in data["text/plain"]
    assert data["image/png"] and metadata["image/png"]["alt"]
