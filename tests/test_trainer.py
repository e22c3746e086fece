"""Trainer: every image once an epoch, a history to be trusted, and a run that can be stopped."""

import signal
import sys

import numpy as np
import pytest

from cnnlib import SGD, SimpleConvNet, Trainer
from cnnlib.trainer import training_size


def net(rng=0):
    return SimpleConvNet((1, 6, 6), {"filter_num": 3, "filter_size": 3}, 8, 2, 0.3, rng=rng)


@pytest.fixture
def data(rng):
    """Two classes that are easy to tell apart: bright above, bright below."""
    x = rng.random((50, 1, 6, 6), dtype=np.float32) * 0.5
    t = np.arange(50) % 2
    x[t == 0, :, :3] += 0.5
    x[t == 1, :, 3:] += 0.5
    return x, t


def trainer(data, network=None, **keywords):
    x, t = data
    settings = {
        "epochs": 3,
        "mini_batch_size": 8,
        "optimizer": "Adam",
        "optimizer_param": {"lr": 0.01},
        "verbose": False,
        "seed": 0,
    }
    return Trainer(network or net(), x, t, x, t, **(settings | keywords))


def test_learns_and_remembers(data):
    run = trainer(data, epochs=15).train()
    assert run.network.accuracy(*data) == 1.0
    assert run.current_iter == run.max_iter == 15 * 7  # 50 images in batches of 8: 7 an epoch
    history = run.history
    assert {name: len(values) for name, values in history.items()} == {
        "iter": 105,
        "loss": 105,
        "epoch": 15,
        "train_acc": 15,
        "test_acc": 15,
    }
    assert all(isinstance(values, np.ndarray) for values in history.values())
    assert history["loss"][0] > 0.5 > history["loss"][-1]
    assert history["test_acc"][-1] == 1.0 and history["epoch"][0] == 1


def test_every_image_is_shown_once_an_epoch(data):
    seen = []
    run = trainer(data, epochs=2)
    gradient = run.network.gradient

    def watched(x, t):
        seen.append(x)
        return gradient(x, t)

    run.network.gradient = watched
    run.train()
    assert [len(x) for x in seen] == [8] * 6 + [2] + [8] * 6 + [2]
    x, _ = data
    for epoch in (seen[:7], seen[7:]):
        shown = np.concatenate(epoch).reshape(50, -1)
        np.testing.assert_array_equal(
            np.unique(shown, axis=0), np.unique(x.reshape(50, -1), axis=0)
        )
    assert (seen[0] != seen[7]).any()  # another order


def test_batch_size_and_learning_rate_change_between_two_steps(data):
    seen, rates = [], []
    run = trainer(data, epochs=3)
    gradient, update = run.network.gradient, run.optimizer.update

    def watched(x, t):
        seen.append(x)
        return gradient(x, t)

    def watched_update(params, grads):
        rates.append(run.optimizer.lr)
        update(params, grads)

    run.network.gradient, run.optimizer.update = watched, watched_update
    steps = run.steps()
    for _ in range(3):
        next(steps)
    assert run.max_iter == 3 * 7 and run.epoch == 24 / 50
    run.batch_size, run.optimizer.lr = 20, 0.5  # 26 images are left of this epoch
    assert run.max_iter == 3 + 2 + 2 * 3
    for _ in range(2):
        next(steps)
    assert run.epoch == 1 and run.train_acc_list == []
    run.batch_size = 50
    assert list(steps) == run.train_loss_list[5:] and run.current_iter == run.max_iter == 7
    assert [len(x) for x in seen] == [8, 8, 8, 20, 6, 50, 50]
    assert rates == [0.01] * 3 + [0.5] * 4
    x, _ = data
    for shown in (seen[:5], seen[5:6], seen[6:]):  # every image once in every epoch
        shown = np.concatenate(shown).reshape(50, -1)
        np.testing.assert_array_equal(
            np.unique(shown, axis=0), np.unique(x.reshape(50, -1), axis=0)
        )
    assert run.history["epoch"].tolist() == [1, 2, 3] and run.snapshot_iters == [0, 5, 6, 7]
    for wrong in (0, 51, 2.5):
        with pytest.raises(ValueError, match=f"mini_batch_size .*got {wrong}"):
            run.batch_size = wrong
    assert run.batch_size == 50


