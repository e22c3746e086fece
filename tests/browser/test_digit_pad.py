"""The digit pad in a real JupyterLab: mouse, finger, keyboard, Python, times.

What the page shows is compared with what Python says of the same pad, asked in its kernel.
"""

import json
import statistics

import nbformat
import pytest

from .kernel import ask_kernel
from .lab import running_lab, what_is_missing

SETUP = """from cnnlib import SimpleConvNet, Trainer, load_digits28
from cnnlib.widgets import DigitPad
train, test = load_digits28()
network = SimpleConvNet(rng=0)
Trainer(network, *train, *test, 3, 50, "Adam", {"lr": 0.002}, verbose=False, seed=0).train()
pad = DigitPad(network)"""
STATE = """import json, numpy as np
print(json.dumps({
    "answer": pad.answer, "box": pad.box, "layer": pad.layer, "maps": np.shape(pad.maps),
    "shares": [] if pad.probabilities is None else [f"{100 * p:.1f} %" for p in pad.probabilities],
    "first": pad.result["maps"].get("pixels", b"").hex()[:2000], "ink": float(pad.image.sum()),
}))"""
# Points of strokes in parts of the pad's side.
STROKES = {
    0: [[(0.5, 0.2), (0.35, 0.3), (0.3, 0.5), (0.35, 0.7), (0.5, 0.8), (0.65, 0.7), (0.7, 0.5),
         (0.65, 0.3), (0.5, 0.2)]],
    3: [[(0.3, 0.2), (0.5, 0.15), (0.65, 0.25), (0.6, 0.4), (0.45, 0.45), (0.65, 0.55),
         (0.65, 0.7), (0.5, 0.8), (0.3, 0.75)]],
    4: [[(0.35, 0.2), (0.3, 0.5), (0.7, 0.5)], [(0.65, 0.2), (0.62, 0.85)]],
}  # fmt: skip
ALPHA = """canvas => {
  const {width, height} = canvas;
  const pixels = canvas.getContext("2d").getImageData(0, 0, width, height).data;
  return pixels.filter((_, k) => k % 4 === 3).reduce((all, a) => [...all, a], []);
}"""
# From the pen's going up to the changed answer.
WATCH = """pad => {
  window.times = [];
  const svg = pad.querySelector(".paper svg");
  svg.addEventListener("pointerup", () => {
    const start = performance.now();
    new MutationObserver((changes, observer) => {
      window.times.push(performance.now() - start);
      observer.disconnect();
    }).observe(pad.querySelector(".bars"), {childList: true, subtree: true, characterData: true});
  });
}"""


@pytest.fixture(scope="module")
def lab_page(tmp_path_factory):
    reason = what_is_missing()
    if reason:
        pytest.skip(reason)
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in (SETUP, "pad")]
    path = tmp_path_factory.mktemp("pads") / "pads.ipynb"
    nbformat.write(notebook, path)
    with running_lab([path]) as lab:
        page = lab.open_and_run(path.name)
        page.set_default_timeout(20_000)
        page.console_errors = lab.console_errors
        yield page


@pytest.fixture
def page(lab_page):
    """The page with an empty pad."""
    ask_kernel(lab_page, "pad.clear(); pad.layer = 'Relu1'")
    said(lab_page, "Draw a digit")
    yield lab_page
    assert not lab_page.console_errors


def pad(page):
    return page.locator(".cnnlib-pad")


def said(page, text):
    pad(page).locator(".said", has_text=text).wait_for()


def draw(page, strokes, up=True):
    box = pad(page).locator(".paper svg").bounding_box()
    for stroke in strokes:
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
        page.mouse.move(*places[0])
        page.mouse.down()
        for place in places[1:]:
            page.mouse.move(*place, steps=5)
        if up:
            page.mouse.up()


def differences(page, state):
    """Compare the page with a state of Python, down to the pixels of the first feature map."""
    shown = [text for text in pad(page).locator(".bars .share").all_inner_texts() if text]
    found = pad(page).locator(".found")
    box = [int(found.get_attribute(name)) for name in ("y", "x", "height", "width")]
    if shown != state["shares"] or box != (state["box"] or [0, 0, 0, 0]):
        return f"the page shows {shown} and {box}"
    if not shown:
        return ""
    said = pad(page).locator(".said").inner_text()
    if said != f"{state['answer']}, with {max(shown, key=lambda share: float(share[:-2]))}":
        return f"the page says {said}"
    best = pad(page).locator(".bars .best .label").inner_text()
    title = pad(page).locator(".maps-title").inner_text()
    canvases = pad(page).locator(".maps canvas")
    count, rows, columns = state["maps"]
    alphas = canvases.first.evaluate(ALPHA)
    first = [b - 256 if b > 127 else b for b in bytes.fromhex(state["first"])]
    same = (
        best == str(state["answer"])
        and str(tuple(state["maps"])) in title
        and canvases.count() == count
        and len(alphas) == rows * columns
        and alphas[: len(first)] == [2 * abs(b) for b in first][: rows * columns]
    )
    return "" if same else f"the page has best {best}, {title}, or other pixels in its first map"


def settled(page):
    """Wait until the page shows what Python says, the last answer included, and return that."""
    for _ in range(100):
        state = json.loads(ask_kernel(page, STATE))
        differs = differences(page, state)
        if not differs:
            return state
        page.wait_for_timeout(50)
    raise AssertionError(f"{differs}, Python says {state}")


