"""What holds for every network of the table, on every backend."""

import keras
import numpy as np
import pytest
from conftest import each, run
from generated import image, tensor

from keras_se import applications
from keras_se.catalogue import sizes
from keras_se.complexity import multiply_adds, trainable_parameters
from keras_se.layers import SqueezeExcite
from keras_se.weights.port import export_state_dict, load_state_dict

ROWS = applications.rows()
# The smallest of each family; SEResNet20 is that of the CIFAR networks.
FAST = ("SEResNet18", "SEResNet33TS", "LegacySEResNet18", "SEResNet20")
# 0.2 and 0.5 billion parameters, and nothing that the 32x8d does not test.
TOO_LARGE = ("SEResNeXt101_32x16d", "SEResNeXt101_32x32d")
# Published counts, by imgclsmob with 10 classes; those of the others are in the goldens.
PARAMETERS = {"SEResNet20": 274_847, "SEResNet56": 862_889, "SEResNet110": 1_744_952}


# Pixels: odd, and as small as is legal, since there are forty networks.
SIDE, WIDER = 33, 47


def generated(application, **arguments):
    """A network whose weights are drawn from their names."""
    arguments = {"weights": None, "classifier_activation": None} | arguments
    model = application(**arguments)
    state = export_state_dict(model)
    load_state_dict(
        model, {key: tensor(key, one.shape, r"bn[23]\.w") for key, one in state.items()}
    )
    return model


@pytest.fixture(scope="module", params=each([name for name in ROWS if name not in TOO_LARGE], FAST))
def row(request):
    return ROWS[request.param]


@pytest.fixture(scope="module")
def model(row):
    """The network with 10 classes, for images of any size."""
    return generated(row, input_shape=(None, None, 3), classes=10)


@pytest.fixture
def restored(model):
    """The same, for tests that change its weights."""
    before = [weight.copy() for weight in model.get_weights()]
    yield model
    model.set_weights(before)


def head_on(model, features):
    """The logits of pooled features, by the head of `model`."""
    head = model.layers[-1]
    return features @ head.kernel.numpy() + head.bias.numpy()


def test_one_channel_an_input_tensor_and_no_top(row, model):
    """The head on the features of half a grey image is the network on that half in RGB."""
    images = keras.Input((SIDE, WIDER, 1))
    trunk = row(
        include_top=False,
        weights=None,
        pooling="avg",
        input_tensor=keras.layers.Rescaling(0.5)(images),
    )
    load_state_dict(trunk, export_state_dict(model), head=model.layers[-1].name)
    grey = image(SIDE, WIDER, 1)
    expected = run(model, np.repeat(grey, 3, axis=3) / 2)
    result = head_on(model, run(trunk, grey))
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_every_image_of_a_batch_is_on_its_own(model):
    images = np.concatenate([image(SIDE, SIDE, seed=seed) for seed in range(3)])
    together = run(model, images)
    np.testing.assert_allclose(together[1:2], run(model, images[1:2]), rtol=1e-4, atol=1e-4)
    assert np.abs(together[0] - together[1]).max() > 1e-3 * np.abs(together).max()


def test_every_trainable_weight_learns(restored):
    for layer in restored.layers:
        if isinstance(layer, SqueezeExcite):
            # A bottleneck of one or two ReLU units may be dead for all four images.
            layer.fc1.bias.assign(np.full(layer.fc1.bias.shape, 2.0))
    before = [weight.numpy().copy() for weight in restored.trainable_weights]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # Eagerly where it can: tracing a network of 150 layers for one step takes longer than the step.
    eagerly = keras.backend.backend() != "jax"
    restored.compile(keras.optimizers.SGD(0.1), loss, run_eagerly=eagerly)
    images = np.concatenate([image(SIDE, SIDE, seed=seed) for seed in range(4)])
    restored.train_on_batch(images, np.arange(4))
    still = [
        weight.path
        for weight, old in zip(restored.trainable_weights, before, strict=True)
        if np.array_equal(weight.numpy(), old)
    ]
    assert not still


def test_gates_of_one_give_the_plain_twin_exactly(row, restored):
    twin = row(
        weights=None,
        input_shape=(None, None, 3),
        classes=10,
        classifier_activation=None,
        se=False,
    )
    state = export_state_dict(restored)
    gates = {name for name in state if ".fc1." in name or ".fc2." in name}
    layers = [layer for layer in restored.layers if isinstance(layer, SqueezeExcite)]
    assert len(gates) == 4 * len(layers) > 0
    # Strict: the twin has just the names that are not those of the gates.
    load_state_dict(twin, {name: state[name] for name in state.keys() - gates})
    for layer in layers:
        layer.fc2.kernel.assign(np.zeros(layer.fc2.kernel.shape))
        layer.fc2.bias.assign(np.full(layer.fc2.bias.shape, 100.0))
    np.testing.assert_array_equal(run(restored, image(SIDE, SIDE)), run(twin, image(SIDE, SIDE)))
    known = sizes()[row.name]
    assert cost(twin, row) == (known["twin_parameters"], known["twin_multiply_adds"])


def test_saved_and_loaded_model_gives_equal_logits(model, tmp_path):
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.saving.load_model(path)
    path.unlink()
    np.testing.assert_array_equal(run(loaded, image(SIDE, WIDER)), run(model, image(SIDE, WIDER)))


@pytest.mark.parametrize("name", FAST)
def test_pooling_and_the_feature_map_agree(name):
    row = ROWS[name]
    features = run(generated(row, include_top=False), image(64, 96))
    for pooling, reduce in (("avg", np.mean), ("max", np.max)):
        pooled = generated(row, include_top=False, pooling=pooling)
        expected = reduce(features, (1, 2))
        np.testing.assert_allclose(run(pooled, image(64, 96)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", FAST)
def test_four_channels_see_them_all(name):
    model = generated(ROWS[name], input_shape=(64, 64, 4), classes=10)
    images = image(64, 64, 4)
    for channel in range(4):
        blank = images.copy()
        blank[..., channel] = 0.0
        assert np.abs(run(model, images) - run(model, blank)).max() > 1e-4


def test_layer_names_are_unique_and_legal_everywhere(model):
    names = [layer.name for layer in model.layers]
    assert len(names) == len(set(names))
    assert not [name for name in names if "." in name or "/" in name]


def cost(model, row):
    """Parameters and multiply-adds, as if `model` had the classes of the package's file."""
    head = model.layers[-1]
    classes = 10 if row.size == 32 else 1000
    added = (classes - 10) * head.kernel.shape[0]
    size = (row.size, row.size, 3)
    parameters = trainable_parameters(model) + added + classes - 10
    return parameters, multiply_adds(model, size) + added


def test_costs_are_those_of_the_package_file(row, model):
    known = sizes()[row.name]
    assert cost(model, row) == (known["parameters"], known["multiply_adds"])
    published = PARAMETERS.get(row.name, known["parameters"])
    assert known["parameters"] == published


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
    assert np.abs(run(model, image(33, 33)) - expected).max() < 3e-2 * np.abs(expected).max()


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
        ({"input_shape": 224}, ("`input_shape`", "224")),
        (
            {"input_tensor": keras.Input((64, 64, 3)), "input_shape": (32, 32, 3)},
            ("`input_shape`", "(32, 32, 3)", "(64, 64, 3)"),
        ),
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
