"""Images side by side: digits, filters, feature maps, and a digit with its answer.

Book sections 7.5 to 7.7.
"""

import numpy as np
from matplotlib.patches import Rectangle

from cnnlib.figures import style
from cnnlib.figures.grids import SIGN, Box, Grid, draw_grid, draw_image, draw_picture, draw_sign
from cnnlib.figures.style import percent

BAR = 110  # room for a color bar, its numbers and its label
LEAST = 86  # height of a color bar with its label
SIDE = 196  # of the drawing and of the input
SHARES = 170  # length of a bar that stands for 100 %
SHOWN = 120  # feature maps of an answer, at most
NO_ANSWER = "No answer: the scores are not finite"


def digits(images, titles=None, columns=10, message="Digits"):
    """Show images (n, 1, H, W) or (n, H, W), dark where the numbers are high, like ink.

    `titles` stand above them, such as "5 → 6"; a line has `columns` images.
    """
    images = planes(images)
    scale = style.IMAGE, float(images.min()), float(images.max())
    return _gallery(images, scale, "images", "ink", message, titles, columns)


def filters(W, message="Filters of the first layer", high=None):
    """Show filters (FN, 1, FH, FW) or (FN, FH, FW): red is positive, blue negative.

    `high` is the weight at the end of the scale; where left out, it is the largest of them. The
    book (7.6.1) plots filters on a reversed gray scale without a bar.
    """
    W = planes(W)
    return _gallery(W, signed(W if high is None else high), "filters", "weight", message)


def feature_maps(maps, message="Feature maps"):
    """Show the feature maps (n, H, W) of one image on one scale."""
    maps = planes(maps)
    return _gallery(maps, scale(maps), "maps", "activation", message)


def planes(values):
    """Return an array (n, H, W), or raise ValueError."""
    values = np.asarray(values, float)
    if values.ndim == 4 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 3 or 0 in values.shape:
        raise ValueError(f"expected (n, 1, H, W) or (n, H, W), got shape {values.shape}")
    return values


def scale(maps, role="output"):
    """Return colors for activations, and the numbers at both ends: from 0, or centered at it."""
    if maps.min() < 0:  # before ReLU
        return signed(maps)
    return style.sequential(role), 0.0, float(maps.max())


def signed(values):
    """Return colors for signed numbers, and the numbers at both ends: as far below 0 as above."""
    high = max(float(np.abs(values).max()), 1e-12)
    return style.DIVERGING, -high, high


def _gallery(images, scale, noun, label, message, titles=None, columns=10):
    """Draw images in lines, on one scale with a color bar."""
    n, height, width = images.shape
    titles = [str(t) for t in titles] if titles is not None else []
    if titles and len(titles) != n:
        raise ValueError(f"{len(titles)} titles for {n} {noun}")
    canvas = style.Canvas(message)
    top = canvas.top + (22 if titles else 4)
    box = draw_planes(canvas, images, scale, top, columns, titles=titles)
    alt = f"{message}: {n} {noun} of {height} x {width}, {label} from {images.min():.3g} to "
    alt += f"{images.max():.3g}"
    if 0 < len(titles) <= 20:
        alt += f", titled {', '.join(titles)}"
    figure = canvas.finish(box.right + BAR, max(box.bottom, top + LEAST), f"{alt}.")
    draw_bar(figure, scale, box, label)
    return figure


def draw_planes(canvas, images, scale, top, columns, side=96, gap=10, titles=(), left=style.MARGIN):
    """Draw images in lines, none larger than `side`; return the box around all."""
    n, height, width = images.shape
    columns = min(columns, n)
    room = (style.MAX_WIDTH - 2 * style.MARGIN - BAR + gap) / columns - gap
    unit = min(side, room) / max(height, width)
    slot = max([width * unit, *(min(style.text_width(title, 12), room) for title in titles)])
    pitch = height * unit + gap + (20 if titles else 0)
    for k, image in enumerate(images):
        line, place = divmod(k, columns)
        middle, y = left + place * (slot + gap) + slot / 2, top + line * pitch
        draw_image(canvas.ax, image, middle - width * unit / 2, y, unit, *scale)
        if titles:
            style.write(canvas.ax, middle, y - 11, titles[k], 12, align="center")
    return Box(left, top, left + columns * (slot + gap) - gap, y + height * unit)


def draw_line(ax, items, left, middle, slot=0):
    """Draw pictures and signs in a line, centered at the height `middle`; return the boxes.

    An item is a sign; a number, which is room; or a grid and its cell size, drawn as an image where
    colors and their ends follow, in a place as wide as `slot` at least.
    """
    boxes = []
    for item in items:
        if isinstance(item, str):
            draw_sign(ax, left + SIGN / 2, middle, item)
            left += SIGN
        elif isinstance(item, int):
            left += item
        else:
            grid, cell, *tone = item
            wide, draw = max(grid.slot(cell), slot), draw_picture if tone else draw_grid
            x, y = left + (wide - grid.columns * cell) / 2, middle - grid.rows * cell / 2
            boxes.append(draw(ax, grid, round(x), round(y), cell, *tone))
            left += wide
    return boxes


