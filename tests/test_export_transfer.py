"""Transfer models, a trunk of the zoo within a model of one's own, in every format."""

import logging
from importlib.util import find_spec

import keras
import numpy as np
import pytest
from conftest import run
from families import build
from generated import image
from keras import layers

from keras_se.applications import SEResNet18
from keras_se.export import FORMATS, export_model, load_exported, read_metadata
from keras_se.export.inference_model import TRAINING_ONLY

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
# What some of them need to be made.
ARGUMENTS = {
    "ActivityRegularization": {"l2": 0.1},
    "RandomColorDegeneration": {"factor": 0.5},
    "RandomColorJitter": {"brightness_factor": 0.2},
    "RandomGrayscale": {"factor": 1.0},
    "RandomHue": {"factor": 0.2},
    "RandomPosterization": {"factor": 4},
    "RandomSaturation": {"factor": 0.2},
    "RandomSharpness": {"factor": 0.5},
    "RandomShear": {"x_factor": 0.2},
    "RandomTranslation": {"height_factor": 0.2, "width_factor": 0.2},
}
ONE_NUMBER = "AlphaDropout Dropout GaussianDropout GaussianNoise RandomBrightness RandomContrast"
ONE_NUMBER += " RandomRotation RandomZoom SpatialDropout1D SpatialDropout2D SpatialDropout3D"


def writable(name):
    there = all(map(find_spec, FORMATS[name].packages))
    return there and (ON_TENSORFLOW or not FORMATS[name].tensorflow)


def formats(*left_out):
    return [name for name in FORMATS if writable(name) and name not in left_out]


def augmentation():
    return [layers.RandomFlip(), layers.RandomRotation(0.2), layers.GaussianNoise(0.1)]


def sequential(trunk, *front, side=16):
    return keras.Sequential([keras.Input((side, side, 3)), *front, trunk, layers.Dense(3)])


def functional(trunk, side=16):
    images = keras.Input((side, side, 3))
    return keras.Model(images, layers.Dense(3)(layers.Dropout(0.5)(trunk(images))))


def exported(model, folder, name):
    """The outputs of an export for two images of the model's own size, and its metadata."""
    _, side, _, _ = model.input_shape
    images = np.concatenate([image(side, side, seed=seed) for seed in range(2)])
    path = folder / f"model{FORMATS[name].suffix or ''}"
    calibration = {"calibration": images} if FORMATS[name].calibrated else {}
    export_model(model, path, name, **calibration)
    exported = load_exported(path)
    return exported(images), run(model, images), exported.metadata


def assert_close(result, expected, name):
    share = 0.1 if FORMATS[name].calibrated else 1e-5
    np.testing.assert_allclose(result, expected, rtol=0, atol=share * np.abs(expected).max())


@pytest.fixture(scope="module")
def published():
    """The commonest of all: the README's."""
    trunk = SEResNet18(include_top=False, weights=None, pooling="avg", input_shape=(64, 64, 3))
    return sequential(trunk, side=64)


