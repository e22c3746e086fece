"""Pictures of pooling: what a moved image does, the way back, the three steps.

Book sections 7.3 and 7.4.4, figures 7-14 to 7-16, 7-21 and 7-22.
"""

import numpy as np
from matplotlib.ticker import PercentFormatter

from cnnlib.figures import style
from cnnlib.figures.arithmetic import by, counted, place, plane
from cnnlib.figures.grids import (
    SIGN,
    TITLE,
    Grid,
    count_reads,
    draw_grid,
    draw_picture,
    draw_row,
    draw_sign,
    fit,
    fit_legible,
)
from cnnlib.layers import Pooling
from cnnlib.windows import check_image_shape, conv_output_size, im2col

ROOM = style.MAX_WIDTH - 2 * style.MARGIN
STEP = 88  # room for an arrow with its step written over it
SIDE = 172  # of a map in a gallery


def gradient_step(x, dout, pool_h, pool_w, stride=2, pad=0, mode="max", step=0):
    """Show where the gradient of one output goes, and what has arrived so far.

    Parameters
    ----------
    x : (H, W), input of one channel
    dout : (OH, OW), gradient of the loss by the output
    pool_h, pool_w, stride, pad, mode : those of the layer
    step : int, which window; those before it have sent their gradient already
    """
    x, dout = plane(x, "x"), plane(dout, "dout")
    layer = Pooling(pool_h, pool_w, stride, pad, mode)
    out, largest = layer.forward(x[np.newaxis, np.newaxis])[0, 0], mode == "max"
    p, q = place(step, out.shape)
    every = layer.backward(dout[np.newaxis, np.newaxis])[0, 0]
    sent = np.where(np.arange(out.size).reshape(out.shape) <= step, dout, 0)
    dx = layer.backward(sent[np.newaxis, np.newaxis])[0, 0]
    winner = _winner(x, layer, p, q)
    message = "the gradient goes to where the maximum came from"
    if not largest:
        message = f"the gradient is shared by the {counted(pool_h * pool_w, 'cell')} of the window"
    canvas = style.Canvas(f"Backward, window {step + 1} of {out.size}: {message}")
    around = {"pad": pad, "windows": [(p * stride, q * stride, pool_h, pool_w)]}
    read = Grid(x, "input x", ring="−∞" if largest else "0", **around)
    read.marked = [winner] if largest else ()
    sender = Grid(dout, "gradient dout", "gradient", "(OH, OW)", cells=[(p, q)])
    got = Grid(dx, "gradient dx", "gradient", "(H, W)", x.shape, ring="", **around)
    got.strengths = 0.06 + 0.5 * (dx != 0)
    got.decimals = style.decimals_needed(every)
    got.smallest_cell = Grid(every).smallest_cell
    cell = fit([read, sender, got], ROOM, signs=2)
    items = [read, "", sender, "→", got]  # no sign between x and dout: it is not made from x
    boxes = draw_row(canvas.ax, items, canvas.left, canvas.top, cell)
    lines = _tell_gradient(read, sender, got, (p, q), winner, layer)
    bottom = max(box.bottom for box in boxes) + 8
    for line in lines:
        bottom += 21
        style.write(canvas.ax, canvas.left, bottom, line, 13, style.MUTED)
    return canvas.finish(
        max(
            boxes[4].left + got.slot(cell),
            *(canvas.left + style.text_width(line, 13) for line in lines),
        ),
        bottom + 8,
        f"Backward through {mode} pooling, window {step + 1} of {out.size} of a {by(x.shape)} "
        f"input: {' '.join(lines)}",
    )


