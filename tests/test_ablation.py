"""Grids of trainings that vary one choice of SE."""

import dataclasses
import json
import shutil

import keras
import numpy as np
import pytest

from keras_se.applications import SEResNet20
from keras_se.cli import main
from keras_se.layers import EfficientChannelAttention, SqueezeExcite
from keras_se.recipes import DIGITS, override, smoke
from keras_se.training.ablation import AXES, ablate, smallest_difference, variant
from keras_se.training.optimizer import optimizer
from keras_se.training.resolve import build, resolve

SMALL = dataclasses.replace(smoke(DIGITS), size=8)


def gates_of(recipe):
    network = build(resolve(recipe))
    return [layer for layer in network.layers if isinstance(layer, SqueezeExcite)]


def test_a_recipe_says_what_its_gates_are():
    first = gates_of(override(SMALL, ["se=ratio=8,gate=relu,squeeze=max"]))[0]
    assert (first.ratio, first.gate, first.squeeze) == (8, keras.activations.relu, "max")
    assert len(gates_of(override(SMALL, ["se=stages=1+3"]))) == 6
    assert len(gates_of(SMALL)) == 9
    first = gates_of(override(SMALL, ["se=block=eca,kernel_size=5,gate=tanh,placement=pre"]))[0]
    assert isinstance(first, EfficientChannelAttention)
    assert (first.kernel_size, first.gate) == (5, keras.activations.tanh)


@pytest.mark.backend_neutral
@pytest.mark.parametrize(
    "setting",
    [
        *("ratio=many", "ratio=0", "reduction=8", "ratio", "stages=one", "stages=9", "squeeze=sum"),
        *("block=cbam", "block=eca,ratio=8"),
    ],
)
def test_settings_that_are_not_legal_are_refused(setting):
    with pytest.raises(ValueError, match=rf"(se|{setting.partition('=')[0]})` must be"):
        build(resolve(override(SMALL, [f"se={setting}"])))


@pytest.mark.backend_neutral
def test_a_network_without_gates_has_no_settings_of_them():
    with pytest.raises(ValueError, match="`se` must be empty"):
        resolve(override(SMALL, ["network=ResNet20", "twin=false", "se=ratio=8"]))


def test_the_dense_layers_of_gates_can_be_free_of_decay():
    network = SEResNet20(weights=None, input_shape=(8, 8, 3), classes=10)
    moved = {}
    for decays in (True, False):
        recipe = override(DIGITS, [f"se_weight_decay={str(decays).lower()}", "warmup_epochs=0"])
        weights = network.trainable_weights
        before = [keras.ops.convert_to_numpy(weight).copy() for weight in weights]
        zeros = [keras.ops.zeros(weight.shape) for weight in weights]
        optimizer(recipe, 10, network).apply(zeros, weights)
        moved[decays] = {
            weight.path
            for weight, old in zip(weights, before, strict=True)
            if np.abs(keras.ops.convert_to_numpy(weight) - old).max() > 0
        }
    kernels = {weight.path for weight in weights if weight.path.endswith("kernel")}
    assert moved[True] == kernels
    assert kernels - moved[False] == {path for path in kernels if "_se/" in path}


