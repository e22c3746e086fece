"""Pictures of networks, training and what was learnt.

Book sections 7.5 to 7.7.
"""

import numpy as np
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from cnnlib.figures import style
from cnnlib.figures.grids import draw_image

ROOM = style.MAX_WIDTH - 2 * style.MARGIN


def network(layers, message="Shapes on the arrows, learnt numbers in the boxes"):
    """Show a network as a chain of layers with shapes and parameter counts.

    Parameters
    ----------
    layers : list of (name, output_shape, n_params)
        In order; the first is the input, with None or 0 for its parameters.
    message : str
        Title.

    Returns
    -------
    Card

    Notes
    -----
    Book figure 7-5-1.
    """
    canvas = style.Canvas(message)
    ax = canvas.ax
    height, line = 54, 104
    texts = [f"{count:,} parameters" if count else "" for _, _, count in layers]
    shapes = [style.shape_text(np.atleast_1d(shape)) for _, shape, _ in layers]
    boxes, arrows = [], []  # widths
    for (name, _, _), text, shape in zip(layers, texts, shapes, strict=True):
        wide = max(style.text_width(name, 13, "bold"), style.text_width(text, 11))
        boxes.append(max(64, round(wide) + 18))
        arrows.append(max(46, round(style.text_width(shape, 12)) + 14))
    roles = [layer_role(name, k, count) for k, (name, _, count) in enumerate(layers)]
    ends = _line_ends(np.add(boxes, arrows), roles)

    left, middle, right = canvas.left, canvas.top + 14 + height / 2, canvas.left
    for k, (name, _, _) in enumerate(layers):
        ax.add_patch(
            Rectangle(
                (left, middle - height / 2),
                boxes[k],
                height,
                fc=style.tint(roles[k], 0.3),
                ec=style.TEXT_COLORS[roles[k]],
                lw=1,
            )
        )
        center, shift = left + boxes[k] / 2, 9 if texts[k] else 0
        style.write(ax, center, middle - shift, name, 13, weight="bold", align="center")
        if texts[k]:
            style.write(ax, center, middle + 11, texts[k], 11, style.MUTED, align="center")
        left += boxes[k]
        style.write(ax, left + arrows[k] / 2, middle - 14, shapes[k], 12, align="center")
        path = [(left + 3, middle), (left + arrows[k] - 3, middle)]
        left += arrows[k]
        right = max(right, left)
        if k in ends:  # on to the first box of the next line
            corner, first = left - 3, canvas.left + boxes[k + 1] / 2
            turn, target = middle + line / 2, middle + line - height / 2 - 3
            path = [path[0], (corner, middle), (corner, turn), (first, turn), (first, target)]
            left, middle = canvas.left, middle + line
        draw_arrow(ax, path)
    bottom = middle + height / 2 + 30
    total = sum(count or 0 for _, _, count in layers)
    text = f"{total:,} parameters in all; shapes without the batch"
    style.write(ax, canvas.left, bottom, text, 12, style.MUTED)
    return canvas.finish(
        right,
        bottom + 8,
        "Network: "
        + ", ".join(f"{name} {shape}" for name, shape, _ in layers)
        + f"; {total} parameters.",
    )


