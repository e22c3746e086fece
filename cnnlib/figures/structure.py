"""Pictures of how networks are put together, and of what flows through them.

Book sections 7.1, 7.5 and 7.7. A *stage* is a layer with weights and what follows it, up to the
next one: Affine - ReLU, or Convolution - ReLU - Pooling. Layers are given as (name, output_shape,
n_params), in order, as from `Network.summary`; the first is the input.
"""

import re

import numpy as np

from cnnlib.figures import style
from cnnlib.figures.convolution import draw_block
from cnnlib.figures.grids import ROOM, draw_arrow, draw_frame, draw_image, draw_share

STAGE = 122  # least width of a stage: five and the input fill a line
ARROW = 28  # length of an arrow
BOX = 44  # height of a box
LINE = 128  # from one line of boxes to the next, where a network needs several
FLAT = "flattened"
NEW = style.tint("padding", 0.38)  # ground of the layers that a CNN adds
TALL = 170  # height of the tallest volume
SLANT = 0.28  # of an edge that goes back, against one that stands
LEAST = 5.0  # width, height or depth of the smallest volume


def layer_role(name, place, count):
    """Color a layer by what it does: pooling, learnt numbers, input, or fixed arithmetic."""
    name = name.lower()
    if "pool" in name or "subsampl" in name:
        return "output"
    if count or "conv" in name or "affine" in name:
        return "filter"
    return "padding" if place else "input"


def stages(layers):
    """Group the layers of a network into stages, the input left out.

    Examples
    --------
    >>> rows = [("input", (4,), 0), ("Affine1", (3,), 15), ("Relu1", (3,), 0), ("Affine2", (2,), 8)]
    >>> [[name for name, _, _ in stage] for stage in stages(rows)]
    [['Affine1', 'Relu1'], ['Affine2']]
    """
    groups = []
    for place, layer in enumerate(layers[1:], start=1):
        count = layer[2] if len(layer) > 2 else 0
        if not groups or layer_role(layer[0], place, count) == "filter":
            groups.append([])
        groups[-1].append(layer)
    return groups


def network(layers, message="Shapes on the arrows, learnt numbers below"):
    """Show a network layer by layer, colored by what the layers do (book figure 7-5-1)."""
    return compare({"": layers}, message, by_role=True)


def chain(layers, message=None):
    """Show a network stage by stage, with shapes on the arrows and parameter counts below.

    Book figures 7-1 and 7-2. Layers named Conv and Pool stand on grey ground, as there. The title
    says where most parameters sit, if no message is given.
    """
    return compare({"": layers}, _where_most_sit(layers) if message is None else message)


def compare(networks, message, by_role=False):
    """Show networks, by name, below each other: stages, or layers in the colors of their roles."""
    _check_networks(networks)
    canvas = style.Canvas(message)
    top, said = canvas.top, []
    for name, layers in networks.items():
        total = f"{sum(count or 0 for *_, count in layers):,} parameters"
        if name:
            style.write(canvas.ax, canvas.left, top + 10, name, 13, weight="bold")
            start = canvas.left + style.text_width(name, 13, "bold") + 10
            style.write(canvas.ax, start, top + 10, total, 12, style.MUTED)
            top += 30
        groups = [[layer] for layer in layers[1:]] if by_role else stages(layers)
        top = 24 + _draw_chain(canvas, [layers[:1], *groups], top, by_role)
        said.append(f"{name or 'network'}: {_spoken(layers)}; {total} in all")
    text = "" if "" not in networks else f"{total} in all. "
    text += "Shapes without the batch; orange bars: share of all parameters."
    if not by_role and any(_is_new(layer) for layers in networks.values() for layer in layers):
        text += " On grey: new in a CNN."
    bottom = canvas.note(top, text)
    return canvas.finish(canvas.right, bottom - 12, f"{message}. {'. '.join(said)}.")


