"""The command `transfer`."""

import argparse

from keras_se.cli.command import DATA_HELP
from keras_se.cli.models import check_weights
from keras_se.cli.train import add_run_arguments, assignments, check_resume, run_recipe


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
        help="what to start from: a tag, hf://owner/repo, an https:// address or a file (default: "
        "the only checkpoint the network has, or imagenet)",
    )
    parser.add_argument("--data", metavar="DATA", help=f"{DATA_HELP}; not needed with --resume")
    add_run_arguments(parser)


def check(options: argparse.Namespace) -> None:
    """Raises an error, without Keras, for arguments of which no run can be made."""
    check_resume(options)
    check_weights(options.weights)
    if options.resume:
        options.recipe = _resumed(options)
    elif options.network is None:
        raise ValueError("NETWORK is missing; only --resume goes without.")
    elif options.data is None:
        raise ValueError("--data is missing: the images to train on.")


def run(options: argparse.Namespace) -> int:
    """Runs `transfer`; returns the exit status."""
    from keras_se.applications import get_model
    from keras_se.recipes.transfer import transfer

    if not options.resume:
        weights = options.weights or get_model(options.network).default_weights
        options.recipe = transfer(options.network, weights, assignments(options))
    return run_recipe(options.recipe, options)


def _resumed(options):
    """The recipe of the run in `--out`, with which all that is said again must agree."""
    from keras_se.recipes.resume import resumed_recipe

    repeated = {"network": options.network, "weights": options.weights}
    changes = [f"{name}={value}" for name, value in repeated.items() if value]
    return resumed_recipe(options.out, [*changes, *assignments(options)])
