"""Memory of large arrays is kept for the next; no layer writes into what it gave before."""

import platform
import subprocess
import sys
import threading

import numpy as np
import pytest

from cnnlib import SimpleConvNet
from cnnlib.layers import Affine, Convolution, Pooling, Relu

STEPS = """
import resource
import numpy as np
import cnnlib

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

rng = np.random.default_rng(0)
x, t = rng.random((100, 1, 28, 28), np.float32), rng.integers(0, 10, 100)
for network in (cnnlib.LeNet(rng=0), cnnlib.SimpleConvNet(rng=0)):
    for _ in range(5):
        network.gradient(x, t)
    before = faults()
    for _ in range(10):
        network.gradient(x, t)
    print((faults() - before) / 10)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another library manages memory")
def test_a_step_asks_the_system_for_no_pages():
    """Without the lesson in cnnlib.memory it is some 800 and 2,600 pages a step."""
    run = subprocess.run([sys.executable, "-c", STEPS], capture_output=True, text=True, check=True)
    assert max(map(float, run.stdout.split())) < 100


def layers(rng):
    def normal(*shape):
        return rng.standard_normal(shape).astype(np.float32)

    yield Convolution(normal(6, 3, 3, 3), normal(6), pad=1), normal(9, 3, 50, 50)
    yield Convolution(normal(6, 3, 4, 3), normal(6), stride=2), normal(9, 3, 50, 50)
    yield Pooling(2, 2), normal(9, 6, 50, 50)
    yield Pooling(3, 3, stride=2, pad=1, mode="average"), normal(9, 6, 50, 50)
    yield Relu(), normal(9, 6, 50, 50)
    yield Affine(normal(300, 400), normal(400)), normal(200, 300)


def test_no_later_call_writes_into_what_an_earlier_one_gave():
    rng = np.random.default_rng(0)
    for layer, x in layers(rng):
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


def test_two_networks_in_two_threads_do_not_disturb_each_other():
    rng = np.random.default_rng(1)
    data = [(rng.random((20, 1, 28, 28), np.float32), rng.integers(0, 10, 20)) for _ in range(2)]
    alone = [SimpleConvNet(rng=seed).gradient(*data[seed]) for seed in range(2)]
    found = [[], []]

    def work(seed):
        network = SimpleConvNet(rng=seed)
        for _ in range(15):
            found[seed].append(network.gradient(*data[seed]))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed in range(2):
        assert len(found[seed]) == 15
        for grads in found[seed]:
            for name, expected in alone[seed].items():
                np.testing.assert_allclose(grads[name], expected, rtol=1e-4, atol=1e-7)


def test_one_network_asked_from_two_threads():
    rng = np.random.default_rng(2)
    network, x = SimpleConvNet(rng=0), rng.random((40, 1, 28, 28), np.float32)
    expected, found = network.predict(x), []

    def ask():
        for _ in range(10):
            found.append(network.predict(x))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 20
    for scores in found:
        np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-6)
