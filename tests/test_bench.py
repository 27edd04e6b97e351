"""What exports cost here: turns, processes, the table and the advice."""

import json

import keras
import pytest

from keras_se import SqueezeExcite
from keras_se.benchmark import Row, Task, Worker, measure, recommend
from keras_se.cli import main

pytestmark = pytest.mark.skipif(
    keras.backend.backend() == "jax", reason="what is timed runs without Keras's backend"
)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    images = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(8, 3, padding="same", name="conv1")(images)
    x = keras.layers.GlobalAveragePooling2D()(SqueezeExcite(ratio=2, name="se")(x))
    path = tmp_path_factory.mktemp("bench") / "small.keras"
    keras.Model(images, keras.layers.Dense(10, name="fc")(x), name="small").save(path)
    return path


class Recorder:
    """Stands for a process: notes what it was asked, and answers with the next number."""

    def __init__(self, log):
        self.log = log

    def seconds(self, task, batch, passes):
        self.log.append((task.model, batch, passes))
        return float(len(self.log))


def test_rounds_are_interleaved_and_the_first_is_not_timed():
    log = []
    tasks = {name: Task("any", name, (4, 4, 3)) for name in ("first", "second")}
    workers = {"any": Recorder(log)}
    seconds = measure(tasks, workers, batches=(1, 16), rounds=2, images=8)
    turns = [("first", 1, 8), ("second", 1, 8)] * 3 + [("first", 16, 1), ("second", 16, 1)] * 3
    assert log == turns
    assert seconds[1, "first"] == [3.0, 5.0]
    assert seconds[16, "second"] == [10.0, 12.0]


def test_exports_are_timed_in_processes_of_their_own(file, capsys):
    pytest.importorskip("onnxruntime")
    words = ["bench", str(file), "--formats", "onnx", "onnx_fixed"]
    assert main([*words, "--batch", "1", "3", "--rounds", "2", "--threads", "1", "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert found["image_shape"] == [16, 16, 3]
    assert [row["format"] for row in found["formats"]] == ["onnx", "onnx_fixed"]
    for row in found["formats"]:
        assert row["agreement"] == 1
        assert 1000 < row["size"] < 100_000
        for median, first, third in (row["seconds"]["1"], row["seconds"]["3"]):
            assert 0 < first <= median <= third
    assert {found["latency"], found["throughput"]} <= {"onnx", "onnx_fixed"}
    assert "round 2 of 2" in err


def test_what_ends_a_process_is_said(tmp_path):
    pytest.importorskip("onnxruntime")
    task = Task("onnxruntime", str(tmp_path / "missing.onnx"), (8, 8, 3))
    with Worker("onnxruntime", 1) as worker, pytest.raises(ValueError, match="NO_SUCHFILE"):
        worker.seconds(task, 1, 1)


def test_exports_that_disagree_are_not_recommended():
    rows = [Row("onnx_int8", 1, 0.97, {1: (0.1, 0.1, 0.1)}), Row("onnx", 1, 1.0, {1: (1, 1, 1)})]
    assert recommend(rows) == ("onnx", "onnx")
    assert recommend(rows[:1]) is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--formats", "onnx_int8"), "--calibration"),
        (("--calibration", "nothing-here"), "nothing-here"),
        (("--size", "20", "--formats", "onnx"), "16"),
    ],
)
def test_what_cannot_be_timed_is_said(file, capsys, words, said):
    pytest.importorskip("onnxruntime")
    assert main(["bench", str(file), *words]) == 2
    assert said in capsys.readouterr().err
