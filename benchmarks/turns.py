"""Speed of backends against each other, each in a process, of which one works at a time.

python benchmarks/turns.py [--rounds 5] [--out runs/turns.json] [--compile-together]
    "env KERAS_BACKEND=jax python benchmarks/throughput.py --size 224 ..."
    "python benchmarks/torch_throughput.py --size 224 ..."

The commands are of `throughput.py` and `torch_throughput.py`, for the same task, size, batch and
steps; how many rounds, is said here. The last is what the others are compared with. Prints images
per second, and the parts of the speed of the plain twin and of the same in the last command: ratios
of the same round, median and quartiles. Where the last command has several modes (XLA, `--compile`)
its first one counts.
"""

import argparse
import contextlib
import json
import os
import shlex
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from timing import processor

# Threads of OpenMP would spin in the turns of others, and JAX and TensorFlow keep most of a GPU.
# Alone a backend may be a little faster without these.
ENVIRONMENT = {
    "OMP_WAIT_POLICY": "passive",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
}


class Process:
    """A command that trains a network and its twin.

    Attributes:
        rows: What it trains: role ("SE" or "plain"), network, precision and mode of each.
        work: Size, batch and steps of a turn.
        software: What it trains with.
    """

    def __init__(self, command):
        self.command = command
        try:
            self.process = subprocess.Popen(
                [*shlex.split(command), "--take-turns"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, **ENVIRONMENT},
            )
        except OSError as error:
            raise SystemExit(f"cannot be run ({error}): {command}") from error

    def __enter__(self):
        return self

    def __exit__(self, failed, *_):
        """Ends the process."""
        if failed:
            self.process.kill()
        self.process.communicate()

    def introduce(self):
        """Asks for the attributes."""
        about = self._answer()
        self.rows, self.work, self.software = about["rows"], about["work"], about["software"]

    def turn(self):
        """Seconds of one turn of each of the rows."""
        return [self._seconds(index) for index in range(len(self.rows))]

    def _seconds(self, index):
        try:
            print(index, file=self.process.stdin, flush=True)
        except BrokenPipeError:
            self._ended()
        return self._answer()

    def _answer(self):
        answer = self.process.stdout.readline()
        if not answer:
            self._ended()
        try:
            return json.loads(answer)
        except ValueError as error:
            raise SystemExit(f"printed {answer!r} instead of JSON: {self.command}") from error

    def _ended(self):
        raise SystemExit(f"ended with status {self.process.wait()}: {self.command}")


def start(commands, stack):
    """The processes of all commands, which must do the same work; they end with the stack."""
    processes = [stack.enter_context(Process(command)) for command in commands]
    for process in processes:
        process.introduce()
        if process.work != processes[0].work:
            raise SystemExit(
                "All commands must have the same --task, --size, --batch and --steps. Received: "
                f"{processes[0].work} of {commands[0]}, and {process.work} of {process.command}"
            )
    return processes


def compile_all(processes, together):
    """Has all networks compiled, by a first turn that is not timed."""
    workers = len(processes) if together else 1
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda process: process.turn(), processes))


def measure(processes, rounds):
    """Images per second in each round, by the number of the process and the row in it."""
    rates = {}
    for turn in range(rounds):
        for number, process in enumerate(processes):
            images = process.work["batch"] * process.work["steps"]
            for row, seconds in zip(process.rows, process.turn(), strict=True):
                rates.setdefault((number, *row), []).append(images / seconds)
        print(f"round {turn + 1} of {rounds}", file=sys.stderr, flush=True)
    return rates


def page(software, rates):
    """The table as Markdown; `software` names that of each process."""
    yield "| software | network | precision | mode | images/s | of the twin | of the last command |"
    yield "|---|---|---|---|---:|---|---|"
    last = len(software) - 1
    for (number, role, network, precision, mode), values in rates.items():
        twin = first(rates, number, "plain", precision, mode) if role == "SE" else None
        other = first(rates, last, role, precision) if number != last else None
        cells = (
            software[number],
            network,
            precision,
            mode,
            f"{statistics.median(values):.1f}",
            ratio(values, twin),
            ratio(values, other),
        )
        yield f"| {' | '.join(cells)} |"


def first(rates, number, role, precision, mode=None):
    """The rates of a row of a process, of the first mode unless one is given, or None."""
    matches = (
        values
        for key, values in rates.items()
        if (key[:2], key[3]) == ((number, role), precision) and mode in (None, key[4])
    )
    return next(matches, None)


def ratio(values, others):
    """Median and quartiles of the ratios, round by round."""
    if others is None:
        return "-"
    median, low, high = np.quantile(np.divide(values, others), (0.5, 0.25, 0.75))
    return f"{median:.2f} ({low:.2f} to {high:.2f})"


def parse(arguments):
    """The options, checked before the first turn."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("commands", nargs="+", help="the last is what others are compared with")
    parser.add_argument("--rounds", type=int, default=5, help="timed turns (default: 5)")
    parser.add_argument("--out", type=Path, help="file for every rate, as JSON")
    parser.add_argument(
        "--compile-together",
        action="store_true",
        help="compile in all processes at a time, on a machine of many cores",
    )
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error(f"--rounds must be at least 1. Received: {options.rounds}")
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        if options.out.is_dir() or not os.access(options.out.parent, os.W_OK):
            parser.error(f"--out must be a file that can be written. Received: {options.out}")
    return options


def main(arguments=None):
    """Measures, prints and writes."""
    options = parse(arguments)
    load = os.getloadavg()[0]
    with contextlib.ExitStack() as stack:
        processes = start(options.commands, stack)
        compile_all(processes, options.compile_together)
        rates = measure(processes, options.rounds)
    about = {"date": time.strftime("%Y-%m-%d"), "processor": processor(), "load before": load}
    about |= processes[0].work
    print("; ".join(f"{key}: {value}" for key, value in about.items()))
    software = [process.software for process in processes]
    print("\n".join(page(software, rates)))
    if options.out:
        about["commands"] = options.commands
        about["software"] = software
        about["images per second"] = [[*key, values] for key, values in rates.items()]
        options.out.write_text(json.dumps(about, indent=1))


if __name__ == "__main__":
    main()
