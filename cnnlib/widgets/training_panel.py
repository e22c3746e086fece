"""The training panel: a training run to look at while it runs, to steer, to stop, to take up again.

The run is a task of the kernel's own event loop, and no thread: it trains for a twentieth of a
second, then waits for an instant in which the kernel reads its messages, such as a slider moved.
All that is learned lives in the trainer: stopped after any step, the run can go on from there.
"""

import asyncio
import contextlib
import copy
import html
import math
import numbers
import signal
import time

import ipywidgets
import numpy as np

from cnnlib.figures import curves, style
from cnnlib.layers import class_indices
from cnnlib.trainer import OPTIMIZERS, Trainer
from cnnlib.widgets.picture import Picture
from cnnlib.widgets.static import Still

SLICE = 0.05  # seconds of training between two breaths
BREATH = 0.004  # seconds in which the kernel handles what has come in; sleep(0) would be one event
REST = 0.7  # seconds after the end in which a click counts for nothing: it was to stop
EVERY = 0.3  # seconds between two pictures, at least; four fifths of the time go into training
BATCH_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
TESTED = 500  # test images among which the worst are sought, for each picture anew
ADVICE = "Lower the learning rate and press Start over."
NO_LOOP = "the panel needs the event loop of a notebook's kernel; here, use trainer.train()"


