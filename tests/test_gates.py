"""The gates of SE blocks: found in any functional model, and measured by class."""

import functools
import json

import keras
import numpy as np
import pytest
from conftest import infer
from keras import layers, ops
from random_statistics import images, randomized
from surgery_subjects import backbone
from test_remove import trained

import keras_se
from keras_se import SqueezeExcite, analysis, cli
from keras_se.analysis.figures import figure_png
from keras_se.analysis.gates import stage_numbers
from keras_se.analysis.statistics import (
    ClassMoments,
    effective_channels,
    eta_squared,
    intraclass_correlation,
    nearest_mean_accuracy,
    selectivity,
)
from keras_se.applications import MobileNetV3Small, SEResNet20
from keras_se.class_names import decode_predictions, imagenet_class_names
from keras_se.data import Dataset, held_out_per_class
from keras_se.evaluation.html import data_url
from keras_se.graph.gates import tap_gates


def gates_of(model, inputs):
    """The gates of each block by name, `(image, channel)`."""
    new, gates = tap_gates(model)
    values = infer(keras.Model(new.input, [block.tensor for block in gates]), inputs)
    rows = [np.asarray(value).reshape(len(inputs), -1) for value in keras.tree.flatten(values)]
    return {block.name: value for block, value in zip(gates, rows, strict=True)}


@pytest.fixture(scope="module")
def network():
    options = {"weights": None, "input_shape": (16, 16, 3), "classes": 3, "stages": (2, 3)}
    # A bottleneck of more than two units is not silent on all images.
    model = randomized(SEResNet20(**options, se=functools.partial(SqueezeExcite, 4)))
    return trained(model)


def excitations(model, inputs):
    """What the layers themselves say."""
    blocks = [layer for layer in model.layers if isinstance(layer, SqueezeExcite)]
    maps = infer(keras.Model(model.input, [block.input for block in blocks]), inputs)
    return {
        block.name: ops.convert_to_numpy(block.excitation(x)).reshape(len(inputs), -1)
        for block, x in zip(blocks, maps, strict=True)
    }


def test_gates_are_those_of_the_layers_and_outputs_stay(network):
    some = images(3, 16, 16, 3)
    new, gates = tap_gates(network)
    assert [(block.name, block.channels, block.positions) for block in gates] == [
        *((f"layer2_{i}_se", 32, 64) for i in range(3)),
        *((f"layer3_{i}_se", 64, 16) for i in range(3)),
    ]
    assert [block.layer for block in gates] == [network.get_layer(block.name) for block in gates]
    np.testing.assert_allclose(infer(new, some), infer(network, some), rtol=1e-4, atol=1e-6)
    expected = excitations(network, some)
    for name, values in gates_of(network, some).items():
        assert np.ptp(values, axis=0).max() > 0.01
        np.testing.assert_allclose(values, expected[name], rtol=1e-4, atol=1e-6)


def test_gates_survive_folding(network):
    some = images(3, 16, 16, 3)
    expected, folded = gates_of(network, some), gates_of(keras_se.fold(network), some)
    assert list(folded) == list(expected)
    for name, values in folded.items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-3, atol=1e-5)


def test_gates_of_keras_applications_are_found():
    model = keras.applications.MobileNetV3Small(weights=None, input_shape=(32, 32, 3), alpha=0.35)
    _, gates = tap_gates(model)
    assert len(gates) == 9 and all(block.layer is None for block in gates)
    assert gates[0].name == "expanded_conv_squeeze_excite_mul"
    # EfficientNet's block, whose pooled vector is reshaped.
    inputs = keras.Input((8, 8, 6))
    gate = layers.Reshape((1, 1, 6))(layers.GlobalAveragePooling2D()(inputs))
    gate = layers.Conv2D(6, 1, activation="sigmoid", name="expand")(gate)
    model = keras.Model(inputs, layers.multiply([inputs, gate], name="excite"))
    some = images(2, 8, 8, 6)
    expected = infer(keras.Model(inputs, gate), some).reshape(2, 6)
    np.testing.assert_allclose(gates_of(model, some)["excite"], expected, rtol=1e-5)


class Excited(layers.Layer):
    """A block as other packages have it: a map times its gates."""

    def __init__(self, channels, **keywords):
        super().__init__(**keywords)
        self.channels = channels
        self.reduce = layers.Dense(4, activation="relu", name="reduce")
        self.expand = layers.Dense(channels, activation="sigmoid", name="expand")

    def build(self, shape):
        self.reduce.build((None, self.channels))
        self.expand.build((None, 4))

    def gates(self, x):
        return self.expand(self.reduce(ops.mean(x, (1, 2), keepdims=True)))

    def call(self, x):
        return x * self.gates(x)

    def get_config(self):
        return {**super().get_config(), "channels": self.channels}


