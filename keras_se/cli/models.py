"""Turns what a command line calls a model into a network that is ready to run."""

import dataclasses
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from keras_se.recipes.run_files import (
    NETWORK,
    RECIPE,
    class_names_beside,
    preprocessing_beside,
)

if TYPE_CHECKING:
    import keras
    import numpy as np

    from keras_se.preprocessing import Preprocessing

MODEL_HELP = (
    "a run folder, a .keras file, an export, or the name of a network of the zoo, such as "
    "seresnet50 or its twin resnet50"
)
WEIGHTS_HELP = (
    "weights of a network of the zoo: a tag of `keras-se list --weights`, hf://owner/repo, an "
    "https:// address, a file, or none for an untrained network (default: the only checkpoint it "
    "has, or imagenet, or the first)"
)
UNTRAINED = "none"
WEIGHTS_ENDINGS = (".h5", ".safetensors", ".pth", ".pt", ".tar", ".bin")


@dataclasses.dataclass(frozen=True)
class ResolvedModel:
    """A network, and how images become its input and its output classes.

    Attributes:
        name: What messages call it.
        network: The `keras.Model`, or `None` for an export for another runtime.
        run: Callable of the input, an array `(image, ...)`, that returns the scores
            `(image, class)`.
        preprocessing: The `Preprocessing` of its images, or `None` if that is not known.
        class_names: The names of its classes in the order of the scores, or `None`.
        data_format: Where the channels of its input are.
        channels: How many these are.
    """

    name: str
    network: "keras.Model | None"
    run: Callable
    preprocessing: "Preprocessing | None"
    class_names: tuple | None
    data_format: str = "channels_last"
    channels: int = 3

    def require_preprocessing(self) -> "Preprocessing":
        """Returns the preprocessing.

        Raises:
            ValueError: If it is not known.
        """
        if self.preprocessing is None:
            raise ValueError(
                f"How images become the input of {self.name} is not known: name weights that want "
                "the same by --preprocessing NETWORK.TAG, such as seresnet50.a1_in1k, or give the "
                "run's folder"
            )
        return self.preprocessing

    def to_input(self, images: "np.ndarray") -> "np.ndarray":
        """Turns decoded images into the input of the network.

        Args:
            images: uint8 pixels, `(image, height, width, 3)`.

        Returns:
            A float32 array with the axes and channels of the network.
        """
        return self.require_preprocessing().to_input(images, self.channels, self.data_format)

    def predict(self, images: "np.ndarray") -> "np.ndarray":
        """Returns the scores `(image, class)` of uint8 pixels `(image, height, width, 3)`."""
        return self.run(self.to_input(images))


def find_path(text: str) -> Path | None:
    """Returns the file of a model that a command line names, or `None` for a network of the zoo.

    Args:
        text: A path of a file or folder, or a name. A run's folder stands for its model after
            the last epoch, or the best one so far.

    Raises:
        FileNotFoundError: If it looks like a path and there is nothing.
        ValueError: If it is a file of weights, which needs a network.
    """
    path = Path(text)
    if not path.exists():
        if _looks_like_path(text):
            raise FileNotFoundError(f"There is no file or folder {text!r}.")
        return None
    if path.suffix in WEIGHTS_ENDINGS:
        raise ValueError(f"{text!r} holds weights only: name their network, and --weights {text}")
    if (path / RECIPE).is_file():
        # What counts are the weights after the last epoch: the best one was chosen by the held-out
        # images.
        names = (NETWORK.model, NETWORK.best)
        files = [path / name for name in names if (path / name).is_file()]
        if not files:
            raise FileNotFoundError(f"The run in {text!r} has not written a model yet.")
        return files[0]
    # A folder of images may be called as a network is.
    is_export = path.is_file() or (path / "saved_model.pb").is_file()
    return path if is_export or _looks_like_path(text) else None


def check_model(text: str, weights: str | None) -> None:
    """Raises an error, without Keras, for a model or weights whose file is missing.

    Args:
        text: As for `resolve_model`.
        weights: As for `resolve_model`.

    Raises:
        OSError: If there is no such file.
        ValueError: If a file is to have other weights than its own.
    """
    path = find_path(text)
    if path is not None and weights is not None:
        raise ValueError(f"--weights goes with the name of a network; {text!r} has its own.")
    check_weights(weights)


def check_weights(weights: str | None) -> None:
    """Raises a `FileNotFoundError` if weights are those of a file that is missing."""
    is_path = weights and "://" not in weights and _looks_like_path(weights)
    if is_path and not Path(weights).is_file():
        raise FileNotFoundError(f"There is no file {weights!r}.")


def _looks_like_path(text):
    return any(mark in text for mark in (".", "/", os.sep))


def resolve_model(
    text: str, weights: str | None = None, preprocessing: str | None = None
) -> ResolvedModel:
    """Loads what a command line names.

    Args:
        text: A run folder, a `.keras` file, an export, or the name of a network.
        weights: Of a network: a tag, `hf://owner/repo`, an `https://` address, a file, or
            `UNTRAINED`; by default its own.
        preprocessing: `NETWORK.TAG`, the checkpoint whose preprocessing to use; by default the
            model's own.

    Returns:
        The `ResolvedModel`.

    Raises:
        ValueError: If there is no such network or checkpoint, or the file is damaged.
        OSError: If there is no such file, or it can be neither read nor downloaded.
    """
    path = find_path(text)
    if path is None:
        return _resolve_network(_find_network(text), weights, preprocessing)
    override = preprocessing and _preprocessing_of(preprocessing)
    if path.suffix == ".keras":
        return _resolve_keras_file(path, override)
    return _resolve_export(path, override)


