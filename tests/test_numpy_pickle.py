"""Pickles of NumPy arrays are read without running them, whoever wrote them."""

import collections
import pickle
import random

import numpy as np
import pytest
from test_torch_file import Raw, Writer, encode, pickled

from keras_se.weights.checkpoint import read_checkpoint

pytestmark = pytest.mark.backend_neutral

ARRAYS = {
    "conv._conv.weight": np.arange(24, dtype="float32").reshape(2, 3, 4, 1),
    "bn._mean": np.linspace(0, 1, 5),
    "fortran": np.asfortranarray(np.arange(6, dtype="int64").reshape(2, 3)),
    "big": np.arange(3, dtype=">f2"),
    "number": np.full((), 7, "float32"),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.pdparams"


@pytest.mark.parametrize("protocol", (2, 3, 4))
@pytest.mark.parametrize("kind", (dict, collections.OrderedDict))
def test_arrays_come_back(path, protocol, kind):
    names = {"StructuredToParameterName@@": {"conv._conv.weight": "conv_weights"}}
    path.write_bytes(pickle.dumps(kind(ARRAYS | names), protocol))
    values = read_checkpoint(path).values
    assert list(values) == list(ARRAYS)
    for key, value in ARRAYS.items():
        np.testing.assert_array_equal(values[key], value)
        assert values[key].dtype == value.dtype.newbyteorder("=")
        assert values[key].flags.c_contiguous and values[key].flags.writeable


def array_of_python_2(data, shape=(2,)):
    """The opcodes of an array whose bytes are a text of Python 2."""
    kind = Raw(b"cnumpy\ndtype\n" + encode(("f4", 0, 1)) + b"R" + encode((3, "<")) + b"b")
    made = b"cnumpy.core.multiarray\n_reconstruct\n"
    made += encode((Raw(b"cnumpy\nndarray\n"), (0,), "b")) + b"R"
    text = Raw(b"T" + len(data).to_bytes(4, "little") + data)
    return Raw(made + encode((1, shape, kind, False, text)) + b"b")


def test_a_pickle_of_python_2(tmp_path):
    values = np.array([1.5, -200], "<f4")
    path = tmp_path / "senet50.pkl"
    path.write_bytes(pickled({"conv1.weight": array_of_python_2(values.tobytes())}))
    np.testing.assert_array_equal(read_checkpoint(path).values["conv1.weight"], values)


@pytest.mark.parametrize("form", ("zip", "legacy"))
def test_a_pkl_file_of_pytorch_is_read_too(tmp_path, form):
    writer, path = Writer(form), tmp_path / "seresnet50.pkl"
    path.write_bytes(writer.data({"a": writer.tensor(np.arange(3.0), "Double")}))
    np.testing.assert_array_equal(read_checkpoint(path).values["a"], np.arange(3.0))


class Evil:
    def __reduce__(self):
        return (exec, ("raise SystemExit",))


@pytest.mark.parametrize(
    ("content", "word"),
    (
        (pickle.dumps({"a": Evil()}, 2), "exec"),
        (pickle.dumps([np.ones(3)], 2), "list"),
        (pickle.dumps({}, 2), "no arrays"),
        (pickle.dumps({"a": 3}, 2), "not an array"),
        (pickle.dumps({"a": np.array(["text"])}, 2), "kind"),
        (pickle.dumps({"a": np.array([None])}, 2), "kind"),
        (pickle.dumps({"a": np.ones(3)}, 0), "operation"),
        (pickled({"a": array_of_python_2(bytes(4))}), "bytes"),
        (pickled({"a": array_of_python_2(b"", (0, 2**70))}), "shape"),
        (b"", "ends early"),
        (b"no pickle", "operation"),
    ),
)
def test_all_else_is_refused_and_nothing_is_run(path, content, word):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"model\.pdparams.*{word}"):
        read_checkpoint(path)


def test_bytes_that_many_arrays_share_are_no_bomb(path):
    """Two kilobytes that a thousand arrays have, of a text that the pickle remembers."""
    text = 2048 * b"x"
    one = array_of_python_2(text, (512,))
    remembered = one.replace(text, text + b"q\x07")
    again = one.replace(b"T" + (2048).to_bytes(4, "little") + text, b"h\x07")
    arrays = {"a": Raw(remembered)} | {str(number): Raw(again) for number in range(1000)}
    path.write_bytes(pickled(arrays))
    with pytest.raises(ValueError, match="share"):
        read_checkpoint(path)


def test_damaged_files_are_sound_or_refused(path):
    sound = pickle.dumps(ARRAYS, 2)
    for length in range(0, len(sound), 7):
        path.write_bytes(sound[:length])
        with pytest.raises(ValueError, match=r"model\.pdparams"):
            read_checkpoint(path)
    generator = random.Random(0)
    refused = 0
    for _ in range(500):
        damaged = bytearray(sound)
        damaged[generator.randrange(len(sound))] ^= 1 << generator.randrange(8)
        path.write_bytes(damaged)
        try:
            assert all(value.dtype.kind in "fiu" for value in read_checkpoint(path).values.values())
        except ValueError as error:
            assert "model.pdparams" in str(error)
            refused += 1
    assert refused > 100
