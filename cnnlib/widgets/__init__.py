"""Sliders and views around `cnnlib.figures` and the core, for notebooks: only they import them."""

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

# Else every tenth picture waits 0.1 s for a collection that looks at all the imports have made.
gc.freeze()

if "google.colab" in sys.modules:  # Colab shows other widgets than its own only on request
    sys.modules["google.colab"].output.enable_custom_widget_manager()

# ipykernel 7.4 keeps silent on what comes while a cell awaits: a slider moved then would wait for
# its answer for good, and be deaf from then on. Here each message gets one.
_kernel = getattr(get_ipython(), "kernel", None)
if "concurrent" in inspect.signature(getattr(_kernel, "dispatch_shell", print)).parameters:

    def _answered(*message, handle=_kernel.shell_handlers["comm_msg"]):
        handle(*message)
        idle = {"execution_state": "idle"}
        _kernel.session.send(_kernel.iopub_socket, "status", idle, parent=message[-1])

    _kernel.shell_handlers["comm_msg"] = _answered
