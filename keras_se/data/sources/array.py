"""A whole dataset in one NumPy file, which is read at once and needs no decoding."""

import math
import shutil
import tempfile
import zipfile
from pathlib import Path

import keras
import numpy as np

from keras_se.data.dataset import Dataset

FIELDS = ("train_images", "train_labels", "test_images", "test_labels", "class_names")


def prepare(dataset, path):
    """Writes a dataset into one `.npz` file, which is there complete or not at all.

    Args:
        dataset: A `Dataset` whose images are arrays.
        path: The file, whose name ends in `.npz`.

    Raises:
        ValueError: If the name ends otherwise, or the images are not decoded yet.
        OSError: If the file cannot be written, is there already, or has too little space.
    """
    path = check_file(path, dataset)
    if not all(isinstance(getattr(dataset, field), np.ndarray) for field in FIELDS[:4]):
        raise ValueError("The images must be decoded: use `load` with enough `memory`.")
    values = {field: np.asarray(getattr(dataset, field)) for field in FIELDS}
    if keras.config.image_data_format() == "channels_first":
        for field in ("train_images", "test_images"):
            values[field] = np.moveaxis(values[field], 1, -1)
    partial = path.with_name(f".partial-{path.name}")
    try:
        np.savez(partial, **values)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def check_file(path, dataset=None, argument="`path`"):
    """Checks that a dataset can be written into a file, before any time is spent on it.

    Args:
        path: The file.
        dataset: The `Dataset`, decoded or not, whose size is known; or `None`.
        argument: What a message calls the path.

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
        images = (dataset.train_images, dataset.test_images)
        needed = sum(math.prod(one.shape) * one.dtype.itemsize for one in images)
        require_space(path, needed, argument)
    return path


def require_space(path, needed, argument):
    """Checks that the disk of a file or folder has room.

    Args:
        path: A folder, or a file that may not be there yet in one that is.
        needed: Bytes.
        argument: What a message calls the path.

    Raises:
        OSError: If fewer bytes are free.
    """
    free = shutil.disk_usage(path if path.is_dir() else path.parent).free
    if free < needed:
        raise OSError(
            f"{argument} must be on a disk with {needed / 2**20:.0f} MiB free. "
            f"Received: {str(path)!r} with {free / 2**20:.0f} MiB"
        )


def read_arrays(path):
    """Reads what `prepare` has written.

    Args:
        path: The file.

    Returns:
        A `Dataset`, channels last.

    Raises:
        ValueError: If it is not such a file.
        OSError: If it is not there.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"`data` must name a file: array:FILE. There is no {str(path)!r}.")
    try:
        # NumPy would leave a damaged file open that it had opened itself.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            values = {field: file[field] for field in FIELDS}
    except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{str(path)!r} is not a file of `keras-se data prepare`: {error}"
        ) from error
    values["class_names"] = tuple(map(str, values["class_names"]))
    _check(values, path)
    return Dataset(**values)


def _check(values, path):
    classes = len(values["class_names"])
    for part in ("train", "test"):
        images, labels = values[f"{part}_images"], values[f"{part}_labels"]
        sound = images.ndim == 4 and len(images) == len(labels) > 0
        if not sound or images.dtype not in (np.uint8, np.float32):
            raise ValueError(
                f"{part}_images in {str(path)!r} must be uint8 or float32 (image, height, width, "
                f"channel), with a label each. Received: {images.dtype} {images.shape}, "
                f"{len(labels)} labels"
            )
        if labels.min() < 0 or labels.max() >= classes:
            raise ValueError(f"{part}_labels in {str(path)!r} must be from 0 to {classes - 1}.")
