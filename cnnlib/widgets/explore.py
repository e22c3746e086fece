"""Sliders around a figure function: move one, and the picture answers.

``explore(draw, stride=(1, 3), pad=(0, 2))`` calls ``draw(stride=1, pad=0)`` and shows its figure;
each move of a slider calls it again. What an exception says is shown, over the last picture.
"""

import contextlib
import html
import sys

import ipywidgets
from traitlets import TraitError

from cnnlib.exercises.verdict import card
from cnnlib.figures import style
from cnnlib.widgets.picture import Picture
from cnnlib.widgets.static import Still

LABELS = {"filter_size": "filter size FH", "height": "height H", "width": "width W"}
LABELS |= dict.fromkeys(("filter_height", "filter_h"), "filter height FH")
LABELS |= dict.fromkeys(("filter_width", "filter_w"), "filter width FW")
LABELS |= dict.fromkeys(("filters", "filter_num"), "filters FN")
LABELS |= {"channels": "channels C", "N": "images N", "stride": "stride S", "pad": "pad P"}
LABELS |= {label.split()[-1]: label for label in LABELS.values()}  # by the book's letters, too


class Explorer(Still, ipywidgets.VBox):
    """Put sliders around a figure function; notebooks call it ``explore``.

    Parameters
    ----------
    draw : callable
        Takes the parameters by name and returns a matplotlib Figure, with an alt text as ``alt``
        or else a title.
    start : dict, optional
        First values, by name; the lowest, or the first choice, where left out.
    limits : callable, optional
        Takes the dict of all values and returns the largest allowed value of some, by name: their
        sliders then end there. While it raises ValueError (no window fits) the limits stay.
    labels : dict, optional
        What is written beside a slider, by name, where `LABELS` is not what is meant.
    **ranges
        By parameter, what `ipywidgets.interact` takes: ``(min, max)`` or ``(min, max, step)``,
        whole numbers for whole steps, a list of choices or a dict from label to value, True or
        False for a box to tick; or ``(min, max, step, start)``.

    `values` and `controls` (sliders, menus) are dicts by parameter name, `figure` is the last that
    could be drawn, or None, and `message` says why the present values give none; "" where they do.
    ValueError is raised where a range is not one of these forms, or `start` or `labels` name no
    parameter; any other error of the first picture, so that a test of the notebook sees it.
    """

    def __init__(self, draw, /, *, start=None, limits=None, labels=None, **ranges):
        start, labels = start or {}, labels or {}
        if unknown := {*start, *labels} - {*ranges}:
            raise ValueError(f"no parameter is named {sorted(unknown)}, but {list(ranges)}")
        self._draw, self._limits = draw, limits or (lambda values: {})
        self._name = getattr(draw, "__name__", type(draw).__name__)
        self._tallest = 80, 900  # height, width: the page never moves up
        self._waiting = False  # while several values are being set
        self.controls = {}
        for name, range_ in ranges.items():
            made = self.controls[name] = control(name, range_, start.get(name))
            made.description = labels.get(name, made.description)
            made.observe(self._changed, "value")
        self._view = Picture()
        super().__init__([in_columns(self.controls), self._view])
        self._changed(shown=ValueError)

    values = property(lambda self: {name: c.value for name, c in self.controls.items()})
    figure = property(lambda self: self._view.figure)

    def set(self, **values):
        """Set some values by name, draw once, return the explorer; ValueError if one is refused."""
        for name in {*values} - {*self.controls}:
            raise ValueError(f"no parameter {name!r}; there are {list(self.controls)}")
        self._waiting = True
        try:
            for name, value in values.items():
                _set(name, self.controls[name], value)
                self._apply_limits()  # so that the next may use the new limits
        finally:
            self._waiting = False
            self._changed()
        return self

    def __repr__(self):
        settings = ", ".join(f"{name}={value!r}" for name, value in self.values.items())
        return f"explore({self._name}): {settings}" + (self.message and f"\n{self.message}")

    def _changed(self, change=None, shown=Exception):
        """Show the picture for the present values, or what went wrong as a sentence."""
        if self._waiting:
            return
        self._waiting = True  # a lowered limit lowers its slider: one picture is enough
        self.message = ""
        with self._view.hold_sync():  # the picture and what is around it, at once
            try:
                self._apply_limits()
                self._redraw()
            except shown as error:
                kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
                self.message = f"{kind}{error}"
            finally:
                self._waiting = False
            self._view.value = self._page()

    def _apply_limits(self):
        with contextlib.suppress(ValueError):  # no window fits: the limits stay
            for name, largest in self._limits(self.values).items():
                self.controls[name].max = max(largest, self.controls[name].min)

    def _redraw(self):
        figure = self._draw(**self.values)
        if not isinstance(figure, style.Figure):
            told = f"{self._name} returned {figure!r:.40}"
            raise TypeError(f"{told}; a figure function returns its matplotlib Figure")
        if "matplotlib.pyplot" in sys.modules:  # which would show it once more
            sys.modules["matplotlib.pyplot"].close(figure)
        if not hasattr(figure, "alt"):
            titles = [figure.get_suptitle(), *(ax.get_title() for ax in figure.axes)]
            style.describe(figure, next(filter(None, titles), self._name))
        self._tallest = max(self._tallest, style.size(figure)[::-1])
        self._view.draw(figure)

    def _page(self):
        """Write the picture; where there is a message, over it, faded: it shows other settings."""
        faded, told, picture = "", "", style.to_html(self.figure) if self.figure else ""
        height, width = self._tallest
        if self.message:
            behind = "Behind: the last settings that could be drawn."
            message = html.escape(self.message[:1].upper() + self.message[1:])
            message += f"<br><small>{behind if self.figure else 'There is no picture yet.'}</small>"
            faded, told = "opacity: 0.35", card(style.ROLES["window"], message)
        return (
            '<div style="container-type: inline-size"><div style="position: relative; min-height: '
            f'min({height}px, var(--room, 9999px), 100cqw * {height / width:.4f})">'
            f'<div style="{faded}">{picture}</div><div role="status" style="position: '
            f"absolute; top: 44px; left: 24px; max-width: 600px; filter: drop-shadow(0 1px 2px "
            f'{style.MUTED})">{told}</div></div></div>'
        )


