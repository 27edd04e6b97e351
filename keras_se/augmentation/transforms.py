"""Random changes of the training images, named in recipes as `"rotate(10)"`."""

import re
from dataclasses import dataclass

import keras
import numpy as np
from keras import layers, ops

from keras_se.augmentation import image_layers
from keras_se.augmentation.seeds import StepSeeds, fold_in
from keras_se.weights.registry import (
    CIFAR10_MEAN,
    CIFAR10_STD,
    HALF,
    IMAGENET_MEAN,
    IMAGENET_STD,
    ONE,
    ZERO,
)

# Keras looks at two batches before it trains on TensorFlow. When the layers still counted their
# draws themselves, as they did for the published results of the digits, these two counted.
FIRST_STEP = 2
# Means and standard deviations of the channels, of pixels from 0 to 1.
NORMALIZATIONS = {
    "none": (ZERO, ONE),
    "imagenet": (IMAGENET_MEAN, IMAGENET_STD),
    "half": (HALF, HALF),
    "cifar10": (CIFAR10_MEAN, CIFAR10_STD),
    "cifar100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
}


@dataclass(frozen=True)
class Augmentation:
    """A Keras layer that changes images, and the amounts that are legal."""

    layer: object  # Function of the amount and keyword arguments that makes the layer.
    largest: float
    unit: str
    draws: int = 64  # More than it draws for a batch.


def _black(layer):
    return lambda amount, **keywords: layer(amount, fill_mode="constant", **keywords)


def _jitter(layer, name):
    return lambda amount, **keywords: layer(**{name: amount}, value_range=(0, 1), **keywords)


AUGMENTATIONS = {
    "translate": Augmentation(
        _black(lambda amount, **keywords: layers.RandomTranslation(amount, amount, **keywords)),
        largest=1,
        unit="fraction of the side",
        draws=2,
    ),
    "rotate": Augmentation(
        _black(lambda amount, **keywords: layers.RandomRotation(amount / 360, **keywords)),
        largest=180,
        unit="degrees",
    ),
    "zoom": Augmentation(_black(layers.RandomZoom), largest=1, unit="fraction of the side"),
    "flip": Augmentation(
        lambda amount, **keywords: layers.RandomFlip("horizontal", **keywords), 0, "none"
    ),
    "pad_crop": Augmentation(image_layers.PadCrop, largest=64, unit="pixels"),
    "resized_crop": Augmentation(
        image_layers.ResizedCrop, largest=1, unit="smallest fraction of the area"
    ),
    "cutout": Augmentation(image_layers.Cutout, largest=1024, unit="pixels"),
    "brightness": Augmentation(_jitter(layers.RandomBrightness, "factor"), 1, "fraction of white"),
    "contrast": Augmentation(_jitter(layers.RandomContrast, "factor"), 1, "fraction"),
    "saturation": Augmentation(_jitter(layers.RandomSaturation, "factor"), 1, "fraction"),
    "hue": Augmentation(_jitter(layers.RandomHue, "factor"), 1, "fraction of the circle"),
    "erase": Augmentation(
        lambda amount, **keywords: layers.RandomErasing(
            (amount, amount), fill_value=0.0, value_range=(0, 1), **keywords
        ),
        largest=1,
        unit="probability",
    ),
    "randaugment": Augmentation(
        lambda amount, **keywords: image_layers.RandAugment(
            value_range=(0, 1), factor=amount / 10, **keywords
        ),
        largest=10,
        unit="magnitude",
    ),
}


def parse(text):
    """Reads one augmentation of a recipe.

    Args:
        text: A name and the largest amount in parentheses: `"translate(0.1)"` (fraction of the
            side, along each axis), `"rotate(10)"` (degrees) or `"zoom(0.1)"` (fraction of the
            side, the same along both axes), each both ways; `"flip"` (left and right, half of the
            images); `"pad_crop(4)"` (pixels); `"resized_crop(0.08)"` (smallest fraction of the
            area, of the whole picture if the data are files); `"cutout(16)"` (side in pixels);
            `"brightness(0.4)"`, `"contrast(0.4)"`, `"saturation(0.4)"`, `"hue(0.1)"`;
            `"erase(0.25)"` (probability); `"randaugment(7)"` (magnitude, of two operations).

    Returns:
        The name and the amount.

    Raises:
        ValueError: If the name or the amount is not legal.

    Example:
    >>> parse("rotate(10)")
    ('rotate', 10.0)
    >>> parse("flip")
    ('flip', 0.0)
    """
    match = re.fullmatch(r"(\w+)(?:\((\d+(?:\.\d+)?)\))?", str(text))
    name, amount = (match[1], match[2]) if match else (None, None)
    one = AUGMENTATIONS.get(name)
    if one and (0 < float(amount) <= one.largest if amount else not one.largest):
        return name, float(amount or 0)
    legal = ", ".join(
        f"{name}(x) with 0 < x <= {one.largest} ({one.unit})" if one.largest else name
        for name, one in AUGMENTATIONS.items()
    )
    raise ValueError(f"`augment` must be made of {legal}. Received: {text!r}")


