"""Evaluates the pickle of a PyTorch checkpoint without running what it says.

A pickle is a program for a small stack machine, and the standard unpickler lets it import and call
anything. The machine of this module knows only what a state dict needs, builds plain containers,
and refuses every other operation and name.
"""

from __future__ import annotations

import io
import pickletools
import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

# Pickles of large networks with optimizer state stay below a megabyte and 200 000 operations.
MAX_PICKLE_BYTES, _MAX_OPERATIONS = 16 * 2**20, 1_000_000
_MAX_DIMENSIONS, _MAX_NUMBER = 32, 2**63 - 1
# How the bytes of a storage are read: bool and bfloat16 are converted afterwards.
_FLOAT_TYPES = {"Double": "f8", "Float": "f4", "Half": "f2", "BFloat16": "u2"}
_WHOLE_TYPES = {"Long": "i8", "Int": "i4", "Short": "i2", "Char": "i1", "Byte": "u1", "Bool": "u1"}
_TYPES = _FLOAT_TYPES | _WHOLE_TYPES
# A storage type is group 1; a dtype may stand in training settings, and is kept as a mere name.
_TYPE_NAME = re.compile(rf"torch\.(?:({'|'.join(_TYPES)})Storage|bool|b?float\d+|u?int\d+)")


class Global(str):
    """A name found in the pickle; never imported."""


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
    machine = _PickleMachine()
    return machine.run(stream), machine.storages


class _PickleMachine:
    """Evaluates one pickle to plain containers, numbers, strings, storages and tensors."""

    def __init__(self):
        self.stack: list[Any] = []
        self.marks: list[int] = []
        # A dict costs nothing for a huge index, where the standard unpickler grows an array.
        self.memo: dict[int, Any] = {}
        self.storages: dict[str, Storage] = {}

    def run(self, stream: io.BytesIO) -> Any:
        for _ in range(_MAX_OPERATIONS):
            code = stream.read(1)
            require(code, "the pickle ends early; the file is incomplete")
            operation = pickletools.code2op.get(code.decode("latin-1"))
            name = operation.name if operation else ascii(code)
            # Refused before its argument is read: some argument readers warn, or decode at length.
            require(name in _ACTIONS, f"pickle operation {name} is no part of a state dict")
            argument = _CONSTANTS.get(name)
            if name == "GLOBAL":
                # The standard reader would interpret backslashes, and warn about them.
                argument = (stream.readline() + stream.readline()).decode()
            elif operation.arg:
                argument = operation.arg.reader(stream)
            try:
                if name == "STOP":
                    return self.stack.pop()
                _ACTIONS[name](self, argument)
            except (AttributeError, IndexError, KeyError, TypeError) as error:
                raise ValueError(f"damaged pickle at operation {name} ({error})") from error
        raise ValueError(f"its pickle has more than {_MAX_OPERATIONS} operations")

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop_from(self, start: int) -> list[Any]:
        values, self.stack[start:] = self.stack[start:], []
        return values

    def memoize(self, index: int | None) -> None:
        self.memo[len(self.memo) if index is None else index] = self.stack[-1]

    def extend(self, values: list[Any]) -> None:
        self.stack[-1].extend(values)

    def set_items(self, values: list[Any]) -> None:
        _fill(self.stack[-1], zip(values[::2], values[1::2], strict=True))

    def find_global(self, module: Any, name: Any) -> None:
        """Pushes a known name; nothing is imported."""
        require(type(module) is type(name) is str, "damaged pickle: a global has no name")
        symbol = Global(f"{module}.{name}")
        legal = symbol in _REBUILDERS or _TYPE_NAME.fullmatch(symbol)
        message = (
            f"it refers to {describe(symbol)}, which is no part of a state dict; nothing was run"
        )
        require(legal, message + "; to read the weights, save model.state_dict() by itself")
        self.push(symbol)

    def reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        # The type comes first: hashing a nested tuple recurses without limit in C.
        legal = type(function) is Global and function in _REBUILDERS and type(arguments) is tuple
        require(legal, f"it calls {describe(function)}, which is no part of a state dict")
        self.push(_REBUILDERS[function](*arguments))

    def build(self) -> None:
        """Drops the attributes of an OrderedDict (`_metadata`); nothing else may have any."""
        legal = type(self.stack.pop()) is type(self.stack[-1]) is dict
        require(legal, "it sets attributes, which is no part of a state dict")

    def find_storage(self, tag, kind, key, _location, total, view=None) -> None:
        """Checks a persistent id ("storage", type, key, location, elements[, view])."""
        name = _TYPE_NAME.fullmatch(kind) if type(kind) is Global else None
        # A view is (key, start, elements): a storage that shares a part of another one.
        _, start, count = view or (None, 0, total)
        fit = name and name[1] and type(tag) is type(key) is str and tag == "storage"
        fit = fit and all(type(n) is int and 0 <= n <= _MAX_NUMBER for n in (total, start, count))
        require(fit and start + count <= total, "damaged pickle: a storage is not well-formed")
        storage = Storage(key, name[1], total, start, count)
        same = self.storages.setdefault(key, storage)[:3] == storage[:3]
        require(same, f"storage {describe(key)} is declared in two different ways")
        self.push(storage)


