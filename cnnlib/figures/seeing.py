"""Pictures of what the filters of a first layer look like, and of what they answer to.

Book section 7.6.1.
"""

import matplotlib
import numpy as np
from matplotlib.ticker import MaxNLocator

from cnnlib.figures import style
from cnnlib.figures.arithmetic import by, convolve, plane
from cnnlib.figures.grids import SIGN, TITLE, Grid, draw_grid, draw_image, draw_title
from cnnlib.figures.responses import BRIGHTNESS

BAR = 104  # room for a colour bar right of what it belongs to
GAP = 8


def scales(W):
    """Show one filter as numbers, in two greys that are each other's reverse, and in colour.

    Parameters
    ----------
    W : array_like, shape (FH, FW)
        Filter.

    Returns
    -------
    Card

    Notes
    -----
    Book section 7.6.1. The book's code draws filters with ``gray_r``: white is the lowest weight.
    """
    W = plane(W, "W")
    peak = max(np.abs(W).max(), 1e-12)
    canvas = style.Canvas("One filter, three scales: only the bar says what white means")
    f = Grid(W, "filter W", "filter", "(FH, FW)")
    cell = max(f.smallest_cell(), 200 / max(W.shape))
    top = canvas.top + TITLE
    box = draw_grid(canvas.ax, f, canvas.left, top, cell)
    shown, left, side = [], box.right + 34, 130 / max(W.shape)
    middle = box.middle - W.shape[0] * side / 2 + 10
    for name, colors, low, high in (
        ("white is low", matplotlib.colormaps["gray_r"], W.min(), W.max()),
        ("white is high", BRIGHTNESS, W.min(), W.max()),
        ("white is zero", style.DIVERGING, -peak, peak),
    ):
        one = draw_image(canvas.ax, W, left, middle, side, colors, low, high)
        x = (one.left + one.right) / 2
        style.write(canvas.ax, x, one.top - 14, name, 13, weight="bold", align="center")
        shown.append((colors, low, high, one))
        left = one.right + 84
    figure = canvas.finish(
        left - 14,
        box.bottom,
        f"A {by(W.shape)} filter with weights from {W.min():.2f} to {W.max():.2f}, as numbers, in "
        "grey with white for the lowest, in grey with white for the highest, and in red and blue "
        "with white for zero; each with its colour bar.",
    )
    for colors, low, high, one in shown:
        _bar(figure, colors, low, high, one.right - 22, one.top, one.bottom - one.top, "")
    return figure


def before_and_after(before, after):
    """Show the filters of a layer before and after training, each side on its own scale.

    Parameters
    ----------
    before, after : array_like, shape (FN, 1, FH, FW) or (FN, FH, FW)
        Weights.

    Returns
    -------
    Card

    Notes
    -----
    Book section 7.6.1, the picture of the first layer.
    """
    before, after = _filters(before), _filters(after)
    if before.shape != after.shape:
        raise ValueError(f"before and after differ in shape: {before.shape} and {after.shape}")
    growth = after.std() / max(before.std(), 1e-12)
    canvas = style.Canvas(
        f"Training turns noise into patterns, {style.ratio_text(growth)} times as strong"
    )
    columns = min(6, len(before))
    top, left, bars = canvas.top + 30, canvas.left, []
    for name, W in (("before training", before), ("after training", after)):
        style.write(canvas.ax, left, top - 14, name, 13, style.TEXT_COLORS["filter"], "bold")
        right, bottom, peak = _gallery(canvas.ax, W, left, top, columns, 46)
        bars.append((right, peak))
        left = right + BAR + 16
    figure = canvas.finish(
        left - 30,
        max(bottom, top + 90),
        f"{len(before)} filters of {by(before.shape[1:])} before training, weights from "
        f"{before.min():.2f} to {before.max():.2f}, and after it, from {after.min():.2f} to "
        f"{after.max():.2f}; red is positive, blue negative, white zero.",
    )
    for right, peak in bars:
        _bar(figure, style.DIVERGING, -peak, peak, right, top, max(bottom - top, 90), "weight")
    return figure


