"""What a run shows at its end: measurements, their table, and what to do next."""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from keras_se.evaluation.metrics import accuracies
from keras_se.formatting import printable, text_table
from keras_se.graph.complexity import multiply_adds, trainable_parameters
from keras_se.recipes.run_files import NETWORK, REPORT
from keras_se.training.resolve import Run

COLUMNS = (
    ("last epoch (%)", "test_accuracy", ".2f"),
    ("best epoch (%)", "best_accuracy", ".2f"),
    ("parameters", "parameters", ",d"),
    ("MFLOPs", "mflops", ".3f"),
    ("training (s)", "seconds", ".1f"),
)


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained network and what is known of it.

    Attributes:
        network: The `keras.Model`.
        history: Lists with a number for each epoch, by name.
        outputs: Its outputs for the held-out images, `(image, class)`.
        labels: Their labels.
        row: What `measure` returned, and `seconds`.
    """

    network: keras.Model
    history: dict
    outputs: np.ndarray
    labels: np.ndarray
    row: dict


def measure(
    network: keras.Model, run: Run, outputs: np.ndarray, labels: np.ndarray, history: dict
) -> dict:
    """Measures a trained network.

    Args:
        network: Functional model of images, with probabilities of the classes as its output.
        run: The `Run`.
        outputs: What it gives for the held-out images.
        labels: Their labels.
        history: Lists with a number for each epoch, `val_accuracy` among them.

    Returns:
        A dictionary: `test_accuracy` in percent, and `test_top5`, whose class is among the five
        likeliest; `best_accuracy` in percent, the best of all
        epochs; `best_epoch`, its number from 1; `parameters`, how many can be trained; and
        `mflops`, millions of multiply-adds for one image.
    """
    held_out = history["val_accuracy"]
    top1, top5 = accuracies(outputs, labels)
    return {
        "test_accuracy": top1,
        "test_top5": top5,
        "best_accuracy": 100 * max(held_out),
        "best_epoch": int(np.argmax(held_out)) + 1,
        "parameters": trainable_parameters(network),
        "mflops": multiply_adds(network, run.dataset.image_shape) / 1e6,
    }


def summarize(run: Run, rows: dict[str, dict]) -> dict:
    """Collects the numbers of a run, as `train` returns them.

    Args:
        run: The `Run`.
        rows: The measurements of each network by name.

    Returns:
        The dictionary that `results.json` holds, as it is before anything is exported.
    """
    return {
        "networks": rows,
        "difference": difference(*rows.values()) if len(rows) == 2 else None,
        "saved_model_difference": None,
        "not_written": {},
        "train_images": len(run.dataset.train_labels),
        "test_images": len(run.dataset.test_labels),
        "backend": keras.backend.backend(),
        "keras": keras.__version__,
    }


def export_saved_model(
    network: keras.Model, folder: Path, class_names: tuple[str, ...]
) -> float | None:
    """Writes a SavedModel and compares it with the network, if the backend is TensorFlow.

    Args:
        network: Functional model of images.
        folder: Folder to write to.
        class_names: The name of each class.

    Returns:
        The largest absolute difference of the outputs, or `None` on another backend.

    Raises:
        ValueError: If the written model gives other outputs.
    """
    backend = keras.backend.backend()
    if backend != "tensorflow":
        print(f"No SavedModel: that needs the TensorFlow backend, and this is {backend}.")
        return None
    from keras_se.export import export_model

    # As it was trained: folding would take longer than all the rest, and `keras-se export` does.
    written = export_model(network, folder, fold=False, class_names=class_names, overwrite=True)
    print(
        f"SavedModel reloaded from {folder}: predictions differ by at most "
        f"{written.difference:.1e}."
    )
    return written.difference


def difference(first: dict, second: dict) -> dict:
    """Subtracts the measurements of one network from those of another.

    Args:
        first: A dictionary as `measure` returns it, with `seconds`.
        second: The same of the other network.

    Returns:
        The first less the second.

    Example:
    >>> se = dict(test_accuracy=99.0, best_accuracy=99.5, parameters=12, mflops=2.5, seconds=30.0)
    >>> plain = dict(test_accuracy=98.5, best_accuracy=99, parameters=10, mflops=2.0, seconds=20.0)
    >>> difference(se, plain)["test_accuracy"]
    0.5
    """
    return {key: first[key] - second[key] for _, key, _ in COLUMNS}


def table(rows: dict[str, dict]) -> str:
    """Lays out the measurements of the networks of a run as text.

    Args:
        rows: Dictionary from a network's name to its measurements, as `difference` takes them. If
            there are two networks, a row with the first less the second follows.

    Returns:
        The table. MFLOPs are millions of multiply-adds.

    Example:
    >>> se = dict(test_accuracy=99.0, best_accuracy=99.5, parameters=12, mflops=2.5, seconds=30.0)
    >>> print(table({"SEResNet20": se}))
    network     last epoch (%)  best epoch (%)  parameters  MFLOPs  training (s)
    SEResNet20           99.00           99.50          12   2.500          30.0
    """
    lines = [("network", *(title for title, _, _ in COLUMNS))]
    lines += [(name, *_cells(row)) for name, row in rows.items()]
    if len(rows) == 2:
        lines.append(("SE minus plain", *_cells(difference(*rows.values()), sign="+")))
    return text_table(lines, "<" + ">" * len(COLUMNS))


def next_steps(folder: str | os.PathLike, results: dict) -> str:
    """Says where the report and the best model of a run are, and what can be done with it.

    Args:
        folder: The run's folder.
        results: What `summarize` returned.

    Returns:
        Some lines of text.
    """
    row = next(iter(results["networks"].values()))
    folder = Path(printable(str(folder)))
    # In an environment that is not activated the command is not on the path.
    command = "keras-se" if shutil.which("keras-se") else f"{sys.executable} -m keras_se"
    best = f"epoch {row['best_epoch']}, {row['best_accuracy']:.2f} %"
    return "\n".join(
        [
            f"Report:      {folder / REPORT}",
            f"Best model:  {folder / NETWORK.best} ({best})",
            f"Last epoch:  {folder / NETWORK.model} ({row['test_accuracy']:.2f} %)",
            "Next:",
            f"  {command} predict {folder} IMAGE",
            f"  {command} export {folder} {folder / 'model.onnx'} --preprocessing",
            f"  python applications/serve.py {folder / 'model.onnx'}",
        ]
    )


def _cells(row, sign=""):
    return [format(row[key], sign + form) for _, key, form in COLUMNS]
