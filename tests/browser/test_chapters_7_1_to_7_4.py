"""Chapters 7.1 to 7.4 in JupyterLab: exercises done, every slider moved, saved and opened again."""

import re

import pytest

from ..test_exercises import WRITTEN
from .sliders import what_is_wrong

NOTEBOOK = "7.3-pooling-layer.ipynb"
# Writes into a cell, if there is something to write, runs it and gives the text it puts out.
RUN = """async ([id, source]) => {
  const app = window.jupyterapp, {content} = app.shell.currentWidget;
  const index = content.widgets.findIndex(cell => cell.model.id === id);
  const cell = content.widgets[index];
  if (source) cell.model.sharedModel.setSource(source);
  content.activeCellIndex = index;
  await app.commands.execute("notebook:run-cell");
  return cell.outputArea.node.innerText;
}"""
EDGE = """id => {
  const {content} = window.jupyterapp.shell.currentWidget;
  const cell = content.widgets.find(cell => cell.model.id === id);
  const card = cell.outputArea.node.querySelector("div[style*=border-left]");
  return getComputedStyle(card).borderLeftColor;
}"""
GREEN, RED, GREY = "rgb(0, 158, 115)", "rgb(213, 94, 0)", "rgb(154, 165, 177)"
# Of each stored output with a PNG, whether it would rather be shown as a widget.
STORED = """() => jupyterapp.shell.currentWidget.content.widgets
  .flatMap(cell => cell.model.type === "code" ? cell.model.outputs.toJSON() : [])
  .map(output => Object.keys(output.data || {}))
  .filter(kinds => kinds.includes("image/png"))
  .map(kinds => kinds.some(kind => kind.includes("widget-view")))"""


def run(page, cell, source=""):
    return page.evaluate(RUN, [cell, source])


@pytest.mark.parametrize("page", [NOTEBOOK], indirect=True)
class TestExercises:
    def test_hint_and_solution_open_with_a_key(self, page):
        named = page.locator("summary", has_text=re.compile("^(Hint|A worked solution)$"))
        details = page.locator(".jp-MarkdownOutput details").filter(has=named)
        assert details.count() == 2 * sum(e.notebook == NOTEBOOK for e in WRITTEN.values())
        assert not page.locator(".jp-MarkdownOutput details[open]").count()
        solution = details.filter(has=page.locator("summary", has_text="A worked solution")).first
        code = solution.locator("pre")
        assert not code.is_visible()
        solution.locator("summary").press("Enter")
        code.wait_for()
        assert "def solution_" in code.inner_text()
        solution.locator("summary").press("Enter")
        code.wait_for(state="hidden")

    def test_a_wrong_answer_is_told_and_the_right_one_counts(self, page):
        stub, check = "exercise-max-pooling-stub", "exercise-max-pooling-check"
        assert "not started yet" in run(page, check)
        assert page.evaluate(EDGE, check) == GREY

        right = WRITTEN["max_pooling"].solution.replace("solution_", "my_")
        run(page, stub, right.replace("-np.inf", "0"))
        told = run(page, check)
        assert "not right yet" in told and "padded with 0" in told
        assert page.evaluate(EDGE, check) == RED

        run(page, stub, right)
        assert "correct" in run(page, check)
        assert page.evaluate(EDGE, check) == GREEN
        assert re.search(r": 1 of \d+ exercises solved", run(page, "exercises-progress"))

    def test_a_prediction_is_answered_by_keyboard(self, page):
        area = page.locator(".jp-Cell-outputArea", has=page.locator(".widget-radio-box")).first
        choices, reply = area.get_by_role("radio"), area.get_by_role("status")
        assert choices.count() >= 2 and not area.locator("input:checked").count()
        reply.filter(has_text="Choose first").wait_for()
        said, verdict = [reply.inner_text()], re.compile("^(Right|Not quite)[.] ")
        group = area.get_by_role("radiogroup")
        assert area.get_by_text(group.get_attribute("aria-label"), exact=True).is_visible()
        choices.first.press("Space")
        for number in range(choices.count()):
            if number:  # one group: an arrow key chooses the next, and Tab leaves it
                choices.nth(number - 1).press("ArrowDown")
            assert choices.nth(number).is_checked() and group.locator("input:checked").count() == 1
            reply.filter(has_text=verdict, has_not_text=said[-1]).wait_for()
            said.append(reply.inner_text())
        assert sum(text.startswith("Right.") for text in said) == 1
        choices.last.press("Tab")
        assert not group.locator(":focus").count()
        assert re.search("✓ 7.3 .*: solved", run(page, "exercises-progress"))


@pytest.mark.parametrize(
    "page",
    [
        "7.1-overall-structure.ipynb",
        "7.2-convolution.ipynb",
        NOTEBOOK,
        "7.4-convolution-and-pooling-layers.ipynb",
    ],
    indirect=True,
)
def test_every_slider_by_keyboard_and_by_mouse(page, say):
    assert not what_is_wrong(page, say)


@pytest.mark.parametrize("page", ["7.1-overall-structure.ipynb"], indirect=True)
def test_a_saved_notebook_shows_its_pictures_without_a_kernel(page, shared_lab):
    """After all else of a chapter: its kernel ends."""
    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    page.wait_for_function("() => !jupyterapp.shell.currentWidget.context.model.dirty")
    shared_lab.close()  # the page and its kernel
    page = shared_lab.open_without_running(page.name)
    views = page.locator(".jp-OutputArea-output")
    shown = page.locator(".jp-OutputArea-output img")
    shown.first.wait_for()
    stored = page.evaluate(STORED)
    page.wait_for_function(
        "n => document.querySelectorAll('.jp-OutputArea-output img').length === n", arg=len(stored)
    )
    page.wait_for_timeout(1000)  # a view that found no model would say so by now
    assert len(stored) > 2 and set(stored) == {False}
    assert views.get_by_text("model not found").count() == 0
    assert not shared_lab.console_errors
