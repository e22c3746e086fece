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
