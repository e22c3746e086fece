"""The teachers' page: what "Change it for your class" says can be done is done here."""

import ast
import re
import tomllib
from pathlib import Path

import matplotlib.cbook
import numpy as np
import pytest
from PIL import Image

from cnnlib.exercises import progress, questions, solved
from cnnlib.widgets import ask

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "lite" / "TEACHING.md").read_text(encoding="utf-8")
BLOCKS = {
    title.rstrip("."): code
    for title, code in re.findall(
        r"^\*\*([^*]+)\*\*(?:(?!^\*\*).)*?^```\w+\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL
    )
}


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(solved, "_states", {})


def written(title):
    """Run a block of Python; return its names, and the values of its lines that have one."""
    space, values = {}, []
    for node in ast.parse(BLOCKS[title]).body:
        if isinstance(node, ast.Expr):
            values.append(eval(ast.unparse(node), space))
        else:
            exec(ast.unparse(node), space)
    return space, [value for value in values if value is not None]


def test_ranges_and_sizes_are_those_asked_for():
    _, (sizes, window) = written("An explorer's range and size")
    assert sizes.values == {"size": 20, "filter_size": 5, "pad": 0} and not sizes.message
    assert sizes.set(size=32, filter_size=9, pad=2).figure and not sizes.message
    assert set(window.controls) == {"stride", "pad"} and window.output.shape == (3, 3)


def test_an_image_of_your_own_comes_under_the_lens(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Image.open(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)) as photo:
        photo.crop((0, 0, 300, 200)).save("photo.jpg")
    _, (lens,) = written("An image of your own")
    assert lens.image.shape == (100, 150) and not lens.message
    chapter = (ROOT / "notebooks" / "7.6-visualising-a-cnn.ipynb").read_text(encoding="utf-8")
    assert chapter.count('"photo = portrait') == 1 == PAGE.count("`photo = portrait`")


def test_a_question_is_asked_and_counted(monkeypatch):
    monkeypatch.setattr(questions, "load_questions", lambda: tomllib.loads(BLOCKS["A question"]))
    question = ask(*re.search(r'`ask\("(.*?)", "(.*?)"\)`', PAGE).groups())
    question.control.value = "a half"
    assert "Not quite" in repr(question) and "Along each axis" in repr(question)
    question.control.value = "a quarter"
    assert question.correct and progress("7.3").solved == 1


def test_a_checker_checks_recognises_and_is_counted():
    space, _ = written("A checker")
    check = space["check_global_average"]
    assert progress("7.3").solved == 0
    assert check(lambda x: ...).status == "not started"
    wrong = check(lambda x: x.sum(axis=(2, 3)))
    assert not wrong.correct and wrong["Usual cause"] == "the sum instead of the mean"
    assert check(lambda x: x.mean(axis=(1, 2, 3)))["Usual cause"].startswith("the channels")
    assert check(lambda x: np.mean(x, (2, 3))).correct and progress("7.3").solved == 1


def test_commands_name_files_that_are_there():
    commands = re.findall(r"^\.venv/bin/.+", PAGE, re.MULTILINE)
    files = re.findall(r"(?:tests|lite|notebooks)/\S+\.\w+", " ".join(commands))
    assert len(commands) == 4 and len(files) == 3 and all((ROOT / name).exists() for name in files)
