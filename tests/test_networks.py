"""Networks: the listings of the source, every valid setting, saving, and bad input."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnlib import (
    AlexNet,
    DeepConvNet,
    LeNet,
    SimpleConvNet,
    conv_output_size,
    gradient_check,
    im2col,
)
from cnnlib.layers import Convolution


def small(**keywords):
    param = {"filter_num": 3, "filter_size": 3, "pad": 1, "stride": 1}
    return SimpleConvNet((2, 6, 6), param, 7, 5, 0.2, **({"rng": 0} | keywords))


@pytest.fixture
def batch(rng):
    return rng.random((9, 2, 6, 6)), rng.integers(0, 5, 9)


def test_names_and_shapes_of_the_source():
    net = SimpleConvNet(
        input_dim=(1, 28, 28),
        conv_param={"filter_num": 30, "filter_size": 5, "pad": 0, "stride": 1},
        hidden_size=100,
        output_size=10,
        weight_init_std=0.01,
    )
    assert list(net.layers) == ["Conv1", "Relu1", "Pool1", "Affine1", "Relu2", "Affine2"]
    assert {name: p.shape for name, p in net.params.items()} == {
        "W1": (30, 1, 5, 5),
        "b1": (30,),
        "W2": (30 * 12 * 12, 100),
        "b2": (100,),
        "W3": (100, 10),
        "b3": (10,),
    }
    for name in ("W1", "W2", "W3"):
        assert net.params[name].std() == pytest.approx(0.01, rel=0.15)
        assert net.params[name].dtype == np.float32
    assert not any(net.params[name].any() for name in ("b1", "b2", "b3"))
    again = SimpleConvNet()
    assert [p.shape for p in again.params.values()] == [p.shape for p in net.params.values()]


# The listings of section 7.5 and 7.4.3, their slips repaired, as functions of the object.
def listed_predict(self, x):
    for layer in self.layers.values():
        x = layer.forward(x)
    return x


def listed_loss(self, x, t):
    y = listed_predict(self, x)
    return self.last_layer.forward(y, t)


def listed_gradient(self, x, t):
    listed_loss(self, x, t)
    dout = 1
    dout = self.last_layer.backward(dout)
    layers = list(self.layers.values())
    layers.reverse()
    for layer in layers:
        dout = layer.backward(dout)
    grads = {}
    grads["W1"] = self.layers["Conv1"].dW
    grads["b1"] = self.layers["Conv1"].db
    grads["W2"] = self.layers["Affine1"].dW
    grads["b2"] = self.layers["Affine1"].db
    grads["W3"] = self.layers["Affine2"].dW
    grads["b3"] = self.layers["Affine2"].db
    return grads


def listed_forward(self, x):
    FN, _, FH, FW = self.W.shape
    N, _, H, W = x.shape
    out_h = int(1 + (H + 2 * self.pad - FH) / self.stride)
    out_w = int(1 + (W + 2 * self.pad - FW) / self.stride)
    col = im2col(x, FH, FW, self.stride, self.pad)
    col_W = self.W.reshape(FN, -1).T
    out = np.dot(col, col_W) + self.b
    return out.reshape(N, out_h, out_w, -1).transpose(0, 3, 1, 2)


def test_listings_of_the_source_agree(batch):
    net, (x, t) = small(dtype=np.float64), batch
    np.testing.assert_allclose(net.predict(x), listed_predict(net, x), rtol=1e-12)
    assert net.loss(x, t) == pytest.approx(listed_loss(net, x, t))
    ours, listed = net.gradient(x, t), listed_gradient(net, x, t)
    assert ours.keys() == listed.keys() == net.params.keys()
    for name in ours:
        np.testing.assert_allclose(ours[name], listed[name], rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("seed", range(10))
def test_listed_convolution_agrees(seed):
    rng = np.random.default_rng(seed)
    N, C, FN, FH, FW = rng.integers(1, 5, 5)
    H, W, stride, pad = (
        rng.integers(5, 9),
        rng.integers(5, 9),
        rng.integers(1, 4),
        rng.integers(0, 3),
    )
    layer = Convolution(
        rng.standard_normal((FN, C, FH, FW)), rng.standard_normal(FN), int(stride), int(pad)
    )
    x = rng.standard_normal((N, C, H, W))
    np.testing.assert_allclose(layer.forward(x), listed_forward(layer, x), rtol=1e-9, atol=1e-12)


@settings(max_examples=25)
@given(
    st.integers(1, 7), st.integers(1, 4), st.integers(0, 3), st.integers(6, 9), st.integers(6, 9)
)
def test_every_valid_setting_trains(filter_size, stride, pad, H, W):
    out = (H + 2 * pad - filter_size) // stride + 1, (W + 2 * pad - filter_size) // stride + 1
    param = {"filter_num": 2, "filter_size": filter_size, "pad": pad, "stride": stride}
    if min(H, W) + 2 * pad < filter_size or min(out) < 2:  # no room for filter or pooling
        with pytest.raises(ValueError, match="does not fit"):
            SimpleConvNet((1, H, W), param, 4, 3)
        return
    net = SimpleConvNet((1, H, W), param, 4, 3, 0.3, rng=0)
    net.params["b1"] += 0.1  # a window of nothing but padding would sit on the kink of the ReLU
    assert net.params["W2"].shape == (2 * (out[0] // 2) * (out[1] // 2), 4)
    x = np.random.default_rng(1).standard_normal((2, 1, H, W))
    for report in gradient_check(net, x, np.array([0, 2]), samples=12).values():
        assert report.error < 1e-6, report


def test_gradient_equals_differences(batch):
    net, (x, t) = small(), batch
    exact = net.astype(np.float64).gradient(x, t)
    numerical = net.numerical_gradient(x, t)
    for name, p in net.params.items():
        assert numerical[name].shape == p.shape
        np.testing.assert_allclose(exact[name], numerical[name], rtol=1e-5, atol=1e-9)
        assert p.dtype == np.float32  # the network itself stayed as it was


def test_float32_throughout(batch):
    net, (x, t) = small(), batch
    x = x.astype(np.float32)
    assert net.predict(x).dtype == np.float32
    grads = net.gradient(x, t)
    assert all(g.dtype == np.float32 for g in grads.values())
    assert all(grads[name].shape == p.shape for name, p in net.params.items())


@pytest.mark.parametrize("one_hot", [False, True])
def test_accuracy_counts_the_last_partial_batch(batch, one_hot):
    net, (x, t) = small(), batch
    right = (net.predict(x).argmax(axis=1) == t).mean()
    labels = np.eye(5)[t] if one_hot else t
    for batch_size in (1, 2, 4, 9, 100):
        assert net.accuracy(x, labels, batch_size) == right
    wrong = (net.predict(x).argmax(axis=1) + 1) % 5
    wrong[-1] = net.predict(x[-1:]).argmax()
    assert net.accuracy(x, wrong, batch_size=4) == pytest.approx(1 / 9)


def test_looking_is_inference(rng):
    net = AlexNet.small((1, 17, 17), 3, filter_nums=(2, 3, 3, 2, 2), hidden_size=4, rng=0)
    x, t = rng.random((5, 1, 17, 17), dtype=np.float32), np.array([0, 1, 2, 0, 1])
    scores = net.predict(x)
    np.testing.assert_array_equal(net.predict(x), scores)  # nothing is dropped
    assert net.accuracy(x, t) == (scores.argmax(axis=1) == t).mean()
    net.gradient(x, t)
    net.accuracy(x, t)
    net.loss(x, t, train_flg=False)
    assert all(layer._kept is None for layer in net.layers.values())
    assert net.last_layer.y is None


def test_dropout_follows_the_seed(rng):
    x, t = rng.random((5, 1, 28, 28), dtype=np.float32), np.array([0, 1, 2, 0, 1])
    losses = [AlexNet.small(rng=seed).loss(x, t) for seed in (0, 0, 1)]
    assert losses[0] == losses[1] != losses[2]


def test_numerical_gradient_of_a_float32_network_takes_float32_images(batch):
    net, (x, t) = small(), batch
    x = x.astype(np.float32)
    numerical = net.numerical_gradient(x, t)
    for name, gradient in net.gradient(x, t).items():
        np.testing.assert_allclose(numerical[name], gradient, rtol=1e-3, atol=1e-5)


def test_two_networks_share_nothing(batch):
    a, b, (x, t) = small(), small(), batch
    before = b.predict(x).copy()
    for p in a.params.values():
        p += 1
    a.gradient(x, t)
    np.testing.assert_array_equal(b.predict(x), before)
    assert a.layers["Conv1"].W is a.params["W1"]
    twin = a.astype(np.float64)
    twin.params["W1"] += 1
    assert twin.layers["Conv1"].W is twin.params["W1"] and twin.params["W1"].dtype == np.float64
    assert not np.shares_memory(twin.params["W1"], a.params["W1"])


def test_seed_decides_and_the_global_one_is_not_touched():
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    a, b, c = small(rng=3), small(rng=3), small(rng=4)
    assert (a.params["W1"] == b.params["W1"]).all()
    assert (a.params["W1"] != c.params["W1"]).any()
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002


def test_save_and_load(tmp_path, batch):
    x, _ = batch
    a, b, file = small(rng=1), small(rng=2), tmp_path / "weights.npz"
    a.save_params(file)
    arrays = dict(b.params)
    b.load_params(file)
    np.testing.assert_array_equal(a.predict(x), b.predict(x))
    assert all(b.params[name] is arrays[name] for name in arrays)  # still the shared arrays
    assert os.listdir(tmp_path) == ["weights.npz"]
    np.savez(file, **{name: p.astype(np.float16) for name, p in a.params.items()})
    b.load_params(file)
    assert b.params["W1"].dtype == np.float32
    np.testing.assert_allclose(b.params["W1"], a.params["W1"], rtol=1e-3, atol=1e-6)


def test_saving_never_leaves_a_half_written_file(tmp_path, monkeypatch):
    net, file = small(), tmp_path / "weights.npz"
    net.save_params(file)
    before = file.read_bytes()

    def breaks(stream, **arrays):
        stream.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez_compressed", breaks)
    with pytest.raises(OSError, match="disk full"):
        net.save_params(file)
    assert os.listdir(tmp_path) == ["weights.npz"] and file.read_bytes() == before


def test_loading_checks_before_it_overwrites(tmp_path):
    net, file = small(), tmp_path / "weights.npz"
    before = {name: p.copy() for name, p in net.params.items()}

    def refused(message, error=ValueError):
        with pytest.raises(error, match=message):
            net.load_params(file)
        assert all((p == before[name]).all() for name, p in net.params.items())

    refused("weights.npz", FileNotFoundError)
    SimpleConvNet((2, 6, 6), {"filter_num": 3, "filter_size": 5, "pad": 1}, 7, 5).save_params(file)
    refused(r"W1 has shape \(3, 2, 5, 5\) in .*weights.npz, but \(3, 2, 3, 3\) in this SimpleConv")
    np.savez(file, W1=before["W1"] + 1)
    refused(r"holds \['W1'\], but SimpleConvNet has \['W1', 'W2'")
    np.savez(file, **{name: p.astype(np.int64) for name, p in before.items()})
    refused("dtype int64, not float")
    np.savez(file, **{name: np.array([{}], dtype=object) for name in before})
    refused("not a .npz file of plain arrays")  # pickles are not opened
    with file.open("wb") as stream:
        np.save(stream, before["W1"])
    refused("not a .npz file")
    file.write_bytes(b"PK\x03\x04 and then nothing")
    refused("not a .npz file")
    file.write_bytes(b"")
    refused("not a .npz file")
    np.savez(file, **(before | {"W4": before["W1"]}))
    refused("'W4'")
    np.savez(file, **(before | {"b1": np.full(3, np.nan)}))
    refused("b1 .* holds NaN")
    net.save_params(file)
    good = bytearray(file.read_bytes())
    for position in range(30, len(good), 7):  # one damaged byte: either harmless or refused
        bad = good.copy()
        bad[position] ^= 0xFF
        file.write_bytes(bad)
        try:
            net.load_params(file)
        except ValueError:
            pass
        assert all((p == before[name]).all() for name, p in net.params.items())


def test_saving_where_there_is_no_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        small().save_params(tmp_path / "nowhere" / "weights.npz")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        small().save_params(tmp_path / "folder")
    assert os.listdir(tmp_path) == ["folder"]


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: SimpleConvNet(28), r"\(C, H, W\), got 28"),
        (lambda: SimpleConvNet((1, 28, 0)), "W must be at least 1, got 0"),
        (lambda: SimpleConvNet(dtype=np.int64), "dtype must be a floating-point one, got int64"),
        (lambda: SimpleConvNet(conv_param={"filter_num": 0}), "filter_num .* got 0"),
        (lambda: SimpleConvNet(conv_param={"filter_size": 2.5}), "filter_size .* got 2.5"),
        (lambda: SimpleConvNet(conv_param={"stride": 0}), "stride .* got 0"),
        (lambda: SimpleConvNet(hidden_size=0), "hidden_size .* got 0"),
        (lambda: SimpleConvNet(output_size=2.5), "output_size .* got 2.5"),
        (lambda: SimpleConvNet(weight_init_std=-1), ">= 0, got -1"),
        (lambda: AlexNet.small(filter_nums=(1, 2, 3, 4)), "five numbers"),
        (lambda: small().accuracy(np.ones((2, 2, 6, 6)), np.array([0, 1]), 0), "batch_size .* 0"),
        (lambda: small().accuracy(np.ones((1, 2, 6, 6)), np.array([0, 1])), "1 and 2"),
        (lambda: SimpleConvNet((28, 28)), r"\(C, H, W\).*got \(28, 28\)"),
        (lambda: SimpleConvNet(conv_param={"filter_sise": 3}), "filter_sise.*known are"),
        (lambda: SimpleConvNet((1, 4, 4)), "filter of size 5 does not fit"),
        (lambda: SimpleConvNet((1, 5, 5)), "does not fit"),  # 1 x 1 is left for the pooling
        (
            lambda: small().predict(np.ones((1, 1, 6, 6))),
            r"\(2, 6, 6\).*got x of shape \(1, 1, 6, 6",
        ),
        (lambda: small().predict(np.ones((1, 72))), r"\(1, 72\)"),
        (lambda: small().predict(np.ones((2, 6, 6))), r"\(2, 6, 6\)"),
        (lambda: small().predict(np.ones((0, 2, 6, 6))), "empty"),
        (lambda: small().predict(np.ones((1, 2, 6, 6), np.uint8)), "uint8.*/ 255"),
        (lambda: small().loss(np.ones((1, 2, 6, 6)), np.array([5])), r"0\.\.4, got 5\.\.5"),
        (lambda: small().loss(np.ones((2, 2, 6, 6)), np.array([[0], [1]])), r"\(2, 1\)"),
        (lambda: small().accuracy(np.ones((2, 2, 6, 6)), np.array([[0], [1]])), r"\(2, 1\)"),
        (lambda: small().accuracy(np.ones((2, 2, 6, 6)), np.array([0])), "2 and 1"),
        (lambda: small().accuracy(np.ones((0, 2, 6, 6)), np.array([], int)), "0 and 0"),
        (lambda: LeNet(activation="tanh"), "'sigmoid' or 'relu', got 'tanh'"),
        (lambda: AlexNet((3, 20, 20)), "does not fit"),
        (lambda: AlexNet.small(filter_nums=(16, 31, 48, 48, 32), groups=2), "groups .* FN = 31"),
        (lambda: LeNet(pooling="mean"), "'max' or 'average', got 'mean'"),
        (lambda: DeepConvNet(activation="tanh"), "'sigmoid' or 'relu', got 'tanh'"),
        (lambda: DeepConvNet(filter_nums=(1, 2, 3)), "six numbers"),
        (lambda: DeepConvNet(dropout_ratio=1), r"\[0, 1\), got 1"),
        (lambda: DeepConvNet((1, 19, 19)), "does not fit"),
    ],
)
def test_bad_input_is_refused_with_its_values(action, message):
    with pytest.raises(ValueError, match=message):
        action()


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


def test_deep_conv_net_has_the_layers_it_says():
    rows = {row.name: row for row in DeepConvNet(rng=0).table()}
    sizes = [rows[f"Conv{i}"].shape for i in range(1, 7)]
    assert sizes == [(16, 26, 26), (16, 24, 24), (32, 10, 10), (32, 8, 8), (64, 4, 4), (64, 4, 4)]
    assert [rows[f"Pool{i}"].shape[1] for i in (1, 2, 3)] == [12, 4, 2]
    assert sum(row.parameters for row in rows.values()) == 98_502
    assert rows["Conv2"].kind == "Convolution" and rows["Conv2"].multiplications == 24**2 * 16 * 144
    assert rows["Affine1"].multiplications == 256 * 100
    assert "Sigmoid7" in DeepConvNet(activation="sigmoid").layers
    assert DeepConvNet(dropout_ratio=0.2).layers["Dropout1"].dropout_ratio == 0.2


def test_table_and_summary_say_the_same():
    net = small()
    table = net.table()
    assert net.summary() == [(row.name, row.shape, row.parameters) for row in table]
    assert table[0] == ("input", "input", (2, 6, 6), 0, 0)
    assert sum(row.parameters for row in table) == sum(p.size for p in net.params.values())
    # Counted one by one: each weight at every place of the convolution's 6 x 6 output.
    assert [row.multiplications for row in table] == [0, 6 * 6 * 3 * 2 * 9, 0, 0, 27 * 7, 0, 7 * 5]


def test_probabilities_are_the_softmax_of_the_scores(batch):
    net, (x, t) = small(dtype=np.float64), batch
    p = net.probabilities(x)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert -np.log(p[np.arange(9), t]).mean() == pytest.approx(net.loss(x, t))
    net.params["b3"] += 1e6  # no overflow
    np.testing.assert_allclose(net.probabilities(x), p, rtol=1e-6)


def test_pooling_of_lenet_can_be_the_maximum():
    net = LeNet(pooling="max", rng=0)
    assert {net.layers[name].mode for name in ("S2", "S4")} == {"max"}
    assert net.summary() == LeNet().summary()


@pytest.mark.parametrize(
    "net",
    [
        LeNet((1, 12, 12), 3, pad=10, rng=0),
        LeNet((1, 12, 12), 3, pad=10, activation="relu", rng=0),
        LeNet((1, 12, 12), 3, pad=10, pooling="max", rng=0),
        DeepConvNet((1, 24, 24), 3, (2, 2, 3, 3, 2, 2), hidden_size=4, rng=0),
        DeepConvNet((1, 24, 24), 3, (2, 2, 2, 2, 2, 2), 4, activation="sigmoid", rng=0),
        AlexNet.small(
            (1, 17, 17), 3, filter_nums=(2, 3, 3, 2, 2), hidden_size=4, dropout_ratio=0, rng=0
        ),
        AlexNet.small((1, 17, 17), 3, filter_nums=(2, 4, 4, 2, 2), hidden_size=4, groups=2, rng=0),
    ],
    ids=[
        "LeNet",
        "LeNet-relu",
        "LeNet-max",
        "DeepConvNet",
        "DeepConvNet-sigmoid",
        "AlexNet-small",
        "AlexNet-small-groups",
    ],
)
def test_gradient_of_the_deep_networks_equals_differences(net, rng):
    x = rng.standard_normal((2, *net.input_dim))
    for name, p in net.params.items():
        if name.startswith("b"):
            p += 0.1  # a window of nothing but padding would sit on the kink itself
    for report in gradient_check(net, x, np.array([0, 2]), samples=10).values():
        assert report.error < 1e-6, report
