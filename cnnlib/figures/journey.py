"""The way of one image through a network, a picture for each layer.

`draw_stop` draws what goes into a layer, what comes out, and one unit of it written out: the
numbers it reads, what is computed with them, the number it gives. Book section 7.8.
"""

from typing import NamedTuple

import numpy as np

from cnnlib.figures import style
from cnnlib.figures.galleries import draw_line, scale, signed
from cnnlib.figures.grids import (
    ROOM,
    SIGN,
    TITLE,
    Grid,
    by,
    draw_frame,
    draw_grid,
    draw_image,
    draw_lattice,
    draw_row,
    draw_sign,
)
from cnnlib.layers import Affine, Convolution, Pooling, Relu
from cnnlib.visualize import feature_maps

HALF = 408  # width of what goes in, and of what comes out
TALL = 128  # height of both
MAP = 190  # side of the map in which the unit is
WINDOW = style.ROLES["window"]


class Stop(NamedTuple):
    """One layer on the way of one image."""

    name: str
    kind: str  # as in `LayerRow`; "input" first, "Softmax" last
    layer: object  # None for the input and for the softmax
    x: np.ndarray  # what goes in, without the axis of the batch
    out: np.ndarray  # what comes out
    multiplications: int  # by weights

    @property
    def units(self):
        """Number of maps, or of numbers where there are no maps."""
        return len(self.out)


class Unit(NamedTuple):
    """One number of a layer's output, computed from what the layer reads for it."""

    place: tuple  # in the output: (c, p, q), or (j,)
    seen: np.ndarray  # the numbers it reads
    terms: np.ndarray  # what is made of each: its product with a weight, or the number itself
    value: float


