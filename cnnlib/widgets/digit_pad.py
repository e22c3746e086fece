"""The digit pad: draw a digit, and the network answers while the pen moves.

The browser (``digit_pad.js``) follows mouse, pen or finger and sends the drawing, 112 x 112 bytes.
Python scales and centres it as MNIST's digits are (`centre_digit`), asks the network, and sends
back one *result*: all that the browser then shows.
"""

import contextlib
import copy

import anywidget
import numpy as np
from traitlets import Bool, Bytes, Dict, TraitError, Unicode, observe, validate

from cnnlib.datasets import as_ink, centre_digit, ink_box, load_digits28
from cnnlib.figures import style
from cnnlib.figures.galleries import NO_ANSWER, SHOWN, digit_answer, percent
from cnnlib.layers import softmax
from cnnlib.visualize import feature_maps, occlusion_map
from cnnlib.widgets.static import Still, script, style_sheet

SIDE = 112  # pixels of the drawing: four for each of MNIST's 28
PEN = 9  # width of a stroke in these pixels, about 2 of MNIST's where the digit fills the pad
COVER, STEP = 5, 2  # side and stride of what covers the network's picture
GREEN, RED = (style.to_rgb(style.ROLES[role]) for role in ("output", "window"))
FROM_BROWSER = ("choice", "layer", "why", "drawing")


class _Refused(TraitError, ValueError):
    """What cannot be set: a ValueError, which traitlets undoes."""


