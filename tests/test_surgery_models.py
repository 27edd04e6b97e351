"""SE in networks of other makers: the outputs stay, and the new blocks train, save and export."""

import warnings

import keras
import numpy as np
import pytest
from conftest import each
from families import CIFAR
from random_statistics import (
    assert_same_outputs,
    every_layer,
    images,
    moved,
    outputs,
    randomized,
    values_by_path,
)

from keras_se import SqueezeExcite
from keras_se.applications import SEResNet50, cifar
from keras_se.data import load
from keras_se.surgery import fold_batch_norm, insert_se, placements, remove_se

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"

RESIDUAL, BOTTLENECK = "residual branch", "linear bottleneck"
CONCATENATED, GROUP = "concatenated branches", "convolution group"
# Least side of the images, and how many blocks go where, from the architectures in the papers.
NETWORKS = {
    "ResNet50": (32, {RESIDUAL: 16}),
    "ResNet50V2": (32, {RESIDUAL: 16}),
    "ResNet152": (32, {RESIDUAL: 50}),
    "MobileNet": (32, {GROUP: 14}),
    "MobileNetV2": (32, {RESIDUAL: 10, BOTTLENECK: 7}),
    "InceptionV3": (75, {CONCATENATED: 11}),
    "InceptionResNetV2": (75, {RESIDUAL: 40, CONCATENATED: 3}),
    "Xception": (71, {RESIDUAL: 12}),
    "DenseNet121": (32, {"dense branch": 58}),
    "VGG16": (32, {GROUP: 13}),
    "EfficientNetB0": (32, {RESIDUAL: 9, BOTTLENECK: 7}),
    "EfficientNetV2B0": (32, {RESIDUAL: 15, BOTTLENECK: 5}),
    "ConvNeXtTiny": (32, {RESIDUAL: 18}),
    "NASNetMobile": (32, {CONCATENATED: 16}),
}
# One for each reason of a block: all its blocks are trained.
TRAINED = ("ResNet50", "MobileNetV2", "InceptionV3", "DenseNet121", "VGG16")
# Saved too, with layers of Keras's own applications in the last one.
SAVED = (*TRAINED[:3], "VGG16", "ConvNeXtTiny")
FAST, EXPORTED = ("VGG16",), ("MobileNetV2", "VGG16")
# Of the same layers and connections as ResNet50, it and InceptionV3 together, or EfficientNetB0.
DEEPER = ("ResNet152", "InceptionResNetV2", "EfficientNetV2B0")


def application(name):
    """A network of keras.applications that gives a vector, with random statistics."""
    if name == "NASNetMobile" and keras.backend.backend() == "torch":
        pytest.skip("Keras does not build NASNetMobile on PyTorch")
    side, _ = NETWORKS[name]
    builder = getattr(keras.applications, name)
    network = builder(weights=None, include_top=False, pooling="avg", input_shape=(side, side, 3))
    for layer in network.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0  # as stochastic depth it may leave a branch out for both images
    return randomized(network)


