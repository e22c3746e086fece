"""Looking into a network: what its neurons answer to, and where they look (section 7.6).

1. ``feature_maps``             the output of every layer
2. ``receptive_fields``         how much of the image a neuron sees; ``patch_of`` for one of them
3. ``gradient_of``              which pixels would excite a neuron more: backward from inside
4. ``activation_maximisation``  follow that gradient to the image that a neuron prefers
5. ``top_patches``              search real images for what excites it most
6. ``occlusion_map``            cover a part of an image: does the network still know the answer?

Everywhere `network` is a `Network`, whose parameters stay as they are, and `layer` the name of one
of its layers. A *unit* is one neuron of that layer, named by ``(c, p, q)``: map c, row p, column q;
or by a single number: that neuron of an affine layer, or the one in the middle of that map.
ValueError is raised where there is none of that name, where images do not fit the network, and
where a setting is not possible.
"""

from typing import NamedTuple

import numpy as np

from cnnlib.fast import one_blas_thread
from cnnlib.layers import Dropout
from cnnlib.windows import conv_output_size, whole_number


def feature_maps(network, x):
    """Compute the output of every layer for images x, as a dict: `predict`, and all in between.

    The outputs have shape (N, C, H, W), or (N, D) from the first affine layer on.
    """
    network.check_images(x)
    maps = {}
    with one_blas_thread():
        for name, layer in network.layers.items():
            x = maps[name] = layer.forward(x, train_flg=False)
    return maps


class Field(NamedTuple):
    """What the neurons of one layer see of the image, along one axis."""

    name: str  # of the layer
    size: int  # receptive field: pixels that a neuron sees
    jump: int  # pixels from the field of one neuron to that of its neighbor
    start: int  # first pixel that the first neuron sees; negative where that is padding


def receptive_fields(network, axis=0):
    """Compute the receptive field of every layer (book section 7.6.2).

        size[l]  = size[l-1] + (k[l] - 1) * jump[l-1]         k window size, S stride, P padding
        jump[l]  = jump[l-1] * S[l]                           size = jump = 1 and start = 0
        start[l] = start[l-1] - P[l] * jump[l-1]              for the pixels themselves

    Where a stride is larger than the next window, the field has gaps, which count.

    Parameters
    ----------
    network : Network, or sequence of (size, stride) or (size, stride, pad)
        A list of windows needs no network. In a network, an affine layer is a window over all of
        its input; a layer that works element by element changes nothing.
    axis : {0, 1}, default 0
        Along the rows or the columns.

    Returns
    -------
    list of Field

    Raises
    ------
    ValueError
        If a window has too few or too many numbers, or one that is not possible.
    """
    fields, size, jump, start = [], 1, 1, 0
    for name, k, stride, pad in _windows(network, axis):
        size += (whole_number("size", k) - 1) * jump
        start -= whole_number("pad", pad, least=0) * jump
        jump *= whole_number("stride", stride)
        fields.append(Field(name, size, jump, start))
    return fields


def patch_of(network, layer, unit):
    """Give the two slices (rows, columns) of the image that one neuron sees: all it depends on."""
    position = _unit(network, layer, unit)[1:] or (0, 0)
    slices = []
    for axis, (i, n) in enumerate(zip(position, network.input_dim[1:], strict=True)):
        field = _field(network, layer, axis)
        first = field.start + i * field.jump
        slices.append(slice(*np.clip([first, first + field.size], 0, n).tolist()))
    return tuple(slices)


def gradient_of(network, x, layer, unit):
    """Compute the gradient of one neuron by the pixels: backward, begun at an inner layer.

    It has the shape of the images x, (N, C, H, W), and is positive where a brighter pixel would
    excite the neuron more. A list of N units has one for each image. Nothing is dropped; what the
    layers saved for backward is replaced (Simonyan, Vedaldi and Zisserman, "Deep Inside
    Convolutional Networks", 2013).
    """
    network.check_images(x)
    return _activation_and_gradient(network, x, layer, _units(network, layer, unit, len(x)))[1]


