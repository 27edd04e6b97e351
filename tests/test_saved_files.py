"""Files that keras_se 0.1.0 wrote still load: `saved/` was recorded with it, on TensorFlow."""

from pathlib import Path

import keras
import numpy as np

import keras_se  # noqa: F401 (registers every layer)

FOLDER = Path(__file__).parent / "saved"
RECORDED = np.load(FOLDER / "every_layer.npz")
REGISTERED = ("ChannelShuffle", "Enlarge", "HardSwishProduct", "ShakeShake", "SqueezeExcite")


def load():
    return keras.saving.load_model(FOLDER / "every_layer.keras")


def outputs(model):
    return model.predict(RECORDED["images"], verbose=0)


def test_every_registered_layer_of_a_keras_file_loads():
    found = {name.partition(">")[2] for name in keras.saving.get_custom_objects()}
    assert set(REGISTERED) <= found
    np.testing.assert_allclose(outputs(load()), RECORDED["outputs"], rtol=1e-4, atol=1e-5)


def test_a_weights_file_loads():
    model = load()
    for weight in model.weights:
        if "float" in weight.dtype:
            weight.assign(np.zeros(weight.shape))
    model.load_weights(FOLDER / "every_layer.weights.h5")
    np.testing.assert_allclose(outputs(model), RECORDED["outputs"], rtol=1e-4, atol=1e-5)
