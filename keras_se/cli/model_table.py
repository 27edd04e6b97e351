"""The zoo as a table, for the command line, the README and the pages of the zoo."""

import csv
import importlib.resources
import io
from collections.abc import Sequence
from typing import Any

from keras_se.applications import get_model, list_models
from keras_se.applications.application import Application
from keras_se.formatting import markdown_table, text_table

SIZES = "sizes.csv"
FIELDS = ("network", "parameters", "multiply_adds", "twin_parameters", "twin_multiply_adds")
# What the README shows: one or two of each family that has published weights, the small ones first.
SHORT = (
    "SEResNet20",
    "MobileNetV3Small",
    "MobileNetV3Large",
    "LegacySEResNet18",
    "SEResNeXt26TS",
    "SEResNet33TS",
    "SEResNet50",
    "SEResNeXt50_32x4d",
    "SEResNet152D",
    "SEResNeXt101_32x8d",
    "SENet154",
    "SEResNeXtAA101D_32x8d",
)


def sizes() -> dict[str, dict[str, int]]:
    """Reads what each network costs from the package.

    The file is written by `measure` and checked by the tests, since building them all takes
    minutes.

    Returns:
        A mapping from a network's name to a mapping from `FIELDS` to integers.

    Example:
    >>> sizes()["SEResNet50"]["parameters"]
    28088024
    """
    text = importlib.resources.files("keras_se").joinpath(SIZES).read_text()
    table = csv.DictReader(io.StringIO(text))
    return {line["network"]: {field: int(line[field]) for field in FIELDS[1:]} for line in table}


def measure(application: Application) -> dict[str, Any]:
    """Builds a network and its twin and counts their parameters and multiply-adds.

    Args:
        application: A network of the zoo; those for CIFAR are counted with 10 classes.

    Returns:
        A line of the file: a mapping from `FIELDS` to a name and integers. Multiply-adds are of
        one image of the network's default size.
    """
    from keras_se.graph.complexity import multiply_adds, trainable_parameters

    line = {"network": application.name}
    size, classes = application.size, 10 if application.size == 32 else 1000
    for prefix, network in (("", application), ("twin_", application.twin)):
        model = network(weights=None, classes=classes)
        line[f"{prefix}parameters"] = trainable_parameters(model)
        line[f"{prefix}multiply_adds"] = multiply_adds(model, (size, size, 3))
    return line


def describe(names: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Describes networks: what they cost and their published weights.

    Args:
        names: Of networks of `keras_se.applications`; by default all.

    Returns:
        A mapping for each: `network`, `size` in pixels, `parameters`, `multiply_adds`, `top1` in
        percent and `license` of the first checkpoint or `None`, and the `weights`, all tags.

    Example:
    >>> describe(["SEResNet20"])[0]["weights"]
    ['cifar10']
    """
    costs = sizes()
    rows = []
    for application in map(get_model, list_models() if names is None else names):
        first = application.weights[0] if application.weights else None
        rows.append(
            {
                "network": application.name,
                "size": application.size,
                "parameters": costs[application.name]["parameters"],
                "multiply_adds": costs[application.name]["multiply_adds"],
                "top1": first and first.top1,
                "license": first and first.license,
                "weights": [checkpoint.tag for checkpoint in application.weights],
            }
        )
    return rows


def describe_weights(names: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Describes the published checkpoints of networks and of their plain twins.

    Args:
        names: Of networks of `keras_se.applications`; by default all.

    Returns:
        A mapping for each checkpoint: `network`, `weights`, the tag, `size` in pixels, `classes`,
        `top1` and `top5` in percent or `None`, `license` and `source`.

    Example:
    >>> describe_weights(["SEResNet20"])[0]["classes"]
    10
    """
    return [
        {
            "network": network.name,
            "weights": checkpoint.tag,
            "size": checkpoint.preprocessing.size,
            "classes": checkpoint.classes,
            "top1": checkpoint.top1,
            "top5": checkpoint.top5,
            "license": checkpoint.license,
            "source": checkpoint.source,
        }
        for application in map(get_model, list_models() if names is None else names)
        for network in (application, application.twin)
        for checkpoint in network.weights
    ]


def networks(names: Sequence[str] | None = None) -> str:
    """Returns the table of `keras-se list`, a line for each network.

    Args:
        names: As for `describe`.
    """
    table = [("network", "pixels", "parameters", "GMACs", "top-1 %", "license", "weights")]
    for row in describe(names):
        table.append(
            (
                row["network"],
                str(row["size"]),
                f"{row['parameters']:,}",
                f"{row['multiply_adds'] / 1e9:.3f}",
                _percent(row["top1"]),
                _license(row) if row["weights"] else "-",
                ", ".join(row["weights"]) or "-",
            )
        )
    return text_table(table, "<>>>><<")


def checkpoints(names: Sequence[str] | None = None) -> str:
    """Returns the table of `keras-se list --weights`, a line for each published checkpoint.

    Args:
        names: As for `describe`.
    """
    table = [("network", "weights", "pixels", "classes", "top-1 %", "top-5 %", "license", "source")]
    for row in describe_weights(names):
        size = (str(row["size"]), str(row["classes"]))
        accuracy = (_percent(row["top1"]), _percent(row["top5"]))
        table.append(
            (row["network"], row["weights"], *size, *accuracy, _license(row), row["source"])
        )
    return text_table(table, "<<>>>><<")


def markdown(names: Sequence[str] | None = None) -> str:
    """Returns the table of the zoo in Markdown: each network, against its plain twin.

    Args:
        names: Of networks of `keras_se.applications`, such as `SHORT`; by default all.
    """
    header = ("network", "pixels", "parameters", "of them SE", "GMACs", "weights", "top-1 %")
    table = [(*header, "twin's")]
    costs = sizes()
    for row in describe(names):
        cost = costs[row["network"]]
        table.append(
            (
                f"`{row['network']}`",
                str(row["size"]),
                f"{row['parameters']:,}",
                f"{row['parameters'] - cost['twin_parameters']:,}",
                f"{row['multiply_adds'] / 1e9:.3f}",
                ", ".join(f"`{tag}`" for tag in row["weights"]) or "-",
                _percent(row["top1"]),
                _twins_accuracy(row["network"]),
            )
        )
    return markdown_table(table, "<>>>><>>")


def _twins_accuracy(name):
    weights = get_model(name).twin.weights
    return _percent(weights[0].top1 if weights else None)


def _license(row):
    return row["license"] or "none named"


def _percent(value):
    return "-" if value is None else f"{value:.2f}"
