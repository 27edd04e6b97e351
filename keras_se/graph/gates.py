"""Finds the gates of SE blocks in functional models, be they our layers or layers of Keras.

This is the only place that knows what a gate is in a graph. A block may be a `SqueezeExcite` layer,
or a product of a map with a vector that layers compute from a pooled map, as `keras_se.fold`,
`keras.applications.MobileNetV3Small` and `EfficientNetB0` have it. Both are also found in layers of
other packages that hold layers, such as the blocks of KerasHub's MobileNet and EfficientNetV2.
"""

import logging
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras

from keras_se.data_format import image_axis
from keras_se.graph.open_layers import closed_layers, open_layers
from keras_se.graph.rewrite import inline
from keras_se.graph.walk import (
    all_nodes,
    calls_for_training,
    free_name,
    graph_of,
    graphs,
    is_graph,
    nodes,
    require_functional,
)
from keras_se.layers import SqueezeExcite

LOG = logging.getLogger("keras_se")
# By class name: the means and maxima of keras.ops have no public class.
REDUCTIONS = ("Mean", "Max")


class Gates(NamedTuple):
    """The gates of one call of one SE block.

    Attributes:
        name: Name of the layer that multiplies the map, with a number behind it for further calls.
        tensor: Symbolic tensor of the gates, a batch of vectors with or without axes of one.
        channels: How many gates an image has.
        positions: Number of pixels of the map, or `None` if that is not known.
        layer: The `SqueezeExcite` layer in the model that was looked through, or a copy of it if
            layers of other packages were opened; `None` for gates of other layers.
    """

    name: str
    tensor: keras.KerasTensor
    channels: int
    positions: int | None
    layer: SqueezeExcite | None


def tap_gates(
    model: keras.Model,
    tap: Callable | None = None,
    image_shape: Sequence[int] | None = None,
    look_into: bool = True,
) -> tuple[keras.Model, list[Gates]]:
    """Rebuilds a model so that its gates are tensors of the graph, which may be changed.

    Args:
        model: Functional `keras.Model`; not changed. The new one shares its `SqueezeExcite` layers,
            unless layers are opened; all others are copies, those of models in the model too.
        tap: Callable of `Gates` that returns what to multiply the map by instead of
            `gates.tensor`; `None` changes nothing.
        image_shape: Shape of one example for a model of one input, so that the sizes of all maps
            are known; by default that of the model.
        look_into: Whether to look for gates within layers of other packages, too, which are opened.

    Returns:
        `(new, gates)`: a functional `keras.Model` with the outputs of `model`, which takes a list
        if `model` has several inputs, and the `Gates` in the order of the graph.

    Raises:
        ValueError: If `model` is not functional, has no SE block, takes no images of
            `image_shape`, or has blocks in a model that it always calls as in training.

    Example:
    >>> from keras_se.applications import SEResNet20
    >>> _, gates = tap_gates(SEResNet20(weights=None, classes=10))
    >>> gates[-1].name, gates[-1].channels, gates[-1].positions
    ('layer3_2_se', 64, 64)
    """
    require_functional(model)
    _require_inference(model)
    if look_into:
        model = open_layers(model, _has_gates)
    if image_shape is not None:
        _require_channels(model, image_shape)
    taps = _Taps(model, tap or (lambda gates: gates.tensor))
    inputs = [
        keras.Input(image_shape or tensor.shape[1:], dtype=tensor.dtype, name=tensor.name)
        for tensor in graph_of(model).inputs
    ]
    start = inputs[0] if len(inputs) == 1 else inputs
    new = inline(model, start, start, taps.rule)
    closed = ", ".join(closed_layers(model))
    if taps.gates and closed and look_into:
        LOG.warning("Gates in these layers of %s are not seen: %s", model.name, closed)
    if not taps.gates:
        raise ValueError(
            "`model` must have SE blocks: SqueezeExcite layers, or maps multiplied by gates that "
            f"are computed from a pooled map. Received: {model.name!r}, which has none"
            + (f", but perhaps in layers that cannot be looked into: {closed}" if closed else "")
        )
    return new, taps.gates


