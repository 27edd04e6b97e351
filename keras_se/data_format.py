"""Where the channels and the sides of images are: `channels_last` or `channels_first`."""

from collections.abc import Sequence

import keras

from keras_se.validation import check_choice

# Of a batch of any rank.
CHANNEL_AXIS = {"channels_last": -1, "channels_first": 1}


def standardize_data_format(data_format: str | None = None) -> str:
    """Returns a legal data format; `None` stands for Keras's own.

    Args:
        data_format: `"channels_last"`, `"channels_first"` or `None` for
            `keras.config.image_data_format()`.

    Raises:
        ValueError: If it is another.

    Example:
    >>> standardize_data_format("channels_first")
    'channels_first'
    """
    if data_format is None:
        return keras.config.image_data_format()
    return check_choice("data_format", data_format, tuple(CHANNEL_AXIS))


def channel_axis(data_format: str | None = None) -> int:
    """Returns the axis of the channels of a batch: -1 or 1.

    Args:
        data_format: As for `standardize_data_format`.

    Example:
    >>> channel_axis("channels_first")
    1
    """
    return CHANNEL_AXIS[standardize_data_format(data_format)]


def image_axis(data_format: str | None = None) -> int:
    """Returns the axis of the channels of one image, counted from its end: -1 or -3.

    Args:
        data_format: As for `standardize_data_format`.

    Example:
    >>> image_axis("channels_first")
    -3
    """
    return -1 if channel_axis(data_format) == -1 else -3


def image_shape(
    height: int | None, width: int | None, channels: int = 3, data_format: str | None = None
) -> tuple:
    """Returns the shape of one image, its axes in the order of the data format.

    Args:
        height: Pixels, or `None` for any.
        width: Pixels, or `None` for any.
        channels: Number of channels.
        data_format: As for `standardize_data_format`.

    Example:
    >>> image_shape(None, None, data_format="channels_first")
    (3, None, None)
    """
    if channel_axis(data_format) == -1:
        return (height, width, channels)
    return (channels, height, width)


def spatial_shape(shape: Sequence, data_format: str | None = None) -> tuple:
    """Returns the sizes of a batch's axes of space, such as height and width.

    Args:
        shape: Shape of a batch, `(batch, *space, channels)` or `(batch, channels, *space)`.
        data_format: As for `standardize_data_format`.

    Example:
    >>> spatial_shape((None, 32, 48, 3), "channels_last")
    (32, 48)
    """
    return tuple(shape[1:-1] if channel_axis(data_format) == -1 else shape[2:])


def spatial_axes(rank: int, data_format: str | None = None) -> tuple:
    """Returns a batch's axes of space, such as those of height and width.

    Args:
        rank: Number of axes of the batch.
        data_format: As for `standardize_data_format`.

    Example:
    >>> spatial_axes(4, "channels_first")
    (2, 3)
    """
    return tuple(range(rank))[1:-1] if channel_axis(data_format) == -1 else tuple(range(2, rank))
