"""A JupyterLab and a Chromium for all tests here, and what they say at the end of a run."""

import os
from contextlib import nullcontext

import nbformat
import pytest

from .lab import LIGHT, NOTEBOOKS, running_chromium, running_lab, what_is_missing


@pytest.fixture(scope="package")  # not longer: while it lives, asyncio.run fails in other tests
def chromium():
    """The Chromium of all tests here, where it can run."""
    reason = what_is_missing()
    if reason and os.environ.get("CI"):
        pytest.fail(f"browser tests must run here, but {reason}")
    if reason:
        pytest.skip(reason)
    with running_chromium() as browser:
        yield browser


@pytest.fixture(scope="package")
def shared_lab(chromium):
    with running_lab(chromium) as lab:
        yield lab


@pytest.fixture
def lab(shared_lab):
    """The JupyterLab of all tests here, with the notebooks as stored; kernels end with the test."""
    shared_lab.copy(*NOTEBOOKS.glob("*.ipynb"))
    yield shared_lab
    shared_lab.close()


@pytest.fixture(scope="module")
def page(chromium, shared_lab, request, tmp_path_factory):
    """The module's NOTEBOOK, or its SETUP and CELLS as one, all run.

    In the theme that is the test's parameter, if any. Nothing may be complained of in the console.
    """
    module, theme = request.module, getattr(request, "param", LIGHT)
    path = NOTEBOOKS / getattr(module, "NOTEBOOK", "cells.ipynb")
    if path.name == "cells.ipynb":
        path = tmp_path_factory.mktemp("cells") / path.name
        cells = module.CELLS.values() if isinstance(module.CELLS, dict) else module.CELLS
        cells = filter(None, [getattr(module, "SETUP", ""), *cells])
        cells = [nbformat.v4.new_code_cell(source) for source in cells]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    themed = nullcontext(shared_lab) if theme == LIGHT else running_lab(chromium, theme)
    with themed as lab:
        lab.copy(path, *NOTEBOOKS.glob("*.ipynb"))  # links lead from one to the other
        page = lab.open_and_run(path.name)
        page.set_default_timeout(20_000)
        page.console_errors = lab.console_errors
        yield page
        lab.close()
        assert not lab.console_errors


@pytest.fixture
def say(request):
    """Say a sentence at the end of the run, on whatever worker."""
    return lambda text: request.node.user_properties.append(("said", text))


def pytest_terminal_summary(terminalreporter):
    reports = [r for several in terminalreporter.stats.values() for r in several]
    for report in reports:
        if getattr(report, "when", None) == "call":
            for _, text in report.user_properties:
                terminalreporter.write_line(text)
