"""Augmentation layers that Keras lacks, or that it applies to all images of a batch alike."""

import keras
from keras import ops
from keras.layers import RandomTranslation

from keras_se.augmentation.crop import random_boxes
from keras_se.data_format import channel_axis, spatial_shape


class PadCrop(RandomTranslation):
    """Shifts each image by whole pixels, as padding with zeros and cropping at random do.

    Keras's `RandomCrop` crops all images of a batch at the same position.

    Args:
        pixels: Largest number of pixels along each axis, in both directions.

    Reference:
        Section 6.3 of https://arxiv.org/abs/1709.01507: "zero-padded on each side with four
        pixels before a random 32x32 crop".
    """

    def __init__(self, pixels: float, **keywords):
        super().__init__(0.0, 0.0, fill_mode="constant", interpolation="nearest", **keywords)
        self.pixels = int(pixels)

    def get_random_transformation(self, data, training=True, seed=None):
        """Draws, for each image, pixels to the right and down."""
        shape = ops.shape(data)
        shifts = keras.random.randint((shape[0], 2), -self.pixels, self.pixels + 1, seed=seed)
        return {"translations": ops.cast(shifts, "float32"), "input_shape": shape}


class Cutout(keras.layers.Layer):
    """Blackens one square of each image, whose center is anywhere in the image.

    Args:
        pixels: Side of the square, of which parts may lie outside the image.

    Reference:
        https://arxiv.org/abs/1708.04552, section 3.2.
    """

    def __init__(self, pixels: float, **keywords):
        super().__init__(**keywords)
        self.pixels = int(pixels)

    def get_random_transformation(self, data, training=True, seed=None):
        """Draws the centers, `(image, 2)`, in pixels."""
        height, width = spatial_shape(ops.shape(data))
        fractions = keras.random.uniform((ops.shape(data)[0], 2), seed=seed)
        return ops.floor(fractions * ops.cast(ops.stack([height, width]), "float32"))

    def transform_images(self, images, transformation, training=True):
        """Blackens the squares."""
        inside = []
        for axis, side in enumerate(spatial_shape(ops.shape(images))):
            offset = ops.arange(side, dtype="float32") - transformation[:, axis : axis + 1]
            half = self.pixels // 2
            inside.append((offset >= -half) & (offset < self.pixels - half))
        square = inside[0][:, :, None] & inside[1][:, None, :]
        return ops.where(ops.expand_dims(square, channel_axis()), 0.0, images)


class ResizedCrop(keras.layers.Layer):
    """Cuts a random box out of each image and resizes it to the size of the image.

    Args:
        min_area: The smallest area of a box, as a fraction of the image's; see
            `keras_se.augmentation.crop`.
    """

    def __init__(self, min_area: float, **keywords):
        super().__init__(**keywords)
        self.min_area = min_area

    def get_random_transformation(self, data, training=True, seed=None):
        """Draws the boxes: left, top, width and height in pixels, each `(image,)`."""
        height, width = spatial_shape(ops.shape(data))
        return random_boxes(ops.shape(data)[0], width, height, self.min_area, seed)

    def transform_images(self, images, transformation, training=True):
        """Resizes the boxes by bilinear interpolation."""
        left, top, box_width, box_height = transformation
        height, width = spatial_shape(ops.shape(images))
        scale_x, scale_y, zero = box_width / width, box_height / height, ops.zeros_like(left)
        # From the center of a pixel of the result to where it is in the image.
        shift_x, shift_y = left + (scale_x - 1) / 2, top + (scale_y - 1) / 2
        matrix = [scale_x, zero, shift_x, zero, scale_y, shift_y, zero, zero]
        return ops.image.affine_transform(
            images, ops.stack(matrix, axis=1), "bilinear", fill_mode="nearest"
        )


class Equalization(keras.layers.Equalization):
    """Equalizes the histogram of each image; Keras's layer does so for the batch at once.

    Values are counted by one sum over segments: on JAX, Keras compiles a sum for each of 256 levels
    of each channel, which takes a minute.
    """

    def transform_images(self, images, transformation, training=True):
        """Spreads the levels of each channel evenly; a channel of one level stays as it is."""
        low, high = self.value_range
        levels = (images - low) / (high - low) * (self.bins - 1)
        levels = ops.cast(ops.clip(levels, 0, self.bins - 1), "int32")
        shape = ops.shape(images)
        axis = channel_axis() % 4
        count = shape[0] * shape[axis]
        channels = [shape[dim] if dim in (0, axis) else 1 for dim in range(4)]
        # A bin for each level of each channel of each image.
        bins = levels + self.bins * ops.reshape(ops.arange(count, dtype="int32"), channels)
        flat = ops.reshape(bins, (-1,))
        counts = ops.segment_sum(ops.ones_like(flat), flat, num_segments=count * self.bins)
        total = ops.cumsum(ops.reshape(counts, (count, self.bins)), axis=1)
        first = ops.min(ops.where(total > 0, total, total[:, -1:]), axis=1, keepdims=True)
        spread = total[:, -1:] - first
        table = ops.round((total - first) * (self.bins - 1) / ops.maximum(spread, 1))
        equalized = ops.take(ops.reshape(table, (-1,)), bins) / (self.bins - 1)
        equalized = ops.cast(equalized, images.dtype) * (high - low) + low
        return ops.where(ops.reshape(spread, channels) > 0, equalized, images)


# Of RandAugment, its layers that change images, in Keras's order.
OPERATIONS = (
    "random_shear",
    "random_translation",
    "random_rotation",
    "random_brightness",
    "random_color_degeneration",
    "random_contrast",
    "random_sharpness",
    "random_posterization",
    "solarization",
    "auto_contrast",
    "equalization",
)


class RandAugment(keras.layers.RandAugment):
    """Applies random operations to each image; Keras's layer draws them for the batch.

    The operations are Keras's (shear, translation, rotation, brightness, color, contrast,
    sharpness, solarization, posterization, contrast stretching, equalization), each with a strength
    drawn for each image from zero to `factor`.

    Reference:
        https://arxiv.org/abs/1909.13719.
    """

    def __init__(self, **keywords):
        super().__init__(**keywords)
        self.equalization = Equalization(self.value_range, dtype=self.dtype_policy)

    def get_random_transformation(self, data, training=True, seed=None):
        """Draws which operations each image gets, and the strength of all operations."""
        shape = (ops.shape(data)[0], self.num_ops)
        chosen = keras.random.randint(shape, 0, len(OPERATIONS), seed=seed)
        drawn = {}
        for name in OPERATIONS:
            layer = getattr(self, name)
            drawn[name] = layer.get_random_transformation(data, training=training, seed=seed)
        return {"transforms": drawn, "layer_idxes": chosen}

    def transform_images(self, images, transformation, training=True):
        """Applies the operations one after the other."""
        for turn in range(self.num_ops):
            chosen = transformation["layer_idxes"][:, turn][:, None, None, None]
            changed = images
            for index, name in enumerate(OPERATIONS):
                drawn = transformation["transforms"][name]
                # A copy: on PyTorch, RandomBrightness changes its input.
                result = getattr(self, name).transform_images(ops.copy(images), drawn)
                changed = ops.where(chosen == index, result, changed)
            images = changed
        return images
