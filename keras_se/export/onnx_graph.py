"""A Keras graph as an ONNX graph.

Written here, node by node, and not by a converter: tf2onnx 1.17.0, which `model.export` of Keras
3.15.1 calls, gives no valid file for grouped convolutions (on a CPU, TensorFlow makes a function
call of each), and it needs TensorFlow. This works on every backend, and gives what runtimes are
fastest with: channels first, grouped convolutions as such, and one transpose in the whole graph.
"""

import keras
import numpy as np

from keras_se.export.metadata import KEY, dump
from keras_se.export.onnx_layers import LAYERS
from keras_se.graph.walk import calls_for_training, graph_of, nodes

# Of 2022: late enough for all that is used here, early enough for every runtime in use.
OPSET = 18
IR_VERSION = 10
# From images with their channels last to what is inside the graph, and back.
INWARD, OUTWARD = (0, 3, 1, 2), (0, 2, 3, 1)


def onnx_model(model, metadata, blocked=False):
    """Translates a functional model.

    Args:
        model: Functional `keras.Model` with one input of images, in float32, without models in it.
        metadata: Dictionary to store in the file.
        blocked: Whether to write gates as ONNX Runtime is fastest with; the sizes of all maps must
            be known. See `keras_se.export.onnx_blocked`.

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
    names = graph.walk(model, [x])
    outputs = []
    for index, (name, tensor) in enumerate(zip(names, model.outputs, strict=True)):
        name = graph.transposed(name, tensor, OUTWARD)
        outputs.append(graph.node("Identity", [name], name=f"output_{index}"))
    graph.drop_unused(outputs)
    made = helper.make_graph(
        graph.nodes,
        model.name,
        [_value("images", images, "height", "width")],
        [_value(*one) for one in zip(outputs, model.outputs, strict=True)],
        graph.constants,
        value_info=graph.declared,
    )
    opset = [helper.make_opsetid("", OPSET)]
    made = helper.make_model(made, opset_imports=opset, ir_version=IR_VERSION)
    made.producer_name = "keras_se"
    helper.set_model_props(made, {KEY: dump(metadata)})
    return made


def _value(name, tensor, *sides):
    """The declaration of an input or output; unknown sizes get the names `sides`."""
    sides = iter(sides)
    shape = [next(sides, None) if size is None else size for size in tensor.shape[1:]]
    return _declaration(name, tensor.dtype, shape)


def _declaration(name, dtype, shape):
    """The declaration of a tensor, of whose shape the batch is left out."""
    from onnx import helper

    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return helper.make_tensor_value_info(name, kind, ["batch", *shape])


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
        raise ValueError(f"ONNX cannot hold {model.name}: the layer {some}. Nothing was written.")


class Graph:
    """The nodes and constants of an ONNX graph as it grows.

    A tensor is the name of what a node gives. Those of four axes have their channels first.

    Attributes:
        nodes: List of `onnx.NodeProto`.
        constants: List of `onnx.TensorProto`.
        declared: List of `onnx.ValueInfoProto` of tensors inside.
        padded: Dictionary from maps with zeros around them to the map without and the numbers of
            zeros above, left, below and right.
        givers: Dictionary from tensors to the `onnx.NodeProto` that give them.
        channels_last: Whether the Keras model has its channels last.
        blocked: As for `onnx_model`.
    """

    def __init__(self, blocked=False):
        self.nodes, self.constants, self.declared = [], [], []
        self.givers, self.padded = {}, {}
        self.blocked = blocked
        self.channels_last = keras.config.image_data_format() == "channels_last"
        self._taken = set()

    def walk(self, model, tensors):
        """Adds the calls of `model`, which has no models in it; returns its outputs."""
        graph = graph_of(model)
        values = dict(zip(map(id, graph.inputs), tensors, strict=True))
        for node in nodes(model):
            if node.is_input:
                continue
            given = [values[id(tensor)] for tensor in node.input_tensors]
            values[id(node.outputs[0])] = LAYERS[type(node.operation)](self, node, *given)
        return [values[id(tensor)] for tensor in graph.outputs]

    def node(self, kind, inputs, *, name=None, **attributes):
        """Adds an operator of ONNX; returns its output."""
        from onnx import helper

        name = self._free(name or kind)
        self.givers[name] = helper.make_node(kind, inputs, [name], name=name, **attributes)
        self.nodes.append(self.givers[name])
        return name

    def kind(self, tensor):
        """The operator that gives a tensor, or `None` for the images and constants."""
        return self.givers[tensor].op_type if tensor in self.givers else None

    def constant(self, value, name):
        """Adds an array, floats as float32; returns its name."""
        from onnx import numpy_helper

        name = self._free(name)
        array = np.ascontiguousarray(value)
        array = array.astype("float32") if array.dtype.kind == "f" else array
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def declare(self, name, shape):
        """States the shape of a float32 tensor, without the batch, for runtimes; returns `name`."""
        self.declared.append(_declaration(name, "float32", shape))
        return name

    def drop_unused(self, outputs):
        """Removes the nodes and constants that the tensors `outputs` do not need."""
        needed = set(outputs)
        for node in reversed(self.nodes):
            if node.output[0] in needed:
                needed.update(node.input)
        self.nodes = [node for node in self.nodes if node.output[0] in needed]
        self.constants = [one for one in self.constants if one.name in needed]

    def axis(self, axis, tensor):
        """Where the axis of a Keras tensor is here."""
        rank = len(tensor.shape)
        axis %= rank
        return OUTWARD[axis] if rank == 4 and self.channels_last else axis

    def transposed(self, name, tensor, axes):
        """The tensor with its axes in another order, if it is one of four whose order differs."""
        return self.node("Transpose", [name], perm=axes) if self._is_turned(tensor) else name

    def shape(self, tensor):
        """The shape that a Keras tensor has here."""
        shape = tuple(tensor.shape)
        return tuple(shape[axis] for axis in INWARD) if self._is_turned(tensor) else shape

    def _is_turned(self, tensor):
        return len(tensor.shape) == 4 and self.channels_last

    def _free(self, name):
        free, number = name, 0
        while free in self._taken:
            number += 1
            free = f"{name}_{number}"
        self._taken.add(free)
        return free
