"""The command `list`."""

import argparse
import json

from keras_se.cli.command import OK


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `list` to its parser."""
    parser.add_argument(
        "pattern",
        metavar="PATTERN",
        nargs="?",
        default="*",
        help="what names must match in any case, such as '*resnext*' (default: all)",
    )
    parser.add_argument(
        "--pretrained", action="store_true", help="only networks with published weights"
    )
    parser.add_argument(
        "--weights",
        action="store_true",
        help="a line for each published checkpoint: tag, size, accuracy, license, origin, what "
        "tests compare it with, hash, source",
    )
    parser.add_argument("--json", action="store_true", help="print a JSON list in place of a table")


def run(options: argparse.Namespace) -> int:
    """Runs `list`; returns the exit status."""
    from keras_se.applications import list_models
    from keras_se.cli import model_table

    names = list_models(options.pattern, options.pretrained)
    if not names:
        raise ValueError(f"No network matches {options.pattern!r}. Try '*{options.pattern}*'.")
    if options.json:
        describe = model_table.describe_weights if options.weights else model_table.describe
        print(json.dumps(describe(names), indent=1))
    else:
        table = model_table.checkpoints if options.weights else model_table.networks
        print(table(names))
    return OK
