"""SE-ResNet-33ts and SE-ResNeXt-26ts: a tiered stem and SiLU, with SE on the 3x3 convolution.

They were trained with timm, whose `byobnet.py` is their only description; names are its own.
"""

from keras_se.applications.bricks import add, conv, max_pool, norm
from keras_se.data_format import channel_axis


def resnet_ts(x, se, *, depths, filters, group_width=None, pooled, last=None):
    """Stages of bottlenecks that end in `filters` channels, after a stem of stride 4.

    `pooled` tells whether the stem pools or its last convolution strides; `group_width` is the
    number of channels of a group of the 3x3 convolutions (one group if `None`); `last` is the
    width of a 1x1 convolution before the head, if any.
    """
    for index, (width, strides) in enumerate(((24, 2), (32, 1), (64, 1 if pooled else 2)), start=1):
        x = conv_norm_silu(x, width, 3, strides=strides, name=f"stem_conv{index}")
    if pooled:
        x = max_pool(x, name="stem_pool")
    for stage, (depth, width) in enumerate(zip(depths, filters, strict=True)):
        for index in range(depth):
            strides = 2 if stage > 0 and index == 0 else 1
            x = block(x, se, width, strides, group_width, name=f"stages_{stage}_{index}")
    return conv_norm_silu(x, last, 1, name="final__conv") if last else x


def block(x, se, filters, strides, group_width, *, name):
    """1x1 to a quarter of `filters`, 3x3, the gates, and 1x1, added to the skip."""
    inner = filters // 4
    skip = x
    if strides > 1 or x.shape[channel_axis()] != filters:
        skip = conv(x, filters, 1, strides=strides, name=f"{name}_shortcut_conv")
        skip = norm(skip, name=f"{name}_shortcut_bn")
    x = conv_norm_silu(x, inner, 1, name=f"{name}_conv1__1x1")
    groups = inner // group_width if group_width else 1
    x = conv_norm_silu(x, inner, 3, strides=strides, groups=groups, name=f"{name}_conv2__kxk")
    if se:
        x = se(name=f"{name}_attn")(x)
    x = norm(conv(x, filters, 1, name=f"{name}_conv3__1x1_conv"), name=f"{name}_conv3__1x1_bn")
    return add(x, skip, "silu", name=name)


def conv_norm_silu(x, filters, kernel_size, *, strides=1, groups=1, name):
    """A convolution, its batch normalization and SiLU."""
    x = conv(x, filters, kernel_size, strides=strides, groups=groups, name=f"{name}_conv")
    return norm(x, "silu", name=f"{name}_bn")
