"""Grids of numbers, the letters of this chapter's pictures.

A `Grid` says what is shown: numbers, name, role, and what is to be marked. `draw_grid` draws one
at a place with a cell size, and `draw_row` draws several in a line with signs between them, all
with cells of one size. A grid too large for legible numbers is drawn as an image.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.patches import Circle, PathPatch, Rectangle
from matplotlib.path import Path
from matplotlib.patheffects import withStroke

from cnnlib.figures import style
from cnnlib.windows import add_windows, sliding_windows

TITLE = 40  # height of the two lines above a grid: name, and letters with shape
SIGN = 44  # room for a sign between two grids
LARGEST_CELL = 40


@dataclass
class Grid:
    """What a grid shows.

    Parameters
    ----------
    values : array_like, shape (rows, columns)
        Numbers; NaN is a cell still empty.
    name : str
        First line of the title, such as "input x"; "" for no title.
    role : str
        Key of `style.ROLES`, which gives the colour.
    letters : str, optional
        The shape in letters, written with the numbers of `shape`; "(H, W)", or with padding
        "(H + 2P, W + 2P)", where left out, and "" for none.
    shape : tuple of int, optional
        Written after the letters; the shape of what is drawn where left out.
    pad : int
        Width of the padding ring around the values.
    ring : str
        Written small into each padding cell: "0", or "" for a ring without numbers.
    windows : list of (row, column, height, width)
        Outlined in vermilion; the first with a full line, further ones dashed. Rows and columns
        count from the corner of the padding.
    cells : list of (row, column)
        Outlined likewise: the cells of the output that belong to the windows.
    marked : list of (row, column)
        Framed in the colour of the output, their numbers bold: what becomes the output.
    hatched : array_like of bool, shape (rows, columns) with padding, optional
        Cells to hatch: those that no window reads.
    strengths : array_like of float, same shape as `values`, optional
        How deep each cell is coloured, 0 to 1; 0.25 everywhere where left out.
    numbers : bool
        Whether numbers are written, where the cells are large enough.
    """

    values: np.ndarray
    name: str = ""
    role: str = "input"
    letters: str | None = None
    shape: tuple | None = None
    pad: int = 0
    ring: str = "0"
    windows: tuple = ()
    cells: tuple = ()
    marked: tuple = ()
    hatched: np.ndarray | None = None
    strengths: np.ndarray | None = None
    numbers: bool = True

    def __post_init__(self):
        self.values = np.asarray(self.values, dtype=float)
        self.rows = self.values.shape[0] + 2 * self.pad
        self.columns = self.values.shape[1] + 2 * self.pad
        self.shape = (self.rows, self.columns) if self.shape is None else tuple(self.shape)
        if self.letters is None:
            self.letters = "(H + 2P, W + 2P)" if self.pad else "(H, W)"
        self.decimals = style.decimals_needed(self.values)

    @property
    def subtitle(self):
        """Letters and shape, such as "(H, W) = (4, 4)"."""
        return f"{self.letters} = {style.shape_text(self.shape)}" if self.letters else ""

    @property
    def title_width(self):
        """Width of the wider line of the title in pixels."""
        if not self.name:
            return 0
        return max(style.text_width(self.name, 13, "bold"), style.text_width(self.subtitle, 12))

    def slot(self, cell):
        """Return the width of the grid with its title, in pixels."""
        return max(self.columns * cell, self.title_width)

    def text(self, row, column):
        """Return the number in a cell as it is written, "" for an empty cell."""
        value = self.values[row, column]
        return style.format_number(value, self.decimals) if np.isfinite(value) else ""

    def smallest_cell(self):
        """Return the smallest cell, in pixels, which holds each number at 11 px."""
        if not self.numbers:
            return 1
        finite = self.values[np.isfinite(self.values)]
        if not finite.size:
            return 14
        ends = (finite.min(), finite.max())
        texts = [style.format_number(v, self.decimals) for v in ends]
        return max(16, max(style.text_width(t, 11) for t in texts) + 5)


class Box(NamedTuple):
    """Where a drawn thing is, in pixels."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def middle(self):
        """Height of the centre."""
        return (self.top + self.bottom) / 2


