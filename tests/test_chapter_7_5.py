"""What 7.5 says: its counts by independent arithmetic, its trainings with a margin.

The networks and functions are those of the notebook's own cells, which a reader may change.
"""

import numpy as np
import pytest

from cnnlib import SimpleConvNet, gradient_check, load_trained, naive
from cnnlib.datasets import load_digits28
from cnnlib.widgets import DigitPad, Explorer, TrainingPanel

from .chapters import once, run
from .explorers import (  # noqa: F401
    test_every_cell_can_be_run_again,
    test_every_explorer_over_its_values,
)

CHAPTER = "7.5"


def names(*wanted):
    return [once("7.5")[0][name] for name in wanted]


# ---- plan and parts


def test_the_counts_of_the_plan():
    (rows,) = names("rows")
    by_name = {row.name: row for row in rows}
    conv, affine = by_name["Conv1"], by_name["Affine1"]
    assert (conv.parameters, conv.multiplications) == (30 * (25 + 1), 30 * 25 * 24 * 24)
    assert (affine.parameters, affine.multiplications) == (4320 * 100 + 100, 4320 * 100)
    assert conv.multiplications / conv.parameters > 500


@pytest.mark.parametrize("stride, share", [(1, 1), (2, 1 / 4)])
def test_stride_2_leaves_a_quarter_of_the_weights(stride, share):
    net = SimpleConvNet(conv_param={"stride": stride})
    assert net.params["W2"].size == share * 30 * 12 * 12 * 100


def test_two_linear_layers_are_one_and_a_convolution_is_linear():
    two, one, bent = names("two", "one", "bent")
    assert np.allclose(two, one) and np.abs(two - bent).max() > 1
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 1, 1, 6, 6))
    W = rng.standard_normal((2, 1, 3, 3))
    assert np.allclose(
        naive.convolve(2 * x - y, W), 2 * naive.convolve(x, W) - naive.convolve(y, W)
    )


def test_the_layers_hold_the_arrays_of_params():
    layers, params = names("layers", "params")
    for number, name in enumerate(("Conv1", "Affine1", "Affine2"), start=1):
        assert layers[name].W is params[f"W{number}"] and layers[name].b is params[f"b{number}"]
    assert list(params) == ["W1", "b1", "W2", "b2", "W3", "b3"]
    assert (
        0.0095 < np.concatenate([p.ravel() for p in params.values() if p.ndim > 1]).std() < 0.0105
    )


def test_what_is_built_computes_what_the_package_does():
    predict, loss, gradient, net, x, t = names("predict", "loss", "gradient", "net", "x", "t")
    params = names("params")[0]
    assert all(np.array_equal(params[name], p) for name, p in net.params.items())
    assert np.allclose(predict(x), net.predict(x), atol=1e-6)
    assert np.isclose(loss(x, t), net.loss(x, t))
    ours, theirs = gradient(x, t), net.gradient(x, t)
    assert ours.keys() == theirs.keys() == params.keys()
    for name, grad in ours.items():
        assert grad.shape == params[name].shape
        assert np.allclose(grad, theirs[name], rtol=1e-3, atol=1e-6) and grad.any()


def test_it_convolves_pools_and_multiplies_as_plain_loops_do():
    predict, params, x = names("predict", "params", "x")
    x = x[:3]
    maps = np.maximum(naive.convolve(x, params["W1"], params["b1"]), 0)
    flat = naive.max_pool(maps, 2, 2, 2).reshape(3, -1)
    hidden = np.maximum(flat @ params["W2"] + params["b2"], 0)
    assert np.allclose(hidden @ params["W3"] + params["b3"], predict(x), atol=1e-6)


def test_each_gradient_has_the_shape_of_what_went_forward():
    layers, last_layer, x, t = names("layers", "last_layer", "x", "t")
    shapes, signal = {}, x
    for name, layer in layers.items():
        shapes[name], signal = signal.shape, layer.forward(signal)
    last_layer.forward(signal, t)
    dout = last_layer.backward()
    for name in reversed(shapes):
        dout = layers[name].backward(dout)
        assert dout.shape == shapes[name]


# ---- the four checks


def test_what_the_first_loss_shows_and_what_it_does_not():
    x, t = names("x", "t")
    for seed in range(5):
        net = SimpleConvNet(rng=seed)
        shuffled = np.random.default_rng(seed).permutation(t)
        assert abs(net.loss(x, t) - np.log(10)) < 0.01
        assert abs(net.loss(x, shuffled) - np.log(10)) < 0.01
        assert abs(net.loss(255 * x, t) - np.log(10)) < 0.2
        assert SimpleConvNet(weight_init_std=0.2, rng=seed).loss(x, t) > 4
        assert abs(SimpleConvNet(output_size=20, rng=seed).loss(x, t) - np.log(20)) < 0.01


def test_the_gradient_check_tells_right_from_broken():
    small, broken, images, labels = names("small", "broken", "images", "labels")
    assert all(r.ok for r in gradient_check(small, images, labels, samples=40).values())
    reports = gradient_check(broken, images, labels, samples=40)
    assert [name for name, report in reports.items() if not report.ok] == ["W1", "b1"]


def test_a_handful_is_learned_by_heart_and_no_more():
    ten, others, few, losses = names("ten", "others", "few", "losses")
    assert sorted(ten[1]) == [*range(10)]
    assert losses[-1] < 0.01 and few.accuracy(*ten) == 1
    assert 0.4 < few.accuracy(*others) < 0.8