def assert_shows(page):
    """Assert that the page shows an answer, and the one that Python says."""
    state = settled(page)
    assert state["answer"] is not None
    return state


@pytest.mark.parametrize("digit", STROKES)
def test_a_digit_drawn_with_the_mouse(page, digit):
    draw(page, STROKES[digit])
    page.wait_for_function("() => document.querySelector('.said').textContent !== 'Draw a digit'")
    state = assert_shows(page)
    assert state["answer"] == digit
    top, left, height, width = state["box"]
    xs, ys = zip(*(point for stroke in STROKES[digit] for point in stroke), strict=True)
    for start, length, places in ((top, height, ys), (left, width, xs)):
        assert abs(start - (112 * min(places) - 4.5)) < 3  # half the pen's width around the path
        assert abs(start + length - (112 * max(places) + 4.5)) < 3


def test_it_answers_while_the_pen_is_down(page):
    draw(page, STROKES[3], up=False)
    page.wait_for_function("() => document.querySelector('.said').textContent !== 'Draw a digit'")
    page.mouse.up()
    assert_shows(page)


def test_a_finger_draws_and_does_not_scroll(page):
    touch = page.context.new_cdp_session(page)
    touch.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
    area = pad(page).locator(".paper svg")
    box = area.bounding_box()
    for kind, y in (("Start", 0.2), ("Move", 0.5), ("Move", 0.7), ("Move", 0.8), ("End", None)):
        point = {"x": box["x"] + 0.5 * box["width"], "y": box["y"] + (y or 0) * box["height"]}
        points = [point] if y else []
        touch.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points})
    touch.send("Emulation.setTouchEmulationEnabled", {"enabled": False})
    page.wait_for_function("() => document.querySelector('.said').textContent !== 'Draw a digit'")
    state = assert_shows(page)
    assert state["box"][2] > 5 * state["box"][3] > 0  # upright
    assert area.bounding_box() == box


def test_the_keyboard_alone_suffices(page):
    buttons = pad(page).get_by_role("button")
    names = [name.strip() for name in buttons.evaluate_all(
        "all => all.map(b => b.getAttribute('aria-label') ?? b.innerText)")]  # fmt: skip
    assert names == ["Undo", "Clear", *(f"Sample {k}" for k in range(10))]
    buttons.first.focus()
    for _ in range(9):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Sample 7"
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('.said').textContent !== 'Draw a digit'")
    seven = assert_shows(page)
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    page.wait_for_function(
        "ink => document.querySelector('.size').textContent !== ink",
        arg=f"ink in {seven['box'][2]} × {seven['box'][3]} of 112 × 112",
    )
    six = assert_shows(page)
    assert six["ink"] != seven["ink"]
    buttons.first.press("Enter")  # undo
    page.wait_for_function(
        "ink => document.querySelector('.size').textContent === ink",
        arg=f"ink in {seven['box'][2]} × {seven['box'][3]} of 112 × 112",
    )
    assert assert_shows(page)["ink"] == seven["ink"]
    menu = pad(page).get_by_role("combobox", name="feature maps after")
    menu.focus()
    page.keyboard.press("ArrowDown")
    pad(page).locator(".maps-title", has_text="(30, 12, 12)").wait_for()
    assert assert_shows(page)["layer"] == "Pool1"
    buttons.nth(1).press("Enter")  # clear
    said(page, "Draw a digit")
    assert settled(page)["answer"] is None
    buttons.first.press("Enter")
    page.wait_for_function("() => document.querySelector('.said').textContent !== 'Draw a digit'")
    assert assert_shows(page)["ink"] == seven["ink"]


def test_python_draws_and_the_hand_goes_on(page):
    ask_kernel(page, "pad.show_sample(1)")
    page.wait_for_function("() => document.querySelector('.said').textContent !== 'Draw a digit'")
    before = assert_shows(page)
    draw(page, [[(0.1, 0.9), (0.9, 0.9)]])
    page.wait_for_timeout(300)
    after = assert_shows(page)
    assert after["ink"] > before["ink"] + 500 and after["box"][3] > 90
    ask_kernel(page, "pad.show_sample(1)")
    page.wait_for_timeout(300)
    assert assert_shows(page)["ink"] == before["ink"]


def test_everything_has_a_name_and_nothing_jumps(page):
    heights = [pad(page).bounding_box()["height"]]
    draw(page, STROKES[0])
    assert_shows(page)
    heights.append(pad(page).bounding_box()["height"])
    assert heights[0] == heights[1]
    for picture in pad(page).get_by_role("img").all():
        assert picture.get_attribute("aria-label")
    assert pad(page).get_by_role("img", name="What the network gets, (1, 28, 28)").count() == 1
    assert pad(page).get_by_role("listitem").count() == 10


def test_from_pen_up_to_the_answer(page):
    pad(page).evaluate(WATCH)
    for k in range(12):
        draw(page, [[(0.2 + 0.05 * k, 0.2), (0.8 - 0.03 * k, 0.3 + 0.04 * k)]])
        page.wait_for_function("count => window.times.length === count", arg=k + 1)
        page.wait_for_timeout(150)
    median = statistics.median(page.evaluate("window.times"))
    print(f"\nmedian {median:.0f} ms from pen up to the changed answer")
    assert median < 60
