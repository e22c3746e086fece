"""Training sizes: less in a browser, and nowhere else."""

import sys

from cnnlib.sizes import affordable, in_browser


def test_a_process_of_its_own_trains_in_full(monkeypatch):
    monkeypatch.delenv("CNNLIB_IN_BROWSER", raising=False)
    assert not in_browser() and affordable(native=8, browser=2) == 8


def test_a_browser_trains_less(monkeypatch):
    monkeypatch.setattr(sys, "platform", "emscripten")
    assert in_browser() and affordable(native=8, browser=2) == 2


def test_a_browser_can_be_feigned(monkeypatch):
    monkeypatch.setenv("CNNLIB_IN_BROWSER", "1")
    assert in_browser() and affordable(native=8, browser=2) == 2
