"""The explorer: sliders change the picture, and what goes wrong is said in a sentence."""

import base64
import io
import itertools
import re
import subprocess
import sys

import ipywidgets
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from cnnlib.figures import style
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


def test_any_exception_is_said_with_its_kind():
    explorer = explore(draw, number=(0, 4, 1, 2))
    explorer.controls["number"].value = 4
    assert explorer.message == "RuntimeError: broken"
    assert "RuntimeError: broken" in html(explorer) and "opacity" in html(explorer)
    assert explorer.figure.alt == "Number 2 & a."
    explorer.controls["number"].value = 1
    assert explorer.message == "" and "broken" not in html(explorer)


def test_a_first_picture_that_fails_stops_the_notebook():
    with pytest.raises(RuntimeError, match="broken"):
        explore(draw, number=(4, 4))


def test_an_interrupt_is_no_message():
    def interrupted(number):
        if number:
            raise KeyboardInterrupt

        return draw()

    explorer = explore(interrupted, number=(0, 1))
    with pytest.raises(KeyboardInterrupt):
        explorer.controls["number"].value = 1
    explorer.set(number=0)
    assert explorer.message == ""


def test_limits_that_fail_are_said():
    explorer = explore(
        draw, limits=lambda values: {"other": 1} if values["number"] else {}, number=(0, 2)
    )
    explorer.controls["number"].value = 1
    assert explorer.message == "KeyError: 'other'"


def plot(number, titles):
    """Draw as a reader would who knows matplotlib and nothing of this package."""
    figure = Figure()
    for place, title in enumerate(titles, start=1):
        figure.add_subplot(1, 2, place, title=title).plot([1, number])
    return figure


def test_any_figure_of_matplotlib_is_shown():
    explorer = explore(plot, number=(1, 3), titles={"none": ["", ""], "second": ["", "<A> line"]})
    assert explorer.figure.alt == "plot"
    assert "640px" in html(explorer)
    explorer.set(titles=["", "<A> line"])
    assert 'alt="&lt;A&gt; line"' in html(explorer)

    def whole(number):
        figure = plot(number, ["part", "part"])
        figure.suptitle("the whole")
        return figure

    assert explore(whole, number=(1, 3))._repr_mimebundle_()[1]["image/png"]["alt"] == "the whole"


def test_a_figure_of_pyplot_is_shown_once():
    code = """
import matplotlib
matplotlib.use("agg")
from matplotlib import pyplot
from cnnlib.widgets import explore
explorer = explore(lambda number: pyplot.figure(), number=(1, 3)).set(number=2)
assert explorer.figure is not None and not explorer.message and not pyplot.get_fignums()
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(("returned", "said"), [(None, "None"), ([1, 2], r"\[1, 2\]")])
def test_what_is_no_figure_is_said(returned, said):
    def forgetful(number):
        return returned if number else draw()

    sentence = f"forgetful returned {said}; a figure function returns its matplotlib Figure"
    with pytest.raises(TypeError, match=sentence):
        explore(forgetful, number=(1, 2))
    assert re.search(sentence, explore(forgetful, number=(0, 2)).set(number=1).message)


def test_the_place_of_the_picture_never_shrinks():
    explorer = explore(draw, number=(0, 4))
    heights = []
    for number in (0, 2, 0, 1):
        explorer.set(number=number)
        heights.append(int(re.search(r"min-height: min\((\d+)px", html(explorer)).group(1)))
    assert heights[0] < heights[1] == heights[2] == heights[3]


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
        ({"a": (1,)}, {}, "a: a range is"),
        ({"a": ()}, {}, "a: a range is"),
        ({"a": ("x", "y")}, {}, "a: a range is"),
        ({"a": (3, 1)}, {}, r"a: .*min=3.*got \(3, 1\)"),
        ({"a": (1, 3, 0)}, {}, r"a: step .*got \(1, 3, 0\)"),
        ({"a": []}, {}, "empty"),
        ({"a": {}}, {}, "empty"),
        ({"a": None}, {}, "a: a range is"),
        ({"a": (1, 2, 1, 1, 1)}, {}, "a: a range is"),
        ({"a": (1, 3)}, {"b": 1}, "no parameter is named"),
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
    assert "possible" in html(explorer) and "There is no picture yet" in html(explorer)
    assert "image/png" not in explorer._repr_mimebundle_()[0]


def labels(explorer):
    return [control.description for control in explorer.controls.values()]


def test_sliders_have_visible_names():
    explorer = explore(sliding, height=(1, 4), width=(1, 4), filter_h=(1, 1), filter_w=(1, 1))
    assert labels(explorer) == ["height H", "width W", "filter height FH", "filter width FW"]
    assert all(c.continuous_update for c in explorer.controls.values())


def test_the_letters_of_the_book_name_the_same_sliders():
    one = "H W FH FW stride pad FN C N".split()
    other = "height width filter_h filter_w S P filter_num channels N".split()
    assert labels(explore(lambda **_: draw(), **dict.fromkeys(one, (1, 2)))) == labels(
        explore(lambda **_: draw(), **dict.fromkeys(other, (1, 2)))
    )


def test_labels_can_be_given():
    explorer = explore(draw, number=(0, 2), word=["a"], labels={"number": "how many"})
    assert labels(explorer) == ["how many", "word"]
    explorer.set(number=2)
    assert labels(explorer) == ["how many", "word"]
    with pytest.raises(ValueError, match=r"named \['size'\], but \['number'\]"):
        explore(draw, number=(0, 2), labels={"size": "how large"})


def test_a_box_to_tick():
    explorer = explore(lambda big: draw(2 if big else 0), big=True)
    assert explorer.figure.alt == "Number 2 & a."
    assert explorer.set(big=False).figure.alt == "Number 0 & a."


def test_the_stored_picture_says_how_to_move_it():
    explorer = explore(draw, number=(0, 2))
    data = explorer._repr_mimebundle_()[0]["image/png"]
    pictures = base64.b64decode(data), style.to_png(explorer.figure)
    ends = [np.asarray(Image.open(io.BytesIO(one)).convert("L"))[-30:] for one in pictures]
    assert ends[0].min() < 150 and ends[1].min() > 250  # in the margin below the drawing
    assert not explorer.figure.texts
