"""Sources and digests that cannot be meant are errors before anything is asked for."""

from pathlib import Path

import pytest
from test_hub import REPOSITORY, failure

from keras_se.weights import hub


@pytest.fixture
def no_downloads(monkeypatch):
    # What is wrongly taken for a good source must not reach the Internet.
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.mark.parametrize(
    "source",
    [
        None,
        7,
        Path("timm/resnet"),
        "",
        "resnet50",
        "timm/",
        "/timm/resnet",
        "./timm/resnet",
        "../resnet",
        "timm/..",
        "timm/a--b",
        "timm/name.git",
        "timm/name-",
        "timm/two words",
        "folder/folder/file.safetensors",
        "hf://",
        "hf://timm",
        "hf://timm/resnet/",
        "hf://timm/resnet@",
        "hf://timm/resnet@main/",
        "hf://timm/resnet/../../file.safetensors",
        "hf://timm/resnet//file.safetensors",
        "ftp://127.0.0.1/model-01234567.pth",
        "file:///tmp/model-01234567.pth",
        "https://",
        "https:///model-01234567.pth",
        "https://127.0.0.1",
        "https://127.0.0.1/",
        "https://127.0.0.1/folder-01234567/",
        "https://127.0.0.1/..",
        "https://127.0.0.1:port/model-01234567.pth",
        "https://127.0.0.1/two words-01234567.pth",
        "https://127.0.0.1/folder\u00e9/model-01234567.pth",
        "https://127.0.0.1/model.pth",
        "https://127.0.0.1/model-0123456.pth",
        "https://127.0.0.1/model-notdigits.pth",
        "https://127.0.0.1/01234567-model.pth",
    ],
)
def test_malformed_sources(no_downloads, source):
    failure(source, kind=ValueError)


def test_unverifiable_address_says_what_to_do(no_downloads):
    message = failure("https://127.0.0.1/model.pth", kind=ValueError)
    assert "sha256=" in message
    assert "local path" in message


@pytest.mark.parametrize("sha256", ["", "0123456", "x" * 64, "0" * 65, "sha256:" + "0" * 64, 7])
def test_malformed_sha256(no_downloads, sha256):
    with pytest.raises(ValueError, match="hexadecimal"):
        hub.fetch(REPOSITORY, sha256)