def test_epochs_can_be_taken_away(data):
    run = trainer(data).train()
    run.epochs = 1
    assert run.max_iter == run.current_iter == 21 and list(run.steps()) == []


def test_leaving_the_loop_is_a_stop_and_it_goes_on(data):
    whole, run = trainer(data).train(), trainer(data)
    for _ in run.steps():
        if run.current_iter == 11:
            break
    assert run.current_iter == 11 and len(run.history["loss"]) == 11
    run.train()
    np.testing.assert_array_equal(run.history["loss"], whole.history["loss"])
    np.testing.assert_array_equal(run.history["test_acc"], whole.history["test_acc"])


def test_augmented_images_are_what_the_network_sees(data):
    x, _ = data

    def mirrored(batch, rng):
        assert isinstance(rng, np.random.Generator)
        return batch[..., ::-1] if rng.random() < 2 else batch

    run, plain = trainer(data, augment=mirrored), trainer((x[..., ::-1], data[1]))
    run.train_step()
    plain.train_step()
    assert run.train_loss_list == plain.train_loss_list
    np.testing.assert_array_equal(run.network.params["W1"], plain.network.params["W1"])


def test_never_an_extra_forward_pass(data, monkeypatch):
    run = trainer(data, epochs=1)
    calls, predict = [], SimpleConvNet.predict

    def watched(self, x, train_flg=False):
        calls.append((len(x), train_flg))
        return predict(self, x, train_flg)

    monkeypatch.setattr(SimpleConvNet, "predict", watched)
    for step in range(1, 6):
        run.train_step()
        assert sum(n for n, _ in calls) == step * run.batch_size  # each image once, in two halves
    assert all(train_flg for _, train_flg in calls)


def test_loss_is_that_of_the_batch_before_the_step(data):
    run = trainer(data, mini_batch_size=50)
    before = run.network.loss(*data)
    assert run.train_step() == pytest.approx(before, rel=1e-5)
    assert run.network.loss(*data) < before


def test_seed_decides(data):
    a, b, c = trainer(data).train(), trainer(data).train(), trainer(data, seed=1).train()
    np.testing.assert_array_equal(a.history["loss"], b.history["loss"])
    assert (a.history["loss"] != c.history["loss"]).any()


def test_an_interrupted_run_loses_nothing_and_goes_on(data, capsys):
    whole = trainer(data).train()
    run = trainer(data)
    update, steps = run.optimizer.update, []

    def interrupted(params, grads):
        steps.append(1)
        if len(steps) == 10:
            raise KeyboardInterrupt
        update(params, grads)

    run.optimizer.update = interrupted
    run.train()
    assert "stopped after step 9 of 21" in capsys.readouterr().out
    assert run.current_iter == 9 and len(run.history["test_acc"]) == 1
    np.testing.assert_array_equal(run.history["loss"], whole.history["loss"][:9])
    run.train()
    np.testing.assert_array_equal(run.history["loss"], whole.history["loss"])
    np.testing.assert_array_equal(run.history["test_acc"], whole.history["test_acc"])
    np.testing.assert_array_equal(run.network.params["W1"], whole.network.params["W1"])


@pytest.mark.parametrize("where", ["gradient", "update"])
def test_the_stop_button_waits_for_the_step_in_progress(data, capsys, where):
    whole, run = trainer(data).train(), trainer(data)
    owner = run.network if where == "gradient" else run.optimizer
    original, steps = getattr(owner, where), []

    def pressed(*arguments):
        steps.append(1)
        if len(steps) == 8:  # the first step of the second epoch
            signal.raise_signal(signal.SIGINT)
        return original(*arguments)

    setattr(owner, where, pressed)
    handler = signal.getsignal(signal.SIGINT)
    run.train()
    assert signal.getsignal(signal.SIGINT) is handler
    assert "stopped after step 8 of 21" in capsys.readouterr().out
    run.train()
    np.testing.assert_array_equal(run.history["loss"], whole.history["loss"])
    for name, p in whole.network.params.items():
        np.testing.assert_array_equal(run.network.params[name], p)


