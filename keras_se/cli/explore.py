"""The command `explore`."""

import argparse

from keras_se.cli.command import OK
from keras_se.cli.held_out import (
    add_model_and_data,
    add_per_class,
    check_model_and_data,
    check_per_class,
    load_held_out,
    resolve_preprocessing,
    sized_network,
)
from keras_se.cli.models import UNTRAINED, find_path, resolve_model

PORT = 7860
UNTRAINED_NOTE = (
    "**The network is untrained (weights: none): its classes, gates and maps mean nothing.**"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `explore` to its parser."""
    add_model_and_data(parser, required=False)
    add_per_class(parser, default=50)
    parser.add_argument(
        "--port",
        metavar="N",
        type=int,
        default=PORT,
        help=f"port of 127.0.0.1, 0 for any that is free (default: {PORT})",
    )


def check(options: argparse.Namespace) -> None:
    """Raises an error, without Keras, for arguments that cannot work."""
    check_model_and_data(options)
    check_per_class(options)
    if not 0 <= options.port < 2**16:
        raise ValueError(f"--port must be from 0 to 65535. Received: {options.port}")


def run(options: argparse.Namespace) -> int:
    """Runs `explore`; returns the exit status."""
    from keras_se import data
    from keras_se.analysis import analyze_gates
    from keras_se.explore import Explorer, Page, serve
    from keras_se.explore.server import check_packages

    # Before weights are downloaded.
    check_packages()
    if options.data is not None:
        data.check(options.data)
    model = resolve_model(options.model, options.weights)
    network = sized_network(options, model, "its layers cannot be seen")
    names, reference = model.class_names, None
    if options.data is None:
        preprocessing = resolve_preprocessing(options, model)
    else:
        dataset, preprocessing = load_held_out(options, model)
        names = names or dataset.class_names
        reference = analyze_gates(network, dataset, preprocessing, options.batch)
    explorer = Explorer(network, preprocessing, names, reference)
    note = UNTRAINED_NOTE if options.weights == UNTRAINED else ""
    facts = {"network": model.name, "weights": options.weights or _own_weights(options.model)}
    facts["reference set"] = (
        "none" if reference is None else f"{reference.images} of {options.data}"
    )
    serve(Page(explorer, f"What {model.name} sees", note, facts), options.port)
    return OK


def _own_weights(text):
    """What is said of weights that nobody has named."""
    from keras_se.applications import get_model

    return "its own" if find_path(text) else get_model(text).default_weights
