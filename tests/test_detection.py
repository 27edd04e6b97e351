"""Detectors on the networks of the zoo, COCO's files and metrics."""

import dataclasses
import json
import shutil
from functools import partial

import keras
import numpy as np
import pytest
from conftest import infer
from families import NETWORKS
from PIL import Image
from test_applications import study

import keras_se.applications
from keras_se.dense.batches import PAD, load_picture
from keras_se.dense.coco import BoxBatches, Picture, draw_boxes, read_coco
from keras_se.dense.coco_metrics import coco_metrics
from keras_se.dense.scenes import CLASSES, write_scenes

keras_hub = pytest.importorskip("keras_hub")
from keras_se.dense.kerashub import (  # noqa: E402 (not without keras-hub)
    PyramidBackbone,
    export_detector,
    retinanet,
)

SIDE = 64


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    return write_scenes(tmp_path_factory.mktemp("scenes"), number=4, size=SIDE)


def trunk():
    return NETWORKS["resnet_aa"][1](include_top=False, weights=None, input_shape=(SIDE, SIDE, 3))


@pytest.fixture(scope="module")
def detector():
    return retinanet(trunk(), 3, levels=(4, 5), head_convolutions=1, confidence_threshold=0.0)


def test_scenes_have_a_box_around_each_shape(scenes):
    pictures, names, problems = read_coco(scenes, "train")
    assert names == CLASSES and problems == [] and len(pictures) == 4
    for picture in pictures:
        with Image.open(scenes / "masks" / picture.path.name) as file:
            mask = np.asarray(file)
        assert picture.size == (SIDE, SIDE)
        for box, label in zip(picture.boxes.astype(int), picture.labels, strict=True):
            left, top, right, bottom = box
            rows, columns = np.nonzero(mask[top:bottom, left:right] == label + 1)
            # The box is as narrow as it can be.
            assert (columns.min(), columns.max()) == (0, right - left - 1)
            assert rows.max() == bottom - top - 1 and rows.min() <= 1


def spoil(scenes, tmp_path, change):
    """A copy of the scenes whose annotations `change` has changed."""
    folder = tmp_path / "spoiled"
    shutil.copytree(scenes, folder)
    path = folder / "annotations" / "instances_train.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return folder


BAD = {
    "outside of the picture": {"bbox": [SIDE + 5, 0, 10, 10]},
    "an empty box": {"bbox": [5, 5, 0, 10]},
    "no box": {"bbox": [5, 5, 10]},
    "no class": {"category_id": 99},
    "no image": {"image_id": 99},
    "comes again": {"id": 1},
}


@pytest.mark.parametrize("message", BAD)
def test_wrong_annotations_are_left_out_and_reported(scenes, tmp_path, message):
    def add(content):
        content["annotations"].append({**content["annotations"][-1], "id": 1000, **BAD[message]})

    before, _, _ = read_coco(scenes, "train")
    pictures, _, problems = read_coco(spoil(scenes, tmp_path, add), "train")
    assert len(problems) == 1 and message in problems[0]
    for picture, expected in zip(pictures, before, strict=True):
        np.testing.assert_array_equal(picture.boxes, expected.boxes)


def test_pictures_that_cannot_be_read_are_left_out_with_their_boxes(scenes, tmp_path):
    folder = spoil(scenes, tmp_path, lambda content: content["images"].append({"id": 1}))
    (folder / "train" / "2.png").unlink()
    (folder / "train" / "3.png").write_text("no image")
    pictures, _, problems = read_coco(folder, "train")
    assert [picture.id for picture in pictures] == [1, 4]
    text = "\n".join(problems)
    for message in ("image 2: there is no file", "not an image", "image 1: its number comes again"):
        assert message in text
    # The boxes of pictures that are not there are not there either.
    assert "there is no image 2" in text


def test_boxes_are_cut_off_at_the_border(scenes, tmp_path):
    def enlarge(content):
        content["annotations"][0]["bbox"] = [-5, 10, 20, SIDE]

    pictures, _, problems = read_coco(spoil(scenes, tmp_path, enlarge), "train")
    np.testing.assert_array_equal(pictures[0].boxes[0], [0, 10, 15, SIDE])
    assert not problems


