"""The recipes that `keras-se train` knows by name."""

import dataclasses

from keras_se.recipes.cifar import CIFAR
from keras_se.recipes.imagenet import IMAGENET
from keras_se.recipes.recipe import Recipe, nearest

DIGITS = Recipe(
    about="""SE-ResNet-20 and its plain twin on the 8x8 handwritten digits of scikit-learn.

    keras-se train digits --out runs/digits
    50 to 75 seconds for both on 2 CPU cores with compilation (TensorFlow). Held-out accuracy after
    the last epoch over seeds 0 to 4, mean and standard deviation: 99.15 +- 0.34 % with SE, 99.27 +-
    0.32 % without, no seed below 98.87 %: on 355 images, SE makes no measurable difference.
    python applications/digits_seeds.py --out runs/seeds, 2026-11-24, Intel Xeon, 2 cores.
    The recipe was chosen on parts of the training images, but not blindly: 20 epochs had given a
    98.59 % on the held-out ones, and 30, better on those parts, was then taken.
    """,
    network="SEResNet20",
    data="digits",
    size=8,
    epochs=30,
    batch_size=64,
    optimizer="sgd",
    learning_rate=0.05,
    momentum=0.9,
    weight_decay=0.1,
    schedule="cosine",
    # Keras puts the whole schedule into TensorFlow's graph for every weight that it decays; with a
    # rise, compilation would take half as long again.
    warmup_epochs=0,
    augment=("translate(0.1)",),
)

TRANSFER = Recipe(
    about="""SE-ResNet-50 from ImageNet weights to your own classes, first its classifier, then all.

    keras-se transfer seresnet50 --data folder:PATH --out runs/mine
    Ours, after common practice: three epochs for the new classifier alone, then all layers, each
    stage at 0.7 of the rate of the next one, batch norms as they came. Not measured.
    """,
    network="SEResNet50",
    data="fake",
    size=224,
    crop=0.875,
    epochs=15,
    batch_size=32,
    optimizer="sgd",
    learning_rate=0.01,
    momentum=0.9,
    weight_decay=1e-3,
    schedule="cosine",
    warmup_epochs=1,
    augment=("resized_crop(0.35)", "flip"),
    label_smoothing=0.1,
    normalize="imagenet",
    weights="imagenet",
    head_epochs=3,
    layer_decay=0.7,
    norm="inference",
    twin=False,
)

RECIPES = {"digits": DIGITS, **CIFAR, **IMAGENET, "transfer": TRANSFER}


def smoke(recipe):
    """The smallest run of a recipe that goes through all of it: fake images, two epochs.

    Args:
        recipe: The `Recipe`.

    Returns:
        A `Recipe` of two epochs of two steps of eight images, with whatever the first has.

    Example:
    >>> smoke(DIGITS).epochs
    2
    """
    return dataclasses.replace(
        recipe,
        data="fake",
        normalize="none" if recipe.normalize == "none" else "imagenet",
        size=min(recipe.size, 64),
        epochs=2,
        steps=2,
        batch_size=8,
        accumulate=min(recipe.accumulate, 2),
        warmup_epochs=0 if recipe.milestones else min(recipe.warmup_epochs, 1),
        milestones=("1",) if recipe.milestones else (),
        head_epochs=min(recipe.head_epochs, 1),
        frozen_norm_epochs=min(recipe.frozen_norm_epochs, 1),
        weights="",
    )


def find_recipe(name):
    """Finds a recipe by name.

    Args:
        name: A key of `RECIPES`, such as `"digits"`.

    Returns:
        The `Recipe`.

    Raises:
        ValueError: If there is no such recipe; the message offers the nearest names.

    Example:
    >>> find_recipe("digits").network
    'SEResNet20'
    """
    if name not in RECIPES:
        raise ValueError(f"There is no recipe {name!r}. The nearest are: {nearest(name, RECIPES)}")
    return RECIPES[name]


def describe():
    """The recipes and the fields that every one has, as text for the help of the command line."""
    lines = ["recipes:"]
    lines += [f"  {name:22} {one.about.splitlines()[0]}" for name, one in RECIPES.items()]
    lines += ["", "fields for --set, and their values in digits:"]
    for field in dataclasses.fields(Recipe):
        if field.name != "about":
            lines.append(f"  {field.name:18} {getattr(DIGITS, field.name)!r}")
    return "\n".join(lines)
