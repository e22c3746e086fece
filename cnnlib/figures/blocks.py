"""Data drawn as blocks in perspective, with their shapes.

Book sections 7.2.6 and 7.2.7, figures 7-10 to 7-13.
"""

from dataclasses import dataclass

import numpy as np
from matplotlib.collections import PolyCollection

from cnnlib.figures import style
from cnnlib.windows import conv_output_size

ROOM = style.MAX_WIDTH - 2 * style.MARGIN
GAPS = 72, 52  # between three and between five blocks, with a sign in each
TALLEST = 216  # block or blocks in height
SHIFT = 11  # of a block behind another
COPIES = 3  # at most, of filters or images


@dataclass
class Block:
    """One tensor as a block, or several blocks behind each other.

    Parameters
    ----------
    role, name : str
        Colour, as in `style.ROLES`, and first line of the text.
    letters : str
        The shape in letters.
    shape : tuple of int
        The shape in numbers.
    edges : str
        Letters along the edges of the last three axes, such as "C H W".
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

    @property
    def copies(self):
        """How many of them are drawn."""
        return min(self.count, COPIES)

    def sides(self, scale):
        """Return width and height of the front, and the depth in the slanted direction."""
        channels, height, width = (max(6.0, scale * np.sqrt(s)) for s in self.shape[-3:])
        return width, height, channels * 0.4

    def extent(self, scale):
        """Return width and height of all copies, without text."""
        width, height, depth = self.sides(scale)
        shift = depth + SHIFT * (self.copies - 1)
        return width + shift, height + shift

    def slot(self, scale):
        """Return the width that block and text need."""
        return max(
            self.extent(scale)[0],
            style.text_width(self.name, 13, "bold"),
            style.text_width(self.letters, 12),
            style.text_width(str(self.shape), 12),
        )


def blocks(C, H, W, FN, FH, FW, stride=1, pad=0, N=1, bias=True):
    """Show input, filters, maps, bias and output as blocks with their shapes.

    Lengths are drawn by their square root, so that 1 and 512 fit into one picture.

    Parameters
    ----------
    C, H, W : int
        Input channels, height, width.
    FN, FH, FW : int
        Number of filters, their height and width.
    stride, pad : int
        Step S and padding P.
    N : int, default 1
        Images in the batch.
    bias : bool, default True
        Whether the bias is shown, and the maps before it is added.

    Returns
    -------
    Card

    Notes
    -----
    Book figures 7-10 (FN = 1), 7-11, 7-12 (bias) and 7-13 (batch).
    """
    for letter, value in (("C", C), ("FN", FN), ("N", N)):
        if value < 1:
            raise ValueError(f"{letter} must be at least 1, got {value}")
    OH = conv_output_size(H, FH, stride, pad)
    OW = conv_output_size(W, FW, stride, pad)
    parts = _parts((C, H, W), (FN, FH, FW), (OH, OW), N, bias)
    tensors = [part for part in parts if isinstance(part, Block)]
    scale = min(40.0, 150 / np.sqrt(max(H, W, OH, OW, C / 4, FN / 4)))
    gap = GAPS[bias]
    signs = gap * (len(parts) - len(tensors))
    while scale >= 2 and (
        sum(t.slot(scale) for t in tensors) + signs > ROOM
        or max(t.extent(scale)[1] for t in tensors) > TALLEST
    ):
        scale *= 0.95

    canvas = style.Canvas(_message(FN, N))
    tallest = max(t.extent(scale)[1] for t in tensors)
    base, left = canvas.top + 10 + tallest, canvas.left
    for part in parts:
        if isinstance(part, Block):
            middle = base - (tallest - part.extent(scale)[1]) / 2
            _draw_part(canvas.ax, part, left, middle, base, scale)
            left += part.slot(scale)
        else:
            at = left + gap / 2 - 9, base - tallest / 2  # on the right stands the letter of a side
            style.write(canvas.ax, *at, part, 20, style.MUTED, align="center")
            left += gap
    note = (
        f"stride {stride}, pad {pad}; front: height and width, depth: channels; "
        "lengths drawn by their square root"
    )
    style.write(canvas.ax, canvas.left, base + 116, note, 11, style.MUTED)
    x, W, *_, out = (t.shape for t in tensors)
    return canvas.finish(
        max(left, canvas.left + style.text_width(note, 11)),
        base + 124,
        f"Blocks: input {x} with filter{'s' * (len(W) == 4)} {W}"
        f"{f' and bias {(FN, 1, 1)}' if bias else ''}, stride {stride}, pad {pad}, gives output "
        f"{out}.",
    )


def _parts(image, filters, out, N, bias):
    """List the blocks of one convolution, and the signs between them."""
    C, FN, FH, FW = image[0], *filters
    batch, batch_shape = ("N, ", (N,)) if N > 1 else ("", ())
    if FN == N == 1 and not bias:  # figure 7-10: the one filter as a block of three axes
        W = Block("filter", "filter W", "(C, FH, FW)", (C, FH, FW), "C FH FW")
        maps, edges = "(1, OH, OW)", "1 OH OW"
    else:
        name = "filter W" if FN == 1 else "filters W"
        W = Block("filter", name, "(FN, C, FH, FW)", (FN, C, FH, FW), "C FH FW")
        maps, edges = f"({batch}FN, OH, OW)", "FN OH OW"
    shape = (*batch_shape, FN, *out)
    parts = [
        Block("input", "input x", f"({batch}C, H, W)", (*batch_shape, *image), "C H W"),
        "⊛",
        W,
        "→",
    ]
    if bias:
        parts += [
            Block("output", "sums", maps, shape, edges),
            "+",
            Block("bias", "bias b", "(FN, 1, 1)", (FN, 1, 1), "FN 1 1"),
            "→",
        ]
    return [*parts, Block("output", "output", maps, shape, edges)]


def _message(FN, N):
    """Say what the picture shows."""
    if N > 1:
        return f"A batch of {N} goes through at once: the filters serve all of its images"
    made = f"{FN} filters make {FN} output channels" if FN > 1 else "One filter makes one output"
    return f"{made}{' channel' * (FN == 1)}, whatever the number of input channels"


def _draw_part(ax, part, left, bottom, base, scale):
    """Draw the copies of a block at height `bottom`, and its text below `base`."""
    width, height, depth = part.sides(scale)
    slot = part.slot(scale)
    x = left + (slot - part.extent(scale)[0]) / 2
    for k in reversed(range(part.copies)):
        draw_block(ax, x + SHIFT * k, bottom - SHIFT * k, width, height, depth, part.role)
    _label_block(ax, x, bottom, width, height, depth, part.edges)
    middle = left + slot / 2
    style.write(
        ax, middle, base + 34, part.name, 13, style.TEXT_COLORS[part.role], "bold", "center"
    )
    style.write(ax, middle, base + 53, part.letters, 12, style.MUTED, align="center")
    style.write(ax, middle, base + 71, style.shape_text(part.shape), 12, align="center")
    if part.count > part.copies:
        text = f"{part.copies} of {part.count} drawn"
        style.write(ax, middle, base + 88, text, 11, style.MUTED, align="center")


def draw_block(ax, left, bottom, width, height, depth, role):
    """Draw a block in oblique projection: a white rim, front, top and right side."""
    top, right = bottom - height, left + width
    front = [(left, bottom), (right, bottom), (right, top), (left, top)]
    above = [(left, top), (right, top), (right + depth, top - depth), (left + depth, top - depth)]
    side = [(right, bottom), (right + depth, bottom - depth), above[2], (right, top)]
    rim = [front[0], front[1], side[1], above[2], above[3], front[3]]
    faces = {"joinstyle": "round", "zorder": 1}
    ax.add_collection(
        PolyCollection([rim], facecolors="white", edgecolors="white", linewidths=5, **faces),
        autolim=False,
    )
    ax.add_collection(
        PolyCollection(
            [front, above, side],
            facecolors=[style.tint(role, s) for s in (0.35, 0.2, 0.6)],
            edgecolors=style.TEXT_COLORS[role],
            linewidths=0.9,
            **faces,
        ),
        autolim=False,
    )


def _label_block(ax, left, bottom, width, height, depth, edges):
    """Write the letters of a block's sides along its edges."""
    channels, rows, columns = edges.split()
    small = {"size": 11, "color": style.MUTED}
    style.write(ax, left - 5, bottom - height / 2, rows, align="right", **small)
    style.write(ax, left + width / 2, bottom + 11, columns, align="center", **small)
    style.write(ax, left + width + depth / 2 + 5, bottom - depth / 2 + 8, channels, **small)
