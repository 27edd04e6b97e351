"""Checks downloaded files by the hashes that their publishers give."""

import hashlib
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

_BLOCK = 2**20
# What zipfile raises for a damaged archive, and Python for one of more or fewer files than one.
_ZIP_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)
_ZIP_DAMAGE += (TypeError, ValueError, AttributeError, KeyError)


@dataclass(frozen=True)
class Digest:
    """The first hexadecimal digits of a hash of a file.

    Attributes:
        digits: The digits, in lower case.
        algorithm: What `hashlib` calls the hash.
    """

    digits: str
    algorithm: str = "sha256"


def delete_if_wrong(path: Path, digest: Digest | None) -> str | None:
    """Deletes a file of another hash than the expected one.

    Args:
        path: The file; of a `.zip` the hash is that of the one file in it.
        digest: The expected hash; `None` takes any file.

    Returns:
        The hash of the deleted file, or `None` if the file stays.
    """
    if digest is None:
        return None
    actual = _hash_of(path, digest.algorithm)
    if actual.startswith(digest.digits):
        return None
    # In the hub's cache the path is a link: were its target left, the link would be made again.
    path.resolve().unlink(missing_ok=True)
    path.unlink(missing_ok=True)
    return actual


def _hash_of(path, algorithm):
    """The hash of a file or, as publishers count, of the one file in a `.zip`."""
    if path.suffix != ".zip":
        with path.open("rb") as file:
            return hashlib.file_digest(file, algorithm).hexdigest()
    digest = hashlib.new(algorithm)
    try:
        with zipfile.ZipFile(path) as archive, archive.open(*archive.namelist()) as member:
            while block := member.read(_BLOCK):
                digest.update(block)
    except _ZIP_DAMAGE:
        return "that of no sound .zip of one file"
    return digest.hexdigest()
