"""Folders of images, a folder for each class."""

import logging
import operator
import os
from pathlib import Path

import numpy as np

from keras_se.data.dataset import check_none_empty
from keras_se.data.loading import ImageList, ImageLists
from keras_se.data.sequences import ImagePaths, encode_names
from keras_se.formatting import first_few, printable

LOG = logging.getLogger("keras_se")
HELD_OUT_NAMES = ("val", "validation", "test")


class Folder:
    """A folder of image files, as `list_folder` reads it.

    Args:
        path: The folder.
    """

    usage = "folder:PATH"

    def __init__(self, path: str):
        self.path = path

    def load(self) -> ImageLists:
        """Lists the files."""
        return list_folder(self.path)


def list_folder(path: str | os.PathLike) -> ImageLists:
    """Lists the files of a folder of images, without opening them.

    The folder has `train/CLASS/*` and `val/CLASS/*` (or `validation` or `test`), or it has
    `CLASS/*`, of which every fifth image of each class, by name, is to be held out. Hidden files,
    whose name begins with a dot, are ignored.

    If `test` is there beside `val` or `validation`, it is not used, which a warning in the log
    says. It is held out if it is itself the path, such as `photos/test`; the images to train on
    are those of `photos/train` all the same.

    Args:
        path: The folder, or the part to hold out of a folder that has `train` too.

    Returns:
        The files, `test` being `None` if the folder is not divided.

    Raises:
        ValueError: If there are no classes, a class has no files, the classes to train on are not
            those held out, or it is not clear which part is held out.
        OSError: If the folder cannot be read.

    Example:
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("cat", "dog"):
    ...         file = Path(folder, name, "1.jpg")
    ...         file.parent.mkdir()
    ...         file.touch()
    ...     train, held_out, names = list_folder(folder)
    >>> [path.name for path in train.sources], train.labels.tolist(), held_out, names
    (['1.jpg', '1.jpg'], [0, 1], None, ('cat', 'dog'))
    """
    root = Path(path).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(
            f"`data` must name a folder: folder:PATH. There is no folder {str(root)!r}."
        )
    if (root / "train").is_dir():
        return _list_divided(root / "train", _held_out_folder(root))
    part = root.absolute()
    if part.name in HELD_OUT_NAMES and (part.parent / "train").is_dir():
        return _list_divided(part.parent / "train", part)
    names = class_names(root)
    return ImageLists(_list_files(root, names), None, tuple(map(printable, names)))


def class_names(folder: Path) -> tuple:
    """Returns the sorted names of the folders in `folder`; fewer than two are a `ValueError`."""
    names = tuple(entry.name for entry in _visible(folder) if Path(entry).is_dir())
    if len(names) < 2:
        raise ValueError(
            f"{str(folder)!r} must have a folder of images for each of at least two classes. "
            f"Found: {', '.join(names) or 'none'}"
        )
    return names


def _held_out_folder(root):
    """The part of a divided folder that is held out: `test` only if it is the only one."""
    present = [name for name in HELD_OUT_NAMES if (root / name).is_dir()]
    if not present or {"val", "validation"} <= set(present):
        raise ValueError(
            f"Beside {str(root / 'train')!r} there must be val or validation, or test, or test and "
            f"one of the other two. Found: {', '.join(present) or 'none'}"
        )
    if len(present) > 1:
        LOG.warning(
            "%s: held out is %s, and test is not used; folder:%s holds out test instead.",
            root,
            present[0],
            root / "test",
        )
    return root / present[0]


def _list_divided(train, held_out):
    names = class_names(train)
    _check_same(names, class_names(held_out), train.parent)
    files = _list_files(train, names), _list_files(held_out, names)
    return ImageLists(*files, tuple(map(printable, names)))


def _check_same(train, held_out, folder):
    """Raises a `ValueError` unless both have the same class names."""
    only_train = sorted(set(train) - set(held_out))
    only_held_out = sorted(set(held_out) - set(train))
    if only_train or only_held_out:
        raise ValueError(
            f"The classes to train on and those held out in {str(folder)!r} must be the same. Only "
            f"to train on: {first_few(only_train)}; only held out: {first_few(only_held_out)}"
        )


def _list_files(folder, names):
    """The files of every class of a folder and their labels."""
    files = [
        encode_names(f"{name}/{file.name}" for file in _visible(folder / name) if _is_file(file))
        for name in names
    ]
    labels = np.repeat(np.arange(len(names)), [len(names_of_class) for names_of_class in files])
    check_none_empty(labels, names, folder)
    return ImageList(ImagePaths(folder, np.concatenate(files)), labels)


def _is_file(entry):
    # The folder itself says so; only what a link leads to must be asked for.
    return Path(entry).is_file() if entry.is_symlink() else entry.is_file()


def _visible(folder):
    """The entries of a folder that are not hidden, by name."""
    with os.scandir(folder) as entries:
        visible = [entry for entry in entries if not entry.name.startswith(".")]
    return sorted(visible, key=operator.attrgetter("name"))
