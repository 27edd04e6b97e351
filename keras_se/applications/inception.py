"""SE-Inception-v3, SE-Inception-ResNet-v2 and SE-BN-Inception, as tables of their branches.

Szegedy et al., https://arxiv.org/abs/1512.00567 (v3) and https://arxiv.org/abs/1602.07261
(Inception-ResNet-v2), as timm has them; Ioffe and Szegedy, https://arxiv.org/abs/1502.03167
(BN-Inception), as in the Caffe networks of Hu et al., https://arxiv.org/abs/1709.01507. SE ends
every module of BN-Inception, those that stride too, and every residual branch of
Inception-ResNet-v2, before it is scaled and added. SE on v3 is no network of the paper: it ends
every module, by analogy.
"""

from functools import partial

from keras import layers

from keras_se.applications.bricks import (
    TENSORFLOW_EPSILON,
    add,
    average_window,
    concat,
    conv,
    max_pool_ceil,
    max_pool_same,
    max_pool_valid,
    norm,
)
from keras_se.data_format import channel_axis

average_with_zeros = partial(average_window, zeros=True)

# In the tables of v3 and Inception-ResNet-v2 a module is its branches by name, and a branch its
# steps in order: a convolution (filters, kernel size, strides, padding), the last two of which may
# be left out, a pooling function, or a list of convolutions side by side. `{}` stands for the
# step's number.
HALVE = (3, 2, "valid")
ROW, COLUMN = (1, 7), (7, 1)

STEM = (
    (32, *HALVE),
    (32, 3, 1, "valid"),
    (64, 3),
    max_pool_valid,
    (80, 1),
    (192, 3, 1, "valid"),
    max_pool_valid,
)
V3_STEM_NAMES = (
    "Conv2d__1a__3x3",
    "Conv2d__2a__3x3",
    "Conv2d__2b__3x3",
    "Pool1",
    "Conv2d__3b__1x1",
    "Conv2d__4a__3x3",
    "Pool2",
)
RESNET_STEM_NAMES = (
    "conv2d__1a",
    "conv2d__2a",
    "conv2d__2b",
    "maxpool__3a",
    "conv2d__3b",
    "conv2d__4a",
    "maxpool__5a",
)


def _mixed_5(projection):
    """The table of a module of v3 at an eighth of the image's size."""
    return {
        "branch1x1": [(64, 1)],
        "branch5x5__{}": [(48, 1), (64, 5)],
        "branch3x3dbl__{}": [(64, 1), (96, 3), (96, 3)],
        "branch__pool": [average_with_zeros, (projection, 1)],
    }


def _mixed_6(width):
    """The table of a module of v3 at a sixteenth, with 7x7 kernels in factors."""
    double = [(width, 1), (width, COLUMN), (width, ROW), (width, COLUMN), (192, ROW)]
    return {
        "branch1x1": [(192, 1)],
        "branch7x7__{}": [(width, 1), (width, ROW), (192, COLUMN)],
        "branch7x7dbl__{}": double,
        "branch__pool": [average_with_zeros, (192, 1)],
    }


MIXED_6A = {
    "branch3x3": [(384, *HALVE)],
    "branch3x3dbl__{}": [(64, 1), (96, 3), (96, *HALVE)],
    "branch__pool": [max_pool_valid],
}
MIXED_7A = {
    "branch3x3__{}": [(192, 1), (320, *HALVE)],
    "branch7x7x3__{}": [(192, 1), (192, ROW), (192, COLUMN), (192, *HALVE)],
    "branch__pool": [max_pool_valid],
}
SPLIT = [(384, (1, 3)), (384, (3, 1))]
MIXED_7 = {
    "branch1x1": [(320, 1)],
    "branch3x3__{}": [(384, 1), SPLIT],
    "branch3x3dbl__{}": [(448, 1), (384, 3), SPLIT],
    "branch__pool": [average_with_zeros, (192, 1)],
}
V3_MODULES = {
    "Mixed__5b": _mixed_5(32),
    "Mixed__5c": _mixed_5(64),
    "Mixed__5d": _mixed_5(64),
    "Mixed__6a": MIXED_6A,
    "Mixed__6b": _mixed_6(128),
    "Mixed__6c": _mixed_6(160),
    "Mixed__6d": _mixed_6(160),
    "Mixed__6e": _mixed_6(192),
    "Mixed__7a": MIXED_7A,
    "Mixed__7b": MIXED_7,
    "Mixed__7c": MIXED_7,
}

