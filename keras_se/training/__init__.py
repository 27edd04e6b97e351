"""Training by recipe: `train(find_recipe("digits"), "runs/digits")`."""

from keras_se.recipes import DIGITS, RECIPES, find_recipe, smoke
from keras_se.recipes.recipe import Recipe, from_json, override
from keras_se.training.loop import train

__all__ = ["DIGITS", "RECIPES", "Recipe", "find_recipe", "from_json", "override", "smoke", "train"]
