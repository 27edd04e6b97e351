"""The random mixture of two branches as a Keras layer."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_se")
class ShakeShake(keras.layers.Layer):
    """Mixes two branches at random in training, and averages them at inference.

    For each image, training draws a fraction `a` from 0 to 1 and gives
    `a * first + (1 - a) * second`, while the gradients are those of a mixture by another fraction,
    drawn by itself, or by one half if `even`. At inference the result is exactly
    `(first + second) / 2`.

    Args:
        seed: Integer seed of the fractions, or `None`.
        even: `True` for gradients of the mean of the branches (the paper's "Shake-Even"), `False`
            for those of a mixture at random ("Shake-Shake").
        **kwargs: `name` and `dtype`, as for every Keras layer.

    Call arguments:
        inputs: Two float tensors of the same shape, `(batch, ...)`.
        training: Whether to draw fractions.

    Returns:
        A tensor of that shape.

    Raises:
        ValueError: If `inputs` are not two tensors of the same shape, or `even` is not a bool.

    Example:
    >>> mean = ShakeShake()([keras.ops.ones((1, 2)), keras.ops.zeros((1, 2))])
    >>> mean.tolist() if hasattr(mean, "tolist") else mean.numpy().tolist()
    [[0.5, 0.5]]

    Reference:
        Gastaldi, "Shake-Shake regularization", https://arxiv.org/abs/1705.07485, section 2.
    """

    def __init__(self, seed: int | None = None, even: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        if not isinstance(even, bool):
            raise ValueError(f"`even` must be True or False. Received: even={even!r}")
        self.seed, self.even = seed, even
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Mixes the two `inputs`."""
        self.compute_output_shape([tuple(branch.shape) for branch in inputs])
        first, second = inputs
        mean = (first + second) / 2
        if not training:
            return mean
        shape = (ops.shape(first)[0], *(1,) * (len(first.shape) - 1))
        difference = first - second
        forward = self._draw(shape)
        if self.even:
            return mean + ops.stop_gradient(forward * difference)
        backward = self._draw(shape)
        return mean + backward * difference + ops.stop_gradient((forward - backward) * difference)

    def _draw(self, shape):
        """Fractions, less one half."""
        drawn = keras.random.uniform(shape, dtype=self.compute_dtype, seed=self.seed_generator)
        return drawn - 0.5

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Returns the shape of either branch."""
        if len(input_shape) != 2 or tuple(input_shape[0]) != tuple(input_shape[1]):
            raise ValueError(
                "ShakeShake needs two inputs of the same shape. Received: shapes "
                + ", ".join(str(tuple(shape)) for shape in input_shape)
            )
        return tuple(input_shape[0])

    def get_config(self) -> dict:
        """Returns the arguments that rebuild this layer."""
        return {**super().get_config(), "seed": self.seed, "even": self.even}
