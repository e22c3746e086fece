"""The training panel without a browser, its run a task of asyncio's own loop."""

import asyncio
import itertools
import os
import re
import signal
import threading
from pathlib import Path

import numpy as np
import pytest

import cnnlib
from cnnlib import SimpleConvNet, Trainer
from cnnlib.figures import style
from cnnlib.figures.progress import progress
from cnnlib.widgets import TrainingPanel

FOLDER = Path(cnnlib.__file__).parent / "widgets"
IMAGES = 60


def new_trainer(epochs=4, batch_size=10, optimizer="Adam", **keywords):
    """A run of 24 steps on a network so small that it takes no time."""
    rng = np.random.default_rng(3)
    x = rng.random((IMAGES, 1, 8, 8), dtype=np.float32)
    t = (x[:, 0, :4].mean(axis=(1, 2)) > x[:, 0, 4:].mean(axis=(1, 2))).astype(int)
    network = SimpleConvNet((1, 8, 8), {"filter_num": 3, "filter_size": 3}, 5, 2, rng=0)
    return Trainer(
        network, x, t, x[:20], t[:20], epochs, batch_size, optimizer,
        {"lr": 0.01} if isinstance(optimizer, str) else None,
        verbose=False, seed=0, **keywords,
    )  # fmt: skip


def assert_same(a, b):
    """Two runs came to the same, in every bit."""
    for name, values in a.history.items():
        assert np.array_equal(values, b.history[name]), name
    for name, p in a.network.params.items():
        assert np.array_equal(p, b.network.params[name]), name


class Steps:
    """Calls back after given steps of a trainer."""

    def __init__(self, trainer, **calls):
        self.calls = {int(name.removeprefix("after_")): call for name, call in calls.items()}
        self.step, self.trainer = trainer.train_step, trainer
        trainer.train_step = self

    def __call__(self):
        loss = self.step()
        self.calls.get(self.trainer.current_iter, lambda: None)()
        return loss


@pytest.fixture(params=[0, 0.05], ids=["breathes after each step", "many steps in a slice"])
def slices(request, monkeypatch):
    monkeypatch.setattr("cnnlib.widgets.training_panel.SLICE", request.param)


def run(trainer, **keywords):
    async def main():
        panel = TrainingPanel(trainer, **keywords)
        await panel.start()
        return panel

    return asyncio.run(main())


@pytest.mark.parametrize("every", [0, 1000])
def test_the_same_run_as_without_a_panel(slices, every):
    a, b = new_trainer(), new_trainer()
    panel = run(b, every=every)
    assert_same(a.train(), b)
    assert b.current_iter == 24 and len(b.test_acc_list) == 4
    assert not panel.running and panel.error is None and panel.changes == []
    assert panel.message.startswith("Done after step 24: test accuracy ")


@pytest.mark.parametrize("stop", [1, 5, 6, 7, 23, 24])
def test_stopped_and_gone_on_it_is_the_same_run(slices, stop):
    a, b = new_trainer().train(), new_trainer()

    async def main():
        panel = TrainingPanel(b)
        Steps(b, **{f"after_{stop}": panel.stop})
        await panel.start()
        kept = {name: p.copy() for name, p in b.network.params.items()}
        assert b.current_iter == stop and not panel.running
        if stop < 24:
            assert panel.message == (
                f"Stopped after step {stop} of 24. All that was learned is kept."
            )
            assert panel.controls["start"].description == "▶ Go on"
        await asyncio.sleep(0)
        assert all(np.array_equal(p, kept[name]) for name, p in b.network.params.items())
        await panel.start()
        return panel

    panel = asyncio.run(main())
    assert_same(a, b)
    assert panel.message.startswith("Done after step 24")


def test_an_interrupt_stops_it_between_two_steps(slices):
    a, b = new_trainer().train(), new_trainer()
    before = signal.getsignal(signal.SIGINT)

    async def main():
        panel = TrainingPanel(b)
        within = signal.getsignal(signal.SIGINT)
        Steps(b, after_9=lambda: os.kill(os.getpid(), signal.SIGINT))
        await panel.start()
        assert signal.getsignal(signal.SIGINT) == within
        assert b.current_iter == 9 and panel.message.startswith("Stopped after step 9 of 24")
        await panel.start()

    asyncio.run(main())
    assert signal.getsignal(signal.SIGINT) == before
    assert_same(a, b)


