"""A shape calculator: layers one below the other, and what becomes of an image in each."""

import html
import math

import ipywidgets

from cnnlib import windows
from cnnlib.exercises.verdict import LOOKS, card
from cnnlib.figures import style
from cnnlib.layers import Pooling, Relu
from cnnlib.networks import LayerRow, Stack
from cnnlib.visualize import receptive_fields
from cnnlib.widgets.picture import Picture
from cnnlib.widgets.static import Still

MOST = 5  # layers
KINDS = CONVOLUTION, POOLING, NONE = "convolution", "pooling", "none"
LARGEST = {"C": 512, "H": 512, "W": 512, "FN": 512, "FH": 64, "S": 64, "P": 64}
LETTERS = {"pad": "P", "stride": "S", "filter": "FH"}  # of what can be changed to make S divide


class ShapeCalculator(Still, ipywidgets.VBox):
    """Up to five layers with a field for each number; shapes and costs answer each change.

    Parameters
    ----------
    input_dim : tuple of int, default (1, 28, 28)
        Shape (C, H, W) of one image.
    layers : sequence of dict
        A convolution is ``{"FN": 30, "FH": 5, "S": 1, "P": 0}``, a pooling the same without "FN";
        S is 1 and P 0 where left out. ValueError for other letters or numbers.
    output_size : int, default 10
        Classes, for the affine layer at the end.

    `input_dim` and `layers` are the present settings, `rows` (a list of `LayerRow`) the input, each
    layer, the affine layer: they end before a layer that is not possible. `message` says which that
    is, or what a stride leaves unread; "" where all is well.
    """

    def __init__(self, input_dim=(1, 28, 28), layers=None, output_size=10):
        layers = [{"FN": 30, "FH": 5}, {"FH": 2, "S": 2}] if layers is None else list(layers)
        if len(layers) > MOST or len(input_dim) != 3:
            possible = f"at most {MOST} layers for an image (C, H, W)"
            raise ValueError(f"{possible}, got {layers} for {input_dim}")
        self.output_size = windows.whole_number("output_size", output_size)
        self._input = [_field(letter, n) for letter, n in zip("CHW", input_dim, strict=True)]
        layers += [{}] * (MOST - len(layers))
        self._lines = [_Line(number, layer) for number, layer in enumerate(layers, start=1)]
        self._table, self._message = Picture(), ipywidgets.HTML()
        self._offers = ipywidgets.HBox(layout={"flex": "none", "align_items": "center"})
        image = ipywidgets.HTML("one image", layout={"width": "164px"})
        left = ipywidgets.VBox([ipywidgets.HBox([image, *self._input]), *self._lines])
        both = ipywidgets.HBox([left, self._table], layout={"flex_flow": "row wrap"})
        told = ipywidgets.HBox([self._message, self._offers], layout={"min_height": "56px"})
        super().__init__([both, told])
        for control in [*self._input, *(c for line in self._lines for c in line.children)]:
            control.observe(self._changed, "value")
        self._changed()

    input_dim = property(lambda self: tuple(field.value for field in self._input))
    layers = property(lambda self: [line.settings for line in self._lines if line.settings])
    page = property(lambda self: self._table.value + self._message.value)

    def network(self, rng=None):
        """Build what is shown, with a ReLU behind each convolution; ValueError if impossible."""
        net = Stack(self.input_dim, rng=rng)
        for name, layer in _named(self.layers).items():
            if "FN" in layer:
                net.add_convolution(name, layer["FN"], layer["FH"], layer["S"], layer["P"])
                net.add(name.replace("Conv", "Relu"), Relu())
            else:
                net.add(name, Pooling(layer["FH"], layer["FH"], layer["S"], layer["P"]))
        net.add_affine("Affine1", self.output_size)
        return net

    def __repr__(self):
        lines = (f"{row.name}: {row.shape}, {row.parameters:,} weights" for row in self.rows)
        return "\n".join([*lines, *filter(None, [self.message])])

    def _changed(self, change=None):
        """Work out all rows anew, down to the first layer that is not possible."""
        self.rows, self.message, offers = [LayerRow("input", "input", self.input_dim, 0, 0)], "", []
        lines = [line for line in self._lines if line.settings]
        for line, (name, layer) in zip(lines, _named(self.layers).items(), strict=True):
            before, window = self.rows[-1].shape, (layer["FH"], layer["S"], layer["P"])
            try:
                self.rows.append(_row(name, layer, before))
            except ValueError as error:
                self.message, offers = f"{name} is not possible: {error}.", []
                break
            for size, rows in zip(before[1:], ("rows", "columns"), strict=True):
                if not self.message and windows.uncovered_size(size, *window):
                    told = windows.explain_output_size(size, *window, lines=rows)
                    self.message = f"{name}: {told}"
                    offers = line.offers(name, windows.settings_that_divide(size, *window))
        else:
            size = math.prod(self.rows[-1].shape) * self.output_size
            end = LayerRow("Affine1", "Affine", (self.output_size,), size + self.output_size, size)
            self.rows.append(end)
        self._table.value = self._written()
        edge = LOOKS["wrong" if "not possible" in self.message else "not started"][1]
        text = html.escape(self.message or "Each stride divides: nothing is left unread.")
        self._message.value = card(edge, f'<div role="status">{text}</div>')
        self._offers.children = offers

    def _written(self):
        """Write the rows as a table; a bar behind each number is its share of the largest."""
        settings = [(layer["FH"], layer["S"], layer["P"]) for layer in self.layers]
        sizes = [1, *(field.size for field in receptive_fields(settings))]
        sees = [f"{size} x {size}" for size in sizes] + ["all"]
        names = "", "output", "weights", "multiplications", "sees"
        table = f"<tr>{''.join(f'<th>{name}</th>' for name in names)}</tr>"
        for row, field in zip(self.rows, sees, strict=False):
            table += f"<tr><td>{row.name}</td><td>{row.shape}</td>"
            for name, role in (("parameters", "filter"), ("multiplications", "output")):
                number, largest = getattr(row, name), max(getattr(r, name) for r in self.rows)
                bar = f"{style.tint(role, 0.5)} {number / max(largest, 1):.0%}, transparent 0"
                look = f"background: linear-gradient(to left, {bar}); text-align: right"
                table += f'<td style="{look}">{number:,}</td>'
            table += f"<td>{field}</td></tr>"
        box = 'class="table" role="group" aria-label="Table" tabindex="0"'  # may scroll by itself
        look = "line-height: clamp(21px, 3.8vh, 32px); border-spacing: 8px 0"  # low on a low screen
        table = f'<table style="{look}">{table}</table>'
        return card(style.ROLES["output"], f'<div {box} style="overflow-x: auto">{table}</div>')


