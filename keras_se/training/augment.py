"""Random changes of the training images, named in recipes as `"rotate(10)"`."""

import re
from dataclasses import dataclass

import keras


@dataclass(frozen=True)
class Augmentation:
    """A Keras layer that changes images, and the amounts that are legal."""

    layer: object  # Function of the amount and keyword arguments that makes the layer.
    largest: float
    unit: str


AUGMENTATIONS = {
    "translate": Augmentation(
        lambda amount, **keywords: keras.layers.RandomTranslation(amount, amount, **keywords),
        largest=1,
        unit="fraction of the side",
    ),
    "rotate": Augmentation(
        lambda amount, **keywords: keras.layers.RandomRotation(amount / 360, **keywords),
        largest=180,
        unit="degrees",
    ),
    "zoom": Augmentation(keras.layers.RandomZoom, largest=1, unit="fraction of the side"),
}


def parse(text):
    """Reads one augmentation of a recipe.

    Args:
        text: A name and the largest amount in parentheses: `"translate(0.1)"` (fraction of the
            side, along each axis), `"rotate(10)"` (degrees) or `"zoom(0.1)"` (fraction of the
            side, the same along both axes). Each amount goes both ways.

    Returns:
        The name and the amount.

    Raises:
        ValueError: If the name or the amount is not legal.

    Example:
    >>> parse("rotate(10)")
    ('rotate', 10.0)
    """
    match = re.fullmatch(r"(\w+)\((\d+(?:\.\d+)?)\)", str(text))
    name, amount = (match[1], float(match[2])) if match else (None, 0.0)
    if name not in AUGMENTATIONS or not 0 < amount <= AUGMENTATIONS[name].largest:
        legal = ", ".join(
            f"{name}(x) with 0 < x <= {one.largest} ({one.unit})"
            for name, one in AUGMENTATIONS.items()
        )
        raise ValueError(f"`augment` must be made of {legal}. Received: {text!r}")
    return name, amount


def augmentation(texts, seed):
    """Makes the function that changes a batch of images at random.

    What comes into an image from outside is black.

    Args:
        texts: Tuple of augmentations as `parse` reads them, done in this order.
        seed: Integer that fixes the sequence of changes.

    Returns:
        A function of a float array of images that returns a tensor of the same shape, or `None`
        if `texts` is empty.

    Raises:
        ValueError: If an augmentation is not legal.
    """
    layers = []
    for index, text in enumerate(texts):
        name, amount = parse(text)
        # A seed of its own each, or equal amounts of two changes would always come together.
        keywords = {"fill_mode": "constant", "seed": seed + index, "dtype": "float32"}
        layers.append(AUGMENTATIONS[name].layer(amount, **keywords))

    def augment(images):
        for layer in layers:
            images = layer(images, training=True)
        return images

    return augment if layers else None
