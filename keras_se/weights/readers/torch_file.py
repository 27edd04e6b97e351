"""Reads PyTorch checkpoint files into NumPy arrays, without torch and without running them.

A checkpoint is a pickle, which `torch_pickle` evaluates, and the raw bytes of the tensors.
"""

from __future__ import annotations

import io
import math
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from keras_se.weights.readers import bfloat16
from keras_se.weights.readers.pickle_machine import describe, require
from keras_se.weights.readers.torch_pickle import MAX_PICKLE_BYTES, Storage, Tensor, evaluate

ENDINGS = (".pth", ".pth.tar", ".pt", ".bin")
KERAS_NAMES = False
_LEGACY_HEAD = [0x1950A86A20F9469CFC6C, 1001]  # Magic number and version.
# Tied weights store one buffer for several tensors; unbounded sharing would be a memory bomb.
_MAX_SHARING = 4
# Beside errors of its own and those of struct, what zipfile raises for damaged headers.
_DAMAGE = (ValueError, OSError, EOFError, RuntimeError, OverflowError)
_CONTAINERS = ("state_dict", "model", "state_dict_ema")


def read(path: Path) -> dict[str, np.ndarray]:
    """Reads the state dict of a PyTorch `.pth` or `.pth.tar` file, running none of it.

    Both the zip format (torch 1.6 and later) and the older stream format are read. The first
    dict below "state_dict", "model" or "state_dict_ema" is unwrapped, if there is one, and a
    "module." prefix that every key has is removed.

    Args:
        path: File to read.

    Returns:
        Arrays by key, in the order of the file. Each array is C-contiguous, writable, of native
        byte order and owns its memory. Types are those of the file, except that bfloat16 is
        widened to float32.

    Raises:
        OSError: The file is missing or cannot be opened.
        ValueError: The file is damaged, is not a PyTorch state dict, or holds anything else than
            tensors and plain values. The message names the file and what is wrong.
    """
    with path.open("rb") as file:
        try:
            return _read(file, path.stat().st_size)
        except (*_DAMAGE, struct.error, zipfile.BadZipFile) as error:
            raise ValueError(f"{path}: not a sound PyTorch state dict: {error}") from error


def looks_like_torch(head: bytes) -> bool:
    """Whether a file that begins so is of one of PyTorch's formats."""
    return head.startswith(b"PK\x03\x04") or _LEGACY_HEAD[0].to_bytes(10, "little") in head[:32]


def _read(file: BinaryIO, file_bytes: int) -> dict[str, np.ndarray]:
    """Picks the format by the first bytes and returns the arrays of the state dict."""
    head = file.read(512)
    file.seek(0)
    if head.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(file) as archive:
            return _arrays(*_open_zip(archive, file_bytes), file_bytes)
    tar = "it is in the tar format of the first torch versions, which is not supported; load it "
    require(head[257:262] != b"ustar", tar + "with torch and save its state dict again")
    require(
        looks_like_torch(head),
        "not a PyTorch file: neither a zip archive nor the older stream format",
    )
    return _arrays(*_open_legacy(file, file_bytes), "<", file_bytes)


def _open_zip(archive: zipfile.ZipFile, file_bytes: int) -> tuple[Any, Callable, str]:
    """Returns the unpickled value, the loader of storages, and the numpy sign of byte order."""
    _check_entries(archive, file_bytes)
    names = set(archive.namelist())
    require(len(names) == len(archive.namelist()), "two entries have the same name")
    pickles = [name for name in names if name.endswith("/data.pkl") and name.count("/") == 1]
    require(len(pickles) == 1, f"zip with {len(pickles)} entries NAME/data.pkl, where torch has 1")
    folder = pickles[0].removesuffix("data.pkl")
    require(archive.getinfo(pickles[0]).file_size <= MAX_PICKLE_BYTES, "its pickle is too large")
    value, _ = evaluate(io.BytesIO(archive.read(pickles[0])))
    order_name = folder + "byteorder"
    order = archive.read(order_name) if order_name in names else b"little"
    require(order in (b"little", b"big"), f"its byte order is {describe(order)}, not little or big")

    def load(storage: Storage) -> bytes:
        name = f"{folder}data/{storage.key}"
        size = archive.getinfo(name).file_size if name in names else "no"
        message = (
            f"entry {describe(name)} has {size} bytes, where {storage.total_bytes()} are wanted"
        )
        require(size == storage.total_bytes(), message)
        return archive.read(name)

    return value, load, "<" if order == b"little" else ">"


def _check_entries(archive: zipfile.ZipFile, file_bytes: int) -> None:
    """Raises ValueError for what torch.save does not write, zip bombs first of all."""
    total = 0
    for entry in archive.infolist():
        shown = f"entry {describe(entry.filename)}"
        plain = entry.compress_type == zipfile.ZIP_STORED and not entry.flag_bits & 1
        require(plain, f"{shown} is compressed or encrypted, which torch never does")
        total += max(entry.file_size, entry.compress_size)
        fits = entry.file_size == entry.compress_size and total <= file_bytes
        require(fits, f"{shown} claims more bytes than the file has")
        # Opening compares both copies of the name: a damaged byteorder must not seem absent.
        archive.open(entry).close()


