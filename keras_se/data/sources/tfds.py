"""Datasets that TensorFlow Datasets has prepared on this machine."""

import functools
import io

import numpy as np

from keras_se.data.loading import ImageList, ImageLists
from keras_se.image_files import open_image
from keras_se.validation import require_packages

HELD_OUT = ("validation", "test")


class TensorFlowDataset:
    """An image classification dataset of TensorFlow Datasets; nothing is downloaded.

    Datasets prepared as array_record need no tensorflow and are decoded batch by batch; others are
    read at once, through tensorflow.

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
        builder = self._builder()
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

    def _builder(self):
        require_packages(f"data='tfds:{self.name}'", "tensorflow_datasets")
        import tensorflow_datasets

        try:
            builder = tensorflow_datasets.builder(self.name)
        except Exception as error:  # An exception class of its own for each reason.
            reason = " ".join(str(error).split())[:200]
            raise ValueError(f"TensorFlow Datasets has no {self.name!r}: {reason}") from error
        # The sizes of the splits are known of some datasets that are not there.
        if not builder.is_prepared():
            raise ValueError(
                f"data='tfds:{self.name}' is not prepared on this machine. Once, with a network: "
                f"tfds build {self.name} --file_format=array_record"
            )
        return builder


def _list_split(builder, split):
    """The images of a split, as functions that return a `PIL.Image.Image`, and their labels."""
    import tensorflow_datasets

    undecoded = {"image": tensorflow_datasets.decode.SkipDecoding()}
    try:
        rows = builder.as_data_source(split, decoders=undecoded)
    except NotImplementedError:
        # TFRecord has no random access, so all of it is read, through tensorflow.
        tensors = builder.as_dataset(split=split, decoders=undecoded)
        rows = list(tensorflow_datasets.as_numpy(tensors))
    labels = np.array([int(rows[index]["label"]) for index in range(len(rows))])
    return ImageList([functools.partial(_open, rows, index) for index in range(len(rows))], labels)


def _open(rows, index):
    return open_image(io.BytesIO(rows[index]["image"]), f"image {index}")