def stops(network, image):
    """Send one image (1, H, W) through a network; return a `Stop` for each layer.

    The first is the input, the last the softmax. The layers may be Convolution (on one channel),
    Relu, Pooling (largest number) and Affine, without padding, as in `SimpleConvNet`; ValueError is
    raised where the network has another layer, or the image another shape.
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


def _can_show(layer):
    """Whether a unit of this layer can be written out here."""
    if isinstance(layer, Convolution):
        return layer.W.shape[1] == 1 and layer.pad == 0
    if isinstance(layer, Pooling):
        return layer.mode == "max" and layer.pad == 0
    return isinstance(layer, Relu | Affine)


def unit_of(stop, unit):
    """Compute one unit by hand, from the numbers that it reads; `unit` is the map or the neuron.

    In a map it is the unit where the answer is strongest (for a ReLU: where what goes in is).
    """
    if not 0 <= unit < stop.units:
        raise ValueError(f"{stop.name} has units 0 to {stop.units - 1}, got {unit}")
    x, layer, place = stop.x, stop.layer, (unit,)
    if stop.out.ndim == 3:
        where = (x if stop.kind == "Relu" else stop.out)[unit]
        place = (unit, *(int(k) for k in np.unravel_index(where.argmax(), where.shape)))
    if stop.kind == "Convolution":
        seen = x[0][_window(stop, place)]
        terms = seen * layer.W[unit, 0]
        value = terms.sum() + layer.b[unit]
    elif stop.kind == "Pooling":
        seen = terms = x[unit][_window(stop, place)]
        value = seen.max()
    elif stop.kind == "Affine":
        seen, terms = x, x * layer.W[:, unit].reshape(x.shape)
        value = terms.sum() + layer.b[unit]
    elif stop.kind == "Softmax":
        seen, terms = x, np.exp(x - x.max())
        value = terms[unit] / terms.sum()
    else:
        seen = terms = x[place]
        value = max(0.0, seen) if stop.kind == "Relu" else seen
    return Unit(place, seen, terms, float(value))


def _window(stop, place):
    """Give the rows and columns that a unit of a map reads; of the input, those in the middle."""
    if stop.kind == "input":
        return tuple(slice(max(0, n // 2 - 4), n // 2 + 4) for n in stop.out.shape[1:])
    layer = stop.layer
    size = (layer.pool_h, layer.pool_w) if stop.kind == "Pooling" else layer.W.shape[2:]
    first = np.multiply(place[1:], layer.stride).tolist()
    return tuple(slice(k, k + n) for k, n in zip(first, size, strict=True))


def draw_stop(way, step, unit=0):
    """Show one layer on the way of an image: what goes in, what comes out, one unit written out.

    Parameters
    ----------
    way : list of Stop, as from `stops`
    step : int, which of them
    unit : int, which map, or which neuron, is written out
    """
    if not 0 <= step < len(way):
        raise ValueError(f"the way has steps 0 to {len(way) - 1}, got {step}")
    stop = way[step]
    one, (message, cost) = unit_of(stop, unit), _words(stop)
    canvas = style.Canvas(message)
    ax, top, right = canvas.ax, canvas.top + 66, canvas.left + ROOM
    _draw_way(canvas, way, step)
    window = stop.kind in ("input", "Convolution") and _window(stop, one.place)
    if step:
        inside = unit if stop.kind in ("Relu", "Pooling", "Softmax") else None
        _draw_all(ax, stop.x, canvas.left, top, "goes in", "input", inside, window)
        draw_sign(ax, canvas.left + ROOM / 2, top + 28 + TALL / 2, "→")
        _draw_all(ax, stop.out, right - HALF, top, "comes out", "output", unit)
    else:
        _draw_all(ax, stop.out, canvas.left, top, "input x", "input", window=window)
    top += 50 + TALL
    called = _called(stop, one)
    style.write(ax, canvas.left, top, called, 13, style.TEXT_COLORS["window"], "bold")
    lines = DRAWN[stop.kind](canvas, stop, one, top + 14)
    canvas.note(top + 284, cost, width=ROOM - 16)
    chain = ", ".join(style.shape_text(values.shape) for values in (stop.x, stop.out)[not step :])
    return canvas.finish(
        right,
        top + 306,  # the same for all steps: the page does not move
        f"Step {step} of {len(way) - 1}, {message}. Shapes: {chain}. {called}: {', '.join(lines)}.",
    )


def _words(stop):
    """Say in one sentence what the layer does, then how it computes and what that costs."""
    out, layer, total = stop.out, stop.layer, f"{stop.multiplications:,} multiplications"
    if stop.kind == "input":
        return f"A digit is {out.size} numbers, from 0 (paper) to 1 (ink)", "Nothing is computed."
    if stop.kind == "Convolution":
        does = f"{len(out)} filters look at the image, each at {by(out.shape[1:])} positions"
        cost = "The same filter at every position: window times filter, number by number, added "
        cost += f"up, plus the filter's bias. {len(out)} filters x {layer.W[0].size} weights x "
        cost += f"{out[0].size} positions = {total}."
    elif stop.kind == "Relu":
        share = style.percent(np.mean(stop.x < 0), 0)
        does = f"what is negative becomes 0, {share} of the numbers here"
        cost = f"No weights, no multiplications: {out.size:,} comparisons with 0. Each number is "
        cost += "treated by itself; the shape stays."
    elif stop.kind == "Pooling":
        reads = layer.pool_h * layer.pool_w
        does = f"of each {layer.pool_h} x {layer.pool_w} window the largest number stays"
        cost = f"No weights, no multiplications: {out.size:,} windows of {reads} numbers, and "
        cost += f"{out.size * (reads - 1):,} comparisons. Each map is pooled by itself."
    elif stop.kind == "Affine":
        does = f"each of {len(out)} neurons weighs all {stop.x.size:,} numbers"
        cost = "Every number that goes in, times its own weight, added up, plus the neuron's bias. "
        cost += f"{len(out)} neurons x {stop.x.size:,} weights = {total}."
    else:
        does = f"the network says {out.argmax()}, with {style.percent(out.max())}"
        cost = f"No weights: {out.size} exponentials, one sum, {out.size} divisions. The order of "
        cost += "the scores stays; the results are positive and add up to 1."
    return f"{stop.name}: {does}", cost


def _called(stop, one):
    """Name the unit that is written out."""
    if stop.kind == "input":
        return "The middle of the image, number by number"
    if len(one.place) == 3:
        return "One unit of {}: map {}, row {}, column {}".format(stop.name, *one.place)
    what = {"Softmax": "class", "Relu": "number"}.get(stop.kind, "neuron")
    return f"One unit of {stop.name}: {what} {one.place[0]}"


def _text(value):
    return style.format_number(value, 2)


def _ends(values):
    low, high = (_text(end) for end in (values.min(), values.max()))
    return f"{low} (blue) to {high} (red)" if values.min() < 0 else f"from {low} to {high}"


def _draw_way(canvas, way, step):
    """Draw the layers as a line of boxes, the present one outlined."""
    gap, top = 7, canvas.top + 6
    wide = (ROOM - gap * (len(way) - 1)) / len(way)
    for k, stop in enumerate(way):
        left = canvas.left + k * (wide + gap)
        middle = left + wide / 2
        role = "input" if k == 0 else "filter" if stop.multiplications else "output"
        edge, lw = (WINDOW, 2.4) if k == step else (style.LINE, 0.8)
        face = style.tint(role, 0.35 if k <= step else 0.1)
        draw_frame(canvas.ax, left, top, wide, 42, edge, lw, face)
        color, shape = style.INK if k <= step else style.MUTED, style.shape_text(stop.out.shape)
        style.write(canvas.ax, middle, top + 13, stop.name, 12, color, "bold", "center")
        style.write(canvas.ax, middle, top + 30, shape, 11, style.MUTED, align="center")


def _draw_all(ax, values, left, top, name, role, chosen=None, window=None):
    """Draw maps, or a line of numbers, within HALF x TALL; outline one, or a window of it."""
    style.write(ax, left, top + 10, name, 13, style.TEXT_COLORS[role], "bold")
    start, text = left + style.text_width(name, 13, "bold") + 10, style.shape_text(values.shape)
    style.write(ax, start, top + 10, f"{text}, {_ends(values)}", 12, style.MUTED)
    top += 28
    colors = (style.IMAGE, 0, 1) if len(values) == 1 else scale(values, role)
    maps = values if values.ndim == 3 else values[:, np.newaxis, np.newaxis]
    n, height, width = maps.shape
    columns, gap = (min(n, 10), max(1, width // 10)) if values.ndim == 3 else (min(n, 20), 0)
    high, wide, lines = height + gap, width + gap, -(-n // columns)
    mosaic = np.full((lines, columns, high, wide), np.nan)  # one image: much faster than many
    mosaic.reshape(-1, high, wide)[:n, :height, :width] = maps
    rows, places = lines * high - gap, columns * wide - gap
    mosaic = mosaic.swapaxes(1, 2).reshape(lines * high, -1)[:rows, :places]
    cell = min(HALF / places, TALL / rows, 40)
    draw_image(ax, mosaic, left, top, cell, *colors, "none" if gap and n > 1 else style.LINE)
    if values.ndim == 1 and lines == 1:
        for k in range(n):
            style.write(ax, left + (k + 0.5) * cell, top + cell + 12, str(k), 12, align="center")
    if chosen is not None:
        line, place = divmod(chosen, columns)
        _outline(ax, left, top, cell, line * high, place * wide, height, width)
    if window:
        corner, size = [k.start for k in window], [k.stop - k.start for k in window]
        _outline(ax, left, top, cell, *corner, *size)


def _outline(ax, left, top, cell, row, column, height, width):
    """Outline cells of a picture in the color of the window."""
    corner, size = (left + column * cell, top + row * cell), (width * cell, height * cell)
    draw_frame(ax, *corner, *size, WINDOW, 2, zorder=5)


def _write_lines(ax, left, top, *lines):
    """Write the sum, line by line, the last one in bold; return the lines."""
    for k, line in enumerate(lines):
        look = {"color": style.INK, "gid": f"line[{k}]"}
        if k == len(lines) - 1:
            look |= {"color": style.TEXT_COLORS["output"], "weight": "bold"}
        style.write(ax, left, top + 24 * k, line, 13, **look)
    return lines


def _draw_input(canvas, stop, one, top):
    """Write the numbers of the middle of the image."""
    window = _window(stop, one.place)
    grid = Grid(stop.out[0][window], strengths=0.05 + 0.6 * stop.out[0][window])
    draw_grid(canvas.ax, grid, canvas.left, top + 8, np.ceil(grid.smallest_cell()))
    ends = (f"{k.start} to {k.stop - 1}" for k in window)
    return ["rows {}, columns {}".format(*ends)]


def _draw_convolution(canvas, stop, one, top):
    """Write out window, filter, products and their sum."""
    f, depth = one.place[0], 0.08 + 0.55 * np.abs(one.seen) / signed(one.seen)[2]
    x = Grid(one.seen, "window of x", "input", "", strengths=depth)
    W = Grid(stop.layer.W[f, 0], f"filter {f}", "filter", "")
    products = Grid(one.terms, "products", "output", "")
    cell = min(40, (688 - 2 * SIGN) / (3 * W.columns), 200 / W.rows)
    _, _, left, _, box = draw_row(canvas.ax, [x, "×", W, "=", products], canvas.left, top, cell)
    for grid, at in ((W, left), (products, box)):  # red above 0, blue below, as in all views
        fills = style.DIVERGING(0.5 + 0.25 * grid.values / signed(grid.values)[2])
        draw_lattice(canvas.ax, *at[:2], cell, cell, fills, style.tint(grid.role, 0.75))
    lines = [f"{one.terms.size} products: {_text(one.terms.sum())}"]
    lines += [f"bias: {_text(stop.layer.b[f])}", f"together {_text(one.value)}"]
    return _write_lines(canvas.ax, box.right + 24, box.middle - 24, *lines)


def _draw_relu(canvas, stop, one, top):
    """Show the map before and after, or the number on the curve, and write max(0, x)."""
    ax, left = canvas.ax, canvas.left
    if stop.out.ndim == 3:
        right = _draw_map(canvas, stop, one, top, (*one.place[1:], 1, 1))[-1].right
    else:
        wide, tall, reach = 380, 200, signed(stop.x)[2]
        right, middle, bottom = left + wide, left + wide / 2, top + 20 + tall
        ax.plot([left, right], [bottom, bottom], color=style.LINE, lw=0.8)
        ax.plot([middle, middle], [top + 20, bottom], color=style.LINE, lw=0.8)
        green = style.TEXT_COLORS["output"]
        ax.plot([left, middle, right], [bottom, bottom, top + 20], color=green)
        x, y = middle + float(one.seen) / reach * wide / 2, bottom - one.value / reach * tall
        ax.plot([x, x], [y, bottom], color=WINDOW, lw=1.2, ls=(0, (3, 2)))
        ax.plot(x, y, "o", color=WINDOW, ms=7)
        for at, value in ((left + 18, -reach), (middle, 0), (right - 18, reach)):
            style.write(ax, at, bottom + 14, _text(value), 11, style.MUTED, align="center")
    lines = f"max(0, {_text(one.seen)})", f"= {_text(one.value)}"
    return _write_lines(ax, right + 30, top + TITLE + 78, *lines)


def _draw_pooling(canvas, stop, one, top):
    """Show the map before and after, and the window in numbers."""
    corner = [part.start for part in _window(stop, one.place)]
    grid = Grid(one.seen, "its window", "input", "")
    cell = min(44, 180 / max(one.seen.shape))
    box = _draw_map(canvas, stop, one, top, (*corner, *one.seen.shape), 40, (grid, cell))[-1]
    lines = f"largest of {one.seen.size}", f"= {_text(one.value)}"
    return _write_lines(canvas.ax, box.right + 30, box.middle - 12, *lines)


def _draw_map(canvas, stop, one, top, window, *more):
    """Draw the unit's map before and after, each on its own scale; outline window and unit."""
    c, p, q = one.place
    items = []
    for values, name, role, letters in (
        (stop.x[c], "goes in", "input", "(H, W)"),
        (stop.out[c], "comes out", "output", "(OH, OW)"),
    ):
        grid = Grid(values, f"map {c} {name}", role, f"{_ends(values)}; {letters}")
        items += [(grid, MAP / max(values.shape), *scale(values, role)), "→"]
    middle = top + TITLE + MAP / 2
    boxes = draw_line(canvas.ax, [*items[:-1], *more], canvas.left, middle)
    for item, box, part in zip(items[::2], boxes, (window, (p, q, 1, 1)), strict=False):
        _outline(canvas.ax, box.left, box.top, item[1], *part)
    return boxes


