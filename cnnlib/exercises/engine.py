"""The engine behind every checker: try a submission from the smallest input on, and be a tutor.

An `Exercise` knows the inputs to try, the right answer to each (a function of ``cnnlib``), and the
mistakes that learners make, each as a function that makes it. Where an answer is wrong, the engine
shows the first input that tells, the answer got, the one expected, and, where one of the mistakes
gives the very same wrong answers, which one that is.
"""

import ast
import contextlib
import copy
import dis
import inspect
import re
import sys
import textwrap
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from cnnlib.exercises.running import Budget, Outcome, TooLongError, described, run, told
from cnnlib.exercises.solved import record, register
from cnnlib.exercises.verdict import Verdict, fitted

SHOWN = 40  # numbers; of larger arrays only the first difference is written out
IN_PLACE = (
    "an operation in place (x += ..., x[...] = ...) writes into the caller's array; compute into a "
    "new one, or begin with x.copy()"
)


class Problem(NamedTuple):
    """Why an answer is refused."""

    what: str  # the sentence that says it
    got: str = ""  # the answer, and the right one; "" where the sentence says it all
    expected: str = ""
    cause: str = ""  # where the problem itself tells
    recognise: bool = False  # whether to look for a cause among the known mistakes
    mild: bool = False  # the answer is right all the same; a wrong one to a later input comes first


