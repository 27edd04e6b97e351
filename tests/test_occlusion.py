"""Occlusion against what hiding a part does to a linear classifier."""

import keras
import numpy as np
import pytest
from keras import layers
from random_statistics import images

from keras_se.analysis import occlusion


@pytest.fixture(scope="module")
def classifier():
    """Its logits are sums of weighed pixels: what is hidden is what they lose."""
    inputs = keras.Input((6, 8, 3))
    outputs = layers.Dense(4, activation="softmax", name="head")(layers.Flatten()(inputs))
    model = keras.Model(inputs, outputs)
    kernel = np.random.default_rng(0).normal(size=(144, 4))
    model.get_layer("head").kernel.assign(kernel)
    return model, kernel.reshape(6, 8, 3, 4)


@pytest.mark.parametrize("value", [0.0, 0.7])
def test_the_fall_is_what_the_hidden_pixels_were_worth(classifier, value):
    model, kernel = classifier
    some = images(3, 6, 8, 3)
    worth = np.einsum("nhwc,hwck->nhwk", some - value, kernel)
    predicted = np.einsum("nhwc,hwck->nk", some, kernel).argmax(axis=1)
    falls = occlusion(model, some, patch=3, stride=2, value=value)
    assert falls.shape == (3, 2, 3) and falls.dtype == "float32"
    for image, index in enumerate(predicted):
        for row, column in np.ndindex(2, 3):
            top, left = 2 * row, 2 * column
            expected = worth[image, top : top + 3, left : left + 3, index].sum()
            assert falls[image, row, column] == pytest.approx(expected, abs=1e-4)


def test_any_class_and_the_whole_image(classifier):
    model, kernel = classifier
    some = images(2, 6, 8, 3)
    falls = occlusion(model, some, patch=6, class_index=[3, 1])
    assert falls.shape == (2, 1, 1)
    expected = np.einsum("nhwc,hwck->nk", some[:, :, :6], kernel[:, :6])[[0, 1], [3, 1]]
    np.testing.assert_allclose(falls.ravel(), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"patch": 7}, "at most 6"), ({"patch": 0}, "patch"), ({"stride": -1}, "stride")],
)
def test_arguments_that_are_not_legal(classifier, arguments, message):
    with pytest.raises(ValueError, match=message):
        occlusion(classifier[0], images(1, 6, 8, 3), **{"patch": 2, **arguments})
