"""The folder of a run, in which every file is complete or not there."""

import contextlib
import dataclasses
import shutil
import tempfile
from pathlib import Path

from keras_se.files import check_free_space
from keras_se.recipes.recipe import from_json

# The model, the history, the best model and the state of the network, and of its plain twin.
MODELS = (
    ("model.keras", "history.csv", "best.keras", "state.npz"),
    ("twin.keras", "twin_history.csv", "twin_best.keras", "twin_state.npz"),
)
WHOLE = (
    "saved_model",
    "curves.png",
    "report.html",
    "tensorboard",
    "recipe.json",
    "class_names.txt",
    "results.json",
)
FILES = (*MODELS[0], *MODELS[1], *WHOLE)
# Of a network, per parameter: two models with their optimizers, the state and its successor.
BYTES_PER_PARAMETER = 4 * 16
# For histories, pictures and reports.
BYTES_BESIDE = 2**24


def prepare(out, overwrite=False, resumed=None):
    """Makes the folder of a run, before any time is spent on training.

    Args:
        out: Folder to write to.
        overwrite: Whether to delete the files of the run that is there.
        resumed: The `Recipe` whose run is to go on, in which case its files stay; or `None`.

    Returns:
        Its path.

    Raises:
        OSError: If `out` is not a folder, cannot be written, holds files of a run that are not to
            be overwritten, or holds no unfinished run to go on with.
        ValueError: If the run to go on with has another recipe.
    """
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise OSError(f"`out` must be a folder that can be written. Received: {error}") from error
    if resumed is not None:
        _check_resumed(folder, resumed)
        return folder
    present = [folder / name for name in FILES if (folder / name).exists()]
    if present and not overwrite:
        names = ", ".join(path.name for path in present)
        raise FileExistsError(
            f"There is a run already in {str(folder)!r} ({names}): use another folder or overwrite."
        )
    for path in present:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return folder


def _check_resumed(folder, recipe):
    file = folder / "recipe.json"
    if not file.is_file():
        raise FileNotFoundError(f"There is no run in {str(folder)!r} to go on with.")
    if (folder / "results.json").is_file():
        raise FileExistsError(f"The run in {str(folder)!r} is complete.")
    before, now = (dataclasses.asdict(one) for one in (from_json(file.read_text()), recipe))
    changed = [name for name in now if name != "about" and now[name] != before[name]]
    if changed:
        differences = ", ".join(f"{name}={before[name]!r}" for name in changed)
        raise ValueError(
            f"The run in {str(folder)!r} goes on only as it began, with {differences}. Received: "
            + ", ".join(f"{name}={now[name]!r}" for name in changed)
        )


def class_names_beside(path):
    """The names of the classes of the run that has written a file, or `None`.

    Args:
        path: The file, such as `runs/digits/model.keras`.
    """
    file = Path(path).with_name("class_names.txt")
    return file.read_text(encoding="utf-8").splitlines() if file.is_file() else None


def require_space(folder, parameters):
    """Raises an `OSError` if the files of a run with so many parameters will not fit."""
    needed = parameters * BYTES_PER_PARAMETER + BYTES_BESIDE
    check_free_space(folder, needed, "`out`")


@contextlib.contextmanager
def atomic_path(path):
    """Gives a temporary path that becomes `path` if the block ends well, and goes if not."""
    partial = path.with_name(f".partial-{path.name}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write(path, text):
    """Writes a text file, all of it or nothing."""
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8")