class Residual(layers.Layer):
    """A block that holds a block."""

    def __init__(self, channels, **keywords):
        super().__init__(**keywords)
        self.channels = channels
        self.norm = layers.BatchNormalization(name="norm")
        self.excited = Excited(channels, name="excited")

    def build(self, shape):
        self.norm.build(shape)
        self.excited.build(shape)

    def call(self, x, training=False):
        return x + self.excited(self.norm(x, training=training))

    def get_config(self):
        return {**super().get_config(), "channels": self.channels}


class Eager(Excited):
    """A block whose call needs numbers."""

    def call(self, x):
        return x * self.gates(x) if isinstance(float(ops.sum(x)), float) else x

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, x.dtype)


def test_gates_in_layers_of_other_packages_are_found():
    inputs = keras.Input((8, 8, 6))
    first, second = Residual(6, name="first"), Residual(6, name="second")
    model = randomized(keras.Model(inputs, second(layers.ReLU(name="relu")(first(inputs)))))
    some = images(2, 8, 8, 6)
    new, _ = tap_gates(model)
    np.testing.assert_allclose(infer(new, some), infer(model, some), rtol=1e-4, atol=1e-6)
    values = gates_of(model, some)
    assert list(values) == ["excited_multiply", "second_excited_multiply"]
    maps = some, infer(keras.Model(inputs, second.input), some)
    for block, x, found in zip((first, second), maps, values.values(), strict=True):
        expected = ops.convert_to_numpy(block.excited.gates(block.norm(x))).reshape(2, 6)
        np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.large
@pytest.mark.parametrize("kind", ["v1", "fused", "unfused"])
def test_gates_of_kerashub_are_found(kind):
    models = pytest.importorskip("keras_hub").models
    backbone = models.EfficientNetBackbone(
        stackwise_kernel_sizes=[3, 3],
        stackwise_num_repeats=[1, 2],
        stackwise_input_filters=[16, 16],
        stackwise_output_filters=[16, 24],
        stackwise_expansion_ratios=[1, 4],
        stackwise_strides=[1, 2],
        stackwise_squeeze_and_excite_ratios=[0.25, 0.25],
        stackwise_block_types=[kind] * 2,
        stackwise_width_coefficients=[1.0] * 2,
        stackwise_depth_coefficients=[1.0] * 2,
        input_shape=(16, 16, 3),
        num_features=32,
    )
    model = randomized(models.ImageClassifier(backbone, num_classes=3))
    new, gates = tap_gates(model)
    assert [(block.name, block.channels) for block in gates] == [
        ("block1a_se_excite", 16),
        ("block2a_se_excite", 64),
        ("block2b_se_excite", 96),
    ]
    some = images(2, 16, 16, 3)
    np.testing.assert_allclose(infer(new, some), infer(model, some), rtol=1e-4, atol=1e-6)


def test_layers_that_cannot_be_looked_into_are_named():
    inputs = keras.Input((8, 8, 6))
    model = keras.Model(inputs, Eager(6, name="eager")(inputs))
    with pytest.raises(ValueError, match="looked into: eager"):
        tap_gates(model)


def test_products_that_are_no_gates_are_left():
    inputs, other = keras.Input((8, 8, 6)), keras.Input((8, 8, 6))
    pooled = layers.GlobalAveragePooling2D()(inputs)
    gated_vector = layers.multiply([pooled, layers.Dense(6, "sigmoid")(pooled)])
    swish = inputs * ops.sigmoid(inputs)
    from_elsewhere = inputs * layers.GlobalAveragePooling2D(keepdims=True)(other)
    model = keras.Model([inputs, other], [gated_vector, swish, from_elsewhere])
    with pytest.raises(ValueError, match="must have SE blocks"):
        tap_gates(model)


def test_shared_and_nested_blocks_have_a_name_for_each_call():
    inputs, block = keras.Input((8, 8, 4)), SqueezeExcite(4, name="se")
    x = layers.Conv2D(4, 3, padding="same")(block(inputs))
    inner = keras.Model(inputs, block(x), name="inner")
    outer = keras.Model(inputs, inner(layers.ReLU()(inputs)))
    some = images(2, 8, 8, 4)
    values = gates_of(trained(outer), some)
    assert list(values) == ["se", "se:1"]
    expected = ops.convert_to_numpy(block.excitation(np.maximum(some, 0))).reshape(2, 4)
    np.testing.assert_allclose(values["se"], expected, rtol=1e-4, atol=1e-6)
    assert np.abs(values["se:1"] - values["se"]).max() > 1e-3


