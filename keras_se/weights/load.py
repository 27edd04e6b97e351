"""From what `weights=` says to a loaded model: find the file, read it, load it strictly."""

import hashlib
import importlib.resources
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_se.weights import Weights, find
from keras_se.weights.convert import load_keras_weights, load_state_dict, torch_name

TORCH_ENDINGS = (".pth", ".pth.tar", ".pt", ".bin")
ENDINGS = (".safetensors", *TORCH_ENDINGS, ".weights.h5", ".keras")
# What the `source` of a file that comes with keras_se begins with.
PACKAGED = "package:"
# The kinds of numbers of a .safetensors file, as NumPy calls them.
SAFETENSORS = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U8": "u1",
    "BOOL": "?",
}


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that has been read.

    Attributes:
        source: What to call it in messages.
        values: Mapping from names to NumPy arrays.
        load: `load_state_dict` or `load_keras_weights`, whichever knows these names.
        row: Its row in the registry, if it is published.
    """

    source: str
    values: dict
    load: callable
    row: Weights | None = None

    def classes(self, head):
        """The number of classes of its head, whose layers in a keras_se model `head` names.

        Raises:
            ValueError: If it has no head.
        """
        for name in (f"{torch_name(head[-1])}.bias", f"{head[-1]}/bias"):
            if name in self.values:
                return int(self.values[name].shape[0])
        raise ValueError(f"{self.source} has no head, so `classes` must be given.")

    def load_into(self, model, head):
        """Loads it into `model`, but for a head of other classes; see `load_state_dict`.

        `head` has the names of the head's layers, the classifier last.
        """
        values, classifier = self.values, head[-1]
        if self.row is not None and self.row.unused:
            values = {k: v for k, v in values.items() if not k.startswith(self.row.unused)}
        layers = {layer.name: layer for layer in model.layers}
        if self.row is not None and self.row.classes == 0 and classifier in layers:
            # Published without a head: to `model`, the same as a head of no classes.
            name, features = torch_name(classifier), layers[classifier].kernel.shape[0]
            nothing = {f"{name}.weight": np.empty((0, features)), f"{name}.bias": np.empty(0)}
            values = values | nothing
        self.load(model, values, head=head, source=self.source)


def open_weights(weights, rows, *, network):
    """Finds, downloads if need be, and reads the checkpoint that `weights` names.

    Args:
        weights: `"imagenet"`, a tag of `rows`, `"hf://owner/repo"`, or the path of a file.
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
            f"`weights` of {network} must be None, 'imagenet', a tag, 'hf://owner/repo' or a path. "
            f"Received: weights={weights!r}"
        )
    text = os.fspath(weights)
    if text.startswith("hf://"):
        from keras_se.weights.hub import fetch

        return read_checkpoint(fetch(text), source=text)
    if text == "imagenet" or text in {row.tag for row in rows}:
        row = find(text, rows, network=network)
        return read_checkpoint(_file(row), source=f"{row.tag} of {network}", row=row)
    path = Path(text)
    if path.is_file():
        return read_checkpoint(path)
    if text.endswith(ENDINGS) or isinstance(weights, os.PathLike) or "/" in text:
        raise FileNotFoundError(f"`weights` of {network}: there is no file {text!r}.")
    find(text, rows, network=network)
    raise AssertionError("find raises for every tag that is not in rows")


def _file(row):
    """The path of a published checkpoint, downloaded if need be."""
    from keras_se.weights.hub import fetch

    if not row.source.startswith(PACKAGED):
        return fetch(row.source, sha256=row.sha256)
    name = row.source.removeprefix(PACKAGED)
    path = Path(str(importlib.resources.files("keras_se.weights").joinpath("files", name)))
    if not hashlib.sha256(path.read_bytes()).hexdigest().startswith(row.sha256):
        raise OSError(f"{str(path)!r} is damaged: install keras_se again.")
    return path


def read_checkpoint(path, *, source=None, row=None):
    """Reads a checkpoint file, executing nothing that is in it.

    Args:
        path: Path of a `.safetensors`, `.pth`, `.pth.tar`, `.weights.h5` or `.keras` file.
        source: What to call it in messages; by default its path.
        row: Its row in the registry, if it is published.

    Returns:
        A `Checkpoint`.

    Raises:
        ValueError: If the ending is another, or the file is not sound.
        OSError: If it cannot be read.
    """
    path = Path(path)
    source = source or str(path)
    if path.name.endswith(".safetensors"):
        return Checkpoint(source, _read_safetensors(path), load_state_dict, row)
    if path.name.endswith(TORCH_ENDINGS):
        from keras_se.weights.readers.torch_file import read_torch_file

        return Checkpoint(source, read_torch_file(path), load_state_dict, row)
    if path.name.endswith((".weights.h5", ".keras")):
        from keras_se.weights.readers.keras_file import read_keras_file

        return Checkpoint(source, read_keras_file(path), load_keras_weights, row)
    raise ValueError(f"A weights file must end in {', '.join(ENDINGS)}. Received: {str(path)!r}")


def _read_safetensors(path):
    from safetensors import SafetensorError, deserialize

    content = path.read_bytes()
    try:
        tensors = sorted(deserialize(content), key=lambda named: named[0])
        return {name: _array(**one) for name, one in tensors}
    except (SafetensorError, ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{str(path)!r} is not a sound .safetensors file: {error}") from error


def _array(dtype, shape, data):
    """One tensor of a .safetensors file; bfloat16, which NumPy does not have, as float32."""
    if dtype not in SAFETENSORS:
        raise ValueError(f"it has a tensor of dtype {dtype}")
    array = np.frombuffer(data, SAFETENSORS[dtype]).reshape(shape)
    if dtype == "BF16":
        array = (array.astype(np.uint32) << 16).view(np.float32)
    return array
