"""The questions of ``questions.toml``; where it says ``compute``, ``COMPUTED`` has the answer."""

import functools
import tomllib
from importlib import resources

import numpy as np

from cnnlib.classics import LeNet5
from cnnlib.layers import Convolution, Pooling, Relu
from cnnlib.networks import SimpleConvNet, Stack, load_trained
from cnnlib.visualize import receptive_fields
from cnnlib.windows import conv_output_size, im2col


def _filters(number, channels, size, **kwargs):
    return Convolution(np.zeros((number, channels, size, size)), np.zeros(number), **kwargs)


def _through(layers, shape):
    for layer in layers:
        shape = layer.output_shape(shape)
    return shape


def _changed_by_one_pixel():
    dot = np.zeros((1, 1, 28, 28))
    dot[0, 0, 14, 14] = 1
    return np.count_nonzero(Convolution(np.ones((1, 1, 5, 5)), np.zeros(1), pad=2).forward(dot))


def _figure_72(size=28, pooling=True):
    net = Stack((1, size, size))
    for i in (1, 2, 3):
        net.add_convolution(f"Conv{i}", 16, 3, pad=1)
        if pooling and i < 3:
            net.add(f"Pool{i}", Pooling(2, 2, stride=2))
    net.add_affine("Affine1", 100)
    net.add_affine("Affine2", 10)
    return net


def _weights_without_pooling():
    sizes = [_figure_72(pooling=pooling).layers["Affine1"].W.size for pooling in (False, True)]
    return sizes[0] // sizes[1]


def _more_to_learn_for_a_larger_image():
    pairs = zip(_figure_72().table(), _figure_72(56).table(), strict=True)
    return ", ".join(after.name for before, after in pairs if after.parameters > before.parameters)


def _numbers_to_the_affine_layer():
    first, second = _filters(32, 3, 3, pad=1), _filters(64, 32, 3, pad=1)
    return int(np.prod(_through([first, Pooling(2, 2), second, Pooling(2, 2)], (3, 32, 32))))


def _padding_for_an_even_filter():
    return next((pad for pad in range(5) if conv_output_size(9, 4, pad=pad) == 9), "none")


def _gradient_at_the_7():
    x = np.array([[3, 1, 0, 2], [5, 2, 4, 7], [1, 0, 6, 3], [8, 2, 1, 1]], float)
    pool = Pooling(3, 3, stride=1)
    pool.forward(x.reshape(1, 1, 4, 4))
    return int(pool.backward(np.array([[[[10.0, 20.0], [30.0, 40.0]]]]))[0, 0, 1, 3])


def _price_of_im2col():
    batch = np.zeros((1, 1, 28, 28))
    return f"{im2col(batch, 5, 5).size / batch.size:.1f} times as large"


def _field_of_conv2():
    size = {field.name: field.size for field in receptive_fields(load_trained("deep"))}["Conv2"]
    return f"{size} x {size}"


def _shape_into_c5():
    c1, s2, s4 = _filters(6, 1, 5), Pooling(2, 2, stride=2), Pooling(2, 2, stride=2)
    return _through([c1, s2, _filters(16, 6, 5), s4], (1, 28, 28))


def _shape_through_a_stack():
    first, last = _filters(20, 3, 5, pad=2), _filters(40, 20, 3, stride=2)
    return (8, *_through([first, Pooling(2, 2, stride=2), last], (3, 48, 48)))


def _gradient_through_relu():
    relu, largest = Relu(), Pooling(2, 2, stride=2)
    largest.forward(relu.forward(np.array([[[[-1.0, -3.0], [-2.0, -4.0]]]])))
    return int(relu.backward(largest.backward(np.array([[[[8.0]]]])))[0, 0, 0, 0])


_LONGER = (
    _changed_by_one_pixel, _weights_without_pooling, _more_to_learn_for_a_larger_image,
    _numbers_to_the_affine_layer, _padding_for_an_even_filter, _gradient_at_the_7,
    _price_of_im2col, _field_of_conv2, _shape_into_c5, _shape_through_a_stack,
    _gradient_through_relu,
)  # fmt: skip
# What "compute" may name.
COMPUTED = {function.__name__[1:]: function for function in _LONGER} | {
    "most_of_the_work": lambda: max(_figure_72().table(), key=lambda r: r.multiplications).name,
    "shape_of_one_filter": lambda: _filters(1, 3, 3).output_shape((3, 5, 5)),
    "shape_behind_two_layers": lambda: (
        100,
        *_filters(32, 16, 5, stride=2).output_shape((16, 32, 32)),
    ),
    "numbers_of_a_convolution": lambda: SimpleConvNet().table()[1].parameters,
    "pooled_shape": lambda: (10, *Pooling(2, 2, stride=2).output_shape((30, 24, 24))),
    "shape_of_col": lambda: im2col(np.zeros((10, 3, 7, 7)), 5, 5).shape,
    "shape_after_pool1": lambda: SimpleConvNet().summary()[3][1],
    "field_of_c3": lambda: {field.name: field.size for field in receptive_fields(LeNet5())}["C3"],
}


@functools.cache
def load_questions():
    """Read all questions: chapter -> name -> what the file says."""
    return tomllib.loads((resources.files(__package__) / "questions.toml").read_text("utf-8"))


def find(chapter, name):
    """Look a question up: its "question", "replies", "answer" (as text) and "kind"."""
    question = load_questions().get(chapter, {}).get(name)
    if question is None:
        raise ValueError(f"there is no question {name!r} in chapter {chapter!r}")
    answer = COMPUTED[question["compute"]]() if "compute" in question else question["answer"]
    return {"kind": "choices", **question, "answer": str(answer)}
