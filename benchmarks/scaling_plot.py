"""Draw what `scaling.py` measured: small panels with logarithmic scales, where powers are lines."""

import io
from itertools import pairwise

import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from PIL import Image

from cnnlib.figures import style

LOOKS = {  # program: role of its colour, marker, name
    "cnnlib": ("output", "o", "cnnlib"),
    "book": ("filter", "s", "the book's way"),
}
# Rows of panels for one kind of program: what is measured, its unit, and the theory behind each.
ROWS = (
    ("seconds", "time, ms", 1e3, {"cnnlib": "operations", "book": "operations"}),
    ("peak", "peak memory, MB", 1e-6, {"cnnlib": "cnnlib", "book": "book"}),
)
HEADINGS = {
    "N": "images N",
    "size": "image size H = W",
    "filters": "filters FN",
    "filter size": "filter size FH = FW",
    "stride": "stride S",
}
SUBJECTS = {
    "convolution": "One convolution, forward and backward",
    "training step": "One training step of SimpleConvNet",
}
LEFT, WIDTH, HEIGHT, GAP, STRIP = 70, 146, 104, 17, 40


def draw(growths):
    """Draw time and peak memory against each setting, measured and counted.

    Parameters
    ----------
    growths : list of scaling.Growth
        All settings of one kind of program after the other.

    Returns
    -------
    Card
    """
    kinds = list(dict.fromkeys(growth.what for growth in growths))
    canvas = style.Canvas("What each setting costs, and the power it grows with")
    figure = canvas.finish(
        style.MAX_WIDTH - style.MARGIN,
        canvas.top + 44 + len(kinds) * (72 + 2 * (HEIGHT + STRIP)) - 18,
        "Time and peak memory in logarithmic scales against "
        + ", ".join(HEADINGS.values())
        + ": cnnlib and the book's way, each with its exponent and the one that theory predicts.",
    )
    draw_key(canvas.ax, canvas.top + 6)
    top = canvas.top + 44
    for what in kinds:
        style.write(canvas.ax, canvas.left, top, SUBJECTS[what], 13, weight="bold")
        some = [growth for growth in growths if growth.what == what]
        for k, growth in enumerate(some):
            left = LEFT + k * (WIDTH + GAP)
            heading = HEADINGS[growth.name]
            style.write(canvas.ax, left, top + 22, heading, 12, weight="bold")
        top += 32
        for row, (kind, label, unit, theory) in enumerate(ROWS):
            top += STRIP
            costs = [c * unit for g in some for cs in getattr(g, kind).values() for c in cs]
            limits = min(costs) / 1.6, max(costs) * 1.6
            for k, growth in enumerate(some):
                left = LEFT + k * (WIDTH + GAP)
                ax = style.axes(figure, left, top, WIDTH, HEIGHT, "", "" if k else label)
                draw_panel(ax, growth, kind, unit, theory, limits)
                if k:
                    ax.tick_params(labelleft=False)
                if row == 0:
                    ax.tick_params(labelbottom=False)
                write_exponents(canvas.ax, left, top - 36, growth, kind, theory)
            top += HEIGHT
        top += 40
    return figure


def save(growths, file_name):
    """Draw into a PNG file with a palette of 64 colours: a third of the bytes, to the eye alike."""
    image = Image.open(io.BytesIO(style.to_png(draw(growths))))
    image.quantize(64, method=Image.Quantize.FASTOCTREE).save(file_name, "PNG", optimize=True)


def draw_key(ax, y):
    """Name the two programs and the dashed lines."""
    x = 24
    for role, marker, name in LOOKS.values():
        ax.plot([x, x + 24], [y, y], color=style.ROLES[role], lw=1.8)
        ax.plot([x + 12], [y], color=style.ROLES[role], marker=marker, ms=5)
        style.write(ax, x + 32, y, name, 12)
        x += 56 + style.text_width(name, 12)
    ax.plot([x, x + 24], [y, y], color=style.MUTED, lw=1, dashes=(3, 2))
    style.write(
        ax, x + 32, y, "theory, through the costliest point; numbers are exponents", 12, style.MUTED
    )


def draw_panel(ax, growth, kind, unit, theory, limits):
    """Draw both programs, and what their counts say, drawn through the costliest point."""
    ax.set_xscale("log")
    ax.set_yscale("log")
    costliest = int(np.argmax(growth.counted["operations"]))
    for program, costs in getattr(growth, kind).items():
        role, marker, _ = LOOKS[program]
        costs = unit * np.array(costs)
        counts = np.array(growth.counted[theory[program]])
        line = counts * costs[costliest] / counts[costliest]
        ax.plot(growth.values, line, color=style.TEXT_COLORS[role], lw=1, dashes=(3, 2))
        ax.plot(growth.values, costs, color=style.ROLES[role], lw=1.8, marker=marker, ms=4.5)
    ax.set_ylim(limits)
    ax.set_xlim(growth.values[0] / 1.15, growth.values[-1] * 1.15)
    ax.xaxis.set_major_locator(FixedLocator(growth.values))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_minor_locator(NullLocator())
    crowded = [a for a, b in pairwise(growth.values) if b < 1.2 * a]  # labels would run together
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: "" if x in crowded else f"{x:g}"))
    ax.grid(axis="y", color="#e7eaee", lw=0.8)
    ax.set_axisbelow(True)


def write_exponents(ax, x, y, growth, kind, theory):
    """Write the exponent of each program over a panel, and the one of its theory."""
    for program, costs in getattr(growth, kind).items():
        role, _, _ = LOOKS[program]
        measured, predicted = (
            style.format_number(growth.slope(numbers)[0], 2)
            for numbers in (costs, growth.counted[theory[program]])
        )
        color = style.TEXT_COLORS[role]
        text = f"{measured}, theory {predicted}"
        style.write(ax, x, y + 10, text, 11, color)
        y += 14
