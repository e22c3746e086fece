"""Optimisers: six rules for one step downhill.

Every optimiser has ``update(params, grads)``: two dictionaries with the same names, the arrays of
``params`` changed in place, so that the layers that share them see the change. Learning rate and
momentum are plain attributes and may be changed between two steps.

Formulas with p the parameter and g its gradient; book section 6.1.
"""

import numpy as np


class SGD:
    """Stochastic gradient descent: ``p -= lr * g``.

    Parameters
    ----------
    lr : float, default 0.01
        Learning rate, the length of the step.
    """

    def __init__(self, lr=0.01):
        self.lr = lr

    def update(self, params, grads):
        """Take one step, in place."""
        for key, p in params.items():
            p -= self.lr * grads[key]


class Momentum:
    """Gradient descent with inertia: ``v = momentum * v - lr * g;  p += v``.

    Parameters
    ----------
    lr : float, default 0.01
        Learning rate.
    momentum : float, default 0.9
        Part of the velocity v that is left after a step.
    """

    def __init__(self, lr=0.01, momentum=0.9):
        self.lr, self.momentum = lr, momentum
        self.v = {}

    def update(self, params, grads):
        """Take one step, in place."""
        _start_at_zero(self.v, params)
        for key, p in params.items():
            v = self.v[key]
            v *= self.momentum
            v -= self.lr * grads[key]
            p += v


class Nesterov:
    """Momentum that looks ahead: ``v = momentum * v - lr * g;  p += momentum * v - lr * g``.

    Parameters
    ----------
    lr : float, default 0.01
        Learning rate.
    momentum : float, default 0.9
        Part of the velocity v that is left after a step.

    Notes
    -----
    Sutskever et al., "On the importance of initialization and momentum in deep learning" (2013),
    in the form in which the gradient is taken at p itself.
    """

    def __init__(self, lr=0.01, momentum=0.9):
        self.lr, self.momentum = lr, momentum
        self.v = {}

    def update(self, params, grads):
        """Take one step, in place."""
        _start_at_zero(self.v, params)
        for key, p in params.items():
            v = self.v[key]
            v *= self.momentum
            v -= self.lr * grads[key]
            p += self.momentum * v - self.lr * grads[key]


class AdaGrad:
    """A learning rate of its own for every weight: ``h += g**2;  p -= lr * g / sqrt(h)``.

    Parameters
    ----------
    lr : float, default 0.01
        Learning rate.

    Notes
    -----
    Duchi, Hazan and Singer (2011). 1e-7 is added to the root, against division by zero.
    """

    def __init__(self, lr=0.01):
        self.lr = lr
        self.h = {}

    def update(self, params, grads):
        """Take one step, in place."""
        _start_at_zero(self.h, params)
        for key, whole in params.items():
            for p, g, h in _in_blocks(whole, grads[key], self.h[key]):
                h += g * g
                p -= self.lr * g / (np.sqrt(h) + 1e-7)


class RMSprop:
    """AdaGrad that forgets: ``h = d * h + (1 - d) * g**2;  p -= lr * g / sqrt(h)``.

    Parameters
    ----------
    lr : float, default 0.01
        Learning rate.
    decay_rate : float, default 0.99
        The d of the formula: how much of the past stays.

    Notes
    -----
    Tieleman and Hinton (2012), lecture 6.5. 1e-7 is added to the root.
    """

    def __init__(self, lr=0.01, decay_rate=0.99):
        self.lr, self.decay_rate = lr, decay_rate
        self.h = {}

    def update(self, params, grads):
        """Take one step, in place."""
        _start_at_zero(self.h, params)
        for key, whole in params.items():
            for p, g, h in _in_blocks(whole, grads[key], self.h[key]):
                h *= self.decay_rate
                h += (1 - self.decay_rate) * g * g
                p -= self.lr * g / (np.sqrt(h) + 1e-7)


class Adam:
    """Momentum and RMSprop together, with the start corrected.

    ::

        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        p -= lr * sqrt(1 - beta2**t) / (1 - beta1**t) * m / (sqrt(v) + 1e-7)

    with t the number of the step. Both averages start at zero and are too small at first; the
    factor with t puts that right.

    Parameters
    ----------
    lr : float, default 0.001
        Learning rate.
    beta1, beta2 : float, default 0.9, 0.999
        How much of the past the two averages keep.

    Notes
    -----
    Kingma and Ba, "Adam: A Method for Stochastic Optimization" (2014).
    """

    def __init__(self, lr=0.001, beta1=0.9, beta2=0.999):
        self.lr, self.beta1, self.beta2 = lr, beta1, beta2
        self.iter = 0
        self.m, self.v = {}, {}

    def update(self, params, grads):
        """Take one step, in place."""
        _start_at_zero(self.m, params)
        _start_at_zero(self.v, params)
        self.iter += 1
        lr_t = self.lr * np.sqrt(1 - self.beta2**self.iter) / (1 - self.beta1**self.iter)
        for key, whole in params.items():
            for p, g, m, v in _in_blocks(whole, grads[key], self.m[key], self.v[key]):
                m *= self.beta1
                m += (1 - self.beta1) * g
                v *= self.beta2
                v += (1 - self.beta2) * g * g
                p -= float(lr_t) * m / (np.sqrt(v) + 1e-7)


def _start_at_zero(memory, params):
    """Give every parameter an array of zeros in `memory`, once."""
    for key, p in params.items():
        if key not in memory:
            memory[key] = np.zeros_like(p)


def _in_blocks(*arrays, size=2**15):
    """Cut arrays of one shape into blocks of some `size` elements, along their first axis.

    The rules above make an array for every intermediate result. For a small block they stay in the
    processor's cache; for the 432,000 weights of SimpleConvNet each would go to memory and back.
    """
    first = arrays[0]
    if first.ndim == 0:
        yield arrays
        return
    rows = max(1, size * len(first) // max(1, first.size))
    for start in range(0, len(first), rows):
        yield tuple(array[start : start + rows] for array in arrays)
