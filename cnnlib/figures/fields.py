"""Pictures of a deeper network: how much its units see, what they prefer, what decides.

Book section 7.6.2.
"""

import numpy as np
from matplotlib.patches import Rectangle

from cnnlib.figures import style
from cnnlib.figures.arithmetic import by, plane
from cnnlib.figures.grids import SIGN, TITLE, Grid, draw_image, draw_title

SIDE = 252  # of the digit
ROOM = style.MAX_WIDTH - 2 * style.MARGIN


def receptive_field(image, maps, field, place, patch, formula):
    """Show which pixels one unit sees: on the digit, alone, and where the unit is in its map.

    Parameters
    ----------
    image : array_like, shape (H, W)
        The input, as ink on paper.
    maps : array_like, shape (OH, OW)
        The map of the unit; (1, 1) for a unit of an affine layer.
    field : Field
        Of the layer, from `cnnlib.visualize.receptive_fields`.
    place : (int, int)
        Row and column of the unit in its map.
    patch : (slice, slice)
        Rows and columns of the image that it sees, from `cnnlib.visualize.patch_of`.
    formula : str
        How the size of the field comes about.

    Returns
    -------
    Card
    """
    image, maps = plane(image, "image"), plane(maps, "maps")
    rows, columns = patch
    H, W = rows.stop - rows.start, columns.stop - columns.start
    share = H * W / image.size
    canvas = style.Canvas(
        f"A unit of {field.name} sees {by((H, W))} pixels, {100 * share:.0f} % of the image"
    )
    ax, top = canvas.ax, canvas.top + TITLE
    cell = SIDE / max(image.shape)
    box = draw_image(ax, image, canvas.left, top, cell, style.IMAGE, 0, 1)
    draw_title(ax, Grid(image, "input x"), box)
    _frame(ax, box.left + columns.start * cell, top + rows.start * cell, W * cell, H * cell)
    left = box.right + SIGN
    style.write(ax, left - SIGN / 2, box.middle, "→", 20, style.MUTED, align="center")
    seen = image[rows, columns]
    shown = min(14.0, 190 / max(seen.shape))
    slot = 190
    at = left + (slot - W * shown) / 2, box.middle - H * shown / 2
    pbox = draw_image(ax, seen, *at, shown, style.IMAGE, 0, 1, style.ROLES["window"])
    draw_title(ax, Grid(seen, "what it sees", letters=""), pbox._replace(top=pbox.top + 17))
    left += slot + SIGN
    style.write(ax, left - SIGN / 2, box.middle, "→", 20, style.MUTED, align="center")
    y = Grid(maps, f"a map of {field.name}", "output", "(OH, OW)")
    shown = min(40.0, slot / max(maps.shape))
    at = left + (slot - maps.shape[1] * shown) / 2
    low, high = min(0.0, maps.min()), max(0.0, maps.max())
    colors = style.sequential("output")
    if low < 0:
        colors, high = style.DIVERGING, max(high, -low)
        low = -high
    mbox = draw_image(
        ax, maps, at, box.middle - maps.shape[0] * shown / 2, shown, colors, low, high
    )
    draw_title(ax, y, mbox)
    _frame(ax, mbox.left + place[1] * shown, mbox.top + place[0] * shown, shown, shown)
    style.paragraph(ax, canvas.left, box.bottom + 28, formula, left + slot - canvas.left)
    return canvas.finish(
        left + slot,
        box.bottom + 62,  # two lines at most, and always the same height
        f"A digit of {by(image.shape)}; the unit in row {place[0]}, column {place[1]} of a map of "
        f"{field.name} sees rows {rows.start} to {rows.stop - 1}, columns {columns.start} to "
        f"{columns.stop - 1}. {formula}.",
    )


def preferences(layer, units, preferred, patches, message):
    """Show for some units of a layer the image drawn for each, and the patches found for each.

    Parameters
    ----------
    layer : str
        Name of the layer.
    units : list of int
        Numbers of the units.
    preferred : list of array_like, shape (h, w)
        The preferred input of each unit.
    patches : list of array_like, shape (k, r, r)
        What excites each most, the most exciting first.
    message : str
        Title.

    Returns
    -------
    Card
    """
    if not len(units) == len(preferred) == len(patches) > 0:
        raise ValueError(
            f"{len(units)} units, {len(preferred)} preferred inputs and {len(patches)} lists of "
            "patches: there must be one for each unit"
        )
    canvas = style.Canvas(message)
    ax, lead, side = canvas.ax, 92, 78
    pitch = (ROOM - lead + 12) / len(units)
    side = min(side, pitch - 10)
    top = canvas.top + 26
    texts = {top: "drawn", top + side + 14: "found"}
    for y, text in texts.items():
        style.write(ax, canvas.left, y + side / 2 - 8, text, 13, weight="bold")
        note = "for the unit" if text == "drawn" else "in digits"
        style.write(ax, canvas.left, y + side / 2 + 9, note, 12, style.MUTED)
    for j, unit in enumerate(units):
        x = canvas.left + lead + j * pitch
        style.write(ax, x + side / 2, top - 13, f"unit {unit}", 12, style.TEXT_COLORS["filter"],
                    "bold", "center")  # fmt: skip
        one = np.asarray(preferred[j], float)
        _fitted(ax, one, x, top, side, style.ROLES["filter"])
        for k, patch in enumerate(patches[j]):
            _fitted(ax, np.asarray(patch, float), x, top + 14 + side + k * (side + 6), side)
    k = max(len(p) for p in patches)
    size = by(np.shape(patches[0])[1:])
    return canvas.finish(
        canvas.left + ROOM,
        top + 14 + side + k * (side + 6) - 6,
        f"{message}: for {len(units)} units of {layer} the preferred input, and the {k} patches of "
        f"{size} pixels that excite each most.",
    )


