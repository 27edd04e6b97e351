"""What applications/serve.py answers under too many connections, large pictures and many requests.

python benchmarks/serve_limits.py runs/served.xml [--requests 10000]

Clients on the same machine; Linux only.
"""

import argparse
import http.client
import io
import resource
import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image
from serve import ask, photographs, start

FILES_ALLOWED = 1024
HALF_OPEN = 1500
LARGE = 64
SIZE = (6000, 4000)
CLIENTS = 9


def main(arguments=None):
    """Prints what happened, a line for each trial."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="an export with preprocessing")
    parser.add_argument("--requests", type=int, default=10000, help="the last trial's")
    options = parser.parse_args(arguments)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    for trial in (half_open_connections, large_pictures, many_requests):
        process, port = start(options.model, [])
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (FILES_ALLOWED, FILES_ALLOWED))
        threading.Thread(target=process.stderr.read, daemon=True).start()
        try:
            print(trial(port, process.pid, options), flush=True)
        finally:
            process.kill()
            process.wait()


def half_open_connections(port, pid, options):
    """Sends half a header by each of many connections, which stay open."""
    connections = []
    for _ in range(HALF_OPEN):
        connections.append(socket.create_connection(("127.0.0.1", port)))
        connections[-1].sendall(b"POST /predict HTTP/1.1\r\nHos")
    seconds = max(health(port) for _ in range(20))
    for connection in connections:
        connection.close()
    return f"{HALF_OPEN} half-open connections: /health within {seconds:.2f} s"


def large_pictures(port, pid, options):
    """Sends large JPEG files at once, and asks for the server's health meanwhile."""
    small = Image.fromarray(np.random.default_rng(0).integers(0, 256, (75, 100, 3)).astype("uint8"))
    file = io.BytesIO()
    small.resize(SIZE, Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    begin, slowest = time.perf_counter(), 0
    with ThreadPoolExecutor(LARGE) as pool:
        answers = [pool.submit(predict, port, [file.getvalue()]) for _ in range(LARGE)]
        while not all(answer.done() for answer in answers):
            slowest = max(slowest, health(port))
            time.sleep(0.1)
    statuses = dict(sum((answer.result() for answer in answers), Counter()))
    return (
        f"{LARGE} pictures of {SIZE[0] * SIZE[1] / 1e6:.0f} megapixels: statuses {statuses} in "
        f"{time.perf_counter() - begin:.0f} s, at most {memory(pid, 'VmHWM')} MiB, "
        f"/health within {slowest:.1f} s"
    )


def many_requests(port, pid, options):
    """Sends pictures of usual size by several clients, one after the other each."""
    files, statuses, lines = list(photographs(20)), Counter(), []
    first = options.requests // 5
    for count in (first, options.requests - first):
        each = [files[number % len(files)] for number in range(count // CLIENTS)]
        with ThreadPoolExecutor(CLIENTS) as pool:
            statuses.update(sum(pool.map(predict, [port] * CLIENTS, [each] * CLIENTS), Counter()))
        lines.append(f"{memory(pid, 'VmRSS')} MiB after {statuses.total()}")
    open_files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return f"Statuses {dict(statuses)}: {', '.join(lines)}; {open_files} open files"


def predict(port, files):
    """Sends files by one connection; counts the statuses."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        return Counter(ask(connection, file)[0] for file in files)
    finally:
        connection.close()


def health(port):
    """The seconds in which the server says that it is there."""
    begin = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request("GET", "/health")
    if connection.getresponse().status != 200:
        raise SystemExit("The server is not there.")
    connection.close()
    return time.perf_counter() - begin


def memory(pid, name):
    """Memory of a process in MiB, by the name that the kernel gives it."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{name}:"))
    return int(line.split()[1]) // 1024


if __name__ == "__main__":
    main()