def _draw_chain(canvas, groups, top, by_role):
    """Draw the layers of a group side by side, an arrow behind each group; return the bottom."""
    ax, left, middle = canvas.ax, canvas.left, top + 20 + BOX / 2
    counts = [sum(layer[2] or 0 for layer in group) for group in groups]
    shapes = [style.shape_text(np.atleast_1d(group[-1][1])) for group in groups]
    halves = [style.text_width(shape, 12) / 2 for shape in shapes]
    boxes = [[_box_width(layer, by_role) for layer in group] for group in groups]
    widths, total = [sum(boxes[0])], max(sum(counts), 1)
    for k, count in enumerate(counts[1:], start=1):  # over each arrow stands a shape
        text = style.text_width(f"{count:,} parameters", 11) if count else 0
        apart = halves[k - 1] + halves[k] + 8 - ARROW
        widths.append(max(sum(boxes[k]), text, apart, 0 if by_role else STAGE))
    ends, x = _line_ends(groups, np.add(widths, ARROW)), left
    for k, (group, width) in enumerate(zip(groups, widths, strict=True)):
        wides = np.multiply(boxes[k], width / sum(boxes[k]))
        _draw_group(ax, group, x, middle, wides, counts[k] / total, k, by_role)
        x += width
        canvas.right = max(canvas.right, x + ARROW, x + ARROW / 2 + halves[k])
        style.write(ax, x + ARROW / 2, middle - BOX / 2 - 10, shapes[k], 12, align="center")
        path, x = [(x + 3, middle), (x + ARROW - 3, middle)], x + ARROW
        if k in ends:  # on to the next line
            corner, turn, foot = x - ARROW / 2, middle + LINE - BOX / 2 - 36, left + 4
            middle += LINE
            x = left + ARROW
            path[1:] = [(corner, path[0][1]), (corner, turn), (foot, turn), (foot, middle)]
            path.append((x - 3, middle))
        draw_arrow(ax, path)
    return middle + BOX / 2 + 34


def _line_ends(groups, widths):
    """Break a chain into lines; return the last group of each line but the last.

    A chain of single layers is broken behind a pooling, where that fills half of a line.
    """
    ends, first, room = [], 0, ROOM - 14
    while sum(widths[first:]) > room:
        reach = np.cumsum(widths[first:])
        fitting = range(first, first + max(1, int((reach <= room).sum())))
        half = [k for k in fitting if reach[k - first] > ROOM / 2 and len(groups[k]) == 1]
        pools = [k for k in half if "pool" in groups[k][0][0].lower()]
        ends.append((pools or fitting)[-1])
        first, room = ends[-1] + 1, ROOM - 14 - ARROW
    return ends


def _draw_group(ax, group, left, middle, widths, share, place, by_role):
    """Draw the boxes of a group side by side, its parameter count and its share below."""
    x, below = left, middle + BOX / 2
    for layer, wide in zip(group, widths, strict=True):
        role = layer_role(layer[0], place, layer[2])
        face, edge, ink = style.tint(role, 0.3), style.TEXT_COLORS[role], style.INK
        if not by_role:  # orange where it learns, grey ground where it is new
            face = NEW if _is_new(layer) else "white" if place else face
            edge, ink = style.MUTED, style.TEXT_COLORS["filter"] if role == "filter" else ink
        draw_frame(ax, x, middle - BOX / 2, wide, BOX, edge, 1, face, gid=layer[0])
        text = _label(layer[0], by_role)
        style.write(ax, x + wide / 2, middle, text, 12, ink, "bold", "center")
        x += wide
    count = sum(layer[2] or 0 for layer in group)
    if count:
        style.write(ax, left, below + 14, f"{count:,} parameters", 11, style.MUTED)
        draw_share(ax, left, below + 25, sum(widths) - 42, 8, share)
        style.write(ax, x, below + 29, style.percent(share, 0), 11, style.MUTED, align="right")


def flow(networks, message="Maps between convolutions, a line of numbers before each affine layer"):
    """Show the data between the stages: maps as images, flat data as a strip of numbers.

    `networks` holds, by name, lists of (name, data): what the input is and what each layer puts
    out, in order, for one image, (C, H, W) or (D,). A stage begins where a name says Conv or
    Affine. A flattened copy is drawn where a layer makes flat data of maps.
    """
    _check_networks(networks)
    canvas = style.Canvas(message)
    top, said = canvas.top, []
    for name, layers in networks.items():
        style.write(canvas.ax, canvas.left, top + 10, name, 13, weight="bold")
        steps = _steps(layers)
        top = _draw_flow(canvas, steps, top + 30) + 24
        said.append(f"{name}: {', '.join(f'{n} {style.shape_text(d.shape)}' for n, d in steps)}")
    text = "Dark is high; each picture on its own scale. Of several maps, the first four are shown."
    if any(np.min(data) < 0 for layers in networks.values() for _, data in _steps(layers)):
        text += " Signed numbers: red above zero, blue below."
    bottom = canvas.note(top, text, width=canvas.right - canvas.left)
    return canvas.finish(canvas.right, bottom - 12, f"{message}. {'; '.join(said)}.")


