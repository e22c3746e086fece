"""Layers as chapter 7 derives them: each computes something forward and sends a gradient backward.

``forward(x)`` returns the output and saves what ``backward`` will need; ``forward(x,
train_flg=False)`` is inference and saves nothing. ``backward(dout)`` takes the gradient of the loss
with respect to the output and returns that with respect to the input, in a new array; a layer with
parameters also sets ``dW`` and ``db``. Numbers have the dtype of x. What is saved are the arrays
themselves, not copies: leave x, the output and the parameters as they are until then. Letters::

    x    (N, C, H, W)      N images of C channels, H rows and W columns
    W    (FN, C, FH, FW)   FN filters of as many channels
    out  (N, FN, OH, OW)   FN feature maps for each image; OH = (H + 2*P - FH) // S + 1, OW alike
    col                    a window in each row
    S, P                   stride and padding; n, c, p, q count images, channels, rows, columns of
                           out, f filters, and i, j rows and columns of a window
    dx, dW, dcol           gradients of the loss with respect to x, W, col, and shaped alike

In reading order: Convolution and Pooling (sections 7.2 to 7.4 of the book, Saitoh's "Deep Learning
from Scratch"), Affine, Relu and Sigmoid (chapter 5), Dropout (section 6.4), SoftmaxWithLoss (the
end). ``cnnlib.fast`` has faster twins of the first two; nothing in here needs them.
"""

import math

import numpy as np

from cnnlib.windows import (
    check_float,
    check_image_shape,
    check_parameters,
    check_pooling,
    col2im,
    feature_maps_shape,
    im2col,
    pad_images,
    pooled_shape,
    whole_number,
)


class Layer:
    """What all layers share: checks, and what is saved for backward.

    Enough at first reading: `_check` returns the shape of the output; `_save` saves arrays and
    returns `out`; `_saved_for` gives the arrays back.
    """

    takes_images = False  # True where a batch must be (N, C, H, W)
    _saved = None

    def output_shape(self, input_shape):
        """Return the shape of one sample after this layer, from its shape before; N is left out."""
        return tuple(input_shape)

    def _check(self, x):
        """Return the shape of the output for a batch x; raise ValueError where x does not fit."""
        check_float(x)
        if self.takes_images:
            check_image_shape(x.shape)
        return len(x), *self.output_shape(x.shape[1:])

    def _parameters(self, dtype):
        """Return W and b in the dtype of the data."""
        return self.W.astype(dtype, copy=False), self.b.astype(dtype, copy=False)

    def _save(self, train_flg, out, *arrays):
        """Save arrays for backward while training, forget them in inference; return `out`."""
        self._saved = (out.shape, arrays) if train_flg else None
        return out

    def _saved_for(self, dout):
        """Return what forward saved; raise where there is nothing, or where `dout` does not fit."""
        name = type(self).__name__
        if self._saved is None:
            raise RuntimeError(
                f"{name}.backward has nothing to go back through: "
                "call forward(x) with train_flg=True first"
            )
        out_shape, arrays = self._saved
        if np.shape(dout) != out_shape:
            raise ValueError(
                f"{name}.backward got dout of shape {np.shape(dout)}, "
                f"but forward gave an output of shape {out_shape}"
            )
        check_float(dout, "dout")
        return arrays


