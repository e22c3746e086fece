"""The offline site as a reader uses it: opened in Chromium from a plain file server, and run.

Nothing may be asked of another address, and nothing complained of in the browser's console.
"""

import re
import time
from urllib.parse import quote

import pytest

from ..browser.kernel import ask_kernel
from ..browser.lab import CELLS, HAS_RUN, RUN_ALL, WIDGETS_ARE_THERE
from ..browser.test_digit_pad import STROKES, draw
from .test_structure import NOTEBOOKS

PROCESSOR_SECONDS = 90  # for each notebook, from an empty page to the last cell
WALL_SECONDS = 1500  # the machine may be busy with other things
POSITION = """id => window.jupyterapp.shell.currentWidget.content.widgets
  .findIndex(cell => cell.model.id === id)"""
COMPLAINTS = """() => window.jupyterapp.shell.currentWidget.content.widgets
  .filter(cell => cell.model.type === "code")
  .flatMap(cell => cell.model.outputs.toJSON()
    .filter(output => output.name === "stderr")
    .map(output => `${cell.model.id}: ${output.text}`))"""
PANEL = "print(trainer.current_iter, panel.running, len(trainer.train_loss_list))"


class Reader:
    """One page of its own storage: opens a notebook, runs it, keeps what went wrong."""

    def __init__(self, browser, address):
        self.address = address
        self.errors, self.elsewhere = [], []
        self._browser = browser.new_browser_cdp_session()
        self._context = browser.new_context(viewport={"width": 1280, "height": 1000})
        self._context.on("request", self._look_at)
        self.page = self._context.new_page()
        self.page.on("console", self._listen)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.set_default_timeout(60_000)

    def run(self, name):
        """Run all cells; return the seconds they took by the clock and of the processor."""
        page, clock, processor = self.page, time.monotonic(), self._processor()
        page.goto(f"{self.address}/lite/lab/index.html?path={quote(name)}")
        page.wait_for_function(
            "() => window.jupyterapp?.shell.currentWidget?.sessionContext",
            timeout=1000 * WALL_SECONDS,
        )
        page.evaluate(RUN_ALL)
        page.wait_for_function(HAS_RUN, timeout=1000 * WALL_SECONDS, polling=200)
        since = {one: used - processor.get(one, 0) for one, used in self._processor().items()}
        took = time.monotonic() - clock, sum(since.values())
        for i, cell in enumerate(page.evaluate(CELLS), start=1):
            assert not cell["failed"], f"{name}, cell {cell['id']}: error"
            assert cell["count"] == i, f"{name}, cell {cell['id']}: count {cell['count']}, not {i}"
        page.wait_for_function(WIDGETS_ARE_THERE)
        return took

    def cell(self, id):
        cell = self.page.locator(".jp-Notebook .jp-Cell").nth(self.page.evaluate(POSITION, id))
        cell.scroll_into_view_if_needed()
        return cell

    def is_content(self):
        """Assert that nothing went out and nobody complained."""
        stderr = self.page.evaluate(COMPLAINTS)
        assert not self.elsewhere + self.errors + stderr

    def close(self):
        self._context.close()

    def _processor(self):
        """Return {process: seconds it computed so far, all threads together} for the pages."""
        processes = self._browser.send("SystemInfo.getProcessInfo")["processInfo"]
        return {one["id"]: one["cpuTime"] for one in processes if one["type"] == "renderer"}

    def _look_at(self, request):
        server = self.address.rpartition("/")[0]
        if not request.url.startswith((f"{server}/", f"blob:{server}/", "data:")):
            self.elsewhere.append(request.url)

    def _listen(self, message):
        if message.type == "error":
            self.errors.append(f"{message.text} ({message.location.get('url')})")


@pytest.fixture
def reader(browser, address):
    reader = Reader(browser, address)
    yield reader
    reader.close()


@pytest.mark.parametrize(
    "name", [p.name for p in NOTEBOOKS if p.name[:3] not in ("7.2", "7.5")], ids=lambda n: n[:3]
)
def test_a_notebook_runs_from_top_to_bottom(reader, name):
    took = reader.run(name)
    reader.is_content()
    in_time(name, *took)


def test_7_2_a_slider_changes_the_output_shape(reader):
    (name,) = (path.name for path in NOTEBOOKS if path.name.startswith("7.2"))
    took = reader.run(name)

    drawn_in_the_browser = reader.cell("stride")
    summary = drawn_in_the_browser.locator(".summary")
    assert "3, 3)" in summary.inner_text()  # 7 x 7, filter 3 x 3, stride 2
    drawn_in_the_browser.get_by_role("slider", name="stride").press("ArrowRight")
    drawn_in_the_browser.locator(".summary", has_text="2, 2)").wait_for()
    assert ask_kernel(reader.page, "print(strided.stride, strided.output.shape)") == "3 (2, 2)\n"

    drawn_by_python = reader.cell("sliding-explorer")
    drawn_by_python.locator('img[alt*="the output is 3 x 3"]').wait_for()
    stride = drawn_by_python.locator(".widget-hslider", has_text="stride").get_by_role("slider")
    stride.press("ArrowRight")
    drawn_by_python.locator('img[alt*="the output is 2 x 2"]').wait_for()
    reader.is_content()
    in_time(name, *took)


def test_7_5_trains_and_reads_a_drawn_digit(reader):
    (name,) = (path.name for path in NOTEBOOKS if path.name.startswith("7.5"))
    took = reader.run(name)

    panel = reader.cell("train-panel").locator(".cnnlib-training-panel")
    done = until(reader.page, lambda step, running: not running)
    panel.get_by_role("button", name=re.compile("more epochs$")).press("Enter")
    until(reader.page, lambda step, running: running and step > done)
    panel.get_by_role("button", name="Stop").press("Enter")
    stopped = until(reader.page, lambda step, running: not running)
    panel.get_by_role("status").filter(has_text=f"Stopped after step {stopped} of ").wait_for()

    pad = reader.cell("pad-draw").locator(".cnnlib-pad")
    pad.get_by_role("button", name="Clear").click()
    pad.locator(".said", has_text="Draw a digit").wait_for()
    pad.scroll_into_view_if_needed()
    draw(reader.page, STROKES[4])
    pad.locator(".said", has_text="4, with").wait_for()
    reader.is_content()
    in_time(name, *took)


def until(page, condition):
    """Ask Python until something holds of the training panel; return the number of steps."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        step, running, losses = ask_kernel(page, PANEL).split()
        assert int(losses) == int(step)
        if condition(int(step), running == "True"):
            return int(step)
        page.wait_for_timeout(100)
    raise AssertionError(f"it does not come to pass: step {step}, running {running}")


def in_time(name, wall, processor):
    print(f"\n{name}: {wall:.0f} s by the clock, {processor:.1f} s of the processor")
    assert processor < PROCESSOR_SECONDS
