"""The training panel in a real JupyterLab: started, steered, stopped and gone on with."""

import json

import pytest

from .kernel import ask_kernel

SETUP = """from cnnlib import SimpleConvNet, Trainer, load_digits28
from cnnlib.widgets import TrainingPanel
train, test = load_digits28()
def new_trainer(epochs):
    network = SimpleConvNet(conv_param={"filter_num": 4}, hidden_size=20, rng=0)
    return Trainer(network, *train, *test, epochs, 50, "Adam", {"lr": 0.003}, 100,
                   verbose=False, seed=0)
waited = TrainingPanel(new_trainer(1))"""
WAITED = "await waited.start()\nassert waited.message.startswith('Done after step 29')"
SHOWN = "panel = TrainingPanel(new_trainer(1000))\npanel"
STATE = """import json, threading
print(json.dumps({
    "step": panel.trainer.current_iter, "lr": panel.trainer.optimizer.lr,
    "batch": panel.trainer.batch_size, "running": panel.running, "changes": panel.changes,
    "error": repr(panel.error), "message": panel.message,
}))"""
# For two seconds, frame by frame: how high the panel is, and whether its picture is there.
FRAMES = """panel => new Promise(resolve => {
  const seen = {heights: [], missing: 0, pictures: new Set()}, start = performance.now();
  const look = () => {
    const picture = panel.querySelector("img");
    seen.heights.push(panel.getBoundingClientRect().height);
    if (!picture?.naturalWidth) seen.missing++;
    seen.pictures.add(picture?.src);
    if (performance.now() < start + 2000) requestAnimationFrame(look);
    else resolve({...seen, pictures: seen.pictures.size});
  };
  look();
})"""
# Resolves when the cell has begun: a message sent before it is answered as usual.
AWAIT = """() => new Promise(resolve => {
  const {kernel} = jupyterapp.shell.currentWidget.sessionContext.session;
  kernel.requestExecute({code: "import asyncio; print(); await asyncio.sleep(1)"}).onIOPub =
    ({header}) => header.msg_type === "stream" && resolve();
})"""
PLAIN = "plain = ipywidgets.IntSlider(5, 0, 50)\nplain"
CELLS = [WAITED, SHOWN, "import ipywidgets\n" + PLAIN]


def panel(page):
    return page.locator(".cnnlib-training-panel").last


def state(page):
    return json.loads(ask_kernel(page, STATE))


def until(page, condition):
    """Ask Python until something holds."""
    for _ in range(200):
        now = state(page)
        if condition(now):
            return now
        page.wait_for_timeout(50)
    raise AssertionError(f"it does not come to pass: {now}")


def press_start(page):
    button = panel(page).get_by_role("button").first
    button.focus()
    button.press("Enter")


def move(page, name, key):
    slider = panel(page).get_by_role("slider", name=name)
    slider.focus()
    slider.press(key)


def choose(page, name, option):
    panel(page).get_by_role("combobox", name=name).select_option(option)


def test_started_steered_stopped_and_gone_on_by_keyboard(page):
    assert panel(page).get_by_role("button").all_inner_texts() == ["▶ Start", "↺ Start over"]
    press_start(page)
    before = until(page, lambda now: now["step"] > 0)
    assert before["running"] and before["lr"] == 0.003 and before["batch"] == 50
    panel(page).get_by_role("button", name="Stop").wait_for()

    move(page, "learning rate", "ArrowRight")
    now = until(page, lambda now: now["lr"] != 0.003)
    assert now["running"] and now["lr"] == pytest.approx(0.003 * 10**0.1)
    step, name, value = now["changes"][-1]
    assert (name, value) == ("learning rate", now["lr"]) and step > 0
    choose(page, "batch size", "100")
    now = until(page, lambda now: now["batch"] != 50)
    assert now["running"] and now["batch"] == 100
    panel(page).get_by_text("s left").wait_for()

    press_start(page)  # which now says Stop
    panel(page).get_by_role("button", name="Go on").wait_for()
    stopped = until(page, lambda now: not now["running"])
    assert stopped["message"].startswith(f"Stopped after step {stopped['step']} of ")
    panel(page).get_by_role("status", name=None).filter(has_text=stopped["message"]).wait_for()
    panel(page).get_by_text(f"step {stopped['step']} of").first.wait_for()
    page.wait_for_timeout(300)
    assert state(page)["step"] == stopped["step"]
    alt = panel(page).locator("img").get_attribute("alt")
    assert f"over {stopped['step']} iterations" in alt and "learning rate 0.00378 from step" in alt

    press_start(page)
    gone_on = until(page, lambda now: now["step"] > stopped["step"] + 3)
    assert gone_on["running"] and gone_on["lr"] == stopped["lr"] and gone_on["batch"] == 100
    press_start(page)
    until(page, lambda now: not now["running"])
    assert not page.console_errors


