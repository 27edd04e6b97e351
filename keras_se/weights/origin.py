"""How the checkpoints of another project become those of keras_se.

An `Origin` is a table: how a project names the parameters, and which networks have its graph.
Padding, epsilon, pooling and the place of a stride leave no trace in a checkpoint, so these
networks are listed, and all others refused. Nothing here knows any layer.

Names are written as rules. In a rule, `{stage}` stands for a number and `{rest:REGEX}` for what the
expression matches; what replaces it writes `{stage}`, or `{stage-1}` for one less. Where a project
cut a grouped convolution into many, `{part}` numbers them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from keras_se.weights.checkpoint import Checkpoint
from keras_se.weights.convert import keras_name

_FIELD = re.compile(r"\{(\w+)(?::([^{}]*))?\}")
_VALUE = re.compile(r"\{(\w+)([-+]\d+)?\}")


@dataclass(frozen=True)
class Origin:
    """How a project names the parameters of networks of keras_se.

    Attributes:
        name: What the registry calls the project.
        marker: Rule for a module that its checkpoints have and no other's.
        networks: Names of the networks of keras_se whose graph is its own.
        modules: Rules for the names of its modules, each with the name in timm; the first that
            matches counts. A module without a rule keeps its name.
        note: What one should know of its graph, for messages.
        parameters: PyTorch's names of its parameters, where they differ.
        without_bias: Rule for modules, by timm's names, that have a bias only in keras_se.
        inputs_first: Whether its dense kernels are `(input, output)`, as Keras's are.
        first: The module, by timm's name, that takes the image, if its channels are blue, green
            and red. It is turned round, so that the network takes them as all others do.
    """

    name: str
    marker: str
    networks: tuple[str, ...]
    modules: tuple[tuple[str, str], ...]
    note: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    without_bias: str | None = None
    inputs_first: bool = False
    first: str | None = None

    @cached_property
    def _rules(self):
        return [(_pattern(rule), name) for rule, name in self.modules]

    def marks(self, checkpoint: Checkpoint) -> bool:
        """Whether a checkpoint has this project's names."""
        marker, dot = _pattern(self.marker), "/" if checkpoint.keras_names else "."
        return any(marker.fullmatch(key.rpartition(dot)[0]) for key in checkpoint.values)

    def rename(self, checkpoint: Checkpoint) -> Checkpoint:
        """Gives the arrays of a checkpoint the names and layouts that the loader knows.

        Args:
            checkpoint: One of this project, with its names.

        Returns:
            A `Checkpoint` with timm's names, or with Keras's paths if its layouts are Keras's.

        Raises:
            ValueError: If two arrays get one name.
        """
        parts = {}
        for key, value in checkpoint.values.items():
            name, part = self._rename(key, checkpoint.keras_names)
            if self.inputs_first and np.ndim(value) == 2:
                value = value.T
            if parts.setdefault(name, {}).setdefault(part, value) is not value:
                raise ValueError(f"{checkpoint.source} has two arrays for {name!r}.")
        values = {name: _join(checkpoint, name, pieces) for name, pieces in parts.items()}
        return replace(checkpoint, values=self._completed(values, checkpoint.keras_names))

    def _rename(self, key, keras_names):
        """The name of a key, and which part of it is there, or `None` if it is whole."""
        module, dot, parameter = key.rpartition("/" if keras_names else ".")
        parameter = self.parameters.get(parameter, parameter)
        for pattern, template in self._rules:
            if match := pattern.fullmatch(module):
                name = _VALUE.sub(lambda value, match=match: _filled(value, match), template)
                name = keras_name(name) if keras_names else name
                return f"{name}{dot}{parameter}", match.groupdict().get("part")
        return f"{module}{dot}{parameter}", None

    def _completed(self, values, keras_names):
        """The arrays with zeros for the missing biases, and the first kernel turned round."""
        without = _pattern(self.without_bias) if self.without_bias else None
        for key in list(values):
            module, dot, parameter = key.rpartition(".")
            if without and parameter == "weight" and without.fullmatch(module):
                shape = np.shape(values[key])[:1]
                values.setdefault(f"{module}{dot}bias", np.zeros(shape, "float32"))
        if self.first:
            key = f"{keras_name(self.first)}/kernel" if keras_names else f"{self.first}.weight"
            if np.ndim(values.get(key)) == 4:
                values[key] = np.flip(values[key], axis=2 if keras_names else 1)
        return values


def _pattern(rule):
    """The regular expression that a rule stands for."""
    expression, end = "", 0
    for found in _FIELD.finditer(rule):
        expression += re.escape(rule[end : found.start()])
        expression += f"(?P<{found[1]}>{found[2] or '[0-9]+'})"
        end = found.end()
    return re.compile(expression + re.escape(rule[end:]))


def _filled(value, match):
    """What stands for `{stage}` or `{stage-1}` in the name that replaces a match."""
    text = match[value[1]]
    return str(int(text) + int(value[2])) if value[2] else text


def _join(checkpoint, name, pieces):
    """An array of its pieces, which are the filters of a grouped convolution in turn."""
    if None in pieces:
        if len(pieces) > 1:
            raise ValueError(f"{checkpoint.source} has {name!r} whole and in pieces.")
        return pieces[None]
    try:
        return np.concatenate([pieces[key] for key in sorted(pieces, key=int)], axis=-1)
    except ValueError as error:
        raise ValueError(f"{checkpoint.source}: the pieces of {name!r} do not fit.") from error
