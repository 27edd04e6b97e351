"""The tables of the zoo, written from the registry when the pages are built."""

import csv
from pathlib import Path

from keras_se.applications import get_model
from keras_se.cli.model_table import CHECKPOINT_COLUMNS, describe_weights, markdown
from keras_se.export import FORMATS
from keras_se.files import write_text
from keras_se.formatting import markdown_table
from keras_se.preprocessing import normalization_name

# Every checkpoint of timm 1.0.31 whose network has SE, and which library for Keras 3 loads it.
TAGS = Path(__file__).parent / "timm_se_tags.csv"
# What tests/make_export_table.py wrote of networks that are not ours.
UPSTREAM_EXPORTS = Path(__file__).parent / "upstream_exports.csv"


def _code(column):
    """A column whose texts are names."""
    title, alignment, cell = column
    return title, alignment, lambda row: f"`{cell(row)}`"


def _crop(row):
    return "squash" if row["crop_mode"] == "squash" else f"{row['crop']:.3f}"


def _normalization(row):
    try:
        return normalization_name(row["mean"], row["std"])
    except ValueError:
        return "its own"


_NETWORK, _WEIGHTS, _PIXELS, *_REST, _SOURCE = CHECKPOINT_COLUMNS
COLUMNS = (
    *(_code(_NETWORK), _code(_WEIGHTS), _PIXELS),
    ("crop", ">", _crop),
    ("resized", "<", lambda row: row["interpolation"]),
    ("pixels become", "<", _normalization),
    *(*_REST, _code(_SOURCE)),
)


def checkpoint_table() -> str:
    """Returns a Markdown table of every published checkpoint, of networks and of plain twins."""
    titles, alignment, cells = zip(*COLUMNS, strict=True)
    rows = []
    for row in describe_weights():
        looks = get_model(row["network"]).preprocessing(row["weights"])
        rows.append([cell(row | looks.to_dict()) for cell in cells])
    return markdown_table([titles, *rows], "".join(alignment))


def loaded_tags() -> list[str]:
    """Returns which of timm's checkpoints with SE keras_se loads, by timm's names."""
    with TAGS.open() as file:
        tags = [line["tag"] for line in csv.DictReader(file)]
    networks = {tag.partition(".")[0] for tag in tags}
    published = {f"{name}.{row.tag}" for name in networks for row in _weights_of_timm(name)}
    return [tag for tag in tags if tag in published]


def _weights_of_timm(name):
    """The checkpoints of timm of the network that it calls so, if keras_se has it."""
    try:
        return [row for row in get_model(name).weights if row.origin == "timm"]
    except ValueError:
        return []


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


def export_table() -> str:
    """Returns a Markdown table of which networks of Keras and KerasHub are written in which format.

    Below it are the errors of those that are not.
    """
    with UPSTREAM_EXPORTS.open() as file:
        lines = list(csv.DictReader(file))
    formats = [name for name in FORMATS if name in {line["format"] for line in lines}]
    results = {}
    for line in lines:
        results.setdefault((line["network"], line["backend"]), {})[line["format"]] = line["result"]
    rows = [("network", "backend", *(f"`{name}`" for name in formats))]
    for key, of_format in results.items():
        words = {"written": "yes", None: "-"}
        rows.append((*key, *(words.get(of_format.get(name), "no") for name in formats)))
    errors = {}
    for line in lines:
        if line["result"] != "written":
            said = line["result"].replace("|", "\\|").replace("`", "'")
            error = line["network"], line["backend"], said
            errors.setdefault(error, []).append(f"`{line['format']}`")
    tables = [markdown_table(rows, "<" * len(rows[0]))]
    if errors:
        header = ("network", "backend", "error", "formats")
        cells = [(*error, ", ".join(formats)) for error, formats in errors.items()]
        tables.append(markdown_table([header, *cells], "<<<<"))
    return "\n\n".join(tables)


def write_generated_pages(folder: Path) -> None:
    """Writes the parts of pages that come from the registry.

    Args:
        folder: Where to; made if it is not there.
    """
    folder.mkdir(exist_ok=True)
    write_text(folder / "networks.md", markdown() + "\n")
    write_text(folder / "checkpoints.md", checkpoint_table() + "\n")
    write_text(folder / "libraries.md", library_table() + "\n")
    write_text(folder / "upstream_exports.md", export_table() + "\n")
