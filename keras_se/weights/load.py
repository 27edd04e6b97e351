"""Loads arrays into a model: every one by its name, and all or none."""

import logging
import math
from collections.abc import Mapping, Sequence

import keras
import numpy as np

from keras_se.formatting import first_few
from keras_se.weights.convert import flattened, from_state_dict, keras_variables, torch_name, unique

LOG = logging.getLogger("keras_se")
MOST_NAMED = 8


def load_state_dict(
    model: keras.Model,
    state: Mapping[str, np.ndarray],
    *,
    head: str | Sequence[str] | None = None,
    source: str = "the state dict",
) -> None:
    """Loads a PyTorch state dict into a model, every tensor or none.

    Args:
        model: A model of `keras_se.applications`, or any whose layers are named as they are.
        state: Arrays by timm's names, such as `"layer1.0.se.fc1.weight"`, with kernels as
            `(output, input, height, width)` or `(output, input)`.
        head: Name of the classifier's layer in `model`, or names of all the layers of the head,
            the classifier last. If its number of classes differs, `model` keeps its own and a log
            line says so; if `model` has no such layer, the checkpoint's head is left out.
        source: What to call the state dict in messages.

    Raises:
        ValueError: If tensors are missing, left over or of the wrong shape; `model` is unchanged.

    Example:
    >>> from keras_se.applications import SEResNet20
    >>> from keras_se.weights import export_state_dict
    >>> trained = SEResNet20(weights="cifar10", classes=10)
    >>> copy = SEResNet20(weights=None, classes=10)
    >>> load_state_dict(copy, export_state_dict(trained))
    """
    _load(model, from_state_dict(model, state), head, source)


def load_keras_weights(
    model: keras.Model,
    values: Mapping[str, np.ndarray],
    *,
    head: str | Sequence[str] | None = None,
    source: str = "the checkpoint",
) -> None:
    """Loads arrays in Keras's own layout into a model, every array or none.

    Args:
        model: As for `load_state_dict`.
        values: Arrays by Keras's paths, such as `"layer1_0_se/fc1/kernel"`.
        head: As for `load_state_dict`.
        source: As for `load_state_dict`.

    Raises:
        ValueError: As for `load_state_dict`.
    """
    variables = keras_variables(model)
    pairs = ((path.replace("/", "_"), np.asarray(value)) for path, value in values.items())
    pairs = ((name, flattened(value, variables.get(name))) for name, value in pairs)
    _load(model, unique(pairs), head, source)


def _load(model, values, head, source):
    """Assigns `values` if they are just the model's variables, but for a head of other classes."""
    variables = keras_variables(model)
    fresh = _fresh_head(variables, values, head)
    values = {name: value for name, value in values.items() if name not in fresh}
    targets = {name: variable for name, variable in variables.items() if name not in fresh}
    _adapt_channels(targets, values)
    problems = _problems(targets, values)
    if problems:
        raise ValueError(f"{source} does not fit {model.name}: {problems}{_hint(targets, values)}")
    if fresh & variables.keys():
        LOG.warning(
            "%s: the trunk is loaded; the head %r has other classes and is left as it was.",
            source,
            head,
        )
    for name, variable in targets.items():
        variable.assign(values[name].astype("float32"))


def _fresh_head(variables, values, head):
    """Names of the head on both sides, if it has other classes or the model has none."""
    if head is None:
        return set()
    layers = (head,) if isinstance(head, str) else tuple(head)
    kernel, bias = f"{layers[-1]}_kernel", f"{layers[-1]}_bias"
    if kernel not in variables:
        # A head that is unknown to the model still has its name in PyTorch.
        keras_names = {f"{layer}_{name}" for layer in layers for name in ("kernel", "bias")}
        torch = {f"{torch_name(name)}.{part}" for name in layers for part in ("weight", "bias")}
        return keras_names | torch
    if kernel not in values or bias not in values:
        return set()
    features, classes = variables[kernel].shape
    checkpoint_classes = len(values[bias]) if values[bias].ndim == 1 else classes
    # Only a sound head of another number of classes is left out; all else is an error.
    sound = values[kernel].shape == (features, checkpoint_classes)
    return {kernel, bias} if sound and checkpoint_classes != classes else set()


def _adapt_channels(variables, values):
    """Fits a first kernel made for 3 channels to any other number of them, as timm does."""
    first = next((name for name, variable in variables.items() if len(variable.shape) == 4), None)
    if first not in values or values[first].ndim != 4:
        return
    kernel, channels = values[first], variables[first].shape[2]
    if kernel.shape[2] != 3 or channels == 3:
        return
    if channels == 1:
        values[first] = kernel.sum(axis=2, keepdims=True)
    else:
        tiled = np.tile(kernel, (1, 1, math.ceil(channels / 3), 1))
        values[first] = tiled[:, :, :channels] * (3.0 / channels)


def _problems(variables, values):
    """What keeps `values` from being assigned to `variables`; empty if nothing does."""
    shared = [name for name in variables if name in values]
    problems = {
        "missing": [name for name in variables if name not in values],
        "left over": [name for name in values if name not in variables],
        "wrong shape": [
            f"{name} {values[name].shape} instead of {tuple(variables[name].shape)}"
            for name in shared
            if values[name].shape != tuple(variables[name].shape)
        ],
        "not finite floats": [
            f"{name} ({values[name].dtype})" for name in shared if not _is_finite(values[name])
        ],
        "negative variances": [
            name
            for name in shared
            if name.endswith("moving_variance") and _has_negative(values[name])
        ],
    }
    return "; ".join(
        f"{kind}: {first_few(names, MOST_NAMED)}" for kind, names in problems.items() if names
    )


def _is_finite(value):
    if value.dtype.kind != "f":
        return False
    with np.errstate(over="ignore"):
        return bool(np.isfinite(value.astype("float32")).all())


def _has_negative(value):
    return value.dtype.kind == "f" and bool((value < 0).any())


def _hint(variables, values):
    """One sentence if a checkpoint of the authors' networks meets timm's, or the reverse."""
    model_is_legacy, checkpoint_is_legacy = (
        any(name.startswith("layer0") for name in names) for names in (variables, values)
    )
    if model_is_legacy == checkpoint_is_legacy:
        return ""
    text = (
        "of the original networks: use the Legacy... network of this name"
        if checkpoint_is_legacy
        else "not of the original networks: use the network without Legacy"
    )
    return f". The checkpoint is {text}"
