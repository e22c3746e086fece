"""Write the site's front page and the reading edition: static pages that need nothing else.

    python lite/reading.py --out dist

Each notebook becomes one page, as it is stored: prose, code, outputs, and a picture where a widget
stood. Where there is JavaScript, Window Explorers move (``live.py``). nbconvert reads the Markdown;
its page templates are not used, since they drop the alt text of pictures and need JavaScript for
formulas. Formulas become MathML, pictures become files beside the pages. A picture without alt
text, or a link to a chapter that is not there, ends the build.
"""

import argparse
import base64
import functools
import html
import itertools
import os
import re
import shutil
import struct
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote

import jinja2
import live  # beside this file
import nbformat
from latex2mathml.converter import convert as mathml
from nbconvert.filters import strip_ansi
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name

ROOT = Path(__file__).resolve().parents[1]
TEMPLATES = Path(__file__).with_name("reading")
LAB = "lite/lab/index.html?path="  # where lite/build.py puts the notebooks that run in the browser
PICTURES = "reading/pictures/"  # as the front page sees them
FIRST = "7.2"  # the chapter to open first
# The picture that stands for a chapter on the front page: a cell whose output is one.
FRONT_PICTURES = {
    "7.1": "flow-explorer",
    "7.2": "pad-explorer",
    "7.3": "idea-explorer",
    "7.4": "layout-explorer",
    "7.5": "pad-draw",
    "7.6": "before-after",
    "7.7": "plan-explorer",
    "7.8": "walk-explorer",
}
# A box whose longest line has more characters than this may scroll sideways on a phone. What
# scrolls must be reachable by the keyboard.
FITS = 36
FITS_INLINE = 24  # the same for a formula in a line, in MathML's own letters


@dataclass
class Picture:
    """A picture file, its size on the page in pixels and what it shows."""

    name: str
    width: int
    height: int
    alt: str


@dataclass
class Chapter:
    """One notebook on its way to a page; `parts` is its HTML, cell by cell."""

    path: Path
    parts: list = field(default_factory=list)
    headings: list = field(default_factory=list)  # (level, anchor, HTML)
    pictures: dict = field(default_factory=dict)  # cell id -> Picture
    text: str = ""  # what one does in it, for the front page
    live: dict = field(default_factory=dict)  # cell id -> states of its Window Explorer

    @property
    def number(self):
        """Its number, such as 7.2."""
        return self.path.name.split("-")[0]

    @property
    def page(self):
        """Its file in reading/."""
        return f"{self.path.stem}.html"

    @property
    def script(self):
        """The file beside it that moves its Window Explorers."""
        return f"{self.number}.js"

    @property
    def title(self):
        """Its title, in HTML."""
        return self.headings[0][2]

    @property
    def opening(self):
        """The first cell without the title in it."""
        return self.parts[0].partition("</h1>")[2]

    @property
    def sections(self):
        """The headings of level 2, each with those of level 3 below it: [(heading, [heading])]."""
        tree = []
        for level, anchor, text in self.headings:
            if level == 2:
                tree.append(((anchor, text), []))
            elif level == 3 and tree:
                tree[-1][1].append((anchor, text))
        return tree


class Prose(IPythonRenderer):
    """Markdown to HTML for one chapter: notes its headings, leads its links to pages."""

    def __init__(self, chapter):
        super().__init__(escape=False)
        self.chapter = chapter

    def heading(self, text, level, **attrs):
        """Name the heading in JupyterLab's way, so that links to it hold: spaces become hyphens."""
        name = anchor = html.unescape(re.sub(r"<[^>]+>", "", text)).strip().replace(" ", "-")
        known = [anchor for _, anchor, _ in self.chapter.headings]
        for k in itertools.count(2):
            if anchor not in known:
                break
            anchor = f"{name}-{k}"
        self.chapter.headings.append((level, anchor, text))
        return f'<h{level} id="{html.escape(anchor)}">{text}</h{level}>\n'

    def link(self, text, url, title=None):
        """Lead from one notebook's page to another's."""
        name, mark, anchor = url.partition("#")
        if name.endswith(".ipynb"):
            if not (self.chapter.path.parent / unquote(name)).exists():
                raise ValueError(f"{self.chapter.path.name}: a link leads to {name}, not there")
            url = name.removesuffix(".ipynb") + ".html" + mark + quote(unquote(anchor), safe=":")
        return super().link(text, url, title)

    def image(self, text, url, title=None):
        """Refuse a picture that says nothing."""
        if not text.strip():
            raise ValueError(f"{self.chapter.path.name}: the picture {url[:60]} has no alt text")
        return super().image(text, url, title)

    def block_code(self, code, info=None):
        """Colour the code in the language that it names."""
        return code_box(code, (info or "").strip(), "Code")

    def table(self, text):
        """Put a table into a box: on a phone it may be too wide."""
        return scrolling("div", "table", "Table", f"<table>\n{text}</table>")

    def block_math(self, body):
        """Set a formula in a line of its own, with its number at the right."""
        body, tag = re.subn(r"\\tag\{([^}]*)\}", "", body), re.search(r"\\tag\{([^}]*)\}", body)
        # Below the word, as in print: MathML has no rule of its own for it.
        formula = to_mathml(body[0].replace(r"\max_", r"\max\limits_"), display="block")
        number = f'<span class="number">({tag[1]})</span>' if tag else ""
        return scrolling("span", "formula", "Formula", formula + number)

    def inline_math(self, body):
        """Set a formula in the text; a long one can scroll, since browsers do not break it."""
        formula = to_mathml(body, display="inline")
        if len(re.sub(r"<[^>]+>|\s", "", html.unescape(formula))) > FITS_INLINE:
            return scrolling("span", "inline-formula", "Formula", formula)
        return formula


