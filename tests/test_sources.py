"""Data from folders, array files and TensorFlow Datasets, and the batches made of them."""

import io
import sys
import types
import warnings
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest
from conftest import keras_setting, picture
from PIL import Image

from keras_se import cli, data
from keras_se.augmentation.crop import random_box
from keras_se.data import dataset, sources
from keras_se.image_files import open_image
from keras_se.preprocessing import Preprocessing

pytestmark = pytest.mark.backend_neutral

SQUARE = Preprocessing(16, crop=1.0, interpolation="bilinear")

RED, BLUE = (200, 0, 0), (0, 0, 200)


def folder_of(root, parts=("train", "test"), counts=(6, 3)):
    """Two classes, red and blue, whose images grow darker by number."""
    for part, count in zip(parts, counts, strict=True):
        for name, color in (("red", RED), ("blue", BLUE)):
            for index in range(count):
                shade = tuple(max(value - 20 * index, 0) for value in color)
                picture(root / part / name / f"{index}.jpg", shade)
    return root


@pytest.fixture(scope="module")
def divided(tmp_path_factory):
    return folder_of(tmp_path_factory.mktemp("divided"))


def shades(images):
    """The largest value of each image, and whether it is of red."""
    mean = np.asarray(images, "float64").mean(axis=(1, 2))
    return mean.max(axis=1), mean[:, 0] > mean[:, 2]


def test_a_divided_folder_is_decoded_with_its_labels(divided):
    loaded = data.load(f"folder:{divided}", size=8)
    assert loaded.class_names == ("blue", "red")
    assert loaded.train_images.shape == (12, 8, 8, 3)
    assert loaded.test_images.shape == (6, 8, 8, 3)
    assert loaded.train_images.dtype == np.uint8
    shade, red = shades(loaded.train_images)
    np.testing.assert_array_equal(red, loaded.train_labels == 1)
    np.testing.assert_allclose(shade, [200, 180, 160, 140, 120, 100] * 2, atol=3)


def test_one_folder_holds_out_every_fifth_of_each_class(tmp_path):
    folder_of(tmp_path, parts=("",), counts=(11,))
    loaded = data.load(f"folder:{tmp_path}", size=8)
    # By name: 0, 1, 10, 2, 3, ... of which the fifth and the tenth are 3.jpg and 8.jpg.
    np.testing.assert_allclose(shades(loaded.test_images)[0], [140, 40] * 2, atol=3)
    assert loaded.test_labels.tolist() == [0, 0, 1, 1]
    assert len(loaded.train_labels) == 18


def test_broken_files_are_skipped_and_listed(tmp_path, capsys):
    folder_of(tmp_path)
    (tmp_path / "train/red/6.jpg").write_bytes(b"no image")
    whole = (tmp_path / "train/red/0.jpg").read_bytes()
    (tmp_path / "train/red/7.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "test/blue/notes.txt").write_text("text")
    (tmp_path / "test/blue/.hidden").write_text("text")
    loaded = data.load(f"folder:{tmp_path}", size=8)
    assert (len(loaded.train_labels), len(loaded.test_labels)) == (12, 6)
    names = [one.partition(": ")[0] for one in loaded.skipped]
    below = ("test/blue/notes.txt", "train/red/6.jpg", "train/red/7.jpg")
    assert names == [str(tmp_path / one) for one in below]
    assert all(one.count(str(tmp_path)) == 1 for one in loaded.skipped)
    from keras_se.evaluation.report import print_skipped

    print_skipped(loaded, most=2)
    printed = capsys.readouterr().out
    assert printed.startswith("Skipped 3 files")
    assert printed.endswith("and 1 more\n")


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda root: (root / "test/red").rename(root / "test/green"), "green"),
        (lambda root: [file.unlink() for file in root.glob("train/red/*")], "red"),
        (lambda root: [file.write_text("") for file in root.glob("test/red/*")], "red"),
        (lambda root: (root / "test").rename(root / "other"), "validation"),
        (lambda root: [(root / name).mkdir() for name in ("val", "validation")], "validation"),
        (lambda root: (root / "train").rename(root / "test/train"), "test"),
    ],
)
def test_a_folder_that_is_not_sound_is_an_error(tmp_path, break_it, message):
    break_it(folder_of(tmp_path))
    with pytest.raises(ValueError, match=message):
        data.load(f"folder:{tmp_path}", size=8)


