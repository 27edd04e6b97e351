"""What a run needs to go on where it was, kept after every epoch."""

import csv
import io
import json
import math
import os
import re
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from keras_se.files import atomic_path, write_text
from keras_se.formatting import first_few

# The `.keras` files are for the user, not for going on, so writing them need not slow a run down.
SAVE_SECONDS = 60
# Of what tells data apart, the numbers that a message can give.
COUNTS = ("train_images", "test_images")


class State:
    """What was there at the end of the last complete epoch, on file if there is a path.

    Args:
        path: The `.npz` file to keep it in, which is replaced as a whole after each epoch; `None`
            keeps it in memory only.
        data: The `summary` of the `Dataset` that is trained on; `None` goes on with any.

    Attributes:
        arrays: Dictionary from `"network/..."`, `"best/..."` and `"optimizer/..."` to NumPy arrays.
        record: Dictionary with `epoch` (number of complete ones), `history` (lists by name),
            `best` (the highest `val_accuracy`, a fraction, or `None`), `seconds`, `backend` and
            `data`.
    """

    def __init__(self, path: str | os.PathLike | None = None, data: dict | None = None):
        self.path = path and Path(path)
        self.arrays = {}
        self.record = {"epoch": 0, "history": {}, "best": None, "seconds": 0.0}
        self.record |= {"backend": keras.backend.backend(), "data": data}

    def read(self, epochs: float = math.inf) -> bool:
        """Reads the file; returns whether there is one.

        Args:
            epochs: How many the run has.

        Raises:
            ValueError: If it is damaged, of another backend or of other data.
        """
        if not self.path or not self.path.is_file():
            return False
        try:
            with self.path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            record = json.loads(str(arrays.pop("record")))
            _check_record(record, epochs)
            _check_arrays(arrays, record)
        except Exception as error:  # Whatever zipfile, json and a text for a number raise.
            raise ValueError(
                f"{str(self.path)!r} cannot be read, so the run cannot go on from it: "
                f"{type(error).__name__}: {error}. Start anew, with another folder or overwrite."
            ) from error
        if record["backend"] != self.record["backend"]:
            raise ValueError(
                f"The run was begun with KERAS_BACKEND={record['backend']} and goes on only with "
                f"it. Received: {self.record['backend']}"
            )
        self._require_data(record["data"] or {})
        record.pop("arrays", None)
        self.arrays, self.record = arrays, record
        return True

    def _require_data(self, before):
        now = self.record["data"]
        if now is None or now == before:
            return
        changed = [name for name in now if before.get(name) != now[name]]
        differences = [
            f"{now[name]} {name} in place of {before.get(name)}"
            if name in COUNTS
            else f"other {name}"
            for name in changed
        ]
        raise ValueError(
            "The run goes on only with the data it was begun with. Received: "
            + ", ".join(differences)
        )

    def capture(self, network: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
        """Copies the variables of a network and its optimizer."""
        best = {key: array for key, array in self.arrays.items() if key.startswith("best/")}
        self.arrays = best | _copies("network", network.variables)
        self.arrays |= _copies("optimizer", optimizer.variables)

    def capture_best(self, network: keras.Model) -> None:
        """Copies the variables of a network as the best ones."""
        self.arrays |= _copies("best", network.variables)

    def write(self) -> None:
        """Writes the file, all of it or nothing."""
        if self.path:
            with atomic_path(self.path) as partial, partial.open("wb") as file:
                record = self.record | {"arrays": sorted(self.arrays)}
                np.savez(file, record=np.array(json.dumps(record)), **self.arrays)
                file.flush()
                # Or a power cut could leave the name without the content.
                os.fsync(file.fileno())

    def restore(self, network: keras.Model, part: str = "network") -> bool:
        """Assigns the variables of the network; returns whether there were any.

        Raises:
            ValueError: If a variable is missing or has another shape.
        """
        if not any(name.startswith(f"{part}/") for name in self.arrays):
            return False
        for name, variable in named(part, network.variables).items():
            self._assign(name, variable)
        return True

    def restore_optimizer(self, optimizer: keras.optimizers.Optimizer) -> None:
        """Assigns the variables of the optimizer that are here; the others stay as they are.

        When other variables are trained than in the epoch before, some are new.
        """
        for name, variable in named("optimizer", optimizer.variables).items():
            if name in self.arrays:
                self._assign(name, variable)

    def _assign(self, name, variable):
        value = self.arrays.get(name)
        if value is None or value.shape != tuple(variable.shape):
            raise ValueError(
                f"The checkpoint does not fit the network: {name} must be {tuple(variable.shape)}. "
                f"Found: {'nothing' if value is None else value.shape}"
            )
        variable.assign(value)


def _check_record(record, epochs):
    """Raises an error for numbers that no run has."""
    epoch, history, best = (record[name] for name in ("epoch", "history", "best"))
    if type(epoch) is not int or not 0 <= epoch <= epochs:
        raise ValueError(f"its epoch {epoch!r} is none of 0 to {epochs}")
    if any(len(column) != epoch for column in history.values()) or (epoch and not history):
        raise ValueError(f"its history is not of {epoch} epochs")
    numbers = [record["seconds"], *([] if best is None else [best])]
    if not all(map(math.isfinite, (number for c in (numbers, *history.values()) for number in c))):
        raise ValueError("its history has what is no number")
    if record["seconds"] < 0 or not 0 <= (best or 0) <= 1:
        raise ValueError(f"its seconds or best accuracy are not possible: {numbers}")
    if not isinstance(record["backend"], str) or not isinstance(record["data"] or {}, dict):
        raise ValueError("its backend or data is none")


def _check_arrays(arrays, record):
    """Raises an error for arrays of which no run can be made."""
    wanted = set(record.get("arrays", arrays))
    if wanted != set(arrays):
        raise ValueError(
            f"its arrays are not those written: {first_few(sorted(wanted ^ {*arrays}))}"
        )
    parts = {"network": record["epoch"] > 0, "best": record["best"] is not None}
    for part, needed in parts.items():
        if needed and not any(name.startswith(f"{part}/") for name in arrays):
            raise ValueError(f"it has no arrays {part}/...")
    for name, array in arrays.items():
        # The averages of an optimizer may be infinite, and the step is zero then.
        if np.isnan(array).any() or not (np.isfinite(array).all() or name.startswith("optimizer/")):
            raise ValueError(f"{name} has what is no number")


def named(part: str, variables: Sequence) -> dict:
    """Returns variables by the names they have in the file.

    The paths of an optimizer's begin with its own name, which Keras numbers; what several have in
    common, such as the count of steps of several optimizers, is numbered here.
    """
    seen, names = Counter(), {}
    for variable in variables:
        path = variable.path
        if part == "optimizer":
            path = path.partition("/")[2] or path
        # Keras numbers the generators of a process.
        path = re.sub(r"\bseed_generator(_\d+)?/", "seed_generator/", path)
        seen[path] += 1
        names[f"{part}/{path}#{seen[path]}"] = variable
    return names


def _copies(part, variables):
    return {
        # A copy: on the CPU the array may be the variable's own memory.
        name: np.array(keras.ops.convert_to_numpy(variable))
        for name, variable in named(part, variables).items()
    }


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

    def __init__(self, state: State, last_file: Path | None = None, best_file: Path | None = None):
        super().__init__()
        self.state = state
        self.history_file = None
        self.files = (last_file, best_file)
        self._saved = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Starts the clock."""
        self._started = time.monotonic()

    def on_test_end(self, logs: dict | None = None) -> None:
        """Keeps the weights if they are the best so far."""
        best = self.state.record["best"]
        if math.isfinite(logs["loss"]) and (best is None or logs["accuracy"] > best):
            self.state.record["best"] = float(logs["accuracy"])
            self.state.capture_best(self.model.network)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Keeps everything, in the file if there is one."""
        if not all(map(math.isfinite, (logs["loss"], logs["val_loss"]))):
            self.model.stop_training = True
            return
        record = self.state.record
        record["epoch"] = epoch + 1
        record["seconds"] += time.monotonic() - self._started
        for name, value in logs.items():
            record["history"].setdefault(name, []).append(float(value))
        self.state.capture(self.model.network, self.model.optimizer)
        self.state.write()
        if self.history_file:
            write_history(self.history_file, record["history"])
        if self.files[0] and time.monotonic() - self._saved > SAVE_SECONDS:
            save_model(self.model.network, self.files[0])
            if self.files[1]:
                save_part(self.model.network, self.state, "best", self.files[1])
            self._saved = time.monotonic()


def save_model(network: keras.Model, path: Path) -> None:
    """Writes a `.keras` file, all of it or nothing."""
    with atomic_path(path) as partial:
        network.save(partial)


def save_part(network: keras.Model, state: State, part: str, path: Path) -> None:
    """Writes the `.keras` file of the weights in a part of a state; leaves the network as it is.

    Args:
        network: The `keras.Model`.
        state: The `State`.
        part: `"network"` or `"best"`.
        path: The file.
    """
    # All variables: the states of random generators are not among the weights.
    now = [np.array(keras.ops.convert_to_numpy(variable)) for variable in network.variables]
    if state.restore(network, part):
        save_model(network, path)
    for variable, value in zip(network.variables, now, strict=True):
        variable.assign(value)


def write_history(path: Path, history: dict[str, list]) -> None:
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
    write_text(path, text.getvalue())
