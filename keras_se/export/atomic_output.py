"""Puts finished exports in place: all of one or nothing."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from keras_se.export.format import Format
from keras_se.files import replace


def refuse_to_lose(path: Path, format: Format, overwrite: bool) -> None:
    """Refuses to write where anything but an export to be replaced would be lost.

    Args:
        path: The file or folder to write.
        format: Its `Format`.
        overwrite: Whether an export of this format may be replaced.

    Raises:
        FileExistsError: If so.
    """
    if format.suffix is None:
        if not path.exists() or (path.is_dir() and not any(path.iterdir())):
            return
        if not overwrite:
            raise FileExistsError(f"{str(path)!r} is there already and not an empty folder.")
        if not (path / "saved_model.pb").is_file():
            raise FileExistsError(f"{str(path)!r} is not a SavedModel, so it is not replaced.")
        return
    for file in format.files(path):
        if file.exists() and not overwrite:
            raise FileExistsError(f"{str(file)!r} is there already.")
        if file.exists() and not file.is_file():
            raise FileExistsError(f"{str(file)!r} is not a file, so it is not replaced.")


@contextlib.contextmanager
def atomic_output(path: Path, format: Format) -> Iterator[Path]:
    """Replaces the files of an export by what the block writes, if the block ends well.

    Args:
        path: The file or folder to write.
        format: Its `Format`.

    Yields:
        A path of the same name to write to instead.
    """
    # In the same folder, so that the finished export can be renamed into place.
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".partial-") as folder:
        partial = Path(folder) / path.name
        yield partial
        # The last is the one that runtimes are given: it comes when the rest is there.
        for file, target in zip(format.files(partial), format.files(path), strict=True):
            replace(file, target)
