"""The folder of a run, in which every file is complete or not there."""

import contextlib
import shutil
import tempfile
from pathlib import Path

# The model and the history of the network, and those of its plain twin.
MODELS = (("model.keras", "history.csv"), ("twin.keras", "twin_history.csv"))
FILES = (*MODELS[0], *MODELS[1], "saved_model", "curves.png", "recipe.json", "results.json")


def prepare(out, overwrite=False):
    """Makes the folder of a run, before any time is spent on training.

    Args:
        out: Folder to write to.
        overwrite: Whether to delete the files of the run that is there.

    Returns:
        Its path.

    Raises:
        OSError: If `out` is not a folder, cannot be written, or holds files of a run that are
            not to be overwritten.
    """
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise OSError(f"`out` must be a folder that can be written. Received: {error}") from error
    present = [folder / name for name in FILES if (folder / name).exists()]
    if present and not overwrite:
        names = ", ".join(path.name for path in present)
        raise FileExistsError(
            f"There is a run already in {str(folder)!r} ({names}): use another folder or overwrite."
        )
    for path in present:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return folder


@contextlib.contextmanager
def finished(path):
    """Gives a temporary path that becomes `path` if the block ends well, and goes if not."""
    partial = path.with_name(f".partial-{path.name}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write(path, text):
    """Writes a text file, all of it or nothing."""
    with finished(path) as partial:
        partial.write_text(text, encoding="utf-8")