def count_reads(shape, filter_shape, stride=1, pad=0):
    """Count, for each cell of a padded input, the windows that read it: (H + 2*P, W + 2*P)."""
    padded = (1, 1, *(size + 2 * pad for size in shape))
    windows = sliding_windows(np.ones(padded), *filter_shape, stride)
    return add_windows(windows, padded, stride)[0, 0]


def fit(grids, width, height=460, signs=0):
    """Choose the largest cell with which grids fit side by side: at most 40 px, whole above 1.

    Parameters
    ----------
    grids : list of Grid
    width, height : float, room in pixels, titles not counted in the height
    signs : int, number of signs between the grids
    """
    room = width - SIGN * signs
    rows = max(g.rows for g in grids)
    sizes = [*range(LARGEST_CELL, 0, -1), *(1 / k for k in range(2, 20))]
    for cell in sizes:
        wide = sum(max(g.columns * cell, g.title_width) for g in grids)
        if wide <= room and rows * cell <= height:
            return cell
    return sizes[-1]


def fit_legible(grids, width, height, tallest, signs=0):
    """Choose cells as `fit` does; up to `tallest` where only that keeps the numbers legible."""
    cell = fit(grids, width, height, signs)
    needed = int(np.ceil(max(grid.smallest_cell() for grid in grids)))
    return needed if cell < needed <= fit(grids, width, tallest, signs) else cell


def draw_row(ax, items, left, top, cell):
    """Draw grids and signs such as "=" in a line, centered in height; return their boxes."""
    grids = [item for item in items if isinstance(item, Grid)]
    titled = TITLE if any(g.name for g in grids) else 0
    middle = top + titled + max(g.rows for g in grids) * cell / 2
    boxes = []
    for item in items:
        if isinstance(item, Grid):
            boxes.append(draw_centered(ax, item, left, middle, cell))
            left += item.slot(cell)
        else:
            draw_sign(ax, left + SIGN / 2, middle, item)
            boxes.append(Box(left, middle, left + SIGN, middle))
            left += SIGN
    return boxes


def draw_line(ax, grids, left, top, cell, gap):
    """Draw grids in a line, `gap` apart; return their boxes, and where the line ends."""
    boxes = []
    for grid in grids:
        boxes += draw_row(ax, [grid], left, top, cell)
        left += grid.slot(cell) + gap
    return boxes, left - gap


def draw_sign(ax, x, y, text):
    """Write a sign between grids."""
    style.write(ax, x, y, text, 20, style.MUTED, align="center")


def draw_centered(ax, grid, left, middle, cell):
    """Draw a grid below its title from `left` on, its cells centered at the height `middle`."""
    at = round(left + (grid.slot(cell) - grid.columns * cell) / 2)
    return draw_grid(ax, grid, at, round(middle - grid.rows * cell / 2), cell)


def draw_frame(ax, left, top, width, height, color, lw=2.2, **look):
    """Draw an empty frame."""
    look = {"fill": False, "ec": color, "lw": lw, **look}
    ax.add_patch(Rectangle((left, top), width, height, **look))


def draw_box(ax, box, role, strength=0.25, edge=0.75):
    """Fill a box with a tint of a role, in a frame of the same color."""
    size = box.right - box.left, box.bottom - box.top
    face, edge = style.tint(role, strength), style.tint(role, edge)
    ax.add_patch(Rectangle(box[:2], *size, fc=face, ec=edge, lw=0.8))


def draw_picture(ax, grid, left, top, cell, colors, low, high):
    """Draw the numbers of a grid as an image, with its title; return its box."""
    box = draw_image(ax, grid.values, left, top, cell, colors, low, high)
    draw_title(ax, grid, box)
    return box


