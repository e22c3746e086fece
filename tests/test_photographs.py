"""The network that has seen photographs: its shapes, its weights, and what it knows."""

import io
import os
import sys
import tarfile
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cnnlib
from cnnlib import PhotoConvNet, gradient_check

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
DATA = resources.files("cnnlib") / "data"
FOLDER = Path(os.environ.get("CNNLIB_DATA_DIR", "."))


@pytest.fixture(scope="module")
def train_weights():
    sys.path.insert(0, str(BENCHMARKS))
    import train_weights

    yield train_weights
    sys.path.remove(str(BENCHMARKS))


def test_the_layers_are_those_of_its_description():
    shapes = {row.name: row.shape for row in PhotoConvNet(rng=0).table()}
    assert shapes == {
        "input": (3, 32, 32),
        "Conv1": (32, 26, 26), "Relu1": (32, 26, 26), "Pool1": (32, 13, 13),
        "Conv2": (64, 13, 13), "Relu2": (64, 13, 13), "Pool2": (64, 6, 6),
        "Conv3": (96, 6, 6), "Relu3": (96, 6, 6),
        "Conv4": (96, 6, 6), "Relu4": (96, 6, 6), "Pool3": (96, 3, 3),
        "Dropout1": (96, 3, 3),
        "Affine1": (10,),
    }  # fmt: skip


def test_its_gradient_equals_differences():
    rng = np.random.default_rng(0)
    x = rng.random((2, 3, 32, 32))
    network = PhotoConvNet(dropout_ratio=0, dtype=np.float64, rng=0)
    for report in gradient_check(network, x, np.array([3, 8]), samples=6).values():
        assert report.outcome == "ok", report


def test_the_stored_weights_are_whole():
    fresh = PhotoConvNet(rng=0)
    with (DATA / "photographs.npz").open("rb") as stream:
        assert len(stream.read()) <= 500_000
        stream.seek(0)
        with np.load(stream, allow_pickle=False) as stored:
            assert {name: stored[name].shape for name in stored} == {
                name: p.shape for name, p in fresh.params.items()
            }
            assert {stored[name].dtype for name in stored} == {np.dtype(np.float16)}
            assert all(np.isfinite(stored[name]).all() for name in stored)
            W1 = stored["W1"].astype(np.float32)
    assert W1.shape[0] >= 32 and W1.shape[1:] == (3, 7, 7)
    np.testing.assert_array_equal(cnnlib.load_trained("photographs").params["W1"], W1)


def roughness(filters):
    """Mean square of the difference of neighbors, by that of the filter: 2 for noise."""
    filters = filters - filters.mean(axis=(2, 3), keepdims=True)
    steps = np.diff(filters, axis=2) ** 2
    return steps.mean(axis=(1, 2, 3)) / (filters**2).mean(axis=(1, 2, 3))


def test_filters_have_become_smooth():
    """Edges and spots: neighboring pixels of a learned filter are alike, those of a drawn not."""
    learned, drawn = cnnlib.load_trained("photographs"), PhotoConvNet(rng=0)
    assert roughness(drawn.params["W1"]).min() > 1.5
    assert np.median(roughness(learned.params["W1"])) < 0.8


def test_some_filters_see_color_and_some_do_not():
    """Drawn filters have two thirds of their squares in color, learned ones little or most."""

    def in_color(filters):
        grey = filters.mean(axis=1)  # (FN, FH, FW)
        return 1 - 3 * (grey**2).sum(axis=(1, 2)) / (filters**2).sum(axis=(1, 2, 3))

    drawn = in_color(PhotoConvNet(rng=0).params["W1"])
    assert (0.5 < drawn).all() and (drawn < 0.8).all()
    learned = in_color(cnnlib.load_trained("photographs").params["W1"])
    assert (learned < 0.1).sum() >= 8 and (learned > 0.8).sum() >= 3


def test_images_in_an_archive_are_read_class_by_class(train_weights, tmp_path):
    path, colors = tmp_path / "images.tar.xz", {"cat": (255, 0, 0), "ant": (0, 51, 255)}
    with tarfile.open(path, "w:xz") as archive:
        for part in ("train", "test"):
            for kind, color in colors.items():
                stream = io.BytesIO()
                Image.new("RGB", (32, 32), color).save(stream, "png")
                member = tarfile.TarInfo(f"{part}/{kind}/0000.png")
                member.size = stream.tell()
                stream.seek(0)
                archive.addfile(member, stream)
    for x, t in train_weights.read_images(path):
        assert x.shape == (2, 3, 32, 32) and x.dtype == np.float32
        assert t.tolist() == [1, 0]  # in the order of the names: ant, cat
        np.testing.assert_allclose(x[1, :, 7, 9], [0, 0.2, 1])


def test_mirrored_and_shifted_images_hold_the_same_pixels(train_weights):
    x = np.zeros((200, 1, 9, 9), np.float32)
    x[:, 0, 4, 4], x[:, 0, 4, 5] = 1, 2
    out = train_weights.mirrored_and_shifted(x, np.random.default_rng(0))
    n, _, rows, columns = np.nonzero(out == 1)
    assert n.tolist() == list(range(200))
    assert set(rows) == set(range(1, 8)) and set(columns) == set(range(1, 8))
    right = np.array([out[k, 0, i, j + 1] == 2 for k, i, j in zip(n, rows, columns, strict=True)])
    left = np.array([out[k, 0, i, j - 1] == 2 for k, i, j in zip(n, rows, columns, strict=True)])
    assert (left != right).all() and 60 < right.sum() < 140


@pytest.fixture(scope="module")
def test_images(train_weights):
    """The 10,000 test images of CIFAR-10: the official ones, or JPEG copies of them."""
    if (FOLDER / "cifar10-jpeg.tar.xz").is_file():
        _, test = train_weights.read_images(FOLDER / "cifar10-jpeg.tar.xz")
        return test
    try:
        return cnnlib.load_cifar10(folder=FOLDER)[1]
    except FileNotFoundError:
        pytest.skip("CNNLIB_DATA_DIR names no CIFAR-10")


def test_accuracy_on_the_test_images_of_cifar10(test_images):
    accuracy = cnnlib.load_trained("photographs").accuracy(*test_images)
    assert accuracy >= 0.75
    if (FOLDER / "cifar10-jpeg.tar.xz").is_file():
        assert f"{accuracy:.2%} of the 10,000 test images" in (DATA / "README.md").read_text(
            "utf-8"
        )