@dataclass
class Exercise:
    """One exercise."""

    name: str  # it and the chapter as they stand in the verdict
    chapter: str
    signature: str  # what the reader writes: "my_im2col(x, FH, FW, stride=1, pad=0)"
    cases: list  # tuples of arguments (or dicts), the smallest first; defaults may be left out
    reference: Callable  # gives the right answer to the same arguments
    mistakes: dict = field(default_factory=dict)  # a sentence, to the function that makes it
    parts: tuple = ()  # names of what is returned, where it is a tuple
    perform: Callable | None = None  # turns the submission into the function to be called
    judge: Callable | None = None  # (answer, *arguments) to a Problem or None, in place of equality
    untouched: Callable | None = None  # a stub that computes something
    certain: bool = False  # name a mistake only where it explains every answer
    tried: str = ""  # what a correct answer was tried on, where the list of cases does not say it

    def __post_init__(self):
        register(self.chapter, self.name)
        names = [name for name, _, _ in self._arguments()]
        self.cases = [
            case if isinstance(case, dict) else dict(zip(names, case, strict=False))
            for case in self.cases
        ]

    def _arguments(self):
        """Split the signature into (name, "=", default)."""
        inside = self.signature.partition("(")[2].partition(")")[0]
        return [word.strip().partition("=") for word in inside.split(",")]

    def check(self, submission):
        """Try a submission on all cases: nothing is raised but a KeyboardInterrupt."""
        try:
            status, lines = self._examine(submission)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # such as an answer that cannot be compared or written
            status, lines = "wrong", [("", f"The answer cannot be examined: {described(error)}")]
        if stale := _newer_cell(submission):
            lines.append(("Note", stale))
        record(self.chapter, self.name, status)
        return Verdict(self.name, self.chapter, status, fitted(lines))

    def _examine(self, submission):
        start = [("", f"Write {self.signature}, then run this cell again.")]
        if submission is None or submission is ...:
            return "not started", start
        if not callable(submission):
            given = f"{type(submission).__name__} was given"
            what = f"The checker wants the function itself: its name without brackets; {given}."
            return "wrong", [("", what)]
        function = self.perform(submission) if self.perform else submission
        if not self.perform and (wrong := self._wrong_signature(submission)):
            return "wrong", [("", wrong)]

        budget, outcomes, failed, problem = Budget(), [], None, None
        for number, case in enumerate(self.cases):
            outcome = run(function, case, budget, _file_of(submission))
            if not number and _is_stub(submission, outcome):
                return "not started", start
            outcomes.append(outcome)
            if isinstance(outcome.error, TooLongError) and problem:
                break  # the time was used up behind the first problem: that one is told
            found = self._problem(outcome, case)
            if found and (problem is None or problem.mild > found.mild):
                problem, failed = found, number
            if isinstance(outcome.error, TooLongError):
                break
        if problem is None:
            return "correct", self._praise(outcomes)
        if self.untouched and self._agrees(self.untouched, outcomes) == len(outcomes):
            return "not started", start
        return "wrong", self._explain(problem, failed, outcomes)

    def _wrong_signature(self, submission):
        """Say that the checker's call does not fit the function; "" where it does."""
        try:
            signature = inspect.signature(submission)
        except (TypeError, ValueError):  # some built-in functions have none
            return ""
        wanted = [name for name, _, _ in self._arguments()]
        given = list(signature.parameters)
        if given != wanted and sorted(given) == sorted(wanted):
            return f"The arguments are in another order. Wanted: {self.signature}."
        for case in self.cases:
            try:
                signature.bind(*case.values())
            except TypeError as error:
                names = ", ".join(case)
                return f"The call with ({names}) does not fit: {error}. Wanted: {self.signature}."
        return ""

    def _problem(self, outcome, case):
        """Return what is wrong with one outcome, or None."""
        error, value = outcome.error, outcome.value
        if isinstance(error, TooLongError):
            return Problem(
                "It took too long and was stopped.",
                cause="a loop that does not end (while without progress), or far too many steps",
            )
        if error is not None:
            what = f"It raised {described(error)}"
            return Problem(what, f"an exception in {outcome.place}" if outcome.place else "")
        if value is None:
            return Problem(
                "It returned None.", cause="the return is missing, or on a path not taken here"
            )
        with _quiet():
            if self.judge:
                problem = self.judge(value, *case.values())
            else:
                problem = compare(value, self.reference(*_copies(case)), self.parts)
        if problem is None and outcome.changed:
            names = ", ".join(outcome.changed)
            return Problem(
                f"The answer is right, but it changed its argument {names}.",
                cause=_in_place(outcome, case),
                mild=True,
            )
        return problem

    def _agrees(self, mistake, outcomes):
        """Count the outcomes that a mistaken function gives as well."""
        return sum(
            _alike(_answer(mistake, case), outcome, self.parts)
            for case, outcome in zip(self.cases, outcomes, strict=False)
        )

    def _cause(self, problem, failed, outcomes):
        """Name the known mistake whose answers are those of the submission."""
        case, outcome = self.cases[failed], outcomes[failed]
        suspects = {
            sentence: self._agrees(mistake, outcomes)
            for sentence, mistake in self.mistakes.items()
            if _alike(_answer(mistake, case), outcome, self.parts)
        }
        if not suspects:
            return ("Usual cause", _in_place(outcome, case)) if outcome.changed else None
        best = max(suspects, key=suspects.get)  # the first of several
        if suspects[best] == len(outcomes):
            return "Usual cause", best
        if self.certain:
            return None
        pairs = zip(self.cases, outcomes, strict=False)
        wrong = [(case, outcome) for case, outcome in pairs if self._problem(outcome, case)]
        hits = sum(_alike(_answer(self.mistakes[best], c), o, self.parts) for c, o in wrong)
        return "Possible cause", f"{best} (it explains {hits} of {len(wrong)} wrong answers)"

    def _explain(self, problem, failed, outcomes):
        case = self.cases[failed]
        lines = [("", problem.what), *([("Input", _written(case))] if case else [])]
        lines += [("Got", problem.got)] if problem.got else []
        lines += [("Expected", problem.expected)] if problem.expected else []
        error = outcomes[failed].error
        if problem.cause:
            lines.append(("Usual cause", problem.cause))
        elif problem.recognise or error is not None:
            cause = self._cause(problem, failed, outcomes)
            lines += [cause] if cause else []
        if failed:
            lines.append(("", f"Smaller inputs before that were right: {failed}."))
        return lines + _notes(outcomes, problem)

    def _praise(self, outcomes):
        first, last = _settings(self.cases[0]), _settings(self.cases[-1])
        tried = self.tried or f"Right on all {len(self.cases)} inputs, from {first} to {last}."
        return [("", tried), *_notes(outcomes)]


