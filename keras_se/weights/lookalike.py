"""Tells networks apart whose checkpoints have the same names and shapes."""

import logging
import re
from pathlib import Path

from keras_se.weights.checkpoint import Checkpoint
from keras_se.weights.keras2_origins import KERAS_2_SIZES
from keras_se.weights.registry import find_networks

LOG = logging.getLogger("keras_se")


# Networks with the same names and shapes, here and in timm, at every width: padding, epsilon and
# averages leave no trace in a checkpoint.
_ALIKE = (
    ("MobileNetV3Large", "TFMobileNetV3Large", "MobileNetV3LargeTV"),
    ("MobileNetV3Small", "TFMobileNetV3Small", "MobileNetV3SmallTV"),
    ("SEResNet50D", "SEResNetAA50D"),
    ("SEResNeXt101D_32x8d", "SEResNeXtAA101D_32x8d"),
    ("ResNet50D", "ResNetAA50D"),
    ("ResNeXt101D_32x8d", "ResNeXtAA101D_32x8d"),
    *((f"RegNetY{size}", f"TFRegNetY{size}") for size in KERAS_2_SIZES),
)
# Of networks without SE in their names, the plain twins, too.
_PLAIN = tuple(tuple(f"Plain{name}" for name in names) for names in _ALIKE if "Res" not in names[0])
IN_TIMM = {name: names for names in _ALIKE + _PLAIN for name in names}
# Networks whose names differ here, but not in the project that trained them.
AT_ORIGIN = {f"SEResNet{depth}": f"SEResNet{depth}V1" for depth in (50, 101, 152)}
AT_ORIGIN |= {other: network for network, other in AT_ORIGIN.items()}
_WIDTH = re.compile(r"_[\dp]+$")


def refuse_named(checkpoint: Checkpoint, network: str) -> None:
    """Refuses a checkpoint whose header names another network.

    Args:
        checkpoint: One that is not published, and so known by its header only.
        network: Name of the network that it shall be loaded into.

    Raises:
        ValueError: If it is for another.
    """
    named = find_networks(checkpoint.header)
    if named and find_networks(network) and _graph(network) not in map(_graph, named):
        raise ValueError(
            f"{checkpoint.source} is for {named[0]} by its header or config.json, not for "
            f"{network}: use {named[0]}."
        )


def refuse_lookalike(checkpoint: Checkpoint, network: str) -> None:
    """Refuses a checkpoint for a network of the same names and shapes; warns if it does not say so.

    Args:
        checkpoint: One with timm's names that is not published, and so known by its file's name,
            its repository or its header only.
        network: Name of the network that it shall be loaded into.

    Raises:
        ValueError: If it is for the other.
    """
    network = _WIDTH.sub("", network)
    others = [name for name in IN_TIMM.get(network, ()) if name != network]
    if not others:
        return
    # Of a path the file only: folders hold files of many networks.
    source = checkpoint.source
    said = f"{source if '://' in source else Path(source).name} {checkpoint.header}"
    # TFMobileNetV3Large has the name of MobileNetV3Large in its own: the longest is meant.
    named = [name for name in (network, *others) if _pattern(name).search(said)]
    meant = max(named, key=len, default=None)
    if meant is None:
        warn_of(" and ".join(others), checkpoint, network)
    elif meant != network:
        raise ValueError(
            f"{source} is for {meant} by its name or header. It fits {network} in every name and "
            f"shape, but computes other numbers there: build {meant}, or rename the file if it is "
            "called so by mistake."
        )


def warn_of(other: str, checkpoint: Checkpoint, network: str) -> None:
    """Logs a warning that a checkpoint for a network may be one of another."""
    LOG.warning(
        "%s fits %s in all names and shapes, too, and does not say which it is of: make sure that "
        "it is of %s.",
        *(checkpoint.source, other, network),
    )


def _pattern(network):
    """Finds a network's name in any case, with `_` and `-` anywhere."""
    letters = network.partition("_")[0]
    return re.compile("[_-]?".join(map(re.escape, letters)), re.IGNORECASE)


def _graph(network):
    """A network's name without what tells it from its plain twin, whose shapes are others."""
    return network.removeprefix("Plain").replace("SE", "", 1)
