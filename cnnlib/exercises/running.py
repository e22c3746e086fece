"""Calling code that may be wrong in any way, so that nothing but its result is left of it.

A submission may raise, never end, print, or write into its arguments. `run` gives it copies, keeps
what it prints, and stops it when its time is up, without threads: by a timer where Python has
signals and this is the main thread, else by counting the lines it executes (in the browser).
"""

import contextlib
import copy
import linecache
import signal
import sys
import threading
import time
import traceback
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

SECONDS = 2.0  # of the processor, for all calls of one check
WAITING = 20.0  # by the clock: for what sleeps or waits
LINES = 1_000_000  # the same, where lines are counted
KEPT = 300  # characters kept of what is printed


class TooLongError(BaseException):
    """The time is up. No Exception, so that ``except Exception`` does not swallow it."""


@dataclass
class Outcome:
    """What one call left behind.

    Attributes
    ----------
    value : object
        What it returned.
    error : BaseException or None
        What it raised instead.
    place : str
        The line it was raised in, in the submission's own code.
    printed : str
        The beginning of what it printed.
    warned : str
        Its first warning.
    changed : tuple of str
        Names of the arguments it wrote into.
    """

    value: Any = None
    error: BaseException | None = None
    place: str = ""
    printed: str = ""
    warned: str = ""
    changed: tuple = ()


class Budget:
    """Time for several calls together; `calling` is the context of each.

    Parameters
    ----------
    seconds : float
        Of the processor for all calls, where a timer can interrupt them.
    lines : int
        Lines executed in all calls, where none can.
    """

    def __init__(self, seconds=SECONDS, lines=LINES):
        self.seconds, self.lines = seconds, lines

    def calling(self):
        """Return a context that raises `TooLongError` inside once the budget is used up."""
        main = threading.current_thread() is threading.main_thread()
        return self._timer() if main and hasattr(signal, "setitimer") else self._counter()

    @contextlib.contextmanager
    def _timer(self):
        inside = True

        def stop(number, frame):
            if inside:
                raise TooLongError

        limits = {signal.ITIMER_PROF: max(self.seconds, 0.01), signal.ITIMER_REAL: WAITING}
        numbers = signal.SIGPROF, signal.SIGALRM
        handlers = [signal.signal(number, stop) for number in numbers]
        start = time.process_time()
        # They fire again and again: a bare "except:" in a loop may have swallowed the first.
        timers = [signal.setitimer(timer, limit, 0.2) for timer, limit in limits.items()]
        try:
            try:
                yield
            finally:
                inside = False  # they may fire even here: so there are two of these
        finally:
            inside = False
            for timer, before in zip(limits, timers, strict=True):
                signal.setitimer(timer, *before)
            for number, handler in zip(numbers, handlers, strict=True):
                signal.signal(number, handler)
            self.seconds -= time.process_time() - start

    @contextlib.contextmanager
    def _counter(self):
        def trace(frame, event, argument):
            if event == "line":
                self.lines -= 1
                if self.lines < 0:
                    raise TooLongError
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            yield
        finally:
            sys.settrace(before)


class _Beginning:
    """A stream that keeps the beginning of what is written to it, and drops the rest."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text[: KEPT - len(self.text)]
        return len(text)

    def flush(self):
        pass


def run(function, arguments, budget, file=None):
    """Call a function with copies of the arguments, and report whatever happens.

    Parameters
    ----------
    function : callable
        Takes the arguments by position.
    arguments : dict
        Name to value.
    budget : Budget
        The time left.
    file : str, optional
        Where the submission stands, to tell in which of its lines it raised.

    Returns
    -------
    Outcome
        With a `TooLongError` as its error where the time was up.
    """
    given = copy.deepcopy(arguments)
    stream, outcome = _Beginning(), Outcome()
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.redirect_stdout(stream))
        stack.enter_context(contextlib.redirect_stderr(stream))
        warned = stack.enter_context(warnings.catch_warnings(record=True))
        stack.enter_context(np.errstate())  # np.seterr inside it is undone
        warnings.simplefilter("always")
        try:
            with budget.calling():
                outcome.value = function(*given.values())
        except (Exception, SystemExit, TooLongError) as error:
            outcome.place = _place(error.__traceback__, file)
            outcome.error = error.with_traceback(None)  # which would keep all its variables
    outcome.printed = stream.text
    outcome.warned = str(warned[0].message) if warned else ""
    outcome.changed = tuple(name for name in given if not same(given[name], arguments[name]))
    return outcome


def same(a, b):
    """Whether two arguments are equal to the last bit: arrays, networks by their parameters."""
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in b)
    if hasattr(a, "params"):
        return same(a.params, b.params)
    return a == b


def _place(trace, file):
    """Name the last line of a traceback that is in the submission's own file or cell."""
    frames = [frame for frame in traceback.extract_tb(trace) if frame.filename == file]
    if not frames:
        return ""
    code = linecache.getline(file, frames[-1].lineno).strip()
    return f"line {frames[-1].lineno}, in {frames[-1].name}" + (f": {code}" if code else "")
