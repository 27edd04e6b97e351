"""The formats there are, by name and by the ending of a path."""

from pathlib import Path

from keras_se.export.format import Format
from keras_se.export.keras_formats import KerasFile, StateDict
from keras_se.export.onnx.formats import Onnx, OpenVino
from keras_se.export.onnx.int8 import OnnxInt8, OpenVinoInt8
from keras_se.export.tensorflow_formats import LiteRT, SavedModel
from keras_se.validation import check_choice

FORMATS = {
    format.name: format
    for format in (
        SavedModel("saved_model", None, tensorflow=True),
        Onnx("onnx", ".onnx", packages=("onnx", "onnxruntime")),
        Onnx("onnx_fixed", ".onnx", packages=("onnx", "onnxruntime"), fixed_size=True),
        OnnxInt8("onnx_int8", ".onnx", packages=("onnx", "onnxruntime"), calibrated=True),
        OpenVino("openvino", ".xml", packages=("onnx", "openvino"), beside=(".bin",)),
        OpenVinoInt8(
            "openvino_int8",
            ".xml",
            packages=("onnx", "openvino", "nncf"),
            beside=(".bin",),
            calibrated=True,
        ),
        LiteRT("litert", ".tflite", packages=("ai_edge_litert",), tensorflow=True),
        LiteRT(
            "litert_int8",
            ".tflite",
            packages=("ai_edge_litert",),
            tensorflow=True,
            calibrated=True,
            rewritten=True,
        ),
        StateDict("state_dict", ".safetensors", graph=False),
        KerasFile("keras", ".keras"),
    )
}
# The last of several formats of one ending is the first of the list.
BY_SUFFIX = {format.suffix: format for format in reversed(FORMATS.values())}


def find_format(name: str | None, path: Path) -> Format:
    """Returns the format to write at a path.

    Args:
        name: The format's name, or `None` for the one that the ending of `path` stands for; without
            an ending, that is a SavedModel.
        path: Where to write.

    Raises:
        ValueError: If there is no such format, or the ending is that of another one.

    Example:
    >>> find_format(None, Path("model.onnx")).name, find_format(None, Path("models/1")).name
    ('onnx', 'saved_model')
    """
    if name is None:
        if path.suffix and path.suffix not in BY_SUFFIX:
            endings = ", ".join(sorted(filter(None, BY_SUFFIX)))
            raise ValueError(
                f"`path` must end in {endings}, or have no ending for a SavedModel. "
                f"Received: path={str(path)!r}"
            )
        return BY_SUFFIX[path.suffix or None]
    format = FORMATS[check_choice("format", name, tuple(FORMATS))]
    folder_ends = format.suffix is None and path.suffix not in BY_SUFFIX
    if path.suffix != format.suffix and not folder_ends:
        legal = f"must end in {format.suffix}" if format.suffix else "is a folder without an ending"
        raise ValueError(f"`path` {legal} for format={name!r}. Received: path={str(path)!r}")
    return format
