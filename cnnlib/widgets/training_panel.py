"""The training panel: a training run to look at while it runs, to steer, to stop, to take up again.

The run is a task of the kernel's own event loop, and no thread: it trains for a twentieth of a
second, then waits for an instant in which the kernel reads its messages, such as a slider moved.
All that is learned lives in the trainer; the panel holds nothing of its own. So it can be stopped
after any step, by its button, by an interrupt of the kernel or by an error, and go on from there.
"""

import asyncio
import html
import math
import numbers
import signal
import time
from pathlib import Path

import anywidget
import ipywidgets

from cnnlib.figures import style
from cnnlib.figures.progress import progress
from cnnlib.widgets.static import with_picture

SLICE = 0.05  # seconds of training between two breaths
BREATH = 0.004  # seconds in which the kernel handles what has come in; sleep(0) would be one event
BATCH_SIZES = [digit * 10**power for power in range(5) for digit in (1, 2, 5)]


class TrainingPanel(ipywidgets.VBox):
    """Loss and accuracy while a network is trained; a button, and sliders that act at once.

    Parameters
    ----------
    trainer : Trainer
        What is run: with the panel or without, it is the same run.
    every : float, default 0.3
        Seconds between two pictures; more where drawing takes long, so that most of the time goes
        into training.

    Attributes
    ----------
    trainer : Trainer
        Its history and its network are up to date after every step.
    task : asyncio.Task or None
        The run, to be awaited; None before the first.
    running : bool
        Whether it runs.
    message : str
        What happened last, in a sentence.
    error : Exception or None
        What ended the last run, if it was an error. Awaiting the task raises it, too.
    changes : list of (int, str, float)
        After how many steps which control was set to which value.
    controls : dict
        "start" (the button), "learning rate" and "batch size", where the optimizer has a learning
        rate.
    figure : Card
        The curves so far.

    Notes
    -----
    With no control moved, the history is that of ``trainer.train()`` with the same seed.

    Examples
    --------
    In a notebook::

        panel = TrainingPanel(trainer)
        panel                 # and press Start, or
        await panel.start()   # run to the end, here
    """

    def __init__(self, trainer, every=0.3):
        if not 0 <= every < math.inf:
            raise ValueError(f"every must be a number of seconds, at least 0, got {every}")
        super().__init__()
        self.trainer, self.every = trainer, every
        self.task = self.error = None
        self.message = ""
        self.changes = []
        self._more = max(trainer.epochs, 1)  # epochs that the button adds once all are done
        self._stopping = False
        self._wanted = {}  # what the controls were set to since the last step
        self._previous = None  # handler of interrupts before ours
        try:  # a click may be handled in another thread of the kernel: remember this one's loop
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None

        self.controls = {"start": ipywidgets.Button(layout={"width": "170px"}), **_sliders(trainer)}
        self.controls["start"].on_click(self._clicked)
        self._bar = ipywidgets.IntProgress(layout={"width": "min(300px, 98%)"})
        self._status = ipywidgets.HTML()
        self._numbers = ipywidgets.HTML()
        self._view = ipywidgets.HTML()
        for name, control in list(self.controls.items())[1:]:
            control.observe(lambda change, name=name: self._moved(name, change.new), "value")
        wrap = {"flex_flow": "row wrap", "align_items": "center"}
        self.children = [
            ipywidgets.HBox([self.controls["start"], self._bar, self._numbers], layout=wrap),
            *list(self.controls.values())[1:],
            self._status,
            self._view,
            _Names(),
        ]
        self.add_class("cnnlib-training-panel")
        self._say("")

    @property
    def running(self):
        """Whether the run is under way."""
        return self.task is not None and not self.task.done()

    @property
    def figure(self):
        """The curves so far, as a `Card`."""
        t = self.trainer
        history = t.train_loss_list, t.train_acc_list, t.test_acc_list
        return progress(*history, self.changes, t.stopped)

    def start(self):
        """Begin the run, or go on with it.

        Returns
        -------
        asyncio.Task
            To be awaited, or not: it runs while the kernel has nothing else to do.

        Raises
        ------
        RuntimeError
            Where no event loop runs, in a plain Python script.
        """
        if self.running:
            return self.task
        loop = self._loop if self._loop and self._loop.is_running() else _running_loop()
        self._stopping, self.error = False, None
        self.task = loop.create_task(self._run())
        self.task.add_done_callback(lambda task: task.cancelled() or task.exception())
        self._say("")
        return self.task

    def stop(self):
        """End the run after the step in progress; `start` goes on."""
        self._stopping = True

    # ---- the run ------------------------------------------------------------------------------

    async def _run(self):
        """Train and breathe in turn, and show where it stands now and then."""
        steps, due = self.trainer.steps(), time.monotonic()
        done, how = False, "Stopped"
        try:
            while not (done or self._stopping):
                self._catch_interrupts()
                done = self._train(steps)
                if time.monotonic() >= due:
                    began = time.monotonic()
                    self._show()
                    due = time.monotonic() + max(self.every, 4 * (time.monotonic() - began))
                await asyncio.sleep(BREATH)
        except Exception as error:
            self.error, how = error, f"{type(error).__name__}: {error}. It ended"
            raise
        finally:  # whatever it was, a cancelled task included
            self._let_interrupts_go()
            self._apply()  # a slider moved in the last moment
            self._end(done, how)

    def _train(self, steps):
        """Take steps for a slice of time; return whether there are no more to take."""
        until = time.monotonic() + SLICE
        self._apply()
        for _ in steps:
            if self._stopping or time.monotonic() >= until:
                return False
            self._apply()
        return True

    def _apply(self):
        """Hand over to the trainer what the controls were set to, between two steps."""
        while self._wanted:
            name, value = self._wanted.popitem()
            if name == "batch size":
                self.trainer.batch_size = value
            else:
                self.trainer.optimizer.lr = value
            self.changes.append((self.trainer.current_iter, name, value))

    def _catch_interrupts(self):
        """Let an interrupt of the kernel stop the run: between two cells it would be ignored.

        The kernel sets handlers of its own around each cell, so this is looked after each time.
        """
        try:
            handler = signal.getsignal(signal.SIGINT)
            if handler != self._interrupted and handler is not None:
                signal.signal(signal.SIGINT, self._interrupted)
                self._previous = handler
        except ValueError:  # not in the main thread, which alone is interrupted
            pass

    def _let_interrupts_go(self):
        if self._previous is not None and signal.getsignal(signal.SIGINT) == self._interrupted:
            signal.signal(signal.SIGINT, self._previous)
        self._previous = None

    def _interrupted(self, number, frame):
        self._stopping = True

    # ---- what is shown ------------------------------------------------------------------------

    def _clicked(self, button):
        """Start or stop. The click may come in a thread for messages; the run stays in the loop."""
        if self.running:
            self.stop()
            return
        if self.trainer.current_iter >= self.trainer.max_iter > 0:
            self.trainer.epochs += self._more
        if self._loop and self._loop.is_running():
            self._loop.call_soon_threadsafe(self.start)
        else:
            try:
                self.start()
            except RuntimeError as error:
                self._say(str(error))

    def _moved(self, name, value):
        self._wanted[name] = value
        if not self.running:
            self._apply()
            self._say(f"{name.capitalize()} {value:g} from the next step on.")

    def _end(self, done, how):
        """Say how the run ended."""
        t = self.trainer
        if done and t.stopped:
            self._say(t.stopped, ended=True)
        elif done:
            best = f": test accuracy {t.test_acc_list[-1]:.1%}" if t.test_acc_list else ""
            self._say(f"Done after step {t.current_iter}{best}.".replace("%", " %"), ended=True)
        else:
            self._say(
                f"{how} after step {t.current_iter} of {t.max_iter}. All that was learned is kept.",
                ended=True,
            )

    def _say(self, message, ended=False):
        """Show a sentence, the right word on the button, and the present state."""
        t = self.trainer
        self.message = message
        button = self.controls["start"]
        if self.running and not ended:
            button.description = "❚❚ Stop"
        elif t.current_iter >= t.max_iter:
            button.description = f"▶ {self._more} more epoch{'s' if self._more > 1 else ''}"
        else:
            button.description = "▶ Go on" if t.current_iter else "▶ Start"
        self._status.value = f'<div role="status">{html.escape(message) or "&nbsp;"}</div>'
        self._show()

    def _show(self):
        """Show the present state: bar, numbers, curves."""
        t = self.trainer
        self._bar.max, self._bar.value = max(t.max_iter, 1), t.current_iter
        numbers = [f"step {t.current_iter} of {t.max_iter}, epoch {t.epoch:.1f} of {t.epochs}"]
        numbers += _last_loss(t)
        self._numbers.value = (
            '<span style="font-variant-numeric: tabular-nums; white-space: nowrap">'
            f"{', '.join(numbers)}</span>"
        )
        self._view.value = style.to_html(self.figure)

    def __repr__(self):
        t = self.trainer
        texts = [f"step {t.current_iter} of {t.max_iter}"]
        texts += _last_loss(t)
        texts += [f"test accuracy {100 * t.test_acc_list[-1]:.1f} %"] if t.test_acc_list else []
        return f"TrainingPanel: {', '.join(texts)}" + (f"\n{self.message}" if self.message else "")

    def _repr_mimebundle_(self, **kwargs):
        """Add a text and the present picture, for where no kernel runs."""
        shown = super()._repr_mimebundle_(**kwargs)
        return with_picture(shown, repr(self), self.figure)


