"""Random numbers that depend on nothing but a seed and the number of a step."""

import keras
import numpy as np


class StepSeeds(keras.random.SeedGenerator):
    """Seeds for Keras's random functions, counted from a number on instead of kept in a variable.

    A layer that draws from it gives the same change whenever, in whichever thread and however
    often it is asked for a step: that is what lets a run be resumed in its middle.

    Args:
        seed: Integer.
        first: The count of the first draw, a number or a tensor inside a compiled function.
    """

    def __init__(self, seed, first):
        # Not the base class's: that would make a variable, which only changes at every draw.
        self.seed, self.first, self.drawn = seed, first, 0
        self._initial_seed = seed

    def next(self, ordered=True):
        """Returns the next seed, the pair of the seed and the count."""
        dtype = keras.src.backend.random_seed_dtype()
        count = keras.ops.cast(self.first, dtype) + keras.ops.cast(self.drawn, dtype)
        self.drawn += 1
        return keras.ops.stack([keras.ops.cast(self.seed, dtype) + replica(dtype), count])


def draw_for_each_replica(generator):
    """Makes TensorFlow's replicas draw each for its own images; Keras gives all of them the same.

    Args:
        generator: The `keras.random.SeedGenerator` of a layer. Its state, one of the layer's
            variables, goes on as before.
    """
    common = generator.next

    def own(ordered=True):
        dtype = keras.src.backend.random_seed_dtype()
        added = [keras.ops.cast(one, dtype) for one in (replica(dtype), 0)]
        return common(ordered) + keras.ops.stack(added)

    generator.next = own


def replica(dtype):
    """Which of TensorFlow's replicas this is, from zero, so that each draws for its own images."""
    if keras.backend.backend() != "tensorflow":
        return 0
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return tf.cast(context.replica_id_in_sync_group, dtype) if context else 0


def fold_in(seed, index):
    """A seed for each of several things that draw, so that equal draws do not come together.

    Args:
        seed: Integer.
        index: Which of them; the first keeps `seed`.

    Returns:
        An integer of 31 bits.

    Example:
    >>> fold_in(5, 0)
    5
    """
    if index == 0:
        return seed
    return int(np.random.SeedSequence((seed, index)).generate_state(1)[0] >> 1)
