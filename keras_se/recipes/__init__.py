"""The recipes that `keras-se train` knows by name. They need no Keras until they are trained."""

import dataclasses

from keras_se.recipes.cifar import CIFAR
from keras_se.recipes.digits import DIGITS
from keras_se.recipes.imagenet import IMAGENET
from keras_se.recipes.recipe import Recipe, from_json, nearest, override
from keras_se.recipes.transfer import TRANSFER

__all__ = [
    "DIGITS",
    "RECIPES",
    "Recipe",
    "describe",
    "from_json",
    "get_recipe",
    "override",
    "smoke",
]

RECIPES = {"digits": DIGITS, **CIFAR, **IMAGENET, "transfer": TRANSFER}


def smoke(recipe: Recipe) -> Recipe:
    """Shortens a recipe to the smallest run that goes through all of it.

    Args:
        recipe: The `Recipe`.

    Returns:
        A `Recipe` of two epochs of two steps of eight fake images, with whatever the first has.

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
        steps_per_epoch=2,
        batch_size=8,
        gradient_accumulation_steps=min(recipe.gradient_accumulation_steps, 2),
        warmup_epochs=0 if recipe.milestones else min(recipe.warmup_epochs, 1),
        milestones=(1,) if recipe.milestones else (),
        head_epochs=min(recipe.head_epochs, 1),
        frozen_norm_epochs=min(recipe.frozen_norm_epochs, 1),
        weights="",
    )


def get_recipe(name: str) -> Recipe:
    """Returns a recipe by its name.

    Args:
        name: A key of `RECIPES`, such as `"digits"`.

    Returns:
        The `Recipe`.

    Raises:
        ValueError: If there is no such recipe; the message offers the nearest names.

    Example:
    >>> get_recipe("digits").network
    'SEResNet20'
    """
    if name not in RECIPES:
        raise ValueError(f"There is no recipe {name!r}. The nearest are: {nearest(name, RECIPES)}")
    return RECIPES[name]


def describe() -> str:
    """Returns the names of the recipes and the fields of a recipe, for the command's help."""
    lines = ["recipes:"]
    lines += [f"  {name:22} {recipe.about.splitlines()[0]}" for name, recipe in RECIPES.items()]
    lines += ["", "fields for --set, and their values in digits:"]
    for field in dataclasses.fields(Recipe):
        if field.name != "about":
            lines.append(f"  {field.name:27} {getattr(DIGITS, field.name)!r}")
    return "\n".join(lines)
