"""Scales and shifts the channels that a layer gives by changing its weights."""

from collections import Counter

import keras
import numpy as np

from keras_se.data_format import channel_axis
from keras_se.graph.ancestors import is_linear
from keras_se.graph.walk import all_nodes, graph_of, graphs

LAST = ("kernel", lambda scale, kernel: scale)
# Of each type of layer, the weight to scale and the scale laid out along its output channels. By
# exact type: a subclass may compute anything.
KERNELS = {
    **dict.fromkeys((keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D), LAST),
    keras.layers.Dense: LAST,
    **dict.fromkeys(
        (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D),
        ("kernel", lambda scale, kernel: scale.reshape(kernel.shape[-2:])),
    ),
    **dict.fromkeys(
        (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D),
        ("pointwise_kernel", lambda scale, kernel: scale),
    ),
    **dict.fromkeys(
        (
            keras.layers.Conv1DTranspose,
            keras.layers.Conv2DTranspose,
            keras.layers.Conv3DTranspose,
        ),
        ("kernel", lambda scale, kernel: scale[:, None]),
    ),
}


class Producers:
    """Finds the layer whose output one call alone takes, so that it may be changed for that call.

    Args:
        model: Functional `keras.Model`.
    """

    def __init__(self, model):
        calls = all_nodes(model)
        self._calls = Counter(id(node.operation) for node in calls)
        self._producers = {id(tensor): node for node in calls for tensor in node.outputs}
        self._uses = Counter(id(tensor) for node in calls for tensor in node.input_tensors)
        results = (graph_of(graph).outputs for graph in graphs(model))
        self._uses.update(id(tensor) for outputs in results for tensor in outputs)

    def of(self, node):
        """The call whose layer can take over what the call `node` does to its channels, if any.

        It is that of a layer of `KERNELS` without an activation or of a batch norm; both layers
        are called once, and nothing else takes the tensor between them.
        """
        if len(node.input_tensors) != 1:
            return None
        tensor = node.input_tensors[0]
        producer = self._producers[id(tensor)]
        once = self._calls[id(node.operation)] == self._calls[id(producer.operation)] == 1
        exclusive = once and self._uses[id(tensor)] == 1
        return producer if exclusive and is_affine(producer.operation) else None


def is_affine(layer):
    """Whether a layer ends in a product and a sum for each channel that can be changed."""
    # Quantized and LoRA kernels are not the sum of one weight.
    if getattr(layer, "quantization_mode", None) or getattr(layer, "lora_enabled", False):
        return False
    if type(layer) is keras.layers.BatchNormalization:
        return True
    return type(layer) in KERNELS and is_linear(layer)


def output_axis(layer, rank):
    """The axis of the channels that a layer of `is_affine` gives, from 0."""
    axis = getattr(layer, "axis", None)
    if axis is None:
        axis = channel_axis(getattr(layer, "data_format", "channels_last"))
    return (axis[0] if isinstance(axis, list | tuple) else axis) % rank


def followed_by(node, scale, shift=None):
    """A new layer of other weights that gives `scale * y + shift` where that of `node` gives `y`.

    Args:
        node: The call of a layer of `is_affine`.
        scale: Float64 array `(channel,)`.
        shift: Float64 array `(channel,)`, or `None` for none.

    Returns:
        The new layer, of the same name.
    """
    layer = node.operation
    if type(layer) is keras.layers.BatchNormalization:
        changes = {"scale": True}
        weight, bias, layout = "gamma", "beta", lambda scale, gamma: scale
    else:
        changes = {"use_bias": True} if shift is not None else {}
        bias, (weight, layout) = "bias", KERNELS[type(layer)]
    new = type(layer).from_config(layer.get_config() | changes)
    new.build(tuple(node.input_tensors[0].shape))
    _copy_by_name(layer, new)
    values = as_float64(getattr(new, weight))
    getattr(new, weight).assign(values * layout(scale, values))
    if getattr(new, bias, None) is not None:
        shift = 0.0 if shift is None else shift
        value = as_float64(getattr(new, bias)) * scale + shift
        getattr(new, bias).assign(value)
    return new


def _copy_by_name(old, new):
    """Copies the weights that both have; a new scale is one and a new bias zero."""
    values = {weight.name: as_float64(weight) for weight in old.weights}
    for weight in new.weights:
        default = np.ones if weight.name == "gamma" else np.zeros
        value = values.get(weight.name, default(tuple(weight.shape)))
        weight.assign(value)


def as_float64(weight):
    """The value of a variable in the precision that products of weights are taken in."""
    return np.asarray(keras.ops.convert_to_numpy(weight)).astype("float64")
