"""Writes docs/upstream_exports.csv, which format holds which network of Keras. Run by hand on each
backend, where the lines of the other backends are kept:

KERAS_BACKEND=tensorflow python tests/make_export_table.py [NETWORK ...]
"""

import csv
import re
import sys
import tempfile
import textwrap
from functools import cache, partial
from pathlib import Path

import keras
import numpy as np
from upstream_networks import NETWORKS, build

from keras_se.export import FORMATS, export_model
from keras_se.files import atomic_path

PATH = Path(__file__).parent.parent / "docs" / "upstream_exports.csv"
FIELDS = ("network", "backend", "format", "result")
WRITTEN = "written"
BACKEND = keras.backend.backend()
CALIBRATION_IMAGES = 4
LONGEST = 160  # letters of an error


def formats(backend):
    """The formats of graphs that a backend writes."""
    return [
        format
        for format in FORMATS.values()
        if format.graph and (backend == "tensorflow" or not format.tensorflow)
    ]


def result(build_model, format, folder):
    """`WRITTEN`, verified too, or the error that says what remains."""
    try:
        model, calibration = build_model(), None
        if format.calibrated:
            shape = (CALIBRATION_IMAGES, *model.input_shape[1:])
            calibration = np.random.default_rng(0).standard_normal(shape).astype("float32")
        path = Path(folder) / f"{format.name}{format.suffix or ''}"
        export_model(model, path, format.name, calibration=calibration)
    except ValueError as error:
        return in_short(str(error))
    return WRITTEN


def in_short(error):
    """What an error says of the layer or the converter that fails."""
    said = " ".join(error.split())
    # What our own translation lacks matters only where Keras's fails as well, and what helps users
    # less here than what the layers raised.
    for start in (f"Keras's own export to ONNX fails on {BACKEND}: ", "They raised: "):
        said = said.partition(start)[2] or said
    said = re.sub(r"(Exception from|Check '.*?' failed at) \S+ ", "", said)  # OpenVINO's
    # From here on it is configs or graphs.
    return textwrap.shorten(said.partition(": {")[0], LONGEST, placeholder=" ...")


def read():
    """The results by network, backend and format."""
    if not PATH.exists():
        return {}
    with PATH.open() as file:
        return {
            (line["network"], line["backend"], line["format"]): line["result"]
            for line in csv.DictReader(file)
        }


def write(results):
    """Writes the results, sorted."""
    with atomic_path(PATH) as partial, partial.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(FIELDS)
        writer.writerows((*key, results[key]) for key in sorted(results))


if __name__ == "__main__":
    for name in sys.argv[1:] or NETWORKS:
        build_model, results = cache(partial(build, name)), {}
        for format in formats(BACKEND):
            with tempfile.TemporaryDirectory() as folder:
                results[name, BACKEND, format.name] = result(build_model, format, folder)
            print(name, format.name, results[name, BACKEND, format.name], flush=True)
        write(read() | results)
        keras.backend.clear_session(free_memory=True)