def _find_network(text):
    from keras_se.applications import get_model

    try:
        return get_model(text)
    except ValueError as error:
        if not Path(text).exists():
            raise
        raise ValueError(
            f"{text!r} is neither a run folder nor an export nor a network's name."
        ) from error


def _preprocessing_of(text, network=None):
    """The preprocessing of a checkpoint, `NETWORK.TAG`, or `TAG` of a network."""
    from keras_se.applications import get_model
    from keras_se.weights import find_weights

    name, dot, tag = text.rpartition(".")
    if not dot and network is None:
        raise ValueError(f"--preprocessing must name weights: NETWORK.TAG. Received: {text!r}")
    network = get_model(name) if dot else network
    return find_weights(tag, network.weights, network=network.name).preprocessing


def _resolve_network(application, weights, override):
    """A network of the zoo with weights."""
    from keras_se.data_format import image_shape
    from keras_se.recipes.transfer import known_preprocessing

    if weights == UNTRAINED:
        return _untrained(application, override)
    rows = application.weights
    weights = weights or application.default_weights
    preprocessing = known_preprocessing(application, weights)
    if override:
        preprocessing = _preprocessing_of(override, application)
    elif preprocessing is None:
        preprocessing = _usual_preprocessing(application)
    # What is wrong has been said before anything is downloaded.
    shape = image_shape(preprocessing.size, preprocessing.size) if preprocessing else None
    network = application(weights=weights, input_shape=shape)
    names = class_names_beside(weights) if Path(weights).is_file() else None
    names = network.class_names or _fitting(names, network, weights)
    if names is None and rows and rows[0].classes == network.output_shape[-1]:
        names = rows[0].labels
    return _of_keras(application.name, network, preprocessing, names)


def _untrained(application, override):
    """A network of the zoo with random weights, for the images and classes of its checkpoints."""
    from keras_se.data_format import image_shape
    from keras_se.preprocessing import Preprocessing

    row = next(iter(application.weights), None)
    preprocessing = row.preprocessing if row else Preprocessing(size=application.size)
    if override:
        preprocessing = _preprocessing_of(override, application)
    shape = image_shape(preprocessing.size, preprocessing.size)
    network = application(weights=None, input_shape=shape, classes=row and row.classes)
    return _of_keras(application.name, network, preprocessing, row and row.labels)


def _usual_preprocessing(application):
    """The preprocessing of a network's first checkpoint, if any, for weights of someone else."""
    if not application.weights:
        return None
    row = application.weights[0]
    print(
        f"keras-se: images as for {row.tag} of {application.name}; see --preprocessing",
        file=sys.stderr,
    )
    return row.preprocessing


def _resolve_keras_file(path, override):
    """A `.keras` file of a run, of an export or of anyone."""
    from keras_se.data_format import spatial_shape
    from keras_se.export import read_metadata

    network = load_keras_file(path)
    try:
        metadata = read_metadata(path)
    except ValueError:
        metadata = {}
    preprocessing = _file_preprocessing(path, metadata, override)
    names = metadata.get("class_names") or class_names_beside(path)
    side = spatial_shape(network.inputs[0].shape)[0]
    if override and side is not None:
        preprocessing = preprocessing.replace(size=side)
    return _of_keras(str(path), network, preprocessing, _fitting(names, network, path))


def _resolve_export(path, override):
    """An export for another runtime than Keras."""
    import numpy as np

    from keras_se.export import load_exported

    exported = load_exported(path)
    metadata = exported.metadata
    dtype = metadata["input_dtype"]

    def run(inputs):
        # Pixels that were divided by 255 and multiplied again are not quite integers.
        return exported((np.rint(inputs) if dtype == "uint8" else inputs).astype(dtype))

    return _resolved(
        str(path),
        run,
        _file_preprocessing(path, metadata, override),
        metadata["class_names"],
        input_shape=metadata["input_shape"],
        data_format=metadata["data_format"],
    )


def _file_preprocessing(path, metadata, override):
    """The preprocessing of a file; an export that normalizes its images itself takes pixels."""
    from keras_se.export.exported import preprocessing_of

    if not metadata:
        return override or preprocessing_beside(path)
    if override:
        metadata = metadata | {"preprocessing": override.to_dict()}
    return preprocessing_of(metadata) or preprocessing_beside(path)


def _of_keras(name, network, preprocessing, class_names):
    import keras

    return _resolved(
        name,
        lambda inputs: network.predict(inputs, verbose=0),
        preprocessing,
        class_names,
        input_shape=network.inputs[0].shape,
        data_format=keras.config.image_data_format(),
        network=network,
    )


def _resolved(name, run, preprocessing, class_names, *, input_shape, data_format, network=None):
    from keras_se.data_format import channel_axis

    channels = input_shape[channel_axis(data_format)]
    return ResolvedModel(
        name=name,
        network=network,
        run=run,
        preprocessing=preprocessing and preprocessing.for_channels(channels),
        class_names=tuple(class_names) if class_names else None,
        data_format=data_format,
        channels=channels,
    )


def _fitting(names, network, path):
    """The names of the classes, if there is one for each output."""
    classes = network.output_shape[-1]
    if names and len(names) != classes:
        print(
            f"keras-se: the {len(names)} names of classes are not those of {path}, which has "
            f"{classes}",
            file=sys.stderr,
        )
        return None
    return names


def load_keras_file(path: Path) -> "keras.Model":
    """Loads a `.keras` file.

    Raises:
        ValueError: If it is damaged.
    """
    import keras

    try:
        return keras.saving.load_model(path, compile=False)
    except Exception as error:  # whatever zipfile, json and Keras raise for a damaged file
        raise ValueError(f"{str(path)!r} cannot be loaded: {error}") from error
