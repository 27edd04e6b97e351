"""Training by recipe: `train(get_recipe("digits"), "runs/digits")`."""

from keras_se.recipes import DIGITS, RECIPES, get_recipe, smoke
from keras_se.recipes.recipe import Recipe, from_json, override
from keras_se.training.loop import fit, train
from keras_se.training.phases import unfreeze
from keras_se.training.resolve import Run, build, resolve

__all__ = [
    "DIGITS",
    "RECIPES",
    "Recipe",
    "Run",
    "build",
    "fit",
    "from_json",
    "get_recipe",
    "override",
    "resolve",
    "smoke",
    "train",
    "unfreeze",
]