@pytest.mark.backend_neutral
@pytest.mark.slow
@pytest.mark.usefixtures("tiny_network")
def test_a_grid_goes_on_and_compares(tmp_path, capsys):
    fields = ("network=SETiny", "epochs=1", "steps_per_epoch=1", "batch_size=8", "size=8")
    words = ["ablate", "ratio", "--values", "4", "none", "--data", "fake", "--out", str(tmp_path)]
    fields += ("warmup_epochs=0", "xla=off")
    words += [word for field in fields for word in ("--set", field)]
    assert main([*words, "--seeds", "1"]) == 0
    assert "One seed says nothing" in capsys.readouterr().out
    first = json.loads((tmp_path / "ablation_ratio.json").read_text())["rows"]
    assert first["4"]["parameters"] > first["none"]["parameters"]
    assert first["4"]["published"] == 22.25
    # As if another seed were complete: it is not trained again.
    for name in ("setiny-ratio=4", "tiny"):
        other = tmp_path / f"{name}-seed1"
        shutil.copytree(tmp_path / f"{name}-seed0", other)
        recipe = json.loads((other / "recipe.json").read_text()) | {"seed": 1}
        (other / "recipe.json").write_text(json.dumps(recipe))
        numbers = json.loads((other / "results.json").read_text())
        next(iter(numbers["networks"].values()))["test_accuracy"] = 12.5
        (other / "results.json").write_text(json.dumps(numbers))
    assert main([*words, "--seeds", "2"]) == 0
    result = json.loads((tmp_path / "ablation_ratio.json").read_text())
    for value, row in result["rows"].items():
        errors = [first[value]["errors"][0], 87.5]
        assert row["errors"] == errors
        assert row["mean"] == pytest.approx(np.mean(errors))
        assert row["spread"] == pytest.approx(np.std(errors, ddof=1))
    assert f"{result['smallest_difference']:.2f} points" in capsys.readouterr().out
    assert (tmp_path / "ablation_ratio.png").stat().st_size > 1000
    # A complete run of other settings is not taken for one of these.
    assert main([*words, "--seeds", "2", "--set", "learning_rate=0.5"]) == 2
    assert "learning_rate" in capsys.readouterr().err


@pytest.mark.backend_neutral
@pytest.mark.backend_neutral
def test_nothing_is_trained_if_a_value_is_not_legal(tmp_path):
    for axis, values in (("ratio", ["8", "few"]), ("stages", ["7"]), ("block", ["cbam"])):
        with pytest.raises(ValueError, match=axis if axis != "block" else "values"):
            ablate(SMALL, axis, tmp_path, values)
    with pytest.raises(ValueError, match="values"):
        ablate(SMALL, "ratio", tmp_path, [])
    with pytest.raises(ValueError, match="axis"):
        ablate(SMALL, "depth", tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.backend_neutral
def test_the_network_as_it_is_is_the_same_run_of_every_axis():
    as_it_is = {"ratio": "16", "squeeze": "avg", "gate": "sigmoid", "placement": "standard"}
    as_it_is |= {"stages": "1+2+3", "block": "se"}
    assert {variant(SMALL, axis, value) for axis, value in as_it_is.items()} == {
        override(SMALL, ["twin=false"])
    }


@pytest.mark.backend_neutral
@pytest.mark.backend_neutral
@pytest.mark.parametrize("axis", AXES)
def test_every_value_of_the_paper_builds(axis):
    recipes = [variant(SMALL, axis, value) for value in AXES[axis]]
    assert len({(recipe.network, recipe.se) for recipe in recipes}) == len(recipes)
    assert not any(recipe.twin for recipe in recipes)
    plain = [recipe.network for recipe in recipes if recipe.network != SMALL.network]
    assert plain == (["ResNet20"] if "none" in AXES[axis] and axis != "squeeze" else [])


@pytest.mark.backend_neutral
@pytest.mark.backend_neutral
def test_differences_of_that_size_are_found_in_four_of_five_experiments():
    random = np.random.default_rng(0)
    seeds, spread = 8, 0.5
    difference = 4 * spread / np.sqrt(seeds)
    groups = random.normal(0, spread, (20_000, 2, seeds)) + np.array([0, difference])[:, None]
    means, variances = groups.mean(-1), groups.var(-1, ddof=1)
    z = (means[:, 1] - means[:, 0]) / np.sqrt(variances.sum(-1) / seeds)
    # The critical value of 14 degrees of freedom; the power's standard error here is 0.003.
    assert 0.75 < (np.abs(z) > 2.145).mean() < 0.85
    exact = [[-spread, spread] * 50] * 2
    assert smallest_difference(exact) == pytest.approx(4 * spread / 10, rel=0.01)
