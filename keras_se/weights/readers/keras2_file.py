"""Reads the arrays of files that Keras 2 wrote by name, without building anything.

Such a file has a group for each layer, and lists of the layers' and their weights' names as
attributes; a list that is too long for one attribute goes on in another.
"""

import io
import zipfile
from itertools import groupby
from pathlib import Path

import numpy as np

from keras_se.weights.readers.hdf5 import MAX_DEPTH, Objects, longest_text, open_hdf5

ENDINGS = (".h5", ".hdf5", ".h5.zip", ".hdf5.zip")
KERAS_NAMES = True
# Where a file of a whole model has what a file of weights has at the top.
WEIGHTS = "model_weights"
# How much larger than an archive the file in it may be, or how large at any rate: weights hardly
# shrink.
MOST_INFLATION, MOST_BYTES = 20, 16 * 2**20
# A list of names in a file of a whole model could be of the text that describes the model.
MOST_TEXT_BYTES = 2**30
RENAMED = {"depthwise_kernel": "kernel"}


def read(path: Path) -> dict[str, np.ndarray]:
    """Reads the arrays of a Keras 2 `.h5` file, or of the one such file in a `.zip`.

    Args:
        path: Path of the file, of weights or of a whole model.

    Returns:
        Arrays by the layer's name and the variable's, such as `"conv1/kernel"`. Of a layer with
        others in it they are the names of the weights, such as `"features/stage1/conv/kernel"`, in
        which a scope that is repeated is written once.

    Raises:
        ValueError: If the file is not sound or another program wrote it.
        OSError: If it cannot be read.
    """
    content = path.read_bytes()
    try:
        if path.suffix == ".zip":
            content = _unzipped(content)
        with open_hdf5(content) as file:
            return _Arrays(file, content).values
    except MemoryError:
        raise
    except Exception as error:  # whatever zipfile and h5py raise for a damaged file
        raise ValueError(
            f"{str(path)!r} is not a sound file of Keras 2: {error}. Keras 3 writes the weights of "
            "a model to a file by model.save_weights('x.weights.h5')."
        ) from error


def _unzipped(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        (member,) = archive.infolist()
        if member.file_size > max(MOST_INFLATION * len(content), MOST_BYTES):
            raise ValueError(f"{member.filename!r} in it is not what weights are")
        return archive.read(member)


class _Arrays(Objects):
    """The arrays of an open file by name.

    Attributes:
        values: Arrays by name.
    """

    def __init__(self, file, content):
        super().__init__(len(content))
        self.values, self._arrays, self._longest = {}, {}, longest_text(content)
        root = self.group(file, WEIGHTS) if WEIGHTS in file else file
        self._collect(root, "", 0)
        for layer in self._names(root, "layer_names"):
            self._add_layer(layer, root)
        if self._arrays:
            raise ValueError(f"no list in it names {min(self._arrays)!r}")

    def _collect(self, group, prefix, depth):
        """Reads the arrays below `group`."""
        import h5py

        if depth > MAX_DEPTH:
            raise ValueError(f"more than {MAX_DEPTH} groups in it lie in one another")
        for key in group:
            if group.get(key, getclass=True, getlink=True) is not h5py.HardLink:
                raise ValueError(f"{key!r} in it is a link")
            if group.get(key, getclass=True) is h5py.Dataset:
                self._arrays[f"{prefix}{key}"] = self.array(group, key)
            else:
                self._collect(self.group(group, key), f"{prefix}{key}/", depth + 1)

    def _add_layer(self, layer, root):
        """Names the arrays of a layer."""
        if layer not in root:
            raise ValueError(f"it has no layer {layer!r}, which its list names")
        paths = self._names(root[layer], "weight_names")
        variables = [path.rpartition("/")[2].partition(":")[0] for path in paths]
        is_one = len(set(variables)) == len(variables)
        for path, variable in zip(paths, variables, strict=True):
            variable = RENAMED.get(variable, variable)
            name = f"{layer}/{variable}" if is_one else f"{_scope(path)}/{variable}"
            if name in self.values:
                raise ValueError(f"it has two arrays for {name!r}")
            if f"{layer}/{path}" not in self._arrays:
                raise ValueError(f"it has no array {path!r}, which the list of {layer!r} names")
            self.values[name] = self._arrays.pop(f"{layer}/{path}")

    def _names(self, group, key):
        """A list of names, which may be divided: `layer_names0`, `layer_names1` and so on."""
        if key in group.attrs:
            return self._texts(group, key)
        names = []
        while f"{key}{len(names)}" in group.attrs:
            names.append(self._texts(group, f"{key}{len(names)}"))
        if not names:
            raise ValueError(f"{group.name!r} in it has no {key!r}")
        return [name for part in names for name in part]

    def _texts(self, group, key):
        attribute = group.attrs.get_id(key)
        if attribute.shape == (0,):
            return []
        kind = attribute.dtype.kind
        # Texts of no fixed size lie elsewhere, and a long one could be in a list many times.
        size = self._longest if kind == "O" else attribute.dtype.itemsize
        is_list = kind in "OS" and len(attribute.shape) == 1
        if not is_list or attribute.shape[0] * size > MOST_TEXT_BYTES:
            raise ValueError(f"{key!r} of {group.name!r} is no list of names")
        names = group.attrs[key].tolist()
        return [name.decode("utf-8") if isinstance(name, bytes) else name for name in names]


def _scope(path):
    """The scope of a weight: older versions of Keras write some layers' names twice."""
    return "/".join(name for name, _ in groupby(path.split("/")[:-1]))
