"""ONNX files as ONNX Runtime is fastest with: what its own optimizer makes of them."""

from collections import Counter

import keras
import numpy as np
import pytest
from conftest import run
from families import CIFAR, build

from keras_se.applications import cifar
from keras_se.export import export_model

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def written(network, folder, name):
    """Path of the ONNX file of a network, verified by the export."""
    path = folder / network.name / f"{name}.onnx"
    assert export_model(network, path, name).difference < 1e-5
    return path


def operators(path):
    """How many of each operator there are."""
    return Counter(node.op_type for node in onnx.load(path).graph.node)


def optimized(path):
    """How many of each operator ONNX Runtime runs on this processor."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(path.with_suffix(".optimized"))
    options.log_severity_level = 3  # It warns that such a file is for this processor only.
    onnxruntime.InferenceSession(path, options)
    return operators(options.optimized_model_filepath)


def reorders(counts):
    return counts["ReorderInput"] + counts["ReorderOutput"]


@pytest.fixture(scope="module")
def networks():
    """SE-ResNet of two blocks a stage, whose maps have whole blocks of channels, and its twin."""
    row = CIFAR("SEG", cifar.cifar_resnet, depth=14)
    shape = {"input_shape": (16, 16, 3), "classes": 5}
    keras.utils.set_random_seed(0)
    return [row(weights=None, se=se, **shape) for se in (True, False)]


def test_gates_of_known_maps_stay_in_the_layout_of_convolutions(networks, tmp_path):
    gated, plain = networks
    without = optimized(written(plain, tmp_path, "onnx"))
    if not reorders(without):
        pytest.skip("ONNX Runtime has no blocked layout on this processor")
    fixed = optimized(written(gated, tmp_path, "onnx_fixed"))
    assert fixed["Upsample"] == fixed["Mul"] == 6
    # Of each block one pixel leaves it, since its first dense layer has but one channel or two.
    assert reorders(fixed) <= reorders(without) + 6
    assert fixed["Add"] == fixed["Relu"] == 0
    assert reorders(optimized(written(gated, tmp_path, "onnx"))) >= reorders(without) + 18


def test_gates_of_unknown_maps_are_not_enlarged(networks, tmp_path):
    kinds = operators(written(networks[0], tmp_path, "onnx"))
    assert kinds["Mul"] == 6
    assert kinds["Resize"] == 0


def test_only_products_without_another_convolution_get_one(networks, tmp_path):
    counts = [
        operators(written(networks[0], tmp_path, name))["Conv"] for name in ("onnx", "onnx_fixed")
    ]
    # Two of the six blocks have a projection, which takes on the sum.
    assert counts[1] - counts[0] == 4


def test_any_batch_of_the_one_size(networks, tmp_path):
    path = written(networks[0], tmp_path, "onnx_fixed")
    session = onnxruntime.InferenceSession(path)
    for batch in (1, 3):
        images = np.random.default_rng(batch).standard_normal((batch, 16, 16, 3), "float32")
        (found,) = session.run(None, {"images": images})
        np.testing.assert_allclose(found, run(networks[0], images), rtol=0, atol=1e-6)
    with pytest.raises(Exception, match="invalid dimensions"):
        session.run(None, {"images": np.zeros((1, 20, 16, 3), "float32")})


def test_a_network_of_any_size_has_no_one_size(tmp_path):
    with pytest.raises(ValueError, match="one image size"):
        export_model(build("cifar"), tmp_path / "model.onnx", "onnx_fixed")
    assert list(tmp_path.iterdir()) == []


def test_a_network_within_a_model_of_one_size(networks, tmp_path):
    images = keras.Input((16, 16, 3))
    around = keras.Model(images, networks[0](images), name="around")
    assert operators(written(around, tmp_path, "onnx_fixed"))["Resize"] == 6


def with_gates(channels, of_gates, summands):
    """A product with gates, and its sum with maps of more channels."""
    keras.utils.set_random_seed(0)
    images = keras.Input((8, 8, 3), name="images")
    y = keras.layers.Conv2D(channels, 3, padding="same")(images)
    gates = keras.layers.GlobalAveragePooling2D(keepdims=True)(images)
    gates = keras.layers.Conv2D(of_gates, 1, activation="sigmoid")(gates)
    x = keras.layers.Multiply()([y, gates])
    maps = [keras.layers.Conv2D(16, 1, activation="relu")(images) for _ in range(summands)]
    return keras.Model(images, keras.layers.Add()([x, *maps]) if maps else x, name="gates")


@pytest.mark.parametrize(
    ("channels", "of_gates", "summands", "convolutions"),
    [(16, 16, 2, 1), (1, 1, 1, 0), (16, 1, 1, 1), (16, 1, 0, 0)],
    ids=["three summands", "a product of one channel", "one gate", "no sum"],
)
def test_products_and_sums_of_other_shapes(channels, of_gates, summands, convolutions, tmp_path):
    network = with_gates(channels, of_gates, summands)
    path = written(network, tmp_path, "onnx_fixed")
    counts = operators(path)
    assert counts["Resize"] == 1
    assert counts["Conv"] - 2 - summands == convolutions
    onnx.checker.check_model(onnx.load(path), full_check=True)


@pytest.mark.parametrize(
    ("activation", "zeros", "window", "pads"),
    [("relu", ((0, 1), (2, 1)), 3, 0), (None, ((0, 1), (2, 1)), 3, 1), ("relu", 1, 1, 1)],
    ids=["zeros are least", "zeros may be most", "windows of zeros"],
)
def test_zeros_around_a_map_become_part_of_the_pooling_where_that_is_the_same(
    activation, zeros, window, pads, tmp_path
):
    keras.utils.set_random_seed(0)
    images = keras.Input((8, 8, 3))
    bias = keras.initializers.Constant(-2.0)
    x = keras.layers.Conv2D(4, 3, activation=activation, bias_initializer=bias)(images)
    x = keras.layers.ZeroPadding2D(zeros)(x)
    network = keras.Model(images, keras.layers.MaxPooling2D(window, 2)(x))
    path = written(network, tmp_path, "onnx")
    assert operators(path)["Pad"] == pads
    names = {one.name for one in onnx.load(path).graph.initializer}
    assert sum("pads" in name for name in names) == pads
