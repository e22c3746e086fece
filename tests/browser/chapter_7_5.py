"""Chapter 7.5 as a reader uses it: all cells, both panels steered, a digit drawn and read."""

import json

import pytest

from .kernel import ask_kernel
from .test_digit_pad import STROKES, draw

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
