"""Finds checkpoint files in the caches or downloads them, if `connection` says that it can be."""

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from keras_se.files import PARTIAL, atomic_path
from keras_se.weights import connection
from keras_se.weights.connection import Unreachable
from keras_se.weights.digest import Digest, delete_if_wrong

_DEFAULT_FILES = ("model.safetensors", "pytorch_model.bin")
# What says of a repository which of timm's networks it is for.
_CONFIG = "config.json"
# A hub that has just sent a checkpoint sends that within a second.
ANSWER_SECONDS = 5.0
_LEFTOVER_SECONDS = 24 * 60 * 60
_BLOCK = 2**20

_NAME = r"\w[\w.-]*"
_HUB_SOURCE = re.compile(
    rf"(?P<scheme>(?i:hf://))?(?P<repository>{_NAME}/{_NAME})"
    rf"(?:@(?P<revision>refs/pr/\d+|{_NAME}))?(?:/(?P<file>{_NAME}(?:/{_NAME})*))?",
    re.ASCII,
)
_RELEASE_SOURCE = re.compile(
    r"https?://[\w.-]+(?::\d+)?/(?:[^\s?#]*/)?(?P<name>\w[\w.+~%-]*)(?:[?#]\S*)?",
    re.ASCII | re.IGNORECASE,
)
_DIGEST = re.compile(r"[0-9a-f]{8,64}", re.IGNORECASE)
# What `checksum` may be: some publishers give another hash than sha256.
_CHECKSUM = re.compile(r"(?P<algorithm>md5|sha1|sha256):(?P<digits>[0-9a-f]{8,64})")
_DIGEST_IN_NAME = re.compile(r"-([0-9a-f]{8,64})(?:\.[^-]*)?$", re.IGNORECASE)

_ASK_FOR_ACCESS = (
    "Check the spelling; if the repository is private or asks to accept its terms, do so on its "
    "page and set HF_TOKEN."
)
_USE_ANOTHER_FOLDER = (
    "Set HF_HOME (for the hub) or KERAS_HOME to a folder that can be written and has enough space."
)
_ADVICE = {
    401: _ASK_FOR_ACCESS,
    403: _ASK_FOR_ACCESS,
    404: "There is no such file: check the spelling and the revision.",
    errno.ENOSPC: _USE_ANOTHER_FOLDER,
    errno.EACCES: _USE_ANOTHER_FOLDER,
    errno.EROFS: _USE_ANOTHER_FOLDER,
}


class _Refusal(OSError):
    """A failure whose text already says what the user can do about it."""


def fetch(
    source: str,
    sha256: str | None = None,
    *,
    checksum: str | None = None,
    unchecked: bool = False,
) -> Path:
    """Gives the local path of a checkpoint file, and downloads the file if it is not cached.

    Hub files live in the cache of `huggingface_hub`, which `HF_HOME`, `HF_ENDPOINT` and `HF_TOKEN`
    configure. What is downloaded is verified by the sha256 that the hub announced; cached ones are
    used without asking the server, and verified only if `sha256` is given. Release files live in
    `<KERAS_HOME>/keras_se` and are verified on every call. With `HF_HUB_OFFLINE=1` neither is
    downloaded. Where there is no connection, a download fails within five seconds; one of a server
    that falls silent fails after half a minute, or, of the hub in the middle of a file, when its
    client has tried some more times. One from the hub that is cut is continued.

    Args:
        source: Either a Hugging Face hub repository, as `"owner/name"` or
            `"hf://owner/name[@revision][/file]"`, or an `https://` (or `http://`) address of a
            release file. Without a file, a repository's `model.safetensors` is taken, or its
            `pytorch_model.bin` if it has no safetensors.
        sha256: The expected sha256 in hexadecimal, whole or its first 8 or more digits. By
            default a release file is checked against the digits after the last `-` of its name.
            A few digits tell a damaged file, only the whole sha256 tells a forged one. Of a `.zip`
            it is that of the one file in it.
        checksum: The same by another hash, such as `"md5:0123..."`.
        unchecked: Whether to take a release file of which no hash is known.

    Returns:
        The path.

    Raises:
        ValueError: If `source` or `sha256` is malformed, or nothing is known to verify a release
            file with.
        Unreachable: If there is no connection to the server, or offline mode is on.
        OSError: If the file could not be downloaded, stored or verified. A file with another
            sha256 than expected is deleted.
    """
    if sha256 is not None and not (isinstance(sha256, str) and _DIGEST.fullmatch(sha256)):
        raise ValueError(f"sha256 must be 8 to 64 hexadecimal digits, not {sha256!r}.")
    digest = Digest(sha256.lower()) if sha256 else None
    if checksum is not None:
        match = _CHECKSUM.fullmatch(checksum)
        if not match:
            raise ValueError(f"checksum must be md5:, sha1: or sha256: and digits: {checksum!r}.")
        digest = Digest(match["digits"], match["algorithm"])
    is_release = isinstance(source, str) and source.lower().startswith(("https://", "http://"))
    file = _parse_release(source, digest, unchecked) if is_release else _parse_hub(source, digest)
    try:
        path = file.cached()
        if path and not delete_if_wrong(path, file.digest):
            return path
        _refuse_if_offline(file.place())
        connection.check_connection(file.server())
        return file.download()
    except Exception as error:
        kind = Unreachable if isinstance(error, Unreachable) else OSError
        raise kind(_explain(source, file.address, error)) from error


