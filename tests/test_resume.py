"""A run that is stopped, killed or broken goes on as if nothing had happened, or says why not."""

import dataclasses
import importlib.util
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import WARNINGS_OF_KERAS, assert_same_run, read_history, saved_weights
from PIL import Image
from tiny import SMALL

import keras_se.applications
from keras_se import cli, data, files, recipes
from keras_se.evaluation import report
from keras_se.evaluation.evaluate import outputs
from keras_se.recipes import DIGITS
from keras_se.training import build, checkpoint, loop, resolve, results
from keras_se.training.checkpoint import State, named

pytest.importorskip("matplotlib")
pytestmark = WARNINGS_OF_KERAS

# In environments of other backends it is not.
TENSORBOARD = all(importlib.util.find_spec(one) for one in ("tensorboard", "tensorflow"))
RECIPE = dataclasses.replace(
    DIGITS,
    about="A test.",
    network="SEResNet20",  # SETiny, once it is in the zoo.
    data="fake",
    epochs=4,
    batch_size=16,
    learning_rate=0.02,
    warmup_epochs=1,
    augment=("flip", "translate(0.1)"),
    mixup=0.2,
    ema_decay=0.9,
    twin=False,
)


@pytest.fixture(autouse=True, scope="module")
def tiny():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras_se.applications, "SETiny", SMALL, raising=False)
        patch.setattr(results, "export_saved_model", lambda network, folder, class_names: None)
        yield


@pytest.fixture(scope="module")
def recipe(tiny):
    return dataclasses.replace(RECIPE, network="SETiny")


@pytest.fixture(scope="module")
def whole(recipe, tmp_path_factory):
    """The folder of a run that was never stopped."""
    out = tmp_path_factory.mktemp("whole")
    loop.train(recipe, out, tensorboard=TENSORBOARD)
    return out


class Stop(Exception):
    pass


def tensorflow_errors():
    """What TensorFlow makes of an error in the data."""
    if keras.backend.backend() != "tensorflow":
        return Stop
    import tensorflow

    return tensorflow.errors.OpError


def stop_after(patch, steps):
    """Makes the data end with an error after so many batches."""
    left = [steps]
    batch = data.TrainBatches.batch

    def failing(self, index):
        left[0] -= 1
        if left[0] < 0:
            raise Stop
        return batch(self, index)

    patch.setattr(data.TrainBatches, "batch", failing)


def rows(out):
    """The history of a run, a dictionary for each epoch."""
    head, numbers = read_history(out)
    return [dict(zip(head, line, strict=True)) for line in numbers]


@pytest.mark.parametrize("steps", [pytest.param(5, marks=pytest.mark.slow), 22])
def test_a_run_stopped_within_an_epoch_goes_on_to_the_same_weights(recipe, whole, tmp_path, steps):
    """In the first epoch of eight steps, before there is a checkpoint, and in the third."""
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, steps)
        with pytest.raises((Stop, RuntimeError, tensorflow_errors())):
            loop.train(recipe, tmp_path)
    state = State(tmp_path / "state.npz")
    assert state.read() == (steps > 8)
    # Keras reads ahead of what it trains on.
    assert state.record["epoch"] in ((0,) if steps == 5 else (1, 2))
    loop.train(recipe, tmp_path, resume=True)
    assert_same_run(tmp_path, whole)
    assert not (tmp_path / "state.npz").exists()


def test_a_run_stopped_after_its_last_epoch_only_writes_its_files(recipe, whole, tmp_path):
    with pytest.MonkeyPatch.context() as patch:

        def stop(network, path):
            raise Stop

        patch.setattr(loop, "save_model", stop)
        with pytest.raises(Stop):
            loop.train(recipe, tmp_path)
    assert State(tmp_path / "state.npz").read()
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, 0)
        loop.train(recipe, tmp_path, resume=True)
    assert_same_run(tmp_path, whole)


def test_resuming_needs_the_same_unfinished_run(recipe, whole, tmp_path):
    with pytest.raises(FileExistsError, match="is complete"):
        loop.train(recipe, whole, resume=True)
    with pytest.raises(FileNotFoundError, match="no run in"):
        loop.train(recipe, tmp_path, resume=True)
    (tmp_path / "recipe.json").write_text(recipe.to_json())
    other = dataclasses.replace(recipe, seed=3, about="Another text.")
    with pytest.raises(ValueError, match=r"seed=0.*seed=3"):
        loop.train(other, tmp_path, resume=True)
    (tmp_path / "state.npz").write_bytes(b"half a file")
    with pytest.raises(ValueError, match=r"state\.npz' cannot be read"):
        loop.train(recipe, tmp_path, resume=True)


