"""Memory for large arrays: kept for the next one, instead of given back and asked for anew.

A training step makes a dozen arrays of several megabytes and throws them away. Fresh memory is not
free: the system hands it out page by page, each cleared to zeros, and a step would spend up to a
quarter of its time on that. On most Linux machines the C library (glibc) fetches every large array
from the system and gives it back at once, until it has seen a large one come and go; from then on
it keeps memory for arrays up to that size (mallopt(3), under M_MMAP_THRESHOLD). So it is shown one.
"""

import numpy as np

LARGEST = 2**25 - 2**16  # bytes; glibc learns up to 32 MiB, with a few bytes of its own


def keep_freed_memory():
    """Make one large array, and drop it: where memory is managed by glibc, it is kept from now on.

    Nothing is written into the array, so it takes no memory and no time. Elsewhere this does
    nothing.
    """
    np.empty(LARGEST, np.uint8)
