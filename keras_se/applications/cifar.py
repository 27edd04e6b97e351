"""Residual networks for small images, with three stages of 16, 32 and 64 filters.

He et al., https://arxiv.org/abs/1512.03385, section 4.2, with SE after each residual branch and a
projection by a 1x1 convolution with batch norm where a stage changes (option B there).
"""

from keras_se.applications.bricks import conv, norm
from keras_se.applications.resnet import basic, residual_stages, shortcut

FILTERS = (16, 32, 64)


def cifar_resnet(x, se, *, depth):
    """A 3x3 convolution and three stages of basic blocks; `depth` counts convolutions and head."""
    blocks, rest = divmod(depth - 2, 6)
    if rest or blocks < 1:
        raise ValueError(f"`depth` must be 6 n + 2 with n >= 1. Received: depth={depth}")
    x = norm(conv(x, FILTERS[0], 3, name="conv1"), "relu", name="bn1")
    depths = (blocks,) * len(FILTERS)
    return residual_stages(x, se, depths=depths, filters=FILTERS, block=basic, shortcut=shortcut)
