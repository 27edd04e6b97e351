"""Images that are decoded when they are indexed, so that no dataset is too large."""

import io
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from keras_se.augmentation.crop import random_box
from keras_se.data_format import channel_axis, image_shape
from keras_se.image_files import open_image, source_name, to_rgb
from keras_se.preprocessing import Preprocessing


class LazyImages:
    """Decodes images on demand; looks like a uint8 array `(image, size, size, 3)`.

    Args:
        sources: Paths of image files, or functions without arguments that return a
            `PIL.Image.Image`.
        preprocessing: How each image becomes a square.

    Attributes:
        shape: `(image, size, size, 3)`, or `(image, 3, size, size)` channels first.
        skipped: Set of strings: the name of each source that cannot be read, and why.
        broken: Set of their indices.
    """

    dtype = np.dtype("uint8")

    def __init__(self, sources: Sequence, preprocessing: Preprocessing):
        self.sources = list(sources)
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
        return LazyImages([self.sources[index] for index in indices], self.preprocessing)

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
        randoms = randoms or [None] * len(indices)
        decoded = [
            self._decode(index, random, min_area)
            for index, random in zip(indices, randoms, strict=True)
        ]
        return self._stack(decoded)

    def decode_all(self) -> tuple[np.ndarray, np.ndarray]:
        """Decodes every image once, in a thread for each core.

        Returns:
            As `take`.
        """
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return self._stack(list(pool.map(self._decode, range(len(self)))))

    def _stack(self, decoded):
        readable = np.array([image is not None for image in decoded], bool)
        if len(self.broken) == len(self):
            raise ValueError(f"None of {len(self)} images can be read: {min(self.skipped)}")
        black = np.zeros((self.preprocessing.size, self.preprocessing.size, 3), "uint8")
        images = np.stack([black if image is None else image for image in decoded])
        return np.ascontiguousarray(np.moveaxis(images, -1, channel_axis())), readable

    def _decode(self, index, random=None, min_area=None):
        """The pixels of one image, or `None` if it is broken."""
        source = self.sources[index]
        try:
            image = source() if callable(source) else source
            if random is None:
                return self.preprocessing.load_image(image)
            return _random_crop(image, self.preprocessing, random, min_area)
        except Exception as error:  # Pillow's decoders raise almost anything on damaged files.
            name, text = source_name(source), " ".join(str(error).split())
            with self._lock:
                self.broken.add(int(index))
                self.skipped.add(text if text.startswith(f"{name}: ") else f"{name}: {text}")
            return None


def _random_crop(source, preprocessing, random, min_area):
    """A random box of an image, resized to `(size, size, 3)`."""
    from PIL import Image

    size = preprocessing.size
    if isinstance(source, Image.Image):
        image = source
    else:
        # Read at once: Pillow reads a header by a few bytes at a time.
        image = open_image(io.BytesIO(Path(source).read_bytes()), source_name(source))
    with image:
        width, height = image.size
        box = random_box(random, width, height, min_area)
        # A JPEG is decoded at a half, a quarter or an eighth if that is still large enough.
        shrink = max(min(box[2] - box[0], box[3] - box[1]) / size, 1)
        image.draft("RGB", (int(width / shrink), int(height / shrink)))
        scale_x, scale_y = image.width / width, image.height / height
        box = (box[0] * scale_x, box[1] * scale_y, box[2] * scale_x, box[3] * scale_y)
        # Not converted if it need not be: that would be a copy.
        rgb = image if image.mode == "RGB" else to_rgb(image, source_name(source))
        resampling = Image.Resampling[preprocessing.interpolation.upper()]
        return np.asarray(rgb.resize((size, size), resampling, box=box))
