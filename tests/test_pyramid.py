"""The feature pyramid, against the network cut by hand."""

import keras
import numpy as np
import pytest
from conftest import infer, run
from generated import image

from keras_se.applications import LegacySEResNet18, SEResNet18, SEResNet20, SEResNeXt26TS
from keras_se.features import Level, feature_pyramid, pyramid_levels

IMAGENET = {"P2": 4, "P3": 8, "P4": 16, "P5": 32}


@pytest.mark.parametrize(
    ("network", "strides", "channels"),
    (
        (SEResNet18, IMAGENET, (64, 128, 256, 512)),
        (LegacySEResNet18, IMAGENET, (64, 128, 256, 512)),
        (SEResNeXt26TS, IMAGENET, (256, 512, 1024, 2048)),
        (SEResNet20, {"P0": 1, "P1": 2, "P2": 4}, (16, 32, 64)),
    ),
)
def test_levels(network, strides, channels):
    model = network(weights=None, classes=10)
    levels = pyramid_levels(model)
    assert {name: level.stride for name, level in levels.items()} == strides
    assert tuple(level.channels for level in levels.values()) == channels
    features = infer(feature_pyramid(network(include_top=False, weights=None)), image(64, 96))
    for name, level in levels.items():
        assert tuple(features[name].shape) == (
            1,
            64 // level.stride,
            96 // level.stride,
            level.channels,
        )


def test_the_last_level_is_the_trunk_and_layers_are_shared():
    model = SEResNet18(include_top=False, weights=None)
    pyramid = feature_pyramid(model)
    result = keras.ops.convert_to_numpy(pyramid(image(64, 64), training=False)["P5"])
    np.testing.assert_array_equal(result, run(model, image(64, 64), exactly=True))
    assert pyramid.get_layer("conv1") is model.get_layer("conv1")
    assert pyramid_levels(model)["P4"] == Level("layer3_1_relu", 16, 256)


@pytest.mark.parametrize("side", (32, 33, 45, 67))
def test_levels_of_small_and_odd_images(side):
    model = SEResNet18(weights=None, input_shape=(side, side, 3), classes=10)
    strides = {name: level.stride for name, level in pyramid_levels(model).items()}
    assert strides == IMAGENET


def test_a_model_without_stages_is_refused():
    images = keras.Input((32, 32, 3))
    model = keras.Model(images, keras.layers.Conv2D(3, 3)(images), name="flat")
    with pytest.raises(ValueError, match="'flat' has no layers named layer1_0_"):
        feature_pyramid(model)


@pytest.mark.slow
def test_kerashub_takes_a_pyramid():
    keras_hub = pytest.importorskip("keras_hub")
    pyramid = feature_pyramid(SEResNet18(include_top=False, weights=None))
    detector = keras_hub.models.RetinaNetBackbone(
        image_encoder=pyramid,
        min_level=3,
        max_level=7,
        use_p5=False,
        image_shape=(64, 64, 3),
    )
    maps = infer(detector, image(64, 64))
    assert {name: one.shape[1:3] for name, one in maps.items()} == {
        "P3": (8, 8),
        "P4": (4, 4),
        "P5": (2, 2),
        "P6": (1, 1),
        "P7": (1, 1),
    }
    segmenter = keras_hub.models.DeepLabV3Backbone(
        image_encoder=pyramid,
        low_level_feature_key="P2",
        spatial_pyramid_pooling_key="P5",
        upsampling_size=8,
        dilation_rates=[6, 12, 18],
        image_shape=(64, 64, 3),
    )
    assert run(segmenter, image(64, 64)).shape == (1, 64, 64, 256)
