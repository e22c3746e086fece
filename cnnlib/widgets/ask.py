"""Questions to answer before running a cell, from ``cnnlib/exercises/questions.toml``.

``ask("7.2", "channels")`` shows one: choices, or an entry for a shape or a number, and below it
what the answer is told. In a saved notebook the question stands as text. All questions count in
``cnnlib.exercises.progress``.
"""

import html
import re

import ipywidgets

from cnnlib.exercises import solved
from cnnlib.exercises.questions import find
from cnnlib.figures import style
from cnnlib.widgets.static import with_picture


def ask(chapter, name):
    """Show a question of ``questions.toml``: ask("7.2", "channels").

    Raises
    ------
    ValueError
        If there is no such question.
    """
    question = find(chapter, name)
    make = ShapeQuestion if question["kind"] == "shape" else ChoiceQuestion
    return make(question, (chapter, name))


class Question(ipywidgets.VBox):
    """A question, a control, and a reply that is announced to screen readers.

    Attributes
    ----------
    question, answer : str
    reply : str
        What the present answer is told; "" before there is one.
    correct : bool or None
        Whether the present answer is right; None before there is one.
    """

    choices = ()

    def __init__(self, question, exercise, hint):
        self.question, self.answer = question["question"], question["answer"]
        self._replies, self._exercise = question["replies"], exercise
        solved.register(*exercise)
        self._view = ipywidgets.HTML()
        title = ipywidgets.HTML(
            f'<div style="font-weight: 600; line-height: 1.5">{html.escape(self.question)}</div>'
        )
        self.control.observe(self._changed, "value")
        super().__init__([title, self.control, self._view])
        self._tell(None, hint)
        self.reply = ""

    def __repr__(self):
        lines = [f"Predict: {self.question}", *(f"  ( ) {choice}" for choice in self.choices)]
        if self.correct is not None:
            lines.append(("Right. " if self.correct else "Not quite. ") + self.reply)
        return "\n".join(lines)

    def _repr_mimebundle_(self, **kwargs):
        """Add the question in words, for where no kernel runs."""
        data, metadata = with_picture(super()._repr_mimebundle_(**kwargs), repr(self), None)
        text = (
            f'<div style="background: white; color: {style.INK}; padding: 8px 14px; '
            f"border-left: 6px solid {style.ROLES['padding']}; border-radius: 4px; max-width: "
            f'840px; line-height: 1.5; white-space: pre-line">{html.escape(repr(self))}</div>'
        )
        return {**data, "text/html": text}, metadata

    def _tell(self, correct, reply):
        self.correct, self.reply = correct, reply
        if correct is not None:
            solved.record(*self._exercise, "correct" if correct else "wrong")
        role = {True: "output", False: "window", None: "padding"}[correct]
        word = {True: "Right. ", False: "Not quite. ", None: ""}[correct]
        # The room for two lines is kept from the start, so that the page below does not move.
        self._view.value = (
            f'<div role="status" style="background: white; color: {style.INK}; min-height: 42px; '
            f"padding: 6px 14px; border-left: 6px solid {style.ROLES[role]}; border-radius: 4px; "
            'max-width: 840px; line-height: 1.5; font-size: 14px">'
            f'<span style="font-weight: 600; color: {style.TEXT_COLORS[role]}">{word}</span>'
            f"{html.escape(reply)}</div>"
        )


class ChoiceQuestion(Question):
    """A question with radio buttons."""

    def __init__(self, question, exercise):
        self.choices = list(question["replies"])
        self.control = ipywidgets.RadioButtons(
            options=self.choices,
            value=None,
            layout={"width": "auto", "padding": "0 0 0 4px"},  # room for the ring of the focus
        )
        hint = "Choose first (a click, or Tab and the space bar), then read on."
        super().__init__(question, exercise, hint)

    def _changed(self, change):
        if change["new"] is not None:
            self._tell(change["new"] == self.answer, self._replies[change["new"]])


class ShapeQuestion(Question):
    """A question whose answer, a shape or a whole number, is typed in."""

    def __init__(self, question, exercise):
        self._numbers = _numbers(question["answer"])
        self.control = ipywidgets.Text(
            placeholder="such as (2, 3)" if len(self._numbers) > 1 else "a whole number",
            description="your answer",
            style={"description_width": "initial"},  # else the label is cut
            continuous_update=False,  # Enter, or leaving the field
            layout={"width": "min(360px, 98%)"},
        )
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
            same = [i for i, (a, b) in enumerate(zip(numbers, right, strict=True)) if a == b]
            axes = ", ".join(str(i) for i in same)
            self._tell(False, f"Right so far: axis {axes}." if same else "Count again.")


def _numbers(text):
    """Read "(2, 3)", "2 x 3" or "6" as whole numbers; () where it is none of them."""
    numbers = re.findall(r"\d+", text)
    shape = r"[(\[]?\s*\d+(\s*[,x×*\s]\s*\d+)*\s*,?\s*[)\]]?"
    if max(map(len, numbers), default=0) > 15 or not re.fullmatch(shape, text.strip()):
        return ()  # Python refuses to read numbers of thousands of digits
    return tuple(int(number) for number in numbers)
