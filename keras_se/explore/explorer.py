"""Runs one image at a time through a network: classes, gates, where it looks, other gates."""

import dataclasses
import threading

import keras
import numpy as np

from keras_se.analysis import GateAnalysis
from keras_se.analysis.gate_switches import MEAN, ONE, OWN, GateSwitches
from keras_se.analysis.grad_cam import GradCam
from keras_se.data_format import image_axis, image_shape
from keras_se.preprocessing import Preprocessing

# What a block's gates may be, by what a page calls it.
KINDS = {"own gates": OWN, "mean gates": MEAN, "off": ONE}


@dataclasses.dataclass(frozen=True, eq=False)
class View:
    """What a network makes of one image.

    Attributes:
        scores: The scores `(class,)`.
        changed: Those with some gates replaced, or `None` if all are their own.
        class_index: The class that is explained.
        gates: The gates `(channel,)` that each block computes, by its name, in the order of the
            network; empty without SE blocks.
        heat: Grad-CAM `(height, width)` of the class, from 0 to 1, or `None`.
    """

    scores: np.ndarray
    changed: np.ndarray | None
    class_index: int
    gates: dict[str, np.ndarray]
    heat: np.ndarray | None


class Explorer:
    """Shows what a network makes of images, and what it would with other gates.

    It may be asked from several threads: one lock lets one of them run the network at a time, for
    JAX breaks a model that two threads run.

    Args:
        network: Functional `keras.Model` that classifies images.
        preprocessing: How images become its input.
        class_names: The names of its classes; by default their numbers.
        reference: What `analyze_gates` has measured of the network on a reference set, to compare
            gates with. Without, they are compared with the mean of the images seen so far.

    Attributes:
        network, preprocessing, class_names, reference: As given.
        stages: The number of the stage of each block by its name; empty without SE blocks.
        missing: Why gates or Grad-CAM cannot be shown, a sentence each.
        seen: How many images there were so far, for the mean of their gates.

    Raises:
        ValueError: If the network gives no score for each class, or the reference set has other
            classes.

    Example:
    >>> from keras_se.applications import SEResNet20
    >>> model = SEResNet20()
    >>> explorer = Explorer(model, model.preprocessing, model.class_names)
    >>> view = explorer.view(np.zeros((32, 32, 3), "uint8"), {"layer3_2_se": ONE})
    >>> view.scores.shape, view.heat.shape, view.gates["layer3_2_se"].shape
    ((10,), (8, 8), (64,))
    """

    def __init__(
        self,
        network: keras.Model,
        preprocessing: Preprocessing,
        class_names: tuple | None = None,
        reference: GateAnalysis | None = None,
    ):
        self.network, self.preprocessing, self.reference = network, preprocessing, reference
        classes = _class_count(network)
        self.class_names = tuple(class_names or (f"class {index}" for index in range(classes)))
        if reference is not None and reference.accuracy is None:
            raise ValueError(
                f"The reference set must have the {classes} classes of the network. Received: "
                f"{len(reference.class_names)}"
            )
        self.missing, self.stages, self.seen = [], {}, 0
        self._sums, self._known = {}, set()
        self._lock = threading.Lock()
        shape = image_shape(preprocessing.size, preprocessing.size, self.channels)
        self._switches = self._made("Its gates", lambda: GateSwitches(network, shape))
        self._grad_cam = self._made("Where it looks", lambda: GradCam(network))
        if self._switches:
            self.stages = self._switches.stages

    @property
    def channels(self) -> int:
        """How many channels the network's images have."""
        return self.network.inputs[0].shape[image_axis()]

    def view(
        self,
        pixels: np.ndarray,
        kinds: dict[str, int] | None = None,
        class_index: int | None = None,
    ) -> View:
        """Runs an image through the network.

        Args:
            pixels: uint8 pixels `(size, size, 3)`.
            kinds: What the gates of a block by its name are replaced by, of the values of `KINDS`.
            class_index: The class to explain; by default the predicted one.

        Returns:
            The `View`.
        """
        data_format = keras.config.image_data_format()
        inputs = self.preprocessing.to_input(pixels[None], self.channels, data_format)
        kinds = {name: kind for name, kind in (kinds or {}).items() if kind != OWN}
        with self._lock:
            scores, gates = self._run(inputs, {})
            self._remember(pixels, gates)
            changed = self._run(inputs, kinds)[0] if kinds else None
            if class_index is None:
                class_index = int(scores.argmax())
            heat = self._grad_cam and self._grad_cam(inputs, class_index)[0]
        return View(scores, changed, class_index, gates, heat)

    def means(self) -> dict[str, np.ndarray]:
        """The mean gates of each block by its name, over the reference set or the images so far."""
        if self.reference is not None:
            return {block.name: block.moments.mean for block in self.reference.blocks}
        return {name: total / self.seen for name, total in self._sums.items()}

    def class_means(self, class_index: int) -> dict[str, np.ndarray]:
        """The mean gates of a class in the reference set; empty if it has no image of it."""
        blocks = () if self.reference is None else self.reference.blocks
        means = {block.name: block.moments.means[class_index] for block in blocks}
        return {name: mean for name, mean in means.items() if not np.isnan(mean).any()}

    def nearest_class(self, name: str, gates: np.ndarray) -> int | None:
        """The class of the reference set whose mean gates in a block are nearest to these."""
        for block in () if self.reference is None else self.reference.blocks:
            if block.name == name:
                return int(np.nanargmin(((block.moments.means - gates) ** 2).sum(axis=1)))
        return None

    def _made(self, what, make):
        """What a function makes, or `None` if the network is not made for it."""
        try:
            return make()
        except ValueError as error:
            self.missing.append(f"{what} cannot be shown: {error}")
            return None

    def _run(self, inputs, kinds):
        """The scores of one image and its gates by block."""
        if not self._switches:
            return self.network.predict_on_batch(inputs)[0], {}
        if MEAN in kinds.values():
            self._switches.set_means(self.means())
        self._switches.replace(kinds)
        scores, gates = self._switches.run(inputs)
        return scores[0], {name: values.reshape(-1) for name, values in gates.items()}

    def _remember(self, pixels, gates):
        """Adds the gates of an image that has not been seen to the mean."""
        key = hash(pixels.tobytes())
        if key in self._known:
            return
        self._known.add(key)
        self.seen += 1
        for name, values in gates.items():
            self._sums[name] = self._sums.get(name, 0.0) + values.astype("float64")


def _class_count(network):
    """How many classes a network tells apart."""
    shapes = [tuple(tensor.shape) for tensor in network.outputs]
    if len(shapes) != 1 or len(shapes[0]) != 2 or len(network.inputs) != 1:
        raise ValueError(
            "The network must take one image and give a score for each class. Received: outputs "
            f"of {shapes}"
        )
    return shapes[0][1]
