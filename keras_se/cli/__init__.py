"""The command `keras-se`: list, predict, train, transfer, evaluate, export and data."""

import argparse

from keras_se.cli import data, export, predict, train
from keras_se.cli.command import ERRORS, explain


def main(arguments=None):
    """Runs one command; returns its exit status.

    Args:
        arguments: The words after `keras-se`; by default those of the process.

    Returns:
        0 if all went well, 1 if some images were skipped, 2 if the command could not be done,
        with one line on the standard error that says why.
    """
    options = parser().parse_args(arguments)
    try:
        return options.run(options)
    except (*ERRORS, KeyboardInterrupt) as error:
        return explain(error)


def parser():
    """The parser of the command line."""
    top = argparse.ArgumentParser(
        prog="keras-se", description="Squeeze-and-Excitation networks for Keras 3."
    )
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    predict.add_list(commands)
    predict.add_predict(commands)
    train.add_train(commands)
    train.add_transfer(commands)
    train.add_evaluate(commands)
    export.add_export(commands)
    data.add_data(commands)
    return top
