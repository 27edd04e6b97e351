"""Forward latency of an SE network, its plain twin and keras.applications.ResNet50, interleaved.

python benchmarks/latency.py [--network seresnet50] [--rounds N]
"""

import argparse

import keras
import numpy as np
from timing import interleave, print_environment

from keras_se.applications import get_model


def runner(model, batch):
    """A function that runs the compiled `model` on one batch and waits for the result."""
    shape = (batch, *model.inputs[0].shape[1:])
    images = np.random.default_rng(0).standard_normal(shape).astype("float32")
    return lambda: model.predict_on_batch(images)


def main():
    """Prints the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="seresnet50", help="default: seresnet50")
    parser.add_argument("--rounds", type=int, default=15, help="calls of each (default: 15)")
    options = parser.parse_args()
    application = get_model(options.network)
    models = {
        application.name: application(weights=None),
        application.twin: application(weights=None, se=False),
        "keras.applications.ResNet50": keras.applications.ResNet50(weights=None),
    }
    print_environment()
    for batch in (1, 8):
        runners = {name: runner(model, batch) for name, model in models.items()}
        medians = interleave(runners, options.rounds)
        for name, seconds in medians.items():
            ratio = seconds / medians[application.twin]
            print(f"batch {batch}  {name:28} {1000 * seconds:8.1f} ms  {ratio:5.2f} of the twin")


if __name__ == "__main__":
    main()
