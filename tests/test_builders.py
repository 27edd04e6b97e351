"""What a builder does for its user: defaults, preprocessing, twins, and hints of near misses."""

import inspect
import subprocess
import sys
from functools import partial

import keras
import numpy as np
import pytest
from conftest import run
from generated import image

import keras_se
from keras_se import SqueezeExcite, applications
from keras_se.applications import SEResNet18, SEResNet20, SEResNet50, get_model, list_models
from keras_se.preprocessing import Preprocessing
from keras_se.weights import export_state_dict, load_state_dict


def tiny(**arguments):
    """SE-ResNet-20, which is built in no time."""
    return SEResNet20(**{"weights": None, "input_shape": (16, 16, 3)} | arguments)


def test_classes_are_those_of_the_weights():
    assert SEResNet20().output_shape == (None, 10)
    assert tiny().output_shape == (None, 1000)
    assert tiny(classes=3).output_shape == (None, 3)


def test_a_model_says_what_its_weights_want():
    model = SEResNet20(weights="cifar10")
    assert model.preprocessing == SEResNet20.preprocessing()
    assert len(model.class_names) == 10
    assert tiny().preprocessing is tiny().class_names is None
    assert SEResNet20(classes=3).class_names is None


@pytest.mark.parametrize("shape", [(32, 32, 3), (None, None, 3)])
def test_preprocessing_inside_is_preprocessing_before(shape):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype("float32")
    outside = SEResNet20(input_shape=shape)
    inside = SEResNet20(input_shape=shape, include_preprocessing=True)
    expected = run(outside, SEResNet20.preprocess_input(pixels))
    np.testing.assert_allclose(run(inside, pixels), expected, rtol=1e-4, atol=1e-5)
    # It has nothing left to do before it.
    np.testing.assert_array_equal(inside.preprocessing.normalize(pixels), pixels)


def test_preprocessing_inside_a_network_without_weights_must_be_said():
    with pytest.raises(ValueError, match="preprocessing="):
        tiny(include_preprocessing=True)
    half = Preprocessing(size=16, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    model = tiny(include_preprocessing=True, preprocessing=half)
    bare = tiny()
    bare.set_weights(model.get_weights())
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)).astype("float32")
    np.testing.assert_allclose(run(model, pixels), run(bare, pixels / 127.5 - 1), rtol=1e-3)


def test_squashed_pictures_keep_all_of_their_sides():
    """The left and right borders, which a center crop cuts off, are seen."""
    picture = np.zeros((40, 80, 3), "uint8")
    picture[:, :20], picture[:, -20:] = 255, 255
    squashed = Preprocessing(size=8, crop=1.0, crop_mode="squash").load_image(picture)
    centered = Preprocessing(size=8, crop=1.0).load_image(picture)
    assert squashed[:, 0].min() > 200
    assert squashed[:, -1].min() > 200
    assert centered.max() < 50


def test_twins_are_networks_of_their_own():
    twin = get_model("resnet50")
    assert (twin.name, twin.is_twin, twin.twin) == ("ResNet50", True, SEResNet50)
    assert twin.weights[0].tag == "a1_in1k"
    names = [layer.name for layer in get_model("resnet20")(weights=None).layers[1:]]
    assert names == [layer.name for layer in SEResNet20(weights=None, se=False).layers[1:]]
    assert not any(name.endswith("_se") for name in names)
    again = get_model("resnet20")(weights=None, se=True)
    assert any(isinstance(layer, SqueezeExcite) for layer in again.layers)


def test_networks_are_listed_by_pattern_and_weights():
    assert "SEResNet18" in list_models()
    assert "SEResNet18" not in list_models(pretrained=True)
    assert list_models("*SENET154") == ["SENet154", "LegacySENet154"]


