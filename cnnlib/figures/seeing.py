"""What filters look like, what they answer to, and what the units of a deeper network see.

Book sections 7.2.2, 7.2.5 and 7.6.
"""

import matplotlib
import numpy as np
from matplotlib.ticker import MaxNLocator

from cnnlib.figures import style
from cnnlib.figures.galleries import BAR, draw_bar, draw_line, draw_planes, planes, scale, signed
from cnnlib.figures.grids import (
    ROOM,
    SIGN,
    TITLE,
    Box,
    Grid,
    by,
    convolve,
    draw_box,
    draw_frame,
    draw_image,
    draw_picture,
    draw_sign,
    draw_sum,
    draw_title,
    plane,
)

BRIGHTNESS = matplotlib.colormaps["gray"]  # photographs: high is light
LIGHT = BRIGHTNESS, 0, 1
INK = style.IMAGE, 0, 1
SIDE = 252  # of the digit of a receptive field


# ---- an image, a filter, and what it makes of the image ---------------------------------------


def filter_response(image, W, pad=0, message="Strong where the image looks like the filter"):
    """Show an image (H, W), a small filter (FH, FW), and where the filter answers."""
    image, W, out = _filtered(image, W, pad)
    alt = f"and its response of {by(out.shape)}, from {out.min():.3g} to {out.max():.3g}"
    look = {"cell": 250 / max(image.shape), "ends": (style.IMAGE, image.min(), image.max())}
    return _draw_filtered(message, alt, image, W, out, signed(out), sign="=", **look)


def photograph(image, W):
    """Show a photograph (H, W), from 0 (black) to 1, a filter, and what it makes of it.

    A filter whose numbers add up to 0 gives 0 where the image is flat: its answers are signed, red
    and blue. The answers of any other filter are shown as brightness.
    """
    image, W, out = _filtered(image, W)
    total, tone, shown = W.sum(), LIGHT, "brightness"
    text = style.format_number(total, style.decimals_needed(total))
    message = f"flat areas become {text} times as bright"
    if abs(total) < 1e-9:
        message, tone, shown = "flat areas vanish, changes remain", signed(out), "signed answers"
    elif abs(total - 1) < 1e-9:
        message = "flat areas keep their brightness"
    message = f"The filter's numbers add up to {text}: {message}"
    alt = f"whose numbers add up to {text}, and its output of {by(out.shape)}, as {shown}"
    return _draw_filtered(message, alt, image, W, out, tone)


def on_photograph(image, W, number):
    """Show a photograph (H, W), from 0 (black) to 1, filter `number`, learnt, and its answers."""
    image, W, out = _filtered(image, W)
    total = style.format_number(W.sum(), 2)
    low, high = (style.format_number(value, 1) for value in (out.min(), out.max()))
    message = f"Filter {number} on a photograph: its weights add up to {total}, its answers go from"
    alt = f"whose weights add up to {total}, and its answers of {by(out.shape)}"
    return _draw_filtered(f"{message} {low} to {high}", alt, image, W, out, signed(out), learnt=1)


def _filtered(image, W, pad=0):
    image, W = plane(image, "image"), plane(W, "W")
    return image, W, convolve(image[np.newaxis], W[np.newaxis], 0.0, 1, pad)[1]


