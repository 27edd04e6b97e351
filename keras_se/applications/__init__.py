"""Every network of keras_se, one row each; the row is the builder: `SEResNet50(weights=...)`.

The name is the paper's in Keras's case, with timm's suffixes. `se=False` gives the plain twin of
any of them, whose name is the same without `SE`. `find("seresnet50")` finds a row, or the twin of
one, by the name in lower case; `rows()` gives them all.
"""

import difflib
from functools import partial

from keras_se.applications import legacy_senet as legacy
from keras_se.applications.application import Application
from keras_se.applications.cifar import cifar_resnet
from keras_se.applications.legacy_senet import legacy_senet
from keras_se.applications.resnet import basic, bottleneck, resnet
from keras_se.applications.resnet_ts import resnet_ts
from keras_se.layers import SqueezeExcite

# SE as in the paper: bottlenecks of C // 16 units.
PAPER_SE = partial(SqueezeExcite, ratio=16)

D = {"stem": (32, 32, 64), "avg_down": True}
T = {"stem": (24, 32, 64), "avg_down": True}
AA = {**D, "antialias": True}
X4 = {"groups": 32, "width": 4}
X8 = {"groups": 32, "width": 8}
# The paper's appendix: 64 groups, a deep stem, halved first convolutions, 3x3 projections.
S154 = {"depths": (3, 8, 36, 3), "stem": (64, 64, 128), "down_kernel": 3, "dropout": 0.2}
CIFAR = {"trunk": cifar_resnet, "se": PAPER_SE, "size": 32, "smallest": 4}
LEGACY = {"trunk": legacy_senet, "se": PAPER_SE, "head_layer": "last__linear"}
TS = {"trunk": resnet_ts, "head_layer": "head_fc", "size": 256}

LX4 = partial(legacy.legacy_grouped_bottleneck, groups=32, first=2, inner=2)
L154 = partial(legacy.legacy_grouped_bottleneck, groups=64, first=2, inner=4)

# fmt: off
SEResNet18  = Application("SEResNet18",  resnet, depths=(2, 2, 2, 2),  block=basic)
SEResNet34  = Application("SEResNet34",  resnet, depths=(3, 4, 6, 3),  block=basic)
SEResNet50  = Application("SEResNet50",  resnet, depths=(3, 4, 6, 3),  block=bottleneck)
SEResNet101 = Application("SEResNet101", resnet, depths=(3, 4, 23, 3), block=bottleneck)
SEResNet152 = Application("SEResNet152", resnet, depths=(3, 8, 36, 3), block=bottleneck)

SEResNet50D   = Application("SEResNet50D",   resnet, depths=(3, 4, 6, 3),   block=bottleneck, **D)
SEResNet50T   = Application("SEResNet50T",   resnet, depths=(3, 4, 6, 3),   block=bottleneck, **T)
SEResNet152D  = Application("SEResNet152D",  resnet, depths=(3, 8, 36, 3),  block=bottleneck, **D, size=256)
SEResNet200D  = Application("SEResNet200D",  resnet, depths=(3, 24, 36, 3), block=bottleneck, **D, size=256)
SEResNet269D  = Application("SEResNet269D",  resnet, depths=(3, 30, 48, 8), block=bottleneck, **D, size=256)
SEResNetAA50D = Application("SEResNetAA50D", resnet, depths=(3, 4, 6, 3),   block=bottleneck, **AA)

SEWideResNet50_2      = Application("SEWideResNet50_2",      resnet, depths=(3, 4, 6, 3),   block=bottleneck, width=128)
SEResNeXt26D_32x4d    = Application("SEResNeXt26D_32x4d",    resnet, depths=(2, 2, 2, 2),   block=bottleneck, **X4, **D)
SEResNeXt26T_32x4d    = Application("SEResNeXt26T_32x4d",    resnet, depths=(2, 2, 2, 2),   block=bottleneck, **X4, **T)
SEResNeXt50_32x4d     = Application("SEResNeXt50_32x4d",     resnet, depths=(3, 4, 6, 3),   block=bottleneck, **X4)
SEResNeXt101_32x4d    = Application("SEResNeXt101_32x4d",    resnet, depths=(3, 4, 23, 3),  block=bottleneck, **X4)
SEResNeXt101_32x8d    = Application("SEResNeXt101_32x8d",    resnet, depths=(3, 4, 23, 3),  block=bottleneck, **X8)
SEResNeXt101_32x16d   = Application("SEResNeXt101_32x16d",   resnet, depths=(3, 4, 23, 3),  block=bottleneck, groups=32, width=16)
SEResNeXt101_32x32d   = Application("SEResNeXt101_32x32d",   resnet, depths=(3, 4, 23, 3),  block=bottleneck, groups=32, width=32)
SEResNeXt101_64x4d    = Application("SEResNeXt101_64x4d",    resnet, depths=(3, 4, 23, 3),  block=bottleneck, groups=64, width=4)
SEResNeXt101D_32x8d   = Application("SEResNeXt101D_32x8d",   resnet, depths=(3, 4, 23, 3),  block=bottleneck, **X8, **D)
SEResNeXtAA101D_32x8d = Application("SEResNeXtAA101D_32x8d", resnet, depths=(3, 4, 23, 3),  block=bottleneck, **X8, **AA)
SEResNeXtAA201D_32x8d = Application("SEResNeXtAA201D_32x8d", resnet, depths=(3, 24, 36, 4), block=bottleneck, **X8, **AA | {"stem": (64, 64, 128)}, size=320)
SENet154              = Application("SENet154", resnet, **S154, block=bottleneck, groups=64, width=4, reduce_first=2)

SEResNet33TS  = Application("SEResNet33TS",  **TS, depths=(2, 3, 3, 2), filters=(256, 512, 1536, 1536), pooled=False, last=1280)
SEResNeXt26TS = Application("SEResNeXt26TS", **TS, depths=(2, 2, 2, 2), filters=(256, 512, 1024, 2048), pooled=True, group_width=32)

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
# fmt: on


def rows():
    """Every row of the zoo by its name, in the order of this file."""
    return {row.name: row for row in globals().values() if isinstance(row, Application)}


def find(name):
    """Finds a network by its name in any case.

    Args:
        name: The name of a row, such as `"seresnet50"`, or of a twin, such as `"resnet50"`.

    Returns:
        The row and its `se` argument: `(SEResNet50, True)` or `(SEResNet50, False)`.

    Raises:
        ValueError: If there is no such network; the message offers the nearest names.

    Example:
    >>> find("resnet50")
    (keras_se.applications.SEResNet50, False)
    """
    names = {row.name.lower(): (row, True) for row in rows().values()}
    names |= {row.twin.lower(): (row, False) for row in rows().values()}
    # timm writes legacy_seresnet50 and wide_resnet50_2.
    plain = {one.replace("_", ""): found for one, found in names.items()}
    wanted = str(name).lower()
    if wanted.replace("_", "") not in plain:
        near = difflib.get_close_matches(wanted, names, 3, 0.5) or sorted(names)
        raise ValueError(f"There is no network {name!r}. The nearest are: {', '.join(near)}")
    return plain[wanted.replace("_", "")]
