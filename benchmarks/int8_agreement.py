"""How often exports in 8-bit integers name the class that float32 names, and the right one.

python benchmarks/int8_agreement.py [--data cifar10] [--networks SEResNet20 SEResNet56]
    [--formats onnx_int8 openvino_int8 litert_int8] [--images 10000]

Exports networks with their CIFAR-10 weights, with 300 training images for calibration, and runs the
exports on the test images. Prints a table in Markdown.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from keras_se import data
from keras_se.applications import get_model
from keras_se.export import FORMATS, export_model, load_exported
from keras_se.export.verify import likeliest_classes

NETWORKS = ("SEResNet20", "SEResNet56")
INTEGERS = tuple(name for name, format in FORMATS.items() if format.calibrated)
CALIBRATION_IMAGES = 300


def rows(network, dataset, formats, images):
    """Yields the cells of the network in float32 and in each format."""
    model = get_model(network)(weights="cifar10")
    normalize = model.preprocessing.normalize
    pixels, labels = dataset.test_images[:images], np.ravel(dataset.test_labels)[:images]
    # Evenly of all: some files have the classes one after the other.
    chosen = np.linspace(0, len(dataset.train_images) - 1, CALIBRATION_IMAGES).astype(int)
    calibration = np.asarray(normalize(dataset.train_images[chosen]), "float32")
    tests = np.asarray(normalize(pixels), "float32")
    expected = likeliest_classes(model.predict_on_batch, tests)
    yield network, "float32", "", f"{100 * np.mean(expected == labels):.2f}"
    for name in formats:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"model{FORMATS[name].suffix}"
            export_model(model, path, name, calibration=calibration)
            classes = likeliest_classes(load_exported(path), tests)
        same, right = (100 * np.mean(classes == other) for other in (expected, labels))
        yield network, f"`{name}`", f"{same:.2f}", f"{right:.2f}"


def main(arguments=None):
    """Prints the table, line by line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", default="cifar10", help="cifar10, or a prepared file of it")
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--formats", nargs="+", default=INTEGERS, choices=INTEGERS)
    parser.add_argument("--images", type=int, default=10_000)
    options = parser.parse_args(arguments)
    dataset = data.load(options.data)
    print("| network | format | agreement with float32 % | top-1 % |")
    print("|---|---|---:|---:|")
    for network in options.networks:
        for cells in rows(network, dataset, options.formats, options.images):
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
