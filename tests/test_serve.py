"""The prediction server: a process of its own, asked over HTTP."""

import asyncio
import contextlib
import http.client
import io
import json
import os
import re
import signal
import socket
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
generate_latest = pytest.importorskip("prometheus_client").generate_latest

# One process makes the exports.
pytestmark = [pytest.mark.xdist_group("serve"), pytest.mark.backend_neutral]
SERVE = Path(__file__).parent.parent / "applications" / "serve.py"
PATHS = {"saved_model": "served", "onnx": "served.onnx", "openvino": "served.xml"}
ROW = SEResNet20.weights[0]
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

    def text(self, path):
        with contextlib.closing(self.connect()) as connection:
            connection.request("GET", path)
            return connection.getresponse().read().decode()

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
        assert server.ask("/health")[1] == {"accepted": 0, "receiving": 0}


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


def test_half_open_connections_are_cut_and_the_last_are_answered_before_the_end(exports):
    folder, expected = exports
    options = "--queue", 1, "--seconds", HEARTBEAT_TIMEOUT, "--connections", 8
    with Server(folder / "served.onnx", *options) as server, contextlib.ExitStack() as stack:
        connect = socket.create_connection
        address = "127.0.0.1", server.port
        half_open = [stack.enter_context(connect(address)) for _ in range(20)]
        half_open[-1].sendall(b"POST /predict HTTP/1.1\r\nHos")
        assert server.ask("/health")[0] == 200
        # The oldest have been cut off.
        assert half_open[0].recv(1) == b""
        for connection in half_open:
            connection.close()
        # Who sends takes no place from others, even if there is but one.
        begun = [begin(server, content) for content in FILES[:2]]
        wait_until(lambda: server.ask("/health")[1]["receiving"] == 2)
        assert server.ask("/ready")[:2] == (200, {"ready": True})
        status, answer, _ = server.ask("/predict?top=10", FILES[2], Content_Type="Image/PNG")
        assert status == 200
        assert_right(answer, expected[2])
        metrics = server.text("/metrics")
        assert 'keras_se_requests_total{status="200"} 1.0' in metrics
        assert "keras_se_receiving 2.0" in metrics and "process_open_fds" in metrics
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
    options = {"wait": 50, "batch": 4, "decoders": 1, "seconds": 60, "megabytes": 1} | options
    return serve.Service(run, metadata, SimpleNamespace(**options))


class Request:
    """A request whose body is there, and after it what `more` waits for."""

    def __init__(self, content, more=None):
        self.content, self.more = content, more
        self.query_params, self.headers = {}, {}

    async def stream(self):
        yield self.content
        if self.more:
            await self.more.wait()


def test_a_full_queue_refuses(serve):
    async def ask():
        one = service(serve, None, queue=1, waiting_megapixels=1)
        first = asyncio.create_task(one.predict(Request(FILES[0])))
        while not one.waiting.qsize():
            await asyncio.sleep(0.01)
        assert one.ready(None).status_code == 503
        with pytest.raises(serve.HTTPException) as caught:
            await one.predict(Request(FILES[1]))
        assert (caught.value.status_code, caught.value.headers) == (503, {"Retry-After": "1"})
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert one.ready(None).status_code == 200
        return generate_latest(one.metrics.registry).decode()

    assert 'requests_total{status="503"} 1.0' in asyncio.run(ask())


def test_pictures_wait_by_their_pixels(serve, monkeypatch):
    """One is always taken, another only if both have no more pixels than may wait."""
    decoding, begun = threading.Event(), []

    def decode(picture, preprocessing):
        begun.append(picture.size)
        assert decoding.wait(60)

    monkeypatch.setattr(serve, "decode", decode)

    async def ask():
        one = service(serve, None, waiting_megapixels=0.02)
        loads = [asyncio.create_task(one.load(png(150, 100)))]
        while one.pixels != 15_000:
            await asyncio.sleep(0.01)
        with pytest.raises(serve.HTTPException) as caught:
            await one.load(png(90, 90))
        assert caught.value.status_code == 503
        loads.append(asyncio.create_task(one.load(png(50, 100))))
        while one.pixels != 20_000:
            await asyncio.sleep(0.01)
        # One decoder.
        assert begun == [(150, 100)]
        decoding.set()
        await asyncio.gather(*loads)
        assert one.pixels == 0
        await one.load(png(300, 100))

    asyncio.run(ask())


def test_bodies_together_have_a_limit(serve, monkeypatch):
    monkeypatch.setattr(serve, "MOST_BYTES", 1000)

    async def ask():
        one, more = service(serve, None), asyncio.Event()
        first = asyncio.create_task(one.receive(Request(bytes(600), more)))
        while one.bytes != 600:
            await asyncio.sleep(0)
        with pytest.raises(serve.HTTPException) as caught:
            await one.receive(Request(bytes(600)))
        assert caught.value.status_code == 503
        more.set()
        assert len(await first) == 600
        assert one.bytes == one.receiving == 0

    asyncio.run(ask())


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
    async def ask():
        await service(serve, None, seconds=0.01).receive(Request(b"begun", asyncio.Event()))

    with pytest.raises(serve.HTTPException) as caught:
        asyncio.run(ask())
    assert (caught.value.status_code, caught.value.headers) == (408, {"Connection": "close"})
