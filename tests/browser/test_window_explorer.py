"""The Window Explorer in a real JupyterLab: keyboard, mouse, editing, times.

The notebook is written here, one explorer in each mode and one with a 28 x 28 image; what the page
shows is compared with an explorer of the test's own, given the same settings.
"""

import re
import statistics

import numpy as np
import pytest

from cnnlib import conv_output_size
from cnnlib.widgets import WindowExplorer
from cnnlib.widgets.explore import LABELS
from cnnlib.widgets.window_explorer import SLIDERS
from cnnlib.widgets.window_picture import MODES

from .sliders import press

CELLS = {
    **{mode: f"WindowExplorer(mode={mode!r})" for mode in MODES},
    "revealed": "WindowExplorer(sliders=[], bias=False, formula=False, reveal=True)",
    "channels": "WindowExplorer(np.arange(50).reshape(2, 5, 5) % 4, b=1, pad=1)",
    "image": "WindowExplorer(load_digits28()[0][0][3, 0], [[-1, 0, 1]] * 3, pad=1)",
    "image im2col": "WindowExplorer(load_digits28()[0][0][3, 0], np.ones((5, 5)), mode='im2col')",
    "two": "WindowExplorer(np.arange(75).reshape(3, 5, 5) % 7 % 4,"
    " np.arange(54).reshape(2, 3, 3, 3) % 5 - 2, b=[1, -2], stride=2, pad=1,"
    " sliders=['filters', 'channels'])",
    "element": "WindowExplorer(np.arange(35).reshape(5, 7), np.ones((3, 3)), stride=2,"
    " modes=['im2col by element', 'im2col'], sliders=['stride', 'pad'], reveal=True)",
}
SETUP = """import numpy as np
from cnnlib import load_digits28
from cnnlib.widgets import WindowExplorer"""
# What a grid says: its numbers as they are written, line by line.
TEXTS = """svg => [...svg.querySelectorAll(".numbers text:not(.ring)")].map(t => t.textContent)"""
# Bounding boxes of what is lit in a grid, in cells: [row, column, height, width].
LIT = """(svg, kind) => {
  const [first] = svg.getElementsByClassName("edge");
  const columns = Number(svg.getAttribute("aria-colcount"));
  const w = first.width.baseVal.value / columns;
  const h = first.height.baseVal.value / Number(svg.getAttribute("aria-rowcount"));
  const pad = [first.y.baseVal.value / h, first.x.baseVal.value / w];
  const path = svg.querySelector(`.marks .${kind}`);
  return (path?.getAttribute("d").match(/M[^z]*z/g) ?? []).map(d => {
    const [x, y, wide, high] = d.match(/-?[\\d.]+/g).map(Number);
    return [y / h - pad[0], x / w - pad[1], high / h, wide / w].map(Math.round);
  });
}"""
# Hovers over points of a grid within the page, and measures each until the frame is ready.
HOVER = """svg => {
  const box = svg.getBoundingClientRect(), times = [];
  for (let k = 0; k < 60; k++) {
    const [x, y] = [(k * 37 % 100) / 100, (k * 61 % 100) / 100];
    const start = performance.now();
    svg.dispatchEvent(new PointerEvent("pointermove", {bubbles: true,
      clientX: box.left + x * box.width, clientY: box.top + y * box.height}));
    document.body.getBoundingClientRect();  // layout is part of it
    times.push(performance.now() - start);
  }
  return times;
}"""


def area(page, name):
    return page.locator(".jp-Notebook .jp-CodeCell").nth(1 + list(CELLS).index(name))


def grid(page, name, key):
    return area(page, name).locator(f'svg[data-key="{key}"]')


def twin(name):
    names = {"np": np, "WindowExplorer": WindowExplorer}
    exec(SETUP, names)
    return eval(CELLS[name], names)


