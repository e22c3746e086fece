"""Bars and tables: accuracies, costs, confusions, connections, channels.

Book sections 7.2 and 7.5 to 7.7.
"""

import numpy as np
from matplotlib.colors import to_rgb

from cnnlib.figures import style
from cnnlib.figures.galleries import draw_bar, draw_line
from cnnlib.figures.grids import ROOM, Grid, draw_frame, draw_headings, draw_lattice, draw_share

SIDE = 190  # of a map in pixels
CHART = 150  # height of the channels' bars


def accuracies(results, message="Test accuracy"):
    """Show accuracies from 0 to 1 as bars: `results` holds a dict of them, by case, for each group.

    All groups have the same cases, at most four.
    """
    cases = list(next(iter(results.values()), ()))
    if not cases or any(list(bars) != cases for bars in results.values()):
        raise ValueError(f"every group needs the same cases, at least one; got {results!r}")
    values = [value for bars in results.values() for value in bars.values()]
    if not all(0 <= value <= 1 for value in values):
        raise ValueError(f"accuracies lie between 0 and 1, got {values}")
    roles = style.series(cases)
    groups = {
        group: [
            (case, style.percent(bars[case], 0), bars[case], role)
            for case, role in zip(cases, roles, strict=True)
        ]
        for group, bars in results.items()
    }
    canvas = style.Canvas(message)
    bottom = draw_bars(canvas, groups)
    texts = {g: ", ".join(f"{case} {text}" for case, text, *_ in b) for g, b in groups.items()}
    listed = "; ".join(f"{group}: {text}" for group, text in texts.items())
    return canvas.finish(canvas.right, bottom, f"{message}. {listed}.")


def draw_bars(canvas, groups, ticks=None):
    """Draw bars below each other, each with its number behind it.

    `groups` are lists of (name, number as text, length from 0 to 1, role) by title, "" for none;
    `ticks` the texts at the lines of a scale, by their place from 0 to 1. Returns the bottom.
    """
    ax, bars = canvas.ax, [bar for group in groups.values() for bar in group]
    room = max(style.text_width(text, 13, "bold") for _, text, *_ in bars) + 8
    zero = canvas.left + max(style.text_width(name, 12) for name, *_ in bars) + 20
    full, y = min(420, canvas.left + ROOM - zero - room), canvas.top + 8

    def write(x, y, text):
        """Write in bold, on white: no line of the scale crosses it."""
        wide = style.text_width(text, 13, "bold") + 4
        draw_frame(ax, x - 2, y - 10, wide, 20, "none", face="white", zorder=0.5)
        style.write(ax, x, y, text, 13, weight="bold")

    for title, group in groups.items():
        write(canvas.left, y + 10, title)
        y += 23 * bool(title)
        for name, text, share, role in group:
            style.write(ax, zero - 10, y + 11, name, 12, style.MUTED, align="right")
            x, face = zero + max(full * share, 1), style.tint(role, 0.6)
            draw_frame(ax, zero, y, x - zero, 22, style.ROLES[role], 1, face, gid="bar")
            write(x + 8, y + 11, text)
            y += 26
        y += 11
    for share, text in (ticks or {0: ""}).items():
        x = zero + share * full
        ax.plot([x, x], [canvas.top + 8, y - 11], color=style.LINE, lw=1, zorder=0)
        style.write(ax, x, y, text, 11, style.MUTED, align="center")
    canvas.right = max(canvas.right, zero + full + room)
    return y + 6 if ticks else y - 8


