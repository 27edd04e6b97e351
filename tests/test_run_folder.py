"""The folder of a run: locked, its state sound or refused, its results before its reports."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import WARNINGS_OF_KERAS, picture
from tiny import small

from keras_se import cli, recipes
from keras_se.evaluation import report
from keras_se.training import checkpoint, loop, results, run_folder
from keras_se.training.checkpoint import State

pytest.importorskip("matplotlib")
pytestmark = [*WARNINGS_OF_KERAS, pytest.mark.usefixtures("tiny_network")]

# Locks as `prepare` does, without its imports.
HOLDER = """
import fcntl, sys, time
file = open(sys.argv[1], "a")
fcntl.flock(file, fcntl.LOCK_EX)
print("locked", flush=True)
time.sleep(600)
"""


@pytest.mark.backend_neutral
def test_a_second_run_into_a_folder_is_refused_until_the_first_has_ended(tmp_path):
    (tmp_path / "model.keras").touch()
    (tmp_path / ".partial-killed").mkdir()
    with run_folder.prepare(tmp_path, overwrite=True):
        # What an earlier process left, and the files of its run, are gone.
        assert [path.name for path in tmp_path.iterdir()] == [".lock"]
        with (
            pytest.raises(OSError, match="Another process is writing into"),
            run_folder.prepare(tmp_path, overwrite=True),
        ):
            pass
    with run_folder.prepare(tmp_path) as folder:
        assert folder == tmp_path
    assert not list(tmp_path.iterdir())


@pytest.mark.backend_neutral
def test_the_lock_of_a_process_that_is_killed_is_gone(tmp_path):
    command = [sys.executable, "-c", HOLDER, tmp_path / ".lock"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "locked\n"
        with (
            pytest.raises(OSError, match="Another process is writing into"),
            run_folder.prepare(tmp_path),
        ):
            pass
        holder.kill()
    with run_folder.prepare(tmp_path):
        pass


@pytest.mark.backend_neutral
def test_a_folder_that_cannot_be_locked_is_used_with_a_warning(tmp_path, monkeypatch, caplog):
    def flock(*_):
        raise OSError(37, "No locks available")

    fcntl = pytest.importorskip("fcntl")

    def unlink(path, missing_ok=False):
        is_open = any(path.samefile(file) for file in open_files())
        deleted.append((path.name, is_open))

    def open_files():
        return [file for file in Path("/proc/self/fd").iterdir() if file.exists()]

    deleted = []
    monkeypatch.setattr(fcntl, "flock", flock)
    with run_folder.prepare(tmp_path):
        assert "No locks available" in caplog.text
        monkeypatch.setattr(Path, "unlink", unlink)
    # Windows, which has no such locks, deletes no file that is open.
    assert deleted == [(".lock", False)]


def sound_state(path):
    state = State(path)
    state.arrays = {"network/a#1": np.ones(2), "best/a#1": np.ones(2), "optimizer/m#1": np.ones(1)}
    state.record |= {"epoch": 1, "history": {"loss": [0.5]}, "best": 0.5, "seconds": 1.0}
    return state


@pytest.mark.parametrize(
    ("record", "arrays"),
    [
        ({"epoch": -5}, {}),
        ({"epoch": 3, "history": {"loss": [1, 2, 3]}}, {}),
        ({"epoch": "1"}, {}),
        ({"history": {"loss": []}}, {}),
        ({"history": {"loss": ["low"]}}, {}),
        ({"history": {"loss": [float("nan")]}}, {}),
        ({"history": None}, {}),
        ({"best": 7.0}, {}),
        ({"seconds": None}, {}),
        ({"backend": 3}, {}),
        ({"data": [1]}, {}),
        ({}, {"network/a#1": np.array([1, np.nan])}),
        ({}, {"best/a#1": np.array([1, np.inf])}),
        ({}, {"network/a#1": np.array(["text"])}),
        ({}, {"optimizer/m#1": None}),
        *(({name: ...}, {}) for name in ("epoch", "history", "best", "seconds", "backend", "data")),
    ],
)
def test_a_state_whose_content_cannot_be_is_refused_by_one_error(
    tmp_path, monkeypatch, record, arrays
):
    path = tmp_path / "state.npz"
    sound_state(path).write()
    assert State(path).read(2)
    with np.load(path) as file:
        stored = dict(file)
    written = json.loads(str(stored.pop("record"))) | record
    written = {name: value for name, value in written.items() if value is not ...}
    stored = {name: value for name, value in (stored | arrays).items() if value is not None}
    np.savez(path, record=np.array(json.dumps(written)), **stored)
    state = State(path)
    with pytest.raises(ValueError, match=r"state\.npz' cannot be read.*overwrite"):
        state.read(2)
    assert state.record["epoch"] == 0 and not state.arrays


@pytest.mark.backend_neutral
def test_a_disk_that_is_full_leaves_the_state_before(tmp_path):
    """A limit on the size of files stands for it."""
    state = sound_state(tmp_path / "state.npz")
    state.write()
    before = state.path.read_bytes()
    state.arrays["network/a#1"] = np.ones(100_000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(OSError, match=r"File too large.*state\.npz"):
            state.write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert state.path.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["state.npz"]


@pytest.mark.backend_neutral
def test_a_folder_that_is_deleted_meanwhile_is_named(tmp_path):
    state = sound_state(tmp_path / "run" / "state.npz")
    with pytest.raises(FileNotFoundError, match=r"run' to write state\.npz into"):
        state.write()


@pytest.fixture
def photos(tmp_path):
    """A folder of images with one that is broken and whose name is not in UTF-8."""
    for part in ("train", "val"):
        for name, color in (("cat", "red"), ("dog", "blue")):
            for number in range(8):
                picture(tmp_path / "photos" / part / name / f"{number}.png", color)
    Path(os.fsdecode(bytes(tmp_path / "photos/train/cat") + b"/br\xffken.jpg")).write_bytes(b"no")
    return tmp_path / "photos"


def test_results_outlive_what_cannot_be_written_after_them(
    photos, tmp_path, monkeypatch, capsys, caplog
):
    out = tmp_path / "run"
    recipe = small(epochs=1, batch_size=8, size=8, data=f"folder:{photos}")
    monkeypatch.setitem(recipes.RECIPES, "tiny", recipe)

    def refuse(*_):
        raise ValueError("other predictions")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results, "export_saved_model", refuse)
        patch.setattr(report, "curves", refuse)
        assert cli.main(["train", "tiny", "--out", str(out)]) == 1
    numbers = json.loads((out / "results.json").read_text())
    assert list(numbers["networks"]) == ["SETiny"]
    reasons = dict.fromkeys(("saved_model", "report.html"), "other predictions")
    assert numbers["not_written"] == reasons
    assert "report.html, which could not be written: other predictions" in caplog.text
    # The same command goes on where it was when the cause is gone.
    monkeypatch.setattr(results, "export_saved_model", lambda *_: None)
    monkeypatch.setattr(checkpoint.Checkpoint, "on_train_batch_end", refuse)
    assert cli.main(["train", "tiny", "--out", str(out), "--resume"]) == 0
    assert "br\\udcffken.jpg" in (out / "report.html").read_text()
    assert "br\\udcffken.jpg" in capsys.readouterr().out
    again = json.loads((out / "results.json").read_text())
    assert again["not_written"] == {}
    assert (
        again["networks"]["SETiny"]["test_accuracy"]
        == (numbers["networks"]["SETiny"]["test_accuracy"])
    )
    with pytest.raises(FileExistsError, match="is complete"):
        loop.train(recipe, out, resume=True)
