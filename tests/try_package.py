"""Run by `make package` in an environment that has the installed package and JAX only."""

import importlib.util
import os
import sys
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"
import numpy as np

import keras_se
from keras_se.applications import SEResNet20

assert "site-packages" in keras_se.__file__, keras_se.__file__
assert importlib.util.find_spec("tensorflow") is None
assert (Path(keras_se.__file__).parent / "py.typed").is_file()
model = SEResNet20(weights="cifar10", classes=10)
images = np.zeros((2, 32, 32, 3), "uint8")
scores = model.predict(SEResNet20.preprocess_input(images, weights="cifar10"), verbose=0)
assert scores.shape == (2, 10)
# What these weights say of a black image: "deer", if anything.
assert abs(scores[0, 4] - 0.174) < 5e-3, scores
print("packaged weights load on JAX alone:", Path(sys.executable).parent)
