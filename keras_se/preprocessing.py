"""Turns pictures into the input of a network.

A `Preprocessing` says how the images of a checkpoint look: it loads, crops and normalizes them.
"""

import dataclasses
import math
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_se.data_format import image_axis, image_shape, spatial_shape
from keras_se.image_files import open_image, picture_of, refuse_url, to_rgb
from keras_se.validation import check_choice, check_positive

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)
ZEROS = (0.0, 0.0, 0.0)
ONES = (1.0, 1.0, 1.0)
CIFAR10_MEAN = (0.4914, 0.4822, 0.4465)
CIFAR10_STD = (0.2470, 0.2435, 0.2616)
# Means and standard deviations of the channels, of pixels from 0 to 1, by the names of recipes.
NORMALIZATIONS = {
    "none": (ZEROS, ONES),
    "imagenet": (IMAGENET_MEAN, IMAGENET_STD),
    "half": (HALF, HALF),
    "cifar10": (CIFAR10_MEAN, CIFAR10_STD),
    "cifar100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
    # The VGGFace2 networks take pixels from 0 to 255 less a mean.
    "vggface2": ((131.0912 / 255, 103.8827 / 255, 91.4953 / 255), (1 / 255, 1 / 255, 1 / 255)),
    # imgclsmob's for CIFAR and SVHN: the mean over images of the deviations within each.
    "cifar10_images": (CIFAR10_MEAN, (0.2023, 0.1994, 0.2010)),
}
CROP_MODES = ("center", "squash")
INTERPOLATIONS = ("bicubic", "bilinear", "nearest")


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """Says how an image becomes the input of a network, and does it.

    Attributes:
        size: Side of the square that the network takes, in pixels.
        crop: Side of the center crop, as a fraction of the resized short side.
        crop_mode: `"center"` keeps the proportions of the picture and cuts the center out;
            `"squash"` resizes both sides alike before.
        interpolation: `"bicubic"`, `"bilinear"` or `"nearest"`.
        mean: Mean of each channel (red, green, blue), of values from 0 to 1. `None` leaves the
            pixels from 0 to 255, for a model that normalizes them itself.
        std: Standard deviation of each channel, of values from 0 to 1; `None` with `mean=None`.

    Raises:
        ValueError: If a value is not legal.

    Example:
    >>> preprocessing = Preprocessing(size=224, crop=0.875)
    >>> image = preprocessing.load_image(np.full((300, 500, 3), 128, "uint8"))
    >>> image.shape
    (224, 224, 3)
    >>> preprocessing.normalize(image).dtype
    dtype('float32')
    """

    size: int = 224
    crop: float = 0.875
    crop_mode: str = "center"
    interpolation: str = "bicubic"
    mean: tuple | None = IMAGENET_MEAN
    std: tuple | None = IMAGENET_STD

    def __post_init__(self):
        check_positive("size", self.size, integer=True)
        check_positive("crop", self.crop)
        check_choice("crop_mode", self.crop_mode, CROP_MODES)
        check_choice("interpolation", self.interpolation, INTERPOLATIONS)
        if (self.mean is None) != (self.std is None):
            raise ValueError(
                "`mean` and `std` must both be given or both be None. "
                f"Received: mean={self.mean!r}, std={self.std!r}"
            )
        for name in ("mean", "std"):
            values = getattr(self, name)
            if values is not None:
                if len(values) != 3 or (name == "std" and min(values) <= 0):
                    legal = "three numbers" if name == "mean" else "three positive numbers"
                    raise ValueError(f"`{name}` must be {legal}. Received: {name}={values!r}")
                # A list of a JSON file is one value with the tuple that it was.
                object.__setattr__(self, name, tuple(map(float, values)))

    def replace(self, **changes: Any) -> "Preprocessing":
        """Returns the same with some fields changed."""
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict:
        """Returns the fields by name, for a JSON file; `Preprocessing(**fields)` reads them."""
        return dataclasses.asdict(self)

    def load_image(self, image: Any) -> np.ndarray:
        """Reads one picture, resizes it and cuts out the center square.

        With `crop_mode="center"` the short side becomes `floor(size / crop)` pixels and the long
        side keeps the proportions, rounded down; Pillow's antialiased resampling is used, as timm
        does to evaluate a network. Transparency is dropped, 16-bit gray keeps its high byte, and
        the orientation that a camera notes in the file is not applied.

        Args:
            image: A file path, a `PIL.Image.Image`, or a uint8 array of pixels 0 to 255 with the
                axes `(height, width, 3)` or `(height, width)`.

        Returns:
            A uint8 array of pixels 0 to 255 with the axes `(size, size, 3)`, in RGB order.

        Raises:
            OSError: If the file is missing or cannot be read (`FileNotFoundError`, ...).
            ValueError: If the file is not an image, is damaged or larger than
                `PIL.Image.MAX_IMAGE_PIXELS`, or the array is not one of those described above.
        """
        from PIL import Image

        if isinstance(image, np.ndarray):
            return self._cropped(picture_of(image), "the array")
        if isinstance(image, Image.Image):
            return self._cropped(to_rgb(image, "the PIL image"), "the PIL image")
        refuse_url(image)
        with Path(image).open("rb") as stream:
            picture = to_rgb(open_image(stream, image), image)
        return self._cropped(picture, image)

    def normalize(self, images: Any, data_format: str | None = None) -> Any:
        """Normalizes pixels to what the network was trained on.

        Computes `(images / 255 - mean) / std` for each color channel, or only a float32 copy if
        `mean` is `None`. The input is not changed.

        Args:
            images: RGB pixels 0 to 255 of any real dtype, as a NumPy array or a tensor of the
                Keras backend, with the axes `(batch, height, width, 3)` or `(height, width, 3)`;
                under "channels_first" `(batch, 3, height, width)` or `(3, height, width)`.
            data_format: "channels_last", "channels_first" or `None`, which stands for
                `keras.config.image_data_format()`.

        Returns:
            float32 values of the shape of `images`: an array for an array, else a tensor.

        Raises:
            ValueError: If `data_format` is not one of the above, or `images` is complex, is not
                of rank 3 or 4, or does not have 3 channels.

        Example:
        >>> half = Preprocessing(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.25))
        >>> half.normalize(np.full((1, 1, 3), 255, "uint8")).tolist()
        [[[1.0, 1.0, 2.0]]]
        """
        if not hasattr(images, "shape"):
            images = np.asarray(images)
        channel_axis = image_axis(data_format)
        _check_images(images, channel_axis)
        array = isinstance(images, np.ndarray)
        if array:
            _warn_of_fractions(images)
        if self.mean is None:
            return images.astype("float32") if array else keras.ops.cast(images, "float32")
        if array:
            return self.standardize(images.astype("float32") / np.float32(255), data_format)
        unit = keras.ops.divide(keras.ops.cast(images, "float32"), 255.0)
        return self.standardize(unit, data_format)

    def standardize(self, images: Any, data_format: str | None = None) -> Any:
        """Takes the mean off fractions from 0 to 1 and divides them by the standard deviation.

        Args:
            images: Float images from 0 to 1, as for `normalize`, or gray ones with one channel,
                which get the means of the statistics of the colors. Where nothing is to be done,
                any number of channels.
            data_format: As for `normalize`.

        Returns:
            What `normalize` returns for `255 * images`.

        Example:
        >>> half = Preprocessing(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.25))
        >>> half.standardize(np.ones((1, 1, 3), "float32")).tolist()
        [[[1.0, 1.0, 2.0]]]
        """
        if self.mean is None:
            return 255 * images
        if (self.mean, self.std) == (ZEROS, ONES):
            return images
        axis = image_axis(data_format)
        channels = 1 if images.shape[axis] == 1 else 3
        own, shape = self.for_channels(channels), (channels, 1, 1) if axis == -3 else (channels,)
        mean, std = (np.float32(x[:channels]).reshape(shape) for x in (own.mean, own.std))
        if isinstance(images, np.ndarray):
            return (images - mean) / std
        return keras.ops.divide(keras.ops.subtract(images, mean), std)

    def for_channels(self, channels: int) -> "Preprocessing":
        """Returns the same for a network of gray images: with the statistics of the mean color.

        Args:
            channels: Of the network; if it is not one, the preprocessing stays as it is.
        """
        if channels != 1 or self.mean is None:
            return self
        mean, std = (sum(values) / 3 for values in (self.mean, self.std))
        return self.replace(mean=(mean,) * 3, std=(std,) * 3)

    def to_input(self, images: np.ndarray, channels: int, data_format: str) -> np.ndarray:
        """Normalizes decoded images and gives them the channels and axes that a network takes.

        Args:
            images: Pixels from 0 to 255, `(image, height, width, 3)`.
            channels: Of the network: 3, or 1 for the mean of the colors.
            data_format: `"channels_last"` or `"channels_first"`.

        Returns:
            A float32 array.
        """
        inputs = self.for_channels(channels).normalize(images, data_format="channels_last")
        inputs = inputs.mean(axis=-1, keepdims=True) if channels == 1 else inputs
        return inputs if data_format == "channels_last" else inputs.transpose(0, 3, 1, 2)

    def scale_and_offset(self) -> tuple[tuple, tuple]:
        """Returns the normalization as one product and one sum for each channel.

        Returns:
            Two tuples of three floats, so that `x * scale + offset` of pixels `x` from 0 to 255
            is `normalize(x)` up to rounding.

        Example:
        >>> preprocessing = Preprocessing(mean=(0.5, 0.5, 0.0), std=(0.5, 0.25, 1.0))
        >>> scale, offset = preprocessing.scale_and_offset()
        >>> [round(255 * value, 6) for value in scale], offset
        ([2.0, 4.0, 1.0], (-1.0, -2.0, 0.0))
        """
        if self.mean is None:
            return ONES, ZEROS
        scale = tuple(1.0 / (255.0 * std) for std in self.std)
        # Subtracting from zero, because negating a mean of 0 would give -0.0.
        offset = tuple(0.0 - mean / std for mean, std in zip(self.mean, self.std, strict=True))
        return scale, offset

    def rescaling(self) -> keras.layers.Layer:
        """Returns the normalization as a layer, for a model that takes pixels from 0 to 255."""
        scale, offset = map(list, self.scale_and_offset())
        if image_axis() == -3:
            scale, offset = ([[[value]] for value in values] for values in (scale, offset))
        # float32 under mixed precision, which has too few digits for 255 levels and their mean.
        dtype = keras.config.dtype_policy().variable_dtype
        return keras.layers.Rescaling(scale, offset, dtype=dtype, name="normalization")

    def _cropped(self, picture, name):
        """The center of a resized RGB picture as an array."""
        from PIL import Image

        short = math.floor(self.size / self.crop)
        width, height = short, short
        if self.crop_mode == "center":
            width, height = (int(short * side / min(picture.size)) for side in picture.size)
        # A strip of a few pixels by many thousand is a small file that grows huge when its short
        # side is enlarged.
        limit = Image.MAX_IMAGE_PIXELS
        if limit is not None and width * height > limit:
            raise ValueError(
                f"{name}: {picture.width} x {picture.height} pixels would become "
                f"{width} x {height}, over the limit of {limit} (PIL.Image.MAX_IMAGE_PIXELS)"
            )
        picture = picture.resize((width, height), Image.Resampling[self.interpolation.upper()])
        # Halves go to the even neighbor, as in torchvision's center crop.
        left, top = (round((side - self.size) / 2) for side in (width, height))
        return np.array(picture.crop((left, top, left + self.size, top + self.size)))


