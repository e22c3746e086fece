"""The way of a digit, layer by layer: what is written down is what the network computes."""

import itertools

import numpy as np
import pytest

from cnnlib import DeepConvNet, LeNet, SimpleConvNet, load_digits28, load_trained, naive
from cnnlib.figures import journey, style

from .test_figures import check, check_layout, matrix, numbers, texts

NET = load_trained("simple")
DIGITS = load_digits28()[1][0][:4]
WAYS = [journey.stops(NET, digit) for digit in DIGITS]
NAMES = ["input", "Conv1", "Relu1", "Pool1", "Affine1", "Relu2", "Affine2", "Softmax"]
SMALL = SimpleConvNet(
    (1, 12, 9), {"filter_num": 3, "filter_size": 4, "stride": 2}, 7, 4, weight_init_std=0.5, rng=1
)
OBLONG = np.random.default_rng(0).random((1, 12, 9))


def written(figure):
    """Read the written sum back, line by line."""
    lines = {
        t.get_gid(): t.get_text() for t in texts(figure) if (t.get_gid() or "").startswith("line")
    }
    return [lines[f"line[{k}]"] for k in range(len(lines))]


def last_number(text):
    return float(text.replace("−", "-").split()[-1].rstrip(")"))


def test_the_way_is_that_of_the_network():
    for digit, way in zip(DIGITS, WAYS, strict=True):
        assert [stop.name for stop in way] == NAMES
        assert np.array_equal(way[0].out, digit)
        assert np.array_equal(way[-2].out, NET.predict(digit[np.newaxis])[0])
        assert np.array_equal(way[-1].out, NET.probabilities(digit[np.newaxis])[0])
        for before, stop in itertools.pairwise(way):
            assert stop.x is before.out
        assert [s.multiplications for s in way[:-1]] == [r.multiplications for r in NET.table()]


@pytest.mark.parametrize("step", range(8), ids=NAMES)
def test_each_unit_by_hand_is_the_layers_own(step):
    for way in [*WAYS, journey.stops(SMALL, OBLONG)]:
        stop = way[step]
        for unit in range(stop.units):
            one = journey.unit_of(stop, unit)
            assert one.place[0] == unit
            assert np.isclose(one.value, stop.out[one.place], rtol=1e-4, atol=1e-4)


def test_units_read_what_the_plain_loops_read():
    conv, relu, pool = journey.stops(SMALL, OBLONG)[1:4]
    loops = naive.convolve(OBLONG[np.newaxis], SMALL.params["W1"], SMALL.params["b1"], 2)[0]
    pooled = naive.max_pool(np.maximum(0, loops)[np.newaxis], 2, 2, 2)[0]
    for unit in range(3):
        one = journey.unit_of(conv, unit)
        assert one.seen.shape == one.terms.shape == (4, 4)
        assert np.isclose(one.value, loops[one.place]) and np.isclose(one.value, loops[unit].max())
        assert journey.unit_of(relu, unit).place == one.place
        one = journey.unit_of(pool, unit)
        assert one.seen.shape == (2, 2) and np.isclose(one.value, pooled[unit].max())


@pytest.mark.parametrize("step", range(8), ids=NAMES)
def test_every_step_can_be_drawn_on_the_same_room(step):
    sizes = set()
    for way in WAYS[:2]:
        for unit in {*range(0, way[step].units, 9), way[step].units - 1}:
            figure = journey.draw_stop(way, step, unit)
            check(figure)
            sizes.add(style.size(figure))
            assert f"Step {step} of 7" in figure.alt
    assert sizes == {(900, 624)}


