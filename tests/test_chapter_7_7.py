"""What 7.7 says: its counts by independent arithmetic, its trainings with a margin.

The networks and curves are those of the notebook's own cells, which a reader may change.
"""

import math

import numpy as np
import pytest

from cnnlib.classics import (
    C3_TABLE,
    AlexNet,
    LeNet,
    LeNet5,
    LocalResponseNormalization,
    ScaledTanh,
    Subsampling,
)
from cnnlib.layers import Relu, Sigmoid
from cnnlib.widgets import Explorer
from cnnlib.windows import conv_output_size

from .chapters import once, run
from .explorers import (  # noqa: F401
    test_every_cell_can_be_run_again,
    test_every_explorer_over_its_values,
)

CHAPTER = "7.7"


def names(*wanted):
    return [once("7.7")[0][name] for name in wanted]


def published(net):
    return {row.name: row.parameters for row in net.table() if row.parameters}


# ---- the two networks


def test_lenet_is_built_as_that_of_the_package():
    (lenet,) = names("lenet")
    assert [row[1:] for row in lenet.summary()] == [row[1:] for row in LeNet().summary()]
    assert [row.kind for row in lenet.table()] == [row.kind for row in LeNet().table()]


def test_lenet5_has_the_parameters_of_the_paper():
    (paper,) = names("published")
    assert published(LeNet5(rng=0)) == paper and sum(paper.values()) == 60_000
    by_hand = {"C1": 6 * (25 + 1), "S2": 2 * 6, "S4": 2 * 16, "C5": 120 * (400 + 1)}
    by_hand |= {"C3": (6 * 3 + 9 * 4 + 6) * 25 + 16, "F6": 84 * (120 + 1)}
    assert by_hand == paper


def test_the_filters_of_c3_see_what_is_told():
    seen = [tuple(np.flatnonzero(row)) for row in C3_TABLE]
    assert [len(maps) for maps in seen] == 6 * [3] + 9 * [4] + [6]
    for number, maps in enumerate(seen[:12]):  # neighbours, the last beside the first
        assert set(maps) == {(number + k) % 6 for k in range(len(maps))}
    for maps in seen[12:15]:
        pairs = {(a, b) for a in maps for b in maps if (a + 1) % 6 == b}
        assert len(pairs) == 2


def test_alexnet_has_the_sizes_of_the_paper():
    (alexnet,) = names("alexnet")
    shape = {row.name: row.shape for row in alexnet.table()}
    convolutions = [(96, 55, 55), (256, 27, 27), (384, 13, 13), (384, 13, 13), (256, 13, 13)]
    assert [shape[f"Conv{i}"] for i in range(1, 6)] == convolutions
    assert [shape[f"Affine{i}"] for i in (6, 7, 8)] == [(4096,), (4096,), (1000,)]
    grouped = [layer for layer in alexnet.layers.values() if hasattr(layer, "groups")]
    parameters = sum(published(alexnet).values())
    assert len(grouped) == 3 and parameters == 60_965_224
    assert parameters + sum(layer.W.size for layer in grouped) == 62_378_344


def test_the_new_layers_are_those_named():
    lenet, alexnet, kinds = names("lenet", "alexnet", "kinds")
    new = {"Relu", "Dropout", "LocalResponseNormalization", "GroupedConvolution"}
    assert kinds[alexnet] - kinds[lenet] == new
    assert kinds[alexnet] & kinds[lenet] == {"Convolution", "Pooling", "Affine"}


def test_parameters_sit_in_affine_layers_and_work_in_convolutions():
    (alexnet,) = names("alexnet")
    rows = alexnet.table()
    affine = [row for row in rows if row.kind == "Affine"]
    assert sum(r.parameters for r in affine) > 0.95 * sum(r.parameters for r in rows)
    assert sum(r.multiplications for r in affine) < 0.1 * sum(r.multiplications for r in rows)
    assert affine[0].parameters > sum(r.parameters for r in rows) / 2
    row = {row.name: row for row in rows}["Conv2"]
    assert math.prod(row.shape) == 186_624 and row.multiplications == 186_624 * 5 * 5 * 96 / 2


# ---- the test bench


