"""Pictures of im2col: windows laid out as a matrix, one product, its price, its speed.

Book section 7.4.2. The matrices are those of `cnnlib.windows.im2col`.
"""

import numpy as np
from matplotlib.collections import LineCollection

from cnnlib.figures import style
from cnnlib.figures.charts import draw_bars
from cnnlib.figures.grids import Grid, counted, draw_frame, draw_grid, draw_items, times_as
from cnnlib.windows import conv_output_size, sliding_windows, whole_number

# The six axes of the windows, and the way to their last order.
AXES = ("N", "C", "FH", "FW", "OH", "OW")
ORDERS = ((0, 1, 2, 3, 4, 5), (0, 4, 1, 2, 3, 5), (0, 4, 5, 1, 2, 3))
STAGES = (  # title, what NumPy does
    ("The images: a window reads a block in each channel", ""),
    ("Six axes: every window is there, its numbers far apart", ""),
    ("OH moves to the front, behind N", "transpose(0, 4, 1, 2, 3, 5)"),
    ("OW follows: now each window is one row", "in all: transpose(0, 4, 5, 1, 2, 3)"),
    ("Three axes join to count rows, three to count columns", "reshape(N·OH·OW, −1)"),
)
BYTES = {"GB": 1e9, "MB": 1e6, "kB": 1e3, "bytes": 1}
SECONDS = {"s": 1, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}
CHIP = 84  # width of the box in which an axis is written


def cost(size, filter_size, stride=1, pad=0, channels=1, images=1):
    """Show how many times as large as the input the matrix is, by filter size and stride.

    The ratio OH*OW*FH*FW / (H*W) tends to FH*FW / S**2 for large images.

    Parameters
    ----------
    size, filter_size, stride, pad : int, the setting that is marked; input and filter are square
    channels, images : int, C and N: the matrix grows with both, as the input does
    """
    images, channels = whole_number("images", images), whole_number("channels", channels)
    out_size = conv_output_size(size, filter_size, stride, pad)
    filter_sizes = np.arange(1, min(size + 2 * pad, max(11, filter_size)) + 1)
    strides = sorted({1, 2, 3, 4, stride})

    def ratio_of(filter_size, stride):
        return (conv_output_size(size, filter_size, stride, pad) * filter_size / size) ** 2

    curves = [[ratio_of(f, s) for f in filter_sizes] for s in strides]
    ratio, limit = ratio_of(filter_size, stride), (filter_size / stride) ** 2
    rows, columns = images * out_size**2, channels * filter_size**2
    held, stored = images * channels * size**2, rows * columns
    canvas = style.Canvas(f"The matrix holds {times_as(ratio, 'many')} numbers as the input")
    left, top, width, height = 84, canvas.top + 14, 600, 260
    size_text, col_text = f"{images}·{channels}·{size}·{size}", f"{rows:,} × {columns:,}"
    limit_text = f"{filter_size**2} / {stride**2} = {style.ratio_text(limit)}"
    y = top + height + 66
    for role, note in (
        ("input", f"input x: N·C·H·W = {size_text} = {_held(held)}"),
        ("window", f"matrix col: (N·OH·OW) × (C·FH·FW) = {col_text} = {_held(stored)}"),
        ("padding", f"Dashed, for ever larger images: FH·FW / S² = {limit_text}"),
    ):
        y = canvas.note(y, note, 13, style.TEXT_COLORS[role]) + 4
    alt = f"Input of {held} numbers, matrix of {stored}: {times_as(ratio, 'many')}, and "
    alt += f"{times_as(limit, 'many')} in the limit of large images; filter {filter_size} x "
    alt += f"{filter_size}, stride {stride}, pad {pad}."
    figure = canvas.finish(left + width + 80, y - 14, alt)
    names = "filter size FH = FW", "numbers in col for each in x"
    ax = style.axes(figure, left, top, width, height, *names)
    highest, label = 1.06 * max(1, *map(max, curves)), np.inf
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
    ax.set(xlim=(0.6, filter_sizes[-1] + 0.4), ylim=(0, highest))
    style.ticks(ax.xaxis, filter_sizes)
    style.ticks(ax.yaxis, [tick for tick in ax.get_yticks() if tick <= highest])
    return figure


