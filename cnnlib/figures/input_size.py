"""Why 224 does not divide and 227 does: the end of a row, and what follows from it.

Book section 7.7.
"""

from matplotlib.patches import Rectangle

from cnnlib.figures import style
from cnnlib.figures.arithmetic import counted
from cnnlib.figures.convolution import write_formula
from cnnlib.figures.grids import draw_frame
from cnnlib.figures.training import draw_arrow
from cnnlib.windows import conv_output_size, explain_output_size, uncovered_size

CELL = 25  # room for a column's number at 11 px
WINDOWS = 3  # drawn: the last ones
RIGHT = style.MAX_WIDTH - style.MARGIN


def end_of_row(size, windows, channels=None):
    """Show where the last windows of the first layer end, and the sizes behind all layers.

    Parameters
    ----------
    size : int, input width
    windows : (filter_size, stride, pad) by name, in order; the first is drawn
    channels : int, after the last layer: how many numbers there are is written
    """
    name, (filter_size, stride, pad) = next(iter(windows.items()))
    count = conv_output_size(size, filter_size, stride, pad)
    unread = uncovered_size(size, filter_size, stride, pad)
    read_by_none = counted(unread, "column") if unread else "no column"
    canvas = style.Canvas(
        f"Width {size}, pad {pad}: {counted(count, 'window')}, {read_by_none} left over at the end"
    )
    ax, padded = canvas.ax, size + 2 * pad
    last = min(WINDOWS, count)
    shown = min(padded, filter_size + (last - 1) * stride + unread + 1)
    start, left, top = padded - shown, canvas.left, canvas.top + 30
    cell = min(CELL, (RIGHT - left) / shown)
    text = f"the last {shown} of {padded} columns of a row, padding included, numbered from 0"
    style.write(ax, left, top - 16, text, 12, style.MUTED)
    for k in range(start, padded):
        _draw_column(ax, left + (k - start) * cell, top, cell, k - pad, size, k >= padded - unread)
    y = top + cell + 10
    for place in range(count - last, count):
        x = left + (place * stride - start) * cell
        face, edge = style.tint("window", 0.12), style.ROLES["window"]
        ax.add_patch(Rectangle((x, y), filter_size * cell, 18, fc=face, ec=edge, lw=1.5))
        middle = x + filter_size * cell / 2
        style.write(ax, middle, y + 9, f"window {place + 1}", 11, align="center", gid="window")
        y += 24
    sentence = explain_output_size(size, filter_size, stride, pad, lines="columns")
    y, _ = write_formula(ax, left, y + 14, f"{name}: ", sentence, 800)
    right, y, sizes = _draw_chain(ax, canvas.left, y + 30, size, windows)
    end = ""
    if channels is not None:
        end = (
            f"{channels} maps of {sizes[-1]} x {sizes[-1]} = {channels * sizes[-1] ** 2:,} numbers"
        )
        style.write(ax, canvas.left, y, f"at the end: {end}", 13, weight="bold", gid="end")
        y += 22
    listed = ", ".join(f"{n} {s}" for n, s in zip(windows, sizes, strict=True))
    return canvas.finish(
        max(right, left + shown * cell, left + 800),
        y - 12,
        f"Width {size}, pad {pad}: {count} windows of {filter_size} in steps of {stride}, "
        f"{unread} columns at the end read by none; sizes behind the layers: {listed}"
        + (f"; {end}." if end else "."),
    )


def _draw_column(ax, x, top, cell, column, size, unread):
    """Draw one column of the row: padding pale and dashed, read by no window hatched."""
    outside = not 0 <= column < size
    role, strength, ls = ("padding", 0.12, (0, (3, 2))) if outside else ("input", 0.3, "-")
    face, edge = style.tint(role, strength), style.ROLES[role]
    ax.add_patch(Rectangle((x, top), cell, cell, fc=face, ec=edge, lw=0.8, ls=ls))
    text = "0" if outside else str(column)
    if unread:
        color = style.TEXT_COLORS["window"]
        draw_frame(ax, x, top, cell, cell, color, 1.2, hatch="////", gid="unread")
    elif style.text_width(text, 11) < cell:
        color = style.MUTED if outside else style.INK
        style.write(ax, x + cell / 2, top + cell / 2, text, 11, color, align="center")


def _draw_chain(ax, left, y, size, windows):
    """Draw the size behind each layer in boxes; return right end, next height and sizes."""
    width, gap, tall = 70, 18, 40
    pitch = min(width + gap, (RIGHT - left) / (len(windows) + 1))
    width = pitch - gap
    sizes, behind = [], size
    _draw_layer(ax, left, y, width, tall, "input", str(size), "input", 0)
    for k, (name, (filter_size, stride, pad)) in enumerate(windows.items(), start=1):
        unread = uncovered_size(behind, filter_size, stride, pad)
        behind = conv_output_size(behind, filter_size, stride, pad)
        sizes.append(behind)
        x = left + k * pitch
        draw_arrow(ax, [(x - gap + 2, y + tall / 2), (x - 2, y + tall / 2)])
        _draw_layer(ax, x, y, width, tall, name, str(behind), "output", unread)
    return left + (len(windows) + 1) * pitch - gap, y + tall + 34, sizes


def _draw_layer(ax, x, y, width, tall, name, text, role, unread):
    """Draw one layer as a box with its name and size, and what it leaves unread below."""
    face, edge, middle = style.tint(role, 0.25), style.ROLES[role], x + width / 2
    ax.add_patch(Rectangle((x, y), width, tall, fc=face, ec=edge, lw=1))
    style.write(ax, middle, y + 12, name, 11, style.MUTED, align="center")
    style.write(ax, middle, y + 28, text, 13, weight="bold", align="center", gid=name)
    if unread:
        color, note = style.TEXT_COLORS["window"], f"{unread} unread"
        style.write(ax, middle, y + tall + 12, note, 11, color, align="center")
