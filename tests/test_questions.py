"""The questions: the file is complete, every answer is computed or stands, all are asked once."""

import ast
import json
from pathlib import Path

import numpy as np
import pytest

from cnnlib import naive
from cnnlib.classics import AlexNet, LocalResponseNormalization
from cnnlib.datasets import load_digits28
from cnnlib.exercises import progress, questions, solved
from cnnlib.gradients import gradient_check
from cnnlib.layers import Convolution, Sigmoid
from cnnlib.networks import SimpleConvNet
from cnnlib.visualize import receptive_fields
from cnnlib.widgets import ask
from cnnlib.widgets.ask import ChoiceQuestion, ShapeQuestion
from cnnlib.widgets.window_explorer import BOOK_FILTER, BOOK_INPUT
from cnnlib.windows import im2col, sliding_windows

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
ALL = [(chapter, name) for chapter, found in questions.load_questions().items() for name in found]
RADIO, SHAPE, NUMBER = ("7.2", "channels"), ("7.4", "shape of col"), ("7.1", "to the affine layer")


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(solved, "_states", {})


def told(question):
    return question.children[-1].value


def enter(question, text):
    question.control.value = text
    return question


@pytest.mark.parametrize(("chapter", "name"), ALL)
def test_each_question_is_complete(chapter, name):
    stored = questions.load_questions()[chapter][name]
    assert stored["question"] and ("answer" in stored) != ("compute" in stored)
    assert set(stored) <= {"question", "kind", "answer", "compute", "replies"}
    assert len(stored["replies"]) >= 2 and all(stored["replies"].values())
    assert stored.get("kind", "shape") == "shape"
    question = ask(chapter, name)
    right = [entry for entry in stored["replies"] if enter(question, entry).correct]
    assert right == [question.answer]


def test_every_function_is_named_in_the_file():
    named = [q["compute"] for c in questions.load_questions().values() for q in c.values()
             if "compute" in q]  # fmt: skip
    assert sorted(named) == sorted(questions.COMPUTED)


def test_the_notebooks_ask_every_question_once():
    asked = []
    for path in NOTEBOOKS:
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            tree = ast.parse("".join(cell["source"])) if cell["cell_type"] == "code" else None
            for node in ast.walk(tree) if tree else ():
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "ask":
                    asked.append(tuple(ast.literal_eval(argument) for argument in node.args))
                    assert path.name.startswith(asked[-1][0])
    assert sorted(asked) == sorted(ALL)


@pytest.mark.parametrize("key", [("7.2", "nothing"), ("9.9", "channels")])
def test_a_question_that_is_not_there_is_refused(key):
    with pytest.raises(ValueError, match="there is no question"):
        ask(*key)


@pytest.mark.parametrize(("chapter", "name"), ALL)
def test_nothing_is_chosen_or_given_away_at_first(chapter, name):
    question = ask(chapter, name)
    assert question.correct is None and question.reply == "" and not question.control.value
    replies = questions.load_questions()[chapter][name]["replies"].values()
    data, _ = question._repr_mimebundle_()
    assert data["text/plain"].startswith("Predict: ")
    for reply in replies:
        assert reply not in told(question) and reply not in data["text/plain"]


def test_saved_notebooks_show_the_question_and_its_choices():
    data, _ = ask(*RADIO)._repr_mimebundle_()
    assert data["text/plain"].endswith("?\n  ( ) (3, 3, 3)\n  ( ) (1, 3, 3)\n  ( ) (1, 5, 5)")
    assert "what shape comes out?" in data["text/html"]
    data, _ = ask(*SHAPE)._repr_mimebundle_()
    assert data["text/plain"].endswith("which shape has col?") and "90" not in data["text/html"]


def test_a_choice_has_its_reply_and_one_may_change_ones_mind():
    question = ask(*RADIO)
    assert isinstance(question, ChoiceQuestion)
    for choice, word in [("(3, 3, 3)", "Not quite."), ("(1, 3, 3)", "Right.")]:
        enter(question, choice)
        assert word in told(question) and 'role="status"' in told(question)
        assert question.reply in repr(question) and word in repr(question)


def test_what_is_told_is_text_and_no_markup():
    text = {"question": "<b>?", "answer": "1", "replies": {"1": "a <map>", "2": "no"}}
    question = enter(ChoiceQuestion(text, ("7.2", "markup")), "1")
    assert "<map>" not in told(question) and "<b>" not in question.children[0].value


@pytest.mark.parametrize(
    "text", ["(90, 75)", "90, 75", "90 x 75", " [90,75] ", "90 75", "(90, 75,)"]
)
def test_a_shape_may_be_written_in_any_usual_way(text):
    assert enter(ask(*SHAPE), text).correct is True


@pytest.mark.parametrize(
    ("text", "correct", "reply"),
    [
        ("(90, 75)", True, "3 x 3 windows"),
        ("(9, 75)", False, "one image"),
        ("(75, 90)", False, "Each window is a row"),
        ("(90, 24)", False, "Right so far: axis 0."),
        ("(1, 2)", False, "Count again"),
        ("18", False, "There are 2 axes in it, not 1."),
        ("many", None, "Please write a shape of 2 numbers"),
        ("", None, "Please write"),
        ("-90, 75", None, "Please write"),
        ("9" * 5000, None, "Please write"),
        ("90, " + "9" * 5000, None, "Please write"),
    ],
)
def test_each_entry_has_its_reply(text, correct, reply):
    question = enter(enter(ask(*SHAPE), "7"), text)
    assert isinstance(question, ShapeQuestion)
    assert question.correct is correct and reply in question.reply and reply in told(question)
    assert enter(question, "90 x 75").correct is True  # usable after whatever was typed