@pytest.mark.parametrize(
    "name", ["mnist", "folder:", "digits:x", "digits:", "folder:/nowhere", "array:/nowhere.npz"]
)
def test_data_that_are_not_there_are_named(name):
    named = name if name.endswith(":") else name.rpartition(":")[-1]
    with pytest.raises((ValueError, OSError), match=named):
        data.load(name, size=8)


class Gray:
    """A source of gray images, each class its own shade."""

    usage = "gray:SHADES"

    def __init__(self, shades):
        self.shades = int(shades)

    def load(self):
        labels = np.repeat(np.arange(self.shades), 5)
        images = np.uint8(20 * labels)[:, None, None, None] + np.zeros((1, 8, 8, 3), "uint8")
        names = tuple(map(str, range(self.shades)))
        return dataset.split(images, labels, names)


def test_a_source_is_a_class_in_the_list(monkeypatch):
    with pytest.raises(ValueError, match="gray:3"):
        data.check("gray:3")
    monkeypatch.setattr(sources, "SOURCES", (*sources.SOURCES, Gray))
    loaded = data.load("gray:3", size=4)
    assert loaded.image_shape == (4, 4, 3)
    np.testing.assert_array_equal(loaded.test_images[:, 0, 0, 0], [0, 20, 40])


def test_channels_first_reaches_every_source(divided):
    last = data.load("digits").test_images
    with keras_setting(image_data_format="channels_first"):
        np.testing.assert_array_equal(data.load("digits").test_images[:, 0], last[..., 0])
        for memory in (0, 2**20):
            loaded = data.load(f"folder:{divided}", size=8, memory=memory)
            assert loaded.image_shape == (3, 8, 8)
            images, labels = data.TrainBatches(loaded.train_images, loaded.train_labels, 12)[0]
            np.testing.assert_array_equal(images[:, 0].mean(axis=(1, 2)) > 0.2, labels == 1)


def test_a_folder_needs_a_size(divided):
    with pytest.raises(ValueError, match="`size`"):
        data.load(f"folder:{divided}")


def test_fake_images_differ_by_class():
    fake = data.load("fake", size=8)
    assert fake.image_shape == (8, 8, 3)
    assert np.bincount(fake.train_labels).tolist() == [13] * 10
    mean = [fake.train_images[fake.train_labels == one].mean() for one in range(10)]
    np.testing.assert_allclose(np.diff(mean), 20, atol=1)


# Streaming


def test_streamed_pictures_are_those_decoded_at_once(divided):
    whole = data.load(f"folder:{divided}", size=8)
    late = data.load(f"folder:{divided}", size=8, memory=0)
    assert isinstance(late.train_images, data.LazyImages)
    assert late.image_shape == whole.image_shape
    with_arrays = data.TrainBatches(whole.train_images, whole.train_labels, 4, seed=3)
    streamed = data.TrainBatches(late.train_images, late.train_labels, 4, seed=3)
    for index in range(3):
        for one, other in zip(with_arrays[index], streamed[index], strict=True):
            np.testing.assert_array_equal(one, other)
    held_out = data.EvalBatches(late.test_images, late.test_labels, 4)
    assert [len(held_out[index][1]) for index in range(len(held_out))] == [4, 2]
    np.testing.assert_array_equal(
        np.concatenate([held_out[0][0], held_out[1][0]]), np.float32(whole.test_images) / 255
    )


def test_a_broken_picture_in_a_stream_keeps_the_batch_whole(tmp_path):
    folder_of(tmp_path)
    (tmp_path / "train/red/2.jpg").write_text("")
    (tmp_path / "test/red/2.jpg").write_text("")
    late = data.load(f"folder:{tmp_path}", size=8, memory=0)
    assert late.all_skipped() == []
    batches = data.TrainBatches(late.train_images, late.train_labels, 12, seed=0)
    images, labels = batches[0]
    assert images.shape == (12, 8, 8, 3)
    np.testing.assert_array_equal(shades(images)[1], labels == 1)
    assert np.bincount(labels).tolist() in ([7, 5], [6, 6])
    held_out = data.EvalBatches(late.test_images, late.test_labels, 6)
    assert held_out[0][1].tolist() == [0, 0, 0, 1, 1, 1]
    assert held_out[0][2].tolist() == [1, 1, 1, 1, 1, 0]
    assert late.test_images.broken == {5}
    assert len(late.all_skipped()) == 2


