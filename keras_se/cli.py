"""The command `keras-se`: list, predict, train, transfer, evaluate, export and data."""

import argparse
import sys
from pathlib import Path

OK, SOME_SKIPPED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130
BATCH = 16
DATA_HELP = "digits, fake, folder:PATH, array:FILE or tfds:NAME"


def main(arguments=None):
    """Runs one command; returns its exit status.

    Args:
        arguments: The words after `keras-se`; by default those of the process.

    Returns:
        0 if all went well, 1 if some images were skipped, 2 if the command could not be done,
        with one line on the standard error that says why.
    """
    options = parser().parse_args(arguments)
    try:
        return options.run(options)
    except (ValueError, OSError, ImportError) as error:
        print(f"keras-se: error: {_one_line(error)}", file=sys.stderr)
        return WRONG_USE
    except KeyboardInterrupt:
        print("keras-se: interrupted", file=sys.stderr)
        return INTERRUPTED


def parser():
    """The parser of the command line."""
    top = argparse.ArgumentParser(
        prog="keras-se", description="Squeeze-and-Excitation networks for Keras 3."
    )
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_list(commands)
    _add_predict(commands)
    _add_train(commands)
    _add_transfer(commands)
    _add_evaluate(commands)
    _add_export(commands)
    _add_data(commands)
    return top


def _add_list(commands):
    command = _command(commands, "list", _list, "print the zoo as a table")
    command.add_argument(
        "--weights",
        action="store_true",
        help="a line for each published checkpoint: tag, size, top-1, top-5, license, source",
    )


def _add_predict(commands):
    command = _command(commands, "predict", _predict, "name what is in images")
    command.add_argument(
        "network", metavar="NETWORK", help="such as seresnet50, or its twin resnet50"
    )
    command.add_argument("images", metavar="IMAGE", nargs="+", type=Path, help="image files")
    command.add_argument(
        "--weights",
        metavar="TAG_OR_FILE",
        default="imagenet",
        help="a tag of `keras-se list --weights`, hf://owner/repo or a file (default: imagenet)",
    )
    command.add_argument(
        "--preprocessing",
        metavar="[NETWORK.]TAG",
        default=None,
        help="the checkpoint whose resizing and normalisation to use, if --weights is not a tag, "
        "such as seresnet50.a1_in1k (default: the network's first)",
    )
    command.add_argument(
        "--top", metavar="N", type=int, default=5, help="classes to print for an image (default: 5)"
    )


def _add_train(commands):
    from keras_se.training.recipes import describe

    command = _command(commands, "train", _train, "train a network by a recipe")
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    command.epilog = describe()
    command.add_argument("recipe", metavar="RECIPE", help="name of the recipe, such as digits")
    command.add_argument("--data", metavar="DATA", help=f"{DATA_HELP} (default: the recipe's)")
    _add_run(command)


def _add_transfer(commands):
    text = "train a network with weights on other classes, by the recipe transfer"
    command = _command(commands, "transfer", _transfer, text)
    command.add_argument("network", metavar="NETWORK", help="such as seresnet50")
    command.add_argument(
        "--weights",
        metavar="TAG_OR_FILE",
        default="imagenet",
        help="what to start from: a tag, hf://owner/repo or a file (default: imagenet)",
    )
    command.add_argument("--data", metavar="DATA", required=True, help=DATA_HELP)
    _add_run(command)


def _add_run(command):
    """What commands that train have in common."""
    command.add_argument(
        "--out", metavar="DIR", type=Path, required=True, help="folder of the results"
    )
    command.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="change a field of the recipe, such as epochs=3; may be given again",
    )
    command.add_argument(
        "--overwrite", action="store_true", help="replace the results of an earlier run in DIR"
    )
    command.add_argument(
        "--resume", action="store_true", help="go on with the run in DIR that was stopped"
    )
    command.add_argument(
        "--tensorboard", action="store_true", help="write logs for TensorBoard into DIR as well"
    )


