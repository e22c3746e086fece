"""Time a training step on a quiet machine, and with one busy process on each core.

    python benchmarks/threads.py [--turns 20] [--quick]

The same step of SimpleConvNet, 100 images and Adam, with its threads used in different ways. The
first two rows go through the layers by hand, so that BLAS alone decides about threads. A turn is
ten steps in a row, as in training.
"""

import argparse
import contextlib
import subprocess
import sys

import numpy as np
from ratios import BATCH, LAYOUTS, step_of_numpy, step_of_torch
from threadpoolctl import ThreadpoolController
from timing import describe_machine, import_torch, times_in_turn

import cnnlib
from cnnlib.networks import CORES, PARTS

STEPS = 10  # in a row

# A process that computes nothing for ever, or until the benchmark is gone, however it ended.
BUSY = """
import os
benchmark = os.getppid()
while os.getppid() == benchmark:
    for _ in range(1_000_000):
        pass
"""


@contextlib.contextmanager
def busy_processes(n):
    """Keep n processes busy meanwhile, and end them whatever happens."""
    processes = []
    try:
        for _ in range(n):
            processes.append(subprocess.Popen([sys.executable, "-c", BUSY]))
        yield processes
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()


def by_hand(network, threads):
    """Give the network a gradient that goes through the layers with so many BLAS threads."""
    layers, controller = list(network.layers.values()), ThreadpoolController()

    def gradient(x, t):
        with controller.limit(limits=threads, user_api="blas"):
            for layer in layers:
                x = layer.forward(x)
            network.last_layer.forward(x, t)
            dout = network.last_layer.backward()
            for layer in layers[:0:-1]:
                dout = layer.backward(dout)
            layers[0].backward(dout, need_dx=False)
        grads = [g for layer in layers if hasattr(layer, "W") for g in (layer.dW, layer.db)]
        return dict(zip(network.params, grads, strict=True))

    network.gradient = gradient
    return network


def steps(torch, images, labels):
    """Give the training steps to compare, by name."""
    one, two, halves, last = (cnnlib.SimpleConvNet(rng=0) for _ in range(4))
    networks = {
        "one BLAS thread": by_hand(one, 1),
        f"{CORES} BLAS threads": by_hand(two, CORES),
        f"cnnlib: {PARTS} parts of the batch, one BLAS thread each": halves,
    }
    programs = {
        name: step_of_numpy(network, cnnlib.Adam(), images, labels)
        for name, network in networks.items()
    }
    if torch:
        torch.set_num_threads(CORES)
        step = step_of_torch(torch, last, images, labels, LAYOUTS[0])
        programs[f"PyTorch, {CORES} threads"] = step
    return programs


def table(quiet, busy):
    """Write medians, and in parentheses the middle 80 % of the calls, as a Markdown table."""
    lines = ["| training step, ms | quiet | a busy process on each core |", "|---|---|---|"]
    for name in quiet:
        cells = [np.percentile(times[name], (50, 10, 90)) * 1e3 for times in (quiet, busy)]
        cells = [f"**{median:.1f}** ({low:.1f} to {high:.1f})" for median, low, high in cells]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=20, help="turns per program")
    parser.add_argument("--quick", action="store_true", help="2 turns")
    options = parser.parse_args()
    turns, rng = 2 if options.quick else options.turns, np.random.default_rng(1)
    images, labels = rng.random((1000, 1, 28, 28), dtype=np.float32), rng.integers(0, 10, 1000)
    print(f"{describe_machine()}\nBatches of {BATCH}, {turns} turns of {STEPS} steps.\n")
    programs = steps(import_torch(), images, labels)
    quiet = times_in_turn(programs, turns, calls=STEPS)
    with busy_processes(CORES):
        busy = times_in_turn(programs, turns, calls=STEPS)
    print(table(quiet, busy))


if __name__ == "__main__":
    main()
