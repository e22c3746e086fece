"""The way of one image through a network, a picture for each layer.

`stop` draws what goes into a layer, what comes out, and one unit of it written out: the numbers it
reads, what is computed with them, the number it gives. Book section 7.8.
"""

from typing import NamedTuple

import numpy as np
from matplotlib.patches import Rectangle

from cnnlib.figures import style
from cnnlib.figures.grids import SIGN, TITLE, Grid, draw_grid, draw_image, draw_row
from cnnlib.layers import Affine, Convolution, Pooling, Relu
from cnnlib.visualize import feature_maps

ROOM = style.MAX_WIDTH - 2 * style.MARGIN
HALF = 408  # width of what goes in, and of what comes out
TALL = 128  # height of both
COLUMNS = 10  # maps in a line


class Stop(NamedTuple):
    """One layer on the way of one image.

    Attributes
    ----------
    name, kind : str
        As in `LayerRow`; "input" first, "Softmax" last.
    layer : Layer or None
        None for the input and for the softmax.
    x, out : ndarray
        What goes in and what comes out, without the axis of the batch.
    multiplications : int
        By weights, as in `LayerRow`.
    """

    name: str
    kind: str
    layer: object
    x: np.ndarray
    out: np.ndarray
    multiplications: int

    @property
    def units(self):
        """Number of maps, or of numbers where there are no maps."""
        return len(self.out)


class Unit(NamedTuple):
    """One number of a layer's output, computed from what the layer reads for it.

    Attributes
    ----------
    place : tuple of int
        Its index in the output: (c, p, q), or (j,).
    seen : ndarray
        The numbers it reads.
    terms : ndarray
        What is made of them, number by number: products with weights, or the numbers themselves.
    value : float
        The result.
    """

    place: tuple
    seen: np.ndarray
    terms: np.ndarray
    value: float


def stops(network, image):
    """Send one image through a network, and keep each layer with what goes in and out.

    Parameters
    ----------
    network : Network
        Of Convolution (on one channel), Relu, Pooling (largest number) and Affine layers, without
        padding, such as `SimpleConvNet`.
    image : ndarray, shape (1, H, W)

    Returns
    -------
    list of Stop
        The input, the layers, the softmax.

    Raises
    ------
    ValueError
        If the network has another layer, or the image another shape.
    """
    image = np.asarray(image)
    maps = feature_maps(network, image[np.newaxis])
    found, x = [Stop("input", "input", None, image, image, 0)], image
    for row in network.table()[1:]:
        layer, out = network.layers[row.name], maps[row.name][0]
        if not _can_show(layer):
            raise ValueError(
                f"{row.name}: only convolutions on one channel, ReLU, max pooling and affine "
                "layers can be written out, without padding"
            )
        found.append(Stop(row.name, row.kind, layer, x, out, row.multiplications))
        x = out
    probabilities = network.probabilities(image[np.newaxis])[0]
    return [*found, Stop("Softmax", "Softmax", None, x, probabilities, 0)]


def unit_of(stop, unit):
    """Compute one unit by hand, from the numbers that it reads.

    In a map it is the unit where the answer is strongest (for a ReLU: where what goes in is).

    Parameters
    ----------
    stop : Stop
    unit : int
        Number of the map, or of the neuron.

    Returns
    -------
    Unit

    Raises
    ------
    ValueError
        If there is no such unit.
    """
    if not 0 <= unit < stop.units:
        raise ValueError(f"{stop.name} has units 0 to {stop.units - 1}, got {unit}")
    x, layer = stop.x, stop.layer
    place = (unit,)
    if stop.out.ndim == 3:
        where = (x if stop.kind == "Relu" else stop.out)[unit]
        place = (unit, *(int(k) for k in np.unravel_index(where.argmax(), where.shape)))
    if stop.kind == "Convolution":
        seen = x[0][_window(stop, place)]
        terms = seen * layer.W[unit, 0]
        return Unit(place, seen, terms, float(terms.sum() + layer.b[unit]))
    if stop.kind == "Pooling":
        seen = x[unit][_window(stop, place)]
        return Unit(place, seen, seen, float(seen.max()))
    if stop.kind == "Affine":
        terms = x.ravel() * layer.W[:, unit]
        return Unit(place, x, terms.reshape(x.shape), float(terms.sum() + layer.b[unit]))
    if stop.kind == "Softmax":
        terms = np.exp(x - x.max())
        return Unit(place, x, terms, float(terms[unit] / terms.sum()))
    seen = x[place]
    return Unit(place, seen, seen, float(max(0.0, seen) if stop.kind == "Relu" else seen))