def repository(source: str) -> str | None:
    """Returns the `"owner/name"` in what `fetch` takes for a file of the hub, or `None`."""
    match = _HUB_SOURCE.fullmatch(source)
    return match and match["repository"]


def digits_in_name(source: str) -> str | None:
    """Returns the digits of its sha256 in which the name of a release file ends, or `None`."""
    match = _DIGEST_IN_NAME.search(source.partition("?")[0].rpartition("/")[2])
    return match and match[1].lower()


def is_cached(source: str) -> bool:
    """Returns whether `fetch` would find a repository's file without asking the hub.

    Args:
        source: As for `fetch`; an address of a release file is none of the hub's.
    """
    return bool(_HUB_SOURCE.fullmatch(source) and _parse_hub(source, None).cached())


def architecture(source: str, *, ask: bool = False) -> str:
    """Returns the network that a repository of the hub says that it is for.

    Args:
        source: As for `fetch`.
        ask: Whether to download the repository's `config.json` if it is not cached. A hub that does
            not answer within `ANSWER_SECONDS` has said nothing.

    Returns:
        timm's name of it, from the `config.json`; empty if that says nothing.
    """
    match = _HUB_SOURCE.fullmatch(source)
    if not match:
        return ""
    file = _HubFile(match["repository"], match["revision"], (_CONFIG,), None)
    if ask and not file.cached():
        # Not every repository has it, and it is not needed: whatever happens, go on.
        with contextlib.suppress(Exception):
            connection.call_within(ANSWER_SECONDS, file.ask)
    try:
        config = json.loads(file.cached().read_bytes())
        return str(config["architecture"])
    # Other libraries write other things into a file of this name.
    except (AttributeError, LookupError, TypeError, ValueError, RecursionError, OSError):
        return ""


@dataclass(frozen=True)
class _ReleaseFile:
    """A file at an address, and what it is called in the cache."""

    address: str
    name: str
    digest: Digest | None

    def server(self):
        return self.address

    def place(self):
        # The rule of Keras for its own downloads, which has no public function.
        home = Path("~").expanduser()
        if not os.access(home, os.W_OK):
            home = Path(tempfile.gettempdir())
        home = Path(os.environ.get("KERAS_HOME") or home / ".keras").expanduser()
        return home / "keras_se" / self.name

    def cached(self):
        path = self.place()
        return path if path.is_file() else None

    def download(self):
        path = self.place()
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path.parent)
        with atomic_path(path) as partial:
            _download(self.address, partial)
            _refuse_if_wrong(partial, self.digest)
        return path


@dataclass(frozen=True)
class _HubFile:
    """The first of some files that a repository of the hub has."""

    repository: str
    revision: str | None
    names: tuple[str, ...]
    digest: Digest | None

    @property
    def address(self):
        # Where HF_ENDPOINT leads may be out of reach for whoever fetches by hand.
        revision = urllib.parse.quote(self.revision or "main", safe="")
        return f"https://huggingface.co/{self.repository}/resolve/{revision}/{self.names[0]}"

    def server(self):
        from huggingface_hub import constants

        return constants.ENDPOINT

    def place(self):
        from huggingface_hub import constants

        return Path(constants.HF_HUB_CACHE)

    def cached(self):
        import huggingface_hub

        for name in self.names:
            path = huggingface_hub.try_to_load_from_cache(
                self.repository, name, revision=self.revision
            )
            if isinstance(path, str):
                return Path(path)
            # Only a file known to be missing (a marker, not None) allows the next name.
            if path is None:
                break
        return None

    def download(self):
        import huggingface_hub
        from huggingface_hub import errors

        connection.check_answer(self.server())
        for name in self.names:
            try:
                path = huggingface_hub.hf_hub_download(
                    self.repository, name, revision=self.revision
                )
            except errors.LocalEntryNotFoundError:
                # The server was not reached, which says nothing about what the repository has.
                raise
            except errors.EntryNotFoundError as error:
                missing = error
            else:
                path = Path(path)
                _refuse_if_wrong(path, self.digest or _announced_sha256(path))
                return path
        names = " or ".join(self.names)
        raise _Refusal(f"the repository has no {names} (HTTP 404)") from missing

    def ask(self):
        """Downloads the first of the files if the hub answers at once."""
        import huggingface_hub

        file = self.repository, self.names[0]
        address = huggingface_hub.hf_hub_url(*file, revision=self.revision)
        # It tries once, while a download would go on trying.
        huggingface_hub.get_hf_file_metadata(address, timeout=ANSWER_SECONDS)
        huggingface_hub.hf_hub_download(*file, revision=self.revision)


