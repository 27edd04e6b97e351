"""The command `evaluate`."""

import argparse

from keras_se.cli.command import DATA_HELP, OK
from keras_se.cli.models import MODEL_HELP, WEIGHTS_HELP, check_model, find_path, resolve_model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `evaluate` to its parser."""
    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
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
    """Raises an error, without Keras, for files that are missing and a size that cannot be."""
    check_model(options.model, options.weights)
    if options.size is not None and options.size < 1:
        raise ValueError(f"`size` must be at least 1 pixel. Received: size={options.size}")


def run(options: argparse.Namespace) -> int:
    """Runs `evaluate`; returns the exit status."""
    from keras_se import data
    from keras_se.evaluation.evaluate import evaluate, load_for, resize

    # Before weights are downloaded.
    data.check(options.data)
    model = resolve_model(options.model, options.weights)
    network = model.network or model.run
    if options.size is not None:
        network = resize(_require_keras(model), options.size)
    preprocessing = model.preprocessing or _from_zero_to_one(_require_keras(model))
    # The classes of the zoo's weights have words where folders may have numbers.
    names = model.class_names if find_path(options.model) else None
    dataset = load_for(options.data, preprocessing, names, options.size)
    print(f"{model.name}: {evaluate(network, dataset, preprocessing, options.batch)}")
    return OK


def _require_keras(model):
    if model.network is None:
        raise ValueError(
            f"{model.name} has images of one size, and must say how they are prepared: write it "
            "by keras-se export --preprocessing."
        )
    return model.network


def _from_zero_to_one(network):
    """The preprocessing of a network of which nothing is known."""
    from keras_se.data_format import spatial_shape
    from keras_se.preprocessing import ONE, ZERO, Preprocessing

    side = spatial_shape(network.input_shape)[0]
    return Preprocessing(side, 1.0, "center", "bilinear", ZERO, ONE)
