"""Gradients by differences: right on functions whose derivative is known, and loud when not."""

import numpy as np
import pytest

from cnnlib import (
    AlexNet,
    Convolution,
    DeepConvNet,
    Dropout,
    LeNet,
    SimpleConvNet,
    load_digits28,
)
from cnnlib.gradients import (
    check_gradient,
    gradient_check,
    numerical_gradient,
    relative_error,
)


def test_numerical_gradient_of_known_functions(rng):
    x = rng.standard_normal((2, 3, 4))
    before = x.copy()
    np.testing.assert_allclose(numerical_gradient(lambda v: (v**2).sum(), x), 2 * x, rtol=1e-8)
    np.testing.assert_allclose(
        numerical_gradient(lambda v: np.sin(v).sum(), x), np.cos(x), rtol=1e-7
    )
    np.testing.assert_array_equal(x, before)


def test_two_evaluations_for_each_element_and_one_in_all(rng):
    calls = []

    def counted(v):
        calls.append(1)
        return (v**2).sum()

    x = rng.standard_normal((3, 4))
    numerical_gradient(counted, x)
    check_gradient(counted, x, 2 * x)
    assert len(calls) == 2 * (2 * 12 + 1)


def test_x_is_restored_when_f_raises(rng):
    x = rng.standard_normal(3)
    before = x.copy()

    def fails(v):
        raise KeyError("no")

    with pytest.raises(KeyError):
        numerical_gradient(fails, x)
    np.testing.assert_array_equal(x, before)


def test_relative_error():
    np.testing.assert_allclose(relative_error([1.0, 2.0], [1.0, 2.002]), [0, 0.002 / 2.002])
    np.testing.assert_allclose(relative_error([1.0], [-1.0]), [2])
    # an entry that is next to nothing is compared with a thousandth of the largest
    np.testing.assert_allclose(relative_error([1.0, 1e-9], [1.0, 2e-9]), [0, 1e-6])
    np.testing.assert_array_equal(relative_error([0.0, 0.0], [0.0, 0.0]), [0, 0])
    with pytest.raises(ValueError, match=r"\(2,\) and \(3,\)"):
        relative_error(np.ones(2), np.ones(3))
    with pytest.raises(ValueError, match=r"second gradient is nan at \(1,\)"):
        relative_error([1.0, 2.0], [1.0, np.nan])


def test_report_names_the_element_that_differs(rng):
    x = rng.standard_normal((3, 4))
    analytic = 2 * x
    report = check_gradient(lambda v: (v**2).sum(), x, analytic, "square")
    assert report.ok and report.error < 1e-6 and report.checked == 12
    assert str(report) == "square: ok, largest relative error below 1e-06"
    analytic[1, 2] *= 1.5
    report = check_gradient(lambda v: (v**2).sum(), x, analytic, "square")
    assert not report.ok and report.outcome == "WRONG" and report.index == (1, 2)
    assert report.analytic == analytic[1, 2]
    assert report.numerical == pytest.approx(2 * x[1, 2])
    assert report.error == pytest.approx(1 / 3)
    assert "WRONG at [1, 2]" in str(report) and "3.3e-01" in str(report)


def test_a_kink_within_the_step_is_not_called_a_mistake():
    x = np.array([5e-5, -2e-6, 1.0])  # h = 1e-4 steps over the kink of |x| at 0
    right = np.array([1.0, -1.0, 1.0])
    assert np.abs(numerical_gradient(lambda v: np.abs(v).sum(), x) - right).max() > 0.4
    report = check_gradient(lambda v: np.abs(v).sum(), x, right)
    assert report.ok and report.kinks == 2 and "(2 of 3 on a kink)" in str(report)
    report = check_gradient(lambda v: np.abs(v).sum(), x, right * [1, 1, 0.9])
    assert not report.ok and report.index == (2,)


def test_on_a_kink_any_slope_between_the_sides_is_right_and_no_other():
    def f(v):
        return np.maximum(v, 0).sum()

    for slope, ok in ((0.0, True), (0.4, True), (1.0, True), (1.1, False), (-0.1, False)):
        assert check_gradient(f, np.zeros(1), np.array([slope])).ok == ok


def test_a_kink_beside_a_kink_is_found_by_smaller_steps():
    def f(v):  # kinks at 0 and at -1e-8, as blank and almost blank pixels make them
        return np.maximum(v, 0).sum() + 0.1 * np.maximum(v + 1e-8, 0).sum()

    report = check_gradient(f, np.zeros(1), np.array([0.1]))
    assert report.ok and report.kinks == 1
    assert not check_gradient(f, np.zeros(1), np.array([1.2])).ok


