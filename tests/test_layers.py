"""Layers: forward and backward against the loops, SciPy and differences, over random settings.

One suite for both floors: `cnnlib.layers` is the text, `cnnlib.fast` must give the same.
"""

import ast
import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal
from scipy.special import expit, log_softmax

from cnnlib import fast, layers, naive
from cnnlib.gradients import check_gradient
from cnnlib.layers import Affine, Dropout, Relu, Sigmoid, SoftmaxWithLoss, softmax

from .layer_checks import (
    check_backward_equals_differences,
    check_dtype_is_kept_and_arguments_are_not_changed,
)

both_floors = pytest.mark.parametrize("floor", [layers, fast], ids=["text", "fast"])
both_modes = pytest.mark.parametrize("mode", ["max", "average"])


@st.composite
def convolutions(draw, most=6):
    """Draw x, W, b, stride and pad that go together."""
    N, C, FN = (draw(st.integers(1, 3)) for _ in range(3))
    H, W = draw(st.integers(1, most)), draw(st.integers(1, most))
    pad, stride = draw(st.integers(0, 2)), draw(st.integers(1, 3))
    FH, FW = draw(st.integers(1, min(4, H + 2 * pad))), draw(st.integers(1, min(4, W + 2 * pad)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    x, filters = rng.standard_normal((N, C, H, W)), rng.standard_normal((FN, C, FH, FW))
    return x, filters, rng.standard_normal(FN), stride, pad


@st.composite
def poolings(draw, most=7):
    """Draw x (with ties), pool_h, pool_w, stride and pad that go together."""
    N, C = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    H, W = draw(st.integers(1, most)), draw(st.integers(1, most))
    pool_h, pool_w = draw(st.integers(1, min(3, H))), draw(st.integers(1, min(3, W)))
    pad, stride = draw(st.integers(0, min(pool_h, pool_w) - 1)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    x = rng.integers(-3, 4, (N, C, H, W)).astype(float)  # few values: many ties
    return x, pool_h, pool_w, stride, pad


def close(actual, expected):
    """Assert a relative error below 1e-9, measured against the largest entry."""
    assert np.shape(actual) == np.shape(expected)
    size = max(np.abs(expected).max(initial=0), 1e-300)
    assert np.abs(actual - expected).max(initial=0) / size < 1e-9


@both_floors
@given(case=convolutions())
def test_convolution_equals_the_loops(floor, case):
    x, W, b, stride, pad = case
    layer = floor.Convolution(W, b, stride, pad)
    out = layer.forward(x)
    close(out, naive.convolve(x, W, b, stride, pad))
    dout = np.random.default_rng(1).standard_normal(out.shape)
    dx = layer.backward(dout)
    for ours, loops in zip(
        (dx, layer.dW, layer.db), naive.convolve_backward(dout, x, W, stride, pad), strict=True
    ):
        close(ours, loops)


def test_a_first_layer_may_do_without_dx(rng):
    layer = fast.Convolution(rng.standard_normal((2, 3, 3, 3)), np.zeros(2))
    out = layer.forward(rng.standard_normal((2, 3, 6, 6)))
    layer.backward(out)
    dW, db = layer.dW, layer.db
    assert layer.backward(out, need_dx=False) is None
    np.testing.assert_array_equal(layer.dW, dW)
    np.testing.assert_array_equal(layer.db, db)


@pytest.mark.parametrize("group", [1, 2, 5])
@pytest.mark.parametrize("small", [0, 10**9], ids=["batch first", "batch last"])
@pytest.mark.parametrize("seed", range(6))
def test_blocks_of_any_size_agree_with_the_loops(monkeypatch, group, small, seed):
    """Few images at a time, a smaller block at the end, side by side or one by one."""
    monkeypatch.setattr(fast, "SMALL_MAP", small)
    monkeypatch.setattr(
        fast, "in_blocks", lambda N, *_: (slice(i, min(i + group, N)) for i in range(0, N, group))
    )
    rng = np.random.default_rng(seed)
    N, C, FN, FH, FW, stride = (int(v) for v in rng.integers(1, (8, 4, 4, 5, 5, 4)))
    pad = int(rng.integers(0, min(FH, FW)))
    x = rng.integers(-3, 4, (N, C, FH + 4, FW + 3)).astype(float)
    W, b = rng.standard_normal((FN, C, FH, FW)), rng.standard_normal(FN)
    layer = fast.Convolution(W, b, stride, pad)
    out = layer.forward(x)
    close(out, naive.convolve(x, W, b, stride, pad))
    dout = rng.standard_normal(out.shape)
    ours = (layer.backward(dout), layer.dW, layer.db)
    for gradient, expected in zip(
        ours, naive.convolve_backward(dout, x, W, stride, pad), strict=True
    ):
        close(gradient, expected)
    pooling = fast.Pooling(FH, FW, stride, pad)
    out = pooling.forward(x)
    close(out, naive.max_pool(x, FH, FW, stride, pad))
    dout = rng.standard_normal(out.shape)
    close(pooling.backward(dout), naive.max_pool_backward(dout, x, FH, FW, stride, pad))


@both_floors
@given(convolution=convolutions(), pooling=poolings(), mode=st.sampled_from(["max", "average"]))
def test_float32_equals_the_loops_to_its_own_precision(floor, convolution, pooling, mode):
    x, W, b, stride, pad = convolution
    layer = floor.Convolution(*(a.astype(np.float32) for a in (W, b)), stride, pad)
    out = layer.forward(x.astype(np.float32))
    np.testing.assert_allclose(out, naive.convolve(x, W, b, stride, pad), rtol=1e-4, atol=1e-4)
    dout = np.random.default_rng(1).standard_normal(out.shape)
    dx = layer.backward(dout.astype(np.float32))
    expected = naive.convolve_backward(dout, x, W, stride, pad)
    for ours, loops in zip((dx, layer.dW, layer.db), expected, strict=True):
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, loops, rtol=1e-4, atol=1e-3)

    x, *settings = pooling
    layer = floor.Pooling(*settings, mode)
    loops = {"max": naive.max_pool, "average": naive.average_pool}[mode](x, *settings)
    np.testing.assert_allclose(layer.forward(x.astype(np.float32)), loops, rtol=1e-5, atol=1e-6)


def test_affine_equals_its_sum(rng):
    x, W, b = rng.standard_normal((4, 2, 3)), rng.standard_normal((6, 5)), rng.standard_normal(5)
    layer = Affine(W, b)
    close(layer.forward(x), np.einsum("ncw,cwm->nm", x, W.reshape(2, 3, 5)) + b)
    dout = rng.standard_normal((4, 5))
    close(layer.backward(dout), np.einsum("nm,cwm->ncw", dout, W.reshape(2, 3, 5)))
    close(layer.dW, np.einsum("ncw,nm->cwm", x, dout).reshape(6, 5))
    close(layer.db, dout.sum(axis=0))


@both_floors
@given(case=convolutions())
def test_convolution_equals_scipy(floor, case):
    x, W, b, stride, pad = case
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    out = floor.Convolution(W, b, stride, pad).forward(x)
    for n in range(len(x)):
        for f in range(len(W)):
            whole = signal.correlate(padded[n], W[f], mode="valid")[0] + b[f]
            close(out[n, f], whole[::stride, ::stride])


@both_floors
@given(case=poolings(), mode=st.sampled_from(["max", "average"]))
def test_pooling_equals_the_loops(floor, case, mode):
    x, pool_h, pool_w, stride, pad = case
    forward, backward = {
        "max": (naive.max_pool, naive.max_pool_backward),
        "average": (naive.average_pool, naive.average_pool_backward),
    }[mode]
    layer = floor.Pooling(pool_h, pool_w, stride, pad, mode)
    out = layer.forward(x)
    close(out, forward(x, pool_h, pool_w, stride, pad))
    dout = np.random.default_rng(1).standard_normal(out.shape)
    close(layer.backward(dout), backward(dout, x, pool_h, pool_w, stride, pad))


EVERY_LAYER = {
    f"{name}-{ids}": (floor, name)
    for floor, ids in ((layers, "text"), (fast, "fast"))
    for name in ("Convolution", "MaxPooling", "AveragePooling")
} | {name: (layers, name) for name in ("Affine", "Relu", "Sigmoid")}
every_layer = pytest.mark.parametrize("which", EVERY_LAYER)


def layer_with_input(which, rng):
    """Give a layer and x for it, of random shapes; x keeps clear of kinks and ties."""
    floor, name = EVERY_LAYER[which]

    def apart(*shape):
        values = (rng.permutation(int(np.prod(shape))) - np.prod(shape) / 2 + 0.25) / 10
        return values.reshape(shape)

    def normal(*shape):
        return rng.standard_normal(shape)

    N, C, H, W = rng.integers(1, 4), rng.integers(1, 4), rng.integers(4, 7), rng.integers(4, 7)
    FN, stride, pad = rng.integers(1, 4), rng.integers(1, 4), rng.integers(0, 3)
    FH, FW = rng.integers(1, 5), rng.integers(1, 5)
    window = rng.integers(1, 4), rng.integers(1, 4)
    small = int(rng.integers(0, min(window)))
    D, M = C * H * W, rng.integers(1, 5)
    x = normal(N, C, H, W)
    match name:
        case "Convolution":
            return floor.Convolution(normal(FN, C, FH, FW), normal(FN), stride, pad), x
        case "MaxPooling":
            return floor.Pooling(*window, stride, small), apart(N, C, H, W)
        case "AveragePooling":
            return floor.Pooling(*window, stride, small, mode="average"), x
        case "Affine":
            return Affine(normal(D, M), normal(M)), x
        case "Relu":
            return Relu(), apart(N, C, H, W)
        case "Sigmoid":
            return Sigmoid(), normal(N, D)


@pytest.mark.parametrize("seed", range(8))
@every_layer
def test_backward_equals_differences(seed, which):
    layer, x = layer_with_input(which, np.random.default_rng(seed))
    check_backward_equals_differences(layer, x, np.random.default_rng(1))


@every_layer
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_kept_and_arguments_are_not_changed(which, dtype):
    layer, x = layer_with_input(which, np.random.default_rng(3))
    check_dtype_is_kept_and_arguments_are_not_changed(layer, x.astype(dtype))


@every_layer
def test_inference_equals_training_and_keeps_nothing(which):
    layer, x = layer_with_input(which, np.random.default_rng(5))
    out = layer.forward(x)
    np.testing.assert_array_equal(layer.forward(x, train_flg=False), out)
    assert layer._saved is None
    with pytest.raises(RuntimeError, match=r"call forward\(x\) with train_flg=True first"):
        layer.backward(out)


@every_layer
def test_shape_rule_and_shape_of_dout(which):
    layer, x = layer_with_input(which, np.random.default_rng(7))
    out = layer.forward(x)
    assert layer.output_shape(x.shape[1:]) == out.shape[1:]
    with pytest.raises(ValueError, match="backward got dout of shape"):
        layer.backward(out[..., np.newaxis])


@both_floors
def test_convolution_of_the_book(floor):
    x = np.array([[1, 2, 3, 0], [0, 1, 2, 3], [3, 0, 1, 2], [2, 3, 0, 1.0]])[None, None]
    W = np.array([[2, 0, 1], [0, 1, 2], [1, 0, 2.0]])[None, None]
    assert floor.Convolution(W, np.zeros(1)).forward(x).tolist() == [[[[15, 16], [6, 15]]]]
    assert floor.Convolution(W, np.full(1, 3.0)).forward(x).tolist() == [[[[18, 19], [9, 18]]]]


@both_floors
def test_pooling_tables_of_the_source(floor):
    rows = "10 12 11 4 15 14|9 6 8 1 17 12|7 5 3 1 20 5|2 3 1 1 4 0|5 4 2 2 5 6|6 8 3 2 3 3"
    x = np.array([[float(v) for v in row.split()] for row in rows.split("|")])[None, None]
    assert floor.Pooling(3, 3, stride=3).forward(x).tolist() == [[[[12, 20], [8, 6]]]]
    average = floor.Pooling(3, 3, stride=3, mode="average").forward(x)[0, 0]
    np.testing.assert_allclose(average, [[71 / 9, 89 / 9], [34 / 9, 26 / 9]])


@both_floors
def test_max_pooling_never_picks_the_padding(floor):
    out = floor.Pooling(3, 3, stride=2, pad=1).forward(np.full((1, 1, 4, 4), -5.0))
    assert (out == -5).all()
    average = floor.Pooling(2, 2, stride=2, pad=1, mode="average").forward(np.ones((1, 1, 2, 2)))
    assert (average == 0.25).all()  # zeros of the padding count


@both_floors
def test_pooling_windows_over_more_than_a_byte(floor):
    """How far ahead a maximum lies may need more than 8 bits: 2 lines of 300 and more."""
    rng = np.random.default_rng(2)
    x = rng.integers(0, 5, (1, 2, 4, 300)).astype(float)
    layer = floor.Pooling(3, 3, 1)
    out = layer.forward(x)
    close(out, naive.max_pool(x, 3, 3, 1))
    dout = rng.standard_normal(out.shape)
    close(layer.backward(dout), naive.max_pool_backward(dout, x, 3, 3, 1))


@both_floors
@both_modes
def test_pooling_keeps_infinity_and_nan_in_their_windows(floor, mode):
    x = np.zeros((1, 1, 4, 4))
    x[0, 0, 0, 3], x[0, 0, 1, 0], x[0, 0, 3, 3] = np.inf, -np.inf, np.nan
    out = floor.Pooling(2, 2, mode=mode).forward(x)[0, 0]  # a warning would be an error here
    assert out[0, 1] == np.inf and out[1, 0] == 0 and np.isnan(out[1, 1])
    assert out[0, 0] == (0 if mode == "max" else -np.inf)


@both_floors
@both_modes
def test_pooling_sends_infinity_and_nan_back_into_their_windows(floor, mode):
    layer = floor.Pooling(2, 2, mode=mode)
    layer.forward(np.zeros((1, 1, 4, 4)))
    dx = layer.backward(np.array([[[[1, np.inf], [np.nan, -2]]]]))[0, 0]
    seen = np.ones((2, 2)) / 4 if mode == "average" else np.array([[1, 0], [0, 0]])
    np.testing.assert_array_equal(dx[:2, :2], seen)
    np.testing.assert_array_equal(dx[2:, 2:], -2 * seen)
    assert np.isinf(dx[:2, 2:]).sum() == np.isnan(dx[2:, :2]).sum() == (seen > 0).sum()
    assert not np.isnan(dx[:2]).any() and not np.isinf(dx[2:]).any()


@both_floors
@both_modes
@pytest.mark.parametrize("size", [1, 2])
def test_pooling_takes_any_view(floor, mode, size, rng):
    big = rng.standard_normal((4, 4, 8, 8))
    constant = np.broadcast_to(np.float32(1), (2, 2, 4, 4))
    for x in (big[:, :, :, ::2], big[:1, :1, ::-1, ::-1], big.transpose(1, 0, 3, 2), constant):
        layer, copied = floor.Pooling(size, size, mode=mode), floor.Pooling(size, size, mode=mode)
        out = layer.forward(x)
        np.testing.assert_array_equal(out, copied.forward(x.copy()))
        np.testing.assert_array_equal(layer.backward(out), copied.backward(out))


@both_floors
def test_average_pooling_of_half_precision(floor):
    large = np.full((1, 1, 2, 2), 40_000, np.float16)  # a sum of two is infinite
    out = floor.Pooling(2, 2, mode="average").forward(large)
    assert out.dtype == np.float16 and (out == 40_000).all()


@both_floors
def test_the_mean_of_numbers_too_large_to_add_is_infinite(floor):
    with np.errstate(over="ignore"):  # where the machine has a flag for it, NumPy warns
        out = floor.Pooling(2, 2, mode="average").forward(np.full((1, 1, 2, 2), 1e308))
    assert np.isinf(out).all()


def test_sigmoid_equals_scipy_far_out():
    x = np.array([[-1000.0, -20, -1, 0, 1, 20, 1000]])
    np.testing.assert_allclose(Sigmoid().forward(x), expit(x), rtol=1e-14)
    x32 = np.linspace(-80, 80, 99, dtype=np.float32)[np.newaxis]
    np.testing.assert_allclose(Sigmoid().forward(x32), expit(x32), rtol=1e-6)
    assert Sigmoid().forward(x32).dtype == np.float32


def test_relu_at_zero():
    layer = Relu()
    assert layer.forward(np.array([[-1.0, 0.0, 2.0]])).tolist() == [[0, 0, 2]]
    assert layer.backward(np.ones((1, 3))).tolist() == [[0, 0, 1]]


@both_floors
def test_settings_from_numpy_keep_float32(floor):
    x = np.ones((1, 2, 2, 2), np.float32)
    assert Dropout(np.float64(0.5)).forward(x, train_flg=False).dtype == np.float32
    layer = floor.Pooling(np.uint8(2), np.int8(2), np.uint8(2))
    assert layer.forward(np.ones((1, 1, 300, 300), np.float32)).shape == (1, 1, 150, 150)


def test_dropout():
    x = np.ones((100, 100), np.float32)
    layer = Dropout(0.3, np.random.default_rng(0))
    out = layer.forward(x)
    assert set(np.unique(out)) == {0, 1} and out.dtype == np.float32
    assert abs(out.mean() - 0.7) < 0.02
    dout = np.random.default_rng(1).standard_normal(x.shape)
    np.testing.assert_array_equal(layer.backward(dout), dout * out)
    np.testing.assert_allclose(layer.forward(x, train_flg=False), 0.7)
    again = Dropout(0.3, np.random.default_rng(0)).forward(x)
    np.testing.assert_array_equal(again, out)  # the generator decides, not the global seed
    assert (Dropout(0).forward(x) == x).all()


@pytest.mark.parametrize("one_hot", [False, True])
def test_softmax_with_loss(rng, one_hot):
    x, labels = rng.standard_normal((5, 4)) * 3, np.array([0, 3, 1, 1, 2])
    t = np.eye(4)[labels] if one_hot else labels
    layer = SoftmaxWithLoss()
    loss = layer.forward(x, t)
    assert loss == layer.loss == pytest.approx(-log_softmax(x, axis=1)[range(5), labels].mean())
    report = check_gradient(lambda _: layer.forward(x, t, train_flg=False), x, _gradient(x, t))
    assert report.error < 1e-6, report
    np.testing.assert_allclose(_gradient(x, t, 3.0), 3 * _gradient(x, t))
    layer.forward(x, t)
    labels[0] = 2  # the layer keeps its own labels
    first = layer.backward()
    np.testing.assert_array_equal(layer.backward(), first)
    assert type(layer.forward(x.astype(np.float32), t, train_flg=False)) is float
    with pytest.raises(RuntimeError, match="forward"):
        layer.backward()


def _gradient(x, t, dout=1):
    layer = SoftmaxWithLoss()
    layer.forward(x, t)
    return layer.backward(dout)


def test_softmax_with_loss_is_stable():
    x = np.array([[1e4, 0.0], [-1e4, 0.0]], np.float32)
    layer = SoftmaxWithLoss()
    assert layer.forward(x, np.array([1, 0])) == pytest.approx(1e4)
    dx = layer.backward()
    assert np.isfinite(dx).all() and dx.dtype == np.float32
    with pytest.raises(RuntimeError, match="forward"):
        SoftmaxWithLoss().backward()


W, b = np.ones((2, 3, 3, 3)), np.zeros(2)


@both_floors
@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda floor: floor.Convolution(W, b).forward(np.ones((1, 3, 2, 5))), "does not fit"),
        (
            lambda floor: floor.Convolution(W, b, stride=0).forward(np.ones((1, 3, 5, 5))),
            "stride .* got 0",
        ),
        (
            lambda floor: floor.Convolution(W, b, stride=-1).forward(np.ones((1, 3, 5, 5))),
            "stride .* got -1",
        ),
        (
            lambda floor: floor.Convolution(W, b, stride=1.5).forward(np.ones((1, 3, 5, 5))),
            "stride .* 1.5",
        ),
        (
            lambda floor: floor.Convolution(W, b, pad=-1).forward(np.ones((1, 3, 5, 5))),
            "pad .* got -1",
        ),
        (
            lambda floor: floor.Convolution(W, b).forward(np.ones((1, 4, 5, 5))),
            "C = 4 channels.*have 3",
        ),
        (lambda floor: floor.Convolution(W, b).forward(np.ones((3, 5, 5))), r"4-D.*\(3, 5, 5\)"),
        (lambda floor: floor.Convolution(W, b).forward(np.ones((0, 3, 5, 5))), "empty"),
        (
            lambda floor: floor.Convolution(W, b).forward(np.ones((1, 3, 5, 5), np.uint8)),
            "uint8.*/ 255",
        ),
        (lambda floor: floor.Convolution(W, b).forward([[1.0]]), "floating-point array, got list"),
        (
            lambda floor: floor.Convolution(W, np.zeros(3)),
            r"\(FN,\).*got W \(2, 3, 3, 3\) and b \(3,\)",
        ),
        (lambda floor: floor.Convolution(W[0], b), r"got W \(3, 3, 3\)"),
        (
            lambda floor: floor.Pooling(2, 2, pad=2),
            "pad 2 must be smaller than the pooling window 2 x 2",
        ),
        (lambda floor: floor.Pooling(3, 2, pad=2), "pad 2 must be smaller"),
        (lambda floor: floor.Pooling(2, 2, pad=-1).forward(np.ones((1, 1, 4, 4))), "pad .* got -1"),
        (lambda floor: floor.Pooling(2, 2, stride=0), "stride .* got 0"),
        (lambda floor: floor.Pooling(2, 2, stride=1.5), "stride .* got 1.5"),
        (lambda floor: floor.Pooling(2, 0), "pool_w .* got 0"),
        (lambda floor: floor.Pooling(2, 2).forward(np.ones((0, 1, 4, 4))), "empty"),
        (lambda floor: Affine(np.ones((4, 2)), np.zeros((2, 1))), r"b \(2, 1\)"),
        (lambda floor: floor.Pooling(5, 5).forward(np.ones((1, 1, 4, 4))), "does not fit"),
        (lambda floor: floor.Pooling(2, 2, mode="mean"), "'max' or 'average', got 'mean'"),
        (lambda floor: floor.Pooling(2, 2).forward(np.ones((1, 1, 4, 4), np.int64)), "int64"),
        (lambda floor: floor.Pooling(2, 2).forward(np.ones((1, 4, 4))), "4-D"),
        (lambda floor: Affine(np.ones((4, 2)), b).forward(np.ones((3, 5))), "5 elements.*D = 4"),
        (lambda floor: Affine(np.ones((4, 2)), b).forward(np.ones((0, 4))), "empty"),
        (lambda floor: Affine(np.ones((4, 2)), b).forward(np.ones((2, 4), np.int64)), "int64"),
        (lambda floor: Affine(np.ones((4, 2)), np.zeros(3)), r"got W \(4, 2\) and b \(3,\)"),
        (lambda floor: Dropout(1.0), r"\[0, 1\), got 1.0"),
        (
            lambda floor: SoftmaxWithLoss().forward(np.ones((2, 3)), np.array([0, 3])),
            r"0\.\.2, got 0\.\.3",
        ),
        (
            lambda floor: SoftmaxWithLoss().forward(np.ones((2, 3)), np.array([-1, 0])),
            r"got -1\.\.0",
        ),
        (lambda floor: SoftmaxWithLoss().forward(np.ones((2, 3)), np.array([[0, 1]])), r"\(1, 2\)"),
        (lambda floor: SoftmaxWithLoss().forward(np.ones((2, 1)), np.array([[0], [1]])), "one-hot"),
        (lambda floor: SoftmaxWithLoss().forward(np.ones((2, 3)), np.array([0])), r"got \(1,\)"),
        (lambda floor: SoftmaxWithLoss().forward(np.ones((2, 3)), np.array([0.0, 1.0])), "float64"),
        (lambda floor: SoftmaxWithLoss().forward(np.ones((2, 3)), np.ones((2, 3))), "one-hot"),
        (lambda floor: SoftmaxWithLoss().forward(np.ones((0, 3)), np.ones(0, int)), r"\(0, 3\)"),
        (
            lambda floor: SoftmaxWithLoss().forward(np.ones((2, 3, 1)), np.ones(2, int)),
            r"\(2, 3, 1\)",
        ),
    ],
)
def test_bad_input_is_refused_with_its_values(floor, action, message):
    with pytest.raises(ValueError, match=message):
        action(floor)


