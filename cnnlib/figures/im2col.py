"""Pictures of im2col: windows laid out as a matrix, one product, the price in memory, the gain.

Book section 7.4.2. The matrices are those of `cnnlib.windows.im2col`.
"""

import numpy as np

from cnnlib.figures import style
from cnnlib.figures.grids import (
    SIGN,
    TITLE,
    Grid,
    count_reads,
    draw_grid,
    draw_row,
    fit,
    fit_legible,
)
from cnnlib.windows import conv_output_size, im2col

ROOM = style.MAX_WIDTH - 2 * style.MARGIN


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
    canvas = style.Canvas("The whole convolution is one matrix product, then a reshape")
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
        f"reshaped to (FN, OH, OW) = {(FN, OH, OW)}.",
    )


def memory(size, filter_size, channels=1, pad=0):
    """Compare the numbers in x with those in col, for strides from 1 to the filter size.

    Parameters
    ----------
    size : int
        Input height and width.
    filter_size : int
        Filter height and width.
    channels : int, default 1
        Input channels C.
    pad : int, default 0
        Zero padding P.

    Returns
    -------
    Card
    """
    labels, counts = ["input x"], [channels * size * size]
    for stride in range(1, filter_size + 1):
        places = conv_output_size(size, filter_size, stride, pad) ** 2
        labels.append(f"col, stride {stride}")
        counts.append(places * channels * filter_size**2)
    ratios = [n / counts[0] for n in counts]
    if ratios[1] > 1:
        message = (
            f"At stride 1, col holds {style.ratio_text(ratios[1])} times the numbers of the input"
        )
    else:
        message = f"At stride 1, col holds {counts[1]} numbers, the input {counts[0]}"
    texts = [f"{n:,}   {style.ratio_text(r)} ×" for n, r in zip(counts, ratios, strict=True)]
    return _bars(
        message,
        labels,
        np.array(counts) / max(counts),
        texts,
        ["input"] * len(labels),
        f"numbers stored for (C, H, W) = ({channels}, {size}, {size}), "
        f"filter {filter_size} x {filter_size}, pad {pad}",
        "Numbers stored: "
        + ", ".join(f"{name} {n}" for name, n in zip(labels, counts, strict=True))
        + ".",
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
    # A decade below the shortest bar, so that each has a length; equal lengths are equal factors.
    low, high = np.floor(np.log10(seconds.min()) - 0.3), np.log10(seconds.max())
    best = int(seconds.argmin())
    if best:
        ratio = style.ratio_text(seconds[0] / seconds[best])
        message = f"{labels[best]} is {ratio} times as fast as {labels[0]}"
    else:
        message = f"{labels[0]} is the fastest"
    texts = [_duration(seconds[0])]
    for s in seconds[1:]:
        ratio = seconds[0] / s
        word = (
            f"{style.ratio_text(ratio)} × as fast"
            if ratio >= 1
            else f"{style.ratio_text(1 / ratio)} × as long"
        )
        texts.append(f"{_duration(s)}   {word}")
    return _bars(
        message[0].upper() + message[1:],
        labels,
        (np.log10(seconds) - low) / (high - low),
        texts,
        ["padding"] + ["output"] * (len(labels) - 1),
        "running time, logarithmic scale: equal lengths are equal factors",
        "Running times: "
        + ", ".join(f"{n} {_duration(s)}" for n, s in zip(labels, seconds, strict=True))
        + ".",
    )


def _bars(message, labels, lengths, texts, roles, note, alt):
    """Draw horizontal bars between labels and values; the first is the reference, and solid."""
    canvas = style.Canvas(message)
    ax = canvas.ax
    label_width = max(style.text_width(t, 13) for t in labels)
    text_width = max(style.text_width(t, 13) for t in texts)
    left = canvas.left + label_width + 12
    full = min(460, ROOM - label_width - text_width - 24)
    y = canvas.top + 16
    for k, (label, length, text, role) in enumerate(
        zip(labels, lengths, texts, roles, strict=True)
    ):
        style.write(ax, left - 12, y, label, 13, align="right")
        ax.barh(
            y,
            max(1, full * length),
            22,
            left=left,
            color=style.tint(role, 0.4 if k else 1),
            edgecolor=style.TEXT_COLORS[role],
            linewidth=0.8,
        )
        style.write(ax, left + max(1, full * length) + 10, y, text, 13)
        y += 34
    style.write(ax, canvas.left, y + 2, note, 12, style.MUTED)
    right = max(
        left + full + 10 + text_width,
        canvas.left + style.text_width(note, 12),
    )
    return canvas.finish(right, y + 10, alt)


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
