"""Train SimpleConvNet on MNIST at the book's settings and print its test accuracy.

    python benchmarks/train_mnist.py [--seed 3] [--epochs 20] [--save FILE.npz]

The book's settings: 30 filters of 5 x 5, hidden 100, weights from N(0, 0.01), batches of 100, Adam
with learning rate 0.001, 20 epochs. MNIST comes from where CNNLIB_DATA_DIR says, or is downloaded.
"""

import argparse
import time

import cnnlib


def train_quickly(seed=0, epochs=5, lr=0.004):
    """Train the same network to the same accuracy in a quarter of the epochs.

    The learning rate falls in a straight line to zero: long steps at first, short ones at the end,
    where the book's constant rate keeps jumping around the minimum. Epochs and rate were chosen on
    5,000 of the training images, held out, never on the test images.

    Returns
    -------
    accuracy, seconds : float
    """
    (x_train, t_train), test = cnnlib.load_mnist(flatten=False)
    network = cnnlib.SimpleConvNet(rng=seed)
    optimizer = cnnlib.Adam(lr)
    trainer = cnnlib.Trainer(
        network, x_train, t_train, *test, epochs, 100, optimizer, verbose=False, seed=seed
    )
    start = time.perf_counter()
    while trainer.current_iter < trainer.max_iter:
        optimizer.lr = lr * (1 - trainer.current_iter / trainer.max_iter)
        trainer.train_step()
    return network.accuracy(*test), time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--save", metavar="FILE.npz", help="write the trained parameters here")
    options = parser.parse_args()

    (x_train, t_train), (x_test, t_test) = cnnlib.load_mnist(flatten=False)
    network = cnnlib.SimpleConvNet(
        input_dim=(1, 28, 28),
        conv_param={"filter_num": 30, "filter_size": 5, "pad": 0, "stride": 1},
        hidden_size=100,
        output_size=10,
        weight_init_std=0.01,
        rng=options.seed,
    )
    trainer = cnnlib.Trainer(
        network,
        x_train,
        t_train,
        x_test,
        t_test,
        epochs=options.epochs,
        mini_batch_size=100,
        optimizer="Adam",
        optimizer_param={"lr": 0.001},
        evaluate_sample_num_per_epoch=1000,
        seed=options.seed,
    )
    start = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - start
    accuracy = network.accuracy(x_test, t_test)
    print(
        f"seed {options.seed}: {trainer.current_iter} steps in {seconds:.0f} s, "
        f"test accuracy {accuracy:.2%} of {len(x_test)}"
    )
    if options.save:
        network.save_params(options.save)


if __name__ == "__main__":
    main()
