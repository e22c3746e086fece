"""Compare cnnlib with the book's way and with PyTorch: one table of ratios, in Markdown.

    python benchmarks/ratios.py [--quick] [--turns 30] [--threads N] [--only WORD]

Everything runs in turn in one process, and only ratios of medians count: the times of two machines
do not compare. Rows that need PyTorch or MNIST are left out, with the reason, where they are not
at hand. `README.md` beside this file holds the results of a named machine.
"""

import argparse
import os
from dataclasses import dataclass, field

import numpy as np
from book_way import Adam as BookAdam
from book_way import BookNet
from bounds import report, work_of_layer, work_of_network
from threadpoolctl import threadpool_limits
from train_mnist import train_quickly
from turns import DISTURBED, Others, describe_machine, import_torch, peak_bytes, seconds_in_turn

import cnnlib
from cnnlib import ladder
from cnnlib.layers import Convolution, Pooling

BATCH = 100
WAYS = {"at once": False, "rested": True}
EXPLANATION = """
At once: A B A B without a pause; OpenBLAS's threads go on spinning for some 26 ms after a product,
and whatever follows, PyTorch most of all, has to share the cores with them. Rested: before each
timed call a pause of 30 ms and one call that is not timed, so that nobody pays for another."""


@dataclass
class Table:
    """Rows of a Markdown table, printed as they are measured."""

    turns: int
    only: str = ""
    disturbed: float = 0.0  # share of the cores that other programs used during the last row
    missed: list = field(default_factory=list)  # rows for `bounds.report`
    skipped: list = field(default_factory=list)

    def wants(self, what):
        return self.only.lower() in what.lower()

    def head(self):
        print(
            "| what / against | reach | at once: cnnlib / other = ratio | rested "
            "| reached at once, rested |\n|---|---|---|---|---|"
        )

    def row(self, what, reach, pairs, unit="ms"):
        """Print one row from (ours, theirs) for each way of measuring, or from a single pair."""
        digits = 3 if reach <= 0.1 else 2
        cells = [
            f"{ours:.2f} / {theirs:.2f} {unit} = **{ours / theirs:.{digits}f}**"
            for ours, theirs in pairs
        ]
        verdict = ["yes" if ours / theirs <= reach else "no" for ours, theirs in pairs]
        if len(pairs) == 1:
            cells = ["", *cells]
        if self.disturbed > DISTURBED:
            verdict.append(f"DISTURBED: others used {self.disturbed:.0%} of the cores")
        print(
            f"| {what} | {reach:.2f} | {' | '.join(cells)} | {', '.join(verdict)} |",
            flush=True,
        )

    def compare(self, what, reach, ours, *theirs, work=None):
        """Time `ours` against the better of `theirs`, both ways, and print the row."""
        if not self.wants(what):
            return
        times = self.measure(ours, *theirs)
        self.timed_row(what, reach, [(t[0], min(t[1:])) for t in times], work)

    def measure(self, *programs):
        """Give the seconds of each program, in a list for each way of measuring."""
        named, others = dict(enumerate(programs)), Others()
        times = [
            list(seconds_in_turn(named, self.turns, rested).values()) for rested in WAYS.values()
        ]
        self.disturbed = others.share()
        return times

    def timed_row(self, what, reach, pairs, work=None):
        self.row(what, reach, [(1e3 * ours, 1e3 * theirs) for ours, theirs in pairs])
        ours, theirs = pairs[-1]
        if work and ours / theirs > reach:
            self.missed.append((what, ours, theirs, reach, work))

    def skip(self, what, reason):
        if self.wants(what):
            self.skipped.append(f"Left out: {what}: {reason}.")


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
    layer = Convolution(W, np.zeros(32, np.float32), 1, 1)
    dout = rng.standard_normal((32, 32, 32, 32), dtype=np.float32)
    table.compare(
        "convolution (32,16,32,32), 32 of 3x3, pad 1 / torch",
        1.5,
        forward_and_backward(layer, x, dout),
        torch_forward_and_backward(torch, nn.Conv2d(16, 32, 3, padding=1), x, dout),
        torch_forward_and_backward(torch, nn.Conv2d(16, 32, 3, padding=1), x, dout, True),
        work=work_of_layer(layer, x.shape[1:], len(x)),
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
                work=work_of_layer(layer, x.shape[1:], len(x)),
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
            lambda col=col: col.copy(order="K"),
        )


# ----------------------------------------------------------------------------- the networks


def compare_inference(table, torch, images):
    """Time 1,000 digits a turn, a tenth of MNIST's test half: all batches are alike."""
    network, theirs = cnnlib.SimpleConvNet(rng=0), simple_conv_net(torch.nn).eval()
    tensor, starts = torch.from_numpy(images), range(0, 1000, BATCH)

    def ours():
        return [network.predict(images[i : i + BATCH]) for i in starts]

    def other():
        with torch.inference_mode():
            return [theirs(tensor[i : i + BATCH]) for i in starts]

    table.compare(
        "inference of MNIST digits, 1,000 a turn in batches of 100 / torch",
        1.2,
        ours,
        other,
        work=work_of_network(network, 1000, training=False),
    )


