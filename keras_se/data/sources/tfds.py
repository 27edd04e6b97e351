"""Datasets that TensorFlow Datasets has prepared on this machine."""

import dataclasses
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_se.data.loading import ImageList, ImageLists
from keras_se.data.sequences import Subset
from keras_se.data.sources.record_labels import read_labels
from keras_se.image_files import open_image
from keras_se.validation import require_packages

HELD_OUT = ("validation", "test")


class TensorFlowDataset:
    """An image classification dataset of TensorFlow Datasets; nothing is downloaded.

    Datasets prepared as array_record need no tensorflow and are decoded batch by batch; others are
    read at once, through tensorflow. The first time all records of an array_record are read for
    their labels, which are then kept beside them; see
    `keras_se.data.sources.record_labels.read_labels`.

    Args:
        name: A name of TensorFlow Datasets, such as `"cifar10"` or `"places365_small"`.
    """

    usage = "tfds:NAME"

    def __init__(self, name: str):
        self.name = name

    def load(self) -> ImageLists:
        """Lists the images; held out is `validation`, else `test`, else every fifth of a class.

        Raises:
            ImportError: If TensorFlow Datasets is missing.
            ValueError: If it does not know the name or has not prepared it (the message says how
                to), or images or labels are missing.
        """
        builder = prepared_builder(self.name)
        features, splits = builder.info.features, builder.info.splits
        if not {"image", "label"} <= set(features):
            raise ValueError(
                f"data='tfds:{self.name}' must be a dataset with `image` and `label`. "
                f"It has: {', '.join(features)}"
            )
        held_out = next((split for split in HELD_OUT if split in splits), None)
        train = _list_split(builder, "train")
        test = _list_split(builder, held_out) if held_out else None
        return ImageLists(train, test, tuple(features["label"].names))


def prepared_builder(name: str) -> Any:
    """Returns the builder of a dataset that is prepared on this machine.

    Args:
        name: A name of TensorFlow Datasets.

    Raises:
        ImportError: If TensorFlow Datasets is missing.
        ValueError: If it does not know the name or has not prepared it; the message says how to.
    """
    require_packages(f"data='tfds:{name}'", "tensorflow_datasets")
    import tensorflow_datasets

    try:
        builder = tensorflow_datasets.builder(name)
    except Exception as error:  # An exception class of its own for each reason.
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"TensorFlow Datasets has no {name!r}: {reason}") from error
    # The sizes of the splits are known of some datasets that are not there.
    if not builder.is_prepared():
        raise ValueError(f"data='tfds:{name}' is not prepared on this machine. {_how_to(name)}")
    return builder


def undecoded_rows(builder: Any, split: str, name: str) -> Sequence:
    """Returns the examples of a split by their numbers, with the bytes of their images.

    Args:
        builder: What `prepared_builder` gives.
        split: Name of the split.
        name: Name of the dataset, for the message.

    Raises:
        ValueError: If it is not prepared as array_record: no other format has random access.
    """
    try:
        return builder.as_data_source(split, decoders=_undecoded())
    except NotImplementedError as error:
        raise ValueError(
            f"data='tfds:{name}' is not prepared as array_record. {_how_to(name)}"
        ) from error


@dataclasses.dataclass(frozen=True)
class RowImage:
    """Opens the image of an example as a `PIL.Image.Image`; a broken one is a ValueError.

    Args:
        rows: The undecoded examples.
        index: Which of them.
        name: What errors call it.
    """

    rows: Sequence
    index: int
    name: str

    def __call__(self) -> Any:
        """Opens the image."""
        return open_image(io.BytesIO(self.rows[self.index]["image"]), self.name)


class RowImages(Sequence):
    """The images of examples as `RowImage`s, each made when it is asked for.

    Args:
        rows: The undecoded examples.
    """

    def __init__(self, rows: Sequence):
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int | slice) -> RowImage | Sequence:
        if isinstance(index, slice):
            return Subset(self, np.arange(len(self))[index])
        index = range(len(self))[index]
        return RowImage(self._rows, index, f"image {index}")


def _undecoded():
    import tensorflow_datasets

    return {"image": tensorflow_datasets.decode.SkipDecoding()}


def _how_to(name):
    return f"Once, with a network: tfds build {name} --file_format=array_record"


def _list_split(builder, split):
    """The images of a split, as functions that return a `PIL.Image.Image`, and their labels."""
    import tensorflow_datasets

    try:
        rows = builder.as_data_source(split, decoders=_undecoded())
    except NotImplementedError:
        # TFRecord has no random access, so all of it is read, through tensorflow.
        tensors = builder.as_dataset(split=split, decoders=_undecoded())
        rows = list(tensorflow_datasets.as_numpy(tensors))
        labels = np.array([int(row["label"]) for row in rows])
    else:
        labels = read_labels(rows, builder.info.splits[split].filepaths)
    return ImageList(RowImages(rows), labels)
