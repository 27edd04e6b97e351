"""Tests of the PyTorch file reader, on files assembled here from pickle opcodes, without torch."""

import io
import random
import struct
import tarfile
import tracemalloc
import zipfile

import numpy as np
import pytest

from keras_se.weights.readers import torch_file

pytestmark = pytest.mark.backend_neutral

MAGIC = 0x1950A86A20F9469CFC6C
DTYPES = "Double <f8,Float <f4,Half <f2,Long <i8,Int <i4,Short <i2,Char i1,Byte u1,Bool ?"


class Raw(bytes):
    """Opcodes that push one value."""


def encode(value):
    """Returns the opcodes of protocol 2 that push a value."""
    if isinstance(value, Raw):
        return value
    if value is None or isinstance(value, bool):
        return {None: b"N", True: b"\x88", False: b"\x89"}[value]
    if isinstance(value, int):
        body = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
        return b"\x8a" + bytes([len(body)]) + body
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    if isinstance(value, str):
        return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
    if isinstance(value, dict):
        items = b"".join(encode(part) for item in value.items() for part in item)
        return b"}(" + items + b"u"
    items = b"".join(map(encode, value))
    return b"(" + items + b"t" if isinstance(value, tuple) else b"](" + items + b"e"


def call(name, *arguments):
    module, _, attribute = name.rpartition(".")
    return Raw(f"c{module}\n{attribute}\n".encode() + encode(arguments) + b"R")


def pickled(value):
    return b"\x80\x02" + encode(value) + b"."


# What follows the stride of a tensor: the gradient flag and the backward hooks.
HOOKS = (False, call("collections.OrderedDict"))


