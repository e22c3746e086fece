"""Lines over axes: training runs, comparisons, activation functions, a filter being learnt.

Book sections 7.2, 7.5 and 7.7.
"""

import itertools

import numpy as np
from matplotlib.ticker import MaxNLocator, NullLocator, PercentFormatter

from cnnlib.figures import style
from cnnlib.figures.grids import Grid, by, counted, draw_image, draw_row, fit

LABELS = 4  # changes of settings that are written out, the latest ones
# The runs before this one, the latest first.
PALE = [
    {"color": "#7b8794", "lw": 1.8, "ls": (0, (5, 2))},
    {"color": "#9aa5b1", "lw": 1.8, "ls": (0, (1.2, 1.6))},
]
REACH = 6  # activation functions are drawn from -6 to 6


def training(
    loss,
    train_acc,
    test_acc,
    changes=(),
    stopped=None,
    *,
    done=True,
    classes=0,
    runs=(),
    beside=None,
):
    """Show the loss of each iteration and the accuracy of each epoch.

    Parameters
    ----------
    loss : list of float, drawn up to the first that is not finite
    train_acc, test_acc : list of float from 0 to 1; either may be empty
    changes : list of (iteration, setting, new value), marked by a line each
    stopped : str, why training stopped early: `cnnlib.trainer.Trainer.stopped`
    done : bool, whether training is over, or can go on
    classes : int, their number, for `no_better_than_chance`
    runs : the name of this run, and (name, loss, test_acc) of at most two before, drawn pale
    beside : title, images (n, H, W), and a text for each; where there are none, they are weights
    """
    loss = np.asarray(loss, float)
    if not np.isfinite(loss).all():
        first = int(np.isfinite(loss).argmin())
        stopped = stopped or f"Training failed at iteration {first + 1}: the loss is {loss[first]}."
        loss = loss[:first]
    loss = np.clip(loss, -1e100, 1e100)  # sums and axis limits are finite, too
    changes = _settled(changes, loss.size / 25)
    lost = no_better_than_chance(loss, classes)
    message = _outcome(loss, test_acc, stopped, done, lost and classes)
    canvas = style.Canvas(message)
    top, height = canvas.top + 30, 210
    alt = "Training curves: no iteration yet"
    if loss.size:
        alt = f"Training curves: loss from {loss[0]:.3g} to {loss[-1]:.3g}"
        alt += f" over {loss.size} iterations"
    if len(test_acc):
        alt += f"; {'final' if done else 'last'} test accuracy {style.percent(test_acc[-1])}"
    alt += f". {message}." if stopped or lost else "."
    if changes:
        said = ", ".join(f"{_setting(*change)} from step {step}" for step, *change in changes)
        alt += f" Changed on the way: {said}."
    name, *earlier = runs or [""]
    for before, losses, acc in earlier:
        ends = f", test accuracy {style.percent(acc[-1])}" if acc else ""
        alt += f" Before, with {before}: loss {losses[-1]:.3g}{ends}."
    bottom = top + height + 34
    if earlier:
        bottom += 22
        now = name if loss.size else "to come"
        _draw_legend(canvas, [now, *(run[0] for run in earlier)], bottom)
    if beside:
        alt += f" Beside: {beside[0]}, {', '.join(beside[2]) or len(beside[1])}."
    figure = canvas.finish(style.MAX_WIDTH - style.MARGIN, bottom, alt)
    places = [(70, 255), (390, 165)] if beside else [(70, 345), (505, 290)]
    ax = _axes(canvas, places[0][0], top, places[0][1], height, "iteration", "loss per iteration")
    _draw_loss(ax, loss, [run[1] for run in earlier])
    _draw_changes(ax, changes)
    ax = _axes(canvas, places[1][0], top, places[1][1], height, "epoch", "accuracy per epoch")
    accs = [run[2] for run in earlier]
    lowest = min((*train_acc, *test_acc, *itertools.chain(*accs)), default=0.0)
    ax.set_ylim(min(0.9, np.floor(10 * lowest) / 10), 1)
    _draw_cases(canvas, ax, {"train": train_acc, "test": test_acc}, style.percent)
    for acc, look in zip(accs, PALE, strict=False):
        ax.plot(np.arange(1, len(acc) + 1), acc, zorder=1, **look)
    ax.set_xlim(1, max(2, len(test_acc), *map(len, accs)))
    if beside:
        _draw_beside(canvas, *beside, top, height)
    return figure


def no_better_than_chance(loss, classes):
    """Whether the loss left that of guessing, ln(classes), and is back there, or above.

    That is what is left of a network after too large a learning rate.
    """
    loss, chance = np.asarray(loss, float), np.log(max(classes, 1))
    if not loss.size or not chance:
        return False
    left = loss.max() > 1.2 * chance or loss.min() < 0.8 * chance
    return bool(left and loss[-_some(loss) :].mean() > 0.97 * chance)


