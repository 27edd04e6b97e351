"""From a recipe to trained networks, their files and their numbers, one function per verb."""

import contextlib
import json
import time
from pathlib import Path

import keras
import numpy as np

from keras_se import augmentation as augment
from keras_se import data
from keras_se.distribution import devices
from keras_se.evaluation import html_report as page
from keras_se.evaluation import report
from keras_se.evaluation.evaluate import outputs
from keras_se.training.augmented_model import AugmentedModel
from keras_se.training.build import build, build_all
from keras_se.training.checkpoint import Checkpoint, save_model, save_part, write_history
from keras_se.training.optimizer import loss, optimizer, schedule
from keras_se.training.phases import phase_ends, set_trainable
from keras_se.training.resolve import check_names
from keras_se.training.run_folder import MODELS, atomic_path, prepare, require_space, write
from keras_se.training.state import State

JIT_COMPILE = {"auto": "auto", "on": True, "off": False}
__all__ = ["build", "fit", "optimizer", "schedule", "train"]


def train(recipe, out, overwrite=False, resume=False, tensorboard=False, share=None):
    """Trains the network of a recipe and, if the recipe says so, its plain twin.

    The held-out images are only watched: what counts are the weights after the last epoch.
    Prints Keras's progress and ends with a table. Writes into `out`:

    * `recipe.json`, `class_names.txt` (a line for each class), `model.keras`, `best.keras` (of the
      epoch that did best on the held-out images, so its accuracy on them flatters it),
      `history.csv`, `curves.png`, `report.html`;
    * `twin.keras`, `twin_best.keras` and `twin_history.csv` of the plain twin;
    * `saved_model`, a TensorFlow SavedModel compared with the network (TensorFlow backend only);
    * `results.json`, the last, with what this function returns;
    * until then `state.npz` and `twin_state.npz`, from which a run that was killed goes on.

    All but the histories, which grow by a line each epoch, are there only when complete.

    Args:
        recipe: The `Recipe`.
        out: Folder to write to, made if it is not there.
        overwrite: Whether to delete the run that is there already.
        resume: Whether to go on with the run that is there, from its last complete epoch. The
            result is that of a run that was never stopped.
        tensorboard: Whether to write logs for TensorBoard into `out/tensorboard` as well.
        share: Which of several processes this is, as `devices.initialize` gives it.
            Only the first one writes; the others, whose `out` must be the same folder, only read
            what it resumes. Within `processes.stop_all_on_failure`, none of them waits for
            one that has failed.

    Returns:
        A dictionary with `networks` (for each name, `test_accuracy` in percent, `parameters`
        that are trainable, `mflops` in millions of multiply-adds for one image, and `seconds` of
        training with compilation), `difference` (the same, SE minus plain, or `None`),
        `saved_model_difference` (largest absolute difference of the outputs, or `None`),
        `train_images` and `test_images` (how many), `backend` and `keras` (its version). `None` in
        all processes but the first.

    Raises:
        ValueError: If the recipe does not fit its data or network, or the run to go on with; a
            package is missing, or the loss became infinite or not a number: then only what there
            was after the last good epoch is saved.
        OSError: If `out` is not a folder, cannot be written, has too little space, or holds a run;
            or another process has stopped.
    """
    share = share or devices.ProcessShard()
    report.require_matplotlib()
    if tensorboard:
        report.require_tensorboard()
    check_names(recipe)
    dataset = _load(recipe)
    devices.check_agreement(
        share, recipe=recipe.to_json(), data=np.asarray(dataset.train_labels).tolist()
    )
    with devices.distribution_scope(recipe.batch_size):
        networks = build_all(recipe, dataset)
    # Only to have it refuse a batch size before an earlier run is deleted.
    data.TrainBatches(dataset.train_images, dataset.train_labels, recipe.batch_size)
    if share.process_index:
        return _help(recipe, networks, dataset, Path(out), resume, share)
    folder = prepare(out, overwrite, recipe if resume else None)
    require_space(folder, sum(network.count_params() for network, _ in networks.values()))
    _begin(recipe, dataset, folder)
    runs = {}
    for (name, (network, se)), files in zip(networks.items(), MODELS, strict=False):
        logs = folder / "tensorboard" / name if tensorboard else None
        print(f"Training {name}", flush=True)
        paths = [folder / file for file in files]
        runs[name] = _train_one(recipe, network, se, dataset, paths, logs, share)
    with atomic_path(folder / "curves.png") as path:
        report.curves({name: run["history"] for name, run in runs.items()}, path)
    first = next(iter(runs.values()))["network"]
    saved_model = report.export(first, folder / "saved_model", dataset.class_names)
    results = _results(dataset, {name: run["row"] for name, run in runs.items()}, saved_model)
    confusions = {name: run["confusion"] for name, run in runs.items()}
    write(folder / "report.html", page.page(folder, recipe, dataset, results, confusions))
    for *_, state in MODELS:
        (folder / state).unlink(missing_ok=True)
    write(folder / "results.json", json.dumps(results, indent=2) + "\n")
    report.print_skipped(dataset)
    print(report.table(results["networks"]), flush=True)
    return results


