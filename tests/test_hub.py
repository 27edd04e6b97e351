"""Tests of the downloads, against a server on 127.0.0.1.

`huggingface_hub` reads its environment when it is imported. Tests in this process therefore set its
constants; the tests with a second process set HF_ENDPOINT and HF_HOME for real.
"""

import contextlib
import errno
import hashlib
import os
import random
import socket
import threading
import time
import types
import urllib.request
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import safetensors.numpy
from hub_server import HubServer, fetch_in_another_process
from huggingface_hub import constants

from keras_se.preprocessing import Preprocessing
from keras_se.weights import connection, hub
from keras_se.weights.registry import Weights
from keras_se.weights.sources import open_weights

pytestmark = pytest.mark.backend_neutral

REPOSITORY = "timm/seresnet50.ra2_in1k"
SAFETENSORS = f"/{REPOSITORY}/resolve/main/model.safetensors"
CONFIG = f"/{REPOSITORY}/resolve/main/config.json"
# More than the sockets' buffers, so that a server that waits halfway makes the client wait.
CONTENT = random.Random(0).randbytes(3_000_001)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
OTHER = CONTENT[::-1]
FILE = f"se_resnet50-{DIGEST[:8]}.pth"
RELEASE = f"/owner/name/releases/download/v0.1-cadene/{FILE}"


@pytest.fixture(scope="module", autouse=True)
def no_proxies_and_no_tokens():
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.lower().endswith("_proxy") or name.startswith(("HF_", "HUGGING")):
                patch.delenv(name)
        patch.setenv("NO_PROXY", "127.0.0.1")
        patch.setenv("no_proxy", "127.0.0.1")
        yield


@pytest.fixture
def server():
    with HubServer() as server:
        server.repositories[REPOSITORY] = {"model.safetensors": CONTENT, "pytorch_model.bin": OTHER}
        server.releases[RELEASE] = CONTENT
        yield server


@pytest.fixture
def caches(monkeypatch, tmp_path, server):
    """The two cache folders, with both downloaders turned to them and to the server."""
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    template = f"{server.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "huggingface" / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "huggingface" / "token"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    # The session keeps connections and the proxies of its first use.
    huggingface_hub.close_session()
    yield types.SimpleNamespace(
        releases=tmp_path / "keras" / "keras_se",
        hub=tmp_path / "huggingface" / "hub",
        environment={
            "HF_ENDPOINT": server.url,
            "HF_HOME": str(tmp_path / "huggingface"),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "KERAS_HOME": str(tmp_path / "keras"),
        },
    )
    huggingface_hub.close_session()


@pytest.fixture
def no_waiting(monkeypatch):
    """Lets the hub's client try again at once; without it a server that fails costs 20 s."""
    monkeypatch.setattr(time, "sleep", lambda seconds: None)


def failure(source, sha256=None, kind=OSError):
    with pytest.raises(kind) as caught:
        hub.fetch(source, sha256)
    assert repr(source) in str(caught.value)
    return str(caught.value)


