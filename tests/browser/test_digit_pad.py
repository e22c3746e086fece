"""The digit pad in a real JupyterLab: mouse, finger, keyboard, Python, times.

What the page shows is compared with what Python says of the same pad, asked in its kernel.
"""

import json
import statistics

import pytest

from .axe import violations
from .kernel import ask_kernel

SETUP = """from cnnlib import SimpleConvNet, Trainer, load_digits28, load_trained
from cnnlib.widgets import DigitPad
train, test = load_digits28()
network = SimpleConvNet(rng=0)
Trainer(network, *train, *test, 3, 50, "Adam", {"lr": 0.002}, verbose=False, seed=0).train()
networks = {"yours": network, "MNIST's": load_trained("deep"), "untrained": SimpleConvNet(rng=1)}
pad = DigitPad(networks)"""
STATE = """import json, numpy as np
from cnnlib.figures.style import percent
print(json.dumps({
    "answer": pad.answer, "box": pad.box, "layer": pad.layer, "maps": np.shape(pad.maps),
    "choice": pad.choice, "why": pad.why, "lost": None if pad.lost is None else pad.lost.tolist(),
    "shares": [] if pad.probabilities is None else [percent(p) for p in pad.probabilities],
    "first": pad.result["maps"]["pixels"].hex()[:2000], "ink": float(pad.image.sum()),
}))"""
# Points of strokes in parts of the pad's side.
STROKES = {
    0: [[(0.5, 0.2), (0.35, 0.3), (0.3, 0.5), (0.35, 0.7), (0.5, 0.8), (0.65, 0.7), (0.7, 0.5),
         (0.65, 0.3), (0.5, 0.2)]],
    3: [[(0.3, 0.2), (0.5, 0.15), (0.65, 0.25), (0.6, 0.4), (0.45, 0.45), (0.65, 0.55),
         (0.65, 0.7), (0.5, 0.8), (0.3, 0.75)]],
    4: [[(0.35, 0.2), (0.3, 0.5), (0.7, 0.5)], [(0.65, 0.2), (0.62, 0.85)]],
}  # fmt: skip
WRONG = """for state in ({}, {"layer": "Affine9"}, {"drawing": "ink", "choice": 3}):
    data = {"method": "update", "state": state}
    pad.comm.handle_msg({"content": {"data": data}, "buffers": []})"""
ALPHA = """canvas => {
  const {width, height} = canvas;
  const pixels = canvas.getContext("2d").getImageData(0, 0, width, height).data;
  return pixels.filter((_, k) => k % 4 === 3).reduce((all, a) => [...all, a], []);
}"""
# A box laid over the drawing, in its pixels: first row and column, height and width.
BOX = """({style}) => style.visibility === "hidden" ? null
  : ["top", "left", "height", "width"].map(side => Math.round(parseFloat(style[side]) * 1.12))"""
# From the pen's going up to the changed answer.
WATCH = """pad => {
  window.times = [];
  const svg = pad.querySelector(".paper");
  svg.addEventListener("pointerup", () => {
    const start = performance.now();
    new MutationObserver((changes, observer) => {
      window.times.push(performance.now() - start);
      observer.disconnect();
    }).observe(pad.querySelector(".bars"), {childList: true, subtree: true, characterData: true});
  });
}"""
CELLS = ["pad"]


@pytest.fixture
def page(page):
    """The page with an empty pad."""
    ask_kernel(page, "pad.drawing, pad.choice = bytes(len(pad.drawing)), 'yours'")
    ask_kernel(page, "pad.layer, pad.why = 'Relu1', False")
    said(page, "Draw a digit")
    yield page
    assert not page.console_errors


def pad(page):
    return page.locator(".cnnlib-pad").last  # 7.5 has one at its beginning, too


def said(page, text):
    pad(page).locator(".said", has_text=text).wait_for()


def draw(page, strokes, up=True):
    box = pad(page).locator(".paper").bounding_box()
    for stroke in strokes:
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
        page.mouse.move(*places[0])
        page.mouse.down()
        for place in places[1:]:
            page.mouse.move(*place, steps=5)
        if up:
            page.mouse.up()


def number(share):
    return float(share.strip("<> %"))


def differences(page, state):
    """Compare the page with a state of Python, down to the pixels of the first feature map."""
    shown = [text for text in pad(page).locator(".bars .share").all_inner_texts() if text]
    box = pad(page).locator(".found").evaluate(BOX)
    if shown != state["shares"] or box != state["box"]:
        return f"the page shows {shown} and {box}"
    if not shown:
        return ""
    said = pad(page).locator(".said").inner_text()
    if said != f"{state['answer']}, with {max(shown, key=number)}":
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
    area = pad(page).locator(".paper")
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
    assert names == ["Undo", "Clear", "Why?", *(f"Sample {k}" for k in range(10))]
    buttons.first.focus()
    for _ in range(11):  # the menu of networks is on the way
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Sample 7"
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('.said').textContent !== 'Draw a digit'")
    seven = assert_shows(page)
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    said(page, "6, with")
    six = assert_shows(page)
    assert six["ink"] != seven["ink"]
    buttons.first.press("Enter")  # undo
    said(page, "7, with")
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


