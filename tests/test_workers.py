"""Processes that decode image files for a training."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_se import data
from keras_se.preprocessing import Preprocessing

pytestmark = pytest.mark.backend_neutral
SIZE = 8
# Starts a process that decodes, prints its id and waits to be killed.
STARTED_AND_LEFT = """
import multiprocessing, sys, time
from keras_se import data

if __name__ == "__main__":
    images = data.load(f"folder:{sys.argv[1]}", size=8, memory=0, workers=1).train_images
    images.take([0])
    print(*(child.pid for child in multiprocessing.active_children()), flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two classes of ten images, one of which is broken."""
    root = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for index in range(20):
        path = root / "ab"[index % 2] / f"{index}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(random.integers(0, 256, (12, 16, 3), "uint8")).save(path)
    (root / "a" / "8.png").write_bytes(b"broken")
    return root


def batches(folder, workers):
    """All batches of training and of what is held out, and what could not be read."""
    dataset = data.load(f"folder:{folder}", size=SIZE, memory=0, workers=workers)
    train = data.TrainBatches(dataset.train_images, dataset.train_labels, 5, seed=3, min_area=0.1)
    held_out = data.EvalBatches(dataset.test_images, dataset.test_labels, 3)
    rows = [train[index] for index in range(len(train))]
    rows += [held_out[index] for index in range(len(held_out))]
    return [array for row in rows for array in row], dataset.all_skipped()


def wait_for_end(process_id):
    """Waits until a process is gone."""
    deadline = time.monotonic() + 60
    while Path(f"/proc/{process_id}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_processes_decode_what_threads_do_and_one_that_is_killed_is_an_error(folder):
    expected, skipped = batches(folder, workers=0)
    for _ in range(2):
        arrays, reasons = batches(folder, workers=1)
        assert reasons == skipped and len(reasons) == 1
        for array, other in zip(arrays, expected, strict=True):
            np.testing.assert_array_equal(array, other)
        (child,) = multiprocessing.active_children()
        os.kill(child.pid, signal.SIGKILL)
        with pytest.raises(OSError, match="process"):
            batches(folder, workers=1)


@pytest.mark.large
@pytest.mark.skipif(not Path("/proc").exists(), reason="there is no list of processes")
def test_processes_end_with_the_training_that_is_killed(folder):
    command = [sys.executable, "-c", STARTED_AND_LEFT, folder]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as training:
        child = int(training.stdout.readline())
        training.kill()
    wait_for_end(child)


@pytest.mark.large
@pytest.mark.skipif(not Path("/proc").exists(), reason="there is no list of processes")
def test_only_the_training_says_that_it_was_interrupted(folder):
    """Ctrl-C reaches its processes too."""
    command = [sys.executable, "-c", STARTED_AND_LEFT, folder]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, start_new_session=True, **pipes) as training:
        child = int(training.stdout.readline())
        os.killpg(training.pid, signal.SIGINT)
        _, errors = training.communicate(timeout=60)
    assert errors.count("Traceback") == errors.count("KeyboardInterrupt") == 1
    wait_for_end(child)


def test_images_that_are_not_files_have_no_workers():
    sources = [lambda: Image.new("RGB", (4, 4))]
    with pytest.raises(ValueError, match="workers=2"):
        data.LazyImages(sources, Preprocessing(SIZE), workers=2)


@pytest.mark.parametrize("workers", [-1, 1.5, "2"])
@pytest.mark.parametrize("name", ["folder:{}", "digits"])
def test_workers_are_a_number_of_processes(folder, name, workers):
    with pytest.raises(ValueError, match="`workers`"):
        data.load(name.format(folder), size=SIZE, workers=workers)
