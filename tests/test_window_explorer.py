"""The Window Explorer without a browser: every setting, every refusal, and what is sent."""

import itertools
import json
import re
import traceback
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb

import cnnlib.widgets
from cnnlib import Convolution, conv_output_size, naive
from cnnlib.figures import style
from cnnlib.figures.explorer import _with_grids
from cnnlib.widgets import WindowExplorer
from cnnlib.widgets.window_explorer import RANGES, SLIDERS
from cnnlib.widgets.window_picture import ELEMENT, MODES, POOLING

from .test_figures import check, check_layout, matrix, texts
from .test_figures import numbers as numbers_of

AXES = ("height", "filter_height", "stride", "pad")


def numbers(explorer, key):
    """Read a grid of the picture back as an array, from what is written in its cells."""
    grid = explorer._view.picture["grids"][key]
    values = [float(text.replace("−", "-")) for text in grid["text"]]
    return np.array(values).reshape(grid["rows"], grid["columns"])


def naive_output(explorer):
    """Compute the output with plain loops."""
    x = explorer.input.reshape(1, explorer.channels, explorer.height, explorer.width)
    W = explorer.filter.reshape(-1, explorer.channels, *explorer.filter.shape[-2:])
    if explorer.mode in POOLING:
        pool = {"max pooling": naive.max_pool, "average pooling": naive.average_pool}
        return pool[explorer.mode](x, *W.shape[2:], explorer.stride, explorer.pad)[0]
    b = np.resize(explorer.bias, len(W))
    return naive.convolve(x, W, b, explorer.stride, explorer.pad)[0]


def slice_of(text, padded):
    """Evaluate the slice that a line of the view by element writes."""
    numbers = re.search(r"= (?:padded )?x\[:, :, (\d+):(\d+):(\d+), (\d+):(\d+):(\d+)\]", text)
    rows, columns = np.reshape([int(number) for number in numbers.groups()], (2, 3))
    return padded[:, slice(*rows), slice(*columns)]


def naive_gradient(explorer):
    """Compute dx with plain loops."""
    x = explorer.input.reshape(1, explorer.channels, explorer.height, explorer.width)
    W = explorer.filter.reshape(1, explorer.channels, *explorer.filter.shape[-2:])
    dout = explorer.gradient[np.newaxis, np.newaxis]
    return naive.convolve_backward(dout, x, W, explorer.stride, explorer.pad)[0][0]


def check_picture(explorer):
    """Compare shapes with formula (7.1), and every number sent with the loops."""
    settings = explorer.stride, explorer.pad
    OH = conv_output_size(explorer.height, explorer.filter_height, *settings)
    OW = conv_output_size(explorer.width, explorer.filter_width, *settings)
    picture, C = explorer._view.picture, explorer.channels
    sizes = picture["sizes"]
    assert (sizes["p"], sizes["q"]) == (OH, OW) == explorer.output.shape[-2:]
    out = naive_output(explorer)
    assert np.allclose(explorer.output, out if len(out) > 1 else out[0])
    assert f"{OH}, {OW})" in picture["summary"][0]
    if explorer.mode == "convolution":
        for f in range(len(out)):
            assert np.allclose(numbers(explorer, f"out{f}"), out[f], atol=0.006)
    elif explorer.mode == "product":
        b = np.resize(explorer.bias, len(out))
        product = out.reshape(len(out), -1).T - b
        assert np.allclose(numbers(explorer, "product"), product, atol=0.006)
        col, col_W = explorer._state().col, numbers(explorer, "col_W")
        assert np.allclose(col @ col_W, product)
    elif explorer.mode in POOLING:
        for c in range(C):
            assert np.allclose(numbers(explorer, f"out{c}"), out[c], atol=0.006)
    elif explorer.mode.startswith("im2col"):
        assert np.allclose(
            explorer._state().col @ explorer.filter.ravel() + explorer.bias, out.ravel()
        )
        if explorer._state().col.size <= 4096:
            assert np.array_equal(numbers(explorer, "col"), explorer._state().col)
        unpadded = explorer._state().reads.sum() * C
        assert unpadded <= explorer._state().col.size and (
            explorer.pad or unpadded == explorer._state().col.size
        )
        for k, lines in enumerate(picture.get("said", ())):
            x = explorer.input.reshape(C, explorer.height, explorer.width)
            padded = np.pad(x, ((0, 0), *2 * [2 * [explorer.pad]]))
            taken = slice_of(lines[1], padded).reshape(C, -1)
            assert np.array_equal(taken, explorer._state().col[:, k :: sizes["i"] * sizes["j"]].T)
            beyond = re.search(r":(\d+):\d+, \d+:(\d+)", lines[1]).groups()
            assert (len(lines) == 3) == np.any(np.array(beyond, int) > padded.shape[1:])
    else:
        dx = naive_gradient(explorer)
        assert np.allclose(explorer.dx, dx if C > 1 else dx[0])
        for c in range(C):
            assert np.allclose(numbers(explorer, f"dx{c}"), dx[c])
    axes = (("height", "filter_height"), ("width", "filter_width")) if picture["formula"] else ()
    for axis, (size, filter_size) in zip(picture["formula"], axes, strict=True):
        size, filter_size = getattr(explorer, size), getattr(explorer, filter_size)
        divides = (size + 2 * explorer.pad - filter_size) % explorer.stride == 0
        assert f"({size} + 2·{explorer.pad} − {filter_size}) / {explorer.stride}" in axis["numbers"]
        assert bool(axis["note"]) == (not divides)


