"""The zoo as a table, for the command line and the README."""

import csv
import importlib.resources
import io

from keras_se.applications import get_model, list_models
from keras_se.formatting import text_table

SIZES = "sizes.csv"
FIELDS = ("network", "parameters", "multiply_adds", "twin_parameters", "twin_multiply_adds")


def sizes():
    """Reads what each network costs from the package, by name.

    The file is written by `measure` and checked by the tests, since building them all takes
    minutes.

    Returns:
        A mapping from a network's name to a mapping from `FIELDS` to integers.
    """
    text = importlib.resources.files("keras_se").joinpath(SIZES).read_text()
    table = csv.DictReader(io.StringIO(text))
    return {line["network"]: {field: int(line[field]) for field in FIELDS[1:]} for line in table}


def measure(row):
    """Builds a network and its twin and counts them.

    Args:
        row: A row of `keras_se.applications`; CIFAR networks are counted with 10 classes.

    Returns:
        A line of the file: a mapping from `FIELDS` to a name and integers. Multiply-adds are of
        one image of the network's default size.
    """
    from keras_se.graph.complexity import multiply_adds, trainable_parameters

    line = {"network": row.name}
    for prefix, se in (("", True), ("twin_", False)):
        model = row(weights=None, classes=10 if row.size == 32 else 1000, se=se)
        line[f"{prefix}parameters"] = trainable_parameters(model)
        line[f"{prefix}multiply_adds"] = multiply_adds(model, (row.size, row.size, 3))
    return line


def networks():
    """The zoo, a line for each network: what it costs and its published weights.

    Returns:
        A text of aligned columns.
    """
    known = sizes()
    table = [("network", "pixels", "parameters", "GMACs", "top-1 %", "license", "weights")]
    for row in map(get_model, list_models()):
        cost, best = known[row.name], row.weights[0] if row.weights else None
        table.append(
            (
                row.name,
                str(row.size),
                f"{cost['parameters']:,}",
                f"{cost['multiply_adds'] / 1e9:.3f}",
                _accuracy(best.top1) if best else "-",
                (best.license or "none named") if best else "-",
                ", ".join(one.tag for one in row.weights) or "-",
            )
        )
    return text_table(table, "<>>>><<")


def checkpoints():
    """Every published checkpoint, a line for each, of the networks and of their plain twins.

    Returns:
        A text of aligned columns.
    """
    table = [("network", "weights", "pixels", "classes", "top-1 %", "top-5 %", "license", "source")]
    for row in map(get_model, list_models()):
        for network in (row, row.twin):
            for one in network.weights:
                measured = (_accuracy(one.top1), _accuracy(one.top5), one.license or "none named")
                size = (str(one.preprocessing.size), str(one.classes))
                table.append((network.name, one.tag, *size, *measured, one.source))
    return text_table(table, "<<>>>><<")


def markdown():
    """The table of the README: every network, against its plain twin.

    Returns:
        A Markdown table.
    """
    known = sizes()
    lines = [
        "| network | pixels | parameters | of them SE | GMACs | weights | top-1 % | twin's |",
        "|---|---:|---:|---:|---:|---|---:|---:|",
    ]
    for row in map(get_model, list_models()):
        cost = known[row.name]
        added = cost["parameters"] - cost["twin_parameters"]
        tags = ", ".join(f"`{one.tag}`" for one in row.weights) or "-"
        best = [checkpoints[:1] for checkpoints in (row.weights, row.twin.weights)]
        accuracies = [_accuracy(one[0].top1) if one else "-" for one in best]
        lines.append(
            f"| `{row.name}` | {row.size} | {cost['parameters']:,} | {added:,} "
            f"| {cost['multiply_adds'] / 1e9:.3f} | {tags} | {' | '.join(accuracies)} |"
        )
    return "\n".join(lines)


def _accuracy(value):
    return "-" if value is None else f"{value:.2f}"
