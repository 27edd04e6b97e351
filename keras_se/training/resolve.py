"""What a recipe's names stand for, looked up once before anything is built."""

from keras_se import data
from keras_se.applications import get_model
from keras_se.augmentation import parse
from keras_se.preprocessing import NORMALIZATIONS
from keras_se.recipes.recipe import Recipe, illegal
from keras_se.recipes.transfer import require_normalization


def check_names(recipe: Recipe) -> None:
    """Looks up the names in a recipe: of its network, data, augmentations and normalization.

    Args:
        recipe: The `Recipe`.

    Raises:
        ValueError: If one is not known, the network has no twin to train, or the images would be
            normalized otherwise than the weights want it.
    """
    data.check(recipe.data)
    for text in recipe.augment:
        parse(text)
    if recipe.normalize not in NORMALIZATIONS:
        raise illegal("normalize", recipe.normalize, f"one of {', '.join(NORMALIZATIONS)}")
    if recipe.twin and get_model(recipe.network).is_twin:
        raise illegal("twin", recipe.twin, f"false for {recipe.network!r}, a twin itself")
    require_normalization(recipe)
