"""Images that are decoded when they are indexed, so that no dataset is too large."""

import itertools
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from keras_se.data.decoding import decode_images, decode_in_processes
from keras_se.data.sequences import Subset
from keras_se.data_format import channel_axis, image_shape
from keras_se.preprocessing import Preprocessing

# Images that a thread decodes at a time when all are.
PIECE = 64


class LazyImages:
    """Decodes images on demand; looks like a uint8 array `(image, size, size, 3)`.

    Args:
        sources: Paths of image files, or functions without arguments that return a
            `PIL.Image.Image`; with workers all must be paths.
        preprocessing: How each image becomes a square.
        workers: How many processes decode, or zero: then whoever asks for images does. Python lets
            threads of a process wait for each other, which a machine with many cores feels.

    Raises:
        ValueError: If there are workers and the first source is not a path.

    Attributes:
        shape: `(image, size, size, 3)`, or `(image, 3, size, size)` channels first.
        skipped: Set of strings: the name of each source that cannot be read, and why.
        broken: Set of their indices.
    """

    dtype = np.dtype("uint8")

    def __init__(self, sources: Sequence, preprocessing: Preprocessing, workers: int = 0):
        self.sources, self.workers = sources, workers
        # All are of one kind, and to look at each would take long.
        if workers and any(map(callable, self.sources[:1])):
            raise ValueError(
                f"`workers` decode image files only, and these images are read otherwise. "
                f"Received: workers={workers}"
            )
        self.preprocessing = preprocessing
        self.skipped, self.broken = set(), set()
        self._lock = threading.Lock()

    @property
    def shape(self) -> tuple:
        """Shape of the array of all images, sides in pixels."""
        return (len(self.sources), *image_shape(self.preprocessing.size, self.preprocessing.size))

    def __len__(self) -> int:
        return len(self.sources)

    def select(self, indices: Sequence) -> "LazyImages":
        """Returns some of the images, not decoded.

        Args:
            indices: Integers, which images.
        """
        return LazyImages(Subset(self.sources, indices), self.preprocessing, self.workers)

    def take(
        self, indices: Sequence, randoms: Sequence | None = None, min_area: float | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Decodes some images.

        Args:
            indices: Integers, which images.
            randoms: For each of them a `numpy.random.Generator`, to crop a random box instead of
                the center; see `keras_se.augmentation.crop.random_box`.
            min_area: The smallest area of such a box, as a fraction of the image's.

        Returns:
            The uint8 images, black where they could not be read, and a boolean for each of
            `indices` that says whether it could.

        Raises:
            ValueError: If none of all images can be read.
        """
        return self._stack(indices, *self._decode(indices, randoms, min_area))

    def decode_all(self) -> tuple[np.ndarray, np.ndarray]:
        """Decodes every image once, in a thread for each core.

        Returns:
            As `take`.
        """
        indices = range(len(self))
        pieces = [indices[start : start + PIECE] for start in indices[::PIECE]]
        # Not by processes, which would wait idly for the end of a training that needs them no more.
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            images, errors = zip(*pool.map(self._decode_here, pieces), strict=True)
        return self._stack(indices, np.concatenate(images), list(itertools.chain(*errors)))

    def _decode(self, indices, randoms, min_area):
        """Images, channels last, and for each why it cannot be read, or `None`."""
        sources = [self.sources[index] for index in indices]
        arguments = sources, self.preprocessing, randoms, min_area
        if self.workers:
            return decode_in_processes(self.workers, *arguments)
        return decode_images(*arguments)

    def _decode_here(self, indices):
        return decode_images([self.sources[index] for index in indices], self.preprocessing)

    def _stack(self, indices, images, errors):
        """The images with their channels where Keras has them, and which could be read."""
        with self._lock:
            self.broken |= {
                int(index) for index, error in zip(indices, errors, strict=True) if error
            }
            self.skipped |= set(filter(None, errors))
        if len(self.broken) == len(self):
            raise ValueError(f"None of {len(self)} images can be read: {min(self.skipped)}")
        readable = np.array([error is None for error in errors], bool)
        return np.ascontiguousarray(np.moveaxis(images, -1, channel_axis())), readable
