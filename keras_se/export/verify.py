"""Runs what was written against the Keras model."""

from collections.abc import Callable

import keras
import numpy as np

from keras_se.validation import as_value_error

# Largest accepted difference, as a fraction of the largest output: what another order of float32
# sums may cost in the deepest network, and far below what any real difference does.
TOLERANCE = 1e-4
# Batches of images of a network of any size, number and pixels: sides that are powers of two, and
# odd ones that do not divide.
SIZES = ((1, (64, 64)), (3, (97, 75)))
BATCH = 16


def verify(inference_model, run: Callable, calibration: np.ndarray | None = None) -> tuple:
    """Compares two batches of random images, or the calibration images of an int8 network.

    Args:
        inference_model: The `InferenceModel`.
        run: Callable that runs what was written: images to a list of output arrays.
        calibration: The images of an int8 network, whose outputs need only be finite; or `None`.

    Returns:
        The largest absolute difference, and the fraction of the calibration images whose likeliest
        class is the same, or `None` without any.

    Raises:
        ValueError: If the outputs differ, or are not finite.
    """
    if calibration is not None:
        return _agreement(inference_model, run, calibration)
    worst = 0.0
    # Another size than `model` takes can be compared with its copy of any size only.
    unsigned = inference_model.preprocessing is not None
    models = (inference_model.model, inference_model.any_size)
    for reference, (batch, size) in zip(models, SIZES, strict=True):
        images = random_images(reference, batch, size, unsigned=unsigned)
        expected = outputs(reference, images, inference_model.preprocessing)
        for output, result in zip(expected, _results(run, images), strict=True):
            difference = _difference(output, result)
            if not difference <= TOLERANCE * max(float(np.abs(output).max()), 1e-6):
                raise ValueError(
                    f"The written model differs from the Keras model by {difference:g} on "
                    f"images of shape {images.shape}; nothing was kept."
                )
            worst = max(worst, difference)
    return worst, None


def outputs(model, images, preprocessing=None):
    """Runs `model` on `images` in inference; returns a list of arrays."""
    if preprocessing is not None:
        images = preprocessing.normalize(images)
    results = keras.tree.flatten(model(images, training=False))
    return [keras.ops.convert_to_numpy(result) for result in results]


def likeliest_classes(run: Callable, images: np.ndarray) -> np.ndarray:
    """Finds the likeliest class of each image, batch by batch.

    Args:
        run: Callable from images to one output or several, of which the first tells the class.
        images: Images as `run` takes them.

    Returns:
        The number of the class of each image.

    Example:
    >>> likeliest_classes(lambda images: images.mean((1, 2)), np.eye(3).reshape(3, 1, 1, 3))
    array([0, 1, 2])
    """
    starts = range(0, len(images), BATCH)
    results = [keras.tree.flatten(run(images[start : start + BATCH]))[0] for start in starts]
    return np.concatenate(results).argmax(-1)


def _results(run, images):
    with as_value_error("The written model cannot be run, so nothing was kept"):
        return run(images)


def _agreement(inference_model, run, calibration):
    worst, same = 0.0, 0
    for start in range(0, len(calibration), BATCH):
        images = calibration[start : start + BATCH]
        expected = outputs(inference_model.any_size, images, inference_model.preprocessing)
        results = _results(run, images)
        pairs = zip(expected, results, strict=True)
        worst = max(worst, *(_difference(output, result) for output, result in pairs))
        same += int((expected[0].argmax(-1) == results[0].argmax(-1)).sum())
    return worst, same / len(calibration)


def _difference(expected, result):
    if expected.shape != result.shape:
        raise ValueError(
            f"The written model gives the shape {result.shape} and the Keras model "
            f"{expected.shape}; nothing was kept."
        )
    if not np.isfinite(result).all():
        raise ValueError("The written model gives values that are not finite; nothing was kept.")
    return float(np.abs(expected - result).max())


def random_images(model, batch, size, *, unsigned=False):
    """Random images: values from 0 to 255, or normalized ones as networks are trained on."""
    sides = iter(size)
    shape = (next(sides) if side is None else side for side in model.inputs[0].shape[1:])
    random = np.random.default_rng(0)
    if unsigned:
        return random.integers(0, 256, (batch, *shape)).astype("uint8")
    return random.standard_normal((batch, *shape)).astype(model.inputs[0].dtype)
