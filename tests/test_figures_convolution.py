"""Pictures of section 7.2: operations as a whole, tables of sizes, blocks, photographs."""

import re

import numpy as np
import pytest

from cnnlib import naive
from cnnlib.figures import charts, convolution, curves, seeing, style

from .test_figures import check as check_figure
from .test_figures import check_layout, texts

RNG = np.random.default_rng(0)
X4 = np.array([[1, 2, 3, 0], [0, 1, 2, 3], [3, 0, 1, 2], [2, 3, 0, 1]])
W3 = np.array([[2, 0, 1], [0, 1, 2], [1, 0, 2]])
EDGE = np.array([[-1, 0, 1]] * 3)
STEPS = 10.0 ** -np.arange(31)


def ints(*shape, low=-2, high=10):
    return RNG.integers(low, high, shape)


def numbers(figure, name):
    """Read all numbers of the grids of one name, in the order in which they were drawn."""
    pattern = re.escape(name) + r"\[\d+(,\d+)?\]"
    drawn = [t for t in texts(figure) if re.fullmatch(pattern, t.get_gid() or "")]
    return [float(t.get_text().replace("−", "-")) for t in drawn]


def check(figure):
    """Assert that a figure has its size and its sentence, and that no text is cut or covered."""
    check_figure(figure)
    check_layout(figure)
    width, height = style.size(figure)
    assert width <= style.MAX_WIDTH
    assert height <= 700


CASES = {
    "operation": (convolution.operation, (X4, W3)),
    "operation with bias": (convolution.operation, (X4, W3, -3)),
    "operation, padded": (convolution.operation, (X4, W3, 3, 1, 1)),
    "operation, uncovered": (convolution.operation, (ints(7, 7), W3, 0, 3)),
    "operation of 1": (convolution.operation, ([[2]], [[3]])),
    "operation of fractions": (convolution.operation, (X4 / 3, W3 / -7, 0.25)),
    "operation on 28 x 28": (convolution.operation, (ints(28, 28), ints(5, 5), 1)),
    "operation of 3 channels": (convolution.operation, (ints(3, 4, 4), ints(3, 3, 3))),
    "operation of 4 channels": (convolution.operation, (ints(4, 5, 5), ints(4, 3, 3), 2)),
    "as_matrix": (convolution.as_matrix, (ints(3, 3), (4, 4))),
    "flipping": (convolution.flipping, (X4, W3)),
    "flipping, flat": (convolution.flipping, (ints(6, 6), ints(1, 4))),
    "flipping, symmetric": (convolution.flipping, (X4, np.ones((2, 2)))),
    "block": (convolution.blocks, (64, 64, 64, 1, 1, 1, 1, 0, 1, False)),
    "blocks without bias": (convolution.blocks, (64, 64, 64, 64, 11, 11, 4, 5, 1, False)),
    "blocks of a batch": (convolution.blocks, (16, 32, 32, 32, 5, 5, 1, 0, 64)),
    "photograph": (seeing.photograph, (RNG.random((150, 128)), EDGE)),
    "photograph, blurred": (seeing.photograph, (RNG.random((150, 128)), np.full((5, 5), 0.04))),
    "photograph, small": (seeing.photograph, (RNG.random((9, 5)), [[1.5]])),
    "photograph, black": (seeing.photograph, (np.zeros((9, 5)), EDGE)),
    "mixing": (seeing.mixing, (RNG.random((3, 75, 64)), [0.3, 0.6, 0.1])),
    "mixing, signed": (seeing.mixing, (RNG.random((3, 75, 64)), [1, -1, 0])),
    "mixing nothing": (seeing.mixing, (np.zeros((3, 150, 300)), [0, 0, 0])),
    "accuracies": (charts.accuracies, ({"one": {"a": 0, "b": 1}, "two": {"a": 0.53, "b": 0.1}},)),
    "accuracy": (charts.accuracies, ({"a long name of a network": {"as it is": 0.991}},)),
    "learning": (curves.filter_learning, (EDGE, RNG.normal(size=(31, 3, 3)), STEPS, 30)),
    "learning, first": (curves.filter_learning, ([[1]], [[[0]]], [0.5], 0)),
    "learning nothing": (curves.filter_learning, ([[1]], [[[1]]], [1], 0)),
    "learning, large": (curves.filter_learning, (ints(5, 5), ints(31, 5, 5) * -9, STEPS, 1)),
}


@pytest.mark.parametrize("case", CASES)
def test_every_figure_fits_its_card(case):
    function, arguments = CASES[case]
    check(function(*arguments))


@pytest.mark.parametrize(("stride", "pad", "b"), [(1, 0, 0), (1, 1, 3), (2, 1, -1), (3, 2, 0.5)])
def test_operation_writes_the_numbers_of_the_plain_loops(stride, pad, b):
    x, W = ints(4, 5, low=0, high=4), ints(3, 2, low=0, high=4)
    out = naive.convolve(x[None, None].astype(float), W[None, None], 0, stride, pad)[0, 0]
    figure = convolution.operation(x, W, b, stride, pad)
    assert numbers(figure, "input x") == [*x.flat]
    assert numbers(figure, "filter W") == [*W.flat]
    assert numbers(figure, "output") == [*(out + b).flat]
    assert numbers(figure, "sums") == [*(out.flat if b else ())]
    assert numbers(figure, "bias b") == [b] * (b != 0)


