"""The training loop: draw a batch, take the gradient, update, look now and then.

The state of a run is its history: the list of losses counts the steps, the list of accuracies the
epochs. So a run can be stopped anywhere, by a button or by an interrupt, and goes on where it was.
Learning rate and batch size are read anew at each step.
"""

import contextlib
import math
import os
import signal
import sys
import threading

import numpy as np

from cnnlib.optimizers import SGD, AdaGrad, Adam, Momentum, Nesterov, RMSprop
from cnnlib.windows import check_float, whole_number

OPTIMIZERS = {
    kind.__name__.lower(): kind for kind in (SGD, Momentum, Nesterov, AdaGrad, RMSprop, Adam)
}


class Trainer:
    """Train a network on images, and remember how it went (book section 7.5).

    Parameters
    ----------
    network : Network
        Anything with `gradient`, `accuracy`, `params` and `last_layer`. Changed in place.
    x_train, t_train, x_test, t_test : ndarray
        Images and labels: those to learn from, and those that are only looked at.
    epochs, mini_batch_size : int, default 20, 100
        How often every training image is shown, each time in a new order; images per step.
    optimizer, optimizer_param : str, dict; default "SGD", {"lr": 0.01}
        A name of `OPTIMIZERS`, in any case, and its settings. Or, alone, any object with
        ``update(params, grads)``.
    evaluate_sample_num_per_epoch : int, optional
        Take the accuracies after each epoch from only the first so many images.
    verbose : bool, default True
        Show a progress bar, and print the last accuracies at the end.
    seed : int or numpy.random.Generator, optional
        For the order of the images.
    snapshots, snapshot_every : sequence of str, int; optional
        Names of parameters of which copies are kept, such as ``["W1"]``: before training, and then
        every so many steps, or after each epoch.
    augment : callable, optional
        ``augment(x, rng)`` returns the images of a batch as the network shall see them, such as
        moved a little.

    Attributes
    ----------
    train_loss_list, train_acc_list, test_acc_list : list of float
        Loss of every step; accuracies after every epoch.
    stopped : str or None
        Why the last step was not taken, in words, if its loss or gradient was not finite. Such a
        step changes neither history nor parameters.
    snapshots : dict of list of ndarray
        For each chosen name its copies, taken after ``snapshot_iters`` steps.
    """

    def __init__(
        self,
        network,
        x_train,
        t_train,
        x_test,
        t_test,
        epochs=20,
        mini_batch_size=100,
        optimizer="SGD",
        optimizer_param=None,
        evaluate_sample_num_per_epoch=None,
        verbose=True,
        *,
        seed=None,
        snapshots=(),
        snapshot_every=None,
        augment=None,
    ):
        t_train, t_test = np.atleast_1d(t_train), np.atleast_1d(t_test)
        for name, x, t in (("train", x_train, t_train), ("test", x_test, t_test)):
            check_float(x, f"x_{name}")
            if len(x) != len(t):
                raise ValueError(f"{name} data: {len(x)} images and {len(t)} labels")
        snapshots = [snapshots] if isinstance(snapshots, str) else list(snapshots)
        if unknown := set(snapshots) - network.params.keys():
            raise ValueError(f"no parameters {sorted(unknown)}; there are {list(network.params)}")
        if snapshot_every is not None:
            snapshot_every = whole_number("snapshot_every", snapshot_every)
        if (n := evaluate_sample_num_per_epoch) is not None:
            n = whole_number("evaluate_sample_num_per_epoch", n)
        self.network, self.augment, self.verbose = network, augment, verbose
        self.x_train, self.t_train, self.x_test, self.t_test = x_train, t_train, x_test, t_test
        self.epochs = whole_number("epochs", epochs, least=0)
        self.batch_size = mini_batch_size
        self.optimizer = _optimizer(optimizer, optimizer_param)
        self.rng = np.random.default_rng(seed)
        self.train_loss_list, self.train_acc_list, self.test_acc_list = [], [], []
        self.stopped = None
        self.snapshots, self.snapshot_every = {name: [] for name in snapshots}, snapshot_every
        self.snapshot_iters = []
        self.evaluate_sample_num_per_epoch = n
        self._shown = [0]  # images shown before the first step, and after each
        self._acc_iters = []  # after how many steps the accuracies were taken
        self._order = (None, None)  # number of an epoch, and the order of its images

    @property
    def current_iter(self):
        """Number of steps taken so far."""
        return len(self.train_loss_list)

    @property
    def batch_size(self):
        """Images per step, from the next step on. Every image is still shown once an epoch."""
        return self._batch_size

    @batch_size.setter
    def batch_size(self, batch_size):
        batch_size, n = whole_number("mini_batch_size", batch_size, least=0), len(self.x_train)
        if not 1 <= batch_size <= n:
            raise ValueError(f"mini_batch_size must be 1..{n} (training images), got {batch_size}")
        self._batch_size = batch_size

    @property
    def epoch(self):
        """Number of epochs so far, with fractions: images shown / images there are."""
        return self._shown[self.current_iter] / len(self.x_train)

    @property
    def max_iter(self):
        """Number of steps of the whole run: those taken, and those left at this batch size."""
        n, B = len(self.x_train), self.batch_size
        epoch, position = divmod(self._shown[self.current_iter], n)
        if epoch >= self.epochs:
            return self.current_iter
        rest = math.ceil((n - position) / B)  # of the epoch in progress
        return self.current_iter + rest + (self.epochs - epoch - 1) * math.ceil(n / B)

    @property
    def history(self):
        """The run as arrays: ``loss`` over ``iter``, ``train_acc``, ``test_acc`` over ``epoch``."""
        return {
            "iter": np.arange(1, len(self.train_loss_list) + 1),
            "loss": np.array(self.train_loss_list),
            "epoch": np.array(self._shown)[self._acc_iters] // len(self.x_train),
            "train_acc": np.array(self.train_acc_list),
            "test_acc": np.array(self.test_acc_list),
        }

    def train(self):
        """Run to the end, until interrupted or `stopped`; called again, go on from there.

        An interrupt (Ctrl-C, or the stop button of a notebook) ends the loop and not the program,
        after the step in progress. A second interrupt does not wait. Returns the trainer itself,
        so that ``Trainer(...).train().history`` reads well.
        """
        from tqdm.auto import tqdm  # here, because not every place that imports cnnlib has it

        if sys.platform == "emscripten":
            tqdm.monitor_interval = 0  # it would watch the bar from a thread; there are none
        look = {"unit": "step", "leave": False, "disable": not self.verbose}
        bar = tqdm(total=self.max_iter, initial=self.current_iter, **look)
        with bar, _interrupts_wait() as interrupts:
            try:
                for loss in self.steps():
                    bar.update()
                    accuracy = f"{self.test_acc_list[-1]:.2%}" if self.test_acc_list else "-"
                    bar.set_postfix(loss=f"{loss:.4g}", test=accuracy, refresh=False)
                    if interrupts:
                        raise KeyboardInterrupt
            except KeyboardInterrupt:
                print(f"stopped after step {self.current_iter} of {self.max_iter}; train() goes on")
        if self.stopped:
            print(self.stopped)
        if self.verbose and self.test_acc_list:
            print(
                f"after epoch {self.history['epoch'][-1]}: train accuracy "
                f"{self.train_acc_list[-1]:.2%}, test accuracy {self.test_acc_list[-1]:.2%}"
            )
        return self

    def steps(self):
        """Yield the loss of one step after another, with a look at the accuracies in between.

        `train` runs through this; so can any loop that does something else between two steps.
        """
        while True:
            self._look()
            if self.current_iter == self.max_iter:
                return
            loss = self.train_step()
            if self.stopped:
                return
            yield loss

    def train_step(self):
        """Take one step: a batch, its gradient, an update. Return the loss before the update."""
        x, t = self._batch()
        with np.errstate(all="ignore"):  # no warnings: `stopped` says it once, and in words
            grads = self.network.gradient(x, t)
            loss = self.network.last_layer.loss  # from the forward pass of the gradient
            self.stopped = self._trouble(x, loss, grads)
            if not self.stopped:
                self.optimizer.update(self.network.params, grads)
                self._shown[self.current_iter + 1 :] = [self._shown[self.current_iter] + len(t)]
                self.train_loss_list.append(loss)  # last: a step counts when it is whole
        return loss

    def _batch(self):
        """Draw the images and labels of the next step."""
        epoch, position = divmod(self._shown[self.current_iter], len(self.x_train))
        if self._order[0] != epoch:
            self._order = (epoch, self.rng.permutation(len(self.x_train)))
        batch = self._order[1][position : position + self.batch_size]
        x = self.x_train[batch]
        return (x if self.augment is None else self.augment(x, self.rng)), self.t_train[batch]

    def _trouble(self, x, loss, grads):
        """Say why this step must not be taken, and what usually causes it; None where it may."""
        if math.isfinite(loss) and all(np.isfinite(grad).all() for grad in grads.values()):
            return None
        what = "the gradient is not finite" if math.isfinite(loss) else f"the loss is {loss}"
        if all(np.isfinite(p).all() for p in self.network.params.values()):
            kept = "What was learned before is kept."
        else:
            kept = "The step before made parameters infinite: start again with a new network."
        return (
            f"Training stopped at step {self.current_iter + 1}: {what}. {kept} Usual causes: a "
            f"learning rate that is too large (lr = {getattr(self.optimizer, 'lr', '?')}), pixels "
            f"that are not scaled to 0..1 (these: {x.min():.3g} to {x.max():.3g}), or a constant "
            "pixel divided by its spread, 0."
        )

    def _look(self):
        """Take the snapshots and accuracies that are due now, unless they were taken already."""
        now = self.current_iter
        epoch_is_full = self._shown[now] % len(self.x_train) == 0
        due = epoch_is_full if self.snapshot_every is None else now % self.snapshot_every == 0
        if due and now not in self.snapshot_iters[-1:]:
            for name, copies in self.snapshots.items():
                copies.append(self.network.params[name].copy())
            self.snapshot_iters.append(now)
        if now and epoch_is_full and now not in self._acc_iters[-1:]:
            n = self.evaluate_sample_num_per_epoch
            train_acc = self.network.accuracy(self.x_train[:n], self.t_train[:n])
            test_acc = self.network.accuracy(self.x_test[:n], self.t_test[:n])
            self.train_acc_list.append(train_acc)
            self.test_acc_list.append(test_acc)
            self._acc_iters.append(now)