def _some(loss):
    """Count the losses at either end of which to take the mean, for batches differ."""
    return max(1, len(loss) // 10)


def _outcome(loss, test_acc, stopped, done, lost):
    """Say in a title how training goes, or went; `lost` is the number of classes, or 0."""
    if stopped:
        return stopped.partition(". ")[0].rstrip(".")
    how = f"no better than guessing (ln {lost} = {np.log(lost or 1):.2f})"
    if not len(test_acc):
        running = f"The loss is {how}" if lost else "Loss during training"
        return running if loss.size else "Nothing is trained yet: curves to come"
    ends = f"est accuracy {'ends at' if done else 'so far:'} {style.percent(test_acc[-1])}"
    if loss.size < 2:
        return f"T{ends}"
    # A peak just after the start does not make of what comes then a fall.
    start, end = min(loss[0], loss[: _some(loss)].mean()), loss[-_some(loss) :].mean()
    near = abs(end - start) <= 0.05 * abs(start)
    how = f"is {how}" if lost else "hardly changes" if near else "falls" if end < start else "rises"
    return f"The loss {how}, and t{ends}" if done else f"The loss {how}; t{ends}"


def _draw_loss(ax, loss, earlier=()):
    """Draw the loss of each iteration and, where there are many, the mean of neighbours."""
    for losses, look in zip(earlier, PALE, strict=False):
        ax.plot(np.arange(1, len(losses) + 1), _smooth(np.asarray(losses)), zorder=1, **look)
    dark = {"color": style.TEXT_COLORS["input"], "lw": 1.8}
    if loss.size:
        pale = {"color": style.tint("input", 0.45), "lw": 0.9} if loss.size >= 60 else dark
        ax.plot(np.arange(1, loss.size + 1), loss, **pale)
    if loss.size >= 60:
        ax.plot(np.arange(1, loss.size + 1), _smooth(loss), **dark)
    shown = loss if loss.size else np.concatenate([[1.0], *earlier])
    high = max(1e-3, float(shown.max()))
    if high > 4 * (usual := np.quantile(shown, 0.95)):  # a peak: the rest would lie on the floor
        ax.set_title(f"peak: {high:.3g}", loc="right", **_small(style.MUTED))
        high = max(1e-3, 1.5 * usual)
    ax.set_ylim(0, high * 1.05)
    if high >= 1e4:
        ax.yaxis.set_major_formatter("{x:.3g}")  # no power of ten above the axis
    ax.set_xlim(0, max(2, loss.size, *map(len, earlier)))


def _smooth(loss):
    """Return the mean of each loss and its neighbours."""
    window = np.ones(2 * (loss.size // 60) + 1)
    count = np.convolve(np.ones(loss.size), window, "same")  # fewer at the ends
    return np.convolve(loss, window, "same") / count


def _small(color):
    return {"fontsize": style.points(11.5), "fontfamily": style.FONT, "color": color}


def _draw_changes(ax, changes):
    """Draw a line at each step from which on a setting was another; name the latest."""
    for step, _, _ in changes:
        ax.axvline(step, color=style.ROLES["window"], lw=1.1, ls=(0, (4, 3)), zorder=0.9)
    for place, (step, name, value) in enumerate(changes[-LABELS:]):
        ax.text(
            step,
            0.97 - 0.08 * place,
            f" {_setting(name, value)} ",
            transform=ax.get_xaxis_transform(),  # the height as a share of the axes
            ha="right" if step > ax.get_xlim()[1] / 2 else "left",
            va="top",
            bbox={"fc": "white", "ec": "none", "alpha": 0.8, "pad": 0.5},
            **_small(style.TEXT_COLORS["window"]),
        )


def _setting(name, value):
    return f"{name} {value if isinstance(value, str) else format(value, '.3g')}"


def _draw_legend(canvas, names, y):
    """Name the run in play and those before it, in a line at height y."""
    x, looks = canvas.left, [{"color": style.TEXT_COLORS["input"], "lw": 1.8}, *PALE]
    for name, look in zip(names, looks, strict=False):
        canvas.ax.plot([x, x + 24], [y, y], **look)
        style.write(canvas.ax, x + 30, y, name, 12)
        x += 50 + style.text_width(name, 12)


def _draw_beside(canvas, title, images, texts, top, height):
    """Draw small images at the right: weights on one scale with its bar, or each with a text."""
    left, images = 690, np.where(np.isfinite(images), images, np.nan)
    colors, low, high = style.IMAGE, 0, 1
    columns, room = (2, 50) if texts else (int(np.ceil((len(images) / 2) ** 0.5)), 4)
    if not texts:
        high = np.abs(images[np.isfinite(images)]).max(initial=1e-12)
        colors, low = style.DIVERGING, -high
    pitch = min(48, height / -(-len(images) // columns), 130 / columns + room - 4)
    cell = (pitch - 4) / images.shape[1]
    style.write(canvas.ax, left, top - 18, title, 13, weight="bold")
    for k, image in enumerate(images):
        x, y = left + k % columns * (pitch + room - 4), top + k // columns * pitch
        draw_image(canvas.ax, image, x, y, cell, colors, low, high)
        if texts:
            style.write(canvas.ax, x + pitch + 2, y + pitch / 2 - 2, texts[k], 12)
    if not texts:
        style.color_bar(canvas.figure, colors, low, high, 828, top + 5, height - 10, "")


def _settled(changes, near):
    """Leave out the values that a slider passed on its way, within `near` steps, to another."""
    kept = []
    for step, name, value in changes:
        if kept and kept[-1][1] == name and step - kept[-1][0] <= near:
            kept.pop()
        kept.append((step, name, value))
    return kept


def comparison(cases, xlabel, ylabel, message, *, first=1, scale="percent", dashed=(), zoom=False):
    """Show one curve for each case; of several runs the median, and a band that holds them all.

    Parameters
    ----------
    cases : dict of array_like, shape (n,) or (runs, n), by name; at most four
    first : int, number of the first point
    scale : {"percent", "log"}, of the vertical axis; "percent" takes shares
    dashed : names of the cases to draw with dashed lines
    zoom : bool, whether the axis of percents begins below the lowest of them instead of at 0
    """
    runs = {name: np.atleast_2d(np.asarray(values, float)) for name, values in cases.items()}
    _check(runs, scale)
    write = _short if scale == "log" else _percent
    ends = [f"{name} {write(np.median(values[:, -1]))}" for name, values in runs.items()]
    canvas = style.Canvas(message)
    left, top, width, height = canvas.left + 46, canvas.top + 34, 470, 250
    figure = canvas.finish(
        left + width + 20 + max(style.text_width(text, 12, "bold") for text in ends),
        top + height + 46,
        f"{message}. {ylabel} over {xlabel}, at the end: {', '.join(ends)}.",
    )
    ax = _axes(canvas, left, top, width, height, xlabel, ylabel)
    if scale == "log":
        _set_log(ax, np.concatenate([values.ravel() for values in runs.values()]))
    else:
        every = np.concatenate([values.ravel() for values in runs.values()])
        low = min(0.9, np.floor(10 * every.min()) / 10) if zoom else 0
        ax.set_ylim(low, max(1, every.max()))
        ax.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))  # whole percents
        ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    _draw_cases(canvas, ax, runs, write, first, dashed)
    return figure


def _check(runs, scale):
    style.series(runs)  # raises where they are too many
    if scale not in ("log", "percent"):
        raise ValueError(f"scale must be 'log' or 'percent', got {scale!r}")
    for name, values in runs.items():
        if values.ndim != 2 or not values.size or not np.isfinite(values).all():
            raise ValueError(f"{name}: expected numbers (n,) or (runs, n), got {values.shape}")
        if values.min() < 0 or (scale == "log" and not values.min()):
            raise ValueError(f"{name}: this scale has no place for {values.min()}")


def _draw_cases(canvas, ax, cases, write, first=1, dashed=()):
    """Draw curves of values (n,) or of the medians of (runs, n), with their ends written out."""
    n = max(np.shape(values)[-1] for values in cases.values())
    ax.set_xlim(first, first + max(n - 1, 1))
    ax.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    ends = []
    for name, role, mark in zip(cases, style.series(cases), "os^D", strict=False):
        values, color = np.atleast_2d(cases[name]), style.TEXT_COLORS[role]
        if not values.size:
            continue
        at, middle = np.arange(first, first + values.shape[1]), np.median(values, axis=0)
        if len(values) > 1:
            band = values.min(axis=0), values.max(axis=0)
            ax.fill_between(at, *band, color=style.ROLES[role], alpha=0.22, lw=0)
        look = {"ls": "--" if name in dashed else "-", "marker": mark if n <= 30 else None}
        ax.plot(at, middle, color=color, lw=2, ms=5, clip_on=False, **look)
        ends.append((middle[-1], f"{name} {write(middle[-1])}", color))
    _label_ends(canvas, ax, ends)


def _set_log(ax, values):
    """Make the vertical axis logarithmic, so that the values are on it."""
    low, high = np.floor(np.log10(values.min())), np.ceil(np.log10(values.max()) + 0.01)
    ax.set_yscale("log")
    ax.set_ylim(10.0**low, 10.0**high)
    style.ticks(ax.yaxis, 10.0 ** np.arange(low, high + 1, 1 + (high - low) // 7))
    ax.yaxis.set_minor_locator(NullLocator())
    # matplotlib's own ticks have exponents of 8 px
    ax.yaxis.set_major_formatter(lambda value, _: _short(value))


def _percent(share):
    return style.percent(share, 0)


def _short(value):
    if 0.01 <= value < 10_000:
        return f"{value:.2g}" if value < 100 else f"{value:,.0f}"
    return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e").replace("-", "−")


def activations(layers, x):
    """Show what at most four activation layers, by name, make of a number x from -6 to 6.

    Value and slope are the layers' own: ``forward(x)`` and ``backward(1)``.
    """
    if not -REACH <= x <= REACH:
        raise ValueError(f"x must be from {-REACH} to {REACH}, got {x}")
    colors = [style.TEXT_COLORS[role] for role in style.series(layers)]
    at = np.append(np.linspace(-REACH, REACH, 481), x)
    lines, texts = {}, {}
    for name, layer in layers.items():
        value, slope = lines[name] = layer.forward(at), layer.backward(np.ones_like(at))
        value, slope = style.format_number(value[-1], 2), style.format_number(slope[-1], 3)
        texts[name] = f"value {value}, slope {slope}"
    canvas = style.Canvas(f"What comes out at x = {style.format_number(x)}, and how steeply")
    top, width, height = canvas.top + 28, 350, 230
    y = top + height + 58
    listed = ", ".join(f"{name} {text}" for name, text in texts.items())
    figure = canvas.finish(
        style.MAX_WIDTH - style.MARGIN,
        y + 22 * len(layers) - 8,
        f"Activation functions at x = {x}: {listed}.",
    )
    for k, (left, title, limits, ticks) in enumerate(
        [
            (canvas.left + 30, "value", (-2, 6.2), (-2, 0, 2, 4, 6)),
            (canvas.left + 470, "slope", (-0.03, 1.25), (0, 0.25, 0.5, 0.75, 1)),
        ]
    ):
        ax = _axes(canvas, left, top, width, height, "x", title)
        ax.axvline(x, color=style.LINE, lw=1.2)
        for pair, color in zip(lines.values(), colors, strict=True):
            ax.plot(at[:-1], pair[k][:-1], color=color, lw=2)
            ax.plot(x, pair[k][-1], "o", color=color, ms=7, clip_on=False, zorder=3)
        ax.set(xlim=(-REACH, REACH), ylim=limits)
        style.ticks(ax.yaxis, ticks)
    for (name, text), color in zip(texts.items(), colors, strict=True):
        canvas.ax.plot([canvas.left, canvas.left + 26], [y, y], color=color, lw=2)
        style.write(canvas.ax, canvas.left + 36, y, name, 13, color, "bold")
        style.write(canvas.ax, canvas.left + 160, y, text, 13, gid=name)
        y += 22
    return figure


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
    if filters.shape != (len(losses), *target.shape) or losses.min(initial=1) <= 0:
        raise ValueError(
            f"expected {len(losses)} filters of shape {target.shape} with positive losses, got "
            f"shape {filters.shape} and the loss {losses.min(initial=1)}"
        )
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
    width = style.MAX_WIDTH - left - 40
    ax = _axes(canvas, left, top, width, 170, "step", "mean squared error")
    _set_log(ax, losses)
    ax.set_xlim(0, max(1, len(losses) - 1))
    ax.plot(losses, color=style.tint("window", 0.35), lw=1.5)
    ax.plot(losses[: step + 1], color=style.ROLES["window"], lw=2)
    ax.plot(step, losses[step], "o", color=style.ROLES["window"], clip_on=False)
    return figure


def _axes(canvas, left, top, width, height, xlabel, title):
    """Add axes with level grid lines to a finished canvas, placed in pixels, a title above."""
    style.write(canvas.ax, left, top - 18, title, 13, weight="bold")
    return style.axes(canvas.figure, left, top, width, height, xlabel, grid=True)


def _label_ends(canvas, ax, ends):
    """Write a text behind the end of each line, instead of a legend; apart where they would meet.

    `ends` are a value, a text and its color for each. The limits of the axes must be set.
    """
    paper = canvas.figure.bbox.height  # in pixels from below, as are the axes
    places = sorted(
        [paper - ax.transData.transform((1, value))[1], text, color] for value, text, color in ends
    )
    for k in range(1, len(places)):
        places[k][0] = max(places[k][0], places[k - 1][0] + 17)
    for k in reversed(range(len(places))):  # none below the axes
        places[k][0] = min(places[k][0], paper - ax.bbox.y0 - 17 * (len(places) - 1 - k))
    for y, text, color in places:
        style.write(canvas.ax, ax.bbox.x1 + 10, y, text, 12, color, "bold")
