"""A small network's gradient with three planted bugs: the stub of an exercise of chapter 7.5.

The network is convolution (stride 1, no padding), ReLU, affine, softmax with loss. Everything up to
the scores is right; each of the three bugs spoils a gradient without changing any shape. The code
is not to be trusted, and not documented beyond this: finding out is the exercise.
"""

import numpy as np

from cnnlib.windows import im2col


def broken_gradient(x, t, W1, b1, W2, b2):
    """Go forward and back, wrongly. Returns dW1, db1, dW2, db2."""
    N, FN, FH, FW = len(x), len(W1), *W1.shape[2:]
    col = im2col(x, FH, FW)  # (N*OH*OW, C*FH*FW)
    a = col @ W1.reshape(FN, -1).T + b1  # (N*OH*OW, FN)
    z = np.maximum(a, 0).reshape(N, -1)  # (N, OH*OW*FN)
    scores = z @ W2 + b2
    y = np.exp(scores - scores.max(axis=1, keepdims=True))
    y /= y.sum(axis=1, keepdims=True)
    dscores = y - np.eye(len(b2))[t]  # (N, K)
    dW2, db2 = z.T @ dscores, dscores.sum(axis=0)
    dz = (dscores @ W2.T).reshape(a.shape)
    da = dz * (z.reshape(a.shape) >= 0)
    dW1, db1 = (col.T @ da).reshape(W1.shape), da.sum(axis=0)
    return dW1, db1, dW2, db2