def occlusion(image, probabilities, label, size, stride, whole):
    """Show a digit, the cover, and how likely the network finds the digit wherever the cover lies.

    Parameters
    ----------
    image : array_like, shape (H, W)
        The digit, as ink on paper.
    probabilities : array_like, shape (OH, OW)
        Of its class, from `cnnlib.visualize.occlusion_map`.
    label : int
        The class.
    size, stride : int
        Side of the cover, and step between two.
    whole : float
        Probability with nothing covered.

    Returns
    -------
    Card
    """
    image, found = plane(image, "image"), plane(probabilities, "probabilities")
    worst = np.unravel_index(found.argmin(), found.shape)
    lost = int((found < 0.5).sum())
    canvas = style.Canvas(
        f"Covered at {lost} of {found.size} places, the {label} is no longer likely to be a {label}"
        if lost
        else f"Wherever the cover lies, it is still read as a {label}"
    )
    ax, top = canvas.ax, canvas.top + TITLE
    cell = 238 / max(image.shape)
    left = canvas.left
    for name, cover in (("input x", False), ("covered at the worst place", True)):
        box = draw_image(ax, image, left, top, cell, style.IMAGE, 0, 1)
        letters = f"{label} with {_percent(whole)}"
        if cover:
            corner = box.left + worst[1] * stride * cell, top + worst[0] * stride * cell
            wide = size * cell
            ax.add_patch(
                Rectangle(corner, wide, wide, fc="white", ec=style.ROLES["window"], lw=1.8)
            )
            letters = f"{label} with {_percent(found.min())}"
        middle = (box.left + box.right) / 2
        style.write(ax, middle, top - 29, name, 13, style.TEXT_COLORS["input"], "bold", "center")
        style.write(ax, middle, top - 12, letters, 12, style.MUTED, align="center")
        left = box.right + 26
    # Each number is drawn where the middle of the cover was.
    frame = draw_image(ax, image, left, top, cell, style.IMAGE, 0, 2.4)
    inset = (size - stride) / 2 * cell
    colors = style.sequential("window").reversed()
    ax.imshow(
        found,
        cmap=colors,
        vmin=0,
        vmax=1,
        alpha=1 - 0.92 * found,  # where nothing is lost, the digit shows through
        extent=(
            frame.left + inset,
            frame.left + inset + found.shape[1] * stride * cell,
            top + inset + found.shape[0] * stride * cell,
            top + inset,
        ),
        interpolation="nearest",
        aspect="auto",
        zorder=0.9,
    )
    ax.set_aspect("auto")
    middle = (frame.left + frame.right) / 2
    style.write(ax, middle, top - 29, "where it needs what is covered", 13,
                style.TEXT_COLORS["window"], "bold", "center")  # fmt: skip
    style.write(ax, middle, top - 12, f"{size} x {size} pixels, {found.size} places", 12,
                style.MUTED, align="center")  # fmt: skip
    figure = canvas.finish(
        frame.right + 84,
        frame.bottom,
        f"A {label}, read with {_percent(whole)}; a cover of {size} x {size} pixels at its worst "
        f"place leaves {_percent(found.min())}, and at {lost} of {found.size} places less than "
        "half.",
    )
    style.color_bar(
        figure, colors, 0, 1, frame.right + 32, top + 20, 190, f"probability of {label}"
    )
    return figure


def _percent(share):
    return f"{100 * share:.0f} %"


def _frame(ax, left, top, width, height, lw=2.0, ls="-"):
    """Outline a window in its colour."""
    color = style.ROLES["window"]
    ax.add_patch(Rectangle((left, top), width, height, fill=False, ec=color, lw=lw, ls=ls))


def _fitted(ax, image, left, top, side, frame=style.LINE):
    """Draw an image into a square, centred, its longer side as long as the square's."""
    cell = side / max(image.shape)
    x = left + (side - image.shape[1] * cell) / 2
    draw_image(ax, image, x, top + (side - image.shape[0] * cell) / 2, cell, style.IMAGE, 0,
               max(float(image.max()), 1e-6), frame)  # fmt: skip
