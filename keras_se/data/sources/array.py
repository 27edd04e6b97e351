"""A dataset in one NumPy file, which is read at once and needs no decoding."""

import math
import os
import tempfile
from pathlib import Path

import numpy as np

from keras_se.data.dataset import Dataset
from keras_se.data_format import channel_axis
from keras_se.files import atomic_path, check_free_space

FIELDS = ("train_images", "train_labels", "test_images", "test_labels", "class_names")


class ArrayFile:
    """A `.npz` file that `prepare` or `keras-se data prepare` has written.

    Args:
        path: The file.
    """

    usage = "array:FILE"

    def __init__(self, path: str):
        self.path = Path(path).expanduser()

    def load(self) -> Dataset:
        """Reads the arrays.

        Raises:
            ValueError: If it is not such a file.
            OSError: If it is not there.
        """
        if not self.path.is_file():
            raise FileNotFoundError(
                f"`data` must name a file: array:FILE. There is no {str(self.path)!r}."
            )
        try:
            # NumPy would leave a damaged file open that it had opened itself.
            with self.path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                values = {field: np.asarray(file[field]) for field in FIELDS}
            values["class_names"] = tuple(map(str, values["class_names"]))
        except Exception as error:  # whatever zipfile, zlib and NumPy's reader of headers raise
            raise ValueError(
                f"{str(self.path)!r} is not a file of `keras-se data prepare`: {error}"
            ) from error
        for part in ("train", "test"):
            self._check(part, values)
        return Dataset(**values)

    def _check(self, part, values):
        images, labels = values[f"{part}_images"], values[f"{part}_labels"]
        is_batch = images.ndim == 4 and labels.shape == images.shape[:1] != (0,)
        is_batch = is_batch and labels.dtype.kind in "iu"
        if not is_batch or images.dtype not in (np.uint8, np.float32):
            raise ValueError(
                f"{part}_images in {str(self.path)!r} must be uint8 or float32 (image, height, "
                f"width, channel), with an integer each as its label. Received: {images.dtype} "
                f"{images.shape}, {labels.size} labels {labels.dtype} {labels.shape}"
            )
        classes = len(values["class_names"])
        if labels.min() < 0 or labels.max() >= classes:
            raise ValueError(
                f"{part}_labels in {str(self.path)!r} must be from 0 to {classes - 1}."
            )


def prepare(dataset: Dataset, path: str | os.PathLike) -> None:
    """Writes a dataset into one `.npz` file, all of it or nothing.

    Args:
        dataset: A `Dataset` whose images are arrays.
        path: The file, whose name ends in `.npz`.

    Raises:
        ValueError: If the name ends otherwise, or the images are not decoded yet.
        OSError: If the file cannot be written, is there already, or has too little space.

    Example:
    >>> from keras_se import data
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "digits.npz"
    ...     prepare(data.load("digits"), file)
    ...     len(data.load(f"array:{file}").train_images)
    1442
    """
    path = check_file(path, dataset)
    if not all(isinstance(getattr(dataset, field), np.ndarray) for field in FIELDS[:4]):
        raise ValueError("The images must be decoded: use `load` with enough `memory`.")
    values = {field: np.asarray(getattr(dataset, field)) for field in FIELDS}
    for field in ("train_images", "test_images"):
        values[field] = np.moveaxis(values[field], channel_axis(), -1)
    with atomic_path(path) as partial:
        np.savez(partial, **values)


def check_file(
    path: str | os.PathLike, dataset: Dataset | None = None, argument: str = "`path`"
) -> Path:
    """Checks that a dataset can be written into a file, before any time is spent on it.

    Args:
        path: The file.
        dataset: The `Dataset`, decoded or not, whose size is known; or `None`.
        argument: The argument's name, for the message.

    Returns:
        The path.

    Raises:
        ValueError: If the name does not end in `.npz`.
        OSError: If there is such a file, its folder cannot be written, or has too little space.
    """
    path = Path(path)
    if path.suffix != ".npz":
        legal = "must be a file whose name ends in .npz"
        raise ValueError(f"{argument} {legal}. Received: {str(path)!r}")
    if path.exists():
        legal = "must be a new file"
        raise FileExistsError(f"{argument} {legal}. There is one already: {str(path)!r}")
    try:
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        legal = "must be a file in a folder that is there and can be written"
        raise OSError(f"{argument} {legal}. Received: {str(path)!r} ({error})") from error
    if dataset is not None:
        parts = (dataset.train_images, dataset.test_images)
        needed = sum(math.prod(images.shape) * images.dtype.itemsize for images in parts)
        check_free_space(path, needed, argument)
    return path