def test_drop_path_and_dropout_are_arguments_of_builders():
    model = tiny(drop_path=0.5, dropout=0.3, classes=3)
    drops = [layer for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    rates = sorted(layer.rate for layer in drops)
    # Eight branches of nine, the first being kept, and the head.
    assert len(rates) == 9
    assert rates[-1] == 0.5
    assert 0.3 in rates
    plain = tiny(classes=3)
    load_state_dict(plain, export_state_dict(model))
    np.testing.assert_allclose(run(model, image(16, 16)), run(plain, image(16, 16)), rtol=1e-5)
    for arguments in ({"dropout": 1.0}, {"drop_path": -0.1}):
        with pytest.raises(ValueError, match=next(iter(arguments))):
            tiny(**arguments)


def test_a_factory_may_take_the_units_that_a_block_asks_for():
    asked = []

    def factory(name, units=None):
        asked.append(units)
        return SqueezeExcite(units=units or 4, name=name)

    def of_a_name(name):
        return SqueezeExcite(ratio=8, name=name)

    def of_its_own(name, units=3):
        return SqueezeExcite(units=units, name=name)

    def published(name, units):
        return SqueezeExcite(units=units, name=name)

    def trunk(x, se):
        return se(name="se", units=6)(x)

    network = applications.application.Application(
        "SEUnits", trunk, size=8, min_size=8, se=published
    )
    wide = partial(network, weights=None, include_top=False, input_shape=(8, 8, 32))
    assert wide(se=factory).get_layer("se").fc1.units == 6
    assert wide(se=of_a_name).get_layer("se").fc1.units == 4
    assert wide(se=of_its_own).get_layer("se").fc1.units == 3
    assert wide().get_layer("se").fc1.units == 6
    tiny(se=factory)
    assert asked == [6] + 9 * [None]


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    (
        ({"num_classes": 10}, TypeError, ["classes"]),
        ({"pretrained": True}, TypeError, ["weights"]),
        ({"dtype": "float16"}, TypeError, ["set_dtype_policy"]),
        ({"drop_path_rate": 0.1}, TypeError, ["drop_path"]),
        ({"se": SqueezeExcite()}, ValueError, ["partial"]),
        ({"input_shape": (3, 224, 224)}, ValueError, ["channels", "set_image_data_format"]),
        ({"weights": "timm/seresnet50.ra2_in1k"}, OSError, ["hf://timm/seresnet50.ra2_in1k"]),
    ),
)
def test_near_misses_get_a_hint(arguments, error, words):
    with pytest.raises(error) as raised:
        SEResNet18(**{"weights": None} | arguments)
    for word in words:
        assert word in str(raised.value)


def test_pictures_that_are_elsewhere_or_of_fractions_get_a_hint():
    with pytest.raises(ValueError, match="get_file"):
        SEResNet50.load_image("https://example.org/cat.jpg")
    with pytest.warns(UserWarning, match="255"):
        SEResNet50.preprocess_input(np.full((2, 2, 3), 0.5, "float32"))


@pytest.mark.parametrize(
    ("statement", "words"),
    (
        ("from keras_se.applications.resnet import preprocess_input", "SEResNet50.preprocess"),
        ("from keras_se.applications.cifar import decode_predictions", "SEResNet50.decode"),
        ("from keras_se.applications import ResNet18", "SEResNet18(se=False)"),
        ("from keras_se.applications import preprocess_input", "SEResNet50.preprocess"),
        ("from keras_se import SEResNet50", "keras_se.applications"),
        ("keras_se.applications.get_model('efficientnet_b0')", "keras.applications"),
        ("keras_se.applications.get_model('seresnet51')", "SEResNet50"),
    ),
)
def test_names_that_are_elsewhere_say_where(statement, words):
    with pytest.raises((ImportError, ValueError)) as raised:
        exec(statement, {"keras_se": keras_se})
    assert words.lower() in str(raised.value).lower()


def test_builders_look_like_functions():
    assert SEResNet50.__name__ == "SEResNet50"
    assert "1709.01507" in inspect.getdoc(SEResNet50)
    assert "80.26" in inspect.getdoc(SEResNet50)
    assert "input_tensor" in inspect.getdoc(SEResNet50)
    assert inspect.signature(SEResNet20).parameters["weights"].default == "cifar10"
    assert set(dir(applications)) == {*list_models(), "get_model", "list_models"}


LAZY = """
import sys, keras_se
assert "keras_se.export" not in sys.modules
for name in ("export", "surgery", "preprocessing", "features", "training", "weights"):
    assert getattr(keras_se, name).__name__ == f"keras_se.{name}", name
assert callable(keras_se.export.export_model)
"""


def test_modules_are_attributes_without_being_imported():
    subprocess.run([sys.executable, "-c", LAZY], check=True)
