"""Where data come from: `--data digits`, `fake`, `folder:PATH`, `array:FILE`, `tfds:NAME`."""

import dataclasses
import math
from functools import partial

import keras
import numpy as np

from keras_se.data.dataset import HELD_OUT_EVERY, Dataset, every_of_each_class, split
from keras_se.data.images import LazyImages
from keras_se.data.sources.array import read_arrays
from keras_se.data.sources.folder import check_none_empty, list_folder
from keras_se.data.sources.tfds import list_tfds

# Sets that need more than this when decoded are decoded as they are needed.
MEMORY = 2 * 2**30
PARTS = ("train", "test")
FAKE_IMAGES, FAKE_CLASSES, FAKE_SIZE = 160, 10, 32

KINDS = ("digits", "fake", "folder:PATH", "array:FILE", "tfds:NAME")


def load(name, *, size=None, crop=1.0, interpolation="bilinear", memory=MEMORY, decode_train=True):
    """Loads a dataset by name.

    * `"digits"`: the 1,797 handwritten digits that scikit-learn ships, of 8x8 pixels; every fifth
      of each class is held out, 355 in all. The writers of the held-out digits wrote training
      digits too, so this is not a test on new writers.
    * `"fake"`: 160 images of noise in ten classes that differ in brightness, to try things with.
    * `"folder:PATH"`: a folder of images; see `keras_se.data.sources.folder.list_folder`.
    * `"array:FILE"`: the file that `keras-se data prepare` has made of such a folder.
    * `"tfds:NAME"`: an image classification set that TensorFlow Datasets has prepared.

    Images of files become uint8 squares: the short side is resized and the centre is cut. Broken
    files are left out and listed in `skipped`.

    Args:
        name: One of the above.
        size: Side of the images in pixels; `None` leaves digits, fakes and arrays as they are.
        crop: For folders and TFDS, the square as a fraction of the resized short side, such as
            0.875.
        interpolation: How they are resized: `"bilinear"`, `"bicubic"` or `"nearest"`.
        memory: Bytes; files whose images would need more are not decoded here but as batches ask
            for them.
        decode_train: Whether the training images of files may be decoded here. Batches that cut
            them at random need them as `LazyImages`, whatever the memory: once decoded, they have
            lost all but their centre. The held-out ones are decoded if they alone fit.

    Returns:
        A `Dataset`.

    Raises:
        ValueError: If there is no such dataset, a class is empty, the classes held out are not
            those to train on, or a package is missing.
        OSError: If files are not there or cannot be read.
    """
    kind, _, what = check(name).partition(":")
    if size is not None and size < 1:
        raise ValueError(f"`size` must be at least 1 pixel. Received: size={size}")
    if kind in ("folder", "tfds"):
        listed = list_folder(what) if kind == "folder" else list_tfds(what)
        size = size or _needs_size(name)
        pictures = partial(LazyImages, size=size, crop=crop, interpolation=interpolation)
        dataset = _late(listed, pictures, name)
        parts = PARTS if decode_train else ("test",)
        needed = sum(math.prod(getattr(dataset, f"{part}_images").shape) for part in parts)
        return decode(dataset, name, parts) if needed <= memory else dataset
    if kind == "array":
        return _arranged(read_arrays(what), size)
    images, labels, class_names = {"digits": _digits, "fake": _fake}[kind]()
    return _arranged(split(images, labels, class_names), size)


def decode(dataset, name, parts=PARTS):
    """Decodes the `LazyImages` of a dataset into arrays, without the broken ones.

    Args:
        dataset: A `Dataset` whose images are `LazyImages`.
        name: Its name, for messages.
        parts: Which images: `"train"`, `"test"` or both.

    Returns:
        The `Dataset` with what is broken in `skipped`.

    Raises:
        ValueError: If no image of a class can be read.
    """
    changed, skipped = {}, set(dataset.skipped)
    for part in parts:
        pictures = getattr(dataset, f"{part}_images")
        images, readable = pictures.decode_all()
        labels = getattr(dataset, f"{part}_labels")[readable]
        check_none_empty(labels, dataset.class_names, name)
        changed[f"{part}_images"] = images if readable.all() else images[readable]
        changed[f"{part}_labels"] = labels
        skipped |= pictures.skipped
    return dataclasses.replace(dataset, **changed, skipped=tuple(sorted(skipped)))


def check(name):
    """Checks that a name can be one of a dataset, without looking whether it is there.

    Args:
        name: The dataset's name, such as `"digits"` or `"folder:PATH"`.

    Returns:
        The name.

    Raises:
        ValueError: If it is not.
    """
    for kind in KINDS:
        prefix, colon, _ = kind.partition(":")
        begins = str(name).startswith(prefix + colon)
        if begins and (len(name) > len(prefix + colon) if colon else name == kind):
            return name
    legal = ", ".join(repr(one) for one in KINDS)
    raise ValueError(f"`data` must be one of: {legal}. Received: data={name!r}")


def _needs_size(name):
    raise ValueError(f"`size` must be given for data={name!r}: its images may differ in size.")


def _digits():
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ValueError(
            "data='digits' needs scikit-learn, which is not installed: pip install scikit-learn"
        ) from error
    digits = load_digits()
    images = np.asarray(digits.images / 16, "float32")[..., np.newaxis]
    return images, digits.target, tuple(str(name) for name in digits.target_names)


def _fake():
    random = np.random.default_rng(0)
    labels = np.arange(FAKE_IMAGES) % FAKE_CLASSES
    noise = random.integers(0, 64, (FAKE_IMAGES, FAKE_SIZE, FAKE_SIZE, 3))
    images = np.uint8(noise + 20 * labels[:, None, None, None])
    return images, labels, tuple(f"class {index}" for index in range(FAKE_CLASSES))


def _arranged(dataset, size):
    """The dataset with its images resized, and with their channels where Keras has them."""
    arranged = []
    for images in (dataset.train_images, dataset.test_images):
        images = _resized(images, size)
        if keras.config.image_data_format() == "channels_first":
            images = np.moveaxis(images, -1, 1)
        arranged.append(images)
    return Dataset(
        train_images=arranged[0],
        train_labels=dataset.train_labels,
        test_images=arranged[1],
        test_labels=dataset.test_labels,
        class_names=dataset.class_names,
    )


def _resized(images, size):
    if size is None or images.shape[1:3] == (size, size):
        return images
    resized = keras.ops.image.resize(
        np.float32(images), (size, size), antialias=True, data_format="channels_last"
    )
    resized = keras.ops.convert_to_numpy(resized)
    return resized if images.dtype == np.float32 else np.uint8(np.rint(resized).clip(0, 255))


def _late(listed, make_pictures, name):
    """Files or other sources as a dataset of `LazyImages`, of which none is decoded yet."""
    train, test, names = listed
    if test is None:
        sources, labels = np.array(train[0], object), train[1]
        held_out = every_of_each_class(labels, HELD_OUT_EVERY)
        train = sources[~held_out], labels[~held_out]
        test = sources[held_out], labels[held_out]
        check_none_empty(test[1], names, f"{name}, every {HELD_OUT_EVERY}th image of a class")
    return Dataset(
        train_images=make_pictures(train[0]),
        train_labels=train[1],
        test_images=make_pictures(test[0]),
        test_labels=test[1],
        class_names=names,
    )
