"""Names the scores behind a network: which class each of them is of."""

import functools
import importlib.resources
from typing import Any

import keras
import numpy as np

IMAGENET_CLASSES = 1000


def decode_predictions(
    predictions: Any, top: int = 5, class_names: tuple | list | None = None
) -> list:
    """Names the best classes of each image, as Keras Applications does.

    Args:
        predictions: Scores with the axes `(batch, class)` as an array or a tensor; probabilities
            or logits, which are returned as they are.
        top: How many classes to name for each image, at least 1; too many names them all.
        class_names: The names of the classes in the order of the scores; `None` for those of
            ImageNet-1k.

    Returns:
        For each image a list of `(synset, name, score)`, best first; of equal scores the lower
        class number comes first. Only the classes of ImageNet have a synset, others `None`.

    Raises:
        ValueError: If `predictions` is not of the shape `(batch, class)` with a class for each
            name, or `top` is not an integer of at least 1.

    Example:
    >>> decode_predictions(np.eye(1000)[[207]], top=1)
    [[('n02099601', 'golden_retriever', 1.0)]]
    """
    if not isinstance(top, (int, np.integer)) or top < 1:
        raise ValueError(f"`top` must be an integer of at least 1. Received: top={top!r}")
    if not isinstance(predictions, np.ndarray):
        predictions = keras.ops.convert_to_numpy(predictions)
    names = _imagenet_classes() if class_names is None else [(None, name) for name in class_names]
    if predictions.ndim != 2 or predictions.shape[1] != len(names):
        whose = "ImageNet-1k" if class_names is None else "`class_names`"
        raise ValueError(
            f"`predictions` must have the shape (batch, {len(names)}), one score for each class of "
            f"{whose}. Received: the shape {predictions.shape}. Name other classes by class_names="
        )
    scores = predictions.astype("float64")
    best = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    return [
        [(*names[number], float(row[number])) for number in numbers]
        for row, numbers in zip(scores, best, strict=True)
    ]


def imagenet_class_names() -> tuple:
    """Returns the names of the classes of ImageNet-1k, in the order of the scores.

    Example:
    >>> imagenet_class_names()[207]
    'golden_retriever'
    """
    return tuple(name for _, name in _imagenet_classes())


@functools.cache
def _imagenet_classes():
    """The (synset, name) of each ImageNet-1k class, in class order."""
    table = importlib.resources.files("keras_se").joinpath("imagenet_classes.txt")
    lines = table.read_text(encoding="ascii").splitlines()
    return [tuple(line.split(" ")) for line in lines]
