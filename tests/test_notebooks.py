"""What must hold of the stored notebooks, read as files: nothing is executed here.

nbval compares a stored output with a new one, and so passes a notebook whose outputs are gone;
these checks see to it that they are there, and that the cells keep the grammar of the course.
"""

import ast
import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from IPython.core.inputtransformer2 import TransformerManager
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from nbformat.validator import iter_validate

from .store_notebooks import TQDM_BAR, WIDGET_VIEW, clean

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
MAX_LINES = 15
MIN_WORDS = 40
MAX_BYTES = 1_500_000
MAX_WORDS, MAX_CELLS = 4000, 50  # of a chapter; the summary has half of both
MACHINE_PATH = re.compile(r"(?<![\w./])/(work|home|root|tmp|Users)\b|\bC:\\")
SILENT = "no-output"  # tags a cell that ends in an expression whose value is None


def read(path):
    """Read a notebook as it is in the file: nbformat would repair what is to be checked."""
    nb = json.loads(path.read_text(encoding="utf-8"))
    cells = nb["cells"]
    for cell in cells:
        cell["source"] = "".join(cell["source"])
    return SimpleNamespace(
        path=path,
        name=path.name,
        number=path.name.partition("-")[0],
        json=nb,
        cells=cells,
        code=[cell for cell in cells if cell["cell_type"] == "code"],
        markdown=[cell for cell in cells if cell["cell_type"] == "markdown"],
    )


def tags(cell):
    return cell["metadata"].get("tags", [])


def where(nb, cell):
    return f"{nb.name}, cell {cell.get('id')}"


def texts(cell):
    """All text a code cell has put out, without the bytes of pictures inside it."""
    for output in cell["outputs"]:
        parts = ["".join(output.get("text", "")), *output.get("traceback", ())]
        parts += ["".join(v) for k, v in output.get("data", {}).items() if k.startswith("text/")]
        for part in parts:
            yield re.sub(r"data:[\w/+.-]+;base64,[\w+/=]+", "", part)


def without_fences(markdown):
    return re.sub(r"^(```|~~~).*?^\1", "", markdown, flags=re.MULTILINE | re.DOTALL)


def headings(nb):
    """Pairs (level, text) of all headings, in order."""
    for cell in nb.markdown:
        for marks, text in re.findall(
            r"^(#+) +(.+)$", without_fences(cell["source"]), flags=re.MULTILINE
        ):
            yield len(marks), text


def speaks(source):
    """Whether a code cell prints or ends in a value: then it has an output."""
    body = ast.parse(TransformerManager().transform_cell(source)).body
    now = [s for s in body if not isinstance(s, ast.FunctionDef | ast.ClassDef)]
    calls = (n.func for s in now for n in ast.walk(s) if isinstance(n, ast.Call))
    prints = any(isinstance(f, ast.Name) and f.id == "print" for f in calls)
    ends_in_value = any(isinstance(s, ast.Expr) for s in body[-1:])
    return prints or (ends_in_value and not source.rstrip().endswith(";"))


def check_format(nb):
    errors = [error.message[:200] for error in iter_validate(nb.json)]
    assert not errors, f"{nb.name}: {errors}"


def check_ids(nb):
    ids = [cell.get("id") for cell in nb.cells]
    assert all(ids), f"{nb.name}: a cell has no id"
    assert len(set(ids)) == len(ids), f"{nb.name}: an id occurs twice"


def check_kernel(nb):
    name = nb.json["metadata"].get("kernelspec", {}).get("name")
    assert name == "python3", f"{nb.name}: kernelspec is {name!r}, not 'python3'"


def check_execution_order(nb):
    assert nb.code, f"{nb.name}: no code cell"
    for i, cell in enumerate(nb.code, start=1):
        count = cell["execution_count"]
        assert count == i, f"{where(nb, cell)}: execution count {count}, not {i}"


def check_no_empty_cells(nb):
    for cell in nb.cells:
        assert cell["source"].strip(), f"{where(nb, cell)}: empty"


def check_outputs_are_stored(nb):
    for cell in nb.code:
        if SILENT not in tags(cell) and speaks(cell["source"]):
            assert cell["outputs"], (
                f"{where(nb, cell)}: prints or ends in a value, but no output is stored "
                f"(tag it {SILENT!r} if the value is None)"
            )


def check_no_widget_state(nb):
    assert "widgets" not in nb.json["metadata"], f"{nb.name}: widget state is stored"
    for cell in nb.code:
        for output in cell["outputs"]:
            assert WIDGET_VIEW not in output.get("data", {}), (
                f"{where(nb, cell)}: stores a widget's view, which shows nothing"
            )


