"""Finds and decodes the image files that a command line names."""

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


def list_images(paths: Iterable[Path]) -> list[Path]:
    """Lists image files, with those of folders in place of the folders.

    Args:
        paths: Files, and folders that are searched for image files, by the ending of their names,
            through all levels.

    Returns:
        The files; those of one folder are sorted.

    Raises:
        ValueError: If there are no image files in a folder.
    """
    files = []
    for path in paths:
        if not path.is_dir():
            files.append(path)
            continue
        inside = sorted(file for file in path.rglob("*") if file.suffix.lower() in ENDINGS)
        if not inside:
            raise ValueError(f"There are no images in the folder {str(path)!r}.")
        files += inside
    return files


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
