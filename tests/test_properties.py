"""What holds for every network of the table, on every backend."""

import keras
import numpy as np
import pytest
from conftest import each
from generated import image, tensor

from keras_se import applications
from keras_se.complexity import trainable_parameters
from keras_se.layers import SqueezeExcite
from keras_se.weights.port import export_state_dict, load_state_dict

ROWS = applications.rows()
# The smallest of each family; SEResNet20 is that of the CIFAR networks.
FAST = ("SEResNet18", "SEResNet33TS", "LegacySEResNet18", "SEResNet20")
# A billion parameters, and nothing that the 32x8d does not test.
TOO_LARGE = ("SEResNeXt101_32x32d",)
# Published counts: keras_se's paper and timm for ImageNet, imgclsmob with 10 classes for CIFAR.
CIFAR_PARAMETERS = {"SEResNet20": 274_847, "SEResNet56": 862_889, "SEResNet110": 1_744_952}


def generated(application, **arguments):
    """A network whose weights are drawn from their names."""
    arguments = {"weights": None, "classifier_activation": None} | arguments
    model = application(**arguments)
    state = export_state_dict(model)
    load_state_dict(
        model, {key: tensor(key, one.shape, r"bn[23]\.w") for key, one in state.items()}
    )
    return model


def run(model, images):
    return np.array(model(images, training=False)).astype("float64")


@pytest.fixture(scope="module", params=each([name for name in ROWS if name not in TOO_LARGE], FAST))
def row(request):
    return ROWS[request.param]


@pytest.fixture(scope="module")
def model(row):
    """The network with 10 classes, for images of any size."""
    return generated(row, input_shape=(None, None, 3), classes=10)


@pytest.fixture
def side(row):
    """An odd size that is legal and small, in pixels."""
    return 33 if row.size == 32 else 97


def test_the_head_is_a_dense_layer_on_the_mean_of_the_features(row, model, side):
    trunk = generated(row, include_top=False)
    images = image(side, side - 22)
    features = run(trunk, images)
    pooled = generated(row, include_top=False, pooling="avg")
    np.testing.assert_allclose(run(pooled, images), features.mean((1, 2)), rtol=1e-4, atol=1e-5)
    largest = generated(row, include_top=False, pooling="max")
    np.testing.assert_allclose(run(largest, images), features.max((1, 2)), rtol=1e-4, atol=1e-5)
    head = model.layers[-1]
    expected = features.mean((1, 2)) @ head.kernel.numpy() + head.bias.numpy()
    np.testing.assert_allclose(run(model, images), expected, rtol=1e-4, atol=1e-4)


def test_every_image_of_a_batch_is_on_its_own(model, side):
    images = np.concatenate([image(side, side, seed=seed) for seed in range(3)])
    together = run(model, images)
    np.testing.assert_allclose(together[1:2], run(model, images[1:2]), rtol=1e-4, atol=1e-5)
    assert np.abs(together[0] - together[1]).max() > 1e-3 * np.abs(together).max()


def test_every_trainable_weight_learns(row, side):
    model = generated(row, input_shape=(side, side, 3), classes=10)
    for layer in model.layers:
        if isinstance(layer, SqueezeExcite):
            # A bottleneck of one or two ReLU units may be dead for all eight images.
            layer.fc1.bias.assign(np.full(layer.fc1.bias.shape, 2.0))
    before = [weight.numpy().copy() for weight in model.trainable_weights]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss, jit_compile=False)
    images = np.concatenate([image(side, side, seed=seed) for seed in range(8)])
    model.train_on_batch(images, np.arange(8) % 10)
    still = [
        weight.path
        for weight, old in zip(model.trainable_weights, before, strict=True)
        if np.array_equal(weight.numpy(), old)
    ]
    assert not still


@pytest.mark.parametrize("channels", (1, 4))
def test_other_channels_than_three(row, side, channels):
    model = generated(row, input_shape=(side, side, channels), classes=10)
    kernel = next(weight for weight in model.weights if len(weight.shape) == 4)
    assert kernel.shape[2] == channels
    images = image(side, side, channels)
    blank = images.copy()
    blank[..., -1] = 0.0
    assert np.abs(run(model, images) - run(model, blank)).max() > 1e-4


def test_an_input_tensor_is_where_the_network_begins(row, model, side):
    images = keras.Input((side, side, 3))
    halved = keras.layers.Rescaling(0.5)(images)
    whole = row(weights=None, input_tensor=halved, classes=10, classifier_activation=None)
    load_state_dict(whole, export_state_dict(model))
    pixels = image(side, side)
    np.testing.assert_allclose(run(whole, pixels), run(model, pixels / 2), rtol=1e-4, atol=1e-5)


