"""Chapters 7.5 to 7.8 in JupyterLab: panels steered, a digit drawn, every slider moved."""

import json
import re
import time

import pytest

from .kernel import ask_kernel
from .sliders import what_is_wrong
from .test_digit_pad import STROKES, draw

STATE = """import json
way = ways[walker.values["digit"]]
print(json.dumps({
    "values": walker.values, "alt": walker.figure.alt, "message": walker.message,
    "names": [stop.name for stop in way], "said": int(way[-1].out.argmax()),
    "scores": int(net.predict(digits)[walker.values["digit"]].argmax()),
    "conv": [conv_view.step, float(conv_view.output.ravel()[conv_view.step])],
    "pool": [pool_view.step, float(pool_view.output.ravel()[pool_view.step])],
}))"""
OWN = """import json
c = min(walker.values["unit"], 29)
maps = feature_maps(net, digits)
print(json.dumps([float(maps[k][walker.values["digit"], c].max()) for k in ("Conv1", "Pool1")]))"""
PANEL = """import json
print(json.dumps({"step": trainer.current_iter, "lr": trainer.optimizer.lr,
                  "running": panel.running, "message": panel.message}))"""
PRACTICE = """import json
print(json.dumps([practice.trainer.test_acc_list[-1], trainer.current_iter]))"""
ANSWER = "print(pad.answer, round(float(pad.image.sum())))"


def until(page, condition):
    """Ask Python until something holds of the panel."""
    for _ in range(300):
        now = json.loads(ask_kernel(page, PANEL))
        if condition(now):
            return now
        page.wait_for_timeout(100)
    raise AssertionError(f"it does not come to pass: {now}")


@pytest.mark.parametrize("page", ["7.5-simple-conv-net.ipynb"], indirect=True)
def test_the_panel_is_steered_and_a_digit_is_read(page):
    practice, panel = page.locator(".cnnlib-training-panel").all()
    done = until(page, lambda now: not now["running"])
    panel.get_by_text(f"step {done['step']} of {done['step']}").wait_for()

    panel.get_by_role("button", name="more epochs").press("Enter")
    until(page, lambda now: now["running"] and now["step"] > done["step"])
    panel.get_by_role("slider", name="learning rate").press("ArrowLeft")
    slower = until(page, lambda now: now["lr"] < done["lr"])
    assert slower["running"]
    panel.get_by_role("button", name="Stop").press("Enter")
    stopped = until(page, lambda now: not now["running"])
    panel.get_by_role("status").filter(has_text=stopped["message"]).wait_for()
    panel.get_by_role("button", name="Go on").wait_for()
    assert stopped["message"].startswith(f"Stopped after step {stopped['step']} of ")

    practice.scroll_into_view_if_needed()
    practice.get_by_role("status").filter(has_text="no better than guessing").wait_for()
    practice.get_by_role("button", name="Start over").press("Enter")
    practice.get_by_role("status").filter(has_text="before the first step").wait_for()
    slider = practice.get_by_role("slider", name="learning rate")
    for _ in range(20):  # 0.1 to 0.001, ten notches for each power of ten
        slider.press("ArrowLeft")
    for _ in range(100):  # a slider's changes may come later than a click
        if float(ask_kernel(page, "print(practice.trainer.optimizer.lr)")) < 0.002:
            break
        page.wait_for_timeout(50)
    practice.get_by_role("button", name="Start", exact=False).first.press("Enter")
    practice.get_by_role("status").filter(has_text="Done after step").wait_for()
    learned, others = json.loads(ask_kernel(page, PRACTICE))
    assert learned > 0.5 and others == stopped["step"]  # the real run is untouched

    first, last = page.locator(".cnnlib-pad").all()
    first.scroll_into_view_if_needed()  # JupyterLab does not lay out what is far away
    first.locator(".said", has_text="with 10.").wait_for()  # untrained
    first.get_by_role("combobox").first.select_option("MNIST's")
    first.locator(".said", has_text="3, with").wait_for()
    last.scroll_into_view_if_needed()
    last.locator(".said", has_text="3, with").wait_for()  # the sample of the cell
    last.get_by_role("button", name="Clear").click()
    last.locator(".said", has_text="Draw a digit").wait_for()
    draw(page, STROKES[4])
    last.locator(".said", has_text="4, with").wait_for()
    for _ in range(100):  # the last stroke may still be on its way
        answer, ink = ask_kernel(page, ANSWER).split()
        if answer == "4":
            break
        page.wait_for_timeout(50)
    assert answer == last.locator(".bars .best .label").inner_text() == "4"
    assert int(ink) > 300


def cell(page, source):
    return page.locator(".jp-Notebook .jp-CodeCell", has_text=source)


