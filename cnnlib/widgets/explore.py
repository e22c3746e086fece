"""Sliders around a figure function: move one, and the picture answers.

``explore(draw, stride=(1, 3), pad=(0, 2))`` calls ``draw(stride=1, pad=0)`` and shows its figure;
each move of a slider calls it again. The sliders are standard ones of ipywidgets, the picture is
an ``<img>`` with an alt text. A setting that the arithmetic forbids is no accident: the
ValueError's sentence is shown, and the last good picture stays.
"""

import html

import ipywidgets
import numpy as np
from traitlets import TraitError

from cnnlib.figures import style
from cnnlib.widgets.static import with_picture


def explore(draw, /, *, start=None, limits=None, dpi=style.DPI, min_height=None, **ranges):
    """Put sliders around a figure function.

    Parameters
    ----------
    draw : callable
        Takes the parameters by name and returns a `cnnlib.figures.style.Card`.
    start : dict, optional
        First values, by name; the lowest, or the first choice, where left out.
    limits : callable, optional
        Takes the dict of all values and returns the largest allowed value of some, by name: a
        slider that depends on others then ends there, and its value is lowered where needed.
        While it raises ValueError (no window fits) the limits stay as they are.
    dpi : float, default 100
        Resolution of the picture; its size on the page stays the same.
    min_height : int, optional
        Height in pixels kept for the picture from the start, that of the tallest one: the page
        below then never moves. Where left out, it grows with the tallest picture so far.
    **ranges
        By parameter: ``(min, max)``, ``(min, max, step)`` or ``(min, max, step, start)`` for a
        slider, whole numbers for whole steps; a list of choices or a dict from label to value for
        a menu.

    Returns
    -------
    Explorer

    Raises
    ------
    ValueError
        If a range is not one of these forms, or `start` names no parameter.

    Examples
    --------
    >>> from cnnlib.figures.convolution import sliding
    >>> explore(sliding, height=(1, 9), width=(1, 9), filter_h=(1, 5), filter_w=(1, 5))
    explore(sliding): height=1, width=1, filter_h=1, filter_w=1
    """
    return Explorer(draw, ranges, start or {}, limits, dpi, min_height)


class Explorer(ipywidgets.VBox):
    """Sliders and a picture; made by `explore`.

    Attributes
    ----------
    values : dict
        Present values by parameter name.
    figure : Card or None
        The last figure that could be drawn.
    message : str
        Why the present values give no picture; "" where they do.
    controls : dict
        The sliders and menus by parameter name.
    """

    def __init__(self, draw, ranges, start, limits=None, dpi=style.DPI, min_height=None):
        unknown = set(start) - set(ranges)
        if unknown:
            raise ValueError(f"start names {sorted(unknown)}, the parameters are {list(ranges)}")
        self._draw, self._limits, self._dpi = draw, limits, dpi
        self.figure, self.message = None, ""
        # Of the tallest picture so far, or yet to come: the page below never moves up again.
        self._height = min_height or 0
        self._picture = ""
        self.controls = {
            name: _control(name, range_, start.get(name)) for name, range_ in ranges.items()
        }
        self._view = ipywidgets.HTML()
        super().__init__([*self.controls.values(), self._view])
        self._waiting = False  # while several values are being set
        for control in self.controls.values():
            control.observe(self._changed, "value")
        self._changed()

    @property
    def values(self):
        """Present values by parameter name."""
        return {name: control.value for name, control in self.controls.items()}

    def set(self, **values):
        """Set some values by name, draw once, and return the explorer.

        Raises
        ------
        ValueError
            If a name is unknown, or a value lies outside of its range.
        """
        for name in values:
            if name not in self.controls:
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
        settings = ", ".join(f"{name}={_text(value)}" for name, value in self.values.items())
        name = getattr(self._draw, "__name__", type(self._draw).__name__)
        return f"explore({name}): {settings}" + (f"\n{self.message}" if self.message else "")

    def _repr_mimebundle_(self, **kwargs):
        """Add a text and the present picture, for where no kernel runs."""
        shown = super()._repr_mimebundle_(**kwargs)
        return with_picture(shown, repr(self), self.figure, self._dpi)

    def _changed(self, change=None):
        """Draw the picture for the present values; show a ValueError as a sentence."""
        if self._waiting:
            return
        self._waiting = True  # a lowered limit lowers its slider: one picture is enough
        try:
            self._apply_limits()
        finally:
            self._waiting = False
        try:
            figure = self._draw(**self.values)
        except ValueError as error:
            self.message = str(error)
        else:
            self.figure, self.message = figure, ""
            self._picture = style.to_html(figure, self._dpi)
            self._height = max(self._height, style.size(figure)[1])
        self._view.value = self._page()

    def _apply_limits(self):
        if self._limits is None:
            return
        try:
            limits = self._limits(self.values)
        except ValueError:
            return
        for name, largest in limits.items():
            control = self.controls[name]
            control.max = max(largest, control.min)

    def _page(self):
        """Write the picture; where there is a message, over it, faded: it shows other settings."""
        faded = "opacity: 0.35" if self.message else ""
        card = (
            f"padding: 8px 14px; background: white; color: {style.INK}; "
            f"border-left: 4px solid {style.ROLES['window']}; box-shadow: 0 1px 4px {style.MUTED}"
        )
        message = html.escape(self.message[:1].upper() + self.message[1:])
        return (
            f'<div style="position: relative; min-height: {max(self._height, 80)}px">'
            f'<div style="{faded}">{self._picture}</div>'
            '<p role="status" style="position: absolute; top: 48px; left: 24px; margin: 0; '
            f"max-width: 600px; line-height: 1.5; font-size: 14px; {card if message else ''}"
            f'">{message}</p></div>'
        )


