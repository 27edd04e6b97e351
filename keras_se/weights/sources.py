"""Where checkpoints come from: each class of `SOURCES` knows one meaning of `weights=`."""

import hashlib
import importlib.resources
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from keras_se.weights.checkpoint import Checkpoint, read_checkpoint
from keras_se.weights.readers import ENDINGS
from keras_se.weights.registry import WEIGHTS, Weights, find_networks, find_weights
from keras_se.weights.translate import translate

# What the `source` of a file that comes with keras_se begins with.
PACKAGED = "package:"
# As many networks as a message names.
MOST_PACKAGED = 6


@dataclass(frozen=True)
class Request:
    """What the `weights=` of a builder says.

    Attributes:
        weights: Its text.
        rows: The published checkpoints of the network.
        network: The network's name, for messages.
        row: The published checkpoint that a tag stands for, if it is one.
    """

    weights: str
    rows: Sequence[Weights] = ()
    network: str = "the network"
    row: Weights | None = None


class PublishedTag:
    """`"imagenet"` or the tag of a row, which names another source."""

    def matches(self, request: Request) -> bool:
        """Whether the request is a tag."""
        return request.weights in {"imagenet", *(row.tag for row in request.rows)}

    def open(self, request: Request) -> Checkpoint:
        """Reads the checkpoint from the source that its row names."""
        row = find_weights(request.weights, request.rows, network=request.network)
        # The registry names repositories of the hub as timm does.
        address = row.source if ":" in row.source else f"hf://{row.source}"
        return _open(Request(address, network=request.network, row=row))


class PackagedFile:
    """`"package:FILE"`: a file that comes with keras_se."""

    def matches(self, request: Request) -> bool:
        """Whether the request is a file of the package."""
        return request.weights.startswith(PACKAGED)

    def open(self, request: Request) -> Checkpoint:
        """Reads the file, which must be what was packaged."""
        name = request.weights.removeprefix(PACKAGED)
        path = Path(str(importlib.resources.files("keras_se.weights").joinpath("files", name)))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if request.row and not digest.startswith(request.row.sha256 or ""):
            raise OSError(f"{str(path)!r} is damaged: install keras_se again.")
        return _read(path, request)


class Download:
    """`"hf://owner/name"`, a repository of the Hugging Face hub, or the address of a file."""

    def matches(self, request: Request) -> bool:
        """Whether the request is an address."""
        return request.weights.lower().startswith(("hf://", "https://", "http://"))

    def open(self, request: Request) -> Checkpoint:
        """Downloads the file, if it is not cached, and reads it."""
        from keras_se.weights.hub import Unreachable, architecture, fetch, is_cached

        # What is cached is read without asking the hub anything.
        describe = partial(architecture, request.weights, ask=not is_cached(request.weights))
        hashes = {"sha256": None}
        if row := request.row:
            # Of some published files nobody has written down a hash.
            hashes = {"sha256": row.sha256, "checksum": row.checksum, "unchecked": True}
        try:
            path = fetch(request.weights, **hashes)
        except Unreachable as error:
            raise OSError(f"{error} {_without_download()}") from error
        return _read(path, request, source=request.weights, describe=describe)


class LocalFile:
    """The path of a file; what nothing else matches is refused here."""

    def matches(self, request: Request) -> bool:
        """Whether the request looks like a path, there or not."""
        path = Path(request.weights)
        # A dot also separates a network from its tag, as timm writes both.
        tags = {row.tag for row in request.rows}
        return path.exists() or len(path.parts) > 1 or path.suffix[1:] not in {"", *tags}

    def open(self, request: Request) -> Checkpoint:
        """Reads the file."""
        path = Path(request.weights)
        if path.is_dir():
            raise IsADirectoryError(
                f"`weights` of {request.network} must be a file. {str(path)!r} is a folder."
            )
        if not path.exists():
            raise FileNotFoundError(
                f"`weights` of {request.network}: there is no file {str(path)!r}."
                f"{_hint(request.weights)}"
            )
        return _read(path, request)


# The first that matches opens; another source is another class here.
SOURCES = (PublishedTag(), PackagedFile(), Download(), LocalFile())


def open_weights(
    weights: str | os.PathLike, rows: Sequence[Weights], *, network: str
) -> Checkpoint:
    """Finds, downloads if need be, and reads the checkpoint that `weights` names.

    Args:
        weights: `"imagenet"`, a tag of `rows`, `"hf://owner/name[@revision][/file]"`, the
            `https://` address of a file whose name ends in digits of its sha256, or the path of a
            file.
        rows: The published `Weights` of the network.
        network: The network's name, for messages.

    Returns:
        A `Checkpoint`.

    Raises:
        ValueError: If there is no such checkpoint or the file is not sound.
        OSError: If it can be neither read nor downloaded.
    """
    if not isinstance(weights, str | os.PathLike):
        raise ValueError(
            f"`weights` of {network} must be None, 'imagenet', a tag, 'hf://owner/name' or a path. "
            f"Received: weights={weights!r}"
        )
    request = Request(os.fspath(weights), rows, network)
    if isinstance(weights, os.PathLike):
        return LocalFile().open(request)
    return _open(request)


def _open(request):
    for source in SOURCES:
        if source.matches(request):
            return source.open(request)
    # Raises: it lists the tags that there are.
    return find_weights(request.weights, request.rows, network=request.network)


def _read(path, request, source=None, describe=None):
    """The checkpoint in a file, with the names that the loader knows.

    What is not published is described by its header, or else by `describe`.
    """
    row = request.row
    source = f"{row.tag} of {request.network}" if row else source
    checkpoint = replace(read_checkpoint(path, source=source), row=row)
    if describe and not row and not find_networks(checkpoint.header):
        checkpoint = replace(checkpoint, header=f"{checkpoint.header} {describe()}".strip())
    return translate(checkpoint, request.network, request.weights)


def _without_download():
    """What works without a connection."""
    packaged = [
        f"{network}(weights={row.tag!r})"
        for network, rows in WEIGHTS.items()
        for row in rows
        if row.source.startswith(PACKAGED)
    ]
    return (
        "Without a download, weights=None gives random weights, and trained ones come with "
        f"keras_se for {', '.join(packaged[:MOST_PACKAGED])}."
    )


def _hint(text):
    """What a path that is not there may have been meant for."""
    if re.fullmatch(r"[\w-]+/[\w.-]+", text) and not text.endswith(ENDINGS):
        return f" A repository of the Hugging Face hub is weights='hf://{text}'."
    return ""
