"""Pictures of whole networks: volumes in perspective, where the work is, then and now.

Book section 7.7.
"""

import numpy as np
from matplotlib.patches import Rectangle

from cnnlib.figures import style
from cnnlib.figures.blocks import draw_block
from cnnlib.figures.training import layer_role

ROOM = style.MAX_WIDTH - 2 * style.MARGIN
TALL = 170  # height of the tallest volume
SLANT = 0.28  # of an edge that goes back, against one that stands
LEAST = 5.0  # width, height or depth of the smallest volume


def volumes(layers, message=None):
    """Show what each layer puts out as a volume, in the style of the papers' own figures.

    Maps stand behind each other: channels run to the right, height upwards, width to the back. A
    line of numbers is a thin bar. All lengths are drawn by their square root, so that 3 and 4,096
    fit into one picture.

    Parameters
    ----------
    layers : list of (name, output_shape, n_params)
        In order; the first is the input. As from `Network.summary`. Layers that neither learn nor
        change the shape are left out.
    message : str, optional
        Title; how many numbers are learnt, if left out.

    Returns
    -------
    Card

    Notes
    -----
    After LeCun et al. (1998), figure 2, and Krizhevsky et al. (2012), figure 2.
    """
    if len(layers) < 2:
        raise ValueError(f"a network is an input and at least one layer, got {len(layers)} rows")
    shown = [layers[0]]
    for layer in layers[1:]:
        if layer[2] or layer[1] != shown[-1][1]:
            shown.append(layer)
    total = sum(count or 0 for *_, count in layers)
    canvas = style.Canvas(f"{total:,} numbers to learn" if message is None else message)
    slots = np.array([_slot(layer) for layer in shown])
    spare = (ROOM - slots.sum()) / len(slots)
    if spare < 0:
        raise ValueError(f"{len(shown)} volumes do not fit beside each other")
    slots += min(spare, 40)
    edges = [_edges(shape) for _, shape, _ in shown]  # channels, height, width
    upright = TALL / max(height + SLANT * width for _, height, width in edges)
    across = min(
        upright,
        min(
            (slot - 14 - max(LEAST, SLANT * upright * width)) / channels
            for slot, (channels, _, width) in zip(slots, edges, strict=True)
        ),
    )
    middle, left = canvas.top + 12 + TALL / 2, canvas.left
    for place, (layer, slot, (channels, height, width)) in enumerate(
        zip(shown, slots, edges, strict=True)
    ):
        wide, high = max(LEAST, across * channels), max(LEAST, upright * height)
        deep = max(LEAST, SLANT * upright * width)
        role = "output" if place else "input"
        x = left + (slot - wide - deep) / 2
        draw_block(canvas.ax, x, middle + (high + deep) / 2, wide, high, deep, role)
        _write_below(canvas.ax, left + slot / 2, middle + TALL / 2 + 26, layer, place)
        left += slot
    note = (
        "Channels to the right, height upwards, width to the back; lengths by their square root. "
        "In brown: layers that learn, and how many numbers."
    )
    bottom = middle + TALL / 2 + 110
    bottom = style.paragraph(canvas.ax, canvas.left, bottom, note, left - canvas.left, 11)
    listed = ", ".join(
        f"{name} {style.shape_text(shape)}" + (f" with {count:,} parameters" if count else "")
        for name, shape, count in shown
    )
    return canvas.finish(left, bottom - 12, f"Volumes: {listed}; {total:,} parameters in all.")


def costs(rows, message=None):
    """Show how parameters and multiplications are shared out among the layers of a network.

    Parameters
    ----------
    rows : list of LayerRow
        As from `Network.table`: name, kind, shape, parameters, multiplications. Layers that
        neither learn nor multiply are left out.
    message : str, optional
        Title; the shares of the affine layers, if left out.

    Returns
    -------
    Card
    """
    rows = [row for row in rows if row.parameters or row.multiplications]
    if not rows:
        raise ValueError("no layer of this network learns or multiplies")
    counts = np.array([[row.parameters, row.multiplications] for row in rows], float)
    totals = counts.sum(axis=0)
    affine = np.array([len(row.shape) == 1 for row in rows])
    shares = counts[affine].sum(axis=0) / totals
    if message is None:
        message = (
            f"The affine layers hold {shares[0]:.0%} of the parameters and do {shares[1]:.0%} of "
            "the multiplications"
        ).replace("%", " %")
    canvas = style.Canvas(message)
    ax, line, bar = canvas.ax, 28, 180
    columns = canvas.left + 190, canvas.left + 190 + bar + 140
    top = canvas.top + 12
    for left, name, total in zip(columns, ("parameters", "multiplications"), totals, strict=True):
        style.write(ax, left, top, name, 13, weight="bold")
        start = left + style.text_width(name, 13, "bold") + 8
        style.write(ax, start, top, f"{total:,.0f} in all", 12, style.MUTED)
    y = top + 30
    for row, numbers in zip(rows, counts, strict=True):
        style.write(ax, canvas.left, y, row.name, 12, style.TEXT_COLORS["filter"], "bold")
        style.write(ax, canvas.left + 74, y, style.shape_text(row.shape), 12, style.MUTED)
        for left, number, total in zip(columns, numbers, totals, strict=True):
            ax.add_patch(Rectangle((left, y - 9), bar, 18, fc="#edf0f2", ec="none"))
            ax.add_patch(
                Rectangle(
                    (left, y - 9), bar * number / total, 18, fc=style.ROLES["filter"], ec="none",
                    gid="share",
                )
            )  # fmt: skip
            style.write(ax, left + bar + 10, y, f"{number:,.0f}", 12)
        y += line
    listed = "; ".join(
        f"{row.name} {row.parameters:,} parameters, {row.multiplications:,} multiplications"
        for row in rows
    )
    return canvas.finish(columns[1] + bar + 110, y - 12, f"{message}: {listed}.")


