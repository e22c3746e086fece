"""Pictures of section 7.2: sums, bias, channels, the turned filter, sizes, padding, blocks.

What the arithmetic forbids raises the ValueError of `cnnlib.windows`. ``seeing`` has the other
pictures of that section.
"""

from typing import NamedTuple

import numpy as np
from matplotlib.collections import PolyCollection

from cnnlib.figures import style
from cnnlib.figures.grids import (
    ROOM,
    Grid,
    by,
    convolve,
    count_reads,
    counted,
    draw_arrow,
    draw_frame,
    draw_grid,
    draw_items,
    draw_sign,
    plane,
)
from cnnlib.windows import conv_output_size, explain_output_size, uncovered_size

SHIFT = 11  # of a block behind another
COPIES = 3  # at most, of filters or images


def operation(x, W, b=0.0, stride=1, pad=0):
    """Show a convolution as a whole: input, filter, output; with a bias, before and after it.

    `x` (H, W) and `W` (FH, FW) are one channel; or (C, H, W) and (C, FH, FW) up to four, drawn
    behind each other. The bias `b` is shown where it is not zero.
    """
    x, W = _image_and_filter(x, W)
    C, out = len(x), convolve(x, W, b, stride, pad)[1]
    if pad and C > 1:
        raise ValueError(f"several channels are drawn without padding, got pad {pad}")
    first, second = Grid(x[0], "input x", pad=pad), Grid(W[0], "filter W", "filter", "(FH, FW)")
    first.hatched = count_reads(x.shape[1:], W.shape[1:], stride, pad) == 0
    message = f"A {by(W.shape[1:])} filter has {counted(out.size, 'place')} in "
    message += f"a {by(x.shape[1:])} input{f' padded by {pad}' if pad else ''}"
    if C > 1:
        message = f"{C} channels with {C} channels give one map"
        for grid, shape in (first, x.shape), (second, W.shape):
            grid.letters, grid.shape, grid.behind = f"(C, {grid.letters[1:]}", shape, C - 1
    items = [first, "⊛", second, "→"]
    if b:
        items += [Grid(out - b, "sums", "output", "(OH, OW)"), "+"]
        items += [Grid([[b]], "bias b", "bias", ""), "→"]
        text = style.format_number(b, style.decimals_needed(b))
        message = f"The bias {text} comes last: it is added to every sum"
    canvas = style.Canvas(message)
    _, bottom = draw_items(canvas, [*items, Grid(out, "output", "output", "(OH, OW)")])
    if C > 1:
        bottom = canvas.note(bottom + 22, "in front: channel 0; the others stand behind it") - 12
    shapes = f"input {style.shape_text(first.shape)}, filter {style.shape_text(second.shape)}"
    alt = f"{message}. {shapes}, pad {pad}, stride {stride}: the output is {_rows(out)}."
    return canvas.finish(canvas.right, bottom, alt)


def flipping(x, W):
    """Show cross-correlation and convolution of x (H, W): the same but for a turned W (FH, FW)."""
    x, W = plane(x, "x"), plane(W, "W")
    depth = np.linspace(0.12, 0.75, W.size).reshape(W.shape)  # each number keeps its own
    kernels = (W, depth), (W[::-1, ::-1], depth[::-1, ::-1])
    outs = [convolve(x[np.newaxis], kernel[np.newaxis], 0.0, 1, 0)[1] for kernel, _ in kernels]
    message = "Convolution turns the filter by 180 degrees, cross-correlation does not"
    if np.array_equal(*outs):
        message = "This filter, turned by 180 degrees, gives the same output"
    canvas, bottom = style.Canvas(message), 0
    names = (
        ("W", "cross-correlation: what networks do"),
        ("W, turned", "convolution: what mathematics does"),
    )
    for (kernel, deep), out, (name, text) in zip(kernels, outs, names, strict=True):
        bottom = canvas.note(max(canvas.top - 12, bottom) + 22, text, 13, style.INK)
        turned = Grid(kernel, name, "filter", "(FH, FW)", strengths=deep)
        items = [Grid(x, "input x"), "⊛", turned, "→", Grid(out, "output", "output", "(OH, OW)")]
        _, bottom = draw_items(canvas, items, bottom - 6, most=30, height=170)
    text = (
        f"The same input and filter: cross-correlation gives {_rows(outs[0])}; convolution, with "
    )
    text += f"the filter turned by 180 degrees, gives {_rows(outs[1])}."
    return canvas.finish(canvas.right, bottom, text)


