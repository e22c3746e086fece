"""What a row of the table needs at least on this machine: the roofline of its arithmetic.

A NumPy program is made of matrix products and of passes over arrays. Both are counted for each
layer, at their fewest, with convolutions by im2col: products in floating-point operations, passes
in bytes read and written. Two measured ceilings turn them into seconds: one large product, and a
pass over arrays that lie in the cache. Small products, Python, and arrays that leave the cache
come on top.
"""

import math
import time
from typing import NamedTuple

import numpy as np
from timing import blas

from cnnlib.classics import GroupedConvolution, LocalResponseNormalization
from cnnlib.layers import Affine, Convolution, Dropout, Pooling, Relu, Sigmoid

PASS = 12  # bytes of one operation on one number: two float32 read, one written


class Work(NamedTuple):
    """What there is to do: floating-point operations of products, and bytes of passes."""

    flop: int
    bytes: int


def work_of_layer(layer, shape, N, training=True, need_dx=True):
    """Count what a layer needs for N inputs of a shape (C, H, W) or (D,), forward and backward."""
    out = layer.output_shape(shape)
    n_in, n_out, both = N * math.prod(shape), N * math.prod(out), 1 + training
    products, passes = 1 + training * (1 + need_dx), 0  # forward, dW, dx
    flop = 2 * n_out * layer.W.size // out[0] * products if hasattr(layer, "W") else 0
    if isinstance(layer, Convolution | GroupedConvolution):
        windows = n_out // out[0] * layer.W[0].size * getattr(layer, "groups", 1)
        passes = windows * (1 + training * need_dx)  # into the windows, and back out of them
    elif isinstance(layer, Pooling):
        # Rows of whole lines first, then what is left of each: the fewest maxima or sums.
        rows = (layer.pool_h - 1) * n_out // out[2] * shape[2]
        passes = (rows + (layer.pool_w - 1) * n_out) * both
    elif isinstance(layer, Relu | Dropout):
        passes = n_in * both
    elif isinstance(layer, Sigmoid):
        passes = n_in * (4 + 3 * training)  # exp(-x), + 1, 1 / x; dout * out * (1 - out)
    elif isinstance(layer, LocalResponseNormalization):
        passes = n_in * (layer.n + 4)  # x**2, n - 1 sums, alpha, k, the power, the product
    else:
        assert isinstance(layer, Affine), f"{type(layer).__name__} is not counted"
    return Work(flop, PASS * passes)


def work_of_network(network, N, training=True):
    """Count what the layers of a network need for N images, and Adam for the parameters."""
    shape, works = network.input_dim, []
    if training:  # 14 operations stand in Adam's three formulas
        works.append(Work(0, PASS * 14 * sum(p.size for p in network.params.values())))
    for k, layer in enumerate(network.layers.values()):
        works.append(work_of_layer(layer, shape, N, training, need_dx=k > 0))
        shape = layer.output_shape(shape)
    return Work(*map(sum, zip(*works, strict=True)))


def fastest(program, turns):
    """Give the shortest time of some calls: a ceiling is the best that was seen."""
    times = []
    for _ in range(turns):
        start = time.perf_counter()
        program()
        times.append(time.perf_counter() - start)
    return min(times)


def ceilings(size=2048, cached=2**16):
    """Measure operations per second of a product, and bytes per second of passes in the cache.

    BLAS shares a product among its threads; of passes, as many threads do as many at a time.
    """
    a, b, out = np.ones((3, size, size), np.float32)
    product = fastest(lambda: np.matmul(a, b, out=out), 10)
    # Not 4096 bytes apart, or a multiple of it: that would slow the processor down.
    x, y, z = np.ones((3, cached + 256), np.float32)[:, :cached]
    one_pass = fastest(lambda: np.add(x, y, out=z), 1000)
    return 2 * size**3 / product, blas()["num_threads"] * PASS * cached / one_pass


def report(missed):
    """Print the roofline of the rows that missed their target.

    Parameters
    ----------
    missed : list of (what, ours, theirs, target, Work)
        Milliseconds, and the ratio asked for.
    """
    flop_rate, byte_rate = ceilings()
    print(
        "\n### Roofline of the rows that missed their target after a pause\n\n"
        f"Products {flop_rate / 1e9:.0f} GFLOPS, passes in the cache {byte_rate / 1e9:.0f} GB/s.\n"
        "\n| row | products | passes | at least | ours | ours / least | the target asks for |\n"
        "|---|---|---|---|---|---|---|"
    )
    for what, ours, theirs, target, work in missed:
        products, passes = 1e3 * work.flop / flop_rate, 1e3 * work.bytes / byte_rate
        least = products + passes
        print(
            f"| {what} | {work.flop / 1e6:.0f} MFLOP, {products:.2f} ms "
            f"| {work.bytes / 1e6:.0f} MB, {passes:.2f} ms | {least:.2f} ms | {ours:.2f} ms "
            f"| {ours / least:.1f} | {target * theirs:.2f} ms |"
        )
