"""Which layers a user means, and the table of what was done to them."""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras

from keras_se.formatting import text_table


def chosen(argument: str, value: str | Callable, words: str) -> Callable:
    """Returns a predicate on layers for a regular expression or a callable.

    Args:
        argument: Name of the user's argument, for the message.
        value: Regular expression, searched for anywhere in the layer's name, or a callable.
        words: Words that the argument takes besides, for the message.

    Returns:
        A callable on a layer that returns whether it is chosen.

    Raises:
        ValueError: If `value` is neither.
    """
    if callable(value):
        return lambda layer: bool(value(layer))
    problem = ""
    if isinstance(value, str) and value:
        try:
            pattern = re.compile(value)
        except re.error as error:
            problem = f", which is no regular expression: {error}"
        else:
            return lambda layer: pattern.search(layer.name) is not None
    raise ValueError(
        f"`{argument}` must be {words}, a regular expression on layer names or a callable on "
        f"layers. Received: {argument}={value!r}{problem}"
    )


def is_chosen(operation, predicate):
    """Returns whether an operation is a layer, but no input, that `predicate` accepts."""
    if isinstance(operation, keras.layers.InputLayer):
        return False
    return isinstance(operation, keras.layers.Layer) and predicate(operation)


def table(rows: Sequence[NamedTuple]) -> str:
    """Lays out rows such as `placements` and `remove_se` give as a table of text.

    Args:
        rows: Sequence of named tuples of one type.

    Returns:
        A string of one line of column names and one line for each row.

    Example:
    >>> from keras_se.surgery import Placement
    >>> print(table([Placement("conv_se", "conv", 64, 8, "residual branch")]))
    block    after  channels  units  why
    conv_se  conv   64        8      residual branch
    """
    if not rows:
        return "(none)"
    lines = [
        ["-" if cell is None else str(cell) for cell in line] for line in (rows[0]._fields, *rows)
    ]
    return text_table(lines, "<" * len(lines[0]))
