"""The shape calculator: its numbers are those of the network that it builds."""

import numpy as np
import pytest

from cnnlib.visualize import receptive_fields
from cnnlib.widgets import ShapeCalculator
from cnnlib.widgets.shape_calculator import CONVOLUTION, NONE, POOLING


def fields(calculator, number):
    return calculator._lines[number - 1].fields


def offers(calculator):
    return {button.description: button for button in calculator._offers.children}


def columns(calculator):
    """Read the last column of the table, what one element sees."""
    _, _, *rows = calculator._table.value.split("<tr>")
    return [row.split("<td>")[-1].split("</td")[0] for row in rows]


def random_layers(rng):
    layers = []
    for _ in range(rng.integers(1, 6)):
        FH = int(rng.integers(1, 5))
        layer = {"FH": FH, "S": int(rng.integers(1, 3)), "P": int(rng.integers(0, FH))}
        if rng.random() < 0.6:
            layer["FN"] = int(rng.integers(1, 5))
        layers.append(layer)
    return layers


@pytest.mark.parametrize("seed", range(20))
def test_shapes_weights_and_products_are_those_of_the_network(seed):
    rng = np.random.default_rng(seed)
    input_dim = (int(rng.integers(1, 4)), *map(int, rng.integers(12, 30, size=2)))
    calculator = ShapeCalculator(input_dim, random_layers(rng), output_size=3)
    if "not possible" in calculator.message:
        with pytest.raises(ValueError) as raised:
            calculator.network()
        told = calculator.message.replace(" is not possible", "").rstrip(".")
        assert told.endswith(str(raised.value))
        return
    network = calculator.network(rng=0)
    table = [row for row in network.table() if row.kind != "Relu"]
    assert calculator.rows == table
    x = rng.random((2, *input_dim)).astype(np.float32)
    assert network.predict(x).shape == (2, 3)
    named = {row.name for row in table}
    sizes = [field.size for field in receptive_fields(network) if field.name in named][:-1]
    assert columns(calculator)[1:-1] == [f"{size} x {size}" for size in sizes]


def test_what_one_element_sees():
    layers = [{"FN": 4, "FH": 3}, {"FN": 4, "FH": 3}, {"FH": 2, "S": 2}]
    calculator = ShapeCalculator((1, 28, 28), layers)
    assert columns(calculator) == ["1 x 1", "3 x 3", "5 x 5", "6 x 6", "all"]


def test_offers_let_the_stride_divide():
    calculator = ShapeCalculator(layers=[{"FN": 2, "FH": 6}, {"FH": 2, "S": 2}])
    assert calculator.message.startswith("Pool1: (23 + 2*0 - 2) / 2 + 1 = 11.50")
    assert set(offers(calculator)) == {"Pool1: stride 1", "Pool1: filter 1"}
    offers(calculator)["Pool1: stride 1"].click()
    assert calculator.layers[1] == {"FH": 2, "S": 1, "P": 0}
    assert calculator.message == "" and not offers(calculator)


@pytest.mark.parametrize("seed", range(10))
def test_every_offer_divides(seed):
    rng = np.random.default_rng(seed)
    layer = {"FN": 1, "FH": int(rng.integers(1, 7)), "S": int(rng.integers(2, 7)), "P": 1}
    input_dim = (1, *map(int, rng.integers(8, 20, size=2)))
    count = len(ShapeCalculator(input_dim, [layer])._offers.children)
    for k in range(count):
        calculator = ShapeCalculator(input_dim, [layer])
        left = calculator.message.split(":")[1]
        calculator._offers.children[k].click()
        assert not calculator.message or calculator.message.split(":")[1] != left
        if input_dim[1] == input_dim[2]:
            assert calculator.message == ""


def test_an_impossible_layer_is_named_and_the_rows_before_it_stay():
    calculator = ShapeCalculator()
    fields(calculator, 2)["P"].value = 2
    assert calculator.message.startswith("Pool1 is not possible: pad 2 must be smaller")
    assert [row.name for row in calculator.rows] == ["input", "Conv1"]
    with pytest.raises(ValueError, match="pad 2"):
        calculator.network()
    fields(calculator, 2)["P"].value = 0
    assert [row.name for row in calculator.rows] == ["input", "Conv1", "Pool1", "Affine1"]


def test_layers_are_added_turned_and_taken_away_by_their_menus():
    calculator = ShapeCalculator()
    third = calculator._lines[2]
    assert all(field.disabled for field in third.fields.values())
    third.kind.value = CONVOLUTION
    assert calculator.rows[3][:3] == ("Conv2", "Convolution", (16, 10, 10))
    third.kind.value = POOLING
    assert third.fields["FN"].disabled and not third.fields["FH"].disabled
    assert calculator.rows[3][:3] == ("Pool2", "Pooling", (30, 10, 10))
    third.kind.value = NONE
    assert calculator.layers == [{"FN": 30, "FH": 5, "S": 1, "P": 0}, {"FH": 2, "S": 2, "P": 0}]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"input_dim": (28, 28)}, r"\(C, H, W\).*\(28, 28\)"),
        ({"input_dim": (1, 28, 1000)}, "W must be at most 512, got 1000"),
        ({"layers": [{"FH": 2}] * 6}, "at most 5 layers"),
        ({"layers": [{"filters": 2}]}, "filters"),
        ({"layers": [{"FN": 2.5, "FH": 3}]}, "FN must be a whole number, got 2.5"),
        ({"output_size": 0}, "output_size must be at least 1"),
    ],
)
def test_wrong_settings_are_refused_with_their_values(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        ShapeCalculator(**settings)


def test_what_a_saved_notebook_shows():
    calculator = ShapeCalculator()
    data, _ = calculator._repr_mimebundle_()
    assert "Conv1: (30, 24, 24), 780 weights" in data["text/plain"]
    assert "<table" in data["text/html"] and "(30, 12, 12)" in data["text/html"]
