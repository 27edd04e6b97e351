"""The Keras callback that keeps a run's state after every epoch."""

import csv
import io
import math
import time

import keras
import numpy as np

from keras_se.training.run_folder import atomic_path, write

# The `.keras` files are for the user, not for going on, so writing them need not slow a run down.
SAVE_SECONDS = 60


class Checkpoint(keras.callbacks.Callback):
    """Keeps the state of a run after every epoch whose losses are numbers.

    It must come before `SwapEMAWeights`, so that the best weights are the averaged ones.

    Args:
        state: The `State` to keep it in.
        last_file: The `.keras` file of the last epoch, refreshed once a minute; or `None`.
        best_file: The same of the epoch with the highest `val_accuracy`.

    Attributes:
        history_file: The CSV file to write the history to after each epoch, or `None`. Keras's
            `CSVLogger` would leave it open, with the lines of epochs that are done again.
    """

    def __init__(self, state, last_file=None, best_file=None):
        super().__init__()
        self.state = state
        self.history_file = None
        self.files = (last_file, best_file)
        self._saved = time.monotonic()

    def on_epoch_begin(self, epoch, logs=None):
        """Starts the clock."""
        self._started = time.monotonic()

    def on_test_end(self, logs=None):
        """Keeps the weights if they are the best so far."""
        best = self.state.record["best"]
        if math.isfinite(logs["loss"]) and (best is None or logs["accuracy"] > best):
            self.state.record["best"] = float(logs["accuracy"])
            self.state.take_best(self.model.network)

    def on_epoch_end(self, epoch, logs=None):
        """Keeps everything, in the file if there is one."""
        if not all(map(math.isfinite, (logs["loss"], logs["val_loss"]))):
            self.model.stop_training = True
            return
        record = self.state.record
        record["epoch"] = epoch + 1
        record["seconds"] += time.monotonic() - self._started
        for name, value in logs.items():
            record["history"].setdefault(name, []).append(float(value))
        self.state.take(self.model.network, self.model.optimizer)
        self.state.write()
        if self.history_file:
            write_history(self.history_file, record["history"])
        if self.files[0] and time.monotonic() - self._saved > SAVE_SECONDS:
            save_model(self.model.network, self.files[0])
            if self.files[1]:
                save_part(self.model.network, self.state, "best", self.files[1])
            self._saved = time.monotonic()


def save_model(network, path):
    """Writes a `.keras` file, all of it or nothing."""
    with atomic_path(path) as partial:
        network.save(partial)


def save_part(network, state, part, path):
    """Writes the `.keras` file of the weights in a part of a state; leaves the network as it is.

    Args:
        network: The `keras.Model`.
        state: The `State`.
        part: `"network"` or `"best"`.
        path: The file.
    """
    # All variables: the states of random generators are not among the weights.
    now = [np.array(keras.ops.convert_to_numpy(one)) for one in network.variables]
    if state.give(network, part):
        save_model(network, path)
    for variable, value in zip(network.variables, now, strict=True):
        variable.assign(value)


def write_history(path, history):
    """Writes the CSV of the complete epochs, as `keras.callbacks.CSVLogger` does.

    Args:
        path: The file.
        history: Dictionary from the names of the columns to lists with a number for each epoch.
    """
    names = sorted(history)
    text = io.StringIO()
    writer = csv.writer(text)
    if names:
        writer.writerow(["epoch", *names])
    for epoch, row in enumerate(zip(*(history[name] for name in names), strict=True)):
        writer.writerow([epoch, *row])
    write(path, text.getvalue())
