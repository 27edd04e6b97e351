"""The command `data`."""

import argparse
from pathlib import Path

from keras_se.cli.command import OK


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `data` to its parser."""
    commands = parser.add_subparsers(
        title="commands",
        metavar="COMMAND",
        required=True,
        parser_class=argparse.ArgumentParser,
    )
    text = "turn a folder of images into one array file"
    prepare = commands.add_parser("prepare", help=text, description=f"{text[0].upper()}{text[1:]}.")
    prepare.add_argument(
        "folder",
        metavar="FOLDER",
        help="a folder with train/CLASS/* and val/CLASS/* (or test), or with CLASS/*",
    )
    prepare.add_argument("out", metavar="OUT", type=Path, help="the new .npz file to write")
    prepare.add_argument(
        "--size", metavar="PIXELS", type=int, required=True, help="side of the square images"
    )


def run(options: argparse.Namespace) -> int:
    """Runs `data prepare`; returns the exit status."""
    from keras_se import data
    from keras_se.evaluation.report import print_skipped

    name = f"folder:{options.folder}"
    data.check_file(options.out, argument="OUT")
    lazy = data.load(name, size=options.size, memory=0)
    data.check_file(options.out, lazy, "OUT")
    loaded = data.decode(lazy, name)
    data.prepare(loaded, options.out)
    print_skipped(loaded)
    print(
        f"{options.out}: {len(loaded.train_labels)} images to train on, "
        f"{len(loaded.test_labels)} held out, {len(loaded.class_names)} classes"
    )
    return OK
