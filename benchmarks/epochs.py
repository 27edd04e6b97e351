"""How long epochs take on TensorFlow that Keras feeds itself, and how long those of `data.stream`.

KERAS_BACKEND=tensorflow python benchmarks/epochs.py [--steps 45] [--rounds 12]

Keras lets tf.data prefetch the batches of a `PyDataset` and tune itself, and some epochs end only
5.1, 10.2, 20.5, ... seconds after they began; see README.md.
"""

import argparse

import keras
import numpy as np
from timing import print_environment, timed

from keras_se import data
from keras_se.applications import SEResNet20


def main(arguments=None):
    """Prints the seconds of each epoch, and of all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=45, help="steps of an epoch (default: 45)")
    parser.add_argument("--rounds", type=int, default=12, help="epochs of each (default: 12)")
    options = parser.parse_args(arguments)
    if keras.backend.backend() != "tensorflow":
        parser.error("it is about TensorFlow: set KERAS_BACKEND=tensorflow")
    model = SEResNet20(weights=None, classes=10)
    model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=False)
    shape = (128 * options.steps, 32, 32, 3)
    images = np.random.default_rng(0).standard_normal(shape, "float32")
    batches = data.TrainBatches(images, np.zeros(len(images), int), 128)
    feeds = {"Keras": batches, "data.stream": data.stream(batches)}
    seconds = {name: [] for name in feeds}
    model.fit(batches, shuffle=False, verbose=0)
    for _ in range(options.rounds):
        for name, feed in feeds.items():
            seconds[name].append(timed(lambda feed=feed: model.fit(feed, shuffle=False, verbose=0)))
    print_environment()
    for name, found in seconds.items():
        epochs = " ".join(f"{one:.1f}" for one in found)
        print(f"{name:12} {sum(found):6.0f} s ({epochs})")


if __name__ == "__main__":
    main()
