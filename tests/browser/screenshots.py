"""Pictures of a notebook as JupyterLab shows it after a run, to be looked at by a person.

python tests/browser/screenshots.py NOTEBOOK OUTDIR [--dark]
"""

import argparse
from pathlib import Path

from lab import NOTEBOOKS, running_lab

SLICE = 1000
# JupyterLab leaves a screenful of nothing below the last cell: it is not counted.
HEIGHT = """box => {
  const last = [...box.querySelectorAll(".jp-Cell")].at(-1).getBoundingClientRect();
  return last.bottom - box.getBoundingClientRect().top + box.scrollTop;
}"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebook", help="a path, or a name in notebooks/")
    parser.add_argument("outdir", type=Path)
    parser.add_argument("--dark", action="store_true", help="in JupyterLab's dark theme")
    options = parser.parse_args()
    path = Path(options.notebook)
    path = path if path.exists() else NOTEBOOKS / path
    options.outdir.mkdir(parents=True, exist_ok=True)
    theme = "JupyterLab Dark" if options.dark else "JupyterLab Light"
    with running_lab([path], theme) as lab:
        page = lab.open_and_run(path.name, height=SLICE + 150)  # room for menu and toolbar
        page.evaluate("() => window.jupyterapp.commands.execute('application:toggle-left-area')")
        scroller = page.locator(".jp-NotebookPanel .jp-WindowedPanel-outer")
        page.wait_for_timeout(500)
        top, number = 0, 0
        while top < scroller.evaluate(HEIGHT):  # which grows: JupyterLab lays out what is near
            scroller.evaluate("(box, top) => box.scrollTo(0, top)", top)
            page.wait_for_timeout(400)
            number += 1
            picture = options.outdir / f"{path.stem}{'-dark' * options.dark}-{number:02}.png"
            scroller.screenshot(path=picture)
            print(picture)
            top += scroller.evaluate("box => box.clientHeight")
        print("\n".join(lab.console_errors) or "no console errors")


if __name__ == "__main__":
    main()
