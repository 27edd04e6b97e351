"""KerasHub's RetinaNet and DeepLabV3 on the networks of keras_se.

Importing this module registers what `keras.models.load_model` needs of saved detectors and
segmenters. KerasHub is for TensorFlow and JAX.
"""

import math
import os

import keras

from keras_se.features import feature_pyramid
from keras_se.validation import require_packages

require_packages("keras_se.dense.kerashub", "keras_hub")
import keras_hub  # noqa: E402 (what installs it is said first)

# Of RetinaNet's paper, https://arxiv.org/abs/1708.02002: the score of every anchor at the start,
# the deviation of the last kernels, and the levels, of which the last two are made from the last of
# the network.
PRIOR, DEVIATION = 0.01, 0.01
LEVELS = (3, 7)
BOX_FORMAT = "xyxy"


@keras.saving.register_keras_serializable(package="keras_se")
class PyramidBackbone(keras_hub.models.FeaturePyramidBackbone):
    """Turns images into the last feature maps of every stride of a network of keras_se.

    Args:
        network: As for `keras_se.features.feature_pyramid` with `padded`.
        **arguments: `name`, `trainable` and `dtype`, as of any backbone of KerasHub.

    Raises:
        ValueError: If `network` is not legal.

    Example:
    >>> from keras_se.applications import SEResNet18
    >>> backbone = PyramidBackbone(SEResNet18(include_top=False, weights=None))
    >>> list(backbone.pyramid_outputs)
    ['P2', 'P3', 'P4', 'P5']
    """

    def __init__(self, network: keras.Model, **arguments):
        pyramid = feature_pyramid(network, padded=True)
        super().__init__(inputs=pyramid.input, outputs=pyramid.pyramid_outputs, **arguments)
        self.pyramid_outputs = pyramid.pyramid_outputs
        self.pyramid = pyramid

    def get_config(self) -> dict:
        """Returns what `from_config` makes the same backbone of."""
        network = keras.saving.serialize_keras_object(self.pyramid)
        return {**super().get_config(), "network": network}

    @classmethod
    def from_config(cls, config: dict) -> "PyramidBackbone":
        """Makes a backbone of what `get_config` returns."""
        network = keras.saving.deserialize_keras_object(config["network"])
        return super().from_config({**config, "network": network})


def retinanet(
    network: keras.Model,
    num_classes: int,
    *,
    levels: tuple[int, int] = LEVELS,
    anchor_size: float = 4.0,
    head_convolutions: int = 4,
    confidence_threshold: float = 0.05,
    max_detections: int = 100,
) -> keras.Model:
    """Returns a RetinaNet that detects objects in images, compiled by its own `compile`.

    Two things differ from what KerasHub 0.32 makes by itself. Each box of the training images is
    matched to its nearest anchor at least, for a box that no anchor covers by half would not be
    learned. And the class head, not the box head, starts with the scores of the focal loss's prior.

    Args:
        network: As for `PyramidBackbone`. Heights and widths must be multiples of its last stride;
            with `include_preprocessing=True` it takes pixels from 0 to 255.
        num_classes: Number of classes, without a background.
        levels: First and last level of the pyramid. Those above the network's last are made by
            convolutions.
        anchor_size: Side of the smallest anchor of a level, in strides.
        head_convolutions: Number of convolutions of each head before its last.
        confidence_threshold: Least score of what is detected. For the metrics of COCO a low one.
        max_detections: Most boxes of an image.

    Returns:
        A `keras_hub.models.RetinaNetObjectDetector` of boxes in pixels, `(x1, y1, x2, y2)`.
        `fit` takes images and `{"boxes": (image, box, 4), "labels": (image, box)}`, filled up with
        -1; `predict` gives these two, `confidence` and `num_detections`. Files do not keep the
        matching: a detector that is loaded to be trained needs `match_every_box` again.

    Raises:
        ValueError: If an argument is not legal.
    """
    backbone = PyramidBackbone(network)
    encoder = keras_hub.models.RetinaNetBackbone(
        image_encoder=backbone,
        min_level=levels[0],
        max_level=levels[1],
        use_p5=False,
        image_shape=tuple(backbone.input_shape[1:]),
    )
    anchors = keras_hub.layers.AnchorGenerator(
        BOX_FORMAT,
        min_level=levels[0],
        max_level=levels[1],
        num_scales=3,
        aspect_ratios=[0.5, 1.0, 2.0],
        anchor_size=anchor_size,
    )
    decoder = keras_hub.layers.NonMaxSuppression(
        BOX_FORMAT,
        from_logits=True,
        confidence_threshold=confidence_threshold,
        max_detections=max_detections,
    )
    detector = keras_hub.models.RetinaNetObjectDetector(
        encoder,
        num_classes,
        bounding_box_format=BOX_FORMAT,
        anchor_generator=anchors,
        pre_logits_num_conv_layers=head_convolutions,
        prediction_decoder=decoder,
    )
    _initialize(detector)
    return match_every_box(detector)