class Maximised(NamedTuple):
    """What `activation_maximisation` found for U units."""

    images: np.ndarray  # (U, C, H, W): the image that each unit prefers
    activations: np.ndarray  # (steps + 1, U): before each step, and last by the result


def activation_maximisation(
    network, layer, units, steps=60, rng=0, *, lr=0.3, jitter=1, decay=0.01, blur=0.2, low=0, high=1
):
    """Draw, for each unit, an image that excites it as much as possible (book section 7.6.2).

    It begins with faint noise and goes uphill. At each step, for each image::

        image += lr * gradient / max |gradient|        the pixels that matter most
        image -= decay * image                         L2: no brightness without need
        image += blur * (blurred image - image)        neighbors are alike, as in real images
        image  = clip(image, low, high)

    and all of it on the image shifted by a few pixels, differently at each step: what excites a
    unit only at one exact position is not a feature. Where the gradient is zero at the start (a
    ReLU that is silent) there is nothing to follow: name the layer before the ReLU. After Erhan,
    Bengio, Courville and Vincent, "Visualizing Higher-Layer Features of a Deep Network" (2009).

    Parameters
    ----------
    units : int or (c, p, q), or a list of U of them
    steps : int, default 60
    rng : numpy.random.Generator or int, default 0
        For the first image and the shifts.
    lr : float, default 0.3
        Change of the pixel that matters most, per step.
    jitter : int, default 1
        Largest shift, in pixels. 0 suits a first layer of small filters.
    decay, blur : float, default 0.01, 0.2
        Strengths, from 0 (none) to 1.
    low, high : float, default 0, 1
        Range of the pixels the network knows.

    Returns
    -------
    Maximised
    """
    steps, jitter = whole_number("steps", steps, least=0), whole_number("jitter", jitter, least=0)
    possible = 0 < lr < np.inf and 0 <= decay <= 1 and 0 <= blur <= 1
    if not possible or not -np.inf < low < high < np.inf:
        raise ValueError(
            "lr must be positive, decay and blur in 0..1 and low below high, all finite; got "
            f"lr {lr}, decay {decay}, blur {blur}, low {low}, high {high}"
        )
    rng = np.random.default_rng(rng)
    indices = _units(network, layer, units, len(units) if isinstance(units, list) else 1)
    noise = rng.random((len(indices), *network.input_dim))
    images = (low + 0.2 * (high - low) * noise).astype(network.dtype)
    activations = []
    for _ in range(steps):
        shift = rng.integers(-jitter, jitter + 1, 2)
        images = np.roll(images, shift, axis=(2, 3))
        activation, gradient = _activation_and_gradient(network, images, layer, indices)
        activations.append(activation)
        largest = np.abs(gradient).max(axis=(1, 2, 3), keepdims=True)
        images += lr * gradient / np.maximum(largest, np.finfo(images.dtype).tiny)
        images -= decay * images
        images += blur * (_blurred(images) - images)
        images = np.roll(np.clip(images, low, high), -shift, axis=(2, 3))
    activations.append(_activation_and_gradient(network, images, layer, indices)[0])
    return Maximised(images, np.array(activations))


class TopPatches(NamedTuple):
    """What `top_patches` found, the most exciting first."""

    patches: np.ndarray  # (k, C, r, r): what the neuron sees; zeros where it looks over the border
    activations: np.ndarray  # (k,)
    images: np.ndarray  # (k,): numbers of the images
    positions: np.ndarray  # (k, 2): row and column in the map; (0, 0) in an affine layer


