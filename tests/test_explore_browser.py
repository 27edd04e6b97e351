"""The page of `keras-se explore` in Chromium, and what others may ask of its server."""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.browser
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
SECONDS = 120
MULTIPART = {"Content-Type": "multipart/form-data; boundary=part"}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A picture of two colors with the name of a text, and a text with that of a picture."""
    folder = tmp_path_factory.mktemp("images")
    pixels = np.zeros((40, 60, 3), "uint8")
    pixels[:, 20:40] = 200, 120, 60
    Image.fromarray(pixels).save(folder / "picture.txt", "PNG")
    (folder / "note.png").write_text("no image")
    (folder / "large.png").write_bytes((folder / "picture.txt").read_bytes() + bytes(6 * 2**20))
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The command as a process, its port, and its folder for temporary files."""
    folder = tmp_path_factory.mktemp("temporary")
    words = ("-m", "keras_se", "explore", "seresnet20", "--data", "fake", "--port", "0")
    process = subprocess.Popen(
        [sys.executable, *words],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(folder)},
    )
    with process:
        # The progress of the reference set comes before.
        lines = (re.search(r"http://127\.0\.0\.1:(\d+)", line) for line in process.stdout)
        yield int(next(filter(None, lines))[1]), folder
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 130
    assert not list(folder.iterdir())


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Without a sandbox, which no container has.
        options = {"executable_path": CHROMIUM, "args": ["--no-sandbox"]}
        chromium = playwright.chromium.launch(**options)
        yield chromium
        chromium.close()


@pytest.fixture(params=SIZES)
def page(request, browser, server):
    """The page, the addresses that it has asked, and a function that keeps a screenshot."""
    width, height = SIZES[request.param]
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(1000 * SECONDS)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"http://127.0.0.1:{server[0]}")
    page.wait_for_selector("input[type=file]", state="attached")

    def keep(name):
        # SCREENSHOTS is a folder to look at them.
        if "SCREENSHOTS" in os.environ:
            page.wait_for_timeout(1000)
            path = Path(os.environ["SCREENSHOTS"], f"{request.param}-{name}.png")
            page.screenshot(path=path, full_page=True)

    yield page, asked, keep
    page.close()


def drop(page, file):
    page.locator("input[type=file]").first.set_input_files(file)


def uploads(folder):
    return [file for file in folder.rglob("*") if file.is_file() and file.stat().st_size]


def ask(port, method, path, body=None, **headers):
    """The status and the text of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    with contextlib.closing(connection):
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def test_an_image_is_explained_and_blocks_are_switched(page, server, images):
    page, asked, keep = page
    keep("empty")
    drop(page, images / "picture.txt")
    page.wait_for_selector(".plots img")
    assert page.locator(".classes tr").count() == 6
    assert page.locator(".shown img").count() == 2
    assert page.locator(".plots img").count() == 5
    keep("image")
    page.get_by_label("off", exact=True).last.check()
    page.wait_for_selector("text=before")
    off = page.locator(".classes").inner_text()
    page.get_by_label("mean gates", exact=True).last.check()
    page.wait_for_function("text => document.querySelector('.classes').innerText != text", arg=off)
    assert "change" in page.locator(".classes").inner_text()
    keep("switched")
    page.get_by_label("own gates", exact=True).last.check()
    page.wait_for_selector("text=before", state="detached")
    # Nothing is wider than the page, nothing comes from elsewhere, and no upload is left.
    widths = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert widths[0] <= widths[1]
    start = f"http://127.0.0.1:{server[0]}/"
    assert not [url for url in asked if not url.startswith((start, "data:", "blob:"))]
    assert not uploads(server[1])


@pytest.mark.parametrize("name, words", [("note.png", "not an image"), ("large.png", "5 M")])
def test_what_is_no_image_is_said_to_be_none(page, server, images, name, words):
    page, _, keep = page
    drop(page, images / name)
    page.wait_for_selector(f"text={words} >> nth=-1")
    keep(name)
    assert not uploads(server[1])


def part(name, content):
    head = f'--part\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
    return head.encode() + content + b"\r\n--part--\r\n"


def test_other_hosts_and_other_files_are_refused(server, images):
    port, folder = server
    assert ask(port, "GET", "/")[0] == 200
    assert ask(port, "GET", "/", Host="elsewhere.example")[0] == 400
    for name, expected in (("note.png", 415), ("large.png", 413), ("picture.txt", 200)):
        body = part(name, (images / name).read_bytes())
        status, text = ask(port, "POST", "/gradio_api/upload", body, **MULTIPART)
        assert status == expected, text
    (left,) = uploads(folder)
    # What nobody asks about goes with the next request after two minutes.
    os.utime(left, (0, 0))
    ask(port, "GET", "/")
    assert not uploads(folder)


def upload(port, image):
    """The path of an image that has been sent."""
    status, text = ask(port, "POST", "/gradio_api/upload", part("image", image), **MULTIPART)
    assert status == 200
    return Path(json.loads(text)[0])


def explain(port, path):
    """Asks for the first thing that the page does, which is to take an upload."""
    file = {"path": str(path), "meta": {"_type": "gradio.FileData"}}
    data = [file, "the predicted one", [], [], *["own gates"] * 3]
    body = json.dumps({"data": data, "fn_index": 0, "session_hash": path.name})
    headers = {"Content-Type": "application/json"}
    assert ask(port, "POST", "/gradio_api/queue/join", body, **headers)[0] == 200


def test_no_other_file_of_the_machine_is_read_or_deleted(server, images, tmp_path):
    port, _ = server
    victim = tmp_path / "victim.png"
    victim.write_bytes((images / "picture.txt").read_bytes())
    explain(port, victim)
    # One after the other: when this is done, so is that.
    own = upload(port, victim.read_bytes())
    explain(port, own)
    end = time.monotonic() + SECONDS
    while own.exists():
        assert time.monotonic() < end
        time.sleep(0.1)
    assert victim.exists()
