"""The training panel without a browser, its run a task of asyncio's own loop."""

import asyncio
import itertools
import os
import re
import signal
import threading
import types

import numpy as np
import pytest

from cnnlib import DeepConvNet, SimpleConvNet, Trainer
from cnnlib.figures import curves, style
from cnnlib.widgets import TrainingPanel

IMAGES = 60
CONTROLS = ["start", "start over", "optimizer", "batch size", "beside"]


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


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Clicks count at once, and figures are drawn but not written as PNG, which takes the time."""
    monkeypatch.setattr("cnnlib.widgets.training_panel.REST", 0)
    monkeypatch.setattr(style, "to_png", lambda *_, **__: b"")


@pytest.fixture(params=[0, 0.05], ids=["breathes after each step", "many steps in a slice"])
def slices(request, monkeypatch):
    monkeypatch.setattr("cnnlib.widgets.training_panel.SLICE", request.param)


@pytest.fixture
def drawn_each_slice(monkeypatch):
    monkeypatch.setattr("cnnlib.widgets.training_panel.EVERY", 0)


def run(trainer):
    async def main():
        panel = TrainingPanel(trainer)
        await panel.start()
        return panel

    return asyncio.run(main())


@pytest.mark.parametrize(("every", "beside"), [(0, "filters"), (0, "mistakes"), (1000, "nothing")])
def test_the_same_run_as_without_a_panel(slices, every, beside, monkeypatch):
    monkeypatch.setattr("cnnlib.widgets.training_panel.EVERY", every)
    a, b = new_trainer(), new_trainer()

    async def main():
        panel = TrainingPanel(b)
        panel.controls["beside"].value = beside
        await panel.start()
        return panel

    panel = asyncio.run(main())
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


def test_a_loss_that_is_not_finite_ends_the_run_and_says_so(slices, drawn_each_slice):
    a, b = new_trainer(), new_trainer()
    for trainer in (a, b):
        Steps(trainer, after_8=lambda trainer=trainer: setattr(trainer.optimizer, "lr", 1e37))
    a.train()
    n = a.current_iter
    assert 8 < n < 24
    panel = run(b)
    assert_same(a, b)
    assert panel.error is None and not panel.running
    assert b.stopped == a.stopped
    assert panel.message == f"{b.stopped} Lower the learning rate and press Start over."
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
    assert list(TrainingPanel(trainer).controls) == CONTROLS


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
        assert style.size(panel._view.figure)[0] <= style.MAX_WIDTH


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
    assert list(panel.controls) == CONTROLS and panel.controls["optimizer"].value == "Still"
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


@pytest.mark.parametrize("other", [SimpleConvNet(rng=0), None, new_trainer])
def test_what_is_no_trainer_is_refused_by_its_name(other):
    with pytest.raises(TypeError, match=rf"needs a Trainer\(.*, got {type(other).__name__}$"):
        TrainingPanel(other)


def test_saved_notebooks_show_text_and_picture(monkeypatch):
    panel = run(new_trainer())
    monkeypatch.undo()  # real PNGs
    data, metadata = panel._repr_mimebundle_()
    assert data["image/png"].startswith("iVBOR")
    assert metadata["image/png"]["alt"] == panel.figure.alt
    assert metadata["image/png"]["width"] <= style.MAX_WIDTH
    assert "application/vnd.jupyter.widget-view+json" in data
    first, second = data["text/plain"].splitlines()
    loss = panel.trainer.train_loss_list[-1]
    state = f"step 24 of 24, epoch 4.0 of 4, loss {loss:.3f}, test accuracy "
    assert first.startswith(f"TrainingPanel: {state}")
    assert second == panel.message
    alt = re.search(r'<img alt="([^"]*)"', panel._view.value).group(1)
    assert alt == panel.figure.alt
    assert repr(TrainingPanel(new_trainer())) == "TrainingPanel: step 0 of 24, epoch 0.0 of 4"


def test_the_figure_marks_where_a_slider_came_to_rest():
    loss = np.linspace(2, 1, 100)
    passed = [(40 + k, "learning rate", 10 ** (-2 - k)) for k in range(4)]
    card = curves.training(loss, [0.5], [0.4], [*passed, (43, "batch size", 20)])
    assert "Changed on the way: learning rate 1e-05 from step 43, batch size 20" in card.alt
    lines = [line.get_xdata()[0] for line in card.axes[1].lines if line.get_linestyle() == "--"]
    assert lines == [43, 43]
    assert curves.training(loss, [], []).alt.count("Changed") == 0


# ---- start over, and the runs before --------------------------------------------------------


def with_dropout(epochs):
    """A run in which layers, trainer and the moved images draw random numbers."""
    rng = np.random.default_rng(3)
    x, t = rng.random((30, 1, 28, 28), dtype=np.float32), np.arange(30) % 10
    network = DeepConvNet(filter_nums=(2,) * 6, hidden_size=5, rng=0)
    return Trainer(
        network, x, t, x, t, epochs, 10, "Momentum", {"lr": 0.01}, verbose=False, seed=0,
        snapshots=["W1"], augment=lambda x, rng: x + rng.random(x.shape, dtype=np.float32),
    )  # fmt: skip


@pytest.mark.parametrize("make", [new_trainer, with_dropout])
@pytest.mark.parametrize("stop", [4, 6])
def test_started_over_it_is_the_same_run(slices, make, stop):
    a, b = make(epochs=2), make(epochs=2)
    first = {name: p.copy() for name, p in a.network.params.items()}
    a.train()

    async def main():
        panel = TrainingPanel(b)
        held = b.network, dict(b.network.params)
        steps = Steps(b, **{f"after_{stop}": panel.stop})
        await panel.start()
        assert b.current_iter == stop
        panel.controls["start over"].click()
        assert b.current_iter == 0 and b.epoch == 0 and not b.test_acc_list and not panel.changes
        assert panel.controls["start"].description == "▶ Start"
        assert panel.message.startswith("All is as it was before the first step.")
        for name, p in b.network.params.items():  # the arrays that others may hold
            assert np.array_equal(p, first[name]) and p is held[1][name]
        assert b.network is held[0]
        assert any(b.network.layers["Affine1"].W is p for p in held[1].values())
        steps.calls.clear()
        for _ in range(2):  # and once more from a whole run
            await panel.start()
            assert_same(a, b)
            for name, copies in a.snapshots.items():
                assert np.array_equal(copies, b.snapshots[name])
            panel.start_over()
        return panel

    assert len(asyncio.run(main()).earlier) == 2


def test_a_click_just_after_the_end_was_to_stop_and_adds_nothing(monkeypatch):
    monkeypatch.setattr("cnnlib.widgets.training_panel.REST", 60)
    b = new_trainer(epochs=1)

    async def main():
        panel = TrainingPanel(b)
        await panel.start()
        panel.controls["start"].click()
        await asyncio.sleep(0)
        assert b.epochs == 1 and not panel.running

    asyncio.run(main())


def test_the_name_of_a_run_says_from_what_to_what():
    panel = TrainingPanel(new_trainer())
    for value in (0.001, 0.1):  # before the first step, nothing has changed
        panel.controls["learning rate"].value = value
    assert panel._name() == "Adam, lr 0.1, batch 10"
    panel.trainer.train_step()
    panel.controls["learning rate"].value = 0.01
    assert panel._name() == "Adam, lr 0.1 → 0.01, batch 10"


def test_epochs_that_were_added_are_gone_after_start_over():
    b = new_trainer(epochs=1)

    async def main():
        panel = TrainingPanel(b)
        for _ in range(2):
            panel.controls["start"].click()
            await asyncio.sleep(0)
            await panel.task
        assert b.epochs == 2
        panel.start_over()

    asyncio.run(main())
    assert b.epochs == 1 and b.max_iter == 6


def test_start_over_while_it_runs_waits_for_the_step_in_progress(slices):
    a, b = new_trainer().train(), new_trainer()

    async def main():
        panel = TrainingPanel(b)
        steps = Steps(b, after_5=panel.controls["start over"].click)
        await panel.start()
        assert b.current_iter == 0 and len(panel.earlier[0][1]) == 5 and not panel.running
        steps.calls.clear()
        await panel.start()

    asyncio.run(main())
    assert_same(a, b)


def test_settings_stay_over_a_new_start_and_the_optimizer_forgets(slices):
    b = new_trainer(optimizer="momentum")
    a = new_trainer(optimizer="adam", batch_size=20)
    a.optimizer.lr = 0.1
    a.train()

    async def main():
        panel = TrainingPanel(b)
        await panel.start()
        settings = {"optimizer": "Adam", "learning rate": 0.1, "batch size": 20}
        for name, value in settings.items():
            panel.controls[name].value = value
        panel.start_over()
        await panel.start()
        return panel

    panel = asyncio.run(main())
    assert_same(a, b)
    assert panel.changes == []
    ((name, loss, test_acc),) = panel.earlier  # as it was run, not as it was set for the next one
    assert name == "Momentum, lr 0.01, batch 10" and len(loss) == 24 and len(test_acc) == 4


@pytest.mark.parametrize("kind", ["SGD", "Momentum", "Nesterov", "AdaGrad", "RMSprop", "Adam"])
def test_each_optimizer_takes_over_between_two_steps(kind):
    b, other = new_trainer(), "SGD" if kind == "Adam" else "Adam"
    b.optimizer = new_trainer(optimizer=other).optimizer

    async def main():
        panel = TrainingPanel(b)
        assert list(panel.controls["optimizer"].options).count(kind) == 1
        Steps(b, after_7=lambda: setattr(panel.controls["optimizer"], "value", kind))
        await panel.start()
        return panel

    panel = asyncio.run(main())
    assert type(b.optimizer).__name__ == kind and b.optimizer.iter == 17
    assert b.optimizer.lr == 0.01 and panel.changes == [(7, "optimizer", kind)]
    assert f"optimizer {kind} from step 7" in panel.figure.alt


def test_settings_of_an_own_optimizer_are_kept():
    trainer = new_trainer()
    trainer.optimizer = type(new_trainer(optimizer="momentum").optimizer)(0.01, momentum=0.5)
    panel = TrainingPanel(trainer)
    for kind in ("SGD", "Momentum"):
        panel.controls["optimizer"].value = kind
    assert trainer.optimizer.momentum == 0.5


def test_the_last_two_runs_stay_in_the_picture():
    b, names = new_trainer(epochs=1), []

    async def main():
        panel = TrainingPanel(b)
        for lr in (0.1, 0.01, 0.001, 0.0001):
            panel.start_over()
            panel.controls["learning rate"].value = lr
            await panel.start()
            names.append(f"Adam, lr {lr:.3g}, batch 10")
        panel.controls["batch size"].value = 5
        return panel

    panel = asyncio.run(main())
    assert [run[0] for run in panel.earlier] == [names[2], names[1]]
    texts = [text.get_text() for text in panel.figure.axes[0].texts]
    assert texts.count(names[2]) == texts.count(names[1]) == 1 and names[0] not in texts
    assert f"Before, with {names[1]}: loss {panel.earlier[1][1][-1]:.3g}, test" in panel.figure.alt
    loss, accuracy = panel.figure.axes[1:3]
    for (_, losses, accs), line, dots in zip(
        panel.earlier, loss.lines, accuracy.lines[-2:], strict=False
    ):
        assert np.allclose(line.get_ydata(), losses) and np.allclose(dots.get_ydata(), accs)
        assert line.get_color() == dots.get_color() and line.get_linestyle() != "-"
    assert style.size(panel.figure)[0] <= style.MAX_WIDTH


def test_a_click_in_the_instant_in_which_go_on_appears_counts(slices):
    a, b, running = new_trainer().train(), new_trainer(), []

    async def main():
        panel = TrainingPanel(b)
        button = panel.controls["start"]

        def click(change):
            if change.new == "▶ Go on":
                running.append(panel.running)
                button.click()

        button.observe(click, "description")
        Steps(b, after_5=button.click)
        first = panel.start()
        await first
        await asyncio.sleep(0)
        assert panel.task is not first
        await panel.task

    asyncio.run(main())
    assert running == [False]
    assert_same(a, b)


def test_a_start_while_it_stops_takes_the_stop_back(slices):
    a, b = new_trainer().train(), new_trainer()

    async def main():
        panel = TrainingPanel(b)
        Steps(b, after_5=lambda: (panel.stop(), panel.start()))
        await panel.start()

    asyncio.run(main())
    assert_same(a, b)


# ---- what is told ---------------------------------------------------------------------------


def test_a_loss_back_at_chance_is_told_with_what_to_do(slices):
    b = new_trainer(epochs=20)

    async def main():
        panel = TrainingPanel(b)
        Steps(b, after_5=lambda: setattr(panel.controls["learning rate"], "value", 1))
        await panel.start()
        return panel

    panel = asyncio.run(main())
    assert b.stopped is None and max(b.train_loss_list) > 1
    assert panel.message.startswith("Done after step 120: test accuracy ")
    assert panel.message.endswith(
        "The loss is no better than guessing. Lower the learning rate and press Start over."
    )
    title = panel.figure.axes[0].texts[0].get_text()
    assert title.startswith("The loss is no better than guessing (ln 2 = 0.69), and test accuracy")


def test_time_left_and_so_far_only_while_it_runs(drawn_each_slice, monkeypatch):
    monkeypatch.setattr("cnnlib.widgets.training_panel.SLICE", 0)
    clock = types.SimpleNamespace(monotonic=itertools.count(step=0.01).__next__)
    monkeypatch.setattr("cnnlib.widgets.training_panel.time", clock)
    b, seen = new_trainer(), []

    async def main():
        panel = TrainingPanel(b)
        panel._numbers.observe(lambda change: seen.append(panel._numbers.value), "value")
        Steps(b, after_15=lambda: seen.append(panel.figure.axes[0].texts[0].get_text()))
        await panel.start()
        return panel

    panel = asyncio.run(main())
    assert any(re.search(r"step \d+ of 24.*, about \d+ s left", text) for text in seen)
    assert any(re.search("; test accuracy so far: ", text) for text in seen)
    assert "left" not in panel._numbers.value
    assert ", and test accuracy ends at " in panel.figure.axes[0].texts[0].get_text()


def test_the_worst_images_are_those_of_the_lowest_probability():
    panel = TrainingPanel(new_trainer().train())
    panel.controls["beside"].value = "mistakes"
    trainer = panel.trainer
    scores = trainer.network.predict(trainer.x_test)
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    of_label = [row[label] for row, label in zip(p, trainer.t_test, strict=True)]
    _, images, texts = panel._beside()
    worst = sorted(range(20), key=of_label.__getitem__)[:10]
    assert np.array_equal(images, trainer.x_test[worst, 0])
    assert texts == [f"{trainer.t_test[k]} → {scores[k].argmax()}" for k in worst]
    shown = [i.get_array().shape for i in panel.figure.axes[0].images if i.get_gid() != "bar"]
    assert shown == [(8, 8)] * 10 and texts[0] in panel.figure.alt
    trainer.t_test = np.eye(2, dtype=int)[trainer.t_test]  # one-hot labels, too
    assert panel._beside()[2] == texts


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("beside", ["filters", "mistakes"])
def test_a_broken_network_is_still_drawn(bad, beside):
    panel = TrainingPanel(new_trainer())
    panel.trainer.network.params["W1"][0, 0, 0, 0] = bad
    panel.controls["beside"].value = beside
    assert "<img" in panel._view.value


def test_the_filters_are_drawn_as_they_are():
    panel = TrainingPanel(new_trainer())
    W = panel.trainer.network.params["W1"]
    images = [i for i in panel.figure.axes[0].images if i.get_gid() != "bar"]
    assert all(np.array_equal(i.get_array(), w[0]) for i, w in zip(images, W, strict=True))
    assert {image.get_clim() for image in images} == {(-abs(W).max(), abs(W).max())}
    panel.controls["beside"].value = "nothing"
    assert not panel.figure.axes[0].images and "Beside" not in panel.figure.alt


def test_drawing_takes_less_than_a_fifth_of_the_time(monkeypatch):
    """A clock that only drawing (1 s) and steps (0.1 s) move."""
    now = [0.0]
    clock = types.SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr("cnnlib.widgets.training_panel.time", clock)
    b, drawn = new_trainer(epochs=50), []

    async def main():
        panel = TrainingPanel(b)
        step = b.train_step

        def train_step():
            now[0] += 0.1
            return step()

        def draw(card):
            drawn.append(now[0])
            now[0] += 1
            return ""

        b.train_step = train_step
        monkeypatch.setattr("cnnlib.figures.style.to_html", draw)
        await panel.start()

    asyncio.run(main())
    between = np.diff(drawn[1:-1])  # the pictures of start and end are not among them
    assert len(between) > 5 and 5 <= round(between.min(), 9) and between.max() < 5.2


def test_a_learning_rate_in_quotes_is_refused_with_its_value():
    x = np.zeros((4, 1, 8, 8), np.float32)
    network = SimpleConvNet((1, 8, 8), {"filter_num": 3, "filter_size": 3}, 5, 2, rng=0)
    with pytest.raises(ValueError, match=r"lr must be a number .*, got '0\.1'"):
        Trainer(network, x, [0] * 4, x, [0] * 4, 1, 2, optimizer_param={"lr": "0.1"})


FALLEN, PEAK = np.linspace(2.3, 0.2, 50), np.array([2.3, 154, 16])


@pytest.mark.parametrize(
    ("loss", "told"),
    [
        ([*FALLEN, *[2.30] * 50], "is no better than guessing (ln 10 = 2.30)"),
        ([*PEAK, *[2.31] * 50], "is no better than guessing (ln 10 = 2.30)"),
        ([*PEAK, *[10.8] * 50], "is no better than guessing (ln 10 = 2.30)"),
        ([2.3] * 50, "hardly changes"),  # a small learning rate: it may come to something yet
        ([*PEAK, *FALLEN], "falls"),
        (FALLEN, "falls"),
    ],
)
def test_the_title_tells_a_loss_that_is_back_at_chance(loss, told):
    card = curves.training(loss, [0.1], [0.1], classes=10)
    title = card.axes[0].texts[0].get_text()
    assert title == f"The loss {told}, and test accuracy ends at 10.0 %"
    assert ("guessing" in card.alt) == ("guessing" in told)
    going_on = curves.training(loss, [0.1], [0.1], classes=10, done=False)
    assert going_on.axes[0].texts[0].get_text() == f"The loss {told}; test accuracy so far: 10.0 %"


def test_a_peak_does_not_press_the_rest_to_the_floor():
    ax = curves.training([*PEAK, *FALLEN, *FALLEN], [], []).axes[1]
    assert 2.3 < ax.get_ylim()[1] < 6 and ax.get_title(loc="right") == "peak: 154"
    assert curves.training(FALLEN, [], []).axes[1].get_title(loc="right") == ""
