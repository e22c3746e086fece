"""Keys pressed on a control are the control's, and a number typed beside a slider counts."""

import pytest

from .kernel import ask_kernel

CELLS = [
    """from cnnlib.figures.convolution import sliding
from cnnlib.widgets import ShapeCalculator, WindowExplorer, ask, explore
view = explore(sliding, height=(1, 9), width=(1, 9), filter_h=(1, 5), filter_w=(1, 5))
view""",
    "WindowExplorer()",
    "calculator = ShapeCalculator()\ncalculator",
    'ask("7.1", "one pixel")',
]
STATE = """() => jupyterapp.shell.currentWidget.content.widgets
  .map(cell => cell.model.type + (cell.model.executionCount || ""))"""
CONTROLS = {
    "slider": "[role=slider]",
    "menu": "select",
    "button": ".cnnlib-view button",
    "grid": "[role=gridcell][tabindex='0']",
    "radio": "input[type=radio]",
}


@pytest.mark.parametrize("control", CONTROLS.values(), ids=CONTROLS)
def test_letters_do_nothing_to_the_cells(page, control):
    before = page.evaluate(STATE)
    place = page.locator(f".jp-OutputArea-output {control}").first
    for key in "xbmadd":
        place.press(key)
    assert ask_kernel(page, "print('heard')") == "heard\n"  # by then JupyterLab has acted
    assert page.evaluate(STATE) == before


def test_arrow_keys_choose_from_a_menu(page):
    page.get_by_label("layer 3").press("ArrowUp")
    page.locator("table td", has_text="Pool2").wait_for()


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
    before = page.evaluate(STATE)
    page.locator("[role=slider]").first.press("Shift+Enter")
    page.wait_for_function(f"before => `${{({STATE})()}}` !== `${{before}}`", arg=before)
    assert len(page.evaluate(STATE)) == len(before)
    page.locator("[role=slider]").first.wait_for()
