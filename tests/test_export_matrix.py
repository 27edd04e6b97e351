"""Every family in every format, run with the runtime itself against the Keras model."""

import contextlib
import dataclasses
from importlib.util import find_spec

import keras
import numpy as np
import pytest
from conftest import run
from families import CLASSES, NETWORKS, build
from generated import image
from safetensors.numpy import load_file

from keras_se.export import FORMATS, export_model, read_metadata
from keras_se.export.inference_model import make_inference_model
from keras_se.export.onnx.formats import import_openvino
from keras_se.export.quantization import HardSwishProduct, for_integers
from keras_se.weights import load_state_dict

HARD = keras.activations.hard_silu
ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
FAST = ("resnext_t",)
# Of each kind of layer that runtimes might know otherwise, a network is written in all formats:
# grouped and depthwise convolutions, hard swish, shuffled channels, branches, pooling to a size.
ALL_FORMATS = ("resnext_t", "mobilenet_v3", "shufflenet", "shake_shake", "densenet", "vgg")
# Whose runtimes know layers of their own; the other formats are Keras's and TensorFlow's functions.
RUNTIMES = ("onnx", "onnx_fixed", "openvino", "litert", "litert_int8")
# Of no other layers than Inception-ResNet, MobileNet v2 and the other ResNets.
SAME_LAYERS = ("inception", "bn_inception", "mobilenet", "legacy", "preactivated", "wide")


def in_short(network, name):
    """Whether the ordinary tests have this pair, and not only the large ones."""
    if network in ALL_FORMATS:
        return network in FAST or name in RUNTIMES
    return name == "onnx" and network not in SAME_LAYERS


def pairs():
    """Test parameters: a network and a format that this backend and environment can write."""
    for network in NETWORKS:
        for name, one in FORMATS.items():
            marks = [pytest.mark.xdist_group(network)]
            marks += [] if network in FAST else [pytest.mark.slow]
            marks += [] if in_short(network, name) else [pytest.mark.large]
            if all(map(find_spec, one.packages)) and (ON_TENSORFLOW or not one.tensorflow):
                yield pytest.param(network, name, marks=marks)


@pytest.fixture(scope="module")
def subject(request):
    """A network of generated weights, images, and what it gives for them."""
    least, _ = NETWORKS[request.param]
    network, any_size = build(request.param, least), build(request.param)
    images = np.concatenate([image(least + 5, least + 12, seed=seed) for seed in range(2)])
    expected = run(any_size, images)
    # Else nothing that follows could fail.
    assert np.abs(expected[0] - expected[1]).max() > 1e-3 * np.abs(expected).max(), expected
    with served_once():
        yield network, images, expected


@contextlib.contextmanager
def served_once():
    """What is written is made once for all formats."""
    served = {}

    def serve_once(model, *, fold, preprocessing, calibration=None, fixed_size=False):
        if fixed_size:
            return make_inference_model(
                model, fold=fold, preprocessing=preprocessing, fixed_size=True
            )
        if fold not in served:
            served[fold] = make_inference_model(model, fold=fold, preprocessing=preprocessing)
        if calibration is None:
            return served[fold]
        network = for_integers(served[fold].network, calibration)
        return dataclasses.replace(served[fold], network=network)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("keras_se.export.make_inference_model", serve_once)
        yield


def _saved_model(path, images):
    import tensorflow as tf

    serve = tf.saved_model.load(str(path)).signatures["serving_default"]
    return serve(images=tf.constant(images))["output_0"].numpy()


def _onnx(path, images):
    import onnxruntime

    return onnxruntime.InferenceSession(path).run(["output_0"], {"images": images})[0]


def _openvino(path, images):
    precision = {"INFERENCE_PRECISION_HINT": "f32"}
    model = import_openvino().Core().compile_model(path, "CPU", precision)
    return model({"images": images})["output_0"]


def _openvino_int8(path, images):
    core = import_openvino().Core()
    precision = FORMATS["openvino_int8"].precision(core)
    return core.compile_model(path, "CPU", precision)({"images": images})["output_0"]


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
    "onnx_fixed": _onnx,
    "onnx_int8": _onnx,
    "openvino": _openvino,
    "openvino_int8": _openvino_int8,
    "litert": _litert,
    "litert_int8": _litert,
    "keras": _keras,
}


@pytest.mark.parametrize(("subject", "name"), pairs(), indirect=["subject"])
def test_every_family_in_every_format(subject, name, tmp_path):
    chosen = FORMATS[name]
    network, images, expected = subject
    if chosen.fixed_size:
        side = network.input_shape[1]
        images = images[:, :side, :side]
        expected = run(network, images)
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


@pytest.mark.skipif(not ON_TENSORFLOW, reason="TensorFlow writes it")
def test_integers_have_no_operator_that_runs_by_itself(tmp_path):
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    network = build("mobilenet_v3", 32)
    assert any(one.name for one in network.layers if getattr(one, "activation", None) == HARD)
    images = np.concatenate([image(32, 32, seed=seed) for seed in range(4)])
    path = tmp_path / "model.tflite"
    written = export_model(network, path, "litert_int8", calibration=images)
    kinds = {one["op_name"] for one in interpreter.Interpreter(str(path))._get_ops_details()}
    assert "HARD_SWISH" not in kinds
    assert {"ADD", "MUL", "CONV_2D"} < kinds
    largest = np.abs(run(network, images)).max()
    # With the factors of the product the other way round it is 0.2.
    assert written.difference < 0.15 * largest


def test_hard_swish_becomes_a_product_wherever_it_is():
    keras.utils.set_random_seed(0)
    images = keras.Input((8, 8, 3))
    twice = keras.layers.Activation("hard_silu", name="twice")
    x = twice(keras.layers.Conv2D(3, 3, activation="hard_silu", name="within")(images))
    inner = keras.Input((6, 6, 3))
    inner = keras.Model(inner, keras.layers.Activation(HARD, name="inside")(inner), name="inner")
    network = keras.Model(images, inner(twice(x)))
    prepared = for_integers(network, np.zeros((1, 8, 8, 3), "float32"))
    layers = [*prepared.layers, *prepared.get_layer("inner").layers]
    found = [one.name for one in layers if isinstance(one, HardSwishProduct)]
    assert sorted(found) == ["inside", "twice", "within_product"]
    assert not [one for one in layers if getattr(one, "activation", None) is HARD]
    given = np.random.default_rng(0).standard_normal((2, 8, 8, 3), "float32") * 4
    np.testing.assert_allclose(run(prepared, given), run(network, given), rtol=0, atol=1e-5)
