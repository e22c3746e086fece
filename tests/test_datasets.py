import functools
import gzip
import hashlib
import http.server
import io
import os
import socket
import struct
import subprocess
import sys
import tarfile
import threading
import time
import tracemalloc
import warnings
from importlib import resources
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pooch
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from cnnlib import datasets
from cnnlib.datasets import (
    as_ink,
    centre_digit,
    ink_box,
    load_cifar10,
    load_digits28,
    load_fashion_mnist,
    load_mnist,
    read_idx,
)

MIRRORS = dict(datasets.MIRRORS)  # the real ones; every test starts without
REAL_DATA = os.environ.get("CNNLIB_DATA_DIR")
# Of all pictures and labels, training ones first: the split depends on NumPy keeping its stream.
DIGITS_HASH = "7a07db3c2f9a7e22cb6945af5b9fe70a88ae3b9ce04080efb4fad806965d7631"
needs_mnist = pytest.mark.skipif(
    not (REAL_DATA and Path(REAL_DATA, "mnist").is_dir()),
    reason="CNNLIB_DATA_DIR does not hold MNIST",
)
LOADERS = [("mnist", load_mnist), ("fashion-mnist", load_fashion_mnist)]


@pytest.fixture(autouse=True)
def isolated(monkeypatch, tmp_path):
    """No test sees the user's data or cache, and none leaves this machine."""
    monkeypatch.delenv("CNNLIB_DATA_DIR", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache")
    for name in datasets.MIRRORS:
        monkeypatch.setitem(datasets.MIRRORS, name, ())


def idx_bytes(array):
    array = np.asarray(array, dtype=np.uint8)
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def made_up(n_train=5, n_test=3):
    """Four small arrays in the order of datasets.FILES."""
    rng = np.random.default_rng(0)
    arrays = []
    for n in (n_train, n_test):
        images = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        images[0, 0, :2] = 0, 255
        arrays += [images, rng.integers(0, 10, n, dtype=np.uint8)]
    return arrays


def packed(content):
    """Compress without the time of day: the same bytes, and test names, in every process."""
    return gzip.compress(content, mtime=0)


def write_set(folder, arrays, compress=True):
    folder.mkdir(parents=True, exist_ok=True)
    for file_name, array in zip(datasets.FILES, arrays, strict=True):
        if compress:
            (folder / file_name).write_bytes(packed(idx_bytes(array)))
        else:
            (folder / file_name.removesuffix(".gz")).write_bytes(idx_bytes(array))
    return folder


# --- the digits that come with the package ----------------------------------------------------


def test_digits_file_is_scikit_learns_and_needs_no_pickle():
    digits = pytest.importorskip("sklearn.datasets").load_digits()
    path = resources.files("cnnlib") / "data" / "digits.npz"
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
        assert sorted(stored) == ["images", "labels"]
        images, labels = stored["images"], stored["labels"]
    assert images.dtype == labels.dtype == np.uint8
    np.testing.assert_array_equal(images, digits.images)
    np.testing.assert_array_equal(labels, digits.target)


def test_digits_have_the_frame_of_mnist():
    for x, _ in load_digits28(normalize=False):
        assert x.dtype == np.uint8
        outside = np.ones((28, 28), dtype=bool)
        outside[4:24, 4:24] = False
        assert not x[:, 0, outside].any()
        assert x.max() == 255
        assert (x.max(axis=(1, 2, 3)) > 200).all()  # every picture holds a stroke


def test_enlarging_agrees_with_the_textbook_cubic():
    images = np.random.default_rng(1).integers(0, 17, (4, 8, 8), dtype=np.uint8)
    expected = np.zeros((4, 20, 20))
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2))).astype(float)
    for i in range(20):
        for j in range(20):
            row, column = (i + 0.5) / 2.5 - 0.5, (j + 0.5) / 2.5 - 0.5
            r, c = int(np.floor(row)), int(np.floor(column))
            patch = padded[:, r + 1 : r + 5, c + 1 : c + 5]
            rows = np.array([catmull_rom(row - r, k) for k in range(4)])
            columns = np.array([catmull_rom(column - c, k) for k in range(4)])
            expected[:, i, j] = np.einsum("nij,i,j->n", patch, rows, columns) * 255 / 16
    actual = datasets._enlarge(images)[:, 4:24, 4:24]
    np.testing.assert_allclose(actual, np.clip(expected, 0, 255), atol=0.5 + 1e-9)


def catmull_rom(t, k):
    """Weight of the k-th of four neighbours, from the matrix in the textbooks."""
    matrix = np.array([[0, 2, 0, 0], [-1, 0, 1, 0], [2, -5, 4, -1], [-1, 3, -3, 1]]) / 2
    return (np.array([1, t, t**2, t**3]) @ matrix)[k]


def test_digits_are_the_same_bytes_on_every_machine():
    (x_train, t_train), (x_test, t_test) = load_digits28(normalize=False)
    pictures = np.concatenate([x_train, x_test]).tobytes()
    labels = np.concatenate([t_train, t_test]).astype(np.uint8).tobytes()
    assert hashlib.sha256(pictures + labels).hexdigest() == DIGITS_HASH


