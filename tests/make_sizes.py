"""Writes keras_se/sizes.csv, what each network costs. Run by hand: python tests/make_sizes.py."""

import csv
from pathlib import Path

import keras

from keras_se.applications import get_model, list_models
from keras_se.cli import model_table

PATH = Path(model_table.__file__).parent / model_table.SIZES

if __name__ == "__main__":
    lines = []
    for row in map(get_model, list_models()):
        lines.append(model_table.measure(row))
        keras.backend.clear_session(free_memory=True)
        print(lines[-1], flush=True)
    with PATH.open("w", newline="") as file:
        writer = csv.DictWriter(file, model_table.FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
