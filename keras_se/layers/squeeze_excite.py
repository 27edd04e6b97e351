"""The squeeze-and-excitation block as a Keras layer."""

import math
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_se.data_format import channel_axis, spatial_axes, standardize_data_format
from keras_se.validation import check_choice, check_positive

# `None` leaves the map as it is.
SQUEEZES = {"avg": ops.mean, "max": ops.max, "none": None}


@keras.saving.register_keras_serializable(package="keras_se")
class SqueezeExcite(keras.layers.Layer):
    """Rescales each channel by a gate computed from the whole map.

    The layer reduces every channel over space (squeeze), passes the result through two dense
    layers with a bottleneck (excitation) and multiplies the input by it:
    `y[b, ..., c] = x[b, ..., c] * gates[b, c]`. With the default sigmoid `0 <= gates <= 1`.
    It leaves the shape unchanged and adds about `2 * C**2 / ratio` weights for `C` channels.
    The gates are computed in the layer's variable dtype, so in float32 under mixed precision.

    Args:
        ratio: Positive number; the bottleneck has about `C / ratio` units. The paper uses 16,
            MobileNetV3 uses 4.
        units: Positive integer or `None`; the bottleneck's width, instead of `ratio`.
        divisor: Positive integer. With 1, the width is the paper's `C // ratio` and at least 1.
            Otherwise it is the nearest multiple of `divisor`, at least `divisor`, and one multiple
            more if a tenth would be lost. timm's weights need 8, the original Caffe ones 1.
        squeeze: `"avg"` or `"max"`, the reduction over space. `"none"` leaves it out, so that every
            position has gates of its own, from that position alone (the paper's NoSqueeze,
            section 7.1).
        activation: Keras activation inside the bottleneck.
        gate: Keras activation that makes the gates, such as `"sigmoid"` or `"hard_sigmoid"`.
            The paper's table 12 also tries `"tanh"` and `"relu"`.
        use_bias: Whether the two dense layers have biases.
        kernel_initializer: Keras initializer of the two kernels.
        bias_initializer: Keras initializer of the two biases.
        kernel_regularizer: Keras regularizer of the two kernels.
        bias_regularizer: Keras regularizer of the two biases.
        identity_start: If true, every gate begins at exactly one, so that inserting the layer
            into a trained network changes nothing: the last dense layer begins at zero and the
            gates are divided by `gate(0)`, which gives a sigmoid the range 0 to 2. The gradient
            of the last dense layer is whole from the first step. `gate(0)` must be positive.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes
            `keras.config.image_data_format()`.
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Call arguments:
        inputs: Float tensor `(batch, *space, channels)` or `(batch, channels, *space)` with at
            least one spatial axis, of any, possibly unknown, size.

    Returns:
        A tensor of the shape of `inputs`, in the layer's compute dtype.

    Raises:
        ValueError: If an argument is not legal, the input has no spatial axis, its channel axis
            is unknown, or it is not floating-point.

    Example:
    >>> x = keras.random.normal((2, 56, 56, 256))
    >>> se = SqueezeExcite(ratio=16)
    >>> tuple(se(x).shape)
    (2, 56, 56, 256)
    >>> tuple(se.excitation(x).shape)     # the gates, ready to broadcast
    (2, 1, 1, 256)
    >>> se.fc1.units
    16

    Reference:
        Hu et al., "Squeeze-and-Excitation Networks", https://arxiv.org/abs/1709.01507, section 3.
    """

    def __init__(  # noqa: PLR0913 (each argument is one documented choice of the paper)
        self,
        ratio: float = 16,
        *,
        units: int | None = None,
        divisor: int = 1,
        squeeze: str = "avg",
        activation: str | Callable | None = "relu",
        gate: Callable = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "he_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        identity_start: bool = False,
        data_format: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.ratio = check_positive("ratio", ratio)
        self.units = units if units is None else check_positive("units", units, integer=True)
        self.divisor = check_positive("divisor", divisor, integer=True)
        self.squeeze = check_choice("squeeze", squeeze, tuple(SQUEEZES))
        self.activation = _keras_object("activation", activation, keras.activations)
        self.gate = _keras_object("gate", gate, keras.activations)
        self.use_bias = check_choice("use_bias", use_bias, (True, False))
        self.kernel_initializer = _keras_object(
            "kernel_initializer", kernel_initializer, keras.initializers
        )
        self.bias_initializer = _keras_object(
            "bias_initializer", bias_initializer, keras.initializers
        )
        self.kernel_regularizer = _keras_object(
            "kernel_regularizer", kernel_regularizer, keras.regularizers
        )
        self.bias_regularizer = _keras_object(
            "bias_regularizer", bias_regularizer, keras.regularizers
        )
        self.identity_start = check_choice("identity_start", identity_start, (True, False))
        self.data_format = standardize_data_format(data_format)
        if self.identity_start:
            _require_positive_start(self.gate, gate)

    def build(self, input_shape: tuple) -> None:
        """Creates the two dense layers for the channels of `input_shape`."""
        channels = self._known_channels(input_shape)
        self.fc1 = self._dense(self._bottleneck(channels), self.activation, "fc1")
        self.fc2 = self._dense(channels, self.gate, "fc2", draw=1, zero=self.identity_start)
        self.fc1.build((None, channels))
        self.fc2.build((None, self.fc1.units))
        self.built = True

    def _known_channels(self, input_shape):
        """The channels of an input, which later inputs must have too."""
        self._space(input_shape)
        axis = channel_axis(self.data_format)
        channels = input_shape[axis]
        if channels is None:
            raise ValueError(
                f"{type(self).__name__} needs a known number of channels ({self.data_format}). "
                f"Received: input_shape={tuple(input_shape)}"
            )
        # Later calls may have another rank, but not another number of channels.
        self.input_spec = keras.InputSpec(min_ndim=3, axes={axis: channels})
        self.channels = channels
        return channels

    @property
    def kernels(self) -> list:
        """The kernels of the excitation, once the layer is built."""
        return [self.fc1.kernel, self.fc2.kernel]

    @property
    def bottleneck(self) -> int | None:
        """The number of units of the bottleneck, once the layer is built."""
        return self.fc1.units

    @property
    def multiply_adds(self) -> int:
        """The products of one excitation, once the layer is built."""
        return sum(math.prod(kernel.shape) for kernel in self.kernels)

    def call(self, inputs: Any) -> Any:
        """Multiplies `inputs` by their gates."""
        return inputs * ops.cast(self._gates(inputs), inputs.dtype)

    def excitation(self, inputs: Any) -> Any:
        """Returns the gates that the layer multiplies `inputs` by.

        Args:
            inputs: Float tensor or array, as for the call; not a symbolic Keras tensor.

        Returns:
            The gates in the layer's variable dtype, with one in place of every spatial size:
            `(batch, 1, ..., channels)` or `(batch, channels, 1, ...)`. With `squeeze="none"` they
            have the shape of `inputs`.
        """
        if keras.utils.is_keras_tensor(inputs):
            raise ValueError(
                "`inputs` must be a tensor or an array, not a symbolic Keras tensor: build a "
                "model that outputs the inputs of the SqueezeExcite layers, and pass its results."
            )
        inputs = ops.convert_to_tensor(inputs)
        if not self.built:
            self.build(tuple(inputs.shape))
        return self._gates(inputs)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Returns `input_shape`: the layer keeps it."""
        return tuple(input_shape)

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """Returns the symbolic output; `call` does not run on symbolic inputs."""
        _require_float(inputs)
        return super().compute_output_spec(inputs)

    def get_config(self) -> dict:
        """Returns the arguments that rebuild this layer."""
        return {
            **super().get_config(),
            "ratio": self.ratio,
            "units": self.units,
            "divisor": self.divisor,
            "squeeze": self.squeeze,
            "activation": keras.activations.serialize(self.activation),
            "gate": keras.activations.serialize(self.gate),
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": keras.regularizers.serialize(self.bias_regularizer),
            "identity_start": self.identity_start,
            "data_format": self.data_format,
        }

    def _gates(self, inputs):
        # In the variable dtype: a float16 sum over a large map overflows, and a bfloat16 gate is
        # off by up to 0.4 percent, while the whole excitation costs next to nothing.
        _require_float(inputs)
        space = self._space(inputs.shape)
        features = ops.cast(inputs, self.variable_dtype)
        if self.squeeze == "none":
            axis = channel_axis(self.data_format)
            gates = self._excite(ops.moveaxis(features, axis, -1))
            return ops.moveaxis(gates, -1, axis)
        gates = self._excite(SQUEEZES[self.squeeze](features, axis=space))
        return ops.expand_dims(gates, space)

    def _excite(self, features):
        """The gates of features whose channels are the last axis."""
        gates = self.fc2(self.fc1(features))
        if self.identity_start:
            gates = gates / self.gate(ops.zeros_like(gates))  # x / x is exactly one
        return gates

    def _space(self, shape):
        """The spatial axes of an input."""
        rank = len(shape)
        if rank < 3:
            raise ValueError(
                f"{type(self).__name__} needs an input with a batch axis, at least one spatial "
                f"axis and a channel axis. Received: input_shape={tuple(shape)}"
            )
        return spatial_axes(rank, self.data_format)

    def _bottleneck(self, channels):
        if self.units is not None:
            return self.units
        if self.divisor == 1:
            return max(1, int(channels // self.ratio))
        return round_to_multiple(channels / self.ratio, self.divisor)

    def _dense(self, units, activation, name, *, draw=0, zero=False):
        return keras.layers.Dense(
            units,
            activation=activation,
            use_bias=self.use_bias,
            kernel_initializer="zeros" if zero else _fresh(self.kernel_initializer, draw),
            bias_initializer="zeros" if zero else _fresh(self.bias_initializer, draw),
            kernel_regularizer=self.kernel_regularizer,
            bias_regularizer=self.bias_regularizer,
            dtype=self.variable_dtype,
            trainable=self.trainable,  # Keras passes on later changes only
            name=name,
        )


def round_to_multiple(channels: float, divisor: int) -> int:
    """Rounds channels to a multiple, as timm does.

    Args:
        channels: Positive number.
        divisor: Positive integer.

    Returns:
        The nearest multiple of `divisor`, at least `divisor`, and one multiple more if a tenth of
        the channels would be lost.

    Example:
    >>> round_to_multiple(19, 8), round_to_multiple(11, 8)
    (24, 16)
    """
    nearest = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return nearest + divisor if nearest < 0.9 * channels else nearest


def _fresh(initializer, draw):
    """A copy of `initializer` that draws other numbers for every `draw`, if it draws any."""
    if not isinstance(initializer, keras.initializers.Initializer):
        return initializer
    config = initializer.get_config()
    seed = config.get("seed")
    if isinstance(seed, dict):
        return initializer  # its seed generator moves on by itself, that of a copy would not
    return initializer.from_config(config | ({"seed": seed + draw} if seed is not None else {}))


def _keras_object(argument, value, registry):
    """Returns what `value` names in `registry`, a module such as `keras.activations`."""
    try:
        return registry.get(value)
    except (ValueError, TypeError) as error:
        kind = registry.__name__.rsplit(".", 1)[-1]
        raise ValueError(
            f"`{argument}` must be a name from keras.{kind}, one of its objects or a callable. "
            f"Received: {argument}={value!r}"
        ) from error


def _require_float(inputs):
    dtype = keras.backend.standardize_dtype(inputs.dtype)
    if "float" not in dtype:
        raise ValueError(f"SqueezeExcite needs floating-point inputs. Received: dtype {dtype}")


def _require_positive_start(gate, argument):
    start = float(gate(ops.zeros((1, 2)))[0, 0])
    if not start > 0:
        raise ValueError(
            "`identity_start=True` needs a `gate` that is positive at zero, such as 'sigmoid' or "
            f"'hard_sigmoid'. Received: gate={argument!r}, which is {start:g} there"
        )
