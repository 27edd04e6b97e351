"""What feeds what in a graph, and where in it the feature maps and residual branches are."""

import keras

from keras_se.data_format import channel_axis, spatial_shape
from keras_se.graph.walk import graph_of, nodes

# By class name: the sums of keras.ops and of keras.applications' Inception-ResNet have no public
# class.
SUMS = {"Add", "CustomScaleLayer"}
ENLARGING = ("UpSampling", "Resizing", "Resize")
ACTIVATIONS = {"Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax", "Relu", "Relu6"}
ACTIVATIONS |= {"Silu", "HardSilu", "Gelu", "Elu", "LeakyRelu", "HardSigmoid", "Sigmoid", "Tanh"}


class Ancestors:
    """The calls of one graph as numbers in topological order, and sets of them as bits.

    Args:
        model: Functional model.

    Attributes:
        nodes: The calls.
        parents: For each, the numbers of those it takes tensors of, in the order of its arguments.
        children: For each, the numbers of those that take its tensors.
        upstream: For each, itself and all it depends on, as the bits of an integer.
        kernels: Those whose layer has a kernel, as bits.
        outputs: The numbers of those whose tensors the model gives.
        formats: For each, `"channels_last"` or `"channels_first"`: that of its own layer or, if
            that has none, of the one before it, and of Keras at the inputs.
        maps: For each, whether it gives a feature map.
    """

    def __init__(self, model):
        self.nodes = nodes(model)
        number = {id(tensor): i for i, node in enumerate(self.nodes) for tensor in node.outputs}
        self.parents = [
            [number[id(tensor)] for tensor in node.input_tensors] for node in self.nodes
        ]
        self.outputs = {number[id(tensor)] for tensor in graph_of(model).outputs}
        self.children = [[] for _ in self.nodes]
        self.upstream, self.formats, self.maps = [], [], []
        self.kernels = 0
        for i, node in enumerate(self.nodes):
            self._follow(i, node)

    def _follow(self, i, node):
        """Adds the facts of one call, those of its parents being known."""
        bits = 1 << i
        for parent in self.parents[i]:
            bits |= self.upstream[parent]
            self.children[parent].append(i)
        self.upstream.append(bits)
        if has_kernel(node.operation):
            self.kernels |= 1 << i
        inherited = (self.formats[parent] for parent in self.parents[i])
        default = next(inherited, keras.config.image_data_format())
        self.formats.append(getattr(node.operation, "data_format", None) or default)
        from_map = any(self.maps[parent] for parent in self.parents[i])
        from_map &= not type(node.operation).__name__.startswith("Global")
        self.maps.append(self._is_map(i, from_map or node.is_input))

    def _is_map(self, i, from_map):
        """Whether a call gives a map; a pooled vector of one pixel, and what follows, is none."""
        if why_no_map(self.nodes[i], self.formats[i]):
            return False
        return from_map or any(side != 1 for side in self.space(i))

    def shape(self, i):
        """Shape of the first tensor that a call gives."""
        return tuple(self.nodes[i].outputs[0].shape)

    def space(self, i):
        """The spatial sizes of the map that a call gives."""
        return spatial_shape(self.shape(i), self.formats[i])

    def channels(self, i):
        """The number of channels that a call gives."""
        return self.shape(i)[channel_axis(self.formats[i])]

    def own(self, calls):
        """For each of `calls`, what it depends on and not all of them do, as bits.

        Nothing at all, if there is nothing that all of them depend on.
        """
        common = -1
        for i in calls:
            common &= self.upstream[i]
        return [self.upstream[i] & ~common if common else 0 for i in calls]

    def name(self, i):
        """The class name of the operation of a call."""
        return type(self.nodes[i].operation).__name__

    def any_of(self, bits, holds):
        """Whether `holds` is true of any call in `bits`."""
        return any(bits >> i & 1 and holds(i) for i in range(bits.bit_length()))

    def only_child(self, i):
        """The only call that takes what call `i` gives; `None` if there are others."""
        alone = len(self.children[i]) == 1 and i not in self.outputs
        return self.children[i][0] if alone else None

    def activates(self, i):
        """Whether a call is that of an activation that does something."""
        activation = getattr(self.nodes[i].operation, "activation", None)
        return self.name(i) in ACTIVATIONS and activation is not keras.activations.linear

    def normalizes(self, i):
        """Whether a call is that of a normalization of features."""
        name = self.name(i)
        # "Normalization" alone is Keras's preprocessing of inputs.
        return name != "Normalization" and name.endswith(("Normalization", "Norm"))

    def enlarges(self, i):
        """Whether a call gives a larger map than it takes, or any size that is asked for."""
        return self.name(i).startswith(ENLARGING) or self.name(i).endswith("Transpose")

    def resizes(self, i):
        """Whether a call gives a map of another size than it takes."""
        strides = getattr(self.nodes[i].operation, "strides", 1)
        strides = strides if isinstance(strides, tuple | list) else (strides or 1,)
        return self.enlarges(i) or any(stride > 1 for stride in strides)


def has_kernel(operation):
    """Whether a layer, or one in it, multiplies channels: a norm has but vectors."""
    # Its slopes may have the shape of a map.
    if isinstance(operation, keras.layers.PReLU):
        return False
    return any(len(weight.shape) > 1 for weight in getattr(operation, "weights", ()))


def is_linear(layer):
    """Whether a layer applies no activation of its own."""
    return getattr(layer, "activation", None) in (None, keras.activations.linear)


def why_no_map(node, data_format):
    """What keeps the output of a call from being a feature map; an empty string if nothing."""
    if len(node.outputs) != 1:
        return f"gives {len(node.outputs)} tensors"
    tensor = node.outputs[0]
    if "float" not in keras.backend.standardize_dtype(tensor.dtype):
        return f"gives the dtype {tensor.dtype}"
    shape = tuple(tensor.shape)
    if len(shape) not in (3, 4, 5):
        return f"gives the shape {shape}, without a spatial axis"
    if shape[channel_axis(data_format)] is None:
        return f"gives the shape {shape}, of unknown channels ({data_format})"
    return ""
