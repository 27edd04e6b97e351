"""Several devices, and several processes, train what one would."""

import json
import signal
import sys
import time
from functools import partial
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from conftest import assert_same_run, saved_weights
from tiny import SMALL, small
from train_tiny import FORKS, train

from keras_se import augmentation, data
from keras_se.data.batches import all_indices
from keras_se.distribution import devices
from keras_se.evaluation.evaluate import outputs
from keras_se.preprocessing import Preprocessing
from keras_se.training import loop, results
from keras_se.training.augmented_model import AugmentedModel

pytest.importorskip("matplotlib")
BACKEND = keras.backend.backend()
# The loss of such batches would be chaotic in float32 after a few more steps.
FIELDS = {"learning_rate": 0.01, "epochs": 2, "warmup_epochs": 0}
# JAX draws for the whole batch; TensorFlow's batch norms and changes are of a device's images.
CHANGES = {"batch_norm": "inference"} if BACKEND == "tensorflow" else {"augment": ("flip",)}
jax_only = pytest.mark.skipif(BACKEND != "jax", reason="only JAX has several processes")


@pytest.fixture
def start(tmp_path_factory):
    """Starts a run of the tiny network in a process of its own; in the end none is left."""
    started = []

    def start(out, fields, *words, **options):
        output = tmp_path_factory.mktemp("output")
        arguments = output, FIELDS | fields, ("--out", out, *words)
        process = FORKS.Process(target=train, args=arguments, kwargs=options)
        process.start()
        process.output = output
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.join()


@pytest.fixture
def start_two(start, coordinator):
    """Starts both processes of a run, or the first two of more, with the same recipe or not."""

    def start_two(out, *fields, words=(), processes=2, started=2, **options):
        several = ("--processes", processes, "--coordinator", coordinator, "--process-id")
        return [
            start(out, fields[index % len(fields)], *words, *several, index, **options)
            for index in range(started)
        ]

    return start_two


def finish(process, seconds=240):
    """The exit status of a process and what it wrote to the standard error."""
    process.join(seconds)
    return process.exitcode, (process.output / "2").read_text()


def error_line(text):
    """The line with the error of the command."""
    (line,) = [line for line in text.splitlines() if line.startswith("keras-se: error:")]
    return line


def assert_ends(*processes):
    for process in processes:
        status, text = finish(process)
        assert status == 0, text


@pytest.fixture(scope="module")
def one(tiny_network, tmp_path_factory):
    """The folder of a run on one device."""
    out = tmp_path_factory.mktemp("one")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results, "export_saved_model", lambda network, folder, class_names: None)
        loop.train(small(**FIELDS | CHANGES), out)
    return out


@pytest.mark.skipif(BACKEND == "torch", reason="PyTorch uses one device")
def test_two_devices_train_what_one_does(start, one, tmp_path):
    assert_ends(start(tmp_path, CHANGES, count=2))
    assert_same_run(one, tmp_path)
    results = [json.loads((out / "results.json").read_text()) for out in (one, tmp_path)]
    accuracies = [result["networks"]["SETiny"]["test_accuracy"] for result in results]
    assert accuracies[0] == accuracies[1]


@jax_only
def test_two_processes_train_what_one_does(start_two, one, tmp_path):
    # The second process waits for the first one, which is busy for longer than JAX would wait.
    assert_ends(*start_two(tmp_path, CHANGES, busy=13))
    assert_same_run(one, tmp_path)


@jax_only
def test_processes_of_which_one_never_starts_end_with_one_line(start_two, tmp_path):
    for process in start_two(tmp_path, {}, processes=3, wait=8):
        status, text = finish(process, 120)
        assert status == 2, text
        assert "Waiting for 3 processes at 127.0.0.1:" in (process.output / "1").read_text()
        assert "Only 2 of the 3" in error_line(text)
        assert "stack trace" not in text and "Traceback" not in text


@jax_only
@pytest.mark.parametrize("where", ["folder", "epoch", "end"])
def test_an_error_of_the_first_process_alone_stops_both(start_two, tmp_path, where):
    message = "No space left on device"
    if where == "folder":
        (tmp_path / "model.keras").touch()
        message = "There is a run already"
    first, second = start_two(tmp_path, {}, fail_at=where)
    status, text = finish(first)
    assert status == 2, text
    assert error_line(text).startswith(f"keras-se: error: {message}")
    # It has been told before the first one ended.
    status, text = finish(second, 60)
    assert status == 2, text
    assert "Another process" in error_line(text)
    assert f"(process 0: {message}" in error_line(text)


