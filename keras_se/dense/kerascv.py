"""KerasCV's RetinaNet on the networks of keras_se; all that is about KerasCV is here.

KerasCV 0.9 is the last one: its authors go on with KerasHub, see `keras_se.dense.kerashub`. What it
saves as `.keras` it cannot load; use `save_weights`.
"""

import keras

from keras_se.features import feature_pyramid, pyramid_levels
from keras_se.validation import require_packages

# KerasCV does not say that it needs dm-tree.
require_packages("keras_se.dense.kerascv", "keras_cv", "tree")
import keras_cv  # noqa: E402 (what installs it is said first)


def retinanet(network: keras.Model, num_classes: int) -> keras.Model:
    """Returns KerasCV's RetinaNet that detects objects in images; compile it before `fit`.

    Args:
        network: A network of `keras_se.applications`, with maps of strides 8 to 32; with
            `include_preprocessing=True` it takes pixels from 0 to 255.
        num_classes: Number of classes, without a background.

    Returns:
        A `keras_cv.models.RetinaNet` of boxes in pixels, `(x1, y1, x2, y2)`. `fit` takes images and
        `{"boxes": (image, box, 4), "classes": (image, box)}`, filled up with -1, such as
        `keras_se.dense.coco.BoxBatches(..., label="classes")` gives.

    Raises:
        ValueError: If `network` is not legal.
    """
    backbone = feature_pyramid(network)
    # What KerasCV looks for: the names of the layers by level.
    levels = pyramid_levels(network)
    backbone.pyramid_level_inputs = {name: level.layer for name, level in levels.items()}
    return keras_cv.models.RetinaNet(backbone, num_classes, bounding_box_format="xyxy")
