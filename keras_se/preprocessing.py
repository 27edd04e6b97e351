"""Turn pictures into the input of a network, and its output into class names.

The order is `load_image` (a file to grey levels), `preprocess_input` (grey levels to the
normalised values that the weights were trained on) and, behind the network,
`decode_predictions` (scores to names). What differs from one set of weights to the next is
read from its row (`keras_se.weights.Weights`).
"""

import functools
import importlib.resources
import math
import threading
import warnings
from pathlib import Path

import keras
import numpy as np

_CLASSES = 1000

# Warning filters belong to the whole process, so two threads that change and restore them at
# the same time could leave ours behind. Only reading a header is done under this lock; the
# costly decoding is not.
_filters_lock = threading.Lock()


def load_image(path, weights):
    """Read one picture, resize its short side and cut out the centre square.

    The short side becomes `floor(size / crop)` pixels and the long side keeps the proportions,
    rounded down; Pillow's antialiased resampling is used, as timm does to evaluate a network.
    Transparency is dropped, 16-bit grey keeps its high byte, and the orientation that a camera
    notes in the file is not applied.

    Args:
        path: a file path, a `PIL.Image.Image` or a uint8 array of grey levels with the axes
            (height, width, 3) or (height, width).
        weights: a row with `size` (side of the square, pixels), `crop` (side of the square as
            a fraction of the resized short side) and `interpolation` ("bicubic", "bilinear"
            or "nearest").

    Returns:
        A uint8 array of grey levels 0 to 255 with the axes (size, size, 3), in RGB order.

    Raises:
        OSError: the file is missing or cannot be read (`FileNotFoundError`, ...).
        ValueError: the file is not an image, is damaged or larger than
            `PIL.Image.MAX_IMAGE_PIXELS`, or the array is not one of those described above.

    Example:
        >>> import numpy as np
        >>> from types import SimpleNamespace
        >>> row = SimpleNamespace(size=224, crop=0.875, interpolation="bicubic")
        >>> image = load_image(np.full((300, 500, 3), 128, "uint8"), row)
        >>> image.shape, int(image.min()), int(image.max())
        ((224, 224, 3), 128, 128)
    """
    from PIL import Image

    if isinstance(path, np.ndarray):
        return _centre_square(_picture_of(path), weights, "the array")
    if isinstance(path, Image.Image):
        return _centre_square(to_rgb(path, "the PIL image"), weights, "the PIL image")
    with Path(path).open("rb") as stream:
        picture = to_rgb(open_image(stream, path), path)
    return _centre_square(picture, weights, path)


def _picture_of(array):
    """Make an RGB picture of a uint8 array with the axes (height, width[, 3])."""
    from PIL import Image

    colour_or_grey = array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)
    if array.dtype != np.uint8 or not colour_or_grey or array.size == 0:
        raise ValueError(
            "`path`, when it is an array, must be uint8 with the shape (height, width, 3) or "
            f"(height, width), neither side 0. Received: {array.dtype} {array.shape}"
        )
    return Image.fromarray(np.ascontiguousarray(array)).convert("RGB")


def open_image(stream, name):
    """Read the header of an image file; a picture too large to decode is an error."""
    from PIL import Image, UnidentifiedImageError

    with _filters_lock, warnings.catch_warnings():
        # Odd metadata does not harm the pixels, so only the size warning is kept.
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            return Image.open(stream)
        except UnidentifiedImageError as error:
            raise ValueError(f"{name}: not an image in a format that Pillow reads") from error
        except Exception as error:
            raise ValueError(f"{name}: cannot be read as an image: {error}") from error


def to_rgb(picture, name):
    """Decode a picture of any mode to 8-bit RGB."""
    try:
        if 0 in picture.size:
            raise ValueError(f"it has no pixels (width and height {picture.size})")
        if picture.mode == "F":
            raise ValueError("its pixels are floating point, which have no fixed white level")
        if picture.mode.startswith("I"):
            picture = _high_byte(picture)
        elif picture.mode == "P":
            # Straight to RGB, Pillow warns about palettes with a transparency for each colour.
            picture = picture.convert("RGBA")
        return picture.convert("RGB")
    except Exception as error:  # On a damaged file Pillow's decoders raise almost anything.
        raise ValueError(f"{name}: cannot be decoded: {error}") from error


