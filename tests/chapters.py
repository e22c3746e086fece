"""Run a chapter's code cells as they stand, or as a reader has edited them."""

import ast
import asyncio
import contextlib
import functools
import inspect
import json
from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
LOOP = asyncio.Runner()  # one for all: what a cell has begun in it goes on in a later cell


def run(chapter, *edits, native=False):
    """Run all code cells in one space, each (cell id, old, new) replaced first.

    In an event loop, as a kernel does: a cell may await. Trainings are those of the browser
    edition, unless `native`: nbval runs the others. Returns the names that the notebook has at its
    end, and {cell id: value that it ends in}.
    """
    with sizes(native):
        return LOOP.run(_run(code_cells(chapter, *edits)))


@contextlib.contextmanager
def sizes(native=False):
    """Let trainings be as small as in the browser edition, or not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CNNLIB_IN_BROWSER", raising=False)
        if not native:
            patch.setenv("CNNLIB_IN_BROWSER", "1")
        yield


def code_cells(chapter, *edits):
    """Return {id of a code cell: its source}, in order, with each (cell id, old, new) replaced."""
    (path,) = NOTEBOOKS.glob(f"{chapter}-*.ipynb")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    sources = {c["id"]: "".join(c["source"]) for c in cells if c["cell_type"] == "code"}
    for cell, old, new in edits:
        assert old in sources[cell], f"{cell} has no {old!r}"
        sources[cell] = sources[cell].replace(old, new)
    return sources


async def _run(sources):
    space = {}
    return space, {cell: await run_cell(cell, source, space) for cell, source in sources.items()}


async def run_cell(cell, source, space):
    """Run one cell in a space; return the value that it ends in, or None."""
    value, body = None, ast.parse(source).body
    last = [ast.Expression(body.pop().value)] if isinstance(body[-1], ast.Expr) else []
    for node, mode in zip([ast.Module(body, []), *last], ("exec", "eval"), strict=False):
        code = compile(node, cell, mode, flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        value = eval(code, space)
        value = await value if inspect.iscoroutine(value) else value
    return value


@functools.cache
def once(chapter):
    """Run a chapter for all tests that only look: they are of one file, on one worker."""
    return run(chapter, native=chapter == "7.7")  # whose trainings are looked at


def again(chapter, *edits):
    """Run each cell of a chapter that has run once more, from the last to the first.

    Returns {cell id: error}.
    """
    space, wrong = dict(run(chapter, *edits)[0] if edits else once(chapter)[0]), {}
    with sizes():
        for cell, source in reversed(code_cells(chapter, *edits).items()):
            try:
                LOOP.run(run_cell(cell, source, space))
            except Exception as error:
                wrong[cell] = f"{type(error).__name__}: {error}"
    return wrong
