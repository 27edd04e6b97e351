"""Brings the images of every source to the size and the data format that were asked for."""

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np

from keras_se.data.dataset import HELD_OUT_EVERY, Dataset, check_none_empty, every_of_each_class
from keras_se.data.images import LazyImages
from keras_se.data.sequences import Subset
from keras_se.data_format import channel_axis
from keras_se.preprocessing import Preprocessing

PARTS = ("train", "test")


@dataclasses.dataclass(frozen=True, eq=False)
class ImageList:
    """Images that are not decoded yet, and their labels.

    Attributes:
        sources: Paths of image files, or functions that return a `PIL.Image.Image`.
        labels: Integer array `(image,)`.
    """

    sources: Sequence
    labels: np.ndarray

    def split(self) -> tuple["ImageList", "ImageList"]:
        """Returns the images to train on, and every fifth of each class."""
        held_out = every_of_each_class(self.labels, HELD_OUT_EVERY)
        return tuple(
            ImageList(Subset(self.sources, np.flatnonzero(chosen)), self.labels[chosen])
            for chosen in (~held_out, held_out)
        )


class ImageLists(NamedTuple):
    """What a source has that does not decode its images.

    Attributes:
        train: The images to train on.
        test: Those held out; `None` holds out every fifth of each class of `train`.
        class_names: The name of each class.
    """

    train: ImageList
    test: ImageList | None
    class_names: tuple


def resize(dataset: Dataset, size: int | None) -> Dataset:
    """Resizes the arrays of a dataset, and moves their channels where Keras has them.

    Args:
        dataset: A `Dataset` of arrays, channels last.
        size: Side of the images in pixels, or `None` for that of the arrays.

    Returns:
        The `Dataset` in Keras's data format.
    """
    images = {
        f"{part}_images": np.moveaxis(
            _resize(getattr(dataset, f"{part}_images"), size), -1, channel_axis()
        )
        for part in PARTS
    }
    return dataclasses.replace(dataset, **images)


def _resize(images, size):
    if size is None or images.shape[1:3] == (size, size):
        return images
    resized = keras.ops.image.resize(
        np.float32(images), (size, size), antialias=True, data_format="channels_last"
    )
    resized = keras.ops.convert_to_numpy(resized)
    return resized if images.dtype == np.float32 else np.uint8(np.rint(resized).clip(0, 255))


def open_images(
    lists: ImageLists,
    preprocessing: Preprocessing,
    memory: int,
    decode_train: bool,
    name: str,
    workers: int,
) -> Dataset:
    """Makes a dataset of images that are decoded now if they fit in memory, or later.

    Args:
        lists: The `ImageLists`.
        preprocessing: As for `keras_se.data.load`, with the size.
        memory: As for `keras_se.data.load`.
        decode_train: As for `keras_se.data.load`.
        name: Name of the data, for messages.
        workers: As for `keras_se.data.load`.

    Returns:
        The `Dataset`, of arrays or of `LazyImages`.

    Raises:
        ValueError: If a class is empty or cannot be read.
    """
    train, test, class_names = lists
    if test is None:
        train, test = train.split()
        held_out = f"{name}, every {HELD_OUT_EVERY}th image of a class"
        check_none_empty(test.labels, class_names, held_out)
    dataset = Dataset(
        train_images=LazyImages(train.sources, preprocessing, workers),
        train_labels=train.labels,
        test_images=LazyImages(test.sources, preprocessing, workers),
        test_labels=test.labels,
        class_names=class_names,
    )
    parts = PARTS if decode_train else ("test",)
    needed = sum(math.prod(getattr(dataset, f"{part}_images").shape) for part in parts)
    return decode(dataset, name, parts) if needed <= memory else dataset


def decode(dataset: Dataset, name: str, parts: Sequence[str] = PARTS) -> Dataset:
    """Decodes the `LazyImages` of a dataset into arrays, without the broken ones.

    Args:
        dataset: A `Dataset` whose images are `LazyImages`.
        name: Its name, for messages.
        parts: Which images: `"train"`, `"test"` or both.

    Returns:
        The `Dataset`, with the broken images in `skipped`.

    Raises:
        ValueError: If no image of a class can be read.
    """
    changes, skipped = {}, set(dataset.skipped)
    for part in parts:
        lazy = getattr(dataset, f"{part}_images")
        images, readable = lazy.decode_all()
        labels = getattr(dataset, f"{part}_labels")[readable]
        check_none_empty(labels, dataset.class_names, name)
        changes[f"{part}_images"] = images if readable.all() else images[readable]
        changes[f"{part}_labels"] = labels
        skipped |= lazy.skipped
    return dataclasses.replace(dataset, **changes, skipped=tuple(sorted(skipped)))
