"""What users are told who ask for something that is elsewhere, or called otherwise."""

import difflib
import inspect
import sys
import types
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

# Arguments of timm, torchvision and older Keras, and what they are called here.
ARGUMENTS = {
    "activation": "classifier_activation",
    "class_names": "classes",
    "drop_path_rate": "drop_path",
    "drop_rate": "dropout",
    "global_pool": "pooling",
    "in_chans": "input_shape=(height, width, channels)",
    "num_classes": "classes",
    "pretrained": "weights",
    "stochastic_depth": "drop_path",
}
DTYPE = (
    "keras.config.set_dtype_policy('mixed_bfloat16') before the network is built sets the precision"
)
# Families that are asked for and not here.
ELSEWHERE = {
    "convnext": "keras.applications has ConvNeXt",
    "efficientnetv2": "keras.applications has EfficientNetV2",
    "efficientnet": "keras.applications has EfficientNet",
    "regnetx": "timm has RegNetX, which has no gates, in PyTorch",
    "vit": "KerasHub has vision transformers",
}
# What Keras's own modules of applications have beside their networks.
OF_BUILDERS = ("preprocess_input", "decode_predictions")


def explain_options(network: str, unknown: Iterable[str], options: Iterable[str]) -> str:
    """Returns what to say of arguments that a builder does not have."""
    unknown = sorted(unknown)
    hints = [f"{name} is {ARGUMENTS[name]} here" for name in unknown if name in ARGUMENTS]
    hints += [DTYPE] if "dtype" in unknown else []
    options = ", ".join(options) or "none"
    text = f"{network} has no argument {', '.join(unknown)}. Its own options: {options}"
    return ". ".join([text, *hints])


def explain_name(name: str, networks: Iterable[str]) -> str:
    """Returns what to say of a network that does not exist, the nearest names first."""
    lower = {network.lower(): network for network in networks}
    family = next((text for key, text in ELSEWHERE.items() if key in str(name).lower()), None)
    near = difflib.get_close_matches(str(name).lower(), lower, 3, 0.5)
    nearest = f"The nearest are: {', '.join(near)}" if near else "keras-se list has all of them"
    text = f"There is no network {name!r}. {nearest}"
    return f"{text}. {family}" if family else text


def explain_missing_weights(
    network: str, tags: Iterable[str], trained: Sequence[str], has_trained_twin: bool
) -> str:
    """Returns what to say of a network that ImageNet's weights are asked for and that has none.

    Args:
        network: Its name.
        tags: Of the weights that it has, of other datasets.
        trained: Names of the networks with weights of ImageNet.
        has_trained_twin: Whether its plain twin has weights to put gates into.
    """
    # LegacySEResNet101 is nearer to SEResNet101 than ResNetRS101 is.
    near = [name for name in trained if network in name]
    others = [name for name in trained if name not in near]
    near += difflib.get_close_matches(network, others, 3, 0.5)
    hints = [f"weights={tag!r}" for tag in tags]
    hints += [f"or a network that has some, such as {', '.join(near[:3])}"] if near else []
    if has_trained_twin:
        hints.append(
            "or put gates into the trained plain twin: "
            f"keras_se.surgery.insert_se({network}(se=False))"
        )
    text = (
        f"There are no published ImageNet weights of {network}. Use `weights=None` for random "
        "weights, the path of a file"
    )
    return f"{', '.join([text, *hints])}."


def explain_missing_in(module: types.ModuleType) -> None:
    """Makes a module of a family say where the functions are that Keras's own modules have.

    Args:
        module: A module of `keras_se.applications`, changed in place.
    """

    def missing(name: str) -> NoReturn:
        if name in OF_BUILDERS:
            # An AttributeError would be replaced by Python's own message of imports.
            raise ImportError(
                f"{module.__name__} has no {name}: it depends on the weights, so every network has "
                f"its own, such as keras_se.applications.SEResNet50.{name}"
            )
        raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")

    module.__getattr__ = missing


def describe(application: Any, twin_name: str) -> str:
    """Returns what `help` and notebooks show: the network, its weights and its arguments."""
    what = f"Builds {application.name}, "
    what += f"{twin_name} without SE." if application.is_twin else "with SE."
    module = sys.modules[application.fields["trunk"].__module__].__doc__ or ""
    lines = [what, "", inspect.cleandoc(module), "", "Published weights:"]
    for weights in application.weights:
        accuracy = "" if weights.top1 is None else f"top-1 {weights.top1:.2f} %, "
        size = f"{weights.preprocessing.size} pixels"
        lines.append(f"    {weights.tag!r}: {accuracy}{size}, {weights.license}")
    if not application.weights:
        lines.append("    none, so weights=None is needed")
    call = inspect.cleandoc(type(application).__call__.__doc__)
    return "\n".join([*lines, "", call[call.index("Args:") :]])
