"""Build the site: the notebooks in JupyterLite, and around them the static reading edition.

    python lite/build.py [--offline PYODIDE_FOLDER] [--out dist]

Without --offline, readers get Python and NumPy from Pyodide's content delivery network. With it,
what the notebooks need of the Pyodide distribution in that folder becomes part of the site, and
nothing is fetched from elsewhere.

The kernel loads what a cell imports if Pyodide's lock file names it. So the site has a lock file of
its own: Pyodide's, and in it cnnlib, the widgets' packages and the kernel's. The notebooks are
those of the repository, without outputs; no cell installs anything here.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from email.parser import HeaderParser
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urljoin

import nbformat
from jupyterlite_pyodide_kernel.constants import (
    PYODIDE_CDN_URL,
    PYODIDE_PYTHON_VERSION,
    PYODIDE_VERSION,
)
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename
from reading import build_reading  # beside this file

ROOT = Path(__file__).resolve().parents[1]
CONFIGURATION = ("jupyter_lite_config.json", "overrides.json")
# Wheels that Pyodide lacks, in the versions installed here: then they fit the widgets' JavaScript,
# which the build takes from here too.
FROM_PYPI = ("anywidget", "comm", "ipywidgets", "pooch", "psygnal")
WITHOUT_PYTHON = {"jupyterlab-widgets"}  # required by ipywidgets, but only JavaScript is in it
# Loaded while the kernel starts: what the kernel itself needs, and all that cnnlib needs.
AT_START = ["micropip", "piplite", "ipykernel", "comm", "pyodide-kernel", "jedi", "ipython"]
AT_START += ["cnnlib"]
RUNTIME = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip")
LOCK = "static/pyodide-lock/pyodide-lock.json"
# What markers such as `; sys_platform == "win32"` are compared with.
IN_THE_BROWSER = {
    "extra": "",
    "os_name": "posix",
    "platform_machine": "wasm32",
    "platform_system": "Emscripten",
    "python_full_version": f"{PYODIDE_PYTHON_VERSION}.0",
    "python_version": PYODIDE_PYTHON_VERSION,
    "sys_platform": "emscripten",
}


def main():
    """Read the command line and build."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--offline", metavar="PYODIDE_FOLDER", type=Path)
    parser.add_argument("--out", type=Path, default=Path("dist"))
    options = parser.parse_args()
    build(options.out.resolve(), options.offline)


def build(out, pyodide=None):
    """Write the whole site to the folder `out`; `pyodide` is None or a folder to take it from."""
    if not pyodide and not shutil.which("npm"):
        sys.exit("the public site needs npm, for Pyodide's lock file: see nodejs.org")
    shutil.rmtree(out / "lite", ignore_errors=True)
    build_lite(out / "lite", pyodide)
    build_reading(out)
    build_reference(out / "api")
    files = [path for path in out.rglob("*") if path.is_file()]
    print(f"{out}: {len(files)} files, {sum(path.stat().st_size for path in files) / 1e6:.1f} MB")


def build_reference(out):
    """Write the API reference: the docstrings of the core, the widgets and the exercises."""
    core = sorted(path.stem for path in (ROOT / "cnnlib").glob("[!_]*.py"))
    modules = ["cnnlib", *(f"cnnlib.{name}" for name in (*core, "widgets", "exercises"))]
    command = [sys.executable, "-m", "pdoc", "--docformat", "numpy", "--output-directory", out]
    subprocess.run([*command, *modules], check=True)


def build_lite(out, pyodide):
    """Write the part of the site that runs Python."""
    with tempfile.TemporaryDirectory(prefix="cnnlib-lite-") as folder:
        source = Path(folder)  # laid out as JupyterLite wants it
        for name in CONFIGURATION:
            shutil.copy(Path(__file__).with_name(name), source)
        write_notebooks(source / "files")
        collect_wheels(source / "pypi")
        base = json.loads(pyodide_lock(pyodide, source).read_text(encoding="utf-8"))
        write_json(source / "jupyter-lite.json", site_settings(pyodide is None))
        if pyodide:
            runtime = source / "static" / "pyodide"
            runtime.mkdir(parents=True)
            for name in (*RUNTIME, "pyodide-lock.json"):
                shutil.copy(pyodide / name, runtime)
        lite = [sys.executable, "-m", "jupyterlite_core", "--lite-dir", source, "--output-dir", out]
        subprocess.run([*lite[:3], "build", *lite[3:]], check=True, cwd=source)
        write_lock(out, base, pyodide)
        subprocess.run([*lite[:3], "check", *lite[3:]], check=True, cwd=source)
    (out / ".jupyterlite.doit.db").unlink(missing_ok=True)