def wait_for_epochs(out, number, process):
    """Waits until a run has done so many epochs."""
    history, limit = out / "history.csv", time.monotonic() + 120
    while not (history.is_file() and history.read_text().count("\n") > number):
        assert time.monotonic() < limit
        assert process.is_alive(), finish(process)
        time.sleep(0.05)


@jax_only
def test_a_run_of_which_a_process_dies_says_so_and_goes_on(start_two, tmp_path):
    """The second process is killed, and then the first one; files are refreshed in each epoch."""
    fields, out, mode = {"epochs": 16}, tmp_path / "stopped", ()
    for killed, epochs in ((1, 2), (0, 6)):
        both = start_two(out, fields, words=mode, save_seconds=0)
        wait_for_epochs(out, epochs, both[0])
        both[killed].kill()
        assert finish(both[killed])[0] == -signal.SIGKILL
        status, text = finish(both[1 - killed], 60)
        # Without process 0, where its service is, JAX may itself end the other one.
        if killed or "another task died" not in text:
            assert status == 2, text
            line = error_line(text)
            assert "Another process" in line and "--resume" in line
        assert all(np.isfinite(one).all() for one in saved_weights(out / "model.keras"))
        mode = ("--resume",)
    assert_ends(*start_two(out, fields, words=mode))
    # Not by one process: in 128 steps the order of a sum would make a difference.
    assert_ends(*start_two(tmp_path / "whole", fields))
    assert_same_run(out, tmp_path / "whole")


@jax_only
@pytest.mark.large
def test_four_processes_stop_and_two_go_on_and_train_what_one_does(start_two, start, tmp_path):
    """Which images a step sees does not depend on the number of processes."""
    fields = CHANGES | {"epochs": 6}
    out = tmp_path / "several"
    four = start_two(out, fields, processes=4, started=4, save_seconds=0)
    wait_for_epochs(out, 2, four[0])
    for process in four:
        process.kill()
        process.join()
    assert not (out / "results.json").exists()
    assert_ends(*start_two(out, fields, words=("--resume",)))
    assert_ends(start(tmp_path / "alone", fields))
    assert_same_run(tmp_path / "alone", out)


@jax_only
def test_processes_with_different_recipes_do_not_train(start_two, tmp_path):
    for process in start_two(tmp_path / "out", {"seed": 0}, {"seed": 1}):
        status, text = finish(process)
        assert status == 2, text
        assert "The recipe must be the same in all 2 processes" in text


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        ((0, 0, None), "`processes`"),
        ((2, 2, "localhost:1234"), "`process_id`"),
        ((2, -1, "localhost:1234"), "`process_id`"),
        ((2, 0, None), "`coordinator`"),
        ((2, 0, "localhost"), "`coordinator`"),
        ((2, 0, "localhost:70000"), "`coordinator`"),
    ],
)
def test_processes_that_cannot_be(arguments, argument):
    with pytest.raises(ValueError, match=argument):
        devices.initialize(*arguments)


@pytest.mark.skipif(BACKEND == "jax", reason="JAX can")
def test_backends_that_cannot_train_by_several_processes_say_which_one_can():
    with pytest.raises(ValueError, match="KERAS_BACKEND=jax"):
        devices.initialize(2, 0, "127.0.0.1:1234")


def test_one_process_needs_no_others():
    assert devices.initialize() == devices.ProcessShard(process_index=0, process_count=1)


@pytest.mark.parametrize("gpus", [1, 2])
def test_pytorch_says_that_it_uses_one_of_several_gpus(gpus, monkeypatch, caplog):
    torch = SimpleNamespace(cuda=SimpleNamespace(device_count=lambda: gpus))
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    devices.log_unused_gpus.cache_clear()
    for _ in range(2):
        with devices.distribution_scope(batch_size=3):
            pass
    devices.log_unused_gpus.cache_clear()
    assert [record.args for record in caplog.records] == [(2,)] * (gpus == 2)


# For several devices, all of this process.
PADDED = partial(data.EvalBatches, shard=all_indices)


