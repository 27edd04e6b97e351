"""Runs exports, and reads what they say about themselves."""

import json
import os
from pathlib import Path

import numpy as np

from keras_se.data_format import channel_axis
from keras_se.export.format import Format
from keras_se.export.formats import BY_SUFFIX, FORMATS
from keras_se.preprocessing import Preprocessing


class ExportedModel:
    """A network that was exported, in the runtime of its format.

    Args:
        path: The exported file, the `.xml` of OpenVINO, or the folder of a SavedModel.

    Attributes:
        metadata: What `read_metadata` says about it.
        preprocessing: How its images are prepared, a `Preprocessing`, or `None` if that is not
            known. It leaves pixels from 0 to 255 if the network normalizes them itself.
    """

    def __init__(self, path: str | os.PathLike):
        path = Path(path)
        self.metadata = read_metadata(path)
        format = FORMATS[self.metadata["format"]]
        if not format.graph:
            raise ValueError(
                f"{str(path)!r} holds weights only: load them into their network, "
                f"{self.metadata['network']}, with `weights={str(path)!r}`."
            )
        self.preprocessing = preprocessing_of(self.metadata)
        self._run = format.load(path)

    def __call__(self, images: np.ndarray) -> np.ndarray | list:
        """Predicts a batch of images.

        Args:
            images: Array of the shape and dtype that the metadata's `input_shape`, `input_dtype`
                and `data_format` say.

        Returns:
            The output, or a list of them if the network has several.

        Raises:
            ValueError: If the images are of another dtype or number of axes.
        """
        images = np.asarray(images)
        dtype = np.dtype(self.metadata["input_dtype"])
        if images.dtype.kind != dtype.kind or images.ndim != len(self.metadata["input_shape"]):
            raise ValueError(
                f"`images` must be {dtype} of the shape {self.metadata['input_shape']}. "
                f"Received: {images.dtype} of {images.shape}"
            )
        results = self._run(np.ascontiguousarray(images, dtype))
        return results[0] if len(results) == 1 else results

    def predict(self, images: np.ndarray) -> np.ndarray | list:
        """Predicts decoded images, which are normalized if the network does not do so itself.

        Args:
            images: Pixels from 0 to 255, `(image, height, width, 3)`, such as those that
                `preprocessing.load_image` gives.

        Returns:
            As the call.

        Raises:
            ValueError: If it is not known how the images are prepared.
        """
        if self.preprocessing is None:
            raise ValueError(f"{self.metadata['network']} does not say how images are prepared.")
        data_format = self.metadata["data_format"]
        channels = self.metadata["input_shape"][channel_axis(data_format)]
        inputs = self.preprocessing.to_input(images, channels, data_format)
        return self(inputs.astype(self.metadata["input_dtype"]))


def load_exported(path: str | os.PathLike) -> ExportedModel:
    """Loads an export of any format into its runtime.

    Args:
        path: The exported file, the `.xml` of OpenVINO, or the folder of a SavedModel.

    Returns:
        A callable from a batch of images to the outputs, with the attribute `metadata`.

    Raises:
        ValueError: If it is no export of keras_se, or holds weights only.
        ImportError: If the runtime is not installed.
        OSError: If it cannot be read.

    Example:
    >>> import tempfile
    >>> from keras_se.applications import SEResNet20
    >>> from keras_se.export import export_model
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "model.keras"
    ...     _ = export_model(SEResNet20(weights=None, classes=10), path)
    ...     exported = load_exported(path)
    >>> exported.metadata["network"], exported(np.zeros((2, 32, 32, 3), "float32")).shape
    ('seresnet20', (2, 10))
    """
    return ExportedModel(path)


def read_metadata(path: str | os.PathLike) -> dict:
    """Reads what `export_model` wrote about an export.

    Args:
        path: The exported file, the `.xml` of OpenVINO, or the folder of a SavedModel.

    Returns:
        A dictionary: `keras_se`, the version that wrote it; `format`; `network`, its name;
        `input_size`, height and width in pixels that the Keras model took, `None` for any;
        `input_shape`, `input_dtype` and `data_format` of what the export takes; `folded`;
        `preprocessing`, how its images are prepared, the fields of a `Preprocessing`, or `None` if
        that is not known; `preprocessing_included`, whether it normalizes them itself, so that
        pixels from 0 to 255 go in; and `class_names`, a list or `None`.

    Raises:
        ValueError: If there is no such metadata in it.
        OSError: If it cannot be read.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no export {str(path)!r}.")
    try:
        metadata = json.loads(_format_at(path).read(path))
        # Earlier exports named their preprocessing only if it was included.
        metadata.setdefault("preprocessing_included", metadata["preprocessing"] is not None)
        return metadata
    except ImportError:
        raise
    except Exception as error:  # whatever the parsers of these formats raise
        raise ValueError(
            f"{str(path)!r} is no export of keras_se: its metadata cannot be read."
        ) from error


def preprocessing_of(metadata: dict) -> Preprocessing | None:
    """Returns how the images of an export are prepared, if its metadata say so.

    Args:
        metadata: What `read_metadata` returned.

    Returns:
        A `Preprocessing` that leaves pixels from 0 to 255 if the network normalizes them itself.
    """
    fields = metadata["preprocessing"]
    if fields and metadata["preprocessing_included"]:
        fields = fields | {"mean": None, "std": None}
    return Preprocessing(**fields) if fields else None


def _format_at(path) -> Format:
    return BY_SUFFIX[None if path.is_dir() else path.suffix]
