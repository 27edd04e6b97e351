"""Checks of arguments and packages: what is not legal or missing is refused at once, by name."""

import contextlib
import importlib.util
import numbers
import sys
from collections.abc import Iterator
from typing import Any

# What to install for a module that is not called as its package is, but for `-` for `_`.
PACKAGES = {"sklearn": "scikit-learn", "tree": "dm-tree"}


def check_positive(argument: str, value: Any, *, integer: bool = False) -> float:
    """Requires a positive number.

    Args:
        argument: The argument's name, for the message.
        value: Its value.
        integer: Whether it must be an integer.

    Returns:
        `value` as an `int` or a `float`.

    Raises:
        ValueError: If it is not a positive, finite number.

    Example:
    >>> check_positive("ratio", 16)
    16
    """
    kind = numbers.Integral if integer else numbers.Real
    if isinstance(value, bool) or not isinstance(value, kind) or not 0 < value < float("inf"):
        legal = "a positive integer" if integer else "a positive number"
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


def require_packages(what: str, *modules: str) -> None:
    """Requires packages that only some of keras_se needs.

    Args:
        what: What needs them, for the message.
        *modules: The names that they are imported by.

    Raises:
        ImportError: If some are not installed; the message has the command that installs them.

    Example:
    >>> require_packages("The example", "numpy")
    """
    names = [name for name in modules if importlib.util.find_spec(name) is None]
    missing = [PACKAGES.get(name, name.replace("_", "-")) for name in names]
    if missing:
        raise ImportError(
            f"{what} needs {' and '.join(missing)}, not installed here: "
            f"pip install {' '.join(missing)}"
        )


@contextlib.contextmanager
def as_value_error(failed: str) -> Iterator[None]:
    """Raises what other libraries raise in the block, with all their pages, as one short error.

    Args:
        failed: What cannot be done, the beginning of the message.

    Raises:
        ValueError: For any exception but `ImportError`, `MemoryError` and `OSError`.

    Example:
    >>> with as_value_error("The photo cannot be read"):
    ...     [].pop()
    Traceback (most recent call last):
        ...
    ValueError: The photo cannot be read: pop from empty list
    """
    handled = sys.exception()
    try:
        yield
    except (ImportError, MemoryError, OSError):
        raise
    except Exception as error:
        raise ValueError(f"{failed}: {first_cause(error, handled)}") from error


def first_cause(error: BaseException, handled: BaseException | None = None) -> str:
    """Returns on one line what was raised first of what led to an error.

    Args:
        error: The error. What it was raised `from None` of did not lead to it.
        handled: `sys.exception()` of before: what was raised in handling an exception has that as
            its context, whether it led to it or not.

    Example:
    >>> try:
    ...     try:
    ...         int("x")
    ...     except ValueError:
    ...         raise TypeError("The config is {...}, and here is all of it.")
    ... except TypeError as error:
    ...     print(first_cause(error))
    invalid literal for int() with base 10: 'x'
    """
    seen = {id(None), id(handled)}
    earlier = error
    while id(earlier) not in seen:
        error = earlier
        seen.add(id(error))
        earlier = error.__cause__ if error.__suppress_context__ else error.__context__
    return " ".join(str(error).split())