def top_patches(network, layer, c, images, k=9, batch_size=100):
    """Search images for the patches that excite a map (or an affine neuron) most.

    All neurons of a map have the same weights and so look for the same thing: each image counts
    once, with the position where its map is largest (book section 7.6.2; Zeiler and Fergus, 2014).

    Parameters
    ----------
    c : int or list of int
        Number of the map, or of the neuron of an affine layer; a list shares one pass of the images
        through the network.
    images : ndarray, shape (N, C, H, W)
    k : int, default 9
        How many patches, from k different images.
    batch_size : int, default 100

    Returns
    -------
    TopPatches, or a list of them
        One for each c. The patches have the size of the receptive field, or of the image where the
        field is larger.
    """
    network.check_images(images)
    if not 1 <= whole_number("k", k) <= len(images):
        raise ValueError(f"k must be 1..{len(images)} (the images), got {k}")
    numbers = c if isinstance(c, list) else [c]
    if not numbers:
        raise ValueError("c must name at least one map, got an empty list")
    numbers = [_unit(network, layer, whole_number("c", one, least=0))[0] for one in numbers]
    best, places = [], []
    for start in range(0, len(images), whole_number("batch_size", batch_size)):
        out = _forward(network, images[start : start + batch_size], layer)[:, numbers]
        flat = out.reshape(*out.shape[:2], -1)  # (n, U, OH*OW), U maps
        best.append(flat.max(axis=2))
        places.append(flat.argmax(axis=2))
    found, shape = [], out.shape[2:] or (1, 1)
    for activations, place in zip(np.vstack(best).T, np.vstack(places).T, strict=True):  # (N,)
        order = np.argsort(-activations, kind="stable")[:k]
        positions = np.column_stack(np.unravel_index(place[order], shape))  # (k, 2)
        patches = _patches(network, layer, images[order], positions)
        found.append(TopPatches(patches, activations[order], order, positions))
    return found if isinstance(c, list) else found[0]


def occlusion_map(network, image, label, size=5, stride=1, fill=0.0, batch_size=100):
    """Cover one part of an image after another, and ask for the probability of a class.

    Where it falls, the network needs what was covered (Zeiler and Fergus, "Visualizing and
    Understanding Convolutional Networks", 2014, section 4.2).

    Parameters
    ----------
    image : ndarray, shape (C, H, W)
    label : int
        The class.
    size, stride : int, default 5, 1
        The cover is size x size pixels, and moves by `stride`.
    fill : float, default 0
        What the covered pixels become; 0 is MNIST's paper.
    batch_size : int, default 100

    Returns
    -------
    ndarray, shape (OH, OW)
        Probability of `label` with rows p*stride .. p*stride + size - 1 and the columns alike
        covered; OH and OW by formula (7.1).
    """
    image = np.asarray(image)
    network.check_images(image[np.newaxis])
    size, stride = whole_number("size", size), whole_number("stride", stride)
    OH, OW = (conv_output_size(n, size, stride) for n in image.shape[1:])
    K = network.table()[-1].shape[0]
    if whole_number("label", label, least=0) >= K:
        raise ValueError(f"label must be 0..{K - 1}, got {label}")
    corners = [(p * stride, q * stride) for p in range(OH) for q in range(OW)]
    found = []
    for start in range(0, len(corners), whole_number("batch_size", batch_size)):
        some = corners[start : start + batch_size]
        covered = np.repeat(image[np.newaxis], len(some), axis=0)
        for one, (row, column) in zip(covered, some, strict=True):
            one[:, row : row + size, column : column + size] = fill
        found.append(network.probabilities(covered)[:, label])
    return np.concatenate(found).reshape(OH, OW)