def _begin(recipe, dataset, folder):
    """Writes what a run is of, unless the folder has a run of other data to go on with."""
    for *_, state in MODELS:
        State(folder / state, dataset.summary()).read()
    write(folder / "class_names.txt", "".join(f"{name}\n" for name in dataset.class_names))
    write(folder / "recipe.json", recipe.to_json())


def _load(recipe):
    """The dataset of a recipe, whose files stay whole if the recipe cuts them at random."""
    return data.load(
        recipe.data,
        size=recipe.size,
        crop=recipe.crop,
        interpolation=recipe.interpolation,
        decode_train=augment.split_crop(recipe.augmentations)[0] is None,
    )


def _help(recipe, networks, dataset, folder, resume, share):
    """What the processes other than the first do: the same steps, no files."""
    for (network, _), files in zip(networks.values(), MODELS, strict=False):
        state = State(folder / files[-1], dataset.summary())
        if resume:
            state.read()
        state.path = None
        fit(recipe, network, dataset, None, [Checkpoint(state)], share)


def _train_one(recipe, network, se, dataset, files, logs, share):
    """Trains one network and writes its files; gives its history, measurements and confusions."""
    model_file, history_file, best_file, state_file = files
    state = State(state_file, dataset.summary())
    if state.read() and state.record["epoch"]:
        print(f"{state.record['epoch']} of {recipe.epochs} epochs are done already", flush=True)
    # To assign variables that several processes share, all of them would have to.
    alone = share.process_count == 1
    checkpoint = Checkpoint(state, model_file, best_file if alone else None)
    extra = [checkpoint, *([keras.callbacks.TensorBoard(logs)] if logs else [])]
    try:
        history, seconds = fit(recipe, network, dataset, history_file, extra, share)
    except ValueError:
        if alone:
            save_part(network, state, "network", model_file)
            save_part(network, state, "best", best_file)
        raise
    if devices.count() > 1:
        network = _alone(recipe, network, se, dataset)
    save_model(network, model_file)
    save_part(network, state, "best", best_file)
    normalize = augment.normalization(recipe.normalize)
    probabilities, labels = outputs(network, dataset, normalize, recipe.batch_size)
    confusion = report.confusion(probabilities, labels)
    row = report.measure(network, dataset, confusion) | {"seconds": seconds}
    return {"network": network, "history": history, "confusion": confusion, "row": row}


def _alone(recipe, network, se, dataset):
    """The same network on one device, which needs no other process to compute."""
    alone = build(recipe, dataset, se)
    alone.set_weights(network.get_weights())
    return alone


def _results(dataset, rows, saved_model_difference):
    return {
        "networks": rows,
        "difference": report.difference(*rows.values()) if len(rows) == 2 else None,
        "saved_model_difference": saved_model_difference,
        "train_images": len(dataset.train_labels),
        "test_images": len(dataset.test_labels),
        "backend": keras.backend.backend(),
        "keras": keras.__version__,
    }


