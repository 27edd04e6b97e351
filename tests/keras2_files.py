"""Writes files of weights as Keras 2 did."""

import zipfile

import h5py
import numpy as np

# HDF5 keeps attributes of up to so many bytes with an object.
LIMIT = 64512


def write_keras2(path, layers, limit=LIMIT):
    """Writes arrays by the names of layers and weights, in an archive if it is a `.zip`."""
    if path.suffix == ".zip":
        inner = write_keras2(path.with_suffix(""), layers, limit)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(inner, inner.name)
        inner.unlink()
        return path
    with h5py.File(path, "w") as file:
        _write_names(file, "layer_names", layers, limit)
        for layer, weights in layers.items():
            group = file.create_group(layer)
            _write_names(group, "weight_names", weights, limit)
            for name, value in weights.items():
                group.create_dataset(name, data=value)
    return path


def _write_names(group, key, names, limit):
    """A list of names, divided until each part is small enough."""
    names = np.array([name.encode() for name in names])
    parts = [names]
    while max(part.nbytes for part in parts) > limit:
        parts = np.array_split(names, len(parts) + 1)
    for index, part in enumerate(parts):
        # Keras gives h5py a list, which makes texts of no fixed size of it.
        group.attrs[key if len(parts) == 1 else f"{key}{index}"] = part.tolist()
