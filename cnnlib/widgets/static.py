"""What the widgets share: script, style sheet, and what they leave in the notebook's file."""

import base64
from pathlib import Path

from cnnlib.figures import style


class Still:
    """A widget that leaves its text and a still picture, to be read where no kernel runs.

    They are its ``repr``, its `figure`, or None, and its `page`, HTML in place of a picture.
    """

    figure, page = None, ""

    def _repr_mimebundle_(self, **kwargs):
        shown = super()._repr_mimebundle_(**kwargs)  # data, or data and metadata, or None
        data, metadata = shown if isinstance(shown, tuple) else (shown or {}, {})
        data, figure = {**data, "text/plain": repr(self)}, self.figure
        if self.page:
            data["text/html"] = self.page
        if figure is None:
            return data, metadata
        width, height = style.size(figure)
        hint = figure.text(1 - 24 / width, 8 / height, "Run this cell to try it", color=style.MUTED)
        hint.set(fontsize=style.points(11), fontstyle="italic", horizontalalignment="right")
        data["image/png"] = base64.b64encode(style.to_png(figure)).decode("ascii")
        hint.remove()
        return data, {**metadata, "image/png": {"alt": figure.alt, "width": width}}


def script(name):
    """Return a module of this folder, headed by what keeps keys for the control in focus."""
    return _read("keys.js") + _read(name)


def style_sheet(*names):
    """Return files of this folder as one style sheet, headed by the colours of the roles."""
    rules = [f".cnnlib-view {{ --in-play: {style.IN_PLAY}; }}"]
    for role, text in style.TEXT_COLORS.items():
        color = style.ROLES[role]
        rules.append(f".cnnlib-view {{ --{role}: {color}; --{role}-text: {text}; }}")
        rules.append(f".role-{role} {{ --role: {color}; --role-text: {text}; }}")
    return "\n".join([*rules, *map(_read, names)])


def _read(name):
    return Path(__file__).with_name(name).read_text("utf-8")
