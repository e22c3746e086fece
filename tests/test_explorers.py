"""Every explorer of every notebook, driven over its values; and each cell, run once more.

An exception in a callback would be seen by nobody, neither by a reader nor by nbval. And a reader
goes back up: after all others, each cell must run again.
"""

import asyncio
import itertools
from pathlib import Path

import numpy as np
import pytest

from cnnlib.figures import style
from cnnlib.widgets import Explorer, WindowExplorer

from .chapters import code_cells, run_cell
from .test_window_explorer import across, check_picture, possible

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
WHOLE_GRID = 150  # an explorer with more settings gets every value of each slider, and a sample


async def run_cells(path):
    """Run the code cells of a notebook in order, then each again, from the last to the first.

    In an event loop, as a kernel does: a cell may await. Returns {cell id: explorer it ends in},
    of the first run, and {cell id: error} of the second.
    """
    sources, space, values, again = code_cells(path.name.partition("-")[0]), {}, {}, {}
    for cell, source in sources.items():
        values[cell] = await run_cell(cell, source, space)
    for cell, source in reversed(sources.items()):
        try:
            await run_cell(cell, source, space)
        except Exception as error:
            again[cell] = f"{type(error).__name__}: {error}"
    return values, again


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_explorer_over_its_values_and_every_cell_again(path, monkeypatch):
    values, again = asyncio.run(run_cells(path))
    assert not again
    explorers = {cell: view for cell, view in values.items() if isinstance(view, Explorer)}
    assert explorers, f"{path.name} has no explorer"
    for view in values.values():
        if isinstance(view, WindowExplorer):
            check_window_explorer(view)
    monkeypatch.setattr(style, "to_html", lambda figure: figure.alt)  # PNGs take the time
    for cell, explorer in explorers.items():
        check_explorer(cell, explorer)


def choices(control):
    """List all values of a slider or a menu."""
    if hasattr(control, "options"):
        options = control.options
        return [*options.values()] if isinstance(options, dict) else [*options]
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


def check_explorer(cell, explorer):
    drawn = 0
    for values in settings(explorer):
        explorer.set(**{name: within(explorer, name, v) for name, v in values.items()})
        if explorer.message:
            assert "does not fit" in explorer.message, f"{cell} {values}: {explorer.message}"
        else:
            drawn += 1
            assert explorer.figure.alt and style.size(explorer.figure)[0] <= style.MAX_WIDTH
    assert drawn > 1, f"{cell}: nothing to see"


def whole_grid(explorer):
    """Yield all settings of the sliders; the width's follow the height's where there are both."""
    values = {name: choices(control) for name, control in explorer.controls.items()}
    both = {"width", "height"} <= set(values)
    if both:
        values = {name: v for name, v in values.items() if name not in ("width", "filter_width")}
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
        "filters",
        "mode",
    )
    return {name: getattr(explorer, name) for name in names}


def check_window_explorer(explorer):
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