def _windows(network, axis):
    """Yield (name, window size, stride, padding) along one axis for each layer of a network."""
    if axis not in (0, 1):
        raise ValueError(f"axis must be 0 (rows) or 1 (columns), got {axis}")
    if not hasattr(network, "layers"):
        for number, window in enumerate(network, start=1):
            if np.shape(window) not in ((2,), (3,)):
                raise ValueError(f"a window is (size, stride) or (size, stride, pad), got {window}")
            yield f"layer {number}", *window, *[0] * (3 - len(window))
        return
    shape = network.input_dim
    for name, layer in network.layers.items():
        after = layer.output_shape(shape)
        if hasattr(layer, "pool_h"):
            yield name, (layer.pool_h, layer.pool_w)[axis], layer.stride, layer.pad
        elif hasattr(layer, "stride"):  # a convolution: its filters end with (FH, FW)
            yield name, layer.W.shape[-2:][axis], layer.stride, layer.pad
        elif len(after) < len(shape):  # affine: a window over everything
            yield name, shape[1 + axis], 1, 0
        else:
            yield name, 1, 1, 0
        shape = after


def _field(network, layer, axis):
    """Return the receptive field of one layer along one axis."""
    return next(field for field in receptive_fields(network, axis) if field.name == layer)


def _patches(network, layer, images, positions):
    """Cut out of each image what the neuron at its position sees; zeros over the border."""
    for axis, n in enumerate(network.input_dim[1:]):
        field = _field(network, layer, axis)
        if field.size > n:  # the image as it is
            continue
        frame = np.zeros((4, 2), int)
        frame[2 + axis] = -field.start  # no neuron looks further over the border
        first = positions[:, axis] * field.jump  # field.start, in the frame, is 0
        seen = first[:, np.newaxis] + np.arange(field.size)  # (k, size)
        seen = np.expand_dims(seen, (1, 3 - axis))  # (k, 1, size, 1) or (k, 1, 1, size)
        images = np.take_along_axis(np.pad(images, frame), seen, axis=2 + axis)
    return images


def _units(network, layer, units, N):
    """Return N indices: of one unit N times, or of a list of N units one by one."""
    if not isinstance(units, list):
        return [_unit(network, layer, units)] * N
    if len(units) != N or not units:
        raise ValueError(f"a list of units has one for each image: {len(units)} and {N}")
    return [_unit(network, layer, unit) for unit in units]


def _unit(network, layer, unit):
    """Return the index of a unit in the output of its layer for one image, after checking it."""
    if layer not in network.layers:
        raise ValueError(f"no layer {layer!r}; there are {list(network.layers)}")
    shape = next(row.shape for row in network.table() if row.name == layer)
    index = unit if isinstance(unit, tuple) else (unit, *(n // 2 for n in shape[1:]))
    index = tuple(whole_number("unit", i, least=0) for i in index)
    if len(index) != len(shape) or any(i >= n for i, n in zip(index, shape, strict=False)):
        raise ValueError(f"layer {layer!r} has units of shape {shape}; there is no unit {unit}")
    return index


def _forward(network, x, layer, train_flg=False):
    """Compute the output of one layer, where nothing is dropped even if `train_flg`."""
    with one_blas_thread():
        for name, one in network.layers.items():
            x = one.forward(x, train_flg=train_flg and not isinstance(one, Dropout))
            if name == layer:
                return x


def _activation_and_gradient(network, x, layer, indices):
    """Return (N,) activations, each of its own unit, and their gradients by the N images."""
    out = _forward(network, x, layer, train_flg=True)
    at = (np.arange(len(x)), *np.transpose(indices))
    dout = np.zeros_like(out)
    dout[at] = 1
    names = list(network.layers)
    with one_blas_thread():
        for name in reversed(names[: names.index(layer) + 1]):
            one = network.layers[name]
            if isinstance(one, Dropout):  # in inference it only scales
                dout = dout * (1 - one.dropout_ratio)
            else:
                dout = one.backward(dout)
    return out[at], dout


def _blurred(images):
    """Mix every pixel with its neighbors, 1 : 2 : 1 along rows and columns, round the border."""
    for axis in (2, 3):
        around = np.roll(images, 1, axis) + np.roll(images, -1, axis)
        images = (2 * images + around) / 4
    return images
