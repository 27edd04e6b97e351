"""A checkpoint that has been read from a file."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from keras_se.weights.convert import torch_name
from keras_se.weights.load import load_keras_weights, load_state_dict
from keras_se.weights.readers import find_reader
from keras_se.weights.registry import Weights

# The most classes that are taken from a file, since a damaged one may say anything.
MOST_CLASSES = 100_000


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that has been read.

    Attributes:
        source: What to call it in messages.
        values: Arrays by name.
        keras_names: Whether the names and layouts are Keras's rather than PyTorch's.
        row: Its row in the registry, if it is published.
        header: What the header of its file and the `config.json` beside it say of it, if anything.
    """

    source: str
    values: dict[str, np.ndarray]
    keras_names: bool = False
    row: Weights | None = None
    header: str = ""

    def classes(self, head: Sequence[str]) -> int:
        """Counts the classes of the head.

        Args:
            head: Names of the head's layers in a keras_se model, the classifier last.

        Returns:
            The number of classes.

        Raises:
            ValueError: If there is no head, or what is there is none of `MOST_CLASSES` or fewer.
        """
        layer, kernel, axis = f"{torch_name(head[-1])}.", "weight", 0
        if self.keras_names:
            layer, kernel, axis = f"{head[-1]}/", "kernel", -1
        if f"{layer}bias" not in self.values:
            raise ValueError(
                f"{self.source} has no head: use include_top=False for the trunk, or set `classes` "
                "for a new head."
            )
        shapes = [np.shape(self.values.get(layer + name)) for name in (kernel, "bias")]
        counts = {shapes[0][axis] if len(shapes[0]) > 1 else None, *shapes[1]}
        if len(shapes[1]) != 1 or len(counts) != 1 or not 0 < shapes[1][0] <= MOST_CLASSES:
            raise ValueError(
                f"{self.source} has no head of 1 to {MOST_CLASSES} classes, so `classes` must be "
                f"set: the shapes of its kernel and bias are {shapes[0]} and {shapes[1]}."
            )
        return shapes[1][0]

    def load_into(self, model: keras.Model, head: Sequence[str] | None = None) -> None:
        """Loads the checkpoint into a model, but for a head of other classes.

        Args:
            model: A model of `keras_se.applications`, or any whose layers are named as they are.
            head: Names of the head's layers, the classifier last; see `load_state_dict`.

        Raises:
            ValueError: If it does not fit; `model` is unchanged.
        """
        values = self.values
        if self.row is not None and self.row.unused:
            values = {k: v for k, v in values.items() if not k.startswith(self.row.unused)}
        if head is not None and self.row is not None and self.row.classes == 0:
            values = values | _empty_head(model, head[-1])
        load = load_keras_weights if self.keras_names else load_state_dict
        load(model, values, head=head, source=self.source)


def read_checkpoint(path: str | os.PathLike, *, source: str | None = None) -> Checkpoint:
    """Reads a checkpoint file, executing nothing that is in it.

    Args:
        path: Path of a file with one of `readers.ENDINGS`.
        source: What to call it in messages; by default its path.

    Returns:
        A `Checkpoint`.

    Raises:
        ValueError: If the ending is another, the file is not sound or its arrays do not fit in
            memory.
        OSError: If it cannot be read.
    """
    path = Path(path)
    reader = find_reader(path)
    if path.exists() and not path.is_file():
        # A pipe would never end.
        raise OSError(f"{path}: not a regular file")
    try:
        values = reader.read(path)
    except MemoryError as error:
        raise ValueError(f"The arrays of {str(path)!r} do not fit in memory.") from error
    header = reader.header(path) if hasattr(reader, "header") else ""
    return Checkpoint(source or str(path), values, reader.KERAS_NAMES, header=header)


def _empty_head(model, classifier):
    """What a checkpoint that was published without a head lacks: to a model, one of no classes."""
    layers = {layer.name: layer for layer in model.layers}
    if classifier not in layers:
        return {}
    name, features = torch_name(classifier), layers[classifier].kernel.shape[0]
    return {f"{name}.weight": np.empty((0, features)), f"{name}.bias": np.empty(0)}
