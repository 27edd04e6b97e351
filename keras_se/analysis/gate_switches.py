"""Replaces the gates of a network while it runs: by those of other images, their mean, or one."""

import keras
import numpy as np
from keras import ops

from keras_se.analysis.gates import stage_numbers
from keras_se.graph.gates import tap_gates

# What gates are replaced by: themselves, those of another image, their mean, one.
OWN, SWAPPED, MEAN, ONE = range(4)


class GateSwitches:
    """A network whose gates can be replaced, block by block.

    Args:
        model: Functional `keras.Model` with SE blocks; see `keras_se.graph.gates`. Not changed.
        image_shape: Shape of one image; by default that of the model.
        look_into: As for `keras_se.graph.gates.tap_gates`.

    Attributes:
        gates: The `keras_se.graph.gates.Gates` of each block, in the order of the network.
        stages: The number of the stage of each block by its name, in that order.
        input: The symbolic input of the network with replaced gates.
        outputs: Its symbolic outputs.

    Raises:
        ValueError: If `model` is not functional or has no SE block.

    Example:
    >>> from keras_se.applications import SEResNet20
    >>> switches = GateSwitches(SEResNet20())
    >>> image = np.random.default_rng(0).normal(size=(1, 32, 32, 3))
    >>> before, gates = switches.run(image)
    >>> switches.replace({"layer3_2_se": ONE})
    >>> after, _ = switches.run(image)
    >>> gates["layer3_2_se"].shape, bool(np.abs(after - before).max() > 0)
    ((1, 1, 1, 64), True)
    """

    def __init__(
        self, model: keras.Model, image_shape: tuple | None = None, look_into: bool = True
    ):
        self._controls = {}
        new, self.gates = tap_gates(model, self._controlled, image_shape, look_into)
        names = [block.name for block in self.gates]
        self.stages = dict(zip(names, stage_numbers(self.gates), strict=True))
        self.input, self.outputs = new.input, keras.tree.flatten(new.outputs)
        tensors = [block.tensor for block in self.gates]
        self._tapped = keras.Model(self.input, [self.outputs[0], *tensors])

    def replace(self, kinds: dict[str, int]) -> None:
        """Replaces gates from the next run on.

        Args:
            kinds: What the gates of a block by name are replaced by, `OWN`, `SWAPPED` (those of the
                image before in the batch), `MEAN` or `ONE`; those of all others are their own.
        """
        for name, control in self._controls.items():
            control.mixture.assign(np.eye(4)[kinds.get(name, OWN)])

    def set_means(self, means: dict[str, np.ndarray]) -> None:
        """Says what `MEAN` is.

        Args:
            means: For each block by name its mean gates, `(channel,)` or of the shape of one
                image's gates.
        """
        for name, mean in means.items():
            variable = self._controls[name].mean
            variable.assign(np.reshape(mean, variable.shape))

    def run(self, images: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Runs a batch of preprocessed images through the network.

        Returns:
            The first output, and for each block by name the gates that it computes, whether they
            are then replaced or not.
        """
        scores, *gates = self._tapped.predict_on_batch(images)
        return scores, dict(zip(self.stages, gates, strict=True))

    def _controlled(self, gates):
        """The gates of a block behind what can replace them."""
        control = _Control(dtype=gates.tensor.dtype, name=f"control_{len(self._controls)}")
        self._controls[gates.name] = control
        return control(gates.tensor)


class _Control(keras.layers.Layer):
    """Gives a mixture of gates, those of the image before in the batch, their mean, and one.

    Attributes:
        mixture: Variable `(4,)`, the weights of the four.
        mean: Variable of the shape of one image's gates.
    """

    def build(self, input_shape):
        """Creates the variables; gates are their own at first."""
        start = keras.initializers.Constant(np.eye(4)[OWN])
        self.mixture = self.add_weight(
            shape=(4,), initializer=start, trainable=False, name="mixture"
        )
        self.mean = self.add_weight(
            shape=tuple(input_shape[1:]), initializer="zeros", trainable=False, name="mean"
        )

    def call(self, gates):
        """Returns the mixture."""
        own, swapped, mean, one = ops.unstack(ops.cast(self.mixture, gates.dtype))
        constant = mean * ops.cast(self.mean, gates.dtype) + one
        return own * gates + swapped * ops.roll(gates, 1, axis=0) + constant
