"""Checks of arguments: what is not legal is refused at once, by name."""

import numbers
from typing import Any


def check_positive(argument: str, value: Any, *, whole: bool = False) -> float:
    """Requires a positive number.

    Args:
        argument: The argument's name, for the message.
        value: Its value.
        whole: Whether it must be an integer.

    Returns:
        `value` as an `int` or a `float`.

    Raises:
        ValueError: If it is not a positive, finite number.

    Example:
    >>> check_positive("ratio", 16)
    16
    """
    kind = numbers.Integral if whole else numbers.Real
    if isinstance(value, bool) or not isinstance(value, kind) or not 0 < value < float("inf"):
        legal = "a positive integer" if whole else "a positive number"
        raise ValueError(f"`{argument}` must be {legal}. Received: {argument}={value!r}")
    return int(value) if isinstance(value, numbers.Integral) else float(value)


def check_choice(argument: str, value: Any, legal: tuple) -> Any:
    """Requires one of some values.

    Args:
        argument: The argument's name, for the message.
        value: Its value.
        legal: The values that are legal: strings, `True`, `False` or `None`.

    Returns:
        `value`.

    Raises:
        ValueError: If it is none of `legal`.

    Example:
    >>> check_choice("squeeze", "avg", ("avg", "max"))
    'avg'
    """
    # By identity, for 1 is no True; a string by its value.
    if not any(value is item or (isinstance(value, str) and value == item) for item in legal):
        names = ", ".join(map(repr, legal))
        raise ValueError(f"`{argument}` must be one of {names}. Received: {argument}={value!r}")
    return value
