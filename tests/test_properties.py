"""What holds for every network of the table, on every backend."""

import keras
import numpy as np
import pytest
from conftest import IN_GOLDENS, assert_costs, each, keras_setting, run
from generated import image, tensor
from shallow import shallow, shallow_fields

from keras_se import applications
from keras_se.applications.application import Application
from keras_se.applications.resnet import resnet
from keras_se.cli.model_table import sizes
from keras_se.layers import SqueezeExcite
from keras_se.weights import export_state_dict, load_state_dict

ROWS = {name: applications.get_model(name) for name in applications.list_models()}
# One of each kind of trunk; those of the others are in the fast tier of the tests of parity.
FAST = ("SEResNet18", "SEResNet33TS", "LegacySEResNet18", "SEResNet20", "SEShuffleNet")
# Large, and nothing that SEResNeXt101_32x8d, SEResNet50D and SEResNetAA50D do not test together.
COMBINED = (
    "SEResNeXt101_32x16d",
    "SEResNeXt101_32x32d",
    "SEResNeXt101_64x4d",
    "SEResNeXt101D_32x8d",
    "SEResNeXtAA101D_32x8d",
    "SEResNeXtAA201D_32x8d",
    # Wider than RegNetY002, RegNetV040 and RegNetZ040H, or with less.
    *(name for name in ROWS if "RegNetY" in name and name != "RegNetY002"),
    *("RegNetV064", "RegNetZ040", "ResNetRS350", "ResNetRS420"),
    *("TFMobileNetV3Large_075", "TFMobileNetV3Small_075"),
    *("MobileNetV3LargeTV", "MobileNetV3SmallTV"),
    # The trunks of the others: test_eca.py is about what is new.
    *(name for name in ROWS if name.startswith("ECA")),
)
# Longer, wider or narrower than one of the others, or with no option that others together lack.
LARGE = (
    *("SENet154", "SEResNet50D", "SEResNeXt26T_32x4d", "SEWideResNet50_2"),
    *("LegacySEResNet50", "MobileNetV3Large"),
    *("SEResNet32", "SEResNet44", "SEResNet110", "SEResNet272", "SEResNet50T"),
    *("SEPreResNet56", "SEPreResNet110", "SEPreResNet272", "SEWideResNet28_10"),
    *("SEResNeXt50_32x4d", "SEResNeXt101_32x8d", "MobileNetV3Small", "MobileNetV3Small_075"),
    *("SEVGG13", "SEVGG16", "SEVGG19", "SEDenseNet169", "SEDenseNet201"),
    *("ResNetRS50", "RegNetV040", "RegNetZ040H"),
    *("MobileNetV3Large_150D", "MobileNetV3RW", "TFMobileNetV3Large", "TFMobileNetV3Small"),
)
# Published counts of trainable parameters: imgclsmob's with 10 classes, those of Zagoruyko and
# Komodakis's and of Gastaldi's plain networks as ports of them have it. Those of the networks with
# goldens are in the goldens.
PARAMETERS = {
    "SEResNet20": 274_847,
    "SEResNet56": 862_889,
    "SEResNet110": 1_744_952,
    "SEResNet164": 1_906_258,
    "SEResNet272": 3_153_826,
    "SEPreResNet20": 274_559,
    "SEPreResNet56": 862_601,
    "SEPreResNet110": 1_744_664,
    "SEPreResNet164": 1_904_882,
    "SEPreResNet272": 3_152_450,
    "SEBNInception": 11_931_622,
}
TWIN_PARAMETERS = {
    "SEWideResNet16_8": 10_961_370,
    "SEWideResNet28_10": 36_479_194,
    "SEShakeShake26_2x96d": 26_192_922,
}
BRANCH_ENDS = r"layer\d\.\d+\.bn[23]\.w"


def distinct():
    """The names of the rows whose shallow networks differ: 50, 101 and 152 layers become one."""
    first = {}
    for name in (one for one in ROWS if one not in COMBINED):
        fields = shallow_fields(ROWS[name])
        same = {key: value for key, value in fields.items() if key not in ("name", "size")}
        first.setdefault(repr(same), name)
    return list(first.values())


def sides(row):
    """Pixels: odd, and about as small as is legal, since there are many networks."""
    min_size = max(33, row.min_size)
    return min_size, min_size + 14


