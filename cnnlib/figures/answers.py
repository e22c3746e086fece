"""Picture of an answer: what was drawn, what the network gets of it, and what it says.

Book section 7.5.
"""

import numpy as np
from matplotlib.patches import Rectangle

from cnnlib.figures import style
from cnnlib.figures.grids import draw_image

SIDE = 196  # of the drawing and of the input
BARS = 190  # length of a bar that stands for 100 %
MAP = 48  # side of a feature map, at most
SHOWN = 120  # feature maps, at most
NO_ANSWER = "No answer: the scores are not finite"


def percent(share):
    """Write a probability as a percentage with one decimal."""
    return f"{100 * share:.1f} %"


def digit_answer(drawing, found, centred, labels, probabilities=None, maps=None, layer=""):
    """Show a drawing, its digit scaled and centred, the answer as bars, and feature maps.

    Parameters
    ----------
    drawing : ndarray, shape (H', W')
        Ink from 0 to 1.
    found : (int, int, int, int) or None
        Box around the ink, as from `cnnlib.datasets.ink_box`.
    centred : ndarray, shape (H, W)
        What the network gets.
    labels : sequence
        Names of the K classes.
    probabilities : ndarray, shape (K,), optional
        The answer. Left out, or not finite: there is none.
    maps : ndarray, shape (FN, OH, OW), optional
        Feature maps; the first 120 are shown.
    layer : str
        The layer they come from.

    Returns
    -------
    Card
    """
    if probabilities is None and found is None:
        message, said = "Nothing is drawn yet", "no answer"
    elif probabilities is None or not np.isfinite(probabilities).all():
        probabilities, message, said = None, NO_ANSWER, "none, for the scores are not finite"
    else:
        best = int(np.argmax(probabilities))
        said = f"{labels[best]}, with {percent(probabilities[best])}"
        message = f"The network answers {said}"
    canvas = style.Canvas(message)
    ax, top = canvas.ax, canvas.top + 44

    box = draw_image(ax, drawing, canvas.left, top, SIDE / max(drawing.shape), style.IMAGE, 0, 1)
    subtitle = f"{drawing.shape[0]} x {drawing.shape[1]}"
    if found is not None:
        cell = SIDE / max(drawing.shape)
        row, column, height, width = found
        _dashed(ax, box.left + column * cell, top + row * cell, width * cell, height * cell)
        subtitle = f"ink in {height} x {width} of {subtitle}"
    _write_title(ax, box, "drawing", subtitle)
    middle = top + SIDE / 2
    style.write(ax, box.right + 21, middle, "→", 19, style.MUTED, align="center")

    cell = SIDE / max(centred.shape)
    box = draw_image(ax, centred, box.right + 42, top, cell, style.IMAGE, 0, 1)
    shape = style.shape_text((1, *centred.shape))
    _write_title(ax, box, "input x", f"(C, H, W) = {shape}")
    row, column = (size // 2 for size in centred.shape)
    ax.plot(box.left + (column + 0.5) * cell, top + (row + 0.5) * cell, "+", ms=9, mew=1.6,
            color=style.ROLES["window"])  # fmt: skip
    style.write(ax, box.right + 21, middle, "→", 19, style.MUTED, align="center")

    wide = max(style.text_width(str(label), 13, "bold") for label in labels)
    zero = box.right + 42 + wide + 10
    pitch = min(22, (SIDE + 26) / len(labels))
    for k, label in enumerate(labels):
        y = top - 20 + (k + 0.5) * pitch
        style.write(ax, zero - 8, y, str(label), 13, weight="bold", align="right")
        ax.plot([zero, zero], [y - pitch / 2, y + pitch / 2], color=style.LINE, lw=1)
        if probabilities is not None:
            bar = Rectangle(
                (zero, y - 0.36 * pitch),
                BARS * probabilities[k],
                0.72 * pitch,
                fc=style.ROLES["output"] if k == best else style.tint("output", 0.45),
            )
            ax.add_patch(bar)
            end = zero + BARS * probabilities[k] + 8
            style.write(ax, end, y, percent(probabilities[k]), 12, style.MUTED)
    right, bottom = zero + BARS + 60, top + SIDE + 8
    if maps is not None and probabilities is not None:
        right, bottom = _draw_maps(canvas, maps, layer, right, bottom + 28)
    listed = "" if probabilities is None else _others(labels, probabilities, best)
    return canvas.finish(
        right,
        bottom,
        f"A drawing, its digit scaled and centred to the shape {shape}, and the answer of the "
        f"network: {said}{listed}.",
    )


def _others(labels, probabilities, best):
    """Name the classes that come next, if they have at least one percent."""
    order = [k for k in np.argsort(-probabilities)[:3] if k != best and probabilities[k] >= 0.01]
    texts = [f"{labels[k]} {percent(probabilities[k])}" for k in order]
    return f"; then {', '.join(texts)}" if texts else ""


def _draw_maps(canvas, maps, layer, right, top):
    """Draw feature maps in lines on one scale; return the right end and the bottom."""
    FN, OH, OW = maps.shape
    low, high = float(maps.min()), float(maps.max())
    colors = style.sequential("output")
    title = f"feature maps after {layer}, (FN, OH, OW) = {style.shape_text(maps.shape)}"
    title += f", from {style.format_number(low, 2)} to {style.format_number(high, 2)}"
    if FN > SHOWN:
        title += f"; the first {SHOWN}"
    style.write(canvas.ax, canvas.left, top, title, 13, style.TEXT_COLORS["output"], "bold")
    if low < 0:
        high = max(high, -low)
        low, colors = -high, style.DIVERGING
    gap, cell = 6, MAP / max(OH, OW)
    columns = int((style.MAX_WIDTH - 2 * style.MARGIN + gap) // (OW * cell + gap))
    for k, values in enumerate(maps[:SHOWN]):
        line, place = divmod(k, columns)
        x, y = canvas.left + place * (OW * cell + gap), top + 16 + line * (OH * cell + gap)
        draw_image(canvas.ax, values, x, y, cell, colors, low, high)
        right = max(right, x + OW * cell)
    return right, y + OH * cell


def _write_title(ax, box, name, subtitle):
    """Write what a picture is above it."""
    middle = (box.left + box.right) / 2
    color = style.TEXT_COLORS["input"]
    style.write(ax, middle, box.top - 29, name, 13, color, "bold", "center")
    style.write(ax, middle, box.top - 12, subtitle, 12, style.MUTED, align="center")


def _dashed(ax, left, top, width, height):
    """Draw the box around the ink."""
    ax.add_patch(
        Rectangle(
            (left, top), width, height, fill=False, ec=style.ROLES["window"], lw=1.6, ls=(0, (4, 3))
        )
    )
