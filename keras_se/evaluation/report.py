"""The report of a run: its learning curves and one HTML page with everything in it."""

import html
import inspect
from pathlib import Path

import numpy as np

from keras_se.data import Dataset
from keras_se.evaluation.html import (
    data_url,
    html_page,
    html_row,
    html_table,
    picture_grid,
    readable_images,
)
from keras_se.evaluation.metrics import accuracies, confident_errors, confusion, interval

# A matrix of more classes is not read; the most frequent confusions are.
MOST_CLASSES = 40
MOST_CONFUSIONS = 30
MOST_ERRORS = 24


def page(
    curves_file: Path,
    recipe: "Recipe",  # noqa: F821 (only its text is used)
    dataset: Dataset,
    table: str,
    networks: dict[str, tuple[np.ndarray, np.ndarray]],
) -> str:
    """Lays out the report of a run.

    Args:
        curves_file: What `curves` has written; the name of its folder, the run's, is the title.
        recipe: The `Recipe`.
        dataset: The `keras_se.data.Dataset`, for the class names, pictures and skipped files.
        table: The measurements as text.
        networks: For each network by name, its outputs for the held-out images, `(image, class)`,
            and their labels.

    Returns:
        The text of an HTML page that needs no other file.
    """
    title = html.escape(curves_file.resolve().parent.name)
    curves_png = data_url(curves_file.read_bytes())
    parts = [
        f"<h1>{title}</h1>",
        f"<p>{html.escape(recipe.network)} on {html.escape(recipe.data)}</p>",
        f'<pre class="text">{html.escape(inspect.cleandoc(recipe.about))}</pre>',
        f"<pre>{html.escape(table)}</pre>",
        f'<img class="curves" alt="learning curves" src="{curves_png}">',
    ]
    for name, (outputs, labels) in networks.items():
        parts += _network(html.escape(name), outputs, labels, dataset)
    skipped = dataset.all_skipped()
    if skipped:
        parts.append(f"<h2>{len(skipped)} files skipped</h2>")
        parts.append(f"<pre>{html.escape(chr(10).join(skipped))}</pre>")
    parts.append(f"<h2>Recipe</h2><pre>{html.escape(recipe.to_json())}</pre>")
    return html_page(curves_file.resolve().parent.name, parts)


def _network(name, outputs, labels, dataset):
    """The sections of one network."""
    counts = confusion(outputs, labels)
    top1, _ = accuracies(outputs, labels)
    low, high = interval(top1, len(labels))
    return [
        f"<h2>{name}: last epoch, held-out images</h2>",
        f"<p>{top1:.2f} % of {len(labels)} images (95 %: {low:.2f} to {high:.2f} %).</p>",
        "<h3>Recall by class</h3>",
        recall_table(counts, dataset.class_names),
        "<h3>Confusions, true class by row</h3>",
        confusion_table(counts, dataset.class_names),
        "<h3>Most confident errors</h3>",
        _errors(outputs, labels, dataset),
    ]


def recall_table(counts: np.ndarray, names: tuple[str, ...]) -> str:
    """Lays out which part of each class is recognized, the worst first.

    Args:
        counts: Integer array `(class, class)`: how many images of the first are taken for the
            second.
        names: The name of each class.

    Returns:
        An HTML table; of more than 40 classes, the 40 worst.

    Example:
    >>> print(recall_table(np.array([[1, 0], [1, 1]]), ("cat", "dog")))
    <div class="scroll"><table>
    <tr><th>class</th><th>recall (%)</th><th>images</th></tr>
    <tr><th>dog</th><td>50.0</td><td>2</td></tr>
    <tr><th>cat</th><td>100.0</td><td>1</td></tr>
    </table></div>
    """
    totals = counts.sum(axis=1)
    recalls = 100 * counts.diagonal() / np.maximum(totals, 1)
    order = np.argsort(recalls, kind="stable")[:MOST_CLASSES]
    rows = [html_row(html.escape(names[i]), [f"{recalls[i]:.1f}", totals[i]]) for i in order]
    return html_table([html_row("class", ["recall (%)", "images"], "th"), *rows])