def test_a_second_press_does_not_wait(data):
    run, steps = trainer(data), []
    gradient = run.network.gradient

    def pressed_twice(x, t):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        steps.append("never reached")
        return gradient(x, t)

    run.network.gradient = pressed_twice
    assert run.train().current_iter == 0 and not steps


def test_train_and_test_accuracy_are_not_the_same_thing(data):
    x, t = data
    run = Trainer(net(), x, t, x, 1 - t, 15, 8, "Adam", {"lr": 0.01}, verbose=False, seed=0).train()
    assert run.history["train_acc"][-1] == 1.0 and run.history["test_acc"][-1] == 0.0


def test_steps_by_hand_and_train_together(data):
    run = trainer(data, snapshots="W1", snapshot_every=2)
    assert {name: len(values) for name, values in run.history.items()} == dict.fromkeys(
        ("iter", "loss", "epoch", "train_acc", "test_acc"), 0
    )
    for _ in range(9):
        run.train_step()
    run.train()
    assert run.snapshot_iters == [10, 12, 14, 16, 18, 20]
    assert run.history["epoch"].tolist() == [2, 3] and len(run.history["test_acc"]) == 2


def test_errors_are_not_taken_for_interrupts(data):
    run = trainer(data)

    def breaks(x, t):
        raise ValueError("broken")

    run.network.gradient = breaks
    with pytest.raises(ValueError, match="broken"):
        run.train()


def test_interrupted_while_looking(data):
    whole, run = trainer(data).train(), trainer(data)
    accuracy, calls = run.network.accuracy, []

    def interrupted(x, t):
        calls.append(1)
        if len(calls) == 4:  # the test accuracy of the second epoch
            raise KeyboardInterrupt
        return accuracy(x, t)

    run.network.accuracy = interrupted
    run.train()
    assert len(run.history["test_acc"]) == len(run.history["train_acc"]) == 1
    run.train()
    np.testing.assert_array_equal(run.history["test_acc"], whole.history["test_acc"])
    assert run.current_iter == whole.current_iter


def test_steps_can_be_taken_one_by_one(data):
    run = trainer(data)
    losses = [loss for loss, _ in zip(run.steps(), range(4), strict=False)]
    assert losses == run.train_loss_list[:4]
    run.epochs = 1
    run.train()
    assert run.current_iter == 7
    assert run.train().current_iter == 7  # nothing left to do


def test_snapshots(data):
    network = net()
    before = network.params["W1"].copy()
    run = trainer(data, network, snapshots=["W1", "b1"], snapshot_every=5).train()
    assert run.snapshot_iters == [0, 5, 10, 15, 20]
    assert len(run.snapshots["W1"]) == len(run.snapshots["b1"]) == 5
    np.testing.assert_array_equal(run.snapshots["W1"][0], before)
    assert (run.snapshots["W1"][1] != before).any()
    each_epoch = trainer(data, snapshots=["W1"]).train()
    assert each_epoch.snapshot_iters == [0, 7, 14, 21]
    np.testing.assert_array_equal(each_epoch.snapshots["W1"][-1], each_epoch.network.params["W1"])
    assert not np.shares_memory(each_epoch.snapshots["W1"][-1], each_epoch.network.params["W1"])


def test_evaluation_can_take_a_sample(data):
    run = trainer(data, epochs=1, evaluate_sample_num_per_epoch=6)
    sizes = []
    run.network.accuracy = lambda x, t: sizes.append((len(x), len(t))) or 0.5
    run.train()
    assert sizes == [(6, 6), (6, 6)]


