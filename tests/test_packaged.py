"""The weights that come with the package: whole, of the right network, and usable offline."""

import importlib.resources
from dataclasses import replace

import keras
import numpy as np
import pytest
from PIL import Image

from keras_se import SqueezeExcite, applications, cli
from keras_se.weights import WEIGHTS
from keras_se.weights.sources import PACKAGED

ROWS = {
    name: row for name, rows in WEIGHTS.items() for row in rows if row.source.startswith(PACKAGED)
}
# Logits of `picture()`, recorded when the weights were put into the package, on TensorFlow.
LOGITS = {
    "SEResNet20": (
        [1.1986, -0.4711, 0.0819, 0.1179, 0.5736, -0.4688, -0.5947, -0.0953, 0.0717, -0.4136]
    ),
    "SEResNet56": (
        [2.2155, -0.7797, -0.4584, 1.9133, -0.8678, 0.0894, -0.0845, -0.9058, -0.0444, -1.0824]
    ),
}


def picture():
    """Gray levels of a smooth image with a bright spot, `(1, 32, 32, 3)`."""
    y, x = np.mgrid[0:32, 0:32] / 32
    spot = np.exp(-20 * ((x - 0.4) ** 2 + (y - 0.6) ** 2))
    return np.uint8(255 * np.stack([spot, 0.5 * x + 0.3 * spot, 0.8 - 0.6 * y], axis=-1))[None]


def logits(name, model):
    application = applications.get_model(name)
    batch = application.preprocess_input(picture(), data_format="channels_last")
    if keras.config.image_data_format() == "channels_first":
        batch = batch.transpose(0, 3, 1, 2)
    return keras.ops.convert_to_numpy(model(batch, training=False))[0]


def build(name, **arguments):
    return applications.get_model(name)(**{"classifier_activation": None} | arguments)


def test_every_file_of_the_package_has_a_row():
    files = importlib.resources.files("keras_se.weights").joinpath("files").iterdir()
    assert {file.name for file in files if file.name.endswith(".safetensors")} == {
        row.source.removeprefix(PACKAGED) for row in ROWS.values()
    }
    assert set(LOGITS) == set(ROWS)


@pytest.mark.parametrize("name", ROWS)
def test_the_weights_give_the_logits_they_gave(name):
    model = build(name)
    np.testing.assert_allclose(logits(name, model), LOGITS[name], rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", ROWS)
def test_the_logits_need_every_block(name):
    model = build(name)
    blocks = [layer for layer in model.layers if isinstance(layer, SqueezeExcite)]
    blocks[0].fc2.bias.assign(0 * blocks[0].fc2.bias - 3)
    assert np.abs(logits(name, model) - LOGITS[name]).max() > 0.01


def test_the_only_checkpoint_of_a_network_is_its_default():
    assert applications.SEResNet20().class_names[0] == "airplane"
    with pytest.raises(ValueError, match="cifar10"):
        applications.SEResNet20(weights="imagenet")


def test_predict_names_the_classes_of_cifar(tmp_path, capsys):
    path = tmp_path / "photo.png"
    Image.fromarray(picture()[0]).resize((64, 48)).save(path)
    words = ["predict", "seresnet20", "--weights", "cifar10", "--top", "10", str(path)]
    assert cli.main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == str(path)
    names = {line.split("%")[1].strip() for line in lines[1:]}
    assert names == set(ROWS["SEResNet20"].class_names)
    assert sum(float(line.split("%")[0]) for line in lines[1:]) == pytest.approx(100, abs=0.1)


def test_a_damaged_file_of_the_package_is_refused(monkeypatch):
    row = replace(ROWS["SEResNet20"], sha256="00000000")
    monkeypatch.setitem(WEIGHTS, "SEResNet20", (row,))
    with pytest.raises(OSError, match="damaged"):
        build("SEResNet20")
