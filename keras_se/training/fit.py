"""From a recipe to trained networks, their files and their numbers, one function per verb."""

import json
import time

import keras
import numpy as np

from keras_se import data
from keras_se.applications import find
from keras_se.training import report
from keras_se.training.augment import augmentation
from keras_se.training.folder import MODELS, finished, prepare, write

# The weights of norms and the biases. Keras shows its optimizers "gamma" or, on the TensorFlow
# backend, "bn1/gamma:0".
NOT_DECAYED = (r"(^|/)(gamma|beta|bias)(:\d+)?$",)


def train(recipe, out, overwrite=False):
    """Trains the network of a recipe and, if the recipe says so, its plain twin.

    The held-out images are only watched: what counts are the weights after the last epoch.
    Prints Keras's progress and ends with a table. Writes into `out`:

    * `recipe.json`, `model.keras`, `history.csv`, `curves.png`;
    * `twin.keras` and `twin_history.csv` of the plain twin;
    * `saved_model`, a TensorFlow SavedModel compared with the network (TensorFlow backend only);
    * `results.json`, the last, with what this function returns.

    All but the histories, which grow by a line each epoch, are there only when complete.

    Args:
        recipe: The `Recipe`.
        out: Folder to write to, made if it is not there.
        overwrite: Whether to delete the run that is there already.

    Returns:
        A dictionary with `networks` (for each name, `test_accuracy` in percent, `parameters`
        that are trainable, `mflops` in millions of multiply-adds for one image, and `seconds` of
        training with compilation), `difference` (the same, SE minus plain, or `None`),
        `saved_model_difference` (largest absolute difference of the outputs, or `None`),
        `train_images` and `test_images` (how many), `backend` and `keras` (its version).

    Raises:
        ValueError: If the recipe does not fit its data or network, a package is missing, or the
            loss became infinite or not a number, in which case that network is not saved.
        OSError: If `out` is not a folder, cannot be written, or holds a run.
    """
    report.require_matplotlib()
    dataset = data.load(recipe.data, size=recipe.size)
    networks = _build_all(recipe, dataset)
    # Only to have it refuse a batch size before an earlier run is deleted.
    data.Batches(dataset.train_images, dataset.train_labels, recipe.batch_size)
    folder = prepare(out, overwrite)
    write(folder / "recipe.json", recipe.to_json())
    rows, histories = {}, {}
    for (name, network), (model_file, history_file) in zip(networks.items(), MODELS, strict=False):
        print(f"Training {name}", flush=True)
        histories[name], seconds = fit(recipe, network, dataset, folder / history_file)
        with finished(folder / model_file) as path:
            network.save(path)
        rows[name] = report.measure(network, dataset) | {"seconds": seconds}
    with finished(folder / "curves.png") as path:
        report.curves(histories, path)
    results = {
        "networks": rows,
        "difference": report.difference(*rows.values()) if recipe.twin else None,
        "saved_model_difference": report.export(
            next(iter(networks.values())), folder / "saved_model"
        ),
        "train_images": len(dataset.train_labels),
        "test_images": len(dataset.test_labels),
        "backend": keras.backend.backend(),
        "keras": keras.__version__,
    }
    write(folder / "results.json", json.dumps(results, indent=2) + "\n")
    print(report.table(rows), flush=True)
    return results


def build(recipe, dataset, se=True):
    """Builds the network of a recipe with random weights, which the recipe's seed fixes.

    Args:
        recipe: The `Recipe`.
        dataset: The `keras_se.data.Dataset` that gives the shape of an image and the classes.
        se: `True` for the network with SE, `False` for its plain twin.

    Returns:
        A functional `keras.Model`. Keras's random generators are left at the recipe's seed.

    Raises:
        ValueError: If the images are too small for the network.
    """
    application, _ = find(recipe.network)
    keras.utils.set_random_seed(recipe.seed)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(recipe.precision)
    try:
        return application(
            weights=None,
            input_shape=dataset.image_shape,
            classes=len(dataset.class_names),
            se=se,
        )
    finally:
        keras.config.set_dtype_policy(policy)