def _high_byte(picture):
    """Scale a 16-bit grey picture to 8 bits; Pillow itself would clip it to white."""
    from PIL import Image

    levels = np.asarray(picture).astype("int64")
    if levels.min() < 0 or levels.max() > 65535:
        raise ValueError(f"grey levels {levels.min()} to {levels.max()} do not fit 16 bits")
    return Image.fromarray((levels >> 8).astype("uint8"))


def _centre_square(picture, weights, name):
    """Resize the short side of an RGB picture, then crop its centre."""
    from PIL import Image

    short = math.floor(weights.size / weights.crop)
    width, height = (int(short * side / min(picture.size)) for side in picture.size)
    # A strip of a few pixels by many thousand is a small file that grows huge when its short
    # side is enlarged.
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and width * height > limit:
        raise ValueError(
            f"{name}: {picture.width} x {picture.height} pixels would become {width} x {height}, "
            f"over the limit of {limit} (PIL.Image.MAX_IMAGE_PIXELS)"
        )
    picture = picture.resize((width, height), Image.Resampling[weights.interpolation.upper()])
    # Halves go to the even neighbour, as in torchvision's centre crop.
    left, top = (round((side - weights.size) / 2) for side in (width, height))
    return np.array(picture.crop((left, top, left + weights.size, top + weights.size)))


def preprocess_input(images, weights, data_format=None):
    """Normalise grey levels to what the weights were trained on.

    Computes `(images / 255 - mean) / std` for each colour channel. The input is not changed.

    Args:
        images: RGB grey levels 0 to 255 of any real dtype, as a NumPy array or a tensor of the
            Keras backend, with the axes (batch, height, width, 3) or (height, width, 3); under
            "channels_first" (batch, 3, height, width) or (3, height, width).
        weights: a row with `mean` and `std`, three numbers each, of values in [0, 1].
        data_format: "channels_last", "channels_first" or None, which stands for
            `keras.config.image_data_format()`.

    Returns:
        float32 values of the shape of `images`: an array for an array, else a tensor.

    Raises:
        ValueError: `data_format` is not one of the above, or `images` is complex, is not of
            rank 3 or 4, or does not have 3 channels.

    Example:
        >>> import numpy as np
        >>> from types import SimpleNamespace
        >>> row = SimpleNamespace(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.25))
        >>> preprocess_input(np.full((1, 1, 3), 255, "uint8"), row).tolist()
        [[[1.0, 1.0, 2.0]]]
    """
    if not hasattr(images, "shape"):
        images = np.asarray(images)
    channel_axis = _channel_axis(data_format)
    _check_images(images, channel_axis)
    channels = (3, 1, 1) if channel_axis == -3 else (3,)
    mean = np.asarray(weights.mean, "float32").reshape(channels)
    std = np.asarray(weights.std, "float32").reshape(channels)
    if isinstance(images, np.ndarray):
        return (images.astype("float32") / np.float32(255) - mean) / std
    unit = keras.ops.divide(keras.ops.cast(images, "float32"), 255.0)
    return keras.ops.divide(keras.ops.subtract(unit, mean), std)


def _channel_axis(data_format):
    """Give the axis of the colour channels, counted from the last one."""
    axes = {"channels_last": -1, "channels_first": -3}
    if data_format is None:
        data_format = keras.config.image_data_format()
    if data_format not in axes:
        raise ValueError(
            '`data_format` must be "channels_last", "channels_first" or None. '
            f"Received: data_format={data_format!r}"
        )
    return axes[data_format]


def _check_images(images, channel_axis):
    """Refuse a shape or dtype that would be normalised to nonsense by broadcasting."""
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


