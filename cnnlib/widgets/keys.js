// For all outputs of a page, once: JupyterLab takes keys from the control with the focus ("x" on a
// menu removes its cell); ipywidgets does not name its sliders, makes no group of radio buttons,
// forgets a number typed beside a slider that is left without Enter, and knows no decimal comma.
if (!globalThis.nameControls) {
  globalThis.nameControls = (el) => {
    const box = el.closest(".widget-vbox");
    for (const slider of box?.querySelectorAll(".widget-slider") ?? [])
      slider.querySelector("[role=slider]").ariaLabel = slider.querySelector(".widget-label").textContent;
    for (const radios of box?.querySelectorAll(".widget-radio-box:not([role])") ?? []) {
      Object.assign(radios, { role: "radiogroup", ariaLabel: box.firstElementChild.textContent, id: Math.random() });
      for (const radio of radios.querySelectorAll("input")) radio.name = radios.id; // one group for arrow keys
    }
  };
  const readout = ({ target }) => target.closest?.(".widget-readout[contenteditable]");
  addEventListener("keydown", (event) => {
    const { target, key, shiftKey, altKey } = event;
    const control = event.ctrlKey || event.metaKey;
    const passes = key === "Enter" ? control || shiftKey || altKey : control && key.length === 1; // run, save, ...
    if (!target.closest?.(".jp-OutputArea-output")) return;
    target.toggleAttribute("data-lm-suppress-shortcuts", !passes);
    if (key === "Enter" && readout(event)) target.textContent = target.textContent.replace(",", ".");
  }, true);
  addEventListener("focusout", (event) =>
    readout(event)?.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", keyCode: 13, bubbles: true })));
}
