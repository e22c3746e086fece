"""What 7.8 says: the sheet of formulas, the walk, the five sentences; and its reader's changes."""

import numpy as np
import pytest

from cnnlib import AlexNet, Convolution, DeepConvNet, LeNet5, SimpleConvNet, SoftmaxWithLoss
from cnnlib.figures import journey
from cnnlib.visualize import feature_maps, receptive_fields
from cnnlib.widgets import DigitPad, Explorer, WindowExplorer
from cnnlib.windows import conv_output_size, im2col

from .chapters import run
from .explorers import (  # noqa: F401
    test_every_cell_can_be_run_again,
    test_every_explorer_over_its_values,
)

CHAPTER = "7.8"


@pytest.fixture
def names(space):
    return space


# ---- the sheet of formulas


def test_sizes_parameters_and_the_matrix_of_im2col():
    rng = np.random.default_rng(7)
    for _ in range(200):
        N, C, FN, FH, FW = (int(n) for n in rng.integers(1, 6, 5))
        H, W, S, P = (int(n) for n in rng.integers((6, 6, 1, 0), (15, 15, 4, 3)))
        OH, OW = (H + 2 * P - FH) // S + 1, (W + 2 * P - FW) // S + 1
        places = range(0, H + 2 * P - FH + 1, S)  # where a window may begin, counted
        assert OH == conv_output_size(H, FH, S, P) == len(places)
        layer = Convolution(np.ones((FN, C, FH, FW)), np.zeros(FN), S, P)
        assert layer.output_shape((C, H, W)) == (FN, OH, OW)
        assert layer.W.size + layer.b.size == FN * (C * FH * FW + 1)
        assert im2col(np.ones((N, C, H, W)), FH, FW, S, P).shape == (N * OH * OW, C * FH * FW)
        assert FH % 2 == 0 or conv_output_size(H, FH, 1, (FH - 1) // 2) == H


def test_parameters_and_multiplications_of_whole_networks():
    rng = np.random.default_rng(8)
    for _ in range(200):
        FN, F, hidden = (int(n) for n in rng.integers((1, 1, 10), (40, 12, 200)))
        OH = 28 - F + 1
        D = FN * (OH // 2) ** 2  # after the pooling
        parameters = FN * (F * F + 1) + hidden * (D + 1) + 10 * (hidden + 1)
        work = FN * F * F * OH**2 + hidden * D + 10 * hidden
        net = SimpleConvNet((1, 28, 28), {"filter_num": FN, "filter_size": F}, hidden, rng=0)
        table = net.table()
        assert sum(row.parameters for row in table) == parameters
        assert sum(row.multiplications for row in table) == work
        assert {row.parameters for row in table if row.kind == "Pooling"} == {0}


def test_softmax():
    rng, layer = np.random.default_rng(9), SoftmaxWithLoss()
    for _ in range(200):
        N, K = (int(n) for n in rng.integers(1, 12, 2))
        s = rng.normal(0, rng.uniform(0.1, 20), (N, K))
        for scores in (s, s + 5):
            layer.forward(scores, np.zeros(N, int))  # the labels do not matter here
            by_hand = [[np.exp(one) / sum(np.exp(row)) for one in row] for row in s]
            assert np.allclose(layer.y, by_hand)


def pixels_seen(stack):
    """Count the pixels from the first to the last that one neuron on top of the stack reads."""
    seen = {0}
    for k, stride in reversed(stack):
        seen = {place * stride + i for place in seen for i in range(k)}
    return max(seen) - min(seen) + 1


def test_receptive_fields():
    rng = np.random.default_rng(10)
    for _ in range(200):
        stack = rng.integers(1, (6, 4), (rng.integers(1, 7), 2)).tolist()  # (window, stride)
        jumps = np.cumprod([1] + [stride for _, stride in stack])
        formula = 1 + sum((k - 1) * int(jump) for (k, _), jump in zip(stack, jumps, strict=False))
        assert receptive_fields(stack)[-1].size == formula == pixels_seen(stack)


# ---- the walk


def test_every_unit_of_the_walk_is_the_networks_own(names):
    compared = 0
    for way in names["ways"]:
        for stop in way:
            for unit in range(stop.units):
                one = journey.unit_of(stop, unit)
                assert np.isclose(one.value, stop.out[one.place], rtol=1e-4, atol=1e-4)
                compared += 1
    assert compared == 10 * (1 + 3 * 30 + 2 * 100 + 2 * 10)


def test_three_units_written_out(names):
    W2, b2 = (names["net"].params[name] for name in ("W2", "b2"))
    pool1, affine1, relu2, affine2, softmax = names["ways"][3][3:]
    assert relu2.out[7] == max(0.0, affine1.out[7])
    weighed = sum(float(a) * float(w) for a, w in zip(pool1.out.ravel(), W2[:, 7], strict=True))
    assert np.isclose(weighed + b2[7], affine1.out[7], atol=1e-3)
    share = np.exp(affine2.out[3]) / sum(np.exp(affine2.out))
    assert np.isclose(share, softmax.out[3], atol=1e-4)


def test_what_the_walk_tells_to_look_for(names):
    ways, W1 = names["ways"], names["net"].params["W1"]
    assert np.corrcoef(W1[2].ravel(), W1[22].ravel())[0, 1] < -0.8  # opposite filters
    assert [int(way[-1].out.argmax()) for way in ways] == [0, 8, 2, 3, 4, 5, 6, 7, 8, 9]
    for_1, for_8 = (journey.unit_of(ways[1][6], unit).terms for unit in (1, 8))
    makes = for_8 - for_1
    assert set(np.argsort(-makes)[:4]) == {47, 54, 27, 44}
    assert all(for_1[k] < 0 < for_8[k] for k in (47, 54, 27, 44))
    assert ways[1][6].out[8] - ways[1][6].out[1] > makes.max()  # without any one it is still an 8


@pytest.mark.parametrize("rows", [slice(0, 9), slice(17, 24)], ids=["upper", "lower"])
def test_filter_22_turns_in_the_middle_of_a_level_stroke(names, rows):
    conv = names["ways"][3][1]
    answers, column = conv.out[22, rows, 9], names["digits"][3, 0, :, 11]
    (turn,) = np.flatnonzero((answers[:-1] < 0) & (answers[1:] > 0))
    assert (answers[:turn] < 0.1).all() and (answers[turn + 1 :] > 0.1).all()
    below = rows.start + turn + 1
    seen = np.arange(rows.start, below + 5)
    middle = seen @ column[seen] / column[seen].sum()  # of the ink
    assert abs(below - 0.5 + 2 - middle) < 1  # a window's middle is two rows below its first


def test_the_broad_1_is_read_when_it_is_narrower(names):
    squeeze = names["squeeze"]
    for width, simple, deeper in ((120, 8, 0), (100, 8, 1), (85, 8, 1), (80, 1, 1), (60, 1, 1)):
        alt = squeeze(width).alt
        assert f"this network: {simple}," in alt and f"the deeper one: {deeper}," in alt
    p = names["ways"][1][-1].out
    assert p[8] > 0.8 and "this network: 8, 9" in squeeze(100).alt


def test_the_convolution_works_as_much_as_the_affine_layer(names):
    table = {row.name: row for row in names["net"].table()}
    conv, affine = table["Conv1"], table["Affine1"]
    assert conv.multiplications == affine.multiplications == 432_000
    learnt = sum(row.parameters for row in table.values())
    assert 1 / 600 < conv.parameters / learnt < 1 / 500
    stops = names["ways"][0]
    assert sum(row.multiplications for row in table.values()) == sum(
        stop.multiplications for stop in stops
    )


# ---- the five sentences


def test_the_new_layers_are_two(names):
    assert names["new"] == ["Convolution", "Pooling"]


def test_maps_move_along_and_only_training_makes_the_scores_steady(names):
    net, digits, moved = names["net"], names["digits"], names["moved"]
    before, after = feature_maps(net, digits)["Conv1"], feature_maps(net, moved)["Conv1"]
    assert np.allclose(after[..., 1:], before[..., :-1], atol=1e-5)
    learnt = names["learnt"]
    assert learnt["Relu1"] > learnt["Pool1"] > learnt["Affine1"] > learnt["Affine2"]
    assert learnt["Pool1"] > learnt["image"]
    controls = [names["changes"](SimpleConvNet(rng=seed), moved) for seed in range(5)]
    assert all(c["Relu1"] > c["Pool1"] for c in controls)
    steady = [c["Affine2"] for c in controls]
    assert 0.245 < min(steady) and max(steady) < 0.375 and learnt["Affine2"] < 0.15


def test_im2col_gives_what_the_layers_give_and_is_fast(names):
    outputs = names["outputs"]
    out, largest = names["out"], names["largest"]
    maps = out.reshape(10, 24, 24, 30).transpose(0, 3, 1, 2)
    assert np.allclose(maps, outputs["Conv1"], atol=1e-4)
    pooled = largest.reshape(10, 12, 12, 30).transpose(0, 3, 1, 2)
    assert np.array_equal(pooled, outputs["Pool1"])
    assert names["loops"] > 20 * names["product"]


def test_only_a_trained_network_tells_the_digit_more_openly_with_depth(names):
    trained, pixels = names["trained"], names["pixels"]
    assert pixels < trained["Pool1"] < trained["Pool2"] < trained["Pool3"]
    assert trained["Pool3"] > pixels + 0.05 and trained["Affine2"] < trained["Pool3"] - 0.02
    fields = {field.name: field.size for field in receptive_fields(names["deep"])}
    assert fields["Pool1"] < fields["Pool2"] < 28 < fields["Pool3"]
    controls = [names["readable"](DeepConvNet(rng=seed)) for seed in range(5)]
    assert all(0.83 < c["Pool3"] < 0.89 and 0.56 < c["Affine2"] < 0.62 for c in controls)


def test_the_nearest_mean_fails_where_all_scores_are_small(names):
    t, t_known = names["t_test"], names["t_train"][:500]
    known, asked = (
        feature_maps(names["deep"], x)["Affine2"] for x in (names["x_train"][:500], names["x_test"])
    )

    def means(known):
        return np.stack([known[t_known == digit].mean(axis=0) for digit in range(10)])

    def read(known, asked):
        return ((asked[:, np.newaxis] - means(known)) ** 2).sum(axis=2).argmin(axis=1)

    def centred(scores):
        return scores - scores.mean(axis=1, keepdims=True)

    def direction(scores):
        return centred(scores) / np.linalg.norm(centred(scores), axis=1, keepdims=True)

    smallest = np.argsort(np.linalg.norm(centred(means(known)), axis=1))[:2]
    said = read(known, asked)
    by_mean_only = (said != t) & (asked.argmax(axis=1) == t)  # the largest score is right
    assert by_mean_only.sum() > 10
    assert set(said[by_mean_only]) == set(smallest) == {1, 9}
    size = np.linalg.norm(centred(asked), axis=1)
    assert np.median(size[by_mean_only]) < 0.6 * np.median(size[said == t])
    assert f"{(read(direction(known), direction(asked)) == t).mean():.0%}" == "96%"


def test_both_classics_begin_and_end_alike():
    letters = {"Convolution": "C", "TableConvolution": "C", "Pooling": "P", "Subsampling": "P"}
    letters |= {"Affine": "F", "RBF": "F"}
    for net in (LeNet5(rng=0), AlexNet.small(rng=0)):
        chain = "".join(letters.get(row.kind, "") for row in net.table())
        assert chain.startswith("CPCPC") and chain.endswith("F") and "FC" not in chain


def test_more_known_digits_are_better_in_any_order(names):
    x, t = names["x_train"].reshape(1437, -1), names["t_train"]
    asked, wanted = names["x_test"].reshape(360, -1), names["t_test"]
    distances = (x**2).sum(axis=1) - 2 * asked @ x.T
    shares = []
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(1437)
        found = [t[order[:n]][distances[:, order[:n]].argmin(axis=1)] for n in (20, 100, 1437)]
        few, more, most = (np.mean(said == wanted) for said in found)
        assert few + 0.1 < more < most - 0.05
        shares.append(few)
    assert 0.55 < min(shares) and max(shares) < 0.73


# ---- the reader's changes

CHANGES = {
    "other digits, further moves, other layers": {
        "data": ("== digit)[0]", "== digit)[1]"),
        "end_narrow": ("digits[1, 0]", "digits[8, 0]"),
        "by_hand_run": ("digit = 3", "digit = 5"),
        "claim_1_shift": ("np.roll(digits, 1", "np.roll(digits, 5"),
        "claim_3_measure": ('"Pool1", "Pool2"', '"Relu2", "Conv4"'),
        "claim_5_proof": ("20, 100", "5, 30, 400"),
    },
    "other settings, other windows, another control": {
        "walk_explorer": ('"digit": 3, "unit": 22', '"digit": 7, "unit": 2'),
        "conv_window_explorer": ("W1[22], b1[22]", "W1[5], b1[5]"),
        "pool_window_explorer": ("ways[3][3].x[22]", "ways[4][3].x[1]"),
        "claim_3_read": ("rng=0", "rng=3"),
    },
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_reader_may_change_any_number(change):
    edits = [(cell.replace("_", "-"), *edit) for cell, edit in CHANGES[change].items()]
    _, values = run("7.8", *edits)
    shown = {name for name, v in values.items() if isinstance(v, Explorer | WindowExplorer)}
    assert shown == {
        "walk-explorer", "end-narrow", "conv-window-explorer", "pool-window-explorer"
    }  # fmt: skip
    assert not [name for name in shown if values[name].message]


def test_an_own_digit_goes_on_the_walk():
    names, _ = run("7.8")
    pad = DigitPad(names["net"])
    pad.image = names["x_test"][17, 0]
    names["ways"][0] = journey.stops(names["net"], pad.centred)
    names["walker"].set(digit=1).set(digit=0, step=7)
    assert not names["walker"].message
    said = names["net"].predict(pad.centred[np.newaxis])[0].argmax()
    assert f"the network says {said}" in names["walker"].figure.alt
    assert np.array_equal(names["conv_view"].input, pad.centred[0])