def across(settings):
    """Choose the width's settings for those of the height, so that both axes see every value."""
    settings = settings | {"width": 13 - settings["height"]}
    if "filter_height" in settings:
        settings["filter_width"] = 1 + (2 * settings["filter_height"]) % 5
    return settings


def possible(mode, s):
    fits = all(
        s[f"filter_{size}"] <= s[size] + 2 * s["pad"] for size in ("height", "width")
    ) and not (mode in POOLING and s["pad"] >= min(s["filter_height"], s["filter_width"]))
    return fits


@pytest.mark.parametrize("mode", MODES)
def test_every_value_of_the_sliders(mode):
    explorer = WindowExplorer(mode=mode, b=2)
    values = [range(RANGES[name][0], RANGES[name][1] + 1) for name in AXES]
    drawn = 0
    for combination in itertools.product(*values):
        settings = across(dict(zip(AXES, combination, strict=True)))
        if possible(mode, settings):
            explorer.set(**settings)
            check_picture(explorer)
            drawn += 1
        else:
            before = explorer._view.picture
            with pytest.raises(ValueError, match=r"does not fit|must be smaller"):
                explorer.set(**settings)
            assert explorer._view.picture is before
    assert drawn > 300


@pytest.mark.parametrize("mode", MODES)
def test_several_channels(mode):
    explorer = WindowExplorer(mode=mode, sliders=("channels", "pad"), b=-1)
    for channels, pad in itertools.product((1, 2, 3, 4), (0, 1, 2)):
        explorer.set(channels=channels, pad=pad, stride=1 + pad)
        check_picture(explorer)
        if mode == "convolution" and channels > 1:
            sums = np.array(
                [
                    [float(t.replace("−", "-")) for t in row]
                    for row in explorer._view.picture["sums"][0]
                ]
            )
            assert np.allclose(sums.sum(0) - 1, explorer.output.ravel())
    assert explorer.controls["channels"].max == 4


def test_the_book_s_numbers():
    explorer = WindowExplorer()
    assert explorer.output.tolist() == [[15, 16], [6, 15]]
    explorer.bias = 3
    assert explorer.output.tolist() == [[18, 19], [9, 18]]
    assert numbers(explorer, "out0").tolist() == [[18, 19], [9, 18]]
    explorer.pad = np.int64(1)
    assert explorer.output.shape == (4, 4)


