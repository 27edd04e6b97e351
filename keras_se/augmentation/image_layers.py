"""Changes of images that Keras does not have, or has only for a whole batch at once."""

import math

import keras
from keras import ops
from keras.layers import RandomTranslation


class PadCrop(RandomTranslation):
    """Moves each image by whole pixels, as padding by zeros and cropping at random do.

    Keras's `RandomCrop` cuts all images of a batch at the same place.

    Args:
        pixels: Largest number of pixels along each axis, each way.

    Reference:
        Section 6.3 of https://arxiv.org/abs/1709.01507: "zero-padded on each side with four
        pixels before a random 32x32 crop".
    """

    def __init__(self, pixels, **keywords):
        super().__init__(0.0, 0.0, fill_mode="constant", interpolation="nearest", **keywords)
        self.pixels = int(pixels)

    def get_random_transformation(self, data, training=True, seed=None):
        """Draws, for each image, pixels to the right and down."""
        shape = ops.shape(data)
        moves = keras.random.randint((shape[0], 2), -self.pixels, self.pixels + 1, seed=seed)
        return {"translations": ops.cast(moves, "float32"), "input_shape": shape}


class Cutout(keras.layers.Layer):
    """Blackens one square of each image, whose centre is anywhere in the image.

    Args:
        pixels: Side of the square; what lies outside the image is lost.

    Reference:
        https://arxiv.org/abs/1708.04552, section 3.2.
    """

    def __init__(self, pixels, **keywords):
        super().__init__(**keywords)
        self.pixels = int(pixels)

    def get_random_transformation(self, data, training=True, seed=None):
        """Draws the centres, `(image, 2)`, in pixels."""
        height, width = image_sides(data)
        fractions = keras.random.uniform((ops.shape(data)[0], 2), seed=seed)
        return ops.floor(fractions * ops.cast(ops.stack([height, width]), "float32"))

    def transform_images(self, images, transformation, training=True):
        """Blackens the squares."""
        inside = []
        for axis, side in enumerate(image_sides(images)):
            offset = ops.arange(side, dtype="float32") - transformation[:, axis : axis + 1]
            half = self.pixels // 2
            inside.append((offset >= -half) & (offset < self.pixels - half))
        square = inside[0][:, :, None] & inside[1][:, None, :]
        return ops.where(ops.expand_dims(square, channel_axis()), 0.0, images)


class ResizedCrop(keras.layers.Layer):
    """Cuts a box of random area and proportions out of each image and enlarges it to the whole.

    The area is uniform from `min_area` to one, the logarithm of the proportions uniform from 3/4 to
    4/3; a side that would be longer than the image is cut to the image.

    Args:
        min_area: Fraction of the image's area.

    Reference:
        https://arxiv.org/abs/1409.4842, section 6.
    """

    def __init__(self, min_area, **keywords):
        super().__init__(**keywords)
        self.min_area = min_area

    def get_random_transformation(self, data, training=True, seed=None):
        """Draws the boxes, `(image, 4)`: top, left, height, width, in fractions of the sides."""
        count = (ops.shape(data)[0],)
        area = keras.random.uniform(count, self.min_area, 1.0, seed=seed)
        limit = math.log(4 / 3)
        ratio = ops.exp(keras.random.uniform(count, -limit, limit, seed=seed))
        sides = ops.minimum(ops.sqrt(ops.stack([area / ratio, area * ratio])), 1.0)
        free = keras.random.uniform((2, count[0]), seed=seed) * (1 - sides)
        return ops.transpose(ops.concatenate([free, sides]))

    def transform_images(self, images, transformation, training=True):
        """Enlarges the boxes to whole images, between pixels by bilinear interpolation."""
        height, width = (ops.cast(side, "float32") for side in image_sides(images))
        top, left, tall, wide = ops.unstack(transformation, 4, axis=1)
        nothing = ops.zeros_like(top)
        # From the centre of a pixel of the result to where it is in the image.
        shift_x = left * width + (wide - 1) / 2
        shift_y = top * height + (tall - 1) / 2
        rows = [wide, nothing, shift_x, nothing, tall, shift_y, nothing, nothing]
        return ops.image.affine_transform(
            images, ops.stack(rows, axis=1), "bilinear", fill_mode="nearest"
        )