def test_divided_batches_are_full_and_weigh_every_image_once():
    images = np.arange(10, dtype="float32").reshape(10, 1, 1, 1)
    labels = np.arange(10)
    batches = PADDED(images, labels, 4)
    assert len(batches) == 3
    seen = [batches[index] for index in range(3)]
    values = np.concatenate([one[0].ravel() for one in seen])
    targets = np.concatenate([one[1] for one in seen])
    mass = np.concatenate([one[2] for one in seen])
    assert values.tolist() == [*range(10), 0, 1]
    assert targets.tolist() == [*range(10), 0, 1]
    assert mass.tolist() == [1] * 10 + [0, 0]
    assert (batches[2][0].dtype, mass.dtype) == (np.float32, np.float32)


BROKEN = {1, 4, 5, 6}


@pytest.fixture
def pictures(tmp_path):
    """Seven pictures, of which four cannot be read."""
    from PIL import Image

    for index in range(7):
        Image.new("RGB", (8, 8), (30 * index,) * 3).save(tmp_path / f"{index}.png")
    for index in BROKEN:
        (tmp_path / f"{index}.png").write_bytes(b"broken")
    return data.LazyImages([tmp_path / f"{index}.png" for index in range(7)], Preprocessing(8))


@pytest.mark.parametrize("kind", [data.EvalBatches, PADDED])
def test_a_broken_picture_is_black_and_weighs_nothing(pictures, kind):
    """In the second batch of two all are."""
    batches = kind(pictures, np.arange(7), 2)
    images, labels, mass = (np.concatenate(rows) for rows in zip(*batches, strict=True))
    expected = [0, 1, 2, 3, 4, 5, 6, *([0] if kind is PADDED else [])]
    assert labels.tolist() == expected
    readable = [index not in BROKEN for index in expected]
    assert mass.tolist() == [float(one) for one in readable[:7]] + [0] * (len(expected) - 7)
    shades = [30 * index * one / 255 for index, one in zip(expected, readable, strict=True)]
    np.testing.assert_allclose(images[:, 0, 0, 0], shades, atol=1e-6)
    assert pictures.broken == BROKEN


def test_a_batch_without_a_readable_picture_takes_those_that_come_next(pictures):
    """Four of seven are broken, so in some of 20 epochs both of a batch are."""
    batches = data.TrainBatches(pictures, np.arange(7), 2)
    for _ in range(20):
        for images, labels in (batches[index] for index in range(3)):
            assert not BROKEN & set(labels.tolist())
            np.testing.assert_allclose(images[:, 0, 0, 0], 30 * labels / 255, atol=1e-6)
        batches.on_epoch_end()
    for file in pictures.sources:
        file.write_bytes(b"broken")
    with pytest.raises(ValueError, match="None of 7"):
        batches[0]


@pytest.mark.parametrize("kind", [data.EvalBatches, PADDED])
def test_the_loss_is_that_of_the_pictures_that_can_be_read(pictures, kind, tiny_network):
    recipe = small(normalize="half")
    network = SMALL(weights=None, input_shape=(8, 8, 3), classes=7)
    changes = augmentation.BatchAugmentation(recipe, 7)
    model = AugmentedModel(network, changes, 7)
    model.compile(loss=keras.losses.CategoricalCrossentropy(), weighted_metrics=["accuracy"])
    batches = kind(
        pictures,
        np.arange(7),
        2,
        lambda images, labels: ({"images": images, "labels": labels, "step": 0 * labels}, labels),
    )
    logs = model.evaluate(batches, verbose=0, return_dict=True)
    sound = [index for index in range(7) if index not in BROKEN]
    images = np.stack([np.full((8, 8, 3), 30 * index / 255, "float32") for index in sound])
    found = keras.ops.convert_to_numpy(network((images - 0.5) / 0.5, training=False))
    expected = -np.log(found[range(len(sound)), sound])
    assert set(logs) == {"loss", "accuracy"}
    assert logs["loss"] == pytest.approx(expected.mean(), rel=1e-5)
    assert logs["accuracy"] == pytest.approx(np.mean(found.argmax(axis=1) == sound))
    dataset = data.Dataset(pictures, np.arange(7), pictures, np.arange(7), tuple("abcdefg"))
    again, labels = outputs(network, dataset, recipe.preprocessing, 2)
    assert labels.tolist() == sound
    np.testing.assert_allclose(again, found, atol=1e-6)
