"""Trains the tiny network, killed again and again: `python train_killed.py RECIPE OUT STEPS`.

`RECIPE` is a file, `STEPS` such as `9,3` how many batches each process reads before it is killed,
a moment later; the last process is left to end. All of them are forks of this one, which has
imported everything and computed nothing, so that only the first waits for the imports.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

import tiny

import keras_se.applications
from keras_se import data
from keras_se.training import fit, from_json, report

# Seconds that a batch takes, so that a run cannot end between its last step here and the kill.
PAUSE = 0.01


def train(recipe, out, resume, steps):
    """Starts a process that trains and writes a byte into the file `steps` for every batch."""
    process = os.fork()
    if process:
        return process
    read = data.Batches._read

    def told(self, places):
        os.write(steps, b".")
        time.sleep(PAUSE)
        return read(self, places)

    data.Batches._read = told
    status = 1
    try:
        fit.train(recipe, out, resume=resume)
        status = 0
    finally:
        os._exit(status)


def end(process):
    """Waits until a process ends; returns its exit status, or the number of its signal negated."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def main(recipe, out, steps):
    """Trains, with all the kills."""
    keras_se.applications.SETiny = tiny.SMALL
    report.export = lambda network, folder, class_names: None
    recipe = from_json(Path(recipe).read_text())
    moments = random.Random(0)
    counts = list(map(int, steps.split(",")))
    for number, count in enumerate(counts):
        reading, writing = os.pipe()
        process = train(recipe, out, number > 0, writing)
        os.close(writing)
        for _ in range(count):
            assert os.read(reading, 1), "the run ended before it was killed"
        time.sleep(moments.uniform(0, 2 * PAUSE))
        os.kill(process, signal.SIGKILL)
        assert end(process) == -signal.SIGKILL
        os.close(reading)
    assert end(train(recipe, out, True, os.open(os.devnull, os.O_WRONLY))) == 0


if __name__ == "__main__":
    main(*sys.argv[1:])
