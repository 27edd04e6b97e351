"""What blocks are worth, on networks where it can be said beforehand; pruning by it."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from conftest import infer
from keras import layers

from keras_se import SqueezeExcite, analysis, cli
from keras_se.analysis import importance as measure
from keras_se.analysis import prune_se
from keras_se.analysis.importance import MEAN, ONE, SWAPPED, ReplacedGates, paired_loss
from keras_se.data import Dataset, load
from keras_se.evaluation.metrics import accuracies
from keras_se.export import read_metadata
from keras_se.preprocessing import scale_to_unit
from keras_se.recipes import DIGITS


@pytest.fixture(scope="module")
def dataset():
    """Images of two classes that differ in the sign of a channel's mean."""
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1], 40)  # as files come, class by class
    pixels = random.uniform(0, 0.2, (80, 4, 4, 2)).astype("float32")
    pixels[labels == 1, ..., 0] += 0.8
    return Dataset(pixels, labels, pixels, labels, ("dark", "light"))


@pytest.fixture(scope="module")
def network():
    """Only the gates of `decides` say the class; those of `idle` are nearly constant."""
    inputs = keras.Input((4, 4, 2))
    x = SqueezeExcite(1, name="idle")(inputs)
    constant = layers.Conv2D(2, 1, kernel_initializer="zeros", name="constant")
    gated = SqueezeExcite(1, name="decides")
    x = layers.Concatenate()([x, constant(x)])
    x = gated(x)
    outputs = layers.Dense(2, name="head")(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, outputs)
    idle = model.get_layer("idle")
    idle.fc2.kernel.assign(np.zeros((2, 2)))
    constant.bias.assign([1.0, 1.0])
    gated.fc1.kernel.assign(np.eye(4))
    kernel = np.zeros((4, 4))
    # The gate of channel 2 is about 1 for light images, that of channel 3 for dark ones.
    kernel[0, 2], kernel[0, 3] = 60, -60
    gated.fc2.kernel.assign(kernel)
    gated.fc2.bias.assign([0, 0, -15, 15])
    head = np.zeros((4, 2))
    head[3, 0] = head[2, 1] = 1
    model.get_layer("head").kernel.assign(head)
    return model


def test_gates_of_other_images_and_means_cost_what_they_must(network, dataset):
    result = measure(network, dataset, batch_size=16, repeats=3, verbose=False)
    assert (result.images, result.accuracy) == (80, 100)
    idle, decides = result.blocks
    assert [block.name for block in result.blocks] == ["idle", "decides"]
    for kind in (idle.swapped, idle.mean, idle.one):
        assert (kind.points, kind.low, kind.high) == (0, 0, 0)
    # An image gets the gates of one of the other class half of the time, even if they come class
    # by class, and with gates that are the same for all images one class is right.
    assert decides.swapped.low < 50 < decides.swapped.high
    assert decides.mean.points == pytest.approx(50)
    assert result.ranking() == result.ranking("swapped") == ["idle", "decides"]
    assert "another image's gates" in str(result)


def test_replaced_gates_are_those_of_a_rewritten_network(network, dataset):
    replaced = ReplacedGates(network, dataset, batch_size=32)
    labels = dataset.test_labels

    def expected(**options):
        model, _ = keras_se_remove(network, **options)
        return infer(model, dataset.test_images).argmax(axis=1) == labels

    def keras_se_remove(model, **options):
        from keras_se.surgery import remove_se

        return remove_se(model, "decides", verbose=False, **options)

    np.testing.assert_array_equal(replaced.right({"decides": ONE}), expected())
    means = expected(images=dataset.test_images)
    np.testing.assert_array_equal(replaced.right({"decides": MEAN}), means)
    swapped = replaced.right({"decides": SWAPPED}, order=1)
    assert 0.2 < swapped.mean() < 0.8
    np.testing.assert_array_equal(replaced.right({"decides": SWAPPED}, order=1), swapped)
    assert (replaced.right({"decides": SWAPPED}, order=2) != swapped).any()
    assert replaced.right().all()


@pytest.mark.backend_neutral
def test_intervals_are_paired_and_cover_as_often_as_they_say():
    random, covered = np.random.default_rng(0), 0
    for _ in range(500):
        before = random.random(400) < 0.9
        broken = random.random(400) < 0.05
        result = paired_loss(before, before & ~broken)
        covered += result.low <= 100 * 0.9 * 0.05 <= result.high
    assert 0.92 < covered / 500 < 0.98
    # Unpaired, two accuracies of 400 images would differ by 3 points by chance.
    assert result.high - result.low < 5


def test_pruning_removes_what_is_not_needed(network, dataset):
    result = prune_se(network, dataset, budget=1, batch_size=16, verbose=False)
    assert result.removed == ("idle",) and result.images == 40
    assert (result.before.accuracy, result.after.accuracy) == (100, 100)
    assert (result.loss.points, result.loss.low, result.loss.high) == (0, 0, 0)
    idle = network.get_layer("idle")
    saved = sum(np.prod(weight.shape) for weight in idle.weights)
    assert result.before.parameters - result.after.parameters == saved
    assert result.before.multiply_adds - result.after.multiply_adds == 8  # two kernels of 2 x 2
    assert result.before.milliseconds > 0 and "removed idle" in str(result)
    names = [layer.name for layer in result.model.layers if isinstance(layer, SqueezeExcite)]
    assert names == ["decides"]
    everything = prune_se(network, dataset, budget=50, batch_size=16, verbose=False)
    assert everything.removed == ("idle", "decides")
    assert everything.loss.points == pytest.approx(50)
    assert not any(isinstance(layer, SqueezeExcite) for layer in everything.model.layers)