def _add_evaluate(commands):
    command = _command(commands, "evaluate", _evaluate, "measure a network on held-out images")
    command.add_argument(
        "model", metavar="MODEL_OR_NETWORK", help="a .keras file, or the name of a network"
    )
    command.add_argument("--data", metavar="DATA", required=True, help=DATA_HELP)
    command.add_argument(
        "--weights",
        metavar="TAG_OR_FILE",
        default=None,
        help="weights of a network given by name (default: imagenet)",
    )
    command.add_argument(
        "--batch", metavar="N", type=int, default=64, help="images at a time (default: 64)"
    )


def _add_export(commands):
    command = _command(commands, "export", _export, "write a SavedModel and verify it")
    command.add_argument(
        "model", metavar="MODEL", help="a .keras file, or the name of a network with --weights"
    )
    command.add_argument("directory", metavar="DIR", type=Path, help="folder to write")
    command.add_argument(
        "--weights",
        metavar="TAG_OR_FILE",
        default=None,
        help="weights of a network given by name (default: imagenet)",
    )
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


def _add_data(commands):
    command = commands.add_parser("data", help="prepare data", description="Prepare data.")
    below = command.add_subparsers(
        title="commands", metavar="COMMAND", required=True, help="what to do: prepare"
    )
    prepare = _command(below, "prepare", _prepare, "turn a folder of images into one array file")
    prepare.add_argument(
        "folder",
        metavar="FOLDER",
        help="a folder with train/CLASS/* and val/CLASS/* (or test), or with CLASS/*",
    )
    prepare.add_argument("out", metavar="OUT", type=Path, help="the .npz file to write")
    prepare.add_argument(
        "--size", metavar="PIXELS", type=int, required=True, help="side of the square images"
    )


def _command(commands, name, run, text):
    command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    command.set_defaults(run=run)
    return command


def _list(options):
    from keras_se import catalogue

    print(catalogue.checkpoints() if options.weights else catalogue.networks())
    return OK


def _predict(options):
    from keras_se import applications

    application, se = applications.find(options.network)
    row = _row(application, se, options.weights, options.preprocessing)
    if options.top < 1:
        raise ValueError(f"--top must be at least 1. Received: {options.top}")
    # Before the model is loaded, so that a typing error costs no download.
    readable = _load_images(options.images, row)
    if readable:
        model = application(weights=options.weights, input_shape=_any_size(), classes=None, se=se)
        for start in range(0, len(readable), BATCH):
            _print_predictions(model, readable[start : start + BATCH], row, options.top)
    return OK if len(readable) == len(options.images) else SOME_SKIPPED


def _any_size():
    """Three channels: the size of the images is that of their preprocessing, not the network's."""
    import keras

    first = keras.config.image_data_format() == "channels_first"
    return (3, None, None) if first else (None, None, 3)


def _row(application, se, weights, preprocessing):
    """The registry's row whose preprocessing to use.

    That is `preprocessing`, `NETWORK.TAG` or a tag of this network; else that of `weights`, if it
    is a tag; else, for the weights of a file, the network's first.
    """
    from keras_se import applications
    from keras_se.weights import find

    if preprocessing and "." in preprocessing:
        network, _, preprocessing = preprocessing.partition(".")
        application, se = applications.find(network)
    rows = application.published(se)
    name = application.name if se else application.twin
    tag = preprocessing or weights
    if preprocessing or tag == "imagenet" or tag in {row.tag for row in rows}:
        return find(tag, rows, network=name)
    if not (tag.startswith("hf://") or Path(tag).is_file()):
        find(tag, rows, network=name)
    if not rows:
        raise ValueError(
            f"{name} has no published weights, so its images have no known size: name those of "
            "another network by --preprocessing NETWORK.TAG"
        )
    print(f"keras-se: images as for {rows[0].tag} of {name}; see --preprocessing", file=sys.stderr)
    return rows[0]


def _load_images(paths, row):
    """The decoded images that can be read, with their paths; reports the others."""
    from keras_se.preprocess import load_image

    images = []
    for path in paths:
        try:
            images.append((path, load_image(path, row)))
        except (ValueError, OSError) as error:
            print(f"keras-se: skipped {path}: {_one_line(error)}", file=sys.stderr)
    return images


