"""Labels of array_record files are read once, and each process reads records of its own."""

import functools
import importlib
import logging
import os
from pathlib import Path

import numpy as np
import pytest
from conftest import picture

from keras_se import data
from keras_se.data.sources import record_labels
from keras_se.data.sources.record_labels import read_labels
from keras_se.distribution.devices import ProcessShard

pytestmark = pytest.mark.backend_neutral


class Rows(list):
    """Examples with these labels, which note the indices that are read."""

    def __init__(self, labels):
        super().__init__({"label": label} for label in labels)
        self.read = []

    def __getitem__(self, index):
        self.read.append(index)
        return super().__getitem__(index)


@pytest.fixture
def files(tmp_path):
    names = [tmp_path / f"set-train.array_record-0000{index}-of-00002" for index in range(2)]
    for file in names:
        file.write_bytes(b"records")
    return names


def labels_and_reads(labels, files):
    rows = Rows(labels)
    return read_labels(rows, files).tolist(), sorted(rows.read)


def test_labels_are_read_from_the_records_once(files, monkeypatch):
    monkeypatch.setattr(record_labels, "CHUNK", 2)
    assert labels_and_reads([3, 1, 2, 0, 1], files) == ([3, 1, 2, 0, 1], [0, 1, 2, 3, 4])
    assert labels_and_reads([3, 1, 2, 0, 1], files) == ([3, 1, 2, 0, 1], [])
    assert len(list(files[0].parent.iterdir())) == 3


@pytest.mark.parametrize("change", ["size", "time", "name", "count", "damage", "other"])
def test_labels_of_other_records_are_read_anew(files, change):
    labels_and_reads([0, 1], files)
    (saved,) = files[0].parent.glob(".*")
    if change == "size":
        files[1].write_bytes(b"more records")
        os.utime(files[1], ns=(0, 0))
    elif change == "time":
        os.utime(files[1], ns=(0, 10**9))
    elif change == "name":
        files[1] = files[1].rename(files[1].with_name("other"))
    elif change == "damage":
        saved.write_bytes(saved.read_bytes()[:-30])
    elif change == "other":
        np.savez(saved, labels=np.zeros(2))
    changed = [1, 1, 0] if change == "count" else [1, 0]
    assert labels_and_reads(changed, files) == (changed, list(range(len(changed))))
    assert labels_and_reads(changed, files) == (changed, [])


def test_a_folder_that_cannot_be_written_is_a_warning(files, monkeypatch, caplog):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(record_labels, "atomic_path", refuse)
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "keras_se"):
            assert labels_and_reads([0, 1], files) == ([0, 1], [0, 1])
        assert "every start reads all records" in caplog.text
        assert str(files[0].parent) in caplog.text


def test_files_that_are_not_on_this_machine_are_a_warning(caplog):
    assert labels_and_reads([0, 1], ["gs://set/train"]) == ([0, 1], [0, 1])
    assert "every start reads all records" in caplog.text


# With TensorFlow Datasets itself


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """A real set in array_record format, 8 images to train on and 4 held out."""
    tfds = pytest.importorskip("tensorflow_datasets")
    pytest.importorskip("array_record")
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent / "benchmarks"))
    records = importlib.import_module("records")
    monkeypatch.setattr(records, "RECORDS_OF_A_FILE", 3)
    for index in range(12):
        part = "train" if index < 8 else "val"
        name = "even" if index % 2 == 0 else "odd"
        picture(tmp_path / "folder" / part / name / f"{index}.jpg", (20 * index,) * 3)
    records.main([str(tmp_path / "folder"), str(tmp_path / "sets")])
    builder = functools.partial(tfds.builder, data_dir=tmp_path / "sets")
    monkeypatch.setattr(tfds, "builder", builder)


def shades(images):
    return np.rint(np.asarray(images)[:, 0, 0, 0] * 255 / 20).astype(int).tolist()


@pytest.mark.usefixtures("pictures")
def test_processes_read_disjoint_records_of_a_set(tmp_path):
    loaded = data.load("tfds:pictures", size=8, memory=0)
    assert len(list(tmp_path.rglob(".*.labels.npz"))) == 2
    again = data.load("tfds:pictures", size=8, memory=0)
    np.testing.assert_array_equal(again.train_labels, loaded.train_labels)
    read = []
    for process in range(2):
        select = ProcessShard(process, 2).select
        batches = data.TrainBatches(again.train_images, again.train_labels, 4, shard=select)
        pairs = [batches[step] for step in range(2)]
        images, labels = map(np.concatenate, zip(*pairs, strict=True))
        assert [shade % 2 for shade in shades(images)] == labels.tolist()
        read.append(set(shades(images)))
    assert not read[0] & read[1]
    assert read[0] | read[1] == set(range(8))
