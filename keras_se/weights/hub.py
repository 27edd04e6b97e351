"""Finds checkpoint files in the caches or downloads them: all network code of the package."""

import errno
import hashlib
import os
import re
import shutil
import tempfile
import time
import urllib.error
from pathlib import Path

_DEFAULT_FILES = ("model.safetensors", "pytorch_model.bin")
_TEMPORARY_PREFIX = "download-"
_LEFTOVER_SECONDS = 24 * 60 * 60

_NAME = r"\w[\w.-]*"
_HUB_SOURCE = re.compile(
    rf"(?P<scheme>hf://)?(?P<repository>{_NAME}/{_NAME})"
    rf"(?:@(?P<revision>refs/pr/\d+|{_NAME}))?(?:/(?P<file>{_NAME}(?:/{_NAME})*))?",
    re.ASCII,
)
_RELEASE_SOURCE = re.compile(
    r"https?://[\w.-]+(?::\d+)?/(?:[^\s?#]*/)?(?P<name>\w[\w.+~%-]*)(?:[?#]\S*)?",
    re.ASCII | re.IGNORECASE,
)
_DIGEST = re.compile(r"[0-9a-f]{8,64}", re.IGNORECASE)
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


def fetch(source, sha256=None):
    """Gives the local path of a checkpoint file, and downloads the file if it is not cached.

    Hub files live in the cache of `huggingface_hub`, which `HF_HOME`, `HF_ENDPOINT` and `HF_TOKEN`
    configure. Cached ones are used without asking the server, and verified only if `sha256` is
    given. Release files live in `<KERAS_HOME>/keras_se` and are verified on every call. With
    `HF_HUB_OFFLINE=1` neither is downloaded.

    Args:
        source: Either a Hugging Face hub repository, as `"owner/name"` or
            `"hf://owner/name[@revision][/file]"`, or an `https://` (or `http://`) address of a
            release file. Without a file, a repository's `model.safetensors` is taken, or its
            `pytorch_model.bin` if it has no safetensors.
        sha256: The expected sha256 in hexadecimal, whole or its first 8 or more digits. By
            default a release file is checked against the digits after the last `-` of its name.
            A few digits tell a damaged file, only the whole sha256 tells a forged one.

    Returns:
        A `pathlib.Path`.

    Raises:
        ValueError: `source` or `sha256` is malformed, or nothing is known to verify a release
            file with.
        OSError: The file could not be downloaded, stored or verified. A file with another
            sha256 than expected is deleted.
    """
    if sha256 is not None and not (isinstance(sha256, str) and _DIGEST.fullmatch(sha256)):
        raise ValueError(f"sha256 must be 8 to 64 hexadecimal digits, not {sha256!r}.")
    digest = sha256.lower() if sha256 else None
    if isinstance(source, str) and source.lower().startswith(("https://", "http://")):
        find, place = _fetch_release, _parse_release(source, digest)
    else:
        find, place = _fetch_from_hub, (*_parse_hub(source), digest)
    try:
        return find(*place)
    except Exception as error:
        raise OSError(_explain(source, error)) from error


def _parse_release(source, digest):
    match = _RELEASE_SOURCE.fullmatch(source)
    if not match or not source.isascii():
        raise ValueError(f"{source!r} is not the address of a file: https://host/path/file.")
    name = match["name"]
    named = _DIGEST_IN_NAME.search(name)
    if digest is None and named is None:
        raise ValueError(
            f"{source!r} cannot be verified: its file name does not end in digits of its sha256. "
            "Give sha256=, or download the file by hand and pass its local path as weights=."
        )
    digest = digest or named[1].lower()
    # Two releases may use one file name: each needs a cached file of its own.
    if digest[:8] not in name.lower():
        name = f"{digest[:8]}-{name}"
    return source, name, digest


def _parse_hub(source):
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
    return match["repository"], match["revision"], names


def _fetch_release(url, name, digest):
    folder = _release_folder()
    target = folder / name
    if target.is_file() and not _delete_if_wrong(target, digest):
        return target
    _refuse_if_offline(target)
    # Importing keras takes seconds, and everything but this download does without it.
    import keras

    folder.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(folder)
    with tempfile.TemporaryDirectory(prefix=_TEMPORARY_PREFIX, dir=folder) as temporary:
        downloaded = Path(keras.utils.get_file(name, url, cache_subdir=temporary))
        _refuse_if_wrong(downloaded, digest)
        # The last step, and atomic: a file under its final name is always a whole one.
        downloaded.replace(target)
    return target


