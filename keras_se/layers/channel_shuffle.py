"""The shuffle of ShuffleNet as a Keras layer."""

from typing import Any

import keras
from keras import layers, ops

from keras_se.data_format import channel_axis, standardize_data_format
from keras_se.validation import check_positive


@keras.saving.register_keras_serializable(package="keras_se")
class ChannelShuffle(layers.Layer):
    """Deals the channels of each group out to all groups.

    Of `groups * n` channels, channel `i * n + j` becomes channel `j * groups + i`, so that a
    grouped convolution sees channels of all groups of the one before.

    Args:
        groups: Positive integer that divides the channels.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes
            `keras.config.image_data_format()`.
        **kwargs: `name` and `dtype`, as for every Keras layer.

    Call arguments:
        inputs: Tensor `(batch, *space, channels)` or `(batch, channels, *space)` of any, possibly
            unknown, batch and spatial sizes.

    Returns:
        A tensor of the shape of `inputs`, in the layer's compute dtype.

    Raises:
        ValueError: If an argument is not legal, or the channels are unknown or do not divide.

    Example:
    >>> x = ops.reshape(ops.arange(6, dtype="float32"), (1, 1, 1, 6))
    >>> [int(value) for value in ops.reshape(ChannelShuffle(2)(x), (6,))]
    [0, 3, 1, 4, 2, 5]

    Reference:
        Zhang et al., "ShuffleNet", https://arxiv.org/abs/1707.01083, section 3.1.
    """

    def __init__(self, groups: int, *, data_format: str | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.groups = check_positive("groups", groups, integer=True)
        self.data_format = standardize_data_format(data_format)
        self.input_spec = keras.InputSpec(min_ndim=2)

    def build(self, input_shape: tuple) -> None:
        """Checks that the groups divide the channels of `input_shape`."""
        axis = channel_axis(self.data_format)
        channels = input_shape[axis]
        if channels is None or channels % self.groups:
            raise ValueError(
                f"ChannelShuffle needs a known number of channels ({self.data_format}) that is a "
                f"multiple of groups={self.groups}. Received: input_shape={tuple(input_shape)}"
            )
        self.input_spec = keras.InputSpec(min_ndim=2, axes={axis: channels})
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Shuffles the channels of `inputs`."""
        shape = list(ops.shape(inputs))
        axis = channel_axis(self.data_format) % len(shape)
        split = [self.groups, shape[axis] // self.groups]
        x = ops.reshape(inputs, shape[:axis] + split + shape[axis + 1 :])
        return ops.reshape(ops.swapaxes(x, axis, axis + 1), shape)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Returns `input_shape`: the layer keeps it."""
        return tuple(input_shape)

    def get_config(self) -> dict:
        """Returns the arguments that rebuild this layer."""
        return {**super().get_config(), "groups": self.groups, "data_format": self.data_format}
