"""The image input of a network, checked before anything is built."""

import numbers
from typing import Any

import keras

from keras_se.data_format import channel_axis, image_axis, image_shape, spatial_shape

LEGAL = {-1: "(height, width, channels)", 1: "(channels, height, width)"}


def image_input(
    input_tensor: Any, input_shape: tuple | None, size: int | None, min_size: int, network: str
) -> Any:
    """Returns the Keras tensor that a network begins with.

    Args:
        input_tensor: A Keras tensor to begin with, or `None`.
        input_shape: Shape of one image, or `None` for a square of `size` pixels.
        size: Side in pixels, or `None` for any height and width.
        min_size: Least legal side, in pixels.
        network: The network's name, for messages.

    Returns:
        `input_tensor`, or a new `keras.Input`.

    Raises:
        ValueError: If an argument is not legal.
    """
    if input_tensor is None:
        shape = image_shape(size, size) if input_shape is None else input_shape
        _check_shape("input_shape", shape, min_size, network)
        return keras.Input(tuple(shape))
    if not keras.utils.is_keras_tensor(input_tensor):
        raise ValueError(
            "`input_tensor` must be a Keras tensor, such as keras.Input(...) gives. "
            f"Received: {type(input_tensor).__name__}"
        )
    shape = tuple(input_tensor.shape[1:])
    _check_shape("input_tensor", shape, min_size, network)
    if input_shape is not None and tuple(input_shape) != shape:
        raise ValueError(
            "`input_shape` must be that of `input_tensor`, or None. Received: "
            f"input_shape={input_shape} with an input_tensor of {shape}"
        )
    return input_tensor


def is_size(size: Any) -> bool:
    """Returns whether a value is a positive integer."""
    return isinstance(size, numbers.Integral) and not isinstance(size, bool) and size > 0


def _check_shape(argument, shape, min_size, network):
    axis = channel_axis()
    triple = isinstance(shape, tuple | list) and len(shape) == 3
    if not triple or not all(size is None or is_size(size) for size in shape):
        raise ValueError(f"`{argument}` must have the shape {LEGAL[axis]}. Received: {shape}")
    if shape[image_axis()] is None:
        raise ValueError(f"`{argument}` must have known channels, {LEGAL[axis]}. Received: {shape}")
    if any(side is not None and side < min_size for side in spatial_shape((None, *shape))):
        turned = shape[0] in (1, 3) if axis == -1 else shape[-1] in (1, 3)
        hint = (
            f". Its channels seem to be elsewhere than {keras.config.image_data_format()}, which "
            "keras.config.set_image_data_format changes"
        )
        raise ValueError(
            f"`{argument}` must be at least {min_size} pixels high and wide for {network}, "
            f"{LEGAL[axis]}. Received: {shape}{hint if turned else ''}"
        )
