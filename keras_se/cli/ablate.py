"""The command `ablate`."""

import argparse
from pathlib import Path

from keras_se.cli.command import DATA_HELP, OK
from keras_se.cli.train import add_set_argument, assignments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `ablate` to its parser."""
    parser.add_argument(
        "axis",
        metavar="AXIS",
        help="what is varied: ratio, squeeze, gate, stages, placement or block",
    )
    parser.add_argument(
        "--values",
        metavar="VALUE",
        nargs="+",
        help="such as 4 16 none, where none is the network without SE (default: the paper's)",
    )
    parser.add_argument("--recipe", default="digits", help="name of the recipe (default: digits)")
    parser.add_argument("--data", metavar="DATA", help=f"{DATA_HELP} (default: the recipe's)")
    parser.add_argument("--seeds", metavar="N", type=int, default=5, help="default: 5")
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        required=True,
        help="folder of the runs; the same command goes on with what is there",
    )
    add_set_argument(parser)


def check(options: argparse.Namespace) -> None:
    """Raises an error, without Keras, for arguments that cannot work."""
    from keras_se.recipes import get_recipe, override

    options.recipe = override(get_recipe(options.recipe), assignments(options))


def run(options: argparse.Namespace) -> int:
    """Runs `ablate`; returns the exit status."""
    from keras_se.training.ablation import ablate, table

    result = ablate(options.recipe, options.axis, options.out, options.values, options.seeds)
    print(table(result))
    names = ", ".join(f"ablation_{options.axis}.{ending}" for ending in ("md", "json", "png"))
    print(f"In {options.out}: {names}")
    return OK