LETTERS = re.compile(r'<mrow>((?:<mi mathvariant="italic">[A-Za-z]</mi>){2,})</mrow>')


def to_mathml(tex, display):
    """Return a formula as MathML, which browsers show without JavaScript."""
    text = mathml(tex.strip(), display=display)
    # FH is one name, not F times H.
    text = LETTERS.sub(lambda m: f'<mi class="name">{re.sub("<[^>]+>", "", m[1])}</mi>', text)
    # A function's name stands off from its argument: "log 10", not "log10".
    return re.sub(r"(<mi>(?:log|exp)</mi>)(?!<mo)", r'\1<mspace width="0.17em"/>', text)


def scrolling(tag, name, label, content):
    """Put content into a box that scrolls by itself, with a mouse or the keyboard."""
    return f'<{tag} class="{name}" role="group" aria-label="{label}" tabindex="0">{content}</{tag}>'


def code_box(text, language, label):
    """Return a <pre> with the text, coloured where the language is known."""
    if language:
        coloured = highlight(text, get_lexer_by_name(language), HtmlFormatter(nowrap=True))
    else:
        coloured = html.escape(text, quote=False)
    wide = max(map(len, text.splitlines()), default=0) > FITS
    focus = ' tabindex="0"' if wide else ""
    name = label.lower()
    content = coloured.rstrip("\n")
    return (
        f'<pre class="{name}" role="group" aria-label="{label}"{focus}><code>{content}</code></pre>'
    )


def save_picture(folder, name, data, metadata):
    """Write a PNG; its size on the page is the notebook's, or its own."""
    content = base64.b64decode(data)
    width, height = struct.unpack(">II", content[16:24])
    shown = int(metadata.get("width", width))
    (folder / name).write_bytes(content)
    return Picture(name, shown, round(height * shown / width), metadata["alt"])


class Builder:
    """Turns notebooks into parts of pages, pictures into files."""

    def __init__(self, folder):
        self.pictures = folder / "pictures"
        self.pictures.mkdir(parents=True)

    def read(self, path, moves=False):
        """Return the chapter of a notebook, rendered; if it `moves`, its code is run for that."""
        chapter = Chapter(path, live=live.chapter_states(path) if moves else {})
        prose = MarkdownWithMath(Prose(chapter)).render
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "markdown":
                chapter.parts.append(prose(cell.source))
            elif "colab" not in cell.metadata.get("tags", []):  # that one only installs cnnlib
                chapter.parts.append(self.code_cell(chapter, cell, prose))
        if not chapter.headings or chapter.headings[0][0] != 1:
            raise ValueError(f"{path.name} does not begin with its title")
        return chapter

    def code_cell(self, chapter, cell, prose):
        """Return code and outputs; code that is folded in the notebook is folded here."""
        code = code_box(cell.source, "python", "Code")
        if cell.metadata.get("jupyter", {}).get("source_hidden"):
            code = f"<details><summary>Code</summary>{code}</details>"
        shown = [self.output(chapter, cell, k, prose) for k in range(len(cell.outputs))]
        return "\n".join([code, *shown])

    def output(self, chapter, cell, k, prose):
        """Return one output: of several ways to show it, the best where nothing runs."""
        output = cell.outputs[k]
        if output.output_type == "stream":
            return code_box(strip_ansi(output.text), "", "Output")
        if output.output_type == "error":
            return code_box(strip_ansi("\n".join(output.traceback)), "", "Error")
        data = output.data
        if "image/png" in data:
            metadata = output.metadata.get("image/png", {})
            if not metadata.get("alt", "").strip():
                raise ValueError(f"{chapter.path.name}, {cell.id}: a picture without alt text")
            name = f"{chapter.number}-{cell.id}{f'-{k}' if k else ''}.png"
            picture = save_picture(self.pictures, name, data["image/png"], metadata)
            chapter.pictures.setdefault(cell.id, picture)
            shown = f'<p class="picture">{image(picture, "pictures/")}</p>'
            is_live = cell.id in chapter.live
            return f'<div class="live" id="live-{cell.id}">{shown}</div>' if is_live else shown
        if "text/html" in data:
            return f'<div class="output-html">{data["text/html"]}</div>'
        if "text/markdown" in data:
            return prose(data["text/markdown"])
        if "text/plain" in data:
            return code_box(data["text/plain"], "", "Output")
        raise ValueError(f"{chapter.path.name}, {cell.id}: nothing to show among {list(data)}")