def test_digits_split_is_fixed_and_disjoint():
    first, again = load_digits28(), load_digits28()
    (x_train, t_train), (x_test, t_test) = first
    for (x, t), (x2, t2) in zip(first, again, strict=True):
        np.testing.assert_array_equal(x, x2)
        np.testing.assert_array_equal(t, t2)
    assert (len(x_train), len(x_test)) == (1437, 360)
    assert set(t_train) == set(t_test) == set(range(10))
    # All pictures differ, so that a picture in both halves would show here.
    everything = np.concatenate([x_train, x_test]).reshape(1797, -1)
    assert len(np.unique(everything, axis=0)) == 1797


def test_digits_options():
    (x, t), _ = load_digits28()
    assert (x.shape, x.dtype, t.shape, t.dtype) == (
        (1437, 1, 28, 28),
        np.float32,
        (1437,),
        np.int64,
    )
    assert (x.min(), x.max()) == (0, 1)
    (x_flat, t_hot), _ = load_digits28(normalize=False, flatten=True, one_hot_label=True)
    assert (x_flat.shape, x_flat.dtype) == ((1437, 784), np.uint8)
    assert (t_hot.shape, t_hot.dtype) == ((1437, 10), np.float32)
    np.testing.assert_array_equal(x_flat.reshape(x.shape) / np.float32(255), x)
    np.testing.assert_array_equal(t_hot.argmax(axis=1), t)
    assert (t_hot.sum(axis=1) == 1).all()


def test_import_and_digits_load_nothing_but_numpy():
    code = (
        "import sys; from cnnlib.datasets import load_digits28; load_digits28();"
        "print(sorted({'pooch', 'requests', 'tqdm', 'matplotlib'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


# --- the IDX format ---------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(7,), (3, 28, 28), (2, 0)])
@pytest.mark.parametrize("pack", [bytes, packed])
def test_read_idx_gives_back_what_was_written(tmp_path, shape, pack):
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    path = tmp_path / "file"
    path.write_bytes(pack(idx_bytes(array)))
    result = read_idx(path)
    assert result.dtype == np.uint8
    assert result.flags.writeable
    np.testing.assert_array_equal(result, array)


GOOD = idx_bytes(np.arange(6).reshape(2, 3))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "starts with b''.*two zero bytes"),
        (b"<html>", "starts with b'<htm'"),
        (b"\0\0\x0d" + GOOD[3:], "type code is 13, expected 8"),
        (GOOD[:7], "ends after 7 bytes.*2 axes alone has 12"),
        (GOOD[:-1], r"5 bytes.*expected 6 for shape \(2, 3\).*truncated"),
        (GOOD + b"\0", "7 bytes.*expected 6.*too long"),
        (b"\0\0\x08\x02" + b"\xff" * 8, "18446744065119617025 bytes promised"),
        (b"\0\0\x08\0" + b"\1", "0 axes"),
        (b"\0\0\x08\x04" + b"\0" * 16, r"4 axes, expected 1 \(labels\) to 3"),
        (packed(GOOD)[:-9], "damaged gzip"),  # cut off
        (packed(GOOD) + b"more", "damaged gzip"),
        (packed(GOOD)[:-8] + b"\1" * 8, "damaged gzip"),  # wrong check sum
        (b"\x1f\x8b\x08\0" + b"\xff" * 30, "damaged gzip"),  # no deflate stream
        (packed(GOOD[:-1]), "truncated"),
        (packed(GOOD + b"more"), "at least 7 bytes.*expected 6.*too long"),
        (packed(GOOD[:7]), "ends after 7 bytes"),
    ],
)
def test_read_idx_refuses(tmp_path, content, message):
    path = tmp_path / "some-file"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"some-file.*{message}"):
        read_idx(path)


def test_read_idx_believes_no_header_beyond_the_limit(tmp_path, monkeypatch):
    path = tmp_path / "some-file"
    path.write_bytes(packed(GOOD))
    monkeypatch.setattr(datasets, "LARGEST", 6)
    assert read_idx(path).size == 6
    monkeypatch.setattr(datasets, "LARGEST", 5)
    with pytest.raises(ValueError, match="some-file: 6 bytes promised, expected at most 5"):
        read_idx(path)


def test_read_idx_unpacks_no_more_than_promised(tmp_path):
    """A bomb: 40 kB that hold 40 MB, behind a header that promises 6 bytes."""
    path = tmp_path / "some-file"
    path.write_bytes(packed(GOOD + bytes(40_000_000)))
    assert path.stat().st_size < 50_000
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"some-file: at least 7 bytes.*too long"):
            read_idx(path)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


# --- files in a folder of one's own -----------------------------------------------------------


