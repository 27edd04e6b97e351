"""Segmenters on the networks of the zoo, their data and their metric."""

import dataclasses

import keras
import numpy as np
import pytest
from conftest import infer
from families import NETWORKS
from PIL import Image
from test_applications import study

import keras_se.applications
from keras_se.dense.scenes import write_scenes
from keras_se.dense.segmentation import (
    IGNORED,
    MaskBatches,
    load_mask,
    mean_iou,
    pyramid_head,
    segment,
)

SIDE = 64


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    return write_scenes(tmp_path_factory.mktemp("scenes"), number=4, size=SIDE)


@pytest.mark.backend_neutral
def test_mean_iou_by_hand():
    truth = np.array([[0, 0, 1, 1], [2, 2, IGNORED, 1]])
    prediction = np.array([[0, 1, 1, 1], [2, 0, 0, 1]])
    # Class 0: one of three; class 1: three of four; class 2: one of two; class 3 is nowhere.
    expected = (1 / 3 + 3 / 4 + 1 / 2) / 3
    assert mean_iou([truth[:1], truth[1:]], [prediction[:1], prediction[1:]], 4) == expected


@pytest.mark.backend_neutral
def test_masks_go_with_their_pictures(scenes):
    batches = [
        MaskBatches(scenes, "train", SIDE, 4, num_classes=4, seed=seed)[0]
        for seed in (None, 0, 1, 2)
    ]
    # Shapes are of one color, which the noise of the background is not: red, green or blue.
    for images, masks in batches:
        assert images.shape == (4, SIDE, SIDE, 3) and masks.shape == (4, SIDE, SIDE)
        shapes = masks > 0
        np.testing.assert_array_equal(images.argmax(axis=-1)[shapes], masks[shapes] - 1)
    assert any((masks != batches[0][1]).any() for _, masks in batches)


@pytest.mark.backend_neutral
def test_masks_fill_squares_with_what_does_not_count(tmp_path):
    Image.fromarray(np.full((10, 20), 3, "uint8")).save(tmp_path / "mask.png")
    mask = load_mask(tmp_path / "mask.png", 40, 2.0)
    assert (mask[:20] == 3).all() and (mask[20:] == IGNORED).all()
    Image.fromarray(np.zeros((4, 4, 3), "uint8")).save(tmp_path / "color.png")
    with pytest.raises(ValueError, match="must be gray or have a palette"):
        load_mask(tmp_path / "color.png", 40, 10.0)


@pytest.mark.backend_neutral
def test_pictures_without_a_mask_are_left_out(tmp_path, caplog):
    folder = write_scenes(tmp_path, number=3, size=32)
    (folder / "masks" / "2.png").unlink()
    batches = MaskBatches(folder, "train", 32, 2, num_classes=4)
    assert [path.stem for path in batches.pictures] == ["1", "3"]
    assert "left out 1 pictures without a mask" in caplog.text
    with pytest.raises(ValueError, match="`batch_size` must be at most 2"):
        MaskBatches(folder, "train", 32, 3, num_classes=4)


@pytest.mark.backend_neutral
@pytest.mark.parametrize(
    "size, value, message",
    [(16, 0, r"2\.png: .* size of its picture, 32x32"), (32, 4, r"2\.png: .* It has \[4\]")],
)
def test_masks_that_do_not_fit_are_refused_before_a_training(tmp_path, size, value, message):
    folder = write_scenes(tmp_path / "data", number=8, size=32)
    mask = np.full((size, size), value, "uint8")
    mask[0] = IGNORED
    Image.fromarray(mask).save(folder / "masks" / "2.png")
    module = study("segmentation")
    with pytest.raises(ValueError, match=message):
        module.train(module.SMOKE, folder, ["background", "a", "b", "c"], tmp_path / "run")
    assert not (tmp_path / "run").exists()
    if size == 32:
        MaskBatches(folder, "train", 32, 2, num_classes=5)


@pytest.mark.parametrize("name", ("resnet_aa", "cifar", "mobilenet_v3"))
def test_logits_have_the_size_of_the_image(name):
    network = NETWORKS[name][1](include_top=False, weights=None)
    logits = infer(pyramid_head(network, 5, filters=8), np.zeros((1, 64, 96, 3), "float32"))
    assert logits.shape == (1, 64, 96, 5)


