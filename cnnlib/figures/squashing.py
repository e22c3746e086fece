"""Activation functions and their slopes, side by side.

Book section 7.7.
"""

import numpy as np

from cnnlib.figures import style

ROLES = ("window", "input", "output", "gradient")
REACH = 6  # from -6 to 6


def activations(layers, x):
    """Show what activation layers make of a number, and the slope with which they do it.

    Both are the layers' own: the value is ``forward(x)``, the slope ``backward(1)``.

    Parameters
    ----------
    layers : dict of str to Layer
        By name, at most four; each works number by number.
    x : float
        The number to look at, between -6 and 6.

    Returns
    -------
    Card
    """
    if not -REACH <= x <= REACH:
        raise ValueError(f"x must be from {-REACH} to {REACH}, got {x}")
    if not 1 <= len(layers) <= len(ROLES):
        raise ValueError(f"1 to {len(ROLES)} layers can be told apart, got {len(layers)}")
    at = np.linspace(-REACH, REACH, 481)
    lines = {name: _value_and_slope(layer, at) for name, layer in layers.items()}
    here = {name: _value_and_slope(layer, np.array([float(x)])) for name, layer in layers.items()}
    texts = {
        name: (style.format_number(value[0], 2), style.format_number(slope[0], 3))
        for name, (value, slope) in here.items()
    }
    canvas = style.Canvas(f"What comes out at x = {style.format_number(x)}, and how steeply")
    top, width, height = canvas.top + 28, 350, 230
    y = top + height + 58
    figure = canvas.finish(
        style.MAX_WIDTH - style.MARGIN,
        y + 22 * len(layers) - 8,
        f"Activation functions at x = {x}: "
        + ", ".join(f"{name} {v} with slope {s}" for name, (v, s) in texts.items())
        + ".",
    )
    for k, (left, title) in enumerate(((canvas.left + 30, "value"), (canvas.left + 470, "slope"))):
        style.write(canvas.ax, left - 30, top - 14, title, 13, weight="bold")
        ax = style.axes(figure, left, top, width, height, "x", "")
        ax.axvline(x, color=style.LINE, lw=1.2)
        for role, (name, pair) in zip(ROLES, lines.items(), strict=False):
            color = style.TEXT_COLORS[role]
            ax.plot(at, pair[k], color=color, lw=2)
            ax.plot([x], here[name][k], "o", color=color, ms=7, clip_on=False, zorder=3)
        ax.set_xlim(-REACH, REACH)
        ax.set_ylim(*((-2, 6.2), (-0.03, 1.25))[k])
        ax.set_yticks(((-2, 0, 2, 4, 6), (0, 0.25, 0.5, 0.75, 1))[k])
        ax.grid(axis="y", color="#e7eaee", lw=0.8)
        ax.set_axisbelow(True)
    for role, (name, (value, slope)) in zip(ROLES, texts.items(), strict=False):
        color = style.TEXT_COLORS[role]
        canvas.ax.plot([canvas.left, canvas.left + 26], [y, y], color=color, lw=2)
        style.write(canvas.ax, canvas.left + 36, y, name, 13, color, "bold")
        text = f"value {value}, slope {slope}"
        style.write(canvas.ax, canvas.left + 160, y, text, 13, gid=name)
        y += 22
    return figure


def _value_and_slope(layer, x):
    value = layer.forward(x)
    return value, layer.backward(np.ones_like(x))
