"""From a recipe to untrained networks."""

import keras

from keras_se.applications import get_model
from keras_se.surgery.drop_path import add_drop_path
from keras_se.training.phases import classifier


def build(recipe, dataset, se=True):
    """Builds the network of a recipe, with its `weights` or random ones that its seed fixes.

    A classifier that is to be trained first, by itself, is a new one.

    Args:
        recipe: The `Recipe`.
        dataset: The `keras_se.data.Dataset` that gives the shape of an image and the classes.
        se: `True` for the network with SE, `False` for its plain twin.

    Returns:
        A functional `keras.Model`. Keras's random generators are left at the recipe's seed.

    Raises:
        ValueError: If the images are too small for the network, or the weights do not fit.
        OSError: If the weights cannot be read or downloaded.
    """
    application = get_model(recipe.network)
    keras.utils.set_random_seed(recipe.seed)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(recipe.precision)
    try:
        network = application(
            weights=recipe.weights or None,
            input_shape=dataset.image_shape,
            classes=len(dataset.class_names),
            classifier_activation="sigmoid" if recipe.loss == "bce" else "softmax",
            se=se,
        )
        if recipe.weights and recipe.head_epochs:
            _draw(classifier(network))
        if recipe.stochastic_depth:
            network = add_drop_path(network, recipe.stochastic_depth, recipe.seed)
        return network
    finally:
        keras.config.set_dtype_policy(policy)


def _draw(layer):
    """Gives a layer the random weights that it had before others were loaded."""
    for name in ("kernel", "bias"):
        variable, initializer = getattr(layer, name), getattr(layer, f"{name}_initializer")
        variable.assign(initializer(variable.shape, dtype=variable.dtype))


def build_all(recipe, dataset):
    """Builds all networks that a recipe trains.

    Args:
        recipe: The `Recipe`.
        dataset: As `build` takes it.

    Returns:
        A dictionary from their names to pairs of a network, made by `build`, and its `se`: first
        the recipe's own, then its twin if it is wanted.
    """
    application = get_model(recipe.network)
    wanted = {application.name: not application.is_twin}
    if recipe.twin:
        wanted[application.twin.name] = False
    return {name: (build(recipe, dataset, se), se) for name, se in wanted.items()}
