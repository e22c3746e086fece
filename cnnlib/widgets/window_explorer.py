"""The Window Explorer: a window slides over a grid of numbers, and everything answers at once.

`cnnlib.widgets.window_picture` turns numbers and settings into one *picture*, which the browser
(``window_explorer.js``) draws. `WindowExplorer` stands between them: sliders, traits for Python,
and one message to the browser for each change.
"""

import functools

import anywidget
import ipywidgets
import numpy as np
from traitlets import Bool, Dict, Int, TraitType, Unicode, dlink, observe, validate

from cnnlib.figures import style
from cnnlib.figures.explorer import draw
from cnnlib.layers import Pooling
from cnnlib.widgets.explore import control, in_columns
from cnnlib.widgets.static import Still, script, style_sheet
from cnnlib.widgets.window_picture import ELEMENT, MODES, POOLING, State, picture, sentence, words
from cnnlib.windows import conv_output_size, whole_number

SIZES = {  # of the axes of x and W
    "x": ("channels", "height", "width"),
    "W": ("filters", "channels", "filter_height", "filter_width"),
}
SLIDERS = ("height", "width", "filter_height", "filter_width", "stride", "pad")
# Name -> lowest value and highest value of its slider; a start value may lie above.
ENDS = ((1, 12), (1, 12), (1, 5), (1, 5), (1, 4), (0, 3), (1, 3), (1, 3))
RANGES = dict(zip((*SLIDERS, "channels", "filters"), ENDS, strict=True))
SETTINGS = ("mode", *RANGES, "bias")
# At most so many; of rows and columns so many with padding, and any larger stride reads the same.
MOST = {"filters": 3, "channels": 4} | dict.fromkeys(SLIDERS, 64)
ROOM = {name: tuple(MOST[size] for size in SIZES[name]) for name in SIZES}

# Figures 7-4 and 7-5 of the book.
BOOK_INPUT = ((1, 2, 3, 0), (0, 1, 2, 3), (3, 0, 1, 2), (2, 3, 0, 1))
BOOK_FILTER = ((2, 0, 1), (0, 1, 2), (1, 0, 2))


def _told_here(method):
    """Let a ValueError end at the line that called: what lies below says nothing about it."""

    @functools.wraps(method)
    def call(*args, **kwargs):
        try:
            return method(*args, **kwargs)
        except ValueError as error:
            raise error.with_traceback(None) from None

    return call


class _View(anywidget.AnyWidget):
    """What the browser shows: one picture, the step now in play, and perhaps a sentence."""

    _esm = script("window_explorer.js")
    _css = style_sheet("window_explorer.css")
    picture = Dict().tag(sync=True)
    message = Unicode().tag(sync=True)
    stale = Bool().tag(sync=True)  # the picture is older than the sliders
    step = Int().tag(sync=True)
    reveal = Bool().tag(sync=True)
    look = Dict().tag(sync=True)  # colours by role; room in pixels and in lines of text


