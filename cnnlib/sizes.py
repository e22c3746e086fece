"""How much the notebooks train: the one place where a slow machine is taken into account.

In a browser Python is WebAssembly, without BLAS: a matrix product takes 12 to 60 times as long as
in a process of its own. The notebooks show the same there, after less training.
"""

import os
import sys


def in_browser():
    """Tell whether Python runs in a browser, as in JupyterLite.

    Returns
    -------
    bool
        Also True where the environment variable CNNLIB_IN_BROWSER is set: then a notebook can be
        run natively as it would run there.
    """
    return sys.platform == "emscripten" or bool(os.environ.get("CNNLIB_IN_BROWSER"))


def affordable(native, browser):
    """Choose a size of training: epochs, images, filters.

    Parameters
    ----------
    native, browser : object
        The size for a process of its own, and the one for Python in a browser.

    Returns
    -------
    object
        One of the two.

    Examples
    --------
    >>> epochs = affordable(native=8, browser=2)
    """
    return browser if in_browser() else native
