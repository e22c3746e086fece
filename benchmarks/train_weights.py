"""Train the networks whose weights the package ships, on MNIST, and write them as float16.

    python benchmarks/train_weights.py simple|deep [--seed 0] [--epochs E] [--lr LR] [--to FOLDER]
    python benchmarks/train_weights.py check

The last 5,000 training images are held out, to judge settings by; the 10,000 test digits are looked
at in the end, with the weights as they are written: rounded to float16. `check` measures the files
that are there. MNIST comes from where CNNLIB_DATA_DIR says, or is downloaded.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from train_mnist import steps_with_falling_rate

import cnnlib
from cnnlib.networks import TRAINED, filter_history, load_trained

HELD_OUT = 5000
SNAPSHOTS = 30


def shifted(x, rng, most=2):
    """Move each image by up to `most` pixels up, down and sideways; what comes in is paper."""
    N, _, H, W = x.shape
    frame = np.pad(x, ((0, 0), (0, 0), (most, most), (most, most)))
    windows = np.lib.stride_tricks.sliding_window_view(frame, (H, W), axis=(2, 3))
    rows, columns = rng.integers(0, 2 * most + 1, (2, N))
    return windows[np.arange(N), :, rows, columns]  # (N, C, H, W)


SETTINGS = {"simple": {"epochs": 8, "lr": 0.002}, "deep": {"epochs": 8, "lr": 0.003}}


def train(network, x, t, seed, epochs, lr):
    """Train with Adam, batches of 100 and a learning rate that falls in a straight line to zero.

    Returns
    -------
    dict of ndarray
        {steps taken: first-layer filters then}, at growing distances.
    """
    trainer = cnnlib.Trainer(
        network, x, t, x, t, epochs, 100, cnnlib.Adam(lr), seed=seed, augment=shifted
    )
    places = np.arange(SNAPSHOTS) / (SNAPSHOTS - 1)
    wanted = np.rint(trainer.max_iter * places**2).astype(int)
    filters, start = {0: network.params["W1"].copy()}, time.perf_counter()
    for _ in steps_with_falling_rate(trainer, lr):
        if trainer.current_iter in wanted:
            filters[trainer.current_iter] = network.params["W1"].copy()
        if trainer.epoch == int(trainer.epoch):
            loss = np.mean(trainer.train_loss_list[-len(x) // 100 :])
            seconds = time.perf_counter() - start
            print(f"epoch {trainer.epoch:.0f}: {seconds:.0f} s, loss {loss:.4f}", flush=True)
    return filters


def make(name, seed, epochs, lr, folder):
    (x, t), (x_test, t_test) = cnnlib.load_mnist(flatten=False)
    network = TRAINED[name](rng=seed)
    filters = train(network, x[:-HELD_OUT], t[:-HELD_OUT], seed, epochs, lr)
    for p in network.params.values():
        p[...] = p.astype(np.float16)
    held_out = network.accuracy(x[-HELD_OUT:], t[-HELD_OUT:])
    print(f"{name}, seed {seed}: {held_out:.2%} of the {HELD_OUT:,} held out", end=", ")
    print(f"{network.accuracy(x_test, t_test):.2%} of the {len(x_test):,} test digits")
    network.astype(np.float16).save_params(folder / f"{name}.npz")
    if name == "simple":
        np.savez_compressed(
            folder / "simple-filters.npz",
            steps=np.array(list(filters)),
            W1=np.array(list(filters.values()), np.float16),  # (30, 30, 1, 5, 5)
        )


def check():
    _, (x_test, t_test) = cnnlib.load_mnist(flatten=False)
    for name in TRAINED:
        accuracy = load_trained(name).accuracy(x_test, t_test)
        print(f"{name}: {accuracy:.2%} of the {len(x_test):,} test digits")
    steps, filters = filter_history()
    same = (filters[-1] == load_trained("simple").params["W1"]).all()
    print(f"filters {filters.shape} after steps {steps[0]}..{steps[-1]}, the last shipped: {same}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=[*TRAINED, "check"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, help="instead of those in SETTINGS")
    parser.add_argument("--lr", type=float, help="learning rate at the start, likewise")
    parser.add_argument("--to", type=Path, default=Path(cnnlib.__file__).parent / "data")
    options = parser.parse_args()
    if options.what == "check":
        return check()
    chosen = {"epochs": options.epochs, "lr": options.lr}
    settings = SETTINGS[options.what] | {k: v for k, v in chosen.items() if v is not None}
    make(options.what, options.seed, folder=options.to, **settings)


if __name__ == "__main__":
    main()
