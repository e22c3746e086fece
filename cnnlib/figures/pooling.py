"""Pictures of pooling: a window's step, what a moved image does, the way back, the three steps.

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
    draw_image,
    draw_row,
    draw_title,
    fit,
    fit_legible,
    output_so_far,
)
from cnnlib.layers import Pooling
from cnnlib.windows import check_image_shape, conv_output_size, im2col, pad_images, sliding_windows

ROOM = style.MAX_WIDTH - 2 * style.MARGIN
STEP = 88  # room for an arrow with its step written over it
MANY = 25  # so many numbers of one window are still written out
SIDE = 172  # of a map in a gallery
REGIONS = np.array([[0.14, 0.42], [0.62, 0.28]])  # neighbouring windows are told apart


def window_step(x, pool_h, pool_w, stride=2, pad=0, mode="max", step=0):
    """Show one step of pooling: the window, its numbers, and what is kept of them.

    Parameters
    ----------
    x : array_like, shape (H, W)
        Input of one channel.
    pool_h, pool_w : int
        Window size PH x PW.
    stride, pad : int
        Step S and padding P.
    mode : {"max", "average"}
        What is kept.
    step : int, default 0
        Which window, counted row by row, from 0 to OH*OW - 1.

    Returns
    -------
    Card

    Raises
    ------
    ValueError
        If the layer refuses the settings, or `step` is not one of the windows.

    Notes
    -----
    Book section 7.3, figures 7-14 and 7-15. Where windows do not overlap, each has a tint of its
    own, and so has its output. The number that a maximum came from is framed.
    """
    x = plane(x, "x")
    layer = Pooling(pool_h, pool_w, stride, pad, mode)
    out = layer.forward(x[np.newaxis, np.newaxis], train_flg=False)[0, 0]
    (p, q), window = place(step, out.shape), _windows(x, layer)[step]
    winner = _winners(x, layer)[step]
    verb = "keep the largest" if mode == "max" else "take the mean"
    canvas = style.Canvas(
        f"Window {step + 1} of {out.size}: {verb} of its {counted(window.size, 'number')}"
    )
    apart = stride >= max(pool_h, pool_w)
    regions = REGIONS[np.ix_(*(np.arange(size) % 2 for size in out.shape))]
    grids = [
        Grid(
            x,
            "input x",
            pad=pad,
            ring="−∞" if mode == "max" else "0",
            windows=[(p * stride, q * stride, pool_h, pool_w)],
            marked=[winner] if mode == "max" else (),
            hatched=count_reads(x.shape, (pool_h, pool_w), stride, pad) == 0,
            strengths=_tint_windows(x.shape, layer, regions) if apart else None,
        ),
        output_so_far(out, step, strengths=regions if apart else None),
    ]
    cell = fit(grids, ROOM, signs=1)
    if cell < grids[0].smallest_cell():  # too small for numbers: the colours stand for them
        grids[0].strengths = grids[1].strengths = None
    boxes = draw_row(canvas.ax, [grids[0], "→", grids[1]], canvas.left, canvas.top, cell)
    y = max(box.bottom for box in boxes) + 32
    result = style.format_number(out[p, q], grids[1].decimals)
    end = _write_result(canvas.ax, canvas.left, y, window, mode, result)
    return canvas.finish(
        max(end, boxes[2].right, boxes[2].left + grids[1].title_width),
        y + 8,
        f"{mode.capitalize()} pooling, window {step + 1} of {out.size}: the {pool_h} x {pool_w} "
        f"window at row {p * stride}, column {q * stride} of the {by(x.shape)} input with pad "
        f"{pad} gives {result} at place ({p}, {q}) of the {by(out.shape)} output.",
    )


def gradient_step(x, dout, pool_h, pool_w, stride=2, pad=0, mode="max", step=0):
    """Show where the gradient of one output goes, and what has arrived so far.

    Parameters
    ----------
    x : array_like, shape (H, W)
        Input of one channel.
    dout : array_like, shape (OH, OW)
        Gradient of the loss by the output.
    pool_h, pool_w, stride, pad, mode
        As for `window_step`.
    step : int, default 0
        Which window; those before it have sent their gradient already.

    Returns
    -------
    Card

    Raises
    ------
    ValueError
        As `window_step`, or if `dout` has not the shape of the output.

    Notes
    -----
    Book sections 7.3 and 7.4.4.
    """
    x, dout = plane(x, "x"), plane(dout, "dout")
    layer = Pooling(pool_h, pool_w, stride, pad, mode)
    out = layer.forward(x[np.newaxis, np.newaxis])[0, 0]
    p, q = place(step, out.shape)
    every = layer.backward(dout[np.newaxis, np.newaxis])[0, 0]
    sent = np.where(np.arange(out.size).reshape(out.shape) <= step, dout, 0)
    dx = layer.backward(sent[np.newaxis, np.newaxis])[0, 0]
    winner = _winners(x, layer)[step]
    message = (
        "the gradient goes to where the maximum came from"
        if mode == "max"
        else f"the gradient is shared by the {counted(pool_h * pool_w, 'cell')} of the window"
    )
    canvas = style.Canvas(f"Backward, window {step + 1} of {out.size}: {message}")
    window = [(p * stride, q * stride, pool_h, pool_w)]
    items = [
        Grid(
            x,
            "input x",
            pad=pad,
            ring="−∞" if mode == "max" else "0",
            windows=window,
            marked=[winner] if mode == "max" else (),
        ),
        "",  # no sign: dout is not made from x
        Grid(dout, "gradient dout", "gradient", "(OH, OW)", cells=[(p, q)]),
        "→",
        Grid(
            dx,
            "gradient dx",
            "gradient",
            "(H, W)",
            pad=pad,
            shape=x.shape,
            ring="",
            windows=window,
            strengths=0.06 + 0.5 * (dx != 0),
        ),
    ]
    items[4].decimals = style.decimals_needed(every)
    items[4].smallest_cell = Grid(every).smallest_cell
    cell = fit([item for item in items if isinstance(item, Grid)], ROOM, signs=2)
    boxes = draw_row(canvas.ax, items, canvas.left, canvas.top, cell)
    lines = _tell_gradient(items, (p, q), winner, layer)
    bottom = max(box.bottom for box in boxes) + 8
    for line in lines:
        bottom += 21
        style.write(canvas.ax, canvas.left, bottom, line, 13, style.MUTED)
    return canvas.finish(
        max(
            boxes[4].left + max(items[4].title_width, items[4].columns * cell),
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
    x, moved : array_like, shape (H, W)
        The image, and the image moved.
    pool : int
        Window size, pool x pool.
    stride : int, optional
        Step S; as large as the window where left out.
    mode : {"max", "average"}
        What is kept of a window.

    Returns
    -------
    Card

    Raises
    ------
    ValueError
        If the two differ in shape, if `x` or its pooled map is zero everywhere, or if the layer
        refuses the settings.

    Notes
    -----
    Book section 7.3.1, figure 7-16. The relative change is ``sum |after - before| / sum |before|``.
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
    if not changes[0]:
        message = "Nothing has moved, nothing has changed"
    elif not changes[1]:
        message = f"The input changes by {before}, the pooled map not at all"
    else:
        message = f"The input changes by {before}, the pooled map by {after}"
    canvas = style.Canvas(message)
    top, right = canvas.top, 0
    kind = f"{mode} {pool} x {pool}, stride {stride}"
    small = max(x.shape) <= 5
    for row, change, names, role, letters in (
        (rows[0], changes[0], ("input x", "input, moved"), "input", "(H, W)"),
        (rows[1], changes[1], ("pooled", "pooled, moved"), "output", "(OH, OW)"),
    ):
        cell = SIDE / max(row[0].shape)
        top += TITLE
        left = canvas.left
        high = np.abs(row).max()
        for values, name in zip(row, names, strict=True):
            grid = Grid(values, name, role, letters, numbers=small)
            box = _draw_map(canvas.ax, grid, left, top, cell, high)
            left += SIDE + SIGN / 2 + 8
        grid = Grid(row[1] - row[0], "moved − before", "padding", letters, numbers=small)
        box = _draw_map(canvas.ax, grid, left, top, cell, high)
        left += SIDE + 28
        style.write(canvas.ax, left, box.middle - 30, "relative change", 12, style.MUTED)
        style.write(
            canvas.ax,
            left,
            box.middle,
            _percent(change),
            24,
            style.TEXT_COLORS[role],
            "bold",
            gid=f"change of {role}",
        )
        note = kind if role == "output" else "before pooling"
        style.write(canvas.ax, left, box.middle + 28, note, 12, style.MUTED)
        right = max(right, left + style.text_width(kind, 12))
        top = box.bottom + 20
    note = "relative change: sum of |moved − before|, divided by the sum of |before|"
    if not small:
        note += "; red: more than before, blue: less"
    style.write(canvas.ax, canvas.left, top + 8, note, 12, style.MUTED)
    return canvas.finish(
        right,
        top + 16,
        f"An image of {by(x.shape)} and the image moved, before and after {kind} pooling: "
        f"the input changes by {before}, the pooled map by {after}.",
    )


def change_curves(shifts, changes):
    """Show how much maps change when the image moves, over many images.

    Parameters
    ----------
    shifts : list of int
        Pixels moved.
    changes : dict of str to array_like, shape (images, len(shifts))
        Relative changes by name; the first are those without pooling.

    Returns
    -------
    Card

    Raises
    ------
    ValueError
        If the shapes do not go together.

    Notes
    -----
    Book section 7.3.1. Lines are medians; the bands hold the middle half of the images.
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
    maps : dict of str to array_like, shape (H, W)
        Maps of numbers from 0 on, by name.
    pool : int
        Window size, and stride.

    Returns
    -------
    Card

    Raises
    ------
    ValueError
        If a map is not 2-D or has negative numbers, or no window fits.

    Notes
    -----
    Book section 7.3. Each row of pictures has one scale of colours, from 0 to the largest input.
    """
    canvas = style.Canvas(
        f"{pool} x {pool}: the maximum keeps a lone peak, the mean divides it by {pool * pool}"
        if pool > 1
        else "1 x 1: both leave every number as it is"
    )
    top, described = canvas.top, []
    for name, values in maps.items():
        x = plane(values, name)
        if x.min() < 0:
            raise ValueError(f"{name} has negative numbers, the least is {x.min():.3g}")
        planes = [
            x,
            *(
                Pooling(pool, pool, pool, mode=mode).forward(x[np.newaxis, np.newaxis])[0, 0]
                for mode in ("max", "average")
            ),
        ]
        top += TITLE
        left = canvas.left
        titles = (f"{name} map x", "max pooled", "average pooled")
        for shown, title, role in zip(planes, titles, ("input", "output", "output"), strict=True):
            letters = "(H, W)" if role == "input" else "(OH, OW)"
            cell = SIDE / max(shown.shape)
            grid = Grid(shown, title, role, letters, numbers=False)
            colors = style.sequential(role)
            box = draw_image(canvas.ax, shown, left, top, cell, colors, 0, x.max())
            draw_title(canvas.ax, grid, box)
            text = f"largest {shown.max():.2f}, mean {shown.mean():.2f}"
            middle = (box.left + box.right) / 2
            style.write(canvas.ax, middle, box.bottom + 16, text, 12, align="center")
            left += SIDE + SIGN
        peaks = " and ".join(f"{pooled.max():.2f}" for pooled in planes[1:])
        described.append(f"{name} map, largest {x.max():.2f}, after max and average {peaks}")
        top = box.bottom + 34
    return canvas.finish(
        left - SIGN,
        top - 8,
        f"Max against average pooling, {pool} x {pool}: {'; '.join(described)}.",
    )


def steps(x, pool_h, pool_w, stride=2, row=0):
    """Show the three steps of max pooling: expand, take the maximum of each row, reshape.

    Parameters
    ----------
    x : array_like, shape (C, H, W)
        One image; small whole numbers read best.
    pool_h, pool_w : int
        Window size PH x PW.
    stride : int, default 2
        Step S.
    row : int, default 0
        Row of the matrix to outline, with its window and its output.

    Returns
    -------
    Card

    Raises
    ------
    ValueError
        If no window fits, or the matrix has no such row.

    Notes
    -----
    Book section 7.4.4, figures 7-21 and 7-22. The rows stand in the order (place, channel), those
    of ``im2col(x, PH, PW, S).reshape(-1, PH * PW)``; the channels are coloured from pale to deep.
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
    inputs = [
        Grid(
            plane,
            f"input x[{c}]",
            windows=[(p * stride, q * stride, pool_h, pool_w)] if c == channel else (),
            marked=[(p * stride + i, q * stride + j)] if c == channel else (),
            hatched=count_reads((H, W), (pool_h, pool_w), stride) == 0,
            strengths=np.full(plane.shape, deep[c]),
        )
        for c, plane in enumerate(x)
    ]
    matrix = Grid(
        col,
        "matrix col",
        letters="(OH·OW·C, PH·PW)",
        windows=[(row, 0, 1, pool_h * pool_w)],
        marked=list(enumerate(winners)),
        strengths=np.broadcast_to(of_rows, col.shape),
    )
    maximum = Grid(
        largest[:, np.newaxis],
        "maximum",
        "output",
        "(OH·OW·C,)",
        shape=largest.shape,
        cells=[(row, 0)],
        strengths=of_rows,
    )
    outputs = [
        Grid(
            plane,
            f"output[{c}]",
            "output",
            "(OH, OW)",
            cells=[(p, q)] if c == channel else (),
            strengths=np.full(plane.shape, deep[c]),
        )
        for c, plane in enumerate(largest.reshape(OH, OW, C).transpose(2, 0, 1))
    ]
    canvas = style.Canvas("Max pooling is a table with one window in each row: keep the largest")
    between = TITLE + 14
    cell = fit_legible([inputs[0], matrix, maximum, outputs[0]], ROOM - 3 * STEP, 420, 800)
    cell = min(cell, 30, max(1, (800 / C - between) // H))
    columns = [inputs, [matrix], [maximum], outputs]
    heights = [sum(g.rows * cell + between for g in grids) - between for grids in columns]
    middle = canvas.top + TITLE + max(heights) / 2
    left, ends = canvas.left, []
    for k, (grids, height) in enumerate(zip(columns, heights, strict=True)):
        if k:
            name = ("1. expand", "2. maximum", "3. reshape")[k - 1]
            style.write(canvas.ax, left + STEP / 2, middle - 20, name, 12, align="center")
            style.write(canvas.ax, left + STEP / 2, middle, "→", 20, style.MUTED, align="center")
            left += STEP
        wide = max(max(g.title_width, g.columns * cell) for g in grids)
        top = middle - height / 2
        for grid in grids:
            at = round(left + (wide - grid.columns * cell) / 2)
            top = draw_grid(canvas.ax, grid, at, round(top), cell).bottom + between
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


def _windows(x, layer):
    """Return the numbers of each window, the padding as infinite, shape (OH*OW, PH*PW)."""
    padded = pad_images(x[np.newaxis, np.newaxis], layer.pad, -np.inf)
    windows = sliding_windows(padded, layer.pool_h, layer.pool_w, layer.stride)[0, 0]
    PH, PW, OH, OW = windows.shape
    return windows.transpose(2, 3, 0, 1).reshape(OH * OW, PH * PW)


def _winners(x, layer):
    """Return, for each window, row and column of its first largest number in x."""
    _, OW = layer.output_shape((1, *x.shape))[1:]
    places = []
    for k, best in enumerate(_windows(x, layer).argmax(1)):
        (p, q), (i, j) = divmod(k, OW), divmod(int(best), layer.pool_w)
        places.append((p * layer.stride + i - layer.pad, q * layer.stride + j - layer.pad))
    return places


def _tint_windows(shape, layer, regions):
    """Give each cell of an input the tint of its window, where windows do not overlap."""
    tints = np.full([size + 2 * layer.pad for size in shape], 0.1)
    for (p, q), tint in np.ndenumerate(regions):
        i, j = p * layer.stride, q * layer.stride
        tints[i : i + layer.pool_h, j : j + layer.pool_w] = tint
    H, W = shape
    return tints[layer.pad : layer.pad + H, layer.pad : layer.pad + W]


def _write_result(ax, left, y, window, mode, result):
    """Write "max(1, 2, 3) = 3" or "(1 + 2 + 3) / 3 = 6 / 3 = 2"; return the right end."""
    ends = [(" = ", style.INK, "normal"), (result, style.TEXT_COLORS["output"], "bold")]
    size = 14
    pieces = _spell_out(window, mode) + ends
    if window.size > MANY or sum(_advance(t, size, w) for t, _, w in pieces) > ROOM:
        what = "the largest" if mode == "max" else "the mean"
        text = f"{what} of {window.size} numbers"
        pieces = [(text, style.TEXT_COLORS["input"], "normal"), *ends]
    for k, (text, color, weight) in enumerate(pieces, start=1):
        gid = "result" if k == len(pieces) else None
        space = _advance(text[: len(text) - len(text.lstrip())], size, weight)
        style.write(ax, left + space, y, text.strip(), size, color, weight, gid=gid)
        left += _advance(text, size, weight)
    return left


def _spell_out(window, mode):
    """List the pieces of "max(1, 2)" or "(1 + 2) / 2 = 3 / 2", each with colour and weight."""
    decimals = style.decimals_needed(window)
    largest = mode == "max"
    pieces = [("max(" if largest else "(", style.INK, "normal")]
    for k, value in enumerate(window):
        if k:
            pieces.append((", " if largest else " + ", style.MUTED, "normal"))
        if not np.isfinite(value):
            pieces.append(("−∞" if largest else "0", style.TEXT_COLORS["padding"], "normal"))
            continue
        text = style.format_number(value, decimals)
        if largest and k == window.argmax():
            pieces.append((text, style.TEXT_COLORS["output"], "bold"))
        else:
            bare = largest or not k or value >= 0
            text = text if bare else f"({text})"
            pieces.append((text, style.TEXT_COLORS["input"], "normal"))
    if largest:
        return [*pieces, (")", style.INK, "normal")]
    total = window[np.isfinite(window)].sum()
    total = style.format_number(total, style.decimals_needed(total))
    return [*pieces, (f") / {window.size} = {total} / {window.size}", style.INK, "normal")]


def _advance(text, size, weight):
    """Return the width of a text with the spaces at its ends, which are not measured."""
    stop = style.text_width("||", size, weight)
    return style.text_width(f"|{text}|", size, weight) - stop


def _tell_gradient(items, place, winner, layer):
    """Say in two lines what happens to the gradient of one output."""
    x, _, dout, _, dx = items
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
    box = draw_image(ax, grid.values, left, top, cell, colors, low, high)
    draw_title(ax, grid, box)
    return box