def compare(value, expected, parts=(), name=""):
    """Compare an answer with the right one, an array, a number, a tuple or a dict of these.

    ``parts`` are the names of the parts of a tuple, ``name`` that of the part in question.
    """
    of = f"{name}: " if name else ""
    if isinstance(expected, dict):
        if not isinstance(value, dict):
            return Problem(f"Expected a dictionary, got {_kind(value)}.", recognise=True)
        if set(value) != set(expected):
            return Problem(
                "The dictionary has other names.",
                told(lambda names: ", ".join(map(str, names)), value, "unreadable names"),
                ", ".join(expected),
                recognise=True,
            )
        return _first(compare(value[key], expected[key], (), key) for key in expected)
    if isinstance(expected, tuple):
        wanted = ", ".join(parts)
        if not isinstance(value, tuple | list) or len(value) != len(expected):
            return Problem(f"Expected {len(expected)} values ({wanted}), got {_kind(value)}.")
        pairs = zip(value, expected, parts, strict=True)
        return _first(compare(one, right, (), part) for one, right, part in pairs)
    if not isinstance(expected, np.ndarray):
        return _compare_number(value, expected, of)
    if isinstance(value, np.generic):
        value = np.asarray(value)  # such as array.sum(): no array, and so of shape ()
    if not isinstance(value, np.ndarray):
        return Problem(
            f"{of}Expected a NumPy array, got {_kind(value)}.",
            cause="a result collected in a list: begin with np.zeros(shape, x.dtype), or turn it "
            "into an array at the end"
            if isinstance(value, list)
            else "a comma at the end of the return line makes a tuple"
            if isinstance(value, tuple) and len(value) == 1
            else "nothing was assigned or computed for it"
            if value is None
            else "",
        )
    if type(value) is not np.ndarray:
        return Problem(f"{of}Expected a plain NumPy array, got {_kind(value)}.")
    if value.shape != expected.shape:
        return Problem(
            f"{of}Wrong shape: got {value.shape}, expected {expected.shape}.",
            _array(value),
            _array(expected),
            recognise=True,
        )
    if value.dtype.kind not in "iufc":  # a timedelta counts as a number to NumPy
        return Problem(f"{of}Wrong dtype: got {value.dtype}, expected {expected.dtype}.")
    close = _close(value, expected)
    if not close.all():
        return _difference(value, expected, close, of)
    if value.dtype != expected.dtype:
        wide = value.dtype == np.float64 and expected.dtype == np.float32
        return Problem(
            f"{of}The numbers are right, but the dtype is not: got {value.dtype}, "
            f"expected {expected.dtype}.",
            cause="np.zeros and its like make float64 unless they are given dtype=x.dtype"
            if wide
            else "the dtype of the answer is that of the input",
        )
    return None


def counting(*shape, dtype=float):
    """Return an array with the numbers 1, 2, 3, ..., for inputs that one can follow by eye."""
    return np.arange(1, np.prod(shape) + 1, dtype=dtype).reshape(shape)


def dice(seed, *shape, dtype=float):
    """Return an array of random whole numbers from -9 to 9; in float32, quarters of them.

    So what was rounded to whole numbers on the way is seen where the dtype matters.
    """
    numbers = np.random.default_rng(seed).integers(-9, 10, shape).astype(dtype)
    return numbers / 4 if numbers.dtype == np.float32 else numbers


def _compare_number(value, expected, of):
    number = isinstance(value, int | float | np.number)
    if not number or isinstance(value, bool | np.timedelta64):
        what = f"shape {value.shape}" if isinstance(value, np.ndarray) else _kind(value)
        return Problem(f"{of}Expected one number, got {what}.")
    if value != expected:
        return Problem(f"{of}Got {_number(value)}, expected {_number(expected)}.", recognise=True)
    if isinstance(expected, int) and not isinstance(value, int | np.integer):
        return Problem(
            f"{of}The number is right, but it is no whole number to Python: {value!r}.",
            cause="np.floor, np.prod and their like give floats: int(...) around it"
            if isinstance(value, np.floating)
            else "/ against //: / gives a float even without a remainder, // a whole number",
        )
    return None


def _difference(value, expected, close, of):
    """Say where two arrays of one shape differ."""
    place = tuple(int(i) for i in np.argwhere(~close)[0])
    wrong = int((~close).sum())
    where = (
        f"{of}{wrong} of {close.size} numbers {'are' if wrong > 1 else 'is'} wrong, the first at "
        f"[{', '.join(map(str, place))}]: got {_number(value[place])}, "
        f"expected {_number(expected[place])}."
    )
    if value.size > SHOWN:
        return Problem(where, recognise=True)
    return Problem(where, _array(value), _array(expected), recognise=True)


def _close(value, expected):
    tolerance = 1e-4 if np.float32 in (value.dtype, expected.dtype) else 1e-8
    return np.isclose(value, expected, rtol=tolerance, atol=tolerance, equal_nan=True)


def _alike(mistaken, outcome, parts):
    """Whether a mistake led to the same answer (or exception) as the submission."""
    if mistaken.error is not None or outcome.error is not None:
        if mistaken.error is None or outcome.error is None:
            return False
        return described(mistaken.error) == described(outcome.error)
    problem = compare(outcome.value, mistaken.value, parts)
    return problem is None or "are right" in problem.what or "is right" in problem.what


def _in_place(outcome, case):
    """Say how an argument of this kind gets changed."""
    changed = case.get(outcome.changed[0])
    if isinstance(changed, list):
        return "pop and reverse change the caller's list; reversed(layers) and for do not"
    if hasattr(changed, "layers"):
        return "a step of training is the optimizer's work; here the gradients are wanted, no more"
    return IN_PLACE