def test_sliders_and_traits_follow_each_other():
    explorer = WindowExplorer(modes=["convolution", "im2col"])
    for name in SLIDERS:
        value = getattr(explorer, name) + 1
        explorer.controls[name].value = value
        assert getattr(explorer, name) == value == explorer.values[name]
    for name in SLIDERS:
        setattr(explorer, name, value := getattr(explorer, name) - 1)
        assert explorer.controls[name].value == value
    explorer.controls["mode"].value = "im2col"
    assert explorer.mode == "im2col" == explorer._view.picture["mode"]
    explorer.mode = "convolution"
    assert explorer.controls["mode"].value == "convolution"
    explorer.stride = 9  # beyond the slider's end, which moves
    assert explorer.controls["stride"].value == explorer.controls["stride"].max == 9


def test_a_description_set_by_hand_stays():
    explorer = WindowExplorer(modes=["convolution", "max pooling"])
    explorer.controls["pad"].description = "margin"
    explorer.mode = "max pooling"
    assert explorer.controls["pad"].description == "margin"
    assert explorer.controls["filter_height"].description == "window height FH"
    explorer.set(mode="convolution", height=5)
    assert explorer.controls["pad"].description == "margin"
    assert explorer.controls["filter_height"].description == "filter height FH"


def test_one_message_for_each_change():
    explorer, pictures = WindowExplorer(), []
    explorer._view.observe(lambda change: pictures.append(change.new), "picture")
    explorer.controls["pad"].value = 1
    explorer.set(height=6, width=6, stride=2)
    explorer.stride = 1
    assert [p["sizes"]["p"] for p in pictures] == [4, 3, 6]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"filter_height": 5}, "does not fit into the padded input"),
        ({"stride": 0}, "stride must be at least 1, got 0"),
        ({"stride": 1.5}, "stride must be a whole number, got 1.5"),
        ({"stride": 10**6}, "stride must be at most 64, got 1000000"),
        ({"stride": 10**30}, "stride must be at most 64"),
        ({"pad": 10**9}, "pad must be at most 64"),
        ({"filter_width": 10**9}, "filter width must be at most 64"),
        ({"pad": -1}, "pad must be at least 0, got -1"),
        ({"height": 65}, "at most 64"),
        ({"channels": 5}, "channels must be at most 4"),
        ({"bias": np.nan}, "bias must be finite"),
        ({"bias": "many"}, "bias must be numbers"),
        ({"bias": [[1]]}, r"bias must be one number, or \(FN,\), got shape \(1, 1\)"),
        ({"bias": [1, 2, 3, 4]}, r"bias must be one number, or \(FN,\), got shape \(4,\)"),
        ({"filters": 4}, "filters must be at most 3, got 4"),
        ({"mode": "backward", "filters": 2}, "one filter, got FN = 2"),
        ({"mode": "sorting"}, "mode must be one of"),
        ({"mode": "max pooling", "pad": 3}, "must be smaller than the pooling window"),
        ({"depth": 3}, "no setting 'depth'"),
    ],
)
def test_impossible_settings_from_python_leave_the_state(settings, sentence):
    explorer = WindowExplorer(modes=MODES)
    before = repr(explorer)
    with pytest.raises(ValueError, match=sentence):
        explorer.set(**settings)
    if len(settings) == 1 and "depth" not in settings:
        ((name, value),) = settings.items()
        with pytest.raises(ValueError, match=sentence):
            setattr(explorer, name, value)
    assert repr(explorer) == before


@pytest.mark.parametrize(
    "name", [*AXES, "width", "filter_width", "channels", "bias", "mode", "step"]
)
@pytest.mark.parametrize("value", [None, "two", [1], np.nan, np.inf, -1.5])
def test_a_refused_value_does_not_stick(name, value):
    explorer = WindowExplorer()
    before, pictured = getattr(explorer, name), explorer._view.picture
    if name == "bias" and value in (-1.5, [1]):
        return  # these are possible
    with pytest.raises(ValueError, match=name.partition("_")[0]):
        setattr(explorer, name, value)
    assert getattr(explorer, name) == before and explorer._view.picture is pictured
    explorer.pad = 1  # the next change finds a state that is possible
    assert explorer.output.shape == (4, 4)


