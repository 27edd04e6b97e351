"""Random transforms of the training images, named in recipes as `"rotate(10)"`."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from keras import layers, ops

from keras_se.augmentation import image_layers
from keras_se.augmentation.seeds import StepSeeds, fold_in

# Keras looks at two batches before it trains on TensorFlow. When the layers still counted their
# draws themselves, as they did for the published results of the digits, these two counted.
FIRST_STEP = 2


@dataclass(frozen=True)
class Transform:
    """A Keras layer that changes images at random, and the amounts that are legal.

    Attributes:
        layer: Function of the amount and keyword arguments that makes the layer.
        largest: The largest legal amount; zero if there is none to give.
        unit: Unit of the amount.
        draws: Seeds of a step, at least as many as the layer draws for a batch.
    """

    layer: Callable
    largest: float
    unit: str
    draws: int = 64


@dataclass(frozen=True)
class Augmentation:
    """A random change of the training images, as a recipe names it.

    Attributes:
        name: A key of `TRANSFORMS`.
        amount: The largest amount, in the unit of the transform; zero if it has none.
    """

    name: str
    amount: float = 0.0


def _black(layer):
    return lambda amount, **keywords: layer(amount, fill_mode="constant", **keywords)


def _jitter(layer, name):
    return lambda amount, **keywords: layer(**{name: amount}, value_range=(0, 1), **keywords)


TRANSFORMS = {
    "translate": Transform(
        _black(lambda amount, **keywords: layers.RandomTranslation(amount, amount, **keywords)),
        largest=1,
        unit="fraction of the side",
        draws=2,
    ),
    "rotate": Transform(
        _black(lambda amount, **keywords: layers.RandomRotation(amount / 360, **keywords)),
        largest=180,
        unit="degrees",
    ),
    "zoom": Transform(_black(layers.RandomZoom), largest=1, unit="fraction of the side"),
    "flip": Transform(
        lambda amount, **keywords: layers.RandomFlip("horizontal", **keywords), 0, "none"
    ),
    "pad_crop": Transform(image_layers.PadCrop, largest=64, unit="pixels"),
    "resized_crop": Transform(
        image_layers.ResizedCrop, largest=1, unit="smallest fraction of the area"
    ),
    "cutout": Transform(image_layers.Cutout, largest=1024, unit="pixels"),
    "brightness": Transform(_jitter(layers.RandomBrightness, "factor"), 1, "fraction of white"),
    "contrast": Transform(_jitter(layers.RandomContrast, "factor"), 1, "fraction"),
    "saturation": Transform(_jitter(layers.RandomSaturation, "factor"), 1, "fraction"),
    "hue": Transform(_jitter(layers.RandomHue, "factor"), 1, "fraction of the circle"),
    "erase": Transform(
        lambda amount, **keywords: layers.RandomErasing(
            (amount, amount), fill_value=0.0, value_range=(0, 1), **keywords
        ),
        largest=1,
        unit="probability",
    ),
    "randaugment": Transform(
        lambda amount, **keywords: image_layers.RandAugment(
            value_range=(0, 1), factor=amount / 10, **keywords
        ),
        largest=10,
        unit="magnitude",
    ),
}


def parse(text: str) -> Augmentation:
    """Reads one augmentation of a recipe.

    Args:
        text: A name and the largest amount in parentheses: `"translate(0.1)"` (fraction of the
            side, along each axis), `"rotate(10)"` (degrees) or `"zoom(0.1)"` (fraction of the
            side, the same along both axes), each both ways; `"flip"` (left and right, half of the
            images); `"pad_crop(4)"` (pixels); `"resized_crop(0.08)"` (smallest fraction of the
            area, of the original image if the data are files); `"cutout(16)"` (side in pixels);
            `"brightness(0.4)"`, `"contrast(0.4)"`, `"saturation(0.4)"`, `"hue(0.1)"`;
            `"erase(0.25)"` (probability); `"randaugment(7)"` (magnitude, of two operations).

    Returns:
        The `Augmentation`.

    Raises:
        ValueError: If the name or the amount is not legal.

    Example:
    >>> parse("rotate(10)")
    Augmentation(name='rotate', amount=10.0)
    """
    match = re.fullmatch(r"(\w+)(?:\((\d+(?:\.\d+)?)\))?", str(text))
    name, amount = (match[1], float(match[2] or 0)) if match else (None, 0.0)
    transform = TRANSFORMS.get(name)
    has_amount = bool(match and match[2])
    if (
        transform
        and has_amount == bool(transform.largest)
        and (not has_amount or 0 < amount <= transform.largest)
    ):
        return Augmentation(name, amount)
    legal = ", ".join(
        f"{name}(x) with 0 < x <= {transform.largest} ({transform.unit})"
        if transform.largest
        else name
        for name, transform in TRANSFORMS.items()
    )
    raise ValueError(f"`augment` must be made of {legal}. Received: {text!r}")


def split_crop(augmentations: Iterable[Augmentation]) -> tuple[float | None, tuple]:
    """Separates the random crop, which files need before they are resized, from the rest.

    Args:
        augmentations: `Augmentation`s of a recipe.

    Returns:
        The smallest area of the crop as a fraction of the image's, or `None` without one, and the
        other augmentations.

    Example:
    >>> split_crop((parse("resized_crop(0.08)"), parse("flip")))
    (0.08, (Augmentation(name='flip', amount=0.0),))
    """
    augmentations = tuple(augmentations)
    crops = [item for item in augmentations if item.name == "resized_crop"]
    others = tuple(item for item in augmentations if item.name != "resized_crop")
    return (crops[0].amount if crops else None), others


def random_transform(augmentations: Iterable[Augmentation], seed: int) -> Callable | None:
    """Makes the function that changes a batch of images at random.

    What comes into an image from outside is black.

    Args:
        augmentations: `Augmentation`s, applied in this order.
        seed: Integer that fixes the changes.

    Returns:
        A function of float images from 0 to 1 and the number of a step that returns a tensor of
        the same shape and depends on nothing else; `None` without augmentations.
    """
    rows = []
    for index, augmentation in enumerate(augmentations):
        transform = TRANSFORMS[augmentation.name]
        layer = transform.layer(augmentation.amount, dtype="float32")
        # Equal seeds would draw equal amounts for two transforms of an image.
        rows.append((layer, fold_in(seed, index), transform.draws))

    def apply(images, step):
        # On PyTorch a tensor may be the array's own memory, and RandomBrightness changes it.
        images = ops.copy(ops.convert_to_tensor(images))
        for layer, layer_seed, draws in rows:
            seeds = StepSeeds(layer_seed, (step + FIRST_STEP) * draws)
            drawn = layer.get_random_transformation(images, training=True, seed=seeds)
            images = layer.transform_images(images, drawn, training=True)
        return images

    return apply if rows else None
