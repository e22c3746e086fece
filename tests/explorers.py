"""Tests of every chapter: its explorers driven over their values, and each cell run once more.

An exception in a callback would be seen by nobody, neither by a reader nor by nbval. And a reader
goes back up: after all others, each cell must run again, with QUICK trainings where they take long.
Each test_chapter_7_*.py imports these tests, so that one worker runs its CHAPTER through once for
all of them.
"""

import itertools

import numpy as np

from cnnlib.figures import style
from cnnlib.widgets import Explorer, WindowExplorer

from .chapters import again, once
from .test_window_explorer import across, check_picture, possible

WHOLE_GRID = 150  # an explorer with more settings gets every value of each slider, and a sample


def test_every_explorer_over_its_values(request, monkeypatch):
    values = once(request.module.CHAPTER)[1]
    explorers = {cell: view for cell, view in values.items() if isinstance(view, Explorer)}
    assert explorers
    for view in values.values():
        if isinstance(view, WindowExplorer):
            start = state(view)
            check_window_explorer(view)
            view.set(**start)
    monkeypatch.setattr(style, "to_png", lambda *_, **__: b"")  # PNGs take the time
    for cell, explorer in explorers.items():
        start = explorer.values
        check_explorer(cell, explorer)
        explorer.set(**{name: within(explorer, name, v) for name, v in start.items()})
        explorer.set(**start)  # now that the ends of all sliders are as they were


def test_every_cell_can_be_run_again(request):
    assert not again(request.module.CHAPTER, *getattr(request.module, "QUICK", ()))


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
