"""Every explorer of every notebook, driven over its values.

An exception in a callback would be seen by nobody, neither by a reader nor by nbval.
"""

import ast
import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from cnnlib.figures import style
from cnnlib.widgets import Explorer

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
WHOLE_GRID = 150  # an explorer with more settings gets every value of each slider, and a sample


def explorers(path):
    """Run the code cells of a notebook in order, and return {cell id: explorer it ends in}."""
    found, names = {}, {}
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] != "code":
            continue
        body = ast.parse("".join(cell["source"])).body
        last = body.pop() if isinstance(body[-1], ast.Expr) else None
        exec(compile(ast.Module(body, []), cell["id"], "exec"), names)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), cell["id"], "eval"), names)
            if isinstance(value, Explorer):
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
    found = explorers(path)
    assert found, f"{path.name} has no explorer"
    monkeypatch.setattr(style, "to_html", lambda figure, dpi: figure.alt)  # PNGs take the time
    for cell, explorer in found.items():
        drawn = 0
        for values in settings(explorer):
            explorer.set(**{name: within(explorer, name, v) for name, v in values.items()})
            if explorer.message:
                assert "does not fit" in explorer.message, f"{cell} {values}: {explorer.message}"
            else:
                drawn += 1
                assert explorer.figure.alt and style.size(explorer.figure)[0] <= style.MAX_WIDTH
        assert drawn > 1, f"{cell}: nothing to see"