class DigitPad(Still, anywidget.AnyWidget):
    """A pad to draw a digit on, and the answer of a network, at once.

    Parameters
    ----------
    networks : Network, or dict of them
        For images (1, H, W). A menu offers those of a dict, by name. They may be trained on
        meanwhile: see `refresh`.

    To be set are `choice` and `layer`, by name: the network that answers, and the layer whose
    feature maps are shown; `why`: whether the pad shows which parts of the drawing decided; and
    `image`, the drawing, (112, 112), from 0 to 1: to any picture, (H, W) or (1, H, W).
    `centred` is what the network gets, (1, H, W), and `box` first row and column, height and width
    of the ink, or None. `answer` is the most probable class, `probabilities`, (K,), those of all,
    `maps` the feature maps, (FN, OH, OW), and `lost`, (OH, OW), with `why`, what the answer loses
    by each cover of `occlusion_map`: None where nothing is drawn, or scores are not finite.
    ValueError is raised where a network does not fit, or what is set is not there.
    """

    _esm = script("digit_pad.js")
    _css = style_sheet("window_explorer.css", "digit_pad.css")
    # What the browser drew, or Python set. It does not come back as an echo: that would be late.
    drawing = Bytes(bytes(SIDE**2)).tag(
        sync=True,
        echo_update=False,
        from_json=lambda view, pad: bytes(view) if isinstance(view, bytes | memoryview) else b"",
    )
    choice = Unicode().tag(sync=True)
    layer = Unicode().tag(sync=True)
    why = Bool().tag(sync=True)
    result = Dict().tag(sync=True)
    look = Dict().tag(sync=True)

    def __init__(self, networks):
        self.networks = networks if isinstance(networks, dict) else {"the network": networks}
        for name, network in self.networks.items():
            C, *size = network.input_dim
            if C != 1 or min(size) < COVER or len(network.summary()[1][1]) != 3:
                fits = f"images (1, H, W) of {COVER} x {COVER} and more, and a convolution first"
                raise ValueError(f"the pad needs {fits}; {name} has {network.summary()}")
        _, (x, t) = load_digits28()
        self._samples = [_fit(x[np.argmax(t == digit), 0]) for digit in range(10)]
        look = {"side": SIDE, "pen": PEN, "samples": self._samples}
        super().__init__(choice=next(iter(self.networks)), look=look)

    network = property(lambda self: self.networks[self.choice], doc="The network that answers.")

    @property
    def layers(self):
        """Its layers that have feature maps, and the shapes of those."""
        return {name: shape for name, shape, _ in self.network.summary()[1:] if len(shape) == 3}

    @property
    def image(self):
        """The drawing, from 0 to 1; set it to any picture."""
        ink = np.frombuffer(self.drawing, np.uint8).reshape(SIDE, SIDE)
        return np.divide(ink, 255, dtype=np.float32)

    @image.setter
    def image(self, image):
        self.drawing = _fit(as_ink(image))

    @property
    def figure(self):
        """The present state as a static `Card`."""
        said = range(len(self.result["bars"])), self.probabilities, self.maps, self.layer
        return digit_answer(self.image, self.box, self.centred[0], *said)

    def show_sample(self, digit):
        """Put a real digit on the pad, 0 to 9, as its button does; none was used to train."""
        if digit not in range(10):
            raise ValueError(f"no sample {digit!r}; there are 0 to 9")
        self.drawing = self._samples[digit]

    @observe("drawing", "choice", "layer", "why")
    def refresh(self, change=None):
        """Ask the network again: needed only after it was trained on."""
        if self.layer not in self.layers:
            self.layer = [*self.layers][:2][-1]  # mostly the activation of the first convolution
            return  # as that was observed
        self.box = ink_box(self.image)
        self.centred = centre_digit(self.image, self.network.input_dim[1:])[np.newaxis]
        self.answer = self.probabilities = self.maps = self.lost = None
        # Layers of its own, with the network's weights: a click may come from another thread of the
        # kernel amid a training step, whose layers remember what went forward until it is back.
        network = copy.copy(self.network)
        network.layers = {name: copy.copy(layer) for name, layer in network.layers.items()}
        x = self.centred.astype(network.dtype)
        with np.errstate(all="ignore"):  # a network whose training failed is told in the result
            outputs = feature_maps(network, x[np.newaxis])
            *_, scores = outputs.values()
            if self.box is not None and np.isfinite(scores).all():
                self.maps = outputs[self.layer][0]
                self.probabilities = softmax(scores.astype(float))[0]
                self.answer = int(self.probabilities.argmax())
                if self.why:
                    left = occlusion_map(network, x, self.answer, COVER, STEP)
                    self.lost = np.maximum(self.probabilities.max() - left, 0)
        self.result = self._result()

    def _result(self):
        """Write the present state for the browser, `texts` by the class of their places there."""
        maps = np.zeros(self.layers[self.layer]) if self.maps is None else self.maps
        names, layers, low, high = [*self.networks], [*self.layers], maps.min(), maps.max()
        ends = [style.DIVERGING(level)[:3] for level in (0.2, 0.8)] if low < 0 else [GREEN, GREEN]
        texts = dict.fromkeys(("scaled", "reason", "most"), "")
        texts["said"] = "Draw a digit" if self.box is None else NO_ANSWER
        texts["input-shape"] = f"(C, H, W) = {style.shape_text(self.centred.shape)}"
        more = f", the first {SHOWN}" if len(maps) > SHOWN else ""
        texts["maps-title"] = f"(FN, OH, OW) = {style.shape_text(maps.shape)}{more}"
        result = {
            "texts": texts,
            "menus": {"choice": [self.choice, names], "layer": [self.layer, layers]},
            "places": dict.fromkeys(("found", "lost", "legend"), "visibility: hidden"),
            "why": self.why,
            "input": _plane(self.centred[0], 1),
            "answer": self.answer,
            "bars": [["", 0]] * self.network.summary()[-1][1][0],
            "maps": _plane(maps[:SHOWN], max(-low, high), *ends),
        }
        if self.box is not None:
            corner, size = np.reshape(ink_box(self.centred), (2, 2))
            ink, became = (f"{height} × {width}" for height, width in (self.box[2:], size))
            result["places"]["found"] = _place(self.box)
            texts["scaled"] = f"{ink} became {became}, its centre of mass on the cross"
        if self.maps is not None:
            result["bars"] = [[percent(p), float(p)] for p in self.probabilities]
            sure = result["bars"][self.answer][0]
            texts["said"] = f"{self.answer}, with {sure}"
            span = (style.format_number(end, 2) for end in (low, high))
            texts["maps-title"] += f", from {' to '.join(span)}"
        if self.lost is not None:  # each number where the middle of its cover was, in the drawing
            times, most = np.divide(self.box[2:], size), max(self.lost.max(), 0.01)
            start = self.box[:2] + ((COVER - STEP) / 2 - corner) * times
            place = _place([*start, *STEP * times * self.lost.shape])
            result["places"] |= {"lost": place, "legend": ""}
            result["lost"] = _plane(self.lost, most, RED, RED)
            texts["reason"] = f"Why {self.answer}? Cover {COVER} × {COVER} pixels there, and"
            texts["most"] = f"{percent(most)} of its {sure}"
        return result

    @validate("choice", "layer", "drawing")
    def _possible(self, proposal):
        name, value = proposal.trait.name, proposal.value
        if name == "drawing" and len(value) != SIDE**2:
            raise _Refused(f"a drawing has {SIDE} x {SIDE} bytes, got {len(value)}")
        there = self.networks if name == "choice" else self.layers
        if name != "drawing" and value not in there:
            raise _Refused(f"{name} must be one of {[*there]}, got {value!r}")
        return value

    def set_state(self, sync_data):
        """Set what the browser may set; where one thing is not possible, nothing."""
        with contextlib.suppress(TraitError):
            super().set_state({k: sync_data[k] for k in FROM_BROWSER if k in sync_data})

    def __repr__(self):
        pad = f"DigitPad for images {style.shape_text(self.centred.shape)}"
        if self.probabilities is None:
            return f"{pad}: {'nothing is drawn' if self.box is None else NO_ANSWER}"
        maps = f"feature maps after {self.layer}: {style.shape_text(self.maps.shape)}"
        share = f"{100 * self.probabilities.max():.0f} %"
        return f"{pad}: the network answers {self.answer}, with {share}\n{maps}"


def _fit(ink):
    """Write a picture of any size, numbers 0 to 1, as a drawing."""
    times = SIDE // max(ink.shape)
    if times:  # whole times larger: the digit in it stays the same to the last bit
        ink = np.kron(ink, np.ones((times, times)))
        drawing = np.pad(ink, [((SIDE - n) // 2, (SIDE - n + 1) // 2) for n in ink.shape])
    else:
        drawing = centre_digit(ink, (SIDE, SIDE), SIDE * 20 // 28)
    return np.rint(255 * drawing).astype(np.uint8).tobytes()


def _plane(values, peak, negative=(0, 0, 0), positive=(0, 0, 0)):
    """Write numbers for the browser: -127 to 127 for -peak to peak, and a colour for each sign."""
    pixels = np.rint(values * (127 / (peak or 1))).astype(np.int8).tobytes()
    colors = np.multiply([negative, positive], 255).tolist()
    return {"shape": values.shape, "pixels": pixels, "colors": colors}


def _place(box):
    """Write as a style where a box lies: first row and column, height and width in the drawing."""
    sides = zip(("top", "left", "height", "width"), box, strict=True)
    return "; ".join(f"{side}: {100 * pixels / SIDE:.2f}%" for side, pixels in sides)