def square(v):
    return (v**2).sum()


def test_rounding_is_not_called_a_mistake():
    def f(v):
        return 1e3 + (v * 1e-9).sum()  # the slope is less than the rounding of f

    hidden = check_gradient(f, np.ones(3), np.full(3, 1e-9))
    assert hidden.outcome == "cannot tell" and not hidden.ok
    assert "cannot tell: rounding may move a difference by 7.1e-08" in str(hidden)
    # what lies far beyond the rounding is wrong, even there
    assert check_gradient(f, np.ones(3), np.full(3, 1e-4)).outcome == "WRONG"


@pytest.mark.parametrize("constant", [1e11, 1e12, 1e15])
@pytest.mark.parametrize("factor", [2.0, 3.0])
def test_nothing_is_told_where_rounding_hides_the_gradient(rng, constant, factor):
    z = rng.standard_normal((3, 4))
    report = check_gradient(lambda v: constant + square(v), z, factor * z)
    assert report.outcome == "cannot tell" and report.noise > np.abs(2 * z).max()


@pytest.mark.parametrize("h", [1e-20, 1e-18, 1e-15])
@pytest.mark.parametrize("factor", [2.0, 3.0])
def test_nothing_is_told_by_a_step_that_is_lost(rng, h, factor):
    z = 1 + rng.random(5)
    assert check_gradient(square, z, factor * z, h=h).outcome == "cannot tell"
    if z[0] + h == z[0]:
        with pytest.raises(ValueError, match="lost in the rounding of x"):
            numerical_gradient(square, z, h)


@pytest.mark.parametrize("slope", [0.0, 1e-6, 1e-3])
def test_nothing_is_told_about_a_large_constant(slope):
    report = check_gradient(lambda v: 1e9, np.ones(3), np.full(3, slope))
    assert report.outcome == "cannot tell"
    assert f"{32 * 2.0**-52 * 1e9 / 1e-4:.1e}" in str(report)


def test_a_gradient_of_zeros_is_right_where_nothing_has_an_effect():
    report = check_gradient(lambda v: 2.3, np.ones(3), np.zeros(3))
    assert report.ok and "below 1e-06" in str(report)
    assert not check_gradient(lambda v: 2.3, np.ones(3), np.full(3, 1e-6)).ok


def test_a_report_claims_no_more_than_rounding_lets_it_know(rng):
    z = rng.standard_normal(6)
    report = check_gradient(lambda v: 1e8 + square(v), z, 2.01 * z)  # 0.5 % beside the truth
    assert not report.ok or 0.005 < report.limit < 0.1
    assert f"below {report.limit:.0e}" in str(report)
    # where rounding is small, a few millionths are seen, and no kink is made up for them
    report = check_gradient(square, z, 2 * z * (1 + 4e-6))
    assert report.outcome == "WRONG" and report.kinks == 0


@pytest.mark.parametrize("size", [1e-6, 1e-5])
def test_small_gradients_of_a_large_loss_are_not_excused_as_kinks(rng, size):
    z = rng.standard_normal(6)

    def f(v):
        return 2.3 + size * square(v)

    assert check_gradient(f, z, 2 * size * z).ok
    assert check_gradient(f, z, 2.2 * size * z).outcome == "WRONG"


NETWORKS = {
    "DeepConvNet": DeepConvNet((1, 24, 24), 3, (2, 2, 3, 3, 2, 2), 4, rng=0),
    "DeepConvNet-sigmoid": DeepConvNet((1, 24, 24), 3, (2,) * 6, 4, activation="sigmoid", rng=0),
    "LeNet": LeNet((1, 12, 12), 3, pad=10, rng=0),
    "LeNet-relu": LeNet((1, 12, 12), 3, pad=10, activation="relu", rng=0),
    "LeNet-max": LeNet((1, 12, 12), 3, pad=10, pooling="max", rng=0),
    "AlexNet-small": AlexNet.small(
        (1, 17, 17), 3, filter_nums=(2, 3, 3, 2, 2), hidden_size=4, dropout_ratio=0, rng=0
    ),
    "AlexNet-small-groups": AlexNet.small(
        (1, 17, 17), 3, filter_nums=(2, 4, 4, 2, 2), hidden_size=4, groups=2, rng=0
    ),
}


@pytest.mark.parametrize("net", NETWORKS.values(), ids=NETWORKS)
def test_gradient_of_the_networks_equals_differences(net, rng):
    x = rng.standard_normal((2, *net.input_dim))
    for name, p in net.params.items():
        if name.startswith("b"):
            p += 0.1  # a window of nothing but padding would sit on the kink itself
    for report in gradient_check(net, x, np.array([0, 2]), samples=10).values():
        assert report.error < 1e-6, report


