"""Settings of JupyterLab, as `make lab` starts it.

A widget that has been saved opens without its kernel as "Error displaying widget: model not
found", and hides the picture that stands beside it. So where a picture or a page of text is
stored, the widget is not. On a hub, too: ``jupyter lab --config jupyter_server_config.py``.
"""

WIDGET = "application/vnd.jupyter.widget-view+json"


def keep_pictures(model, **kwargs):
    """Take the widget out of each output of a notebook that has a picture or HTML as well."""
    if model["type"] != "notebook" or not model.get("content"):
        return
    for cell in model["content"].get("cells", ()):
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if {"image/png", "text/html"} & set(data):
                data.pop(WIDGET, None)


c.ContentsManager.pre_save_hook = keep_pictures  # noqa: F821 (c is given by Jupyter)
c.FileContentsManager.pre_save_hook = keep_pictures  # noqa: F821
