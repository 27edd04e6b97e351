"""Tells whose checkpoint it is that was read, and gives it the names that the loader knows."""

import logging
import re

from keras_se.weights.checkpoint import Checkpoint
from keras_se.weights.origins import ALIKE, ORIGINS
from keras_se.weights.registry import WEIGHTS, find_published

LOG = logging.getLogger("keras_se")


def translate(checkpoint: Checkpoint, network: str, name: str) -> Checkpoint:
    """Gives a checkpoint of any known project timm's names, or refuses it for its graph.

    Args:
        checkpoint: The checkpoint as it was read; its row, if any, says whose it should be.
        network: The name of the network that it is for.
        name: What the user called it: a path, an address, or a repository of the hub.

    Returns:
        A `Checkpoint` that the loader knows.

    Raises:
        ValueError: If it is for another graph than the network's, though all shapes may agree.
    """
    if checkpoint.row is None:
        _refuse_published_elsewhere(network, name)
    found = [origin for origin in ORIGINS if origin.marks(checkpoint)]
    names = [origin.name for origin in found]
    expected = checkpoint.row and checkpoint.row.origin
    if expected not in names and any(expected == origin.name for origin in ORIGINS):
        raise ValueError(f"{checkpoint.source} does not have the names of {expected}'s parameters.")
    if not found:
        return checkpoint
    fitting = [origin for origin in found if network in origin.networks]
    if not fitting:
        networks = ", ".join(dict.fromkeys(name for origin in found for name in origin.networks))
        networks = networks or "no network of keras_se"
        raise ValueError(
            f"{checkpoint.source} is a checkpoint of {names[0]}, whose graph is that of "
            f"{networks}, not that of {network}. {found[0].note}".rstrip()
        )
    other = ALIKE.get(network)
    published = checkpoint.row or find_published(_file_name(name))
    if not published and any(other in origin.networks for origin in found):
        LOG.warning(
            "%s fits %s in all names and shapes, too, and does not say which it is of: make sure "
            "that it is of %s.",
            *(checkpoint.source, other, network),
        )
    return fitting[0].rename(checkpoint)


def _refuse_published_elsewhere(network, name):
    """Refuses what is published for other networks, by its repository or the name of its file."""
    repository = name.removeprefix("hf://").partition("@")[0]
    published = find_published(repository) or find_published(_file_name(name))
    if published and network in {*WEIGHTS, *ALIKE} and network not in published:
        other, row = next(iter(published.items()))
        raise ValueError(
            f"{name!r} is {row.tag!r} of {other}, whose graph is not that of {network}, even where "
            f"all shapes agree: use {other}."
        )


def _file_name(name):
    return re.split(r"[/\\]", name)[-1]
