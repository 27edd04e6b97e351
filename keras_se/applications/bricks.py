"""The convolution, normalization, pooling and head that every network is built from.

Padding, epsilon, momentum, channel axis, initializer and the precision of the logits are decided
here and nowhere else. Layers are named after the path of the parameter in timm, with `_` for `.`
and `__` for `_`, so that the name can be translated both ways; layers without weights take the
name of the layer before them and a suffix.
"""

from typing import NamedTuple

import keras
from keras import layers

from keras_se.data_format import channel_axis

EPSILON = 1e-5
# Of networks that came from TensorFlow, where this was the default.
TENSORFLOW_EPSILON = 1e-3
# The fraction of the old statistics that is kept; PyTorch's `momentum=0.1` is the other fraction.
MOMENTUM = 0.9


class Flavor(NamedTuple):
    """What two networks may differ in whose names and shapes are the same.

    Attributes:
        padding: As for `conv`.
        epsilon: That of the batch normalizations.
    """

    padding: str = "same"
    epsilon: float = EPSILON


PYTORCH = Flavor()
# Of torchvision's MobileNetV3 and timm's mobilenetv3_rw.
TORCHVISION = Flavor(epsilon=TENSORFLOW_EPSILON)
TENSORFLOW = Flavor("same_upper", TENSORFLOW_EPSILON)


def conv(x, filters, kernel_size, *, strides=1, groups=1, padding="same", use_bias=False, name):
    """A convolution padded as PyTorch's `padding=kernel_size // 2`, or, for "valid", not at all.

    "same_upper" (ONNX's word) pads as Keras's "same" does, which puts the odd pixel at the end.
    `kernel_size` is a number of pixels, or those of height and width.
    """
    x, padding = _padded(x, kernel_size, strides, padding, name)
    return layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding=padding,
        groups=groups,
        use_bias=use_bias,
        kernel_initializer=_initializer(),
        name=name,
    )(x)


def depthwise(x, kernel_size, *, strides=1, padding="same", name):
    """A convolution of every channel on its own, without bias, padded as `conv`."""
    x, padding = _padded(x, kernel_size, strides, padding, name)
    return layers.DepthwiseConv2D(
        kernel_size,
        strides=strides,
        padding=padding,
        use_bias=False,
        depthwise_initializer=_initializer(),
        name=name,
    )(x)


def _padded(x, kernel_size, strides, padding, name):
    """The input of a convolution and what remains for the convolution itself to pad."""
    if padding == "same_upper":
        return x, "same"
    if padding == "valid" or kernel_size == 1 or strides == 1:
        return x, padding
    # Keras's "same" pads a strided convolution at the end only, if the size is even.
    return layers.ZeroPadding2D(kernel_size // 2, name=f"{name}_pad")(x), "valid"


def _initializer():
    # The paper's initialization (He et al.), by fan-out as in timm's networks; uniform, since
    # drawing normal numbers would take as long as all the rest of building a network.
    return keras.initializers.VarianceScaling(2.0, "fan_out", "uniform")


def norm(x, activation=None, *, epsilon=EPSILON, name):
    """Batch normalization, and the activation that follows it."""
    x = layers.BatchNormalization(
        axis=channel_axis(), momentum=MOMENTUM, epsilon=epsilon, name=name
    )(x)
    return activate(x, activation, name=name) if activation else x


def activate(x, activation, *, name):
    """An activation layer of its own, so that a feature can be tapped by name."""
    return layers.Activation(activation, name=f"{name}_{activation}")(x)


def max_pool(x, *, name):
    """PyTorch's `MaxPool2d(3, stride=2, padding=1)` of any values.

    Padding with zeros would win over negative values, which SiLU gives. So this pools at stride 1,
    where "same" is symmetric, and keeps every second result.
    """
    x = layers.MaxPooling2D(3, strides=1, padding="same", name=f"{name}_window")(x)
    return layers.MaxPooling2D(1, strides=2, name=name)(x)


def max_pool_positive(x, *, name):
    """PyTorch's `MaxPool2d(3, stride=2, padding=1)` of values that are not negative."""
    x = layers.ZeroPadding2D(1, name=f"{name}_pad")(x)
    return layers.MaxPooling2D(3, strides=2, name=name)(x)


def max_pool_ceil(x, *, name):
    """PyTorch's `MaxPool2d(3, stride=2, ceil_mode=True)` of values that are not negative."""
    x = layers.ZeroPadding2D(((0, 1), (0, 1)), name=f"{name}_pad")(x)
    return layers.MaxPooling2D(3, strides=2, name=name)(x)


def max_pool_valid(x, *, name):
    """PyTorch's `MaxPool2d(3, stride=2)`: what does not fill a window is left out."""
    return layers.MaxPooling2D(3, strides=2, name=name)(x)


def max_pool_same(x, *, strides, name):
    """The maximum of 3x3 pixels, for a map as large as a 3x3 convolution makes it."""
    return layers.MaxPooling2D(3, strides=strides, padding="same", name=name)(x)


def average_pool(x, *, name):
    """Halves the map by the mean of 2x2 pixels; on an odd size the last ones have fewer."""
    return layers.AveragePooling2D(2, padding="same", name=name)(x)


def average_window(x, *, zeros=False, name):
    """The mean of 3x3 pixels around each; the border is left out, or counts as `zeros`."""
    if not zeros:
        return layers.AveragePooling2D(3, strides=1, padding="same", name=name)(x)
    x = layers.ZeroPadding2D(1, name=f"{name}_pad")(x)
    return layers.AveragePooling2D(3, strides=1, name=name)(x)


def concat(tensors, *, name):
    """The channels of all the tensors."""
    return layers.Concatenate(axis=channel_axis(), name=name)(tensors)


def add(residual, skip, activation="relu", *, name):
    """The sum that ends a residual block, and its activation if any."""
    # The skip first: Keras walks the graph recursively, inputs in order, and by the residual
    # branches SE-ResNet-269-D would be deeper than Python's recursion limit.
    x = layers.Add(name=f"{name}_add")([skip, residual])
    return activate(x, activation, name=name) if activation else x


def classifier(x, classes, activation, *, dropout=0.0, name="fc"):
    """Global average pooling, dropout if any, and a dense layer with logits in full precision."""
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    if dropout:
        x = layers.Dropout(dropout, name=f"{name}_dropout")(x)
    # float32 under mixed precision, where a softmax of 1000 half-precision logits loses its tail.
    dtype = keras.config.dtype_policy().variable_dtype
    return layers.Dense(classes, activation=activation, dtype=dtype, name=name)(x)