def as_matrix(W, shape):
    """Show the convolution by W (FH, FW) as a matrix, and below it a fully connected layer's.

    Row p*OW + q holds the weights by which the pixels of an image of this `shape`, (H, W),
    flattened, go into output (p, q).
    """
    W = plane(W, "W")
    pixels = np.eye(shape[0] * shape[1]).reshape(-1, *shape)  # an image for each pixel
    tied = [convolve(x[np.newaxis], W[np.newaxis], 0.0, 1, 0)[1].ravel() for x in pixels]
    matrices = {"convolution": np.transpose(tied)}
    every = np.random.default_rng(0).integers(1, 10, matrices["convolution"].shape)
    matrices["fully connected layer"] = every
    message = f"{W.size} weights, used {len(every)} times, against {every.size} weights"
    canvas, bottom = style.Canvas(message), 0
    for name, matrix in matrices.items():
        depth = 0.85 * np.abs(matrix) / max(np.abs(matrix).max(), 1)
        grid = Grid(matrix, name, "filter", "(OH·OW, H·W)", strengths=depth)
        top = bottom + 18 if bottom else None
        _, bottom = draw_items(canvas, [grid], top, height=200)
    text = f"{message}: each row of a convolution's matrix holds the same weights, moved along, "
    return canvas.finish(canvas.right, bottom, f"{text}and zeros elsewhere.")


def _image_and_filter(x, W):
    """Return x (C, H, W) and W (C, FH, FW) with a channel axis, or raise ValueError."""
    x, W = np.asarray(x, float), np.asarray(W, float)
    if x.ndim not in (2, 3) or W.ndim != x.ndim:
        shapes = f"{x.shape} and {W.shape}"
        raise ValueError(f"x and W must be both (H, W) or both (C, H, W), got shapes {shapes}")
    x, W = x.reshape(-1, *x.shape[-2:]), W.reshape(-1, *W.shape[-2:])
    if len(x) != len(W):
        raise ValueError(f"x has {len(x)} channels and the filter has {len(W)}")
    if not 1 <= len(x) <= 4:
        raise ValueError(f"the figure shows 1 to 4 channels, got {len(x)}")
    return x, W


def _rows(values):
    """Write a grid row by row: "[15 16] [6 15]"."""
    decimals = style.decimals_needed(values)
    rows = (" ".join(style.format_number(v, decimals) for v in row) for row in values)
    return " ".join(f"[{row}]" for row in rows)


