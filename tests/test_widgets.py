"""The explorer: sliders change the picture, forbidden settings are said, all else gets through."""

import itertools
import re

import ipywidgets
import pytest

from cnnlib.figures.convolution import sliding
from cnnlib.figures.style import Canvas, describe
from cnnlib.widgets import Explorer, explore
from cnnlib.windows import conv_output_size


def draw(number=0, word="a"):
    """Draw next to nothing, quickly."""
    if number == 3:
        raise ValueError("number 3 is <not> possible")
    if number == 4:
        raise RuntimeError("broken")
    canvas = Canvas(f"{word} {number}")
    return canvas.finish(200, 60 + 10 * number, f"Number {number} & {word}.")


def html(explorer):
    return explorer.children[-1].value


def test_sliders_change_the_picture():
    explorer = explore(draw, number=(0, 4))
    assert isinstance(explorer, Explorer)
    assert isinstance(explorer, ipywidgets.VBox)
    before = html(explorer)
    explorer.controls["number"].value = 1
    assert html(explorer) != before
    assert explorer.values == {"number": 1}
    assert explorer.figure.alt == "Number 1 & a."
    assert 'alt="Number 1 &amp; a."' in html(explorer)
    assert html(explorer).count("<img") == 1


def test_a_forbidden_setting_is_said_and_the_picture_stays():
    explorer = explore(draw, number=(0, 4, 1, 2))
    picture = re.search("<img[^>]*>", html(explorer)).group()
    explorer.set(number=3)
    assert explorer.message == "number 3 is <not> possible"
    assert "Number 3 is &lt;not&gt; possible" in html(explorer)
    assert picture in html(explorer)
    assert explorer.figure.alt == "Number 2 & a."
    explorer.set(number=1)
    assert explorer.message == ""
    assert "possible" not in html(explorer)


def test_other_exceptions_are_let_through():
    explorer = explore(draw, number=(0, 4))
    with pytest.raises(RuntimeError, match="broken"):
        explorer.controls["number"].value = 4


def test_the_place_of_the_picture_never_shrinks():
    explorer = explore(draw, number=(0, 4))
    heights = []
    for number in (0, 2, 0, 1):
        explorer.set(number=number)
        heights.append(int(re.search(r"min-height: (\d+)px", html(explorer)).group(1)))
    assert heights[0] < heights[1] == heights[2] == heights[3]


def test_room_for_the_tallest_picture_is_kept_from_the_start():
    def rooms(explorer):
        for number in (0, 2, 0):
            explorer.set(number=number)
            yield int(re.search(r"min-height: (\d+)px", html(explorer)).group(1))

    assert list(rooms(explore(draw, number=(0, 4), min_height=300))) == [300] * 3
    first, tallest, last = rooms(
        explore(draw, number=(0, 4), min_height=1)
    )  # too little: as without
    assert first < tallest == last
    # A range is one of a parameter named height.
    explorer = explore(
        sliding, min_height=600, height=(4, 9), width=[5], filter_h=[3], filter_w=[3]
    )
    assert explorer.values["height"] == 4
    assert "min-height: 600px" in html(explorer)


def test_set_draws_once():
    calls = []

    def counted(a, b):
        calls.append((a, b))
        return draw()

    explorer = explore(counted, a=(0, 5), b=(0.0, 1.0, 0.25))
    explorer.set(a=3, b=0.5)
    assert calls == [(0, 0.0), (3, 0.5)]


def test_menus_take_lists_and_dicts():
    explorer = explore(draw, word={"first": "x", "second": "y"}, number=[0, 1])
    assert explorer.values == {"word": "x", "number": 0}
    explorer.set(word="y", number=1)
    assert explorer.figure.alt == "Number 1 & y."


def test_start_values():
    explorer = explore(draw, start={"number": 2, "word": "b"}, number=(0, 4), word=["a", "b"])
    assert explorer.values == {"number": 2, "word": "b"}