def then_and_now(quantities, names, message="What changed in between"):
    """Show two numbers of each quantity as bars on a logarithmic scale, and their ratio.

    Parameters
    ----------
    quantities : dict of str to (float, float)
        By name: then and now, both at least 1.
    names : (str, str)
        Of then and now.
    message : str
        Title.

    Returns
    -------
    Card
    """
    if len(names) != 2 or any(len(pair) != 2 for pair in quantities.values()):
        raise ValueError(f"two names and two numbers each are needed, got {names}, {quantities}")
    numbers = np.array(list(quantities.values()), float)
    if not numbers.size or not (numbers >= 1).all():
        raise ValueError(f"numbers on a logarithmic scale must be 1 or more, got {quantities}")
    canvas = style.Canvas(message)
    ax, full, tall = canvas.ax, 400, 20
    decades = max(1.0, np.ceil(np.log10(numbers.max())))
    zero = canvas.left + max(style.text_width(name, 12) for name in names) + 16
    y = canvas.top + 10
    for quantity, pair in quantities.items():
        style.write(ax, canvas.left, y + 8, quantity, 13, weight="bold")
        ratio = f"x {style.ratio_text(pair[1] / pair[0])}"
        style.write(ax, zero + full + 120, y + 44, ratio, 15, weight="bold", gid=quantity)
        y += 22
        for name, number, role in zip(names, pair, ("input", "filter"), strict=True):
            wide = full * np.log10(number) / decades
            style.write(ax, zero - 10, y + tall / 2, name, 12, style.MUTED, align="right")
            face, edge = style.tint(role, 0.6), style.ROLES[role]
            ax.add_patch(Rectangle((zero, y), max(wide, 2), tall, fc=face, ec=edge))
            x, text = zero + max(wide, 2) + 8, _large(number)
            ground = style.text_width(text, 12) + 8  # so that no line of the scale crosses a number
            ax.add_patch(Rectangle((x - 4, y), ground, tall, fc="white", ec="none", zorder=0.5))
            style.write(ax, x, y + tall / 2, text, 12)
            y += tall + 3
        y += 14
    for decade in range(0, int(decades) + 1, 3):
        x = zero + full * decade / decades
        ax.plot([x, x], [canvas.top + 26, y - 8], color=style.LINE, lw=0.8, zorder=0)
        style.write(ax, x, y + 4, _power(decade), 11, style.MUTED, align="center")
    listed = "; ".join(
        f"{quantity}: {_large(pair[0])} and {_large(pair[1])}"
        for quantity, pair in quantities.items()
    )
    return canvas.finish(
        zero + full + 220,
        y + 12,
        f"{message}, on a logarithmic scale, {names[0]} and {names[1]}. {listed}.",
    )


def _edges(shape):
    """Return the drawn lengths of channels, height and width; a line of numbers stands upright."""
    if len(shape) == 1:
        return 1.0, np.sqrt(shape[0]) / 4, 0.0
    return tuple(np.sqrt(shape))


def _power(exponent):
    """Write a power of ten: 1, 1,000, and from a million on with an exponent."""
    if exponent < 6:
        return f"{10**exponent:,}"
    return "10" + str(exponent).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


def _large(number):
    """Write a number in full below ten billion, else with two digits and a power of ten."""
    if number < 1e10:
        return f"{number:,.0f}"
    exponent = int(np.log10(number))
    return f"{number / 10**exponent:.1f} · {_power(exponent)}"


def _lines(layer):
    """Write name, shape and parameters of a layer in a few short lines."""
    name, shape, count = layer
    sizes = [f"{shape[0]:,}"] if len(shape) == 1 else [f"{shape[0]} x", f"{shape[1]} x {shape[2]}"]
    return name, sizes, f"{count:,}" if count else ""


def _slot(layer):
    """Return the width that a volume and its text need at least."""
    name, sizes, count = _lines(layer)
    texts = [style.text_width(text, 11) for text in (*sizes, count)]
    return max(style.text_width(name, 12, "bold"), *texts, 44) + 7


def _write_below(ax, center, y, layer, place):
    """Write the lines of a layer below its volume."""
    name, sizes, count = _lines(layer)
    learns = layer_role(name, place, layer[2]) == "filter"
    color = style.TEXT_COLORS["filter"] if learns else style.INK
    style.write(ax, center, y, name, 12, color, "bold", "center")
    for k, text in enumerate(sizes, start=1):
        style.write(ax, center, y + 17 * k, text, 11, style.MUTED, align="center")
    style.write(
        ax, center, y + 54, count, 11, style.TEXT_COLORS["filter"], align="center", gid=name
    )
