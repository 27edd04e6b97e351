"""Accuracies with their intervals, of anything that classifies."""

import keras
import numpy as np
import pytest

from keras_se import data
from keras_se.evaluation.evaluate import evaluate, resize
from keras_se.evaluation.metrics import confident_errors, interval
from keras_se.preprocessing import Preprocessing


def by_brightness(images):
    """Scores of fake images, whose classes differ in brightness."""
    means = (32 + 20 * np.arange(10)) / 255
    return -np.abs(images.mean(axis=(1, 2, 3))[:, None] - means)


def test_a_function_is_measured_on_the_held_out_images(fake):
    result = evaluate(by_brightness, fake, batch_size=7)
    assert (result.images, result.top1, result.top5) == (30, 100.0, 100.0)
    low, high = result.top1_interval
    # Wilson's lower bound of n of n is n / (n + z**2).
    assert low == pytest.approx(100 * 30 / (30 + 1.959964**2)) and high == 100
    assert str(result).startswith("30 images, top-1 100.00 % (95 %: 88.65 to 100.00)")


def test_top5_is_larger_than_top1(fake):
    noisy = np.random.default_rng(0)
    result = evaluate(lambda images: noisy.random((len(images), 10)), fake)
    assert result.top1 < result.top5 < 100
    assert result.top1_interval[0] < result.top1 < result.top1_interval[1]


def test_the_interval_covers_as_often_as_it_says():
    """Of 2,000 drawn accuracies on 355 images, 95 % have 98 % in their interval."""
    counts = np.random.default_rng(0).binomial(355, 0.98, 2000)
    bounds = [interval(100 * count / 355, 355) for count in counts]
    covered = np.mean([low <= 98 <= high for low, high in bounds])
    assert 0.93 < covered < 0.98


def test_a_network_of_other_images_or_classes_is_refused(fake):
    with pytest.raises(ValueError, match="classes"):
        evaluate(lambda images: np.zeros((len(images), 3)), fake)
    inputs = keras.Input((4, 4, 3))
    outputs = keras.layers.Dense(10)(keras.layers.Flatten()(inputs))
    with pytest.raises(ValueError, match="images"):
        evaluate(keras.Model(inputs, outputs), fake)
    with pytest.raises(ValueError, match="size"):
        resize(keras.Model(inputs, outputs), 8)


def test_gray_images_are_normalized_by_the_means_of_the_channels():
    gray = np.linspace(0, 1, 8, dtype="float32").reshape(2, 2, 2, 1)
    expected = (gray - (0.485 + 0.456 + 0.406) / 3) / ((0.229 + 0.224 + 0.225) / 3)
    for images in (gray, keras.ops.convert_to_tensor(gray)):
        actual = keras.ops.convert_to_numpy(Preprocessing().standardize(images))
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


def test_no_normalization_takes_any_number_of_channels():
    images = np.ones((2, 2, 2, 4), "float32")
    assert Preprocessing(mean=(0, 0, 0), std=(1, 1, 1)).standardize(images) is images


def test_the_surest_errors_come_first():
    outputs = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.3, 0.7]])
    assert confident_errors(outputs, np.array([1, 0, 1, 0]), 2).tolist() == [0, 1]


def test_a_folder_is_loaded_as_a_network_wants_it(monkeypatch):
    from keras_se.evaluation.evaluate import load_for

    seen = {}
    fake = data.load("fake", size=8)
    monkeypatch.setattr(data, "load", lambda name, **options: seen.update(options) or fake)
    load_for("folder:x", Preprocessing(size=288, crop=0.95, interpolation="bilinear"), size=320)
    looks = seen["preprocessing"]
    assert (seen["size"], looks.crop, looks.interpolation) == (320, 0.95, "bilinear")
    with pytest.raises(ValueError, match="Class 0"):
        load_for("folder:x", Preprocessing(), tuple("abcdefghij"))