def test_operation_on_the_numbers_of_the_source():
    assert convolution.operation(X4, W3).alt.endswith("[15 16] [6 15].")
    assert convolution.operation(X4, W3, 3).alt.endswith("[18 19] [9 18].")


def test_operation_adds_the_channels():
    x, W = ints(3, 5, 4), ints(3, 2, 3)
    out = naive.convolve(x[None].astype(float), W[None])[0, 0]
    figure = convolution.operation(x, W)
    assert numbers(figure, "input x") == [*x[0].flat]  # in front: channel 0
    assert numbers(figure, "filter W") == [*W[0].flat]
    assert numbers(figure, "output") == [*out.flat]
    assert "(3, 5, 4)" in figure.alt


def test_flipping_is_the_convolution_of_another_library():
    signal = pytest.importorskip("scipy.signal")
    x, W = ints(6, 5), ints(3, 2)
    both = numbers(convolution.flipping(x, W), "output")
    assert both[: len(both) // 2] == [*signal.correlate2d(x, W, mode="valid").flat]
    assert both[len(both) // 2 :] == [*signal.convolve2d(x, W, mode="valid").flat]


@pytest.mark.parametrize("shape", [(4, 4), (3, 5), (5, 3)])
def test_the_matrix_times_the_flattened_image_is_the_convolution(shape):
    x, W = ints(*shape), ints(3, 2)
    tied = np.array(numbers(convolution.as_matrix(W, shape), "convolution"))
    out = tied.reshape(-1, x.size) @ x.ravel()
    assert np.array_equal(out, naive.convolve(x[None, None] * 1.0, W[None, None] * 1.0).ravel())


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("N", [1, 2, 64])
@pytest.mark.parametrize("FN", [1, 3, 64])
@pytest.mark.parametrize("C", [1, 64])
def test_blocks_carry_the_shapes(C, FN, N, bias):
    figure = convolution.blocks(C, 16, 12, FN, 5, 3, 1, 1, N, bias)
    check(figure)
    written = [t.get_text() for t in texts(figure)]
    batch = (N,) if N > 1 else ()
    alone = FN == N == 1 and not bias
    assert str((*batch, C, 16, 12)) in written
    assert str((C, 5, 3) if alone else (FN, C, 5, 3)) in written
    assert (str((FN, 1, 1)) in written) == bias
    assert written.count(str((*batch, FN, 14, 12))) == 1 + bias


def test_a_flat_area_is_multiplied_by_the_sum_of_the_filter():
    image = np.full((9, 9), 0.5)
    assert "add up to 0" in seeing.photograph(image, EDGE).alt
    assert "signed" in seeing.photograph(image, EDGE).alt
    assert "brightness" in seeing.photograph(image, [[1]]).alt
    assert "2 times" in seeing.photograph(image, [[1, 1]]).axes[0].texts[0].get_text()


def test_mixing_writes_its_weights():
    figure = seeing.mixing(RNG.random((3, 9, 8)), [0.3, -0.6, 0.1])
    assert numbers(figure, "weight") == [0.3, -0.6, 0.1]


def test_accuracies_are_written():
    figure = charts.accuracies({"net": {"as written": 0.826, "shuffled": 0.5}}, "A message")
    assert {"83 %", "50 %", "net", "shuffled", "A message"} <= {t.get_text() for t in texts(figure)}


def test_a_filter_is_found_when_it_is_near():
    filters = np.stack([EDGE * 0.5, EDGE + 0.01])
    for step, sign in ((0, "≠"), (1, "≈")):
        figure = curves.filter_learning(EDGE, filters, [1, 0.1], step)
        assert sign in {t.get_text() for t in texts(figure)}


@pytest.mark.parametrize(
    ("function", "arguments", "sentence"),
    [
        (convolution.operation, (X4, W3[None]), "both"),
        (convolution.operation, (ints(3, 4, 4), ints(2, 3, 3)), "3 channels and the filter has 2"),
        (convolution.operation, (ints(5, 4, 4), ints(5, 3, 3)), "1 to 4 channels, got 5"),
        (convolution.operation, (ints(2, 4, 4), ints(2, 3, 3), 0, 1, 1), "without padding"),
        (convolution.operation, (X4, ints(5, 5)), "does not fit"),
        (convolution.flipping, (X4[0], W3), "2-D"),
        (seeing.photograph, (RNG.random((3, 9, 9)), EDGE), "2-D"),
        (seeing.mixing, (RNG.random((4, 9, 9)), [1, 1, 1]), "must be"),
        (seeing.mixing, (RNG.random((3, 9, 9)), [1, 1]), "one weight"),
        (charts.accuracies, ({},), "at least one"),
        (charts.accuracies, ({"one": {"a": 1}, "two": {"b": 1}},), "the same cases"),
        (charts.accuracies, ({"one": {"a": 1.2}},), "between 0 and 1"),
        (charts.accuracies, ({"one": dict.fromkeys("abcde", 1)},), "1 to 4"),
        (curves.filter_learning, (EDGE, [EDGE], [1, 1], 0), "expected 2 filters"),
        (curves.filter_learning, (EDGE, [EDGE], [1], 1), "0 to 0"),
        (curves.filter_learning, (EDGE, [EDGE], [0.0], 0), "positive"),
    ],
)
def test_what_cannot_be_drawn_is_said(function, arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        function(*arguments)