@pytest.mark.parametrize("seed", range(3))
def test_real_digits_with_blank_borders_pass(seed):
    (x, t), _ = load_digits28()
    few = slice(3 * seed, 3 * seed + 3)
    reports = gradient_check(SimpleConvNet(rng=seed), x[few], t[few], samples=10)
    assert all(report.ok for report in reports.values()), [str(r) for r in reports.values()]


def test_dropout_keeps_its_mask_while_it_is_checked(rng):
    net = AlexNet.small((1, 17, 17), 3, filter_nums=(2, 3, 3, 2, 2), hidden_size=4, rng=0)
    x, t = rng.standard_normal((2, 1, 17, 17)), np.array([0, 2])
    assert all(report.ok for report in gradient_check(net, x, t, samples=6).values())
    small = SimpleConvNet((1, 6, 6), {"filter_num": 2, "filter_size": 3}, 3, 2, 0.3, rng=0)
    small.layers["Drop"] = Dropout(0.5, small.rng)
    grads = small.numerical_gradient(x[:, :, :6, :6], t // 2)
    assert all(np.abs(g).max() < 100 for g in grads.values())  # two masks would give 1 / h


def test_samples(rng):
    x = rng.standard_normal(50)
    report = check_gradient(lambda v: (v**2).sum(), x, 2 * x, samples=7)
    assert report.checked == 7 and report.ok
    every = check_gradient(lambda v: (v**2).sum(), x, 3 * x, samples=1000)
    assert every.checked == 50 and not every.ok


@pytest.mark.parametrize("settings", [{"samples": 0}, {"samples": 1.5}, {"h": 0}, {"h": -1e-4}])
def test_impossible_settings(settings):
    with pytest.raises(ValueError, match=f"{next(iter(settings))} must be"):
        check_gradient(np.sum, np.ones(2), np.ones(2), **settings)


@pytest.mark.parametrize(
    ("f", "x", "message"),
    [
        (np.sum, np.array([1.0, np.nan]), r"x is nan at \(1,\)"),
        (np.sum, np.array([np.inf]), "x is inf"),
        (np.sum, np.array([1.0], np.float32), "float64 array, got float32"),
        (np.sum, [1.0], "got list"),
        (np.sum, np.array([1, 2], np.int64), "got int64"),
        (np.sum, np.zeros((0, 3)), "empty"),
        (
            lambda v: float("nan"),
            np.array([1.0]),
            r"f gives nan, nan and nan around element \(0,\)",
        ),
    ],
)
def test_nothing_is_checked_where_there_is_no_gradient(f, x, message):
    with pytest.raises(ValueError, match=message):
        numerical_gradient(f, x)
    with pytest.raises(ValueError, match=message):
        check_gradient(f, x, np.ones(np.shape(x)))


def test_check_refuses_another_shape_and_nan():
    with pytest.raises(
        ValueError, match=r"w has shape \(2,\), but the gradient given for it \(3,\)"
    ):
        check_gradient(np.sum, np.ones(2), np.ones(3), "w")
    with pytest.raises(ValueError, match="first gradient is nan"):
        check_gradient(np.sum, np.ones(2), np.array([1, np.nan]))


def test_gradient_check_finds_a_planted_bug(rng, monkeypatch):
    net = SimpleConvNet((1, 8, 8), {"filter_num": 2, "filter_size": 3}, 5, 4, 0.3, rng=1)
    x, t = rng.random((3, 1, 8, 8)), np.array([0, 3, 2])
    before = {name: p.copy() for name, p in net.params.items()}
    reports = gradient_check(net, x, t)
    assert reports.keys() == net.params.keys() and all(r.ok for r in reports.values())
    assert all((net.params[name] == before[name]).all() for name in before)

    backward = Convolution.backward

    def mean_instead_of_sum(self, dout, need_dx=True):
        dx = backward(self, dout, need_dx)
        self.db = self.db / dout.shape[-1]
        return dx

    monkeypatch.setattr(Convolution, "backward", mean_instead_of_sum)
    reports = gradient_check(net, x, t)
    assert [name for name, report in reports.items() if not report.ok] == ["b1"]


def test_gradient_check_refuses_nan_images():
    net = SimpleConvNet((1, 6, 6), {"filter_num": 2, "filter_size": 3}, 5, 4)
    x = np.zeros((1, 1, 6, 6))
    x[0, 0, 2, 3] = np.nan
    with pytest.raises(ValueError, match=r"x is nan at \(0, 0, 2, 3\)"):
        gradient_check(net, x, np.array([0]))
