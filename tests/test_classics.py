"""LeNet, AlexNet and LeNet-5: published shapes; their layers against loops and differences."""

import re

import numpy as np
import pytest

from cnnlib import (
    Adam,
    AlexNet,
    LeNet,
    check_gradient,
    conv_output_size,
    gradient_check,
    load_digits28,
    naive,
)
from cnnlib.classics import (
    C3_TABLE,
    DIGIT_CODES,
    RBF,
    GroupedConvolution,
    LeNet5,
    LocalResponseNormalization,
    RBFLoss,
    ScaledTanh,
    Subsampling,
    TableConvolution,
    lenet5_input,
)

from .layer_checks import (
    check_backward_equals_differences,
    check_dtype_is_kept_and_arguments_are_not_changed,
)

KINDS = "Subsampling ScaledTanh RBF GroupedConvolution TableConvolution LRN-of-5 LRN-of-3".split()
LAYERS = [pytest.param(i, id=kind) for i, kind in enumerate(KINDS)]  # of `layers_with_input`
IMAGE_LAYERS = [LAYERS[i] for i in (0, 3, 4, 5, 6)]  # of them, those that take images


def layers_with_input(rng):
    normal = rng.standard_normal
    table = rng.random((4, 3)) < 0.6
    table[0] = False, True, False
    groups = int(rng.integers(1, 4))
    N, C = (int(v) for v in rng.integers(1, (4, 8)))
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
        (LocalResponseNormalization(5, 1.5, 0.3, 0.75), normal((N, C, 2, 3))),
        (LocalResponseNormalization(3, 2.0, 0.5, 0.5), normal((N, 4, 2, 2))),
    ]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("which", LAYERS)
def test_backward_equals_differences(seed, which):
    rng = np.random.default_rng(seed)
    check_backward_equals_differences(*layers_with_input(rng)[which], rng)


