"""Writes files and folders that are complete or not there at all."""

import contextlib
import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

# What the name of a folder begins with in which a file is being written.
PARTIAL = ".partial-"
LOCK = ".lock"
LOG = logging.getLogger("keras_se")


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike, beside: Sequence[str] = ()) -> Iterator[Path]:
    """Replaces a file or folder by what the block writes, if the block ends well.

    What is written lies in a temporary folder beside `path` until then, so that it can be renamed
    into place; if the block raises, `path` stays as it was. Files get the mode of the process's
    umask.

    Args:
        path: The file or folder to write.
        beside: Endings of further files that the block writes, in place of that of `path`, which
            appears when they are there.

    Yields:
        A path of the same name to write to instead.

    Raises:
        OSError: If the folder of `path` cannot be written.

    Example:
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_path(Path(folder) / "text.txt") as partial:
    ...         _ = partial.write_text("all of it")
    ...     (Path(folder) / "text.txt").read_text()
    'all of it'
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"There is no folder {str(path.parent)!r} to write {path.name} into, or not any more."
        )
    # The whole name may be as long as names can be, so it is not part of the folder's.
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=PARTIAL) as folder:
        partial = Path(folder) / path.name
        try:
            yield partial
        except OSError as error:
            # A full disk does not say of which file.
            if error.errno is not None and error.filename is None:
                error.filename = str(path)
            raise
        for suffix in beside:
            _replace(partial.with_suffix(suffix), path.with_suffix(suffix))
        _replace(partial, path)


def _replace(source, target):
    """Renames a file or folder to `target`, in place of what is there."""
    if source.is_file():
        # Some libraries write files that only their owner can read.
        source.chmod(0o666 & ~_umask())
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    source.replace(target)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the lock of a folder, which the system gives up for a process that ends.

    Where a file system has no locks, a warning says so.

    Args:
        folder: The folder.

    Raises:
        OSError: If another process holds it.
    """
    path = folder / LOCK
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(path.open("a"))
        # Whoever held it may have deleted the file since it was opened.
        while (locked := _lock(file, folder)) and not _is_at(file, path):
            file = stack.enter_context(path.open("a"))
        try:
            yield
        finally:
            if not locked:
                # Windows deletes no file that is open.
                stack.close()
            path.unlink(missing_ok=True)


def _lock(file, folder):
    """Locks a file, or raises an `OSError` if another process has; returns whether it could."""
    try:
        # Not on Windows.
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise OSError(
            f"Another process is writing into {str(folder)!r}: use another folder, or wait."
        ) from error
    except (ImportError, OSError) as error:
        # Some file systems of networks have no locks.
        LOG.warning(
            "%s cannot be locked (%s): do not write into it from two processes.", folder, error
        )
        return False
    return True


def _is_at(file, path):
    return path.exists() and os.path.samestat(path.stat(), os.fstat(file.fileno()))


def remove_partial(folder: Path) -> None:
    """Deletes what killed processes were writing, if the caller holds the lock of the folder."""
    for partial in folder.glob(f"{PARTIAL}*"):
        shutil.rmtree(partial)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes a text file in UTF-8, all of it or nothing.

    Args:
        path: The file.
        text: What to write.

    Raises:
        OSError: If the file cannot be written.
    """
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8")


def sha256(path: str | os.PathLike) -> str:
    """Computes the sha256 of a file, or of the names and contents of all files of a folder.

    Args:
        path: The file or folder.

    Returns:
        The sha256 in hexadecimal.

    Raises:
        OSError: If a file cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        lines = (f"{file.relative_to(path)} {sha256(file)}\n" for file in files)
        return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_free_space(path: str | os.PathLike, needed: int, argument: str) -> None:
    """Requires free space on the disk of a file or folder.

    Args:
        path: A folder, or a file that may not be there yet in one that is.
        needed: Bytes.
        argument: The argument's name, for the message.

    Raises:
        OSError: If fewer bytes are free.
    """
    path = Path(path)
    free = shutil.disk_usage(path if path.is_dir() else path.parent).free
    if free < needed:
        raise OSError(
            f"{argument} must be on a disk with {needed / 2**20:.0f} MiB free. "
            f"Received: {str(path)!r} with {free / 2**20:.0f} MiB"
        )


def _umask() -> int:
    """The file mode bits that this process's new files lack."""
    # Threads would see another umask for a moment if it were read by setting it.
    with contextlib.suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("Umask:")).split()[1], 8)
    umask = os.umask(0o022)
    os.umask(umask)
    return umask
