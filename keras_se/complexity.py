"""What a network costs: multiply-adds and parameters."""

import math

import keras

from keras_se.layers import SqueezeExcite

KERNEL_LAYERS = (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.Dense,
    keras.layers.DepthwiseConv2D,
)


def multiply_adds(model, image_shape):
    """Counts the multiply-adds of one image through `model`.

    As in the paper's tables, these are the products of convolutions and dense layers, those of
    the gates included; normalisation, pooling, sums and activations count nothing. The paper and
    Keras users call them FLOPs, though each is a product and a sum.

    Args:
        model: Functional Keras model of one image input.
        image_shape: Shape of one image, such as `(224, 224, 3)`, in pixels.

    Returns:
        The number of multiply-adds, an integer.

    Raises:
        ValueError: If a layer has a kernel that this function does not know how to count.

    Example:
    >>> from keras_se.applications import SEResNet20
    >>> multiply_adds(SEResNet20(weights=None, classes=10), (32, 32, 3))
    40815200
    """
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    probe = keras.Model(model.inputs, [layer.output for layer in layers])
    shapes = probe.compute_output_shape((1, *image_shape))
    return sum(_of_layer(layer, shape) for layer, shape in zip(layers, shapes, strict=True))


def trainable_parameters(model):
    """Counts the trainable parameters, as papers do: without the statistics of batch norm."""
    return sum(math.prod(weight.shape) for weight in model.trainable_weights)


def _of_layer(layer, output_shape):
    if isinstance(layer, keras.Model):
        raise ValueError(f"multiply_adds does not count the nested model {layer.name!r}.")
    if isinstance(layer, SqueezeExcite):
        return math.prod(layer.fc1.kernel.shape) + math.prod(layer.fc2.kernel.shape)
    if not isinstance(layer, KERNEL_LAYERS):
        if any(len(weight.shape) > 1 for weight in layer.trainable_weights):
            kind = type(layer).__name__
            raise ValueError(f"multiply_adds does not count {kind} layers ({layer.name!r}).")
        return 0
    first = getattr(layer, "data_format", None) == "channels_first"
    positions = math.prod(output_shape[2:] if first else output_shape[1:-1])
    return positions * math.prod(layer.kernel.shape)
