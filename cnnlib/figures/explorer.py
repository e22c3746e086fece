"""Static pictures for the modes of the Window Explorer that no other module draws.

Pooling of several channels, and the backward pass of a convolution (book section 7.4.3).
"""

import numpy as np

from cnnlib.figures import style
from cnnlib.figures.arithmetic import place
from cnnlib.figures.grids import TITLE, Grid, count_reads, draw_row, fit
from cnnlib.layers import Pooling
from cnnlib.windows import col2im, conv_output_size

ROOM = style.MAX_WIDTH - 2 * style.MARGIN
GAP = 14  # between two channels


def pooled_channels(x, pool_h, pool_w, stride=2, pad=0, mode="max", step=0):
    """Show one step of pooling in several channels: each keeps a number of its own.

    Parameters
    ----------
    x : array_like, shape (C, H, W)
        Input.
    pool_h, pool_w : int
        Window size PH x PW.
    stride, pad : int
        Step S and padding P.
    mode : {"max", "average"}
        What is kept.
    step : int, default 0
        Which window, counted row by row.

    Returns
    -------
    Card

    Raises
    ------
    ValueError
        If the layer refuses the settings, or `step` is not one of the windows.
    """
    x = np.asarray(x, float)
    out = Pooling(pool_h, pool_w, stride, pad, mode).forward(x[np.newaxis], train_flg=False)[0]
    p, q = place(step, out.shape[1:])
    kept = "maximum" if mode == "max" else "mean"
    lines = [
        [
            Grid(
                plane,
                f"input x[{c}]",
                pad=pad,
                ring="−∞" if mode == "max" else "0",
                windows=[(p * stride, q * stride, pool_h, pool_w)],
                hatched=count_reads(plane.shape, (pool_h, pool_w), stride, pad) == 0,
            ),
            "→",
            Grid(pooled, f"output[{c}]", "output", "(OH, OW)", cells=[(p, q)]),
        ]
        for c, (plane, pooled) in enumerate(zip(x, out, strict=True))
    ]
    numbers = [style.format_number(v, style.decimals_needed(out)) for v in out[:, p, q]]
    return _draw(
        f"Each channel is pooled on its own: the {kept} of its window is its output",
        lines,
        f"Output place ({p}, {q}): {kept} of each window, channel by channel: "
        f"{', '.join(numbers)}.",
        f"{mode.capitalize()} pooling of an input (C, H, W) = {x.shape} with a {pool_h} x {pool_w} "
        f"window, stride {stride}, pad {pad}: the output is {out.shape}; at place ({p}, {q}) it is "
        f"{', '.join(numbers)}.",
    )


def backward_step(dout, W, shape, stride=1, pad=0, step=0):
    """Show where one entry of dout flows back to, and what all of them add up to.

    Parameters
    ----------
    dout : array_like, shape (OH, OW)
        Gradient of the loss by the output of one filter.
    W : array_like, shape (C, FH, FW)
        The filter.
    shape : tuple of int
        Shape (C, H, W) of the input.
    stride, pad : int
        Step S and padding P of the convolution.
    step : int, default 0
        Which entry of dout, counted row by row.

    Returns
    -------
    Card

    Raises
    ------
    ValueError
        If no window fits, `dout` does not have the output's shape, or `step` is outside of it.
    """
    dout, W = np.asarray(dout, float), np.asarray(W, float)
    C, FH, FW = W.shape
    out_shape = tuple(
        conv_output_size(size, filter_size, stride, pad)
        for size, filter_size in zip(shape[1:], (FH, FW), strict=True)
    )
    if dout.shape != out_shape:
        raise ValueError(f"dout must have the output's shape {out_shape}, got {dout.shape}")
    p, q = place(step, out_shape)
    dcol = dout.reshape(-1, 1) @ W.reshape(1, -1)  # (OH*OW, C*FH*FW)
    dx = col2im(dcol, (1, *shape), FH, FW, stride, pad)[0]
    unread = count_reads(shape[1:], (FH, FW), stride, pad) == 0
    lines = []
    for c in range(C):
        channel = f"[{c}]" if C > 1 else ""
        window = [(p * stride, q * stride, FH, FW)]
        lines.append(
            [
                Grid(dout, "dout", "gradient", "(OH, OW)", cells=[(p, q)]),
                "×",
                Grid(W[c], f"filter W{channel}", "filter", "(FH, FW)"),
                "→",
                Grid(
                    dx[c],
                    f"dx{channel}",
                    "gradient",
                    pad=pad,
                    ring="",
                    windows=window,
                    hatched=unread,
                ),
            ]
        )
    matrix = Grid(dcol, "dcol", "gradient", "(OH·OW, C·FH·FW)", windows=[(step, 0, 1, W.size)])
    if C == 1 and _fit([[*lines[0], "→", matrix]]) >= matrix.smallest_cell():
        lines[0][4:4] = [matrix, "→"]
    times = count_reads(shape[1:], (FH, FW), stride, pad).max()
    number = style.format_number(dout[p, q], style.decimals_needed(dout))
    note = f"dout[{p}, {q}] = {number}, times the filter, goes to the cells of its window. "
    note += (
        f"Where windows overlap, up to {times:.0f} gradients add up."
        if times > 1
        else "No two windows overlap, so nothing is added here."
    )
    return _draw(
        "Each gradient flows back to its window; where windows overlap, they add up",
        lines,
        note,
        f"Backward pass of a convolution: dout {dout.shape} times a filter (C, FH, FW) = "
        f"{W.shape}, stride {stride}, pad {pad}, gives dx of shape {tuple(shape)}; entry "
        f"({p}, {q}) of dout flows back to the window at row {p * stride}, column {q * stride}.",
    )


def _fit(lines):
    """Choose the largest cell with which all lines fit below each other."""
    rows = [max(item.rows for item in line if isinstance(item, Grid)) for line in lines]
    cells = []
    for line in lines:
        grids = [item for item in line if isinstance(item, Grid)]
        share = (640 - len(lines) * (TITLE + GAP)) * max(rows) / sum(rows)
        cells.append(fit(grids, ROOM, min(share, 460), signs=len(line) - len(grids)))
    return min(cells)


def _draw(message, lines, note, alt):
    """Draw lines of grids and signs below each other, with a note."""
    canvas = style.Canvas(message)
    cell, top, right = _fit(lines), canvas.top, canvas.left
    for line in lines:
        boxes = draw_row(canvas.ax, line, canvas.left, top, cell)
        top = max(box.bottom for box in boxes) + GAP
        last = line[-1]
        slot = max(last.title_width, last.columns * cell)
        right = max(right, boxes[-1].left - (slot - last.columns * cell) / 2 + slot)
    bottom = style.paragraph(canvas.ax, canvas.left, top + 14, note, ROOM, 13) - 20
    right = max(right, canvas.left + min(ROOM, style.text_width(note, 13)))
    return canvas.finish(right, bottom + 8, alt)
