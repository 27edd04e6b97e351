"""Shows where in an image a network sees its class, by hiding one part after the other."""

from typing import Any

import keras
import numpy as np

from keras_se.analysis.grad_cam import checked_classes, checked_images, logits_model
from keras_se.data_format import spatial_axes
from keras_se.graph.walk import require_functional
from keras_se.validation import check_positive

BATCH = 64


def occlusion(
    model: keras.Model,
    images: Any,
    patch: int,
    stride: int | None = None,
    class_index: Any = None,
    value: float = 0.0,
) -> np.ndarray:
    """Hides a square of each image, place by place, and measures how much a class's score falls.

    Unlike Grad-CAM it asks nothing of the network's layers, and it shows what speaks against the
    class too; it runs the network once for each place.

    Args:
        model: As for `grad_cam`.
        images: As for `grad_cam`.
        patch: Side of the square in pixels, at most that of the images.
        stride: Pixels from one place to the next, from the left and the top as far as the square
            fits; by default `patch`.
        class_index: As for `grad_cam`.
        value: What the square is filled with; zero is the mean color of normalized images.

    Returns:
        float32 array `(image, row, column)`, the fall of the class's logit for each place: positive
        where the square hides what speaks for the class.

    Raises:
        ValueError: If an argument is not legal.

    Example:
    >>> from keras_se.applications import SEResNet20
    >>> image = np.random.default_rng(0).normal(size=(1, 32, 32, 3))
    >>> occlusion(SEResNet20(), image, patch=16, stride=8).shape
    (1, 3, 3)

    Reference:
        Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks",
        https://arxiv.org/abs/1311.2901, section 4.2.
    """
    require_functional(model)
    images = checked_images(model, images)
    classes = checked_classes(class_index, len(images), model)
    rows, columns = spatial_axes(4)
    sides = images.shape[rows], images.shape[columns]
    patch = check_positive("patch", patch, integer=True)
    stride = check_positive("stride", patch if stride is None else stride, integer=True)
    if patch > min(sides):
        raise ValueError(f"`patch` must be at most {min(sides)}, as the images. Received: {patch}")
    scores = logits_model(model, images.shape[1:])
    before = scores.predict(images, batch_size=BATCH, verbose=0)
    classes = before.argmax(axis=1) if classes is None else classes
    each = np.arange(len(images))
    tops, lefts = (range(0, side - patch + 1, stride) for side in sides)
    falls = np.empty((len(images), len(tops), len(lefts)), "float32")
    for row, top in enumerate(tops):
        for column, left in enumerate(lefts):
            hidden = images.copy()
            place = [slice(None)] * 4
            place[rows], place[columns] = slice(top, top + patch), slice(left, left + patch)
            hidden[tuple(place)] = value
            after = scores.predict(hidden, batch_size=BATCH, verbose=0)
            falls[:, row, column] = (before - after)[each, classes]
    return falls