def draw_stop(way, step, unit=0):
    """Show one layer on the way of an image: what goes in, what comes out, one unit written out.

    Parameters
    ----------
    way : list of Stop
        As from `stops`.
    step : int
        Which of them.
    unit : int, default 0
        Which map, or which neuron, is written out.

    Returns
    -------
    Card

    Raises
    ------
    ValueError
        If there is no such step or unit.
    """
    if not 0 <= step < len(way):
        raise ValueError(f"the way has steps 0 to {len(way) - 1}, got {step}")
    stop = way[step]
    one = unit_of(stop, unit)
    message = _message(stop)
    canvas = style.Canvas(message)
    ax = canvas.ax
    _draw_way(canvas, way, step)
    top = canvas.top + 66
    bottom = top + 28 + TALL
    window = stop.kind in ("input", "Convolution") and _window(stop, one.place)
    if step:
        inside = unit if stop.kind in ("Relu", "Pooling", "Softmax") else None
        _draw_numbers(ax, stop.x, canvas.left, top, "goes in", "input", inside, window)
        middle = top + 28 + TALL / 2
        style.write(ax, canvas.left + ROOM / 2, middle, "→", 20, style.MUTED, align="center")
        right = canvas.left + ROOM - HALF
        _draw_numbers(ax, stop.out, right, top, "comes out", "output", unit)
    else:
        _draw_numbers(ax, stop.out, canvas.left, top, "input x", "input", window=window)
    top = bottom + 22
    color = style.TEXT_COLORS["window"]
    style.write(ax, canvas.left, top, _called(stop, one), 13, color, "bold")
    lines = DRAWN[stop.kind](canvas, stop, one, top + 14)
    style.paragraph(ax, canvas.left, top + 284, _cost(stop), ROOM - 16)
    chain = ", ".join(style.shape_text(values.shape) for values in (stop.x, stop.out)[not step :])
    return canvas.finish(
        canvas.left + ROOM,
        top + 306,  # the same for all steps: the page does not move
        f"Step {step} of {len(way) - 1}, {message}. Shapes: {chain}. {_called(stop, one)}: "
        f"{', '.join(lines)}.",
    )


# ---- what is said -----------------------------------------------------------------------------


def _message(stop):
    """Say what the layer does, in one sentence."""
    out, name = stop.out, stop.name
    if stop.kind == "Convolution":
        return f"{name}: {len(out)} filters look at the image, each at {_by(out)} places"
    if stop.kind == "Relu":
        return f"{name}: what is negative becomes 0, {_share(stop)} of the numbers here"
    if stop.kind == "Pooling":
        size = f"{stop.layer.pool_h} x {stop.layer.pool_w}"
        return f"{name}: of each {size} window the largest number stays"
    if stop.kind == "Affine":
        return f"{name}: each of {len(out)} neurons weighs all {stop.x.size:,} numbers"
    if stop.kind == "Softmax":
        return f"Softmax: the network says {out.argmax()}, with {_percent(out.max())}"
    return f"A digit is {out.size} numbers, from 0 (paper) to 1 (ink)"


