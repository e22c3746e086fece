"""Chapter 7.8 as a reader meets it: the walk by keyboard, the views that follow, the links."""

import json
import re
import time

import pytest

from .kernel import ask_kernel

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