def curves(loss, train_acc, test_acc, stopped=None):
    """Show the loss of each iteration and the accuracy of each epoch.

    Parameters
    ----------
    loss : list of float
        One value per iteration. The curve ends before the first that is not finite.
    train_acc, test_acc : list of float
        Accuracies, 0 to 1, one per epoch; either may be empty.
    stopped : str, optional
        Why training stopped early: `cnnlib.trainer.Trainer.stopped`.

    Returns
    -------
    Card
    """
    loss = np.asarray(loss, float)
    train_acc, test_acc = np.asarray(train_acc, float), np.asarray(test_acc, float)
    if not np.isfinite(loss).all():
        first = int(np.isfinite(loss).argmin())
        stopped = stopped or f"Training failed at iteration {first + 1}: the loss is {loss[first]}."
        loss = loss[:first]
    loss = np.clip(loss, -1e100, 1e100)  # sums and axis limits are finite, too
    message = _outcome(loss, test_acc, stopped)
    canvas = style.Canvas(message)
    last = (
        f"loss from {loss[0]:.3g} to {loss[-1]:.3g} over {loss.size} iterations"
        if loss.size
        else "no iteration yet"
    )
    figure = canvas.finish(
        style.MAX_WIDTH - style.MARGIN,
        canvas.top + 274,
        f"Training curves: {last}"
        + (f"; final test accuracy {100 * test_acc[-1]:.1f} %" if test_acc.size else "")
        + (f". {message}." if stopped else "."),
    )
    top = canvas.top + 30
    axs = style.axes(figure, 70, top, 345, 210, "iteration", "")
    style.write(canvas.ax, 70, top - 18, "loss per iteration", 13, weight="bold")
    if loss.size:
        iterations = np.arange(1, loss.size + 1)
        axs.plot(iterations, loss, color=style.tint("input", 0.45), lw=0.9)
        window = loss.size // 60
        if window:
            # Mean of the neighbours on both sides, fewer at the ends.
            sums = np.cumsum(np.insert(loss, 0, 0))
            first = np.maximum(iterations - 1 - window, 0)
            last = np.minimum(iterations + window, loss.size)
            smooth = (sums[last] - sums[first]) / (last - first)
            axs.plot(iterations, smooth, color=style.TEXT_COLORS["input"], lw=1.8)
        axs.set_ylim(0, max(1e-3, float(loss.max())) * 1.05)
        if loss.max() >= 1e4:
            axs.yaxis.set_major_formatter("{x:.3g}")  # no power of ten above the axis
        axs.set_xlim(0, max(2, loss.size))
    axs.grid(axis="y", color="#e7eaee", lw=0.8)
    axs.set_axisbelow(True)

    axs = style.axes(figure, 505, top, 290, 210, "epoch", "")
    style.write(canvas.ax, 505, top - 18, "accuracy per epoch", 13, weight="bold")
    ends = []
    for values, name, role, mark in (
        (train_acc, "train", "filter", "s"),
        (test_acc, "test", "output", "o"),
    ):
        if values.size:
            epochs = np.arange(1, values.size + 1)
            axs.plot(
                epochs,
                values,
                color=style.ROLES[role],
                lw=1.8,
                marker=mark,
                ms=4.5,
                clip_on=False,
            )
            ends.append([values[-1], f"{name} {100 * values[-1]:.1f} %", role])
    lowest = min([1.0, *train_acc, *test_acc])
    low = min(0.9, np.floor(10 * lowest) / 10) if ends else 0.0
    axs.set_ylim(low, 1)
    count = max(train_acc.size, test_acc.size, 2)
    axs.set_xlim(1, count)
    axs.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axs.grid(axis="y", color="#e7eaee", lw=0.8)
    # Labels at the ends of the lines instead of a legend, pushed apart where they would meet.
    places = [top + 210 * (1 - (value - low) / (1 - low)) for value, _, _ in ends]
    if len(places) == 2 and abs(places[0] - places[1]) < 17:
        upper = int(places[0] > places[1])
        middle = min(max(sum(places) / 2, top + 9), top + 201)
        places[upper], places[1 - upper] = middle - 9, middle + 9
    for place, (_, text, role) in zip(places, ends, strict=True):
        style.write(canvas.ax, 803, place, text, 12, style.TEXT_COLORS[role], "bold")
    return figure


