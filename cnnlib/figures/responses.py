"""Pictures of what filters do to images: responses, photographs, mixed channels.

Book sections 7.2.2, 7.2.5 and 7.6.1.
"""

import matplotlib
import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.patches import Circle, Rectangle

from cnnlib.figures import style
from cnnlib.figures.arithmetic import by, convolve, plane
from cnnlib.figures.grids import SIGN, TITLE, Box, Grid, draw_grid, draw_image, draw_title

BRIGHTNESS = matplotlib.colormaps["gray"]  # photographs: high is light


def filter_response(image, W, stride=1, pad=0):
    """Show an image, a small filter, and where the filter answers.

    Parameters
    ----------
    image : array_like, shape (H, W)
        Image of one channel.
    W : array_like, shape (FH, FW)
        Filter.
    stride, pad : int
        Step S and zero padding P.

    Returns
    -------
    Card

    Notes
    -----
    Book section 7.6.1. Red is a positive answer, blue a negative one, white none.
    """
    image, W = plane(image, "image"), plane(W, "W")
    _, out = convolve(image[np.newaxis], W[np.newaxis], 0.0, stride, pad)
    peak = max(np.abs(out).max(), 1e-12)
    canvas = style.Canvas("The response is strong where the image looks like the filter")
    side = 250 / max(image.shape)
    x = Grid(image, "input x", numbers=False)
    y = Grid(out, "response", "output", "(OH, OW)", numbers=False)
    f = Grid(W, "filter W", "filter", "(FH, FW)")
    top = canvas.top + TITLE
    tall = image.shape[0] * side
    ax = canvas.ax
    box = draw_image(ax, image, canvas.left, top, side, style.IMAGE, image.min(), image.max())
    draw_title(ax, x, box)
    cell = min(34, 170 / W.shape[1], 220 / W.shape[0])
    slot = max(f.title_width, W.shape[1] * cell)
    left = box.right + SIGN
    style.write(ax, left - SIGN / 2, box.middle, "⊛", 20, style.MUTED, align="center")
    middle = box.middle
    fbox = draw_grid(
        ax,
        f,
        round(left + (slot - W.shape[1] * cell) / 2),
        round(middle - W.shape[0] * cell / 2),
        cell,
    )
    left += slot + SIGN
    style.write(ax, left - SIGN / 2, middle, "=", 20, style.MUTED, align="center")
    slot = max(y.title_width, out.shape[1] * side)
    obox = draw_image(
        ax,
        out,
        left + (slot - out.shape[1] * side) / 2,
        middle - out.shape[0] * side / 2,
        side,
        style.DIVERGING,
        -peak,
        peak,
    )
    draw_title(ax, y, obox)
    right = left + slot + 28
    figure = canvas.finish(
        right + 96,
        max(top + tall, fbox.bottom, obox.bottom),
        f"A {by(image.shape)} image, a {by(W.shape)} filter and its response of "
        f"{by(out.shape)}, from {out.min():.3g} to {out.max():.3g}.",
    )
    height = min(200, max(90, out.shape[0] * side))
    style.color_bar(
        figure, style.DIVERGING, -peak, peak, right + 26, middle - height / 2, height, "response"
    )
    return figure


def photograph(image, W):
    """Show a photograph, a filter, and what the filter makes of it.

    Parameters
    ----------
    image : array_like, shape (H, W)
        Brightness from 0, black, to 1, white.
    W : array_like, shape (FH, FW)
        Filter.

    Returns
    -------
    Card

    Notes
    -----
    A filter whose numbers add up to 0 gives 0 where the image is flat: its answers are signed,
    red and blue. The answers of any other filter are shown as brightness.
    """
    image, W = plane(image, "image"), plane(W, "W")
    _, out = convolve(image[np.newaxis], W[np.newaxis], 0.0, 1, 0)
    total = W.sum()
    signed = abs(total) < 1e-9
    text = style.format_number(total, style.decimals_needed(total))
    canvas = style.Canvas(
        "The filter's numbers add up to 0: flat areas vanish, changes remain"
        if signed
        else "The filter's numbers add up to 1: flat areas keep their brightness"
        if abs(total - 1) < 1e-9
        else f"The filter's numbers add up to {text}: flat areas become {text} times as bright"
    )
    scale = _whole(min(270 / image.shape[1], 320 / image.shape[0]))
    top = canvas.top + TITLE
    ax = canvas.ax
    box = draw_image(ax, image, canvas.left, top, scale, BRIGHTNESS, 0, 1)
    draw_title(ax, Grid(image, "input x"), box)
    left = box.right + SIGN
    style.write(ax, left - SIGN / 2, box.middle, "⊛", 20, style.MUTED, align="center")
    f = Grid(W, "filter W", "filter", "(FH, FW)")
    cell = min(34, max(f.smallest_cell(), 150 / W.shape[1]))
    slot = max(f.title_width, f.columns * cell)
    at = round(left + (slot - f.columns * cell) / 2), round(box.middle - f.rows * cell / 2)
    draw_grid(ax, f, *at, cell)
    left += slot + SIGN
    style.write(ax, left - SIGN / 2, box.middle, "→", 20, style.MUTED, align="center")
    colors, low, high = _tone(out, signed)
    y = Grid(out, "output", "output", "(OH, OW)")
    corner = box.middle - out.shape[0] * scale / 2
    obox = draw_image(ax, out, left, corner, scale, colors, low, high)
    draw_title(ax, y, obox)
    right = max(obox.right, left + y.title_width)
    figure = canvas.finish(
        right + 100,
        box.bottom,
        f"A {by(image.shape)} photograph, a {by(W.shape)} filter whose numbers add up to {text}, "
        f"and its output of {by(out.shape)}, as {'signed answers' if signed else 'brightness'}.",
    )
    label = "response" if signed else "brightness"
    _draw_bar(figure, colors, low, high, right + 30, box, label)
    return figure


