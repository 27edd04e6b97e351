"""ShuffleNet v1 with 1, 2, 3, 4 or 8 `groups`, in the widths `scale` that these divide.

Zhang et al., https://arxiv.org/abs/1707.01083. SE ends every branch, before it is added to or
concatenated with the other: with that, and only that, ShuffleNet 1x (3 groups) grows by the 0.6
million parameters of table 3 of Hu et al., https://arxiv.org/abs/1709.01507.
"""

import math

from keras import layers

from keras_se.applications.bricks import (
    activate,
    add,
    concat,
    conv,
    depthwise,
    max_pool_positive,
    norm,
)
from keras_se.data_format import channel_axis
from keras_se.layers import ChannelShuffle
from keras_se.validation import check_positive

# The paper's table 1: filters of stage 2 by the number of groups; each
# stage has twice the filters of the one before.
WIDTHS = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}
STEM = 24


def shufflenet(x, se, *, groups=3, scale=1.0, depths):
    """Three stages of units with grouped 1x1 convolutions, `se` ending each branch.

    `scale` multiplies the filters of all convolutions. In the stem and in bottlenecks these are
    rounded up to whole groups; at `scale=1` they are, and on the others the paper is silent.
    """
    width = _width(groups, scale)
    x = norm(
        conv(x, _rounded(STEM * scale, groups), 3, strides=2, name="conv1"), "relu", name="bn1"
    )
    x = max_pool_positive(x, name="maxpool")
    for stage, depth in enumerate(depths, start=2):
        for index in range(depth):
            x = _unit(
                x,
                se,
                width,
                strides=2 if index == 0 else 1,
                # The very first 1x1 convolution has too few channels to be grouped.
                first_groups=1 if stage == 2 and index == 0 else groups,
                groups=groups,
                name=f"stage{stage}_{index}",
            )
        width *= 2
    return x


def _unit(x, se, filters, *, strides, first_groups, groups, name):
    """A branch added to its input or, if it strides, concatenated with the input's average."""
    branch_filters = filters - x.shape[channel_axis()] if strides > 1 else filters
    branch = conv(x, _rounded(filters / 4, groups), 1, groups=first_groups, name=f"{name}_conv1")
    branch = norm(branch, "relu", name=f"{name}_bn1")
    branch = ChannelShuffle(groups, name=f"{name}_shuffle")(branch)
    branch = depthwise(branch, 3, strides=strides, name=f"{name}_conv2")
    branch = norm(branch, name=f"{name}_bn2")
    branch = conv(branch, branch_filters, 1, groups=groups, name=f"{name}_conv3")
    branch = norm(branch, name=f"{name}_bn3")
    branch = se(name=f"{name}_se")(branch) if se else branch
    if strides == 1:
        return add(branch, x, name=name)
    x = concat([_average_pool(x, name=f"{name}_pool"), branch], name=f"{name}_concat")
    return activate(x, "relu", name=name)


def _average_pool(x, *, name):
    """PyTorch's `AvgPool2d(3, stride=2, padding=1)`, whose border counts as zeros."""
    x = layers.ZeroPadding2D(1, name=f"{name}_pad")(x)
    return layers.AveragePooling2D(3, strides=2, name=name)(x)


def _width(groups, scale):
    """The filters of stage 2."""
    if isinstance(groups, bool) or groups not in tuple(WIDTHS):
        legal = ", ".join(map(str, WIDTHS))
        raise ValueError(f"`groups` must be one of {legal}. Received: groups={groups!r}")
    width = WIDTHS[groups] * check_positive("scale", scale)
    # Not exactly: a third of 240 is a whole number that floating point may miss.
    if round(width) < groups or abs(width / groups - round(width / groups)) > 1e-6:
        raise ValueError(
            f"`scale` must be a multiple of {groups}/{WIDTHS[groups]} with groups={groups}, so "
            f"that they divide the filters. Received: scale={scale!r}"
        )
    return round(width)


def _rounded(filters, groups):
    """The filters rounded up to whole groups."""
    return math.ceil(filters / groups) * groups