def slider(page, name):
    walk = cell(page, "walker = explore(walk")
    return walk.locator(".widget-hslider", has_text=name).get_by_role("slider")


def shown(page):
    return cell(page, "walker = explore(walk").locator(".jp-OutputArea img")


def state(page):
    return json.loads(ask_kernel(page, STATE))


def wait_for_state(page, wanted, seconds=20):
    """Ask until the state is as wanted: JupyterLab has widgets answered beside what we ask."""
    end = time.monotonic() + seconds
    while not wanted(now := state(page)):
        assert time.monotonic() < end, f"still {now}"
        page.wait_for_timeout(100)
    return now


@pytest.mark.parametrize("page", ["7.8-summary.ipynb"], indirect=True)
class TestSummary:
    def test_the_walk_by_keyboard_from_the_digit_to_its_probabilities(self, page):
        step, picture = slider(page, "step"), shown(page)
        step.focus()
        step.press("Home")
        names, heights = state(page)["names"], set()
        for number, name in enumerate(names):
            page.wait_for_function(
                "text => document.querySelector(`img[alt*='${text}']`) !== null",
                arg=f"Step {number} of {len(names) - 1}, ",
            )
            alt = picture.get_attribute("alt")
            assert alt == state(page)["alt"]
            assert name in alt or number == 0
            heights.add(round(picture.bounding_box()["height"]))
            step.press("ArrowRight")
        assert len(heights) == 1, f"the page moves: {heights}"
        now = state(page)
        assert now["said"] == now["scores"]
        assert f"Softmax: the network says {now['said']}" in picture.get_attribute("alt")
        assert not page.console_errors

    def test_the_broad_1_is_squeezed_until_it_is_read(self, page):
        squeezed = cell(page, "explore(squeeze")
        width = squeezed.get_by_role("slider")
        for percent, said in ((95, 8), (90, 8), (85, 8), (80, 1)):
            width.press("ArrowLeft")
            words = f"At {percent} % of its width"
            squeezed.locator(f"img[alt*='{words}'][alt*='this network: {said},']").wait_for()
        assert not page.console_errors

    def test_another_digit_and_another_map_arrive_in_the_window_explorers(self, page):
        for name, keys in (
            ("step", ["Home", "ArrowRight"]),
            ("digit", ["Home"]),
            ("unit", ["Home"]),
        ):
            for key in keys:
                slider(page, name).press(key)
        before = wait_for_state(
            page, lambda now: now["values"] == {"digit": 0, "unit": 0, "step": 1}
        )
        for name, presses in (("digit", 5), ("unit", 3)):
            for number in range(1, presses + 1):
                slider(page, name).press("ArrowRight")
                wait_for_state(page, lambda now, at=(name, number): now["values"][at[0]] == at[1])
        page.wait_for_function(
            "() => [...document.querySelectorAll('img')].some(i => i.alt.includes('map 3, row'))"
        )
        own = pytest.approx(json.loads(ask_kernel(page, OWN)), abs=1e-4)
        now = wait_for_state(page, lambda now: [now["conv"][1], now["pool"][1]] == own)
        assert now["values"] == {"step": 1, "digit": 5, "unit": 3} and not now["message"]
        assert now["conv"] != before["conv"] and now["pool"] != before["pool"]
        for name, windows in (("conv", 576), ("pool", 144)):
            view = cell(page, f"{name}_view = WindowExplorer(")
            view.locator(".where", has_text=f"window {now[name][0] + 1} of {windows}").wait_for()
        assert not page.console_errors

    def test_a_window_moves_by_keyboard(self, page):
        view = cell(page, "conv_view = WindowExplorer(")
        before = view.locator(".where").inner_text()
        view.locator(".back").press("Enter")
        number = int(re.search(r"window (\d+)", before)[1])
        view.locator(".where", has_text=f"window {number - 1} of 576").wait_for()
        assert not page.console_errors


@pytest.mark.parametrize(
    "page",
    [
        "7.5-simple-conv-net.ipynb",
        "7.6-visualising-a-cnn.ipynb",
        "7.7-lenet-and-alexnet.ipynb",
        "7.8-summary.ipynb",
    ],
    indirect=True,
)
def test_every_slider_by_keyboard_and_by_mouse(page, say):
    assert not what_is_wrong(page, say)


@pytest.mark.parametrize("page", ["7.8-summary.ipynb"], indirect=True)
def test_a_link_opens_the_chapter_that_has_its_heading(page):
    link = page.locator(".jp-Notebook .jp-MarkdownOutput a", has_text="What changed in between")
    link.first.click()
    page.wait_for_function("() => jupyterapp.shell.currentWidget.context?.path.startsWith('7.7-')")
    page.locator('.jp-Notebook [data-jupyter-id="What-changed-in-between"]').wait_for()