def test_gates_can_be_replaced(network):
    some = images(2, 16, 16, 3)
    new, _ = tap_gates(network, lambda gates: ops.ones_like(gates.tensor))
    plain, _ = keras_se.surgery.remove_se(network, verbose=False)
    np.testing.assert_allclose(infer(new, some), infer(plain, some), rtol=1e-4, atol=1e-6)
    assert np.abs(infer(new, some) - infer(network, some)).max() > 1e-3


def test_models_without_gates_of_inference_are_refused():
    with pytest.raises(ValueError, match="must have SE blocks"):
        tap_gates(backbone())
    inner = keras.Sequential([keras.Input((8, 8, 4)), SqueezeExcite(4)], name="inner")
    inputs = keras.Input((8, 8, 4))
    with pytest.raises(ValueError, match="training=True"):
        tap_gates(keras.Model(inputs, inner(inputs, training=True)))


def grouped(counts, spread, seed=0):
    """Gates of classes whose means have the standard deviation `spread`, that of images being 1."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    gates = random.normal(0, spread, (len(counts), 200))[labels]
    return gates + random.normal(0, 1, gates.shape), labels


def moments_of(gates, labels, classes):
    moments = ClassMoments(classes, gates.shape[1])
    for part in np.array_split(np.random.default_rng(1).permutation(len(labels)), 7):
        moments.update(gates[part], labels[part])
    return moments


def test_moments_are_those_of_all_images_at_once():
    gates, labels = grouped((5, 1, 0, 9), 1.0)
    moments = moments_of(gates, labels, 4)
    assert moments.counts.tolist() == [5, 1, 0, 9] and np.isnan(moments.means[2]).all()
    for label in (0, 1, 3):
        part = gates[labels == label]
        np.testing.assert_allclose(moments.means[label], part.mean(axis=0))
        np.testing.assert_allclose(moments.deviations[label], part.std(axis=0), atol=1e-7)
    between, within = moments.variation()
    np.testing.assert_allclose(between + within, len(gates) * gates.var(axis=0))


@pytest.mark.parametrize("counts", [(4,) * 50, tuple(range(2, 52))])
def test_the_share_between_classes_is_corrected_for_small_classes(counts):
    for spread, expected in ((0.0, 0.0), (1.0, 0.5), (2.0, 0.8)):
        gates, labels = grouped(counts, spread)
        moments = moments_of(gates, labels, len(counts))
        between, within = (values.sum() for values in moments.variation())
        corrected = intraclass_correlation(between, within, moments.counts)
        assert corrected == pytest.approx(expected, abs=0.02)
    # Without classes at all, classes of four have a quarter of the variance.
    gates, labels = grouped((4,) * 50, 0.0)
    assert eta_squared(*moments_of(gates, labels, 50).variation()) == pytest.approx(0.25, abs=0.01)


def test_equal_classes_have_the_mean_correlation_of_pairs():
    gates, labels = grouped((2,) * 400, 1.0)
    between, within = moments_of(gates, labels, 400).variation()
    pairs = gates[:, 0].reshape(400, 2)
    # Pearson's, of all pairs in both orders.
    expected = np.corrcoef(np.r_[pairs[:, 0], pairs[:, 1]], np.r_[pairs[:, 1], pairs[:, 0]])[0, 1]
    actual = intraclass_correlation(between[0], within[0], np.full(400, 2))
    assert actual == pytest.approx(expected, abs=5e-3)


def test_channels_without_variance_or_with_negative_gates():
    constant = moments_of(np.full((6, 2), 0.5), np.repeat([0, 1], 3), 2)
    between, within = constant.variation()
    assert intraclass_correlation(between, within, constant.counts).tolist() == [0, 0]
    assert eta_squared(between, within) == 0 and effective_channels(np.zeros((2, 2))) == 0
    assert np.isnan(selectivity(np.array([[-1.0, 0.0], [2.0, 0.0]]))).tolist() == [True, False]


def test_effective_channels_are_the_number_of_independent_ones():
    random = np.random.default_rng(0)
    gates = np.repeat(random.normal(size=(20000, 3)), 4, axis=1)
    assert effective_channels(np.cov(gates.T)) == pytest.approx(3, abs=0.01)


def test_the_probe_is_right_where_classes_are_apart():
    gates, labels = grouped((30, 30, 30), 3.0)
    means = moments_of(gates, labels, 3).means
    assert nearest_mean_accuracy(gates, labels, means) == 100
    # A class that is not known is never taken.
    means[1] = np.nan
    assert nearest_mean_accuracy(gates, labels, means) == pytest.approx(100 * 2 / 3)


@pytest.fixture(scope="module")
def colored():
    """Sixty images of three classes, each with a color of its own, and some noise."""
    random = np.random.default_rng(0)
    labels = np.tile([0, 1, 2], 20)
    pixels = random.uniform(0, 0.5, (60, 16, 16, 3)) + 0.5 * np.eye(3)[labels][:, None, None]
    pixels = np.float32(pixels)
    return Dataset(pixels, labels, pixels, labels, ("red", "green", "blue"))


def test_an_analysis_is_that_of_all_gates_at_once(network, colored):
    result = analysis.analyze_gates(network, colored, batch_size=16, verbose=False)
    assert (result.images, len(result.blocks)) == (60, 6)
    assert [block.stage for block in result.blocks] == [2, 2, 2, 3, 3, 3]
    labels, all_gates = colored.test_labels, excitations(network, colored.test_images)
    for block in result.blocks:
        gates = all_gates[block.name].astype("float64")
        means = np.stack([gates[labels == label].mean(axis=0) for label in range(3)])
        raw = 20 * ((means - gates.mean(axis=0)) ** 2).sum() / (60 * gates.var(axis=0).sum())
        assert block.eta_squared_uncorrected == pytest.approx(raw, rel=1e-3)
        # The correction of Fisher's F: (F - 1) / (F - 1 + n) for classes of n images.
        f = raw / 2 / ((1 - raw) / 57)
        assert block.eta_squared == pytest.approx((f - 1) / (f - 1 + 20), rel=1e-3)
        assert abs(block.eta_squared_permuted) < 0.1
        np.testing.assert_allclose(block.mean, gates.mean(), rtol=1e-4)
        low, high = (gates < 0.05).mean(), (gates > 0.95).mean()
        assert (block.saturated_low, block.saturated_high) == pytest.approx((low, high), abs=1e-3)
        constant = np.sqrt(gates.var(axis=0).sum() / (gates**2).mean(axis=0).sum())
        assert block.distance_to_constant == pytest.approx(constant, rel=1e-3)
        eigenvalues = np.linalg.eigvalsh(np.cov(gates.T))
        expected = eigenvalues.sum() ** 2 / (eigenvalues**2).sum()
        assert block.effective_channels == pytest.approx(expected, rel=1e-2)
        strongest = np.take_along_axis(gates, block.strongest, axis=0)
        np.testing.assert_allclose(strongest, -np.sort(-gates, axis=0)[:4], rtol=1e-4)
        weakest = np.take_along_axis(gates, block.weakest, axis=0)
        np.testing.assert_allclose(weakest, np.sort(gates, axis=0)[:4], rtol=1e-4)
    assert result.blocks[0].probe_accuracy > 90 > result.blocks[0].probe_accuracy_permuted + 20
    right = infer(network, colored.test_images).argmax(axis=1) == labels
    assert result.accuracy == pytest.approx(100 * right.mean())


@pytest.mark.parametrize("application", [SEResNet20, MobileNetV3Small])
def test_stages_are_those_that_remove_se_takes(application):
    # In place "pre", the first block of a stage has the map of the stage before.
    placement = {"placement": "pre"} if application is SEResNet20 else {}
    model = application(weights=None, input_shape=(32, 32, 3), classes=3, **placement)
    _, gates = tap_gates(model)
    numbers = stage_numbers(gates)
    assert len(set(numbers)) > 1
    for number in set(numbers):
        _, removals = keras_se.surgery.remove_se(model, f"stage{number}", verbose=False)
        of_stage = [
            block.name for block, stage in zip(gates, numbers, strict=True) if stage == number
        ]
        assert [removal.block for removal in removals] == of_stage


def test_stages_are_counted_by_maps_where_names_say_none():
    model = keras.applications.MobileNetV3Small(weights=None, input_shape=(64, 64, 3))
    _, gates = tap_gates(model)
    assert [block.positions for block in gates] == [64 * 4, *5 * [16], *3 * [4]]
    assert stage_numbers(gates) == [1, *5 * [2], *3 * [3]]


def test_figures_show_the_gates_of_the_papers_blocks_and_classes(network, colored):
    result = analysis.analyze_gates(network, colored, verbose=False)
    shown = ("layer2_2_se", "layer3_0_se", "layer3_1_se", "layer3_2_se")
    assert analysis.paper_blocks(result) == shown
    for figure in (analysis.class_means_figure(result), analysis.class_spread_figure(result)):
        assert [axes.get_title() for axes in figure.axes] == list(shown)
    figure = analysis.class_means_figure(result, ["layer3_2_se"], ["blue"], channels=5)
    blue, average = (line.get_ydata() for line in figure.axes[0].lines)
    gates = excitations(network, colored.test_images)["layer3_2_se"]
    channels = np.linspace(0, 63, 5).round().astype(int)
    expected = gates[colored.test_labels == 2].mean(axis=0)[channels]
    np.testing.assert_allclose(blue, expected, rtol=1e-4)
    np.testing.assert_allclose(average, gates.mean(axis=0)[channels], rtol=1e-4)
    figure = analysis.depth_figure(result, "saturated", "", factor=100)
    percent = [100 * block.saturated for block in result.blocks]
    assert figure.axes[0].lines[0].get_ydata().tolist() == percent
    with pytest.raises(ValueError, match="classes"):
        analysis.class_means_figure(result, classes=["pink"])
    with pytest.raises(ValueError, match="blocks"):
        analysis.class_spread_figure(result, blocks=["layer9_0_se"])


def test_the_report_draws_the_classes_that_are_asked_for(network, colored):
    result = analysis.analyze_gates(network, colored, verbose=False)
    page = analysis.gate_report(result, network, colored, classes=["blue"])
    assert "nan" not in page.partition("<h2>Every block")[0]
    for figure in (analysis.class_means_figure, analysis.class_spread_figure):
        drawn = figure(result, ["layer3_2_se"], ["blue"])
        assert data_url(figure_png(drawn)) in page


def test_the_papers_classes_are_found_by_name_and_synset():
    names = imagenet_class_names()
    assert analysis.paper_classes(names) == ("goldfish", "pug", "airliner", "cliff")
    synsets = [synset for ((synset, _, _),) in decode_predictions(np.eye(1000), top=1)]
    assert analysis.paper_classes(synsets)[2] == "n02690373"
    assert analysis.paper_classes(["a", "b"]) == ("a", "b")


def test_a_few_images_of_each_class_are_enough(network, colored):
    few = held_out_per_class(colored, 3)
    assert few.test_labels.tolist() == [0, 1, 2] * 3
    result = analysis.analyze_gates(network, few, verbose=False)
    assert result.images == 9 and result.blocks[0].eta_squared > 0.5


def test_the_command_writes_every_block(network, tmp_path, capsys):
    path, out = tmp_path / "model.keras", tmp_path / "out"
    network.save(path)
    words = ["gates", path, "--data", "fake", "--size", 24, "--out", out]  # of 16 pixels
    assert cli.main([str(word) for word in words]) == 0
    facts = json.loads((out / "gates.json").read_text())
    assert [block["name"] for block in facts["blocks"]][-1] == "layer3_2_se"
    for block in facts["blocks"]:
        assert 0 <= block["saturated"] <= 1 and block["channels"] in (32, 64)
        assert block["eta_squared"] > block["eta_squared_permuted"]  # they differ in brightness
        assert {"selectivity", "probe_accuracy", "effective_channels"} <= set(block)
    assert "layer2_0_se" in capsys.readouterr().out
    page = (out / "report.html").read_text()
    # Six numbers along the network, the last block of the first stage and three of the last twice,
    # at most 3 channels of 2 stages with 8 images each, and 10 classes with their overlays.
    inside = page.count('src="data:image/png;base64,')
    assert 6 + 2 * 4 + 2 * 8 + 20 <= inside <= 6 + 2 * 4 + 6 * 8 + 20
    assert page.count("src=") == inside and "http" not in page and "<script" not in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--per-class", 1), "--per-class"),
        (("--classes", "cat,cow"), "'cat'"),
        (("--batch", 0), "batch=0"),
        (("--size", 0), "size=0"),
    ],
)
def test_the_command_refuses_what_cannot_work(words, message, tmp_path, capsys):
    words = ("gates", "seresnet20", "--data", "fake", "--out", tmp_path / "out", *words)
    assert cli.main([str(word) for word in words]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_command_refuses_networks_without_gates(tmp_path, capsys):
    words = ("gates", "none.keras", "--data", "fake", "--out", str(tmp_path))
    assert cli.main(words) == 2
    assert "none.keras" in capsys.readouterr().err
    keras.Model(*2 * [keras.Input((8, 8, 3))]).save(tmp_path / "plain.keras")
    words = ("gates", str(tmp_path / "plain.keras"), *words[2:])
    assert cli.main(words) == 2
    assert "SE blocks" in capsys.readouterr().err