def image(picture, folder):
    """Return the <img> of a picture; its size is known before it is loaded."""
    return (
        f'<img src="{folder}{html.escape(picture.name)}" width="{picture.width}" '
        f'height="{picture.height}" loading="lazy" alt="{html.escape(picture.alt)}">'
    )


def texts_of_readme():
    """Return {notebook's file name: what one does in it}, from the README's table of chapters."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[[^\]]+\]\(notebooks/([^)]+)\) \| (.+?) \|$", readme, re.MULTILINE)
    return dict(rows)


def build_reading(out, repository=None, moving=live.CHAPTERS):
    """Write index.html, style.css and reading/ into a folder.

    Parameters
    ----------
    out : path
        The root of the site. What else is in it stays; an older reading/ is replaced.
    repository : str, optional
        "owner/name" on GitHub, for the links that open a notebook elsewhere. Default: what GitHub
        Actions says in GITHUB_REPOSITORY; without it these ways are named, not linked.
    moving : sequence of str, optional
        Chapters that are run, so that their Window Explorers move. All take half a minute.

    Returns
    -------
    list of Chapter

    Raises
    ------
    ValueError
        If a picture has no alt text, a link leads nowhere, or the front page lacks something.
    """
    out = Path(out)
    repository = repository or os.environ.get("GITHUB_REPOSITORY")
    folder = out / "reading"
    shutil.rmtree(folder, ignore_errors=True)
    builder = Builder(folder)
    paths = sorted((ROOT / "notebooks").glob("*.ipynb"))
    chapters = [builder.read(path, path.name.split("-")[0] in moving) for path in paths]
    texts = texts_of_readme()
    for chapter in chapters:
        if FRONT_PICTURES.get(chapter.number) not in chapter.pictures:
            raise ValueError(f"FRONT_PICTURES names no picture of {chapter.path.name}")
        if chapter.path.name not in texts:
            raise ValueError(f"the README's table of chapters lacks {chapter.path.name}")
        chapter.text = texts[chapter.path.name]

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    write = functools.partial(
        write_page, environment, chapters=chapters, lab=LAB, repository=repository
    )
    neighbours = zip(chapters, [None, *chapters], [*chapters[1:], None], strict=False)
    for chapter, previous, following in neighbours:
        write(
            folder / chapter.page,
            "chapter.html.j2",
            root="../",
            chapter=chapter,
            previous=previous,
            following=following,
        )
        if chapter.live:
            live.write_script(folder / chapter.script, chapter.live)
    write(
        out / "index.html",
        "front.html.j2",
        root="",
        first=next(chapter for chapter in chapters if chapter.number == FIRST),
        pictures={
            c.number: image(c.pictures[FRONT_PICTURES[c.number]], PICTURES) for c in chapters
        },
    )
    live.write_script(out / "front.js", {"front": live.states(live.front_explorer())})
    live.write_style(out / "explorer.css")
    shutil.copy(TEMPLATES / "style.css", out / "style.css")
    return chapters


def write_page(environment, path, template, **values):
    """Fill a template with values and write it."""
    text = environment.get_template(template).render(values)
    path.write_text(text.rstrip() + "\n", encoding="utf-8")


def main():
    """Build the pages alone, without the notebooks that run in the browser."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="the root of the site")
    parser.add_argument("--repository", help="owner/name on GitHub, to link from the front page")
    parser.add_argument(
        "--moving", nargs="*", default=live.CHAPTERS, help="such as 7.2: run for it"
    )
    arguments = parser.parse_args()
    for chapter in build_reading(arguments.out, arguments.repository, arguments.moving):
        pages = (arguments.out / "reading" / chapter.page).stat().st_size
        print(f"{chapter.page}: {pages / 1000:.0f} kB, {len(chapter.pictures)} cells with pictures")


if __name__ == "__main__":
    main()
