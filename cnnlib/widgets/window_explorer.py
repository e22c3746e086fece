"""The Window Explorer: a window slides over a grid of numbers, and everything answers at once.

`cnnlib.widgets.window_picture` turns numbers and settings into one *picture*: grids, formula, what
could be set instead. The browser (``window_explorer.js``) lays it out, draws it and lights up what
belongs together; it computes places, never numbers. `WindowExplorer` stands between them: sliders,
traits for Python, and one message to the browser for each change.
"""

import re
from pathlib import Path

import anywidget
import ipywidgets
import numpy as np
from traitlets import Bool, Dict, Int, TraitType, Unicode, observe, validate

from cnnlib.figures import explorer, style
from cnnlib.layers import Pooling
from cnnlib.widgets.static import with_picture
from cnnlib.widgets.window_picture import MODES, POOLING, State, picture, sentence, words
from cnnlib.windows import conv_output_size, whole_number

# Name -> lowest value and highest value of its slider; a start value may lie above.
RANGES = {
    "height": (1, 12),
    "width": (1, 12),
    "filter_height": (1, 5),
    "filter_width": (1, 5),
    "stride": (1, 4),
    "pad": (0, 3),
    "channels": (1, 3),
}
LETTERS = {"height": "H", "width": "W", "filter_height": "FH", "filter_width": "FW"}
LETTERS |= {"stride": "S", "pad": "P", "channels": "C"}
SLIDERS = ("height", "width", "filter_height", "filter_width", "stride", "pad")
SETTINGS = ("mode", *RANGES, "bias")
CHANNELS = 4  # at most: more do not fit below each other
LARGEST = 64  # rows and columns of the padded input, at most; so any larger stride reads the same

# Figures 7-4 and 7-5 of the book.
BOOK_INPUT = ((1, 2, 3, 0), (0, 1, 2, 3), (3, 0, 1, 2), (2, 3, 0, 1))
BOOK_FILTER = ((2, 0, 1), (0, 1, 2), (1, 0, 2))


class _View(anywidget.AnyWidget):
    """What the browser shows: one picture, the window now in play, and perhaps a sentence."""

    _esm = Path(__file__).with_suffix(".js")
    _css = Path(__file__).with_suffix(".css")
    picture = Dict().tag(sync=True)
    message = Unicode().tag(sync=True)
    stale = Bool().tag(sync=True)  # the picture is older than the sliders
    step = Int().tag(sync=True)
    reveal = Bool().tag(sync=True)
    look = Dict().tag(sync=True)  # colours by role; room in pixels and in lines of text


