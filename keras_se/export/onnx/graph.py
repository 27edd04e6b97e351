"""A growing ONNX graph."""

import keras
import numpy as np

from keras_se.graph.walk import free_name

# From images with their channels last to what is inside the graph, and back.
INWARD, OUTWARD = (0, 3, 1, 2), (0, 2, 3, 1)


class Graph:
    """The nodes and constants of an ONNX graph as it grows.

    A tensor is the name of what a node gives. Those of four axes have their channels first.

    Attributes:
        nodes: List of `onnx.NodeProto`.
        constants: List of `onnx.TensorProto`.
        declared: List of `onnx.ValueInfoProto` of tensors inside.
        padded: Dictionary from maps with zeros around them to the map without and the numbers of
            zeros above, left, below and right.
        producers: Dictionary from tensors to the `onnx.NodeProto` that give them.
        channels_last: Whether the Keras model has its channels last.
        blocked: As for `onnx_model`.
    """

    def __init__(self, blocked=False):
        self.nodes, self.constants, self.declared = [], [], []
        self.producers, self.padded = {}, {}
        self.blocked = blocked
        self.channels_last = keras.config.image_data_format() == "channels_last"
        self._names = set()

    def node(self, kind, inputs, *, name=None, **attributes):
        """Adds an operator of ONNX; returns its output."""
        from onnx import helper

        name = free_name(name or kind, self._names)
        self.producers[name] = helper.make_node(kind, inputs, [name], name=name, **attributes)
        self.nodes.append(self.producers[name])
        return name

    def kind(self, tensor):
        """The operator that gives a tensor, or `None` for the images and constants."""
        return self.producers[tensor].op_type if tensor in self.producers else None

    def constant(self, value, name):
        """Adds an array, floats as float32; returns its name."""
        from onnx import numpy_helper

        name = free_name(name, self._names)
        array = np.ascontiguousarray(value)
        array = array.astype("float32") if array.dtype.kind == "f" else array
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def declare(self, name, shape):
        """States the shape of a float32 tensor, without the batch, for runtimes; returns `name`."""
        self.declared.append(declaration(name, "float32", shape))
        return name

    def drop_unused(self, outputs):
        """Removes the nodes and constants that the tensors `outputs` do not need."""
        needed = set(outputs)
        for node in reversed(self.nodes):
            if node.output[0] in needed:
                needed.update(node.input)
        self.nodes = [node for node in self.nodes if node.output[0] in needed]
        self.constants = [constant for constant in self.constants if constant.name in needed]

    def axis(self, axis, tensor):
        """Where the axis of a Keras tensor is here."""
        rank = len(tensor.shape)
        axis %= rank
        return OUTWARD[axis] if rank == 4 and self.channels_last else axis

    def transposed(self, name, tensor, axes):
        """The tensor with its axes in another order, if it is one of four whose order differs."""
        return self.node("Transpose", [name], perm=axes) if self.is_turned(tensor) else name

    def shape(self, tensor):
        """The shape that a Keras tensor has here."""
        shape = tuple(tensor.shape)
        return tuple(shape[axis] for axis in INWARD) if self.is_turned(tensor) else shape

    def is_turned(self, tensor):
        """Whether the axes of a Keras tensor have another order here."""
        return len(tensor.shape) == 4 and self.channels_last


def declaration(name, dtype, shape):
    """Declares a tensor, of whose shape the batch is left out."""
    from onnx import helper

    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return helper.make_tensor_value_info(name, kind, ["batch", *shape])
