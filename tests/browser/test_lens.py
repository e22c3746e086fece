"""The lens in a real JupyterLab: what it shows is what cnnlib says, by keyboard and by mouse."""

import json

import pytest

from .kernel import ask_kernel

SETUP = """from cnnlib import load_digits28
from cnnlib.widgets import Lens
(x, t), _ = load_digits28()
lens = Lens({"two": x[3, 0], "other": x[4, 0]})"""
STATE = """import json
print(json.dumps({
    "chosen": lens.shown["chosen"], "place": list(lens.place), "weights": lens.filter.tolist(),
    "sum": float(lens.output[tuple(lens.place)]), "message": lens.message,
}))"""
SHOWN = """view => view.querySelector("[role=status]").textContent.replace("−", "-")"""
CELLS = ["lens"]


@pytest.fixture
def view(page):
    ask_kernel(page, "lens.choose('two', 'vertical edges'); lens.place = [12, 12]")
    return page.locator(".cnnlib-lens")


def settled(view, wanted):
    """Wait until Python is where it should be and the page says the same; return its state."""
    for _ in range(100):
        state = json.loads(ask_kernel(view.page, STATE))
        row, column = state["place"]
        shown = view.evaluate(SHOWN)
        place, _, total = shown.partition(" = ")
        same = place == f"output[{row}, {column}]" and abs(float(total) - state["sum"]) < 1e-3
        if same and wanted(state):
            return state
        view.page.wait_for_timeout(50)
    raise AssertionError(f"the page shows {shown}, Python says {state}")


def test_arrow_keys_move_the_window(view):
    image = view.locator(".role-input .frame")
    image.press("ArrowDown")
    image.press("ArrowLeft")
    settled(view, lambda state: state["place"] == [13, 11])
    image.press("Shift+ArrowDown")
    settled(view, lambda state: state["place"] == [23, 11])


def test_the_window_follows_the_mouse(view):
    box = view.locator(".role-input .frame").bounding_box()
    pixel = box["width"] / 28
    view.page.mouse.move(box["x"] + 10.5 * pixel, box["y"] + 6.5 * pixel)
    settled(view, lambda state: state["place"] == [5, 9])  # the pointer is in its middle
    box = view.locator(".role-output .frame").bounding_box()
    view.page.mouse.move(box["x"] + 10.5 * pixel, box["y"] + 6.5 * pixel)
    settled(view, lambda state: state["place"] == [6, 10])


def test_a_filter_is_chosen_and_edited_by_keyboard(view):
    view.locator("select").nth(1).select_option("sharpen")
    settled(view, lambda state: state["chosen"] == ["two", "sharpen"])
    fields = view.locator("input:visible")
    assert fields.count() == 9
    fields.nth(4).fill("2,5")
    fields.nth(4).press("ArrowDown")  # to the weight below, which takes the new one
    state = settled(view, lambda state: state["chosen"] == ["two", "your own"])
    assert state["weights"][1] == [-1, 2.5, -1]
    assert fields.nth(7).evaluate("field => field === document.activeElement")
    fields.nth(7).fill("much")
    fields.nth(7).press("Enter")
    view.get_by_text("'much' is not a number; the old one stays").wait_for()
    assert settled(view, lambda state: state["message"])["weights"][2][1] == -1


def test_another_image_is_chosen(view):
    view.locator("select").nth(0).select_option("other")
    settled(view, lambda state: state["chosen"] == ["other", "vertical edges"])
    assert view.locator(".products div").count() == 9
