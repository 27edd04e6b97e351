"""SavedModels that TensorFlow alone can run, verified after writing."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from conftest import run
from generated import image, tensor

from keras_se.applications import SEResNet18, SEResNet20
from keras_se.export import export_saved_model
from keras_se.weights import WEIGHTS
from keras_se.weights.port import export_state_dict, load_state_dict

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
needs_tensorflow = pytest.mark.skipif(not ON_TENSORFLOW, reason="SavedModels are TensorFlow's")
ROW = WEIGHTS["ResNet34"][0]  # its mean and deviation are 0.5, which no default is


@pytest.fixture(scope="module")
def model():
    network = SEResNet20(weights=None, input_shape=(32, 32, 3), classes=10)
    state = {key: tensor(key, one.shape) for key, one in export_state_dict(network).items()}
    load_state_dict(network, state)
    return network


def of_any_size(model):
    network = SEResNet20(weights=None, input_shape=(None, None, 3), classes=10)
    load_state_dict(network, export_state_dict(model))
    return network


@needs_tensorflow
def test_any_batch_and_size_in_a_process_with_tensorflow_only(model, tmp_path):
    difference = export_saved_model(model, tmp_path / "model")
    assert 0 <= difference < 1e-5
    images = np.concatenate([image(40, 52, seed=seed) for seed in range(3)])
    np.save(tmp_path / "images.npy", images)
    script = (
        "import sys\n"
        "sys.modules.update(keras=None, keras_se=None)  # as if they were not installed\n"
        "import numpy as np, tensorflow as tf\n"
        "serve = tf.saved_model.load('model').signatures['serving_default']\n"
        "(name,) = serve.structured_input_signature[1]\n"
        "(result,) = serve(**{name: tf.constant(np.load('images.npy'))}).values()\n"
        "np.save('result.npy', result.numpy())\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path)
    expected = run(of_any_size(model), images)
    np.testing.assert_allclose(np.load(tmp_path / "result.npy"), expected, rtol=1e-4, atol=1e-6)


@needs_tensorflow
def test_preprocessing_is_baked_in(model, tmp_path):
    import tensorflow as tf

    export_saved_model(model, tmp_path / "model", preprocessing=ROW)
    serve = tf.saved_model.load(str(tmp_path / "model")).signatures["serving_default"]
    pixels = np.random.default_rng(0).integers(0, 256, (2, 48, 32, 3)).astype("uint8")
    (result,) = serve(images=tf.constant(pixels)).values()
    normalised = ((pixels / 255 - 0.5) / 0.5).astype("float32")
    expected = run(of_any_size(model), normalised)
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-4, atol=1e-6)


@needs_tensorflow
def test_what_is_there_is_kept_unless_asked(model, tmp_path):
    kept = tmp_path / "model" / "mine.txt"
    kept.parent.mkdir()
    kept.write_text("mine")
    with pytest.raises(FileExistsError, match="model"):
        export_saved_model(model, kept.parent)
    assert kept.read_text() == "mine"
    with pytest.raises(FileExistsError, match="not a SavedModel"):
        export_saved_model(model, kept.parent, overwrite=True)
    assert kept.read_text() == "mine"
    assert [one.name for one in tmp_path.iterdir()] == ["model"]


@needs_tensorflow
def test_a_saved_model_is_replaced_when_asked_and_wherever_one_stands(model, tmp_path, monkeypatch):
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path / "model")
    export_saved_model(model, "../model")
    old = tmp_path / "model" / "old.txt"
    old.write_text("of the last export")
    monkeypatch.chdir(tmp_path / "model")
    with pytest.raises(FileExistsError):
        export_saved_model(model, ".")
    assert old.exists()
    export_saved_model(model, ".", overwrite=True)
    assert not old.exists()
    assert (tmp_path / "model" / "saved_model.pb").is_file()


@needs_tensorflow
def test_an_export_that_differs_is_not_kept(model, tmp_path, monkeypatch):
    def perturbed(network, preprocessing):
        copy = of_any_size(network)
        bias = copy.layers[-1].bias
        bias.assign(np.arange(10) * 0.01)
        return copy

    monkeypatch.setattr("keras_se.export._served", perturbed)
    with pytest.raises(ValueError, match="differs from the Keras model"):
        export_saved_model(model, tmp_path / "model")
    assert not list(tmp_path.iterdir())


@needs_tensorflow
def test_a_network_of_one_size_keeps_it(tmp_path):
    images = keras.Input((8, 8, 1))
    x = keras.layers.Dense(3)(keras.layers.Flatten()(images))
    assert export_saved_model(keras.Model(images, x), tmp_path / "model") < 1e-5


@needs_tensorflow
def test_other_inputs_are_refused(tmp_path):
    vector = keras.Input((8,))
    with pytest.raises(ValueError, match=r"one input of images.*8"):
        export_saved_model(keras.Model(vector, keras.layers.Dense(3)(vector)), tmp_path / "model")


@pytest.mark.skipif(ON_TENSORFLOW, reason="says what other backends cannot do")
def test_other_backends_name_the_one_that_can(tmp_path):
    with pytest.raises(ValueError, match="KERAS_BACKEND=tensorflow"):
        export_saved_model(SEResNet18(weights=None), tmp_path / "model")
    assert not list(tmp_path.iterdir())
