"""Counting what networks cost, against sums done by hand and the published numbers."""

import keras
import pytest

from keras_se import catalogue
from keras_se.applications import rows
from keras_se.complexity import multiply_adds
from keras_se.layers import SqueezeExcite

SIZES = catalogue.sizes()


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


def test_what_cannot_be_counted_is_refused():
    images = keras.Input((8, 8, 4))
    x = keras.layers.SeparableConv2D(4, 3, name="separable")(images)
    with pytest.raises(ValueError, match=r"SeparableConv2D layers .*separable"):
        multiply_adds(keras.Model(images, x), (8, 8, 4))
    nested = keras.Sequential([keras.Input((8, 8, 4)), keras.layers.Conv2D(4, 3)], name="inner")
    with pytest.raises(ValueError, match="nested model 'inner'"):
        multiply_adds(keras.Model(images, nested(images)), (8, 8, 4))


@pytest.mark.parametrize(
    ("network", "giga"),
    (
        # The paper's table 2 and the authors' prototxts, for the original networks.
        ("LegacySEResNet50", 3.87),
        ("LegacySEResNet101", 7.60),
        ("LegacySEResNet152", 11.32),
        ("LegacySEResNeXt50_32x4d", 4.25),
        ("LegacySEResNeXt101_32x4d", 8.00),
        ("LegacySENet154", 20.69),
        # timm's table.
        ("SEResNet50", 4.11),
    ),
)
def test_multiply_adds_are_those_of_the_paper(network, giga):
    # 0.5 percent: the paper counts other layers too, such as pooling, and rounds to 0.01 G.
    assert SIZES[network]["multiply_adds"] / 1e9 == pytest.approx(giga, rel=5e-3)


def test_the_gates_cost_a_quarter_of_a_percent():
    """The paper, section 4: 0.26 percent more FLOPs for SE-ResNet-50."""
    cost = SIZES["LegacySEResNet50"]
    added = cost["multiply_adds"] - cost["twin_multiply_adds"]
    assert added == 2_514_944  # the weights of the gates, each used once: the paper's equation 5
    assert added / cost["twin_multiply_adds"] < 0.0026


@pytest.mark.parametrize("name", ("SEResNet20", "SEResNet33TS"))
def test_the_package_file_is_what_measuring_gives(name):
    """All the others are compared where they are built anyway, in test_properties.py."""
    line = catalogue.measure(rows()[name])
    assert {field: line[field] for field in catalogue.FIELDS[1:]} == SIZES[name]


def test_networks_too_large_to_build_here_have_the_published_parameters():
    """resnext101_32x16d and 32x32d in timm's table of models."""
    assert SIZES["SEResNeXt101_32x16d"]["twin_parameters"] == 194_026_792
    assert SIZES["SEResNeXt101_32x32d"]["twin_parameters"] == 468_530_472


def test_the_package_file_has_every_network():
    assert list(SIZES) == list(rows())
