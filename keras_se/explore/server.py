"""Serves the page on this machine and to nobody else."""

import os
import signal
import tempfile
from collections.abc import Callable
from typing import Any

from keras_se.explore.page import Page
from keras_se.explore.sections import STYLE
from keras_se.explore.uploads import MOST_BYTES, MOST_MEGABYTES, decode_image, delete_old
from keras_se.preprocessing import Preprocessing
from keras_se.validation import require_packages

HOST = "127.0.0.1"
# A page of another host that makes its name mean this machine still sends that name.
HOSTS = [HOST, "localhost"]
# Of a request with an image, besides the image.
ENVELOPE = 10_000


def check_packages() -> None:
    """Raises an ImportError that says what to install if the page cannot be served."""
    require_packages("keras-se explore", "gradio", "matplotlib")


def serve(page: Page, port: int) -> None:
    """Serves a page at 127.0.0.1, prints its address, and ends when the process is interrupted.

    Uploads are written into a temporary folder and deleted once they are read.

    Args:
        page: The `Page`.
        port: The port, or 0 for any that is free.

    Raises:
        ImportError: If Gradio or Matplotlib are not installed.
        OSError: If the port is not free.
    """
    check_packages()
    import uvicorn

    # Otherwise the folder would stay.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="keras-se-explore-") as folder:
        options = {"log_level": "error", "timeout_graceful_shutdown": 1}
        config = uvicorn.Config(application(page, folder), host=HOST, port=port, **options)
        try:
            listening = config.bind_socket()
        except SystemExit as error:
            raise OSError(
                f"Port {port} of {HOST} is not free: choose another by --port."
            ) from error
        with listening:
            print(f"http://{HOST}:{listening.getsockname()[1]}", flush=True)
            uvicorn.Server(config).run(sockets=[listening])


def application(page: Page, folder: str) -> Callable:
    """Returns the page as an ASGI application that sends nothing to other machines.

    Args:
        page: The `Page`.
        folder: Where uploads are until they are read.
    """
    # Before the import: Gradio reads them then.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_TEMP_DIR"] = folder
    import gradio
    from fastapi import FastAPI
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    # Gradio's own themes take their fonts from Google.
    theme = gradio.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"])
    app = gradio.mount_gradio_app(
        FastAPI(docs_url=None, redoc_url=None, openapi_url=None),
        page.build(),
        "/",
        server_name=HOST,
        footer_links=[],
        max_file_size=MOST_BYTES,
        ssr_mode=False,
        theme=theme,
        css=STYLE,
    )
    guarded = ImagesOnly(app, page.explorer.preprocessing, folder)
    return TrustedHostMiddleware(guarded, allowed_hosts=HOSTS)


class ImagesOnly:
    """Refuses uploads that are too large or no images, before anything of them is kept.

    Args:
        app: The ASGI application behind it.
        preprocessing: How images are resized.
        folder: Where the application keeps uploads; what stays there for long is deleted.
    """

    def __init__(self, app: Callable, preprocessing: Preprocessing, folder: str):
        self.app, self.preprocessing, self.folder = app, preprocessing, folder

    async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:
        """Answers a request, or lets the application do so."""
        delete_old(self.folder)
        kind = dict(scope.get("headers", ())).get(b"content-type", b"")
        if scope["type"] != "http" or not kind.lower().startswith(b"multipart/"):
            await self.app(scope, receive, send)
            return
        from starlette.responses import PlainTextResponse

        body = await _body(receive, MOST_BYTES + ENVELOPE)
        if body is None:
            refusal = PlainTextResponse(f"The file has more than {MOST_MEGABYTES} MB.", 413)
        else:
            refusal = await self._refusal(scope, body)
        answer = self.app if refusal is None else refusal
        await answer(scope, _again(body, receive), send)

    async def _refusal(self, scope, body):
        """The answer to an upload that is no image, or `None`."""
        from starlette.concurrency import run_in_threadpool
        from starlette.requests import Request
        from starlette.responses import PlainTextResponse

        async with Request(scope, _again(body, None)).form() as form:
            for _, part in form.multi_items():
                content = b"" if isinstance(part, str) else await part.read()
                try:
                    await run_in_threadpool(decode_image, content, self.preprocessing)
                except ValueError as error:
                    return PlainTextResponse(str(error), 415)
        return None


async def _body(receive, most):
    """The whole body of a request, or `None` if it is larger."""
    body, more = bytearray(), True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > most:
            return None
    return bytes(body)


def _again(body: bytes | None, receive: Any) -> Callable:
    """A `receive` that gives a body that has been received, and then what comes after."""
    messages = [{"type": "http.request", "body": body or b"", "more_body": False}]

    async def give():
        return messages.pop() if messages else await receive()

    return give
