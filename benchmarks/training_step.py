"""Time one training step of SimpleConvNet: cnnlib, the book's way and, if installed, PyTorch.

    python benchmarks/training_step.py [--repeats 40]

A step is: draw 100 of 10,000 images, forward, backward, Adam. The programs run in turn in one
process, and the ratios of their medians are what counts: times of two machines do not compare.
"""

import argparse
import os
import platform
import sys
import time

import numpy as np
import threadpoolctl
from book_way import Adam as BookAdam
from book_way import BookNet

import cnnlib


def steps_of_cnnlib(images, labels):
    network, optimizer = cnnlib.SimpleConvNet(rng=0), cnnlib.Adam()
    rng = np.random.default_rng(0)

    def step():
        batch = rng.choice(len(images), 100)
        grads = network.gradient(images[batch], labels[batch])
        optimizer.update(network.params, grads)
        return network.last_layer.loss

    return step


def steps_of_the_book(images, labels, report_loss):
    network, optimizer = BookNet(cnnlib.SimpleConvNet(rng=0).params), BookAdam()
    rng = np.random.default_rng(0)

    def step():
        batch = rng.choice(len(images), 100)
        x, t = images[batch], labels[batch]
        optimizer.update(network.params, network.gradient(x, t))
        return network.loss(x, t) if report_loss else None

    return step


def steps_of_torch(images, labels, threads):
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    network = nn.Sequential(
        nn.Conv2d(1, 30, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(4320, 100),
        nn.ReLU(),
        nn.Linear(100, 10),
    )
    optimizer, loss = torch.optim.Adam(network.parameters()), nn.CrossEntropyLoss()
    images, labels = torch.from_numpy(images), torch.from_numpy(labels)

    def step():
        batch = torch.randint(len(images), (100,))
        optimizer.zero_grad()
        value = loss(network(images[batch]), labels[batch])
        value.backward()
        optimizer.step()
        return value.item()

    return step


def check_that_they_agree(images, labels):
    """Stop unless both NumPy programs compute the same gradients."""
    ours, x, t = cnnlib.SimpleConvNet(rng=0), images[:100], labels[:100]
    theirs = BookNet(ours.params).gradient(x, t)
    for name, gradient in ours.gradient(x, t).items():
        difference = np.abs(gradient - theirs[name]).max() / np.abs(theirs[name]).max()
        assert difference < 1e-4, f"{name} differs by {difference:.1e}"


def medians(programs, repeats):
    """Run the programs in turn and return the median time of each, in seconds."""
    times = {name: [] for name in programs}
    for turn in range(repeats + 3):  # three turns to warm up
        for name, step in programs.items():
            start = time.perf_counter()
            step()
            if turn >= 3:
                times[name].append(time.perf_counter() - start)
    return {name: float(np.median(values)) for name, values in times.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=40, help="turns per program")
    repeats = parser.parse_args().repeats
    rng = np.random.default_rng(1)
    images = rng.random((10_000, 1, 28, 28), dtype=np.float32)  # as large as MNIST's test half
    labels = rng.integers(0, 10, 10_000)
    check_that_they_agree(images, labels)

    blas = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
    threads = max((pool["num_threads"] for pool in blas), default=1)
    kernels = [f"{p['internal_api']} {p['version']} ({p.get('architecture', '?')})" for p in blas]
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"numpy {np.__version__}, {', '.join(kernels)}, {threads} threads")

    programs = {
        "cnnlib": steps_of_cnnlib(images, labels),
        "book's way": steps_of_the_book(images, labels, report_loss=False),
        "book's way, loss reported": steps_of_the_book(images, labels, report_loss=True),
    }
    try:
        programs["torch eager"] = steps_of_torch(images, labels, threads)
        print(f"torch {sys.modules['torch'].__version__}, {threads} threads")
    except ImportError:
        print("torch is not installed: its row is left out")
    result = medians(programs, repeats)
    print(f"\nmedian of {repeats} steps, run in turn    ms    cnnlib takes")
    for name, seconds in result.items():
        print(f"{name:28} {1e3 * seconds:11.1f}    {result['cnnlib'] / seconds:5.2f}")


if __name__ == "__main__":
    main()
