"""Networks of Keras and KerasHub, which our own translation to ONNX does not know."""

import logging
import sys
from importlib.util import find_spec

import keras
import numpy as np
import pytest
from conftest import run
from random_statistics import randomized
from surgery_subjects import ConfigNamesMore

from keras_se.export import FORMATS, export_model, load_exported, read_metadata
from keras_se.export.onnx.converted import CONVERTERS
from keras_se.export.onnx.readable import readable_by_converter
from keras_se.graph.walk import layers_within

BACKEND = keras.backend.backend()
there = [all(map(find_spec, CONVERTERS[BACKEND])), find_spec("onnx"), find_spec("onnxruntime")]
needs_converter = pytest.mark.skipif(
    not all(there) or BACKEND == "jax", reason="no converter, or it takes a minute"
)


def with_preprocessing(side=16):
    """A network in whose graph its images are normalized and gates are a `Reshape`."""
    images = keras.Input((side, side, 3))
    x = keras.applications.imagenet_utils.preprocess_input(images, mode="tf")
    x = keras.layers.Conv2D(8, 3, padding="same", activation="silu", name="stem")(x)
    gates = keras.layers.GlobalAveragePooling2D()(x)
    gates = keras.layers.Reshape((1, 1, 8))(gates)
    x = x * keras.layers.Conv2D(8, 1, activation="sigmoid", name="gates")(gates)
    x = keras.layers.GlobalAveragePooling2D()(x)
    outputs = keras.layers.Dense(5, activation="softmax", name="top")(x)
    return randomized(keras.Model(images, outputs, name="preprocessed"))


def written(model, folder, name, **options):
    """An export whose outputs are not the same for all images, and the model's."""
    path = folder / f"model{FORMATS[name].suffix or ''}"
    export_model(model, path, name, **options)
    images = np.random.default_rng(3).uniform(0, 255, (2, *model.input_shape[1:]))
    images = (images * [[[[1.0]]], [[[0.1]]]]).astype("float32")
    expected = run(model, images)
    assert np.abs(expected[0] - expected[1]).max() > 1e-3 * np.abs(expected).max()
    found = load_exported(path)(images)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    return path


@needs_converter
@pytest.mark.parametrize("name", ["onnx", "openvino"])
def test_operations_that_keras_translates(tmp_path, caplog, name):
    if not all(map(find_spec, FORMATS[name].packages)):
        pytest.skip("this environment cannot write it")
    with caplog.at_level(logging.INFO, "keras_se"):
        path = written(with_preprocessing(), tmp_path, name, class_names=list("abcde"))
    assert "Keras's own export" in caplog.text
    assert "Reshape" in caplog.text
    metadata = read_metadata(path)
    assert metadata["input_shape"] == [None, 16, 16, 3]
    assert metadata["class_names"] == list("abcde")


@needs_converter
def test_a_network_of_keras(tmp_path):
    model = keras.applications.MobileNetV3Small(
        (64, 64, 3), alpha=0.25, weights=None, classes=10, classifier_activation=None
    )
    for weight in randomized(model).weights:
        if weight.name == "kernel" and len(weight.shape) == 4:
            weight.assign(1.5 * weight)  # else the images are lost on the way
    path = written(model, tmp_path, "onnx")
    assert read_metadata(path)["input_shape"] == [None, 64, 64, 3]


@needs_converter
def test_a_normalization_of_other_images(tmp_path):
    images = keras.Input((8, 8, 3))
    x = keras.layers.Normalization(mean=(1.0, 2.0, 3.0), variance=(4.0, 0.0, 9.0))(images)
    x = keras.layers.Conv2D(4, 3, name="conv")(keras.layers.Reshape((8, 8, 3))(x))
    written(keras.Model(images, keras.layers.GlobalAveragePooling2D()(x)), tmp_path, "onnx")


