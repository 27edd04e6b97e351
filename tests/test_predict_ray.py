"""Prediction on a Ray cluster of two nodes, of which one dies, and after its driver has died."""

import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from color_model import loader, write_pictures

from keras_se.prediction import open_folder, predict_files

ray = pytest.importorskip("ray")
pytestmark = [
    pytest.mark.ray,
    # Of Ray itself and what it starts.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]
PARTS, PART_SIZE = 40, 4


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    write_pictures(folder, PARTS * PART_SIZE, broken={5, 77})
    return folder


@pytest.fixture(scope="module")
def expected(pictures, tmp_path_factory):
    """The files that this process writes."""
    out = tmp_path_factory.mktemp("alone")
    with open_parts(out, pictures) as parts:
        predict_files(loader(), parts, verbose=False)
    return contents(out)


@pytest.fixture
def cluster(monkeypatch):
    """A cluster of a head and one more node; actors find the module of the model."""
    from ray.cluster_utils import Cluster

    before = filter(None, [os.environ.get("PYTHONPATH")])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), *before]))
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    cluster.second = cluster.add_node(num_cpus=2)
    cluster.wait_for_nodes()
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def open_parts(out, pictures):
    return open_folder(out, {"model": "colors"}, sorted(pictures.iterdir()), PART_SIZE)


def contents(out):
    return {path.name: path.read_bytes() for path in out.glob("part-*.parquet")}


def predict_on(address, out, pictures, seconds=0.0, **options):
    load = loader(seconds=seconds, **options)
    with open_parts(out, pictures) as parts:
        return predict_files(load, parts, engine="ray", workers=2, address=address, verbose=False)


def wait_for_parts(out, count):
    limit = time.monotonic() + 120
    while len(contents(out)) < count:
        assert time.monotonic() < limit
        time.sleep(0.05)


def test_a_node_that_dies_changes_nothing(cluster, pictures, expected, tmp_path):
    def kill():
        wait_for_parts(tmp_path, 5)
        cluster.remove_node(cluster.second, allow_graceful=False)

    killer = threading.Thread(target=kill)
    killer.start()
    assert predict_on(cluster.address, tmp_path, pictures, seconds=0.5) == 2
    killer.join()
    assert contents(tmp_path) == expected


def test_a_driver_that_dies_goes_on(cluster, pictures, expected, tmp_path):
    driver = multiprocessing.get_context("spawn").Process(
        target=predict_on, args=(cluster.address, tmp_path, pictures, 0.5)
    )
    driver.start()
    wait_for_parts(tmp_path, 5)
    os.kill(driver.pid, signal.SIGKILL)
    driver.join()
    assert len(contents(tmp_path)) < PARTS
    assert predict_on(cluster.address, tmp_path, pictures) == 2
    assert contents(tmp_path) == expected


def test_an_actor_that_fails_says_why(cluster, pictures, tmp_path):
    with pytest.raises(OSError, match="ValueError: no colors today"):
        predict_on(cluster.address, tmp_path, pictures, error="no colors today")
    assert not contents(tmp_path)


def test_a_cluster_that_cannot_be_reached_is_said(pictures, tmp_path):
    with pytest.raises(OSError, match=r"127\.0\.0\.1:9"):
        predict_on("127.0.0.1:9", tmp_path, pictures)
    assert not contents(tmp_path)
