"""Reads `.safetensors` files."""

from pathlib import Path

import numpy as np

from keras_se.weights.readers import bfloat16

ENDINGS = (".safetensors",)
KERAS_NAMES = False
# Texts of the header that name a network; others may speak of any.
NAMING = ("architecture", "keras_se", "model", "model_name", "network")
# The kinds of numbers, as NumPy calls them.
DTYPES = {
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


def read(path: Path) -> dict[str, np.ndarray]:
    """Reads the tensors of a `.safetensors` file, which holds nothing that could be run.

    Args:
        path: Path of the file.

    Returns:
        Arrays by name; bfloat16 is widened to float32.

    Raises:
        ValueError: If the file is not sound.
        OSError: If it cannot be read.
    """
    from safetensors import SafetensorError, deserialize

    content = path.read_bytes()
    try:
        tensors = sorted(deserialize(content), key=lambda named: named[0])
        return {name: _array(**tensor) for name, tensor in tensors}
    except (SafetensorError, ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{str(path)!r} is not a sound .safetensors file: {error}") from error


def header(path: Path) -> str:
    """Reads what the header of a `.safetensors` file says of the network that it is for.

    Args:
        path: Path of a file that `read` reads.

    Returns:
        The texts of `NAMING` in one, or an empty one if there are none.
    """
    from safetensors import safe_open

    with safe_open(path, "numpy") as file:
        metadata = file.metadata() or {}
    return " ".join(metadata[key] for key in NAMING if key in metadata)


def _array(dtype, shape, data):
    if dtype not in DTYPES:
        raise ValueError(f"it has a tensor of dtype {dtype}")
    array = np.frombuffer(data, DTYPES[dtype]).reshape(shape)
    return bfloat16.widen(array) if dtype == "BF16" else array
