"""Pictures of sizes: where windows fit, what padding adds, how maps shrink, what divides.

Book sections 7.2.3 and 7.2.4, figure 7-6 and formula (7.1).
"""

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.patches import Rectangle

from cnnlib.figures import style
from cnnlib.figures.arithmetic import plane
from cnnlib.figures.grids import Box, Grid, count_reads, draw_row, fit
from cnnlib.windows import conv_output_size, explain_output_size, uncovered_size

ROOM = style.MAX_WIDTH - 2 * style.MARGIN


def sliding(height, width, filter_h, filter_w, stride=1, pad=0):
    """Show where the windows go, what they cover, and how many there are.

    Parameters
    ----------
    height, width : int
        Input size H x W.
    filter_h, filter_w : int
        Filter size FH x FW.
    stride, pad : int
        Step S and padding P.

    Returns
    -------
    Card

    Notes
    -----
    Book section 7.2.4, formula (7.1). The number in a cell says how many windows read it.
    """
    OH = conv_output_size(height, filter_h, stride, pad)
    OW = conv_output_size(width, filter_w, stride, pad)
    uncovered = [
        uncovered_size(height, filter_h, stride, pad),
        uncovered_size(width, filter_w, stride, pad),
    ]
    all_reads = count_reads((height, width), (filter_h, filter_w), stride, pad)
    reads = all_reads[pad : pad + height, pad : pad + width]
    unread = all_reads == 0
    gaps = (stride > filter_h and OH > 1) or (stride > filter_w and OW > 1)
    # The first window, and its neighbours to the right and below, where there are any.
    places = [(p, q) for p, q in ((0, 0), (0, 1), (1, 0)) if p < OH and q < OW]
    grids = [
        Grid(
            np.where(reads, reads, np.nan),  # the hatching says 0
            "input x",
            pad=pad,
            ring="",
            windows=[(p * stride, q * stride, filter_h, filter_w) for p, q in places],
            hatched=unread,
            strengths=0.08 + 0.6 * reads / max(1, reads.max()),
        ),
        Grid(np.zeros((OH, OW)), "output", "output", "(OH, OW)", cells=places, numbers=False),
    ]
    canvas = style.Canvas(
        f"A {filter_h} x {filter_w} window in steps of {stride} fits "
        f"{OH} x {OW} = {OH * OW} time{'s' * (OH * OW != 1)}"
    )
    cell = fit(grids, ROOM - 20, height=400, signs=1)
    boxes = draw_row(canvas.ax, [grids[0], "→", grids[1]], canvas.left, canvas.top, cell)
    corners = np.stack(np.meshgrid(np.arange(OW), np.arange(OH)), -1).reshape(-1, 2) * stride
    dot = min(5, max(1, cell * 0.16))
    at = (
        np.array(boxes[0][:2]) + (corners + 0.2) * cell
        if cell >= 8
        else corners * cell + (np.array(boxes[0][:2]) + cell / 2)
    )
    canvas.ax.scatter(
        *at.T, s=(dot * 0.72) ** 2, color=style.ROLES["window"], linewidths=0, zorder=6
    )

    y = max(box.bottom for box in boxes) + 26
    marks = "Each dot is the upper left corner of one window"
    if cell >= grids[0].smallest_cell():
        marks += "; each number counts the windows that read the cell"
    if len(places) > 1:
        further = " and ".join(["right"] * (OW > 1) + ["down"] * (OH > 1))
        marks += f"; dashed: the next window{'s' * (len(places) > 2)}, {further}"
    if unread.any():
        marks += "; hatched cells are read by none"
    y = style.paragraph(canvas.ax, canvas.left, y, marks + ".", ROOM - 220, 12) + 8
    right = boxes[2].left + max(grids[1].title_width, grids[1].columns * cell)
    sentences = [
        ("OH = ", explain_output_size(height, filter_h, stride, pad)),
        ("OW = ", explain_output_size(width, filter_w, stride, pad, lines="columns")),
    ]
    for letters, sentence in sentences:
        formula, _, rest = sentence.partition(": ")
        formula = formula.replace("*", "·").replace("-", "−")
        style.write(canvas.ax, canvas.left, y, letters + formula, 14)
        right = max(right, canvas.left + style.text_width(letters + formula, 14))
        y += 22
        if rest:
            rest = rest[0].upper() + rest[1:]
            y = style.paragraph(canvas.ax, canvas.left, y, rest, 640, 12) + 6
            right = max(right, canvas.left + 640)
    right = max(right, canvas.left + min(ROOM - 220, style.text_width(marks, 12)))
    return canvas.finish(
        right,
        y - 14,
        f"A {filter_h} x {filter_w} window slides over a {height} x {width} input with stride "
        f"{stride} and pad {pad}: the output is {OH} x {OW}; never read at the end: "
        f"{uncovered[0]} rows and {uncovered[1]} columns"
        f"{', and the gaps between the windows' if gaps else ''}.",
    )


