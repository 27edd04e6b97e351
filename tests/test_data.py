"""The split of the digits, their values, and the batches made of them."""

import os
import sys
import threading
import time

import keras
import numpy as np
import pytest
from PIL import Image

from keras_se import data
from keras_se.preprocessing import Preprocessing

load_digits = pytest.importorskip("sklearn.datasets").load_digits


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


def as_bytes(images):
    return {image.tobytes() for image in images}


@pytest.mark.backend_neutral
def test_no_digit_is_both_trained_on_and_held_out(digits):
    train, test = as_bytes(digits.train_images), as_bytes(digits.test_images)
    assert (len(train), len(test)) == (1442, 355)
    assert not train & test
    original = np.float32(load_digits().images / 16)
    assert train | test == as_bytes(original)
    counts = np.bincount(digits.test_labels), np.bincount(digits.train_labels)
    np.testing.assert_array_equal(counts[0], sum(counts) // 5)


@pytest.mark.backend_neutral
def test_digits_keep_their_labels_and_go_from_zero_to_one(digits):
    original = load_digits()
    label_of = {
        np.float32(image / 16).tobytes(): label
        for image, label in zip(original.images, original.target, strict=True)
    }
    for images, labels in (
        (digits.train_images, digits.train_labels),
        (digits.test_images, digits.test_labels),
    ):
        assert images.dtype == np.float32
        assert (images.min(), images.max()) == (0, 1)
        assert [label_of[image.tobytes()] for image in images] == labels.tolist()
    assert digits.class_names == tuple("0123456789")
    assert digits.image_shape == (8, 8, 1)


@pytest.mark.backend_neutral
def test_resizing_is_bilinear_between_pixel_centres(digits):
    image = digits.test_images[0, ..., 0]
    # Twice the size: the new centres lie a quarter of a pixel beside the old ones.
    centres = (np.arange(16) + 0.5) / 2 - 0.5
    rows = np.stack([np.interp(centres, np.arange(8), column) for column in image.T], axis=1)
    expected = np.stack([np.interp(centres, np.arange(8), row) for row in rows])
    resized = data.load("digits", size=16)
    assert resized.image_shape == (16, 16, 1)
    np.testing.assert_allclose(resized.test_images[0, ..., 0], expected, atol=1e-5)


@pytest.mark.backend_neutral
def test_missing_scikit_learn_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError, match="pip install scikit-learn"):
        data.load("digits")


def numbered(batch_size, **arguments):
    """Batches of ten images that hold their own number, which is the target as well."""
    numbers = np.arange(10)
    images = np.float32(numbers).reshape(10, 1, 1, 1)
    return data.TrainBatches(images, numbers, batch_size, **arguments)


def epoch(batches):
    drawn = []
    for images, targets in (batches[index] for index in range(len(batches))):
        np.testing.assert_array_equal(images.ravel(), targets)
        drawn += targets.tolist()
    batches.on_epoch_end()
    return drawn


def test_an_epoch_draws_no_image_twice_and_leaves_out_a_small_rest():
    batches = numbered(4)
    epochs = [epoch(batches) for _ in range(20)]
    assert all(len(set(drawn)) == len(drawn) == 8 for drawn in epochs)
    # What is left out in one epoch comes in another.
    assert set().union(*epochs) == set(range(10))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="only it has tf.data")
def test_tensorflow_does_not_tune_itself():
    """Or the end of an epoch may wait as long as the epoch took, for the thread that tunes."""
    stream = data.stream(numbered(4))
    assert stream.options().autotune.enabled is False
    assert len(stream) == 2


class Prepared(data.PrefetchingDataset):
    """Twenty numbers as batches, of which one is broken; all but the first wait for `go`."""

    def __init__(self):
        super().__init__(prefetch=True)
        self.made, self.go = [], threading.Event()

    def __len__(self):
        return 20

    def batch(self, index):
        if index:
            assert self.go.wait(60)
        self.made.append((index, threading.get_ident()))
        if index == 13:
            raise ValueError("the batch 13 is broken")
        return index


def test_threads_prepare_the_next_batches_and_their_errors_come_in_their_place():
    batches = Prepared()
    batches.go.set()
    assert batches[0] == 0
    deadline = time.monotonic() + 60
    while len(batches.made) < batches.max_queue_size and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sorted(index for index, _ in batches.made) == list(range(batches.max_queue_size))
    assert threading.get_ident() not in {thread for _, thread in batches.made}
    assert [batches[index] for index in range(1, 13)] == list(range(1, 13))
    with pytest.raises(ValueError, match="13 is broken"):
        batches[13]
    assert batches[14] == 14
    batches.on_epoch_end()
    assert batches[0] == 0
    assert [index for index, _ in batches.made].count(0) == 2
    for index in (-1, 20):
        with pytest.raises(IndexError, match=f"index={index}"):
            batches[index]