def sliding(height, width, filter_h, filter_w, stride=1, pad=0):
    """Show where the windows go, how many there are, and how many read each cell.

    The input has `height` and `width`, the window `filter_h` and `filter_w`.
    """
    OH = conv_output_size(height, filter_h, stride, pad)
    OW = conv_output_size(width, filter_w, stride, pad)
    all_reads = count_reads((height, width), (filter_h, filter_w), stride, pad)
    reads = all_reads[pad : pad + height, pad : pad + width]
    # The first window, and its neighbors to the right and below, where there are any.
    places = [(p, q) for p, q in ((0, 0), (0, 1), (1, 0)) if p < OH and q < OW]
    read = Grid(np.where(reads, reads, np.nan), "input x", pad=pad, ring="")  # the hatching says 0
    read.windows = [(p * stride, q * stride, filter_h, filter_w) for p, q in places]
    read.hatched, read.strengths = all_reads == 0, 0.08 + 0.6 * reads / max(1, reads.max())
    made = Grid(np.zeros((OH, OW)), "output", "output", "(OH, OW)", cells=places, numbers=False)
    fits = f"{OH} x {OW} = {counted(OH * OW, 'time')}"
    canvas = style.Canvas(f"A {filter_h} x {filter_w} window in steps of {stride} fits {fits}")
    (box, *_), y = draw_items(canvas, [read, "→", made], room=ROOM - 20, height=260, tallest=330)
    cell = (box.right - box.left) / read.columns
    corners = np.stack(np.meshgrid(np.arange(OW), np.arange(OH)), -1).reshape(-1, 2) * stride
    at = (np.array(box[:2]) + (corners + (0.2 if cell >= 8 else 0.5)) * cell).T
    dot = 0.72 * min(5, max(1, cell * 0.16))
    canvas.ax.scatter(*at, s=dot**2, color=style.ROLES["window"], linewidths=0, zorder=6)

    marks = "Dots: upper left corners of windows"
    if cell >= read.smallest_cell():
        marks = "Dots: upper left corners; numbers: windows that read the cell"
    if len(places) > 1:
        further = " and ".join(["right"] * (OW > 1) + ["down"] * (OH > 1))
        marks += f"; dashed: the next window{'s' * (len(places) > 2)}, {further}"
    if read.hatched.any():
        marks += "; hatched cells are read by none"
    y = canvas.note(y + 24, f"{marks}.") + 6
    for letters, size, filter_size, lines in (
        ("OH = ", height, filter_h, "rows"),
        ("OW = ", width, filter_w, "columns"),
    ):
        sentence = explain_output_size(size, filter_size, stride, pad, lines=lines)
        y = write_formula(canvas, y, letters, sentence) + 4 * (": " in sentence)
    rows = uncovered_size(height, filter_h, stride, pad)
    columns = uncovered_size(width, filter_w, stride, pad)
    alt = f"A {filter_h} x {filter_w} window slides over a {height} x {width} input with stride "
    alt += f"{stride} and pad {pad}: the output is {OH} x {OW}; never read at the end: {rows} rows "
    alt += f"and {columns} columns"
    if (stride > filter_h and OH > 1) or (stride > filter_w and OW > 1):
        alt += ", and the gaps between the windows"
    return canvas.finish(canvas.right, y - 14, f"{alt}.")


def write_formula(canvas, y, letters, sentence):
    """Write a sentence of `explain_output_size`, its formula in a line of its own."""
    formula, _, rest = sentence.partition(": ")
    y = canvas.note(y, letters + formula.replace("*", "·").replace("-", "−"), 14, style.INK) + 1
    return canvas.note(y, rest[0].upper() + rest[1:]) if rest else y


def shrinking(size, filter_size, pad=0, stride=1, layers=8):
    """Show how the map shrinks from layer to layer until no filter fits, or stays.

    Input and filters are square; `layers` convolutions are shown at most.
    """
    conv_output_size(1 + filter_size, filter_size, stride, pad)  # are the settings legal at all?
    sizes, name = [size], f"{filter_size} x {filter_size}"
    while len(sizes) <= layers and filter_size <= sizes[-1] + 2 * pad:
        sizes.append(conv_output_size(sizes[-1], filter_size, stride, pad))
    fits, count, labels = len(sizes) > layers, len(sizes) - 1, [f"{s} x {s}" for s in sizes]
    times = counted(count, "convolution")
    if not fits:
        message = f"After {times} with a {name} filter no further one fits"
        if not count:
            message = f"No {name} filter fits into an input of {size} x {size}"
    elif len(set(sizes)) == 1:
        message = f"Pad {pad} keeps the size: {size} x {size} in every layer"
    else:
        verb = "shrink" if sizes[-1] < size else "grow"
        message = f"{times} with a {name} filter {verb} {labels[0]} to {labels[-1]}"
    canvas = style.Canvas(message)
    ax, left, gap, unit = canvas.ax, canvas.left, 26, 240 / max(8, *sizes)

    def slots():
        return [max(s * unit, style.text_width(t, 12)) for s, t in zip(sizes, labels, strict=True)]

    while sum(slots()) + gap * count > ROOM:
        unit *= 0.96
    reach, color = filter_size * unit, style.ROLES["window"]
    bottom = canvas.top + 12 + max(max(sizes) * unit, 0 if fits else reach)
    ink = style.TEXT_COLORS["input"]
    style.write(ax, left + slots()[0] / 2, bottom + 34, "input", 12, ink, "bold", "center")
    for k, (s, slot) in enumerate(zip(sizes, slots(), strict=True)):
        middle = left + slot / 2
        x, top = middle - s * unit / 2, bottom - s * unit
        cells = s if unit >= 6 else 1  # smaller ones would be a mass of lines
        grid = Grid(np.zeros((cells, cells)), role="output" if k else "input", numbers=False)
        draw_grid(ax, grid, x, top, s * unit / cells)
        style.write(ax, middle, bottom + 16, labels[k], 12, align="center")
        if k < count:  # the first window; with padding it begins outside of the map
            draw_frame(ax, x - pad * unit, top - pad * unit, reach, reach, color, 1.8, zorder=4)
            style.write(ax, left + slot + gap / 2, bottom - 8, "→", 16, style.MUTED, align="center")
        elif not fits:  # the filter for which there is no room
            look = {"ls": (0, (2.5, 1.5)), "zorder": 4}
            draw_frame(ax, x, bottom - reach, reach, reach, color, 1.8, **look)
            slot = max(slot, reach)
        left += slot + gap
    note = f"filter {name}, stride {stride}, pad {pad}"
    if fits and sizes[-1] != sizes[-2]:
        note += f"; shown up to layer {count}"
    canvas.note(bottom + 58, note)
    if not fits:
        reason = f"no {name} filter fits into {labels[-1]}"
        end = canvas.left + style.text_width(note, 12) + 12
        style.write(ax, end, bottom + 58, reason, 12, style.TEXT_COLORS["window"])
        left, note = max(left, end + style.text_width(reason, 12)), f"{note}: {reason}"
    sizes = ", ".join(map(str, sizes))
    text = f"Repeated convolution with {note}: the size goes {sizes}."
    return canvas.finish(left - gap, bottom + 66, text)


