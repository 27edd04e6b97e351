"""One walk over the graph of a functional model, on which all surgery is built.

The walk is a loop in topological order, so the depth of a network does not matter to it. It reads
what Keras keeps of each call of a layer: a `node` with the layer (`node.operation`), the symbolic
tensors it took (`node.input_tensors`) and those it gave (`node.outputs`).
"""

import tempfile

import keras
import numpy as np

LEGAL_MODEL = (
    "a built functional or Sequential keras.Model, whose layers and their connections are known"
)


def rewrite(model, rule):
    """Rebuilds `model` with other calls in place of some, and copies all weights.

    Every layer is made anew from its config, once, so that shared layers stay shared; models in
    the model are rebuilt too, and the rule applies inside them. Names, input and output structure,
    dtype policies, regularizers and `trainable` flags stay, and no array is shared between the two
    models; only a layer without weights whose config Keras cannot use, such as a Lambda, is shared.
    The new model is not compiled. It is a plain functional `keras.Model`, also in place of
    a Sequential one and of a subclass such as a KerasHub backbone, whose further methods it lacks.

    Args:
        model: Functional `keras.Model`, with any number of inputs and outputs; not changed.
        rule: Callable `(node, copy)`, asked for every call of a layer but not for inputs. `node`
            is Keras's record of the call in `model`, and `copy` the layer that stands for
            `node.operation` in the new model. It returns `None` to call the copy, or what to call
            instead with the same arguments: `lambda *args, **kwargs: block(copy(*args, **kwargs))`
            inserts `block`, a layer replaces the layer and its weights, and `lambda x: x` leaves
            it out. It must give as many tensors as the layer did.

    Returns:
        The new functional `keras.Model`.

    Raises:
        ValueError: If `model` is not functional, `rule` is not callable, a layer with weights
            cannot be made from its config, or what `rule` returned gives another number of
            tensors.

    Example:
    >>> inputs = keras.Input((8, 8, 3))
    >>> model = keras.Model(inputs, keras.layers.Conv2D(4, 3, name="conv")(inputs))
    >>> new = rewrite(model, lambda node, copy: lambda x: keras.layers.ReLU(name="relu")(copy(x)))
    >>> [layer.name for layer in new.layers[1:]]
    ['conv', 'relu']
    """
    require_functional(model)
    if not callable(rule):
        raise ValueError(f"`rule` must be a callable (node, copy). Received: rule={rule!r}")
    copies = {}
    new = _copy_of(model, rule, copies)
    used = [(old, copy) for old, copy in copies.values() if old is not copy]
    # Models first: the flag of a model would override those of its layers.
    for old, copy in reversed(used):
        if is_graph(old) and not old.trainable:
            copy.trainable = False
    for old, copy in used:
        # A layer that the rule replaced was never called, and has nothing to copy.
        if isinstance(old, keras.layers.Layer) and not is_graph(old) and copy._inbound_nodes:
            _copy_state(old, copy)
    return new


def require_functional(model):
    """Raises a ValueError unless the graph of `model` is known and is all that it computes."""
    if not isinstance(model, keras.Model):
        raise ValueError(f"`model` must be {LEGAL_MODEL}. Received: {type(model).__name__}")
    if not is_graph(model):
        reason = "a Sequential model that is not built" if _is_sequential(model) else "subclassed"
        raise ValueError(
            f"`model` must be {LEGAL_MODEL}. Received: {type(model).__name__} {model.name!r}, "
            f"which is {reason}"
        )


def is_graph(operation):
    """Whether `operation` is a model whose graph is all that it computes."""
    if _is_sequential(operation):
        return operation._functional is not None
    functional = isinstance(operation, keras.Function) and isinstance(operation, keras.Model)
    return functional and _own_call(operation) is None


def graphs(model):
    """The graph of `model` and of every model in it, each once, the outer ones first."""
    found = {id(model): model}
    pending = [model]
    while pending:
        for node in nodes(pending.pop(0)):
            operation = node.operation
            if id(operation) not in found and is_graph(operation):
                found[id(operation)] = operation
                pending.append(operation)
    return list(found.values())


def nodes(model):
    """The calls in the graph of `model`, each after those it depends on."""
    by_depth = graph_of(model)._nodes_by_depth
    return [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]


