"""The built site that the tests of this folder look at, and the server and browser for it.

`make test-site` builds it and says where it is; without CNNLIB_SITE these tests are skipped.
"""

import contextlib
import functools
import http.server
import os
import threading
from pathlib import Path

import pytest

from ..browser.lab import CHROMIUM_FLAGS, find_chromium, what_is_missing


@pytest.fixture(scope="session")
def site():
    folder = os.environ.get("CNNLIB_SITE")
    if not folder:
        pytest.skip("CNNLIB_SITE does not name a built site; make test-site does")
    folder = Path(folder).resolve()
    assert (folder / "lite").is_dir(), f"{folder} is not a built site"
    return folder


@pytest.fixture(scope="session")
def lite(site):
    return site / "lite"


@pytest.fixture(scope="module")  # not longer: while it lives, asyncio.run fails in other tests
def browser(lite):
    if not (lite / "static" / "pyodide").is_dir():
        pytest.skip("not the offline site: Python would be fetched from the network")
    reason = what_is_missing()
    if reason:
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(site):
    """The address of the site on a plain file server, in a folder as project pages are."""
    with _served(site.parent) as root:
        yield f"{root}/{site.name}"


@contextlib.contextmanager
def _served(folder):
    handler = functools.partial(_Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Say nothing."""

    def do_GET(self):
        """Answer as a project page does, where the browser's own favicon.ico is another's."""
        if self.path == "/favicon.ico":
            self.send_response(204)
            self.end_headers()
        else:
            super().do_GET()