def _print_predictions(model, images, row, top):
    import keras
    import numpy as np

    from keras_se.preprocess import decode_predictions, preprocess_input

    pixels = np.stack([image for _, image in images])
    batch = preprocess_input(pixels, row, data_format="channels_last")
    if keras.config.image_data_format() == "channels_first":
        batch = batch.transpose(0, 3, 1, 2)
    predictions = model.predict(batch, verbose=0)
    if predictions.shape[1] == 1000:
        named = decode_predictions(predictions, top=top)
    else:
        named = [_numbered(scores, top) for scores in predictions]
    for (path, _), classes in zip(images, named, strict=True):
        print(path)
        for _, name, score in classes:
            print(f"  {100 * score:6.2f} %  {name.replace('_', ' ')}")


def _numbered(scores, top):
    order = sorted(range(len(scores)), key=lambda index: -scores[index])[:top]
    return [(None, f"class {index}", float(scores[index])) for index in order]


def _train(options):
    from keras_se.training.recipe import override
    from keras_se.training.recipes import find_recipe

    return _run(override(find_recipe(options.recipe), options.set), options)


def _transfer(options):
    from keras_se.training.recipe import override
    from keras_se.training.recipes import find_recipe

    named = [f"network={options.network}", f"weights={options.weights}"]
    return _run(override(find_recipe("transfer"), [*named, *options.set]), options)


def _run(recipe, options):
    from keras_se.training.fit import train
    from keras_se.training.recipe import override

    if options.resume and options.overwrite:
        raise ValueError("--resume goes on with a run, --overwrite deletes it: give one of them.")
    if options.data:
        recipe = override(recipe, [f"data={options.data}"])
    train(recipe, options.out, options.overwrite, options.resume, options.tensorboard)
    return OK


def _evaluate(options):
    from keras_se.training.evaluate import evaluate_file, evaluate_network

    if options.model.endswith(".keras"):
        model = _load_model(options)
        print(evaluate_file(model, options.model, options.data, options.batch))
    else:
        weights = options.weights or "imagenet"
        print(evaluate_network(options.model, weights, options.data, options.batch))
    return OK


def _export(options):
    from keras_se import applications
    from keras_se.export import export_saved_model

    preprocessing = _preprocessing(options)
    if options.model.endswith(".keras"):
        model = _load_model(options)
    else:
        application, se = applications.find(options.model)
        model = application(weights=options.weights or "imagenet", classes=None, se=se)
    difference = export_saved_model(
        model, options.directory, preprocessing=preprocessing, overwrite=options.overwrite
    )
    print(f"{options.directory}: largest difference from the Keras model {difference:.1e}")
    return OK


def _prepare(options):
    from keras_se import data
    from keras_se.training.report import print_skipped

    data.check_file(options.out)
    loaded = data.load(f"folder:{options.folder}", size=options.size, memory=float("inf"))
    data.prepare(loaded, options.out)
    print_skipped(loaded)
    print(
        f"{options.out}: {len(loaded.train_labels)} images to train on, "
        f"{len(loaded.test_labels)} held out, {len(loaded.class_names)} classes"
    )
    return OK


def _load_model(options):
    import keras

    if options.weights is not None:
        raise ValueError("--weights goes with the name of a network; a .keras file has its own.")
    if not Path(options.model).is_file():
        raise FileNotFoundError(f"There is no file {options.model!r}.")
    try:
        return keras.saving.load_model(options.model, compile=False)
    except Exception as error:  # whatever zipfile, json and Keras raise for a damaged file
        raise ValueError(f"{options.model!r} cannot be loaded: {error}") from error


def _preprocessing(options):
    """The registry's row that `--preprocessing` names, or `None` without it."""
    from keras_se import applications

    if options.preprocessing is None:
        return None
    if options.model.endswith(".keras"):
        if "." not in options.preprocessing:
            raise ValueError("--preprocessing of a .keras file must name weights: NETWORK.TAG")
        return _row(None, None, None, options.preprocessing)
    application, se = applications.find(options.model)
    return _row(application, se, options.weights or "imagenet", options.preprocessing)


def _one_line(error):
    return " ".join(str(error).split()) or type(error).__name__


if __name__ == "__main__":
    sys.exit(main())
