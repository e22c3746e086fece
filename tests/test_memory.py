"""Memory that is used again: never while anybody can still see it."""

import gc
import threading

import numpy as np
import pytest

from cnnlib import SimpleConvNet
from cnnlib.layers import Affine, Convolution, Pooling, Relu
from cnnlib.memory import LIMIT, SMALL, _shelf, new_array

SHAPE = (7, 5, 41, 37)  # float32: 212,380 bytes, which no other test asks for


def address(array):
    return array.__array_interface__["data"][0]


def test_memory_comes_back_when_the_last_view_is_gone():
    array = new_array(SHAPE, np.float32)
    place = address(array)
    view = array[2:5].transpose(1, 0, 3, 2)[..., ::2]  # a view of a view of a view
    raw = memoryview(array)
    del array
    other = new_array(SHAPE, np.float32)
    assert not np.shares_memory(other, view)
    del view
    third = new_array(SHAPE, np.float32)
    assert address(third) != place  # the memoryview still sees it
    raw.release()
    del raw
    gc.collect()
    assert address(new_array(SHAPE, np.float32)) == place


@pytest.mark.parametrize("dtype", [np.float32, np.float64, bool, np.int8])
@pytest.mark.parametrize("shape", [(), (0, 3), (3,), (SMALL,), (3, SMALL // 2, 5)])
def test_an_array_like_any_other(shape, dtype):
    array = new_array(shape, dtype)
    assert array.shape == shape and array.dtype == dtype
    assert array.flags.c_contiguous and array.flags.writeable and array.flags.aligned


def test_the_shelf_has_an_end_and_still_takes_new_sizes():
    arrays = [new_array((LIMIT // 4 + k,), np.int8) for k in range(8)]
    del arrays
    assert sum(size * len(blocks) for size, blocks in _shelf.items()) <= LIMIT * 5 // 4
    place = address(new_array((SMALL + 13,), np.int8))  # held no longer than this line
    assert address(new_array((SMALL + 13,), np.int8)) == place
    _shelf.clear()


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
