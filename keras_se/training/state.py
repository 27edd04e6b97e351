"""All that a run needs to go on where it was: weights, optimizer, random states, history."""

import json
import os
import re
from collections import Counter
from pathlib import Path

import keras
import numpy as np

from keras_se.training.run_folder import atomic_path

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

    def __init__(self, path=None, data=None):
        self.path = path and Path(path)
        self.arrays = {}
        self.record = {"epoch": 0, "history": {}, "best": None, "seconds": 0.0}
        self.record |= {"backend": keras.backend.backend(), "data": data}

    def read(self):
        """Reads the file; returns whether there is one.

        Raises:
            ValueError: If it is damaged, of another backend or of other data.
        """
        if not self.path or not self.path.is_file():
            return False
        try:
            with self.path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            record = json.loads(str(arrays.pop("record")))
        except Exception as error:  # Whatever zipfile and json raise for a damaged file.
            raise ValueError(f"{str(self.path)!r} cannot be read: {error}") from error
        if record["backend"] != self.record["backend"]:
            raise ValueError(
                f"The run was begun with KERAS_BACKEND={record['backend']} and goes on only with "
                f"it. Received: {self.record['backend']}"
            )
        self._require_data(record.get("data"))
        self.arrays, self.record = arrays, record
        return True

    def _require_data(self, before):
        now = self.record["data"]
        if now is None or now == before:
            return
        if before is None:
            raise ValueError(
                f"{str(self.path)!r} does not say what data it is of: an earlier version wrote it."
            )
        changed = [name for name in now if before[name] != now[name]]
        found = [
            f"{now[name]} {name} in place of {before[name]}" if name in COUNTS else f"other {name}"
            for name in changed
        ]
        raise ValueError(
            "The run goes on only with the data it was begun with. Received: " + ", ".join(found)
        )

    def take(self, network, optimizer):
        """Copies the variables of a network and its optimizer."""
        best = {name: one for name, one in self.arrays.items() if name.startswith("best/")}
        self.arrays = best | _copies("network", network.variables)
        self.arrays |= _copies("optimizer", optimizer.variables)

    def take_best(self, network):
        """Copies the variables of a network as the best ones."""
        for name, one in _copies("best", network.variables).items():
            self.arrays[name] = one

    def write(self):
        """Writes the file, all of it or nothing."""
        if self.path:
            with atomic_path(self.path) as partial, partial.open("wb") as file:
                np.savez(file, record=np.array(json.dumps(self.record)), **self.arrays)
                file.flush()
                # Or a power cut could leave the name without the content.
                os.fsync(file.fileno())

    def give(self, network, part="network"):
        """Assigns the variables of the network; returns whether there were any.

        Raises:
            ValueError: If a variable is missing or has another shape.
        """
        if not any(name.startswith(f"{part}/") for name in self.arrays):
            return False
        for name, variable in named(part, network.variables).items():
            self._assign(name, variable)
        return True

    def give_optimizer(self, optimizer):
        """Assigns the variables of the optimizer that are here; the others stay as they are.

        When other variables are trained than in the epoch before, some are new.
        """
        for name, variable in named("optimizer", optimizer.variables).items():
            if name in self.arrays:
                self._assign(name, variable)

    def _assign(self, name, variable):
        value = self.arrays.get(name)
        if value is None or value.shape != tuple(variable.shape):
            found = "nothing" if value is None else value.shape
            raise ValueError(
                f"The checkpoint does not fit the network: {name} must be {tuple(variable.shape)}. "
                f"Found: {found}"
            )
        variable.assign(value)


def named(part, variables):
    """Variables by the names they have in the file.

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