class Writer:
    """Collects storages and writes a checkpoint in one of both formats."""

    def __init__(self, form):
        self.legacy = form == "legacy"
        self.storages = {}

    def tensor(self, values, kind="Float", key=None, **layout):
        values = np.asarray(values)
        key = key or str(len(self.storages))
        self.storages[key] = values
        numel = layout.get("numel", values.size)
        stored = ("storage", Raw(f"ctorch\n{kind}Storage\n".encode()), key, "cpu", numel)
        stored = Raw(encode(stored + (layout.get("view"),) * self.legacy) + b"Q")
        steps = tuple(step // values.itemsize for step in values.strides)
        view = (layout.get("size", values.shape), layout.get("stride", steps), *HOOKS)
        return call("torch._utils._rebuild_tensor_v2", stored, layout.get("offset", 0), *view)

    def data(self, value, **options):
        program = value if type(value) is bytes else pickled(value)
        if not self.legacy:
            return self.archive(program, **options)
        parts = [*map(pickled, (MAGIC, 1001, {"little_endian": True})), program]
        parts.append(pickled(list(self.storages)))
        for values in self.storages.values():
            parts += [struct.pack("<q", values.size), values.tobytes()]
        return b"".join(parts)

    def archive(self, program, compression=zipfile.ZIP_STORED, extra=(), order=b"little"):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", compression) as archive:
            archive.writestr("net/data.pkl", program)
            archive.writestr("net/byteorder", order)
            archive.writestr("net/version", b"3\n")
            for key, values in self.storages.items():
                archive.writestr(f"net/data/{key}", values.tobytes())
            for name, data in extra:
                archive.writestr(name, data)
        return file.getvalue()


@pytest.fixture
def read(tmp_path):
    def read_bytes(data):
        path = tmp_path / "weights.pth"
        path.write_bytes(data)
        return torch_file.read(path)

    return read_bytes


@pytest.fixture
def refused(read):
    def check(data, *words):
        with pytest.raises(ValueError, match=r"weights\.pth") as caught:
            read(data)
        assert not words or any(word in str(caught.value) for word in words)

    return check


@pytest.fixture(params=["zip", "legacy"])
def writer(request):
    return Writer(request.param)


@pytest.mark.parametrize("names", DTYPES.split(","))
def test_dtypes(writer, read, names):
    kind, dtype = names.split()
    values = (np.random.default_rng(0).normal(size=(3, 4)) * 50).astype(dtype)
    result = read(writer.data({"a": writer.tensor(values, kind), "b": writer.tensor(7, "Long")}))
    assert list(result) == ["a", "b"] and result["b"] == 7 and result["b"].shape == ()
    assert result["a"].dtype == values.dtype.newbyteorder("=")
    np.testing.assert_array_equal(result["a"], values)
    flags = result["a"].flags
    assert flags.c_contiguous and flags.owndata and flags.writeable


def test_bfloat16_is_widened(writer, read):
    values = np.array([1.0, -2.5, np.inf, 1e30], np.float32)
    halves = (values.view("<u4") >> 16).astype("<u2")
    scalar = writer.tensor(halves[1], "BFloat16")
    result = read(writer.data({"a": writer.tensor(halves, "BFloat16"), "b": scalar}))
    assert result["a"].dtype == result["b"].dtype == np.float32
    np.testing.assert_array_equal(result["a"], (halves.astype("<u4") << 16).view("<f4"))
    assert result["b"] == -2.5 and isinstance(result["b"], np.ndarray)


def test_views(writer, read):
    base = np.arange(24, dtype="<f4")
    cases = {
        "transposed": ((6, 4), (1, 6), 0, base.reshape(4, 6).T),
        "shifted": ((2, 3), (6, 2), 7, base.reshape(4, 6)[1:3, 1::2]),
        "one": ((1, 1), (10**15, 5), 23, base[23:].reshape(1, 1)),
        "scalar": ((), (), 5, base[5]),
        "empty": ((0, 9), (9, 1), 24, np.empty((0, 9), "f4")),
    }
    tensors = {
        name: writer.tensor(base, key="k", offset=offset, size=size, stride=stride)
        for name, (size, stride, offset, _) in cases.items()
    }
    result = read(writer.data(tensors))
    for name, case in cases.items():
        np.testing.assert_array_equal(result[name], case[3])
        assert result[name].shape == case[0] and result[name].flags.c_contiguous
    result["transposed"][:] = 0
    assert result["scalar"] == 5


def test_big_endian_zip_and_legacy_storage_view(read):
    writer = Writer("zip")
    tensor = writer.tensor(np.arange(3, dtype=">f4"))
    assert read(writer.data({"a": tensor}, order=b"big"))["a"].tolist() == [0, 1, 2]
    writer = Writer("legacy")
    tensor = writer.tensor(np.arange(6.0, dtype="<f4"), size=(2,), offset=1, view=("9", 2, 3))
    assert read(writer.data({"a": tensor}))["a"].tolist() == [3, 4]


@pytest.mark.parametrize("name", ["state_dict", "model", "state_dict_ema"])
def test_containers_parameter_and_prefix(writer, read, name):
    values = np.arange(6, dtype="<f4").reshape(2, 3)
    weight = call("torch._utils._rebuild_parameter", writer.tensor(values), *HOOKS)
    ordered = HOOKS[1] + encode({"module.a": weight, "module.num_batches_tracked": weight})[1:]
    # A real state dict has attributes: BUILD of {"_metadata": ...}.
    state = Raw(ordered + encode({"_metadata": {"": {"version": 1}}}) + b"b")
    optimizer = {"state": {0: {"buf": writer.tensor(values), "step": 3}}, "groups": [(0.9, None)]}
    others = {"epoch": 3, "dtype": Raw(b"ctorch\nfloat32\n"), "optimizer": optimizer}
    result = read(writer.data({**others, name: state}))
    assert list(result) == ["a", "num_batches_tracked"]
    np.testing.assert_array_equal(result["a"], values)


def test_preference_and_mixed_prefix(writer, read):
    tensor = writer.tensor(np.float32([1]))
    value = {"model": {"a": tensor}, "state_dict": {"module.a": tensor, "b": tensor}}
    assert list(read(writer.data(value))) == ["module.a", "b"]
    oldest = tensor.replace(b"_v2", b"").replace(b"".join(map(encode, HOOKS)), b"")
    assert read(writer.data({"module.a": Raw(oldest)}))["a"].tolist() == [1]


def test_python_2_and_protocol_4(writer, read):
    tensor = writer.tensor(np.float32([1, 2]))
    pairs = [[Raw(b"U\x01a"), tensor]]
    assert list(read(writer.data(call("collections.OrderedDict", pairs)))) == ["a"]
    text = b"\x8c\x0bcollections\x94\x8c\x0bOrderedDict\x94\x93\x94)R\x94"
    program = b"\x80\x04\x95" + bytes(8) + text + encode({"a": tensor})[1:] + b"."
    assert read(writer.data(program))["a"].tolist() == [1, 2]


ATTACKS = {
    **dict.fromkeys(["os.system", "posix.system", "torch._utils.os.system"], "touch {}"),
    **dict.fromkeys(["builtins.eval", "builtins.exec", "__builtin__.eval"], "open('{}', 'w')"),
    **dict.fromkeys(["pathlib.Path.touch", "os.mkdir", "argparse.Namespace"], "{}"),
    "torch.storage._load_from_bytes": "{}",
}


@pytest.mark.parametrize("name", ATTACKS)
def test_globals_are_refused_by_name_and_not_run(writer, refused, tmp_path, name):
    target = tmp_path / "created"
    attack = call(name, ATTACKS[name].format(target))
    module, _, attribute = name.rpartition(".")
    by_stack = Raw(encode(module) + encode(attribute) + b"\x93" + encode(("x",)) + b"R")
    beside = {"state_dict": {"a": writer.tensor(np.float32([1]))}, "args": attack}
    for value in (attack, by_stack, beside, [attack]):
        refused(writer.data(value), name)
    chain = call("builtins.getattr", call("builtins.__import__", "os"), "system")
    refused(writer.data(chain), "builtins.getattr")
    assert not target.exists()


NESTED = Raw(b")" + b"\x85" * 100_000)
PROGRAMS = {
    "memo index": (b"\x80\x02}r\xff\xff\xff\xff.", "empty"),
    "missing memo": (b"\x80\x02j\xff\xff\xff\x7f.", "LONG_BINGET"),
    "length": (b"\x80\x02\x8d" + b"\xff" * 7 + b"\x7f", "remain"),
    "long text": (b"\x80\x02X\xff\xff\xff\xffabc", "remain"),
    "long number": (b"\x80\x02\x8b\xff\xff\xff\x7f1.", "LONG4"),
    "instance": (b"\x80\x02(ios\nsystem\n.", "INST"),
    "unknown": (b"\x80\x02\xff.", "xff"),
    "backslash": (b"\x80\x02cos\\s\nx\n.", "'os"),
    "nothing": (b"\x80\x02.", "STOP"),
    "endless": (b"\x80\x02" + b"}" * 1_000_001 + b".", "operations"),
    "nested": (pickled(NESTED), "tuple"),
    "nested key": (b"\x80\x02}" + NESTED + b"Ns.", "tuple"),
    "huge key": (pickled({2**70: None}), "1180591620717411303424"),
    "nested call": (b"\x80\x02" + NESTED + b")R.", "tuple"),
    "nested name": (b"\x80\x02" + NESTED + NESTED + b"\x93.", "name"),
    "build": (b"\x80\x02ctorch\nFloatStorage\n}b.", "attributes"),
    "call of a type": (pickled(call("torch.FloatStorage", 2**60)), "torch.FloatStorage"),
    "twice": (b"\x80\x02}(X\x01\0\0\0aNX\x01\0\0\0aNu.", "twice"),
    "pairs": (pickled(call("collections.OrderedDict", ["abc"])), "too many values"),
    "not a tensor": (pickled({"epoch": 3}), "epoch"),
    "not text": (pickled({7: None}), "nonetype"),
    "no dict": (pickled([1]), "list"),
    "empty": (pickled({"state_dict": {}}), "empty"),
    "persistent": (pickled({"a": Raw(encode(("storage", "x")) + b"Q")}), "BINPERSID"),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_hostile_programs_are_refused(refused, name):
    program, match = PROGRAMS[name]
    refused(Writer("zip").data(program), match)


BOUNDS = {
    "offset": ({"offset": 1}, "element 6"),
    "negative offset": ({"offset": -1}, "negative"),
    "negative size": ({"size": (-2, -3)}, "negative"),
    "negative stride": ({"stride": (-3, 1)}, "negative"),
    "stride": ({"stride": (4, 1)}, "element 6"),
    "expanded": ({"size": (10**9, 10**9), "stride": (0, 0)}, "only 6"),
    "empty": ({"size": (0, 2**62), "stride": (1, 1)}, "too large"),
    "dimensions": ({"size": (1,) * 33, "stride": (1,) * 33}, "lacks its"),
    "huge": ({"offset": 2**200}, "lacks its"),
    "storage": ({"numel": 7}, "28", "does not have", "ends early"),
    "short": ({"numel": 5}, "only 5", "does not have"),
    "negative storage": ({"numel": -6}, "not well-formed"),
    "type": ({"kind": "Quint8"}, "torch.Quint8Storage"),
}


@pytest.mark.parametrize("name", BOUNDS)
def test_bounds(writer, refused, name):
    options, *words = BOUNDS[name]
    values = np.arange(6, dtype="<f4").reshape(2, 3)
    refused(writer.data({"a": writer.tensor(values, **options)}), *words)


def test_conflicts_and_sharing(writer, refused):
    values = np.zeros(1000, "<f4")
    tensors = {"a": writer.tensor(values, key="k"), "b": writer.tensor(values, "Int", key="k")}
    refused(writer.data(tensors), "two")
    tensors = {str(number): writer.tensor(values, key="k") for number in range(99)}
    refused(writer.data(tensors), "share")
    lazy = Raw(tensors["0"][:-2] + encode({"neg": True}) + b"tR")
    refused(writer.data({"a": lazy}), "metadata")


def test_zip_structure(refused, read):
    writer = Writer("zip")
    state = {"a": writer.tensor(np.arange(4000, dtype="<f4"))}
    good = writer.data(state)
    refused(writer.data(state, compression=zipfile.ZIP_DEFLATED), "compressed")
    refused(writer.data(state, order=b"middle"), "byte order")
    refused(writer.data(state, extra=[("b/data.pkl", b"")]), "2 entries")
    with pytest.warns(UserWarning):
        twice = writer.data(state, extra=[("net/data/0", b"")])
    refused(twice, "same name")
    refused(good.replace(b"net/data/0", b"net/data/1"), "16000")
    start = good.index(np.arange(4000, dtype="<f4").tobytes())
    refused(good[: start + 99] + b"x" + good[start + 100 :], "CRC")


def test_zip_bomb_is_refused_before_it_is_unpacked(refused):
    writer = Writer("zip")
    value = {"a": writer.tensor(np.zeros(0, "<f4"), numel=2**24)}
    large = [("net/data/1", bytes(2**26))]
    bomb = writer.data(value, compression=zipfile.ZIP_DEFLATED, extra=large)
    liar = writer.data(value)
    place = liar.rindex(b"net/data/0") - 46 + 20
    liar = liar[:place] + struct.pack("<II", 2**26, 2**26) + liar[place + 8 :]
    tracemalloc.start()
    refused(bomb, "compressed")
    refused(liar, "claims")
    assert tracemalloc.get_traced_memory()[1] < 2**21
    tracemalloc.stop()


@pytest.fixture
def small(writer):
    """Returns a small file and its arrays; its storages are not all alike."""
    values = np.random.default_rng(1).normal(size=(2, 5)).astype("<f4")
    state = {"w": writer.tensor(values), "n": writer.tensor(np.int64(3), "Long")}
    return writer.data({"state_dict": state, "epoch": 1}), {"w": values, "n": np.int64(3)}


def test_truncation(small, refused):
    for length in range(0, len(small[0]), 7):
        refused(small[0][:length])


def test_bit_flips(small, writer, read):
    data, expected = small
    generator = random.Random(0)
    for _ in range(300):
        damaged = bytearray(data)
        damaged[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
        try:
            result = read(bytes(damaged))
        except ValueError as error:
            assert "weights.pth" in str(error)
            continue
        # The legacy format has no checksum: a changed number or name in it cannot be seen.
        assert writer.legacy or list(result) == list(expected)
        for key in () if writer.legacy else expected:
            np.testing.assert_array_equal(result[key], expected[key])


def test_other_files(refused, tmp_path):
    refused(b"", "PyTorch")
    refused(b"\x89HDF\r\n\x1a\n" + bytes(600), "PyTorch")
    refused(pickled(MAGIC) + pickled(1000) + pickled({}), "1000")
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("storages"))
    refused(archive.getvalue(), "tar")
    for path in (tmp_path / "missing.pth", tmp_path):
        with pytest.raises(OSError, match=path.name):
            torch_file.read(path)
