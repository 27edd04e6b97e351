"""Reads images that strangers may have made: few formats, small files, and nothing is kept."""

import contextlib
import io
import time
from pathlib import Path

import numpy as np

from keras_se.image_files import open_image, to_rgb
from keras_se.preprocessing import Preprocessing

# Seconds after which a file goes that nobody has asked the network about.
LONGEST = 120
MOST_MEGABYTES = 5
MOST_BYTES = MOST_MEGABYTES * 2**20


def decode_image(content: bytes, preprocessing: Preprocessing) -> np.ndarray:
    """Decodes an image file, resizes it and cuts out what a network takes.

    Args:
        content: The file, of any name: only what it holds counts.
        preprocessing: How the network's images are resized and cropped.

    Returns:
        uint8 pixels `(size, size, 3)`.

    Raises:
        ValueError: If the file is larger than `MOST_MEGABYTES`, is no image of
            `keras_se.image_files.FORMATS`, is damaged, or has too many pixels.
    """
    if len(content) > MOST_BYTES:
        raise ValueError(
            f"The file has {len(content) / 2**20:.1f} MB. At most {MOST_MEGABYTES} are taken."
        )
    with open_image(io.BytesIO(content), "The file") as picture:
        return preprocessing.load_image(to_rgb(picture, "The file"))


def take_upload(path: str, preprocessing: Preprocessing) -> np.ndarray:
    """Decodes an uploaded file, and deletes it whether it is an image or not.

    Args:
        path: Its path, alone in a folder.
        preprocessing: As for `decode_image`.

    Returns:
        As `decode_image`.

    Raises:
        ValueError: As `decode_image`.
    """
    file = Path(path)
    try:
        return decode_image(file.read_bytes(), preprocessing)
    finally:
        # Two tabs may have sent the same file.
        file.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            file.parent.rmdir()


def delete_old(folder: str) -> None:
    """Deletes the files in a folder of uploads that have been there for two minutes."""
    for file in Path(folder).rglob("*"):
        with contextlib.suppress(OSError):  # It may be read and deleted right now.
            if file.is_file() and time.time() - file.stat().st_mtime > LONGEST:
                file.unlink()
