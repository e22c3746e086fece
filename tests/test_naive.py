"""The loops: by hand on small numbers, and the same refusals as the layers."""

import re

import numpy as np
import pytest

from cnnlib import layers, naive

X = np.arange(1.0, 17).reshape(1, 1, 4, 4)
W = np.array([[[[1.0, 2], [3, 4]]]])


def test_convolution_by_hand():
    # 1*1 + 2*2 + 5*3 + 6*4 = 44, and 10 more for each step to the right, 40 for each step down
    expected = 44 + np.add.outer(40 * np.arange(3), 10 * np.arange(3))
    np.testing.assert_array_equal(naive.convolve(X, W)[0, 0], expected)
    padded = naive.convolve(X, W, stride=3, pad=1)[0, 0]
    np.testing.assert_array_equal(padded, [[4, 9 + 16], [18 + 52, 11 + 24 + 45 + 64]])


def test_a_single_number_is_the_bias_of_every_filter():
    filters = np.concatenate([W, -W])
    plain = naive.convolve(X, filters)
    for bias in (3, 3.0, np.float32(3), np.array(3), np.array([3, 3])):
        np.testing.assert_array_equal(naive.convolve(X, filters, bias), plain + 3)
    other = naive.convolve(X, filters, np.array([1, -1]))
    np.testing.assert_array_equal(other, plain + np.array([1, -1]).reshape(1, 2, 1, 1))


SETTINGS = [int, np.int8, np.uint8, np.int64]


@pytest.mark.parametrize("kind", SETTINGS)
def test_settings_may_be_numpy_integers(kind):
    """In bytes, 2 * 150 is 44, and 0 - 1 is 255: the loops count in plain ints."""
    x = np.random.default_rng(0).random((1, 1, 3, 300))
    filters = np.ones((1, 1, 1, 1))
    out = naive.convolve(x, filters, 0, kind(2), kind(1))
    np.testing.assert_array_equal(out[0, 0, 1:2, 1:], x[0, 0, 1:2, 1::2])
    dx, _, _ = naive.convolve_backward(out, x, filters, kind(2), kind(1))
    assert dx.shape == x.shape and (dx[0, 0, 1, 1::2] == x[0, 0, 1, 1::2]).all()
    settings = kind(2), kind(2), kind(2), kind(1)
    for pool, back in (
        (naive.max_pool, naive.max_pool_backward),
        (naive.average_pool, naive.average_pool_backward),
    ):
        out = pool(x, *settings)
        np.testing.assert_array_equal(out, pool(x, 2, 2, 2, 1))
        np.testing.assert_array_equal(back(out, x, *settings), back(out, x, 2, 2, 2, 1))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_dtype_of_the_data_is_kept(dtype):
    x, filters = X.astype(dtype), W.astype(dtype)
    out = naive.convolve(x, filters, np.array([0.5]))
    assert out.dtype == dtype
    for gradient in naive.convolve_backward(out, x, filters):
        assert gradient.dtype == dtype
    for pool, back in (
        (naive.max_pool, naive.max_pool_backward),
        (naive.average_pool, naive.average_pool_backward),
    ):
        out = pool(x, 2, 2)
        assert out.dtype == back(out, x, 2, 2).dtype == dtype


def test_a_maximum_with_nan_is_nan_and_the_gradient_goes_to_the_first_one():
    x = np.array([[[[1, np.nan, 9, 2], [np.nan, 5, 3, 4], [1, 1, -np.inf, -np.inf]]]])
    out = naive.max_pool(x, 2, 2, stride=1)
    expected = [[np.nan, np.nan, 9], [np.nan, 5, 4]]
    np.testing.assert_array_equal(out[0, 0], expected)
    dx = naive.max_pool_backward(10.0 ** np.arange(6).reshape(1, 1, 2, 3), x, 2, 2, stride=1)
    expected = [[0, 11, 100, 0], [1_000, 10_000, 0, 100_000], [0, 0, 0, 0]]
    np.testing.assert_array_equal(dx[0, 0], expected)


def test_the_maximum_of_minus_infinity_alone_is_minus_infinity():
    x = np.full((1, 1, 2, 2), -np.inf)
    assert (naive.max_pool(x, 2, 2, 1, 1) == -np.inf).all()
    assert naive.max_pool_backward(np.ones((1, 1, 1, 1)), x, 2, 2)[0, 0].tolist() == [
        [1, 0],
        [0, 0],
    ]