def end_of_row(size, windows, channels=None):
    """Show why 224 does not divide and 227 does: where the last windows of a row end.

    Below, the sizes behind all layers (book section 7.7): `windows` are (filter_size, stride, pad)
    by name, the first is drawn; with `channels`, it is told how many numbers come out.
    """
    name, (filter_size, stride, pad) = next(iter(windows.items()))
    count = conv_output_size(size, filter_size, stride, pad)
    unread, padded = uncovered_size(size, filter_size, stride, pad), size + 2 * pad
    over = counted(unread, "column") if unread else "no column"
    message = f"Width {size}, pad {pad}: {counted(count, 'window')}, {over} left over at the end"
    canvas = style.Canvas(message)
    last = min(3, count)  # windows that are drawn
    shown = min(padded, filter_size + (last - 1) * stride + unread + 1)
    start, cell, y = padded - shown, min(25, ROOM / shown), canvas.top + 14
    text = f"the last {shown} of {padded} columns of a row, padding included, numbered from 0"
    ax, left, top = canvas.ax, canvas.left, canvas.note(y, text) - 2
    for k in range(start, padded):
        column, corner = k - pad, (left + (k - start) * cell, top)
        inside = 0 <= column < size
        role, strength, ls = ("input", 0.3, "-") if inside else ("padding", 0.12, (0, (3, 2)))
        face, text = style.tint(role, strength), str(column) if inside else "0"
        draw_frame(ax, *corner, cell, cell, style.ROLES[role], 0.8, face, ls=ls)
        if k >= padded - unread:
            look = {"hatch": "////", "gid": "unread"}
            draw_frame(ax, *corner, cell, cell, style.TEXT_COLORS["window"], 1.2, **look)
        elif style.text_width(text, 11) < cell:
            middle, ink = np.add(corner, cell / 2), style.INK if inside else style.MUTED
            style.write(ax, *middle, text, 11, ink, align="center")
    y = top + cell + 10
    for place in range(count - last, count):
        x, wide = left + (place * stride - start) * cell, filter_size * cell
        draw_frame(ax, x, y, wide, 18, style.ROLES["window"], 1.5, style.tint("window", 0.12))
        text = f"window {place + 1}"
        style.write(ax, x + wide / 2, y + 9, text, 11, align="center", gid="window")
        y += 24
    sentence = explain_output_size(size, filter_size, stride, pad, lines="columns")
    y = write_formula(canvas, y + 14, f"{name}: ", sentence) + 8

    sizes, unread, pitch = [size], [0], min(88, (ROOM + 18) / (len(windows) + 1))
    for setting in windows.values():
        unread.append(uncovered_size(sizes[-1], *setting))
        sizes.append(conv_output_size(sizes[-1], *setting))
    for k, name in enumerate(["input", *windows]):
        x, middle = left + k * pitch, left + (k + 0.5) * pitch - 9
        role = "output" if k else "input"
        if k:
            draw_arrow(ax, [(x - 16, y + 20), (x - 2, y + 20)])
        draw_frame(ax, x, y, pitch - 18, 40, style.ROLES[role], 1, style.tint(role, 0.25))
        style.write(ax, middle, y + 12, name, 11, style.MUTED, align="center")
        style.write(ax, middle, y + 28, str(sizes[k]), 13, style.INK, "bold", "center", gid=name)
        if unread[k]:
            ink = style.TEXT_COLORS["window"]
            style.write(ax, middle, y + 52, f"{unread[k]} unread", 11, ink, align="center")
    listed = ", ".join(f"{n} {s}" for n, s in zip(windows, sizes[1:], strict=True))
    y += 74
    if channels is not None:
        total = channels * sizes[-1] ** 2
        end = f"at the end: {channels} maps of {sizes[-1]} x {sizes[-1]} = {total:,} numbers"
        style.write(ax, left, y, end, 13, weight="bold", gid="end")
        listed, y = f"{listed}; {end}", y + 22
    right = max(left + (k + 1) * pitch - 18, left + shown * cell)
    return canvas.finish(right, y - 12, f"{message}; sizes behind the layers: {listed}.")


