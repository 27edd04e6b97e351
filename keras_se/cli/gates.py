"""The command `gates`."""

import argparse
import json

from keras_se.cli.command import OK
from keras_se.cli.held_out import (
    add_model_and_data,
    add_out_and_per_class,
    check_model_and_data,
    check_out_and_per_class,
    load_held_out,
    sized_network,
)
from keras_se.cli.models import resolve_model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `gates` to its parser."""
    add_model_and_data(parser)
    add_out_and_per_class(parser, "gates.json and report.html")
    parser.add_argument(
        "--classes",
        metavar="NAMES",
        help="classes whose gates are drawn, separated by commas (default: of ImageNet the "
        "paper's goldfish, pug, plane and cliff, else four)",
    )


def check(options: argparse.Namespace) -> None:
    """Raises an error, without Keras, for arguments that cannot work."""
    check_model_and_data(options)
    check_out_and_per_class(options)


def run(options: argparse.Namespace) -> int:
    """Runs `gates`; returns the exit status."""
    from keras_se import data
    from keras_se.analysis import analyze_gates, gate_report
    from keras_se.files import write_text
    from keras_se.validation import require_packages

    # Before weights are downloaded.
    require_packages("The report", "matplotlib")
    data.check(options.data)
    model = resolve_model(options.model, options.weights)
    network = sized_network(options, model, "its layers cannot be seen")
    dataset, preprocessing = load_held_out(options, model)
    classes = options.classes.split(",") if options.classes else None
    _require_classes(classes, dataset.class_names)
    analysis = analyze_gates(network, dataset, preprocessing, options.batch)
    options.out.mkdir(parents=True, exist_ok=True)
    facts = {"model": model.name, "data": options.data, **analysis.to_dict()}
    write_text(options.out / "gates.json", json.dumps(facts, indent=1) + "\n")
    title = f"Gates of {model.name}"
    page = gate_report(analysis, network, dataset, preprocessing, title=title, classes=classes)
    write_text(options.out / "report.html", page)
    print(f"{analysis}\n{options.out / 'report.html'}")
    return OK


def _require_classes(classes, class_names):
    """Raises a ValueError, before anything is computed, if a class is not there."""
    unknown = [name for name in classes or () if name not in class_names]
    if unknown:
        raise ValueError(f"--classes: {unknown[0]!r} is no class of the data.")