@pytest.mark.parametrize("mode", MODES)
def test_the_largest_stride_is_drawn_like_any_other(mode):
    explorer = WindowExplorer(mode=mode)
    explorer.stride = 64
    check_picture(explorer)
    assert explorer.output.shape == (1, 1)


def test_an_impossible_slider_shows_a_sentence_and_the_picture_stays():
    explorer = WindowExplorer()
    before = explorer._view.picture
    explorer.controls["filter_height"].value = 5
    assert "does not fit into the padded input of size 4" in explorer.message
    assert explorer._view.picture is before
    assert explorer.filter_height == 3
    explorer.controls["pad"].value = 1  # possible again, with the filter that was asked for
    assert explorer.message == ""
    assert explorer.output.shape == (2, 4)
    explorer.controls["height"].value = 2
    assert explorer.message
    explorer.stride = 2  # from Python: the sliders go back to the state
    assert explorer.message == "" and explorer.controls["height"].value == explorer.height == 4


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"x": np.zeros((2, 4, 4)), "W": np.zeros((3, 3))}, "x has 2 channels and the filter"),
        ({"x": np.zeros(4)}, "x must be"),
        ({"x": np.zeros((5, 4, 4))}, r"at most \(4, 64, 64\)"),
        ({"W": [[1, np.inf]]}, "W must be finite"),
        ({"mode": "median"}, "mode must be one of"),
        ({"modes": ["median"]}, "mode must be one of"),
        ({"sliders": ["depth"]}, "slider must be one of .* got 'depth'"),
        ({"step": 4}, "steps 0 to 3"),
        ({"dout": np.zeros((3, 3))}, "output's shape"),
        ({"pad": 3, "mode": "average pooling"}, "must be smaller"),
    ],
)
def test_impossible_arguments(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        WindowExplorer(**arguments)


def test_numbers_can_be_set_from_python():
    explorer = WindowExplorer()
    explorer.input = np.arange(30).reshape(5, 6)
    assert (explorer.height, explorer.width) == (5, 6)
    explorer.filter = [[1, 0], [0, -1]]
    assert np.array_equal(explorer.output, np.full((4, 5), -7))
    assert np.array_equal(numbers(explorer, "out0"), explorer.output)
    explorer.input = np.ones((3, 4, 4))
    assert explorer.channels == 3 and explorer.filter.shape == (3, 2, 2)
    explorer.gradient = np.ones((3, 3))
    assert explorer.dx.shape == (3, 4, 4)
    copy = explorer.input
    copy[:] = 9
    assert (explorer.input == 1).all()
    before = repr(explorer)
    with pytest.raises(ValueError, match="does not fit"):
        explorer.filter = np.ones((5, 5))
    with pytest.raises(ValueError, match="finite"):
        explorer.input = [[np.nan]]
    assert repr(explorer) == before


def test_new_cells_are_small_whole_numbers_and_always_the_same():
    one, other = WindowExplorer(), WindowExplorer()
    one.set(height=9, width=7)
    other.width = 7
    other.height = 12
    other.height = 9
    assert np.array_equal(one.input, other.input)
    assert one.input[:4, :4].tolist() == [[1, 2, 3, 0], [0, 1, 2, 3], [3, 0, 1, 2], [2, 3, 0, 1]]
    assert set(np.unique(one.input)) == {0, 1, 2, 3}


def test_what_the_browser_asks_for():
    explorer = WindowExplorer(stride=3, x=np.ones((7, 7)), W=np.ones((3, 3)))

    def ask(**content):
        explorer._answer(explorer._view, content, [])

    ask(grid="x0", row=1, column=2, value="−4.5")
    assert explorer.input[1, 2] == -4.5
    ask(grid="W00", row=0, column=0, value="2")
    assert explorer.filter[0, 0] == 2
    ask(grid="b0", row=0, column=0, value="1e1")
    assert explorer.bias == 10
    other = WindowExplorer(mode="backward")
    other._answer(other._view, {"grid": "dout", "row": 1, "column": 0, "value": "7"}, [])
    assert other.gradient[1, 0] == 7
    for wrong in ("seven", "", "nan", "inf"):
        ask(grid="x0", row=0, column=0, value=wrong)
        assert "is not a number" in explorer.message and explorer.input[0, 0] == 1
    offer = explorer._view.picture["formula"][0]["offers"][1]
    assert offer == {"setting": "stride", "label": "stride", "value": 2}
    ask(setting="stride", value=2)
    assert explorer.stride == 2 and explorer.message == ""
    assert explorer._view.picture["formula"][0]["offers"] == []


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode not in (ELEMENT, "product")])
def test_every_offer_divides_and_is_possible(mode):
    explorer, offers = WindowExplorer(mode=mode), 0
    for height, filter_height, stride, pad in itertools.product(
        range(3, 10), (2, 3), (2, 3, 4), (0, 1)
    ):
        settings = {"height": height, "width": 6, "filter_height": filter_height, "filter_width": 2}
        settings |= {"stride": stride, "pad": pad}
        explorer.set(**settings)
        for k, size in enumerate(("height", "width")):
            for offer in explorer._view.picture["formula"][k]["offers"]:
                explorer.set(**{offer["setting"]: offer["value"]})
                left = getattr(explorer, size) + 2 * explorer.pad
                left -= getattr(explorer, f"filter_{size}")
                assert left % explorer.stride == 0
                explorer.set(**settings)
                offers += 1
    assert offers > 100


