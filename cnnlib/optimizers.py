"""Optimizers: six rules for one step downhill.

Each has ``update(params, grads)``: two dictionaries with the same names. The arrays of ``params``
are changed in place, so that the layers that share them see the change. Settings are plain
attributes, and may be changed between two steps: ``lr`` is the learning rate; ``momentum``,
``beta1``, ``beta2`` and ``decay_rate`` say how much of the past stays.

In the formulas p is a parameter and g its gradient. Book section 6.1.
"""

import math
import numbers

import numpy as np

# Every setting is at least 0 and below its limit; that of lr is where float32 ends.
LIMITS = {"lr": 1e38, "momentum": 1, "beta1": 1, "beta2": 1, "decay_rate": 1}


class Optimizer:
    """What the rules share: the checks, and the way through all parameters.

    `memory` holds, for each parameter, what the rule remembers: `memories` arrays, zeros at first.
    """

    memories = 0

    def __init__(self, **settings):
        vars(self).update(settings)
        self.iter, self.memory = 0, {}
        self._check_settings()

    def update(self, params, grads):
        """Take one step, in place.

        Where a setting is out of range, or a gradient is missing or of another shape than its
        parameter, there is a ValueError, and no parameter is changed.
        """
        self._check_settings()
        self._check_arrays(params, grads)
        self.iter += 1
        for key, p in params.items():
            if key not in self.memory:
                self.memory[key] = [np.zeros_like(p) for _ in range(self.memories)]
            for block in _blocks(p, grads[key], *self.memory[key]):
                self._rule(*block)

    def _check_settings(self):
        for name, limit in LIMITS.items():
            value = getattr(self, name, 0)
            if not isinstance(value, numbers.Real) or not 0 <= value < limit:
                raise ValueError(f"{name} must be a number in [0, {limit}), got {value!r}")

    def _check_arrays(self, params, grads):
        if missing := [key for key in params if key not in grads]:
            raise ValueError(f"no gradients for {missing}; there are {list(grads)}")
        for key, p in params.items():
            arrays = [p, grads[key], *self.memory.get(key, [])]
            shapes = {getattr(array, "shape", None) for array in arrays}
            if len(shapes) > 1 or not isinstance(p, np.ndarray) or p.dtype.kind != "f":
                kinds = [f"{getattr(a, 'dtype', type(a).__name__)} {np.shape(a)}" for a in arrays]
                raise ValueError(
                    f"{key} must be an array of floats, its gradient (and what the optimizer "
                    f"remembers of earlier steps) of the same shape; got {', '.join(kinds)}"
                )


class SGD(Optimizer):
    """Stochastic gradient descent: ``p -= lr * g``."""

    def __init__(self, lr=0.01):
        super().__init__(lr=lr)

    def _rule(self, p, g):
        p -= self.lr * g


class Momentum(Optimizer):
    """Gradient descent with inertia: ``v = momentum * v - lr * g;  p += v``."""

    memories = 1

    def __init__(self, lr=0.01, momentum=0.9):
        super().__init__(lr=lr, momentum=momentum)

    def _rule(self, p, g, v):
        v *= self.momentum
        v -= self.lr * g
        p += v


class Nesterov(Momentum):
    """Momentum that looks ahead: ``v = momentum * v - lr * g;  p += momentum * v - lr * g``.

    Sutskever et al. (2013), in the form in which the gradient is taken at p itself.
    """

    def _rule(self, p, g, v):
        v *= self.momentum
        v -= self.lr * g
        p += self.momentum * v - self.lr * g


class AdaGrad(Optimizer):
    """A learning rate for every weight: ``h += g**2;  p -= lr * g / (sqrt(h) + 1e-7)``.

    Duchi, Hazan and Singer (2011).
    """

    memories = 1

    def __init__(self, lr=0.01):
        super().__init__(lr=lr)

    def _rule(self, p, g, h):
        h += g * g
        p -= self.lr * g / (np.sqrt(h) + 1e-7)


class RMSprop(Optimizer):
    """AdaGrad that forgets: ``h = d * h + (1 - d) * g**2``, with d the `decay_rate`.

    Tieleman and Hinton (2012), lecture 6.5.
    """

    memories = 1

    def __init__(self, lr=0.01, decay_rate=0.99):
        super().__init__(lr=lr, decay_rate=decay_rate)

    def _rule(self, p, g, h):
        h *= self.decay_rate
        h += (1 - self.decay_rate) * g * g
        p -= self.lr * g / (np.sqrt(h) + 1e-7)


class Adam(Optimizer):
    """Momentum and RMSprop together, with the start corrected.

        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        p -= lr * sqrt(1 - beta2**t) / (1 - beta1**t) * m / (sqrt(v) + 1e-7)

    with t the number of the step. Both averages start at zero and are too small at first; the
    factor with t puts that right. Kingma and Ba (2014).
    """

    memories = 2

    def __init__(self, lr=0.001, beta1=0.9, beta2=0.999):
        super().__init__(lr=lr, beta1=beta1, beta2=beta2)

    def _rule(self, p, g, m, v):
        m *= self.beta1
        m += (1 - self.beta1) * g
        v *= self.beta2
        v += (1 - self.beta2) * g * g
        lr = self.lr * math.sqrt(1 - self.beta2**self.iter) / (1 - self.beta1**self.iter)
        p -= lr * m / (np.sqrt(v) + 1e-7)


def _blocks(*arrays, size=2**15):
    """Cut arrays of one shape into blocks of rows, of some `size` elements.

    The rules make an array for every intermediate result. For a small block it stays in the
    processor's cache; for the 432,000 weights of SimpleConvNet each would go to memory and back.
    """
    first = arrays[0]
    if first.size <= size:
        yield arrays
        return
    rows = max(1, size * len(first) // first.size)
    for start in range(0, len(first), rows):
        yield [array[start : start + rows] for array in arrays]
