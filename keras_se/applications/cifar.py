"""Residual networks for small images, with three stages of 16, 32 and 64 filters.

`cifar_resnet` activates after each convolution: He et al., https://arxiv.org/abs/1512.03385,
section 4.2, with a projection by a 1x1 convolution and batch norm where a stage changes (option B
there). `cifar_preresnet` activates before: He et al., https://arxiv.org/abs/1603.05027, as in the
paper's tables 4 and 5, with the stem's batch norm and without one before the head, as the
published counts of parameters have it. `wide_resnet` is that of Zagoruyko and Komodakis,
https://arxiv.org/abs/1605.07146. `shake_shake` and `shake_even` are those of Gastaldi,
https://arxiv.org/abs/1705.07485, layer by layer as in https://github.com/xgastaldi/shake-shake,
for CIFAR-10 and, of the blocks of ResNeXt-29 (https://arxiv.org/abs/1611.05431), for CIFAR-100.

`placement` and `stages` put the gates of the others elsewhere; see `resnet.py`.
"""

from functools import partial

import keras

from keras_se.applications.bricks import activate, add, concat, conv, norm
from keras_se.applications.resnet import (
    basic,
    bottleneck,
    each_block,
    gates,
    residual_stages,
    shortcut,
)
from keras_se.data_format import channel_axis
from keras_se.layers import ShakeShake

FILTERS = (16, 32, 64)


def cifar_resnet(x, se, *, depth, block=basic, placement="standard", stages=None):
    """A 3x3 convolution and three stages; `depth` counts convolutions and the head."""
    depths = stage_depths(depth, 2 if block is basic else 3, 2)
    x = norm(conv(x, FILTERS[0], 3, name="conv1"), "relu", name="bn1")
    gate = gates(se, placement, stages, count=3)
    return residual_stages(x, gate, depths=depths, filters=FILTERS, block=block, shortcut=shortcut)


def stage_depths(depth, convolutions, extra):
    """The blocks of each of three stages, for blocks of so many convolutions."""
    blocks, remainder = divmod(depth - extra, 3 * convolutions)
    if remainder or blocks < 1:
        raise ValueError(
            f"`depth` must be {3 * convolutions} n + {extra} with n >= 1. Received: depth={depth}"
        )
    return (blocks,) * 3


def cifar_preresnet(x, se, *, depth, block, placement="standard", stages=None):
    """The same with batch norm and activation before each convolution of a block."""
    depths = stage_depths(depth, 2 if block is preactivated_basic else 3, 2)
    x = norm(conv(x, FILTERS[0], 3, name="conv1"), "relu", name="bn1")
    return preactivated_stages(x, gates(se, placement, stages, count=3), depths, FILTERS, block)


def wide_resnet(x, se, *, depth, widen, placement="standard", stages=None):
    """Pre-activated basic blocks of `widen` times the filters."""
    depths = stage_depths(depth, 2, 4)
    filters = [widen * width for width in FILTERS]
    x = conv(x, FILTERS[0], 3, name="conv1")
    x = preactivated_stages(
        x, gates(se, placement, stages, count=3), depths, filters, preactivated_basic
    )
    return norm(x, "relu", name="bn1")


def preactivated_stages(x, gate, depths, filters, block):
    """Stages of pre-activated blocks; the projection is of the activated map and has no norm."""
    for stage, name, width, strides in each_block(depths, filters):
        at = partial(gate, stage, name)
        active = norm(x, "relu", name=f"{name}_bn1")
        residual = block(at("pre", active), width, strides=strides, gate=at, name=name)
        skip, channels = x, residual.shape[channel_axis()]
        if strides > 1 or x.shape[channel_axis()] != channels:
            skip = conv(active, channels, 1, strides=strides, name=f"{name}_downsample")
        x = add(at("standard", residual), at("identity", skip), None, name=name)
        x = at("post", x)
    return x


