"""The sliders of a notebook as a reader meets them in JupyterLab, moved by keyboard and mouse."""

import statistics

SLIDERS = ".jp-Notebook .widget-slider [role=slider]"
NAME = """handle => {
  const label = handle.closest(".widget-slider").querySelector(".widget-label");
  return handle.getAttribute("aria-label") || (label?.checkVisibility() && label.innerText);
}"""
CELL = """handle => jupyterapp.shell.currentWidget.content.widgets
  .find(cell => cell.node === handle.closest(".jp-Cell")).model.id"""
STEERS = 'handle => !!handle.closest(".jp-Cell-outputArea").querySelector(".widget-hprogress")'
# Follows what a cell shows, sliders apart, from a key press until the kernel has heard all that was
# sent, the newest picture (of picture.js) is shown, and all has been still for 60 ms. Told is when
# the view last changed, and how high it was in each frame. Reserved room is left out: a view may
# keep the room of its tallest picture so far. Looked at is only what has been touched since the
# last frame: looking takes time, too.
WATCH = """handle => {
  const area = handle.closest(".jp-Cell-outputArea");
  const small = document.createElement("canvas");
  const pixels = picture => {
    Object.assign(small, {width: 300, height: 200});
    small.getContext("2d").drawImage(picture, 0, 0, 300, 200);
    return small.toDataURL();
  };
  const state = () => {
    const copy = area.cloneNode(true);
    copy.querySelectorAll(".widget-slider").forEach(slider => slider.remove());
    const drawn = [...area.querySelectorAll("canvas")].map(pixels);
    return [copy.innerHTML.replace(/(min-height|padding-bottom):[^;"]*/g, ""), ...drawn].join();
  };
  const text = () => area.innerText.replace(/\\s+/g, " ").slice(0, 400);
  const height = () => area.getBoundingClientRect().height;
  const pending = ({newest}) => newest && !newest.isConnected;
  const decoded = () => ![...area.querySelectorAll("*")].some(pending);
  const all = {subtree: true, childList: true, attributes: true, characterData: true};
  let last = state(), touched = false;
  new MutationObserver(() => { touched = true; }).observe(area, all);
  const watch = {state, text, before: last, heights: [height()], ms: null, still: false};
  window.watch = watch;
  handle.addEventListener("keydown", () => {
    const pressed = performance.now(), passed = () => performance.now() - pressed;
    const {kernel} = jupyterapp.shell.currentWidget.sessionContext.session;
    const unheard = new Set();
    let active = 0;
    const listen = (_, {direction, msg: {header, parent_header, content}}) => {
      if (direction === "send" && header.msg_type === "comm_msg") unheard.add(header.msg_id);
      if (content.execution_state !== "idle" || !unheard.delete(parent_header.msg_id)) return;
      active = passed(); // and now a slider sends the value it has come to meanwhile
    };
    kernel.anyMessage.connect(listen);
    const look = async () => {
      watch.heights.push(height());
      if (touched || area.querySelector("canvas")) {
        touched = false;
        const pictures = [...area.querySelectorAll("img")];
        await Promise.all(pictures.map(picture => picture.decode().catch(() => null)));
        const ms = passed(), now = state();
        if (now !== last) [last, watch.ms, active] = [now, ms, passed()];
      }
      watch.still = !unheard.size && decoded()
        && passed() > (watch.ms === null ? 5000 : active + 60);
      if (watch.still) kernel.anyMessage.disconnect(listen);
      else requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  }, {capture: true, once: true});
}"""
TWO_FRAMES = "() => new Promise(go => requestAnimationFrame(() => requestAnimationFrame(go)))"


def press(slider, key):
    """Press a key on a slider; return the milliseconds to the changed view, and its heights."""
    slider.evaluate(WATCH)
    slider.press(key)
    slider.page.wait_for_function("() => watch.still")
    return slider.page.evaluate("() => [watch.ms, watch.heights]")


