"""MobileNet v1, v2 and v3 (large and small) as timm has them, in any width `alpha`.

Version 3 comes in two flavors whose weights have the same names and shapes: timm's own, padded as
PyTorch pads, and `TF...`, which came from TensorFlow and pads and normalizes as that does. `RW` is
timm's first attempt at it, and `Large_150D` a wider and deeper one.

Howard et al., https://arxiv.org/abs/1704.04861; Sandler et al., https://arxiv.org/abs/1801.04381;
Howard et al., https://arxiv.org/abs/1905.02244. SE ends every pointwise convolution of v1, after
its activation (Hu et al., https://arxiv.org/abs/1709.01507, table 3), and every residual branch of
v2, which is no network of a paper. Version 3 was published with SE, inside some of its blocks.
"""

from keras import layers

from keras_se.applications.bricks import (
    PYTORCH,
    activate,
    add,
    classifier,
    conv,
    depthwise,
    norm,
)
from keras_se.data_format import channel_axis
from keras_se.layers.squeeze_excite import SqueezeExcite, round_to_multiple
from keras_se.validation import check_positive

# fmt: off
# One row a stage: strides of its first block, filters, blocks.
V1_STAGES = ((1, 64, 1), (2, 128, 2), (2, 256, 2), (2, 512, 6), (2, 1024, 2))
# Strides of the first block, filters, expansion of every block.
V2_STAGES = (
    (1, 16,  (1,)),
    (2, 24,  (6, 6)),
    (2, 32,  (6, 6, 6)),
    (2, 64,  (6, 6, 6, 6)),
    (1, 96,  (6, 6, 6)),
    (2, 160, (6, 6, 6)),
    (1, 320, (6,)),
)
# Kernel size, strides of the first block, filters, expansion of every block, whether they have
# gates, activation. The paper gives the expanded channels instead, but only for `alpha=1`.
LARGE = (
    (3, 1, 16,  (1,),               False, "relu"),
    (3, 2, 24,  (4, 3),             False, "relu"),
    (5, 2, 40,  (3, 3, 3),          True,  "relu"),
    (3, 2, 80,  (6, 2.5, 2.3, 2.3), False, "hard_swish"),
    (3, 1, 112, (6, 6),             True,  "hard_swish"),
    (5, 2, 160, (6, 6, 6),          True,  "hard_swish"),
)
# LARGE as timm's depth multiplier of 1.2 has it.
LARGE_D = (
    (3, 1, 16,  (1, 1),                  False, "relu"),
    (3, 2, 24,  (4, 3, 3),               False, "relu"),
    (5, 2, 40,  (3, 3, 3, 3),            True,  "relu"),
    (3, 2, 80,  (6, 2.5, 2.5, 2.3, 2.3), False, "hard_swish"),
    (3, 1, 112, (6, 6, 6),               True,  "hard_swish"),
    (5, 2, 160, (6, 6, 6, 6),            True,  "hard_swish"),
)
SMALL = (
    (3, 2, 16,  (1,),               True,  "relu"),
    (3, 2, 24,  (4.5, 3.67),        False, "relu"),
    (5, 2, 40,  (4, 6, 6),          True,  "hard_swish"),
    (5, 1, 48,  (3, 3),             True,  "hard_swish"),
    (5, 2, 96,  (6, 6, 6),          True,  "hard_swish"),
)
# fmt: on
# The last convolution has so many times the filters of the last stage.
LAST = 6


def mobilenet_v1(x, se, *, stages, alpha=1.0):
    """The depthwise separable convolutions of `stages` after the stem, each ended by `se`.

    `alpha` multiplies the filters of all convolutions.
    """
    x = _stem(x, 32, "relu6", check_positive("alpha", alpha))
    for stage, (first_strides, filters, depth) in enumerate(stages):
        for index in range(depth):
            name = f"blocks_{stage}_{index}"
            strides = first_strides if index == 0 else 1
            x = _inside(x, 3, strides, 1, "relu6", name=name)
            x = _projection(x, _rounded(alpha * filters), 1, "relu6", name=name)
            x = se(name=f"{name}_se")(x) if se else x
    return x


def mobilenet_v2(x, se, *, stages, alpha=1.0):
    """The inverted residual blocks of `stages`, `se` ending each branch, and a 1x1 convolution.

    `alpha` multiplies the filters of all convolutions but, if it is less than one, the last's 1280.
    """
    x = _stem(x, 32, "relu6", check_positive("alpha", alpha))
    for stage, (first_strides, filters, ratios) in enumerate(stages):
        for index, ratio in enumerate(ratios):
            name = f"blocks_{stage}_{index}"
            strides = first_strides if index == 0 else 1
            branch = _inside(x, 3, strides, ratio, "relu6", name=name)
            branch = _projection(branch, _rounded(alpha * filters), ratio, name=name)
            branch = se(name=f"{name}_se")(branch) if se else branch
            x = _skipped(branch, x, strides, name=name)
    x = conv(x, _rounded(max(1.0, alpha) * 1280), 1, name="conv__head")
    return norm(x, "relu6", name="bn2")