def test_a_state_of_another_backend_or_network_is_refused(recipe, tmp_path):
    images = data.load("fake", size=8)
    state = State(tmp_path / "state.npz")
    network = build(resolve(recipe, images))
    network.compile("sgd", "mse")
    state.capture(network, network.optimizer)
    state.record["backend"] = "none"
    state.write()
    again = State(tmp_path / "state.npz")
    with pytest.raises(ValueError, match=r"KERAS_BACKEND=none.*Received: \w+"):
        again.read()
    wide = SMALL(weights=None, input_shape=(8, 8, 3), classes=3)
    with pytest.raises(ValueError, match=r"does not fit.*fc/kernel#1 must be \(16, 3\)"):
        state.restore(wide)


def test_a_loss_that_breaks_later_keeps_the_last_good_weights(recipe, tmp_path, monkeypatch):
    """The images of the third epoch are not numbers."""
    batch = data.TrainBatches.batch

    def spoiled(self, index):
        x, labels = batch(self, index)
        scale = np.nan if self.epoch == 2 else 1 / 255
        return x | {"images": np.float32(x["images"]) * scale}, labels

    monkeypatch.setattr(data.TrainBatches, "batch", spoiled)
    with pytest.raises(ValueError, match="not a number in epoch 3"):
        loop.train(recipe, tmp_path)
    state = State(tmp_path / "state.npz")
    assert state.read() and state.record["epoch"] == 2
    kept = [value for name, value in state.arrays.items() if name.startswith("network/")]
    for one, other in zip(saved_weights(tmp_path / "model.keras"), kept, strict=True):
        np.testing.assert_array_equal(one, other)
    assert (tmp_path / "best.keras").exists()


def test_too_little_space_is_said_before_the_first_step(recipe, tmp_path, monkeypatch):
    usage = type("usage", (), {"free": 1000})
    monkeypatch.setattr(files.shutil, "disk_usage", lambda path: usage)
    monkeypatch.setattr(loop, "fit", None)
    with pytest.raises(OSError, match=r"`out` .* \d+ MiB free.*0 MiB"):
        loop.train(recipe, tmp_path)


@pytest.mark.slow
def test_the_files_for_the_user_are_refreshed_while_it_runs(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "SAVE_SECONDS", 0)
    saved = []
    monkeypatch.setattr(checkpoint, "save_model", lambda network, path: saved.append(path.name))
    images = data.load("fake", size=8)
    keep = checkpoint.Checkpoint(State(), tmp_path / "a.keras", tmp_path / "b.keras")
    short = dataclasses.replace(recipe, epochs=2, steps_per_epoch=2)
    run = resolve(short, images)
    loop.fit(run, build(run), tmp_path / "history.csv", [keep])
    assert saved == ["a.keras", "b.keras"] * 2


def test_the_best_weights_are_those_of_the_best_epoch(recipe, whole):
    best = max(row["val_accuracy"] for row in rows(whole))
    network = keras.saving.load_model(whole / "best.keras", compile=False)
    found, labels = outputs(network, data.load("fake", size=8))
    assert np.mean(found.argmax(axis=1) == labels) == pytest.approx(best, abs=1e-6)


def test_the_report_says_what_a_run_did(whole):
    text = (whole / "report.html").read_text()
    assert f"<title>{whole.name}</title>" in text and 'name="viewport"' in text
    (row,) = json.loads((whole / "results.json").read_text())["networks"].values()
    assert f"{row['test_accuracy']:.2f}" in text and f"{row['best_accuracy']:.2f}" in text
    for heading in ("Recall by class", "Confusions", "Most confident errors"):
        assert heading in text
    wrong = round(30 * (1 - row["test_accuracy"] / 100))
    with Image.open(whole / "curves.png") as curves:
        # Loss above accuracy: side by side, a phone would have to scroll or show them tiny.
        assert curves.height > curves.width
    # The curves are a picture too.
    assert text.count("data:image/png;base64,") == 1 + min(wrong, report.MOST_ERRORS)
    assert text.count("<figure>") == min(wrong, report.MOST_ERRORS)


@pytest.mark.backend_neutral
def test_only_the_most_frequent_of_many_confusions_are_shown():
    counts = np.eye(60, dtype=int)
    counts[3, 7] = 5
    table = report.confusion_table(counts, [f"<{index}>" for index in range(60)])
    assert "<th>&lt;3&gt;</th><td>&lt;7&gt;</td><td>5</td>" in table
    assert table.count("<tr>") == 2


def test_tensorboard_is_asked_for_only_if_it_is_there(recipe, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ImportError, match="pip install tensorboard"):
        loop.train(recipe, tmp_path / "out", tensorboard=True)
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not TENSORBOARD, reason="needs TensorBoard and TensorFlow")
def test_tensorboard_shows_the_history(whole):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    logs = whole / "tensorboard" / "SETiny"
    for part, prefix in (("train", ""), ("validation", "val_")):
        events = EventAccumulator(str(logs / part))
        events.Reload()
        for name in ("loss", "accuracy"):
            shown = events.Tensors(f"epoch_{name}")
            assert [one.step for one in shown] == [0, 1, 2, 3]
            values = [float(make_ndarray(one.tensor_proto)) for one in shown]
            known = [row[prefix + name] for row in rows(whole)]
            np.testing.assert_allclose(values, known, rtol=1e-6)


