"""What `make fuzz` does, with a few mutants."""

import contextlib
import os
import pickle
import socket
import subprocess
from collections import Counter

import fuzz
import fuzz_seeds
import keras
import numpy as np
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("files are read without the backend", allow_module_level=True)
for package in ("onnx", "onnxruntime"):
    pytest.importorskip(package)
MUTANTS = 210
PROJECT_MUTANTS = 32


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("seeds")
    fuzz_seeds.write_seeds(folder)
    return folder


def test_damaged_files_do_no_harm(seeds, tmp_path):
    counts = Counter()

    def report(number, name, outcome):
        assert outcome not in fuzz.BAD, f"mutant {number} of {name}: {outcome}"
        counts[outcome] += 1

    fuzz.read_mutants(seeds, tmp_path, 1, range(MUTANTS), report)
    # Or the mutants would not be damaged, or all of them at their first byte.
    assert counts["refused"] > MUTANTS / 3 and counts["equal"] > 0 and counts["other"] > 0


def test_damaged_files_of_other_projects_do_no_harm(tmp_path):
    """Nor does what gives their arrays timm's names."""
    seeds, scratch, counts = tmp_path / "seeds", tmp_path / "scratch", Counter()
    seeds.mkdir()
    scratch.mkdir()
    fuzz_seeds.write_project_seeds(seeds)
    assert [path.name for path in sorted(seeds.iterdir())] == sorted(fuzz_seeds.OF_PROJECTS)

    def report(number, name, outcome):
        assert outcome not in fuzz.BAD, f"mutant {number} of {name}: {outcome}"
        counts[outcome] += 1

    fuzz.read_mutants(seeds, scratch, 1, range(PROJECT_MUTANTS), report)
    assert counts["refused"] > PROJECT_MUTANTS / 3


def test_sound_files_hold_the_network(seeds):
    weights = fuzz_seeds.network().get_weights()
    expected = fuzz.Readers(seeds).expected
    loaded = [name for name, value in expected.items() if fuzz.same(value, weights)]
    assert loaded == [
        "imgclsmob.tf2.h5.zip",
        "keras2.h5",
        "legacy.pth",
        "model.keras",
        "model.safetensors",
        "model.weights.h5",
        "paddle.pdparams",
        "vggface2.pkl",
        "zip.pth",
    ]


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


def connect(path):
    with contextlib.closing(socket.socket()) as connection:
        connection.connect_ex(("127.0.0.1", 9))


@pytest.mark.parametrize(
    "act",
    (
        lambda path: os.system("true"),
        lambda path: subprocess.run(["true"]),
        lambda path: pickle.loads(pickle.dumps(os.getcwd)),
        lambda path: exec("1"),
        connect,
        lambda path: path.with_name("new").write_text(""),
        lambda path: path.unlink(),
    ),
    ids=("system", "program", "pickle", "code", "connection", "writing", "deletion"),
)
def test_what_no_reader_may_do_is_seen(act, seeds, tmp_path, monkeypatch):
    class Reader:
        def __init__(self, folder):
            pass

        def outcome(self, name, path):
            if number == 1:
                act(path)
            return "refused"

    def report(number_read, name, outcome):
        nonlocal number
        number = number_read + 1
        outcomes.append(outcome)

    number, outcomes = 0, []
    monkeypatch.setattr(fuzz, "Readers", Reader)
    fuzz.read_mutants(seeds, tmp_path, 0, range(3), report)
    assert outcomes == ["refused", "forbidden", "refused"]


@pytest.fixture
def outcomes(seeds, tmp_path, monkeypatch):
    """Outcomes of five mutants by a child that does what a script says before each."""

    def drive(before, start="print('started', flush=True)"):
        script = tmp_path / "child.py"
        script.write_text(
            f"import os, signal, sys, time\n{start}\n"
            "for number in range(int(sys.argv[6]), int(sys.argv[8])):\n"
            f"    {before}\n"
            "    print(number, 'x', 'refused', sep='\\t', flush=True)\n"
        )
        monkeypatch.setattr(fuzz, "__file__", str(script))
        monkeypatch.setattr(fuzz, "LONGEST_WAIT", 1)
        return [outcome for *_, outcome in fuzz.drive(seeds, 0, 0, 5, float("inf"))]

    return drive


def test_a_child_that_crashes_or_hangs_is_counted_and_the_next_goes_on(outcomes):
    harm = "{1: os.abort, 2: stop, 3: wait}.get(number, int)()"
    start = (
        "print('started', flush=True)\n"
        "def wait(): time.sleep(60)\n"
        "def stop():\n"
        "    signal.setitimer(signal.ITIMER_PROF, 0.01)\n"
        "    while True: pass"
    )
    assert outcomes(harm, start) == ["refused", "crashed", "hung", "hung", "refused"]


def test_a_child_that_cannot_start_is_no_crash_of_a_mutant(outcomes):
    with pytest.raises(RuntimeError, match=r"could not start:\n(.*\n)*NameError"):
        outcomes("pass", start="no_such_name")
