"""The fast twins: blocks, both ways to the input gradient, memory, threads; the same from outside.

What they compute is compared with the text in test_layers.py.
"""

import copy
import inspect
import os
import pickle
import platform
import subprocess
import sys
import threading

import numpy as np
import pytest
import threadpoolctl

from cnnlib import SimpleConvNet, fast, layers, naive, networks
from cnnlib.fast import one_blas_thread
from cnnlib.layers import Affine, Relu

both_floors = pytest.mark.parametrize("floor", [layers, fast], ids=["text", "fast"])
twins = pytest.mark.parametrize("name", ["Convolution", "Pooling"])


def public(thing):
    return {name for name in dir(thing) if not name.startswith("_")}


@twins
def test_a_twin_adds_nothing_that_is_public(name):
    text, twin = getattr(layers, name), getattr(fast, name)
    assert issubclass(twin, text) and public(twin) == public(text)
    own = {attribute for attribute in vars(twin) if not attribute.startswith("_")}
    assert own == {"forward", "backward"} and "__init__" not in vars(twin)
    assert inspect.signature(twin) == inspect.signature(text)
    assert inspect.signature(twin.forward) == inspect.signature(text.forward)
    parameters = list(inspect.signature(twin.backward).parameters)
    assert parameters == ["self", "dout", *(["need_dx"] if name == "Convolution" else [])]


@twins
def test_a_twin_holds_what_the_text_holds(name, rng):
    settings = {
        "Convolution": (rng.standard_normal((2, 3, 3, 3)), np.zeros(2)),
        "Pooling": (2, 2),
    }[name]
    held = []
    for floor in (layers, fast):
        layer = getattr(floor, name)(*settings)
        layer.backward(layer.forward(rng.standard_normal((2, 3, 6, 6))))
        held.append(set(vars(layer)))
    assert held[0] == held[1]


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("bytes_per_image", [1, 1000, 3 * 10**5, 10**9])
@pytest.mark.parametrize("N", [1, 7, 4321])
def test_blocks_cover_all_images_once_and_fit(N, bytes_per_image, small):
    blocks = list(fast.in_blocks(N, bytes_per_image, small))
    assert [i for block in blocks for i in range(block.start, block.stop)] == list(range(N))
    largest = max(block.stop - block.start for block in blocks)
    size = fast.SMALL_BLOCK if small else fast.BLOCK
    assert largest == 1 or largest * bytes_per_image <= size
    if len(blocks) > 1:  # and one image more would not fit
        assert (largest + 1) * bytes_per_image > size


@pytest.mark.parametrize("small", [0, 10**9], ids=["batch first", "batch last"])
@pytest.mark.parametrize("shift_first", [True, False])
@pytest.mark.parametrize("seed", range(12))
def test_both_ways_to_the_input_gradient(seed, shift_first, small, monkeypatch):
    rng = np.random.default_rng(seed)
    N, C, FN, FH, FW = (int(v) for v in rng.integers(1, (6, 4, 4, 5, 4)))
    pad = int(rng.integers(0, 3))
    if shift_first:  # the maps are not much narrower than the image
        stride, W = 1, int(rng.integers(3 * FW, 4 * FW + 3))
    else:
        stride, W = int(rng.integers(2, 5)), int(rng.integers(FW + 1, 4 * FW + 3))
    H = int(rng.integers(FH, FH + 6))
    x = rng.standard_normal((N, C, H, W))
    layer = fast.Convolution(rng.standard_normal((FN, C, FH, FW)), np.zeros(FN), stride, pad)
    add_windows, columns = fast.add_windows, set()

    def spy(windows, *settings):
        columns.add(windows.shape[5])
        return add_windows(windows, *settings)

    monkeypatch.setattr(fast, "SMALL_MAP", small)
    monkeypatch.setattr(fast, "add_windows", spy)
    dout = rng.standard_normal(layer.forward(x).shape)
    dx = layer.backward(dout)
    assert columns == {W + 2 * pad if shift_first else dout.shape[3]}
    expected, _, _ = naive.convolve_backward(dout, x, layer.W, stride, pad)
    np.testing.assert_allclose(dx, expected, rtol=1e-9, atol=1e-12)