def axis_walk(x, filter_h, filter_w, stride=1, pad=0, stage=0, window=0):
    """Show one stage of the way from images to the matrix, a move of one axis at a time.

    Six axes are written as a table: three count its rows and three its columns, so that it is read
    line by line in the order of memory. A window, scattered at first, is one row at the end.

    Parameters
    ----------
    x : (N, C, H, W), images; numbers that differ read best
    filter_h, filter_w, stride, pad : int, FH x FW, step S and zero padding P
    stage : int, 0 to 4, of `STAGES`
    window : int, the outlined one, counted as the rows of the matrix are: (n, p, q), q fastest
    """
    x = np.asarray(x, float)
    six = sliding_windows(x, filter_h, filter_w, stride, pad)
    N, C, FH, FW, OH, OW = six.shape
    if not 0 <= stage < len(STAGES):
        raise ValueError(f"stage {stage}: there are 0 to {len(STAGES) - 1}")
    if not 0 <= window < N * OH * OW:
        raise ValueError(f"window {window}: there are {N * OH * OW}, 0 to {N * OH * OW - 1}")
    n, p, q = np.unravel_index(window, (N, OH, OW))
    title, _ = STAGES[stage]
    canvas = style.Canvas(title)
    top = _draw_axes(canvas, x.shape, six.shape, stage)
    text = (
        f"Window {window} is (n, p, q) = ({n}, {p}, {q}): image {n}, output position ({p}, {q}). "
    )
    if stage == 0:
        deep, grids = style.channel_strengths(C), []
        for m, c in np.ndindex(N, C):
            grids.append(Grid(x[m, c], f"x[{m}, {c}]", pad=pad, strengths=deep[c]))
            grids[-1].windows = [(p * stride, q * stride, FH, FW)] if m == n else ()
        _, bottom = draw_items(canvas, grids, top + 8, 16, most=34, height=300)
        text += f"It reads {counted(C * FH * FW, 'number')}."
    else:
        order = ORDERS[min(stage, 3) - 1]
        inside = np.zeros(six.shape, bool)
        inside[n, :, :, :, p, q] = True
        bottom = _draw_table(canvas, six, inside, order, top + 8, joined=stage == 4)
        rows = inside.transpose(order).reshape(np.prod([six.shape[k] for k in order[:3]]), -1)
        text += f"Its {counted(C * FH * FW, 'number')} "
        text += f"stand in {counted(int(rows.any(axis=1).sum()), 'row')}."
    y = canvas.note(bottom + 28, text, 13, style.INK)
    return canvas.finish(canvas.right, y - 16, f"im2col, stage {stage}. {title}. {text}")


def timings(labels, seconds):
    """Compare running times in seconds on a logarithmic scale, with their ratio to the first."""
    seconds = np.asarray(seconds, float)
    if len(labels) != len(seconds) or not len(labels):
        raise ValueError(f"{len(labels)} labels for {len(seconds)} times")
    if not (np.isfinite(seconds).all() and (seconds > 0).all()):
        raise ValueError(f"times must be positive, got {seconds.tolist()}")
    ratios, best, texts = seconds[0] / seconds, int(seconds.argmin()), [_duration(seconds[0])]
    for s, r in zip(seconds[1:], ratios[1:], strict=True):
        words = times_as(r, "fast") if r >= 1 else times_as(1 / r, "long")
        texts.append(f"{_duration(s)}   {words.replace('times', '×')}")
    message = f"{labels[0]} is the fastest"
    if best:
        message = f"{labels[best]} is {times_as(ratios[best], 'fast')} as {labels[0]}"
    canvas = style.Canvas(message[0].upper() + message[1:])
    # A decade below the shortest bar, so that each has a length.
    low, high = np.floor(np.log10(seconds.min()) - 0.3), np.log10(seconds.max())
    lengths = (np.log10(seconds) - low) / (high - low)
    roles = ["padding"] + ["output"] * (len(labels) - 1)
    every = np.ceil((high - low) / 7)  # powers of ten from tick to tick
    decades = np.arange(low, high + 0.01, every)
    ticks = {(decade - low) / (high - low): _duration(10**decade) for decade in decades}
    bars = list(zip(labels, texts, lengths, roles, strict=True))
    bottom = draw_bars(canvas, {"": bars}, ticks)
    note = "running time, logarithmic scale: equal lengths are equal factors"
    bottom = canvas.note(bottom + 16, note) - 10
    listed = ", ".join(f"{n} {_duration(s)}" for n, s in zip(labels, seconds, strict=True))
    return canvas.finish(canvas.right, bottom, f"Running times: {listed}.")


