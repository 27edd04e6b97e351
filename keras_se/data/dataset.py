"""Images with labels, divided into those to train on and those held out."""

import dataclasses
import hashlib
import os

import numpy as np

from keras_se.data.images import LazyImages
from keras_se.formatting import first_few, printable

# Every fifth image of each class is held out: a fixed fifth of the data, whatever is trained.
HELD_OUT_EVERY = 5


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels, divided into those to train on and those held out.

    Attributes:
        train_images: Array `(image, height, width, channel)`, or `(image, channel, height, width)`
            if Keras is set to channels first: float32 from 0 to 1, or uint8 from 0 to 255. Or
            `LazyImages`, which look like such an array but are decoded when they are indexed.
        train_labels: Integer array `(image,)`, the index of the class in `class_names`.
        test_images: The held-out images, like `train_images`.
        test_labels: Their labels, like `train_labels`.
        class_names: The name of each class.
        skipped: The files that were left out and why, as strings; files that are decoded later
            are added to `LazyImages.skipped`.
    """

    train_images: np.ndarray | LazyImages
    train_labels: np.ndarray
    test_images: np.ndarray | LazyImages
    test_labels: np.ndarray
    class_names: tuple
    skipped: tuple = ()

    @property
    def image_shape(self) -> tuple:
        """Shape of one image, such as `(8, 8, 1)`, sides in pixels."""
        return tuple(self.train_images.shape[1:])

    def summary(self) -> dict:
        """Returns what identifies the dataset: counts, class names, and a hash of the labels."""
        digest = hashlib.sha256()
        for labels in (self.train_labels, self.test_labels):
            digest.update(np.asarray(labels, "<i8").tobytes())
        return {
            "train_images": len(self.train_labels),
            "test_images": len(self.test_labels),
            "class_names": list(self.class_names),
            "labels": digest.hexdigest(),
        }

    def all_skipped(self) -> list:
        """Returns the files left out so far and why, those included that were decoded late.

        Names of files that are not in UTF-8 are escaped.
        """
        lazy = [getattr(images, "skipped", ()) for images in (self.train_images, self.test_images)]
        return sorted(map(printable, {*self.skipped, *lazy[0], *lazy[1]}))


def split(images: np.ndarray, labels: np.ndarray, class_names: tuple) -> Dataset:
    """Holds out every fifth image of each class.

    Args:
        images: Array with the images along the first axis.
        labels: Integer array `(image,)`.
        class_names: The name of each class.

    Returns:
        The `Dataset`.
    """
    held_out = every_of_each_class(labels, HELD_OUT_EVERY)
    return Dataset(
        train_images=images[~held_out],
        train_labels=labels[~held_out],
        test_images=images[held_out],
        test_labels=labels[held_out],
        class_names=class_names,
    )


def every_of_each_class(labels: np.ndarray, step: int) -> np.ndarray:
    """Marks the last of every `step` images of each class, in the order of `labels`.

    Args:
        labels: Integer array `(image,)`.
        step: Positive integer.

    Returns:
        Boolean array `(image,)`.

    Example:
    >>> every_of_each_class(np.array([0, 1, 0, 0, 1, 0]), 2)
    array([False, False,  True, False,  True,  True])
    """
    order = np.argsort(labels, kind="stable")
    _, starts, counts = np.unique(labels[order], return_index=True, return_counts=True)
    within_class = np.arange(len(labels)) - np.repeat(starts, counts)
    marked = np.zeros(len(labels), bool)
    marked[order] = within_class % step == step - 1
    return marked


def held_out_per_class(dataset: Dataset, most: int) -> Dataset:
    """Leaves out all but the first few held-out images of each class.

    Args:
        dataset: The `Dataset`.
        most: Positive integer, how many images of a class stay at most.

    Returns:
        The `Dataset`, in the same order.

    Example:
    >>> images, labels = np.zeros((5, 2, 2, 3)), np.array([0, 0, 1, 0, 1])
    >>> dataset = Dataset(images, labels, images, labels, ("cat", "dog"))
    >>> held_out_per_class(dataset, 2).test_labels.tolist()
    [0, 0, 1, 1]
    """
    labels = dataset.test_labels
    first = np.sort(
        np.concatenate([np.flatnonzero(labels == label)[:most] for label in np.unique(labels)])
    )
    return select_held_out(dataset, first)


def select_held_out(dataset: Dataset, indices: np.ndarray) -> Dataset:
    """Takes some of the held-out images, in any order, in place of all.

    Args:
        dataset: The `Dataset`.
        indices: Integer array, which images; some may come again.

    Returns:
        The `Dataset`.

    Example:
    >>> images, labels = np.zeros((3, 2, 2, 3)), np.array([0, 1, 2])
    >>> dataset = Dataset(images, labels, images, labels, ("cat", "dog", "hen"))
    >>> select_held_out(dataset, np.array([2, 0])).test_labels.tolist()
    [2, 0]
    """
    images = dataset.test_images
    images = images[indices] if isinstance(images, np.ndarray) else images.select(indices)
    return dataclasses.replace(
        dataset, test_images=images, test_labels=dataset.test_labels[indices]
    )


def check_none_empty(labels: np.ndarray, class_names: tuple, name: str | os.PathLike) -> None:
    """Requires an image of every class.

    Args:
        labels: Integer array `(image,)` of the images that can be read.
        class_names: The name of each class.
        name: Name of the data, for the message.

    Raises:
        ValueError: If a class has no image.
    """
    empty = [class_names[index] for index in np.setdiff1d(np.arange(len(class_names)), labels)]
    if empty:
        raise ValueError(f"Classes in {str(name)!r} have no readable image: {first_few(empty)}")
