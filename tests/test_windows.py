"""Windows: the count of formula (7.1), im2col against plain indexing, col2im as its adjoint."""

import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cnnlib.windows
from cnnlib.windows import (
    add_windows,
    col2im,
    conv_output_size,
    explain_output_size,
    im2col,
    sliding_windows,
    uncovered_size,
)


@st.composite
def images_and_window(draw):
    """Draw (N, C, H, W), (FH, FW), stride and pad such that the window fits."""
    N, C = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    H, W = draw(st.integers(1, 8)), draw(st.integers(1, 8))
    pad, stride = draw(st.integers(0, 3)), draw(st.integers(1, 4))
    FH = draw(st.integers(1, min(5, H + 2 * pad)))
    FW = draw(st.integers(1, min(5, W + 2 * pad)))
    return (N, C, H, W), (FH, FW), stride, pad


def test_examples_in_docstrings():
    failed, tried = doctest.testmod(cnnlib.windows)
    assert tried >= 7 and failed == 0


@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 6), st.integers(0, 5))
def test_output_size_counts_the_windows(size, filter_size, stride, pad):
    starts = [s for s in range(0, size + 2 * pad, stride) if s + filter_size <= size + 2 * pad]
    if not starts:
        with pytest.raises(ValueError, match="does not fit"):
            conv_output_size(size, filter_size, stride, pad)
        return
    assert conv_output_size(size, filter_size, stride, pad) == len(starts)
    left = size + 2 * pad - (starts[-1] + filter_size)
    assert uncovered_size(size, filter_size, stride, pad) == left
    sentence = explain_output_size(size, filter_size, stride, pad)
    if left == 0:
        assert sentence.endswith(f"= {len(starts)}")
        assert conv_output_size(size, filter_size, stride, pad, strict=True) == len(starts)
    else:
        assert f"down gives {len(starts)}," in sentence and f"({left} of" in sentence
        with pytest.raises(ValueError, match="does not divide"):
            conv_output_size(size, filter_size, stride, pad, strict=True)


@given(st.integers(1, 30), st.integers(1, 9), st.integers(2, 6), st.integers(0, 4))
def test_the_settings_that_are_offered_divide(size, filter_size, stride, pad):
    if filter_size > size + 2 * pad or uncovered_size(size, filter_size, stride, pad) == 0:
        return
    offer = explain_output_size(size, filter_size, stride, pad).split("divide: ")[1].rstrip(".")
    for change in offer.split(", "):
        name, value = change.split()
        now = {"size": size, "filter": filter_size, "stride": stride, "pad": pad}
        now[name] = int(value)
        assert uncovered_size(now["size"], now["filter"], now["stride"], now["pad"]) == 0


def test_output_size_of_the_book():
    assert conv_output_size(4, 3) == 2  # figure 7-4
    assert conv_output_size(4, 3, pad=1) == 4  # figure 7-6
    assert conv_output_size(7, 3, stride=2) == 3  # figure 7-7
    assert conv_output_size(np.int64(28), np.int32(5)) == 24
    assert type(conv_output_size(np.int64(28), 5)) is int


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((4, 5, 1, 0), r"filter of size 5 does not fit .* 4 \+ 2\*0 = 4.*pad of at least 1"),
        ((4, 9, 1, 1), r"4 \+ 2\*1 = 6"),
        ((4, 3, 0, 0), "stride must be at least 1, got 0"),
        ((4, 3, -2, 0), "stride must be at least 1, got -2"),
        ((4, 3, 1.5, 0), "stride must be a whole number, got 1.5"),
        ((4, 3, 2.0, 0), "stride must be a whole number, got 2.0"),
        ((4, 3, 1, -1), "pad must be at least 0, got -1"),
        ((4, 3, 1, 0.5), "pad must be a whole number, got 0.5"),
        ((0, 3, 1, 2), "size must be at least 1, got 0"),
        ((4, 0, 1, 0), "filter_size must be at least 1, got 0"),
        ((4, "3", 1, 0), "filter_size must be a whole number, got '3'"),
    ],
)
def test_impossible_settings(settings, message):
    for function in (conv_output_size, uncovered_size, explain_output_size):
        with pytest.raises(ValueError, match=message):
            function(*settings)
    size, filter_size, stride, pad = settings
    if size:
        with pytest.raises(ValueError, match=message):
            im2col(np.zeros((1, 1, size, size)), filter_size, filter_size, stride, pad)


def test_im2col_shapes_of_the_book():
    assert im2col(np.zeros((1, 3, 7, 7)), 5, 5, stride=1, pad=0).shape == (9, 75)
    assert im2col(np.zeros((10, 3, 7, 7)), 5, 5, stride=1, pad=0).shape == (90, 75)


