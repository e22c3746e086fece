"""The benchmarks, as far as they can be wrong without a clock: counts, fits, turns, verdicts."""

from pathlib import Path

import numpy as np
import pytest

import cnnlib
from cnnlib import naive

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture(autouse=True)
def on_the_path(monkeypatch):
    pytest.importorskip("threadpoolctl")
    monkeypatch.syspath_prepend(BENCHMARKS)


def growth(values, operations):
    from scaling import Growth

    return Growth("convolution", "N", values, {}, {}, {"operations": operations})


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
    values = np.array([1, 2, 4, 8, 16, 32])[::order]
    operations = values**2.0
    costs = np.maximum(operations, 16.0)  # level below the costliest four, 4 to 32
    assert growth(tuple(values), operations).slope(costs) == pytest.approx((2, 0), abs=1e-12)


@pytest.mark.parametrize("what", ["convolution", "training step"])
def test_every_setting_goes_through_measuring_table_and_plot(what, monkeypatch, tmp_path):
    import scaling
    from scaling_plot import draw, save

    from cnnlib.figures import style

    tiny = scaling.Setting(N=2, C=1, size=8, filters=2, filter_size=3)
    make, _, settings = scaling.PROGRAMS[what]
    monkeypatch.setitem(scaling.PROGRAMS, what, (make, tiny, settings))
    values = {"N": (1, 2), "size": (8, 12), "filters": (1, 2), "filter size": (1, 3)}
    growths = [
        scaling.measure(what, *pair, turns=1) for pair in (values | {"stride": (1, 2)}).items()
    ]
    for measured in growths:
        assert all(len(c) == 2 and min(c) > 0 for c in measured.seconds.values())
        assert all(len(c) == 2 and min(c) > 0 for c in measured.peak.values())
    assert growths[0].slope(growths[0].counted["col"])[0] == pytest.approx(1)
    assert scaling.table(growths).count("\n") == 1 + 5
    card = draw(growths)
    assert style.size(card)[0] == style.MAX_WIDTH
    assert "stride S" in card.alt
    save(growths, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size < 100_000


# ------------------------------------------------------------------------- the book's program


@pytest.mark.parametrize(("stride", "pad"), [(1, 0), (1, 2), (2, 1), (3, 0)])
def test_the_books_convolution_agrees_with_the_loops(rng, stride, pad):
    from book_way import Convolution

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
    from book_way import Adam, BookNet

    conv_param = {"filter_num": 3, "filter_size": 3, "stride": stride, "pad": pad}
    ours = cnnlib.SimpleConvNet((1, 10, 10), conv_param, 6, 4, 0.3, dtype=np.float64, rng=0)
    book, steps = BookNet(ours.params, stride, pad), (cnnlib.Adam(0.01), Adam(0.01))
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


# ---------------------------------------------------------------------------------- measuring


def test_programs_run_in_turn(monkeypatch):
    import turns

    monkeypatch.setattr(turns, "PAUSE", 0)
    calls = []
    programs = {"A": lambda: calls.append("A"), "B": lambda: calls.append("B")}
    assert turns.seconds_in_turn(programs, 2, rested=False).keys() == {"A", "B"}
    assert "".join(calls) == "AB" + "ABAB"
    calls.clear()
    turns.seconds_in_turn(programs, 2, rested=True)
    assert "".join(calls) == "AB" + "AABBAABB"


def test_peak_memory_counts_what_is_held_at_once():
    from turns import peak_bytes

    def two_at_once():
        a = np.zeros(10**6, np.uint8)
        b = np.zeros(2 * 10**6, np.uint8)
        del a, b
        np.zeros(10**6, np.uint8)

    assert peak_bytes(two_at_once) == pytest.approx(3e6, rel=0.01)


# ------------------------------------------------------------------------------------- bounds


@pytest.mark.parametrize(("training", "need_dx", "products"), [(0, 1, 1), (1, 0, 2), (1, 1, 3)])
def test_operations_of_a_convolution(rng, training, need_dx, products):
    from bounds import work_of_layer

    N, FN, C, F = 5, 4, 3, 3
    layer = cnnlib.Convolution(np.ones((FN, C, F, F)), np.zeros(FN), 2, 1)
    out = layer.forward(np.ones((N, C, 9, 7)))
    work = work_of_layer(layer, (C, 9, 7), N, training, need_dx)
    assert work.flop == products * 2 * out.size * C * F * F


def test_passes_of_a_pooling():
    from bounds import work_of_layer

    # 3 x 3, stride 2, on 7 x 7: 3 lines of 7 take two maxima each, then 3 x 3 places two more.
    work = work_of_layer(cnnlib.Pooling(3, 3), (1, 7, 7), N=1, training=False)
    assert work.flop == 0
    assert work.passes == {"add": 2 * 3 * 7, "every other": 2 * 3 * 3, "fill": 0}


@pytest.mark.parametrize("network", [cnnlib.SimpleConvNet(rng=0), cnnlib.LeNet(rng=0)])
def test_work_of_a_network_is_that_of_its_layers(network):
    from bounds import work_of_network

    once, twice = work_of_network(network, 1, False), work_of_network(network, 2, False)
    assert twice.flop == 2 * once.flop and twice.bytes == 2 * once.bytes
    multiplications, shape = 0, network.input_dim
    for layer in network.layers.values():
        shape = layer.output_shape(shape)
        if hasattr(layer, "W"):  # each weight once at every place of its output
            places = np.prod(shape[1:]) if len(shape) == 3 else 1
            multiplications += layer.W.size * places
    assert once.flop == 2 * multiplications


# ------------------------------------------------------------------------------------- verdicts


def test_a_row_says_for_each_way_whether_it_is_reached(capsys):
    from bounds import Work
    from ratios import Table

    table = Table(turns=1)
    table.timed_row("fast once", 1.5, [(0.003, 0.001), (0.0015, 0.001)], Work())
    table.timed_row("never", 0.5, [(0.003, 0.001), (0.002, 0.001)], Work())
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("| 3.00 / 1.00 ms = **3.00** | 1.50 / 1.00 ms = **1.50** | no, yes |")
    assert second.endswith("= **2.00** | no, no |")
    assert [row[0] for row in table.missed] == ["never"]


def test_ours_is_compared_with_the_better_of_the_others(capsys, monkeypatch):
    import ratios

    monkeypatch.setattr(
        ratios, "seconds_in_turn", lambda programs, *_: dict(zip(programs, (2, 8, 4), strict=True))
    )
    ratios.Table(turns=1).compare("row", 0.5, *[lambda: None] * 3)
    assert "2000.00 / 4000.00 ms = **0.50**" in capsys.readouterr().out


def test_only_the_rows_asked_for_are_measured(capsys):
    from ratios import Table

    Table(turns=1, only="POOL").compare("convolution", 1, pytest.fail, pytest.fail)
    assert capsys.readouterr().out == ""


def test_a_disturbed_row_says_so(capsys):
    from ratios import Table

    Table(turns=1, disturbed=0.01).timed_row("alone", 1, [(1, 2)])
    Table(turns=1, disturbed=0.4).timed_row("in company", 1, [(1, 2)])
    first, second = capsys.readouterr().out.splitlines()
    assert "DISTURBED" not in first
    assert "DISTURBED: others used 40% of the cores" in second


def test_the_share_of_others(monkeypatch):
    import turns

    monkeypatch.setattr(turns.os, "cpu_count", lambda: 4)
    clock = iter([(100.0, 7.0), (110.0, 11.0), (110.0, 6.5), (110.0, 70.0)])
    monkeypatch.setattr(turns.Others, "_seconds", lambda _: next(clock))
    others = turns.Others()
    assert others.share() == pytest.approx(4 / (10 * 4))
    assert others.share() == 0  # ticks are rounded: never less than nothing
    assert others.share() == 1


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="only Linux tells")
def test_others_do_not_include_this_program(monkeypatch):
    import turns

    before = turns.Others._seconds()[1]
    assert before > 0
    mine = turns.time.process_time()
    monkeypatch.setattr(turns.time, "process_time", lambda: mine + 1e6)
    assert turns.Others._seconds()[1] - before == pytest.approx(-1e6, rel=1e-2)


@pytest.mark.parametrize("option", ["--turns", "--threads"])
def test_fewer_than_one_is_refused(option, capsys, monkeypatch):
    import ratios

    monkeypatch.setattr("sys.argv", ["ratios.py", option, "0"])
    with pytest.raises(SystemExit):
        ratios.main()
    assert f"{option} must be at least 1, got 0" in capsys.readouterr().err