class Equalization(keras.layers.Equalization):
    """Keras's equalisation of the histogram, of each image instead of the whole batch at once.

    Values are counted by one sum over segments: on JAX, Keras writes a sum for each of 256 levels
    of each channel, which takes a minute to compile.
    """

    def transform_images(self, images, transformation, training=True):
        """Spreads the levels of each channel evenly; a channel of one level stays as it is."""
        low, high = self.value_range
        levels = (images - low) / (high - low) * (self.bins - 1)
        levels = ops.cast(ops.clip(levels, 0, self.bins - 1), "int32")
        shape = ops.shape(images)
        axis = channel_axis() % 4
        count = shape[0] * shape[axis]
        rows = [shape[one] if one in (0, axis) else 1 for one in range(4)]
        # A place for each level of each channel of each image.
        places = levels + self.bins * ops.reshape(ops.arange(count, dtype="int32"), rows)
        flat = ops.reshape(places, (-1,))
        found = ops.segment_sum(ops.ones_like(flat), flat, num_segments=count * self.bins)
        up_to = ops.cumsum(ops.reshape(found, (count, self.bins)), axis=1)
        first = ops.min(ops.where(up_to > 0, up_to, up_to[:, -1:]), axis=1, keepdims=True)
        rest = up_to[:, -1:] - first
        table = ops.round((up_to - first) * (self.bins - 1) / ops.maximum(rest, 1))
        spread = ops.take(ops.reshape(table, (-1,)), places) / (self.bins - 1)
        spread = ops.cast(spread, images.dtype) * (high - low) + low
        return ops.where(ops.reshape(rest, rows) > 0, spread, images)


class RandAugment(keras.layers.RandAugment):
    """Keras's RandAugment with other operations for each image, not for each batch.

    The operations are Keras's (shear, translation, rotation, brightness, colour, contrast,
    sharpness, solarisation, posterisation, contrast stretching, equalisation), each with a strength
    drawn for each image from zero to `factor`.

    Reference:
        https://arxiv.org/abs/1909.13719.
    """

    def __init__(self, **keywords):
        super().__init__(**keywords)
        self.equalization = Equalization(self.value_range, dtype=self.dtype_policy)

    def get_random_transformation(self, data, training=True, seed=None):
        """Draws which operations each image gets, and the strength of all operations."""
        names = self._AUGMENT_LAYERS
        chosen = keras.random.randint((ops.shape(data)[0], self.num_ops), 0, len(names), seed=seed)
        drawn = {}
        for name in names:
            layer = getattr(self, name)
            drawn[name] = layer.get_random_transformation(data, training=training, seed=seed)
        return {"transforms": drawn, "layer_idxes": chosen}

    def transform_images(self, images, transformation, training=True):
        """Applies the operations one after the other."""
        for turn in range(self.num_ops):
            chosen = transformation["layer_idxes"][:, turn][:, None, None, None]
            changed = images
            for index, name in enumerate(self._AUGMENT_LAYERS):
                drawn = transformation["transforms"][name]
                # A copy: on PyTorch, RandomBrightness changes what it is given.
                one = getattr(self, name).transform_images(ops.copy(images), drawn)
                changed = ops.where(chosen == index, one, changed)
            images = changed
        return images


def channel_axis():
    """The axis of the channels of a batch of images."""
    return 1 if keras.config.image_data_format() == "channels_first" else -1


def image_sides(images):
    """Height and width of a batch of images, in pixels."""
    shape = ops.shape(images)
    return shape[2:] if channel_axis() == 1 else shape[1:3]
