"""What folders of images are for training: which part is held out, what a random crop is cut from.

And where `keras-se data prepare` may write what it makes of them.
"""

import os
import shutil
import tempfile
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from conftest import WARNINGS_OF_KERAS, picture
from PIL import Image
from tiny import small

from keras_se import augmentation, cli, data
from keras_se.data.sources.folder import list_folder
from keras_se.distribution import devices
from keras_se.preprocessing import Preprocessing
from keras_se.training import loop, resolve

pytestmark = [
    pytest.mark.backend_neutral,
    pytest.mark.usefixtures("tiny_network"),
    *WARNINGS_OF_KERAS,
]
RED, GREEN, BLUE = (200, 0, 0), (0, 200, 0), (0, 0, 200)
CROPPED = {"size": 16, "crop": 0.875, "augment": ("resized_crop(0.5)",), "batch_size": 8}


def folder_of(root, parts):
    """Two images of each of two classes in every part; `parts` gives its color by its name."""
    for part, color in parts.items():
        for name in ("a", "b"):
            for index in range(2):
                picture(root / part / name / f"{index}.png", color)
    return root


@pytest.fixture(scope="module")
def edges(tmp_path_factory):
    """Black pictures, red at the left edge, green at the left of the square in the centre."""
    root = tmp_path_factory.mktemp("edges")
    pixels = np.zeros((32, 64, 3), "uint8")
    pixels[:, :8], pixels[:, 16:20] = RED, GREEN
    for part, count in (("train", 12), ("val", 4)):
        for name in ("a", "b"):
            (root / part / name).mkdir(parents=True)
            for index in range(count):
                Image.fromarray(pixels).save(root / part / name / f"{index}.png")
    return f"folder:{root}"


# What a random crop is cut from


def seen(recipe):
    """The training images of an epoch as a network gets them, held-out ones, and their dataset."""
    run = resolve(recipe)
    batches, held_out = loop._batches(run, 0, devices.ProcessShard())
    changes = augmentation.BatchAugmentation(recipe, 2, run.augmentations)
    images = []
    for x, labels in (batches[index] for index in range(len(batches))):
        batch, *_ = changes.augment(x["images"], labels, int(x["step"][0]))
        images.append(keras.ops.convert_to_numpy(batch))
    return np.concatenate(images), np.asarray(held_out[0][0]["images"]), run.dataset


@pytest.mark.parametrize(("min_area", "crop", "channel"), [(0.5, 0.875, 0), (1, 0.5, 1)])
def test_random_crops_are_cut_from_the_whole_file(edges, min_area, crop, channel):
    """Also of a set that fits in memory; the largest box is the whole centre square."""
    given = CROPPED | {"augment": (f"resized_crop({min_area})",), "crop": crop}
    images, held_out, dataset = seen(small(data=edges, **given))
    assert images.shape == (24, 16, 16, 3)
    assert images[..., channel].max() > 0.5
    assert held_out[..., channel].max() == 0
    assert isinstance(dataset.train_images, data.LazyImages)
    assert isinstance(dataset.test_images, np.ndarray)


def test_without_random_crops_files_are_decoded_once(edges):
    images, _, dataset = seen(small(data=edges, **CROPPED | {"augment": ("flip",)}))
    assert isinstance(dataset.train_images, np.ndarray)
    assert images[..., 0].max() == 0


def test_random_crops_are_the_same_whether_a_set_fits_in_memory(edges, monkeypatch):
    recipe = small(data=edges, **CROPPED)
    images, held_out, _ = seen(recipe)
    load = data.load
    monkeypatch.setattr(data, "load", lambda name, **given: load(name, memory=0, **given))
    late, held_out_late, dataset = seen(recipe)
    assert isinstance(dataset.test_images, data.LazyImages)
    np.testing.assert_array_equal(images, late)
    np.testing.assert_array_equal(held_out, held_out_late)


def test_a_run_that_goes_on_cuts_what_it_would_have_cut(edges):
    run = resolve(small(data=edges, **CROPPED))

    def epoch(first, number):
        batches, _ = loop._batches(run, first, devices.ProcessShard())
        for _ in range(first, number + 1):  # Keras announces an end before the first epoch too.
            batches.on_epoch_end()
        inputs, labels = zip(*(batches[index] for index in range(len(batches))), strict=True)
        images, steps = (np.concatenate([x[key] for x in inputs]) for key in ("images", "step"))
        return images, steps, np.concatenate(labels)

    for later, whole in zip(epoch(1, 1), epoch(0, 1), strict=True):
        np.testing.assert_array_equal(later, whole)
    assert (epoch(0, 0)[0] != epoch(0, 1)[0]).any()


# Which part is held out


def test_val_is_held_out_before_test_and_the_log_says_so(tmp_path, caplog):
    for name in ("val", "validation"):
        root = folder_of(tmp_path / name, {"train": RED, name: GREEN, "test": BLUE})
        caplog.clear()
        loaded = data.load(f"folder:{root}", size=8)
        assert (loaded.train_images == RED).all() and (loaded.test_images == GREEN).all()
        assert len(loaded.test_labels) == 4
        (message,) = caplog.messages
        assert f"is {name}," in message and f"folder:{root / 'test'}" in message


