"""Batch norms are folded where that is exact."""

import keras
import numpy as np
from keras import layers
from random_statistics import assert_same_outputs, images, randomized

from keras_se.graph.walk import layers_within
from keras_se.surgery import fold_batch_norm


def folding_subject():
    """Every kind of layer that batch norm folds into, with and without biases."""
    inputs = keras.Input((12, 12, 4))
    makers = {
        "conv": layers.Conv2D(6, 3, use_bias=False, name="conv"),
        "grouped": layers.Conv2D(6, 3, groups=2, name="grouped"),
        "depthwise": layers.DepthwiseConv2D(3, depth_multiplier=2, name="depthwise"),
        "separable": layers.SeparableConv2D(8, 3, use_bias=False, name="separable"),
        "transposed": layers.Conv2DTranspose(5, 3, name="transposed"),
        "dense": layers.Dense(7, use_bias=False, name="dense"),
    }
    x = inputs
    for i, (name, layer) in enumerate(makers.items()):
        norm = layers.BatchNormalization(scale=i % 2 == 0, center=i % 3 != 0, name=f"{name}_bn")
        x = layers.ReLU(name=f"{name}_relu")(norm(layer(x)))
    return randomized(keras.Model(inputs, x))


def test_batch_norms_fold_into_every_kind_of_layer():
    model = folding_subject()
    new = fold_batch_norm(model)
    assert not any(isinstance(one, layers.BatchNormalization) for one in new.layers)
    assert_same_outputs(model, new, images(2, 12, 12, 4), rtol=1e-5)
    nested = fold_batch_norm(keras.Sequential([keras.Input((12, 12, 4)), model]))
    assert not any(isinstance(one, layers.BatchNormalization) for one in layers_within(nested))


def test_batch_norms_stay_where_folding_is_not_exact():
    inputs = keras.Input((12, 12, 4))

    def norm(name, **arguments):
        return layers.BatchNormalization(name=name, **arguments)

    x = norm("first")(inputs)
    x = layers.Conv2D(4, 3, activation="relu", name="active")(x)
    x = norm("after_activation")(x)
    x = layers.Conv2D(4, 1, name="used_twice")(x)
    x = x + norm("of_used_twice")(x)
    shared = layers.Conv2D(4, 1, name="shared")
    x = norm("of_shared")(shared(shared(x)))
    x = layers.Conv2D(4, 1, name="before_other_axis")(x)
    x = norm("other_axis", axis=1)(x)
    x = layers.Conv2D(4, 1, name="before_training")(x)
    x = norm("in_training")(x, training=True)
    tapped = layers.Conv2D(4, 1, name="tapped")(x)
    x = norm("of_tapped")(tapped)
    folds = norm("folds")(layers.Conv2D(4, 1, name="plain")(x))
    model = randomized(keras.Model(inputs, [folds, tapped]))
    new = fold_batch_norm(model)
    stayed = {one.name for one in new.layers if isinstance(one, layers.BatchNormalization)}
    everything_ = {one.name for one in model.layers if isinstance(one, layers.BatchNormalization)}
    assert everything_ - stayed == {"folds"}
    assert_same_outputs(model, new, images(3, 12, 12, 4), rtol=1e-5)


def test_batch_norm_of_a_model_that_is_called_for_training_stays():
    inputs = keras.Input((6, 6, 3))
    x = keras.layers.Conv2D(4, 3, name="inner_conv")(inputs)
    inner = keras.Model(inputs, keras.layers.BatchNormalization(name="inner_bn")(x), name="inner")
    outer = keras.Input((6, 6, 3))
    model = keras.Model(outer, inner(outer, training=True))
    folded = fold_batch_norm(model)
    batch = np.random.default_rng(0).normal(1.0, 2.0, (4, 6, 6, 3)).astype("float32")
    expected = keras.ops.convert_to_numpy(model(batch))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(folded(batch)), expected, rtol=1e-5)
    assert [layer.name for layer in folded.get_layer("inner").layers[1:]] == [
        "inner_conv",
        "inner_bn",
    ]