def generated(application, **arguments):
    """A network whose weights are drawn from their names."""
    arguments = {"weights": None, "classifier_activation": None} | arguments
    model = application(**arguments)
    shapes = {key: one.shape for key, one in export_state_dict(model).items()}
    load_state_dict(model, {key: tensor(key, one, BRANCH_ENDS) for key, one in shapes.items()})
    for layer in model.layers:
        if isinstance(layer, SqueezeExcite):
            # Where gates are on the trunk itself, thirteen of a half would leave no image.
            layer.fc2.bias.assign(layer.fc2.bias + 3.0)
    return model


@pytest.fixture(scope="module", params=each(distinct(), FAST, LARGE))
def row(request):
    return shallow(ROWS[request.param])


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


def test_one_channel_an_input_tensor_and_no_top(row, model):
    """The trunk on half a gray image is that of the whole network on that half in RGB."""
    side, wider = sides(row)
    images = keras.Input((side, wider, 1))
    trunk = row(
        include_top=False,
        weights=None,
        pooling="avg",
        input_tensor=keras.layers.Rescaling(0.5)(images),
    )
    load_state_dict(trunk, export_state_dict(model), head=row.fields["head_layers"])
    last = model.get_layer(trunk.layers[-2].name)
    features = keras.Model(model.input, keras.layers.GlobalAveragePooling2D()(last.output))
    gray = image(side, wider, 1)
    expected = run(features, np.repeat(gray, 3, axis=3) / 2)
    result = run(trunk, gray)
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_every_image_of_a_batch_is_on_its_own(row, model):
    side, _ = sides(row)
    images = np.concatenate([image(side, side, seed=seed) for seed in range(3)])
    together = run(model, images)
    largest = np.abs(together).max()
    alone = run(model, images[1:2])
    np.testing.assert_allclose(together[1:2], alone, rtol=1e-4, atol=1e-4 * largest)
    assert np.abs(together[0] - together[1]).max() > 1e-3 * largest


def test_every_trainable_weight_learns(row, restored):
    for layer in restored.layers:
        if isinstance(layer, SqueezeExcite):
            # A bottleneck of one or two ReLU units may be dead for all four images.
            layer.fc1.bias.assign(np.full(layer.fc1.bias.shape, 2.0))
    before = [weight.numpy().copy() for weight in restored.trainable_weights]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # Eagerly where it can: tracing a network for one step takes longer than the step.
    eagerly = keras.backend.backend() != "jax"
    restored.compile(keras.optimizers.SGD(0.1), loss, run_eagerly=eagerly)
    side, _ = sides(row)
    images = np.concatenate([image(side, side, seed=seed) for seed in range(4)])
    restored.train_on_batch(images, np.arange(4))
    still = [
        weight.path
        for weight, old in zip(restored.trainable_weights, before, strict=True)
        # A shift that another norm takes off again has no gradient; its scale is at the same place.
        if np.array_equal(weight.numpy(), old) and weight.name != "beta"
    ]
    assert not still


def test_gates_of_one_give_the_plain_twin_exactly(row, restored):
    twin = row(
        weights=None, input_shape=(None, None, 3), classes=10, classifier_activation=None, se=False
    )
    layers = [layer for layer in restored.layers if isinstance(layer, SqueezeExcite)]
    state, kept = export_state_dict(restored), export_state_dict(twin)
    # Strict: the twin has just the names that are not those of the gates.
    assert len(state) - len(kept) == 4 * len(layers) > 0
    load_state_dict(twin, {name: state[name] for name in kept})
    for layer in layers:
        layer.fc2.kernel.assign(np.zeros(layer.fc2.kernel.shape))
        layer.fc2.bias.assign(np.full(layer.fc2.bias.shape, 100.0))
    side, _ = sides(row)
    images = image(side, side)
    expected = run(twin, images, exactly=True)
    np.testing.assert_array_equal(run(restored, images, exactly=True), expected)


