"""What the Window Explorer shows, as plain data: numbers in, one picture out.

A `State` holds numbers and settings and knows everything that follows from them, by way of the
layers and functions of `cnnlib`. `picture` writes it as grids for the browser, `static_picture`
as a figure for where nothing runs.
"""

import re
from dataclasses import dataclass

import numpy as np

from cnnlib.figures import convolution, explorer, im2col, pooling, style
from cnnlib.figures.arithmetic import counted
from cnnlib.figures.grids import count_reads
from cnnlib.layers import Convolution, Pooling
from cnnlib.windows import (
    col2im,
    conv_output_size,
    explain_output_size,
    pad_images,
    sliding_windows,
)
from cnnlib.windows import im2col as to_matrix

MODES = ("convolution", "max pooling", "average pooling", "im2col", "backward")
POOLING = {"max pooling": "max", "average pooling": "average"}
WRITTEN = 4096  # a grid with more cells is sent without its numbers in writing


@dataclass(frozen=True)
class State:
    """Everything a picture depends on.

    Parameters
    ----------
    mode : str
        One of `MODES`.
    x : ndarray, shape (C, H, W)
        Input.
    W : ndarray, shape (C, FH, FW)
        One filter; pooling takes the size of its window from it.
    b : float
        Bias.
    dout : ndarray, shape (OH, OW)
        Gradient of the loss by the output, for the mode "backward".
    stride, pad : int
        Step S and padding P.
    """

    mode: str
    x: np.ndarray
    W: np.ndarray
    b: float
    dout: np.ndarray
    stride: int
    pad: int

    @property
    def settings(self):
        """FH, FW, stride and pad, as `im2col` and the others take them."""
        return *self.W.shape[1:], self.stride, self.pad

    @property
    def layer(self):
        """The layer that computes the output: a Pooling or a Convolution."""
        FH, FW, stride, pad = self.settings
        if self.mode in POOLING:
            return Pooling(FH, FW, stride, pad, POOLING[self.mode])
        return Convolution(self.W[np.newaxis], np.array([self.b]), stride, pad)

    @property
    def output(self):
        """Output maps, shape (1, OH, OW), or (C, OH, OW) in a pooling mode."""
        return self.layer.forward(self.x[np.newaxis], train_flg=False)[0]

    @property
    def sums(self):
        """What each channel alone contributes to a convolution, shape (C, OH, OW)."""
        alone = [
            Convolution(W[np.newaxis, np.newaxis], np.zeros(1), self.stride, self.pad).forward(
                x[np.newaxis, np.newaxis], train_flg=False
            )[0, 0]
            for x, W in zip(self.x, self.W, strict=True)
        ]
        return np.array(alone)

    @property
    def winners(self):
        """Where in its window each maximum stands, counted line by line, shape (C, OH, OW)."""
        FH, FW, stride, pad = self.settings
        padded = pad_images(self.x[np.newaxis], pad, -np.inf)
        windows = sliding_windows(padded, FH, FW, stride)[0]  # (C, FH, FW, OH, OW)
        C, _, _, OH, OW = windows.shape
        return windows.reshape(C, FH * FW, OH, OW).argmax(1)

    @property
    def col(self):
        """The windows as rows of a matrix, shape (OH*OW, C*FH*FW)."""
        return to_matrix(self.x[np.newaxis], *self.settings)

    @property
    def reads(self):
        """How often the matrix holds each input element, shape (H, W)."""
        one = (1, 1, *self.x.shape[1:])
        return col2im(to_matrix(np.ones(one), *self.settings), one, *self.settings)[0, 0]

    @property
    def dcol(self):
        """Gradient by the matrix: dout times the filter, shape (OH*OW, C*FH*FW)."""
        return self.dout.reshape(-1, 1) @ self.W.reshape(1, -1)

    @property
    def dx(self):
        """Gradient by the input, shape (C, H, W): the rows of dcol added where they came from."""
        return col2im(self.dcol, (1, *self.x.shape), *self.settings)[0]