def test_the_step_follows_the_browser_and_stays_inside():
    explorer = WindowExplorer()
    explorer.step = 3
    assert explorer._view.step == 3
    explorer._view.step = 2
    assert explorer.step == 2
    explorer.filter_height = 4  # two windows are left, in one row
    assert explorer.step == explorer._view.step == 0
    explorer._view.step = 3  # too late, meant for the former picture
    assert explorer.step == explorer._view.step == 0
    with pytest.raises(ValueError, match="steps 0 to 1"):
        explorer.step = 2


def test_filter_and_window_in_play_stay_when_the_number_of_windows_changes():
    explorer = WindowExplorer(np.ones((5, 6)), np.ones((2, 1, 3, 3)))
    explorer.step = (1 * 3 + 1) * 4 + 2  # filter 1, row 1, column 2 of 3 x 4 windows
    explorer.pad = 1
    assert explorer.step == (1 * 5 + 1) * 6 + 2
    explorer.set(pad=0, stride=2)  # 2 x 2 windows: the last column is 1
    assert explorer.step == (1 * 2 + 1) * 2 + 1
    explorer.filters = 1
    assert explorer.step == 1 * 2 + 1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("channels", [1, 3])
def test_saved_notebooks_show_text_and_picture(mode, channels):
    explorer = WindowExplorer(mode=mode, pad=1, step=5)
    explorer.channels = channels
    data, metadata = explorer._repr_mimebundle_()
    text = data["text/plain"]
    assert text.startswith(f"WindowExplorer, {mode}: input ") and "0x" not in text
    assert "stride 1, pad 1" in text and str(explorer.output.shape[-2:])[1:-1] in text + "4, 4"
    assert data["image/png"].startswith("iVBOR")
    assert metadata["image/png"]["alt"] == explorer.figure.alt
    assert metadata["image/png"]["width"] <= style.MAX_WIDTH
    assert "application/vnd.jupyter.widget-view+json" in data
    explorer.controls["filter_height"].value = 5
    explorer.controls["height"].value = 1
    assert explorer.message and repr(explorer).endswith(explorer.message)


@pytest.mark.parametrize("mode", MODES)
def test_every_step_has_a_static_picture(mode):
    explorer = WindowExplorer(np.arange(2 * 4 * 5).reshape(2, 4, 5), mode=mode, stride=2, pad=1)
    for step in range(np.prod(explorer.output.shape[-2:])):
        explorer.step = step
        assert explorer.figure.alt
    explorer.set(channels=1, height=28, width=28, stride=1, pad=2)
    assert style.size(explorer.figure)[0] <= style.MAX_WIDTH


def outlined(figure):
    """Return the frames around windows, and around what belongs to them."""
    vermilion = to_rgb(style.ROLES["window"])
    return [p for p in figure.axes[0].patches if p.get_edgecolor()[:3] == vermilion]


