"""Rebuilds models so that what a layer of another package calls is in the graph."""

from collections.abc import Callable

import keras

from keras_se.graph.rewrite import rewrite
from keras_se.graph.walk import (
    all_nodes,
    calls_for_training,
    free_name,
    is_graph,
    layers_within,
    nodes,
)


def open_layers(model: keras.Model, wanted: Callable) -> keras.Model:
    """Puts the calls of layers within layers into the graph of a model.

    A layer may call others, as the blocks of KerasHub's MobileNet and EfficientNetV2 do. Where its
    `call` takes symbolic tensors, what it calls can stand in the graph in its place.

    Args:
        model: Functional `keras.Model`; not changed, but that the layers are called once more.
        wanted: Callable of the functional model of what a layer calls, which says whether the layer
            is to be opened; it is asked of the layers within the layer too.

    Returns:
        A functional `keras.Model` with the outputs of `model` and layers of its own, or `model`
        itself if no layer is wanted. Names that are taken get the outer layer's before their own,
        and those of operations always do.
    """
    opens = {}
    for node in all_nodes(model):
        if id(node.operation) not in opens:
            opens[id(node.operation)] = _holds(node, wanted)
    if not any(opens.values()):
        return model
    opened = _Opened(wanted, {node.operation.name for node in all_nodes(model)})
    return rewrite(
        model,
        lambda node, copy: (lambda x, **_: opened(copy, x)) if opens[id(node.operation)] else None,
    )


def closed_layers(model: keras.Model) -> list[str]:
    """Lists the layers of other packages that hold layers and cannot be looked into."""
    calls = [(n.operation, n.input_tensors) for n in all_nodes(model) if _holds_layers(n)]
    return [layer.name for layer, tensors in calls if _body(layer, tensors) is None]


class _Opened:
    """Calls the layers within a layer one by one.

    Args:
        wanted: As for `open_layers`.
        names: Names that are taken; changed in place.
    """

    def __init__(self, wanted, names):
        self.wanted, self.names, self.named = wanted, names, set()

    def __call__(self, layer, x):
        """What `layer` gives for the symbolic tensor `x`."""
        layer(x)  # Builds it.
        body = _body(layer, [x])
        values = {id(body.inputs[0]): x}
        for node in nodes(body):
            if node.is_input:
                continue
            args, kwargs = node.arguments.fill_in(values)
            self._name(node.operation, layer)
            if _holds(node, self.wanted):
                outputs = self(node.operation, args[0])
            else:
                outputs = node.operation(*args, **kwargs)
            values.update(zip(map(id, node.outputs), keras.tree.flatten(outputs), strict=True))
        return values[id(body.outputs[0])]

    def _name(self, operation, outer):
        """Gives an operation within a layer a name that no other has."""
        if operation in self.named:
            return
        self.named.add(operation)
        name = operation.name
        if not isinstance(operation, keras.layers.Layer):
            name = f"{outer.name}_{type(operation).__name__.lower()}"
        elif name in self.names:
            name = f"{outer.name}_{name}"
        operation.name = free_name(name, self.names)


def _holds(node, wanted):
    """Whether a call is of a layer with what is wanted in it, at any depth."""
    body = _body(node.operation, node.input_tensors) if _holds_layers(node) else None
    return body is not None and (wanted(body) or any(_holds(n, wanted) for n in nodes(body)))


def _holds_layers(node):
    """Whether a call is of a layer of another package that holds layers."""
    layer = node.operation
    if not isinstance(layer, keras.layers.Layer) or is_graph(layer):
        return False
    # What else it is called with would be lost, and so would it that it is always in training.
    arguments = node.arguments
    options = (value for name, value in arguments.kwargs.items() if name != "training")
    if len(arguments.args) != 1 or any(value is not None for value in options):
        return False
    if calls_for_training(node):
        return False
    # The layers of Keras and ours hide nothing that is looked for.
    is_foreign = type(layer).__module__.partition(".")[0] not in ("keras", "keras_se")
    return is_foreign and len(layers_within(layer)) > 1


def _body(layer, tensors):
    """The functional model of what a layer calls, or `None` if that cannot be known."""
    if len(tensors) != 1:
        return None
    start = keras.Input(batch_shape=tensors[0].shape, dtype=tensors[0].dtype)
    try:
        body = keras.Model(start, layer.call(start))
    except Exception:  # Code of any layer runs here and may fail in any way.
        return None
    return body if len(body.outputs) == 1 else None