def _parse_release(source, digest, unchecked):
    match = _RELEASE_SOURCE.fullmatch(source)
    if not match or not source.isascii():
        raise ValueError(f"{source!r} is not the address of a file: https://host/path/file.")
    name = match["name"]
    named = digits_in_name(name)
    if digest is None and named is None and not unchecked:
        raise ValueError(
            f"{source!r} cannot be verified: its file name does not end in digits of its sha256. "
            "Give sha256=, or download the file by hand and pass its local path as weights=."
        )
    if digest is None and named is not None:
        digest = Digest(named)
    # Two releases may use one file name: each needs a cached file of its own.
    own = digest.digits[:8] if digest else hashlib.sha256(source.encode()).hexdigest()[:8]
    if own not in name.lower():
        name = f"{own}-{name}"
    return _ReleaseFile(source, name, digest)


def _parse_hub(source, digest):
    match = _HUB_SOURCE.fullmatch(source) if isinstance(source, str) else None
    # Without hf://, "folder/folder/file" is more likely a local path that does not exist.
    malformed = not match or (match["file"] and not match["scheme"])
    if malformed or re.search(r"--|\.\.|\.git$|[.-]/|[.-]$", match["repository"]):
        raise ValueError(
            f"{source!r} is no source of checkpoints. Give a Hugging Face hub repository as "
            "'owner/name' or 'hf://owner/name[@revision][/file]', an https:// address, or the path "
            "of a local file that exists."
        )
    names = (match["file"],) if match["file"] else _DEFAULT_FILES
    return _HubFile(match["repository"], match["revision"], names, digest)


def _remove_leftovers(folder):
    # A running download writes to its file all the time; a killed one no longer does.
    oldest = time.time() - _LEFTOVER_SECONDS
    for temporary in folder.glob(f"{PARTIAL}*"):
        try:
            newest = max(path.stat().st_mtime for path in (temporary, *temporary.iterdir()))
        except OSError:
            # Another process has just finished with it.
            continue
        if newest < oldest:
            shutil.rmtree(temporary, ignore_errors=True)


def _download(address, path):
    """Writes what an address gives into a file; `keras.utils.get_file` would wait for ever."""
    import keras

    with (
        urllib.request.urlopen(address, timeout=connection.SILENCE_SECONDS) as response,
        path.open("wb") as file,
    ):
        announced = response.headers.get("Content-Length")
        announced = int(announced) if announced else None
        print(f"Downloading {address}", flush=True)
        progress = keras.utils.Progbar(announced)
        while block := response.read(_BLOCK):
            file.write(block)
            progress.add(len(block))
        size = file.tell()
    if announced not in (None, size):
        raise ConnectionError(f"only {size} of {announced} bytes came")


def _announced_sha256(path):
    """The hub's sha256 of a large file: in its cache, the name of what is linked to."""
    name = path.resolve().name
    return Digest(name) if len(name) == 64 and _DIGEST.fullmatch(name) else None


def _refuse_if_offline(place):
    # The same words that huggingface_hub takes for yes, read at each call.
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        raise Unreachable(f"offline mode, and it is not cached at {place}. Unset HF_HUB_OFFLINE")


def _refuse_if_wrong(path, digest):
    if actual := delete_if_wrong(path, digest):
        raise _Refusal(
            f"its {digest.algorithm} should start with {digest.digits} but is {actual}, so it was "
            f"deleted. Try again, and check the expected {digest.algorithm} if that does not help"
        )


def _explain(source, address, error):
    chain = [error]
    while (deeper := chain[-1].__cause__ or chain[-1].__context__) and deeper not in chain:
        chain.append(deeper)
    for link in chain:
        # Its connection would stay open until the garbage collector warns of it.
        if isinstance(link, urllib.error.HTTPError):
            link.close()
    reason = f"{error}."
    if not isinstance(error, _Refusal | Unreachable):
        # The innermost error says what happened, the outer ones what it was mistaken for.
        innermost = str(chain[-1]).strip().partition("\n")[0] or type(chain[-1]).__name__
        reason = f"{innermost}. {_advise(chain)}"
    name = address.partition("?")[0].rpartition("/")[2]
    return (
        f"Could not get the checkpoint {source!r}: {reason} You can also download {address} "
        f"elsewhere and give its path: weights='/path/to/{name}'."
    )


def _advise(chain):
    holders = [*chain, *(getattr(error, "response", None) for error in chain)]
    codes = ("code", "status_code", "errno")
    values = [getattr(holder, code, None) for code in codes for holder in holders]
    default = "Check the connection; for the hub, HF_ENDPOINT can name a mirror."
    return next((_ADVICE[code] for code in values if code in _ADVICE), default)