def move_and_return(slider):
    """Move a slider one step and back.

    Returns the milliseconds to the changed view, there and back (None: no change), by how many
    pixels its height changed, and what was wrong.
    """
    wrong = []
    value, end = (float(slider.get_attribute(f"aria-value{which}")) for which in ("now", "max"))
    there, back = ("ArrowLeft", "ArrowRight") if value == end else ("ArrowRight", "ArrowLeft")
    ms, heights = press(slider, there)
    if float(slider.get_attribute("aria-valuenow")) == value:
        wrong.append(f"is deaf to {there}")
    elif ms is None:
        wrong.append(f"{there} changes nothing in the view, and no sentence says why")
    low, high = sorted((heights[0], heights[-1]))
    if min(heights) < low - 2 or max(heights) > high + 2:
        wrong.append(f"the page jumps: the view is {heights} px high, frame by frame")
    start = slider.page.evaluate("() => watch.before")
    ms_back, _ = press(slider, back)
    # Beside a progress bar a slider steers a training: what was said and drawn of it stays.
    steers = slider.evaluate(STEERS)
    for _ in range(50):
        if steers or slider.page.evaluate("start => watch.state() === start", start):
            break
        slider.page.wait_for_timeout(100)  # on a busy machine the last picture may come late
    else:
        text = slider.page.evaluate("() => watch.text()")
        wrong.append(f"after {there}, {back} the view is another one than before: {text!r}")
    return [ms, ms_back], heights[-1] - heights[0], wrong


def drag(slider):
    """Drag a slider across its middle with the mouse; return what was wrong, if anything."""
    before, mouse = slider.get_attribute("aria-valuenow"), slider.page.mouse
    handle = slider.bounding_box()
    track = slider.locator("xpath=ancestor::*[contains(@class, 'noUi-target')]").bounding_box()
    x, y = handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2
    share = 0.8 if x < track["x"] + track["width"] / 2 else 0.2
    slider.evaluate(WATCH.replace("keydown", "pointerdown"))
    mouse.move(x, y)
    mouse.down()
    mouse.move(track["x"] + share * track["width"], y, steps=8)
    mouse.up()
    slider.page.wait_for_function("() => watch.still")
    if slider.get_attribute("aria-valuenow") == before:
        return ["is deaf to the mouse"]
    return [] if slider.page.evaluate("() => watch.ms") else ["dragged, it changes nothing"]


def too_high(page):
    """Return the views that cannot be seen with their sliders on a small screen."""
    page.set_viewport_size({"width": 1093, "height": 614})  # 1366 x 768 at 125 %
    room = page.locator(".jp-WindowedPanel-outer").bounding_box()["height"]
    found = []
    for view in page.locator(".jp-OutputArea-output:has(.widget-slider)").all():
        view.scroll_into_view_if_needed()
        for _ in range(20):  # drawn anew for the new width
            page.wait_for_timeout(50)
            height = view.bounding_box()["height"]
            if height <= room:
                break
        else:
            found.append(f"{view.evaluate(CELL)}: {height:.0f} px high, {room:.0f} are seen")
    page.set_viewport_size({"width": 1280, "height": 1000})
    return found


def what_is_wrong(page, say):
    """Move every slider of a chapter by keyboard, the first of each view by mouse, too.

    Says how long each view takes to answer; returns what was wrong, in sentences. Sliders that were
    dragged stay where they are.
    """
    times, growths, wrong = {}, [], too_high(page)
    for number, slider in enumerate(page.locator(SLIDERS).all(), start=1):
        slider.scroll_into_view_if_needed()
        page.evaluate(TWO_FRAMES)  # a view out of sight is laid out when it comes into sight
        label = slider.evaluate(NAME)
        name = f"slider {number} ({label or 'without a name'})"
        wrong += [] if label else [f"{name}: neither a visible label nor an aria-label"]
        both_ms, growth, flaws = move_and_return(slider)
        wrong += [f"{name}: {flaw}" for flaw in flaws]
        cell = slider.evaluate(CELL)
        if cell not in times:  # the first slider of each view
            wrong += [f"{name}: {flaw}" for flaw in drag(slider)]
        times.setdefault(cell, []).extend(ms for ms in both_ms if ms is not None)
        growths += [f"{name} {growth:+.0f} px"] if abs(growth) > 2 else []
    say(f"{page.name}: median ms from a key press to the changed view")
    for cell, several in times.items():
        say(f"  {statistics.median(several or [float('nan')]):4.0f}  {cell}")
    if growths:
        say("the height changes: " + ", ".join(growths))
    return wrong
