"""Every network of keras_se, one row each; the row is the builder: `SEResNet50(weights=...)`.

The name is the paper's in Keras's case, with timm's suffixes. `se=False` gives the plain twin of
any of them, whose name is the same without `SE`. `get_model("seresnet50")` returns a network, or the
twin of one, by its name in any case; `list_models()` lists the names.
"""

import fnmatch
import sys
from functools import partial
from typing import NoReturn

from keras_se.applications import cifar
from keras_se.applications import legacy_senet as legacy
from keras_se.applications.application import Application
from keras_se.applications.bricks import TENSORFLOW, TORCHVISION
from keras_se.applications.densenet import densenet
from keras_se.applications.hints import OF_BUILDERS, explain_missing_in, explain_name
from keras_se.applications.inception import bn_inception, inception_resnet_v2, inception_v3
from keras_se.applications.legacy_senet import legacy_senet
from keras_se.applications.mobilenet import (
    LARGE,
    LARGE_D,
    SMALL,
    V1_STAGES,
    V2_STAGES,
    mobilenet_rw_se,
    mobilenet_v1,
    mobilenet_v2,
    mobilenet_v3,
    mobilenet_v3_head,
)
from keras_se.applications.preresnet import preresnet
from keras_se.applications.regnet import regnet_se, regnet_silu_se, regnet_v, regnet_y, regnet_z
from keras_se.applications.resnet import basic, bottleneck, resnet, strided_conv
from keras_se.applications.resnet_ts import resnet_ts
from keras_se.applications.shufflenet import shufflenet
from keras_se.applications.vgg import VGG11, VGG13, VGG16, VGG19, vgg, vgg_head
from keras_se.layers import EfficientChannelAttention, SqueezeExcite

# SE as in the paper: bottlenecks of C // 16 units.
PAPER_SE = partial(SqueezeExcite, ratio=16)

D = {"stem": (32, 32, 64), "avg_down": True}
T = {"stem": (24, 32, 64), "avg_down": True}
AA = {**D, "antialias": True}
X4 = {"groups": 32, "width": 4}
X8 = {"groups": 32, "width": 8}
# The paper's appendix: 64 groups, a deep stem, halved first convolutions, 3x3 projections.
S154 = {"depths": (3, 8, 36, 3), "stem": (64, 64, 128), "down_kernel": 3, "dropout": 0.2}
GATES = {"options": ("placement", "stages")}
RESNET = {**GATES, "trunk": resnet}
RS = {**RESNET, **D, "block": bottleneck, "stem_pool": strided_conv, "dropout": 0.25}
RS |= {"se": partial(SqueezeExcite, ratio=4, divisor=8)}
REGNET = {"se": regnet_se, "head_layers": ("head_fc",)}
REGNET_SILU = {**REGNET, "se": regnet_silu_se}
# The first version of the network: the paper's gates, the stride on the first 1x1 convolution, which
# has a name of its own there, as its weights fit the later version in every shape.
V1 = {**RESNET, "se": PAPER_SE}
V1_BLOCK = partial(legacy.legacy_bottleneck, strided="conv1__strided")
# NVIDIA's gates have 16 units in all stages, which is no ratio.
NVIDIA = {**RESNET, "se": partial(SqueezeExcite, units=16)}
PRE_RESNET = {**GATES, "trunk": preresnet, "se": PAPER_SE}
TINY = {"se": PAPER_SE, "size": 32, "min_size": 4}
CIFAR = {**TINY, **GATES, "trunk": cifar.cifar_resnet}
PRE = {**CIFAR, "trunk": cifar.cifar_preresnet}
LEGACY = {**GATES, "trunk": legacy_senet, "se": PAPER_SE, "head_layers": ("last__linear",)}
ECA = {**RESNET, "se": EfficientChannelAttention, "block": bottleneck}
TS = {"trunk": resnet_ts, "head_layers": ("head_fc",), "size": 256}
R33TS = {**TS, "depths": (2, 3, 3, 2), "filters": (256, 512, 1536, 1536), "pooled": False}
R33TS |= {"last": 1280}
X26TS = {**TS, "depths": (2, 2, 2, 2), "filters": (256, 512, 1024, 2048), "pooled": True}
X26TS |= {"group_width": 32}

