"""Tells whose checkpoint it is that was read, and gives it the names that the loader knows."""

import re

from keras_se.weights import hub
from keras_se.weights.checkpoint import Checkpoint
from keras_se.weights.lookalike import AT_ORIGIN, refuse_lookalike, refuse_named, warn_of
from keras_se.weights.origins import ORIGINS
from keras_se.weights.registry import WEIGHTS, find_published


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
    published = bool(checkpoint.row) or _is_published(network, name)
    if not published:
        refuse_named(checkpoint, network)
    found = [origin for origin in ORIGINS if origin.marks(checkpoint)]
    names = [origin.name for origin in found]
    expected = checkpoint.row and checkpoint.row.origin
    if expected not in names and any(expected == origin.name for origin in ORIGINS):
        raise ValueError(f"{checkpoint.source} does not have the names of {expected}'s parameters.")
    if not found:
        if not published:
            refuse_lookalike(checkpoint, network)
        return checkpoint
    fitting = [origin for origin in found if network in origin.networks]
    if not fitting:
        networks = ", ".join(dict.fromkeys(name for origin in found for name in origin.networks))
        networks = networks or "no network of keras_se"
        raise ValueError(
            f"{checkpoint.source} is a checkpoint of {names[0]}, whose graph is that of "
            f"{networks}, not that of {network}. {found[0].note}".rstrip()
        )
    other = AT_ORIGIN.get(network)
    if not published and any(other in origin.networks for origin in found):
        warn_of(other, checkpoint, network)
    return fitting[0].rename(checkpoint)


def _is_published(network, name):
    """Whether this is a published checkpoint of the network; refuses those of other networks."""
    names = (hub.repository(name), re.split(r"[/\\]", name)[-1])
    published = next(filter(None, map(find_published, filter(None, names))), {})
    if published and network in WEIGHTS and network not in published:
        other, row = next(iter(published.items()))
        raise ValueError(
            f"{name!r} is {row.tag!r} of {other}, whose graph is not that of {network}, even where "
            f"all shapes agree: use {other}."
        )
    return network in published