def augmentation(texts, seed):
    """Makes the function that changes a batch of images at random.

    What comes into an image from outside is black.

    Args:
        texts: Tuple of augmentations as `parse` reads them, done in this order.
        seed: Integer that fixes the changes.

    Returns:
        A function of a float array of images from 0 to 1 and the number of a step that returns a
        tensor of the same shape, which depends on nothing else; or `None` if `texts` is empty.

    Raises:
        ValueError: If an augmentation is not legal.
    """
    rows = []
    for index, (name, amount) in enumerate(map(parse, texts)):
        one = AUGMENTATIONS[name]
        # A seed of its own each, or equal amounts of two changes would always come together.
        rows.append((one.layer(amount, dtype="float32"), fold_in(seed, index), one.draws))

    def augment(images, step):
        # On PyTorch a tensor may be the array's own memory, and RandomBrightness changes it.
        images = ops.copy(ops.convert_to_tensor(images))
        for layer, own, draws in rows:
            first = (step + FIRST_STEP) * draws
            changes = layer.get_random_transformation(
                images, training=True, seed=StepSeeds(own, first)
            )
            images = layer.transform_images(images, changes, training=True)
        return images

    return augment if rows else None


class Mixing:
    """Mixes the images of a batch with each other, and their targets by the same amounts.

    With both ways of mixing, each batch gets the one or the other, as in timm.

    Args:
        mixup: Alpha of MixUp (arXiv:1710.09412); zero for none.
        cutmix: Alpha of CutMix (arXiv:1905.04899); zero for none.
        seed: Integer that fixes the mixtures.
    """

    def __init__(self, mixup, cutmix, seed):
        self._seed, self._layers = seed, []
        if mixup:
            self._layers.append(layers.MixUp(mixup, dtype="float32"))
        if cutmix:
            self._layers.append(layers.CutMix((cutmix, cutmix), dtype="float32"))

    def images(self, images, step):
        """Mixes the images of a step; those of the same shape, of the same step, get the same."""
        return self._each("transform_images", images, images, step)

    def targets(self, targets, images, step):
        """Mixes rows of probabilities as `images(images, step)` mixes what they are the targets of.

        Only the shape of the images counts.
        """
        return self._each("transform_labels", targets, images, step)

    def __bool__(self):
        """Whether anything is mixed."""
        return bool(self._layers)

    def _each(self, method, values, images, step):
        draws = StepSeeds(self._seed, step * 64)
        second = keras.random.uniform((), seed=draws) < 0.5
        results = []
        for layer in self._layers:
            drawn = layer.get_random_transformation(images, training=True, seed=draws)
            results.append(getattr(layer, method)(values, drawn))
        if len(results) == 2:
            return ops.where(second, *results)
        return results[0] if results else values


def normalization(name):
    """Makes the function that normalises images.

    Args:
        name: A key of `NORMALIZATIONS`.

    Returns:
        A function of float images from 0 to 1, array or tensor, with three channels, or with one
        that is normalised by the means of the three; for `"none"` it returns them as they are.
    """
    if name == "none":
        return lambda images: images
    axis = image_layers.channel_axis()
    shape = [1] * 4
    shape[axis] = 3
    rows = [np.float32(row).reshape(shape) for row in NORMALIZATIONS[name]]

    def normalize(images):
        grey = images.shape[axis] == 1
        mean, std = (row.mean(axis=axis, keepdims=True) if grey else row for row in rows)
        if isinstance(images, np.ndarray):
            return (images - mean) / std
        return ops.divide(ops.subtract(images, mean), std)

    return normalize


class BatchAugmentation:
    """What a recipe does to the batches of its training, as functions of the step.

    They are made of Keras's operations, so that they can be compiled with what follows.

    Args:
        recipe: The `Recipe`.
        classes: Number of classes.
        augment: The recipe's augmentations that are still to be done; by default all.
    """

    def __init__(self, recipe, classes, augment=None):
        texts = recipe.augment if augment is None else augment
        self._augment = augmentation(texts, recipe.seed)
        seed = fold_in(recipe.seed, len(recipe.augment) + 1)
        self._mixing = Mixing(recipe.mixup, recipe.cutmix, seed)
        self._normalize = normalization(recipe.normalize)
        self._classes, self._threshold = classes, recipe.target_threshold
        # Keras's own smoothing of a binary cross-entropy would be towards one half.
        self._smoothing = recipe.label_smoothing if recipe.loss == "bce" else 0.0

    def images(self, images, step):
        """Changes images, uint8 or floats from 0 to 1, at random; they come out normalised."""
        images = from_0_to_1(images)
        images = self._augment(images, step) if self._augment else images
        return self._normalize(self._mixing.images(images, step))

    def targets(self, labels, images, step):
        """Turns integers into rows of probabilities, mixed as `images` are in this step."""
        targets = ops.one_hot(labels, self._classes, dtype="float32")
        targets = targets * (1 - self._smoothing) + self._smoothing / self._classes
        targets = self._mixing.targets(targets, images, step)
        return ops.cast(targets > self._threshold, "float32") if self._threshold else targets

    def majority_labels(self, labels, images, step):
        """The class with the largest share in each image, mixed as `images` are in this step.

        Args:
            labels: Integer tensor `(image,)`.
            images: The images; only their shape counts.
            step: Number of the step; less than zero for images that are held out.
        """
        if not self._mixing:
            return labels
        mixed = self._mixing.targets(ops.one_hot(labels, self._classes), images, step)
        return ops.where(step < 0, labels, ops.cast(ops.argmax(mixed, axis=-1), labels.dtype))

    def unchanged(self, images):
        """Normalises images, and that is all: those that are held out."""
        return self._normalize(from_0_to_1(images))


def from_0_to_1(images):
    """A float32 tensor from 0 to 1 of uint8 from 0 to 255, or of floats as they are."""
    images = ops.convert_to_tensor(images)
    if keras.backend.standardize_dtype(images.dtype) == "uint8":
        return ops.cast(images, "float32") / 255
    return ops.cast(images, "float32")