def _draw_flow(canvas, steps, top):
    """Draw what is handed on in a line, with arrows between; return the bottom."""
    ax, slot = canvas.ax, ROOM / max(7, len(steps))
    square = min(84, slot - 24)
    middle, bottom, role, behind = top + square / 2, top, "input", 0
    for k, (label, data) in enumerate(steps):
        if k and label != FLAT:
            role = "output"
        center = canvas.left + (k + 0.5) * slot
        half = _draw_data(ax, data, center, top, square, role) / 2
        if k:
            draw_arrow(ax, [(behind + 4, middle), (center - half - 4, middle)])
        behind, below = center + half, top + square + 16
        style.write(ax, center, below, style.shape_text(data.shape), 12, align="center")
        for line in style.wrap(label, 11, slot - 6):
            below += 17
            style.write(ax, center, below, line, 11, style.MUTED, align="center")
        bottom = max(bottom, below + 6)
    canvas.right = max(canvas.right, canvas.left + len(steps) * slot)
    return bottom


def _draw_data(ax, data, center, top, square, role):
    """Draw the data of one image as up to four maps or as a strip; return its width."""
    low, high = min(0.0, float(data.min())), float(data.max())
    colors = style.IMAGE if role == "input" else style.sequential(role)
    if low < 0:
        high = max(high, -low)
        low, colors = -high, style.DIVERGING
    if data.ndim == 1:
        x, width = center - 8, 16
        ax.imshow(
            data[:, np.newaxis],
            cmap=colors,
            vmin=low,
            vmax=max(high, 1e-12),
            extent=(x, x + width, top + square, top),
            aspect="auto",
            interpolation="nearest" if len(data) <= square else "antialiased",
            zorder=0.8,
        )
        draw_frame(ax, x, top, width, square, style.MUTED, 0.8)
        return width
    C, H, W = data.shape
    across, gap = 1 if C == 1 else 2, 3
    cell = (square - gap * (across - 1)) / across / max(H, W)
    for c in range(min(C, across**2)):
        row, column = divmod(c, across)
        x = center - square / 2 + column * (W * cell + gap)
        draw_image(ax, data[c], x, top + row * (H * cell + gap), cell, colors, low, high)
    return square


def _steps(layers):
    """Reduce layers to what goes from stage to stage, and flatten it where a line comes of maps."""
    layers = [(name, np.asarray(data, float)) for name, data in layers]
    for name, data in layers:
        if data.ndim not in (1, 3) or not data.size:
            raise ValueError(f"{name}: expected data (C, H, W) or (D,), got shape {data.shape}")
    steps = [layers[0]]
    for group in stages(layers):
        before = steps[-1][1]
        if before.ndim == 3 and group[0][1].ndim == 1:
            steps.append((FLAT, before.reshape(-1)))
        steps.append((" ".join(_label(name) for name, _ in group), group[-1][1]))
    return steps


