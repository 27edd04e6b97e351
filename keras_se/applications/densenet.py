"""DenseNet-121, 169, 201 and 161 as timm has them.

Huang et al., https://arxiv.org/abs/1608.06993 (DenseNet-BC). DenseNet-161 has `growth=48`. SE on
them is no network of a paper: it follows every dense block, on all channels together, and every
transition, after its pooling.
"""

from keras import layers

from keras_se.applications.bricks import concat, conv, max_pool_positive, norm
from keras_se.data_format import channel_axis
from keras_se.validation import check_positive


def densenet(x, se, *, depths, growth=32):
    """Dense blocks of `depths` layers, `growth` filters each, with halving transitions between."""
    growth = check_positive("growth", growth, integer=True)
    depths = [check_positive(f"depths[{i}]", depth, integer=True) for i, depth in enumerate(depths)]
    x = norm(
        conv(x, 2 * growth, 7, strides=2, name="features_conv0"), "relu", name="features_norm0"
    )
    x = max_pool_positive(x, name="features_pool0")
    for number, depth in enumerate(depths, start=1):
        if number > 1:
            name = f"features_transition{number - 1}"
            x = _transition(x, name=name)
            x = se(name=f"{name}_se")(x) if se else x
        name = f"features_denseblock{number}"
        for layer in range(1, depth + 1):
            x = _dense_layer(x, growth, name=f"{name}_denselayer{layer}")
        x = se(name=f"{name}_se")(x) if se else x
    return norm(x, "relu", name="features_norm5")


def _dense_layer(x, growth, *, name):
    """The channels of `x`, and `growth` more that a 1x1 and a 3x3 convolution make of them."""
    new = norm(x, "relu", name=f"{name}_norm1")
    new = norm(conv(new, 4 * growth, 1, name=f"{name}_conv1"), "relu", name=f"{name}_norm2")
    new = conv(new, growth, 3, name=f"{name}_conv2")
    # The old channels first, as in timm; and Keras, which walks the graph recursively, inputs in
    # order, then finds the way to the image by the concatenations alone, which is short enough.
    return concat([x, new], name=f"{name}_concat")


def _transition(x, *, name):
    """A 1x1 convolution to half the channels, and the means of 2x2 pixels."""
    filters = x.shape[channel_axis()] // 2
    x = conv(norm(x, "relu", name=f"{name}_norm"), filters, 1, name=f"{name}_conv")
    # timm leaves out what does not fill a window.
    return layers.AveragePooling2D(2, name=f"{name}_pool")(x)
