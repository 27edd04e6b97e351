"""Files of Keras 2 are read by name; what is not sound is refused, and nothing in it is run."""

import zipfile

import h5py
import numpy as np
import pytest
from conftest import run
from keras2_files import write_keras2

from keras_se.applications import LegacySEResNet50, SEResNet20
from keras_se.weights import export_state_dict
from keras_se.weights.checkpoint import Checkpoint, read_checkpoint
from keras_se.weights.translate import translate

pytestmark = pytest.mark.backend_neutral

LAYERS = {
    "input_1": {},
    "conv1/7x7_s2": {"conv1/7x7_s2/kernel:0": np.arange(6.0).reshape(1, 1, 3, 2)},
    "block": {
        "block/a/a/kernel:0": np.ones((2, 2), "float32"),
        "block/b_1/kernel:0": np.zeros((2, 2), "float16"),
    },
    "classifier": {"classifier/kernel:0": np.ones((2, 3)), "classifier/bias:0": np.ones(3)},
}
NAMES = ["conv1/7x7_s2/kernel", "block/a/kernel", "block/b_1/kernel"]
NAMES += ["classifier/kernel", "classifier/bias"]


@pytest.fixture
def path(tmp_path):
    return write_keras2(tmp_path / "model.h5", LAYERS)


def test_arrays_have_the_names_of_layers_or_of_weights(path):
    checkpoint = read_checkpoint(path)
    assert checkpoint.keras_names and list(checkpoint.values) == NAMES
    first = LAYERS["conv1/7x7_s2"]["conv1/7x7_s2/kernel:0"]
    np.testing.assert_array_equal(checkpoint.values[NAMES[0]], first)


def test_names_may_have_a_fixed_size(path):
    expected = list(read_checkpoint(path).values)
    with h5py.File(path, "a") as file:
        file.attrs["layer_names"] = np.array([name.encode() for name in LAYERS])
    assert list(read_checkpoint(path).values) == expected


def test_archives_and_whole_models_are_read_too(path, tmp_path):
    expected = read_checkpoint(path).values
    packed = write_keras2(tmp_path / "packed.h5.zip", LAYERS)
    with h5py.File(path) as file, h5py.File(tmp_path / "whole.h5", "w") as whole:
        group = whole.create_group("model_weights")
        for name in file:
            file.copy(name, group)
        group.attrs["layer_names"] = file.attrs["layer_names"]
        whole.create_group("optimizer_weights")["iteration"] = 7
    for other in (packed, tmp_path / "whole.h5"):
        values = read_checkpoint(other).values
        assert list(values) == list(expected)
        for name, value in expected.items():
            np.testing.assert_array_equal(values[name], value)


def compressed(file):
    zeros = np.zeros((1000, 1000))
    del file["classifier/classifier/bias:0"]
    file.create_dataset("classifier/classifier/bias:0", data=zeros, compression="gzip")


def linked(file):
    del file["classifier/classifier/bias:0"]
    file["classifier/classifier/bias:0"] = h5py.ExternalLink("/etc/passwd", "0")


def soft(file):
    file["classifier/other"] = h5py.SoftLink("/block")


def shared(file):
    file["classifier/other"] = file["block"]


def numbers(file):
    file.attrs["layer_names"] = np.arange(3)


def square_list(file):
    file.attrs["layer_names"] = np.array([[b"block"]])


def claimed(file):
    file.create_dataset("classifier/x", (2**40,), "float32")


def unlisted(file):
    file["classifier/classifier/more:0"] = np.ones(3)


def missing_array(file):
    del file["classifier/classifier/bias:0"]


def missing_layer(file):
    file.attrs["layer_names"] = np.array([b"nothing"])


def no_list(file):
    del file.attrs["layer_names"]


def twice(file):
    file.attrs["layer_names"] = np.array([b"classifier", b"classifier"])


@pytest.mark.parametrize(
    ("damage", "word"),
    (
        (compressed, "compressed"),
        (linked, "link"),
        (soft, "link"),
        (shared, "another name"),
        (numbers, "layer_names"),
        (square_list, "layer_names"),
        (claimed, "not stored"),
        (unlisted, "more:0"),
        (missing_array, "bias:0"),
        (missing_layer, "nothing"),
        (no_list, "layer_names"),
        (twice, "two arrays"),
    ),
)
def test_what_keras_2_does_not_write_is_refused(path, damage, word):
    with h5py.File(path, "a") as file:
        damage(file)
    with pytest.raises(ValueError, match=rf"model\.h5.*{word}"):
        read_checkpoint(path)


