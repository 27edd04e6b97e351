"""The command `keras-se`, with a module for each command.

Nothing here imports Keras, so that `--help` and wrong use are answered at once: a command does when
it runs.
"""

import argparse
import importlib
import io
import sys
from collections.abc import Sequence

from keras_se.cli.command import ERRORS, CommandParser, explain
from keras_se.cli.startup import load_keras
from keras_se.version import __version__

# What each command does. Its module, of the same name, has `add_arguments(parser)` and
# `run(options)`, and perhaps `check(options)` for what can be said without Keras.
COMMANDS = {
    "list": "print the zoo as a table",
    "predict": "name what is in images",
    "train": "train a network by a recipe",
    "transfer": "train a network with weights on other classes, by the recipe transfer",
    "evaluate": "measure a network on held-out images",
    "gates": "measure what SE blocks do with held-out images",
    "importance": "measure what accuracy each SE block is worth",
    "explore": "show on a page what a network sees in an image and what its SE blocks do",
    "ablate": "train with one choice of SE varied, over several seeds",
    "convert": "write the weights of another project or an older Keras for this one",
    "export": "write a model for another runtime and verify it",
    "bench": "time every export of a model on this machine",
    "data": "prepare data",
}
# `list.py` and `data.py` would hide Python's `list` and `keras_se.data` from a reader.
MODULES = {"list": "list_models", "data": "prepare_data"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command of the command line.

    Args:
        arguments: The words after `keras-se`; by default those of the process.

    Returns:
        The exit status: 0 if all went well; 1 if some images were skipped, or a run has all but its
        report or SavedModel; 2 if the command could not be done, with one line on the standard
        error that says why; 141 if whoever reads the output stopped.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # The name of a file may be no text at all.
        sys.stdout.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(arguments)
    command = _module(options.command)
    try:
        if hasattr(command, "check"):
            command.check(options)
        load_keras()
        status = command.run(options)
        # Not as Python ends, where a closed output is a traceback.
        sys.stdout.flush()
        return status
    except (*ERRORS, KeyboardInterrupt) as error:
        return explain(error)


def _parser():
    top = argparse.ArgumentParser(
        prog="keras-se", description="Squeeze-and-Excitation networks for Keras 3."
    )
    top.add_argument("--version", action="version", version=f"keras-se {__version__}")
    commands = top.add_subparsers(
        title="commands",
        metavar="COMMAND",
        dest="command",
        required=True,
        parser_class=CommandParser,
    )
    for name, text in COMMANDS.items():
        commands.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            fill=lambda parser, name=name: _module(name).add_arguments(parser),
        )
    return top


def _module(command):
    return importlib.import_module(f"keras_se.cli.{MODULES.get(command, command)}")