def _outcome(loss, test_acc, stopped):
    """Say in a title how training went."""
    if stopped:
        return stopped.partition(". ")[0].rstrip(".")
    if not test_acc.size:
        return "Loss during training" if loss.size else "Nothing is trained yet: curves to come"
    ends = f"est accuracy ends at {100 * test_acc[-1]:.1f} %"
    if loss.size < 2:
        return f"T{ends}"
    some = max(1, loss.size // 10)  # batches differ: compare means
    start, end = loss[:some].mean(), loss[-some:].mean()
    near = abs(end - start) <= 0.05 * abs(start)
    how = "hardly changes" if near else "falls" if end < start else "rises"
    return f"The loss {how}, and t{ends}"


def confusion(matrix):
    """Show which class was taken for which; the errors stand out.

    Parameters
    ----------
    matrix : array_like of int, shape (K, K)
        Row: true class; column: predicted class.

    Returns
    -------
    Card
    """
    matrix = np.asarray(matrix)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"a confusion matrix is square, got shape {matrix.shape}")
    K = len(matrix)
    errors = matrix - np.diag(np.diag(matrix))
    total, wrong = int(matrix.sum()), int(errors.sum())
    if wrong:
        t, y = np.unravel_index(errors.argmax(), errors.shape)
        n = int(errors[t, y])
        message = f"{wrong} of {total} wrong"
        if n > 1:
            message += f"; most often, {t} is taken for {y} ({n} times)"
    else:
        message = f"All {total} are right"
    canvas = style.Canvas(message)
    ax = canvas.ax
    cell = 38
    left, top = canvas.left + 54, canvas.top + 54
    colors = style.sequential("window")
    peak = max(1, errors.max())
    style.write(
        ax, left + K * cell / 2, top - 38, "predicted class", 12, style.MUTED, align="center"
    )
    ax.text(
        canvas.left + 8,
        top + K * cell / 2,
        "true class",
        fontsize=style.points(12),
        fontfamily=style.FONT,
        color=style.MUTED,
        rotation=90,
        ha="center",
        va="center",
    )
    for k in range(K):
        style.write(ax, left + (k + 0.5) * cell, top - 14, str(k), 13, align="center")
        style.write(ax, left - 12, top + (k + 0.5) * cell, str(k), 13, align="right")
    for t, y in np.ndindex(K, K):
        count = int(matrix[t, y])
        strength = 0 if t == y else (count / peak) ** 0.7
        face = colors(0.1 + 0.4 * strength) if strength else "white"
        if t == y:
            face = style.tint("padding", 0.15)
        ax.add_patch(
            Rectangle((left + y * cell, top + t * cell), cell, cell, fc=face, ec="#e7eaee", lw=0.8)
        )
        if count:
            style.write(
                ax,
                left + (y + 0.5) * cell,
                top + (t + 0.5) * cell,
                str(count),
                12,
                style.MUTED if t == y else style.INK,
                weight="normal" if t == y else "bold",
                align="center",
                gid=f"confusion[{t},{y}]",
            )
    return canvas.finish(
        left + K * cell,
        top + K * cell,
        f"Confusion matrix of {total} images in {K} classes, {wrong} wrong: {message}.",
    )


def digits(images, titles=None, columns=10, message="Digits"):
    """Show a gallery of images.

    Parameters
    ----------
    images : array_like, shape (n, 1, H, W) or (n, H, W)
        Dark is high, like ink.
    titles : list of str, optional
        One above each image, such as "5 → 6".
    columns : int, default 10
        Images in a line.
    message : str
        Title.

    Returns
    -------
    Card
    """
    images = _planes(images)
    low, high = float(images.min()), float(images.max())
    return _gallery(images, titles, columns, message, style.IMAGE, low, high, "images")


def filters(W, columns=10, titles=None, message="Filters of the first layer"):
    """Show filters side by side on one scale centred at zero.

    Parameters
    ----------
    W : array_like, shape (FN, 1, FH, FW) or (FN, FH, FW)
        Filters; red is positive, blue negative.
    columns : int, default 10
        Filters in a line.
    titles : list of str, optional
        One above each filter.
    message : str
        Title.

    Returns
    -------
    Card

    Notes
    -----
    Book section 7.6.1. There the filters are plotted on a reversed grey scale without a bar.
    """
    W = _planes(W)
    peak = max(float(np.abs(W).max()), 1e-12)
    return _gallery(
        W, titles, columns, message, style.DIVERGING, -peak, peak, "filters", bar="weight"
    )


def feature_maps(maps, columns=10, titles=None, message="Feature maps"):
    """Show feature maps side by side on one scale.

    Parameters
    ----------
    maps : array_like, shape (n, H, W) or (1, n, H, W)
        Activations of one image, one map per channel.
    columns : int, default 10
        Maps in a line.
    titles : list of str, optional
        One above each map.
    message : str
        Title.

    Returns
    -------
    Card
    """
    maps = np.asarray(maps, float)
    maps = _planes(maps[0] if maps.ndim == 4 and len(maps) == 1 else maps)
    low, high = min(0.0, float(maps.min())), float(maps.max())
    colors = style.sequential("output")
    if low < 0:  # before ReLU: signed
        high = max(high, -low)
        low, colors = -high, style.DIVERGING
    return _gallery(maps, titles, columns, message, colors, low, high, "maps", bar="activation")


