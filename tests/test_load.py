"""Loading is strict both ways, all or nothing, and executes nothing of a file."""

import json
import logging
import os
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from conftest import run
from generated import image, tensor
from safetensors.numpy import load_file, save_file

from keras_se.applications import LegacySEResNet18, MobileNetV3Small, SEResNet18, SEResNet20
from keras_se.weights import export_state_dict, load_keras_weights, load_state_dict, sources
from keras_se.weights.checkpoint import Checkpoint, read_checkpoint
from keras_se.weights.readers import ENDINGS, find_reader

every_ending = pytest.mark.parametrize("ending", (".safetensors", ".weights.h5", ".keras"))


def save(model, path):
    """Writes the weights of `model` in the format of the ending of `path`."""
    writers = {".safetensors": lambda to: export_state_dict(model, to), ".keras": model.save}
    writers.get(path.suffix, model.save_weights)(path)
    return path


@pytest.fixture(scope="module")
def small():
    """SE-ResNet-20 with generated weights, and its state dict."""
    model = SEResNet20(weights=None, input_shape=(None, None, 3), classes=10)
    state = {key: tensor(key, one.shape) for key, one in export_state_dict(model).items()}
    load_state_dict(model, state)
    return model, state


@pytest.mark.parametrize("network", (SEResNet20, MobileNetV3Small))
def test_a_model_that_calls_a_network_has_its_state_dict(network):
    inner = network(weights=None, classes=3, input_shape=(32, 32, 3))
    images = keras.Input((32, 32, 3))
    state = export_state_dict(keras.Model(images, inner(images)))
    expected = export_state_dict(inner)
    assert state.keys() == expected.keys()
    for key, value in state.items():
        np.testing.assert_array_equal(value, expected[key])


@pytest.mark.backend_neutral
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_pipe_is_no_checkpoint(tmp_path, ending):
    path = tmp_path / f"model{ending}"
    os.mkfifo(path)
    with pytest.raises(OSError, match="not a regular file"):
        read_checkpoint(path)


@pytest.fixture
def untouched(small):
    """The small network; afterwards, its weights must be what they were."""
    model, state = small
    yield model
    for key, value in export_state_dict(model).items():
        np.testing.assert_array_equal(value, state[key], err_msg=key)


def changed(state, **changes):
    """`state` with other values: keys with `__` for `.`; `None` removes one."""
    result = {**state}
    for key, value in changes.items():
        key = key.replace("__", ".")
        result.pop(key, None)
        if value is not None:
            result[key] = value
    return result


@pytest.mark.backend_neutral
@pytest.mark.parametrize(
    ("changes", "words"),
    (
        ({"conv1__weight": None}, ("missing", "conv1_kernel")),
        ({"layer1__0__se__fc1__bias": None}, ("missing", "layer1_0_se_fc1_bias")),
        ({"extra__weight": np.zeros((3, 3))}, ("left over", "extra.weight")),
        ({"bn1__weight": np.zeros(17)}, ("wrong shape", "bn1_gamma", "(17,)", "(16,)")),
        ({"conv1__weight": np.zeros((16, 3, 5, 5))}, ("wrong shape", "(5, 5, 3, 16)")),
        ({"conv1__weight": np.zeros((16, 4, 3, 3))}, ("wrong shape", "(3, 3, 4, 16)")),
        ({"fc__bias": None}, ("missing", "fc_bias")),
        ({"fc__weight": None}, ("missing", "fc_kernel")),
        ({"fc__weight": np.zeros((7, 99))}, ("wrong shape", "fc_kernel (99, 7)")),
        ({"fc__weight": np.zeros((10, 99))}, ("wrong shape", "fc_kernel (99, 10)")),
        ({"conv1_kernel": np.zeros((3, 3, 3, 16))}, ("left over", "'conv1_kernel'")),
        ({"bn1__weight": np.full(16, np.nan)}, ("not finite floats", "bn1_gamma")),
        ({"bn1__weight": np.full(16, 1e300)}, ("not finite floats", "bn1_gamma")),
        ({"bn1__running_var": np.full(16, -1.0)}, ("negative variances", "bn1_moving_variance")),
        ({"bn1__weight": np.zeros(16, "int8")}, ("not finite floats", "int8")),
        ({"bn1__weight": np.zeros(16, "complex64")}, ("not finite floats", "complex64")),
        ({"bn1__weight": np.array(["x"] * 16)}, ("not finite floats", "bn1_gamma")),
        (
            {"bn1__weight": np.zeros(17), "bn1__bias": None, "more": np.zeros(1)},
            ("missing: bn1_beta", "left over: more", "wrong shape: bn1_gamma"),
        ),
    ),
)
def test_what_does_not_fit_is_named_and_nothing_is_loaded(small, untouched, changes, words):
    state = {key: np.zeros_like(value) for key, value in small[1].items()}
    with pytest.raises(ValueError) as raised:
        load_state_dict(untouched, changed(state, **changes), head="fc", source="FILE")
    for word in ("FILE", "seresnet20", *words):
        assert word in str(raised.value)


