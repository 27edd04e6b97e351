"""The folder of a prediction: a fixed list of image files, and a Parquet file for each part of it.

Names that begin with `_` are those of files that readers of Parquet folders leave out, such as
`pandas.read_parquet(folder)`.
"""

import contextlib
import itertools
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from keras_se.files import atomic_path, locked, remove_partial, write_text
from keras_se.validation import check_positive, require_packages

if TYPE_CHECKING:
    import pyarrow

SETTINGS, FILES, PARTS = "_settings.json", "_files.parquet", "part-*.parquet"


@contextlib.contextmanager
def open_folder(
    path: str | os.PathLike, settings: dict, files: Iterable[Path], part_size: int
) -> Iterator["PredictionFolder"]:
    """Fixes the list of files in a new folder, or opens the folder of the same prediction again.

    In the block, no other process opens the folder.

    Args:
        path: The folder, which is made if it is not there.
        settings: What the predictions depend on, by name, as JSON can hold it.
        files: The image files. They are looked at only if the folder has no parts: files that
            come later do not change a prediction that has begun.
        part_size: How many files a part has.

    Yields:
        The `PredictionFolder`.

    Raises:
        ValueError: If `part_size` is not a positive integer, there are no files, or the folder
            holds another prediction.
        OSError: If the folder cannot be written, or another process has opened it.
        ImportError: If pyarrow is not installed.
    """
    require_packages("Prediction into a folder", "pyarrow")
    settings = settings | {"part_size": check_positive("part_size", part_size, integer=True)}
    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    with locked(path):
        remove_partial(path)
        if any(path.glob(PARTS)):
            _check_settings(path, settings)
        else:
            _write_list(path / FILES, files, part_size)
            write_text(path / SETTINGS, json.dumps(settings, indent=2) + "\n")
        yield PredictionFolder(path)


class PredictionFolder:
    """The parts of a prediction: those to do, and those that are finished.

    Args:
        path: A folder that `open_folder` has made.

    Attributes:
        path: The folder.
    """

    def __init__(self, path: Path):
        self.path = path
        self._metadata = _list_of(path).metadata

    def __len__(self) -> int:
        """Returns the number of parts."""
        return self._metadata.num_row_groups

    @property
    def file_count(self) -> int:
        """The number of image files in all parts."""
        return self._metadata.num_rows

    def part_size(self, part: int) -> int:
        """Returns the number of image files of a part."""
        return self._metadata.row_group(part).num_rows

    def part_path(self, part: int) -> Path:
        """Returns the Parquet file of a part; it is complete if it is there."""
        return self.path / f"part-{part:06d}.parquet"

    def unfinished(self) -> list[int]:
        """Returns the parts whose file is not there."""
        return [part for part in range(len(self)) if not self.part_path(part).is_file()]

    def read_files(self, part: int) -> list[Path]:
        """Returns the image files of a part."""
        names = _list_of(self.path).read_row_group(part)["path"]
        return [Path(os.fsdecode(name)) for name in names.to_pylist()]

    def count_unreadable(self) -> int:
        """Returns how many image files of the finished parts could not be read."""
        import pyarrow.parquet

        parts = (part for part in range(len(self)) if self.part_path(part).is_file())
        return sum(
            len(errors) - errors.null_count
            for errors in (
                pyarrow.parquet.read_table(self.part_path(part), columns=["error"])["error"]
                for part in parts
            )
        )

    def write(self, part: int, table: "pyarrow.Table") -> None:
        """Writes the predictions of a part, all of them or nothing.

        Raises:
            OSError: If the file cannot be written.
        """
        import pyarrow.parquet

        with atomic_path(self.part_path(part)) as partial:
            pyarrow.parquet.write_table(table, partial)


def _list_of(path):
    import pyarrow.parquet

    return pyarrow.parquet.ParquetFile(path / FILES)


def _check_settings(path, settings):
    """Requires the settings that the folder was made with."""
    if not (path / SETTINGS).is_file():
        raise ValueError(f"`out` has predictions, but no {SETTINGS} that says of what: {path}")
    before = json.loads((path / SETTINGS).read_text(encoding="utf-8"))
    changed = [name for name in settings if before.get(name) != settings[name]]
    if changed:
        differences = "; ".join(
            f"{name} was {before.get(name)!r} and is {settings[name]!r}" for name in changed
        )
        raise ValueError(
            f"`out` is the folder of another prediction: {differences}. Give another folder, or "
            f"remove this one: {path}"
        )


def _write_list(path, files, part_size):
    """Writes the names of the files, a group of rows for each part, without holding all of them."""
    import pyarrow
    import pyarrow.parquet

    # Names of files are bytes, which need not be text.
    schema = pyarrow.schema([("path", pyarrow.binary())])
    files = iter(files)
    count = 0
    with atomic_path(path) as partial, pyarrow.parquet.ParquetWriter(partial, schema) as writer:
        while names := [os.fsencode(file) for file in itertools.islice(files, part_size)]:
            writer.write_table(pyarrow.table({"path": names}, schema), row_group_size=part_size)
            count += len(names)
        if not count:
            raise ValueError("`files` must have at least one image file. Received: none")
