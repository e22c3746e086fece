"""Train the networks whose weights the package ships, and write them as float16.

    python benchmarks/train_weights.py simple|deep|photographs [--seed 0] [--epochs E] [--lr LR]
        [--to FOLDER] [--images TAR]
    python benchmarks/train_weights.py check [--images TAR]

Simple and deep learn MNIST, photographs CIFAR-10: from where CNNLIB_DATA_DIR says, or downloaded.
CIFAR-10 may also be a tar archive of images, train/<class>/<name> and test/<class>/<name>.

5,000 training images are held out, to judge settings by; the 10,000 test images are looked at in
the end, with the weights as they are written: rounded to float16. `check` measures the files that
are there.
"""

import argparse
import tarfile
import time
from pathlib import Path

import numpy as np
from train_mnist import steps_with_falling_rate

import cnnlib
from cnnlib.networks import TRAINED, filter_history, load_trained

HELD_OUT = 5000
SNAPSHOTS = 30
SETTINGS = {
    "simple": {"epochs": 8, "lr": 0.002},
    "deep": {"epochs": 8, "lr": 0.003},
    "photographs": {"epochs": 20, "lr": 0.003},
}
RISING = 0.25  # share of the steps in which the learning rate of photographs rises
DECAY = 0.2  # of their weights, times the learning rate, in each step


def load(name, images):
    """Load what a network of that name learns from: images (N, C, H, W) in [0, 1], and labels."""
    if name != "photographs":
        return cnnlib.load_mnist(flatten=False)
    return cnnlib.load_cifar10() if images is None else read_images(images)


def read_images(path):
    """Read the images train/<class>/<name> and test/<class>/<name> of a tar archive."""
    from PIL import Image

    found = {"train": [], "test": []}
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isfile():
                part, kind, _ = member.name.split("/")
                with Image.open(archive.extractfile(member)) as image:
                    found[part].append((kind, np.asarray(image.convert("RGB"))))
    classes = sorted({kind for kind, _ in found["train"]})
    for pairs in found.values():
        x = np.stack([image for _, image in pairs]).transpose(0, 3, 1, 2)  # (N, C, H, W)
        t = np.array([classes.index(kind) for kind, _ in pairs])
        yield np.divide(x, 255, dtype=np.float32, order="C"), t


def shifted(x, rng, most=2):
    """Move each image by up to `most` pixels up, down and sideways; what comes in is paper."""
    N, _, H, W = x.shape
    frame = np.pad(x, ((0, 0), (0, 0), (most, most), (most, most)))
    windows = np.lib.stride_tricks.sliding_window_view(frame, (H, W), axis=(2, 3))
    rows, columns = rng.integers(0, 2 * most + 1, (2, N))
    return windows[np.arange(N), :, rows, columns]  # (N, C, H, W)


def mirrored_and_shifted(x, rng):
    """Mirror every other image, on average, and move each by up to 3 pixels."""
    mirrored = rng.random((len(x), 1, 1, 1)) < 0.5
    return shifted(np.where(mirrored, x[..., ::-1], x), rng, most=3)


def steps_with_decay(trainer, lr):
    """Take all steps: the learning rate rises to lr, then falls to zero, and weights decay."""
    while trainer.current_iter < trainer.max_iter:
        done = trainer.current_iter / trainer.max_iter
        trainer.optimizer.lr = lr * min(done / RISING, (1 - done) / (1 - RISING))
        yield trainer.train_step()
        for name, p in trainer.network.params.items():
            if name.startswith("W"):
                p *= 1 - DECAY * trainer.optimizer.lr


def train(network, x, t, seed, epochs, lr):
    """Train with Adam, in batches of 100.

    Returns
    -------
    dict of ndarray
        {steps taken: first-layer filters then}, at growing distances.
    """
    color = network.input_dim[0] == 3
    augment, steps = (
        (mirrored_and_shifted, steps_with_decay) if color else (shifted, steps_with_falling_rate)
    )
    trainer = cnnlib.Trainer(
        network, x, t, x, t, epochs, 100, cnnlib.Adam(lr), seed=seed, augment=augment
    )
    places = np.arange(SNAPSHOTS) / (SNAPSHOTS - 1)
    wanted = np.rint(trainer.max_iter * places**2).astype(int)
    filters = {0: network.params["W1"].copy()}
    start, cpu_start = time.perf_counter(), time.process_time()
    for _ in steps(trainer, lr):
        if trainer.current_iter in wanted:
            filters[trainer.current_iter] = network.params["W1"].copy()
        if trainer.epoch == int(trainer.epoch):
            loss = np.mean(trainer.train_loss_list[-len(x) // 100 :])
            seconds, cpu = time.perf_counter() - start, time.process_time() - cpu_start
            print(f"epoch {trainer.epoch:.0f}: {seconds:.0f} s", end=" ")
            print(f"({cpu:.0f} s of processor time), loss {loss:.4f}", flush=True)
    return filters


def make(name, seed, epochs, lr, folder, images):
    (x, t), (x_test, t_test) = load(name, images)
    network, mean = TRAINED[name](rng=seed), 0
    if name == "photographs":
        order = np.random.default_rng(seed).permutation(len(x))  # they may come class by class
        x, t = x[order], t[order]
        mean = x.mean(axis=(0, 2, 3))  # of each color, taken away while training
        x -= mean.reshape(3, 1, 1)
    filters = train(network, x[:-HELD_OUT], t[:-HELD_OUT], seed, epochs, lr)
    if name == "photographs":  # and then from the biases: exact, for the first layer has no padding
        x += mean.reshape(3, 1, 1)
        network.params["b1"] -= network.params["W1"].sum(axis=(2, 3)) @ mean
    for p in network.params.values():
        p[...] = p.astype(np.float16)
    held_out = network.accuracy(x[-HELD_OUT:], t[-HELD_OUT:])
    print(f"{name}, seed {seed}: {held_out:.2%} of the {HELD_OUT:,} held out", end=", ")
    print(f"{network.accuracy(x_test, t_test):.2%} of the {len(x_test):,} test images")
    network.astype(np.float16).save_params(folder / f"{name}.npz")
    if name == "simple":
        np.savez_compressed(
            folder / "simple-filters.npz",
            steps=np.array(list(filters)),
            W1=np.array(list(filters.values()), np.float16),  # (30, 30, 1, 5, 5)
        )


def check(images):
    steps, filters = filter_history()
    same = (filters[-1] == load_trained("simple").params["W1"]).all()
    print(f"filters {filters.shape} after steps {steps[0]}..{steps[-1]}, the last shipped: {same}")
    for name in TRAINED:
        _, (x_test, t_test) = load(name, images)
        accuracy = load_trained(name).accuracy(x_test, t_test)
        print(f"{name}: {accuracy:.2%} of the {len(x_test):,} test images")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=[*TRAINED, "check"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, help="instead of those in SETTINGS")
    parser.add_argument("--lr", type=float, help="learning rate at the start, likewise")
    parser.add_argument("--to", type=Path, default=Path(cnnlib.__file__).parent / "data")
    parser.add_argument("--images", type=Path, help="CIFAR-10 as images: train/<class>/*, test/...")
    options = parser.parse_args()
    if options.what == "check":
        return check(options.images)
    chosen = {"epochs": options.epochs, "lr": options.lr}
    settings = SETTINGS[options.what] | {k: v for k, v in chosen.items() if v is not None}
    make(options.what, options.seed, folder=options.to, images=options.images, **settings)


if __name__ == "__main__":
    main()
