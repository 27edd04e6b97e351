"""The command `train`, and what it shares with `transfer`."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from keras_se.cli.command import DATA_HELP, NOT_ALL_WRITTEN, OK, explain

if TYPE_CHECKING:
    from keras_se.recipes import Recipe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `train` to its parser."""
    from keras_se.recipes import describe

    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = describe()
    parser.add_argument(
        "recipe",
        metavar="RECIPE",
        nargs="?",
        help="name of the recipe, such as digits; not needed with --resume",
    )
    parser.add_argument("--data", metavar="DATA", help=f"{DATA_HELP} (default: the recipe's)")
    add_run_arguments(parser)


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of every command that trains."""
    parser.add_argument(
        "--out", metavar="DIR", type=Path, required=True, help="folder of the results"
    )
    add_set_argument(parser)
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the results of an earlier run in DIR"
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with the run in DIR that was stopped; nothing but --out is needed",
    )
    parser.add_argument(
        "--tensorboard",
        action="store_true",
        help="write logs for TensorBoard into DIR as well; TensorFlow must be installed for that",
    )
    parser.add_argument(
        "--workers",
        metavar="N",
        type=int,
        default=0,
        help="decode image files in N processes, as many as there are cores for this one, on a "
        "machine with more than four; the result is the same (default: 0, threads)",
    )
    several = parser.add_argument_group(
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


def add_set_argument(parser: argparse.ArgumentParser) -> None:
    """Adds the argument that changes a recipe."""
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="change a field of the recipe, such as epochs=3; may be given again",
    )


def check(options: argparse.Namespace) -> None:
    """Raises an error, without Keras, for arguments of which no run can be made."""
    check_resume(options)
    # Read once: what is resumed may change in the seconds that Keras takes to start.
    options.recipe = find_recipe(options)


def check_resume(options: argparse.Namespace) -> None:
    """Raises a `ValueError` for a run that is to go on and to be deleted."""
    if options.resume and options.overwrite:
        raise ValueError("--resume goes on with a run, --overwrite deletes it: use one of them.")


def run(options: argparse.Namespace) -> int:
    """Runs `train`; returns the exit status."""
    return run_recipe(options.recipe, options)


def find_recipe(options: argparse.Namespace) -> "Recipe":
    """Returns the recipe that the options name, or that of the run that is to go on.

    Raises:
        ValueError: If there is no such recipe or field, a value is not legal, or a run that is to
            go on was begun with others.
        OSError: If there is no run to go on with.
    """
    from keras_se.recipes import get_recipe, override
    from keras_se.recipes.resume import resumed_recipe

    recipe = options.recipe and get_recipe(options.recipe)
    if options.resume:
        return resumed_recipe(options.out, assignments(options), recipe)
    if recipe is None:
        raise ValueError("RECIPE is missing; only --resume goes without.")
    return override(recipe, assignments(options))


def assignments(options: argparse.Namespace) -> list[str]:
    """Returns the changes of `--set` and `--data`, as `override` takes them."""
    return [*options.set, *([f"data={options.data}"] if options.data else [])]


def run_recipe(recipe: "Recipe", options: argparse.Namespace) -> int:
    """Trains by a recipe into `--out`; returns the exit status."""
    from keras_se.distribution.devices import initialize
    from keras_se.distribution.processes import stop_all_on_failure
    from keras_se.training.loop import train

    share = initialize(options.processes, options.process_id, options.coordinator)
    with stop_all_on_failure(share, _stop):
        words = options.overwrite, options.resume, options.tensorboard
        results = train(recipe, options.out, *words, share, options.workers)
    return NOT_ALL_WRITTEN if results and results["not_written"] else OK


def _stop(error):
    """Ends one of several processes: as usual, JAX would wait for the others, and abort."""
    status = explain(error)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
