"""Google Colab starts without cnnlib: the first code cell of each notebook fetches it there."""

import importlib
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from packaging.requirements import Requirement

import cnnlib.widgets

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# What we import and Colab brings along. Its ipywidgets and IPython were older than we ask for when
# this was written, and must stay: its page knew no newer widgets (googlecolab/colabtools, #4525).
IN_COLAB = {"numpy", "matplotlib", "pillow", "ipywidgets", "ipython", "traitlets", "requests"}
IN_COLAB |= {"tqdm", "threadpoolctl"}  # scikit-learn, which is there, needs it


# What `make address` writes into.
NAMED = [
    "README.md",
    "lite/README.md",
    "lite/TEACHING.md",
    *(f"notebooks/{p.name}" for p in NOTEBOOKS),
]


def first_code(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return next(cell for cell in cells if cell["cell_type"] == "code")


SOURCE = "".join(first_code(NOTEBOOKS[0])["source"])


def run(source):
    """Execute the cell, and give the magic commands that it calls."""
    calls = []
    shell = SimpleNamespace(run_line_magic=lambda name, line: calls.append(f"%{name} {line}"))
    exec(source, {"get_ipython": lambda: shell})
    return calls


@pytest.fixture
def colab(monkeypatch):
    """Pretend to be in Colab; give the list of what its page is asked for."""
    asked = []
    package = ModuleType("google.colab")
    package.output = SimpleNamespace(enable_custom_widget_manager=lambda: asked.append("manager"))
    monkeypatch.setitem(sys.modules, "google.colab", package)
    return asked


@pytest.fixture
def without_cnnlib(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "cnnlib" else find(name)
    )


@pytest.fixture(scope="module")
def addressed(tmp_path_factory):
    """Give the folder of a copy that knows its address: `make address` was run there."""
    copy = tmp_path_factory.mktemp("copy")
    for name in NAMED:
        (copy / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    make = ["make", "-f", str(ROOT / "Makefile"), "address", "REPOSITORY=ada/my-copy"]
    subprocess.run(make, cwd=copy, check=True, capture_output=True)
    return copy


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_notebook_begins_with_the_cell(path):
    cell = first_code(path)
    assert "".join(cell["source"]) == SOURCE
    assert cell["id"] == "colab" and cell["metadata"]["tags"] == ["colab"]


def test_a_copy_without_an_address_refuses_in_colab(colab, without_cnnlib):
    with pytest.raises(RuntimeError, match="make address REPOSITORY=you/your-copy"):
        run(SOURCE)


def test_make_address_reaches_every_place(addressed):
    for name in NAMED:
        before = (ROOT / name).read_text(encoding="utf-8")
        after = (addressed / name).read_text(encoding="utf-8")
        assert after.count("ada/my-copy") == before.count("OWNER/REPOSITORY")
        assert not re.search("OWNER(/|%2F)REPOSITORY", after)


def test_with_an_address_it_installs_what_is_missing_in_colab(colab, without_cnnlib, addressed):
    cells = [first_code(addressed / "notebooks" / path.name) for path in NOTEBOOKS]
    (source,) = {"".join(cell["source"]) for cell in cells}
    package, others = run(source)
    assert package == "%pip install --quiet --no-deps git+https://github.com/ada/my-copy"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {Requirement(text).name for text in project["dependencies"]}
    assert others == f"%pip install --quiet {' '.join(sorted(needed - IN_COLAB))}"


def test_where_cnnlib_is_installed_it_does_nothing(colab):
    assert run(SOURCE) == []


def test_outside_of_colab_it_does_nothing(without_cnnlib):
    assert "google.colab" not in sys.modules and run(SOURCE) == []


def test_widgets_ask_colab_to_be_shown(colab):
    importlib.reload(cnnlib.widgets)
    assert colab == ["manager"]