_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_TEXTS = ("BINUNICODE", "BINUNICODE8", "SHORT_BINUNICODE", "SHORT_BINSTRING", "BINSTRING")
_NUMBERS = ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT")
_ACTIONS: dict[str, Callable[[_PickleMachine, Any], None]] = {
    **dict.fromkeys(("PROTO", "FRAME", "STOP"), lambda machine, argument: None),
    **dict.fromkeys((*_CONSTANTS, *_TEXTS, *_NUMBERS), _PickleMachine.push),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT", "MEMOIZE"), _PickleMachine.memoize),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), lambda machine, n: machine.push(machine.memo[n])),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "MARK": lambda machine, _: machine.marks.append(len(machine.stack)),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.pop_from(machine.marks.pop()))),
    "TUPLE1": lambda machine, _: machine.push(tuple(machine.pop_from(-1))),
    "TUPLE2": lambda machine, _: machine.push(tuple(machine.pop_from(-2))),
    "TUPLE3": lambda machine, _: machine.push(tuple(machine.pop_from(-3))),
    "APPEND": lambda machine, _: machine.extend(machine.pop_from(-1)),
    "APPENDS": lambda machine, _: machine.extend(machine.pop_from(machine.marks.pop())),
    "SETITEM": lambda machine, _: machine.set_items(machine.pop_from(-2)),
    "SETITEMS": lambda machine, _: machine.set_items(machine.pop_from(machine.marks.pop())),
    "GLOBAL": lambda machine, names: machine.find_global(*names.split("\n")[:2]),
    "STACK_GLOBAL": lambda machine, _: machine.find_global(*machine.pop_from(-2)),
    "REDUCE": lambda machine, _: machine.reduce(),
    "BUILD": lambda machine, _: machine.build(),
    "BINPERSID": lambda machine, _: machine.find_storage(*machine.stack.pop()),
}


def _fill(target: dict, pairs: Iterable) -> dict:
    """Adds pairs to a dict; only text and whole numbers are keys, each once."""
    require(type(target) is dict, "damaged pickle: items are set on what is no dict")
    for key, value in pairs:
        # Hashing nested tuples recurses without limit in C, and huge numbers can share one hash.
        fit = type(key) is str or (type(key) is int and abs(key) <= _MAX_NUMBER)
        require(fit, f"a dict key is {describe(key)}, not text or a number")
        require(key not in target, f"key {describe(key)} occurs twice in one dict")
        target[key] = value
    return target


def _rebuild_tensor(storage, offset, size, stride, *rest) -> Tensor:
    """Checks the types of a tensor's description; its bounds are checked when it is read."""
    # After the gradient flag and hooks may come that values are lazily negated or conjugated.
    fit = len(rest) in (0, 2) or (len(rest) == 3 and not rest[2])
    require(fit, "a tensor has metadata that is not supported")
    fit = type(storage) is Storage and type(size) is type(stride) is tuple
    fit = fit and len(size) == len(stride) <= _MAX_DIMENSIONS
    fit = fit and all(type(n) is int and abs(n) <= _MAX_NUMBER for n in (offset, *size, *stride))
    require(fit, "damaged pickle: a tensor lacks its storage, offset, size or stride")
    return Tensor(storage, offset, size, stride)


def _ordered_dict(pairs: Any = ()) -> dict:
    """Builds OrderedDict() or, as Python 2 wrote it, OrderedDict([[key, value], ...])."""
    result = _fill({}, pairs)
    if pairs:
        # Otherwise a short pickle could fill a million dicts from one long list.
        pairs.clear()
    return result


_REBUILDERS: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _ordered_dict,
    "torch._utils._rebuild_tensor": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_parameter": lambda tensor, _gradient, _hooks: tensor,
}


def describe(value: Any) -> str:
    """Gives a short, printable form of a value; of a container only the kind, as it may be nested.

    Example:
    >>> describe([[1, 2], [3]])
    'a list'
    """
    if isinstance(value, (str, bytes)):
        return ascii(value[:100])
    return str(value) if type(value) is int else f"a {type(value).__name__.lstrip('_').lower()}"


def require(condition: Any, message: str) -> None:
    """Raises `ValueError` with a message unless a condition holds."""
    if not condition:
        raise ValueError(message)
