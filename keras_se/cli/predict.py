"""The command `predict`."""

import argparse
import dataclasses
import sys
from pathlib import Path

from keras_se.cli.command import OK, SOME_SKIPPED, find_preprocessing, one_line

BATCH = 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `predict` to its parser."""
    parser.add_argument(
        "network", metavar="NETWORK", help="such as seresnet50, or its twin resnet50"
    )
    parser.add_argument("images", metavar="IMAGE", nargs="+", type=Path, help="image files")
    parser.add_argument(
        "--weights",
        metavar="TAG_OR_FILE",
        default=None,
        help="a tag of `keras-se list --weights`, hf://owner/repo or a file (default: the "
        "network's only ones, or imagenet)",
    )
    parser.add_argument(
        "--preprocessing",
        metavar="[NETWORK.]TAG",
        default=None,
        help="the checkpoint whose resizing and normalisation to use, if --weights is not a tag, "
        "such as seresnet50.a1_in1k (default: the network's first)",
    )
    parser.add_argument(
        "--top", metavar="N", type=int, default=5, help="classes to print for an image (default: 5)"
    )


def check(options: argparse.Namespace) -> None:
    """Raises a `ValueError` for arguments that cannot be."""
    if options.top < 1:
        raise ValueError(f"--top must be at least 1. Received: {options.top}")


def run(options: argparse.Namespace) -> int:
    """Runs `predict`; returns the exit status."""
    from keras_se import applications

    application = applications.get_model(options.network)
    weights = options.weights or application.default_weights
    row = find_preprocessing(application, weights, options.preprocessing)
    # Before the model is loaded, so that a typing error costs no download.
    readable = _load_images(options.images, row)
    if readable:
        model = application(weights=weights, input_shape=_any_size())
        row = _with_own_names(row, weights, model.output_shape[-1])
        for start in range(0, len(readable), BATCH):
            _print_predictions(model, readable[start : start + BATCH], row, options.top)
    return OK if len(readable) == len(options.images) else SOME_SKIPPED


def _with_own_names(row, weights, classes):
    """The row with the names of the classes of the run that wrote a file of weights, if any."""
    from keras_se.training.run_folder import class_names_beside

    names = class_names_beside(weights) if Path(weights).is_file() else None
    if names and len(names) != classes:
        count = f"{len(names)} names in class_names.txt beside {weights}"
        print(f"keras-se: {count}, not used for {classes} classes", file=sys.stderr)
        names = None
    return dataclasses.replace(row, class_names=tuple(names)) if names else row


def _any_size():
    """Three channels: the size of the images is that of their preprocessing, not the network's."""
    from keras_se.data_format import image_shape

    return image_shape(None, None)


def _load_images(paths, row):
    """The decoded images that can be read, with their paths; reports the others."""
    images = []
    for path in paths:
        try:
            images.append((path, row.preprocessing.load_image(path)))
        except (ValueError, OSError) as error:
            print(f"keras-se: skipped {path}: {one_line(error)}", file=sys.stderr)
    return images


def _print_predictions(model, images, row, top):
    import keras
    import numpy as np

    from keras_se.preprocessing import decode_predictions

    pixels = np.stack([image for _, image in images])
    batch = row.preprocessing.normalize(pixels, data_format="channels_last")
    if keras.config.image_data_format() == "channels_first":
        batch = batch.transpose(0, 3, 1, 2)
    predictions = model.predict(batch, verbose=0)
    if predictions.shape[1] == len(row.class_names or range(1000)):
        named = decode_predictions(predictions, top=top, class_names=row.class_names)
    else:
        named = [_numbered(scores, top) for scores in predictions]
    for (path, _), best in zip(images, named, strict=True):
        print(path)
        for _, name, score in best:
            print(f"  {100 * score:6.2f} %  {name.replace('_', ' ')}")


def _numbered(scores, top):
    order = sorted(range(len(scores)), key=lambda index: -scores[index])[:top]
    return [(None, f"class {index}", float(scores[index])) for index in order]