def test_the_slopes_are_those_told():
    at = np.linspace(-6, 6, 1201)
    slope = {}
    for layer in (Sigmoid(), ScaledTanh(), Relu()):
        layer.forward(at)
        slope[type(layer).__name__] = layer.backward(np.ones_like(at))
    assert np.isclose(slope["Sigmoid"].max(), 1 / 4) and set(slope["Relu"]) == {0, 1}
    assert slope["Sigmoid"].argmax() == slope["ScaledTanh"].argmax() == 600  # at 0
    assert slope["ScaledTanh"].max() > 1 and slope["ScaledTanh"][1000] < 0.03  # at 4
    assert np.allclose(ScaledTanh().forward(np.array([-1.0, 1.0])), [-1, 1], atol=1e-4)


def test_what_ten_and_twenty_layers_leave_of_a_gradient():
    fading, bench = names("fading", "bench")

    def left(name, depth):
        sizes = fading(bench[name][0], depth, bench[name][1])
        assert len(sizes) == depth + 1
        return sizes[-1] / sizes[0]

    assert left("sigmoid", 10) < 4.0**-10
    assert 0.002 < left("sigmoid, 4x weights", 10) < 0.01
    assert min(left(name, 20) for name in ("scaled tanh", "ReLU")) > 0.5
    first, *_, last = fading(Relu, 20, 1)
    assert 1 / 2000 < last / first < 1 / 500


def test_a_sigmoid_sleeps_and_its_own_weights_wake_it():
    (found,) = names("by_activation")
    third = {name: values[2] for name, values in found.items()}
    assert third["sigmoid"] < 0.3 and 0.5 < third["sigmoid, 4x weights"] < 0.9
    assert min(third["scaled tanh"], third["ReLU"]) > 0.92
    assert found["sigmoid"][-1] < 0.8 < 0.88 < found["sigmoid, 4x weights"][-1]


def test_poolings_differ_on_moved_digits_only():
    reading, moved = names("reading", "moved_by")
    ends = np.array([np.array(runs)[:, -1] for runs in reading.values()])
    assert ends.shape == (3, 5) and ends.min() > 0.9
    assert ends.min(axis=1).max() < ends.max(axis=1).min()  # the bands overlap
    thinned, mean, maximum = (moved[way].mean(axis=(0, 1)) for way in reading)
    assert maximum[3] > mean[3] + 0.02 and mean[3] > thinned[3] + 0.02
    assert maximum[3] > thinned[3] + 0.06 and maximum[3] < 0.55
    assert all(each.shape == (5, 4, 4) for each in moved.values())
    pooled, x, t = names("pooled", "x_test", "t_test")
    for way, nets in pooled.items():
        beside = np.pad(x[..., :-3], [(0, 0)] * 3 + [(3, 0)])  # by 3 to the right, by hand
        assert np.isclose(moved[way][0, 0, 3], nets[0].accuracy(beside, t))


def test_dropout_learns_the_rule_first():
    (wrong, right, spoilt), (found,) = names("wrong", "right", "spoilt"), names("accuracies")
    assert np.array_equal(wrong, spoilt != right) and 0.2 < wrong.mean() < 0.4
    end = {name: values[-5:].mean() for name, values in found.items()}
    assert end["train"] > 0.9 and abs(end["train, Dropout"] - (1 - wrong.mean())) < 0.1
    assert end["test, Dropout"] > end["test"] + 0.05 and found["test"].max() > end["test"] + 0.05
    assert end["test, Dropout"] > found["test, Dropout"].max() - 0.05


def test_dropout_catches_up():
    clean, begin = names("clean", "begin")
    ahead = clean["test, Dropout"] - clean["test"]
    assert ahead[:5].mean() < -0.01 and ahead[24 - begin - 4 : 25 - begin].mean() < 0.01
    assert ahead[-5:].mean() > 0


def test_lrn_needs_its_scale_and_changes_nothing_here():
    responses, with_lrn, without_lrn = names("responses", "with_lrn", "without_lrn")
    assert responses.min() >= 0
    for pixels, low in ((1, 0.58), (255, 0)):
        a = responses * pixels
        kept = LocalResponseNormalization().forward(a)[a > 0] / a[a > 0]
        assert low < kept.min() and np.isclose(kept.max(), 2**-0.75, atol=0.01)
    assert kept.min() < 0.15
    assert min(with_lrn, without_lrn) > 0.9 and abs(with_lrn - without_lrn) < 0.04


# ---- what changed, and LeNet-5 as published


