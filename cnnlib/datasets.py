"""Pictures to learn from, and how a drawing becomes one of them.

1. ``load_digits28``        1,797 real handwritten digits; needs no network
2. ``load_mnist``           70,000 handwritten digits, the book's data set
3. ``load_fashion_mnist``   70,000 pieces of clothing, same shapes, harder
4. ``load_cifar10``         60,000 small color photographs of animals and vehicles
5. ``read_idx``             the file format of 2 and 3
6. ``centre_digit``         a drawing as MNIST has its digits: cut out, scaled, centered

The loaders return ``(x_train, t_train), (x_test, t_test)`` in the form the options ask for.
"""

import gzip
import io
import math
import os
import tarfile
import time
import warnings
import zlib
from contextlib import suppress
from functools import partial
from importlib import resources
from pathlib import Path

import numpy as np

from cnnlib.windows import whole_number

# In this order everywhere: training images and labels, test images and labels.
FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
ARCHIVE = "cifar-10-binary.tar.gz"
# Tried from left to right; all mirrors of a data set serve the same bytes.
MIRRORS = {
    "mnist": (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    "fashion-mnist": (
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
    "cifar10": ("https://www.cs.toronto.edu/~kriz/",),
}
# Of the compressed files, in the order of FILES; CIFAR-10's MD5 is c32a1d4ab5d03f1284b67883e8d87530
SHA256 = {
    "mnist": (
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
    "fashion-mnist": (
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
    "cifar10": ("c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",),
}
# The files of the two data sets have the same names: their first training labels tell them apart.
FIRST_LABELS = {"mnist": "5041921314", "fashion-mnist": "9003027255"}
TORCHVISION = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST"}  # its name for the folder

SILENCE = 10  # seconds without a byte after which a mirror counts as dead
PATIENCE = 600  # seconds that downloading four files may take; CIFAR-10 gets six times as long
LARGEST = 2**28  # bytes of data in a file; MNIST's training images have 47 million
FAINT = 0.1  # if the brightest ink is below this, the picture is probably scaled wrongly
SPECK = 0.05  # of the brightest ink: what is fainter counts only at the edge of a stroke


def load_digits28(normalize=True, flatten=False, one_hot_label=False):
    """Load the 1,797 digits that come with the package, enlarged to MNIST's frame.

    Real handwriting of 8 x 8 pixels, enlarged to 20 x 20 in the middle of 28 x 28 zeros (license
    and source: ``cnnlib/data/README.md``). The options are those of `load_mnist`.

    There are 1,437 to train on and 360 to test with, the same on every call. The same 13 people
    wrote both: test accuracy says nothing about other handwriting.

    Examples
    --------
    >>> (x_train, t_train), (x_test, t_test) = load_digits28()
    >>> x_train.shape, t_train.shape, x_test.shape
    ((1437, 1, 28, 28), (1437,), (360, 1, 28, 28))
    """
    file = resources.files("cnnlib").joinpath("data", "digits.npz")
    with file.open("rb") as stream, np.load(stream) as stored:
        images, labels = _enlarge(stored["images"]), stored["labels"]
    order = np.random.default_rng(0).permutation(len(images))
    parts = [(images[part], labels[part]) for part in np.split(order, [1437])]
    return tuple(_prepare(*part, normalize, flatten, one_hot_label) for part in parts)


def load_mnist(normalize=True, flatten=True, one_hot_label=False, folder=None):
    """Load MNIST: 60,000 handwritten digits to train on and 10,000 to test with.

    The first call downloads four files (11 MB) into the user's cache folder and checks their
    SHA-256; later calls need no network. Book section 3.6, with the same signature.

    Parameters
    ----------
    normalize : bool, default True
        True gives float32 in [0, 1], False the bytes 0..255 as uint8.
    flatten : bool, default True
        True gives one row of 784 numbers for each image, False (C, H, W) = (1, 28, 28).
    one_hot_label : bool, default False
        True gives labels as float32 rows with a single 1, False as int64 numbers 0..9.
    folder : str or path, optional
        Download nothing: read the files in this folder, or in ``mnist`` or ``MNIST/raw`` in it.
        By default the environment variable ``CNNLIB_DATA_DIR``, if set. Compressed or not, named
        ``train-images-idx3-ubyte`` or ``train-images.idx3-ubyte``: all are found.

    Raises
    ------
    FileNotFoundError, ValueError
        If a file is missing in `folder`; if one is damaged, or holds other data.
    ConnectionError, OSError
        If no mirror delivers the right file in time; if the cache folder cannot be written.
    """
    return _load("mnist", normalize, flatten, one_hot_label, folder)


def load_fashion_mnist(normalize=True, flatten=True, one_hot_label=False, folder=None):
    """Load Fashion-MNIST: pictures of clothing in MNIST's format, 31 MB to download.

    All is as for `load_mnist`, but the folders are ``fashion-mnist`` and ``FashionMNIST/raw``.
    Labels 0..9: T-shirt, trouser, pullover, dress, coat, sandal, shirt, sneaker, bag, ankle boot.
    """
    return _load("fashion-mnist", normalize, flatten, one_hot_label, folder)


def load_cifar10(normalize=True, one_hot_label=False, folder=None):
    """Load CIFAR-10: 50,000 color photographs to train on, 10,000 to test with; 170 MB to download.

    Images are (3, 32, 32): red, green, blue. All else is as for `load_mnist`, with the archive
    ``cifar-10-binary.tar.gz`` in `folder` or in ``cifar10`` in it. Labels 0..9: airplane,
    automobile, bird, cat, deer, dog, frog, horse, ship, truck. Krizhevsky (2009).
    """
    (path,) = _paths("cifar10", (ARCHIVE,), folder)
    return tuple(_prepare(*pair, normalize, False, one_hot_label) for pair in _read_cifar10(path))


def read_idx(path):
    """Read an IDX file of unsigned bytes, compressed with gzip or not (its first bytes tell).

        0 0 8 k      two zeros, the type (8: unsigned byte), the number of axes
        k sizes      four bytes each, the highest first
        the bytes    last axis fastest, and nothing behind them

    There is one axis for labels, three for images (N, H, W). ValueError if the file is not exactly
    that, or promises more than `LARGEST` bytes of data or 3 axes; no more is unpacked than it says.
    """
    check = partial(_check, path)
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        stream = gzip.GzipFile(fileobj=file) if packed else file
        try:
            start = stream.read(4)
            other = f"not an IDX file: starts with {start!r}, expected two zero bytes and the type"
            check(len(start) == 4 and start[:2] == b"\0\0", other)
            kind, axes = start[2:]
            check(kind == 8, f"IDX type code is {kind}, expected 8 (unsigned byte)")
            check(1 <= axes <= 3, f"{axes} axes, expected 1 (labels) to 3 (images)")
            sizes = stream.read(4 * axes)
            end, size = 4 + len(sizes), 4 + 4 * axes
            check(end == size, f"ends after {end} bytes: a header of {axes} axes alone has {size}")
            shape = tuple(np.frombuffer(sizes, ">u4").tolist())
            expected = math.prod(shape)
            check(expected <= LARGEST, f"{expected} bytes promised, expected at most {LARGEST}")
            content = stream.read(expected + 1)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise ValueError(f"{path}: damaged gzip file: {error}") from error
    found = len(content)
    what = f"{found} bytes behind the header, expected {expected} for shape {shape}"
    check(found >= expected, f"{what}: the file is truncated")
    check(found <= expected, f"at least {what}: the file is too long")
    return np.frombuffer(content, np.uint8).reshape(shape).copy()  # writeable


def as_ink(image, hint=True):
    """Return one picture, (H, W) or (1, H, W), as float64 (H, W): 0 is paper, 1 full ink.

    Raises ValueError unless it holds bytes 0..255 or numbers 0..1. Warns, unless `hint` is False,
    if all ink is faint or most of the border is ink: bytes 0 and 1, say, or black on white.
    """
    image = np.asarray(image)
    if image.ndim == 3 and len(image) == 1:
        image = image[0]
    if image.ndim != 2 or image.size == 0 or image.dtype.kind not in "buif":
        got = f"got shape {image.shape} of {image.dtype}"
        raise ValueError(f"a picture is an array of numbers (H, W) or (1, H, W), {got}")
    ink = image / 255 if image.dtype == np.uint8 else image.astype(float)
    wrong = ~((ink >= 0) & (ink <= 1))  # NaN included
    if wrong.any():
        raise ValueError(f"ink must be from 0 to 1, or uint8 from 0 to 255; got {ink[wrong][0]}")
    if not hint:
        return ink
    peak = ink.max()
    border = np.concatenate([ink[[0, -1]].ravel(), ink[1:-1, [0, -1]].ravel()])
    share = np.mean(border > SPECK * peak)
    if 0 < peak < FAINT:
        text = f"the brightest ink is {255 * peak:.3g} of 255: if the picture holds 0 and 1, "
        warnings.warn(text + "multiply it by 255 or convert it to float", stacklevel=3)
    if share > 2 / 3 and ink.min() < peak:  # a "1" cut out closely has less
        text = f"{100 * share:.0f} % of the border is ink, but paper must be 0: if the picture is "
        warnings.warn(text + "black on white, invert it (255 - image or 1 - image)", stacklevel=3)
    return ink


def ink_box(image):
    """Find the smallest box that holds the ink: first row, first column, height and width.

    None where nothing is drawn. Specks, fainter than `SPECK` of the brightest ink and farther
    than a twentieth of the box from the rest, are left out. Pictures are those of `as_ink`.

    Examples
    --------
    >>> ink_box([[0, 0, 0], [0, 1, 0], [0, 1, 0]])
    (1, 1, 2, 1)
    """
    ink = as_ink(image, hint=False)
    if not ink.any():
        return None
    top, left, height, width = _box(ink > SPECK * ink.max())
    margin = math.ceil(max(height, width) / 20)  # for the grey edge of the strokes
    first, start = max(top - margin, 0), max(left - margin, 0)
    near = ink[first : top + height + margin, start : left + width + margin]
    top, left, height, width = _box(near > 0)
    return first + top, start + left, height, width


def centre_digit(image, shape=(28, 28), box=None):
    """Scale and center a drawing as MNIST's digits are, which come back unchanged.

    Each new pixel is the mean of the ink beneath it: edges become grey (anti-aliasing). The digit
    then moves by whole pixels until its center of mass falls on pixel (H // 2, W // 2); it stops
    at the edge of the picture rather than losing ink. Method: LeCun, Cortes and Burges, "The
    MNIST database of handwritten digits"; that 14 is the middle was measured on the digits.

    Parameters
    ----------
    image : array_like, shape (H', W') or (1, H', W')
        Ink on paper, of any size: bytes 0..255, or numbers 0..1 (else ValueError). Paper is 0;
        `as_ink` warns of a picture that looks inverted or wrongly scaled.
    shape : tuple of int, default (28, 28)
        (H, W) of the picture that is made: float32, 0 to 1; all zeros where nothing is drawn.
    box : int, optional
        Length of the digit's longer side in it; 20/28 of the shorter of H and W by default.

    Examples
    --------
    >>> import numpy as np
    >>> drawing = np.zeros((100, 200))
    >>> drawing[10:90, 30:40] = 1  # a stroke, 80 high and 10 wide
    >>> ink_box(centre_digit(drawing))
    (4, 13, 20, 2)
    """
    ink = as_ink(image)
    if np.shape(shape) != (2,):
        raise ValueError(f"shape must be (H, W), got {shape!r}")
    H, W = (whole_number(letter, size) for letter, size in zip("HW", shape, strict=True))
    box = max(1, round(min(H, W) * 20 / 28)) if box is None else whole_number("box", box)
    if box > min(H, W):
        raise ValueError(f"a box of {box} pixels does not fit into {H} x {W}")
    out = np.zeros((H, W), np.float32)
    if not ink.any():
        return out
    top, left, height, width = ink_box(ink)
    rows, columns = (max(1, round(side * box / max(height, width))) for side in (height, width))
    digit = ink[top : top + height, left : left + width]
    digit = _means(height, rows) @ digit @ _means(width, columns).T
    top, left = _start(digit.sum(axis=1), H), _start(digit.sum(axis=0), W)
    out[top : top + rows, left : left + columns] = digit
    return out


def _box(mask):
    """Return first row, first column, height and width of what is True."""
    i, j = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(i[0]), int(j[0]), int(i[-1] - i[0]) + 1, int(j[-1] - j[0]) + 1


def _means(old, new):
    """Give the matrix (new, old) whose row i holds the share of each old pixel in new pixel i."""
    edges = np.arange(new + 1) * (old / new)  # of the new pixels, counted in old ones
    first = np.maximum(edges[:-1, np.newaxis], np.arange(old))
    last = np.minimum(edges[1:, np.newaxis], np.arange(old) + 1)
    return np.maximum(last - first, 0) * (new / old)


def _start(ink, size):
    """Place a line of ink into `size` pixels so that its center of mass falls on the middle one."""
    center = ink @ np.arange(ink.size) / ink.sum()
    start = size // 2 - int(np.floor(center + 0.5))
    return min(max(start, 0), size - ink.size)


def _enlarge(images):
    """Resample (N, 8, 8) pictures of values 0..16 to (N, 28, 28) bytes, 20 x 20 in the middle."""
    centers = (np.arange(20) + 0.5) * 8 / 20 - 0.5  # of the 20 pixels, counted in old pixels
    d = np.abs(centers[:, np.newaxis] - np.arange(8))  # (20, 8)
    near = 1.5 * d**3 - 2.5 * d**2 + 1  # the cubic of Catmull and Rom
    far = -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
    # d counts tenths, so 2000 * weights are whole numbers: the sums below are exact, and the
    # pictures are the same bytes on every machine.
    A = np.rint(2000 * np.where(d < 1, near, np.where(d < 2, far, 0)))
    pixels = A @ images @ A.T * (255 / (16 * 2000**2))  # (N, 20, 20)
    frame = np.zeros((len(images), 28, 28), dtype=np.uint8)
    frame[:, 4:24, 4:24] = np.clip(np.rint(pixels), 0, 255)  # a cubic overshoots at edges
    return frame


def _prepare(images, labels, normalize, flatten, one_hot_label):
    """Give bytes, (N, H, W) or (N, C, H, W), and labels (N,) the form the caller asked for."""
    x = images.reshape(len(images), -1, *(() if flatten else images.shape[-2:]))
    if normalize:
        x = np.divide(x, 255, dtype=np.float32)  # straight to float32: no float64 in between
    return x, np.eye(10, dtype=np.float32)[labels] if one_hot_label else labels.astype(np.int64)


def _load(name, normalize, flatten, one_hot_label, folder):
    """Find or fetch the four files of a data set, read, check and prepare them."""
    paths = _paths(name, FILES, folder)
    pairs = _read_pair(*paths[:2]), _read_pair(*paths[2:])
    first_labels = "".join(map(str, pairs[0][1][:10]))
    for other, labels in FIRST_LABELS.items():
        if other != name and labels == first_labels:
            raise ValueError(f"{paths[1]} holds the labels of {other}, expected {name}")
    return tuple(_prepare(*pair, normalize, flatten, one_hot_label) for pair in pairs)


def _paths(name, files, folder):
    """Return the paths of the files of a data set: in a folder of one's own, or in the cache."""
    folder = folder or os.environ.get("CNNLIB_DATA_DIR")
    return _find(name, files, Path(folder).expanduser()) if folder else _fetch(name, files)


def _find(name, files, folder):
    """Return the paths of the files, from the first usual place in a folder that has them all."""
    places = [folder / place for place in (name, f"{TORCHVISION.get(name, name)}/raw", "raw", ".")]
    found = {}
    for place in places:
        found[place] = paths = []
        for file_name in files:  # 7-Zip writes a dot; some programs make a folder for each file
            plain = file_name.replace("-idx", "[-.]idx").removesuffix(".gz")
            tries = (plain + ".gz", plain, f"{plain}/{plain}")
            there = (path for each in tries for path in place.glob(each) if path.is_file())
            paths.append(next(there, None))
    best = min(places, key=lambda place: found[place].count(None))
    missing = [file_name for file_name, path in zip(files, found[best], strict=True) if not path]
    if missing:
        others = {word for pair in TORCHVISION.items() if name not in pair for word in pair}
        depths = () if any(found[best]) else ("*", "*/*")
        near = [p for depth in depths for p in folder.glob(f"{depth}/{files[0][:12]}*")]
        near = [p.parent for p in near if not others & {*p.relative_to(folder).parts}]
        hint = f"; {near[0]} has such files: give that folder" if near else ""
        text = f"not in {best}, with or without .gz: {', '.join(missing)}{hint}. Put them there"
        raise FileNotFoundError(f"{text}; or set neither folder nor CNNLIB_DATA_DIR to download")
    return found[best]


def _fetch(name, files):
    """Return the paths of the files in the cache; download those not there and right."""
    import pooch  # writes to a temporary file and renames it once the hash is right
    import requests

    folder, patience = pooch.os_cache("cnnlib") / name, PATIENCE * (6 if name == "cifar10" else 1)
    end = time.monotonic() + patience
    with suppress(OSError):  # left by a killed process: a living one writes every few seconds
        for path in folder.glob("tmp*"):
            if path.stat().st_mtime < time.time() - 6 * SILENCE:
                path.unlink()

    class File(io.BufferedWriter):
        def write(self, chunk):
            if time.monotonic() > end:  # `timeout` limits silence only
                raise requests.Timeout(f"not done in {patience} s; finished files are kept")
            return super().write(chunk)

    def download(url, path, _):
        with File(io.FileIO(path, "w")) as file:
            file.write(b"")  # too late to begin?
            pooch.HTTPDownloader(progressbar=True, timeout=SILENCE)(url, file, None)

    way_out = f"What to do: put {', '.join(files)} into a folder {name}, named in folder=... or "
    way_out += "in CNNLIB_DATA_DIR; or use load_digits28(), real digits that need no network."
    paths, mirrors, failures = [], list(MIRRORS[name]), ""
    for file_name, sha256 in zip(files, SHA256[name], strict=True):
        while mirrors:
            url = mirrors[0] + file_name
            try:
                paths.append(pooch.retrieve(url, sha256, file_name, folder, downloader=download))
                break
            except (requests.RequestException, ValueError) as error:  # ValueError: wrong hash
                failures += f"\n  {url}: {error}"
                mirrors.pop(0)  # it is asked for no other file: waiting for the dead takes long
            except OSError as error:  # after RequestException, which is an OSError too
                text = f"cannot keep {file_name} in the cache folder {folder}: {error}. {way_out}"
                raise OSError(text) from error
        else:
            text = f"no mirror delivered {file_name} of {name}: no network, a firewall? {way_out}"
            raise ConnectionError(f"{text} What the mirrors said:{failures}")
    return paths


def _read_pair(images_path, labels_path):
    """Read images (N, 28, 28) and labels (N,), or raise ValueError saying what does not fit."""
    images, labels = read_idx(images_path), read_idx(labels_path)
    for path, array, tail in ((images_path, images, (28, 28)), (labels_path, labels, ())):
        expected = "(N, 28, 28)" if tail else "(N,)"
        found = f"an array of shape {array.shape}, expected {expected}, N >= 1"
        fine = array.shape[1:] == tail and len(array) > 0
        _check(path, fine, f"{found}: are images and labels swapped?")
    counts = f"holds {len(images)} images, {labels_path} {len(labels)} labels"
    _check(images_path, len(images) == len(labels), f"{counts}: each image must have one")
    _check(labels_path, labels.max() <= 9, f"label {labels.max()}, expected 0..9")
    return images, labels


def _read_cifar10(path):
    """Read images (N, 3, 32, 32) and labels (N,) from the archive: to train on, to test with.

    Its files are rows of records: a byte for the label, then 32 x 32 of red, of green, of blue.
    """
    names = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
    size, found, check = 1 + 3 * 32 * 32, {}, partial(_check, path)
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                if (name := member.name.split("/")[-1]) in names and member.isfile():
                    fine = 0 < member.size <= LARGEST and member.size % size == 0
                    expected = f"records of {size}, {LARGEST} bytes at most"
                    check(fine, f"{name} has {member.size} bytes, expected {expected}")
                    content = np.frombuffer(archive.extractfile(member).read(), np.uint8)
                    found[name] = content.reshape(-1, size)
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: damaged, or not a tar archive: {error}") from error
    missing = [name for name in names if name not in found]
    check(not missing, f"no {', '.join(missing)} in the archive")
    for part in (names[:5], names[5:]):
        records = np.concatenate([found[name] for name in part])
        labels = records[:, 0]
        check(labels.max() <= 9, f"label {labels.max()}, expected 0..9")
        yield records[:, 1:].reshape(-1, 3, 32, 32), labels


def _check(path, fine, message):
    if not fine:
        raise ValueError(f"{path}: {message}")