INCEPTION = {"se": PAPER_SE, "size": 299, "min_size": 75}
MOBILE = {"se": PAPER_SE, "head_layers": ("classifier",), "options": ("alpha",)}
V3 = {
    **MOBILE,
    "se": partial(SqueezeExcite, ratio=4, divisor=8, gate="hard_sigmoid"),
    "trunk": mobilenet_v3,
    "head_layers": ("conv__head", "classifier"),
    "dropout": 0.2,
}
V3_LARGE = {**V3, "stages": LARGE, "head": partial(mobilenet_v3_head, filters=1280)}
V3_SMALL = {**V3, "stages": SMALL, "head": partial(mobilenet_v3_head, filters=1024)}
V3_RW = {**V3_LARGE, "se": mobilenet_rw_se, "flavor": TORCHVISION}
V3_RW |= {"head": partial(mobilenet_v3_head, filters=1280, use_bias=False), "first_skip": False}
V3_150D = {**V3_LARGE, "stages": LARGE_D, "last_depth": 2, "alpha": 1.5, "size": 256}
VGG = {
    "se": PAPER_SE,
    "trunk": vgg,
    "head": vgg_head,
    "head_layers": ("pre__logits_fc1", "pre__logits_fc2", "head_fc"),
    "dropout": 0.5,
}
DENSE = {"se": PAPER_SE, "trunk": densenet, "head_layers": ("classifier",)}


def _of_keras2(row):
    """The RegNetY of Keras 2, which pads otherwise."""
    return Application(**row.fields | {"name": f"TF{row.name}", "padding": TENSORFLOW.padding})


LX4 = partial(legacy.legacy_grouped_bottleneck, groups=32, first=2, inner=2)
L154 = partial(legacy.legacy_grouped_bottleneck, groups=64, first=2, inner=4)

# fmt: off
SEResNet18  = Application("SEResNet18",  **RESNET, depths=(2, 2, 2, 2),  block=basic)
SEResNet34  = Application("SEResNet34",  **RESNET, depths=(3, 4, 6, 3),  block=basic)
SEResNet50  = Application("SEResNet50",  **RESNET, depths=(3, 4, 6, 3),  block=bottleneck)
SEResNet101 = Application("SEResNet101", **RESNET, depths=(3, 4, 23, 3), block=bottleneck)
SEResNet152 = Application("SEResNet152", **RESNET, depths=(3, 8, 36, 3), block=bottleneck)

SEResNet10V1  = Application("SEResNet10V1",  **V1, depths=(1, 1, 1, 1),  block=basic)
SEResNet12V1  = Application("SEResNet12V1",  **V1, depths=(2, 1, 1, 1),  block=basic)
SEResNet14V1  = Application("SEResNet14V1",  **V1, depths=(2, 2, 1, 1),  block=basic)
SEResNet16V1  = Application("SEResNet16V1",  **V1, depths=(2, 2, 2, 1),  block=basic)
SEResNet18V1  = Application("SEResNet18V1",  **V1, depths=(2, 2, 2, 2),  block=basic)
SEResNet26V1  = Application("SEResNet26V1",  **V1, depths=(3, 3, 3, 3),  block=basic)
SEResNet50V1  = Application("SEResNet50V1",  **V1, depths=(3, 4, 6, 3),  block=V1_BLOCK)
SEResNet101V1 = Application("SEResNet101V1", **V1, depths=(3, 4, 23, 3), block=V1_BLOCK)
SEResNet152V1 = Application("SEResNet152V1", **V1, depths=(3, 8, 36, 3), block=V1_BLOCK)
SEResNetBC26  = Application("SEResNetBC26",  **V1, depths=(2, 2, 2, 2),  block=bottleneck)
SEResNetBC38  = Application("SEResNetBC38",  **V1, depths=(3, 3, 3, 3),  block=bottleneck)

