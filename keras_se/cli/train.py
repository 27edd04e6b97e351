"""The commands `train`, `transfer` and `evaluate`."""

import argparse
import os
import sys
from pathlib import Path

from keras_se.cli.command import (
    DATA_HELP,
    OK,
    add_command,
    add_weights,
    explain,
    load_model,
)


def add_train(commands):
    """Adds `train`."""
    from keras_se.recipes import describe

    command = add_command(commands, "train", _train, "train a network by a recipe")
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    command.epilog = describe()
    command.add_argument("recipe", metavar="RECIPE", help="name of the recipe, such as digits")
    command.add_argument("--data", metavar="DATA", help=f"{DATA_HELP} (default: the recipe's)")
    _add_run(command)


def add_transfer(commands):
    """Adds `transfer`."""
    text = "train a network with weights on other classes, by the recipe transfer"
    command = add_command(commands, "transfer", _transfer, text)
    command.add_argument("network", metavar="NETWORK", help="such as seresnet50")
    command.add_argument(
        "--weights",
        metavar="TAG_OR_FILE",
        default="imagenet",
        help="what to start from: a tag, hf://owner/repo or a file (default: imagenet)",
    )
    command.add_argument("--data", metavar="DATA", required=True, help=DATA_HELP)
    _add_run(command)


def _add_run(command):
    """What commands that train have in common."""
    command.add_argument(
        "--out", metavar="DIR", type=Path, required=True, help="folder of the results"
    )
    command.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="change a field of the recipe, such as epochs=3; may be given again",
    )
    command.add_argument(
        "--overwrite", action="store_true", help="replace the results of an earlier run in DIR"
    )
    command.add_argument(
        "--resume", action="store_true", help="go on with the run in DIR that was stopped"
    )
    command.add_argument(
        "--tensorboard",
        action="store_true",
        help="write logs for TensorBoard into DIR as well; TensorFlow must be installed for that",
    )
    several = command.add_argument_group(
        "several processes (KERAS_BACKEND=jax)",
        "Run the same command once for each process, on one host or several that share DIR. All "
        "devices of a process are used, so one process for each host is enough.",
    )
    several.add_argument(
        "--processes", metavar="N", type=int, default=1, help="how many there are (default: 1)"
    )
    several.add_argument(
        "--process-id", metavar="I", type=int, default=0, help="which one this is, from 0"
    )
    several.add_argument(
        "--coordinator", metavar="HOST:PORT", help="where process 0 listens for the others"
    )


def add_evaluate(commands):
    """Adds `evaluate`."""
    command = add_command(commands, "evaluate", _evaluate, "measure a network on held-out images")
    command.add_argument(
        "model", metavar="MODEL_OR_NETWORK", help="a .keras file, or the name of a network"
    )
    command.add_argument(
        "--data",
        metavar="DATA",
        required=True,
        help=f"{DATA_HELP}; folder:PATH/test measures on the test part beside val",
    )
    add_weights(command, "TAG")
    command.add_argument(
        "--batch", metavar="N", type=int, default=64, help="images at a time (default: 64)"
    )
    command.add_argument(
        "--size",
        metavar="PIXELS",
        type=int,
        default=None,
        help="side of the images (default: the network's, or as the weights want it)",
    )


def _train(options):
    from keras_se.recipes import find_recipe
    from keras_se.recipes.recipe import override

    return _run(override(find_recipe(options.recipe), options.set), options)


def _transfer(options):
    from keras_se.recipes.transfer import transfer

    return _run(transfer(options.network, options.weights, options.set), options)


def _run(recipe, options):
    from keras_se.distribution.devices import join
    from keras_se.distribution.processes import stop_all_on_failure
    from keras_se.recipes.recipe import override
    from keras_se.training.loop import train

    if options.resume and options.overwrite:
        raise ValueError("--resume goes on with a run, --overwrite deletes it: give one of them.")
    if options.data:
        recipe = override(recipe, [f"data={options.data}"])
    share = join(options.processes, options.process_id, options.coordinator)
    with stop_all_on_failure(share, _stop):
        train(recipe, options.out, options.overwrite, options.resume, options.tensorboard, share)
    return OK


def _stop(error):
    """Ends one of several processes: as usual, JAX would wait for the others, and abort."""
    status = explain(error)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _evaluate(options):
    from keras_se.evaluation.evaluate import evaluate_file, evaluate_network

    given = (options.data, options.batch, options.size)
    if options.model.endswith(".keras"):
        model = load_model(options)
        print(evaluate_file(model, options.model, *given))
    else:
        weights = options.weights or "imagenet"
        print(evaluate_network(options.model, weights, *given))
    return OK
