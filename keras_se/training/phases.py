"""Which layers are trained in which epochs, and how fast each stage."""

import keras


def phase_ends(recipe):
    """The epochs before which what is trained changes, and the last.

    Args:
        recipe: The `Recipe`.

    Returns:
        A rising list of numbers of epochs that ends with `recipe.epochs`.
    """
    ends = {recipe.head_epochs, recipe.epochs - recipe.frozen_norm_epochs, recipe.epochs}
    return sorted(ends - {0})


def classifier(network):
    """The last layer of `network` that has weights."""
    return [layer for layer in network.layers if layer.weights][-1]


def set_trainable(recipe, network, epoch):
    """Freezes and thaws the layers for an epoch.

    A batch norm that is frozen normalises by the statistics it has and does not change them, as
    Keras does it.

    Args:
        recipe: The `Recipe`.
        network: The `keras.Model`, changed in place; compile it afterwards.
        epoch: Number of the epoch, from zero.
    """
    head = classifier(network)
    head_only = epoch < recipe.head_epochs
    last = epoch >= recipe.epochs - recipe.frozen_norm_epochs
    for layer in network.layers:
        is_norm = isinstance(layer, keras.layers.BatchNormalization)
        frozen = is_norm and (last or recipe.batch_norm == "inference")
        layer.trainable = layer is head or not (head_only or frozen)
        if is_norm and recipe.batch_norm == "reestimate":
            # Its statistics still change, since the layer as a whole is trained.
            layer.gamma.trainable = layer.beta.trainable = False


def distance_from_head(network):
    """How many stages each layer with weights is away from the classifier.

    A stage are the layers whose images have the same size.

    Args:
        network: Functional `keras.Model` of images of a fixed size.

    Returns:
        Dictionary from the name of a layer to an integer; 0 for the layers without images, the
        classifier.

    Example:
    >>> from keras_se.applications import SEResNet20
    >>> model = SEResNet20(weights=None, classes=10)
    >>> stages = distance_from_head(model)
    >>> stages["fc"], stages["layer3_0_conv1"], stages["layer1_0_conv1"]
    (0, 1, 3)
    """
    axis = 2 if keras.config.image_data_format() == "channels_first" else 1
    sides = {
        layer.name: layer.output.shape[axis] if len(layer.output.shape) == 4 else 0
        for layer in network.layers
        if layer.weights
    }
    order = sorted(set(sides.values()) | {0})
    return {name: order.index(side) for name, side in sides.items()}
