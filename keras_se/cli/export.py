"""The command `export`."""

from pathlib import Path

from keras_se.cli.command import OK, add_command, add_weights, load_model, registry_row


def add_export(commands):
    """Adds `export`."""
    command = add_command(commands, "export", _export, "write a SavedModel and verify it")
    command.add_argument(
        "model", metavar="MODEL", help="a .keras file, or the name of a network with --weights"
    )
    command.add_argument("directory", metavar="DIR", type=Path, help="folder to write")
    add_weights(command)
    command.add_argument(
        "--preprocessing",
        metavar="NETWORK.TAG",
        nargs="?",
        const="",
        default=None,
        help="take uint8 images and normalise them in the SavedModel, as these weights want it, "
        "such as seresnet50.a1_in1k (default: those of --weights)",
    )
    command.add_argument(
        "--overwrite", action="store_true", help="replace the SavedModel that is in DIR"
    )


def _export(options):
    from keras_se import applications
    from keras_se.export import export_saved_model

    preprocessing = _preprocessing(options)
    if options.model.endswith(".keras"):
        model = load_model(options)
    else:
        application, se = applications.find(options.model)
        model = application(weights=options.weights or "imagenet", classes=None, se=se)
    difference = export_saved_model(
        model, options.directory, preprocessing=preprocessing, overwrite=options.overwrite
    )
    print(f"{options.directory}: largest difference from the Keras model {difference:.1e}")
    return OK


def _preprocessing(options):
    """The registry's row that `--preprocessing` names, or `None` without it."""
    from keras_se import applications

    if options.preprocessing is None:
        return None
    if options.model.endswith(".keras"):
        if "." not in options.preprocessing:
            raise ValueError("--preprocessing of a .keras file must name weights: NETWORK.TAG")
        return registry_row(None, None, None, options.preprocessing)
    application, se = applications.find(options.model)
    return registry_row(application, se, options.weights or "imagenet", options.preprocessing)
