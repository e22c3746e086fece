"""Sliders and views for the notebooks, around ``cnnlib.figures`` and the core.

``explore`` puts sliders around any figure function, ``show_source`` shows the package's code.
Only notebooks import this package.
"""

from cnnlib.widgets.explore import Explorer, explore
from cnnlib.widgets.source import show_source

__all__ = ["Explorer", "explore", "show_source"]
