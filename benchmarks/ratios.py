"""Compare cnnlib with the book's way and with PyTorch: one table of ratios.

    python benchmarks/ratios.py [--quick] [--repeats 40]

Everything runs in turn in one process, and only ratios of medians count: the times of two machines
do not compare. Rows that need PyTorch or MNIST are left out, with the reason, where they are not
at hand. `README.md` beside this file holds the results of a named machine, and what bounds them.
"""

import argparse
import os
from dataclasses import dataclass, field

import numpy as np
from book_way import Adam as BookAdam
from book_way import BookNet
from train_mnist import train_quickly
from turns import describe_machine, import_torch, peak_bytes, seconds_in_turn

import cnnlib
from cnnlib.layers import Convolution, Pooling

BATCH = 100


@dataclass
class Table:
    """Rows as they are measured, printed at once."""

    repeats: int
    quick: bool
    skipped: list = field(default_factory=list)

    def head(self):
        print(f"\n{'':58}  {'cnnlib':>8}  {'other':>8}  {'ratio':>6}  reach", flush=True)

    def row(self, what, ours, theirs, reach, unit="ms"):
        ratio = ours / theirs
        mark = "" if ratio <= reach else "  not reached"
        print(f"{what:58}  {ours:8.2f}  {theirs:8.2f}  {ratio:6.2f}  {reach:.2f} {unit}{mark}")

    def compare(self, what, reach, ours, *theirs, inner=1):
        """Time `ours` against the better of `theirs`, and print the row."""
        others = {f"other {i}": program for i, program in enumerate(theirs)}
        times = seconds_in_turn({"ours": ours} | others, self.repeats, inner)
        best = min(times[name] for name in others)
        self.row(what, 1e3 * times["ours"], 1e3 * best, reach)
        return times

    def skip(self, what, reason):
        print(f"{what:58}  left out: {reason}")


def random_digits(rng, N=10_000):
    """Draw images and labels as large as MNIST's test half: the arithmetic does not mind noise."""
    return rng.random((N, 1, 28, 28), dtype=np.float32), rng.integers(0, 10, N)


# ---------------------------------------------------------------------- the training step


def step_of_cnnlib(network, images, labels):
    optimizer, rng = cnnlib.Adam(), np.random.default_rng(0)

    def step():
        batch = rng.choice(len(images), BATCH)
        grads = network.gradient(images[batch], labels[batch])
        optimizer.update(network.params, grads)
        return network.last_layer.loss

    return step


def step_of_the_book(images, labels, report_loss):
    network, optimizer = BookNet(cnnlib.SimpleConvNet(rng=0).params), BookAdam()
    rng = np.random.default_rng(0)

    def step():
        batch = rng.choice(len(images), BATCH)
        x, t = images[batch], labels[batch]
        optimizer.update(network.params, network.gradient(x, t))
        return network.loss(x, t) if report_loss else None

    return step


def step_of_torch(torch, network, images, labels, channels_last=False):
    layout = torch.channels_last if channels_last else torch.contiguous_format
    network = network.to(memory_format=layout)
    optimizer, loss = torch.optim.Adam(network.parameters()), torch.nn.CrossEntropyLoss()
    images, labels = torch.from_numpy(images), torch.from_numpy(labels)

    def step():
        batch = torch.randint(len(images), (BATCH,))
        optimizer.zero_grad()
        x = images[batch].contiguous(memory_format=layout)
        value = loss(network(x), labels[batch])
        value.backward()
        optimizer.step()
        return value.item()

    return step


