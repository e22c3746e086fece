"""Pictures to learn from: digits that come with the package, MNIST and Fashion-MNIST.

1. ``load_digits28``        1,797 real handwritten digits; needs no network
2. ``load_mnist``           70,000 handwritten digits, the book's data set
3. ``load_fashion_mnist``   70,000 pieces of clothing, same shapes, harder
4. ``read_idx``             the file format of the last two

All three loaders return ``(x_train, t_train), (x_test, t_test)`` in the form the options ask for.
"""

import gzip
import math
import os
import zlib
from importlib import resources
from pathlib import Path

import numpy as np

# In this order everywhere: training images and labels, test images and labels.
FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)

# Tried from left to right. All mirrors of a data set serve the same bytes.
MIRRORS = {
    "mnist": (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    "fashion-mnist": (
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
}

# Of the compressed files, in the order of FILES.
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
}

DIGITS_SEED = 0
DIGITS_TRAIN = 1437  # the other 360 of 1,797 are the test digits


def load_digits28(normalize=True, flatten=False, one_hot_label=False):
    """Load the 1,797 digits that come with the package, enlarged to MNIST's frame.

    Real handwriting, stored at 8 x 8 pixels. Each picture is enlarged to 20 x 20 and set into
    the middle of 28 x 28 zeros, as MNIST's digits are, so that every network of the book
    accepts it. Strokes are softer than MNIST's: enlarging adds pixels, not detail. The source
    scales its bitmaps to one size, so that a "1" can be broad.

    Parameters
    ----------
    normalize : bool, default True
        True gives float32 in [0, 1], False the bytes 0..255 as uint8.
    flatten : bool, default False
        True gives one row of 784 numbers for each image, False (C, H, W) = (1, 28, 28).
    one_hot_label : bool, default False
        True gives labels as float32 rows with a single 1, False as int64 numbers 0..9.

    Returns
    -------
    (x_train, t_train), (x_test, t_test) : tuples of ndarray
        1,437 images to train on and 360 to test with; x of shape (N, 1, 28, 28) or (N, 784),
        t of shape (N,) or (N, 10). The same split on every call: a permutation drawn from
        ``numpy.random.default_rng(0)``.

    Notes
    -----
    The same 13 people wrote training and test digits, so test accuracy says nothing about
    handwriting of other people. Licence and source: ``cnnlib/data/README.md``.

    Examples
    --------
    >>> (x_train, t_train), (x_test, t_test) = load_digits28()
    >>> x_train.shape, t_train.shape, x_test.shape
    ((1437, 1, 28, 28), (1437,), (360, 1, 28, 28))
    """
    file = resources.files("cnnlib").joinpath("data", "digits.npz")
    with file.open("rb") as stream, np.load(stream) as stored:
        images, labels = _enlarge(stored["images"]), stored["labels"]
    order = np.random.default_rng(DIGITS_SEED).permutation(len(images))
    train, test = order[:DIGITS_TRAIN], order[DIGITS_TRAIN:]
    return (
        _prepare(images[train], labels[train], normalize, flatten, one_hot_label),
        _prepare(images[test], labels[test], normalize, flatten, one_hot_label),
    )


def load_mnist(normalize=True, flatten=True, one_hot_label=False, folder=None):
    """Load MNIST: 60,000 handwritten digits to train on and 10,000 to test with.

    The first call downloads four files (11 MB) into the user's cache folder, checks them
    against their SHA-256 and keeps them; later calls need no network.

    Parameters
    ----------
    normalize : bool, default True
        True gives float32 in [0, 1], False the bytes 0..255 as uint8.
    flatten : bool, default True
        True gives one row of 784 numbers for each image, False (C, H, W) = (1, 28, 28).
    one_hot_label : bool, default False
        True gives labels as float32 rows with a single 1, False as int64 numbers 0..9.
    folder : str or path, optional
        Read the files from the subfolder ``mnist`` of this folder, and download nothing.
        Without it, the environment variable ``CNNLIB_DATA_DIR`` is used if set. The files are
        named as in `FILES`, compressed or, without ``.gz``, uncompressed.

    Returns
    -------
    (x_train, t_train), (x_test, t_test) : tuples of ndarray
        x of shape (N, 784) or (N, 1, 28, 28), t of shape (N,) or (N, 10).

    Raises
    ------
    FileNotFoundError
        If a file is missing in `folder`.
    ValueError
        If a file is damaged, or holds something other than its name says.
    ConnectionError
        If no mirror delivers a file with the right SHA-256.
    OSError
        If the cache folder cannot be written.

    Notes
    -----
    Book section 3.6; signature, defaults and return value are those of its ``load_mnist``.
    """
    return _load_idx_dataset("mnist", normalize, flatten, one_hot_label, folder)


def load_fashion_mnist(normalize=True, flatten=True, one_hot_label=False, folder=None):
    """Load Fashion-MNIST: pictures of clothing in MNIST's format, 31 MB to download.

    The labels 0..9 mean T-shirt/top, trouser, pullover, dress, coat, sandal, shirt, sneaker,
    bag, ankle boot.

    Parameters
    ----------
    normalize, flatten, one_hot_label
        As for `load_mnist`.
    folder : str or path, optional
        As for `load_mnist`; the subfolder is ``fashion-mnist``.

    Returns
    -------
    (x_train, t_train), (x_test, t_test) : tuples of ndarray
        As from `load_mnist`, and the same errors.
    """
    return _load_idx_dataset("fashion-mnist", normalize, flatten, one_hot_label, folder)


def read_idx(path):
    """Read an IDX file of unsigned bytes, compressed with gzip or not.

    ::

        0 0 8 k      two zeros, the type (8: unsigned byte), the number of axes
        k sizes      four bytes each, the highest first
        the bytes    last axis fastest, and nothing behind them

    Parameters
    ----------
    path : str or path
        The file. What it starts with, not its name, tells whether it is compressed.

    Returns
    -------
    ndarray of uint8
        One axis for labels, three for images (N, H, W).

    Raises
    ------
    ValueError
        If the file is not exactly that; the message names the file, what was found and what
        was expected.
    """
    content = Path(path).read_bytes()
    if content.startswith(b"\x1f\x8b"):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{path}: damaged gzip file: {error}") from error
    if len(content) < 4 or content[:2] != b"\0\0":
        raise ValueError(
            f"{path}: not an IDX file: starts with {content[:4]!r}, expected two zero bytes, "
            f"the type and the number of axes"
        )
    kind, axes = content[2], content[3]
    if kind != 8:
        raise ValueError(f"{path}: IDX type code is {kind}, expected 8 (unsigned byte)")
    header = 4 + 4 * axes
    if len(content) < header:
        raise ValueError(
            f"{path}: ends after {len(content)} bytes, but the header for {axes} axes alone "
            f"has {header}"
        )
    shape = tuple(np.frombuffer(content, ">u4", count=axes, offset=4).tolist())
    found, expected = len(content) - header, math.prod(shape)
    if found != expected:
        raise ValueError(
            f"{path}: {found} bytes behind the header, expected {expected} for shape {shape}: "
            f"the file is {'truncated' if found < expected else 'too long'}"
        )
    # frombuffer shows the bytes of `content`, which nobody may write to: hand out a copy.
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape).copy()


