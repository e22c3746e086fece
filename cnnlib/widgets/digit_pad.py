"""The digit pad: draw a digit, and the network answers while the pen moves.

The browser (``digit_pad.js``) follows mouse, pen or finger and sends the drawing, 112 x 112 bytes.
Python scales and centres it as MNIST's digits are (`centre_digit`), runs it through the
network, and sends back one *result*: the box, the picture that the network got, the
probabilities and the feature maps of one layer. The browser draws them, and computes nothing.
"""

import copy
from pathlib import Path

import anywidget
import numpy as np
from traitlets import Bytes, Dict, List, Unicode, observe, validate

from cnnlib.datasets import as_ink, centre_digit, ink_box, load_digits28
from cnnlib.figures import style
from cnnlib.figures.answers import NO_ANSWER, SHOWN, digit_answer, percent
from cnnlib.layers import softmax
from cnnlib.widgets.static import with_picture

SIDE = 112  # pixels of the drawing: four for each of MNIST's 28
PEN = 9  # width of a stroke in these pixels, about 2 of MNIST's where the digit fills the pad


class DigitPad(anywidget.AnyWidget):
    """A pad to draw a digit on, and the answer of a network, at once.

    Parameters
    ----------
    network : Network
        For images (1, H, W). It may be trained on meanwhile: see `refresh`.
    samples : dict or list, optional
        Pictures that a button each puts on the pad, by label; arrays (H, W) or (1, H, W). One
        handwritten digit of each kind from `load_digits28` by default, none of them used to train.
    labels : sequence, optional
        Names of the classes; 0, 1, ... by default.
    layer : str, optional
        The layer whose feature maps are shown, any of `layers`; by default what follows the first
        convolution, its activation.
    box : int, optional
        Longer side of the digit in the picture that the network gets; see `centre_digit`.

    Attributes
    ----------
    image : ndarray of float32, shape (112, 112)
        The drawing, from 0 to 1. Set it to any picture, (H, W) or (1, H, W): it is scaled to fit.
    box : (int, int, int, int) or None
        First row and column, height and width of the ink; None where nothing is drawn.
    centred : ndarray of float32, shape (1, H, W)
        What the network gets; all zeros where nothing is drawn.
    probabilities : ndarray, shape (K,), or None
        The answer; None where nothing is drawn, or where the scores are not finite.
    answer : object or None
        The label with the highest probability.
    maps : ndarray, shape (FN, OH, OW), or None
        Feature maps of `layer`.
    layer, layers : str, list of str
        The layer shown, to be set; and those that can be.
    figure : Card
        The present state as a static picture.

    Raises
    ------
    ValueError
        If the network is not for images of one channel, if labels or samples do not fit, or if
        there is no such layer.

    Examples
    --------
    >>> from cnnlib import SimpleConvNet
    >>> pad = DigitPad(SimpleConvNet(rng=0))
    >>> pad.show_sample(3)
    >>> pad.centred.shape, pad.probabilities.shape, pad.maps.shape
    ((1, 28, 28), (10,), (30, 24, 24))
    """

    _esm = Path(__file__).with_suffix(".js")
    _css = Path(__file__).with_suffix(".css")
    # What the browser drew, or Python set. It does not come back as an echo: that would be late.
    drawing = Bytes(bytes(SIDE**2)).tag(
        sync=True, echo_update=False, from_json=lambda view, pad: bytes(view)
    )
    layer = Unicode().tag(sync=True)
    layers = List(Unicode()).tag(sync=True)
    result = Dict().tag(sync=True)
    samples = List().tag(sync=True)
    look = Dict().tag(sync=True)

    def __init__(self, network, samples=None, labels=None, layer=None, box=None):
        C, *self._shape = network.input_dim
        if C != 1:
            raise ValueError(
                f"the pad draws in one colour, but {type(network).__name__} takes images "
                f"(C, H, W) = {tuple(network.input_dim)}"
            )
        rows = network.summary()
        K = rows[-1][1][-1]
        self.labels = list(range(K)) if labels is None else list(labels)
        if len(self.labels) != K:
            raise ValueError(f"{len(self.labels)} labels for {K} classes")
        self.network, self._box = network, box
        self._samples = _sample_digits() if samples is None else samples
        if not isinstance(self._samples, dict):
            self._samples = dict(enumerate(self._samples))
        self._samples = {label: as_ink(image) for label, image in self._samples.items()}
        self.probabilities = self.maps = self.box = None
        self.centred = centre_digit(np.zeros((1, 1)), self._shape, box)[np.newaxis]
        names = [name for name, shape, _ in rows[1:] if len(shape) == 3]
        super().__init__(
            layers=names,
            layer=_first_maps(network, names) if layer is None else layer,
            samples=[
                {"label": str(label), **_plane(np.rint(255 * ink))}
                for label, ink in self._samples.items()
            ],
            look={
                "side": SIDE,
                "pen": PEN,
                "line": style.ROLES,
                "text": style.TEXT_COLORS,
                "signs": [style.to_hex(style.DIVERGING(level)) for level in (0.2, 0.8)],
            },
        )
        self.refresh()

    @property
    def image(self):
        """The drawing, from 0 to 1; set it to any picture."""
        ink = np.frombuffer(self.drawing, np.uint8).reshape(SIDE, SIDE)
        return np.divide(ink, 255, dtype=np.float32)

    @image.setter
    def image(self, image):
        ink = as_ink(image)
        rows, columns = ink.shape
        times = SIDE // max(rows, columns)
        if times:  # whole times larger: the digit in it stays the same to the last bit
            ink = np.kron(ink, np.ones((times, times)))
            drawing = np.zeros((SIDE, SIDE))
            top, left = (SIDE - rows * times) // 2, (SIDE - columns * times) // 2
            drawing[top : top + rows * times, left : left + columns * times] = ink
        else:
            drawing = centre_digit(ink, (SIDE, SIDE), SIDE * 20 // 28)
        self.drawing = np.rint(255 * drawing).astype(np.uint8).tobytes()

    @property
    def answer(self):
        """The label with the highest probability; None where there is no answer."""
        return None if self.probabilities is None else self.labels[self.probabilities.argmax()]

    @property
    def figure(self):
        """The present state as a static `Card`."""
        return digit_answer(
            self.image,
            self.box,
            self.centred[0],
            self.labels,
            self.probabilities,
            self.maps,
            self.layer,
        )

    def show_sample(self, label):
        """Put a sample on the pad, as its button does.

        Raises
        ------
        ValueError
            If there is no sample of this label.
        """
        if label not in self._samples:
            raise ValueError(f"no sample {label!r}; there are {list(self._samples)}")
        self.image = self._samples[label]

    def clear(self):
        """Empty the pad."""
        self.drawing = bytes(SIDE**2)

    @observe("drawing", "layer")
    def refresh(self, change=None):
        """Ask the network again: needed only after it was trained on."""
        self.box = ink_box(self.image)
        self.centred = centre_digit(self.image, self._shape, self._box)[np.newaxis]
        self.probabilities = self.maps = None
        if self.box is not None:
            self._ask(self.centred[np.newaxis].astype(self.network.dtype))
        self.result = self._result()

    def _ask(self, x):
        """Run one image through the layers, and note the maps of one of them on the way.

        The layers are copies that share their weights with the network's. A click may come from
        another thread of the kernel in the middle of a training step, whose layers remember what
        went forward until it has gone backward.
        """
        with np.errstate(all="ignore"):  # a network whose training failed is told below
            for name, layer in self.network.layers.items():
                x = copy.copy(layer).forward(x, train_flg=False)
                if name == self.layer:
                    self.maps = x[0]
        if np.isfinite(x).all():
            self.probabilities = softmax(x.astype(float))[0]
        else:
            self.maps = None

    def _result(self):
        """Write the present state for the browser."""
        C, H, W = self.centred.shape
        shape = dict((name, shape) for name, shape, _ in self.network.summary())[self.layer]
        result = {
            "box": self.box,
            "input": _plane(np.rint(255 * self.centred[0])),
            "inputShape": style.shape_text((C, H, W)),
            "labels": [str(label) for label in self.labels],
            "shares": [] if self.probabilities is None else self.probabilities.tolist(),
            "texts": [] if self.probabilities is None else list(map(percent, self.probabilities)),
            "answer": None if self.probabilities is None else int(self.probabilities.argmax()),
            "said": "Draw a digit" if self.box is None else NO_ANSWER,
            "scaled": "",
            "maps": {"shape": list(shape), "shown": min(shape[0], SHOWN), "signed": False},
        }
        if self.probabilities is not None:
            best = result["answer"]
            result["said"] = f"{result['labels'][best]}, with {result['texts'][best]}"
        inside = ink_box(self.centred)
        if inside is not None:
            result["scaled"] = f"{self.box[2]} × {self.box[3]} became {inside[2]} × {inside[3]}"
        maps = result["maps"]
        maps["title"] = f"(FN, OH, OW) = {style.shape_text(shape)}"
        if self.maps is not None:
            low, high = float(self.maps.min()), float(self.maps.max())
            peak = max(-low, high) or 1
            maps["signed"] = low < 0
            maps["pixels"] = np.rint(self.maps[:SHOWN] * (127 / peak)).astype(np.int8).tobytes()
            ends = style.format_number(low, 2), style.format_number(high, 2)
            maps["range"] = f"from {ends[0]} to {ends[1]}"
        return result

    @validate("layer")
    def _layer_exists(self, proposal):
        if proposal.value not in self.layers:
            raise ValueError(f"no maps of {proposal.value!r}; there are {self.layers}")
        return proposal.value

    @validate("drawing")
    def _drawing_fits(self, proposal):
        if len(proposal.value) != SIDE**2:
            raise ValueError(f"a drawing has {SIDE} x {SIDE} bytes, got {len(proposal.value)}")
        return proposal.value

    def _handle_custom_msg(self, content, buffers):
        """Do what a sample's button asks for."""
        self.show_sample(list(self._samples)[content["sample"]])

    def __repr__(self):
        H, W = self._shape
        if self.probabilities is None:
            why = "nothing is drawn" if self.box is None else NO_ANSWER
            return f"DigitPad for images (1, {H}, {W}): {why}"
        share = f"{100 * self.probabilities.max():.0f} %"
        return (
            f"DigitPad for images (1, {H}, {W}): the network answers {self.answer}, with {share}\n"
            f"feature maps after {self.layer}: {style.shape_text(self.maps.shape)}"
        )

    def _repr_mimebundle_(self, **kwargs):
        """Add a text and the present picture, for where no kernel runs."""
        shown = super()._repr_mimebundle_(**kwargs)
        return with_picture(shown, repr(self), self.figure)


def _sample_digits():
    """Take the first test digit of each kind from those that come with the package."""
    _, (x, t) = load_digits28()
    return {digit: x[np.argmax(t == digit)] for digit in range(10)}


def _first_maps(network, names):
    """Name the activation after the first convolution, or the convolution where none follows."""
    if not names:
        raise ValueError(f"{type(network).__name__} has no layer with feature maps (C, H, W)")
    followed = len(names) > 1 and type(network.layers[names[1]]).__name__ in ("Relu", "Sigmoid")
    return names[1] if followed else names[0]


def _plane(values):
    """Write a picture of whole numbers 0..255 for the browser."""
    rows, columns = values.shape
    return {"rows": rows, "columns": columns, "pixels": values.astype(np.uint8).tobytes()}
