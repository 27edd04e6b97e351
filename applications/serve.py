"""Says over HTTP what is in pictures, with an exported network.

    python applications/serve.py runs/model.onnx [--port 8000] [--batch 8] [--wait 3] [--queue 64]
    curl --data-binary @cat.jpg "http://127.0.0.1:8000/predict?top=3"

The body of `POST /predict` is one image file; `GET /metadata` names the network and its classes.
`GET /health` says that the server is there, `GET /ready` that it would take an image now, and `GET
/metrics` counts for Prometheus. Images that come within `--wait` milliseconds are predicted
together, always in the same thread: Keras on JAX cannot predict in several. On SIGTERM what has
been accepted is answered before the process ends.
"""

import argparse
import asyncio
import contextlib
import io
import os
import re
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import uvicorn
from PIL import Image, UnidentifiedImageError
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

import keras_se_command

# Before the imports of keras_se, or TensorFlow would write lines as it starts.
keras_se_command.load_keras()

from keras_se.export import load_exported, read_metadata  # noqa: E402
from keras_se.image_files import FORMATS  # noqa: E402
from keras_se.preprocessing import Preprocessing  # noqa: E402

# What a file may be called; the last is what `curl --data-binary` says.
RAW = ("image/", "application/octet-stream", "application/x-www-form-urlencoded")
# Bodies that are being sent, all together.
MOST_BYTES = 256e6
# Connections that the system has accepted and the server has not seen: they take files too.
BACKLOG = 64
BUSY = HTTPException(503, "Too many others wait.", {"Retry-After": "1"})


@contextlib.contextmanager
def explained():
    """Turns what Pillow raises into an answer."""
    try:
        yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise HTTPException(413, f"The picture has too many pixels: {error}") from error
    except UnidentifiedImageError as error:
        raise HTTPException(400, f"The body is no image file of {', '.join(FORMATS)}.") from error
    except Exception as error:  # On a damaged file Pillow's readers raise almost anything.
        raise HTTPException(400, f"The picture cannot be read: {error}") from error


def open_picture(content):
    """Reads the header of an image file."""
    with explained():
        return Image.open(io.BytesIO(content), formats=FORMATS)


def decode(picture, preprocessing):
    """Gives the square of a picture that the network is evaluated on."""
    with explained(), picture:
        return preprocessing.load_image(picture)


class Connection(H11Protocol):
    """A connection that is not waited for without end, and makes room when there are too many.

    uvicorn itself would wait for headers, and take connections until the system has no files left.

    Args:
        options: The numbers of `--help`.
        **arguments: uvicorn's.
    """

    def __init__(self, options, **arguments):
        super().__init__(**arguments)
        self.options, self.since, self.clock = options, time.monotonic(), None

    @property
    def idle(self):
        """Whether there is no request whose headers are complete."""
        return self.cycle is None or self.cycle.response_complete

    @property
    def sending(self):
        """Whether it is the client's turn."""
        return self.idle or self.cycle.more_body

    def connection_made(self, transport):
        """Cuts off who has been sending for longest, if there are too many."""
        super().connection_made(transport)
        self.watch()
        if len(self.connections) > self.options.connections:
            sending = (connection for connection in self.connections if connection.sending)
            min(sending, key=lambda connection: connection.since).transport.abort()

    def data_received(self, data):
        """Notes when a request begins."""
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self.since = time.monotonic()
        self.watch()

    def connection_lost(self, error):
        """Stops the clock."""
        super().connection_lost(error)
        self.stop_clock()

    def watch(self):
        """Starts the clock for the headers of a request, or stops it when they are there."""
        if not self.idle:
            self.stop_clock()
        elif self.clock is None:
            self.clock = self.loop.call_later(self.options.seconds, self.transport.abort)

    def stop_clock(self):
        """Lets the client take its time."""
        if self.clock is not None:
            self.clock.cancel()
            self.clock = None