def test_progress_bar_and_book_signature(data, capsys):
    x, t = data
    run = Trainer(net(), x, t, x, t, 1, 10, "sgd", {"lr": 0.05}, None, True)
    assert isinstance(run.optimizer, SGD) and run.optimizer.lr == 0.05
    run.train()
    shown = capsys.readouterr()
    assert "step" in shown.err
    accuracy = f"{run.test_acc_list[-1]:.2%}"
    assert shown.out.startswith("after epoch 1: train") and shown.out.endswith(f"{accuracy}\n")
    own = SGD(0.2)
    assert trainer(data, optimizer=own, optimizer_param=None).optimizer is own


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"mini_batch_size": 0}, r"1\.\.50.*got 0"),
        ({"mini_batch_size": 51}, r"1\.\.50.*got 51"),
        ({"mini_batch_size": 2.5}, "mini_batch_size .* got 2.5"),
        ({"epochs": -1}, "epochs .* got -1"),
        ({"epochs": 1.5}, "epochs .* got 1.5"),
        ({"snapshot_every": 0}, "snapshot_every .* got 0"),
        ({"evaluate_sample_num_per_epoch": -1}, "evaluate_sample.* got -1"),
        ({"evaluate_sample_num_per_epoch": 0}, "evaluate_sample.* got 0"),
        ({"optimizer": SGD, "optimizer_param": None}, "have an update method"),
        ({"optimizer": "adamm"}, "'adamm'.*known are.*'adam'"),
        ({"optimizer": SGD()}, "optimizer_param goes with the name"),
        ({"snapshots": ["W9"]}, r"\['W9'\].*'W1'"),
        ({"optimizer_param": {"lr": "0.1"}}, "lr must be a number .* got '0.1'"),
        ({"optimizer_param": {"lr": np.nan}}, "lr must be a number .* got nan"),
        ({"optimizer_param": {"lr": np.inf}}, "lr must be a number .* got inf"),
        ({"optimizer_param": {"lr": -0.1}}, "lr must be a number .* got -0.1"),
    ],
)
def test_bad_settings(data, keywords, message):
    with pytest.raises(ValueError, match=message):
        trainer(data, **keywords)


def test_bad_data(data):
    x, t = data
    with pytest.raises(ValueError, match="train data: 50 images and 49 labels"):
        Trainer(net(), x, t[:-1], x, t)
    with pytest.raises(ValueError, match="train data: 50 images and 1 labels"):
        Trainer(net(), x, 1, x, t)
    with pytest.raises(ValueError, match=r"empty: x_test has shape \(0, 1, 6, 6\)"):
        Trainer(net(), x, t, x[:0], t[:0])


@pytest.mark.parametrize("wrong", [list, lambda x: None, lambda x: x[0, 0, 0, 0], np.int64])
def test_images_are_an_array_of_floats(data, wrong):
    x, t = data
    for images in ((wrong(x), x), (x, wrong(x))):
        name = "x_test" if images[0] is x else "x_train"
        with pytest.raises(ValueError, match=f"{name} must be a floating-point array"):
            Trainer(net(), images[0], t, images[1], t)


def test_labels_may_be_a_list(data):
    x, t = data
    run = Trainer(net(), x, t.tolist(), x, t.tolist(), 1, 8, verbose=False, seed=0).train()
    assert (
        run.train_loss_list
        == trainer(data, epochs=1, optimizer="SGD", optimizer_param=None).train().train_loss_list
    )


def test_settings_become_plain_ints(data):
    small = np.uint8(8)
    run = trainer(
        data,
        epochs=np.uint8(40),
        mini_batch_size=small,
        snapshot_every=small,
        snapshots="W1",
        evaluate_sample_num_per_epoch=small,
    )
    assert run.train().current_iter == 280 and run.snapshot_iters == list(range(0, 281, 8))
    assert run.history["epoch"].tolist() == list(range(1, 41))


# ---- losses that are not finite ------------------------------------------------------------------


def assert_same(a, b):
    assert a.train_loss_list == b.train_loss_list and a.test_acc_list == b.test_acc_list
    for name, p in a.network.params.items():
        np.testing.assert_array_equal(p, b.network.params[name])


