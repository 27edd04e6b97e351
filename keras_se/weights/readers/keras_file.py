"""Reads the arrays of Keras's own files by name, without building anything they describe."""

import io
import math
import re
import zipfile
from pathlib import Path

import numpy as np

from keras_se.weights.readers import bfloat16

ENDINGS = (".weights.h5", ".keras")
KERAS_NAMES = True
# Keras numbers the variables of a layer; their count tells which layer it is.
VARIABLES = {
    1: ("kernel",),
    2: ("kernel", "bias"),
    4: ("gamma", "beta", "moving_mean", "moving_variance"),
}
MEMBER = "model.weights.h5"
# The largest networks have a few thousand layers, and models in models a few levels.
MAX_OBJECTS, MAX_DEPTH = 20_000, 50


def read(path: Path) -> dict[str, np.ndarray]:
    """Reads the arrays of a `.weights.h5` or `.keras` file.

    Keras's own loader goes by the order of the layers, so it would load one network into another
    of the same shapes. This one gives the names that the file also records.

    Args:
        path: Path of the file, of a model of `keras_se.applications`.

    Returns:
        Arrays by Keras's paths, such as `"layer1_0_se/fc1/kernel"`; bfloat16 is widened to
        float32.

    Raises:
        ValueError: If the file is not sound, or its layers are of other kinds.
        OSError: If it cannot be read.
    """
    import h5py

    content = path.read_bytes()
    try:
        if path.suffix == ".keras":
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                member = archive.getinfo(MEMBER)
                if member.compress_type != zipfile.ZIP_STORED:
                    raise ValueError(f"{MEMBER} in it is compressed, which Keras never does")
                content = archive.read(member)
        _check_heaps(content)
        with h5py.File(io.BytesIO(content), "r") as file:
            return _Arrays(file, len(content)).values
    except MemoryError:
        raise
    except Exception as error:  # whatever zipfile and h5py raise for a damaged file
        raise ValueError(f"{str(path)!r} is not a sound Keras file: {error}") from error


def _check_heaps(content):
    """Refuses a heap of texts with free space of no size: HDF5 would never get beyond it."""
    for heap in re.finditer(rb"GCOL\x01\0\0\0", content):
        size = int.from_bytes(content[heap.end() : heap.end() + 8], "little")
        end, position = min(heap.start() + size, len(content)), heap.start() + 16
        # Each entry has a header of 16 bytes: its number, 0 for free space, and its length.
        while position + 16 <= end:
            is_text = any(content[position : position + 2])
            length = int.from_bytes(content[position + 8 : position + 16], "little")
            if not is_text and length < 16:
                raise ValueError("a heap of texts in it is damaged")
            position += 16 + -(-length // 8) * 8 if is_text else length


class _Arrays:
    """The arrays of an open file by Keras's paths, each object of the file visited once.

    Attributes:
        values: Arrays by path.
    """

    def __init__(self, file, file_bytes):
        self.values = {}
        self._addresses, self._bytes_left = set(), file_bytes
        self._collect(self._group(file, "layers"), "", 0)

    def _collect(self, group, prefix, depth):
        """Adds the arrays below `group`."""
        if depth > MAX_DEPTH:
            raise ValueError(f"more than {MAX_DEPTH} groups in it lie in one another")
        for key in group:
            if key in ("vars", "seed_generator"):
                continue
            inner = self._group(group, key)
            variables = self._group(inner, "vars") if "vars" in inner else None
            name = key if variables is None else _text(variables, "name", key)
            if variables is not None and len(variables):
                if len(variables) not in VARIABLES:
                    raise ValueError(f"layer {name!r} has {len(variables)} variables")
                for index, variable in enumerate(VARIABLES[len(variables)]):
                    array = self._array(variables, str(index))
                    self.values[f"{prefix}{name}/{variable}"] = array
            self._collect(inner, f"{prefix}{name}/", depth + 1)

    def _group(self, group, key):
        """A group within the file: a link could lead to any other file of the machine."""
        import h5py

        if key not in group:
            raise ValueError(f"it has no group {key!r}, as a file that Keras 3 writes has")
        if not isinstance(group.get(key, getlink=True), h5py.HardLink):
            raise ValueError(f"{key!r} in it is a link")
        if not isinstance(group[key], h5py.Group):
            raise ValueError(f"{key!r} in it is not a group")
        return self._visit(group[key])

    def _array(self, group, key):
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
        if _text(dataset, "dtype") == "bfloat16":
            array = bfloat16.widen(array.view(np.uint16))
        return array

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


def _text(found, key, default=None):
    """An attribute that is one text: a list could hold a long text many times over."""
    if key not in found.attrs:
        return default
    if found.attrs.get_id(key).shape != ():
        raise ValueError(f"attribute {key!r} of {found.name!r} is no text")
    return found.attrs[key]
