"""Reads PyTorch checkpoint files into numpy arrays, without torch and without running them.

A checkpoint is a pickle plus raw tensor bytes.  A pickle is a program for a small stack machine,
and the standard unpickler lets it import and call anything.  The machine of this module knows only
what a state dict needs, builds plain containers, and refuses every other operation and name.
"""

from __future__ import annotations

import io
import math
import pickletools
import re
import struct
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

_LEGACY_HEAD = [0x1950A86A20F9469CFC6C, 1001]  # Magic number and version.
# Pickles of large networks with optimizer state stay below a megabyte and 200 000 operations.
_MAX_PICKLE_BYTES, _MAX_OPERATIONS = 16 * 2**20, 1_000_000
# Tied weights store one buffer for several tensors; unbounded sharing would be a memory bomb.
_MAX_SHARING, _MAX_DIMENSIONS, _MAX_NUMBER = 4, 32, 2**63 - 1
# Beside errors of its own and those of struct, what zipfile raises for damaged headers.
_DAMAGE = (ValueError, OSError, EOFError, RuntimeError, OverflowError)
_CONTAINERS = ("state_dict", "model", "state_dict_ema")
# How the bytes of a storage are read: bool and bfloat16 are converted in _convert.
_FLOAT_TYPES = {"Double": "f8", "Float": "f4", "Half": "f2", "BFloat16": "u2"}
_WHOLE_TYPES = {"Long": "i8", "Int": "i4", "Short": "i2", "Char": "i1", "Byte": "u1", "Bool": "u1"}
_TYPES = _FLOAT_TYPES | _WHOLE_TYPES
# A storage type is group 1; a dtype may stand in training settings, and is kept as a mere name.
_TYPE_NAME = re.compile(rf"torch\.(?:({'|'.join(_TYPES)})Storage|bool|b?float\d+|u?int\d+)")


class _Global(str):
    """A name found in the pickle; never imported."""


class _Storage(NamedTuple):
    """A run of `count` elements from `start` inside the stored buffer `key` of `total` elements."""

    key: str
    kind: str
    total: int
    start: int
    count: int

    def total_bytes(self) -> int:
        return self.total * np.dtype(_TYPES[self.kind]).itemsize


class _Tensor(NamedTuple):
    """A strided view of a storage; offset and stride count elements."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


def read_torch_file(path: str | Path) -> dict[str, np.ndarray]:
    """Reads the state dict of a PyTorch `.pth` or `.pth.tar` file, running none of it.

    Both the zip format (torch 1.6 and later) and the older stream format are read.  The first
    dict below "state_dict", "model" or "state_dict_ema" is unwrapped, if there is one, and a
    "module." prefix that every key has is removed.

    Args:
        path: File to read.

    Returns:
        Arrays by key, in the order of the file.  Each array is C-contiguous, writable, of native
        byte order and owns its memory.  Types are those of the file, except that bfloat16 is
        widened to float32.

    Raises:
        OSError: The file is missing or cannot be opened.
        ValueError: The file is damaged, is not a PyTorch state dict, or holds anything else than
            tensors and plain values.  The message names the file and what is wrong.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise OSError(f"{path}: not a regular file")
    with path.open("rb") as file:
        try:
            return _read(file, path.stat().st_size)
        except (*_DAMAGE, struct.error, zipfile.BadZipFile) as error:
            raise ValueError(f"{path}: not a sound PyTorch state dict: {error}") from error
        except MemoryError as error:
            raise ValueError(f"{path}: its tensors do not fit in memory") from error


def _read(file: BinaryIO, file_bytes: int) -> dict[str, np.ndarray]:
    """Picks the format by the first bytes and returns the arrays of the state dict."""
    head = file.read(512)
    file.seek(0)
    if head.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(file) as archive:
            return _arrays(*_open_zip(archive, file_bytes), file_bytes)
    tar = "it is in the tar format of the first torch versions, which is not supported; load it "
    _require(head[257:262] != b"ustar", tar + "with torch and save its state dict again")
    known = _LEGACY_HEAD[0].to_bytes(10, "little") in head[:32]
    _require(known, "not a PyTorch file: neither a zip archive nor the older stream format")
    return _arrays(*_open_legacy(file, file_bytes), "<", file_bytes)