def _draw_axes(canvas, image_shape, six_shape, stage):
    """Draw the axes before and after this stage, joined by lines; return their bottom."""
    images = [(f"{name} = {size}", "") for name, size in zip("NCHW", image_shape, strict=True)]
    orders = [[(f"{AXES[k]} = {six_shape[k]}", str(k)) for k in order] for order in ORDERS]
    row, column = np.prod(six_shape[:1] + six_shape[4:]), np.prod(six_shape[1:4])
    joined = [(f"N·OH·OW = {row}", ""), (f"C·FH·FW = {column}", "")]
    chips = [images, *orders, joined]
    lines, moved = [(k, k) for k in range(6)], None
    if stage == 1:
        lines = [(0, 0), (1, 1), (2, 2), (2, 4), (3, 3), (3, 5)]
    elif stage in (2, 3):
        lines = [(ORDERS[stage - 2].index(k), new) for new, k in enumerate(ORDERS[stage - 1])]
        moved = stage - 1
    ax, step, tops = canvas.ax, CHIP + 12, (canvas.top + 6, canvas.top + 70)
    for old, new in lines if stage else ():
        color, width = (style.ROLES["window"], 2.4) if new == moved else (style.ROLES["padding"], 1)
        middles = [canvas.left + k * step + CHIP / 2 for k in (old, new)]
        ax.plot(middles, (tops[0] + 26, tops[1]), color=color, lw=width, zorder=1)
    for top, line in zip(tops, chips[stage - 1 : stage + 1] if stage else [images], strict=False):
        span = 3 if line == joined else 1
        for k, (text, number) in enumerate(line):
            left, width = canvas.left + k * span * step, span * step - 12
            role, lw = ("window", 2.2) if top == tops[1] and k == moved else ("input", 0.8)
            face = style.tint("input", 0.2)
            draw_frame(ax, left, top, width, 26, style.ROLES[role], lw, face, zorder=2)
            style.write(ax, left + 6, top + 13, number, 11, style.MUTED)
            color, middle = style.TEXT_COLORS[role], left + (width + (8 if number else 0)) / 2
            style.write(ax, middle, top + 13, text, 13, color, "bold", "center")
    at, text = canvas.left + 6 * step + 4, STAGES[stage][1]
    style.write(ax, at, tops[1] + 13, text, 13)
    canvas.right = max(canvas.right, at + style.text_width(text, 13))
    return tops[stage > 0] + 26