def normalization(weights):
    """Give the normalisation of `preprocess_input` as one product and one sum per channel.

    Args:
        weights: a row with `mean` and `std`, three numbers each, of values in [0, 1].

    Returns:
        Two tuples of three floats, `(scale, offset)`, so that `x * scale + offset` of grey
        levels `x` in [0, 255] is `preprocess_input(x, weights)` up to rounding.

    Example:
        >>> from types import SimpleNamespace
        >>> row = SimpleNamespace(mean=(0.5, 0.5, 0.0), std=(0.5, 0.25, 1.0))
        >>> scale, offset = normalization(row)
        >>> [round(255 * value, 6) for value in scale], offset
        ([2.0, 4.0, 1.0], (-1.0, -2.0, 0.0))
    """
    scale = tuple(1.0 / (255.0 * std) for std in weights.std)
    # Subtracting from zero, because negating a mean of 0 would give -0.0.
    offset = tuple(0.0 - mean / std for mean, std in zip(weights.mean, weights.std, strict=True))
    return scale, offset


def decode_predictions(predictions, top=5, weights=None):
    """Name the best classes of each image, as Keras Applications does.

    Args:
        predictions: scores with the axes (batch, class) as an array or a tensor, in the order of
            ImageNet-1k's 1000 classes or of those that `weights` name; probabilities or logits,
            which are returned as they are.
        top: how many classes to name for each image, at least 1; too many names them all.
        weights: the row that made the predictions, if its classes are not those of ImageNet-1k
            or it is to be checked that they have names.

    Returns:
        For each image a list of `(synset, name, score)`, best first; of equal scores the lower
        class number comes first. Only the classes of ImageNet have a synset, others `None`.

    Raises:
        ValueError: `predictions` is not of the shape (batch, class), `top` is not an integer of
            at least 1, or the classes of `weights` have no names here.

    Example:
        >>> import numpy as np
        >>> decode_predictions(np.eye(1000)[[207]], top=1)
        [[('n02099601', 'golden_retriever', 1.0)]]
    """
    own = getattr(weights, "class_names", None)
    if own is None and weights is not None and weights.classes != _CLASSES:
        raise ValueError(_no_names(f"the row {weights.tag!r} with {weights.classes} classes"))
    if not isinstance(top, (int, np.integer)) or top < 1:
        raise ValueError(f"`top` must be an integer of at least 1. Received: top={top!r}")
    if not isinstance(predictions, np.ndarray):
        predictions = keras.ops.convert_to_numpy(predictions)
    names = [(None, name) for name in own] if own else _class_names()
    if predictions.ndim != 2 or predictions.shape[1] != len(names):
        raise ValueError(_no_names(f"predictions of the shape {predictions.shape}", len(names)))
    scores = predictions.astype("float64")
    best = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    return [
        [(*names[number], float(row[number])) for number in numbers]
        for row, numbers in zip(scores, best, strict=True)
    ]


def class_names(weights):
    """Name the classes that weights tell apart.

    Args:
        weights: a row with `classes` and `class_names`.

    Returns:
        The names in the order of the scores, or None if there are none here: those of a head of
        other classes than ImageNet-1k's.

    Example:
        >>> from types import SimpleNamespace
        >>> class_names(SimpleNamespace(classes=1000, class_names=None))[207]
        'golden_retriever'
    """
    if weights.class_names is not None:
        return list(weights.class_names)
    return [name for _, name in _class_names()] if weights.classes == _CLASSES else None


def _no_names(received, classes=_CLASSES):
    """Say that predictions of so many classes have no names here."""
    return (
        f"`predictions` must have the shape (batch, {classes}): keras_se has names for the "
        f"{_CLASSES} ImageNet-1k classes and those of the weights that come with it, not for those "
        f"of ImageNet-12k or of a head of your own. Received: {received}"
    )


@functools.cache
def _class_names():
    """Read the (synset, name) of each ImageNet-1k class, in class order."""
    table = importlib.resources.files("keras_se").joinpath("imagenet_classes.txt")
    lines = table.read_text(encoding="ascii").splitlines()
    return [tuple(line.split(" ")) for line in lines]
