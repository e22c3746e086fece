"""Pictures of pooling: what a moved image does, the way back, the three steps, LeNet-5's way.

Book sections 7.3, 7.4.4 (figures 7-14 to 7-16, 7-21, 7-22) and 7.7.
"""

import numpy as np

from cnnlib.figures import style
from cnnlib.figures.galleries import draw_bar, draw_line, signed
from cnnlib.figures.grids import (
    ROOM,
    TITLE,
    Grid,
    by,
    count_reads,
    counted,
    draw_grid,
    draw_items,
    draw_sign,
    fit,
    plane,
)
from cnnlib.layers import Pooling
from cnnlib.windows import check_image_shape, conv_output_size, im2col

STEP = 88  # room for an arrow with its step written over it
SIDE = 156  # of a map in a gallery
GAP = 34  # from one to the next
LARGEST = 1.7159  # of the scaled tanh


def gradient_step(x, dout, pool_h, pool_w, stride=2, pad=0, mode="max", step=0):
    """Show where the gradient of one output goes, and what has arrived so far.

    Parameters
    ----------
    x, dout : (H, W) and (OH, OW), input of one channel, and gradient of the loss by the output
    pool_h, pool_w, stride, pad, mode : those of the layer
    step : int, which window; those before it have sent their gradient already
    """
    x, dout = plane(x, "x"), plane(dout, "dout")
    layer = Pooling(pool_h, pool_w, stride, pad, mode)
    out, largest = layer.forward(x[np.newaxis, np.newaxis])[0, 0], mode == "max"
    if not 0 <= step < out.size:
        raise ValueError(f"step {step}: there are {out.size} windows, steps 0 to {out.size - 1}")
    place, order = divmod(step, out.shape[1]), np.arange(out.size).reshape(out.shape)

    def back(sent):
        return layer.backward(np.asarray(sent, float)[np.newaxis, np.newaxis])[0, 0]

    every = back(dout)  # or the layer's ValueError
    dx, way = back(np.where(order <= step, dout, 0)), back(order == step)
    around = {"pad": pad, "windows": [(place[0] * stride, place[1] * stride, pool_h, pool_w)]}
    read = Grid(x, "input x", ring="−∞" if largest else "0", **around)
    sender = Grid(dout, "gradient dout", "gradient", "(OH, OW)", cells=[place])
    got = Grid(dx, "gradient dx", "gradient", "(H, W)", x.shape, ring="", **around)
    got.strengths = 0.06 + 0.5 * (dx != 0)
    got.decimals = style.decimals_needed(every)
    got.smallest_cell = Grid(every).smallest_cell
    value, cells = sender.text(*place), counted(pool_h * pool_w, "cell")
    total = style.format_number(dx.sum(), style.decimals_needed(dx.sum()))
    if largest:
        message = "the gradient goes to where the maximum came from"
        winner = tuple(np.argwhere(way)[0].tolist())
        read.marked = [winner]
        lines = (
            f"The gradient {value} of output {place} goes whole to input {winner}: "
            f"its {read.text(*winner)} is the largest of the window.",
            f"So far {got.text(*winner)} has arrived there, {total} in all; "
            f"{np.count_nonzero(dx == 0)} of {dx.size} inputs have received nothing.",
        )
    else:
        message = f"the gradient is shared by the {cells} of the window"
        share = dout[place] / (pool_h * pool_w)
        written = style.format_number(share, style.decimals_needed(share))
        lines = (
            f"The gradient {value} of output {place} is shared: {value} / {pool_h * pool_w} = "
            f"{written} goes to each of the {cells}.",
            f"So far {total} has arrived in all"
            f"{' (what falls into the padding is dropped)' * (pad > 0)}; "
            "where windows overlap, shares add up.",
        )
    canvas = style.Canvas(f"Backward, window {step + 1} of {out.size}: {message}")
    # No sign between x and dout: it is not made from x.
    _, bottom = draw_items(canvas, [read, "", sender, "→", got])
    bottom += 29
    for line in lines:
        bottom = canvas.note(bottom, line, 13)
    alt = f"Backward through {mode} pooling, window {step + 1} of {out.size} of a {by(x.shape)} "
    return canvas.finish(canvas.right, bottom - 12, f"{alt}input: {' '.join(lines)}")


