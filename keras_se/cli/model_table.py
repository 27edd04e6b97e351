"""The zoo as a table, for the command line, the README and the pages of the zoo."""

import csv
import importlib.resources
import io
from collections.abc import Sequence
from typing import Any

from keras_se.applications import get_model, list_models
from keras_se.applications.application import Application
from keras_se.formatting import markdown_table, text_table
from keras_se.weights.hub import digits_in_name
from keras_se.weights.registry import read_proofs

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
    import keras

    from keras_se.graph.complexity import multiply_adds, trainable_parameters

    line = {"network": application.name}
    size, classes = application.size, 10 if application.size == 32 else 1000
    for prefix, network in (("", application), ("twin_", application.twin)):
        # Without the values of the weights, which take the time and the memory.
        with keras.StatelessScope(initialize_variables=False):
            model = network(weights=None, classes=classes)
        line[f"{prefix}parameters"] = trainable_parameters(model)
        line[f"{prefix}multiply_adds"] = multiply_adds(model, (size, size, 3))
    return line


def describe(names: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Describes networks: what they cost and their published weights.

    Args:
        names: Of networks of `keras_se.applications`; by default all.

    Returns:
        A mapping for each: `network`, `size` in pixels, what `sizes` has, `top1` in percent and
        `license` of the first checkpoint or `None`, `twin_top1`, and the `weights`, all tags.

    Example:
    >>> describe(["SEResNet33TS"])[0]["weights"]
    ['ra2_in1k']
    """
    costs = sizes()
    rows = []
    for application in map(get_model, list_models() if names is None else names):
        first, of_twin = (next(iter(x.weights), None) for x in (application, application.twin))
        row = {"network": application.name, "size": application.size, **costs[application.name]}
        row |= {"top1": first and first.top1, "license": first and first.license}
        row |= {"twin_top1": of_twin and of_twin.top1}
        rows.append(row | {"weights": [checkpoint.tag for checkpoint in application.weights]})
    return rows


def describe_weights(names: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Describes the published checkpoints of networks and of their plain twins.

    Args:
        names: Of networks of `keras_se.applications`; by default all.

    Returns:
        A mapping for each checkpoint: `network`, `weights`, the tag, `size` in pixels, `classes`,
        `top1` and `top5` in percent or `None`, `license`, `origin`, `proven`, how tests compare
        it with its source (see `keras_se.weights.registry.read_proofs`) or `None`, `hash` of the
        file if the registry has one (the hub announces its own), and `source`.

    Example:
    >>> describe_weights(["SEResNet20"])[0]["classes"]
    10
    """
    proofs = read_proofs()
    return [
        {
            "network": network.name,
            "weights": checkpoint.tag,
            "size": checkpoint.preprocessing.size,
            "classes": checkpoint.classes,
            "top1": checkpoint.top1,
            "top5": checkpoint.top5,
            "license": checkpoint.license,
            "origin": checkpoint.origin,
            "proven": proofs.get((network.name, checkpoint.origin)),
            "hash": _hash(checkpoint),
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
    return _table(text_table, describe(names), NETWORK_COLUMNS)


def checkpoints(names: Sequence[str] | None = None) -> str:
    """Returns the table of `keras-se list --weights`, a line for each published checkpoint.

    Args:
        names: As for `describe`.
    """
    return _table(text_table, describe_weights(names), CHECKPOINT_COLUMNS)


def markdown(names: Sequence[str] | None = None) -> str:
    """Returns the table of the zoo in Markdown: each network, against its plain twin.

    Args:
        names: Of networks of `keras_se.applications`, such as `SHORT`; by default all.
    """
    return _table(markdown_table, describe(names), COMPARISON_COLUMNS)


def _table(lay_out, rows, columns):
    """Lays out the columns (title, alignment, text of a row) of all rows."""
    titles, alignment, cells = zip(*columns, strict=True)
    return lay_out([titles, *([cell(row) for cell in cells] for row in rows)], "".join(alignment))


def _hash(checkpoint):
    sha256 = checkpoint.sha256
    if checkpoint.source.startswith("http"):
        sha256 = sha256 or digits_in_name(checkpoint.source)
    return checkpoint.checksum or (sha256 and f"sha256:{sha256}")


def hash_text(row: dict[str, Any]) -> str:
    """Returns what a download is checked by, of a row of `describe_weights`."""
    # The hub announces the sha256 of each of its files.
    return (row["hash"] or ("none" if ":" in row["source"] else "the hub's"))[:15]


def _license(row):
    return row["license"] or "none named"


def _percent(value):
    return "-" if value is None else f"{value:.2f}"


PIXELS = ("pixels", ">", lambda row: str(row["size"]))
PARAMETERS = ("parameters", ">", lambda row: f"{row['parameters']:,}")
GMACS = ("GMACs", ">", lambda row: f"{row['multiply_adds'] / 1e9:.3f}")
TOP1 = ("top-1 %", ">", lambda row: _percent(row["top1"]))
NETWORK_COLUMNS = (
    ("network", "<", lambda row: row["network"]),
    *(PIXELS, PARAMETERS, GMACS, TOP1),
    ("license", "<", lambda row: _license(row) if row["weights"] else "-"),
    ("weights", "<", lambda row: ", ".join(row["weights"]) or "-"),
)
CHECKPOINT_COLUMNS = (
    ("network", "<", lambda row: row["network"]),
    ("weights", "<", lambda row: row["weights"]),
    PIXELS,
    ("classes", ">", lambda row: str(row["classes"])),
    TOP1,
    ("top-5 %", ">", lambda row: _percent(row["top5"])),
    ("license", "<", _license),
    ("origin", "<", lambda row: row["origin"]),
    ("proven by", "<", lambda row: row["proven"] or "-"),
    ("hash", "<", hash_text),
    ("source", "<", lambda row: row["source"]),
)
COMPARISON_COLUMNS = (
    ("network", "<", lambda row: f"`{row['network']}`"),
    *(PIXELS, PARAMETERS),
    ("of them SE", ">", lambda row: f"{row['parameters'] - row['twin_parameters']:,}"),
    GMACS,
    ("weights", "<", lambda row: ", ".join(f"`{tag}`" for tag in row["weights"]) or "-"),
    TOP1,
    ("twin's", ">", lambda row: _percent(row["twin_top1"])),
)
