"""What a widget leaves in the notebook's file, to be read where no kernel runs."""

import base64

from cnnlib.figures import style


def with_picture(shown, text, figure, dpi=style.DPI):
    """Add a text and a picture to what ipywidgets gives of a widget.

    Parameters
    ----------
    shown : dict or (dict, dict) or None
        What the widget's own ``_repr_mimebundle_`` returned: data, or data and metadata.
    text : str
        The widget in words.
    figure : Card or None
        Its present picture, if there is one.
    dpi : float, default 100
        Resolution of the picture.

    Returns
    -------
    data, metadata : dict
    """
    data, metadata = shown if isinstance(shown, tuple) else (shown or {}, {})
    data = {**data, "text/plain": text}
    if figure is None:
        return data, metadata
    data["image/png"] = base64.b64encode(style.to_png(figure, dpi)).decode("ascii")
    width, _ = style.size(figure)
    return data, {**metadata, "image/png": {"alt": figure.alt, "width": width}}