def assert_shows(page, name, explorer):
    """Compare shapes and numbers on the page with those of an explorer."""
    OH, OW = (
        conv_output_size(
            getattr(explorer, size),
            getattr(explorer, f"filter_{size}"),
            explorer.stride,
            explorer.pad,
        )
        for size in ("height", "width")
    )
    assert re.search(rf"{OH}, {OW}\)", area(page, name).locator(".summary").inner_text())
    for key, sent in explorer._view.picture["grids"].items():
        shown = grid(page, name, key)
        assert int(shown.get_attribute("aria-rowcount")) == sent["rows"]
        assert int(shown.get_attribute("aria-colcount")) == sent["columns"]
        texts = shown.evaluate(TEXTS)
        if texts:  # else the cells are too small for numbers
            assert texts == sent["text"], f"{name}, {key}"
    if explorer.mode == "convolution" and explorer.output.size < 50 and explorer.filters == 1:
        texts = grid(page, name, "out0").evaluate(TEXTS)
        assert [float(t.replace("−", "-")) for t in texts] == explorer.output.ravel().tolist()


@pytest.mark.parametrize(
    "name", [name for name in CELLS if name not in ("revealed", "two", "element")]
)
def test_each_slider_by_keyboard(page, name, say):
    explorer, times, wrong = twin(name), [], []
    assert_shows(page, name, explorer)
    cell = area(page, name)
    for setting in SLIDERS:
        label = LABELS[setting].replace("filter", "(filter|window)")
        handle = cell.get_by_role("slider", name=re.compile(f"^{label}$"))
        end = float(handle.get_attribute("aria-valuemax")) == getattr(explorer, setting)
        keys = ("ArrowLeft", "ArrowRight") if end else ("ArrowRight", "ArrowLeft")
        for key, by in zip(keys, (1, -1), strict=True):
            ms, heights = press(handle, key)
            times.append(ms)
            if max(heights) - min(heights) > 1:
                wrong.append(f"{setting}, {key}: the height jumps, {heights}")
            value = getattr(explorer, setting) + (-by if end else by)
            explorer.set(**{setting: value})
            assert_shows(page, name, explorer)
    median = statistics.median(times)
    say(f"Window Explorer, {name}: median {median:.0f} ms from key press to changed picture")
    assert not wrong + page.console_errors


def test_an_impossible_slider_says_so_and_keeps_the_picture(page):
    explorer = twin("convolution")
    cell = area(page, "convolution")
    handle = cell.get_by_role("slider", name="filter height FH")
    handle.focus()
    handle.press("End")
    message = cell.locator(".message")
    message.filter(has_text="does not fit into the padded input").wait_for()
    assert_shows(page, "convolution", explorer)
    for _ in range(2):
        handle.press("ArrowLeft")
    message.wait_for(state="hidden")
    cell.locator(".summary", has_text="(2, 2)").wait_for()
    assert_shows(page, "convolution", explorer)


def hover(page, name, key, row, column):
    cell = grid(page, name, key).locator(f'[data-at="{row},{column}"]')
    cell.scroll_into_view_if_needed()
    page.wait_for_timeout(50)
    box = cell.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


def lit(page, name, key, kind="window"):
    return sorted(grid(page, name, key).evaluate(LIT, kind))


def said(page, name):
    return area(page, name).locator(".sum").inner_text()


def test_hover_on_an_output_lights_its_window_and_writes_the_sum(page):
    hover(page, "convolution", "out0", 0, 1)
    assert lit(page, "convolution", "x0") == [[0, 1, 3, 3]]
    assert lit(page, "convolution", "out0") == [[0, 1, 1, 1]]
    assert said(page, "convolution") == (
        "out[0, 1] = 2·2 + 3·0 + 0·1 + 1·0 + 2·1 + 3·2 + 0·1 + 1·0 + 2·2 = 16"
    )
    hover(page, "channels", "out0", 1, 2)
    explorer = twin("channels")
    for c in (0, 1):
        assert lit(page, "channels", f"x{c}") == [[0, 1, 3, 3]]
    total = int(explorer.output[1, 2])
    sums = [int(explorer._view.picture["sums"][0][c][1 * 5 + 2]) for c in (0, 1)]
    assert f"out[1, 2] = {sums[0]} + {sums[1]} + 1 (bias) = {total}" in said(page, "channels")
    for c, number in enumerate(sums):
        assert re.search(rf"sum\[{c}\] = .* = {number}$", said(page, "channels"), re.M)