def _draw_filtered(message, alt, image, W, out, tone, ends=LIGHT, cell=0, sign="→", learnt=0):
    """Draw image, filter and output with a color bar; a learnt filter in colors with a bar."""
    canvas = style.Canvas(message)
    cell = cell or _whole(min(256 / image.shape[1], 320 / image.shape[0]))
    f = Grid(W, "filter W", "filter", "(FH, FW)")
    small = min(34, max(f.smallest_cell(), 150 / W.shape[1]))
    parts = [(f, 92 / max(W.shape), *signed(W)), 54] if learnt else [(f, small)]
    y = Grid(out, "response" if sign == "=" else "output", "output", "(OH, OW)")
    items = [(Grid(image, "input x"), cell, *ends), "⊛", *parts, sign, (y, cell, *tone)]
    middle = canvas.top + TITLE + image.shape[0] * cell / 2
    boxes = draw_line(canvas.ax, items, canvas.left, middle)
    figure = canvas.finish(
        boxes[2].right + BAR,
        max(box.bottom for box in boxes),
        f"A {by(image.shape)} image, a {by(W.shape)} filter {alt}.",
    )
    draw_bar(figure, tone, boxes[2], "brightness" if tone is LIGHT else "response")
    if learnt:
        draw_bar(figure, signed(W), boxes[1])
    return figure


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
    tone = LIGHT if abs(W.sum()) >= 1e-9 else signed(out)
    canvas = style.Canvas("A 1 x 1 filter mixes the channels at each place, and nothing else")
    ax, top, gap = canvas.ax, canvas.top + TITLE, 16
    large = _whole(min(220 / image.shape[2], 300 / image.shape[1]))
    small, lower = large / 3, top + gap  # the three channels together are higher than the image
    x = Grid(image[0], "input x", letters="(C, H, W)", shape=image.shape)
    box = draw_picture(ax, x, canvas.left, lower, large, *LIGHT)
    ax.images[-1].set_data(np.clip(np.moveaxis(image, 0, -1), 0, 1))  # all three channels
    left = box.right + SIGN
    draw_sign(ax, left - SIGN / 2, box.middle, "=")
    ends = []
    for k, (name, weight) in enumerate(zip(("red", "green", "blue"), W, strict=True)):
        y = top + k * (small * image.shape[1] + gap)
        one = draw_image(ax, image[k], left, y, small, *LIGHT)
        style.write(ax, one.right + 8, one.middle, f"{name}  ·", 12, style.MUTED)
        ends.append(Box(one.right + 74, one.middle - 15, one.right + 126, one.middle + 15))
        draw_box(ax, ends[-1], "filter")
        look = {"align": "center", "gid": f"weight[{k}]"}
        style.write(ax, one.right + 100, one.middle, style.format_number(weight, 2), 13, **look)
    f = Grid([[0]], "filter W", "filter", "(C, FH, FW)", (3, 1, 1))
    draw_title(ax, f, ends[0]._replace(top=lower))
    left = ends[0].right + SIGN + 34
    draw_sum(ax, ends, ends[0].right + 26, left - 12)
    y = Grid(out, "output", "output", "(1, OH, OW)", (1, *out.shape))
    end = draw_picture(ax, y, left, lower, large, *tone)
    figure = canvas.finish(
        end.right + BAR,
        box.bottom + gap,
        f"A {by(image.shape[1:])} colour photograph, its red, green and blue channels, and their "
        f"mixture with the weights {', '.join(f'{w:.2g}' for w in W)}.",
    )
    draw_bar(figure, tone, end, "brightness" if tone is LIGHT else "response")
    return figure


def _whole(size):
    """Round a size above 1 down, so that all pixels are equally large."""
    return float(int(size)) if size > 1 else size


# ---- the filters of a first layer -------------------------------------------------------------


def scales(W):
    """Show a filter (FH, FW) as numbers, in two grays that are each other's reverse, in color.

    The book's code draws filters with ``gray_r``: white is the lowest weight.
    """
    W = plane(W, "W")
    canvas = style.Canvas("One filter, three scales: only the bar says what white means")
    f = Grid(W, "filter W", "filter", "(FH, FW)")
    cell, side = max(f.smallest_cell(), 200 / max(W.shape)), 130 / max(W.shape)
    shown = {"white is low": (style.IMAGE, W.min(), W.max())}
    shown |= {"white is high": (BRIGHTNESS, W.min(), W.max()), "white is zero": signed(W)}
    items = [(f, cell)]
    for name, tone in shown.items():
        items += [34 if len(items) == 1 else 84, (Grid(W, name, "filter", ""), side, *tone)]
    middle = canvas.top + TITLE + W.shape[0] * cell / 2
    box, *boxes = draw_line(canvas.ax, items, canvas.left, middle)
    figure = canvas.finish(
        boxes[-1].right + 70,
        box.bottom,
        f"A {by(W.shape)} filter with weights from {W.min():.2f} to {W.max():.2f}, as numbers, in "
        "grey with white for the lowest, in grey with white for the highest, and in red and blue "
        "with white for zero; each with its colour bar.",
    )
    for tone, one in zip(shown.values(), boxes, strict=True):
        draw_bar(figure, tone, one)
    return figure


