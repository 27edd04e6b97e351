"""Published checkpoints: which there are, where they come from, and how they are loaded."""

from keras_se.weights.convert import export_state_dict
from keras_se.weights.load import load_keras_weights, load_state_dict
from keras_se.weights.registry import WEIGHTS, Weights, find_weights

__all__ = [
    "WEIGHTS",
    "Weights",
    "export_state_dict",
    "find_weights",
    "load_keras_weights",
    "load_state_dict",
]
