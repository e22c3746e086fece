"""What is in a built site, of either variant. Nothing runs here."""

import ast
import hashlib
import json
import sys
import tomllib
import zipfile
from pathlib import Path

import nbformat
import pytest
from packaging.requirements import Requirement

import cnnlib

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WHEEL = f"cnnlib-{PROJECT['version']}-py3-none-any.whl"
WHERE_PRESENT = {"scipy", "torch"}  # the notebooks go on without these
LOCK = "static/pyodide-lock/pyodide-lock.json"


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def lock(lite):
    return read_json(lite / LOCK)["packages"]


def test_there_are_eight_notebooks_and_the_listing_names_them(lite):
    listed = {entry["path"] for entry in read_json(lite / "api/contents/all.json")["content"]}
    assert listed == {path.name for path in NOTEBOOKS} and len(listed) == 8


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem[:3])
def test_a_notebook_is_the_same_without_outputs_and_for_the_browsers_kernel(lite, path):
    ours = nbformat.read(path, as_version=4)
    theirs = nbformat.read(lite / "files" / path.name, as_version=4)
    assert [(c.id, c.cell_type, c.source) for c in theirs.cells] == [
        (c.id, c.cell_type, c.source) for c in ours.cells
    ]
    code = [cell for cell in theirs.cells if cell.cell_type == "code"]
    assert code and not any(cell.outputs or cell.execution_count for cell in code)
    assert theirs.metadata.kernelspec.name == "python"
    assert "widgets" not in theirs.metadata


def test_the_wheel_holds_the_package_with_its_data(lite):
    with zipfile.ZipFile(lite / "pypi" / WHEEL) as archive:
        inside = set(archive.namelist())
    package = ROOT / "cnnlib"
    wanted = {
        path.relative_to(ROOT).as_posix()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert wanted <= inside
    assert any(name.endswith(".npz") for name in wanted)
    assert any(name.endswith(".js") for name in wanted)


def test_the_wheel_index_names_the_version(lite):
    index = read_json(lite / "pypi" / "all.json")["cnnlib"]["releases"]
    assert list(index) == [PROJECT["version"]]
    (release,) = index[PROJECT["version"]]
    assert release["filename"] == WHEEL
    assert release["digests"]["sha256"] == sha256(lite / "pypi" / WHEEL)


def test_the_lock_file_names_cnnlib_and_all_that_it_requires(lite, lock):
    entry = lock["cnnlib"]
    assert entry["version"] == PROJECT["version"] and entry["imports"] == ["cnnlib"]
    needed = map(Requirement, PROJECT["dependencies"])  # some not in a browser
    browser = {"sys_platform": "emscripten"}
    wanted = {one.name for one in needed if not one.marker or one.marker.evaluate(browser)}
    assert set(entry["depends"]) == wanted
    missing = [
        (name, needed)
        for name, package in lock.items()
        for needed in package["depends"]
        if needed.lower().replace("_", "-").replace(".", "-") not in lock
    ]
    assert not missing


def test_every_wheel_of_the_site_is_the_one_locked(lite, lock):
    here = {name: package for name, package in lock.items() if "://" not in package["file_name"]}
    assert {"cnnlib", "ipywidgets", "anywidget", "piplite", "pyodide-kernel"} <= set(here)
    for name, package in here.items():
        wheel = (lite / LOCK).parent / package["file_name"]
        assert sha256(wheel) == package["sha256"], name


def test_an_offline_site_names_no_address(lite, lock):
    if not (lite / "static" / "pyodide").is_dir():
        pytest.skip("not the offline site")
    assert not [name for name, package in lock.items() if "://" in package["file_name"]]
    settings = read_json(lite / "jupyter-lite.json")["jupyter-config-data"]["litePluginSettings"]
    kernel = settings["@jupyterlite/pyodide-kernel-extension:kernel"]
    assert kernel["pyodideUrl"].startswith("./") and kernel["disablePyPIFallback"]


def test_what_the_notebooks_import_is_locked(lock):
    provided = {name for package in lock.values() for name in package["imports"]}
    wanted = set()
    for path in NOTEBOOKS:
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "code":
                wanted.update(tops(ast.parse(cell.source)))
    assert "numpy" in wanted
    assert wanted - set(sys.stdlib_module_names) - WHERE_PRESENT <= provided


def tops(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module.split(".")[0]


def test_the_reference_describes_every_public_name(site):
    page = (site / "api" / "cnnlib.html").read_text(encoding="utf-8")
    assert all(f'id="{name}"' in page for name in cnnlib.__all__)
    assert (site / "api" / "cnnlib" / "layers.html").is_file()


def test_no_file_is_over_25_mb_and_no_source_map_is_there(site):
    files = [path for path in site.rglob("*") if path.is_file()]
    sizes = {path.relative_to(site).as_posix(): path.stat().st_size for path in files}
    largest = max(sizes, key=sizes.get)
    print(
        f"\n{site.name}: {len(sizes)} files, {sum(sizes.values()) / 1e6:.1f} MB; "
        f"the largest {largest}, {sizes[largest] / 1e6:.1f} MB"
    )
    assert sizes[largest] < 25e6
    assert not [name for name in sizes if name.endswith(".map")]
