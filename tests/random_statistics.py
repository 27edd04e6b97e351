"""Weights that make nothing trivially equal, for models whose layers have no timm names.

All draws are seeded, so comparisons of models give the same result in every run: no false alarms.
"""

import keras
import numpy as np
from conftest import infer

from keras_se.graph.walk import layers_within

RANGES = {"gamma": (0.5, 1.5), "beta": (-0.5, 0.5), "bias": (-0.3, 0.3)}
RANGES |= {"moving_mean": (-0.5, 0.5), "moving_variance": (0.5, 2.0)}


def randomized(model, seed=0):
    """`model` with random norms, biases and layer scales instead of zeros and ones."""
    random = np.random.default_rng(seed)
    for layer in layers_within(model)[1:]:
        if isinstance(layer, keras.layers.Normalization):
            continue
        inner = {id(weight) for each in layers_within(layer)[1:] for weight in each.weights}
        for weight in (one for one in layer.weights if id(one) not in inner):
            low_high = RANGES.get(weight.name)
            if low_high is None and len(weight.shape) == 1:
                low_high = (0.3, 0.9)  # ConvNeXt's layer scales begin at 1e-6
            if low_high is not None:
                weight.assign(random.uniform(*low_high, weight.shape))
            elif "Depthwise" in type(layer).__name__ or weight.name == "depthwise_kernel":
                # Keras's start shrinks them until no gradient is left.
                deviation = np.sqrt(2 / np.prod(weight.shape[:2]))
                weight.assign(random.normal(0, deviation, weight.shape))
    return model


def images(*shape, seed=1):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype("float32")


def outputs(model, inputs, exactly=False):
    """What `model` gives in inference, as a flat list of float64 arrays; see `infer`."""
    return [one.astype("float64") for one in keras.tree.flatten(infer(model, inputs, exactly))]


def values(model):
    """Copies of all weights."""
    return [np.array(keras.ops.convert_to_numpy(one)) for one in model.weights]


def values_by_path(model):
    """Copies of all weights, by their paths, which differ."""
    paths = [one.path for one in model.weights]
    assert len(set(paths)) == len(paths)
    return dict(zip(paths, values(model), strict=True))


def moved(model, before):
    """The paths of the weights that are not what `values_by_path` said before."""
    return {path for path, value in values_by_path(model).items() if (value != before[path]).any()}


def assert_same_outputs(model, other, inputs, rtol=1e-6):
    """The outputs agree to `rtol` of the largest, and are not constant."""
    for one, two in zip(outputs(model, inputs), outputs(other, inputs), strict=True):
        assert np.ptp(one) > 0.01 * np.abs(one).max() > 0
        np.testing.assert_allclose(two, one, rtol=0, atol=rtol * np.abs(one).max())


def every_layer(model):
    """All layers and those in them, by name."""
    return {layer.name: layer for layer in layers_within(model)[1:]}