def test_a_cancelled_task_keeps_all_and_goes_on(slices):
    a, b = new_trainer().train(), new_trainer()

    async def main():
        panel = TrainingPanel(b)
        Steps(b, after_7=lambda: panel.task.cancel())
        with pytest.raises(asyncio.CancelledError):
            await panel.start()
        assert not panel.running and b.current_iter >= 7
        how = "Stopped" if b.current_iter < 24 else "Done"  # it came within the last slice
        assert panel.message.startswith(f"{how} after step {b.current_iter}")
        await panel.start()

    asyncio.run(main())
    assert_same(a, b)


def test_an_error_is_told_and_kept_and_it_goes_on(slices):
    a, b = new_trainer().train(), new_trainer()

    def fail():
        raise OverflowError("numbers <too> large")

    async def main():
        panel = TrainingPanel(b)
        steps = Steps(b, after_8=fail)
        with pytest.raises(OverflowError):
            await panel.start()
        assert isinstance(panel.error, OverflowError)
        assert panel.message == (
            "OverflowError: numbers <too> large. It ended after step 8 of 24. "
            "All that was learned is kept."
        )
        assert "numbers &lt;too&gt; large" in panel._status.value
        steps.calls.clear()
        await panel.start()
        assert panel.error is None

    asyncio.run(main())
    assert_same(a, b)


def test_a_loss_that_is_not_finite_ends_the_run_and_says_so(slices):
    a, b = new_trainer(), new_trainer()
    for trainer in (a, b):
        Steps(trainer, after_8=lambda trainer=trainer: setattr(trainer.optimizer, "lr", 1e37))
    a.train()
    n = a.current_iter
    assert 8 < n < 24
    panel = run(b, every=0)
    assert_same(a, b)
    assert panel.error is None and not panel.running
    assert panel.message == b.stopped == a.stopped
    assert panel.message.startswith(f"Training stopped at step {n + 1}: the loss is ")
    short = panel.message.partition(". ")[0]
    assert panel.figure.axes[0].texts[0].get_text() == short
    assert short in panel._status.value and f"{short}." in panel._view.value
    assert "Done" not in repr(panel) and short in repr(panel)
    assert panel.controls["start"].description == "▶ Go on"
    assert f"step {n} of 24" in panel._numbers.value and len(panel._numbers.value) < 200
    assert panel._repr_mimebundle_()[1]["image/png"]["alt"] == panel.figure.alt


def test_after_an_infinite_loss_it_goes_on_at_another_rate(slices):
    a, b = new_trainer().train(), new_trainer()
    gradient = b.network.gradient

    def infinite(x, t):
        grads = gradient(x, t)
        if b.current_iter == 7 and b.optimizer.lr == 0.01:
            b.network.last_layer.loss = np.inf
        return grads

    b.network.gradient = infinite

    async def main():
        panel = TrainingPanel(b)
        await panel.start()
        assert panel.message.startswith("Training stopped at step 8: the loss is inf.")
        await panel.start()  # the same again
        assert panel.message.startswith("Training stopped at step 8: the loss is inf.")
        panel.controls["learning rate"].value = 0.001
        await panel.start()
        return panel

    panel = asyncio.run(main())
    assert b.stopped is None and panel.message.startswith("Done after step 24")
    assert "stopped" not in panel.figure.alt
    assert b.train_loss_list[:8] == a.train_loss_list[:8]
    assert panel.changes == [(7, "learning rate", 0.001)]


@pytest.mark.parametrize("lr", [np.inf, np.nan, "0.1", 0, None])
def test_no_slider_for_a_learning_rate_that_is_none(lr):
    trainer = new_trainer()
    trainer.optimizer.lr = lr
    assert list(TrainingPanel(trainer).controls) == ["start", "batch size"]


