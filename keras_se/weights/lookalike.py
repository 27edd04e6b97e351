"""Tells two networks apart whose weights have the same names and shapes."""

import logging
import re
from pathlib import Path

from keras_se.weights.checkpoint import Checkpoint

LOG = logging.getLogger("keras_se")


def refuse_lookalike(checkpoint: Checkpoint, *, network: str, lookalike: str) -> None:
    """Refuses a checkpoint that says it is for the other network; warns if it says nothing.

    Args:
        checkpoint: One that is not published, and so known by its file's name, its repository or
            its header only.
        network: Name of the network that it shall be loaded into.
        lookalike: Name of the network that it would fit too.

    Raises:
        ValueError: If it is for `lookalike`.
    """
    source = checkpoint.source
    # Of a path the file only: folders hold files of many networks.
    said = f"{source if '://' in source else Path(source).name} {checkpoint.header}"
    # TFMobileNetV3Large has the name of MobileNetV3Large in its own: the longest is meant.
    named = [name for name in (network, lookalike) if _pattern(name).search(said)]
    if not named:
        LOG.warning(
            "%s fits %s and %s alike, which compute other numbers from it; neither its name nor "
            "its header says which of them it is for.",
            checkpoint.source,
            network,
            lookalike,
        )
    elif max(named, key=len) == lookalike:
        raise ValueError(
            f"{checkpoint.source} is for {lookalike} by its name or header. It fits {network} in "
            f"every name and shape, but computes other numbers there: build {lookalike}, or rename "
            "the file if it is called so by mistake."
        )


def _pattern(network):
    """Finds a network's name in any case, of any width, with `_` and `-` anywhere."""
    letters = network.partition("_")[0]
    return re.compile("[_-]?".join(map(re.escape, letters)), re.IGNORECASE)
