"""Compare cnnlib with the book's program and with PyTorch: one table of ratios, in Markdown.

    python benchmarks/ratios.py [--quick] [--turns 30] [--threads N] [--only WORD]

Everything runs in turn in one process, and only ratios of medians count: the times of two machines
do not compare. Rows that need PyTorch or MNIST are left out, with the reason, where they are not
at hand. `README.md` beside this file holds the results of a named machine.
"""

import argparse
import copy
import os
from dataclasses import dataclass, field
from functools import partial

import book
import numpy as np
from roofline import report, work_of_layer, work_of_network
from timing import (
    INTERFERENCE,
    Interference,
    describe_machine,
    import_torch,
    peak_bytes,
    seconds_in_turn,
    set_threads,
)
from train_mnist import train_quickly

import cnnlib
from cnnlib import fast, layers, naive
from cnnlib.classics import GroupedConvolution, LocalResponseNormalization

BATCH = 100
LAYOUTS = "contiguous_format", "channels_last"  # of PyTorch: the faster one counts
HEAD = """\
| what / other | target | back to back: cnnlib / other | after a pause | the text | target met |
|---|---|---|---|---|---|"""
EXPLANATION = """
Back to back: A B A B. After a pause: 30 ms, and one call that is not timed, before each timed call.
The text: the same with the layers of cnnlib.layers for those of cnnlib.fast, after a pause."""


@dataclass
class Table:
    """Rows of a Markdown table, printed as they are measured."""

    turns: int
    only: str = ""
    missed: list = field(default_factory=list)  # rows for `roofline.report`
    skipped: list = field(default_factory=list)

    def wants(self, what):
        return self.only.lower() in what.lower()

    def row(self, what, target, pairs, text="", unit="ms", interference=0.0):
        """Print one row from (ours, theirs) for each way of measuring, or from a single pair."""
        digits = 3 if target < 0.2 else 2
        cells = [f"{a:.2f} / {b:.2f} {unit} = **{a / b:.{digits}f}**" for a, b in pairs]
        cells = [""] * (2 - len(cells)) + cells
        verdict = ["yes" if ours / theirs <= target else "no" for ours, theirs in pairs]
        if interference > INTERFERENCE:
            verdict.append(f"INTERFERENCE: others used {interference:.0%} of the cores")
        cells = [what, f"{target:.2f}", *cells, text, ", ".join(verdict)]
        print(f"| {' | '.join(cells)} |", flush=True)

    def compare(self, what, target, ours, theirs, text=None, work=None):
        """Time `ours` against the better of `theirs`, both ways, and print the row."""
        if not self.wants(what):
            return
        programs, pairs, watch = {"ours": ours, **dict(enumerate(theirs))}, [], Interference()
        for pause in (False, True):
            if pause and text:
                programs["text"] = text
            ms = {k: 1e3 * s for k, s in seconds_in_turn(programs, self.turns, pause).items()}
            pairs.append((ms["ours"], min(ms[k] for k in range(len(theirs)))))
        ours, theirs = pairs[-1]
        text = f"{ms['text']:.2f} ms, {ms['text'] / ours:.1f} times" if text else ""
        self.row(what, target, pairs, text, interference=watch.share())
        if work and ours / theirs > target:
            self.missed.append((what, ours, theirs, target, work))

    def skip(self, what, reason):
        if self.wants(what):
            self.skipped.append(f"Left out: {what}: {reason}.")


# ------------------------------------------------------------------- the same thing, otherwise


def text_of(layer):
    """Give the layer of `cnnlib.layers` for its fast twin, with the same parameters."""
    if isinstance(layer, layers.Convolution):
        return layers.Convolution(layer.W, layer.b, layer.stride, layer.pad)
    if isinstance(layer, layers.Pooling):
        return layers.Pooling(layer.pool_h, layer.pool_w, layer.stride, layer.pad, layer.mode)
    return copy.copy(layer)


def text_network(network):
    """Give the same network, with the same parameters, on the layers of the text."""
    twin = copy.copy(network)
    twin.layers = {name: text_of(layer) for name, layer in network.layers.items()}
    return twin


