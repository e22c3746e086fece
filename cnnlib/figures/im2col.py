"""Pictures of im2col: windows laid out as a matrix, one product, its price, its speed.

Book section 7.4.2. The matrices are those of `cnnlib.windows.im2col`.
"""

import numpy as np
from matplotlib.patches import Rectangle

from cnnlib.figures import style
from cnnlib.figures.arithmetic import counted
from cnnlib.figures.grids import (
    SIGN,
    TITLE,
    Box,
    Grid,
    count_reads,
    draw_grid,
    draw_row,
    fit,
    fit_legible,
)
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


def layout(x, filter_h, filter_w, stride=1, pad=0, row=0):
    """Show which row of the matrix holds which window.

    Parameters
    ----------
    x : array_like, shape (C, H, W)
        One image; small whole numbers read best.
    filter_h, filter_w : int
        Filter size FH x FW.
    stride, pad : int
        Step S and zero padding P.
    row : int, default 0
        Row of the matrix to outline, with its window.

    Returns
    -------
    Card

    Raises
    ------
    ValueError
        If no window fits, or the matrix has no such row.

    Notes
    -----
    Book section 7.4.2. The channels are coloured from pale to deep.
    """
    x = _image(x)
    C, H, W = x.shape
    col = im2col(x[np.newaxis], filter_h, filter_w, stride, pad)  # (OH*OW, C*FH*FW)
    if not 0 <= row < len(col):
        raise ValueError(f"row {row}: col has {len(col)} rows, 0 to {len(col) - 1}")
    OW = conv_output_size(W, filter_w, stride, pad)
    p, q = divmod(row, OW)
    deep = style.channel_strengths(C)
    numbers = C <= 4
    channels = [
        Grid(
            plane,
            f"input x[{c}]" if C > 1 else "input x",
            pad=pad,
            windows=[(p * stride, q * stride, filter_h, filter_w)],
            hatched=count_reads((H, W), (filter_h, filter_w), stride, pad) == 0,
            strengths=np.full(plane.shape, deep[c]),
            numbers=numbers,
        )
        for c, plane in enumerate(x)
    ]
    matrix = Grid(
        col,
        "matrix col",
        letters="(OH·OW, C·FH·FW)",
        windows=[(row, 0, 1, col.shape[1])],
        strengths=np.tile(np.repeat(deep, filter_h * filter_w), (len(col), 1)),
    )
    times = col.size / x.size
    canvas = style.Canvas(
        f"Each row of col is one window: {x.size} numbers become {col.size}, "
        + (f"{style.ratio_text(times)} times as many" if times != 1 else "as many as before")
    )
    ax = canvas.ax
    # Beside each other if the numbers of the matrix then are legible, else the matrix below.
    stacked = C * (channels[0].rows * 18 + TITLE + 10) <= 520
    needed = max(matrix.smallest_cell(), channels[0].smallest_cell())
    cell = fit_legible([channels[0], matrix], ROOM - 10, 500, 800, signs=1)
    beside = stacked and cell >= needed
    if beside:
        cell = min(cell, 32, (520 / C - TITLE - 10) / channels[0].rows)
        cell = max(int(cell), int(np.ceil(needed)))
        top, boxes = canvas.top, []
        for grid in channels:
            boxes += draw_row(ax, [grid], canvas.left, top, cell)
            top = boxes[-1].bottom + 14
        slot = max(channels[0].title_width, channels[0].columns * cell)
        middle = (boxes[0].top + boxes[-1].bottom) / 2
        style.write(ax, canvas.left + slot + SIGN / 2, middle, "→", 20, style.MUTED, align="center")
        left = canvas.left + slot + SIGN
        height = matrix.rows * cell
        matrix_box = draw_grid(
            ax,
            matrix,
            round(left + max(0, matrix.title_width - matrix.columns * cell) / 2),
            round(max(canvas.top + TITLE, middle - height / 2)),
            cell,
        )
        bottom = max(boxes[-1].bottom, matrix_box.bottom)
        right = left + max(matrix.title_width, matrix.columns * cell)
    else:
        per_line = min(C, max(1, int(ROOM // 150)), 5)
        lines = [channels[k : k + per_line] for k in range(0, C, per_line)]
        small = fit(lines[0], ROOM - 24 * per_line, 220 / len(lines))
        small = min(small, 28)
        top, right = canvas.top, canvas.left
        for line in lines[:4]:
            left = canvas.left
            for grid in line:
                box = draw_row(ax, [grid], left, top, small)[0]
                left += max(grid.title_width, grid.columns * small) + 24
            right = max(right, left - 24)
            top = box.bottom + 14
        cell = min(fit_legible([matrix], ROOM, 300, 640), 26)
        matrix_box = draw_row(ax, [matrix], canvas.left, top + 12, cell)[0]
        bottom = matrix_box.bottom
        right = max(right, matrix_box.right)
    text = (
        f"Row {row} of col is the window of output place ({p}, {q})"
        + (": channel by channel, line by line." if C > 1 else ": line by line.")
        + f" {col.size} / {x.size} = {style.ratio_text(times)} numbers in col for each in x."
    )
    bottom = style.paragraph(ax, canvas.left, bottom + 28, text, ROOM) - 18
    return canvas.finish(
        max(right, canvas.left + min(ROOM, style.text_width(text, 12))),
        bottom + 8,
        f"im2col turns an input (C, H, W) = {x.shape} into a matrix of shape {col.shape}; its row "
        f"{row} is the {filter_h} x {filter_w} window of output place ({p}, {q}), and it holds "
        f"{times:.3g} times as many numbers.",
    )


def product(x, W, b=None, stride=1, pad=0, row=0, column=0):
    """Show the convolution as one matrix product, and its result reshaped.

    Parameters
    ----------
    x : array_like, shape (C, H, W)
        One image.
    W : array_like, shape (FN, C, FH, FW)
        Filters.
    b : array_like, shape (FN,), optional
        Biases, added to the columns of the product.
    stride, pad : int
        Step S and zero padding P.
    row, column : int
        Place in the product to outline, with the row and the column that make it.

    Returns
    -------
    Card

    Notes
    -----
    Book sections 7.4.2 and 7.4.3.
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
    items = [
        Grid(col, "matrix col", letters="(OH·OW, C·FH·FW)", windows=[(row, 0, 1, col.shape[1])]),
        "×",
        Grid(
            col_W,
            "filters col_W",
            "filter",
            "(C·FH·FW, FN)",
            windows=[(0, column, col_W.shape[0], 1)],
        ),
    ]
    if b is not None:
        biases = np.reshape(np.asarray(b, float), (1, -1))
        items += ["+", Grid(biases, "bias b", "bias", "(FN,)", shape=biases.shape[1:])]
    items += ["=", Grid(out, "product out", "output", "(OH·OW, FN)", cells=[(row, column)])]
    canvas = style.Canvas("The whole convolution is one matrix product, then reshape and transpose")
    grids = [item for item in items if isinstance(item, Grid)]
    cell = min(32, fit(grids, ROOM, 420, signs=len(items) - len(grids)))
    boxes = draw_row(canvas.ax, items, canvas.left, canvas.top, cell)
    right = boxes[-1].left + max(grids[-1].columns * cell, grids[-1].title_width)
    maps = [
        Grid(
            plane.reshape(OH, OW),
            f"output[{f}]",
            "output",
            "(OH, OW)",
            cells=[divmod(row, OW)] if f == column else (),
        )
        for f, plane in enumerate(out.T[:6])
    ]
    top = max(box.bottom for box in boxes) + 30
    text = f"reshape and transpose: {style.shape_text(out.shape)} → "
    text += f"(FN, OH, OW) = ({FN}, {OH}, {OW})"
    if len(maps) < FN:
        text += f", {len(maps)} of {FN} shown"
    style.write(canvas.ax, canvas.left, top, text, 13, style.TEXT_COLORS["output"])
    top += 20
    small = min(32, fit(maps, ROOM - 28 * (len(maps) - 1), 200))
    left, bottom = canvas.left, top
    for grid in maps:
        box = draw_row(canvas.ax, [grid], left, top, small)[0]
        left += max(grid.title_width, grid.columns * small) + 28
        bottom = box.bottom
    return canvas.finish(
        max(right, left - 28, canvas.left + style.text_width(text, 13)),
        bottom,
        f"Matrix product: col {col.shape} times filters {col_W.shape} gives {out.shape}, "
        f"reshaped and transposed to (FN, OH, OW) = {(FN, OH, OW)}.",
    )


def cost(size, filter_size, stride=1, pad=0, channels=1, images=1):
    """Show how many times as large as the input the matrix is, by filter size and stride.

    Parameters
    ----------
    size : int
        Input height and width.
    filter_size : int
        Filter height and width of the setting that is marked.
    stride : int, default 1
        Its stride; a curve is drawn for each stride from 1 to 4, and for this one.
    pad : int, default 0
        Zero padding P.
    channels, images : int, default 1
        C and N: the matrix grows with both, as the input does, and the ratio stays.

    Returns
    -------
    Card

    Raises
    ------
    ValueError
        If a number is not possible, or the filter does not fit into the padded input.

    Notes
    -----
    Book section 7.4.2: the price of im2col. The ratio is

    ::

        OH*OW*FH*FW / (H*W)    which tends to    FH*FW / S**2    for large images
    """
    images, channels = whole_number("images", images), whole_number("channels", channels)
    out_size = conv_output_size(size, filter_size, stride, pad)
    filter_sizes = np.arange(1, min(size + 2 * pad, max(11, filter_size)) + 1)
    strides = sorted({1, 2, 3, 4, stride})
    curves = [[_ratio(size, f, s, pad) for f in filter_sizes] for s in strides]
    ratio, limit = _ratio(size, filter_size, stride, pad), (filter_size / stride) ** 2
    held, rows = images * channels * size**2, images * out_size**2
    stored = rows * channels * filter_size**2
    times = f"{style.ratio_text(ratio)} times as many" if ratio != 1 else "as many"
    canvas = style.Canvas(f"The matrix holds {times} numbers as the input")
    left, top, width, height = 84, canvas.top + 14, 600, 260
    notes = [
        (f"input x: N·C·H·W = {images}·{channels}·{size}·{size} = {_held(held)}", "input"),
        (
            f"matrix col: (N·OH·OW) × (C·FH·FW) = {rows:,} × {channels * filter_size**2:,} = "
            f"{_held(stored)}",
            "window",
        ),
        (
            f"Dashed, for ever larger images: FH·FW / S² = {filter_size**2} / {stride**2} = "
            f"{style.ratio_text(limit)} times as many",
            "padding",
        ),
    ]
    y = top + height + 66
    for note, role in notes:
        style.write(canvas.ax, canvas.left, y, note, 13, style.TEXT_COLORS[role])
        y += 24
    figure = canvas.finish(
        left + width + 80,
        y - 14,
        f"Input of {held} numbers, matrix of {stored}: {ratio:.3g} times as many, and "
        f"{limit:.3g} times in the limit of large images; filter {filter_size} x {filter_size}, "
        f"stride {stride}, pad {pad}.",
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

    An array with six axes is written here as a table: the first three axes count its rows, the
    last three its columns, so that it is read line by line in the order of memory. The numbers of
    one window are outlined. They lie scattered at first, and in one row at the end.

    Parameters
    ----------
    x : array_like, shape (N, C, H, W)
        Images; numbers that differ read best, such as ``np.arange``.
    filter_h, filter_w : int
        Filter size FH x FW.
    stride, pad : int
        Step S and zero padding P.
    stage : int
        0 the images, 1 the view with six axes, 2 OH moved to the front, 3 OW moved behind it, 4
        three axes joined to rows and three to columns: the matrix.
    window : int
        The outlined window, counted as the rows of the matrix are: (n, p, q), q fastest.

    Returns
    -------
    Card

    Raises
    ------
    ValueError
        If x is not 4-D, no window fits, there is no such stage or window, or the table would have
        more than 24 rows or columns.

    Notes
    -----
    Book section 7.4.2, ``transpose(0, 4, 5, 1, 2, 3)``.
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
    """Compare running times on a logarithmic scale, with their ratio to the first.

    Parameters
    ----------
    labels : list of str
        What was timed, the reference first.
    seconds : list of float
        Times, all positive.

    Returns
    -------
    Card
    """
    seconds = np.asarray(seconds, float)
    if len(labels) != len(seconds) or not len(labels):
        raise ValueError(f"{len(labels)} labels for {len(seconds)} times")
    if not (np.isfinite(seconds).all() and (seconds > 0).all()):
        raise ValueError(f"times must be positive, got {seconds.tolist()}")
    ratios = seconds[0] / seconds
    texts = [
        f"{_duration(s)}   {style.ratio_text(r)} × as fast"
        if r >= 1
        else f"{_duration(s)}   {style.ratio_text(1 / r)} × as long"
        for s, r in zip(seconds, ratios, strict=True)
    ]
    texts[0] = _duration(seconds[0])
    best = int(seconds.argmin())
    message = f"{labels[0]} is the fastest"
    if best:
        message = f"{labels[best]} is {style.ratio_text(ratios[best])} times as fast as {labels[0]}"
    canvas = style.Canvas(message[0].upper() + message[1:])
    ax = canvas.ax
    label_width = max(style.text_width(t, 13) for t in labels)
    text_width = max(style.text_width(t, 13) for t in texts)
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
    for k, (label, text) in enumerate(zip(labels, texts, strict=True)):
        y, length = top + 34 * k, decade * (np.log10(seconds[k]) - low)
        role = "output" if k else "padding"
        style.write(ax, left - 12, y, label, 13, align="right")
        ax.barh(
            y,
            length,
            22,
            left=left,
            color=style.tint(role, 0.4 if k else 1),
            edgecolor=style.TEXT_COLORS[role],
            linewidth=0.8,
        )
        paper = {"facecolor": "white", "edgecolor": "none", "pad": 1}  # over the lines
        style.write(ax, left + length + 10, y, text, 13, bbox=paper)
    note = "running time, logarithmic scale: equal lengths are equal factors"
    style.write(ax, canvas.left, bottom + 36, note, 12, style.MUTED)
    return canvas.finish(
        max(left + full + 10 + text_width, canvas.left + style.text_width(note, 12)),
        bottom + 44,
        "Running times: "
        + ", ".join(f"{n} {_duration(s)}" for n, s in zip(labels, seconds, strict=True))
        + ".",
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
            moves = top == tops[1] and k in moved
            canvas.ax.add_patch(
                Rectangle(
                    (left, top),
                    width,
                    26,
                    fc=style.tint("input", 0.2),
                    ec=style.ROLES["window" if moves else "input"],
                    lw=2.2 if moves else 0.8,
                    zorder=2,
                )
            )
            style.write(canvas.ax, left + 6, top + 13, number, 11, style.MUTED)
            color = style.TEXT_COLORS["window" if moves else "input"]
            middle = left + (width + (8 if number else 0)) / 2
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
    grids = [
        Grid(
            x[m, c],
            f"x[{m}, {c}]",
            pad=pad,
            windows=[window] if m == n else (),
            strengths=np.full(x.shape[2:], style.channel_strengths(C)[c]),
        )
        for m in range(N)
        for c in range(C)
    ]
    gap = 16
    cell, left = min(34, fit(grids, ROOM - gap * len(grids), 300)), canvas.left
    for grid in grids:
        box = draw_row(canvas.ax, [grid], left, top, cell)[0]
        left += max(grid.title_width, grid.columns * cell) + gap
    return Box(canvas.left, box.top, left - gap, box.bottom)


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
        canvas.ax.add_patch(
            Rectangle(
                (left + first * cell, top + row * cell),
                (last - first) * cell,
                cell,
                fill=False,
                ec=style.ROLES["window"],
                lw=2.2,
                zorder=5,
            )
        )
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
