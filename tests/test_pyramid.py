"""The feature pyramid, against the network cut by hand."""

import keras
import numpy as np
import pytest
from conftest import each, infer, run
from generated import image
from shallow import shallow

from keras_se.applications import SEResNet18, get_model, list_models
from keras_se.features import Level, feature_pyramid, pyramid_levels

IMAGENET, SMALL = {"P2": 4, "P3": 8, "P4": 16, "P5": 32}, {"P0": 1, "P1": 2, "P2": 4}
# Channels at strides 4 to 32 of `timm.create_model(name, features_only=True).feature_info`, timm
# 1.0.31; those of ResNets with bottlenecks, of which timm has many, are all alike.
BASIC, BOTTLENECK = (64, 128, 256, 512), (256, 512, 1024, 2048)
TIMM = {
    "seresnet18": BASIC,
    "seresnet50": BOTTLENECK,
    "seresnet152d": BOTTLENECK,
    "seresnetaa50d": BOTTLENECK,
    "seresnext26t_32x4d": BOTTLENECK,
    "seresnext26ts": BOTTLENECK,
    "seresnet33ts": (256, 512, 1536, 1280),
    "senet154": BOTTLENECK,
    "legacy_seresnet18": BASIC,
    "legacy_seresnext26_32x4d": BOTTLENECK,
    "legacy_senet154": BOTTLENECK,
    "inception_v3": (192, 288, 768, 2048),
    "inception_resnet_v2": (192, 320, 1088, 1536),
    "mobilenetv1_100": (128, 256, 512, 1024),
    "mobilenetv2_100": (24, 32, 96, 320),
    "mobilenetv3_large_100": (24, 40, 112, 960),
    "mobilenetv3_small_100": (16, 24, 48, 576),
    "mobilenetv3_small_075": (16, 24, 40, 432),
    "mobilenetv3_small_050": (8, 16, 24, 288),
    "vgg11_bn": (256, 512, 512, 512),
    "vgg19_bn": (256, 512, 512, 512),
    "densenet121": (256, 512, 1024, 1024),
    "densenet169": (256, 512, 1280, 1664),
    "densenet201": (256, 512, 1792, 1920),
}
# Where the last map of a stride is not what its name says, or another zoo's network has none.
LAYERS = {
    "SEBNInception": (
        "conv2__3x3__bn_relu",
        "inception__3b_se",
        "inception__4d_se",
        "inception__5b_se",
    ),
    "SEShuffleNet": ("maxpool", "stage2_3_relu", "stage3_7_relu", "stage4_3_relu"),
    "SEMobileNetV2": ("blocks_1_1_add", "blocks_2_2_add", "blocks_4_2_add", "blocks_6_0_se"),
    "SEPreResNet20": ("layer1_2_add", "layer2_2_add", "layer3_2_add"),
    "SEWideResNet16_8": ("layer1_1_add", "layer2_1_add", "bn1_relu"),
}


def abstract(row, **arguments):
    """A network without the values of its weights, which take most of the time."""
    with keras.StatelessScope(initialize_variables=False):
        return row(weights=None, **arguments)


# Their trunks, shallow, are those of others; but a DenseNet's is as deep as it is, since a dense
# block has more channels the deeper it is.
MORE = {"densenet169", "densenet201", "seresnet152d", "seresnetaa50d", "seresnext26t_32x4d"}
MORE |= {"legacy_seresnext26_32x4d", "legacy_senet154", "vgg19_bn"}
MORE |= {"mobilenetv3_small_075", "mobilenetv3_small_050"}


@pytest.mark.backend_neutral
@pytest.mark.parametrize("name", each(TIMM, TIMM.keys() - MORE, MORE))
def test_channels_are_those_of_timm(name):
    row = get_model(name)
    row = row if "densenet" in name else shallow(row)
    for network in (row, row.twin):
        levels = pyramid_levels(abstract(network))
        assert {level: value.stride for level, value in levels.items()} == IMAGENET
        assert tuple(level.channels for level in levels.values()) == TIMM[name]


@pytest.mark.backend_neutral
@pytest.mark.parametrize("name", LAYERS)
def test_stages_end_with_a_block(name):
    levels = pyramid_levels(abstract(get_model(name), include_top=False))
    assert tuple(level.layer for level in levels.values()) == LAYERS[name]


FAMILIES = ("SEResNet18", "SEResNet20", "SEMobileNetV2", "SEVGG11", "SEShuffleNet", "SEInceptionV3")


# One of each trunk.
TRUNKS = {get_model(name).fields["trunk"]: name for name in list_models()}.values()


@pytest.mark.backend_neutral
@pytest.mark.parametrize(
    "name", each(list_models(), FAMILIES, {*list_models()} - {*TRUNKS, *FAMILIES})
)
def test_maps_of_every_network_are_a_stride_smaller_than_the_image(name):
    model = abstract(shallow(get_model(name)), include_top=False)
    levels = pyramid_levels(model)
    strides = {level: value.stride for level, value in levels.items()}
    assert strides == (IMAGENET if get_model(name).size > 32 else SMALL)
    maps = feature_pyramid(model).compute_output_shape((1, 512, 768, 3))
    for level, stride in strides.items():
        assert maps[level][-1] == levels[level].channels
        # Inceptions do not pad every convolution of their stems.
        lost = 4 if "Inception" in name else 0
        for side, size in zip(maps[level][1:3], (512, 768), strict=True):
            assert size // stride - lost <= side <= size // stride


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
    with pytest.raises(ValueError, match="'flat' has no layers named as a network's blocks"):
        feature_pyramid(model)


def nested(trunk):
    """A model that changes the image and calls `trunk`, inside of another that does."""
    inner = keras.Sequential([keras.layers.Rescaling(1.0, offset=0.5), trunk], name="inner")
    images = keras.Input((64, 96, 3))
    x = inner(keras.layers.Rescaling(2.0)(images))
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(x), name="outer")


def test_a_trunk_inside_of_models_gives_its_maps_of_the_image_they_show_it():
    trunk = SEResNet18(include_top=False, weights=None, input_shape=(64, 96, 3))
    model = nested(trunk)
    assert pyramid_levels(model) == pyramid_levels(trunk)
    pyramid = feature_pyramid(model)
    maps = infer(pyramid, image(64, 96), exactly=True)
    expected = infer(feature_pyramid(trunk), 2 * image(64, 96) + 0.5, exactly=True)
    for name, value in expected.items():
        np.testing.assert_allclose(maps[name], value, rtol=1e-6, atol=1e-6)
    assert pyramid.pyramid_outputs["P3"].shape == (None, 8, 12, 128)


@pytest.mark.slow
def test_kerashub_takes_a_pyramid():
    keras_hub = pytest.importorskip("keras_hub")
    pyramid = feature_pyramid(SEResNet18(include_top=False, weights=None))
    detector = keras_hub.models.RetinaNetBackbone(
        image_encoder=pyramid, min_level=3, max_level=7, use_p5=False, image_shape=(64, 64, 3)
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
