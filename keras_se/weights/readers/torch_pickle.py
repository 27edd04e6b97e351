"""Evaluates the pickle of a PyTorch checkpoint, whose tensors lie outside of it."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import numpy as np

from keras_se.weights.readers.pickle_machine import (
    MAX_DIMENSIONS,
    MAX_NUMBER,
    Global,
    PickleMachine,
    describe,
    ordered_dict,
    require,
)

# Pickles of large networks with optimizer state stay below a megabyte.
MAX_PICKLE_BYTES = 16 * 2**20
# How the bytes of a storage are read: bool and bfloat16 are converted afterwards.
_FLOAT_TYPES = {"Double": "f8", "Float": "f4", "Half": "f2", "BFloat16": "u2"}
_WHOLE_TYPES = {"Long": "i8", "Int": "i4", "Short": "i2", "Char": "i1", "Byte": "u1", "Bool": "u1"}
_TYPES = _FLOAT_TYPES | _WHOLE_TYPES
# A storage type is group 1; a dtype may stand in training settings, and is kept as a mere name.
_TYPE_NAME = re.compile(rf"torch\.(?:({'|'.join(_TYPES)})Storage|bool|b?float\d+|u?int\d+)")


class Storage(NamedTuple):
    """A run of `count` elements from `start` inside the stored buffer `key` of `total` elements."""

    key: str
    kind: str
    total: int
    start: int
    count: int

    def dtype(self) -> np.dtype:
        """The kind of its numbers, bool and bfloat16 as integers."""
        return np.dtype(_TYPES[self.kind])

    def total_bytes(self) -> int:
        """The length of the stored buffer."""
        return self.total * self.dtype().itemsize


class Tensor(NamedTuple):
    """A strided view of a storage; offset and stride count elements."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


def evaluate(stream: io.BytesIO) -> tuple[Any, dict[str, Storage]]:
    """Evaluates the pickle at the position of a stream and leaves the stream behind it.

    Args:
        stream: The pickle, and what follows it.

    Returns:
        The value, made of plain containers, numbers, text and `Tensor`, and the storages by key.

    Raises:
        ValueError: If the pickle is damaged or needs more than a state dict does.
    """
    machine = _TorchPickle()
    return machine.run(stream), machine.storages


def _rebuild_tensor(storage, offset, size, stride, *rest) -> Tensor:
    """Checks the types of a tensor's description; its bounds are checked when it is read."""
    # After the gradient flag and hooks may come that values are lazily negated or conjugated.
    fit = len(rest) in (0, 2) or (len(rest) == 3 and not rest[2])
    require(fit, "a tensor has metadata that is not supported")
    fit = type(storage) is Storage and type(size) is type(stride) is tuple
    fit = fit and len(size) == len(stride) <= MAX_DIMENSIONS
    fit = fit and all(type(n) is int and abs(n) <= MAX_NUMBER for n in (offset, *size, *stride))
    require(fit, "damaged pickle: a tensor lacks its storage, offset, size or stride")
    return Tensor(storage, offset, size, stride)


class _TorchPickle(PickleMachine):
    """Evaluates one pickle to plain containers, numbers, text, storages and tensors."""

    rebuilders: ClassVar[dict[str, Callable[..., Any]]] = {
        "collections.OrderedDict": ordered_dict,
        "torch._utils._rebuild_tensor": _rebuild_tensor,
        "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
        "torch._utils._rebuild_parameter": lambda tensor, _gradient, _hooks: tensor,
    }

    def __init__(self):
        super().__init__()
        self.storages: dict[str, Storage] = {}

    def knows(self, symbol: str) -> bool:
        """Whether the pickle may refer to a name."""
        return super().knows(symbol) or _TYPE_NAME.fullmatch(symbol) is not None

    def find_storage(self, tag, kind, key, _location, total, view=None) -> None:
        """Checks a persistent id ("storage", type, key, location, elements[, view])."""
        name = _TYPE_NAME.fullmatch(kind) if type(kind) is Global else None
        # A view is (key, start, elements): a storage that shares a part of another one.
        _, start, count = view or (None, 0, total)
        fit = name and name[1] and type(tag) is type(key) is str and tag == "storage"
        fit = fit and all(type(n) is int and 0 <= n <= MAX_NUMBER for n in (total, start, count))
        require(fit and start + count <= total, "damaged pickle: a storage is not well-formed")
        storage = Storage(key, name[1], total, start, count)
        same = self.storages.setdefault(key, storage)[:3] == storage[:3]
        require(same, f"storage {describe(key)} is declared in two different ways")
        self.push(storage)
