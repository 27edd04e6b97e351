"""The augmentations of recipes, each against an oracle.

All draws are seeded. A false-alarm rate says how likely a test would fail if only a seed changed.
"""

import keras
import numpy as np
import pytest
from conftest import WARNINGS_OF_KERAS
from tiny import small

from keras_se import augmentation
from keras_se.augmentation import BatchAugmentation, crop, image_layers
from keras_se.augmentation.seeds import StepSeeds
from keras_se.training.augmented_model import AugmentedModel
from keras_se.training.optimizer import loss

pytestmark = [pytest.mark.usefixtures("tiny_network"), *WARNINGS_OF_KERAS]
JAX = keras.backend.backend() == "jax"


def changed(images, text, step=0, seed=0):
    transform = augmentation.random_transform((augmentation.parse(text),), seed)
    return keras.ops.convert_to_numpy(transform(images, step))


def augmented(recipe, images, labels, step=0):
    """The images, targets and majority labels of a recipe's batch of ten classes, as arrays."""
    results = BatchAugmentation(recipe, 10).augment(images, labels, step)
    return [keras.ops.convert_to_numpy(one) for one in results]


def noise(count, side=12):
    return np.random.default_rng(0).random((count, side, side, 3), "float32")


def test_the_changes_of_the_digits_are_those_their_results_were_published_with():
    layer = keras.layers.RandomTranslation(0.1, 0.1, fill_mode="constant", seed=5, dtype="float32")
    images = noise(4)
    ours = augmentation.random_transform((augmentation.parse("translate(0.1)"),), seed=5)
    for _ in range(2):  # Keras's look at the first two batches
        layer(images, training=True)
    for step in range(3):
        expected = keras.ops.convert_to_numpy(layer(images, training=True))
        actual = keras.ops.convert_to_numpy(ours(images, step))
        np.testing.assert_allclose(actual, expected, atol=1e-6)


def test_changes_are_a_function_of_the_step(fake):
    recipe = small(augment=("flip", "pad_crop(2)", "erase(0.5)"), mixup=0.3, cutmix=1.0, seed=4)
    images, labels = fake.train_images[:8], fake.train_labels[:8]
    batch_augmentation, results = BatchAugmentation(recipe, 10), {}
    for step in (7, 3, 5, 3, 7):
        once = batch_augmentation.augment(images, labels, step)
        for again in (augmented(recipe, images, labels, step), results.setdefault(step, once)):
            for first, second in zip(once, again, strict=True):
                np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (first, second)))
    results = {step: keras.ops.convert_to_numpy(one[0]) for step, one in results.items()}
    assert np.abs(results[3] - results[5]).max() > 0.1


def test_flip_mirrors_half_of_the_images():
    """False-alarm rate: 3e-5, of more than 30 heads too many or few in 200."""
    images = noise(200)
    result = changed(images, "flip")
    same = np.array([np.array_equal(*pair) for pair in zip(result, images, strict=True)])
    mirrored = images[:, :, ::-1]
    np.testing.assert_array_equal(result[~same], mirrored[~same])
    assert 70 < same.sum() < 130


def test_pad_crop_moves_by_whole_pixels_and_fills_with_black():
    """False-alarm rate: 1e-4, of one of 25 shifts that is missing in 300."""
    images = noise(300)
    result = changed(images, "pad_crop(2)")
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)))
    moves = set()
    for image, one in zip(padded, result, strict=True):
        windows = {(y, x): image[y : y + 12, x : x + 12] for y in range(5) for x in range(5)}
        (move,) = [move for move, window in windows.items() if np.allclose(window, one, atol=1e-6)]
        moves.add(move)
    assert len(moves) == 25


def test_cutout_blackens_one_square_around_any_pixel():
    """False-alarm rate: 5e-5, of a corner that none of 400 squares covers."""
    result = changed(np.ones((400, 12, 12, 3), "float32"), "cutout(4)")
    black = (result == 0).all(axis=-1)
    np.testing.assert_array_equal(black, (result == 0).any(axis=-1))
    rows, columns = black.any(axis=2).sum(axis=1), black.any(axis=1).sum(axis=1)
    np.testing.assert_array_equal(black.sum(axis=(1, 2)), rows * columns)
    # Two pixels before the centre and one after it, or what of them is inside.
    assert set(rows) == set(columns) == {2, 3, 4}
    assert black.any(axis=0).all()


def test_resized_crop_enlarges_a_box():
    """False-alarm rate: below 1e-3, of a shortest or longest side of 100 that is not extreme."""
    ramp = np.broadcast_to(np.linspace(0, 1, 32, dtype="float32")[:, None, None], (32, 32, 3))
    images = np.stack([ramp] * 100 + [ramp.transpose(1, 0, 2)] * 100)
    result = changed(images, "resized_crop(0.25)")
    tall = (result[:100, 24] - result[:100, 8])[:, 16, 0] / (16 / 31)
    wide = (result[100:, :, 24] - result[100:, :, 8])[:, 16, 0] / (16 / 31)
    for side in (tall, wide):
        assert 0.4 < side.min() < 0.55
        assert 0.95 < side.max() < 1.001
    assert result.min() >= 0 and result.max() <= 1
    # The only box of this area that fits, or the central square, is the image.
    np.testing.assert_allclose(changed(images, "resized_crop(1)"), images, atol=1e-5)


