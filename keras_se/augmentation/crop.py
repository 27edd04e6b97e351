"""The random-resized crop: which box is cut out of an image, as in torchvision.

The area is uniform from the smallest one to that of the image, the logarithm of the aspect ratio is
uniform from 3/4 to 4/3, and so is the position among whole pixels. If none of ten boxes fits in the
image, it is the central square. See section 5.1 of https://arxiv.org/abs/1709.01507, "scale and
aspect ratio", and section 6 of https://arxiv.org/abs/1409.4842.
"""

import math

import keras
import numpy as np
from keras import ops

TRIES = 10
LOG_RATIOS = (math.log(3 / 4), math.log(4 / 3))


def random_box(random: np.random.Generator, width: int, height: int, min_area: float) -> tuple:
    """Draws the box that is cut out of one image.

    Args:
        random: The generator to draw from.
        width: Of the image, in pixels.
        height: Of the image, in pixels.
        min_area: The smallest area, as a fraction of the image's.

    Returns:
        Left, top, right and bottom in pixels.

    Example:
    >>> random_box(np.random.default_rng(0), 100, 10, min_area=0.9)  # No such box fits.
    (45.0, 0.0, 55.0, 10.0)
    """
    for _ in range(TRIES):
        area, log_ratio = random.uniform(min_area, 1), random.uniform(*LOG_RATIOS)
        box_width, box_height = map(int, _box_size(np, area, log_ratio, width, height))
        if 0 < box_width <= width and 0 < box_height <= height:
            left = int(random.integers(width - box_width + 1))
            top = int(random.integers(height - box_height + 1))
            return left, top, left + box_width, top + box_height
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side


def random_boxes(count, width: int, height: int, min_area: float, seed) -> tuple:
    """Draws the boxes of a batch of images, in operations that can be compiled.

    Args:
        count: Number of images, an integer or a tensor.
        width: Of the images, in pixels.
        height: Of the images, in pixels.
        min_area: The smallest area, as a fraction of the images'.
        seed: A `keras.random.SeedGenerator`, such as `StepSeeds`.

    Returns:
        Left, top, width and height in pixels, float32 tensors `(image,)`.
    """
    area = keras.random.uniform((count, TRIES), min_area, 1.0, seed=seed)
    log_ratio = keras.random.uniform((count, TRIES), *LOG_RATIOS, seed=seed)
    sizes = ops.stack(_box_size(ops, area, log_ratio, width, height))
    limits = ops.convert_to_tensor([[[width]], [[height]]], "float32")
    fits = ops.all((sizes > 0) & (sizes <= limits), axis=0)
    # The highest number is that of the first box that fits.
    first = ops.argmax(ops.where(fits, np.arange(TRIES, 0, -1), 0), axis=1)
    is_first = ops.one_hot(first, TRIES, dtype="float32")
    any_fits = ops.any(fits, axis=1)
    sizes = ops.where(any_fits, ops.sum(sizes * is_first, axis=2), min(width, height))
    free = limits[:, :, 0] - sizes
    position = ops.floor(keras.random.uniform((2, count), seed=seed) * (free + 1))
    position = ops.where(any_fits, ops.minimum(position, free), free / 2)
    return position[0], position[1], sizes[0], sizes[1]


def _box_size(numpy, area, log_ratio, width, height):
    """Width and height of boxes in whole pixels, which may be too large for the image.

    Args:
        numpy: `np` or `keras.ops`.
        area: Fraction of the image's area.
        log_ratio: Logarithm of the width divided by the height.
        width: Of the image, in pixels.
        height: Of the image, in pixels.
    """
    pixels, ratio = width * height * area, numpy.exp(log_ratio)
    return numpy.round(numpy.sqrt(pixels * ratio)), numpy.round(numpy.sqrt(pixels / ratio))
