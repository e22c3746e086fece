"""A JupyterLab and a Chromium for each module, and what tests say at the end of a run."""

import os

import nbformat
import pytest

from .lab import NOTEBOOKS, running_lab, what_is_missing


@pytest.fixture(scope="module")  # not longer: while it lives, asyncio.run fails in other tests
def start_lab():
    """Return `running_lab`, where it can run."""
    reason = what_is_missing()
    if reason and os.environ.get("CI"):
        pytest.fail(f"browser tests must run here, but {reason}")
    if reason:
        pytest.skip(reason)
    return running_lab


@pytest.fixture(scope="module")
def shared_lab(start_lab):
    with start_lab(sorted(NOTEBOOKS.glob("*.ipynb"))) as lab:
        yield lab


@pytest.fixture
def lab(shared_lab):
    """The module's JupyterLab; kernels do not outlive their test."""
    yield shared_lab
    shared_lab.close()


@pytest.fixture(scope="module")
def page(start_lab, request, tmp_path_factory):
    """The module's NOTEBOOK, or its SETUP and CELLS as one, all run without a complaint."""
    module = request.module
    path = tmp_path_factory.mktemp("cells") / getattr(module, "NOTEBOOK", "cells.ipynb")
    paths = sorted(NOTEBOOKS.glob("*.ipynb"))  # links lead from one to the other
    if path.name == "cells.ipynb":
        cells = module.CELLS.values() if isinstance(module.CELLS, dict) else module.CELLS
        cells = filter(None, [getattr(module, "SETUP", ""), *cells])
        cells = [nbformat.v4.new_code_cell(source) for source in cells]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
        paths = [path]
    with start_lab(paths) as lab:
        page = lab.open_and_run(path.name)
        page.set_default_timeout(20_000)
        page.console_errors = lab.console_errors
        yield page
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
