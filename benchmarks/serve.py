"""Throughput and latency of applications/serve.py under load, and its answers when it is killed.

python benchmarks/serve.py runs/served.onnx [--clients 16] [--seconds 20] [--kills 2]
    [--server "--batch 16 --wait 5"]

Clients on the same machine, each with a connection of its own, send JPEG files of 500 x 375 pixels,
one after the other; what is not answered because the server was killed or is full is sent again.
Every answer is compared with the one that the same file got when nothing else ran.
"""

import argparse
import http.client
import io
import json
import re
import shlex
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
from PIL import Image

SERVE = Path(__file__).parent.parent / "applications" / "serve.py"
LARGEST_DIFFERENCE = 1e-4  # of a probability


def photographs(count):
    """JPEG files of soft noise, which are as hard to decode as photographs."""
    random = np.random.default_rng(0)
    for _ in range(count):
        small = Image.fromarray(random.integers(0, 256, (75, 100, 3)).astype("uint8"))
        file = io.BytesIO()
        small.resize((500, 375), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
        yield file.getvalue()


def start(model, words, port=0):
    """Starts the server; gives its process and port."""
    command = [sys.executable, SERVE, model, *words, "--port", str(port)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    said = ""
    for line in process.stderr:
        said += line
        if found := re.search(r"running on http://[^:]+:(\d+)", line):
            return process, int(found[1])
    raise SystemExit(f"The server did not start:\n{said}")


def ask(connection, file):
    """The status, and the probabilities by class if there are any."""
    connection.request("POST", "/predict?top=5", file)
    response = connection.getresponse()
    rows = json.loads(response.read()).get("predictions", ())
    return response.status, {one["class"]: one["probability"] for one in rows}


class Client(threading.Thread):
    """Sends files until `stop` is set.

    Attributes:
        seconds: From the first time that a file is sent to its answer, of each file.
        again: How often a file had to be sent again: no connection, or status 503.
        wrong: How many answers were not what they should be.
    """

    def __init__(self, port, files, expected, stop):
        super().__init__()
        self.port, self.files, self.expected, self.stop = port, files, expected, stop
        self.seconds, self.again, self.wrong = [], 0, 0

    def run(self):
        """Sends one file after the other."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        number = self.ident
        while not self.stop.is_set():
            number = (number + 1) % len(self.files)
            begin = time.perf_counter()
            answer = self.answer(connection, self.files[number])
            self.seconds.append(time.perf_counter() - begin)
            self.wrong += not same(answer, self.expected[number])
        connection.close()

    def answer(self, connection, file):
        """Sends a file until there is an answer."""
        while True:
            try:
                status, answer = ask(connection, file)
            except (OSError, http.client.HTTPException):
                connection.close()
                status = 503
            if status != 503:
                return answer
            self.again += 1
            time.sleep(0.1)


def same(answer, expected):
    """Whether probabilities are equal; of those that are nearly so the order may change."""
    both = answer.keys() & expected
    return len(both) >= len(expected) - 1 and all(
        abs(answer[one] - expected[one]) < LARGEST_DIFFERENCE for one in both
    )


def load(options, files):
    """Loads the server and kills it now and then; gives the clients and the seconds it took."""
    words = shlex.split(options.server)
    process, port = start(options.model, words)
    try:
        alone = http.client.HTTPConnection("127.0.0.1", port)
        expected = [ask(alone, file)[1] for file in files]
        alone.close()
        stop = threading.Event()
        clients = [Client(port, files, expected, stop) for _ in range(options.clients)]
        begin = time.perf_counter()
        for client in clients:
            client.start()
        for _ in range(options.kills):
            time.sleep(options.seconds / (options.kills + 1))
            process.kill()
            process.communicate()
            process, _ = start(options.model, words, port)
        time.sleep(options.seconds / (options.kills + 1))
        stop.set()
        for client in clients:
            client.join()
        return clients, time.perf_counter() - begin
    finally:
        process.terminate()
        process.communicate()


def main(arguments=None):
    """Prints a table of one row; the exit status is 1 if an answer was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="an export with preprocessing")
    parser.add_argument("--clients", type=int, default=16, help="at a time (default: 16)")
    parser.add_argument("--seconds", type=float, default=20, help="of load (default: 20)")
    parser.add_argument("--kills", type=int, default=0, help="how often to kill -9 (default: 0)")
    parser.add_argument("--server", default="", help="words for the server")
    options = parser.parse_args(arguments)
    clients, seconds = load(options, list(photographs(20)))
    latencies = sorted(1000 * one for client in clients for one in client.seconds)
    wrong = sum(client.wrong for client in clients)
    percentiles = statistics.quantiles(latencies, n=100, method="inclusive")
    print("| clients | answers | images/s | p50 ms | p99 ms | largest ms | sent again | wrong |")
    print("|---:|---:|---:|---:|---:|---:|---:|---:|")
    print(
        f"| {len(clients)} | {len(latencies)} | {len(latencies) / seconds:.1f} "
        f"| {percentiles[49]:.1f} | {percentiles[98]:.1f} | {latencies[-1]:.1f} "
        f"| {sum(client.again for client in clients)} | {wrong} |"
    )
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