def match_every_box(detector: keras.Model) -> keras.Model:
    """Makes the training of a detector match every box to its nearest anchor at least.

    Args:
        detector: A `keras_hub.models.RetinaNetObjectDetector`, changed in place.

    Returns:
        `detector`.
    """
    # The argument that does it is one of a class that KerasHub does not export.
    detector.label_encoder.box_matcher.force_match_for_each_col = True
    return detector


def _initialize(detector):
    """Lets every anchor start with the score `PRIOR` and its own box, as in RetinaNet's paper."""
    # KerasHub 0.32 gives the bias of the prior to the box head, and kernels a deviation of 0.05.
    for head, value in (
        (detector.classification_head, -math.log((1 - PRIOR) / PRIOR)),
        (detector.box_head, 0.0),
    ):
        kernel, bias = head.prediction_layer.kernel, head.prediction_layer.bias
        kernel.assign(keras.random.normal(kernel.shape, stddev=DEVIATION))
        bias.assign(keras.ops.full(bias.shape, value))


def export_detector(detector: keras.Model, path: str | os.PathLike, batch_size: int = 1) -> None:
    """Writes a detector as a SavedModel that gives boxes; `detector.export` would give logits.

    Its `serve` takes a batch of images and gives what `detector.predict` gives.

    Args:
        detector: What `retinanet` returns. The backend must be TensorFlow.
        path: Where to: a new folder.
        batch_size: Images of a batch, a fixed number, which the suppression of boxes must know.
    """

    def serve(images):
        return detector.decode_predictions(detector(images, training=False), images)

    archive = keras.export.ExportArchive()
    archive.track(detector)
    shape = (batch_size, *detector.input_shape[1:])
    signature = [keras.InputSpec(dtype="float32", shape=shape)]
    archive.add_endpoint("serve", serve, input_signature=signature)
    archive.write_out(path, verbose=False)


def deeplab(network: keras.Model, num_classes: int) -> keras.Model:
    """Returns a DeepLabV3+ that gives each pixel of an image its classes' logits.

    Args:
        network: As for `PyramidBackbone`, with maps of strides 4 and 32.
        num_classes: Number of classes, with the background.

    Returns:
        A `keras_hub.models.DeepLabV3ImageSegmenter`: images of a height and width that are
        multiples of 32 become `(image, height, width, num_classes)`.

    Raises:
        ValueError: If `network` is not legal.
    """
    backbone = PyramidBackbone(network)
    encoder = keras_hub.models.DeepLabV3Backbone(
        image_encoder=backbone,
        # As KerasHub has it. The paper, https://arxiv.org/abs/1802.02611, dilates the last stage
        # for an output stride of 16; with P4 the last stage would be left out.
        spatial_pyramid_pooling_key="P5",
        low_level_feature_key="P2",
        dilation_rates=[6, 12, 18],
        upsampling_size=8,
        image_shape=tuple(backbone.input_shape[1:]),
    )
    return keras_hub.models.DeepLabV3ImageSegmenter(encoder, num_classes)