def picture(state):
    """Write a state as what the browser draws.

    Parameters
    ----------
    state : State

    Returns
    -------
    dict
        ``grids`` by key, ``layout`` (a row of keys and signs, in which a list is a stack of
        rows), the letters as numbers, ``formula`` for rows and columns, ``summary``.

    Raises
    ------
    ValueError
        If the arithmetic forbids the settings.
    """
    C, H, W = state.x.shape
    _, FH, FW = state.W.shape
    OH = conv_output_size(H, FH, state.stride, state.pad)
    OW = conv_output_size(W, FW, state.stride, state.pad)
    draw = {"convolution": _convolution, "im2col": _matrix, "backward": _backward}
    grids, layout, summary, more = draw.get(state.mode, _pooling)(state, OH, OW)
    return {
        "mode": state.mode,
        "C": C,
        "FH": FH,
        "FW": FW,
        "OH": OH,
        "OW": OW,
        "S": state.stride,
        "P": state.pad,
        "grids": grids,
        "layout": layout,
        "formula": [_formula(state, "H"), _formula(state, "W")],
        "summary": summary,
        **more,
    }


def static_picture(state, step=0):
    """Draw a state as a figure, for where nothing runs.

    Parameters
    ----------
    state : State
    step : int
        The window in play.

    Returns
    -------
    Card
    """
    FH, FW, stride, pad = state.settings
    several = len(state.x) > 1
    if state.mode in POOLING:
        draw = explorer.pooled_channels if several else pooling.window_step
        x = state.x if several else state.x[0]
        return draw(x, FH, FW, stride, pad, POOLING[state.mode], step)
    if state.mode == "im2col":
        return im2col.layout(state.x, FH, FW, stride, pad, row=step)
    if state.mode == "backward":
        return explorer.backward_step(state.dout, state.W, state.x.shape, stride, pad, step)
    if several:
        return convolution.channels(state.x, state.W, step, stride, pad, state.b)
    return convolution.window_step(state.x[0], state.W[0], state.b, stride, pad, step)


def _convolution(state, OH, OW):
    C = len(state.x)
    grids = _inputs(state) | _filters(state)
    grids["b"] = _grid([[state.b]], "bias b", "bias", "", edit=True)
    grids["out"] = _grid(state.output[0], "output", "output", "(OH, OW)")
    more = {}
    lines = [[f"x{c}", "⊛", f"W{c}"] for c in range(C)]
    if C > 1:  # the sum of each channel stands in its line; the browser writes that of the window
        decimals = style.decimals_needed(state.sums)
        more["sums"] = [_texts(plane, decimals) for plane in state.sums]
        for c, line in enumerate(lines):
            grids[f"s{c}"] = _grid([[0]], f"sum[{c}]", "output", "")
            grids[f"s{c}"]["text"] = [max(more["sums"][c], key=len)]  # as much room as any needs
            line += ["=", f"s{c}"]
    layout = [lines, "}", "+", "b", "=", "out"] if C > 1 else [*lines[0], "+", "b", "=", "out"]
    return grids, layout, [f"output (OH, OW) = ({OH}, {OW})"], more


def _pooling(state, OH, OW):
    C = len(state.x)
    grids, out = _inputs(state, "−∞" if state.mode == "max pooling" else "0"), state.output
    for c in range(C):
        grids[f"out{c}"] = _grid(out[c], _named("output", c, C), "output", "(OH, OW)")
    more = {"count": str(state.W[0].size)}
    if state.mode == "max pooling":
        more["winners"] = state.winners.reshape(C, -1).tolist()
    shape = f"(C, OH, OW) = ({C}, {OH}, {OW})" if C > 1 else f"(OH, OW) = ({OH}, {OW})"
    return grids, [[[f"x{c}", "→", f"out{c}"] for c in range(C)]], [f"output {shape}"], more


def _matrix(state, OH, OW):
    C, col = len(state.x), state.col
    grids = _inputs(state)
    grids["reads"] = _grid(state.reads, "times in col", "padding", "(H, W)")
    grids["col"] = _grid(col, "col", "input", "(N·OH·OW, C·FH·FW)", matrix=True)
    stack = [*([f"x{c}"] for c in range(C)), ["reads"]]
    ratio = style.ratio_text(col.size / state.x.size)
    summary = [
        f"output (OH, OW) = ({OH}, {OW}): a row of col for each place, a column for each filter "
        "element",
        f"{counted(state.x.size, 'number')} in x, {col.size} in col: {ratio} times as many",
    ]
    return grids, [stack, "→", "col"], summary, {}


