"""What a checker answers: a text, and in JupyterLab a coloured card."""

import html
from dataclasses import dataclass

ROWS, WIDTH = 24, 100  # of the screen that a verdict fits on
INK = "#1f2933"
# Status -> headline, colour of the edge, colour of the headline on white.
LOOKS = {
    "correct": ("correct", "#009E73", "#00664B"),
    "wrong": ("not right yet", "#D55E00", "#B34A00"),
    "not started": ("not started yet", "#9AA5B1", "#59636e"),
}


@dataclass(frozen=True)
class Verdict:
    """The answer to one submission.

    Attributes
    ----------
    name, chapter : str
        The exercise.
    status : {"correct", "wrong", "not started"}
    lines : tuple of (str, str)
        Label ("" for none) and text: what is wrong, the input, the answer got and the one expected,
        the usual cause, and what else was noticed.
    """

    name: str
    chapter: str
    status: str
    lines: tuple

    @property
    def correct(self):
        """Whether the exercise is solved."""
        return self.status == "correct"

    def __getitem__(self, label):
        """Return the text of a line by its label; "" where there is none."""
        return next((text for found, text in self.lines if found == label), "")

    def __repr__(self):
        headline, _, _ = LOOKS[self.status]
        lines = [f"{self.name} ({self.chapter}): {headline}"]
        for label, text in self.lines:
            first = f"{label}: " if label else ""
            if "\n" in text:
                lines += [first.rstrip(), *("    " + line for line in text.split("\n"))]
            else:
                lines.append(first + text)
        return "\n".join(lines)

    def _repr_html_(self):
        headline, edge, ink = LOOKS[self.status]
        title = (
            f'<div style="font-weight: 600; color: {ink}">{html.escape(self.name)} '
            f"({self.chapter}): {headline}</div>"
        )
        return card(edge, title + "".join(_line(label, text) for label, text in self.lines))


def fitted(lines):
    """Cut the texts of a verdict until it fits on a screen of ``ROWS`` rows, as a tuple."""
    cut = [
        (label, "\n".join(_cut(row, WIDTH - 4) for row in text.split("\n")))
        if "\n" in text
        else (label, _cut(text, 2 * WIDTH - 20))
        for label, text in lines
    ]
    rest = ROWS - 1 - 2 * len(cut)  # for the rows of blocks, beyond two of each text
    blocks = sum("\n" in text for _, text in cut)
    for limit in range(ROWS, 1, -1):
        rows = [text.split("\n") for _, text in cut]
        short = [r if len(r) <= limit else [*r[: limit - 1], "..."] for r in rows]
        if sum(len(r) - 1 for r in short) <= rest or not blocks:
            break
    return tuple((label, "\n".join(r)) for (label, _), r in zip(cut, short, strict=True))


def _cut(text, width):
    return text if len(text) <= width else text[: width - 3] + "..."


def card(edge, content):
    """Put HTML on a white card with a coloured edge: legible in light and dark themes."""
    return (
        f'<div style="background: white; color: {INK}; border-left: 6px solid {edge}; '
        "border-radius: 4px; padding: 8px 14px; margin: 4px 0; max-width: 840px; "
        f'font-size: 14px; line-height: 1.5">{content}</div>'
    )


def _line(label, text):
    named = f'<span style="font-weight: 600">{html.escape(label)}:</span> ' if label else ""
    if "\n" not in text:
        return f'<div style="margin-top: 4px; color: {INK}">{named}{html.escape(text)}</div>'
    block = (
        f'<pre style="margin: 2px 0 0 16px; padding: 0; background: white; color: {INK}; '
        f'font-size: 13px; line-height: 1.35; overflow-x: auto">{html.escape(text)}</pre>'
    )
    return f'<div style="margin-top: 4px; color: {INK}">{named}{block}</div>'
