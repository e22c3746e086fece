"""The benchmarks, as far as they can be wrong without a clock: counts, fits, turns, verdicts."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

import cnnlib
from cnnlib import layers, naive
from cnnlib.classics import GroupedConvolution, LocalResponseNormalization

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture(autouse=True)
def on_the_path(monkeypatch):
    pytest.importorskip("threadpoolctl")
    monkeypatch.syspath_prepend(BENCHMARKS)


# ------------------------------------------------------------------------------------ scaling


@pytest.mark.parametrize("e", [-2, 0, 1, 1.5, 2])
def test_the_exponent_of_an_exact_power(e):
    from scaling import exponent

    values = np.array([2.0, 3, 7, 20])
    assert exponent(values, 5e-3 * values**e) == pytest.approx((e, 0), abs=1e-12)


def test_the_deviation_is_the_largest_distance_from_the_fit():
    from scaling import exponent

    # 1, 2, 4 with the middle a factor 8 too high: the line is level with the slope 1 through
    # log 2 of 0, 4, 2, so at 1, 2, 3, and the middle lies 2 = a factor 4 above it.
    e, deviation = exponent([1, 2, 4], [1, 16, 4])
    assert (e, deviation) == pytest.approx((1, 3))


@pytest.mark.parametrize("order", [1, -1])
def test_only_the_costliest_values_are_fitted(order):
    from scaling import Growth

    values = np.array([1, 2, 4, 8, 16, 32])[::order]
    operations = values**2.0
    time = np.maximum(operations, 16.0)  # level below the costliest four, 4 to 32
    growth = Growth("convolution", "N", values, {"operations": operations, "time": time})
    assert growth.slope("time") == pytest.approx((2, 0), abs=1e-12)


@pytest.mark.parametrize("what", ["convolution", "training step"])
def test_every_setting_goes_through_measuring_table_and_plot(what, monkeypatch, tmp_path):
    import scaling

    from cnnlib.figures import style

    tiny = scaling.Setting(N=2, C=1, size=8, filters=2, filter_size=3)
    make, _, settings = scaling.PROGRAMS[what]
    monkeypatch.setitem(scaling.PROGRAMS, what, (make, tiny, settings))
    values = {"N": (1, 2), "size": (8, 12), "filters": (1, 2), "filter size": (1, 3)}
    growths = [
        scaling.measure(what, *pair, turns=1) for pair in (values | {"stride": (1, 2)}).items()
    ]
    for measured in growths:
        assert measured.costs.keys() == set(scaling.COLUMNS)
        assert all(len(c) == 2 and min(c) > 0 for c in measured.costs.values())
    assert growths[0].slope("col")[0] == pytest.approx(1)
    assert scaling.table(growths).count("\n") == 1 + 5
    figure = scaling.draw(growths)
    assert figure.get_figwidth() * figure.dpi == style.MAX_WIDTH
    headings = [ax.get_xlabel() for ax in figure.axes if ax.get_xlabel()]
    assert headings == ["N", "size", "filters", "filter size", "stride"]
    exponent = figure.axes[0].get_legend().get_texts()[0].get_text()
    assert exponent == f"{growths[0].slope('time: cnnlib')[0]:z.2f}"
    scaling.save(figure, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size < 100_000


# ------------------------------------------------------------------------- the book's program


@pytest.mark.parametrize(("stride", "pad"), [(1, 0), (1, 2), (2, 1), (3, 0)])
def test_the_books_convolution_agrees_with_the_loops(rng, stride, pad):
    from book import Convolution

    x, W, b = rng.standard_normal((2, 3, 9, 8)), rng.standard_normal((4, 3, 3, 3)), np.arange(4.0)
    book, ours = Convolution(W, b, stride, pad), cnnlib.Convolution(W, b, stride, pad)
    out = book.forward(x)
    np.testing.assert_allclose(out, naive.convolve(x, W, b, stride, pad), atol=1e-12)
    dout = rng.standard_normal(out.shape)
    ours.forward(x)
    np.testing.assert_allclose(book.backward(dout), ours.backward(dout), atol=1e-12)
    np.testing.assert_allclose(book.dW, ours.dW, atol=1e-12)
    np.testing.assert_allclose(book.db, ours.db, atol=1e-12)


@pytest.mark.parametrize(("stride", "pad"), [(1, 0), (2, 1)])
def test_the_books_network_takes_the_same_steps(rng, stride, pad):
    from book import Adam, SimpleConvNet

    conv_param = {"filter_num": 3, "filter_size": 3, "stride": stride, "pad": pad}
    ours = cnnlib.SimpleConvNet((1, 10, 10), conv_param, 6, 4, 0.3, dtype=np.float64, rng=0)
    book, steps = SimpleConvNet(ours.params, stride, pad), (cnnlib.Adam(0.01), Adam(0.01))
    for _ in range(3):
        x, t = rng.random((5, 1, 10, 10)), rng.integers(0, 4, 5)
        grads = ours.gradient(x, t), book.gradient(x, t)
        assert grads[0].keys() == grads[1].keys()
        for name in grads[0]:
            np.testing.assert_allclose(grads[1][name], grads[0][name], atol=1e-10)
        steps[0].update(ours.params, grads[0])
        steps[1].update(book.params, grads[1])
        assert book.loss(x, t) == pytest.approx(ours.loss(x, t, train_flg=False), rel=1e-5)
        for name, parameter in ours.params.items():
            np.testing.assert_allclose(book.params[name], parameter, atol=1e-9)


# ---------------------------------------------------------------- the text, and PyTorch's twins


def test_a_network_on_the_layers_of_the_text(rng):
    from ratios import text_network

    network = cnnlib.LeNet(dtype=np.float64, rng=0)
    text = text_network(network)
    kinds = [type(layer) for layer in text.layers.values()]
    assert kinds[:3] == [layers.Convolution, layers.Sigmoid, layers.Pooling]
    assert text.params["W1"] is network.layers["C1"].W is text.layers["C1"].W
    x, t = rng.random((3, 1, 28, 28)), np.array([0, 5, 9])
    for name, grad in network.gradient(x, t).items():
        np.testing.assert_allclose(text.gradient(x, t)[name], grad, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (cnnlib.Pooling(3, 2, 2, 1), (2, 3, 9, 8)),
        (cnnlib.Pooling(2, 2, 1, 1, mode="average"), (2, 3, 9, 8)),
        (cnnlib.Convolution(np.ones((4, 3, 3, 2)), np.arange(4.0), 2, 1), (2, 3, 9, 8)),
        (GroupedConvolution(np.ones((4, 1, 3, 3)), np.arange(4.0), groups=2), (2, 2, 9, 8)),
        (LocalResponseNormalization(3, 1.5, 0.1, 0.6), (2, 4, 9, 8)),
        (cnnlib.Affine(np.arange(6.0).reshape(2, 3), np.arange(3.0)), (5, 2)),
        (layers.Sigmoid(), (2, 3)),
    ],
)
def test_the_twin_in_pytorch_computes_the_same(layer, shape, rng):
    torch = pytest.importorskip("torch")
    from ratios import torch_of

    x = rng.standard_normal(shape)
    theirs = torch_of(torch, layer).double()(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(theirs, layer.forward(x), rtol=1e-6)


def test_programs_that_differ_are_not_compared():
    from ratios import check_same

    check_same({"W1": np.ones(3)}, {"W1": np.ones(3) + 1e-6})
    with pytest.raises(AssertionError, match=r"W1 differs by 1\.0e-03"):
        check_same({"W1": np.ones(3)}, {"W1": np.array([1, 1, 1.001])})
    with pytest.raises(AssertionError, match="nan"):
        check_same({"W1": np.ones(3)}, {"W1": np.array([1, 1, np.nan])})


# ------------------------------------------------------------------------------------- threads


def test_busy_processes_run_and_are_ended_also_on_error():
    from threads import busy_processes

    with pytest.raises(ZeroDivisionError), busy_processes(2) as processes:
        assert len(processes) == 2
        assert all(process.poll() is None for process in processes)
        raise ZeroDivisionError
    assert all(process.poll() is not None for process in processes)


def test_busy_processes_are_ended_also_when_one_of_them_cannot_start(monkeypatch):
    import threads

    start, started = subprocess.Popen, []

    def only_one(*args):
        if started:
            raise OSError("no more processes")
        started.append(start(*args))
        return started[0]

    monkeypatch.setattr(threads.subprocess, "Popen", only_one)
    with pytest.raises(OSError, match="no more"), threads.busy_processes(2):
        pytest.fail("began without its processes")
    assert started[0].poll() is not None


def test_the_steps_that_are_compared_give_the_same_gradient(rng):
    from threads import by_hand

    x, t = rng.random((6, 1, 28, 28), dtype=np.float32), np.arange(6)
    expected = cnnlib.SimpleConvNet(rng=0).gradient(x, t)
    grads = by_hand(cnnlib.SimpleConvNet(rng=0), 1).gradient(x, t)
    assert grads.keys() == expected.keys()
    for name, grad in grads.items():
        np.testing.assert_allclose(grad, expected[name], rtol=1e-4, atol=1e-7)


def test_the_table_of_threads_shows_the_median_and_the_middle_of_the_calls():
    from threads import table

    quiet = np.arange(11) / 1000
    *_, row = table({"a step": quiet}, {"a step": 2 * quiet}).splitlines()
    assert row == "| a step | **5.0** (1.0 to 9.0) | **10.0** (2.0 to 18.0) |"


# ---------------------------------------------------------------------------------- measuring


def test_programs_run_in_turn(monkeypatch):
    import timing

    monkeypatch.setattr(timing, "PAUSE", 0)
    calls = []
    programs = {"A": lambda: calls.append("A"), "B": lambda: calls.append("B")}
    assert timing.seconds_in_turn(programs, 2, pause=False).keys() == {"A", "B"}
    assert "".join(calls) == "AB" + "ABAB"
    calls.clear()
    times = timing.times_in_turn(programs, 2, pause=True)
    assert "".join(calls) == "AB" + "AABBAABB"
    assert [len(values) for values in times.values()] == [2, 2]


def test_peak_memory_counts_what_is_held_at_once():
    from timing import peak_bytes

    def two_at_once():
        a = np.zeros(10**6, np.uint8)
        b = np.zeros(2 * 10**6, np.uint8)
        del a, b
        np.zeros(10**6, np.uint8)

    assert peak_bytes(two_at_once) == pytest.approx(3e6, rel=0.01)


# ------------------------------------------------------------------------------------ roofline


@pytest.mark.parametrize(("training", "need_dx", "products"), [(0, 1, 1), (1, 0, 2), (1, 1, 3)])
def test_operations_of_a_convolution(rng, training, need_dx, products):
    from roofline import work_of_layer

    N, FN, C, F = 5, 4, 3, 3
    layer = cnnlib.Convolution(np.ones((FN, C, F, F)), np.zeros(FN), 2, 1)
    out = layer.forward(np.ones((N, C, 9, 7)))
    work = work_of_layer(layer, (C, 9, 7), N, training, need_dx)
    assert work.flop == products * 2 * out.size * C * F * F


def test_passes_of_a_pooling():
    from roofline import work_of_layer

    # 3 x 3, stride 2, on 7 x 7: 3 lines of 7 take two maxima each, then 3 x 3 places two more.
    work = work_of_layer(cnnlib.Pooling(3, 3), (1, 7, 7), N=1, training=False)
    assert work == (0, 12 * (2 * 3 * 7 + 2 * 3 * 3))


@pytest.mark.parametrize(
    "network",
    [cnnlib.SimpleConvNet(rng=0), cnnlib.LeNet(rng=0), cnnlib.AlexNet.small(groups=2, rng=0)],
)
def test_work_of_a_network_is_that_of_its_layers(network):
    from roofline import work_of_network

    once, twice = work_of_network(network, 1, False), work_of_network(network, 2, False)
    assert twice.flop == 2 * once.flop and twice.bytes == 2 * once.bytes
    multiplications, shape = 0, network.input_dim
    for layer in network.layers.values():
        shape = layer.output_shape(shape)
        if hasattr(layer, "W"):  # each weight once at every place of its output
            places = np.prod(shape[1:]) if len(shape) == 3 else 1
            multiplications += layer.W.size * places
    assert once.flop == 2 * multiplications


def test_the_roofline_divides_the_work_by_the_ceilings(capsys, monkeypatch):
    import roofline

    monkeypatch.setattr(roofline, "ceilings", lambda: (100e9, 50e9))
    roofline.report([("a step", 12.0, 20.0, 0.5, roofline.Work(200e6, 100e6))])
    *_, row = capsys.readouterr().out.splitlines()
    assert row == (
        "| a step | 200 MFLOP, 2.00 ms | 100 MB, 2.00 ms | 4.00 ms | 12.00 ms | 3.0 | 10.00 ms |"
    )


# ------------------------------------------------------------------------------------- verdicts


@pytest.fixture
def seconds(monkeypatch):
    """Let the programs of a row take 2, 8, 4, ... seconds back to back, 3, 8, 4 after a pause."""
    import ratios

    def in_turn(programs, turns, pause):
        times = [3 if pause else 2, 8, 4, 6][: len(programs)]
        return dict(zip(programs, times, strict=True))

    monkeypatch.setattr(ratios, "seconds_in_turn", in_turn)
    monkeypatch.setattr(ratios.Interference, "share", lambda self: 0.01)


def test_a_row_says_for_each_way_whether_its_target_is_met(capsys, seconds):
    from ratios import Table
    from roofline import Work

    table = Table(turns=1)
    table.compare("met once", 0.5, None, [None] * 2, work=Work(0, 0))
    table.compare("met twice", 0.8, None, [None] * 2, work=Work(0, 0))
    first, second = capsys.readouterr().out.splitlines()
    cells = "| 2000.00 / 4000.00 ms = **0.50** | 3000.00 / 4000.00 ms = **0.75** |"
    assert first == f"| met once | 0.50 {cells}  | yes, no |"
    assert second.endswith("| yes, yes |")
    assert [row[:4] for row in table.missed] == [("met once", 3000, 4000, 0.5)]


def test_ours_is_compared_with_the_better_of_the_others_and_the_text_with_ours(capsys, seconds):
    from ratios import Table

    Table(turns=1).compare("row", 0.5, None, [None] * 2, text=len)
    assert "= **0.75** | 6000.00 ms, 2.0 times |" in capsys.readouterr().out


def test_only_the_rows_asked_for_are_measured(capsys):
    from ratios import Table

    Table(turns=1, only="POOL").compare("convolution", 1, pytest.fail, [pytest.fail])
    assert capsys.readouterr().out == ""


def test_a_row_with_interference_says_so(capsys):
    from ratios import Table

    Table(turns=1).row("alone", 1, [(1, 2)], interference=0.01)
    Table(turns=1).row("beside others", 1, [(1, 2)], interference=0.4)
    first, second = capsys.readouterr().out.splitlines()
    assert "INTERFERENCE" not in first
    assert "INTERFERENCE: others used 40% of the cores" in second


def test_the_share_of_other_programs(monkeypatch):
    import timing

    monkeypatch.setattr(timing.os, "cpu_count", lambda: 4)
    clock = iter([(100.0, 7.0), (110.0, 11.0), (110.0, 6.5), (110.0, 70.0)])
    monkeypatch.setattr(timing.Interference, "_seconds", lambda _: next(clock))
    others = timing.Interference()
    assert others.share() == pytest.approx(4 / (10 * 4))
    assert others.share() == 0  # ticks are rounded: never less than nothing
    assert others.share() == 1


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="only Linux tells")
def test_interference_does_not_include_this_program(monkeypatch):
    import timing

    before = timing.Interference._seconds()[1]
    assert before > 0
    mine = timing.time.process_time()
    monkeypatch.setattr(timing.time, "process_time", lambda: mine + 1e6)
    assert timing.Interference._seconds()[1] - before == pytest.approx(-1e6, rel=1e-2)


@pytest.mark.parametrize("option", ["--turns", "--threads"])
def test_fewer_than_one_is_refused(option, capsys, monkeypatch):
    import ratios

    monkeypatch.setattr("sys.argv", ["ratios.py", option, "0"])
    with pytest.raises(SystemExit):
        ratios.main()
    assert f"{option} must be at least 1, got 0" in capsys.readouterr().err
