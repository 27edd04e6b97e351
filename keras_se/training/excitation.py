"""The gates that a recipe asks for in place of the network's own."""

import inspect
from collections.abc import Callable, Sequence
from functools import partial

from keras_se.applications.application import Application
from keras_se.layers import EfficientChannelAttention, SqueezeExcite
from keras_se.recipes.recipe import illegal

BLOCKS = {"se": SqueezeExcite, "eca": EfficientChannelAttention}
# Arguments of each block, and how their texts are read.
ARGUMENTS = {
    "se": {"ratio": float, "squeeze": str, "gate": str, "activation": str},
    "eca": {"kernel_size": int, "gate": str},
}
# Of an option of a network, numbers of stages are joined by a plus sign.
OPTIONS = {"stages": lambda text: tuple(int(number) for number in text.split("+")), "alpha": float}


def with_se(
    application: Application, settings: Sequence[str]
) -> tuple[Application, Callable | None]:
    """Reads a recipe's `se`.

    Args:
        application: The network.
        settings: Texts such as `"ratio=8"`, `"block=eca"` or `"placement=pre"`.

    Returns:
        The network with these options, and what its builder takes as `se`, or `None` for its own.

    Raises:
        ValueError: If there is no such setting, or the network has no gates.

    Example:
    >>> from keras_se.applications import SEResNet20
    >>> with_se(SEResNet20, ["placement=pre"])
    (keras_se.applications.SEResNet20_pre, None)
    >>> network, se = with_se(SEResNet20, ["ratio=8"])
    >>> se(name="gates").ratio
    8.0
    >>> network, se = with_se(SEResNet20, ["block=eca"])
    >>> type(se(name="gates")).__name__
    'EfficientChannelAttention'
    """
    if settings and application.is_twin:
        raise illegal("se", settings, f"empty for {application.name}, which has no gates")
    texts = dict(setting.partition("=")[::2] for setting in settings)
    own = block_of(application)
    block = texts.pop("block", own)
    if block not in BLOCKS:
        raise illegal("se", settings, f"settings with block={' or block='.join(BLOCKS)}")
    factory = application.fields["se"] if block == own else BLOCKS[block]
    # Gates that a function makes depend on where they are, as RegNet's do.
    readers = {} if inspect.isfunction(factory) else ARGUMENTS[block]
    options = {name: OPTIONS.get(name, str) for name in application.options}
    values = {name: _read(name, text, readers | options, settings) for name, text in texts.items()}
    arguments = {name: values.pop(name) for name in texts if name in readers}
    if values:
        application = application.replace(**values)
    as_published = block == own and not arguments
    return application, None if as_published else partial(factory, **arguments)


def block_of(application: Application) -> str:
    """Returns the key of `BLOCKS` for the gates of a network as published."""
    factory = application.fields["se"]
    return "eca" if factory is EfficientChannelAttention else "se"


def _read(name, text, readers, settings):
    if name not in readers:
        legal = ", ".join(f"{key}=..." for key in ("block", *readers))
        raise illegal("se", settings, f"settings such as {legal}")
    try:
        return readers[name](text)
    except ValueError as error:
        kind = "numbers such as 1+2" if name == "stages" else "a number"
        raise illegal("se", settings, f"{kind} in {name}=") from error