class WindowExplorer(ipywidgets.VBox):
    """Sliders around one view in which a window slides: see it, break it, edit its numbers.

    Parameters
    ----------
    x : array_like, shape (H, W) or (C, H, W), optional
        Input; the book's figure 7-4 where left out. At most 4 channels.
    W : array_like, shape (FH, FW) or (C, FH, FW), optional
        One filter; in pooling modes only its size counts.
    b, stride, pad
        Bias, step S and padding P.
    mode, modes : str and list of str, optional
        "convolution", "max pooling", "average pooling", "im2col" or "backward"; `modes` are those
        offered in a menu.
    dout : array_like, shape (OH, OW), optional
        Gradient of the output, for the mode "backward".
    step : int, default 0
        The window in play, counted row by row.
    sliders : list of str, default all but "channels"
        Which of "height", "width", "filter_height", "filter_width", "stride", "pad" and
        "channels" are shown.
    bias, formula : bool, default True
        Whether a bias of 0, and formula (7.1), are shown.
    reveal : bool, default False
        Outputs stay blank until the window has passed; the reader may show them all.

    All settings (mode, height, ..., bias, step) can be read and set; what grows gets small whole
    numbers, always the same. So can `input`, `filter` and `gradient`; `controls` are the sliders.

    An impossible setting is a ValueError, and the last state stays; from a slider, the sentence is
    shown instead.
    """

    # Of no type of traitlets: an `Any` would take None without asking `_possible`.
    mode, height, width, stride, pad = (TraitType(None) for _ in range(5))
    filter_height, filter_width, channels, bias = (TraitType(None) for _ in range(4))
    step = TraitType(0)

    def __init__(
        self,
        x=None,
        W=None,
        b=0.0,
        stride=1,
        pad=0,
        mode=None,
        *,
        modes=None,
        dout=None,
        step=0,
        sliders=SLIDERS,
        bias=True,
        formula=True,
        reveal=False,
    ):
        super().__init__()
        self._waiting = True  # while several values are being set
        x = _planes(BOOK_INPUT if x is None else x, "x")
        if W is None:
            book = np.array([BOOK_FILTER])
            W = _extended(book, (len(x), *book.shape[1:]), 3)
        W = _planes(W, "W")
        if len(x) != len(W):
            raise ValueError(f"x has {len(x)} channels and the filter has {len(W)}")
        self.modes = tuple(modes or [mode or MODES[0]])
        self._check_names(sliders)
        every = (CHANNELS, LARGEST, LARGEST)
        self._numbers = {"x": _extended(x, every, 4), "W": _extended(W, every, 3)}
        self._numbers["dout"] = (1 + np.add.outer(2 * np.arange(LARGEST), np.arange(LARGEST))) % 5.0
        self._view = _View(reveal=reveal)
        self._shown = {"bias": bias, "formula": formula}
        start = (mode or self.modes[0], *x.shape[1:], *W.shape[1:], stride, pad, len(x), b)
        start = dict(zip(SETTINGS, start, strict=True))
        for name, value in self._check(start).items():
            setattr(self, name, value)
        self.controls = {name: _slider(name, getattr(self, name)) for name in sliders}
        if len(self.modes) > 1:
            menu = ipywidgets.Dropdown(options=self.modes, **_labelled("mode"))
            self.controls = {"mode": menu} | self.controls
        self._waiting = False
        if dout is not None:
            self.gradient = dout
        self.step = step
        self._redraw()
        self._start = {name: getattr(self, name) for name in SETTINGS}
        self._start_numbers = {name: values.copy() for name, values in self._numbers.items()}
        self._view.look = _look(self)
        for control in self.controls.values():
            control.observe(self._moved, "value")
        self._view.observe(self._stepped, "step")
        self._view.on_msg(self._answer)
        columns = "repeat(auto-fit, minmax(300px, 1fr))"
        layout = {"grid_template_columns": columns, "max_width": "860px"}
        controls = ipywidgets.GridBox(list(self.controls.values()), layout=layout)
        self.children = [controls, self._view]
        self.add_class("cnnlib-window-explorer")

    # ---- numbers, for Python ------------------------------------------------------------------

    @property
    def input(self):
        """Input, shape (H, W), or (C, H, W) where there are several channels."""
        return _flat(self._state().x)

    @input.setter
    def input(self, values):
        self._replace("x", values, ("height", "width"))

    @property
    def filter(self):
        """Filter, shape (FH, FW), or (C, FH, FW) where there are several channels."""
        return _flat(self._state().W)

    @filter.setter
    def filter(self, values):
        self._replace("W", values, ("filter_height", "filter_width"))

    @property
    def gradient(self):
        """Gradient of the loss by the output, shape (OH, OW); used by the mode "backward"."""
        return self._state().dout.copy()

    @gradient.setter
    def gradient(self, values):
        values, shape = _finite(values, "dout"), self._state().dout.shape
        if values.shape != shape:
            raise ValueError(f"dout must have the output's shape {shape}, got {values.shape}")
        self._numbers["dout"][: shape[0], : shape[1]] = values
        self._redraw()

    @property
    def output(self):
        """Output, shape (OH, OW); pooling several channels gives (C, OH, OW)."""
        return _flat(self._state().output)

    @property
    def output_shape(self):
        """Shape of the output."""
        return self.output.shape

    @property
    def col(self):
        """Matrix that im2col makes of the input, shape (OH*OW, C*FH*FW)."""
        return self._state().col

    @property
    def dx(self):
        """Gradient by the input for `gradient`, shape (H, W) or (C, H, W)."""
        return _flat(self._state().dx)

    @property
    def values(self):
        """Present values of the sliders and the menu, by name."""
        return {name: control.value for name, control in self.controls.items()}

    @property
    def message(self):
        """Why the sliders' values give no picture; "" where they do."""
        return self._view.message

    @property
    def figure(self):
        """The present state as a static `Card`."""
        return explorer.draw(self._view.picture, self.step)

    def set(self, **settings):
        """Set several settings at once; ValueError, and none set, if they do not go together."""
        checked = self._check(settings)
        self._waiting = True
        try:
            for name in settings:
                setattr(self, name, checked[name])
        finally:
            self._waiting = False
        self._redraw()
        return self

    def __repr__(self):
        state = self._state()
        pools = self.mode in POOLING
        settings = [f"input {_shape(state.x, '(H, W)')}"]
        settings += [f"{'window' if pools else 'filter'} {_shape(state.W, '(FH, FW)')}"]
        settings += [f"stride {self.stride}, pad {self.pad}"]
        settings += [] if pools else [f"bias {state.b:g}"]
        lines = [f"WindowExplorer, {self.mode}: {', '.join(settings)}"]
        results = {"im2col": ("col", self.col), "backward": ("dx", self.dx)}
        name, result = results.get(self.mode, ("output", self.output))
        lines += [f"{name} of shape {result.shape}"]
        if result.size <= 200:
            lines += [np.array2string(result, precision=2, suppress_small=True, max_line_width=100)]
        return "\n".join(lines + ([self.message] if self.message else []))

    def _repr_mimebundle_(self, **kwargs):
        """Add a text and the present picture, for where no kernel runs."""
        shown = super()._repr_mimebundle_(**kwargs)
        return with_picture(shown, repr(self), self.figure)

    # ---- from a change to a picture -----------------------------------------------------------

    @validate(*SETTINGS)
    def _possible(self, proposal):
        name = proposal.trait.name
        return proposal.value if self._waiting else self._check({name: proposal.value})[name]

    @validate("step")
    def _step_possible(self, proposal):
        step, count = whole_number("step", proposal.value, least=0), self._state().dout.size
        if step >= count:
            raise ValueError(f"step {step}: there are {count} windows, steps 0 to {count - 1}")
        return step

    @observe("step")
    def _show_step(self, change):
        self._view.step = self.step

    @observe(*SETTINGS)
    def _redraw(self, change=None):
        """Send one picture of the present state to the browser, and move the sliders there."""
        if self._waiting:
            return
        state = self._state()
        self._waiting = True
        try:
            for name, control in self.controls.items():
                value = getattr(self, name)
                if name != "mode":
                    control.description = _label(name, self.mode)
                    control.max = max(control.max, value)
                control.value = value
        finally:
            self._waiting = False
        with self._view.hold_sync():
            self._view.picture = picture(state, **self._shown)
            self._say("")
            self.step = min(self.step, state.dout.size - 1)

    def _moved(self, change):
        """Take over what the sliders say, all of them: two together may be possible again."""
        if self._waiting:
            return
        try:
            self.set(**self.values)
        except ValueError as error:
            self._say(error, stale=True)

    def _say(self, what, stale=False):
        """Show a sentence; where it is about the sliders, the picture is no longer theirs."""
        with self._view.hold_sync():
            self._view.message, self._view.stale = sentence(str(what)), stale

    def reset(self):
        """Go back to the first window, and to the settings and numbers of the start."""
        self._numbers = {name: values.copy() for name, values in self._start_numbers.items()}
        self.step = 0
        self.set(**self._start)

    def _stepped(self, change):
        """Follow the browser; a step that came too late, for an earlier picture, is dropped."""
        try:
            self.step = change.new
        except ValueError:
            self._view.step = self.step

    def _answer(self, view, content, buffers):
        """Do what was asked in the browser: a number edited, an offered setting chosen."""
        try:
            if "reset" in content:
                self.reset()
            elif "setting" in content:
                self.set(**{content["setting"]: content["value"]})
            else:
                self._edit(content["grid"], content["row"], content["column"], content["value"])
        except ValueError as error:
            self._say(error)

    def _edit(self, grid, row, column, value):
        """Set one number, given as text."""
        try:
            number = float(value.replace("−", "-").replace(",", "."))
        except ValueError:
            number = np.nan
        if not np.isfinite(number):
            raise ValueError(f"{value!r} is not a number; the old one stays")
        if grid == "b":
            self.bias = number
        else:
            name, channel = re.fullmatch(r"(x|W|dout)(\d*)", grid).groups()
            place = (row, column) if name == "dout" else (int(channel), row, column)
            self._numbers[name][place] = number
        self._redraw()

    def _replace(self, name, values, sizes):
        """Set the numbers of x or W, and the sizes and channels that come with them."""
        values = _planes(values, name)
        sizes = dict(zip(sizes, values.shape[1:], strict=True))
        self._check(sizes | {"channels": len(values)})
        self._numbers[name] = _extended(values, (CHANNELS, LARGEST, LARGEST), 4)
        self.set(**sizes, channels=len(values))

    def _state(self):
        C, OH, OW = self.channels, *_output_size({name: getattr(self, name) for name in SETTINGS})
        x = self._numbers["x"][:C, : self.height, : self.width].copy()
        W = self._numbers["W"][:C, : self.filter_height, : self.filter_width].copy()
        dout = self._numbers["dout"][:OH, :OW].copy()
        return State(self.mode, x, W, self.bias, dout, self.stride, self.pad)

    def _check_names(self, sliders):
        for mode in self.modes:
            if mode not in MODES:
                raise ValueError(f"mode must be one of {list(MODES)}, got {mode!r}")
        for name in sliders:
            if name not in RANGES:
                raise ValueError(f"no slider {name!r}; there are {list(RANGES)}")

    def _check(self, changes):
        """Return all settings with `changes`, or raise ValueError where the arithmetic forbids."""
        unknown = [name for name in changes if name not in SETTINGS]
        if unknown:
            raise ValueError(f"no setting {unknown[0]!r}; there are {list(SETTINGS)}")
        settings = {name: changes.get(name, getattr(self, name)) for name in SETTINGS}
        if settings["mode"] not in self.modes:
            raise ValueError(f"mode must be one of {list(self.modes)}, got {settings['mode']!r}")
        for name, (least, _) in RANGES.items():
            settings[name] = whole_number(words(name), settings[name], least)
            most = CHANNELS if name == "channels" else LARGEST
            if settings[name] > most:
                raise ValueError(f"{words(name)} must be at most {most}, got {settings[name]}")
        bias = _finite(settings["bias"], "bias")
        if bias.ndim:
            raise ValueError(f"bias must be one number, got shape {bias.shape}")
        settings["bias"] = float(bias)
        _output_size(settings)
        for name in ("height", "width"):
            padded = settings[name] + 2 * settings["pad"]
            if padded > LARGEST:
                raise ValueError(f"{name} + 2*pad must be at most {LARGEST}, got {padded}")
        if settings["mode"] in POOLING:  # refuses a pad that fills a window
            names = ("filter_height", "filter_width", "stride", "pad")
            Pooling(*(settings[name] for name in names))
        return settings


