"""Published checkpoints: which there are, where they come from, and how they are loaded."""

from keras_se.weights.registry import WEIGHTS, Weights, find

__all__ = ["WEIGHTS", "Weights", "find"]