def _open_legacy(file: BinaryIO, file_bytes: int) -> tuple[Any, Callable]:
    """Returns the unpickled value and the loader of storages."""
    # The system entry is unused: storages are little-endian whatever machine wrote them.
    stream = io.BytesIO(file.read(MAX_PICKLE_BYTES))
    head = [evaluate(stream)[0] for _ in ("magic", "version", "system")]
    require(head[:2] == _LEGACY_HEAD, f"its format version is {describe(head[1])}, not 1001")
    value, storages = evaluate(stream)
    keys, _ = evaluate(stream)
    fit = type(keys) is list and all(type(key) is str for key in keys)
    fit = fit and sorted(keys) == sorted(storages)
    require(fit, "damaged file: its list of storages does not match its tensors")
    positions, position = {}, stream.tell()
    for storage in map(storages.__getitem__, keys):
        shown = f"storage {describe(storage.key)}"
        positions[storage.key] = position + 8
        file.seek(position)
        position += 8 + storage.total_bytes()
        require(position <= file_bytes, f"{shown} ends early; the file is incomplete")
        fit = file.read(8) == storage.total.to_bytes(8, "little")
        require(fit, f"{shown} does not have the {storage.total} elements it claims")

    def load(storage: Storage) -> bytes:
        file.seek(positions[storage.key])
        return file.read(storage.total_bytes())

    return value, load


def _arrays(value: Any, load: Callable, byte_order: str, file_bytes: int) -> dict[str, np.ndarray]:
    """Reads every tensor of the state dict, and each storage once."""
    tensors = _state_dict(value)
    for key, tensor in tensors.items():
        _check_bounds(f"tensor {describe(key)}", tensor)
    arrays: dict[str, Any] = dict.fromkeys(tensors)
    loaded, data, total = None, b"", 0
    # One storage is held at a time, so tensors that share one are taken together.
    for key, tensor in sorted(tensors.items(), key=lambda item: item[1].storage.key):
        if tensor.storage.key != loaded:
            loaded, data = tensor.storage.key, load(tensor.storage)
        arrays[key] = _convert(tensor, data, byte_order)
        total += arrays[key].nbytes
        require(total <= _MAX_SHARING * file_bytes, "too many tensors share the same bytes")
    return arrays


def _state_dict(value: Any) -> dict[str, Tensor]:
    """Unwraps the container, checks that it holds only tensors, removes a common prefix."""
    require(type(value) is dict, f"it holds {describe(value)}, not a state dict")
    tensors = next((value[name] for name in _CONTAINERS if type(value.get(name)) is dict), value)
    require(tensors, "its state dict is empty")
    for key, tensor in tensors.items():
        fit = type(key) is str and type(tensor) is Tensor
        message = f"state dict entry {describe(key)} is {describe(tensor)}, not a tensor"
        require(fit, f"{message}; a state dict is all of a file or below {_CONTAINERS} in it")
    prefix = "module." if all(key.startswith("module.") for key in tensors) else ""
    return {key.removeprefix(prefix): tensor for key, tensor in tensors.items()}


def _check_bounds(shown: str, tensor: Tensor) -> None:
    """Raises ValueError unless the whole view lies within its storage."""
    count, elements = tensor.storage.count, math.prod(tensor.size)
    negative = min((tensor.offset, *tensor.size, *tensor.stride)) < 0
    require(not negative, f"{shown} has a negative offset, size or stride")
    require(elements <= count, f"{shown} has {elements} elements, its storage only {count}")
    # An empty size such as (0, 2**62, 2**62) passes the limit above and overflows inside numpy.
    require(math.prod(max(1, length) for length in tensor.size) <= 2**40, f"{shown} is too large")
    steps = zip(tensor.size, tensor.stride, strict=True)
    last = tensor.offset + sum((length - 1) * step for length, step in steps if elements)
    # A view without elements may begin just behind the last one.
    inside = last < count + (not elements)
    require(inside, f"{shown} reaches element {last} of a storage of {count} elements")


def _convert(tensor: Tensor, data: bytes, byte_order: str) -> np.ndarray:
    """Copies a view that passed _check_bounds out of the bytes of its storage."""
    storage = tensor.storage
    kind = storage.dtype().newbyteorder(byte_order)
    strides = [step * kind.itemsize for step in tensor.stride]
    offset = (storage.start + tensor.offset) * kind.itemsize
    if 0 in tensor.size:
        view = np.empty(tensor.size, kind)
    else:
        view = np.ndarray(tensor.size, kind, buffer=data, offset=offset, strides=strides)
    if storage.kind == "BFloat16":
        view = bfloat16.widen(view)
    target = {"Bool": np.bool_, "BFloat16": np.float32}.get(storage.kind, kind.newbyteorder("="))
    return np.array(view, target, order="C")