class WindowExplorer(Still, ipywidgets.VBox):
    """Sliders around one view in which a window slides: see it, break it, edit its numbers.

    Parameters
    ----------
    x : array_like, shape (H, W) or (C, H, W), optional
        Input, of at most 4 channels; the book's figure 7-4 where left out.
    W : array_like, shape (FH, FW), (C, FH, FW) or (FN, C, FH, FW), optional
        One filter, or up to 3; in pooling modes only the size counts.
    b, stride, pad : float or array_like of shape (FN,), int, int
        Bias of all filters, or of each; step S and padding P.
    mode, modes : str and list of str, optional
        "convolution", "max pooling", "average pooling", "im2col" (windows become rows), "im2col by
        element" (elements become columns), "product" (col times col_W) or "backward" (of one
        filter, for `dout` of shape (OH, OW)); `modes` are those offered in a menu.
    step : int, default 0
        What is in play: the window, counted row by row, filter by filter, or else the element.
    sliders : list of str
        Which of "height", "width", "filter_height", "filter_width", "stride", "pad" (the default
        so far), "channels" and "filters" are shown.
    bias, formula, copies, reveal : bool, default True, True, False, False
        Whether biases of 0, formula (7.1), and how often im2col copies each number are shown;
        whether outputs stay blank until the window has passed, or the reader shows them all.

    All settings (mode, height, ..., bias, step) can be read and set; what grows gets small whole
    numbers, always the same. So can `input`, `filter` and `gradient`; `controls` are the sliders.
    An impossible setting is a ValueError, and the last state stays; a slider shows the sentence.
    """

    # Of no type of traitlets: an `Any` would take None without asking `_possible`.
    mode, height, width, filter_height, filter_width = (TraitType(None) for _ in range(5))
    stride, pad, channels, filters, bias = (TraitType(None) for _ in range(5))
    step = TraitType(0)

    @_told_here
    def __init__(
        self, x=None, W=None, b=0.0, stride=1, pad=0, mode=None, *, modes=None, dout=None, step=0,
        sliders=SLIDERS, bias=True, formula=True, reveal=False, copies=False,
    ):  # fmt: skip
        super().__init__()
        self._waiting = True  # while several values are being set
        x = _numbers("x", BOOK_INPUT if x is None else x)
        if W is None:
            W = _extended(np.reshape(BOOK_FILTER, (1, 1, 3, 3)), (1, len(x), 3, 3), 3)
        W = _numbers("W", W)
        if len(x) != W.shape[1]:
            raise ValueError(f"x has {len(x)} channels and the filter has {W.shape[1]}")
        self.modes = tuple(modes or [mode or MODES[0]])
        for names, known, what in ((self.modes, MODES, "mode"), (sliders, RANGES, "slider")):
            for name in set(names) - set(known):
                raise ValueError(f"{what} must be one of {list(known)}, got {name!r}")
        self._numbers = {"x": _extended(x, ROOM["x"], 4), "W": _extended(W, ROOM["W"], 3)}
        self._numbers["dout"] = (1 + np.add.outer(2 * np.arange(64), np.arange(64))) % 5.0
        self._view = _View(reveal=reveal)
        dlink((self, "step"), (self._view, "step"))
        self._shown, self._copies = {"bias": bias, "formula": formula, "copies": copies}, copies
        start = {"mode": mode or self.modes[0], "stride": stride, "pad": pad, "bias": b}
        sizes = dict(zip(SIZES["x"] + SIZES["W"], x.shape + W.shape, strict=True))
        self._start = start = self._check(start | sizes)
        for name, value in start.items():
            setattr(self, name, value)
        names = (*["mode"] * (len(self.modes) > 1), *sliders)
        ranges = {name: (low, max(high, start[name])) for name, (low, high) in RANGES.items()}
        ranges["mode"] = list(self.modes)
        self.controls = {name: control(name, ranges[name], start[name]) for name in names}
        self._waiting = False
        if dout is not None:
            self.gradient = dout
        self.step, self._ranges = step, self._state().ranges  # of the indices of a step
        self._redraw()
        self._start_numbers = {name: values.copy() for name, values in self._numbers.items()}
        self._view.look = _look(self)
        for slider in self.controls.values():
            slider.observe(self._moved, "value")
        self._view.observe(self._stepped, "step")
        self._view.on_msg(self._answer)
        self.children = [in_columns(self.controls), self._view]

    input = property(
        lambda self: _flat(self._present("x")),
        lambda self, values: self._replace("x", values),
        doc="Input, shape (H, W), or (C, H, W) where there are several channels.",
    )
    filter = property(
        lambda self: _flat(self._present("W")),
        lambda self, values: self._replace("W", values),
        doc="Filter, shape (FH, FW) or (C, FH, FW), or several, (FN, C, FH, FW).",
    )

    @property
    def gradient(self):
        """Gradient of the loss by the output, shape (OH, OW); used by the mode "backward"."""
        return self._state().dout

    @gradient.setter
    def gradient(self, values):
        values, (OH, OW) = _finite(values, "dout"), self._state().dout.shape
        if values.shape != (OH, OW):
            raise ValueError(f"dout must have the output's shape {OH, OW}, got {values.shape}")
        self._numbers["dout"][:OH, :OW] = values
        self._redraw()

    output = property(lambda self: _flat(self._state().out), doc="Output, (OH, OW), or several.")
    dx = property(lambda self: _flat(self._state().dx), doc="Gradient by the input.")
    message = property(lambda self: self._view.message, doc="Why there is no picture, if so.")
    figure = property(lambda self: draw(self._view.picture, self.step), doc="The static `Card`.")
    values = property(lambda self: {name: c.value for name, c in self.controls.items()})

    @_told_here
    def set(self, **settings):
        """Set several settings at once; ValueError, and none set, if they do not go together."""
        checked = self._check(settings)
        self._waiting = True
        for name in settings:
            setattr(self, name, checked[name])
        self._waiting = False
        self._redraw()
        return self

    def __repr__(self):
        state, pools = self._state(), self.mode in POOLING
        text = f"WindowExplorer, {self.mode}: input {_shape(state.x, 'C, H, W')}, "
        text += f"{'window' if pools else 'filter'} {_shape(state.W, 'FN, C, FH, FW')}, "
        text += f"stride {self.stride}, pad {self.pad}"
        text += "" if pools else ", bias " + ", ".join(f"{b:g}" for b in state.b.flat)
        name = {"im2col": "col", ELEMENT: "col", "backward": "dx"}.get(self.mode, "out")
        result = _flat(getattr(state, name))
        lines = [text, f"{'output' if name == 'out' else name} of shape {result.shape}"]
        if result.size <= 200:
            lines += [np.array2string(result, precision=2, suppress_small=True, max_line_width=100)]
        return "\n".join(lines + ([self.message] if self.message else []))

    @validate(*SETTINGS)
    def _possible(self, proposal):
        name = proposal.trait.name
        return proposal.value if self._waiting else self._check({name: proposal.value})[name]

    @validate("step")
    def _step_possible(self, proposal):
        step, count = whole_number("step", proposal.value, least=0), self._state().count
        if step >= count:
            raise ValueError(f"step {step}: there are {count} of them, steps 0 to {count - 1}")
        return step

    @observe(*SETTINGS)
    def _redraw(self, change=None):
        """Send one picture of the present state to the browser, and move the sliders there."""
        if self._waiting:
            return
        state, self._waiting = self._state(), True
        old, new = ("filter ", "window ") if self.mode in POOLING else ("window ", "filter ")
        for name, slider in self.controls.items():
            slider.description = slider.description.replace(old, new)
            if name != "mode":
                slider.max = max(slider.max, getattr(self, name))
            slider.value = getattr(self, name)
        self._waiting = False
        with self._view.hold_sync():
            self._view.picture = picture(state, **self._shown)
            self._say("")
            place, self._ranges = np.unravel_index(self.step, self._ranges), state.ranges
            self.step = int(np.ravel_multi_index(place, state.ranges, mode="clip"))

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
        self.step, self._shown["copies"] = 0, self._copies
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
            elif "copies" in content:
                self._shown["copies"] = bool(content["copies"])
                self._redraw()
            elif "setting" in content:
                self.set(**{content["setting"]: content["value"]})
            else:
                self._edit(**content)
        except ValueError as error:
            self._say(error)

    def _edit(self, grid, row, column, value):
        """Set one number, given as text."""
        number, sent = typed_number(value), self._view.picture["grids"][grid]
        f, c = (sent["fixed"].get(index, 0) for index in "fc")
        if sent["tensor"] == "b":
            biases = self._state().b.ravel()
            biases[f] = number
            self.bias = number if len(biases) == 1 else biases
        else:
            index = {"x": (c,), "W": (f, c)}.get(sent["tensor"], ())
            self._numbers[sent["tensor"]][*index, row, column] = number
            self._redraw()

    def _replace(self, name, values):
        """Set the numbers of x or W, and the sizes and channels that come with them."""
        values = _numbers(name, values)
        sizes = dict(zip(SIZES[name], values.shape, strict=True))
        self._check(sizes)
        self._numbers[name] = _extended(values, ROOM[name], 4)
        self.set(**sizes)

    def _present(self, name):
        """Return a copy of the numbers of x or W that are in use."""
        return self._numbers[name][tuple(slice(getattr(self, size)) for size in SIZES[name])].copy()

    def _state(self):
        filters = self.filters if self.mode in ("convolution", "product") else 1
        W, b = self._present("W")[:filters], np.resize(self.bias, (filters, 1, 1))
        gradients = self._numbers["dout"].copy()
        return State(self.mode, self._present("x"), W, b, gradients, self.stride, self.pad)

    def _check(self, changes):
        """Return all settings with `changes`, or raise ValueError where the arithmetic forbids."""
        for name in set(changes) - set(SETTINGS):
            raise ValueError(f"no setting {name!r}; there are {list(SETTINGS)}")
        settings = {name: changes.get(name, getattr(self, name)) for name in SETTINGS}
        mode, bias = settings["mode"], _finite(settings["bias"], "bias")
        if mode not in self.modes:
            raise ValueError(f"mode must be one of {list(self.modes)}, got {mode!r}")
        for name, (least, _) in RANGES.items():
            value = settings[name] = whole_number(words(name), settings[name], least)
            if value > MOST[name]:
                raise ValueError(f"{words(name)} must be at most {MOST[name]}, got {value}")
        if bias.ndim > 1 or not 1 <= bias.size <= MOST["filters"]:
            raise ValueError(f"bias must be one number, or (FN,), got shape {bias.shape}")
        settings["bias"] = tuple(bias.tolist()) if bias.ndim else float(bias)
        pad = settings["pad"]
        for name in ("height", "width"):
            sizes = settings[name], settings[f"filter_{name}"]
            conv_output_size(*sizes, settings["stride"], pad)  # refuses where no window fits
            if sizes[0] + 2 * pad > MOST[name]:
                most = f"{name} + 2*pad must be at most {MOST[name]}"
                raise ValueError(f"{most}, got {sizes[0] + 2 * pad}")
        if mode in POOLING:  # refuses a pad that fills a window
            Pooling(*(settings[name] for name in SLIDERS[2:]))
        if mode == "backward" and settings["filters"] > 1:
            raise ValueError(f"backward is shown for one filter, got FN = {settings['filters']}")
        return settings


