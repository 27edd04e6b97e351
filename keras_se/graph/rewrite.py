"""Rebuilds functional Keras models with other calls in place of some, on which all surgery stands.

The walk is a loop in topological order, so the depth of a network does not matter to it.
"""

import sys
import tempfile
from collections.abc import Callable

import keras
import numpy as np

from keras_se.graph.walk import (
    calls_for_training,
    constructor_arguments,
    free_name,
    graph_of,
    input_structure,
    is_called,
    is_graph,
    layers_within,
    nodes,
    output_structure,
    producer,
    require_functional,
)
from keras_se.validation import first_cause


def rewrite(model: keras.Model, rule: Callable) -> keras.Model:
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
    copies = _Copies(rule)
    new = copies.of(model)
    copies.copy_state()
    return new


def inline(model: keras.Model, inputs, start, rule: Callable) -> keras.Model:
    """Rebuilds `model` on other inputs, with the layers of the models in it as its own.

    Maps get the sizes that follow from the new inputs, in nested models too. A layer whose name is
    taken by one of another model gets that model's name before its own. A model that is called as
    in training stays one layer.

    Args:
        model: Functional `keras.Model`; not changed.
        inputs: The symbolic input of the new model, or a list of several.
        start: The symbolic tensor that the layers of `model` take, made of `inputs`, or a list of
            several.
        rule: As for `rewrite`.

    Returns:
        The new functional `keras.Model`, with the name and weights of `model`.

    Raises:
        ValueError: As `rewrite`; layers raise it too if they do not fit the new inputs.

    Example:
    >>> inner = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, name="conv")])
    >>> outer = keras.Sequential([keras.Input((8, 8, 3)), inner])
    >>> images = keras.Input((None, None, 3), name="images")
    >>> [layer.name for layer in inline(outer, images, images, lambda node, copy: None).layers]
    ['images', 'conv']
    """
    require_functional(model)
    tensors = keras.tree.flatten((inputs, start))
    copies = _Copies(rule, names={producer(tensor).name for tensor in tensors})
    outputs = copies.inlined(model, keras.tree.flatten(start))
    outputs = keras.tree.pack_sequence_as(output_structure(model), outputs)
    new = keras.Model(inputs, outputs, name=model.name)
    copies.copy_state()
    return new


class _Copies:
    """The layers of a new model, each made once for the one that it stands for.

    Args:
        rule: As for `rewrite`.
        names: Names that are taken in the new model, if nested models are dissolved in it.
    """

    def __init__(self, rule, names=()):
        self.rule, self.names = rule, set(names)
        self.pairs = {}

    def of(self, operation, prefix=None):
        """The one copy of `operation`; with a `prefix` for its name if that is taken."""
        if id(operation) not in self.pairs:
            copy = self._rebuilt(operation) if is_graph(operation) else _fresh(operation)
            if prefix is not None and copy is not operation:
                self._rename(copy, prefix)
            # The original too: it must outlive its id.
            self.pairs[id(operation)] = operation, copy
        return self.pairs[id(operation)][1]

    def copy_state(self):
        """Gives all copies the weights and `trainable` flags of their originals."""
        used = [(old, copy) for old, copy in self.pairs.values() if old is not copy]
        # Models first: the flag of a model would override those of its layers.
        for old, copy in reversed(used):
            if is_graph(old) and not old.trainable:
                copy.trainable = False
        for old, copy in used:
            # A layer that the rule replaced was never called, and has nothing to copy.
            if isinstance(old, keras.layers.Layer) and not is_graph(old) and is_called(copy):
                _copy_state(old, copy)

    def inlined(self, model, tensors):
        """The outputs of `model` called with `tensors`, layer by layer."""
        graph = graph_of(model)
        values = dict(zip(map(id, graph.inputs), tensors, strict=True))
        for node in nodes(model):
            if node.is_input:
                continue
            if is_graph(node.operation) and not calls_for_training(node):
                inputs = [values[id(tensor)] for tensor in node.input_tensors]
                outputs = self.inlined(node.operation, inputs)
            else:
                outputs = self._called(node, self.of(node.operation, model.name), values)
            values.update(zip(map(id, node.outputs), outputs, strict=True))
        return [values[id(tensor)] for tensor in graph.outputs]

    def _rebuilt(self, model):
        """A model of the copies of the layers of `model`, called as the rule says."""
        values = {}
        for node in nodes(model):
            outputs = self._called(node, self.of(node.operation), values)
            values.update(zip(map(id, node.outputs), outputs, strict=True))
        inputs, outputs = keras.tree.map_structure(
            lambda tensor: values[id(tensor)], (input_structure(model), output_structure(model))
        )
        return keras.Model(inputs, outputs, name=model.name)

    def _called(self, node, copy, values):
        """The tensors that stand for the outputs of `node`."""
        if node.is_input:
            return keras.tree.flatten(copy.output)
        replacement = self.rule(node, copy)
        if replacement is not None and not callable(replacement):
            raise ValueError(
                f"`rule` must return None or a callable. Received for {node.operation.name!r}: "
                f"{replacement!r}"
            )
        args, kwargs = node.arguments.fill_in(values)
        outputs = (copy if replacement is None else replacement)(*args, **kwargs)
        outputs = keras.tree.flatten(outputs)
        if len(outputs) != len(node.outputs):
            raise ValueError(
                f"`rule` must keep the number of tensors that {node.operation.name!r} gives, "
                f"{len(node.outputs)}. Received: a callable that gives {len(outputs)}"
            )
        return outputs

    def _rename(self, copy, prefix):
        """Gives a copy a name that no other layer of the new model has."""
        name = copy.name if copy.name not in self.names else f"{prefix}_{copy.name}"
        free = free_name(name, self.names)
        if copy.name != free:
            copy.name = free


