"""Recipes, what they make of Keras's training, and the folder that a run leaves."""

import contextlib
import csv
import dataclasses
import io
import json
import sys

import keras
import numpy as np
import pytest
from tiny import SMALL

import keras_se.applications
from keras_se import augmentation, data
from keras_se.export import read_metadata
from keras_se.layers import SqueezeExcite
from keras_se.recipes import DIGITS, from_json, override
from keras_se.training import build, fit, loop, resolve, train
from keras_se.training import run_folder as folder
from keras_se.training.optimizer import optimizer as make_optimizer
from keras_se.training.optimizer import schedule as make_schedule
from keras_se.training.results import difference, table

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

TENSORFLOW = keras.backend.backend() == "tensorflow"


@pytest.fixture(scope="module")
def recipe():
    """One epoch of the tiny network, which is in the zoo as long as these tests run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras_se.applications, "SETiny", SMALL, raising=False)
        changes = {"network": "SETiny", "epochs": 1, "batch_size": 16}
        yield dataclasses.replace(DIGITS, about="A test.", **changes)


@pytest.fixture(scope="module")
def few():
    """160 digits to train on and 60 held out."""
    digits = data.load("digits")
    return data.Dataset(
        train_images=digits.train_images[:160],
        train_labels=digits.train_labels[:160],
        test_images=digits.test_images[:60],
        test_labels=digits.test_labels[:60],
        class_names=digits.class_names,
    )


@pytest.fixture(scope="module")
def run(recipe, few, tmp_path_factory):
    """The folder, the results and the printed text of a run of two epochs."""
    out = tmp_path_factory.mktemp("runs") / "new" / "run"
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setattr(data, "load", lambda name, **resized: few)
        results = train(dataclasses.replace(recipe, epochs=2), out)
    return out, results, printed.getvalue()


# What a recipe makes of Keras's training


def points(amount, *, seed=0, at=(8, 8)):
    """Where augmentations put a white point of 400 black images of 17x17 pixels."""
    images = np.zeros((400, 17, 17, 1), "float32")
    images[:, at[0], at[1]] = 1
    changed = keras.ops.convert_to_numpy(
        augmentation.random_transform(map(augmentation.parse, amount), seed)(images, 0)
    )[..., 0]
    mass = changed.sum(axis=(1, 2))
    assert mass.min() > 0.1
    rows, columns = np.mgrid[:17, :17]
    where = [(changed * axis).sum(axis=(1, 2)) / mass for axis in (rows, columns)]
    return np.stack(where, axis=-1) - 8


def test_translate_moves_by_a_fraction_of_the_side_each_way():
    moved = points(("translate(0.2)",))
    # 0.2 of 17 pixels; a point between pixels is seen at a weighted mean of them, so exactly.
    assert 3.0 < moved.max() < 3.41
    assert -3.41 < moved.min() < -3.0
    assert abs(np.corrcoef(moved.T)[0, 1]) < 0.2


def test_rotate_turns_by_degrees_each_way():
    rows, columns = points(("rotate(30)",), at=(8, 14)).T
    degrees = np.degrees(np.arctan2(rows, columns))
    assert 25 < degrees.max() < 32
    assert -32 < degrees.min() < -25


def test_zoom_keeps_the_centre_and_the_proportions():
    rows, columns = points(("zoom(0.2)",), at=(4, 12)).T
    np.testing.assert_allclose(rows, -columns, atol=1e-3)
    # At 4 pixels from the centre; a zoom by z shows it at 4 / (1 + z).
    assert 4.5 < columns.max() < 5.1
    assert 3.2 < columns.min() < 3.6


def rates(recipe, steps):
    schedule = make_schedule(recipe, steps)
    return np.array([float(schedule(step)) for step in range(recipe.epochs * steps)])


@pytest.mark.parametrize("warmup", [0, 2, 5])
@pytest.mark.parametrize("name", ["cosine", "constant"])
def test_learning_rate_of_every_step(name, warmup):
    changes = {"epochs": 5, "warmup_epochs": warmup, "schedule": name, "learning_rate": 0.3}
    steps, total = 4, 20
    step = np.arange(total)
    rising = steps * warmup
    progress = (step - rising) / max(total - rising, 1)
    after = 0.15 * (1 + np.cos(np.pi * progress)) if name == "cosine" else 0.3
    first = 0.3 / max(rising, 1)
    expected = np.where(step < rising, first + (0.3 - first) * step / max(rising, 1), after)
    actual = rates(dataclasses.replace(DIGITS, **changes), steps)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_weight_decay_shrinks_kernels_only(name, recipe, few):
    changes = {"optimizer": name, "weight_decay": 0.5, "learning_rate": 0.1, "warmup_epochs": 0}
    recipe = dataclasses.replace(recipe, schedule="constant", **changes)
    network = build(resolve(recipe, few))
    variables = network.trainable_variables
    for variable in variables:
        variable.assign(np.ones(variable.shape))
    optimizer = make_optimizer(recipe, steps=1)
    optimizer.apply([keras.ops.zeros(variable.shape) for variable in variables], variables)
    left = {variable.path: keras.ops.convert_to_numpy(variable) for variable in variables}
    kernels = {path for path in left if path.endswith("kernel")}
    # Of two convolutions, the gates and the head.
    assert kernels == {f"{name}/kernel" for name in ("conv1", "conv2", "se/fc1", "se/fc2", "fc")}
    assert {path.rsplit("/")[-1] for path in left.keys() - kernels} == {"gamma", "beta", "bias"}
    for path, values in left.items():
        np.testing.assert_allclose(values, 0.95 if path in kernels else 1, rtol=1e-6, err_msg=path)


def test_momentum_reaches_the_optimizer():
    assert make_optimizer(override(DIGITS, ["momentum=0.7"]), 1).momentum == 0.7
    changed = override(DIGITS, ["momentum=0.7", "optimizer=adamw"])
    assert make_optimizer(changed, 1).beta_1 == 0.7


def test_precision_is_that_of_the_network_only(recipe, few):
    network = build(resolve(dataclasses.replace(recipe, precision="mixed_bfloat16"), few))
    assert network.get_layer("conv1").compute_dtype == "bfloat16"
    assert network.get_layer("conv1").variable_dtype == "float32"
    assert keras.backend.standardize_dtype(network.output.dtype) == "float32"
    assert keras.config.dtype_policy().name == "float32"


def test_the_seed_gives_the_initial_weights(recipe, few):
    first, again = (build(resolve(recipe, few)).get_weights() for _ in range(2))
    other = build(resolve(dataclasses.replace(recipe, seed=1), few)).get_weights()
    for one, same in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, same)
    assert np.abs(first[0] - other[0]).max() > 0.01


@pytest.mark.parametrize("twin", [True, False])
def test_a_run_has_the_network_of_its_recipe_and_the_twin_if_wanted(recipe, few, twin):
    run = resolve(dataclasses.replace(recipe, twin=twin, drop_path=0.5), few)
    assert list(run.applications) == (["SETiny", "Tiny"] if twin else ["SETiny"])
    for name in run.applications:
        gates = [x for x in build(run, name).layers if isinstance(x, SqueezeExcite)]
        assert bool(gates) == (name == "SETiny")
    plain = dataclasses.replace(recipe, network="tiny", twin=False)
    assert list(resolve(plain, few).applications) == ["Tiny"]


def test_label_smoothing_reaches_the_loss(recipe, few, tmp_path):
    smooth = dataclasses.replace(recipe, label_smoothing=0.9)
    run = resolve(smooth, few)
    history, _ = fit(run, build(run), tmp_path / "history.csv")
    # No prediction can fall below the entropy of such targets.
    targets = np.array([0.19] + 9 * [0.09])
    assert history["val_loss"][0] > -(targets * np.log(targets)).sum() > 2


# The folder of a run


def test_a_run_leaves_its_files_and_nothing_else(run):
    out, *_ = run
    # What is there only until the end, or if asked for.
    expected = set(folder.FILES) - {"state.npz", "twin_state.npz", "tensorboard"}
    expected -= set() if TENSORFLOW else {"saved_model"}
    assert {path.name for path in out.iterdir()} == expected
    assert (out / "curves.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_the_saved_networks_have_the_accuracy_of_the_results(run, few):
    out, results, _ = run
    for name, file in (("SETiny", "model.keras"), ("Tiny", "twin.keras")):
        network = keras.saving.load_model(out / file)
        probabilities = network.predict(few.test_images, verbose=0)
        np.testing.assert_allclose(probabilities.sum(axis=-1), 1, rtol=1e-5)
        accuracy = 100 * np.mean(probabilities.argmax(axis=-1) == few.test_labels)
        assert results["networks"][name]["test_accuracy"] == pytest.approx(accuracy)
        has_se = any(isinstance(layer, SqueezeExcite) for layer in network.layers)
        assert has_se == (name == "SETiny")


@pytest.mark.skipif(not TENSORFLOW, reason="the SavedModel needs the TensorFlow backend")
def test_the_saved_model_predicts_as_the_network(run, few):
    out, results, _ = run
    served = keras.layers.TFSMLayer(out / "saved_model", call_endpoint="serve")
    network = keras.saving.load_model(out / "model.keras")
    expected = network.predict(few.test_images, verbose=0)
    np.testing.assert_allclose(served(few.test_images), expected, atol=1e-5)
    assert results["saved_model_difference"] < 1e-5
    assert read_metadata(out / "saved_model")["class_names"] == list(few.class_names)


def test_the_history_has_a_line_for_each_epoch(run):
    out, results, _ = run
    for name, file in (("SETiny", "history.csv"), ("Tiny", "twin_history.csv")):
        with (out / file).open() as lines:
            rows = list(csv.DictReader(lines))
        assert list(rows[0]) == ["epoch", "accuracy", "loss", "val_accuracy", "val_loss"]
        assert [row["epoch"] for row in rows] == ["0", "1"]
        assert float(rows[1]["loss"]) < float(rows[0]["loss"])
        # The last epoch is the one that counts.
        last = 100 * float(rows[-1]["val_accuracy"])
        assert results["networks"][name]["test_accuracy"] == pytest.approx(last, abs=1e-3)


def test_the_results_are_on_file_and_printed(run, recipe):
    out, results, printed = run
    assert json.loads((out / "results.json").read_text()) == results
    assert from_json((out / "recipe.json").read_text()) == dataclasses.replace(recipe, epochs=2)
    assert table(results["networks"]) in printed
    assert (results["train_images"], results["test_images"]) == (160, 60)
    se, plain = results["networks"].values()
    # From 16 channels to one and back, each with biases.
    assert se["parameters"] - plain["parameters"] == (16 + 1) + (16 + 16)
    assert results["difference"] == difference(se, plain)


def test_a_recipe_gives_the_same_weights_again_without_its_twin(run, recipe, few, tmp_path):
    out, *_ = run
    beside = keras.saving.load_model(out / "model.keras").get_weights()
    alone = dataclasses.replace(recipe, epochs=2, twin=False)
    run = resolve(alone, few)
    network = build(run)
    fit(run, network, tmp_path / "history.csv")
    for one, other in zip(network.get_weights(), beside, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_run_is_only_overwritten_if_asked(run):
    out, *_ = run
    before = (out / "model.keras").read_bytes()
    with (
        pytest.raises(FileExistsError, match=r"run already in .*model\.keras"),
        folder.prepare(out),
    ):
        pass
    assert (out / "model.keras").read_bytes() == before


@pytest.mark.backend_neutral
def test_overwriting_removes_all_of_the_old_run_and_nothing_else(tmp_path):
    for name in ("recipe.json", "twin.keras", "notes.txt", "saved_model/saved_model.pb"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("old")
    with folder.prepare(tmp_path, overwrite=True):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def refuse_training(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("training began")

    monkeypatch.setattr(loop, "fit", refuse)


@pytest.mark.backend_neutral
def test_a_folder_that_is_a_file_is_an_error_before_training(recipe, tmp_path, monkeypatch):
    refuse_training(monkeypatch)
    file = tmp_path / "file"
    file.write_text("mine")
    for out in (file, file / "below"):
        with pytest.raises(OSError, match=r"`out` must be a folder.*file"):
            train(recipe, out, overwrite=True)
    assert file.read_text() == "mine"


def test_a_folder_without_room_is_an_error_before_training(recipe, tmp_path, monkeypatch):
    refuse_training(monkeypatch)

    def full(**_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder.tempfile, "TemporaryFile", full)
    with pytest.raises(OSError, match=r"`out` must be a folder .*No space left"):
        train(recipe, tmp_path)


def test_fewer_images_than_a_batch_are_refused_before_weights_are_downloaded():
    recipe = override(DIGITS, ["data=fake", "batch_size=500"])
    # 160 images, of which every fifth is held out.
    with pytest.raises(ValueError, match="--set batch_size=130"):
        resolve(recipe)


@pytest.mark.backend_neutral
def test_missing_matplotlib_is_an_error_before_training(recipe, tmp_path, monkeypatch):
    refuse_training(monkeypatch)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match="pip install matplotlib"):
        train(recipe, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.backend_neutral
def test_images_too_small_for_the_network_leave_no_folder(tmp_path):
    with pytest.raises(ValueError, match="at least 32 pixels"):
        train(override(DIGITS, ["network=seresnet18"]), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_loss_that_is_not_a_number_saves_no_network(recipe, few, tmp_path, monkeypatch):
    monkeypatch.setattr(data, "load", lambda name, **resized: few)
    with pytest.raises(ValueError, match=r"epoch 1.*learning_rate"):
        train(dataclasses.replace(recipe, learning_rate=1e30), tmp_path)
    expected = {"recipe.json", "class_names.txt", "history.csv"}
    assert {path.name for path in tmp_path.iterdir()} == expected


@pytest.mark.backend_neutral
def test_the_table_ends_with_se_minus_plain():
    counts = {"parameters": 12345, "mflops": 2.5, "seconds": 30.0}
    se = {"test_accuracy": 99.25, "best_accuracy": 99.5, **counts}
    plain = {"test_accuracy": 99.5, "best_accuracy": 99.5, **counts, "parameters": 12000}
    last = table({"SEResNet20": se, "ResNet20": plain}).splitlines()[-1]
    assert last.split()[-5:] == ["-0.25", "+0.00", "+345", "+0.000", "+0.0"]
    assert len(table({"ResNet20": plain}).splitlines()) == 2


@pytest.mark.large
def test_the_digits_recipe_gives_what_it_says(tmp_path):
    # `make demo` trains the twin too.
    results = train(dataclasses.replace(DIGITS, twin=False), tmp_path)
    assert results["networks"]["SEResNet20"]["test_accuracy"] >= 98.5


@pytest.mark.slow
def test_the_digits_recipe_learns_in_a_tenth_of_its_epochs():
    recipe = dataclasses.replace(DIGITS, twin=False, epochs=DIGITS.epochs // 10, warmup_epochs=1)
    digits = resolve(recipe)
    history, _ = fit(digits, build(digits))
    assert history["val_accuracy"][-1] > 0.9
