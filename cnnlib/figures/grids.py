"""Grids of numbers, the letters of this chapter's pictures; how their numbers are put in words.

A `Grid` says what is shown. `draw_grid` draws one at a place with a cell size, `draw_row` several
in a line, with signs between them. A grid too large for legible numbers is drawn as an image.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.patches import Circle, PathPatch, Rectangle
from matplotlib.path import Path
from matplotlib.patheffects import withStroke

from cnnlib.figures import style
from cnnlib.windows import add_windows, sliding_windows

ROOM = style.MAX_WIDTH - 2 * style.MARGIN
TITLE = 40  # height of the two lines above a grid: name, and letters with shape
SIGN = 44  # room for a sign between two grids
BEHIND = 12  # from a grid to the one behind it
LARGEST_CELL = 40


@dataclass
class Grid:
    """What a grid shows.

    Parameters
    ----------
    values : (rows, columns), numbers; NaN is a cell still empty
    name : str, first line of the title, such as "input x"; "" for no title
    role : str, key of `style.ROLES`, which gives the color
    letters : str, the shape in letters, "(H, W)" or "(H + 2P, W + 2P)" if left out, "" for none
    shape : tuple of int, written after the letters; the shape of what is drawn if left out
    pad, ring : width of the padding ring around the values, and what is written into its cells
    windows : list of (row, column, height, width), outlined: the first with a full line, further
        ones dashed; rows and columns count from the corner of the padding
    cells : list of (row, column), outlined likewise: the outputs that belong to the windows
    marked : list of (row, column), framed in the color of the output: what becomes the output
    hatched : bool, (rows, columns) with padding: cells that no window reads
    strengths : number, or (rows, columns), how deep cells are colored, 0 to 1; 0.25 if left out
    numbers : bool, whether numbers are written, where the cells are large enough
    behind : int, how many empty grids are drawn behind this one
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
    behind: int = 0

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

    @cached_property
    def title_width(self):
        """Width of the wider line of the title in pixels."""
        if not self.name:
            return 0
        return max(style.text_width(self.name, 13, "bold"), style.text_width(self.subtitle, 12))

    def slot(self, cell):
        """Return the width of the grid with its title, in pixels."""
        return max(self.columns * cell + BEHIND * self.behind, self.title_width)

    def text(self, row, column):
        """Return the number in a cell as it is written, "" for an empty cell."""
        value = self.values[row, column]
        return style.format_number(value, self.decimals) if np.isfinite(value) else ""

    def smallest_cell(self):
        """Return the smallest cell, in pixels, which holds each number at 11 px."""
        finite = self.values[np.isfinite(self.values)]
        if not (self.numbers and finite.size):
            return 14 if self.numbers else 1
        texts = [style.format_number(v, self.decimals) for v in (finite.min(), finite.max())]
        return max(16, max(style.text_width(t, 11) for t in texts) + 5)


