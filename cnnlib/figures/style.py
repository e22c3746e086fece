"""One look for all figures: colours by role, one font, a white card, an alt text.

Every tensor keeps its colour through all chapters: the input is sky blue, the filter orange, the
output bluish green, whichever figure it stands in. The colours are those of Okabe and Ito, which
people with any common kind of colour blindness can tell apart.

A figure is laid out in pixels on a `Canvas`: x to the right, y *downwards*, as in an image. That
makes "cells of equal size" and "8 pixels apart" plain arithmetic, and it is fast. The result is a
`Card`, a matplotlib Figure on white, legible in light and dark themes.
"""

import base64
import functools
import html
import io
import math
import sys

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib.path import Path
from matplotlib.text import Text
from matplotlib.textpath import text_to_path
from matplotlib.ticker import FixedFormatter, FixedLocator
from matplotlib.transforms import IdentityTransform
from PIL import Image

DPI = 100  # so that 1 inch = 100 px, and a font of 7.92 pt = 11 px
SHARP = 1.5  # pixels of a stored picture for each of its layout: for screens dense or zoomed
MAX_WIDTH = 900
MARGIN = 24
FONT = "DejaVu Sans"  # comes with matplotlib, and all its digits are equally wide

INK = "#1f2933"
MUTED = "#59636e"  # secondary text: 6:1 on white
LINE = "#c3cad1"
GRID = "#e7eaee"

ROLES = {
    "input": "#56B4E9",
    "filter": "#E69F00",
    "output": "#009E73",
    "gradient": "#CC79A7",
    "window": "#D55E00",
    "bias": "#F0E442",
    "padding": "#9AA5B1",
}
IN_PLAY = "#8fd95c"  # what the window now in play covers, inside its frame
# The same hues, dark enough for text on white (contrast 4.5:1 and more).
TEXT_COLORS = {
    "input": "#0B5E8E",
    "filter": "#8A5A00",
    "output": "#00664B",
    "gradient": "#8F3D6B",
    "window": "#B34A00",
    "bias": "#6B6300",
    "padding": "#59636e",
}
# What is compared in several chapters keeps its color.
SERIES = {"sigmoid": "window", "scaled tanh": "input", "ReLU": "output"}
SERIES |= {"test": "gradient", "train": "filter"}
# Weights and other signed numbers, centred at zero; images, as ink on paper.
DIVERGING = matplotlib.colormaps["RdBu_r"]
IMAGE = matplotlib.colormaps["gray_r"]
NO_MAP = {"cmap": IMAGE}  # for collections of given colours; else each copies the default, in 1 ms


def tint(role, strength=0.25):
    """Mix the colour of a role with white; `strength` 1 is the colour itself."""
    return to_hex(1 - strength * (1 - np.array(to_rgb(ROLES[role]))))


def series(names):
    """Return a role for each of at most four things that are compared.

    What begins with a name in `SERIES` has the role of that name, the others those that are left.
    """
    if not 1 <= len(names) <= 4:
        raise ValueError(f"1 to 4 names can be told apart, got {len(names)}")
    own = [next((SERIES[key] for key in SERIES if name.startswith(key)), None) for name in names]
    left = (role for role in SERIES.values() if role not in own)
    return [role or next(left) for role in own]


@functools.cache
def sequential(role):
    """Return a colour map from near white to the dark text colour of a role."""
    return LinearSegmentedColormap.from_list(
        role, [tint(role, 0.06), ROLES[role], TEXT_COLORS[role]]
    )


def channel_strengths(C):
    """Return how deep each of C channels is coloured, from pale to deep."""
    return np.linspace(0.22, 0.8, C) if C > 1 else np.array([0.25])


