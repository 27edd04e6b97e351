"""Drops residual branches at random in training."""

import keras

from keras_se.augmentation.seeds import draw_for_each_replica
from keras_se.graph.rewrite import rewrite


def add_drop_path(network: keras.Model, rate: float, seed: int | None = None) -> keras.Model:
    """Drops the residual branch of some images in training, before each residual sum.

    For each image, training leaves a branch out with a probability that rises linearly from zero,
    for the first sum, to `rate`, for the last one, and enlarges the others so that the mean stays.
    At inference nothing changes. Several devices draw for their own images. The counts of the
    draws are variables of the network, so that a state goes on with the next ones.

    Args:
        network: Functional `keras.Model` of the zoo; not changed.
        rate: Fraction from 0 to 1.
        seed: Integer that fixes which branches are left out; `None` takes Keras's own.

    Returns:
        A new functional `keras.Model` with the same weights, whose sums `block_add` have a layer
        `block_add_drop` before them.

    Raises:
        ValueError: If the network has no residual sums, or `rate` is not legal.

    Reference:
        Huang et al., "Deep Networks with Stochastic Depth", https://arxiv.org/abs/1603.09382,
        section 3; enlarged in training, as timm does it, instead of made smaller afterwards.
    """
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate < 1:
        raise ValueError(f"`drop_path` must be from 0 to less than 1. Received: {rate!r}")
    sums = [layer.name for layer in network.layers if isinstance(layer, keras.layers.Add)]
    if not sums:
        raise ValueError(
            f"`drop_path` must be 0 for {network.name}: it has no residual branches. "
            f"Received: {rate}"
        )
    rates = {name: rate * index / max(len(sums) - 1, 1) for index, name in enumerate(sums)}

    def rule(node, copy):
        name = copy.name
        if not rates.get(name):
            return None
        drop = keras.layers.Dropout(
            rates[name],
            noise_shape=(None, 1, 1, 1),
            # Equal seeds would leave out all branches of an image together.
            seed=None if seed is None else seed + sums.index(name),
            dtype=copy.dtype_policy,
            name=f"{name}_drop",
        )
        # Not a layer of our own, or files of plain networks could not be read without keras_se.
        draw_for_each_replica(drop.seed_generator)

        # The zoo's sums have the skip first.
        def dropped(tensors):
            skip, branch = tensors
            return copy([skip, drop(branch)])

        return dropped

    return rewrite(network, rule)
