"""The mean gates of SE blocks over images."""

from collections import Counter

import keras
import numpy as np

from keras_se.graph.walk import calls_for_training, graph_of, input_structure, is_graph, nodes

# All maps between a tensor and its last use are kept, for so many images at a time.
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
    gates = {id(layer): [] for layer in layers}

    def record(layer, features):
        if id(layer) in gates:
            batch = keras.ops.convert_to_numpy(layer.excitation(features)).astype("float64")
            gates[id(layer)].append(batch.reshape(len(batch), layer.fc2.units))

    for start in range(0, len(images[0]), BATCH):
        batch = [
            keras.ops.convert_to_tensor(image[start : start + BATCH], dtype=tensor.dtype)
            for image, tensor in zip(images, inputs, strict=True)
        ]
        _run(model, batch, record)
    return {layer: np.concatenate(batches).mean(axis=0) for layer, batches in gates.items()}


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


def _run(model, inputs, record):
    """What `model` gives in inference, every call's first argument being shown to `record`."""
    graph = graph_of(model)
    values = dict(zip(map(id, graph.inputs), inputs, strict=True))
    calls = [node for node in nodes(model) if not node.is_input]
    uses = Counter(id(tensor) for node in calls for tensor in node.input_tensors)
    uses.update(id(tensor) for tensor in graph.outputs)
    for node in calls:
        args, kwargs = node.arguments.fill_in(values)
        taken = [values[id(tensor)] for tensor in node.input_tensors]
        if is_graph(node.operation):
            _require_inference(node)
            outputs = _run(node.operation, taken, record)
        else:
            record(node.operation, taken[0] if taken else None)
            outputs = keras.tree.flatten(node.operation(*args, **kwargs))
        for tensor, value in zip(node.outputs, outputs, strict=True):
            # On PyTorch, what gradients would need is not kept.
            values[id(tensor)] = keras.ops.stop_gradient(value)
        for tensor in node.input_tensors:
            uses[id(tensor)] -= 1
            if not uses[id(tensor)]:
                values.pop(id(tensor), None)
    return [values[id(tensor)] for tensor in graph.outputs]


def _require_inference(node):
    """Raises if a model in the model is always called as in training."""
    if calls_for_training(node):
        raise ValueError(
            f"`model` calls the model {node.operation.name!r} in it with training=True, so its "
            "gates are not those of inference. Call it without."
        )
