"""What a training run shows at its end: measurements, their table and the learning curves."""

import importlib.util

import keras
import numpy as np

COLUMNS = (
    ("test accuracy (%)", "test_accuracy", ".2f"),
    ("parameters", "parameters", ",d"),
    ("MFLOPs", "mflops", ".3f"),
    ("training (s)", "seconds", ".1f"),
)


def confusion(outputs, labels):
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


def measure(network, dataset, counts):
    """Measures a trained network.

    Args:
        network: Functional model of images, with probabilities of the classes as its output.
        dataset: The `keras_se.data.Dataset` that gives the shape of an image.
        counts: What `confusion` gave for its held-out images.

    Returns:
        A dictionary: `test_accuracy` in percent, `parameters`, the number of trainable ones, and
        `mflops`, millions of multiply-adds for one image.
    """
    from keras_se.graph.complexity import multiply_adds, trainable_parameters

    return {
        "test_accuracy": 100 * float(counts.trace() / counts.sum()),
        "parameters": trainable_parameters(network),
        "mflops": multiply_adds(network, dataset.image_shape) / 1e6,
    }


def print_skipped(dataset, most=20):
    """Prints how many files were left out, and the first of them with the reasons."""
    skipped = dataset.all_skipped()
    if skipped:
        print(f"Skipped {len(skipped)} files that cannot be read as images:")
        print("\n".join(f"  {one}" for one in skipped[:most]))
    if len(skipped) > most:
        print(f"  and {len(skipped) - most} more")


def export(network, folder, class_names):
    """Writes a SavedModel and compares it with `network`, if the backend is TensorFlow.

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
    worst = written.difference
    print(f"SavedModel reloaded from {folder}: predictions differ by at most {worst:.1e}.")
    return worst


def difference(first, second):
    """Subtracts the measurements of one network from those of another.

    Args:
        first: Dictionary with the keys `test_accuracy` (percent), `parameters` (trainable),
            `mflops` (millions of multiply-adds for one image) and `seconds` (of training).
        second: The same of the other network.

    Returns:
        The same keys, each the first less the second.

    Example:
    >>> one = {"test_accuracy": 99.0, "parameters": 12, "mflops": 2.5, "seconds": 30.0}
    >>> two = {"test_accuracy": 98.5, "parameters": 10, "mflops": 2.0, "seconds": 20.0}
    >>> difference(one, two)
    {'test_accuracy': 0.5, 'parameters': 2, 'mflops': 0.5, 'seconds': 10.0}
    """
    return {key: first[key] - second[key] for _, key, _ in COLUMNS}


def table(rows):
    """Lays out the measurements of the networks of a run as text.

    Args:
        rows: Dictionary from a network's name to its measurements, as `difference` takes them. If
            there are two networks, a row with the first less the second follows.

    Returns:
        The table, with its numbers aligned to the right. MFLOPs are millions of multiply-adds.

    Example:
    >>> one = {"test_accuracy": 99.0, "parameters": 12, "mflops": 2.5, "seconds": 30.0}
    >>> print(table({"SEResNet20": one}))
    network     test accuracy (%)  parameters  MFLOPs  training (s)
    SEResNet20              99.00          12   2.500          30.0
    """
    lines = [("network", *(title for title, _, _ in COLUMNS))]
    lines += [(name, *_cells(row)) for name, row in rows.items()]
    if len(rows) == 2:
        lines.append(("SE minus plain", *_cells(difference(*rows.values()), sign="+")))
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            [line[0].ljust(widths[0])]
            + [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        )
        for line in lines
    )


def require_matplotlib():
    """Raises a `ValueError` that says what to install if Matplotlib is not there."""
    try:
        import matplotlib  # noqa: F401 (whether it is there is the question)
    except ImportError as error:
        raise ValueError(
            "The learning curves need Matplotlib, which is not installed: pip install matplotlib"
        ) from error


def require_tensorboard():
    """Raises a `ValueError` that says what to install if TensorBoard's logs cannot be written."""
    missing = [
        one for one in ("tensorboard", "tensorflow") if importlib.util.find_spec(one) is None
    ]
    if missing:
        raise ValueError(
            f"Logs for TensorBoard need {' and '.join(missing)}, which is not installed: "
            f"pip install {' '.join(missing)}"
        )


def curves(histories, path):
    """Draws loss and accuracy by epoch.

    Args:
        histories: Dictionary from a network's name to the `history` of its `model.fit`: lists
            with a number for each epoch under `loss`, `val_loss` (of the held-out images),
            `accuracy` and `val_accuracy` (fractions).
        path: The PNG file to write.

    Raises:
        OSError: If the file cannot be written.
    """
    # Figures without pyplot: no window system is touched and no figure is left open.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    FigureCanvasAgg(figure)
    losses, accuracies = figure.subplots(1, 2)
    floor = 100
    for index, (name, history) in enumerate(histories.items()):
        epochs = range(1, len(history["loss"]) + 1)
        for prefix, images, style in (("", "training", ".:"), ("val_", "held out", ".-")):
            look = {"color": f"C{index}", "label": f"{name}, {images}"}
            losses.plot(epochs, history[f"{prefix}loss"], style, **look)
            percent = [100 * fraction for fraction in history[f"{prefix}accuracy"]]
            accuracies.plot(epochs, percent, style, **look)
            floor = min(floor, *percent[len(percent) // 2 :])
    losses.set(title="Loss", xlabel="epoch", ylabel="cross-entropy", yscale="log")
    # The first epochs, far below the rest, would leave nothing to see of the differences.
    accuracies.set(title="Accuracy", xlabel="epoch", ylabel="percent", ylim=(floor - 1, 100.5))
    for axes in (losses, accuracies):
        axes.xaxis.get_major_locator().set_params(integer=True)
    losses.legend()
    figure.savefig(path, format="png", dpi=120)


def _cells(row, sign=""):
    return [format(row[key], sign + form) for _, key, form in COLUMNS]