def test_nothing_to_learn_is_refused(scenes, tmp_path):
    with pytest.raises(ValueError, match="no box that can be used"):
        read_coco(spoil(scenes, tmp_path, lambda content: content["annotations"].clear()), "train")
    with pytest.raises(FileNotFoundError, match="one file instances_test"):
        read_coco(scenes, "test")


def test_boxes_go_with_the_picture(tmp_path):
    array = np.zeros((20, 40, 3), "uint8")
    array[4:12, 10:30] = 255
    Image.fromarray(array).save(tmp_path / "1.png")
    box = np.array([[10, 4, 30, 12]], "float32")
    picture = Picture(1, tmp_path / "1.png", (40, 20), box, np.array([2]), np.array([False]))
    image, scale = load_picture(picture.path, 80)
    assert scale == 2.0 and image.shape == (80, 80, 3)
    assert image[9:23, 21:59].min() == 255 and (image[40:] == PAD).all()
    seen = set()
    for epoch in range(8):
        batches = BoxBatches([picture], 80, 1, seed=3)
        batches.epoch = epoch
        images, targets = batches[0]
        left, top, right, bottom = targets["boxes"][0, 0].astype(int)
        # Wherever the box is after the flip, the white is in it.
        assert images[0, top + 1 : bottom - 1, left + 1 : right - 1].min() == 255
        assert targets["labels"].tolist() == [[2, -1]]
        seen.add(left)
    assert seen == {20}  # In the middle of its picture, it is where it was.


def test_flips_move_boxes_and_crowds_are_not_trained_on(scenes):
    (picture, *_), _, _ = read_coco(scenes, "train")
    lefts = {BoxBatches([picture], SIDE, 1, seed=seed)[0][1]["boxes"][0, 0, 0] for seed in range(9)}
    left, _, right, _ = picture.boxes[0]
    assert lefts == {left, SIDE - right}
    picture = dataclasses.replace(picture, crowd=np.ones(len(picture.boxes), bool))
    assert (BoxBatches([picture], SIDE, 1)[0][1]["labels"] == -1).all()