def _prepare(images, labels, normalize, flatten, one_hot_label):
    """Give bytes of shape (N, 28, 28) and labels of shape (N,) the form the caller asked for."""
    N = len(images)
    x = images.reshape(N, 784) if flatten else images.reshape(N, 1, 28, 28)
    if normalize:
        x = np.divide(x, 255, dtype=np.float32)  # straight to float32: no float64 in between
    t = np.eye(10, dtype=np.float32)[labels] if one_hot_label else labels.astype(np.int64)
    return x, t


def _enlarge(images):
    """Resample (N, 8, 8) pictures of values 0..16 to (N, 28, 28) bytes, 20 x 20 in the middle.

    Interpolation is linear in the pixels, along rows and columns alike, and so is one matrix A
    applied from both sides. Its row i holds the weights with which the 8 pixels of a line make
    up pixel i of 20; the cubic of Catmull and Rom keeps strokes sharper than straight lines
    between pixels do. Outside the picture is paper: pixels there count as 0.
    """
    centres = (np.arange(20) + 0.5) * 8 / 20 - 0.5  # of the 20 pixels, counted in old pixels
    d = np.abs(centres[:, np.newaxis] - np.arange(8))  # (20, 8)
    near = 1.5 * d**3 - 2.5 * d**2 + 1
    far = -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
    weights = np.where(d < 1, near, np.where(d < 2, far, 0))
    # d counts tenths, so 2000 * weights are whole numbers. With them every sum below is exact,
    # and the pictures are the same bytes on every machine.
    A = np.rint(2000 * weights)
    pixels = A @ images @ A.T * (255 / (16 * 2000**2))  # (N, 20, 20)
    frame = np.zeros((len(images), 28, 28), dtype=np.uint8)
    frame[:, 4:24, 4:24] = np.clip(np.rint(pixels), 0, 255)  # a cubic overshoots at edges
    return frame