class _PickleMachine:
    """Evaluates one pickle to plain containers, numbers, strings, storages and tensors."""

    def __init__(self):
        self.stack: list[Any] = []
        self.marks: list[int] = []
        # A dict costs nothing for a huge index, where the standard unpickler grows an array.
        self.memo: dict[int, Any] = {}
        self.storages: dict[str, _Storage] = {}

    def run(self, stream: io.BytesIO) -> Any:
        """Evaluates the pickle at the position of the stream and leaves the stream behind it."""
        for _ in range(_MAX_OPERATIONS):
            code = stream.read(1)
            _require(code, "the pickle ends early; the file is incomplete")
            known = pickletools.code2op.get(code.decode("latin-1"))
            name = known.name if known else ascii(code)
            # Refused before its argument is read: some argument readers warn, or decode at length.
            _require(name in _ACTIONS, f"pickle operation {name} is no part of a state dict")
            argument = _CONSTANTS.get(name)
            if name == "GLOBAL":
                # The standard reader would interpret backslashes, and warn about them.
                argument = (stream.readline() + stream.readline()).decode()
            elif known.arg:
                argument = known.arg.reader(stream)
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
        _require(type(module) is type(name) is str, "damaged pickle: a global has no name")
        found = _Global(f"{module}.{name}")
        known = found in _REBUILDERS or _TYPE_NAME.fullmatch(found)
        message = f"it refers to {_shown(found)}, which is no part of a state dict; nothing was run"
        _require(known, message + "; to read the weights, save model.state_dict() by itself")
        self.push(found)

    def reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        # The type comes first: hashing a nested tuple recurses without limit in C.
        known = type(function) is _Global and function in _REBUILDERS and type(arguments) is tuple
        _require(known, f"it calls {_shown(function)}, which is no part of a state dict")
        self.push(_REBUILDERS[function](*arguments))

    def build(self) -> None:
        """Drops the attributes of an OrderedDict (`_metadata`); nothing else may have any."""
        known = type(self.stack.pop()) is type(self.stack[-1]) is dict
        _require(known, "it sets attributes, which is no part of a state dict")

    def find_storage(self, tag, kind, key, _location, total, view=None) -> None:
        """Checks a persistent id ("storage", type, key, location, elements[, view])."""
        name = _TYPE_NAME.fullmatch(kind) if type(kind) is _Global else None
        # A view is (key, start, elements): a storage that shares a part of another one.
        _, start, count = view or (None, 0, total)
        fit = name and name[1] and type(tag) is type(key) is str and tag == "storage"
        fit = fit and all(type(n) is int and 0 <= n <= _MAX_NUMBER for n in (total, start, count))
        _require(fit and start + count <= total, "damaged pickle: a storage is not well-formed")
        storage = _Storage(key, name[1], total, start, count)
        same = self.storages.setdefault(key, storage)[:3] == storage[:3]
        _require(same, f"storage {_shown(key)} is declared in two different ways")
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
    _require(type(target) is dict, "damaged pickle: items are set on what is no dict")
    for key, value in pairs:
        # Hashing nested tuples recurses without limit in C, and huge numbers can share one hash.
        fit = type(key) is str or (type(key) is int and abs(key) <= _MAX_NUMBER)
        _require(fit, f"a dict key is {_shown(key)}, not text or a number")
        _require(key not in target, f"key {_shown(key)} occurs twice in one dict")
        target[key] = value
    return target


