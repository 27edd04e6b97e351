"""Eight-bit integers of ONNX Runtime and OpenVINO."""

import sys
from collections import Counter
from importlib.util import find_spec

import keras
import numpy as np
import pytest
from conftest import picture, run
from generated import image

from keras_se import SqueezeExcite
from keras_se.applications import SEResNet20
from keras_se.cli import main
from keras_se.export import FORMATS, export_model, load_exported, read_metadata

NAMES = ("onnx_int8", "openvino_int8")
pytestmark = pytest.mark.skipif(
    keras.backend.backend() == "jax", reason="what is quantized is the same graph on all backends"
)


def path_of(folder, name):
    if not all(map(find_spec, FORMATS[name].packages)):
        pytest.skip("this environment cannot write it")
    return folder / f"model{FORMATS[name].suffix}"


def gated(side=16):
    """A network with one block of gates, a residual sum and a product of constants."""
    images = keras.Input((side, side, 3))
    x = keras.layers.Conv2D(16, 3, padding="same", activation="relu", name="conv1")(images)
    y = keras.layers.Conv2D(16, 3, padding="same", name="conv2")(x)
    x = keras.layers.ReLU(name="relu")(keras.layers.Add()([x, SqueezeExcite(4, name="se")(y)]))
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, keras.layers.Dense(10, name="fc")(x), name="gated")


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    return gated()


@pytest.mark.parametrize("name", NAMES)
def test_trained_networks_say_the_same_of_most_images(tmp_path, name):
    """Of coarse random patterns; of photographs it is nearly all, see docs/deployment.md."""
    model = SEResNet20()
    random = np.random.default_rng(0)
    coarse = random.uniform(0, 255, (24, 4, 4, 3)).repeat(8, 1).repeat(8, 2)
    images = model.preprocessing.normalize(coarse.astype("uint8")).astype("float32")
    path = path_of(tmp_path, name)
    written = export_model(model, path, name, calibration=images)
    expected, found = run(model, images), load_exported(path)(images)
    assert len(set(expected.argmax(-1))) >= 3
    assert written.agreement == (expected.argmax(-1) == found.argmax(-1)).mean() >= 0.7
    # Of probabilities; in float32 it is 1e-6.
    assert 1e-4 < np.abs(expected - found).mean() < 0.03
    assert read_metadata(path)["class_names"][0] == "airplane"


def test_convolutions_of_onnx_are_in_integers(network, tmp_path):
    onnx = pytest.importorskip("onnx")
    calibration = np.concatenate([image(16, 16, seed=seed) for seed in range(4)])
    path = path_of(tmp_path, "onnx_int8")
    export_model(network, path, "onnx_int8", calibration=calibration)
    graph = onnx.load(path).graph
    counts = Counter(node.op_type for node in graph.node)
    assert counts["QuantizeLinear"] > 4 < counts["DequantizeLinear"]
    kinds = {one.name: (one.data_type, tuple(one.dims)) for one in graph.initializer}
    integer = (onnx.TensorProto.INT8, (16, 3, 3, 3))
    assert integer in kinds.values()
    # One scale for each output channel.
    assert (onnx.TensorProto.FLOAT, (16,)) in kinds.values()


def test_products_with_gates_have_no_integers_in_openvino(network, tmp_path):
    from keras_se.export.onnx.formats import import_openvino

    path = path_of(tmp_path, "openvino_int8")
    calibration = np.concatenate([image(16, 16, seed=seed) for seed in range(4)])
    export_model(network, path, "openvino_int8", calibration=calibration)
    model = import_openvino().Core().read_model(path)
    operations = {one.get_friendly_name(): one for one in model.get_ordered_ops()}
    product = operations["se"]
    assert product.get_type_name() == "Multiply"
    before = [one.get_source_output().get_node().get_type_name() for one in product.inputs()]
    assert "FakeQuantize" not in before
    assert any(one.get_type_name() == "FakeQuantize" for one in model.get_ordered_ops())


def test_without_nncf_its_name_is_said(network, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "nncf", None)  # as if it were not installed
    pytest.importorskip("openvino")
    with pytest.raises(ImportError, match="pip install nncf"):
        export_model(network, tmp_path / "m.xml", "openvino_int8", calibration=image(16, 16))
    assert not list(tmp_path.iterdir())


def test_any_size_with_normalization_included(network, tmp_path):
    path = path_of(tmp_path, "onnx_int8")
    pixels = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3)).astype("uint8")
    export_model(
        network,
        path,
        "onnx_int8",
        calibration=pixels,
        preprocessing=SEResNet20.weights[0].preprocessing,
    )
    assert read_metadata(path)["input_dtype"] == "uint8"
    assert load_exported(path)(np.zeros((2, 24, 20, 3), "uint8")).shape == (2, 10)


@pytest.mark.parametrize("labels", [None, ["left"] * 5 + ["right"] * 5])
def test_folders_of_classes_tell_the_accuracy(tmp_path, capsys, labels):
    """Of the weights' classes or of those of --labels, several of which may have the same name."""
    path = path_of(tmp_path, "onnx_int8")
    folders = (labels[0], labels[-1]) if labels else ("airplane", "dog")
    for index, name in enumerate(folders):
        picture(tmp_path / "pictures" / name / "a.png", (90 * index, 120, 200), (32, 32))
    words = ["export", "seresnet20", str(path), "--format", "onnx_int8"]
    if labels:
        (tmp_path / "labels.txt").write_text("\n".join(labels))
        words += ["--labels", str(tmp_path / "labels.txt")]
    assert main([*words, "--calibration", str(tmp_path / "pictures")]) == 0
    out = capsys.readouterr().out
    pixels = np.full((2, 32, 32, 3), [[[(0, 120, 200)]], [[(90, 120, 200)]]], "uint8")
    likeliest = load_exported(path)(SEResNet20.preprocess_input(pixels)).argmax(-1)
    names = read_metadata(path)["class_names"]
    right = [names[index] for index in likeliest] == np.array(folders)
    assert f"the right one for {100 * right.mean():.2f} %" in out
    assert "of 2 images" in out