def shift_effect(x, moved, pool, stride=None, mode="max"):
    """Show an image and the image moved, before and after pooling, and how much has changed.

    Parameters
    ----------
    x, moved : (H, W), the image, and the image moved
    pool, stride : int, window size, and step, as large as the window where left out
    mode : str, "max" or "average"
    """
    x, moved = plane(x, "x"), plane(moved, "moved")
    if x.shape != moved.shape:
        raise ValueError(f"x and moved must have one shape, got {x.shape} and {moved.shape}")
    stride = stride or pool
    layer = Pooling(pool, pool, stride, mode=mode)
    pooled = layer.forward(np.stack([x, moved])[:, np.newaxis], train_flg=False)[:, 0]
    pairs = (x, moved), tuple(pooled)
    if not x.any():
        raise ValueError("x is zero everywhere: there is no relative change from nothing")
    changes = [np.abs(b - a).sum() / (np.abs(a).sum() or 1) for a, b in pairs]
    before, after = map(_changed_by, changes)
    told = f"The input changes by {before}, the pooled map by {after}"
    message = told if changes[1] else f"The input changes by {before}, the pooled map not at all"
    canvas = style.Canvas(message if changes[0] else "Nothing has moved, nothing has changed")
    ax, top, small = canvas.ax, canvas.top, max(x.shape) <= 5
    kind = f"{mode} {pool} x {pool}, stride {stride}"
    for (one, other), change, names, role, letters, note in (
        (pairs[0], before, ("input x", "input, moved"), "input", "(H, W)", "before pooling"),
        (pairs[1], after, ("pooled", "pooled, moved"), "output", "(OH, OW)", kind),
    ):
        grids = [Grid(v, n, role, letters) for v, n in zip((one, other), names, strict=True)]
        grids.append(Grid(other - one, "moved − before", "padding", letters))
        high = np.abs(one).max()
        scales = [(style.sequential(role), 0, high)] * 2 + [signed(one)]
        if small:  # with their numbers
            scales = [()] * 3
            for grid in grids:
                grid.strengths = 0.1 + 0.5 * np.abs(grid.values) / (high or 1)
        box = _draw_three(canvas, grids, scales, top)[-1]
        left = canvas.left + 3 * (SIDE + GAP)
        style.write(ax, left, box.middle - 30, "relative change", 12, style.MUTED)
        look = {"weight": "bold", "color": style.TEXT_COLORS[role], "gid": f"change of {role}"}
        style.write(ax, left, box.middle, change, 24, **look)
        style.write(ax, left, box.middle + 28, note, 12, style.MUTED)
        top = box.bottom + 20
    note = "relative change: sum of |moved − before|, divided by the sum of |before|"
    canvas.note(top + 8, note if small else f"{note}; red: more than before, blue: less")
    alt = f"{told}: an image of {by(x.shape)} and the image moved, before and after {kind} pooling."
    return canvas.finish(left + style.text_width(kind, 12), top + 16, alt)


def max_against_average(maps, pool):
    """Show what the maximum and the mean of each window make of several maps.

    Parameters
    ----------
    maps : by name, (H, W), no number below 0; a row of pictures has one scale of colors
    pool : int, window size, and stride
    """
    message = f"{pool} x {pool}: the maximum keeps a lone peak, the mean divides it by {pool**2}"
    canvas = style.Canvas(message if pool > 1 else "1 x 1: both leave every number as it is")
    top, described = canvas.top, []
    for name, values in maps.items():
        x = plane(values, name)
        if x.min() < 0:
            raise ValueError(f"{name} has negative numbers, the least is {x.min():.3g}")
        grids = [Grid(x, f"{name} map x")]
        for mode in ("max", "average"):
            out = Pooling(pool, pool, pool, mode=mode).forward(x[np.newaxis, np.newaxis])[0, 0]
            grids.append(Grid(out, f"{mode} pooled", "output", "(OH, OW)"))
        scales = [(style.sequential(grid.role), 0, x.max()) for grid in grids]
        notes = [f"largest {g.values.max():.2f}, mean {g.values.mean():.2f}" for g in grids]
        boxes = _draw_three(canvas, grids, scales, top, notes)
        described += [f"{g.name}, {note}" for g, note in zip(grids, notes, strict=True)]
        top = max(box.bottom for box in boxes) + 34
    text = f"Max against average pooling, {pool} x {pool}: {'; '.join(described)}."
    return canvas.finish(canvas.left + 3 * SIDE + 2 * GAP, top - 8, text)


