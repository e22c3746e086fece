"""The five rungs compute one convolution, whatever the setting, and say alike what is wrong."""

import inspect

import numpy as np
import pytest
from scipy.signal import correlate2d

from cnnlib import ladder
from cnnlib.ladder import RUNGS

RNG = np.random.default_rng(0)
every_rung = pytest.mark.parametrize("rung", RUNGS, ids=lambda rung: rung.__name__)
# N, C, H, W, FN, FH, FW, stride, pad
SETTINGS = [
    (1, 1, 4, 4, 1, 3, 3, 1, 0),
    (2, 3, 5, 7, 4, 3, 2, 1, 1),
    (3, 2, 6, 5, 2, 2, 3, 2, 0),
    (2, 1, 7, 7, 3, 3, 3, 3, 2),  # leaves a rest
    (1, 4, 3, 3, 5, 1, 1, 2, 1),
    (2, 2, 4, 5, 1, 4, 5, 1, 0),  # as large as the image
    (5, 1, 3, 9, 2, 3, 1, 4, 2),
]


def scipy_convolution(x, W, stride, pad):
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    maps = [
        [sum(correlate2d(c, k, "valid") for c, k in zip(image, f, strict=True)) for f in W]
        for image in x
    ]
    return np.array(maps)[:, :, ::stride, ::stride]


@every_rung
@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_rung_agrees_with_scipy(rung, setting, dtype):
    N, C, H, width, FN, FH, FW, stride, pad = setting
    x = RNG.standard_normal((N, C, H, width)).astype(dtype)
    W = RNG.standard_normal((FN, C, FH, FW)).astype(dtype)
    x_before, W_before = x.copy(), W.copy()
    out = rung(x, W, stride, pad)
    expected = scipy_convolution(x.astype(float), W.astype(float), stride, pad)
    assert out.shape == expected.shape and out.flags.c_contiguous
    assert np.allclose(out, expected, rtol=0, atol=1e-4 if dtype is np.float32 else 1e-12)
    assert rung is ladder.loops or out.dtype == dtype
    assert np.array_equal(x, x_before) and np.array_equal(W, W_before)


@every_rung
def test_a_large_batch_and_images_that_are_not_contiguous(rung):
    if rung is ladder.loops:
        pytest.skip("too slow for images of this size; it is compared on small ones")
    x = RNG.standard_normal((70, 28, 30, 1)).transpose(0, 3, 2, 1)[:, :, ::-1]
    W = RNG.standard_normal((6, 1, 5, 3))
    out = rung(x, W)
    later = rung(x + 1, W)
    assert np.allclose(out, scipy_convolution(x, W, 1, 0))  # not overwritten by the later call
    assert np.allclose(later - out, W.sum(axis=(1, 2, 3)).reshape(1, 6, 1, 1))


@every_rung
@pytest.mark.parametrize(
    ("x_shape", "W_shape", "stride", "pad", "said"),
    [
        ((1, 2, 5, 5), (1, 3, 3, 3), 1, 0, "channels"),
        ((1, 1, 2, 5), (1, 1, 3, 3), 1, 0, "does not fit"),
        ((1, 1, 5, 5), (1, 1, 3, 3), 0, 0, "stride must be at least 1, got 0"),
        ((1, 1, 5, 5), (1, 1, 3, 3), 1, -1, "pad must be at least 0, got -1"),
    ],
)
def test_what_is_impossible_is_refused_with_its_values(rung, x_shape, W_shape, stride, pad, said):
    with pytest.raises(ValueError, match=said):
        rung(np.zeros(x_shape), np.zeros(W_shape), stride, pad)


@pytest.mark.parametrize("rung", RUNGS[1:], ids=lambda rung: rung.__name__)
def test_images_are_numbers_with_a_point_and_have_four_axes_as_filters_do(rung):
    with pytest.raises(ValueError, match="floating-point"):
        rung(np.zeros((1, 1, 5, 5), int), np.full((1, 1, 3, 3), 0.5))
    with pytest.raises(ValueError, match="4-D"):
        rung(np.zeros((1, 5, 5)), np.zeros((1, 1, 3, 3)))
    with pytest.raises(ValueError, match=r"\(FN, C, FH, FW\)"):
        rung(np.zeros((1, 1, 5, 5)), np.zeros((3, 3)))


@every_rung
def test_a_rung_is_short_and_gives_its_reason(rung):
    assert list(inspect.signature(rung).parameters) == ["x", "W", "stride", "pad"]
    assert "Reason:" in rung.__doc__
    code = inspect.getsource(rung).split('"""')[2].split("\n")
    assert len([line for line in code if line.strip()]) <= 12
