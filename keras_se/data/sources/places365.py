"""Places365 as its authors give it: lists of files, and folders of images."""

from pathlib import Path

import numpy as np

from keras_se.data.dataset import check_none_empty
from keras_se.data.loading import ImageList, ImageLists
from keras_se.data.sequences import ImagePaths, encode_names

CATEGORIES = "categories_places365.txt"
# Places365-Challenge has 8 million training images, of which most are not in Places365-Standard.
TRAIN_SETS = ("challenge", "standard")
VAL_LIST = "places365_val.txt"
# 256x256 pixels, or at least 512 on the short side.
SIZES = ("256", "large")
# How many files of a list are looked for, and what part of these may be missing: not the two thirds
# and more that are when the list of one training set is read from the folder of the other.
SAMPLE, MISSING = 100, 0.1


class Places365:
    """The scenes of Places365, held out those of its `val`.

    The folder has `categories_places365.txt`, `places365_train_standard.txt` (or `_challenge`),
    `places365_val.txt`, and the images in `data_256` and `val_256` (or `data_large`, `val_large`).
    Both training sets unpack to `data_256`: with both there, the folders are `data_256_standard`
    and `data_256_challenge`, as torchvision names them, and the Challenge set is read.

    Args:
        path: The folder.
    """

    usage = "places365:PATH"

    def __init__(self, path: str):
        self.path = Path(path).expanduser()

    def load(self) -> ImageLists:
        """Lists the images, without opening them.

        Raises:
            ValueError: If a line of a list is not a file and a class, a class has no images, or a
                list's files are not in its folder.
            OSError: If a file or folder is not there.
        """
        names = self._categories()
        train = self._list(*self._train_set(), len(names))
        check_none_empty(train.labels, names, self.path)
        val = self._list(
            self._first((VAL_LIST,)), self._first([f"val_{size}" for size in SIZES]), len(names)
        )
        return ImageLists(train, val, names)

    def _train_set(self):
        """The list of a training set and its folder, or that of which no set is named."""
        unnamed = [f"data_{size}" for size in SIZES]
        pairs = {
            f"places365_train_{name}.txt": [f"{folder}_{name}" for folder in unnamed] + unnamed
            for name in TRAIN_SETS
        }
        for name, folders in pairs.items():
            if (self.path / name).exists() and any((self.path / one).exists() for one in folders):
                return self.path / name, self._first(folders)
        name = self._first(pairs)
        return name, self._first(pairs[name.name])

    def _categories(self):
        """The names in the order of the labels, without the letter that they are filed under."""
        lines = self._lines(self._first((CATEGORIES,)))
        if [label for _, label in lines] != list(range(len(lines))):
            raise ValueError(f"{self.path / CATEGORIES} must number its classes 0, 1, 2, ...")
        return tuple(name.split("/", 2)[-1] for name, _ in lines)

    def _list(self, path, folder, classes):
        rows = self._lines(path)
        labels = np.array([label for _, label in rows])
        if len(labels) == 0 or labels.max() >= classes:
            raise ValueError(f"The labels of {path} must be below {classes}")
        # Those of the training list begin with a slash.
        files = ImagePaths(folder, encode_names(name.lstrip("/") for name, _ in rows))
        # Of all parts of the list, for the sets have the same names at the beginning of a class.
        sample = [files[row] for row in np.linspace(0, len(files) - 1, SAMPLE, dtype=int)]
        missing = [file for file in sample if not file.is_file()]
        if len(missing) > MISSING * SAMPLE:
            raise ValueError(
                f"{folder} must have the files of {path}. Of {SAMPLE}, {len(missing)} are missing, "
                f"such as {missing[0]}"
            )
        return ImageList(files, labels)

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