def test_the_loop_breathes_and_no_thread_is_made(slices):
    b, seen, threads = new_trainer(), [], set()
    before = threading.active_count()

    async def other():
        while True:
            seen.append(b.current_iter)
            threads.add(threading.active_count())
            await asyncio.sleep(0)

    async def main():
        panel = TrainingPanel(b)
        busy = asyncio.create_task(other())
        Steps(b, after_3=lambda: names.append(threading.current_thread()))
        await panel.start()
        busy.cancel()

    names = []
    asyncio.run(main())
    assert names == [threading.main_thread()] and threads == {before}
    assert len(seen) > 5


def test_the_loop_breathes_between_steps(monkeypatch):
    monkeypatch.setattr("cnnlib.widgets.training_panel.SLICE", 0)
    b, seen = new_trainer(), set()

    async def main():
        task = TrainingPanel(b).start()
        while not task.done():
            seen.add(b.current_iter)
            await asyncio.sleep(0)

    asyncio.run(main())
    assert seen >= set(range(24))


def test_controls_act_from_the_next_step_on(slices):
    b, rates, sizes = new_trainer(), [], []
    update, gradient = b.optimizer.update, b.network.gradient
    b.optimizer.update = lambda *a: (rates.append(b.optimizer.lr), update(*a))
    b.network.gradient = lambda x, t: (sizes.append(len(x)), gradient(x, t))[1]

    async def main():
        panel = TrainingPanel(b)
        controls = panel.controls
        Steps(
            b,
            after_4=lambda: setattr(controls["learning rate"], "value", 0.1),
            after_6=lambda: setattr(controls["batch size"], "value", 20),
        )
        await panel.start()
        return panel

    panel = asyncio.run(main())
    assert rates[:4] == [0.01] * 4 and set(rates[4:]) == {0.1}
    assert sizes == [10] * 6 + [20] * 9  # one epoch in tens, three in twenties
    assert panel.changes == [(4, "learning rate", 0.1), (6, "batch size", 20)]
    assert "learning rate 0.1 from step 4, batch size 20 from step 6" in panel.figure.alt
    assert b.current_iter == b.max_iter == panel._bar.max == panel._bar.value == 15


def test_a_slider_moved_in_the_last_step_counts_from_the_next_on(slices):
    b = new_trainer()

    async def main():
        panel = TrainingPanel(b)
        Steps(b, after_4=lambda: (setattr(panel.controls["batch size"], "value", 50), panel.stop()))
        await panel.start()

    asyncio.run(main())
    assert b.batch_size == 50 and b.current_iter == 4


def test_every_value_of_the_controls():
    panel = TrainingPanel(new_trainer())
    rate, size = panel.controls["learning rate"], panel.controls["batch size"]
    assert size.options == (1, 2, 5, 10, 20, 50) and rate.value == 0.01
    powers = np.arange(rate.min, rate.max + rate.step / 2, rate.step)
    for (k, power), batch in zip(enumerate(powers), itertools.cycle(size.options)):
        rate.value, size.value = rate.base**power, batch
        trainer = panel.trainer
        assert trainer.optimizer.lr == rate.value and trainer.batch_size == batch
        for _ in zip(range(1), trainer.steps(), strict=False):
            pass
        panel._show()
        assert panel._bar.value == trainer.current_iter == min(k + 1, trainer.max_iter)
        assert f"of {trainer.max_iter}" in panel._numbers.value
        assert style.size(panel.figure)[0] <= style.MAX_WIDTH


@pytest.mark.parametrize(("batch_size", "n"), [(7, 6), (60, 7)])
def test_any_batch_size_to_begin_with(batch_size, n):
    panel = TrainingPanel(new_trainer(batch_size=batch_size))
    assert panel.controls["batch size"].value == batch_size
    assert len(panel.controls["batch size"].options) == n + (batch_size == 7)


@pytest.mark.parametrize("lr", [1e-7, 0.02, 30])
def test_any_learning_rate_to_begin_with(lr):
    trainer = new_trainer()
    trainer.optimizer.lr = lr
    TrainingPanel(trainer)
    assert trainer.optimizer.lr == lr
    assert TrainingPanel(trainer).controls["learning rate"].value == lr