def _backward(state, OH, OW):
    C, dcol = len(state.x), state.dcol
    grids = {"dout": _grid(state.dout, "dout", "gradient", "(OH, OW)", edit=True)}
    grids |= _filters(state)
    grids["dcol"] = _grid(dcol, "dcol", "gradient", "(N·OH·OW, C·FH·FW)", matrix=True)
    for c, plane in enumerate(state.dx):
        grids[f"dx{c}"] = _grid(
            plane,
            _named("dx", c, C),
            "gradient",
            "(H, W)",
            pad=state.pad,
            ring="",
            hatched=_unread(state),
        )
    filters, gradients = ([[f"{name}{c}"] for c in range(C)] for name in ("W", "dx"))
    summary = [
        f"output and dout (OH, OW) = ({OH}, {OW}); dcol = dout · W, laid out as im2col lays out x",
        f"col2im adds {counted(dcol.size, 'number')} of dcol into the {state.x.size} of dx"
        + ("; what falls into the padding is dropped" if state.pad else ""),
    ]
    return grids, ["dout", "×", filters, "→", "dcol", "→", gradients], summary, {}


def _inputs(state, ring="0"):
    """Make the grids of the input channels, with their padding."""
    C = len(state.x)
    return {
        f"x{c}": _grid(
            plane,
            _named("input x", c, C),
            "input",
            "(H, W)",
            pad=state.pad,
            ring=ring,
            hatched=_unread(state),
            edit=True,
        )
        for c, plane in enumerate(state.x)
    }


def _filters(state):
    C = len(state.W)
    return {
        f"W{c}": _grid(plane, _named("filter W", c, C), "filter", "(FH, FW)", edit=True)
        for c, plane in enumerate(state.W)
    }


def _unread(state):
    """List the cells that no window reads, as [row, column] counted from the ring's corner."""
    FH, FW, stride, pad = state.settings
    return np.argwhere(count_reads(state.x.shape[1:], (FH, FW), stride, pad) == 0).tolist()


def _grid(values, name, role, letters, *, pad=0, ring="0", hatched=(), edit=False, matrix=False):
    """Describe one grid for the browser; ``shade`` colours cells too small for numbers."""
    values = np.asarray(values, dtype=float)
    rows, columns = values.shape
    subtitle = f"{letters} = ({rows}, {columns})" if letters else ""
    if pad:
        subtitle = f"(H + 2P, W + 2P) = ({rows + 2 * pad}, {columns + 2 * pad})"
    low, high = values.min(), values.max()
    span = max(-low, high) if low < 0 else high
    return {
        "name": name,
        "subtitle": subtitle,
        "role": role,
        "rows": rows,
        "columns": columns,
        "pad": pad,
        "ring": ring,
        "text": _texts(values, style.decimals_needed(values)) if values.size <= WRITTEN else None,
        "shade": np.round(values * (100 / (span or 1))).astype(np.int8).tobytes(),
        "signed": bool(low < 0),
        "hatched": list(hatched),
        "edit": edit,
        "matrix": matrix,
    }


def _texts(values, decimals):
    """Write all numbers, line by line; each different one is written once."""
    different, places = np.unique(values, return_inverse=True)
    texts = [style.format_number(value, decimals) for value in different]
    return [texts[place] for place in places.ravel()]


def _named(name, c, C):
    return f"{name}[{c}]" if C > 1 else name


def _formula(state, letter):
    """Write (7.1) for one axis; where the stride does not divide, say so and offer neighbours."""
    axis = "HW".index(letter)
    FH, FW, stride, pad = state.settings
    lines = ("rows", "columns")[axis]
    explained = explain_output_size(
        state.x.shape[1 + axis], (FH, FW)[axis], stride, pad, lines=lines
    )
    numbers, _, rest = explained.partition(": ")
    note, _, neighbours = rest.partition(" Nearest settings that divide: ")
    formula = f"O{letter} = ({letter} + 2·P − F{letter}) / S + 1"
    numbers = numbers.replace("*", "·").replace("-", "−")
    offers = []
    for name, value in re.findall(r"(pad|stride|filter|size) (\d+)", neighbours):
        names = {"size": ("height", "width"), "filter": ("filter_height", "filter_width")}
        setting = names[name][axis] if name in names else name
        blind = state.mode in POOLING and (
            (name == "pad" and int(value) >= min(FH, FW))
            or (name == "filter" and int(value) <= pad)
        )
        if not blind:  # a window would see nothing but padding, and the layer refuses
            offers.append({"setting": setting, "label": words(setting), "value": int(value)})
    return {"letters": formula, "numbers": numbers, "note": sentence(note), "offers": offers}


def words(name):
    """Write a setting's name in words."""
    return name.replace("_", " ")


def sentence(text):
    """Begin with a capital letter."""
    return text[:1].upper() + text[1:]
