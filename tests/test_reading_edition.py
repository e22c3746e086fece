"""The front page and the reading edition, as files: built once here, then read as a browser would.

What needs a browser to be seen (contrast, width, folding, printing) is in
``browser/test_reading_edition.py``.
"""

import importlib.util
import itertools
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from cnnlib.widgets import WindowExplorer

from .chapters import sizes

pytest.importorskip("latex2mathml", reason="needs the extra `site`")

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
CHAPTERS = [f"reading/{path.stem}.html" for path in NOTEBOOKS]
PAGES = ["index.html", *CHAPTERS]
VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"}
ONE_PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)


def load_reading():
    """Import lite/reading.py, which belongs to no package."""
    sys.path.insert(0, str(ROOT / "lite"))  # as where it is run: live.py lies beside it
    try:
        return importlib.import_module("reading")
    finally:
        sys.path.pop(0)


reading = load_reading()


class Page(HTMLParser):
    """A page's tags, its headings and its text; fails where tags do not nest."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.headings = [], [], []
        self.title, self.text = "", ""
        self.prose = ""  # the text without code and formulas
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append((int(tag[1]), dict(attributes).get("id")))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> in line {self.getpos()[0]}"

    def handle_data(self, data):
        self.text += data
        self.title += data if "title" in self.open else ""
        if not {"code", "math", "pre", "title"} & set(self.open):
            self.prose += data

    def all(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]

    @property
    def ids(self):
        return [attributes["id"] for _, attributes in self.tags if "id" in attributes]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    with sizes():
        reading.build_reading(folder, repository="owner/name", moving=["7.3"])
    return folder


@pytest.fixture(scope="module")
def pages(site):
    return {name: Page((site / name).read_text(encoding="utf-8")) for name in PAGES}


def test_there_is_a_page_for_each_notebook(site):
    assert sorted(p.relative_to(site).as_posix() for p in site.rglob("*.html")) == sorted(PAGES)


def test_sizes(site):
    assert max(path.stat().st_size for path in site.rglob("*.html")) < 1_000_000
    assert sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) < 25_000_000


@pytest.mark.parametrize("name", PAGES)
def test_every_picture_is_there_and_says_what_it_shows(site, pages, name):
    images = pages[name].all("img")
    assert images
    for image in images:
        assert len(image["alt"].strip()) > 10
        assert int(image["width"]) > 0
        assert int(image["height"]) > 0
        assert ((site / name).parent / image["src"]).is_file()


@pytest.mark.parametrize("name", PAGES)
def test_headings_are_in_order(pages, name):
    levels = [level for level, _ in pages[name].headings]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(below <= above + 1 for above, below in itertools.pairwise(levels))


@pytest.mark.parametrize("name", PAGES)
def test_language_title_and_landmarks(pages, name):
    page = pages[name]
    assert page.all("html")[0]["lang"] == "en"
    assert "cnnlib" in page.title
    assert len(page.all("main")) == 1
    assert len(page.ids) == len(set(page.ids)), "an id is there twice"


@pytest.mark.parametrize("name", PAGES)
def test_nothing_needs_javascript_or_another_server(site, pages, name):
    page = pages[name]
    assert {tag for tag, _ in page.tags} & {"iframe", "object", "embed"} == set()
    scripts = [script["src"] for script in page.all("script")]
    assert scripts == {"index.html": ["front.js"], CHAPTERS[2]: ["7.3.js"]}.get(name, [])
    for script in scripts:
        assert ((site / name).parent / script).stat().st_size <= 300_000
    for tag, attributes in page.tags:
        assert not [a for a in attributes if a.startswith("on")], f"<{tag}> {attributes}"
        for source in ("src", "srcset", *(["href"] if tag == "link" else [])):
            assert not re.match(r"(https?:)?//", attributes.get(source) or "")
    assert "url(" not in (site / "style.css").read_text(encoding="utf-8")


def test_the_states_of_an_explorer_are_those_of_python():
    explorer = reading.live.front_explorer()
    states = reading.live.states(explorer)
    assert len(states["pictures"]) == 4 * 3 * 3
    for key, found in states["pictures"].items():
        height, stride, pad = map(int, key.split(","))
        explorer.set(height=height, stride=stride, pad=pad)
        assert found == explorer._view.picture
    assert reading.live.states(WindowExplorer()) is None  # too many
    assert reading.live.states(WindowExplorer(modes=["im2col", "product"], sliders=[])) is None


def test_an_impossible_setting_is_a_sentence():
    explorer = WindowExplorer(np.ones((2, 4)), np.ones((2, 2)), sliders=["filter_height"])
    explorer.controls["filter_height"].max = 3
    assert "does not fit" in reading.live.states(explorer)["pictures"]["3"]


@pytest.mark.parametrize("name", PAGES)
def test_all_links_resolve(site, pages, name):
    links = [attributes["href"] for attributes in pages[name].all("a")]
    assert links
    for link in links:
        address = urlsplit(link)
        if address.scheme:
            assert address.scheme == "https", link
            assert "." in address.netloc, link
            continue
        target = ((site / name).parent / unquote(address.path)).resolve() if address.path else None
        if target == (site / "lite/lab/index.html").resolve():  # built by lite/build.py
            (notebook,) = parse_qs(address.query)["path"]
            assert (ROOT / "notebooks" / notebook).is_file(), link
            continue
        page = target.relative_to(site.resolve()).as_posix() if target else name
        if page == "api/cnnlib.html":  # so is this
            continue
        assert page in pages, f"{link} leads nowhere"
        if address.fragment:
            assert unquote(address.fragment) in pages[page].ids, f"{link}: no such place"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_nothing_is_lost(pages, path):
    """All code and all printed lines stand on the page, each heading in the list of sections.

    But for the cell that prepares Colab: here nothing runs.
    """
    page = pages[f"reading/{path.stem}.html"]
    pictures = 0
    assert "google.colab" not in page.text
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type != "code" or cell.id == "colab":
            continue
        assert cell.source.strip() in page.text, cell.id
        for output in cell.outputs:
            pictures += "image/png" in output.get("data", {})
            assert output.get("text", "").rstrip() in page.text, cell.id
    assert len(page.all("img")) >= pictures
    links = {unquote(a["href"]) for a in page.all("a")}
    assert {f"#{anchor}" for level, anchor in page.headings if level in (2, 3)} <= links


@pytest.mark.parametrize("name", CHAPTERS)
def test_formulas_are_mathml(pages, name):
    assert pages[name].all("math")
    assert not re.search(r"\$[^$\n]+\$|\\[a-z]{3,}", pages[name].prose)
    assert r"\mathit" not in pages[name].text


@pytest.mark.parametrize("name", CHAPTERS)
def test_what_scrolls_can_be_reached(pages, name):
    boxes = [a for _, a in pages[name].tags if a.get("class") in ("table", "formula")]
    assert all(box["tabindex"] == "0" and box["aria-label"] for box in boxes)
    assert all(pre["aria-label"] for pre in pages[name].all("pre"))


def test_chapters_follow_one_another(pages):
    for name, following in itertools.pairwise(CHAPTERS):
        forward = [a["href"] for a in pages[name].all("a") if a.get("rel") == "next"]
        back = [a["href"] for a in pages[following].all("a") if a.get("rel") == "prev"]
        assert forward == [Path(following).name] * 2  # above and below the text
        assert back == [Path(name).name] * 2


def test_front_page_leads_everywhere(pages):
    front = pages["index.html"]
    links = [a["href"] for a in front.all("a")]
    for path in NOTEBOOKS:
        assert f"reading/{path.stem}.html" in links
        assert f"lite/lab/index.html?path={path.name}" in links
    assert len(front.all("img")) == len(NOTEBOOKS) + 1  # and what stands where an explorer moves
    assert "File > Download" in front.text
    assert "https://mybinder.org/v2/gh/owner/name/HEAD?urlpath=lab/tree/notebooks" in links


def test_front_page_without_a_repository(tmp_path, monkeypatch):
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    reading.build_reading(tmp_path, moving=[])
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "None" not in text
    assert not [a for a in Page(text).all("a") if a["href"].startswith("http")]
    assert "Binder" in text


# What ends the build, and small notebooks that show one thing each.


def read(folder, *cells):
    """Build one small chapter; return its HTML."""
    path = folder / "9.9-small.ipynb"
    nbformat.write(new_notebook(cells=[new_markdown_cell("# 9.9 Small"), *cells]), path)
    return "\n".join(reading.Builder(folder / "out").read(path).parts)


def picture_cell(metadata):
    output = new_output("display_data", {"image/png": ONE_PIXEL}, metadata=metadata)
    return new_code_cell("draw()", outputs=[output], id="it")


def test_a_picture_without_alt_text_ends_the_build(tmp_path):
    with pytest.raises(ValueError, match=r"9\.9-small\.ipynb, it: a picture without alt text"):
        read(tmp_path, picture_cell({}))


def test_a_picture_has_the_size_and_the_text_of_its_metadata(tmp_path):
    html = read(tmp_path, picture_cell({"image/png": {"alt": "a < b", "width": 20}}))
    (image,) = Page(html).all("img")
    assert image == {
        "src": "pictures/9.9-it.png",
        "width": "20",
        "height": "20",
        "loading": "lazy",
        "alt": "a < b",
    }


def test_a_picture_in_the_text_needs_words_too(tmp_path):
    with pytest.raises(ValueError, match="no alt text"):
        read(tmp_path, new_markdown_cell("![](picture.png)"))


def test_a_link_to_a_chapter_that_is_not_there_ends_the_build(tmp_path):
    with pytest.raises(ValueError, match=r"7\.9-more\.ipynb"):
        read(tmp_path, new_markdown_cell("[more](7.9-more.ipynb)"))


def test_links_to_notebooks_become_links_to_pages(tmp_path):
    html = read(tmp_path, new_markdown_cell("[here](9.9-small.ipynb#A-b:-c)"))
    assert '<a href="9.9-small.html#A-b:-c">here</a>' in html


def test_folded_code_is_folded(tmp_path):
    cell = new_code_cell("answer = 42", metadata={"jupyter": {"source_hidden": True}})
    assert "<details><summary>Code</summary><pre" in read(tmp_path, cell)


def test_equal_headings_have_names_of_their_own(tmp_path):
    html = read(tmp_path, new_markdown_cell("## Try\n\n## Try"))
    assert Page(html).ids == ["9.9-Small", "Try", "Try-2"]


def test_an_output_that_cannot_be_shown_ends_the_build(tmp_path):
    output = new_output("display_data", {"application/json": {}})
    with pytest.raises(ValueError, match="nothing to show"):
        read(tmp_path, new_code_cell("x", outputs=[output], id="it"))


@pytest.mark.parametrize(
    ("tex", "wanted"),
    [
        (r"\mathit{FH}", '<mi class="name">FH</mi>'),
        (r"\log 10", '<mi>log</mi><mspace width="0.17em"/><mn>10</mn>'),
        (r"\frac{1}{2}", "<mfrac>"),
    ],
)
def test_formula(tex, wanted):
    assert wanted in reading.to_mathml(tex, "inline")


def test_the_number_of_a_formula_stands_beside_it(tmp_path):
    html = read(tmp_path, new_markdown_cell(r"$$x = 1 \tag{7.1}$$"))
    assert '<span class="number">(7.1)</span>' in html
    assert html.count("7.1") == 1