def _draw_affine(canvas, stop, one, top):
    """Draw what each map, or each number, contributes to the sum, as bars up and down."""
    ax, left, j = canvas.ax, canvas.left, one.place[0]
    parts, what = one.terms, "numbers"
    if parts.ndim == 3:
        parts, what = parts.sum(axis=(1, 2)), "maps"
    text = f"what each of {len(parts)} {what} contributes"
    style.write(ax, left, top + 10, text, 12, style.MUTED)
    wide, tall, up, down = 560, 190, max(parts.max(), 0.0), min(parts.min(), 0.0)
    unit, pitch, k = tall / max(up - down, 1e-12), wide / len(parts), np.arange(len(parts))
    zero, middles = top + 26 + up * unit, left + (k + 0.4) * pitch
    strength = np.sign(parts) * np.maximum(0.35, np.abs(parts) / signed(parts)[2])
    colors = style.DIVERGING(0.5 + 0.5 * strength)
    ax.bar(middles, -parts * unit, 0.8 * pitch, bottom=zero, color=colors)
    ax.plot([left, left + wide], [zero, zero], color=style.MUTED, lw=0.8)
    near = np.minimum(k, k[::-1]) * pitch <= 30  # no room beside the number at the end
    for n in {0, k[-1], *(n for n in (parts.argmax(), parts.argmin()) if not near[n])}:
        y = top + 26 + tall + 14
        style.write(ax, middles[n], y, str(n), 11, style.MUTED, align="center")
    lines = [f"bars up: {_text(parts[parts > 0].sum())}"]
    lines += [f"bars down: {_text(parts[parts < 0].sum())}"]
    lines += [f"bias of neuron {j}: {_text(stop.layer.b[j])}", f"together {_text(one.value)}"]
    return _write_lines(ax, left + wide + 40, top + 80, *lines)


