"""Layers: forward and backward against the loops, SciPy and differences, over random settings."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal
from scipy.special import expit, log_softmax

from cnnlib import layers, naive
from cnnlib.gradients import check_gradient
from cnnlib.layers import (
    Affine,
    Convolution,
    Dropout,
    LocalResponseNormalization,
    Pooling,
    Relu,
    Sigmoid,
    SoftmaxWithLoss,
)


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


@given(convolutions())
def test_convolution_equals_the_loops(case):
    x, W, b, stride, pad = case
    layer = Convolution(W, b, stride, pad)
    out = layer.forward(x)
    close(out, naive.convolve(x, W, b, stride, pad))
    dout = np.random.default_rng(1).standard_normal(out.shape)
    dx = layer.backward(dout)
    for ours, loops in zip(
        (dx, layer.dW, layer.db), naive.convolve_backward(dout, x, W, stride, pad), strict=True
    ):
        close(ours, loops)
    assert layer.backward(dout, need_dx=False) is None


@pytest.mark.parametrize("group", [1, 2, 5])
@pytest.mark.parametrize(
    ("small", "pack"),
    [(0, 0), (0, 10**9), (10**9, 10**9)],
    ids=["image by image", "in two steps", "packs"],
)
@pytest.mark.parametrize("seed", range(6))
def test_ways_to_group_images_agree_with_the_loops(monkeypatch, group, small, pack, seed):
    """Few images at a time, a smaller group at the end, side by side or one by one."""
    monkeypatch.setattr(layers, "SMALL", small)
    monkeypatch.setattr(layers, "PACK", pack)
    monkeypatch.setattr(
        layers, "_groups", lambda N, *_: (slice(i, min(i + group, N)) for i in range(0, N, group))
    )
    rng = np.random.default_rng(seed)
    N, C, FN, FH, FW, stride = (int(v) for v in rng.integers(1, (8, 4, 4, 5, 5, 4)))
    pad = int(rng.integers(0, min(FH, FW)))
    x = rng.integers(-3, 4, (N, C, FH + 4, FW + 3)).astype(float)
    W, b = rng.standard_normal((FN, C, FH, FW)), rng.standard_normal(FN)
    layer = Convolution(W, b, stride, pad)
    out = layer.forward(x)
    close(out, naive.convolve(x, W, b, stride, pad))
    dout = rng.standard_normal(out.shape)
    ours = (layer.backward(dout), layer.dW, layer.db)
    for gradient, expected in zip(
        ours, naive.convolve_backward(dout, x, W, stride, pad), strict=True
    ):
        close(gradient, expected)
    pooling = Pooling(FH, FW, stride, pad)
    out = pooling.forward(x)
    close(out, naive.max_pool(x, FH, FW, stride, pad))
    dout = rng.standard_normal(out.shape)
    close(pooling.backward(dout), naive.max_pool_backward(dout, x, FH, FW, stride, pad))


@given(convolutions(), poolings(), st.sampled_from(["max", "average"]))
def test_float32_equals_the_loops_to_its_own_precision(convolution, pooling, mode):
    x, W, b, stride, pad = convolution
    layer = Convolution(*(a.astype(np.float32) for a in (W, b)), stride, pad)
    out = layer.forward(x.astype(np.float32))
    np.testing.assert_allclose(out, naive.convolve(x, W, b, stride, pad), rtol=1e-4, atol=1e-4)
    dout = np.random.default_rng(1).standard_normal(out.shape)
    dx = layer.backward(dout.astype(np.float32))
    expected = naive.convolve_backward(dout, x, W, stride, pad)
    for ours, loops in zip((dx, layer.dW, layer.db), expected, strict=True):
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, loops, rtol=1e-4, atol=1e-3)

    x, *settings = pooling
    layer = Pooling(*settings, mode)
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


@given(convolutions())
def test_convolution_equals_scipy(case):
    x, W, b, stride, pad = case
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    out = Convolution(W, b, stride, pad).forward(x)
    for n in range(len(x)):
        for f in range(len(W)):
            whole = signal.correlate(padded[n], W[f], mode="valid")[0] + b[f]
            close(out[n, f], whole[::stride, ::stride])


@given(poolings(), st.sampled_from(["max", "average"]))
def test_pooling_equals_the_loops(case, mode):
    x, pool_h, pool_w, stride, pad = case
    forward, backward = {
        "max": (naive.max_pool, naive.max_pool_backward),
        "average": (naive.average_pool, naive.average_pool_backward),
    }[mode]
    layer = Pooling(pool_h, pool_w, stride, pad, mode)
    out = layer.forward(x)
    close(out, forward(x, pool_h, pool_w, stride, pad))
    dout = np.random.default_rng(1).standard_normal(out.shape)
    close(layer.backward(dout), backward(dout, x, pool_h, pool_w, stride, pad))


def layers_with_input(rng):
    """List (layer, x) for every layer, with random shapes; x keeps clear of kinks and ties."""

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
    return [
        (Convolution(normal(FN, C, FH, FW), normal(FN), stride, pad), normal(N, C, H, W)),
        (Pooling(*window, stride, small), apart(N, C, H, W)),
        (Pooling(*window, stride, small, mode="average"), normal(N, C, H, W)),
        (Affine(normal(D, M), normal(M)), normal(N, C, H, W)),
        (Relu(), apart(N, C, H, W)),
        (Sigmoid(), normal(N, D)),
        (LocalResponseNormalization(5, 1.5, 0.3, 0.75), normal(N, int(rng.integers(1, 8)), 2, 3)),
        (LocalResponseNormalization(3, 2.0, 0.5, 0.5), normal(N, 4, 2, 2)),
    ]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("which", range(8))
def test_backward_equals_differences(seed, which):
    layer, x = layers_with_input(np.random.default_rng(seed))[which]
    dout = np.random.default_rng(1).standard_normal(layer.forward(x).shape)
    dx = layer.backward(dout)

    def weighted(_):
        return (layer.forward(x, train_flg=False) * dout).sum()

    reports = [check_gradient(weighted, x, dx, "dx")]
    if hasattr(layer, "W"):
        reports += [check_gradient(weighted, layer.W, layer.dW, "dW")]
        reports += [check_gradient(weighted, layer.b, layer.db, "db")]
    for report in reports:
        assert report.error < 1e-6, f"{type(layer).__name__} {report}"


@pytest.mark.parametrize("which", range(8))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_kept_and_arguments_are_not_changed(which, dtype):
    layer, x = layers_with_input(np.random.default_rng(3))[which]
    x = x.astype(dtype)
    x_before = x.copy()
    out = layer.forward(x)
    dout = np.random.default_rng(1).standard_normal(out.shape).astype(dtype)
    out_before, dout_before = out.copy(), dout.copy()
    x.flags.writeable = dout.flags.writeable = False  # writing would raise
    dx = layer.backward(dout)
    layer.forward(x + 1)
    assert out.dtype == dx.dtype == dtype
    if hasattr(layer, "W"):
        assert layer.dW.dtype == layer.db.dtype == dtype
        assert layer.dW.shape == layer.W.shape and layer.db.shape == layer.b.shape
    np.testing.assert_array_equal(x, x_before)
    np.testing.assert_array_equal(out, out_before)  # a later call does not reach back
    np.testing.assert_array_equal(dout, dout_before)
    assert not np.shares_memory(dx, dout)


@pytest.mark.parametrize("which", range(8))
def test_inference_equals_training_and_keeps_nothing(which):
    layer, x = layers_with_input(np.random.default_rng(5))[which]
    out = layer.forward(x)
    np.testing.assert_array_equal(layer.forward(x, train_flg=False), out)
    assert layer._kept is None
    with pytest.raises(RuntimeError, match=r"call forward\(x\) with train_flg=True first"):
        layer.backward(out)


@pytest.mark.parametrize("which", range(8))
def test_shape_rule_and_shape_of_dout(which):
    layer, x = layers_with_input(np.random.default_rng(7))[which]
    out = layer.forward(x)
    assert layer.output_shape(x.shape[1:]) == out.shape[1:]
    with pytest.raises(ValueError, match="backward got dout of shape"):
        layer.backward(out[..., np.newaxis])


def test_convolution_of_the_book():
    x = np.array([[1, 2, 3, 0], [0, 1, 2, 3], [3, 0, 1, 2], [2, 3, 0, 1.0]])[None, None]
    W = np.array([[2, 0, 1], [0, 1, 2], [1, 0, 2.0]])[None, None]
    assert Convolution(W, np.zeros(1)).forward(x).tolist() == [[[[15, 16], [6, 15]]]]
    assert Convolution(W, np.full(1, 3.0)).forward(x).tolist() == [[[[18, 19], [9, 18]]]]


def test_pooling_tables_of_the_source():
    rows = "10 12 11 4 15 14|9 6 8 1 17 12|7 5 3 1 20 5|2 3 1 1 4 0|5 4 2 2 5 6|6 8 3 2 3 3"
    x = np.array([[float(v) for v in row.split()] for row in rows.split("|")])[None, None]
    assert Pooling(3, 3, stride=3).forward(x).tolist() == [[[[12, 20], [8, 6]]]]
    average = Pooling(3, 3, stride=3, mode="average").forward(x)[0, 0]
    np.testing.assert_allclose(average, [[71 / 9, 89 / 9], [34 / 9, 26 / 9]])


def test_max_pooling_never_picks_the_padding():
    out = Pooling(3, 3, stride=2, pad=1).forward(np.full((1, 1, 4, 4), -5.0))
    assert (out == -5).all()
    average = Pooling(2, 2, stride=2, pad=1, mode="average").forward(np.ones((1, 1, 2, 2)))
    assert (average == 0.25).all()  # zeros of the padding count


def test_pooling_windows_over_more_than_a_byte():
    """How far ahead a maximum lies may need more than 8 bits: 2 lines of 300 and more."""
    rng = np.random.default_rng(2)
    x = rng.integers(0, 5, (1, 2, 4, 300)).astype(float)
    layer = Pooling(3, 3, 1)
    out = layer.forward(x)
    close(out, naive.max_pool(x, 3, 3, 1))
    dout = rng.standard_normal(out.shape)
    close(layer.backward(dout), naive.max_pool_backward(dout, x, 3, 3, 1))


@pytest.mark.parametrize("mode", ["max", "average"])
def test_pooling_keeps_infinity_and_nan_in_their_windows(mode):
    x = np.zeros((1, 1, 4, 4))
    x[0, 0, 0, 3], x[0, 0, 1, 0], x[0, 0, 3, 3] = np.inf, -np.inf, np.nan
    out = Pooling(2, 2, mode=mode).forward(x)[0, 0]  # a warning would be an error here
    assert out[0, 1] == np.inf and out[1, 0] == 0 and np.isnan(out[1, 1])
    assert out[0, 0] == (0 if mode == "max" else -np.inf)


@pytest.mark.parametrize("mode", ["max", "average"])
def test_pooling_sends_infinity_and_nan_back_into_their_windows(mode):
    layer = Pooling(2, 2, mode=mode)
    layer.forward(np.zeros((1, 1, 4, 4)))
    dx = layer.backward(np.array([[[[1, np.inf], [np.nan, -2]]]]))[0, 0]
    seen = np.ones((2, 2)) / 4 if mode == "average" else np.array([[1, 0], [0, 0]])
    np.testing.assert_array_equal(dx[:2, :2], seen)
    np.testing.assert_array_equal(dx[2:, 2:], -2 * seen)
    assert np.isinf(dx[:2, 2:]).sum() == np.isnan(dx[2:, :2]).sum() == (seen > 0).sum()
    assert not np.isnan(dx[:2]).any() and not np.isinf(dx[2:]).any()


@pytest.mark.parametrize("mode", ["max", "average"])
@pytest.mark.parametrize("size", [1, 2])
def test_pooling_takes_any_view(mode, size, rng):
    big = rng.standard_normal((4, 4, 8, 8))
    constant = np.broadcast_to(np.float32(1), (2, 2, 4, 4))
    for x in (big[:, :, :, ::2], big[:1, :1, ::-1, ::-1], big.transpose(1, 0, 3, 2), constant):
        layer, copied = Pooling(size, size, mode=mode), Pooling(size, size, mode=mode)
        out = layer.forward(x)
        np.testing.assert_array_equal(out, copied.forward(x.copy()))
        np.testing.assert_array_equal(layer.backward(out), copied.backward(out))


@pytest.mark.parametrize("dtype", ["float16", ">f4"])
def test_average_pooling_keeps_to_the_dtype(dtype):
    large = np.full((1, 1, 2, 2), 40_000, dtype)  # in float16, a sum of two is infinite
    out = Pooling(2, 2, mode="average").forward(large)
    assert out.dtype == dtype and (out == 40_000).all()
    many = np.ones((1, 1, 256, 256), dtype)  # as many as float16 cannot count
    layer = Pooling(256, 256, mode="average")
    assert layer.forward(many) == 1
    dx = layer.backward(np.ones((1, 1, 1, 1), dtype))
    assert dx.dtype == dtype and (dx == np.array(2.0**-16, dtype)).all()


def test_the_mean_of_numbers_too_large_to_add_is_infinite():
    with np.errstate(over="ignore"):  # where the machine has a flag for it, NumPy warns
        out = Pooling(2, 2, mode="average").forward(np.full((1, 1, 2, 2), 1e308))
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


def test_settings_from_numpy_keep_float32():
    x = np.ones((1, 2, 2, 2), np.float32)
    assert Dropout(np.float64(0.5)).forward(x, train_flg=False).dtype == np.float32
    assert LocalResponseNormalization(alpha=np.float64(1e-4)).forward(x).dtype == np.float32
    layer = Pooling(np.uint8(2), np.int8(2), np.uint8(2))
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


def test_local_response_normalization_equals_its_formula(rng):
    x = rng.standard_normal((2, 7, 3, 3))
    n, k, alpha, beta = 5, 2.0, 0.1, 0.75
    expected = np.empty_like(x)
    for c in range(7):
        near = x[:, max(0, c - n // 2) : c + n // 2 + 1]
        expected[:, c] = x[:, c] / (k + alpha * (near**2).sum(axis=1)) ** beta
    close(LocalResponseNormalization(n, k, alpha, beta).forward(x), expected)


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


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: Convolution(W, b).forward(np.ones((1, 3, 2, 5))), "does not fit"),
        (lambda: Convolution(W, b, stride=0).forward(np.ones((1, 3, 5, 5))), "stride .* got 0"),
        (lambda: Convolution(W, b, stride=-1).forward(np.ones((1, 3, 5, 5))), "stride .* got -1"),
        (lambda: Convolution(W, b, stride=1.5).forward(np.ones((1, 3, 5, 5))), "stride .* 1.5"),
        (lambda: Convolution(W, b, pad=-1).forward(np.ones((1, 3, 5, 5))), "pad .* got -1"),
        (lambda: Convolution(W, b).forward(np.ones((1, 4, 5, 5))), "C = 4 channels.*have 3"),
        (lambda: Convolution(W, b).forward(np.ones((3, 5, 5))), r"4-D.*\(3, 5, 5\)"),
        (lambda: Convolution(W, b).forward(np.ones((0, 3, 5, 5))), "empty"),
        (lambda: Convolution(W, b).forward(np.ones((1, 3, 5, 5), np.uint8)), "uint8.*/ 255"),
        (lambda: Convolution(W, b).forward([[1.0]]), "floating-point array, got list"),
        (lambda: Convolution(W, np.zeros(3)), r"\(FN,\).*got W \(2, 3, 3, 3\) and b \(3,\)"),
        (lambda: Convolution(W[0], b), r"got W \(3, 3, 3\)"),
        (lambda: Pooling(2, 2, pad=2), "pad 2 must be smaller than the pooling window 2 x 2"),
        (lambda: Pooling(3, 2, pad=2), "pad 2 must be smaller"),
        (lambda: Pooling(2, 2, pad=-1).forward(np.ones((1, 1, 4, 4))), "pad .* got -1"),
        (lambda: Pooling(2, 2, stride=0), "stride .* got 0"),
        (lambda: Pooling(2, 2, stride=1.5), "stride .* got 1.5"),
        (lambda: Pooling(2, 0), "pool_w .* got 0"),
        (lambda: Pooling(2, 2).forward(np.ones((0, 1, 4, 4))), "empty"),
        (lambda: Affine(np.ones((4, 2)), np.zeros((2, 1))), r"b \(2, 1\)"),
        (lambda: Pooling(5, 5).forward(np.ones((1, 1, 4, 4))), "does not fit"),
        (lambda: Pooling(2, 2, mode="mean"), "'max' or 'average', got 'mean'"),
        (lambda: Pooling(2, 2).forward(np.ones((1, 1, 4, 4), np.int64)), "int64"),
        (lambda: Pooling(2, 2).forward(np.ones((1, 4, 4))), "4-D"),
        (lambda: Affine(np.ones((4, 2)), b).forward(np.ones((3, 5))), "5 elements.*D = 4"),
        (lambda: Affine(np.ones((4, 2)), b).forward(np.ones((0, 4))), "empty"),
        (lambda: Affine(np.ones((4, 2)), b).forward(np.ones((2, 4), np.int64)), "int64"),
        (lambda: Affine(np.ones((4, 2)), np.zeros(3)), r"got W \(4, 2\) and b \(3,\)"),
        (lambda: Dropout(1.0), r"\[0, 1\), got 1.0"),
        (lambda: LocalResponseNormalization(n=4), "odd.*got 4"),
        (lambda: LocalResponseNormalization(k=0), "positive.*got 0"),
        (
            lambda: SoftmaxWithLoss().forward(np.ones((2, 3)), np.array([0, 3])),
            r"0\.\.2, got 0\.\.3",
        ),
        (lambda: SoftmaxWithLoss().forward(np.ones((2, 3)), np.array([-1, 0])), r"got -1\.\.0"),
        (lambda: SoftmaxWithLoss().forward(np.ones((2, 3)), np.array([[0], [1]])), r"\(2, 1\)"),
        (lambda: SoftmaxWithLoss().forward(np.ones((2, 3)), np.array([0])), r"got \(1,\)"),
        (lambda: SoftmaxWithLoss().forward(np.ones((2, 3)), np.array([0.0, 1.0])), "float64"),
        (lambda: SoftmaxWithLoss().forward(np.ones((2, 3)), np.ones((2, 3))), "one-hot"),
        (lambda: SoftmaxWithLoss().forward(np.ones((0, 3)), np.ones(0, int)), r"\(0, 3\)"),
        (lambda: SoftmaxWithLoss().forward(np.ones((2, 3, 1)), np.ones(2, int)), r"\(2, 3, 1\)"),
    ],
)
def test_bad_input_is_refused_with_its_values(action, message):
    with pytest.raises(ValueError, match=message):
        action()
