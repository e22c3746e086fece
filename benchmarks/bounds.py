"""What a row of the table needs at least on this machine: what must be done, at measured ceilings.

A NumPy program is made of matrix products and of passes over arrays. For each layer the least of
both is counted here: the products, where convolutions go by im2col, and one pass for each
operation on each number. What they take is not looked up but measured: the very products, with
``out=`` and their operands in the cache, and passes over arrays that lie in the cache. Calls,
Python, and every array that does not stay in the cache come on top: the distance to the bound.
"""

import functools
import itertools
import time
from collections import Counter

import numpy as np
from turns import DISTURBED, Others

from cnnlib.layers import (
    Affine,
    Convolution,
    Dropout,
    LocalResponseNormalization,
    Pooling,
    Relu,
    Sigmoid,
)

CACHED = 2**16  # numbers of float32: 256 kB, which stay in the second-level cache
OPERANDS = 2**19  # bytes of the moving operand of a product
# A pass reads and writes so many bytes for each number it computes, float32.
BYTES = {"copy": 8, "fill": 4, "add": 12, "every other": 12, "exp": 8, "power": 8}


class Work:
    """Products and passes, to be added up.

    Attributes
    ----------
    products : Counter
        Number of products by (m, k, n, along): (m, k) @ (k, n), as one for each image. Those of
        several images may be joined along "k" or "n"; "" where the batch is in them already.
    passes : Counter
        Numbers computed, by the kind of pass.
    """

    def __init__(self):
        self.products, self.passes = Counter(), Counter()

    def __add__(self, other):
        both = Work()
        both.products = self.products + other.products
        both.passes = self.passes + other.passes
        return both

    @property
    def flop(self):
        return sum(2 * m * k * n * count for (m, k, n, _), count in self.products.items())

    @property
    def bytes(self):
        return sum(BYTES[kind] * count for kind, count in self.passes.items())

    def seconds(self):
        """Give the least time for the products, and for the passes."""
        products = sum(n * seconds_of_product(*shape) for shape, n in self.products.items())
        return products, sum(n * seconds_of_pass(kind) for kind, n in self.passes.items())


# ------------------------------------------------------------------------------ what is needed


def work_of_layer(layer, shape, N, training=True, need_dx=True):
    """Count what a layer needs for N inputs of a shape (C, H, W) or (D,), forward and backward.

    Returns
    -------
    Work
    """
    work, out = Work(), layer.output_shape(shape)
    n_in, n_out = N * int(np.prod(shape)), N * int(np.prod(out))
    if isinstance(layer, Convolution):
        FN, C, FH, FW = layer.W.shape
        K, P = C * FH * FW, out[1] * out[2]
        work.products[FN, K, P, "n"] += N
        work.passes["copy"] += N * K * P  # into the matrix of the windows
        if training:
            work.products[FN, P, K, "k"] += N  # dW
            if need_dx:
                work.products[K, FN, P, "n"] += N
                work.passes["add"] += N * K * P  # out of the windows, back into dx
    elif isinstance(layer, Affine):
        D, M = layer.W.shape
        work.products[N, D, M, ""] += 1
        if training:
            work.products[D, N, M, ""] += 1
            work.products[N, M, D, ""] += 1
    elif isinstance(layer, Pooling):
        # Rows of whole lines first, then every other number of what is left: the fewest passes.
        rows = (layer.pool_h - 1) * n_out // out[2] * shape[2]
        columns = (layer.pool_w - 1) * n_out
        # Forward one maximum or sum each. Backward one product or sum each, and dx is filled.
        work.passes["add"] += rows * (1 + training)
        work.passes["every other"] += columns * (1 + training)
        work.passes["fill"] += n_in * training
    elif isinstance(layer, Relu | Dropout):
        work.passes["add"] += n_in * (1 + training)
    elif isinstance(layer, Sigmoid):
        work.passes["exp"] += n_in
        work.passes["add"] += n_in * (3 + 3 * training)  # -x, +1, 1/x; dout * out * (1 - out)
    elif isinstance(layer, LocalResponseNormalization):
        work.passes["power"] += n_in
        work.passes["add"] += n_in * (layer.n + 3)  # x**2, n - 1 sums, alpha, k, the product
    return work


def work_of_network(network, N, training=True):
    """Count what the layers of a network need for N images, and Adam for the parameters."""
    work, shape = Work(), network.input_dim
    for k, layer in enumerate(network.layers.values()):
        work += work_of_layer(layer, shape, N, training, need_dx=k > 0)
        shape = layer.output_shape(shape)
    if training:  # 14 operations stand in Adam's three formulas
        work.passes["add"] += 14 * sum(p.size for p in network.params.values())
    return work


# ----------------------------------------------------------------------------- what is measured


