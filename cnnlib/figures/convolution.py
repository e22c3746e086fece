"""Pictures of the convolution itself: windows, sums, bias, channels.

Book section 7.2, figures 7-3 to 7-9. Numbers in, figure out; what the arithmetic forbids raises
the ValueError of `cnnlib.windows`, which says what would be right. The other pictures of section
7.2 have modules of their own, ``sizes``, ``blocks`` and ``responses``; they can be had from here.
"""

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.patches import Circle, Rectangle

from cnnlib.figures import style
from cnnlib.figures.arithmetic import by, convolve, place, plane
from cnnlib.figures.blocks import blocks
from cnnlib.figures.grids import (
    SIGN,
    TITLE,
    Box,
    Grid,
    count_reads,
    draw_grid,
    draw_row,
    draw_title,
    fit,
    output_so_far,
)
from cnnlib.figures.responses import filter_response, mixing, photograph
from cnnlib.figures.sizes import dividing, padding, shrinking, sliding

__all__ = [
    "blocks",
    "channels",
    "dividing",
    "filter_response",
    "flipping",
    "mixing",
    "operation",
    "padding",
    "photograph",
    "shrinking",
    "sliding",
    "window_step",
]

ROOM = style.MAX_WIDTH - 2 * style.MARGIN


def window_step(x, W, b=0.0, stride=1, pad=0, step=0):
    """Show one step of a convolution: the window, the filter, and the sum written out.

    Parameters
    ----------
    x : array_like, shape (H, W)
        Input of one channel.
    W : array_like, shape (FH, FW)
        Filter.
    b : float, default 0
        Bias, added to each sum; shown where it is not zero.
    stride, pad : int
        Step S and zero padding P.
    step : int, default 0
        Which window, counted row by row, from 0 to OH*OW - 1.

    Returns
    -------
    Card

    Raises
    ------
    ValueError
        If no window fits, or `step` is not one of them.

    Notes
    -----
    Book figures 7-4, 7-5 and 7-7.
    """
    x, W = plane(x, "x"), plane(W, "W")
    windows, out = convolve(x[np.newaxis], W[np.newaxis], b, stride, pad)
    p, q = place(step, out.shape)
    FH, FW = W.shape
    area = (p * stride, q * stride, FH, FW)

    canvas = style.Canvas(
        f"Window {step + 1} of {out.size}: multiply number by number, add up, write one output"
    )
    items = [
        Grid(
            x,
            "input x",
            pad=pad,
            windows=[area],
            hatched=count_reads(x.shape, W.shape, stride, pad) == 0,
        ),
        "⊛",
        Grid(W, "filter W", "filter", "(FH, FW)"),
    ]
    if b:
        items += ["+", Grid([[b]], "bias b", "bias", "")]
    items += ["=", output_so_far(out, step)]
    grids = [item for item in items if isinstance(item, Grid)]
    cell = fit(grids, ROOM, signs=len(items) - len(grids))
    boxes = draw_row(canvas.ax, items, canvas.left, canvas.top, cell)

    bottom = max(box.bottom for box in boxes)
    inside = np.pad(np.ones(x.shape, bool), pad)[area[0] : area[0] + FH, area[1] : area[1] + FW]
    right, bottom = _write_sum(
        canvas.ax, canvas.left, bottom + 34, windows[0, :, :, p, q], inside, W, b, out[p, q]
    )
    return canvas.finish(
        max(right, boxes[-1].right, boxes[-1].left + grids[-1].title_width),
        bottom,
        f"Convolution step {step + 1} of {out.size}: the {FH} x {FW} window at row "
        f"{area[0]}, column {area[1]} of the {by(x.shape)} input with pad {pad}, times the "
        f"filter, gives {style.format_number(out[p, q], style.decimals_needed(out[p, q]))} at "
        f"place ({p}, {q}) of the {by(out.shape)} output.",
    )


