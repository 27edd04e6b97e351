"""What every export says about itself."""

import json
import zipfile
from pathlib import Path

import keras

from keras_se.data_format import spatial_shape

# Of the entry in a file's own metadata, and of the file in a folder or an archive.
KEY = "keras_se"
FILE = "keras_se.json"


def describe(inference_model, format: str, class_names, preprocessing=None) -> dict:
    """Describes an export.

    Args:
        inference_model: The `InferenceModel` that is written.
        format: Name of the format.
        class_names: Names of the classes in the order of the output, or `None`.
        preprocessing: The `Preprocessing` of the images, whether or not it is a part of what is
            written, or `None` if it is not known.

    Returns:
        The dictionary that `read_metadata` gives back.

    Raises:
        ValueError: If there is another number of names than of classes.
    """
    import keras_se

    included = inference_model.preprocessing is not None
    # A model that normalizes its images itself says so by having no mean.
    included = included or (preprocessing is not None and preprocessing.mean is None)
    return {
        "keras_se": keras_se.__version__,
        "format": format,
        "network": inference_model.model.name,
        "input_size": list(spatial_shape(inference_model.model.inputs[0].shape)),
        "input_shape": list(inference_model.network.inputs[0].shape),
        "input_dtype": inference_model.network.inputs[0].dtype,
        "data_format": keras.config.image_data_format(),
        "folded": inference_model.folded,
        "preprocessing": preprocessing and preprocessing.to_dict(),
        "preprocessing_included": included,
        "class_names": _checked(class_names, inference_model.model),
    }


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


def dump(metadata: dict) -> str:
    """Returns the metadata as JSON."""
    return json.dumps(metadata)


def add_to_archive(path: Path, metadata: dict) -> None:
    """Adds the metadata to a zip archive, or as an archive to the end of any file."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(FILE, dump(metadata))


def read_from_archive(path: Path) -> bytes:
    """Reads the metadata that `add_to_archive` added, as JSON."""
    with zipfile.ZipFile(path) as archive:
        return archive.read(FILE)
