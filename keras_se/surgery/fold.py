"""Rewrites a network for inference so that SE costs next to nothing."""

import keras
import numpy as np

from keras_se.data_format import channel_axis
from keras_se.graph.rewrite import rewrite
from keras_se.graph.walk import all_nodes, producer
from keras_se.layers import SqueezeExcite
from keras_se.surgery.channel_scaling import as_float64, is_affine
from keras_se.surgery.fold_batch_norm import fold_batch_norm

POOLS = {
    ("avg", 3): keras.layers.GlobalAveragePooling1D,
    ("avg", 4): keras.layers.GlobalAveragePooling2D,
    ("avg", 5): keras.layers.GlobalAveragePooling3D,
    ("max", 3): keras.layers.GlobalMaxPooling1D,
    ("max", 4): keras.layers.GlobalMaxPooling2D,
    ("max", 5): keras.layers.GlobalMaxPooling3D,
}
CONVOLUTIONS = {3: keras.layers.Conv1D, 4: keras.layers.Conv2D, 5: keras.layers.Conv3D}


def fold(model: keras.Model) -> keras.Model:
    """Rewrites a network for inference: no batch norms, and gates that do not wait for their map.

    - Batch norms are multiplied into the layers before them; see `fold_batch_norm`.
    - An SE block becomes layers of Keras: a pooling, two 1x1 convolutions of one pixel, and a
      product. So the network needs keras_se no more, runtimes know every operation, and Keras's
      own `quantize("int8")` works on it.
    - The squeeze is moved before a 1x1 convolution `y = W x + b` that gives the block its map
      without an activation: the mean of `y` over space is `W mean(x) + b`, so the block pools `x`,
      which has a quarter of the channels in a bottleneck, and its first layer is multiplied by
      `W`. The gates are then ready before the map is.

    The outputs in inference stay, to float32 rounding; training would not be the same. What would
    not be exact is left: a squeeze by the maximum, a convolution with an activation, with a kernel
    or strides of more than one or with groups, and a block that is called more than once.

    Args:
        model: Functional `keras.Model`; not changed.

    Returns:
        A new functional `keras.Model`, not compiled. The layers of a block `se` are `se_pool`,
        `se_fc1`, `se_fc2` and `se`, the product.

    Raises:
        ValueError: If `model` is not functional.

    Example:
    >>> inputs = keras.Input((8, 8, 16))
    >>> x = keras.layers.Conv2D(64, 1, name="conv")(inputs)
    >>> model = keras.Model(inputs, SqueezeExcite(name="se")(x))
    >>> folded = fold(model)
    >>> [layer.name for layer in folded.layers[1:]]
    ['se_pool', 'se_fc1', 'conv', 'se_fc2', 'se']
    >>> tuple(folded.get_layer("se_fc1").kernel.shape[-2:])  # 16 channels before the convolution
    (16, 4)
    """
    model = fold_batch_norm(model)
    calls = {}
    for node in all_nodes(model):
        calls.setdefault(id(node.operation), []).append(node)

    def rule(node, copy):
        block = node.operation
        # A subclass may compute anything; a block of several calls shares its weights.
        if type(block) is not SqueezeExcite or len(calls[id(block)]) > 1:
            return None
        before = _movable(block, node.input_tensors[0])
        once = before is not None and len(calls[id(before)]) == 1
        return _Gates(block, len(node.outputs[0].shape), before if once else None)

    return rewrite(model, rule)


def _movable(block, tensor):
    """The 1x1 convolution that made `tensor`, if the mean over space commutes with it."""
    layer = producer(tensor)
    is_pointwise = (
        type(layer) in CONVOLUTIONS.values()
        and is_affine(layer)
        and {*layer.kernel_size, *layer.strides, layer.groups} == {1}
        and layer.data_format == block.data_format
    )
    return layer if is_pointwise and block.squeeze == "avg" else None


class _Gates:
    """What is called in place of an SE block.

    Args:
        block: The `SqueezeExcite` layer.
        rank: Number of axes of its map.
        before: The convolution whose input is pooled, or `None` to pool the map itself.
    """

    def __init__(self, block, rank, before):
        self.block, self.rank, self.before = block, rank, before

    def __call__(self, x):
        """Multiplies the map by its gates."""
        block = self.block
        source = x if self.before is None else producer(x).input
        # In the variable dtype, as the block itself has it.
        common = {"data_format": block.data_format, "dtype": block.variable_dtype}
        gates = source
        if block.squeeze != "none":
            pool = POOLS[block.squeeze, self.rank]
            gates = pool(keepdims=True, name=f"{block.name}_pool", **common)(source)
        for layer in (block.fc1, block.fc2):
            gates = self._pointwise(layer, common)(gates)
        if block.identity_start:
            start = float(block.gate(keras.ops.zeros((1, 2)))[0, 0])
            gates = keras.layers.Rescaling(
                1 / start, dtype=block.variable_dtype, name=f"{block.name}_start"
            )(gates)
        return keras.layers.Multiply(dtype=block.dtype_policy, name=block.name)([x, gates])

    def _pointwise(self, dense, common):
        """One of the block's dense layers as a convolution of one pixel, with its weights."""
        kernel = as_float64(dense.kernel)
        bias = as_float64(dense.bias) if dense.use_bias else np.zeros(dense.units)
        if dense is self.block.fc1 and self.before is not None:
            weights = as_float64(self.before.kernel).reshape(-1, self.before.filters)
            if self.before.use_bias:
                bias = bias + as_float64(self.before.bias) @ kernel
            kernel = weights @ kernel
        layer = CONVOLUTIONS[self.rank](
            dense.units,
            1,
            activation=dense.activation,
            name=f"{self.block.name}_{dense.name}",
            **common,
        )
        shape = [1] * (self.rank - 2) + list(kernel.shape)
        built = [None] * self.rank
        built[channel_axis(common["data_format"])] = kernel.shape[0]
        layer.build(tuple(built))
        layer.kernel.assign(kernel.reshape(shape))
        layer.bias.assign(bias)
        return layer