def confusion_table(counts: np.ndarray, names: tuple[str, ...]) -> str:
    """Lays out which classes are taken for which.

    Args:
        counts: As for `recall_table`.
        names: The name of each class.

    Returns:
        The HTML table of all classes, or, if there are more than 40, of the 30 most frequent
        confusions.

    Example:
    >>> print(confusion_table(np.array([[1, 0], [1, 1]]), ("cat", "dog")))
    <div class="scroll"><table>
    <tr><th></th><th>cat</th><th>dog</th></tr>
    <tr><th>cat</th><td style="background:rgba(0,128,0,0.50)">1</td><td>0</td></tr>
    <tr><th>dog</th><td style="background:rgba(200,0,0,0.25)">1</td><td \
style="background:rgba(0,128,0,0.25)">1</td></tr>
    </table></div>
    """
    names = [html.escape(name) for name in names]
    if len(names) > MOST_CLASSES:
        return _frequent_confusions(counts, names)
    lines = [html_row("", names, "th")]
    for index, row in enumerate(counts):
        cells = [_cell(count, row.sum(), index == other) for other, count in enumerate(row)]
        lines.append(f"<tr><th>{names[index]}</th>{''.join(cells)}</tr>")
    return html_table(lines)


def _frequent_confusions(counts, names):
    wrong = counts * (1 - np.eye(len(names), dtype=int))
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_CONFUSIONS]
    pairs = [divmod(int(index), len(names)) for index in order]
    rows = [html_row(names[a], [names[b], wrong[a, b]]) for a, b in pairs if wrong[a, b]]
    return html_table([html_row("true class", ["taken for", "images"], "th"), *rows])


def _cell(count, total, right):
    if not count:
        return "<td>0</td>"
    color = "0,128,0" if right else "200,0,0"
    return f'<td style="background:rgba({color},{count / total / 2:.2f})">{count}</td>'


def _errors(outputs, labels, dataset):
    """The pictures of the errors that the network is surest of."""
    images, names, pictures = readable_images(dataset.test_images), dataset.class_names, []
    for index in confident_errors(outputs, labels, MOST_ERRORS):
        predicted = names[outputs[index].argmax()]
        likely = f"{100 * outputs[index].max():.1f} %"
        pictures.append((images(index), f"{names[labels[index]]}, taken for {predicted}, {likely}"))
    return picture_grid(pictures)


def print_skipped(dataset: Dataset, most: int = 20) -> None:
    """Prints how many files were left out, and the first of them with the reasons.

    Args:
        dataset: The `keras_se.data.Dataset`.
        most: How many files to name.
    """
    skipped = dataset.all_skipped()
    if skipped:
        print(f"Skipped {len(skipped)} files that cannot be read as images:")
        print("\n".join(f"  {text}" for text in skipped[:most]))
    if len(skipped) > most:
        print(f"  and {len(skipped) - most} more")


def curves(histories: dict[str, dict], path: Path) -> None:
    """Draws loss and accuracy by epoch; a ring marks the best epoch on the held-out images.

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

    # One above the other and narrow, so that a phone shows the words in a size that can be read.
    figure = Figure(figsize=(5, 8), layout="constrained")
    FigureCanvasAgg(figure)
    losses, accuracy_axes = figure.subplots(2, 1)
    floor = 100
    for index, (name, history) in enumerate(histories.items()):
        epochs = range(1, len(history["loss"]) + 1)
        for prefix, images, style in (("", "training", ".:"), ("val_", "held out", ".-")):
            look = {"color": f"C{index}", "label": f"{name}, {images}"}
            losses.plot(epochs, history[f"{prefix}loss"], style, **look)
            percent = [100 * fraction for fraction in history[f"{prefix}accuracy"]]
            accuracy_axes.plot(epochs, percent, style, **look)
            floor = min(floor, *percent[len(percent) // 2 :])
        # The last of the curves is that of the held-out images.
        best = int(np.argmax(percent))
        label = f"{name}, best: {percent[best]:.2f} % in epoch {best + 1}"
        ring = {"color": f"C{index}", "markersize": 11, "fillstyle": "none", "label": label}
        accuracy_axes.plot(best + 1, percent[best], "o", **ring)
    losses.set(title="Loss", xlabel="epoch", ylabel="cross-entropy", yscale="log")
    # The first epochs, far below the rest, would leave nothing to see of the differences.
    accuracy_axes.set(title="Accuracy", xlabel="epoch", ylabel="percent", ylim=(floor - 1, 100.5))
    for axes in (losses, accuracy_axes):
        axes.xaxis.get_major_locator().set_params(integer=True)
    handles, labels = accuracy_axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", fontsize="small")
    figure.savefig(path, format="png", dpi=150)
