"""Puts finished exports in place: all of one or nothing."""

import contextlib
import shutil
import tempfile
from pathlib import Path


def refuse_to_lose(path, chosen, overwrite):
    """Raises if writing `path` would remove anything but an export to be replaced.

    Args:
        path: The file or folder to write.
        chosen: Its `Format`.
        overwrite: Whether an export of this format may be replaced.

    Raises:
        FileExistsError: If so.
    """
    if chosen.suffix is None:
        if not path.exists() or (path.is_dir() and not any(path.iterdir())):
            return
        if not overwrite:
            raise FileExistsError(f"{str(path)!r} is there already and not an empty folder.")
        if not (path / "saved_model.pb").is_file():
            raise FileExistsError(f"{str(path)!r} is not a SavedModel, so it is not replaced.")
        return
    for file in chosen.files(path):
        if file.exists() and not overwrite:
            raise FileExistsError(f"{str(file)!r} is there already.")
        if file.exists() and not file.is_file():
            raise FileExistsError(f"{str(file)!r} is not a file, so it is not replaced.")


@contextlib.contextmanager
def atomic_output(path, chosen):
    """Gives a temporary path whose files become those of `path` if the block ends well."""
    # In the same folder, so that the finished export can be renamed into place.
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        written = Path(folder) / path.name
        yield written
        if chosen.suffix is None and path.exists():
            shutil.rmtree(path)
        # The last is the one that runtimes are given: it comes when the rest is there.
        for file, target in zip(chosen.files(written), chosen.files(path), strict=True):
            file.replace(target)
