"""What a network costs: multiply-adds and parameters, in all and of each layer."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import keras

from keras_se.data_format import spatial_shape
from keras_se.formatting import text_table
from keras_se.graph.walk import graph_of, is_graph, nodes, require_functional, trainable_variables
from keras_se.layers import SqueezeExcite

# Layers that use each number of their kernel once for every position of their output.
AT_OUTPUTS = (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.Dense,
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
)
# Those that use it once for every position of their input.
AT_INPUTS = (
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
)
# Those whose weights are in no product of the network's input.
WITHOUT = (keras.layers.Embedding, keras.layers.PReLU)
SEPARABLE = (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)


class LayerCost(NamedTuple):
    """What one call of one layer costs.

    Attributes:
        layer: The layer's name, after those of the models that it is nested in and `/`.
        kind: The name of the layer's class.
        output_shape: Shape of its output without the batch, or `None` if it has several.
        parameters: Number of its trainable parameters; 0 when a layer is called again.
        multiply_adds: Products of one example.
    """

    layer: str
    kind: str
    output_shape: tuple | None
    parameters: int
    multiply_adds: int


class Complexity(NamedTuple):
    """What a model costs. Printing it gives the sums, and `table()` every layer.

    Attributes:
        parameters: Number of trainable parameters, as papers count them.
        multiply_adds: Products of one example.
        layers: A `LayerCost` for each call of a layer, in the order of the model.
    """

    parameters: int
    multiply_adds: int
    layers: tuple

    def __str__(self):
        return f"{self.parameters:,} parameters, {self.multiply_adds:,} multiply-adds"

    def table(self) -> str:
        """Lists the layers that have parameters or multiply-adds, and the sums.

        Returns:
            A text of aligned columns.
        """
        costly = [cost for cost in self.layers if cost.parameters or cost.multiply_adds]
        lines = [("layer", "class", "output", "parameters", "multiply-adds")]
        for cost in costly:
            shape = "x".join(map(str, cost.output_shape or ()))
            counts = (f"{cost.parameters:,}", f"{cost.multiply_adds:,}")
            lines.append((cost.layer, cost.kind, shape, *counts))
        lines.append(("all", "", "", f"{self.parameters:,}", f"{self.multiply_adds:,}"))
        return text_table(lines, "<<<>>")


def complexity(model: keras.Model, image_shape: Sequence[int] | None = None) -> Complexity:
    """Counts parameters and multiply-adds of one image through `model`, layer by layer.

    As in the paper's tables, multiply-adds are the products of convolutions and dense layers, those
    of the gates included, and those of a border of zeros too; normalization, pooling, sums,
    activations and operations of `keras.ops` count nothing. The paper and Keras users call them
    FLOPs, though each is a product and a sum.

    Args:
        model: Functional or sequential Keras model of convolutions and dense layers.
        image_shape: Shape of one example, such as `(224, 224, 3)`; by default that of the model's
            input. A model of several inputs must have known sizes.

    Returns:
        A `Complexity`.

    Raises:
        ValueError: If `model` is neither functional nor sequential, a size is unknown, or a layer
            has a kernel that this function does not know how to count.

    Example:
    >>> from keras_se.applications import SEResNet20
    >>> print(complexity(SEResNet20(weights=None, classes=10)))
    274,847 parameters, 40,815,200 multiply-adds
    """
    shapes = _input_shapes(model, image_shape)
    layers = tuple(_layers(model, shapes, "", set()))
    total = sum(cost.multiply_adds for cost in layers)
    return Complexity(trainable_parameters(model), total, layers)


def multiply_adds(model: keras.Model, image_shape: Sequence[int] | None = None) -> int:
    """Counts the multiply-adds of one image through `model`; see `complexity`."""
    return complexity(model, image_shape).multiply_adds


def trainable_parameters(model: keras.Layer) -> int:
    """Counts the parameters that training can change, as papers do, whether frozen or not.

    Args:
        model: A model or a layer.

    Returns:
        Their number; the statistics of batch norm are not among them.
    """
    weights = {id(weight): weight for weight in trainable_variables(model)}
    return sum(math.prod(weight.shape) for weight in weights.values())


def _input_shapes(model, image_shape):
    """Shapes of the model's inputs for a batch of one."""
    require_functional(model)
    if image_shape is not None and not isinstance(image_shape, tuple | list):
        raise ValueError(
            f"`image_shape` must be a shape such as (224, 224, 3). Received: {image_shape!r}"
        )
    if image_shape is None:
        shapes = [(1, *tensor.shape[1:]) for tensor in model.inputs]
    else:
        shapes = [(1, *image_shape)]
    ranks = [len(tensor.shape) for tensor in model.inputs]
    if [len(shape) for shape in shapes] != ranks or any(None in shape for shape in shapes):
        raise ValueError(
            "`image_shape` must be the known shape of one image for a model of one input, and None "
            f"for one of several. Received: image_shape={image_shape} for inputs of "
            f"{[tuple(tensor.shape) for tensor in model.inputs]}"
        )
    return shapes


