"""The formats by name: their files, what they need, and who writes and runs them."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

import keras

from keras_se.export import keras_formats, onnx_formats, tensorflow_formats


@dataclass(frozen=True)
class Format:
    """One way to write a network.

    Attributes:
        name: What `export_model` calls it.
        suffix: How its file's name ends, or `None` for a folder.
        write: Callable of the `InferenceModel`, the path and the metadata that writes it.
        load: Callable of the path and the `InferenceModel` that gives a callable which runs it,
            images to a list of output arrays.
        packages: Names of the modules it needs, with those of their packages.
        tensorflow: Whether only the TensorFlow backend can write it.
        beside: Endings of further files, which replace `suffix`.
        graph: Whether the network itself is written, and not only its weights.
        calibrated: Whether it needs calibration images.
        fixed_size: Whether it is for images of the size of the model only.
    """

    name: str
    suffix: str | None
    write: Callable
    load: Callable
    packages: tuple = ()
    tensorflow: bool = False
    beside: tuple = ()
    graph: bool = True
    calibrated: bool = False
    fixed_size: bool = False

    def files(self, path):
        """All files or folders of an export at `path`, `path` the last."""
        return [*(path.with_suffix(one) for one in self.beside), path]

    def require_arguments(self, path, fold, preprocessing, calibration):
        """Raises a ValueError if the arguments of `export_model` do not go with the format."""
        if self.suffix is not None and path.suffix != self.suffix:
            raise ValueError(
                f"`path` must end in {self.suffix} for format={self.name!r}. "
                f"Received: path={str(path)!r}"
            )
        if not self.graph and preprocessing is not None:
            raise ValueError(
                f"`preprocessing` cannot be baked into format={self.name!r}, which holds weights "
                f"only. Received: preprocessing={preprocessing.tag!r}"
            )
        if self.calibrated and not fold:
            raise ValueError(f"format={self.name!r} needs fold=True. Received: fold={fold!r}")
        if self.calibrated == (calibration is None):
            need = "needs" if self.calibrated else "takes no"
            raise ValueError(
                f"format={self.name!r} {need} calibration images, which fix the ranges of 8-bit "
                f"integers. Received: calibration {'missing' if self.calibrated else 'given'}"
            )


FORMATS = {
    one.name: one
    for one in (
        Format(
            "saved_model",
            None,
            tensorflow_formats.write_saved_model,
            tensorflow_formats.load_saved_model,
            tensorflow=True,
        ),
        Format(
            "onnx",
            ".onnx",
            onnx_formats.write_onnx,
            onnx_formats.load_onnx,
            packages=("onnx", "onnxruntime"),
        ),
        Format(
            "onnx_fixed",
            ".onnx",
            onnx_formats.write_onnx,
            onnx_formats.load_onnx,
            packages=("onnx", "onnxruntime"),
            fixed_size=True,
        ),
        Format(
            "openvino",
            ".xml",
            onnx_formats.write_openvino,
            onnx_formats.load_openvino,
            packages=("onnx", "openvino"),
            beside=(".bin",),
        ),
        Format(
            "litert",
            ".tflite",
            tensorflow_formats.write_litert,
            tensorflow_formats.load_litert,
            packages=("ai_edge_litert",),
            tensorflow=True,
        ),
        Format(
            "litert_int8",
            ".tflite",
            tensorflow_formats.write_litert,
            tensorflow_formats.load_litert,
            packages=("ai_edge_litert",),
            tensorflow=True,
            calibrated=True,
        ),
        Format(
            "state_dict",
            ".safetensors",
            keras_formats.write_state_dict,
            keras_formats.load_state_dict,
            graph=False,
        ),
        Format("keras", ".keras", keras_formats.write_keras, keras_formats.load_keras),
    )
}


def find_format(name):
    """The `Format` of this name.

    Raises:
        ValueError: If there is none.
    """
    if name not in FORMATS:
        legal = ", ".join(map(repr, FORMATS))
        raise ValueError(f"`format` must be one of {legal}. Received: format={name!r}")
    return FORMATS[name]


def format_of(path):
    """Name of the format that the ending of `path` stands for.

    Example:
    >>> from pathlib import Path
    >>> format_of(Path("model.onnx")), format_of(Path("models/1"))
    ('onnx', 'saved_model')
    """
    plain = (one for one in FORMATS.values() if not one.calibrated and not one.fixed_size)
    names = {one.suffix: one.name for one in plain}
    return names.get(path.suffix, "saved_model")


def require(chosen):
    """Raises unless the backend and the packages of a format are there.

    Raises:
        ValueError: If it needs the TensorFlow backend.
        ImportError: If packages are missing; the message has the command that installs them.
    """
    if chosen.tensorflow and keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"Exporting format={chosen.name!r} needs the TensorFlow backend: set "
            "KERAS_BACKEND=tensorflow and load the model there. Received: the backend "
            + keras.backend.backend()
        )
    missing = [one for one in chosen.packages if importlib.util.find_spec(one) is None]
    if missing:
        names = " ".join(one.replace("_", "-") for one in missing)
        raise ImportError(
            f"Exporting format={chosen.name!r} needs {', '.join(missing)}, not installed here: "
            f"pip install {names}"
        )
