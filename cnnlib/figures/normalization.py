"""Local response normalisation, drawn: the channels at one place before and after.

Book section 7.7.
"""

import numpy as np
from matplotlib.patches import Rectangle

from cnnlib.figures import style
from cnnlib.figures.grids import Grid, draw_image, draw_title

SIDE = 190  # of a map in pixels
CHART = 150  # height of the bars


def neighbours(before, after, channel, reach, place=None):
    """Show one map before and after normalisation, and all channels at one place.

    Parameters
    ----------
    before, after : array_like, shape (C, H, W)
        Maps of one image, none of them negative.
    channel : int
        Whose map is shown.
    reach : int
        Neighbours on each side that count: n = 2*reach + 1.
    place : (row, column), optional
        The place; where the chosen channel answers most strongly, if left out.

    Returns
    -------
    Card
    """
    before, after = np.asarray(before, float), np.asarray(after, float)
    if before.ndim != 3 or before.shape != after.shape:
        raise ValueError(f"maps (C, H, W) before and after, got {before.shape}, {after.shape}")
    if before.min() < 0:
        raise ValueError(f"maps after a ReLU are never negative, got {before.min()}")
    C, H, W = before.shape
    if not 0 <= channel < C or reach < 0:
        raise ValueError(f"channel 0..{C - 1} and reach >= 0 are needed, got {channel}, {reach}")
    row, column = np.unravel_index(before[channel].argmax(), (H, W)) if place is None else place
    bars = before[:, row, column], after[:, row, column]
    kept = _kept(bars[0][channel], bars[1][channel])
    everywhere = _kept(before.sum(), after.sum())
    canvas = style.Canvas(
        f"Here channel {channel} keeps {kept} of its response; all responses together, {everywhere}"
    )
    ax, top, left = canvas.ax, canvas.top + 42, canvas.left
    cell, high = SIDE / max(H, W), max(before[channel].max(), 1e-12)
    for values, name, role in (
        (before, f"map {channel} before", "input"),
        (after, f"map {channel} after", "output"),
    ):
        colors = style.sequential(role)
        box = draw_image(ax, values[channel], left, top, cell, colors, 0, high)
        draw_title(ax, Grid(values[channel], name, role), box)
        corner = left + column * cell, top + row * cell
        edge = style.ROLES["window"]
        ax.add_patch(Rectangle(corner, cell, cell, fill=False, ec=edge, lw=2))
        left = box.right + 44
    text = (
        f"Below: all {C} channels at the outlined place, row {row}, column {column}. On the "
        "orange ground: the channels whose squares are added up for the chosen one. Both maps "
        "have one scale, up to "
        f"{style.format_number(high, 2)}."
    )
    style.paragraph(ax, left, top + 12, text, style.MAX_WIDTH - style.MARGIN - left)
    bottom = _draw_bars(ax, canvas.left + 40, top + SIDE + 34, bars, channel, reach)
    return canvas.finish(
        style.MAX_WIDTH - style.MARGIN,
        bottom,
        f"Map {channel} of {C} before and after normalisation over {2 * reach + 1} channels: at "
        f"row {row}, column {column} it keeps {kept} of {bars[0][channel]:.2f}; all responses "
        f"together keep {everywhere}.",
    )


def _kept(before, after):
    return f"{100 * after / before:.0f} %" if before > 0 else "nothing, there was none"


def _draw_bars(ax, left, top, bars, channel, reach):
    """Draw two bars for each channel, before and after; return the bottom."""
    C = len(bars[0])
    pitch = (style.MAX_WIDTH - style.MARGIN - left) / C
    high = max(bars[0].max(), bars[1].max(), 1e-12)
    first, last = max(0, channel - reach), min(C - 1, channel + reach)
    ground = (left + first * pitch, top - 6), (last - first + 1) * pitch, CHART + 6
    ax.add_patch(Rectangle(*ground, fc=style.tint("window", 0.14), ec="none", gid="ground"))
    zero = top + CHART
    for values, role, at, name in zip(
        bars, ("input", "output"), (0.12, 0.5), ("before", "after"), strict=True
    ):
        for c, value in enumerate(values):
            corner = left + (c + at) * pitch, zero
            tall = -CHART * value / high
            ax.add_patch(Rectangle(corner, 0.36 * pitch, tall, fc=style.ROLES[role], gid=name))
    ax.plot([left, left + C * pitch], [zero, zero], color=style.LINE, lw=1)
    for value in (0, high):
        y = zero - CHART * value / high
        style.write(ax, left - 8, y, style.format_number(value, 1), 11, style.MUTED, align="right")
    step = 1 if pitch >= 18 else 2 if pitch >= 10 else 5
    for c in range(0, C, step):
        if abs(c - channel) * pitch > 22:  # the chosen one gets its own below
            x = left + (c + 0.5) * pitch
            style.write(ax, x, zero + 13, str(c), 11, style.MUTED, align="center")
    x = left + (channel + 0.5) * pitch
    color = style.TEXT_COLORS["window"]
    style.write(ax, x, zero + 13, str(channel), 11, color, "bold", "center")
    x = left
    for name, role in (("before", "input"), ("after", "output")):
        ax.add_patch(Rectangle((x, zero + 28), 14, 12, fc=style.ROLES[role]))
        style.write(ax, x + 20, zero + 34, name, 12, style.MUTED)
        x += 90
    style.write(ax, x, zero + 34, "channel, from left to right", 12, style.MUTED)
    return zero + 42
