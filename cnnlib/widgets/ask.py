"""Questions to answer before running a cell, from ``cnnlib/exercises/questions.toml``.

``ask("7.2", "channels")`` shows one: choices, or an entry for a shape or a number, and what the
answer is told. A saved notebook has its text. All count in ``cnnlib.exercises.progress``.
"""

import html
import re

import ipywidgets

from cnnlib.exercises import solved
from cnnlib.exercises.questions import find
from cnnlib.exercises.verdict import LOOKS, card
from cnnlib.widgets.picture import Picture
from cnnlib.widgets.static import Still

WORDS = {True: "Right. ", False: "Not quite. ", None: ""}


def ask(chapter, name):
    """Show a question of ``questions.toml``; ValueError if there is no such question."""
    question = find(chapter, name)
    make = ShapeQuestion if question["kind"] == "shape" else ChoiceQuestion
    return make(question, (chapter, name))


class Question(Still, ipywidgets.VBox):
    """A question, a control, and a reply that is announced to screen readers.

    `correct` is whether the present answer is right, and `reply` what it is told; None and ""
    before there is one.
    """

    choices = ()

    def __init__(self, question, exercise, hint):
        self.question, self.answer = question["question"], question["answer"]
        self._replies, self._exercise = question["replies"], exercise
        solved.register(*exercise)
        self._view = Picture()
        title = f'<div style="font-weight: 600; line-height:1.5">{html.escape(self.question)}</div>'
        self.control.observe(self._changed, "value")
        super().__init__([ipywidgets.HTML(title), self.control, self._view])
        self._tell(None, hint)
        self.reply = ""

    def __repr__(self):
        lines = [f"Predict: {self.question}", *(f"  ( ) {choice}" for choice in self.choices)]
        if self.correct is not None:
            lines.append(WORDS[self.correct] + self.reply)
        return "\n".join(lines)

    @property
    def page(self):
        """The question in words, as HTML."""
        told = f"{html.escape(repr(self))}\n<small>Run this cell to answer it.</small>"
        return card(LOOKS["not started"][1], f'<div style="white-space: pre-line">{told}</div>')

    def _tell(self, correct, reply):
        self.correct, self.reply = correct, reply
        status = {True: "correct", False: "wrong", None: "not started"}[correct]
        solved.record(*self._exercise, status)
        _, edge, ink = LOOKS[status]
        # The room for two lines is kept from the start, so that the page below does not move.
        word = f'<span style="font-weight: 600; color: {ink}">{WORDS[correct]}</span>'
        text = f'<div role="status" style="min-height: 42px">{word}{html.escape(reply)}</div>'
        self._view.value = card(edge, text)


class ChoiceQuestion(Question):
    """A question with radio buttons."""

    def __init__(self, question, exercise):
        self.choices = list(question["replies"])
        self.control = ipywidgets.RadioButtons(options=self.choices, value=None)
        self.control.layout = {"width": "auto", "padding": "0 0 0 4px"}  # room for the focus' ring
        hint = "Choose first (a click, or Tab, arrow keys and the space bar), then read on."
        super().__init__(question, exercise, hint)

    def _changed(self, change):
        if change["new"] is not None:
            self._tell(change["new"] == self.answer, self._replies[change["new"]])


class ShapeQuestion(Question):
    """A question whose answer, a shape or a whole number, is typed in."""

    def __init__(self, question, exercise):
        self._numbers = _numbers(question["answer"])
        self.control = ipywidgets.Text(description="your answer", continuous_update=False)
        self.control.placeholder = "such as (2, 3)" if len(self._numbers) > 1 else "a whole number"
        self.control.style.description_width = "initial"  # else the label is cut
        self.control.layout.width = "min(360px, 98%)"
        super().__init__(question, exercise, "Answer, then read on.")

    def _changed(self, change):
        text, right = change["new"].strip(), self._numbers
        if len(right) == 1 and re.fullmatch(r"\d{1,3}(,\d{3})+", text):
            text = text.replace(",", "")  # 4,096 is one number, as the notebooks print it
        numbers, n = _numbers(text), len(right)
        told = {_numbers(entry): reply for entry, reply in self._replies.items()}
        if not numbers or len(numbers) > n == 1:
            wanted = f"a shape of {n} numbers, such as (2, 3)" if n > 1 else "a whole number"
            self._tell(None, f"Please write {wanted}.")
        elif numbers in told:
            self._tell(numbers == right, told[numbers])
        elif len(numbers) != n:
            self._tell(False, f"There are {n} axes in it, not {len(numbers)}.")
        elif sorted(numbers) == sorted(right):
            self._tell(False, "These are the right numbers in another order.")
        else:
            same = [str(i) for i, (a, b) in enumerate(zip(numbers, right, strict=True)) if a == b]
            self._tell(False, f"Right so far: axis {', '.join(same)}." if same else "Count again.")


def _numbers(text):
    """Read "(2, 3)", "2 x 3" or "6" as whole numbers; () where it is none of them."""
    numbers = re.findall(r"\d+", text)
    shape = r"[(\[]?\s*\d+(\s*[,x×*\s]\s*\d+)*\s*,?\s*[)\]]?"
    if max(map(len, numbers), default=0) > 15 or not re.fullmatch(shape, text.strip()):
        return ()  # Python refuses to read numbers of thousands of digits
    return tuple(int(number) for number in numbers)
