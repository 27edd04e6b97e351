"""Every family in every format, run with the runtime itself against the Keras model."""

from functools import partial
from importlib.util import find_spec

import keras
import numpy as np
import pytest
from conftest import run
from generated import image, tensor
from safetensors.numpy import load_file

from keras_se import applications as zoo
from keras_se.applications import cifar
from keras_se.applications.application import Application
from keras_se.applications.resnet import basic, bottleneck, resnet
from keras_se.applications.vgg import vgg_head
from keras_se.export import FORMATS, export_model, read_metadata
from keras_se.export.served import serve
from keras_se.weights.port import export_state_dict, load_state_dict

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
CLASSES = tuple("abcde")
SHALLOW = (1, 1, 1, 1)
RESNET = partial(Application, trunk=resnet, depths=SHALLOW)
CIFAR = partial(Application, se=zoo.PAPER_SE, size=32, smallest=4)


def shallow(row, **arguments):
    """A row of the zoo with less of the same blocks."""
    trunk = partial(row._trunk, **arguments)
    made = Application(f"{row.name}Shallow", trunk, se=row._se, smallest=row.smallest)
    made._head, made._head_layers = row._head, row._head_layers
    return made


# Least size in pixels, and the network: blocks of every family, as few as there can be.
# fmt: off
NETWORKS = {
    "resnet_d": (32, RESNET("SEA", block=basic, **zoo.D)),
    "resnet_aa": (32, RESNET("SEB", block=basic, **zoo.AA)),
    "resnext_t": (32, RESNET("SEC", block=bottleneck, groups=32, width=4, **zoo.T)),
    "resnet_ts": (32, shallow(zoo.SEResNeXt26TS, depths=SHALLOW, filters=(32, 64, 128, 128))),
    "legacy": (32, shallow(zoo.LegacySEResNet18, depths=SHALLOW, block=zoo.LX4)),
    "cifar": (16, CIFAR("SED", cifar.cifar_resnet, depth=8)),
    "preactivated": (16, CIFAR("SEE", cifar.cifar_preresnet, depth=8, block=cifar.preactivated_basic)),
    "wide": (16, CIFAR("SEF", cifar.wide_resnet, depth=10, widen=2)),
    "shake_shake": (16, CIFAR("SEG", cifar.shake_shake, depth=8, width=16)),
    "inception_resnet": (75, shallow(zoo.SEInceptionResNetV2, depths=(1, 1, 1))),
    "inception": (75, zoo.SEInceptionV3),
    "bn_inception": (32, zoo.SEBNInception),
    "mobilenet": (32, zoo.SEMobileNet.variant(alpha=0.25)),
    "mobilenet_v2": (32, zoo.SEMobileNetV2.variant(alpha=0.35)),
    "mobilenet_v3": (32, zoo.MobileNetV3Small_050),
    "shufflenet": (32, shallow(zoo.SEShuffleNet, depths=(2, 2, 2), scale=0.5)),
    "vgg": (32, shallow(zoo.SEVGG11, stages=((16,), (16,), (32,), (32,), (32,)))),
    "densenet": (32, shallow(zoo.SEDenseNet121, depths=(2, 2, 2, 2))),
}
# fmt: on
NETWORKS["vgg"][1]._head = partial(vgg_head, hidden=32, name="head_fc")
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
    least, row = NETWORKS[request.param]
    build = partial(row, weights=None, classes=len(CLASSES), classifier_activation=None)
    network, flexible = build(input_shape=(least, least, 3)), build(input_shape=(None, None, 3))
    state = {key: tensor(key, one.shape) for key, one in export_state_dict(network).items()}
    load_state_dict(network, state)
    load_state_dict(flexible, state)
    images = np.concatenate([image(least + 5, least + 12, seed=seed) for seed in range(2)])
    expected = run(flexible, images)
    # Else nothing that follows could fail.
    assert np.abs(expected[0] - expected[1]).max() > 1e-3, expected
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
