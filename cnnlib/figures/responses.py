"""Pictures of what filters do to images: responses, photographs, mixed channels.

Book sections 7.2.2, 7.2.5 and 7.6.1.
"""

import matplotlib
import numpy as np

from cnnlib.figures import style
from cnnlib.figures.arithmetic import by, convolve, plane
from cnnlib.figures.grids import (
    SIGN,
    TITLE,
    Box,
    Grid,
    draw_box,
    draw_centered,
    draw_image,
    draw_picture,
    draw_sign,
    draw_sum,
    draw_title,
)

BRIGHTNESS = matplotlib.colormaps["gray"]  # photographs: high is light


def filter_response(image, W, stride=1, pad=0):
    """Show an image (H, W), a small filter (FH, FW), and where the filter answers."""
    image, W = plane(image, "image"), plane(W, "W")
    _, out = convolve(image[np.newaxis], W[np.newaxis], 0.0, stride, pad)
    peak = max(np.abs(out).max(), 1e-12)
    canvas = style.Canvas("The response is strong where the image looks like the filter")
    ax, side, top = canvas.ax, 250 / max(image.shape), canvas.top + TITLE
    ends = style.IMAGE, image.min(), image.max()
    box = draw_picture(ax, Grid(image, "input x"), canvas.left, top, side, *ends)
    cell = min(34, 170 / W.shape[1], 220 / W.shape[0])
    fbox, left = _draw_filter(ax, W, box, cell, "=")
    y = Grid(out, "response", "output", "(OH, OW)")
    slot = y.slot(side)
    corner = left + (slot - out.shape[1] * side) / 2, box.middle - out.shape[0] * side / 2
    obox = draw_picture(ax, y, *corner, side, style.DIVERGING, -peak, peak)
    right = left + slot + 28
    figure = canvas.finish(
        right + 96,
        max(box.bottom, fbox.bottom, obox.bottom),
        f"A {by(image.shape)} image, a {by(W.shape)} filter and its response of "
        f"{by(out.shape)}, from {out.min():.3g} to {out.max():.3g}.",
    )
    height = min(200, max(90, out.shape[0] * side))
    place = right + 26, box.middle - height / 2, height
    style.color_bar(figure, style.DIVERGING, -peak, peak, *place, "response")
    return figure


def photograph(image, W):
    """Show a photograph (H, W), from 0 (black) to 1, a filter, and what it makes of it.

    Notes
    -----
    A filter whose numbers add up to 0 gives 0 where the image is flat: its answers are signed, red
    and blue. The answers of any other filter are shown as brightness.
    """
    image, W = plane(image, "image"), plane(W, "W")
    _, out = convolve(image[np.newaxis], W[np.newaxis], 0.0, 1, 0)
    total = W.sum()
    signed = abs(total) < 1e-9
    text = style.format_number(total, style.decimals_needed(total))
    message = f"flat areas become {text} times as bright"
    if signed:
        message = "flat areas vanish, changes remain"
    elif abs(total - 1) < 1e-9:
        message = "flat areas keep their brightness"
    canvas = style.Canvas(f"The filter's numbers add up to {text}: {message}")
    scale = _whole(min(270 / image.shape[1], 320 / image.shape[0]))
    ax, top = canvas.ax, canvas.top + TITLE
    box = draw_picture(ax, Grid(image, "input x"), canvas.left, top, scale, BRIGHTNESS, 0, 1)
    cell = min(34, max(Grid(W).smallest_cell(), 150 / W.shape[1]))
    _, left = _draw_filter(ax, W, box, cell, "→")
    tone = _tone(out, signed)
    y = Grid(out, "output", "output", "(OH, OW)")
    obox = draw_picture(ax, y, left, box.middle - out.shape[0] * scale / 2, scale, *tone)
    right = max(obox.right, left + y.title_width)
    figure = canvas.finish(
        right + 100,
        box.bottom,
        f"A {by(image.shape)} photograph, a {by(W.shape)} filter whose numbers add up to {text}, "
        f"and its output of {by(out.shape)}, as {'signed answers' if signed else 'brightness'}.",
    )
    _draw_bar(figure, *tone, right + 30, box, "response" if signed else "brightness")
    return figure


def _draw_filter(ax, W, box, cell, sign):
    """Draw a filter and the signs around it, right of a box; return its box and its end."""
    f = Grid(W, "filter W", "filter", "(FH, FW)")
    left, end = box.right + SIGN, box.right + f.slot(cell) + 2 * SIGN
    draw_sign(ax, left - SIGN / 2, box.middle, "⊛")
    draw_sign(ax, end - SIGN / 2, box.middle, sign)
    return draw_centered(ax, f, left, box.middle, cell), end


def mixing(image, W):
    """Show a color photograph, its three channels, and their mixture by a 1 x 1 filter.

    Parameters
    ----------
    image : (3, H, W), red, green and blue, from 0 to 1
    W : (3,), one weight per channel; if they add up to 0, the answers are signed
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
    gap, large = 16, _whole(min(220 / width, 300 / H))
    small, lower = large / 3, top + gap  # the three channels together are higher than the image
    box = Box(canvas.left, lower, canvas.left + width * large, lower + H * large)
    extent = (box.left, box.right, box.bottom, box.top)
    colors = np.clip(np.moveaxis(image, 0, -1), 0, 1)
    ax.imshow(colors, extent=extent, interpolation="nearest", aspect="auto", zorder=0.8)
    draw_title(ax, Grid(image[0], "input x", letters="(C, H, W)", shape=image.shape), box)
    left = box.right + SIGN
    draw_sign(ax, left - SIGN / 2, box.middle, "=")
    ends = []
    for k, (name, weight) in enumerate(zip(("red", "green", "blue"), W, strict=True)):
        cbox = draw_image(ax, image[k], left, top + k * (small * H + gap), small, BRIGHTNESS, 0, 1)
        style.write(ax, cbox.right + 8, cbox.middle, f"{name}  ·", 12, style.MUTED)
        x, y = cbox.right + 74, cbox.middle
        ends.append(Box(x, y - 15, x + 52, y + 15))
        draw_box(ax, ends[-1], "filter")
        text = style.format_number(weight, 2)
        style.write(ax, x + 26, y, text, 13, align="center", gid=f"weight[{k}]")
    f = Grid([[0]], "filter W", "filter", "(C, FH, FW)", (3, 1, 1))
    draw_title(ax, f, ends[0]._replace(top=lower))
    left = ends[0].right + SIGN + 34
    draw_sum(ax, ends, ends[0].right + 26, left - 12)
    tone = _tone(out, signed)
    y = Grid(out, "output", "output", "(1, OH, OW)", (1, *out.shape))
    obox = draw_picture(ax, y, left, lower, large, *tone)
    figure = canvas.finish(
        obox.right + 100,
        box.bottom + gap,
        f"A {by(image.shape[1:])} colour photograph, its red, green and blue channels, and their "
        f"mixture with the weights {', '.join(f'{w:.2g}' for w in W)}.",
    )
    _draw_bar(figure, *tone, obox.right + 30, box, "response" if signed else "brightness")
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
