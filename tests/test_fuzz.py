"""What `make fuzz` does, with a few mutants."""

from collections import Counter

import fuzz
import keras
import numpy as np
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("files are read without the backend", allow_module_level=True)
for package in ("onnx", "onnxruntime"):
    pytest.importorskip(package)
MUTANTS = 204


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("seeds")
    fuzz.write_seeds(folder)
    return folder


def test_damaged_files_do_no_harm(seeds, tmp_path):
    counts = Counter()

    def report(number, name, outcome):
        assert outcome not in fuzz.BAD, f"mutant {number} of {name}: {outcome}"
        counts[outcome] += 1

    fuzz.read_mutants(seeds, tmp_path, 1, range(MUTANTS), report)
    # Or the mutants would not be damaged, or all of them at their first byte.
    assert counts["refused"] > MUTANTS / 3 and counts["equal"] > 0 and counts["other"] > 0


def test_harm_is_seen(seeds, tmp_path, monkeypatch):
    readers = fuzz.Readers(seeds)
    path = tmp_path / "model.keras"
    path.touch()

    def half(path, name):
        readers.model.set_weights([np.ones_like(one) for one in readers.sound])
        raise ValueError

    for read, outcome in ((half, "half loaded"), (lambda *_: 1 / 0, "unclear")):
        monkeypatch.setattr(readers, "_keras", read)
        assert readers.outcome("model.keras", path) == outcome


def test_a_child_that_crashes_or_hangs_is_counted_and_the_next_goes_on(
    seeds, tmp_path, monkeypatch
):
    script = tmp_path / "child.py"
    script.write_text(
        "import os, sys, time\n"
        "for number in range(int(sys.argv[6]), int(sys.argv[8])):\n"
        "    if number == 1: os.abort()\n"
        "    if number == 3: time.sleep(60)\n"
        "    print(number, 'x', 'refused', sep='\\t', flush=True)\n"
    )
    monkeypatch.setattr(fuzz, "__file__", str(script))
    monkeypatch.setattr(fuzz, "PATIENCE", 0.3)
    outcomes = [outcome for _, outcome in fuzz.drive(seeds, 0, 5, float("inf"))]
    assert outcomes == ["refused", "crashed", "refused", "hung", "refused"]
