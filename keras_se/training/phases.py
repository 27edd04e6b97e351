"""Which layers are trained in which epochs, and how fast each stage."""

from collections.abc import Iterable, Iterator

import keras

from keras_se.data_format import spatial_shape
from keras_se.graph.stages import stage_of
from keras_se.recipes.recipe import BATCH_NORMS, Recipe
from keras_se.validation import check_choice


def unfreeze(
    model: keras.Model, stages: Iterable[int] | int | None = (3, 4), batch_norm: str = "inference"
) -> keras.Model:
    """Chooses which layers of a pretrained network are trained next.

    The second phase of a transfer: first a new head is trained alone (`stages=()`), then the last
    stages with it. What comes after the stages, the head, is always trained, and what comes before
    them is not, unless `stages` is `None`. Compile the model afterwards.

    Args:
        model: A network of the zoo, or a model that has one inside; changed in place.
        stages: Number or numbers of the stages to train, counted from 1: `layer3_0_conv1` is in
            stage 3, and so is `stages_2_0_conv1`. `None` for the whole network.
        batch_norm: What the batch norms of these stages do: `"inference"` keeps their statistics
            and parameters, `"train"` changes both, `"reestimate"` only the statistics. Others
            keep both.

    Returns:
        `model`.

    Raises:
        ValueError: If there is no such stage, or `batch_norm` is not one of the above.

    Example:
    >>> from keras_se.applications import SEResNet18
    >>> model = SEResNet18(weights=None, classes=3, input_shape=(64, 64, 3))
    >>> unfreeze(model, stages=(4,)).compile("sgd", "categorical_crossentropy")
    >>> sorted({weight.path.split("_")[0] for weight in model.trainable_weights})
    ['fc/bias', 'fc/kernel', 'layer4']
    """
    check_choice("batch_norm", batch_norm, BATCH_NORMS)
    layers = [layer for layer in _flatten(model) if layer.weights]
    numbers = [stage_of(layer.name) for layer in layers]
    last = max((i for i, number in enumerate(numbers) if number is not None), default=-1)
    everything = stages is None
    stages = {stages} if isinstance(stages, int) else set(stages or ())
    if missing := stages - set(numbers):
        legal = sorted(set(numbers) - {None})
        if not legal:
            raise ValueError(f"`model` ({model.name!r}) has no network of keras_se inside.")
        raise ValueError(f"`stages` must be among {legal}. Received: {sorted(missing)}")
    for index, (layer, number) in enumerate(zip(layers, numbers, strict=True)):
        layer.trainable = everything or index > last or number in stages
        if layer.trainable and isinstance(layer, keras.layers.BatchNormalization):
            _set_batch_norm(layer, batch_norm)
    return model


def _flatten(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """The layers of a model, those of models inside it in their place."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            layer.trainable = True
            yield from _flatten(layer)
        else:
            yield layer


def _set_batch_norm(layer, mode):
    layer.trainable = mode != "inference"
    # Its statistics change as long as the layer as a whole is trained.
    for variable in (layer.gamma, layer.beta):
        if variable is not None and mode != "inference":
            variable.trainable = mode == "train"


def phase_ends(recipe: Recipe) -> list[int]:
    """Returns the epochs before which what is trained changes, and the last.

    Args:
        recipe: The `Recipe`.

    Returns:
        A rising list of numbers of epochs that ends with `recipe.epochs`.
    """
    ends = {recipe.head_epochs, recipe.epochs - recipe.frozen_norm_epochs, recipe.epochs}
    return sorted(ends - {0})


def classifier(network: keras.Model) -> keras.layers.Layer:
    """Returns the last layer of `network` that has weights."""
    return [layer for layer in network.layers if layer.weights][-1]


def set_trainable(recipe: Recipe, network: keras.Model, epoch: int) -> None:
    """Freezes and thaws the layers for an epoch.

    A batch norm that is frozen normalizes by the statistics it has and does not change them, as
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
        layer.trainable = layer is head or not head_only
        if layer.trainable and isinstance(layer, keras.layers.BatchNormalization):
            _set_batch_norm(layer, "inference" if last else recipe.batch_norm)


def distance_from_head(network: keras.Model) -> dict[str, int]:
    """Counts how many stages each layer with weights is away from the classifier.

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
    sides = {
        layer.name: spatial_shape(layer.output.shape)[0] if len(layer.output.shape) == 4 else 0
        for layer in network.layers
        if layer.weights
    }
    order = sorted(set(sides.values()) | {0})
    return {name: order.index(side) for name, side in sides.items()}
