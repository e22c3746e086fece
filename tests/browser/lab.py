"""A real JupyterLab in Chromium, for the tests and for ``screenshots.py``."""

import contextlib
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from urllib.parse import quote

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TOKEN = "cnnlib"
START_SECONDS = 60
RUN_SECONDS = 120
WITHOUT_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))

# Nobody is there to answer a question; all else is as JupyterLab comes, windowing and autosave too.
SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
    },
    "@jupyterlab/notebook-extension:tracker": {"autoStartDefaultKernel": True},
}

# Not awaited: page.evaluate has no time limit, and the promise ends early at a tagged error.
RUN_ALL = """() => {
  const app = window.jupyterapp, panel = app.shell.currentWidget;
  panel.context.ready
    .then(() => panel.sessionContext.ready)
    .then(() => app.commands.execute("notebook:clear-all-cell-outputs"))
    .then(() => app.commands.execute("notebook:run-all-cells"))
    .then(() => { window.started = true; });
}"""
CELLS = """() => window.jupyterapp.shell.currentWidget.content.widgets
  .filter(cell => cell.model.type === "code")
  .map(cell => ({
    id: cell.model.id,
    count: cell.model.executionCount,
    failed: cell.model.outputs.toJSON().some(output => output.output_type === "error")
      && !(cell.model.getMetadata("tags") || []).includes("raises-exception"),
  }))"""
HAS_RUN = f"""() => {{
  const {{kernel}} = window.jupyterapp.shell.currentWidget.sessionContext.session || {{}};
  if (!window.started || kernel?.status !== "idle") return false;
  const cells = ({CELLS})();
  return cells.every(cell => cell.count) || cells.some(cell => cell.failed);
}}"""
WIDGETS_ARE_THERE = """() =>
  [...document.querySelectorAll(".jp-OutputArea-output.lm-Panel")]
    .every(panel => panel.textContent !== "Loading widget...")"""


def what_is_missing():
    """Name what a browser test needs and this machine lacks, or return None."""
    for package in ("playwright", "jupyterlab"):
        if importlib.util.find_spec(package) is None:
            return f"the package {package} is not installed"
    return None if find_chromium() else "no Chromium on the PATH"


def find_chromium():
    return next(filter(None, map(shutil.which, CHROMIUM)), None)


class Lab:
    """One server and one browser; ``open_and_run`` as often as wanted."""

    def __init__(self, url, browser):
        self.url = url
        self.browser = browser
        self.console_errors = []

    def open_and_run(self, name, height=1000):
        """Open a notebook, run all its cells and return the page.

        Raises AssertionError where a cell did not run, or failed without being tagged
        ``raises-exception``. What the browser complains of is kept in ``console_errors``.
        """
        page = self.open_without_running(name, height)
        page.evaluate(RUN_ALL)
        page.wait_for_function(HAS_RUN, timeout=1000 * RUN_SECONDS, polling=100)
        for i, cell in enumerate(page.evaluate(CELLS), start=1):
            assert not cell["failed"], f"{name}, cell {cell['id']}: error"
            assert cell["count"] == i, f"{name}, cell {cell['id']}: count {cell['count']}, not {i}"
        page.wait_for_function(WIDGETS_ARE_THERE)
        page.wait_for_timeout(500)  # what is inside a box comes after the box
        return page

    def open_without_running(self, name, height=1000):
        """Open a notebook as it is stored, and return the page."""
        self.console_errors = []
        page = self.browser.new_page(viewport={"width": 1280, "height": height})
        page.on("console", self._keep)
        page.on("pageerror", lambda error: self.console_errors.append(str(error)))
        page.goto(f"{self.url}/lab/tree/{quote(name)}?token={TOKEN}&reset")
        page.wait_for_function("() => window.jupyterapp?.shell.currentWidget?.sessionContext")
        return page

    def close(self):
        """Close all pages and shut their kernels down, which would live on without them."""
        for context in self.browser.contexts:
            context.close()
        for kernel in self._api("kernels"):
            self._api(f"kernels/{kernel['id']}", method="DELETE")

    def _keep(self, message):
        if message.type == "error":
            self.console_errors.append(f"{message.text} ({message.location.get('url')})")

    def _api(self, path, method="GET"):
        request = urllib.request.Request(
            f"{self.url}/api/{path}", headers={"Authorization": f"token {TOKEN}"}, method=method
        )
        with WITHOUT_PROXY.open(request, timeout=20) as answer:
            return json.loads(answer.read() or "null")


@contextlib.contextmanager
def running_lab(notebooks, theme="JupyterLab Light"):
    """Start JupyterLab on a copy of `notebooks`, with settings of its own, and Chromium."""
    from playwright.sync_api import sync_playwright

    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cnnlib-lab-")))
        (folder / "notebooks").mkdir()
        for path in notebooks:
            shutil.copy(path, folder / "notebooks")
        lab = Lab(stack.enter_context(_server(folder, theme)), None)
        playwright = stack.enter_context(sync_playwright())
        lab.browser = playwright.chromium.launch(
            executable_path=find_chromium(), args=CHROMIUM_FLAGS
        )
        stack.callback(lab.browser.close)
        stack.callback(lab.close)
        yield lab


@contextlib.contextmanager
def _server(folder, theme):
    """Run the server and give its address."""
    environment = os.environ | {"CNNLIB_IN_BROWSER": "1"}  # smaller trainings; nbval has the others
    for name in ("CONFIG_DIR", "RUNTIME_DIR", "DATA_DIR"):
        environment[f"JUPYTER_{name}"] = str(folder / name.lower())
    for name in ("SETTINGS_DIR", "WORKSPACES_DIR"):
        environment[f"JUPYTERLAB_{name}"] = str(folder / name.lower())
    overrides = folder / "config_dir" / "labconfig" / "default_setting_overrides.json"
    overrides.parent.mkdir(parents=True)
    settings = SETTINGS | {"@jupyterlab/apputils-extension:themes": {"theme": theme}}
    overrides.write_text(json.dumps(settings), encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += [f"--ServerApp.root_dir={folder / 'notebooks'}", f"--ServerApp.port={port}"]
    command += ["--ServerApp.port_retries=0", f"--IdentityProvider.token={TOKEN}"]
    command += ["--LabApp.expose_app_in_browser=True"]
    command += [f"--config={NOTEBOOKS.parent / 'jupyter_server_config.py'}"]  # as `make lab`
    url, log = f"http://127.0.0.1:{port}", folder / "log"
    with log.open("wb") as output:
        server = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _answers(url):
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(
                    f"JupyterLab did not start:\n{log.read_text(encoding='utf-8')[-3000:]}"
                )
            time.sleep(0.2)
        yield url
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _answers(url):
    try:
        with WITHOUT_PROXY.open(f"{url}/api/status?token={TOKEN}", timeout=5):
            return True
    except OSError:
        return False
