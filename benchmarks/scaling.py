"""Measure how time and memory grow with each setting of a convolution and of a training step.

    python benchmarks/scaling.py [--quick] [--plot FILE.png]

One setting is varied, the others stay. Where a cost grows as a power, cost = a * value**e, its
logarithm is a straight line of slope e, and least squares find e. Only the four costliest values
are fitted: in the small ones calls and Python weigh more than arithmetic. Beside each slope
stands the one that theory says: the same fit through numbers that are counted, not measured.
"""

import argparse
from dataclasses import dataclass

import numpy as np
from book_way import Adam as BookAdam
from book_way import BookNet
from book_way import Convolution as BookConvolution
from bounds import work_of_layer, work_of_network
from turns import Others, describe_machine, peak_bytes, seconds_in_turn

import cnnlib
from cnnlib.layers import CACHE, PACK, SMALL
from cnnlib.windows import conv_output_size

FITTED = 4  # values, the costliest ones


@dataclass(frozen=True)
class Setting:
    """The numbers of a convolution; a training step has it as its first layer.

    Padding by half a filter keeps the output as large as the input at stride 1, so that filters of
    any odd size have as many windows.
    """

    N: int
    C: int
    size: int
    filters: int
    filter_size: int
    stride: int = 1

    @property
    def pad(self):
        return self.filter_size // 2

    @property
    def out_size(self):
        return conv_output_size(self.size, self.filter_size, self.stride, self.pad)

    def vary(self, name, value):
        return Setting(**self.__dict__ | {name.replace(" ", "_"): value})


@dataclass
class Growth:
    """Costs of one program kind while one setting varies.

    Attributes
    ----------
    values : tuple of int
        Of the setting.
    seconds, peak : dict of str to list of float
        Measured, for "cnnlib" and "book"; peak memory in bytes.
    counted : dict of str to list of float
        "operations" of the products, numbers in the matrix "col", and the bytes that "cnnlib" and
        the "book" hold at once: see `count`.
    """

    what: str
    name: str
    values: tuple
    seconds: dict
    peak: dict
    counted: dict

    def slope(self, costs):
        """Fit the exponent over the values with the most operations."""
        top = np.argsort(self.counted["operations"])[-FITTED:]
        return exponent(np.array(self.values)[top], np.array(costs)[top])


def exponent(values, costs):
    """Fit cost = a * value**e by least squares in logarithms.

    Returns
    -------
    e, deviation : float
        The exponent, and the largest deviation of a cost from the fit, as a share of the fit.
    """
    x, y = np.log(values), np.log(costs)
    e, log_a = np.polyfit(x, y, 1)
    return float(e), float(np.abs(np.expm1(y - e * x - log_a)).max())