def training_size(native, browser):
    """Return how much a notebook trains, natively or in a browser.

    In a browser Python is WebAssembly without BLAS: a matrix product takes 12 to 60 times as long.
    The environment variable CNNLIB_IN_BROWSER makes any Python count as such.
    """
    in_browser = sys.platform == "emscripten" or os.environ.get("CNNLIB_IN_BROWSER")
    return browser if in_browser else native


def _optimizer(optimizer, settings):
    """Return the optimizer of that name, or the one that is given."""
    if isinstance(optimizer, str):
        if optimizer.lower() not in OPTIMIZERS:
            raise ValueError(f"unknown optimizer {optimizer!r}; known are {list(OPTIMIZERS)}")
        return OPTIMIZERS[optimizer.lower()](**({"lr": 0.01} if settings is None else settings))
    if settings is not None:
        raise ValueError("optimizer_param goes with the name of an optimizer, not an object")
    if isinstance(optimizer, type) or not hasattr(optimizer, "update"):
        raise ValueError(f"optimizer must be a name or have an update method, got {optimizer!r}")
    return optimizer


@contextlib.contextmanager
def _interrupts_wait():
    """Yield a list that notes the first interrupt; the second raises KeyboardInterrupt."""
    interrupts, before = [], None

    def note(number, frame):
        if interrupts:
            raise KeyboardInterrupt
        interrupts.append(number)

    if threading.current_thread() is threading.main_thread():  # which alone is interrupted
        before = signal.signal(signal.SIGINT, note)
    try:
        yield interrupts
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)
