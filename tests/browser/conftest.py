"""One JupyterLab and one Chromium for each module; kernels do not outlive their test."""

import os

import pytest

from .lab import NOTEBOOKS, running_lab, what_is_missing


@pytest.fixture(scope="module")  # not longer: while it lives, asyncio.run fails in other tests
def shared_lab():
    reason = what_is_missing()
    if reason and os.environ.get("CI"):
        pytest.fail(f"browser tests must run here, but {reason}")
    if reason:
        pytest.skip(reason)
    with running_lab(sorted(NOTEBOOKS.glob("*.ipynb"))) as lab:
        yield lab


@pytest.fixture
def lab(shared_lab):
    yield shared_lab
    shared_lab.close()


@pytest.fixture
def page(lab, request):
    """The module's NOTEBOOK, all its cells run; nothing may be complained of in the console."""
    page = lab.open_and_run(request.module.NOTEBOOK)
    page.set_default_timeout(30_000)
    yield page
    assert not lab.console_errors
