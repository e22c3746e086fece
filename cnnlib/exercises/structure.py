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


def _mixed(x, W, b):
    """Take the batch for the last axis: the numbers of different images end up in one row."""
    D = len(W)
    return x.reshape(D, -1).T @ W + b


def _colours_last(x, W, b):
    flat = np.moveaxis(x, 1, -1).reshape(len(x), -1)
    return flat @ W + b


def _bias_per_image(x, W, b):
    out = x.reshape(len(x), -1) @ W
    return out + b.reshape(-1, 1)


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
            _mixed,
        "the channels come last in the flattened line; reshape(N, -1) takes them first":
            _colours_last,
        "W is transposed: its rows are the D inputs already":
            lambda x, W, b: x.reshape(len(x), -1) @ W.T + b,
        "the bias is subtracted": lambda x, W, b: x.reshape(len(x), -1) @ W - b,
        "each image has a bias of its own: b belongs to the M outputs, one for each column":
            _bias_per_image,
    },
)  # fmt: skip