RESNET_5B = {
    "branch0": [(96, 1)],
    "branch1_{}": [(48, 1), (64, 5)],
    "branch2_{}": [(64, 1), (96, 3), (96, 3)],
    "branch3_{}": [average_window, (64, 1)],
}
RESNET_6A = {
    "branch0": [(384, *HALVE)],
    "branch1_{}": [(256, 1), (256, 3), (384, *HALVE)],
    "branch2": [max_pool_valid],
}
RESNET_7A = {
    "branch0_{}": [(256, 1), (384, *HALVE)],
    "branch1_{}": [(256, 1), (288, *HALVE)],
    "branch2_{}": [(256, 1), (288, 3), (320, *HALVE)],
    "branch3": [max_pool_valid],
}
BLOCK_35 = {
    "branch0": [(32, 1)],
    "branch1_{}": [(32, 1), (32, 3)],
    "branch2_{}": [(32, 1), (48, 3), (64, 3)],
}
BLOCK_17 = {"branch0": [(192, 1)], "branch1_{}": [(128, 1), (160, ROW), (192, COLUMN)]}
BLOCK_8 = {"branch0": [(192, 1)], "branch1_{}": [(192, 1), (224, (1, 3)), (256, (3, 1))]}
# A module, and the residual blocks after it, and what multiplies their branches.
RESNET_STAGES = (
    ("mixed__5b", RESNET_5B, "repeat", BLOCK_35, 0.17),
    ("mixed__6a", RESNET_6A, "repeat__1", BLOCK_17, 0.10),
    ("mixed__7a", RESNET_7A, "repeat__2", BLOCK_8, 0.20),
)


def inception_v3(x, se):
    """The stem and eleven modules of Inception-v3, each ended by `se`; without auxiliary head."""
    x = _chain(x, STEM, V3_STEM_NAMES)
    for name, branches in V3_MODULES.items():
        x = _module(x, branches, first=1, name=name)
        x = se(name=f"{name}_se")(x) if se else x
    return x


def inception_resnet_v2(x, se, *, depths):
    """Residual blocks in three stages and one more, with `se` ending each residual branch."""
    x = _chain(x, STEM, RESNET_STEM_NAMES)
    for (mixed, branches, repeat, block, scale), depth in zip(RESNET_STAGES, depths, strict=True):
        x = _module(x, branches, name=mixed)
        for index in range(depth):
            x = _residual(x, se, block, scale, name=f"{repeat}_{index}")
    # The last block, and only it, has neither scale nor ReLU.
    x = _residual(x, se, BLOCK_8, None, None, name="block8")
    return _conv_norm_relu(x, 1536, 1, name="conv2d__7b")


def _residual(x, se, branches, scale, activation="relu", *, name):
    """The input and `scale` times a projection of its branches, added."""
    residual = _module(x, branches, name=name)
    residual = conv(residual, x.shape[channel_axis()], 1, use_bias=True, name=f"{name}_conv2d")
    residual = se(name=f"{name}_se")(residual) if se else residual
    residual = layers.Rescaling(scale, name=f"{name}_scale")(residual) if scale else residual
    return add(residual, x, activation, name=name)


def _module(x, branches, *, first=0, name):
    """What all branches make of `x`; `first` is the number of a branch's first step."""
    outputs = []
    for branch, steps in branches.items():
        names = [f"{name}_{branch.format(step)}" for step in range(first, first + len(steps))]
        outputs.append(_chain(x, steps, names))
    return concat(outputs, name=f"{name}_concat")