class _Taps:
    """Shows every gate to `tap` while a model is rebuilt.

    Args:
        model: The model.
        tap: As for `tap_gates`.

    Attributes:
        gates: The `Gates` so far.
    """

    def __init__(self, model, tap):
        self.tap, self.gates = tap, []
        self.products = {
            key: index for graph in graphs(model) for key, index in gate_products(graph).items()
        }
        self.names = {node.operation.name for node in all_nodes(model)}

    def rule(self, node, copy):
        """What is called instead of a layer that has gates."""
        block = node.operation
        if isinstance(block, SqueezeExcite):
            return lambda x, **_: self._multiplied(block, x)
        if id(node) not in self.products:
            return None

        def called(*args, **kwargs):
            return self._called(copy, self.products[id(node)], args, kwargs)

        return called

    def _multiplied(self, block, x):
        """The map `x` times the gates of a `SqueezeExcite` layer."""
        if block.squeeze == "none":
            raise ValueError(
                "`model` must have SE blocks with gates for whole maps. Received one with "
                f"gates for each position: {block.name!r}, which has squeeze='none'"
            )
        gates = Excitation(block, name=free_name(f"{block.name}_gates", self.names))(x)
        gates = self._shown(block.name, gates, x, block)
        name = free_name(f"{block.name}_product", self.names)
        return keras.layers.Multiply(dtype=block.dtype_policy, name=name)([x, gates])

    def _called(self, copy, index, args, kwargs):
        """What a product gives for other gates, which are the tensor `index` of its arguments."""
        values = keras.tree.flatten((args, kwargs))
        tensors = [i for i, value in enumerate(values) if keras.utils.is_keras_tensor(value)]
        gates, x = values[tensors[index]], values[tensors[1 - index]]
        values[tensors[index]] = self._shown(copy.name, gates, x, None)
        args, kwargs = keras.tree.pack_sequence_as((args, kwargs), values)
        return copy(*args, **kwargs)

    def _shown(self, name, tensor, x, layer):
        """What `tap` wants instead of the gates `tensor` of the map `x`."""
        again = sum(gates.name.partition(":")[0] == name for gates in self.gates)
        channels = math.prod(tensor.shape[1:])
        known = None not in x.shape[1:]
        self.gates.append(
            Gates(
                name=f"{name}:{again}" if again else name,
                tensor=tensor,
                channels=channels,
                positions=math.prod(x.shape[1:]) // channels if known else None,
                layer=layer,
            )
        )
        return self.tap(self.gates[-1])


class Excitation(keras.layers.Layer):
    """Gives the gates of a `SqueezeExcite` layer, whose weights it shares.

    Args:
        block: The `SqueezeExcite` layer.
        name: Name of this layer.
    """

    def __init__(self, block: SqueezeExcite, name: str):
        super().__init__(name=name, dtype=block.variable_dtype)
        self.block = block

    def call(self, inputs):
        """Returns the gates."""
        return self.block.excitation(inputs)


def gate_products(model: keras.Model) -> dict[int, int]:
    """Finds the products of a map with gates that layers compute from a pooled map.

    Args:
        model: Functional `keras.Model`; models in it are not looked into.

    Returns:
        A dictionary from the id of the call to which of its two tensors are the gates.
    """
    producers = {id(tensor): node for node in nodes(model) for tensor in node.outputs}
    products = {}
    for node in nodes(model):
        if type(node.operation).__name__ != "Multiply" or len(node.input_tensors) != 2:
            continue
        pooled = [_pooled(tensor, producers) for tensor in node.input_tensors]
        # A classifier that gates its pooled vector has two.
        if sum(source is not None for source in pooled) != 1:
            continue
        index = 0 if pooled[0] is not None else 1
        gates, x = node.input_tensors[index], node.input_tensors[1 - index]
        if _one_pixel(gates) and len(x.shape) > 2 and _feeds(pooled[index], x, producers):
            products[id(node)] = index
    return products


def _pooled(tensor, producers):
    """The map that `tensor` is computed from by a global pooling and layers of one input."""
    node = producers[id(tensor)]
    while len(node.input_tensors) == 1 and not is_graph(node.operation):
        kind, source = type(node.operation).__name__, node.input_tensors[0]
        reduces = kind in REDUCTIONS and len(source.shape) > 2 and _one_pixel(node.outputs[0])
        if reduces or (kind.startswith("Global") and "Pooling" in kind):
            return source
        node = producers[id(source)]
    return None


def _one_pixel(tensor):
    """Whether a tensor has one axis besides the batch whose size is not one."""
    return sum(side != 1 for side in tensor.shape[1:]) <= 1


def _feeds(source, tensor, producers):
    """Whether `tensor` is `source` or computed from it."""
    pending, seen = [tensor], set()
    while pending:
        tensor = pending.pop()
        if tensor is source:
            return True
        if id(tensor) not in seen:
            seen.add(id(tensor))
            pending += producers[id(tensor)].input_tensors
    return False


def _require_channels(model, image_shape):
    """Raises if images have not the channels of the model's one input, whatever their size."""
    shapes = [tuple(tensor.shape[1:]) for tensor in graph_of(model).inputs]
    wanted, axis = shapes[0], image_axis()
    fits = len(shapes) == 1 and len(wanted) == len(image_shape)
    if not fits or wanted[axis] not in (None, image_shape[axis]):
        raise ValueError(
            f"Images must have the channels of the input of {model.name!r}, {shapes}. Received: "
            f"images of {tuple(image_shape)}"
        )


def _require_inference(model):
    """Raises if a model with gates in the model is always called as in training."""
    for node in all_nodes(model):
        inner = node.operation
        if is_graph(inner) and calls_for_training(node) and _has_gates(inner):
            raise ValueError(
                f"`model` calls the model {inner.name!r} in it with training=True, so its gates "
                "are not those of inference. Call it without."
            )


def _has_gates(model):
    blocks = any(isinstance(node.operation, SqueezeExcite) for node in all_nodes(model))
    return blocks or any(gate_products(graph) for graph in graphs(model))
