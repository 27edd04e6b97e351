"""What the commands have in common."""

import argparse
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

OK, SOME_SKIPPED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130
# What a command may raise because of what it was given or found.
ERRORS = (ValueError, OSError, ImportError)
DATA_HELP = "digits, fake, folder:PATH, array:FILE or tfds:NAME"


class CommandParser(argparse.ArgumentParser):
    """Parser of one command that gets its arguments when it is used.

    Args:
        fill: Callable of the parser that adds its arguments.
        **options: As for `argparse.ArgumentParser`.
    """

    def __init__(self, *, fill: Callable[[argparse.ArgumentParser], None], **options):
        super().__init__(**options)
        self._fill = fill

    def parse_known_args(self, args=None, namespace=None):
        """Adds the arguments, then parses."""
        self._fill(self)
        return super().parse_known_args(args, namespace)


def add_weights(parser, metavar="TAG_OR_FILE"):
    """Adds `--weights` of a model that may be a file with weights of its own."""
    parser.add_argument(
        "--weights",
        metavar=metavar,
        default=None,
        help="weights of a network given by name (default: imagenet)",
    )


def find_preprocessing(application, weights, preprocessing):
    """The row of the registry whose preprocessing to use.

    That is `preprocessing`, `NETWORK.TAG` or a tag of this network; else that of `weights`, if it
    is a tag; else, for the weights of a file, the network's first.
    """
    from keras_se.applications import get_model
    from keras_se.weights import find_weights

    if preprocessing and "." in preprocessing:
        network, _, preprocessing = preprocessing.partition(".")
        application = get_model(network)
    rows, name = application.weights, application.name
    tag = preprocessing or weights or application.default_weights
    if preprocessing or tag == "imagenet" or tag in {row.tag for row in rows}:
        return find_weights(tag, rows, network=name)
    if not (tag.startswith("hf://") or Path(tag).is_file()):
        find_weights(tag, rows, network=name)
    if not rows:
        raise ValueError(
            f"{name} has no published weights, so its images have no known size: name those of "
            "another network by --preprocessing NETWORK.TAG"
        )
    print(f"keras-se: images as for {rows[0].tag} of {name}; see --preprocessing", file=sys.stderr)
    return rows[0]


def load_model(options):
    """Loads the `.keras` file that the options name."""
    import keras

    if options.weights is not None:
        raise ValueError("--weights goes with the name of a network; a .keras file has its own.")
    if not Path(options.model).is_file():
        raise FileNotFoundError(f"There is no file {options.model!r}.")
    try:
        return keras.saving.load_model(options.model, compile=False)
    except Exception as error:  # whatever zipfile, json and Keras raise for a damaged file
        raise ValueError(f"{options.model!r} cannot be loaded: {error}") from error


def explain(error):
    """Says on the standard error why a command ends; returns its exit status."""
    if isinstance(error, KeyboardInterrupt):
        print("keras-se: interrupted", file=sys.stderr)
        return INTERRUPTED
    if not isinstance(error, ERRORS):
        traceback.print_exception(error)
        return 1
    print(f"keras-se: error: {one_line(error)}", file=sys.stderr, flush=True)
    return WRONG_USE


def one_line(error):
    """The message of an exception without its line breaks."""
    return " ".join(str(error).split()) or type(error).__name__
