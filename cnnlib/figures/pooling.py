"""Max pooling by im2col: windows laid out as rows, the largest of each row, a map again.

Book section 7.4.4, figures 7-21 and 7-22.
"""

import numpy as np

from cnnlib.figures import style
from cnnlib.figures.grids import TITLE, Grid, count_reads, draw_grid, fit_legible
from cnnlib.windows import check_images, conv_output_size, im2col

ROOM = style.MAX_WIDTH - 2 * style.MARGIN
STEP = 88  # room for an arrow with its step written over it


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
    C, H, W = check_images(x[np.newaxis])[1:]
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
