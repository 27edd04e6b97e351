"""What is a trained network worth to a deeper one? Weights that make a deeper one compute the same.

python applications/deeper.py runs/c10/best.keras --network SEResNet56 --out runs/start.weights.h5
keras-se train cifar10-fast --set network=SEResNet56 --set weights=runs/start.weights.h5 ...

Blocks that both networks have keep their weights. In a new block the last batch norm gets a
gamma of zero, so that it passes on what comes in, as every residual block does at the start of
arXiv:1706.02677 (section 5.1). Both networks are CIFAR's, of two convolutions a block and activated
after the sum.
"""

import argparse
import re
from pathlib import Path

import keras
import numpy as np

from keras_se.applications import get_model

BLOCK = re.compile(r"layer\d+_\d+(?=_)")


def grow(trained, deeper):
    """Gives a deeper network what makes it compute what a trained one does.

    Args:
        trained: A `keras.Model` such as `SEResNet20`.
        deeper: One of more blocks, such as `SEResNet56`, with any weights; it is changed.

    Returns:
        Number of blocks that only `deeper` has.

    Raises:
        ValueError: If `deeper` has not all of `trained`, more than new blocks besides, or blocks
            of another kind.
    """
    trained_layers = {layer.name: layer for layer in trained.layers if layer.weights}
    layers = {layer.name: layer for layer in deeper.layers if layer.weights}
    if missing := sorted(trained_layers.keys() - layers.keys()):
        raise ValueError(
            f"`deeper` must have all layers of `trained`. Received one without: {missing}"
        )
    added = layers.keys() - trained_layers.keys()
    old_blocks = {block_of(name) for name in trained_layers}
    if changed := sorted(name for name in added if block_of(name) in old_blocks):
        raise ValueError(f"`deeper` may differ by whole blocks only. Received, besides: {changed}")
    blocks = {block_of(name) for name in added}
    # In the order of the layers, so that the last of a block stays.
    ends = {block_of(name): name for name in layers if name in added and not name.endswith("_se")}
    if wrong := sorted(set(ends.values()) - {f"{block}_bn2" for block in blocks}):
        raise ValueError(f"Blocks must end in bn2, as SEResNet56's do. Received: ends in {wrong}")
    for name, layer in trained_layers.items():
        layers[name].set_weights(layer.get_weights())
    for block in blocks:
        last = layers[f"{block}_bn2"]
        for variable in (last.gamma, last.beta):
            variable.assign(np.zeros(variable.shape))
    return len(blocks)


def block_of(name):
    """Name of the block that a layer is of, `None` outside of blocks."""
    match = BLOCK.match(name)
    return match and match[0]


def main(arguments=None):
    """Writes the weights and prints how far the two networks differ on noise."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trained", type=Path, help=".keras file of a training")
    parser.add_argument("--network", required=True, help="such as SEResNet56")
    parser.add_argument("--out", type=Path, required=True, help=".weights.h5 file to write")
    options = parser.parse_args(arguments)
    trained = keras.saving.load_model(options.trained, compile=False)
    application = get_model(options.network)
    shape, classes = trained.input_shape[1:], trained.output_shape[-1]
    policy = keras.config.dtype_policy()
    # Rounded differently, the two would differ.
    keras.config.set_dtype_policy(trained.get_layer("conv1").dtype_policy)
    deeper = application(weights=None, input_shape=shape, classes=classes)
    keras.config.set_dtype_policy(policy)
    blocks = grow(trained, deeper)
    images = np.float32(np.random.default_rng(0).normal(size=(8, *shape)))
    difference = np.abs(
        trained.predict(images, verbose=0) - deeper.predict(images, verbose=0)
    ).max()
    if not difference < 1e-5:
        raise ValueError(f"The two networks differ by {difference:g}; nothing was written.")
    deeper.save_weights(options.out)
    print(f"{options.network}: {blocks} new blocks; probabilities differ by {difference:.1e}.")


if __name__ == "__main__":
    main()
