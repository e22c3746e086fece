"""Widgets side by side in one JupyterLab: what axe finds, keys, the lens, the shape calculator.

What a widget shows is compared with what Python says of it, asked in its kernel.
"""

import json

import pytest

from .axe import violations
from .kernel import ask_kernel

CELLS = {
    "explore": """from cnnlib.figures.convolution import sliding
from cnnlib.widgets import explore
view = explore(sliding, height=(1, 9), width=(1, 9), filter_h=(1, 5), filter_w=(1, 5))
view""",
    "WindowExplorer": "from cnnlib.widgets import WindowExplorer\nWindowExplorer()",
    "ShapeCalculator": """from cnnlib.widgets import ShapeCalculator
calculator = ShapeCalculator()
calculator""",
    "Lens": """from cnnlib import SimpleConvNet, Trainer, load_digits28
from cnnlib.widgets import Lens
train, test = load_digits28()
lens = Lens({"two": train[0][3, 0], "other": train[0][4, 0]})
lens""",
    "ask": 'from cnnlib.widgets import ask\nask("7.1", "one pixel")',
    "TrainingPanel": """from cnnlib.widgets import TrainingPanel
network = SimpleConvNet(rng=0)
TrainingPanel(Trainer(network, *train, *test, 1, 50, "Adam", {"lr": 0.002}, verbose=False))""",
    "DigitPad": "from cnnlib.widgets import DigitPad\nDigitPad(network)",
}
LOOK_AT = """k => document.querySelectorAll(".jp-CodeCell .jp-OutputArea").forEach(
  (area, i) => area.toggleAttribute("data-looked-at", i === k))"""
THEME = "theme => jupyterapp.commands.execute('apputils:change-theme', {theme}).then(() => null)"
COUNTS = """() => jupyterapp.shell.currentWidget.content.widgets
  .map(cell => cell.model.type + (cell.model.executionCount || ""))"""
CONTROLS = {
    "slider": "[role=slider]",
    "menu": "select",
    "button": ".cnnlib-view button",
    "grid": "[role=gridcell][tabindex='0']",
    "radio": "input[type=radio]",
}
LENS = """import json
print(json.dumps({
    "chosen": lens.shown["chosen"], "place": list(lens.place), "weights": lens.filter.tolist(),
    "sum": float(lens.output[tuple(lens.place)]), "message": lens.message,
}))"""
SHOWN = """view => view.querySelector("[role=status]").textContent.replace("−", "-")"""


RUN_CELL = """async index => {
  const {commands, shell} = jupyterapp;
  shell.currentWidget.content.activeCellIndex = index;
  await commands.execute("notebook:run-cell");
}"""


@pytest.fixture
def calculator(page):
    """A new shape calculator."""
    index = list(CELLS).index("ShapeCalculator")
    page.evaluate(RUN_CELL, index)
    output = page.locator(".jp-CodeCell").nth(index).locator(".jp-OutputArea-output")
    output.locator("table").wait_for()
    return output


# ---- accessibility


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("theme", ["JupyterLab Dark", "JupyterLab Light"])
def test_axe_finds_nothing_serious(page, theme, name):
    page.evaluate(THEME, theme)
    page.wait_for_selector(f"body[data-jp-theme-name='{theme}']", state="attached")
    page.evaluate(LOOK_AT, list(CELLS).index(name))
    assert violations(page, within="[data-looked-at]") == []


# ---- keys


@pytest.mark.parametrize("control", CONTROLS.values(), ids=CONTROLS)
def test_letters_do_nothing_to_the_cells(page, control):
    before = page.evaluate(COUNTS)
    place = page.locator(f".jp-OutputArea-output {control}").first
    for key in "xbmadd":
        place.press(key)
    assert ask_kernel(page, "print('heard')") == "heard\n"  # by then JupyterLab has acted
    assert page.evaluate(COUNTS) == before


def test_arrow_keys_choose_from_a_menu(calculator):
    calculator.get_by_label("layer 3").press("ArrowUp")
    calculator.locator("table td", has_text="Pool2").wait_for()


@pytest.mark.parametrize(
    ("typed", "key", "value"),
    [("7", "Tab", 7), ("4", "Enter", 4), ("5,0", "Tab", 5), ("many", "Tab", 3)],
)
def test_a_number_typed_beside_a_slider_counts_when_it_is_left(page, typed, key, value):
    readout = page.locator(".widget-readout").first
    ask_kernel(page, "view.set(height=3)")
    readout.get_by_text("3", exact=True).wait_for()
    readout.fill(typed)
    readout.press(key)
    for _ in range(50):
        found = int(ask_kernel(page, "print(view.values['height'])"))
        if found == value:
            break
        page.wait_for_timeout(100)
    assert found == value and readout.inner_text() == str(value)