def test_other_classes_in_val_are_refused_before_a_training(scenes, tmp_path):
    folder = tmp_path / "scenes"
    shutil.copytree(scenes, folder)
    path = folder / "annotations" / "instances_val.json"
    content = json.loads(path.read_text())
    content["categories"][0]["name"] = "cube"
    path.write_text(json.dumps(content))
    detection = study("detection")
    with pytest.raises(ValueError, match="in val"):
        detection.train(detection.SMOKE, folder, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def detections(pictures):
    """Detections that are the annotations."""
    rows = [
        {"boxes": picture.boxes, "labels": picture.labels, "scores": np.ones(len(picture.boxes))}
        for picture in pictures
    ]
    return [{name: value.copy() for name, value in row.items()} for row in rows]


def test_metrics_of_coco(scenes):
    pytest.importorskip("pycocotools")
    pictures, names, _ = read_coco(scenes, "train")
    assert set(coco_metrics(pictures, detections(pictures), len(names)).values()) == {1.0}
    # An overlap of 0.75 with each: right at the thresholds from 0.5 to 0.75, six of ten.
    narrow = detections(pictures)
    for row in narrow:
        row["boxes"][:, 2] -= 0.2499 * (row["boxes"][:, 2] - row["boxes"][:, 0])
    metrics = coco_metrics(pictures, narrow, len(names))
    assert metrics["AP50"] == metrics["AP75"] == 1.0 and metrics["AP"] == pytest.approx(0.6)
    nothing = [{key: value[:0] for key, value in row.items()} for row in narrow]
    assert coco_metrics(pictures, nothing, len(names))["AP"] == 0.0


def test_boxes_are_drawn_where_they_are(tmp_path):
    Image.fromarray(np.zeros((90, 120, 3), "uint8")).save(tmp_path / "black.png")
    picture = draw_boxes(tmp_path / "black.png", np.array([[30.0, 40, 100, 80]]), ["disc 0.9"])
    drawn = np.asarray(picture).any(axis=-1)
    assert drawn[80, 30:101].all() and drawn[40:81, 100].all() and not drawn[:39].any()
    assert not drawn[65:79, 32:98].any()


def test_a_detector_starts_with_the_prior_of_its_focal_loss(detector):
    outputs = infer(detector, np.random.default_rng(0).uniform(0, 1, (1, SIDE, SIDE, 3)))
    scores = 1 / (1 + np.exp(-np.asarray(outputs["cls_logits"])))
    assert 0.005 < scores.mean() < 0.02
    assert np.abs(outputs["bbox_regression"]).mean() < 0.5


def test_kerashub_gives_the_prior_to_the_wrong_head():
    """If this fails, KerasHub was repaired and `_initialize` can go."""
    encoder = keras_hub.models.RetinaNetBackbone(
        PyramidBackbone(trunk()), 4, 5, False, image_shape=(SIDE, SIDE, 3)
    )
    upstream = keras_hub.models.RetinaNetObjectDetector(
        encoder, 3, anchor_generator=None, pre_logits_num_conv_layers=1
    )
    prior = -np.log(99)
    biases = [
        keras.ops.convert_to_numpy(head.prediction_layer.bias)
        for head in (upstream.box_head, upstream.classification_head)
    ]
    np.testing.assert_allclose(biases[0], prior, rtol=1e-5)
    assert np.abs(biases[1]).max() == 0


def test_a_detector_is_saved_reloaded_and_exported_equal(detector, tmp_path):
    images = np.random.default_rng(1).uniform(-1, 1, (2, SIDE, SIDE, 3)).astype("float32")
    expected = infer(detector, images, exactly=True)
    detector.save(tmp_path / "detector.keras")
    again = keras.models.load_model(tmp_path / "detector.keras", compile=False)
    for name, value in infer(again, images, exactly=True).items():
        np.testing.assert_array_equal(value, expected[name])
    boxes = detector.predict(images, verbose=0)
    for name, value in again.predict(images, verbose=0).items():
        np.testing.assert_allclose(value, boxes[name], rtol=1e-5, atol=1e-4)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        export_detector(detector, tmp_path / "exported", batch_size=2)
        exported = tf.saved_model.load(tmp_path / "exported")
        for name, value in exported.serve(images).items():
            np.testing.assert_allclose(value, boxes[name], rtol=1e-5, atol=1e-4)


def test_maps_that_do_not_fit_are_filled_up_with_zeros():
    build = partial(NETWORKS["inception"][1], include_top=False, weights=None, se=False)
    # Without the values of the weights.
    with keras.StatelessScope(initialize_variables=False):
        backbone = PyramidBackbone(build(input_shape=(96, 128, 3)))
        unknown = build()
    assert [output.shape[1:3] for output in backbone.pyramid_outputs.values()] == [
        (96 // stride, 128 // stride) for stride in (4, 8, 16, 32)
    ]
    with pytest.raises(ValueError, match="input_shape of a fixed height and width"):
        PyramidBackbone(unknown)


@pytest.mark.slow
def test_a_detector_learns_scenes_by_heart(tmp_path, capsys, monkeypatch):
    pytest.importorskip("pycocotools")
    detection = study("detection")
    # The same in half the time.
    monkeypatch.setattr(keras_se.applications, "SEA", NETWORKS["resnet_aa"][1], raising=False)
    recipe = dataclasses.replace(detection.SMOKE, network="SEA")
    monkeypatch.setattr(detection, "SMOKE", recipe)
    detection.main(["--smoke", "--out", str(tmp_path / "smoke")])
    name, value = capsys.readouterr().out.splitlines()[-1].split(": ")
    assert name == "AP50" and float(value) >= 0.9
    run, data = tmp_path / "smoke" / "run", tmp_path / "smoke" / "data"
    # By a fresh detector, from the file.
    lines = detection.predict(run, data / "train" / "1.png", tmp_path / "boxes.png", threshold=0.3)
    assert lines and all(line.split()[0] in CLASSES for line in lines)
    with Image.open(tmp_path / "boxes.png") as picture:
        assert picture.size == (96, 96)
