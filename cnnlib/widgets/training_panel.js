// The sliders of ipywidgets have a visible label and no name for a screen reader: give them one,
// whenever the page builds them anew.

function render({ el }) {
  let observer = null;
  let waiting = null;
  const name = (box) => {
    for (const slider of box.querySelectorAll(".widget-slider")) {
      const label = slider.querySelector(".widget-label")?.textContent;
      slider.querySelector("[role=slider]")?.setAttribute("aria-label", label);
    }
  };
  const begin = () => {
    const box = el.closest(".cnnlib-training-panel");
    if (!box) { // not in the page yet
      waiting = requestAnimationFrame(begin);
      return;
    }
    name(box);
    observer = new MutationObserver(() => name(box));
    observer.observe(box, { childList: true, subtree: true });
  };
  begin();
  return () => {
    cancelAnimationFrame(waiting);
    observer?.disconnect();
  };
}

export default { render };