def test_hover_on_an_input_lights_every_output_it_feeds(page):
    hover(page, "convolution", "x0", 1, 1)
    assert lit(page, "convolution", "out0") == [[p, q, 1, 1] for p in (0, 1) for q in (0, 1)]
    assert said(page, "convolution").startswith(
        "x[1, 1] = 1 is read by 4 windows: times 1 for [0, 0], times 0 for"
    )
    hover(page, "convolution", "x0", 0, 3)
    assert lit(page, "convolution", "out0") == [[0, 1, 1, 1]]


def test_hover_in_pooling(page):
    hover(page, "max pooling", "out0", 1, 0)
    assert lit(page, "max pooling", "x0") == [[1, 0, 3, 3]]
    assert lit(page, "max pooling", "x0", "cell") == [[2, 0, 1, 1]]  # the first of the threes
    assert said(page, "max pooling") == "out[1, 0] = max(0, 1, 2, 3, 0, 1, 2, 3, 0) = 3"
    hover(page, "average pooling", "out0", 0, 0)
    assert said(page, "average pooling") == (
        "out[0, 0] = (1 + 2 + 3 + 0 + 1 + 2 + 3 + 0 + 1) / 9 = 1.44"
    )


def test_hover_in_im2col(page):
    hover(page, "im2col", "col", 1, 5)
    assert lit(page, "im2col", "col") == [[1, 0, 1, 9]]
    assert lit(page, "im2col", "x0") == [[0, 1, 3, 3]]
    assert lit(page, "im2col", "x0", "cell") == [[1, 3, 1, 1]]  # element 5: row 1, column 2
    hover(page, "im2col", "x0", 1, 1)
    assert lit(page, "im2col", "col") == [
        [0, 4, 1, 1],
        [1, 3, 1, 1],
        [2, 1, 1, 1],
        [3, 0, 1, 1],
    ]
    assert said(page, "im2col") == "x[1, 1] = 1 is read by 4 windows: row 0, row 1, row 2, row 3"
    box, reads = area(page, "im2col").locator(".counted"), grid(page, "im2col", "reads")
    assert not reads.count()
    box.check()
    reads.wait_for()
    assert reads.evaluate(TEXTS)[5] == "4"
    box.uncheck()
    reads.wait_for(state="detached")
    assert not area(page, "convolution").locator(".copies").is_visible()


def test_hover_in_backward(page):
    explorer = twin("backward")
    hover(page, "backward", "dout", 1, 1)
    assert lit(page, "backward", "dx0") == [[1, 1, 3, 3]]
    assert lit(page, "backward", "dcol") == [[3, 0, 1, 9]]
    hover(page, "backward", "dx0", 1, 1)
    assert len(lit(page, "backward", "dout")) == 4 == len(lit(page, "backward", "dcol"))
    assert said(page, "backward") == (
        f"dx[1, 1] = {explorer.dx[1, 1]:.0f}: 1·1 + 2·0 + 3·0 + 4·2 from 4 windows"
    )


@pytest.mark.parametrize("name", CELLS)
def test_hovering_over_every_cell(page, name, say):
    times = [
        ms
        for svg in area(page, name).locator(".grids svg[data-key]").all()
        for ms in svg.evaluate(HOVER)
    ]
    say(f"Window Explorer, {name}: hover, median {statistics.median(times):.1f} ms")
    assert not page.console_errors