def count(setting, operations, parameters, outputs=1):
    """Count what theory makes the costs of: operations, numbers, bytes.

    The book's way holds col twice, as laid out and as read by the product, or with its gradient;
    cnnlib holds that of one image, or of as many as fit into the cache or into a pack, see
    `cnnlib.layers`. Input, output and parameters stand in both, in float64 and in float32;
    `outputs` says how many arrays as large as the output there are at once.
    """
    N, C, size, FN, F, _ = setting.__dict__.values()
    image = setting.out_size**2 * C * F**2  # numbers in the col of one image
    limit = PACK if setting.out_size**2 <= SMALL else CACHE
    group = max(1, limit // (4 * image))  # images
    arrays = 2 * N * C * size**2 + outputs * N * FN * setting.out_size**2 + parameters
    return {
        "operations": operations,
        "col": N * image,
        "cnnlib": 4 * arrays + 2 * 4 * image * min(group, N),
        "book": 8 * arrays + 2 * 8 * N * image,
    }


# ------------------------------------------------------------------------------ the programs


def convolution(setting, rng):
    """Give forward and backward of one convolution, cnnlib's and the book's, and its counts."""
    N, C, size, FN, F, S = setting.__dict__.values()
    OH, pad = setting.out_size, setting.pad
    x, dout = rng.standard_normal((N, C, size, size)), rng.standard_normal((N, FN, OH, OH))
    W, b = rng.standard_normal((FN, C, F, F)), np.zeros(FN)
    book = BookConvolution(W, b, S, pad)
    x32, dout32, W32, b32 = (a.astype(np.float32) for a in (x, dout, W, b))
    ours = cnnlib.Convolution(W32, b32, S, pad)

    def run_ours():
        out = ours.forward(x32)
        return out, ours.backward(dout32)

    def run_book():
        out = book.forward(x)
        return out, book.backward(dout)

    operations = work_of_layer(ours, (C, size, size), N).flop
    return run_ours, run_book, count(setting, operations, W.size)


def training_step(setting, rng):
    """Give one step of SimpleConvNet with Adam, cnnlib's and the book's, and its counts."""
    N, C, size, FN, F, S = setting.__dict__.values()
    pad = setting.pad
    x, t = rng.random((N, C, size, size), dtype=np.float32), rng.integers(0, 10, N)
    conv_param = {"filter_num": FN, "filter_size": F, "stride": S, "pad": pad}
    network = cnnlib.SimpleConvNet((C, size, size), conv_param, rng=0)
    book, optimizer, book_optimizer = BookNet(network.params, S, pad), cnnlib.Adam(), BookAdam()

    def run_ours():
        optimizer.update(network.params, network.gradient(x, t))
        return network.last_layer.loss

    def run_book():
        book_optimizer.update(book.params, book.gradient(x, t))

    parameters = sum(p.size for p in network.params.values())
    operations = work_of_network(network, N).flop
    # Outputs: of the convolution, of ReLU, and a gradient.
    return run_ours, run_book, count(setting, operations, parameters, outputs=3)


# What is measured: how to make it, its usual setting, and the values of each setting.
PROGRAMS = {
    "convolution": (
        convolution,
        Setting(N=16, C=8, size=32, filters=32, filter_size=5),
        {
            "N": (2, 4, 8, 16, 32, 64),
            "size": (16, 24, 32, 48, 64, 80),
            "filters": (8, 16, 32, 64, 128, 256),
            "filter size": (3, 5, 7, 9, 11, 13),
            "stride": (1, 2, 3, 4, 5, 6),
        },
    ),
    "training step": (
        training_step,
        Setting(N=100, C=1, size=28, filters=30, filter_size=5),
        {
            "N": (10, 20, 40, 80, 160),
            "size": (14, 20, 28, 36, 44),
            "filters": (5, 10, 20, 40, 80),
            "filter size": (3, 5, 7, 9, 11),
            "stride": (1, 2, 3, 4, 5),
        },
    ),
}


def measure(what, name, values, turns):
    """Vary one setting of one kind of program.

    Returns
    -------
    Growth
    """
    make, base, _ = PROGRAMS[what]
    growth = Growth(what, name, values, {}, {}, {})
    for value in values:
        ours, book, counted = make(base.vary(name, value), np.random.default_rng(0))
        programs = {"cnnlib": ours, "book": book}
        for program, seconds in seconds_in_turn(programs, turns, rested=False).items():
            growth.seconds.setdefault(program, []).append(seconds)
        for program, run in programs.items():
            growth.peak.setdefault(program, []).append(peak_bytes(run))
        for count, number in counted.items():
            growth.counted.setdefault(count, []).append(number)
    return growth


# ------------------------------------------------------------------------------ what is shown


def table(growths):
    """Write the exponents as a Markdown table."""
    lines = [
        "| what | grows with | operations | time, cnnlib | time, book | col | bytes, cnnlib "
        "| memory, cnnlib | bytes, book | memory, book |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for growth in growths:
        counted = {name: f"{growth.slope(costs)[0]:.2f}" for name, costs in growth.counted.items()}
        time, memory = (
            {name: "**{:.2f}** ({:.0%})".format(*growth.slope(c)) for name, c in costs.items()}
            for costs in (growth.seconds, growth.peak)
        )
        cells = [
            growth.what,
            f"{growth.name}, {growth.values[0]} to {growth.values[-1]}",
            counted["operations"],
            time["cnnlib"],
            time["book"],
            counted["col"],
            counted["cnnlib"],
            memory["cnnlib"],
            counted["book"],
            memory["book"],
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="3 turns, and the four smaller values")
    parser.add_argument("--turns", type=int, default=5, help="turns per program")
    parser.add_argument("--plot", metavar="FILE.png", help="draw the measurements here")
    options = parser.parse_args()
    if options.turns < 1:
        parser.error(f"--turns must be at least 1, got {options.turns}")
    print(describe_machine())
    turns = 3 if options.quick else options.turns
    print(f"Medians of {turns} turns, cnnlib and the book's way in turn.\n")
    growths, others = [], Others()
    for what, (_, base, settings) in PROGRAMS.items():
        print(f"{what}: {base}", flush=True)
        for name, values in settings.items():
            growths.append(measure(what, name, values[: FITTED if options.quick else None], turns))
    print(f"\n{table(growths)}\n")
    print(
        f"Bold: exponents fitted to what was measured at the {FITTED} values with the most "
        "operations, where fixed\ncosts are small; in parentheses the largest deviation from the "
        "fit. The others: the same fit through\nwhat is counted, operations of the products, "
        "numbers in col, bytes held at once.\n"
        f"Other programs used {others.share():.0%} of the cores meanwhile."
    )
    if options.plot:
        from scaling_plot import save

        save(growths, options.plot)


if __name__ == "__main__":
    main()
