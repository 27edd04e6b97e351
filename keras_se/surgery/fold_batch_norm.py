"""Folds batch norm into the layer before it, for inference."""

import keras
import numpy as np

from keras_se.graph.rewrite import rewrite
from keras_se.graph.walk import (
    all_nodes,
    calls_for_training,
    graphs,
    is_graph,
    nodes,
    require_functional,
)
from keras_se.surgery.channel_scaling import Producers, as_float64, followed_by, output_axis


def fold_batch_norm(model: keras.Model) -> keras.Model:
    """Multiplies batch norms into the convolutions and dense layers before them.

    With the moving mean `m` and variance `v`, a batch norm gives `s * x + beta - s * m` for
    `s = gamma / sqrt(v + epsilon)`: the layer before it gets its kernel times `s`, and its bias
    times `s` plus the rest; the batch norm goes. The outputs in inference stay, to float32
    rounding; training would not be the same. A batch norm stays where this is not exact: if the
    convolution has an activation, another layer or the model takes its output too, one of the two
    is called more than once, or the batch norm or a model around it is called with `training=True`.

    Args:
        model: Functional `keras.Model`; not changed.

    Returns:
        A new functional `keras.Model`, not compiled; `model`'s other layers have their names.

    Raises:
        ValueError: If `model` is not functional.

    Example:
    >>> inputs = keras.Input((8, 8, 3))
    >>> x = keras.layers.Conv2D(4, 3, use_bias=False, name="conv")(inputs)
    >>> model = keras.Model(inputs, keras.layers.BatchNormalization(name="bn")(x))
    >>> [layer.name for layer in fold_batch_norm(model).layers[1:]]
    ['conv']
    """
    require_functional(model)
    producers = Producers(model)
    folded, norms = {}, set()
    training = _trained(model)
    in_inference = (graph for graph in graphs(model) if id(graph) not in training)
    for node in (node for graph in in_inference for node in nodes(graph)):
        before = producers.of(node)
        if before is not None and _folds(node, before.operation):
            folded[id(before)] = followed_by(before, *_scale_and_shift(node.operation))
            norms.add(id(node))

    def rule(node, copy):
        return (lambda inputs, **_: inputs) if id(node) in norms else folded.get(id(node))

    return rewrite(model, rule)


def _folds(node, before):
    """Whether the call `node` is a batch norm in inference, of the channels of layer `before`."""
    norm = node.operation
    if type(norm) is not keras.layers.BatchNormalization or type(before) is type(norm):
        return False
    rank = len(node.input_tensors[0].shape)
    aligned = output_axis(norm, rank) == output_axis(before, rank)
    return aligned and not calls_for_training(node)


def _trained(model):
    """The ids of the models in `model` that are called as in training, and of those in them."""
    trained = [
        node.operation
        for node in all_nodes(model)
        if is_graph(node.operation) and calls_for_training(node)
    ]
    return {id(graph) for model in trained for graph in graphs(model)}


def _scale_and_shift(norm):
    scale = 1 / np.sqrt(as_float64(norm.moving_variance) + norm.epsilon)
    if norm.scale:
        scale = scale * as_float64(norm.gamma)
    shift = -scale * as_float64(norm.moving_mean)
    return scale, shift + as_float64(norm.beta) if norm.center else shift
