"""Folders of images, a folder for each class."""

import logging
from pathlib import Path

import numpy as np

LOG = logging.getLogger("keras_se")
HELD_OUT_NAMES = ("val", "validation", "test")


def list_folder(path):
    """Lists the files of a folder of images, without opening them.

    The folder has `train/CLASS/*` and `val/CLASS/*` (or `validation` or `test`), or it has
    `CLASS/*`, of which every fifth image of each class, by name, is to be held out. Files whose
    name begins with a dot are none.

    `test` may be there beside `val` or `validation`. Then these are held out, which a warning in
    the log says, and `test` is if it is itself the path, such as `photos/test`: the images to
    train on are those of `photos/train` all the same.

    Args:
        path: The folder, or the part to hold out of a folder that has `train` too.

    Returns:
        A pair of the paths and labels to train on, a pair of those held out or `None` if the
        folder is not divided, and the class names in the order of their labels.

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
    ...     (paths, labels), held_out, names = list_folder(folder)
    >>> [one.name for one in paths], labels.tolist(), held_out, names
    (['1.jpg', '1.jpg'], [0, 1], None, ('cat', 'dog'))
    """
    root = Path(path).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(
            f"`data` must name a folder: folder:PATH. There is no folder {str(root)!r}."
        )
    if (root / "train").is_dir():
        return _divided(root / "train", _held_out(root))
    part = root.absolute()
    if part.name in HELD_OUT_NAMES and (part.parent / "train").is_dir():
        return _divided(part.parent / "train", part)
    names = class_names(root)
    return _files(root, names), None, names


def class_names(folder):
    """The names of the folders in `folder`, sorted; at least two, or a `ValueError`."""
    names = tuple(sorted(one.name for one in _visible(folder) if one.is_dir()))
    if len(names) < 2:
        found = ", ".join(names) or "none"
        raise ValueError(
            f"{str(folder)!r} must have a folder of images for each of at least two classes. "
            f"Found: {found}"
        )
    return names


def check_same(train, held_out, where):
    """Raises a `ValueError` unless both have the same class names."""
    only = [sorted(set(train) - set(held_out)), sorted(set(held_out) - set(train))]
    if any(only):
        raise ValueError(
            f"The classes to train on and those held out in {where!r} must be the same. "
            f"Only to train on: {_few(only[0])}; only held out: {_few(only[1])}"
        )


def check_none_empty(labels, names, where):
    """Raises a `ValueError` if a class has no readable image."""
    empty = [name for index, name in enumerate(names) if not np.any(labels == index)]
    if empty:
        raise ValueError(f"Classes in {str(where)!r} have no readable image: {_few(empty)}")


def _held_out(root):
    """The part of a divided folder that is held out: `test` only if it is the only one."""
    found = [name for name in HELD_OUT_NAMES if (root / name).is_dir()]
    if not found or {"val", "validation"} <= set(found):
        raise ValueError(
            f"Beside {str(root / 'train')!r} there must be val or validation, or test, or test and "
            f"one of the other two. Found: {', '.join(found) or 'none'}"
        )
    if len(found) > 1:
        LOG.warning(
            "%s: held out is %s, and test is not used; folder:%s holds out test instead.",
            root,
            found[0],
            root / "test",
        )
    return root / found[0]


def _divided(train, held_out):
    names = class_names(train)
    check_same(names, class_names(held_out), str(train.parent))
    return _files(train, names), _files(held_out, names), names


def _files(folder, names):
    """The files of every class of a folder and their labels."""
    paths, labels = [], []
    for label, name in enumerate(names):
        found = sorted(one for one in _visible(folder / name) if one.is_file())
        paths += found
        labels += [label] * len(found)
    labels = np.array(labels)
    check_none_empty(labels, names, folder)
    return paths, labels


def _visible(folder):
    return (one for one in folder.iterdir() if not one.name.startswith("."))


def _few(names):
    """The first five names and the number of the others."""
    text = ", ".join(names[:5]) or "none"
    return f"{text} and {len(names) - 5} more" if len(names) > 5 else text
