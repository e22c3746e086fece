"""The static twin of the Window Explorer: its picture, which is plain data, drawn as a figure."""

import numpy as np

from cnnlib.figures import style
from cnnlib.figures.grids import LARGEST_CELL, SIGN, TITLE, Grid, draw_frame, draw_grid, draw_sign

ROOM = style.MAX_WIDTH - 2 * style.MARGIN
HEIGHT, TALLEST = 560, 680  # of one window, of all below each other
GAP, APART = 14, 8  # between two rows of a table, and its columns
FEW = 4  # so many windows, and all of them are shown, one below the other
SIDES = [*range(LARGEST_CELL, 2, -1), *(3 / k for k in range(1, 30))]  # of a cell, to be tried


def draw(picture, step=0):
    """Draw a picture of the Window Explorer, as `cnnlib.widgets.window_picture` writes it.

    `step` is what is in play; a case of few windows shows all of them. Returns a Card.
    """
    sizes, steps = picture["sizes"], picture["steps"]
    count = picture["count"]
    unit = "element" if "said" in picture else "window"
    items = _with_grids(picture, picture["layout"], step)
    signs = [k for k, item in enumerate(items) if isinstance(item, str)]
    layouts = [[items], *([[[items[:k]]], [[items[k:]]]] for k in signs)]  # in one line, or in two
    layout, *sides = _fit(layouts, HEIGHT)
    each = count // sizes["f"] if steps.startswith("f") else count  # windows, for each filter
    shown = f"{unit} {step % each + 1} of {each}"
    shown += f", filter {step // each + 1} of {sizes['f']}" if each < count else ""
    plain = steps == "pq" and not any(grid["matrix"] for grid in picture["grids"].values())
    if plain and sizes["c"] == 1 and 1 < count <= FEW:
        several = [_with_grids(picture, picture["layout"], k, True) for k in range(count)]
        found = _fit([several], TALLEST)
        if _legible(*found):
            layout, *sides = found
            shown = f"all {count} windows"
    title = f"{picture['mode'].capitalize()}, {shown}: stride {picture['stride']}"
    title += f", pad {picture['pad']}"
    canvas = style.Canvas(title)
    wide, high = _size(layout, *sides)
    _draw(canvas.ax, layout, canvas.left, canvas.top, *sides)
    right, y = canvas.left + wide, canvas.top + high + 26
    lines = [f"{a['letters']} = {a['numbers']}. {a['note']}" for a in picture["formula"]]
    for line in (*picture.get("said", {step: ()})[step], *lines, *picture["summary"]):
        y = style.paragraph(canvas.ax, canvas.left, y, line.strip(), ROOM, 13)
        right = max(right, canvas.left + min(ROOM, style.text_width(line, 13)))
    names = [f"{grid['name']} {grid['subtitle']}".strip() for grid in picture["grids"].values()]
    return canvas.finish(right, y - 14, "; ".join([title, *names, *picture["summary"]]) + ".")


