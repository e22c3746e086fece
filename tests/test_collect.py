"""The table of what students have solved, out of the notebooks that they handed in."""

import csv
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from cnnlib.exercises import progress, solved
from cnnlib.exercises.__main__ import main

ROOT = Path(__file__).parents[1]
CALL = 'progress("7.3")'


@pytest.fixture(autouse=True)
def tried(monkeypatch):
    """Let one exercise of three be solved and one be tried."""
    monkeypatch.setattr(solved, "_states", {})
    for name in ("max pooling", "average pooling", "small shifts"):
        solved.register("7.3", name)
    solved.record("7.3", "max pooling", "correct")
    solved.record("7.3", "average pooling", "wrong")


def shown(chapter="7.3"):
    """Return the output that Jupyter stores for a call of progress."""
    told = progress(chapter)
    data = {"text/plain": repr(told), "text/html": told._repr_html_()}
    return [new_output("execute_result", data, execution_count=9)]


def hand_in(path, *cells):
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=cells), path)


def table(folder, capsys, *options):
    main(["collect", str(folder), *options])
    return capsys.readouterr().out


def test_it_tells_what_is_solved_and_what_is_open(tmp_path, capsys):
    cell = new_code_cell(CALL, outputs=shown())
    hand_in(tmp_path / "Ölaf" / "7.3.ipynb", new_markdown_cell("Exercises"), cell)
    hand_in(tmp_path / "all.ipynb", new_code_cell("progress()", outputs=shown(None)))
    hand_in(tmp_path / ".ipynb_checkpoints" / "7.3-checkpoint.ipynb", cell)
    out = table(tmp_path, capsys, "--csv", str(tmp_path / "table.csv"))
    left = "average pooling (tried), small shifts"
    wanted = {
        "all.ipynb": ["7.3", "1", "3", left, ""],
        "Ölaf/7.3.ipynb": ["7.3", "1", "3", left, ""],
    }
    with (tmp_path / "table.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row.pop("file"): list(row.values()) for row in rows} == wanted
    for line, (name, row) in zip(out.splitlines()[1:], wanted.items(), strict=True):
        assert " ".join(line.split()) == " ".join([name, *row]).strip()


def test_all_chapters_at_once_and_everything_solved(tmp_path, capsys):
    for name in ("average pooling", "small shifts"):
        solved.record("7.3", name, "correct")
    hand_in(tmp_path / "7.3.ipynb", new_code_cell(CALL, outputs=shown()))
    solved.register("7.8", "receptive field")
    hand_in(tmp_path / "all.ipynb", new_code_cell("progress()", outputs=shown(None)))
    lines = table(tmp_path, capsys).splitlines()[1:]
    assert [line.split() for line in lines] == [
        ["7.3.ipynb", "7.3", "3", "3"],
        ["all.ipynb", "All", "chapters", "3", "4", "receptive", "field"],
    ]


def test_the_last_of_several_calls_counts(tmp_path, capsys):
    before = new_code_cell(CALL, outputs=shown())
    solved.record("7.3", "small shifts", "correct")
    hand_in(tmp_path / "a.ipynb", before, new_code_cell(CALL, outputs=shown()))
    assert table(tmp_path, capsys).splitlines()[1].split()[:3] == ["a.ipynb", "7.3", "2"]


def failed(source):
    """Return the output that Jupyter stores where a cell fails."""
    try:
        exec(source, {})
    except Exception as error:
        return new_output("error", ename=type(error).__name__, evalue=str(error), traceback=[])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([], "no cell begins with progress("),
        ([new_markdown_cell(CALL), new_code_cell("x = 1")], "no cell begins with progress("),
        ([new_code_cell(CALL)], "progress was not run"),
        ([new_code_cell(CALL, outputs=[failed(CALL)])], "NameError: name 'progress' is not"),
        (b"", "the file is empty"),
        (b'{"cells": [', "not JSON"),
        ("Grüße".encode("latin-1"), "not JSON"),
        (b"[7.3]", "not a notebook"),
        (b'{"cells": ["7.3"]}', "not a notebook"),
        (b'{"worksheets": []}', "not a notebook"),
        (None, "s a directory"),
    ],
    ids="no-cells no-call not-run failed empty cut latin-1 list words old-format folder".split(),
)
def test_it_goes_on_after_a_bad_file_and_says_why(content, reason, tmp_path, capsys):
    bad = tmp_path / "bad.ipynb"
    if content is None:
        bad.mkdir()
    elif isinstance(content, bytes):
        bad.write_bytes(content)
    else:
        hand_in(bad, *content)
    hand_in(tmp_path / "good.ipynb", new_code_cell(CALL, outputs=shown()))
    out = table(tmp_path, capsys, "--csv", str(tmp_path / "table.csv"))
    _, first, second = out.splitlines()
    assert first.startswith("bad.ipynb ") and reason in first
    assert second.startswith("good.ipynb ") and "average pooling (tried)" in second
    assert reason in (tmp_path / "table.csv").read_text(encoding="utf-8-sig").splitlines()[1]


@pytest.mark.parametrize(
    ("folder", "sentence"), [("nowhere", "there is no folder"), (".", "no notebook (*.ipynb) in")]
)
def test_without_a_notebook_it_says_so(folder, sentence, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["collect", str(tmp_path / folder)])
    assert stopped.value.code == 2 and sentence in capsys.readouterr().err


def test_the_command_reads_the_chapters_as_they_are_stored():
    command = [sys.executable, "-m", "cnnlib.exercises", "collect", str(ROOT / "notebooks")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=True)
    rows = [line.split()[:3] for line in done.stdout.splitlines()[1:]]
    assert [row[1:] for row in rows] == [[f"7.{number}", "0"] for number in range(1, 9)]