@pytest.mark.parametrize("which", LAYERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_kept_and_arguments_are_not_changed(which, dtype):
    layer, x = layers_with_input(np.random.default_rng(3))[which]
    check_dtype_is_kept_and_arguments_are_not_changed(layer, x.astype(dtype))


@pytest.mark.parametrize("which", LAYERS)
def test_shape_rule_and_inference(which):
    layer, x = layers_with_input(np.random.default_rng(5))[which]
    out = layer.forward(x)
    assert layer.output_shape(x.shape[1:]) == out.shape[1:]
    np.testing.assert_array_equal(layer.forward(x, train_flg=False), out)
    assert layer._saved is None
    with pytest.raises(RuntimeError, match=r"call forward\(x\) with train_flg=True first"):
        layer.backward(out)


@pytest.mark.parametrize("which", LAYERS)
def test_what_is_no_batch_is_refused(which):
    layer, x = layers_with_input(np.random.default_rng(7))[which]
    for bad, message in (
        (x.tolist(), "got list"),
        (x[(0,) * x.ndim], r"got float64|has shape \(\)"),  # a NumPy number, not an array
        (np.array(1.0), r"shape \(\)"),
        (x.astype(np.int64), "int64.*/ 255"),
        (x[:0], "empty"),
    ):
        with pytest.raises(ValueError, match=message):
            layer.forward(bad)


@pytest.mark.parametrize("which", IMAGE_LAYERS)
@pytest.mark.parametrize("ndim", [1, 2, 3, 5])
def test_what_is_no_batch_of_images_is_refused(which, ndim):
    layer, _ = layers_with_input(np.random.default_rng(7))[which]
    x = np.ones((2,) * ndim)
    message = re.escape(f"images must be 4-D, (N, C, H, W), got shape {x.shape}")
    with pytest.raises(ValueError, match=message):
        layer.forward(x)


@pytest.mark.parametrize("which", LAYERS)
def test_dout_must_be_floating_point_and_of_the_shape_of_the_output(which):
    layer, x = layers_with_input(np.random.default_rng(7))[which]
    out = layer.forward(x)
    layer.backward(out)
    before = None if not hasattr(layer, "W") else layer.dW.copy()
    with pytest.raises(ValueError, match="dout must be a floating-point array, got int64"):
        layer.backward(np.ones(out.shape, np.int64))
    with pytest.raises(ValueError, match="backward got dout of shape"):
        layer.backward(out[..., np.newaxis])
    with pytest.raises(ValueError, match="dout must be a floating-point array, got list"):
        layer.backward(out.tolist())
    if before is not None:
        np.testing.assert_array_equal(layer.dW, before)


def test_subsampling_with_a_quarter_is_the_mean(rng):
    x = rng.standard_normal((2, 3, 5, 7))
    mean = Subsampling(np.full(3, 0.25), np.zeros(3)).forward(x)
    np.testing.assert_allclose(mean, naive.average_pool(x, 2, 2, stride=2))
    W, b = np.array([1.0, -2.0, 0.5]), np.array([0.0, 1.0, -1.0])
    np.testing.assert_allclose(
        Subsampling(W, b).forward(x)[1, 1, 0, 2], -2 * x[1, 1, :2, 4:6].sum() + 1
    )


def test_subsampling_of_the_smallest_images_and_one_bias_for_all():
    x = np.arange(4.0).reshape(1, 1, 2, 2)
    layer = Subsampling(np.array([2.0]), 1)
    assert layer.forward(x).tolist() == [[[[13]]]]
    assert layer.backward(np.ones((1, 1, 1, 1))).tolist() == [[[[2, 2], [2, 2]]]]
    assert layer.dW.tolist() == [6] and layer.db.tolist() == [1] and layer.b.tolist() == [1]


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


@pytest.mark.parametrize("b", [0.5, [0.5, 0.5]])
def test_a_bias_may_be_a_single_number(b, rng):
    x = rng.standard_normal((1, 2, 4, 4))
    table = np.array([[True, False], [True, True]])
    for layer, C in (
        (GroupedConvolution(rng.standard_normal((2, 1, 3, 3)), b), 1),
        (TableConvolution(rng.standard_normal((3, 3, 3)), b, table), 2),
    ):
        whole = type(layer)(layer.W, np.zeros(2), *([table] if C == 2 else []))
        np.testing.assert_allclose(layer.forward(x), whole.forward(x) + 0.5)
        layer.backward(np.ones((1, 2, 2, 2)))
        assert layer.db.shape == (2,)


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
        (lambda: Subsampling(np.ones(3), np.ones(2)), r"\(C,\), got W \(3,\) .* b \(2,\)"),
        (lambda: Subsampling([1.0, 1.0], np.ones(2)), r"got W \(2,\) of list"),
        (lambda: Subsampling(np.float64(1), 0), r"got W \(\)"),
        (lambda: Subsampling(np.ones(3), np.ones(3)).output_shape((3,)), r"4-D.*\(1, 3\)"),
        (lambda: Subsampling(np.ones(3), np.ones(3)).forward(np.ones((1, 2, 4, 4))), "C = 2.* 3"),
        (lambda: Subsampling(np.ones(3), np.ones(3)).forward(np.ones((1, 3, 1, 4))), "not fit"),
        (
            lambda: Subsampling(np.ones(1), np.ones(1)).forward(np.ones((1, 1, 2, 2), np.int64)),
            "int64",
        ),
        (lambda: ScaledTanh().forward(np.ones(3, np.int64)), "int64"),
        (lambda: LocalResponseNormalization(n=4), "odd.*got 4"),
        (lambda: LocalResponseNormalization(n=0), "n must be at least 1, got 0"),
        (lambda: LocalResponseNormalization(n=2.5), "n must be a whole number, got 2.5"),
        (lambda: LocalResponseNormalization(k=0), "k must be positive.*got k 0,"),
        (lambda: LocalResponseNormalization(k=np.nan), "got k nan,"),
        (lambda: LocalResponseNormalization(k=np.inf), "got k inf,"),
        (lambda: LocalResponseNormalization(alpha=np.nan), "alpha nan,"),
        (lambda: LocalResponseNormalization(alpha=np.inf), "alpha inf,"),
        (lambda: LocalResponseNormalization(alpha=-1), "alpha not negative.*alpha -1,"),
        (lambda: LocalResponseNormalization(beta=np.nan), "beta nan"),
        (lambda: LocalResponseNormalization(beta=-np.inf), "beta -inf"),
        (lambda: RBF(np.ones(3)), r"\(K, D\), got \(3,\)"),
        (lambda: RBF(np.ones((2, 3))).forward(np.ones((1, 4))), r"D = 3 .* \(4,\)"),
        (lambda: RBFLoss(0), "j must be positive, got 0"),
        (lambda: RBFLoss(np.nan), "j must be positive, got nan"),
        (lambda: RBFLoss().forward([[1.0, 2.0]], np.array([1])), "scores .* got list"),
        (lambda: RBFLoss().forward(np.array(1.0), np.array(1)), r"scores has shape \(\)"),
        (lambda: RBFLoss().forward(np.ones((1, 3, 1)), np.array([0])), r"got \(1, 3, 1\)"),
        (lambda: RBFLoss().forward(np.ones((0, 3)), np.ones(0, int)), r"empty.*\(0, 3\)"),
        (lambda: RBFLoss().forward(np.ones((1, 3), np.int64), np.array([0])), "int64"),
        (lambda: RBFLoss().forward(np.ones((1, 3)), np.array([[1, 1, 0]])), "one-hot"),
        (lambda: RBFLoss().forward(np.ones((1, 3)), np.array([3])), r"0\.\.2, got 3"),
        (lambda: GroupedConvolution(np.ones((3, 1, 2, 2)), np.ones(3)), "groups = 2 .* FN = 3"),
        (lambda: GroupedConvolution(np.ones((2, 1, 2, 2)), np.ones(2), groups=0), "groups .* 0"),
        (lambda: GroupedConvolution([[[[1.0]]]] * 2, np.ones(2)), r"got W \(2, 1, 1, 1\) of list"),
        (lambda: GroupedConvolution(np.ones((2, 1, 2)), np.ones(2)), r"got W \(2, 1, 2\)"),
        (lambda: GroupedConvolution(np.ones((2, 1, 2, 2)), np.ones(3)), r"b \(3,\)"),
        (
            lambda: GroupedConvolution(np.ones((2, 1, 2, 2)), np.ones(2)).output_shape((8,)),
            r"4-D.*\(1, 8\)",
        ),
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
        (
            lambda: TableConvolution([[[1.0]]] * 2, np.ones(1), np.ones((1, 2), bool)),
            r"W \(2, FH, FW\) .* got W \(2, 1, 1\) of list",
        ),
        (
            lambda: TableConvolution(np.ones((2, 3, 3)), np.ones(2), np.ones((1, 2), bool)),
            r"b \(1,\), got .* b \(2,\)",
        ),
        (
            lambda: TableConvolution(np.ones((2, 3, 3)), 0, np.ones((1, 2), bool), stride=0),
            "stride .* got 0",
        ),
        (lambda: LeNet5(output="softmax"), "'rbf' or 'linear', got 'softmax'"),
        (lambda: LeNet5((3, 32, 32)), "C = 3"),
        (lambda: LeNet5((1, 28, 28)), "does not fit|D = "),
        (lambda: lenet5_input(np.full((1, 1, 28, 28), 255.0)), r"0\.\.1, got 255"),
        (lambda: lenet5_input(np.full((1, 1, 28, 28), np.nan)), r"0\.\.1, got nan"),
        (lambda: lenet5_input(np.ones((1, 28, 28))), r"4-D.*\(1, 28, 28\)"),
        (lambda: lenet5_input(np.ones((1, 1, 28, 28), np.uint8)), "uint8"),
        (lambda: LeNet(activation="tanh"), "'sigmoid' or 'relu', got 'tanh'"),
        (lambda: LeNet(pooling="mean"), "'max' or 'average', got 'mean'"),
        (lambda: AlexNet((3, 20, 20)), "does not fit"),
        (lambda: AlexNet.small(filter_nums=(1, 2, 3, 4)), "five numbers"),
        (lambda: AlexNet.small(filter_nums=16), "five numbers, got 16"),
        (lambda: AlexNet.small(filter_nums=(16, 0, 48, 48, 32)), "filter_num .* got 0"),
        (lambda: AlexNet.small(filter_nums=(16, 0, 48, 48, 32), groups=2), "filter_num .* got 0"),
        (lambda: AlexNet.small(filter_nums=(16, 31, 48, 48, 32), groups=2), "groups .* FN = 31"),
        (lambda: AlexNet.small(filter_nums=(15, 32, 48, 48, 32), groups=2), "groups .* C = 15"),
        (lambda: AlexNet.small(groups=64), "groups = 64 .* C = 16"),
        (lambda: AlexNet.small(groups=0), "groups .* got 0"),
        (lambda: AlexNet.small(groups=1.5), "groups .* got 1.5"),
        (
            lambda: AlexNet.small(first_filter=(5, 1)),
            r"first_filter must be numbers \(size, stride, pad\), got \(5, 1\)",
        ),
        (lambda: AlexNet.small(first_filter=(5, 1, 2, 2)), r"got \(5, 1, 2, 2\)"),
        (lambda: AlexNet.small(first_filter=5), "first_filter .* got 5"),
        (lambda: AlexNet.small(second_filter=(5, 1)), r"second_filter .* got \(5, 1\)"),
        (lambda: AlexNet.small(first_filter=(0, 1, 2)), "filter_size .* got 0"),
        (lambda: AlexNet.small(second_filter=(0, 1, 2), groups=2), "filter_size .* got 0"),
    ],
)
def test_bad_input_is_refused_with_its_values(action, message):
    with pytest.raises(ValueError, match=message):
        action()


