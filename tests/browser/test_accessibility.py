"""axe finds nothing serious in the widgets of a running notebook, in light and dark."""

import pytest

from .axe import violations

CELLS = {
    "explore": """from cnnlib.figures.convolution import sliding
from cnnlib.widgets import explore
explore(sliding, height=(1, 9), width=(1, 9), filter_h=(1, 5), filter_w=(1, 5))""",
    "WindowExplorer": "from cnnlib.widgets import WindowExplorer\nWindowExplorer()",
    "ShapeCalculator": "from cnnlib.widgets import ShapeCalculator\nShapeCalculator()",
    "Lens": """import numpy as np
from cnnlib.widgets import Lens
Lens({"noise": np.random.default_rng(0).random((30, 30))})""",
    "ask": 'from cnnlib.widgets import ask\nask("7.1", "one pixel")',
    "TrainingPanel": """from cnnlib import SimpleConvNet, Trainer, load_digits28
from cnnlib.widgets import TrainingPanel
train, test = load_digits28()
network = SimpleConvNet(rng=0)
TrainingPanel(Trainer(network, *train, *test, 1, 50, "Adam", {"lr": 0.002}, verbose=False))""",
    "DigitPad": "from cnnlib.widgets import DigitPad\nDigitPad(network)",
}
LOOK_AT = """k => document.querySelectorAll(".jp-CodeCell .jp-OutputArea").forEach(
  (area, i) => area.toggleAttribute("data-looked-at", i === k))"""


THEME = "theme => jupyterapp.commands.execute('apputils:change-theme', {theme}).then(() => null)"


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_axe_finds_nothing_serious(page, theme, name):
    page.evaluate(THEME, theme)
    page.wait_for_selector(f"body[data-jp-theme-name='{theme}']", state="attached")
    page.evaluate(LOOK_AT, list(CELLS).index(name))
    assert violations(page, within="[data-looked-at]") == []
