"""The engine: whatever a submission does is told, and harms nothing."""

import contextlib
import io
import os
import signal
import sys
import threading
import time
import types

import numpy as np
import pytest

from cnnlib import exercises, im2col
from cnnlib.exercises import Verdict, solved
from cnnlib.exercises.running import Budget, TooLongError, run
from cnnlib.exercises.verdict import fitted

CHECKERS = {key: "not started" for key in solved._states}  # before any notebook asks a question


@pytest.fixture(autouse=True)
def _nothing_is_solved_before(monkeypatch):
    monkeypatch.setattr(solved, "_states", dict(CHECKERS))


def check(submission):
    return exercises.check_im2col(submission)


def doing(action):
    """Make a submission that is right, after doing something else."""

    def my_im2col(x, FH, FW, stride=1, pad=0):
        action(x)
        return im2col(x, FH, FW, stride, pad)

    return my_im2col


def returning(change):
    """Make a submission that changes the right answer."""

    def my_im2col(x, FH, FW, stride=1, pad=0):
        return change(im2col(x, FH, FW, stride, pad))

    return my_im2col


def raising(error):
    def my_im2col(x, FH, FW, stride=1, pad=0):
        raise error

    return my_im2col


def stub_of_dots(x, FH, FW, stride=1, pad=0):
    """Lay out windows."""
    ...


def stub_that_passes(x, FH, FW, stride=1, pad=0):
    pass


def stub_that_returns(x, FH, FW, stride=1, pad=0):
    """Lay out windows."""
    return


STUBS = [
    None,
    ...,
    stub_of_dots,
    stub_that_passes,
    stub_that_returns,
    raising(NotImplementedError()),
    returning(lambda col: ...),
]


@pytest.mark.parametrize("stub", STUBS)
def test_a_stub_is_not_started_yet(stub):
    verdict = check(stub)
    assert verdict.status == "not started"
    assert repr(verdict).startswith("im2col (7.4): not started yet\nWrite my_im2col(x, FH, FW")
    assert "not started yet" in verdict._repr_html_()


class StubOfDots:
    """A layer that is to be written."""

    def __init__(self, dropout_ratio=0.5): ...

    def forward(self, x, train_flg=True): ...

    def backward(self, dout): ...


class StubThatRaises:
    def __init__(self, dropout_ratio=0.5):
        self.dropout_ratio = dropout_ratio

    def forward(self, x, train_flg=True):
        raise NotImplementedError


class HalfWritten(StubOfDots):
    def forward(self, x, train_flg=True):
        return x * (np.random.default_rng().random(x.shape) > 0.5) if train_flg else x * 0.5

    def backward(self, dout):
        raise NotImplementedError


def test_stubs_of_other_kinds():
    assert exercises.check_dropout(StubOfDots).status == "not started"
    assert exercises.check_dropout(StubThatRaises).status == "not started"
    half = exercises.check_dropout(HalfWritten)
    assert half.status == "wrong" and "backward(dout) is not written yet" in repr(half)
    assert exercises.check_receptive_field(...).status == "not started"
    assert exercises.check_three_bugs(exercises.broken_gradient).status == "not started"


def test_what_is_raised_is_told_with_its_line():
    def divide(x):
        return 1 / (x.size - x.size)

    verdict = check(doing(divide))
    assert "It raised ZeroDivisionError" in repr(verdict)
    assert "in divide: return 1 / (x.size - x.size)" in verdict["Got"]
    assert "It raised SystemExit" in repr(check(raising(SystemExit(3))))
    assert "It raised RecursionError" in repr(check(raising(RecursionError("deep"))))


def test_a_keyboard_interrupt_gets_through():
    with pytest.raises(KeyboardInterrupt):
        check(raising(KeyboardInterrupt()))


class Unspeakable(Exception):
    """What cannot be written."""

    def __str__(self):
        raise ValueError("no words")

    __repr__ = __str__


class Own(BaseException):
    pass


ODD_ERRORS = {
    "It raised Unspeakable: (its message": Unspeakable(),
    "It raised Own: mine": Own("mine"),
    "It raised BaseExceptionGroup: all (1 sub": BaseExceptionGroup("all", [Own()]),
    "It raised ValueError: x x x": ValueError("x\n" * 5000),
}
ODD_ANSWERS = {
    "got an int": 10**5000,
    "Wrong dtype: got object": np.array([[10**5000] * 4], object),
    "Wrong shape: got (1,)": np.array([Unspeakable()]),
    "got a MaskedArray": np.ma.masked_all((1, 4)),
    "got a memmap": np.ones((1, 4)).view(np.memmap),
    "got timedelta64[s]": np.ones((1, 4), "m8[s]"),
    "Wrong shape: got (39, 1)": np.zeros((39, 1)),
}


