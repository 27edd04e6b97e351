"""The tables of the zoo, written from the registry when the pages are built."""

import csv
from pathlib import Path

from keras_se.applications import get_model, list_models
from keras_se.cli.model_table import markdown
from keras_se.files import write_text
from keras_se.formatting import markdown_table
from keras_se.preprocessing import normalization_name
from keras_se.weights import WEIGHTS

# Every checkpoint of timm 1.0.31 whose network has SE, and which library for Keras 3 loads it.
TAGS = Path(__file__).parent / "timm_se_tags.csv"
HEADER = (
    "network",
    "weights",
    "pixels",
    "crop",
    "resized",
    "pixels become",
    "classes",
    "top-1 %",
    "top-5 %",
    "license",
    "origin",
    "source",
)


def checkpoint_table() -> str:
    """Returns a Markdown table of every published checkpoint, of networks and of plain twins."""
    rows = [HEADER]
    for name in list_models():
        network = get_model(name)
        for application in (network, network.twin):
            rows += [_checkpoint(application, weights) for weights in application.weights]
    return markdown_table(rows, "<<>><<>>><<<")


def loaded_tags() -> list[str]:
    """Returns which of timm's checkpoints with SE keras_se loads, by timm's names."""
    with TAGS.open() as file:
        tags = [line["tag"] for line in csv.DictReader(file)]
    published = {
        name
        for network, rows in WEIGHTS.items()
        for row in rows
        # A release file has no repository: timm calls it by the network and the tag.
        for name in (row.source.removeprefix("timm/"), f"{network}.{row.tag}".lower())
        if row.origin == "timm"
    }
    return [tag for tag in tags if tag in published or tag.replace("_", "", 1) in published]


def library_table() -> str:
    """Returns a Markdown table of timm's checkpoints with SE and which library loads each."""
    loaded = set(loaded_tags())
    with TAGS.open() as file:
        lines = list(csv.DictReader(file))
    others = list(lines[0])[1:]
    rows = [("checkpoint of timm", "keras_se", *others)]
    for line in lines:
        ours = "yes" if line["tag"] in loaded else ""
        rows.append((f"`{line['tag']}`", ours, *(line[name] for name in others)))
    return markdown_table(rows, "<" * len(rows[0]))


def _checkpoint(application, weights):
    preprocessing = weights.preprocessing
    crop = "squash" if preprocessing.crop_mode == "squash" else f"{preprocessing.crop:.3f}"
    return (
        f"`{application.name}`",
        f"`{weights.tag}`",
        str(preprocessing.size),
        crop,
        preprocessing.interpolation,
        _normalization(preprocessing),
        str(weights.classes),
        _percent(weights.top1),
        _percent(weights.top5),
        weights.license or "none named",
        weights.origin,
        f"`{weights.source}`",
    )


def _normalization(preprocessing):
    try:
        return normalization_name(preprocessing.mean, preprocessing.std)
    except ValueError:
        return "its own"


def _percent(value):
    return "-" if value is None else f"{value:.2f}"


def write_generated_pages(folder: Path) -> None:
    """Writes the parts of pages that come from the registry.

    Args:
        folder: Where to; made if it is not there.
    """
    folder.mkdir(exist_ok=True)
    write_text(folder / "networks.md", markdown() + "\n")
    write_text(folder / "checkpoints.md", checkpoint_table() + "\n")
    write_text(folder / "libraries.md", library_table() + "\n")