class Metrics:
    """What Prometheus is told: requests, batches, and what the process takes."""

    def __init__(self, service):
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter(
            "keras_se_requests", "Requests to predict.", ["status"], registry=registry
        )
        self.seconds = Histogram(
            "keras_se_request_seconds", "From headers to answer.", registry=registry
        )
        self.batches = Histogram(
            "keras_se_batch_images",
            "Images that are predicted together.",
            buckets=[2**power for power in range(10)],
            registry=registry,
        )
        for name in ("accepted", "receiving", "pixels"):
            gauge = Gauge(f"keras_se_{name}", f"{name.capitalize()} now.", registry=registry)
            gauge.set_function(lambda name=name: getattr(service, name))


def fail(futures, error):
    """Hands an error to those who still wait."""
    for future in futures:
        if not future.done():
            future.set_exception(error)


class Service:
    """Predicts images that come one by one in batches, and answers requests.

    Args:
        run: Callable of uint8 images that gives the probabilities `(image, class)`.
        metadata: What `read_metadata` says of the network.
        options: The numbers of `--help`.

    Attributes:
        receiving: How many requests send their bodies, and `bytes` how much of them is there.
        accepted: How many requests with whole bodies wait for their answers.
        pixels: Of the pictures that wait to be decoded or are.
    """

    def __init__(self, run, metadata, options):
        self.run, self.metadata, self.options = run, metadata, options
        self.preprocessing = Preprocessing(**metadata["preprocessing"])
        self.waiting = asyncio.Queue()
        self.accepted = self.receiving = self.bytes = self.pixels = 0
        self.decoders = ThreadPoolExecutor(options.decoders)
        self.metrics = Metrics(self)

    async def work(self):
        """Predicts batch after batch; an error goes to those who wait for it."""
        loop, thread = asyncio.get_running_loop(), ThreadPoolExecutor(1)
        while True:
            batch = [await self.waiting.get()]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.options.wait / 1000):
                    while len(batch) < self.options.batch:
                        batch.append(await self.waiting.get())
            images, futures = zip(*batch, strict=True)
            self.metrics.batches.observe(len(images))
            try:
                scores = await loop.run_in_executor(thread, self.run, np.stack(images))
            except Exception as error:
                fail(futures, error)
            else:
                for future, row in zip(futures, scores, strict=True):
                    # Not of a client that went away.
                    if not future.done():
                        future.set_result(row)

    async def receive(self, request):
        """Gives the body; what comes after a refusal uvicorn reads and drops."""
        content = bytearray()
        self.receiving += 1
        try:
            async with asyncio.timeout(self.options.seconds):
                async for part in request.stream():
                    content += part
                    self.bytes += len(part)
                    if len(content) > 1e6 * self.options.megabytes:
                        raise HTTPException(413, f"Over {self.options.megabytes} megabytes.")
                    if self.bytes > MOST_BYTES:
                        raise BUSY
        except TimeoutError as error:
            raise HTTPException(408, "The body took too long.", {"Connection": "close"}) from error
        except ClientDisconnect as error:
            raise HTTPException(400, "The client went away.") from error
        finally:
            self.receiving -= 1
            self.bytes -= len(content)
        return content

    async def load(self, content):
        """Decodes an image file, if not too many pixels wait already."""
        picture = await asyncio.to_thread(open_picture, content)
        pixels = picture.width * picture.height
        if self.pixels and self.pixels + pixels > 1e6 * self.options.waiting_megapixels:
            raise BUSY
        self.pixels += pixels
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self.decoders, decode, picture, self.preprocessing)
        finally:
            self.pixels -= pixels

    async def predict(self, request):
        """Names the likeliest classes, or says why not."""
        started, status = time.perf_counter(), 500
        try:
            response = await self.answer(request)
            status = response.status_code
            return response
        except HTTPException as error:
            status = error.status_code
            raise
        finally:
            self.metrics.requests.labels(status).inc()
            self.metrics.seconds.observe(time.perf_counter() - started)

    async def answer(self, request):
        """What `predict` says."""
        top = request.query_params.get("top", "5")
        if not re.fullmatch("[1-9][0-9]{0,4}", top):
            raise HTTPException(400, f"`top` must be a number of at least 1, not {top!r}.")
        kind = request.headers.get("content-type", RAW[0])
        if not kind.lower().startswith(RAW):
            raise HTTPException(415, f"The body must be an image file alone, not {kind!r}.")
        if self.full:
            raise BUSY
        # Who sends slowly takes no place from others.
        content = await self.receive(request)
        if self.full:
            raise BUSY
        self.accepted += 1
        try:
            image = await self.load(content)
            future = asyncio.get_running_loop().create_future()
            self.waiting.put_nowait((image, future))
            scores = await future
        finally:
            self.accepted -= 1
        best = np.argsort(-scores, kind="stable")[: int(top)].tolist()
        names = self.metadata["class_names"] or range(len(scores))
        rows = [{"class": i, "name": names[i], "probability": float(scores[i])} for i in best]
        return JSONResponse({"predictions": rows})

    @property
    def full(self):
        """Whether as many wait as may."""
        return self.accepted >= self.options.queue

    def ready(self, request):
        """Whether an image would be taken now."""
        return JSONResponse({"ready": not self.full}, 503 if self.full else 200)

    def health(self, request):
        """Says that the server is there, and how many it is busy with."""
        return JSONResponse({"accepted": self.accepted, "receiving": self.receiving})

    def count(self, request):
        """The metrics in Prometheus's format."""
        return Response(generate_latest(self.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @contextlib.asynccontextmanager
    async def lifespan(self, app):
        """Works as long as the server is there."""
        task = asyncio.create_task(self.work())
        yield
        task.cancel()


def refuse(request, error):
    """Says in JSON why there is no answer."""
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


def parse(arguments):
    """The options, and what the export says of itself."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("model", help="a SavedModel, or an .onnx, .xml (OpenVINO) or .tflite file")
    add("--host", default="127.0.0.1", help="address")
    add("--port", type=int, default=8000, help="0 for any that is free")
    add("--batch", type=int, default=8, help="most images of a batch")
    add("--wait", type=float, default=3, help="milliseconds that an image waits for others")
    add("--queue", type=int, default=64, help="most requests at a time; others get status 503")
    add("--megabytes", type=float, default=10, help="largest body")
    add("--megapixels", type=float, default=25, help="largest picture")
    add("--waiting-megapixels", type=float, default=100, help="most of all that are being decoded")
    add("--decoders", type=int, default=min(4, os.cpu_count()), help="pictures decoded at a time")
    add("--seconds", type=float, default=10, help="longest time to send headers, and a body")
    add("--connections", type=int, default=500, help="most; those that send for longest are cut")
    options = parser.parse_args(arguments)
    try:
        metadata = read_metadata(options.model)
    except (OSError, ValueError) as error:
        parser.error(error)
    if metadata["preprocessing"] is None:
        parser.error(f"{options.model} was exported without preprocessing")
    if metadata["input_shape"][-1] != 3:
        parser.error(f"{options.model} does not take color images with the channels last")
    return options, metadata


def main(arguments=None):
    """Serves until SIGTERM."""
    options, metadata = parse(arguments)
    Image.MAX_IMAGE_PIXELS = int(options.megapixels * 1e6)
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    service = Service(load_exported(options.model).predict, metadata, options)
    routes = [
        Route("/predict", service.predict, methods=["POST"]),
        Route("/metadata", lambda _: JSONResponse(metadata)),
        Route("/health", service.health),
        Route("/ready", service.ready),
        Route("/metrics", service.count),
    ]
    handlers = {HTTPException: refuse}
    app = Starlette(routes=routes, lifespan=service.lifespan, exception_handlers=handlers)
    where = {"host": options.host, "port": options.port}
    uvicorn.run(app, **where, access_log=False, http=partial(Connection, options), backlog=BACKLOG)


if __name__ == "__main__":
    main()
