"""Collect what `progress` told in notebooks that were handed in: see lite/TEACHING.md."""

import argparse
import csv
import json
import re
import sys
from pathlib import Path


def read(path):
    """Return chapter, solved, total and what is open; ValueError or OSError where that fails."""
    try:
        if not (text := path.read_text(encoding="utf-8-sig").strip()):
            raise ValueError("the file is empty")
        cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
        calls = [cell for cell in cells if "".join(cell["source"]).startswith("progress(")]
        outputs = calls[-1]["outputs"] if calls else ()
        error = next((o for o in outputs if o["output_type"] == "error"), None)
        told = "".join("".join(o.get("data", {}).get("text/plain", "")) for o in outputs)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError("not JSON, as a notebook is") from None
    except (KeyError, TypeError, AttributeError):
        raise ValueError("JSON, but not a notebook") from None
    if error:
        raise ValueError(f"{error.get('ename')}: {error.get('evalue')}")
    head = re.search(r"(\w+ chapters|[\d.]+): (\d+) of (\d+) exercises solved", told)
    if not head:
        raise ValueError("progress was not run" if calls else "no cell begins with progress(")
    left = re.findall(r"^  ([✗·]) \S+ ([^:\n]+): ", told, re.MULTILINE)
    return *head.groups(), ", ".join(name + " (tried)" * (sign == "✗") for sign, name in left)


def main(arguments=None):
    """Print the table; exit with 2 where there is nothing to read."""
    parser = argparse.ArgumentParser(prog="python -m cnnlib.exercises", description=__doc__)
    parser.add_argument("command", choices=["collect"])
    parser.add_argument("folder", type=Path, help="with the notebooks, at any depth")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the table there, too")
    given = parser.parse_args(arguments)
    if not given.folder.is_dir():
        parser.error(f"there is no folder {given.folder}")
    found = sorted(given.folder.rglob("*.ipynb"))
    if not (paths := [path for path in found if ".ipynb_checkpoints" not in path.parts]):
        parser.error(f"no notebook (*.ipynb) in {given.folder}")
    rows = [("file", "chapter", "solved", "total", "open", "problem")]
    for path in paths:
        try:
            row = *read(path), ""
        except (ValueError, OSError) as problem:
            row = "", "", "", "", getattr(problem, "strerror", None) or str(problem)
        rows.append((path.relative_to(given.folder).as_posix(), *row))
    sys.stdout.reconfigure(errors="backslashreplace")  # a file may be named in any script
    width = max(len(name) for name, *_ in rows)
    for name, chapter, solved, total, left, problem in rows:
        print(f"{name:{width}}  {chapter:12}  {solved:>6}  {total:>5}  {left or problem}".rstrip())
    if given.csv:
        with given.csv.open("w", encoding="utf-8-sig", errors="backslashreplace", newline="") as f:
            csv.writer(f).writerows(rows)  # the BOM of utf-8-sig tells Excel the encoding


if __name__ == "__main__":
    main()