def operation(x, W, b=0.0, stride=1, pad=0):
    """Show a convolution as a whole: input, filter, output; with a bias, before and after it.

    Parameters
    ----------
    x : array_like, shape (H, W) or (C, H, W)
        Input of one channel, or of up to four, drawn behind each other.
    W : array_like, shape (FH, FW) or (C, FH, FW)
        Filter, as many channels as the input.
    b : float, default 0
        Bias, added to each output; shown where it is not zero.
    stride, pad : int
        Step S and zero padding P.

    Returns
    -------
    Card

    Notes
    -----
    Book figures 7-3, 7-5, 7-6 (one channel) and 7-8 (three).
    """
    x, W = _image_and_filter(x, W)
    if pad and len(x) > 1:
        raise ValueError(f"several channels are drawn without padding, got pad {pad}")
    _, out = convolve(x, W, b, stride, pad)
    sums = out - b
    shapes = (x.shape, W.shape) if len(x) > 1 else (x.shape[1:], W.shape[1:])
    letters = ("C, " if len(x) > 1 else "", "(H + 2P, W + 2P)" if pad else "(H, W)")
    shape = (*shapes[0][:-2], *(n + 2 * pad for n in x.shape[1:]))
    hatched = count_reads(x.shape[1:], W.shape[1:], stride, pad) == 0
    first = Grid(x[0], "input x", letters=f"({letters[0]}{letters[1][1:]}", shape=shape, pad=pad)
    first.hatched = hatched
    second = Grid(W[0], "filter W", "filter", f"({letters[0]}FH, FW)", shapes[1])
    if b:
        items = [first, "⊛", second, "→", Grid(sums, "sums", "output", "(OH, OW)"), "+"]
        items += [Grid([[b]], "bias b", "bias", ""), "→"]
        message = f"The bias {style.format_number(b, style.decimals_needed(b))} comes last: "
        message += "it is added to every sum"
    else:
        items = [first, "⊛", second, "→"]
        message = f"A {by(W.shape[1:])} filter has {out.size} place{'s' * (out.size != 1)} in "
        message += f"a {by(x.shape[1:])} input{' padded by ' + str(pad) if pad else ''}"
        if len(x) > 1:
            message = f"{len(x)} channels with {len(x)} channels give one map"
    items.append(Grid(out, "output", "output", "(OH, OW)"))
    canvas = style.Canvas(message)
    bottom, right = _draw_operation(canvas, items, len(x))
    return canvas.finish(
        right,
        bottom,
        f"Convolution of an input {style.shape_text(shapes[0])} with a filter "
        f"{style.shape_text(shapes[1])}, pad {pad}, stride {stride}"
        f"{f', bias {b:g}' if b else ''}: the output is {_rows(out)}.",
    )


def flipping(x, W):
    """Show cross-correlation and convolution side by side: the same but for a turned filter.

    Parameters
    ----------
    x : array_like, shape (H, W)
        Input.
    W : array_like, shape (FH, FW)
        Filter; in the second line it is turned by 180 degrees.

    Returns
    -------
    Card

    Notes
    -----
    Book section 7.2.2. The depth of the colour follows each number of the filter.
    """
    x, W = plane(x, "x"), plane(W, "W")
    strengths = np.linspace(0.12, 0.75, W.size).reshape(W.shape)
    lines, outs = [], []
    for turned in (False, True):
        kernel, depth = (W[::-1, ::-1], strengths[::-1, ::-1]) if turned else (W, strengths)
        _, out = convolve(x[np.newaxis], kernel[np.newaxis], 0.0, 1, 0)
        filter_ = Grid(kernel, "W, turned" if turned else "W", "filter", "(FH, FW)")
        filter_.strengths = depth
        lines.append(
            [Grid(x, "input x"), "⊛", filter_, "→", Grid(out, "output", "output", "(OH, OW)")]
        )
        outs.append(out)
    same = np.array_equal(*outs)
    canvas = style.Canvas(
        "This filter, turned by 180 degrees, gives the same output"
        if same
        else "Convolution turns the filter by 180 degrees, cross-correlation does not"
    )
    grids = [item for line in lines for item in line if isinstance(item, Grid)]
    cell = min(34, fit(grids[:3], ROOM - 190, 200, signs=2))
    names = ("cross-correlation:", "what networks do"), ("convolution:", "what mathematics does")
    left = canvas.left + max(style.text_width(name, 13) for pair in names for name in pair) + 24
    top, right = canvas.top, left
    for line, (name, what) in zip(lines, names, strict=True):
        placed = draw_row(canvas.ax, line, left, top, cell)
        style.write(canvas.ax, canvas.left, placed[0].middle - 10, name, 13, weight="bold")
        style.write(canvas.ax, canvas.left, placed[0].middle + 10, what, 13, style.MUTED)
        top = placed[0].bottom + 18
        right = max(right, placed[-1].right, placed[-1].left + line[-1].title_width)
    return canvas.finish(
        right + 10,
        top - 18,
        f"The same input and filter: cross-correlation gives {_rows(outs[0])}; convolution, with "
        f"the filter turned by 180 degrees, gives {_rows(outs[1])}.",
    )