def test_no_flicker_and_no_growth_while_it_runs(page, say):
    press_start(page)
    start = until(page, lambda now: now["running"])["step"]
    until(page, lambda now: now["step"] > start)
    seen = panel(page).evaluate(FRAMES)
    press_start(page)
    until(page, lambda now: not now["running"])
    heights = seen["heights"]
    say(f"{len(heights)} frames, {seen['pictures']} pictures, missing in {seen['missing']}")
    assert seen["pictures"] >= 2 and seen["missing"] == 0
    assert max(heights) - min(heights) <= 1
    assert not page.console_errors


def test_an_interrupt_of_the_kernel_stops_it_and_keeps_all(page):
    press_start(page)
    start = until(page, lambda now: now["running"])["step"]
    until(page, lambda now: now["step"] > start)
    page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.interrupt()"
    )
    panel(page).get_by_role("button", name="Go on").wait_for()
    stopped = until(page, lambda now: not now["running"])
    assert stopped["error"] == "None" and stopped["message"].startswith("Stopped after step")
    press_start(page)
    until(page, lambda now: now["step"] > stopped["step"])
    press_start(page)
    until(page, lambda now: not now["running"])
    assert not page.console_errors


def test_a_cell_runs_in_between_and_a_slider_answers_while_one_waits(page):
    press_start(page)
    until(page, lambda now: now["running"])
    assert ask_kernel(page, "print(6 * 7)").strip() == "42"
    page.evaluate("""() => { window.waiting = window.jupyterapp.shell.currentWidget.sessionContext
        .session.kernel.requestExecute({code: "await panel.task"}).done; }""")
    choose(page, "batch size", "50")
    press_start(page)
    page.evaluate("() => window.waiting")
    now = until(page, lambda now: not now["running"])
    assert now["batch"] == 50
    assert not page.console_errors


def test_go_on_counts_in_the_instant_in_which_it_appears(page):
    press_start(page)
    start = until(page, lambda now: now["running"])["step"]
    until(page, lambda now: now["step"] > start)
    panel(page).evaluate("""panel => new Promise(resolve => {
        const button = panel.querySelector("button");
        new MutationObserver((records, observer) => {
          if (!button.textContent.includes("Go on")) return;
          observer.disconnect();
          button.click();
          resolve();
        }).observe(button, {childList: true, subtree: true, characterData: true});
        button.click();
      })""")
    panel(page).get_by_role("button", name="Stop").wait_for()
    step = state(page)["step"]
    until(page, lambda now: now["running"] and now["step"] > step)
    press_start(page)
    until(page, lambda now: not now["running"])


def test_start_over_while_it_runs_and_another_optimizer(page):
    press_start(page)
    until(page, lambda now: now["running"])
    panel(page).get_by_role("button", name="Start over").click()
    panel(page).get_by_role("button", name="▶ Start", exact=True).wait_for()
    now = until(page, lambda now: not now["running"])
    assert now["step"] == 0 and now["changes"] == []
    choose(page, "optimizer", "Momentum")
    choose(page, "also show", "mistakes")
    press_start(page)
    until(page, lambda now: now["step"] > 3)
    press_start(page)
    stopped = until(page, lambda now: not now["running"])
    assert stopped["error"] == "None"
    alt = panel(page).locator("img").get_attribute("alt")
    before = ask_kernel(page, "print(panel.earlier[0][0])").strip()
    assert before.startswith("Adam, lr 0.00") and f"Before, with {before}: loss" in alt
    assert "Beside: worst: label" in alt
    assert ask_kernel(page, "print(type(panel.trainer.optimizer).__name__)").strip() == "Momentum"
    assert not page.console_errors


def test_a_slider_moved_while_a_cell_awaits_is_heard_afterwards(page):
    slider = page.locator(".jp-Notebook .jp-CodeCell").last.get_by_role("slider")
    page.evaluate(AWAIT)
    for _ in range(3):
        slider.press("ArrowRight")
        page.wait_for_timeout(200)
    ask_kernel(page, "print()")  # after the cell
    slider.press("ArrowRight")
    for _ in range(100):
        page.wait_for_timeout(50)
        if ask_kernel(page, "print(plain.value)").strip() == "9":
            return
    raise AssertionError(
        f"it is at {slider.get_attribute('aria-valuenow')}, and nobody hears of it"
    )