def typed_number(text):
    """Read a number as it was typed, "1,5" too, or raise ValueError."""
    try:
        number = float(text.replace("−", "-").replace(",", "."))
    except ValueError:
        number = np.nan
    if not np.isfinite(number):
        raise ValueError(f"{text!r} is not a number; the old one stays")
    return number


def _finite(values, name):
    """Return a float array, or raise ValueError."""
    try:
        values = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be numbers, got {values!r}") from None
    if not np.isfinite(values).all():
        raise ValueError(f"{name} must be finite numbers, got {values[~np.isfinite(values)][0]}")
    return values


def _numbers(name, values):
    """Return x as (C, H, W), or W as (FN, C, FH, FW), or raise ValueError."""
    values, most = _finite(values, name), ROOM[name]
    if not 2 <= values.ndim <= len(most) or 0 in values.shape:
        least = "(H, W) or (C, H, W)" if name == "x" else "(FH, FW), (C, FH, FW) or (FN, C, FH, FW)"
        raise ValueError(f"{name} must be {least}, not empty, got {values.shape}")
    values = values[(np.newaxis,) * (len(most) - values.ndim)]
    if np.any(np.array(values.shape) > most):
        raise ValueError(f"{name} has shape {values.shape}, at most {most} is possible")
    return values


def _extended(values, shape, below):
    """Put `values` into the corner of a larger array of whole numbers from 0 to `below` - 1."""
    *f, c, i, j = np.indices(shape)
    full = ((5 * c + 7 * i + 13 * j + 5 * i * j + 3 * sum(f)) % 17 % below).astype(float)
    full[tuple(slice(size) for size in values.shape)] = values
    return full