def costs(rows, message=None):
    """Show how parameters and multiplications are shared out among the layers of a network.

    `rows` are those of `Network.table`; layers that neither learn nor multiply are left out. The
    title tells the shares of the affine layers where no message is given.
    """
    rows = [row for row in rows if row.parameters or row.multiplications]
    if not rows:
        raise ValueError("no layer of this network learns or multiplies")
    counts = np.array([[row.parameters, row.multiplications] for row in rows], float)
    totals = counts.sum(axis=0)
    if message is None:
        affine = np.array([len(row.shape) == 1 for row in rows])
        learnt, work = (style.percent(share, 0) for share in counts[affine].sum(axis=0) / totals)
        message = f"The affine layers hold {learnt} of the parameters and do {work} of "
        message += "the multiplications"
    canvas = style.Canvas(message)
    ax, bar, y = canvas.ax, 180, canvas.top + 12
    columns = canvas.left + 190, canvas.left + 190 + bar + 140
    for left, name, total in zip(columns, ("parameters", "multiplications"), totals, strict=True):
        style.write(ax, left, y, name, 13, weight="bold")
        at, text = left + style.text_width(name, 13, "bold") + 8, f"{total:,.0f} in all"
        style.write(ax, at, y, text, 12, style.MUTED)
    for k, (row, numbers) in enumerate(zip(rows, counts, strict=True)):
        y = canvas.top + 42 + 28 * k
        style.write(ax, canvas.left, y, row.name, 12, style.TEXT_COLORS["filter"], "bold")
        style.write(ax, canvas.left + 74, y, style.shape_text(row.shape), 12, style.MUTED)
        for left, number, total in zip(columns, numbers, totals, strict=True):
            draw_share(ax, left, y - 9, bar, 18, number / total)
            style.write(ax, left + bar + 10, y, f"{number:,.0f}", 12)
    texts = (f"{r.name} {r.parameters:,} and {r.multiplications:,}" for r in rows)
    alt = f"{message}. Parameters and multiplications: {'; '.join(texts)}."
    return canvas.finish(columns[1] + bar + 110, y + 16, alt)


def confusion(matrix):
    """Show which class was taken for which: `matrix[t, y]` counts images of t, answered with y."""
    matrix = np.asarray(matrix)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"a confusion matrix is square, got shape {matrix.shape}")
    K, errors = len(matrix), matrix - np.diag(np.diag(matrix))
    total, wrong, most = int(matrix.sum()), int(errors.sum()), int(errors.max())
    message = f"{wrong} of {total} wrong" if wrong else f"All {total} are right"
    if most > 1:
        t, y = np.unravel_index(errors.argmax(), errors.shape)
        message += f"; most often, {t} is taken for {y} ({most} times)"
    canvas = style.Canvas(message)
    ax, cell, left, top = canvas.ax, 38, canvas.left + 54, canvas.top + 54
    middle, above = K * cell / 2, top - 38
    style.write(ax, left + middle, above, "predicted class", 12, style.MUTED, align="center")
    look = {"align": "center", "rotation": 90, "rotation_mode": "anchor"}
    style.write(ax, canvas.left + 8, top + middle, "true class", 12, style.MUTED, **look)
    draw_headings(ax, left, top, cell, cell, range(K), range(K))
    colors = style.sequential("window")(0.1 + 0.4 * (errors / max(1, most)) ** 0.7)[..., :3]
    colors[errors == 0] = 1
    colors[np.diag_indices(K)] = to_rgb(style.tint("padding", 0.15))
    draw_lattice(ax, left, top, cell, cell, colors, "#e7eaee")
    for t, y in np.argwhere(matrix):
        right = {"color": style.MUTED} if t == y else {"weight": "bold"}
        at, text = (left + (y + 0.5) * cell, top + (t + 0.5) * cell), str(matrix[t, y])
        style.write(ax, *at, text, align="center", gid=f"confusion[{t},{y}]", **right)
    text = f"Confusion matrix of {total} images in {K} classes: {message}."
    return canvas.finish(left + K * cell, top + K * cell, text)


