"""Pictures of the convolution: windows, sums, padding, shrinking, channels, blocks.

Book section 7.2, figures 7-4 to 7-13. Numbers in, figure out; what the arithmetic forbids raises
the ValueError of `cnnlib.windows`, which says what would be right.
"""

import numpy as np
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.patches import Circle, Rectangle

from cnnlib.figures import style
from cnnlib.figures.grids import (
    SIGN,
    TITLE,
    Box,
    Grid,
    count_reads,
    draw_grid,
    draw_image,
    draw_row,
    draw_title,
    fit,
)
from cnnlib.windows import (
    conv_output_size,
    explain_output_size,
    sliding_windows,
    uncovered_size,
)

ROOM = style.MAX_WIDTH - 2 * style.MARGIN
GAP = 68  # between two blocks


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
    x, W = _plane(x, "x"), _plane(W, "W")
    windows, out = _convolve(x[np.newaxis], W[np.newaxis], b, stride, pad)
    p, q = _place(step, out.shape)
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
    items += ["=", _output_so_far(out, step)]
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
        f"{area[0]}, column {area[1]} of the {_by(x.shape)} input with pad {pad}, times the "
        f"filter, gives {style.format_number(out[p, q], style.decimals_needed(out[p, q]))} at "
        f"place ({p}, {q}) of the {_by(out.shape)} output.",
    )


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
        f"{stride} and pad {pad}: the output is {OH} x {OW}; {uncovered[0]} rows and "
        f"{uncovered[1]} columns at the end are never read"
        f"{', nor are the gaps between the windows' if gaps else ''}.",
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
    x = _plane(x, "x")
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
        end = canvas.left + style.text_width(note, 12) + 5
        style.write(ax, end, bottom + 18, reason, 12, style.TEXT_COLORS["window"])
        note += f" {reason}"
    return canvas.finish(
        max(right, canvas.left + style.text_width(note, 12)),
        bottom + 26,
        f"Repeated convolution with {note}: the size goes {', '.join(map(str, sizes))}.",
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
    windows, out = _convolve(x, W, b, stride, pad)
    p, q = _place(step, out.shape)
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
    output = _output_so_far(out, step)
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


def blocks(C, H, W, FN, FH, FW, stride=1, pad=0, N=1, bias=True):
    """Show input, filters, bias and output as blocks with their shapes.

    Lengths are drawn by their square root, so that 1 and 512 fit into one picture.

    Parameters
    ----------
    C, H, W : int
        Input channels, height, width.
    FN, FH, FW : int
        Number of filters, their height and width.
    stride, pad : int
        Step S and padding P.
    N : int, default 1
        Images in the batch.
    bias : bool, default True
        Whether the bias is shown.

    Returns
    -------
    Card

    Notes
    -----
    Book figures 7-10 (FN = 1), 7-11, 7-12 (bias) and 7-13 (batch).
    """
    for letter, value in (("C", C), ("FN", FN), ("N", N)):
        if value < 1:
            raise ValueError(f"{letter} must be at least 1, got {value}")
    OH = conv_output_size(H, FH, stride, pad)
    OW = conv_output_size(W, FW, stride, pad)
    batch, batch_shape = ("N, ", (N,)) if N > 1 else ("", ())
    scale = min(40.0, 150 / np.sqrt(max(H, W, OH, OW, C / 4, FN / 4)))
    plain = FN == N == 1 and not bias  # figure 7-10: the one filter as a block of three axes
    filter_shape = (C, FH, FW) if plain else (FN, C, FH, FW)
    parts = [
        ("input", "input x", f"({batch}C, H, W)", (*batch_shape, C, H, W), (C, H, W), N, "C H W"),
        "⊛",
        (
            "filter",
            "filter W" if FN == 1 else "filters W",
            "(C, FH, FW)" if plain else "(FN, C, FH, FW)",
            filter_shape,
            (C, FH, FW),
            FN,
            "C FH FW",
        ),
    ]
    if bias:
        parts += ["+", ("bias", "bias b", "(FN, 1, 1)", (FN, 1, 1), (FN, 1, 1), 1, "FN 1 1")]
    parts += [
        "=",
        (
            "output",
            "output",
            "(1, OH, OW)" if plain else f"({batch}FN, OH, OW)",
            (*batch_shape, FN, OH, OW),
            (FN, OH, OW),
            N,
            "1 OH OW" if plain else "FN OH OW",
        ),
    ]
    message = (
        f"{FN} filters make {FN} output channels"
        if FN > 1
        else "One filter makes one output channel"
    )
    message += ", whatever the number of input channels"
    if N > 1:
        message = f"A batch of {N} goes through at once: the filters serve all of its images"
    canvas = style.Canvas(message)
    ax = canvas.ax

    def measure(part):
        """Return width and height of a stack of blocks, and of its text."""
        _, name, letters, shape, sides, count, _ = part
        front_w, front_h, depth = _block_sides(sides, scale)
        copies = min(count, 3)
        shift = 10 * (copies - 1)
        text = max(
            style.text_width(name, 13, "bold"),
            style.text_width(letters, 12),
            style.text_width(str(shape), 12),
        )
        return max(front_w + depth + shift, text), front_h + depth + shift, text

    while True:
        extents = [measure(part) for part in parts if not isinstance(part, str)]
        wide = sum(e[0] for e in extents) + GAP * (len(parts) - len(extents))
        if wide <= ROOM or scale < 2:
            break
        scale *= 0.95
    tallest = max(e[1] for e in extents)
    base = canvas.top + 10 + tallest
    left = canvas.left
    for part in parts:
        if isinstance(part, str):
            style.write(
                ax, left + GAP / 2 - 6, base - tallest / 2, part, 20, style.MUTED, align="center"
            )
            left += GAP
            continue
        role, name, letters, shape, sides, count, edges = part
        slot, tall, _ = measure(part)
        front_w, front_h, depth = _block_sides(sides, scale)
        copies = min(count, 3)
        x = left + (slot - front_w - depth - 10 * (copies - 1)) / 2
        y = base - (tallest - tall) / 2
        for k in reversed(range(copies)):
            _draw_block(ax, x + 10 * k, y - 10 * k, front_w, front_h, depth, role)
        middle = left + slot / 2
        _label_block(ax, x, y, front_w, front_h, depth, edges)
        style.write(ax, middle, base + 34, name, 13, style.TEXT_COLORS[role], "bold", "center")
        style.write(ax, middle, base + 53, letters, 12, style.MUTED, align="center")
        numbers = style.shape_text(shape)
        style.write(ax, middle, base + 71, numbers, 12, style.INK, align="center")
        if count > copies:
            style.write(
                ax, middle, base + 88, f"{copies} of {count} drawn", 11, style.MUTED, align="center"
            )
        left += slot
    note = (
        f"stride {stride}, pad {pad}; front: height and width, depth: channels; "
        "lengths drawn by their square root"
    )
    style.write(ax, canvas.left, base + 116, note, 11, style.MUTED)
    return canvas.finish(
        max(left, canvas.left + style.text_width(note, 11)),
        base + 124,
        f"Blocks: input {(*batch_shape, C, H, W)} with filter{'s' * (not plain)} {filter_shape}"
        f"{f' and bias {(FN, 1, 1)}' if bias else ''}, stride {stride}, pad {pad}, gives output "
        f"{(*batch_shape, FN, OH, OW)}.",
    )


def filter_response(image, W, stride=1, pad=0):
    """Show an image, a small filter, and where the filter answers.

    Parameters
    ----------
    image : array_like, shape (H, W)
        Image of one channel.
    W : array_like, shape (FH, FW)
        Filter.
    stride, pad : int
        Step S and zero padding P.

    Returns
    -------
    Card

    Notes
    -----
    Book section 7.6.1. Red is a positive answer, blue a negative one, white none.
    """
    image, W = _plane(image, "image"), _plane(W, "W")
    _, out = _convolve(image[np.newaxis], W[np.newaxis], 0.0, stride, pad)
    peak = max(np.abs(out).max(), 1e-12)
    canvas = style.Canvas("The response is strong where the image looks like the filter")
    side = 250 / max(image.shape)
    x = Grid(image, "input x", numbers=False)
    y = Grid(out, "response", "output", "(OH, OW)", numbers=False)
    f = Grid(W, "filter W", "filter", "(FH, FW)")
    top = canvas.top + TITLE
    tall = image.shape[0] * side
    ax = canvas.ax
    box = draw_image(ax, image, canvas.left, top, side, style.IMAGE, image.min(), image.max())
    draw_title(ax, x, box)
    cell = min(34, 170 / W.shape[1], 220 / W.shape[0])
    slot = max(f.title_width, W.shape[1] * cell)
    left = box.right + SIGN
    style.write(ax, left - SIGN / 2, box.middle, "⊛", 20, style.MUTED, align="center")
    middle = box.middle
    fbox = draw_grid(
        ax,
        f,
        round(left + (slot - W.shape[1] * cell) / 2),
        round(middle - W.shape[0] * cell / 2),
        cell,
    )
    left += slot + SIGN
    style.write(ax, left - SIGN / 2, middle, "=", 20, style.MUTED, align="center")
    slot = max(y.title_width, out.shape[1] * side)
    obox = draw_image(
        ax,
        out,
        left + (slot - out.shape[1] * side) / 2,
        middle - out.shape[0] * side / 2,
        side,
        style.DIVERGING,
        -peak,
        peak,
    )
    draw_title(ax, y, obox)
    right = left + slot + 28
    figure = canvas.finish(
        right + 96,
        max(top + tall, fbox.bottom, obox.bottom),
        f"A {_by(image.shape)} image, a {_by(W.shape)} filter and its response of "
        f"{_by(out.shape)}, from {out.min():.3g} to {out.max():.3g}.",
    )
    height = min(200, max(90, out.shape[0] * side))
    style.color_bar(
        figure, style.DIVERGING, -peak, peak, right + 26, middle - height / 2, height, "response"
    )
    return figure


def _plane(values, name):
    """Return a 2-D float array, or raise ValueError."""
    values = np.asarray(values, dtype=float)
    if values.ndim != 2:
        raise ValueError(f"{name} must be 2-D, (height, width), got shape {values.shape}")
    return values


def _convolve(x, W, b, stride, pad):
    """Return the windows (C, FH, FW, OH, OW) of one image, and the output map (OH, OW)."""
    windows = sliding_windows(x[np.newaxis], *W.shape[1:], stride, pad)[0]
    return windows, np.einsum("cijpq,cij->pq", windows, W) + b


def _place(step, shape):
    """Return row and column of an output place, or raise ValueError."""
    count = shape[0] * shape[1]
    if not 0 <= step < count:
        raise ValueError(f"step {step}: there are {count} windows, steps 0 to {count - 1}")
    return divmod(step, shape[1])


def _output_so_far(out, step):
    """Show the output up to this step; later cells are still empty."""
    p, q = divmod(step, out.shape[1])
    values = out.copy()
    values.reshape(-1)[step + 1 :] = np.nan
    grid = Grid(values, "output", "output", "(OH, OW)", cells=[(p, q)])
    grid.decimals = style.decimals_needed(out)
    # The cells are as wide as the widest number still to come: they do not grow on the way.
    grid.smallest_cell = Grid(out).smallest_cell
    return grid


def _by(shape):
    """Write a shape as "4 x 4"."""
    return " x ".join(map(str, shape))


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


def _block_sides(sides, scale):
    """Return width and height of a block's front, and its depth in the slanted direction."""
    channels, height, width = (max(6.0, scale * np.sqrt(s)) for s in sides)
    return width, height, channels * 0.4


def _draw_block(ax, left, bottom, width, height, depth, role):
    """Draw a block in oblique projection: front, top and right side."""
    top, right = bottom - height, left + width
    faces = [
        [(left, bottom), (right, bottom), (right, top), (left, top)],
        [(left, top), (right, top), (right + depth, top - depth), (left + depth, top - depth)],
        [
            (right, bottom),
            (right + depth, bottom - depth),
            (right + depth, top - depth),
            (right, top),
        ],
    ]
    ax.add_collection(
        PolyCollection(
            faces,
            facecolors=[style.tint(role, s) for s in (0.35, 0.2, 0.6)],
            edgecolors=style.TEXT_COLORS[role],
            linewidths=0.9,
            joinstyle="round",
        ),
        autolim=False,
    )


def _label_block(ax, left, bottom, width, height, depth, edges):
    """Write the letters of a block's sides along its edges."""
    channels, rows, columns = edges.split()
    small = {"size": 11, "color": style.MUTED}
    style.write(ax, left - 5, bottom - height / 2, rows, align="right", **small)
    style.write(ax, left + width / 2, bottom + 11, columns, align="center", **small)
    style.write(ax, left + width + depth / 2 + 5, bottom - depth / 2 + 8, channels, **small)
