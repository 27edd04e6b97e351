"""The command `evaluate`."""

import argparse

from keras_se.cli.command import DATA_HELP, OK
from keras_se.cli.models import WEIGHTS_HELP, check_model, find_path, load_keras_file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `evaluate` to its parser."""
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="a run folder, a .keras file, or the name of a network of the zoo",
    )
    parser.add_argument(
        "--data",
        metavar="DATA",
        required=True,
        help=f"{DATA_HELP}; folder:PATH/test measures on the test part beside val",
    )
    parser.add_argument("--weights", metavar="TAG", help=WEIGHTS_HELP)
    parser.add_argument(
        "--batch", metavar="N", type=int, default=64, help="images at a time (default: 64)"
    )
    parser.add_argument(
        "--size",
        metavar="PIXELS",
        type=int,
        default=None,
        help="side of the images (default: the network's, or as the weights want it)",
    )


def check(options: argparse.Namespace) -> None:
    """Raises an error, without Keras, for files that are missing."""
    check_model(options.model, options.weights)


def run(options: argparse.Namespace) -> int:
    """Runs `evaluate`; returns the exit status."""
    from keras_se.applications import get_model
    from keras_se.evaluation.evaluate import evaluate_file, evaluate_network

    data = (options.data, options.batch, options.size)
    path = find_path(options.model)
    if path is not None and path.suffix != ".keras":
        raise ValueError(f"Only Keras models are measured; {options.model!r} is none.")
    if path is not None:
        print(evaluate_file(load_keras_file(path), path, *data))
    else:
        weights = options.weights or get_model(options.model).default_weights
        print(evaluate_network(options.model, weights, *data))
    return OK