def channels(x, W, step=0, stride=1, pad=0, b=0.0):
    """Show one step over several channels: one product sum each, added into one output.

    Parameters
    ----------
    x : array_like, shape (C, H, W)
        Input, C from 1 to 4.
    W : array_like, shape (C, FH, FW)
        One filter, as many channels as the input.
    step : int, default 0
        Which window, counted row by row.
    stride, pad : int
        Step S and zero padding P.
    b : float, default 0
        Bias of the filter; shown where it is not zero.

    Returns
    -------
    Card

    Notes
    -----
    Book figures 7-8 and 7-9.
    """
    x, W = np.asarray(x, float), np.asarray(W, float)
    if x.ndim != 3 or W.ndim != 3:
        raise ValueError(f"x and W must be 3-D, (C, H, W), got shapes {x.shape} and {W.shape}")
    if len(x) != len(W):
        raise ValueError(f"x has {len(x)} channels and the filter has {len(W)}")
    if not 1 <= len(x) <= 4:
        raise ValueError(f"the figure shows 1 to 4 channels, got {len(x)}")
    windows, out = convolve(x, W, b, stride, pad)
    p, q = place(step, out.shape)
    C, (FH, FW) = len(x), W.shape[1:]
    sums = (windows[:, :, :, p, q] * W).sum((1, 2))

    canvas = style.Canvas(
        "One filter looks at all channels: their sums are added into one output"
        if C > 1
        else f"One channel: its sum{' plus the bias' if b else ''} is the output"
    )
    ax = canvas.ax
    inputs = [
        Grid(
            plane,
            f"input x, channel {c}",
            pad=pad,
            windows=[(p * stride, q * stride, FH, FW)],
            hatched=count_reads(x.shape[1:], (FH, FW), stride, pad) == 0,
        )
        for c, plane in enumerate(x)
    ]
    filters = [
        Grid(plane, f"filter W, channel {c}", "filter", "(FH, FW)") for c, plane in enumerate(W)
    ]
    part = Grid([[np.abs(sums).max()]], "sum", "output", "")
    part.decimals = style.decimals_needed(sums)
    output = output_so_far(out, step)
    # Numbers come before a low figure: four channels may need 960 px.
    needed = int(np.ceil(max(grid.smallest_cell() for grid in (*inputs, *filters, output))))
    tallest = max(640 / min(C, 3) - TITLE - 18, min(960 / C - TITLE - 18, needed * inputs[0].rows))
    cell = min(
        fit([inputs[0], filters[0], part, output], ROOM - 78, tallest, signs=3),
        fit([output], ROOM, 460),
        34,
    )
    boxes, sum_boxes, top = [], [], canvas.top
    for c in range(C):
        row = draw_row(ax, [inputs[c], "⊛", filters[c], "="], canvas.left, top, cell)
        boxes.append(row)
        text = style.format_number(sums[c], part.decimals)
        wide = max(cell, style.text_width(text, 13) + 10, 34)
        x0, y0 = row[3].right, row[0].middle - max(cell, 22) / 2
        box = Box(x0, y0, x0 + wide, y0 + max(cell, 22))
        _value_box(ax, box, text, "output", f"sum[{c}]")
        sum_boxes.append(box)
        top = max(row[0].bottom, row[2].bottom) + 18
    if b:  # one more summand
        text = style.format_number(b, style.decimals_needed(b))
        x0, y0 = sum_boxes[0].left, max(top, sum_boxes[-1].bottom + 18)
        wide = max(sum_boxes[0].right - x0, style.text_width(text, 13) + 10)
        sum_boxes.append(Box(x0, y0, x0 + wide, y0 + max(cell, 22)))
        _value_box(ax, sum_boxes[-1], text, "bias", "bias")
        color, y = style.TEXT_COLORS["bias"], sum_boxes[-1].middle
        style.write(ax, x0 - 10, y, "bias b", 13, color, "bold", "right")
        top = sum_boxes[-1].bottom + 18
    right = max(box.right for box in sum_boxes)
    middle = (sum_boxes[0].middle + sum_boxes[-1].middle) / 2
    bus, sign = right + 24, right + 52  # a line gathers the summands in one plus
    ends = [((box.right + 5, box.middle), (bus, box.middle)) for box in sum_boxes]
    ends += [((bus, sum_boxes[0].middle), (bus, sum_boxes[-1].middle))]
    ends += [((bus, middle), (sign - 12, middle))]
    ax.add_collection(LineCollection(ends, colors=style.LINE, linewidths=1.4), autolim=False)
    if len(sum_boxes) > 1:
        ax.add_patch(Circle((bus, middle), 11, fc="white", ec=style.LINE, lw=1.4, zorder=3))
        style.write(ax, bus, middle, "+", 18, style.MUTED, align="center", zorder=4)
    style.write(
        ax, sign, middle, "=" if len(sum_boxes) > 1 else "→", 20, style.MUTED, align="center"
    )
    left = sign + 26
    slot = max(output.columns * cell, output.title_width)
    box = draw_grid(
        ax,
        output,
        round(left + (slot - output.columns * cell) / 2),
        round(middle - output.rows * cell / 2),
        cell,
    )
    y = max(top - 18, box.bottom) + 32
    pieces = [(_signed(style.format_number(s, part.decimals)), "output") for s in sums]
    if b:
        pieces.append(
            (f"{_signed(style.format_number(b, style.decimals_needed(b)))} (bias)", "bias")
        )
    total = style.format_number(out[p, q], output.decimals)
    end = canvas.left
    if len(pieces) > 1:
        end = _write_pieces(ax, canvas.left, y, pieces, total)
    else:
        y -= 32
    return canvas.finish(
        max(left + slot, end),
        y + 8,
        f"Convolution over {C} channels at output place ({p}, {q}): the channels give "
        f"{', '.join(style.format_number(s, part.decimals) for s in sums)}; with bias "
        f"{style.format_number(b, style.decimals_needed(b))} the output is {total}.",
    )


