"""Pictures of section 7.2: sums, bias, channels, the turned filter; sizes, padding, strides.

Numbers in, figure out; what the arithmetic forbids raises the ValueError of `cnnlib.windows`. The
other pictures of that section, in ``blocks`` and ``responses``, can be had from here.
"""

import numpy as np
from matplotlib.patches import Rectangle

from cnnlib.figures import style
from cnnlib.figures.arithmetic import by, convolve, counted, plane
from cnnlib.figures.blocks import blocks
from cnnlib.figures.grids import (
    SIGN,
    TITLE,
    Box,
    Grid,
    count_reads,
    draw_frame,
    draw_grid,
    draw_lattice,
    draw_row,
    draw_sign,
    draw_title,
    fit,
)
from cnnlib.figures.responses import filter_response, mixing, photograph
from cnnlib.windows import conv_output_size, explain_output_size, uncovered_size

__all__ = [
    "blocks",
    "dividing",
    "filter_response",
    "flipping",
    "mixing",
    "operation",
    "padding",
    "photograph",
    "shrinking",
    "sliding",
]

ROOM = style.MAX_WIDTH - 2 * style.MARGIN


def operation(x, W, b=0.0, stride=1, pad=0):
    """Show a convolution as a whole: input, filter, output; with a bias, before and after it.

    Parameters
    ----------
    x : (H, W) or (C, H, W), one channel, or up to four, drawn behind each other
    W : (FH, FW) or (C, FH, FW), as many channels as `x`
    b : float, bias; shown where it is not zero
    stride, pad : int, step S and zero padding P
    """
    x, W = _image_and_filter(x, W)
    if pad and len(x) > 1:
        raise ValueError(f"several channels are drawn without padding, got pad {pad}")
    _, out = convolve(x, W, b, stride, pad)
    several, padded = len(x) > 1, tuple(n + 2 * pad for n in x.shape[1:])
    C, shape = ("C, ", x.shape) if several else ("", padded)
    letters = f"({C}H + 2P, W + 2P)" if pad else f"({C}H, W)"
    first = Grid(x[0], "input x", letters=letters, shape=shape, pad=pad)
    first.hatched = count_reads(x.shape[1:], W.shape[1:], stride, pad) == 0
    second = Grid(W[0], "filter W", "filter", f"({C}FH, FW)", W.shape if several else None)
    items = [first, "⊛", second, "→"]
    if b:
        items += [Grid(out - b, "sums", "output", "(OH, OW)"), "+"]
        items += [Grid([[b]], "bias b", "bias", ""), "→"]
        message = f"The bias {style.format_number(b, style.decimals_needed(b))} comes last: "
        message += "it is added to every sum"
    elif several:
        message = f"{len(x)} channels with {len(x)} channels give one map"
    else:
        message = f"A {by(W.shape[1:])} filter has {counted(out.size, 'place')} in "
        message += f"a {by(x.shape[1:])} input{f' padded by {pad}' if pad else ''}"
    items.append(Grid(out, "output", "output", "(OH, OW)"))
    canvas = style.Canvas(message)
    bottom, right = _draw_operation(canvas, items, len(x))
    return canvas.finish(
        right,
        bottom,
        f"Convolution of an input {style.shape_text(x.shape if several else x.shape[1:])} with a "
        f"filter {style.shape_text(second.shape)}, pad {pad}, stride {stride}"
        f"{f', bias {b:g}' if b else ''}: the output is {_rows(out)}.",
    )