def test_keyboard_alone_moves_edits_and_plays(page):
    name, explorer = "convolution", twin("convolution")
    page.mouse.move(5, 5)
    out = grid(page, name, "out0")
    out.locator('[tabindex="0"]').focus()
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == (
        "output row 0 column 0: 15"
    )
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == (
        "output row 1 column 1: 15"
    )
    assert lit(page, name, "x0") == [[1, 1, 3, 3]]
    assert "window 4 of 4" in area(page, name).inner_text()
    grid(page, name, "x0").locator('[tabindex="0"]').focus()
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    page.keyboard.type("7")
    page.keyboard.press("Enter")
    changed = explorer.input
    changed[0, 3] = 7
    explorer.input = changed
    out.locator('[aria-label="output row 0 column 1: 23"]').wait_for()
    assert_shows(page, name, explorer)
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == (
        "input row 0 column 3: 7"
    )
    page.keyboard.type("x")  # no number: nothing happens
    page.keyboard.press("F2")
    page.keyboard.type("nothing")
    page.keyboard.press("Escape")
    assert_shows(page, name, explorer)
    page.keyboard.press("0")  # a digit begins to edit, too
    page.keyboard.press("Enter")
    out.locator('[aria-label="output row 0 column 1: 16"]').wait_for()
    play = area(page, name).locator(".play")
    play.press("Enter")
    area(page, name).locator(".where", has_text="window 2 of 4").wait_for()
    assert "Pause" in play.inner_text()
    play.press("Enter")
    before = said(page, name)
    area(page, name).locator(".next").press("Enter")
    assert said(page, name) != before
    area(page, name).locator(".back").press("Enter")
    assert said(page, name) == before
    assert not page.console_errors


def filled(page, name):
    """Read the output as it is seen, with "" for a blank cell."""
    texts = grid(page, name, "out0").locator(".numbers text")
    return [t.inner_html() if t.is_visible() else "" for t in texts.all()]


def test_outputs_fill_as_the_window_passes(page):
    name, cell = "revealed", area(page, "revealed")
    page.mouse.move(5, 5)
    assert set(twin(name)._view.picture["grids"]) == {"x0", "W00", "out0"}
    cell.scroll_into_view_if_needed()
    grid(page, name, "out0").wait_for()
    assert cell.locator(".formula").text_content() == "output (OH, OW) = (2, 2)"
    assert filled(page, name) == ["15", "", "", ""]
    hover(page, name, "out0", 1, 1)
    assert said(page, name).endswith("= ?")
    page.mouse.move(5, 5)
    cell.locator(".next").press("Enter")
    cell.locator(".where", has_text="window 2 of 4").wait_for()
    assert filled(page, name) == ["15", "16", "", ""]
    cell.locator(".back").press("Enter")
    assert filled(page, name) == ["15", "16", "", ""]
    cell.locator(".all").check()
    assert filled(page, name) == ["15", "16", "6", "15"]
    grid(page, name, "x0").locator('[data-at="0,0"]').dblclick()
    page.keyboard.type("0")
    page.keyboard.press("Enter")
    grid(page, name, "out0").locator('[aria-label="output row 0 column 0: 13"]').wait_for()
    cell.locator(".next").press("Enter")
    cell.locator(".reset").press("Enter")
    grid(page, name, "out0").locator('[aria-label="output row 0 column 0: 15"]').wait_for()
    assert filled(page, name) == ["15", "", "", ""]
    assert "window 1 of 4" in cell.inner_text()
    assert not page.console_errors


def test_a_mistyped_number_is_told_and_forgotten(page):
    name, cell = "revealed", area(page, "revealed")
    for typed, shown in (("1,5", "1.5"), ("1.2.3", "1.5")):
        grid(page, name, "x0").locator('[data-at="1,0"]').dblclick()
        field = cell.locator(".grids input")
        room = cell.locator(".grids").bounding_box()
        assert field.bounding_box()["x"] >= room["x"]
        field.fill(typed)
        field.press("Enter")
        grid(page, name, "x0").locator(f'[aria-label="input row 1 column 0: {shown}"]').wait_for()
    cell.locator(".message", has_text="is not a number").wait_for()
    assert "old" not in cell.locator(".grids").get_attribute("class")
    page.keyboard.press("ArrowRight")
    cell.locator(".message").wait_for(state="hidden")
    cell.locator(".reset").press("Enter")
    assert not page.console_errors