@pytest.mark.parametrize(
    ("ranges", "start", "sentence"),
    [
        ({"a": 3}, {}, "a: a range is"),
        ({"a": (1,)}, {}, "a: a range is"),
        ({"a": ("x", "y")}, {}, "a: a range is"),
        ({"a": (3, 1)}, {}, "min <= max"),
        ({"a": (1, 3, 0)}, {}, "step > 0"),
        ({"a": []}, {}, "empty"),
        ({"a": (1, 3)}, {"b": 1}, "start names"),
        ({"a": (1, 3)}, {"a": 4}, "a must be from 1 to 3"),
        ({"a": (1, 3, 1, 9)}, {}, "a must be from 1 to 3"),
        ({"a": ["x"]}, {"a": "y"}, "not possible"),
    ],
)
def test_wrong_ranges_are_said(ranges, start, sentence):
    with pytest.raises(ValueError, match=sentence):
        explore(lambda **_: draw(), start=start, **ranges)


def test_set_refuses_what_is_out_of_range():
    explorer = explore(draw, number=(0, 2), word=["a", "b"])
    with pytest.raises(ValueError, match="number must be from 0 to 2, got 7"):
        explorer.set(number=7)
    with pytest.raises(ValueError, match="no parameter 'size'"):
        explorer.set(size=1)
    with pytest.raises(ValueError, match="not possible"):
        explorer.set(word="c")


def steps(values):
    size = conv_output_size(4, 3, values["stride"], values["pad"])
    return {"step": size * size - 1}


def step_of(stride, pad, step):
    if step > steps({"stride": stride, "pad": pad})["step"]:
        raise ValueError("no such window")
    return describe(sliding(4, 4, 3, 3, stride, pad), f"step {step + 1} of several")


def test_limits_follow_the_other_sliders():
    explorer = explore(step_of, limits=steps, stride=(1, 3), pad=(0, 2), step=(0, 99))
    assert explorer.controls["step"].max == 3
    explorer.set(pad=1, step=15)
    assert explorer.values["step"] == 15
    explorer.controls["pad"].value = 0  # 4 windows are left
    assert explorer.values["step"] == explorer.controls["step"].max == 3
    assert explorer.message == ""


def test_every_setting_of_the_sliders_is_drawn():
    explorer = explore(step_of, limits=steps, stride=(1, 3), pad=(0, 1), step=(0, 99))
    for stride, pad in itertools.product((1, 2, 3), (0, 1)):
        explorer.set(stride=stride, pad=pad)
        for step in range(explorer.controls["step"].max + 1):
            explorer.set(step=step)
            assert explorer.message == ""
            assert f"step {step + 1} of" in explorer.figure.alt


def test_sliding_says_what_does_not_fit():
    explorer = explore(sliding, height=(1, 4), width=(1, 1), filter_h=(1, 4), filter_w=(1, 1))
    for height, filter_h in itertools.product(range(1, 5), range(1, 5)):
        explorer.set(height=height, filter_h=filter_h)
        assert bool(explorer.message) == (filter_h > height)


def test_limits_that_cannot_be_computed_stay():
    def limits(values):
        return {"step": conv_output_size(4, values["size"]) - 1}

    explorer = explore(lambda size, step: draw(), limits=limits, size=(1, 6), step=(0, 9))
    explorer.set(size=6)
    assert explorer.controls["step"].max == 3


def test_saved_notebooks_show_text_and_picture():
    explorer = explore(draw, number=(0, 4, 1, 1), word=["a"])
    data, metadata = explorer._repr_mimebundle_()
    assert data["text/plain"] == repr(explorer) == "explore(draw): number=1, word='a'"
    assert "0x" not in data["text/plain"]
    assert data["image/png"].startswith("iVBOR")
    assert metadata["image/png"]["alt"] == "Number 1 & a."
    assert "application/vnd.jupyter.widget-view+json" in data
    explorer.set(number=3)
    assert explorer._repr_mimebundle_()[0]["text/plain"].endswith("number 3 is <not> possible")


def test_a_first_setting_that_is_forbidden_has_a_sentence_and_no_picture():
    explorer = explore(draw, number=(3, 4))
    assert explorer.figure is None
    assert "possible" in html(explorer)
    assert "image/png" not in explorer._repr_mimebundle_()[0]


def test_sliders_have_visible_names():
    explorer = explore(sliding, height=(1, 4), width=(1, 4), filter_h=(1, 1), filter_w=(1, 1))
    assert [c.description for c in explorer.controls.values()] == [
        "height",
        "width",
        "filter height",
        "filter width",
    ]
    assert all(c.continuous_update for c in explorer.controls.values())
