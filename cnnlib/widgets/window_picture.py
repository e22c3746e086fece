"""What the Window Explorer shows, as plain data: numbers in, one picture out.

A `State` holds numbers and settings and knows everything that follows from them, by way of the
layers and functions of `cnnlib`. `picture` writes it as grids, for the browser and for
`cnnlib.figures.explorer`, which draws them where nothing runs.
"""

import re
from dataclasses import dataclass

import numpy as np

from cnnlib.figures import style
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
    """Everything a picture depends on."""

    mode: str  # one of `MODES`
    x: np.ndarray  # input, shape (C, H, W)
    W: np.ndarray  # one filter, shape (C, FH, FW); pooling takes the size of its window from it
    b: float
    dout: np.ndarray  # gradient of the loss by the output, shape (OH, OW), for "backward"
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
        return np.einsum("cijpq,cij->cpq", self.windows(0), self.W)

    def windows(self, ring):
        """All windows of the input in a ring of numbers, shape (C, FH, FW, OH, OW)."""
        padded = pad_images(self.x[np.newaxis], self.pad, ring)
        return sliding_windows(padded, *self.W.shape[1:], self.stride)[0]

    @property
    def winners(self):
        """Where in its window each maximum stands, counted line by line, shape (C, OH, OW)."""
        C, FH, FW, OH, OW = self.windows(-np.inf).shape
        return self.windows(-np.inf).reshape(C, FH * FW, OH, OW).argmax(1)

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


def picture(state, bias=True, formula=True):
    """Write a state as a dict of what the browser draws; ValueError if arithmetic forbids it.

    That is ``grids`` by key, ``layout`` (a row of keys and signs, in which a list is a stack of
    rows), the letters as numbers, ``formula`` for rows and columns, and ``summary``. `bias` and
    `formula` say whether a bias of 0, and formula (7.1), are shown.
    """
    C, H, W = state.x.shape
    _, FH, FW = state.W.shape
    OH = conv_output_size(H, FH, state.stride, state.pad)
    OW = conv_output_size(W, FW, state.stride, state.pad)
    draw = {"convolution": _convolution, "im2col": _matrix, "backward": _backward}
    grids, layout, summary, more = draw.get(state.mode, _pooling)(state, OH, OW)
    if not bias and "b" in grids and state.b == 0:
        del grids["b"]
        layout = [item for item in layout if item not in ("+", "b")]
    shown = {"mode": state.mode, "grids": grids, "layout": layout, "summary": summary}
    letters = {"C": C, "FH": FH, "FW": FW, "OH": OH, "OW": OW, "S": state.stride, "P": state.pad}
    axes = [_formula(state, letter) for letter in "HW"] if formula else []
    return shown | letters | {"formula": axes} | more


def _convolution(state, OH, OW):
    C = len(state.x)
    grids = _inputs(state) | _filters(state)
    grids["b"] = _grid([[state.b]], "bias b", "bias", "", edit=True)
    grids["out"] = _grid(state.output[0], "output", "output", "(OH, OW)", filled=True)
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
        grids[f"out{c}"] = _grid(out[c], _named("output", c, C), "output", "(OH, OW)", filled=True)
    more = {"count": str(state.W[0].size)}
    if state.mode == "max pooling":
        more["winners"] = state.winners.reshape(C, -1).tolist()
    shape = f"(C, OH, OW) = ({C}, {OH}, {OW})" if C > 1 else f"(OH, OW) = ({OH}, {OW})"
    return grids, [[[f"x{c}", "→", f"out{c}"] for c in range(C)]], [f"output {shape}"], more


def _matrix(state, OH, OW):
    C, col = len(state.x), state.col
    grids = _inputs(state)
    grids["reads"] = _grid(state.reads, "times in col", "padding", "(H, W)")
    grids["col"] = _grid(col, "col", "input", "(N·OH·OW, C·FH·FW)", matrix=True, filled=True)
    stack = [*([f"x{c}"] for c in range(C)), ["reads"]]
    ratio = style.ratio_text(col.size / state.x.size)
    times = "as many" if col.size == state.x.size else f"{ratio} times as many"
    summary = [
        f"output (OH, OW) = ({OH}, {OW}): a row of col for each place, a column for each filter "
        "element",
        f"{counted(state.x.size, 'number')} in x, {col.size} in col: {times}",
    ]
    return grids, [stack, "→", "col"], summary, {}


def _backward(state, OH, OW):
    C, dcol = len(state.x), state.dcol
    grids = {"dout": _grid(state.dout, "dout", "gradient", "(OH, OW)", edit=True)}
    grids |= _filters(state)
    grids["dcol"] = _grid(dcol, "dcol", "gradient", "(N·OH·OW, C·FH·FW)", matrix=True)
    grids |= _padded(state, state.dx, "dx", "dx", "gradient", ring="")
    filters, gradients = ([[f"{name}{c}"] for c in range(C)] for name in ("W", "dx"))
    summary = [
        f"output and dout (OH, OW) = ({OH}, {OW}); dcol = dout · W, laid out as im2col lays out x",
        f"col2im adds {counted(dcol.size, 'number')} of dcol into the {state.x.size} of dx"
        + ("; what falls into the padding is dropped" if state.pad else ""),
    ]
    return grids, ["dout", "×", filters, "→", "dcol", "→", gradients], summary, {}


def _inputs(state, ring="0"):
    return _padded(state, state.x, "x", "input x", "input", ring=ring, edit=True)


def _padded(state, planes, key, name, role, **more):
    """Make the grids of all channels, with their padding and what no window reads."""
    more |= {"pad": state.pad, "hatched": _unread(state)}
    named = [_named(name, c, len(planes)) for c in range(len(planes))]
    return {
        f"{key}{c}": _grid(plane, named[c], role, "(H, W)", **more)
        for c, plane in enumerate(planes)
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


def _grid(
    values,
    name,
    role,
    letters,
    *,
    pad=0,
    ring="0",
    hatched=(),
    edit=False,
    matrix=False,
    filled=False,
):
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
        "filled": filled,  # as the window passes
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
