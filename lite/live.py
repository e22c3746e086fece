"""Window Explorers that move where no Python runs: all their pictures, computed beforehand.

A page loads one script: the states of its explorers, the explorer's own view, and what stands in
for the kernel (``reading/live.js``). Without JavaScript the still picture stays.
"""

import base64
import itertools
import json
import math
from pathlib import Path

from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

from cnnlib.widgets import WindowExplorer
from cnnlib.widgets.static import style_sheet

VIEW = Path(__file__).parents[1] / "cnnlib" / "widgets" / "window_explorer.js"
STAND_IN = Path(__file__).with_name("reading") / "live.js"
CHAPTERS = ("7.2", "7.3", "7.4", "7.8")  # in which there are explorers
FEW = 60  # settings of an explorer; one with more stays still


def front_explorer():
    """Return the explorer of the front page: a filter for upright edges over an F."""
    rows = "0000000 0999990 0900000 0999900 0900000 0900000 0000000".split()
    edge = [[-1, 0, 1]] * 3
    explorer = WindowExplorer(
        [list(map(int, row)) for row in rows], edge, bias=False, sliders=["height", "stride", "pad"]
    )
    for name, (low, high) in {"height": (5, 8), "stride": (1, 3), "pad": (0, 2)}.items():
        explorer.controls[name].min, explorer.controls[name].max = low, high
    return explorer


def chapter_states(path):
    """Run the code of a chapter; return the states of its explorers by cell id."""
    shell, found = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}})), {}
    with capture_output():
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "code":
                result = shell.run_cell("".join(cell["source"]))
                result.raise_error()
                found[cell["id"]] = result.result
    known = {cell: states(one) for cell, one in found.items() if isinstance(one, WindowExplorer)}
    return {cell: one for cell, one in known.items() if one}


def states(explorer):
    """Return what a page needs to show an explorer, as plain data; None where that is too much.

    `pictures` has the picture of each setting of the sliders, such as "7,1,0", or says why there is
    none.
    """
    controls = explorer.controls
    if "mode" in controls or math.prod(c.max - c.min + 1 for c in controls.values()) > FEW:
        return None
    pictures = {}
    for values in itertools.product(*(range(c.min, c.max + 1) for c in controls.values())):
        try:
            explorer.set(**dict(zip(controls, values, strict=True)))
            found = explorer._view.picture
        except ValueError as error:
            found = str(error)
        pictures[",".join(map(str, values))] = found
    explorer.reset()
    sliders = [
        {"name": name, "label": c.description, "min": c.min, "max": c.max, "value": c.value}
        for name, c in controls.items()
    ]
    view = explorer._view
    return {"look": view.look, "reveal": view.reveal, "sliders": sliders, "pictures": pictures}


def write_script(path, explorers):
    """Write the script of a page for a dict of states, by the id of the place of each."""
    known = json.dumps(explorers, default=lambda shade: base64.b64encode(shade).decode("ascii"))
    view = VIEW.read_text(encoding="utf-8").replace("export default { render };", "")
    parts = [f"const STATES = {known};", view, STAND_IN.read_text(encoding="utf-8")]
    path.write_text("{\n" + "\n".join(parts) + "}\n", encoding="utf-8")  # a block: names of its own


def write_style(path):
    """Write the style sheet of all explorers."""
    path.write_text(style_sheet("window_explorer.css"), encoding="utf-8")