def calls_for_training(node):
    """Whether a call is always as in training, whatever the model is called with."""
    return bool(node.arguments.kwargs.get("training")) or True in node.arguments.args[1:2]


def graph_of(model):
    """The functional model that a Sequential one keeps, or `model`."""
    return model._functional if _is_sequential(model) else model


def _is_sequential(operation):
    return isinstance(operation, keras.Sequential)


def _own_call(model):
    """The class outside of Keras that overrides `call`: its graph does not tell what it does."""
    owner = next(one for one in type(model).__mro__ if "call" in vars(one))
    return None if owner.__module__.partition(".")[0] == "keras" else owner


def _copy_of(operation, rule, copies):
    """The one copy of `operation` in the new model."""
    if id(operation) not in copies:
        rebuilt = _rebuilt(operation, rule, copies) if is_graph(operation) else _fresh(operation)
        # The original too: it must outlive its id.
        copies[id(operation)] = operation, rebuilt
    return copies[id(operation)][1]


def _rebuilt(model, rule, copies):
    """A model of the copies of the layers of `model`, called as `rule` says."""
    graph = graph_of(model)
    tensors = {}
    for node in nodes(model):
        outputs = _called(node, _copy_of(node.operation, rule, copies), rule, tensors)
        tensors.update(zip(map(id, node.outputs), outputs, strict=True))
    inputs, outputs = keras.tree.map_structure(
        lambda tensor: tensors[id(tensor)], (graph._inputs_struct, graph._outputs_struct)
    )
    return keras.Model(inputs, outputs, name=model.name)


def _called(node, copy, rule, tensors):
    """The tensors that stand for the outputs of `node`."""
    if node.is_input:
        return keras.tree.flatten(copy.output)
    replacement = rule(node, copy)
    if replacement is not None and not callable(replacement):
        raise ValueError(
            f"`rule` must return None or a callable. Received for {node.operation.name!r}: "
            f"{replacement!r}"
        )
    args, kwargs = node.arguments.fill_in(tensors)
    outputs = (copy if replacement is None else replacement)(*args, **kwargs)
    outputs = keras.tree.flatten(outputs)
    if len(outputs) != len(node.outputs):
        raise ValueError(
            f"`rule` must keep the number of tensors that {node.operation.name!r} gives, "
            f"{len(node.outputs)}. Received: a callable that gives {len(outputs)}"
        )
    return outputs


def _fresh(operation):
    """A new operation of the same config, or `operation` if it has no config and no state."""
    try:
        copy = type(operation).from_config(operation.get_config())
    except Exception as error:
        # Code of any layer runs here and may fail in any way; a Lambda always does.
        if getattr(operation, "variables", ()) or isinstance(operation, keras.Function):
            raise ValueError(
                f"`model` has the layer {operation.name!r} ({type(operation).__name__}) with "
                "weights, which cannot be made anew from its config. Give the layer `get_config` "
                f"and `from_config`. They raised: {error}"
            ) from error
        return operation
    if copy.name != operation.name:
        copy.name = operation.name  # a config need not hold the name
    return copy


def _copy_state(old, copy):
    """Copies the weights and the `trainable` flags of a layer and of the layers in it."""
    if _shapes(old) != _shapes(copy):
        raise ValueError(
            f"`model` has the layer {old.name!r} ({type(old).__name__}), whose config does not "
            f"give the weights that it has. Its shapes: {_shapes(old)}; by config: {_shapes(copy)}"
        )
    for one, other in zip(old._flatten_layers(), copy._flatten_layers(), strict=True):
        if hasattr(one, "save_assets"):  # such as a vocabulary that was adapted to data
            with tempfile.TemporaryDirectory() as folder:
                one.save_assets(folder)
                other.load_assets(folder)
        state = {}
        one.save_own_variables(state)
        # Through NumPy, and not what may be a view: on JAX, assigning one variable to another
        # shares the buffer, and whichever model trains first deletes it.
        other.load_own_variables({key: _array(value) for key, value in state.items()})
        if other.trainable != one.trainable:
            other.trainable = one.trainable


def _shapes(layer):
    return [tuple(weight.shape) for weight in layer.weights]


def _array(value):
    if isinstance(value, keras.Variable):
        return np.array(keras.ops.convert_to_numpy(value))
    return value