def check_errors_are_tagged(nb):
    for cell in nb.code:
        fails = any(output["output_type"] == "error" for output in cell["outputs"])
        tagged = "raises-exception" in tags(cell)
        assert fails == tagged, f"{where(nb, cell)}: error {fails}, tagged {tagged}"


def check_cell_length(nb):
    for cell in nb.code:
        lines = sum(bool(line.strip()) for line in cell["source"].splitlines())
        assert lines <= MAX_LINES, f"{where(nb, cell)}: {lines} lines"


def check_prose(nb):
    words = 0
    for cell in nb.markdown:
        text = re.sub(r"\]\([^)]*\)|<[^>]*>", " ", without_fences(cell["source"]))
        words += len(re.findall(r"[^\W\d_][\w'’-]*", text))
    average = words / max(1, len(nb.code))
    assert average >= MIN_WORDS, f"{nb.name}: {average:.0f} words of prose per code cell"


def check_title(nb):
    first = nb.cells[0]
    assert first["cell_type"] == "markdown" and first["source"].startswith(f"# {nb.number} "), (
        f"{where(nb, first)}: does not open with the title '# {nb.number} ...'"
    )
    titles = [text for level, text in headings(nb) if level == 1]
    assert len(titles) == 1, f"{nb.name}: more than one title: {titles}"


def check_section_numbers(nb):
    last = ()
    for level, text in headings(nb):
        numbered = re.match(r"\d+(\.\d+)+", text)
        if level != 2 or not numbered:
            continue
        number = tuple(int(part) for part in numbered[0].split("."))
        assert numbered[0].startswith(f"{nb.number}."), f"{nb.name}: section {text!r}"
        assert number > last, f"{nb.name}: section {text!r} comes too late"
        last = number


def check_source(nb):
    for cell in nb.code:
        found = re.search(r"sys\.path|^\s*(!|%pip|%conda)", cell["source"], flags=re.MULTILINE)
        assert not found, f"{where(nb, cell)}: {found[0]!r}"


def check_no_machine_paths(nb):
    for cell in nb.cells:
        for text in (cell["source"], *(texts(cell) if cell["cell_type"] == "code" else ())):
            found = MACHINE_PATH.search(text)
            assert not found, f"{where(nb, cell)}: a path of one machine, {found[0]!r}"


def check_repeatable_text(nb):
    for cell in nb.code:
        for text in texts(cell):
            found = re.search(r"\b0x[0-9a-fA-F]{6,16}\b", text) or TQDM_BAR.search(text)
            assert not found, f"{where(nb, cell)}: {found[0]!r} differs from run to run"


def check_alt_texts(nb):
    for cell in nb.cells:
        shown = list(texts(cell)) if cell["cell_type"] == "code" else [cell["source"]]
        for text in shown:
            for image in re.findall(r"<img\b[^>]*>|!\[[^\]]*\]\(", text):
                assert re.search(r"""\balt=(["'])\s*[^"'\s]|!\[\s*[^\]\s]""", image), (
                    f"{where(nb, cell)}: picture without alt text, {image[:60]!r}"
                )


def check_size(nb):
    size = nb.path.stat().st_size
    assert size < MAX_BYTES, f"{nb.name}: {size / 1e6:.1f} MB"


def check_budget(nb):
    words = sum(len(cell["source"].split()) for cell in nb.markdown)
    share = 0.5 if nb.number == "7.8" else 1
    assert words <= share * MAX_WORDS, f"{nb.name}: {words} words"
    assert len(nb.code) <= share * MAX_CELLS, f"{nb.name}: {len(nb.code)} code cells"


CHECKS = [value for name, value in list(globals().items()) if name.startswith("check_")]


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebook(path, check):
    check(read(path))


# The checks are checked: a sound notebook passes all, and each flaw is seen by its own check.


def sound():
    prose = "A window slides over the image and gives one number at each place. " * 13
    value = new_output("execute_result", {"text/plain": "1"}, execution_count=2)
    code = [
        new_code_cell("print(1)", outputs=[new_output("stream", text="1\n")]),
        new_code_cell("1", outputs=[value]),
        new_code_cell("def f():\n    print(1)"),
    ]
    for i, cell in enumerate(code, start=1):
        cell.execution_count = i
    title, section, last = f"# 7.2 Layers\n{prose}", "## 7.2.1 Sizes", "## Exercises"
    nb = new_notebook(cells=[new_markdown_cell(title), new_markdown_cell(section), *code])
    nb.cells.append(new_markdown_cell(last))
    nb.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    return nb


