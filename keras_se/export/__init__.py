"""Writes models for other runtimes, each verified after writing against the Keras model.

| format         | file                    | runs with                | batch and image size |
|----------------|-------------------------|--------------------------|----------------------|
| `saved_model`  | folder                  | TensorFlow, TF Serving   | any                  |
| `onnx`         | `.onnx`                 | onnxruntime              | any                  |
| `onnx_fixed`   | `.onnx`                 | onnxruntime              | any batch, one size  |
| `onnx_int8`    | `.onnx`                 | onnxruntime              | any                  |
| `openvino`     | `.xml` and `.bin`       | openvino                 | any                  |
| `openvino_int8`| `.xml` and `.bin`       | openvino                 | any                  |
| `litert`       | `.tflite`               | ai-edge-litert           | any                  |
| `litert_int8`  | `.tflite`               | ai-edge-litert           | any batch, one size  |
| `state_dict`   | `.safetensors`          | timm, PyTorch            | any                  |
| `keras`        | `.keras`                | Keras                    | any                  |

"Any size" is as far as the network goes: one that flattens its last map keeps its size. SavedModel
and LiteRT are written by TensorFlow and so need its backend; the others work on every backend.

Layers for training only, such as augmentation in front of the network, noise and dropout, are left
out, and a warning names them. Keras's own `model.export` writes them, and the file then changes
images at random.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from keras_se.data_format import channel_axis
from keras_se.export.exported import ExportedModel, load_exported, read_metadata
from keras_se.export.formats import FORMATS, find_format
from keras_se.export.inference_model import make_inference_model
from keras_se.export.metadata import describe
from keras_se.export.verify import verify
from keras_se.files import atomic_path
from keras_se.preprocessing import Preprocessing
from keras_se.validation import as_value_error

__all__ = [
    "FORMATS",
    "Export",
    "ExportedModel",
    "export_model",
    "load_exported",
    "read_metadata",
]


@dataclass(frozen=True)
class Export:
    """What was written, and how it compares with the Keras model.

    Attributes:
        path: The file or folder that was written, a `pathlib.Path`.
        format: The format's name.
        difference: Largest absolute difference found between the outputs of the two.
        agreement: For 8-bit integers the fraction of the calibration images whose likeliest class
            is the Keras model's, from 0 to 1; `None` for all other formats.
    """

    path: Path
    format: str
    difference: float
    agreement: float | None = None


def export_model(
    model: keras.Model,
    path: str | os.PathLike,
    format: str | None = None,
    *,
    fold: bool = True,
    preprocessing: Preprocessing | bool | None = None,
    class_names: Sequence[str] | None = None,
    calibration: np.ndarray | None = None,
    overwrite: bool = False,
) -> Export:
    """Writes `model` for another runtime, and runs what was written against `model`.

    The written network has one input, `images`, with the axes of `model`: `(image, height, width,
    channel)` unless Keras is set to channels first. Its outputs are `output_0` and so on. In a
    state dict there is no graph, only weights.

    A model of mixed precision is written in float32, the precision of its weights, and so is one
    of float64.

    Args:
        model: Functional Keras model of one image input.
        path: Where to write. It appears when the export is complete and verified; until then,
            and if the export fails, what was there stays.
        format: `"saved_model"`, `"onnx"`, `"onnx_fixed"`, `"onnx_int8"`, `"openvino"`,
            `"openvino_int8"`, `"litert"`, `"litert_int8"`, `"state_dict"` or `"keras"`; see the
            module. `None` takes the first one of the ending of `path`; without an ending that is a
            SavedModel.
        fold: Whether to rewrite the network for inference by `keras_se.fold` first. A state dict
            never is: its names are those of the network as it was trained. 8-bit integers always
            are, since they hold a batch norm as a part of its convolution only.
        preprocessing: A `Preprocessing` whose normalization becomes a part of the written network,
            or `True` for that of the model's weights, `model.preprocessing`: the input is then
            `uint8`, values 0 to 255, resized by the caller. `None` for none; the metadata says
            all the same what `model.preprocessing` is.
        class_names: Names of the classes in the order of the output, for the metadata; by default
            those of the model's weights, `model.class_names`, if it has them.
        calibration: For 8-bit integers, images as the written network takes them, which fix the
            ranges of its integers; some hundreds that look like those it will see.
        overwrite: Whether to replace the export of the same format that is at `path`.

    Returns:
        An `Export`.

    Raises:
        ValueError: If an argument is not legal, the format cannot do this network or needs
            another backend, or the written model gives other outputs.
        ImportError: If the packages of the format are not installed.
        OSError: If `path` is there already, or cannot be written.

    Example:
    >>> import tempfile
    >>> from keras_se.applications import SEResNet20
    >>> model = SEResNet20(weights="cifar10")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export = export_model(model, Path(folder) / "model.keras", preprocessing=True)
    ...     read_metadata(export.path)["class_names"][:2]
    ['airplane', 'automobile']
    """
    path = Path(path).resolve()
    format = find_format(format, path)
    own = _own_preprocessing(model)
    if isinstance(preprocessing, bool):
        preprocessing = _required(own, model) if preprocessing else None
    described = preprocessing or own
    if described is not None and described.mean is None and not format.graph:
        described = None  # the layer that normalizes is not among the weights
    if class_names is None:
        class_names = getattr(model, "class_names", None)
    format.require_arguments(fold, preprocessing, calibration)
    format.require_environment()
    if calibration is not None:
        calibration = _checked(calibration, model, preprocessing)
    format.check_overwrite(path, overwrite)
    inference_model = make_inference_model(
        model,
        fold=fold and format.graph,
        preprocessing=preprocessing,
        calibration=calibration if format.rewritten else None,
        fixed_size=format.fixed_size,
    )
    inference_model = format.prepare(inference_model)
    metadata = describe(inference_model, format.name, class_names, described)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path, format.beside) as written:
        format.write(inference_model, written, metadata, calibration)
        with as_value_error(f"What was written as {format.name!r} cannot be loaded"):
            run = format.load(written, inference_model)
        difference, agreement = verify(inference_model, run, calibration)
    return Export(path, format.name, difference, agreement)


def _own_preprocessing(model):
    """What the weights of the model were trained on, or `None` if it does not say."""
    own = getattr(model, "preprocessing", None)
    return own if isinstance(own, Preprocessing) else None


def _required(preprocessing, model):
    if preprocessing is None:
        raise ValueError(
            f"`preprocessing` must be a Preprocessing: {model.name} does not say what its weights "
            "want. Received: preprocessing=True"
        )
    return preprocessing


def _checked(calibration, model, preprocessing):
    """The calibration images as an array of the kind that the written network takes."""
    images = np.asarray(calibration)
    dtype = "uint8" if preprocessing is not None else model.inputs[0].dtype
    if dtype == "float64":
        # What is written takes float32.
        dtype, images = "float32", images.astype("float32") if images.dtype.kind == "f" else images
    channels = model.inputs[0].shape[channel_axis()]
    fits = images.ndim == 4 and images.shape[channel_axis()] == channels and len(images) > 0
    if images.dtype != dtype or not fits:
        raise ValueError(
            f"`calibration` must be {dtype} images with four axes and {channels} channels. "
            f"Received: {images.dtype} of {images.shape}"
        )
    return images
