"""Walks the graphs of functional Keras models.

Keras keeps for each call of a layer a `node`: the layer (`node.operation`), the symbolic tensors
it took (`node.input_tensors`) and those it gave (`node.outputs`). This module alone reads what
Keras keeps private, `PRIVATE_NAMES`, so that a new version of Keras is looked through in one place.
"""

import keras

PRIVATE_NAMES = (
    "_auto_config",
    "_flatten_layers",
    "_functional",
    "_inbound_nodes",
    "_inputs_struct",
    "_keras_history",
    "_nodes_by_depth",
    "_outputs_struct",
    "_trainable_variables",
)
LEGAL_MODEL = (
    "a built functional or Sequential keras.Model, whose layers and their connections are known"
)


def require_functional(model) -> None:
    """Requires a model whose graph is known and is all that it computes.

    Args:
        model: The argument `model` of a public function.

    Raises:
        ValueError: If it is another, such as a subclass with its own `call`.
    """
    if not isinstance(model, keras.Model):
        raise ValueError(f"`model` must be {LEGAL_MODEL}. Received: {type(model).__name__}")
    if not is_graph(model):
        reason = "a Sequential model that is not built" if _is_sequential(model) else "subclassed"
        raise ValueError(
            f"`model` must be {LEGAL_MODEL}. Received: {type(model).__name__} {model.name!r}, "
            f"which is {reason}"
        )


def is_graph(operation) -> bool:
    """Returns whether an operation is a model whose graph is all that it computes."""
    if _is_sequential(operation):
        return operation._functional is not None
    functional = isinstance(operation, keras.Function) and isinstance(operation, keras.Model)
    return functional and _overriding_class(operation) is None


def graph_of(model: keras.Model) -> keras.Model:
    """Returns the functional model that a Sequential one keeps, or `model`."""
    return model._functional if _is_sequential(model) else model


def graphs(model: keras.Model) -> list:
    """Lists a model and every model in it, each once, the outer ones first."""
    seen = {id(model): model}
    pending = [model]
    while pending:
        for node in nodes(pending.pop(0)):
            operation = node.operation
            if id(operation) not in seen and is_graph(operation):
                seen[id(operation)] = operation
                pending.append(operation)
    return list(seen.values())


def nodes(model: keras.Model) -> list:
    """Lists the calls in the graph of a model, each after those it depends on."""
    by_depth = graph_of(model)._nodes_by_depth
    return [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]


def all_nodes(model: keras.Model) -> list:
    """Lists the calls in the graphs of a model and of every model in it."""
    return [node for graph in graphs(model) for node in nodes(graph)]


def calls_for_training(node) -> bool:
    """Returns whether a call is always as in training, whatever the model is called with."""
    return bool(node.arguments.kwargs.get("training")) or True in node.arguments.args[1:2]


def producer(tensor: keras.KerasTensor) -> keras.Operation:
    """Returns the layer or operation that gave a symbolic tensor of a graph."""
    return tensor._keras_history.operation


def input_structure(model: keras.Model):
    """Returns the inputs of a model in the structure that it takes: a tensor, list or dict."""
    return graph_of(model)._inputs_struct


def output_structure(model: keras.Model):
    """Returns the outputs of a model in the structure that it gives: a tensor, list or dict."""
    return graph_of(model)._outputs_struct


def is_called(operation) -> bool:
    """Returns whether a layer was called with symbolic tensors."""
    return bool(operation._inbound_nodes)


def constructor_arguments(operation) -> dict | None:
    """Returns the arguments that a layer was made of, but its name; `None` if not all are plain."""
    plain = operation._auto_config
    return None if plain is None else dict(plain.config)


def layers_within(layer: keras.Layer) -> list:
    """Lists a layer or model and all layers in it, at any depth."""
    return list(layer._flatten_layers())


def trainable_variables(layer: keras.Layer) -> list:
    """Lists the variables that training can change in a layer or model, whether frozen or not."""
    return [variable for inner in layers_within(layer) for variable in inner._trainable_variables]


def free_name(name: str, used: set[str]) -> str:
    """Returns a name that is not among `used`, with a number if need be, and adds it to them.

    Example:
    >>> used = {"conv"}
    >>> free_name("conv", used), free_name("conv", used)
    ('conv_1', 'conv_2')
    """
    number, free = 0, name
    while free in used:
        number += 1
        free = f"{name}_{number}"
    used.add(free)
    return free


def _is_sequential(operation):
    return isinstance(operation, keras.Sequential)


def _overriding_class(model):
    """The class outside of Keras that overrides `call`: its graph does not tell what it does."""
    owner = next(kind for kind in type(model).__mro__ if "call" in vars(kind))
    return None if owner.__module__.partition(".")[0] == "keras" else owner