def mobilenet_v3(x, se, *, stages, alpha=1.0, last_depth=1, first_skip=True, flavor=PYTORCH):
    """The blocks of `stages`, LARGE or SMALL, with `se` on the depthwise convolutions of some.

    `alpha` multiplies the filters of all convolutions but, below 0.75, the first. `last_depth` is
    the number of 1x1 convolutions after the blocks, and `first_skip` tells whether the first block
    may have a skip; `flavor` is the convolutions' padding and the normalizations' epsilon.
    """
    stem_alpha = 1.0 if check_positive("alpha", alpha) < 0.75 else alpha
    x = _stem(x, 16, "hard_swish", stem_alpha, flavor)
    for stage, (kernel, first_strides, filters, ratios, gated, activation) in enumerate(stages):
        for index, ratio in enumerate(ratios):
            name = f"blocks_{stage}_{index}"
            strides = first_strides if index == 0 else 1
            branch = _inside(x, kernel, strides, ratio, activation, flavor, name=name)
            if se and gated:
                branch = se(name=f"{name}_se", activation=activation)(branch)
            branch = _projection(branch, _rounded(alpha * filters), ratio, None, flavor, name=name)
            skips = first_skip or stage > 0 or index > 0
            x = _skipped(branch, x, strides, name=name) if skips else branch
    for index in range(last_depth):
        name = f"blocks_{len(stages)}_{index}"
        x = conv(x, _rounded(alpha * LAST * filters), 1, name=f"{name}_conv")
        x = norm(x, "hard_swish", epsilon=flavor.epsilon, name=f"{name}_bn1")
    return x


def mobilenet_rw_se(name, activation):
    """The gates of `mobilenetv3_rw`, with the activation of the block."""
    return SqueezeExcite(ratio=4, activation=activation, gate="hard_sigmoid", name=name)


def mobilenet_v3_head(
    x, classes, activation, *, filters, use_bias=True, dropout=0.0, name="classifier"
):
    """Global average pooling, a 1x1 convolution to `filters`, and the classifier."""
    x = layers.GlobalAveragePooling2D(keepdims=True, name="global__pool")(x)
    x = conv(x, filters, 1, use_bias=use_bias, name="conv__head")
    x = activate(x, "hard_swish", name="conv__head")
    # What the classifier averages is one pixel, so that it only flattens.
    return classifier(x, classes, activation, dropout=dropout, name=name)


def _stem(x, filters, activation, alpha, flavor=PYTORCH):
    """A 3x3 convolution that halves the map."""
    filters, padding = _rounded(alpha * filters), flavor.padding
    x = conv(x, filters, 3, strides=2, padding=padding, name="conv__stem")
    return norm(x, activation, epsilon=flavor.epsilon, name="bn1")


def _inside(x, kernel_size, strides, ratio, activation, flavor=PYTORCH, *, name):
    """A 1x1 convolution to `ratio` times the channels, unless that is one, and a depthwise one."""
    if ratio > 1:
        x = conv(x, _rounded(ratio * x.shape[channel_axis()]), 1, name=f"{name}_conv__pw")
        x = norm(x, activation, epsilon=flavor.epsilon, name=f"{name}_bn1")
    padding = flavor.padding
    x = depthwise(x, kernel_size, strides=strides, padding=padding, name=f"{name}_conv__dw")
    number = 2 if ratio > 1 else 1
    return norm(x, activation, epsilon=flavor.epsilon, name=f"{name}_bn{number}")


def _projection(x, filters, ratio, activation=None, flavor=PYTORCH, *, name):
    """The 1x1 convolution that ends a block, and its normalization."""
    # timm calls it so only if another 1x1 convolution begins the block.
    conv_name, norm_name = ("conv__pwl", "bn3") if ratio > 1 else ("conv__pw", "bn2")
    x = conv(x, filters, 1, name=f"{name}_{conv_name}")
    return norm(x, activation, epsilon=flavor.epsilon, name=f"{name}_{norm_name}")


def _skipped(branch, x, strides, *, name):
    """The branch plus what it began with, if their shapes agree."""
    if strides > 1 or branch.shape[channel_axis()] != x.shape[channel_axis()]:
        return branch
    return add(branch, x, None, name=name)


def _rounded(channels):
    return round_to_multiple(channels, 8)
