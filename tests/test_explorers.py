"""Every explorer of every notebook, driven over its values.

An exception in a callback would be seen by nobody, neither by a reader nor by nbval.
"""

import ast
import asyncio
import functools
import inspect
import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from cnnlib.figures import style
from cnnlib.widgets import Explorer, WindowExplorer

from .test_window_explorer import across, check_picture, possible

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
WHOLE_GRID = 150  # an explorer with more settings gets every value of each slider, and a sample


@functools.cache
def explorers(path):
    """Run the code cells of a notebook in order, and return {cell id: explorer it ends in}."""
    return asyncio.run(run_cells(path))


async def run_cells(path):
    """Do so in an event loop, as a kernel does: a cell may await."""

    async def evaluate(node, mode):
        code = compile(node, cell["id"], mode, flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        value = eval(code, names)
        return await value if inspect.iscoroutine(value) else value

    found, names = {}, {}
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] != "code":
            continue
        body = ast.parse("".join(cell["source"])).body
        last = body.pop() if isinstance(body[-1], ast.Expr) else None
        await evaluate(ast.Module(body, []), "exec")
        if last is not None:
            value = await evaluate(ast.Expression(last.value), "eval")
            if isinstance(value, Explorer | WindowExplorer):
                found[cell["id"]] = value
    return found


def choices(control):
    """List all values of a slider or a menu."""
    if hasattr(control, "options"):
        return [option[1] if isinstance(option, tuple) else option for option in control.options]
    return [*range(control.min, control.max + 1, control.step)]


def settings(explorer):
    """Yield settings: the whole grid if it is small, else each value once and a random sample."""
    values = {name: choices(control) for name, control in explorer.controls.items()}
    if np.prod([len(v) for v in values.values()]) <= WHOLE_GRID:
        for combination in itertools.product(*values.values()):
            yield dict(zip(values, combination, strict=True))
        return
    start = explorer.values
    for name, several in values.items():
        for value in several:
            yield start | {name: value}
    yield {name: several[0] for name, several in values.items()}
    yield {name: several[-1] for name, several in values.items()}
    rng = np.random.default_rng(0)
    for _ in range(40):
        yield {name: several[rng.integers(len(several))] for name, several in values.items()}


def within(explorer, name, value):
    """Lower a value to the present end of its slider, which may depend on the others."""
    control = explorer.controls[name]
    return min(value, control.max) if hasattr(control, "max") else value


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_slider_of_the_notebook_over_its_values(path, monkeypatch):
    found = {c: e for c, e in explorers(path).items() if isinstance(e, Explorer)}
    assert found, f"{path.name} has no explorer"
    monkeypatch.setattr(style, "to_html", lambda figure, dpi: figure.alt)  # PNGs take the time
    for cell, explorer in found.items():
        drawn, height = 0, explorer._height
        for values in settings(explorer):
            explorer.set(**{name: within(explorer, name, v) for name, v in values.items()})
            if explorer.message:
                assert "does not fit" in explorer.message, f"{cell} {values}: {explorer.message}"
            else:
                drawn += 1
                assert explorer.figure.alt and style.size(explorer.figure)[0] <= style.MAX_WIDTH
        assert drawn > 1, f"{cell}: nothing to see"
        tallest = explorer._height
        assert tallest <= height + 2, f"{cell}: the page moves, give it min_height={tallest}"


def whole_grid(explorer):
    """Yield all settings of the sliders; the width's follow the height's where there are both."""
    values = {name: choices(control) for name, control in explorer.controls.items()}
    both = {"width", "height"} <= set(values)
    if both:
        del values["width"], values["filter_width"]
    for combination in itertools.product(*values.values()):
        chosen = dict(zip(values, combination, strict=True))
        yield across(chosen) if both else chosen


def state(explorer):
    names = (
        "height",
        "width",
        "filter_height",
        "filter_width",
        "stride",
        "pad",
        "channels",
        "mode",
    )
    return {name: getattr(explorer, name) for name in names}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_window_explorer_of_the_notebook_over_its_whole_grid(path):
    found = {c: e for c, e in explorers(path).items() if isinstance(e, WindowExplorer)}
    if not found:
        pytest.skip("no window slides here")
    for explorer in found.values():
        check_picture(explorer)
        for values in whole_grid(explorer):
            wanted = state(explorer) | values
            for name, value in values.items():
                explorer.controls[name].value = value
            if possible(wanted["mode"], wanted):
                assert not explorer.message and state(explorer) == wanted
                check_picture(explorer)
            else:
                assert "does not fit" in explorer.message or "must be smaller" in explorer.message
                assert state(explorer) != wanted