@pytest.mark.parametrize("step", range(8), ids=NAMES)
@pytest.mark.parametrize("number", range(4))
def test_no_text_covers_another(number, step):
    units = WAYS[number][step].units
    for unit in {0, 1, units // 2, units - 1} & set(range(units)):
        check_layout(journey.draw_stop(WAYS[number], step, unit))
    check_layout(journey.draw_stop(journey.stops(SMALL, OBLONG), step, 0))


@pytest.mark.parametrize("unit", [0, 7, 22, 29])
def test_the_numbers_of_a_convolution_are_those_written(unit):
    way = WAYS[3]
    one, stop = journey.unit_of(way[1], unit), way[1]
    figure = journey.draw_stop(way, 1, unit)
    for name, values in (
        ("window of x", one.seen),
        (f"filter {unit}", NET.params["W1"][unit, 0]),
        ("products", one.seen * NET.params["W1"][unit, 0]),
    ):
        assert np.abs(matrix(numbers(figure, name)) - values).max() <= 0.0051
    products, bias, together = (last_number(line) for line in written(figure))
    assert abs(products + bias - stop.out[one.place]) <= 0.011
    assert abs(together - stop.out[one.place]) <= 0.0051
    places = np.argwhere(stop.out[unit] == stop.out[unit].max())
    assert list(one.place[1:]) in places.tolist()


def test_weights_and_products_are_red_above_zero_and_blue_below():
    one = journey.unit_of(WAYS[3][1], 22)
    assert NET.params["W1"][22].min() < 0 < NET.params["W1"][22].max()
    *_, weights, products = journey.draw_stop(WAYS[3], 1, 22).axes[0].collections
    for cells, values in ((weights, NET.params["W1"][22, 0]), (products, one.terms)):
        red, _, blue, _ = cells.get_facecolors().T
        clear = np.abs(values.ravel()) > 0.05 * np.abs(values).max()
        assert np.array_equal((red > blue)[clear], (values.ravel() > 0)[clear])


@pytest.mark.parametrize(("step", "units"), [(4, 100), (6, 10)])
def test_the_bars_and_the_bias_of_an_affine_unit_add_up(step, units):
    for unit in range(0, units, 3):
        up, down, bias, together = map(last_number, written(journey.draw_stop(WAYS[0], step, unit)))
        assert up >= 0 >= down
        assert abs(up + down + bias - together) <= 0.021
        assert abs(together - WAYS[0][step].out[unit]) <= 0.0051


@pytest.mark.parametrize("step", [2, 3, 5])
def test_relu_and_pooling_write_their_result(step):
    for unit in range(0, WAYS[1][step].units, 3):
        result = last_number(written(journey.draw_stop(WAYS[1], step, unit))[-1])
        assert abs(result - WAYS[1][step].out[journey.unit_of(WAYS[1][step], unit).place]) <= 0.0051


def test_the_table_of_the_softmax_holds_the_ten_probabilities():
    figure = journey.draw_stop(WAYS[2], 7, 5)
    for k, share in enumerate(WAYS[2][-1].out):
        *_, text = [t.get_text() for t in texts(figure) if t.get_gid() == f"softmax[{k}]"]
        assert text == style.percent(share)
    said = int(NET.predict(DIGITS[2:3]).argmax())
    assert f"the network says {said}" in figure.alt


def test_costs_are_written():
    words = " ".join(t.get_text() for t in texts(journey.draw_stop(WAYS[0], 1)))
    assert "30 filters x 25 weights x 576 positions = 432,000 multiplications" in words
    words = " ".join(t.get_text() for t in texts(journey.draw_stop(WAYS[0], 3)))
    comparisons = 3 * WAYS[0][3].out.size
    assert (
        f"no multiplications: 4,320 windows of 4 numbers, and {comparisons:,} comparisons" in words
    )


def test_what_cannot_be_shown_is_refused():
    image = DIGITS[0]
    with pytest.raises(ValueError, match=r"Conv2: only convolutions on one channel"):
        journey.stops(DeepConvNet(rng=0), image)
    with pytest.raises(ValueError, match=r"C1: only convolutions on one channel.*without padding"):
        journey.stops(LeNet(rng=0), image)
    with pytest.raises(ValueError, match=r"\(1, 28, 28\)"):
        journey.stops(NET, image[:, :20])
    with pytest.raises(ValueError, match="steps 0 to 7, got 8"):
        journey.draw_stop(WAYS[0], 8)
    with pytest.raises(ValueError, match="Affine2 has units 0 to 9, got 10"):
        journey.unit_of(WAYS[0][6], 10)
    with pytest.raises(ValueError, match="got -1"):
        journey.draw_stop(WAYS[0], 4, -1)
