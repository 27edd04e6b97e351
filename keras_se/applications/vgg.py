"""VGG-11, 13, 16 and 19 with batch normalisation, as timm has them.

Simonyan and Zisserman, https://arxiv.org/abs/1409.1556. SE follows the ReLU of every convolution:
Hu et al., https://arxiv.org/abs/1709.01507, section 3.3. The dense layers of 4096 units are
convolutions, so that images of any size will do.
"""

import keras
from keras import layers, ops

from keras_se.applications.bricks import activate, channel_axis, classifier, conv, norm
from keras_se.arguments import choice, positive

# The filters of the convolutions of each stage: configurations A, B, D and E of the paper.
VGG11 = ((64,), (128,), 2 * (256,), 2 * (512,), 2 * (512,))
VGG13 = (2 * (64,), 2 * (128,), 2 * (256,), 2 * (512,), 2 * (512,))
VGG16 = (2 * (64,), 2 * (128,), 3 * (256,), 3 * (512,), 3 * (512,))
VGG19 = (2 * (64,), 2 * (128,), 4 * (256,), 4 * (512,), 4 * (512,))

# Pixels: what the first dense layer sees of a map, that of a 224x224 image.
MAP_SIZE = 7
SPACE = {"channels_last": (1, 2), "channels_first": (2, 3)}


def vgg(x, se, *, stages):
    """Stages of 3x3 convolutions with `se` after each, all stages halving the map at their end."""
    # timm numbers convolution, batch norm, ReLU and pooling in one row.
    index = 0
    for stage in stages:
        for filters in stage:
            x = conv(x, filters, 3, use_bias=True, name=f"features_{index}")
            x = norm(x, "relu", name=f"features_{index + 1}")
            x = se(name=f"features_{index}_se")(x) if se else x
            index += 3
        x = layers.MaxPooling2D(2, name=f"features_{index}_pool")(x)
        index += 1
    return x


def vgg_head(x, classes, activation, *, hidden=4096, dropout=0.0, name="head_fc"):
    """The two dense layers of `hidden` units as convolutions, pooling, and the classifier."""
    sides = x.shape[1:-1] if channel_axis() == -1 else x.shape[2:]
    if not all(side is not None and side >= MAP_SIZE for side in sides):
        x = Enlarge(MAP_SIZE, name="pre__logits_enlarge")(x)
    x = conv(x, hidden, MAP_SIZE, padding="valid", use_bias=True, name="pre__logits_fc1")
    x = activate(x, "relu", name="pre__logits_fc1")
    if dropout:
        x = layers.Dropout(dropout, name="pre__logits_dropout")(x)
    x = activate(
        conv(x, hidden, 1, use_bias=True, name="pre__logits_fc2"), "relu", name="pre__logits_fc2"
    )
    return classifier(x, classes, activation, dropout=dropout, name=name)


def means_of_overlaps(old, new, dtype="float32"):
    """The matrix `(new pixel, old pixel)` of the means that `Enlarge` takes."""
    source = ops.arange(old, dtype="int32")[None, :]
    target = ops.arange(new, dtype="int32")[:, None]
    # Pixel i of n covers the fractions i / n to (i + 1) / n of the side.
    overlaps = ops.logical_and((source + 1) * new > target * old, source * new < (target + 1) * old)
    weights = ops.cast(overlaps, dtype)
    return weights / ops.sum(weights, axis=1, keepdims=True)


@keras.saving.register_keras_serializable(package="keras_se")
class Enlarge(layers.Layer):
    """Enlarges a map that is lower or narrower than `size` pixels to just that many.

    A side of `n` pixels below `size` becomes `size` pixels, each the mean of those that it
    overlaps when both rows are laid over each other: PyTorch's `adaptive_avg_pool2d` to
    `max(size, height) x max(size, width)`. Longer sides stay as they are. The means are taken in
    at least float32, whatever the layer's dtype.

    Args:
        size: Positive integer; the least height and width of the result, in pixels.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes
            `keras.config.image_data_format()`.
        **kwargs: `name` and `dtype`, as for every Keras layer.

    Call arguments:
        inputs: Float tensor `(batch, height, width, channels)` or, channels first,
            `(batch, channels, height, width)`, of any, possibly unknown, height and width.

    Returns:
        A tensor of the shape of `inputs`, but for a height and width of at least `size`, in the
        layer's compute dtype.

    Raises:
        ValueError: If an argument is not legal or the input has not four axes.

    Example:
    >>> x = ops.reshape(ops.arange(2, dtype="float32"), (1, 1, 2, 1))
    >>> tuple(Enlarge(3)(x).shape)
    (1, 3, 3, 1)
    >>> [float(one) for one in Enlarge(3)(x)[0, 0, :, 0]]
    [0.0, 0.5, 1.0]
    """

    def __init__(self, size, *, data_format=None, **kwargs):
        super().__init__(**kwargs)
        self.size = positive("size", size, whole=True)
        if data_format is None:
            data_format = keras.config.image_data_format()
        self.data_format = choice("data_format", data_format, tuple(SPACE))
        self.input_spec = keras.InputSpec(ndim=4)

    def call(self, inputs):
        """Enlarges both sides of `inputs`."""
        x = ops.cast(inputs, keras.backend.result_type(inputs.dtype, "float32"))
        for axis in SPACE[self.data_format]:
            x = self._enlarged(x, axis)
        return ops.cast(x, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        """Returns `input_shape` with a height and width of at least `size`, if known."""
        shape = list(input_shape)
        for axis in SPACE[self.data_format]:
            shape[axis] = None if shape[axis] is None else max(shape[axis], self.size)
        return tuple(shape)

    def get_config(self):
        """Returns the arguments that rebuild this layer."""
        return {**super().get_config(), "size": self.size, "data_format": self.data_format}

    def _enlarged(self, x, axis):
        """The means along one axis, as a product with a matrix."""
        old = ops.shape(x)[axis]
        if isinstance(old, int) and old >= self.size:
            return x
        # Of numbers known beforehand Keras's maximum would make a tensor, which is no size on JAX.
        new = self.size if isinstance(old, int) else ops.maximum(old, self.size)
        weights = means_of_overlaps(old, new, x.dtype)
        return ops.moveaxis(ops.matmul(weights, ops.moveaxis(x, axis, -2)), -2, axis)
