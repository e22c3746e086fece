"""Links from one notebook to another: the file is there, and so is the heading."""

import json
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
LINK = re.compile(r"\]\(([^)\s:#]+\.ipynb)(?:#([^)\s]+))?\)")


def markdown(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")


def anchors(path):
    """The headings as JupyterLab names them: spaces become hyphens."""
    text = re.sub(r"^```.*?^```", "", markdown(path), flags=re.MULTILINE | re.DOTALL)
    return {h.strip().replace(" ", "-") for h in re.findall(r"^#+ +(.+)$", text, re.MULTILINE)}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_links_lead_somewhere(path):
    found = LINK.findall(markdown(path))
    assert found, f"{path.name} has no link to another chapter"
    for name, heading in found:
        assert (path.parent / name).exists(), f"{path.name}: there is no {name}"
        if heading:
            known = anchors(path.parent / name)
            assert unquote(heading) in known, f"{path.name}: {name} has no heading {heading}"
