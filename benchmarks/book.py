"""The training step as the book writes it: the yardstick of the benchmarks.

float64 throughout, im2col with two loops over the positions inside the window, pooling through
im2col and argmax, Adam with a fresh array for every intermediate result, and, where asked for, a
second forward pass only to report the loss. It is written anew after the book's description
(sections 6.1.6, 7.4 and 7.5); `ratios.py` checks that its gradients are those of `cnnlib`.
"""

import numpy as np


def im2col(x, FH, FW, stride=1, pad=0):
    N, C, H, W = x.shape
    OH, OW = (H + 2 * pad - FH) // stride + 1, (W + 2 * pad - FW) // stride + 1
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    col = np.zeros((N, C, FH, FW, OH, OW))
    for i in range(FH):
        for j in range(FW):
            col[:, :, i, j] = x[:, :, i : i + stride * OH : stride, j : j + stride * OW : stride]
    return col.transpose(0, 4, 5, 1, 2, 3).reshape(N * OH * OW, -1)


def col2im(col, shape, FH, FW, stride=1, pad=0):
    N, C, H, W = shape
    OH, OW = (H + 2 * pad - FH) // stride + 1, (W + 2 * pad - FW) // stride + 1
    col = col.reshape(N, OH, OW, C, FH, FW).transpose(0, 3, 4, 5, 1, 2)
    x = np.zeros((N, C, H + 2 * pad + stride - 1, W + 2 * pad + stride - 1))
    for i in range(FH):
        for j in range(FW):
            x[:, :, i : i + stride * OH : stride, j : j + stride * OW : stride] += col[:, :, i, j]
    return x[:, :, pad : H + pad, pad : W + pad]


class Convolution:
    def __init__(self, W, b, stride=1, pad=0):
        self.W, self.b, self.stride, self.pad = W, b, stride, pad

    def forward(self, x):
        FN, _, FH, FW = self.W.shape
        N, _, H, W = x.shape
        OH = (H + 2 * self.pad - FH) // self.stride + 1
        OW = (W + 2 * self.pad - FW) // self.stride + 1
        self.shape, self.col = x.shape, im2col(x, FH, FW, self.stride, self.pad)
        out = self.col @ self.W.reshape(FN, -1).T + self.b
        return out.reshape(N, OH, OW, FN).transpose(0, 3, 1, 2)

    def backward(self, dout):
        FN, _, FH, FW = self.W.shape
        dout = dout.transpose(0, 2, 3, 1).reshape(-1, FN)
        self.db = dout.sum(axis=0)
        self.dW = (self.col.T @ dout).T.reshape(self.W.shape)
        dcol = dout @ self.W.reshape(FN, -1)
        return col2im(dcol, self.shape, FH, FW, self.stride, self.pad)


class MaxPooling:
    def forward(self, x):
        N, C, H, W = x.shape
        col = im2col(x, 2, 2, stride=2).reshape(-1, 4)
        self.shape, self.winner = x.shape, col.argmax(axis=1)
        return col.max(axis=1).reshape(N, H // 2, W // 2, C).transpose(0, 3, 1, 2)

    def backward(self, dout):
        N, _, OH, OW = dout.shape
        dout = dout.transpose(0, 2, 3, 1)
        col = np.zeros((dout.size, 4))
        col[np.arange(dout.size), self.winner] = dout.ravel()
        return col2im(col.reshape(N * OH * OW, -1), self.shape, 2, 2, stride=2)


class Affine:
    def __init__(self, W, b):
        self.W, self.b = W, b

    def forward(self, x):
        self.shape, self.x = x.shape, x.reshape(len(x), -1)
        return self.x @ self.W + self.b

    def backward(self, dout):
        self.dW, self.db = self.x.T @ dout, dout.sum(axis=0)
        return (dout @ self.W.T).reshape(self.shape)


class Relu:
    def forward(self, x):
        self.mask = x <= 0
        out = x.copy()
        out[self.mask] = 0
        return out

    def backward(self, dout):
        dout = dout.copy()
        dout[self.mask] = 0
        return dout


class Adam:
    def __init__(self, lr=0.001):
        self.lr, self.iter, self.m, self.v = lr, 0, {}, {}

    def update(self, params, grads):
        if not self.m:
            self.m = {key: np.zeros_like(p) for key, p in params.items()}
            self.v = {key: np.zeros_like(p) for key, p in params.items()}
        self.iter += 1
        lr = self.lr * np.sqrt(1 - 0.999**self.iter) / (1 - 0.9**self.iter)
        for key in params:
            self.m[key] += 0.1 * (grads[key] - self.m[key])
            self.v[key] += 0.001 * (grads[key] ** 2 - self.v[key])
            params[key] -= lr * self.m[key] / (np.sqrt(self.v[key]) + 1e-7)


class SimpleConvNet:
    """The book's network, starting from the parameters of cnnlib's."""

    def __init__(self, params, stride=1, pad=0):
        self.params = p = {name: value.astype(np.float64) for name, value in params.items()}
        self.layers = [
            Convolution(p["W1"], p["b1"], stride, pad),
            Relu(),
            MaxPooling(),
            Affine(p["W2"], p["b2"]),
            Relu(),
            Affine(p["W3"], p["b3"]),
        ]

    def loss(self, x, t):
        for layer in self.layers:
            x = layer.forward(x)
        x = np.exp(x - x.max(axis=1, keepdims=True))
        self.y, self.t = x / x.sum(axis=1, keepdims=True), t
        return -np.log(self.y[np.arange(len(t)), t] + 1e-7).mean()

    def gradient(self, x, t):
        self.loss(x, t)
        dout = self.y.copy()
        dout[np.arange(len(t)), t] -= 1
        dout /= len(t)
        for layer in reversed(self.layers):
            dout = layer.backward(dout)
        grads, weighted = {}, [layer for layer in self.layers if hasattr(layer, "W")]
        for i, layer in enumerate(weighted, start=1):
            grads[f"W{i}"], grads[f"b{i}"] = layer.dW, layer.db
        return grads