def test_networks_are_switched_by_keyboard_with_the_drawing_kept(page):
    draw(page, STROKES[3])
    page.wait_for_timeout(300)  # the last stroke may still be on its way
    first = assert_shows(page)
    menu = pad(page).get_by_role("combobox", name="answer of the network")
    assert menu.locator("option").all_inner_texts() == ["yours", "MNIST's", "untrained"]
    menu.focus()
    seen = [first]
    for name, FN in (("MNIST's", 16), ("untrained", 30)):
        page.keyboard.press("ArrowDown")
        pad(page).locator(".maps-title", has_text=f"({FN}, ").wait_for()
        seen.append(assert_shows(page))
        assert seen[-1]["choice"] == name and seen[-1]["ink"] == first["ink"]
        assert menu.input_value() == name
    assert len({str(state["shares"]) for state in seen}) == 3
    assert len({state["first"] for state in seen}) == 3
    ask_kernel(page, "pad.choice = 'yours'")
    page.wait_for_function("() => document.querySelector('.choice').value === 'yours'")
    assert assert_shows(page) == first


def test_why_lies_over_the_drawing(page):
    button = pad(page).get_by_role("button", name="Why?")
    legend, heat = pad(page).locator(".legend"), pad(page).locator(".lost")
    height = pad(page).bounding_box()["height"]
    draw(page, STROKES[4])
    page.wait_for_timeout(300)  # the last stroke may still be on its way
    assert_shows(page)
    assert legend.is_hidden() and heat.is_hidden()
    assert button.get_attribute("aria-pressed") == "false"
    button.focus()
    page.keyboard.press("Space")
    legend.wait_for()
    assert button.get_attribute("aria-pressed") == "true"
    state = assert_shows(page)
    lost = [one for row in state["lost"] for one in row]
    most, sure = max(lost), max(state["shares"], key=number)
    assert legend.inner_text().startswith(f"Why {state['answer']}? Cover 5 × 5 pixels there")
    assert legend.inner_text().endswith(f" {100 * most:.1f} % of its {sure}")
    alphas = heat.evaluate(ALPHA)
    assert len(alphas) == len(lost) == 144
    assert all(abs(a - 254 * one / most) <= 2 for a, one in zip(alphas, lost, strict=True))
    assert pad(page).bounding_box()["height"] == height
    pad(page).get_by_role("button", name="Sample 6").click()  # it follows the drawing
    legend.get_by_text("Why 6?").wait_for()
    page.keyboard.press("Shift+Tab")
    button.press("Enter")
    legend.wait_for(state="hidden")
    assert heat.is_hidden() and not assert_shows(page)["why"]


def test_wrong_messages_leave_the_page_usable(page):
    draw(page, STROKES[0])
    page.wait_for_timeout(300)  # the last stroke may still be on its way
    before = assert_shows(page)
    ask_kernel(page, WRONG)
    assert assert_shows(page) == before
    pad(page).get_by_role("button", name="Sample 8").click()
    said(page, "8, with")
    assert assert_shows(page)["answer"] == 8


def test_a_stroke_on_a_sample_begins_anew_and_undo_brings_it_back(page):
    pad(page).get_by_role("button", name="Sample 3").click()
    said(page, "3, with")
    sample = assert_shows(page)["ink"]
    draw(page, [[(0.3, 0.5), (0.7, 0.5)]])
    page.wait_for_timeout(300)
    assert assert_shows(page)["ink"] < sample - 100
    pad(page).get_by_role("button", name="Undo").click()
    said(page, "3, with")
    assert assert_shows(page)["ink"] == sample


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
    assert pad(page).get_by_role("img", name="What the network gets").count() == 1
    assert pad(page).get_by_role("listitem").count() == 10
    pad(page).get_by_role("button", name="Why?").click()
    pad(page).locator(".legend").wait_for()
    assert violations(page, within=".cnnlib-pad") == []


def test_from_pen_up_to_the_answer(page, say):
    pad(page).evaluate(WATCH)
    for k in range(12):
        draw(page, [[(0.2 + 0.05 * k, 0.2), (0.8 - 0.03 * k, 0.3 + 0.04 * k)]])
        page.wait_for_function("count => window.times.length === count", arg=k + 1)
        page.wait_for_timeout(150)
    median = statistics.median(page.evaluate("window.times"))
    say(f"median {median:.0f} ms from pen up to the changed answer")
