"""LeNet-5 as published, and convolutions whose filters see some of the channels."""

import numpy as np
import pytest

from cnnlib import Adam, check_gradient, gradient_check, load_digits28, naive
from cnnlib.lenet import (
    C3_TABLE,
    DIGIT_CODES,
    RBF,
    LeNet5,
    RBFLoss,
    ScaledTanh,
    Subsampling,
    lenet5_input,
)
from cnnlib.networks import Stack
from cnnlib.partial import GroupedConvolution, TableConvolution


def layers_with_input(rng):
    normal = rng.standard_normal
    table = rng.random((4, 3)) < 0.6
    table[0] = False, True, False
    groups = int(rng.integers(1, 4))
    return [
        (Subsampling(normal(3), normal(3)), normal((2, 3, 5, 4))),
        (ScaledTanh(), normal((2, 3, 2))),
        (RBF(normal((4, 6))), normal((3, 6))),
        (
            GroupedConvolution(normal((2 * groups, 2, 3, 2)), normal(2 * groups), 2, 1, groups),
            normal((2, 2 * groups, 5, 6)),
        ),
        (
            TableConvolution(normal((table.sum(), 2, 3)), normal(4), table, 1, 1),
            normal((2, 3, 5, 4)),
        ),
    ]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("which", range(5))
def test_backward_equals_differences(seed, which):
    rng = np.random.default_rng(seed)
    layer, x = layers_with_input(rng)[which]
    dout = rng.standard_normal(layer.forward(x).shape)
    before = dout.copy()
    dx = layer.backward(dout)

    def weighted(_):
        return (layer.forward(x, train_flg=False) * dout).sum()

    reports = [check_gradient(weighted, x, dx, "dx")]
    if hasattr(layer, "W"):
        reports += [check_gradient(weighted, layer.W, layer.dW, "dW")]
        reports += [check_gradient(weighted, layer.b, layer.db, "db")]
    assert all(report.ok for report in reports), [str(report) for report in reports]
    np.testing.assert_array_equal(dout, before)


@pytest.mark.parametrize("which", range(5))
def test_dtype_shape_rule_and_inference(which):
    layer, x = layers_with_input(np.random.default_rng(5))[which]
    out = layer.forward(x.astype(np.float32))
    assert out.dtype == layer.backward(out).dtype == np.float32
    assert layer.output_shape(x.shape[1:]) == out.shape[1:]
    np.testing.assert_array_equal(layer.forward(x.astype(np.float32), train_flg=False), out)
    with pytest.raises(RuntimeError, match="has nothing to go back through"):
        layer.backward(out)


def test_subsampling_with_a_quarter_is_the_mean(rng):
    x = rng.standard_normal((2, 3, 5, 7))
    mean = Subsampling(np.full(3, 0.25), np.zeros(3)).forward(x)
    np.testing.assert_allclose(mean, naive.average_pool(x, 2, 2, stride=2))
    W, b = np.array([1.0, -2.0, 0.5]), np.array([0.0, 1.0, -1.0])
    np.testing.assert_allclose(
        Subsampling(W, b).forward(x)[1, 1, 0, 2], -2 * x[1, 1, :2, 4:6].sum() + 1
    )


