"""A small segmentation head on the feature pyramid of any network, its data and its metric."""

import logging
import os
from collections.abc import Iterable
from pathlib import Path

import keras
import numpy as np

from keras_se.dense.batches import PictureBatches, load_picture
from keras_se.features import feature_pyramid, pyramid_levels
from keras_se.image_files import open_image

LOG = logging.getLogger("keras_se")
# The value of pixels that do not count, as in Pascal VOC's masks.
IGNORED = 255


def pyramid_head(network: keras.Model, num_classes: int, filters: int = 64) -> keras.Model:
    """Returns a segmenter that adds up the feature maps of all strides, from the coarsest.

    The feature pyramid network of https://arxiv.org/abs/1612.03144, with one 3x3 convolution at the
    finest map, whose logits are enlarged to the image.

    Args:
        network: As for `keras_se.features.feature_pyramid` with `padded`. Heights and widths must
            be multiples of its last stride; with `include_preprocessing=True` it takes pixels from
            0 to 255.
        num_classes: Number of classes, with the background.
        filters: Channels of the sum.

    Returns:
        A functional `keras.Model` from images to logits `(image, height, width, num_classes)`.

    Raises:
        ValueError: If `network` is not legal.

    Example:
    >>> from keras_se.applications import SEResNet20
    >>> pyramid_head(SEResNet20(include_top=False, weights=None), 3).output_shape
    (None, None, None, 3)
    """
    pyramid = feature_pyramid(network, padded=True)
    x = None
    for name, features in reversed(pyramid.pyramid_outputs.items()):
        lateral = keras.layers.Conv2D(filters, 1, name=f"{name}_lateral")(features)
        if x is not None:
            x = keras.layers.UpSampling2D(2, interpolation="bilinear", name=f"{name}_enlarge")(x)
        x = lateral if x is None else keras.layers.Add(name=f"{name}_add")([x, lateral])
    x = keras.layers.Conv2D(filters, 3, padding="same", activation="relu", name="fuse")(x)
    # float32 under mixed precision.
    dtype = keras.config.dtype_policy().variable_dtype
    x = keras.layers.Conv2D(num_classes, 1, dtype=dtype, name="logits")(x)
    finest = min(level.stride for level in pyramid_levels(network).values())
    enlarge = keras.layers.UpSampling2D(
        finest, interpolation="bilinear", dtype=dtype, name="enlarge"
    )
    return keras.Model(pyramid.input, enlarge(x), name=f"{network.name}_segmenter")


class MaskBatches(PictureBatches):
    """Batches of pictures and the classes of their pixels.

    Args:
        folder: It has the pictures in `train` and `val`, and in `masks` for each a PNG of the same
            name, whose values are the classes. Pictures without one are left out, and logged.
            All are read once at the start, for one that is wrong would end or spoil a training.
        split: `"train"` or `"val"`.
        side: Of the images, in pixels; pictures are fitted into squares, and what they do not fill
            does not count.
        batch_size: Images of a batch; the last ones of an epoch that fill none are left out.
        num_classes: Number of classes, with the background.
        seed: Integer that fixes the order, and which images are flipped; `None` for neither.

    Raises:
        ValueError: If there are fewer pictures with a mask than `batch_size`, or a mask is not as
            `check_mask` requires.
        OSError: If there is no such folder.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        split: str,
        side: int,
        batch_size: int,
        *,
        num_classes: int,
        seed: int | None = 0,
    ):
        self.masks = Path(folder) / "masks"
        files = sorted(
            path for path in (Path(folder) / split).iterdir() if not path.name.startswith(".")
        )
        pictures = [path for path in files if self._mask(path).is_file()]
        if len(pictures) < len(files):
            left_out = len(files) - len(pictures)
            LOG.warning("%s: left out %d pictures without a mask", folder, left_out)
        super().__init__(pictures, side, batch_size, seed)
        for picture in pictures:
            check_mask(self._mask(picture), picture, num_classes)

    def _mask(self, picture):
        return self.masks / f"{picture.stem}.png"

    def __getitem__(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns float32 images of pixels from 0 to 255, and int32 classes."""
        images, masks = self._columns(step)
        return images, np.int32(masks)

    def _example(self, path, flip):
        image, scale = load_picture(path, self.side)
        mask = load_mask(self._mask(path), self.side, scale)
        return (image[:, ::-1], mask[:, ::-1]) if flip else (image, mask)