def _layers(model, shapes, prefix, seen):
    """The costs of all calls of layers; `seen` has the layers that were called before."""
    graph = graph_of(model)
    calls = [node for node in nodes(model) if not node.is_input]
    tensors = {
        id(tensor): tensor for node in calls for tensor in (*node.input_tensors, *node.outputs)
    }
    probe = keras.Model(graph.inputs, list(tensors.values()))
    spec = [
        keras.KerasTensor(shape, tensor.dtype)
        for shape, tensor in zip(shapes, graph.inputs, strict=True)
    ]
    results = probe.compute_output_spec(spec[0] if len(spec) == 1 else spec)
    known = {key: tuple(result.shape) for key, result in zip(tensors, results, strict=True)}
    for node in calls:
        layer = node.operation
        inputs = [known[id(tensor)] for tensor in node.input_tensors]
        outputs = [known[id(tensor)] for tensor in node.outputs]
        if is_graph(layer):
            yield from _layers(layer, inputs, f"{prefix}{layer.name}/", seen)
            continue
        count = _of_layer(layer, inputs[0], outputs[0]) if isinstance(layer, keras.Layer) else 0
        new = isinstance(layer, keras.Layer) and id(layer) not in seen
        seen.add(id(layer))
        shape = outputs[0][1:] if len(outputs) == 1 else None
        parameters = trainable_parameters(layer) if new else 0
        yield LayerCost(prefix + layer.name, type(layer).__name__, shape, parameters, count)


def _of_layer(layer, input_shape, output_shape):
    """The multiply-adds of one call of one layer."""
    if isinstance(layer, SqueezeExcite):
        positions = _positions(layer, output_shape) if layer.squeeze == "none" else 1
        return positions * layer.multiply_adds
    if isinstance(layer, SEPARABLE):
        kernels = (layer.depthwise_kernel, layer.pointwise_kernel)
        return _positions(layer, output_shape) * sum(math.prod(kernel.shape) for kernel in kernels)
    if isinstance(layer, AT_INPUTS):
        return _positions(layer, input_shape) * math.prod(layer.kernel.shape)
    if isinstance(layer, AT_OUTPUTS):
        return _positions(layer, output_shape) * math.prod(layer.kernel.shape)
    if not isinstance(layer, WITHOUT) and any(len(weight.shape) > 1 for weight in layer.weights):
        kind = type(layer).__name__
        raise ValueError(f"There is no rule to count {kind} layers ({layer.name!r}).")
    return 0


def _positions(layer, shape):
    """How many positions in space a map of this shape has."""
    # Of a layer without a data format, such as Dense, channels are the last.
    return math.prod(spatial_shape(shape, getattr(layer, "data_format", "channels_last")))
