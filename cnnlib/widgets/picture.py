"""A picture in the page that follows sliders: at once, without flicker, never too high."""

import anywidget
from traitlets import Bytes, Float, Unicode, observe

from cnnlib.figures import style


class Picture(anywidget.AnyWidget):
    """The picture of a figure, within the HTML of `value`, whose ``<img>`` it is.

    Its bytes travel as they are, and are decoded before the last picture goes. `sharp` is how many
    pixels the screen has for one of the page, 2 at most: more is not seen, and takes time.
    """

    value = Unicode().tag(sync=True)
    png = Bytes().tag(sync=True)
    sharp = Float(style.SHARP).tag(sync=True)
    figure = None
    _esm = """export default { render({ model, el }) {
      model.set("sharp", Math.min(2, Math.max(1, devicePixelRatio)));
      model.save_changes();
      let newest;
      const show = async () => {
        const url = newest = URL.createObjectURL(new Blob([model.get("png")]));
        const page = document.createElement("div");
        page.innerHTML = model.get("value");
        const picture = page.querySelector("img");
        if (picture) picture.src = url;
        await picture?.decode().catch(() => null);
        URL.revokeObjectURL(url);
        if (url === newest) el.replaceChildren(page);
      };
      model.on("change", show);
      show();
      return () => model.off("change", show);
    } };"""

    def draw(self, figure):
        """Return the PNG of a figure, as sharp as can be seen."""
        png, self.figure = style.to_png(figure, small=False, sharp=self.sharp), figure
        return png

    def show(self, value, png):
        """Show HTML, and the bytes of its picture, both at once."""
        with self.hold_sync():
            self.value, self.png = value, png

    @observe("sharp")
    def _drawn_anew(self, change):
        self.png = self.draw(self.figure) if self.figure else self.png


class Surroundings(anywidget.AnyWidget):
    """Tells screen readers the names of the sliders around it, which ipywidgets leaves out.

    And tells the picture how high it may be to be seen with them: JupyterLab itself takes 125 px.
    """

    _esm = """export default { render({ el }) {
      const box = () => el.closest(".widget-vbox");
      const all = (query) => box()?.querySelectorAll(query) ?? [];
      const name = () => all(".widget-slider").forEach((slider) =>
        slider.querySelector("[role=slider]")?.setAttribute(
          "aria-label", slider.querySelector(".widget-label").textContent));
      const watch = new MutationObserver(name);
      const room = new ResizeObserver(([{ target }]) => window === top && box()?.style.setProperty(
        "--room", `max(200px, 100vh - ${target.offsetHeight + 135}px)`));
      requestAnimationFrame(() => {
        name();
        watch.observe(box(), { childList: true, subtree: true });
        all(".widget-gridbox").forEach((controls) => room.observe(controls));
      });
      return () => [watch, room].forEach((observer) => observer.disconnect());
    } };"""
