"""Reads pickles of NumPy arrays, such as PaddlePaddle's `.pdparams`, running none of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from keras_se.weights.readers import torch_file
from keras_se.weights.readers.pickle_machine import (
    MAX_DIMENSIONS,
    MAX_NUMBER,
    PickleMachine,
    describe,
    ordered_dict,
    require,
)

ENDINGS = (".pdparams", ".pkl")
KERAS_NAMES = False
# What PaddlePaddle writes beside the arrays: the names that its graph gives to them.
IGNORED = "StructuredToParameterName@@"
_KINDS = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")
# Of the file's size: bytes that are written once may be those of several arrays.
_MAX_SHARING = 4


def read(path: Path) -> dict[str, np.ndarray]:
    """Reads the arrays of a `.pdparams` file or of a `.pkl` file, running none of it.

    Args:
        path: Path of a pickle of one dict from names to NumPy arrays, by Python 2 or 3; a `.pkl`
            file may also be PyTorch's.

    Returns:
        Arrays by name, of native byte order.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is damaged or holds anything else than arrays.
    """
    with path.open("rb") as file:
        if torch_file.looks_like_torch(file.read(512)):
            return torch_file.read(path)
        file.seek(0)
        try:
            return _arrays(_NumPyPickle(_MAX_SHARING * path.stat().st_size).run(file))
        except (ValueError, OverflowError) as error:
            raise ValueError(f"{path}: not a sound pickle of arrays: {error}") from error


class _Kind:
    """The kind of an array's numbers; the pickle sets the byte order afterwards."""

    def __init__(self, code, *_flags):
        require(type(code) is str and code in _KINDS, f"it has numbers of kind {describe(code)}")
        self.dtype = np.dtype(code)


class _Array:
    """An array; the pickle sets the rest afterwards."""

    def __init__(self, kind, *_shape_and_code):
        require(kind == "numpy.ndarray", f"it makes a {describe(kind)}")
        self.content: _Content | None = None


class _Content(NamedTuple):
    """What is set: the shape, the kind, whether it is in Fortran's order, and the bytes."""

    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool
    data: bytes

    def value(self) -> np.ndarray:
        order = "F" if self.fortran else "C"
        array = np.frombuffer(self.data, self.dtype).reshape(self.shape, order=order)
        return np.array(array, self.dtype.newbyteorder("="), order="C")


class _NumPyPickle(PickleMachine):
    """Evaluates one pickle to plain containers, numbers, text and arrays."""

    rebuilders: ClassVar[dict[str, Callable[..., Any]]] = {
        "collections.OrderedDict": ordered_dict,
        "numpy.dtype": _Kind,
        "numpy.core.multiarray._reconstruct": _Array,
        "numpy._core.multiarray._reconstruct": _Array,
        # How Python 3 writes bytes for Python 2: as text, each letter one byte.
        "_codecs.encode": lambda text, _encoding: text,
    }

    def __init__(self, bytes_left):
        super().__init__()
        self.bytes_left = bytes_left

    def knows(self, symbol: str) -> bool:
        """Whether the pickle may refer to a name."""
        return super().knows(symbol) or symbol == "numpy.ndarray"

    def build(self) -> None:
        """Sets the content of an array or the byte order of its kind."""
        state, target = self.stack.pop(), self.stack[-1]
        if type(target) is _Kind:
            order = state[1] if type(state) is tuple and len(state) > 1 else None
            require(order in ("<", ">", "|", "="), "damaged pickle: a kind has no byte order")
            target.dtype = target.dtype.newbyteorder(order)
        elif type(target) is _Array:
            require(type(state) is tuple and len(state) == 5, "damaged pickle: an array is empty")
            target.content = _checked(*state[1:])
            # The bytes of one array could be those of a million others.
            self.bytes_left -= len(target.content.data)
            require(self.bytes_left >= 0, "too many arrays share the same bytes")
        else:
            self.push(state)
            super().build()


def _checked(shape, kind, fortran, data):
    """The content of an array, if its bytes are as many as its shape says."""
    fit = type(shape) is tuple and len(shape) <= MAX_DIMENSIONS and type(kind) is _Kind
    fit = fit and all(type(n) is int and 0 <= n <= MAX_NUMBER for n in shape)
    fit = fit and type(data) in (str, bytes)
    require(fit, "damaged pickle: an array lacks its shape, kind or bytes")
    size = math.prod(shape) * kind.dtype.itemsize
    require(size == len(data), f"an array has {len(data)} bytes, where {size} are wanted")
    data = data.encode("latin-1") if type(data) is str else data
    return _Content(shape, kind.dtype, bool(fortran), data)


def _arrays(value):
    """The arrays of a dict from names to arrays."""
    require(type(value) is dict, f"it holds {describe(value)}, not a dict of arrays")
    arrays = {}
    for key, array in value.items():
        if key == IGNORED:
            continue
        fit = type(key) is str and type(array) is _Array and array.content is not None
        require(fit, f"entry {describe(key)} is {describe(array)}, not an array")
        # Once: one array under many names would be copied for each.
        arrays[key], array.content = array.content.value(), None
    require(arrays, "it has no arrays")
    return arrays
