"""A lens on a picture: one's own filter, and how each pixel of the output comes about."""

import anywidget
import numpy as np
from traitlets import CInt, Dict, List, Unicode, validate

from cnnlib.datasets import as_ink
from cnnlib.figures import style
from cnnlib.figures.seeing import BRIGHTNESS, photograph
from cnnlib.layers import Convolution
from cnnlib.widgets.static import Still, script, style_sheet
from cnnlib.widgets.window_explorer import typed_number

OWN = "your own"
CLASSIC = {
    "vertical edges": np.outer([1, 2, 1], [-1, 0, 1]),
    "horizontal edges": np.outer([-1, 0, 1], [1, 2, 1]),
    "Laplacian": [[0, 1, 0], [1, -4, 1], [0, 1, 0]],
    "emboss": [[-2, -1, 0], [-1, 1, 1], [0, 1, 2]],
    "sharpen": [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
    "box blur": np.full((3, 3), 1 / 9),
    "Gaussian blur": np.outer([1, 2, 1], [1, 2, 1]) / 16,
    "box blur, 5 x 5": np.full((5, 5), 1 / 25),
    "blobs, 5 x 5": np.pad(np.full((3, 3), 25), 1) - 9,
    "identity": np.outer([0, 1, 0], [0, 1, 0]),
}


class Lens(Still, anywidget.AnyWidget):
    """An image, a filter to edit, and the output; a window shows the products and their sum.

    Parameters
    ----------
    images : dict of arrays (H, W)
        By name, from 0, black, to 1, white (or uint8, from 0 to 255).
    filters : dict of arrays (3, 3) or (5, 5), optional
        By name, weights between -1000 and 1000; classic ones by default.

    `image`, `filter`, `output` are the present arrays; `place`, row and column of the window, may
    be set. ValueError where something is not as said here, or a filter is larger than its image.
    """

    _esm = script("lens.js")
    _css = style_sheet("window_explorer.css", "lens.css")
    names = Dict().tag(sync=True)
    shown = Dict().tag(sync=True)
    place = List(CInt(), [0, 0], minlen=2, maxlen=2).tag(sync=True)
    message = Unicode().tag(sync=True)
    figure = property(lambda self: photograph(self.image, self.filter), doc="The static `Card`.")

    def __init__(self, images, filters=None):
        if not isinstance(images, dict) or not images:
            raise ValueError(f"images must be a dict of arrays, and not empty; got {images!r}")
        self._images = {name: as_ink(x, hint=False).astype(float) for name, x in images.items()}
        self._filters = {name: _filter(W) for name, W in (filters or CLASSIC).items()}
        self._filters.setdefault(OWN, _filter(CLASSIC["identity"]))
        super().__init__(names={"image": list(images), "filter": list(self._filters)})
        self.choose(next(iter(images)), next(iter(self._filters)))
        self.place = [size // 2 for size in self.output.shape]

    def choose(self, image=None, filter=None):
        """Show an image, by name, through a filter: by name, or any array as "your own"."""
        image = self.shown["chosen"][0] if image is None else image
        filter = self.shown["chosen"][1] if filter is None else filter
        name = filter if isinstance(filter, str) else OWN
        if image not in self._images or name not in self._filters:
            raise ValueError(f"no {image!r} and {name!r}; there are {self.names}")
        x = self._images[image]
        W = self._filters[name] if isinstance(filter, str) else _filter(filter)
        layer = Convolution(W[np.newaxis, np.newaxis], np.zeros(1))
        output = layer.forward(x[np.newaxis, np.newaxis], train_flg=False)[0, 0]
        self.image, self.filter, self.output, self._filters[name] = x, W, output, W
        scale, tone = "black: 0 or less, white: 1 or more", (BRIGHTNESS, 0, 1)
        if W.sum() < 1e-9:  # flat areas are not bright: signed, as in `photograph`
            peak = max(np.abs(output).max(), 1e-12)
            scale = f"blue: −{peak:.3g}, white: 0, red: {peak:.3g}"
            tone = style.DIVERGING, -peak, peak
        parts = {"input x": x, "filter W": W, "output": output}
        with self.hold_sync():
            self.shown = {
                "chosen": [image, name],
                "weights": W.ravel().tolist(),
                "titles": [f"{what} {a.shape}" for what, a in parts.items()],
                "notes": ["black: 0, white: 1", scale],
                "planes": [_plane(x, BRIGHTNESS, 0, 1), _plane(output, *tone)],
            }
            self.place = self.place  # not beyond the new output

    @validate("place")
    def _inside(self, proposal):
        ends = zip(proposal.value, self.output.shape, strict=True)
        return [min(max(at, 0), size - 1) for at, size in ends]

    def _handle_custom_msg(self, content, buffers):
        """Do what was asked in the browser: names chosen, or a weight edited."""
        self.message = ""
        try:
            if "weight" in content:
                W = self.filter.copy()
                W.flat[content["weight"]] = typed_number(content["value"])
                content = {"filter": W}
            self.choose(**content)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            self.message = str(error)

    def __repr__(self):
        row, column = self.place
        image, filter = self.shown["chosen"]
        shapes = "; ".join(self.shown["titles"])
        total = style.format_number(self.output[row, column], 3)
        return f"Lens, {image!r} through {filter!r}: {shapes}; output[{row}, {column}] = {total}"


def _filter(values):
    """Return a copy of a filter as floats, or raise ValueError."""
    W = np.array(values, dtype=float)
    if W.shape not in ((3, 3), (5, 5)):
        raise ValueError(f"a filter must be 3 x 3 or 5 x 5, got shape {W.shape}")
    if not (np.abs(W) < 1000).all():  # NaN included; longer numbers do not fit into the fields
        raise ValueError(f"weights must be between -1000 and 1000, got {W.tolist()}")
    return W


def _plane(values, colors, low, high):
    """Write numbers (rows, columns) and their colours for the browser."""
    pixels = colors((values - low) / (high - low), bytes=True)
    return {"shape": values.shape, "values": values.tobytes(), "pixels": pixels.tobytes()}