def neighbours(before, after, channel, reach):
    """Show the map of one channel before and after normalization, and all channels at one place.

    It is the place where the channel answers most strongly. `before` and `after` are maps
    (C, H, W), none negative; `reach` neighbors count on each side: n = 2*reach + 1.
    """
    before, after = np.asarray(before, float), np.asarray(after, float)
    if before.ndim != 3 or before.shape != after.shape or before.min() < 0:
        raise ValueError(
            "expected maps (C, H, W) before and after, never negative, got shapes "
            f"{before.shape} and {after.shape}, and {before.min()}"
        )
    C, H, W = before.shape
    if not 0 <= channel < C or reach < 0:
        raise ValueError(f"channel 0..{C - 1} and reach >= 0 are needed, got {channel}, {reach}")
    row, column = np.unravel_index(before[channel].argmax(), (H, W))
    bars = before[:, row, column], after[:, row, column]
    kept, everywhere = _kept(*(b[channel] for b in bars)), _kept(before.sum(), after.sum())
    canvas = style.Canvas(
        f"Here channel {channel} keeps {kept} of its response; all responses together, {everywhere}"
    )
    top, cell, items = canvas.top + 42, SIDE / max(H, W), []
    for values, name, role in ((before, "before", "input"), (after, "after", "output")):
        scale = style.sequential(role), 0, max(before[channel].max(), 1e-12)
        items += [(Grid(values[channel], f"map {channel} {name}", role), cell, *scale), 90]
    boxes = draw_line(canvas.ax, items, canvas.left, top + SIDE / 2)
    for box in boxes:
        corner = box.left + column * cell, top + row * cell
        draw_frame(canvas.ax, *corner, cell, cell, style.ROLES["window"], 2)
    chart = top + SIDE + 34
    figure = canvas.finish(
        canvas.left + ROOM,
        chart + CHART + 42,
        f"Map {channel} of {C} before and after normalisation over {2 * reach + 1} channels: at "
        f"row {row}, column {column} it keeps {kept} of {bars[0][channel]:.2f}; all responses "
        f"together keep {everywhere}.",
    )
    for (_, _, *scale), box in zip(items[::2], boxes, strict=True):
        draw_bar(figure, scale, box)
    _draw_channels(canvas, canvas.left + 40, chart, bars, channel, reach)
    return figure


def _kept(before, after):
    return style.percent(after / before, 0) if before > 0 else "nothing, there was none"


def _draw_channels(canvas, left, top, bars, channel, reach):
    """Draw two bars for each channel, before and after."""
    C, high = len(bars[0]), max(bars[0].max(), bars[1].max(), 1e-12)
    width = canvas.left + ROOM - left
    ax = style.axes(canvas.figure, left, top, width, CHART)
    ground = channel - reach - 0.5, channel + reach + 0.5
    ax.axvspan(*np.clip(ground, -0.5, C - 0.5), fc=style.tint("window", 0.14), lw=0, gid="ground")
    x, y = left, top + CHART + 34
    for values, role, shift, name in zip(
        bars, ("input", "output"), (-0.2, 0.18), ("before", "after"), strict=True
    ):
        ax.bar(np.arange(C) + shift, values, 0.36, color=style.ROLES[role], gid=name)
        draw_frame(canvas.ax, x, y - 6, 14, 12, "none", 0, style.ROLES[role])
        style.write(canvas.ax, x + 20, y, name, 12, style.MUTED)
        x += 90
    text = f"All {C} channels at the outlined place; the squares of those on orange are added up"
    style.write(canvas.ax, x, y, text, 12, style.MUTED)
    ax.set(xlim=(-0.5, C - 0.5), ylim=(0, 1.04 * high))
    style.ticks(ax.yaxis, [0, high], [style.format_number(value, 1) for value in (0, high)])
    step = 5 if C > 12 else 1
    style.ticks(ax.xaxis, [c for c in range(0, C, step) if abs(c - channel) > C / 36])
    look = {"color": style.TEXT_COLORS["window"], "weight": "bold", "align": "center"}
    style.write(
        canvas.ax, left + (channel + 0.5) / C * width, top + CHART + 14, str(channel), **look
    )
    ax.spines["left"].set_visible(False)