def _release_folder():
    # The rule of Keras for its own downloads, which has no public function.
    home = Path("~").expanduser()
    if not os.access(home, os.W_OK):
        home = Path(tempfile.gettempdir())
    return Path(os.environ.get("KERAS_HOME") or home / ".keras").expanduser() / "keras_se"


def _remove_leftovers(folder):
    # A running download writes to its file all the time; a killed one no longer does.
    oldest = time.time() - _LEFTOVER_SECONDS
    for temporary in folder.glob(f"{_TEMPORARY_PREFIX}*"):
        try:
            newest = max(path.stat().st_mtime for path in (temporary, *temporary.iterdir()))
        except OSError:
            # Another process has just finished with it.
            continue
        if newest < oldest:
            shutil.rmtree(temporary, ignore_errors=True)


def _fetch_from_hub(repository, revision, names, digest):
    import huggingface_hub

    path = _find_in_hub_cache(repository, revision, names)
    if path and not _delete_if_wrong(path, digest):
        return path
    _refuse_if_offline(huggingface_hub.constants.HF_HUB_CACHE)
    path = _download_from_hub(repository, revision, names)
    _refuse_if_wrong(path, digest)
    return path


def _find_in_hub_cache(repository, revision, names):
    import huggingface_hub

    for name in names:
        found = huggingface_hub.try_to_load_from_cache(repository, name, revision=revision)
        if isinstance(found, str):
            return Path(found)
        # Only a file known to be missing (a marker, not None) allows the next name.
        if found is None:
            break
    return None


def _download_from_hub(repository, revision, names):
    import huggingface_hub
    from huggingface_hub import errors

    for name in names:
        try:
            return Path(huggingface_hub.hf_hub_download(repository, name, revision=revision))
        except errors.LocalEntryNotFoundError:
            # The server was not reached, which says nothing about what the repository has.
            raise
        except errors.EntryNotFoundError as error:
            missing = error
    raise _Refusal(f"the repository has no {' or '.join(names)} (HTTP 404)") from missing


def _refuse_if_offline(place):
    # The same words that huggingface_hub takes for yes, read at each call.
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        raise _Refusal(f"offline mode, and it is not cached at {place}. Unset HF_HUB_OFFLINE")


def _refuse_if_wrong(path, digest):
    if found := _delete_if_wrong(path, digest):
        raise _Refusal(
            f"its sha256 should start with {digest} but is {found}, so it was deleted. Try again, "
            "and check the expected sha256 if that does not help"
        )


def _delete_if_wrong(path, digest):
    if digest is None:
        return None
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            found.update(block)
    if found.hexdigest().startswith(digest):
        return None
    # In the hub's cache the path is a link: were its target left, the link would be made again.
    path.resolve().unlink(missing_ok=True)
    path.unlink(missing_ok=True)
    return found.hexdigest()


def _explain(source, error):
    chain = [error]
    while (deeper := chain[-1].__cause__ or chain[-1].__context__) and deeper not in chain:
        chain.append(deeper)
    for link in chain:
        # Its connection would stay open until the garbage collector warns of it.
        if isinstance(link, urllib.error.HTTPError):
            link.close()
    reason = f"{error}."
    if not isinstance(error, _Refusal):
        # The innermost error says what happened, the outer ones what it was mistaken for.
        innermost = str(chain[-1]).strip().partition("\n")[0] or type(chain[-1]).__name__
        reason = f"{innermost}. {_advise(chain)}"
    return (
        f"Could not get the checkpoint {source!r}: {reason} You can also download the file by hand "
        "and pass its local path as weights=."
    )


def _advise(chain):
    holders = [*chain, *(getattr(error, "response", None) for error in chain)]
    codes = ("code", "status_code", "errno")
    found = [getattr(holder, code, None) for code in codes for holder in holders]
    default = "Check the connection; for the hub, HF_ENDPOINT can name a mirror."
    return next((_ADVICE[code] for code in found if code in _ADVICE), default)
