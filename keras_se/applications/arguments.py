"""The arguments of a builder, checked before anything is built."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import keras

from keras_se.applications.image_input import is_size
from keras_se.preprocessing import Preprocessing
from keras_se.validation import check_choice


def check_arguments(
    include_top: bool, pooling: str | None, classes: int | None, dropout: float | None
) -> None:
    """Raises a `ValueError` if one of these arguments of a builder is not legal."""
    if dropout is not None and not 0 <= dropout < 1:
        raise ValueError(
            f"`dropout` must be from 0 to less than 1, or None. Received: dropout={dropout!r}"
        )
    check_choice("include_top", include_top, (True, False))
    check_choice("pooling", pooling, (None, "avg", "max"))
    if include_top and classes is not None and not is_size(classes):
        raise ValueError(
            "`classes` must be a positive integer, or None for as many as `weights` have. "
            f"Received: classes={classes!r}"
        )


def require_preprocessing(preprocessing: Preprocessing | None, weights: Any) -> Preprocessing:
    """Returns what `include_preprocessing=True` needs; without it, raises a `ValueError`."""
    if preprocessing is None:
        raise ValueError(
            "`include_preprocessing=True` needs published weights or `preprocessing=`, a "
            f"keras_se.preprocessing.Preprocessing. Received: weights={weights!r}"
        )
    return preprocessing


def se_factory(se: Any, published: Callable) -> Callable:
    """Returns what makes the gates: a function of their layer's name and what the block is like.

    Args:
        se: As for the builder, but not `False`.
        published: The factory that `True` and `None` stand for.

    Raises:
        ValueError: If it is no factory.
    """
    if se in (None, True):
        return partial(_checked_layer, published)
    if isinstance(se, keras.layers.Layer) or not callable(se):
        hint = ""
        if isinstance(se, keras.layers.Layer):
            kind = type(se).__name__
            hint = f". A layer would be shared by all blocks: give {kind} or functools.partial"
        raise ValueError(
            "`se` must be True (SE as published), False (the plain twin) or a callable with a "
            f"`name` argument that makes a layer. Received: se={se!r}{hint}"
        )
    return partial(_checked_layer, se)


def _checked_layer(factory, name, **block):
    """What `factory` makes, if it is a layer: a forgotten `return` must not remove SE silently.

    A function is also told what it asks for of `block`, the units and the activation of the block,
    by a parameter without a default, or with `None`.
    """
    takes = inspect.signature(factory).parameters if inspect.isfunction(factory) else {}
    asks = [key for key in block if key in takes and takes[key].default in (None, takes[key].empty)]
    layer = factory(name=name, **{key: block[key] for key in asks})
    if not isinstance(layer, keras.layers.Layer):
        raise ValueError(
            f"`se` must be a callable that makes a Keras layer. It made {layer!r} for {name!r}"
        )
    return layer