def check_all(nb, folder):
    """Names of the checks that refuse the notebook."""
    path = folder / "7.2-tiny.ipynb"
    path.write_text(json.dumps(nb), encoding="utf-8")
    refused = []
    for check in CHECKS:
        try:
            check(read(path))
        except AssertionError:
            refused.append(check.__name__.removeprefix("check_"))
    return refused


def test_a_sound_notebook_passes(tmp_path):
    assert check_all(sound(), tmp_path) == []


def markdown(text):
    return lambda nb: nb.cells.append(new_markdown_cell(text))


def code(source, *outputs, tags=()):
    cell = new_code_cell(source, outputs=list(outputs), execution_count=4)
    cell.metadata.tags = list(tags)
    return lambda nb: nb.cells.append(cell)


def display(**data):
    return new_output("display_data", {k.replace("_", "/"): v for k, v in data.items()})


def stream(text):
    return new_output("stream", text=text)


def error():
    return new_output("error", ename="E", evalue="e", traceback=['File "/home/ann/x.py"'])


def more_code(nb):
    cells = (new_code_cell("x = 1", execution_count=4 + k) for k in range(MAX_CELLS))
    nb.cells.extend(cells)


FLAWS = [
    ("format", lambda nb: nb.cells[2].update(outputs=[{"output_type": "none"}])),
    ("ids", lambda nb: nb.cells[1].update(id=nb.cells[0].id)),
    ("kernel", lambda nb: nb.metadata.kernelspec.update(name="conda-env")),
    ("execution_order", lambda nb: nb.cells[2].update(execution_count=None)),
    ("execution_order", lambda nb: nb.cells[3].update(execution_count=7)),
    ("no_empty_cells", code(" \n")),
    ("outputs_are_stored", lambda nb: nb.cells[2].update(outputs=[])),
    ("outputs_are_stored", lambda nb: nb.cells[3].update(outputs=[])),
    ("no_widget_state", lambda nb: nb.metadata.update(widgets={})),
    ("no_widget_state", code("x = 1", new_output("display_data", {WIDGET_VIEW: {}}))),
    ("errors_are_tagged", code("1 / 0", new_output("error", ename="E", evalue="e"))),
    ("errors_are_tagged", code("x = 1", tags=["raises-exception"])),
    ("cell_length", code("x = 1\n" * 16)),
    ("prose", lambda nb: nb.cells[0].update(source="# 7.2 A\n```\n" + "word " * 999 + "\n```")),
    ("title", lambda nb: nb.cells[0].update(source=nb.cells[0].source.replace("7.2", "7.3"))),
    ("title", markdown("# Another")),
    ("section_numbers", markdown("## 7.3.2 Of another chapter")),
    ("section_numbers", markdown("## 7.2.1 Again")),
    ("source", code("import sys\nsys.path.append('..')", tags=[SILENT])),
    ("source", code("%pip install x", tags=[SILENT])),
    ("no_machine_paths", code("f = open('/home/me/x')")),
    ("no_machine_paths", code("1 / 0", error(), tags=["raises-exception"])),
    ("repeatable_text", code("f", display(text_plain="<function f at 0x7f00aa11bb22>"))),
    ("repeatable_text", code("f()", stream(" 50%|##   | 5/10 [00:01<00:01, 5.00it/s]"))),
    ("alt_texts", code("f()", display(text_html="<img src='data:image/png;base64,AA/tmp/='>"))),
    ("alt_texts", markdown("![](figure.png)")),
    ("size", markdown("a" * MAX_BYTES)),
    ("budget", markdown("word " * MAX_WORDS)),
    ("budget", lambda nb: (markdown("word " * 2500)(nb), more_code(nb))),
]


@pytest.mark.parametrize(("check", "spoil"), FLAWS)
def test_each_flaw_is_seen_by_its_check(check, spoil, tmp_path):
    nb = sound()
    spoil(nb)
    assert check_all(nb, tmp_path) == [check]


def test_what_is_stored_is_cleaned():
    nb = sound()
    nb.metadata.widgets = {}
    view = {WIDGET_VIEW: {"model_id": "1"}}
    bar = " 50%|##   | 5/10 [00:01<00:01, 5.00it/s]"
    picture = new_output("display_data", {**view, "text/plain": "view", "image/png": "AAAA"})
    code(
        "f()",
        stream("a\n"),
        new_output("stream", name="stderr", text=f"\r{bar}\r{bar}"),
        new_output("stream", name="stderr", text="\n"),
        new_output("display_data", {**view, "text/plain": bar}),
        stream("b\n"),
        picture,
    )(nb)
    clean(nb)
    assert "widgets" not in nb.metadata
    left = [stream("a\nb\n"), display(text_plain="view", image_png="AAAA")]
    assert nb.cells[-1].outputs == left
