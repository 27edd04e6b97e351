"""The original networks of the authors (Caffe, 2017), whose weights timm calls `legacy_*`.

They differ from `resnet.py` in the pooling of the stem (ceil mode, no padding), in the stride of
SE-ResNet (on the first 1x1 convolution) and in the names. Checkpoints of one give wrong results in
the other without any error of shape, hence different names and a strict loader.
Source: https://github.com/hujie-frank/SENet; timm's `senet.py`.
"""

from functools import partial

from keras_se.applications.bricks import activate, conv, max_pool_ceil, norm
from keras_se.applications.resnet import FILTERS, gates, residual_stages, shortcut


def legacy_senet(
    x, se, *, depths, block, stem=64, down_kernel=1, placement="standard", stages=None
):
    """The four stages of an original SENet after its stem."""
    x = legacy_stem(x, stem)
    return residual_stages(
        max_pool_ceil(x, name="layer0_pool"),
        gates(se, placement, stages, count=len(depths), suffix="se__module"),
        depths=depths,
        filters=FILTERS,
        block=block,
        shortcut=partial(shortcut, kernel_size=down_kernel),
    )


def legacy_stem(x, stem):
    """A 7x7 convolution of `stem` filters, or three 3x3 ones of the widths in `stem`."""
    if isinstance(stem, int):
        return norm(conv(x, stem, 7, strides=2, name="layer0_conv1"), "relu", name="layer0_bn1")
    for index, filters in enumerate(stem, start=1):
        x = conv(x, filters, 3, strides=2 if index == 1 else 1, name=f"layer0_conv{index}")
        x = norm(x, "relu", name=f"layer0_bn{index}")
    return x


def legacy_basic(x, filters, *, strides, gate, name):
    """Two 3x3 convolutions, with a ReLU before the gates that the paper does not have.

    timm's weights of depth 18 and 34 were trained with it, so it stays, in the plain twin too.
    """
    x = norm(conv(x, filters, 3, strides=strides, name=f"{name}_conv1"), "relu", name=f"{name}_bn1")
    return norm(
        conv(gate("inside", x), filters, 3, name=f"{name}_conv2"), "relu", name=f"{name}_bn2"
    )


def legacy_bottleneck(x, filters, *, strides, gate, strided="conv1", name):
    """1x1, which strides and is called `strided` then, 3x3, and 1x1 to four times `filters`."""
    first = f"{name}_{strided if strides > 1 else 'conv1'}"
    x = norm(conv(x, filters, 1, strides=strides, name=first), "relu", name=f"{name}_bn1")
    x = norm(conv(x, filters, 3, name=f"{name}_conv2"), "relu", name=f"{name}_bn2")
    return norm(conv(gate("inside", x), 4 * filters, 1, name=f"{name}_conv3"), name=f"{name}_bn3")


def legacy_grouped_bottleneck(x, filters, *, strides, gate, groups, inner, first, name):
    """1x1 to `first` times `filters`, a strided grouped 3x3 to `inner` times, 1x1 to four times."""
    x = norm(conv(x, first * filters, 1, name=f"{name}_conv1"), "relu", name=f"{name}_bn1")
    x = conv(x, inner * filters, 3, strides=strides, groups=groups, name=f"{name}_conv2")
    x = activate(norm(x, name=f"{name}_bn2"), "relu", name=f"{name}_bn2")
    return norm(conv(gate("inside", x), 4 * filters, 1, name=f"{name}_conv3"), name=f"{name}_bn3")
