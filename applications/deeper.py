"""What is a trained network worth to a deeper one? Weights that make a deeper one compute the same.

python applications/deeper.py runs/c10/best.keras --network SEResNet56 --out runs/start.weights.h5
keras-se train cifar10-fast --set network=SEResNet56 --set weights=runs/start.weights.h5 ...

Blocks that both networks have keep their weights. In a new block the last batch norm gets a
gamma of zero, so that it passes on what comes in, as every residual block does at the start of
arXiv:1706.02677 (section 5.1). Both networks must be CIFAR's, activated after the sum.
"""

import argparse
import re
from pathlib import Path

import keras
import numpy as np

from keras_se.applications import find

BLOCK = re.compile(r"layer\d+_\d+(?=_)")


def grow(trained, deeper):
    """Gives a deeper network what makes it compute what a trained one does.

    Args:
        trained: A `keras.Model` such as `SEResNet20`.
        deeper: One of more blocks, such as `SEResNet56`, with any weights; it is changed.

    Returns:
        Number of blocks that only `deeper` has.

    Raises:
        ValueError: If `trained` has weights that are not in `deeper`, or of another shape.
    """
    known = {layer.name: layer for layer in trained.layers if layer.weights}
    layers = {layer.name: layer for layer in deeper.layers if layer.weights}
    if missing := sorted(known.keys() - layers.keys()):
        raise ValueError(
            f"`deeper` must have all layers of `trained`. Received one without: {missing}"
        )
    new = set()
    for name, layer in layers.items():
        if name in known:
            layer.set_weights(known[name].get_weights())
        else:
            new.add(BLOCK.match(name)[0])
    for block in new:
        last = layers[f"{block}_bn2"]
        for variable in (last.gamma, last.beta):
            variable.assign(keras.ops.zeros_like(variable))
    return len(new)


def main(arguments=None):
    """Writes the weights and prints how far the two networks differ on noise."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trained", type=Path, help=".keras file of a training")
    parser.add_argument("--network", required=True, help="such as SEResNet56")
    parser.add_argument("--out", type=Path, required=True, help=".weights.h5 file to write")
    options = parser.parse_args(arguments)
    trained = keras.saving.load_model(options.trained, compile=False)
    # Rounded differently, the two would differ.
    keras.config.set_dtype_policy(trained.get_layer("conv1").dtype_policy)
    application, se = find(options.network)
    shape, classes = trained.input_shape[1:], trained.output_shape[-1]
    deeper = application(weights=None, se=se, input_shape=shape, classes=classes)
    blocks = grow(trained, deeper)
    images = np.float32(np.random.default_rng(0).normal(size=(8, *shape)))
    difference = np.abs(
        trained.predict(images, verbose=0) - deeper.predict(images, verbose=0)
    ).max()
    deeper.save_weights(options.out)
    print(f"{options.network}: {blocks} new blocks; probabilities differ by {difference:.1e}.")


if __name__ == "__main__":
    main()
