"""Pictures of how networks are put together, and of what flows through them.

Book section 7.1. A *stage* is a layer with weights and what follows it, up to the next one:
Affine - ReLU, or Convolution - ReLU - Pooling.
"""

import re

import numpy as np
from matplotlib.patches import Rectangle

from cnnlib.figures import style
from cnnlib.figures.grids import draw_image
from cnnlib.figures.training import draw_arrow, layer_role

RIGHT = style.MAX_WIDTH - style.MARGIN
INPUT = 46  # width of the input's box
STAGE = 122  # least width of a stage: five and the input fill a line
ARROW = 28  # least length of an arrow
BOX = 44  # height of a box
LINE = 128  # from one line of boxes to the next, where a network needs several
FLAT = "flattened"
SQUARE = 84  # height of the data between two stages
NEW = style.tint("padding", 0.38)  # ground of the layers that a CNN adds


def stages(layers):
    """Group the layers of a network into stages.

    Parameters
    ----------
    layers : list of tuple
        In order, the name first; the first is the input. As from `Network.summary`.

    Returns
    -------
    list of list of tuple
        The same tuples without the input; each inner list begins with a layer that has weights.

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


def chain(layers, message=None):
    """Show a network stage by stage, with shapes on the arrows and parameter counts below.

    Parameters
    ----------
    layers : list of (name, output_shape, n_params)
        In order; the first is the input. As from `Network.summary`.
    message : str, optional
        Title; where most parameters sit, if left out.

    Returns
    -------
    Card

    Notes
    -----
    Book figures 7-1 and 7-2. Layers named Conv and Pool stand on grey ground, as there.
    """
    return compare({"": layers}, _where_most_sit(layers) if message is None else message)


def compare(networks, message):
    """Show several networks below each other, stage by stage.

    Parameters
    ----------
    networks : dict of {str: list of (name, output_shape, n_params)}
        By name; the layers as for `chain`.
    message : str
        Title.

    Returns
    -------
    Card
    """
    _check(networks)
    canvas = style.Canvas(message)
    top, right, said = canvas.top, 0, []
    for name, layers in networks.items():
        total = _total(layers)
        if name:
            style.write(canvas.ax, canvas.left, top + 10, name, 13, weight="bold")
            start = canvas.left + style.text_width(name, 13, "bold") + 10
            text = f"{total:,} parameters"
            style.write(canvas.ax, start, top + 10, text, 12, style.MUTED)
            top += 30
        end, bottom = _draw_chain(canvas.ax, layers, canvas.left, top)
        top, right = bottom + 24, max(right, end)
        said.append(f"{name or 'network'}: {_spoken(layers)}; {total:,} parameters in all")
    text = "" if "" not in networks else f"{_total(networks['']):,} parameters in all. "
    text += "Shapes without the batch; orange bars: share of all parameters."
    if any(_is_new(layer) for layers in networks.values() for layer in layers):
        text += " On grey: new in a CNN."
    bottom = style.paragraph(canvas.ax, canvas.left, top, text, right - canvas.left)
    return canvas.finish(right, bottom - 12, ". ".join([message, *said]) + ".")


def flow(networks, message="Maps between convolutions, a line of numbers before each affine layer"):
    """Show the data between the stages: maps as images, flat data as a strip of numbers.

    Parameters
    ----------
    networks : dict of {str: list of (name, data)}
        By name: what the input is and what each layer puts out, in order, for one image; arrays
        of shape (C, H, W) or (D,). A stage begins where a name says Conv or Affine. A flattened
        copy is drawn where a layer makes flat data of maps.
    message : str
        Title.

    Returns
    -------
    Card
    """
    _check(networks)
    canvas = style.Canvas(message)
    top, right, said = canvas.top, 0, []
    for name, layers in networks.items():
        style.write(canvas.ax, canvas.left, top + 10, name, 13, weight="bold")
        steps = _steps(layers)
        end, bottom = _draw_flow(canvas.ax, steps, canvas.left, top + 30)
        top, right = bottom + 24, max(right, end)
        said.append(f"{name}: {', '.join(f'{n} {style.shape_text(d.shape)}' for n, d in steps)}")
    text = "Dark is high; each picture on its own scale. Of several maps, the first four are shown."
    if any(np.min(data) < 0 for layers in networks.values() for _, data in layers):
        text += " Signed numbers: red above zero, blue below."
    bottom = style.paragraph(canvas.ax, canvas.left, top, text, right - canvas.left)
    return canvas.finish(right, bottom - 12, f"{message}. {'; '.join(said)}.")


def _draw_chain(ax, layers, left, top):
    """Draw a network in one line, or several; return its right end and its bottom."""
    groups = stages(layers)
    total = max(_total(layers), 1)
    right, middle = left + INPUT, top + 20 + BOX / 2
    _draw_box(ax, left, middle, INPUT, layers[0], place=0)
    first, shape, behind = left, layers[0][1], left + INPUT
    for group in groups:
        width = _stage_width(group)
        fits = behind + ARROW + width + ARROW + 14 <= RIGHT
        start = behind + ARROW if fits else first + INPUT + ARROW
        path = [(behind + 3, middle), (start - 3, middle)]
        _write_shape(ax, behind + ARROW / 2, middle, shape)
        if not fits:  # on to the next line
            corner, turn = behind + ARROW / 2, middle + LINE - BOX / 2 - 36
            middle += LINE
            foot = start - ARROW / 2 - 10
            path = [path[0], (corner, path[0][1]), (corner, turn), (foot, turn)]
            path += [(foot, middle), (start - 3, middle)]
        draw_arrow(ax, path)
        _draw_stage(ax, group, start, middle, width, total)
        behind, shape = start + width, group[-1][1]
        half = style.text_width(style.shape_text(np.atleast_1d(shape)), 12) / 2
        right = max(right, behind + ARROW, behind + ARROW / 2 + half)
    draw_arrow(ax, [(behind + 3, middle), (behind + ARROW - 3, middle)])
    _write_shape(ax, behind + ARROW / 2, middle, shape)
    return right, middle + BOX / 2 + 34


def _draw_stage(ax, group, left, middle, width, total):
    """Draw the boxes of a stage side by side, its parameter count and its share below."""
    naturals = [_box_width(layer) for layer in group]
    spare = (width - sum(naturals)) / len(group)
    at = left
    for layer, natural in zip(group, naturals, strict=True):
        _draw_box(ax, at, middle, natural + spare, layer)
        at += natural + spare
    count = sum(layer[2] or 0 for layer in group)
    below = middle + BOX / 2
    style.write(ax, left, below + 14, _count_text(count), 11, style.MUTED)
    share = count / total
    track = width - 42
    ax.add_patch(Rectangle((left, below + 25), track, 8, fc="#edf0f2", ec="none", gid="track"))
    ax.add_patch(
        Rectangle((left, below + 25), track * share, 8, fc=style.ROLES["filter"], gid="share")
    )
    text = _percent(share)
    style.write(ax, left + width, below + 29, text, 11, style.MUTED, align="right")


def _draw_box(ax, left, middle, width, layer, place=1):
    """Draw one layer: grey ground where it is new in a CNN, orange name where it has weights."""
    face = NEW if _is_new(layer) else "white" if place else style.tint("input", 0.3)
    weights = layer_role(layer[0], place, layer[2]) == "filter"
    color = style.TEXT_COLORS["filter"] if weights else style.INK
    corner = (left, middle - BOX / 2)
    ax.add_patch(Rectangle(corner, width, BOX, fc=face, ec=style.MUTED, lw=1, gid=layer[0]))
    style.write(ax, left + width / 2, middle, _label(layer[0]), 12, color, "bold", "center")


def _write_shape(ax, center, middle, shape):
    """Write a shape over an arrow, above the boxes."""
    text = style.shape_text(np.atleast_1d(shape))
    style.write(ax, center, middle - BOX / 2 - 10, text, 12, align="center")


def _draw_flow(ax, steps, left, top):
    """Draw what is handed on in a line, with arrows between; return right end and bottom."""
    slot = (RIGHT - left) / max(7, len(steps))
    square = min(SQUARE, slot - 24)
    middle, bottom, role, behind = top + square / 2, top, "input", left
    for k, (label, data) in enumerate(steps):
        if k and label != FLAT:
            role = "output"
        center = left + (k + 0.5) * slot
        half = _draw_data(ax, data, center, top, square, role) / 2
        if k:
            draw_arrow(ax, [(behind + 4, middle), (center - half - 4, middle)])
        behind, below = center + half, top + square + 16
        style.write(ax, center, below, style.shape_text(data.shape), 12, align="center")
        for line in style.wrap(label, 11, slot - 6):
            below += 17
            style.write(ax, center, below, line, 11, style.MUTED, align="center")
        bottom = max(bottom, below + 6)
    return left + len(steps) * slot, bottom


def _draw_data(ax, data, center, top, square, role):
    """Draw the data of one image as up to four maps or as a strip; return its width."""
    low, high = min(0.0, float(data.min())), float(data.max())
    colors = style.IMAGE if role == "input" else style.sequential(role)
    if low < 0:
        high = max(high, -low)
        low, colors = -high, style.DIVERGING
    if data.ndim == 1:
        width = 16
        ax.imshow(
            data[:, np.newaxis],
            cmap=colors,
            vmin=low,
            vmax=max(high, 1e-12),
            extent=(center - width / 2, center + width / 2, top + square, top),
            aspect="auto",
            interpolation="nearest" if len(data) <= square else "antialiased",
            zorder=0.8,
        )
        corner = (center - width / 2, top)
        ax.add_patch(Rectangle(corner, width, square, fill=False, ec=style.MUTED, lw=0.8))
        return width
    C, H, W = data.shape
    across = 1 if C == 1 else 2
    gap = 3
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


def _check(networks):
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
    share = _percent(counts[most] / total)
    if counts[most] < total / 2:
        return f"{total:,} parameters, at most {share} of them in one layer"
    return f"{layers[most][0]} holds {share} of the {total:,} parameters"


def _spoken(layers):
    """List the layers with shapes and counts, for the alt text."""
    texts = []
    for name, shape, count in layers:
        text = f"{name} {style.shape_text(np.atleast_1d(shape))}"
        texts.append(f"{text} with {_count_text(count)}" if count else text)
    return ", ".join(texts)


def _total(layers):
    return sum(count or 0 for _, _, count in layers)


def _is_new(layer):
    """Whether a layer is of a kind that only CNNs have."""
    return any(kind in layer[0].lower() for kind in ("conv", "pool"))


def _label(name):
    """Write a layer's name without its number: Conv1 is Conv, Relu1 is ReLU; C1 stays."""
    return re.sub(r"(?<=[a-z]{2})\d+$", "", name).replace("Relu", "ReLU")


def _box_width(layer):
    return style.text_width(_label(layer[0]), 12, "bold") + 8


def _stage_width(group):
    count = sum(layer[2] or 0 for layer in group)
    natural = sum(_box_width(layer) for layer in group)
    return max(STAGE, natural, style.text_width(_count_text(count), 11))


def _count_text(count):
    return f"{count:,} parameters"


def _percent(share):
    """Write a share in whole per cent, or as below one."""
    return "< 1 %" if 0 < share < 0.005 else f"{100 * share:.0f} %"