class Box(NamedTuple):
    """Where a drawn thing is, in pixels."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def middle(self):
        """Height of the center."""
        return (self.top + self.bottom) / 2

    @property
    def center(self):
        """Middle of the width."""
        return (self.left + self.right) / 2


def plane(values, name):
    """Return a 2-D float array, or raise ValueError."""
    values = np.asarray(values, dtype=float)
    if values.ndim != 2:
        raise ValueError(f"{name} must be 2-D, (height, width), got shape {values.shape}")
    return values


def convolve(x, W, b, stride, pad):
    """Return the windows (C, FH, FW, OH, OW) of one image, and the output map (OH, OW)."""
    windows = sliding_windows(x[np.newaxis], *W.shape[1:], stride, pad)[0]
    return windows, np.einsum("cijpq,cij->pq", windows, W) + b


def count_reads(shape, filter_shape, stride=1, pad=0):
    """Count, for each cell of a padded input, the windows that read it: (H + 2*P, W + 2*P)."""
    padded = (1, 1, *(size + 2 * pad for size in shape))
    windows = sliding_windows(np.ones(padded), *filter_shape, stride)
    return add_windows(windows, padded, stride)[0, 0]


def by(shape):
    """Write a shape as "4 x 4"."""
    return " x ".join(map(str, shape))


def counted(number, noun):
    """Write "1 number", "2 numbers"."""
    return f"{number} {noun}{'s' * (number != 1)}"


def times_as(ratio, what):
    """Write "2.5 times as many", and "as many" for 1."""
    text = style.ratio_text(ratio)
    return f"as {what}" if text == "1" else f"{text} times as {what}"


def fit(grids, width, height=460, signs=0, tallest=0):
    """Choose the largest cell with which grids fit beside each other, with signs between them.

    It has at most 40 pixels, and above 1 a whole number; titles do not count in the height, which
    grows up to `tallest` where only that keeps the numbers legible.
    """
    sizes = [*range(LARGEST_CELL, 0, -1), *(1 / k for k in range(2, 20))]
    cell = sizes[-1]
    for cell in sizes:
        wide = sum(grid.slot(cell) for grid in grids) + SIGN * signs
        if wide <= width and max(grid.rows for grid in grids) * cell <= height:
            break
    needed = int(np.ceil(max(grid.smallest_cell() for grid in grids))) if tallest else 0
    return needed if cell < needed <= fit(grids, width, tallest, signs) else cell


def draw_items(canvas, items, top=None, gap=0, most=LARGEST_CELL, room=ROOM, **limits):
    """Draw grids and signs in a line, as large as they fit; return their boxes and the bottom."""
    grids = [item for item in items if isinstance(item, Grid)]
    room -= gap * (len(grids) - 1)
    cell = min(most, fit(grids, room, signs=len(items) - len(grids), **limits))
    top = canvas.top if top is None else top
    boxes = draw_row(canvas.ax, items, canvas.left, top, cell, gap)
    widths = [item.slot(cell) + gap if isinstance(item, Grid) else SIGN for item in items]
    canvas.right = max(canvas.right, canvas.left + sum(widths) - gap)
    return boxes, max(box.bottom for box in boxes)


def draw_row(ax, items, left, top, cell, gap=0):
    """Draw grids and signs such as "=" in a line, centered in height; return their boxes."""
    grids = [item for item in items if isinstance(item, Grid)]
    above = (TITLE if any(g.name for g in grids) else 0) + BEHIND * max(g.behind for g in grids)
    middle = top + above + max(g.rows for g in grids) * cell / 2
    boxes = []
    for item in items:
        if isinstance(item, Grid):
            wide = item.columns * cell + BEHIND * item.behind
            x, y = left + (item.slot(cell) - wide) / 2, middle - item.rows * cell / 2
            boxes.append(draw_grid(ax, item, round(x), round(y), cell))
            left += item.slot(cell) + gap
        else:
            draw_sign(ax, left + SIGN / 2, middle, item)
            boxes.append(Box(left, middle, left + SIGN, middle))
            left += SIGN
    return boxes


def draw_headings(ax, left, top, wide, tall, columns, rows):
    """Write names above the columns and before the rows of a table."""
    for k, name in enumerate(columns):
        style.write(ax, left + (k + 0.5) * wide, top - 13, str(name), align="center")
    for k, name in enumerate(rows):
        style.write(ax, left - 11, top + (k + 0.5) * tall, str(name), align="right")


def draw_sign(ax, x, y, text):
    """Write a sign between grids."""
    style.write(ax, x, y, text, 20, style.MUTED, align="center")


def draw_frame(ax, left, top, width, height, color, lw=2.2, face="none", **look):
    """Draw a frame, filled with the color `face`."""
    ax.add_patch(Rectangle((left, top), width, height, fc=face, ec=color, lw=lw, **look))


def draw_box(ax, box, role, strength=0.25, edge=0.75):
    """Fill a box with a tint of a role, in a frame of the same color."""
    face, edge = style.tint(role, strength), style.tint(role, edge)
    draw_frame(ax, *box[:2], box.right - box.left, box.bottom - box.top, edge, 0.8, face)


def draw_share(ax, left, top, width, height, share):
    """Draw a share of a whole as a bar in the color of what is learnt."""
    draw_frame(ax, left, top, width, height, "none", 0, "#edf0f2", gid="track")
    draw_frame(ax, left, top, width * share, height, "none", 0, style.ROLES["filter"], gid="share")


def draw_arrow(ax, path):
    """Draw a line through points, with a head at its end."""
    ax.plot(*np.transpose(path[:-1]), color=style.MUTED, lw=1.1, solid_joinstyle="miter")
    look = {"arrowstyle": "-|>", "color": style.MUTED, "lw": 1.1, "mutation_scale": 10}
    ax.annotate("", path[-1], path[-2], arrowprops=look | {"shrinkA": 0, "shrinkB": 0})


def draw_sum(ax, boxes, bus, end):
    """Lead lines from boxes into one plus at `bus`, and on to `end`; return their height."""
    middle = (boxes[0].middle + boxes[-1].middle) / 2
    lines = [((box.right + 4, box.middle), (bus, box.middle)) for box in boxes]
    lines += [((bus, boxes[0].middle), (bus, boxes[-1].middle)), ((bus, middle), (end, middle))]
    ax.add_collection(LineCollection(lines, colors=style.LINE, linewidths=1.4), autolim=False)
    ax.add_patch(Circle((bus, middle), 11, fc="white", ec=style.LINE, lw=1.4, zorder=3))
    style.write(ax, bus, middle, "+", 18, style.MUTED, align="center", zorder=4)


def draw_lattice(ax, left, top, wide, tall, fills, edge, lw=0.8):
    """Draw the cells of a table in colors (rows, columns, 3 or 4)."""
    y, x = np.mgrid[0 : len(fills), 0 : len(fills[0])]
    corners = np.stack([left + x * wide, top + y * tall], -1).reshape(-1, 1, 2)
    cells = corners + np.multiply([(0, 0), (1, 0), (1, 1), (0, 1)], (wide, tall))
    look = {"edgecolors": edge, "linewidths": lw, **style.NO_MAP}
    fills = np.reshape(fills, (len(cells), -1))
    ax.add_collection(PolyCollection(cells, facecolors=fills, **look), autolim=False)


def draw_picture(ax, grid, left, top, cell, colors, low, high):
    """Draw the numbers of a grid as an image, with its title; return its box."""
    box = draw_image(ax, grid.values, left, top, cell, colors, low, high)
    draw_title(ax, grid, box)
    return box


def draw_image(ax, values, left, top, cell, colors, low, high, frame=style.LINE):
    """Draw numbers as an image in a thin frame, NaN white, and return its box."""
    rows, columns = values.shape
    box = Box(left, top, left + columns * cell, top + rows * cell)
    style.Cells(ax, values, colors, low, high if high > low else low + 1, box)
    draw_frame(ax, left, top, columns * cell, rows * cell, frame, 0.8)
    return box


def draw_title(ax, grid, box):
    """Write the name of a grid, and its letters with its shape, above a box."""
    if grid.name:
        color = style.TEXT_COLORS[grid.role]
        y = box.top - (29 if grid.letters else 14)
        style.write(ax, box.center, y, grid.name, 13, color, "bold", "center")
        style.write(ax, box.center, box.top - 12, grid.subtitle, 12, style.MUTED, align="center")


def draw_grid(ax, grid, left, top, cell):
    """Draw a grid, its cells at `left` and `top`, its title above; return the box of its cells."""
    box = Box(left, top, left + grid.columns * cell, top + grid.rows * cell)
    back = BEHIND * grid.behind
    draw_title(ax, grid, box._replace(top=top - back, right=box.right + back))
    for k in reversed(range(1, grid.behind + 1)):
        blank = Grid(grid.values, role=grid.role, numbers=False)
        draw_grid(ax, blank, left + BEHIND * k, top - BEHIND * k, cell)
    numbered = grid.numbers and cell >= grid.smallest_cell()
    if grid.pad:
        _draw_ring(ax, grid, box, cell, numbered)
    inner = (left + grid.pad * cell, top + grid.pad * cell)
    flat = not grid.numbers or grid.strengths is not None  # colors do not stand for numbers
    if numbered or (flat and cell >= 6 and grid.values.size <= 1600):
        _draw_cells(ax, grid, *inner, cell)
    else:
        draw_image(ax, grid.values, *inner, cell, *_scale(grid), style.ROLES[grid.role])
    if numbered:
        _draw_numbers(ax, grid, *inner, cell)
    if grid.hatched is not None and np.any(grid.hatched):
        _draw_hatching(ax, grid, box, cell)
    for row, column in grid.marked if cell >= 6 else ():
        corner = (inner[0] + column * cell, inner[1] + row * cell)
        # A dark frame on a cell as dark as that needs a light seam.
        seam = [] if numbered else [withStroke(linewidth=3.6, foreground="white")]
        draw_frame(ax, *corner, cell, cell, style.TEXT_COLORS["output"], 1.6, path_effects=seam)
    cells = [(row + grid.pad, column + grid.pad, 1, 1) for row, column in grid.cells]
    for outlined in grid.windows, cells:  # in vermilion, the first with a full line, others dashed
        for k, (row, column, *sides) in enumerate(outlined):
            lw, ls = (1.8, (0, (2.5, 1.5))) if k else (2.4, "-")
            look = {"ls": ls, "joinstyle": "miter", "zorder": 5 - k}
            corner, (height, width) = (left + column * cell, top + row * cell), sides
            draw_frame(ax, *corner, width * cell, height * cell, style.ROLES["window"], lw, **look)
    return box


def _draw_cells(ax, grid, left, top, cell):
    """Fill each cell with a tint of the role; leave empty cells white."""
    strengths = 0.25 if grid.strengths is None else grid.strengths
    strengths = np.where(np.isfinite(grid.values), strengths, 0)
    fills = 1 - strengths[..., np.newaxis] * (1 - np.array(style.to_rgb(style.ROLES[grid.role])))
    edge, lw = style.tint(grid.role, 0.75), 0.8 if cell >= 12 else 0.4
    draw_lattice(ax, left, top, cell, cell, fills, edge, lw)


def _scale(grid):
    """Return colors, lowest and highest number: those of the role, diverging where signed."""
    finite = grid.values[np.isfinite(grid.values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0, 1)
    if low < 0:
        high = max(-low, high)
        return style.DIVERGING, -high, high
    return style.sequential(grid.role), low, high


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
    draw_frame(ax, *box[:2], *size, "none", face=face, zorder=0.4)  # under the cells
    xs = [box.left + k * cell for k in range(grid.columns + 1)]
    ys = [box.top + k * cell for k in range(grid.rows + 1)]
    if cell < 6:  # inner lines would be a gray mass
        xs, ys = [xs[0], xs[-1]], [ys[0], ys[-1]]
    lines = [((x, box.top), (x, box.bottom)) for x in xs]
    lines += [((box.left, y), (box.right, y)) for y in ys]
    look = {"linewidths": 0.8, "linestyles": [(0, (3, 2))], "zorder": 0.5, **style.NO_MAP}
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