def test_a_part_that_is_named_is_the_one_held_out(tmp_path, caplog, monkeypatch):
    root = folder_of(tmp_path, {"train": RED, "val": GREEN, "test": BLUE})
    monkeypatch.chdir(root / "test")
    for path, color in (("test", BLUE), ("test/", BLUE), ("val", GREEN)):
        loaded = data.load(f"folder:{root}/{path}", size=8)
        assert (loaded.train_images == RED).all() and (loaded.test_images == color).all()
    assert (data.load("folder:.", size=8).test_images == BLUE).all()
    assert not caplog.messages
    (root / "test/c").mkdir()
    with pytest.raises(ValueError, match="held out: c"):
        data.load(f"folder:{root}/test", size=8)


def test_a_folder_called_test_alone_is_divided_as_any_other(tmp_path):
    for index in range(10):
        picture(tmp_path / "test" / "ab"[index % 2] / f"{index}.png", RED)
    loaded = data.load(f"folder:{tmp_path}/test", size=8)
    assert (len(loaded.train_labels), len(loaded.test_labels)) == (8, 2)


def test_evaluate_measures_the_part_that_is_named(tmp_path, capsys):
    root = folder_of(tmp_path / "set", {"train": RED, "val": RED, "test": RED})
    picture(root / "test/a/more.png", RED)
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)]
    )
    file = tmp_path / "model.keras"
    model.save(file)
    for part, count in (("", 4), ("/val", 4), ("/test", 5)):
        assert cli.main(["evaluate", str(file), "--data", f"folder:{root}{part}"]) == 0
        assert f": {count} images, top-1" in capsys.readouterr().out


# Where prepared arrays go


@pytest.fixture
def prepared(tmp_path, capsys, monkeypatch):
    """A function of OUT that returns the error of `keras-se data prepare`, `None` if it decodes."""
    root = folder_of(tmp_path / "set", {"train": RED, "val": GREEN})

    class DecodingBegan(BaseException):
        pass

    def decode(*_):
        raise DecodingBegan

    monkeypatch.setattr(Preprocessing, "load_image", decode)

    def run(out):
        try:
            assert cli.main(["data", "prepare", str(root), str(out), "--size", "8"]) == 2
        except DecodingBegan:
            return None
        return capsys.readouterr().err

    return run


def test_a_bad_file_to_write_is_refused_before_anything_is_decoded(prepared, tmp_path):
    old = tmp_path / "old.npz"
    old.write_text("mine")
    for out, legal in (
        (tmp_path / "set.zip", ".npz"),
        (tmp_path / "missing" / "set.npz", "folder that is there"),
        (old / "set.npz", "folder that is there"),
        (old, "new file"),
    ):
        error = prepared(out)
        assert "OUT" in error and legal in error and repr(str(out)) in error
    assert old.read_text() == "mine"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["old.npz", "set"]


def test_a_folder_that_cannot_be_written_is_refused(prepared, tmp_path, monkeypatch):
    create = tempfile.TemporaryFile

    def refuse(*arguments, dir=None):
        if dir == tmp_path:
            raise PermissionError(13, "Permission denied", str(dir))
        return create(*arguments, dir=dir)

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    error = prepared(tmp_path / "set.npz")
    assert "OUT" in error and "Permission denied" in error


def test_too_little_space_for_the_arrays_is_refused(prepared, tmp_path, monkeypatch):
    # Four images to train on and four held out, of 8x8 pixels.
    usage = SimpleNamespace(free=8 * 192 - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    error = prepared(tmp_path / "set.npz")
    assert "OUT" in error and repr(str(tmp_path / "set.npz")) in error
    usage.free += 1
    assert prepared(tmp_path / "set.npz") is None


# Lists of files


@pytest.fixture
def listed(tmp_path):
    """Two classes; beside the files of one are links, folders, and names of all kinds."""
    for name in ("a", "b"):
        picture(tmp_path / "set" / name / "10.png", RED)
    folder = tmp_path / "set" / "a"
    for name in ("9.png", "B.png", "é.png", os.fsdecode(b"\xff.png"), "a longer name.png"):
        shutil.copyfile(folder / "10.png", folder / name)
    (folder / "link.png").symlink_to(folder / "10.png")
    for name, target in (("loop", "loop"), ("missing", "nothing"), ("folder", tmp_path)):
        (folder / name).symlink_to(target)
    (folder / "below").mkdir()
    picture(folder / ".hidden.png", RED)
    return tmp_path / "set"


def test_files_of_a_folder_are_sorted_and_read_by_any_name(listed):
    files, held_out, names = list_folder(listed)
    inside = sorted(path for path in (listed / "a").iterdir() if path.is_file())
    inside.remove(listed / "a" / ".hidden.png")
    assert list(files.sources) == [*inside, listed / "b" / "10.png"]
    assert len(inside) == 7
    assert files.labels.tolist() == [0] * 7 + [1] and files.labels.dtype.kind == "i"
    assert held_out is None and names == ("a", "b")
    images, readable = data.LazyImages(files.sources, Preprocessing(8)).take(range(8))
    assert readable.all() and images.shape == (8, 8, 8, 3)


def test_parts_of_a_list_of_files_are_sequences(listed):
    sources = list_folder(listed)[0].sources
    every, lazy = list(sources), data.LazyImages(sources, Preprocessing(8))
    assert list(sources[6:1:-2]) == every[6:1:-2]
    chosen = lazy.select([5, 0, -1]).select([2, 1]).sources
    assert list(chosen) == [every[-1], every[0]]
    assert list(chosen[:1]) == [every[-1]]
    with pytest.raises(IndexError):
        sources[len(every)]
