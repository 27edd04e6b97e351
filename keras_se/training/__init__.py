"""Training by recipe: `train(find_recipe("digits"), "runs/digits")`."""

from keras_se.training.fit import train
from keras_se.training.recipe import Recipe, from_json, override
from keras_se.training.recipes import DIGITS, RECIPES, find_recipe, smoke

__all__ = ["DIGITS", "RECIPES", "Recipe", "find_recipe", "from_json", "override", "smoke", "train"]