def _write_sum(ax, left, top, window, inside, W, b, total):
    """Write the products, one line for each row of the filter, and their sum.

    Returns
    -------
    right, bottom : float
    """
    size, line = 14, 25
    decimals = style.decimals_needed(window), style.decimals_needed(W)
    answer = style.format_number(total, style.decimals_needed(total))
    FH, FW = W.shape
    pieces = []
    if b:
        pieces = [(f"{_signed(style.format_number(b, style.decimals_needed(b)))} (bias)", "bias")]
    if FH * FW > 49 or FW > 7:  # too many to read
        pieces.insert(0, (f"sum of {FH}·{FW} = {FH * FW} products", "window"))
        return _write_pieces(ax, left, top, pieces, answer), top + 8
    first = [[style.format_number(v, decimals[0]) for v in row] for row in window]
    second = [[style.format_number(v, decimals[1]) for v in row] for row in W]
    second = [[_signed(t) for t in row] for row in second]
    # All terms stand in columns as wide as the widest one.
    wide = [
        max(style.text_width(t, size) for row in texts for t in row) for texts in (first, second)
    ]
    pitch = wide[0] + wide[1] + 8 + 28
    left += 20  # every term but the first begins with a plus
    for i, j in np.ndindex(FH, FW):
        y, dot = top + line * i, left + j * pitch + wide[0] + 4
        if (i, j) != (0, 0):
            plus = dot - 4 - wide[0] - 14
            style.write(ax, plus, y, "+", size, style.MUTED, align="center")
        role = "input" if inside[i, j] else "padding"
        style.write(ax, dot - 4, y, first[i][j], size, style.TEXT_COLORS[role], align="right")
        style.write(ax, dot, y, "·", size, align="center")
        style.write(ax, dot + 4, y, second[i][j], size, style.TEXT_COLORS["filter"])
    end = left + FW * pitch - 20
    return _write_pieces(ax, end, y, pieces, answer, lead="+ " if b else ""), y + 8


