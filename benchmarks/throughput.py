"""Speed of an SE network and its plain twin, by precision, with and without XLA.

KERAS_BACKEND=tensorflow python benchmarks/throughput.py [--network seresnet20] [--size 32]
    [--task train] [--batch 128] [--steps 10] [--rounds 5] [--precision float32 bfloat16]
    [--xla on off]

Each turn of `--task train` is `model.fit` over the same bytes of images, which go to the device in
each step: forward, backward and SGD with momentum. `--task predict` is `model.predict_on_batch` on
images that are on the device already. What is compared runs in turns in one process.
`torch_throughput.py` measures plain PyTorch the same way, and `turns.py` the two against each
other.
"""

import argparse
import itertools

import keras
import numpy as np
from timing import interleave, keep_output, print_environment, software_versions, take_turns

from keras_se import data
from keras_se.applications import get_model

TASKS = ("train", "predict")


def runner(network, se, precision, xla, options):
    """A function that trains one network for some steps, or predicts with it."""
    policy = precision if precision == "float32" else f"mixed_{precision}"
    keras.config.set_dtype_policy(policy)
    classes = 10 if options.size <= 32 else 1000
    model = network(
        weights=None, input_shape=(options.size, options.size, 3), classes=classes, se=se
    )
    model.compile(
        keras.optimizers.SGD(1e-3, momentum=0.9, nesterov=True),
        "sparse_categorical_crossentropy",
        jit_compile=xla,
    )
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (options.batch, options.size, options.size, 3), "uint8")
    labels = random.integers(0, classes, options.batch)
    if options.task == "predict":
        on_device = keras.ops.convert_to_tensor(images, "float32")
        return lambda: [model.predict_on_batch(on_device) for _ in range(options.steps)]
    batches = data.stream(Same(images, labels, options.steps))
    return lambda: model.fit(batches, verbose=0, shuffle=False)


class Same(data.PrefetchingDataset):
    """One batch, again and again: the input pipeline is not what is measured."""

    def __init__(self, images, labels, steps):
        super().__init__(prefetch=False)
        self.rows, self.steps = (images, labels), steps

    def __len__(self):
        return self.steps

    def batch(self, index):
        """Images and labels."""
        return self.rows


def main(arguments=None):
    """Prints images per second, and of each SE network the part of its twin's speed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="seresnet20", help="default: seresnet20")
    parser.add_argument("--task", default="train", choices=TASKS, help="default: train")
    parser.add_argument("--size", type=int, default=32, help="side in pixels (default: 32)")
    parser.add_argument("--batch", type=int, default=128, help="images of a step (default: 128)")
    parser.add_argument("--steps", type=int, default=10, help="steps of a turn (default: 10)")
    parser.add_argument("--rounds", type=int, default=5, help="timed turns (default: 5)")
    precisions = ("float32", "bfloat16", "float16")
    parser.add_argument("--precision", nargs="+", choices=precisions, default=precisions[:2])
    parser.add_argument("--xla", nargs="+", choices=("on", "off"), default=["on", "off"])
    parser.add_argument(
        "--take-turns", action="store_true", help="answer turns.py, which adds this"
    )
    options = parser.parse_args(arguments)
    output = keep_output() if options.take_turns else None
    network = get_model(options.network)
    runners = {}
    for precision, xla, se in itertools.product(options.precision, options.xla, (True, False)):
        name = (network.name if se else network.twin.name, precision, xla)
        runners[name] = runner(network, se, precision, xla == "on", options)
    if options.take_turns:
        roles = {network.name: "SE", network.twin.name: "plain"}
        rows = [(roles[key[0]], *key) for key in runners]
        take_turns(list(runners.values()), rows, options, software_versions(), output)
        return
    seconds = interleave(runners, options.rounds)
    print_environment()
    print(f"{options.size} pixels, batches of {options.batch}")
    images = options.batch * options.steps
    for (name, precision, xla), median in seconds.items():
        ratio = seconds[network.twin.name, precision, xla] / median
        print(
            f"{name:14} {precision:16} XLA {xla:4} {images / median:9.1f} images/s "
            f"{ratio:6.2f} of the twin"
        )


if __name__ == "__main__":
    main()