def flipping(x, W):
    """Show cross-correlation and convolution side by side: the same but for a turned filter.

    Parameters
    ----------
    x, W : (H, W) and (FH, FW), the depth of the color follows each number of the filter
    """
    x, W = plane(x, "x"), plane(W, "W")
    strengths = np.linspace(0.12, 0.75, W.size).reshape(W.shape)
    lines = []
    for kernel, depth, name in (
        (W, strengths, "W"),
        (W[::-1, ::-1], strengths[::-1, ::-1], "W, turned"),
    ):
        _, out = convolve(x[np.newaxis], kernel[np.newaxis], 0.0, 1, 0)
        turned = Grid(kernel, name, "filter", "(FH, FW)", strengths=depth)
        lines.append([Grid(x, "input x"), turned, Grid(out, "output", "output", "(OH, OW)")])
    outs = [line[2].values for line in lines]
    canvas = style.Canvas(
        "This filter, turned by 180 degrees, gives the same output"
        if np.array_equal(*outs)
        else "Convolution turns the filter by 180 degrees, cross-correlation does not"
    )
    ax, cell = canvas.ax, min(34, fit(lines[0], ROOM - 190, 200, signs=2))
    names = ("cross-correlation:", "what networks do"), ("convolution:", "what mathematics does")
    left = canvas.left + max(style.text_width(name, 13) for pair in names for name in pair) + 24
    top, right = canvas.top, left
    for (one, two, three), (name, what) in zip(lines, names, strict=True):
        placed = draw_row(ax, [one, "⊛", two, "→", three], left, top, cell)
        style.write(ax, canvas.left, placed[0].middle - 10, name, 13, weight="bold")
        style.write(ax, canvas.left, placed[0].middle + 10, what, 13, style.MUTED)
        top = placed[0].bottom + 18
        right = max(right, placed[-1].left + three.slot(cell))
    return canvas.finish(
        right + 10,
        top - 18,
        f"The same input and filter: cross-correlation gives {_rows(outs[0])}; convolution, with "
        f"the filter turned by 180 degrees, gives {_rows(outs[1])}.",
    )


def _image_and_filter(x, W):
    """Return x (C, H, W) and W (C, FH, FW) with a channel axis, or raise ValueError."""
    x, W = np.asarray(x, float), np.asarray(W, float)
    if x.ndim not in (2, 3) or W.ndim != x.ndim:
        raise ValueError(
            f"x and W must be both (H, W) or both (C, H, W), got shapes {x.shape} and {W.shape}"
        )
    x, W = x.reshape(-1, *x.shape[-2:]), W.reshape(-1, *W.shape[-2:])
    if len(x) != len(W):
        raise ValueError(f"x has {len(x)} channels and the filter has {len(W)}")
    if not 1 <= len(x) <= 4:
        raise ValueError(f"the figure shows 1 to 4 channels, got {len(x)}")
    return x, W


def _draw_operation(canvas, items, channels):
    """Draw grids and signs in a line, the channels behind each other; return bottom and right."""
    ax, behind = canvas.ax, 12 * (channels - 1)
    grids = [item for item in items if isinstance(item, Grid)]
    cell = fit(grids, ROOM - 2 * behind, signs=len(items) - len(grids))
    tallest, left = max(g.rows for g in grids) * cell, canvas.left
    middle = canvas.top + TITLE + behind + tallest / 2
    for item in items:
        if isinstance(item, str):
            draw_sign(ax, left + SIGN / 2, middle, item)
            left += SIGN
            continue
        shift = behind if item.role in ("input", "filter") else 0
        wide = item.columns * cell
        slot = max(wide + shift, item.title_width)
        x0, y0 = round(left + (slot - shift - wide) / 2), round(middle - item.rows * cell / 2)
        left += slot
        if shift:
            draw_title(ax, item, Box(x0, y0 - shift, x0 + wide + shift, y0))
            item.name = ""
            for k in reversed(range(1, channels)):
                blank = Grid(item.values, role=item.role, numbers=False)
                draw_grid(ax, blank, x0 + 12 * k, y0 - 12 * k, cell)
        draw_grid(ax, item, x0, y0, cell)
    bottom = middle + tallest / 2
    if channels > 1:
        text = "in front: channel 0; the others stand behind it"
        style.write(ax, canvas.left, bottom + 22, text, 12, style.MUTED)
        bottom += 28
    return bottom, left


def _rows(values):
    """Write a grid row by row: "[15 16] [6 15]"."""
    decimals = style.decimals_needed(values)
    rows = (" ".join(style.format_number(v, decimals) for v in row) for row in values)
    return " ".join(f"[{row}]" for row in rows)


