"""Calling code that may be wrong in any way, so that nothing but its result is left of it.

A submission may raise, never end, print, write into its arguments, or change settings. `run` gives
it copies, keeps what it prints, puts the settings back, and stops it when its time is up: by a
timer in the main thread, by a watcher in another one, and where there are neither signals nor
threads (in the browser) by counting the steps it takes. Importing a module does not count.
"""

import contextlib
import copy
import ctypes
import io
import linecache
import os
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
STEPS = 5_000_000  # of the interpreter, where they are counted instead
TICK = 0.1  # seconds between two looks at the clock
KEPT = 300  # characters kept of a message, or of what is printed
IMPORTING = "<frozen importlib._bootstrap>"


class TooLongError(BaseException):
    """The time is up. No Exception, so that ``except Exception`` does not swallow it."""


@dataclass
class Outcome:
    """What one call left behind."""

    value: Any = None
    error: BaseException | None = None  # what was raised instead
    place: str = ""  # the line of the submission that raised it
    printed: str = ""  # the beginning of it
    warned: str = ""  # the first warning
    changed: tuple = ()  # names of the arguments that were written into


class Budget:
    """Time for several calls together; `calling` is the context of each.

    Parameters
    ----------
    seconds : float
        Of the processor for all calls, where they can be interrupted.
    steps : int
        Steps taken in all calls, where they cannot.
    """

    def __init__(self, seconds=SECONDS, steps=STEPS):
        self.seconds, self.steps = seconds, steps

    def calling(self):
        """Return a context that raises `TooLongError` inside once the budget is used up."""
        if sys.platform == "emscripten":
            return self._counter()
        main = threading.current_thread() is threading.main_thread()
        return self._timed(main and hasattr(signal, "setitimer"))

    @contextlib.contextmanager
    def _timed(self, signals):
        start = last = time.process_time(), time.monotonic()
        inside, raised, pardoned = False, 0.0, [0.0, 0.0]

        def is_over(frame):
            nonlocal last, raised
            now = time.process_time(), time.monotonic()
            if _is_importing(frame):
                pardoned[:] = (p + n - t for p, n, t in zip(pardoned, now, last, strict=True))
            last = now
            used, waited = (n - t - p for n, t, p in zip(now, start, pardoned, strict=True))
            up = inside and (used >= self.seconds or waited >= WAITING)
            if up and now[1] - raised < TICK:  # never twice at once: the first is on its way out
                return False
            raised = now[1] if up else raised
            return up

        clock = _ticking(is_over) if signals else _watching(is_over)
        with clock:
            try:
                try:
                    inside = True  # only now, when the clock is sure to be put away again
                    yield
                finally:
                    inside = False  # time may be up even here: so there are two of these
            finally:
                inside = False
                self.seconds -= time.process_time() - start[0] - pardoned[0]

    @contextlib.contextmanager
    def _counter(self):
        imports = 0  # inside one another

        def trace(frame, event, argument):
            nonlocal imports
            finds = frame.f_code.co_filename == IMPORTING
            if event == "call":
                imports += finds
                frame.f_trace_opcodes = not imports  # a loop in one line has no lines to count
                return trace if finds or not imports else None
            if event == "return":
                imports -= finds
            elif not imports:
                self.steps -= 1
                if self.steps < 0:
                    raise TooLongError
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            yield
        finally:
            sys.settrace(before)


@contextlib.contextmanager
def _ticking(is_over):
    """Interrupt the main thread by signals, which end even a sleep."""

    def stop(number, frame):
        if is_over(frame):
            raise TooLongError

    timers = {signal.ITIMER_PROF: signal.SIGPROF, signal.ITIMER_REAL: signal.SIGALRM}
    handlers = {number: signal.signal(number, stop) for number in timers.values()}
    before = {timer: signal.setitimer(timer, TICK, TICK) for timer in timers}
    try:
        yield
    finally:
        for timer, setting in before.items():
            signal.setitimer(timer, *setting)
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _watching(is_over):
    """Interrupt any thread from another one; it takes effect between two steps of Python."""
    thread, done = threading.get_ident(), threading.Event()

    def watch():
        while not done.wait(TICK):
            if is_over(sys._current_frames().get(thread)):
                error = ctypes.py_object(TooLongError)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), error)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def _is_importing(frame):
    """Whether code runs because the submission imports a module."""
    while frame is not None and frame.f_code is not run.__code__:
        if frame.f_code.co_filename == IMPORTING:
            return True
        frame = frame.f_back
    return False


class _Beginning(io.TextIOBase):
    """A stream that keeps the beginning of what is written to it, and drops the rest."""

    encoding = "utf-8"

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text[: KEPT - len(self.text)]
        return len(text)

    flush = close = lambda self: None


@contextlib.contextmanager
def _settings_kept():
    """Put back what a submission may have set for the whole kernel."""
    main = threading.current_thread() is threading.main_thread()
    state, options = np.random.get_state(), np.get_printoptions()  # noqa: NPY002
    place, environment, depth = os.getcwd(), dict(os.environ), sys.getrecursionlimit()
    handler = signal.getsignal(signal.SIGINT) if main else None
    try:
        yield
    finally:
        if handler is not None:
            signal.signal(signal.SIGINT, handler)
        sys.setrecursionlimit(depth)
        np.random.set_state(state)  # noqa: NPY002
        np.set_printoptions(**options)
        os.chdir(place)
        if environment != os.environ:
            os.environ.clear()
            os.environ.update(environment)


def told(function, value, otherwise="", limit=KEPT):
    """Write something down by a function, which the reader's own ``__str__`` may fail."""
    try:
        return str(function(value))[:limit]
    except Exception:
        return otherwise


def described(error):
    """Name an exception with its message."""
    message = " ".join(told(str, error, "(its message cannot be written)").split())
    return f"{type(error).__name__}: {message}".removesuffix(": ")


def run(function, arguments, budget, file=None):
    """Call a function with copies of the arguments, and report whatever happens.

    ``arguments`` is a dict; they are given by position. ``file`` is where the submission stands, to
    tell in which of its lines it raised. The error is a `TooLongError` where the time was up.
    """
    given = copy.deepcopy(arguments)
    stream, outcome = _Beginning(), Outcome()
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.redirect_stdout(stream))
        stack.enter_context(contextlib.redirect_stderr(stream))
        warned = stack.enter_context(warnings.catch_warnings(record=True))
        stack.enter_context(np.errstate())  # np.seterr inside it is undone
        stack.enter_context(_settings_kept())
        warnings.simplefilter("always")
        try:
            with budget.calling():
                outcome.value = function(*given.values())
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            outcome.place = _place(error.__traceback__, file)
            outcome.error = error.with_traceback(None)  # which would keep all its variables
    outcome.printed = stream.text
    outcome.warned = told(str, warned[0].message) if warned else ""
    outcome.changed = tuple(name for name in given if not _is_same(given[name], arguments[name]))
    return outcome


def _is_same(a, b):
    try:
        return bool(same(a, b))
    except Exception:  # such as a network whose parameters are None
        return False


def same(a, b):
    """Whether two arguments are equal to the last bit: arrays, networks by their parameters."""
    if type(a) is not type(b):
        return False
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
