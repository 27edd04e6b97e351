"""The prediction server: a process of its own, asked over HTTP."""

import asyncio
import contextlib
import http.client
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from conftest import load_script
from PIL import Image

from keras_se.applications import SEResNet20
from keras_se.export import export_model, load_exported

if keras.backend.backend() != "tensorflow":
    pytest.skip("the server needs nothing of the backend", allow_module_level=True)

# One process makes the exports.
pytestmark = pytest.mark.xdist_group("serve")
SERVE = Path(__file__).parent.parent / "applications" / "serve.py"
PATHS = {"saved_model": "served", "onnx": "served.onnx", "openvino": "served.xml"}
(ROW,) = SEResNet20.weights
HEARTBEAT_TIMEOUT = 120  # seconds


def picture(seed):
    """A file: stripes and a spot, some wide, some high, JPEG or PNG."""
    random = np.random.default_rng(seed)
    height, width = random.integers(40, 160, 2)
    y, x = np.mgrid[0:height, 0:width] / height
    spot = np.exp(-20 * ((x - random.random()) ** 2 + (y - 0.5) ** 2))
    stripes = 0.5 + 0.5 * np.sin(random.uniform(5, 40) * x)
    levels = np.stack([spot, stripes, random.random() * y], axis=-1)
    file = io.BytesIO()
    Image.fromarray(np.uint8(255 * levels)).save(file, ("JPEG", "PNG")[seed % 2])
    return file.getvalue()


FILES = [picture(seed) for seed in range(12)]


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    """The paths by format, and the probabilities of `FILES` by Keras."""
    model = SEResNet20(weights="cifar10", classes=10)
    folder = tmp_path_factory.mktemp("exports")
    for format, name in PATHS.items():
        names = ROW.class_names
        export_model(
            model, folder / name, format, preprocessing=ROW.preprocessing, class_names=names
        )
    images = [SEResNet20.load_image(Image.open(io.BytesIO(one)), "cifar10") for one in FILES]
    batch = SEResNet20.preprocess_input(np.stack(images), "cifar10")
    return folder, model.predict(batch, verbose=0)


class Server:
    """The server as a process, from `__enter__` to `__exit__`."""

    def __init__(self, model, *options, port=0):
        # Keras needs a backend for the resizing: what the exports need, and not more.
        backend = "tensorflow" if model.suffix == "" else "openvino"
        self.process = subprocess.Popen(
            [sys.executable, SERVE, model, "--port", str(port), *map(str, options)],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "KERAS_BACKEND": backend},
        )
        self.port = None

    def __enter__(self):
        said = []
        for line in self.process.stderr:
            said.append(line)
            if found := re.search(r"running on http://127\.0\.0\.1:(\d+)", line):
                self.port = int(found[1])
                # Nothing of what a backend says as it starts.
                assert all(line.startswith("INFO:") for line in said), said
                return self
        raise AssertionError("".join(said))

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def ask(self, path, body=None, method=None, **headers):
        """The status, the answer and the headers of a request."""
        with contextlib.closing(self.connect()) as connection:
            headers = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method or ("GET" if body is None else "POST"), path, body, headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read()), response.headers

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=HEARTBEAT_TIMEOUT)


def wait_until(condition):
    end = time.monotonic() + HEARTBEAT_TIMEOUT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def assert_right(answer, expected):
    """The answer has all classes, the likeliest first, with Keras's probabilities."""
    rows = answer["predictions"]
    assert sorted(row["class"] for row in rows) == list(range(10))
    assert all(row["name"] == ROW.class_names[row["class"]] for row in rows)
    got = [row["probability"] for row in rows]
    assert got == sorted(got, reverse=True)
    np.testing.assert_allclose(got, [expected[row["class"]] for row in rows], atol=1e-4)


@pytest.mark.parametrize("format", ["saved_model", "onnx"])  # OpenVINO is killed below
def test_many_clients_get_what_keras_predicts(exports, format):
    folder, expected = exports
    assert len({*expected.argmax(-1)}) > 2  # or the pictures would be too much alike
    with Server(folder / PATHS[format]) as server, ThreadPoolExecutor(8) as clients:
        assert server.ask("/metadata")[1]["network"] == "seresnet20"
        answers = clients.map(lambda one: server.ask("/predict?top=10", one), FILES * 3)
        for (status, answer, _), probabilities in zip(answers, [*expected] * 3, strict=True):
            assert status == 200
            assert_right(answer, probabilities)
        status, answer, _ = server.ask("/predict?top=2", FILES[0])
        assert [row["class"] for row in answer["predictions"]] == [*(-expected[0]).argsort()[:2]]