def fastest(program, least=0.05):
    """Give the shortest of three or more times, during `least` seconds or longer.

    A ceiling is the best that was seen.
    """
    program()
    times, end = [], time.perf_counter() + least
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        program()
        times.append(time.perf_counter() - start)
    return min(times)


@functools.cache
def seconds_of_product(m, k, n, along=""):
    """Time (m, k) @ (k, n): one alone or several joined, rows close together or apart."""
    best = np.inf
    moving = 4 * m * k if along == "k" else 4 * k * n
    joined = max(1, OPERANDS // moving) if along else 1
    for images, apart in itertools.product({1, joined}, (0, 16)):  # rows 4096 bytes apart are slow
        k_all = k * images if along == "k" else k
        n_all = n * images if along == "n" else n
        a, b = _rows(m, k_all, apart), _rows(k_all, n_all, apart)
        out = _rows(m, n_all, apart)
        best = min(best, fastest(lambda a=a, b=b, out=out: np.matmul(a, b, out=out)) / images)
    return best


def _rows(m, n, apart):
    """Give an array of ones (m, n), float32, with `apart` numbers between one row and the next."""
    return np.ones((m, n + apart), np.float32)[:, :n]


@functools.cache
def seconds_of_pass(kind, numbers=CACHED):
    """Time one pass over `numbers` numbers, float32, and give the share of one number.

    All arrays begin at a multiple of 64 bytes, a line of the cache. The result is laid at several
    places: a processor slows down where addresses that it reads and writes differ by multiples of
    4096 bytes, and the best place counts.
    """
    a, b, room = (_aligned(2 * numbers + 1024) for _ in range(3))
    x, x2, y = a[:numbers], a[: 2 * numbers], b[256 : numbers + 256]
    program = {
        "copy": lambda out: np.copyto(out, x),
        "fill": lambda out: out.fill(0),
        "add": lambda out: np.add(x, y, out=out),
        "maximum": lambda out: np.maximum(x, y, out=out),
        "every other": lambda out: np.maximum(x2[::2], x2[1::2], out=out),
        "exp": lambda out: np.exp(x, out=out),
        "power": lambda out: np.power(x, np.float32(-0.75), out=out),
    }[kind]
    places = (room[start : start + numbers] for start in (0, 512, 768))
    return min(fastest(lambda out=out: program(out)) for out in places) / numbers


def _aligned(numbers):
    """Give an array of 0.5, float32, that begins with a line of the cache."""
    room = np.full(numbers + 16, 0.5, np.float32)
    start = -room.ctypes.data % 64 // 4
    return room[start : start + numbers]


def ceilings():
    """Write the measured ceilings of this machine, in two lines."""
    size = 2048
    large = 2 * size**3 / seconds_of_product(size, size, size) / 1e9
    cached, far = (8 / seconds_of_pass("copy", n) / 1e9 for n in (CACHED, 2**26))
    rates = ", ".join(
        f"{name} {1e-9 / seconds_of_pass(kind):.2g}"
        for name, kind in {
            "np.add": "add",
            "np.maximum": "maximum",
            "np.maximum of every other": "every other",
            "np.exp": "exp",
            "np.power": "power",
        }.items()
    )
    return (
        f"BLAS {large:.0f} GFLOPS (product of {size} x {size}, float32); copying {cached:.0f} GB/s "
        f"in the cache (256 kB), {far:.0f} GB/s outside (256 MB), read and written.\n"
        f"Passes with out= in the cache, numbers per ns on NumPy's one thread: {rates}."
    )


def report(missed):
    """Print the bounds of the rows that were not reached.

    Parameters
    ----------
    missed : list of (what, ours, theirs, reach, Work)
        Seconds, and the ratio asked for.
    """
    others = Others()
    print(f"\n### What bounds the rows not reached when rested\n\n{ceilings()}\n")
    print(
        "| row | products | passes | at least | ours | ours / least | the reach asks for |\n"
        "|---|---|---|---|---|---|---|"
    )
    for what, ours, theirs, reach, work in missed:
        products, passes = work.seconds()
        least, asked = products + passes, reach * theirs
        cells = "none"
        if work.flop:
            rate = work.flop / products / 1e9
            cells = f"{work.flop / 1e6:.0f} MFLOP, {1e3 * products:.2f} ms ({rate:.0f} GFLOPS)"
        cells += f" | {work.bytes / 1e6:.0f} MB, {1e3 * passes:.2f} ms | {1e3 * least:.2f} ms"
        print(
            f"| {what} | {cells} | {1e3 * ours:.2f} ms | {ours / least:.1f} "
            f"| {1e3 * asked:.2f} ms{', less than the least' if asked < least else ''} |"
        )
    if others.share() > DISTURBED:
        print(
            f"\nDISTURBED: others used {others.share():.0%} of the cores; the bounds are too high."
        )
