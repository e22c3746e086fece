"""Picture of a training run under way: its curves, and where the reader changed a setting.

Book section 7.5.
"""

import numpy as np

from cnnlib.figures import style
from cnnlib.figures.training import curves

LABELS = 4  # changes that are written out, the latest ones


def progress(loss, train_acc, test_acc, changes=(), stopped=None):
    """Show the curves of a run, with a line at each step from which on a setting was another.

    Parameters
    ----------
    loss : list of float
        One value per iteration.
    train_acc, test_acc : list of float
        Accuracies, 0 to 1, one per epoch; either may be empty.
    changes : list of (int, str, float)
        After how many steps which setting was given which value.
    stopped : str, optional
        As for `curves`.

    Returns
    -------
    Card
        That of `cnnlib.figures.training.curves`, with the lines.
    """
    figure = curves(loss, train_acc, test_acc, stopped)
    loss_axes = figure.axes[1]
    kept = _settled(changes, np.size(loss) / 25)
    for step, _, _ in kept:
        loss_axes.axvline(step, color=style.ROLES["window"], lw=1.1, ls=(0, (4, 3)), zorder=0.9)
    for place, (step, name, value) in enumerate(kept[-LABELS:]):
        left = step > np.size(loss) / 2
        loss_axes.annotate(
            f" {name} {value:.3g} ",
            (step, 0.97 - 0.08 * place),
            xycoords=("data", "axes fraction"),
            ha="right" if left else "left",
            va="top",
            fontsize=style.points(11.5),
            fontfamily=style.FONT,
            color=style.TEXT_COLORS["window"],
            bbox={"fc": "white", "ec": "none", "alpha": 0.8, "pad": 0.5},
        )
    said = ", ".join(f"{name} {value:.3g} from step {step}" for step, name, value in kept)
    return style.describe(figure, figure.alt + (f" Changed on the way: {said}." if said else ""))


def _settled(changes, near):
    """Leave out the values that a slider passed on its way, within `near` steps, to another."""
    kept = []
    for step, name, value in changes:
        if kept and kept[-1][1] == name and step - kept[-1][0] <= near:
            kept.pop()
        kept.append((step, name, value))
    return kept
