"""The gates that a recipe asks for in place of the network's own."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from keras_se.applications.application import Application
from keras_se.recipes.recipe import illegal

# Arguments of `SqueezeExcite`, and how their texts are read.
ARGUMENTS = {"ratio": float, "squeeze": str, "gate": str, "activation": str}
# Of an option of a network, numbers of stages are joined by a plus sign.
OPTIONS = {"stages": lambda text: tuple(int(number) for number in text.split("+")), "alpha": float}


def with_se(
    application: Application, settings: Sequence[str]
) -> tuple[Application, Callable | None]:
    """Reads a recipe's `se`.

    Args:
        application: The network.
        settings: Texts such as `"ratio=8"` or `"placement=pre"`.

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
    """
    if settings and application.is_twin:
        raise illegal("se", settings, f"empty for {application.name}, which has no gates")
    values = dict(_read(setting, settings, application) for setting in settings)
    arguments = {name: value for name, value in values.items() if name in ARGUMENTS}
    options = {name: value for name, value in values.items() if name not in ARGUMENTS}
    if options:
        application = application.replace(**options)
    return application, partial(application.fields["se"], **arguments) if arguments else None


def _read(setting: str, settings: Sequence[str], application: Application) -> tuple[str, Any]:
    name, _, text = setting.partition("=")
    readers = ARGUMENTS | {option: OPTIONS.get(option, str) for option in application.options}
    if name not in readers:
        legal = ", ".join(f"{key}=..." for key in readers)
        raise illegal("se", settings, f"settings of {application.name}: {legal}")
    try:
        return name, readers[name](text)
    except ValueError as error:
        kind = "numbers such as 1+2" if name == "stages" else "a number"
        raise illegal("se", settings, f"{kind} in {name}=") from error
