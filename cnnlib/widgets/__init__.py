"""Sliders and views for the notebooks, around ``cnnlib.figures`` and the core.

``explore`` puts sliders around any figure function, ``WindowExplorer`` lets a window slide over
numbers in the browser, ``show_source`` shows the package's code.
Only notebooks import this package.
"""

import gc
import inspect
import sys

from IPython import get_ipython

from cnnlib.widgets.ask import ask
from cnnlib.widgets.digit_pad import DigitPad
from cnnlib.widgets.explore import Explorer, explore
from cnnlib.widgets.lens import Lens
from cnnlib.widgets.shape_calculator import ShapeCalculator
from cnnlib.widgets.source import show_source
from cnnlib.widgets.training_panel import TrainingPanel
from cnnlib.widgets.window_explorer import WindowExplorer

__all__ = [
    "DigitPad", "Explorer", "Lens", "ShapeCalculator", "TrainingPanel", "WindowExplorer",
    "ask", "explore", "show_source",
]  # fmt: skip

# Else a full collection looks at all that NumPy, matplotlib and IPython have made by now, which
# stays: a tenth of a second, with every tenth picture.
gc.freeze()

if "google.colab" in sys.modules:  # Colab shows other widgets than its own only on request
    sys.modules["google.colab"].output.enable_custom_widget_manager()


def _answer_all(kernel):
    """Let the page know that each of its messages has been handled.

    ipykernel 7.4 keeps silent on what comes while a cell awaits: a slider moved then would wait for
    the answer for good, and be deaf from then on.
    """
    handle = kernel.shell_handlers["comm_msg"]

    def answered(stream, ident, message):
        handle(stream, ident, message)
        idle = {"execution_state": "idle"}
        kernel.session.send(kernel.iopub_socket, "status", idle, parent=message)

    kernel.shell_handlers["comm_msg"] = answered


_dispatch = getattr(getattr(get_ipython(), "kernel", None), "dispatch_shell", None)
if _dispatch and "concurrent" in inspect.signature(_dispatch).parameters:
    _answer_all(get_ipython().kernel)