class Composite(keras.layers.Layer):
    """What converters cannot read as it is: see keras_se/export/onnx/readable.py."""

    def build(self, shape):
        self.numbers = keras.ops.convert_to_tensor(np.arange(1.0, 5.0, dtype="float32"))
        self.token = self.add_weight(name="token", shape=(1, 1, 1, 4), initializer="ones")
        self.grouped = keras.layers.Conv2D(4, 3, groups=2, padding="same", name="grouped")
        self.norm = keras.layers.LayerNormalization(name="norm")
        self.grouped.build(shape)
        self.norm.build(shape)

    def call(self, x):
        x = keras.activations.gelu(self.grouped(x * self.numbers), approximate=False)
        tokens = keras.ops.tile(self.token, (1, 9, 9, 1))
        return self.norm(x + tokens)


def composite():
    images = keras.Input((9, 9, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", activation="gelu", name="conv")(images)
    x = keras.layers.Conv2D(4, 3, groups=4, padding="same", name="depth")(x)
    x = keras.layers.MaxPooling2D(3, 2, "same")(Composite(name="composite")(x))
    x = keras.layers.GlobalAveragePooling2D()(x)
    return randomized(keras.Model(images, x))


@needs_converter
def test_layers_that_converters_cannot_read_as_they_are(tmp_path):
    written(composite(), tmp_path, "onnx")


def attributes(model):
    """Which objects the layers have, by layer and name."""
    own = [vars(layer).items() for layer in layers_within(model)]
    return [{name: id(value) for name, value in items} for items in own]


def test_layers_are_as_before_once_they_are_read():
    model = composite()
    images = np.ones((1, 9, 9, 3), "float32")
    expected = run(model, images)
    before = attributes(model)
    with readable_by_converter(model):
        assert attributes(model) != before
    assert attributes(model) == before
    np.testing.assert_array_equal(run(model, images), expected)


class Doubled(keras.layers.LayerNormalization):
    def call(self, inputs):
        return 2 * super().call(inputs)


class Negative(keras.layers.MaxPooling2D):
    def call(self, inputs):
        return -super().call(inputs)


class Standardized(keras.layers.Conv2D):
    def convolution_op(self, inputs, kernel):
        return super().convolution_op(inputs, kernel - keras.ops.mean(kernel))


def test_what_layers_of_others_do_otherwise_is_not_replaced():
    images = keras.Input((9, 9, 4))
    x = Negative(3, 2, "same")(Doubled()(Standardized(4, 3, groups=2, padding="same")(images)))
    model = keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))
    with readable_by_converter(model):
        replaced = {name for layer in layers_within(model) for name in vars(layer)}
    assert not replaced & {"call", "convolution_op"}


@pytest.mark.parametrize("method", ["get_config", "from_config"])
def test_what_keras_cannot_save_or_load_is_said_in_short(tmp_path, monkeypatch, method):
    images = keras.Input((8, 8, 3))
    model = keras.Model(images, keras.layers.GlobalAveragePooling2D()(ConfigNamesMore(4)(images)))
    if method == "get_config":
        monkeypatch.setattr(ConfigNamesMore, method, lambda self: {"units": self.missing})
    message = {"get_config": "save.*'missing'", "from_config": "load.*Unrecognized.*{'number': 4}$"}
    with pytest.raises(ValueError, match=message[method]):
        export_model(model, tmp_path / "model.keras")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(BACKEND == "torch", reason="PyTorch has a converter of its own")
def test_a_missing_converter_is_named(tmp_path, monkeypatch):
    pytest.importorskip("onnx")
    for package in CONVERTERS[BACKEND]:
        monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    with pytest.raises(ImportError, match=rf"Reshape.*pip install {CONVERTERS[BACKEND][0]}"):
        export_model(with_preprocessing(), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(BACKEND != "tensorflow", reason="of tf2onnx")
@needs_converter
def test_what_no_converter_knows_is_said_and_not_kept(tmp_path):
    images = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, activation="tanh", name="conv")(images)
    model = keras.Model(images, keras.ops.erfinv(keras.layers.GlobalAveragePooling2D()(x)))
    with pytest.raises(ValueError, match=r"Erfinv.*Erfinv") as caught:
        export_model(model, tmp_path / "model.onnx")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())
