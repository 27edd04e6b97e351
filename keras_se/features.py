"""The feature maps of a network at every scale, for detection and segmentation."""

import math
import re
from dataclasses import dataclass

import keras

from keras_se.data_format import channel_axis, spatial_shape
from keras_se.graph.stages import block_of
from keras_se.graph.walk import graph_of, is_graph, nodes, output_structure

# Layers that give maps but belong to the classifier: of MobileNets and VGGs.
HEAD = re.compile(r"conv__head|bn2|global__pool|pre__logits")
# Strides of the levels of networks that reach the last of them, the others being of their stems.
FIRST_STRIDE, LAST_STRIDE = 4, 32
# Pixels, for a model of any size; any multiple of the last stride.
PROBE = 512


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
    """Lists the last feature map of every stride of a network, by their usual names.

    Maps end blocks, as those of timm's `features_only` and of KerasHub's backbones do. The last one
    is the last feature map of the network, without the 1x1 convolution of MobileNetV2's head.

    Args:
        model: A network of `keras_se.applications`, with or without its top and its gates, or a
            functional model that calls one.

    Returns:
        A mapping from `"P2"` (stride 4) to `"P5"` (stride 32) to `Level`. Networks for small
        images have `"P0"` to `"P2"`.

    Raises:
        ValueError: If no layers of `model` are named as those of a network of `keras_se`.

    Example:
    >>> from keras_se.applications import SEResNet18
    >>> model = SEResNet18(include_top=False, weights=None)
    >>> pyramid_levels(model)["P3"]
    Level(layer='layer2_1_relu', stride=8, channels=128)
    """
    network, _ = _find_network(model)
    strides, ends = {}, {}
    for node in nodes(network):
        before = [strides[id(tensor)] for tensor in node.input_tensors]
        stride = max(before, default=1) * _own_stride(node.operation)
        strides.update((id(tensor), stride) for tensor in node.outputs)
        name, shape = node.operation.name, node.outputs[0].shape
        if len(shape) == 4 and not HEAD.match(name):
            # A block that halves the map may begin with layers that do not; a convolution or
            # pooling of the stem is one with its padding.
            block = block_of(name) or name.removesuffix("_pad")
            ends[block] = Level(name, stride, shape[channel_axis()])
    last = {level.stride: level for level in ends.values()}
    first = FIRST_STRIDE if LAST_STRIDE in last else 1
    return {
        f"P{stride.bit_length() - 1}": level for stride, level in last.items() if stride >= first
    }


def feature_pyramid(model: keras.Model, *, padded: bool = False) -> keras.Model:
    """Returns a model whose outputs are the last feature maps of every stride.

    Args:
        model: As for `pyramid_levels`. Its layers are shared.
        padded: Whether to put zeros around maps of fewer pixels than `height / stride`: those of
            Inception-v3 and Inception-ResNet-v2, whose convolutions do not all pad. What joins maps
            of different strides needs it. Of these networks, the input must have a fixed size.

    Returns:
        A functional `keras.Model` from images to a mapping from the names of `pyramid_levels` to
        tensors `(batch, height / stride, width / stride, channels)`. Its `pyramid_outputs` are
        what `keras_hub.models.RetinaNetBackbone` and `DeepLabV3Backbone` take.

    Raises:
        ValueError: As `pyramid_levels`, or if maps cannot be padded.

    Example:
    >>> from keras_se.applications import SEResNet18
    >>> pyramid = feature_pyramid(SEResNet18(include_top=False, weights=None))
    >>> sorted(pyramid.pyramid_outputs)
    ['P2', 'P3', 'P4', 'P5']
    """
    levels = pyramid_levels(model)
    network, calls = _find_network(model)
    outputs = {name: network.get_layer(level.layer).output for name, level in levels.items()}
    pyramid = keras.Model(network.input, outputs, name=f"{network.name}_pyramid")
    # From the network outwards, each call is made again in the graph of the model around it.
    for outer, node in calls:
        outputs = pyramid(node.input_tensors[0])
        pyramid = keras.Model(graph_of(outer).input, outputs, name=f"{outer.name}_pyramid")
    if padded:
        outputs = {name: _padded(pyramid, name, level.stride) for name, level in levels.items()}
        pyramid = keras.Model(pyramid.input, outputs, name=pyramid.name)
    # What KerasHub's detectors and segmenters look for.
    pyramid.pyramid_outputs = output_structure(pyramid)
    return pyramid


def _padded(pyramid, name, stride):
    """A map with a pixel for every stride of the image, zeros around it where it lacks some."""
    image = (1, *(side or PROBE for side in pyramid.input_shape[1:]))
    shape = pyramid.compute_output_shape(image)[name]
    lacking = [
        math.ceil(side / stride) - pixels
        for side, pixels in zip(spatial_shape(image), spatial_shape(shape), strict=True)
    ]
    output = output_structure(pyramid)[name]
    if not any(lacking):
        return output
    if None in pyramid.input_shape[1:]:
        raise ValueError(
            f"`model` must have an input_shape of a fixed height and width, for the maps of "
            f"{pyramid.name!r} do not fit its strides. Received: {pyramid.input_shape}"
        )
    sides = tuple((pixels // 2, pixels - pixels // 2) for pixels in lacking)
    return keras.layers.ZeroPadding2D(sides, name=f"{name}_pad")(output)


def _find_network(model):
    """The graph whose layers are named as a network's; the calls to it, each in its own model."""
    graph = graph_of(model)
    if any(block_of(layer.name) for layer in graph.layers):
        return graph, []
    for node in nodes(graph):
        if is_graph(node.operation) and node.operation is not graph:
            try:
                network, calls = _find_network(node.operation)
            except ValueError:
                continue
            return network, [*calls, (model, node)]
    raise ValueError(
        f"`model` must be a network of keras_se.applications or call one. {model.name!r} has no "
        "layers named as a network's blocks, such as layer1_0_conv1 or blocks_0_0_conv"
    )


def _own_stride(layer):
    strides = getattr(layer, "strides", 1)
    return max(strides) if isinstance(strides, tuple | list) else strides or 1
