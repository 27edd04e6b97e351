"""Whether a server can be reached and says anything, found out within seconds."""

import http.client
import queue
import socket
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

# A host answers within milliseconds or, where packets get lost, never. A host has an address of
# each kind, and one may be out of reach.
_CONNECT_SECONDS, _CONNECT_SECONDS_OF_ADDRESS = 4.0, 1.9
# A server that says nothing for so long has forgotten the download.
SILENCE_SECONDS = 30


class Unreachable(OSError):
    """The server was not asked: there is no connection to it, or offline mode is on."""


def call_within(seconds: float, function: Callable, *args: Any) -> Any:
    """Calls a function, and gives up on it after some seconds.

    Args:
        seconds: The time limit.
        function: A function that has no time limit of its own, such as looking up a name. After the
            limit it goes on in a thread that does not keep the process from ending.
        args: Its arguments.

    Returns:
        What it returns.

    Raises:
        TimeoutError: If it takes longer.
        Exception: What it raises.
    """
    outcome = queue.SimpleQueue()

    def call():
        try:
            outcome.put((function(*args), None))
        except Exception as error:
            outcome.put((None, error))

    threading.Thread(target=call, daemon=True).start()
    try:
        value, error = outcome.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer within {seconds:g} seconds") from None
    if error is not None:
        raise error
    return value


def check_connection(url: str) -> None:
    """Fails within seconds where no connection can be made: the downloaders try for much longer.

    Args:
        url: An address on the server.

    Raises:
        Unreachable: If it cannot be reached, directly or by the proxy of the environment.
    """
    host = _first_host(url)
    try:
        call_within(_CONNECT_SECONDS, _connect, *host)
    except (OSError, UnicodeError) as error:
        raise Unreachable(
            f"{host[0]} (port {host[1]}) cannot be reached: {error}. Check the connection, the "
            "proxy and, for the hub, HF_ENDPOINT, which can name a mirror"
        ) from error


def check_answer(url: str) -> None:
    """Fails for a server that takes connections and says nothing: the hub's client waits longer.

    Args:
        url: Its address.

    Raises:
        Unreachable: If it says nothing for `SILENCE_SECONDS`.
    """
    request = urllib.request.Request(url, method="HEAD")
    try:
        urllib.request.urlopen(request, timeout=SILENCE_SECONDS).close()
    except urllib.error.HTTPError as error:
        error.close()
    except (OSError, http.client.HTTPException) as error:
        # Of other failures the hub's client, which has certificates of its own, is the judge.
        if isinstance(getattr(error, "reason", error), TimeoutError):
            raise Unreachable(
                f"{url} says nothing: {error}. HF_ENDPOINT can name a mirror"
            ) from error


def _first_host(url):
    """The host and port that requests of `url` connect to, which may be a proxy's."""
    parts = urllib.parse.urlsplit(url)
    proxies = urllib.request.getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if proxy and not urllib.request.proxy_bypass(parts.netloc):
        parts = urllib.parse.urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme, 1080)


def _connect(host, port):
    """Makes a connection, or fails with the error of the last address."""
    addresses = reversed(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    # The first address of each kind.
    for address in {family: address for family, *_, address in addresses}.values():
        try:
            return socket.create_connection(address[:2], _CONNECT_SECONDS_OF_ADDRESS).close()
        except OSError as error:
            last = error
    raise last