def png(width, height):
    file = io.BytesIO()
    Image.new("1", (width, height)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def strict(exports):
    """A server that takes a tenth of a megabyte and of a megapixel."""
    with Server(exports[0] / "served.onnx", "--megabytes", 0.1, "--megapixels", 0.1) as server:
        yield server
        assert server.ask("/predict", FILES[0])[0] == 200  # after all that was refused
        assert server.ask("/health")[1] == {"accepted": 0}


@pytest.mark.parametrize(
    ("status", "reason", "path", "request_"),
    [
        (400, "no image file", "/predict", {"body": b"GIF? no."}),
        (400, "no image file", "/predict", {"body": b""}),
        (400, "cannot be read.*truncated", "/predict", {"body": FILES[0][: len(FILES[0]) // 2]}),
        (400, "`top` must be .* not 'x'", "/predict?top=x", {"body": FILES[0]}),
        (400, "`top` must be .* not '0'", "/predict?top=0", {"body": FILES[0]}),
        (400, "cannot be read.*over the limit", "/predict", {"body": png(2, 9000)}),
        (404, "Not Found", "/", {}),
        (405, "Method Not Allowed", "/predict", {}),
        (405, "Method Not Allowed", "/health", {"body": b""}),
        (413, "Over 0.1 megabytes", "/predict", {"body": bytes(5_000_000)}),
        (413, "too many pixels", "/predict", {"body": png(400, 400)}),
        (413, "too many pixels", "/predict", {"body": png(4000, 4000)}),
        (415, "'application/json'", "/predict", {"body": b"1", "content_type": "application/json"}),
    ],
)
def test_bad_requests_hear_why(strict, status, reason, path, request_):
    got, answer, _ = strict.ask(path, **request_)
    assert got == status
    assert re.search(reason, answer["error"]), answer


def begin(server, content):
    """Sends the first half of a request."""
    connection = server.connect()
    connection.putrequest("POST", "/predict?top=10")
    connection.putheader("Content-Length", len(content))
    connection.endheaders(content[: len(content) // 2])
    return connection


def refuses(server):
    with contextlib.closing(server.connect()) as connection:
        try:
            connection.connect()
        except ConnectionRefusedError:
            return True
        return False


def test_a_full_queue_refuses_and_the_last_are_answered_before_the_end(exports):
    folder, expected = exports
    with Server(folder / "served.onnx", "--queue", 2, "--seconds", HEARTBEAT_TIMEOUT) as server:
        begun = [begin(server, content) for content in FILES[:2]]
        wait_until(lambda: server.ask("/health")[1]["accepted"] == 2)
        status, answer, headers = server.ask("/predict", FILES[2])
        assert (status, headers["Retry-After"]) == (503, "1")
        assert "wait" in answer["error"]
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: refuses(server))
        for connection, content, probabilities in zip(begun, FILES[:2], expected[:2], strict=True):
            connection.send(content[len(content) // 2 :])
            response = connection.getresponse()
            assert response.status == 200
            assert_right(json.loads(response.read()), probabilities)
            connection.close()
        # The signal, after what it began is done.
        assert server.process.wait(HEARTBEAT_TIMEOUT) in (0, -signal.SIGTERM)
        assert "Application shutdown complete" in server.process.stderr.read()


class Client(threading.Thread):
    """Asks for one picture again and again, and again when the server is not there."""

    def __init__(self, server, content, expected):
        super().__init__()
        self.server, self.content, self.expected = server, content, expected
        self.answers, self.failures, self.stop = 0, 0, False

    def run(self):
        while not self.stop:
            try:
                status, answer, _ = self.server.ask("/predict?top=10", self.content)
            except (OSError, http.client.HTTPException):
                self.failures += 1
                time.sleep(0.05)
            else:
                assert status == 200
                assert_right(answer, self.expected)
                self.answers += 1


# An error in a client's thread is a warning here, and so fails the test.
def test_killed_and_started_again_it_gives_the_same_answers(exports):
    folder, expected = exports
    with Server(folder / "served.xml") as server:
        clients = [Client(server, *one) for one in zip(FILES[:4], expected[:4], strict=True)]
        try:
            for client in clients:
                client.start()
            wait_until(lambda: min(client.answers for client in clients) >= 2)
            server.process.kill()
            wait_until(lambda: min(client.failures for client in clients) >= 1)
            before = [client.answers for client in clients]
            with Server(folder / "served.xml", port=server.port):
                pairs = zip(clients, before, strict=True)
                wait_until(lambda: all(one.answers >= old + 2 for one, old in [*pairs]))
        finally:
            for client in clients:
                client.stop = True
            for client in clients:
                client.join()


@pytest.fixture
def serve():
    return load_script(SERVE)


@pytest.mark.parametrize("included", (False, True))
def test_pixels_are_normalized_once(tmp_path, included):
    model = SEResNet20()
    path = export_model(model, tmp_path / "m.keras", preprocessing=included).path
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype("uint8")
    expected = model.predict(ROW.preprocessing.normalize(pixels), verbose=0)
    result = load_exported(path).predict(pixels)
    np.testing.assert_allclose(result, expected, atol=1e-5)


def service(serve, run, **options):
    metadata = {"preprocessing": {}, "class_names": None}
    return serve.Service(run, metadata, SimpleNamespace(wait=50, batch=4, **options))


def test_images_are_predicted_together_and_an_error_goes_to_its_batch_only(serve):
    sizes = []

    def run(images):
        sizes.append(len(images))
        if (images == 5).any():
            raise ValueError("five")
        return 10 * images

    async def ask():
        one = service(serve, run)
        async with one.lifespan(None):
            futures = [asyncio.get_running_loop().create_future() for _ in range(10)]
            for number, future in enumerate(futures):
                one.waiting.put_nowait((np.array([number]), future))
            return await asyncio.gather(*futures, return_exceptions=True)

    answers = asyncio.run(ask())
    assert sizes == [4, 4, 2]
    assert [str(one) for one in answers] == (
        ["[0]", "[10]", "[20]", "[30]"] + ["five"] * 4 + ["[80]", "[90]"]
    )


def test_a_body_that_never_ends_is_given_up(serve):
    class Request:
        async def stream(self):
            yield b"begun"
            await asyncio.Event().wait()

    async def ask():
        await service(serve, None, seconds=0.01, megabytes=1).receive(Request())

    with pytest.raises(serve.HTTPException) as caught:
        asyncio.run(ask())
    assert (caught.value.status_code, caught.value.headers) == (408, {"Connection": "close"})
