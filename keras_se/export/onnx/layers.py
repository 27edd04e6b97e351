"""What each layer of Keras is in ONNX."""

import keras
import numpy as np
from keras import activations, layers

from keras_se.data_format import channel_axis
from keras_se.export.onnx.blocked import enlarged, summands
from keras_se.export.onnx.graph import INWARD, OUTWARD
from keras_se.layers import (
    ChannelShuffle,
    EfficientChannelAttention,
    PoolToMinimumSize,
    ShakeShake,
    SqueezeExcite,
)
from keras_se.layers.pool_to_minimum_size import means_of_overlaps

# Keras's kernels have (height, width, input, output), those of ONNX (output, input, ...).
CONVOLUTION, DEPTHWISE = (3, 2, 0, 1), (2, 3, 0, 1)


def _array(variable):
    return np.asarray(keras.ops.convert_to_numpy(variable), "float32")


def _conv(graph, node, x):
    layer = node.operation
    return _convolved(graph, layer, x, _array(layer.kernel).transpose(CONVOLUTION), layer.groups)


def _depthwise(graph, node, x):
    layer = node.operation
    kernel = _array(layer.kernel)
    channels = kernel.shape[2]
    kernel = kernel.transpose(DEPTHWISE).reshape(-1, 1, *kernel.shape[:2])
    return _convolved(graph, layer, x, kernel, channels)


def _convolved(graph, layer, x, kernel, groups):
    inputs = [x, graph.constant(kernel, f"{layer.name}/kernel")]
    if layer.use_bias:
        inputs.append(graph.constant(_array(layer.bias), f"{layer.name}/bias"))
    window = _window(kernel.shape[2:], layer.strides, layer.padding, layer.dilation_rate)
    x = graph.node(
        "Conv", inputs, name=layer.name, group=groups, dilations=layer.dilation_rate, **window
    )
    return _activated(graph, layer.activation, x)


