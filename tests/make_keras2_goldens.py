"""Writes tests/keras2_goldens.json.gz: logits of the ResNet-RS and RegNetY of Keras 2, in float64.

The only file that needs tf_keras. Run by hand:

    pip install tensorflow==2.21.0 tf_keras==2.21.0
    python tests/make_keras2_goldens.py [NETWORK ...]

Without names it makes them all, otherwise those, and keeps the others. The largest need 6.2 GB of
memory.
"""

import sys
from pathlib import Path

import numpy as np
import tf_keras
from generated import SEED, image
from golden_files import read_goldens, write_goldens
from keras2_files import weight
from tf_keras.applications import regnet, resnet_rs

PATH = Path(__file__).parent / "keras2_goldens.json.gz"
LOGITS = 64
SIZES = ((64, 64), (65, 97))
# What ends a residual branch is small.
ENDS = ("__batch_norm_3/gamma", "_conv_1x1_2_bn/gamma")
DEPTHS = ("50", "101", "152", "200", "270", "350", "420")
SCALES = ("002", "004", "006", "008", "016", "032", "040", "064", "080", "120", "160", "320")
NETWORKS = {
    **{f"resnetrs{depth}": getattr(resnet_rs, f"ResNetRS{depth}") for depth in DEPTHS},
    **{f"tfregnety{scale}": getattr(regnet, f"RegNetY{scale}") for scale in SCALES},
}


def kind(name):
    """How the weight of a name is made; see `keras2_files.weight`."""
    small = name.partition(":")[0].endswith(ENDS)
    return "small_gamma" if small else name.rpartition("/")[2].partition(":")[0]


def build(network, precision, size):
    """A model of generated weights."""
    tf_keras.backend.clear_session()
    tf_keras.backend.set_floatx(precision)
    options = {"weights": None, "classifier_activation": None, "include_preprocessing": False}
    model = network(input_shape=(*size, 3), **options)
    for layer in model.layers:
        layer.set_weights([weight(one.name, one.shape, kind(one.name)) for one in layer.weights])
    return model


def run(model, size, seed):
    """The logits of a model for one image."""
    pixels = image(*size, seed=seed).astype(tf_keras.backend.floatx())
    # Nothing is compiled, which takes longer than to run once.
    return model(pixels, training=False).numpy()[0].astype("float64")


def golden(network):
    """Layers and weights in the order of a file, and logits."""
    logits, error = {}, 0.0
    for size in SIZES:
        single = run(build(network, "float32", size), size, SEED)
        model = build(network, "float64", size)
        exact, other = (run(model, size, seed) for seed in (SEED, SEED + 1))
        largest = np.abs(exact).max()
        error = max(error, np.abs(single - exact).max() / largest)
        assert np.abs(other - exact).max() > 8e-3 * largest, "it does not see the image"
        first = [float(f"{value:.8g}") for value in exact[:LOGITS]]
        logits["{}x{}".format(*size)] = {"largest": float(f"{largest:.8g}"), "first": first}
    assert error < 1e-5, f"it is chaotic: {error}"
    groups = [
        (layer.name, [(one.name, one.shape.as_list(), kind(one.name)) for one in layer.weights])
        for layer in model.layers
    ]
    parameters = sum(np.prod(one.shape.as_list()) for one in model.trainable_weights)
    fields = {"parameters": int(parameters), "float32_error": float(f"{error:.2g}")}
    return {"groups": groups, **fields, "logits": logits}


if __name__ == "__main__":
    chosen = sys.argv[1:] or NETWORKS
    goldens = read_goldens(PATH)
    for name in chosen:
        goldens[name] = golden(NETWORKS[name])
        write_goldens(PATH, goldens, NETWORKS)
        error = goldens[name]["float32_error"]
        print(f"{name}: float32 costs {error} of the largest logit", flush=True)
    print(f"{PATH}: {PATH.stat().st_size} bytes")