@both_floors
def test_a_gradient_of_whole_numbers_is_refused_by_every_layer(floor):
    x = np.ones((1, 2, 4, 4))
    for layer in (
        floor.Convolution(W[:, :2], b),
        floor.Pooling(2, 2),
        floor.Pooling(2, 2, mode="average"),
        Affine(np.ones((32, 3)), np.zeros(3)),
        Relu(),
        Sigmoid(),
        Dropout(),
    ):
        dout = np.full(layer.forward(x).shape, 8)
        for dtype in (np.int64, np.uint8):
            with pytest.raises(
                ValueError, match=f"dout must be a floating-point.*{dtype.__name__}"
            ):
                layer.backward(dout.astype(dtype))


@pytest.mark.parametrize("layer", [Relu(), Sigmoid(), Dropout(), Affine(np.ones((2, 2)), 0)])
@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([[1.0, 2.0]], "floating-point array, got list"),
        (np.float64(3), "floating-point array, got float64"),
        (np.array(3.0), r"at least one axis: x has shape \(\)"),
        (np.ones((1, 2), np.int64), "got int64"),
        (np.ones((0, 2)), r"empty: x has shape \(0, 2\)"),
    ],
    ids=["list", "number", "0-d", "int", "empty"],
)
def test_what_is_no_batch_is_refused(layer, x, message):
    with pytest.raises(ValueError, match=message):
        layer.forward(x)


