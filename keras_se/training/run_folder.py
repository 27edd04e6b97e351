"""The folder of a run, in which every file is complete or not there."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from keras_se.files import check_free_space, locked, remove_partial
from keras_se.recipes.recipe import Recipe
from keras_se.recipes.resume import check_same, resumed_recipe
from keras_se.recipes.run_files import FILES

# Of a network, per parameter: two models with their optimizers, the state and its successor.
BYTES_PER_PARAMETER = 4 * 16
# For histories, pictures and reports.
BYTES_BESIDE = 2**24


@contextlib.contextmanager
def prepare(
    out: str | os.PathLike, overwrite: bool = False, resumed: Recipe | None = None
) -> Iterator[Path]:
    """Makes the folder of a run, before any time is spent on training, and locks it meanwhile.

    Args:
        out: Folder to write to.
        overwrite: Whether to delete the files of the run that is there.
        resumed: The `Recipe` whose run is to go on, in which case its files stay; or `None`.

    Yields:
        Its path.

    Raises:
        OSError: If `out` is not a folder, cannot be written, holds files of a run that are not to
            be overwritten, holds no unfinished run to go on with, or another process trains in it.
        ValueError: If the run to go on with has another recipe.
    """
    folder = Path(out)
    if resumed is not None:
        check_same(resumed_recipe(folder), resumed, folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise OSError(f"`out` must be a folder that can be written. Received: {error}") from error
    with locked(folder):
        remove_partial(folder)
        if resumed is None:
            _make_room(folder, overwrite)
        yield folder


def _make_room(folder, overwrite):
    """Deletes the files of an earlier run, if that is wanted."""
    present = [folder / name for name in FILES if (folder / name).exists()]
    if present and not overwrite:
        names = ", ".join(path.name for path in present)
        raise FileExistsError(
            f"There is a run already in {str(folder)!r} ({names}): use another folder or overwrite."
        )
    for path in present:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def require_space(folder: Path, parameters: int) -> None:
    """Requires room for the files of a run.

    Args:
        folder: The run's folder.
        parameters: How many numbers its networks have.

    Raises:
        OSError: If they will not fit.
    """
    check_free_space(folder, parameters * BYTES_PER_PARAMETER + BYTES_BESIDE, "`out`")
