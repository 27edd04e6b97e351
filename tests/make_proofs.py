"""Writes keras_se/weights/proofs.csv, what the goldens prove of which checkpoints. Run by hand:

python tests/make_proofs.py
"""

import csv
import importlib.resources

from conftest import GOLDENS
from test_imgclsmob import ROWS as OF_IMGCLSMOB
from test_library_files import KERAS_2
from test_library_files import NETWORKS as OF_LIBRARIES

from keras_se.applications import get_model
from keras_se.weights import WEIGHTS
from keras_se.weights.keras2_origins import KERAS_2_SIZES
from keras_se.weights.registry import PROOFS

FIELDS = ("network", "origin", "proof")
# Their names and shapes were compared once, on 2026-11-27, with those of the library: tf_keras 2.21
# and of torchvision 0.29.1.
BY_HAND = [("ResNetRS101", "tf_keras"), ("ResNetRS270", "tf_keras")]
BY_HAND += [(f"TFRegNetY{size}", "tf_keras") for size in KERAS_2_SIZES]
BY_HAND += [
    (f"RegNetY{size}", "torchvision")
    for size in ("004", "008TV", "016", "032", "080TV", "160", "320")
]


def proofs():
    """How the tests compare each network with the source of its checkpoints, by both names."""
    known = dict.fromkeys(BY_HAND, "names")
    for name, golden in GOLDENS.items():
        known[get_model(name).name, "timm"] = "logits" if golden["logits"] else "names"
    known |= {(network, "imgclsmob"): "logits" for network, _ in OF_IMGCLSMOB.values()}
    for name, (network, _) in OF_LIBRARIES.items():
        known[network, "tf_keras" if name in KERAS_2 else "torchvision"] = "logits"
    result = {}
    for network, rows in WEIGHTS.items():
        for origin in {row.origin: None for row in rows}:
            proof = "accuracy" if origin == "keras_se" else known.get((network, origin))
            if proof is None and known.get((get_model(network).twin.name, origin)) == "logits":
                proof = "twin"
            if proof:
                result[network, origin] = proof
    return result


if __name__ == "__main__":
    with importlib.resources.files("keras_se.weights").joinpath(PROOFS).open("w") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(FIELDS)
        writer.writerows((*key, proof) for key, proof in proofs().items())
