"""Layers: each computes something forward, and sends a gradient backward.

All layers are used alike. ``forward(x)`` returns the output and keeps what ``backward`` will
need; ``forward(x, train_flg=False)`` is inference and keeps nothing. ``backward(dout)`` takes the
gradient of the loss by the output and returns the gradient by the input, in a new array; a layer
with parameters also sets ``dW`` and ``db``. The dtype of x is the dtype of all that follows.
What a layer keeps are the arrays themselves, not copies: leave x and the output as they are until
``backward`` is done.

In reading order: Convolution and Pooling (sections 7.2 to 7.4), Affine, Relu and Sigmoid
(chapter 5), Dropout and LocalResponseNormalization (section 7.7), SoftmaxWithLoss (the end).
"""

import numpy as np

from cnnlib.memory import keep_freed_memory
from cnnlib.windows import (
    add_windows,
    check_images,
    conv_output_size,
    pad_images,
    sliding_windows,
    whole_number,
)

CACHE = 2**19  # bytes that fit into a processor's second-level cache with room to spare
SMALL = 200  # places; Convolution takes images with smaller feature maps in packs, side by side
PACK = 2**21  # bytes of windows in a pack: more than CACHE, for its gain is in the long runs

keep_freed_memory()  # so that each array below need not be fetched from the system page by page


