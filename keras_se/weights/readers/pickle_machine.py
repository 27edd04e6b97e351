"""Evaluates the pickle of a checkpoint without running what it says.

A pickle is a program for a small stack machine, and the standard unpickler lets it import and call
anything. The machine of this module builds plain containers, numbers and text, and what a subclass
knows by name; it refuses every other operation and name.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Iterable
from typing import Any, BinaryIO, ClassVar

# Pickles of large networks with optimizer state have less than 200 000 operations.
_MAX_OPERATIONS = 1_000_000
MAX_NUMBER = 2**63 - 1
MAX_DIMENSIONS = 32  # of an array


class Global(str):
    """A name found in the pickle; never imported."""


class PickleMachine:
    """Evaluates one pickle to plain containers, numbers, text and what `rebuilders` make.

    Attributes:
        rebuilders: What the pickle may call, by the name that it has there.
    """

    rebuilders: ClassVar[dict[str, Callable[..., Any]]] = {}

    def __init__(self):
        self.stack: list[Any] = []
        self.marks: list[int] = []
        # A dict costs nothing for a huge index, where the standard unpickler grows an array.
        self.memo: dict[int, Any] = {}

    def knows(self, symbol: str) -> bool:
        """Whether the pickle may refer to a name."""
        return symbol in self.rebuilders

    def run(self, stream: BinaryIO) -> Any:
        """Evaluates the pickle at the position of a stream and leaves the stream behind it."""
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
        """Pushes a value."""
        self.stack.append(value)

    def pop_from(self, start: int) -> list[Any]:
        """Pops the values from a place of the stack on."""
        values, self.stack[start:] = self.stack[start:], []
        return values

    def memoize(self, index: int | None) -> None:
        """Remembers the value on top."""
        self.memo[len(self.memo) if index is None else index] = self.stack[-1]

    def extend(self, values: list[Any]) -> None:
        """Adds values to the list on top."""
        self.stack[-1].extend(values)

    def set_items(self, values: list[Any]) -> None:
        """Adds pairs to the dict on top."""
        _fill(self.stack[-1], zip(values[::2], values[1::2], strict=True))

    def find_global(self, module: Any, name: Any) -> None:
        """Pushes a known name; nothing is imported."""
        require(type(module) is type(name) is str, "damaged pickle: a global has no name")
        symbol = Global(f"{module}.{name}")
        message = (
            f"it refers to {describe(symbol)}, which is no part of a state dict; nothing was run"
        )
        legal = self.knows(symbol)
        require(legal, message + "; to read the weights, save model.state_dict() by itself")
        self.push(symbol)

    def reduce(self) -> None:
        """Pushes what a known function makes."""
        arguments, function = self.stack.pop(), self.stack.pop()
        # The type comes first: hashing a nested tuple recurses without limit in C.
        legal = type(function) is Global and function in self.rebuilders
        legal = legal and type(arguments) is tuple
        require(legal, f"it calls {describe(function)}, which is no part of a state dict")
        self.push(self.rebuilders[function](*arguments))

    def build(self) -> None:
        """Drops the attributes of an OrderedDict (`_metadata`); nothing else may have any."""
        legal = type(self.stack.pop()) is type(self.stack[-1]) is dict
        require(legal, "it sets attributes, which is no part of a state dict")

    def find_storage(self, *identifier: Any) -> None:
        """Finds what is stored outside of the pickle: by default, nothing is."""
        raise ValueError("it refers to what is stored elsewhere")


_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_TEXTS = ("BINUNICODE", "BINUNICODE8", "SHORT_BINUNICODE", "SHORT_BINSTRING", "BINSTRING")
_BYTES = ("SHORT_BINBYTES", "BINBYTES", "BINBYTES8")
_NUMBERS = ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT")
_ACTIONS: dict[str, Callable[[PickleMachine, Any], None]] = {
    **dict.fromkeys(("PROTO", "FRAME", "STOP"), lambda machine, argument: None),
    **dict.fromkeys((*_CONSTANTS, *_TEXTS, *_BYTES, *_NUMBERS), PickleMachine.push),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT", "MEMOIZE"), PickleMachine.memoize),
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
        fit = type(key) is str or (type(key) is int and abs(key) <= MAX_NUMBER)
        require(fit, f"a dict key is {describe(key)}, not text or a number")
        require(key not in target, f"key {describe(key)} occurs twice in one dict")
        target[key] = value
    return target


def ordered_dict(pairs: Any = ()) -> dict:
    """Builds `OrderedDict()` or, as Python 2 wrote it, OrderedDict([[key, value], ...])."""
    result = _fill({}, pairs)
    if pairs:
        # Otherwise a short pickle could fill a million dicts from one long list.
        pairs.clear()
    return result


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
