"""Pictures fitted into squares, and batches of these with what is known of them."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np

from keras_se.image_files import open_image, source_name, to_rgb
from keras_se.validation import check_positive

# Gray, so that what fills up a picture is nothing to see.
PAD = 114


def load_picture(source: str | os.PathLike | Callable, side: int) -> tuple[np.ndarray, float]:
    """Reads a picture and fits it into a square, at its upper left corner.

    Args:
        source: The file, or a callable that returns a `PIL.Image.Image`.
        side: Of the square, in pixels.

    Returns:
        A uint8 array `(side, side, 3)`, gray where the picture does not reach, and the pixels of it
        for one of the picture: boxes are multiplied by this, and divided to go back.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is not an image.
    """
    from PIL import Image

    if callable(source):
        picture = to_rgb(source(), source_name(source))
    else:
        with Path(source).open("rb") as stream:
            picture = to_rgb(open_image(stream, source), source)
    scale = side / max(picture.size)
    width, height = (max(1, round(length * scale)) for length in picture.size)
    square = np.full((side, side, 3), PAD, "uint8")
    square[:height, :width] = picture.resize((width, height), Image.Resampling.BILINEAR)
    return square, scale


class PictureBatches(keras.utils.PyDataset):
    """Batches of pictures in an order that each epoch has of its own, half of them flipped.

    A subclass has `_example(picture, flip)`, which returns an image and arrays that go with it, and
    `__getitem__`, which returns a batch of what `_columns` stacks of these.

    Args:
        pictures: One item for each picture.
        side: Of the images, in pixels.
        batch_size: Images of a batch; the last ones of an epoch that fill none are left out.
        seed: Integer that fixes the order, and which images are flipped; `None` for neither.

    Raises:
        ValueError: If there are fewer pictures than `batch_size`.
    """

    def __init__(self, pictures: Sequence, side: int, batch_size: int, seed: int | None):
        super().__init__()
        if not 0 < check_positive("batch_size", batch_size, integer=True) <= len(pictures):
            raise ValueError(
                f"`batch_size` must be at most {len(pictures)}, the number of pictures. "
                f"Received: batch_size={batch_size}"
            )
        self.pictures, self.side, self.batch_size, self.seed = pictures, side, batch_size, seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.pictures) // self.batch_size

    def on_epoch_end(self) -> None:
        """Goes on to the order of the next epoch."""
        self.epoch += 1

    def _columns(self, step):
        """Float32 images of pixels from 0 to 255 and what goes with them, each stacked."""
        order, flips = np.arange(len(self.pictures)), np.zeros(len(self.pictures), bool)
        if self.seed is not None:
            random = np.random.default_rng((self.seed, self.epoch))
            order, flips = random.permutation(order), random.random(len(order)) < 0.5
        indices = order[step * self.batch_size : (step + 1) * self.batch_size]
        rows = [self._example(self.pictures[index], flips[index]) for index in indices]
        images, *others = map(np.stack, zip(*rows, strict=True))
        return np.float32(images), *others