def test_classes_have_the_size_of_the_picture(tmp_path):
    """The left half of a picture is dark: what tells it from the right is a threshold."""
    pixels = np.zeros((30, 50, 3), "uint8")
    pixels[:, 25:] = 250
    Image.fromarray(pixels).save(tmp_path / "halves.png")
    images = keras.Input((40, 40, 3))
    model = keras.Model(images, keras.layers.Rescaling((-1.0, 1.0, 0.0), (125, -125, -500))(images))
    classes = segment(model, tmp_path / "halves.png", 40)
    assert classes.shape == (30, 50)
    assert not classes[:, :24].any() and classes[:, 26:].all()


@pytest.mark.slow
def test_a_segmenter_learns_scenes_by_heart(tmp_path, capsys, monkeypatch):
    # Enough to tell it from chance, 0.2, with a third of the pixels and half of the blocks.
    monkeypatch.setattr(keras_se.applications, "SEA", NETWORKS["resnet_aa"][1], raising=False)
    module = study("segmentation")
    recipe = dataclasses.replace(module.SMOKE, network="SEA", size=SIDE, epochs=40)
    monkeypatch.setattr(module, "SMOKE", recipe)
    module.main(["--smoke", "--out", str(tmp_path / "smoke")])
    lines = capsys.readouterr().out.splitlines()
    name, value = lines[-1].split(": ")
    assert name == "mIoU" and float(value) >= 0.75
    losses = [float(line.split("loss: ")[1]) for line in lines if "loss: " in line]
    assert losses[-1] < losses[0]
    picture = tmp_path / "smoke" / "data" / "train" / "1.png"
    lines = module.predict(tmp_path / "smoke" / "run", picture, tmp_path / "painted.png")
    assert [line.split()[0] for line in lines] == ["background", "square", "disc", "triangle"]
    assert sum(float(line.split()[1]) for line in lines) == pytest.approx(100, abs=0.3)
    with Image.open(tmp_path / "painted.png") as painted:
        assert painted.size == (SIDE, SIDE)


@pytest.mark.slow
def test_deeplab_trains_and_is_saved_and_reloaded_equal(scenes, tmp_path):
    pytest.importorskip("keras_hub")
    from keras_se.dense.kerashub import deeplab

    network = NETWORKS["resnet_aa"][1](include_top=False, weights=None, input_shape=(64, 64, 3))
    model = deeplab(network, 4)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=IGNORED)
    # One step takes less time than to compile it.
    model.compile(optimizer="adam", loss=loss, metrics=[], run_eagerly=True)
    before = keras.ops.convert_to_numpy(network.get_layer("layer4_0_conv1").kernel)
    batches = MaskBatches(scenes, "train", SIDE, 4, num_classes=4)
    assert np.isfinite(keras.Model.fit(model, batches, verbose=0).history["loss"][0])
    # All of the network is trained.
    assert not np.array_equal(network.get_layer("layer4_0_conv1").kernel, before)
    images, _ = batches[0]
    expected = infer(model, images, exactly=True)
    assert expected.shape == (4, SIDE, SIDE, 4)
    # A file with the state of an optimizer could not be loaded.
    model.compile()
    model.save(tmp_path / "deeplab.keras")
    again = keras.models.load_model(tmp_path / "deeplab.keras", compile=False)
    np.testing.assert_array_equal(infer(again, images, exactly=True), expected)


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a SavedModel is TensorFlow's")
def test_a_segmenter_is_exported_equal(tmp_path):
    import tensorflow as tf

    network = NETWORKS["cifar"][1](include_top=False, weights=None, input_shape=(32, 32, 3))
    model = pyramid_head(network, 3, filters=8)
    model.export(tmp_path / "exported", verbose=False)
    images = np.random.default_rng(0).standard_normal((2, 32, 32, 3)).astype("float32")
    exported = tf.saved_model.load(tmp_path / "exported")
    expected = infer(model, images)
    np.testing.assert_allclose(exported.serve(images), expected, rtol=1e-5, atol=1e-5)