def draw_bar(figure, scale, box, label=""):
    """Draw a color bar right of a box, in the middle of its height."""
    colors, low, high = scale
    high = high if high > low else low + 1
    height = min(max(box.bottom - box.top, LEAST) - 10, 220)
    place = box.right + (38 if label else 12), box.middle - height / 2, height
    style.color_bar(figure, colors, low, high, *place, label)


def digit_answer(drawing, found, centred, labels, probabilities=None, maps=None, layer=""):
    """Show a drawing, its digit scaled and centered, the answer as bars, and feature maps.

    Parameters
    ----------
    drawing : ndarray, shape (H', W'), ink from 0 to 1
    found : box around the ink, as from `cnnlib.datasets.ink_box`, or None
    centred : ndarray, shape (H, W), what the network gets
    labels : sequence, names of the K classes
    probabilities : ndarray, shape (K,); left out, or not finite: there is no answer
    maps : ndarray, shape (FN, OH, OW); the first 120 are shown
    layer : str, the layer they come from
    """
    if probabilities is None and found is None:
        message, said = "Nothing is drawn yet", "no answer"
    elif probabilities is None or not np.isfinite(probabilities).all():
        probabilities, message, said = None, NO_ANSWER, "none, for the scores are not finite"
    else:
        best, *next_ones = np.argsort(-probabilities, kind="stable")[:3]
        said = f"{labels[best]}, with {percent(probabilities[best])}"
        message = f"The network answers {said}"
        others = [k for k in next_ones if probabilities[k] >= 0.01]
        if others:
            texts = [f"{labels[k]} {percent(probabilities[k])}" for k in others]
            said += f"; then {', '.join(texts)}"
    canvas = style.Canvas(message)
    ax, top, shape = canvas.ax, canvas.top + 44, (1, *centred.shape)
    ink = style.IMAGE, 0, 1
    one = Grid(drawing, "drawing", "input", "(H', W')")
    other = Grid(centred, "input x", "input", "(C, H, W)", shape)
    cells = [SIDE / max(grid.values.shape) for grid in (one, other)]
    items = [(one, cells[0], *ink), 42, (other, cells[1], *ink)]
    box, entry = draw_line(ax, items, canvas.left, top + SIDE / 2)
    if found is not None:
        row, column, height, width = np.multiply(found, cells[0])
        look = {"fill": False, "ec": style.ROLES["window"], "lw": 1.6, "ls": (0, (4, 3))}
        ax.add_patch(Rectangle((box.left + column, top + row), width, height, **look))
    inked, (row, column) = entry.right, (np.array(centred.shape) // 2 + 0.5) * cells[1]
    look = {"ms": 9, "mew": 1.6, "color": style.ROLES["window"]}
    ax.plot(entry.left + column, top + row, "+", **look)  # where the ink is centered
    for x in (box.right + 21, inked + BAR):
        style.write(ax, x, top + SIDE / 2, "→", 19, style.MUTED, align="center")
    right = _draw_shares(canvas, labels, probabilities, inked + BAR + 16, top)
    bottom, shown = top + SIDE + 8, None
    if maps is not None and probabilities is not None:
        first = bottom + 44
        ends, shown = _draw_maps(canvas, maps, layer, first), scale(maps)
        right, bottom = max(right, ends.right + BAR), max(ends.bottom, first + LEAST)
    figure = canvas.finish(
        right,
        bottom,
        f"A drawing, its digit scaled and centred to the shape {style.shape_text(shape)}, and "
        f"the answer of the network: {said}.",
    )
    draw_bar(figure, (style.IMAGE, 0, 1), entry, "ink")
    if shown:
        draw_bar(figure, shown, ends, "activation")
    return figure


def _draw_shares(canvas, labels, probabilities, left, top):
    """Draw the probability of each class as a bar; return the right end."""
    ax, K = canvas.ax, len(labels)
    zero = left + max(style.text_width(str(label), 13, "bold") for label in labels) + 10
    pitch = min(22, (SIDE + 26) / K)
    middles = top - 20 + (np.arange(K) + 0.5) * pitch
    ax.plot([zero, zero], [top - 20, top - 20 + K * pitch], color=style.LINE, lw=1)
    for y, label in zip(middles, labels, strict=True):
        style.write(ax, zero - 8, y, str(label), 13, weight="bold", align="right")
    if probabilities is not None:
        colors = [style.tint("output", 0.45)] * K
        colors[int(np.argmax(probabilities))] = style.ROLES["output"]
        ax.barh(middles, SHARES * probabilities, 0.72 * pitch, left=zero, color=colors)
        for y, share in zip(middles, probabilities, strict=True):
            style.write(ax, zero + SHARES * share + 8, y, percent(share), 12, style.MUTED)
    return zero + SHARES + 60


def _draw_maps(canvas, maps, layer, top):
    """Draw feature maps in lines on one scale; return the box around all."""
    FN = len(maps)
    title = f"feature maps after {layer}, (FN, OH, OW) = {style.shape_text(maps.shape)}"
    if FN > SHOWN:
        title += f"; the first {SHOWN}"
    style.write(canvas.ax, canvas.left, top - 16, title, 13, style.TEXT_COLORS["output"], "bold")
    return draw_planes(canvas, maps[:SHOWN], scale(maps), top, 13, side=48, gap=6)