def test_the_factors_are_those_told():
    then, now = names("then", "now")
    factor = {name: now[name] / then[name] for name in then}
    assert factor["classes"] == 100 and factor["training images"] == 20
    assert np.isclose(factor["numbers in these images"], 20 * 3 * 227**2 / 32**2)
    assert 2900 < factor["numbers in these images"] < 3100
    assert 1000 < factor["numbers to learn"] < 1100
    assert 190_000 < factor["multiplications, training"] < 210_000
    years = now["multiplications, training"] / then["of these per s, 1 processor"] / 86_400 / 365
    assert 1300 < years < 1400 and 2 < factor["days of training"] < 3
    per_second = factor["days of training"] * 2 * factor["of these per s, 1 processor"]
    assert np.isclose(per_second, factor["multiplications, training"])
    assert 3900 < 512 * 2 * 1.544e9 / (2 * 200e6) < 4000  # by the makers' figures
    assert 0.02 < then["of these per s, 1 processor"] / 200e6 < 0.05


def test_more_data_reads_better():
    (read,) = names("read")
    few, some, all_ = (bars["test"] for bars in read.values())
    assert few + 0.1 < some < all_ - 0.03 and all_ > 0.96


def test_the_answer_to_noisy_or_and_noisy_and():
    windows = np.array([[1.175] * k + [-0.1] * (4 - k) for k in range(5)]).reshape(5, 1, 2, 2)
    settings = [(strength, 0, [False, *4 * [True]]) for strength in range(1, 21)]
    for strength, bias, on in [*settings, (8, -8, [*4 * [False], True])]:
        layer = Subsampling(np.array([strength / 4]), np.array([float(bias)]))
        assert (ScaledTanh().forward(layer.forward(windows)).ravel() > 0).tolist() == on


def test_lenet5_reads_and_paints():
    share, signal, pictures = names("share", "signal", "pictures")
    assert share > 0.9 and signal.shape == (10, 84)
    nearest = ((signal[:, np.newaxis] - pictures[:10].reshape(10, 84)) ** 2).sum(2).argmin(1)
    assert (nearest == np.arange(10)).sum() >= 8


def test_227_divides_and_224_does_not():
    assert (224 - 11) / 4 + 1 == 54.25 and (224 + 2 * 2 - 11) // 4 + 1 == 55
    fits = [w for w in range(225, 240) if (w - 11) % 4 == 0]
    assert fits[0] == 227 and conv_output_size(227, 11, stride=4) == 55
    assert 256 * 5 * 5 == 6400 and AlexNet.small().layers and 256 * 6 * 6 == 9216
    assert names("alexnet")[0].layers["Affine6"].W.shape[0] == 9216


# ---- the reader's changes

QUICK = [
    ("setup-sizes", "(400, 8)", "(80, 20)"),
    ("setup-sizes", "browser=60", "browser=20"),
    ("setup-sizes", "(120, 20, 12)", "(40, 4, 6)"),
    ("setup-sizes", "(120, 8)", "(5, 4)"),
    ("plan-explorer", "AlexNet(rng=0)", "AlexNet(hidden_size=8, rng=0)"),
]
CHANGES = {
    "another bench": [
        ("setup-sizes", "SEEDS = training_size(native=5, browser=1)", "SEEDS = 2"),
        ("lenet-build", 'add_convolution("C1", 6, 5, pad=2)', 'add_convolution("C1", 4, 3, pad=1)'),
        ("fading-explorer", "(Relu, 2**0.5)", "(Relu, 1)"),
        ("pooling-train", "Pooling(1, 1, stride=2)", "Pooling(3, 3, stride=2, pad=1)"),
        ("pooling-shift", '"down": (1, 0), "up": (-1, 0)', '"aslant": (1, 1)'),
        ("dropout-data", "< 0.3", "< 0.6"),
        ("dropout-curves", "(0, 0.5)", "(0.2, 0.8)"),
        ("changed-print", "days=2.5", "days=20"),
    ],
    "one epoch": [
        ("setup-sizes", "EPOCHS = training_size(native=6, browser=3)", "EPOCHS = 1"),
        ("data-load", "epochs=3, seed=0, lr=0.002", "epochs=1, seed=3, lr=0.5"),
        ("dropout-build", '["Act5", "Act6"]', '["Act6"]'),
        ("lrn-train", "k=1.0, alpha=1.0", "n=3, k=2.0, beta=0"),
        ("big-data", "(20, 100, len(x_train))", "(5, 10, 20, 40)"),
    ],
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_reader_may_change_any_number(change):
    changes = {(cell, old): new for cell, old, new in [*QUICK, *CHANGES[change]]}
    _, values = run("7.7", *((*place, new) for place, new in changes.items()))
    explorers = {cell: v for cell, v in values.items() if isinstance(v, Explorer)}
    assert len(explorers) == 7 and not [e.message for e in explorers.values() if e.message]