@both_floors
@pytest.mark.parametrize("stride", [1, 2])
def test_convolution_takes_any_view(floor, stride, rng):
    big = rng.standard_normal((8, 4, 9, 10))
    filters, b = rng.standard_normal((3, 2, 3, 3)), rng.standard_normal(3)
    constant = np.broadcast_to(1.5, (2, 2, 5, 5))  # read-only, and all of one number
    views = (big[:, ::2, ::-1], big[1:2, 2:, :, ::-1], big.transpose(0, 1, 3, 2)[:, 1:3], constant)
    for x in views:
        layer, copied = (floor.Convolution(filters, b, stride, 1) for _ in range(2))
        out = layer.forward(x)
        np.testing.assert_allclose(out, copied.forward(x.copy()), rtol=1e-12)
        for dout in (out.transpose(0, 1, 3, 2).copy().transpose(0, 1, 3, 2), out * 0 + 1):
            dx = layer.backward(dout)
            np.testing.assert_allclose(dx, copied.backward(dout.copy()), rtol=1e-12, atol=1e-12)
            np.testing.assert_allclose(layer.dW, copied.dW, rtol=1e-12, atol=1e-12)
            np.testing.assert_allclose(layer.db, copied.db, rtol=1e-12)


@both_floors
def test_settings_of_every_extreme(floor, rng):
    """One pixel, a step beyond the image, an image that is nearly all padding."""
    for shape, filters, stride, pad in (
        ((1, 1, 1, 1), (1, 1, 1, 1), 1, 0),
        ((2, 3, 1, 1), (2, 3, 1, 1), 9, 0),
        ((2, 1, 5, 4), (2, 1, 2, 3), 50, 1),
        ((1, 2, 1, 2), (1, 2, 7, 2), 1, 6),
        ((3, 1, 2, 1), (1, 1, 1, 1), 3, 20),
        ((3, 2, 6, 1), (4, 2, 6, 1), 1, 0),
    ):
        x, W, b = (rng.standard_normal(s) for s in (shape, filters, filters[0]))
        layer = floor.Convolution(W, b, stride, pad)
        out = layer.forward(x)
        np.testing.assert_allclose(out, naive.convolve(x, W, b, stride, pad), rtol=1e-10)
        dout = rng.standard_normal(out.shape)
        ours = (layer.backward(dout), layer.dW, layer.db)
        for a, e in zip(ours, naive.convolve_backward(dout, x, W, stride, pad), strict=True):
            np.testing.assert_allclose(a, e, rtol=1e-9, atol=1e-11)
        pooling = floor.Pooling(*filters[2:], stride, min(pad, min(filters[2:]) - 1))
        settings = pooling.pool_h, pooling.pool_w, pooling.stride, pooling.pad
        if max(filters[2:]) <= min(shape[2:]) + 2 * pooling.pad:
            np.testing.assert_array_equal(pooling.forward(x), naive.max_pool(x, *settings))


@both_floors
@pytest.mark.parametrize("size", [6, 20], ids=["small maps", "large maps"])
def test_nan_stays_in_its_image_and_its_windows(floor, size, rng):
    x = rng.standard_normal((4, 2, size, size))
    layer = floor.Convolution(rng.standard_normal((3, 2, 3, 3)), rng.standard_normal(3), 1, 1)
    clean = layer.forward(x)
    x[1, 0, 2, 3] = np.nan
    out = layer.forward(x)
    seen = np.zeros(out.shape, bool)
    seen[1, :, 1:4, 2:5] = True
    np.testing.assert_array_equal(np.isnan(out), seen)
    np.testing.assert_allclose(out[~seen], clean[~seen], rtol=1e-9)
    dout = np.ones_like(out)
    dout[2, 1, 4, 0] = np.nan
    dx = layer.backward(dout)
    expected = np.zeros(x.shape, bool)
    expected[2, :, 3:6, 0:2] = True
    np.testing.assert_array_equal(np.isnan(dx), expected)
    assert np.isnan(layer.dW[:, 0]).any() and np.isnan(layer.db).tolist() == [False, True, False]