def shift_effect(x, moved, pool, stride=None, mode="max"):
    """Show an image and the image moved, before and after pooling, and how much has changed.

    Parameters
    ----------
    x, moved : (H, W), the image, and the image moved
    pool : int, window size
    stride : int, as large as the window where left out
    mode : "max" or "average"
    """
    x, moved = plane(x, "x"), plane(moved, "moved")
    if x.shape != moved.shape:
        raise ValueError(f"x and moved must have one shape, got {x.shape} and {moved.shape}")
    stride = stride or pool
    layer = Pooling(pool, pool, stride, mode=mode)
    pooled = layer.forward(np.stack([x, moved])[:, np.newaxis], train_flg=False)[:, 0]
    rows = [(x, moved), tuple(pooled)]
    changes = [_relative_change(*row) for row in rows]
    before, after = map(_percent, changes)
    message = f"The input changes by {before}, the pooled map by {after}"
    if not changes[0]:
        message = "Nothing has moved, nothing has changed"
    elif not changes[1]:
        message = f"The input changes by {before}, the pooled map not at all"
    canvas = style.Canvas(message)
    ax, top, right = canvas.ax, canvas.top, 0
    kind = f"{mode} {pool} x {pool}, stride {stride}"
    small = max(x.shape) <= 5
    for row, change, name, role, letters, note in (
        (rows[0], changes[0], "input", "input", "(H, W)", "before pooling"),
        (rows[1], changes[1], "pooled", "output", "(OH, OW)", kind),
    ):
        cell, high = SIDE / max(row[0].shape), np.abs(row).max()
        top, left = top + TITLE, canvas.left
        for values, title, color, space in (
            (row[0], "input x" if name == "input" else name, role, SIGN / 2 + 8),
            (row[1], f"{name}, moved", role, SIGN / 2 + 8),
            (row[1] - row[0], "moved − before", "padding", 28),
        ):
            grid = Grid(values, title, color, letters, numbers=small)
            box = _draw_map(ax, grid, left, top, cell, high)
            left += SIDE + space
        style.write(ax, left, box.middle - 30, "relative change", 12, style.MUTED)
        look = {"weight": "bold", "gid": f"change of {role}"}
        style.write(ax, left, box.middle, _percent(change), 24, style.TEXT_COLORS[role], **look)
        style.write(ax, left, box.middle + 28, note, 12, style.MUTED)
        right = max(right, left + style.text_width(kind, 12))
        top = box.bottom + 20
    note = "relative change: sum of |moved − before|, divided by the sum of |before|"
    if not small:
        note += "; red: more than before, blue: less"
    style.write(ax, canvas.left, top + 8, note, 12, style.MUTED)
    return canvas.finish(
        right,
        top + 16,
        f"An image of {by(x.shape)} and the image moved, before and after {kind} pooling: "
        f"the input changes by {before}, the pooled map by {after}.",
    )


def change_curves(shifts, changes):
    """Show how much maps change when the image moves: medians, and bands for the middle half.

    Parameters
    ----------
    shifts : list of int, pixels moved
    changes : relative changes (images, len(shifts)) by name, first those without pooling
    """
    shifts = np.asarray(shifts)
    changes = {name: np.asarray(values, dtype=float) for name, values in changes.items()}
    for name, values in changes.items():
        if values.ndim != 2 or values.shape[1] != shifts.size or not values.size:
            raise ValueError(
                f"{name}: expected one row for each image and one column for each of "
                f"{shifts.size} shifts, got shape {values.shape}"
            )
    quartiles = {name: np.percentile(v, (25, 50, 75), axis=0) for name, v in changes.items()}
    first = [f"{100 * q[1, 0]:.0f} % ({name})" for name, q in quartiles.items()]
    medians = np.array([q[1] for q in quartiles.values()])
    ordered = len(medians) > 1 and (np.diff(medians, axis=0) < 0).all()
    title = "The larger the window, the less a move changes" if ordered else "What a move changes"
    canvas = style.Canvas(title)
    top, width, height = canvas.top + 34, 520, 270
    images = len(next(iter(changes.values())))
    text = f"median of {counted(images, 'digit')}, bands: the middle half"
    figure = canvas.finish(
        canvas.left + 60 + width + 130,
        top + height + 52,
        f"Relative change over pixels moved, median of {images} images; "
        f"{shifts[0]} px: {', '.join(first)}.",
    )
    left = canvas.left + 40
    style.write(canvas.ax, left, top - 22, f"relative change, {text}", 12, style.MUTED)
    ax = style.axes(figure, left, top, width, height, "pixels moved", "")
    highest = max(q.max() for q in quartiles.values()) * 1.06 or 1.0
    roles = ["input", "filter", "output", "gradient"]
    ends = []
    for k, (name, (low, middle, high)) in enumerate(quartiles.items()):
        color = style.TEXT_COLORS[roles[k % 4]]
        ax.fill_between(shifts, low, high, color=style.ROLES[roles[k % 4]], alpha=0.25, lw=0)
        ax.plot(shifts, middle, color=color, lw=2, marker="os^D"[k % 4], ms=6, clip_on=False)
        ends.append((top + height * (1 - middle[-1] / highest), name, color))
    ax.set_ylim(0, highest)
    ax.set_xlim(shifts[0] - 0.15, shifts[-1])
    ax.set_xticks(shifts)
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    ax.grid(axis="y", color="#e7eaee", lw=0.8)
    ax.set_axisbelow(True)
    lowest = -np.inf
    for y, name, color in sorted(ends):  # from above, pushed down where they would meet
        lowest = max(y, lowest + 18)
        style.write(canvas.ax, left + width + 14, lowest, name, 12, color, "bold")
    return figure