def test_closed_batches_are_not_prepared_to_the_end(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    batches = Prepared()
    assert batches[0] == 0
    batches.close()
    batches.go.set()
    # The two that had begun end at once; what else is queued would begin then.
    time.sleep(0.5)
    assert len(batches.made) <= 1 + 2


class Losses(keras.callbacks.Callback):
    """Mean losses of each epoch after each of its steps, and those of the held-out images."""

    def __init__(self):
        super().__init__()
        self.trained, self.held_out = [], []

    def on_epoch_begin(self, epoch, logs=None):
        self.trained.append([])

    def on_train_batch_end(self, batch, logs=None):
        self.trained[-1].append(logs["loss"])

    def on_test_end(self, logs=None):
        self.held_out.append(logs["loss"])


def fed(batches, held_out, **epochs):
    """What a network of zeros, which does not learn, says about the batches it is given."""
    model = keras.Sequential(
        [keras.layers.Flatten(), keras.layers.Dense(1, kernel_initializer="zeros")]
    )
    model.compile(keras.optimizers.SGD(0.0), "mean_absolute_error")
    losses = Losses()
    callbacks = [losses, data.EpochEnds(batches)]
    given = {"validation_data": data.stream(held_out), "shuffle": False, "verbose": 0}
    model.fit(data.stream(batches), callbacks=callbacks, **given, **epochs)
    return losses


@pytest.mark.parametrize("decoded", ["before", "late"])
@pytest.mark.parametrize("first", [0, 2])
def test_fit_gets_the_batches_of_every_epoch_in_their_order(decoded, first):
    targets = np.float32(10 ** np.arange(0, 4, 0.1))
    images = np.zeros((len(targets), 2, 2, 3), "uint8")
    if decoded == "late":
        images = data.LazyImages(
            [lambda: Image.new("RGB", (2, 2))] * len(targets), Preprocessing(2)
        )
    batches, order = (
        data.TrainBatches(images, targets, 2, initial_epoch=first, seed=7) for _ in range(2)
    )
    held_out = data.EvalBatches(images, targets, 3)
    losses = fed(batches, held_out, initial_epoch=first, epochs=first + 3)
    assert len(losses.trained) == 3
    for found in losses.trained:
        order.on_epoch_end()
        means = [order[index][1].mean() for index in range(len(order))]
        expected = np.cumsum(means) / np.arange(1, 1 + len(means))
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_allclose(losses.held_out, [targets.mean()] * 3, rtol=1e-5)


def test_a_seed_fixes_the_order_of_every_epoch():
    first, second, other = numbered(5, seed=1), numbered(5, seed=1), numbered(5, seed=2)
    orders = [epoch(first), epoch(first)]
    assert orders[0] != orders[1]
    assert orders == [epoch(second), epoch(second)]
    assert orders != [epoch(other), epoch(other)]


def test_only_images_are_augmented():
    def augment(images, targets, step):
        return images + 100, targets

    images, targets = numbered(10, augment=augment)[0]
    np.testing.assert_array_equal(images.ravel(), targets + 100)


@pytest.mark.backend_neutral
def test_a_batch_larger_than_the_data_is_an_error():
    with pytest.raises(ValueError, match="batch_size=11"):
        numbered(11)


@pytest.mark.backend_neutral
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest"])
@pytest.mark.parametrize("crop_mode", ["center", "squash"])
def test_images_are_resized_as_a_preprocessing_says(tmp_path, interpolation, crop_mode):
    noise = np.random.default_rng(0).integers(0, 256, (10, 40, 30, 3), "uint8")
    for index, one in enumerate(noise):
        folder = tmp_path / "ab"[index % 2]
        folder.mkdir(exist_ok=True)
        Image.fromarray(one).save(folder / f"{index}.png")
    arguments = {"crop": 0.8, "interpolation": interpolation, "crop_mode": crop_mode}
    preprocessing = Preprocessing(size=12, **arguments)
    loaded = data.load(f"folder:{tmp_path}", size=12, preprocessing=preprocessing)
    # The last of either class is held out.
    expected = [preprocessing.load_image(noise[index]) for index in (0, 2, 4, 6, 1, 3, 5, 7)]
    np.testing.assert_array_equal(loaded.train_images, expected)
    np.testing.assert_array_equal(
        loaded.test_images, [preprocessing.load_image(noise[8]), preprocessing.load_image(noise[9])]
    )