def test_a_random_crop_shows_its_box_whatever_the_decoder_does(tmp_path):
    """A JPEG that is decoded at a fraction of its size gives the same colors."""
    across = np.broadcast_to(np.linspace(0, 255, 256), (256, 256))
    image = np.stack([across, across.T, np.zeros((256, 256))], axis=-1).astype("uint8")
    path = tmp_path / "ramp.jpg"
    Image.fromarray(image).save(path, quality=98)
    box = random_box(np.random.default_rng(5), 256, 256, 0.5)
    images, readable = data.LazyImages([path], SQUARE).take([0], [np.random.default_rng(5)], 0.5)
    assert readable.all()
    left, top, right, bottom = box
    centres = (np.arange(16) + 0.5) / 16
    expected = left + centres * (right - left) - 0.5
    np.testing.assert_allclose(images[0, 8, :, 0], expected, atol=4)
    np.testing.assert_allclose(images[0, :, 8, 1], top + centres * (bottom - top) - 0.5, atol=4)


def test_a_random_crop_of_16_bits_keeps_its_grey(tmp_path):
    path = tmp_path / "gray.png"
    Image.fromarray(np.full((40, 40), 100 * 256, "uint16")).save(path)
    random = np.random.default_rng(0)
    (image,), _ = data.LazyImages([path], SQUARE).take([0], [random], 0.5)
    assert set(np.unique(image)) == {100}


@pytest.mark.parametrize("limit", [100, 700])
def test_a_decompression_bomb_is_a_broken_file(divided, monkeypatch, limit):
    """Of 900 pixels: Pillow only warns about less than twice the limit, which nobody reads."""
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    bomb = picture(divided.parent / "bombs" / "a" / "bomb.png", RED, (30, 30))
    small = picture(divided.parent / "bombs" / "a" / "small.png", BLUE, (8, 8))
    pixels = io.BytesIO(bomb.read_bytes())
    late = data.LazyImages(
        [small, bomb, lambda: open_image(pixels, "bomb")], SQUARE.replace(size=8)
    )
    for randoms in (None, [np.random.default_rng(0) for _ in range(3)]):
        images, readable = late.take([0, 1, 2], randoms, 0.5)
        assert readable.tolist() == [True, False, False]
        np.testing.assert_array_equal(images[0], np.broadcast_to(BLUE, (8, 8, 3)))
        assert late.broken == {1, 2}
        late.broken.clear()
    reasons = [one for one in late.skipped if one.startswith(str(bomb))]
    assert reasons and all("decompression bomb" in one for one in reasons)


def test_streaming_crops_are_a_function_of_seed_epoch_and_place(divided):
    late = data.load(f"folder:{divided}", size=8, memory=0)
    given = {"seed": 1, "min_area": 0.3}
    first = data.TrainBatches(late.train_images, late.train_labels, 4, **given)
    first.on_epoch_end()
    later = data.TrainBatches(late.train_images, late.train_labels, 4, initial_epoch=1, **given)
    for index in (2, 0, 1):
        for one, other in zip(first[index], later[index], strict=True):
            np.testing.assert_array_equal(one, other)


def test_repeated_images_come_in_one_epoch_that_is_no_longer():
    numbers = np.arange(12)
    batches = data.TrainBatches(np.float32(numbers).reshape(12, 1, 1, 1), numbers, 6, repeats=3)
    drawn = np.concatenate([batches[index][1] for index in range(len(batches))])
    assert len(drawn) == 12
    assert sorted(np.bincount(drawn, minlength=12)) == [0] * 8 + [3] * 4
    assert len(data.TrainBatches(numbers, numbers, 2, steps_per_epoch=3)) == 3


# Array files


