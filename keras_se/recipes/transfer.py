"""Training on other classes from weights, with images prepared as the weights want them."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from keras_se.recipes.recipe import Recipe, override
from keras_se.recipes.run_files import preprocessing_beside

# Fields of a recipe that a `Preprocessing` has too.
RESIZING = ("size", "crop", "crop_mode", "interpolation")

TRANSFER = Recipe(
    about="""SE-ResNet-50 from ImageNet weights to your own classes, first its classifier, then all.

    keras-se transfer seresnet50 --data folder:PATH --out runs/mine
    Ours, after common practice: three epochs for the new classifier alone, then all layers, each
    stage at 0.7 of the rate of the next one, batch norms as they came. Not measured.
    """,
    network="SEResNet50",
    data="fake",
    size=224,
    crop=0.875,
    epochs=15,
    batch_size=32,
    optimizer="sgd",
    learning_rate=0.01,
    momentum=0.9,
    weight_decay=1e-3,
    schedule="cosine",
    warmup_epochs=1,
    augment=("resized_crop(0.35)", "flip"),
    label_smoothing=0.1,
    normalize="imagenet",
    weights="imagenet",
    head_epochs=3,
    layer_decay=0.7,
    batch_norm="inference",
    twin=False,
)


def known_preprocessing(
    application: "Application",  # noqa: F821 (imports Keras)
    weights: str,
) -> "Preprocessing | None":  # noqa: F821
    """Finds out how the images were prepared that weights were trained on.

    That is known of a tag and of the address of its source, and of a file beside the `recipe.json`
    of the run that wrote it.

    Args:
        application: The network.
        weights: A tag, `hf://owner/repo`, an `https://` address or a file.

    Returns:
        The `Preprocessing`, or `None` if it is not known.

    Raises:
        ValueError: If the weights are neither a tag nor an address nor a file.
    """
    from keras_se.weights import find_weights

    if Path(weights).is_file():
        return preprocessing_beside(weights)
    rows = application.weights
    if "://" in weights:
        source = weights.removeprefix("hf://")
        row = next((row for row in rows if source == row.source), None)
    else:
        row = find_weights(weights, rows, network=application.name)
    return row and row.preprocessing


def _weights_preprocessing(recipe):
    """What is known of the weights of a recipe, or `None`."""
    from keras_se.applications import get_model

    return recipe.weights and known_preprocessing(get_model(recipe.network), recipe.weights)


def require_normalization(recipe: Recipe) -> None:
    """Checks that a recipe normalizes images as its weights want it, if that is known.

    Args:
        recipe: The `Recipe`.

    Raises:
        ValueError: If it normalizes them otherwise.
    """
    from keras_se.preprocessing import normalization_name

    expected, own = _weights_preprocessing(recipe), recipe.preprocessing
    if expected and (expected.mean, expected.std) != (own.mean, own.std):
        name = normalization_name(expected.mean, expected.std)
        raise ValueError(
            f"`normalize` must be {name!r}, with which weights={recipe.weights!r} "
            f"of {recipe.network} were trained. Received: normalize={recipe.normalize!r}"
        )


def transfer(network: str, weights: str, assignments: Sequence[str] = ()) -> Recipe:
    """Fits the recipe `transfer` to a network with weights.

    Args:
        network: The network's name.
        weights: What to start from: a tag, `hf://owner/repo`, an `https://` address or a file.
        assignments: What else to change, as `override` takes it. Without assignments to
            `normalize`, `size`, `crop`, `crop_mode` and `interpolation` these are as the weights
            want them.

    Returns:
        The `Recipe`.

    Raises:
        ValueError: If an assignment is not legal, `normalize` is not that of the weights, or must
            be set because it is not known.

    Example:
    >>> transfer("seresnet20", "cifar10").normalize
    'cifar10'
    """
    from keras_se.preprocessing import normalization_name

    about = TRANSFER.about.replace(
        "SE-ResNet-50 from ImageNet weights", f"{network} from {weights}"
    )
    base = dataclasses.replace(TRANSFER, about=about, network=network, weights=str(weights))
    recipe = override(base, assignments)
    known = _weights_preprocessing(recipe)
    if known:
        fields = {name: getattr(known, name) for name in RESIZING}
        fields["normalize"] = normalization_name(known.mean, known.std)
        recipe = override(dataclasses.replace(base, **fields), assignments)
    elif recipe.weights and not any(text.startswith("normalize=") for text in assignments):
        raise ValueError(
            "`normalize` must be set: it is not known how the images were prepared that "
            f"weights={recipe.weights!r} were trained on. Received: no normalize=..."
        )
    require_normalization(recipe)
    return recipe