def padding(x, pad):
    """Show an input before and after padding.

    Parameters
    ----------
    x : array_like, shape (H, W)
        Input of one channel.
    pad : int
        Padding P, at least 0.

    Returns
    -------
    Card

    Notes
    -----
    Book figure 7-6.
    """
    x = plane(x, "x")
    if pad < 0:
        raise ValueError(f"pad must be at least 0, got {pad}")
    H, W = x.shape
    items = [
        Grid(x, "input x"),
        "→",
        Grid(x, "padded input", pad=pad, letters="(H + 2P, W + 2P)"),
    ]
    canvas = style.Canvas(
        f"Padding {pad} puts {pad} ring{'s' * (pad != 1)} of zeros around the input"
        if pad
        else "Padding 0 leaves the input as it is"
    )
    cell = fit([items[0], items[2]], ROOM, signs=1)
    boxes = draw_row(canvas.ax, items, canvas.left, canvas.top, cell)
    return canvas.finish(
        boxes[2].left + max(items[2].title_width, items[2].columns * cell),
        max(box.bottom for box in boxes),
        f"A {H} x {W} input and the same input with padding {pad}: "
        f"{H + 2 * pad} x {W + 2 * pad}, zeros around.",
    )


def shrinking(size, filter_size, pad=0, stride=1, layers=8):
    """Show how the map shrinks from layer to layer until no filter fits, or stays.

    Parameters
    ----------
    size : int
        Input height and width.
    filter_size : int
        Filter height and width.
    pad, stride : int
        The same in every layer.
    layers : int, default 8
        Show at most so many convolutions.

    Returns
    -------
    Card

    Notes
    -----
    Book section 7.2.3.
    """
    sizes = [size]
    fits = True
    conv_output_size(1 + filter_size, filter_size, stride, pad)  # are the settings legal at all?
    while len(sizes) <= layers:
        try:
            sizes.append(conv_output_size(sizes[-1], filter_size, stride, pad))
        except ValueError:
            fits = False
            break
    name = f"{filter_size} x {filter_size}"
    count = len(sizes) - 1
    times = f"{count} convolution{'s' * (count != 1)}"
    if not fits and not count:
        message = f"No {name} filter fits into an input of {size} x {size}"
    elif not fits:
        message = f"After {times} with a {name} filter no further one fits"
    elif len(set(sizes)) == 1:
        message = f"Pad {pad} keeps the size: {size} x {size} in every layer"
    else:
        verb = "shrink" if sizes[-1] < size else "grow"
        message = f"{times} with a {name} filter {verb} "
        message += f"{size} x {size} to {sizes[-1]} x {sizes[-1]}"

    canvas = style.Canvas(message)
    gap = 26
    labels = [f"{s} x {s}" for s in sizes]
    unit = 30.0
    while _chain_width(sizes, labels, unit, gap) > ROOM or max(sizes) * unit > 240:
        unit *= 0.96
    ax, left = canvas.ax, canvas.left
    reach = 0 if fits else filter_size * unit  # the filter that does not fit is shown, too
    base = canvas.top + 12 + max(max(sizes) * unit, reach)
    for k, (s, label) in enumerate(zip(sizes, labels, strict=True)):
        side = s * unit
        slot = max(side, style.text_width(label, 12))
        x = left + (slot - side) / 2
        role = "output" if k else "input"
        inner = s if unit >= 6 else 1
        box = _lattice(ax, x, base - side, side, inner, role)
        if k < len(sizes) - 1 or not fits:
            reach = filter_size * unit
            too_large = not fits and k == len(sizes) - 1
            # The first window; with padding it begins outside of the map.
            corner = (x, base - reach) if too_large else (x - pad * unit, base - side - pad * unit)
            ax.add_patch(
                Rectangle(
                    corner,
                    reach,
                    reach,
                    fill=False,
                    ec=style.ROLES["window"],
                    lw=1.8,
                    ls=(0, (2.5, 1.5)) if too_large else "-",
                    zorder=4,
                )
            )
            if too_large:
                slot = max(slot, reach)
        middle = (box.left + box.right) / 2
        style.write(ax, middle, base + 16, label, 12, align="center")
        if k == 0:
            style.write(
                ax, middle, base + 34, "input", 12, style.TEXT_COLORS["input"], "bold", "center"
            )
        if k < len(sizes) - 1:
            style.write(ax, left + slot + gap / 2, base - 8, "→", 16, style.MUTED, align="center")
        left += slot + gap
    bottom = base + 40
    right = left - gap
    note = f"filter {name}, stride {stride}, pad {pad}"
    if fits and sizes[-1] != sizes[-2]:
        note += f"; shown up to layer {count}"
    elif not fits:
        note += ";"
    style.write(ax, canvas.left, bottom + 18, note, 12, style.MUTED)
    if not fits:
        reason = f"no {name} filter fits into {labels[-1]}"
        end = canvas.left + style.text_width(note, 12) + 8
        style.write(ax, end, bottom + 18, reason, 12, style.TEXT_COLORS["window"])
        note += f" {reason}"
    return canvas.finish(
        max(right, canvas.left + style.text_width(note, 12)),
        bottom + 26,
        f"Repeated convolution with {note}: the size goes {', '.join(map(str, sizes))}.",
    )


