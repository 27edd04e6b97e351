"""Measures the accuracy of anything that classifies images: a model, an export, a function."""

import contextlib
import dataclasses
from collections.abc import Callable

import keras
import numpy as np

from keras_se import data
from keras_se.data import Dataset
from keras_se.data_format import image_axis, image_shape
from keras_se.evaluation.metrics import accuracies, interval
from keras_se.preprocessing import Preprocessing


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """How well a network classifies held-out images.

    Attributes:
        images: How many there are.
        top1: Percentage whose class is the likeliest.
        top5: Percentage whose class is among the five likeliest.
        top1_interval: The 95 % interval of `top1` by Wilson's score, two percentages.
        top5_interval: The same of `top5`.
        skipped: The files that could not be read, and why.
    """

    images: int
    top1: float
    top5: float
    top1_interval: tuple[float, float]
    top5_interval: tuple[float, float]
    skipped: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.images} images"]
        for name in ("top1", "top5"):
            low, high = getattr(self, f"{name}_interval")
            title = f"top-{name[-1]}"
            lines.append(f"{title} {getattr(self, name):.2f} % (95 %: {low:.2f} to {high:.2f})")
        return "\n".join([", ".join(lines), *(f"skipped {text}" for text in self.skipped)])


def evaluate(
    network: keras.Model | Callable,
    dataset: Dataset,
    preprocessing: Preprocessing | None = None,
    batch_size: int = 64,
) -> Evaluation:
    """Classifies the held-out images of a dataset and counts what is right.

    Args:
        network: A `keras.Model`, or a function of an array of images that returns scores
            `(image, class)`, such as an export.
        dataset: The `keras_se.data.Dataset`, resized and cropped as the network wants it.
        preprocessing: How its pixels are normalized; `None` leaves them from 0 to 1.
        batch_size: Images at a time.

    Returns:
        The `Evaluation`.

    Raises:
        ValueError: If the images or the number of classes are not those of the network.

    Example:
    >>> digits = data.load("digits")
    >>> always_zero = lambda images: np.eye(10)[np.zeros(len(images), int)]
    >>> print(evaluate(always_zero, digits))
    355 images, top-1 9.86 % (95 %: 7.17 to 13.40), top-5 100.00 % (95 %: 98.93 to 100.00)
    """
    if isinstance(network, keras.Model):
        _check_shape(network.input_shape[1:], dataset.image_shape)
    scores, labels = outputs(network, dataset, preprocessing, batch_size)
    classes = len(dataset.class_names)
    if scores.shape[-1] != classes:
        raise ValueError(
            f"`data` must have the {scores.shape[-1]} classes of the network. Received: {classes}"
        )
    top1, top5 = accuracies(scores, labels)
    return Evaluation(
        images=len(labels),
        top1=top1,
        top5=top5,
        top1_interval=interval(top1, len(labels)),
        top5_interval=interval(top5, len(labels)),
        skipped=tuple(dataset.all_skipped()),
    )


def _check_shape(expected, received):
    """Raises a ValueError unless images of one shape can be those of the other."""
    if any(side not in (None, other) for side, other in zip(expected, received, strict=True)):
        raise ValueError(
            f"`data` must have images of {tuple(expected)} for this network. Received: {received}"
        )


def outputs(
    network: keras.Model | Callable,
    dataset: Dataset,
    preprocessing: Preprocessing | None = None,
    batch_size: int = 64,
) -> tuple[np.ndarray, np.ndarray]:
    """Runs a network over the held-out images that can be read.

    Args:
        network: As for `evaluate`.
        dataset: The `keras_se.data.Dataset`.
        preprocessing: As for `evaluate`.
        batch_size: Images at a time.

    Returns:
        The network's outputs, `(image, class)`, and the labels of the same images.
    """
    batches = held_out_batches(dataset, preprocessing, batch_size)
    with contextlib.closing(batches):
        if isinstance(network, keras.Model):
            scores = network.predict(data.stream(batches), verbose=0)
        else:
            parts = [np.asarray(network(batches[i][0])) for i in range(len(batches))]
            scores = np.concatenate(parts)
    broken = sorted(getattr(dataset.test_images, "broken", ()))
    return tuple(np.delete(rows, broken, axis=0) for rows in (scores, dataset.test_labels))


def held_out_batches(
    dataset: Dataset, preprocessing: Preprocessing | None = None, batch_size: int = 64
) -> data.EvalBatches:
    """Makes batches of the held-out images as a network takes them.

    Args:
        dataset: The `keras_se.data.Dataset`.
        preprocessing: As for `evaluate`.
        batch_size: Images at a time.

    Returns:
        The `keras_se.data.EvalBatches`; close it after use.
    """
    return data.EvalBatches(
        dataset.test_images,
        dataset.test_labels,
        batch_size,
        lambda images, labels: (
            preprocessing.standardize(images) if preprocessing else images,
            labels,
        ),
    )


def load_for(
    name: str,
    preprocessing: Preprocessing,
    class_names: tuple[str, ...] | None = None,
    size: int | None = None,
) -> Dataset:
    """Loads data whose held-out images a network can be measured on.

    Args:
        name: Name of a dataset of `keras_se.data`, such as `"folder:PATH"`.
        preprocessing: How the network's images are resized and cropped.
        class_names: The names of the network's classes in the order of its outputs, if known.
        size: Side of the images in pixels, if it is not that of the preprocessing.

    Returns:
        The `Dataset`.

    Raises:
        ValueError: If its classes are not those of the network.
        OSError: If it cannot be read.
    """
    dataset = data.load(
        name,
        size=preprocessing.size if size is None else size,
        preprocessing=preprocessing,
        decode_train=False,
    )
    if class_names is not None:
        _check_class_names(list(class_names), list(dataset.class_names))
    return dataset


def _check_class_names(expected, received):
    """Raises a ValueError unless the classes are those that a network was trained on."""
    if len(expected) != len(received):
        raise ValueError(
            f"`data` must have the {len(expected)} classes of the network. "
            f"Received: {len(received)}"
        )
    for index, (name, other) in enumerate(zip(expected, received, strict=True)):
        if name != other:
            raise ValueError(
                "`data` must have the classes that the network was trained on, in their order. "
                f"Class {index} must be {name!r}. Received: {other!r}. If they only have other "
                "names, change those in class_names.txt beside the network."
            )


def resize(network: keras.Model, size: int) -> keras.Model:
    """Rebuilds a network for square images of another size.

    Args:
        network: Functional `keras.Model` of images.
        size: Side in pixels.

    Returns:
        A `keras.Model` with the same weights.

    Raises:
        ValueError: If the network cannot take such images.
    """
    if size < 1:
        raise ValueError(f"`size` must be at least 1 pixel. Received: size={size}")
    shape = image_shape(size, size, network.input_shape[image_axis()])
    try:
        resized = keras.models.clone_model(network, input_tensors=keras.Input(shape))
        resized.set_weights(network.get_weights())
    except ValueError as error:
        raise ValueError(
            f"`size` must be one that {network.name} of {tuple(network.input_shape[1:])} can also "
            f"have. Received: size={size}, with which {str(error).splitlines()[0]}"
        ) from error
    return resized