def scale_to_unit(images: Any) -> Any:
    """Scales uint8 images to float32 from 0 to 1; floats keep their values.

    Args:
        images: An array or a tensor.

    Example:
    >>> scale_to_unit(np.uint8([0, 255])).tolist()
    [0.0, 1.0]
    """
    if isinstance(images, np.ndarray):
        return np.float32(images) / 255 if images.dtype == np.uint8 else images
    unsigned = keras.backend.standardize_dtype(images.dtype) == "uint8"
    images = keras.ops.cast(images, "float32")
    return images / 255 if unsigned else images


def behind_colors(network: keras.Model) -> keras.Model:
    """Puts a network of gray images behind the mean of three colors, as which files are read.

    Args:
        network: A `keras.Model` of images with one channel; another is returned as it is.
    """
    shape = network.inputs[0].shape
    if shape[image_axis()] != 1:
        return network
    images = keras.Input(image_shape(*spatial_shape(shape)))
    third = keras.initializers.Constant(1 / 3)
    gray = keras.layers.Conv2D(1, 1, use_bias=False, kernel_initializer=third, name="gray")(images)
    return keras.Model(images, network(gray), name=network.name)


def normalization_name(mean: tuple, std: tuple) -> str:
    """Returns the key of `NORMALIZATIONS` that stands for a mean and a standard deviation.

    Raises:
        ValueError: If there is none.

    Example:
    >>> normalization_name(HALF, HALF)
    'half'
    """
    for name, statistics in NORMALIZATIONS.items():
        if statistics == (mean, std):
            return name
    raise ValueError(f"There is no name for mean={mean} and std={std}.")


def _warn_of_fractions(images):
    """Warns of pixels that seem to go from 0 to 1: they would be normalized to almost black."""
    if images.dtype.kind != "f" or not images.size:
        return
    low, high = images.min(), images.max()
    if low >= 0 and high <= 1 and np.any(images % 1):
        warnings.warn(
            "`images` seem to be fractions from 0 to 1, but pixels from 0 to 255 are expected: "
            "multiply them by 255.",
            stacklevel=4,
        )


def _check_images(images, channel_axis):
    """Refuses a shape or dtype that would be normalized to nonsense by broadcasting."""
    if "complex" in str(images.dtype):
        raise ValueError(f"`images` must be of a real dtype. Received: {images.dtype}")
    # In a tf.data pipeline even the rank may be unknown, and such a shape has no length.
    unknown_rank = getattr(images.shape, "rank", 0) is None
    if unknown_rank or len(images.shape) not in (3, 4) or images.shape[channel_axis] != 3:
        legal = "height, width, 3" if channel_axis == -1 else "3, height, width"
        raise ValueError(
            f"`images` must have the shape ({legal}) or (batch, {legal}), its rank and number "
            f"of channels known. Received: {images.shape}"
        )