@pytest.mark.parametrize("mode", ["convolution", "max pooling"])
def test_the_picture_of_a_small_case_shows_all_windows_and_the_output_filling(mode):
    figure = WindowExplorer(mode=mode).figure
    seen = [t.get_text() for t in texts(figure) if (t.get_gid() or "").startswith("output[")]
    output = [f"{value:.0f}" for value in WindowExplorer(mode=mode).output.ravel()]
    assert seen == [text for k in range(4) for text in output[: k + 1]]
    assert len(outlined(figure)) == 2 * 4  # in the input and in the output
    assert "all 4 windows" in figure.alt


@pytest.mark.parametrize("mode", MODES)
def test_the_picture_writes_the_numbers_and_marks_the_window(mode):
    explorer = WindowExplorer(mode=mode, pad=1, step=6, b=2)
    drawn = explorer.figure
    check(drawn)
    check_layout(drawn)
    for key, grid in explorer._view.picture["grids"].items():
        assert np.array_equal(matrix(numbers_of(drawn, grid["name"])), numbers(explorer, key))
    assert len(outlined(drawn)) == (2 if mode in ("convolution", *POOLING, "im2col") else 3)
    assert ("element 7 of 9" if mode == ELEMENT else "window 7 of 16") in drawn.alt


@pytest.mark.parametrize("mode", MODES)
def test_the_picture_of_channels_and_of_images_fits_its_card(mode):
    deep = WindowExplorer(np.arange(50).reshape(2, 5, 5) - 9, mode=mode, pad=1, b=1)
    wide = WindowExplorer(np.ones((28, 28)) / 3, np.ones((5, 5)), mode=mode)
    for explorer in (deep, wide, WindowExplorer([[7]], [[1]], mode=mode)):
        check(explorer.figure)
        check_layout(explorer.figure)


def test_bias_and_formula_are_shown_only_where_asked():
    explorer = WindowExplorer(bias=False, formula=False)
    assert set(explorer._view.picture["grids"]) == {"x0", "W00", "out0"}
    assert explorer._view.picture["layout"] == ["x0", "⊛", "W00", "=", "out0"]
    assert explorer._view.picture["formula"] == []
    assert "bias" not in explorer.figure.alt
    explorer.bias = 2  # what counts is not hidden
    assert "b0" in explorer._view.picture["grids"]


def test_reset_goes_back_to_the_start():
    explorer = WindowExplorer(pad=1, step=5, reveal=True)
    before = repr(explorer)
    explorer.input = np.zeros((7, 5))
    explorer.set(stride=2, bias=4)
    explorer.controls["filter_height"].value = 1
    explorer._answer(explorer._view, {"reset": True}, [])
    assert repr(explorer) == before and explorer.step == 0
    assert explorer.values["stride"] == 1 and explorer.controls["height"].value == 4


def test_a_mistyped_number_is_told_and_a_comma_is_understood():
    explorer = WindowExplorer()
    explorer._answer(explorer._view, {"grid": "x0", "row": 0, "column": 0, "value": "1,5"}, [])
    assert explorer.input[0, 0] == 1.5 and explorer.message == ""
    explorer._answer(explorer._view, {"grid": "x0", "row": 0, "column": 0, "value": "1.5.2"}, [])
    assert "is not a number" in explorer.message and not explorer._view.stale
    explorer.controls["height"].value = 1
    assert "does not fit" in explorer.message and explorer._view.stale
    explorer.controls["height"].value = 5
    assert explorer.message == "" and not explorer._view.stale


def test_a_picture_is_plain_data():
    for mode in MODES:
        explorer = WindowExplorer(np.ones((2, 5, 5)), mode=mode, pad=1)
        picture = dict(explorer._view.picture)
        for grid in picture["grids"].values():
            assert len(grid.pop("shade")) == grid["rows"] * grid["columns"]
        json.dumps(picture)