@pytest.mark.backend_neutral
def test_many_missing_tensors_make_a_short_message(untouched):
    with pytest.raises(ValueError, match="missing") as raised:
        load_state_dict(untouched, {})
    assert len(str(raised.value)) < 400


@pytest.mark.backend_neutral
def test_two_tensors_for_one_variable_are_refused(untouched):
    with pytest.raises(ValueError, match="bn1_gamma"):
        load_keras_weights(untouched, {"bn1/gamma": np.ones(16), "bn1_gamma": np.ones(16)})


@pytest.mark.backend_neutral
def test_counters_of_batch_norm_are_ignored(small):
    model, state = small
    load_state_dict(model, changed(state, bn1__num_batches_tracked=np.array(7)))


@every_ending
def test_every_kind_of_file_brings_the_weights_back(small, tmp_path, ending):
    model, state = small
    path = save(model, tmp_path / f"model{ending}")
    loaded = SEResNet20(weights=path, input_shape=(None, None, 3), classes=None)
    for key, value in export_state_dict(loaded).items():
        np.testing.assert_array_equal(value, state[key], err_msg=key)


@pytest.mark.backend_neutral
def test_a_state_dict_has_the_mode_of_new_files(small, tmp_path):
    path = save(small[0], tmp_path / "model.safetensors")
    (tmp_path / "other").touch()
    assert path.stat().st_mode == (tmp_path / "other").stat().st_mode
    assert load_file(path).keys() == small[1].keys()


@every_ending
@pytest.mark.parametrize(
    ("one", "other"), ((SEResNet18, LegacySEResNet18), (LegacySEResNet18, SEResNet18))
)
def test_legacy_and_modern_checkpoints_do_not_mix(tmp_path, ending, one, other):
    """They may agree in every shape, and then give logits that are 10 percent off."""
    path = save(one(weights=None, classes=10), tmp_path / f"model{ending}")
    with pytest.raises(ValueError, match="Legacy"):
        other(weights=path, classes=10)


