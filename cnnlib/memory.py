"""Memory for large arrays, used again and again.

A training step fills a dozen arrays of several megabytes and throws them away. Fresh memory is not
free: the system hands it out page by page, each cleared to zeros, and a step spends a quarter of
its time on that. So `new_array` lends memory. As soon as nobody holds the array any more, nor a
view of it, the memory goes back on the shelf for the next array of that size; until then nobody
else gets it. To the caller, the array is an array like any other.
"""

import numpy as np

SMALL = 2**16  # bytes; below, NumPy's own memory is as good
LIMIT = 2**28  # bytes on the shelf; once there are as many, it is cleared

_shelf = {}  # number of bytes: list of blocks that nobody uses


def new_array(shape, dtype):
    """Give an array of any content, as `numpy.empty` does, in memory that may have served before.

    Parameters
    ----------
    shape : tuple of int
        Shape.
    dtype : dtype
        Dtype.

    Returns
    -------
    ndarray
        Nobody else's, as long as it or a view of it is held anywhere.
    """
    dtype = np.dtype(dtype)
    size = int(np.prod(shape)) * dtype.itemsize
    if size < SMALL:
        return np.empty(shape, dtype)
    try:
        block = _shelf[size].pop()
    except (KeyError, IndexError):
        block = np.empty(size, np.uint8)
    return np.asarray(_Loan(block)).view(dtype).reshape(shape)


class _Loan:
    """Holds a block while it is lent out: every array in it refers to the loan, and keeps it alive.

    NumPy knows it by ``__array_interface__``, where address and size stand.
    """

    def __init__(self, block):
        self.block = block
        self.__array_interface__ = block.__array_interface__

    def __del__(self):
        shelves = list(_shelf.items())  # another thread may open a new one meanwhile
        if sum(size * len(blocks) for size, blocks in shelves) >= LIMIT:
            _shelf.clear()  # full of sizes that hardly anybody asks for any more
        _shelf.setdefault(self.block.size, []).append(self.block)