class Convolution(Layer):
    """Slide FN filters over the images: one matrix product by im2col.

        out[n, f, p, q] = b[f] + sum over c, i, j of  x[n, c, p*S + i, q*S + j] * W[f, c, i, j]

    with x padded. (Mathematics calls this cross-correlation: the filter is not flipped.)

    Parameters
    ----------
    W : ndarray, shape (FN, C, FH, FW)
        Filters. Shared with the network, and updated in place by the optimizer.
    b : ndarray, shape (FN,)
        One bias per filter, added at every position of its feature map.
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

    takes_images = True

    def __init__(self, W, b, stride=1, pad=0):
        self.W, self.b = check_parameters(W, b, "(FN, C, FH, FW)", bias_axis=0)
        self.stride = whole_number("stride", stride)
        self.pad = whole_number("pad", pad, least=0)
        self.dW = self.db = None

    def output_shape(self, input_shape):
        """Return (FN, OH, OW) for one image (C, H, W), by formula (7.1)."""
        return feature_maps_shape(input_shape, self.W.shape, self.stride, self.pad)

    def forward(self, x, train_flg=True):
        """Compute the feature maps.

        Parameters
        ----------
        x : ndarray, shape (N, C, H, W)
            Images, floating point.
        train_flg : bool, default True
            Save what `backward` needs.

        Returns
        -------
        ndarray, shape (N, FN, OH, OW)
            Feature maps, in the dtype of x.

        Raises
        ------
        ValueError
            If x is not 4-D and floating point, has other channels than the filters, or is smaller.
        """
        N, FN, OH, OW = self._check(x)
        W, b = self._parameters(x.dtype)
        FH, FW = W.shape[2:]
        # A row for each window, in the order n, p, q; its elements in the order c, i, j.
        col = im2col(x, FH, FW, self.stride, self.pad)  # (N*OH*OW, C*FH*FW)
        col_W = W.reshape(FN, -1).T  # (C*FH*FW, FN): a column for each filter
        out = col @ col_W + b  # (N*OH*OW, FN)
        out = out.reshape(N, OH, OW, FN).transpose(0, 3, 1, 2)  # (N, FN, OH, OW)
        return self._save(train_flg, out, x.shape, col, col_W)

    def backward(self, dout):
        """Send the gradient to the filters, the bias and the images.

        Parameters
        ----------
        dout : ndarray, shape (N, FN, OH, OW)
            Gradient of the loss with respect to the output.

        Returns
        -------
        ndarray, shape (N, C, H, W)
            Gradient of the loss with respect to x.
        """
        x_shape, col, col_W = self._saved_for(dout)
        FN, C, FH, FW = self.W.shape
        dout = dout.transpose(0, 2, 3, 1).reshape(-1, FN)  # (N*OH*OW, FN): rows as those of col
        self.db = dout.sum(axis=0)  # (FN,): the bias was added in every row
        # out[r, f] = b[f] + sum over k of col[r, k] * col_W[k, f], so by the chain rule
        # dcol_W[k, f] = sum over r of col[r, k] * dout[r, f],
        # dcol[r, k] = sum over f of dout[r, f] * col_W[k, f]. As products of matrices:
        dcol_W = col.T @ dout  # (C*FH*FW, FN)
        self.dW = dcol_W.T.reshape(FN, C, FH, FW)  # undoes W.reshape(FN, -1).T, last step first
        dcol = dout @ col_W.T  # (N*OH*OW, C*FH*FW)
        # A pixel in several windows has several gradients: col2im adds them, and cuts the padding.
        return col2im(dcol, x_shape, FH, FW, self.stride, self.pad)  # (N, C, H, W)


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
        Padding P on every side, smaller than the window: with -inf for the maximum, so that it
        never wins, and with 0 for the mean, in which it counts.
    mode : {"max", "average"}, default "max"
        Which of the two.

    Notes
    -----
    Book sections 7.3 and 7.4.4. The loops behind it: `cnnlib.naive.max_pool`, `average_pool`.
    """

    takes_images = True

    def __init__(self, pool_h, pool_w, stride=2, pad=0, mode="max"):
        settings = check_pooling(pool_h, pool_w, stride, pad)
        self.pool_h, self.pool_w, self.stride, self.pad = settings
        if mode not in ("max", "average"):
            raise ValueError(f"mode must be 'max' or 'average', got {mode!r}")
        self.mode = mode

    def output_shape(self, input_shape):
        """Return (C, OH, OW) for one image (C, H, W), by formula (7.1)."""
        return pooled_shape(input_shape, self.pool_h, self.pool_w, self.stride, self.pad)

    def forward(self, x, train_flg=True):
        """Pool every channel in three steps: expand the windows, reduce each, reshape.

        Parameters
        ----------
        x : ndarray, shape (N, C, H, W)
            Feature maps, floating point (else ValueError), at least as large as the window.
        train_flg : bool, default True
            Save what `backward` needs.

        Returns
        -------
        ndarray, shape (N, C, OH, OW)
            In the dtype of x.
        """
        N, C, OH, OW = self._check(x)
        padded = pad_images(x, self.pad, -np.inf if self.mode == "max" else 0)
        col = im2col(padded, self.pool_h, self.pool_w, self.stride)  # (N*OH*OW, C*pool_h*pool_w)
        # The elements of a row are in the order c, i, j: cut into C, each is one channel's window.
        col = col.reshape(-1, self.pool_h * self.pool_w)  # (N*OH*OW*C, pool_h*pool_w)
        arg_max = col.argmax(axis=1)  # (N*OH*OW*C,): the first of equal ones; a mean needs none
        out = col.max(axis=1) if self.mode == "max" else col.mean(axis=1)  # (N*OH*OW*C,)
        out = out.reshape(N, OH, OW, C).transpose(0, 3, 1, 2)  # (N, C, OH, OW)
        return self._save(train_flg, out, padded.shape, arg_max)

    def backward(self, dout):
        """Send each gradient to where the maximum came from, or an equal share to every element.

        Where several elements tie for a maximum, the first one, read row by row, receives it.
        """
        (N, C, H, W), arg_max = self._saved_for(dout)  # H and W with the padding
        size, P = self.pool_h * self.pool_w, self.pad
        dout = dout.transpose(0, 2, 3, 1).reshape(-1)  # (N*OH*OW*C,)
        dcol = np.zeros((dout.size, size), dout.dtype)  # (N*OH*OW*C, pool_h*pool_w)
        if self.mode == "max":
            dcol[np.arange(dout.size), arg_max] = dout  # in each row, where its maximum was
        else:
            dcol[:] = dout[:, np.newaxis] / size
        dcol = dcol.reshape(-1, C * size)  # (N*OH*OW, C*pool_h*pool_w)
        dx = col2im(dcol, (N, C, H, W), self.pool_h, self.pool_w, self.stride)
        return dx[:, :, P : H - P, P : W - P]