def _output_size(settings):
    """Return OH and OW; the ValueError of `conv_output_size` where no window fits."""
    moves = settings["stride"], settings["pad"]
    sizes = [(settings[size], settings[f"filter_{size}"]) for size in ("height", "width")]
    return tuple(conv_output_size(*size, *moves) for size in sizes)


def _finite(values, name):
    """Return a float array, or raise ValueError."""
    try:
        values = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be numbers, got {values!r}") from None
    if not np.isfinite(values).all():
        raise ValueError(f"{name} must be finite numbers, got {values[~np.isfinite(values)][0]}")
    return values


def _planes(values, name):
    """Return an array (C, rows, columns) of one to four channels, or raise ValueError."""
    values = _finite(values, name)
    values = values[np.newaxis] if values.ndim == 2 else values
    if values.ndim != 3 or 0 in values.shape:
        raise ValueError(f"{name} must be (H, W) or (C, H, W), not empty, got {values.shape}")
    if len(values) > CHANNELS or max(values.shape) > LARGEST:
        most = f"at most {CHANNELS} channels of {LARGEST} x {LARGEST}"
        raise ValueError(f"{name} has shape {values.shape}: {most}")
    return values


def _extended(values, shape, below):
    """Put `values` into the corner of a larger array of whole numbers from 0 to `below` - 1."""
    c, i, j = np.indices(shape)
    full = ((5 * c + 7 * i + 13 * j + 5 * i * j) % 17 % below).astype(float)
    full[tuple(slice(size) for size in values.shape)] = values
    return full


