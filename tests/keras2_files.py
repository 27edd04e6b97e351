"""Writes files of weights as Keras 2 did, with weights made from their names."""

import zipfile
import zlib

import h5py
import numpy as np
from generated import SEED

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


def weight(name, shape, kind):
    """A weight that depends only on its name, as `generated.tensor` has it for PyTorch."""
    random = np.random.Generator(np.random.PCG64(zlib.crc32(f"{SEED}:{name}".encode())))
    if kind == "moving_variance":
        value = random.uniform(0.5, 1.5, shape)
    elif kind in ("moving_mean", "beta", "bias"):
        value = 0.1 * random.standard_normal(shape)
    elif kind in ("gamma", "small_gamma"):
        value = random.uniform(*((0.8, 1.2) if kind == "gamma" else (0.1, 0.3)), shape)
    else:
        scale = np.sqrt(2 / np.prod(shape[:-1])) * (0.2 if kind == "small_kernel" else 1)
        value = scale * random.standard_normal(shape)
    return value.astype("float32")


def names(golden):
    """The layer, name, shape and kind of every weight; `*` and a number stand for the groups."""
    for layer, weights in golden["groups"]:
        for name, shape, kind, *groups in weights:
            numbers = range(1, groups[0] + 1) if groups else ("",)
            for number in numbers:
                yield layer, name.replace("*", str(number)), shape, kind


def layers(golden, make=weight):
    """Arrays by the names of layers and weights, as `write_keras2` takes them."""
    result = {layer: {} for layer, _ in golden["groups"]}
    for layer, name, shape, kind in names(golden):
        result[layer][name] = make(name, shape, kind)
    return result