def _with_grids(picture, item, step, filling=False):
    """Put a `Grid` with what is lit at one step in place of each key of a layout."""
    if isinstance(item, list):
        return [_with_grids(picture, part, step, filling) for part in item]
    if item not in picture["grids"]:
        return item
    sent, sizes, steps = picture["grids"][item], picture["sizes"], picture["steps"]
    values = np.unravel_index(step, [sizes[index] for index in steps])
    meeting = dict(zip(steps, map(int, values), strict=True))
    shape, pad, text = (sent["rows"], sent["columns"]), sent["pad"], sent["text"]
    hatched = np.zeros(np.add(shape, 2 * pad), bool)
    hatched[tuple(np.reshape(sent["hatched"], (-1, 2)).astype(int).T)] = True
    marked = []
    if sent["tensor"] == "x" and "winners" in picture:
        inside = divmod(picture["winners"][sent["fixed"].get("c", 0)][step], sizes["j"])
        corner = meeting["p"] * picture["stride"], meeting["q"] * picture["stride"]
        marked = [tuple(np.add(corner, inside) - pad)]
    written = np.frombuffer(sent["shade"], np.int8).astype(str) if text is None else text
    values = np.array([float(number.replace("−", "-")) for number in written])
    if filling and sent["step"] == "fills":
        values[step + 1 :] = np.nan
    letters = sent["subtitle"].rpartition(" = ")[0]
    grid = Grid(values.reshape(shape), sent["name"], sent["role"], letters, pad=pad)
    grid.hatched, grid.marked, grid.lit = hatched, marked, _lit(sent, sizes, meeting)
    grid.above = TITLE if sent["subtitle"] else TITLE // 2
    grid.ring, grid.is_matrix, grid.numbers = sent["ring"], sent["matrix"], text is not None
    if "tints" in sent:
        tints = np.repeat(sent["tints"], shape[1] // len(sent["tints"])) / 100
        grid.strengths = np.broadcast_to(tints, shape)
    if text is not None:  # a cell keeps its size, and its decimals, while the output is filling
        grid.decimals = max(len(number.partition(".")[2]) for number in text)
        widest = max(style.text_width(number, 11) for number in sent["text"]) + 5
        grid.smallest_cell = lambda: max(16, widest)
    return grid


def _lit(sent, sizes, meeting):
    """Return what a step lights up in a grid, as the browser does: (row, column, height, width)."""
    own = {**sent["row"], **sent["column"], **sent["fixed"]}
    if not own.keys() & meeting or any(meeting.get(k, v) != v for k, v in sent["fixed"].items()):
        return []
    runs = []
    for steps in (sent["row"], sent["column"]):
        places = np.zeros(1, int)
        for index, by in steps.items():
            known = [meeting[index]] if index in meeting else range(sizes[index])
            places = np.add.outer(places, by * np.array(known)).ravel()
        places = np.unique(places)
        parts = np.split(places, np.flatnonzero(np.diff(places) > 1) + 1)
        runs.append([(int(part[0]), len(part)) for part in parts])
    return [(row, column, high, wide) for row, high in runs[0] for column, wide in runs[1]]


def _side(grid, cell, matrix):
    """Return the side of a grid's cells: a small grid keeps its numbers legible."""
    if grid.is_matrix:
        return matrix
    least = grid.smallest_cell()
    return max(cell, least) if max(grid.rows, grid.columns) * least <= 150 else cell


def _table(item, cell, matrix):
    """Return the widths of the columns of a table and the heights of its rows."""
    sizes = [[_size(part, cell, matrix) for part in row] for row in item]
    longest = max(map(len, item))
    widths = [max(row[k][0] for row in sizes if k < len(row)) for k in range(longest)]
    return widths, [max(high for _, high in row) for row in sizes]


def _size(item, cell, matrix):
    """Return width and height of a grid, of a sign, or of a table: a list of rows of these."""
    if isinstance(item, str):
        return SIGN, 20
    if isinstance(item, Grid):
        side = _side(item, cell, matrix)
        return max(item.title_width + 8, item.columns * side), item.above + item.rows * side
    widths, heights = _table(item, cell, matrix)
    return sum(widths) + APART * (len(widths) - 1), sum(heights) + GAP * (len(heights) - 1)


def _legible(item, cell, matrix):
    """Whether the numbers of all grids are written."""
    if isinstance(item, Grid):
        return not item.numbers or _side(item, cell, matrix) >= item.smallest_cell()
    return isinstance(item, str) or all(_legible(part, cell, matrix) for part in item)


def _fit(layouts, height):
    """Return the first layout that fits with legible numbers, or the first with the largest cells.

    With it come the sides of a cell, and of one of a matrix, which may be finer than the others.
    """
    for layout in layouts:
        for cell in (side for side in SIDES if side >= 16):
            for matrix in (side for side in SIDES if cell >= side >= 16):
                if _fits(layout, cell, matrix, height) and _legible(layout, cell, matrix):
                    return layout, cell, matrix
    for cell in SIDES:
        for matrix in (side for side in SIDES if cell >= side >= min(cell, 16) / 8):
            for layout in layouts:
                if _fits(layout, cell, matrix, height):
                    return layout, cell, matrix
    return layouts[0], SIDES[-1], SIDES[-1]


def _fits(layout, cell, matrix, height):
    wide, high = _size(layout, cell, matrix)
    return wide <= ROOM and high <= height


def _draw(ax, item, left, top, cell, matrix, above=TITLE):
    """Draw a grid, a sign below titles of a height, or a table with each part in its middle."""
    wide, high = _size(item, cell, matrix)
    if isinstance(item, list):
        widths, heights = _table(item, cell, matrix)
        for row, tall in zip(item, heights, strict=True):
            x = left
            titles = [part.above for part in row if isinstance(part, Grid)] or [TITLE]
            for part, room in zip(row, widths, strict=False):
                part_wide, part_high = _size(part, cell, matrix)
                place = x + (room - part_wide) / 2, top + (tall - part_high) / 2
                _draw(ax, part, *place, cell, matrix, max(titles))
                x += room + APART
            top += tall + GAP
    elif isinstance(item, str):
        draw_sign(ax, left + wide / 2, top + high / 2 + above / 2, item)
    else:
        side = _side(item, cell, matrix)
        x, y = round(left + (wide - item.columns * side) / 2), round(top + item.above)
        draw_grid(ax, item, x, y, side)
        for row, column, height, width in item.lit:
            place, size = (x + column * side, y + row * side), (width * side, height * side)
            color, face = style.ROLES["window"], style.IN_PLAY + "80"
            draw_frame(ax, *place, *size, color, 2.4, face, joinstyle="miter", zorder=1.5)
