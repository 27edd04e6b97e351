"""Readers of checkpoint files, one module for each file format.

A reader is a module with `ENDINGS`, the endings of its files' names; `KERAS_NAMES`, whether the
arrays have Keras's names and layouts or PyTorch's; and `read(path)`, which gives arrays by name,
raises `ValueError` for a file that is not sound, `MemoryError` for one that is too large, and runs
nothing that is in it. If its files may say what they are for, `header(path)` gives what they say.
"""

from pathlib import Path
from types import ModuleType

from keras_se.weights.readers import (
    keras2_file,
    keras_file,
    numpy_pickle,
    safetensors_file,
    torch_file,
)

# Of two that know an ending, the first reads it.
READERS = (safetensors_file, torch_file, keras_file, keras2_file, numpy_pickle)
ENDINGS = tuple(ending for reader in READERS for ending in reader.ENDINGS)


def find_reader(path: Path) -> ModuleType:
    """Finds the reader of a file by the ending of its name.

    Args:
        path: Path of the file.

    Returns:
        A module of `READERS`.

    Raises:
        ValueError: If no reader knows the ending.
    """
    for reader in READERS:
        if path.name.endswith(reader.ENDINGS):
            return reader
    raise ValueError(f"A weights file must end in {', '.join(ENDINGS)}. Received: {str(path)!r}.")