def test_shift_enter_on_a_slider_runs_its_cell(page):
    before = page.evaluate(COUNTS)
    page.locator("[role=slider]").first.press("Shift+Enter")
    page.wait_for_function(f"before => `${{({COUNTS})()}}` !== `${{before}}`", arg=before)
    assert len(page.evaluate(COUNTS)) == len(before)
    page.locator("[role=slider]").first.wait_for()


# ---- the lens


@pytest.fixture
def lens(page):
    ask_kernel(page, "lens.choose('two', 'vertical edges'); lens.place = [12, 12]")
    view = page.locator(".cnnlib-lens")
    view.scroll_into_view_if_needed()
    return view


def settled(lens, wanted):
    """Wait until Python is where it should be and the page says the same; return its state."""
    for _ in range(100):
        state = json.loads(ask_kernel(lens.page, LENS))
        row, column = state["place"]
        shown = lens.evaluate(SHOWN)
        place, _, total = shown.partition(" = ")
        same = place == f"output[{row}, {column}]" and abs(float(total) - state["sum"]) < 1e-3
        if same and wanted(state):
            return state
        lens.page.wait_for_timeout(50)
    raise AssertionError(f"the page shows {shown}, Python says {state}")


def test_arrow_keys_move_the_window(lens):
    image = lens.locator(".role-input .frame")
    image.press("ArrowDown")
    image.press("ArrowLeft")
    settled(lens, lambda state: state["place"] == [13, 11])
    image.press("Shift+ArrowDown")
    settled(lens, lambda state: state["place"] == [23, 11])


def test_the_window_follows_the_mouse(lens):
    for plane, place in (("input", [5, 9]), ("output", [6, 10])):  # in the middle, or at the place
        frame = lens.locator(f".role-{plane} .frame")
        frame.wait_for()
        pixel = frame.bounding_box()["width"] / (28 if plane == "input" else 26)
        frame.hover(position={"x": 10.5 * pixel, "y": 6.5 * pixel})
        settled(lens, lambda state, place=place: state["place"] == place)


def test_a_filter_is_chosen_and_edited_by_keyboard(lens):
    lens.locator("select").nth(1).select_option("sharpen")
    settled(lens, lambda state: state["chosen"] == ["two", "sharpen"])
    fields = lens.locator("input:visible")
    assert fields.count() == 9
    fields.nth(4).fill("2,5")
    fields.nth(4).press("ArrowDown")  # to the weight below, which takes the new one
    state = settled(lens, lambda state: state["chosen"] == ["two", "your own"])
    assert state["weights"][1] == [-1, 2.5, -1]
    assert fields.nth(7).evaluate("field => field === document.activeElement")
    fields.nth(7).fill("much")
    fields.nth(7).press("Enter")
    lens.get_by_text("'much' is not a number; the old one stays").wait_for()
    assert settled(lens, lambda state: state["message"])["weights"][2][1] == -1


def test_another_image_is_chosen(lens):
    lens.locator("select").nth(0).select_option("other")
    settled(lens, lambda state: state["chosen"] == ["other", "vertical edges"])
    assert lens.locator(".products div").count() == 9


# ---- the shape calculator


def test_a_number_typed_answers_in_every_line_below_and_an_offer_mends_it(calculator):
    size = calculator.get_by_label("FH").first
    size.press("ArrowUp")  # 6 x 6: then 2 x 2 with stride 2 does not divide
    status = calculator.get_by_role("status")
    status.filter(has_text="stride 2 does not divide 21").wait_for()
    assert calculator.locator("table td", has_text="(30, 11, 11)").count() == 1
    calculator.get_by_role("button", name="Pool1: stride 1").press("Enter")
    status.filter(has_text="Each stride divides").wait_for()
    assert calculator.locator("table td", has_text="(30, 22, 22)").count() == 1
    weights = ask_kernel(calculator.page, "print(calculator.network().table()[-1].parameters)")
    assert (
        calculator.locator("table").inner_text().split("Affine1")[1].split()[1]
        == f"{int(weights):,}"
    )


def test_a_layer_is_added_by_its_menu_and_an_impossible_one_is_explained(calculator):
    calculator.get_by_label("layer 3").select_option("convolution")
    calculator.locator("table td", has_text="Conv2").wait_for()
    calculator.get_by_label("FH").nth(2).fill("40")
    calculator.get_by_label("FH").nth(2).press("Tab")
    calculator.get_by_role("status").filter(has_text="Conv2 is not possible").wait_for()
    assert calculator.locator("table td", has_text="Affine1").count() == 0
