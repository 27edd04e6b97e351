"""Recipes that start from weights, whose images are prepared as the weights want them."""

from pathlib import Path

from keras_se.applications import find
from keras_se.augmentation import NORMALIZATIONS
from keras_se.recipes import TRANSFER
from keras_se.recipes.recipe import override
from keras_se.training.run_folder import recipe_beside
from keras_se.weights import find as find_row

# Fields of a recipe that rows of weights have too.
RESIZED = ("size", "crop", "interpolation")
NAMES = {statistics: name for name, statistics in NORMALIZATIONS.items()}


def preprocessing(recipe):
    """How the images were prepared that a recipe's weights were trained on.

    That is known of a tag and of the `hf://` source of one, and of a file beside the
    `recipe.json` of the run that wrote it.

    Args:
        recipe: The `Recipe`.

    Returns:
        A dictionary with the values of the fields `normalize`, `size`, `crop` and
        `interpolation`, or `None` if they are not known or there are no weights.

    Raises:
        ValueError: If the weights are neither a tag nor `hf://` nor a file.
    """
    weights = recipe.weights
    if not weights:
        return None
    if Path(weights).is_file():
        before = recipe_beside(weights)
        return before and {name: getattr(before, name) for name in ("normalize", *RESIZED)}
    application, se = find(recipe.network)
    rows = application.pretrained_weights(se)
    if weights.startswith("hf://"):
        row = next((row for row in rows if weights == f"hf://{row.source}"), None)
    else:
        row = find_row(weights, rows, network=application.name if se else application.twin)
    resized = row and {name: getattr(row, name) for name in RESIZED}
    return row and {"normalize": NAMES[row.mean, row.std], **resized}


def require_normalization(recipe):
    """Raises a `ValueError` if a recipe normalises otherwise than its weights are known to want."""
    wanted = preprocessing(recipe)
    if wanted and wanted["normalize"] != recipe.normalize:
        raise ValueError(
            f"`normalize` must be {wanted['normalize']!r}, with which weights={recipe.weights!r} "
            f"of {recipe.network} were trained. Received: normalize={recipe.normalize!r}"
        )


def transfer(network, weights, assignments=()):
    """Fits the recipe `transfer` to a network with weights.

    Args:
        network: The network's name.
        weights: What to start from: a tag, `hf://owner/repo` or a file.
        assignments: What else to change, as `override` takes it. Without assignments to
            `normalize`, `size`, `crop` and `interpolation` these are as the weights want them.

    Returns:
        The `Recipe`.

    Raises:
        ValueError: If an assignment is not legal, `normalize` is not that of the weights, or must
            be given because it is not known.

    Example:
    >>> transfer("seresnet20", "cifar10").normalize
    'cifar10'
    """
    named = [f"network={network}", f"weights={weights}"]
    recipe = override(TRANSFER, [*named, *assignments])
    known = preprocessing(recipe)
    if known is None and recipe.weights and not _given("normalize", assignments):
        legal = f"given as one of {', '.join(NORMALIZATIONS)}"
        raise ValueError(
            f"`normalize` must be {legal}: it is not known how the images were prepared that "
            f"weights={recipe.weights!r} were trained on."
        )
    known = [f"{name}={value}" for name, value in (known or {}).items()]
    recipe = override(TRANSFER, [*named, *known, *assignments])
    require_normalization(recipe)
    return recipe


def _given(name, assignments):
    return any(one.partition("=")[0] == name for one in assignments)