@pytest.mark.parametrize(
    "after", [copy.copy, copy.deepcopy, lambda a: pickle.loads(pickle.dumps(a))]
)
@both_floors
def test_a_copied_layer_goes_on_where_it_was(floor, after, rng):
    x = rng.standard_normal((3, 2, 7, 7))
    for layer in (
        floor.Convolution(rng.standard_normal((4, 2, 3, 3)), rng.standard_normal(4), 2, 1),
        floor.Pooling(2, 3, 2, 1),
        floor.Pooling(3, 2, mode="average"),
    ):
        out = layer.forward(x)
        twin = after(layer)
        dx = layer.backward(out)
        np.testing.assert_array_equal(twin.backward(out), dx)
        np.testing.assert_array_equal(twin.forward(x), out)
        if hasattr(layer, "W"):
            np.testing.assert_array_equal(twin.dW, layer.dW)


STEPS = """
import resource
import numpy as np
import cnnlib

def whole(network):
    network.loss(x, t)
    network.backward()

def halves(network):
    network.gradient(x, t)

rng = np.random.default_rng(0)
x, t = rng.random((100, 1, 28, 28), np.float32), rng.integers(0, 10, 100)
for network in (cnnlib.LeNet(rng=0), cnnlib.SimpleConvNet(rng=0)):
    for step in (whole, halves):
        for _ in range(5):
            step(network)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(10):
            step(network)
        pages = (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 10
        print(type(network).__name__, step.__name__, pages)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another library manages memory")
def test_a_step_asks_the_system_for_no_pages():
    """Without the large array that cnnlib.fast makes it is some 800 and 2,600 pages a step."""
    run = subprocess.run([sys.executable, "-c", STEPS], capture_output=True, text=True, check=True)
    pages = [line.split() for line in run.stdout.splitlines()]
    assert len(pages) == 4
    assert max(float(number) for *_, number in pages) < 100, run.stdout


def layers_of(floor, rng):
    def normal(*shape):
        return rng.standard_normal(shape).astype(np.float32)

    yield floor.Convolution(normal(6, 3, 3, 3), normal(6), pad=1), normal(9, 3, 50, 50)
    yield floor.Convolution(normal(6, 3, 4, 3), normal(6), stride=2), normal(9, 3, 50, 50)
    yield floor.Convolution(normal(6, 3, 3, 3), normal(6)), normal(9, 3, 9, 9)
    yield floor.Pooling(2, 2), normal(9, 6, 50, 50)
    yield floor.Pooling(1, 1, 1), normal(9, 6, 50, 50)
    yield floor.Pooling(3, 3, stride=2, pad=1, mode="average"), normal(9, 6, 50, 50)
    yield Relu(), normal(9, 6, 50, 50)
    yield Affine(normal(300, 400), normal(400)), normal(200, 300)


@both_floors
def test_no_later_call_writes_into_what_an_earlier_one_gave(floor):
    rng = np.random.default_rng(0)
    for layer, x in layers_of(floor, rng):
        x_before = x.copy()
        out = layer.forward(x)
        dout = rng.standard_normal(out.shape).astype(np.float32)
        dout_before = dout.copy()
        given = [out, layer.backward(dout), out[1:].reshape(-1)[::3]]
        given += [layer.dW, layer.db] if hasattr(layer, "W") else []
        before = [array.copy() for array in given]
        for _ in range(4):
            other = rng.standard_normal(x.shape).astype(np.float32)
            layer.forward(other)
            layer.backward(rng.standard_normal(out.shape).astype(np.float32))
            layer.forward(other, train_flg=False)
        for array, earlier in zip(given, before, strict=True):
            np.testing.assert_array_equal(array, earlier, err_msg=type(layer).__name__)
        np.testing.assert_array_equal(x, x_before)
        np.testing.assert_array_equal(dout, dout_before)


def in_threads(*works):
    """Run functions in threads of their own, and raise what they raise."""
    errors = []

    def guarded(work):
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_two_networks_in_two_threads_do_not_disturb_each_other(monkeypatch):
    monkeypatch.setattr(networks, "LARGE", 2)  # each of them takes threads of its own
    rng = np.random.default_rng(1)
    data = [(rng.random((20, 1, 28, 28), np.float32), rng.integers(0, 10, 20)) for _ in range(2)]
    alone = [SimpleConvNet(rng=seed).gradient(*data[seed]) for seed in range(2)]
    found = [[], []]

    def work(seed):
        network = SimpleConvNet(rng=seed)
        for _ in range(15):
            found[seed].append(network.gradient(*data[seed]))

    in_threads(lambda: work(0), lambda: work(1))
    for seed in range(2):
        assert len(found[seed]) == 15
        for grads in found[seed]:
            for name, expected in alone[seed].items():
                np.testing.assert_array_equal(grads[name], expected)


def test_one_network_asked_from_two_threads(monkeypatch):
    monkeypatch.setattr(networks, "LARGE", 2)
    rng = np.random.default_rng(2)
    network, x = SimpleConvNet(rng=0), rng.random((40, 1, 28, 28), np.float32)
    t = rng.integers(0, 10, 40)
    expected, grads, found = network.predict(x), network.gradient(x, t), []

    def ask():
        for _ in range(10):
            found.append((network.predict(x), network.gradient(x, t)))

    in_threads(ask, ask)
    assert len(found) == 20
    for scores, gradient in found:
        np.testing.assert_array_equal(scores, expected)
        for name in grads:
            np.testing.assert_array_equal(gradient[name], grads[name])


def blas_threads():
    return max(
        (i["num_threads"] for i in threadpoolctl.threadpool_info() if i["user_api"] == "blas"),
        default=0,
    )


@pytest.fixture
def two_blas_threads():
    """Let BLAS run on two threads, and let any thread change that (threadpoolctl >= 3.8 minds)."""
    before = blas_threads()
    set_blas_threads(2)
    if blas_threads() != 2:
        pytest.skip("the threads of this BLAS cannot be set")
    yield
    set_blas_threads(before)


def set_blas_threads(number):
    anybody = getattr(threadpoolctl.OpenBLASController, "clear_controlling_thread", bool)
    anybody(True)
    threadpoolctl.threadpool_limits(number, "blas")
    anybody(True)


def test_one_blas_thread_ends_with_as_many_as_before(two_blas_threads):
    for _ in range(2):
        with one_blas_thread():
            assert blas_threads() == 1
            with one_blas_thread():
                assert blas_threads() == 1
            assert blas_threads() == 1
        assert blas_threads() == 2
    with pytest.raises(ZeroDivisionError), one_blas_thread():
        1 / 0  # noqa: B018
    assert blas_threads() == 2


@pytest.mark.parametrize("first_ends_first", [True, False])
def test_contexts_in_two_threads_may_overlap(two_blas_threads, first_ends_first):
    """Both threads live on while the other's context ends: threadpoolctl minds who is alive."""
    first_in, second_in, first_out, second_out, over = (threading.Event() for _ in range(5))

    def first():
        with one_blas_thread():
            first_in.set()
            second_in.wait(600)
            if not first_ends_first:
                second_out.wait(600)
        first_out.set()
        over.wait(600)

    def second():
        first_in.wait(600)
        with one_blas_thread():
            second_in.set()
            if first_ends_first:
                first_out.wait(600)
        second_out.set()
        over.wait(600)

    def watch():
        first_out.wait(600)
        second_out.wait(600)
        try:
            assert blas_threads() == 2
            with one_blas_thread():
                pass
            assert blas_threads() == 2
        finally:
            over.set()

    in_threads(first, second, watch)
    assert blas_threads() == 2


def test_one_blas_thread_from_many_threads(two_blas_threads):
    def work():
        for _ in range(100):
            with one_blas_thread(), one_blas_thread():
                pass

    in_threads(*[work] * 4)
    assert blas_threads() == 2


def test_without_threads_there_is_nothing_to_limit():
    """As in a browser: neither BLAS nor threadpoolctl is looked for."""
    code = (
        "import sys; sys.platform = 'emscripten'; import numpy as np; from cnnlib import fast\n"
        "with fast.one_blas_thread(): print('threadpoolctl' in sys.modules)\n"
        "from cnnlib import networks, SimpleConvNet; import threading\n"
        "threading.Thread.start = None\n"
        "net = SimpleConvNet((1, 6, 6), {'filter_size': 3}, 4, 3)\n"
        "net.gradient(np.ones((4, 1, 6, 6)), np.array([0, 1, 2, 0]))\n"
        "print('threadpoolctl' in sys.modules, networks.CORES)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ)
    )
    assert run.stdout.split() == ["False", "False", "1"], run.stderr