SEPreResNet10   = Application("SEPreResNet10",   **PRE_RESNET, depths=(1, 1, 1, 1), block=cifar.preactivated_basic)
SEPreResNet12   = Application("SEPreResNet12",   **PRE_RESNET, depths=(2, 1, 1, 1), block=cifar.preactivated_basic)
SEPreResNet16   = Application("SEPreResNet16",   **PRE_RESNET, depths=(2, 2, 2, 1), block=cifar.preactivated_basic)
SEPreResNet18   = Application("SEPreResNet18",   **PRE_RESNET, depths=(2, 2, 2, 2), block=cifar.preactivated_basic)
SEPreResNet26   = Application("SEPreResNet26",   **PRE_RESNET, depths=(3, 3, 3, 3), block=cifar.preactivated_basic)
SEPreResNetBC26 = Application("SEPreResNetBC26", **PRE_RESNET, depths=(2, 2, 2, 2), block=cifar.preactivated_bottleneck)
SEPreResNetBC38 = Application("SEPreResNetBC38", **PRE_RESNET, depths=(3, 3, 3, 3), block=cifar.preactivated_bottleneck)
SEPreResNet50   = Application("SEPreResNet50",   **PRE_RESNET, depths=(3, 4, 6, 3), block=cifar.preactivated_bottleneck)

# PaddleClas's: variant D with the paper's gates; the first block projects its skip, too.
SEResNet18VD = Application("SEResNet18VD", **V1, depths=(2, 2, 2, 2), block=basic, **D, project_first=True)
SEResNet34VD = Application("SEResNet34VD", **V1, depths=(3, 4, 6, 3), block=basic, **D, project_first=True)

SEResNet50D   = Application("SEResNet50D",   **RESNET, depths=(3, 4, 6, 3),   block=bottleneck, **D)
SEResNet50T   = Application("SEResNet50T",   **RESNET, depths=(3, 4, 6, 3),   block=bottleneck, **T)
SEResNet152D  = Application("SEResNet152D",  **RESNET, depths=(3, 8, 36, 3),  block=bottleneck, **D, size=256)
SEResNet200D  = Application("SEResNet200D",  **RESNET, depths=(3, 24, 36, 3), block=bottleneck, **D, size=256)
SEResNet269D  = Application("SEResNet269D",  **RESNET, depths=(3, 30, 48, 8), block=bottleneck, **D, size=256)
SEResNetAA50D = Application("SEResNetAA50D", **RESNET, depths=(3, 4, 6, 3),   block=bottleneck, **AA)

SEWideResNet50_2      = Application("SEWideResNet50_2",      **RESNET, depths=(3, 4, 6, 3),   block=bottleneck, width=128)
SEResNeXt26D_32x4d    = Application("SEResNeXt26D_32x4d",    **RESNET, depths=(2, 2, 2, 2),   block=bottleneck, **X4, **D)
SEResNeXt26T_32x4d    = Application("SEResNeXt26T_32x4d",    **RESNET, depths=(2, 2, 2, 2),   block=bottleneck, **X4, **T)
SEResNeXt50_32x4d     = Application("SEResNeXt50_32x4d",     **RESNET, depths=(3, 4, 6, 3),   block=bottleneck, **X4)
SEResNeXt101_32x4d    = Application("SEResNeXt101_32x4d",    **RESNET, depths=(3, 4, 23, 3),  block=bottleneck, **X4)
SEResNeXt101NV_32x4d  = Application("SEResNeXt101NV_32x4d",  **NVIDIA, depths=(3, 4, 23, 3),  block=bottleneck, **X4)
SEResNeXt101_32x8d    = Application("SEResNeXt101_32x8d",    **RESNET, depths=(3, 4, 23, 3),  block=bottleneck, **X8)
SEResNeXt101_32x16d   = Application("SEResNeXt101_32x16d",   **RESNET, depths=(3, 4, 23, 3),  block=bottleneck, groups=32, width=16)
SEResNeXt101_32x32d   = Application("SEResNeXt101_32x32d",   **RESNET, depths=(3, 4, 23, 3),  block=bottleneck, groups=32, width=32)
SEResNeXt101_64x4d    = Application("SEResNeXt101_64x4d",    **RESNET, depths=(3, 4, 23, 3),  block=bottleneck, groups=64, width=4)
SEResNeXt101D_32x8d   = Application("SEResNeXt101D_32x8d",   **RESNET, depths=(3, 4, 23, 3),  block=bottleneck, **X8, **D)
SEResNeXtAA101D_32x8d = Application("SEResNeXtAA101D_32x8d", **RESNET, depths=(3, 4, 23, 3),  block=bottleneck, **X8, **AA)
SEResNeXtAA201D_32x8d = Application("SEResNeXtAA201D_32x8d", **RESNET, depths=(3, 24, 36, 4), block=bottleneck, **X8, **AA | {"stem": (64, 64, 128)}, size=320)
SEResNeXt50VD_32x4d   = Application("SEResNeXt50VD_32x4d",   **RESNET, depths=(3, 4, 6, 3),   block=bottleneck, **X4, **D | {"stem": (64, 64, 128)})
SENet16               = Application("SENet16",  **RESNET, **S154 | {"depths": (1, 1, 1, 1)}, block=bottleneck, groups=32, width=4, reduce_first=2)
SENet28               = Application("SENet28",  **RESNET, **S154 | {"depths": (2, 2, 2, 2)}, block=bottleneck, groups=32, width=4, reduce_first=2)
SENet154              = Application("SENet154", **RESNET, **S154, block=bottleneck, groups=64, width=4, reduce_first=2)
SENet154VD            = Application("SENet154VD", **RESNET, depths=(3, 8, 36, 3), block=bottleneck, groups=64, width=4, **D | {"stem": (64, 64, 128)})

