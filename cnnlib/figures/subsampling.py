"""LeNet-5 as published, drawn: its subsampling, and which maps each filter of C3 sees.

Book section 7.7; LeCun, Bottou, Bengio and Haffner (1998), section II.B and table I.
"""

import numpy as np
from matplotlib.patches import Rectangle

from cnnlib.figures import style
from cnnlib.figures.arithmetic import by, plane
from cnnlib.figures.grids import Grid, draw_frame, draw_picture
from cnnlib.figures.training import draw_arrow

SIDE = 196  # of a map in pixels
LARGEST = 1.7159  # of the scaled tanh


def steps(x, sums, out):
    """Show a map, the sums of its windows times coefficient plus bias, and the squashed map."""
    x, sums, out = plane(x, "x"), plane(sums, "sums"), plane(out, "out")
    if sums.shape != out.shape:
        raise ValueError(f"sums {sums.shape} and out {out.shape} must have one shape")
    flat = (np.abs(out) > 0.9 * LARGEST).mean()
    canvas = style.Canvas(f"{100 * flat:.0f} % of the units are driven to the ends of the curve")
    ax, top, left = canvas.ax, canvas.top + 42, canvas.left
    panels = (
        Grid(x, "map x"),
        Grid(sums, "coefficient · sum + bias", "window", "(OH, OW)"),
        Grid(out, "after the scaled tanh", "output", "(OH, OW)"),
    )
    for k, grid in enumerate(panels):
        peak = LARGEST if k == 2 else max(np.abs(grid.values).max(), 1e-12)
        cell = SIDE / max(grid.values.shape)
        box = draw_picture(ax, grid, left, top, cell, style.DIVERGING, -peak, peak)
        ends = (style.format_number(v, 2) for v in (grid.values.min(), grid.values.max()))
        text, middle = f"from {' to '.join(ends)}", (box.left + box.right) / 2
        style.write(ax, middle, box.bottom + 16, text, 12, style.MUTED, align="center")
        if k < 2:
            draw_arrow(ax, [(box.right + 12, box.middle), (box.right + 52, box.middle)])
        left = box.right + 64
    figure = canvas.finish(
        left + 30,
        top + SIDE + 26,
        f"A map of {by(x.shape)}, subsampled and squashed to {by(out.shape)}, from "
        f"{out.min():.2f} to {out.max():.2f}; {100 * flat:.0f} % of the units beyond nine tenths "
        "of the largest value.",
    )
    place = left - 24, top, SIDE
    style.color_bar(figure, style.DIVERGING, -LARGEST, LARGEST, *place, "after the tanh")
    return figure


def connections(table, chosen=None):
    """Show which maps each filter sees, a table (FN, C) of crosses, and the column `chosen`."""
    table = np.asarray(table, bool)
    if table.ndim != 2 or not table.size:
        raise ValueError(f"a table has shape (FN, C), got {table.shape}")
    FN, C = table.shape
    if chosen is not None and not 0 <= chosen < FN:
        raise ValueError(f"filter {chosen} is not one of 0..{FN - 1}")
    count = int(table.sum())
    message = f"{count} of {FN * C} pairs are connected"
    if chosen is not None:
        seen = ", ".join(map(str, np.flatnonzero(table[chosen])))
        message = f"Filter {chosen} sees {table[chosen].sum()} of {C} maps: {seen}"
    canvas = style.Canvas(message)
    ax, cell = canvas.ax, 34
    left, top = canvas.left + 96, canvas.top + 44
    text = f"filters of C3, 0 to {FN - 1}"
    style.write(ax, left, top - 34, text, 12, style.TEXT_COLORS["filter"])
    style.write(ax, canvas.left, top + C * cell / 2, "maps of S2", 12, style.TEXT_COLORS["input"])
    for f in range(FN):
        style.write(ax, left + (f + 0.5) * cell, top - 13, str(f), 12, align="center")
    for c in range(C):
        style.write(ax, left - 10, top + (c + 0.5) * cell, str(c), 12, align="right")
    for f, c in np.ndindex(FN, C):
        corner = left + f * cell, top + c * cell
        face = style.tint("filter", 0.45) if table[f, c] else "white"
        ax.add_patch(Rectangle(corner, cell, cell, fc=face, ec=style.LINE, lw=0.8))
        if table[f, c]:
            middle = corner[0] + cell / 2, corner[1] + cell / 2
            style.write(ax, *middle, "x", 13, weight="bold", align="center", gid=f"seen[{f},{c}]")
    if chosen is not None:
        color = style.ROLES["window"]
        draw_frame(ax, left + chosen * cell, top, cell, C * cell, color, 2.5, zorder=3)
    return canvas.finish(
        left + FN * cell,
        top + C * cell,
        f"{message}. Table of {C} maps by {FN} filters with {count} connections.",
    )
