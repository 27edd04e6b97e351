"""Places365 as its authors give it: lists of files, and folders of images."""

from pathlib import Path

import numpy as np

from keras_se.data.dataset import check_none_empty
from keras_se.data.loading import ImageList, ImageLists

CATEGORIES = "categories_places365.txt"
# The lists of Places365-Challenge, with 8 million training images, and of Places365-Standard.
TRAIN_LISTS = ("places365_train_challenge.txt", "places365_train_standard.txt")
VAL_LIST = "places365_val.txt"
# What the archives unpack to: 256x256 pixels, or at least 512 on the short side.
TRAIN_FOLDERS = ("data_256", "data_256_standard", "data_256_challenge", "data_large")
VAL_FOLDERS = ("val_256", "val_large")


class Places365:
    """The scenes of Places365, held out those of its `val`.

    The folder has `categories_places365.txt`, `places365_train_standard.txt` (or `_challenge`),
    `places365_val.txt`, and the images in `data_256` and `val_256` (or `data_large`, `val_large`).

    Args:
        path: The folder.
    """

    usage = "places365:PATH"

    def __init__(self, path: str):
        self.path = Path(path).expanduser()

    def load(self) -> ImageLists:
        """Lists the images, without opening them.

        Raises:
            ValueError: If a line of a list is not a file and a class, or a class has no images.
            OSError: If a file or folder is not there.
        """
        names = self._categories()
        train = self._list(TRAIN_LISTS, TRAIN_FOLDERS, len(names))
        check_none_empty(train.labels, names, self.path)
        return ImageLists(train, self._list((VAL_LIST,), VAL_FOLDERS, len(names)), names)

    def _categories(self):
        """The names in the order of the labels, without the letter that they are filed under."""
        lines = self._lines(self._first((CATEGORIES,)))
        if [label for _, label in lines] != list(range(len(lines))):
            raise ValueError(f"{self.path / CATEGORIES} must number its classes 0, 1, 2, ...")
        return tuple(name.split("/", 2)[-1] for name, _ in lines)

    def _list(self, lists, folders, classes):
        rows = self._lines(self._first(lists))
        folder = self._first(folders)
        labels = np.array([label for _, label in rows])
        if len(labels) == 0 or labels.max() >= classes:
            raise ValueError(f"The labels of {self._first(lists)} must be below {classes}")
        # Those of the training list begin with a slash.
        return ImageList([folder / name.lstrip("/") for name, _ in rows], labels)

    def _first(self, names):
        """The first of some files or folders that is there."""
        for name in names:
            if (self.path / name).exists():
                return self.path / name
        raise FileNotFoundError(f"{str(self.path)!r} must have {' or '.join(names)}")

    def _lines(self, path):
        """The name and the number of each line of a list."""
        rows = []
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            name, _, label = line.rpartition(" ")
            if not name or not label.isdigit():
                raise ValueError(f"{path}, line {number} must be a name and a number: {line!r}")
            rows.append((name, int(label)))
        return rows
