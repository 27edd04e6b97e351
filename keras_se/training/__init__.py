"""Training by recipe: `train(get_recipe("digits"), "runs/digits")`."""

from keras_se.recipes import DIGITS, RECIPES, get_recipe, smoke
from keras_se.recipes.recipe import Recipe, from_json, override
from keras_se.training.loop import train

__all__ = ["DIGITS", "RECIPES", "Recipe", "from_json", "get_recipe", "override", "smoke", "train"]
