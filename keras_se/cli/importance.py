"""The command `importance`."""

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
    """Adds the arguments of `importance` to its parser."""
    add_model_and_data(parser)
    add_out_and_per_class(parser, "importance.json")
    parser.add_argument(
        "--repeats",
        metavar="N",
        type=int,
        default=1,
        help="how often images get the gates of others (default: 1)",
    )
    parser.add_argument(
        "--prune",
        metavar="POINTS",
        type=float,
        default=None,
        help="take out blocks as long as no more accuracy is lost, and write pruned.keras too",
    )


def check(options: argparse.Namespace) -> None:
    """Raises an error, without Keras, for arguments that cannot work."""
    check_model_and_data(options)
    check_out_and_per_class(options)
    if options.repeats < 1:
        raise ValueError(f"--repeats must be at least 1. Received: {options.repeats}")
    if options.prune is not None and not options.prune >= 0:
        raise ValueError(f"--prune must be at least 0. Received: {options.prune}")


def run(options: argparse.Namespace) -> int:
    """Runs `importance`; returns the exit status."""
    from keras_se import data
    from keras_se.analysis import importance, prune_se
    from keras_se.export import export_model
    from keras_se.files import write_text

    # Before weights are downloaded.
    data.check(options.data)
    model = resolve_model(options.model, options.weights)
    network = sized_network(options, model, "its layers cannot be seen")
    dataset, preprocessing = load_held_out(options, model)
    common = {"preprocessing": preprocessing, "batch_size": options.batch}
    result = importance(network, dataset, **common, repeats=options.repeats)
    print(result)
    facts = {"model": model.name, "data": options.data, **result.to_dict()}
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "importance.json"
    write_text(path, _json(facts))
    if options.prune is not None:
        pruning = prune_se(network, dataset, options.prune, **common)
        print(pruning)
        facts["pruning"] = {"budget": options.prune, **pruning.to_dict()}
        write_text(path, _json(facts))
        # The metadata says how images are prepared; unfolded, it can be trained and pruned further.
        pruning.model.preprocessing = preprocessing
        file, names = options.out / "pruned.keras", dataset.class_names
        export_model(pruning.model, file, fold=False, class_names=names, overwrite=True)
    print(path)
    return OK


def _json(facts):
    return json.dumps(facts, indent=1) + "\n"