@both_floors
def test_weights_and_shapes_that_are_no_arrays_or_images(floor):
    with pytest.raises(ValueError, match=r"array of shape \(FN, C, FH, FW\).*list"):
        floor.Convolution([[[[1.0]]]], [0.0])
    with pytest.raises(ValueError, match=r"array of shape \(D, M\).*list"):
        Affine([[1.0]], [0.0])
    for filters, bias in [
        (W, None),
        (W.astype(complex), b),
        (W[:0], b[:0]),
        (W, b.astype(complex)),
    ]:
        with pytest.raises(ValueError, match="weights W must be an array"):
            floor.Convolution(filters, bias)
    for shape in [(5, 5), (5,), (1, 3, 5, 5)]:
        for layer in (floor.Convolution(W, b), floor.Pooling(2, 2)):
            with pytest.raises(ValueError, match=r"4-D, \(N, C, H, W\)"):
                layer.output_shape(shape)


@both_floors
def test_a_single_number_is_the_same_bias_for_every_output(floor, rng):
    filters, x = rng.standard_normal((3, 2, 3, 3)), rng.standard_normal((2, 2, 5, 5))
    for number in (0, 2.5, np.float32(-1)):
        layer = floor.Convolution(filters, number)
        close(layer.forward(x), floor.Convolution(filters, np.full(3, number)).forward(x))
        assert layer.b.shape == (3,) and layer.b.dtype == filters.dtype
        layer.backward(layer.forward(x))
        assert layer.db.shape == (3,)
    close(Affine(filters[0, 0], 2).forward(x[0, 0, :, :3]), x[0, 0, :, :3] @ filters[0, 0] + 2)


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_what_is_not_finite_does_not_pass_where_nothing_passes(bad):
    relu, x = Relu(), np.array([[-1.0, 0.0, 2.0, 3.0]])
    relu.forward(x)
    dx = relu.backward(np.array([[bad, bad, bad, 1.0]]))
    np.testing.assert_array_equal(dx, [[0, 0, bad, 1]])
    dropout = Dropout(0.5, np.random.default_rng(0))
    out = dropout.forward(np.full((1, 100), bad))
    dx = dropout.backward(np.full((1, 100), bad))
    dropped = np.random.default_rng(0).random((1, 100), dtype=np.float32) < 0.5
    for result in (out, dx):
        np.testing.assert_array_equal(result, np.where(dropped, 0, bad))


