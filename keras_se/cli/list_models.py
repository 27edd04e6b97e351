"""The command `list`."""

import argparse

from keras_se.cli.command import OK


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `list` to its parser."""
    parser.add_argument(
        "--weights",
        action="store_true",
        help="a line for each published checkpoint: tag, size, top-1, top-5, license, source",
    )


def run(options: argparse.Namespace) -> int:
    """Runs `list`; returns the exit status."""
    from keras_se.cli import model_table

    print(model_table.checkpoints() if options.weights else model_table.networks())
    return OK