def test_the_right_numbers_in_another_order_are_told():
    assert "another order" in enter(ask("7.7", "shapes of LeNet"), "(4, 4, 16)").reply


def test_a_number_is_asked_for_alike():
    for text in ("4096", "4,096"):  # as the notebooks print it
        assert enter(ask(*NUMBER), text).correct is True
    for text in ("x", "24, 24", "9" * 5000):
        assert "a whole number" in enter(ask(*NUMBER), text).reply


def test_a_question_counts_among_the_exercises():
    question = ask(*RADIO)
    assert progress("7.2").states == {RADIO: "not started"}
    enter(question, "(3, 3, 3)")
    assert progress("7.2").states == {RADIO: "wrong"}
    enter(question, question.answer)
    ask(*RADIO)  # the cell is run again: what was solved stays solved
    assert progress("7.2").states == {RADIO: "correct"} and progress("7.2").solved == 1
    entry = enter(ask(*SHAPE), "many")
    assert progress("7.4").states == {SHAPE: "not started"}  # no answer yet
    assert enter(entry, "90, 75").correct and progress("7.4").solved == 1


def shares_of_small_shifts(window):
    """Say how often a pixel that moves one to the right stays in its window."""
    return np.mean([place % window < window - 1 for place in range(4)])


def first_loss():
    (x, t), _ = load_digits28()
    return f"{SimpleConvNet(rng=0).loss(x[:100], t[:100]):.2f}"


def wrong_without_relu():
    net = SimpleConvNet((1, 8, 8), {"filter_num": 4, "filter_size": 3, "pad": 1, "stride": 1}, 10,
                        weight_init_std=0.3, rng=0, dtype=float)  # fmt: skip
    x, t = np.random.default_rng(0).random((6, 1, 8, 8)), np.arange(6)
    net.layers["Relu1"].backward = lambda dout: dout
    found = gradient_check(net, x, t, samples=20)
    return ", ".join(name for name, report in found.items() if not report.ok)


def brightness():
    W = np.array([[[[0, 1, 0], [1, -4, 1], [0, 1, 0]]]], float)
    out = Convolution(W, np.array([0.5]), pad=1).forward(np.full((1, 1, 6, 6), 0.7))[0, 0]
    assert np.allclose(out[1:-1, 1:-1], 0.5) and (out[0] < 0.4).all()
    return "0.5 inside, less along the border"


def fading():
    layer = Sigmoid()
    layer.forward(np.zeros(1))  # where the slope is steepest
    left = layer.backward(np.ones(1))[0] ** 10
    return {-6: "about a millionth"}[round(np.log10(left))]


def answer_of_lrn():
    x = np.random.default_rng(0).random((1, 6, 9, 9)) * 2
    shares = LocalResponseNormalization().forward(x) / x
    assert shares.min() > 0.99 * shares.max() and shares.max() < 0.9
    return "all channels keep the same share"


def order_of_the_axes():
    labelled = np.arange(48).reshape(2, 2, 3, 4)
    right = im2col(labelled, 2, 2)
    assert not np.array_equal(sliding_windows(labelled, 2, 2).reshape(right.shape), right)
    return "the right shape, wrong numbers"


def work_of_alexnet():
    net = AlexNet(rng=0)
    assert round(net.layers["Conv2"].W.size / net.layers["Conv1"].W.size) == 9  # as a reply says
    return max(net.table(), key=lambda row: row.multiplications).name


def more_parameters_for_the_same_field():
    assert receptive_fields([(5, 1)])[-1].size == receptive_fields([(3, 1), (3, 1)])[-1].size
    large = 64 * 64 * 25 + 64 > 2 * (64 * 64 * 9 + 64)
    return "one layer of 5 x 5" if large else "two layers of 3 x 3"


def first_output():
    x, W = (np.array(values)[None, None].astype(float) for values in (BOOK_INPUT, BOOK_FILTER))
    return f"{naive.convolve(x, W)[0, 0, 0, 0]:.0f}"


# What a question of the file states, worked out once more; three of 7.6 in test_chapter_7_6.py.
STATED = {
    ("7.2", "first output"): first_output,
    ("7.3", "small shifts"): lambda: f"{shares_of_small_shifts(4):.0%}",
    ("7.4", "order of the axes"): order_of_the_axes,
    ("7.5", "first loss"): first_loss,
    ("7.5", "broken ReLU"): wrong_without_relu,
    ("7.7", "where the work is"): work_of_alexnet,
    ("7.7", "fading"): fading,
    ("7.7", "neighbours in LRN"): answer_of_lrn,
    ("7.8", "small windows or large ones"): more_parameters_for_the_same_field,
    ("7.8", "rows of im2col"): lambda: {
        10 * 28**2: "each position of the window in each image",
    }[len(im2col(np.zeros((10, 3, 32, 32)), 5, 5))],
    ("7.8", "even brightness"): brightness,
}
ELSEWHERE = {("7.6", name) for name in ("shuffled pixels", "a person", "rise with depth")}


@pytest.mark.parametrize("key", STATED)
def test_what_the_file_states_is_so(key):
    assert ask(*key).answer == STATED[key]()


def test_every_stated_answer_is_worked_out_somewhere():
    stated = {key for key in ALL if "answer" in questions.load_questions()[key[0]][key[1]]}
    assert stated == set(STATED) | ELSEWHERE