# What is saved are layers: test_saved_files.py has one of each class.
@pytest.mark.parametrize("row", each(distinct(), FAST, {*ROWS} - {*FAST}), indirect=True)
def test_saved_and_loaded_model_gives_equal_logits(row, model, tmp_path):
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.saving.load_model(path)
    path.unlink()
    images = image(*sides(row))
    expected = run(model, images, exactly=True)
    np.testing.assert_array_equal(run(loaded, images, exactly=True), expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", ("SEResNet269D", "SEDenseNet201"))
def test_the_deepest_networks_are_saved_and_loaded(name, tmp_path, monkeypatch):
    """Keras walks the graph recursively; deeper than Python allows, it could not, however wide."""
    monkeypatch.setitem(resnet.__globals__, "FILTERS", (4, 4, 4, 4))
    narrow = {"growth": 4} if "Dense" in name else {"stem": 8}
    model = Application(**ROWS[name].fields | narrow)(weights=None, classes=3)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for saved, weight in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(saved, weight)


@pytest.mark.parametrize("name", FAST)
def test_pooling_and_the_feature_map_agree(name):
    row = shallow(ROWS[name])
    height, width = max(64, row.min_size), max(96, row.min_size)
    features = run(generated(row, include_top=False), image(height, width))
    for pooling, reduce in (("avg", np.mean), ("max", np.max)):
        pooled = generated(row, include_top=False, pooling=pooling)
        expected = reduce(features, (1, 2))
        np.testing.assert_allclose(
            run(pooled, image(height, width)), expected, rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("name", FAST)
def test_four_channels_see_them_all(name):
    row = shallow(ROWS[name])
    side = max(64, row.min_size)
    model = generated(row, input_shape=(side, side, 4), classes=10)
    images = image(side, side, 4)
    for channel in range(4):
        blank = images.copy()
        blank[..., channel] = 0.0
        assert np.abs(run(model, images) - run(model, blank)).max() > 1e-4


def test_layer_names_are_unique_and_legal_everywhere(model):
    names = [layer.name for layer in model.layers]
    assert len(names) == len(set(names))
    assert not [name for name in names if "." in name or "/" in name]


COUNTED = [name for name in ROWS if name not in (*IN_GOLDENS, *COMBINED)]


@pytest.mark.parametrize("name", each(COUNTED, FAST, LARGE))
def test_costs_are_those_of_the_package_file(name):
    """Those of the others are compared where they are built anyway, in test_parity.py."""
    row, known = ROWS[name], sizes()[name]
    model = row(weights=None, classes=10 if row.size == 32 else 1000)
    assert_costs(model, known, row.size)
    assert known["parameters"] == PARAMETERS.get(name, known["parameters"])
    assert known["twin_parameters"] == TWIN_PARAMETERS.get(name, known["twin_parameters"])


@pytest.mark.parametrize("policy", ("mixed_bfloat16", "mixed_float16"))
def test_logits_are_float32_under_mixed_precision(policy):
    exact = generated(ROWS["SEResNet20"], input_shape=(33, 33, 3), classes=10)
    with keras_setting(dtype_policy=policy):
        model = generated(ROWS["SEResNet20"], input_shape=(33, 33, 3), classes=10)
    result = model(image(33, 33), training=False)
    assert keras.backend.standardize_dtype(result.dtype) == "float32"
    expected = run(exact, image(33, 33))
    assert np.abs(run(model, image(33, 33)) - expected).max() < 3e-2 * np.abs(expected).max()


@pytest.mark.parametrize("name", FAST)
def test_channels_first_gives_the_same_logits(name):
    row = shallow(ROWS[name])
    last = generated(row, input_shape=(None, None, 3), classes=10)
    images = image(max(64, row.min_size), max(96, row.min_size))
    expected = run(last, images)
    with keras_setting(image_data_format="channels_first"):
        first = generated(row, input_shape=(3, None, None), classes=10)
        result = run(first, images.transpose(0, 3, 1, 2))
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("arguments", "words"),
    (
        ({"se": 16}, ("`se`", "16", "True", "False")),
        ({"se": lambda name: None}, ("`se`", "None", "layer1_0_se")),
        ({"pooling": "mean"}, ("`pooling`", "mean", "avg", "max")),
        ({"classes": 0}, ("`classes`", "0", "positive integer")),
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
        assert applications.get_model(name) is row
        assert applications.get_model(row.twin.name) is row.twin
        assert row.twin.twin is row
