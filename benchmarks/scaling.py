"""Measure how time and memory grow with each setting of a convolution and of a training step.

    python benchmarks/scaling.py [--quick] [--turns 5] [--plot FILE.png]

One setting is varied, the others stay. Where a cost grows as a power, cost = a * value**e, its
logarithm is a straight line of slope e, and least squares find e. Only the four costliest values
are fitted: in the small ones calls and Python weigh more than arithmetic. Beside each slope stands
the one that theory says: the same fit through numbers that are counted, not measured.
"""

import argparse
from dataclasses import dataclass, replace

import book
import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from ratios import forward_and_backward, step_of_numpy
from roofline import work_of_layer, work_of_network
from timing import Interference, describe_machine, peak_bytes, seconds_in_turn

import cnnlib
from cnnlib.figures import style
from cnnlib.windows import conv_output_size

FITTED = 4  # values, the costliest ones
# What is counted, and what is measured beside it.
COLUMNS = ("operations", "time: cnnlib", "time: book", "col", "memory: cnnlib", "memory: book")


@dataclass(frozen=True)
class Setting:
    """The numbers of a convolution, which is also the first layer of the training step.

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

    @property
    def col(self):
        """Numbers in the matrix of all windows."""
        return self.N * self.out_size**2 * self.C * self.filter_size**2


@dataclass
class Growth:
    """Costs of the programs of one kind while one setting varies: for each column, a list."""

    what: str
    name: str
    values: tuple
    costs: dict

    def slope(self, column):
        """Fit the exponent over the values with the most operations."""
        top = np.argsort(self.costs["operations"])[-FITTED:]
        return exponent(np.array(self.values)[top], np.array(self.costs[column])[top])


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


def convolution(s, rng):
    """Give forward and backward of one convolution, cnnlib's and the book's, and its operations."""
    x = rng.standard_normal((s.N, s.C, s.size, s.size))
    dout = rng.standard_normal((s.N, s.filters, s.out_size, s.out_size))
    W = rng.standard_normal((s.filters, s.C, s.filter_size, s.filter_size))
    b, x32, dout32, W32 = np.zeros(s.filters), *(a.astype(np.float32) for a in (x, dout, W))
    layer = cnnlib.Convolution(W32, b, s.stride, s.pad)
    programs = {
        "cnnlib": forward_and_backward(layer, x32, dout32),
        "book": forward_and_backward(book.Convolution(W, b, s.stride, s.pad), x, dout),
    }
    return programs, work_of_layer(layer, x.shape[1:], s.N).flop


def training_step(s, rng):
    """Give one step of SimpleConvNet with Adam, cnnlib's and the book's, and its operations."""
    x, t = rng.random((s.N, s.C, s.size, s.size), dtype=np.float32), rng.integers(0, 10, s.N)
    conv_param = {"filter_num": s.filters, "filter_size": s.filter_size}
    conv_param |= {"stride": s.stride, "pad": s.pad}
    network = cnnlib.SimpleConvNet((s.C, s.size, s.size), conv_param, rng=0)
    theirs = book.SimpleConvNet(network.params, s.stride, s.pad)
    programs = {
        "cnnlib": step_of_numpy(network, cnnlib.Adam(), x, t, s.N),
        "book": step_of_numpy(theirs, book.Adam(), x, t, s.N),
    }
    return programs, work_of_network(network, s.N).flop


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
    """Vary one setting of one kind of program, and return the `Growth` of its costs."""
    make, base, _ = PROGRAMS[what]
    costs = {column: [] for column in COLUMNS}
    for value in values:
        setting = replace(base, **{name.replace(" ", "_"): value})
        programs, operations = make(setting, np.random.default_rng(0))
        new = {"operations": operations, "col": setting.col}
        for program, seconds in seconds_in_turn(programs, turns, pause=False).items():
            new[f"time: {program}"] = 1e3 * seconds
            new[f"memory: {program}"] = peak_bytes(programs[program]) / 1e6
        for column, number in new.items():
            costs[column].append(number)
    return Growth(what, name, values, costs)


def table(growths):
    """Write the exponents as a Markdown table."""
    head = ["what", "grows with", *COLUMNS]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for growth in growths:
        cells = [growth.what, f"{growth.name}, {growth.values[0]} to {growth.values[-1]}"]
        for column in COLUMNS:
            form = "**{:z.2f}** ({:.0%})" if ": " in column else "{:z.2f}"  # measured or counted
            cells.append(form.format(*growth.slope(column)))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(growths):
    """Draw time and memory against each setting, on logarithmic scales, with the exponents."""
    kinds = list(dict.fromkeys(growth.what for growth in growths))
    figure = Figure(figsize=(9, 4.4 * len(kinds)), dpi=100, layout="constrained")
    for what, part in zip(kinds, figure.subfigures(len(kinds), squeeze=False)[:, 0], strict=True):
        some = [growth for growth in growths if growth.what == what]
        part.suptitle(f"{what}: cnnlib (circles) and the book's program (squares)")
        axes = part.subplots(2, len(some), sharex="col", sharey="row", squeeze=False)
        for (above, below), growth in zip(axes.T, some, strict=True):
            draw_panel(above, growth, *COLUMNS[:3])
            draw_panel(below, growth, *COLUMNS[3:])
            below.set_xlabel(growth.name)
            below.set_xticks(growth.values, map(str, growth.values))
            below.minorticks_off()
            below.tick_params(axis="x", labelsize=8)
        axes[0, 0].set_ylabel("time, ms")
        axes[1, 0].set_ylabel("peak memory, MB")
    return figure


def draw_panel(ax, growth, theory, *measured):
    for column, role, marker in zip(measured, ("output", "filter"), ("o-", "s-"), strict=True):
        look = {"color": style.ROLES[role], "label": f"{growth.slope(column)[0]:z.2f}"}
        ax.loglog(growth.values, growth.costs[column], marker, **look)
    title = f"{theory}: {growth.slope(theory)[0]:z.2f}"
    ax.legend(title=title, fontsize=8, title_fontsize=8, frameon=False)


def save(figure, file_name):
    """Write a PNG file with a palette of 64 colors: a quarter of the bytes, to the eye alike."""
    figure.savefig(file_name)
    with Image.open(file_name) as image:
        image = image.convert("P", palette=Image.Palette.ADAPTIVE, colors=64)
    image.save(file_name, optimize=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="3 turns, and the four smaller values")
    parser.add_argument("--turns", type=int, default=5, help="turns per program")
    parser.add_argument("--plot", metavar="FILE.png", help="draw the measurements here")
    options = parser.parse_args()
    if options.turns < 1:
        parser.error(f"--turns must be at least 1, got {options.turns}")
    turns, most = (3, FITTED) if options.quick else (options.turns, None)
    print(f"{describe_machine()}\nMedians of {turns} turns, cnnlib and the book in turn.\n")
    growths, watch = [], Interference()
    for what, (_, base, settings) in PROGRAMS.items():
        print(f"{what}: {base}", flush=True)
        growths += [measure(what, name, values[:most], turns) for name, values in settings.items()]
    print(
        f"\n{table(growths)}\n\nBold: exponents of what was measured, fitted to the {FITTED} "
        "values with the most operations, and the largest\ndeviation from the fit. The others: the "
        "same fit through what is counted, operations of the products and numbers\nin col. "
        f"Other programs used {watch.share():.0%} of the cores meanwhile."
    )
    if options.plot:
        save(draw(growths), options.plot)


if __name__ == "__main__":
    main()