def check_mask(path: str | os.PathLike, picture: str | os.PathLike, num_classes: int) -> None:
    """Requires a mask of the size of its picture, whose values are classes.

    Args:
        path: The mask.
        picture: The picture's file.
        num_classes: Number of classes, with the background.

    Raises:
        OSError: If a file cannot be read.
        ValueError: If the sizes differ, a value is neither below `num_classes` nor `IGNORED`, or
            the mask is not an image of one channel.
    """
    with Path(picture).open("rb") as stream:
        size = open_image(stream, picture).size
    mask = _open_mask(path)
    if mask.size != size:
        raise ValueError(
            f"{path}: a mask must have the size of its picture, {size[0]}x{size[1]} pixels. It has "
            f"{mask.size[0]}x{mask.size[1]}"
        )
    values = np.flatnonzero(mask.histogram())
    wrong = values[(values >= num_classes) & (values != IGNORED)]
    if len(wrong):
        raise ValueError(
            f"{path}: the values of a mask must be below `num_classes`, {num_classes}, or "
            f"{IGNORED}. It has {wrong.tolist()}"
        )


def _open_mask(path):
    with Path(path).open("rb") as stream:
        mask = open_image(stream, path)
        if mask.mode not in ("L", "P"):
            raise ValueError(f"{path}: a mask must be gray or have a palette. It is {mask.mode}")
        try:
            mask.load()
        except (OSError, SyntaxError) as error:
            raise ValueError(f"{path}: cannot be decoded: {error}") from error
    return mask


def load_mask(path: str | os.PathLike, side: int, scale: float) -> np.ndarray:
    """Reads a mask and fits it into a square, as `keras_se.dense.batches.load_picture` does.

    Args:
        path: A PNG of one channel, gray or with a palette.
        side: Of the square, in pixels.
        scale: Pixels of the square for one of the mask.

    Returns:
        A uint8 array `(side, side)`, `IGNORED` where the mask does not reach.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is not an image of one channel.
    """
    from PIL import Image

    mask = _open_mask(path)
    width, height = (max(1, round(length * scale)) for length in mask.size)
    resized = np.asarray(mask.resize((width, height), Image.Resampling.NEAREST))
    square = np.full((side, side), IGNORED, "uint8")
    square[:height, :width] = resized
    return square


def segment(model: keras.Model, path: str | os.PathLike, side: int) -> np.ndarray:
    """Returns the class of each pixel of a picture.

    Args:
        model: A segmenter.
        path: The file.
        side: Of the square that it is fitted into, in pixels.

    Returns:
        A uint8 array `(height, width)` of the picture's size.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is not an image.
    """
    from PIL import Image

    image, scale = load_picture(path, side)
    with Path(path).open("rb") as stream:
        size = open_image(stream, path).size
    width, height = (max(1, round(length * scale)) for length in size)
    logits = keras.ops.convert_to_numpy(model.predict(np.float32(image)[None], verbose=0))
    classes = np.uint8(logits[0, :height, :width].argmax(axis=-1))
    return np.asarray(Image.fromarray(classes).resize(size, Image.Resampling.NEAREST))


def mean_iou(truths: Iterable, predictions: Iterable, num_classes: int) -> float:
    """Returns the mean over classes of intersection over union, of all pixels together.

    Args:
        truths: Arrays of the classes of pixels; `IGNORED` does not count.
        predictions: Arrays of the same shapes.
        num_classes: Number of classes. Those that are in neither do not count.

    Returns:
        A number from 0 to 1.

    Example:
    >>> mean_iou([np.array([0, 0, 1, 255])], [np.array([0, 1, 1, 1])], 3)
    0.5
    """
    counts = np.zeros((num_classes, num_classes), int)
    for truth, prediction in zip(truths, predictions, strict=True):
        counted = truth != IGNORED
        np.add.at(counts, (truth[counted], prediction[counted]), 1)
    both = np.diag(counts)
    union = counts.sum(axis=0) + counts.sum(axis=1) - both
    return float((both[union > 0] / union[union > 0]).mean())
