"""The gates of ECA-Net as a Keras layer."""

import math
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_se.layers.squeeze_excite import SqueezeExcite
from keras_se.validation import check_positive


@keras.saving.register_keras_serializable(package="keras_se")
class EfficientChannelAttention(SqueezeExcite):
    """Rescales each channel by a gate computed from the means of its neighbors.

    The layer averages every channel over space, as `SqueezeExcite` does, but makes each gate from
    `kernel_size` channels next to each other by one convolution over the channels, without a
    bottleneck and without biases. So it has `kernel_size` weights however many channels there are.
    The gates are computed in the layer's variable dtype.

    Args:
        kernel_size: Positive odd integer, or `None` for that of the paper: of `C` channels the odd
            number at or above `(log2(C) + 1) / 2`, rounded down, and at least 3.
        gate: As for `SqueezeExcite`.
        kernel_initializer: As for `SqueezeExcite`.
        identity_start: As for `SqueezeExcite`.
        data_format: As for `SqueezeExcite`.
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Call arguments:
        inputs: As for `SqueezeExcite`.

    Returns:
        A tensor of the shape of `inputs`, in the layer's compute dtype.

    Raises:
        ValueError: As `SqueezeExcite`, or if `kernel_size` is even.

    Example:
    >>> x = keras.random.normal((2, 56, 56, 256))
    >>> eca = EfficientChannelAttention()
    >>> tuple(eca(x).shape), eca.count_params()
    ((2, 56, 56, 256), 5)

    Reference:
        Wang et al., "ECA-Net", https://arxiv.org/abs/1910.03151, section 3.2.
    """

    def __init__(
        self,
        kernel_size: int | None = None,
        *,
        gate: str | Callable = "sigmoid",
        kernel_initializer: Any = "glorot_uniform",
        identity_start: bool = False,
        data_format: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(
            gate=gate,
            kernel_initializer=kernel_initializer,
            identity_start=identity_start,
            data_format=data_format,
            **kwargs,
        )
        self.kernel_size = kernel_size
        if kernel_size is None:
            return
        if check_positive("kernel_size", kernel_size, integer=True) % 2 == 0:
            raise ValueError(
                "`kernel_size` must be an odd number of channels, or None. Received: "
                f"kernel_size={kernel_size!r}"
            )

    def build(self, input_shape: tuple) -> None:
        """Creates the convolution for the channels of `input_shape`."""
        channels = self._known_channels(input_shape)
        self.conv = keras.layers.Conv1D(
            1,
            self.kernel_size or _kernel_size(channels),
            padding="same",
            use_bias=False,
            # The channels of a feature map are a line of pixels to it.
            data_format="channels_last",
            kernel_initializer="zeros" if self.identity_start else self.kernel_initializer,
            dtype=self.variable_dtype,
            trainable=self.trainable,
            name="conv",
        )
        self.conv.build((None, channels, 1))
        self.built = True

    @property
    def kernels(self) -> list:
        """The one kernel."""
        return [self.conv.kernel]

    @property
    def bottleneck(self) -> None:
        """`None`: there is none."""
        return None

    @property
    def multiply_adds(self) -> int:
        """The products of one excitation."""
        return self.channels * self.conv.kernel.shape[0]

    def get_config(self) -> dict:
        """Returns the arguments that rebuild this layer."""
        config = super().get_config()
        own = ("gate", "kernel_initializer", "identity_start", "data_format")
        base = keras.layers.Layer.get_config(self)
        return {**base, "kernel_size": self.kernel_size, **{name: config[name] for name in own}}

    def _excite(self, features):
        gates = self.gate(ops.squeeze(self.conv(features[..., None]), -1))
        if self.identity_start:
            gates = gates / self.gate(ops.zeros_like(gates))
        return gates


def _kernel_size(channels):
    size = int((math.log2(channels) + 1) / 2)
    return max(size if size % 2 else size + 1, 3)
