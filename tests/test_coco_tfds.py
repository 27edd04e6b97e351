"""Boxes of a dataset of TensorFlow Datasets, as far as it can be tried without one."""

import sys
import types
from importlib.machinery import ModuleSpec

import numpy as np
import pytest

from keras_se.dense.batches import load_picture
from keras_se.dense.coco import read_coco
from keras_se.dense.coco_tfds import read_coco_tfds
from keras_se.dense.scenes import write_scenes

pytestmark = pytest.mark.backend_neutral


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """The pictures of both splits as a folder has them, and the names of their classes."""
    folder = write_scenes(tmp_path_factory.mktemp("scenes"), number=3, size=48)
    train, names, _ = read_coco(folder, "train")
    return {"train": train, "validation": read_coco(folder, "val")[0]}, names


def row(picture):
    """A picture as TensorFlow Datasets gives it: top, left, bottom, right in fractions."""
    width, height = picture.size
    boxes = picture.boxes[:, [1, 0, 3, 2]] / [height, width, height, width]
    objects = {"bbox": boxes.astype("float32"), "label": picture.labels, "is_crowd": picture.crowd}
    names = {"image/filename": picture.path.name.encode(), "image/id": picture.id}
    return {"image": picture.path.read_bytes(), **names, "objects": objects}


def fake_tfds(monkeypatch, splits, names, *, record=True, features=("image", "objects")):
    """A module that behaves like TensorFlow Datasets with one prepared set."""

    class Builder:
        info = types.SimpleNamespace(
            features={key: {"label": types.SimpleNamespace(names=names)} for key in features},
            splits=splits,
        )

        def is_prepared(self):
            return True

        def as_data_source(self, split, decoders):
            assert decoders == {"image": "skip"}
            if not record:
                raise NotImplementedError
            return splits[split]

    module = types.ModuleType("tensorflow_datasets")
    module.__spec__ = ModuleSpec("tensorflow_datasets", None)
    module.decode = types.SimpleNamespace(SkipDecoding=lambda: "skip")
    module.builder = lambda name: Builder()
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", module)


def test_boxes_and_pictures_are_those_of_the_folder(scenes, monkeypatch):
    splits, names = scenes
    fake_tfds(monkeypatch, {part: [*map(row, each)] for part, each in splits.items()}, names)
    for split, part in (("train", "train"), ("val", "validation")):
        pictures, got, problems = read_coco_tfds("coco/2017", split)
        assert got == tuple(names) and not problems
        for picture, expected in zip(pictures, splits[part], strict=True):
            assert (picture.id, picture.size) == (expected.id, expected.size)
            np.testing.assert_allclose(picture.boxes, expected.boxes, atol=1e-3)
            np.testing.assert_array_equal(picture.labels, expected.labels)
            loaded = [load_picture(each.path, 32) for each in (picture, expected)]
            np.testing.assert_array_equal(loaded[0][0], loaded[1][0])
            assert loaded[0][1] == loaded[1][1]


def test_what_is_wrong_is_left_out_and_said(scenes, monkeypatch):
    splits, names = scenes
    rows = [*map(row, splits["train"])]
    rows[0]["image"] = b"no image"
    rows[1]["objects"]["bbox"][0] = [0.2, 0.5, 0.2, 0.7]
    fake_tfds(monkeypatch, {"train": rows}, names)
    pictures, _, problems = read_coco_tfds("coco/2017", "train")
    assert [picture.id for picture in pictures] == [each.id for each in splits["train"][1:]]
    assert len(pictures[0].labels) == len(splits["train"][1].labels) - 1
    first, second, third = (picture.path.name for picture in splits["train"])
    assert len(problems) == 2 and f"{first} (image 0): not an image" in problems[0]
    assert f"{second} (image 1): " in problems[1] and "empty" in problems[1]
    # What is broken behind its header is seen when it is decoded.
    rows[2]["image"] = rows[2]["image"][:200]
    with pytest.raises(ValueError, match=rf"{third} \(image 2\): cannot be decoded"):
        load_picture(pictures[-1].path, 32)


@pytest.mark.parametrize(
    ("options", "split", "message"),
    [
        ({"record": False}, "train", "tfds build coco/2017"),
        ({"features": ("image", "label")}, "train", "image, label"),
        ({}, "val", "validation or test"),
    ],
)
def test_sets_that_cannot_be_used(scenes, monkeypatch, options, split, message):
    splits, names = scenes
    fake_tfds(monkeypatch, {"train": [*map(row, splits["train"])]}, names, **options)
    with pytest.raises(ValueError, match=message):
        read_coco_tfds("coco/2017", split)