def test_a_column_of_class_numbers_is_not_broadcast(rng):
    scores, t = rng.standard_normal((5, 3)), np.array([0, 2, 1, 1, 0])
    layer = SoftmaxWithLoss()
    loss = layer.forward(scores, t)
    dx = layer.backward()
    assert layer.forward(scores, t[:, np.newaxis]) == loss and layer.t.shape == (5,)
    np.testing.assert_array_equal(layer.backward(), dx)
    assert layer.forward(scores[:1], np.array([[2]])) == layer.forward(scores[:1], np.array([2]))
    assert layer.forward(scores[:, :1], np.ones((5, 1))) == 0  # of one class this is one-hot
    np.testing.assert_allclose(softmax(scores).sum(axis=1), 1)


@both_floors
def test_nan_in_a_window_of_a_maximum_is_its_maximum(floor):
    x = np.array([[[[1, np.nan, 2.0, 5], [3, 4, 9, 8]]]])
    out = floor.Pooling(2, 2).forward(x)
    np.testing.assert_array_equal(out, [[[[np.nan, 9]]]])
    np.testing.assert_array_equal(out, naive.max_pool(x, 2, 2))


def test_a_method_of_the_text_is_short():
    """The source lists its convolution in nine lines; at most twelve here, docstrings apart."""
    lengths = {}
    for node in ast.walk(ast.parse(inspect.getsource(layers))):
        if isinstance(node, ast.ClassDef):
            for method in node.body:
                if isinstance(method, ast.FunctionDef) and method.name in ("forward", "backward"):
                    code = method.body[1:]  # behind the docstring
                    lines = code[-1].end_lineno - code[0].lineno + 1
                    lengths[f"{node.name}.{method.name}"] = lines
    longest = max(lengths, key=lengths.get)
    print(f"longest method of layers.py: {longest}, {lengths[longest]} lines of code")
    assert len(lengths) == 14 and lengths[longest] <= 12
