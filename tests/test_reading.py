"""What a reader sees where nothing runs: GitHub, a printed page, a page made by nbconvert.

Each notebook is converted as it is stored, without a kernel. Wherever a cell ends in a widget, the
page must hold a picture with an alt text in the notebook's metadata: without its kernel the widget
itself shows nothing. A question to be answered leaves its words.
"""

import ast
import functools
import html
import itertools
import re
from pathlib import Path

import nbformat
import pytest
from nbconvert import HTMLExporter
from nbformat.v4 import new_code_cell, new_notebook, new_output

import cnnlib.widgets

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
QUESTIONS = {"ask"}
TABLES = {"ShapeCalculator"}
MAKERS = set(cnnlib.widgets.__all__) - QUESTIONS - TABLES - {"show_source"}  # leave a picture
PICTURE = re.compile(r"<img\b[^>]*\bsrc=[\"']?data:image/png;base64,|<svg\b")


def widget_cells(notebook, makers=MAKERS):
    """List the code cells that end in a widget, or in a name that was given to one."""
    names, found = set(), []
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        body = ast.parse(cell.source).body
        for statement in body:
            if isinstance(statement, ast.Assign) and makes_widget(statement.value, makers):
                names |= {t.id for t in statement.targets if isinstance(t, ast.Name)}
        last = body[-1].value if isinstance(body[-1], ast.Expr) else None
        if makes_widget(last, makers) or (isinstance(last, ast.Name) and last.id in names):
            found.append(cell)
    return found


def makes_widget(value, makers):
    return isinstance(value, ast.Call) and getattr(value.func, "id", None) in makers


def converted(notebook):
    """Convert to HTML; return {cell id: its part of the page}."""
    page, _ = HTMLExporter().from_notebook_node(notebook)
    parts = re.split(r'<div\b[^>]*\bid="cell-id=([^"]+)"', page)
    return {html.unescape(name): part for name, part in zip(parts[1::2], parts[2::2], strict=True)}


@functools.cache
def stored(path):
    """Return a notebook as it is stored, and its converted cells."""
    notebook = nbformat.read(path, as_version=4)
    return notebook, converted(notebook)


def check(notebook, page):
    """Return the ids of the cells that show a widget; fail where one leaves no picture."""
    cells = widget_cells(notebook)
    for cell in cells:
        assert PICTURE.search(page[cell.id]), f"{cell.id}: no picture where nothing runs"
        alts = [o.metadata.get("image/png", {}).get("alt") for o in cell.outputs if "metadata" in o]
        assert any(alts), f"{cell.id}: its picture has no alt text"
    return [cell.id for cell in cells]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_widget_leaves_a_picture(path):
    assert check(*stored(path)), f"{path.name} has no widget"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_question_leaves_its_words(path):
    notebook, page = stored(path)
    cells = widget_cells(notebook, QUESTIONS)
    assert cells, f"{path.name} asks nothing"
    for cell in cells:
        assert re.search(r"<div\b[^>]*>Predict: \w", page[cell.id]), cell.id


def test_each_calculator_leaves_its_table():
    (path,) = (path for path in NOTEBOOKS if path.name.startswith("7.1"))
    notebook, page = stored(path)
    cells = widget_cells(notebook, TABLES)
    assert cells
    for cell in cells:
        rows = re.findall(r"<tr><td>(\w+)</td>", page[cell.id])
        assert rows[0] == "input" and rows[-1] == "Affine1" and len(rows) > 3


def test_a_widget_without_a_picture_is_seen():
    data = {"text/plain": "explore(f): x=1"}
    shown = {"image/png": {"alt": "a picture"}}
    for source in ("explore(f, x=(1, 2))", "e = explore(f, x=(1, 2))\ne"):
        cell = new_code_cell(source, outputs=[new_output("display_data", data)], id="it")
        notebook = new_notebook(cells=[cell])
        with pytest.raises(AssertionError, match="it: no picture"):
            check(notebook, converted(notebook))
        cell.outputs = [new_output("display_data", data | {"image/png": "iVBORw0KGgo="})]
        with pytest.raises(AssertionError, match="it: its picture has no alt text"):
            check(notebook, converted(notebook))
        cell.outputs[0].metadata = nbformat.from_dict(shown)
        assert check(notebook, converted(notebook)) == ["it"]


def links(path):
    """List the links of a notebook's text that lead to a file beside it."""
    notebook, _ = stored(path)
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return re.findall(r"\]\((?!https?:|#)([^)#]+)", text)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_links_lead_somewhere(path):
    assert [link for link in links(path) if not (path.parent / link).exists()] == []


def test_each_chapter_leads_to_the_next():
    for path, following in itertools.pairwise(NOTEBOOKS):
        assert following.name in links(path), f"{path.name} has no link to {following.name}"
