"""Images with labels, divided into those to train on and those held out."""

import hashlib
from dataclasses import dataclass

import numpy as np

# Every fifth image of each class is held out: a fixed fifth of the data, whatever is trained.
HELD_OUT_EVERY = 5


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels, divided into those to train on and those held out.

    Attributes:
        train_images: Array `(image, height, width, channel)`, or `(image, channel, height, width)`
            if Keras is set to channels first: float32 from 0 to 1, or uint8 from 0 to 255. Or
            `LazyImages`, which are like such an array but are decoded when they are asked for.
        train_labels: Integer array `(image,)`, the index of the class in `class_names`.
        test_images: The held-out images, like `train_images`.
        test_labels: Their labels, like `train_labels`.
        class_names: The name of each class.
        skipped: The files that were left out and why, as strings; files that are decoded later
            join the `skipped` of their `LazyImages`.
    """

    train_images: object
    train_labels: np.ndarray
    test_images: object
    test_labels: np.ndarray
    class_names: tuple
    skipped: tuple = ()

    @property
    def image_shape(self):
        """Shape of one image, such as `(8, 8, 1)`, sides in pixels."""
        return tuple(self.train_images.shape[1:])

    def summary(self):
        """What tells this dataset from another: counts, class names, and a hash of the labels."""
        labels = hashlib.sha256()
        for one in (self.train_labels, self.test_labels):
            labels.update(np.asarray(one, "<i8").tobytes())
        return {
            "train_images": len(self.train_labels),
            "test_images": len(self.test_labels),
            "class_names": list(self.class_names),
            "labels": labels.hexdigest(),
        }

    def all_skipped(self):
        """The files left out so far, those that were only found broken when decoded included."""
        late = [getattr(one, "skipped", ()) for one in (self.train_images, self.test_images)]
        return sorted({*self.skipped, *late[0], *late[1]})


def split(images, labels, class_names):
    """Makes a `Dataset` that holds out every fifth image of each class.

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


def every_of_each_class(labels, step):
    """Marks the last of every `step` images of each class, in the order given.

    Args:
        labels: Integer array `(image,)`.
        step: Positive integer.

    Returns:
        Boolean array `(image,)`.

    Example:
    >>> every_of_each_class(np.array([0, 1, 0, 0, 1, 0]), 2)
    array([False, False,  True, False,  True,  True])
    """
    marked = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        marked[np.flatnonzero(labels == label)[step - 1 :: step]] = True
    return marked