def max_against_average(maps, pool):
    """Show what the maximum and the mean of each window make of several maps.

    Parameters
    ----------
    maps : by name, (H, W), no number below 0; a row of pictures has one scale of colors
    pool : int, window size, and stride
    """
    canvas = style.Canvas(
        f"{pool} x {pool}: the maximum keeps a lone peak, the mean divides it by {pool * pool}"
        if pool > 1
        else "1 x 1: both leave every number as it is"
    )
    ax, top, described = canvas.ax, canvas.top, []
    for name, values in maps.items():
        x = plane(values, name)
        if x.min() < 0:
            raise ValueError(f"{name} has negative numbers, the least is {x.min():.3g}")
        most, mean = (
            Pooling(pool, pool, pool, mode=mode).forward(x[np.newaxis, np.newaxis])[0, 0]
            for mode in ("max", "average")
        )
        top, left = top + TITLE, canvas.left
        for grid in (
            Grid(x, f"{name} map x"),
            Grid(most, "max pooled", "output", "(OH, OW)"),
            Grid(mean, "average pooled", "output", "(OH, OW)"),
        ):
            cell, colors = SIDE / max(grid.values.shape), style.sequential(grid.role)
            box = draw_picture(ax, grid, left, top, cell, colors, 0, x.max())
            text = f"largest {grid.values.max():.2f}, mean {grid.values.mean():.2f}"
            middle = (box.left + box.right) / 2
            style.write(ax, middle, box.bottom + 16, text, 12, align="center")
            left += SIDE + SIGN
        peaks = f"{most.max():.2f} and {mean.max():.2f}"
        described.append(f"{name} map, largest {x.max():.2f}, after max and average {peaks}")
        top = box.bottom + 34
    return canvas.finish(
        left - SIGN,
        top - 8,
        f"Max against average pooling, {pool} x {pool}: {'; '.join(described)}.",
    )