def _gallery(planes, titles, columns, message, colors, low, high, noun, bar=None):
    """Draw images in lines, with a colour bar where its label `bar` is given."""
    n, height, width = planes.shape
    if titles is not None and len(titles) != n:
        raise ValueError(f"{len(titles)} titles for {n} {noun}")
    if columns < 1:
        raise ValueError(f"columns must be at least 1, got {columns}")
    titles = None if titles is None else [str(t) for t in titles]
    columns = min(columns, n)
    gap = 10
    room = ROOM - (110 if bar else 0)
    unit = min(96, (room - gap * (columns - 1)) / columns) / max(height, width)
    slot = width * unit
    if titles:
        widest = max(style.text_width(t, 12) for t in titles)
        slot = max(slot, min(widest, (room - gap * (columns - 1)) / columns))
    canvas = style.Canvas(message)
    ax = canvas.ax
    pitch = height * unit + gap + (20 if titles else 0)
    first = canvas.top + (22 if titles else 4)
    for k, plane in enumerate(planes):
        line, place = divmod(k, columns)
        x = canvas.left + place * (slot + gap) + (slot - width * unit) / 2
        y = first + line * pitch
        draw_image(ax, plane, x, y, unit, colors, low, high)
        if titles:
            style.write(ax, x + width * unit / 2, y - 11, titles[k], 12, align="center")
    lines = -(-n // columns)
    bottom = first + (lines - 1) * pitch + height * unit
    right = canvas.left + columns * (slot + gap) - gap
    tall = max(bottom - first, 80)
    if bar:
        bottom = max(bottom, first + 86)
    figure = canvas.finish(
        right + (110 if bar else 0),
        bottom,
        f"{message}: {n} {noun} of {height} x {width}"
        + (f", {bar} from {planes.min():.3g} to {planes.max():.3g}" if bar else "")
        + (f", titled {', '.join(titles)}" if titles and n <= 20 else "")
        + ".",
    )
    if bar:
        style.color_bar(
            figure,
            colors,
            low,
            high if high > low else low + 1,
            right + 38,
            first + 5,
            min(tall - 10, 220),
            bar,
        )
    return figure


def _planes(values):
    """Return an array (n, H, W), or raise ValueError."""
    values = np.asarray(values, float)
    if values.ndim == 4 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 3 or 0 in values.shape:
        raise ValueError(f"expected (n, 1, H, W) or (n, H, W), got shape {values.shape}")
    return values


def layer_role(name, place, count):
    """Colour a layer by what it does: pooling, learnt numbers, input, or fixed arithmetic."""
    name = name.lower()
    if "pool" in name or "subsampl" in name:
        return "output"
    if count or "conv" in name or "affine" in name:
        return "filter"
    return "padding" if place else "input"


def _line_ends(widths, roles):
    """Break a chain of layers into lines; return the last layer of each line but the last.

    A line ends behind its last pooling, if that fills half of it, else where no more fits.
    """
    ends, first = [], 0
    while sum(widths[first:]) > ROOM:
        reach = np.cumsum(widths[first:])
        fitting = range(first, first + max(1, int((reach <= ROOM).sum())))
        pools = [k for k in fitting if roles[k] == "output" and reach[k - first] > ROOM / 2]
        ends.append((pools or fitting)[-1])
        first = ends[-1] + 1
    return ends


def draw_arrow(ax, path):
    """Draw a line through points, with a head at its end."""
    ax.plot(*np.transpose(path[:-1]), color=style.MUTED, lw=1.1, solid_joinstyle="miter")
    ax.annotate(
        "",
        path[-1],
        path[-2],
        arrowprops={
            "arrowstyle": "-|>",
            "color": style.MUTED,
            "lw": 1.1,
            "shrinkA": 0,
            "shrinkB": 0,
            "mutation_scale": 10,
        },
    )
