"""Processes that have a runtime each, and run what is compared in turns."""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

WORKER = Path(__file__).parent / "worker.py"
# The last is JAX's.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "NPROC")


@dataclass(frozen=True)
class Task:
    """What is timed.

    Attributes:
        runtime: Name of a runtime of `worker.py`.
        model: File of an export, or another name that the runtime knows.
        shape: Shape of the images, without the batch.
        dtype: Their dtype.
    """

    runtime: str
    model: str
    shape: tuple
    dtype: str = "float32"


@dataclass
class Worker:
    """A process that has one runtime; a context, which ends it.

    Attributes:
        runtime: Name of the runtime.
        threads: How many it may use.
        python: Python of the environment that has it.
        clock: Name of a function of `time` that gives seconds.
    """

    runtime: str
    threads: int
    python: str = sys.executable
    clock: str = "perf_counter"
    _files: contextlib.ExitStack = field(default_factory=contextlib.ExitStack, repr=False)

    def __enter__(self):
        threads = str(self.threads)
        limits = {**dict.fromkeys(THREADS, threads), "TF_NUM_INTEROP_THREADS": "1"}
        self._log = self._files.enter_context(tempfile.TemporaryFile("w+"))
        # Libraries may print what they like: answers come through a pipe of their own.
        read, write = os.pipe()
        self._answers = self._files.enter_context(os.fdopen(read))
        self._process = subprocess.Popen(
            [self.python, WORKER, self.runtime, threads, self.clock, str(write)],
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            text=True,
            pass_fds=(write,),
            # OpenMP's threads would go on spinning when it is the turn of another process.
            env={**os.environ, **limits, "OMP_WAIT_POLICY": "passive"},
        )
        os.close(write)
        return self

    def __exit__(self, *_):
        """Ends the process."""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._files.close()

    def seconds(self, task: Task, batch: int, passes: int) -> float:
        """Returns the median of some passes of a task, after one that is not timed.

        Raises:
            ValueError: If the task ended the process, with the end of what it printed.
        """
        request = {"model": task.model, "shape": [batch, *task.shape], "dtype": task.dtype}
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps(request | {"passes": passes}), file=self._process.stdin, flush=True)
        answer = self._answers.readline()
        if not answer:
            # Its answers end before it has said why.
            self._process.wait()
            self._log.seek(0)
            raise ValueError(f"{task} ended its process: {self._log.read()[-2000:]}")
        return statistics.median(json.loads(answer))


def measure(
    tasks: Mapping[str, Task],
    workers: Mapping[str, Worker],
    *,
    batches: Sequence[int],
    rounds: int,
    images: int = 8,
    say: Callable[[str], None] = lambda text: None,
) -> dict[tuple, list[float]]:
    """Times tasks in interleaved rounds, so that what disturbs one round disturbs all of them.

    Args:
        tasks: What is timed, by names.
        workers: For each runtime of the tasks the process that has it.
        batches: Numbers of images of a pass.
        rounds: How often each task has its turn, after one turn that is not timed, in which
            networks are loaded and compiled.
        images: Images of a turn; a turn has at least one pass.
        say: Called with a line about every round.

    Returns:
        The seconds of a pass in each round, by `(batch, name)`.
    """
    seconds = {}
    for batch in batches:
        for turn in range(rounds + 1):
            for name, task in tasks.items():
                passes = max(1, images // batch)
                result = workers[task.runtime].seconds(task, batch, passes)
                if turn:
                    seconds.setdefault((batch, name), []).append(result)
            say(f"batch {batch}, round {turn} of {rounds}")
    return seconds


def quartiles(values: Iterable[float]) -> tuple[float, float, float]:
    """Returns the median, the first and the third quartile.

    Example:
    >>> quartiles([4.0, 1.0, 2.0, 3.0, 5.0])
    (3.0, 2.0, 4.0)
    """
    return tuple(map(float, np.quantile(list(values), (0.5, 0.25, 0.75))))
