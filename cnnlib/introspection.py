"""Looking into a network: what its neurons answer to, and where they look (section 7.6).

1. ``feature_maps``             what every layer puts out for an image
2. ``receptive_fields``         how much of the image a neuron sees; ``patch_of`` for one of them
3. ``gradient_of``              which pixels would excite a neuron more: backward from inside
4. ``activation_maximisation``  follow that gradient, and get the image that a neuron prefers
5. ``top_patches``              or search real images for what excites it most
6. ``occlusion_map``            cover a part of an image: does the network still know the answer?

A *unit* is one neuron of a layer. It is named by ``(c, p, q)``: map c, row p, column q; or by a
single number: that neuron of an affine layer, or the one in the middle of that map.
"""

from typing import NamedTuple

import numpy as np

from cnnlib.layers import Dropout
from cnnlib.windows import conv_output_size, whole_number


def feature_maps(network, x):
    """Compute what every layer puts out, as `predict` does but keeping it all.

    Parameters
    ----------
    network : Network
    x : ndarray, shape (N, C, H, W)
        Images.

    Returns
    -------
    dict of ndarray
        For each layer, in order, its output: (N, C, H, W), or (N, D) from the first affine layer
        on. Nothing is dropped by Dropout.

    Raises
    ------
    ValueError
        If the images are not of the shape the network was built for.

    Notes
    -----
    Book section 7.6.
    """
    network.check_images(x)
    maps = {}
    for name, layer in network.layers.items():
        x = maps[name] = layer.forward(x, train_flg=False)
    return maps


class Field(NamedTuple):
    """What the neurons of one layer see of the image, along one axis.

    Attributes
    ----------
    name : str
        Of the layer.
    size : int
        Receptive field r: pixels that a neuron sees.
    jump : int
        Pixels from the field of one neuron to that of its neighbour.
    start : int
        First pixel that the first neuron sees; negative where that is padding.
    """

    name: str
    size: int
    jump: int
    start: int


def receptive_fields(network, axis=0):
    """Compute the receptive field of every layer.

    ::

        size[l]  = size[l-1] + (k[l] - 1) * jump[l-1]         k window size, S stride, P padding
        jump[l]  = jump[l-1] * S[l]                           size = jump = 1 and start = 0
        start[l] = start[l-1] - P[l] * jump[l-1]              for the pixels themselves

    In one formula: size[l] = 1 + sum over the layers i up to l of (k[i] - 1) * S[1] * ... * S[i-1].

    Parameters
    ----------
    network : Network, or sequence of (size, stride) or (size, stride, pad)
        A list of windows needs no network. In a network, an affine layer is a window over all of
        its input; a layer that works place by place (ReLU, normalisation) changes nothing.
    axis : {0, 1}, default 0
        Along the rows or the columns; they differ only where windows or images are not square.

    Returns
    -------
    list of Field
        (name, size, jump, start) for each layer. The size is that of the formula: at the border,
        `patch_of` clips it.

    Raises
    ------
    ValueError
        If a number is not possible.

    Notes
    -----
    Book section 7.6.2. Where a stride is larger than the next window, the field has gaps, and the
    size is from its first pixel to its last.

    Examples
    --------
    >>> [field.size for field in receptive_fields([(5, 1), (2, 2), (5, 1)])]
    [5, 6, 14]
    """
    fields, size, jump, start = [], 1, 1, 0
    for name, k, stride, pad in _windows(network, axis):
        size += (k - 1) * jump
        start -= pad * jump
        jump *= stride
        fields.append(Field(name, size, jump, start))
    return fields


def patch_of(network, layer, unit):
    """Give the rows and columns of the image that one neuron sees, clipped at the border.

    Parameters
    ----------
    network : Network
    layer : str
        Name of the layer.
    unit : int or (c, p, q)
        Which neuron.

    Returns
    -------
    rows, columns : slice
        So that ``x[:, :, rows, columns]`` is all that the neuron sees.

    Raises
    ------
    ValueError
        If there is no such layer or unit.
    """
    place = _unit(network, layer, unit)[1:] or (0, 0)
    rows, columns = (
        _seen(_field(network, layer, axis), place[axis], network.input_dim[1 + axis])
        for axis in (0, 1)
    )
    return rows, columns


def gradient_of(network, x, layer, unit):
    """Compute the gradient of one neuron by the pixels: backward, begun at an inner layer.

    It is positive where a brighter pixel would excite the neuron more. The network behaves as in
    `predict`: nothing is dropped.

    Parameters
    ----------
    network : Network
        Its parameters stay as they are; what its layers keep from a forward pass is replaced.
    x : ndarray, shape (N, C, H, W)
        Images.
    layer : str
        Name of the layer.
    unit : int or (c, p, q), or a list of N of them
        Which neuron; a list has one for each image.

    Returns
    -------
    ndarray, shape (N, C, H, W)
        For each image the gradient of its neuron; zero outside `patch_of` it.

    Raises
    ------
    ValueError
        If there is no such layer or unit, or if the images do not fit the network.

    Notes
    -----
    Simonyan, Vedaldi and Zisserman, "Deep Inside Convolutional Networks" (2013).
    """
    return _activation_and_gradient(network, x, layer, _units(network, layer, unit, len(x)))[1]