def sliding(height, width, filter_h, filter_w, stride=1, pad=0):
    """Show where the windows go, how many there are, and how many read each cell.

    Parameters
    ----------
    height, width : int, input size
    filter_h, filter_w : int, filter size
    stride, pad : int, step S and zero padding P
    """
    OH = conv_output_size(height, filter_h, stride, pad)
    OW = conv_output_size(width, filter_w, stride, pad)
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
        f"{OH} x {OW} = {counted(OH * OW, 'time')}"
    )
    ax, cell = canvas.ax, fit(grids, ROOM - 20, height=400, signs=1)
    boxes = draw_row(ax, [grids[0], "→", grids[1]], canvas.left, canvas.top, cell)
    corners = np.stack(np.meshgrid(np.arange(OW), np.arange(OH)), -1).reshape(-1, 2) * stride
    x, y = (np.array(boxes[0][:2]) + (corners + (0.2 if cell >= 8 else 0.5)) * cell).T
    dot = 0.72 * min(5, max(1, cell * 0.16))
    ax.scatter(x, y, s=dot**2, color=style.ROLES["window"], linewidths=0, zorder=6)

    marks = "Each dot is the upper left corner of one window"
    if cell >= grids[0].smallest_cell():
        marks += "; each number counts the windows that read the cell"
    if len(places) > 1:
        further = " and ".join(["right"] * (OW > 1) + ["down"] * (OH > 1))
        marks += f"; dashed: the next window{'s' * (len(places) > 2)}, {further}"
    if unread.any():
        marks += "; hatched cells are read by none"
    y = max(box.bottom for box in boxes) + 26
    y = style.paragraph(ax, canvas.left, y, marks + ".", ROOM - 220, 12) + 8
    right = max(
        boxes[2].left + grids[1].slot(cell),
        canvas.left + min(ROOM - 220, style.text_width(marks, 12)),
    )
    for letters, size, filter_size, lines in (
        ("OH = ", height, filter_h, "rows"),
        ("OW = ", width, filter_w, "columns"),
    ):
        sentence = explain_output_size(size, filter_size, stride, pad, lines=lines)
        y, end = write_formula(ax, canvas.left, y, letters, sentence, 640)
        y, right = y + 6 * (": " in sentence), max(right, end)
    uncovered = [
        uncovered_size(height, filter_h, stride, pad),
        uncovered_size(width, filter_w, stride, pad),
    ]
    return canvas.finish(
        right,
        y - 14,
        f"A {filter_h} x {filter_w} window slides over a {height} x {width} input with stride "
        f"{stride} and pad {pad}: the output is {OH} x {OW}; never read at the end: "
        f"{uncovered[0]} rows and {uncovered[1]} columns"
        f"{', and the gaps between the windows' if gaps else ''}.",
    )


def write_formula(ax, left, y, letters, sentence, room):
    """Write a sentence of `explain_output_size`, the formula in a line of its own.

    Returns the height of the next line, and the right end.
    """
    formula, _, rest = sentence.partition(": ")
    formula = letters + formula.replace("*", "·").replace("-", "−")
    style.write(ax, left, y, formula, 14)
    right, y = left + style.text_width(formula, 14), y + 22
    if rest:
        y = style.paragraph(ax, left, y, rest[0].upper() + rest[1:], room, 12)
        right = max(right, left + room)
    return y, right


def padding(x, pad):
    """Show an input `x` (H, W) before and after padding, as book figure 7-6 does."""
    x = plane(x, "x")
    if pad < 0:
        raise ValueError(f"pad must be at least 0, got {pad}")
    before, after = Grid(x, "input x"), Grid(x, "padded input", pad=pad)
    message = f"Padding {pad} puts {counted(pad, 'ring')} of zeros around the input"
    canvas = style.Canvas(message if pad else "Padding 0 leaves the input as it is")
    after.letters = "(H + 2P, W + 2P)"
    cell = fit([before, after], ROOM, signs=1)
    boxes = draw_row(canvas.ax, [before, "→", after], canvas.left, canvas.top, cell)
    return canvas.finish(
        boxes[2].left + after.slot(cell),
        max(box.bottom for box in boxes),
        f"A {by(x.shape)} input and the same input with padding {pad}: {by(after.shape)}, "
        "zeros around.",
    )


