"""What leaves this folder: the package's files, what the workflows call, the teachers' page."""

import ast
import json
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def kept(*where):
    """Return the files that git keeps or would keep: tracked, or new and not ignored."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *where]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a git repository: nothing to compare with")
    names = set(done.stdout.split("\0")) - {""}
    return {name for name in names if (ROOT / name).is_file()}  # without those just deleted


def build(builder, folder):
    """Build in this process with hatchling's own classes: no isolation, so no network."""
    (path,) = builder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    return Path(path)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build(WheelBuilder, tmp_path_factory.mktemp("wheel"))


def test_the_wheel_holds_every_file_of_the_package(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (licence,) = [name for name in names if name.endswith("licenses/LICENSE")]
        assert archive.read(licence) == (ROOT / "LICENSE").read_bytes()
    added = {name.split("/", 1)[1] for name in names if ".dist-info/" in name}
    licences = {"licenses/LICENSE", "licenses/cnnlib/data/README.md"}
    assert added == {"METADATA", "WHEEL", "RECORD", *licences}
    assert {name for name in names if ".dist-info/" not in name} == kept("cnnlib")


# Data, weights, scripts and style sheets, read as the notebooks read them.
READ = """
import cnnlib
from cnnlib import widgets
from cnnlib.widgets import window_explorer
(x, _), _ = cnnlib.load_digits28()
network = cnnlib.load_trained("simple")
assert x.shape[1:] == (1, 28, 28) and network.predict(x[:1]).shape == (1, 10)
cnnlib.load_trained("deep")
cnnlib.filter_history()
for view in (widgets.DigitPad(network), window_explorer._View()):
    assert "export default" in view._esm and "{" in view._css
print(cnnlib.__file__)
"""


def test_the_wheel_alone_has_data_weights_and_scripts(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{READ}"
    command = [sys.executable, "-I", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()) == tmp_path / "cnnlib" / "__init__.py"


def test_the_source_distribution_is_the_repository(tmp_path):
    with tarfile.open(build(SdistBuilder, tmp_path)) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames()}
    assert names == kept() | {"PKG-INFO"}


def names_no_encoding(call):
    """Whether a call opens a text file, by name or as a Path, and leaves the encoding out."""
    function, words = ast.unparse(call.func), {word.arg: word.value for word in call.keywords}
    if "encoding" in words:
        return False
    if function.endswith((".read_text", ".write_text")):
        return len(call.args) == function.endswith(".write_text")  # it may come without its name
    arguments = [ast.unparse(given) for given in (*call.args, *words.values())]
    modes = [text for text in arguments if re.fullmatch(r"'[rwaxbt+]+'", text)]
    of_path = function.endswith(".open") and (modes or not arguments)  # others open archives
    return bool(function == "open" or of_path) and not any("b" in mode for mode in modes)


def test_text_files_are_read_and_written_with_their_encoding():
    found = []
    for name in sorted(name for name in kept() if name.endswith(".py")):
        for node in ast.walk(ast.parse((ROOT / name).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and names_no_encoding(node):
                found.append(f"{name}:{node.lineno}: {ast.unparse(node)}")
    assert found == []


# ---- workflows --------------------------------------------------------------------------------


def read(path):
    """Return a workflow; YAML reads its key `on` as True."""
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    workflow["on"] = workflow.pop(True)
    return workflow


def steps(workflow):
    return [step for job in workflow["jobs"].values() for step in job.get("steps", [])]


def test_there_are_two_workflows():
    assert [path.name for path in WORKFLOWS] == ["site.yml", "test.yml"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_run_make_targets_and_nothing_else(path):
    rules = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):", rules, re.MULTILINE))
    for step in steps(read(path)):
        assert ("run" in step) != ("uses" in step)
        if "uses" in step:
            assert re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"])
        elif step["run"] != ".ci/run":
            make, target = step["run"].split()
            assert make == "make" and target in targets


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_may_read_and_only_the_deployment_writes(path):
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    more = {
        name: job["permissions"] for name, job in workflow["jobs"].items() if "permissions" in job
    }
    writes = {"deploy": {"pages": "write", "id-token": "write"}}
    assert more == (writes if path.name == "site.yml" else {})
    assert all("timeout-minutes" in job or "uses" in job for job in workflow["jobs"].values())


def test_every_job_of_the_site_waits_for_the_one_before():
    jobs = read(ROOT / ".github/workflows/site.yml")["jobs"]
    assert jobs["test"]["uses"] == "./.github/workflows/test.yml"
    assert jobs["build"]["needs"] == "test" and jobs["deploy"]["needs"] == "build"


def test_the_tested_versions_begin_with_the_oldest_allowed():
    jobs = read(ROOT / ".github/workflows/test.yml")["jobs"]
    versions = jobs["test"]["strategy"]["matrix"]["python"]
    oldest = jobs["lowest"]["steps"][1]["with"]["python-version"]
    assert versions == [f"3.{minor}" for minor in range(11, 15)] and oldest == versions[0]
    assert PROJECT["requires-python"] == f">={oldest}"


def test_the_lowest_versions_are_those_of_pyproject():
    command = [sys.executable, ".ci/lowest.py"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    lowest = [Requirement(line) for line in done.stdout.splitlines()]
    extras = PROJECT["optional-dependencies"]
    declared = map(Requirement, PROJECT["dependencies"] + extras["lab"] + extras["test"])
    for one, allowed in zip(lowest, declared, strict=True):
        (exactly,) = one.specifier
        assert one.name == allowed.name and exactly.operator == "=="
        assert exactly.version in {bound.version for bound in allowed.specifier}
        assert allowed.specifier.contains(exactly.version)


def test_dependabot_follows_what_is_pinned_exactly():
    settings = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text(encoding="utf-8"))
    pip, actions = settings["updates"]
    texts = [text for extra in PROJECT["optional-dependencies"].values() for text in extra]
    pinned = {Requirement(text).name for text in texts if "==" in text}
    assert {one["dependency-name"] for one in pip["allow"]} == pinned
    assert actions["package-ecosystem"] == "github-actions"


def test_every_file_names_the_same_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## (\S+)", changes, re.MULTILINE)[1]
    assert citation["version"] == newest == PROJECT["version"]


# ---- the teachers' page -----------------------------------------------------------------------


def test_the_teachers_page_names_what_the_chapters_hold():
    page = (ROOT / "lite" / "TEACHING.md").read_text(encoding="utf-8")
    row = r"^\| \[(7\.\d)\]\(\.\./(notebooks/\S+)\) \|(.+)\| (\d) \|$"
    rows = re.findall(row, page, re.MULTILINE)
    assert [chapter for chapter, *_ in rows] == [f"7.{number}" for number in range(1, 9)]
    for chapter, path, plan, questions in rows:
        cells = json.loads((ROOT / path).read_text(encoding="utf-8"))["cells"]
        text = "\n".join("".join(cell["source"]) for cell in cells)
        headings = set(re.findall(r"^#+ (.+)$", text, re.MULTILINE))
        for title in re.findall(r'"([^"]+)"', plan):
            assert title in headings, f"{chapter} has no section {title!r}"
        for number in re.findall(r"7\.\d\.\d", plan):
            assert any(heading.startswith(number) for heading in headings), f"no section {number}"
        checkers = set(re.findall(r"^(check_\w+)\(", text, re.MULTILINE))
        checkers -= {"check_gradient"}  # the library's own, not an exercise's
        assert set(re.findall(r"`(check_\w+)`", plan)) == checkers, f"checkers of {chapter}"
        asked = text.count('ask("7.')
        assert asked == int(questions), f"TEACHING.md: {chapter} has {asked} questions"