def test_layer_names_are_unique_and_legal_everywhere(model):
    names = [layer.name for layer in model.layers]
    assert len(names) == len(set(names))
    assert not [name for name in names if "." in name or "/" in name]


def test_parameters_are_those_of_the_package_file(row, model):
    from keras_se.catalogue import sizes

    known = sizes()[row.name]["parameters"]
    head = model.layers[-1]
    classes = 10 if row.size == 32 else 1000
    added = (classes - 10) * (head.kernel.shape[0] + 1)
    assert trainable_parameters(model) + added == known
    assert CIFAR_PARAMETERS.get(row.name, known) == known


def test_the_twin_has_the_same_names_but_for_the_gates(row, model):
    twin = row(weights=None, input_shape=(None, None, 3), classes=10, se=False)
    gates = {name for name in export_state_dict(model) if ".fc1." in name or ".fc2." in name}
    assert gates
    assert set(export_state_dict(twin)) == set(export_state_dict(model)) - gates
    assert not [layer for layer in twin.layers if isinstance(layer, SqueezeExcite)]


@pytest.mark.parametrize("policy", ("mixed_bfloat16", "mixed_float16"))
def test_logits_are_float32_under_mixed_precision(policy):
    exact = generated(ROWS["SEResNet20"], input_shape=(33, 33, 3), classes=10)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = generated(ROWS["SEResNet20"], input_shape=(33, 33, 3), classes=10)
    finally:
        keras.config.set_dtype_policy(before)
    result = model(image(33, 33), training=False)
    assert keras.backend.standardize_dtype(result.dtype) == "float32"
    expected = run(exact, image(33, 33))
    assert np.abs(np.array(result) - expected).max() < 3e-2 * np.abs(expected).max()


def test_a_factory_changes_every_gate():
    from functools import partial

    model = ROWS["SEResNet20"](
        weights=None, classes=10, se=partial(SqueezeExcite, ratio=4, gate="hard_sigmoid")
    )
    gates = [layer for layer in model.layers if isinstance(layer, SqueezeExcite)]
    assert [layer.fc1.units for layer in gates] == [4] * 3 + [8] * 3 + [16] * 3
    assert {layer.gate.__name__ for layer in gates} == {"hard_sigmoid"}


@pytest.mark.skipif(keras.backend.backend() == "tensorflow", reason="TensorFlow cannot on a CPU")
@pytest.mark.parametrize("name", FAST)
def test_channels_first_gives_the_same_logits(name):
    last = generated(ROWS[name], input_shape=(None, None, 3), classes=10)
    keras.config.set_image_data_format("channels_first")
    try:
        first = generated(ROWS[name], input_shape=(3, None, None), classes=10)
        images = image(64, 96)
        expected = run(last, images)
        result = run(first, images.transpose(0, 3, 1, 2))
    finally:
        keras.config.set_image_data_format("channels_last")
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("arguments", "words"),
    (
        ({"se": 16}, ("`se`", "16", "True", "False")),
        ({"se": lambda name: None}, ("`se`", "None", "layer1_0_se")),
        ({"pooling": "mean"}, ("`pooling`", "mean", "avg", "max")),
        ({"classes": 0}, ("`classes`", "0", "positive integer")),
        ({"classes": None}, ("`classes`", "None", "weights")),
        ({"classes": True}, ("`classes`", "True")),
        ({"include_top": "yes"}, ("`include_top`", "yes")),
        ({"input_shape": (16, 16, 3)}, ("`input_shape`", "32 pixels", "(16, 16, 3)")),
        ({"input_shape": (64, 64)}, ("`input_shape`", "(height, width, channels)", "(64, 64)")),
        ({"input_shape": (64, 64, None)}, ("`input_shape`", "channels", "None")),
        ({"input_shape": (64, 64.0, 3)}, ("`input_shape`", "64.0")),
        ({"input_tensor": np.zeros((1, 64, 64, 3))}, ("`input_tensor`", "ndarray")),
        ({"weights": "imagenet"}, ("no published", "SEResNet18", "weights=None", "ResNet18")),
        ({"weights": 3}, ("`weights`", "3", "imagenet")),
        ({"weights": "a1_in1k", "se": False, "classes": -1}, ("`classes`", "-1")),
    ),
)
def test_bad_arguments_are_named(arguments, words):
    with pytest.raises(ValueError) as raised:
        ROWS["SEResNet18"](**{"weights": None} | arguments)
    for word in words:
        assert word in str(raised.value)


def test_every_row_is_bound_to_its_name():
    for name, row in ROWS.items():
        assert getattr(applications, name) is row
        assert applications.find(name) == (row, True)
        assert applications.find(row.twin) == (row, False)


def test_an_unknown_network_offers_the_nearest():
    with pytest.raises(ValueError, match=r"'resnet_50x'.*resnet50"):
        applications.find("resnet_50x")