def write_notebooks(folder):
    """Copy the notebooks, for the kernel of the browser and without outputs."""
    folder.mkdir()
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        notebook.metadata.kernelspec = {
            "display_name": "Python (Pyodide)",
            "language": "python",
            "name": "python",
        }
        notebook.metadata.pop("widgets", None)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        nbformat.write(notebook, folder / path.name)


def collect_wheels(folder):
    """Build the wheel of cnnlib and fetch those that Pyodide lacks."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", folder, ROOT], check=True)
    for_browser = [
        "--only-binary=:all:",
        "--platform=any",
        f"--python-version={PYODIDE_PYTHON_VERSION}",
    ]
    wanted = [f"{name}=={version(name)}" for name in FROM_PYPI]
    subprocess.run(
        [*pip, "download", "--no-deps", *for_browser, "--dest", folder, *wanted], check=True
    )


def pyodide_lock(pyodide, scratch):
    """Return the path of Pyodide's own lock file: the folder's, or that of npm's package."""
    if pyodide:
        return pyodide / "pyodide-lock.json"
    package = f"pyodide@{PYODIDE_VERSION}"
    subprocess.run(["npm", "pack", "--silent", package], check=True, cwd=scratch, stdout=sys.stderr)
    archive = scratch / f"pyodide-{PYODIDE_VERSION}.tgz"
    with tarfile.open(archive) as package:
        package.extract("package/pyodide-lock.json", scratch, filter="data")
    archive.unlink()
    return scratch / "package" / "pyodide-lock.json"


def site_settings(public):
    """Return what the page tells JupyterLab and the kernel."""
    kernel = {
        "disablePyPIFallback": not public,  # in public, `%pip install` may go on working
        "loadPyodideOptions": {"lockFileURL": f"./{LOCK}", "packages": AT_START},
    }
    return {
        "jupyter-lite-schema-version": 0,
        "jupyter-config-data": {
            "appName": "Chapter 7: convolutional neural networks",
            "exposeAppInBrowser": True,  # so that tests can drive the site as it is published
            "litePluginSettings": {"@jupyterlite/pyodide-kernel-extension:kernel": kernel},
        },
    }


def write_lock(out, lock, pyodide):
    """Write Pyodide's lock file with our wheels in it; copy what it names if there is a folder."""
    packages = {canonicalize_name(name): entry for name, entry in lock["packages"].items()}
    for entry in packages.values():
        entry["file_name"] = urljoin(f"{PYODIDE_CDN_URL}/", entry["file_name"])
    kernel = out / "extensions" / "@jupyterlite" / "pyodide-kernel-extension" / "static" / "pypi"
    # Sorted: of two versions of one package the newer one stays.
    for wheel in [*sorted(kernel.glob("*.whl")), *(out / "pypi").glob("*.whl")]:
        packages[parse_wheel_filename(wheel.name)[0]] = lock_entry(wheel, out / LOCK)
    needed = closure(packages, AT_START)
    if pyodide:
        packages = {name: packages[name] for name in needed}
        for entry in packages.values():
            url, _, file_name = entry["file_name"].rpartition("/")
            if url == PYODIDE_CDN_URL:
                shutil.copy(pyodide / file_name, out / "static" / "pyodide")
                entry["file_name"] = f"../pyodide/{file_name}"
    (out / LOCK).parent.mkdir(parents=True)
    write_json(out / LOCK, lock | {"packages": packages})


def lock_entry(wheel, lock):
    """Return what Pyodide's lock file says of a package, read from its wheel."""
    name, number, *_ = parse_wheel_filename(wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        files = archive.namelist()
        (metadata,) = (file for file in files if file.endswith(".dist-info/METADATA"))
        fields = HeaderParser().parsestr(archive.read(metadata).decode())
    requirements = [Requirement(line) for line in fields.get_all("Requires-Dist", [])]
    depends = {
        canonicalize_name(needed.name)
        for needed in requirements
        if needed.marker is None or needed.marker.evaluate(IN_THE_BROWSER)
    }
    tops = {file.split("/")[0].removesuffix(".py") for file in files}
    return {
        "name": name,
        "version": str(number),
        "file_name": Path(os.path.relpath(wheel, lock.parent)).as_posix(),
        "install_dir": "site",
        "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(),
        "package_type": "package",
        "imports": sorted(top for top in tops if top.isidentifier()),
        "depends": sorted(depends - WITHOUT_PYTHON),
        "unvendored_tests": False,
    }


def closure(packages, names):
    """Return the names and those of all that they depend on; KeyError where one is missing."""
    found, ahead = set(), [canonicalize_name(name) for name in names]
    while ahead:
        name = ahead.pop()
        if name not in found:
            found.add(name)
            ahead += [canonicalize_name(needed) for needed in packages[name]["depends"]]
    return sorted(found)


def write_json(path, content):
    """Write JSON to be read by people too."""
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
