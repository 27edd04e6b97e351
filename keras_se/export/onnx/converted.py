"""Keras's own export to ONNX, for networks of other libraries.

`keras_se.export.onnx.model` writes what networks with SE are made of. All else goes through
`model.export(format="onnx")` of Keras: tf2onnx on TensorFlow, jax2onnx on JAX, PyTorch's own.
"""

import tempfile
import warnings
from pathlib import Path

import keras
import numpy as np

from keras_se.export.onnx.model import OPSET, value
from keras_se.export.onnx.readable import readable_by_converter
from keras_se.graph.rewrite import rewrite
from keras_se.validation import require_packages

# What Keras needs for it besides the backend, which may bring a converter of its own.
CONVERTERS = {"tensorflow": ("tf2onnx",), "jax": ("jax2onnx",), "torch": ()}
LONGEST_REASON = 200


def converted_model(model: keras.Model, why: str):
    """Has Keras translate a functional model.

    Args:
        model: Functional `keras.Model` with one input, `images`, of a known size.
        why: Why `onnx_model` cannot translate it, for the message if Keras cannot either.

    Returns:
        An `onnx.ModelProto` with the same names of inputs and outputs as that of `onnx_model`.

    Raises:
        ValueError: If the converter fails or what it gives is no valid file.
        ImportError: If the converter is not installed; the message has the command that does so.
    """
    import onnx

    backend = keras.backend.backend()
    require_packages(f"{why} Keras's own export to ONNX", *CONVERTERS[backend])
    try:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            # Of the converters, about their own code.
            warnings.simplefilter("ignore")
            path = Path(folder) / "model.onnx"
            _export(model, path)
            converted = onnx.load(path)
        _rename(converted, model)
        # An operation that the converter does not know is in the file as TensorFlow calls it.
        onnx.checker.check_model(converted)
    except Exception as error:  # whatever the converters raise, with pages of their own graphs
        reason = " ".join(str(error).split())[:LONGEST_REASON]
        raise ValueError(
            f"{why} Keras's own export to ONNX fails on {backend}: {reason}. Nothing was written."
        ) from error
    return converted


def _export(model, path):
    network = rewrite(model, _convertible)
    (images,) = network.inputs
    # Keras exports what was called only.
    network(np.zeros((1, *images.shape[1:]), images.dtype))
    with readable_by_converter(network):
        network.export(path, format="onnx", verbose=False, opset_version=OPSET)


def _convertible(node, copy):
    """What the converters know, in place of a layer of which they make files that are not valid."""
    layer = node.operation
    return _as_rescaling(layer, copy) if type(layer) is keras.layers.Normalization else None


def _as_rescaling(layer, copy):
    """A `Rescaling` for a `Normalization`, of whose numbers tf2onnx makes inputs of the graph."""
    if layer.invert:
        return None
    mean = keras.ops.convert_to_numpy(layer.mean)
    deviation = np.sqrt(keras.ops.convert_to_numpy(layer.variance))
    scale = 1 / np.maximum(deviation, keras.config.epsilon())
    if mean.size not in (1, mean.shape[-1]):
        return None
    offset = -mean * scale
    return keras.layers.Rescaling(scale.ravel().tolist(), offset.ravel().tolist(), name=copy.name)


def _rename(converted, model):
    """Gives the inputs and outputs the names that all exports have."""
    from onnx import helper

    graph = converted.graph
    names = [image.name for image in graph.input]
    if names != ["images"]:
        raise ValueError(f"the file has the inputs {names}")
    # These know the batch by other names.
    del graph.value_info[:]
    graph.input[0].CopyFrom(value("images", model.inputs[0], "height", "width"))
    for index, (output, tensor) in enumerate(zip(graph.output, model.outputs, strict=True)):
        name = f"output_{index}"
        if output.name != name:
            graph.node.append(helper.make_node("Identity", [output.name], [name], name=name))
        output.CopyFrom(value(name, tensor))
