"""What the Window Explorer shows, as plain data: numbers in, one picture out.

A `State` holds numbers and settings and knows everything that follows from them, by way of the
layers and functions of `cnnlib`. `picture` writes it as grids, for the browser and for
`cnnlib.figures.explorer`, which draws them where nothing runs.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cnnlib import windows
from cnnlib.figures import style
from cnnlib.figures.grids import count_reads, counted, times_as
from cnnlib.figures.im2col import element_slice
from cnnlib.layers import Convolution, Pooling

POOLING = {"max pooling": "max", "average pooling": "average"}
ELEMENT = "im2col by element"
VIEWS = {  # the tensors of each mode; the last is what the steps lead to
    "convolution": ("x", "W", "b", "out"),
    "max pooling": ("x", "out"),
    "average pooling": ("x", "out"),
    "im2col": ("x", "reads", "col"),
    ELEMENT: ("x", "reads", "element", "col"),
    "product": ("x", "W", "col", "col_W", "product"),
    "backward": ("W", "dout", "dcol", "dx"),
}
MODES = tuple(VIEWS)
# Title, role and shape in letters; the indices of the grids, of their rows and of their columns.
TENSORS = {
    "x": ("input x", "input", "(H, W)", "c", "pi", "qj"),
    "W": ("filter W", "filter", "(FH, FW)", "fc", "i", "j"),
    "b": ("bias b", "bias", "", "f", "", ""),
    "out": ("output", "output", "(OH, OW)", "f", "p", "q"),
    "reads": ("times in col", "padding", "(H, W)", "", "pi", "qj"),
    "element": ("filter: column in col", "filter", "(FH, FW)", "", "i", "j"),
    "col": ("col", "input", "(N·OH·OW, C·FH·FW)", "", "pq", "cij"),
    "col_W": ("col_W", "filter", "(C·FH·FW, FN)", "", "cij", "f"),
    "product": ("col · col_W", "output", "(N·OH·OW, FN)", "", "pq", "f"),
    "dout": ("dout", "gradient", "(OH, OW)", "", "p", "q"),
    "dcol": ("dcol", "gradient", "(N·OH·OW, C·FH·FW)", "", "pq", "cij"),
    "dx": ("dx", "gradient", "(H, W)", "c", "pi", "qj"),
}
WRITTEN = 4096  # a grid with more cells is sent without its numbers in writing
BLANK = " "  # in a table, a place with nothing in it


@dataclass(frozen=True)
class State:
    """Everything a picture depends on; the properties are tensors, most of them in `TENSORS`."""

    mode: str  # one of `MODES`
    x: np.ndarray  # input, shape (C, H, W)
    W: np.ndarray  # filters, shape (FN, C, FH, FW); pooling takes the size of its window from it
    b: np.ndarray  # biases, shape (FN, 1, 1)
    gradients: np.ndarray  # of which `dout` is the corner
    stride: int
    pad: int

    # FH, FW, stride and pad, as `im2col` and the others take them.
    settings = property(lambda self: (*self.W.shape[2:], self.stride, self.pad))
    # The filters as columns, (C*FH*FW, FN), and the convolution before a bias is added.
    col_W = property(lambda self: self.W.reshape(len(self.W), -1).T)
    product = property(lambda self: self.col @ self.col_W)  # (OH*OW, FN)
    # The column of col that each filter element of the first channel becomes: (FH, FW).
    element = property(lambda self: np.arange(self.W[0, 0].size).reshape(self.W.shape[2:]))
    # Gradients by the output (OH, OW), by the matrix (OH*OW, C*FH*FW) and by the input (C, H, W).
    dout = property(lambda self: self.gradients[: self.sizes["p"], : self.sizes["q"]])
    dcol = property(lambda self: self.dout.reshape(-1, 1) @ self.W[:1].reshape(1, -1))
    dx = property(lambda self: windows.col2im(self.dcol, (1, *self.x.shape), *self.settings)[0])
    # How often the matrix holds each input element: (H, W).
    reads = property(lambda self: self.padded_reads[2 * (slice(self.pad, -self.pad or None),)])
    # Indices that the steps count, the last one first; their sizes, filters first; number of steps.
    steps = property(lambda self: "ij" if self.mode == ELEMENT else "fpq"[len(self.W) == 1 :])
    ranges = property(lambda self: (1, *(self.sizes[index] for index in self.steps))[-3:])
    count = property(lambda self: int(np.prod(self.ranges)))

    def windows(self, ring):
        """All windows of the input in a ring of numbers, shape (C, FH, FW, OH, OW)."""
        padded = windows.pad_images(self.x[np.newaxis], self.pad, ring)
        return windows.sliding_windows(padded, *self.W.shape[2:], self.stride)[0]

    @cached_property
    def sizes(self):
        """Sizes by index: FN, C, FH, FW, OH, OW."""
        return dict(zip("fcijpq", (*self.W.shape, *self.windows(0).shape[-2:]), strict=True))

    @cached_property
    def padded_reads(self):
        """How many windows read each cell of the padded input, shape (H + 2*P, W + 2*P)."""
        return count_reads(self.x.shape[1:], self.W.shape[2:], self.stride, self.pad)

    @cached_property
    def out(self):
        """Output maps, shape (FN, OH, OW), or (C, OH, OW) in a pooling mode."""
        if self.mode in POOLING:
            layer = Pooling(*self.settings, POOLING[self.mode])
        else:
            layer = Convolution(self.W, self.b.ravel(), self.stride, self.pad)
        return layer.forward(self.x[np.newaxis], train_flg=False)[0]

    @cached_property
    def col(self):
        """The windows as rows of a matrix, shape (OH*OW, C*FH*FW)."""
        return windows.im2col(self.x[np.newaxis], *self.settings)

    @property
    def winners(self):
        """Where in its window each maximum stands, counted line by line, shape (C, OH*OW)."""
        return self.windows(-np.inf).reshape(len(self.x), self.W[0, 0].size, -1).argmax(1)


def picture(state, bias=True, formula=True, copies=False):
    """Write a state as a dict of what the browser draws; ValueError if arithmetic forbids it.

    That is ``grids`` by key, ``layout`` (a row of keys and signs, in which a list is a table),
    ``sizes`` of the indices f, c, i, j, p, q, the indices that ``steps`` count, ``formula`` for
    rows and columns, and ``summary``. Each grid says which indices make up its rows and columns,
    such as {"p": S, "i": 1} for S*p + i: by them the browser finds what belongs together.
    """
    view, C = VIEWS[state.mode], len(state.x)
    hidden = {"reads": not copies, "b": not bias and not state.b.any()}
    grids = {}
    for tensor in view:
        if not hidden.get(tensor):
            grids |= _grids(state, tensor, "fills" if tensor == view[-1] != "dx" else "")
    if "col" in view and C > 1:  # each channel has a tint, in the matrix, too
        grids["col"]["tints"] = [round(100 * deep) for deep in style.channel_strengths(C)]
        for c, tint in enumerate(grids["col"]["tints"]):
            grids[f"x{c}"]["tints"] = [tint]
    shown = {"mode": state.mode, "grids": grids, "layout": _layout(state, grids)}
    shown |= {"sizes": state.sizes, "steps": state.steps, "summary": _summary(state)}
    shown |= {"stride": state.stride, "pad": state.pad, "count": state.count}
    shown["copies"] = copies if "reads" in view else None
    shown["formula"] = [_formula(state, letter) for letter in "HW"] if formula else []
    if state.mode == "max pooling":
        shown["winners"] = state.winners.tolist()
    if state.mode == ELEMENT:
        setting = state.sizes, state.x.shape[1:], state.stride, state.pad
        shown["said"] = [element_slice(*setting, *at) for at in np.ndindex(state.W.shape[2:])]
    if "W" in view and C > 1:  # what each channel adds to each output
        sums = np.einsum("cijpq,fcij->fcpq", state.windows(0), state.W)
        decimals = style.decimals_needed(sums)
        shown["sums"] = [[_texts(plane, decimals) for plane in planes] for planes in sums]
    return shown


def _layout(state, grids):
    """Lay out the grids: a row of keys and signs, in which a list is a table of such rows."""
    FN, C = (range(size) for size in state.W.shape[:2])
    if state.mode == "convolution":
        bias = [["+", f"b{f}"] if f"b{f}" in grids else [] for f in FN]
        rows = [["⊛", *(f"W{f}{c}" for c in C), *bias[f], "=", f"out{f}"] for f in FN]
        if len(FN) == len(C) == 1:
            return ["x0", *rows[0]]
        # The channels stand side by side, and each filter has its line below them.
        return [[[BLANK, *(f"x{c}" for c in C)], *rows]]
    if state.mode in POOLING:
        return [[[f"x{c}", "→", f"out{c}"] for c in C]]
    if state.mode == "backward":
        filters, gradients = ([[f"{key}{c}"] for c in C] for key in ("W0", "dx"))
        return ["dout", "×", filters, "→", "dcol", "→", gradients]
    if state.mode == "product":
        sources = [[f"x{c}", *(f"W{f}{c}" for f in FN)] for c in C]
        return [sources, "→", "col", "×", "col_W", "=", "product"]
    sources = [[f"x{c}"] for c in C] + [["reads"]] * ("reads" in grids)
    return [sources, *["element"] * (state.mode == ELEMENT), "→", "col"]


def _summary(state):
    """Say the shape of what comes out, and what else the picture shows."""
    shape, inputs, entries = f"(OH, OW) = {state.out.shape[1:]}", state.x.size, state.col.size
    if "col" in VIEWS[state.mode][-1]:
        times = times_as(entries / inputs, "many")
        rows = "a row of col for each place, a column for each filter element"
        copied = f"{counted(inputs, 'number')} in x, {entries} in col: {times}"
        return [f"output {shape}: {rows}", copied]
    if state.mode == "backward":
        dropped = "; what falls into the padding is dropped" if state.pad else ""
        added = f"col2im adds {counted(entries, 'number')} of dcol into the {inputs} of dx{dropped}"
        return [f"output and dout {shape}; dcol = dout · W, laid out as im2col lays out x", added]
    if len(state.out) > 1:
        shape = f"({'C' if state.mode in POOLING else 'FN'}, OH, OW) = {state.out.shape}"
    filters = f"W (FN, C, FH, FW) = {state.W.shape}: " if len(state.W) > 1 else ""
    return [f"{filters}output {shape}"]


def _grids(state, tensor, step):
    """Describe the grids of a tensor; ``shade`` colours cells too small for numbers.

    ``fixed`` are the indices that all cells of a grid share. ``step`` says that a cell belongs to
    a step: one that "moves" there when chosen, or "fills" as the steps pass, as well.
    """
    title, role, letters, leading, *indices = TENSORS[tensor]
    leading = "c" if tensor == "out" and state.mode in POOLING else leading
    slides, max_pooling = indices[0] == "pi", state.mode == "max pooling"
    pad = state.pad if slides else 0
    # Each filter has a line in a convolution, else each channel: the first of all tells its shape.
    line, other = "fc" if state.mode == "convolution" else "cf"
    grids, values = {}, np.asarray(getattr(state, tensor), dtype=float)
    rows, columns = (size + 2 * pad for size in values.shape[-2:])
    subtitle = f"{'(H + 2P, W + 2P)' if pad else letters} = ({rows}, {columns})" * bool(letters)
    for place in np.ndindex(values.shape[:-2]):
        plane, fixed = values[place], dict(zip(leading, place, strict=True))
        fixed = {index: value for index, value in fixed.items() if state.sizes[index] > 1}
        texts = _texts(plane, style.decimals_needed(plane)) if plane.size <= WRITTEN else None
        grids[tensor + "".join(map(str, place))] = {
            "tensor": tensor,
            "name": title + (str(list(fixed.values())) if fixed else ""),
            "subtitle": "" if fixed.get(line) else BLANK if fixed.get(other) else subtitle,
            "role": role,
            "fixed": fixed,
            "row": _by(state, indices[0]),
            "column": _by(state, indices[1]),
            "rows": plane.shape[0],
            "columns": plane.shape[1],
            "pad": pad,
            "ring": ("−∞" if max_pooling else "0") if tensor == "x" else "",
            "text": texts,
            "shade": np.round(plane * (100 / (np.abs(plane).max() or 1))).astype(np.int8).tobytes(),
            "signed": bool(plane.min() < 0),
            "hatched": np.argwhere(state.padded_reads == 0).tolist() if slides else [],
            "edit": tensor in ("x", "W", "b", "dout"),
            "matrix": "·" in letters,
            "step": "moves" if tensor in ("element", "dout", "dcol") else step,
        }
    return grids


def _by(state, indices):
    """Say by how many rows, or columns, each of the indices leads on."""
    if indices in ("pi", "qj"):  # the window's place, and the element in it
        return {indices[0]: state.stride, indices[1]: 1}
    sizes = [state.sizes[index] for index in indices]
    return {index: int(np.prod(sizes[k + 1 :])) for k, index in enumerate(indices)}


def _texts(values, decimals):
    """Write all numbers, line by line; each different one is written once."""
    different, places = np.unique(values, return_inverse=True)
    texts = [style.format_number(value, decimals) for value in different]
    return [texts[place] for place in places.ravel()]


def _formula(state, letter):
    """Write (7.1) for one axis; where the stride does not divide, say so and offer neighbours."""
    axis, (FH, FW, stride, pad) = "HW".index(letter), state.settings
    sizes, lines = (state.x.shape[1 + axis], (FH, FW)[axis]), ("rows", "columns")[axis]
    numbers, _, rest = windows.explain_output_size(*sizes, stride, pad, lines=lines).partition(": ")
    note, offers = rest.partition(" Nearest settings that divide: ")[0], []
    found = windows.settings_that_divide(*sizes, stride, pad) if note else ()
    for name, value in map(str.split, found):
        names = {"size": ("height", "width"), "filter": ("filter_height", "filter_width")}
        setting, value = names[name][axis] if name in names else name, int(value)
        blind = (name == "pad" and value >= min(FH, FW)) or (name == "filter" and value <= pad)
        if not (blind and state.mode in POOLING):  # a window would see nothing but padding
            offers.append({"setting": setting, "label": words(setting), "value": value})
    letters = f"O{letter} = ({letter} + 2·P − F{letter}) / S + 1"
    numbers = numbers.replace("*", "·").replace("-", "−")
    return {"letters": letters, "numbers": numbers, "note": sentence(note), "offers": offers}


def words(name):
    """Write a setting's name in words."""
    return name.replace("_", " ")


def sentence(text):
    """Begin with a capital letter."""
    return text[:1].upper() + text[1:]