def before_and_after(before, after, names=("before training", "after training"), message=""):
    """Show filters (FN, C, FH, FW), of one channel or of red, green and blue, on two sides.

    Of one channel, each side has its own scale, which few large weights leave. Filters of color are
    drawn each on its own scale, gray where all weights are 0.
    """
    before, after = np.asarray(before, float), np.asarray(after, float)
    if before.shape != after.shape:
        raise ValueError(f"before and after differ in shape: {before.shape} and {after.shape}")
    color = before.ndim == 4 and before.shape[1] == 3
    growth = style.ratio_text(after.std() / max(before.std(), 1e-12))
    canvas = style.Canvas(
        message or f"Training turns noise into patterns, {growth} times as strong"
    )
    top, left, columns, ends = canvas.top + 30, canvas.left, 8 if color else 6, []
    for name, W in zip(names, (before, after), strict=True):
        style.write(canvas.ax, left, top - 14, name, 13, style.TEXT_COLORS["filter"], "bold")
        first = W[:, 0] if color else planes(W)
        ends.append(draw_planes(canvas, first, _usual(W), top, columns, 46, 8 - color, left=left))
        if color:
            for w, image in zip(W, canvas.ax.images[-len(W) :], strict=True):
                w = 0.5 + w / max(2 * np.abs(w).max(), 1e-12)
                image.set_data(np.moveaxis(w, 0, -1))
        left = ends[-1].right + (26 if color else BAR + 16)
    figure = canvas.finish(
        left - 30 + 4 * color,
        max(ends[0].bottom, top + 90),
        f"{len(before)} filters of {by(before.shape[2:])} {names[0]}, weights from "
        f"{before.min():.2f} to {before.max():.2f}, and {names[1]}, from {after.min():.2f} to "
        f"{after.max():.2f}; {'gray' if color else 'red is positive, blue negative, white'} is 0.",
    )
    if not color:
        for box, W in zip(ends, (before, after), strict=True):
            draw_bar(figure, _usual(W), box, "weight")
    return figure


def _usual(W):
    """Return colors for weights and a scale that one in fifty leaves, so that the rest is seen."""
    return signed(np.quantile(np.abs(W), 0.98))


def alikeness(W):
    """Compute how alike neighboring weights of each filter are: 0 for noise, 1 for an even area.

    For filters (FN, 1, FH, FW) it returns, of shape (FN,)::

        mean of w[i] * w[j] over neighbors i, j  /  mean of w[i]^2
    """
    W = planes(W)
    beside, below = W[:, :, 1:] * W[:, :, :-1], W[:, 1:] * W[:, :-1]
    pairs = beside.sum((1, 2)) + below.sum((1, 2))
    return pairs / (beside[0].size + below[0].size) / np.maximum((W**2).mean((1, 2)), 1e-24)