ResNetRS50  = Application("ResNetRS50",  **RS, depths=(3, 4, 6, 3),   size=160)
ResNetRS101 = Application("ResNetRS101", **RS, depths=(3, 4, 23, 3),  size=192)
ResNetRS152 = Application("ResNetRS152", **RS, depths=(3, 8, 36, 3),  size=256)
ResNetRS200 = Application("ResNetRS200", **RS, depths=(3, 24, 36, 3), size=256)
ResNetRS270 = Application("ResNetRS270", **RS, depths=(4, 29, 53, 4), size=256)
ResNetRS350 = Application("ResNetRS350", **RS | {"dropout": 0.4}, depths=(4, 36, 72, 4), size=288)
ResNetRS420 = Application("ResNetRS420", **RS | {"dropout": 0.4}, depths=(4, 44, 87, 4), size=320)

SEResNet33TS  = Application("SEResNet33TS",  **R33TS)
SEResNeXt26TS = Application("SEResNeXt26TS", **X26TS)

RegNetY002   = Application("RegNetY002",   regnet_y, **REGNET, depths=(1, 1, 4, 7),   filters=(24, 56, 152, 368),       group_width=8)
RegNetY004   = Application("RegNetY004",   regnet_y, **REGNET, depths=(1, 3, 6, 6),   filters=(48, 104, 208, 440),      group_width=8)
RegNetY006   = Application("RegNetY006",   regnet_y, **REGNET, depths=(1, 3, 7, 4),   filters=(48, 112, 256, 608),      group_width=16)
RegNetY008   = Application("RegNetY008",   regnet_y, **REGNET, depths=(1, 3, 8, 2),   filters=(64, 128, 320, 768),      group_width=16)
RegNetY008TV = Application("RegNetY008TV", regnet_y, **REGNET, depths=(1, 3, 8, 2),   filters=(64, 144, 320, 784),      group_width=16)
RegNetY016   = Application("RegNetY016",   regnet_y, **REGNET, depths=(2, 6, 17, 2),  filters=(48, 120, 336, 888),      group_width=24)
RegNetY032   = Application("RegNetY032",   regnet_y, **REGNET, depths=(2, 5, 13, 1),  filters=(72, 216, 576, 1512),     group_width=24)
RegNetY040   = Application("RegNetY040",   regnet_y, **REGNET, depths=(2, 6, 12, 2),  filters=(128, 192, 512, 1088),    group_width=64)
RegNetY064   = Application("RegNetY064",   regnet_y, **REGNET, depths=(2, 7, 14, 2),  filters=(144, 288, 576, 1296),    group_width=72)
RegNetY080   = Application("RegNetY080",   regnet_y, **REGNET, depths=(2, 4, 10, 1),  filters=(168, 448, 896, 2016),    group_width=56)
RegNetY080TV = Application("RegNetY080TV", regnet_y, **REGNET, depths=(2, 4, 10, 1),  filters=(224, 448, 896, 2016),    group_width=56)
RegNetY120   = Application("RegNetY120",   regnet_y, **REGNET, depths=(2, 5, 11, 1),  filters=(224, 448, 896, 2240),    group_width=112)
RegNetY160   = Application("RegNetY160",   regnet_y, **REGNET, depths=(2, 4, 11, 1),  filters=(224, 448, 1232, 3024),   group_width=112)
RegNetY320   = Application("RegNetY320",   regnet_y, **REGNET, depths=(2, 5, 12, 1),  filters=(232, 696, 1392, 3712),   group_width=232)
RegNetY640   = Application("RegNetY640",   regnet_y, **REGNET, depths=(2, 5, 12, 1),  filters=(328, 984, 1968, 4920),   group_width=328)
RegNetY1280  = Application("RegNetY1280",  regnet_y, **REGNET, depths=(2, 7, 17, 1),  filters=(528, 1056, 2904, 7392),  group_width=264)
RegNetY2560  = Application("RegNetY2560",  regnet_y, **REGNET, depths=(2, 7, 17, 1),  filters=(746, 1492, 4103, 10444), group_width=373)
TFRegNetY002 = _of_keras2(RegNetY002)
TFRegNetY004 = _of_keras2(RegNetY004)
TFRegNetY006 = _of_keras2(RegNetY006)
TFRegNetY008 = _of_keras2(RegNetY008)
TFRegNetY016 = _of_keras2(RegNetY016)
TFRegNetY032 = _of_keras2(RegNetY032)
TFRegNetY040 = _of_keras2(RegNetY040)
TFRegNetY064 = _of_keras2(RegNetY064)
TFRegNetY080 = _of_keras2(RegNetY080)
TFRegNetY120 = _of_keras2(RegNetY120)
TFRegNetY160 = _of_keras2(RegNetY160)
TFRegNetY320 = _of_keras2(RegNetY320)
RegNetV040   = Application("RegNetV040",   regnet_v, **REGNET_SILU, depths=(2, 6, 12, 2), filters=(128, 192, 512, 1088), group_width=64)
RegNetV064   = Application("RegNetV064",   regnet_v, **REGNET_SILU, depths=(2, 7, 14, 2), filters=(144, 288, 576, 1296), group_width=72, avg_down=True)
RegNetZ040   = Application("RegNetZ040",   regnet_z, **REGNET_SILU, depths=(2, 6, 14, 6), filters=(48, 104, 240, 528), group_width=8, size=256)
RegNetZ040H  = Application("RegNetZ040H",  regnet_z, **REGNET_SILU, depths=(2, 6, 14, 6), filters=(48, 104, 240, 528), group_width=8, size=256, last=1536)