def alikeness(W):
    """Compute how alike neighbouring weights of each filter are: 0 for noise, 1 for an even area.

    ::

        mean of w[i] * w[j] over neighbours i, j  /  mean of w[i]^2

    Parameters
    ----------
    W : array_like, shape (FN, 1, FH, FW) or (FN, FH, FW)

    Returns
    -------
    ndarray, shape (FN,)
    """
    W = _filters(W)
    beside, below = W[:, :, 1:] * W[:, :, :-1], W[:, 1:] * W[:, :-1]
    pairs = beside.sum((1, 2)) + below.sum((1, 2))
    return pairs / (beside[0].size + below[0].size) / np.maximum((W**2).mean((1, 2)), 1e-24)


def growing(steps, filters, moment):
    """Show the filters at one moment of training, and how strong and how smooth they are by then.

    Parameters
    ----------
    steps : array_like of int, shape (T,)
        After how many steps.
    filters : array_like, shape (T, FN, 1, FH, FW)
        Weights at those moments.
    moment : int
        Which one, 0 .. T - 1.

    Returns
    -------
    Card
    """
    steps, filters = np.asarray(steps), np.asarray(filters, float)
    if len(steps) != len(filters):
        raise ValueError(f"{len(steps)} steps, but filters at {len(filters)} moments")
    if not 0 <= moment < len(steps):
        raise ValueError(f"moment must be 0..{len(steps) - 1}, got {moment}")
    strength = filters.reshape(len(filters), -1).std(axis=1)
    alike = np.array([alikeness(W).mean() for W in filters])
    now = f"weights of about {strength[moment]:.2f}, neighbours alike by {alike[moment]:.2f}"
    canvas = style.Canvas(f"After {steps[moment]:,} steps: {now}")
    W, top = _filters(filters[moment]), canvas.top + 12
    right, bottom, peak = _gallery(canvas.ax, W, canvas.left, top, min(6, len(W)), 54)
    left = right + BAR + 44
    wide, tall = max(style.MAX_WIDTH - style.MARGIN - 12 - left, 160), 100
    bottom = max(bottom, top + 2 * tall + 124)
    figure = canvas.finish(
        left + wide + 8,
        bottom,
        f"{len(W)} filters of {by(W.shape[1:])} after {steps[moment]} of {steps[-1]} steps of "
        f"training: {now}.",
    )
    _bar(figure, style.DIVERGING, -peak, peak, right, top, bottom - top, "weight")
    for k, (values, name) in enumerate(
        ((strength, "how strong: standard deviation"), (alike, "how alike neighbours are"))
    ):
        y = top + 22 + k * (tall + 66)
        style.write(canvas.ax, left - 30, y - 16, name, 12, weight="bold")
        ax = style.axes(figure, left, y, wide, tall, "" if k == 0 else "step (square root)")
        place = np.sqrt(steps)  # as the moments were chosen: crowded at the start
        ax.plot(place, values, color=style.ROLES["filter"], lw=1.8)
        ax.plot(
            place[moment], values[moment], "o", ms=8, color=style.ROLES["window"], clip_on=False
        )
        ax.set_ylim(min(0, values.min()), 1.08 * max(values.max(), 1e-6))
        ax.yaxis.set_major_locator(MaxNLocator(4, prune="upper"))
        ticks = [0, len(steps) // 3, 2 * len(steps) // 3, len(steps) - 1]
        ax.set_xticks(place[ticks], [f"{steps[t]:,}" for t in ticks])
        ax.grid(axis="y", color="#e7eaee", lw=0.8)
        ax.set_axisbelow(True)
    return figure


def kinds(W, answers, names, message):
    """Show each filter in the line of what it answers to best, with all its answers as bars.

    Parameters
    ----------
    W : array_like, shape (FN, 1, FH, FW) or (FN, FH, FW)
        Filters.
    answers : array_like, shape (FN, K)
        How strongly each answers to each of K patterns, in units of what chance gives: above 1
        is an answer.
    names : list of str
        Of the K patterns.
    message : str
        Title.

    Returns
    -------
    Card
    """
    W, answers = _filters(W), np.asarray(answers, float)
    if answers.shape != (len(W), len(names)):
        raise ValueError(
            f"answers must have shape (FN, K) = {(len(W), len(names))}, got {answers.shape}"
        )
    roles = ["input", "filter", "output", "gradient"][: len(names)]
    best = np.where(answers.max(axis=1) > 1, answers.argmax(axis=1), len(names))
    canvas = style.Canvas(message)
    ax, side, tall = canvas.ax, 44, 52
    high = max(2.0, answers.max())
    pitch, columns = side + 12 * len(names) + 24, 8
    y, left, counts = canvas.top + 26, canvas.left, []
    for kind, name in enumerate([*names, "none of them"]):
        members = np.flatnonzero(best == kind)
        order = members[np.argsort(-answers[members].max(axis=1), kind="stable")]
        color = style.TEXT_COLORS[roles[kind]] if kind < len(names) else style.MUTED
        text = f"{name}: {len(order)}"
        counts.append(text)
        style.write(ax, left, y - 12, text, 13, color, "bold")
        for k, n in enumerate(order):
            x, top = left + k % columns * pitch, y + k // columns * (tall + 12)
            peak = max(np.abs(W[n]).max(), 1e-12)  # its own: here the shape counts
            cell = side / max(W.shape[1:])
            draw_image(ax, W[n], x, top + 4, cell, style.DIVERGING, -peak, peak)
            zero = top + 4 + side
            for j, value in enumerate(answers[n]):
                at = x + side + 8 + 12 * j
                ax.bar(at, -side * value / high, 9, bottom=zero, align="edge", lw=0,
                       color=style.ROLES[roles[j]], gid=f"answer[{n},{j}]")  # fmt: skip
            chance = zero - side / high
            ax.plot([x + side + 5, x + side + 6 + 12 * len(names)], [chance] * 2, lw=1,
                    color=style.INK, ls=(0, (2, 2)))  # fmt: skip
        y += max(1, -(-len(order) // columns)) * (tall + 12) + 26
    style.write(
        ax,
        left,
        y - 14,
        f"bars: the answers to {', '.join(names)}; dashed: what chance gives; each filter on its "
        "own scale, white is zero",
        12,
        style.MUTED,
    )
    return canvas.finish(
        left + columns * pitch - 20,
        y - 6,
        f"{message}. {len(W)} filters by what they answer to best: {', '.join(counts)}.",
    )


def answer_maps(W, filter_names, images, image_names, maps, message):
    """Show test images, filters, and in a table where each filter answers in each image.

    Parameters
    ----------
    W : array_like, shape (n, FH, FW)
        Filters, one for each line.
    filter_names : list of n str
    images : array_like, shape (m, H, W)
        One for each column.
    image_names : list of m str
    maps : array_like, shape (n, m, OH, OW)
        Answers from -1 to 1.
    message : str
        Title.

    Returns
    -------
    Card
    """
    W, images, maps = _filters(W), _filters(images), np.asarray(maps, float)
    if maps.shape[:2] != (len(W), len(images)) or maps.ndim != 4:
        raise ValueError(f"maps must be ({len(W)}, {len(images)}, OH, OW), got {maps.shape}")
    canvas = style.Canvas(message)
    ax, side, pitch = canvas.ax, 104, 142
    peak = max(np.abs(W).max(), 1e-12)
    first, top = canvas.left + 190, canvas.top + 30
    for j, (image, name) in enumerate(zip(images, image_names, strict=True)):
        x = first + j * pitch
        style.write(ax, x + side / 2, top - 14, name, 13, style.TEXT_COLORS["input"], "bold",
                    "center")  # fmt: skip
        draw_image(ax, image, x, top, side / max(image.shape), style.IMAGE, 0, 1)
    begin = top + side + 44
    strongest = np.abs(maps).max(axis=(2, 3))
    for i, (w, name) in enumerate(zip(W, filter_names, strict=True)):
        y = begin + i * (side + 34)
        style.write(ax, canvas.left, y + 8, name, 13, style.TEXT_COLORS["filter"], "bold")
        draw_image(ax, w, canvas.left, y + 20, 80 / max(w.shape), style.DIVERGING, -peak, peak)
        for j, values in enumerate(maps[i]):
            x = first + j * pitch
            draw_image(ax, values, x, y, side / max(values.shape), style.DIVERGING, -1, 1)
            bold = "bold" if j == strongest[i].argmax() else "normal"
            text = f"up to {strongest[i, j]:.2f}"
            style.write(ax, x + side / 2, y + side + 13, text, 12, align="center", weight=bold,
                        gid=f"strongest[{i},{j}]")  # fmt: skip
    bottom = begin + len(W) * (side + 34) - 12
    right = first + len(images) * pitch - pitch + side
    best = [image_names[j] for j in strongest.argmax(axis=1)]
    told = ", ".join(f"{n} to {b}" for n, b in zip(filter_names, best, strict=True))
    figure = canvas.finish(
        right + BAR, bottom, f"{message}. Strongest answers of the filters: {told}."
    )
    _bar(figure, style.DIVERGING, -1, 1, right, begin, bottom - begin - 20, "likeness")
    return figure


def on_photograph(image, W, number):
    """Show a photograph, a learnt filter, and its signed answers.

    Parameters
    ----------
    image : array_like, shape (H, W)
        Brightness from 0, black, to 1, white.
    W : array_like, shape (FH, FW)
        Filter.
    number : int
        Which filter it is, for the title.

    Returns
    -------
    Card
    """
    image, W = plane(image, "image"), plane(W, "W")
    _, out = convolve(image[np.newaxis], W[np.newaxis], 0.0, 1, 0)
    peak, strong = max(np.abs(W).max(), 1e-12), max(np.abs(out).max(), 1e-12)
    total = style.format_number(W.sum(), 2)
    canvas = style.Canvas(
        f"Filter {number} on a photograph: its weights add up to {total}, its answers go from "
        f"{style.format_number(out.min(), 1)} to {style.format_number(out.max(), 1)}"
    )
    ax, top = canvas.ax, canvas.top + TITLE
    scale = max(1, int(min(256 / image.shape[1], 320 / image.shape[0])))
    box = draw_image(ax, image, canvas.left, top, scale, BRIGHTNESS, 0, 1)
    draw_title(ax, Grid(image, "input x"), box)
    style.write(ax, box.right + SIGN / 2, box.middle, "⊛", 20, style.MUTED, align="center")
    f = Grid(W, "filter W", "filter", "(FH, FW)")
    cell, slot = 92 / max(W.shape), max(f.title_width, 92)
    left = box.right + SIGN + (slot - W.shape[1] * cell) / 2
    y = box.middle - W.shape[0] * cell / 2
    fbox = draw_image(ax, W, left, y, cell, style.DIVERGING, -peak, peak)
    draw_title(ax, f, fbox)
    left = box.right + SIGN + slot + 54
    style.write(ax, left + SIGN / 2, box.middle, "→", 20, style.MUTED, align="center")
    left += SIGN
    corner = box.middle - out.shape[0] * scale / 2
    obox = draw_image(ax, out, left, corner, scale, style.DIVERGING, -strong, strong)
    draw_title(ax, Grid(out, "output", "output", "(OH, OW)"), obox)
    figure = canvas.finish(
        obox.right + BAR,
        box.bottom,
        f"A {by(image.shape)} photograph, filter {number} of {by(W.shape)}, and its answers of "
        f"{by(out.shape)}; the weights add up to {total}.",
    )
    _bar(figure, style.DIVERGING, -peak, peak, fbox.right - 26, fbox.top, 92, "")
    _bar(figure, style.DIVERGING, -strong, strong, obox.right, box.top, 190, "response")
    return figure


def _filters(W):
    """Return an array (FN, FH, FW), or raise ValueError."""
    W = np.asarray(W, float)
    if W.ndim == 4 and W.shape[1] == 1:
        W = W[:, 0]
    if W.ndim != 3 or 0 in W.shape:
        raise ValueError(f"expected (FN, 1, FH, FW) or (FN, FH, FW), got shape {W.shape}")
    return W


def _gallery(ax, W, left, top, columns, side):
    """Draw filters in lines on one scale; return the right end, the bottom and the scale."""
    peak, cell = max(np.abs(W).max(), 1e-12), side / max(W.shape[1:])
    for k, one in enumerate(W):
        x, y = left + k % columns * (side + GAP), top + k // columns * (side + GAP)
        draw_image(ax, one, x, y, cell, style.DIVERGING, -peak, peak)
    lines = -(-len(W) // columns)
    return left + columns * (side + GAP) - GAP, top + lines * (side + GAP) - GAP, peak


def _bar(figure, colors, low, high, right, top, height, label):
    """Draw a colour bar right of something, at most 200 px high, centred in `height`."""
    low, high = float(low), float(high) if high > low else float(low) + 1
    tall = min(height - 8, 200)
    middle = top + height / 2
    style.color_bar(figure, colors, low, high, right + 34, middle - tall / 2, tall, label)
