"""The stages and blocks of a network, by the names of its layers."""

import re

# The first group are those that count from 1; `layer0_` is the stem of some networks.
STAGE = re.compile(r"(?:(layer|stage|s(?=\d+_b\d))(?!0)|stages_|blocks_)(\d+)_")
# What the names of the layers of one block begin with, in each family.
BLOCK = re.compile(
    r"""layer\d+_\d+_                          # ResNets, also those for small images
    | s\d+_b\d+_                              # RegNets
    | stages_\d+_\d+_                          # SE-ResNet-33-TS and its kind
    | blocks_\d+_\d+_                          # MobileNets
    | stage\d+_\d+_                            # ShuffleNet
    | features_(?:denseblock|transition)\d+_   # DenseNets
    | features_\d+_                            # VGGs
    | [Mm]ixed__\d\w_ | inception__\d\w_       # Inceptions
    | repeat(?:__\d)?_\d+_ | block8_           # Inception-ResNet-v2""",
    re.VERBOSE,
)


def stage_of(name: str) -> int | None:
    """Returns the number of the stage that a layer belongs to, counted from 1.

    Args:
        name: The layer's name, as in timm: `layer3_...` is in stage 3, and so are `stages_2_...`
            and `blocks_2_...`, which count from 0. Where stages are numbered as in the paper
            (ShuffleNet's `stage2_...` to `stage4_...`), that number.

    Returns:
        The number, or `None` for a layer of the stem, the head, or of another network.

    Example:
    >>> stage_of("layer3_0_conv1"), stage_of("stages_2_0_se"), stage_of("fc")
    (3, 3, None)
    """
    match = STAGE.match(name)
    return None if match is None else int(match[2]) + (match[1] is None)


def block_of(name: str) -> str | None:
    """Returns what the names of all layers of a block begin with, such as `layer3_0_`.

    Args:
        name: The name of one of its layers, as in timm.

    Returns:
        The beginning, or `None` for a layer of the stem, the head, or of another network.

    Example:
    >>> block_of("layer3_0_conv1"), block_of("features_denseblock2_denselayer1_norm1")
    ('layer3_0_', 'features_denseblock2_')
    """
    match = BLOCK.match(name)
    return None if match is None else match.group()
