"""Every family in every format, run with the runtime itself against the Keras model."""

from importlib.util import find_spec

import keras
import numpy as np
import pytest
from conftest import run
from generated import image
from safetensors.numpy import load_file
from shallow import CLASSES, NETWORKS, build

from keras_se.export import FORMATS, export_model, read_metadata
from keras_se.export.served import serve
from keras_se.weights.port import load_state_dict

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
# Grouped convolutions, gates that are hard sigmoids, channels that change places.
FAST = ("resnext_t", "mobilenet_v3", "shufflenet")


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(
            name,
            marks=[pytest.mark.xdist_group(name), *([] if name in FAST else [pytest.mark.slow])],
        )
        for name in NETWORKS
    ],
)
def subject(request):
    """A network of generated weights, the same of any size, and images."""
    least, _ = NETWORKS[request.param]
    network, flexible = build(request.param, least), build(request.param)
    images = np.concatenate([image(least + 5, least + 12, seed=seed) for seed in range(2)])
    expected = run(flexible, images)
    # Else nothing that follows could fail.
    assert np.abs(expected[0] - expected[1]).max() > 1e-3 * np.abs(expected).max(), expected
    return network, images, expected


def _saved_model(path, images):
    import tensorflow as tf

    serve = tf.saved_model.load(str(path)).signatures["serving_default"]
    return serve(images=tf.constant(images))["output_0"].numpy()


def _onnx(path, images):
    import onnxruntime

    return onnxruntime.InferenceSession(path).run(["output_0"], {"images": images})[0]


def _openvino(path, images):
    import openvino

    precision = {"INFERENCE_PRECISION_HINT": "f32"}
    return openvino.Core().compile_model(path, "CPU", precision)({"images": images})["output_0"]


def _litert(path, images):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], images.shape)
    return interpreter.get_signature_runner("serving_default")(images=images)["output_0"]


def _keras(path, images):
    return run(keras.saving.load_model(path), images)


RUN = {
    "saved_model": _saved_model,
    "onnx": _onnx,
    "openvino": _openvino,
    "litert": _litert,
    "litert_int8": _litert,
    "keras": _keras,
}


@pytest.fixture(autouse=True, scope="module")
def _serve_once():
    """What is written is made once for all formats of a network."""
    made = {}

    def serve_once(model, **options):
        if options.get("calibration") is not None:
            return serve(model, **options)
        if (id(model), options["fold"]) not in made:
            made.clear()
            made[id(model), options["fold"]] = serve(model, **options)
        return made[id(model), options["fold"]]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("keras_se.export.serve", serve_once)
        yield


@pytest.mark.parametrize("name", FORMATS)
def test_every_family_in_every_format(subject, name, tmp_path):
    chosen = FORMATS[name]
    if chosen.tensorflow and not ON_TENSORFLOW:
        pytest.skip("TensorFlow writes it")
    if not all(map(find_spec, chosen.packages)):
        pytest.skip(f"needs {', '.join(chosen.packages)}")
    network, images, expected = subject
    path = tmp_path / f"model{chosen.suffix or ''}"
    calibration = {"calibration": images} if chosen.calibrated else {}
    written = export_model(network, path, name, class_names=CLASSES, **calibration)
    assert read_metadata(path)["class_names"] == list(CLASSES)
    if name == "state_dict":
        clone = keras.models.clone_model(network)
        load_state_dict(clone, load_file(path))
        for one, other in zip(clone.weights, network.weights, strict=True):
            np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (one, other)))
        return
    found = RUN[name](path, images)
    if chosen.calibrated:
        assert written.agreement == (found.argmax(-1) == expected.argmax(-1)).mean()
        assert written.difference == pytest.approx(np.abs(found - expected).max(), rel=1e-3)
    else:
        largest = np.abs(expected).max()
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * largest)
