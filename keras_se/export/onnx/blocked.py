"""Gates that ONNX Runtime multiplies without leaving the layout of its convolutions.

ONNX Runtime's convolutions keep the channels of a pixel together in blocks. Of the products and
sums only those of maps of one shape know that layout, so each gate costs a copy of the map out of
it and one back, and the sum and the ReLU that would be part of a convolution become passes of their
own. Two changes, both exact, keep all of it in the layout: the gates are enlarged to the size of
the map, for which that size must be known when the file is written, and the product goes through a
convolution of each channel with a kernel of one, which takes on the sum and the ReLU. For the sum
ONNX Runtime makes a copy unless the session knows the batch, by
`SessionOptions.add_free_dimension_override_by_name("batch", 8)`.
"""

import numpy as np


def enlarged(graph, tensor, shape, target_shape):
    """One factor of a product: gates of one pixel at the size of the map, if that is known.

    Args:
        graph: The `Graph`, which is left as it is unless it is `blocked`.
        tensor: Name of the factor.
        shape: Its shape, channels first.
        target_shape: The shape of the product.

    Returns:
        Name of the factor, enlarged or as it was.
    """
    sides = target_shape[2:]
    if not graph.blocked or len(shape) != 4 or shape[2:] != (1, 1) or sides == (1, 1):
        return tensor
    if None in sides:
        return tensor
    scales = graph.constant(np.array([1, 1, *sides], "float32"), f"{tensor}/size")
    larger = graph.node(
        "Resize",
        [tensor, "", scales],
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )
    # ONNX Runtime does not see by itself that the batch is that of the map.
    return graph.declare(larger, (shape[1], *sides))


def summands(graph, node, tensors):
    """The tensors of a sum, of which one product with `enlarged` gates goes through a convolution.

    If another one is the result of a convolution already, that one takes on the sum.
    """
    shape = graph.shape(node.outputs[0])
    gated = [
        _is_gated(graph, tensor) and graph.shape(keras_tensor) == shape
        for tensor, keras_tensor in zip(tensors, node.input_tensors, strict=True)
    ]
    if not any(gated) or "Conv" in map(graph.kind, tensors):
        return tensors
    index = gated.index(True)
    kernel = graph.constant(np.ones((shape[1], 1, 1, 1)), f"{tensors[index]}/one")
    convolved = graph.node("Conv", [tensors[index], kernel], group=shape[1], kernel_shape=[1, 1])
    return [*tensors[:index], convolved, *tensors[index + 1 :]]


def _is_gated(graph, tensor):
    kinds = map(graph.kind, graph.producers[tensor].input) if graph.kind(tensor) == "Mul" else ()
    return graph.blocked and "Resize" in kinds