def test_scaled_tanh_meets_one_at_one():
    x = np.array([-1e9, -1, 0, 1, 1e9])
    expected = [-1.7159, -1, 0, 1, 1.7159]
    np.testing.assert_allclose(ScaledTanh().forward(x), expected, atol=1e-5)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_groups_equal_the_loops_on_their_channels(groups, rng):
    x = rng.standard_normal((2, 8, 6, 5))
    W, b = rng.standard_normal((4, 8 // groups, 3, 3)), rng.standard_normal(4)
    out = GroupedConvolution(W, b, 2, 1, groups).forward(x)
    assert out.shape == (2, 4, 3, 3)
    for f in range(4):
        g = f // (4 // groups)
        channels = x[:, g * 8 // groups : (g + 1) * 8 // groups]
        expected = naive.convolve(channels, W[f : f + 1], b[f : f + 1], 2, 1)
        np.testing.assert_allclose(out[:, f : f + 1], expected, rtol=1e-10)


def test_groups_equal_torch(rng):
    torch = pytest.importorskip("torch", reason="the extra `peers` is not installed")
    x, W, b = (rng.standard_normal(shape) for shape in ((2, 6, 7, 7), (4, 3, 3, 3), 4))
    tensors = [torch.tensor(a, requires_grad=True) for a in (x, W, b)]
    expected = torch.nn.functional.conv2d(*tensors, stride=2, padding=1, groups=2)
    layer = GroupedConvolution(W, b, 2, 1)
    np.testing.assert_allclose(layer.forward(x), expected.detach().numpy(), rtol=1e-10)
    dout = rng.standard_normal(expected.shape)
    expected.backward(torch.tensor(dout))
    for ours, tensor in zip((layer.backward(dout), layer.dW, layer.db), tensors, strict=True):
        np.testing.assert_allclose(ours, tensor.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_a_table_equals_the_loops_on_the_maps_it_names(rng):
    x, b = rng.standard_normal((2, 6, 6, 6)), rng.standard_normal(16)
    W = rng.standard_normal((C3_TABLE.sum(), 5, 5))
    out = TableConvolution(W, b, C3_TABLE).forward(x)
    first = 0
    for f, sees in enumerate(C3_TABLE):
        filters = W[first : first + sees.sum()][np.newaxis]
        expected = naive.convolve(x[:, sees], filters, b[f : f + 1])
        np.testing.assert_allclose(out[:, f : f + 1], expected, rtol=1e-9)
        first += sees.sum()


def test_the_table_is_that_of_the_paper():
    seen = [set(np.flatnonzero(row).tolist()) for row in C3_TABLE]
    threes = [{f, (f + 1) % 6, (f + 2) % 6} for f in range(6)]
    fours = [{f, (f + 1) % 6, (f + 2) % 6, (f + 3) % 6} for f in range(6)]
    pairs = [{0, 1, 3, 4}, {1, 2, 4, 5}, {0, 2, 3, 5}]
    assert seen == [*threes, *fours, *pairs, set(range(6))]
    assert (C3_TABLE.sum(axis=0) == 10).all()  # each map of S2 is seen ten times


def test_rbf_is_the_distance_and_its_loss_the_paper_s(rng):
    codes, x, t = (
        rng.standard_normal((4, 6)),
        rng.standard_normal((5, 6)),
        np.array([0, 3, 1, 1, 2]),
    )
    scores = RBF(codes).forward(x)
    distances = np.array([[np.sum((a - code) ** 2) for code in codes] for a in x])
    np.testing.assert_allclose(scores, -distances)
    loss = RBFLoss(2.0)
    expected = distances[np.arange(5), t] + np.log(np.exp(-2.0) + np.exp(-distances).sum(axis=1))
    assert loss.forward(scores, t) == pytest.approx(expected.mean())
    gradient = loss.backward()
    report = check_gradient(lambda _: loss.forward(scores, t, train_flg=False), scores, gradient)
    assert report.ok, report
    one_hot = np.eye(4)[t]
    assert loss.forward(scores, one_hot) == pytest.approx(expected.mean())


def test_codes_are_ten_different_pictures():
    assert DIGIT_CODES.shape == (10, 84) and set(np.unique(DIGIT_CODES)) == {-1, 1}
    differ = (DIGIT_CODES[:, np.newaxis] != DIGIT_CODES).sum(axis=2)
    assert differ[~np.eye(10, dtype=bool)].min() >= 8


def test_lenet5_has_the_published_shapes_parameters_and_connections():
    rows = {row.name: row for row in LeNet5().table()}
    published = {  # section II.B: shape, parameters, connections (biases included)
        "C1": ((6, 28, 28), 156, 122_304),
        "S2": ((6, 14, 14), 12, 5_880),
        "C3": ((16, 10, 10), 1_516, 151_600),
        "S4": ((16, 5, 5), 32, 2_000),
        "C5": ((120, 1, 1), 48_120, 48_120),
        "F6": ((84,), 10_164, 10_164),
        "Output": ((10,), 0, 840),
    }
    for name, (shape, parameters, _) in published.items():
        assert (rows[name].shape, rows[name].parameters) == (shape, parameters)
    assert sum(row.parameters for row in rows.values()) == 60_000
    for name in ("C1", "C3", "C5", "F6"):  # a bias is one more connection of each neuron
        neurons = np.prod(rows[name].shape)
        assert rows[name].multiplications + neurons == published[name][2]
    for name in ("S2", "S4"):  # four inputs and a bias
        assert 5 * np.prod(rows[name].shape) == published[name][2]
    assert sum(connections for *_, connections in published.values()) == 340_908
    linear = LeNet5(output="linear").table()
    assert linear[-1].shape == (10,) and linear[-1].parameters == 850


@pytest.mark.parametrize("output", ["rbf", "linear"])
def test_lenet5_gradient_equals_differences_and_it_learns(output):
    (x, t), _ = load_digits28()
    x, t = lenet5_input(x[:30]), t[:30]
    net = LeNet5(output=output, rng=0)
    for report in gradient_check(net, x[:2], t[:2], samples=4).values():
        assert report.ok, report
    before, adam = net.loss(x, t), Adam(0.003)
    for _ in range(40):
        adam.update(net.params, net.gradient(x, t))
    assert net.loss(x, t) < 0.2 * before and net.accuracy(x, t) > 0.9


def test_initial_weights_are_within_the_paper_s_bounds():
    params = LeNet5(rng=0).params
    for name, fan_in in (("W1", 25), ("W2", 4), ("W5", 400), ("W6", 120)):
        largest = np.abs(params[name]).max()
        assert 0.5 * 2.4 / fan_in < largest <= 2.4 / fan_in
    per_filter = np.split(params["W3"], np.cumsum(C3_TABLE.sum(axis=1))[:-1])
    for W in per_filter:
        assert 0.9 * 2.4 / W.size < np.abs(W).max() <= 2.4 / W.size


def test_lenet5_input_is_scaled_as_in_the_paper(rng):
    (x, _), _ = load_digits28()
    y = lenet5_input(x)
    assert y.shape == (len(x), 1, 32, 32) and y.dtype == np.float32
    assert y.min() == pytest.approx(-0.1) and y.max() == pytest.approx(1.175)
    assert (y[:, :, :2] == np.float32(-0.1)).all()
    np.testing.assert_allclose(y[:, :, 2:-2, 2:-2], 1.275 * x - 0.1, atol=1e-6)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: Subsampling(np.ones(3), np.ones(2)), r"\(C,\), got \(3,\) and \(2,\)"),
        (lambda: Subsampling(np.ones(3), np.ones(3)).forward(np.ones((1, 2, 4, 4))), "C = 2.* 3"),
        (lambda: Subsampling(np.ones(3), np.ones(3)).forward(np.ones((1, 3, 1, 4))), "not fit"),
        (
            lambda: Subsampling(np.ones(1), np.ones(1)).forward(np.ones((1, 1, 2, 2), np.int64)),
            "int64",
        ),
        (lambda: ScaledTanh().forward(np.ones(3, np.int64)), "int64"),
        (lambda: RBF(np.ones(3)), r"\(K, D\), got \(3,\)"),
        (lambda: RBF(np.ones((2, 3))).forward(np.ones((1, 4))), r"D = 3 .* \(4,\)"),
        (lambda: RBFLoss(0), "j must be positive, got 0"),
        (lambda: RBFLoss().forward(np.ones((1, 3)), np.array([3])), r"0\.\.2, got 3"),
        (lambda: GroupedConvolution(np.ones((3, 1, 2, 2)), np.ones(3)), "groups = 2 .* FN = 3"),
        (lambda: GroupedConvolution(np.ones((2, 1, 2, 2)), np.ones(2), groups=0), "groups .* 0"),
        (
            lambda: GroupedConvolution(np.ones((2, 1, 2, 2)), np.ones(2)).forward(
                np.ones((1, 3, 4, 4))
            ),
            "groups = 2 .* C = 3",
        ),
        (lambda: TableConvolution(np.ones((2, 3, 3)), np.ones(1), np.ones(2, bool)), r"\(2,\)"),
        (lambda: TableConvolution(np.ones((2, 3, 3)), np.ones(1), np.ones((1, 2))), "float64"),
        (
            lambda: TableConvolution(np.ones((3, 3, 3)), np.ones(1), np.ones((1, 2), bool)),
            r"W \(2, FH, FW\) and b \(1,\), got W \(3, 3, 3\)",
        ),
        (lambda: LeNet5(output="softmax"), "'rbf' or 'linear', got 'softmax'"),
        (lambda: LeNet5((3, 32, 32)), "C = 3"),
        (lambda: LeNet5((1, 28, 28)), "does not fit|D = "),
        (lambda: lenet5_input(np.full((1, 1, 28, 28), 255.0)), r"0\.\.1, got 255"),
    ],
)
def test_bad_input_is_refused_with_its_values(action, message):
    with pytest.raises(ValueError, match=message):
        action()


def test_a_grouped_stack_needs_channels_that_divide():
    net = Stack((3, 8, 8), rng=0)
    net.weight_init_std, net.gain = None, 2.0
    with pytest.raises(ValueError, match=r"groups = 2 must divide .* C = 3"):
        net._add_convolution("Conv1", 4, 3, groups=2)
