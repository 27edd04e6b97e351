"""Trains the tiny network, killed again and again: `python train_killed.py RECIPE OUT KILLS`.

`RECIPE` is a file, `KILLS` JSON with a pair for each process that is killed: how many steps it
trains, and how many seconds later. The last process is left to end. Prints after each kill how many
epochs are complete. All of them are forks of this one, which has imported everything and computed
nothing, so that only the first waits for the imports.
"""

import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path

import tiny

import keras_se.applications
from keras_se.recipes import from_json
from keras_se.training import checkpoint, loop, results
from keras_se.training.checkpoint import State

# Seconds that a step takes at least, so that a kill comes within a known epoch.
PAUSE = 0.01


def train(recipe, out, resume, steps):
    """Starts a process that trains and writes a byte into the file `steps` for every step."""
    process = os.fork()
    if process:
        return process

    def told(self, batch, logs=None):
        os.write(steps, b".")
        time.sleep(PAUSE)

    checkpoint.Checkpoint.on_train_batch_end = told
    status = 1
    try:
        loop.train(recipe, out, resume=resume)
        status = 0
    except BaseException:  # or it would end without a word
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def end(process):
    """Waits until a process ends; returns its exit status, or the number of its signal negated."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def main(recipe, out, kills):
    """Trains, with all the kills."""
    keras_se.applications.SETiny = tiny.SMALL
    results.export_saved_model = lambda network, folder, class_names: None
    recipe = from_json(Path(recipe).read_text())
    for number, (steps, seconds) in enumerate(json.loads(kills)):
        reading, writing = os.pipe()
        process = train(recipe, out, number > 0, writing)
        os.close(writing)
        for _ in range(steps):
            assert os.read(reading, 1), "the run ended before it was killed"
        time.sleep(seconds)
        os.kill(process, signal.SIGKILL)
        assert end(process) == -signal.SIGKILL
        os.close(reading)
        state = State(Path(out) / "state.npz")
        state.read()
        print("epochs", state.record["epoch"], file=sys.stderr, flush=True)
    assert end(train(recipe, out, True, os.open(os.devnull, os.O_WRONLY))) == 0


if __name__ == "__main__":
    main(*sys.argv[1:])