def _draw_table(canvas, six, inside, order, top, joined):
    """Draw six axes as a table: three for its rows, three for its columns; return the bottom."""
    axes = [(AXES[axis], six.shape[axis]) for axis in order]
    rows, columns = (int(np.prod([size for _, size in half])) for half in (axes[:3], axes[3:]))
    if max(rows, columns) > 24:
        raise ValueError(f"{rows} rows and {columns} columns are too many to be read: at most 24")
    deep = style.channel_strengths(six.shape[1]).reshape(-1, 1, 1, 1, 1)
    deep = np.broadcast_to(deep, six.shape)
    values, deep, inside = (
        array.transpose(order).reshape(rows, columns) for array in (six, deep, inside)
    )
    grid = Grid(values, strengths=deep)
    cell = max(int(np.ceil(grid.smallest_cell())), min(30, 252 // rows))
    ax, line, left = canvas.ax, 20, canvas.left + 96
    top += line * (2 if joined else 4)
    box = draw_grid(ax, grid, left, top, cell)
    for row, first, last in _runs(inside):
        x, y, color = left + first * cell, top + row * cell, style.ROLES["window"]
        draw_frame(ax, x, y, (last - first) * cell, cell, color, zorder=5)
    sides = ([("row", rows)], [("column", columns)]) if joined else (axes[:3], axes[3:])
    ink, brackets = style.TEXT_COLORS["input"], []
    for upright, start, side in (True, top, sides[0]), (False, left, sides[1]):
        count = 1
        for k, (name, size) in enumerate(side):  # the outer axis first
            away = len(side) - k  # lines between the cells and the numbers of this axis
            x, y = left + 6 - 30 * away, top - away * line - line / 2
            name_at = (x, top - line / 2) if upright else (left - 8, y)
            align = "center" if upright else "right"
            style.write(ax, *name_at, name, 12, ink, "bold", align)
            count *= size
            length = (rows if upright else columns) * cell / count
            for number in range(count):
                middle = start + (number + 0.5) * length
                at = (x, middle) if upright else (middle, y)
                style.write(ax, *at, str(number % size), 11, style.MUTED, align="center")
                ends = middle - length / 2 + 4, middle + length / 2 - 4
                if away > 1:
                    brackets.append([(x + 12, e) if upright else (e, y + 9) for e in ends])
    ax.add_collection(LineCollection(brackets, colors=style.LINE, linewidths=1.2), autolim=False)
    canvas.right = max(canvas.right, box.right)
    return box.bottom


def _runs(inside):
    """Yield (row, first, last + 1) of each run of cells that are inside."""
    for row, cells in enumerate(np.pad(inside.astype(int), ((0, 0), (1, 1)))):
        edges = np.flatnonzero(np.diff(cells))
        for first, last in edges.reshape(-1, 2):
            yield row, first, last


def _held(count):
    """Write a count of numbers, and their bytes as float32."""
    return f"{count:,} numbers, {_scaled(4 * count, BYTES)}"


def _duration(seconds):
    return _scaled(seconds, SECONDS)


def _scaled(value, units):
    """Write a number with the first unit that is not too large for it, or with the last."""
    unit = next((unit for unit, size in units.items() if value >= size), [*units][-1])
    return f"{value / units[unit]:.3g} {unit}"


def element_slice(sizes, image, stride, pad, i, j):
    """Write, in lines, the slice that takes filter element (i, j) from all windows at once.

    Parameters
    ----------
    sizes, image : dict of C, FH, FW, OH, OW by c, i, j, p, q; and (H, W)
    stride, pad, i, j : int
    """
    x, S = "padded x" if pad else "x", stride
    C, FH, FW, OH, OW = (sizes[index] for index in "cijpq")
    columns = " ".join(str((c * FH + i) * FW + j) for c in range(C))
    rows, (bottom, right) = f"{i}:{i + S * OH}:{S}", (i + S * OH, j + S * OW)
    lines = [
        f"{x}[:, :, i : i + S·OH : S, j : j + S·OW : S] with i = {i}, j = {j}, S = {S}, "
        f"OH = {OH}, OW = {OW}",
        f"= {x}[:, :, {rows}, {j}:{right}:{S}], one number of each of the "
        f"{counted(OH * OW, 'window')}: column{'s' * (C > 1)} {columns} of col",
    ]
    H, W = (size + 2 * pad for size in image)
    beyond = [f"i_max = {bottom} of {H} rows"] * (bottom > H)
    beyond += [f"j_max = {right} of {W} columns"] * (right > W)
    harmless = "beyond the image, without harm. A slice stops at the edge; no window loses a number"
    return lines + [f"{' and '.join(beyond)}: {harmless}."] * bool(beyond)