def growing(steps, filters, moment):
    """Show the filters at one moment of training, and how strong and how smooth they are by then.

    Parameters
    ----------
    steps, filters : (T,) and (T, FN, 1, FH, FW), the weights after so many steps
    moment : int, which of the T
    """
    steps, filters = np.asarray(steps), np.asarray(filters, float)
    if len(steps) != len(filters):
        raise ValueError(f"{len(steps)} steps, but filters at {len(filters)} moments")
    if not 0 <= moment < len(steps):
        raise ValueError(f"moment must be 0..{len(steps) - 1}, got {moment}")
    strength = filters.reshape(len(filters), -1).std(axis=1)
    alike = np.array([alikeness(W).mean() for W in filters])
    now = f"weights of about {strength[moment]:.2f}, neighbours alike by "
    now += style.format_number(alike[moment], 2)
    canvas = style.Canvas(f"After {steps[moment]:,} steps: {now}")
    W, top, tall = planes(filters[moment]), canvas.top + 12, 100
    fixed = _usual(filters[-1])  # the same at all moments
    box = draw_planes(canvas, W, fixed, top, 6, 54, 8)
    left, right = box.right + BAR + 48, style.MAX_WIDTH - style.MARGIN - 12
    figure = canvas.finish(
        right + 8,
        max(box.bottom, top + 2 * tall + 124),
        f"{len(W)} filters of {by(W.shape[1:])} after {steps[moment]} of {steps[-1]} steps of "
        f"training: {now}.",
    )
    draw_bar(figure, fixed, box, "weight")
    place = np.sqrt(steps)  # as the moments were chosen: crowded at the start
    ticks = [tick for tick in (0, 100, 500, 1000, 2000, 4000) if tick <= steps[-1]]
    for y, values, name, below in (
        (top + 22, strength, "how strong: standard deviation", ""),
        (top + tall + 88, alike, "how alike neighbours are", "step (square root)"),
    ):
        style.write(canvas.ax, left - 30, y - 16, name, 12, weight="bold")
        ax = style.axes(figure, left, y, right - left, tall, below, grid=True)
        ax.plot(place, values, color=style.ROLES["filter"], lw=1.8)
        look = {"ms": 8, "color": style.ROLES["window"], "clip_on": False}
        ax.plot(place[moment], values[moment], "o", **look)
        ax.set_ylim(min(0, values.min()), 1.08 * max(values.max(), 1e-6))
        ax.yaxis.set_major_locator(MaxNLocator(4, prune="upper"))
        style.ticks(ax.xaxis, np.sqrt(ticks), [f"{tick:,}" for tick in ticks])
    return figure


