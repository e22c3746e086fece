"""Networks: listings of the source, every setting, gradients in halves, saving, bad input."""

import io
import os
import stat
import subprocess
import sys
import threading
import time
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cnnlib
from cnnlib import (
    AlexNet,
    Convolution,
    DeepConvNet,
    LeNet,
    LeNet5,
    SimpleConvNet,
    Trainer,
    check_gradient,
    conv_output_size,
    gradient_check,
    im2col,
    load_digits28,
    networks,
)
from cnnlib.layers import Dropout, Layer, Relu

BROWSER = sys.platform == "emscripten"  # no threads, no processes, one core
needs_threads = pytest.mark.skipif(BROWSER, reason="there are no threads in a browser")
every_number_of_cores = pytest.mark.parametrize("cores", [1] if BROWSER else [1, 2])
if not BROWSER:
    from threadpoolctl import threadpool_info, threadpool_limits


def small(**keywords):
    param = {"filter_num": 3, "filter_size": 3, "pad": 1, "stride": 1}
    return SimpleConvNet((2, 6, 6), param, 7, 5, 0.2, **({"rng": 0} | keywords))


@pytest.fixture(autouse=True)
def any_batch_is_cut(monkeypatch):
    """Small batches are cut in parts here, too."""
    monkeypatch.setattr(networks, "LARGE", 2)


@pytest.fixture
def batch(rng):
    return rng.random((9, 2, 6, 6)), rng.integers(0, 5, 9)


def test_a_small_batch_is_not_cut(batch, monkeypatch):
    net, (x, t) = small(), batch
    whole = net.loss(x, t), net.backward()
    monkeypatch.setattr(networks, "LARGE", 10)
    monkeypatch.setattr(networks, "_pool", None)  # no thread is asked for
    for name, gradient in net.gradient(x, t).items():
        np.testing.assert_array_equal(gradient, whole[1][name])
    assert net.last_layer.loss == whole[0]


def test_names_and_shapes_of_the_source():
    net = SimpleConvNet(
        input_dim=(1, 28, 28),
        conv_param={"filter_num": 30, "filter_size": 5, "pad": 0, "stride": 1},
        hidden_size=100,
        output_size=10,
        weight_init_std=0.01,
    )
    assert list(net.layers) == ["Conv1", "Relu1", "Pool1", "Affine1", "Relu2", "Affine2"]
    assert {name: p.shape for name, p in net.params.items()} == {
        "W1": (30, 1, 5, 5),
        "b1": (30,),
        "W2": (30 * 12 * 12, 100),
        "b2": (100,),
        "W3": (100, 10),
        "b3": (10,),
    }
    for name in ("W1", "W2", "W3"):
        assert net.params[name].std() == pytest.approx(0.01, rel=0.15)
        assert net.params[name].dtype == np.float32
    assert not any(net.params[name].any() for name in ("b1", "b2", "b3"))
    again = SimpleConvNet()
    assert [p.shape for p in again.params.values()] == [p.shape for p in net.params.values()]


# The listings of section 7.5 and 7.4.3, their slips repaired, as functions of the object.
def listed_predict(self, x):
    for layer in self.layers.values():
        x = layer.forward(x)
    return x


def listed_loss(self, x, t):
    y = listed_predict(self, x)
    return self.last_layer.forward(y, t)


def listed_gradient(self, x, t):
    listed_loss(self, x, t)
    dout = 1
    dout = self.last_layer.backward(dout)
    layers = list(self.layers.values())
    layers.reverse()
    for layer in layers:
        dout = layer.backward(dout)
    grads = {}
    grads["W1"] = self.layers["Conv1"].dW
    grads["b1"] = self.layers["Conv1"].db
    grads["W2"] = self.layers["Affine1"].dW
    grads["b2"] = self.layers["Affine1"].db
    grads["W3"] = self.layers["Affine2"].dW
    grads["b3"] = self.layers["Affine2"].db
    return grads


def listed_forward(self, x):
    FN, _, FH, FW = self.W.shape
    N, _, H, W = x.shape
    out_h = int(1 + (H + 2 * self.pad - FH) / self.stride)
    out_w = int(1 + (W + 2 * self.pad - FW) / self.stride)
    col = im2col(x, FH, FW, self.stride, self.pad)
    col_W = self.W.reshape(FN, -1).T
    out = np.dot(col, col_W) + self.b
    return out.reshape(N, out_h, out_w, -1).transpose(0, 3, 1, 2)