def fit(recipe, network, dataset, history_file, callbacks=(), share=None):
    """Trains `network` in place.

    Args:
        recipe: The `Recipe`.
        network: Model that `build` made.
        dataset: The `keras_se.data.Dataset`; its held-out images are watched, not used.
        history_file: CSV file that gets a line after each epoch: `epoch` from zero, `accuracy`
            and `loss` of the changed training images, `val_accuracy` and `val_loss` of the
            held-out ones; accuracies as fractions. A mixed image counts as right if it is taken
            for the class with the largest share in it, as in Keras; timm gives no such number.
        callbacks: Keras callbacks. The first may be a `Checkpoint`: training goes on from its
            state and keeps it up to date.
        share: As in `train`.

    Returns:
        The same numbers as lists by name, and the seconds that it took, compilation included.

    Raises:
        ValueError: If there are fewer training images than the recipe's batch size, or the loss
            became infinite or not a number.
        OSError: If another process has stopped.
    """
    share = share or devices.ProcessShard()
    callbacks = list(callbacks) or [Checkpoint(State())]
    state = callbacks[0].state
    callbacks[0].history_file = history_file
    if history_file:
        write_history(history_file, state.record["history"])
    if recipe.ema_decay:
        callbacks.append(keras.callbacks.SwapEMAWeights())
    callbacks.append(keras.callbacks.TerminateOnNaN())
    started, before = time.perf_counter(), state.record["seconds"]
    with devices.detect_stopped_process(share), devices.distribution_scope(recipe.batch_size):
        devices.check_agreement(share, epoch=state.record["epoch"])
        for end in phase_ends(recipe):
            if state.record["epoch"] < end or end == recipe.epochs:
                _fit_phase(recipe, network, dataset, end, callbacks, share)
    return state.record["history"], before + time.perf_counter() - started


def _fit_phase(recipe, network, dataset, end, callbacks, share):
    """Trains from the state of the first callback to the epoch `end`, always the same layers."""
    state = callbacks[0].state
    first = state.record["epoch"]
    classes = len(dataset.class_names)
    batches, held_out = _batches(recipe, dataset, first, share)
    set_trainable(recipe, network, min(first, recipe.epochs - 1))
    changes = augment.BatchAugmentation(recipe, classes, _late(recipe, dataset))
    model = AugmentedModel(network, changes, classes)
    made = optimizer(recipe, len(batches), network)
    # Keras does so itself for a model of this policy, but ours is in float32 around the network.
    if recipe.precision == "mixed_float16":
        made = keras.optimizers.LossScaleOptimizer(made)
    model.compile(
        optimizer=made,
        loss=loss(recipe),
        weighted_metrics=["accuracy"],
        jit_compile=JIT_COMPILE[recipe.xla],
    )
    if state.give(network):
        model.optimizer.build(network.trainable_variables)
        state.give_optimizer(model.optimizer)
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
            verbose="auto" if share.process_index == 0 else 0,
        )
    if state.record["epoch"] < end:
        raise ValueError(
            f"The loss of {network.name} became infinite or not a number in epoch "
            f"{state.record['epoch'] + 1}, so it is not saved. Try a lower learning_rate than "
            f"{recipe.learning_rate:g} or more warmup_epochs than {recipe.warmup_epochs}."
        )


def _late(recipe, dataset):
    """The augmentations that are left for the step: files are cut before they are made smaller."""
    if isinstance(dataset.train_images, data.LazyImages):
        return augment.split_crop(recipe.augmentations)[1]
    return recipe.augmentations


def _batches(recipe, dataset, epoch, share):
    """The shuffled batches of training from an epoch on, and the held-out ones in order."""
    batches = data.TrainBatches(
        dataset.train_images,
        dataset.train_labels,
        recipe.batch_size,
        augment=_with_step,
        seed=recipe.seed,
        initial_epoch=epoch,
        steps_per_epoch=recipe.steps_per_epoch,
        repeats=recipe.repeats,
        # Arrays are cut within the step.
        min_area=augment.split_crop(recipe.augmentations)[0],
        shard=share.select,
    )
    given = (
        dataset.test_images,
        dataset.test_labels,
        recipe.batch_size,
        lambda images, labels: _with_step(images, labels, -1),
    )
    held_out = (
        data.PaddedEvalBatches(*given, share.select)
        if devices.count() > 1
        else data.EvalBatches(*given)
    )
    return batches, held_out


def _with_step(images, labels, step):
    """What `AugmentedModel` takes."""
    return (images, np.full(len(images), step, "int32")), labels