ECAResNet26T   = Application("ECAResNet26T",   **ECA, **T, depths=(2, 2, 2, 2),  size=256)
ECAResNet50T   = Application("ECAResNet50T",   **ECA, **T, depths=(3, 4, 6, 3),  size=256)
ECAResNet50D   = Application("ECAResNet50D",   **ECA, **D, depths=(3, 4, 6, 3))
ECAResNet101D  = Application("ECAResNet101D",  **ECA, **D, depths=(3, 4, 23, 3))
ECAResNet269D  = Application("ECAResNet269D",  **ECA, **D, depths=(3, 30, 48, 8), size=320)
ECAResNetLight = Application("ECAResNetLight", **ECA, avg_down=True, depths=(1, 1, 11, 3))
ECAResNet33TS  = Application("ECAResNet33TS",  **R33TS, se=EfficientChannelAttention)
ECAResNeXt26TS = Application("ECAResNeXt26TS", **X26TS, se=EfficientChannelAttention)

LegacySEResNet18         = Application("LegacySEResNet18",         **LEGACY, depths=(2, 2, 2, 2),  block=legacy.legacy_basic)
LegacySEResNet34         = Application("LegacySEResNet34",         **LEGACY, depths=(3, 4, 6, 3),  block=legacy.legacy_basic)
LegacySEResNet50         = Application("LegacySEResNet50",         **LEGACY, depths=(3, 4, 6, 3),  block=legacy.legacy_bottleneck)
LegacySEResNet101        = Application("LegacySEResNet101",        **LEGACY, depths=(3, 4, 23, 3), block=legacy.legacy_bottleneck)
LegacySEResNet152        = Application("LegacySEResNet152",        **LEGACY, depths=(3, 8, 36, 3), block=legacy.legacy_bottleneck)
LegacySEResNeXt26_32x4d  = Application("LegacySEResNeXt26_32x4d",  **LEGACY, depths=(2, 2, 2, 2),  block=LX4)
LegacySEResNeXt50_32x4d  = Application("LegacySEResNeXt50_32x4d",  **LEGACY, depths=(3, 4, 6, 3),  block=LX4)
LegacySEResNeXt101_32x4d = Application("LegacySEResNeXt101_32x4d", **LEGACY, depths=(3, 4, 23, 3), block=LX4)
LegacySENet154           = Application("LegacySENet154",           **LEGACY, **S154, block=L154)

