// The view of a picture: it is decoded before the last one goes, and fits beside its sliders.

export default { render({ model, el }) {
  model.set("sharp", Math.min(2, Math.max(1, devicePixelRatio)));
  model.save_changes();
  const room = new ResizeObserver(([{ target }]) => window === top && target.parentNode.style
    .setProperty("--room", `max(200px, 100vh - ${target.offsetHeight + 135}px)`));
  const show = async () => {
    const page = el.newest = document.createElement("div");
    page.innerHTML = model.get("value");
    const picture = page.querySelector("img");
    if (picture) picture.src = `data:image/png;base64,${model.get("png")}`;
    await picture?.decode().catch(() => null);
    if (page !== el.newest) return;
    el.replaceChildren(page);
    nameControls(el);
    for (const controls of el.closest(".widget-vbox")?.querySelectorAll(".widget-gridbox") ?? []) room.observe(controls);
  };
  model.on("change", show);
  requestAnimationFrame(show); // when it stands in the page
  return () => { room.disconnect(); model.off("change", show); };
} };
