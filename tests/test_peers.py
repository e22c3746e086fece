"""PyTorch as a second opinion on forward and backward; skipped where it is not installed."""

import numpy as np
import pytest

import cnnlib
from cnnlib import fast, layers

torch = pytest.importorskip("torch", reason="the extra `peers` is not installed")
F = torch.nn.functional
both_floors = pytest.mark.parametrize("floor", [layers, fast], ids=["text", "fast"])


def compare(layer, x, reference, seed=0):
    """Assert that layer and reference agree on the output and on all gradients."""
    tensors = {"x": torch.tensor(x, requires_grad=True)}
    for name in ("W", "b"):
        if hasattr(layer, name):
            tensors[name] = torch.tensor(getattr(layer, name), requires_grad=True)
    expected = reference(**tensors)
    out = layer.forward(x)
    np.testing.assert_allclose(out, expected.detach().numpy(), rtol=1e-9, atol=1e-12)
    dout = np.random.default_rng(seed).standard_normal(out.shape)
    expected.backward(torch.tensor(dout))
    ours = {"x": layer.backward(dout)}
    if hasattr(layer, "W"):
        ours |= {"W": layer.dW, "b": layer.db}
    for name, gradient in ours.items():
        np.testing.assert_allclose(gradient, tensors[name].grad.numpy(), rtol=1e-9, atol=1e-11)


@both_floors
@pytest.mark.parametrize("seed", range(30))
def test_convolution(floor, seed):
    rng = np.random.default_rng(seed)
    N, C, FN, FH, FW = (int(v) for v in rng.integers(1, 6, 5))
    H, W, stride, pad = (int(v) for v in rng.integers((5, 5, 1, 0), (18, 18, 4, 5)))
    layer = floor.Convolution(
        rng.standard_normal((FN, C, FH, FW)), rng.standard_normal(FN), stride, pad
    )
    compare(
        layer, rng.standard_normal((N, C, H, W)), lambda x, W, b: F.conv2d(x, W, b, stride, pad)
    )


@both_floors
@pytest.mark.parametrize("seed", range(30))
def test_pooling(floor, seed):
    rng = np.random.default_rng(seed)
    size = tuple(int(v) for v in rng.integers(1, 5, 2))
    stride = int(rng.integers(1, 5))
    pad = int(rng.integers(0, min(size) // 2 + 1))  # PyTorch takes no more than half the window
    shape = (int(v) for v in rng.integers((1, 1, 5, 5), (4, 4, 12, 12)))
    x = rng.integers(-2, 3, tuple(shape)).astype(float)  # ties: both take the first
    compare(floor.Pooling(*size, stride, pad), x, lambda x: F.max_pool2d(x, size, stride, pad))
    average = floor.Pooling(*size, stride, pad, mode="average")
    compare(average, x, lambda x: F.avg_pool2d(x, size, stride, pad))


def test_local_response_normalization(rng):
    layer = cnnlib.LocalResponseNormalization(5, 2.0, 0.1, 0.75)
    x = rng.standard_normal((2, 7, 3, 4))
    compare(layer, x, lambda x: F.local_response_norm(x, 5, alpha=0.5, beta=0.75, k=2.0))


def test_affine_relu_sigmoid(rng):
    x = rng.standard_normal((4, 2, 3))
    affine = cnnlib.Affine(rng.standard_normal((6, 5)), rng.standard_normal(5))
    compare(affine, x, lambda x, W, b: x.flatten(1) @ W + b)
    compare(cnnlib.Relu(), x, torch.relu)
    compare(cnnlib.Sigmoid(), x, torch.sigmoid)


def test_softmax_with_loss(rng):
    x, t = rng.standard_normal((6, 4)), rng.integers(0, 4, 6)
    scores = torch.tensor(x, requires_grad=True)
    loss = F.cross_entropy(scores, torch.tensor(t))
    loss.backward()
    layer = cnnlib.SoftmaxWithLoss()
    assert layer.forward(x, t) == pytest.approx(loss.item(), rel=1e-12)
    np.testing.assert_allclose(layer.backward(), scores.grad.numpy(), rtol=1e-9, atol=1e-14)


def test_simple_conv_net(rng):
    net = cnnlib.SimpleConvNet((1, 9, 9), {"filter_num": 4, "filter_size": 3}, 6, 5, 0.3, rng=0)
    net = net.astype(np.float64)
    x, t = rng.standard_normal((3, 1, 9, 9)), np.array([4, 0, 2])
    p = {name: torch.tensor(value, requires_grad=True) for name, value in net.params.items()}
    hidden = F.max_pool2d(F.conv2d(torch.tensor(x), p["W1"], p["b1"]).relu(), 2)
    scores = (hidden.flatten(1) @ p["W2"] + p["b2"]).relu() @ p["W3"] + p["b3"]
    F.cross_entropy(scores, torch.tensor(t)).backward()
    np.testing.assert_allclose(net.predict(x), scores.detach().numpy(), rtol=1e-9)
    for name, gradient in net.gradient(x, t).items():
        np.testing.assert_allclose(gradient, p[name].grad.numpy(), rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (cnnlib.SGD(0.1), lambda p: torch.optim.SGD(p, 0.1)),
        (cnnlib.Momentum(0.1), lambda p: torch.optim.SGD(p, 0.1, momentum=0.9)),
        (cnnlib.Nesterov(0.1), lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, nesterov=True)),
        (cnnlib.AdaGrad(0.1), lambda p: torch.optim.Adagrad(p, 0.1, eps=1e-7)),
        (cnnlib.RMSprop(0.1), lambda p: torch.optim.RMSprop(p, 0.1, alpha=0.99, eps=1e-7)),
        (cnnlib.Adam(0.1), lambda p: torch.optim.Adam(p, 0.1, eps=1e-12)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_optimizers(ours, theirs, rng):
    params = {"W1": rng.standard_normal((3, 4))}
    p = torch.tensor(params["W1"].copy(), requires_grad=True)
    optimizer = theirs([p])
    for _ in range(6):
        g = rng.standard_normal((3, 4)) + 3  # away from zero, where Adam's two epsilons differ
        ours.update(params, {"W1": g})
        p.grad = torch.tensor(g)
        optimizer.step()
    np.testing.assert_allclose(params["W1"], p.detach().numpy(), rtol=1e-5, atol=1e-6)