def test_listings_of_the_source_agree(batch):
    net, (x, t) = small(dtype=np.float64), batch
    np.testing.assert_allclose(net.predict(x), listed_predict(net, x), rtol=1e-12)
    assert net.loss(x, t) == pytest.approx(listed_loss(net, x, t))
    ours, listed = net.gradient(x, t), listed_gradient(net, x, t)
    assert ours.keys() == listed.keys() == net.params.keys()
    for name in ours:
        np.testing.assert_allclose(ours[name], listed[name], rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("seed", range(10))
def test_listed_convolution_agrees(seed):
    rng = np.random.default_rng(seed)
    N, C, FN, FH, FW = rng.integers(1, 5, 5)
    H, W, stride, pad = (
        rng.integers(5, 9),
        rng.integers(5, 9),
        rng.integers(1, 4),
        rng.integers(0, 3),
    )
    layer = Convolution(
        rng.standard_normal((FN, C, FH, FW)), rng.standard_normal(FN), int(stride), int(pad)
    )
    x = rng.standard_normal((N, C, H, W))
    np.testing.assert_allclose(layer.forward(x), listed_forward(layer, x), rtol=1e-9, atol=1e-12)


@settings(max_examples=25)
@given(
    st.integers(1, 7), st.integers(1, 4), st.integers(0, 3), st.integers(6, 9), st.integers(6, 9)
)
def test_every_valid_setting_trains(filter_size, stride, pad, H, W):
    out = (H + 2 * pad - filter_size) // stride + 1, (W + 2 * pad - filter_size) // stride + 1
    param = {"filter_num": 2, "filter_size": filter_size, "pad": pad, "stride": stride}
    if min(H, W) + 2 * pad < filter_size or min(out) < 2:  # no room for filter or pooling
        with pytest.raises(ValueError, match="does not fit"):
            SimpleConvNet((1, H, W), param, 4, 3)
        return
    net = SimpleConvNet((1, H, W), param, 4, 3, 0.3, rng=0)
    net.params["b1"] += 0.1  # a window of nothing but padding would sit on the kink of the ReLU
    assert net.params["W2"].shape == (2 * (out[0] // 2) * (out[1] // 2), 4)
    x = np.random.default_rng(1).standard_normal((2, 1, H, W))
    for report in gradient_check(net, x, np.array([0, 2]), samples=12).values():
        assert report.error < 1e-6, report


def test_gradient_equals_differences(batch):
    net, (x, t) = small(), batch
    exact = net.astype(np.float64).gradient(x, t)
    numerical = net.numerical_gradient(x, t)
    for name, p in net.params.items():
        assert numerical[name].shape == p.shape
        np.testing.assert_allclose(exact[name], numerical[name], rtol=1e-5, atol=1e-9)
        assert p.dtype == np.float32  # the network itself stayed as it was


def test_float32_throughout(batch):
    net, (x, t) = small(), batch
    x = x.astype(np.float32)
    assert net.predict(x).dtype == np.float32
    grads = net.gradient(x, t)
    assert all(g.dtype == np.float32 for g in grads.values())
    assert all(grads[name].shape == p.shape for name, p in net.params.items())


def tiny(kind, dropout_ratio=0.5, **keywords):
    """Give a small network of a kind, for five classes or more."""
    keywords = {"rng": 0} | keywords
    match kind:
        case "SimpleConvNet":
            return small(**keywords)
        case "DeepConvNet":
            return DeepConvNet((1, 24, 24), 5, (2, 2, 3, 3, 2, 2), 6, dropout_ratio, **keywords)
        case "LeNet":
            return LeNet((1, 12, 12), 5, pad=10, **keywords)
        case "LeNet5":
            return LeNet5(**keywords)
        case "AlexNet":
            sizes = {"filter_nums": (2, 4, 4, 2, 2), "hidden_size": 8, "groups": 2}
            sizes["dropout_ratio"] = dropout_ratio
            return AlexNet.small((1, 17, 17), 5, **sizes, **keywords)


def images_for(net, N, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((N, *net.input_dim)).astype(net.dtype), rng.integers(0, 5, N)


every_kind = pytest.mark.parametrize(
    "kind", ["SimpleConvNet", "DeepConvNet", "LeNet", "LeNet5", "AlexNet"]
)


@every_kind
@pytest.mark.parametrize("N", [1, 2, 5, 8])
def test_gradients_of_the_halves_add_up_to_that_of_the_whole(kind, N):
    net = tiny(kind, dropout_ratio=0, dtype=np.float64)
    x, t = images_for(net, N)
    grads, loss = net.gradient(x, t), net.last_layer.loss
    assert loss == pytest.approx(net.loss(x, t), rel=1e-12)
    whole = net.backward()
    assert grads.keys() == whole.keys() == net.params.keys()
    for name, expected in whole.items():
        scale = np.abs(expected).max()
        np.testing.assert_allclose(grads[name], expected, rtol=1e-9, atol=1e-12 * scale)


def test_gradient_takes_labels_in_all_three_shapes(batch):
    net, (x, t) = small(), batch
    expected = net.gradient(x, t)
    for labels in (t[:, np.newaxis], np.eye(5)[t], t.tolist()):
        for name, gradient in net.gradient(x, labels).items():
            np.testing.assert_array_equal(gradient, expected[name])
    assert net.loss(x[:1], int(t[0])) == net.loss(x[:1], t[:1])  # a single label
    expected = net.backward()
    for name, gradient in net.gradient(x[:1], int(t[0])).items():
        np.testing.assert_array_equal(gradient, expected[name])


@needs_threads
@every_kind
@pytest.mark.parametrize("N", [1, 5])
def test_any_number_of_cores_gives_the_same_numbers(kind, N, monkeypatch):
    found = []
    for cores in (1, 2, 8):
        monkeypatch.setattr(networks, "CORES", cores)
        net = tiny(kind)
        x, t = images_for(net, N)
        steps = []
        for _ in range(2):
            steps.append((net.gradient(x, t), net.last_layer.loss))
        found.append(steps)
    for steps in found[1:]:
        for (grads, loss), (expected, expected_loss) in zip(steps, found[0], strict=True):
            assert loss == expected_loss and type(loss) is float
            for name in expected:
                np.testing.assert_array_equal(grads[name], expected[name])
                assert grads[name].dtype == np.float32
    (_, loss), (_, later) = found[0]
    assert (loss != later) == (kind in ("DeepConvNet", "AlexNet"))  # Dropout drops others then


@pytest.mark.parametrize("kind", ["DeepConvNet", "AlexNet"])
def test_gradient_with_dropout_is_that_of_the_loss_it_reports(kind):
    net = tiny(kind, dtype=np.float64)
    x, t = images_for(net, 4)
    state = net.rng.bit_generator.state

    def loss(_):
        net.rng.bit_generator.state = state
        net.gradient(x, t)
        return net.last_layer.loss

    net.rng.bit_generator.state = state
    grads = net.gradient(x, t)
    for name, p in net.params.items():
        report = check_gradient(loss, p, grads[name], name, samples=3)
        assert report.ok and report.error < 1e-6, report
    assert all(gradient.any() for gradient in grads.values())


class SpyingDropout(Dropout):
    """Notes what it dropped."""

    def forward(self, x, train_flg=True):
        out = super().forward(x, train_flg)
        self.masks.append((out != 0).tobytes())
        return out


def test_no_two_layers_halves_or_steps_drop_the_same(monkeypatch):
    monkeypatch.setattr(SpyingDropout, "masks", [], raising=False)
    net = AlexNet.small((1, 17, 17), 5, filter_nums=(2, 2, 2, 2, 2), hidden_size=64, rng=0)
    for name in ("Dropout6", "Dropout7"):  # of equal shapes, behind a ReLU: made positive here
        net.layers[name.replace("Dropout", "Relu")] = Ones()
        net.layers[name] = SpyingDropout(0.5, net.rng)
    for _ in range(2):
        net.gradient(*images_for(net, 4))
    assert len(SpyingDropout.masks) == len(set(SpyingDropout.masks)) == 8


class Ones(Layer):
    def forward(self, x, train_flg=True):
        return self._save(train_flg, np.ones_like(x))

    def backward(self, dout):
        self._saved_for(dout)
        return np.zeros_like(dout)


def contents(net):
    """List the very objects that the layers of a network hold, and what its parameters say."""
    held = {name: dict(vars(layer)) for name, layer in net.layers.items()}
    last = {key: value for key, value in vars(net.last_layer).items() if key != "loss"}
    return held | {"last": last}, {name: p.copy() for name, p in net.params.items()}


def same(before, after):
    held, params = before
    held_after, params_after = after
    assert held.keys() == held_after.keys()
    for name, attributes in held.items():
        assert attributes.keys() == held_after[name].keys()
        assert all(held_after[name][key] is value for key, value in attributes.items())
    for name, p in params.items():
        np.testing.assert_array_equal(p, params_after[name])


@every_kind
def test_gradient_leaves_the_layers_as_they_were(kind):
    net = tiny(kind, dropout_ratio=0)
    x, t = images_for(net, 5)
    arrays = dict(net.params)
    before = contents(net)
    net.gradient(x, t)
    same(before, contents(net))
    net.loss(x, t)
    expected = net.backward()
    net.loss(x, t)
    before = contents(net)
    net.gradient(*images_for(net, 3, seed=1))
    same(before, contents(net))
    for name, gradient in net.backward().items():  # still of the batch before
        np.testing.assert_array_equal(gradient, expected[name])
    assert all(net.params[name] is array for name, array in arrays.items())


@needs_threads
@every_number_of_cores
@pytest.mark.parametrize("where", [0, 8])
def test_an_error_in_a_half_reaches_the_caller(batch, cores, where, monkeypatch):
    monkeypatch.setattr(networks, "CORES", cores)
    net, (x, t) = small(), batch
    net.gradient(x, t)
    before, loss, threads = contents(net), net.last_layer.loss, threading.active_count()
    t[where] = 5
    with threads_of_blas(2), pytest.raises(ValueError, match=r"class numbers must be 0\.\.4"):
        try:
            net.gradient(x, t)
        finally:
            assert blas_threads() == 2
    same(before, contents(net))
    assert net.last_layer.loss == loss and threading.active_count() == threads


class FailingFirst(Relu):
    """Raises in the first half of nine images, when the second one is at work."""

    def __init__(self):
        self.second_works, self.ended = threading.Event(), []

    def forward(self, x, train_flg=True):
        if len(x) == 5:
            assert self.second_works.wait(600)
            raise RuntimeError("as it shall")
        self.second_works.set()
        for _ in range(20):
            np.exp(np.ones(10**5))
        self.ended.append(True)
        return super().forward(x, train_flg)


@needs_threads
def test_nothing_works_on_behind_an_error(batch, monkeypatch):
    monkeypatch.setattr(networks, "CORES", 2)
    net, (x, t) = small(), batch
    layer = net.layers["Relu1"] = FailingFirst()
    with pytest.raises(RuntimeError, match="as it shall"):
        net.gradient(x, t)
    assert layer.ended


class Meeting(Relu):
    """Passes when two threads are in it at the same time."""

    barrier = threading.Barrier(2)

    def forward(self, x, train_flg=True):
        self.barrier.wait(timeout=600)
        return super().forward(x, train_flg)


@needs_threads
def test_the_two_halves_run_at_the_same_time(batch, monkeypatch):
    monkeypatch.setattr(networks, "CORES", 2)
    net, (x, t) = small(), batch
    expected = net.gradient(x, t)
    net.layers["Relu1"] = Meeting()
    for name, gradient in net.gradient(x, t).items():
        np.testing.assert_array_equal(gradient, expected[name])


def test_one_core_needs_no_thread(batch, monkeypatch):
    monkeypatch.setattr(networks, "CORES", 1)
    net, (x, t) = small(), batch

    def cannot(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", cannot)
    net.gradient(x, t)


FORK = """
import os, signal, numpy as np, cnnlib
from cnnlib import networks
networks.CORES, networks.LARGE = 2, 2
net = cnnlib.SimpleConvNet((1, 6, 6), {"filter_size": 3}, 4, 3, rng=0)
x, t = np.ones((4, 1, 6, 6)), np.array([0, 1, 2, 0])
net.gradient(x, t)
child = os.fork()
signal.alarm(300)  # a child that waits for threads it does not have
net.gradient(x, t)
if child:
    os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
os._exit(0)
"""


@needs_threads
@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_a_forked_process_has_threads_of_its_own():
    subprocess.run([sys.executable, "-W", "ignore", "-c", FORK], check=True, timeout=600)


class Overflowing(Relu):
    def forward(self, x, train_flg=True):
        np.square(np.full(1, 1e200))
        return super().forward(x, train_flg)


@needs_threads
@every_number_of_cores
def test_errstate_outside_counts_inside_the_threads(batch, cores, monkeypatch):
    monkeypatch.setattr(networks, "CORES", cores)
    net, (x, t) = small(), batch
    net.layers["Relu1"] = Overflowing()
    with np.errstate(over="ignore"):
        net.gradient(x, t)
    with np.errstate(over="raise"), pytest.raises(FloatingPointError, match="overflow"):
        net.gradient(x, t)


def blas_threads():
    """Return the number of threads of NumPy's BLAS, or None where it cannot be set."""
    return max((i["num_threads"] for i in threadpool_info() if i["user_api"] == "blas"), default=0)


def threads_of_blas(number):
    limits = threadpool_limits(number, "blas")
    if blas_threads() != number:
        limits.restore_original_limits()
        pytest.skip("the threads of this BLAS cannot be set")
    return limits


class SpyingRelu(Relu):
    """Notes on how many threads BLAS runs, and fails when it shall."""

    fails = False

    def forward(self, x, train_flg=True):
        self.seen.append(blas_threads())
        if self.fails:
            raise RuntimeError("as it shall")
        return super().forward(x, train_flg)

    def backward(self, dout):
        self.seen.append(blas_threads())
        return super().backward(dout)


@needs_threads
@every_number_of_cores
def test_blas_runs_on_one_thread_inside_and_on_as_many_as_before_afterwards(
    batch, cores, monkeypatch
):
    monkeypatch.setattr(networks, "CORES", cores)
    monkeypatch.setattr(SpyingRelu, "seen", [], raising=False)
    net, (x, t) = small(), batch
    net.layers["Relu1"] = SpyingRelu()
    with threads_of_blas(2):
        for action in (
            lambda: net.predict(x),
            lambda: net.accuracy(x, t),
            lambda: net.loss(x, t),
            lambda: net.backward(),
            lambda: net.gradient(x, t),
        ):
            action()
            assert blas_threads() == 2
        monkeypatch.setattr(SpyingRelu, "fails", True)
        for action in (lambda: net.predict(x), lambda: net.gradient(x, t)):
            with pytest.raises(RuntimeError, match="as it shall"):
                action()
            assert blas_threads() == 2
    assert set(SpyingRelu.seen) == {1} and len(SpyingRelu.seen) >= 8


class Squared(Layer):
    """A layer of a user: its own attributes instead of those of the package."""

    def forward(self, x, train_flg=True):
        self.x, self.mask = x, x > 0
        return np.where(self.mask, x**2, 0)

    def backward(self, dout):
        return np.where(self.mask, 2 * self.x * dout, 0)


class OwnConvolution(Convolution):
    """A convolution of a user: backward as in the book, without an option for a first layer."""

    def backward(self, dout):
        return super().backward(dout)


@every_number_of_cores
def test_layers_of_users_in_halves(batch, cores, monkeypatch):
    monkeypatch.setattr(networks, "CORES", cores)
    net, (x, t) = small(dtype=np.float64), batch
    net.layers["Relu1"] = Squared()
    conv = net.layers["Conv1"]
    net.layers["Conv1"] = OwnConvolution(conv.W, conv.b, conv.stride, conv.pad)
    net.params["W1"] *= 3
    grads = net.gradient(x, t)
    net.loss(x, t)
    for name, expected in net.backward().items():
        np.testing.assert_allclose(grads[name], expected, rtol=1e-9, atol=1e-14)
    for report in gradient_check(net, x, t, samples=10).values():
        assert report.ok, report


class Noisy(Layer):
    """A layer of a user that draws random numbers; on two cores the second half does so first."""

    def __init__(self, rng):
        self.rng, self.second_has_drawn = rng, threading.Event()
        if networks.CORES == 1:
            self.second_has_drawn.set()

    def forward(self, x, train_flg=True):
        if len(x) == 5:  # of nine: the first half
            assert self.second_has_drawn.wait(600)
        noise = self.rng.standard_normal(x.shape)
        self.second_has_drawn.set()
        return self._save(train_flg, x + noise)

    def backward(self, dout):
        self._saved_for(dout)
        return dout.copy()


@needs_threads
def test_random_numbers_of_users_are_the_same_on_any_number_of_cores(batch, monkeypatch):
    x, t = batch
    losses = []
    for cores in (1, 2):
        monkeypatch.setattr(networks, "CORES", cores)
        net = small(dtype=np.float64)
        net.layers["Relu1"] = Noisy(net.rng)
        net.gradient(x, t)
        losses.append(net.last_layer.loss)
    assert losses[0] == losses[1]
    net.gradient(x, t)
    assert net.last_layer.loss != losses[0]


@pytest.mark.parametrize("one_hot", [False, True])
def test_accuracy_counts_the_last_partial_batch(batch, one_hot):
    net, (x, t) = small(), batch
    right = (net.predict(x).argmax(axis=1) == t).mean()
    labels = np.eye(5)[t] if one_hot else t
    for batch_size in (1, 2, 4, 9, 100):
        assert net.accuracy(x, labels, batch_size) == right
    wrong = (net.predict(x).argmax(axis=1) + 1) % 5
    wrong[-1] = net.predict(x[-1:]).argmax()
    assert net.accuracy(x, wrong, batch_size=4) == pytest.approx(1 / 9)


def test_a_column_of_labels_means_the_same_as_a_row(batch):
    net, (x, t) = small(), batch
    column = t[:, np.newaxis]
    assert net.accuracy(x, column) == net.accuracy(x, t)
    loss = net.loss(x, t)
    grads = net.backward()
    assert net.loss(x, column) == loss
    for name, gradient in net.backward().items():
        np.testing.assert_array_equal(gradient, grads[name])
    numerical = small().numerical_gradient(x[:1], column[:1])["b3"]
    np.testing.assert_array_equal(numerical, small().numerical_gradient(x[:1], t[:1])["b3"])


def test_scores_that_are_nan_are_no_answer(batch):
    net, (x, _) = small(), batch
    t = net.predict(x).argmax(axis=1)
    assert net.accuracy(x, t) == 1
    x[2] = np.nan
    t[2] = 0  # where argmax finds the first NaN
    for batch_size in (1, 4, 100):
        assert net.accuracy(x, t, batch_size) == pytest.approx(8 / 9)
    net.params["b3"][:] = np.nan
    assert net.accuracy(x, np.zeros(9, int)) == 0
    net.params["b3"][:] = [np.nan, 1, 2, 3, 4]  # one that cannot be compared is enough
    assert net.accuracy(x, np.full(9, 4)) == 0


def test_looking_is_inference(rng):
    net = AlexNet.small((1, 17, 17), 3, filter_nums=(2, 3, 3, 2, 2), hidden_size=4, rng=0)
    x, t = rng.random((5, 1, 17, 17), dtype=np.float32), np.array([0, 1, 2, 0, 1])
    scores = net.predict(x)
    np.testing.assert_array_equal(net.predict(x), scores)  # nothing is dropped
    assert net.accuracy(x, t) == (scores.argmax(axis=1) == t).mean()
    net.gradient(x, t)
    net.accuracy(x, t)
    net.loss(x, t, train_flg=False)
    assert all(layer._saved is None for layer in net.layers.values())
    assert net.last_layer.y is None


def test_dropout_follows_the_seed(rng):
    x, t = rng.random((5, 1, 28, 28), dtype=np.float32), np.array([0, 1, 2, 0, 1])
    losses = [AlexNet.small(rng=seed).loss(x, t) for seed in (0, 0, 1)]
    assert losses[0] == losses[1] != losses[2]


def test_numerical_gradient_of_a_float32_network_takes_float32_images(batch):
    net, (x, t) = small(), batch
    x = x.astype(np.float32)
    numerical = net.numerical_gradient(x, t)
    for name, gradient in net.gradient(x, t).items():
        np.testing.assert_allclose(numerical[name], gradient, rtol=1e-3, atol=1e-5)


def test_two_networks_share_nothing(batch):
    a, b, (x, t) = small(), small(), batch
    before = b.predict(x).copy()
    for p in a.params.values():
        p += 1
    a.gradient(x, t)
    np.testing.assert_array_equal(b.predict(x), before)
    assert a.layers["Conv1"].W is a.params["W1"]
    twin = a.astype(np.float64)
    twin.params["W1"] += 1
    assert twin.layers["Conv1"].W is twin.params["W1"] and twin.params["W1"].dtype == np.float64
    assert not np.shares_memory(twin.params["W1"], a.params["W1"])


def test_seed_decides_and_the_global_one_is_not_touched():
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    a, b, c = small(rng=3), small(rng=3), small(rng=4)
    assert (a.params["W1"] == b.params["W1"]).all()
    assert (a.params["W1"] != c.params["W1"]).any()
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002


def test_save_and_load(tmp_path, batch):
    x, _ = batch
    a, b, file = small(rng=1), small(rng=2), tmp_path / "weights.npz"
    a.save_params(file)
    arrays = dict(b.params)
    b.load_params(file)
    np.testing.assert_array_equal(a.predict(x), b.predict(x))
    assert all(b.params[name] is arrays[name] for name in arrays)  # still the shared arrays
    assert os.listdir(tmp_path) == ["weights.npz"]
    np.savez(file, **{name: p.astype(np.float16) for name, p in a.params.items()})
    b.load_params(file)
    assert b.params["W1"].dtype == np.float32
    np.testing.assert_allclose(b.params["W1"], a.params["W1"], rtol=1e-3, atol=1e-6)


def test_saving_never_leaves_a_half_written_file(tmp_path, monkeypatch):
    net, file = small(), tmp_path / "weights.npz"
    net.save_params(file)
    before = file.read_bytes()

    def breaks(stream, **arrays):
        stream.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez_compressed", breaks)
    with pytest.raises(OSError, match="disk full"):
        net.save_params(file)
    assert os.listdir(tmp_path) == ["weights.npz"] and file.read_bytes() == before


def test_loading_checks_before_it_overwrites(tmp_path):
    net, file = small(), tmp_path / "weights.npz"
    before = {name: p.copy() for name, p in net.params.items()}

    def refused(message, error=ValueError):
        with pytest.raises(error, match=message):
            net.load_params(file)
        assert all((p == before[name]).all() for name, p in net.params.items())

    refused("weights.npz", FileNotFoundError)
    SimpleConvNet((2, 6, 6), {"filter_num": 3, "filter_size": 5, "pad": 1}, 7, 5).save_params(file)
    refused(r"W1 has shape \(3, 2, 5, 5\) in .*weights.npz, but \(3, 2, 3, 3\) in this SimpleConv")
    np.savez(file, W1=before["W1"] + 1)
    refused(r"holds \['W1'\], but SimpleConvNet has \['W1', 'W2'")
    np.savez(file, **{name: p.astype(np.int64) for name, p in before.items()})
    refused("dtype int64, not float")
    np.savez(file, **{name: np.array([{}], dtype=object) for name in before})
    refused("not a .npz file of plain arrays")  # pickles are not opened
    with file.open("wb") as stream:
        np.save(stream, before["W1"])
    refused("not a .npz file")
    file.write_bytes(b"PK\x03\x04 and then nothing")
    refused("not a .npz file")
    file.write_bytes(b"")
    refused("not a .npz file")
    np.savez(file, **(before | {"W4": before["W1"]}))
    refused("'W4'")
    np.savez(file, **(before | {"b1": np.full(3, np.nan)}))
    refused("b1 .* holds NaN")
    net.save_params(file)
    good = bytearray(file.read_bytes())
    for position in range(30, len(good), 7):  # one damaged byte: either harmless or refused
        bad = good.copy()
        bad[position] ^= 0xFF
        file.write_bytes(bad)
        try:
            net.load_params(file)
        except ValueError:
            pass
        assert all((p == before[name]).all() for name, p in net.params.items())


def test_saving_where_there_is_no_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        small().save_params(tmp_path / "nowhere" / "weights.npz")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        small().save_params(tmp_path / "folder")
    assert os.listdir(tmp_path) == ["folder"]


@needs_threads
def test_two_writers_and_a_reader_of_one_file(tmp_path):
    nets, file, found = [small(rng=seed) for seed in range(2)], tmp_path / "weights.npz", []
    nets[0].save_params(file)
    done = threading.Event()

    def write(net):
        saves = 0
        while not done.is_set():
            net.save_params(file)
            saves += 1
        return saves

    with ThreadPoolExecutor(2) as pool:
        writers = [pool.submit(write, net) for net in nets]
        try:
            until = time.perf_counter() + 0.4
            while time.perf_counter() < until or len(found) < 5:
                reader = small(rng=2)
                reader.load_params(file)
                found.append(reader.params)
        finally:
            done.set()
    assert all(writer.result() > 1 for writer in writers)
    for params in found:  # all of one network
        assert any(all((params[n] == p).all() for n, p in net.params.items()) for net in nets)
    assert os.listdir(tmp_path) == ["weights.npz"]


posix = pytest.mark.skipif(os.name != "posix", reason="modes and links are those of POSIX")


@posix
def test_saving_touches_no_other_file(tmp_path):
    theirs, link = tmp_path / "theirs", tmp_path / "weights.npz.part"
    theirs.write_text("theirs", encoding="utf-8")
    link.symlink_to(theirs)
    own = tmp_path / "params.npz.part"
    own.write_text("mine", encoding="utf-8")
    for name in ("weights.npz", "params.npz"):
        small().save_params(tmp_path / name)
    assert theirs.read_text("utf-8") == "theirs" and own.read_text("utf-8") == "mine"
    assert link.is_symlink() and len(os.listdir(tmp_path)) == 5


@pytest.mark.skipif(BROWSER, reason="a browser has no umask")
@posix
def test_mode_of_a_saved_file(tmp_path):
    file, before = tmp_path / "weights.npz", os.umask(0o027)
    try:
        small().save_params(file)
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640  # as of any other new file
    for mode in (0o600, 0o664):
        file.chmod(mode)
        small().save_params(file)
        assert stat.S_IMODE(file.stat().st_mode) == mode


@posix
@pytest.mark.parametrize("there", [True, False])
def test_saving_through_a_symbolic_link(tmp_path, there):
    (tmp_path / "real").mkdir()
    target, link = tmp_path / "real" / "weights.npz", tmp_path / "link.npz"
    if there:
        small(rng=1).save_params(target)
    link.symlink_to(target)
    net, loaded = small(rng=2), small(rng=3)
    net.save_params(link)
    loaded.load_params(target)
    np.testing.assert_array_equal(loaded.params["W1"], net.params["W1"])
    assert link.is_symlink() and os.listdir(target.parent) == ["weights.npz"]
    assert sorted(os.listdir(tmp_path)) == ["link.npz", "real"]


def npy_header(shape, dtype="<f4"):
    stream = io.BytesIO()
    description = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, description)
    return stream.getvalue()


def write_archive(file, net, compression=zipfile.ZIP_DEFLATED, **members):
    """Write the parameters of a network, with other bytes for some members, compressed so."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, p in net.params.items():
            if name in members:
                archive.writestr(f"{name}.npy", members[name], compression)
            else:
                archive.writestr(f"{name}.npy", npy_header(p.shape) + p.tobytes())


@pytest.mark.parametrize(
    ("compression", "member", "message"),
    [
        (
            zipfile.ZIP_DEFLATED,
            npy_header((500, 10**6)) + bytes(3 * 10**7),
            r"b3 .*500, 1000000\) in",
        ),
        (zipfile.ZIP_BZIP2, npy_header((500, 10**6)) + bytes(3 * 10**7), "b3|not a .npz file"),
        (
            zipfile.ZIP_DEFLATED,  # a header of version 2 may be said to be 4 GB long
            b"\x93NUMPY\x02\x00" + (3 * 10**7).to_bytes(4, "little") + b" " * (3 * 10**7),
            "not a .npz file",
        ),
    ],
    ids=["array", "bzip2", "header"],
)
def test_a_small_archive_that_claims_to_be_large(tmp_path, compression, member, message):
    net, file = small(), tmp_path / "weights.npz"
    before = {name: p.copy() for name, p in net.params.items()}
    write_archive(file, net, compression, b3=member)
    assert file.stat().st_size < 2e6
    del member
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=message):
            net.load_params(file)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2e6
    assert all((p == before[name]).all() for name, p in net.params.items())


def test_numbers_must_be_finite_in_the_dtype_of_the_network(tmp_path):
    net, half, file = small(), small(dtype=np.float16), tmp_path / "weights.npz"

    def refused(net, params, message):
        before = {name: p.copy() for name, p in net.params.items()}
        np.savez(file, **params)
        with pytest.raises(ValueError, match=message):
            net.load_params(file)
        assert all((p == before[name]).all() for name, p in net.params.items())

    params = {name: p + 1.0 for name, p in net.params.items()}
    refused(net, params | {"b1": np.array([1e300, 0, 0])}, "b1 .* infinity as float32")
    refused(net, params | {"b3": np.array([0, 0, -np.inf, 0, 0])}, "b3 .* infinity as float32")
    refused(net, params | {"W3": np.full((7, 5), np.nan)}, "W3 .* NaN")
    refused(half, params | {"b1": np.full(3, 70_000.0)}, "b1 .* infinity as float16")
    np.savez(file, **(params | {"b1": np.full(3, 65_504.0)}))
    half.load_params(file)
    assert (half.params["b1"] == 65_504).all() and half.params["b1"].dtype == np.float16
    np.savez(file, **(params | {"b1": np.array([1e300, 0, 0])}))
    wide = small(dtype=np.float64)
    wide.load_params(file)
    assert wide.params["b1"][0] == 1e300


@pytest.mark.parametrize(
    "member", [b"", b"no header", b"\x93NUMPY\x01\x00", b"\x93NUMPY\x09\x00" + bytes(100)]
)
def test_a_member_that_is_no_array(tmp_path, member):
    net, file = small(), tmp_path / "weights.npz"
    before = {name: p.copy() for name, p in net.params.items()}
    write_archive(file, net, W2=member)
    with pytest.raises(ValueError, match=r"not a \.npz file of plain arrays, or is damaged"):
        net.load_params(file)
    assert all((p == before[name]).all() for name, p in net.params.items())


@pytest.mark.parametrize("first", [True, False])
def test_a_second_member_of_nearly_the_same_name(tmp_path, first):
    net, file = small(), tmp_path / "weights.npz"
    before = {name: p.copy() for name, p in net.params.items()}
    with zipfile.ZipFile(file, "w") as archive:
        members = {
            f"{name}.npy": npy_header(p.shape) + bytes(p.nbytes) for name, p in before.items()
        }
        other = {"b1": npy_header((10**6,)) + bytes(4 * 10**6)}
        for name, content in (other | members if first else members | other).items():
            archive.writestr(name, content)
    with pytest.raises(ValueError, match=r"weights.npz"):
        net.load_params(file)
    assert all((p == before[name]).all() for name, p in net.params.items())


def test_a_network_has_a_floating_point_dtype():
    net = small()
    before = contents(net)
    for dtype in (int, np.uint8, bool, complex):
        with pytest.raises(ValueError, match="dtype must be a floating-point one, got"):
            net.astype(dtype)
    same(before, contents(net))
    assert net.dtype == np.float32


DATA = Path(cnnlib.__file__).parent / "data"


def test_the_shipped_weights_are_small_and_hold_float16():
    names = ["simple.npz", "simple-filters.npz", "deep.npz", "photographs.npz"]
    sizes = [(DATA / name).stat().st_size for name in names]
    assert max(sizes) < 1e6 and sum(sizes) < 2e6
    for name in names:
        with np.load(DATA / name) as stored:
            assert {a.dtype for key, a in stored.items() if key != "steps"} == {np.dtype("f2")}


@pytest.mark.parametrize("name", ["simple", "deep"])
def test_trained_networks_know_the_digits_that_are_embedded(name):
    """Other hands, other pens, 8 x 8 pixels enlarged: still far better than one in ten."""
    network = cnnlib.load_trained(name)
    assert type(network) is networks.TRAINED[name]
    assert all(p.dtype == np.float32 for p in network.params.values())
    _, test = load_digits28()
    assert network.accuracy(*test) > 0.8
    other = cnnlib.load_trained(name)
    assert not np.shares_memory(network.params["W1"], other.params["W1"])


def test_filter_history_goes_from_noise_to_the_shipped_filters():
    steps, filters = cnnlib.filter_history()
    assert filters.shape == (len(steps), 30, 1, 5, 5) and filters.dtype == np.float32
    assert len(steps) == 30 and steps[0] == 0 and (np.diff(steps) > 0).all()
    assert (np.diff(np.diff(steps)) >= -1).all()  # growing distances, up to rounding
    # Drawn as SimpleConvNet draws them: N(0, 0.01).
    assert filters[0].std() == pytest.approx(0.01, rel=0.15)
    W1 = cnnlib.load_trained("simple").params["W1"]
    np.testing.assert_array_equal(filters[-1], W1)
    assert W1.std() > 5 * filters[0].std()


def test_unknown_name_of_a_trained_network():
    with pytest.raises(ValueError, match=r"\['simple', 'deep', 'photographs'\], got 'Deep'"):
        cnnlib.load_trained("Deep")


@pytest.mark.skipif("CNNLIB_DATA_DIR" not in os.environ, reason="CNNLIB_DATA_DIR names no MNIST")
@pytest.mark.parametrize(("name", "least"), [("simple", 0.989), ("deep", 0.993)])
def test_accuracy_on_the_test_digits_of_mnist(name, least):
    _, test = cnnlib.load_mnist(flatten=False)
    accuracy = cnnlib.load_trained(name).accuracy(*test)
    assert accuracy >= least
    assert f"{accuracy:.2%} of the 10,000 test digits" in (DATA / "README.md").read_text("utf-8")


def test_a_program_like_the_book_s_that_trains_and_saves(tmp_path):
    (x_train, t_train), (x_test, t_test) = load_digits28()
    network = SimpleConvNet((1, 28, 28), {"filter_num": 4, "filter_size": 5}, 20, 10, 0.01)
    trainer = Trainer(
        network,
        x_train[:300],
        t_train[:300],
        x_test[:50],
        t_test[:50],
        epochs=2,
        mini_batch_size=100,
        optimizer="Adam",
        optimizer_param={"lr": 0.001},
        evaluate_sample_num_per_epoch=40,
        verbose=False,
    )
    trainer.train()
    network.save_params(str(tmp_path / "params.npz"))
    assert len(trainer.train_acc_list) == len(trainer.test_acc_list) == 2
    assert len(trainer.train_loss_list) == 6


def test_a_program_like_the_book_s_that_checks_a_gradient():
    network = SimpleConvNet((1, 10, 10), {"filter_num": 10, "filter_size": 3}, 10, 10, 0.01, rng=1)
    image, label = np.random.default_rng(0).random((1, 1, 10, 10)), np.array([[1]])
    numerical = network.numerical_gradient(image, label)
    grads = network.gradient(image, label)
    for name, gradient in numerical.items():
        assert np.average(np.abs(gradient - grads[name])) < 1e-5
    assert numerical["W1"].any()


def test_a_program_like_the_book_s_that_looks_at_filters(tmp_path):
    file = str(tmp_path / "params.npz")
    SimpleConvNet().save_params(file)
    network = SimpleConvNet()
    network.load_params(file)
    FN, C, FH, FW = network.params["W1"].shape
    assert (FN, C, FH, FW) == (30, 1, 5, 5)


def test_a_program_like_the_book_s_that_applies_single_filters():
    network, image = cnnlib.load_trained("simple"), load_digits28()[0][0][0].reshape(1, 1, 28, 28)
    size = conv_output_size(input_size=28, filter_size=5, stride=1, pad=0)
    maps = network.layers["Conv1"].forward(image) - network.params["b1"].reshape(1, 30, 1, 1)
    for number in range(3):
        layer = Convolution(network.params["W1"][number].reshape(1, 1, 5, 5), 0)
        out = layer.forward(image).reshape(size, size)
        np.testing.assert_allclose(out, maps[0, number], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: SimpleConvNet(28), r"\(C, H, W\), got 28"),
        (lambda: SimpleConvNet((1, 28, 0)), "W must be at least 1, got 0"),
        (lambda: SimpleConvNet(dtype=np.int64), "dtype must be a floating-point one, got int64"),
        (lambda: SimpleConvNet(conv_param={"filter_num": 0}), "filter_num .* got 0"),
        (lambda: SimpleConvNet(conv_param={"filter_size": 2.5}), "filter_size .* got 2.5"),
        (lambda: SimpleConvNet(conv_param={"stride": 0}), "stride .* got 0"),
        (lambda: SimpleConvNet(hidden_size=0), "hidden_size .* got 0"),
        (lambda: SimpleConvNet(output_size=2.5), "output_size .* got 2.5"),
        (lambda: SimpleConvNet(weight_init_std=-1), ">= 0, got -1"),
        (lambda: small().accuracy(np.ones((2, 2, 6, 6)), np.array([0, 1]), 0), "batch_size .* 0"),
        (lambda: small().accuracy(np.ones((1, 2, 6, 6)), np.array([0, 1])), "1 and 2"),
        (lambda: SimpleConvNet((28, 28)), r"\(C, H, W\).*got \(28, 28\)"),
        (lambda: SimpleConvNet(conv_param={"filter_sise": 3}), "filter_sise.*known are"),
        (lambda: SimpleConvNet((1, 4, 4)), "filter of size 5 does not fit"),
        (lambda: SimpleConvNet((1, 5, 5)), "a window of size 2 does not fit .* use a window of at"),
        (lambda: DeepConvNet((1, 4, 4)), "^Conv2: a filter of size 3 does not fit"),
        (lambda: LeNet((1, 6, 6)), "^C3: a filter of size 5 does not fit"),
        (
            lambda: small().predict(np.ones((1, 1, 6, 6))),
            r"\(2, 6, 6\).*got x of shape \(1, 1, 6, 6",
        ),
        (lambda: small().predict(np.ones((1, 72))), r"\(1, 72\)"),
        (lambda: small().predict(np.ones((2, 6, 6))), r"\(2, 6, 6\)"),
        (lambda: small().predict(np.ones((0, 2, 6, 6))), "empty"),
        (lambda: small().predict(np.ones((1, 2, 6, 6), np.uint8)), "uint8.*/ 255"),
        (lambda: small().loss(np.ones((1, 2, 6, 6)), np.array([5])), r"0\.\.4, got 5\.\.5"),
        (lambda: small().accuracy(np.ones((2, 2, 6, 6)), np.array([0])), "2 and 1"),
        (lambda: small().gradient(np.ones((2, 2, 6, 6)), np.array([0])), "2 and 1"),
        (lambda: small().gradient(np.ones((2, 2, 6, 6)), 3), "2 and 1"),
        (lambda: small().accuracy(np.ones((2, 2, 6, 6)), 3), "2 and 1"),
        (lambda: small().gradient(np.ones((0, 2, 6, 6)), np.array([], int)), "empty"),
        (lambda: small().gradient(np.ones((1, 2, 6, 6), np.uint8), np.array([0])), "uint8.*/ 255"),
        (lambda: small().gradient(np.ones((1, 2, 6, 6)).tolist(), np.array([0])), "got list"),
        (lambda: small().gradient(np.ones((1, 1, 6, 6)), np.array([0])), r"\(1, 1, 6, 6"),
        (lambda: small().gradient(np.ones((1, 2, 6, 6)), np.array([0.0])), "float64"),
        (lambda: small().accuracy(np.ones((0, 2, 6, 6)), np.array([], int)), "0 and 0"),
        (lambda: DeepConvNet(activation="tanh"), "'sigmoid' or 'relu', got 'tanh'"),
        (lambda: DeepConvNet(filter_nums=(1, 2, 3)), "six numbers"),
        (lambda: DeepConvNet(filter_nums=16), "six numbers, got 16"),
        (lambda: DeepConvNet(dropout_ratio=1), r"\[0, 1\), got 1"),
        (lambda: DeepConvNet((1, 19, 19)), "does not fit"),
    ],
)
def test_bad_input_is_refused_with_its_values(action, message):
    with pytest.raises(ValueError, match=message):
        action()


def test_deep_conv_net_has_the_layers_it_says():
    rows = {row.name: row for row in DeepConvNet(rng=0).table()}
    sizes = [rows[f"Conv{i}"].shape for i in range(1, 7)]
    assert sizes == [(16, 26, 26), (16, 24, 24), (32, 10, 10), (32, 8, 8), (64, 4, 4), (64, 4, 4)]
    assert [rows[f"Pool{i}"].shape[1] for i in (1, 2, 3)] == [12, 4, 2]
    assert sum(row.parameters for row in rows.values()) == 98_502
    assert rows["Conv2"].kind == "Convolution" and rows["Conv2"].multiplications == 24**2 * 16 * 144
    assert rows["Affine1"].multiplications == 256 * 100
    assert "Sigmoid7" in DeepConvNet(activation="sigmoid").layers
    assert DeepConvNet(dropout_ratio=0.2).layers["Dropout1"].dropout_ratio == 0.2


def test_table_and_summary_say_the_same():
    net = small()
    table = net.table()
    assert net.summary() == [(row.name, row.shape, row.parameters) for row in table]
    assert table[0] == ("input", "input", (2, 6, 6), 0, 0)
    assert sum(row.parameters for row in table) == sum(p.size for p in net.params.values())
    # Counted one by one: each weight at every place of the convolution's 6 x 6 output.
    assert [row.multiplications for row in table] == [0, 6 * 6 * 3 * 2 * 9, 0, 0, 27 * 7, 0, 7 * 5]


def test_probabilities_are_the_softmax_of_the_scores(batch):
    net, (x, t) = small(dtype=np.float64), batch
    p = net.probabilities(x)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert -np.log(p[np.arange(9), t]).mean() == pytest.approx(net.loss(x, t))
    net.params["b3"] += 1e6  # no overflow
    np.testing.assert_allclose(net.probabilities(x), p, rtol=1e-6)