def test_the_command_writes_importance_and_the_pruned_network(network, dataset, tmp_path, capsys):
    network.save(tmp_path / "model.keras")
    words = ("importance", tmp_path / "model.keras", "--data", "fake", "--out", tmp_path)
    assert cli.main([str(word) for word in words]) == 2  # of three channels
    assert "channels" in capsys.readouterr().err
    inputs = keras.Input((8, 8, 3))
    x = layers.GlobalAveragePooling2D()(SqueezeExcite(2, name="se")(inputs))
    keras.Model(inputs, layers.Dense(3)(x)).save(tmp_path / "model.keras")
    assert cli.main([str(word) for word in words]) == 2
    assert "10 classes" in capsys.readouterr().err
    keras.Model(inputs, layers.Dense(10)(x)).save(tmp_path / "model.keras")
    assert cli.main([*map(str, words), "--prune", "100"]) == 0
    facts = json.loads((tmp_path / "importance.json").read_text())
    (block,) = facts["blocks"]
    assert block["name"] == "se" and {"swapped", "mean", "one"} <= set(block)
    assert facts["pruning"]["removed"] == ["se"]
    pruned = keras.models.load_model(tmp_path / "pruned.keras")
    assert not any(isinstance(layer, SqueezeExcite) for layer in pruned.layers)


def test_a_pruned_network_is_evaluated_as_it_was_pruned(tmp_path, capsys):
    random = np.random.default_rng(0)
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(16, 3, activation="relu")(SqueezeExcite(2, name="se")(inputs))
    outputs = layers.Dense(10)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, outputs)
    model.set_weights([random.normal(size=weight.shape) for weight in model.get_weights()])
    model.save(tmp_path / "model.keras")
    recipe = dataclasses.replace(DIGITS, size=8, normalize="imagenet")
    (tmp_path / "recipe.json").write_text(recipe.to_json())
    out = tmp_path / "out"
    words = ("importance", tmp_path / "model.keras", "--data", "fake", "--out", out)
    assert cli.main([*map(str, words), "--prune", "100", "--size", "12"]) == 0
    dataset = load("fake", size=12)
    assert read_metadata(out / "pruned.keras")["class_names"] == list(dataset.class_names)
    scores = infer(
        keras.models.load_model(out / "pruned.keras"),
        recipe.preprocessing.standardize(scale_to_unit(dataset.test_images)),
    )
    top1, _ = accuracies(scores, dataset.test_labels)
    capsys.readouterr()
    assert cli.main(["evaluate", str(out / "pruned.keras"), "--data", "fake"]) == 0
    printed = capsys.readouterr()
    assert f"top-1 {top1:.2f} %" in printed.out and not printed.err
    # Of a network without a recipe it is said that nothing is known.
    (tmp_path / "recipe.json").unlink()
    assert cli.main(["evaluate", str(tmp_path / "model.keras"), "--data", "fake"]) == 0
    assert "from 0 to 1" in capsys.readouterr().err


def test_what_was_measured_stays_if_pruning_fails(tmp_path, capsys):
    inputs = keras.Input((8, 8, 3))
    gate = layers.Dense(3, "sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(inputs))
    pooled = layers.GlobalAveragePooling2D()(layers.multiply([inputs, gate], name="excite"))
    keras.Model(inputs, layers.Dense(10)(pooled)).save(tmp_path / "model.keras")
    words = ("importance", tmp_path / "model.keras", "--data", "fake", "--out", tmp_path)
    assert cli.main([*map(str, words), "--prune", "1"]) == 2
    assert "SqueezeExcite" in capsys.readouterr().err
    facts = json.loads((tmp_path / "importance.json").read_text())
    assert [block["name"] for block in facts["blocks"]] == ["excite"]


@pytest.mark.backend_neutral
@pytest.mark.parametrize(
    ("words", "message"), [(("--repeats", "0"), "--repeats"), (("--prune", "-1"), "--prune")]
)
def test_the_command_refuses_what_cannot_work(words, message, tmp_path, capsys):
    words = ("importance", "seresnet20", "--data", "fake", "--out", str(tmp_path), *words)
    assert cli.main(words) == 2
    assert message in capsys.readouterr().err


def test_arguments_that_are_not_legal(network, dataset):
    with pytest.raises(ValueError, match="budget"):
        prune_se(network, dataset, -0.1)
    with pytest.raises(ValueError, match="repeats"):
        measure(network, dataset, repeats=0)
    with pytest.raises(ValueError, match="batch_size"):
        measure(network, dataset, batch_size=1)
    with pytest.raises(ValueError, match="by"):
        analysis.Importance(0, 0, ()).ranking("one")
    inputs = keras.Input((4, 4, 2))
    gate = layers.Dense(2, "sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(inputs))
    pooled = layers.GlobalAveragePooling2D()(layers.multiply([inputs, gate]))
    with pytest.raises(ValueError, match="SqueezeExcite"):
        prune_se(keras.Model(inputs, layers.Dense(2)(pooled)), dataset, 1)
