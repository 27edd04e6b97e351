"""The tables of the zoo, written from the registry when the pages are built."""

from pathlib import Path

from keras_se.applications import get_model, list_models
from keras_se.cli.model_table import markdown
from keras_se.files import write_text
from keras_se.formatting import markdown_table
from keras_se.preprocessing import normalization_name

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
