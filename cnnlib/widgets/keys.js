// For all outputs of a page, once: JupyterLab takes keys from the control with the focus ("x" on a
// menu removes its cell); ipywidgets does not name its sliders, forgets a number typed beside one
// that is left without Enter, and knows no decimal comma.
if (!globalThis.cnnlibKeys) {
  globalThis.cnnlibKeys = true;
  globalThis.nameSliders = (el) => el.closest(".widget-vbox")?.querySelectorAll(".widget-slider").forEach((one) => {
    one.querySelector("[role=slider]").ariaLabel = one.querySelector(".widget-label").textContent;
  });
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