class TrainingPanel(Still, ipywidgets.VBox):
    """Loss and accuracy while a network is trained; buttons, and settings that act at once.

    With no control moved, the history is that of ``trainer.train()`` with the same seed.

    Parameters
    ----------
    trainer : Trainer
        What is run. Its history and its network are up to date after every step.

    `message` says what happened last, `error` is what ended the last run, or None. `changes` lists
    (number of steps, setting, value), `earlier` (settings, losses, test accuracies) of each run
    before this one, the latest first. `controls` is a dict: "start" and "start over" (buttons),
    "learning rate" (where the optimizer has one), "optimizer", "batch size", and "beside": what is
    shown at the right of the curves.
    """

    def __init__(self, trainer):
        if not isinstance(trainer, Trainer):
            needed = "a Trainer(network, x_train, t_train, x_test, t_test)"
            raise TypeError(f"TrainingPanel needs {needed}, got {type(trainer).__name__}")
        super().__init__()
        self.trainer, self.task, self.error = trainer, None, None
        self.changes, self.earlier, self._wanted = [], [], {}  # wanted: for the next step
        self._more = max(trainer.epochs, 1)  # epochs that the button adds once all are done
        self._stopping = self._over = self._done = False
        self._first, self._rest = None, 0  # settings at the start; until when to rest
        self._previous = self._loop = None  # handler of interrupts before ours; the event loop
        with contextlib.suppress(RuntimeError):  # a click may come in a thread that has none
            self._loop = asyncio.get_running_loop()
        self._fresh = copy.deepcopy(trainer, _data(trainer))
        self._optimizers = {kind.__name__: kind() for kind in OPTIMIZERS.values()}
        self._optimizers[type(trainer.optimizer).__name__] = self._fresh.optimizer
        self._classes = trainer.network.predict(trainer.x_train[:1]).shape[1]

        settings = _settings(trainer, self._optimizers)
        start = ipywidgets.Button(layout={"width": "140px"})
        over = ipywidgets.Button(description="↺ Start over", layout={"width": "110px"})
        start.on_click(self._clicked)
        over.on_click(self.start_over)
        for name, control in settings.items():
            control.observe(lambda change, name=name: self._moved(name, change.new), "value")
        self.controls = {"start": start, "start over": over, **settings}
        self._bar = ipywidgets.IntProgress(layout={"width": "min(140px, 98%)"})
        self._numbers, self._status, self._view = ipywidgets.HTML(), ipywidgets.HTML(), Picture()
        rows = [start, over, self._bar, self._numbers], list(settings.values())
        wrap = {"flex_flow": "row wrap", "align_items": "center"}
        rows = [ipywidgets.HBox(row, layout=wrap) for row in rows]
        self.children = [*rows, self._status, self._view]
        self.add_class("cnnlib-training-panel")
        self._used = self._name()  # by the last run: settings changed since are not its own
        self._say("")

    # Whether the run is under way.
    running = property(lambda self: self.task is not None and not self.task.done())

    @property
    def figure(self):
        """The curves so far, as a `Card`."""
        t = self.trainer
        history = t.train_loss_list, t.train_acc_list, t.test_acc_list, self.changes, t.stopped
        more = {"done": t.current_iter >= t.max_iter, "classes": self._classes}
        more["runs"] = [self._name(), *self.earlier]
        return curves.training(*history, **more, beside=self._beside())

    def start(self):
        """Begin the run, or go on with it; return its task, to be awaited or not.

        It runs while the kernel has nothing else to do. RuntimeError where no event loop runs.
        """
        self._stopping = self._over = False  # a stop not seen yet is taken back
        if not self.running:
            if not (self._loop and self._loop.is_running()):
                raise RuntimeError(NO_LOOP)
            self.error, self._done = None, False
            self._began = time.monotonic(), self.trainer.current_iter  # for the time left
            self.task = self._loop.create_task(self._run())
            self.task.add_done_callback(self._ended)
            self._say("")
        return self.task

    def stop(self, *_):
        """End the run after the step in progress; `start` goes on."""
        self._stopping = True

    def start_over(self, *_):
        """Put back network, optimizer, random numbers and history as the panel found them.

        The settings of the controls stay, and the run so far stays in the picture, pale.
        """
        if self.running:
            self._stopping = self._over = True
            return
        t, shared = self.trainer, _data(self.trainer)
        if t.train_loss_list:
            run = self._used, t.train_loss_list, t.test_acc_list
            self.earlier = [run, *self.earlier][: len(curves.PALE)]
        for name, p in self._fresh.network.params.items():
            t.network.params[name][...] = p
            shared[id(p)] = t.network.params[name]  # in place: whoever holds the arrays keeps them
        fresh = copy.deepcopy(self._fresh, shared)
        vars(t.network).update(vars(fresh.network))
        vars(t).update({**vars(fresh), "network": t.network})
        self._wanted = {name: self.controls[name].value for name in ("optimizer", "batch size")}
        self._apply()
        self.changes, self.error = [], None
        self._say("All is as it was before the first step. Change a setting, then press Start.")

    async def _run(self):
        """Train and breathe in turn, and show where it stands now and then."""
        steps, due = self.trainer.steps(), time.monotonic()
        try:
            while not (self._done or self._stopping):
                self._catch_interrupts()
                self._done = self._train(steps)
                if time.monotonic() >= due:
                    began = time.monotonic()
                    self._show()
                    due = time.monotonic() + max(EVERY, 4 * (time.monotonic() - began))
                await asyncio.sleep(BREATH)
        finally:  # whatever it was, a cancelled task included
            if self._previous is not None and signal.getsignal(signal.SIGINT) == self.stop:
                signal.signal(signal.SIGINT, self._previous)
            self._apply()  # a slider moved in the last moment

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
        t = self.trainer
        while self._wanted:
            name, value = self._wanted.popitem()
            if name == "batch size":
                t.batch_size = value
            elif name == "optimizer":  # a new one, without any memory of steps
                t.optimizer = copy.deepcopy(self._optimizers[value])
            if name != "batch size" and "learning rate" in self.controls:
                t.optimizer.lr = self.controls["learning rate"].value
            if t.current_iter:
                self.changes.append((t.current_iter, name, value))

    def _catch_interrupts(self):
        """Let an interrupt stop the run, again and again: at each cell the kernel sets its own."""
        with contextlib.suppress(ValueError):  # outside the main thread, which is interrupted
            handler = signal.getsignal(signal.SIGINT)
            if handler != self.stop and handler is not None:
                signal.signal(signal.SIGINT, self.stop)
                self._previous = handler

    def _ended(self, task):
        """Say how the run ended. Only now can another begin."""
        t, self._used, self._rest = self.trainer, self._name(), time.monotonic() + REST * self._done
        self.error = error = None if task.cancelled() else task.exception()
        message = f"{type(error).__name__}: {error}. It ended" if error else "Stopped"
        message += f" after step {t.current_iter} of {t.max_iter}. All that was learned is kept."
        if self._done and t.stopped:
            message = f"{t.stopped} {ADVICE}"
        elif self._done:
            ends = [f": test accuracy {style.percent(share)}" for share in t.test_acc_list[-1:]]
            message = f"Done after step {t.current_iter}{''.join(ends)}."
        if curves.no_better_than_chance(t.train_loss_list, self._classes) and not t.stopped:
            message += f" The loss is no better than guessing. {ADVICE}"
        self._say(message)
        if self._over:
            self.start_over()

    def _clicked(self, button):
        """Start or stop. The click may come in a thread for messages; the run stays in the loop."""
        t = self.trainer
        if self.running:
            self.stop()
        elif time.monotonic() > self._rest and self._loop and self._loop.is_running():
            t.epochs += self._more if t.current_iter >= t.max_iter > 0 else 0
            self._loop.call_soon_threadsafe(self.start)
        elif not (self._loop and self._loop.is_running()):
            self._say(NO_LOOP)

    def _moved(self, name, value):
        if name == "beside":
            return self._show()
        if name == "learning rate" and math.isclose(value, self.trainer.optimizer.lr):
            return self._wanted.pop(name, None)  # nothing new: the page rounds it
        self._wanted[name] = value
        if not self.running:
            self._apply()
            self._say(f"The new {name} counts from the next step on.")

    def _say(self, message):
        """Show a sentence, the right word on the button, and the present state."""
        t, more = self.trainer, f"▶ {self._more} more epoch{'s' if self._more > 1 else ''}"
        word = "▶ Go on" if t.current_iter else "▶ Start"
        word = more if t.current_iter >= t.max_iter else word
        self.controls["start"].description = "❚❚ Stop" if self.running else word
        self.message = message
        self._status.value = f'<div role="status">{html.escape(message) or "&nbsp;"}</div>'
        self._show()

    def _show(self):
        """Show the present state: bar, numbers, curves."""
        t, text = self.trainer, self._state()
        if self.running and (taken := t.current_iter - self._began[1]):
            seconds = (time.monotonic() - self._began[0]) / taken * (t.max_iter - t.current_iter)
            text += f", about {seconds:,.0f} s left"
        self._bar.max, self._bar.value = max(t.max_iter, 1), t.current_iter
        look = "font-variant-numeric: tabular-nums; white-space: nowrap"
        self._numbers.value = f'<span style="{look}">{text}</span>'
        with self._view.hold_sync():
            self._view.draw(self.figure)
            self._view.value = style.to_html(self._view.figure)

    def _state(self):
        t = self.trainer
        texts = [f"step {t.current_iter} of {t.max_iter}, epoch {t.epoch:.1f} of {t.epochs}"]
        texts += [f"loss {x:.3f}" if x < 1e4 else f"loss {x:.3g}" for x in t.train_loss_list[-1:]]
        texts += [f"test accuracy {style.percent(share)}" for share in t.test_acc_list[-1:]]
        return ", ".join(texts)

    def _name(self):
        """Name the settings at the start of the run and, where they have changed, now."""
        lr = getattr(self.trainer.optimizer, "lr", None)
        now = [type(self.trainer.optimizer).__name__, f"batch {self.trainer.batch_size}"]
        now[1:1] = [f"lr {lr:.3g}" if isinstance(lr, numbers.Real) else ""]
        if not (self._first and self.trainer.current_iter):
            self._first = now
        pairs = zip(self._first, now, strict=True)
        return ", ".join(a if a == b else f"{a} → {b.split()[-1]}" for a, b in pairs if a and b)

    def _beside(self):
        """Return what is shown beside the curves: title, images, and what is written at each."""
        t, net, kind = self.trainer, self.trainer.network, self.controls["beside"].value
        if kind == "filters":
            return "filters W1", net.params["W1"][:30, 0], []
        if kind == "nothing":
            return None
        x = t.x_test[:TESTED]
        with np.errstate(all="ignore"):  # a network may be beyond help
            found = net.probabilities(x)
        labels = class_indices(t.t_test[:TESTED], *found.shape)
        worst = found[np.arange(len(x)), labels].argsort()[:10]
        texts = [f"{labels[k]} → {found[k].argmax()}" for k in worst]
        return "worst: label → answer", x[worst, 0], texts

    def __repr__(self):
        return f"TrainingPanel: {self._state()}\n{self.message}".rstrip()