# ---- choosing, training, strangers


def test_the_held_out_digits_are_in_no_training():
    x_held, x_learn, trial, trainer = names("x_held", "x_learn", "trial", "trainer")
    assert len(x_held) == 200 and len(x_held) + len(x_learn) == 1437
    (_, _), (x_test, _) = load_digits28()
    known = {image.tobytes() for image in (*trainer.x_train, *trial(0.1).x_train)}
    assert not known & {image.tobytes() for image in (*x_held, *x_test)}
    assert trainer.x_test is x_held and trial(0.1).x_test is x_held


@pytest.mark.parametrize("seed", range(3))
def test_a_learning_rate_of_a_tenth_kills_the_network_for_good(seed, monkeypatch):
    trial, x_held, t_held = names("trial", "x_held", "t_held")
    monkeypatch.setitem(trial.__globals__, "TRIAL", 1000)  # the sizes of a process of its own
    monkeypatch.setitem(trial.__globals__, "BATCH", 20)
    run = trial(0.1, seed=seed).train()
    run.optimizer.lr, run.epochs = 0.001, 3
    run.train()
    grads = run.network.gradient(x_held, t_held)
    assert run.network.accuracy(x_held, t_held) < 0.2
    assert not grads["W1"].any() and not grads["b1"].any() and grads["b3"].any()
    maps = run.network.layers["Conv1"].forward(x_held)
    assert (maps <= 0).all()


def test_the_real_run_reads_most_digits_and_keeps_its_filters():
    learner, trainer, accuracy = names("learner", "trainer", "accuracy")
    assert trainer.network is learner and accuracy > 0.9
    history = trainer.snapshots["W1"]
    assert len(history) == trainer.epochs + 1
    assert (
        np.array_equal(history[-1], learner.params["W1"]) and not (history[0] == history[-1]).all()
    )
    assert len(trainer.x_train) == 3 * 1237  # moved up and down


def test_the_mistakes_on_strangers_digits():
    (matrix,) = names("matrix")
    wrong = matrix - np.diag(np.diag(matrix))
    assert matrix.sum() == 360 and abs(wrong.sum() - 40) <= 2
    assert abs(wrong[9, 3] - 17) <= 1 and abs(wrong[1, 8] - 8) <= 1


def test_who_centres_first_loses_nothing():
    cases, centred = names("cases", "centred")
    lying, straight = cases["as they lie"], cases["centred first"]
    assert lying[4] < 0.5 < 0.85 < lying[0] < straight[0]
    assert lying[0] - lying[1] < 0.02 < 0.06 < lying[0] - lying[2]
    assert all(np.array_equal(x, centred[0]) for x in centred)


def test_our_network_knows_one_way_to_lie():
    learner, centred, x_own, t_own = names("learner", "centred", "x_own", "t_own")
    assert learner.accuracy(x_own, t_own) > learner.accuracy(centred[0], t_own) + 0.01


def test_the_pad_reads_its_samples():
    pad, said = DigitPad(load_trained("simple")), []
    for digit in range(10):
        pad.show_sample(digit)
        said.append(pad.answer)
    assert said[3] == 3 and sum(np.equal(said, range(10))) >= 9


# ---- the reader's changes

QUICK = [
    ("train-panel", "browser=(2,", "browser=(1,"),
    ("dead-count", "(0.0001, 0.001, 0.01, 0.1)", "(0.1, 0.002)"),
    ("dead-count", "(1, 3, 10)", "(2,)"),
]
CENTRED = "load_digits28()\n" + "".join(
    f"x_{part} = np.stack([centre_digit(x)[np.newaxis] for x in x_{part}])\n"
    for part in ("train", "test")
)
CHANGES = {
    "few filters, stride 2": [
        ("init-hyperparameters", '"filter_num": 30', '"filter_num": 5'),
        ("init-hyperparameters", '"stride": 1', '"stride": 2'),
    ],
    "larger filters, fewer neurons, padding, other trials": [
        ("init-hyperparameters", '"filter_size": 5, "pad": 0', '"filter_size": 8, "pad": 1'),
        ("init-hyperparameters", "= 100, 10, 0.01", "= 30, 12, 0.02"),
        ("train-hold", "[:200]", "[:60]"),
        ("train-hold", "[200:]", "[60:]"),
        ("dead-count", "(2,)", "(40,)"),
    ],
    "SGD": [
        ("train-panel", '"Adam"', '"SGD"'),
        ("train-panel", "browser=(1, 0.003", "browser=(2, 0.1"),
    ],
    "no moved copies": [("train-panel", "[(0, 0), (-1, 0), (1, 0)]", "[(0, 0)]")],
    "centred digits": [("data-load", "load_digits28()\n", CENTRED)],
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_reader_may_change_it(change):
    names, values = run("7.5", *QUICK, *CHANGES[change])
    shown = [v for v in values.values() if isinstance(v, Explorer | DigitPad | TrainingPanel)]
    assert len(shown) == 6
    assert all(not v.message for v in shown if isinstance(v, Explorer))
    assert names["accuracy"] > 0.5
    shapes = {name: p.shape for name, p in names["params"].items()}
    assert shapes == {name: p.shape for name, p in names["learner"].params.items()}
