"""What the commands that run held-out images through a network have in common."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from keras_se.cli.command import DATA_HELP
from keras_se.cli.models import MODEL_HELP, WEIGHTS_HELP, ResolvedModel, check_model, find_path

if TYPE_CHECKING:
    import keras

    from keras_se.data import Dataset
    from keras_se.preprocessing import Preprocessing


def add_model_and_data(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Adds the arguments that say which network and which images, these perhaps not required."""
    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument(
        "--data",
        metavar="DATA",
        required=required,
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


def check_model_and_data(options: argparse.Namespace) -> None:
    """Raises an error, without Keras, for files that are missing and sizes that cannot be."""
    check_model(options.model, options.weights)
    for name in ("batch", "size"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}")


def add_out_and_per_class(parser: argparse.ArgumentParser, files: str) -> None:
    """Adds the arguments that say where to write `files`, and how many images are enough."""
    parser.add_argument(
        "--out", metavar="DIR", type=Path, required=True, help=f"folder to write {files} into"
    )
    add_per_class(parser)


def add_per_class(parser: argparse.ArgumentParser, default: int | None = None) -> None:
    """Adds the argument that says how many images are enough."""
    parser.add_argument(
        "--per-class",
        metavar="N",
        type=int,
        default=default,
        help=f"images of a class at most, such as the paper's 50 (default: {default or 'all'})",
    )


def check_out_and_per_class(options: argparse.Namespace) -> None:
    """Raises an error for a folder that is a file, and for too few images."""
    check_per_class(options)
    if options.out.exists() and not options.out.is_dir():
        raise ValueError(f"--out must be a folder. Received: the file {str(options.out)!r}")


def check_per_class(options: argparse.Namespace) -> None:
    """Raises an error for too few images."""
    if options.per_class is not None and options.per_class < 2:
        raise ValueError(f"--per-class must be at least 2. Received: {options.per_class}")


def load_held_out(
    options: argparse.Namespace, model: ResolvedModel
) -> tuple["Dataset", "Preprocessing"]:
    """Loads the images, as the network wants them.

    Args:
        options: The arguments.
        model: The `ResolvedModel`.

    Returns:
        The `keras_se.data.Dataset` and the `Preprocessing` of its pixels, with the size of
        `--size` if there is one.

    Raises:
        ValueError: If the classes are not those of the network.
        OSError: If the data cannot be read.
    """
    from keras_se.data import held_out_per_class
    from keras_se.evaluation.evaluate import load_for

    preprocessing = resolve_preprocessing(options, model)
    # The classes of the zoo's weights have words where folders may have numbers.
    names = model.class_names if find_path(options.model) else None
    dataset = load_for(options.data, preprocessing, names)
    if getattr(options, "per_class", None) is not None:
        dataset = held_out_per_class(dataset, options.per_class)
    return dataset, preprocessing


def resolve_preprocessing(options: argparse.Namespace, model: ResolvedModel) -> "Preprocessing":
    """Returns how the images of a network are prepared, with the size of `--size` if there is one.

    Args:
        options: The arguments.
        model: The `ResolvedModel`. If it does not know, its pixels are from 0 to 1, which is said.

    Raises:
        ValueError: If it does not know and is an export for another runtime.
    """
    preprocessing = model.preprocessing
    if preprocessing is None:
        unknown = "it must say how its images are prepared: keras-se export --preprocessing"
        preprocessing = _from_zero_to_one(require_keras(model, unknown), options.size)
        print(
            f"keras-se: how the images of {model.name} are prepared is not known: their pixels "
            "are from 0 to 1",
            file=sys.stderr,
        )
    return preprocessing if options.size is None else preprocessing.replace(size=options.size)


def sized_network(options: argparse.Namespace, model: ResolvedModel, problem: str) -> "keras.Model":
    """Returns the Keras model of what was named, for images of `--size` if there is one.

    Args:
        options: The arguments.
        model: The `ResolvedModel`.
        problem: As for `require_keras`.

    Raises:
        ValueError: If it is an export for another runtime, or cannot take such images.
    """
    from keras_se.evaluation.evaluate import resize

    network = require_keras(model, problem)
    return network if options.size is None else resize(network, options.size)


def require_keras(model: ResolvedModel, problem: str) -> "keras.Model":
    """Returns the Keras model of what was named.

    Args:
        model: The `ResolvedModel`.
        problem: What an export for another runtime lacks, for the message.

    Raises:
        ValueError: If it is such an export.
    """
    if model.network is None:
        raise ValueError(f"{model.name} is an export for another runtime: {problem}.")
    return model.network


def _from_zero_to_one(network, size):
    """The preprocessing of a network of which nothing is known, for `--size` if there is one."""
    from keras_se.data_format import spatial_shape
    from keras_se.preprocessing import ONES, ZEROS, Preprocessing

    side = size or spatial_shape(network.input_shape)[0]
    return Preprocessing(side, 1.0, "center", "bilinear", ZEROS, ONES)
