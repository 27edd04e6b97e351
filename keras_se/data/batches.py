"""Batches for `model.fit` whose order and changes are a function of seed, epoch and step."""

import numpy as np

from keras_se.data.images import LazyImages
from keras_se.data.pipeline import PrefetchingDataset


def whole(places):
    """The part of a batch that a process reads if it is the only one: all of it."""
    return places


class TrainBatches(PrefetchingDataset):
    """Shuffled batches for one `model.fit`, each with a fresh random change of its images.

    The order of each epoch is the next permutation that the seed gives, so a run that starts at a
    later epoch sees what it would have seen. The images that do not fill a last batch wait for
    another epoch: the statistics of a batch of three would harm batch norm.

    Args:
        images: Array with the images along the first axis, or `LazyImages`, which are decoded by
            several threads ahead of the network.
        targets: Array with a row for each image.
        batch_size: Number of images in a batch.
        augment: A function of a batch of images, their targets and the number of the step since
            the start of training, that returns both, changed at random by that number; or `None`.
        seed: Integer that fixes the order.
        epoch: Number of the first epoch, from zero, that `model.fit` will do.
        steps: Most batches of an epoch; zero for no limit.
        repeats: How often an image comes in an epoch, with another change each time; the epoch
            is as long as without, so it sees only a part of the images (repeated augmentation,
            arXiv:1901.09335).
        min_area: If given, `LazyImages` are cut at random; see `random_box`.
        part: A function of the places of a batch in the order that gives those this process
            reads.

    Raises:
        ValueError: If there are fewer images than `batch_size`.
    """

    def __init__(  # noqa: PLR0913 (what decides the batches)
        self,
        images,
        targets,
        batch_size,
        *,
        augment=None,
        seed=0,
        epoch=0,
        steps=0,
        repeats=1,
        min_area=None,
        part=whole,
    ):
        super().__init__(ahead=isinstance(images, LazyImages))
        if batch_size > len(images):
            raise ValueError(
                f"`batch_size` must be at most the number of training images, {len(images)}. "
                f"Received: batch_size={batch_size}"
            )
        self.images, self.targets = images, targets
        self.batch_size = batch_size
        self.augment = augment
        # Keras announces the end of an epoch before the first one too.
        self.epoch = epoch - 1
        self._steps, self._repeats = steps, repeats
        self._seed, self._min_area = seed, min_area
        self._part = part
        self._random = np.random.default_rng(seed)
        for _ in range(epoch + 1):
            self._draw_order()

    def __len__(self):
        steps = len(self.images) // self.batch_size
        return min(steps, self._steps) if self._steps else steps

    def batch(self, index):
        """Shuffled images and targets, changed."""
        places = np.arange(index * self.batch_size, (index + 1) * self.batch_size)
        images, targets = self._read(self._part(places))
        if self.augment is None:
            return as_floats(images), targets
        return self.augment(images, targets, max(self.epoch, 0) * len(self) + index)

    def advance(self):
        """Draws the order of the next epoch."""
        self.epoch += 1
        self._draw_order()

    def _draw_order(self):
        self._order = self._random.permutation(len(self.images))

    def _read(self, places):
        """The images at these places of the epoch's order, and their targets."""
        if not isinstance(self.images, LazyImages):
            chosen = self._order[places // self._repeats]
            return self.images[chosen], self.targets[chosen]
        images, readable, targets = self._decoded(places)
        while not readable.any():
            # Those that come next, until one can be read or none is left.
            places = (places + len(places)) % (len(self._order) * self._repeats)
            images, readable, targets = self._decoded(places)
        if readable.all():
            return images, targets
        # A batch keeps its size: the readable ones come again in the place of broken ones.
        return tuple(
            np.resize(rows[readable], (len(places), *rows.shape[1:])) for rows in (images, targets)
        )

    def _decoded(self, places):
        """The same with what could not be read, and for each whether it could."""
        chosen = self._order[places // self._repeats]
        randoms = None
        if self._min_area is not None:
            keys = ((self._seed, max(self.epoch, 0), int(place)) for place in places)
            randoms = [np.random.default_rng(key) for key in keys]
        images, readable = self.images.take(chosen, randoms, self._min_area)
        return images, readable, self.targets[chosen]


class EvalBatches(PrefetchingDataset):
    """All images in order and unchanged, with weights, the last batch as small as it is.

    A picture that cannot be read is black and its weight is zero; that of the others is one.

    Args:
        images: As in `TrainBatches`.
        targets: Array with a row for each image.
        batch_size: Number of images in a batch.
        change: A function of a batch of float32 images and their targets that returns both,
            prepared for the network, such as normalised.

    Raises:
        ValueError: If there are no images, or `batch_size` is not positive.
    """

    def __init__(self, images, targets, batch_size, change=None):
        super().__init__(ahead=isinstance(images, LazyImages))
        if not len(images):
            raise ValueError("There must be at least one image. Received: none")
        if batch_size < 1:
            raise ValueError(f"`batch_size` must be at least 1. Received: {batch_size}")
        self.images, self.targets = images, targets
        self.batch_size, self.change = batch_size, change or (lambda *both: both)

    def __len__(self):
        return -(-len(self.images) // self.batch_size)

    def batch(self, index):
        """Images, targets and weights in order."""
        start = index * self.batch_size
        return self._at(np.arange(start, min(start + self.batch_size, len(self.images))))

    def _at(self, places):
        """The images at these places, their targets and weights."""
        images, weights = self.images, np.ones(len(places), "float32")
        if isinstance(images, LazyImages):
            images, readable = images.take(places)
            weights *= readable
        else:
            images = images[places]
        return (*self.change(as_floats(images), self.targets[places]), weights)


class PaddedEvalBatches(EvalBatches):
    """The same for several devices: every batch is full.

    Images come again to fill the last batch, with weight zero.

    Args:
        images: As in `TrainBatches`.
        targets: Array with a row for each image.
        batch_size: Number of images in a batch, of all processes together.
        change: As in `EvalBatches`.
        part: As in `TrainBatches`.
    """

    def __init__(self, images, targets, batch_size, change=None, part=whole):
        super().__init__(images, targets, batch_size, change)
        self._part = part

    def batch(self, index):
        """As in `EvalBatches`, of this process's part."""
        start, count = index * self.batch_size, len(self.images)
        places = self._part(np.arange(start, start + self.batch_size))
        images, targets, weights = self._at(places % count)
        return images, targets, weights * np.float32(places < count)


def as_floats(images):
    """Float32 from 0 to 1 of uint8 from 0 to 255; floats stay as they are."""
    return np.float32(images) / 255 if images.dtype == np.uint8 else images