def test_each_view_has_a_hatching_of_its_own(page):
    ids = page.locator(".cnnlib-view pattern").evaluate_all("all => all.map(p => p.id)")
    assert len(set(ids)) == len(ids) == len(CELLS)
    for name, id in zip(CELLS, ids, strict=True):
        fills = (
            area(page, name)
            .locator(".unread")
            .evaluate_all("all => all.map(p => p.getAttribute('fill'))")
        )
        assert set(fills) == {f"url(#{id})"}


def test_an_offer_is_taken(page):
    name, cell = "im2col", area(page, "im2col")
    handle = cell.get_by_role("slider", name="height H")
    handle.focus()
    handle.press("ArrowRight")
    handle = cell.get_by_role("slider", name="stride S")
    handle.focus()
    handle.press("ArrowRight")
    handle.press("ArrowRight")
    cell.locator(".note button", has_text=re.compile(r"^height 6$")).press("Enter")
    explorer = twin(name)
    explorer.set(height=6, stride=3)
    grid(page, name, "x0").locator('[data-at="5,0"]').wait_for()
    assert_shows(page, name, explorer)
    assert cell.locator(".note").count() == 1  # the columns still do not divide
    assert not page.console_errors


def steps_to(page, name, text):
    area(page, name).locator(".where", has_text=text).wait_for()


def test_two_filters_by_mouse_and_by_keyboard_on_one_screen(page):
    name, cell, explorer = "two", area(page, "two"), twin("two")
    page.set_viewport_size({"width": 1366, "height": 768})
    page.mouse.move(5, 5)
    output = cell.locator(".jp-OutputArea-output").last
    output.scroll_into_view_if_needed()
    panel = page.locator(".jp-NotebookPanel .jp-WindowedPanel-outer").bounding_box()
    assert output.bounding_box()["height"] <= panel["height"]
    assert_shows(page, name, explorer)
    for f in (0, 1):
        shown = [float(t.replace("−", "-")) for t in grid(page, name, f"out{f}").evaluate(TEXTS)]
        assert shown == explorer.output[f].ravel().tolist()

    def in_play(f, p, q):
        steps_to(page, name, f"window {3 * p + q + 1} of 9, filter {f + 1} of 2")
        for c in range(3):
            assert lit(page, name, f"x{c}") == [[2 * p - 1, 2 * q - 1, 3, 3]]
            assert lit(page, name, f"W{f}{c}") == [[0, 0, 3, 3]]
            assert lit(page, name, f"W{1 - f}{c}") == []
        assert lit(page, name, f"b{f}") == [[0, 0, 1, 1]]
        assert lit(page, name, f"out{f}") == [[p, q, 1, 1]]
        assert lit(page, name, f"out{1 - f}") == lit(page, name, f"b{1 - f}") == []
        total, bias = explorer.output[f, p, q], explorer.bias[f]
        written = said(page, name).splitlines()[-1].replace("−", "-")
        assert re.search(
            rf"^out\[{f}, {p}, {q}\] = .*\(?{bias:.0f}\)? \(bias\) = {total:.0f}$", written
        )

    in_play(0, 0, 0)
    for _ in range(9):  # all positions of the first filter, then the second
        cell.locator(".next").press("Enter")
    in_play(1, 0, 0)
    hover(page, name, "out0", 1, 2)
    in_play(0, 1, 2)
    page.mouse.move(5, 5)
    in_play(1, 0, 0)
    grid(page, name, "out1").locator('[data-at="2,1"]').click()
    in_play(1, 2, 1)
    page.keyboard.press("ArrowUp")
    in_play(1, 1, 1)
    hover(page, name, "W12", 0, 1)  # the weight meets the same element of all windows
    assert lit(page, name, "x2") == [[2 * p - 1, 2 * q, 1, 1] for p in range(3) for q in range(3)]
    assert lit(page, name, "x1") == []
    grid(page, name, "b1").locator('[data-at="0,0"]').dblclick()
    page.keyboard.type("5")
    page.keyboard.press("Enter")
    page.mouse.move(5, 5)
    explorer.bias = (1, 5)
    number = f"{explorer.output[1, 0, 0]:.0f}".replace("-", "−")
    grid(page, name, "out1").locator(
        f'[aria-label="output[1] row 0 column 0: {number}"]'
    ).wait_for()
    assert_shows(page, name, explorer)
    handle = cell.get_by_role("slider", name="filters FN")
    for key, filters in (("Home", 1), ("End", 3)):
        handle.press(key)
        explorer.filters = filters
        cell.locator(f'svg[data-key="out{filters - 1}"]').wait_for()
        grid(page, name, f"out{filters}").wait_for(state="detached")
        assert_shows(page, name, explorer)
    assert not page.console_errors


