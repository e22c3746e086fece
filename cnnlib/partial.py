"""Convolutions whose filters see only some of the channels.

Two published networks have them, each for a reason of its time. AlexNet's second, fourth and fifth
convolution are split in two groups, one for each of the two GPUs it was trained on. LeNet-5's third
layer connects each filter with a few of the six maps before it, by a hand-made table: fewer
weights, and filters that cannot all become the same. Both are a `Convolution` underneath.
"""

import numpy as np

from cnnlib.layers import Convolution, Layer
from cnnlib.windows import whole_number


class GroupedConvolution(Layer):
    """Cut the channels into groups, and convolve each group with filters of its own.

    ::

        out = concatenate(convolve(x[group 1], W[group 1]), convolve(x[group 2], W[group 2]), ...)

    Parameters
    ----------
    W : ndarray, shape (FN, C / groups, FH, FW)
        Filters: the first FN / groups of them see the first C / groups channels, and so on.
    b : ndarray, shape (FN,)
        One bias per filter.
    stride, pad : int
        As for `Convolution`.
    groups : int, default 2
        Number of groups; 1 is a `Convolution`.

    Attributes
    ----------
    dW, db : ndarray
        Gradients of the loss, set by `backward`; shapes as W and b.

    Raises
    ------
    ValueError
        If `groups` does not divide the number of filters, or as `Convolution` raises.

    Notes
    -----
    Krizhevsky, Sutskever and Hinton (2012), section 3.5. Weights and multiplications are 1 / groups
    of those of a whole convolution.
    """

    def __init__(self, W, b, stride=1, pad=0, groups=2):
        whole = Convolution(W, b, stride, pad)  # raises where the shapes do not go together
        self.W, self.b, self.stride, self.pad = W, b, whole.stride, whole.pad
        self.groups = whole_number("groups", groups)
        if len(W) % self.groups:
            raise ValueError(f"groups = {groups} must divide the number of filters FN = {len(W)}")
        self.dW = self.db = None

    def output_shape(self, input_shape):
        """Give (FN, OH, OW) for one image (C, H, W), by formula (7.1)."""
        C, H, W = input_shape
        if C % self.groups:
            raise ValueError(f"groups = {self.groups} must divide the number of channels C = {C}")
        _, OH, OW = self._convolutions()[0].output_shape((C // self.groups, H, W))
        return len(self.W), OH, OW

    def forward(self, x, train_flg=True):
        """Compute the feature maps, shape (N, FN, OH, OW), of x, shape (N, C, H, W)."""
        self.output_shape(x.shape[1:])
        convolutions = self._convolutions()
        groups = np.split(x, self.groups, axis=1)  # each (N, C / groups, H, W)
        out = [
            part.forward(group, train_flg) for part, group in zip(convolutions, groups, strict=True)
        ]
        return self._keep(train_flg, np.concatenate(out, axis=1), *convolutions)

    def backward(self, dout, need_dx=True):
        """Send the gradient through each group; arguments and result as `Convolution.backward`."""
        convolutions = self._recall(dout)
        douts = np.split(dout, self.groups, axis=1)
        dx = [part.backward(some, need_dx) for part, some in zip(convolutions, douts, strict=True)]
        self.dW = np.concatenate([part.dW for part in convolutions])
        self.db = np.concatenate([part.db for part in convolutions])
        return np.concatenate(dx, axis=1) if need_dx else None

    def _convolutions(self):
        """Make the `Convolution` of each group, on its share of W and b."""
        filters = np.split(self.W, self.groups)
        biases = np.split(self.b, self.groups)
        return [
            Convolution(W, b, self.stride, self.pad) for W, b in zip(filters, biases, strict=True)
        ]


class TableConvolution(Layer):
    """Connect each filter with the channels that a table names.

    ::

        out[n, f] = b[f] + sum over the channels c with table[f, c] of  convolve(x[n, c], W[f, c])

    Parameters
    ----------
    W : ndarray, shape (connections, FH, FW)
        One window for every True of the table, read line by line. What is not connected has no
        weight at all, and so none that could be trained by mistake.
    b : ndarray, shape (FN,)
        One bias per filter.
    table : ndarray of bool, shape (FN, C)
        Which filter sees which channel.
    stride, pad : int
        As for `Convolution`.

    Attributes
    ----------
    dW, db : ndarray
        Gradients of the loss, set by `backward`; shapes as W and b.

    Raises
    ------
    ValueError
        If the table is not two-dimensional and of bool, or does not go with W and b.

    Notes
    -----
    LeCun et al. (1998), Table I. Computed by a whole `Convolution` with zeros where nothing is
    connected: the weights are saved, not the time.
    """

    def __init__(self, W, b, table, stride=1, pad=0):
        table = np.asarray(table)
        if table.ndim != 2 or table.dtype != bool:
            raise ValueError(
                f"table must be (FN, C) of bool, got shape {table.shape} of {table.dtype}"
            )
        if np.ndim(W) != 3 or len(W) != table.sum() or np.shape(b) != (len(table),):
            raise ValueError(
                f"this table needs W ({table.sum()}, FH, FW) and b ({len(table)},), "
                f"got W {np.shape(W)} and b {np.shape(b)}"
            )
        self.W, self.b, self.table = W, b, table
        self.stride, self.pad = stride, pad
        self._convolution()  # raises where stride or pad are not possible
        self.dW = self.db = None

    def output_shape(self, input_shape):
        """Give (FN, OH, OW) for one image (C, H, W), by formula (7.1)."""
        return self._convolution().output_shape(input_shape)

    def forward(self, x, train_flg=True):
        """Compute the feature maps, shape (N, FN, OH, OW), of x, shape (N, C, H, W)."""
        convolution = self._convolution()
        return self._keep(train_flg, convolution.forward(x, train_flg), convolution)

    def backward(self, dout, need_dx=True):
        """Send the gradient back; arguments and result as `Convolution.backward`."""
        (convolution,) = self._recall(dout)
        dx = convolution.backward(dout, need_dx)
        self.dW, self.db = convolution.dW[self.table], convolution.db
        return dx

    def _convolution(self):
        """Make the whole convolution, with zeros where nothing is connected."""
        filters = np.zeros((*self.table.shape, *self.W.shape[1:]), self.W.dtype)  # (FN, C, FH, FW)
        filters[self.table] = self.W
        return Convolution(filters, self.b, self.stride, self.pad)