def _rebuild_tensor(storage, offset, size, stride, *rest) -> _Tensor:
    """Checks the types of a tensor's description; its bounds are checked when it is read."""
    # After the gradient flag and hooks may come that values are lazily negated or conjugated.
    fit = len(rest) in (0, 2) or (len(rest) == 3 and not rest[2])
    _require(fit, "a tensor has metadata that is not supported")
    fit = type(storage) is _Storage and type(size) is type(stride) is tuple
    fit = fit and len(size) == len(stride) <= _MAX_DIMENSIONS
    fit = fit and all(type(n) is int and abs(n) <= _MAX_NUMBER for n in (offset, *size, *stride))
    _require(fit, "damaged pickle: a tensor lacks its storage, offset, size or stride")
    return _Tensor(storage, offset, size, stride)


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


def _open_zip(archive: zipfile.ZipFile, file_bytes: int) -> tuple[Any, Callable, str]:
    """Returns the unpickled value, the loader of storages, and the numpy sign of byte order."""
    _check_entries(archive, file_bytes)
    names = set(archive.namelist())
    _require(len(names) == len(archive.namelist()), "two entries have the same name")
    pickles = [name for name in names if name.endswith("/data.pkl") and name.count("/") == 1]
    _require(len(pickles) == 1, f"zip with {len(pickles)} entries NAME/data.pkl, where torch has 1")
    folder = pickles[0].removesuffix("data.pkl")
    _require(archive.getinfo(pickles[0]).file_size <= _MAX_PICKLE_BYTES, "its pickle is too large")
    value = _PickleMachine().run(io.BytesIO(archive.read(pickles[0])))
    order_name = folder + "byteorder"
    order = archive.read(order_name) if order_name in names else b"little"
    _require(order in (b"little", b"big"), f"its byte order is {_shown(order)}, not little or big")

    def load(storage: _Storage) -> bytes:
        name = f"{folder}data/{storage.key}"
        found = archive.getinfo(name).file_size if name in names else "no"
        wanted = f"entry {_shown(name)} has {found} bytes, where {storage.total_bytes()} are wanted"
        _require(found == storage.total_bytes(), wanted)
        return archive.read(name)

    return value, load, "<" if order == b"little" else ">"


def _check_entries(archive: zipfile.ZipFile, file_bytes: int) -> None:
    """Raises ValueError for what torch.save does not write, zip bombs first of all."""
    total = 0
    for entry in archive.infolist():
        shown = f"entry {_shown(entry.filename)}"
        plain = entry.compress_type == zipfile.ZIP_STORED and not entry.flag_bits & 1
        _require(plain, f"{shown} is compressed or encrypted, which torch never does")
        total += max(entry.file_size, entry.compress_size)
        fits = entry.file_size == entry.compress_size and total <= file_bytes
        _require(fits, f"{shown} claims more bytes than the file has")
        # Opening compares both copies of the name: a damaged byteorder must not seem absent.
        archive.open(entry).close()


def _open_legacy(file: BinaryIO, file_bytes: int) -> tuple[Any, Callable]:
    """Returns the unpickled value and the loader of storages."""
    # The system entry is unused: storages are little-endian whatever machine wrote them.
    stream = io.BytesIO(file.read(_MAX_PICKLE_BYTES))
    head = [_PickleMachine().run(stream) for _ in ("magic", "version", "system")]
    _require(head[:2] == _LEGACY_HEAD, f"its format version is {_shown(head[1])}, not 1001")
    machine = _PickleMachine()
    value = machine.run(stream)
    keys = _PickleMachine().run(stream)
    fit = type(keys) is list and all(type(key) is str for key in keys)
    fit = fit and sorted(keys) == sorted(machine.storages)
    _require(fit, "damaged file: its list of storages does not match its tensors")
    positions, position = {}, stream.tell()
    for storage in map(machine.storages.__getitem__, keys):
        shown = f"storage {_shown(storage.key)}"
        positions[storage.key] = position + 8
        file.seek(position)
        position += 8 + storage.total_bytes()
        _require(position <= file_bytes, f"{shown} ends early; the file is incomplete")
        fit = file.read(8) == storage.total.to_bytes(8, "little")
        _require(fit, f"{shown} does not have the {storage.total} elements it claims")

    def load(storage: _Storage) -> bytes:
        file.seek(positions[storage.key])
        return file.read(storage.total_bytes())

    return value, load