class _Names(anywidget.AnyWidget):
    """Gives the sliders around it a name for screen readers; ipywidgets gives them none."""

    _esm = Path(__file__).with_suffix(".js")


def _running_loop():
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            "the panel runs in the event loop of a notebook's kernel, and here is none: "
            "use trainer.train()"
        ) from None


def _last_loss(trainer):
    """Write the last loss, if there is one."""
    return [f"loss {x:.3f}" if x < 1e4 else f"loss {x:.3g}" for x in trainer.train_loss_list[-1:]]


def _sliders(trainer):
    """Make the sliders for what may change while it runs."""
    common = {"style": {"description_width": "8em"}, "layout": {"width": "min(480px, 98%)"}}
    sliders = {}
    lr = getattr(trainer.optimizer, "lr", None)
    if isinstance(lr, numbers.Real) and 0 < lr < math.inf:
        power = math.log10(lr)
        sliders["learning rate"] = ipywidgets.FloatLogSlider(
            lr,
            base=10,
            min=min(-5, math.floor(power)),
            max=max(0, math.ceil(power)),
            step=0.1,
            readout_format=".2g",
            description="learning rate",
            **common,
        )
    n = len(trainer.x_train)
    sizes = {size for size in BATCH_SIZES if size <= min(n, 1000)} | {trainer.batch_size}
    sliders["batch size"] = ipywidgets.SelectionSlider(
        options=sorted(sizes), value=trainer.batch_size, description="batch size", **common
    )
    return sliders