def _cost(stop):
    """Say how the layer computes, and how many multiplications that takes."""
    out, layer = stop.out, stop.layer
    if stop.kind == "Convolution":
        weights, places = layer.W[0].size, out[0].size
        return (
            "The same filter at every place: window times filter, number by number, added up, plus "
            f"the filter's bias. {len(out)} filters x {weights} weights x {places} places = "
            f"{stop.multiplications:,} multiplications."
        )
    if stop.kind == "Affine":
        return (
            "Every number that goes in, times its own weight, added up, plus the neuron's bias. "
            f"{len(out)} neurons x {stop.x.size:,} weights = {stop.multiplications:,} "
            "multiplications."
        )
    if stop.kind == "Pooling":
        reads = layer.pool_h * layer.pool_w
        return (
            f"No weights, no multiplications: {out.size:,} windows of {reads} numbers, and "
            f"{out.size * (reads - 1):,} comparisons. Each map is pooled by itself."
        )
    if stop.kind == "Relu":
        return (
            f"No weights, no multiplications: {out.size:,} comparisons with 0. Each number is "
            "treated by itself; the shape stays."
        )
    if stop.kind == "Softmax":
        return (
            f"No weights: {out.size} exponentials, one sum, {out.size} divisions. The order of the "
            "scores stays; the results are positive and add up to 1."
        )
    return "Nothing is computed yet."


def _called(stop, one):
    """Name the unit that is written out."""
    if stop.kind == "input":
        return "The middle of the image, number by number"
    if len(one.place) == 3:
        c, p, q = one.place
        return f"One unit of {stop.name}: map {c}, row {p}, column {q}"
    what = "class" if stop.kind == "Softmax" else "number" if stop.kind == "Relu" else "neuron"
    return f"One unit of {stop.name}: {what} {one.place[0]}"


def _share(stop):
    return f"{100 * np.mean(stop.x < 0):.0f} %"


def _percent(share):
    return f"{100 * share:.1f} %"


def _by(maps):
    return f"{maps.shape[-2]} x {maps.shape[-1]}"


def _text(value):
    return style.format_number(value, 2)


# ---- the parts of the picture -----------------------------------------------------------------


def _draw_way(canvas, way, step):
    """Draw the layers as a line of boxes, the present one outlined."""
    gap = 7
    wide = (ROOM - gap * (len(way) - 1)) / len(way)
    for k, stop in enumerate(way):
        left, top, here = canvas.left + k * (wide + gap), canvas.top + 6, k == step
        learns = stop.multiplications > 0
        role = "input" if k == 0 else "filter" if learns else "output"
        canvas.ax.add_patch(
            Rectangle(
                (left, top), wide, 42,
                fc=style.tint(role, 0.35 if k <= step else 0.1),
                ec=style.ROLES["window"] if here else style.LINE,
                lw=2.4 if here else 0.8,
            )
        )  # fmt: skip
        middle, color = left + wide / 2, style.INK if k <= step else style.MUTED
        style.write(canvas.ax, middle, top + 13, stop.name, 12, color, "bold", "center")
        shape = style.shape_text(stop.out.shape)
        style.write(canvas.ax, middle, top + 30, shape, 11, style.MUTED, align="center")