class Block(NamedTuple):
    """One tensor as a block, or several blocks behind each other.

    The shape is given in letters, and in numbers; `edges` are the letters along the last three
    axes, such as "C H W".
    """

    role: str
    name: str
    letters: str
    shape: tuple
    edges: str

    @property
    def count(self):
        """How many blocks there are: the product of the axes before the last three."""
        return int(np.prod(self.shape[:-3]))

    def sides(self, scale):
        """Return width and height of the front, and the depth in the slanted direction."""
        channels, height, width = (max(6.0, scale * np.sqrt(s)) for s in self.shape[-3:])
        return width, height, channels * 0.4

    def extent(self, scale):
        """Return width and height of all copies drawn, without text."""
        width, height, depth = self.sides(scale)
        shift = depth + SHIFT * (min(self.count, COPIES) - 1)
        return width + shift, height + shift

    def slot(self, scale):
        """Return the width that block and text need."""
        shapes = (style.text_width(text, 12) for text in (self.letters, str(self.shape)))
        return max(self.extent(scale)[0], style.text_width(self.name, 13, "bold"), *shapes)


def blocks(C, H, W, FN, FH, FW, stride=1, pad=0, N=1, bias=True):
    """Show input, filters, maps, bias and output as blocks, as book figures 7-10 to 7-13 do.

    Lengths are drawn by their square root, so that 1 and 512 fit into one picture. `N` is the
    number of images in the batch; without `bias`, neither it nor the maps before it are shown.
    """
    for letter, value in (("C", C), ("FN", FN), ("N", N)):
        if value < 1:
            raise ValueError(f"{letter} must be at least 1, got {value}")
    OH, OW = conv_output_size(H, FH, stride, pad), conv_output_size(W, FW, stride, pad)
    parts = _parts((C, H, W), (FN, FH, FW), (OH, OW), N, bias)
    tensors, gap = parts[::2], 52 if bias else 72  # with a sign in each gap
    scale = min(40.0, 150 / np.sqrt(max(H, W, OH, OW, C / 4, FN / 4)))
    while scale >= 2 and (
        sum(t.slot(scale) for t in tensors) + gap * (len(tensors) - 1) > ROOM
        or max(t.extent(scale)[1] for t in tensors) > 216
    ):
        scale *= 0.95
    message = f"A batch of {N} goes through at once: the filters serve all of its images"
    if N == 1:
        made = f"{FN} filters make {FN} output channels"
        message = made if FN > 1 else "One filter makes one output channel"
        message += ", whatever the number of input channels"
    canvas = style.Canvas(message)
    tallest = max(t.extent(scale)[1] for t in tensors)
    base, left = canvas.top + 10 + tallest, canvas.left
    for part in parts:
        if isinstance(part, Block):
            middle = base - (tallest - part.extent(scale)[1]) / 2
            _draw_part(canvas.ax, part, left, middle, base, scale)
            left += part.slot(scale)
        else:
            at = left + gap / 2 - 9, base - tallest / 2  # on the right stands the letter of a side
            draw_sign(canvas.ax, *at, part)
            left += gap
    note = f"stride {stride}, pad {pad}; front: height and width, depth: channels; "
    canvas.note(base + 116, f"{note}lengths drawn by their square root", 11)
    x, W, *_, out = (t.shape for t in tensors)
    alt = f"Blocks: input {x} with filter{'s' * (len(W) == 4)} {W}"
    alt += f"{' and bias' * bias}, stride {stride}, pad {pad}, gives output {out}."
    return canvas.finish(left, base + 124, alt)


