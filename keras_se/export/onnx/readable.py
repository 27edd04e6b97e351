"""What layers of other libraries have that converters to ONNX lack or cannot read."""

import contextlib
from collections.abc import Iterator
from functools import partial

import keras
import numpy as np

from keras_se.graph.walk import layers_within

POOLS = keras.layers.MaxPooling2D, keras.layers.AveragePooling2D
DATA_FORMATS = {"channels_last": "NHWC", "channels_first": "NCHW"}


@contextlib.contextmanager
def readable_by_converter(network: keras.Model) -> Iterator[None]:
    """Lets the converter of the backend read the layers of a network, in the block.

    There the network can be exported only, and neither be called nor trained.

    Args:
        network: The model that is exported; it is as before after the block.
    """
    backend = keras.backend.backend()
    readable = {"tensorflow": _for_tf2onnx, "jax": _for_jax2onnx, "torch": _for_torch}[backend]
    if backend == "tensorflow":
        _register_erfc()
    layers = layers_within(network)
    replaced = [readable(layer) for layer in layers]
    before = [dict(vars(layer)) for layer in layers]
    try:
        for layer, attributes in zip(layers, replaced, strict=True):
            # Not by `setattr`, for which they would be other weights.
            vars(layer).update(attributes)
        yield
    finally:
        for layer, attributes, own in zip(layers, replaced, before, strict=True):
            for name in attributes:
                if name in own:
                    vars(layer)[name] = own[name]
                else:
                    del vars(layer)[name]


def _has_method_of(base, layer, method):
    """Whether a layer is of a class of Keras and no subclass changes the method."""
    return isinstance(layer, base) and getattr(type(layer), method) is getattr(base, method)


def _for_jax2onnx(layer):
    """The weights of a layer as arrays, since not all of jax2onnx takes a `keras.Variable`."""
    own = vars(layer).items()
    attributes = {name: value.value for name, value in own if isinstance(value, keras.Variable)}
    is_pool = any(_has_method_of(pool, layer, "call") for pool in POOLS)
    if is_pool and layer.data_format == "channels_last":
        # It writes those of JAX with a window over the channels too, which no runtime has.
        attributes["call"] = partial(_pool_by_flax, layer)
    return attributes


def _pool_by_flax(layer, inputs):
    from flax import nnx

    # jax2onnx knows these functions if they are called by keywords.
    window = {
        "window_shape": layer.pool_size,
        "strides": layer.strides,
        "padding": layer.padding.upper(),
    }
    if layer.pool_mode == "max":
        return nnx.max_pool(inputs, **window)
    return nnx.avg_pool(inputs, **window, count_include_pad=False)


def _for_tf2onnx(layer):
    """The tensors of a layer as arrays, for tf2onnx makes inputs of them, and its convolution."""
    import tensorflow as tf

    own = vars(layer).items()
    attributes = {name: value.numpy() for name, value in own if tf.is_tensor(value)}
    if _has_method_of(keras.layers.Conv2D, layer, "convolution_op") and layer.groups > 1:
        # Keras compiles it for the processor, and what is compiled tf2onnx does not open.
        attributes["convolution_op"] = partial(_convolve, layer)
    return attributes


def _convolve(layer, inputs, kernel):
    """A grouped convolution as the one operation that it is in a graph."""
    import tensorflow as tf

    return tf.nn.convolution(
        inputs,
        kernel,
        strides=layer.strides,
        padding=layer.padding.upper(),
        data_format=DATA_FORMATS[layer.data_format],
        dilations=layer.dilation_rate,
    )


def _for_torch(layer):
    """What PyTorch's converter takes if sizes are known, which Keras computes in the graph."""
    if _has_method_of(keras.layers.LayerNormalization, layer, "call"):
        is_usual = not layer.rms_scaling and layer.gamma is not None
        return {"call": partial(_normalize, layer)} if is_usual else {}
    if _has_method_of(keras.layers.MaxPooling2D, layer, "call") and layer.padding == "same":
        return {"call": partial(_pool_to_same, layer)}
    return {}


def _pool_to_same(layer, inputs):
    """The largest of each window, of which the last ones end outside of the map."""
    from torch.nn import functional

    to_first, to_last = (0, 3, 1, 2), (0, 2, 3, 1)
    x = inputs.permute(to_first) if layer.data_format == "channels_last" else inputs
    margins = []
    for side, size, stride in zip(
        x.shape[:1:-1], layer.pool_size[::-1], layer.strides[::-1], strict=True
    ):
        margin = max(0, (-(-int(side) // stride) - 1) * stride + size - int(side))
        margins += [margin // 2, margin - margin // 2]
    x = functional.pad(x, margins, value=-float("inf"))
    x = functional.max_pool2d(x, layer.pool_size, layer.strides)
    return x.permute(to_last) if layer.data_format == "channels_last" else x


def _normalize(layer, inputs, **options):
    """A layer normalization of the last axes as the one operation that it is in a graph."""
    from torch.nn.functional import layer_norm

    rank, shape = len(inputs.shape), tuple(layer.gamma.shape)
    if [axis % rank for axis in layer.axis] != list(range(rank - len(shape), rank)):
        return type(layer).call(layer, inputs, **options)
    weights = (weight if weight is None else weight.value for weight in (layer.gamma, layer.beta))
    return layer_norm(inputs, shape, *weights, layer.epsilon)


def _register_erfc():
    """Adds the error function's complement, of which Keras makes GELU, to what tf2onnx knows."""
    from tf2onnx import utils
    from tf2onnx.handler import tf_op

    known = (handlers for opset in tf_op.get_opsets().values() for handlers in opset)
    if any("Erfc" in handlers for handlers in known):
        return

    @tf_op("Erfc")
    class _Erfc:
        @classmethod
        def version_9(cls, context, node, **options):
            shapes, dtypes = node.output_shapes, node.output_dtypes
            context.remove_node(node.name)
            unit = np.array(1, utils.map_onnx_to_numpy_type(dtypes[0]))
            unit = context.make_const(utils.make_name("unit"), unit)
            erf = context.make_node("Erf", node.input)
            context.make_node(
                "Sub",
                [unit.output[0], erf.output[0]],
                name=node.name,
                outputs=node.output,
                shapes=shapes,
                dtypes=dtypes,
            )