def schedule(recipe, steps):
    """Makes the learning rate of each step.

    The rate rises linearly over the warm-up, not from zero but from one step's share, so that no
    step is lost. Then it stays, or falls as half a cosine that reaches zero after the last step.

    Args:
        recipe: The `Recipe`.
        steps: Number of steps in an epoch.

    Returns:
        A Keras learning rate schedule: a function of the step, counted from zero.
    """
    warmup = recipe.warmup_epochs * steps
    rising = {"warmup_target": recipe.learning_rate, "warmup_steps": warmup} if warmup else {}
    return keras.optimizers.schedules.CosineDecay(
        recipe.learning_rate / max(warmup, 1),
        # A recipe may be all warm-up; Keras divides by this number all the same.
        decay_steps=max((recipe.epochs - recipe.warmup_epochs) * steps, 1),
        # The fraction of the rate that the cosine falls to.
        alpha=1.0 if recipe.schedule == "constant" else 0.0,
        **rising,
    )


def optimizer(recipe, steps):
    """Makes the optimizer of a recipe, which decays neither norms nor biases.

    Args:
        recipe: The `Recipe`.
        steps: Number of steps in an epoch.

    Returns:
        A Keras optimizer.
    """
    rate, decay = schedule(recipe, steps), recipe.weight_decay or None
    if recipe.optimizer == "sgd":
        made = keras.optimizers.SGD(rate, recipe.momentum, nesterov=True, weight_decay=decay)
    else:
        made = keras.optimizers.AdamW(rate, weight_decay=decay, beta_1=recipe.momentum)
    made.exclude_from_weight_decay(var_names=NOT_DECAYED)
    return made


def fit(recipe, network, dataset, history_file):
    """Trains `network` in place.

    Args:
        recipe: The `Recipe`.
        network: Model that `build` made.
        dataset: The `keras_se.data.Dataset`; its held-out images are watched, not used.
        history_file: CSV file that gets a line after each epoch: `epoch` from zero, `accuracy`
            and `loss` of the changed training images, `val_accuracy` and `val_loss` of the
            held-out ones; accuracies as fractions.

    Returns:
        The same numbers as lists by name, and the seconds that it took, compilation included.

    Raises:
        ValueError: If there are fewer training images than the recipe's batch size, or the loss
            became infinite or not a number.
    """
    classes = len(dataset.class_names)
    batches = data.Batches(
        dataset.train_images,
        keras.utils.to_categorical(dataset.train_labels, classes),
        recipe.batch_size,
        augment=augmentation(recipe.augment, recipe.seed),
        seed=recipe.seed,
    )
    network.compile(
        optimizer=optimizer(recipe, len(batches)),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=recipe.label_smoothing),
        metrics=["accuracy"],
    )
    started = time.perf_counter()
    history = network.fit(
        batches,
        epochs=recipe.epochs,
        validation_data=(
            dataset.test_images,
            keras.utils.to_categorical(dataset.test_labels, classes),
        ),
        validation_batch_size=recipe.batch_size,
        shuffle=False,
        callbacks=[keras.callbacks.TerminateOnNaN(), keras.callbacks.CSVLogger(history_file)],
    ).history
    if not np.isfinite(history["loss"] + history["val_loss"]).all():
        raise ValueError(
            f"The loss of {network.name} became infinite or not a number in epoch "
            f"{len(history['loss'])}, so it is not saved. Try a lower learning_rate than "
            f"{recipe.learning_rate:g} or more warmup_epochs than {recipe.warmup_epochs}."
        )
    return history, time.perf_counter() - started


def _build_all(recipe, dataset):
    """The networks to train by name: that of the recipe, then its twin if it is wanted."""
    application, se = find(recipe.network)
    networks = {application.name if se else application.twin: build(recipe, dataset, se)}
    if recipe.twin:
        networks[application.twin] = build(recipe, dataset, se=False)
    return networks
