"""The phases of a transfer in Keras's own words: first the head, then the last stages."""

import keras
import numpy as np
import pytest
from random_statistics import moved, values_by_path

from keras_se.applications import SEResNet18, SEResNeXt26TS
from keras_se.training import unfreeze


@pytest.fixture(scope="module")
def transferred():
    """A trunk in a Sequential, as most people write a transfer."""
    shape = (32, 32, 3)
    trunk = SEResNet18(include_top=False, weights=None, pooling="avg", input_shape=shape)
    return keras.Sequential([keras.Input(shape), trunk, keras.layers.Dense(3, name="mine")])


def trained(model, **phase):
    """Paths of the weights that a step of training changes."""
    unfreeze(model, **phase).compile(keras.optimizers.SGD(0.1), "mse")
    before = values_by_path(model)
    images = np.random.default_rng(0).normal(size=(8, 32, 32, 3)).astype("float32")
    model.fit(images, np.ones((8, 3)), epochs=1, verbose=0)
    return moved(model, before)


def test_the_head_is_trained_first_and_alone(transferred):
    assert {path.rsplit("/", 2)[-2] for path in trained(transferred, stages=())} == {"mine"}


def test_the_chosen_stages_move_and_statistics_stay(transferred):
    paths = trained(transferred, stages=(3, 4))
    names = {path.rsplit("/", 2)[-2] for path in paths}
    assert any("layer4" in path for path in paths) and any("layer3" in path for path in paths)
    assert not any("layer1" in path or "layer2" in path or "/conv1" in path for path in paths)
    assert not any("_bn" in name or "moving" in name for name in names)
    assert not any("moving" in path for path in paths)


def test_statistics_change_where_they_are_estimated_again(transferred):
    paths = trained(transferred, stages=(4,), batch_norm="reestimate")
    norms = {path.rsplit("/", 1)[-1] for path in paths if "_bn" in path}
    assert norms == {"moving_mean", "moving_variance"}
    assert not any("layer3" in path for path in paths)


def test_everything_is_trained_without_stages(transferred):
    assert any("layer1" in path for path in trained(transferred, stages=None))


@pytest.mark.parametrize(
    ("phase", "word"), [({"stages": (7,)}, "stages"), ({"batch_norm": "off"}, "batch_norm")]
)
def test_what_a_network_does_not_have_is_refused(transferred, phase, word):
    with pytest.raises(ValueError, match=word):
        unfreeze(transferred, **phase)


def test_networks_that_count_their_stages_from_zero_have_the_same_numbers():
    model = SEResNeXt26TS(weights=None, classes=3, input_shape=(64, 64, 3))
    unfreeze(model, stages=(4,))
    trained = {layer.name[:9] for layer in model.layers if layer.trainable_weights}
    assert trained == {"stages_3_", "head_fc"}
