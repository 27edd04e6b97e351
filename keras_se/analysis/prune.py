"""Takes out the SE blocks that a network can do without, and measures what that costs and saves."""

import dataclasses
import time
from collections.abc import Callable

import keras
import numpy as np

from keras_se.analysis.importance import MEAN, Loss, ReplacedGates, paired_loss
from keras_se.data import Dataset, every_of_each_class, select_held_out
from keras_se.evaluation.evaluate import held_out_batches, outputs
from keras_se.formatting import text_table
from keras_se.graph.complexity import complexity
from keras_se.preprocessing import Preprocessing
from keras_se.surgery import remove_se

# Images whose mean gates stay in the place of a block.
MEAN_IMAGES = 512
ROUNDS = 30


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a network costs and how good it is.

    Attributes:
        accuracy: Percentage of the images of the second part that it classifies right.
        parameters: Number of trainable parameters.
        multiply_adds: Products of one image.
        milliseconds: Median time of one image through `predict_on_batch`.
    """

    accuracy: float
    parameters: int
    multiply_adds: int
    milliseconds: float


@dataclasses.dataclass(frozen=True, eq=False)
class Pruning:
    """A network with fewer SE blocks. Printing it gives a table.

    Attributes:
        model: The new `keras.Model`.
        removed: Names of the blocks that went.
        before: The `Cost` of the network as it was.
        after: That of the new one.
        loss: The accuracy lost on the second part of the images, a `Loss`.
        images: Number of images of that part.
    """

    model: keras.Model
    removed: tuple[str, ...]
    before: Cost
    after: Cost
    loss: Loss
    images: int

    def to_dict(self) -> dict:
        """Returns all numbers by name, for a JSON file."""
        fields = ("before", "after", "loss")
        parts = {name: dataclasses.asdict(getattr(self, name)) for name in fields}
        return {"removed": list(self.removed), "images": self.images, **parts}

    def __str__(self) -> str:
        rows = [("", "top-1 %", "parameters", "multiply-adds", "ms an image")]
        for name, cost in (("before", self.before), ("after", self.after)):
            counts = (f"{cost.parameters:,}", f"{cost.multiply_adds:,}")
            rows.append((name, f"{cost.accuracy:.2f}", *counts, f"{cost.milliseconds:.2f}"))
        return (
            f"{text_table(rows, '<>>>>')}\nremoved {', '.join(self.removed) or 'nothing'}; "
            f"{self.images} images that did not choose; points lost {self.loss}"
        )


def prune_se(
    model: keras.Model,
    dataset: Dataset,
    budget: float,
    preprocessing: Preprocessing | None = None,
    batch_size: int = 64,
    *,
    verbose: bool = True,
) -> Pruning:
    """Takes SE blocks out of a network as long as little accuracy is lost.

    On every other held-out image of each class, the gates of each block are replaced by their mean;
    the blocks go one after the other, that with the smallest loss first, and one comes back if
    without it more than `budget` is lost in all. What is then lost is measured on the other images,
    which had no say.

    Args:
        model: Functional `keras.Model` with `SqueezeExcite` layers; not changed. Its output must be
            a score for each class of the dataset.
        dataset: The `keras_se.data.Dataset`, resized and cropped as the network wants it.
        budget: Accuracy that may be lost, in points of percent, such as 0.1; not negative.
        preprocessing: How its pixels are normalized; `None` leaves them from 0 to 1.
        batch_size: Images at a time, at least 2.
        verbose: Whether to show the progress.

    Returns:
        The `Pruning`. Its `model` has the mean gates as constants, folded into the layer before
        where that is exact; see `keras_se.surgery.remove_se`.

    Raises:
        ValueError: If an argument is not legal, `model` is not functional, has no `SqueezeExcite`
            layers or not the classes of the dataset.

    Reference:
        Hu et al., "Squeeze-and-Excitation Networks", https://arxiv.org/abs/1709.01507, section 4:
        without the blocks of the last stage SE-ResNet-50 loses less than 0.1 points and has 4
        instead of 10 percent of further parameters.
    """
    if not isinstance(budget, int | float) or not budget >= 0:
        raise ValueError(
            f"`budget` must be a number of points, at least 0. Received: budget={budget!r}"
        )
    choosing, reporting = _halves(dataset)
    network = ReplacedGates(model, choosing, preprocessing, batch_size, look_into=False)
    if None in network.layers.values():
        raise ValueError(
            f"`model` must have SqueezeExcite layers, which can be taken out. Received: "
            f"{model.name!r}, whose gates are made by other layers"
        )
    layers = _chosen(network, budget, verbose)
    names = tuple(dict.fromkeys(layer.name for layer in layers))
    new = model
    if layers:
        ids = {id(layer) for layer in layers}
        images = preprocessed_images(_evenly(choosing, MEAN_IMAGES), preprocessing)
        new, _ = remove_se(model, lambda layer: id(layer) in ids, images, verbose=False)
    rights = [right_images(each, reporting, preprocessing, batch_size) for each in (model, new)]
    times = _milliseconds((model, new), reporting.image_shape)
    before, after = (
        _cost(each, right, milliseconds, reporting.image_shape)
        for each, right, milliseconds in zip((model, new), rights, times, strict=True)
    )
    return Pruning(new, names, before, after, paired_loss(*rights), len(rights[0]))


def _chosen(network, budget, verbose):
    """The layers without which no more than `budget` is lost."""
    layers = {}
    for name, layer in network.layers.items():
        layers.setdefault(id(layer), (layer, []))[1].append(name)
    progress = keras.utils.Progbar(2 * len(layers), verbose=int(verbose), unit_name="change")
    right = network.right()

    def lost(entries):
        kinds = {name: MEAN for _, names in entries for name in names}
        progress.add(1)
        return paired_loss(right, network.right(kinds)).points

    alone = {key: lost([entry]) for key, entry in layers.items()}
    gone = []
    for key in sorted(layers, key=alone.get):
        if lost([*gone, layers[key]]) <= budget:
            gone.append(layers[key])
    return [layer for layer, _ in gone]


def _halves(dataset):
    """The dataset with every other held-out image of each class, and with the others."""
    second = every_of_each_class(dataset.test_labels, 2)
    return [select_held_out(dataset, np.flatnonzero(chosen)) for chosen in (second, ~second)]


def _evenly(dataset, most):
    """The dataset with at most so many held-out images, of all classes."""
    count = len(dataset.test_labels)
    indices = np.linspace(0, count - 1, min(count, most)).round().astype(int)
    return select_held_out(dataset, indices)


def preprocessed_images(dataset: Dataset, preprocessing: Preprocessing | None = None) -> np.ndarray:
    """Prepares the held-out images that can be read, all at once.

    Args:
        dataset: The `keras_se.data.Dataset`, of so few images that memory holds them.
        preprocessing: As for `prune_se`.

    Returns:
        The images as a network takes them, such as for `remove_se`.
    """
    pixels, _, weights = held_out_batches(dataset, preprocessing, len(dataset.test_labels)).batch(0)
    return pixels[weights > 0]


def right_images(
    model: keras.Model,
    dataset: Dataset,
    preprocessing: Preprocessing | None = None,
    batch_size: int = 64,
) -> np.ndarray:
    """Classifies the held-out images that can be read.

    Args:
        model: A `keras.Model` with a score for each class.
        dataset: The `keras_se.data.Dataset`.
        preprocessing: As for `prune_se`.
        batch_size: Images at a time.

    Returns:
        float64 array: for each image 1 if it is right, else 0.
    """
    scores, labels = outputs(model, dataset, preprocessing, batch_size)
    return np.float64(scores.argmax(axis=1) == labels)


def _cost(model, right, milliseconds, image_shape):
    costs = complexity(model, image_shape)
    accuracy = 100 * float(right.mean())
    return Cost(accuracy, costs.parameters, costs.multiply_adds, milliseconds)


def _milliseconds(models, image_shape):
    """The median time of one image through each model, measured in turns."""
    image = np.zeros((1, *image_shape), "float32")
    runs: list[Callable] = [lambda model=model: model.predict_on_batch(image) for model in models]
    times = [[] for _ in models]
    for number in range(ROUNDS + 3):
        for run, each in zip(runs, times, strict=True):
            start = time.perf_counter()
            run()
            # The first rounds compile.
            if number >= 3:
                each.append(1000 * (time.perf_counter() - start))
    return [float(np.median(each)) for each in times]
