"""The static twin of the Window Explorer: its picture, which is plain data, drawn as a figure."""

import numpy as np
from matplotlib.patches import Rectangle

from cnnlib.figures import style
from cnnlib.figures.grids import LARGEST_CELL, SIGN, TITLE, Grid, draw_grid

ROOM = style.MAX_WIDTH - 2 * style.MARGIN
HEIGHT, TALLEST = 560, 680  # of one window, of all below each other
GAP = 14  # between two rows of a stack
GREEN = "#9bdc6a"  # the window in play
FEW = 4  # so many windows, and all of them are shown, one below the other
SIDES = [*range(LARGEST_CELL, 2, -1), *(3 / k for k in range(1, 30))]  # of a cell, to be tried


def draw(picture, step=0):
    """Draw a picture of the Window Explorer, as `cnnlib.widgets.window_picture` writes it.

    `step` is the window in play; a case of few windows shows all of them. Returns a Card.
    """
    count = picture["OH"] * picture["OW"]
    single = [[_with_grids(picture, picture["layout"], step)]]
    layout, sides = single, _fit(single, HEIGHT)
    shown = f"window {step + 1} of {count}"
    if picture["mode"] not in ("im2col", "backward") and picture["C"] == 1 and 1 < count <= FEW:
        several = [[_with_grids(picture, picture["layout"], k, True) for k in range(count)]]
        if _fit(several, TALLEST)[0] >= 16:  # else the numbers are not legible
            layout, sides, shown = several, _fit(several, TALLEST), f"all {count} windows"
    title = f"{picture['mode'].capitalize()}, {shown}: stride {picture['S']}, pad {picture['P']}"
    canvas = style.Canvas(title)
    wide, high = _size(layout, *sides)
    _draw(canvas.ax, layout, canvas.left, canvas.top + high / 2, *sides)
    right, y = canvas.left + wide, canvas.top + high + 26
    formula = (f"{a['letters']} = {a['numbers']}. {a['note']}" for a in picture["formula"])
    for line in (*formula, *picture["summary"]):
        y = style.paragraph(canvas.ax, canvas.left, y, line.strip(), ROOM, 13)
        right = max(right, canvas.left + min(ROOM, style.text_width(line, 13)))
    names = [f"{grid['name']} {grid['subtitle']}".strip() for grid in picture["grids"].values()]
    return canvas.finish(right, y - 14, "; ".join([title, *names, *picture["summary"]]) + ".")


def _with_grids(picture, item, step, filling=False):
    """Put a `Grid` with the marks of one window in place of each key of a layout."""
    if isinstance(item, list):
        return [_with_grids(picture, part, step, filling) for part in item]
    if item not in picture["grids"]:
        return item
    sent, kind, channel = picture["grids"][item], item.rstrip("0123456789"), item[-1]
    shape, pad, text = (sent["rows"], sent["columns"]), sent["pad"], sent["text"]
    corner = tuple(place * picture["S"] for place in divmod(step, picture["OW"]))
    marks = {"hatched": np.zeros(np.add(shape, 2 * pad), bool)}
    marks["hatched"][tuple(np.reshape(sent["hatched"], (-1, 2)).astype(int).T)] = True
    if kind in ("x", "dx"):
        marks["windows"] = [(*corner, picture["FH"], picture["FW"])]
    elif sent["matrix"]:
        marks["windows"] = [(step, 0, 1, sent["columns"])]
    elif kind in ("out", "dout"):
        marks["cells"] = [divmod(step, picture["OW"])]
    elif kind == "s":
        text = [picture["sums"][int(channel)][step]]
    if kind == "x" and "winners" in picture:
        inside = divmod(picture["winners"][int(channel)][step], picture["FW"])
        marks["marked"] = [tuple(np.add(corner, inside) - pad)]
    written = np.frombuffer(sent["shade"], np.int8).astype(str) if text is None else text
    values = np.array([float(number.replace("−", "-")) for number in written])
    if filling and kind == "out":
        values[step + 1 :] = np.nan
    letters = sent["subtitle"].rpartition(" = ")[0]
    grid = Grid(values.reshape(shape), sent["name"], sent["role"], letters, pad=pad, **marks)
    grid.ring, grid.is_matrix, grid.numbers = sent["ring"], sent["matrix"], text is not None
    if text is not None:  # a cell keeps its size, and its decimals, while the output is filling
        grid.decimals = max(len(number.partition(".")[2]) for number in text)
        widest = max(style.text_width(number, 11) for number in sent["text"]) + 5
        grid.smallest_cell = lambda: max(16, widest)
    return grid


def _side(grid, cell, matrix):
    """Return the side of a grid's cells: a small grid keeps its numbers legible."""
    if grid.is_matrix:
        return matrix
    least = grid.smallest_cell()
    return max(cell, least) if max(grid.rows, grid.columns) * least <= 150 else cell


def _size(item, cell, matrix, stack=False):
    """Return width and height of a layout: a row, in which a list is a stack of rows."""
    if isinstance(item, str):
        return SIGN, 20
    if isinstance(item, Grid):
        side = _side(item, cell, matrix)
        return max(item.title_width + 8, item.columns * side), TITLE + item.rows * side
    sizes = [_size(part, cell, matrix, not stack) for part in item]
    widths, heights = zip(*sizes, strict=True)
    tall = sum(heights) + GAP * (len(heights) - 1)
    return (max(widths), tall) if stack else (sum(widths), max(heights))


def _fit(layout, height):
    """Return the largest sides of a cell, and of one of a matrix, with which everything fits."""
    for cell in SIDES:  # a matrix may be finer than the other grids, down to half of their cells
        for matrix in (side for side in SIDES if cell >= side >= min(cell, 16) / 8):
            wide, high = _size(layout, cell, matrix)
            if wide <= ROOM and high <= height:
                return cell, matrix
    return SIDES[-1], SIDES[-1]


def _draw(ax, item, left, middle, cell, matrix, stack=False):
    """Draw a layout around a line at height `middle`."""
    wide, high = _size(item, cell, matrix, stack)
    if isinstance(item, list):
        y = middle - high / 2
        for part in item:
            part_wide, part_high = _size(part, cell, matrix, not stack)
            at = y + part_high / 2 if stack else middle
            _draw(ax, part, left, at, cell, matrix, not stack)
            y, left = y + part_high + GAP, left + (0 if stack else part_wide)
    elif isinstance(item, str):
        style.write(ax, left + wide / 2, middle + TITLE / 2, item, 20, style.MUTED, align="center")
    else:
        side = _side(item, cell, matrix)
        x, y = round(left + (wide - item.columns * side) / 2), round(middle - high / 2 + TITLE)
        draw_grid(ax, item, x, y, side)
        cells = [(row + item.pad, column + item.pad, 1, 1) for row, column in item.cells]
        for row, column, height, width in (*item.windows, *cells):
            place = (x + column * side, y + row * side)
            area = Rectangle(place, width * side, height * side, fc=GREEN, alpha=0.5, zorder=1.5)
            ax.add_patch(area)
