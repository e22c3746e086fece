"""The same layers, faster: drop-in twins of Convolution and Pooling, for training.

`cnnlib.layers` says what is right. The twins inherit its constructors, checks, shapes and
documentation, and give the same numbers; nothing here is needed to understand a convolution.

1. *Blocks.* The matrix of all windows is FH*FW times as large as the images, and memory is slow.
   Here the windows of a few images at a time go into an array that stays in the cache.
2. *Channels first.* A window is a column, not a row: filters @ windows is (FN, OH*OW), as wanted.
3. *Batch last.* NumPy is slow on the short rows of small feature maps. A block of such images gets
   the batch as its last axis: rows become OW*n numbers long.
"""

import contextlib
import functools
import sys
import threading

import numpy as np

from cnnlib import layers
from cnnlib.windows import add_windows, conv_output_size, pad_images

BLOCK = 2**20  # bytes of windows in a block: they fit into a second-level cache
SMALL_MAP = 200  # positions OH*OW up to which a block is laid out batch last,
SMALL_BLOCK = 2**22  # and is larger: long rows gain more than the cache


def in_blocks(N, bytes_per_image, small=False):
    """List slices of N images: as many as make up a block, at least one."""
    n = max(1, (SMALL_BLOCK if small else BLOCK) // bytes_per_image)
    return [slice(start, min(start + n, N)) for start in range(0, N, n)]


def batch_last(images, small):
    """Show images (m, C, H, W) as (g, C, H, W, n): one group of m where small, else m of one."""
    return images.transpose(1, 2, 3, 0)[np.newaxis] if small else images[..., np.newaxis]


class Convolution(layers.Convolution):
    """`cnnlib.layers.Convolution` in blocks of images; backward lays the windows out anew."""

    def forward(self, x, train_flg=True):
        """As `cnnlib.layers.Convolution.forward`."""
        N, FN, OH, OW = self._check(x)
        W, b = self._parameters(x.dtype)
        small = OH * OW <= SMALL_MAP
        filters = np.column_stack([W.reshape(FN, -1), b])  # (FN, C*FH*FW + 1)
        out = np.empty((N, FN, OH, OW), x.dtype)
        for block, col in self._columns(x, OH, OW, small):  # (g, C*FH*FW + 1, OH*OW*n)
            if small:
                batch_last(out[block], small)[...] = (filters @ col).reshape(1, FN, OH, OW, -1)
            else:
                np.matmul(filters, col, out=out[block].reshape(-1, FN, OH * OW))
        return self._save(train_flg, out, x)

    def backward(self, dout, need_dx=True):
        """As `cnnlib.layers.Convolution.backward`; None without `need_dx`, for a first layer."""
        (x,) = self._saved_for(dout)
        _, FN, OH, OW = dout.shape
        small = OH * OW <= SMALL_MAP
        dfilters = np.zeros((self.W[0].size + 1, FN), dout.dtype)  # (C*FH*FW + 1, FN)
        for block, col in self._columns(x, OH, OW, small):
            maps = np.ascontiguousarray(batch_last(dout[block], small))  # (g, FN, OH, OW, n)
            maps = maps.reshape(len(maps), FN, -1).transpose(0, 2, 1)  # (g, OH*OW*n, FN)
            dfilters += (col @ maps).sum(axis=0)
        self.dW, self.db = dfilters[:-1].T.reshape(self.W.shape), dfilters[-1].copy()
        return self._input_gradient(dout, x.shape, small) if need_dx else None

    def _columns(self, x, OH, OW, small):
        """Yield blocks of images and their windows in columns, (g, C*FH*FW + 1, OH*OW*n).

        A last row of ones adds the bias in a product, or adds up its gradient.
        """
        N, C, H, W = x.shape
        FH, FW = self.W.shape[2:]
        S, P, K = self.stride, self.pad, C * FH * FW
        shape, in_steps = None, S == 1 and not small  # in steps of j and i, runs are longer
        for block in in_blocks(N, (K + 1) * OH * OW * x.itemsize, small):
            images = batch_last(x[block], small)
            if images.shape != shape:  # the first block, or a smaller one at the end
                g, _, _, _, n = shape = images.shape
                source = padded = np.zeros((g, C, H + 2 * P, W + 2 * P, n), x.dtype)
                group, channel, row, column, image = padded.strides
                strides = (group, channel, row, column, S * row, S * column, image)
                if in_steps:
                    source = rows = np.empty((g, C, FW, H + 2 * P, OW, n), x.dtype)
                    group, channel, shift, row, column, image = rows.strides
                    strides = (group, channel, row, shift, row, column, image)
                windows = np.ndarray((g, C, FH, FW, OH, OW, n), x.dtype, source, strides=strides)
                col = np.empty((g, K + 1, OH * OW * n), x.dtype)
                col[:, K] = 1
            padded[:, :, P : P + H, P : P + W] = images
            for j in range(FW if in_steps else 0):
                rows[:, :, j] = padded[:, :, :, j : j + OW]
            col[:, :K].reshape(windows.shape)[...] = windows
            yield block, col

    def _input_gradient(self, dout, x_shape, small):
        """Send gradients through the filters to the images, of shape `x_shape`.

        Position (p, q) of map f sends ``dout * W[f, c, i, j]`` to pixel (p*S + i, q*S + j) of
        channel c: FH*FW shifted results of a product to add. The shift by j can be made before it,
        in FW copies of dout as wide as the image: then only FH results are left.
        """
        (N, FN, OH, OW), (_, C, FH, FW) = dout.shape, self.W.shape
        width = x_shape[3] + 2 * self.pad
        shift_first = width < 1.5 * OW  # where it pays; so the stride is 1
        copies, columns = (FW, width) if shift_first else (1, OW)
        filters = self.W.transpose(1, 2, 0, 3) if shift_first else self.W.transpose(1, 2, 3, 0)
        filters = filters.reshape(-1, FN * copies).astype(dout.dtype, copy=False)
        numbers = max(filters.shape) * OH * columns  # of an image, before or behind the product
        dx, shifted = np.empty(x_shape, dout.dtype), np.empty(0)
        for block in in_blocks(N, numbers * dout.itemsize, small):
            maps, images = batch_last(dout[block], small), batch_last(dx[block], small)
            g, *_, n = maps.shape
            if shift_first:
                if shifted.size != g * FN * FW * OH * width * n:
                    shifted = np.zeros((g, FN, FW, OH, width, n), dout.dtype)
                for j in range(FW):
                    shifted[:, :, j, :, j : j + OW] = maps
                maps = shifted
            windows = filters @ maps.reshape(g, FN * copies, -1)
            windows = windows.reshape(g, C, FH, FW // copies, OH, columns, n)
            images[...] = add_windows(windows, images.shape, self.stride, self.pad)
        return dx


class Pooling(layers.Pooling):
    """`cnnlib.layers.Pooling` without a matrix of windows.

    In memory all channels are one run of numbers, that below an element W steps ahead: a maximum of
    pieces of the run serves all windows at once. It is taken along their rows, then down.
    """

    def forward(self, x, train_flg=True):
        """As `cnnlib.layers.Pooling.forward`."""
        N, C, OH, OW = self._check(x)
        if self.mode == "average":
            return self._average(x, train_flg)
        x = np.ascontiguousarray(pad_images(x, self.pad, -np.inf))
        H, W = x.shape[2:]
        channels = x.reshape(N * C, H * W)
        offset_type = np.min_scalar_type((self.pool_h - 1) * W + self.pool_w - 1)  # mostly a byte
        out = np.empty((N * C, OH, OW), x.dtype)
        offset = np.empty(out.shape, offset_type) if train_flg else None
        for block in in_blocks(N * C, 2 * channels[0].nbytes):  # with the maxima
            run, shape = channels[block].reshape(-1), out[block].shape
            ahead = np.zeros(run.shape, offset_type) if train_flg else None
            run, ahead = largest_ahead(run, ahead, self.pool_w, 1)
            run, ahead = largest_ahead(run, ahead, self.pool_h, W)
            out[block] = self._corners(run, shape, H, W)
            if train_flg:
                offset[block] = self._corners(ahead, shape, H, W)
        return self._save(train_flg, out.reshape(N, C, OH, OW), x.shape, offset)

    def backward(self, dout):
        """As `cnnlib.layers.Pooling.backward`, but for the gradient of a window that holds NaN."""
        (N, C, H, W), offset = self._saved_for(dout)  # H and W padded
        P = self.pad
        if self.mode == "average":
            return self._average_backward(dout, H - 2 * P, W - 2 * P)
        dout = dout.reshape(offset.shape)
        dx = np.zeros((N * C, H * W), dout.dtype)
        corners = None
        for block in in_blocks(N * C, 2 * dx[0].nbytes):
            run, shape = dx[block].reshape(-1), dout[block].shape
            if corners is None:
                corners = self._corners(np.arange(run.size), shape, H, W).copy()
            winners = (corners[: shape[0]] + offset[block]).ravel()
            if self.stride < max(self.pool_h, self.pool_w):  # an element may win twice
                np.add.at(run, winners, dout[block].ravel())
            else:
                run[winners] = dout[block].ravel()
        return dx.reshape(N, C, H, W)[:, :, P : H - P, P : W - P]

    def _corners(self, run, shape, H, W):
        """Show the upper left elements of all windows, (n, OH, OW), in a run of n channels."""
        size, S = run.itemsize, self.stride
        return np.ndarray(shape, run.dtype, run, strides=(H * W * size, S * W * size, S * size))

    def _average(self, x, train_flg):
        """Take all means by two matrix products: most factors are 0, and BLAS is faster still."""
        N, C, H, W = x.shape
        down, along = self._shares(H, W, x.dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            out = down.T @ (x.reshape(-1, W) @ along).reshape(N, C, H, -1)  # (N, C, OH, OW)
        if not np.isfinite(out).all():  # infinity times 0 is NaN, in windows beside its own too
            return super().forward(x, train_flg)
        return self._save(train_flg, out, (N, C, H + 2 * self.pad, W + 2 * self.pad), None)

    def _average_backward(self, dout, H, W):
        N, C, _, OW = dout.shape
        if not np.isfinite(dout).all():
            return super().backward(dout)
        down, along = self._shares(H, W, dout.dtype)
        return ((down @ dout).reshape(-1, OW) @ along.T).reshape(N, C, H, W)

    def _shares(self, H, W, dtype):
        """Give (H, OH) and (W, OW): 1, or its share of the mean, where a window sees an element."""
        seen = []
        for length, size in ((H, self.pool_h), (W, self.pool_w)):
            start = np.arange(conv_output_size(length, size, self.stride, self.pad)) * self.stride
            inside = np.arange(length)[:, np.newaxis] + self.pad - start
            seen.append(((inside >= 0) & (inside < size)).astype(dtype))
        return seen[0] * dtype.type(1 / (self.pool_h * self.pool_w)), seen[1]


def largest_ahead(run, ahead, size, step):
    """Give the largest of each element and the size - 1 behind it, and how far ahead it lies."""
    n = len(run) - (size - 1) * step
    largest, offset = run[:n], None if ahead is None else ahead[:n]
    for k in range(step, size * step, step):
        later = run[k : k + n]
        if ahead is not None:
            won = (later > largest).view(np.uint8).astype(ahead.dtype, copy=False)  # 1 or 0
            won *= ahead[k : k + n] + ahead.dtype.type(k)
            offset = np.maximum(offset, won, out=won)  # the first of equal ones has won
        largest = np.maximum(largest, later, out=None if k == step else largest)
    return largest, offset


_lock = threading.Lock()


@contextlib.contextmanager
def one_blas_thread():
    """Let BLAS run on one thread: more gain nothing in a training step, and wait on a busy machine.

    Inside such a context, or beside one of another thread, it changes nothing.
    """
    with _lock:
        one = all(blas.num_threads == 1 for blas in _blas().lib_controllers)
        limit = contextlib.nullcontext() if one else _blas().limit(limits=1)
    with limit:
        yield


@functools.cache
def _blas():
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")


if sys.platform == "emscripten":  # in a browser there is one thread
    one_blas_thread = contextlib.nullcontext

# glibc asks the system for the memory of large arrays each time, until it has seen one of that size
# come and go (mallopt(3), M_MMAP_THRESHOLD). Here is one.
np.empty(2**25 - 2**16, np.uint8)