def spoil(run, step, what):
    """Make a step of a run go wrong, as training that diverges does."""
    gradient = run.network.gradient

    def spoilt(x, t):
        grads = gradient(x, t)
        if run.current_iter + 1 == step:
            if what == "gradient":
                grads["W2"].flat[3] = np.inf
            else:
                run.network.last_layer.loss = what
        return grads

    run.network.gradient = spoilt
    return lambda: setattr(run.network, "gradient", gradient)


@pytest.mark.parametrize("optimizer", ["SGD", "Momentum", "AdaGrad", "Adam"])
@pytest.mark.parametrize("what", [np.nan, np.inf, -np.inf, "gradient"])
@pytest.mark.parametrize("step", [1, 9])
def test_it_stops_before_the_first_step_that_is_not_finite(data, capsys, optimizer, what, step):
    run, other = trainer(data, optimizer=optimizer), trainer(data, optimizer=optimizer)
    mend = spoil(run, step, what)
    assert run.train() is run
    for _ in zip(range(step - 1), other.steps(), strict=False):
        pass
    assert_same(run, other)
    assert run.current_iter == len(run.history["loss"]) == step - 1
    assert np.isfinite(run.history["loss"]).all()
    told = "the gradient is not finite" if what == "gradient" else f"the loss is {what}"
    assert run.stopped.startswith(f"Training stopped at step {step}: {told}. What was learned")
    assert capsys.readouterr().out == f"{run.stopped}\n"
    assert list(run.steps()) == [] and run.stopped  # tried again: the same
    mend()
    assert_same(run.train(), trainer(data, optimizer=optimizer).train())  # and on from there
    assert run.stopped is None and run.current_iter == 21


def test_the_sentence_names_the_usual_causes(data, capsys):
    run = trainer(data, optimizer="SGD", optimizer_param={"lr": 1e12}).train()
    said = capsys.readouterr().out
    assert said.startswith(f"Training stopped at step {run.current_iter + 1}: the loss is ")
    assert "(lr = 1000000000000.0)" in said and "What was learned before is kept" in said
    assert 1 <= run.current_iter <= 5
    assert all(np.isfinite(p).all() for p in run.network.params.values())
    x, t = data
    unscaled = trainer((x * np.float32(1e36), t), optimizer="SGD").train()
    assert "not scaled to 0..1" in unscaled.stopped and "e+3" in unscaled.stopped
    with np.errstate(invalid="ignore"):
        constant = trainer(((x - x) / (x - x).std(), t)).train()
    assert constant.current_iter == 0
    assert constant.stopped.startswith("Training stopped at step 1: the loss is nan.")
    assert "nan to nan" in constant.stopped and "constant pixel" in constant.stopped


def test_it_says_so_where_parameters_were_lost(data):
    class Bursting(SGD):
        def update(self, params, grads):
            super().update(params, grads)
            params["W1"][...] = np.inf

    run = trainer(data, optimizer=Bursting(), optimizer_param=None).train()
    assert run.current_iter == 1 and "made parameters infinite: start again" in run.stopped
    assert "(lr = 0.01)" in run.stopped


def test_a_setting_that_turned_impossible_changes_nothing(data):
    run, other = trainer(data), trainer(data)
    for _ in range(3):
        run.train_step()
        other.train_step()
    run.optimizer.lr = np.nan
    with pytest.raises(ValueError, match="lr must be a number"):
        run.train()
    assert_same(run, other)
    run.optimizer.lr = other.optimizer.lr
    assert_same(run.train(), other.train())


# ---- how much a notebook trains ------------------------------------------------------------------


def test_a_process_of_its_own_trains_in_full(monkeypatch):
    monkeypatch.delenv("CNNLIB_IN_BROWSER", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert training_size(native=8, browser=2) == 8


def test_a_browser_trains_less(monkeypatch):
    monkeypatch.delenv("CNNLIB_IN_BROWSER", raising=False)
    monkeypatch.setattr(sys, "platform", "emscripten")
    assert training_size(native=8, browser=2) == 2


def test_a_browser_can_be_simulated(monkeypatch):
    monkeypatch.setenv("CNNLIB_IN_BROWSER", "1")
    assert training_size(native=8, browser=2) == 2
