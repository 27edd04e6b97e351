"""Trains the networks of a recipe, one function per verb."""

import contextlib
import json
import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from keras_se import data
from keras_se.augmentation import BatchAugmentation
from keras_se.distribution import devices
from keras_se.distribution.devices import ProcessShard
from keras_se.evaluation import report
from keras_se.evaluation.evaluate import outputs
from keras_se.files import atomic_path, write_text
from keras_se.formatting import printable
from keras_se.recipes import run_files
from keras_se.recipes.recipe import Recipe
from keras_se.recipes.run_files import NETWORKS, NetworkFiles
from keras_se.training import results
from keras_se.training.augmented_model import AugmentedModel
from keras_se.training.checkpoint import Checkpoint, State, save_model, save_part, write_history
from keras_se.training.optimizer import loss, optimizer
from keras_se.training.phases import phase_ends, set_trainable
from keras_se.training.resolve import Run, build, resolve
from keras_se.training.run_folder import prepare, require_space
from keras_se.validation import require_packages

LOG = logging.getLogger("keras_se")


def train(
    recipe: Recipe,
    out: str | os.PathLike,
    overwrite: bool = False,
    resume: bool = False,
    tensorboard: bool = False,
    shard: ProcessShard | None = None,
    workers: int = 0,
) -> dict | None:
    """Trains the network of a recipe and, if the recipe says so, its plain twin.

    The held-out images are only watched: what counts are the weights after the last epoch.
    Prints Keras's progress, and at the end a table and where everything is. Writes into `out`:

    * `recipe.json`, `class_names.txt` (a line for each class), `model.keras`, `best.keras` (of the
      epoch that did best on the held-out images, so its accuracy on them flatters it),
      `history.csv`, `curves.png`, `report.html`;
    * `twin.keras`, `twin_best.keras` and `twin_history.csv` of the plain twin;
    * `saved_model`, a TensorFlow SavedModel compared with the network (TensorFlow backend only);
    * `results.json` with what this function returns, before the report and the SavedModel;
    * until the end `state.npz` and `twin_state.npz`, from which a run that was killed goes on.

    All but the histories, which grow by a line each epoch, are there only when complete. If the
    report or the SavedModel cannot be written, a warning says so and the states stay: `resume`
    tries again. While a run is going on, it has locked `.lock` in its folder, so that another one
    into it is refused; the system unlocks it when the process ends, however it does.

    Args:
        recipe: The `Recipe`; with `resume`, that of the run.
        out: Folder to write to, made if it is not there.
        overwrite: Whether to delete the run that is there already.
        resume: Whether to go on with the run that is there, from its last complete epoch. The
            result is that of a run that was never stopped.
        tensorboard: Whether to write logs for TensorBoard into `out/tensorboard` as well.
        shard: Which of several processes this is, as `devices.initialize` returns it. Only the
            first one writes; the others, whose `out` must be the same folder, only read what it
            resumes. Within `processes.stop_all_on_failure`, none of them waits for one that has
            failed.
        workers: How many processes decode image files, which changes no result; zero for threads.
            See `keras_se.data.load`.

    Returns:
        A dictionary with `networks` (for each name, `test_accuracy` of the last epoch and
        `best_accuracy` of the best one in percent, `best_epoch` from 1, `parameters` that are
        trainable, `mflops` in millions of multiply-adds for one image, and `seconds` of training
        with compilation), `difference` (SE minus plain, or `None`), `saved_model_difference`
        (largest absolute difference of the outputs, or `None`), `not_written` (why, by the name of
        what could not be written), `train_images` and `test_images` (how many), `backend` and
        `keras` (its version). `None` in all processes but the first.

    Raises:
        ValueError: If the recipe does not fit its data or network, or the run to go on with; or
            the loss became infinite or not a number: then only what there was after the last good
            epoch is saved.
        ImportError: If a package is missing.
        OSError: If `out` is not a folder, cannot be written, has too little space, holds a run, or
            one that another process is training; or another process has stopped.
    """
    shard = shard or ProcessShard()
    require_packages("The report", "matplotlib")
    if tensorboard:
        require_packages("TensorBoard's log", "tensorboard", "tensorflow")
    run = resolve(recipe, workers=workers)
    labels = np.asarray(run.dataset.train_labels).tolist()
    devices.check_agreement(shard, recipe=recipe.to_json(), data=labels)
    with devices.distribution_scope(recipe.batch_size):
        networks = {name: build(run, name) for name in run.applications}
    if shard.process_index:
        return _train_without_files(run, networks, Path(out), resume, shard)
    with prepare(out, overwrite, recipe if resume else None) as folder:
        return _train_into(run, networks, folder, tensorboard, shard)