def test_archives_of_more_or_of_a_bomb_are_refused(path, tmp_path):
    for name, members in (("two", {"a.h5": b"a", "b.h5": b"b"}), ("bomb", {"a.h5": bytes(2**25)})):
        packed = tmp_path / f"{name}.h5.zip"
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for member, content in members.items():
                archive.writestr(member, content)
        with pytest.raises(ValueError, match=packed.name):
            read_checkpoint(packed)


def test_damaged_files_change_nothing(path):
    """Bits turned at random, and every length: either the same arrays or an error that says so."""
    sound, expected = path.read_bytes(), read_checkpoint(path).values
    model = SEResNet20(weights=None, classes=10)
    before = export_state_dict(model)
    random = np.random.default_rng(0)
    cut = [sound[:length] for length in range(0, len(sound), 311)]
    damaged = list(cut)
    for position in random.integers(0, len(sound), 150):
        content = bytearray(sound)
        content[position] ^= 1 << int(random.integers(8))
        damaged.append(bytes(content))
    refused = []
    for content in damaged:
        path.write_bytes(content)
        try:
            assert len(read_checkpoint(path).values) == len(expected)
            refused.append(False)
        except ValueError as error:
            assert path.name in str(error)
            refused.append(True)
    assert all(refused[: len(cut)])
    assert any(refused[len(cut) :])
    # Sound or not, it is no checkpoint of this network.
    for content in (sound, sound[:-100]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=path.name):
            read_checkpoint(path).load_into(model, ("fc",))
    for key, value in export_state_dict(model).items():
        np.testing.assert_array_equal(value, before[key])


# What rcmalli's VGGFace2 network calls the layers of LegacySEResNet50.
FACES = (
    ("layer0_conv1", "conv1/7x7_s2"),
    ("layer0_bn1", "conv1/7x7_s2/bn"),
    ("last__linear", "classifier"),
)
PARTS = {"conv1": "1x1_reduce", "conv2": "3x3", "conv3": "1x1_increase", "downsample_0": "1x1_proj"}
PARTS |= {"bn1": "1x1_reduce/bn", "bn2": "3x3/bn", "bn3": "1x1_increase/bn"}
PARTS |= {"downsample_1": "1x1_proj/bn"}
GATES = {"fc1": "1x1_down", "fc2": "1x1_up"}


def faces_of(model):
    """The layers and weights that rcmalli's file would have."""
    layers = {}
    for variable in model.weights:
        layer, _, name = variable.path.rpartition("/")
        value = variable.numpy()
        if layer in dict(FACES):
            layer = dict(FACES)[layer]
            value = np.flip(value, 2) if layer == "conv1/7x7_s2" else value
        else:
            layer, _, gate = layer.partition("/")
            stage, block, part = layer.removeprefix("layer").split("_", 2)
            value = value[None, None] if gate and value.ndim == 2 else value
            layer = f"conv{int(stage) + 1}_{int(block) + 1}_{GATES.get(gate) or PARTS[part]}"
        layers.setdefault(layer, {})[f"{layer}/{name}:0"] = value
    return layers


@pytest.mark.slow
def test_faces_are_told_apart_in_red_green_and_blue(tmp_path):
    """The weights of rcmalli's file, whose images are BGR, in the network as Caffe has it."""
    network = LegacySEResNet50
    model = network(weights=None, classes=11, input_shape=(64, 64, 3))
    path = write_keras2(tmp_path / "senet50.h5", faces_of(model))
    loaded = network(weights=path, input_shape=(64, 64, 3))
    for value, expected in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(value, expected)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3)).astype("float32")
    (row,) = (row for row in network.weights if row.origin == "rcmalli")
    mean = np.array([91.4953, 103.8827, 131.0912])[::-1]
    np.testing.assert_allclose(row.preprocessing.normalize(pixels), pixels - mean, atol=1e-3)
    np.testing.assert_allclose(run(loaded, pixels), run(model, pixels), atol=1e-6)


def test_faces_do_not_load_into_the_network_of_timm():
    values = {"conv2_1_1x1_down/kernel": np.ones((1, 1, 256, 16))}
    checkpoint = Checkpoint("senet50.h5", values, keras_names=True)
    with pytest.raises(ValueError, match="LegacySEResNet50"):
        translate(checkpoint, "SEResNet50", "senet50.h5")
