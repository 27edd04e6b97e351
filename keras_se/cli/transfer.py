"""The command `transfer`."""

import argparse

from keras_se.cli.command import DATA_HELP
from keras_se.cli.train import add_run_arguments, check, run_recipe

__all__ = ["add_arguments", "check", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `transfer` to its parser."""
    parser.add_argument("network", metavar="NETWORK", help="such as seresnet50")
    parser.add_argument(
        "--weights",
        metavar="TAG_OR_FILE",
        default="imagenet",
        help="what to start from: a tag, hf://owner/repo or a file (default: imagenet)",
    )
    parser.add_argument("--data", metavar="DATA", required=True, help=DATA_HELP)
    add_run_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Runs `transfer`; returns the exit status."""
    from keras_se.recipes.transfer import transfer

    return run_recipe(transfer(options.network, options.weights, options.set), options)