def draw_lattice(ax, left, top, cell, fills, role, width):
    """Draw square cells in colors (rows, columns) of matplotlib."""
    y, x = np.mgrid[0 : len(fills), 0 : len(fills[0])]
    corners = np.array([(0, 0), (1, 0), (1, 1), (0, 1)]) * cell
    squares = np.stack([left + x * cell, top + y * cell], -1).reshape(-1, 1, 2) + corners
    look = {"edgecolors": style.tint(role, 0.75), "linewidths": width}
    fills = np.reshape(fills, (len(squares), -1))
    ax.add_collection(PolyCollection(squares, facecolors=fills, **look), autolim=False)


def draw_sum(ax, boxes, bus, end):
    """Lead lines from boxes into one plus at `bus`, and on to `end`; return their height."""
    middle = (boxes[0].middle + boxes[-1].middle) / 2
    lines = [((box.right + 4, box.middle), (bus, box.middle)) for box in boxes]
    lines += [((bus, boxes[0].middle), (bus, boxes[-1].middle)), ((bus, middle), (end, middle))]
    ax.add_collection(LineCollection(lines, colors=style.LINE, linewidths=1.4), autolim=False)
    ax.add_patch(Circle((bus, middle), 11, fc="white", ec=style.LINE, lw=1.4, zorder=3))
    style.write(ax, bus, middle, "+", 18, style.MUTED, align="center", zorder=4)


def draw_grid(ax, grid, left, top, cell):
    """Draw a grid, its cells at `left` and `top`, its title above; return the box of its cells."""
    box = Box(left, top, left + grid.columns * cell, top + grid.rows * cell)
    draw_title(ax, grid, box)
    numbered = grid.numbers and cell >= grid.smallest_cell()
    if grid.pad:
        _draw_ring(ax, grid, box, cell, numbered)
    inner = (left + grid.pad * cell, top + grid.pad * cell)
    flat = not grid.numbers or grid.strengths is not None  # colours do not stand for numbers
    if numbered or (flat and cell >= 6 and grid.values.size <= 1600):
        _draw_cells(ax, grid, *inner, cell)
    else:
        _draw_image(ax, grid, *inner, cell)
    if numbered:
        _draw_numbers(ax, grid, *inner, cell)
    if grid.hatched is not None and np.any(grid.hatched):
        _draw_hatching(ax, grid, box, cell)
    for row, column in grid.marked if cell >= 6 else ():
        corner = (inner[0] + column * cell, inner[1] + row * cell)
        frame = Rectangle(corner, cell, cell, fill=False, ec=style.TEXT_COLORS["output"], lw=1.6)
        if not numbered:  # a dark frame on a cell as dark as that needs a light seam
            frame.set_path_effects([withStroke(linewidth=3.6, foreground="white")])
        ax.add_patch(frame)
    for k, (row, column, height, width) in enumerate(grid.windows):
        _outline(ax, left + column * cell, top + row * cell, width * cell, height * cell, k)
    for k, (row, column) in enumerate(grid.cells):
        _outline(ax, inner[0] + column * cell, inner[1] + row * cell, cell, cell, k)
    return box


def draw_title(ax, grid, box):
    """Write the name of a grid, and its letters with its shape, above a box."""
    if grid.name:
        middle = (box.left + box.right) / 2
        color = style.TEXT_COLORS[grid.role]
        style.write(ax, middle, box.top - 29, grid.name, 13, color, "bold", "center")
        style.write(ax, middle, box.top - 12, grid.subtitle, 12, style.MUTED, align="center")


def draw_image(ax, values, left, top, cell, colors, low, high, frame=style.LINE):
    """Draw numbers as an image in a thin frame, NaN white, and return its box."""
    rows, columns = values.shape
    box = Box(left, top, left + columns * cell, top + rows * cell)
    ax.imshow(
        values,
        cmap=colors,
        vmin=low,
        vmax=high if high > low else low + 1,
        extent=(box.left, box.right, box.bottom, box.top),
        interpolation="nearest",
        aspect="auto",
        zorder=0.8,
    )
    ax.add_patch(Rectangle((left, top), columns * cell, rows * cell, fill=False, ec=frame, lw=0.8))
    return box