def hub_backbone():
    """A small ResNet of KerasHub."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hub = pytest.importorskip("keras_hub", reason="keras-hub is not installed")
        network = hub.models.ResNetBackbone(
            input_conv_filters=[64],
            input_conv_kernel_sizes=[7],
            stackwise_num_filters=[64, 128],
            stackwise_num_blocks=[2, 2],
            stackwise_num_strides=[1, 2],
            block_type="bottleneck_block",
            image_shape=(32, 32, 3),
        )
    pooled = keras.layers.GlobalAveragePooling2D(name="pool")(network.output)
    return randomized(keras.Model(network.input, pooled)), randomized(network)


def check_blocks(model, side, trained=True):
    """Inserts blocks, and returns the new model, after two steps of training if asked."""
    inputs = images(2, side, side, 3)
    new = insert_se(model, freeze="backbone", verbose=False)
    (expected,) = outputs(model, inputs, exactly=True)
    np.testing.assert_array_equal(outputs(new, inputs, exactly=True)[0], expected)
    assert np.ptp(expected) > 1e-2
    if trained:
        train_a_step(new, inputs)
    return new


def train_a_step(new, inputs):
    """Trains, and checks that every weight of every block moves, and nothing else."""
    blocks = [one for one in every_layer(new).values() if isinstance(one, SqueezeExcite)]
    before = values_by_path(new)
    targets = np.random.default_rng(2).normal(size=(2, new.output_shape[-1]))
    # Eagerly where that takes less than tracing for two steps.
    eagerly = keras.backend.backend() != "jax"
    # Of one size whatever the gradient's, if there is one.
    new.compile(keras.optimizers.Adam(0.01, epsilon=1e-20), "mse", run_eagerly=eagerly)
    new.train_on_batch(inputs, targets)
    last = {weight.path for block in blocks for weight in block.fc2.weights}
    assert moved(new, before) == last
    # The first dense layer is behind the last one, which began at zero.
    new.train_on_batch(inputs, targets)
    assert moved(new, before) == {weight.path for block in blocks for weight in block.weights}


def check_saved(new, inputs, expected, folder):
    """Saves and loads."""
    new.save(folder / "new.keras")
    (given,) = outputs(keras.models.load_model(folder / "new.keras"), inputs)
    np.testing.assert_allclose(given, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def check_exported(new, inputs, expected, folder):
    """Exports, on TensorFlow, and runs what was exported."""
    if not ON_TENSORFLOW:
        return
    import tensorflow as tf

    new.export(folder / "exported", format="tf_saved_model", verbose=False)
    loaded = tf.saved_model.load(str(folder / "exported"))
    served = loaded.serve(tf.constant(inputs))
    np.testing.assert_allclose(served, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("name", each([one for one in NETWORKS if one not in DEEPER], FAST))
def test_keras_applications(name, tmp_path):
    side, expected = NETWORKS[name]
    model = application(name)
    rows = placements(model)
    reasons = [row.why for row in rows]
    assert {why: reasons.count(why) for why in reasons} == expected
    new, inputs = check_blocks(model, side, name in TRAINED), images(2, side, side, 3)
    (trained,) = outputs(new, inputs)
    if name in SAVED:
        check_saved(new, inputs, trained, tmp_path)
    if name in EXPORTED:
        check_exported(new, inputs, trained, tmp_path)


@pytest.mark.large
@pytest.mark.parametrize("name", [one for one in NETWORKS if one not in EXPORTED])
def test_every_network_of_keras_applications_is_saved_and_exported(name, tmp_path):
    side, expected = NETWORKS[name]
    model = application(name)
    assert len(placements(model)) == sum(expected.values())
    new, inputs = check_blocks(model, side, trained=False), images(2, side, side, 3)
    (before,) = outputs(new, inputs)
    check_saved(new, inputs, before, tmp_path)
    check_exported(new, inputs, before, tmp_path)


@pytest.mark.slow
def test_a_backbone_of_keras_hub(tmp_path):
    model, backbone = hub_backbone()
    assert [row.why for row in placements(model)] == [RESIDUAL] * 4
    new, inputs = check_blocks(model, 32), images(2, 32, 32, 3)
    (trained,) = outputs(new, inputs)
    check_saved(new, inputs, trained, tmp_path)
    check_exported(new, inputs, trained, tmp_path)
    # Also by itself and as a layer.
    inputs = keras.Input((32, 32, 3))
    for one in (backbone, keras.Model(inputs, backbone(inputs))):
        new = insert_se(one, verbose=False)
        assert_same_outputs(one, new, images(2, 32, 32, 3))


@pytest.mark.parametrize(
    ("name", "published"),
    [
        # Millions of parameters of the network and with SE: section 4 and tables 2 and 3.
        pytest.param("ResNet50", 2.5, marks=pytest.mark.slow),
        ("MobileNet", 4.7 - 4.2),
    ],
)
def test_what_blocks_cost_is_what_the_paper_says(name, published):
    rows = placements(getattr(keras.applications, name)(weights=None))
    # Two kernels and two biases.
    added = sum((2 * row.channels + 1) * row.units + row.channels for row in rows)
    np.testing.assert_allclose(added / 1e6, published, atol=0.05)


@pytest.mark.slow
def test_the_last_stage_has_most_of_the_parameters():
    model = SEResNet50(weights=None)
    plain = SEResNet50(weights=None, se=False).count_params()
    without, removals = remove_se(model, "stage4", verbose=False)
    assert len(removals) == 3
    # The paper's section 4: about 10 percent more parameters, and 4 without the last stage's.
    assert round(100 * (model.count_params() / plain - 1)) == 10
    assert round(100 * (without.count_params() / plain - 1)) == 4


@pytest.mark.parametrize(
    "name", each(("MobileNetV2", "ResNet50", "NASNetMobile"), ("MobileNetV2",), ("NASNetMobile",))
)
def test_batch_norms_fold(name):
    model = application(name)
    new = fold_batch_norm(model)
    norms = [one for one in new.layers if isinstance(one, keras.layers.BatchNormalization)]
    # NASNet normalizes concatenations too.
    assert len(norms) == (4 if name == "NASNetMobile" else 0)
    side, _ = NETWORKS[name]
    assert_same_outputs(model, new, images(2, side, side, 3), rtol=1e-5)


@pytest.mark.slow
def test_blocks_learn_in_a_trained_network():
    keras.utils.set_random_seed(0)
    data = load("digits")
    network = CIFAR("SEL", cifar.cifar_resnet, depth=8)
    plain = network(weights=None, input_shape=data.image_shape, classes=10, se=False)
    fit(plain, data, 0.01, epochs=3)
    new = insert_se(plain, freeze="backbone", verbose=False)
    np.testing.assert_allclose(accuracy(new, data), accuracy(plain, data), atol=0)
    fit(new, data, 0.003, epochs=4)
    # Far from a coin, and kept or better with the gates alone.
    assert accuracy(plain, data) > 0.6
    assert accuracy(new, data) >= accuracy(plain, data)
    for gates in gates_of(new, data):
        # All blocks train: channels differ, and so do images.
        assert gates.mean(axis=0).std() > 0.01
        assert gates.std(axis=0).max() > 0.005


def fit(model, data, rate, epochs):
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    model.fit(data.train_images, data.train_labels, batch_size=103, epochs=epochs, verbose=0)


def accuracy(model, data):
    given = model.predict(data.test_images, batch_size=355, verbose=0)
    return np.mean(given.argmax(axis=-1) == data.test_labels)


def gates_of(model, data):
    """The gates of every block, `(image, channel)`."""
    blocks = [layer for layer in model.layers if isinstance(layer, SqueezeExcite)]
    probe = keras.Model(model.input, [block.input for block in blocks])
    for block, features in zip(blocks, probe(data.test_images), strict=True):
        gates = keras.ops.convert_to_numpy(block.excitation(features))
        yield gates.reshape(len(gates), -1)
