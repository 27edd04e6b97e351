"""The stages of a network, by the names of its layers."""

import re

# The first group are those that count from 1; `layer0_` is the stem of some networks.
STAGE = re.compile(r"(?:(layer|stage)(?!0)|stages_|blocks_)(\d+)_")


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
