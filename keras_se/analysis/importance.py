"""How much accuracy each SE block is worth: its gates are replaced, and what is lost is counted."""

import contextlib
import dataclasses

import keras
import numpy as np

from keras_se.analysis.gate_switches import MEAN, ONE, SWAPPED, GateSwitches
from keras_se.data import Dataset, select_held_out
from keras_se.evaluation.evaluate import held_out_batches
from keras_se.formatting import text_table
from keras_se.preprocessing import Preprocessing
from keras_se.validation import check_choice, check_positive

KINDS = ("swapped", "mean", "one")
NORMAL_95 = 1.959964


@dataclasses.dataclass(frozen=True)
class Loss:
    """Accuracy that a change of the gates costs, in points of percent; below zero it gains.

    Attributes:
        points: The accuracy lost.
        low: Lower bound of the 95 % interval.
        high: Upper bound. The interval is paired: of the difference that the change makes to each
            image. It says nothing of other trainings.
    """

    points: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.points:z.2f} ({self.low:z.2f} to {self.high:z.2f})"


@dataclasses.dataclass(frozen=True)
class BlockImportance:
    """What one SE block is worth.

    Attributes:
        name: The block's name.
        stage: Number of its stage; see `keras_se.analysis.gates.stage_numbers`.
        swapped: The `Loss` with gates of another image, drawn at random: what it is worth that the
            gates are those of the image.
        mean: The `Loss` with the mean gates of all images: what constants cannot do.
        one: The `Loss` with gates of one, as if the block were not there. It is mostly that the
            next layers were trained with a map of another scale, and no measure of importance.
    """

    name: str
    stage: int
    swapped: Loss
    mean: Loss
    one: Loss


