"""Batches for `model.fit` whose order and augmentation are a function of seed, epoch and step."""

from collections.abc import Callable

import numpy as np

from keras_se.data.images import LazyImages
from keras_se.data.pipeline import PrefetchingDataset
from keras_se.preprocessing import scale_to_unit


def all_indices(indices: np.ndarray) -> np.ndarray:
    """The shard of a process that is the only one: all indices of a batch."""
    return indices


def check_batch_size(batch_size: int, images: int) -> None:
    """Raises a `ValueError` for a batch that is larger than the number of training images."""
    if batch_size > images:
        raise ValueError(
            f"`batch_size` must be at most the number of training images, {images}. "
            f"Received: batch_size={batch_size}. In a recipe: --set batch_size={images}"
        )


class TrainBatches(PrefetchingDataset):
    """Shuffles the images of each epoch and augments each batch.

    The order of each epoch is the next permutation that the seed gives, so a run that starts at a
    later epoch sees what it would have seen. The images that do not fill a last batch are left out
    of that epoch: the statistics of a batch of three would harm batch normalization.

    Args:
        images: Array with the images along the first axis, or `LazyImages`, which several threads
            decode ahead of the network.
        targets: Array with a row for each image.
        batch_size: Number of images in a batch.
        augment: A function of a batch of images, their targets and the number of the step since
            the start of training, which returns images and targets; `None` only scales uint8
            images to floats from 0 to 1.
        seed: Integer that fixes the order.
        initial_epoch: Index of the first epoch that `model.fit` will do, from zero.
        steps_per_epoch: Maximum number of batches of an epoch; zero for no limit.
        repeats: How often an image comes in an epoch, augmented differently each time; an epoch
            has as many batches as without, so it sees only a part of the images (repeated
            augmentation, https://arxiv.org/abs/1901.09335).
        min_area: If not `None`, `LazyImages` are cropped at random with this smallest area, a
            fraction of the image; see `keras_se.augmentation.crop.random_box`.
        shard: A function of the indices of a batch, positions in the epoch's order, that returns
            those that this process reads, such as `ProcessShard.select`.

    Raises:
        ValueError: If there are fewer images than `batch_size`.

    Example:
    >>> batches = TrainBatches(np.zeros((10, 2, 2, 3), "uint8"), np.arange(10), batch_size=4)
    >>> [images.shape for images, targets in batches]
    [(4, 2, 2, 3), (4, 2, 2, 3)]
    """

    def __init__(  # noqa: PLR0913 (what decides the batches)
        self,
        images: np.ndarray | LazyImages,
        targets: np.ndarray,
        batch_size: int,
        *,
        augment: Callable | None = None,
        seed: int = 0,
        initial_epoch: int = 0,
        steps_per_epoch: int = 0,
        repeats: int = 1,
        min_area: float | None = None,
        shard: Callable[[np.ndarray], np.ndarray] = all_indices,
    ):
        super().__init__(isinstance(images, LazyImages), getattr(images, "workers", 0))
        check_batch_size(batch_size, len(images))
        self.images, self.targets = images, targets
        self.batch_size = batch_size
        self.augment = augment
        # Keras announces the end of an epoch before the first one too.
        self.epoch = initial_epoch - 1
        self._steps_per_epoch, self._repeats = steps_per_epoch, repeats
        self._seed, self._min_area = seed, min_area
        self._shard = shard
        self._random = np.random.default_rng(seed)
        for _ in range(initial_epoch + 1):
            self._shuffle()

    def __len__(self) -> int:
        steps = len(self.images) // self.batch_size
        return min(steps, self._steps_per_epoch) if self._steps_per_epoch else steps

    def batch(self, index: int) -> tuple:
        """Returns the augmented images and targets of a step of the epoch."""
        indices = np.arange(index * self.batch_size, (index + 1) * self.batch_size)
        images, targets = self._read(self._shard(indices))
        if self.augment is None:
            return scale_to_unit(images), targets
        return self.augment(images, targets, max(self.epoch, 0) * len(self) + index)

    def advance(self) -> None:
        """Shuffles the images for the next epoch."""
        self.epoch += 1
        self._shuffle()

    def _shuffle(self):
        self._order = self._random.permutation(len(self.images))

    def _read(self, indices):
        """The images at these indices of the epoch's order, and their targets."""
        if not isinstance(self.images, LazyImages):
            selected = self._order[indices // self._repeats]
            return self.images[selected], self.targets[selected]
        images, readable, targets = self._decode(indices)
        while not readable.any():
            # The images that come next, until one can be read or none is left.
            indices = (indices + len(indices)) % (len(self._order) * self._repeats)
            images, readable, targets = self._decode(indices)
        if readable.all():
            return images, targets
        # A batch keeps its size: readable images are repeated in place of broken ones.
        return tuple(
            np.resize(rows[readable], (len(indices), *rows.shape[1:])) for rows in (images, targets)
        )

    def _decode(self, indices):
        """Images, whether each could be read, and targets."""
        selected = self._order[indices // self._repeats]
        randoms = None
        if self._min_area is not None:
            keys = ((self._seed, max(self.epoch, 0), int(index)) for index in indices)
            randoms = [np.random.default_rng(key) for key in keys]
        images, readable = self.images.take(selected, randoms, self._min_area)
        return images, readable, self.targets[selected]


class EvalBatches(PrefetchingDataset):
    """Gives all images in order and unchanged, with weights; the last batch may be smaller.

    An image that cannot be read is black and has weight zero, all others have weight one.

    Args:
        images: As in `TrainBatches`.
        targets: Array with a row for each image.
        batch_size: Number of images in a batch.
        preprocess: A function of a batch of float32 images and their targets that returns both,
            such as normalized.
        shard: As in `TrainBatches`, for several devices: the last batch is then filled with images
            of weight zero. `None` for one device.

    Raises:
        ValueError: If there are no images, or `batch_size` is not positive.

    Example:
    >>> batches = EvalBatches(np.zeros((3, 2, 2, 3), "uint8"), np.arange(3), batch_size=2)
    >>> [weights.tolist() for images, targets, weights in batches]
    [[1.0, 1.0], [1.0]]
    >>> images = np.zeros((3, 2, 2, 3), "uint8")
    >>> batches = EvalBatches(images, np.arange(3), batch_size=2, shard=all_indices)
    >>> [weights.tolist() for images, targets, weights in batches]
    [[1.0, 1.0], [1.0, 0.0]]
    """

    def __init__(
        self,
        images: np.ndarray | LazyImages,
        targets: np.ndarray,
        batch_size: int,
        preprocess: Callable | None = None,
        shard: Callable[[np.ndarray], np.ndarray] | None = None,
    ):
        super().__init__(isinstance(images, LazyImages), getattr(images, "workers", 0))
        if not len(images):
            raise ValueError("There must be at least one image. Received: none")
        if batch_size < 1:
            raise ValueError(f"`batch_size` must be at least 1. Received: {batch_size}")
        self.images, self.targets = images, targets
        self.batch_size = batch_size
        self.preprocess = preprocess or (lambda images, targets: (images, targets))
        self._shard = shard

    def __len__(self) -> int:
        return -(-len(self.images) // self.batch_size)

    def batch(self, index: int) -> tuple:
        """Returns images, targets and weights."""
        start, count = index * self.batch_size, len(self.images)
        if self._shard is None:
            return self._read(np.arange(start, min(start + self.batch_size, count)))
        indices = self._shard(np.arange(start, start + self.batch_size))
        images, targets, weights = self._read(indices % count)
        return images, targets, weights * np.float32(indices < count)

    def _read(self, indices):
        """The images of these indices, their targets and weights."""
        images, weights = self.images, np.ones(len(indices), "float32")
        if isinstance(images, LazyImages):
            images, readable = images.take(indices)
            weights *= readable
        else:
            images = images[indices]
        return (*self.preprocess(scale_to_unit(images), self.targets[indices]), weights)
