"""Random numbers that depend on nothing but a seed and the number of a step."""

import keras
import numpy as np


class StepSeeds(keras.random.SeedGenerator):
    """Seeds for Keras's random functions, counted from a number instead of by a variable.

    A layer that draws from it applies the same change whenever, in whichever thread and however
    often it is called for a step, so that a run can be resumed in its middle.

    Args:
        seed: Integer.
        first: The count of the first draw, a number or a tensor inside a compiled function.

    Example:
    >>> seeds = StepSeeds(9, first=100)
    >>> [int(count) for _, count in (seeds.next(), seeds.next())]
    [100, 101]
    """

    def __init__(self, seed: int, first):
        # Not the base class's: that would make a variable, which only changes at every draw.
        self.seed, self.first, self.drawn = seed, first, 0

    def next(self, ordered: bool = True):
        """Returns the next seed, the pair of the seed and the count."""
        dtype = _seed_dtype()
        count = keras.ops.cast(self.first, dtype) + keras.ops.cast(self.drawn, dtype)
        self.drawn += 1
        return keras.ops.stack([keras.ops.cast(self.seed, dtype) + _replica(dtype), count])


def draw_for_each_replica(generator: keras.random.SeedGenerator) -> None:
    """Makes each of TensorFlow's replicas draw for its own images; in Keras all draw the same.

    Args:
        generator: The generator of a layer, changed in place. Its state, one of the layer's
            variables, counts as before.
    """
    original_next = generator.next

    def next_of_replica(ordered=True):
        dtype = _seed_dtype()
        offset = [keras.ops.cast(number, dtype) for number in (_replica(dtype), 0)]
        return original_next(ordered) + keras.ops.stack(offset)

    generator.next = next_of_replica


def fold_in(seed: int, index: int) -> int:
    """Derives a seed for each of several random functions, so that their draws are independent.

    Args:
        seed: Integer.
        index: Which of the functions; 0 keeps `seed`.

    Returns:
        An integer of 31 bits.

    Example:
    >>> fold_in(5, 0), fold_in(5, 1) == 5
    (5, False)
    """
    if index == 0:
        return seed
    return int(np.random.SeedSequence((seed, index)).generate_state(1)[0] >> 1)


def _seed_dtype():
    """The backend's dtype of seeds: of this room, the only private name of Keras."""
    return keras.src.backend.random_seed_dtype()


def _replica(dtype):
    """Index of the TensorFlow replica that runs this, from zero; zero on other backends."""
    if keras.backend.backend() != "tensorflow":
        return 0
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return tf.cast(context.replica_id_in_sync_group, dtype) if context else 0