def _flat(planes):
    """Leave out the leading axes of length 1: there is one filter, or one channel."""
    while planes.ndim > 2 and len(planes) == 1:
        planes = planes[0]
    return planes


def _shape(planes, letters):
    shape = _flat(planes).shape
    return f"({', '.join(letters.split(', ')[-len(shape) :])}) = {style.shape_text(shape)}"


def _look(explorer):
    """Give the browser the colours of the roles, and room that the sliders do not outgrow."""
    highest = {name: getattr(explorer, name) for name in RANGES}
    highest |= {name: slider.max for name, slider in explorer.controls.items() if name != "mode"}
    C, FN, FH = explorer.channels, explorer.filters, highest["filter_height"]
    rows = highest["height"] + 2 * highest["pad"]
    views = {view for view in explorer.modes if view not in ("convolution", *POOLING)}
    height = min(440, C * (min(42 * rows, 280 if C == 1 else 150) + 44))
    if "convolution" in explorer.modes and C * FN > 1:  # a line of channels, and one of each filter
        OH = (rows - explorer.filter_height) // explorer.stride + 1
        height = 56 + min(17 * rows, 200) + FN * (17 * max(FH, min(OH, 7)) + 33)
    formula = explorer._view.picture["formula"]
    moves = highest["stride"] > 1 and set(SLIDERS) & set(explorer.controls)
    uneven = formula and (moves or any(axis["note"] for axis in formula))
    signed = [style.to_hex(style.DIVERGING(level)) for level in (0.2, 0.8)]
    return {
        "colours": {role: [color] for role, color in style.ROLES.items()} | {"signed": signed},
        "height": max(height, 470 if "product" in views else 300 * bool(views)),
        "lines": min(7, max(C * -(-FH * highest["filter_width"] // 14) + 1, 3 * bool(views))),
        "below": 28 + 22 * bool(formula) + 22 * bool(views) + 80 * bool(uneven),  # 80: the offers
        "rest": 204 + 36 * -(-len(explorer.controls) // 2),  # of a window, so that all is seen
    }