class Affine(Layer):
    """Connect every input with every output: ``out = x @ W + b``.

    A sample of any shape is flattened first: this is where the shape of an image is lost.

    Parameters
    ----------
    W : ndarray, shape (D, M)
        Weights, D inputs to M outputs. Shared, and updated in place by the optimizer.
    b : ndarray, shape (M,)
        Biases.

    Attributes
    ----------
    dW, db : ndarray
        Gradients of the loss, set by `backward`; shapes as W and b.

    Notes
    -----
    Book section 5.6; the "fully connected layer" of section 7.2.1.
    """

    def __init__(self, W, b):
        self.W, self.b = check_parameters(W, b, "(D, M)", bias_axis=1)
        self.dW = self.db = None

    def output_shape(self, input_shape):
        """Return (M,), whatever the shape of the sample, as long as it has D elements."""
        D, M = self.W.shape
        if math.prod(input_shape) != D:
            raise ValueError(
                f"a sample of shape {tuple(input_shape)} has {math.prod(input_shape)} elements, "
                f"but W {self.W.shape} takes D = {D}"
            )
        return (M,)

    def forward(self, x, train_flg=True):
        """Flatten x, shape (N, ...) with D elements a sample, multiply, add: (N, M)."""
        self._check(x)
        W, b = self._parameters(x.dtype)
        flat = x.reshape(len(x), -1)  # (N, D)
        out = flat @ W + b  # (N, M)
        return self._save(train_flg, out, x.shape, flat, W)

    def backward(self, dout):
        """Send the gradient, of shape (N, M), to the weights, the bias and the input."""
        x_shape, flat, W = self._saved_for(dout)
        self.db = dout.sum(axis=0)  # (M,)
        self.dW = flat.T @ dout  # (D, M): as in `Convolution`, with flat for col
        return (dout @ W.T).reshape(x_shape)  # (N, ...)


class Relu(Layer):
    """Let positive numbers pass and set the others to zero: ``out = max(x, 0)``.

    Notes
    -----
    Book section 5.5.1. The gradient passes where x > 0; at 0 it is taken as 0.
    """

    def forward(self, x, train_flg=True):
        """Compute max(x, 0), element by element, for x of any shape."""
        self._check(x)
        out = np.maximum(x, np.zeros(x.shape[1:], x.dtype))  # row by row: NumPy is slow with one 0
        return self._save(train_flg, out, out)

    def backward(self, dout):
        """Return `dout` where x was positive, and 0 elsewhere."""
        (out,) = self._saved_for(dout)
        return masked(dout, out > 0)  # which is where x > 0


class Sigmoid(Layer):
    """Squash every number into (0, 1): ``out = 1 / (1 + exp(-x))``.

    Notes
    -----
    Book section 5.5.2. The gradient is ``out * (1 - out)``, at most 1/4: through many layers it
    fades, which is why ReLU took over (section 7.7).
    """

    def forward(self, x, train_flg=True):
        """Compute the sigmoid, element by element, for x of any shape."""
        self._check(x)
        with np.errstate(over="ignore"):  # exp(-x) = infinity is no harm: 1 / infinity = 0
            out = 1 / (1 + np.exp(-x))
        return self._save(train_flg, out, out)

    def backward(self, dout):
        """Return ``dout * out * (1 - out)``."""
        (out,) = self._saved_for(dout)
        return dout * out * (1 - out)