def test_prepared_arrays_are_the_folder(divided, tmp_path, capsys):
    file = tmp_path / "set.npz"
    assert cli.main(["data", "prepare", str(divided), str(file), "--size", "8"]) == 0
    assert "12 images to train on, 6 held out, 2 classes" in capsys.readouterr().out
    one, other = data.load(f"array:{file}"), data.load(f"folder:{divided}", size=8)
    for field in ("train_images", "train_labels", "test_images", "test_labels", "class_names"):
        np.testing.assert_array_equal(getattr(one, field), getattr(other, field))
    assert data.load(f"array:{file}", size=4).image_shape == (4, 4, 3)
    assert cli.main(["data", "prepare", str(divided), str(file), "--size", "8"]) == 2
    assert "already" in capsys.readouterr().err
    assert [one.name for one in tmp_path.iterdir()] == ["set.npz"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, "keras-se data prepare"),
        ({"train_labels": None}, "train_labels"),
        ({"train_labels": np.array([0])}, "1 labels"),
        ({"test_labels": np.array([0, 2])}, "from 0 to 1"),
        ({"test_images": np.zeros((2, 4, 4, 3), "int64")}, "int64"),
    ],
)
def test_other_arrays_are_refused(tmp_path, change, message):
    images, labels = np.zeros((2, 4, 4, 3), "uint8"), np.array([0, 1])
    given = {"train_images": images, "train_labels": labels, "test_images": images}
    given |= {"test_labels": labels, "class_names": np.array(["a", "b"])} | change
    file = tmp_path / "x.npz"
    np.savez(file, **{name: one for name, one in given.items() if one is not None})
    if not change:
        file.write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(ValueError, match=message):
        data.load(f"array:{file}")


# TensorFlow Datasets, as far as they can be tried without it


def fake_tfds(monkeypatch, splits, features=("image", "label"), folder=None):
    """A module that behaves like TensorFlow Datasets with one set, prepared if it has splits."""
    infos = {split: types.SimpleNamespace() for split in splits}
    for split, info in infos.items():
        if folder:
            info.filepaths = [folder / f"colors-{split}.array_record"]
            info.filepaths[0].touch()

    class Label:
        names = ("red", "blue")

    class Builder:
        info = types.SimpleNamespace(features=dict.fromkeys(features, Label), splits=infos)

        def is_prepared(self):
            return bool(splits)

        def as_data_source(self, split, decoders):
            assert decoders == {"image": "skip"}
            return splits[split]

    module = types.ModuleType("tensorflow_datasets")
    module.__spec__ = ModuleSpec("tensorflow_datasets", None)
    module.decode = types.SimpleNamespace(SkipDecoding=lambda: "skip")

    def builder(name):
        if name != "colors":
            raise LookupError(f"Dataset {name} not found")
        return Builder()

    module.builder = builder
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", module)


def rows(tmp_path, colors):
    for index, color in enumerate(colors):
        path = picture(tmp_path / f"{index}.png", color)
        yield {"image": Path(path).read_bytes(), "label": [RED, BLUE].index(color)}


def test_a_prepared_set_of_tfds(monkeypatch, tmp_path):
    train, test = list(rows(tmp_path, [RED, BLUE, BLUE])), list(rows(tmp_path, [BLUE, RED]))
    fake_tfds(monkeypatch, {"train": train, "test": test}, folder=tmp_path)
    loaded = data.load("tfds:colors", size=8)
    assert loaded.class_names == ("red", "blue")
    np.testing.assert_array_equal(loaded.train_images[:, 0, 0], [RED, BLUE, BLUE])
    assert loaded.test_labels.tolist() == [1, 0]


def test_tfds_errors_say_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(ImportError, match="pip install tensorflow-datasets"):
        data.load("tfds:colors", size=8)
    fake_tfds(monkeypatch, {})
    with pytest.raises(ValueError, match="tfds build colors"):
        data.load("tfds:colors", size=8)
    with pytest.raises(ValueError, match="sounds"):
        data.load("tfds:sounds", size=8)
    fake_tfds(monkeypatch, {"train": []}, features=("text", "label"))
    with pytest.raises(ValueError, match="text, label"):
        data.load("tfds:colors", size=8)