def _draw_cells(ax, grid, left, top, cell):
    """Fill each cell with a tint of the role; leave empty cells white."""
    strengths = 0.25 if grid.strengths is None else np.asarray(grid.strengths, dtype=float)
    strengths = np.where(np.isfinite(grid.values), strengths, 0)
    fills = 1 - strengths[..., np.newaxis] * (1 - np.array(style.to_rgb(style.ROLES[grid.role])))
    draw_lattice(ax, left, top, cell, fills, grid.role, 0.8 if cell >= 12 else 0.4)


def _draw_image(ax, grid, left, top, cell):
    """Draw the values as an image in the colours of the role, signed values as diverging."""
    finite = grid.values[np.isfinite(grid.values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0, 1)
    colors = style.sequential(grid.role)
    if low < 0:
        high = max(-low, high)
        low, colors = -high, style.DIVERGING
    draw_image(ax, grid.values, left, top, cell, colors, low, high, style.ROLES[grid.role])


def _draw_numbers(ax, grid, left, top, cell):
    """Write the numbers, those of outlined and marked cells in bold."""
    bold = {*grid.cells, *grid.marked}
    size = 13 if cell >= max(26, grid.smallest_cell() + 4) else 11
    for row, column in np.ndindex(grid.values.shape):
        text = grid.text(row, column)
        if text:
            x, y = left + (column + 0.5) * cell, top + (row + 0.5) * cell
            weight = "bold" if (row, column) in bold else "normal"
            gid = f"{grid.name}[{row},{column}]"  # lets a test find the number
            style.write(ax, x, y, text, size, weight=weight, align="center", gid=gid)


def _draw_ring(ax, grid, box, cell, numbered):
    """Draw the padding: pale, dashed, with small gray zeros."""
    face, size = style.tint("padding", 0.12), (grid.columns * cell, grid.rows * cell)
    ax.add_patch(Rectangle(box[:2], *size, fc=face, ec="none", zorder=0.4))  # under the cells
    xs = [box.left + k * cell for k in range(grid.columns + 1)]
    ys = [box.top + k * cell for k in range(grid.rows + 1)]
    if cell < 6:  # inner lines would be a gray mass
        xs, ys = [xs[0], xs[-1]], [ys[0], ys[-1]]
    lines = [((x, box.top), (x, box.bottom)) for x in xs]
    lines += [((box.left, y), (box.right, y)) for y in ys]
    look = {"linewidths": 0.8, "linestyles": [(0, (3, 2))], "zorder": 0.5}
    ax.add_collection(LineCollection(lines, colors=style.ROLES["padding"], **look), autolim=False)
    if numbered and grid.ring:
        blank = np.pad(np.ones(grid.values.shape, bool), grid.pad)
        if grid.hatched is not None:
            blank |= grid.hatched
        for row, column in np.argwhere(~blank):
            x, y = box.left + (column + 0.5) * cell, box.top + (row + 0.5) * cell
            style.write(ax, x, y, grid.ring, 11, style.TEXT_COLORS["padding"], align="center")


def _draw_hatching(ax, grid, box, cell):
    """Hatch the cells that no window reads, as one area."""
    square = cell * np.array([(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)])
    corners = np.argwhere(grid.hatched)[:, ::-1] * cell + (box.left, box.top)
    squares = [Path(square + corner, closed=True) for corner in corners]
    area = Path.make_compound_path(*squares)
    ax.add_patch(PathPatch(area, fc=(1, 1, 1, 0.5), ec="#7b8794", hatch="////", lw=0))


def _outline(ax, x, y, width, height, order):
    """Outline in vermilion: the first with a full line, further ones dashed."""
    lw, ls = (1.8, (0, (2.5, 1.5))) if order else (2.4, "-")
    look = {"ls": ls, "joinstyle": "miter", "zorder": 5 - order}
    draw_frame(ax, x, y, width, height, style.ROLES["window"], lw, **look)
