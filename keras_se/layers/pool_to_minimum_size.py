"""The adaptive pooling of VGG heads as a Keras layer."""

from typing import Any

import keras
from keras import layers, ops

from keras_se.data_format import spatial_axes, standardize_data_format
from keras_se.validation import check_positive


def means_of_overlaps(old: int, new: int, dtype: str = "float32") -> Any:
    """The matrix `(new pixel, old pixel)` of the means that `PoolToMinimumSize` takes."""
    source = ops.arange(old, dtype="int32")[None, :]
    target = ops.arange(new, dtype="int32")[:, None]
    # Pixel i of n covers the fractions i / n to (i + 1) / n of the side.
    overlaps = ops.logical_and((source + 1) * new > target * old, source * new < (target + 1) * old)
    weights = ops.cast(overlaps, dtype)
    return weights / ops.sum(weights, axis=1, keepdims=True)


# The name that files of version 0.1 have.
@keras.saving.register_keras_serializable(package="keras_se", name="Enlarge")
class PoolToMinimumSize(layers.Layer):
    """Enlarges a map that is lower or narrower than `size` pixels to just that many.

    A side of `n` pixels below `size` becomes `size` pixels, each the mean of those that it
    overlaps when both rows are laid over each other: PyTorch's `adaptive_avg_pool2d` to
    `max(size, height) x max(size, width)`. Longer sides stay as they are. The means are taken in
    at least float32, whatever the layer's dtype.

    Args:
        size: Positive integer; the least height and width of the result, in pixels.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes
            `keras.config.image_data_format()`.
        **kwargs: `name` and `dtype`, as for every Keras layer.

    Call arguments:
        inputs: Float tensor `(batch, height, width, channels)` or, channels first,
            `(batch, channels, height, width)`, of any, possibly unknown, height and width.

    Returns:
        A tensor of the shape of `inputs`, but for a height and width of at least `size`, in the
        layer's compute dtype.

    Raises:
        ValueError: If an argument is not legal or the input has not four axes.

    Example:
    >>> x = ops.reshape(ops.arange(2, dtype="float32"), (1, 1, 2, 1))
    >>> tuple(PoolToMinimumSize(3)(x).shape)
    (1, 3, 3, 1)
    >>> [float(value) for value in PoolToMinimumSize(3)(x)[0, 0, :, 0]]
    [0.0, 0.5, 1.0]
    """

    def __init__(self, size: int, *, data_format: str | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.size = check_positive("size", size, integer=True)
        self.data_format = standardize_data_format(data_format)
        self.input_spec = keras.InputSpec(ndim=4)

    def call(self, inputs: Any) -> Any:
        """Enlarges both sides of `inputs`."""
        x = ops.cast(inputs, keras.backend.result_type(inputs.dtype, "float32"))
        for axis in spatial_axes(4, self.data_format):
            x = self._enlarged(x, axis)
        return ops.cast(x, self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Returns `input_shape` with a height and width of at least `size`, if known."""
        shape = list(input_shape)
        for axis in spatial_axes(4, self.data_format):
            shape[axis] = None if shape[axis] is None else max(shape[axis], self.size)
        return tuple(shape)

    def get_config(self) -> dict:
        """Returns the arguments that rebuild this layer."""
        return {**super().get_config(), "size": self.size, "data_format": self.data_format}

    def _enlarged(self, x, axis):
        """The means along one axis, as a product with a matrix."""
        old = ops.shape(x)[axis]
        if isinstance(old, int) and old >= self.size:
            return x
        # Of numbers known beforehand Keras's maximum would make a tensor, which is no size on JAX.
        new = self.size if isinstance(old, int) else ops.maximum(old, self.size)
        weights = means_of_overlaps(old, new, x.dtype)
        return ops.moveaxis(ops.matmul(weights, ops.moveaxis(x, axis, -2)), -2, axis)