def test_one_channel_sums_the_kernel_of_three(small, tmp_path):
    path = save(small[0], tmp_path / "model.safetensors")
    gray = SEResNet20(weights=path, input_shape=(None, None, 1), classes=10)
    images = image(32, 32, 1)
    expected = run(small[0], np.repeat(images, 3, axis=3))
    np.testing.assert_allclose(run(gray, images), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("channels", (2, 4, 6, 7))
def test_more_channels_tile_the_kernel_and_keep_its_sum(small, tmp_path, channels):
    model, state = small
    path = save(model, tmp_path / "model.safetensors")
    wide = SEResNet20(weights=path, input_shape=(None, None, channels), classes=10)
    kernel = export_state_dict(wide)["conv1.weight"]
    for channel in range(channels):
        expected = state["conv1.weight"][:, channel % 3] * (3 / channels)
        np.testing.assert_allclose(kernel[:, channel], expected, rtol=1e-6)


@every_ending
def test_other_classes_keep_a_fresh_head_and_say_so(small, tmp_path, caplog, ending):
    model, state = small
    path = save(model, tmp_path / f"model{ending}")
    with caplog.at_level(logging.WARNING, "keras_se"):
        other = SEResNet20(weights=path, input_shape=(None, None, 3), classes=7)
    (record,) = caplog.records
    assert "'fc'" in record.getMessage()
    assert path.name in record.getMessage()
    loaded = export_state_dict(other)
    assert loaded["fc.weight"].shape == (7, 64)
    for key in state.keys() - {"fc.weight", "fc.bias"}:
        np.testing.assert_array_equal(loaded[key], state[key], err_msg=key)


def test_without_the_top_the_head_is_left_out(small, tmp_path, caplog):
    model, state = small
    path = save(model, tmp_path / "model.safetensors")
    loaded = export_state_dict(SEResNet20(include_top=False, weights=path))
    assert set(loaded) == set(state) - {"fc.weight", "fc.bias"}
    np.testing.assert_array_equal(loaded["conv1.weight"], state["conv1.weight"])
    assert not caplog.records


def test_a_checkpoint_without_a_head_does_not_make_a_random_one(small, tmp_path):
    path = tmp_path / "model.safetensors"
    save_file(changed(small[1], fc__weight=None, fc__bias=None), path)
    with pytest.raises(ValueError, match="fc_kernel"):
        SEResNet20(weights=path, classes=10)
    with pytest.raises(ValueError, match="head"):
        SEResNet20(weights=path, classes=None)


@pytest.mark.backend_neutral
@pytest.mark.parametrize(
    ("kernel", "bias"),
    (
        (np.zeros((10, 64)), np.zeros(())),
        (np.zeros((10, 64)), np.zeros((10, 1))),
        (np.zeros((0, 64)), np.zeros(0)),
        (np.zeros((10, 64)), np.zeros(11)),
        (np.zeros(10), np.zeros(10)),
        (None, np.zeros(10)),
        # Of 64 features, it would take 25 MB: of a damaged file, perhaps all the memory.
        (np.zeros((100_001, 0)), np.zeros(100_001)),
    ),
)
def test_classes_are_not_counted_in_a_damaged_head(small, tmp_path, kernel, bias):
    path = tmp_path / "model.safetensors"
    save_file(changed(small[1], fc__weight=kernel, fc__bias=bias), path)
    with pytest.raises(ValueError, match=r"model\.safetensors.*classes"):
        SEResNet20(weights=path, classes=None)


@pytest.mark.backend_neutral
@every_ending
def test_damaged_files_are_refused(small, tmp_path, ending):
    path = save(small[0], tmp_path / f"model{ending}")
    sound = path.read_bytes()
    for length in (0, 1, 100, len(sound) // 2, len(sound) - 1):
        path.write_bytes(sound[:length])
        with pytest.raises(ValueError, match=path.name):
            SEResNet20(weights=path, classes=10)
    random = np.random.default_rng(0)
    refused = 0
    for position in random.integers(0, 2000, 40):
        # In the first bytes, where all three keep what they describe.
        damaged = bytearray(sound)
        damaged[position] ^= 0xFF
        path.write_bytes(bytes(damaged))
        refused += not harmless(path, small)
    # Keras's own file has its description of the network there, which nobody here reads.
    assert refused >= {".safetensors": 20, ".weights.h5": 5, ".keras": 0}[ending]


def harmless(path, small):
    """Whether the file brings the right weights; if not, it must say so and change nothing."""
    model, state = small
    try:
        read_checkpoint(path).load_into(model, ("fc",))
        sound = True
    except (ValueError, OSError) as error:
        assert path.name in str(error)
        sound = False
    for key, value in export_state_dict(model).items():
        np.testing.assert_array_equal(value, state[key], err_msg=key)
    return sound


@pytest.mark.backend_neutral
def test_links_in_keras_files_are_refused(small, tmp_path):
    secret, path = tmp_path / "secret.h5", save(small[0], tmp_path / "model.weights.h5")
    with h5py.File(secret, "w") as file:
        file["0"] = np.ones((3, 3, 3, 16))
    with h5py.File(path, "a") as file:
        del file["layers/conv2d/vars/0"]
        file["layers/conv2d/vars/0"] = h5py.ExternalLink(str(secret), "0")
    with pytest.raises(ValueError, match="link"):
        SEResNet20(weights=path, classes=10)


def doubled_groups(file):
    """As many paths as 2 to the power of 40."""
    group = file.create_group("layers")
    for _ in range(40):
        group["other"] = inner = group.create_group("one")
        group = inner


def shared_array(file):
    """A megabyte that many layers have."""
    array = file.create_dataset("array", data=np.zeros(250_000, "float32"))
    for number in range(100):
        file.create_group(f"layers/{number}/vars")["0"] = array


def deep_groups(file):
    file.create_group("/".join(["layers"] + 2000 * ["group"]))


def large_chunk(file):
    """Ten numbers to read, and a megabyte of zeros to unpack for that."""
    group = file.create_group("layers/layer/vars")
    zeros = {"chunks": (250_000,), "maxshape": (None,), "compression": "gzip"}
    group.create_dataset("0", data=np.zeros(10, "float32"), **zeros)


def many_names(file):
    group = file.create_group("layers/layer/vars")
    group["0"] = np.zeros(10, "float32")
    group.attrs["name"] = 100 * ["layer"]


def claimed_array(file):
    file.create_group("layers/layer/vars").create_dataset("0", (2**40,), "float32")


@pytest.mark.backend_neutral
@pytest.mark.parametrize(
    ("write", "word"),
    (
        (doubled_groups, "another name"),
        (shared_array, "another name"),
        (deep_groups, "in one another"),
        (large_chunk, "compressed"),
        (many_names, "'name'"),
        (claimed_array, "not stored"),
    ),
)
def test_a_small_keras_file_takes_no_time_and_memory(tmp_path, write, word):
    path = tmp_path / "model.weights.h5"
    with h5py.File(path, "w") as file:
        write(file)
    with pytest.raises(ValueError, match=rf"model\.weights\.h5.*{word}"):
        read_checkpoint(path)


@pytest.mark.backend_neutral
@pytest.mark.parametrize("ending", (".safetensors", ".weights.h5", ".pth"))
def test_what_does_not_fit_in_memory_is_named(tmp_path, monkeypatch, ending):
    path = tmp_path / f"model{ending}"
    path.touch()

    def read(path):
        raise MemoryError

    monkeypatch.setattr(find_reader(path), "read", read)
    with pytest.raises(ValueError, match=rf"model\{ending}' do not fit in memory"):
        read_checkpoint(path)


@pytest.mark.backend_neutral
def test_a_damaged_heap_does_not_stop_the_process(small, tmp_path):
    """HDF5 itself reads such a file for ever."""
    path = save(small[0], tmp_path / "model.weights.h5")
    content = bytearray(path.read_bytes())
    first = content.index(b"GCOL") + 16
    content[first : first + 16] = bytes(16)
    path.write_bytes(content)
    with pytest.raises(ValueError, match="heap"):
        SEResNet20(weights=path, classes=10)


@pytest.mark.backend_neutral
def test_a_compressed_keras_file_is_refused(small, tmp_path):
    path, bomb = save(small[0], tmp_path / "model.keras"), tmp_path / "bomb.keras"
    with (
        zipfile.ZipFile(path) as old,
        zipfile.ZipFile(bomb, "w", compression=zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with pytest.raises(ValueError, match="compressed"):
        SEResNet20(weights=bomb, classes=10)


@pytest.mark.backend_neutral
@pytest.mark.parametrize(
    ("weights", "error", "words"),
    (
        ("no/such/file.safetensors", FileNotFoundError, "no/such/file.safetensors"),
        (Path("nothing"), FileNotFoundError, "nothing"),
        ("missing.onnx", FileNotFoundError, "missing.onnx"),
        ("timm/seresnet50.ra2_in1k", FileNotFoundError, "hf://timm/seresnet50.ra2_in1k"),
        ("folder", IsADirectoryError, "folder"),
        ("model.onnx", ValueError, ".safetensors"),
        ("model.h5", ValueError, "Keras 2"),
        ("other.weights.h5", ValueError, "layers"),
        ("seresnet20.cifar10", ValueError, "'cifar10'"),
        ("hf://one-part", ValueError, "hf://one-part"),
        (7, ValueError, "weights=7"),
    ),
)
def test_what_is_no_checkpoint_is_said_at_once(tmp_path, monkeypatch, weights, error, words):
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("model.onnx").touch()
    Path("model.h5").touch()
    with h5py.File("other.weights.h5", "w") as file:
        file["model_weights"] = np.ones(3)
    with pytest.raises(error) as raised:
        SEResNet20(weights=weights, classes=10)
    assert words in str(raised.value)


def test_another_source_is_one_more_class(small, monkeypatch):
    class Memory:
        def matches(self, request):
            return request.weights.startswith("memory:")

        def open(self, request):
            return Checkpoint(request.weights, small[1])

    monkeypatch.setattr(sources, "SOURCES", (Memory(), *sources.SOURCES))
    loaded = export_state_dict(SEResNet20(weights="memory:small", classes=10))
    np.testing.assert_array_equal(loaded["conv1.weight"], small[1]["conv1.weight"])


@pytest.mark.backend_neutral
def test_export_refuses_another_ending_and_leaves_nothing(small, tmp_path):
    with pytest.raises(ValueError, match="safetensors"):
        export_state_dict(small[0], tmp_path / "model.pth")
    assert not list(tmp_path.iterdir())


def test_half_precision_is_widened(small, tmp_path):
    """bfloat16, in a file written by hand: a header in JSON and the upper halves of the numbers."""
    _, state = small
    exact = {key: (value.view("u4") & 0xFFFF0000).view("f4") for key, value in state.items()}
    header, data = {}, b""
    for key, value in exact.items():
        start, data = len(data), data + (value.view("u4") >> 16).astype("<u2").tobytes()
        offsets = [start, len(data)]
        header[key] = {"dtype": "BF16", "shape": value.shape, "data_offsets": offsets}
    text = json.dumps(header).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    loaded = SEResNet20(weights=path, classes=10)
    for key, value in export_state_dict(loaded).items():
        np.testing.assert_array_equal(value, exact[key], err_msg=key)