def some_large(names, ordinary):
    """Test parameters: all the names, those that are not ordinary only in the large tests."""
    return [
        pytest.param(name, marks=[] if name in ordinary else [pytest.mark.large]) for name in names
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", some_large(formats("state_dict"), ("keras", "onnx")))
def test_the_commonest_transfer_model(published, tmp_path, name):
    result, expected, metadata = exported(published, tmp_path, name)
    assert_close(result, expected, name)
    size = 64 if name == "onnx_fixed" else None
    assert metadata["input_shape"] == [None, size, size, 3]


TRANSFER = {
    "sequential": lambda: sequential(build("cifar", 16)),
    "functional": lambda: functional(build("cifar", 16)),
    "of any size": lambda: sequential(build("cifar")),
    "augmented": lambda: sequential(build("cifar", 16), *augmentation()),
    "twice nested": lambda: sequential(functional(build("cifar", 16))),
}


# What the kinds differ in is one for all formats.
PAIRS = [("keras", kind) for kind in TRANSFER]
PAIRS += [(name, "augmented") for name in formats("state_dict", "keras", "onnx_fixed")]


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_transfer_models(tmp_path, name, kind):
    result, expected, metadata = exported(TRANSFER[kind](), tmp_path, name)
    assert_close(result, expected, name)
    assert metadata["input_shape"] == [None, None, None, 3]


@pytest.mark.skipif(not writable("onnx_fixed"), reason="needs onnx")
def test_the_size_of_the_model_around_is_that_of_the_trunk(tmp_path):
    result, expected, metadata = exported(sequential(build("cifar")), tmp_path, "onnx_fixed")
    assert_close(result, expected, "onnx_fixed")
    assert metadata["input_shape"] == [None, 16, 16, 3]


# Keras's MixUp asks JAX for more bits than it has.
@pytest.mark.filterwarnings("ignore:Explicitly requested dtype:UserWarning")
@pytest.mark.parametrize("layer", sorted(TRAINING_ONLY, key=lambda layer: layer.__name__))
def test_what_is_left_out_changes_nothing_at_inference(layer):
    name = layer.__name__
    arguments = [0.2] if name in ONE_NUMBER.split() else []
    made = layer(*arguments, **ARGUMENTS.get(name, {}))
    shape = {"SpatialDropout1D": (8, 3), "SpatialDropout3D": (8, 8, 8, 3)}.get(name, (8, 8, 3))
    images = np.random.default_rng(0).uniform(-300, 300, (2, *shape)).astype("float32")
    result = keras.ops.convert_to_numpy(made(images, training=False))
    np.testing.assert_array_equal(result, images)


def test_what_is_left_out_is_logged(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "keras_se"):
        export_model(sequential(build("cifar", 16), *augmentation()), tmp_path / "m.keras", "keras")
    (text,) = [one.getMessage() for one in caplog.records if "training" in one.getMessage()]
    assert all(kind in text for kind in ("RandomFlip", "RandomRotation", "GaussianNoise"))
    kinds = {type(one).__name__ for one in keras.saving.load_model(tmp_path / "m.keras").layers}
    assert not kinds & {"RandomFlip", "RandomRotation", "GaussianNoise"}


@pytest.mark.skipif(not writable("onnx"), reason="needs onnx")
def test_adapted_statistics(tmp_path):
    normalization = layers.Normalization(mean=[1.0, 2, 3], variance=[4.0, 0.5, 1])
    result, expected, _ = exported(sequential(build("cifar"), normalization), tmp_path, "onnx")
    assert_close(result, expected, "onnx")


def test_augmentation_of_integers(tmp_path):
    images = keras.Input((16, 16, 3), dtype="uint8")
    x = layers.RandomFlip()(images)
    model = keras.Model(images, build("cifar")(layers.Rescaling(1 / 255)(x)))
    export_model(model, tmp_path / "m.keras", "keras")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)).astype("uint8")
    result = run(keras.saving.load_model(tmp_path / "m.keras"), pixels)
    np.testing.assert_allclose(result, run(model, pixels), atol=1e-5)


@keras.saving.register_keras_serializable(package="test_export_transfer")
class OfOneSize(keras.layers.Layer):
    """A layer that says only when it runs which size it takes."""

    def call(self, inputs):
        return keras.ops.reshape(inputs, (-1, 16 * 16 * 3))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], 16 * 16 * 3)


def test_a_model_of_one_size_that_says_so_late_keeps_it(tmp_path):
    images = keras.Input((16, 16, 3))
    model = keras.Model(images, layers.Dense(3)(OfOneSize()(images)))
    export_model(model, tmp_path / "m.keras", "keras")
    assert read_metadata(tmp_path / "m.keras")["input_shape"] == [None, 16, 16, 3]


def test_layers_of_one_name_in_two_models(tmp_path):
    first, second = (build("cifar", 16) for _ in range(2))
    second.name = "second"
    second.set_weights([2 * weight for weight in second.get_weights()])
    images = keras.Input((16, 16, 3))
    model = keras.Model(images, layers.Concatenate()([first(images), second(images)]))
    result, expected, _ = exported(model, tmp_path, "keras")
    np.testing.assert_allclose(result, expected, atol=1e-5 * np.abs(expected).max())