def preactivated_basic(x, filters, *, strides, gate, name):
    """Two 3x3 convolutions of an activated map."""
    x = conv(x, filters, 3, strides=strides, name=f"{name}_conv1")
    x = gate("inside", norm(x, "relu", name=f"{name}_bn2"))
    return conv(x, filters, 3, name=f"{name}_conv2")


def preactivated_bottleneck(x, filters, *, strides, gate, name):
    """1x1, 3x3, and 1x1 to four times `filters`, of an activated map."""
    x = conv(x, filters, 1, name=f"{name}_conv1")
    x = norm(x, "relu", name=f"{name}_bn2")
    x = conv(x, filters, 3, strides=strides, name=f"{name}_conv2")
    x = gate("inside", norm(x, "relu", name=f"{name}_bn3"))
    return conv(x, 4 * filters, 1, name=f"{name}_conv3")


def shake_shake(x, se, *, depth, width):
    """Blocks of two branches that training mixes at random, the gates on the mixture."""
    x = norm(conv(x, FILTERS[0], 3, name="conv1"), name="bn1")
    for _, name, filters, strides in each_block(
        stage_depths(depth, 2, 2), (width, 2 * width, 4 * width)
    ):
        active = activate(x, "relu", name=f"{name}_in")
        branches = [
            shaken_branch(active, filters, strides, name=f"{name}_branch{number}")
            for number in (1, 2)
        ]
        residual = ShakeShake(name=f"{name}_shake")(branches)
        residual = se(name=f"{name}_se")(residual) if se else residual
        skip = x
        if strides > 1 or x.shape[channel_axis()] != filters:
            skip = shifted_shortcut(active, filters, strides, name=f"{name}_downsample")
        x = add(residual, skip, None, name=name)
    return activate(x, "relu", name="out")


def shaken_branch(x, filters, strides, *, name):
    """Two 3x3 convolutions of an activated map, each with its batch norm."""
    x = conv(x, filters, 3, strides=strides, name=f"{name}_conv1")
    x = norm(x, "relu", name=f"{name}_bn1")
    return norm(conv(x, filters, 3, name=f"{name}_conv2"), name=f"{name}_bn2")


def shifted_shortcut(x, filters, strides, *, name):
    """Every second pixel, and every second one beside them, each projected to half the filters."""
    if strides == 1:
        return norm(conv(x, filters, 1, name=f"{name}_conv"), name=f"{name}_bn")
    here = keras.layers.MaxPooling2D(1, strides, name=f"{name}_even")(x)
    # One pixel further down and to the right; beyond the border there are zeros.
    there = keras.layers.Cropping2D(((1, 0), (1, 0)), name=f"{name}_crop")(x)
    there = keras.layers.ZeroPadding2D(((0, 1), (0, 1)), name=f"{name}_pad")(there)
    there = keras.layers.MaxPooling2D(1, strides, name=f"{name}_odd")(there)
    halves = [
        conv(half, filters // 2, 1, name=f"{name}_conv{index}")
        for index, half in enumerate((here, there), start=1)
    ]
    return norm(concat(halves, name=f"{name}_concat"), name=f"{name}_bn")


def shake_even(x, se, *, depth, groups):
    """Blocks of two bottlenecks of `groups` groups after 64 filters, the gates on the mixture."""
    x = norm(conv(x, 64, 3, name="conv1"), "relu", name="bn1")
    return residual_stages(
        x,
        gates(se, count=3),
        depths=stage_depths(depth, 3, 2),
        filters=(64, 128, 256),
        block=partial(shaken_bottlenecks, groups=groups),
        shortcut=shortcut,
    )


def shaken_bottlenecks(x, filters, *, name, **arguments):
    """Two bottlenecks that training mixes at random, each with half of the gradient."""
    branches = [
        bottleneck(x, filters, name=f"{name}_branch{number}", **arguments) for number in (1, 2)
    ]
    return ShakeShake(even=True, name=f"{name}_shake")(branches)