def files_in(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


# Both kinds of sources


def sources(server):
    return {"release": server.url + RELEASE, "hub": f"hf://{REPOSITORY}"}


def paths():
    return {"release": "/storage" + RELEASE, "hub": SAFETENSORS}


both = pytest.mark.parametrize("kind", ["release", "hub"])


@both
def test_downloads_once(server, caches, kind):
    source = sources(server)[kind]
    path = hub.fetch(source)
    assert isinstance(path, Path)
    assert path.read_bytes() == CONTENT
    assert path.is_relative_to({"release": caches.releases, "hub": caches.hub}[kind])
    asked = server.requests.copy()
    assert hub.fetch(source) == path
    assert hub.fetch(source, DIGEST) == path
    assert server.requests == asked
    assert server.requests["GET", paths()[kind]] == 1


@both
def test_offline(server, caches, monkeypatch, kind):
    source = sources(server)[kind]
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    message = failure(source)
    assert "HF_HUB_OFFLINE" in message
    assert str({"release": caches.releases / FILE, "hub": caches.hub}[kind]) in message
    assert not server.requests
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    path = hub.fetch(source)
    monkeypatch.setenv("HF_HUB_OFFLINE", "yes")
    assert hub.fetch(source) == path


@both
def test_nobody_listens(server, caches, kind):
    """In seconds, and with the address to fetch elsewhere."""
    source = sources(server)[kind]
    server.stop()
    started = time.monotonic()
    message = failure(source, kind=hub.Unreachable)
    assert time.monotonic() - started < 5
    address = {"release": source, "hub": f"https://huggingface.co{SAFETENSORS}"}[kind]
    for words in ("refused", "HF_ENDPOINT", address):
        assert words in message


def test_nobody_answers(caches):
    """Packets get lost, as behind many a firewall; the kernel drops them where a queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf, contextlib.ExitStack() as stack:
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(deaf.getsockname())
        started = time.monotonic()
        failure(f"http://127.0.0.1:{deaf.getsockname()[1]}/{FILE}", kind=hub.Unreachable)
        assert time.monotonic() - started < 5


@both
def test_full_disk(server, caches, monkeypatch, kind):
    def no_space(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(urllib.request, "urlopen", no_space)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", no_space)
    message = failure(sources(server)[kind])
    assert "No space left" in message
    assert "KERAS_HOME" in message
    assert files_in(caches.releases.parent) == []


@both
def test_damaged_cache_is_replaced(server, caches, monkeypatch, kind):
    source = sources(server)[kind]
    path = hub.fetch(source, DIGEST)
    damaged = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    path.write_bytes(damaged)
    assert hub.fetch(source, DIGEST).read_bytes() == CONTENT
    path.write_bytes(damaged)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    failure(source, DIGEST)
    assert not path.exists()


@both
def test_other_content_than_expected(server, caches, kind):
    source = sources(server)[kind]
    server.repositories[REPOSITORY] = {"model.safetensors": OTHER}
    server.releases[RELEASE] = OTHER
    message = failure(source, DIGEST[:8] if kind == "hub" else None)
    assert DIGEST[:8] in message
    assert hashlib.sha256(OTHER).hexdigest() in message
    assert FILE not in files_in(caches.releases)
    assert not list(caches.hub.rglob("model.safetensors"))
    server.repositories[REPOSITORY] = {"model.safetensors": CONTENT}
    server.releases[RELEASE] = CONTENT
    assert hub.fetch(source, DIGEST).read_bytes() == CONTENT


@both
def test_other_content_than_the_server_announced(server, caches, kind):
    """Without a hash in the registry."""
    source = sources(server)[kind]
    server.releases[RELEASE] = server.repositories[REPOSITORY]["model.safetensors"] = OTHER
    server.announced["model.safetensors"] = DIGEST
    message = failure(source)
    assert hashlib.sha256(OTHER).hexdigest() in message
    assert not files_in(caches.releases)
    assert OTHER not in [path.read_bytes() for path in caches.hub.rglob("*") if path.is_file()]
    server.releases[RELEASE] = server.repositories[REPOSITORY]["model.safetensors"] = CONTENT
    assert hub.fetch(source).read_bytes() == CONTENT


@both
@pytest.mark.parametrize("when", ["at once", "halfway"])
def test_a_server_that_falls_silent(server, caches, no_waiting, monkeypatch, kind, when):
    seconds = 0.2
    monkeypatch.setattr(connection, "SILENCE_SECONDS", seconds)
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", seconds)
    monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", seconds)
    answering = threading.Event()
    setattr(server, {"at once": "first", "halfway": "halfway"}[when], lambda _: answering.wait(60))
    try:
        assert "timed out" in failure(sources(server)[kind])
    finally:
        answering.set()
    assert not files_in(caches.releases)


@both
def test_cut_connection(server, caches, no_waiting, monkeypatch, kind):
    source, path = sources(server)[kind], paths()[kind]

    def cut(_):
        # A client that asks for the rest must not get it either.
        server.statuses[path] = 503
        raise ConnectionAbortedError

    server.halfway = cut
    failure(source)
    if caches.releases.exists():
        assert files_in(caches.releases) == []
    server.statuses.clear()
    server.halfway = lambda path: None
    assert hub.fetch(source).read_bytes() == CONTENT


@both
def test_two_processes_at_once(server, caches, kind):
    source = sources(server)[kind]
    # The hub's client lets only one process send its GET.
    request = {"release": ("GET", "/storage" + RELEASE), "hub": ("HEAD", SAFETENSORS)}[kind]

    def wait_for_both(_):
        deadline = time.monotonic() + 60
        while server.requests[request] < 2 and time.monotonic() < deadline:
            time.sleep(0.01)

    server.halfway = wait_for_both
    other = fetch_in_another_process(source, caches.environment)
    path = hub.fetch(source)
    assert other.communicate(timeout=60)[0] == f"{path}\n"
    assert server.requests[request] == 2
    assert path.read_bytes() == CONTENT
    assert files_in(caches.releases) == ([FILE] if kind == "release" else [])


@both
def test_killed_download(server, caches, kind):
    source = sources(server)[kind]
    reached, go_on = threading.Event(), threading.Event()

    def wait(_):
        reached.set()
        go_on.wait(60)

    server.halfway = wait
    with fetch_in_another_process(source, caches.environment) as process:
        assert reached.wait(60)
        process.kill()
    go_on.set()
    server.halfway = lambda path: None
    assert hub.fetch(source).read_bytes() == CONTENT


# Release files


def test_release_statuses(server, caches):
    assert "404" in failure(f"{server.url}/owner/missing-01234567.pth")
    server.statuses[RELEASE] = 403
    assert "403" in failure(server.url + RELEASE)
    server.statuses[RELEASE] = 500
    assert "500" in failure(server.url + RELEASE)
    assert files_in(caches.releases) == []


def test_digits_in_the_name(server, caches):
    for name in (
        f"seresnext26_32x4d-{DIGEST[:9]}.pth",
        f"two-parts-{DIGEST}.pth.tar",
        f"name-{DIGEST[:10].upper()}",
    ):
        server.releases[f"/{name}"] = CONTENT
        assert hub.fetch(f"{server.url}/{name}?download=true") == caches.releases / name


def test_sha256_wins_over_the_name(server, caches):
    server.releases["/model-20200101.pth"] = CONTENT
    failure(f"{server.url}/model-20200101.pth")
    path = hub.fetch(f"{server.url}/model-20200101.pth", DIGEST.upper())
    assert path.read_bytes() == CONTENT


def test_equal_names_do_not_share_a_file(server, caches):
    server.releases.update({"/one/model.pth": CONTENT, "/two/model.pth": OTHER})
    one = hub.fetch(f"{server.url}/one/model.pth", DIGEST)
    two = hub.fetch(f"{server.url}/two/model.pth", hashlib.sha256(OTHER).hexdigest())
    assert (one.read_bytes(), two.read_bytes()) == (CONTENT, OTHER)


def test_old_leftovers_are_removed(server, caches):
    day = 24 * 60 * 60
    for name, age in ((".partial-old", 1.1 * day), (".partial-running", 0.9 * day)):
        folder = caches.releases / name
        folder.mkdir(parents=True)
        (folder / FILE).write_bytes(b"part")
        # A download that has run for long has an old folder, but a fresh file.
        os.utime(folder, (0, 0))
        os.utime(folder / FILE, (time.time() - age,) * 2)
    hub.fetch(server.url + RELEASE)
    assert sorted(path.name for path in caches.releases.iterdir()) == [".partial-running", FILE]


# Hub repositories


def test_hub_sources(server, caches):
    server.repositories[REPOSITORY]["folder/other.safetensors"] = OTHER
    commit = server.commit(REPOSITORY)
    for source in (REPOSITORY, f"hf://{REPOSITORY}@{commit}", f"hf://{REPOSITORY}@main"):
        path = hub.fetch(source)
        assert path.read_bytes() == CONTENT
        assert path.name == "model.safetensors"
    for source in (f"hf://{REPOSITORY}", f"HF://{REPOSITORY}@{commit}"):
        assert hub.fetch(f"{source}/folder/other.safetensors").read_bytes() == OTHER
    assert server.count("pytorch_model.bin") == 0


@pytest.mark.parametrize(
    ("config", "name"),
    (
        (b'{"architecture": "tf_mobilenetv3_small_100"}', "tf_mobilenetv3_small_100"),
        (b'{"model_type": "resnet"}', ""),
        (b"[1]", ""),
        (b"not JSON", ""),
        (b"[" * 100_000, ""),
        (None, ""),
    ),
)
def test_what_a_repository_says_that_it_is_for(server, caches, config, name):
    if config is not None:
        server.repositories[REPOSITORY]["config.json"] = config
    source = f"hf://{REPOSITORY}@main/model.safetensors"
    assert hub.architecture(source) == ""
    assert server.requests.total() == 0
    for _ in range(2):
        assert hub.architecture(source, ask=True) == name
        requests = server.requests.total()
        assert hub.architecture(source) == name
        assert server.requests.total() == requests
    assert server.requests["GET", CONFIG] == (0 if config is None else 1)
    assert hub.architecture("https://example.org/file.pth", ask=True) == ""


@pytest.mark.parametrize("status", (500, 0))
def test_what_is_not_needed_may_fail(server, caches, no_waiting, status):
    """With a status, or a connection that is cut."""

    def cut(path):
        if path == CONFIG:
            raise ConnectionError

    server.repositories[REPOSITORY]["config.json"] = b'{"architecture": "seresnet50"}'
    if status:
        server.statuses[CONFIG] = status
    server.halfway = cut
    assert hub.architecture(REPOSITORY, ask=True) == ""
    assert server.count("config.json") > 0


@pytest.mark.parametrize("when", ("first", "halfway"))
def test_a_hub_that_says_nothing_of_a_network_costs_little(server, caches, monkeypatch, when):
    server.repositories[REPOSITORY]["config.json"] = b'{"architecture": "seresnet50"}'
    monkeypatch.setattr(hub, "ANSWER_SECONDS", 0.3)
    answering = threading.Event()
    setattr(server, when, lambda path: path != CONFIG or answering.wait(60))
    try:
        started = time.monotonic()
        assert hub.architecture(REPOSITORY, ask=True) == ""
        # The client's own patience is at least ten seconds.
        assert time.monotonic() - started < 5
        # Nothing goes on asking either.
        assert when == "halfway" or server.count("config.json") <= 1
    finally:
        answering.set()


def test_the_hub_is_asked_which_network_it_is_only_if_nothing_else_says_it(server, caches):
    arrays = {"fc.bias": np.zeros(3, "float32")}
    config = b'{"architecture": "tf_mobilenetv3_small_100"}'
    for name, metadata in (("silent", None), ("named", {"network": "MobileNetV3Small"})):
        files = {"model.safetensors": safetensors.numpy.save(arrays, metadata)}
        server.repositories[f"me/{name}"] = files | {"config.json": config}
    for _ in range(2):
        with pytest.raises(ValueError, match=r"hf://me/silent.*use TFMobileNetV3Small"):
            open_weights("hf://me/silent", (), network="MobileNetV3Small")
    requests = server.requests.total()
    assert server.requests["GET", "/me/silent/resolve/main/config.json"] == 1
    open_weights("hf://me/named", (), network="MobileNetV3Small")
    row = Weights("mine", "me/silent", Preprocessing(8), classes=3)
    open_weights("mine", (row,), network="MobileNetV3Small")
    assert server.requests.total() > requests
    assert server.count("/me/named/resolve/main/config.json") == 0


def test_a_cached_checkpoint_is_described_by_what_is_cached(server, caches):
    """The hub is not asked again for what it did not say."""
    content = safetensors.numpy.save({"fc.bias": np.zeros(3, "float32")})
    server.repositories["me/mine"] = {"model.safetensors": content}
    open_weights("hf://me/mine", (), network="SEResNet50")
    requests = server.requests.total()
    open_weights("hf://me/mine", (), network="SEResNet50")
    assert server.requests.total() == requests


def test_pickle_only_without_safetensors(server, caches, no_waiting):
    server.statuses[SAFETENSORS] = 500
    failure(REPOSITORY)
    server.statuses.clear()
    assert server.count("pytorch_model.bin") == 0
    # One in the cache does not hide it either.
    assert hub.fetch(f"hf://{REPOSITORY}/pytorch_model.bin").read_bytes() == OTHER
    assert hub.fetch(REPOSITORY).name == "model.safetensors"


def test_pickle_if_there_is_nothing_else(server, caches):
    del server.repositories[REPOSITORY]["model.safetensors"]
    path = hub.fetch(REPOSITORY)
    assert path.name == "pytorch_model.bin"
    asked = server.requests.copy()
    assert hub.fetch(REPOSITORY) == path
    assert server.requests == asked


def test_hub_download_continues_after_a_cut(server, caches, no_waiting):
    cuts = iter([True, False])

    def cut_once(_):
        if next(cuts):
            raise ConnectionAbortedError

    server.halfway = cut_once
    assert hub.fetch(REPOSITORY).read_bytes() == CONTENT
    assert server.requests["GET", SAFETENSORS] == 2


def test_newer_commit_is_taken_if_it_has_the_sha256(server, caches):
    server.repositories[REPOSITORY] = {"model.safetensors": OTHER}
    hub.fetch(REPOSITORY)
    server.repositories[REPOSITORY] = {"model.safetensors": CONTENT}
    assert hub.fetch(REPOSITORY).read_bytes() == OTHER
    assert hub.fetch(REPOSITORY, DIGEST).read_bytes() == CONTENT


def test_gated_repository(server, caches, monkeypatch):
    server.tokens[REPOSITORY] = "hf_of_this_test"
    assert "HF_TOKEN" in failure(REPOSITORY)
    monkeypatch.setenv("HF_TOKEN", "hf_of_this_test")
    assert hub.fetch(REPOSITORY).read_bytes() == CONTENT


def test_nothing_to_find(server, caches, no_waiting):
    message = failure("timm/missing")
    assert "401" in message
    assert "spelling" in message
    assert "404" in failure(f"hf://{REPOSITORY}@missing")
    assert "missing.safetensors" in failure(f"hf://{REPOSITORY}/missing.safetensors")
    server.repositories["owner/empty"] = {"README.md": b""}
    message = failure("owner/empty")
    assert "model.safetensors or pytorch_model.bin" in message
    server.statuses["/owner/gone/resolve/main/model.safetensors"] = 404
    assert "404" in failure("owner/gone")


# What cannot be meant


@pytest.fixture
def offline(monkeypatch):
    # What is wrongly taken for a good source must not reach the Internet.
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


HOST = "https://127.0.0.1"
MALFORMED_REPOSITORIES = """
resnet50 timm/ /timm/resnet ./timm/resnet ../resnet timm/.. timm/a--b timm/name.git timm/name-
folder/folder/file.safetensors hf:// hf://timm hf://timm/resnet/ hf://timm/resnet@
hf://timm/resnet@main/ hf://timm/resnet/../../file.safetensors hf://timm/resnet//file.safetensors
ftp://127.0.0.1/model-01234567.pth file:///tmp/model-01234567.pth
"""
MALFORMED_ADDRESSES = """
/folder-01234567/ /.. :port/model-01234567.pth /folder\u00e9/model-01234567.pth /model.pth
/model-0123456.pth /model-notdigits.pth /01234567-model.pth /
"""


@pytest.mark.parametrize(
    "source",
    (
        *(None, 7, Path("timm/resnet"), "", "timm/two words", f"{HOST}/two words-01234567.pth"),
        *("https://", "https:///model-01234567.pth", HOST),
        *MALFORMED_REPOSITORIES.split(),
        *(HOST + path for path in MALFORMED_ADDRESSES.split()),
    ),
)
def test_malformed_sources(offline, source):
    failure(source, kind=ValueError)


def test_unverifiable_address_says_what_to_do(offline):
    message = failure("https://127.0.0.1/model.pth", kind=ValueError)
    assert "sha256=" in message
    assert "local path" in message


@pytest.mark.parametrize("sha256", ["", "0123456", "x" * 64, "0" * 65, "sha256:" + "0" * 64, 7])
def test_malformed_sha256(offline, sha256):
    with pytest.raises(ValueError, match="hexadecimal"):
        hub.fetch(REPOSITORY, sha256)
