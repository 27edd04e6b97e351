"""Pictures that are decoded when they are asked for, so that no set is too large."""

import io
import math
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np

from keras_se.preprocessing import load_image, open_image, to_rgb

# Torchvision's RandomResizedCrop: how often a box is drawn before the centre is taken instead.
TRIES = 10


class LazyImages:
    """A list of pictures that looks like a uint8 array `(image, size, size, 3)`.

    Args:
        sources: Paths of image files, or functions without arguments that give a
            `PIL.Image.Image`.
        size: Side in pixels of the square that each picture becomes.
        crop: The square that is cut from the centre, as a fraction of the short side.
        interpolation: `"bilinear"`, `"bicubic"` or `"nearest"`.

    Attributes:
        shape: `(image, size, size, 3)`, or `(image, 3, size, size)` channels first.
        skipped: Set of strings, for each source found broken so far its name and the reason.
        broken: Set of their indices.
    """

    dtype = np.dtype("uint8")

    def __init__(self, sources, size, crop=1.0, interpolation="bilinear"):
        self.sources = list(sources)
        self.size = size
        self._row = SimpleNamespace(size=size, crop=crop, interpolation=interpolation)
        self.skipped, self.broken = set(), set()
        self._lock = threading.Lock()

    @property
    def shape(self):
        """Of all images, sides in pixels."""
        first = keras.config.image_data_format() == "channels_first"
        one = (3, self.size, self.size) if first else (self.size, self.size, 3)
        return (len(self.sources), *one)

    def __len__(self):
        return len(self.sources)

    def take(self, indices, randoms=None, min_area=1.0):
        """Decodes some pictures.

        Args:
            indices: Integers, which pictures.
            randoms: For each of them a `numpy.random.Generator`, to cut a random box instead of
                the centre; see `random_box`.
            min_area: The smallest area of such a box, as a fraction of the picture's.

        Returns:
            The uint8 images, black where they could not be read, and a boolean for each of
            `indices` that says whether it could.

        Raises:
            ValueError: If all pictures there are have been found broken.
        """
        randoms = randoms or [None] * len(indices)
        read = [
            self._read(index, random, min_area)
            for index, random in zip(indices, randoms, strict=True)
        ]
        return self._stacked(read)

    def decode_all(self, workers=None):
        """Decodes every picture once, several at a time; returns what `take` does.

        Args:
            workers: Number of threads; by default one for each core.
        """
        with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
            read = list(pool.map(lambda index: self._read(index, None, 1.0), range(len(self))))
        return self._stacked(read)

    def _stacked(self, read):
        readable = np.array([one is not None for one in read], bool)
        if len(self.broken) == len(self):
            raise ValueError(f"None of {len(self)} images can be read: {min(self.skipped)}")
        black = np.zeros((self.size, self.size, 3), "uint8")
        images = np.stack([black if one is None else one for one in read])
        if keras.config.image_data_format() == "channels_first":
            images = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        return images, readable

    def _read(self, index, random, min_area):
        """The pixels of one picture, or `None` if it is broken."""
        source = self.sources[index]
        try:
            if random is None:
                return load_image(_opened(source), self._row)
            return _random_crop(_opened(source), self._row, random, min_area)
        except Exception as error:  # Pillow's decoders raise almost anything on damaged files.
            with self._lock:
                self.broken.add(int(index))
                self.skipped.add(f"{_name(source)}: {' '.join(str(error).split())}")
            return None


def random_box(random, width, height, min_area):
    """Draws a box of random area and proportions, as torchvision's RandomResizedCrop.

    The area is uniform from `min_area` to 1 of the picture's, the proportions are from 3/4 to 4/3,
    their logarithm uniform (section 5.1 of arXiv:1709.01507, "scale and aspect ratio").

    Args:
        random: A `numpy.random.Generator`.
        width: Of the picture, in pixels.
        height: Of the picture, in pixels.
        min_area: Fraction of the picture's area.

    Returns:
        Left, top, right and bottom in pixels.
    """
    for _ in range(TRIES):
        area = width * height * random.uniform(min_area, 1)
        ratio = math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
        across, down = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < across <= width and 0 < down <= height:
            left = int(random.integers(width - across + 1))
            top = int(random.integers(height - down + 1))
            return left, top, left + across, top + down
    return centre_box(width, height, 1.0)


def centre_box(width, height, crop):
    """The square in the centre whose side is `crop` of the short side, in pixels."""
    side = min(width, height) * crop
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side


def _random_crop(source, row, random, min_area):
    """A random box of a picture, resized to `(row.size, row.size, 3)`."""
    from PIL import Image

    if isinstance(source, Image.Image):
        picture = source
    else:
        # Read at once: Pillow reads a header by a few bytes at a time.
        picture = open_image(io.BytesIO(Path(source).read_bytes()), _name(source))
    with picture:
        width, height = picture.size
        box = random_box(random, width, height, min_area)
        # A JPEG is decoded at a half, a quarter or an eighth if that is still large enough.
        shrink = max(min(box[2] - box[0], box[3] - box[1]) / row.size, 1)
        picture.draft("RGB", (int(width / shrink), int(height / shrink)))
        across, down = picture.width / width, picture.height / height
        box = (box[0] * across, box[1] * down, box[2] * across, box[3] * down)
        # Not converted if it need not be: that would be a copy.
        rgb = picture if picture.mode == "RGB" else to_rgb(picture, _name(source))
        resampling = Image.Resampling[row.interpolation.upper()]
        return np.asarray(rgb.resize((row.size, row.size), resampling, box=box))


def _opened(source):
    return source() if callable(source) else source


def _name(source):
    return str(source) if isinstance(source, (str, Path)) else getattr(source, "name", "a picture")
