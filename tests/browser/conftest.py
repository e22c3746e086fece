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
def shared_lab(start_lab, request, tmp_path_factory):
    """The module's JupyterLab, with the chapters, and with its SETUP and CELLS as cells.ipynb."""
    paths, module = sorted(NOTEBOOKS.glob("*.ipynb")), request.module
    if hasattr(module, "CELLS"):
        cells = module.CELLS.values() if isinstance(module.CELLS, dict) else module.CELLS
        cells = filter(None, [getattr(module, "SETUP", ""), *cells])
        cells = [nbformat.v4.new_code_cell(source) for source in cells]
        paths.append(tmp_path_factory.mktemp("cells") / "cells.ipynb")
        nbformat.write(nbformat.v4.new_notebook(cells=cells), paths[-1])
    with start_lab(paths) as lab:
        yield lab


@pytest.fixture(scope="module")
def page(shared_lab, request):
    """The chapter named by the parameter, or cells.ipynb, all run without a complaint.

    It is opened once for all tests of it, which run one after another.
    """
    name = getattr(request, "param", "cells.ipynb")
    page = shared_lab.open_and_run(name)
    page.set_default_timeout(20_000)
    page.name, page.console_errors = name, shared_lab.console_errors
    yield page
    shared_lab.close()  # kernels do not outlive it
    assert not page.console_errors


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