def _train_into(run, networks, folder, tensorboard, shard):
    """What the first process does; `folder` is locked."""
    require_space(folder, sum(network.count_params() for network in networks.values()))
    states = _begin(run, folder)
    trained = {}
    for (name, network), files in zip(networks.items(), NETWORKS, strict=False):
        logs = folder / run_files.TENSORBOARD / name if tensorboard else None
        print(f"Training {name}", flush=True)
        paths = NetworkFiles(*(folder / file for file in files))
        # A state holds all variables of a network, and is not kept beside that of the next one.
        trained[name] = _train_network(run, name, network, states.pop(0), paths, logs, shard)
    return _finish(run, folder, trained)


def _begin(run, folder):
    """Reads the states to go on from, of the same data, and writes what the run is of."""
    summary = run.dataset.summary()
    states = [State(folder / files.state, summary) for files in NETWORKS]
    for state in states:
        state.read(run.recipe.epochs)
    class_names = "".join(f"{name}\n" for name in run.dataset.class_names)
    write_text(folder / run_files.CLASS_NAMES, class_names)
    write_text(folder / run_files.RECIPE, run.recipe.to_json())
    return states


def _finish(run, folder, trained):
    """Writes the results of a run whose networks are trained, and then what shows them."""
    numbers = results.summarize(run, {name: result.row for name, result in trained.items()})
    # Hours of training are not lost with a picture: first what cannot be had again.
    _write_results(folder, numbers)
    writers = {run_files.SAVED_MODEL: _export, run_files.REPORT: _write_report}
    for name, write in writers.items():
        try:
            write(run, folder, trained, numbers)
        except Exception as error:  # whatever TensorFlow, matplotlib or the disk have to say
            numbers["not_written"][name] = printable(str(error) or type(error).__name__)
            LOG.warning(
                "The run in %s is complete, but for %s, which could not be written: %s. Train with "
                "--resume to try again.",
                *(folder, name, numbers["not_written"][name]),
            )
    _write_results(folder, numbers)
    if not numbers["not_written"]:
        for files in NETWORKS:
            (folder / files.state).unlink(missing_ok=True)
    report.print_skipped(run.dataset)
    print(results.table(numbers["networks"]))
    print(results.next_steps(folder, numbers), flush=True)
    return numbers


def _write_results(folder, numbers):
    write_text(folder / run_files.RESULTS, json.dumps(numbers, indent=2) + "\n")


def _export(run, folder, trained, numbers):
    """Writes the SavedModel of the first network."""
    network = next(iter(trained.values())).network
    numbers["saved_model_difference"] = results.export_saved_model(
        network, folder / run_files.SAVED_MODEL, run.dataset.class_names
    )


def _write_report(run, folder, trained, numbers):
    """Draws the curves and writes the page."""
    curves = folder / run_files.CURVES
    with atomic_path(curves) as path:
        report.curves({name: result.history for name, result in trained.items()}, path)
    sections = {name: (result.outputs, result.labels) for name, result in trained.items()}
    page = report.page(
        curves, run.recipe, run.dataset, results.table(numbers["networks"]), sections
    )
    write_text(folder / run_files.REPORT, page)


def _train_without_files(run, networks, folder, resume, shard):
    """What the processes other than the first do: the same steps, no files."""
    for network, files in zip(networks.values(), NETWORKS, strict=False):
        state = State(folder / files.state, run.dataset.summary())
        if resume:
            state.read(run.recipe.epochs)
        state.path = None
        fit(run, network, None, [Checkpoint(state)], shard)


def _train_network(run, name, network, state, files, logs, shard):
    """Trains one network and writes its files; returns what is known of it."""
    if state.record["epoch"]:
        print(f"{state.record['epoch']} of {run.recipe.epochs} epochs are done already", flush=True)
    # To assign variables that several processes share, all of them would have to.
    single_process = shard.process_count == 1
    checkpoint = Checkpoint(state, files.model, files.best if single_process else None)
    extra = [checkpoint, *([keras.callbacks.TensorBoard(logs)] if logs else [])]
    try:
        history, seconds = fit(run, network, files.history, extra, shard)
    except ValueError:
        if single_process:
            save_part(network, state, "network", files.model)
            save_part(network, state, "best", files.best)
        raise
    if devices.count() > 1:
        # On one device, the network needs no other process to compute.
        weights = network.get_weights()
        network = build(run, name)
        network.set_weights(weights)
    save_model(network, files.model)
    save_part(network, state, "best", files.best)
    scores, labels = outputs(network, run.dataset, run.preprocessing, run.recipe.batch_size)
    row = results.measure(network, run, scores, labels, history) | {"seconds": seconds}
    return results.Trained(network, history, scores, labels, row)


