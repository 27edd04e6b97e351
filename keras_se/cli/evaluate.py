"""The command `evaluate`."""

import argparse

from keras_se.cli.command import DATA_HELP, OK, add_weights, load_model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `evaluate` to its parser."""
    parser.add_argument(
        "model", metavar="MODEL_OR_NETWORK", help="a .keras file, or the name of a network"
    )
    parser.add_argument(
        "--data",
        metavar="DATA",
        required=True,
        help=f"{DATA_HELP}; folder:PATH/test measures on the test part beside val",
    )
    add_weights(parser, "TAG")
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


def run(options: argparse.Namespace) -> int:
    """Runs `evaluate`; returns the exit status."""
    from keras_se.evaluation.evaluate import evaluate_file, evaluate_network

    given = (options.data, options.batch, options.size)
    if options.model.endswith(".keras"):
        model = load_model(options)
        print(evaluate_file(model, options.model, *given))
    else:
        weights = options.weights or "imagenet"
        print(evaluate_network(options.model, weights, *given))
    return OK
