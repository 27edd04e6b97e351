"""A Keras graph as an ONNX graph.

Written here, node by node, and not by a converter: tf2onnx 1.17.0, which `model.export` of Keras
3.15.1 calls, gives no valid file for grouped convolutions (on a CPU, TensorFlow makes a function
call of each), and it needs TensorFlow. This works on every backend, and gives what runtimes are
fastest with: channels first, grouped convolutions as such, and one transpose in the whole graph.
"""

import keras
import numpy as np

from keras_se.export.onnx.graph import INWARD, OUTWARD, Graph, declaration
from keras_se.export.onnx.layers import LAYERS
from keras_se.graph.walk import calls_for_training, graph_of, nodes

# Of 2022: late enough for all that is used here, early enough for every runtime in use.
OPSET = 18
IR_VERSION = 10


def onnx_model(model: keras.Model, blocked: bool = False):
    """Translates a functional model.

    Args:
        model: Functional `keras.Model` with one input of images, in float32, without models in it.
        blocked: Whether to write gates as ONNX Runtime is fastest with; the sizes of all maps must
            be known. See `keras_se.export.onnx.blocked`.

    Returns:
        An `onnx.ModelProto`. Outside it has the axes of `model`; inside, channels come first.

    Raises:
        ValueError: If a layer cannot be translated; the message says which.
    """
    from onnx import helper

    _require_known(model)
    graph = Graph(blocked)
    (images,) = model.inputs
    x = graph.transposed("images", images, INWARD)
    if images.dtype != "float32":
        x = graph.node("Cast", [x], to=helper.np_dtype_to_tensor_dtype(np.dtype("float32")))
    names = _walk(graph, model, [x])
    outputs = []
    for index, (name, tensor) in enumerate(zip(names, model.outputs, strict=True)):
        name = graph.transposed(name, tensor, OUTWARD)
        outputs.append(graph.node("Identity", [name], name=f"output_{index}"))
    graph.drop_unused(outputs)
    onnx_graph = helper.make_graph(
        graph.nodes,
        model.name,
        [value("images", images, "height", "width")],
        [value(*output) for output in zip(outputs, model.outputs, strict=True)],
        graph.constants,
        value_info=graph.declared,
    )
    opset = [helper.make_opsetid("", OPSET)]
    translated = helper.make_model(onnx_graph, opset_imports=opset, ir_version=IR_VERSION)
    translated.producer_name = "keras_se"
    return translated


def _walk(graph, model, tensors):
    """Adds the calls of `model`, which has no models in it; returns its outputs."""
    functional = graph_of(model)
    values = dict(zip(map(id, functional.inputs), tensors, strict=True))
    for node in nodes(model):
        if not node.is_input:
            inputs = [values[id(tensor)] for tensor in node.input_tensors]
            write = LAYERS[type(node.operation)]
            values[id(node.outputs[0])] = write(graph, node, *inputs)
    return [values[id(tensor)] for tensor in functional.outputs]


def value(name: str, tensor: keras.KerasTensor, *sides: str):
    """Declares an input or output; unknown sizes get the names `sides`."""
    sides = iter(sides)
    shape = [next(sides, None) if size is None else size for size in tensor.shape[1:]]
    return declaration(name, tensor.dtype, shape)


def _require_known(model):
    """Raises a ValueError that names all layers that cannot be translated."""
    problems = {}
    for node in nodes(model):
        layer = node.operation
        if node.is_input:
            continue
        kind = f"{layer.name!r} ({type(layer).__name__})"
        if calls_for_training(node):
            problems[kind] = "is called as in training"
        elif type(layer) not in LAYERS:
            problems[kind] = "has no counterpart here"
        elif getattr(layer, "compute_dtype", "float32") != "float32":
            problems[kind] = f"computes in {layer.compute_dtype}, not in float32"
        elif getattr(layer, "data_format", None) not in (None, keras.config.image_data_format()):
            problems[kind] = f"has its {layer.data_format.replace('_', ' ')}, unlike the images"
    if problems:
        some = "; ".join(f"{kind} {why}" for kind, why in list(problems.items())[:8])
        raise ValueError(f"ONNX cannot hold {model.name}: the layer {some}.")