class Dropout(Layer):
    """Silence a random part of the neurons in every training step.

    While training, each element is kept with probability ``1 - dropout_ratio`` and set to zero
    otherwise. In inference nothing is dropped and everything is multiplied by
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
    Book section 6.4.3; Srivastava et al., Journal of Machine Learning Research 15 (2014). Most
    libraries divide by ``1 - dropout_ratio`` while training instead ("inverted dropout").
    """

    def __init__(self, dropout_ratio=0.5, rng=None):
        if not 0 <= dropout_ratio < 1:
            raise ValueError(f"dropout_ratio must be in [0, 1), got {dropout_ratio}")
        self.dropout_ratio = float(dropout_ratio)
        self.rng = np.random.default_rng() if rng is None else rng

    def forward(self, x, train_flg=True):
        """Drop elements of x at random while training; scale x by 1 - dropout_ratio otherwise."""
        self._check(x)
        if not train_flg:
            return self._save(False, x * (1 - self.dropout_ratio))
        kept = self.rng.random(x.shape, dtype=np.float32) >= self.dropout_ratio
        return self._save(True, masked(x, kept), kept)

    def backward(self, dout):
        """Return `dout` where x was kept, and 0 where it was dropped."""
        (kept,) = self._saved_for(dout)
        return masked(dout, kept)


class SoftmaxWithLoss(Layer):
    """Turn scores into probabilities (softmax), and take their cross-entropy loss.

        y[n, k] = exp(x[n, k]) / sum over j of exp(x[n, j])
        loss    = - mean over n of  log y[n, t[n]],    log y[n, k] = x[n, k] - log sum exp(x[n, j])

    Attributes
    ----------
    y : ndarray, shape (N, K)
        Probabilities of the last forward pass, if it was one of training.
    t : ndarray of int, shape (N,)
        Its labels as class numbers.
    loss : float
        The last loss, also of inference.

    Notes
    -----
    Book section 5.6.3. A number subtracted from all scores of a sample changes nothing: with the
    largest subtracted, no exp overflows, and no sum is 0.
    """

    def __init__(self):
        self.loss = self.y = self.t = None

    def check_scores(self, x):
        """Raise ValueError unless x is a floating-point array of shape (N, K)."""
        check_float(x, "scores")
        if x.ndim != 2:
            raise ValueError(f"scores must have shape (N, K), got {x.shape}")

    def forward(self, x, t, train_flg=True):
        """Compute the mean loss of a batch.

        Parameters
        ----------
        x : ndarray, shape (N, K)
            Scores of the K classes.
        t : ndarray, shape (N,), (N, 1) or (N, K)
            Labels, as class numbers or one-hot; `class_indices` says what is refused.
        train_flg : bool, default True
            Save what `backward` needs.
        """
        self.check_scores(x)
        t = class_indices(t, *x.shape)
        x = x - x.max(axis=1, keepdims=True)
        log_y = x[np.arange(len(x)), t] - np.log(np.exp(x).sum(axis=1))  # (N,)
        self.loss = -float(log_y.mean())
        self.y, self.t = (softmax(x), t.copy()) if train_flg else (None, None)
        return self.loss

    def backward(self, dout=1):
        """Return ``(y - one_hot(t)) * dout / N``, shape (N, K)."""
        if self.y is None:
            raise RuntimeError("SoftmaxWithLoss.backward needs forward(x, t) first")
        dx = self.y.copy()
        dx[np.arange(len(dx)), self.t] -= 1
        return dx * (dout / len(dx))


def masked(a, mask):
    """Return `a` where the mask is True, else 0: ``np.where(mask, a, 0)``, but faster."""
    out = mask.astype(a.dtype)  # 1 and 0
    with np.errstate(invalid="ignore"):  # 0 times infinity is NaN,
        out *= a
    if np.isnan(out.min()):  # and then so is the minimum
        out = np.where(mask, a, 0)
    return out


def softmax(scores):
    """Turn scores (N, K) into probabilities: positive, and each row adds up to 1."""
    exp = np.exp(scores - scores.max(axis=1, keepdims=True))  # the largest becomes 1
    return exp / exp.sum(axis=1, keepdims=True)


def class_indices(t, N, K):
    """Return labels as class numbers, shape (N,).

    They may be given as whole numbers 0..K-1 of shape (N,) or (N, 1), or as one-hot rows (N, K);
    anything else raises ValueError.
    """
    t = np.atleast_1d(t)
    if t.shape == (N, K):
        if not ((t == 0) | (t == 1)).all() or not (t.sum(axis=1) == 1).all():
            raise ValueError(f"labels of shape (N, K) = {t.shape} must be one-hot rows")
        return t.argmax(axis=1)
    if t.shape not in ((N,), (N, 1)):
        raise ValueError(
            f"labels must have shape (N,) = ({N},) or, one-hot, (N, K) = ({N}, {K}); got {t.shape}"
        )
    if not np.issubdtype(t.dtype, np.integer):
        raise ValueError(f"class numbers must be integers, got dtype {t.dtype}")
    if t.min() < 0 or t.max() >= K:
        raise ValueError(f"class numbers must be 0..{K - 1}, got {t.min()}..{t.max()}")
    return t.reshape(N)