def _draw_numbers(ax, values, left, top, name, role, chosen=None, window=None):
    """Draw maps, or a line of numbers, within HALF x TALL; outline one, or a window of it."""
    low, high = float(values.min()), float(values.max())
    colors = style.sequential(role)
    letters = f"{style.shape_text(values.shape)}, from {_text(low)} to {_text(high)}"
    style.write(ax, left, top + 10, name, 13, style.TEXT_COLORS[role], "bold")
    start = left + style.text_width(name, 13, "bold") + 10
    style.write(ax, start, top + 10, letters, 12, style.MUTED)
    top += 28
    if low < 0:
        high = max(high, -low)
        low, colors = -high, style.DIVERGING
    low = min(low, 0.0)
    if values.ndim == 3 and len(values) == 1:
        cell = TALL / max(values[0].shape)
        draw_image(ax, values[0], left, top, cell, style.IMAGE, 0, 1)
        if window:
            (y, x), (height, width) = zip(
                *((k.start, k.stop - k.start) for k in window), strict=True
            )
            _outline(ax, left + x * cell, top + y * cell, width * cell, height * cell)
        return
    if values.ndim == 3:
        mosaic, pitch = _mosaic(values)
        cell = min(HALF / mosaic.shape[1], TALL / mosaic.shape[0])
        ax.imshow(
            mosaic, cmap=colors, vmin=low, vmax=high if high > low else low + 1,
            extent=(left, left + mosaic.shape[1] * cell, top + mosaic.shape[0] * cell, top),
            interpolation="nearest", aspect="auto", zorder=0.8,
        )  # fmt: skip
        if chosen is not None:
            line, place = divmod(chosen, COLUMNS)
            corner = (left + place * pitch[1] * cell, top + line * pitch[0] * cell)
            _outline(ax, *corner, values.shape[2] * cell, values.shape[1] * cell)
        return
    columns = min(20, len(values))
    cell = min(HALF / columns, 40)
    lines = -(-len(values) // columns)
    table = np.full(lines * columns, np.nan)
    table[: len(values)] = values
    draw_image(ax, table.reshape(lines, columns), left, top, cell, colors, low, high)
    if lines == 1:
        for k in range(len(values)):
            style.write(ax, left + (k + 0.5) * cell, top + cell + 12, str(k), 12, align="center")
    if chosen is not None:
        line, place = divmod(chosen, columns)
        _outline(ax, left + place * cell, top + line * cell, cell, cell)


def _mosaic(maps):
    """Set maps beside and below each other in one array, with gaps of NaN between them."""
    n, height, width = maps.shape
    gap = max(1, width // 10)
    lines, columns = -(-n // COLUMNS), min(n, COLUMNS)
    whole = np.full((lines * (height + gap) - gap, columns * (width + gap) - gap), np.nan)
    for k, values in enumerate(maps):
        line, place = divmod(k, COLUMNS)
        y, x = line * (height + gap), place * (width + gap)
        whole[y : y + height, x : x + width] = values
    return whole, (height + gap, width + gap)


def _peak(values):
    """Return the largest size of a number, and never 0."""
    return max(float(np.abs(values).max()), 1e-12)


def _outline(ax, left, top, width, height):
    edge = style.ROLES["window"]
    ax.add_patch(Rectangle((left, top), width, height, fill=False, ec=edge, lw=2, zorder=5))


def _window(stop, place):
    """Give the rows and columns that a unit of a map reads; of the input, those in the middle."""
    layer = stop.layer
    if stop.kind == "input":
        return tuple(slice(max(0, n // 2 - 4), n // 2 + 4) for n in stop.out.shape[1:])
    size = (layer.pool_h, layer.pool_w) if stop.kind == "Pooling" else layer.W.shape[2:]
    corner = [k * layer.stride for k in place[1:]]
    return tuple(slice(k, k + n) for k, n in zip(corner, size, strict=True))


def _write_lines(ax, left, top, lines):
    """Write the sum, line by line, the last one in bold."""
    for k, line in enumerate(lines):
        last = k == len(lines) - 1
        color = style.TEXT_COLORS["output"] if last else style.INK
        weight = "bold" if last else "normal"
        style.write(ax, left, top + 24 * k, line, 13, color, weight, gid=f"line[{k}]")


def _draw_input(canvas, stop, one, top):
    """Write the numbers of the middle of the image."""
    rows, columns = _window(stop, one.place)
    values = stop.out[0][rows, columns]
    grid = Grid(values, strengths=0.05 + 0.6 * values)
    cell = np.ceil(grid.smallest_cell())
    draw_grid(canvas.ax, grid, canvas.left, top + 8, cell)
    return [f"rows {rows.start} to {rows.stop - 1}, columns {columns.start} to {columns.stop - 1}"]


def _draw_convolution(canvas, stop, one, top):
    """Write out window, filter, products and their sum."""
    f = one.place[0]
    W = stop.layer.W[f, 0]
    named = (
        (one.seen, "window of x", "input"),
        (W, f"filter {f}", "filter"),
        (
            one.terms,
            "products",
            "output",
        ),
    )
    grids = [
        Grid(values, name, role, "", strengths=0.08 + 0.55 * np.abs(values) / _peak(values))
        for values, name, role in named
    ]
    cell = min(40, (688 - 2 * SIGN) / (3 * W.shape[1]), 200 / W.shape[0])
    items = [grids[0], "×", grids[1], "=", grids[2]]
    boxes = draw_row(canvas.ax, items, canvas.left, top, cell)
    lines = [
        f"{one.terms.size} products: {_text(one.terms.sum())}",
        f"bias: {_text(stop.layer.b[f])}",
        f"together {_text(one.value)}",
    ]
    _write_lines(canvas.ax, boxes[-1].right + 24, boxes[-1].middle - 24, lines)
    return lines


def _draw_relu(canvas, stop, one, top):
    """Show the map before and after, or the number alone, and write max(0, x)."""
    lines = [f"max(0, {_text(one.seen)})", f"= {_text(one.value)}"]
    if stop.out.ndim == 3:
        corner = canvas.left, top + TITLE
        boxes = _draw_maps(canvas.ax, stop, one, *corner, (1, 1), one.place[1:])
        right = boxes[-1].right
    else:
        right = _draw_kink(canvas.ax, one, canvas.left, top + 20, _peak(stop.x))
    _write_lines(canvas.ax, right + 30, top + TITLE + 78, lines)
    return lines


def _draw_kink(ax, one, left, top, reach):
    """Draw the curve of the ReLU with the unit on it; return its right end."""
    wide, tall = 380, 200
    middle, bottom = left + wide / 2, top + tall
    ax.plot([left, left + wide], [bottom, bottom], color=style.LINE, lw=0.8)
    ax.plot([middle, middle], [top, bottom], color=style.LINE, lw=0.8)
    ax.plot([left, middle, left + wide], [bottom, bottom, top], color=style.TEXT_COLORS["output"])
    x = middle + float(one.seen) / reach * wide / 2
    y = bottom - one.value / reach * tall
    ax.plot([x, x], [y, bottom], color=style.ROLES["window"], lw=1.2, ls=(0, (3, 2)))
    ax.plot([x], [y], "o", color=style.ROLES["window"], ms=7)
    for at, value in ((left + 18, -reach), (middle, 0), (left + wide - 18, reach)):
        style.write(ax, at, bottom + 14, _text(value), 11, style.MUTED, align="center")
    return left + wide


def _draw_pooling(canvas, stop, one, top):
    """Show the map before and after, and the window in numbers."""
    window = _window(stop, one.place)
    corner = tuple(part.start for part in window)
    boxes = _draw_maps(canvas.ax, stop, one, canvas.left, top + TITLE, one.seen.shape, corner)
    grid = Grid(one.seen, "its window", "input", "")
    cell = min(44, 180 / max(one.seen.shape))
    left, middle = boxes[-1].right + 60, boxes[-1].middle
    draw_grid(canvas.ax, grid, left, round(middle - grid.rows * cell / 2), cell)
    lines = [f"largest of {one.seen.size}", f"= {_text(one.value)}"]
    _write_lines(canvas.ax, left + grid.columns * cell + 30, middle - 12, lines)
    return lines


def _draw_maps(ax, stop, one, left, top, window, corner):
    """Draw the unit's map before and after, each on its own scale; outline window and unit."""
    c, p, q = one.place
    inside, outside = (corner, window), ((p, q), (1, 1))
    boxes = []
    for plane, name, role, ((row, column), (height, width)) in (
        (stop.x[c], "goes in", "input", inside),
        (stop.out[c], "comes out", "output", outside),
    ):
        low, high, colors = float(plane.min()), float(plane.max()), style.sequential(role)
        ends = f"from {_text(low)} to {_text(high)}"
        if low < 0:
            low, high, colors = -_peak(plane), _peak(plane), style.DIVERGING
        cell = 190 / max(plane.shape)
        box = draw_image(ax, plane, left, top, cell, colors, low, high)
        name, color = f"map {c} {name}", style.TEXT_COLORS[role]
        style.write(ax, (box.left + box.right) / 2, top - 29, name, 13, color, "bold", "center")
        style.write(ax, (box.left + box.right) / 2, top - 12, ends, 12, style.MUTED, align="center")
        _outline(ax, left + column * cell, top + row * cell, width * cell, height * cell)
        boxes.append(box)
        left = box.right + SIGN
    middle = boxes[0].right + SIGN / 2
    style.write(ax, middle, boxes[0].middle, "→", 20, style.MUTED, align="center")
    return boxes


def _draw_affine(canvas, stop, one, top):
    """Draw what each map, or each number, contributes to the sum, as bars up and down."""
    j = one.place[0]
    maps = stop.x.ndim == 3
    parts = one.terms.sum(axis=(1, 2)) if maps else one.terms
    by = f"what each of {len(parts)} {'maps' if maps else 'numbers'} contributes"
    style.write(canvas.ax, canvas.left, top + 10, by, 12, style.MUTED)
    wide, tall, peak = 560, 190, _peak(parts)
    up, down = max(float(parts.max()), 0.0), max(float(-parts.min()), 0.0)
    unit = tall / max(up + down, 1e-12)
    zero, pitch = top + 26 + up * unit, wide / len(parts)
    for k, part in enumerate(parts):
        color = style.DIVERGING(0.5 + 0.5 * np.sign(part) * max(0.35, abs(part) / peak))
        canvas.ax.add_patch(
            Rectangle((canvas.left + k * pitch, zero), 0.8 * pitch, -part * unit, fc=color)
        )
    canvas.ax.plot([canvas.left, canvas.left + wide], [zero, zero], color=style.MUTED, lw=0.8)
    for k in {0, len(parts) - 1, int(parts.argmax()), int(parts.argmin())}:
        if k in (0, len(parts) - 1) or min(k, len(parts) - 1 - k) * pitch > 30:
            x = canvas.left + (k + 0.4) * pitch
            style.write(canvas.ax, x, top + 26 + tall + 14, str(k), 11, style.MUTED, align="center")
    lines = [
        f"bars up: {_text(parts[parts > 0].sum())}",
        f"bars down: {_text(parts[parts < 0].sum())}",
        f"bias of neuron {j}: {_text(stop.layer.b[j])}",
        f"together {_text(one.value)}",
    ]
    _write_lines(canvas.ax, canvas.left + wide + 40, top + 80, lines)
    return lines


def _draw_softmax(canvas, stop, one, top):
    """Write scores, exponentials and probabilities, class by class, with bars."""
    ax, best = canvas.ax, int(stop.x.argmax())
    ends = [canvas.left + x for x in (40, 130, 290, 440)]
    heads = ("class", "score s", f"exp(s − {_text(stop.x[best])})", "divided by sum")
    for x, head in zip(ends, heads, strict=True):
        style.write(ax, x, top + 10, head, 12, style.MUTED, align="right")
    pitch = min(20, 200 / stop.units)
    for k, (score, term, share) in enumerate(zip(stop.x, one.terms, stop.out, strict=True)):
        y = top + 32 + k * pitch
        weight = "bold" if k == one.place[0] else "normal"
        cells = (str(k), _text(score), style.format_number(term, 4), _percent(share))
        for x, text in zip(ends, cells, strict=True):
            style.write(ax, x, y, text, 12, weight=weight, align="right", gid=f"softmax[{k}]")
        face = style.ROLES["output"] if k == best else style.tint("output", 0.45)
        bar = Rectangle((ends[-1] + 16, y - 0.36 * pitch), 360 * share, 0.72 * pitch, fc=face)
        ax.add_patch(bar)
    j = one.place[0]
    _outline(ax, canvas.left - 6, top + 32 + (j - 0.5) * pitch, ends[-1] - canvas.left + 14, pitch)
    lines = [
        f"{style.format_number(one.terms[j], 4)} / {style.format_number(one.terms.sum(), 4)}",
        f"= {_percent(one.value)}",
    ]
    y = top + 32 + stop.units * pitch + 10
    style.write(ax, canvas.left, y, f"class {j}: {' '.join(lines)}", 13, weight="bold")
    return lines


DRAWN = {
    "input": _draw_input,
    "Convolution": _draw_convolution,
    "Relu": _draw_relu,
    "Pooling": _draw_pooling,
    "Affine": _draw_affine,
    "Softmax": _draw_softmax,
}


def _can_show(layer):
    """Whether a unit of this layer can be written out here."""
    if isinstance(layer, Convolution):
        return layer.W.shape[1] == 1 and layer.pad == 0
    if isinstance(layer, Pooling):
        return layer.mode == "max" and layer.pad == 0
    return isinstance(layer, Relu | Affine)