def dividing(size, pad=0, max_filter=11, max_stride=6):
    """Show which filters and strides divide, as a table of output sizes.

    Parameters
    ----------
    size : int
        Input height H.
    pad : int, default 0
        Padding P.
    max_filter, max_stride : int
        The table's columns and rows go from 1 to these.

    Returns
    -------
    Card

    Notes
    -----
    Book section 7.2.4, formula (7.1). Where a stride does not divide, the number in brackets
    counts the rows at the end that no window reads.
    """
    wide, tall = 56, 34
    table = _divide_table(size, pad, max_filter, max_stride)
    kinds = [kind for row in table for kind, _ in row]
    whole, possible = kinds.count("output"), len(kinds) - kinds.count("padding")
    canvas = style.Canvas(
        f"H = {size}, P = {pad}: {whole} of {possible} settings divide"
        if possible
        else f"H = {size}, P = {pad}: none of these filters fits"
    )
    ax, left, top = canvas.ax, canvas.left + 92, canvas.top + 42
    style.write(ax, left, top - 32, "filter FH", 13, style.TEXT_COLORS["filter"], "bold")
    for k in range(max_filter):
        style.write(ax, left + (k + 0.5) * wide, top - 12, str(k + 1), 12, align="center")
    style.write(ax, canvas.left, top + tall / 2, "stride S", 13, weight="bold")
    for i, row in enumerate(table):
        middle = top + (i + 0.5) * tall
        style.write(ax, left - 12, middle, str(i + 1), 12, align="right")
        for k, (kind, text) in enumerate(row):
            _draw_answer(ax, left + k * wide, top + i * tall, wide, tall, kind, text)
    bottom = top + max_stride * tall
    right = _write_legend(ax, canvas.left, bottom + 28)
    return canvas.finish(
        max(right, left + max_filter * wide),
        bottom + 40,
        f"Table of output sizes for H = {size} and P = {pad}, filters 1 to {max_filter} by "
        f"strides 1 to {max_stride}: {whole} settings divide, {possible - whole} leave rows "
        f"unread, {len(kinds) - possible} do not fit.",
    )


def _chain_width(sizes, labels, unit, gap):
    """Return the width of the squares of `shrinking` in a line."""
    slots = [max(s * unit, style.text_width(t, 12)) for s, t in zip(sizes, labels, strict=True)]
    return sum(slots) + gap * (len(sizes) - 1)


def _lattice(ax, left, top, side, count, role):
    """Draw a square of count x count cells without numbers."""
    step = side / count
    y, x = np.mgrid[0:count, 0:count]
    corners = np.array([(0, 0), (1, 0), (1, 1), (0, 1)]) * step
    squares = np.stack([left + x * step, top + y * step], -1).reshape(-1, 1, 2) + corners
    ax.add_collection(
        PolyCollection(
            squares,
            facecolors=style.tint(role),
            edgecolors=style.tint(role, 0.75),
            linewidths=0.8 if step >= 12 else 0.5,
        ),
        autolim=False,
    )
    return Box(left, top, left + side, top + side)


def _divide_table(size, pad, max_filter, max_stride):
    """Return, by stride and filter, what the formula says: a role as its kind, and its text."""
    table = []
    for stride in range(1, max_stride + 1):
        row = []
        for filter_size in range(1, max_filter + 1):
            if filter_size > size + 2 * pad:
                row.append(("padding", "–"))
                continue
            out = conv_output_size(size, filter_size, stride, pad)
            left = uncovered_size(size, filter_size, stride, pad)
            row.append(("window", f"{out} (+{left})") if left else ("output", str(out)))
        table.append(row)
    return table


def _draw_answer(ax, left, top, width, height, kind, text):
    """Draw one answer of `dividing`: green and bold, hatched, or grey."""
    divides = kind == "output"
    ax.add_patch(
        Rectangle(
            (left, top),
            width,
            height,
            fc=style.tint(kind, 0.4 if divides else 0.12),
            ec="white",
            lw=1.5,
        )
    )
    if kind == "window":
        ax.add_patch(
            Rectangle(
                (left + 2, top + height - 7),
                width - 4,
                5,
                fc="none",
                ec=style.tint("window", 0.7),
                hatch="//////",
                lw=0,
            )
        )
    style.write(
        ax,
        left + width / 2,
        top + height / 2 - (3 if kind == "window" else 0),
        text,
        13 if divides else 11,
        style.INK if divides else style.TEXT_COLORS[kind],
        "bold" if divides else "normal",
        "center",
        gid=kind,
    )


def _write_legend(ax, left, y):
    """Explain the three kinds of answers; return the right end."""
    for kind, text, meaning in (
        ("output", "OH", "divides: this many rows come out"),
        ("window", "OH (+r)", "does not: r rows at the end are never read"),
        ("padding", "–", "the filter does not fit"),
    ):
        _draw_answer(ax, left, y - 12, 56, 24, kind, text)
        style.write(ax, left + 64, y, meaning, 12, style.MUTED)
        left += 64 + style.text_width(meaning, 12) + 22
    return left - 22
