"""SE-ResNet, SE-ResNeXt, SENet-154 and ResNet-RS as timm has them, strides on the 3x3 convolutions.

He et al., https://arxiv.org/abs/1512.03385; Xie et al., https://arxiv.org/abs/1611.05431; Hu et
al., https://arxiv.org/abs/1709.01507. `stem` is the width of a 7x7 convolution or the widths of
three 3x3 ones: (32, 32, 64) and `avg_down` make variant D of https://arxiv.org/abs/1812.01187,
(24, 32, 64) the tiered variant T; `antialias` averages before each subsampling (AA). SENet-154 has
a deep stem, halves the first 1x1 convolutions (`reduce_first`) and projects with 3x3 kernels
(`down_kernel`). ResNet-RS (Bello et al., https://arxiv.org/abs/2103.07579) is variant D with a 3x3
convolution in place of the maximum pooling (`stem_pool`) and gates of `C / 4` units.
The VD networks of PaddleClas project the skip of the first block, too, where the
shapes agree (`project_first`).

`placement` puts the gates elsewhere, as the paper tries in its tables 14 and 16: `"standard"` at
the end of the residual branch, `"pre"` at its beginning, `"post"` after the sum and its activation,
`"identity"` on the skip, and `"inside"` after the 3x3 convolution of a bottleneck (the first of a
basic block), its batch norm and activation. `stages` numbers the stages with gates from 1, as the
layers are named; the paper's table 13 counts the stem too, so that its stage 2 is stage 1 here.
"""

from functools import partial

from keras_se.applications.bricks import (
    add,
    average_pool,
    conv,
    max_pool_positive,
    norm,
)
from keras_se.data_format import channel_axis
from keras_se.validation import check_choice

FILTERS = (64, 128, 256, 512)
PLACEMENTS = ("standard", "pre", "post", "identity", "inside")


def resnet(  # noqa: PLR0913 (the columns of the table)
    x,
    se,
    *,
    depths,
    block,
    stem=64,
    avg_down=False,
    antialias=False,
    down_kernel=1,
    stem_pool=max_pool_positive,
    project_first=False,
    placement="standard",
    stages=None,
    **arguments,
):
    """The four stages of a residual network after its stem."""
    x = residual_stem(x, stem)
    x = average_pool(x, name="maxpool") if antialias else stem_pool(x, name="maxpool")
    return residual_stages(
        x,
        gates(se, placement, stages, count=len(depths)),
        depths=depths,
        filters=FILTERS,
        block=partial(block, **({"antialias": True} if antialias else {}), **arguments),
        shortcut=partial(shortcut, avg_down=avg_down, kernel_size=down_kernel),
        project_first=project_first,
    )


def residual_stem(x, stem):
    """A 7x7 convolution of `stem` filters, or three 3x3 ones of the widths in `stem`."""
    if isinstance(stem, int):
        return norm(conv(x, stem, 7, strides=2, name="conv1"), "relu", name="bn1")
    first, second, third = stem
    x = norm(conv(x, first, 3, strides=2, name="conv1_0"), "relu", name="conv1_1")
    x = norm(conv(x, second, 3, name="conv1_3"), "relu", name="conv1_4")
    return norm(conv(x, third, 3, name="conv1_6"), "relu", name="bn1")


def strided_conv(x, *, name):
    """A 3x3 convolution that halves the map, in place of a pooling."""
    x = conv(x, x.shape[channel_axis()], 3, strides=2, name=f"{name}_0")
    return norm(x, "relu", name=f"{name}_1")


def gates(se, placement="standard", stages=None, *, count, suffix="se"):
    """Where a residual network has gates: a function of a stage, a block's name, a place and a map.

    The function gives the map, gated if the gates belong at this one of `PLACEMENTS`. `stages` has
    the numbers of the stages with gates, of `count`; `None` means all.
    """
    check_choice("placement", placement, PLACEMENTS)
    some = isinstance(stages, tuple | list) and set(stages) <= set(range(1, count + 1)) and stages
    if stages is not None and not some:
        raise ValueError(
            f"`stages` must be None or a tuple of some of the numbers from 1 to {count}. Received: "
            f"stages={stages!r}"
        )
    if placement != "standard":
        # A name of its own: the weights of one placement fit another in every shape.
        suffix = f"{placement}_{suffix}"

    def gate(stage, name, place, x):
        if se is None or place != placement or (stages is not None and stage not in stages):
            return x
        return se(name=f"{name}_{suffix}")(x)

    return gate


def residual_stages(x, gate, *, depths, filters, block, shortcut, project_first=False):
    """Stages of residual blocks, each after the first halving the map.

    `block` makes the residual branch and `shortcut` the other one, where the shapes differ or, for
    `project_first`, in the first block; `gate` is what `gates` gives.
    """
    for number, (stage, name, width, strides) in enumerate(each_block(depths, filters)):
        at = partial(gate, stage, name)
        residual = block(at("pre", x), width, strides=strides, gate=at, name=name)
        skip = x
        projects = strides > 1 or x.shape[channel_axis()] != residual.shape[channel_axis()]
        if projects or (project_first and number == 0):
            skip = shortcut(x, residual.shape[channel_axis()], strides=strides, name=name)
        x = add(at("standard", residual), at("identity", skip), name=name)
        x = at("post", x)
    return x


def each_block(depths, filters):
    """The stage from 1, the name, the filters and the strides of each block in turn."""
    for stage, (depth, width) in enumerate(zip(depths, filters, strict=True), start=1):
        for index in range(depth):
            yield stage, f"layer{stage}_{index}", width, 2 if stage > 1 and index == 0 else 1


def basic(x, filters, *, strides, gate, antialias=False, name):
    """Two 3x3 convolutions."""
    x = subsampling_conv(x, filters, strides=strides, antialias=antialias, name=f"{name}_%s1")
    return norm(conv(gate("inside", x), filters, 3, name=f"{name}_conv2"), name=f"{name}_bn2")


def bottleneck(x, filters, *, gate, name, groups=1, width=64, reduce_first=1, **subsampling):
    """1x1, 3x3 in `groups` of `width` channels per 64 filters, and 1x1 to four times `filters`."""
    inner = filters * width // 64 * groups
    x = norm(conv(x, inner // reduce_first, 1, name=f"{name}_conv1"), "relu", name=f"{name}_bn1")
    x = subsampling_conv(x, inner, groups=groups, name=f"{name}_%s2", **subsampling)
    return norm(conv(gate("inside", x), 4 * filters, 1, name=f"{name}_conv3"), name=f"{name}_bn3")


def subsampling_conv(x, filters, *, strides, antialias=False, groups=1, name):
    """A 3x3 convolution that strides, or, for `antialias`, is averaged afterwards instead."""
    conv_strides = 1 if antialias else strides
    x = conv(x, filters, 3, strides=conv_strides, groups=groups, name=name % "conv")
    x = norm(x, "relu", name=name % "bn")
    return average_pool(x, name=name % "aa") if strides > conv_strides else x


def shortcut(x, filters, *, strides, avg_down=False, kernel_size=1, name):
    """A projection, strided or, for `avg_down`, of the averaged map."""
    kernel_size = kernel_size if strides > 1 else 1
    name = f"{name}_downsample"
    if not avg_down:
        x = conv(x, filters, kernel_size, strides=strides, name=f"{name}_0")
        return norm(x, name=f"{name}_1")
    if strides > 1:
        x = average_pool(x, name=f"{name}_0")
    return norm(conv(x, filters, 1, name=f"{name}_1"), name=f"{name}_2")
