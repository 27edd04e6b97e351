"""The mean gates of SE blocks over images."""

import keras
import numpy as np

from keras_se.graph.gates import tap_gates
from keras_se.graph.walk import graph_of, input_structure

# Images at a time: networks may be large.
BATCH = 16


def mean_gates(model, layers, images):
    """The mean gate of every channel of some SE layers, over images and over calls.

    Args:
        model: Functional `keras.Model`.
        layers: The `SqueezeExcite` layers, anywhere in it.
        images: Array, or structure of arrays, of the inputs of `model`, images along the first
            axis.

    Returns:
        A dictionary from the id of a layer to a float64 array `(channel,)`.

    Raises:
        ValueError: If there are no images, or not one array for each input.
    """
    inputs = graph_of(model).inputs
    images = [np.asarray(array) for array in _in_order(model, images)]
    _require_fit(images, inputs)
    new, gates = tap_gates(model, look_into=False)
    wanted = {id(layer) for layer in layers}
    gates = [block for block in gates if id(block.layer) in wanted]
    tapped = keras.Model(new.inputs, [block.tensor for block in gates])
    sums = {layer: [] for layer in wanted}
    for start in range(0, len(images[0]), BATCH):
        batch = [image[start : start + BATCH] for image in images]
        values = keras.tree.flatten(tapped.predict_on_batch(batch))
        for block, value in zip(gates, values, strict=True):
            sums[id(block.layer)].append(value.reshape(len(value), -1).astype("float64"))
    return {layer: np.concatenate(batches).mean(axis=0) for layer, batches in sums.items()}


def _in_order(model, images):
    """The arrays in the order of the inputs of `model`; those of a dictionary by name."""
    if not isinstance(images, dict):
        return keras.tree.flatten(images)
    graph = graph_of(model)
    structure = input_structure(model)
    keyed = isinstance(structure, dict)
    names = sorted(structure) if keyed else [tensor.name for tensor in graph.inputs]
    if set(names) != set(images):
        raise ValueError(
            f"`images` must have an array for each input of `model`: {', '.join(names)}. Received: "
            f"a dictionary of {', '.join(map(repr, images))}"
        )
    return [images[name] for name in names]


def _require_fit(images, inputs):
    """Raises unless there is an array for each input, of its shape and all of as many images."""
    shapes = [tuple(tensor.shape) for tensor in inputs]
    received = [array.shape for array in images]
    fit = len(received) == len(shapes) and all(map(_fits, received, shapes))
    if not fit or len({len(array) for array in images}) != 1 or not len(images[0]):
        raise ValueError(
            f"`images` must be None or {len(shapes)} arrays of the inputs of `model`, images along "
            f"the first axis, of the shapes {shapes}. Received: arrays of {received}"
        )


def _fits(received, shape):
    """Whether an array's shape is that of an input, whatever the batch."""
    pairs = zip(received[1:], shape[1:], strict=False)
    return len(received) == len(shape) and all(size in (side, None) for side, size in pairs)
