"""Keras 2 files of users: `keras-se convert`, and the numbered layers of classification_models."""

import re

import numpy as np
import pytest
from conftest import GOLDENS
from keras2_files import layers, weight, write_keras2
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from test_imgclsmob import GOLDENS as IMGCLSMOB

from keras_se import cli
from keras_se.weights.checkpoint import Checkpoint
from keras_se.weights.translate import translate

pytestmark = pytest.mark.backend_neutral


def in_order(shapes):
    """The kind and timm's key of each layer, in the order in which Keras made them.

    Of a block: its convolutions and norms, its projection if it has one, and its gates.
    """
    projections = {key[: key.index(".down")] for key in shapes if ".downsample.0" in key}
    for key in shapes:
        block = key.partition(".se.fc1.weight")[0]
        if block in projections:
            yield "conv2d", f"{block}.downsample.0.weight"
            yield "batch_normalization", f"{block}.downsample.1.weight"
        if key.endswith(".weight") and ".downsample." not in key and key != "fc.weight":
            yield "conv2d" if len(shapes[key]) == 4 else "batch_normalization", key


def numbered(golden, groups, start):
    """Arrays of one number by the names of classification_models, and which they are by timm's."""
    shapes, counts, values, expected = dict(golden["state"]), {}, {}, {}
    for kind, key in in_order(shapes):
        module, size = key.removesuffix(".weight"), shapes[key][2:]
        value = np.full((*size, 1, 1) if kind == "conv2d" else (1,), len(expected))
        expected[key] = value
        for part in range(groups if module.endswith("conv2") else 1):
            number = start + counts.setdefault(kind, 0)
            counts[kind] += 1
            name = f"{kind}_{number}" if number else kind
            values[f"{name}/{'kernel' if kind == 'conv2d' else 'gamma'}"] = value + part / 100
            if ".se." in module:
                values[f"{name}/bias"] = np.ones(1)
    return values, expected


@pytest.mark.parametrize(
    ("golden", "network", "groups"),
    (
        ("seresnet50", "SEResNet50V1", 1),
        ("seresnext50_32x4d", "SEResNeXt50_32x4d", 32),
        ("senet154", "SENet154", 64),
    ),
)
@pytest.mark.parametrize("start", (0, 107))
def test_numbered_layers_become_those_of_timm(golden, network, groups, start):
    """Whatever the first number is, and in whatever order the file has them."""
    values, expected = numbered(GOLDENS[golden], groups, start)
    values = dict(sorted(values.items(), key=lambda pair: pair[0][::-1]))
    checkpoint = Checkpoint("old.h5", values, keras_names=True)
    result = translate(checkpoint, network, "old.h5").values
    for key, value in expected.items():
        module = key.removesuffix(".weight")
        if network == "SEResNet50V1":
            module = re.sub(r"^(layer[234]\.0\.conv1)$", r"\1_strided", module)
        name = module.replace("_", "__").replace(".", "_")
        name += "/gamma" if len(value.shape) == 1 else "/kernel"
        parts = groups if module.endswith("conv2") else 1
        whole = np.concatenate([value + part / 100 for part in range(parts)], axis=-1)
        np.testing.assert_array_equal(result[name], whole, err_msg=name)


def test_the_padding_of_the_stem_is_told():
    values, _ = numbered(GOLDENS["seresnet50"], 1, 1)
    checkpoint = Checkpoint("old.h5", values, keras_names=True)
    for other in ("LegacySEResNet50", "SEResNet50", "SEResNeXt50_32x4d"):
        with pytest.raises(ValueError, match=rf"SEResNet50V1.*not that of {other}.*pooling"):
            translate(checkpoint, other, "old.h5")


def test_other_numbered_networks_are_refused():
    values, _ = numbered(GOLDENS["seresnet50"], 1, 1)
    del values["conv2d_7/kernel"], values["conv2d_7/bias"]
    with pytest.raises(ValueError, match=r"old\.h5.*classification_models"):
        translate(Checkpoint("old.h5", values, keras_names=True), "SEResNet50V1", "old.h5")
    values = {"bn_data/beta": np.ones(3), "stage1_unit1_conv1/kernel": np.ones((3, 3, 64, 64))}
    with pytest.raises(ValueError, match="no network of keras_se"):
        translate(Checkpoint("old.h5", values, keras_names=True), "SEResNet18", "old.h5")


def convert(*words):
    return cli.main(["convert", *map(str, words)])


def test_convert_writes_all_that_the_file_has(tmp_path, capsys):
    golden = IMGCLSMOB["seresnet20_cifar10"]
    old, new = tmp_path / "old.h5", tmp_path / "new.safetensors"
    write_keras2(old, layers(golden))
    arguments = (old, "--network", "seresnet20", "--out", new)
    assert convert(*arguments) == 0
    state = load_file(new)
    assert sum(value.size for key, value in state.items() if "running" not in key) == 274847
    name = "cifarse_res_net/features/features/init_block/conv/conv/kernel:0"
    expected = weight(name, (3, 3, 3, 16), "kernel").transpose(3, 2, 0, 1)
    np.testing.assert_array_equal(state["conv1.weight"], expected)
    with safe_open(new, "numpy") as file:
        assert file.metadata()["network"] == "SEResNet20"
    assert "SEResNet20" in capsys.readouterr().out
    assert convert(*arguments) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert convert(*arguments, "--overwrite") == 0


@pytest.mark.parametrize(
    ("words", "message"),
    (
        (("missing.h5", "--network", "seresnet20", "--out", "new.safetensors"), "missing.h5"),
        (("old.h5", "--network", "seresnet20", "--out", "new.pth"), ".safetensors"),
        (("old.h5", "--network", "seresnet20", "--out", "new.safetensors"), "old.h5"),
    ),
)
def test_convert_says_what_is_wrong_and_writes_nothing(
    tmp_path, monkeypatch, capsys, words, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.h5").write_bytes(b"nothing")
    assert convert(*words) == 2
    assert message in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["old.h5"]


def test_convert_refuses_what_says_that_it_is_of_another_network(tmp_path, capsys):
    """Before it reads the names."""
    old, new = tmp_path / "old.safetensors", tmp_path / "new.safetensors"
    save_file({"fc.bias": np.zeros(3, "float32")}, old, metadata={"network": "SEResNet50"})
    assert convert(old, "--network", "seresnet50v1", "--out", new) == 2
    assert "use SEResNet50." in capsys.readouterr().err
    assert not new.exists()
