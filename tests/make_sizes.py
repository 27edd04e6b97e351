"""Writes keras_se/sizes.csv, what each network costs. Run by hand:

python tests/make_sizes.py [NETWORK ...]

Without names it measures them all, otherwise those, and keeps the others.
"""

import csv
import sys
from pathlib import Path

import keras

from keras_se.applications import get_model, list_models
from keras_se.cli import model_table

PATH = Path(model_table.__file__).parent.parent / model_table.SIZES

if __name__ == "__main__":
    chosen = sys.argv[1:] or list_models()
    lines = {name: {"network": name, **costs} for name, costs in model_table.sizes().items()}
    for name in chosen:
        lines[name] = model_table.measure(get_model(name))
        keras.backend.clear_session(free_memory=True)
        print(lines[name], flush=True)
    with PATH.open("w", newline="") as file:
        writer = csv.DictWriter(file, model_table.FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines[name] for name in list_models() if name in lines)