def test_local_response_normalization_equals_its_formula(rng):
    x = rng.standard_normal((2, 7, 3, 3))
    n, k, alpha, beta = 5, 2.0, 0.1, 0.75
    expected = np.empty_like(x)
    for c in range(7):
        near = x[:, max(0, c - n // 2) : c + n // 2 + 1]
        expected[:, c] = x[:, c] / (k + alpha * (near**2).sum(axis=1)) ** beta
    out = LocalResponseNormalization(n, k, alpha, beta).forward(x)
    assert np.abs(out - expected).max() / np.abs(expected).max() < 1e-9


def test_constants_from_numpy_keep_float32():
    x = np.ones((1, 2, 2, 2), np.float32)
    assert LocalResponseNormalization(alpha=np.float64(1e-4)).forward(x).dtype == np.float32
    assert LocalResponseNormalization(n=np.uint8(5)).n == 5


def test_lenet_has_the_published_shapes():
    shapes = {name: shape for name, shape, _ in LeNet((1, 32, 32), pad=0).summary()}
    assert shapes["C1"] == (6, 28, 28) and shapes["S2"] == (6, 14, 14)
    assert shapes["C3"] == (16, 10, 10) and shapes["S4"] == (16, 5, 5)
    assert shapes["C5"] == (120, 1, 1) and shapes["F6"] == (84,) and shapes["Output"] == (10,)
    assert {n: s for n, s, _ in LeNet().summary() if n != "input"} == {
        n: s for n, s in shapes.items() if n != "input"
    }


def test_layers_of_lenet_and_alexnet_are_of_the_published_kinds():
    def kinds(net):
        return [type(layer).__name__ for layer in net.layers.values()]

    stage = ["Convolution", "Sigmoid", "Pooling"]
    assert kinds(LeNet()) == [*stage * 2, "Convolution", "Sigmoid", "Affine", "Sigmoid", "Affine"]
    assert {LeNet().layers[name].mode for name in ("S2", "S4")} == {"average"}
    convolution, hidden = ["Convolution", "Relu"], ["Affine", "Relu", "Dropout"]
    normalized = [*convolution, "LocalResponseNormalization", "Pooling"]
    expected = [*normalized * 2, *convolution * 3, "Pooling", *hidden * 2, "Affine"]
    assert kinds(AlexNet.small()) == expected
    pools = [AlexNet.small().layers[f"Pool{i}"] for i in (1, 2, 5)]
    assert all((pool.pool_h, pool.stride, pool.mode) == (3, 2, "max") for pool in pools)


def test_pooling_of_lenet_can_be_the_maximum():
    net = LeNet(pooling="max", rng=0)
    assert {net.layers[name].mode for name in ("S2", "S4")} == {"max"}
    assert net.summary() == LeNet().summary()


@pytest.mark.parametrize(
    ("net", "gain"),
    [(LeNet(rng=0), 1), (LeNet(activation="relu", rng=0), 2), (AlexNet.small(rng=0), 2)],
)
def test_initial_weights_keep_the_size_of_signals(net, gain):
    for name, W in net.params.items():
        if name.startswith("W"):
            fan_in = W[0].size if W.ndim == 4 else len(W)
            tolerance = 4 / np.sqrt(2 * W.size)  # four standard errors of a deviation
            assert W.std() == pytest.approx(np.sqrt(gain / fan_in), rel=tolerance)
        else:
            assert not W.any()


def test_alexnet_has_the_published_shapes_and_runs():
    net = AlexNet(rng=0)
    rows = {name: (shape, size) for name, shape, size in net.summary()}
    expected = {
        "Conv1": (96, 55, 55),
        "Pool1": (96, 27, 27),
        "Conv2": (256, 27, 27),
        "Pool2": (256, 13, 13),
        "Conv3": (384, 13, 13),
        "Conv4": (384, 13, 13),
        "Conv5": (256, 13, 13),
        "Pool5": (256, 6, 6),
        "Affine6": (4096,),
        "Affine7": (4096,),
        "Affine8": (1000,),
    }
    assert {name: rows[name][0] for name in expected} == expected
    parameters = {  # section 3.5: the filters of 2, 4 and 5 see half of the channels
        "Conv1": 96 * (3 * 11 * 11 + 1),
        "Conv2": 256 * (48 * 5 * 5 + 1),
        "Conv3": 384 * (256 * 3 * 3 + 1),
        "Conv4": 384 * (192 * 3 * 3 + 1),
        "Conv5": 256 * (192 * 3 * 3 + 1),
        "Affine6": 4096 * (6 * 6 * 256 + 1),
        "Affine7": 4096 * (4096 + 1),
        "Affine8": 1000 * (4096 + 1),
    }
    assert {name: rows[name][1] for name in parameters} == parameters
    assert sum(parameters.values()) == sum(row.parameters for row in net.table()) == 60_965_224
    multiplications = {row.name: row.multiplications for row in net.table()}
    assert multiplications["Conv1"] == 55 * 55 * 96 * 363
    assert multiplications["Conv2"] == 27 * 27 * 256 * 48 * 25
    assert sum(multiplications.values()) == 724_406_816
    scores = net.predict(np.zeros((1, 3, 227, 227), np.float32))
    assert scores.shape == (1, 1000) and scores.dtype == np.float32


def test_227_divides_and_224_does_not():
    assert conv_output_size(227, 11, 4, strict=True) == 55
    with pytest.raises(ValueError, match="does not divide 213"):
        conv_output_size(224, 11, 4, strict=True)


def test_torchvision_s_alexnet_is_another_network():
    net = AlexNet(
        (3, 224, 224),
        filter_nums=(64, 192, 384, 256, 256),
        first_filter=(11, 4, 2),
        groups=1,
        normalize=False,
    )
    assert sum(row.parameters for row in net.table()) == 61_100_840  # as its documentation says
    assert not any("Norm" in name for name in net.layers)
