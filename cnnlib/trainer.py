"""The training loop: draw a batch, take the gradient, take a step, look now and then.

The state of a training run is its history: how many steps were taken is the length of the list of
losses, and how many epochs were looked at the length of the list of accuracies. So a run can be
stopped anywhere, by a button or by an interrupt, and goes on where it was. Learning rate and batch
size are read anew at each step, so that they can be changed between two of them.
"""

import contextlib
import math
import signal
import threading

import numpy as np

from cnnlib.optimizers import SGD, AdaGrad, Adam, Momentum, Nesterov, RMSprop
from cnnlib.sizes import in_browser
from cnnlib.windows import whole_number

OPTIMIZERS = {
    "sgd": SGD,
    "momentum": Momentum,
    "nesterov": Nesterov,
    "adagrad": AdaGrad,
    "rmsprop": RMSprop,
    "adam": Adam,
}


class Trainer:
    """Train a network on images, and remember how it went.

    Parameters
    ----------
    network : Network
        Anything with `gradient`, `accuracy`, `params` and `last_layer`. Changed in place.
    x_train, t_train : ndarray
        Images and labels to learn from.
    x_test, t_test : ndarray
        Images and labels that are only looked at.
    epochs : int, default 20
        How many times every training image is shown.
    mini_batch_size : int, default 100
        Images per step. Each epoch is a new random order, cut into batches; the last may be
        smaller.
    optimizer : str or object, default "SGD"
        One of SGD, Momentum, Nesterov, AdaGrad, RMSprop, Adam (in any case), or any object with
        ``update(params, grads)``.
    optimizer_param : dict, optional
        Arguments of the optimiser, such as ``{"lr": 0.001}``; ``{"lr": 0.01}`` by default.
    evaluate_sample_num_per_epoch : int, optional
        Take only the first so many training and test images for the accuracies after each epoch.
    verbose : bool, default True
        Show a progress bar, and print the last accuracies at the end.
    seed : int or numpy.random.Generator, optional
        For the order of the images.
    snapshots : sequence of str, default ()
        Names of parameters of which copies are kept, such as ``["W1"]``.
    snapshot_every : int, optional
        Steps between two snapshots, the first before training; one epoch by default.
    augment : callable, optional
        ``augment(x, rng)`` gives the images of a batch as the network shall see them, such as
        moved a little. The labels stay.

    Attributes
    ----------
    train_loss_list, train_acc_list, test_acc_list : list of float
        Loss of every step; accuracies after every epoch.
    snapshots : dict of list of ndarray
        For each chosen name its copies, taken after ``snapshot_iters`` steps.
    optimizer : object
        Its ``lr`` may be changed between two steps.
    batch_size : int
        May be changed between two steps: what is left of the epoch is then cut into batches of the
        new size, and every image is still shown once.

    Raises
    ------
    ValueError
        If images and labels differ in number, if there are none, if the batch size is not
        between 1 and their number, or if a name is unknown.

    Notes
    -----
    Book section 7.5 and its `common.trainer`. The loss comes from the forward pass that the
    gradient needs anyway: there is no second one.

    A panel that trains while a notebook answers takes the steps itself, and gives the kernel time
    between them; it may stop at any of them, and go on later::

        for loss in trainer.steps():
            draw(trainer.epoch, loss)
            await asyncio.sleep(0)  # sliders answer: trainer.optimizer.lr, trainer.batch_size
            if stopped:
                break
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
        for name, x, t in (("train", x_train, t_train), ("test", x_test, t_test)):
            if len(x) != len(t) or len(x) == 0:
                raise ValueError(f"{name} data: {len(x)} images and {len(t)} labels")
        snapshots = [snapshots] if isinstance(snapshots, str) else list(snapshots)
        if unknown := set(snapshots) - network.params.keys():
            raise ValueError(f"no parameters {sorted(unknown)}; there are {list(network.params)}")
        if isinstance(optimizer, str):
            if optimizer.lower() not in OPTIMIZERS:
                raise ValueError(f"unknown optimizer {optimizer!r}; known are {list(OPTIMIZERS)}")
            settings = {"lr": 0.01} if optimizer_param is None else optimizer_param
            optimizer = OPTIMIZERS[optimizer.lower()](**settings)
        elif optimizer_param is not None:
            raise ValueError("optimizer_param goes with the name of an optimizer, not an object")
        if isinstance(optimizer, type) or not hasattr(optimizer, "update"):
            raise ValueError(
                f"optimizer must be a name or have an update method, got {optimizer!r}"
            )

        self.network = network
        self.x_train, self.t_train = x_train, np.asarray(t_train)
        self.x_test, self.t_test = x_test, np.asarray(t_test)
        self.epochs = whole_number("epochs", epochs, least=0)
        self.batch_size = mini_batch_size
        self.augment = augment
        self.optimizer = optimizer
        if evaluate_sample_num_per_epoch is not None:
            whole_number("evaluate_sample_num_per_epoch", evaluate_sample_num_per_epoch)
        self.evaluate_sample_num_per_epoch = evaluate_sample_num_per_epoch
        self.verbose = verbose
        self.rng = np.random.default_rng(seed)
        if snapshot_every is not None:
            whole_number("snapshot_every", snapshot_every)
        self.snapshot_every = snapshot_every
        self.train_loss_list, self.train_acc_list, self.test_acc_list = [], [], []
        self.snapshots = {name: [] for name in snapshots}
        self.snapshot_iters = []
        self._shown = [0]  # images shown before the first step, and after each
        self._acc_iters = []  # after how many steps the accuracies were taken
        self._order = (None, None)  # number of an epoch, and the order of its images

    @property
    def current_iter(self):
        """Number of steps taken so far."""
        return len(self.train_loss_list)

    @property
    def batch_size(self):
        """Images per step, from the next step on."""
        return self._batch_size

    @batch_size.setter
    def batch_size(self, batch_size):
        if not 1 <= whole_number("mini_batch_size", batch_size, least=0) <= len(self.x_train):
            raise ValueError(
                f"mini_batch_size must be 1..{len(self.x_train)} (the training images), "
                f"got {batch_size}"
            )
        self._batch_size = batch_size

    @property
    def epoch(self):
        """Number of epochs so far, with fractions: images shown / images there are."""
        return self._shown[self.current_iter] / len(self.x_train)

    @property
    def max_iter(self):
        """Number of steps of the whole run: those taken, and those left at this batch size."""
        epochs, position = divmod(self._shown[self.current_iter], len(self.x_train))
        left = max(self.epochs - epochs, 0) * math.ceil(len(self.x_train) / self.batch_size)
        if left and position:  # of the epoch in progress, only the rest
            left -= math.ceil(len(self.x_train) / self.batch_size)
            left += math.ceil((len(self.x_train) - position) / self.batch_size)
        return self.current_iter + left

    @property
    def history(self):
        """History as arrays.

        Returns
        -------
        dict of ndarray
            ``loss`` (steps,), ``train_acc`` and ``test_acc`` (epochs,), and the two axes they
            belong to: ``iter`` (steps,) and ``epoch`` (epochs,), both counted from 1.
        """
        return {
            "iter": np.arange(1, len(self.train_loss_list) + 1),
            "loss": np.array(self.train_loss_list),
            "epoch": np.array(self._shown)[self._acc_iters] // len(self.x_train),
            "train_acc": np.array(self.train_acc_list),
            "test_acc": np.array(self.test_acc_list),
        }

    def train(self):
        """Run to the end, or until interrupted; called again, go on from there.

        An interrupt (Ctrl-C, or the stop button of a notebook) ends the loop and not the program,
        after the step in progress: history and parameters are those of a whole number of steps. A
        second interrupt does not wait.

        Returns
        -------
        Trainer
            Itself, so that ``Trainer(...).train().history`` reads well.
        """
        from tqdm.auto import tqdm  # here, because not every place that imports cnnlib has it

        if in_browser():
            tqdm.monitor_interval = 0  # it would watch the bar from a thread; there are none

        bar = tqdm(
            total=self.max_iter,
            initial=self.current_iter,
            unit="step",
            leave=False,
            disable=not self.verbose,
        )
        with bar, _interrupts_wait() as interrupts:
            try:
                for loss in self.steps():
                    bar.update()
                    accuracy = f"{self.test_acc_list[-1]:.2%}" if self.test_acc_list else "-"
                    bar.set_postfix(loss=f"{loss:.3f}", test=accuracy, refresh=False)
                    if interrupts:
                        raise KeyboardInterrupt
            except KeyboardInterrupt:
                print(f"stopped after step {self.current_iter} of {self.max_iter}; train() goes on")
        if self.verbose and self.test_acc_list:
            print(
                f"after epoch {self.history['epoch'][-1]}: train accuracy "
                f"{self.train_acc_list[-1]:.2%}, test accuracy {self.test_acc_list[-1]:.2%}"
            )
        return self

    def steps(self):
        """Yield the loss of one step after another, with a look at the accuracies in between.

        `train` runs through this; so can any loop that wants to breathe between two steps, such as
        a live panel in a notebook.
        """
        while True:
            self._look()
            if self.current_iter == self.max_iter:
                return
            yield self.train_step()

    def train_step(self):
        """Take one step: a batch, its gradient, an update.

        Returns
        -------
        float
            The loss of the batch, before the update.
        """
        shown = self._shown[self.current_iter]
        epoch, position = divmod(shown, len(self.x_train))
        if self._order[0] != epoch:
            self._order = (epoch, self.rng.permutation(len(self.x_train)))
        batch = self._order[1][position : position + self.batch_size]
        x = self.x_train[batch]
        if self.augment is not None:
            x = self.augment(x, self.rng)
        grads = self.network.gradient(x, self.t_train[batch])
        loss = self.network.last_layer.loss
        self.optimizer.update(self.network.params, grads)
        self._shown[self.current_iter + 1 :] = [shown + len(batch)]
        self.train_loss_list.append(loss)  # last: a step counts when it is whole
        return loss

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


@contextlib.contextmanager
def _interrupts_wait():
    """Note an interrupt in the list that is yielded, so that no step is broken off in the middle.

    The second one raises KeyboardInterrupt. Only the main thread receives interrupts at all.
    """
    interrupts = []
    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return

    def note(number, frame):
        if interrupts:
            raise KeyboardInterrupt
        interrupts.append(number)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, before)