def _load_idx_dataset(name, normalize, flatten, one_hot_label, folder):
    """Find or fetch the four files of a data set, read, check and prepare them."""
    folder = folder or os.environ.get("CNNLIB_DATA_DIR")
    if folder:
        paths = _find_files(Path(folder).expanduser() / name)
    else:
        hashes = zip(FILES, SHA256[name], strict=True)
        paths = [_fetch(name, file_name, sha256) for file_name, sha256 in hashes]
    return (
        _prepare(*_read_pair(*paths[:2]), normalize, flatten, one_hot_label),
        _prepare(*_read_pair(*paths[2:]), normalize, flatten, one_hot_label),
    )


def _find_files(folder):
    """Return the paths of `FILES` in a folder, each compressed or not."""
    paths = []
    for file_name in FILES:
        compressed = folder / file_name
        plain = compressed.with_suffix("")
        paths.append(plain if plain.is_file() and not compressed.is_file() else compressed)
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        around = folder.parent  # a likely mistake: it was the folder itself that was given
        inside = any((around / file_name).is_file() for file_name in FILES)
        raise FileNotFoundError(
            f"not in {folder}, with or without .gz: {', '.join(missing)}; "
            + (f"but {around} holds such files: name the folder around it. " if inside else "")
            + "put them there, or set neither folder nor CNNLIB_DATA_DIR to have them downloaded"
        )
    return paths


def _fetch(name, file_name, sha256):
    """Return the path of a file in the cache; download it first unless it is there and right.

    `pooch` writes to a temporary file and renames it once the hash is right, so that the cache
    never holds half a file under its real name.
    """
    import pooch
    from requests import RequestException

    folder = _cache_folder() / name
    way_out = (
        f"What to do: put the four files into a folder named {name} and give the folder around it "
        f"as folder=... or in the environment variable CNNLIB_DATA_DIR; or use load_digits28(), "
        f"real handwritten digits that come with the package and need no network."
    )
    failures = []
    for mirror in MIRRORS[name]:
        try:
            path = pooch.retrieve(
                url=mirror + file_name,
                known_hash=f"sha256:{sha256}",
                fname=file_name,
                path=folder,
                progressbar=True,
            )
            return Path(path)
        except (RequestException, ValueError) as error:  # no answer, HTTP error, wrong hash
            failures.append(f"  {mirror}: {error}")
        except OSError as error:  # after RequestException, which is an OSError too
            raise OSError(
                f"cannot keep {file_name} in the cache folder {folder}: {error}. {way_out}"
            ) from error
    raise ConnectionError(
        f"no mirror delivered {file_name} of {name}: no network, or a firewall? {way_out} "
        "What the mirrors said:\n" + "\n".join(failures)
    )


def _cache_folder():
    """Return the user's cache folder, as the operating system has it."""
    import pooch

    return pooch.os_cache("cnnlib")


def _read_pair(images_path, labels_path):
    """Read images (N, 28, 28) and labels (N,), or raise ValueError saying what does not fit."""
    images, labels = read_idx(images_path), read_idx(labels_path)
    for path, array, fits, expected in (
        (images_path, images, images.ndim == 3 and images.shape[1:] == (28, 28), "(N, 28, 28)"),
        (labels_path, labels, labels.ndim == 1, "(N,)"),
    ):
        if not fits or len(array) == 0:
            raise ValueError(
                f"{path} holds an array of shape {array.shape}, expected {expected} with N >= 1; "
                f"are images and labels swapped?"
            )
    if len(images) != len(labels):
        raise ValueError(
            f"{images_path} holds {len(images)} images, {labels_path} {len(labels)} labels: "
            f"there must be one label for each image"
        )
    if labels.max() > 9:
        raise ValueError(f"{labels_path}: label {labels.max()}, expected 0..9")
    return images, labels
