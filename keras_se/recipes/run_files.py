"""The names of the files of a run, and what those beside a model say of it."""

import os
from pathlib import Path
from typing import NamedTuple

from keras_se.recipes.recipe import Recipe, from_json

RECIPE = "recipe.json"
# A line for each class.
CLASS_NAMES = "class_names.txt"
# A run that has it is trained, and complete if it has no state any more.
RESULTS = "results.json"
REPORT = "report.html"
CURVES = "curves.png"
SAVED_MODEL = "saved_model"
TENSORBOARD = "tensorboard"


class NetworkFiles(NamedTuple):
    """The files of a network: after the last epoch, by epoch, of the best one, and its state."""

    model: str
    history: str
    best: str
    state: str


NETWORK = NetworkFiles("model.keras", "history.csv", "best.keras", "state.npz")
TWIN = NetworkFiles(*(f"twin_{name}" for name in NETWORK))._replace(model="twin.keras")
# Of the network and of its plain twin, in the order in which they are trained.
NETWORKS = (NETWORK, TWIN)
FILES = (
    *(name for files in NETWORKS for name in files),
    *(SAVED_MODEL, CURVES, REPORT, TENSORBOARD, RECIPE, CLASS_NAMES, RESULTS),
)


def recipe_beside(path: str | os.PathLike) -> Recipe | None:
    """Reads the recipe of the run that wrote a file.

    Args:
        path: The file, such as `runs/digits/model.keras`.

    Returns:
        The `Recipe` in `recipe.json` beside it, or `None` if there is none.
    """
    file = Path(path).with_name(RECIPE)
    return from_json(file.read_text(encoding="utf-8")) if file.is_file() else None


def preprocessing_beside(path: str | os.PathLike) -> "Preprocessing | None":  # noqa: F821 (Keras)
    """Returns how the run that wrote a file prepares its images, or `None`."""
    recipe = recipe_beside(path)
    return recipe and recipe.preprocessing


def class_names_beside(path: str | os.PathLike) -> tuple[str, ...] | None:
    """Reads the names of the classes of the run that wrote a file.

    Args:
        path: The file, such as `runs/digits/model.keras`.

    Returns:
        The names in the order of the outputs, or `None` if there are none.
    """
    file = Path(path).with_name(CLASS_NAMES)
    names = file.read_text(encoding="utf-8").splitlines() if file.is_file() else ()
    return tuple(names) or None