def simple_conv_net(nn):
    return nn.Sequential(
        nn.Conv2d(1, 30, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(4320, 100),
        nn.ReLU(),
        nn.Linear(100, 10),
    )


def lenet(nn):
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.Sigmoid(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.Sigmoid(),
        nn.AvgPool2d(2),
        nn.Conv2d(16, 120, 5),
        nn.Sigmoid(),
        nn.Flatten(),
        nn.Linear(120, 84),
        nn.Sigmoid(),
        nn.Linear(84, 10),
    )


def check_that_they_agree(images, labels):
    """Stop unless both NumPy programs compute the same gradients."""
    ours, x, t = cnnlib.SimpleConvNet(rng=0), images[:BATCH], labels[:BATCH]
    theirs = BookNet(ours.params).gradient(x, t)
    for name, gradient in ours.gradient(x, t).items():
        difference = np.abs(gradient - theirs[name]).max() / np.abs(theirs[name]).max()
        assert difference < 1e-4, f"{name} differs by {difference:.1e}"


# ------------------------------------------------------------------------------ the layers


def forward_and_backward(layer, x, dout):
    def both():
        layer.forward(x)
        return layer.backward(dout)

    return both


def torch_forward_and_backward(torch, layer, x, dout, channels_last=False):
    layout = torch.channels_last if channels_last else torch.contiguous_format
    layer = layer.to(memory_format=layout)
    x = torch.from_numpy(x).contiguous(memory_format=layout).requires_grad_()
    dout = torch.from_numpy(dout).contiguous(memory_format=layout)

    def both():
        x.grad = None
        layer.zero_grad()
        layer(x).backward(dout)
        return x.grad

    return both


def compare_layers(table, torch, rng):
    nn = torch.nn
    x = rng.standard_normal((32, 16, 32, 32), dtype=np.float32)
    W = rng.standard_normal((32, 16, 3, 3), dtype=np.float32)
    dout = rng.standard_normal((32, 32, 32, 32), dtype=np.float32)
    table.compare(
        "convolution (32,16,32,32), 32 of 3x3, pad 1 / torch",
        1.5,
        forward_and_backward(Convolution(W, np.zeros(32, np.float32), 1, 1), x, dout),
        torch_forward_and_backward(torch, nn.Conv2d(16, 32, 3, padding=1), x, dout),
        torch_forward_and_backward(torch, nn.Conv2d(16, 32, 3, padding=1), x, dout, True),
    )
    x = rng.standard_normal((100, 30, 24, 24), dtype=np.float32)
    for mode, kind in (("max", nn.MaxPool2d), ("average", nn.AvgPool2d)):
        for size in (2, 3):
            layer = Pooling(size, size, stride=2, mode=mode)
            dout = rng.standard_normal(layer.forward(x).shape, dtype=np.float32)
            table.compare(
                f"{mode} pooling {size}x{size}, stride 2, (100,30,24,24) / torch",
                1.5,
                forward_and_backward(layer, x, dout),
                torch_forward_and_backward(torch, kind(size, 2), x, dout),
                torch_forward_and_backward(torch, kind(size, 2), x, dout, True),
            )


def compare_im2col(table, rng):
    """Time im2col against the copy of an array of the size of its result, fresh in both cases."""
    shapes = {
        "(100,1,28,28), 5x5": ((100, 1, 28, 28), 5, 1, 0),
        "(32,16,32,32), 3x3, pad 1": ((32, 16, 32, 32), 3, 1, 1),
        "(10,3,64,64), 7x7, stride 2": ((10, 3, 64, 64), 7, 2, 0),
        "(100,30,12,12), 3x3": ((100, 30, 12, 12), 3, 1, 0),
    }
    for name, (shape, size, stride, pad) in shapes.items():
        x = rng.standard_normal(shape, dtype=np.float32)
        col = cnnlib.im2col(x, size, size, stride, pad)
        table.compare(
            f"im2col {name} / copy of as many bytes",
            2.0,
            lambda x=x, size=size, stride=stride, pad=pad: cnnlib.im2col(
                x, size, size, stride, pad
            ),
            col.copy,
        )


# ----------------------------------------------------------------------------- the networks


def compare_inference(table, torch, rng, images):
    network, theirs = cnnlib.SimpleConvNet(rng=0), simple_conv_net(torch.nn).eval()

    def ours():
        return [network.predict(images[i : i + BATCH]) for i in range(0, len(images), BATCH)]

    tensor = torch.from_numpy(images)

    def other():
        with torch.inference_mode():
            return [theirs(tensor[i : i + BATCH]) for i in range(0, len(images), BATCH)]

    table.compare("inference of 10,000 digits, batches of 100 / torch", 1.2, ours, other)


def compare_alexnet(table, torch, rng):
    nn = torch.nn
    network = cnnlib.AlexNet(rng=0)
    lrn = nn.LocalResponseNorm
    layers = [nn.Conv2d(3, 96, 11, 4), nn.ReLU(), lrn(5, 5e-4, k=2), nn.MaxPool2d(3, 2)]
    layers += [nn.Conv2d(96, 256, 5, padding=2), nn.ReLU(), lrn(5, 5e-4, k=2), nn.MaxPool2d(3, 2)]
    for C, FN in ((256, 384), (384, 384), (384, 256)):
        layers += [nn.Conv2d(C, FN, 3, padding=1), nn.ReLU()]
    layers += [nn.MaxPool2d(3, 2), nn.Flatten()]
    for D in (9216, 4096):
        layers += [nn.Linear(D, 4096), nn.ReLU(), nn.Dropout()]
    theirs = nn.Sequential(*layers, nn.Linear(4096, 1000)).eval()
    x = rng.random((1, 3, 227, 227), dtype=np.float32)

    def other():
        with torch.inference_mode():
            return theirs(torch.from_numpy(x))

    table.compare("AlexNet forward, one image / torch", 2.0, lambda: network.predict(x), other)


def compare_training_time(table, seconds_of_a_book_step):
    """Train to 98.9 %, and compare with 20 epochs of the book's way, extrapolated from its step."""
    what = "MNIST to 98.9 %, seconds / 20 epochs of the book's way"
    if table.quick:
        return table.skip(what, "--quick")
    if not os.environ.get("CNNLIB_DATA_DIR"):
        return table.skip(what, "set CNNLIB_DATA_DIR to a folder that holds mnist/")
    accuracy, seconds = train_quickly(seed=0)
    what = f"MNIST to {accuracy:.2%}, seconds / 20 epochs of the book's way"
    table.row(what, seconds, 20 * 600 * seconds_of_a_book_step, 0.03, "s")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=40, help="turns per program")
    parser.add_argument("--quick", action="store_true", help="5 turns, and no training on MNIST")
    options = parser.parse_args()
    table = Table(5 if options.quick else options.repeats, options.quick)
    torch = import_torch()
    print(describe_machine())
    print(f"medians of {table.repeats} turns; the smaller the ratio, the better for cnnlib")

    rng = np.random.default_rng(1)
    images, labels = random_digits(rng)
    check_that_they_agree(images, labels)
    table.head()

    step = step_of_cnnlib(cnnlib.SimpleConvNet(rng=0), images, labels)
    reported = step_of_the_book(images, labels, report_loss=True)
    book = table.compare("training step / the book's program", 0.1, step, reported)
    silent = step_of_the_book(images, labels, report_loss=False)
    table.compare("training step / the same without its second forward pass", 0.1, step, silent)
    megabytes = [peak_bytes(program) / 1e6 for program in (step, silent)]
    table.row("peak memory of a training step / the book's way", *megabytes, 0.4, "MB")
    compare_training_time(table, book["other 0"])
    compare_im2col(table, rng)
    if torch is None:
        return table.skip("everything against torch", "it is not installed (pip install torch)")
    networks = [
        ("training step", cnnlib.SimpleConvNet(rng=0), simple_conv_net, 0.8),
        ("LeNet-5 training step", cnnlib.LeNet(rng=0), lenet, 1.0),
    ]
    for what, ours, theirs, reach in networks:
        others = [
            step_of_torch(torch, theirs(torch.nn), images, labels, channels_last)
            for channels_last in (False, True)
        ]
        table.compare(f"{what} / torch", reach, step_of_cnnlib(ours, images, labels), *others)
    compare_layers(table, torch, rng)
    compare_inference(table, torch, rng, images)
    compare_alexnet(table, torch, rng)


if __name__ == "__main__":
    main()