@given(images_and_window())
def test_im2col_rows_are_the_windows(case):
    shape, (FH, FW), stride, pad = case
    x = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    before = x.copy()
    col = im2col(x, FH, FW, stride, pad)
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    rows = [
        padded[n, :, p : p + FH, q : q + FW].ravel()
        for n in range(shape[0])
        for p in range(0, padded.shape[2] - FH + 1, stride)
        for q in range(0, padded.shape[3] - FW + 1, stride)
    ]
    np.testing.assert_array_equal(col, rows)
    assert col.dtype == x.dtype
    col += 1  # the caller's own array: x must not change with it
    np.testing.assert_array_equal(x, before)


@given(images_and_window(), st.integers(0, 2**32))
def test_col2im_is_the_adjoint_of_im2col(case, seed):
    shape, (FH, FW), stride, pad = case
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    col_of_x = im2col(x, FH, FW, stride, pad)
    col = rng.standard_normal(col_of_x.shape)
    before = col.copy()
    back = col2im(col, shape, FH, FW, stride, pad)
    assert back.shape == shape
    np.testing.assert_allclose((col_of_x * col).sum(), (x * back).sum(), rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(col, before)


def test_col2im_counts_how_often_an_element_was_read():
    ones = np.ones((1, 1, 4, 4))
    counts = col2im(im2col(ones, 3, 3), ones.shape, 3, 3)
    np.testing.assert_array_equal(counts[0, 0, :2, :2], [[1, 2], [2, 4]])
    assert counts.sum() == 9 * 4


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16, np.uint8])
def test_dtype_is_kept(dtype):
    x = np.ones((2, 1, 5, 5), dtype)
    for pad in (0, 1):
        col = im2col(x, 3, 3, 2, pad)
        assert col.dtype == dtype
        assert col2im(col, x.shape, 3, 3, 2, pad).dtype == dtype


def test_sliding_windows_copies_nothing_and_cannot_be_written(rng):
    x = rng.random((2, 3, 6, 6))
    windows = sliding_windows(x, 3, 2, stride=2)
    assert windows.shape == (2, 3, 3, 2, 2, 3)
    assert np.shares_memory(windows, x) and not windows.flags.writeable
    assert windows[1, 2, 2, 1, 1, 2] == x[1, 2, 1 * 2 + 2, 2 * 2 + 1]
    assert add_windows(windows, x.shape, stride=2).shape == x.shape


@pytest.mark.parametrize("shape", [(1, 3, 4, 4), (2, 1, 4, 4), (1, 1, 1, 1)])
@pytest.mark.parametrize("stride", [1, 4])
def test_im2col_is_the_callers_own(shape, stride, rng):
    x = rng.random(shape)
    before = x.copy()
    for size in {1, shape[-1]}:  # here the windows could be shown without a copy
        col = im2col(x, size, size, stride)
        assert not np.shares_memory(col, x)
        col += 1
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int16])
def test_small_numpy_integers_count_like_any_other(kind, rng):
    x = rng.random((1, 1, 150, 150))
    np.testing.assert_array_equal(
        im2col(x, kind(2), kind(2), kind(100), kind(20)), im2col(x, 2, 2, 100, 20)
    )
    col = rng.random((4, 4))
    np.testing.assert_array_equal(
        col2im(col, x.shape, kind(2), kind(2), kind(100), kind(20)),
        col2im(col, x.shape, 2, 2, 100, 20),
    )


def test_shapes_that_are_refused():
    with pytest.raises(
        ValueError, match=r"4-D.*\(3, 7, 7\).*x\[np.newaxis\], shape \(1, 3, 7, 7\)"
    ):
        im2col(np.zeros((3, 7, 7)), 3, 3)
    with pytest.raises(ValueError, match=r"empty.*\(0, 3, 7, 7\)"):
        im2col(np.zeros((0, 3, 7, 7)), 3, 3)
    with pytest.raises(ValueError, match=r"empty.*\(1, 0, 7, 7\)"):
        im2col(np.zeros((1, 0, 7, 7)), 3, 3)
    with pytest.raises(ValueError, match=r"\(75, 9\).*= \(9, 75\)"):
        col2im(np.zeros((75, 9)), (1, 3, 7, 7), 5, 5)
    with pytest.raises(ValueError, match=r"\(9, 74\).*\(N\*OH\*OW, C\*FH\*FW\) = \(9, 75\)"):
        col2im(np.zeros((9, 74)), (1, 3, 7, 7), 5, 5)