@pytest.fixture(scope="module")
def boxes():
    """Left, top, width and height of 4000 boxes of at least a twelfth, by both functions."""
    random = np.random.default_rng(0)
    of_files = np.array([crop.random_box(random, 400, 300, 1 / 12) for _ in range(4000)])
    of_files[:, 2:] -= of_files[:, :2]
    of_tensors = crop.random_boxes(4000, 400, 300, 1 / 12, StepSeeds(0, 0))
    return of_files.T, np.array([keras.ops.convert_to_numpy(one) for one in of_tensors])


def test_random_boxes_are_those_of_torchvision(boxes):
    """False-alarm rate: below 1e-6 for each bound."""
    for left, top, width, height in boxes:
        for corner, side, limit in ((left, width, 400), (top, height, 300)):
            assert corner.min() >= 0 and (corner + side).max() <= limit
            assert (corner == 0).any() and (corner + side == limit).any()
        area, ratio = width * height / 120000, width / height
        # Rounding to pixels moves the smallest area by 1 % and the ratios by as much.
        assert 0.082 < area.min() < 0.09 and area.max() > 0.9
        assert 0.74 < ratio.min() < 0.76 and 1.32 < ratio.max() < 1.35
        # Of the areas up to a half all fit, so these are uniform.
        small = area[area < 0.5]
        assert abs(small.mean() - (1 / 12 + 0.5) / 2) < 6 * 0.12 / np.sqrt(len(small))


def test_both_functions_draw_boxes_of_the_same_distribution(boxes):
    """False-alarm rate: 4e-6, of a Kolmogorov-Smirnov statistic above 0.06 in one of four."""
    for ours, theirs in zip(*boxes, strict=True):
        values = np.sort(np.concatenate([ours, theirs]))
        counts = [np.searchsorted(np.sort(x), values, side="right") for x in (ours, theirs)]
        assert np.abs(counts[0] - counts[1]).max() / len(ours) < 0.06


def test_no_box_that_fits_gives_the_central_square():
    assert crop.random_box(np.random.default_rng(0), 100, 10, 0.9) == (45, 0, 55, 10)
    of_tensors = crop.random_boxes(2, 100, 10, 0.9, StepSeeds(0, 0))
    assert [keras.ops.convert_to_numpy(one).tolist() for one in of_tensors] == [
        [45, 45],
        [0, 0],
        [10, 10],
        [10, 10],
    ]


def test_erase_and_jitter_have_their_probability_and_amount():
    """False-alarm rate: 1e-5, of 600 draws more than 4 deviations from the probability."""
    gray = np.full((600, 12, 12, 3), 0.5, "float32")
    erased = (changed(gray, "erase(0.3)") == 0).any(axis=(1, 2, 3)).mean()
    assert 0.2 < erased < 0.38  # A box of less than a pixel may blacken none.
    shift = changed(gray, "brightness(0.2)") - gray
    np.testing.assert_allclose(shift, np.broadcast_to(shift[:, :1, :1, :1], shift.shape), atol=1e-6)
    assert -0.201 < shift.min() < -0.17 and 0.17 < shift.max() < 0.201
    saturated = changed(gray, "saturation(0.4)")
    np.testing.assert_allclose(saturated, gray, atol=1e-3)


def test_equalization_is_that_of_keras_for_each_image():
    random = np.random.default_rng(0)
    images = np.clip(random.normal(0.4, 0.1, (5, 9, 7, 3)), 0, 1).astype("float32")
    images[1] = images[1].round(1)
    images[2, ..., 1] = 0.25  # One level only.
    equalization = image_layers.Equalization((0, 1))
    actual = keras.ops.convert_to_numpy(equalization(images, training=True))
    for image, one in zip(images, actual, strict=True):
        levels = np.floor(np.float32(image * 255)).astype(int)
        for channel in range(3):
            counts = np.bincount(levels[..., channel].ravel(), minlength=256).cumsum()
            first = counts[counts > 0][0]
            if first == 63:
                np.testing.assert_array_equal(one[..., channel], image[..., channel])
                continue
            table = np.round((counts - first) * 255 / (63 - first)) / 255
            np.testing.assert_allclose(one[..., channel], table[levels[..., channel]], atol=1e-6)
    if not JAX:  # It would compile for half a minute.
        theirs = keras.layers.Equalization((0, 1))(images[:1], training=True)
        np.testing.assert_allclose(actual[:1], keras.ops.convert_to_numpy(theirs), atol=1e-6)


def test_randaugment_gives_each_image_operations_of_its_own():
    """False-alarm rate: below 1e-6; one of eleven operations may leave an image as it is."""
    images = np.repeat(noise(1), 64, axis=0)
    result = changed(images, "randaugment(9)")
    assert result.min() >= 0 and result.max() <= 1
    assert len({image.tobytes() for image in result}) > 50


