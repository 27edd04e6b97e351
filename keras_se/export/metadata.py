"""What every export says about itself, and how it is read back."""

import json
import zipfile
from pathlib import Path

import keras

# Of the entry in a file's own metadata, and of the file in a folder or an archive.
KEY = "keras_se"
FILE = "keras_se.json"


def describe(inference_model, format, class_names):
    """The metadata of an export.

    Args:
        inference_model: The `InferenceModel` that is written.
        format: Name of the format.
        class_names: Names of the classes in the order of the output, or `None`.

    Returns:
        The dictionary that `read_metadata` gives back.

    Raises:
        ValueError: If there is another number of names than of classes.
    """
    import keras_se

    row = inference_model.preprocessing
    first = keras.config.image_data_format() == "channels_first"
    shape = inference_model.model.inputs[0].shape[1:]
    return {
        "keras_se": keras_se.__version__,
        "format": format,
        "network": inference_model.model.name,
        "input_size": list(shape[1:] if first else shape[:-1]),
        "input_shape": list(inference_model.network.inputs[0].shape),
        "input_dtype": inference_model.network.inputs[0].dtype,
        "data_format": keras.config.image_data_format(),
        "folded": inference_model.folded,
        "preprocessing": row and {name: getattr(row, name) for name in PREPROCESSING},
        "class_names": _checked(class_names, inference_model.model),
    }


PREPROCESSING = ("tag", "size", "crop", "interpolation", "mean", "std")


def _checked(class_names, model):
    if class_names is None:
        return None
    names = list(class_names)
    if not all(isinstance(name, str) for name in names):
        raise ValueError(f"`class_names` must be strings. Received: class_names={names[:8]}")
    classes = model.outputs[0].shape[-1]
    if len(names) != classes:
        raise ValueError(
            f"`class_names` must name the {classes} classes of {model.name}. "
            f"Received: {len(names)} names"
        )
    return names


def dump(metadata):
    """The metadata as a text."""
    return json.dumps(metadata)


def add_to_archive(path, metadata):
    """Adds the metadata to a zip archive, or as an archive to the end of any file."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(FILE, dump(metadata))


def read_metadata(path):
    """Reads what `export_model` wrote about an export.

    Args:
        path: The exported file, the `.xml` of OpenVINO, or the folder of a SavedModel.

    Returns:
        A dictionary: `keras_se`, the version that wrote it; `format`; `network`, its name;
        `input_size`, height and width in pixels that the Keras model took, `None` for any;
        `input_shape`, `input_dtype` and `data_format` of what the export takes; `folded`;
        `preprocessing`, what was baked in, with `tag`, `size` and `crop`, `interpolation`, `mean`
        and `std` as in `keras_se.weights.Weights`, or `None` if nothing was; and `class_names`, a
        list or `None`.

    Raises:
        ValueError: If there is no such metadata in it.
        OSError: If it cannot be read.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no export {str(path)!r}.")
    readers = {
        ".onnx": _of_onnx,
        ".xml": _of_openvino,
        ".tflite": _of_archive,
        ".keras": _of_archive,
        ".safetensors": _of_safetensors,
    }
    reader = _of_folder if path.is_dir() else readers.get(path.suffix)
    try:
        return json.loads(reader(path))
    except ImportError:
        raise
    except Exception as error:  # whatever the parsers of these formats raise
        raise ValueError(
            f"{str(path)!r} is no export of keras_se: its metadata cannot be read."
        ) from error


def _of_folder(path):
    return (path / "assets.extra" / FILE).read_text(encoding="utf-8")


def _of_archive(path):
    with zipfile.ZipFile(path) as archive:
        return archive.read(FILE)


def _of_onnx(path):
    import onnx

    model = onnx.load(path, load_external_data=False)
    return {one.key: one.value for one in model.metadata_props}[KEY]


def _of_openvino(path):
    from xml.etree import ElementTree

    return ElementTree.parse(path).find(f"rt_info/{KEY}").attrib["value"]


def _of_safetensors(path):
    from safetensors import safe_open

    with safe_open(path, "numpy") as file:
        return file.metadata()[KEY]
