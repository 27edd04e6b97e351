"""Rates, optimizers and phases, each against an oracle, and every recipe in its smallest run."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import WARNINGS_OF_KERAS, each
from tiny import small

from keras_se import applications
from keras_se.augmentation import BatchAugmentation
from keras_se.recipes import DIGITS, RECIPES, override, smoke
from keras_se.surgery.drop_path import add_drop_path
from keras_se.training import build, fit, resolve, train
from keras_se.training.augmented_model import AugmentedModel
from keras_se.training.checkpoint import Checkpoint, State
from keras_se.training.optimizer import optimizer as make_optimizer
from keras_se.training.optimizer import schedule as make_schedule
from keras_se.training.phases import phase_ends

pytest.importorskip("sklearn")
pytestmark = [pytest.mark.usefixtures("tiny_network"), *WARNINGS_OF_KERAS]

# Gradient descent and nothing else.
PLAIN = {"weight_decay": 0.0, "momentum": 0.0, "schedule": "constant", "nesterov": False}


# Rates and optimizers


def rates(recipe, epochs, steps=10):
    schedule = make_schedule(recipe, steps)
    return [float(schedule(round(epoch * steps))) for epoch in epochs]


@pytest.mark.backend_neutral
def test_rates_of_the_published_schedules():
    paper = RECIPES["imagenet"]
    at = (0, 29.9, 30, 59.9, 60, 89.9, 90, 99.9)
    expected = [0.6, 0.6, 0.06, 0.06, 0.006, 0.006, 0.0006, 0.0006]
    np.testing.assert_allclose(rates(paper, at), expected, rtol=1e-5)
    assert paper.batch_size * paper.gradient_accumulation_steps == 1024
    np.testing.assert_allclose(
        rates(RECIPES["imagenet-270"], (124.9, 125, 200, 250)), [0.1, 0.01, 1e-3, 1e-4], rtol=1e-5
    )
    np.testing.assert_allclose(
        rates(RECIPES["cifar10-wrn16-8"], (59.9, 60, 120, 160)),
        [0.1, 0.02, 0.004, 0.0008],
        rtol=1e-5,
    )
    # A first epoch of warm-up, from a tenth at its first of ten steps.
    np.testing.assert_allclose(
        rates(RECIPES["cifar10-preresnet110"], (0, 0.5, 1, 82, 123)),
        [0.01, 0.055, 0.1, 0.01, 0.001],
        rtol=1e-5,
    )
    # One batch of 32 that xgastaldi/shake-shake divides among two GPUs.
    even = RECIPES["cifar100-shakeeven"]
    np.testing.assert_allclose(rates(even, (0, 900)), [0.025, 0.0125], rtol=1e-3)
    assert even.weight_decay == pytest.approx(10 * 5e-4)
    a2 = RECIPES["imagenet-a2"]
    assert (
        a2.scaled_learning_rate == 5e-3 and a2.batch_size * a2.gradient_accumulation_steps == 2048
    )
    half = 5 + 295 / 2
    np.testing.assert_allclose(rates(a2, (0, 5, half)), [1e-4, 5e-3, 2.5e-3], rtol=1e-4)
    assert RECIPES["imagenet-rs"].scaled_learning_rate == pytest.approx(0.1 * 4096 / 256)


@pytest.mark.backend_neutral
@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (["milestones=1"], "`milestones`.*schedule='cosine'"),
        (["schedule=step"], "`milestones`"),
        (["schedule=step", "milestones=2,1"], "`milestones` must be rising"),
        (["schedule=step", "milestones=0"], "`milestones` must be rising"),
        (["schedule=step", "milestones=1000"], "`milestones` must be rising"),
        (["schedule=step", "milestones=two"], "numbers"),
        (["head_epochs=1000"], "`head_epochs` must be at most epochs="),
        (["ema_decay=0.9", "layer_decay=0.5"], "`ema_decay` must be 0 with layer_decay=0.5"),
        (["crop=0"], "`crop` must be above 0"),
    ],
)
def test_ingredients_that_do_not_go_together_are_refused(assignments, message):
    with pytest.raises(ValueError, match=message):
        override(DIGITS, assignments)


@pytest.mark.backend_neutral
@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("augment=rotate(200)", "rotate"),
        ("augment=spin(3)", "spin"),
        ("augment=flip(3)", "flip"),
        ("augment=pad_crop", "pixels"),
        ("normalize=mnist", "normalize.*cifar10"),
        ("data=mnist", "data"),
        ("network=SEResNet21", "seresnet20"),
        ("network=resnet20", "twin"),
        ("weights=cifar10", "normalize"),
    ],
)
def test_names_that_nothing_has_are_refused_before_anything_is_made(assignment, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        train(override(DIGITS, [assignment]), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def network_of(recipe, fake):
    network = build(resolve(recipe, fake))
    for variable in network.trainable_variables:
        variable.assign(np.ones(variable.shape))
    return network, network.trainable_variables


def values(variables):
    return {one.path: keras.ops.convert_to_numpy(one) for one in variables}


def test_gradients_of_several_batches_make_one_update(fake):
    recipe = small(gradient_accumulation_steps=2, **PLAIN)
    network, variables = network_of(recipe, fake)
    optimizer = make_optimizer(recipe, 1, network)
    for gradient, left in ((1.0, 1.0), (3.0, 1 - recipe.learning_rate * 2)):
        optimizer.apply([gradient * keras.ops.ones(one.shape) for one in variables], variables)
        for value in values(variables).values():
            np.testing.assert_allclose(value, left, rtol=1e-6)


def test_lamb_moves_by_a_fraction_of_the_norm_of_the_weights(fake):
    recipe = small(optimizer="lamb", weight_decay=0.0, schedule="constant", learning_rate=0.1)
    network, variables = network_of(recipe, fake)
    make_optimizer(recipe, 1, network).apply(
        [5 * keras.ops.ones(one.shape) for one in variables], variables
    )
    # The first update of Adam is one everywhere, and so is every weight: the ratio is one.
    for value in values(variables).values():
        np.testing.assert_allclose(value, 0.9, rtol=1e-5)


def test_averaged_weights_follow_the_steps(fake):
    recipe = small(ema_decay=0.75, learning_rate=0.5, **PLAIN)
    network, variables = network_of(recipe, fake)
    optimizer = make_optimizer(recipe, 1, network)
    for _ in range(2):
        optimizer.apply([keras.ops.ones(one.shape) for one in variables], variables)
    optimizer.finalize_variable_values(variables)
    # The average begins as the first new weight, 0.5; the second is 0.
    for value in values(variables).values():
        np.testing.assert_allclose(value, 0.75 * 0.5, rtol=1e-6)


def test_averaged_weights_keep_the_same_share_of_an_update_of_several_batches(fake):
    recipe = small(ema_decay=0.75, gradient_accumulation_steps=4, learning_rate=0.5, **PLAIN)
    network, variables = network_of(recipe, fake)
    optimizer = make_optimizer(recipe, 1, network)
    # Updates after the fourth and eighth batch, and the batches before the next one.
    for _ in range(4 + 4 + 3):
        optimizer.apply([keras.ops.ones(one.shape) for one in variables], variables)
    optimizer.finalize_variable_values(variables)
    # As without accumulation.
    for value in values(variables).values():
        np.testing.assert_allclose(value, 0.75 * 0.5, rtol=1e-5)


def test_stages_learn_slower_the_farther_they_are_from_the_head(fake):
    recipe = small(layer_decay=0.5, learning_rate=0.1, **PLAIN)
    network, variables = network_of(recipe, fake)
    optimizer = make_optimizer(recipe, 1, network)
    optimizer.build(variables)
    optimizer.apply([keras.ops.ones(one.shape) for one in variables], variables)
    for path, value in values(variables).items():
        left = 0.9 if path.startswith("fc/") else 0.95
        np.testing.assert_allclose(value, left, rtol=1e-6, err_msg=path)


# Phases


class KeepOptimizer(keras.callbacks.Callback):
    """Keeps the optimizer of a training for when it is over."""

    def on_train_begin(self, logs=None):
        self.optimizer = self.model.optimizer


def trained(fake, tmp_path, **fields):
    """How far a run moves the weights, by path, and its optimizer."""
    recipe = small(steps_per_epoch=2, **fields)
    run = resolve(recipe, fake)
    network = build(run)
    before = values(network.weights)
    kept = KeepOptimizer()
    fit(run, network, callbacks=[Checkpoint(State()), kept])
    after = values(network.weights)
    return {path: np.abs(after[path] - before[path]).max() for path in before}, kept.optimizer


def test_the_head_is_trained_first_and_alone(fake, tmp_path):
    assert phase_ends(small(epochs=5, head_epochs=2, frozen_norm_epochs=1)) == [2, 4, 5]
    assert phase_ends(small(epochs=5)) == [5]
    moved, _ = trained(fake, tmp_path, epochs=1, head_epochs=1)
    assert {path for path, change in moved.items() if change} == {"fc/kernel", "fc/bias"}
    moved, _ = trained(fake, tmp_path, epochs=2, head_epochs=1)
    assert {path for path, change in moved.items() if not change} <= {"se/fc1/bias"}


def test_norms_that_are_frozen_keep_everything_and_reestimated_ones_their_scale(fake, tmp_path):
    moved, _ = trained(fake, tmp_path, epochs=1, batch_norm="inference")
    norms = {path for path in moved if path.startswith("bn")}
    assert len(norms) == 8
    # Nothing but the norms stays; a bias before a ReLU may, if that is shut for all images.
    still = {path for path, change in moved.items() if not change}
    assert still - {"se/fc1/bias"} == norms
    moved, _ = trained(fake, tmp_path, epochs=1, batch_norm="reestimate")
    still = {path for path, change in moved.items() if not change}
    assert still - {"se/fc1/bias"} == {
        f"bn{one}/{name}" for one in (1, 2) for name in ("gamma", "beta")
    }


def test_norms_are_frozen_in_the_last_epochs_and_momentum_goes_on(fake, tmp_path):
    """Up to the freezing, the run is that without it; then norms stay and the rest moves on."""
    fields = {"epochs": 2, "schedule": "constant"}
    whole, _ = trained(fake, tmp_path, **fields | {"epochs": 1})
    moved, optimizer = trained(fake, tmp_path, **fields, frozen_norm_epochs=1)
    for path, change in moved.items():
        if path.startswith("bn"):
            assert change == pytest.approx(whole[path], rel=1e-6)
        else:
            assert change != pytest.approx(whole[path], rel=1e-3)
    # The count of steps was carried over from before the freezing.
    assert int(optimizer.iterations) == 4


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_networks_of_half_precision_get_images_of_full_precision(precision, fake, tmp_path):
    """With 1e-3 of the light, steps of half precision would be as large as their differences."""
    recipe = small(precision=precision, epochs=1, normalize="imagenet", weight_decay=0.0)
    run = resolve(recipe, fake)
    network = build(run)
    kept = KeepOptimizer()
    fit(run, network, callbacks=[Checkpoint(State()), kept])
    scaled = isinstance(kept.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (precision == "mixed_float16")
    model = AugmentedModel(network, BatchAugmentation(recipe, 10), 10)
    assert model.compute_dtype == "float32"
    assert network.layers[1].compute_dtype == precision.removeprefix("mixed_")
    seen = []
    probe = keras.layers.Lambda(lambda images: seen.append(images) or images, dtype="float32")
    model.network = probe
    labels = fake.test_labels
    model({"images": fake.test_images, "labels": labels, "step": 0 * labels}, training=False)
    exact = (fake.test_images / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(keras.ops.convert_to_numpy(seen[-1]), exact, atol=1e-5)


# Every recipe

# One for each way in which recipes differ.
DIFFERENT = ("digits", "cifar10-fast", "imagenet", "imagenet-senet154", "imagenet-a2", "transfer")
FAST = ("cifar10-fast", "imagenet-a2", "transfer")


@pytest.mark.parametrize("head_epochs", [0, 1])
def test_a_head_that_is_trained_by_itself_is_a_new_one(fake, tmp_path, head_epochs):
    file = str(tmp_path / "model.weights.h5")
    before = build(resolve(small(seed=1), fake))
    before.save_weights(file)
    fresh = build(resolve(small(seed=2), fake))
    network = build(resolve(small(seed=2, weights=file, head_epochs=head_epochs), fake))
    heads = (fresh if head_epochs else before).get_layer("fc").get_weights()
    for value, head in zip(network.get_layer("fc").get_weights(), heads, strict=True):
        np.testing.assert_array_equal(value, head)
    for name in ("conv1", "se"):
        expected = before.get_layer(name).get_weights()
        for value, one in zip(network.get_layer(name).get_weights(), expected, strict=True):
            np.testing.assert_array_equal(value, one)


@pytest.mark.backend_neutral
@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_says_its_command_and_has_a_network_and_data(name):
    full = RECIPES[name]
    assert f"keras-se {'transfer' if name == 'transfer' else 'train ' + name}" in full.about
    recipe = dataclasses.replace(smoke(full), network="SETiny", size=8)
    assert "SETiny" in resolve(recipe).applications


@pytest.mark.parametrize("name", each(RECIPES, FAST, {*RECIPES} - {*DIFFERENT}))
def test_every_recipe_runs_in_its_smallest_size(name, fake, tmp_path):
    full = RECIPES[name]
    recipe = dataclasses.replace(smoke(full), network="SETiny", size=8, twin=False)
    run = resolve(recipe)
    network = build(run)
    before = network.get_weights()
    kept = KeepOptimizer()
    history, _ = fit(run, network, callbacks=[Checkpoint(State()), kept])
    assert len(history["loss"]) == 2
    assert np.isfinite(history["loss"] + history["val_loss"]).all()
    assert any(np.abs(a - b).max() > 0 for a, b in zip(before, network.get_weights(), strict=True))
    kind = {"sgd": "SGD", "adamw": "AdamW", "lamb": "Lamb"}[full.optimizer]
    made = kept.optimizer
    inner = made.optimizers[0] if full.layer_decay < 1 else made
    assert type(inner).__name__ == kind
    assert int(made.iterations) == 4 // (
        recipe.gradient_accumulation_steps if full.layer_decay == 1 else 1
    )


def test_stochastic_depth_leaves_whole_branches_out_and_keeps_the_mean():
    model = applications.SEResNet20(weights=None, classes=10, input_shape=(8, 8, 3))
    deep = add_drop_path(model, 0.8, seed=3)
    drops = [layer for layer in deep.layers if layer.name.endswith("_add_drop")]
    assert [layer.name for layer in drops][:2] == ["layer1_1_add_drop", "layer1_2_add_drop"]
    np.testing.assert_allclose([layer.rate for layer in drops], np.arange(1, 9) / 10)
    images = np.random.default_rng(0).standard_normal((4, 8, 8, 3)).astype("float32")
    want, got = (keras.ops.convert_to_numpy(one(images)) for one in (model, deep))
    np.testing.assert_array_equal(want, got)
    ones = keras.ops.ones((2000, 2, 2, 3))
    kept = keras.ops.convert_to_numpy(drops[-1](ones, training=True)).reshape(2000, -1)
    assert (kept == kept[:, :1]).all()
    assert set(np.unique(kept.round(4))) == {0.0, 5.0}
    assert kept.mean() == pytest.approx(1, abs=0.1)


def test_stochastic_depth_draws_as_the_dropout_of_keras():
    model = applications.SEResNet20(weights=None, classes=10, input_shape=(8, 8, 3))
    deep = add_drop_path(model, 0.5, seed=3)
    drop = deep.get_layer("layer2_1_add_drop")
    ones = keras.ops.ones((64, 2, 2, 3))
    plain = keras.layers.Dropout(drop.rate, noise_shape=(None, 1, 1, 1), seed=3 + 4)
    for _ in range(2):
        want, got = (keras.ops.convert_to_numpy(one(ones, training=True)) for one in (plain, drop))
        np.testing.assert_array_equal(want, got)
    states = [one.path for one in deep.variables if "seed_generator" in one.path]
    assert len(states) == 8
    assert type(keras.Model.from_config(deep.get_config()).get_layer(drop.name)) is type(plain)


REPLICAS = """
import keras, numpy as np, tensorflow as tf
(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from keras_se.distribution import devices
from keras_se.surgery.drop_path import add_drop_path

inputs = keras.Input((2, 2, 1))
sums = inputs
with devices.distribution_scope(64):
    for index in range(2):
        branch = keras.layers.Activation("linear")(sums)
        sums = keras.layers.Add(name=f"sum{index}")([sums, branch])
    network = add_drop_path(keras.Model(inputs, sums), 0.5, seed=3)
    strategy = tf.distribute.get_strategy()

@tf.function
def step():
    given = tf.ones((32, 2, 2, 1))
    return strategy.run(lambda: network(given, training=True))

def draws():
    return [one.numpy()[:, 0, 0, 0].tolist() for one in strategy.experimental_local_results(step())]

(state,) = [one for one in network.variables if "seed_generator" in one.path]
first, second, began = draws(), draws(), np.array(state)
again = draws()
state.assign(began)
resumed = draws()
plain = keras.layers.Dropout(0.5, noise_shape=(None, 1, 1, 1), seed=4)
expected = 2 + 2 * plain(tf.ones((32, 2, 2, 1)), training=True).numpy()[:, 0, 0, 0]
assert first[0] == expected.tolist(), "the first replica draws as one device does"
assert first[0] != first[1] and second[0] != second[1], "replicas draw the same"
assert first != second, "steps draw the same"
assert resumed == again, "a state does not go on"
"""


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="only TensorFlow has replicas")
def test_stochastic_depth_draws_for_each_replica():
    root = Path(__file__).parent.parent
    subprocess.run([sys.executable, "-c", REPLICAS], check=True, cwd=root)


def test_stochastic_depth_needs_branches():
    images = keras.Input((8, 8, 3))
    model = keras.Model(images, keras.layers.Conv2D(3, 3)(images))
    with pytest.raises(ValueError, match="drop_path"):
        add_drop_path(model, 0.1, seed=0)