def three_steps(x, pool_h, pool_w, stride=2, row=0):
    """Show the three steps of max pooling: expand, take the maximum of each row, reshape.

    Parameters
    ----------
    x : (C, H, W), one image; small whole numbers read best
    pool_h, pool_w, stride : int, window size PH x PW and step S
    row : int, row of the matrix to outline, with its window and its output

    Notes
    -----
    The rows stand in the order of ``im2col(x, PH, PW, S).reshape(-1, PH * PW)``: place, channel.
    """
    x = np.asarray(x, float)
    _, C, H, W = check_image_shape((1, *np.shape(x)))
    col = im2col(x[np.newaxis], pool_h, pool_w, stride).reshape(-1, pool_h * pool_w)
    if not 0 <= row < len(col):  # (OH*OW*C, PH*PW)
        raise ValueError(f"row {row}: the matrix has {len(col)} rows, 0 to {len(col) - 1}")
    OH, OW = conv_output_size(H, pool_h, stride), conv_output_size(W, pool_w, stride)
    place, channel = divmod(row, C)
    p, q = divmod(place, OW)
    winners, largest = col.argmax(1), col.max(1)
    i, j = divmod(int(winners[row]), pool_w)

    deep = style.channel_strengths(C)
    of_rows = np.tile(deep, OH * OW)[:, np.newaxis]  # (OH*OW*C, 1)
    inputs = [Grid(one, f"input x[{c}]") for c, one in enumerate(x)]
    maps = largest.reshape(OH, OW, C).transpose(2, 0, 1)
    outputs = [Grid(one, f"output[{c}]", "output", "(OH, OW)") for c, one in enumerate(maps)]
    for c, (before, after) in enumerate(zip(inputs, outputs, strict=True)):
        before.hatched = count_reads((H, W), (pool_h, pool_w), stride) == 0
        before.strengths = np.full(before.values.shape, deep[c])
        after.strengths = np.full(after.values.shape, deep[c])
    inputs[channel].windows = [(p * stride, q * stride, pool_h, pool_w)]
    inputs[channel].marked = [(p * stride + i, q * stride + j)]
    outputs[channel].cells = [(p, q)]
    matrix = Grid(col, "matrix col", letters="(OH·OW·C, PH·PW)")
    matrix.windows = [(row, 0, 1, col.shape[1])]
    matrix.marked, matrix.strengths = list(enumerate(winners)), np.broadcast_to(of_rows, col.shape)
    maximum = Grid(largest[:, np.newaxis], "maximum", "output", "(OH·OW·C,)", largest.shape)
    maximum.cells, maximum.strengths = [(row, 0)], of_rows
    canvas = style.Canvas("Max pooling is a table with one window in each row: keep the largest")
    between = TITLE + 14
    cell = fit_legible([inputs[0], matrix, maximum, outputs[0]], ROOM - 3 * STEP, 420, 800)
    cell = min(cell, 30, max(1, (800 / C - between) // H))
    columns = [inputs, [matrix], [maximum], outputs]
    heights = [sum(g.rows * cell + between for g in grids) - between for grids in columns]
    middle = canvas.top + TITLE + max(heights) / 2
    ax, left, ends = canvas.ax, canvas.left, []
    names = "", "1. expand", "2. maximum", "3. reshape"
    for name, grids, height in zip(names, columns, heights, strict=True):
        if name:
            style.write(ax, left + STEP / 2, middle - 20, name, 12, align="center")
            draw_sign(ax, left + STEP / 2, middle, "→")
            left += STEP
        wide, top = max(g.slot(cell) for g in grids), middle - height / 2
        for grid in grids:
            at = round(left + (wide - grid.columns * cell) / 2)
            top = draw_grid(ax, grid, at, round(top), cell).bottom + between
        ends.append(top - between)
        left += wide
    text = (
        f"Row {row} is the window of output place ({p}, {q}) in channel {channel}; its largest "
        f"number, {matrix.text(row, winners[row])}, is the output. The largest of "
        "each row is framed."
    )
    bottom = style.paragraph(canvas.ax, canvas.left, max(ends) + 28, text, ROOM) - 18
    return canvas.finish(
        max(left, canvas.left + min(ROOM, style.text_width(text, 12))),
        bottom + 8,
        f"Max pooling of an input (C, H, W) = {x.shape} in three steps: a matrix of shape "
        f"{col.shape} with one row for each window and channel, the maximum of each row, and the "
        f"output (C, OH, OW) = {(C, OH, OW)}; row {row} gives {matrix.text(row, winners[row])} at "
        f"place ({p}, {q}) of channel {channel}.",
    )


def _winner(x, layer, p, q):
    """Return row and column, in x, of the first largest number of one window."""
    i, j = p * layer.stride, q * layer.stride
    padded = np.pad(x, layer.pad, constant_values=-np.inf)
    window = padded[i : i + layer.pool_h, j : j + layer.pool_w]
    row, column = divmod(int(window.argmax()), layer.pool_w)
    return i + row - layer.pad, j + column - layer.pad


def _tell_gradient(x, dout, dx, place, winner, layer):
    """Say in two lines what happens to the gradient of one output."""
    value = dout.text(*place)
    if layer.mode == "max":
        largest = x.text(*winner)
        return (
            f"The gradient {value} of output {place} goes whole to input {winner}: "
            f"its {largest} is the largest of the window.",
            f"So far {dx.text(*winner)} has arrived there; "
            f"{np.count_nonzero(dx.values == 0)} of {dx.values.size} inputs have received nothing.",
        )
    cells = layer.pool_h * layer.pool_w
    share = dout.values[place] / cells
    written = style.format_number(share, style.decimals_needed(share))
    return (
        f"The gradient {value} of output {place} is shared: {value} / {cells} = {written} goes to "
        f"each of the {counted(cells, 'cell')}.",
        "What falls into the padding is dropped; where windows overlap, shares add up.",
    )


def _relative_change(before, after):
    """Return sum |after - before| / sum |before|, or raise ValueError."""
    size = np.abs(before).sum()
    if not size:
        raise ValueError("x is zero everywhere: there is no relative change from nothing")
    return float(np.abs(after - before).sum() / size)


def _percent(share):
    """Write a share in percent, one below 1 % with one digit that counts."""
    return f"{100 * share:.0f} %" if not share or share >= 0.01 else f"{100 * share:.1g} %"


def _draw_map(ax, grid, left, top, cell, high):
    """Draw a map with its numbers, or without as a picture with colours up to `high`."""
    signed = grid.role == "padding"
    if grid.numbers:
        grid.strengths = 0.1 + 0.5 * np.abs(grid.values) / (high or 1)
        return draw_grid(ax, grid, left, top, cell)
    colors, low = (style.DIVERGING, -high) if signed else (style.sequential(grid.role), 0)
    return draw_picture(ax, grid, left, top, cell, colors, low, high)