def _window(size, strides, padding, dilation=(1, 1)):
    """The attributes of a convolution or pooling."""
    window = {"kernel_shape": list(size), "strides": list(strides)}
    if padding == "valid":
        return window
    if padding != "same":
        raise ValueError(f"ONNX export knows the paddings 'same' and 'valid', not {padding!r}.")
    if set(strides) == {1}:
        # What auto_pad would do, for runtimes that are slower with it.
        missing = [(side - 1) * rate for side, rate in zip(size, dilation, strict=True)]
        before = [zeros // 2 for zeros in missing]
        return window | {"pads": before + [a - b for a, b in zip(missing, before, strict=True)]}
    # Depends on the size of the map: more at the end, as in Keras.
    return window | {"auto_pad": "SAME_UPPER"}


def _dense(graph, node, x):
    layer = node.operation
    kernel = graph.constant(_array(layer.kernel), f"{layer.name}/kernel")
    bias = _array(layer.bias) if layer.use_bias else np.zeros(layer.units, "float32")
    inputs = [x, kernel, graph.constant(bias, f"{layer.name}/bias")]
    _require_rank(node, 2)
    return _activated(graph, layer.activation, graph.node("Gemm", inputs, name=layer.name))


def _batch_norm(graph, node, x):
    layer = node.operation
    if graph.axis(layer.axis, node.input_tensors[0]) != 1:
        raise ValueError(f"ONNX cannot hold the layer {layer.name!r}: its axis is {layer.axis}.")
    mean, variance = _array(layer.moving_mean), _array(layer.moving_variance)
    scale = _array(layer.gamma) if layer.scale else np.ones_like(mean)
    center = _array(layer.beta) if layer.center else np.zeros_like(mean)
    values = {"gamma": scale, "beta": center, "moving_mean": mean, "moving_variance": variance}
    inputs = [graph.constant(value, f"{layer.name}/{name}") for name, value in values.items()]
    return graph.node(
        "BatchNormalization", [x, *inputs], name=layer.name, epsilon=float(layer.epsilon)
    )


def _max_pool(graph, node, x):
    layer = node.operation
    window = _window(layer.pool_size, layer.strides, layer.padding)
    inside, pads = graph.padded.get(x, (None, (0, 0, 0, 0)))
    # ONNX Runtime pools no window that is all zeros.
    narrow = max(pads[0::2]) < layer.pool_size[0] and max(pads[1::2]) < layer.pool_size[1]
    if graph.kind(inside) == "Relu" and layer.padding == "valid" and narrow:
        # The largest of numbers that are not negative, with or without zeros.
        x, window["pads"] = inside, pads
    return graph.node("MaxPool", [x], name=layer.name, **window)


def _average_pool(graph, node, x):
    layer = node.operation
    window = _window(layer.pool_size, layer.strides, layer.padding)
    # As in Keras, a window at the border is the mean of what is in it.
    return graph.node("AveragePool", [x], name=layer.name, count_include_pad=0, **window)


def _global_pool(kind):
    def write(graph, node, x):
        layer = node.operation
        x = graph.node(kind, [x], name=layer.name)
        return x if layer.keepdims else graph.node("Flatten", [x], axis=1)

    return write


def _zero_padding(graph, node, x):
    layer = node.operation
    (top, bottom), (left, right) = layer.padding
    pads = np.array([0, 0, top, left, 0, 0, bottom, right], "int64")
    padded = graph.node("Pad", [x, graph.constant(pads, f"{layer.name}/pads")], name=layer.name)
    graph.padded[padded] = x, [top, left, bottom, right]
    return padded


def _cropping(graph, node, x):
    layer = node.operation
    (top, bottom), (left, right) = layer.cropping
    largest = np.iinfo("int64").max
    ends = [-side if side else largest for side in (bottom, right)]
    bounds = {"starts": [top, left], "ends": ends, "axes": [2, 3]}
    inputs = [graph.constant(np.array(value), f"{layer.name}/{k}") for k, value in bounds.items()]
    return graph.node("Slice", [x, *inputs], name=layer.name)


def _joined(graph, node, kind, tensors):
    ranks = {len(tensor.shape) for tensor in node.input_tensors}
    if len(ranks) > 1:
        raise ValueError(
            f"ONNX cannot hold the layer {node.operation.name!r}: its inputs have other "
            "numbers of axes."
        )
    first, *others = tensors
    for other in others:
        first = graph.node(kind, [first, other], name=node.operation.name)
    return first


def _sum(graph, node, *tensors):
    return _joined(graph, node, "Add", summands(graph, node, tensors))


def _product(graph, node, *tensors):
    tensors = [
        enlarged(graph, tensor, graph.shape(keras_tensor), graph.shape(node.outputs[0]))
        for tensor, keras_tensor in zip(tensors, node.input_tensors, strict=True)
    ]
    return _joined(graph, node, "Mul", tensors)


def _concatenate(graph, node, *tensors):
    layer = node.operation
    axis = graph.axis(layer.axis, node.outputs[0])
    return graph.node("Concat", list(tensors), name=layer.name, axis=axis)


def _rescaling(graph, node, x):
    layer = node.operation
    for kind, value in (("Mul", layer.scale), ("Add", layer.offset)):
        value = np.asarray(value, "float32")
        if value.ndim == 1:
            # Of the last axis of the Keras tensor.
            axes = [1] * len(node.outputs[0].shape)
            axes[graph.axis(-1, node.outputs[0])] = -1
            value = value.reshape(axes)
        if value.any() or kind == "Mul":
            constant = graph.constant(value, f"{layer.name}/{kind}")
            x = graph.node(kind, [x, constant], name=f"{layer.name}_{kind}")
    return x


def _normalization(graph, node, x):
    layer = node.operation
    if layer.invert:
        raise ValueError(f"ONNX cannot hold the layer {layer.name!r}: it has invert=True.")
    mean = _array(layer.mean)
    deviation = np.maximum(np.sqrt(_array(layer.variance)), keras.config.epsilon())
    for kind, value in (("Sub", mean), ("Div", deviation)):
        value = value.transpose(INWARD) if graph.is_turned(node.outputs[0]) else value
        constant = graph.constant(value, f"{layer.name}/{kind}")
        x = graph.node(kind, [x, constant], name=f"{layer.name}_{kind}")
    return x


def _activation(graph, node, x):
    return _activated(graph, node.operation.activation, x, node.outputs[0])


def _relu(graph, node, x):
    layer = node.operation
    if layer.threshold or layer.negative_slope:
        raise ValueError(f"ONNX export knows no slope or threshold, as {layer.name!r} has.")
    if layer.max_value is None:
        return graph.node("Relu", [x], name=layer.name)
    return _clipped(graph, x, layer.max_value)


def _clipped(graph, x, maximum):
    bounds = [graph.constant(np.array(bound, "float32"), "bound") for bound in (0.0, maximum)]
    return graph.node("Clip", [x, *bounds])


def _shuffle(graph, node, x):
    """One choice of channels: that needs no sizes, as reshaping a map would."""
    layer = node.operation
    channels = layer.input_spec.axes[channel_axis(layer.data_format)]
    order = np.arange(channels).reshape(layer.groups, -1).T.ravel()
    return graph.node("Gather", [x, graph.constant(order, f"{layer.name}/order")], axis=1)


def _shake_shake(graph, node, first, second):
    total = graph.node("Add", [first, second], name=node.operation.name)
    half = graph.constant(np.array(0.5, "float32"), "half")
    return graph.node("Mul", [total, half])


def _enlarge(graph, node, x):
    """The products with a matrix for each side, whose size may be known only when it runs."""
    layer = node.operation
    for axis in (2, 3):
        side = graph.shape(node.input_tensors[0])[axis]
        if side is not None and side >= layer.size:
            continue
        if side is None:
            means = _means(graph, graph.node("Shape", [x], start=axis, end=axis + 1), layer.size)
        else:
            means = graph.constant(_array(means_of_overlaps(side, layer.size)), "means")
        if axis == 3:
            means = graph.node("Transpose", [means], perm=[1, 0])
        pair = [means, x] if axis == 2 else [x, means]
        x = graph.node("MatMul", pair, name=layer.name)
    return x


def _means(graph, old, least):
    """The matrix `(new pixel, old pixel)` of `PoolToMinimumSize`, in ONNX."""

    def integers(*numbers):
        return graph.constant(np.array(numbers, "int64"), f"integer_{least}")

    def pixels(number, axis):
        scalar = graph.node("Squeeze", [number])
        zero, step = (graph.constant(np.array(value), f"integer_{least}") for value in (0, 1))
        line = graph.node("Range", [zero, scalar, step])
        return graph.node("Unsqueeze", [line, integers(axis)])

    def product(first, second):
        return graph.node("Mul", [first, second])

    new = graph.node("Max", [old, integers(least)])
    source, target = pixels(old, 0), pixels(new, 1)
    following = [graph.node("Add", [pixel, integers(1)]) for pixel in (source, target)]
    ends = graph.node("Greater", [product(following[0], new), product(target, old)])
    starts = graph.node("Less", [product(source, new), product(following[1], old)])
    overlaps = graph.node("Cast", [graph.node("And", [ends, starts])], to=1)
    total = graph.node("ReduceSum", [overlaps, integers(1)], keepdims=1)
    return graph.node("Div", [overlaps, total])


def _squeeze_excite(graph, node, x):
    block = node.operation
    kind = {"avg": "GlobalAveragePool", "max": "GlobalMaxPool", "none": None}[block.squeeze]
    gates = graph.node(kind, [x], name=f"{block.name}_pool") if kind else x
    for layer in (block.fc1, block.fc2):
        name = f"{block.name}_{layer.name}"
        inputs = [gates, graph.constant(_array(layer.kernel).T[:, :, None, None], f"{name}/kernel")]
        if layer.use_bias:
            inputs.append(graph.constant(_array(layer.bias), f"{name}/bias"))
        gates = _activated(graph, layer.activation, graph.node("Conv", inputs, name=name))
    return _gated(graph, node, x, gates)


def _efficient_channel_attention(graph, node, x):
    block = node.operation
    gates = graph.node("GlobalAveragePool", [x], name=f"{block.name}_pool")
    # The channels are a line of pixels to the convolution.
    line, maps = (
        graph.constant(np.array(shape, "int64"), f"{block.name}/shape")
        for shape in ((0, 1, -1), (0, block.channels, 1, 1))
    )
    kernel = _array(block.conv.kernel).transpose(2, 1, 0)
    inputs = [
        graph.node("Reshape", [gates, line]),
        graph.constant(kernel, f"{block.name}_conv/kernel"),
    ]
    pads = 2 * [kernel.shape[2] // 2]
    gates = graph.node("Conv", inputs, name=f"{block.name}_conv", pads=pads)
    gates = _activated(graph, block.gate, gates)
    return _gated(graph, node, x, graph.node("Reshape", [gates, maps]))


def _gated(graph, node, x, gates):
    """The product of the maps `x` with the gates of a block."""
    block = node.operation
    if block.identity_start:
        start = float(block.gate(keras.ops.zeros((1, 2)))[0, 0])
        inverse = graph.constant(np.array(1 / start, "float32"), f"{block.name}/start")
        gates = graph.node("Mul", [gates, inverse])
    shape = graph.shape(node.outputs[0])
    if block.squeeze != "none":
        gates = enlarged(graph, gates, (*shape[:2], 1, 1), shape)
    return graph.node("Mul", [x, gates], name=block.name)


def _flatten(graph, node, x):
    x = graph.transposed(x, node.input_tensors[0], OUTWARD)
    return graph.node("Flatten", [x], name=node.operation.name, axis=1)


def _activated(graph, function, x, tensor=None):
    """The activation after a layer; `tensor` is Keras's, if it matters which axis is the last."""
    operators = {
        activations.relu: "Relu",
        activations.sigmoid: "Sigmoid",
        activations.tanh: "Tanh",
        activations.elu: "Elu",
        activations.hard_silu: "HardSwish",
        activations.softplus: "Softplus",
        activations.softsign: "Softsign",
    }
    if function is None or function is activations.linear:
        return x
    if function in operators:
        return graph.node(operators[function], [x])
    if function is activations.relu6:
        return _clipped(graph, x, 6.0)
    if function is activations.hard_sigmoid:
        return graph.node("HardSigmoid", [x], alpha=1 / 6, beta=0.5)
    if function is activations.silu:
        return graph.node("Mul", [x, graph.node("Sigmoid", [x])])
    if function is activations.softmax:
        return graph.node("Softmax", [x], axis=-1)
    name = getattr(function, "__name__", function)
    raise ValueError(f"ONNX export does not know the activation {name!r}.")


def _require_rank(node, rank):
    shape = node.input_tensors[0].shape
    if len(shape) != rank:
        raise ValueError(
            f"ONNX export knows {type(node.operation).__name__} of {rank} axes, and "
            f"{node.operation.name!r} has an input of the shape {tuple(shape)}."
        )


LAYERS = {
    ChannelShuffle: _shuffle,
    ShakeShake: _shake_shake,
    PoolToMinimumSize: _enlarge,
    SqueezeExcite: _squeeze_excite,
    EfficientChannelAttention: _efficient_channel_attention,
    layers.Activation: _activation,
    layers.Add: _sum,
    layers.AveragePooling2D: _average_pool,
    layers.BatchNormalization: _batch_norm,
    layers.Concatenate: _concatenate,
    layers.Conv2D: _conv,
    layers.Cropping2D: _cropping,
    layers.Dense: _dense,
    layers.DepthwiseConv2D: _depthwise,
    layers.Flatten: _flatten,
    layers.GlobalAveragePooling2D: _global_pool("GlobalAveragePool"),
    layers.GlobalMaxPooling2D: _global_pool("GlobalMaxPool"),
    layers.MaxPooling2D: _max_pool,
    layers.Multiply: _product,
    layers.Normalization: _normalization,
    layers.ReLU: _relu,
    layers.Rescaling: _rescaling,
    layers.ZeroPadding2D: _zero_padding,
}
