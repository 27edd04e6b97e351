"""Writes tests/keras2_goldens.json.gz: logits of the ResNet-RS and RegNetY of Keras 2, in float64.

The only file that needs tf_keras. Run by hand: pip install tensorflow==2.21.0 tf_keras==2.21.0 &&
python tests/make_keras2_goldens.py
"""

import gzip
import json
from pathlib import Path

import numpy as np
import tf_keras
from generated import SEED, image
from keras2_files import weight

PATH = Path(__file__).parent / "keras2_goldens.json.gz"
LOGITS = 64
SIZES = ((64, 64), (65, 97))
# What ends a residual branch is small.
ENDS = ("__batch_norm_3/gamma", "_conv_1x1_2_bn/gamma")
NETWORKS = {
    "resnetrs50": tf_keras.applications.resnet_rs.ResNetRS50,
    "tfregnety002": tf_keras.applications.regnet.RegNetY002,
}


def kind(name):
    """How the weight of a name is made; see `keras2_files.weight`."""
    small = name.partition(":")[0].endswith(ENDS)
    return "small_gamma" if small else name.rpartition("/")[2].partition(":")[0]


def run(network, precision, size, seed):
    """A model of generated weights, and its logits for one image."""
    tf_keras.backend.clear_session()
    tf_keras.backend.set_floatx(precision)
    options = {"weights": None, "classifier_activation": None, "include_preprocessing": False}
    model = network(input_shape=(*size, 3), **options)
    for layer in model.layers:
        layer.set_weights([weight(one.name, one.shape, kind(one.name)) for one in layer.weights])
    pixels = image(*size, seed=seed).astype(precision)
    return model, model.predict_on_batch(pixels)[0].astype("float64")


def golden(network):
    """Layers and weights in the order of a file, and logits."""
    logits, error = {}, 0.0
    for size in SIZES:
        model, exact = run(network, "float64", size, SEED)
        largest = np.abs(exact).max()
        error = max(error, np.abs(run(network, "float32", size, SEED)[1] - exact).max() / largest)
        assert np.abs(run(network, "float64", size, SEED + 1)[1] - exact).max() > 8e-3 * largest
        first = [float(f"{value:.8g}") for value in exact[:LOGITS]]
        logits["{}x{}".format(*size)] = {"largest": float(f"{largest:.8g}"), "first": first}
    assert error < 1e-5
    groups = [
        (layer.name, [(one.name, one.shape.as_list(), kind(one.name)) for one in layer.weights])
        for layer in model.layers
    ]
    return {"groups": groups, "float32_error": float(f"{error:.2g}"), "logits": logits}


if __name__ == "__main__":
    goldens = {name: golden(network) for name, network in NETWORKS.items()}
    text = json.dumps(goldens, separators=(",", ":"))
    PATH.write_bytes(gzip.compress(text.encode(), mtime=0))
    for name, entry in goldens.items():
        print(f"{name}: float32 costs {entry['float32_error']} of the largest logit")
    print(f"{PATH}: {PATH.stat().st_size} bytes")