@pytest.mark.parametrize("seed", range(20))
def test_nan_and_infinity_go_where_the_layers_send_them(seed):
    rng = np.random.default_rng(seed)
    x = rng.integers(-2, 3, (2, 2, 5, 6)).astype(float)
    x[rng.random(x.shape) < 0.2] = rng.choice([np.nan, -np.inf, np.inf])
    pool_h, pool_w = (int(v) for v in rng.integers(1, 4, 2))
    settings = pool_h, pool_w, int(rng.integers(1, 4)), int(rng.integers(min(pool_h, pool_w)))
    layer = layers.Pooling(*settings)
    out = layer.forward(x)
    np.testing.assert_array_equal(naive.max_pool(x, *settings), out)
    dout = rng.integers(-9, 10, out.shape).astype(float)
    np.testing.assert_array_equal(naive.max_pool_backward(dout, x, *settings), layer.backward(dout))


def refusal(function, *arguments):
    with pytest.raises(ValueError) as caught:
        function(*arguments)
    return str(caught.value)


ONES = np.ones((1, 2, 4, 4))
WRONG_IMAGES = [
    *(ONES.astype(int), ONES.astype(np.uint8), ONES > 0, ONES.tolist(), 3.0, None),
    *(ONES[:0], ONES[:, :, :0], ONES[0], ONES[0, 0], ONES[np.newaxis], ONES[:, :, :2, :2]),
    ONES[:, :1],
]


@pytest.mark.parametrize("x", WRONG_IMAGES, ids=lambda x: f"{type(x).__name__}{np.shape(x)}")
def test_images_are_refused_in_the_words_of_the_layers(x):
    filters, dout = np.ones((3, 2, 3, 3)), np.ones((1, 3, 2, 2))
    sentence = refusal(layers.Convolution(filters, 0, 1).forward, x)
    assert refusal(naive.convolve, x, filters) == sentence
    assert refusal(naive.convolve_backward, dout, x, filters) == sentence
    if np.shape(x) == (1, 1, 4, 4):
        return  # a pooling takes any number of channels
    sentence = refusal(layers.Pooling(3, 3, 1).forward, x)
    for pool in (naive.max_pool, naive.average_pool):
        assert refusal(pool, x, 3, 3, 1) == sentence
    for back in (naive.max_pool_backward, naive.average_pool_backward):
        assert refusal(back, dout[:, :2], x, 3, 3, 1) == sentence


@pytest.mark.parametrize(
    ("filters", "bias"),
    [
        ([[[[1.0]]]], 0),
        (np.ones((2, 1, 2)), 0),
        (np.ones((2, 1, 2, 2)), np.ones(3)),
        (np.ones((2, 1, 2, 2)), np.ones((2, 1))),
        (3.0, 0),
    ],
)
def test_filters_are_refused_in_the_words_of_the_layer(filters, bias):
    sentence = refusal(layers.Convolution, filters, bias)
    assert refusal(naive.convolve, X, filters, bias) == sentence


@pytest.mark.parametrize("setting", [{"stride": 0}, {"stride": 1.5}, {"pad": -1}, {"pad": None}])
def test_settings_of_a_convolution_are_refused(setting):
    ((name, value),) = setting.items()
    with pytest.raises(ValueError, match=f"{name} must be .*got {re.escape(str(value))}"):
        naive.convolve(X, W, 0, **setting)
    with pytest.raises(ValueError, match=f"{name} must be .*got {re.escape(str(value))}"):
        naive.convolve_backward(X[:, :, :3, :3], X, W, **setting)


@pytest.mark.parametrize(
    "settings",
    [(0, 2, 1, 0), (2, 2.0, 1, 0), (2, 2, 0, 0), (2, 2, 1, 2), (3, 1, 1, 1), (2, 2, 1, -1)],
)
def test_settings_of_a_pooling_are_refused_in_the_words_of_the_layer(settings):
    sentence = refusal(layers.Pooling, *settings)
    for pool in (naive.max_pool, naive.average_pool):
        assert refusal(pool, X, *settings) == sentence
    for back in (naive.max_pool_backward, naive.average_pool_backward):
        assert refusal(back, X, X, *settings) == sentence


@pytest.mark.parametrize(
    ("dout", "message"),
    [
        (np.ones((1, 1, 3, 3), np.int64), "dout must be a floating-point array, got int64"),
        ([[[[1.0] * 3] * 3]], "dout must be a floating-point array, got list"),
        (
            np.ones((1, 1, 2, 3)),
            r"dout has shape \(1, 1, 2, 3\), but the output has \(1, 1, 3, 3\)",
        ),
    ],
)
def test_dout_is_a_floating_point_array_of_the_shape_of_the_output(dout, message):
    with pytest.raises(ValueError, match=message):
        naive.convolve_backward(dout, X, W)
    for back in (naive.max_pool_backward, naive.average_pool_backward):
        with pytest.raises(ValueError, match=message):
            back(dout, X, 2, 2, 1)