def torch_of(torch, layer):
    """Give PyTorch's layer with the same settings and a copy of the parameters."""
    nn = torch.nn
    if isinstance(layer, layers.Convolution | GroupedConvolution):
        FN, C, *size = layer.W.shape
        groups = getattr(layer, "groups", 1)
        twin, W = nn.Conv2d(C * groups, FN, size, layer.stride, layer.pad, groups=groups), layer.W
    elif isinstance(layer, layers.Affine):
        twin, W = nn.Linear(*layer.W.shape), layer.W.T
    elif isinstance(layer, layers.Pooling):
        kind = nn.MaxPool2d if layer.mode == "max" else nn.AvgPool2d
        return kind((layer.pool_h, layer.pool_w), layer.stride, layer.pad)
    elif isinstance(layer, LocalResponseNormalization):
        return nn.LocalResponseNorm(layer.n, layer.n * layer.alpha, layer.beta, layer.k)
    else:
        kinds = {layers.Relu: nn.ReLU, layers.Sigmoid: nn.Sigmoid, layers.Dropout: nn.Dropout}
        return kinds[type(layer)]()
    with torch.no_grad():
        twin.weight.copy_(torch.from_numpy(W))
        twin.bias.copy_(torch.from_numpy(layer.b))
    return twin


def torch_network(torch, network):
    """Give the same network in PyTorch, with a copy of the parameters."""
    modules = [torch_of(torch, layer) for layer in network.layers.values()]
    first = next(k for k, module in enumerate(modules) if isinstance(module, torch.nn.Linear))
    return torch.nn.Sequential(*modules[:first], torch.nn.Flatten(), *modules[first:])


def check_same(ours, theirs):
    """Stop unless two dicts of arrays hold the same numbers, but for rounding."""
    for name, a in ours.items():
        difference = np.abs(a - theirs[name]).max() / np.abs(a).max()
        assert difference < 1e-4, f"{name} differs by {difference:.1e}"


# ---------------------------------------------------------------------- the training step


def step_of_numpy(network, optimizer, images, labels, size=BATCH, report_loss=False):
    rng = np.random.default_rng(0)

    def step():
        batch = rng.choice(len(images), size)
        x, t = images[batch], labels[batch]
        optimizer.update(network.params, network.gradient(x, t))
        return network.loss(x, t) if report_loss else None

    return step


def step_of_torch(torch, network, images, labels, layout):
    layout = getattr(torch, layout)
    network = torch_network(torch, network).to(memory_format=layout)
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


def gradient_of_torch(torch, network, x, t):
    twin = torch_network(torch, network)
    loss = torch.nn.CrossEntropyLoss()(twin(torch.from_numpy(x)), torch.from_numpy(t))
    loss.backward()
    grads = [p.grad.numpy().T if p.ndim == 2 else p.grad.numpy() for p in twin.parameters()]
    return dict(zip(network.params, grads, strict=True))


def compare_with_the_book(table, images, labels, quick):
    network, x, t = cnnlib.SimpleConvNet(rng=0), images[:BATCH], labels[:BATCH]
    text, yardstick = text_network(network), book.SimpleConvNet(network.params)
    check_same(network.gradient(x, t), text.gradient(x, t))
    check_same(network.gradient(x, t), yardstick.gradient(x, t))
    step, text_step = (step_of_numpy(n, cnnlib.Adam(), images, labels) for n in (network, text))
    reporting, silent = (
        step_of_numpy(yardstick, book.Adam(), images, labels, report_loss=report)
        for report in (True, False)
    )
    what = "training step / the book's program"
    table.compare(what, 0.11, step, [reporting], text_step, work_of_network(network, BATCH))
    table.compare(f"{what} without its second forward pass", 0.11, step, [silent], text_step)
    what = "peak memory of a training step / the book's program"
    if table.wants(what):
        ours, theirs, text = (peak_bytes(program) / 1e6 for program in (step, silent, text_step))
        table.row(what, 0.4, [(ours, theirs)], f"{text:.2f} MB, {text / ours:.1f} times", "MB")
    compare_training_time(table, reporting, quick)