SEResNet20  = Application("SEResNet20",  **CIFAR, depth=20)
SEResNet32  = Application("SEResNet32",  **CIFAR, depth=32)
SEResNet44  = Application("SEResNet44",  **CIFAR, depth=44)
SEResNet56  = Application("SEResNet56",  **CIFAR, depth=56)
SEResNet110 = Application("SEResNet110", **CIFAR, depth=110)
SEResNet164 = Application("SEResNet164", **CIFAR, depth=164, block=bottleneck)
SEResNet272 = Application("SEResNet272", **CIFAR, depth=272, block=bottleneck)

SEPreResNet20  = Application("SEPreResNet20",  **PRE, depth=20,  block=cifar.preactivated_basic)
SEPreResNet56  = Application("SEPreResNet56",  **PRE, depth=56,  block=cifar.preactivated_basic)
SEPreResNet110 = Application("SEPreResNet110", **PRE, depth=110, block=cifar.preactivated_basic)
SEPreResNet164 = Application("SEPreResNet164", **PRE, depth=164, block=cifar.preactivated_bottleneck)
SEPreResNet272 = Application("SEPreResNet272", **PRE, depth=272, block=cifar.preactivated_bottleneck)

SEWideResNet16_8     = Application("SEWideResNet16_8",     **CIFAR | {"trunk": cifar.wide_resnet}, depth=16, widen=8)
SEWideResNet28_10    = Application("SEWideResNet28_10",    **CIFAR | {"trunk": cifar.wide_resnet}, depth=28, widen=10)
SEShakeShake26_2x96d = Application("SEShakeShake26_2x96d", **TINY, trunk=cifar.shake_shake, depth=26, width=96)
SEShakeEven29_2x4x64d = Application("SEShakeEven29_2x4x64d", **TINY, trunk=cifar.shake_even, depth=29, groups=4)

SEInceptionV3       = Application("SEInceptionV3",       inception_v3,        **INCEPTION)
SEInceptionResNetV2 = Application("SEInceptionResNetV2", inception_resnet_v2, **INCEPTION, depths=(10, 20, 9), head_layers=("classif",))
SEBNInception       = Application("SEBNInception",       bn_inception,        se=PAPER_SE, head_layers=("last__linear",))

SEMobileNet          = Application("SEMobileNet",      **MOBILE, trunk=mobilenet_v1, stages=V1_STAGES)
SEMobileNetV2        = Application("SEMobileNetV2",    **MOBILE, trunk=mobilenet_v2, stages=V2_STAGES)
MobileNetV3Large       = Application("MobileNetV3Large",      **V3_LARGE)
MobileNetV3Small       = Application("MobileNetV3Small",      **V3_SMALL)
MobileNetV3Small_075   = MobileNetV3Small.replace(alpha=0.75)
MobileNetV3Small_050   = MobileNetV3Small.replace(alpha=0.5)
MobileNetV3Large_150D  = Application("MobileNetV3Large_150D", **V3_150D)
MobileNetV3RW          = Application("MobileNetV3RW",         **V3_RW)
MobileNetV3LargeTV     = Application("MobileNetV3LargeTV",    **V3_LARGE, flavor=TORCHVISION)
MobileNetV3SmallTV     = Application("MobileNetV3SmallTV",    **V3_SMALL, flavor=TORCHVISION)
TFMobileNetV3Large     = Application("TFMobileNetV3Large",    **V3_LARGE, flavor=TENSORFLOW)
TFMobileNetV3Small     = Application("TFMobileNetV3Small",    **V3_SMALL, flavor=TENSORFLOW)
TFMobileNetV3Large_075 = TFMobileNetV3Large.replace(alpha=0.75)
TFMobileNetV3Small_075 = TFMobileNetV3Small.replace(alpha=0.75)