class _Line(ipywidgets.HBox):
    """The menu and the fields of one layer."""

    def __init__(self, number, layer):
        if layer and not {"FH"} <= layer.keys() <= {"FN", "FH", "S", "P"}:
            raise ValueError(f'a layer is {{"FN": 30, "FH": 5, "S": 1, "P": 0}}, got {layer}')
        numbers = {"FN": 16, "FH": 3, "S": 1, "P": 0} | layer
        self.fields = {letter: _field(letter, number) for letter, number in numbers.items()}
        kind = CONVOLUTION if "FN" in layer else POOLING if layer else NONE
        self.kind = ipywidgets.Dropdown(options=KINDS, value=kind, description=f"layer {number}")
        self.kind.layout.width, self.kind.style.description_width = "164px", "46px"
        self.kind.observe(self._disable, "value")
        self._disable()
        super().__init__([self.kind, *self.fields.values()])

    @property
    def settings(self):
        """The letters that count, with their numbers; empty where there is no layer."""
        return {letter: f.value for letter, f in self.fields.items() if not f.disabled}

    def offers(self, name, texts):
        """Make a button for each number that would let the stride divide, such as "pad 1"."""
        buttons = []
        for word, number in (text.split() for text in texts):
            field = self.fields.get(LETTERS.get(word))
            if field and int(number) <= field.max:
                button = ipywidgets.Button(description=f"{name}: {word} {number}")
                button.on_click(lambda _, f=field, n=int(number): setattr(f, "value", n))
                buttons.append(button)
        return buttons

    def _disable(self, change=None):
        for letter, field in self.fields.items():
            field.disabled = self.kind.value in ((NONE, POOLING) if letter == "FN" else (NONE,))


def _field(letter, value):
    least, most = 0 if letter == "P" else 1, LARGEST[letter]
    if windows.whole_number(letter, value, least) > most:
        raise ValueError(f"{letter} must be at most {most}, got {value}")
    field = ipywidgets.BoundedIntText(value, min=least, max=most, description=letter)
    field.layout.width, field.style.description_width = "76px", "20px"
    return field


def _named(layers):
    """Name the layers Conv1, Pool1, Conv2, ... in order."""
    kinds = ["Conv" if "FN" in layer else "Pool" for layer in layers]
    names = [f"{kind}{kinds[: k + 1].count(kind)}" for k, kind in enumerate(kinds)]
    return dict(zip(names, layers, strict=True))


def _row(name, layer, before):
    """Work out what a layer makes of an image (C, H, W); ValueError where it does not fit."""
    FH, S, P = layer["FH"], layer["S"], layer["P"]
    if "FN" not in layer:
        return LayerRow(name, "Pooling", Pooling(FH, FH, S, P).output_shape(before), 0, 0)
    W_shape = (layer["FN"], before[0], FH, FH)
    shape, weights = windows.feature_maps_shape(before, W_shape, S, P), math.prod(W_shape)
    products = weights * math.prod(shape[1:])  # each weight is used at each position
    return LayerRow(name, "Convolution", shape, weights + layer["FN"], products)
