"""What every export of a model costs on this machine, and which to take."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from keras_se.benchmark.turns import Task, Worker, measure, quartiles
from keras_se.export import FORMATS, export_model, load_exported
from keras_se.export.verify import likeliest_classes

# What runs each format; a state dict is no network.
RUNTIMES = {
    "saved_model": "tensorflow",
    "onnx": "onnxruntime",
    "onnx_fixed": "onnxruntime",
    "onnx_int8": "onnxruntime",
    "openvino": "openvino",
    "openvino_int8": "openvino bfloat16",
    "litert": "litert",
    "litert_int8": "litert",
    "keras": "keras",
}
# Of the likeliest classes, those that a recommended export must have in common with the model.
LEAST_AGREEMENT = 0.98


@dataclass(frozen=True)
class Row:
    """What was measured of one export.

    Attributes:
        format: Its format.
        size: Of its files, in bytes.
        agreement: Fraction of the images whose likeliest class is the Keras model's.
        seconds: Median, first and third quartile of the seconds of a pass, by batch.
    """

    format: str
    size: int
    agreement: float
    seconds: dict


def bench(
    model: keras.Model,
    folder: Path,
    images: np.ndarray,
    formats: Sequence[str],
    *,
    batches: Sequence[int] = (1, 8),
    rounds: int = 10,
    threads: int = 2,
    say: Callable[[str], None] = lambda text: None,
) -> list[Row]:
    """Writes exports of a model and times them, each in its runtime, in interleaved rounds.

    Args:
        model: As for `export_model`.
        folder: Where to write the exports.
        images: Images as `model` takes them, of the size that is timed. They fix the ranges of
            8-bit integers, and tell the agreement.
        formats: Names of formats, of `RUNTIMES`.
        batches: Numbers of images of a pass.
        rounds: How often each export has its turn with each batch.
        threads: Threads of each runtime.
        say: Called with a line about everything that is done.

    Returns:
        A `Row` for each format that could be written, in the order of `formats`.

    Raises:
        ValueError: If none could be written, or a runtime ends.
    """
    exports = {}
    for name in formats:
        path = folder / f"{name}{FORMATS[name].suffix or ''}"
        calibration = images if FORMATS[name].calibrated else None
        try:
            exports[name] = export_model(model, path, name, calibration=calibration).path
            say(f"{name} is written")
        except (ValueError, ImportError) as error:  # what the format cannot hold, or needs
            say(f"{name} is left out: {error}")
    if not exports:
        raise ValueError(f"{model.name} can be written in none of the formats {', '.join(formats)}")
    expected = likeliest_classes(model.predict_on_batch, images)
    agreements = {
        name: float(np.mean(likeliest_classes(load_exported(path), images) == expected))
        for name, path in exports.items()
    }
    tasks = {
        name: Task(RUNTIMES[name], str(path), images.shape[1:], str(images.dtype))
        for name, path in exports.items()
    }
    with contextlib.ExitStack() as stack:
        runtimes = dict.fromkeys(task.runtime for task in tasks.values())
        workers = {name: stack.enter_context(Worker(name, threads)) for name in runtimes}
        seconds = measure(tasks, workers, batches=batches, rounds=rounds, say=say)
    return [
        Row(
            name,
            _size(path),
            agreements[name],
            {batch: quartiles(seconds[batch, name]) for batch in batches},
        )
        for name, path in exports.items()
    ]


def recommend(rows: Sequence[Row]) -> tuple[str, str] | None:
    """Names the formats to take, of those that say the same as the model of nearly all images.

    Args:
        rows: What `bench` gave.

    Returns:
        The format that is fastest with the smallest batch, for the least latency, and the one that
        does most images a second with any batch, for the most throughput; `None` without any that
        agrees.

    Example:
    >>> slow = Row("onnx", 1, 1.0, {1: (0.02, 0.02, 0.02), 8: (0.08, 0.08, 0.08)})
    >>> fast = Row("litert", 1, 1.0, {1: (0.01, 0.01, 0.01), 8: (0.16, 0.16, 0.16)})
    >>> wrong = Row("onnx_int8", 1, 0.5, {1: (0.001, 0.001, 0.001), 8: (0.01, 0.01, 0.01)})
    >>> recommend([slow, fast, wrong])
    ('litert', 'onnx')
    """
    fit = [row for row in rows if row.agreement >= LEAST_AGREEMENT]
    if not fit:
        return None
    first = min(min(row.seconds) for row in fit)
    latency = min(fit, key=lambda row: row.seconds[first][0])
    throughput = min(fit, key=lambda row: min(_per_image(row)))
    return latency.format, throughput.format


def _per_image(row):
    return [median / batch for batch, (median, _, _) in row.seconds.items()]


def _size(path):
    """Bytes of an export, with the files beside it."""
    beside = path.parent.glob(f"{path.stem}.*")
    files = path.rglob("*") if path.is_dir() else beside
    return sum(file.stat().st_size for file in files if file.is_file())