def _is_stub(submission, outcome):
    """Whether nothing has been written yet: NotImplementedError, ``...``, or an empty body."""
    if isinstance(outcome.error, NotImplementedError) or outcome.value is ...:
        return True
    return outcome.error is None and outcome.value is None and is_empty(submission)


def is_empty(function):
    """Whether the body of a function is empty: a docstring, ``pass``, ``...`` or ``return``."""
    code = getattr(function, "__code__", None)
    empty = {"RESUME", "NOP", "LOAD_CONST", "RETURN_CONST", "RETURN_VALUE", "POP_TOP"}
    return code is not None and all(step.opname in empty for step in dis.get_instructions(code))


def _file_of(submission):
    """Return the file or cell a function, or the methods of a class, were written in."""
    methods = vars(submission).values() if inspect.isclass(submission) else ()
    codes = (getattr(thing, "__code__", None) for thing in (submission, *methods))
    return next((code.co_filename for code in codes if code), None)


def _first(problems):
    return next((problem for problem in problems if problem), None)


def _newer_cell(submission):
    """Tell that the newest cell with a function of this name has a SyntaxError, in IPython."""
    name = getattr(submission, "__name__", "")
    if "IPython" not in sys.modules or not isinstance(name, str) or not name.isidentifier():
        return ""
    shell = sys.modules["IPython"].get_ipython()
    cells = shell.user_ns.get("In", ()) if shell else ()
    defines = re.compile(rf"^(def|class) {name}\b", re.MULTILINE)
    newest = next((cell for cell in reversed(cells) if defines.search(cell)), "")
    try:
        ast.parse(newest)
    except SyntaxError as error:
        return (
            f"the newest cell with {name} was not run, for a SyntaxError in its line "
            f"{error.lineno}; judged is the {name} of before"
        )
    return ""


def _copies(case):
    return copy.deepcopy(list(case.values()))


@contextlib.contextmanager
def _quiet():
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def _answer(mistake, case):
    """Call one of our own mistaken functions: it ends and prints nothing, but may raise."""
    with _quiet():
        try:
            return Outcome(mistake(*_copies(case)))
        except Exception as error:
            return Outcome(error=error)


def _kind(value):
    name = type(value).__name__
    article = "an" if name[0] in "aeiou" else "a"
    length = f" of {len(value)}" if isinstance(value, tuple | list) else ""
    return "None" if value is None else f"{article} {name}{length}"


def _number(value):
    real = isinstance(value, float | np.floating)
    return f"{value:.6g}" if real else told(str, value, "a very large number")


def _array(a):
    """Write an array with its shape; of a larger one the shape alone."""
    shape = f"shape {a.shape}"
    if a.size > SHOWN:
        return shape
    style = {"precision": 4, "suppress_small": True, "threshold": SHOWN, "max_line_width": 90}
    numbers = told(lambda a: np.array2string(a, separator=" ", **style), a, limit=4000)
    return f"{shape}\n{numbers}"


def _written(case):
    """Write the arguments: small arrays in full below, everything else in one line."""
    line, blocks = [], []
    for name, value in case.items():
        if not isinstance(value, np.ndarray):
            line.append(f"{name} = {_argument(value)}")
        else:
            kind = "" if value.dtype == float else f", {value.dtype}"
            line.append(f"{name} of shape {value.shape}{kind}")
            if value.size <= SHOWN:
                blocks += [f"{name} =", _array(value).partition("\n")[2]]
    return "\n".join([*textwrap.wrap(", ".join(line), 90), *blocks])


def _argument(value):
    if hasattr(value, "layers"):
        kinds = ", ".join(type(layer).__name__ for layer in value.layers.values())
        return f"a network of {kinds}"
    return value.__name__.strip("_").replace("_", " ") if callable(value) else repr(value)


def _settings(case):
    """Write a case in a few words: shapes and settings."""
    words = [
        str(value.shape) if isinstance(value, np.ndarray) else f"{name} {_argument(value)}"
        for name, value in case.items()
    ]
    return ", ".join(words)


def _notes(outcomes, problem=None):
    """Tell what was noticed beside the answer: printing, warnings, changed arguments."""
    notes = []
    printed = next((o.printed for o in outcomes if o.printed), "")
    if printed:
        first = printed.strip().split("\n")[0][:60]
        notes.append(("Note", f"it printed something, kept out of the page: {first!r}"))
    warned = next((o.warned for o in outcomes if o.warned), "")
    if warned:
        notes.append(("Note", f"NumPy or Python warned: {warned}"))
    changed = next((o.changed for o in outcomes if o.changed), ())
    if changed and problem and "changed its argument" not in problem.what:
        notes.append(("Note", f"it also changed its argument {', '.join(changed)} in place"))
    return notes
