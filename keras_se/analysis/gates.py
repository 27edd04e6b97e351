"""Measures what the gates of a network do over images of several classes, in one pass."""

import contextlib
import dataclasses

import keras
import numpy as np

from keras_se.analysis.statistics import (
    HIGH,
    LOW,
    ClassMoments,
    distance_to_constant,
    effective_channels,
    eta_squared,
    intraclass_correlation,
    nearest_mean_accuracy,
    selectivity,
)
from keras_se.data import Dataset, every_of_each_class
from keras_se.evaluation.evaluate import held_out_batches
from keras_se.formatting import text_table
from keras_se.graph.gates import Gates, tap_gates
from keras_se.graph.stages import stage_of
from keras_se.preprocessing import Preprocessing

# Images whose gates are classified by the nearest class mean, and so are remembered.
PROBE_IMAGES = 2000
# Images that are remembered for each channel at either end.
EXTREMES = 4
PERMUTATION_SEED = 0


@dataclasses.dataclass(frozen=True, eq=False)
class BlockGates:
    """What the gates of one SE block do.

    Numbers that end in `_permuted` are what chance gives: the same with the labels of all images
    shuffled.

    Attributes:
        name: The block's name.
        stage: Number of its stage; see `stage_numbers`.
        channels: How many gates an image has.
        mean: Mean of all gates.
        eta_squared: Share of the variance of the gates that is between classes, 0 to 1, corrected
            for small classes; see `keras_se.analysis.statistics.intraclass_correlation`.
        eta_squared_permuted: The same by chance.
        eta_squared_uncorrected: The same as it is; see `keras_se.analysis.statistics.eta_squared`.
        selectivity: Mean class selectivity of the channels, 0 to 1; see
            `keras_se.analysis.statistics.selectivity`. NaN if gates are negative.
        selectivity_permuted: The same by chance.
        saturated: Share of the gates above 0.95 or below 0.05.
        saturated_high: Share of those above 0.95.
        saturated_low: Share of those below 0.05.
        distance_to_constant: Error of the mean gates in place of the gates, of the root mean square
            of these; see `keras_se.analysis.statistics.distance_to_constant`.
        effective_channels: See `keras_se.analysis.statistics.effective_channels`.
        probe_accuracy: Percentage of at most 2,000 images whose gates are nearest to the mean gates
            of their class over all other images.
        probe_accuracy_permuted: The same by chance.
        moments: The `ClassMoments`.
        strongest: Integer array `(4, channel)`: the images with the largest gates, the largest
            first, counted among those that could be read.
        weakest: Those with the smallest, the smallest first.
    """

    name: str
    stage: int
    channels: int
    mean: float
    eta_squared: float
    eta_squared_permuted: float
    eta_squared_uncorrected: float
    selectivity: float
    selectivity_permuted: float
    saturated: float
    saturated_high: float
    saturated_low: float
    distance_to_constant: float
    effective_channels: float
    probe_accuracy: float
    probe_accuracy_permuted: float
    moments: ClassMoments
    strongest: np.ndarray
    weakest: np.ndarray

    def channel_eta_squared(self) -> np.ndarray:
        """Returns the corrected share of variance between classes of each channel."""
        return intraclass_correlation(*self.moments.variation(), self.moments.counts)

    def to_dict(self) -> dict:
        """Returns the numbers by name, for a JSON file; what is not a number there is `None`."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {
            name: None if value != value else value
            for name, value in fields.items()
            if isinstance(value, str | int | float)
        }


@dataclasses.dataclass(frozen=True, eq=False)
class GateAnalysis:
    """What the gates of a network do. Printing it gives a table.

    Attributes:
        images: Number of images.
        class_names: The name of each class.
        accuracy: Percentage of the images that the network classifies right, or `None` if its
            output is no score for each class.
        blocks: A `BlockGates` for each block, in the order of the network.
    """

    images: int
    class_names: tuple
    accuracy: float | None
    blocks: tuple[BlockGates, ...]

    def to_dict(self) -> dict:
        """Returns all numbers by name, for a JSON file."""
        return {
            "images": self.images,
            "class_names": list(self.class_names),
            "accuracy": self.accuracy,
            "blocks": [block.to_dict() for block in self.blocks],
        }

    def table(self) -> list[tuple]:
        """Returns a line of names and a line for each block, as strings."""
        head = ("block", "stage", "channels", "mean", "eta2", "chance", "selectivity", "chance")
        rows = [(*head, "saturated %", "to constant", "effective", "probe %", "chance")]
        for block in self.blocks:
            shares = (block.eta_squared, block.eta_squared_permuted)
            shares += (block.selectivity, block.selectivity_permuted)
            probes = (block.probe_accuracy, block.probe_accuracy_permuted)
            rows.append(
                (
                    *(block.name, str(block.stage), str(block.channels), f"{block.mean:.3f}"),
                    *(f"{value:z.3f}" for value in shares),
                    *(f"{100 * block.saturated:.1f}", f"{block.distance_to_constant:.3f}"),
                    *(f"{block.effective_channels:.1f}", *(f"{value:.1f}" for value in probes)),
                )
            )
        return rows

    def __str__(self) -> str:
        table = text_table(self.table(), "<" + ">" * 12)
        accuracy = "" if self.accuracy is None else f", top-1 {self.accuracy:.2f} %"
        return f"{table}\n{self.images} images of {len(self.class_names)} classes{accuracy}"


def analyze_gates(
    model: keras.Model,
    dataset: Dataset,
    preprocessing: Preprocessing | None = None,
    batch_size: int = 64,
    *,
    verbose: bool = True,
) -> GateAnalysis:
    """Runs the held-out images of a dataset through a network and measures all its gates.

    The images are read once, batch by batch. Memory does not grow with their number; it needs 32
    bytes for each class and channel and 8 for each pair of channels of a block: 0.6 GB for
    SE-ResNet-50 and the classes of ImageNet.

    Args:
        model: Functional `keras.Model` with SE blocks, our layers or layers of Keras; see
            `keras_se.graph.gates`.
        dataset: The `keras_se.data.Dataset`, resized and cropped as the network wants it.
        preprocessing: How its pixels are normalized; `None` leaves them from 0 to 1.
        batch_size: Images at a time.
        verbose: Whether to show the progress.

    Returns:
        The `GateAnalysis`.

    Raises:
        ValueError: If `model` is not functional or has no SE block.

    Example:
    >>> from keras_se import data
    >>> from keras_se.applications import SEResNet20
    >>> model = SEResNet20(weights=None, input_shape=(8, 8, 3), classes=10)
    >>> analysis = analyze_gates(model, data.load("fake", size=8), verbose=False)
    >>> analysis.images, analysis.blocks[-1].name, analysis.blocks[-1].stage
    (30, 'layer3_2_se', 3)
    """
    new, gates = tap_gates(model, image_shape=dataset.image_shape)
    scores = keras.tree.flatten(new.outputs)
    classes = len(dataset.class_names)
    is_classifier = len(scores) == 1 and tuple(scores[0].shape[1:]) == (classes,)
    tapped = keras.Model(new.input, [*(block.tensor for block in gates), *scores])
    labels = _Labels(dataset)
    recorders = [_Recorder(block, classes) for block in gates]
    right = seen = 0
    batches = held_out_batches(dataset, preprocessing, batch_size)
    progress = keras.utils.Progbar(len(batches), verbose=int(verbose), unit_name="batch")
    with contextlib.closing(batches):
        for index in range(len(batches)):
            images, _, weights = batches[index]
            results = keras.tree.flatten(tapped.predict_on_batch(images))
            results = [rows[weights > 0] for rows in results]
            rows = slice(index * batch_size, index * batch_size + len(images))
            batch = labels.take(np.arange(rows.start, rows.stop)[weights > 0], seen)
            for recorder, values in zip(recorders, results, strict=False):
                recorder.update(values.reshape(len(values), -1).astype("float64"), batch)
            if is_classifier:
                right += (results[-1].argmax(axis=1) == batch.labels).sum()
            seen += len(batch.labels)
            progress.update(index + 1)
    stages = stage_numbers(gates)
    return GateAnalysis(
        images=seen,
        class_names=tuple(dataset.class_names),
        accuracy=100 * float(right) / seen if is_classifier else None,
        blocks=tuple(
            recorder.block(stage) for recorder, stage in zip(recorders, stages, strict=True)
        ),
    )


def stage_numbers(gates: list[Gates]) -> list[int]:
    """Returns the number of each block's stage, by its name as in `remove_se`.

    Where a name has none, as in networks of `keras.applications`, the number is that of the block
    before, or one more if its map has another size; the first is 1.

    Args:
        gates: The `Gates` in the order of the network.
    """
    numbers, before = [], None
    for block in gates:
        number = stage_of(block.name)
        if number is None:
            number = numbers[-1] if numbers else 0
            number += not numbers or block.positions != before
        numbers.append(int(number))
        before = block.positions
    return numbers


@dataclasses.dataclass(frozen=True, eq=False)
class _Batch:
    """The labels of a batch, and the numbers of its images among those that can be read."""

    labels: np.ndarray
    permuted: np.ndarray
    probed: np.ndarray
    numbers: np.ndarray


class _Labels:
    """The labels of the held-out images, shuffled ones, and which images are probed.

    Those are every second of each class, thinned evenly to `PROBE_IMAGES`.
    """

    def __init__(self, dataset):
        self.labels = np.asarray(dataset.test_labels)
        self.permuted = np.random.default_rng(PERMUTATION_SEED).permutation(self.labels)
        candidates = np.flatnonzero(every_of_each_class(self.labels, 2))
        step = max(1, -(-len(candidates) // PROBE_IMAGES))
        self.probed = np.isin(np.arange(len(self.labels)), candidates[::step])

    def take(self, indices, seen):
        """The `_Batch` of the images of these indices, of which `seen` came before."""
        numbers = np.arange(seen, seen + len(indices))
        rows = (self.labels[indices], self.permuted[indices], self.probed[indices])
        return _Batch(*rows, numbers)


class _Recorder:
    """What is remembered of the gates of one block.

    Args:
        gates: The `Gates`.
        classes: Number of classes.
    """

    def __init__(self, gates: Gates, classes: int):
        self.name, channels = gates.name, gates.channels
        self.moments = ClassMoments(classes, channels)
        self.permuted = ClassMoments(classes, channels)
        self.products = np.zeros((channels, channels))
        self.high = self.low = 0
        self.probes = []
        self.extremes = [_Extremes(channels), _Extremes(channels)]

    def update(self, gates, batch):
        """Adds the gates `(image, channel)` of a batch."""
        self.moments.update(gates, batch.labels)
        self.permuted.update(gates, batch.permuted)
        self.products += gates.T @ gates
        self.high += (gates > HIGH).sum()
        self.low += (gates < LOW).sum()
        rows = [values[batch.probed] for values in (gates, batch.labels, batch.permuted)]
        self.probes.append([rows[0].astype("float32"), *rows[1:]])
        for extremes, values in zip(self.extremes, (gates, -gates), strict=True):
            extremes.update(values, batch.numbers)

    def block(self, stage):
        """The `BlockGates`."""
        moments, images = self.moments, self.moments.counts.sum()
        count = images * moments.sums.shape[1]
        variation = moments.variation()
        mean_square = moments.squares.sum(axis=0) / images
        covariance = self.products / images - np.outer(moments.mean, moments.mean)
        return BlockGates(
            name=self.name,
            stage=stage,
            channels=moments.sums.shape[1],
            mean=float(moments.mean.mean()),
            eta_squared=_corrected(moments),
            eta_squared_permuted=_corrected(self.permuted),
            eta_squared_uncorrected=eta_squared(*variation),
            selectivity=float(selectivity(moments.means).mean()),
            selectivity_permuted=float(selectivity(self.permuted.means).mean()),
            saturated=float((self.high + self.low) / count),
            saturated_high=float(self.high / count),
            saturated_low=float(self.low / count),
            distance_to_constant=distance_to_constant(moments.mean, mean_square),
            effective_channels=effective_channels(covariance),
            probe_accuracy=self._probe(moments, 1),
            probe_accuracy_permuted=self._probe(self.permuted, 2),
            moments=moments,
            strongest=self.extremes[0].images,
            weakest=self.extremes[1].images,
        )

    def _probe(self, moments, which):
        """Accuracy of the nearest class mean over the images that are not probed."""
        gates = np.concatenate([rows[0] for rows in self.probes]).astype("float64")
        labels = np.concatenate([rows[which] for rows in self.probes])
        if not len(labels):
            return float("nan")
        probed = ClassMoments(*moments.sums.shape)
        probed.update(gates, labels)
        # Rounded gates leave less than nothing of a class that has no other images.
        counts = moments.counts - probed.counts
        with np.errstate(invalid="ignore", divide="ignore"):
            means = np.where(
                counts[:, None] > 0, (moments.sums - probed.sums) / counts[:, None], np.nan
            )
        return nearest_mean_accuracy(gates, labels, means)


def _corrected(moments):
    between, within = (values.sum() for values in moments.variation())
    return float(intraclass_correlation(between, within, moments.counts))


class _Extremes:
    """The images with the largest values of each channel, the largest first.

    Args:
        channels: Number of channels.
    """

    def __init__(self, channels):
        self.values = np.full((0, channels), -np.inf)
        self.images = np.zeros((0, channels), int)

    def update(self, values, numbers):
        """Adds values `(image, channel)` of images of these numbers."""
        values = np.concatenate([self.values, values])
        images = np.concatenate(
            [self.images, np.broadcast_to(numbers[:, None], (len(numbers), values.shape[1]))]
        )
        order = np.argsort(-values, axis=0, kind="stable")[:EXTREMES]
        self.values = np.take_along_axis(values, order, axis=0)
        self.images = np.take_along_axis(images, order, axis=0)