SEShuffleNet = Application("SEShuffleNet", shufflenet, se=PAPER_SE, depths=(4, 8, 4), options=("groups", "scale"))

SEVGG11 = Application("SEVGG11", **VGG, stages=VGG11)
SEVGG13 = Application("SEVGG13", **VGG, stages=VGG13)
SEVGG16 = Application("SEVGG16", **VGG, stages=VGG16)
SEVGG19 = Application("SEVGG19", **VGG, stages=VGG19)

SEDenseNet121 = Application("SEDenseNet121", **DENSE, depths=(6, 12, 24, 16))
SEDenseNet169 = Application("SEDenseNet169", **DENSE, depths=(6, 12, 32, 32))
SEDenseNet201 = Application("SEDenseNet201", **DENSE, depths=(6, 12, 48, 32))
# fmt: on

# What timm calls some of these networks.
ALIASES = {
    "mobilenetv1_100": "mobilenet",
    "mobilenetv2_100": "mobilenetv2",
    "mobilenetv3_large_100": "mobilenetv3large",
    "mobilenetv3_small_100": "mobilenetv3small",
    "tf_mobilenetv3_large_100": "tfmobilenetv3large",
    "tf_mobilenetv3_small_100": "tfmobilenetv3small",
    **{f"vgg{depth}_bn": f"vgg{depth}" for depth in (11, 13, 16, 19)},
}


def list_models(pattern: str = "*", pretrained: bool = False) -> list[str]:
    """Lists the names of the networks, in the order of the table.

    Args:
        pattern: What the names must match, in any case, such as `"*resnext*"`.
        pretrained: Whether to list only networks with published weights.

    Returns:
        The names, each an attribute of this module and legal for `get_model`.

    Example:
    >>> list_models("seresnet50*")
    ['SEResNet50', 'SEResNet50V1', 'SEResNet50D', 'SEResNet50T']
    """
    matching = (
        row for row in _all_rows().values() if fnmatch.fnmatch(row.name.lower(), pattern.lower())
    )
    return [row.name for row in matching if row.weights or not pretrained]


def get_model(name: str) -> Application:
    """Returns a network by its name in any case, or the plain twin of one.

    Args:
        name: The name of a network, such as `"seresnet50"`, or of a twin, such as `"resnet50"`;
            timm's names of these work too.

    Returns:
        The `Application`, which builds the network when it is called.

    Raises:
        ValueError: If there is no such network; the message offers the nearest names.

    Example:
    >>> get_model("resnet50")
    keras_se.applications.ResNet50
    >>> get_model("resnet50").twin
    keras_se.applications.SEResNet50
    """
    names = {row.name: row for row in _all_rows().values()}
    names |= {row.twin.name: row.twin for row in _all_rows().values()}
    # timm writes legacy_seresnet50 and wide_resnet50_2.
    plain = {key.lower().replace("_", ""): row for key, row in names.items()}
    plain |= {alias.replace("_", ""): plain[key] for alias, key in ALIASES.items()}
    key = str(name).lower().replace("_", "")
    if key not in plain:
        raise ValueError(explain_name(name, names))
    return plain[key]


def _all_rows():
    """Every network by its name, those included that were added to this module later."""
    return {row.name: row for row in globals().values() if isinstance(row, Application)}


def __dir__() -> list[str]:
    return sorted([*list_models(), "get_model", "list_models"])


def __getattr__(name: str) -> NoReturn:
    twins = {row.twin.name: row.name for row in _all_rows().values()}
    if name in twins:
        # An AttributeError would be replaced by Python's own message of imports.
        raise ImportError(
            f"keras_se.applications has no {name}: it is {twins[name]}(se=False), or "
            f"get_model({name.lower()!r})"
        )
    if name in OF_BUILDERS:
        raise ImportError(
            f"keras_se.applications has no {name}: it depends on the weights, so every network has "
            f"its own, such as SEResNet50.{name}"
        )
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


for _name in [_name for _name in sys.modules if _name.startswith(f"{__name__}.")]:
    explain_missing_in(sys.modules[_name])