def _groups(N, bytes_per_image, limit=CACHE):
    """Yield slices of a few images each, so few that their numbers fit into the cache."""
    n = max(1, limit // bytes_per_image)
    for start in range(0, N, n):
        yield slice(start, min(start + n, N))


def _packs(images, small):
    """Show m images (m, C, H, W) as g packs of n, (g, C, H, W, n), without a copy.

    Large images make m packs of one. Small ones make one pack of m: laid out like that in memory,
    the same element of all images stands side by side, and a line of windows, ten numbers in one
    image, is a run of several hundred. Copies, sums and products are far faster on long runs.
    """
    return images.transpose(1, 2, 3, 0)[np.newaxis] if small else images[..., np.newaxis]


class Layer:
    """What all layers share: a memory from forward to backward, and a shape rule."""

    _kept = None

    def output_shape(self, input_shape):
        """Give the shape of one sample after this layer, from its shape before.

        Parameters
        ----------
        input_shape : tuple of int
            Shape of one input sample, without N: (C, H, W) or (D,).

        Returns
        -------
        tuple of int
            Shape of one output sample; most layers leave it as it is.
        """
        return tuple(input_shape)

    def _keep(self, train_flg, out, *arrays):
        """Keep `arrays` for backward while training; forget everything otherwise."""
        self._kept = (out.shape, arrays) if train_flg else None
        return out

    def _recall(self, dout):
        """Return the arrays kept by forward, after a look at the shape of `dout`."""
        if self._kept is None:
            raise RuntimeError(
                f"{type(self).__name__}.backward has nothing to go back through: "
                "call forward(x) with train_flg=True first"
            )
        out_shape, arrays = self._kept
        if np.shape(dout) != out_shape:
            raise ValueError(
                f"{type(self).__name__}.backward got dout of shape {np.shape(dout)}, "
                f"but forward gave an output of shape {out_shape}"
            )
        return arrays


class Convolution(Layer):
    """Slide FN filters over the images: one matrix product per image, or per pack of small ones.

    ::

        out[n, f, p, q] = b[f] + sum over c, i, j of  x[n, c, p*S + i, q*S + j] * W[f, c, i, j]

    The book writes ``im2col(x) @ W.reshape(FN, -1).T`` and then moves the channels back to the
    front. Here the windows stand in columns instead of rows; the product then comes out as
    (FN, OH*OW), channels first already, and no number has to be moved again. Only where OH*OW is
    small are n images taken side by side, as (FN, OH*OW*n): a few large products beat many tiny.

    Parameters
    ----------
    W : ndarray, shape (FN, C, FH, FW)
        Filters. Shared with the network, and updated in place by the optimiser.
    b : ndarray, shape (FN,)
        One bias per filter, added at every place of its feature map.
    stride : int, default 1
        Step S between windows.
    pad : int, default 0
        Zero padding P on every side.

    Attributes
    ----------
    dW, db : ndarray
        Gradients of the loss, set by `backward`; shapes as W and b.

    Raises
    ------
    ValueError
        If the shapes of W and b do not go together, or stride or pad are not possible.

    Notes
    -----
    Book sections 7.2 and 7.4.3. The loops behind it: `cnnlib.naive.convolve`.
    """

    def __init__(self, W, b, stride=1, pad=0):
        if np.ndim(W) != 4 or np.shape(b) != (len(W),):
            raise ValueError(
                "filters W must have shape (FN, C, FH, FW) and the bias b shape (FN,), "
                f"got W {np.shape(W)} and b {np.shape(b)}"
            )
        self.W, self.b = W, b
        self.stride = whole_number("stride", stride)
        self.pad = whole_number("pad", pad, least=0)
        self.dW = self.db = None

    def output_shape(self, input_shape):
        """Give (FN, OH, OW) for one image (C, H, W), by formula (7.1)."""
        FN, C, FH, FW = self.W.shape
        channels, H, W = input_shape
        if channels != C:
            raise ValueError(
                f"the images have C = {channels} channels, the filters W {self.W.shape} have {C}: "
                "an image and a filter must have the same number of channels"
            )
        OH = conv_output_size(H, FH, self.stride, self.pad)
        OW = conv_output_size(W, FW, self.stride, self.pad)
        return FN, OH, OW

    def forward(self, x, train_flg=True):
        """Compute the feature maps.

        Parameters
        ----------
        x : ndarray, shape (N, C, H, W)
            Images, floating point.
        train_flg : bool, default True
            Keep what `backward` needs.

        Returns
        -------
        ndarray, shape (N, FN, OH, OW)
            Feature maps, in the dtype of x.

        Raises
        ------
        ValueError
            If x is not a 4-D batch of floating-point images, if its channels are not the
            filters', or if a filter does not fit.
        """
        N, *image_shape = check_float_images(x)
        FN, OH, OW = self.output_shape(image_shape)
        small = OH * OW <= SMALL
        filters = np.column_stack([self.W.reshape(FN, -1), self.b])  # (FN, C*FH*FW + 1)
        filters = filters.astype(x.dtype, copy=False)
        out = np.empty((N, FN, OH, OW), x.dtype)
        for some, col in self._columns(x, small):  # (g, C*FH*FW + 1, OH*OW*n)
            if small:  # out of the pack again
                maps = _packs(out[some], small)  # (1, FN, OH, OW, n)
                maps[...] = (filters @ col).reshape(maps.shape)
            else:  # straight to where it belongs
                np.matmul(filters, col, out=out[some].reshape(-1, FN, OH * OW))
        return self._keep(train_flg, out, x)

    def backward(self, dout, need_dx=True):
        """Send the gradient to the filters, the bias and the images.

        Parameters
        ----------
        dout : ndarray, shape (N, FN, OH, OW)
            Gradient of the loss by the output.
        need_dx : bool, default True
            The first layer of a network can save itself dx: nobody is behind it to read it.

        Returns
        -------
        ndarray, shape (N, C, H, W), or None
            Gradient of the loss by x.
        """
        (x,) = self._recall(dout)
        _, FN, OH, OW = dout.shape
        small = OH * OW <= SMALL
        dfilters = np.zeros((self.W[0].size + 1, FN), dout.dtype)  # (C*FH*FW + 1, FN)
        for some, col in self._columns(x, small):
            packs = np.ascontiguousarray(_packs(dout[some], small))  # (g, FN, OH, OW, n)
            packs = packs.reshape(len(packs), FN, -1).transpose(0, 2, 1)  # (g, OH*OW*n, FN)
            dfilters += (col @ packs).sum(axis=0)
        self.dW = dfilters[:-1].T.reshape(self.W.shape)
        self.db = dfilters[-1].copy()  # the bias went to every place: all its gradients add up
        if not need_dx:
            return None
        with np.errstate():  # afterwards the size of NumPy's buffer is what it was
            if self.stride == 1:  # the runs are long: they need no copy in the buffer
                np.setbufsize(16)
            return (self._send_back_packs if small else self._send_back)(dout, x.shape)

    def _send_back(self, dout, x_shape):
        """Send gradients (N, FN, OH, OW) through the filters to the images, (N, C, H, W).

        Place (p, q) of map f sends ``dout * W[f, c, i, j]`` to place (p*S + i, q*S + j) of channel
        c. The step to the right, by j, is taken before the matrix product, in FW copies of dout;
        the step down, by i, after it, where FH results are added up. `add_windows` takes both
        after the product, and has FH*FW results to add.
        """
        N, FN, OH, OW = dout.shape
        _, C, FH, FW = self.W.shape
        _, _, H, W = x_shape
        S, P, line = self.stride, self.pad, W + 2 * self.pad
        filters = self.W.transpose(2, 1, 0, 3).reshape(FH * C, FN * FW)
        filters = filters.astype(dout.dtype, copy=False)
        dx = np.empty(x_shape, dout.dtype)
        copies = np.zeros(0)
        for some in _groups(N, FN * FW * OH * line * dout.itemsize):
            g = len(dout[some])
            if len(copies) != g:  # the first group, or a smaller one at the end
                copies = np.zeros((g, FN, FW, OH, line), dout.dtype)
                lines = np.empty((g, FH, C, OH, line), dout.dtype)
                dimages = np.empty((g, C, H + 2 * P, line), dout.dtype)
            for j in range(FW):  # what lies between and beside these places stays zero
                copies[:, :, j, :, j : j + S * OW : S] = dout[some]
            np.matmul(filters, copies.reshape(g, FN * FW, -1), out=lines.reshape(g, FH * C, -1))
            dimages[...] = 0
            for i in range(FH):
                dimages[:, :, i : i + S * OH : S] += lines[:, i]
            dx[some] = dimages[:, :, P : P + H, P : P + W]
        return dx

    def _send_back_packs(self, dout, x_shape):
        """Do the same for small maps: in packs runs are long, so both steps come after the product.

        That takes fewer multiplications: before it, each step to the right widens the lines.
        """
        N, FN, OH, OW = dout.shape
        _, C, FH, FW = self.W.shape
        filters = self.W.reshape(FN, -1).T.astype(dout.dtype, copy=False)  # (C*FH*FW, FN)
        dx = np.empty(x_shape, dout.dtype)
        for some in _groups(N, len(filters) * OH * OW * dout.itemsize, PACK):
            packs, dpacks = _packs(dout[some], True), _packs(dx[some], True)  # (1, ..., n)
            dwindows = filters @ packs.reshape(FN, -1)  # (C*FH*FW, OH*OW*n)
            dwindows = dwindows.reshape(1, C, FH, FW, OH, OW, -1)
            dpacks[...] = add_windows(dwindows, dpacks.shape, self.stride, self.pad)
        return dx

    def _columns(self, x, small):
        """Lay out the windows of a few images at a time, one window per column.

        Their matrix is small enough for the processor's cache, and the next few images are laid
        out over it. Under each window stands a 1: the product multiplies it with the bias.

        With stride 1 the windows of a large image are laid out in two steps: one to the right, by
        j, in FW copies of all lines, cut to OW; and one down, by i, for which OH lines of such a
        copy lie one behind the other, in one run. Else, or where these copies would leave the
        cache, the windows are copied straight from the image.
        """
        N, C, H, W = x.shape
        _, OH, OW = self.output_shape((C, H, W))
        _, _, FH, FW = self.W.shape
        S, P, K = self.stride, self.pad, C * FH * FW
        H, W = H + 2 * P, W + 2 * P
        in_steps = S == 1 and not small and C * FW * H * OW * x.itemsize <= PACK
        col = np.zeros(0)
        for some in _groups(N, (K + 1) * OH * OW * x.itemsize, PACK if small else CACHE):
            packs = _packs(x[some], small)  # (g, C, H, W, n)
            g, *_, n = packs.shape
            places = OH * OW * n
            if col.shape != (g, K + 1, places):  # the first group, or a smaller one at the end
                images = lines = np.zeros((g, C, H, W, n), x.dtype)
                pack, channel, row, column, image = images.strides
                step = column
                if in_steps:
                    lines = np.empty((g, C, FW, H, OW, n), x.dtype)
                    pack, channel, step, row, column, image = lines.strides
                windows = np.ndarray(
                    (g, C, FH, FW, OH, OW, n),
                    x.dtype,
                    lines,
                    strides=(pack, channel, row, step, S * row, S * column, image),
                )
                # Rows that begin 4096 bytes apart would push each other out of the cache.
                width = places + 16 * (places * x.itemsize % 4096 == 0)
                col = np.empty((g, K + 1, width), x.dtype)[:, :, :places]
                col[:, K] = 1
            images[:, :, P : H - P, P : W - P] = packs
            if in_steps:
                for j in range(FW):
                    lines[:, :, j] = images[:, :, :, j : j + OW]
            col[:, :K].reshape(windows.shape)[...] = windows
            yield some, col


class Pooling(Layer):
    """Shrink each channel: of every window, keep the largest number or the mean.

    Nothing is learned, and channels do not mix.

    Parameters
    ----------
    pool_h, pool_w : int
        Window height and width.
    stride : int, default 2
        Step S between windows.
    pad : int, default 0
        Padding P on every side, smaller than the window. It is -inf for the maximum, which picks
        it from no window with a finite number, and 0 for the mean, where it counts: the divisor is
        always pool_h*pool_w.
    mode : {"max", "average"}, default "max"
        Which of the two.

    Raises
    ------
    ValueError
        If a number is not possible, if the padding is not smaller than the window (a window would
        see nothing else), or if `mode` is another word.

    Notes
    -----
    Book sections 7.3 and 7.4.4. The loops behind it: `cnnlib.naive.max_pool`, `average_pool`.
    """

    def __init__(self, pool_h, pool_w, stride=2, pad=0, mode="max"):
        self.pool_h = whole_number("pool_h", pool_h)
        self.pool_w = whole_number("pool_w", pool_w)
        self.stride = whole_number("stride", stride)
        self.pad = whole_number("pad", pad, least=0)
        if pad >= min(pool_h, pool_w):
            raise ValueError(
                f"pad {pad} must be smaller than the pooling window {pool_h} x {pool_w}: "
                "a window in the corner would see nothing but padding"
            )
        if mode not in ("max", "average"):
            raise ValueError(f"mode must be 'max' or 'average', got {mode!r}")
        self.mode = mode

    def output_shape(self, input_shape):
        """Give (C, OH, OW) for one image (C, H, W), by formula (7.1)."""
        C, H, W = input_shape
        OH = conv_output_size(H, self.pool_h, self.stride, self.pad)
        OW = conv_output_size(W, self.pool_w, self.stride, self.pad)
        return C, OH, OW

    def forward(self, x, train_flg=True):
        """Pool every channel.

        Parameters
        ----------
        x : ndarray, shape (N, C, H, W)
            Feature maps, floating point.
        train_flg : bool, default True
            Keep what `backward` needs.

        Returns
        -------
        ndarray, shape (N, C, OH, OW)
            Pooled maps, in the dtype of x.

        Raises
        ------
        ValueError
            If x is not a 4-D batch of floating-point images, or if a window does not fit.
        """
        N, *image_shape = check_float_images(x)
        C, OH, OW = self.output_shape(image_shape)
        if self.mode == "average":
            return self._keep(train_flg, self._mean(x), x.shape)
        padded = pad_images(x, self.pad, -np.inf)
        _, _, H, W = padded.shape
        channels = np.ascontiguousarray(padded).reshape(N * C, H * W)
        out = np.empty((N * C, OH, OW), x.dtype)
        ahead = kind = None
        if train_flg:  # for each maximum, how far its place is ahead: most often in a single byte
            kind = np.min_scalar_type((self.pool_h - 1) * W + self.pool_w - 1)
            ahead = np.empty(out.shape, kind)
        for some in _groups(N * C, channels[0].nbytes):
            run, steps, shape = channels[some].reshape(-1), None, out[some].shape
            for size, step in ((self.pool_w, 1), (self.pool_h, W)):  # along lines, then across
                run, steps = self._maxima(run, steps, size, step, kind)
            out[some] = self._first_places(run, shape, H, W)
            if train_flg:  # in a window of 1 x 1 nothing is ahead
                ahead[some] = 0 if steps is None else self._first_places(steps, shape, H, W)
        return self._keep(train_flg, out.reshape(N, C, OH, OW), padded.shape, ahead)

    def backward(self, dout):
        """Send each gradient to where the maximum came from, or an equal share to every place.

        Parameters
        ----------
        dout : ndarray, shape (N, C, OH, OW)
            Gradient of the loss by the output.

        Returns
        -------
        ndarray, shape (N, C, H, W)
            Gradient of the loss by x. Where several places tie for a maximum, the first one, read
            line by line, receives all of it. Where it goes in a window with nan, or with nothing
            but -inf, is not defined.
        """
        if self.mode == "average":
            (x_shape,) = self._recall(dout)
            return self._spread(dout, x_shape)
        padded_shape, ahead = self._recall(dout)
        N, C, H, W = padded_shape
        dout = dout.reshape(N * C, *dout.shape[2:])
        dchannels = np.empty((N * C, H * W), dout.dtype)
        first = None
        for some in _groups(N * C, dchannels[0].nbytes):
            drun, shape = dchannels[some].reshape(-1), dout[some].shape
            if first is None:
                first = self._first_places(np.arange(len(drun)), shape, H, W).copy()
            winners = first[: len(ahead[some])] + ahead[some]
            drun[...] = 0
            np.add.at(drun, winners.reshape(-1), dout[some].reshape(-1))
        dpadded = dchannels.reshape(padded_shape)
        return dpadded[:, :, self.pad : H - self.pad, self.pad : W - self.pad]

    def _maxima(self, run, ahead, size, step, kind):
        """Take the maximum of `size` numbers of a run, `step` apart, from each place on.

        In memory the channels are one long run of numbers: the right neighbour of a number is one
        step ahead, the one below W steps. So one operation on two long pieces of the run serves all
        windows, those between the strides included: NumPy is so much faster at long pieces than at
        picking numbers that this pays. A window across the end of a line means nothing, and nobody
        asks for it.

        `ahead` tells how many steps lie between a place and what stands for it so far; None: each
        stands for itself. A place further ahead takes over only with a larger number: of equal ones
        the first one wins. With None for `kind`, its dtype, nobody counts.
        """
        n = len(run) - (size - 1) * step
        out, out_ahead = run[:n], None if ahead is None else ahead[:n]
        for k in range(step, size * step, step):
            place = run[k : k + n]
            if kind is not None:
                won = (place > out).view(np.uint8).astype(kind, copy=False)  # 1 or 0
                won *= kind.type(k) if ahead is None else ahead[k : k + n] + kind.type(k)
                # A later winner is further ahead: the largest count of steps is the last one's.
                out_ahead = won if out_ahead is None else np.maximum(out_ahead, won, out=won)
            out = np.maximum(out, place, out=None if k == step else out)  # the run stays as it is
        return out, out_ahead

    def _first_places(self, run, shape, H, W):
        """Show the upper left places of all windows, (n, OH, OW), in a run of n channels."""
        size, S = run.itemsize, self.stride
        return np.ndarray(shape, run.dtype, run, strides=(H * W * size, S * W * size, S * size))

    def _mean(self, x):
        """Take the mean of all windows with two matrix products: along the lines, then across.

        Column q of `along` has ones where window q sees a place of the line, so a line times
        `along` gives the sums of its windows. Most of the factors are 0: of a line of 24, windows
        of 2 see one place in 12. For maps up to a hundred places wide it pays all the same: BLAS
        multiplies far faster than NumPy picks numbers.
        """
        N, C, H, W = x.shape
        across, along = self._shares(H, W, x.dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            sums = x.reshape(-1, W) @ along  # (N*C*H, OW)
            out = across.T @ sums.reshape(N, C, H, -1)  # (N, C, OH, OW)
        if not np.isfinite(out).all():  # infinity times 0 is nan, in windows beside its own too
            windows = sliding_windows(x, self.pool_h, self.pool_w, self.stride, self.pad)
            with np.errstate(invalid="ignore"):
                out = windows.mean(axis=(2, 3))
        return out.astype(x.dtype, copy=False)

    def _spread(self, dout, x_shape):
        """Send each gradient, shared out evenly, to all places of its window: the adjoint."""
        N, C, H, W = x_shape
        if not np.isfinite(dout).all():  # as in `_mean`
            shares = dout[:, :, np.newaxis, np.newaxis] / (self.pool_h * self.pool_w)
            shape = (N, C, self.pool_h, self.pool_w, *dout.shape[2:])
            return add_windows(np.broadcast_to(shares, shape), x_shape, self.stride, self.pad)
        across, along = self._shares(H, W, dout.dtype)
        lines = across @ dout  # (N, C, H, OW)
        dx = lines.reshape(N * C * H, -1) @ along.T  # (N*C*H, W)
        return dx.reshape(x_shape).astype(dout.dtype, copy=False)

    def _shares(self, H, W, dtype):
        """Give what `_mean` multiplies with: across, (H, OH), with the divisor, and along, (W, OW).

        Element (y, p) is 0 where window p does not see place y.
        """
        seen = []
        for length, size in ((H, self.pool_h), (W, self.pool_w)):
            first = np.arange(conv_output_size(length, size, self.stride, self.pad)) * self.stride
            ahead = np.arange(length)[:, np.newaxis] + self.pad - first
            seen.append(((ahead >= 0) & (ahead < size)).astype(dtype))
        return seen[0] * dtype.type(1 / (self.pool_h * self.pool_w)), seen[1]


class Affine(Layer):
    """Connect every input with every output: ``out = x @ W + b``.

    A sample of any shape is flattened first: this is where the shape of an image is lost.

    Parameters
    ----------
    W : ndarray, shape (D, M)
        Weights, D inputs to M outputs. Shared, and updated in place by the optimiser.
    b : ndarray, shape (M,)
        Biases.

    Attributes
    ----------
    dW, db : ndarray
        Gradients of the loss, set by `backward`; shapes as W and b.

    Raises
    ------
    ValueError
        If the shapes of W and b do not go together.

    Notes
    -----
    Book section 5.6; the "fully connected layer" of section 7.2.1.
    """

    def __init__(self, W, b):
        if np.ndim(W) != 2 or np.shape(b) != np.shape(W)[1:]:
            raise ValueError(
                "weights W must have shape (D, M) and the bias b shape (M,), "
                f"got W {np.shape(W)} and b {np.shape(b)}"
            )
        self.W, self.b = W, b
        self.dW = self.db = None

    def output_shape(self, input_shape):
        """Give (M,), whatever the shape of the sample, as long as it has D elements."""
        D, M = self.W.shape
        if int(np.prod(input_shape)) != D:
            raise ValueError(
                f"a sample of shape {tuple(input_shape)} has {int(np.prod(input_shape))} elements, "
                f"but W {self.W.shape} takes D = {D}"
            )
        return (M,)

    def forward(self, x, train_flg=True):
        """Flatten, multiply, add.

        Parameters
        ----------
        x : ndarray, shape (N, ...)
            Samples with D elements each, floating point.
        train_flg : bool, default True
            Keep what `backward` needs.

        Returns
        -------
        ndarray, shape (N, M)
            In the dtype of x.

        Raises
        ------
        ValueError
            If a sample does not have D elements, if there is none, or if x is not floating point.
        """
        check_float(x)
        if len(x) == 0:
            raise ValueError(f"the batch is empty: x has shape {x.shape}")
        self.output_shape(x.shape[1:])
        flat = x.reshape(len(x), -1)  # (N, D)
        out = flat @ self.W.astype(x.dtype, copy=False)  # (N, M)
        out += self.b.astype(x.dtype, copy=False)
        return self._keep(train_flg, out, x.shape, flat)

    def backward(self, dout, need_dx=True):
        """Send the gradient to the weights, the bias and the input.

        Parameters
        ----------
        dout : ndarray, shape (N, M)
            Gradient of the loss by the output.
        need_dx : bool, default True
            As for `Convolution.backward`.

        Returns
        -------
        ndarray, shape (N, ...), or None
            Gradient of the loss by x, in the shape x had.
        """
        x_shape, flat = self._recall(dout)
        self.db = dout.sum(axis=0)  # (M,)
        self.dW = flat.T @ dout  # (D, M)
        if not need_dx:
            return None
        return (dout @ self.W.T.astype(dout.dtype, copy=False)).reshape(x_shape)


class Relu(Layer):
    """Let positive numbers pass and set the others to zero: ``out = max(x, 0)``.

    Notes
    -----
    Book section 5.5.1. The gradient passes where x > 0; at 0 it is taken as 0.
    """

    def forward(self, x, train_flg=True):
        """Compute max(x, 0), element by element, for x of any shape."""
        zeros = np.zeros(x.shape[1:], x.dtype)  # against an array, np.maximum is twice as fast
        return self._keep(train_flg, np.maximum(x, zeros), x > 0 if train_flg else None)

    def backward(self, dout):
        """Return `dout` where x was positive, and 0 elsewhere."""
        (positive,) = self._recall(dout)
        dx = positive.astype(dout.dtype)  # 1 or 0; NumPy multiplies equal dtypes faster
        dx *= dout
        return dx


class Sigmoid(Layer):
    """Squash every number into (0, 1): ``out = 1 / (1 + exp(-x))``.

    Notes
    -----
    Book section 5.5.2. The gradient is ``out * (1 - out)``, at most 1/4: through many layers it
    fades, which is why ReLU took over (section 7.7).
    """

    def forward(self, x, train_flg=True):
        """Compute the sigmoid, element by element, for x of any shape."""
        check_float(x)
        with np.errstate(over="ignore"):  # exp(-x) = infinity is no harm: 1 / infinity = 0
            out = np.exp(-x)
        out += 1
        np.divide(1, out, out=out)
        return self._keep(train_flg, out, out)

    def backward(self, dout):
        """Return ``dout * out * (1 - out)``."""
        (out,) = self._recall(dout)
        dx = dout * out
        dx *= 1 - out
        return dx


class Dropout(Layer):
    """Silence a random part of the neurons in every training step.

    While training, each element is kept with probability ``1 - dropout_ratio`` and set to zero
    otherwise. For inference nothing is dropped and everything is multiplied by
    ``1 - dropout_ratio``, so that the sums keep the size they were trained with.

    Parameters
    ----------
    dropout_ratio : float, default 0.5
        Probability of being dropped, 0 <= dropout_ratio < 1.
    rng : numpy.random.Generator, optional
        Where the random numbers come from.

    Raises
    ------
    ValueError
        If `dropout_ratio` is not in [0, 1).

    Notes
    -----
    Book section 6.4.3; Srivastava et al., Journal of Machine Learning Research 15 (2014). Newer
    libraries scale while training instead ("inverted dropout"); the expected output is the same
    up to the factor ``1 - dropout_ratio``.
    """

    def __init__(self, dropout_ratio=0.5, rng=None):
        if not 0 <= dropout_ratio < 1:
            raise ValueError(f"dropout_ratio must be in [0, 1), got {dropout_ratio}")
        self.dropout_ratio = float(dropout_ratio)
        self.rng = np.random.default_rng() if rng is None else rng

    def forward(self, x, train_flg=True):
        """Drop elements of x at random while training; scale x by 1 - dropout_ratio otherwise."""
        if not train_flg:
            return self._keep(False, x * (1 - self.dropout_ratio))
        kept = self.rng.random(x.shape, dtype=np.float32) >= self.dropout_ratio
        return self._keep(True, x * kept, kept)

    def backward(self, dout):
        """Return `dout` where x was kept, and 0 where it was dropped."""
        (kept,) = self._recall(dout)
        return dout * kept


class LocalResponseNormalization(Layer):
    """Divide each response by the strength of its neighbours in the channel direction.

    ::

        out[c] = x[c] / scale[c]**beta,    scale[c] = k + alpha * sum of x[d]**2, |d - c| <= n // 2

    at every image and place separately: a strong response quietens the neighbouring channels at
    the same place.

    Parameters
    ----------
    n : int, default 5
        Number of neighbouring channels in the sum, odd; fewer at the two ends.
    k, alpha, beta : float, default 2, 1e-4, 0.75
        Constants of the formula; the defaults are AlexNet's.

    Raises
    ------
    ValueError
        If n is not a positive odd number, or k is not positive.

    Notes
    -----
    Book section 7.7; Krizhevsky, Sutskever and Hinton, "ImageNet Classification with Deep
    Convolutional Neural Networks" (2012), section 3.3. PyTorch divides alpha by n.
    """

    def __init__(self, n=5, k=2.0, alpha=1e-4, beta=0.75):
        n = whole_number("n", n)
        if n % 2 == 0:
            raise ValueError(f"n must be odd, so that the channel itself is the middle; got {n}")
        if k <= 0:
            raise ValueError(f"k must be positive, so that nothing is divided by zero; got {k}")
        self.n, self.k, self.alpha, self.beta = n, float(k), float(alpha), float(beta)

    def forward(self, x, train_flg=True):
        """Normalise x, shape (N, C, H, W), across its channels."""
        check_float_images(x)
        scale = self.k + self.alpha * self._sum_neighbours(x**2)  # (N, C, H, W)
        return self._keep(train_flg, x * scale**-self.beta, x, scale)

    def backward(self, dout):
        """Return dx: what x[c] does through its own numerator, and through every scale it is in.

        ::

            dx = dout * scale**-beta - 2*alpha*beta * x * sum of  dout*x * scale**(-beta - 1)

        summed over the same neighbours.
        """
        x, scale = self._recall(dout)
        own = dout * scale**-self.beta
        shared = self._sum_neighbours(own * x / scale)
        return own - (2 * self.alpha * self.beta) * x * shared

    def _sum_neighbours(self, a):
        """Add up, for each channel, the n channels around it; a has shape (N, C, H, W)."""
        total = a.copy()
        for distance in range(1, min(self.n // 2, a.shape[1] - 1) + 1):
            total[:, distance:] += a[:, :-distance]
            total[:, :-distance] += a[:, distance:]
        return total


class SoftmaxWithLoss(Layer):
    """Turn scores into probabilities, and measure how surprised they are by the right answer.

    ::

        y[n, k] = exp(x[n, k]) / sum over j of exp(x[n, j])
        loss    = - mean over n of  log y[n, t[n]]

    Attributes
    ----------
    y : ndarray, shape (N, K)
        Probabilities of the last training forward pass.
    t : ndarray of int, shape (N,)
        Its labels as class numbers.
    loss : float
        The last loss, in nats.

    Notes
    -----
    Book section 5.6.3. The largest score is subtracted first and the logarithm is taken of the
    sum, not of y: so neither large nor hopeless scores overflow or become log(0).
    """

    def __init__(self):
        self.loss = self.y = self.t = None

    def forward(self, x, t, train_flg=True):
        """Compute the mean loss of a batch.

        Parameters
        ----------
        x : ndarray, shape (N, K)
            Scores of the K classes.
        t : ndarray, shape (N,) or (N, K)
            Labels, as class numbers 0..K-1 or one-hot.
        train_flg : bool, default True
            Keep what `backward` needs.

        Returns
        -------
        float
            Mean of -log(probability of the right class).

        Raises
        ------
        ValueError
            If the labels do not fit the scores: `class_indices` says what may be wrong.
        """
        check_float(x)
        if x.ndim != 2 or 0 in x.shape:
            raise ValueError(f"scores must have shape (N, K) with N, K >= 1, got {x.shape}")
        t = class_indices(t, *x.shape)
        x = x - x.max(axis=1, keepdims=True)
        exp_x = np.exp(x)
        sum_exp = exp_x.sum(axis=1, keepdims=True)
        log_y = x[np.arange(len(x)), t] - np.log(sum_exp[:, 0])  # (N,)
        self.loss = -float(log_y.mean())
        self.y, self.t = (exp_x / sum_exp, t.copy()) if train_flg else (None, None)
        return self.loss

    def backward(self, dout=1):
        """Return ``(y - one_hot(t)) * dout / N``, shape (N, K): the famous difference."""
        if self.y is None:
            raise RuntimeError("SoftmaxWithLoss.backward needs forward(x, t) first")
        dx = self.y.copy()
        dx[np.arange(len(dx)), self.t] -= 1
        dx *= dout / len(dx)
        return dx


def class_indices(t, N, K):
    """Return labels as class numbers, from class numbers or one-hot rows, after checking them.

    Parameters
    ----------
    t : array_like, shape (N,) of int, or (N, K)
        Class numbers 0..K-1, or rows with a single 1 and zeros.
    N, K : int
        Number of samples and of classes.

    Returns
    -------
    ndarray of int, shape (N,)

    Raises
    ------
    ValueError
        For any other shape (also (N, 1), which NumPy would broadcast without a word), for labels
        out of range or not whole, and for rows that are not one-hot.
    """
    t = np.asarray(t)
    if t.shape == (N, K):
        if not ((t == 0) | (t == 1)).all() or not (t.sum(axis=1) == 1).all():
            raise ValueError(f"labels of shape (N, K) = {t.shape} must be one-hot rows")
        return t.argmax(axis=1)
    if t.shape != (N,):
        raise ValueError(
            f"labels must have shape (N,) = ({N},) or, one-hot, (N, K) = ({N}, {K}); got {t.shape}"
        )
    if not np.issubdtype(t.dtype, np.integer):
        raise ValueError(f"class numbers must be integers, got dtype {t.dtype}")
    if t.min() < 0 or t.max() >= K:
        raise ValueError(f"class numbers must be 0..{K - 1}, got {t.min()}..{t.max()}")
    return t


def check_float(x):
    """Raise ValueError unless x is a floating-point array."""
    if not np.issubdtype(getattr(x, "dtype", type(x)), np.floating):
        raise ValueError(
            f"x must be a floating-point array, got {getattr(x, 'dtype', type(x).__name__)}; "
            "for pixels use x.astype(np.float32) / 255"
        )


def check_float_images(x):
    """Return the shape (N, C, H, W) of a floating-point array, or raise ValueError."""
    check_float(x)
    return check_images(x)
