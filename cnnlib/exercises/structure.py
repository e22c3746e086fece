"""Exercises of chapter 7.1: what a layer is, before any window slides."""

import numpy as np

from cnnlib.exercises.engine import Exercise, counting, dice
from cnnlib.layers import Affine


def check_affine(my_affine):
    """Check a fully connected layer that takes images: flatten, multiply, add.

    Write ``my_affine(x, W, b)``: x (N, C, H, W) or (N, D), W (D, M), b (M,); return an array
    (N, M) in the dtype of x.
    """
    return AFFINE.check(my_affine)


def _affine(x, W, b):
    return Affine(W, b).forward(x, train_flg=False)


AFFINE = Exercise("affine", "7.1", "my_affine(x, W, b)",
    cases=[
        (counting(1, 2), dice(0, 2, 2), counting(2)),
        (counting(2, 3), dice(1, 3, 2), counting(2)),
        (dice(2, 1, 1, 2, 2), dice(3, 4, 3), counting(3)),
        (dice(4, 3, 2, 2, 2), dice(5, 8, 3), dice(6, 3)),
        tuple(
            dice(seed, *shape, dtype=np.float32)
            for seed, shape in ((7, (4, 3, 2, 5)), (8, (30, 6)), (9, (6,)))
        ),
    ],
    reference=_affine,
    mistakes={
        "the bias is not added": lambda x, W, b: x.reshape(len(x), -1) @ W,
        "the images are not flattened: x.reshape(N, -1) makes one line of each":
            lambda x, W, b: x @ W + b,
        "the batch is flattened too: N is to stay, and only C, H and W become one axis":
            lambda x, W, b: x.reshape(-1) @ W + b,
        "the images are mixed: reshape(D, N).T does not give the rows that reshape(N, D) gives":
            lambda x, W, b: x.reshape(len(W), -1).T @ W + b,
        "the channels come last in the flattened line; reshape(N, -1) takes them first":
            lambda x, W, b: np.moveaxis(x, 1, -1).reshape(len(x), -1) @ W + b,
        "W is transposed: its rows are the D inputs already":
            lambda x, W, b: x.reshape(len(x), -1) @ W.T + b,
        "the bias is subtracted": lambda x, W, b: x.reshape(len(x), -1) @ W - b,
        "each image has a bias of its own: b belongs to the M outputs, one for each column":
            lambda x, W, b: x.reshape(len(x), -1) @ W + b.reshape(-1, 1),
    },
)  # fmt: skip