def fit(
    run: Run,
    network: keras.Model,
    history_file: Path | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    shard: ProcessShard | None = None,
) -> tuple[dict, float]:
    """Trains a network in place.

    Args:
        run: The `Run`; the held-out images of its dataset are watched, not used.
        network: Model that `build` made.
        history_file: CSV file that gets a line after each epoch: `epoch` from zero, `accuracy`
            and `loss` of the changed training images, `val_accuracy` and `val_loss` of the
            held-out ones; accuracies as fractions. A mixed image counts as right if it is taken
            for the class with the largest share in it, as in Keras; timm gives no such number.
        callbacks: Keras callbacks. The first may be a `Checkpoint`: training goes on from its
            state and keeps it up to date.
        shard: As for `train`.

    Returns:
        The same numbers as lists by name, and the seconds that it took, compilation included.

    Raises:
        ValueError: If there are fewer training images than the recipe's batch size, or the loss
            became infinite or not a number.
        OSError: If another process has stopped.
    """
    shard = shard or ProcessShard()
    callbacks = list(callbacks)
    if not callbacks or not isinstance(callbacks[0], Checkpoint):
        callbacks.insert(0, Checkpoint(State()))
    state = callbacks[0].state
    callbacks[0].history_file = history_file
    if history_file:
        write_history(history_file, state.record["history"])
    if run.recipe.ema_decay:
        callbacks.append(keras.callbacks.SwapEMAWeights())
    callbacks.append(keras.callbacks.TerminateOnNaN())
    started, before = time.perf_counter(), state.record["seconds"]
    batch_size = run.recipe.batch_size
    with devices.detect_stopped_process(shard), devices.distribution_scope(batch_size):
        devices.check_agreement(shard, epoch=state.record["epoch"])
        for end in phase_ends(run.recipe):
            if state.record["epoch"] < end or end == run.recipe.epochs:
                _fit_phase(run, network, end, callbacks, shard)
    return state.record["history"], before + time.perf_counter() - started


def _fit_phase(run, network, end, callbacks, shard):
    """Trains from the state of the first callback to the epoch `end`, always the same layers."""
    recipe, state = run.recipe, callbacks[0].state
    first = state.record["epoch"]
    batches, held_out = _batches(run, first, shard)
    set_trainable(recipe, network, min(first, recipe.epochs - 1))
    augmentation = BatchAugmentation(recipe, run.classes, run.augmentations)
    model = AugmentedModel(network, augmentation, run.classes)
    model.compile(
        optimizer=optimizer(recipe, len(batches), network),
        loss=loss(recipe),
        weighted_metrics=["accuracy"],
        jit_compile=run.jit_compile,
    )
    if state.restore(network):
        model.optimizer.build(network.trainable_variables)
        state.restore_optimizer(model.optimizer)
    if first == end:
        # The run was killed after its last epoch, before the averages took the weights' place.
        model.optimizer.finalize_variable_values(network.trainable_variables)
        return
    with contextlib.closing(batches), contextlib.closing(held_out):
        model.fit(
            data.stream(batches),
            initial_epoch=first,
            epochs=end,
            validation_data=data.stream(held_out),
            shuffle=False,
            callbacks=[*callbacks, data.EpochEnds(batches)],
            verbose="auto" if shard.process_index == 0 else 0,
        )
    if state.record["epoch"] < end:
        raise ValueError(
            f"The loss of {network.name} became infinite or not a number in epoch "
            f"{state.record['epoch'] + 1}, so it is not saved. Try a lower learning_rate than "
            f"{recipe.learning_rate:g} or more warmup_epochs than {recipe.warmup_epochs}."
        )


def _batches(run, epoch, shard):
    """The shuffled batches of training from an epoch on, and the held-out ones in order."""
    recipe, dataset = run.recipe, run.dataset
    batches = data.TrainBatches(
        dataset.train_images,
        dataset.train_labels,
        recipe.batch_size,
        augment=_inputs,
        seed=recipe.seed,
        initial_epoch=epoch,
        steps_per_epoch=recipe.steps_per_epoch,
        repeats=recipe.repeats,
        min_area=run.min_area,
        shard=shard.select,
    )
    held_out = data.EvalBatches(
        dataset.test_images,
        dataset.test_labels,
        recipe.batch_size,
        _inputs,
        shard.select if devices.count() > 1 else None,
    )
    return batches, held_out


def _inputs(images, labels, step=0):
    """What `AugmentedModel` takes, and the labels for Keras."""
    steps = np.full(len(images), step, "int32")
    return {"images": images, "labels": labels, "step": steps}, labels