def _data(t):
    """Return the memo of a deep copy of a trainer that shares its images and labels."""
    return {id(array): array for array in (t.x_train, t.t_train, t.x_test, t.t_test)}


def _settings(trainer, optimizers):
    """Make the controls of what may change while it runs, and of what is shown."""
    controls, lr = {}, getattr(trainer.optimizer, "lr", None)
    look = {"style": {"description_width": "initial"}, "layout": {"width": "min(320px, 98%)"}}
    if isinstance(lr, numbers.Real) and 0 < lr < math.inf:
        power = math.log10(lr)  # on a notch, of ten for each power of ten: the page moves to one
        low = power - math.floor(10 * (power - min(-5, power)) + 1e-9) / 10
        ends = {"min": low, "max": low + math.ceil(10 * (max(0, power) - low) - 1e-9) / 10}
        ends |= {"readout_format": ".2g", "description": "learning rate"}
        controls["learning rate"] = ipywidgets.FloatLogSlider(lr, **ends, **look)
    sizes = {trainer.batch_size, *(n for n in BATCH_SIZES if n <= len(trainer.x_train))}
    pictures = ["filters", "mistakes", "nothing"][np.ndim(trainer.network.params.get("W1")) != 4 :]
    menus = {"optimizer": list(optimizers), "batch size": sorted(sizes), "beside": pictures}
    first = type(trainer.optimizer).__name__, trainer.batch_size, pictures[0]
    for (name, options), value in zip(menus.items(), first, strict=True):
        made = controls[name] = ipywidgets.Dropdown(options=options, value=value, **look)
        made.description, made.layout.width = name.replace("beside", "also show"), "auto"
    return controls