def _arrays(value: Any, load: Callable, byte_order: str, file_bytes: int) -> dict[str, np.ndarray]:
    """Reads every tensor of the state dict, and each storage once."""
    tensors = _state_dict(value)
    for key, tensor in tensors.items():
        _check_bounds(f"tensor {_shown(key)}", tensor)
    arrays: dict[str, Any] = dict.fromkeys(tensors)
    loaded, data, total = None, b"", 0
    # One storage is held at a time, so tensors that share one are taken together.
    for key, tensor in sorted(tensors.items(), key=lambda item: item[1].storage.key):
        if tensor.storage.key != loaded:
            loaded, data = tensor.storage.key, load(tensor.storage)
        arrays[key] = _convert(tensor, data, byte_order)
        total += arrays[key].nbytes
        _require(total <= _MAX_SHARING * file_bytes, "too many tensors share the same bytes")
    return arrays


def _state_dict(value: Any) -> dict[str, _Tensor]:
    """Unwraps the container, checks that it holds only tensors, removes a common prefix."""
    _require(type(value) is dict, f"it holds {_shown(value)}, not a state dict")
    tensors = next((value[name] for name in _CONTAINERS if type(value.get(name)) is dict), value)
    _require(tensors, "its state dict is empty")
    for key, tensor in tensors.items():
        fit = type(key) is str and type(tensor) is _Tensor
        message = f"state dict entry {_shown(key)} is {_shown(tensor)}, not a tensor"
        _require(fit, f"{message}; a state dict is all of a file or below {_CONTAINERS} in it")
    prefix = "module." if all(key.startswith("module.") for key in tensors) else ""
    return {key.removeprefix(prefix): tensor for key, tensor in tensors.items()}


def _check_bounds(shown: str, tensor: _Tensor) -> None:
    """Raises ValueError unless the whole view lies within its storage."""
    count, elements = tensor.storage.count, math.prod(tensor.size)
    negative = min((tensor.offset, *tensor.size, *tensor.stride)) < 0
    _require(not negative, f"{shown} has a negative offset, size or stride")
    _require(elements <= count, f"{shown} has {elements} elements, its storage only {count}")
    # An empty size such as (0, 2**62, 2**62) passes the limit above and overflows inside numpy.
    _require(math.prod(max(1, length) for length in tensor.size) <= 2**40, f"{shown} is too large")
    steps = zip(tensor.size, tensor.stride, strict=True)
    last = tensor.offset + sum((length - 1) * step for length, step in steps if elements)
    # A view without elements may begin just behind the last one.
    inside = last < count + (not elements)
    _require(inside, f"{shown} reaches element {last} of a storage of {count} elements")


def _convert(tensor: _Tensor, data: bytes, byte_order: str) -> np.ndarray:
    """Copies a view that passed _check_bounds out of the bytes of its storage."""
    storage = tensor.storage
    kind = np.dtype(_TYPES[storage.kind]).newbyteorder(byte_order)
    strides = [step * kind.itemsize for step in tensor.stride]
    offset = (storage.start + tensor.offset) * kind.itemsize
    if 0 in tensor.size:
        view = np.empty(tensor.size, kind)
    else:
        view = np.ndarray(tensor.size, kind, buffer=data, offset=offset, strides=strides)
    if storage.kind == "BFloat16":
        view = (view.astype(np.uint32) << 16).view(np.float32)
    target = {"Bool": np.bool_, "BFloat16": np.float32}.get(storage.kind, kind.newbyteorder("="))
    return np.array(view, target, order="C")


def _shown(value: Any) -> str:
    """Shows a short, printable form; of a container only the kind, since it may be nested."""
    if isinstance(value, (str, bytes)):
        return ascii(value[:100])
    return str(value) if type(value) is int else f"a {type(value).__name__.lstrip('_').lower()}"


def _require(condition: Any, message: str) -> None:
    if not condition:
        raise ValueError(message)