def mixing(image, W):
    """Show a colour photograph, its three channels, and their mixture by a 1 x 1 filter.

    Parameters
    ----------
    image : array_like, shape (3, H, W)
        Red, green and blue, from 0 to 1.
    W : array_like, shape (3,)
        The 1 x 1 filter: one weight per channel.

    Returns
    -------
    Card

    Notes
    -----
    Book section 7.2.5. Weights that add up to 0 give signed answers, as in `photograph`.
    """
    image, W = np.asarray(image, float), np.asarray(W, float)
    if image.ndim != 3 or len(image) != 3:
        raise ValueError(f"image must be (3, H, W), got shape {image.shape}")
    if W.shape != (3,):
        raise ValueError(f"W must hold one weight for each of 3 channels, got shape {W.shape}")
    out = np.tensordot(W, image, 1)
    signed = abs(W.sum()) < 1e-9
    canvas = style.Canvas("A 1 x 1 filter mixes the channels at each place, and nothing else")
    ax, top = canvas.ax, canvas.top + TITLE
    H, width = image.shape[1:]
    gap = 16
    large = _whole(min(220 / width, 300 / H))
    small = large / 3
    lower = top + gap  # the three channels together are higher than the image
    box = _draw_colors(ax, image, canvas.left, lower, large)
    draw_title(ax, Grid(image[0], "input x", letters="(C, H, W)", shape=image.shape), box)
    left = box.right + SIGN
    style.write(ax, left - SIGN / 2, box.middle, "=", 20, style.MUTED, align="center")
    ends = []
    for k, (name, weight) in enumerate(zip(("red", "green", "blue"), W, strict=True)):
        y = top + k * (small * H + gap)
        cbox = draw_image(ax, image[k], left, y, small, BRIGHTNESS, 0, 1)
        style.write(ax, cbox.right + 8, cbox.middle, f"{name}  ·", 12, style.MUTED)
        ends.append(_draw_weight(ax, cbox.right + 74, cbox.middle, weight, k))
    f = Grid([[0]], "filter W", "filter", "(C, FH, FW)", (3, 1, 1))
    draw_title(ax, f, ends[0]._replace(top=lower))
    left = ends[0].right + SIGN + 34
    _gather(ax, ends, left - 12)
    colors, low, high = _tone(out, signed)
    obox = draw_image(ax, out, left, lower, large, colors, low, high)
    draw_title(ax, Grid(out, "output", "output", "(1, OH, OW)", (1, *out.shape)), obox)
    figure = canvas.finish(
        obox.right + 100,
        box.bottom + gap,
        f"A {by(image.shape[1:])} colour photograph, its red, green and blue channels, and their "
        f"mixture with the weights {', '.join(f'{w:.2g}' for w in W)}.",
    )
    label = "response" if signed else "brightness"
    _draw_bar(figure, colors, low, high, obox.right + 30, box, label)
    return figure


def _tone(out, signed):
    """Choose colours and their ends: signed around zero, or brightness from 0 to 1."""
    if not signed:
        return BRIGHTNESS, 0.0, 1.0
    peak = max(np.abs(out).max(), 1e-12)
    return style.DIVERGING, -peak, peak


def _draw_bar(figure, colors, low, high, left, box, label):
    """Draw a colour bar beside a box, not higher than it."""
    height = min(180, max(90, box.bottom - box.top))
    style.color_bar(figure, colors, low, high, left, box.middle - height / 2, height, label)


def _whole(scale):
    """Round a scale above 1 down, so that all pixels are equally large."""
    return float(int(scale)) if scale > 1 else scale


def _draw_colors(ax, image, left, top, scale):
    """Draw a colour image (3, H, W); return its box."""
    _, H, W = image.shape
    box = Box(left, top, left + W * scale, top + H * scale)
    ax.imshow(
        np.clip(np.moveaxis(image, 0, -1), 0, 1),
        extent=(box.left, box.right, box.bottom, box.top),
        interpolation="nearest",
        aspect="auto",
        zorder=0.8,
    )
    return box


def _draw_weight(ax, left, middle, weight, channel):
    """Draw one weight of a 1 x 1 filter; return its box."""
    wide, tall = 52, 30
    box = Box(left, middle - tall / 2, left + wide, middle + tall / 2)
    ax.add_patch(
        Rectangle(
            box[:2], wide, tall, fc=style.tint("filter"), ec=style.tint("filter", 0.75), lw=0.8
        )
    )
    text = style.format_number(weight, 2)
    style.write(ax, left + wide / 2, middle, text, 13, align="center", gid=f"weight[{channel}]")
    return box


def _gather(ax, boxes, end):
    """Lead lines from boxes into one plus, and on to `end`."""
    bus, middle = boxes[0].right + 26, boxes[1].middle
    lines = [((box.right + 4, box.middle), (bus, box.middle)) for box in boxes]
    lines += [((bus, boxes[0].middle), (bus, boxes[-1].middle)), ((bus, middle), (end, middle))]
    ax.add_collection(LineCollection(lines, colors=style.LINE, linewidths=1.4), autolim=False)
    ax.add_patch(Circle((bus, middle), 11, fc="white", ec=style.LINE, lw=1.4, zorder=3))
    style.write(ax, bus, middle, "+", 18, style.MUTED, align="center", zorder=4)
