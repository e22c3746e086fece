"""Pictures of im2col: windows laid out as a matrix, one product, its price, its speed.

Book section 7.4.2. The matrices are those of `cnnlib.windows.im2col`.
"""

import numpy as np
from matplotlib.patches import Rectangle

from cnnlib.figures import style
from cnnlib.figures.arithmetic import counted, times_as
from cnnlib.figures.grids import Grid, draw_frame, draw_grid, draw_line, draw_row, fit
from cnnlib.windows import conv_output_size, im2col, sliding_windows, whole_number

ROOM = style.MAX_WIDTH - 2 * style.MARGIN

# The six axes of the windows, the letter that counts along each, and the way to their last order.
AXES = ("N", "C", "FH", "FW", "OH", "OW")
LETTERS = ("n", "c", "i", "j", "p", "q")
ORDERS = ((0, 1, 2, 3, 4, 5), (0, 4, 1, 2, 3, 5), (0, 4, 5, 1, 2, 3))
STAGES = (  # title, what NumPy does
    ("The images: a window reads a block in each channel", ""),
    ("Six axes: every window is there, its numbers far apart", "a view: nothing is copied"),
    ("OH moves to the front, behind N", "transpose(0, 4, 1, 2, 3, 5)"),
    ("OW follows: now each window is one row", "in all: transpose(0, 4, 5, 1, 2, 3)"),
    ("Three axes join to count rows, three to count columns", "reshape: the only copy"),
)
CHIP = 84  # width of the box in which an axis is written


