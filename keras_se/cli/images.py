"""Finds and decodes the image files that a command line names."""

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from keras_se.cli.command import one_line

if TYPE_CHECKING:
    import numpy as np

    from keras_se.preprocessing import Preprocessing

ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")


def check_exist(paths: Iterable[Path]) -> None:
    """Raises a `FileNotFoundError` if none of these files and folders exists."""
    paths = list(paths)
    if not any(path.exists() for path in paths):
        raise FileNotFoundError(f"There is no file or folder {str(paths[0])!r}.")


def find_images(paths: Iterable[Path]) -> Iterator[Path]:
    """Finds image files one after the other, with those of folders in place of the folders.

    Args:
        paths: Files, and folders that are searched for image files, by the ending of their names,
            through all levels.

    Yields:
        The files; those of one folder are sorted, and come before those of folders in it.

    Raises:
        ValueError: If there are no image files in a folder.
        OSError: If a folder cannot be read.
    """
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        count = 0
        for folder, inner, names in os.walk(path, onerror=_raise):
            inner.sort()
            for name in sorted(name for name in names if name.lower().endswith(ENDINGS)):
                count += 1
                yield Path(folder, name)
        if not count:
            raise ValueError(f"There are no images in the folder {str(path)!r}.")


def _raise(error):
    """What `os.walk` would pass over, such as a folder that may not be read."""
    raise error


def load_images(
    files: Iterable[Path], preprocessing: "Preprocessing", skipped: list[Path]
) -> Iterator[tuple[Path, "np.ndarray"]]:
    """Decodes image files, and says on the standard error which cannot be read.

    Args:
        files: The files.
        preprocessing: How they are resized and cropped.
        skipped: Gets the files that cannot be read.

    Yields:
        The path and the uint8 pixels `(size, size, 3)` of each file that can be read.
    """
    for file in files:
        try:
            yield file, preprocessing.load_image(file)
        except (ValueError, OSError) as error:
            skipped.append(file)
            # The message begins with the file's name.
            print(f"keras-se: skipped {one_line(error)}", file=sys.stderr)
