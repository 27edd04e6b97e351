"""RegNetY as its authors and timm have it, and timm's RegNetV and RegNetZ.

Radosavovic et al., https://arxiv.org/abs/2003.13678; Dollar et al., https://arxiv.org/abs/2103.06877
(RegNetZ). Four stages of bottlenecks whose 3x3 convolutions have groups of equal width. The gates
follow the 3x3 convolution, and have a quarter as many units as the block's input has channels, not
its 3x3 convolution. V is Y with batch norm and activation before each convolution; Z has inverted
bottlenecks, nothing after a sum, and no skip where the shape changes. The numbers in the names are
hundreds of millions of multiply-adds; TV marks the widths of torchvision where they are others, and
TF the networks of Keras 2, which pad strided convolutions at the end (`padding`).
"""

from keras_se.applications.bricks import activate, add, average_pool, conv, norm
from keras_se.data_format import channel_axis
from keras_se.layers import SqueezeExcite

STEM = 32
# RegNetZ's bottlenecks are so many times as wide as the blocks.
EXPANSION = 4


def regnet_se(name, units):
    """The gates of RegNetY."""
    return SqueezeExcite(units=units, name=name)


def regnet_silu_se(name, units):
    """The gates of RegNetV and RegNetZ."""
    return SqueezeExcite(units=units, activation="silu", name=name)


def regnet_y(x, se, *, depths, filters, group_width, padding="same"):
    """The four stages after the stem, with groups of `group_width` channels."""
    x = conv_norm(x, STEM, 3, "relu", strides=2, padding=padding, name="stem")
    for name, width, strides in each_block(depths, filters):
        skip = x
        if _changes(x, width, strides):
            skip = conv_norm(x, width, 1, strides=strides, name=f"{name}_downsample")
        widths = width, width
        x = branch(x, se, widths, strides, group_width, "relu", padding=padding, name=name)
        x = add(x, skip, name=name)
    return x


def regnet_z(x, se, *, depths, filters, group_width, last=None):
    """The four stages after the stem, and a 1x1 convolution to `last` filters if there is one."""
    x = conv_norm(x, STEM, 3, "silu", strides=2, name="stem")
    for name, width, strides in each_block(depths, filters):
        skip = None if _changes(x, width, strides) else x
        x = branch(x, se, (EXPANSION * width, width), strides, group_width, "silu", name=name)
        x = x if skip is None else add(x, skip, None, name=name)
    if last:
        return conv_norm(x, last, 1, "silu", name="final__conv")
    return activate(x, "silu", name="final")


def regnet_v(x, se, *, depths, filters, group_width, avg_down=False):
    """The four stages after the stem; `avg_down` averages before the projections."""
    x = conv(x, STEM, 3, strides=2, name="stem")
    for name, width, strides in each_block(depths, filters):
        changes, units = _changes(x, width, strides), _units(x)
        x = skip = norm(x, "silu", name=f"{name}_norm1")
        if changes:
            skip = _projection(x, width, strides, avg_down, name=f"{name}_downsample")
        x = norm(conv(x, width, 1, name=f"{name}_conv1"), "silu", name=f"{name}_norm2")
        groups = width // group_width
        x = conv(x, width, 3, strides=strides, groups=groups, name=f"{name}_conv2")
        x = se(name=f"{name}_se", units=units)(x) if se else x
        x = conv(norm(x, "silu", name=f"{name}_norm3"), width, 1, name=f"{name}_conv3")
        x = add(x, skip, None, name=name)
    return activate(x, "silu", name="final")


def each_block(depths, filters):
    """The name, the filters and the strides of each block in turn."""
    for stage, (depth, width) in enumerate(zip(depths, filters, strict=True), start=1):
        for index in range(1, depth + 1):
            yield f"s{stage}_b{index}", width, 2 if index == 1 else 1


def branch(x, se, filters, strides, group_width, activation, *, padding="same", name):
    """1x1 to the first of `filters`, 3x3, the gates, and 1x1 to the second."""
    inner, width = filters
    units = _units(x)
    x = conv_norm(x, inner, 1, activation, name=f"{name}_conv1")
    grouped = {"groups": inner // group_width, "padding": padding}
    x = conv_norm(x, inner, 3, activation, strides=strides, **grouped, name=f"{name}_conv2")
    x = se(name=f"{name}_se", units=units)(x) if se else x
    return conv_norm(x, width, 1, name=f"{name}_conv3")


def conv_norm(x, filters, kernel_size, activation=None, *, name, **arguments):
    """A convolution, its batch normalization and its activation, if any."""
    x = conv(x, filters, kernel_size, name=f"{name}_conv", **arguments)
    return norm(x, activation, name=f"{name}_bn")


def _projection(x, filters, strides, avg_down, *, name):
    """A 1x1 convolution without batch normalization, strided or, for `avg_down`, of the mean."""
    if not avg_down:
        return conv(x, filters, 1, strides=strides, name=name)
    return conv(average_pool(x, name=f"{name}_0"), filters, 1, name=f"{name}_1")


def _units(x):
    """How many units the gates of a block have that begins with `x`."""
    return round(x.shape[channel_axis()] / 4)


def _changes(x, filters, strides):
    """Whether a block gives another shape than it takes."""
    return strides > 1 or x.shape[channel_axis()] != filters