def _parts(image, filters, out, N, bias):
    """List the blocks of one convolution, with a sign after each but the last."""
    C, FN, FH, FW = image[0], *filters
    batch, batch_shape = ("N, ", (N,)) if N > 1 else ("", ())
    W = "filter", f"filter{'s' * (FN > 1)} W", "(FN, C, FH, FW)", (FN, C, FH, FW), "C FH FW"
    out = "output", f"({batch}FN, OH, OW)", (*batch_shape, FN, *out), "FN OH OW"
    if FN == N == 1 and not bias:  # figure 7-10: the one filter as a block of three axes
        W = *W[:2], "(C, FH, FW)", (C, FH, FW), "C FH FW"
        out = "output", "(1, OH, OW)", out[2], "1 OH OW"
    x = Block("input", "input x", f"({batch}C, H, W)", (*batch_shape, *image), "C H W")
    parts = [x, "⊛", Block(*W), "→", Block("output", *out)]
    if bias:
        b = Block("bias", "bias b", "(FN, 1, 1)", (FN, 1, 1), "FN 1 1")
        parts[4:4] = [parts[4]._replace(name="sums"), "+", b, "→"]
    return parts


def _draw_part(ax, part, left, bottom, base, scale):
    """Draw the copies of a block at height `bottom`, and its text below `base`."""
    width, height, depth = sides = part.sides(scale)
    middle, copies = left + part.slot(scale) / 2, min(part.count, COPIES)
    x, small = middle - part.extent(scale)[0] / 2, {"size": 11, "color": style.MUTED}
    for k in reversed(range(copies)):
        draw_block(ax, x + SHIFT * k, bottom - SHIFT * k, *sides, part.role)
    channels, rows, columns = part.edges.split()
    style.write(ax, x - 5, bottom - height / 2, rows, align="right", **small)
    style.write(ax, x + width / 2, bottom + 11, columns, align="center", **small)
    style.write(ax, x + width + depth / 2 + 5, bottom - depth / 2 + 8, channels, **small)
    color = style.TEXT_COLORS[part.role]
    style.write(ax, middle, base + 34, part.name, 13, color, "bold", "center")
    style.write(ax, middle, base + 53, part.letters, 12, style.MUTED, align="center")
    style.write(ax, middle, base + 71, style.shape_text(part.shape), 12, align="center")
    if part.count > copies:
        text = f"{copies} of {part.count} drawn"
        style.write(ax, middle, base + 88, text, align="center", **small)


def draw_block(ax, left, bottom, width, height, depth, role):
    """Draw a block in oblique projection: a white rim, front, top and right side."""
    corners = [(0, 0), (width, 0), (width, -height), (0, -height)]
    near = np.add(corners, (left, bottom))
    far = np.add(near, (depth, -depth))
    front, above, side = near, [*near[[3, 2]], *far[[2, 3]]], [*near[[1]], *far[[1, 2]], near[2]]
    rim = [*near[:2], *far[1:], near[3]]
    shades = [style.tint(role, strength) for strength in (0.35, 0.2, 0.6)]
    look = {"joinstyle": "round", "zorder": 1}
    for faces, colors, edge, lw in (
        ([rim], "white", "white", 5),
        ([front, above, side], shades, style.TEXT_COLORS[role], 0.9),
    ):
        shown = PolyCollection(faces, facecolors=colors, edgecolors=edge, linewidths=lw, **look)
        ax.add_collection(shown, autolim=False)