def compare_training_time(table, book_step, quick):
    """Train to 98.9 %, and compare with 20 epochs of the book's program, from its median step."""
    what = "MNIST to 98.9 %, seconds / 20 epochs of the book's program"
    if quick or not os.environ.get("CNNLIB_DATA_DIR"):
        reason = "--quick" if quick else "set CNNLIB_DATA_DIR to a folder with mnist/"
        return table.skip(what, reason)
    if table.wants(what):
        watch, (accuracy, seconds) = Interference(), train_quickly()
        share = watch.share()
        theirs = 20 * 600 * seconds_in_turn({"book": book_step}, table.turns)["book"]
        what = what.replace("98.9 %", f"{accuracy:.2%}")
        table.row(what, 0.03, [(seconds, theirs)], unit="s", interference=share)


def compare_steps_with_torch(table, torch, images, labels):
    networks = {
        "training step / torch": (cnnlib.SimpleConvNet(rng=0), 0.8),
        "LeNet training step / torch": (cnnlib.LeNet(rng=0), 1.0),
    }
    for what, (network, target) in networks.items():
        x, t = images[:BATCH], labels[:BATCH]
        check_same(network.gradient(x, t), gradient_of_torch(torch, network, x, t))
        theirs = [step_of_torch(torch, network, images, labels, layout) for layout in LAYOUTS]
        step, text = (
            step_of_numpy(n, cnnlib.Adam(), images, labels)
            for n in (network, text_network(network))
        )
        table.compare(what, target, step, theirs, text, work_of_network(network, BATCH))


# ------------------------------------------------------------------- layers and predictions


def forward_and_backward(layer, x, dout):
    def both():
        layer.forward(x)
        return layer.backward(dout)

    return both


def torch_forward_and_backward(torch, layer, x, dout, layout):
    layout = getattr(torch, layout)
    layer = torch_of(torch, layer).to(memory_format=layout)
    x = torch.from_numpy(x).contiguous(memory_format=layout).requires_grad_()
    dout = torch.from_numpy(dout).contiguous(memory_format=layout)

    def both():
        x.grad = None
        layer.zero_grad()
        layer(x).backward(dout)
        return x.grad

    return both


def compare_layers(table, torch, rng):
    W = rng.standard_normal((32, 16, 3, 3), dtype=np.float32)
    layer = fast.Convolution(W, np.zeros(32, np.float32), pad=1)
    cases = [("convolution (32,16,32,32), 32 of 3x3, pad 1", layer, (32, 16, 32, 32))]
    for mode in ("max", "average"):
        for size in (2, 3):
            what = f"{mode} pooling {size}x{size}, stride 2, (100,30,24,24)"
            cases.append((what, fast.Pooling(size, size, mode=mode), (100, 30, 24, 24)))
    for what, layer, shape in cases:
        x = rng.standard_normal(shape, dtype=np.float32)
        dout = rng.standard_normal(layer.forward(x).shape, dtype=np.float32)
        ours, text = (forward_and_backward(each, x, dout) for each in (layer, text_of(layer)))
        theirs = [torch_forward_and_backward(torch, layer, x, dout, each) for each in LAYOUTS]
        for other in (text, *theirs):
            check_same({"dx": ours()}, {"dx": np.asarray(other())})
        work = work_of_layer(layer, shape[1:], len(x))
        table.compare(f"{what} / torch", 1.5, ours, theirs, text, work)


def compare_im2col(table, rng):
    """Time im2col against the copy of an array of the size of its result, fresh in both cases."""
    cases = [
        ("(100,1,28,28), 5x5", (100, 1, 28, 28), (5, 5, 1, 0)),
        ("(32,16,32,32), 3x3, pad 1", (32, 16, 32, 32), (3, 3, 1, 1)),
        ("(10,3,64,64), 7x7, stride 2", (10, 3, 64, 64), (7, 7, 2, 0)),
        ("(100,30,12,12), 3x3", (100, 30, 12, 12), (3, 3, 1, 0)),
    ]
    for name, shape, window in cases:
        unroll = partial(cnnlib.im2col, rng.standard_normal(shape, dtype=np.float32), *window)
        what = f"im2col {name} / copy of as many bytes"
        table.compare(what, 2.0, unroll, [partial(unroll().copy, order="K")])