def kinds(W, answers, names, message):
    """Show each filter in the line of what it answers to best, with all its answers as bars.

    Parameters
    ----------
    W : (FN, 1, FH, FW), filters
    answers : (FN, K), how strongly each answers to each of K patterns, in units of what chance
        gives: above 1 is an answer
    names : list of str, of the K patterns
    message : str, title
    """
    W, answers = planes(W), np.asarray(answers, float)
    K = len(names)
    if answers.shape != (len(W), K):
        raise ValueError(f"answers must have shape (FN, K) = {(len(W), K)}, got {answers.shape}")
    roles = ["input", "filter", "output", "gradient", "window", "padding"][:K]
    colors = [style.TEXT_COLORS[role] for role in roles] + [style.MUTED]
    best = np.where(answers.max(axis=1) > 1, answers.argmax(axis=1), K)
    canvas = style.Canvas(message)
    ax, side, pitch = canvas.ax, 44, 68 + 12 * K
    columns = min(8, ROOM // pitch)
    unit = side / max(2.0, answers.max())
    y, counts = canvas.top + 26, []
    for kind, name in enumerate([*names, "none of them"]):
        members = np.flatnonzero(best == kind)
        counts.append(f"{name}: {len(members)}")
        style.write(ax, canvas.left, y - 12, counts[-1], 13, colors[kind], "bold")
        strongest = np.argsort(-answers[members].max(axis=1), kind="stable")
        for k, n in enumerate(members[strongest]):
            x, top = canvas.left + k % columns * pitch, y + 4 + k // columns * 64
            # Each on its own scale: here the shape counts.
            draw_image(ax, W[n], x, top, side / max(W.shape[1:]), *signed(W[n]))
            zero, chance, right = top + side, top + side - unit, x + side + 6
            for j, value in enumerate(answers[n]):
                look = {"color": style.ROLES[roles[j]], "gid": f"answer[{n},{j}]"}
                ax.bar(right + 6 + 12 * j, -unit * value, 9, bottom=zero, **look)
            ax.plot([right, right + 12 * K], [chance] * 2, lw=1, color=style.INK, ls=(0, (2, 2)))
        y += max(1, -(-len(members) // columns)) * 64 + 26
    text = f"bars: the answers to {', '.join(names)}; dashed: what chance gives; "
    text += "each filter on its own scale, white is zero"
    bottom = canvas.note(y - 14, text)
    return canvas.finish(
        canvas.left + columns * pitch - 20,
        bottom - 10,
        f"{message}. {len(W)} filters by what they answer to best: {', '.join(counts)}.",
    )


# ---- the units of a deeper network ------------------------------------------------------------


def receptive_field(image, maps, field, place, patch, effect, formula):
    """Show which pixels one unit can see, how much each of them counts, and the unit in its map.

    Parameters
    ----------
    image : (H, W), the input, as ink on paper
    maps : (OH, OW), the map of the unit; (1, 1) for a unit of an affine layer
    field : Field of the layer, from `cnnlib.visualize.receptive_fields`
    place : (int, int), row and column of the unit in its map
    patch : (slice, slice), rows and columns that it sees, from `cnnlib.visualize.patch_of`
    effect : (H, W), how much each pixel counts: size of the gradient of the unit
    formula : str, how the size of the field comes about
    """
    image, maps = plane(image, "image"), plane(maps, "maps")
    rows, columns = patch
    seen, cell = plane(effect, "effect")[patch], SIDE / max(image.shape)
    sums = np.sort(seen.ravel())[::-1].cumsum()
    half = int(np.searchsorted(sums, sums[-1] / 2)) + 1  # so few pixels have half of the effect
    share = f"{by(seen.shape)} pixels, {style.percent(seen.size / image.size, 0)} of the image"
    canvas = style.Canvas(f"A unit of {field.name} sees {share}")
    small, slot = min(14, 190 / max(seen.shape)), 190  # the same slots: the page does not move
    unit = min(40, slot / max(maps.shape))
    y = Grid(maps, f"a map of {field.name}", "output", "(OH, OW)")
    items = [(Grid(image, "input x"), cell, *INK), "→"]
    items += [(Grid(seen, "what counts", "gradient", ""), small, *scale(seen, "gradient")), "→"]
    middle = canvas.top + TITLE + image.shape[0] * cell / 2
    boxes = draw_line(canvas.ax, [*items, (y, unit, *scale(maps))], canvas.left, middle, slot)
    for box, size, part in (
        (boxes[0], cell, (columns.start, rows.start, *seen.shape[::-1])),
        (boxes[1], small, (0, 0, *seen.shape[::-1])),
        (boxes[2], unit, (place[1], place[0], 1, 1)),
    ):
        x, y, wide, high = np.multiply(part, size)
        draw_frame(canvas.ax, box.left + x, box.top + y, wide, high, style.ROLES["window"], 2)
    right = boxes[0].right + 2 * (SIGN + slot)
    width, low = right - canvas.left, boxes[0].bottom
    from_half = f"half of the effect comes from {half} of {seen.size} pixels"
    formula += f"; {from_half if seen.any() else 'silent here: no pixel counts'}"
    style.paragraph(canvas.ax, canvas.left, low + 28, formula, width)
    return canvas.finish(
        right,
        low + 62,  # two lines at most, and always the same height
        f"A digit of {by(image.shape)}; the unit in row {place[0]}, column {place[1]} of a map of "
        f"{field.name} sees rows {rows.start} to {rows.stop - 1}, columns {columns.start} to "
        f"{columns.stop - 1}. {formula}.",
    )


def preferences(rows, names, message):
    """Show images in lines, one column for each unit, or photograph.

    Parameters
    ----------
    rows : dict of lists, by their title, of images (h, w), ink from 0 to 1, or (3, h, w), of color
    names : list of str, above the columns
    message : str, title
    """
    if not rows or any(len(images) != len(names) for images in rows.values()) or not names:
        counts = [len(images) for images in rows.values()]
        raise ValueError(f"each line has an image for each of {len(names)} names, got {counts}")
    canvas = style.Canvas(message)
    indent = 14 + max(style.text_width(title, 13, "bold") for title in rows)
    left, y = canvas.left + indent, canvas.top + 26
    pitch = min((ROOM + 10 - indent) / len(names), 180)
    look = {"color": style.TEXT_COLORS["filter"], "weight": "bold", "align": "center"}
    for j, name in enumerate(names):
        style.write(canvas.ax, left + j * pitch + (pitch - 10) / 2, y - 13, name, **look)
    for title, images in rows.items():
        style.write(canvas.ax, canvas.left, y + (pitch - 10) / 2, title, 13, weight="bold")
        for j, image in enumerate(images):
            image = np.asarray(image, float)
            cell = (pitch - 10) / max(image.shape[-2:])
            shown = image[0] if image.ndim == 3 else image
            draw_image(canvas.ax, shown, left + j * pitch, y, cell, *INK)
            if image.ndim == 3:
                canvas.ax.images[-1].set_data(np.clip(np.moveaxis(image, 0, -1), 0, 1))
        y += pitch
    width = max(len(names) * pitch - 10 + indent, min(ROOM, style.text_width(message, 15, "bold")))
    alt = f"{message}: {', '.join(rows)}, for {', '.join(names)}."
    return canvas.finish(canvas.left + width, y - 10, alt)


def occlusion(image, probabilities, label, size, stride, whole):
    """Show a digit, the cover, and how likely the network finds the digit wherever the cover lies.

    Parameters
    ----------
    image : (H, W), the digit, as ink on paper
    probabilities : (OH, OW), of its class, from `cnnlib.visualize.occlusion_map`
    label : int, the class
    size, stride : int, side of the cover, and step between two
    whole : float, probability with nothing covered
    """
    image, found = plane(image, "image"), plane(probabilities, "probabilities")
    row, column = np.unravel_index(found.argmin(), found.shape)
    sure, least = style.percent(whole, 0), style.percent(found.min(), 0)
    lost = int((found < 0.5).sum())
    message = f"Covered at {lost} of {found.size} places, the {label} is no longer likely to be a"
    if not lost:
        message = "Wherever the cover lies, it is still read as a"
    canvas = style.Canvas(f"{message} {label}")
    ax, cell = canvas.ax, 238 / max(image.shape)
    one = Grid(image, f"input x: a {label} with {sure}", letters="")
    two = Grid(image, f"{size} x {size} covered, at worst {least}", letters="")
    three = Grid(image, "where it needs what is covered", "window", "")
    items = [(one, cell, *INK), 26, (two, cell, *INK), 26, (three, cell, style.IMAGE, 0, 2.4)]
    middle = canvas.top + TITLE - 15 + image.shape[0] * cell / 2
    _, box, last = draw_line(ax, items, canvas.left, middle)
    step, wide = stride * cell, size * cell
    corner, edge = (box.left + column * step, box.top + row * step), style.ROLES["window"]
    draw_frame(ax, *corner, wide, wide, edge, 1.8, "white")
    # Each number is drawn where the middle of the cover was.
    inset, colors = (wide - step) / 2, style.sequential("window").reversed()
    draw_image(ax, found, last.left + inset, last.top + inset, step, colors, 0, 1, "none")
    kept = (found / max(whole, 1e-12)).clip(0, 1)
    ax.images[-1].set(alpha=1 - 0.92 * kept, zorder=0.9)  # where nothing is lost, the digit shows
    figure = canvas.finish(
        last.right + 84,
        last.bottom,
        f"A {label}, read with {sure}; a cover of {size} x {size} pixels at its worst place leaves "
        f"{least}, and at {lost} of {found.size} places less than half.",
    )
    draw_bar(figure, (colors, 0, 1), last, f"probability of {label}")
    return figure