def _control(name, range_, start):
    """Make the slider or the menu for one parameter."""
    common = {
        "description": _spelled_out(name),
        "style": {"description_width": "8em"},
        "layout": {"width": "min(480px, 98%)"},
    }
    if isinstance(range_, dict | list):
        options = list(range_.items()) if isinstance(range_, dict) else range_
        if not options:
            raise ValueError(f"{name}: the list of choices is empty")
        menu = ipywidgets.Dropdown(options=options, **common)
        if start is not None:
            _set(name, menu, start)
        return menu
    numbers = isinstance(range_, tuple) and len(range_) in (2, 3, 4)
    if not numbers or not all(isinstance(n, int | float | np.number) for n in range_):
        raise ValueError(
            f"{name}: a range is (min, max), (min, max, step), (min, max, step, start), a list "
            f"of choices or a dict, got {range_!r}"
        )
    low, high = range_[:2]
    whole = all(isinstance(n, int | np.integer) for n in range_)
    step = range_[2] if len(range_) > 2 else 1 if whole else (high - low) / 100
    if not low <= high or step <= 0:
        raise ValueError(f"{name}: min <= max and step > 0 are needed, got {range_!r}")
    first = range_[3] if len(range_) > 3 else low
    slider = (ipywidgets.IntSlider if whole else ipywidgets.FloatSlider)(
        value=low, min=low, max=high, step=step, continuous_update=True, **common
    )
    _set(name, slider, first if start is None else start)
    return slider


def _spelled_out(name):
    """Write a parameter's name in words: filter_h is the filter height."""
    words = {"h": "height", "w": "width", "b": "bias"}
    return " ".join(words.get(part, part) for part in name.split("_"))


def _set(name, control, value):
    """Set a value; ipywidgets would move one that is out of range to the end in silence."""
    low, high = getattr(control, "min", None), getattr(control, "max", None)
    if low is not None and not low <= value <= high:
        raise ValueError(f"{name} must be from {low} to {high}, got {value}")
    try:
        control.value = value
    except TraitError as error:  # not one of the choices, or not a number of this kind
        raise ValueError(f"{name}: {value!r} is not possible ({error})") from error


def _text(value):
    """Write a value in a word: an array by its shape."""
    shape = getattr(value, "shape", None)
    return f"array of shape {shape}" if shape else repr(value)