def compare_predictions(table, torch, images, rng):
    """Time 1,000 digits a turn, a tenth of MNIST's test half: all batches are alike."""
    alexnet = partial(cnnlib.AlexNet, dropout_ratio=0)  # else it scales, which PyTorch does not
    photo = rng.random((1, 3, 227, 227), dtype=np.float32)
    for what, target, make, x in (
        ("inference of 1,000 digits / torch", 1.2, cnnlib.SimpleConvNet, images[:1000]),
        ("AlexNet forward, one image / torch", 2.0, alexnet, photo),
    ):
        if not table.wants(what):
            continue  # the 61 million weights of AlexNet take a second to draw
        network, batches = make(rng=0), np.array_split(x, -(-len(x) // BATCH))
        other, tensors = torch_network(torch, network).eval(), list(map(torch.from_numpy, batches))

        def theirs(other=other, tensors=tensors):
            with torch.inference_mode():
                return [other(tensor) for tensor in tensors]

        def ours(network=network, batches=batches):
            return [network.predict(batch) for batch in batches]

        check_same({"scores": ours()[0]}, {"scores": theirs()[0].numpy()})
        table.compare(what, target, ours, [theirs], work=work_of_network(network, len(x), False))


def show_ways(table, torch, rng):
    """Time one convolution, forward, as loops, as the text, as its fast twin and in PyTorch."""
    if not table.wants("ways"):
        return
    print("\n### One convolution in several ways: forward, after a pause\n")
    print("| images, filters | way | ms | times as fast as the loops |\n|---|---|---|---|")
    for shapes in ((100, 1, 28, 28), (30, 1, 5, 5)), ((100, 16, 12, 12), (32, 16, 3, 3)):
        x, W = (rng.standard_normal(shape, dtype=np.float32) for shape in shapes)
        twin = fast.Convolution(W, np.zeros(len(W), np.float32))
        programs = {"text": partial(text_of(twin).forward, x), "fast": partial(twin.forward, x)}
        if torch:
            programs["PyTorch"] = partial(torch_of(torch, twin), torch.from_numpy(x))
        loops = seconds_in_turn({0: partial(naive.convolve, x[:1], W)}, 1, pause=False)[0] * len(x)
        for way, s in ({"loops": loops} | seconds_in_turn(programs, table.turns)).items():
            print(f"| {shapes} | {way} | {1e3 * s:,.2f} | {loops / s:,.0f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=30, help="turns per program")
    parser.add_argument("--quick", action="store_true", help="5 turns, and no training on MNIST")
    parser.add_argument("--threads", type=int, metavar="N", help="for cnnlib and PyTorch alike")
    parser.add_argument("--only", metavar="WORD", default="", help="rows whose name has the word")
    options = parser.parse_args()
    for name, number in (("turns", options.turns), ("threads", options.threads)):
        if number is not None and number < 1:
            parser.error(f"--{name} must be at least 1, got {number}")
    if options.threads:
        set_threads(options.threads)
    table = Table(5 if options.quick else options.turns, options.only)
    torch = import_torch()
    print(describe_machine())
    print(f"Medians of {table.turns} turns; the smaller the ratio, the better for cnnlib.\n")

    # As large as MNIST's test half: the arithmetic does not mind noise.
    rng = np.random.default_rng(1)
    images, labels = rng.random((10_000, 1, 28, 28), dtype=np.float32), rng.integers(0, 10, 10_000)
    print(HEAD)
    compare_with_the_book(table, images, labels, options.quick)
    compare_im2col(table, rng)
    if torch is None:
        table.skip("everything / torch", "it is not installed (pip install torch)")
    else:
        compare_steps_with_torch(table, torch, images, labels)
        compare_layers(table, torch, rng)
        compare_predictions(table, torch, images, rng)
    print(EXPLANATION, *table.skipped, sep="\n")
    show_ways(table, torch, rng)
    if table.missed:
        report(table.missed)


if __name__ == "__main__":
    main()