def product(x, W, b=None, stride=1, pad=0, row=0, column=0):
    """Show the convolution as one matrix product, and its result reshaped.

    Parameters
    ----------
    x, W : (C, H, W), one image, and (FN, C, FH, FW), filters
    b : (FN,), biases, added to the columns of the product
    stride, pad : int, step S and zero padding P
    row, column : int, place in the product to outline, with the row and the column that make it
    """
    x, W = _image(x), np.asarray(W, float)
    if W.ndim != 4:
        raise ValueError(f"W must be 4-D, (FN, C, FH, FW), got shape {W.shape}")
    if W.shape[1] != len(x):
        raise ValueError(f"x has {len(x)} channels and the filters have {W.shape[1]}")
    FN, _, FH, FW = W.shape
    col = im2col(x[np.newaxis], FH, FW, stride, pad)
    col_W = W.reshape(FN, -1).T
    out = col @ col_W + (0 if b is None else np.asarray(b, float))  # (OH*OW, FN)
    if not (0 <= row < len(out) and 0 <= column < FN):
        raise ValueError(f"place ({row}, {column}) lies outside of the product, {out.shape}")
    OH = conv_output_size(x.shape[1], FH, stride, pad)
    OW = conv_output_size(x.shape[2], FW, stride, pad)
    matrix = Grid(col, "matrix col", letters="(OH·OW, C·FH·FW)")
    filters = Grid(col_W, "filters col_W", "filter", "(C·FH·FW, FN)")
    result = Grid(out, "product out", "output", "(OH·OW, FN)", cells=[(row, column)])
    matrix.windows, filters.windows = [(row, 0, 1, len(col_W))], [(0, column, len(col_W), 1)]
    items = [matrix, "×", filters, "=", result]
    if b is not None:
        biases = np.reshape(np.asarray(b, float), (1, -1))
        items[3:3] = ["+", Grid(biases, "bias b", "bias", "(FN,)", shape=biases.shape[1:])]
    canvas = style.Canvas("The whole convolution is one matrix product, then reshape and transpose")
    cell = min(32, fit(items[::2], ROOM, 420, signs=len(items) // 2))
    boxes = draw_row(canvas.ax, items, canvas.left, canvas.top, cell)
    maps = [
        Grid(values.reshape(OH, OW), f"output[{f}]", "output", "(OH, OW)")
        for f, values in enumerate(out.T[:6])
    ]
    if column < len(maps):
        maps[column].cells = [divmod(row, OW)]
    top = max(box.bottom for box in boxes) + 30
    text = f"reshape and transpose: {out.shape} → (FN, OH, OW) = ({FN}, {OH}, {OW})"
    if len(maps) < FN:
        text += f", {len(maps)} of {FN} shown"
    style.write(canvas.ax, canvas.left, top, text, 13, style.TEXT_COLORS["output"])
    small = min(32, fit(maps, ROOM - 28 * (len(maps) - 1), 200))
    placed, right = draw_line(canvas.ax, maps, canvas.left, top + 20, small, 28)
    return canvas.finish(
        max(right, boxes[-1].left + result.slot(cell), canvas.left + style.text_width(text, 13)),
        placed[-1].bottom,
        f"Matrix product: col {col.shape} times filters {col_W.shape} gives {out.shape}, "
        f"reshaped and transposed to (FN, OH, OW) = {(FN, OH, OW)}.",
    )


def cost(size, filter_size, stride=1, pad=0, channels=1, images=1):
    """Show how many times as large as the input the matrix is, by filter size and stride.

    Parameters
    ----------
    size, filter_size, stride, pad : int, the setting that is marked; input and filter are square
    channels, images : int, C and N: the matrix grows with both, as the input does

    Notes
    -----
    The ratio OH*OW*FH*FW / (H*W) tends to FH*FW / S**2 for large images.
    """
    images, channels = whole_number("images", images), whole_number("channels", channels)
    out_size = conv_output_size(size, filter_size, stride, pad)
    filter_sizes = np.arange(1, min(size + 2 * pad, max(11, filter_size)) + 1)
    strides = sorted({1, 2, 3, 4, stride})
    curves = [[_ratio(size, f, s, pad) for f in filter_sizes] for s in strides]
    ratio, limit = _ratio(size, filter_size, stride, pad), (filter_size / stride) ** 2
    held, rows = images * channels * size**2, images * out_size**2
    stored = rows * channels * filter_size**2
    canvas = style.Canvas(f"The matrix holds {times_as(ratio, 'many')} numbers as the input")
    left, top, width, height = 84, canvas.top + 14, 600, 260
    columns = channels * filter_size**2
    notes = {
        "input": f"input x: N·C·H·W = {images}·{channels}·{size}·{size} = {_held(held)}",
        "window": f"matrix col: (N·OH·OW) × (C·FH·FW) = {rows:,} × {columns:,} = {_held(stored)}",
        "padding": f"Dashed, for ever larger images: FH·FW / S² = {filter_size**2} / {stride**2} = "
        f"{style.ratio_text(limit)} for each number of the input",
    }
    y = top + height + 66
    for role, note in notes.items():
        style.write(canvas.ax, canvas.left, y, note, 13, style.TEXT_COLORS[role])
        y += 24
    figure = canvas.finish(
        left + width + 80,
        y - 14,
        f"Input of {held} numbers, matrix of {stored}: {times_as(ratio, 'many')}, and "
        f"{times_as(limit, 'many')} in the limit of large images; filter {filter_size} x "
        f"{filter_size}, stride {stride}, pad {pad}.",
    )
    ax = style.axes(
        figure, left, top, width, height, "filter size FH = FW", "numbers in col for each in x"
    )
    highest = 1.06 * max(1, *map(max, curves))
    label = np.inf
    for k in reversed(range(len(strides))):  # the lowest curve first
        color = style.sequential("input")(1 - 0.6 * k / (len(strides) - 1))
        ax.plot(filter_sizes, curves[k], "o-", color=color, lw=1.8, ms=4)
        ax.plot(filter_sizes, (filter_sizes / strides[k]) ** 2, "--", color=color, lw=1)
        # At the end of its curve, but no nearer than a line to the label below.
        label = min(top + height * (1 - curves[k][-1] / highest), label - 16)
        text = f"stride {strides[k]}"
        style.write(canvas.ax, left + width + 8, label, text, 12, style.TEXT_COLORS["input"])
    ax.plot(filter_size, ratio, "o", ms=13, mfc="none", mec=style.ROLES["window"], mew=2.2)
    ax.axhline(1, color=style.MUTED, lw=0.8, ls=":")
    ax.set_xlim(0.6, filter_sizes[-1] + 0.4)
    ax.set_ylim(0, highest)
    ax.set_xticks(filter_sizes)
    ax.set_yticks([tick for tick in ax.get_yticks() if tick <= highest])
    return figure


def axis_walk(x, filter_h, filter_w, stride=1, pad=0, stage=0, window=0):
    """Show one stage of the way from images to the matrix, a move of one axis at a time.

    Parameters
    ----------
    x : (N, C, H, W), images; numbers that differ read best
    filter_h, filter_w, stride, pad : int, FH x FW, step S and zero padding P
    stage : int, 0 to 4, of `STAGES`
    window : int, the outlined one, counted as the rows of the matrix are: (n, p, q), q fastest

    Notes
    -----
    Six axes are written as a table: three count its rows and three its columns, so that it is read
    line by line in the order of memory. A window, scattered at first, is one row at the end.
    """
    x = np.asarray(x, float)
    six = sliding_windows(x, filter_h, filter_w, stride, pad)  # (N, C, FH, FW, OH, OW)
    N, C, FH, FW, OH, OW = six.shape
    if not 0 <= stage < len(STAGES):
        raise ValueError(f"stage {stage}: there are 0 to {len(STAGES) - 1}")
    if not 0 <= window < N * OH * OW:
        raise ValueError(f"window {window}: there are {N * OH * OW}, 0 to {N * OH * OW - 1}")
    n, p, q = np.unravel_index(window, (N, OH, OW))
    title, _ = STAGES[stage]
    canvas = style.Canvas(title)
    top, right = _draw_axes(canvas, x.shape, six.shape, stage)
    text = f"Window {window} is (n, p, q) = ({n}, {p}, {q}): image {n}, output place ({p}, {q}). "
    if stage == 0:
        box = _draw_images(canvas, x, pad, n, (p * stride, q * stride, FH, FW), top + 8)
        text += f"It reads {counted(C * FH * FW, 'number')}."
    else:
        order = ORDERS[min(stage, 3) - 1]
        inside = np.zeros(six.shape, bool)
        inside[n, :, :, :, p, q] = True
        box = _draw_table(canvas, six, inside, order, top + 8, joined=stage == 4)
        last = (n, C - 1, FH - 1, FW - 1, p, q)
        sizes = [six.shape[axis] for axis in order]
        flat = np.ravel_multi_index([last[axis] for axis in order], sizes)
        text += f"Its last number, (c, i, j) = ({C - 1}, {FH - 1}, {FW - 1}), is read at place "
        text += f"{_horner([LETTERS[k] for k in order], [AXES[k] for k in order])} = "
        text += f"{_horner([last[k] for k in order], sizes)} = {flat} of {six.size}."
    y = style.paragraph(canvas.ax, canvas.left, box.bottom + 28, text, ROOM, 13, style.INK)
    return canvas.finish(
        max(right, box.right, canvas.left + min(ROOM, style.text_width(text, 13))),
        y - 16,
        f"im2col, stage {stage}. {title}. {text}",
    )


def timings(labels, seconds):
    """Compare running times in seconds on a logarithmic scale, with their ratio to the first."""
    seconds = np.asarray(seconds, float)
    if len(labels) != len(seconds) or not len(labels):
        raise ValueError(f"{len(labels)} labels for {len(seconds)} times")
    if not (np.isfinite(seconds).all() and (seconds > 0).all()):
        raise ValueError(f"times must be positive, got {seconds.tolist()}")
    ratios, best = seconds[0] / seconds, int(seconds.argmin())
    texts = [_duration(seconds[0])]
    for s, r in zip(seconds[1:], ratios[1:], strict=True):
        words = times_as(r, "fast") if r >= 1 else times_as(1 / r, "long")
        texts.append(f"{_duration(s)}   {words.replace('times', '×')}")
    message = f"{labels[0]} is the fastest"
    if best:
        message = f"{labels[best]} is {times_as(ratios[best], 'fast')} as {labels[0]}"
    canvas = style.Canvas(message[0].upper() + message[1:])
    ax = canvas.ax
    label_width, text_width = (max(style.text_width(t, 13) for t in of) for of in (labels, texts))
    left, top = canvas.left + label_width + 12, canvas.top + 16
    full = min(460, ROOM - label_width - text_width - 24)
    # A decade below the shortest bar, so that each has a length; equal lengths are equal factors.
    low, high = np.floor(np.log10(seconds.min()) - 0.3), np.log10(seconds.max())
    decade = full / (high - low)
    bottom = top + 34 * len(labels) - 12
    for k in np.arange(low, high + 0.01, np.ceil(56 / decade)):
        x = left + decade * (k - low)
        ax.plot((x, x), (top - 16, bottom), color=style.LINE, lw=0.8, zorder=0.5)
        style.write(ax, x, bottom + 10, _duration(10**k), 11, style.MUTED, align="center")
    paper = {"facecolor": "white", "edgecolor": "none", "pad": 1}  # over the lines
    for k, (label, text) in enumerate(zip(labels, texts, strict=True)):
        y, length = top + 34 * k, decade * (np.log10(seconds[k]) - low)
        role, strength = ("output", 0.4) if k else ("padding", 1)
        style.write(ax, left - 12, y, label, 13, align="right")
        look = {"color": style.tint(role, strength), "edgecolor": style.TEXT_COLORS[role]}
        ax.barh(y, length, 22, left=left, linewidth=0.8, **look)
        style.write(ax, left + length + 10, y, text, 13, bbox=paper)
    note = "running time, logarithmic scale: equal lengths are equal factors"
    style.write(ax, canvas.left, bottom + 36, note, 12, style.MUTED)
    listed = ", ".join(f"{n} {_duration(s)}" for n, s in zip(labels, seconds, strict=True))
    return canvas.finish(
        max(left + full + 10 + text_width, canvas.left + style.text_width(note, 12)),
        bottom + 44,
        f"Running times: {listed}.",
    )


def _draw_axes(canvas, image_shape, six_shape, stage):
    """Draw the axes before and after this stage, joined by lines; return bottom and right end."""
    images = [(f"{name} = {size}", "") for name, size in zip("NCHW", image_shape, strict=True)]

    def ordered(order):
        return [(f"{AXES[k]} = {six_shape[k]}", str(k)) for k in order]

    if stage == 0:
        before, after, lines, moved = images, [], [], ()
    elif stage == 1:
        before, after = images, ordered(ORDERS[0])
        lines, moved = [(0, 0), (1, 1), (2, 2), (2, 4), (3, 3), (3, 5)], ()
    elif stage < 4:
        old, new = ORDERS[stage - 2], ORDERS[stage - 1]
        before, after = ordered(old), ordered(new)
        lines, moved = [(old.index(k), new.index(k)) for k in new], {stage - 1}
    else:
        before, lines, moved = ordered(ORDERS[2]), [(k, k) for k in range(6)], ()
        row, column = np.prod(six_shape[:1] + six_shape[4:]), np.prod(six_shape[1:4])
        after = [(f"N·OH·OW = {row}", ""), (f"C·FH·FW = {column}", "")]
    step = CHIP + 12
    tops = (canvas.top + 6, canvas.top + 70)
    for old, new in lines:
        color, width = (style.ROLES["window"], 2.4) if new in moved else (style.ROLES["padding"], 1)
        middles = [canvas.left + k * step + CHIP / 2 for k in (old, new)]
        canvas.ax.plot(middles, (tops[0] + 26, tops[1]), color=color, lw=width, zorder=1)
    for top, chips in zip(tops, (before, after), strict=True):
        span = 3 if len(chips) == 2 else 1
        for k, (text, number) in enumerate(chips):
            left, width = canvas.left + k * span * step, span * step - 12
            role, lw = ("window", 2.2) if top == tops[1] and k in moved else ("input", 0.8)
            look = {"fc": style.tint("input", 0.2), "ec": style.ROLES[role], "lw": lw, "zorder": 2}
            canvas.ax.add_patch(Rectangle((left, top), width, 26, **look))
            style.write(canvas.ax, left + 6, top + 13, number, 11, style.MUTED)
            color, middle = style.TEXT_COLORS[role], left + (width + (8 if number else 0)) / 2
            style.write(canvas.ax, middle, top + 13, text, 13, color, "bold", "center")
    right = canvas.left + 6 * step + 4
    if after:
        style.write(canvas.ax, right, tops[1] + 13, STAGES[stage][1], 13)
        right += style.text_width(STAGES[stage][1], 13)
        return tops[1] + 26, right
    return tops[0] + 26, right


def _draw_images(canvas, x, pad, n, window, top):
    """Draw all channels of all images in a line, one window outlined in image n."""
    N, C, _, _ = x.shape
    deep, grids, gap = style.channel_strengths(C), [], 16
    for m, c in np.ndindex(N, C):
        grid = Grid(x[m, c], f"x[{m}, {c}]", pad=pad, strengths=np.full(x.shape[2:], deep[c]))
        grid.windows = [window] if m == n else ()
        grids.append(grid)
    cell = min(34, fit(grids, ROOM - gap * len(grids), 300))
    boxes, right = draw_line(canvas.ax, grids, canvas.left, top, cell, gap)
    return boxes[-1]._replace(left=canvas.left, right=right)


def _draw_table(canvas, six, inside, order, top, joined):
    """Draw six axes as a table: three count its rows, three its columns; outline what is inside."""
    axes = [(AXES[axis], six.shape[axis]) for axis in order]
    rows, columns = (int(np.prod([size for _, size in half])) for half in (axes[:3], axes[3:]))
    if max(rows, columns) > 24:
        raise ValueError(
            f"a table of {rows} rows and {columns} columns is too large to be read: at most 24"
        )
    C = six.shape[1]
    deep = np.broadcast_to(style.channel_strengths(C).reshape(C, 1, 1, 1, 1), six.shape)
    values, deep, inside = (
        array.transpose(order).reshape(rows, columns) for array in (six, deep, inside)
    )
    grid = Grid(values, strengths=deep)
    cell = max(int(np.ceil(grid.smallest_cell())), min(30, 400 // rows))
    line, left = 20, canvas.left + 96
    top += 4 * line
    box = draw_grid(canvas.ax, grid, left, top, cell)
    for row, first, last in _runs(inside):
        x, y, color = left + first * cell, top + row * cell, style.ROLES["window"]
        draw_frame(canvas.ax, x, y, (last - first) * cell, cell, color, zorder=5)
    sides = ([("row", rows)], [("column", columns)]) if joined else (axes[:3], axes[3:])
    ink, muted = style.TEXT_COLORS["input"], style.MUTED
    for side, counted_axes in enumerate(sides):
        for k, (name, _) in enumerate(counted_axes):  # the outer axis first
            away = len(counted_axes) - k  # lines between the cells and the numbers of this axis
            x, y = left + 6 - 30 * away, top - away * line - line / 2
            if side == 0:
                style.write(canvas.ax, x, top - line / 2, name, 12, ink, "bold", "center")
            else:
                style.write(canvas.ax, left - 8, y, name, 12, ink, "bold", "right")
            for start, end, number in _counts([size for _, size in counted_axes], k, cell):
                if side == 0:
                    place = x, top + (start + end) / 2
                    ends = (x + 12,) * 2, [top + start + 4, top + end - 4]
                else:
                    place = left + (start + end) / 2, y
                    ends = [left + start + 4, left + end - 4], (y + 9,) * 2
                style.write(canvas.ax, *place, number, 11, muted, align="center")
                if away > 1:
                    canvas.ax.plot(*ends, color=style.LINE, lw=1.2)
    return box


def _counts(sizes, k, cell):
    """List (start, end, number) of the blocks of cells that axis k counts."""
    width = cell * int(np.prod(sizes[k + 1 :]))
    blocks = int(np.prod(sizes[: k + 1]))
    return [(b * width, (b + 1) * width, str(b % sizes[k])) for b in range(blocks)]


def _runs(inside):
    """Yield (row, first, last + 1) of each run of cells that are inside."""
    for row, cells in enumerate(np.pad(inside.astype(int), ((0, 0), (1, 1)))):
        edges = np.flatnonzero(np.diff(cells))
        for first, last in edges.reshape(-1, 2):
            yield row, first, last


def _horner(counters, sizes):
    """Write the place of an element in memory: n·C + c, times FH, plus i, and so on."""
    text = str(counters[0])
    for k, (counter, size) in enumerate(zip(counters[1:], sizes[1:], strict=True)):
        text = f"{f'({text})' if k else text}·{size} + {counter}"
    return text


def _ratio(size, filter_size, stride, pad):
    """Return how many numbers the matrix holds for each of the input."""
    return (conv_output_size(size, filter_size, stride, pad) * filter_size / size) ** 2


def _held(count):
    """Write a count of numbers, and their bytes as float32."""
    return f"{count:,} numbers, {_bytes(4 * count)}"


def _bytes(count):
    """Write a number of bytes with the unit that suits it."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.3g} {unit}"
    return f"{count} bytes"


def _duration(seconds):
    """Write a time with the unit that suits it."""
    for unit, factor in (("s", 1), ("ms", 1e3), ("µs", 1e6)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def _image(x):
    """Return a float array (C, H, W), or raise ValueError."""
    x = np.asarray(x, float)
    if x.ndim != 3:
        raise ValueError(f"x must be 3-D, (C, H, W), got shape {x.shape}")
    return x
