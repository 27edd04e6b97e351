"""The command `convert`."""

import argparse
from pathlib import Path

from keras_se.cli.command import OK


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `convert` to its parser."""
    parser.add_argument(
        "weights",
        metavar="FILE",
        type=Path,
        help="weights of another project, such as a .h5 file of Keras 2 that classification_models "
        "or imgclsmob wrote",
    )
    parser.add_argument(
        "--network",
        metavar="NETWORK",
        required=True,
        help="the network that has their graph, such as seresnet50v1; any other is refused",
    )
    parser.add_argument(
        "--out", metavar="FILE", type=Path, required=True, help="the .safetensors file to write"
    )
    parser.add_argument(
        "--no-top", action="store_true", help="the weights have no classifier; write none"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is there")


def check(options: argparse.Namespace) -> None:
    """Raises an error, without Keras, for files that cannot be read or written."""
    if not options.weights.is_file():
        raise FileNotFoundError(f"There is no file {str(options.weights)!r}.")
    if options.out.suffix != ".safetensors":
        raise ValueError(f"--out must end in .safetensors. Received: {str(options.out)!r}")
    if options.out.exists() and not options.overwrite:
        raise FileExistsError(f"{str(options.out)!r} is already there: give --overwrite.")


def run(options: argparse.Namespace) -> int:
    """Runs `convert`; returns the exit status."""
    from keras_se.applications import get_model
    from keras_se.weights import export_state_dict

    network = get_model(options.network)
    model = network(weights=options.weights, include_top=not options.no_top)
    state = export_state_dict(model, options.out, metadata={"network": network.name})
    print(f"{options.out}: {len(state)} tensors of {network.name}, all that the file has")
    return OK