def test_a_large_image_is_sent_quickly_and_whole():
    x = np.random.default_rng(0).random((28, 28))
    for mode in MODES:
        explorer = WindowExplorer(x, np.ones((5, 5)), mode=mode, pad=2)
        check_picture(explorer)
        grids = explorer._view.picture["grids"]
        assert all((g["text"] is None) == (g["rows"] * g["columns"] > 4096) for g in grids.values())
    shade = np.frombuffer(grids["dx0"]["shade"], np.int8).reshape(28, 28)
    dx = Convolution(np.ones((1, 1, 5, 5)), np.zeros(1), pad=2)
    dx.forward(x[np.newaxis, np.newaxis])
    dx = dx.backward(explorer.gradient[np.newaxis, np.newaxis])[0, 0]
    assert np.abs(shade - 100 * dx / dx.max()).max() <= 0.5


def test_script_and_style_are_files_of_the_package_and_ask_for_nothing():
    folder = Path(cnnlib.widgets.__file__).parent
    files = folder / "keys.js", folder / "window_explorer.js"
    script = "".join(path.read_text(encoding="utf-8") for path in files)
    css = (folder / "window_explorer.css").read_text(encoding="utf-8")
    assert not re.search(r"\bimport\b|\bfetch\(|eval\(", re.sub(r"//.*", "", script))
    addresses = set(re.findall(r"https?://[^\"'\s]+", script + css))
    assert addresses <= {"http://www.w3.org/2000/svg"}
    assert str(WindowExplorer()._view._esm) == script
    assert str(WindowExplorer()._view._css).endswith(css)


def test_pooling_has_windows_and_no_filter():
    explorer = WindowExplorer(modes=["max pooling", "convolution"])
    assert explorer.controls["filter_height"].description == "window height FH"
    assert explorer.controls["mode"].description == "mode"
    assert set(explorer._view.picture["grids"]) == {"x0", "out0"}
    explorer.mode = "convolution"
    assert explorer.controls["filter_height"].description == "filter height FH"


def test_max_pooling_names_the_winner():
    explorer = WindowExplorer([[1, 5, 2], [3, 5, 4]], np.ones((2, 2)), mode="max pooling")
    assert explorer._view.picture["winners"] == [[1, 0]]  # the first of two fives


def test_room_is_kept_for_a_note_only_where_one_can_come():
    def below(**settings):
        return WindowExplorer(**settings)._view.look["below"]

    even = {"x": np.ones((2, 4, 4)), "W": np.ones((2, 2, 2)), "stride": 2}
    assert below(**even, sliders=["channels"]) < below(**even, sliders=["stride"])
    assert below(**even | {"stride": 3}, sliders=[]) == below(**even, sliders=["stride"])


def test_several_filters_over_their_grid():
    rng = np.random.default_rng(3)
    x, W = rng.integers(-3, 4, (3, 5, 6)), rng.integers(-3, 4, (3, 3, 3, 3))
    modes = ["convolution", "product"]
    explorer = WindowExplorer(x, W, [1, -2, 0.5], modes=modes, sliders=["filters", "channels"])
    settings = itertools.product(modes, (3, 1, 2), (3, 2, 1), (1, 2), (0, 1))
    for mode, filters, channels, stride, pad in settings:
        explorer.set(mode=mode, filters=filters, channels=channels, stride=stride, pad=pad)
        check_picture(explorer)
        grids = explorer._view.picture["grids"]
        for f, c in np.ndindex(filters, channels):
            assert numbers(explorer, f"W{f}{c}").tolist() == W[f, c].tolist()
        if mode == "convolution":
            biases = [numbers(explorer, f"b{f}").item() for f in range(filters)]
            assert biases == [1, -2, 0.5][:filters]
        assert f"{'b' if mode == 'convolution' else 'W'}{filters}" not in grids
        assert explorer._state().count == filters * np.prod(explorer.output.shape[-2:])


def lit_cells(explorer, key):
    """List the cells that the stored picture lights up in a grid, counted with the padding."""
    picture = explorer._view.picture
    (grid,) = _with_grids(picture, [key], explorer.step)
    return {
        (row + r, column + c)
        for row, column, high, wide in grid.lit
        for r, c in np.ndindex(high, wide)
    }