def three_steps(x, pool_h, pool_w, stride=2, row=0):
    """Show the three steps of max pooling: expand, take the maximum of each row, reshape.

    The rows stand in the order of ``im2col(x, PH, PW, S).reshape(-1, PH * PW)``: place, channel.
    Of the image `x` (C, H, W), the window that is `row` of the matrix is outlined.
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
    maps = largest.reshape(OH, OW, C).transpose(2, 0, 1)
    inputs = [Grid(x[c], f"input x[{c}]", strengths=deep[c]) for c in range(C)]
    outputs = [Grid(maps[c], f"output[{c}]", "output", "(OH, OW)") for c in range(C)]
    for before, after in zip(inputs, outputs, strict=True):
        before.hatched = count_reads((H, W), (pool_h, pool_w), stride) == 0
        after.strengths = before.strengths
    inputs[channel].windows = [(p * stride, q * stride, pool_h, pool_w)]
    inputs[channel].marked = [(p * stride + i, q * stride + j)]
    outputs[channel].cells = [(p, q)]
    matrix = Grid(col, "matrix col", letters="(OH·OW·C, PH·PW)", strengths=of_rows)
    matrix.windows, matrix.marked = [(row, 0, 1, col.shape[1])], list(enumerate(winners))
    maximum = Grid(largest[:, np.newaxis], "maximum", "output", "(OH·OW·C,)", largest.shape)
    maximum.cells, maximum.strengths = [(row, 0)], of_rows
    canvas = style.Canvas("One window of one channel in each row: keep the largest")
    columns = {"": inputs, "1. expand": [matrix], "2. maximum": [maximum], "3. reshape": outputs}
    left, bottom = _draw_steps(canvas, columns)
    result = matrix.text(row, winners[row])
    text = (
        f"Row {row} is the window of output position ({p}, {q}) in channel {channel}; its largest "
    )
    text += f"number, {result}, is the output. The largest of each row is framed."
    alt = f"Max pooling of an input (C, H, W) = {x.shape} in three steps: rows {col.shape} of "
    alt += f"the windows, the largest of each row, and the output {(C, OH, OW)}. {text}"
    return canvas.finish(left, canvas.note(bottom + 28, text) - 10, alt)


def _draw_steps(canvas, columns):
    """Draw lists of grids beside each other, named arrows between; return right end and bottom."""
    firsts, between = [grids[0] for grids in columns.values()], TITLE + 8
    images = columns[""]
    cell = fit(firsts, ROOM - 3 * STEP, 380, tallest=800)
    cell = min(30, cell, max(1, (440 / len(images) - between) // images[0].rows))

    def height(grids):
        return sum(grid.rows * cell + between for grid in grids) - between

    ax, left, bottom = canvas.ax, canvas.left, 0
    middle = canvas.top + TITLE + max(map(height, columns.values())) / 2
    for name, grids in columns.items():
        if name:
            style.write(ax, left + STEP / 2, middle - 20, name, 12, align="center")
            draw_sign(ax, left + STEP / 2, middle, "→")
            left += STEP
        wide, top = max(grid.slot(cell) for grid in grids), middle - height(grids) / 2
        for grid in grids:
            at = round(left + (wide - grid.columns * cell) / 2)
            end = draw_grid(ax, grid, at, round(top), cell).bottom
            top, bottom = end + between, max(bottom, end)
        left += wide
    return left, bottom


def _changed_by(share):
    """Write a share in percent, one below 1 % with one digit that counts."""
    return f"{100 * share:.0f} %" if not share or share >= 0.01 else f"{100 * share:.1g} %"


def _draw_three(canvas, grids, scales, top, notes=("", "", "")):
    """Draw three maps in a line, as images on their scales, or with numbers where there is none."""
    cells = [SIDE / max(grid.values.shape) for grid in grids]
    middle = top + TITLE + max(g.rows * cell for g, cell in zip(grids, cells, strict=True)) / 2
    line = [(*item[:2], *item[2]) for item in zip(grids, cells, scales, strict=True)]
    boxes = draw_line(canvas.ax, [line[0], GAP, line[1], GAP, line[2]], canvas.left, middle, SIDE)
    for box, note in zip(boxes, notes, strict=True):
        style.write(canvas.ax, box.center, box.bottom + 16, note, 12, align="center")
    return boxes


def steps(x, sums, out):
    """Show LeNet-5's subsampling of a map: its windows' sums as they are used, then squashed.

    A sum is multiplied by a coefficient, and a bias is added (LeCun et al. 1998, section II.B).
    """
    x, sums, out = plane(x, "x"), plane(sums, "sums"), plane(out, "out")
    if sums.shape != out.shape:
        raise ValueError(f"sums {sums.shape} and out {out.shape} must have one shape")
    share = f"{100 * (np.abs(out) > 0.9 * LARGEST).mean():.0f} % of the units"
    canvas = style.Canvas(f"{share} are driven to the ends of the curve")
    items, side = [], 196
    for grid in (
        Grid(x, "map x"),
        Grid(sums, "coefficient · sum + bias", "window", "(OH, OW)"),
        Grid(out, "after the scaled tanh", "output", "(OH, OW)"),
    ):
        scale = signed(np.array(LARGEST) if grid.role == "output" else grid.values)
        items += ["→", (grid, side / max(grid.values.shape), *scale)]
    boxes = draw_line(canvas.ax, items[1:], canvas.left, canvas.top + TITLE + side / 2)
    for box, values in zip(boxes, (x, sums, out), strict=True):
        ends = (style.format_number(v, 2) for v in (values.min(), values.max()))
        look = {"color": style.MUTED, "align": "center"}
        style.write(canvas.ax, box.center, box.bottom + 16, f"from {' to '.join(ends)}", **look)
    figure = canvas.finish(
        box.right + 96,
        canvas.top + TITLE + side + 26,
        f"A map of {by(x.shape)}, subsampled and squashed to {by(out.shape)}, from "
        f"{out.min():.2f} to {out.max():.2f}; {share} beyond nine tenths of the largest value.",
    )
    draw_bar(figure, scale, box, "after the tanh")
    return figure
