"""The command `data`."""

from pathlib import Path

from keras_se.cli.command import OK, add_command


def add_data(commands):
    """Adds `data`."""
    command = commands.add_parser("data", help="prepare data", description="Prepare data.")
    below = command.add_subparsers(
        title="commands", metavar="COMMAND", required=True, help="what to do: prepare"
    )
    prepare = add_command(below, "prepare", _prepare, "turn a folder of images into one array file")
    prepare.add_argument(
        "folder",
        metavar="FOLDER",
        help="a folder with train/CLASS/* and val/CLASS/* (or test), or with CLASS/*",
    )
    prepare.add_argument("out", metavar="OUT", type=Path, help="the new .npz file to write")
    prepare.add_argument(
        "--size", metavar="PIXELS", type=int, required=True, help="side of the square images"
    )


def _prepare(options):
    from keras_se import data
    from keras_se.evaluation.report import print_skipped

    name = f"folder:{options.folder}"
    data.check_file(options.out, argument="OUT")
    late = data.load(name, size=options.size, memory=0)
    data.check_file(options.out, late, "OUT")
    loaded = data.decode(late, name)
    data.prepare(loaded, options.out)
    print_skipped(loaded)
    print(
        f"{options.out}: {len(loaded.train_labels)} images to train on, "
        f"{len(loaded.test_labels)} held out, {len(loaded.class_names)} classes"
    )
    return OK