@dataclasses.dataclass(frozen=True)
class Importance:
    """What the SE blocks of a network are worth. Printing it gives a table.

    Attributes:
        images: Number of images.
        accuracy: Percentage of them that the network classifies right.
        blocks: A `BlockImportance` for each block, in the order of the network.
    """

    images: int
    accuracy: float
    blocks: tuple[BlockImportance, ...]

    def ranking(self, by: str = "mean") -> list[str]:
        """Returns the names of the blocks, that with the smallest loss first.

        Args:
            by: `"mean"` or `"swapped"`.
        """
        check_choice("by", by, ("mean", "swapped"))
        ordered = sorted(self.blocks, key=lambda block: getattr(block, by).points)
        return [block.name for block in ordered]

    def to_dict(self) -> dict:
        """Returns all numbers by name, for a JSON file."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        rows = [("block", "stage", "another image's gates", "mean gates", "gates of one")]
        for block in self.blocks:
            losses = (str(getattr(block, kind)) for kind in KINDS)
            rows.append((block.name, str(block.stage), *losses))
        return (
            f"{text_table(rows, '<>>>>')}\npoints of accuracy lost, with 95 % intervals; "
            f"{self.images} images, top-1 {self.accuracy:.2f} %"
        )


def importance(
    model: keras.Model,
    dataset: Dataset,
    preprocessing: Preprocessing | None = None,
    batch_size: int = 64,
    *,
    repeats: int = 1,
    verbose: bool = True,
) -> Importance:
    """Measures how many held-out images a network gets wrong if the gates of a block are replaced.

    The images come in an order that a seed draws, so that the image before is of any class.

    Args:
        model: Functional `keras.Model` with SE blocks; see `keras_se.graph.gates`. Its output must
            be a score for each class of the dataset.
        dataset: The `keras_se.data.Dataset`, resized and cropped as the network wants it.
        preprocessing: How its pixels are normalized; `None` leaves them from 0 to 1.
        batch_size: Images at a time, at least 2.
        repeats: In how many orders gates are swapped; each is a pass over the images for each
            block.
        verbose: Whether to show the progress.

    Returns:
        The `Importance`.

    Raises:
        ValueError: If an argument is not legal, `model` is not functional, has no SE block or not
            the classes of the dataset.

    Example:
    >>> from keras_se import data
    >>> from keras_se.applications import SEResNet20
    >>> model = SEResNet20(weights=None, input_shape=(8, 8, 3), classes=10, stages=(3,))
    >>> result = importance(model, data.load("fake", size=8), verbose=False)
    >>> [block.name for block in result.blocks]
    ['layer3_0_se', 'layer3_1_se', 'layer3_2_se']
    """
    check_positive("repeats", repeats, integer=True)
    network = ReplacedGates(model, dataset, preprocessing, batch_size)
    right = network.right()
    passes = [(name, kind) for name in network.stages for kind in (SWAPPED, MEAN, ONE)]
    progress = keras.utils.Progbar(len(passes), verbose=int(verbose), unit_name="change")
    losses = {}
    for number, (name, kind) in enumerate(passes):
        orders = range(repeats) if kind == SWAPPED else (0,)
        changed = [network.right({name: kind}, order) for order in orders]
        losses[name, kind] = paired_loss(right, np.mean(changed, axis=0))
        progress.update(number + 1)
    blocks = tuple(
        BlockImportance(name, stage, *(losses[name, kind] for kind in (SWAPPED, MEAN, ONE)))
        for name, stage in network.stages.items()
    )
    return Importance(len(right), 100 * float(right.mean()), blocks)


def paired_loss(before: np.ndarray, after: np.ndarray) -> Loss:
    """Returns the accuracy lost between two classifications of the same images.

    Args:
        before: For each image whether it was right, 0 or 1.
        after: The same with changed gates, or means of several such.

    Example:
    >>> print(paired_loss(np.array([1, 1, 1, 0]), np.array([1, 0, 1, 0])))
    25.00 (-24.00 to 74.00)
    """
    differences = 100 * (np.asarray(before, "float64") - after)
    points = float(differences.mean())
    error = NORMAL_95 * float(differences.std(ddof=1)) / len(differences) ** 0.5
    return Loss(points, points - error, points + error)


class ReplacedGates:
    """A network whose gates can be replaced, block by block, and the images that it classifies.

    Args:
        model: As for `importance`.
        dataset: As for `importance`.
        preprocessing: As for `importance`.
        batch_size: As for `importance`.
        look_into: As for `keras_se.graph.gates.tap_gates`.

    Attributes:
        stages: The number of the stage of each block by its name, in the order of the network.
    """

    def __init__(self, model, dataset, preprocessing=None, batch_size=64, look_into=True):
        count = len(dataset.test_labels)
        self.batch_size = min(check_positive("batch_size", batch_size, integer=True), count)
        if self.batch_size < 2:
            raise ValueError(
                "`batch_size` and the number of images must be at least 2, since gates come from "
                f"another image. Received: batch_size={batch_size} for {count} images"
            )
        self.dataset, self.preprocessing = dataset, preprocessing
        self.switches = GateSwitches(model, dataset.image_shape, look_into)
        scores = self.switches.outputs
        classes = len(dataset.class_names)
        if len(scores) != 1 or tuple(scores[0].shape[1:]) != (classes,):
            raise ValueError(
                f"`model` must have one output with a score for each of the {classes} classes. "
                f"Received: outputs of {[tuple(tensor.shape) for tensor in scores]}"
            )
        self.scores = keras.Model(self.switches.input, scores[0])
        self.stages = self.switches.stages
        self.layers = {block.name: block.layer for block in self.switches.gates}
        self._has_means = False

    def right(self, kinds: dict | None = None, order: int = 0) -> np.ndarray:
        """Classifies all images that can be read with some gates replaced.

        Args:
            kinds: What the gates of a block by name are replaced by, `OWN`, `SWAPPED`, `MEAN` or
                `ONE`; by default those of all are their own.
            order: Seed of the order of the images.

        Returns:
            float64 array: for each image 1 if it is right, else 0.
        """
        kinds = kinds or {}
        if MEAN in kinds.values() and not self._has_means:
            self._measure_means()
        self.switches.replace(kinds)
        right = np.full(len(self.dataset.test_labels), np.nan)
        for indices, images, labels, used in self._batches(order):
            scores = self.scores.predict_on_batch(images)
            right[indices[used]] = (scores.argmax(axis=1) == labels)[used]
        return right[~np.isnan(right)]

    def _measure_means(self):
        """Gives each block the mean gates over all images."""
        self._has_means = True
        sums, count = dict.fromkeys(self.stages, 0.0), 0
        self.switches.replace({})
        for _, images, _, used in self._batches(0):
            _, gates = self.switches.run(images)
            for name, values in gates.items():
                sums[name] = sums[name] + values[used].sum(axis=0, dtype="float64")
            count += used.sum()
        self.switches.set_means({name: total / count for name, total in sums.items()})

    def _batches(self, order):
        """Indices, images, labels and which are not filled in, in an order that a seed draws.

        All batches have one size, so that the last has other images too and nothing is compiled
        anew.
        """
        count = len(self.dataset.test_labels)
        drawn = np.random.default_rng(order).permutation(count)
        filled = np.resize(drawn, -(-count // self.batch_size) * self.batch_size)
        shuffled = select_held_out(self.dataset, filled)
        batches = held_out_batches(shuffled, self.preprocessing, self.batch_size)
        with contextlib.closing(batches):
            for number in range(len(batches)):
                rows = np.arange(number * self.batch_size, (number + 1) * self.batch_size)
                pixels, labels, weights = batches[number]
                yield filled[rows], pixels, labels, (weights > 0) & (rows < count)