@pytest.mark.parametrize(("name", "load"), LOADERS)
@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("by_environment", [True, False])
def test_local_folder(tmp_path, monkeypatch, name, load, compress, by_environment):
    arrays = made_up()
    write_set(tmp_path / name, arrays, compress)
    if by_environment:
        monkeypatch.setenv("CNNLIB_DATA_DIR", str(tmp_path))
        result = load()
    else:
        monkeypatch.setenv("CNNLIB_DATA_DIR", str(tmp_path / "not this one"))
        result = load(folder=tmp_path)
    for (x, t), images, labels in zip(result, arrays[::2], arrays[1::2], strict=True):
        assert (x.dtype, t.dtype) == (np.float32, np.int64)
        np.testing.assert_array_equal(x, images.reshape(-1, 784) / np.float32(255))
        np.testing.assert_array_equal(t, labels)
    assert not (tmp_path / "cache").exists()


def test_options_of_mnist(tmp_path):
    arrays = made_up()
    write_set(tmp_path / "mnist", arrays)
    (x, t), _ = load_mnist(normalize=False, flatten=False, one_hot_label=True, folder=tmp_path)
    assert (x.shape, x.dtype) == ((5, 1, 28, 28), np.uint8)
    np.testing.assert_array_equal(x[:, 0], arrays[0])
    assert (t.shape, t.dtype) == ((5, 10), np.float32)
    np.testing.assert_array_equal(t.argmax(axis=1), arrays[1])


PLACES = {
    "mnist": ["mnist", "MNIST/raw", "raw", "."],
    "fashion-mnist": ["fashion-mnist", "FashionMNIST/raw", "raw", "."],
}


@pytest.mark.parametrize(("name", "load"), LOADERS)
@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("dot", [False, True])
@pytest.mark.parametrize("own_folder", [False, True])
@pytest.mark.parametrize("place", range(4))
def test_usual_places_and_names(tmp_path, name, load, ending, dot, own_folder, place):
    arrays = made_up()
    for file_name, array in zip(datasets.FILES, arrays, strict=True):
        plain = file_name.removesuffix(".gz")
        plain = plain.replace("-idx", ".idx") if dot else plain
        folder = tmp_path / PLACES[name][place] / (plain if own_folder else "")
        folder.mkdir(parents=True, exist_ok=True)
        # As a browser may leave them: unpacked, but with the old name.
        (folder / (plain + ("" if own_folder else ending))).write_bytes(idx_bytes(array))
    (x, t), _ = load(normalize=False, folder=tmp_path)
    np.testing.assert_array_equal(x, arrays[0].reshape(-1, 784))
    np.testing.assert_array_equal(t, arrays[1])


def test_a_complete_place_comes_before_an_incomplete_one(tmp_path):
    (write_set(tmp_path / "mnist", made_up(n_train=4)) / datasets.FILES[3]).unlink()
    write_set(tmp_path / "MNIST" / "raw", made_up(n_train=6), compress=False)
    write_set(tmp_path, made_up(n_train=8))
    (x, _), _ = load_mnist(folder=tmp_path)
    assert len(x) == 6


@pytest.mark.parametrize("folder", [".", "data"])
def test_a_folder_of_another_name_is_pointed_at(tmp_path, folder):
    digits = write_set(tmp_path / "data" / "my digits", made_up())
    with pytest.raises(FileNotFoundError) as caught:
        load_mnist(folder=tmp_path / folder)
    assert f"{digits} has such files: give that folder" in str(caught.value)
    assert load_mnist(folder=digits)
    with pytest.raises(FileNotFoundError, match=r"not in .*mnist, with or without .gz: train-im"):
        load_mnist(folder=tmp_path / "nowhere")


def test_the_other_data_set_is_not_pointed_at(tmp_path):
    write_set(tmp_path / "mnist", made_up())
    write_set(tmp_path / "MNIST" / "raw", made_up())
    with pytest.raises(FileNotFoundError) as caught:
        load_fashion_mnist(folder=tmp_path)
    assert "has such files" not in str(caught.value)


def test_the_other_data_set_is_not_taken_for_this_one(tmp_path):
    """Both have files of the same names, and the folder need not be called after either."""
    for (name, load), (other, load_other) in (LOADERS, LOADERS[::-1]):
        arrays = made_up(n_train=12)
        arrays[1][:10] = [int(label) for label in datasets.FIRST_LABELS[name]]
        folder = write_set(tmp_path / f"some {name}", arrays)
        assert load(folder=folder)
        with pytest.raises(ValueError, match=f"train-labels.* of {name}, expected {other}$"):
            load_other(folder=folder)


def test_missing_files_are_named(tmp_path):
    folder = write_set(tmp_path / "mnist", made_up())
    (folder / datasets.FILES[1]).unlink()
    (folder / datasets.FILES[2]).unlink()
    with pytest.raises(FileNotFoundError) as caught:
        load_mnist(folder=tmp_path)
    message = str(caught.value)
    assert str(folder) in message and "has such files" not in message
    assert [name in message for name in datasets.FILES] == [False, True, True, False]