@pytest.mark.parametrize(("stride", "pad"), [(1, 0), (2, 0), (2, 1), (3, 2)])
def test_each_step_lights_up_what_plain_loops_find(stride, pad):
    x, W = np.ones((2, 5, 7)), np.ones((2, 2, 3, 2))
    settings = {"stride": stride, "pad": pad, "modes": ["product", "convolution", ELEMENT]}
    explorer = WindowExplorer(x, W, **settings)
    _, OH, OW = explorer.output.shape
    for mode in ("product", "convolution"):
        explorer.mode = mode
        for f, p, q in np.ndindex(2, OH, OW):
            explorer.step = (f * OH + p) * OW + q
            window = {(p * stride + i, q * stride + j) for i, j in np.ndindex(3, 2)}
            for c in (0, 1):
                assert lit_cells(explorer, f"x{c}") == window
                assert lit_cells(explorer, f"W{f}{c}") == set(np.ndindex(3, 2))
                assert lit_cells(explorer, f"W{1 - f}{c}") == set()
            if mode == "convolution":
                assert lit_cells(explorer, f"out{f}") == {(p, q)}
                assert lit_cells(explorer, f"b{f}") == {(0, 0)}
                assert (
                    lit_cells(explorer, f"out{1 - f}") == lit_cells(explorer, f"b{1 - f}") == set()
                )
            else:
                row = p * OW + q
                assert lit_cells(explorer, "col") == {(row, k) for k in range(12)}
                assert lit_cells(explorer, "col_W") == {(k, f) for k in range(12)}
                assert lit_cells(explorer, "product") == {(row, f)}
    explorer.mode = ELEMENT
    for i, j in np.ndindex(3, 2):
        explorer.step = i * 2 + j
        grid = {(p * stride + i, q * stride + j) for p, q in np.ndindex(OH, OW)}
        assert lit_cells(explorer, "x0") == lit_cells(explorer, "x1") == grid
        columns = {(c * 3 + i) * 2 + j for c in (0, 1)}
        assert lit_cells(explorer, "col") == {(r, k) for r in range(OH * OW) for k in columns}


def test_a_slice_may_end_outside_of_the_image():
    explorer = WindowExplorer(np.ones((5, 7)), np.ones((3, 3)), stride=2, mode=ELEMENT, step=7)
    formula, slice_, harmless = explorer._view.picture["said"][7]
    assert formula.endswith("with i = 2, j = 1, S = 2, OH = 2, OW = 3")
    assert "= x[:, :, 2:6:2, 1:7:2], one number of each of the 6 windows: column 7 of col" in slice_
    assert harmless.startswith("i_max = 6 of 5 rows: beyond the image, without harm.")
    shown = " ".join(t.get_text() for t in texts(explorer.figure))
    assert "x[:, :, 2:6:2, 1:7:2]" in shown and "without harm" in shown
    assert len(explorer._view.picture["said"][0]) == 2
    assert explorer._view.picture["grids"]["col"]["step"] == "fills"


def test_how_often_a_number_is_copied_is_shown_on_demand():
    explorer = WindowExplorer(mode="im2col")
    assert set(explorer._view.picture["grids"]) == {"x0", "col"}
    explorer._answer(explorer._view, {"copies": True}, [])
    assert numbers(explorer, "reads").tolist() == [
        [1, 2, 2, 1],
        [2, 4, 4, 2],
        [2, 4, 4, 2],
        [1, 2, 2, 1],
    ]
    assert "times in col" in explorer.figure.alt
    explorer._answer(explorer._view, {"copies": False}, [])
    assert "reads" not in explorer._view.picture["grids"]
    assert "reads" in WindowExplorer(mode="im2col", copies=True)._view.picture["grids"]
    assert WindowExplorer()._view.picture["copies"] is None


def test_an_impossible_filter_is_told_in_a_short_traceback():
    with pytest.raises(ValueError, match="does not fit") as caught:
        WindowExplorer(np.ones((4, 4)), np.ones((5, 5)))
    assert len(traceback.extract_tb(caught.value.__traceback__)) == 2
    assert caught.value.__suppress_context__
