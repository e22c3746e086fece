"""Networks that were trained on MNIST once, so that a notebook need not.

Their weights lie in ``cnnlib/data``, rounded to float16. How they were made, and how good they are,
says the README there.
"""

from importlib import resources

import numpy as np

from cnnlib.networks import DeepConvNet, SimpleConvNet

KINDS = {"simple": SimpleConvNet, "deep": DeepConvNet}


def load_trained(name):
    """Load a network that has learned MNIST's digits.

    Parameters
    ----------
    name : {"simple", "deep"}
        `SimpleConvNet` with the book's layers and sizes, or `DeepConvNet`.

    Returns
    -------
    Network
        With float32 parameters, for images (N, 1, 28, 28) in [0, 1].

    Raises
    ------
    ValueError
        If there is no network of that name.

    Notes
    -----
    Book sections 7.5 and 7.6. Accuracy on MNIST: ``cnnlib/data/README.md``.
    """
    if name not in KINDS:
        raise ValueError(f"name must be one of {list(KINDS)}, got {name!r}")
    network = KINDS[name]()
    with resources.as_file(_data(f"{name}.npz")) as path:
        network.load_params(path)
    return network


def filter_history():
    """Load the first-layer filters of the simple network while it learned.

    Returns
    -------
    steps : ndarray of int, shape (T,)
        After how many steps, growing: 0 is before training, the last one is the end.
    filters : ndarray, shape (T, 30, 1, 5, 5)
        The filters then, float32; the last are those of ``load_trained("simple")``.

    Notes
    -----
    Book section 7.6.1: filters before and after, and in between.
    """
    with _data("simple-filters.npz").open("rb") as stream, np.load(stream) as stored:
        return stored["steps"].astype(int), stored["W1"].astype(np.float32)


def _data(file_name):
    return resources.files("cnnlib").joinpath("data", file_name)