@pytest.mark.parametrize(
    ("order", "change", "message"),
    [
        ((1, 0, 2, 3), {}, r"train-images.*\(5,\), expected \(N, 28, 28\).*swapped"),
        ((0, 1, 3, 2), {}, r"t10k-images.*\(3,\), expected \(N, 28, 28\).*swapped"),
        ((0, 0, 2, 3), {}, r"train-labels.*\(5, 28, 28\), expected \(N,\)"),
        ((0, 3, 2, 3), {}, "holds 5 images.*3 labels"),
        ((0, 1, 2, 3), {1: [0, 1, 2, 3, 10]}, "train-labels.*label 10, expected 0..9"),
        ((0, 1, 2, 3), {0: np.zeros((5, 28, 27))}, r"\(5, 28, 27\)"),
        ((0, 1, 2, 3), {2: np.zeros((0, 28, 28)), 3: []}, "N >= 1"),
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path, order, change, message):
    arrays = made_up()
    for i, array in change.items():
        arrays[i] = array
    write_set(tmp_path / "mnist", [arrays[i] for i in order])
    with pytest.raises(ValueError, match=message):
        load_mnist(folder=tmp_path)


# --- download ---------------------------------------------------------------------------------


class Quiet(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        if not self.path.startswith("/hangs-up/"):
            super().do_GET()

    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path):
    """A web server over tmp_path/"www"; `asked` lists the paths that were requested."""
    (tmp_path / "www").mkdir()
    handler = functools.partial(Quiet, directory=tmp_path / "www")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        httpd.asked = []
        httpd.url = f"http://127.0.0.1:{httpd.server_port}/"
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield httpd
        httpd.shutdown()
        thread.join()


@pytest.fixture
def dead_mirror():
    """An address that refuses connections: bound, so that nobody else takes it, not listening."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}/"


@pytest.fixture
def publish(tmp_path, monkeypatch):
    """Put a made-up data set on the server and make its hashes the known ones."""

    def publish(name, arrays):
        folder = write_set(tmp_path / "www" / "good", arrays)
        hashes = [hashlib.sha256((folder / f).read_bytes()).hexdigest() for f in datasets.FILES]
        monkeypatch.setitem(datasets.SHA256, name, tuple(hashes))
        return folder

    return publish


def use_mirrors(monkeypatch, name, *mirrors):
    monkeypatch.setitem(datasets.MIRRORS, name, mirrors)


def cached(tmp_path, name="mnist"):
    return sorted(path.name for path in (tmp_path / "cache" / name).glob("*"))


@pytest.mark.parametrize(("name", "load"), LOADERS)
def test_download_then_cache(tmp_path, monkeypatch, server, dead_mirror, publish, name, load):
    arrays = made_up()
    publish(name, arrays)
    use_mirrors(monkeypatch, name, server.url + "good/")
    (x, t), _ = load(normalize=False)
    np.testing.assert_array_equal(x, arrays[0].reshape(-1, 784))
    np.testing.assert_array_equal(t, arrays[1])
    assert cached(tmp_path, name) == sorted(datasets.FILES)  # and no temporary files

    use_mirrors(monkeypatch, name, dead_mirror)
    again = load(normalize=False)
    np.testing.assert_array_equal(again[0][0], x)
    assert len(server.asked) == 4


@pytest.mark.parametrize("fault", ["refused", "not found", "other content", "half a file"])
def test_next_mirror_is_tried(tmp_path, monkeypatch, server, dead_mirror, publish, fault):
    folder = publish("mnist", made_up())
    other = tmp_path / "www" / "other"
    if fault in ("other content", "half a file"):
        other.mkdir()
        for name in datasets.FILES:
            right = (folder / name).read_bytes()
            half = right[: len(right) // 2]
            (other / name).write_bytes(half if fault == "half a file" else right + b"!")
    first = dead_mirror if fault == "refused" else server.url + "other/"
    use_mirrors(monkeypatch, "mnist", first, server.url + "good/")
    (x, _), _ = load_mnist()
    assert x.shape == (5, 784)
    assert cached(tmp_path) == sorted(datasets.FILES)


def test_a_dead_mirror_is_asked_once(monkeypatch, server, publish):
    publish("mnist", made_up())
    use_mirrors(monkeypatch, "mnist", server.url + "hangs-up/", server.url + "good/")
    load_mnist()
    assert server.asked == ["/hangs-up/" + datasets.FILES[0]] + [
        "/good/" + file_name for file_name in datasets.FILES
    ]


def test_mirrors_are_not_waited_for_long(monkeypatch):
    """Silence is limited for each read, and time in all for the whole data set."""
    limits = []

    class Silent:
        def __init__(self, timeout, **kwargs):
            limits.append(timeout)

        def __call__(self, url, file, _):
            clock[0] += 40
            raise requests.ConnectTimeout("silence")

    clock = [0]
    times = SimpleNamespace(monotonic=lambda: clock[0], time=time.time)
    monkeypatch.setattr(datasets, "time", times)
    monkeypatch.setattr(datasets, "PATIENCE", 60)
    monkeypatch.setattr(pooch, "HTTPDownloader", Silent)
    use_mirrors(monkeypatch, "mnist", *(f"https://{i}.invalid/" for i in range(5)))
    with pytest.raises(ConnectionError, match=r"silence(.|\n)*not done in 60 s"):
        load_mnist()
    assert limits == [datasets.SILENCE, datasets.SILENCE] and datasets.SILENCE <= 10


def test_a_slow_mirror_is_cut_off_in_the_middle_of_a_file(tmp_path, monkeypatch, server, publish):
    publish("mnist", made_up())  # the first file comes in four pieces
    clock = iter(range(100))
    times = SimpleNamespace(monotonic=lambda: next(clock), time=time.time)
    monkeypatch.setattr(datasets, "time", times)
    monkeypatch.setattr(datasets, "PATIENCE", 2)
    use_mirrors(monkeypatch, "mnist", server.url + "good/")
    with pytest.raises(ConnectionError, match="not done in 2 s; finished files are kept"):
        load_mnist()
    assert server.asked == ["/good/" + datasets.FILES[0]]
    assert cached(tmp_path) == []


def test_what_a_killed_download_left_is_removed(tmp_path, monkeypatch, server, publish):
    publish("mnist", made_up())
    use_mirrors(monkeypatch, "mnist", server.url + "good/")
    cache = tmp_path / "cache" / "mnist"
    cache.mkdir(parents=True)
    (cache / "tmpstale").write_bytes(b"half a file")
    os.utime(cache / "tmpstale", times=(time.time() - 100,) * 2)
    (cache / "tmpother").write_bytes(b"another process is writing this")
    load_mnist()
    assert cached(tmp_path) == sorted([*datasets.FILES, "tmpother"])
    os.utime(cache / "tmpother", times=(time.time() - 100,) * 2)
    load_mnist()  # from the cache
    assert cached(tmp_path) == sorted(datasets.FILES) and len(server.asked) == 4


def test_wrong_hash_everywhere_leaves_nothing_in_the_cache(tmp_path, monkeypatch, server, publish):
    folder = publish("mnist", made_up())
    (folder / datasets.FILES[0]).write_bytes(b"something else")
    use_mirrors(monkeypatch, "mnist", server.url + "good/")
    with pytest.raises(ConnectionError, match=r"train-images.*\n.*does not match the known hash"):
        load_mnist()
    assert cached(tmp_path) == []


def test_damaged_file_in_the_cache_is_replaced(tmp_path, monkeypatch, server, publish):
    publish("mnist", made_up())
    use_mirrors(monkeypatch, "mnist", server.url + "good/")
    load_mnist()
    (tmp_path / "cache" / "mnist" / datasets.FILES[2]).write_bytes(b"damaged")
    load_mnist()
    assert server.asked[4:] == ["/good/" + datasets.FILES[2]]


def test_without_network_the_message_gives_each_reason_and_the_way_out(
    tmp_path, monkeypatch, server, dead_mirror
):
    use_mirrors(monkeypatch, "mnist", dead_mirror, server.url + "nothing/")
    with pytest.raises(ConnectionError) as caught:
        load_mnist()
    message = str(caught.value)
    for part in (dead_mirror, "refused", server.url, "404"):
        assert part in message
    for part in ("train-images-idx3-ubyte.gz", "folder=", "CNNLIB_DATA_DIR", "load_digits28()"):
        assert part in message
    assert cached(tmp_path) == []


def test_unwritable_cache_names_the_folder(tmp_path, monkeypatch, server, publish):
    publish("mnist", made_up())
    use_mirrors(monkeypatch, "mnist", server.url + "good/", server.url + "good/")
    (tmp_path / "cache").write_text("a file where the folder should be", encoding="utf-8")
    with pytest.raises(OSError, match="cannot keep train-images") as caught:
        load_mnist()
    message = str(caught.value)
    for part in (str(tmp_path / "cache" / "mnist"), "CNNLIB_DATA_DIR", "load_digits28()"):
        assert part in message
    assert server.asked == []


def test_cache_without_permission_names_the_folder(tmp_path, monkeypatch):
    # Root may write everywhere, so the refusal is made up.
    def refuse(path, *args, **kwargs):
        raise PermissionError(13, "Permission denied", path)

    use_mirrors(monkeypatch, "mnist", "http://127.0.0.1/")
    monkeypatch.setattr(os, "makedirs", refuse)
    with pytest.raises(OSError, match=r"cannot keep.*Permission denied.*CNNLIB_DATA_DIR"):
        load_mnist()


# --- CIFAR-10 ---------------------------------------------------------------------------------

BATCHES = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]


def made_up_photographs():
    """Six files of two records each: a label, and a thousand numbers of each color."""
    rng = np.random.default_rng(0)
    return {name: rng.integers(0, [10] + 3072 * [256], (2, 3073), np.uint8) for name in BATCHES}


def write_archive(path, files, mode="w:gz"):
    """Pack as the official archive is packed: out of order, and with other files between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    others = {"batches.meta.txt": b"airplane", "readme.html": b"<html>"}
    with tarfile.open(path, mode) as archive:
        for name, content in reversed((others | files).items()):
            content = bytes(content)
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("place", ["cifar10", "."])
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("by_environment", [True, False])
def test_cifar10_in_a_folder_pixel_by_pixel(tmp_path, monkeypatch, place, packed, by_environment):
    files = made_up_photographs()
    name = datasets.ARCHIVE if packed else datasets.ARCHIVE.removesuffix(".gz")
    write_archive(tmp_path / place / name, files, "w:gz" if packed else "w")
    if by_environment:
        monkeypatch.setenv("CNNLIB_DATA_DIR", str(tmp_path))
        train, test = load_cifar10(normalize=False)
    else:
        train, test = load_cifar10(normalize=False, folder=tmp_path)
    assert (len(train[0]), len(test[0])) == (10, 2)
    for (x, t), names in ((train, BATCHES[:5]), (test, BATCHES[5:])):
        assert (x.dtype, x.shape[1:], t.dtype) == (np.uint8, (3, 32, 32), np.int64)
        for n in range(len(x)):
            record = bytes(files[names[n // 2]][n % 2])
            assert t[n] == record[0]
            for c, i, j in [(0, 0, 0), (0, 0, 31), (0, 31, 0), (1, 0, 0), (1, 5, 9), (2, 31, 31)]:
                assert x[n, c, i, j] == record[1 + 1024 * c + 32 * i + j]


def test_options_of_cifar10(tmp_path):
    write_archive(tmp_path / datasets.ARCHIVE, made_up_photographs())
    (x, t), _ = load_cifar10(folder=tmp_path)
    (raw, hot), _ = load_cifar10(normalize=False, one_hot_label=True, folder=tmp_path)
    assert x.dtype == np.float32 and hot.shape == (10, 10)
    np.testing.assert_array_equal(x, raw / np.float32(255))
    np.testing.assert_array_equal(hot.argmax(axis=1), t)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data_batch_3.bin": bytes(3072)}, "data_batch_3.bin has 3072 bytes.*records of 3073"),
        ({"test_batch.bin": b""}, "test_batch.bin has 0 bytes"),
        ({"data_batch_5.bin": b"\x0a" + bytes(3072)}, "label 10, expected 0..9"),
        ({"data_batch_2.bin": None, "test_batch.bin": None}, "no data_batch_2.bin, test_batch.bin"),
    ],
)
def test_an_archive_that_is_not_cifar10_is_refused(tmp_path, change, message):
    files = {k: v for k, v in (made_up_photographs() | change).items() if v is not None}
    write_archive(tmp_path / datasets.ARCHIVE, files)
    with pytest.raises(ValueError, match=f"{datasets.ARCHIVE}.*{message}"):
        load_cifar10(folder=tmp_path)


def test_no_more_of_an_archive_is_unpacked_than_the_limit(tmp_path, monkeypatch):
    write_archive(tmp_path / datasets.ARCHIVE, made_up_photographs())
    monkeypatch.setattr(datasets, "LARGEST", 6145)
    with pytest.raises(ValueError, match="has 6146 bytes, expected records of 3073, 6145 bytes"):
        load_cifar10(folder=tmp_path)


@pytest.mark.parametrize("damage", ["cut", "changed", "no archive", "empty"])
def test_a_damaged_archive_is_refused(tmp_path, damage):
    path = write_archive(tmp_path / datasets.ARCHIVE, made_up_photographs())
    whole = path.read_bytes()
    path.write_bytes(
        {
            "cut": whole[: len(whole) // 2],
            "changed": whole[:9000] + b"?" * 2000 + whole[11000:],
            "no archive": b"<html>404</html>",
            "empty": b"",
        }[damage]
    )
    with pytest.raises(ValueError, match=f"{datasets.ARCHIVE}: damaged, or not a tar archive"):
        load_cifar10(folder=tmp_path)


def test_a_folder_without_cifar10_says_what_belongs_there(tmp_path):
    write_set(tmp_path / "mnist", made_up())
    with pytest.raises(FileNotFoundError, match=r"not in .*: cifar-10-binary\.tar\.gz\. Put"):
        load_cifar10(folder=tmp_path)
    path = write_archive(tmp_path / "photos" / datasets.ARCHIVE, made_up_photographs())
    with pytest.raises(FileNotFoundError, match=f"{path.parent} has such files: give that folder"):
        load_cifar10(folder=tmp_path)


def test_download_of_cifar10_then_cache(tmp_path, monkeypatch, server, dead_mirror):
    files = made_up_photographs()
    content = write_archive(tmp_path / "www" / datasets.ARCHIVE, files).read_bytes()
    use_mirrors(monkeypatch, "cifar10", server.url)
    with pytest.raises(ConnectionError, match="does not match the known hash"):
        load_cifar10()
    assert cached(tmp_path, "cifar10") == []
    known = (hashlib.sha256(content).hexdigest(),)
    monkeypatch.setitem(datasets.SHA256, "cifar10", known)
    (_, t), _ = load_cifar10()
    assert t.tolist() == [int(record[0]) for name in BATCHES[:5] for record in files[name]]
    assert cached(tmp_path, "cifar10") == [datasets.ARCHIVE]
    use_mirrors(monkeypatch, "cifar10", dead_mirror)
    load_cifar10()
    assert len(server.asked) == 2


# --- centring a drawing ------------------------------------------------------------------------


def block_means(image, rows, columns):
    """Scale by the definition: repeat pixels until the new ones are whole blocks of them."""
    height, width = image.shape
    fine = image.repeat(rows, axis=0).repeat(columns, axis=1)
    return fine.reshape(rows, height, columns, width).mean(axis=(1, 3))


def drawings():
    return hnp.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40)))


