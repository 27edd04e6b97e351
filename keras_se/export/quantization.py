"""Networks as 8-bit integers can hold them, and LiteRT is fast with."""

import keras
import numpy as np
from keras import activations

from keras_se.graph.rewrite import rewrite
from keras_se.graph.walk import all_nodes, producer
from keras_se.layers import HardSwishProduct

# Of the numbers before the activation, what its results must reach, or the bottleneck is silent.
SILENT = 0.01
POOLS = (keras.layers.GlobalAveragePooling2D, keras.layers.GlobalMaxPooling2D)
BATCH = 16


def for_integers(network, images):
    """Prepares a network for 8-bit integers; its outputs stay.

    Args:
        network: What `keras_se.fold` gave.
        images: The calibration images, normalized.

    Returns:
        `network`, or a new model.
    """
    return with_ranges(_with_products(network), images)


def _with_products(network):
    """`network` without the operator for hard swish."""
    if not any(_is_hard_swish(node.operation) for node in all_nodes(network)):
        return network
    products = {}

    def rule(node, copy):
        layer = node.operation
        if not _is_hard_swish(layer):
            return None
        is_activation = type(layer) is keras.layers.Activation
        name = layer.name if is_activation else f"{layer.name}_product"
        # One for all calls of a layer.
        product = products.setdefault(id(layer), HardSwishProduct(name=name))
        if is_activation:
            return product
        copy.activation = activations.linear
        return lambda *args, **keywords: product(copy(*args, **keywords))

    return rewrite(network, rule)


def _is_hard_swish(layer):
    """Whether a layer is hard swish or ends in it."""
    return getattr(layer, "activation", None) is activations.hard_silu


def with_ranges(network, images):
    """Gives a range to bottlenecks of gates that are silent on all calibration images.

    The few units of a bottleneck may all be below zero on every image. The range of what follows
    the ReLU is then zero, no integer can stand for it, and LiteRT refuses to run the file. Such a
    bottleneck gets one more unit, a constant that the layer after it multiplies by zero: the
    outputs stay, and the range is that of the numbers before the activation.

    Args:
        network: What `keras_se.fold` gave.
        images: The calibration images, normalized.

    Returns:
        `network`, or a new model if it has silent bottlenecks.
    """
    pairs = _silent(network, images)
    if not pairs:
        return network

    def rule(node, copy):
        layer = node.operation
        if layer.name in pairs:
            kernel, bias = map(_array, (layer.kernel, layer.bias))
            kernel = np.concatenate([kernel, np.zeros_like(kernel[..., :1])], axis=-1)
            return _pointwise(layer, kernel, np.append(bias, pairs[layer.name]))
        if producer(node.input_tensors[0]).name in pairs:
            kernel, bias = map(_array, (layer.kernel, layer.bias))
            kernel = np.concatenate([kernel, np.zeros_like(kernel[:, :, :1])], axis=2)
            return _pointwise(layer, kernel, bias)
        return None

    return rewrite(network, rule)


def _silent(network, images):
    """The largest number before the activation by the name of each silent bottleneck."""
    layers = [node.operation for node in all_nodes(network) if _is_bottleneck(node.operation)]
    if not layers:
        return {}
    pooled = keras.Model(network.input, [layer.input for layer in layers])
    largest = np.zeros((2, len(layers)))
    for start in range(0, len(images), BATCH):
        results = keras.tree.flatten(pooled(images[start : start + BATCH], training=False))
        for index, (layer, x) in enumerate(zip(layers, results, strict=True)):
            x = _array(x).reshape(-1, layer.kernel.shape[2])
            x = x @ _array(layer.kernel)[0, 0] + _array(layer.bias)
            largest[:, index] = np.maximum(largest[:, index], (x.max(), np.abs(x).max()))
    return {
        layer.name: float(size)
        for layer, (high, size) in zip(layers, largest.T, strict=True)
        if high < SILENT * size
    }


def _is_bottleneck(layer):
    return (
        isinstance(layer, keras.layers.Conv2D)
        and layer.activation is keras.activations.relu
        and isinstance(producer(layer.input), POOLS)
    )


def _array(tensor):
    return keras.ops.convert_to_numpy(tensor)


def _pointwise(layer, kernel, bias):
    """A layer as `layer`, with these weights."""
    config = layer.get_config() | {"filters": len(bias)}
    new = type(layer).from_config(config)
    new.build((None, 1, 1, kernel.shape[2]))
    new.kernel.assign(kernel)
    new.bias.assign(bias)
    return new
