"""The feature maps of a network at every scale, for detection and segmentation."""

import math
from dataclasses import dataclass

import keras

from keras_se.data_format import channel_axis
from keras_se.graph.stages import stage_of

# Pixels, for a model of any size; any multiple of the largest stride.
PROBE = 256


@dataclass(frozen=True)
class Level:
    """One level of a feature pyramid.

    Attributes:
        layer: Name of the layer whose output it is.
        stride: Pixels of the image for one pixel of the map, in each direction.
        channels: Number of channels.
    """

    layer: str
    stride: int
    channels: int


def pyramid_levels(model: keras.Model) -> dict[str, Level]:
    """Lists the outputs of the stages of a network, by their usual names.

    Args:
        model: A model of `keras_se.applications`, with or without its top.

    Returns:
        A mapping from `"P2"` (stride 4) to `"P5"` (stride 32) to `Level`. Networks for small
        images have `"P0"` to `"P2"`.

    Raises:
        ValueError: If the layers of `model` are not named as stages.

    Example:
    >>> from keras_se.applications import SEResNet18
    >>> model = SEResNet18(include_top=False, weights=None)
    >>> pyramid_levels(model)["P3"]
    Level(layer='layer2_1_relu', stride=8, channels=128)
    """
    last = {}
    for layer in model.layers:
        stage = stage_of(layer.name)
        if stage is not None:
            last[stage] = layer
    if not last:
        raise ValueError(f"{model.name!r} has no layers named layer1_0_... or stages_0_0_...")
    layers = [last[stage] for stage in sorted(last)]
    image = (1, *(side or PROBE for side in model.inputs[0].shape[1:]))
    outputs = keras.Model(model.inputs, [layer.output for layer in layers])
    levels, exponent, before = {}, 0, image[-2]
    for layer, shape in zip(layers, outputs.compute_output_shape(image), strict=True):
        # The axis before the last is one of space in either data format. A stage keeps the size or
        # halves it, rounding up; only the stem may divide it by more.
        if shape[-2] < before:
            exponent += 1 if levels else round(math.log2(before / shape[-2]))
        before = shape[-2]
        levels[f"P{exponent}"] = Level(layer.name, 2**exponent, shape[channel_axis()])
    return levels


def feature_pyramid(model: keras.Model) -> keras.Model:
    """Returns a model whose outputs are the feature maps of every stage.

    Args:
        model: A model of `keras_se.applications`, with or without its top. Its layers are shared.

    Returns:
        A functional `keras.Model` from images to a mapping from the names of `pyramid_levels` to
        tensors `(batch, height / stride, width / stride, channels)`. Its `pyramid_outputs` are
        what `keras_hub.models.RetinaNetBackbone` and `DeepLabV3Backbone` take.

    Raises:
        ValueError: As `pyramid_levels`.

    Example:
    >>> from keras_se.applications import SEResNet18
    >>> pyramid = feature_pyramid(SEResNet18(include_top=False, weights=None))
    >>> sorted(pyramid.pyramid_outputs)
    ['P2', 'P3', 'P4', 'P5']
    """
    levels = pyramid_levels(model)
    outputs = {name: model.get_layer(level.layer).output for name, level in levels.items()}
    pyramid = keras.Model(model.input, outputs, name=f"{model.name}_pyramid")
    # What KerasHub's detectors and segmenters look for.
    pyramid.pyramid_outputs = outputs
    return pyramid
