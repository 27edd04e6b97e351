"""Reads image files of any kind as 8-bit RGB pictures."""

import os
import threading
import warnings
from typing import Any

import numpy as np

# Those of photographs and of pictures of data sets. Some of Pillow's other readers start programs,
# such as Ghostscript for what begins with `%!PS`, whatever the file is called.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")

# Warning filters belong to the whole process, so two threads that change and restore them at
# the same time could leave ours behind. Only reading a header is done under this lock; the
# costly decoding is not.
_filters_lock = threading.Lock()


def refuse_url(path: Any) -> None:
    """Raises a `ValueError` for what is no path of a file."""
    if isinstance(path, str) and path.startswith(("http://", "https://")):
        raise ValueError(
            "`image` must be a file, a PIL image or an array, not an address. Download it first: "
            f"keras.utils.get_file(origin={path!r})"
        )
    if not isinstance(path, str | os.PathLike):
        raise ValueError(
            "`image` must be a file path, a PIL image or a uint8 array. "
            f"Received: {type(path).__name__}"
        )


def picture_of(array: np.ndarray) -> Any:
    """An RGB picture of a uint8 array with the axes (height, width[, 3])."""
    from PIL import Image

    color_or_gray = array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)
    if array.dtype != np.uint8 or not color_or_gray or array.size == 0:
        raise ValueError(
            "`image`, when it is an array, must be uint8 with the shape (height, width, 3) or "
            f"(height, width), neither side 0. Received: {array.dtype} {array.shape}"
        )
    return Image.fromarray(np.ascontiguousarray(array)).convert("RGB")


def source_name(source: Any) -> str:
    """Returns what errors call a file, or what opens an image when it is called."""
    is_path = isinstance(source, str | os.PathLike)
    return str(source) if is_path else getattr(source, "name", "an image")


def open_image(stream: Any, name: Any) -> Any:
    """Reads the header of an image file; a picture too large to decode is an error."""
    from PIL import Image, UnidentifiedImageError

    with _filters_lock, warnings.catch_warnings():
        # Odd metadata does not harm the pixels, so only the size warning is kept.
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            return Image.open(stream, formats=FORMATS)
        except UnidentifiedImageError as error:
            raise ValueError(f"{name}: not an image file of {', '.join(FORMATS)}") from error
        except Exception as error:
            raise ValueError(f"{name}: cannot be read as an image: {error}") from error


def to_rgb(picture: Any, name: Any) -> Any:
    """Decodes a picture of any mode to 8-bit RGB."""
    try:
        if 0 in picture.size:
            raise ValueError(f"it has no pixels (width and height {picture.size})")
        if picture.mode == "F":
            raise ValueError("its pixels are floating point, which have no fixed white level")
        if picture.mode.startswith("I"):
            picture = _high_byte(picture)
        elif picture.mode == "P":
            # Straight to RGB, Pillow warns about palettes with a transparency for each color.
            picture = picture.convert("RGBA")
        return picture.convert("RGB")
    except Exception as error:  # On a damaged file Pillow's decoders raise almost anything.
        raise ValueError(f"{name}: cannot be decoded: {error}") from error


def _high_byte(picture):
    """Scales a 16-bit gray picture to 8 bits; Pillow itself would clip it to white."""
    from PIL import Image

    levels = np.asarray(picture).astype("int64")
    if levels.min() < 0 or levels.max() > 65535:
        raise ValueError(f"gray levels {levels.min()} to {levels.max()} do not fit 16 bits")
    return Image.fromarray((levels >> 8).astype("uint8"))
