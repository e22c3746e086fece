"""Questions to answer before running a cell: choices or a shape, an explanation for each slip.

``Prediction(question, choices, answer)`` shows radio buttons, ``ShapePrediction(question, answer)``
an entry for a shape or a number. The answer is a value that ``cnnlib`` has computed, and what a
wrong answer tells is written beside it. In a saved notebook the question stands as text. A
question with ``exercise=(chapter, name)`` counts in ``cnnlib.exercises.progress``.
"""

import html
import re

import ipywidgets

from cnnlib.exercises import solved
from cnnlib.figures import style
from cnnlib.figures.style import shape_text
from cnnlib.widgets.static import with_picture


class _Question(ipywidgets.VBox):
    """A question, a control, and a reply that is announced to screen readers.

    Attributes
    ----------
    question : str
    reply : str
        What the present answer is told; "" before there is one.
    correct : bool or None
        Whether the present answer is right; None before there is one.
    """

    def __init__(self, question, controls, choices_text, exercise):
        self.question, self.reply, self.correct = question, "", None
        self._exercise = exercise
        if exercise:
            solved.register(*exercise)
        self._choices_text = choices_text
        self._view = ipywidgets.HTML()
        title = ipywidgets.HTML(
            f'<div style="font-weight: 600; line-height: 1.5">{html.escape(question)}</div>'
        )
        super().__init__([title, *controls, self._view])
        self._tell(
            None,
            "Choose first (a click, or Tab and the space bar), then read on."
            if choices_text
            else "Answer, then read on.",
        )
        self.reply = ""

    def __repr__(self):
        lines = [f"Predict: {self.question}", *self._choices_text]
        if self.correct is not None:
            lines.append(("Right. " if self.correct else "Not quite. ") + self.reply)
        return "\n".join(line.rstrip() for line in lines)

    def _repr_mimebundle_(self, **kwargs):
        """Add the question in words, for where no kernel runs."""
        data, metadata = with_picture(super()._repr_mimebundle_(**kwargs), repr(self), None)
        return {**data, "text/html": self._static(html.escape(repr(self)))}, metadata

    def _static(self, text):
        return (
            f'<div style="background: white; color: {style.INK}; padding: 8px 14px; '
            f"border-left: 6px solid {style.ROLES['padding']}; border-radius: 4px; "
            f'max-width: 840px; line-height: 1.5; white-space: pre-line">{text}</div>'
        )

    def _tell(self, correct, reply):
        self.correct, self.reply = correct, reply
        if self._exercise and correct is not None:
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


class Prediction(_Question):
    """A question with choices.

    Parameters
    ----------
    question : str
    choices : dict
        Each choice, as it is to be read or as a value (a shape, a number), to its explanation: why
        it is right, or what one has overlooked.
    answer : object
        The right one of the choices, computed.
    exercise : (str, str), optional
        Chapter and name under which it counts: ("7.2", "bias").

    Raises
    ------
    ValueError
        If there are fewer than two choices, if the answer is none of them, or if an explanation is
        missing.

    Examples
    --------
    >>> from cnnlib import conv_output_size
    >>> Prediction(
    ...     "How many places does a filter of 3 take along 7 pixels?",
    ...     {5: "7 - 3 + 1.", 4: "The first place needs no step: + 1."},
    ...     conv_output_size(7, 3),
    ... )
    Predict: How many places does a filter of 3 take along 7 pixels?
      ( ) 5
      ( ) 4
    """

    def __init__(self, question, choices, answer, exercise=None):
        if len(choices) < 2:
            raise ValueError(f"a question needs two choices at least, got {list(choices)}")
        self._explanations = {_text(choice): text for choice, text in choices.items()}
        if len(self._explanations) < len(choices):
            raise ValueError(f"two choices read alike: {list(choices)}")
        self.answer = _text(answer)
        if self.answer not in self._explanations:
            raise ValueError(
                f"the answer {self.answer} is none of the choices {list(self._explanations)}"
            )
        for choice, text in self._explanations.items():
            if not text:
                raise ValueError(f"the choice {choice} has no explanation")
        self.control = ipywidgets.RadioButtons(
            options=list(self._explanations),
            value=None,
            layout={"width": "auto", "padding": "0 0 0 4px"},  # room for the ring of the focus
        )
        self.control.observe(self._changed, "value")
        lines = [f"  ( ) {choice}" for choice in self._explanations]
        super().__init__(question, [self.control], lines, exercise)

    def choose(self, choice):
        """Answer as the reader does, and return the question.

        Raises
        ------
        ValueError
            If there is no such choice.
        """
        if _text(choice) not in self._explanations:
            raise ValueError(f"{_text(choice)} is none of {list(self._explanations)}")
        self.control.value = _text(choice)
        return self

    def _changed(self, change):
        if change["new"] is not None:
            self._tell(change["new"] == self.answer, self._explanations[change["new"]])


