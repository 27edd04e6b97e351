"""Checkpoints of classification_models (qubvel), whose layers have no names but numbers.

Keras numbered the layers as they were made: the stem, then of each block its three convolutions,
the projection of its skip if it has one, and the two convolutions of its gates, which alone have
biases. Source: qubvel/classification_models 1.0.0, models/senet.py.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from keras_se.weights.checkpoint import Checkpoint
from keras_se.weights.convert import keras_name

_LAYER = re.compile(
    r"(?P<kind>conv2d|batch_normalization|dense)(?:_(?P<number>\d+))?/(?P<name>\w+)"
)
_STEMS = {7: ("conv1",), 3: ("conv1.0", "conv1.3", "conv1.6")}
_STEM_NORMS = {7: ("bn1",), 3: ("conv1.1", "conv1.4", "bn1")}


@dataclass(frozen=True)
class ClassificationModels:
    """The origin of these checkpoints; it has what `Origin` has.

    Attributes:
        networks: Names of the networks whose graph is its own.
        grouped: Whether they are those with grouped convolutions.
        name: What messages call the project.
        note: What one should know of its graph.
    """

    networks: tuple[str, ...]
    grouped: bool
    name: str = "classification_models"
    note: str = (
        "It pads the pooling of the stem, as the original networks (Legacy...) do not; the weights "
        "before any fine-tuning are theirs, weights='in1k'."
    )

    def marks(self, checkpoint: Checkpoint) -> bool:
        """Whether a checkpoint has these layers and no others."""
        if not checkpoint.keras_names or not all(map(_LAYER.fullmatch, checkpoint.values)):
            return False
        kernels = [value for key, value in checkpoint.values.items() if key.endswith("kernel")]
        layers = sum(np.ndim(kernel) == 4 and kernel.shape[0] == 3 for kernel in kernels)
        gates = sum(key.startswith("conv2d") and key.endswith("bias") for key in checkpoint.values)
        # A block has one 3x3 convolution and two layers of gates, but for its groups.
        return gates > 0 and (layers > 2 * gates) == self.grouped

    def rename(self, checkpoint: Checkpoint) -> Checkpoint:
        """Gives the arrays of a checkpoint the names that the loader knows.

        Args:
            checkpoint: One of this project, with its names.

        Returns:
            A `Checkpoint` with Keras's paths.

        Raises:
            ValueError: If its layers are not those of such a network.
        """
        layers, values = _layers(checkpoint), {}
        try:
            names, norms = _names(layers["conv2d"], self.grouped)
            names += zip(norms, ([x] for x in layers["batch_normalization"]), strict=True)
            names += [("fc", [layer]) for layer in layers.get("dense", ())]
            for name, parts in names:
                for variable in parts[0]:
                    arrays = [part[variable] for part in parts]
                    whole = np.concatenate(arrays, axis=-1) if len(parts) > 1 else arrays[0]
                    values[f"{keras_name(name)}/{variable}"] = whole
        except (IndexError, KeyError, ValueError) as error:
            raise ValueError(
                f"{checkpoint.source} has layers of {self.name}, but not those of a network that "
                f"keras_se has: {', '.join(self.networks)}."
            ) from error
        return replace(checkpoint, values=values)


def _layers(checkpoint):
    """The layers of each kind in the order of their numbers, with their variables by name."""
    numbered = {}
    for key, value in checkpoint.values.items():
        layer = _LAYER.fullmatch(key)
        number = int(layer["number"] or 0)
        numbered.setdefault(layer["kind"], {}).setdefault(number, {})[layer["name"]] = value
    return {kind: [layers[n] for n in sorted(layers)] for kind, layers in numbered.items()}


def _names(convolutions, grouped):
    """The names of convolutions, each with its parts, and the names of the norms, both in order."""
    size = convolutions[0]["kernel"].shape[0]
    stem = _STEMS[size]
    names = [(name, [layer]) for name, layer in zip(stem, convolutions, strict=False)]
    norms = [*_STEM_NORMS[size]]
    stage, index = 0, 0
    for block in _blocks(convolutions[len(stem) :]):
        first, *rest, fc1, fc2 = block
        # After the 3x3 convolution, or its groups, comes a 1x1, and then what projects the skip.
        groups = [layer["kernel"].shape[0] for layer in rest].index(1)
        parts, third, projection = rest[:groups], rest[groups], rest[groups + 1 :]
        projects = bool(projection)
        stage, index = (stage + 1, 0) if projects else (stage, index + 1)
        name = f"layer{stage}.{index}"
        # The stride is on the first convolution, unless the second is grouped.
        strided = projects and stage > 1 and not grouped
        names.append((f"{name}.conv1_strided" if strided else f"{name}.conv1", [first]))
        names += [(f"{name}.conv2", parts), (f"{name}.conv3", [third])]
        names += [(f"{name}.se.fc1", [fc1]), (f"{name}.se.fc2", [fc2])]
        norms += [f"{name}.bn{number}" for number in (1, 2, 3)]
        if projects:
            names.append((f"{name}.downsample.0", projection))
            norms.append(f"{name}.downsample.1")
    return names, norms


def _blocks(convolutions) -> Iterator[list]:
    """The convolutions of each block: its last two have biases."""
    block = []
    for layer in convolutions:
        block.append(layer)
        if "bias" in layer and len(block) > 1 and "bias" in block[-2]:
            yield block
            block = []
    if block:
        raise ValueError("the last block has no gates")