def box_by_definition(ink):
    """Ink above a twentieth of the brightest, and any ink within a twentieth of its box."""
    ((rows, columns),) = ndimage.find_objects((ink > 0.05 * ink.max()).astype(int))
    length = max(rows.stop - rows.start, columns.stop - columns.start)
    frame = np.zeros(ink.shape, bool)
    frame[rows, columns] = True
    frame = ndimage.binary_dilation(frame, np.ones((3, 3)), iterations=-(-length // 20))
    ((rows, columns),) = ndimage.find_objects((frame & (ink > 0)).astype(int))
    return rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start


@given(drawings(), st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=200, deadline=None)
def test_scaled_and_centred_as_defined(drawing, H, W):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ink of any strength, anywhere
        out = centre_digit(drawing, (H, W))
    assert out.shape == (H, W) and out.dtype == np.float32
    found = ink_box(drawing)
    if found is None:
        assert not drawing.any() and not out.any()
        return
    top, left, height, width = found
    digit = drawing[top : top + height, left : left + width] / 255
    assert found == box_by_definition(drawing / 255)
    assert digit[0].any() and digit[-1].any() and digit[:, 0].any() and digit[:, -1].any()
    box = max(1, round(min(H, W) * 20 / 28))
    rows, columns = (max(1, round(side * box / max(height, width))) for side in (height, width))
    assert max(rows, columns) == box
    expected = block_means(digit, rows, columns)
    place = np.argmax([  # wherever it was put
        np.allclose(out[i : i + rows, j : j + columns], expected, atol=1e-6)
        for i in range(H - rows + 1)
        for j in range(W - columns + 1)
    ])  # fmt: skip
    i, j = divmod(int(place), W - columns + 1)
    assert np.allclose(out[i : i + rows, j : j + columns], expected, atol=1e-6)
    assert np.isclose(out.sum(), expected.sum(), rtol=1e-5)
    centre = ndimage.center_of_mass(out.astype(float))
    for middle, size, start, length in zip(centre, (H, W), (i, j), (rows, columns), strict=True):
        stopped = start == 0 or start == size - length
        assert abs(middle - size // 2) <= 0.5 + 1e-4 or stopped


@pytest.mark.parametrize("times", [1, 2, 4])
@pytest.mark.parametrize(("top", "left"), [(0, 0), (3, 11), (9, 2)])
def test_place_and_size_of_the_drawing_do_not_matter(times, top, left):
    _, (x, _) = load_digits28()
    for digit in x[:10, 0]:
        row, column, height, width = ink_box(digit)
        large = digit[row : row + height, column : column + width]
        large = large.repeat(times, axis=0).repeat(times, axis=1)
        drawing = np.zeros((120, 130), np.float32)
        drawing[top : top + large.shape[0], left : left + large.shape[1]] = large
        assert np.allclose(centre_digit(drawing), centre_digit(digit), atol=1e-6)


@needs_mnist
def test_mnist_digits_come_back_unchanged():
    (x, _), _ = load_mnist(flatten=False, folder=REAL_DATA)
    same = [np.allclose(centre_digit(image), image[0], atol=1e-6) for image in x[:1000]]
    assert np.mean(same) >= 0.995  # 1 of 1,000 has a box of 19 pixels


def test_box_and_shape_can_be_chosen():
    stroke = np.ones((80, 10))
    assert ink_box(centre_digit(stroke, (32, 32), box=20))[2:] == (20, 2)
    assert ink_box(centre_digit(stroke, (32, 40)))[2:] == (23, 3)
    assert ink_box(centre_digit(stroke[np.newaxis], (5, 5), box=5)) == (0, 2, 5, 1)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (([1, 2, 3],), r"got shape \(3,\)"),
        ((np.zeros((0, 4)),), "got shape"),
        ((np.zeros((2, 4, 4)),), "got shape"),
        (([["a"]],), "array of numbers"),
        (([[0.5, np.nan]],), "got nan"),
        (([[0.5, 3]],), "got 3"),
        (([[-0.1]],), "got -0.1"),
        (([[1]], (28,)), r"\(H, W\)"),
        (([[1]], (28, 0)), "W must be at least 1"),
        (([[1]], (28, 20), 21), "a box of 21"),
        (([[1]], (28, 20), 0), "box must be at least 1"),
    ],
)
def test_centring_refuses(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        centre_digit(*arguments)


def hints(image):
    """What `centre_digit` warns of, from the line that called it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        centre_digit(image)
    assert all(warning.filename == __file__ for warning in caught)
    return [str(warning.message) for warning in caught]


def test_faint_ink_brings_a_hint():
    _, (x, _) = load_digits28(normalize=False)
    ones = (x[0] > 127).astype(np.uint8)
    [text] = hints(ones)
    assert "brightest ink is 1 of 255" in text and "multiply it by 255 or convert it" in text
    [text] = hints(x[0] / 255 / 255)  # divided once too often
    assert "brightest ink is 1 of 255" in text
    assert "brightest ink is 16 of 255" in hints(16 * ones)[0]  # 0..16, as scikit-learn's
    for fine in (255 * ones, ones.astype(float), ones.astype(int), ones > 0, 0 * ones):
        assert hints(fine) == []


def test_black_on_white_brings_a_hint():
    _, (x, _) = load_digits28(normalize=False)
    sharp = x[0, 0] > 127
    top, left, height, width = ink_box(sharp)
    cut = sharp[top : top + height, left : left + width]  # the digit takes 30 % of the border
    for image in (255 - x[0], 1 - x[0] / 255, ~sharp, ~cut):
        [text] = hints(image)
        assert "of the border is ink" in text and "invert it (255 - image or 1 - image)" in text
    assert "100 % of the border" in hints(np.maximum(x[0], 50))[0]  # paper that is grey
    for fine in (x[0], sharp, cut, np.ones((80, 10)), [[1]], [[0.2, 0.2]]):
        assert hints(fine) == []


@needs_mnist
def test_hints_on_mnist():
    """None on its digits and next to none on digits cut out, all on inverted ones."""
    (x, _), _ = load_mnist(flatten=False, folder=REAL_DATA)
    cut = 0
    for image in x[:300, 0]:
        top, left, height, width = ink_box(image)
        assert hints(image) == [] and len(hints(1 - image)) == 1
        cut += len(hints(image[top : top + height, left : left + width]))
    assert cut <= 6


def test_looking_for_the_box_brings_no_hint():
    assert ink_box(np.eye(3, dtype=np.uint8)) == (0, 0, 3, 3)
    with pytest.warns(UserWarning, match="brightest ink is 1 of 255"):
        as_ink(np.eye(3, dtype=np.uint8))
    assert as_ink(np.eye(3, dtype=np.uint8), hint=False).max() == 1 / 255


@pytest.mark.parametrize("speck", [0.001, 0.04])
def test_specks_do_not_count(speck):
    drawing = np.zeros((100, 200))
    drawing[30:70, 90:100] = 1
    expected = centre_digit(drawing)
    for place in ((0, 0), (99, 199), (50, 0), (0, 95), (27, 95)):
        dirty = drawing.copy()
        dirty[place] = speck
        assert ink_box(dirty) == (30, 90, 40, 10)
        np.testing.assert_array_equal(centre_digit(dirty), expected)
    noise = np.random.default_rng(0).uniform(0, 0.04, drawing.shape)  # as JPEG's
    box = ink_box(np.maximum(drawing, noise))
    assert box == (28, 88, 44, 14)
    drawing[0, 0] = 0.1  # not that faint: ink
    assert ink_box(drawing) == (0, 0, 70, 100)


def test_a_grey_edge_belongs_to_the_stroke():
    drawing = np.zeros((50, 50))
    drawing[10:30, 20:25] = 1
    drawing[9, 20:25] = drawing[10:30, 25] = 0.01
    assert ink_box(drawing) == (9, 20, 21, 6)
    large = drawing.repeat(4, axis=0).repeat(4, axis=1)
    assert ink_box(large) == (36, 80, 84, 24)


# --- the constants, and the real thing --------------------------------------------------------


def test_every_file_has_a_hash_and_a_place_to_come_from():
    places = {name: len(set(mirrors)) for name, mirrors in MIRRORS.items()}
    assert places == {"mnist": 2, "fashion-mnist": 2, "cifar10": 1}
    assert [len(hashes) for hashes in datasets.SHA256.values()] == [4, 4, 1]
    assert all(url.startswith("https://") for mirrors in MIRRORS.values() for url in mirrors)
    hashes = [h for some in datasets.SHA256.values() for h in some]
    assert len(set(hashes)) == 9
    assert all(len(h) == 64 and int(h, 16) for h in hashes)


@needs_mnist
def test_real_mnist():
    (x_train, t_train), (x_test, t_test) = load_mnist(normalize=False, folder=REAL_DATA)
    assert (x_train.shape, x_test.shape) == ((60000, 784), (10000, 784))
    contents = [
        idx_bytes(x_train.reshape(-1, 28, 28)),
        idx_bytes(t_train),
        idx_bytes(x_test.reshape(-1, 28, 28)),
        idx_bytes(t_test),
    ]
    assert [hashlib.sha256(content).hexdigest() for content in contents] == [
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ]