def _chain(x, steps, names):
    """Steps of a table, one after the other."""
    for step, name in zip(steps, names, strict=True):
        if callable(step):
            x = step(x, name=name)
        elif isinstance(step, list):
            pairs = zip(step, (f"{name}a", f"{name}b"), strict=True)
            x = concat([_conv_norm_relu(x, *row, name=inner) for row, inner in pairs], name=name)
        else:
            x = _conv_norm_relu(x, *step, name=name)
    return x


def _conv_norm_relu(x, filters, kernel_size, strides=1, padding="same", *, name):
    """A convolution of v3 or Inception-ResNet-v2, its normalization and ReLU."""
    x = conv(x, filters, kernel_size, strides=strides, padding=padding, name=f"{name}_conv")
    return norm(x, "relu", epsilon=TENSORFLOW_EPSILON, name=f"{name}_bn")


# Where a module strides, Caffe's ceil mode gives an odd map one pixel less than the strided
# convolution beside it gets, so the original refuses such images; "same" takes them.
max_pool_halving = partial(max_pool_same, strides=2)
max_window = partial(max_pool_same, strides=1)

# Filters of the 1x1 branch; of the 3x3 branch and of the double 3x3 one, each first of the 1x1 that
# reduces and then of the 3x3; the pooling; filters of its projection. These are Caffe's: Google's
# own network projects to 96 in 4c and 4d.
# fmt: off
BN_MODULES = {
    "3a": (64,   (64, 64),   (64, 96),   average_with_zeros, 32),
    "3b": (64,   (64, 96),   (64, 96),   average_with_zeros, 64),
    "3c": (None, (128, 160), (64, 96),   max_pool_halving,   None),
    "4a": (224,  (64, 96),   (96, 128),  average_with_zeros, 128),
    "4b": (192,  (96, 128),  (96, 128),  average_with_zeros, 128),
    "4c": (160,  (128, 160), (128, 160), average_with_zeros, 128),
    "4d": (96,   (128, 192), (160, 192), average_with_zeros, 128),
    "4e": (None, (128, 192), (192, 256), max_pool_halving,   None),
    "5a": (352,  (192, 320), (160, 224), average_with_zeros, 128),
    "5b": (352,  (192, 320), (192, 224), max_window,         128),
}
# fmt: on


def bn_inception(x, se):
    """The stem and ten modules of BN-Inception, each ended by `se`."""
    x = _bn_conv(x, 64, 7, strides=2, name="conv1__7x7__s2")
    x = max_pool_ceil(x, name="pool1__3x3__s2")
    x = _bn_conv(x, 64, 1, name="conv2__3x3__reduce")
    x = _bn_conv(x, 192, 3, name="conv2__3x3")
    x = max_pool_ceil(x, name="pool2__3x3__s2")
    for module, row in BN_MODULES.items():
        name = f"inception__{module}"
        x = _bn_module(x, *row, name=name)
        x = se(name=f"{name}_se")(x) if se else x
    return x


def _bn_module(x, single, simple, double, pool, projection, *, name):
    """The branches of one row of the table; without `single` and `projection` they stride."""
    strides = 1 if single else 2
    branches = [_bn_conv(x, single, 1, name=f"{name}__1x1")] if single else []

    branch = _bn_conv(x, simple[0], 1, name=f"{name}__3x3__reduce")
    branches.append(_bn_conv(branch, simple[1], 3, strides=strides, name=f"{name}__3x3"))

    branch = _bn_conv(x, double[0], 1, name=f"{name}__double__3x3__reduce")
    branch = _bn_conv(branch, double[1], 3, name=f"{name}__double__3x3__1")
    branch = _bn_conv(branch, double[1], 3, strides=strides, name=f"{name}__double__3x3__2")
    branches.append(branch)

    branch = pool(x, name=f"{name}__pool")
    if projection:
        branch = _bn_conv(branch, projection, 1, name=f"{name}__pool__proj")
    branches.append(branch)
    return concat(branches, name=f"{name}_concat")


def _bn_conv(x, filters, kernel_size, *, strides=1, name):
    """A convolution of BN-Inception, its normalization and ReLU."""
    x = conv(x, filters, kernel_size, strides=strides, name=name)
    return norm(x, "relu", name=f"{name}__bn")
