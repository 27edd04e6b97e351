"""Grad-CAM against what can be derived by hand, on every backend."""

import keras
import numpy as np
import pytest
from conftest import infer
from keras import layers
from random_statistics import images
from surgery_subjects import backbone

from keras_se import SqueezeExcite
from keras_se.analysis import grad_cam


def normalized(maps):
    maps = maps.clip(0)
    return maps / np.maximum(maps.max(axis=(1, 2), keepdims=True), 1e-12)


def set_weights(model, seed=0):
    """Weights that are the same on every backend."""
    random = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.name in ("gamma", "moving_variance"):
            weight.assign(random.uniform(0.5, 1.5, weight.shape))
        else:
            scale = np.sqrt(2 / np.prod(weight.shape[:-1])) if len(weight.shape) > 1 else 0.1
            weight.assign(random.normal(0, scale, weight.shape))
    return model


def classifier(activation="softmax"):
    """A linear head on the mean of a map: here Grad-CAM is CAM, whatever the score's scale."""
    inputs = keras.Input((12, 10, 3))
    x = layers.Conv2D(8, 3, 2, padding="same", activation="relu", name="conv")(inputs)
    pooled = layers.GlobalAveragePooling2D()(x)
    outputs = layers.Dense(4, activation=activation, name="head")(pooled)
    return set_weights(keras.Model(inputs, outputs))


def class_activation(model, some, classes):
    """CAM: the map of each channel times its weight in the head."""
    maps = infer(keras.Model(model.input, model.get_layer("conv").output), some)
    kernel = keras.ops.convert_to_numpy(model.get_layer("head").kernel)
    return normalized(np.einsum("nhwc,cn->nhw", maps, kernel[:, classes]))


@pytest.mark.parametrize("activation", ["softmax", None])
def test_it_is_cam_where_the_head_is_linear(activation):
    model = classifier(activation)
    # More than one batch, of several colors.
    some = images(20, 12, 10, 3) + images(20, 1, 1, 3, seed=2)
    maps = grad_cam(model, some)
    assert maps.shape == (20, 6, 5) and maps.dtype == "float32"
    predicted = infer(model, some).argmax(axis=1)
    assert len(set(predicted)) > 1
    np.testing.assert_allclose(maps, class_activation(model, some, predicted), atol=1e-5)
    chosen = np.arange(20) % 4
    maps = grad_cam(model, some, "conv", chosen)
    np.testing.assert_allclose(maps, class_activation(model, some, chosen), atol=1e-5)
    maps = grad_cam(model, some, model.get_layer("conv"), 2)
    expected = class_activation(model, some, np.full(20, 2))
    np.testing.assert_allclose(maps, expected, atol=1e-5)


@pytest.mark.parametrize("last", [layers.Softmax, lambda: layers.Activation("softmax")])
def test_models_in_models_and_separate_probabilities(last):
    model, some = classifier(None), images(3, 12, 10, 3)
    outer = keras.Sequential([keras.Input((12, 10, 3)), layers.Rescaling(1.0), model, last()])
    np.testing.assert_allclose(grad_cam(outer, some), grad_cam(model, some), atol=1e-5)
    np.testing.assert_allclose(grad_cam(outer, some, "conv"), grad_cam(model, some), atol=1e-5)


def test_what_goes_around_the_layer_counts_too():
    inputs = keras.Input((6, 6, 3))
    branch = layers.Conv2D(3, 3, padding="same", name="branch")(inputs)
    x = layers.ReLU()(layers.Add()([inputs, branch]))
    outputs = layers.Dense(2, activation="sigmoid", name="head")(layers.GlobalMaxPooling2D()(x))
    model = set_weights(keras.Model(inputs, outputs))
    some = images(4, 6, 6, 3)
    values = infer(keras.Model(inputs, branch), some)
    # Of each channel only the largest sum has a gradient, the head's weight, if it is positive.
    sums = values + some
    kernel = keras.ops.convert_to_numpy(model.get_layer("head").kernel)
    weights = kernel[:, 1] * (sums.max(axis=(1, 2)) > 0) / 36
    expected = normalized((values * weights[:, None, None]).sum(axis=-1))
    np.testing.assert_allclose(grad_cam(model, some, "branch", 1), expected, atol=1e-5)


# Every second pixel of the first image's map in the network below, on TensorFlow.
GOLDEN = [
    [0.0, 0.0, 0.0, 0.0],
    [0.0, 0.0, 0.7287463, 0.0],
    [0.0, 0.51607174, 0.4687979, 0.0],
    [0.0, 0.0, 0.0, 0.0],
]


def test_every_backend_gives_the_same_in_a_deep_network():
    inner = backbone()
    x = SqueezeExcite(4, name="se")(inner.output)
    x = layers.Conv2D(8, 3, 2, padding="same", activation="relu", name="last")(x)
    head = layers.Dense(5, activation="softmax")
    model = set_weights(keras.Model(inner.input, head(layers.Flatten()(x))))
    maps = grad_cam(model, images(2, 16, 16, 3), "se")
    assert maps.shape == (2, 8, 8) and maps.max(axis=(1, 2)).tolist() == [1, 1]
    np.testing.assert_allclose(maps[0, ::2, ::2], GOLDEN, atol=1e-5)


def test_an_image_without_evidence_is_black():
    model = classifier()
    kernel = keras.ops.convert_to_numpy(model.get_layer("head").kernel)
    model.get_layer("head").kernel.assign(-np.abs(kernel))
    assert not grad_cam(model, images(2, 12, 10, 3)).any()


def test_the_network_stays_as_it_is():
    model, some = classifier(), images(2, 12, 10, 3)
    before, output = infer(model, some), model.get_layer("conv").output
    grad_cam(model, some)
    np.testing.assert_allclose(infer(model, some), before, atol=1e-7)
    assert model.get_layer("conv").output is output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layer": "head"}, "map"),
        ({"layer": "nothing"}, "not there"),
        ({"class_index": 4}, "0 to 3"),
        ({"class_index": [1, 2, 3]}, "2 images"),
        ({"class_index": 0.5}, "integer"),
        ({"images": np.zeros((12, 10, 3))}, "images"),
        ({"images": np.zeros((0, 12, 10, 3))}, "images"),
        ({"images": np.zeros((1, 12, 11, 3))}, "images"),
    ],
)
def test_arguments_that_are_not_legal(arguments, message):
    with pytest.raises(ValueError, match=message):
        grad_cam(classifier(), **{"images": images(2, 12, 10, 3), **arguments})


def test_models_without_a_map_or_a_class_are_refused():
    inputs = keras.Input((4, 4, 3))
    flat = layers.Flatten()(inputs)
    with pytest.raises(ValueError, match="layer"):
        grad_cam(keras.Model(inputs, layers.Dense(2)(flat)), images(1, 4, 4, 3))
    x = layers.Conv2D(3, 3, name="conv")(inputs)
    with pytest.raises(ValueError, match="output"):
        grad_cam(keras.Model(inputs, x), images(1, 4, 4, 3))
