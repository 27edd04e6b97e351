"""Labels of records, kept in a file so that the records need not all be read for them again."""

import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from keras_se.files import atomic_path

LOG = logging.getLogger("keras_se")
# They wait for the disk or the network.
THREADS = 16
# How many records a thread reads before it asks for more.
CHUNK = 256


def read_labels(rows: Sequence, files: Sequence[str | os.PathLike]) -> np.ndarray:
    """Reads the labels of all examples from a file beside their records, or from each record.

    If the file is not there, or was written for other records, it is written. Where it cannot be,
    a warning in the log says so, and every start reads all the records.

    Args:
        rows: The examples, each with an integer `label`.
        files: The files that have them, in one folder. Their names, sizes and times of change say
            whether they are those that the labels were read from.

    Returns:
        Integer array `(example,)`.
    """
    files = [Path(file) for file in files]
    path = files[0].with_name(f".{files[0].name}.labels.npz")
    labels = _read(path, files, len(rows))
    if labels is None:
        labels = _read_records(rows)
        _write(path, files, labels)
    return labels


def _identities(files):
    named = [(file.name, file.stat()) for file in files]
    return np.array([f"{name} {status.st_size} {status.st_mtime_ns}" for name, status in named])


def _read(path, files, count):
    """The labels in a file, or `None` if it has none of these records."""
    try:
        # NumPy would leave a damaged file open that it had opened itself.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            same_records = np.array_equal(file["records"], _identities(files))
            labels = file["labels"]
    except FileNotFoundError:
        return None
    except Exception as error:  # whatever zipfile, zlib and NumPy's reader of headers raise
        LOG.warning("%s cannot be read (%s): the labels are read from the records.", path, error)
        return None
    valid = same_records and labels.shape == (count,) and labels.dtype.kind == "i"
    return labels if valid else None


def _read_records(rows):
    def read(start):
        indices = range(start, min(start + CHUNK, len(rows)))
        return [int(rows[index]["label"]) for index in indices]

    with ThreadPoolExecutor(THREADS) as pool:
        chunks = list(pool.map(read, range(0, len(rows), CHUNK)))
    return np.array([label for chunk in chunks for label in chunk])


def _write(path, files, labels):
    try:
        with atomic_path(path) as partial:
            np.savez(partial, records=_identities(files), labels=labels)
    except OSError as error:
        LOG.warning(
            "The labels of %d records cannot be kept in %s (%s): every start reads all records.",
            len(labels),
            path,
            error,
        )
