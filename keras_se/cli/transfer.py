"""The command `transfer`."""

import argparse

from keras_se.cli.command import DATA_HELP
from keras_se.cli.models import check_weights
from keras_se.cli.train import (
    add_run_arguments,
    changed,
    check_resume,
    resumed_recipe,
    run_recipe,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `transfer` to its parser."""
    parser.add_argument(
        "network",
        metavar="NETWORK",
        nargs="?",
        help="name of a network of the zoo, such as seresnet50; not needed with --resume",
    )
    parser.add_argument(
        "--weights",
        metavar="TAG_OR_FILE",
        help="what to start from: a tag, hf://owner/repo or a file (default: the only checkpoint "
        "the network has, or imagenet)",
    )
    parser.add_argument("--data", metavar="DATA", help=f"{DATA_HELP}; not needed with --resume")
    add_run_arguments(parser)


def check(options: argparse.Namespace) -> None:
    """Raises an error, without Keras, for arguments of which no run can be made."""
    check_resume(options)
    check_weights(options.weights)
    if options.network is None:
        changed(resumed_recipe(options, "NETWORK"), options)
    elif options.data is None:
        raise ValueError("--data is missing: the images to train on.")


def run(options: argparse.Namespace) -> int:
    """Runs `transfer`; returns the exit status."""
    from keras_se.applications import get_model
    from keras_se.recipes.transfer import transfer

    if options.network is None:
        recipe = resumed_recipe(options, "NETWORK")
    else:
        weights = options.weights or get_model(options.network).default_weights
        recipe = transfer(options.network, weights, options.set)
    return run_recipe(changed(recipe, options), options)
