"""Turns a recipe into what will run: names are looked up and texts parsed once, here."""

from collections.abc import Callable
from dataclasses import dataclass

import keras

from keras_se import data
from keras_se.applications import get_model
from keras_se.applications.application import Application
from keras_se.augmentation import split_crop
from keras_se.data import Dataset
from keras_se.preprocessing import Preprocessing
from keras_se.recipes.recipe import Recipe, illegal
from keras_se.recipes.transfer import require_normalization
from keras_se.training.excitation import with_se
from keras_se.training.phases import classifier

JIT_COMPILE = {"auto": "auto", "on": True, "off": False}


@dataclass(frozen=True, eq=False)
class Run:
    """What a recipe trains, with everything looked up.

    Attributes:
        recipe: The `Recipe`.
        dataset: The `keras_se.data.Dataset` of its images.
        applications: The networks by name: first the recipe's own, then its twin if it is wanted.
        preprocessing: How the images of files are prepared, for predictions and exports too.
        min_area: Smallest area of the boxes that the pipeline cuts out of files at random, as a
            fraction of the picture, or `None`.
        augmentations: The parsed augmentations that the step applies: all but those cuts.
        jit_compile: What `model.compile` takes.
        se: What makes the gates, as the builders' `se`, or `None` for the network's own.
    """

    recipe: Recipe
    dataset: Dataset
    applications: dict[str, Application]
    preprocessing: Preprocessing
    min_area: float | None
    augmentations: tuple
    jit_compile: bool | str
    se: Callable | None = None

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.dataset.class_names)


def resolve(recipe: Recipe, dataset: Dataset | None = None, workers: int = 0) -> Run:
    """Looks up everything that a recipe names, and loads its data.

    Args:
        recipe: The `Recipe`.
        dataset: The images, if they are not to be loaded by the recipe's `data`.
        workers: How many processes decode them; see `keras_se.data.load`.

    Returns:
        The `Run`.

    Raises:
        ValueError: If a name is not known, the network has no twin to train, there are fewer
            images than in a batch, or they would be normalized otherwise than the weights want it.
        OSError: If the data cannot be read.

    Example:
    >>> from keras_se.recipes import DIGITS
    >>> run = resolve(DIGITS)
    >>> list(run.applications), run.classes
    (['SEResNet20', 'ResNet20'], 10)
    """
    data.check(recipe.data)
    area, augmentations = split_crop(recipe.augmentations)
    preprocessing = recipe.preprocessing
    application, se = with_se(get_model(recipe.network), recipe.se)
    applications = {application.name: application}
    if recipe.twin:
        if application.is_twin:
            raise illegal("twin", recipe.twin, f"false for {recipe.network!r}, a twin itself")
        applications[application.twin.name] = application.twin
    require_normalization(recipe)
    if dataset is None:
        dataset = data.load(
            recipe.data,
            size=recipe.size,
            preprocessing=preprocessing,
            decode_train=area is None,
            workers=workers,
        )
    data.check_batch_size(recipe.batch_size, len(dataset.train_images))
    # Files are cut before they are made smaller, arrays within the step.
    from_files = isinstance(dataset.train_images, data.LazyImages)
    return Run(
        recipe=recipe,
        dataset=dataset,
        applications=applications,
        preprocessing=preprocessing,
        min_area=area if from_files else None,
        augmentations=augmentations if from_files else recipe.augmentations,
        jit_compile=JIT_COMPILE[recipe.xla],
        se=se,
    )


def build(run: Run, name: str | None = None) -> keras.Model:
    """Builds a network of a run, with the recipe's `weights` or random ones that its seed fixes.

    A classifier that is to be trained first, by itself, is a new one.

    Args:
        run: The `Run`.
        name: Which of `run.applications`; by default the recipe's own network.

    Returns:
        A functional `keras.Model`. Keras's random generators are left at the recipe's seed.

    Raises:
        ValueError: If the images are too small for the network, or the weights do not fit.
        OSError: If the weights cannot be read or downloaded.
    """
    recipe = run.recipe
    application = run.applications[name or next(iter(run.applications))]
    keras.utils.set_random_seed(recipe.seed)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(recipe.precision)
    try:
        network = application(
            weights=recipe.weights or None,
            input_shape=run.dataset.image_shape,
            classes=run.classes,
            classifier_activation="sigmoid" if recipe.loss == "bce" else "softmax",
            drop_path=recipe.drop_path,
            se=None if application.is_twin else run.se,
        )
    finally:
        keras.config.set_dtype_policy(policy)
    if recipe.weights and recipe.head_epochs:
        _initialize(classifier(network))
    network.preprocessing = run.preprocessing
    network.class_names = tuple(run.dataset.class_names)
    return network


def _initialize(layer):
    """Gives a layer the random weights that it had before others were loaded."""
    for name in ("kernel", "bias"):
        variable, initializer = getattr(layer, name), getattr(layer, f"{name}_initializer")
        variable.assign(initializer(variable.shape, dtype=variable.dtype))