class Maximised(NamedTuple):
    """What `activation_maximisation` found.

    Attributes
    ----------
    images : ndarray, shape (U, C, H, W)
        The preferred image of each unit.
    activations : ndarray, shape (steps + 1, U)
        How excited each unit was by the image as shifted at that step; last, by the result.
    """

    images: np.ndarray
    activations: np.ndarray


def activation_maximisation(
    network,
    layer,
    units,
    steps=60,
    rng=0,
    *,
    lr=0.3,
    jitter=1,
    decay=0.01,
    blur=0.2,
    low=0.0,
    high=1.0,
):
    """Draw, for each unit, an image that excites it as much as possible.

    It begins with faint noise and goes uphill. At each step, for each image::

        image += lr * gradient / max |gradient|        the pixels that matter most
        image -= decay * image                         L2: no brightness without need
        image += blur * (blurred image - image)        neighbours are alike, as in real images
        image  = clip(image, low, high)

    and all of it on the image shifted by a few pixels, another way at each step: what excites a
    unit only at one exact place is not a feature, and would be noise on top of noise.

    Parameters
    ----------
    network : Network
        Its parameters stay as they are.
    layer : str
        Name of the layer.
    units : int or (c, p, q), or a list of U of them
        Which neurons; one image is drawn for each, all at once.
    steps : int, default 60
        How many steps.
    rng : numpy.random.Generator or int, default 0
        For the first image and the shifts.
    lr : float, default 0.3
        Change of the pixel that matters most, per step.
    jitter : int, default 1
        Largest shift, in pixels. 0 for none: right for a first layer of small filters.
    decay, blur : float, default 0.01, 0.2
        Strengths, from 0 (none) to 1.
    low, high : float, default 0, 1
        Range of the pixels the network knows.

    Returns
    -------
    Maximised
        (images, activations).

    Raises
    ------
    ValueError
        If there is no such layer or unit, or if a setting is not possible.

    Notes
    -----
    Book section 7.6.2; Erhan, Bengio, Courville and Vincent, "Visualizing Higher-Layer Features of
    a Deep Network" (2009). Without the last three lines the result is an image of high frequencies
    that no eye can read: try it. A unit whose gradient is zero at the start (a ReLU that is silent)
    cannot be followed anywhere; name the layer before the ReLU.
    """
    steps, jitter = whole_number("steps", steps, least=0), whole_number("jitter", jitter, least=0)
    if not lr > 0 or not 0 <= decay <= 1 or not 0 <= blur <= 1 or not low < high:
        raise ValueError(
            "lr must be positive, decay and blur in 0..1 and low below high, got "
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
    """What `top_patches` found, the most exciting first.

    Attributes
    ----------
    patches : ndarray, shape (k, C, r, r)
        The part of the image that the neuron sees; zeros where it looks over the border.
    activations : ndarray, shape (k,)
        How excited it was.
    images : ndarray of int, shape (k,)
        Numbers of the images.
    positions : ndarray of int, shape (k, 2)
        Row and column of the neuron in its map; (0, 0) in an affine layer.
    """

    patches: np.ndarray
    activations: np.ndarray
    images: np.ndarray
    positions: np.ndarray


def top_patches(network, layer, c, images, k=9, batch_size=100):
    """Search images for the patches that excite a map (or an affine neuron) most.

    All neurons of a map have the same weights, so they all look for the same thing: of each image
    the place counts where the map is largest. For several maps of a layer the images go through
    the network only once.

    Parameters
    ----------
    network : Network
    layer : str
        Name of the layer.
    c : int or list of int
        Number of the map, or of the neuron of an affine layer; or several of them.
    images : ndarray, shape (N, C, H, W)
        Where to search.
    k : int, default 9
        How many patches, from k different images.
    batch_size : int, default 100
        Images at a time.

    Returns
    -------
    TopPatches, or a list of them
        (patches, activations, images, positions), one for each c. The patches have the size of
        the receptive field, or of the image where the field is larger.

    Raises
    ------
    ValueError
        If there is no such layer or map, if c is an empty list, or if k is not between 1 and the
        number of images.

    Notes
    -----
    Book section 7.6.2; Girshick et al. (2014) and Zeiler and Fergus (2014) show such patches.
    """
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
    best, places = np.concatenate(best), np.concatenate(places)  # (N, U)
    shape = out.shape[2:] or (1, 1)
    found = []
    for excited, place in zip(best.T, places.T, strict=True):
        order = np.argsort(-excited, kind="stable")[:k]
        positions = np.column_stack(np.unravel_index(place[order], shape))  # (k, 2)
        patches = _patches(network, layer, images[order], positions)
        found.append(TopPatches(patches, excited[order], order, positions))
    return found if isinstance(c, list) else found[0]


def occlusion_map(network, image, label, size=5, stride=1, fill=0.0, batch_size=100):
    """Cover one part of an image after another, and ask for the probability of a class.

    Where it falls, the network needs what was covered.

    Parameters
    ----------
    network : Network
    image : ndarray, shape (C, H, W)
        One image.
    label : int
        The class whose probability is asked for.
    size : int, default 5
        The cover is size x size pixels.
    stride : int, default 1
        Step between two covers.
    fill : float, default 0
        What the covered pixels become; 0 is MNIST's paper.
    batch_size : int, default 100
        Covered images at a time.

    Returns
    -------
    ndarray, shape (OH, OW)
        Probability of `label` with rows p*stride .. p*stride + size - 1 and the columns alike
        covered; OH and OW by formula (7.1). ``network.probabilities(image[None])`` is that of the
        whole image.

    Raises
    ------
    ValueError
        If the image does not fit the network, the cover not the image, or if there is no such
        class.

    Notes
    -----
    Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks" (2014), section 4.2.
    """
    network.check_images(np.asarray(image)[np.newaxis])
    _, H, W = image.shape
    OH, OW = conv_output_size(H, size, stride), conv_output_size(W, size, stride)
    K = network.table()[-1].shape[0]
    if not 0 <= whole_number("label", label, least=0) < K:
        raise ValueError(f"label must be 0..{K - 1}, got {label}")
    batch_size = whole_number("batch_size", batch_size)
    corners = [(p * stride, q * stride) for p in range(OH) for q in range(OW)]
    found = []
    for start in range(0, len(corners), batch_size):
        some = corners[start : start + batch_size]
        covered = np.repeat(image[np.newaxis], len(some), axis=0)
        for one, (row, column) in zip(covered, some, strict=True):
            one[:, row : row + size, column : column + size] = fill
        found.append(network.probabilities(covered)[:, label])
    return np.concatenate(found).reshape(OH, OW)


def _windows(network, axis):
    """Yield (name, window size, stride, padding) along one axis for each layer of a network."""
    if not hasattr(network, "layers"):
        for number, (k, stride, *pad) in enumerate(network, start=1):
            pad = whole_number("pad", pad[0], least=0) if pad else 0
            yield f"layer {number}", whole_number("size", k), whole_number("stride", stride), pad
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


def _seen(field, i, n):
    """Return the pixels, of n along an axis, that the neuron at place i sees."""
    first = field.start + i * field.jump
    return slice(max(first, 0), min(first + field.size, n))


def _patches(network, layer, images, positions):
    """Cut out of each image what the neuron at its position sees; zeros over the border."""
    fields = [_field(network, layer, axis) for axis in (0, 1)]
    sizes = [min(field.size, n) for field, n in zip(fields, network.input_dim[1:], strict=True)]
    patches = np.zeros((len(images), images.shape[1], *sizes), images.dtype)
    for patch, image, place in zip(patches, images, positions, strict=True):
        seen, inside = [], []
        for field, i, n in zip(fields, place, network.input_dim[1:], strict=True):
            pixels = _seen(field, i, n)
            first = field.start + i * field.jump if field.size <= n else 0
            seen.append(pixels)
            inside.append(slice(pixels.start - first, pixels.stop - first))
        patch[:, inside[0], inside[1]] = image[:, seen[0], seen[1]]
    return patches


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


def _forward(network, x, layer):
    """Compute the output of one layer, inference."""
    network.check_images(x)
    for name, one in network.layers.items():
        x = one.forward(x, train_flg=False)
        if name == layer:
            return x


def _activation_and_gradient(network, x, layer, indices):
    """Return (N,) activations, each of its own unit, and their gradients by the N images."""
    network.check_images(x)
    passed = []
    for name, one in network.layers.items():
        x = one.forward(x, train_flg=not isinstance(one, Dropout))
        passed.append(one)
        if name == layer:
            break
    at = (np.arange(len(x)), *np.transpose(indices))
    dout = np.zeros_like(x)
    dout[at] = 1
    for one in reversed(passed):
        if isinstance(one, Dropout):  # in inference it only scales
            dout = dout * (1 - one.dropout_ratio)
        else:
            dout = one.backward(dout)
    return x[at], dout


def _blurred(images):
    """Mix every pixel with its neighbours, 1 : 2 : 1 along rows and columns, round the border."""
    for axis in (2, 3):
        around = np.roll(images, 1, axis) + np.roll(images, -1, axis)
        images = (2 * images + around) / 4
    return images