def test_im2col_by_element_by_mouse_and_by_keyboard(page):
    name, cell, explorer = "element", area(page, "element"), twin("element")
    page.mouse.move(5, 5)

    def in_play(i, j):
        steps_to(page, name, f"element {3 * i + j + 1} of 9")
        places = [[r, c, 1, 1] for r in range(i, i + 4, 2) for c in range(j, j + 6, 2)]
        assert lit(page, name, "x0") == places
        assert lit(page, name, "col") == [[0, 3 * i + j, 6, 1]]
        assert lit(page, name, "element") == [[i, j, 1, 1]]
        assert f"= x[:, :, {i}:{i + 4}:2, {j}:{j + 6}:2], one" in said(page, name)
        assert ("i_max" in said(page, name)) == (i == 2) and ("j_max" in said(page, name)) == (
            j == 2
        )

    def columns():
        texts = grid(page, name, "col").locator(".numbers text")
        seen = np.reshape([t.is_visible() for t in texts.all()], (6, 9))
        assert (seen == seen[0]).all()
        return int(seen[0].sum())

    in_play(0, 0)
    assert columns() == 1  # and col fills column by column
    grid(page, name, "element").locator('[tabindex="0"]').focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    in_play(1, 1)
    assert columns() == 5
    hover(page, name, "element", 2, 2)
    in_play(2, 2)
    page.mouse.move(5, 5)
    grid(page, name, "element").locator('[data-at="2,0"]').click()
    in_play(2, 0)
    cell.locator(".next").press("Enter")
    page.mouse.move(5, 5)
    in_play(2, 1)
    assert columns() == 8
    assert np.array_equal(explorer._state().col[:, 7], explorer.input[2:6:2, 1:7:2].ravel())
    hover(page, name, "x0", 2, 4)  # element (0, 2), (0, 0), (2, 2), (2, 0) of four windows
    assert lit(page, name, "col") == [[1, 8, 1, 1], [2, 6, 1, 1], [4, 2, 1, 1], [5, 0, 1, 1]]
    cell.locator("select").select_option("im2col")
    steps_to(page, name, "window")
    grid(page, name, "element").wait_for(state="detached")
    assert not page.console_errors


@pytest.mark.parametrize("width", [1000, 1366])
def test_a_narrow_pane_cuts_nothing(page, width):
    page.set_viewport_size({"width": width, "height": 1000})
    for name in CELLS:
        grids = area(page, name).locator(".grids")
        grids.scroll_into_view_if_needed()  # what is out of sight is drawn when it is reached
        cut = "e => Math.max(e.scrollWidth - e.clientWidth, e.scrollHeight - e.clientHeight)"
        for _ in range(20):
            page.wait_for_timeout(100)
            if grids.evaluate(cut) <= 1:
                break
        assert grids.evaluate(cut) <= 1, f"{name}: {grids.evaluate(cut)} pixels are cut"
    assert not page.console_errors