class Card(Figure):
    """A matplotlib Figure which carries one sentence saying what it shows.

    In a notebook the sentence is the ``text/plain`` of the output and the alt text of its
    picture: a saved notebook can be read, and compared, without seeing. It is ``figure.alt``.
    """

    def __init__(self, width, height, alt=""):
        super().__init__(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white")
        self.alt = alt

    def _repr_mimebundle_(self, include=None, exclude=None):
        width, _ = size(self)
        picture = base64.b64encode(to_png(self)).decode("ascii")
        return (
            {"text/plain": self.alt, "image/png": picture},
            {"image/png": {"alt": self.alt, "width": width}},
        )


class Canvas:
    """A card, ``figure``, to draw on in pixels, with its message as the title.

    The axes ``ax`` cover the card; y grows downwards. The content may begin at ``left`` and
    ``top``; it ends at ``right`` at least, so far the end of the title.
    """

    def __init__(self, title):
        self.figure = Card(MAX_WIDTH, 100)
        self.ax = self.figure.add_axes((0, 0, 1, 1))
        self.ax.set_axis_off()
        self.ax.add_patch = (
            self.ax.add_artist
        )  # `finish` sets the limits: no patch need be measured
        self.left = MARGIN
        lines = wrap(title, 15, MAX_WIDTH - 2 * MARGIN, weight="bold")
        for k, line in enumerate(lines):
            write(self.ax, MARGIN, 28 + 21 * k, line, 15, weight="bold")
        self.right = MARGIN + max(text_width(line, 15, "bold") for line in lines)
        self.top = 28 + 21 * len(lines) + 5

    def note(self, y, text, size=12, color=MUTED, width=MAX_WIDTH - 2 * MARGIN):
        """Write a text over the lines it needs, from `y` on; return the height of the next line."""
        self.right = max(self.right, self.left + min(width, text_width(text, size)))
        return paragraph(self.ax, self.left, y, text, width, size, color)

    def finish(self, right, bottom, alt):
        """Cut the card to its content, and return it.

        The content ends at `right` and `bottom`, in pixels without margins; `alt` is one sentence
        saying what the figure shows.
        """
        width = min(MAX_WIDTH, round(max(right, self.right) + MARGIN))
        height = round(bottom + MARGIN - 4)
        self.figure.set_size_inches(width / DPI, height / DPI)
        self.ax.set_xlim(0, width)
        self.ax.set_ylim(height, 0)
        return describe(self.figure, alt)


def describe(figure, alt):
    """Give a figure its alt text, one sentence, as ``figure.alt``; return the figure."""
    figure.alt = " ".join(alt.split())
    return figure


def size(figure):
    """Return width and height in pixels at 100 dpi."""
    width, height = figure.get_size_inches()
    return round(width * DPI), round(height * DPI)


def to_png(figure, small=True, sharp=SHARP):
    """Render a figure as PNG, with `sharp` pixels for each of its layout; return the bytes.

    With 256 colours, as it is stored in a notebook, it takes a third of the room and 30 ms more.
    Where Python runs in a browser, and is slow, all colours stay.
    """
    picture, buffer = _render(figure, sharp), io.BytesIO()
    if small and sys.platform != "emscripten":
        picture.quantize(256).save(buffer, "png", optimize=True)
    else:
        picture.save(buffer, "png", compress_level=1)
    return buffer.getvalue()


def to_html(figure):
    """Write the ``<img>`` for the PNG of a figure, with its alt text, of known size.

    It is smaller where the page is narrower, or its CSS variable ``--room``, a height, is less.
    """
    width, height = size(figure)
    return (
        f'<img alt="{html.escape(figure.alt)}" style="aspect-ratio: {width} / {height}; margin: 0; '
        f"width: min(100%, {width}px, var(--room, 9999px) * {width / height:.4f}); "
        'vertical-align: top; border-radius: 8px">'
    )


def _render(figure, sharp):
    """Draw a figure; return a PIL image."""
    dpi, figure.dpi = figure.dpi, sharp * DPI
    try:
        renderer = _Renderer(*(round(length) for length in figure.bbox.size), figure.dpi)
        figure.draw(renderer)
    finally:
        figure.dpi = dpi
    return Image.fromarray(np.asarray(renderer.buffer_rgba())).convert("RGB")


class _Renderer(RendererAgg):
    """Matplotlib's renderer, but a line of text once drawn is copied from then on.

    Text is nine tenths of the work, and from one picture to the next most of it stays.
    """

    def get_text_width_height_descent(self, s, prop, ismath):
        return _text_size(self.dpi, s, prop, ismath)

    def draw_text(self, gc, x, y, s, prop, angle, ismath=False, mtext=None):
        if angle or ismath or gc.get_alpha() != 1:
            super().draw_text(gc, x, y, s, prop, angle, ismath, mtext)
        else:
            line, below = _text_image(self.dpi, s, prop, gc.get_rgb())
            self.draw_image(gc, round(x) - _BLEED, round(self.height - y) - below, line)


_BLEED = 4  # how far a letter may reach out of its box


@functools.lru_cache(4096)
def _text_size(dpi, *text):
    return RendererAgg(1, 1, dpi).get_text_width_height_descent(*text)


@functools.lru_cache(1024)
def _text_image(dpi, text, font, color):
    """Draw a line of text; return its pixels, and how far they reach below the baseline."""
    width, height, descent = _text_size(dpi, text, font, False)
    below = math.ceil(descent) + _BLEED
    above = math.ceil(height - descent) + _BLEED  # the descent of "=", all above, is negative
    paper = RendererAgg(math.ceil(width) + 2 * _BLEED, above + below, dpi)
    gc = paper.new_gc()
    gc.set_foreground(color, isRGBA=True)
    paper.draw_text(gc, _BLEED, paper.height - below, text, font, 0)
    return np.asarray(paper.buffer_rgba())[::-1].copy(), below  # Agg takes images upside down


def points(pixels):
    """Convert a font size from pixels at 100 dpi to points."""
    return pixels * 72 / DPI


TICK_FONT = FontProperties(family=FONT, size=points(11.5))


def write(ax, x, y, text, size=12, color=INK, weight="normal", align="left", **more):
    """Write a line of text on the axes of a `Canvas`; return matplotlib's Text.

    Its left end, its right end or its center is at `x`, its digits are centred at height `y`.
    `size` is in pixels, at least 11; `more` are a Text's gid, zorder, alpha or rotation.
    """
    line = _Line(
        x,
        y + 0.36 * size,  # digits are 0.73 of the font size high, above the baseline
        text,
        fontsize=points(size),
        fontfamily=FONT,
        color=color,
        fontweight=weight,
        ha=align,
        va="baseline",
        parse_math=False,
        clip_on=False,
        **more,
    )
    return ax.add_artist(line)


class _Line(Text):
    """A line of text; matplotlib lays each out and looks its font up whenever it is drawn."""

    def draw(self, renderer):
        """Draw it where it begins, if it is level."""
        if self.get_rotation() or not (self.get_visible() and self.get_text()):
            super().draw(renderer)
            return
        text, font = self.get_text(), self.get_fontproperties()
        x, y = self.get_transform().transform(self.get_unitless_position())
        width, _, _ = renderer.get_text_width_height_descent(text, font, False)
        x -= {"left": 0, "center": width / 2, "right": width}[self.get_ha()]
        y = renderer.get_canvas_width_height()[1] - y if renderer.flipy() else y
        gc = renderer.new_gc()
        gc.set_foreground(self.get_color())
        gc.set_alpha(self.get_alpha())
        renderer.draw_text(gc, x, y, text, font, 0)


def text_width(text, size=12, weight="normal"):
    """Measure a line of text in pixels, word by word: from picture to picture most words stay."""
    words = text.split(" ")
    widths = sum(_word_width(word, weight) for word in words)
    return (widths + (len(words) - 1) * _word_width(" ", weight)) * size / 100


@functools.lru_cache(4096)
def _word_width(word, weight):
    font = FontProperties(family=FONT, weight=weight, size=100)
    return text_to_path.get_text_width_height_descent(word, font, False)[0]


def wrap(text, size, width, weight="normal"):
    """Break a text into lines of at most `width` pixels, between words."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and text_width(longer, size, weight) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def paragraph(ax, x, y, text, width, size=12, color=MUTED):
    """Write a text over several lines; return the height of the next free line."""
    for line in wrap(text, size, width):
        write(ax, x, y, line, size, color)
        y += round(1.5 * size)
    return y


def format_number(value, decimals=0):
    """Write a number with a true minus sign, and no sign before zero."""
    text = f"{value:.{decimals}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", "−")


def decimals_needed(*arrays):
    """Count the decimals, 0 to 2, that write all the numbers exactly, or 2 if none does."""
    values = np.concatenate([np.ravel(a).astype(float) for a in arrays])
    values = values[np.isfinite(values)]
    for decimals in (0, 1):
        if np.allclose(values, np.round(values, decimals), rtol=0, atol=1e-9):
            return decimals
    return 2


def shape_text(shape):
    """Write a shape as Python does, "(3,)" for one axis."""
    return str(tuple(int(n) for n in shape))


def percent(share, decimals=1):
    """Write a share from 0 to 1 as a percentage; what is nearly none or nearly all says so."""
    least = 10**-decimals
    if 0 < 100 * share < least / 2:
        return f"< {least:.{decimals}f} %"
    if 100 - least / 2 < 100 * share < 100:
        return f"> {100 - least:.{decimals}f} %"
    return f"{100 * share:.{decimals}f} %"


def ratio_text(ratio):
    """Write a factor with three digits at most: 1.25, 41.3, 1,230."""
    return f"{ratio:.3g}" if ratio < 100 else f"{float(f'{ratio:.3g}'):,.0f}"


def axes(figure, left, top, width, height, xlabel="", ylabel="", grid=False):
    """Add axes with scales to a card, placed in pixels from its top left corner.

    They have no frame above and on the right, labels of 12 px, and level grid lines if wanted.
    """
    full = np.array(size(figure) * 2)
    place = np.array([left, full[1] - top - height, width, height]) / full
    paper, ax = figure.axes[0], figure.add_axes(place, facecolor="none")
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(LINE)
    ax.xaxis.set_visible(False)
    ax.yaxis.set_visible(False)
    ax.add_artist(_Scales(grid))
    write(paper, left + width / 2, top + height + 33, xlabel, color=MUTED, align="center")
    upwards(paper, left - 48, top + height / 2, ylabel)
    return ax


def ticks(axis, places, texts=None):
    """Set the ticks of an axis, and what is written at them."""
    axis.set_major_locator(FixedLocator(places))
    if texts is not None:
        axis.set_major_formatter(FixedFormatter(texts))


class _Scales(Artist):
    """Ticks, their numbers, level grid lines; matplotlib's own take a millisecond for each tick."""

    zorder = 0.5

    def __init__(self, grid):
        super().__init__()
        self.grid = grid

    def draw(self, renderer):
        """Draw them where the axes' locators and formatters have them."""
        ax, gc, sharp = self.axes, renderer.new_gc(), renderer.points_to_pixels(72 / DPI)
        gc.set_linewidth(0.8 * sharp)
        gc.set_snap(True)

        def line(color, *ends):
            gc.set_foreground(color)
            renderer.draw_path(gc, Path(ends), IdentityTransform())

        for axis in (ax.xaxis, ax.yaxis):
            level, (low, high) = axis is ax.xaxis, sorted(axis.get_view_interval())
            to_pixels = (ax.get_xaxis_transform() if level else ax.get_yaxis_transform()).transform
            edge = 1e-9 * (high - low)  # of rounding
            places = [p for p in axis.get_majorticklocs() if low - edge <= p <= high + edge]
            texts = axis.get_major_formatter().format_ticks(places)
            for place, text in zip(places, texts, strict=True):
                x, y = to_pixels((place, 0) if level else (0, place))
                if self.grid and not level:
                    line(GRID, (x, y), (ax.bbox.x1, y))
                line(LINE, (x, y), (x, y - 3 * sharp) if level else (x - 3 * sharp, y))
                width, _, _ = renderer.get_text_width_height_descent(text, TICK_FONT, False)
                x -= width / 2 if level else width + 7 * sharp
                y -= (18 if level else 4) * sharp
                gc.set_foreground(MUTED)
                renderer.draw_text(gc, x, ax.figure.bbox.height - y, text, TICK_FONT, 0)


def upwards(ax, x, y, text):
    """Write a line of text upwards, its middle at `x` and `y`."""
    if text:
        write(ax, x, 0, text, color=MUTED, align="center").set(rotation=90, va="center", y=y)


class Cells(AxesImage):
    """Numbers as cells of one colour each, on a `Canvas`; ``imshow`` takes five times as long.

    `box` is left, top, right, bottom; `gid` tells color bars, "bar", from pictures.
    """

    def __init__(self, ax, values, colors, low, high, box, gid=None):
        left, top, right, bottom = box
        norm, extent = Normalize(low, high), (left, right, bottom, top)
        super().__init__(ax, cmap=colors, norm=norm, extent=extent, zorder=0.8, gid=gid)
        self.set_data(values)
        ax.add_image(self)

    def draw(self, renderer):
        """Repeat each cell over its pixels."""
        left, right, bottom, top = self.get_extent()
        corners = self.axes.transData.transform([(left, bottom), (right, top)])
        (left, bottom), (right, top) = np.rint(corners).astype(int)
        colors = self.to_rgba(self.get_array(), self.get_alpha(), bytes=True)[::-1]  # as Agg has it
        rows = np.arange(top - bottom) * len(colors) // max(top - bottom, 1)
        columns = np.arange(right - left) * colors.shape[1] // max(right - left, 1)
        renderer.draw_image(renderer.new_gc(), left, bottom, colors[rows[:, np.newaxis], columns])


def color_bar(figure, colors, low, high, left, top, height, label):
    """Draw a colour bar, placed in pixels from the top left corner of the card.

    `low`, `high` and their middle are written beside it; `label`, upwards, says what they are.
    """
    (ax, *_), right = figure.axes, left + 12
    ramp = np.linspace(high, low, 128)[:, np.newaxis]
    Cells(ax, ramp, colors, low, high, (left, top, right, top + height), "bar")
    ax.add_artist(Rectangle((left, top), 12, height, fc="none", ec=LINE, lw=0.8))
    decimals = 0 if high - low >= 20 else 2 if high - low >= 0.1 else 4
    for share in (0, 0.5, 1):
        text = format_number(low + share * (high - low), decimals)
        y = top + (1 - share) * height
        write(ax, right + 5, y, text, 11.5, MUTED, gid="bar")
    upwards(ax, left - 12, top + height / 2, label)
