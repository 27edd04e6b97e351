"""The command `evaluate`."""

import argparse

from keras_se.cli.command import OK
from keras_se.cli.held_out import (
    add_model_and_data,
    check_model_and_data,
    load_held_out,
    sized_network,
)
from keras_se.cli.models import resolve_model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `evaluate` to its parser."""
    add_model_and_data(parser)


def check(options: argparse.Namespace) -> None:
    """Raises an error, without Keras, for files that are missing and a size that cannot be."""
    check_model_and_data(options)


def run(options: argparse.Namespace) -> int:
    """Runs `evaluate`; returns the exit status."""
    from keras_se import data
    from keras_se.evaluation.evaluate import evaluate

    # Before weights are downloaded.
    data.check(options.data)
    model = resolve_model(options.model, options.weights)
    network = model.network or model.run
    if options.size is not None:
        network = sized_network(options, model, "its images have one size")
    dataset, preprocessing = load_held_out(options, model)
    print(f"{model.name}: {evaluate(network, dataset, preprocessing, options.batch)}")
    return OK
