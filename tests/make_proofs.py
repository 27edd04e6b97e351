"""Writes keras_se/weights/proofs.csv, what the goldens prove of which checkpoints. Run by hand:

python tests/make_proofs.py
"""

import csv
import importlib.resources

from conftest import GOLDENS
from test_imgclsmob import ROWS as OF_IMGCLSMOB
from test_library_files import NETWORKS, OF_LIBRARIES

from keras_se.applications import get_model
from keras_se.weights import WEIGHTS
from keras_se.weights.registry import PROOFS

FIELDS = ("network", "origin", "proof")


def proofs():
    """How the tests compare each network with the source of its checkpoints, by both names."""
    known = {}
    for name, golden in GOLDENS.items():
        known[get_model(name).name, "timm"] = _proof(golden)
    known |= {(network, "imgclsmob"): "logits" for network, _ in OF_IMGCLSMOB.values()}
    for origin, goldens in OF_LIBRARIES.items():
        known |= {(NETWORKS[name][0], origin): _proof(golden) for name, golden in goldens.items()}
    result = {}
    for network, rows in WEIGHTS.items():
        for origin in {row.origin: None for row in rows}:
            proof = "accuracy" if origin == "keras_se" else known.get((network, origin))
            if proof is None and known.get((get_model(network).twin.name, origin)) == "logits":
                proof = "twin"
            if proof:
                result[network, origin] = proof
    return result


def _proof(golden):
    """Of what is too large to run, names and shapes were compared."""
    return "logits" if golden["logits"] else "names"


if __name__ == "__main__":
    with importlib.resources.files("keras_se.weights").joinpath(PROOFS).open("w") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(FIELDS)
        writer.writerows((*key, proof) for key, proof in proofs().items())
