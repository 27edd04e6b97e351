"""Counting what networks cost, against sums done by hand and the published numbers."""

import keras
import pytest

from keras_se.applications import get_model, list_models
from keras_se.cli import model_table
from keras_se.graph.complexity import complexity, multiply_adds
from keras_se.layers import SqueezeExcite

pytestmark = pytest.mark.backend_neutral

SIZES = model_table.sizes()


def test_every_kind_of_layer_is_counted():
    images = keras.Input((None, None, 6))
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same", groups=2)(images)  # 5 * 4 * 9 * 3 * 8
    x = keras.layers.DepthwiseConv2D(5, depth_multiplier=2)(x)  # 1 * 25 * 8 * 2 at 5 * 4 -> 1 * 0
    assert multiply_adds(keras.Model(images, x), (18, 16, 6)) == 9 * 8 * 9 * 3 * 8 + 5 * 4 * 25 * 16
    x = SqueezeExcite(units=3)(x)
    x = keras.layers.Dense(7)(x)  # at every one of 5 * 4 positions
    x = keras.layers.BatchNormalization()(x)
    total = 9 * 8 * 9 * 3 * 8 + 5 * 4 * 25 * 16 + 2 * 3 * 16 + 5 * 4 * 16 * 7
    assert multiply_adds(keras.Model(images, x), (18, 16, 6)) == total


def test_transposed_and_separable_convolutions_are_counted():
    images = keras.Input((5, 7, 3))
    x = keras.layers.Conv2DTranspose(4, 3, strides=2)(images)  # 3 * 4 * 9 at 5 * 7
    separable = keras.layers.SeparableConv2D(6, 3, padding="same")  # 4 * 9 + 4 * 6 at 11 * 15
    model = keras.Model(images, separable(x))
    assert multiply_adds(model) == 5 * 7 * 108 + 11 * 15 * 60


def test_a_layer_called_twice_works_twice_and_weighs_once():
    images = keras.Input((None, None, 4))
    shared = keras.layers.Conv2D(4, 3, padding="same", use_bias=False, name="shared")
    nested = keras.Sequential([keras.Input((None, None, 4)), keras.layers.Dense(2)], name="inner")
    cost = complexity(keras.Model(images, nested(shared(shared(images)))), (8, 6, 4))
    assert cost.multiply_adds == 2 * 8 * 6 * 144 + 8 * 6 * 8
    assert cost.parameters == 144 + 8 + 2
    calls = [one for one in cost.layers if one.layer == "shared"]
    assert [(one.parameters, one.multiply_adds) for one in calls] == [(144, 6912), (0, 6912)]
    assert cost.layers[-1].layer.startswith("inner/")
    assert sum(one.parameters for one in cost.layers) == cost.parameters


def test_frozen_parameters_count():
    images = keras.Input((4, 4, 2))
    model = keras.Model(images, keras.layers.BatchNormalization()(keras.layers.Dense(3)(images)))
    model.trainable = False
    assert complexity(model).parameters == 2 * 3 + 3 + 2 * 3
    assert sum(one.parameters for one in complexity(model).layers) == 15


def test_the_table_lists_what_costs_and_the_sums():
    images = keras.Input((4, 4, 2))
    x = keras.layers.Conv2D(1000, 1, use_bias=False, name="wide")(images)
    cost = complexity(keras.Model(images, keras.layers.ReLU(name="active")(x)))
    head, line, total = cost.table().splitlines()
    assert head.split() == ["layer", "class", "output", "parameters", "multiply-adds"]
    assert line.split() == ["wide", "Conv2D", "4x4x1000", "2,000", "32,000"]
    assert total.split() == ["all", "2,000", "32,000"]
    assert str(cost) == "2,000 parameters, 32,000 multiply-adds"


@pytest.mark.parametrize(
    ("name", "giga"),
    # Conv biases aside, those of the papers.
    (
        pytest.param("ResNet50", 3.86, marks=pytest.mark.slow),
        ("MobileNet", 0.569),
        pytest.param("VGG16", 15.47, marks=pytest.mark.large),
        pytest.param("DenseNet121", 2.83, marks=pytest.mark.large),
        pytest.param("EfficientNetB0", 0.386, marks=pytest.mark.slow),
        pytest.param("NASNetMobile", 0.564, marks=pytest.mark.large),
        pytest.param("ConvNeXtTiny", 4.46, marks=pytest.mark.large),
    ),
)
def test_networks_of_keras_are_counted(name, giga):
    model = getattr(keras.applications, name)(weights=None)
    assert multiply_adds(model) / 1e9 == pytest.approx(giga, rel=1e-2)


def test_what_cannot_be_counted_is_refused():
    tokens = keras.Input((8, 4))
    attention = keras.layers.LSTM(4, name="memory")(tokens)
    with pytest.raises(ValueError, match="LSTM"):
        complexity(keras.Model(tokens, attention))

    frozen = keras.Model(tokens, attention)
    frozen.trainable = False
    with pytest.raises(ValueError, match="LSTM"):
        complexity(frozen)
    for shape in (8, (8,)):
        with pytest.raises(ValueError, match="image_shape"):
            complexity(keras.Model(tokens, keras.layers.Dense(2)(tokens)), shape)

    class Subclassed(keras.Model):
        pass

    with pytest.raises(ValueError, match="Subclassed"):
        complexity(Subclassed())
    any_size = keras.Model(tokens, tokens + 0), keras.Input((None, 4))
    with pytest.raises(ValueError, match="image_shape"):
        complexity(keras.Model(any_size[1], any_size[1] + 0))


@pytest.mark.parametrize(("network", "giga"), (("LegacySENet154", 20.69), ("SEResNet50", 4.11)))
def test_multiply_adds_are_the_published_ones(network, giga):
    """Of the authors' prototxt and of timm's table; test_paper.py has the paper's."""
    # 0.5 percent: other counts have other layers too, such as pooling.
    assert SIZES[network]["multiply_adds"] / 1e9 == pytest.approx(giga, rel=5e-3)


@pytest.mark.parametrize("name", ("SEResNet20", "SEResNet33TS"))
def test_the_package_file_is_what_measuring_gives(name):
    """All the others are compared where they are built anyway, in test_properties.py."""
    line = model_table.measure(get_model(name))
    assert {field: line[field] for field in model_table.FIELDS[1:]} == SIZES[name]


def test_networks_too_large_to_build_here_have_the_published_parameters():
    """resnext101_32x16d and 32x32d in timm's table of models."""
    assert SIZES["SEResNeXt101_32x16d"]["twin_parameters"] == 194_026_792
    assert SIZES["SEResNeXt101_32x32d"]["twin_parameters"] == 468_530_472


def test_the_package_file_has_every_network():
    assert list(SIZES) == list_models()
