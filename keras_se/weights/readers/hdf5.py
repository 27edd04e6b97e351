"""Reads HDF5 files, each object once, and nothing that is not in the file itself.

A file of a few bytes can describe arrays of any size, and have the same object under many names.
"""

import contextlib
import io
import math
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_se.weights.readers import bfloat16

if TYPE_CHECKING:
    import h5py

# The largest networks have a few thousand layers, and models in models a few levels.
MAX_OBJECTS, MAX_DEPTH = 20_000, 50


@contextlib.contextmanager
def open_hdf5(content: bytes) -> Iterator["h5py.File"]:
    """Opens the content of a file; raises whatever h5py does if it is none."""
    import h5py

    longest_text(content)
    with h5py.File(io.BytesIO(content), "r") as file:
        yield file


def longest_text(content: bytes) -> int:
    """Returns the bytes of the longest text that is of no fixed size.

    Raises:
        ValueError: If a heap of texts has free space of no size: HDF5 would never get beyond it.
    """
    longest = 0
    for heap in re.finditer(rb"GCOL\x01\0\0\0", content):
        size = int.from_bytes(content[heap.end() : heap.end() + 8], "little")
        end, position = min(heap.start() + size, len(content)), heap.start() + 16
        # Each entry has a header of 16 bytes: its number, 0 for free space, and its length.
        while position + 16 <= end:
            is_text = any(content[position : position + 2])
            length = int.from_bytes(content[position + 8 : position + 16], "little")
            if not is_text and length < 16:
                raise ValueError("a heap of texts in it is damaged")
            longest = max(longest, length) if is_text else longest
            position += 16 + -(-length // 8) * 8 if is_text else length
    return longest


class Objects:
    """The groups and arrays of an open file, each visited once.

    Args:
        file_bytes: The size of the file: its arrays cannot be larger.
    """

    def __init__(self, file_bytes: int):
        self._addresses, self._bytes_left = set(), file_bytes

    def group(self, group: "h5py.Group", key: str) -> "h5py.Group":
        """Returns a group within the file: a link could lead to any other file of the machine."""
        import h5py

        if key not in group:
            raise ValueError(f"it has no group {key!r}, which files of Keras 3 have")
        if not isinstance(group.get(key, getlink=True), h5py.HardLink):
            raise ValueError(f"{key!r} in it is a link")
        if not isinstance(group[key], h5py.Group):
            raise ValueError(f"{key!r} in it is not a group")
        return self._visit(group[key])

    def array(self, group: "h5py.Group", key: str) -> np.ndarray:
        """Reads an array that is stored in the file as it is."""
        import h5py

        if not isinstance(group.get(key, getlink=True), h5py.HardLink):
            raise ValueError(f"variable {key!r} of {group.name!r} is missing or a link")
        dataset = self._visit(group[key])
        shown = f"variable {key!r} of {group.name!r}"
        # Unpacking has no limit in HDF5, and may load a plugin: code that somebody put there.
        if dataset.id.get_create_plist().get_nfilters():
            raise ValueError(f"{shown} is compressed, which Keras never does")
        if dataset.dtype.hasobject:
            raise ValueError(f"{shown} holds no numbers")
        # HDF5 reads whole chunks, which may be larger than what they hold.
        chunk = math.prod(dataset.chunks or ()) * dataset.dtype.itemsize
        self._bytes_left -= max(dataset.nbytes, chunk)
        if dataset.external or dataset.is_virtual or self._bytes_left < 0:
            raise ValueError(f"{shown} is not stored in the file")
        array = dataset[()]
        return bfloat16.widen(array.view(np.uint16)) if _is_bfloat16(dataset) else array

    def _visit(self, found):
        """Refuses an object with several names: the paths to others below it could double."""
        import h5py

        if len(self._addresses) >= MAX_OBJECTS:
            raise ValueError(f"it has more than {MAX_OBJECTS} groups and arrays")
        address = h5py.h5o.get_info(found.id).addr
        if address in self._addresses:
            raise ValueError(f"{found.name!r} in it is there under another name as well")
        self._addresses.add(address)
        return found


def _is_bfloat16(dataset):
    return text_attribute(dataset, "dtype") == "bfloat16"


def text_attribute(found: Any, key: str, default: str | None = None) -> str | None:
    """Returns an attribute that is one text: a list could hold a long text many times over."""
    if key not in found.attrs:
        return default
    if found.attrs.get_id(key).shape != ():
        raise ValueError(f"attribute {key!r} of {found.name!r} is no text")
    return found.attrs[key]
