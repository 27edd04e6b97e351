"""Reads the arrays of Keras's own files by name, without building anything they describe."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np

from keras_se.weights.readers.hdf5 import MAX_DEPTH, Objects, open_hdf5, text_attribute

ENDINGS = (".weights.h5", ".keras")
KERAS_NAMES = True
# Keras numbers the variables of a layer; their count tells which layer it is.
VARIABLES = {
    1: ("kernel",),
    2: ("kernel", "bias"),
    4: ("gamma", "beta", "moving_mean", "moving_variance"),
}
MEMBER, CONFIG = "model.weights.h5", "config.json"
# The config of a deep network has about a megabyte.
MAX_CONFIG_BYTES = 2**26


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
    content = path.read_bytes()
    try:
        if path.suffix == ".keras":
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                member = archive.getinfo(MEMBER)
                if member.compress_type != zipfile.ZIP_STORED:
                    raise ValueError(f"{MEMBER} in it is compressed, which Keras never does")
                content = archive.read(member)
        with open_hdf5(content) as file:
            return _Arrays(file, len(content)).values
    except MemoryError:
        raise
    except Exception as error:  # whatever zipfile and h5py raise for a damaged file
        raise ValueError(f"{str(path)!r} is not a sound Keras file: {error}") from error


def header(path: Path) -> str:
    """Reads the name of the model in a `.keras` file.

    Args:
        path: Path of a file that `read` reads.

    Returns:
        The name, or an empty text if the file has none.

    Raises:
        ValueError: If the file's config is not sound.
    """
    if path.suffix != ".keras":
        return ""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo(CONFIG).file_size > MAX_CONFIG_BYTES:
                raise ValueError(f"{CONFIG} in it has more than {MAX_CONFIG_BYTES} bytes")
            name = json.loads(archive.read(CONFIG))["config"]["name"]
    except Exception as error:  # whatever zipfile and json raise for a damaged file
        raise ValueError(f"{str(path)!r} is not a sound Keras file: {error}") from error
    return name if isinstance(name, str) else ""


class _Arrays(Objects):
    """The arrays of an open file by Keras's paths.

    Attributes:
        values: Arrays by path.
    """

    def __init__(self, file, file_bytes):
        super().__init__(file_bytes)
        self.values = {}
        self._collect(self.group(file, "layers"), "", 0)

    def _collect(self, group, prefix, depth):
        """Adds the arrays below `group`."""
        if depth > MAX_DEPTH:
            raise ValueError(f"more than {MAX_DEPTH} groups in it lie in one another")
        for key in group:
            if key in ("vars", "seed_generator"):
                continue
            inner = self.group(group, key)
            variables = self.group(inner, "vars") if "vars" in inner else None
            name = key if variables is None else text_attribute(variables, "name", key)
            if variables is not None and len(variables):
                if len(variables) not in VARIABLES:
                    raise ValueError(f"layer {name!r} has {len(variables)} variables")
                for index, variable in enumerate(VARIABLES[len(variables)]):
                    array = self.array(variables, str(index))
                    self.values[f"{prefix}{name}/{variable}"] = array
            self._collect(inner, f"{prefix}{name}/", depth + 1)