def test_an_optimizer_without_a_learning_rate():
    class Still:
        def update(self, params, grads):
            pass

    trainer = new_trainer(optimizer=Still())
    panel = run(trainer)
    assert list(panel.controls) == ["start", "batch size"]
    assert trainer.current_iter == 24


def test_the_button_starts_stops_goes_on_and_adds_epochs(slices):
    b = new_trainer()

    async def main():
        panel = TrainingPanel(b)
        button = panel.controls["start"]
        texts = [button.description]
        Steps(b, after_5=lambda: (texts.append(button.description), button.click()))
        for _ in range(3):
            button.click()
            await asyncio.sleep(0)  # the click starts it in the loop
            await panel.task
            texts.append(button.description)
        return texts

    assert asyncio.run(main()) == [
        "▶ Start", "❚❚ Stop", "▶ Go on", "▶ 4 more epochs", "▶ 4 more epochs",
    ]  # fmt: skip
    assert b.epochs == 8 and b.current_iter == 48
    assert_same(new_trainer(epochs=8).train(), b)


def test_a_click_in_another_thread_runs_in_the_loop_of_the_panel():
    b = new_trainer()

    async def main():
        panel, where = TrainingPanel(b), []
        Steps(b, after_2=lambda: where.append(threading.current_thread()))
        clicked = threading.Thread(target=panel.controls["start"].click)
        clicked.start()
        while panel.task is None:
            await asyncio.sleep(0)
        await panel.task
        clicked.join()
        return where

    assert asyncio.run(main()) == [threading.main_thread()]
    assert b.current_iter == 24


def test_starting_twice_is_one_run():
    b = new_trainer()

    async def main():
        panel = TrainingPanel(b)
        assert panel.start() is panel.start() and panel.running
        await panel.task

    asyncio.run(main())
    assert_same(new_trainer().train(), b)


def test_without_an_event_loop():
    panel = TrainingPanel(new_trainer())
    with pytest.raises(RuntimeError, match=r"use trainer\.train\(\)"):
        panel.start()
    panel.controls["start"].click()
    assert "use trainer.train()" in panel.message and panel.trainer.current_iter == 0


@pytest.mark.parametrize("every", [-1, np.nan, np.inf])
def test_impossible_times(every):
    with pytest.raises(ValueError, match="every must be"):
        TrainingPanel(new_trainer(), every=every)


def test_saved_notebooks_show_text_and_picture():
    panel = run(new_trainer())
    data, metadata = panel._repr_mimebundle_()
    assert data["image/png"].startswith("iVBOR")
    assert metadata["image/png"]["alt"] == panel.figure.alt
    assert metadata["image/png"]["width"] <= style.MAX_WIDTH
    assert "application/vnd.jupyter.widget-view+json" in data
    first, second = data["text/plain"].splitlines()
    loss = panel.trainer.train_loss_list[-1]
    assert first.startswith(f"TrainingPanel: step 24 of 24, loss {loss:.3f}, test accuracy ")
    assert second == panel.message
    alt = re.search(r'<img alt="([^"]*)"', panel._view.value).group(1)
    assert alt == panel.figure.alt
    assert repr(TrainingPanel(new_trainer())) == "TrainingPanel: step 0 of 24"


def test_the_figure_marks_where_a_slider_came_to_rest():
    loss = np.linspace(2, 1, 100)
    passed = [(40 + k, "learning rate", 10 ** (-2 - k)) for k in range(4)]
    card = progress(loss, [0.5], [0.4], [*passed, (43, "batch size", 20)])
    assert "Changed on the way: learning rate 1e-05 from step 43, batch size 20" in card.alt
    lines = [line.get_xdata()[0] for line in card.axes[1].lines if line.get_linestyle() == "--"]
    assert lines == [43, 43]
    assert progress(loss, [], []).alt.count("Changed") == 0


def test_the_script_asks_for_nothing():
    script = (FOLDER / "training_panel.js").read_text(encoding="utf-8")
    assert not re.search(r"\bimport\b|\bfetch\(|eval\(|https?:", re.sub(r"//.*", "", script))