def _draw_softmax(canvas, stop, one, top):
    """Write scores, exponentials and probabilities, class by class, with bars."""
    ax, (j,) = canvas.ax, one.place
    ends = [canvas.left + x for x in (40, 130, 290, 440)]
    heads = ("class", "score s", f"exp(s − {_text(stop.x.max())})", "divided by sum")
    for x, head in zip(ends, heads, strict=True):
        style.write(ax, x, top + 10, head, 12, style.MUTED, align="right")
    pitch = min(20, 200 / stop.units)
    for k, (score, term, share) in enumerate(zip(stop.x, one.terms, stop.out, strict=True)):
        y, look = top + 32 + k * pitch, {"weight": "bold" if k == j else "normal"}
        cells = (str(k), _text(score), style.format_number(term, 4), style.percent(share))
        for x, text in zip(ends, cells, strict=True):
            style.write(ax, x, y, text, align="right", gid=f"softmax[{k}]", **look)
        color = style.tint("output", 1 if share == max(stop.out) else 0.45)
        ax.barh(y, 360 * share, 0.72 * pitch, left=ends[-1] + 16, color=color)
    y, wide = top + 32 + (j - 0.5) * pitch, ends[-1] - canvas.left + 14
    draw_frame(ax, canvas.left - 6, y, wide, pitch, WINDOW, 2, zorder=5)
    parts = (style.format_number(number, 4) for number in (one.terms[j], one.terms.sum()))
    text = f"{' / '.join(parts)} = {style.percent(one.value)}"
    y = top + 32 + stop.units * pitch + 10
    style.write(ax, canvas.left, y, f"class {j}: {text}", 13, weight="bold")
    return [text]


DRAWN = {
    "input": _draw_input,
    "Convolution": _draw_convolution,
    "Relu": _draw_relu,
    "Pooling": _draw_pooling,
    "Affine": _draw_affine,
    "Softmax": _draw_softmax,
}