explore = Explorer


def in_columns(controls):
    """Lay a dict of controls out in two columns, or one below some 620 px, near their picture."""
    columns = {"grid_template_columns": "repeat(auto-fill, minmax(300px, 1fr))"}
    columns |= {"max_width": f"{style.MAX_WIDTH}px", "grid_gap": "0 16px"}
    return ipywidgets.GridBox([*controls.values()], layout=columns)


def control(name, range_, start):
    """Make the slider, menu or box for one parameter as ipywidgets does, at its first value."""
    abbreviation = range_
    if isinstance(range_, tuple) and range_:  # with the first value at its end, or the lowest
        *abbreviation, first = range_ if len(range_) == 4 else (*range_, range_[0])
        abbreviation, start = tuple(abbreviation), first if start is None else start
    try:
        made = ipywidgets.interactive.widget_from_abbrev(abbreviation)
    except ValueError as error:
        raise ValueError(f"{name}: {error}, got {range_!r}") from error
    if made is None or not getattr(made, "options", True):
        forms = "(min, max), (min, max, step), (min, max, step, start), a list of choices or a dict"
        raise ValueError(f"{name}: a range is {forms}, not empty; got {range_!r}")
    made.description = LABELS.get(name, name.replace("_", " "))
    made.style.description_width, made.layout.width = "10em", "auto"
    if start is not None:
        _set(name, made, start)
    return made


def _set(name, control, value):
    """Set a value; ipywidgets would move one that is out of range to the end in silence."""
    low, high = getattr(control, "min", None), getattr(control, "max", None)
    if low is not None and not low <= value <= high:
        raise ValueError(f"{name} must be from {low} to {high}, got {value}")
    try:
        control.value = value
    except TraitError as error:  # not one of the choices, or not a number of this kind
        raise ValueError(f"{name}: {value!r} is not possible ({error})") from error