def _write_pieces(ax, left, y, pieces, total, lead=""):
    """Write "a + b + c = total", each piece in the colour of its role; return the right end."""
    size = 14
    for k, (text, role) in enumerate(pieces):
        plus = lead if k == 0 else "+ "
        if plus:
            style.write(ax, left, y, plus.strip(), size, style.MUTED)
            left += style.text_width("+", size) + 7
        style.write(ax, left, y, text, size, style.TEXT_COLORS[role])
        left += style.text_width(text, size) + 7
    style.write(ax, left, y, "=", size, style.MUTED)
    left += style.text_width("=", size) + 7
    style.write(ax, left, y, total, size, style.TEXT_COLORS["output"], "bold", gid="total")
    return left + style.text_width(total, size, "bold")


def _signed(text):
    """Put a negative number in brackets, as between two signs."""
    return f"({text})" if text.startswith("−") else text


def _value_box(ax, box, text, role, gid):
    """Draw one number in a box of its own."""
    ax.add_patch(
        Rectangle(
            box[:2],
            box.right - box.left,
            box.bottom - box.top,
            fc=style.tint(role, 0.12),
            ec=style.tint(role, 0.75),
            lw=0.8,
        )
    )
    style.write(ax, (box.left + box.right) / 2, box.middle, text, 13, align="center", gid=gid)


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
    """Draw grids and signs in a line, input and filter with their channels behind each other.

    Returns
    -------
    bottom, right : float
    """
    ax, behind = canvas.ax, 12 * (channels - 1)
    grids = [item for item in items if isinstance(item, Grid)]
    signs = len(items) - len(grids)
    cell = fit(grids, ROOM - 2 * behind, signs=signs)
    top = canvas.top + TITLE + behind
    middle, left = top + max(g.rows for g in grids) * cell / 2, canvas.left
    for item in items:
        if isinstance(item, str):
            style.write(ax, left + SIGN / 2, middle, item, 20, style.MUTED, align="center")
            left += SIGN
            continue
        shift = behind if item.role in ("input", "filter") else 0
        slot = max(item.columns * cell + shift, item.title_width)
        x0 = round(left + (slot - shift - item.columns * cell) / 2)
        y0 = round(middle - item.rows * cell / 2)
        left += slot
        if shift:
            draw_title(ax, item, Box(x0, y0 - shift, x0 + item.columns * cell + shift, y0))
            item.name = ""
            for k in reversed(range(1, channels)):
                blank = Grid(item.values, role=item.role, numbers=False)
                draw_grid(ax, blank, x0 + 12 * k, y0 - 12 * k, cell)
        draw_grid(ax, item, x0, y0, cell)
    bottom = middle + max(g.rows for g in grids) * cell / 2
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
