"""Train SimpleConvNet on MNIST at the book's settings and print its test accuracy.

    python benchmarks/train_mnist.py [--seed 3] [--epochs 20] [--save FILE.npz]

The book's settings: 30 filters of 5 x 5, hidden 100, weights from N(0, 0.01), which are those of
`SimpleConvNet`; batches of 100, Adam with learning rate 0.001, 20 epochs. MNIST comes from where
CNNLIB_DATA_DIR says, or is downloaded.
"""

import argparse
import time

import cnnlib


def steps_with_falling_rate(trainer, lr):
    """Take all steps, with a learning rate that falls in a straight line from lr to zero."""
    while trainer.current_iter < trainer.max_iter:
        trainer.optimizer.lr = lr * (1 - trainer.current_iter / trainer.max_iter)
        yield trainer.train_step()


def train_quickly(seed=0, epochs=5, lr=0.004):
    """Train the same network to the same accuracy in a quarter of the epochs.

    The learning rate falls: long steps at first, short ones at the end, where the book's constant
    rate keeps jumping around the minimum. Epochs and rate were chosen on 5,000 of the training
    images, held out, never on the test images.

    Returns
    -------
    accuracy, seconds : float
    """
    train, test = cnnlib.load_mnist(flatten=False)
    network = cnnlib.SimpleConvNet(rng=seed)
    trainer = cnnlib.Trainer(network, *train, *test, epochs, 100, cnnlib.Adam(lr), seed=seed)
    start = time.perf_counter()
    for _ in steps_with_falling_rate(trainer, lr):
        pass
    return network.accuracy(*test), time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--save", metavar="FILE.npz", help="write the trained parameters here")
    options = parser.parse_args()

    train, test = cnnlib.load_mnist(flatten=False)
    network = cnnlib.SimpleConvNet(rng=options.seed)
    adam = cnnlib.Adam(lr=0.001)
    trainer = cnnlib.Trainer(
        network, *train, *test, options.epochs, 100, adam, None, 1000, seed=options.seed
    )
    start = time.perf_counter()
    trainer.train()
    seconds, accuracy = time.perf_counter() - start, network.accuracy(*test)
    print(
        f"seed {options.seed}: {trainer.current_iter} steps in {seconds:.0f} s, "
        f"test accuracy {accuracy:.2%} of {len(test[0])}"
    )
    if options.save:
        network.save_params(options.save)


if __name__ == "__main__":
    main()