def rows(verdict):
    return sum(-(-max(len(row), 1) // 100) for row in repr(verdict).split("\n"))


@pytest.mark.parametrize("message", ODD_ERRORS | ODD_ANSWERS)
def test_whatever_comes_out_is_told_on_one_screen(message):
    error = ODD_ERRORS.get(message)
    verdict = check(raising(error) if error else returning(lambda col: ODD_ANSWERS[message]))
    assert verdict.status == "wrong" and message in repr(verdict), verdict
    assert rows(verdict) <= 24 and verdict._repr_html_()


ODD_NUMBERS = [10**5000, np.timedelta64(1, "s"), np.ma.masked, Unspeakable()]


@pytest.mark.parametrize("answer", ODD_NUMBERS, ids=lambda answer: type(answer).__name__)
def test_an_odd_number_is_told(answer):
    verdict = exercises.check_output_size(lambda H, FH, stride=1, pad=0: answer)
    assert verdict.status == "wrong" and "xpected" in repr(verdict)


def test_an_answer_that_cannot_be_compared_is_told():
    class Never(int):
        def __ne__(self, other):
            raise Own("never")

    verdict = exercises.check_output_size(lambda H, FH, stride=1, pad=0: Never(1))
    assert "The answer cannot be examined: Own: never" in repr(verdict)


def test_parameters_set_to_none_are_told():
    def my_gradient(network, x, t):
        grads = {name: None for name in network.params}
        network.params.update(grads)
        network.layers["Conv1"].W = None
        return grads

    assert "W1: Expected a NumPy array, got None." in repr(
        exercises.check_network_gradient(my_gradient)
    )


def test_a_long_verdict_keeps_its_cause():
    lines = [("", "x" * 5000), ("Input", "9\n" * 80), ("Got", "8\n" * 80), ("Usual cause", "why")]
    lines += [("Note", "y" * 900)] * 4
    verdict = Verdict("im2col", "7.4", "wrong", fitted(lines))
    assert rows(verdict) <= 24 and verdict["Usual cause"] == "why" and "    9\n" in repr(verdict)


def test_settings_of_the_kernel_are_put_back():
    def change(x):
        np.random.seed(3)  # noqa: NPY002
        np.set_printoptions(precision=1)
        os.chdir("/")
        os.environ["LEFT_BEHIND"] = "1"
        sys.setrecursionlimit(700)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def settings():
        numbers = np.random.get_state()[1].tolist()  # noqa: NPY002
        state = numbers, np.get_printoptions(), sys.getrecursionlimit()
        return *state, os.getcwd(), dict(os.environ), signal.getsignal(signal.SIGINT)

    before = settings()
    assert check(doing(change)).correct
    assert settings() == before


def test_the_stream_inside_answers_as_a_file_does():
    def use(x):
        assert not sys.stdout.isatty() and sys.stdout.encoding == "utf-8"
        sys.stdout.close()
        print("after the end", flush=True)

    assert "after the end" in check(doing(use))["Note"]


def test_a_cell_that_did_not_run_is_told(monkeypatch):
    cells = [
        "",
        "def my_im2col(x):\n    pass",
        "def my_im2col(x:\n    pass",
        "check_im2col(my_im2col)",
    ]
    shell = types.SimpleNamespace(user_ns={"In": cells})
    ipython = types.SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    note = check(doing(lambda x: None))["Note"]
    assert "the newest cell with my_im2col was not run, for a SyntaxError in its line 1" in note
    cells.append("def my_im2col(x):\n    return x")
    assert not check(doing(lambda x: None))["Note"]


def endless(x, FH, FW, stride=1, pad=0):
    while True:
        stride += 1


def endless_in_one_line(x, FH, FW, stride=1, pad=0):
    while True: pass  # fmt: skip  # noqa: E701


def endless_and_stubborn(x, FH, FW, stride=1, pad=0):
    while True:
        try:
            stride += 1
        except Exception:
            stride = 0


MEANS = ["signals", "another thread", "steps"]


def without(means, monkeypatch):
    """Take away the better means of stopping."""
    if means != "signals":
        monkeypatch.delattr(signal, "setitimer")
    if means == "steps":
        monkeypatch.setattr(sys, "platform", "emscripten")  # the browser


@pytest.mark.parametrize("submission", [endless, endless_in_one_line, endless_and_stubborn])
@pytest.mark.parametrize("means", MEANS)
def test_an_endless_loop_is_stopped(submission, means, monkeypatch):
    monkeypatch.setattr("cnnlib.exercises.engine.Budget", lambda: Budget(0.3, 100_000))
    handlers = [signal.getsignal(number) for number in (signal.SIGPROF, signal.SIGALRM)]
    without(means, monkeypatch)
    tracer, threads = sys.gettrace(), threading.active_count()
    verdict = check(submission)
    assert "It took too long and was stopped" in repr(verdict)
    assert [signal.getsignal(n) for n in (signal.SIGPROF, signal.SIGALRM)] == handlers
    assert sys.gettrace() is tracer and threading.active_count() == threads
    assert signal.getitimer(signal.ITIMER_PROF) == signal.getitimer(signal.ITIMER_REAL) == (0, 0)


@pytest.mark.parametrize("submission", [endless, endless_in_one_line])
def test_an_endless_loop_is_stopped_outside_of_the_main_thread(submission, monkeypatch):
    monkeypatch.setattr("cnnlib.exercises.engine.Budget", lambda: Budget(0.3))
    verdicts = []
    thread = threading.Thread(target=lambda: verdicts.append(check(submission)))
    thread.start()
    thread.join()
    assert "It took too long" in repr(verdicts[0])


@pytest.mark.parametrize("means", MEANS)
def test_an_import_does_not_count(means, monkeypatch, tmp_path):
    monkeypatch.setattr("cnnlib.exercises.engine.Budget", lambda: Budget(0.3, 20_000))
    text = (
        "import time\nend = time.process_time() + 0.6\nwhile time.process_time() < end:\n    pass\n"
    )
    (tmp_path / "slow_to_import.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "slow_to_import", raising=False)
    without(means, monkeypatch)

    def my_im2col(x, FH, FW, stride=1, pad=0):
        import slow_to_import  # noqa: F401

        return im2col(x, FH, FW, stride, pad)

    assert check(my_im2col).correct


def test_waiting_is_stopped_by_the_clock(monkeypatch):
    monkeypatch.setattr("cnnlib.exercises.running.WAITING", 0.2)
    verdict = check(doing(lambda x: time.sleep(60)))
    assert "It took too long" in repr(verdict)


@pytest.mark.parametrize("means", MEANS)
def test_a_right_answer_is_right_by_any_means(means, monkeypatch):
    without(means, monkeypatch)
    assert check(im2col).correct


def test_printing_is_kept_out_of_the_page_and_told():
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        verdict = check(doing(lambda x: print("shape", x.shape, "!" * 10_000)))
    assert verdict.correct
    assert "it printed something" in verdict["Note"] and "shape (1, 1, 2, 2)" in verdict["Note"]
    assert out.getvalue() == err.getvalue() == ""
    assert len(repr(verdict)) < 600


def test_a_warning_is_told():
    verdict = check(doing(lambda x: x / np.zeros_like(x)))
    assert verdict.correct and "divide by zero" in verdict["Note"]


def test_settings_of_numpy_are_put_back():
    before = np.geterr()
    check(doing(lambda x: np.seterr(all="ignore")))
    assert np.geterr() == before


def fill(x):
    x[...] = 0


def test_a_changed_argument_is_told():
    def my_im2col(x, FH, FW, stride=1, pad=0):
        col = im2col(x, FH, FW, stride, pad)
        x += 1
        return col

    verdict = check(my_im2col)
    assert "The answer is right, but it changed its argument x" in repr(verdict)
    assert "in place" in verdict["Usual cause"]
    both = check(doing(fill))
    assert "wrong" in repr(both) and "also changed its argument x" in both["Note"]
    assert check(im2col).correct  # the checker's own inputs are unharmed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda col: None, "It returned None"),
        (lambda col: col.tolist(), "Expected a NumPy array, got a list of"),
        (lambda col: (col, col), "Expected a NumPy array, got a tuple of 2"),
        (lambda col: 3, "Expected a NumPy array, got an int"),
        (lambda col: "col", "Expected a NumPy array, got a str"),
        (lambda col: col[:0], "Wrong shape: got (0, 4), expected (1, 4)."),
        (lambda col: col[np.newaxis], "Wrong shape: got (1, 1, 4), expected (1, 4)."),
        (lambda col: col.astype(int), "The numbers are right, but the dtype is not: got int64"),
        (lambda col: col.astype(np.float32), "got float32, expected float64."),
        (lambda col: col.astype(float), "got float64, expected float32."),
        (lambda col: col.astype(complex), "got complex128, expected float64."),
        (lambda col: col.astype(object), "Wrong dtype: got object"),
        (lambda col: col.astype(bool), "Wrong dtype: got bool"),
        (lambda col: col * np.nan, "4 of 4 numbers are wrong"),
        (lambda col: col + 1e-3, "4 of 4 numbers are wrong"),
    ],
)
def test_what_comes_out_is_named(change, message):
    verdict = check(returning(change))
    assert verdict.status == "wrong" and message in repr(verdict), verdict


def test_rounding_is_no_mistake():
    assert check(returning(lambda col: col * (1 + np.finfo(col.dtype).eps))).correct


def test_the_smallest_input_that_fails_is_shown():
    def no_padding(x, FH, FW, stride=1, pad=0):
        return im2col(x, FH, FW, stride)

    verdict = check(no_padding)
    assert "pad = 1" in verdict["Input"] and "[[[[1. 2.]]]]" in verdict["Input"]
    assert "Wrong shape: got (2, 1), expected (12, 1)." in repr(verdict)
    assert verdict["Usual cause"] == "the padding is forgotten"
    assert "Smaller inputs before that were right: 3." in repr(verdict)


def test_a_mistake_that_is_no_known_one_has_no_cause():
    verdict = check(returning(lambda col: col**2 + 7))
    assert verdict.status == "wrong" and not verdict["Usual cause"] + verdict["Possible cause"]


def test_the_function_itself_is_wanted_with_its_signature():
    called = check(im2col(np.ones((1, 1, 2, 2)), 1, 1))
    assert "wants the function itself" in repr(called) and "ndarray" in repr(called)
    verdict = check(lambda x, FH: x)
    assert "does not fit" in repr(verdict) and "Wanted: my_im2col(x, FH, FW" in repr(verdict)
    assert "does not fit" in repr(check(lambda x, FH, FW, stride, pad: x))  # no defaults


def test_a_verdict_repeats_word_for_word():
    wrong = returning(lambda col: col.T)
    assert repr(check(wrong)) == repr(check(wrong))
    assert "0x" not in repr(check(wrong))


def test_a_card_says_what_the_text_says_and_escapes_it():
    verdict = check(raising(ValueError("<b>no</b>")))
    card = verdict._repr_html_()
    assert "<b>" not in card and "&lt;b&gt;no" in card
    assert "background: white" in card and "color: #1f2933" in card


def test_run_hands_on_copies():
    given = {"x": np.ones(3), "stack": [(1, 2)], "patches": {"a": np.zeros(2)}}

    def spoil(x, stack, patches):
        x[0] = 5
        stack.append(1)
        patches["a"][0] = 1

    outcome = run(spoil, given, Budget())
    assert outcome.changed == ("x", "stack", "patches")
    assert given["x"].sum() == 3 and given["stack"] == [(1, 2)] and not given["patches"]["a"].any()


def test_a_budget_is_for_all_calls_together():
    budget = Budget(30, 1000)
    first = run(lambda: sum(range(5 * 10**6)), {}, budget)  # many ticks of a coarse clock
    assert first.error is None and budget.seconds < 30
    budget.seconds = 0
    assert isinstance(run(lambda: sum(range(10**8)), {}, budget).error, TooLongError)


def test_progress():
    progress = exercises.progress
    assert repr(progress("7.4")).startswith("Chapter 7.4: 0 of 4 exercises solved")
    check(stub_of_dots)
    check(returning(lambda col: col.T))
    assert "✗ 7.4 im2col: tried" in repr(progress("7.4"))
    check(im2col)
    check(returning(lambda col: col.T))  # what is solved stays solved
    assert progress("7.4").solved == 1
    assert "✓ 7.4 im2col: solved" in repr(progress("7.4"))
    assert "7.3" not in repr(progress("7.4"))
    assert "im2col: solved" in progress("7.4")._repr_html_()
    assert progress().solved == 1 and len(progress().states) > 15
    assert {chapter for chapter, _ in progress().states} == {f"7.{n}" for n in range(1, 8)}
    card = solved.Progress({("<i>", "im2col"): "correct"})._repr_html_()
    assert "<i>" not in card and "&lt;i&gt;" in card
    with pytest.raises(ValueError, match=r"no exercises in chapter '7\.9'"):
        progress("7.9")


def test_importing_the_package_takes_no_widgets():
    assert "cnnlib.exercises" in sys.modules
    for name in exercises.__all__:
        assert getattr(exercises, name).__doc__


def test_got_and_expected_are_labels_of_their_own():
    verdict = check(returning(lambda col: -col))
    assert verdict["Got"].startswith("shape (1, 4)\n[[-1.")
    assert verdict["Expected"].startswith("shape (1, 4)\n[[1.")
    assert "[0, 0]: got -1, expected 1." in repr(verdict)
