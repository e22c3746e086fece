"""The weights that the package ships: their size, their shapes, and how much they know."""

import os
from pathlib import Path

import numpy as np
import pytest

import cnnlib
from cnnlib.trained import KINDS

DATA = Path(cnnlib.__file__).parent / "data"


def test_the_files_are_small_and_hold_float16():
    names = ["simple.npz", "simple-filters.npz", "deep.npz"]
    sizes = [(DATA / name).stat().st_size for name in names]
    assert max(sizes) < 1e6 and sum(sizes) < 2e6
    for name in names:
        with np.load(DATA / name) as stored:
            assert {a.dtype for key, a in stored.items() if key != "steps"} == {np.dtype("f2")}


@pytest.mark.parametrize("name", KINDS)
def test_trained_networks_know_the_digits_that_are_embedded(name):
    """Other hands, other pens, 8 x 8 pixels enlarged: still far better than one in ten."""
    network = cnnlib.load_trained(name)
    assert type(network) is KINDS[name]
    assert all(p.dtype == np.float32 for p in network.params.values())
    _, test = cnnlib.load_digits28()
    assert network.accuracy(*test) > 0.8
    other = cnnlib.load_trained(name)
    assert not np.shares_memory(network.params["W1"], other.params["W1"])


def test_filter_history_goes_from_noise_to_the_shipped_filters():
    steps, filters = cnnlib.filter_history()
    assert filters.shape == (len(steps), 30, 1, 5, 5) and filters.dtype == np.float32
    assert len(steps) == 30 and steps[0] == 0 and (np.diff(steps) > 0).all()
    assert (np.diff(np.diff(steps)) >= -1).all()  # growing distances, up to rounding
    # Drawn as SimpleConvNet draws them: N(0, 0.01).
    assert filters[0].std() == pytest.approx(0.01, rel=0.15)
    W1 = cnnlib.load_trained("simple").params["W1"]
    np.testing.assert_array_equal(filters[-1], W1)
    assert W1.std() > 5 * filters[0].std()


def test_unknown_name():
    with pytest.raises(ValueError, match=r"\['simple', 'deep'\], got 'Deep'"):
        cnnlib.load_trained("Deep")


@pytest.mark.skipif("CNNLIB_DATA_DIR" not in os.environ, reason="CNNLIB_DATA_DIR names no MNIST")
@pytest.mark.parametrize(("name", "least"), [("simple", 0.989), ("deep", 0.993)])
def test_accuracy_on_the_test_digits_of_mnist(name, least):
    _, test = cnnlib.load_mnist(flatten=False)
    accuracy = cnnlib.load_trained(name).accuracy(*test)
    assert accuracy >= least
    assert f"{accuracy:.2%} of the 10,000 test digits" in (DATA / "README.md").read_text("utf-8")
