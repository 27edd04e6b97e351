"""Sets that TensorFlow Datasets has prepared on this machine."""

import io
from functools import partial

import numpy as np

from keras_se.preprocessing import open_image

HELD_OUT = ("validation", "test")


def list_tfds(name):
    """Lists the images of a prepared set, in the form of `list_folder`.

    Nothing is downloaded. Sets prepared as array_record need no tensorflow and are decoded as they
    are needed; others are read whole, through tensorflow.

    Args:
        name: A name of TensorFlow Datasets, such as `"cifar10"` or `"places365_small"`.

    Returns:
        A pair of the sources and labels to train on, the pair of those held out (of `validation`,
        else of `test`) or `None` if there is neither, and the class names.

    Raises:
        ValueError: If TensorFlow Datasets is missing, does not know the name or has not prepared
            it (the message says how to), or it is not a set of images with labels.
    """
    builder = _prepared(name)
    features = builder.info.features
    if not {"image", "label"} <= set(features):
        legal = "must be a set with `image` and `label`"
        raise ValueError(f"data='tfds:{name}' {legal}. It has: {', '.join(features)}")
    splits = builder.info.splits
    held_out = next((one for one in HELD_OUT if one in splits), None)
    parts = [_split(builder, one) if one else None for one in ("train", held_out)]
    return parts[0], parts[1], tuple(features["label"].names)


def _prepared(name):
    try:
        import tensorflow_datasets
    except ImportError as error:
        raise ValueError(
            f"data='tfds:{name}' needs TensorFlow Datasets, which is not installed: "
            "pip install tensorflow-datasets"
        ) from error
    try:
        builder = tensorflow_datasets.builder(name)
    except Exception as error:  # An exception class of its own for each reason.
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"TensorFlow Datasets has no {name!r}: {reason}") from error
    # The sizes of the splits are known of some sets that are not there.
    if not builder.is_prepared():
        raise ValueError(
            f"data='tfds:{name}' is not prepared on this machine. Once, with a network: "
            f"tfds build {name} --file_format=array_record"
        )
    return builder


def _split(builder, split):
    """A function for each image of a split that gives it as a `PIL.Image`, and the labels."""
    import tensorflow_datasets

    undecoded = {"image": tensorflow_datasets.decode.SkipDecoding()}
    try:
        rows = builder.as_data_source(split, decoders=undecoded)
    except NotImplementedError:
        # TFRecord has no random access, so all of it is read, through tensorflow.
        tensors = builder.as_dataset(split=split, decoders=undecoded)
        rows = list(tensorflow_datasets.as_numpy(tensors))
    labels = np.array([int(rows[index]["label"]) for index in range(len(rows))])
    return [partial(_picture, rows, index) for index in range(len(labels))], labels


def _picture(rows, index):
    return open_image(io.BytesIO(rows[index]["image"]), f"image {index}")