# Real processes, really killed

# Of four epochs of eight steps: in the first, in the second, at the end of one, while it is
# measured and written, and within the next ones.
RANDOM = random.Random(0)
STEPS = (
    RANDOM.randint(1, 7),
    RANDOM.randint(9, 15),
    8,
    RANDOM.randint(9, 15),
    RANDOM.randint(1, 4),
)
KILLS = [(steps, RANDOM.uniform(0, 0.2 if steps == 8 else 0.02)) for steps in STEPS]


def test_a_process_killed_again_and_again_ends_with_the_same_weights(recipe, whole, tmp_path):
    file, out = tmp_path / "recipe.json", tmp_path / "killed"
    file.write_text(recipe.to_json())
    script = Path(__file__).with_name("train_killed.py")
    command = [sys.executable, script, file, out, json.dumps(KILLS)]
    environment = {
        **os.environ,
        "PYTHONPATH": str(script.parent.parent),
        "KERAS_BACKEND": keras.backend.backend(),
        # What a killed process has half written there would stay.
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "compiled"),
    }
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    epochs = [int(line.split()[1]) for line in ended.stderr.splitlines() if "epochs " in line]
    assert epochs[:2] == [0, 1] and epochs[2] in (1, 2)
    assert epochs[3:] == [epochs[2] + 1] * 2
    assert_same_run(out, whole)


# The command line


def test_train_and_resume_on_the_command_line(recipe, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(recipes.RECIPES, "tiny", recipe)
    words = ["train", "tiny", "--data", "fake", "--out", str(tmp_path), "--set", "epochs=2"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "save_model", None)
        with pytest.raises(TypeError):
            cli.main(words)
    assert cli.main(words) == 2
    assert "There is a run already" in capsys.readouterr().err
    assert cli.main([*words, "--resume", "--overwrite"]) == 2
    assert "--resume" in capsys.readouterr().err
    resume = ["--out", str(tmp_path), "--resume"]
    for other, word in (("digits", "recipe"), ("tiny --set seed=5", "seed=5")):
        assert cli.main(["train", *other.split(), *resume]) == 2
        assert word in capsys.readouterr().err
    assert cli.main(["train", "tiny", *resume]) == 0
    assert "2 of 2 epochs are done already" in capsys.readouterr().out


def test_evaluate_reads_the_recipe_beside_the_model(recipe, whole, capsys):
    assert cli.main(["evaluate", str(whole / "model.keras"), "--data", "fake"]) == 0
    printed = capsys.readouterr().out
    results = json.loads((whole / "results.json").read_text())
    accuracy = results["networks"]["SETiny"]["test_accuracy"]
    assert f"top-1 {accuracy:.2f} %" in printed
    assert "30 images" in printed
    assert cli.main(["evaluate", str(whole / "model.keras"), "--data", "digits"]) == 2
    assert "`data` must have the classes" in capsys.readouterr().err
    assert cli.main(["evaluate", "seresnet999", "--data", "fake"]) == 2
    assert "no network 'seresnet999'" in capsys.readouterr().err
    assert cli.main(["evaluate", str(whole / "none.keras"), "--data", "fake"]) == 2
    assert "There is no file" in capsys.readouterr().err


def test_transfer_starts_from_weights_and_keeps_the_head_for_the_new_classes(
    recipe, whole, tmp_path, capsys
):
    words = ["transfer", "setiny", "--weights", str(whole / "model.keras"), "--data", "digits"]
    words += ["--out", str(tmp_path / "out")]
    changes = ["size=8", "epochs=2", "head_epochs=1", "steps_per_epoch=2", "augment=translate(0.1)"]
    changes += ["normalize=none", "crop=1"]
    for change in changes:
        words += ["--set", change]
    assert cli.main(words) == 0
    written = json.loads((tmp_path / "out" / "recipe.json").read_text())
    assert (written["network"], written["data"], written["epochs"]) == ("setiny", "digits", 2)
    assert written["weights"] == str(whole / "model.keras")
    assert "SETiny" in capsys.readouterr().out


def with_dropout():
    inputs = keras.Input((4,))
    x = keras.layers.Dropout(0.5)(keras.layers.Dense(8, name="one")(inputs))
    return keras.Model(inputs, keras.layers.Dropout(0.2)(x))


def copies(network):
    return [np.array(keras.ops.convert_to_numpy(one)) for one in network.variables]


def test_writing_the_best_weights_leaves_random_generators_as_they_are(tmp_path):
    network, state = with_dropout(), State()
    state.capture_best(network)
    for _ in range(3):
        network(np.ones((2, 4), "float32"), training=True)
    before = copies(network)
    checkpoint.save_part(network, state, "best", tmp_path / "best.keras")
    for one, other in zip(before, copies(network), strict=True):
        np.testing.assert_array_equal(one, other)


def test_generators_have_the_same_names_in_every_network_of_a_process():
    first, second = (list(named("network", with_dropout().variables)) for _ in range(2))
    assert first == second
    assert sum("seed_generator" in name for name in first) == 2
