"""Curves of several runs side by side: one line for each case, with its name at its end.

Book section 7.7.
"""

import numpy as np
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator, PercentFormatter

from cnnlib.figures import style

ROLES = ("window", "input", "output", "gradient")
GRID = "#e7eaee"


def curves(cases, xlabel, ylabel, message, *, first=1, scale="linear", dashed=()):
    """Show one curve for each case; of several runs the median, and a band that holds them all.

    Parameters
    ----------
    cases : dict of str to array_like, shape (n,) or (runs, n)
        By name, at most four.
    xlabel, ylabel : str
        What is counted to the right, and what is drawn upwards.
    message : str
        Title.
    first : int, default 1
        Number of the first point.
    scale : {"linear", "log", "percent"}
        Of the vertical axis; "percent" goes from 0 to 100 %, and takes shares from 0 to 1.
    dashed : sequence of str
        Names of the cases to draw with dashed lines.

    Returns
    -------
    Card
    """
    runs = {name: np.atleast_2d(np.asarray(values, float)) for name, values in cases.items()}
    _check(runs, scale)
    n = max(values.shape[1] for values in runs.values())
    canvas = style.Canvas(message)
    left, top, width, height = canvas.left + 46, canvas.top + 34, 470, 250
    names = [style.text_width(name, 12, "bold") for name in runs]
    ends = [f"{name} {_text(np.median(v[:, -1]), scale)}" for name, v in runs.items()]
    figure = canvas.finish(
        left + width + 24 + max(names) + 70,
        top + height + 46,
        f"{message}. {ylabel} over {xlabel}, at the end: {', '.join(ends)}.",
    )
    style.write(canvas.ax, left - 40, top - 20, ylabel, 12, style.MUTED)
    ax = style.axes(figure, left, top, width, height, xlabel, "")
    low, high = _limits(runs, scale)
    ax.set_yscale("log" if scale == "log" else "linear")
    ax.set_ylim(low, high)
    if scale == "log":
        ax.yaxis.set_minor_locator(NullLocator())
        # matplotlib's own ticks have exponents of 8 px
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _text(value, scale)))
    if scale == "percent":
        ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    places = []
    for k, (name, values) in enumerate(runs.items()):
        at = np.arange(first, first + values.shape[1])
        middle, color = np.median(values, axis=0), style.TEXT_COLORS[ROLES[k]]
        if len(values) > 1:
            band = values.min(axis=0), values.max(axis=0)
            ax.fill_between(at, *band, color=style.ROLES[ROLES[k]], alpha=0.22, lw=0)
        mark = "os^D"[k] if n <= 30 else None
        look = "--" if name in dashed else "-"
        ax.plot(at, middle, look, color=color, lw=2, marker=mark, ms=5, clip_on=False)
        share = _share(middle[-1], low, high, scale)
        places.append([top + height * (1 - share), f"{name} {_text(middle[-1], scale)}", color])
    ax.set_xlim(first, max(first + n - 1, first + 1))
    ax.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    ax.grid(axis="y", color=GRID, lw=0.8)
    ax.set_axisbelow(True)
    for y, text, color in _spread(places, top + height):
        style.write(canvas.ax, left + width + 14, y, text, 12, color, "bold")
    return figure


def _check(runs, scale):
    if scale not in ("linear", "log", "percent"):
        raise ValueError(f"scale must be 'linear', 'log' or 'percent', got {scale!r}")
    if not 1 <= len(runs) <= len(ROLES):
        raise ValueError(f"1 to {len(ROLES)} cases can be told apart, got {len(runs)}")
    for name, values in runs.items():
        if values.ndim != 2 or not values.size or not np.isfinite(values).all():
            raise ValueError(f"{name}: expected numbers (n,) or (runs, n), got {values.shape}")
        if scale == "log" and values.min() <= 0:
            raise ValueError(f"{name}: a logarithmic scale has no place for {values.min()}")


def _limits(runs, scale):
    """Return the ends of the vertical axis."""
    lowest = min(values.min() for values in runs.values())
    highest = max(values.max() for values in runs.values())
    if scale == "percent":
        return 0.0, 1.0
    if scale == "log":
        return 10 ** np.floor(np.log10(lowest)), 10 ** np.ceil(np.log10(highest) + 0.01)
    return min(0.0, lowest), 1.05 * highest if highest > 0 else 1.0


def _share(value, low, high, scale):
    """Return how far up the axis a value stands, 0 to 1."""
    if scale == "log":
        value, low, high = np.log10([value, low, high])
    return (value - low) / (high - low)


def _text(value, scale):
    if scale == "percent":
        return f"{100 * value:.0f} %"
    if scale == "log" and 0.01 <= value < 10_000:
        return f"{value:.2g}" if value < 100 else f"{value:,.0f}"
    if scale == "log":
        return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e").replace("-", "−")
    return style.format_number(value, 2)


def _spread(places, bottom):
    """Push labels apart where they would meet, none below `bottom`."""
    places = sorted(places)
    for k in range(1, len(places)):
        places[k][0] = max(places[k][0], places[k - 1][0] + 17)
    for k in reversed(range(len(places))):
        places[k][0] = min(places[k][0], bottom - 17 * (len(places) - 1 - k))
    return places