def compare_alexnet(table, torch, rng):
    what, nn = "AlexNet forward, one image / torch", torch.nn
    if not table.wants(what):
        return  # its 62 million weights take a second to draw
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

    work = work_of_network(network, 1, training=False)
    table.compare(what, 2.0, lambda: network.predict(x), other, work=work)


def show_ladder(table, images, rng):
    """Time the five ways of section 7.4 to compute one convolution; the loops do a single image."""
    if not table.wants("ladder"):
        return
    x, W = images[:BATCH], rng.standard_normal((30, 1, 5, 5), dtype=np.float32)
    loops, *others = ladder.RUNGS
    programs = {rung.__name__: lambda rung=rung: rung(x, W) for rung in others}
    seconds = {loops.__name__: BATCH * seconds_in_turn({0: lambda: loops(x[:1], W)}, 1)[0]}
    seconds |= seconds_in_turn(programs, table.turns)
    print("\n### The ladder of section 7.4: forward, (100,1,28,28), 30 filters 5x5, rested\n")
    print("| rung | ms | times as fast as the loops | as the rung before |\n|---|---|---|---|")
    slow = before = seconds[loops.__name__]
    for name, time in seconds.items():
        print(f"| {name} | {1e3 * time:,.2f} | {slow / time:,.0f} | {before / time:,.1f} |")
        before = time


def compare_with_the_book(table, images, labels, quick):
    """Time the book's program once, for three rows; then memory, and the way to 98.9 %."""
    step = step_of_cnnlib(cnnlib.SimpleConvNet(rng=0), images, labels)
    silent = step_of_the_book(images, labels, report_loss=False)
    names = (
        "training step / the book's program",
        "training step / the same without its second forward pass",
        "MNIST to {}, seconds / 20 epochs of the book's way",
    )
    if any(table.wants(name) for name in names):
        times = table.measure(step, step_of_the_book(images, labels, report_loss=True), silent)
        for k, name in enumerate(names[:2], start=1):
            table.timed_row(name, 0.1, [(t[0], t[k]) for t in times])
        compare_training_time(table, names[2], times[-1][1], quick)
    what = "peak memory of a training step / the book's way"
    if table.wants(what):
        table.disturbed = 0  # bytes do not mind company
        table.row(what, 0.4, [tuple(peak_bytes(program) / 1e6 for program in (step, silent))], "MB")


def compare_training_time(table, what, seconds_of_a_book_step, quick):
    """Train to 98.9 %, and compare with 20 epochs of the book's way, extrapolated from its step."""
    if quick:
        return table.skip(what.format("98.9 %"), "--quick")
    if not os.environ.get("CNNLIB_DATA_DIR"):
        return table.skip(what.format("98.9 %"), "set CNNLIB_DATA_DIR to a folder with mnist/")
    others = Others()
    accuracy, seconds = train_quickly(seed=0)
    table.disturbed = others.share()
    theirs = 20 * 600 * seconds_of_a_book_step
    table.row(what.format(f"{accuracy:.2%}"), 0.03, [(seconds, theirs)], "s")


def compare_steps_with_torch(table, torch, images, labels):
    networks = [
        ("training step / torch", cnnlib.SimpleConvNet(rng=0), simple_conv_net, 0.8),
        ("LeNet-5 training step / torch", cnnlib.LeNet(rng=0), lenet, 1.0),
    ]
    for what, ours, theirs, reach in networks:
        others = [
            step_of_torch(torch, theirs(torch.nn), images, labels, channels_last)
            for channels_last in (False, True)
        ]
        step, work = step_of_cnnlib(ours, images, labels), work_of_network(ours, BATCH)
        table.compare(what, reach, step, *others, work=work)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=30, help="turns per program")
    parser.add_argument("--quick", action="store_true", help="5 turns, and no training on MNIST")
    parser.add_argument("--threads", type=int, metavar="N", help="for BLAS and for PyTorch alike")
    parser.add_argument("--only", metavar="WORD", default="", help="rows whose name has the word")
    options = parser.parse_args()
    for name, number in (("turns", options.turns), ("threads", options.threads)):
        if number is not None and number < 1:
            parser.error(f"--{name} must be at least 1, got {number}")
    if options.threads:
        threadpool_limits(options.threads)  # `import_torch` asks how many there are
    table = Table(5 if options.quick else options.turns, options.only)
    torch = import_torch()
    print(describe_machine())
    print(f"Medians of {table.turns} turns; the smaller the ratio, the better for cnnlib.\n")

    rng = np.random.default_rng(1)
    images, labels = random_digits(rng)
    check_that_they_agree(images, labels)
    table.head()
    compare_with_the_book(table, images, labels, options.quick)
    compare_im2col(table, rng)
    if torch is None:
        table.skip("everything / torch", "it is not installed (pip install torch)")
    else:
        compare_steps_with_torch(table, torch, images, labels)
        compare_layers(table, torch, rng)
        compare_inference(table, torch, images)
        compare_alexnet(table, torch, rng)
    print(EXPLANATION, *table.skipped, sep="\n")
    show_ladder(table, images, rng)
    if table.missed:
        report(table.missed)


if __name__ == "__main__":
    main()
