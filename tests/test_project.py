"""The project's own rules: who may import whom, and one set of version bounds in two files."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "cnnlib"
CORE = {
    "windows",
    "naive",
    "layers",
    "fast",
    "gradients",
    "networks",
    "classics",
    "optimizers",
    "trainer",
    "datasets",
    "visualize",
}
# Room -> what its modules may import from outside the standard library and from cnnlib.
MAY_IMPORT = {
    "core": ({"numpy", "pooch", "requests", "tqdm", "threadpoolctl"}, CORE),
    "figures": ({"numpy", "matplotlib", "PIL"}, CORE | {"figures"}),
    "widgets": (
        {"numpy", "ipywidgets", "anywidget", "traitlets", "IPython"},
        CORE | {"figures", "widgets", "exercises"},  # predictions count among the exercises
    ),
    "exercises": ({"numpy"}, CORE | {"exercises"}),
}


def modules():
    return sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def room(path):
    name = path.parts[0].removesuffix(".py")
    return "core" if name in CORE | {"__init__"} else name


def imports(path):
    """Yield (dotted name, names taken from it) for every import anywhere in a file."""
    for node in ast.walk(ast.parse((PACKAGE / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, ()
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are written out, from cnnlib"
            yield node.module, tuple(alias.name for alias in node.names)


@pytest.mark.parametrize("path", modules(), ids=str)
def test_rooms_import_only_what_they_may(path):
    assert room(path) in MAY_IMPORT, f"{path}: not a room of DESIGN.md"
    outside, inside = MAY_IMPORT[room(path)]
    for name, taken in imports(path):
        top, *rest = name.split(".")
        if top == "cnnlib":
            for part in rest[:1] or taken:
                assert part in inside, f"{path} imports cnnlib.{part}"
        elif top not in sys.stdlib_module_names:
            assert top in outside, f"{path} imports {name}"
        assert "pyplot" not in name and "pyplot" not in taken, f"{path} imports pyplot"


def test_what_is_imported_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = set(requirements(project["dependencies"]))
    tops = {name.split(".")[0] for path in modules() for name, _ in imports(path)}
    outside = {top.lower() for top in tops - {"cnnlib"} if top not in sys.stdlib_module_names}
    assert {{"pil": "pillow"}.get(top, top) for top in outside} == declared


def test_import_cnnlib_loads_the_core_alone():
    code = "import sys, cnnlib; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.split()
    assert "numpy" in loaded and "cnnlib" in loaded
    heavy = {"matplotlib", "PIL", "ipywidgets", "IPython", "traitlets", "pooch", "requests"}
    heavy |= {"tqdm", "scipy", "threadpoolctl"}
    assert not heavy & set(loaded)


def test_modules_of_the_core_build_on_those_before_them():
    """The reading order of cnnlib/__init__.py: each module needs only those above it."""
    text = ast.get_docstring(ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8")))
    order = re.findall(r"^    (\w+) {2,}", text.split("Notation")[0], re.MULTILINE)
    assert set(order) == CORE
    for number, name in enumerate(order):
        for module, taken in imports(Path(f"{name}.py")):
            parts = module.split(".")
            if parts[0] == "cnnlib":
                needed = set(parts[1:2] or taken)
                assert needed <= set(order[:number]), f"{name} imports {needed}"


def test_fast_is_imported_in_three_places():
    """The only seam between the two floors: networks, classics, and the package's public names."""
    users = {str(path) for path in modules() for name, _ in imports(path) if name == "cnnlib.fast"}
    assert users <= {"__init__.py", "networks.py", "classics.py", "visualize.py"}


LINES = {"*.py": 3900, "layers.py": 520, "fast.py": 250}
LINES |= {"figures/*": 4200, "widgets/*": 3000, "exercises/*.py": 2900}


@pytest.mark.parametrize("what", LINES)
def test_a_room_keeps_its_budget_of_lines(what):
    files = [path for path in PACKAGE.glob(what) if path.is_file()]
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files)
    assert files and lines <= LINES[what], f"cnnlib/{what}: {lines} lines; free some first"


def test_nothing_touches_the_global_seed():
    for path in modules():
        text = (PACKAGE / path).read_text(encoding="utf-8")
        used = set(re.findall(r"np\.random\.(\w+)", text))
        if path.as_posix() == "exercises/running.py":  # puts back what a submission has changed
            used -= {"get_state", "set_state"}
        assert used <= {"default_rng", "Generator"}, f"{path}: np.random.{used}"


def requirements(lines):
    """Return {name: bounds} from lines such as "numpy>=2.0,<3", without markers."""
    found = {}
    for line in lines:
        requirement, _, _ = line.partition(";")
        name, bounds = re.fullmatch(r"([A-Za-z0-9_.-]+)\s*(.*)", requirement).groups()
        found[name.lower()] = ",".join(sorted(bounds.replace(" ", "").split(",")))
    return found


def test_environment_yml_names_the_same_bounds():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert environment["name"] == project["name"] == "cnnlib"
    assert environment["channels"] == ["conda-forge"]
    *conda, pip = environment["dependencies"]
    assert pip == {"pip": ["-e ."]}
    conda = requirements(conda)
    # One version for all who take it from here, the oldest that the package allows.
    assert conda.pop("python").replace("=", ">=") == project["requires-python"]
    conda.pop("pip")
    extras = project["optional-dependencies"]
    assert conda == requirements(project["dependencies"] + extras["lab"] + extras["test"])


def test_a_notebook_saved_on_binder_keeps_its_pictures(tmp_path):
    environment = {**os.environ, "NB_PYTHON_PREFIX": str(tmp_path)}
    subprocess.run([ROOT / "postBuild"], cwd=ROOT, env=environment, check=True)
    jupyter = SimpleNamespace(
        ContentsManager=SimpleNamespace(), FileContentsManager=SimpleNamespace()
    )
    settings = tmp_path / "etc" / "jupyter" / "jupyter_server_config.py"
    exec(settings.read_text(encoding="utf-8"), {"c": jupyter})
    kinds = {"text/plain": "", "image/png": "", "application/vnd.jupyter.widget-view+json": {}}
    bare = {"application/vnd.jupyter.widget-view+json": {}}
    cells = [{"outputs": [{"data": dict(kinds)}, {"data": dict(bare)}]}, {"source": "prose"}]
    model = {"type": "notebook", "content": {"cells": cells}}
    jupyter.ContentsManager.pre_save_hook(model=model)
    picture, widget = (set(output["data"]) for output in cells[0]["outputs"])
    assert picture == {"text/plain", "image/png"} and widget == set(bare)
