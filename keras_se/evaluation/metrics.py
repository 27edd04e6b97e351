"""Numbers that say how well a network classifies: arrays in, numbers out."""

import math

import numpy as np


def accuracies(outputs: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Counts the images whose class is the likeliest, and among the five likeliest.

    Args:
        outputs: Array `(image, class)`, the larger the likelier.
        labels: Integer array `(image,)`.

    Returns:
        Two percentages.

    Example:
    >>> accuracies(np.array([[0.7, 0.2, 0.1], [0.4, 0.5, 0.1]]), np.array([0, 0]))
    (50.0, 100.0)
    """
    right = np.take_along_axis(outputs, labels[:, None], axis=1)
    rank = (outputs > right).sum(axis=1)
    return 100 * float(np.mean(rank == 0)), 100 * float(np.mean(rank < 5))


def interval(percent: float, count: int) -> tuple[float, float]:
    """Returns the 95 % interval of a percentage that was counted, by Wilson's score.

    It tells how much the accuracy would differ on other images of the same kind; it says nothing
    of other seeds of the training.

    Args:
        percent: The percentage of `count` images, from 0 to 100.
        count: Number of images.

    Returns:
        The lower and the upper percentage.

    Example:
    >>> [round(bound, 2) for bound in interval(99.15, 355)]
    [97.54, 99.71]

    Reference:
        Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
    """
    z = 1.959964
    fraction = percent / 100
    center = (fraction + z**2 / (2 * count)) / (1 + z**2 / count)
    spread = z / (1 + z**2 / count)
    spread *= math.sqrt(fraction * (1 - fraction) / count + z**2 / (4 * count**2))
    return 100 * max(center - spread, 0.0), 100 * min(center + spread, 1.0)


def confusion(outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Counts which classes are taken for which.

    Args:
        outputs: Array `(image, class)`; the largest of a row is what is predicted.
        labels: Integer array `(image,)`.

    Returns:
        Integer array `(class, class)`: how many images of the first are taken for the second.

    Example:
    >>> confusion(np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]]), np.array([0, 1, 1]))
    array([[1, 0],
           [1, 1]])
    """
    counts = np.zeros((outputs.shape[1],) * 2, int)
    np.add.at(counts, (labels, outputs.argmax(axis=-1)), 1)
    return counts


def confident_errors(outputs: np.ndarray, labels: np.ndarray, most: int) -> np.ndarray:
    """Finds the wrong predictions that the network is surest of.

    Args:
        outputs: Array `(image, class)`, the larger the likelier.
        labels: Integer array `(image,)`.
        most: How many to return at most.

    Returns:
        Their indices, the surest first.

    Example:
    >>> confident_errors(np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7]]), np.array([1, 0, 1]), 5)
    array([0, 1])
    """
    wrong = np.flatnonzero(outputs.argmax(axis=1) != labels)
    return wrong[np.argsort(-outputs[wrong].max(axis=1), kind="stable")][:most]
