"""A picture in the page that follows sliders: at once, without flicker, never too high."""

import base64

import anywidget
from traitlets import Float, Unicode, observe

from cnnlib.figures import style
from cnnlib.widgets.static import script


class Picture(anywidget.AnyWidget):
    """The picture of a figure, within the HTML of `value`, whose ``<img>`` it is.

    It is decoded before the last picture goes. `sharp` is how many pixels the screen has for one of
    the page, 2 at most: more is not seen, and takes time. The controls around it get names for
    screen readers, and CSS gets ``--room``: how high it may be to be seen with them.
    """

    value = Unicode().tag(sync=True)
    png = Unicode().tag(sync=True)
    sharp = Float(style.SHARP).tag(sync=True)
    figure = None
    _esm = script("picture.js")

    def draw(self, figure):
        """Draw a figure, as sharp as can be seen."""
        png = style.to_png(figure, small=False, sharp=self.sharp)
        self.png, self.figure = base64.b64encode(png).decode("ascii"), figure

    @observe("sharp")
    def _drawn_anew(self, change):
        if self.figure:
            self.draw(self.figure)
