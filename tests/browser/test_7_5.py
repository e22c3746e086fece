"""Chapter 7.5 as a reader uses it: all cells, the panel steered, a digit drawn and read."""

import json

from .kernel import ask_kernel
from .test_digit_pad import STROKES, draw

NOTEBOOK = "7.5-simple-conv-net.ipynb"
PANEL = """import json
print(json.dumps({"step": trainer.current_iter, "lr": trainer.optimizer.lr,
                  "running": panel.running, "message": panel.message}))"""
ANSWER = "print(pad.answer, round(float(pad.image.sum())))"


def until(page, condition):
    """Ask Python until something holds of the panel."""
    for _ in range(300):
        now = json.loads(ask_kernel(page, PANEL))
        if condition(now):
            return now
        page.wait_for_timeout(100)
    raise AssertionError(f"it does not come to pass: {now}")


def test_the_panel_is_steered_and_a_digit_is_read(page):
    panel = page.locator(".cnnlib-training-panel")
    done = until(page, lambda now: not now["running"])
    panel.get_by_text(f"step {done['step']} of {done['step']}").wait_for()

    panel.get_by_role("button", name="4 more epochs").press("Enter")
    until(page, lambda now: now["running"] and now["step"] > done["step"])
    panel.get_by_role("slider", name="learning rate").press("ArrowLeft")
    slower = until(page, lambda now: now["lr"] < done["lr"])
    assert slower["running"]
    panel.get_by_role("button", name="Stop").press("Enter")
    stopped = until(page, lambda now: not now["running"])
    panel.get_by_role("status").filter(has_text=stopped["message"]).wait_for()
    panel.get_by_role("button", name="Go on").wait_for()
    assert stopped["message"].startswith(f"Stopped after step {stopped['step']} of ")

    pad = page.locator(".cnnlib-pad")
    assert pad.locator(".said").inner_text().startswith("3, with")  # the sample of the cell
    pad.get_by_role("button", name="Clear").click()
    pad.locator(".said", has_text="Draw a digit").wait_for()
    pad.scroll_into_view_if_needed()
    draw(page, STROKES[4])
    pad.locator(".said", has_text="4, with").wait_for()
    for _ in range(100):  # the last stroke may still be on its way
        answer, ink = ask_kernel(page, ANSWER).split()
        if answer == "4":
            break
        page.wait_for_timeout(50)
    assert answer == pad.locator(".bars .best .label").inner_text() == "4"
    assert int(ink) > 300