def _flat(planes):
    """Leave out the channel axis where there is one channel."""
    return planes[0] if len(planes) == 1 else planes


def _shape(planes, letters):
    letters = letters if len(planes) == 1 else letters.replace("(", "(C, ")
    return f"{letters} = {style.shape_text(_flat(planes).shape)}"


def _label(name, mode="convolution"):
    """Name a slider in words, with its letter: in pooling there is a window, and no filter."""
    text = f"{words(name)} {LETTERS.get(name, '')}".strip()
    return text.replace("filter", "window") if mode in POOLING else text


def _labelled(name):
    layout = {"width": "auto", "max_width": "420px"}
    return {"description": _label(name), "style": {"description_width": "10em"}, "layout": layout}


def _slider(name, value):
    low, high = RANGES[name]
    return ipywidgets.IntSlider(value, min=low, max=max(high, value), **_labelled(name))


def _look(explorer):
    """Give the browser the colours of the roles, and the room that the largest picture needs."""

    def highest(name):
        return getattr(explorer.controls.get(name), "max", getattr(explorer, name))

    C = highest("channels")
    rows = max(highest("height") + 2 * highest("pad"), highest("filter_height"))
    height = C * (min(42 * rows, {1: 280, 2: 200}.get(C, 150)) + 44)  # a channel with its title
    wide = {"im2col", "backward"} & set(explorer.modes)
    terms = highest("filter_height") * highest("filter_width")
    lines = max(2, -(-terms // 8))  # so many fill one, or 14 where they are short
    if C > 1:
        lines = C * -(-terms // 14) + 1
    formula = explorer._view.picture["formula"]
    moves = highest("stride") > 1 and set(SLIDERS) & set(explorer.controls)
    uneven = formula and (moves or any(axis["note"] for axis in formula))
    notes = 80 if uneven else 0  # what is said where the stride does not divide
    return {
        "line": style.ROLES,
        "text": style.TEXT_COLORS,
        "signs": [style.to_hex(style.DIVERGING(level)) for level in (0.2, 0.8)],
        "height": max(height, 440) if wide else height,
        "lines": min(7, lines),
        "below": 28 + notes + (44 if wide else 22),
    }