class ShapePrediction(_Question):
    """A question whose answer is a shape or a whole number, to be typed in.

    Parameters
    ----------
    question : str
    answer : int or tuple of int
        The right answer, computed.
    explanation : str
        Why it is right; told once it is found.
    slips : dict, optional
        A wrong answer, computed too where possible, to what one has overlooked.
    exercise : (str, str), optional
        Chapter and name under which it counts: ("7.2", "bias").

    Raises
    ------
    ValueError
        If the answer is neither, if the explanation is missing, or if a slip is the answer.
    """

    def __init__(self, question, answer, explanation, slips=None, exercise=None):
        self.answer = _numbers(_text(answer))
        if not self.answer:
            raise ValueError(
                f"the answer must be a whole number or a shape of them, got {answer!r}"
            )
        if not explanation:
            raise ValueError("the explanation of the right answer is missing")
        self._explanation = explanation
        self._slips = {_numbers(_text(slip)): text for slip, text in (slips or {}).items()}
        if self.answer in self._slips:
            raise ValueError(f"{answer} is the right answer and a slip")
        self.control = ipywidgets.Text(
            placeholder="such as (2, 3)" if len(self.answer) > 1 else "a whole number",
            description="your answer",
            style={"description_width": "initial"},  # else the label is cut
            continuous_update=False,  # Enter, or leaving the field
            layout={"width": "min(360px, 98%)"},
        )
        self.control.observe(self._changed, "value")
        super().__init__(question, [self.control], [], exercise)

    def enter(self, text):
        """Answer as the reader does, and return the question."""
        self.control.value = str(text)
        return self

    def _changed(self, change):
        text, n = change["new"].strip(), len(self.answer)
        if n == 1 and re.fullmatch(r"\d{1,3}(,\d{3})+", text):
            text = text.replace(",", "")  # 4,096 is one number, as the notebooks print it
        numbers = _numbers(text)
        if not numbers or len(numbers) > n == 1:
            wanted = f"a shape of {n} numbers, such as (2, 3)" if n > 1 else "a whole number"
            self._tell(None, f"Please write {wanted}.")
        elif numbers == self.answer:
            self._tell(True, self._explanation)
        elif numbers in self._slips:
            self._tell(False, self._slips[numbers])
        elif len(numbers) != n:
            self._tell(False, f"There are {n} axes in it, not {len(numbers)}.")
        elif sorted(numbers) == sorted(self.answer):
            self._tell(False, "These are the right numbers in another order.")
        else:
            same = [i for i, (a, b) in enumerate(zip(numbers, self.answer, strict=True)) if a == b]
            right = ", ".join(str(i) for i in same)
            self._tell(False, f"Right so far: axis {right}." if same else "Count again.")


def _text(value):
    """Write a choice: a shape as Python does, text as it is."""
    if isinstance(value, tuple | list):
        return shape_text(value)
    return str(value)


def _numbers(text):
    """Read "(2, 3)", "2 x 3" or "6" as whole numbers; () where it is none of them."""
    text = text.strip()
    if not re.fullmatch(r"[(\[]?\s*\d+(\s*[,x×*\s]\s*\d+)*\s*,?\s*[)\]]?", text):
        return ()
    return tuple(int(number) for number in re.findall(r"\d+", text))