def mixed(fake, steps=4, **fields):
    """Batches of 64 images before and after mixing, with targets, for some steps."""
    images, labels = fake.train_images[:64], fake.train_labels[:64]
    for step in range(steps):
        after, targets, _ = augmented(small(**fields), images, labels, step)
        yield np.float32(images) / 255, labels, after, targets


def test_mixup_mixes_images_as_their_targets(fake):
    for images, labels, after, targets in mixed(fake, mixup=1.0):
        np.testing.assert_allclose(targets.sum(axis=1), 1, rtol=1e-5)
        for image, label, one, target in zip(images, labels, after, targets, strict=True):
            share = target[label]
            other = int(np.argmax(target * (np.arange(10) != label)))
            if not 0.05 < target[other] < 0.95:  # Mixed with its own class, or hardly at all.
                continue
            rest = (one - share * image) / (1 - share)
            nearest = np.abs(images[labels == other] - rest).max(axis=(1, 2, 3)).min()
            assert nearest < 1e-4


def test_cutmix_pastes_boxes_as_large_as_their_targets_say(fake):
    count = 0
    for images, labels, after, targets in mixed(fake, cutmix=1.0):
        for image, label, one, target in zip(images, labels, after, targets, strict=True):
            pasted = (np.abs(one - image) > 1e-6).any(axis=-1)
            if target[label] == pytest.approx(1):
                continue
            # Keras counts the fractions of pixels at the edges of the box too.
            area, weight = pasted.sum() / 64, 1 - target[label]
            side = np.sqrt(weight) * 8
            assert abs(area - weight) <= (2 * side + 1) / 64 + 1e-6
            count += 1
    assert count > 100


def test_both_mixtures_take_turns(fake):
    """False-alarm rate: 4e-6, of 18 steps that all draw the same."""
    kinds = set()
    for images, _, after, _ in mixed(fake, steps=18, mixup=1.0, cutmix=1.0):
        # Only CutMix leaves most pixels exactly as they were in some image.
        kinds.add(bool((np.abs(after - images).max(axis=-1) < 1e-6).mean() > 0.2))
    assert kinds == {True, False}


def by_brightness():
    """A network that finds the class of fake images by their mean."""
    inputs = keras.Input((8, 8, 3))
    means = (32 + 20 * np.arange(10)) / 255
    dense = keras.layers.Dense(10, activation="softmax")
    network = keras.Model(inputs, dense(keras.layers.GlobalAveragePooling2D()(inputs)))
    dense.set_weights([1000 * np.tile(means / 3, (3, 1)), -500 * means**2])
    return network


@pytest.mark.parametrize("fields", [{}, {"mixup": 1.0}, {"mixup": 1.0, "cutmix": 1.0}])
def test_the_accuracy_of_mixed_images_is_against_their_largest_share(fake, fields):
    recipe, network = small(**fields), by_brightness()
    images, labels = fake.train_images[:64], fake.train_labels[:64]
    made = BatchAugmentation(recipe, 10)
    model = AugmentedModel(network, made, 10)
    model.compile(keras.optimizers.SGD(0.0), loss=loss(recipe), weighted_metrics=["accuracy"])
    unmixed = []
    for step in range(4):
        after, targets, _ = made.augment(images, labels, step)
        targets = keras.ops.convert_to_numpy(targets)
        found = keras.ops.convert_to_numpy(network(after)).argmax(axis=1)
        model.reset_metrics()
        x = {"images": images, "labels": labels, "step": np.full(64, step, "int32")}
        logs = model.train_on_batch(x, labels, return_dict=True)
        right = np.mean(found == targets.argmax(axis=1))
        assert float(logs["accuracy"]) == pytest.approx(right, abs=1e-6)
        unmixed.append(right - np.mean(found == labels))
    assert (np.abs(unmixed).max() > 0.1) == bool(fields)
    model.reset_metrics()
    logs = model.test_on_batch(x, labels, return_dict=True)
    assert float(logs["accuracy"]) == 1


def test_binary_targets_are_smoothed_towards_all_classes_and_cut(fake):
    images, labels = fake.train_images[:4], fake.train_labels[:4]
    smooth = augmented(small(loss="bce", label_smoothing=0.1), images, labels)[1]
    expected = np.full((4, 10), 0.01) + 0.9 * np.eye(10)[labels]
    np.testing.assert_allclose(smooth, expected, rtol=1e-5)
    cut = small(loss="bce", label_smoothing=0.1, mixup=0.5, target_threshold=0.2)
    targets = augmented(cut, images, labels)[1]
    assert set(np.unique(targets)) == {0, 1}
    # The cross-entropy is that of each class on its own.
    given, predicted = np.array([[1.0, 0.0]]), np.array([[0.8, 0.4]])
    value = float(loss(cut)(given, predicted))
    assert value == pytest.approx(-(np.log(0.8) + np.log(0.6)) / 2, rel=1e-5)


def test_normalization_is_of_each_channel(fake):
    images = fake.train_images[:4]
    after = augmented(small(normalize="imagenet"), images, fake.train_labels[:4])[0]
    expected = (images / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(after, expected, atol=1e-5)
