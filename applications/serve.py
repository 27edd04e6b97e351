"""Says over HTTP what is in pictures, with an exported network.

    python applications/serve.py runs/model.onnx [--port 8000] [--batch 8] [--wait 3] [--queue 64]
    curl --data-binary @cat.jpg "http://127.0.0.1:8000/predict?top=3"

The body of `POST /predict` is one image file; `GET /metadata` names the network and its classes,
`GET /health` says that the server is there. Images that come within `--wait` milliseconds are
predicted together. On SIGTERM what has been accepted is answered before the process ends.
"""

import argparse
import asyncio
import contextlib
import io
import re
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import uvicorn
from PIL import Image, UnidentifiedImageError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.routing import Route

import keras_se_command

# Before the imports of keras_se, or TensorFlow would write lines as it starts.
keras_se_command.load_keras()

from keras_se.export import load_exported, read_metadata  # noqa: E402
from keras_se.image_files import FORMATS  # noqa: E402
from keras_se.preprocessing import Preprocessing  # noqa: E402

# What a file may be called; the last is what `curl --data-binary` says.
RAW = ("image/", "application/octet-stream", "application/x-www-form-urlencoded")


def decode(content, preprocessing):
    """Gives the square of an image file that the network is evaluated on."""
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            return preprocessing.load_image(picture)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise HTTPException(413, f"The picture has too many pixels: {error}") from error
    except UnidentifiedImageError as error:
        raise HTTPException(400, f"The body is no image file of {', '.join(FORMATS)}.") from error
    except Exception as error:  # On a damaged file Pillow's readers raise almost anything.
        raise HTTPException(400, f"The picture cannot be read: {error}") from error


class Service:
    """Predicts images that come one by one in batches, and answers requests.

    Args:
        run: Callable of uint8 images that gives the probabilities `(image, class)`.
        metadata: What `read_metadata` says of the network.
        options: The numbers of `--help`.
    """

    def __init__(self, run, metadata, options):
        self.run, self.metadata, self.options = run, metadata, options
        self.preprocessing = Preprocessing(**metadata["preprocessing"])
        self.waiting, self.accepted = asyncio.Queue(), 0

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
            try:
                scores = await loop.run_in_executor(thread, self.run, np.stack(images))
            except Exception as error:
                for future in futures:
                    future.set_exception(error)
            else:
                for future, row in zip(futures, scores, strict=True):
                    future.set_result(row)

    async def receive(self, request):
        """Gives the body; what comes after a refusal uvicorn reads and drops."""
        content = bytearray()
        try:
            async with asyncio.timeout(self.options.seconds):
                async for part in request.stream():
                    content += part
                    if len(content) > 1e6 * self.options.megabytes:
                        raise HTTPException(413, f"Over {self.options.megabytes} megabytes.")
        except TimeoutError as error:
            raise HTTPException(408, "The body took too long.", {"Connection": "close"}) from error
        except ClientDisconnect as error:
            raise HTTPException(400, "The client went away.") from error
        return content

    async def predict(self, request):
        """Names the likeliest classes, or says why not."""
        top = request.query_params.get("top", "5")
        if not re.fullmatch("[1-9][0-9]{0,4}", top):
            raise HTTPException(400, f"`top` must be a number of at least 1, not {top!r}.")
        kind = request.headers.get("content-type", RAW[0])
        if not kind.startswith(RAW):
            raise HTTPException(415, f"The body must be an image file alone, not {kind!r}.")
        if self.accepted >= self.options.queue:
            raise HTTPException(503, "Too many others wait.", {"Retry-After": "1"})
        self.accepted += 1
        try:
            image = await asyncio.to_thread(decode, await self.receive(request), self.preprocessing)
            future = asyncio.get_running_loop().create_future()
            self.waiting.put_nowait((image, future))
            scores = await future
        finally:
            self.accepted -= 1
        best = np.argsort(-scores, kind="stable")[: int(top)].tolist()
        names = self.metadata["class_names"] or range(len(scores))
        rows = [{"class": i, "name": names[i], "probability": float(scores[i])} for i in best]
        return JSONResponse({"predictions": rows})

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
    add("--megapixels", type=float, default=50, help="largest picture")
    add("--seconds", type=float, default=10, help="longest time to send a body")
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
        Route("/health", lambda _: JSONResponse({"accepted": service.accepted})),
    ]
    handlers = {HTTPException: refuse}
    app = Starlette(routes=routes, lifespan=service.lifespan, exception_handlers=handlers)
    uvicorn.run(app, host=options.host, port=options.port, access_log=False)


if __name__ == "__main__":
    main()
