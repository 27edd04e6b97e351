"""The images that networks are trained and tested on."""

from dataclasses import dataclass

import keras
import numpy as np

# Every fifth image of each class is held out: a fixed fifth of the data, whatever is trained.
HELD_OUT_EVERY = 5


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels, divided into those to train on and those held out.

    Attributes:
        train_images: Float32 array `(image, height, width, channel)`, or `(image, channel, height,
            width)` if Keras is set to channels first; values from 0 to 1.
        train_labels: Integer array `(image,)`, the index of the class in `class_names`.
        test_images: The held-out images, like `train_images`.
        test_labels: Their labels, like `train_labels`.
        class_names: The name of each class.
    """

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    class_names: tuple

    @property
    def image_shape(self):
        """Shape of one image, such as `(8, 8, 1)`, sides in pixels."""
        return tuple(self.train_images.shape[1:])


class Batches(keras.utils.PyDataset):
    """Shuffled batches for one `model.fit`, each with a fresh random change of its images.

    The order is drawn anew for each epoch. The images that do not fill a last batch wait for
    another epoch: the statistics of a batch of three would harm batch norm.

    Args:
        images: Float array, images along the first axis.
        targets: Array with a row for each image.
        batch_size: Number of images in a batch.
        augment: A function of a batch of images that returns its random change, or `None`.
        seed: Integer that fixes the order.

    Raises:
        ValueError: If there are fewer images than `batch_size`.
    """

    def __init__(self, images, targets, batch_size, *, augment=None, seed=0):
        super().__init__()
        if batch_size > len(images):
            raise ValueError(
                f"`batch_size` must be at most the number of training images, {len(images)}. "
                f"Received: batch_size={batch_size}"
            )
        self.images, self.targets = images, targets
        self.batch_size = batch_size
        self.augment = augment
        self._random = np.random.default_rng(seed)
        self._order = self._random.permutation(len(images))

    def __len__(self):
        return len(self.images) // self.batch_size

    def __getitem__(self, index):
        chosen = self._order[index * self.batch_size : (index + 1) * self.batch_size]
        images = self.images[chosen]
        if self.augment is not None:
            images = keras.ops.convert_to_numpy(self.augment(images))
        return images, self.targets[chosen]

    def on_epoch_end(self):
        """Draws the order of the next epoch."""
        self._order = self._random.permutation(len(self.images))


def load(name, *, size=None):
    """Loads a dataset by name.

    `"digits"` are the 1,797 handwritten digits that scikit-learn ships, of 8x8 pixels; every fifth
    of each class is held out, 355 in all. The writers of the held-out digits wrote training digits
    too, so this is not a test on new writers.

    Args:
        name: `"digits"`.
        size: Side of the images in pixels, to which they are resized; `None` leaves them as
            they are.

    Returns:
        A `Dataset`.

    Raises:
        ValueError: If there is no such dataset, or the package that holds it is not installed.
    """
    images, labels, class_names = loader(name)()
    images = _resized(images, size)
    if keras.config.image_data_format() == "channels_first":
        images = np.moveaxis(images, -1, 1)
    held_out = every_of_each_class(labels, HELD_OUT_EVERY)
    return Dataset(
        train_images=images[~held_out],
        train_labels=labels[~held_out],
        test_images=images[held_out],
        test_labels=labels[held_out],
        class_names=class_names,
    )


def loader(name):
    """Finds the function that loads a dataset.

    Args:
        name: The dataset's name.

    Returns:
        A function without arguments that gives all images, their labels and the class names.

    Raises:
        ValueError: If there is no such dataset.
    """
    if name not in LOADERS:
        legal = ", ".join(repr(one) for one in LOADERS)
        raise ValueError(f"`data` must be one of: {legal}. Received: data={name!r}")
    return LOADERS[name]


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


def _digits():
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ValueError(
            "data='digits' needs scikit-learn, which is not installed: "
            'pip install "keras_se[train]"'
        ) from error
    digits = load_digits()
    images = np.asarray(digits.images / 16, "float32")[..., np.newaxis]
    return images, digits.target, tuple(str(name) for name in digits.target_names)


def _resized(images, size):
    if size is None or images.shape[1:3] == (size, size):
        return images
    resized = keras.ops.image.resize(
        images, (size, size), antialias=True, data_format="channels_last"
    )
    return keras.ops.convert_to_numpy(resized)


LOADERS = {"digits": _digits}