def shrinking(size, filter_size, pad=0, stride=1, layers=8):
    """Show how the map shrinks from layer to layer until no filter fits, or stays.

    Parameters
    ----------
    size, filter_size : int, height and width of the input and of every filter
    pad, stride : int, the same in every layer
    layers : int, show at most so many convolutions
    """
    sizes, fits = [size], True
    conv_output_size(1 + filter_size, filter_size, stride, pad)  # are the settings legal at all?
    while fits and len(sizes) <= layers:
        try:
            sizes.append(conv_output_size(sizes[-1], filter_size, stride, pad))
        except ValueError:
            fits = False
    name, count = f"{filter_size} x {filter_size}", len(sizes) - 1
    times = counted(count, "convolution")
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
    ax, left, gap, unit = canvas.ax, canvas.left, 26, 30.0
    labels = [f"{s} x {s}" for s in sizes]
    while _chain_width(sizes, labels, unit, gap) > ROOM or max(sizes) * unit > 240:
        unit *= 0.96
    # The filter that does not fit is shown, too.
    bottom = canvas.top + 12 + max(*sizes, 0 if fits else filter_size) * unit
    for k, (s, label) in enumerate(zip(sizes, labels, strict=True)):
        slot = max(s * unit, style.text_width(label, 12))
        x, top = left + (slot - s * unit) / 2, bottom - s * unit
        _draw_square(ax, x, top, s * unit, s if unit >= 6 else 1, "output" if k else "input")
        reach, last = filter_size * unit, k == count
        if not last:  # the first window; with padding it begins outside of the map
            corner = x - pad * unit, top - pad * unit
            draw_frame(ax, *corner, reach, reach, style.ROLES["window"], 1.8, zorder=4)
        elif not fits:
            look = {"ls": (0, (2.5, 1.5)), "zorder": 4}
            draw_frame(ax, x, bottom - reach, reach, reach, style.ROLES["window"], 1.8, **look)
        middle = x + s * unit / 2
        style.write(ax, middle, bottom + 16, label, 12, align="center")
        if not k:
            color = style.TEXT_COLORS["input"]
            style.write(ax, middle, bottom + 34, "input", 12, color, "bold", "center")
        if not last:
            style.write(ax, left + slot + gap / 2, bottom - 8, "→", 16, style.MUTED, align="center")
        left += max(slot, 0 if fits or not last else reach) + gap
    note = f"filter {name}, stride {stride}, pad {pad}"
    if fits and sizes[-1] != sizes[-2]:
        note += f"; shown up to layer {count}"
    elif not fits:
        note += ";"
    style.write(ax, canvas.left, bottom + 58, note, 12, style.MUTED)
    if not fits:
        reason = f"no {name} filter fits into {labels[-1]}"
        end = canvas.left + style.text_width(note, 12) + 8
        style.write(ax, end, bottom + 58, reason, 12, style.TEXT_COLORS["window"])
        note += f" {reason}"
    return canvas.finish(
        max(left - gap, canvas.left + style.text_width(note, 12)),
        bottom + 66,
        f"Repeated convolution with {note}: the size goes {', '.join(map(str, sizes))}.",
    )


def dividing(size, pad=0, max_filter=11, max_stride=6):
    """Show which filters and strides divide, as a table of output sizes.

    Parameters
    ----------
    size, pad : int, input height H and padding P
    max_filter, max_stride : int, last column and last row of the table

    Notes
    -----
    Where a stride does not divide, the number in brackets counts the rows that no window reads.
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


def _draw_square(ax, left, top, side, count, role):
    """Draw a square of count x count cells without numbers."""
    fills, cell = np.full((count, count, 3), style.to_rgb(style.tint(role))), side / count
    draw_lattice(ax, left, top, cell, fills, role, 0.8 if cell >= 12 else 0.5)


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
    """Draw one answer of `dividing`: green and bold, hatched, or gray."""
    divides, up = kind == "output", 3 if kind == "window" else 0
    face = style.tint(kind, 0.4 if divides else 0.12)
    ax.add_patch(Rectangle((left, top), width, height, fc=face, ec="white", lw=1.5))
    if kind == "window":
        edge, corner = style.tint("window", 0.7), (left + 2, top + height - 7)
        ax.add_patch(Rectangle(corner, width - 4, 5, fc="none", ec=edge, hatch="//////", lw=0))
    look = (13, style.INK, "bold") if divides else (11, style.TEXT_COLORS[kind], "normal")
    style.write(ax, left + width / 2, top + height / 2 - up, text, *look, "center", gid=kind)


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