def volumes(layers, message=None):
    """Show what each layer puts out as a volume, in the style of the papers' own figures.

    Maps stand behind each other: channels run to the right, height upwards, width to the back. A
    line of numbers is a thin bar. All lengths are drawn by their square root, so that 3 and 4,096
    fit into one picture. Layers that neither learn nor change the shape are left out; the title
    says how many numbers are learnt, if no message is given.

    After LeCun et al. (1998), figure 2, and Krizhevsky et al. (2012), figure 2.
    """
    _check_networks({"": layers})
    shown = layers[:1]
    for layer in layers[1:]:
        if layer[2] or layer[1] != shown[-1][1]:
            shown.append(layer)
    total = sum(count or 0 for *_, count in layers)
    canvas = style.Canvas(f"{total:,} numbers to learn" if message is None else message)
    texts = [_lines(*layer) for layer in shown]
    slots = np.array([max(44, *(style.text_width(*text[:3]) for text in t)) + 7 for t in texts])
    spare = (ROOM - slots.sum()) / len(slots)
    if spare < 0:
        raise ValueError(f"{len(shown)} volumes do not fit beside each other")
    slots += min(spare, 40)
    # Channels, height, width; a line of numbers stands upright.
    edges = [
        np.sqrt(shape) if len(shape) == 3 else (1.0, np.sqrt(shape[0]) / 4, 0.0)
        for _, shape, _ in shown
    ]
    upright = TALL / max(height + SLANT * width for _, height, width in edges)
    across = [
        (slot - 14 - max(LEAST, SLANT * upright * width)) / channels
        for slot, (channels, _, width) in zip(slots, edges, strict=True)
    ]
    scale = np.array([min(upright, *across), upright, SLANT * upright])
    middle, left = canvas.top + 12 + TALL / 2, canvas.left
    for place, (slot, edge, text) in enumerate(zip(slots, edges, texts, strict=True)):
        wide, high, deep = np.maximum(LEAST, scale * edge)
        corner = left + (slot - wide - deep) / 2, middle + (high + deep) / 2
        draw_block(canvas.ax, *corner, wide, high, deep, "output" if place else "input")
        for k, (line, size, weight, color) in enumerate(text):
            at, look = (left + slot / 2, middle + TALL / 2 + 26 + 17 * k), {"gid": shown[place][0]}
            style.write(canvas.ax, *at, line, size, color, weight, "center", **look)
        left += slot
    note = "Channels to the right, height upwards, width to the back; lengths by their square root."
    note += " In brown: layers that learn, and how many numbers."
    bottom = canvas.note(middle + TALL / 2 + 110, note, 11, width=left - canvas.left)
    text = f"Volumes: {_spoken(shown)}; {total:,} parameters in all."
    return canvas.finish(left, bottom - 12, text)


def _lines(name, shape, count):
    """List what stands below a volume, with size, weight and color: name, shape and parameters."""
    learns = style.TEXT_COLORS["filter"]
    sizes = (
        [f"{shape[0]:,}", ""] if len(shape) == 1 else [f"{shape[0]} x", f"{shape[1]} x {shape[2]}"]
    )
    lines = [(name, 12, "bold", learns if layer_role(name, 1, count) == "filter" else style.INK)]
    lines += [(text, 11, "normal", style.MUTED) for text in sizes]
    return [*lines, (f"{count:,}", 11, "normal", learns)] if count else lines


def _check_networks(networks):
    """Raise ValueError where there is no network, or one without layers."""
    if not networks:
        raise ValueError("there is no network to draw")
    for name, layers in networks.items():
        if len(layers) < 2:
            text = f"a network is an input and at least one layer, got {len(layers)} rows"
            raise ValueError(f"{name}: {text}" if name else text)


def _where_most_sit(layers):
    """Say which layer has most of the parameters, or that none has half of them."""
    counts = [layer[2] or 0 for layer in layers]
    total = sum(counts)
    if not total:
        return "Nothing to learn in this network"
    most = int(np.argmax(counts))
    share = style.percent(counts[most] / total, 0)
    if counts[most] < total / 2:
        return f"{total:,} parameters, at most {share} of them in one layer"
    return f"{layers[most][0]} holds {share} of the {total:,} parameters"


def _spoken(layers):
    """List the layers with shapes and counts, for the alt text."""
    texts = []
    for name, shape, count in layers:
        text = f"{name} {style.shape_text(np.atleast_1d(shape))}"
        texts.append(f"{text} with {count:,} parameters" if count else text)
    return ", ".join(texts)


def _is_new(layer):
    """Whether a layer is of a kind that only CNNs have."""
    return any(kind in layer[0].lower() for kind in ("conv", "pool"))


def _label(name, whole=False):
    """Write a layer's name without its number: Conv1 is Conv, Relu1 is ReLU; C1 stays."""
    return name if whole else re.sub(r"(?<=[a-z]{2})\d+$", "", name).replace("Relu", "ReLU")


def _box_width(layer, whole):
    return style.text_width(_label(layer[0], whole), 12, "bold") + (18 if whole else 8)
