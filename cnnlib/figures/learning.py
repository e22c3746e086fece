"""Pictures of small experiments: accuracies side by side, a filter that is being learnt.

Book sections 7.2.1 and 7.2.2.
"""

import numpy as np
from matplotlib.patches import Rectangle
from matplotlib.ticker import NullLocator

from cnnlib.figures import style
from cnnlib.figures.arithmetic import by, counted
from cnnlib.figures.grids import Grid, draw_row, fit

BARS = ("input", "window", "output", "filter")


def accuracies(results, message="Test accuracy"):
    """Show accuracies as bars side by side, in groups.

    Parameters
    ----------
    results : dict of dict of float, from 0 to 1, by group and case; all groups have the same cases
    """
    cases = list(next(iter(results.values()), ()))
    if not cases or any(list(bars) != cases for bars in results.values()):
        raise ValueError(f"every group needs the same cases, at least one; got {results!r}")
    values = [value for bars in results.values() for value in bars.values()]
    if not all(0 <= value <= 1 for value in values):
        raise ValueError(f"accuracies lie between 0 and 1, got {values}")
    if len(cases) > len(BARS):
        raise ValueError(f"at most {len(BARS)} cases can be told apart, got {len(cases)}")
    canvas = style.Canvas(message)
    ax, full, tall = canvas.ax, 420, 24
    names = [*results, *cases]
    zero = canvas.left + max(style.text_width(name, 13, "bold") for name in names) + 24
    y = canvas.top + 8
    for group, bars in results.items():
        style.write(ax, canvas.left, y + 10, group, 13, weight="bold")
        y += 24
        for case, role in zip(cases, BARS, strict=False):
            wide, middle = full * bars[case], y + tall / 2
            style.write(ax, zero - 10, middle, case, 12, style.MUTED, align="right")
            look = {"fc": style.tint(role, 0.6), "ec": style.ROLES[role]}
            ax.add_patch(Rectangle((zero, y), wide, tall, **look))
            text = f"{100 * bars[case]:.0f} %"
            style.write(ax, zero + wide + 8, middle, text, 13, weight="bold")
            y += tall + 5
        y += 12
    ax.plot([zero, zero], [canvas.top + 8, y - 12], color=style.LINE, lw=1)
    listed = "; ".join(
        f"{group}: {', '.join(f'{case} {100 * v:.0f} %' for case, v in bars.items())}"
        for group, bars in results.items()
    )
    return canvas.finish(zero + full + 60, y - 16, f"{message}. {listed}.")


def filter_learning(target, filters, losses, step):
    """Show how far a filter has been learnt after some steps, and the loss up to there.

    Parameters
    ----------
    target : (FH, FW), the filter to be found
    filters, losses : (steps, FH, FW) and (steps,), before each step; losses above 0
    step : int, which of them to show
    """
    target, filters = np.asarray(target, float), np.asarray(filters, float)
    losses = np.asarray(losses, float)
    if filters.shape != (len(losses), *target.shape):
        raise ValueError(
            f"expected {len(losses)} filters of shape {target.shape}, got shape {filters.shape}"
        )
    if losses.min(initial=1) <= 0:
        raise ValueError(f"losses must be positive for their scale, got {losses.min()}")
    if not 0 <= step < len(losses):
        raise ValueError(f"step {step}: there are the steps 0 to {len(losses) - 1}")
    off = np.abs(filters[step] - target).max()
    canvas = style.Canvas(f"After {counted(step, 'step')} the filter is off by {off:.2f} at most")
    wanted = Grid(target, "filter to be found", "filter", "(FH, FW)")
    found = Grid(filters[step], "learnt filter", "filter", "(FH, FW)")
    found.decimals = 2
    cell = max(fit([wanted, found], 420, 200, signs=1), 44)
    items = [wanted, "≈" if off < 0.05 else "≠", found]
    boxes = draw_row(canvas.ax, items, canvas.left, canvas.top, cell)
    left, top = boxes[2].right + 110, canvas.top + 30
    figure = canvas.finish(
        style.MAX_WIDTH - style.MARGIN,
        max(boxes[0].bottom, top + 170) + 34,
        f"A filter of {by(target.shape)} after {counted(step, 'step')} of gradient descent, beside "
        "the one to be found, and the falling loss.",
    )
    style.write(canvas.ax, left, canvas.top + 8, "mean squared error", 13, weight="bold")
    axs = style.axes(figure, left, top, style.MAX_WIDTH - left - 40, 170, "step", "")
    axs.set_yscale("log")
    low = np.floor(np.log10(losses.min()))
    high = max(np.ceil(np.log10(losses.max())), low + 1)
    ticks = 10.0 ** np.arange(low, high + 1, 1 + (high - low) // 7)
    axs.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axs.yaxis.set_minor_locator(NullLocator())
    axs.set_ylim(10.0**low, 10.0**high)
    axs.plot(losses, color=style.tint("window", 0.35), lw=1.5)
    axs.plot(losses[: step + 1], color=style.ROLES["window"], lw=2)
    axs.plot([step], losses[step : step + 1], "o", color=style.ROLES["window"], clip_on=False)
    axs.set_xlim(0, max(1, len(losses) - 1))
    axs.grid(axis="y", color="#e7eaee", lw=0.8)
    return figure
