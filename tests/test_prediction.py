"""Prediction questions: every wrong choice is explained, and the answer is a computed value."""

import ipywidgets
import numpy as np
import pytest

from cnnlib import conv_output_size, im2col
from cnnlib.exercises import progress, solved
from cnnlib.widgets.prediction import Prediction, ShapePrediction

CHOICES = {
    5: "There are 7 - 3 + 1 places.",
    4: "The first place needs no step: + 1.",
    7: "Without padding the <map> shrinks.",
}


def places():
    return Prediction("How many places?", CHOICES, conv_output_size(7, 3))


def told(question):
    return question.children[-1].value


def test_nothing_is_chosen_or_given_away_at_first():
    question = places()
    assert isinstance(question, ipywidgets.VBox)
    assert question.control.value is None and question.correct is None and question.reply == ""
    assert "Right" not in told(question) and not any(t in told(question) for t in CHOICES.values())


@pytest.mark.parametrize("choice", CHOICES)
def test_each_choice_has_its_explanation(choice):
    question = places()
    question.control.value = str(choice)
    assert question.correct == (choice == conv_output_size(7, 3))
    assert question.reply == CHOICES[choice]
    assert ("Right." if question.correct else "Not quite.") in told(question)
    assert "<map>" not in told(question) and 'role="status"' in told(question)


def test_one_may_change_ones_mind():
    question = places().choose(7)
    assert question.correct is False
    assert question.choose(5).correct is True


def test_shapes_are_choices_too():
    col = im2col(np.zeros((1, 3, 7, 7)), 5, 5)
    choices = {(9, 75): "Places by elements.", (75, 9): "A window is a row here."}
    question = Prediction("Which shape?", choices, col.shape)
    assert question.answer == "(9, 75)"
    assert question.choose((75, 9)).correct is False


@pytest.mark.parametrize(
    ("choices", "answer", "message"),
    [
        ({5: "yes"}, 5, "two choices at least"),
        (CHOICES, 6, "the answer 6 is none of the choices"),
        ({5: "yes", 4: ""}, 5, "the choice 4 has no explanation"),
        ({5: "yes", "5": "no"}, 5, "read alike"),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused(choices, answer, message):
    with pytest.raises(ValueError, match=message):
        Prediction("?", choices, answer)


def test_a_choice_that_is_none_is_refused():
    with pytest.raises(ValueError, match="8 is none of"):
        places().choose(8)


def matrix():
    x = np.zeros((2, 3, 7, 7))
    return ShapePrediction(
        "Which shape has im2col(x, 5, 5)?",
        im2col(x, 5, 5).shape,
        "N*OH*OW rows and C*FH*FW columns.",
        {im2col(x[:1], 5, 5).shape: "There are two images."},
    )


@pytest.mark.parametrize(
    "text", ["(18, 75)", "18, 75", "18 x 75", " [18,75] ", "18 75", "(18, 75,)"]
)
def test_a_shape_may_be_written_in_any_usual_way(text):
    assert matrix().enter(text).correct is True


@pytest.mark.parametrize(
    ("text", "correct", "reply"),
    [
        ("(18, 75)", True, "N*OH*OW rows"),
        ("(9, 75)", False, "two images"),
        ("(75, 18)", False, "another order"),
        ("(18, 25)", False, "Right so far: axis 0."),
        ("(1, 2)", False, "Count again"),
        ("18", False, "There are 2 axes in it, not 1."),
        ("many", None, "Please write a shape of 2 numbers"),
        ("", None, "Please write"),
        ("-18, 75", None, "Please write"),
    ],
)
def test_each_entry_has_its_reply(text, correct, reply):
    question = matrix().enter("7").enter(text)
    assert question.correct is correct
    assert reply in question.reply and reply.split("*")[0] in told(question)


def test_a_number_is_asked_for_alike():
    question = ShapePrediction("How many?", conv_output_size(28, 5), "28 - 5 + 1.", {23: "+ 1."})
    assert question.enter("24").correct is True
    assert question.enter("23").reply == "+ 1."
    for text in ("x", "24, 24"):
        assert "a whole number" in question.enter(text).reply
    large = ShapePrediction("How many?", 64 * 8 * 8, "C*H*W.")
    assert large.enter("4,096").correct is True  # as the notebooks print it


def test_answers_that_are_no_shapes_are_refused():
    with pytest.raises(ValueError, match="whole number or a shape"):
        ShapePrediction("?", 0.5, "why")
    with pytest.raises(ValueError, match="explanation"):
        ShapePrediction("?", 3, "")
    with pytest.raises(ValueError, match="the right answer and a slip"):
        ShapePrediction("?", 3, "why", {3: "no"})


def test_saved_notebooks_show_the_question_and_not_the_answer():
    data, _ = places()._repr_mimebundle_()
    assert data["text/plain"] == "Predict: How many places?\n  ( ) 5\n  ( ) 4\n  ( ) 7"
    assert "How many places?" in data["text/html"] and "application/vnd" in " ".join(data)
    for text in CHOICES.values():
        assert text not in data["text/plain"]
    data, _ = matrix()._repr_mimebundle_()
    assert data["text/plain"] == "Predict: Which shape has im2col(x, 5, 5)?"
    assert "18" not in data["text/html"]
    assert repr(places().choose(4)).endswith("Not quite. The first place needs no step: + 1.")


def test_a_question_counts_among_the_exercises(monkeypatch):
    monkeypatch.setattr(solved, "_states", {})
    key = ("7.2", "places")

    def ask():
        return Prediction("How many places?", CHOICES, conv_output_size(7, 3), exercise=key)

    question = ask()
    places()  # without a name: counts nowhere
    assert progress("7.2").states == {key: "not started"}
    question.choose(4)
    assert progress("7.2").states == {key: "wrong"}
    question.choose(5)
    ask()  # the cell is run again: what was solved stays solved
    assert progress("7.2").states == {key: "correct"} and progress("7.2").solved == 1

    entry = ShapePrediction("?", (2, 3), "why", exercise=("7.2", "shape")).enter("many")
    assert progress("7.2").states["7.2", "shape"] == "not started"  # no answer yet
    entry.enter("2, 3")
    assert progress("7.2").solved == 2
