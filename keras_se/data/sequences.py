"""Sequences of millions of elements, each of which is made when it is asked for."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np


class Subset(Sequence):
    """Takes some elements of a sequence, by their indices.

    Args:
        elements: The sequence.
        indices: Integer array, which of them.

    Example:
    >>> list(Subset("abcd", np.array([3, 0])))
    ['d', 'a']
    """

    def __init__(self, elements: Sequence, indices: Sequence):
        self._elements, self._indices = elements, np.asarray(indices, "int64")

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return Subset(self._elements, self._indices[index])
        return self._elements[self._indices[index]]


class ImagePaths(Sequence):
    """Keeps the paths of the files of a folder as bytes, all as long as the longest name.

    Millions of `pathlib.Path` would take many times the memory.

    Args:
        folder: The folder.
        names: The files in it, as `encode_names` gives them.

    Example:
    >>> paths = ImagePaths(Path("photos"), encode_names(["cat/1.jpg", "dog/1.jpg"]))
    >>> paths[1].as_posix()
    'photos/dog/1.jpg'
    """

    def __init__(self, folder: Path, names: np.ndarray):
        self._folder, self._names = folder, names

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int | slice) -> Path | Sequence:
        if isinstance(index, slice):
            return ImagePaths(self._folder, self._names[index])
        return self._folder / os.fsdecode(self._names[index])


def encode_names(names: Iterable[str]) -> np.ndarray:
    """Converts names of files to an array of bytes, those included that are no text.

    Args:
        names: The names.

    Returns:
        Array `(name,)` of bytes.

    Example:
    >>> encode_names(["1.jpg", "10.jpg"])
    array([b'1.jpg', b'10.jpg'], dtype='|S6')
    """
    return np.array([os.fsencode(name) for name in names], "S")
