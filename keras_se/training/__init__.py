"""Training by recipe: `train(keras_se.recipes.get_recipe("digits"), "runs/digits")`."""

from keras_se.training.ablation import ablate
from keras_se.training.loop import fit, train
from keras_se.training.phases import unfreeze
from keras_se.training.resolve import Run, build, resolve

__all__ = [
    "Run",
    "ablate",
    "build",
    "fit",
    "resolve",
    "train",
    "unfreeze",
]