def _fresh(operation):
    """A new operation of the same config, or `operation` if it has no config and no state."""
    handled = sys.exception()
    try:
        copy = type(operation).from_config(operation.get_config())
    except Exception as error:
        # Code of any layer runs here and may fail in any way; a Lambda always does.
        copy = _from_arguments(operation)
        if copy is not None:
            return copy
        if getattr(operation, "variables", ()) or isinstance(operation, keras.Function):
            raise ValueError(
                f"`model` has the layer {operation.name!r} ({type(operation).__name__}) with "
                "weights, which cannot be made anew from its config. Give the layer `get_config` "
                f"and `from_config`. They raised: {first_cause(error, handled)}"
            ) from error
        return operation
    if copy.name != operation.name:
        copy.name = operation.name  # a config need not hold the name
    return copy


def _from_arguments(layer):
    """A new layer of the arguments of a layer whose config is not right, or `None`.

    Configs of several layers of KerasHub name more than the arguments there are, or fewer.
    """
    arguments = constructor_arguments(layer)
    if arguments is None or not getattr(layer, "variables", ()):
        return None
    try:
        return type(layer)(**arguments | {"dtype": layer.dtype_policy.name, "name": layer.name})
    except Exception:  # as for `from_config`
        return None


def _copy_state(old, copy):
    """Copies the weights and the `trainable` flags of a layer and of the layers in it."""
    if _shapes(old) != _shapes(copy):
        raise ValueError(
            f"`model` has the layer {old.name!r} ({type(old).__name__}), whose config does not "
            f"give the weights that it has. Its shapes: {_shapes(old)}; by config: {_shapes(copy)}"
        )
    for source, target in zip(layers_within(old), layers_within(copy), strict=True):
        if hasattr(source, "save_assets"):  # such as a vocabulary that was adapted to data
            with tempfile.TemporaryDirectory() as folder:
                source.save_assets(folder)
                target.load_assets(folder)
        state = {}
        source.save_own_variables(state)
        # Through NumPy, and not what may be a view: on JAX, assigning one variable to another
        # shares the buffer, and whichever model trains first deletes it.
        target.load_own_variables({key: _array(value) for key, value in state.items()})
        if target.trainable != source.trainable:
            target.trainable = source.trainable


def _shapes(layer):
    return [tuple(weight.shape) for weight in layer.weights]


def _array(value):
    if isinstance(value, keras.Variable):
        return np.array(keras.ops.convert_to_numpy(value))
    return value
