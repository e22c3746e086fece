"""The front page and the reading edition in Chromium: axe-core, widths, folding, printing.

axe-core comes with the package axe-playwright-python. Nothing is served: the pages are files.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from .axe import violations
from .lab import CHROMIUM_FLAGS, find_chromium

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["index.html"] + [
    f"reading/{path.stem}.html" for path in sorted((ROOT / "notebooks").glob("*.ipynb"))
]
PHONE, NOTEBOOK, DESKTOP = 360, 900, 1280
PACKAGES = ("playwright", "axe_playwright_python", "latex2mathml")
TOO_WIDE = """() => {
  const room = document.documentElement.clientWidth;
  const scrolls = "pre, .table, .formula, .inline-formula";
  return [...document.querySelectorAll("body *")]
    .filter(e => !e.matches(".skip, .hidden") && !e.parentElement.closest(scrolls))
    .filter(e => e.getBoundingClientRect().right > room + 1)
    .map(e => e.outerHTML.slice(0, 100));
}"""


@pytest.fixture(scope="module")
def browser():
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    missing += [] if find_chromium() else ["Chromium"]
    if missing and os.environ.get("CI"):
        pytest.fail(f"browser tests must run here, but there is no {', '.join(missing)}")
    if missing:
        pytest.skip(f"there is no {', '.join(missing)}")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=find_chromium(), args=CHROMIUM_FLAGS, timeout=120_000
        )
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def site(browser, tmp_path_factory):
    """Build with the command that a person types."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, ROOT / "lite" / "reading.py", "--moving", "7.3", "--out", folder]
    subprocess.run(command, check=True, timeout=300, stdout=subprocess.DEVNULL)
    return folder


@pytest.fixture
def open_page(browser, site):
    """Return a function that opens a page of the site; what it asks for is in page.requested."""
    contexts = []

    def open_page(name, width=DESKTOP, **options):
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        context.set_default_timeout(120_000)
        page = context.new_page()
        page.requested, page.complaints = [], []
        page.on("request", lambda request: page.requested.append(request.url))
        page.on("console", lambda message: page.complaints.append(message.text))
        page.goto((site / name).as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.parametrize("name", PAGES)
def test_accessible(open_page, name):
    """All rules in the light; those that can differ there in the dark and on a phone."""
    page = open_page(name, color_scheme="light")
    assert violations(page) == []
    page.emulate_media(color_scheme="dark")
    assert violations(page, "color-contrast", "link-in-text-block") == []
    page.set_viewport_size({"width": PHONE, "height": 900})
    if name != "index.html":
        assert violations(page, "scrollable-region-focusable", "target-size") == []


def test_axe_sees_what_is_wrong(open_page):
    page = open_page("index.html")
    page.evaluate("document.querySelector('img').removeAttribute('alt')")
    page.evaluate("document.querySelector('.lead').style.color = '#ddd'")
    assert {line.split(":")[0] for line in violations(page)} == {"image-alt", "color-contrast"}
    page.emulate_media(color_scheme="dark")
    page.evaluate("document.querySelector('.lead').style.color = '#222'")
    assert violations(page, "color-contrast")


def test_axe_sees_a_box_that_scrolls_out_of_reach(open_page):
    page = open_page("reading/7.8-summary.html", width=PHONE)
    assert violations(page, "scrollable-region-focusable") == []
    page.evaluate("document.querySelectorAll('pre').forEach(e => e.removeAttribute('tabindex'))")
    assert violations(page, "scrollable-region-focusable")


@pytest.mark.parametrize("name", PAGES)
def test_no_page_is_wider_than_its_window(open_page, name):
    page = open_page(name, width=PHONE)
    for width in (PHONE, NOTEBOOK, DESKTOP):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate(TOO_WIDE) == []


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_asked_of_another_server(open_page, name):
    page = open_page(name)
    page.wait_for_load_state("networkidle")
    assert page.requested
    assert [url for url in page.requested if not url.startswith(("file:", "data:"))] == []
    assert page.complaints == []


def test_the_explorer_of_the_front_page_moves(open_page):
    page = open_page("index.html", width=PHONE)
    view, stride = page.locator("#live-front"), page.get_by_label("stride S")
    view.get_by_text("(OH, OW) = (5, 5)").first.wait_for()
    stride.press("ArrowRight")
    view.get_by_text("(OH, OW) = (3, 3)").first.wait_for()
    view.get_by_role("button", name="Step ▶").click()
    view.get_by_text("window 2 of 9").wait_for()
    stride.press("ArrowRight")
    view.get_by_text("stride 3 does not divide").first.wait_for()
    view.get_by_role("button", name="pad 1").first.click()
    view.get_by_text("(OH, OW) = (3, 3)").first.wait_for()
    cell = view.locator("svg[data-key=x0] [role=gridcell]").first
    cell.press("5")
    cell.locator("xpath=ancestor::div[1]").locator("input").press("Enter")
    view.get_by_text("in the notebook you can change").wait_for()
    view.get_by_role("button", name="Reset").click()
    view.get_by_text("window 1 of 25").wait_for()
    assert stride.input_value() == "1" and page.complaints == []


def test_explorers_of_a_chapter_move(open_page):
    page = open_page("reading/7.3-pooling-layer.html")
    places = page.locator(".live")
    assert places.count() == places.locator(":scope .controls").count() == 3
    assert page.complaints == []


def test_without_javascript(open_page):
    page = open_page("index.html", java_script_enabled=False)
    assert page.locator("#live-front img").is_visible()
    page.get_by_role("link", name="Read 7.2").click()
    page.get_by_role("navigation", name="Sections").get_by_role("link", name="7.2.3").click()
    assert page.url.endswith("/reading/7.2-convolution.html#7.2.3-Padding")
    hint = page.locator("main details").first
    inside = hint.locator(":scope > :not(summary)").first
    assert not inside.is_visible()
    hint.locator("summary").press("Enter")
    assert inside.is_visible()
    assert page.locator("math").first.bounding_box()["width"] > 0
    page.get_by_role("link", name="7.3").first.click()
    assert page.get_by_role("heading", level=1).inner_text() == "7.3 The pooling layer"


@pytest.mark.parametrize("name", PAGES[1:])
def test_on_paper(open_page, name):
    """No navigation, nothing cut at the right, no picture higher than a page."""
    page = open_page(name, width=680, color_scheme="dark")  # A4 between its margins
    page.emulate_media(media="print", color_scheme="light")
    hidden = page.locator("nav, header, footer, .skip, .note")
    assert hidden.count() > 4
    assert not any(box.is_visible() for box in hidden.all())
    assert page.evaluate(TOO_WIDE) == []
    wrapped = "[...document.querySelectorAll('pre')].every(e => e.scrollWidth <= e.clientWidth)"
    assert page.evaluate(wrapped)
    heights = page.locator("main img").evaluate_all("all => all.map(e => e.height)")
    assert max(heights) < 930  # A4 in pixels, less its margins: 261 mm
    assert page.pdf(format="A4").startswith(b"%PDF")
